//! The types of all objects in one BTF, and the records that tie them to instructions.
//!
//! A variable or function that several objects know is the one of the object whose symbol won.
//! Sections list the variables of all objects at their new places.

use super::sections::JoinedSection;
use super::symbols::Symbols;
use super::{Input, JoinError};
use rustc_hash::FxHashMap;
use skep_btf::{
    Btf, BtfBuilder, BtfExtBuilder, CoreRelo, Error, FuncInfo, FuncLinkage, Kind, LineInfo, Type,
    TypeId, VarLinkage, VarSecInfo, dedup, types_are_compatible,
};

/// BTF and BTF.ext of the result.
pub(super) struct JoinedTypes {
    pub(super) btf: Vec<u8>,
    pub(super) ext: Option<Vec<u8>>,
}

/// Joins the types; `None` if no object has any.
pub(super) fn join(
    inputs: &[Input<'_>],
    symbols: &Symbols,
    sections: &[JoinedSection],
) -> Result<Option<JoinedTypes>, JoinError> {
    let Some(first) = inputs.iter().find_map(|i| i.btf.as_ref()) else {
        return Ok(None);
    };
    let mut all = Merge {
        inputs,
        symbols,
        out: BtfBuilder::with_endian(first.endian()),
        ids: Vec::new(),
    };
    all.number()?;
    all.copy();
    all.sections(sections);
    let damaged = |e: Error| JoinError {
        file: "the joined types".to_string(),
        why: e.to_string(),
    };
    let merged = Btf::parse(all.out.to_bytes()).map_err(damaged)?;
    let (small, new) = dedup(&merged).map_err(damaged)?;
    let map = |input: usize, id: TypeId| {
        let id = all.id(input, id);
        new.get(id.0 as usize).copied().unwrap_or(TypeId::VOID)
    };
    let mut out = BtfBuilder::from_btf(&small);
    let ext = records(inputs, &mut out, &map);
    Ok(Some(JoinedTypes {
        btf: out.to_bytes(),
        ext,
    }))
}

struct Merge<'a, 'd> {
    inputs: &'a [Input<'d>],
    symbols: &'a Symbols,
    out: BtfBuilder,
    /// The new id of each type, by input.
    ids: Vec<Vec<TypeId>>,
}

/// The variable or function of that name that other objects can see, and the type behind it.
fn visible(btf: &Btf, name: &str) -> Option<(TypeId, TypeId)> {
    btf.named(name).find_map(|id| {
        let ty = btf.ty(id).ok()?;
        let var = ty.as_var().filter(|v| v.linkage != VarLinkage::Static);
        let func = ty.as_func().filter(|f| f.linkage != FuncLinkage::Static);
        Some((id, var.map(|v| v.ty).or(func.map(|f| f.proto))?))
    })
}

impl Merge<'_, '_> {
    fn id(&self, input: usize, id: TypeId) -> TypeId {
        let ids = self.ids.get(input);
        let new = ids.and_then(|ids| ids.get(id.0 as usize)).copied();
        new.unwrap_or(TypeId::VOID)
    }

    /// The input and type that stand for a type; itself except for shared names.
    fn winner(&self, input: usize, btf: &Btf, id: TypeId) -> Result<(usize, TypeId), JoinError> {
        let itself = Ok((input, id));
        let Ok(ty @ (Type::Var(_) | Type::Func(_))) = btf.ty(id) else {
            return itself;
        };
        let Some((_, own_type)) = visible(btf, ty.name()).filter(|(own, _)| *own == id) else {
            return itself;
        };
        let symbol = self.symbols.globals.get(ty.name());
        let Some(symbol) = symbol.and_then(|s| self.symbols.list.get(*s)) else {
            return itself;
        };
        let Some(owner) = self
            .inputs
            .get(symbol.owner)
            .filter(|_| symbol.owner != input)
        else {
            return itself;
        };
        let Some(theirs) = &owner.btf else {
            return itself;
        };
        let Some((winner, their_type)) = visible(theirs, ty.name()) else {
            return itself;
        };
        let bare = |btf: &Btf, id| btf.skip_mods_and_typedefs(id).unwrap_or(id);
        let (own_bare, their_bare) = (bare(btf, own_type), bare(theirs, their_type));
        let same = types_are_compatible(btf, own_bare, theirs, their_bare);
        if !matches!(same, Ok(true)) {
            let name = ty.name();
            let why = format!(
                "`{}` is not what {} defines: `{}`",
                btf.declare(own_type, name),
                owner.file,
                theirs.declare(their_type, name)
            );
            return Err(self
                .inputs
                .get(input)
                .map_or_else(|| owner.error(why.clone()), |i| i.error(why.clone())));
        }
        Ok((symbol.owner, winner))
    }

    /// Gives every type its new id; sections come behind all others.
    fn number(&mut self) -> Result<(), JoinError> {
        let mut next = 1u32;
        let mut shared = Vec::new();
        for (index, input) in self.inputs.iter().enumerate() {
            let Some(btf) = &input.btf else {
                self.ids.push(Vec::new());
                continue;
            };
            let mut ids = vec![TypeId::VOID; btf.end() as usize];
            for id in btf.ids() {
                if btf.kind(id) == Some(Kind::DataSec) {
                    continue;
                }
                let winner = self.winner(index, btf, id)?;
                if winner != (index, id) {
                    shared.push((index, id, winner));
                    continue;
                }
                if let Some(slot) = ids.get_mut(id.0 as usize) {
                    *slot = TypeId(next);
                    next += 1;
                }
            }
            self.ids.push(ids);
        }
        for (index, id, (owner, winner)) in shared {
            let new = self.id(owner, winner);
            let slot = self
                .ids
                .get_mut(index)
                .and_then(|i| i.get_mut(id.0 as usize));
            if let Some(slot) = slot {
                *slot = new;
            }
        }
        Ok(())
    }

    /// Copies the types that stay, in the order of their new ids.
    fn copy(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        for (index, input) in self.inputs.iter().enumerate() {
            let Some(btf) = &input.btf else { continue };
            for id in btf.ids() {
                if self.id(index, id) == out.next_id() && btf.kind(id) != Some(Kind::DataSec) {
                    out.copy_type(btf, id, |id| self.id(index, id));
                }
            }
        }
        self.out = out;
    }

    /// The sections with the variables of all objects.
    fn sections(&mut self, sections: &[JoinedSection]) {
        let mut order: Vec<String> = Vec::new();
        let mut vars: FxHashMap<String, Vec<VarSecInfo>> = FxHashMap::default();
        for (index, input) in self.inputs.iter().enumerate() {
            let Some(btf) = &input.btf else { continue };
            for (_, ty) in btf.types() {
                let Some(section) = ty.as_datasec() else {
                    continue;
                };
                let name = section.name();
                if !vars.contains_key(name) {
                    order.push(name.to_string());
                }
                let list = vars.entry(name.to_string()).or_default();
                for entry in section.vars {
                    let new = self.id(index, entry.ty);
                    let is_known = list.iter().any(|v| v.ty == new);
                    if is_known || !self.is_own(index, btf, entry.ty) {
                        continue;
                    }
                    list.push(VarSecInfo {
                        ty: new,
                        offset: self.offset(input, btf, name, entry),
                        size: entry.size,
                    });
                }
            }
        }
        for name in order {
            let mut list = vars.remove(&name).unwrap_or_default();
            if list.is_empty() {
                continue;
            }
            list.sort_by_key(|v| v.offset);
            let size = sections.iter().find(|s| s.name == name);
            let size = size.and_then(|s| u32::try_from(s.size).ok()).unwrap_or(0);
            self.out.datasec(&name, size, &list);
        }
    }

    /// Whether the variable is this object's, or nobody else's.
    fn is_own(&self, index: usize, btf: &Btf, id: TypeId) -> bool {
        matches!(self.winner(index, btf, id), Ok(winner) if winner == (index, id))
    }

    /// A variable's place in the joined section.
    fn offset(&self, input: &Input<'_>, btf: &Btf, section: &str, entry: VarSecInfo) -> u32 {
        let name = btf.ty(entry.ty).map_or("", |ty| ty.name());
        let is_static =
            matches!(btf.ty(entry.ty), Ok(Type::Var(v)) if v.linkage == VarLinkage::Static);
        let symbol = self.symbols.globals.get(name).filter(|_| !is_static);
        if let Some(symbol) = symbol.and_then(|s| self.symbols.list.get(*s)) {
            return symbol.place.map_or(0, |(_, offset)| offset as u32);
        }
        // The compiler has filled in the places of static variables.
        let place = input
            .elf
            .section(section)
            .and_then(|(index, _)| input.places.get(index));
        let moved = place.copied().flatten().map_or(0, |place| place.offset);
        entry.offset.wrapping_add(moved as u32)
    }
}

/// Functions, lines and CO-RE relocations at their new places.
fn records(
    inputs: &[Input<'_>],
    out: &mut BtfBuilder,
    map: &dyn Fn(usize, TypeId) -> TypeId,
) -> Option<Vec<u8>> {
    let endian = inputs.iter().find_map(|i| i.btf.as_ref())?.endian();
    let mut ext = BtfExtBuilder::new(endian);
    let mut is_empty = true;
    for (index, input) in inputs.iter().enumerate() {
        let (Some(btf), Some(records)) = (&input.btf, &input.ext) else {
            continue;
        };
        let text = |off: u32| btf.string(off).unwrap_or("");
        // Where a section's code went; records of code that was left out are left out.
        let moved = |section: u32| {
            let (index, _) = input.elf.section(text(section))?;
            let place = input.places.get(index).copied().flatten()?;
            u32::try_from(place.offset).ok()
        };
        for group in &records.funcs {
            let Some(moved) = moved(group.section) else {
                continue;
            };
            let section = out.string(text(group.section));
            for record in &group.records {
                is_empty = false;
                ext.func(
                    section,
                    FuncInfo {
                        insn_off: record.insn_off.wrapping_add(moved),
                        ty: map(index, record.ty),
                    },
                );
            }
        }
        for group in &records.lines {
            let Some(moved) = moved(group.section) else {
                continue;
            };
            let section = out.string(text(group.section));
            for record in &group.records {
                is_empty = false;
                ext.line(
                    section,
                    LineInfo {
                        insn_off: record.insn_off.wrapping_add(moved),
                        file: out.string(text(record.file)),
                        text: out.string(text(record.text)),
                        line_col: record.line_col,
                    },
                );
            }
        }
        for group in &records.core_relos {
            let Some(moved) = moved(group.section) else {
                continue;
            };
            let section = out.string(text(group.section));
            for record in &group.records {
                is_empty = false;
                ext.core_relo(
                    section,
                    CoreRelo {
                        insn_off: record.insn_off.wrapping_add(moved),
                        ty: map(index, record.ty),
                        access: out.string(text(record.access)),
                        kind: record.kind,
                    },
                );
            }
        }
    }
    (!is_empty).then(|| ext.to_bytes())
}
