//! Reading the tokens of one line from left to right.

use crate::error::{AsmError, Span};
use crate::lex::{Line, Tok, Token, place};

/// A position in a line's tokens. Every error it makes points at the token in question.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    line: &'a Line<'a>,
    at: usize,
}

/// The result of reading something.
pub(crate) type Read<T> = Result<T, AsmError>;

impl<'a> Cursor<'a> {
    /// At the front of a line.
    pub(crate) fn new(line: &'a Line<'a>) -> Cursor<'a> {
        Cursor { line, at: 0 }
    }

    /// The opcode that a line copied from a verifier log shows.
    pub(crate) fn logged(&self) -> Option<u8> {
        self.line.logged
    }

    /// The next token.
    pub(crate) fn peek(&self) -> Option<&'a Tok<'a>> {
        self.peek_at(0)
    }

    /// The token `n` behind the next one.
    pub(crate) fn peek_at(&self, n: usize) -> Option<&'a Tok<'a>> {
        self.line.tokens.get(self.at + n).map(|t| &t.tok)
    }

    /// Takes the next token.
    pub(crate) fn next(&mut self) -> Option<&'a Tok<'a>> {
        let tok = self.peek()?;
        self.at += 1;
        Some(tok)
    }

    /// Takes `n` tokens that were looked at before.
    pub(crate) fn skip(&mut self, n: usize) {
        self.at += n;
    }

    /// Whether all tokens are taken.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.line.tokens.len()
    }

    /// Whether the next token is this punctuation.
    pub(crate) fn at_op(&self, op: &str) -> bool {
        matches!(self.peek(), Some(Tok::Op(found)) if *found == op)
    }

    /// Takes this punctuation if it comes next.
    pub(crate) fn take_op(&mut self, op: &str) -> bool {
        let found = self.at_op(op);
        self.at += usize::from(found);
        found
    }

    /// Takes this word if it comes next.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Tok::Word(found)) if *found == word);
        self.at += usize::from(found);
        found
    }

    /// Takes this punctuation, which must come next.
    pub(crate) fn expect_op(&mut self, op: &str) -> Read<()> {
        if self.take_op(op) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{op}`")))
        }
    }

    /// Takes a word; `what` says what it should be.
    pub(crate) fn word(&mut self, what: &str) -> Read<&'a str> {
        match self.peek() {
            Some(Tok::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a word or a quoted text.
    pub(crate) fn name(&mut self, what: &str) -> Read<String> {
        let name = match self.peek() {
            Some(Tok::Word(word)) => (*word).to_owned(),
            Some(Tok::Text(text)) => text.clone(),
            _ => return Err(self.expected(what)),
        };
        self.at += 1;
        Ok(name)
    }

    /// Takes a number without sign that is at most `most`.
    pub(crate) fn number(&mut self, what: &str, most: u64) -> Read<u64> {
        let start = self.at;
        match self.peek() {
            Some(Tok::Number(number)) if *number <= most => {
                self.at += 1;
                Ok(*number)
            }
            Some(Tok::Number(_)) => Err(self
                .since(start)
                .error(format!("{what} is at most {most:#x}"))),
            _ => Err(self.expected(what)),
        }
    }

    /// The same for 32 bits.
    pub(crate) fn u32(&mut self, what: &str) -> Read<u32> {
        Ok(self.number(what, u32::MAX.into())? as u32)
    }

    /// Whether a number, with or without sign, comes next.
    pub(crate) fn at_signed(&self) -> bool {
        match self.peek() {
            Some(Tok::Number(_)) => true,
            Some(Tok::Op("+" | "-")) => matches!(self.peek_at(1), Some(Tok::Number(_))),
            _ => false,
        }
    }

    /// Takes a number with any number of signs in front of it (`r10 + -8` has two).
    pub(crate) fn signed(&mut self, what: &str) -> Read<i128> {
        let mut negative = false;
        while let Some(Tok::Op(sign @ ("+" | "-"))) = self.peek() {
            negative ^= *sign == "-";
            self.at += 1;
        }
        match self.peek() {
            Some(Tok::Number(number)) => {
                self.at += 1;
                let number = i128::from(*number);
                Ok(if negative { -number } else { number })
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a signed number of 16 bits.
    pub(crate) fn i16(&mut self, what: &str) -> Read<i16> {
        let start = self.at;
        let value = self.signed(what)?;
        i16::try_from(value).map_err(|_| {
            self.since(start)
                .error(format!("{what} {value} does not fit 16 bits"))
        })
    }

    /// Takes a signed number of 32 bits.
    pub(crate) fn i32(&mut self, what: &str) -> Read<i32> {
        let start = self.at;
        let value = self.signed(what)?;
        i32::try_from(value).map_err(|_| {
            self.since(start)
                .error(format!("{what} {value} does not fit 32 bits"))
        })
    }

    /// Everything must be taken.
    pub(crate) fn end(&self) -> Read<()> {
        if self.is_done() {
            return Ok(());
        }
        let rest = self.rest_text();
        Err(self
            .here()
            .error(format!("unexpected `{rest}` behind the statement")))
    }

    /// How many tokens have been taken; an argument of [`Cursor::since`].
    pub(crate) fn mark(&self) -> usize {
        self.at
    }

    /// The place from a mark to the last token taken (the next token, if none is).
    pub(crate) fn since(&self, mark: usize) -> Span {
        let first = self.line.tokens.get(mark);
        let last = self.line.tokens.get(self.at.saturating_sub(1).max(mark));
        match (first, last) {
            (Some(first), Some(last)) => self.span(first.start, last.end),
            _ => self.here(),
        }
    }

    /// The place of the next token, or behind the last one.
    pub(crate) fn here(&self) -> Span {
        match self.line.tokens.get(self.at) {
            Some(token) => self.span(token.start, token.end),
            None => {
                let end = self.line.tokens.last().map_or(0, |t: &Token<'_>| t.end);
                self.span(end, end)
            }
        }
    }

    /// The error that something else should come next.
    pub(crate) fn expected(&self, what: &str) -> AsmError {
        let found = match self.line.tokens.get(self.at) {
            Some(token) => format!(
                "`{}`",
                self.line.text.get(token.start..token.end).unwrap_or("")
            ),
            None => "the end of the line".to_owned(),
        };
        self.here().error(format!("expected {what}, found {found}"))
    }

    fn rest_text(&self) -> &'a str {
        let start = self.line.tokens.get(self.at).map_or(0, |t| t.start);
        let end = self.line.tokens.last().map_or(0, |t| t.end);
        self.line.text.get(start..end).unwrap_or("")
    }

    fn span(&self, start: usize, end: usize) -> Span {
        place(self.line.text, self.line.number, start, end)
    }
}
