//! A rejection drawn on the source: the kernel's message, the line, the instruction.
//!
//! Source text comes from the program's line information, never from files of the machine. Without
//! line information the instructions themselves are the source.

use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use skep_isa::{InsnIdx, Names, kernel_text};
use skep_spec::{Facts, ProgramSpec};
use skep_verifier::Rejection;

use crate::input::Unit;

/// A place in a source file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The file, as the compiler was given it.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: u32,
    /// The column in bytes, from 1; 0 if unknown.
    pub(crate) column: u32,
    /// The line's text.
    pub(crate) text: String,
}

impl Place {
    /// Where an instruction comes from.
    pub(crate) fn find(spec: &ProgramSpec, at: InsnIdx) -> Option<Place> {
        let btf = spec.btf.as_ref()?;
        let info = spec.line_at(at)?;
        let text = |off| btf.string(off).unwrap_or("").to_owned();
        Some(Place {
            file: text(info.file_name_off),
            line: info.line(),
            column: info.column(),
            text: text(info.line_off),
        })
    }

    /// The word that stands at the column, as bytes of the text; the whole line without a column.
    fn span(&self) -> Range<usize> {
        let trimmed = self.text.trim();
        let from = self.text.find(trimmed).unwrap_or(0);
        let all = from..from + trimmed.len();
        let Some(start) = (self.column as usize).checked_sub(1) else {
            return all;
        };
        let Some(rest) = self.text.get(start..).filter(|r| !r.trim().is_empty()) else {
            return all;
        };
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let first = rest.chars().next().map_or(0, char::len_utf8);
        start..start + word.max(first)
    }
}

/// Names of helpers and maps for instruction texts.
struct FactNames<'a> {
    facts: &'a Facts,
    spec: &'a ProgramSpec,
}

impl Names for FactNames<'_> {
    fn helper(&self, id: i32) -> Option<&str> {
        self.facts.helper_name(u32::try_from(id).ok()?)
    }

    fn kfunc(&self, id: i32, btf_idx: i16) -> Option<&str> {
        let btf = self.facts.btf().filter(|_| btf_idx == 0)?;
        btf.ty(skep_btf::TypeId(id.cast_unsigned()))
            .ok()
            .map(|ty| ty.name())
    }

    fn imm64(&self, first: skep_isa::RawInsn, value: u64) -> Option<String> {
        use skep_isa::pseudo;
        let map = || {
            let index = usize::try_from(first.imm).ok()?;
            self.spec.maps.get(index).map(|m| m.name.as_str())
        };
        match first.src() {
            pseudo::MAP_FD => Some(format!("map[{}]", map()?)),
            pseudo::MAP_VALUE => Some(format!("map[{}]+{}", map()?, value >> 32)),
            _ => None,
        }
    }
}

/// An instruction in the kernel's style.
pub(crate) fn insn_text(unit: &Unit, at: InsnIdx) -> String {
    let names = FactNames {
        facts: &unit.kernel.facts,
        spec: &unit.spec,
    };
    let text = kernel_text(&unit.spec.insns, at, &names);
    text.map(|text| text.without_opcode().to_string())
        .unwrap_or_default()
}

/// Instructions shown before and after one without source.
const AROUND: usize = 3;

/// The instructions around one, a line each, with the number of the first and the span of the one.
fn listing(unit: &Unit, at: InsnIdx) -> (String, usize, Range<usize>) {
    let first = at.saturating_sub(AROUND);
    let last = (at + AROUND).min(unit.spec.insns.len().saturating_sub(1));
    let (mut text, mut span) = (String::new(), 0..0);
    let mut second = false;
    for idx in first..=last {
        let begin = text.len();
        if !second {
            let _ = write!(text, "{}", insn_text(unit, idx));
        }
        second = !second && unit.spec.insns.get(idx).is_some_and(|i| i.is_ld_imm64());
        if idx == at {
            span = begin..text.len();
        }
        text.push('\n');
    }
    (text, first, span)
}

/// Draws a rejection.
pub(crate) fn draw(unit: &Unit, rejection: &Rejection, message: &str) -> String {
    let drawing = match rejection.at {
        Some(at) => draw_at(unit, at, message),
        None => {
            let group = Group::with_title(Level::ERROR.primary_title(message));
            Renderer::styled().render(&[group])
        }
    };
    format!("\n{drawing}\n\n")
}

/// Draws a message on the line that an instruction comes from, or on the instruction itself.
pub(crate) fn draw_at(unit: &Unit, at: InsnIdx, message: &str) -> String {
    let title = Level::ERROR.primary_title(message);
    let group = match Place::find(&unit.spec, at) {
        Some(place) => {
            let span = place.span();
            let insn = format!("insn {at}: {}", insn_text(unit, at));
            title.element(
                Snippet::source(place.text)
                    .path(place.file)
                    .line_start(place.line as usize)
                    .annotation(AnnotationKind::Primary.span(span).label(insn)),
            )
        }
        None => {
            let (text, first, span) = listing(unit, at);
            title.element(
                Snippet::source(text)
                    .path(format!("{}/{}", unit.file, unit.prog))
                    .line_start(first)
                    .fold(false)
                    .annotation(
                        AnnotationKind::Primary
                            .span(span)
                            .label(format!("insn {at}")),
                    ),
            )
        }
    };
    Renderer::styled().render(&[group])
}
