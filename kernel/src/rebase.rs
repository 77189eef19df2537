//! Moving a request from one kernel to another: ids of the kernel's types are renumbered by name.
//!
//! A request that was prepared for one kernel names that kernel's functions, variables and structs by
//! BTF id, and another build numbers them differently. Field offsets are in the instructions already
//! and are left alone, so a moved request fits kernels whose structs have the same layout.

use std::fmt;
use std::sync::Arc;

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::{opcode, pseudo};
use skep_spec::{MapSpec, ProgramSpec};

/// A type that the other kernel does not have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingType {
    /// Its id in the first kernel.
    pub id: u32,
    /// What it is there, such as `func bpf_cpumask_create`; empty if that id does not exist.
    pub what: String,
}

impl fmt::Display for MissingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.as_str() {
            "" => write!(f, "there is no kernel type {}", self.id),
            what => write!(f, "the other kernel has no {what}"),
        }
    }
}

impl std::error::Error for MissingType {}

/// The request for a kernel with the types `to`, from one for a kernel with the types `from`.
///
/// # Errors
/// The first type that the other kernel lacks.
pub fn rebase(spec: &ProgramSpec, from: &Btf, to: &Btf) -> Result<ProgramSpec, MissingType> {
    let moved = |id: u32| move_id(id, from, to);
    let mut out = spec.clone();
    // With a target program, the id is one of the target's types.
    if out.attach_btf_id != 0 && out.target.is_none() {
        out.attach_btf_id = moved(out.attach_btf_id)?;
    }
    for map in &mut out.maps {
        *map = rebase_map(map, from, to)?;
    }
    let mut second = false;
    for slot in &mut out.insns {
        let first = !second && slot.is_ld_imm64();
        let names_type = first && slot.src() == pseudo::BTF_ID;
        // A kfunc with an offset is a module's, whose types are not these.
        let kfunc = !second
            && slot.code == opcode::CALL
            && slot.src() == pseudo::KFUNC_CALL
            && slot.off == 0;
        if names_type || kfunc {
            slot.imm = moved(slot.imm.cast_unsigned())?.cast_signed();
        }
        second = first;
    }
    Ok(out)
}

fn rebase_map(map: &Arc<MapSpec>, from: &Btf, to: &Btf) -> Result<Arc<MapSpec>, MissingType> {
    if map.vmlinux_value_id == 0 {
        return Ok(Arc::clone(map));
    }
    let mut moved = MapSpec::clone(map);
    moved.vmlinux_value_id = move_id(map.vmlinux_value_id, from, to)?;
    Ok(Arc::new(moved))
}

/// The type of the same kind and name, and the same rank among those where there are several.
fn move_id(id: u32, from: &Btf, to: &Btf) -> Result<u32, MissingType> {
    let old = TypeId(id);
    let missing = |what| MissingType { id, what };
    let (kind, name) = match (from.kind(old), from.ty(old)) {
        (Some(kind), Ok(ty)) => (kind, ty.name()),
        (Some(_), Err(_)) | (None, _) => return Err(missing(String::new())),
    };
    let what = || format!("{} {name}", kind_name(kind));
    if name.is_empty() {
        return Err(missing(format!("{} without a name", kind_name(kind))));
    }
    let rank = from
        .find_all(kind, name)
        .position(|id| id == old)
        .unwrap_or(0);
    let all: Vec<TypeId> = to.find_all(kind, name).collect();
    all.get(rank)
        .or(all.last())
        .map(|id| id.0)
        .ok_or_else(|| missing(what()))
}

fn kind_name(kind: Kind) -> String {
    kind.name().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_btf::{BtfBuilder, IntEncoding};
    use skep_isa::RawInsn;
    use skep_spec::ProgType;

    fn kernel(names: &[&str]) -> Btf {
        let mut builder = BtfBuilder::new();
        for name in names {
            builder.int(name, 4, IntEncoding::SIGNED);
        }
        Btf::parse(builder.to_bytes()).unwrap()
    }

    #[test]
    fn ids_follow_their_names() {
        let (from, to) = (kernel(&["a", "b", "b", "c"]), kernel(&["c", "x", "b", "b"]));
        let ld = RawInsn::new(opcode::LD_IMM64, 1, pseudo::BTF_ID, 0, 3);
        let second = RawInsn::new(0, 0, 0, 0, 2);
        let kfunc = RawInsn::new(opcode::CALL, 0, pseudo::KFUNC_CALL, 0, 4);
        let helper = RawInsn::new(opcode::CALL, 0, 0, 0, 4);
        let mut spec = ProgramSpec::new("p", ProgType::Xdp, vec![ld, second, kfunc, helper]);
        spec.attach_btf_id = 2;
        let moved = rebase(&spec, &from, &to).unwrap();
        assert_eq!(moved.attach_btf_id, 3);
        assert_eq!(
            moved.insns.iter().map(|s| s.imm).collect::<Vec<_>>(),
            [4, 2, 1, 4]
        );
    }

    #[test]
    fn what_the_other_kernel_lacks_is_named() {
        let (from, to) = (kernel(&["a"]), kernel(&["b"]));
        let mut spec = ProgramSpec::new("p", ProgType::Xdp, Vec::new());
        spec.attach_btf_id = 1;
        let error = rebase(&spec, &from, &to).unwrap_err();
        assert_eq!(error.to_string(), "the other kernel has no int a");
        spec.attach_btf_id = 9;
        assert_eq!(
            rebase(&spec, &from, &to).unwrap_err().to_string(),
            "there is no kernel type 9"
        );
    }
}
