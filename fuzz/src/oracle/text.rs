//! A load request, disassembled and assembled again, is the same request.

use skep_asm::{Options, assemble, disassemble_program};
use skep_spec::{MapSpec, ProgramSpec};

use super::{Bench, Finding, Judged, Outcome};

pub(super) fn judge(bench: &Bench, spec: &ProgramSpec) -> Judged {
    let kernel_btf = bench.facts().btf().cloned();
    Judged::new(asm_round_trip(spec, kernel_btf))
}

/// Disassembles and assembles.
pub fn asm_round_trip(
    spec: &ProgramSpec,
    kernel_btf: Option<std::sync::Arc<skep_btf::Btf>>,
) -> Outcome {
    let sorted = spec.func_info.is_sorted_by(|a, b| a.insn_off < b.insn_off);
    if !sorted
        || spec
            .func_info
            .first()
            .is_some_and(|first| first.insn_off != 0)
    {
        return Outcome::Skipped("its functions are in disorder, which no source can say");
    }
    let text = disassemble_program(spec);
    let options = Options {
        btf: spec.btf.clone(),
        kernel_btf,
        ..Options::default()
    };
    let object = match assemble(&text, &options) {
        Ok(object) => object,
        Err(errors) => {
            return Outcome::Found(Finding::new(format!("it does not assemble: {errors}")));
        }
    };
    let [copy] = object.programs.as_slice() else {
        let count = object.programs.len();
        return Outcome::Found(Finding::new(format!("it became {count} programs")));
    };
    match difference(spec, copy) {
        None => Outcome::Fine,
        Some(what) => Outcome::Found(Finding::new(what)),
    }
}

/// What differs between a request and its copy, as far as a source tells it.
fn difference(spec: &ProgramSpec, copy: &ProgramSpec) -> Option<String> {
    if spec.insns != copy.insns {
        let mut pairs = spec.insns.iter().zip(&copy.insns);
        return Some(match pairs.position(|(a, b)| a != b) {
            Some(at) => format!(
                "slot {at} was {:?} and became {:?}",
                spec.insns.get(at),
                copy.insns.get(at)
            ),
            None => format!("{} slots became {}", spec.insns.len(), copy.insns.len()),
        });
    }
    let parts = [
        ("its function information", spec.func_info != copy.func_info),
        ("its type", spec.ty != copy.ty),
        ("its attach type", spec.attach != copy.attach),
        ("its flags", spec.flags != copy.flags),
        ("its licence", spec.license != copy.license),
        ("its name", spec.name != copy.name),
        ("its maps", maps(spec) != maps(copy)),
    ];
    let changed = parts.iter().find(|(_, changed)| *changed);
    changed.map(|(part, _)| format!("{part} changed"))
}

fn maps(spec: &ProgramSpec) -> Vec<String> {
    spec.maps.iter().map(|map| told(map)).collect()
}

/// Everything of a map that a source tells.
fn told(map: &MapSpec) -> String {
    let mut map = map.clone();
    map.btf = None;
    let inner = map.inner.take().map(|inner| told(&inner));
    format!("{map:?} {inner:?}")
}
