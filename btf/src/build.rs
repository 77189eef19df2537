//! The writer: types are appended one by one and get ascending ids.
//!
//! A type may refer to ids that do not exist yet ([`BtfBuilder::next_id`] tells them); parsing the
//! result proves that all exist. Strings are stored once. Lists longer than 65,535 elements, which
//! BTF cannot express, are cut.

use crate::btf::Btf;
use crate::bytes::{Endian, MAGIC};
use crate::kinds::{FuncLinkage, IntEncoding, Kind, TypeId, VarLinkage};
use crate::types::VarSecInfo;
use rustc_hash::FxHashMap;

/// Builds BTF.
#[derive(Debug, Clone)]
pub struct BtfBuilder {
    endian: Endian,
    types: Vec<u8>,
    /// Where each type begins in `types`.
    offsets: Vec<usize>,
    strings: Vec<u8>,
    known: FxHashMap<Vec<u8>, u32>,
    /// Whether `known` holds all of `strings`; a copy of a large BTF rarely needs it.
    indexed: bool,
    /// First own id and string offset (not 1 and 0 for split BTF).
    start: u32,
    string_start: u32,
}

impl Default for BtfBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BtfBuilder {
    /// An empty little-endian BTF.
    pub fn new() -> Self {
        Self::with_endian(Endian::Little)
    }

    /// An empty BTF of this byte order.
    pub fn with_endian(endian: Endian) -> Self {
        BtfBuilder {
            endian,
            types: Vec::new(),
            offsets: Vec::new(),
            strings: vec![0],
            known: FxHashMap::default(),
            indexed: true,
            start: 1,
            string_start: 0,
        }
    }

    /// An empty BTF whose ids and strings continue those of `base`; parse the result with
    /// [`Btf::parse_split`].
    pub fn split(base: &Btf) -> Self {
        BtfBuilder {
            start: base.end(),
            string_start: base.string_end(),
            ..Self::with_endian(base.endian())
        }
    }

    /// A copy of `btf` (without its base) to append to or to correct: ids and string offsets stay.
    pub fn from_btf(btf: &Btf) -> Self {
        let ids = btf.ids();
        let first = btf.record_at(0).unwrap_or(0);
        let end = ids
            .len()
            .checked_sub(1)
            .and_then(|i| btf.record_at(i))
            .map_or(first, |at| {
                let info = btf.word(at + 4);
                let kind = Kind::from_raw((info >> 24 & 0x1f) as u8).unwrap_or(Kind::Void);
                at + 12 + kind.extra_len(info & 0xffff) as usize
            });
        BtfBuilder {
            endian: btf.endian(),
            types: btf.bytes().get(first..end).unwrap_or(&[]).to_vec(),
            offsets: (0..ids.len())
                .filter_map(|i| btf.record_at(i))
                .map(|at| at - first)
                .collect(),
            strings: btf.string_bytes().to_vec(),
            known: FxHashMap::default(),
            indexed: false,
            start: btf.start(),
            string_start: btf.end_of_base_strings(),
        }
    }

    /// The id that the next type will get.
    pub fn next_id(&self) -> TypeId {
        TypeId(self.start + self.offsets.len() as u32)
    }

    /// The offset of this string, which is added if it is new. A NUL byte ends it early.
    pub fn string(&mut self, text: &str) -> u32 {
        let bytes = text.split('\0').next().unwrap_or("").as_bytes();
        if bytes.is_empty() {
            return 0;
        }
        self.index_strings();
        if let Some(off) = self.known.get(bytes) {
            return *off;
        }
        let off = self.string_start + self.strings.len() as u32;
        self.strings.extend_from_slice(bytes);
        self.strings.push(0);
        self.known.insert(bytes.to_vec(), off);
        off
    }

    fn index_strings(&mut self) {
        if self.indexed {
            return;
        }
        self.indexed = true;
        let mut off = self.string_start;
        for text in self.strings.split(|b| *b == 0) {
            self.known.entry(text.to_vec()).or_insert(off);
            off += text.len() as u32 + 1;
        }
    }

    fn put(&mut self, word: u32) {
        self.types.extend_from_slice(&self.endian.put_u32(word));
    }

    fn record(&mut self, kind: Kind, name: &str, vlen: usize, kflag: bool, word: u32) -> TypeId {
        let id = self.next_id();
        let name = self.string(name);
        self.offsets.push(self.types.len());
        self.put(name);
        let vlen = vlen.min(0xffff) as u32;
        self.put(u32::from(kflag) << 31 | u32::from(kind as u8) << 24 | vlen);
        self.put(word);
        id
    }

    /// Appends a record of words as they are.
    pub(crate) fn record_of(&mut self, words: impl Iterator<Item = u32>) -> TypeId {
        let id = self.next_id();
        self.offsets.push(self.types.len());
        words.for_each(|word| self.put(word));
        id
    }

    /// An integer of `size` bytes.
    pub fn int(&mut self, name: &str, size: u32, encoding: IntEncoding) -> TypeId {
        let id = self.record(Kind::Int, name, 0, false, size);
        self.put(u32::from(encoding.0) << 24 | (size * 8).min(255));
        id
    }

    /// A pointer.
    pub fn ptr(&mut self, to: TypeId) -> TypeId {
        self.record(Kind::Ptr, "", 0, false, to.0)
    }

    /// An array of `nelems` elements.
    pub fn array(&mut self, elem: TypeId, index: TypeId, nelems: u32) -> TypeId {
        let id = self.record(Kind::Array, "", 0, false, 0);
        for word in [elem.0, index.0, nelems] {
            self.put(word);
        }
        id
    }

    /// A struct; members as (name, type, offset in bits, width in bits or 0).
    pub fn structure(
        &mut self,
        name: &str,
        size: u32,
        members: &[(&str, TypeId, u32, u8)],
    ) -> TypeId {
        self.composite(Kind::Struct, name, size, members)
    }

    /// A union; members as in [`BtfBuilder::structure`].
    pub fn union(&mut self, name: &str, size: u32, members: &[(&str, TypeId, u32, u8)]) -> TypeId {
        self.composite(Kind::Union, name, size, members)
    }

    fn composite(
        &mut self,
        kind: Kind,
        name: &str,
        size: u32,
        members: &[(&str, TypeId, u32, u8)],
    ) -> TypeId {
        let kflag = members.iter().any(|m| m.3 != 0);
        let id = self.record(kind, name, members.len(), kflag, size);
        for (name, ty, bit_offset, width) in members.iter().take(0xffff) {
            let name = self.string(name);
            let offset = if kflag {
                u32::from(*width) << 24 | bit_offset & 0x00ff_ffff
            } else {
                *bit_offset
            };
            for word in [name, ty.0, offset] {
                self.put(word);
            }
        }
        id
    }

    /// An enumeration of `size` bytes (at most 4); the values are cut to 32 bits.
    pub fn enumeration(
        &mut self,
        name: &str,
        size: u32,
        signed: bool,
        values: &[(&str, i64)],
    ) -> TypeId {
        let id = self.record(Kind::Enum, name, values.len(), signed, size);
        for (name, value) in values.iter().take(0xffff) {
            let name = self.string(name);
            self.put(name);
            self.put(*value as u32);
        }
        id
    }

    /// An enumeration with 64-bit values.
    pub fn enumeration64(
        &mut self,
        name: &str,
        size: u32,
        signed: bool,
        values: &[(&str, u64)],
    ) -> TypeId {
        let id = self.record(Kind::Enum64, name, values.len(), signed, size);
        for (name, value) in values.iter().take(0xffff) {
            let name = self.string(name);
            for word in [name, *value as u32, (*value >> 32) as u32] {
                self.put(word);
            }
        }
        id
    }

    /// A forward declaration.
    pub fn fwd(&mut self, name: &str, is_union: bool) -> TypeId {
        self.record(Kind::Fwd, name, 0, is_union, 0)
    }

    /// A typedef.
    pub fn typedef(&mut self, name: &str, of: TypeId) -> TypeId {
        self.record(Kind::Typedef, name, 0, false, of.0)
    }

    /// `volatile`.
    pub fn volatile(&mut self, of: TypeId) -> TypeId {
        self.record(Kind::Volatile, "", 0, false, of.0)
    }

    /// `const`.
    pub fn constant(&mut self, of: TypeId) -> TypeId {
        self.record(Kind::Const, "", 0, false, of.0)
    }

    /// `restrict`.
    pub fn restrict(&mut self, of: TypeId) -> TypeId {
        self.record(Kind::Restrict, "", 0, false, of.0)
    }

    /// A function with its prototype.
    pub fn func(&mut self, name: &str, proto: TypeId, linkage: FuncLinkage) -> TypeId {
        self.record(Kind::Func, name, usize::from(linkage.raw()), false, proto.0)
    }

    /// A function prototype; parameters as (name, type), `("", VOID)` last for `...`.
    pub fn func_proto(&mut self, ret: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let id = self.record(Kind::FuncProto, "", params.len(), false, ret.0);
        for (name, ty) in params.iter().take(0xffff) {
            let name = self.string(name);
            self.put(name);
            self.put(ty.0);
        }
        id
    }

    /// A variable.
    pub fn var(&mut self, name: &str, ty: TypeId, linkage: VarLinkage) -> TypeId {
        let id = self.record(Kind::Var, name, 0, false, ty.0);
        self.put(linkage.raw());
        id
    }

    /// A section of variables.
    pub fn datasec(&mut self, name: &str, size: u32, vars: &[VarSecInfo]) -> TypeId {
        let id = self.record(Kind::DataSec, name, vars.len(), false, size);
        for var in vars.iter().take(0xffff) {
            for word in [var.ty.0, var.offset, var.size] {
                self.put(word);
            }
        }
        id
    }

    /// A floating point type of `size` bytes.
    pub fn float(&mut self, name: &str, size: u32) -> TypeId {
        self.record(Kind::Float, name, 0, false, size)
    }

    /// A declaration tag of a type, or of one of its members or parameters.
    pub fn decl_tag(&mut self, text: &str, of: TypeId, component: Option<u32>) -> TypeId {
        let id = self.record(Kind::DeclTag, text, 0, false, of.0);
        self.put(component.unwrap_or(u32::MAX));
        id
    }

    /// A type tag.
    pub fn type_tag(&mut self, text: &str, of: TypeId) -> TypeId {
        self.record(Kind::TypeTag, text, 0, false, of.0)
    }

    fn set(&mut self, at: usize, word: u32) {
        if let Some(slot) = self.types.get_mut(at..at + 4) {
            slot.copy_from_slice(&self.endian.put_u32(word));
        }
    }

    fn own(&self, id: TypeId, kind: Kind) -> Option<(usize, u32)> {
        let index = id.0.checked_sub(self.start)? as usize;
        let at = *self.offsets.get(index)?;
        let info = self.endian.u32(&self.types, at + 4)?;
        ((info >> 24 & 0x1f) == u32::from(kind as u8)).then_some((at, info))
    }

    /// Fills in a section's size and its variables' places (as many as it has); `false` if `id`
    /// is not a section.
    pub fn set_datasec(&mut self, id: TypeId, size: u32, vars: &[VarSecInfo]) -> bool {
        let Some((at, info)) = self.own(id, Kind::DataSec) else {
            return false;
        };
        self.set(at + 8, size);
        for (i, var) in vars.iter().take((info & 0xffff) as usize).enumerate() {
            let entry = at + 12 + 12 * i;
            self.set(entry, var.ty.0);
            self.set(entry + 4, var.offset);
            self.set(entry + 8, var.size);
        }
        true
    }

    /// Changes a function's linkage; `false` if `id` is not a function.
    pub fn set_func_linkage(&mut self, id: TypeId, linkage: FuncLinkage) -> bool {
        let Some((at, info)) = self.own(id, Kind::Func) else {
            return false;
        };
        self.set(at + 4, info & 0xffff_0000 | u32::from(linkage.raw()));
        true
    }

    /// Changes a function's prototype; `false` if `id` is not a function.
    pub fn set_func_proto(&mut self, id: TypeId, proto: TypeId) -> bool {
        let Some((at, _)) = self.own(id, Kind::Func) else {
            return false;
        };
        self.set(at + 8, proto.0);
        true
    }

    /// Names a parameter of a function prototype; `false` if there is no such parameter.
    pub fn set_param_name(&mut self, id: TypeId, index: usize, name: &str) -> bool {
        let Some((at, info)) = self.own(id, Kind::FuncProto) else {
            return false;
        };
        if index >= (info & 0xffff) as usize {
            return false;
        }
        let name = self.string(name);
        self.set(at + 12 + 8 * index, name);
        true
    }

    /// Changes a variable's type and linkage; `false` if `id` is not a variable.
    pub fn set_var(&mut self, id: TypeId, ty: TypeId, linkage: VarLinkage) -> bool {
        let Some((at, _)) = self.own(id, Kind::Var) else {
            return false;
        };
        self.set(at + 8, ty.0);
        self.set(at + 12, linkage.raw());
        true
    }

    /// The BTF as bytes: header, types, strings.
    pub fn to_bytes(&self) -> Vec<u8> {
        let e = self.endian;
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut out = Vec::with_capacity(24 + self.types.len() + self.strings.len());
        out.extend_from_slice(&e.put_u16(MAGIC));
        out.extend_from_slice(&[1, 0]);
        for word in [24, 0, types, types, strings] {
            out.extend_from_slice(&e.put_u32(word));
        }
        out.extend_from_slice(&self.types);
        out.extend_from_slice(&self.strings);
        out
    }
}
