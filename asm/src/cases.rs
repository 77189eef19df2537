//! Files of verifier cases: many small programs, each with its claim.
//!
//! After a line `.cases TYPE …`, a label at the left margin that no line jumps to, calls or takes the
//! address of begins a case; everything up to the next such label is its body. A comment claims what
//! the verifier says: `; accepted`, `; error: MESSAGE` or `; undecided: FEATURE`. It stands on the line
//! of the instruction that it speaks of, or on the label's line or an indented line of its own if it
//! speaks of the whole program. Other comments of the form `; key: value` are returned as notes;
//! comments at the left margin are prose.
//!
//! ```
//! use skep_asm::cases::{self, Claim};
//! let text = "
//! .cases socket_filter
//!
//! uninitialised_register_is_rejected:
//!     r0 = r2                        ; error: R2 !read_ok
//!     exit
//! ";
//! let cases = cases::parse(text, &Default::default()).unwrap();
//! let claim = Claim::Rejected { message: "R2 !read_ok".to_owned(), insn_idx: Some(0) };
//! assert_eq!(cases[0].claim, claim);
//! ```

use skep_isa::InsnIdx;
use skep_spec::ProgramSpec;

use crate::assemble::{Options, assemble_source};
use crate::error::{AsmError, AsmErrors, Span};
use crate::source::{self, Comment, Unit, UnitKind};

/// What a case says that the verifier says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// The program is accepted.
    Accepted,
    /// The program is rejected.
    Rejected {
        /// The kernel's last message, or a part of it.
        message: String,
        /// The slot of the instruction on the claim's line.
        insn_idx: Option<InsnIdx>,
    },
    /// There is no verdict yet.
    Undecided {
        /// The feature that is not modelled.
        feature: String,
        /// The slot of the instruction on the claim's line.
        insn_idx: Option<InsnIdx>,
    },
}

/// A comment `; key: value` that is no claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The word before the colon.
    pub key: String,
    /// What stands behind it, trimmed.
    pub value: String,
    /// Its line in the file, from 1.
    pub line: u32,
    /// The slot of the instruction on its line.
    pub insn_idx: Option<InsnIdx>,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The label that begins it.
    pub name: String,
    /// The label's line, from 1.
    pub line: u32,
    /// The program.
    pub program: ProgramSpec,
    /// What the verifier says of it.
    pub claim: Claim,
    /// Other comments with a key.
    pub notes: Vec<Note>,
}

/// Reads a file of cases. A case without a claim, or with two, is an error.
pub fn parse(text: &str, options: &Options) -> Result<Vec<Case>, AsmErrors> {
    let assembled = assemble_source(source::read(text, None), options)?;
    let mut errors = Vec::new();
    for unit in &assembled.source.units {
        if let UnitKind::Function { .. } = unit.kind {
            let claims = unit.comments.iter().filter(|c| claim(c).is_some());
            errors.extend(claims.map(|c| at(c).error("claims stand in cases, not in functions")));
        }
    }
    let mut cases = Vec::new();
    for (program, unit) in assembled.object.programs.into_iter().zip(&assembled.units) {
        let Some(unit) = assembled.source.units.get(*unit) else {
            continue;
        };
        match only_claim(unit) {
            Ok(claim) => cases.push(Case {
                name: unit.name.clone(),
                line: unit.span.line,
                program,
                claim,
                notes: unit.comments.iter().filter_map(note).collect(),
            }),
            Err(error) => errors.push(error),
        }
    }
    AsmErrors::check(errors, cases)
}

fn at(comment: &Comment<'_>) -> Span {
    Span {
        line: comment.line,
        column: 1,
        length: 1,
    }
}

fn only_claim(unit: &Unit<'_>) -> Result<Claim, AsmError> {
    let mut claims = unit.comments.iter().filter_map(|c| Some((c, claim(c)?)));
    let Some((_, first)) = claims.next() else {
        let how = "`; accepted`, `; error: MESSAGE` or `; undecided: FEATURE`";
        return Err(unit
            .span
            .error(format!("`{}` claims nothing: say {how}", unit.name)));
    };
    match claims.next() {
        Some((second, _)) => Err(at(second).error(format!("`{}` claims twice", unit.name))),
        None => Ok(first),
    }
}

fn claim(comment: &Comment<'_>) -> Option<Claim> {
    if comment.text == "accepted" || comment.text.starts_with("accepted:") {
        return Some(Claim::Accepted);
    }
    let insn_idx = comment.slot;
    match key_value(comment.text)? {
        ("error", message) => Some(Claim::Rejected {
            message: message.to_owned(),
            insn_idx,
        }),
        ("undecided", feature) => Some(Claim::Undecided {
            feature: feature.to_owned(),
            insn_idx,
        }),
        _ => None,
    }
}

fn note(comment: &Comment<'_>) -> Option<Note> {
    if claim(comment).is_some() {
        return None;
    }
    let (key, value) = key_value(comment.text)?;
    let (key, value) = (key.to_owned(), value.to_owned());
    Some(Note {
        key,
        value,
        line: comment.line,
        insn_idx: comment.slot,
    })
}

fn key_value(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once(':')?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!key.is_empty() && key.chars().all(word)).then(|| (key, value.trim()))
}
