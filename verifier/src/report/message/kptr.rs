//! The kernel's words about pointers in map values.

use super::value::ty;
use crate::report::ValueView;
use crate::report::scene::Scene;
use crate::state::Region;
use crate::violation::KptrViolation;

/// The line that the kernel logs.
pub(super) fn text(scene: Scene<'_>, v: &KptrViolation) -> String {
    use KptrViolation as V;
    match v {
        V::ByHelper { name } => format!("{name} cannot be accessed indirectly by helper"),
        V::Place { name } => format!("{name} access cannot have variable offset"),
        V::Offset { name, at, off } => format!("{name} access misaligned expected={at} off={off}"),
        V::Size { name } => format!("{name} access size must be BPF_DW"),
        V::Mode => "kptr in map can only be accessed using BPF_MEM instruction mode".to_owned(),
        V::Store { name } => format!("store to {name} disallowed"),
        V::Immediate { at } => {
            format!("BPF_ST imm must be 0 when storing to kptr at off={at}")
        }
        V::Type {
            reg,
            value,
            named,
            wanted,
            untrusted,
        } => {
            let (reg, found) = (reg.index(), ty(value));
            let of = if *named { structure(scene, value) } else { "" };
            let wanted = structure(scene, wanted);
            let or = if *untrusted {
                format!(" or untrusted_ptr_{wanted}")
            } else {
                String::new()
            };
            format!("invalid kptr access, R{reg} type={found}{of} expected=ptr_{wanted}{or}")
        }
    }
}

fn structure<'a>(scene: Scene<'a>, value: &ValueView) -> &'a str {
    if let Some(Region::Btf { source, id }) = value.0.pointer().map(|p| p.region) {
        scene.type_name(source, id)
    } else {
        ""
    }
}
