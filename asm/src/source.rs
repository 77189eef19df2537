//! A source file taken apart: its declarations, and its units of code with their lines.
//!
//! A unit is a program (`.prog`, or a case in a file of cases) or a function (`.func`, `.global`). All
//! names are still names here; `link` resolves them.

use rustc_hash::{FxHashMap, FxHashSet};
use skep_isa::RawInsn;
use skep_spec::{AttachType, ProgFlags, ProgType};

use crate::cursor::{Cursor, Read};
use crate::decl::Proto;
use crate::directive::{self, MapDecl};
use crate::error::{AsmError, MOST_ERRORS, Span};
use crate::lex::{Line, Tok, lex};
use crate::parse::{Statement, register, statement};
use crate::types::{Linkage, Types};

/// What `.prog` or `.cases` says about a program.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) ty: ProgType,
    pub(crate) attach: AttachType,
    pub(crate) flags: ProgFlags,
    pub(crate) license: Option<String>,
    pub(crate) section: String,
    pub(crate) attach_to: String,
    pub(crate) autoload: bool,
    pub(crate) attach_btf_id: u32,
    /// Maps in the order of their indices, where that is said.
    pub(crate) maps: Vec<(String, Span)>,
    /// Declaration tags of the main function.
    pub(crate) tags: Vec<String>,
    pub(crate) proto: Option<Proto>,
}

/// What a unit is.
#[derive(Clone, Debug)]
pub(crate) enum UnitKind {
    Program(Header),
    Function {
        linkage: Linkage,
        proto: Option<Proto>,
    },
}

/// An instruction or a raw slot.
#[derive(Clone, Debug)]
pub(crate) enum Code {
    Insn(Statement),
    Slot(RawInsn),
}

impl Code {
    /// Slots that it occupies.
    pub(crate) fn slots(&self) -> usize {
        match self {
            Code::Insn(statement) => statement.insn.slots(),
            Code::Slot(_) => 1,
        }
    }
}

/// A line with code.
#[derive(Clone, Debug)]
pub(crate) struct CodeLine<'a> {
    pub(crate) code: Code,
    /// First slot, from the unit's start.
    pub(crate) slot: usize,
    pub(crate) span: Span,
    /// The line as written, trimmed.
    pub(crate) text: &'a str,
}

/// A comment within a unit.
#[derive(Clone, Debug)]
pub(crate) struct Comment<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: u32,
    /// The slot of the instruction on the same line, from the unit's start.
    pub(crate) slot: Option<usize>,
}

/// A program or function.
#[derive(Clone, Debug)]
pub(crate) struct Unit<'a> {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) kind: UnitKind,
    pub(crate) code: Vec<CodeLine<'a>>,
    pub(crate) slots: usize,
    /// Labels and the slots before which they stand.
    pub(crate) labels: FxHashMap<String, usize>,
    pub(crate) comments: Vec<Comment<'a>>,
    /// Slots at which functions begin, with their ids in a BTF that the caller supplies.
    pub(crate) func_ids: Vec<(usize, u32)>,
}

/// A whole source.
#[derive(Debug, Default)]
pub(crate) struct Source<'a> {
    pub(crate) units: Vec<Unit<'a>>,
    pub(crate) maps: Vec<MapDecl>,
    pub(crate) types: Types,
    pub(crate) license: Option<String>,
    pub(crate) errors: Vec<AsmError>,
}

/// Reads a source. `first` is a program that begins before the first line.
pub(crate) fn read<'a>(text: &'a str, first: Option<(&str, Header)>) -> Source<'a> {
    let mut reader = Reader {
        source: Source::default(),
        cases: None,
        mentioned: FxHashSet::default(),
    };
    if let Some((name, header)) = first {
        reader.begin(name.to_owned(), Span::default(), UnitKind::Program(header));
    }
    let mut lines = Vec::new();
    for (number, text) in text.lines().enumerate() {
        match lex(text, number as u32 + 1) {
            Ok(line) => {
                mention(&line, &mut reader.mentioned);
                lines.push(line);
            }
            Err(error) => reader.source.errors.push(error),
        }
    }
    for line in &lines {
        if reader.source.errors.len() >= MOST_ERRORS {
            break;
        }
        if let Err(error) = reader.line(line) {
            reader.source.errors.push(error);
        }
    }
    reader.source
}

/// Remembers the names that a line jumps to, calls or takes the address of.
fn mention<'a>(line: &Line<'a>, names: &mut FxHashSet<&'a str>) {
    for pair in line.tokens.windows(2) {
        let (Tok::Word(first), Tok::Word(second)) = (&pair[0].tok, &pair[1].tok) else {
            continue;
        };
        if matches!(*first, "goto" | "gotol" | "may_goto" | "call" | "func") {
            names.insert(second);
        }
        if *second == "ll" {
            names.insert(first);
        }
    }
}

struct Reader<'a> {
    source: Source<'a>,
    /// In a file of cases: what each case is.
    cases: Option<Header>,
    mentioned: FxHashSet<&'a str>,
}

impl<'a> Reader<'a> {
    fn begin(&mut self, name: String, span: Span, kind: UnitKind) {
        self.source.units.push(Unit {
            name,
            span,
            kind,
            code: Vec::new(),
            slots: 0,
            labels: FxHashMap::default(),
            comments: Vec::new(),
            func_ids: Vec::new(),
        });
    }

    fn line(&mut self, line: &Line<'a>) -> Read<()> {
        let mut cur = Cursor::new(line);
        while let (Some(Tok::Word(name)), Some(Tok::Op(":"))) = (cur.peek(), cur.peek_at(1)) {
            let mark = cur.mark();
            cur.next();
            let span = cur.since(mark);
            cur.next();
            self.label(name, span)?;
        }
        let directive = match cur.peek() {
            Some(Tok::Word(word)) => word.strip_prefix('.'),
            _ => None,
        };
        let mut slot = None;
        match directive {
            Some("slot") => slot = Some(self.raw_slot(&mut cur, line)?),
            Some(name) => self.directive(name, &mut cur)?,
            None if cur.is_done() => {}
            None => {
                let statement = statement(&mut cur)?;
                slot = Some(self.code(Code::Insn(statement), &cur, line)?);
            }
        }
        // A comment at the left margin between two units speaks of neither.
        let prose = line.tokens.is_empty() && !line.text.starts_with(char::is_whitespace);
        if prose {
            return Ok(());
        }
        if let (Some(text), Some(unit)) = (line.comment, self.source.units.last_mut()) {
            unit.comments.push(Comment {
                text,
                line: line.number,
                slot,
            });
        }
        Ok(())
    }

    fn label(&mut self, name: &str, span: Span) -> Read<()> {
        if register(name).is_some() {
            return Err(span.error(format!("`{name}` is a register and cannot be a label")));
        }
        if let Some(header) = &self.cases
            && span.column == 1
            && !self.mentioned.contains(name)
        {
            let kind = UnitKind::Program(header.clone());
            self.begin(name.to_owned(), span, kind);
            return Ok(());
        }
        let Some(unit) = self.source.units.last_mut() else {
            return Err(outside(span));
        };
        if unit.labels.insert(name.to_owned(), unit.slots).is_some() {
            return Err(span.error(format!(
                "the label `{name}` stands twice in `{}`",
                unit.name
            )));
        }
        Ok(())
    }

    fn code(&mut self, code: Code, cur: &Cursor<'_>, line: &Line<'a>) -> Read<usize> {
        let span = cur.since(0);
        let Some(unit) = self.source.units.last_mut() else {
            return Err(outside(span));
        };
        let slot = unit.slots;
        unit.slots += code.slots();
        unit.code.push(CodeLine {
            code,
            slot,
            span,
            text: line.text.trim(),
        });
        Ok(slot)
    }

    /// `.slot 0xb701000000000000`: the eight bytes in their order.
    fn raw_slot(&mut self, cur: &mut Cursor<'_>, line: &Line<'a>) -> Read<usize> {
        cur.next();
        let bytes = cur
            .number("the eight bytes of the slot", u64::MAX)?
            .to_be_bytes();
        cur.end()?;
        self.code(Code::Slot(RawInsn::from_le_bytes(bytes)), cur, line)
    }

    fn directive(&mut self, name: &str, cur: &mut Cursor<'_>) -> Read<()> {
        let mark = cur.mark();
        cur.next();
        let types = &mut self.source.types;
        match name {
            "license" => self.source.license = Some(cur.name("the licence")?),
            "map" => {
                let map = directive::map(cur, types)?;
                self.source.maps.push(map);
            }
            "struct" | "union" => directive::composite(cur, types, name == "union")?,
            "prog" => {
                let (name, span) = unit_name(cur)?;
                let header = directive::header(cur, types)?;
                self.begin(name, span, UnitKind::Program(header));
            }
            "func_btf" => {
                let id = cur.u32("a BTF id")?;
                let unit = self.source.units.last_mut();
                let unit = unit.ok_or_else(|| outside(cur.since(mark)))?;
                unit.func_ids.push((unit.slots, id));
            }
            "cases" => self.cases = Some(directive::header(cur, types)?),
            "func" | "global" => {
                let linkage = if name == "func" {
                    Linkage::Static
                } else {
                    Linkage::Global
                };
                let (name, span, proto) = directive::function(cur, types)?;
                self.begin(name, span, UnitKind::Function { linkage, proto });
            }
            _ => {
                let message = format!(
                    "unknown directive `.{name}` (map, prog, func, global, struct, union, license, cases, slot, func_btf)"
                );
                return Err(cur.since(mark).error(message));
            }
        }
        cur.end()
    }
}

fn unit_name(cur: &mut Cursor<'_>) -> Read<(String, Span)> {
    let mark = cur.mark();
    let name = cur.name("the program's name")?;
    Ok((name, cur.since(mark)))
}

fn outside(span: Span) -> AsmError {
    span.error("code outside of a program: begin one with `.prog NAME TYPE`")
}
