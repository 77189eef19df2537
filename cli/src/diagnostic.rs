//! A rejection drawn on the source: the kernel's message, the line, the instruction.
//!
//! Source text comes from the program's line information, never from files of the machine. Without
//! line information the instructions themselves are the source.

use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use skep_btf::{CoreReloKind, Usage};
use skep_isa::{Insn, InsnIdx, Names, decode, kernel_text};
use skep_spec::{CoreAnswer, Facts, ProgramSpec};
use skep_verifier::report::{Explanation, InsnNote, RegNote, StepKind};

use crate::input::Unit;
use crate::verify::judge::Refusal;

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
        // An assembly line is one instruction.
        let column = if self.file.ends_with(".s") {
            0
        } else {
            self.column as usize
        };
        let Some(start) = column.checked_sub(1) else {
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

/// Draws a rejection: message, place, what it means, the registers, what helps, the way there.
pub(crate) fn draw(unit: &Unit, refusal: &Refusal) -> String {
    let told = &refusal.explanation;
    let title = Level::ERROR
        .primary_title(refusal.headline.as_str())
        .id(told.category.name());
    let mut group = match refusal.at() {
        Some(at) => title.element(place_of(unit, at)),
        None => Group::with_title(title),
    };
    let core = refusal.at().and_then(|at| missing_access(unit, at));
    let (what, hint) = match &core {
        Some((what, hint)) => (what, hint),
        None => (&told.what, &told.hint),
    };
    group = group.element(Level::NOTE.message(wrap(what)));
    for reg in told.regs.iter().filter(|reg| is_read(unit, refusal, reg)) {
        group = group.element(Level::NOTE.with_name("value").message(wrap(&reg_text(reg))));
    }
    if let Some(path) = path_text(told) {
        group = group.element(Level::NOTE.with_name("path").message(wrap(&path)));
    }
    group = group.element(Level::HELP.message(wrap(hint)));
    format!("\n{}\n\n", Renderer::styled().render(&[group]))
}

/// What is wrong and what helps, where the instruction is an access to something that the kernel
/// lacks: loaders put a call of no function in its place.
fn missing_access(unit: &Unit, at: InsnIdx) -> Option<(String, String)> {
    let access = unit.spec.core_at(at)?;
    if access.answer != CoreAnswer::Missing {
        return None;
    }
    let (subject, kernel) = (&access.subject, &unit.kernel.name);
    let what = format!(
        "The types of kernel {kernel} have no `{subject}`, whose {} is asked for here (CO-RE). Loaders \
         put a call of no function in the place of such an access, and this one is reached.",
        asked(access.kind)
    );
    let check = match access.kind.usage() {
        Usage::Field => "bpf_core_field_exists(…)",
        Usage::Type => "bpf_core_type_exists(…)",
        Usage::EnumValue => "bpf_core_enum_value_exists(…)",
        Usage::Unknown => "a check",
    };
    let hint = format!(
        "Use it only behind {check}, or describe this kernel's layout in a flavour of the type \
         (`struct name___old`) and choose at run time."
    );
    Some((what, hint))
}

/// What a relocation asks for, in words.
fn asked(kind: CoreReloKind) -> &'static str {
    match kind {
        CoreReloKind::FieldByteOffset => "offset",
        CoreReloKind::FieldByteSize | CoreReloKind::TypeSize => "size",
        CoreReloKind::FieldSigned => "signedness",
        CoreReloKind::FieldLshift | CoreReloKind::FieldRshift => "place in its bit-field",
        CoreReloKind::TypeIdLocal | CoreReloKind::TypeIdTarget => "type id",
        CoreReloKind::EnumValue => "number",
        CoreReloKind::FieldExists
        | CoreReloKind::TypeExists
        | CoreReloKind::TypeMatches
        | CoreReloKind::EnumValueExists => "existence",
        CoreReloKind::Other(_) => "unknown property",
    }
}

/// Draws a message on the line that an instruction comes from, or on the instruction itself.
pub(crate) fn draw_at(unit: &Unit, at: InsnIdx, message: &str) -> String {
    let title = Level::ERROR.primary_title(message);
    Renderer::styled().render(&[title.element(place_of(unit, at))])
}

/// The source line of an instruction, or the instructions around it.
fn place_of(unit: &Unit, at: InsnIdx) -> Snippet<'static, Annotation<'static>> {
    match Place::find(&unit.spec, at) {
        Some(place) => {
            let span = place.span();
            let insn = format!("insn {at}: {}", insn_text(unit, at));
            Snippet::source(place.text)
                .path(place.file)
                .line_start(place.line as usize)
                .annotation(AnnotationKind::Primary.span(span).label(insn))
        }
        None => {
            let (text, first, span) = listing(unit, at);
            Snippet::source(text)
                .path(format!("{}/{}", unit.file, unit.prog))
                .line_start(first)
                .fold(false)
                .annotation(
                    AnnotationKind::Primary
                        .span(span)
                        .label(format!("insn {at}")),
                )
        }
    }
}

/// Whether the instruction at fault reads the register: a load's destination says nothing.
fn is_read(unit: &Unit, refusal: &Refusal, note: &RegNote) -> bool {
    let insn = refusal
        .at()
        .and_then(|at| decode(&unit.spec.insns, at).ok());
    match insn {
        Some(Insn::Load { dst, base, .. }) => note.reg != dst || dst == base,
        Some(_) | None => true,
    }
}

/// A register's value in the kernel's words and in ours, where ours say more.
fn reg_text(note: &RegNote) -> String {
    let (reg, value) = (note.reg.to_string().to_uppercase(), &note.value);
    if note.meaning == format!("the number {value}") {
        return format!("{reg} = {value}");
    }
    format!("{reg} = {value}: {}", note.meaning)
}

/// Steps of the way that are shown: the last ones.
const MOST_STEPS: usize = 6;

/// The last decisions on the way to the fault.
fn path_text(told: &Explanation) -> Option<String> {
    let steps = told
        .path
        .len()
        .checked_sub(MOST_STEPS)
        .map_or(told.path.as_slice(), |from| {
            told.path.get(from..).unwrap_or_default()
        });
    let place = |insn: &InsnNote| match &insn.source {
        Some(source) => format!("line {}", source.line),
        None => format!("insn {}", insn.idx),
    };
    let mut parts = Vec::new();
    if steps.len() < told.path.len() || told.path_skipped != 0 {
        parts.push("…".to_owned());
    }
    for step in steps {
        let does = match step.kind {
            StepKind::Taken => "branches",
            StepKind::NotTaken => "falls through",
            StepKind::Call => "calls",
            StepKind::Return => "returns",
            StepKind::Jump => "continues",
        };
        let part = format!("{} {does}", place(&step.insn));
        if parts.last() != Some(&part) {
            parts.push(part);
        }
    }
    (!steps.is_empty()).then(|| {
        parts.extend(
            told.insn
                .as_ref()
                .map(|insn| format!("{} fails", place(insn))),
        );
        parts.join(", ")
    })
}

/// Columns of a remark.
const WIDTH: usize = 84;

/// Text in lines of bounded width, broken at spaces.
fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if width != 0 && width + 1 + len > WIDTH {
            out.push('\n');
            width = 0;
        } else if width != 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += len;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_remarks_are_broken_at_spaces() {
        assert_eq!(wrap("one  two"), "one two");
        let long = wrap(&"word ".repeat(40));
        assert!(long.lines().all(|l| l.len() <= WIDTH && !l.ends_with(' ')));
        assert_eq!(wrap(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(wrap(""), "");
    }

    #[test]
    fn the_word_at_a_column_is_marked() {
        let place = |text: &str, column| Place {
            file: String::new(),
            line: 1,
            column,
            text: text.to_owned(),
        };
        assert_eq!(place("  if (eth->type)", 12).span(), 11..15);
        assert_eq!(place("  x += 1;", 0).span(), 2..9);
        assert_eq!(place("  x += 1;", 5).span(), 4..5);
        assert_eq!(place("  x", 99).span(), 2..3);
        assert_eq!(place("", 3).span(), 0..0);
        // Columns count bytes and may point into the middle of a character.
        assert_eq!(place("äö", 2).span(), 0..4);
    }
}
