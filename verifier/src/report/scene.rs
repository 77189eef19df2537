//! The names that text needs: of maps, types, helpers. They come from the request and the kernel's
//! facts alone, so that a verdict can be put into words after the verification is gone.

use std::fmt::Write;

use skep_btf::{Btf, TypeId};
use skep_isa::{InsnIdx, Names, RawInsn, kernel_text, pseudo};
use skep_spec::{Facts, MapSpec, ProgramSpec};

use crate::state::{BtfSource, MapId};
use crate::strings::{cut, string_up_to};

/// Bytes of a map's name that reach the kernel.
const MAP_NAME: usize = 15;
/// Bytes of a source line or path that are looked at.
const MAX_TEXT: usize = 4096;

/// Request and kernel, as the source of names.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) spec: &'a ProgramSpec,
    pub(crate) facts: &'a Facts,
}

impl<'a> Scene<'a> {
    /// A map: one of the request's, or behind them the shape of an inner one.
    pub(crate) fn map(&self, id: MapId) -> Option<&'a MapSpec> {
        let index = id.0 as usize;
        if let Some(map) = self.spec.maps.get(index) {
            return Some(map);
        }
        let inners = self.spec.maps.iter().filter_map(|map| map.inner.as_deref());
        inners.into_iter().nth(index - self.spec.maps.len())
    }

    /// A map's name as far as the kernel knows it; shapes of inner maps have none there.
    pub(crate) fn map_name(&self, id: MapId) -> &'a str {
        let Some(map) = self.spec.maps.get(id.0 as usize) else {
            return "";
        };
        cut(&map.name, MAP_NAME)
    }

    /// The types that a BTF id refers to.
    pub(crate) fn btf(&self, source: BtfSource) -> Option<&'a Btf> {
        match source {
            BtfSource::Kernel => self.facts.btf().map(AsRef::as_ref),
            BtfSource::Program => self.spec.btf.as_deref(),
        }
    }

    /// Name of a type, empty where there is none.
    pub(crate) fn type_name(&self, source: BtfSource, id: u32) -> &'a str {
        self.btf(source)
            .and_then(|btf| btf.ty(TypeId(id)).ok())
            .map_or("", |ty| ty.name())
    }

    /// Name of a member of a structure in the kernel's BTF.
    pub(crate) fn member_name(&self, id: u32, index: u32) -> &'a str {
        self.btf(BtfSource::Kernel)
            .and_then(|btf| btf.ty(TypeId(id)).ok()?.as_composite())
            .and_then(|structure| structure.members.get(index as usize))
            .map_or("", |member| member.name())
    }

    /// What an iterator iterates over, by its structure in the kernel's BTF (`iter_type_str`).
    pub(crate) fn iter_name(&self, id: u32) -> &'a str {
        let name = self.type_name(BtfSource::Kernel, id);
        name.strip_prefix("bpf_iter_").unwrap_or("<invalid>")
    }

    /// Name of a function by its first slot, empty where function info gives none.
    pub(crate) fn func_name(&self, start: InsnIdx) -> &'a str {
        let info = &self.spec.func_info;
        let Ok(index) = info.binary_search_by_key(&start, |f| f.insn_off as usize) else {
            return "";
        };
        self.type_name(BtfSource::Program, info[index].type_id)
    }

    /// The text of a slot without opcode, in the kernel's style.
    pub(crate) fn insn(&self, idx: InsnIdx) -> String {
        match kernel_text(&self.spec.insns, idx, self) {
            Some(text) => text.without_opcode().to_string(),
            None => String::new(),
        }
    }

    /// Appends the text of a slot with its opcode, as the kernel's log has it.
    pub(crate) fn push_insn(&self, out: &mut String, idx: InsnIdx) {
        if let Some(text) = kernel_text(&self.spec.insns, idx, self) {
            let _ = write!(out, "{text}");
        }
    }

    /// A source line or path of the program's BTF, as far as anybody reads it; empty where there is
    /// none.
    pub(crate) fn string(&self, off: u32) -> &'a str {
        let btf = self.spec.btf.as_deref();
        btf.map_or("", |btf| string_up_to(btf, off, MAX_TEXT))
    }
}

impl Names for Scene<'_> {
    fn helper(&self, id: i32) -> Option<&str> {
        self.facts.helper_name(u32::try_from(id).ok()?)
    }

    fn kfunc(&self, id: i32, btf_idx: i16) -> Option<&str> {
        if btf_idx != 0 {
            return None;
        }
        let name = self.type_name(BtfSource::Kernel, u32::try_from(id).ok()?);
        (!name.is_empty()).then_some(name)
    }

    /// The kernel prints addresses of its own here, which nobody can know or use; the map's name says
    /// more.
    fn imm64(&self, first: RawInsn, value: u64) -> Option<String> {
        let (low, high) = (value as u32, (value >> 32) as u32);
        let map = self.map_name(MapId(low));
        match first.src() {
            pseudo::MAP_FD | pseudo::MAP_IDX => Some(format!("map[{map}]")),
            pseudo::MAP_VALUE | pseudo::MAP_IDX_VALUE => Some(format!("map[{map}][0]+{high}")),
            pseudo::BTF_ID => {
                let name = self.type_name(BtfSource::Kernel, low);
                (!name.is_empty()).then(|| format!("<{name}>"))
            }
            _ => None,
        }
    }
}
