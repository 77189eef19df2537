//! A rejection, told so that a person can fix it: data for those who print it.

mod advice;
mod call_advice;
mod category;
mod kernel_advice;
mod kfunc_advice;
mod object_advice;
mod path;
mod whole_advice;
mod words;

use skep_isa::{CallTarget, Insn, InsnIdx, Reg, decode};
use skep_spec::{Facts, ProgramSpec};

pub use category::Category;
pub use path::StepKind;

use super::log::regs_named;
use super::message;
use super::scene::Scene;
use crate::Rejection;

/// A place in the program's source, from its BTF.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLine {
    /// Path as the compiler was given it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 where it is unknown.
    pub column: u32,
    /// The line's text, without spaces at its ends.
    pub text: String,
}

/// An instruction with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InsnNote {
    /// Its index.
    pub idx: InsnIdx,
    /// Its text in the kernel's style.
    pub text: String,
    /// The function that it belongs to; empty where that is unknown.
    pub function: String,
    /// Its source line, if the program has line info.
    pub source: Option<SourceLine>,
}

/// What a register held when the rule was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegNote {
    /// The register.
    pub reg: Reg,
    /// As the kernel prints it: `map_value_or_null(id=1,map=counts,ks=4,vs=8)`.
    pub value: String,
    /// In words.
    pub meaning: String,
}

/// One step of the way to the fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathStep {
    /// What happened.
    pub kind: StepKind,
    /// The instruction at which it happened.
    pub insn: InsnNote,
    /// Where the path went on.
    pub to: InsnIdx,
}

/// A rejection explained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The line that people quote: the last of the kernel's message, or our own words where the kernel
    /// says nothing.
    pub headline: String,
    /// All lines of the kernel's message.
    pub message: String,
    /// What kind of mistake it is.
    pub category: Category,
    /// What is wrong, in a sentence or two.
    pub what: String,
    /// What would fix it.
    pub hint: String,
    /// The instruction at fault, if one is.
    pub insn: Option<InsnNote>,
    /// The registers that it uses.
    pub regs: Vec<RegNote>,
    /// The way there, oldest first: decisions and calls.
    pub path: Vec<PathStep>,
    /// Steps before those of `path`, which are left out.
    pub path_skipped: usize,
}

/// Explains a rejection of `spec` by the kernel that `facts` are of.
pub fn explain(rejection: &Rejection, spec: &ProgramSpec, facts: &Facts) -> Explanation {
    let scene = Scene { spec, facts };
    let message = message::text(scene, &rejection.violation);
    let advice = advice::advise(
        scene,
        &rejection.violation,
        rejection.at,
        rejection.state.as_ref(),
    );
    let category = advice.category;
    let what = advice.what.unwrap_or_else(|| category.meaning().to_owned());
    let hint = advice.hint.unwrap_or_else(|| category.advice().to_owned());
    let headline = match message.lines().last() {
        Some(line) => line.to_owned(),
        None => what.clone(),
    };
    let (moves, path_skipped) = match rejection.at {
        Some(at) if rejection.state.is_some() => path::moves(spec, &rejection.path, at),
        Some(_) | None => (Vec::new(), 0),
    };
    let path = moves.iter().map(|step| PathStep {
        kind: step.kind,
        insn: insn_note(scene, step.from),
        to: step.to,
    });
    Explanation {
        headline,
        message,
        category,
        what,
        hint,
        insn: rejection.at.map(|at| insn_note(scene, at)),
        regs: reg_notes(scene, rejection),
        path: path.collect(),
        path_skipped,
    }
}

fn insn_note(scene: Scene<'_>, idx: InsnIdx) -> InsnNote {
    let start = path::function_start(scene.spec, idx);
    let function = match scene.func_name(start) {
        "" if start == 0 => scene.spec.name.as_str(),
        name => name,
    };
    InsnNote {
        idx,
        text: scene.insn(idx),
        function: function.to_owned(),
        source: source_line(scene, idx),
    }
}

fn source_line(scene: Scene<'_>, idx: InsnIdx) -> Option<SourceLine> {
    let info = scene.spec.line_at(idx)?;
    Some(SourceLine {
        file: scene.string(info.file_name_off).to_owned(),
        line: info.line(),
        column: info.column(),
        text: scene.string(info.line_off).trim().to_owned(),
    })
}

/// The registers that the instruction at fault uses; all arguments of a call.
fn reg_notes(scene: Scene<'_>, rejection: &Rejection) -> Vec<RegNote> {
    let (Some(at), Some(state)) = (rejection.at, &rejection.state) else {
        return Vec::new();
    };
    let Ok(insn) = decode(&scene.spec.insns, at) else {
        return Vec::new();
    };
    let args = |count: usize| {
        Reg::ARGS
            .iter()
            .take(count)
            .fold(0, |m, r| m | 1 << r.index())
    };
    let mask: u16 = if let Insn::Call(CallTarget::Helper(id)) = insn {
        let proto = u32::try_from(id)
            .ok()
            .and_then(skep_spec::tables::helpers::first);
        args(proto.map_or(0, |proto| proto.args.len()))
    } else if matches!(insn, Insn::Call(_)) {
        args(Reg::ARGS.len())
    } else if insn == Insn::Exit {
        1 << Reg::R0.index()
    } else {
        regs_named(&insn)
    };
    let used = Reg::ALL
        .into_iter()
        .filter(|reg| mask >> reg.index() & 1 != 0);
    let notes = used.filter_map(|reg| {
        let value = state.reg_text(scene, reg.index())?;
        let meaning = words::value(scene, state.reg(reg.index())?);
        Some(RegNote {
            reg,
            value,
            meaning,
        })
    });
    notes.collect()
}
