//! One line of source: its tokens and its comment.
//!
//! A comment begins with `;` or `//`, or with `#` at the front of the line or behind white space (so
//! that `call bpf_redirect#23` keeps its number). Words are `[A-Za-z_.$][A-Za-z0-9_.$]*`; other names
//! stand in double quotes, with `\"`, `\\` and `\u{…}` as escapes.

use crate::error::{AsmError, Span};

/// A token's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Tok<'a> {
    /// A name or mnemonic.
    Word(&'a str),
    /// A number without sign.
    Number(u64),
    /// A quoted name.
    Text(String),
    /// Punctuation.
    Op(&'static str),
}

/// A token with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) tok: Tok<'a>,
    /// Bytes of the line that it covers.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A line taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line<'a> {
    /// The whole line.
    pub(crate) text: &'a str,
    /// Its number, from 1.
    pub(crate) number: u32,
    /// Everything before the comment.
    pub(crate) tokens: Vec<Token<'a>>,
    /// The comment without its mark, trimmed.
    pub(crate) comment: Option<&'a str>,
    /// The opcode, if this is a line of a verifier log: `5: (b7) r0 = 0`.
    pub(crate) logged: Option<u8>,
}

/// Punctuation, longest first.
const OPS: [&str; 37] = [
    "s>>=", "<<=", ">>=", "s/=", "s%=", "s>=", "s<=", "+=", "-=", "*=", "/=", "|=", "&=", "%=",
    "^=", "==", "!=", ">=", "<=", "s>", "s<", "=", ">", "<", "+", "-", "*", "(", ")", "[", "]",
    "{", "}", ",", ":", "&", "%",
];

/// Takes a line apart.
pub(crate) fn lex(text: &str, number: u32) -> Result<Line<'_>, AsmError> {
    let (mut at, logged) = log_prefix(text).map_or((0, None), |(at, code)| (at, Some(code)));
    let mut line = Line {
        text,
        number,
        tokens: Vec::new(),
        comment: None,
        logged,
    };
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        let first = rest.as_bytes()[0];
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let spaced = text[..at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace);
        let mark = match first {
            b';' => 1,
            b'#' if spaced => 1,
            b'/' if rest.starts_with("//") => 2,
            _ => 0,
        };
        if mark > 0 {
            line.comment = Some(rest[mark..].trim());
            break;
        }
        let (tok, length) = token(rest).map_err(|(off, len, message)| {
            place(text, number, at + off, at + off + len).error(message)
        })?;
        line.tokens.push(Token {
            tok,
            start: at,
            end: at + length,
        });
        at += length;
    }
    Ok(line)
}

/// The place of some bytes of a line, in characters.
pub(crate) fn place(text: &str, number: u32, start: usize, end: usize) -> Span {
    let count = |part: Option<&str>| part.map_or(0, |p| p.chars().count() as u32);
    Span {
        line: number,
        column: count(text.get(..start)) + 1,
        length: count(text.get(start..end)).max(1),
    }
}

/// Length and opcode of `12: (b7) ` or `(b7) ` in front of a line.
fn log_prefix(text: &str) -> Option<(usize, u8)> {
    let body = text.trim_start();
    let digits = body.len() - body.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = &body[digits..];
    let rest = if digits > 0 {
        rest.strip_prefix(':')?.trim_start()
    } else {
        rest
    };
    let digits = rest.strip_prefix('(')?.get(..2)?;
    let plain = digits.bytes().all(|c| c.is_ascii_hexdigit());
    if !plain || rest.as_bytes().get(3) != Some(&b')') {
        return None;
    }
    Some((
        text.len() - rest.len() + 4,
        u8::from_str_radix(digits, 16).ok()?,
    ))
}

type Bad = (usize, usize, String);

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'$')
}

/// The token at the front of `rest`, which begins with no white space, and its length.
fn token(rest: &str) -> Result<(Tok<'_>, usize), Bad> {
    let first = rest.as_bytes()[0];
    // `s>` and its kin are operators, a register or label named `s` does not stand before them.
    let may_be_op = first == b's' || !is_word(first);
    if let Some(op) = OPS.iter().find(|op| may_be_op && rest.starts_with(**op)) {
        return Ok((Tok::Op(op), op.len()));
    }
    if first == b'#' {
        return Ok((Tok::Op("#"), 1));
    }
    if first == b'"' {
        return quoted(rest);
    }
    let length = rest.bytes().take_while(|c| is_word(*c)).count();
    if length == 0 {
        let shown = rest.chars().next().unwrap_or(' ');
        return Err((
            0,
            shown.len_utf8(),
            format!("unexpected character `{}`", shown.escape_debug()),
        ));
    }
    let word = &rest[..length];
    if !first.is_ascii_digit() {
        return Ok((Tok::Word(word), length));
    }
    let parsed = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => u64::from_str_radix(&word[2..], 16),
        [b'0', b'b' | b'B', ..] => u64::from_str_radix(&word[2..], 2),
        _ => word.parse(),
    };
    match parsed {
        Ok(number) => Ok((Tok::Number(number), length)),
        Err(_) => Err((0, length, format!("`{word}` is no number of 64 bits"))),
    }
}

fn quoted(rest: &str) -> Result<(Tok<'_>, usize), Bad> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Tok::Text(text), at + 1)),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                Some((_, 'u')) => text.push(unicode(&mut chars).ok_or_else(|| {
                    (
                        at,
                        2,
                        "`\\u{…}` needs a character's number in hexadecimal".to_owned(),
                    )
                })?),
                _ => return Err((at, 1, "escapes are `\\\"`, `\\\\` and `\\u{…}`".to_owned())),
            },
            _ => text.push(c),
        }
    }
    Err((
        0,
        rest.chars().count(),
        "the quotation mark is not closed".to_owned(),
    ))
}

/// Reads `{1f600}`.
fn unicode(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    chars.next().filter(|(_, c)| *c == '{')?;
    let mut code = 0u32;
    for (_, c) in chars.by_ref() {
        if c == '}' {
            return char::from_u32(code);
        }
        code = code.checked_mul(16)?.checked_add(c.to_digit(16)?)?;
    }
    None
}

/// A name as the source would write it: bare where it is a word, else quoted.
pub(crate) fn quote(name: &str) -> String {
    let plain = !name.is_empty()
        && name.bytes().all(is_word)
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain {
        return name.to_owned();
    }
    let mut out = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toks(text: &str) -> Vec<Tok<'_>> {
        lex(text, 1)
            .unwrap()
            .tokens
            .into_iter()
            .map(|t| t.tok)
            .collect()
    }

    #[test]
    fn operators_are_taken_longest_first() {
        use Tok::{Number, Op, Word};
        assert_eq!(toks("r1 s>>= 0x10"), [Word("r1"), Op("s>>="), Number(16)]);
        assert_eq!(
            toks("if r1 s> -1"),
            [Word("if"), Word("r1"), Op("s>"), Op("-"), Number(1)]
        );
        assert_eq!(toks("skb_load"), [Word("skb_load")]);
        assert_eq!(
            toks("call x#1"),
            [Word("call"), Word("x"), Op("#"), Number(1)]
        );
    }

    #[test]
    fn comments_begin_with_three_marks() {
        for text in [
            "exit ; a",
            "exit;a",
            "exit // a",
            "exit # a",
            "# a",
            "\t#a",
            "// a",
        ] {
            assert_eq!(lex(text, 1).unwrap().comment, Some("a"), "{text}");
        }
        assert_eq!(lex("\"a;b\"", 1).unwrap().comment, None);
    }

    #[test]
    fn log_lines_are_known_by_their_opcode() {
        for text in [
            "5: (b7) r0 = 0",
            "(b7) r0 = 0",
            "  12: (b7) r0 = 0 ; R0_w=0",
        ] {
            let line = lex(text, 1).unwrap();
            assert!(
                line.logged == Some(0xb7) && line.tokens.len() == 3,
                "{text}"
            );
        }
        assert_eq!(lex("out: r0 = 0", 1).unwrap().logged, None);
    }

    #[test]
    fn errors_point_at_characters() {
        let error = lex("é = 1", 3).unwrap_err();
        assert_eq!((error.line, error.column, error.length), (3, 1, 1));
        let error = lex("r1 = 0xg", 3).unwrap_err();
        assert_eq!((error.column, error.length), (6, 3));
    }
}
