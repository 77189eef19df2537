//! Maps: lookups with and without their null check, values at fixed and variable offsets, constants.

use skep_isa::{Imm64, Insn, JmpOp, Operand, Reg, Size, Width};
use skep_spec::{MapFlags, MapSpec, MapType};

use super::body::Body;
use super::model::{MemKind, Val};
use crate::catalogue::{DATA, RODATA};

/// Types whose values programs look up.
const LOOKUP: [MapType; 9] = [
    MapType::Array,
    MapType::Hash,
    MapType::PercpuArray,
    MapType::PercpuHash,
    MapType::LruHash,
    MapType::LruPercpuHash,
    MapType::LpmTrie,
    MapType::ArrayOfMaps,
    MapType::HashOfMaps,
];

fn value_kind(map: &MapSpec) -> MemKind {
    MemKind::Value {
        writable: !map.flags.contains(MapFlags::RDONLY_PROG),
        readable: !map.flags.contains(MapFlags::WRONLY_PROG),
    }
}

impl Body<'_> {
    fn lookup_map(&mut self) -> usize {
        if !self.maps.is_empty() && self.rng.chance(40) {
            let known = self.maps.clone();
            if let Some(at) = self.rng.choose(&known)
                && self
                    .cat
                    .maps
                    .get(*at)
                    .is_some_and(|map| LOOKUP.contains(&map.ty))
            {
                return *at;
            }
        }
        if self.rng.chance(60) {
            return self.rng.index(5);
        }
        let maps = self.cat.maps_of(&LOOKUP);
        self.rng.choose(&maps).copied().unwrap_or(0)
    }

    /// The value of a map, by lookup or directly.
    pub(super) fn step_map(&mut self) {
        if self.rng.chance(22) {
            let dst = self.free();
            self.direct_value(dst);
            return;
        }
        if self.protect & 0x3f != 0 {
            return;
        }
        let map = if self.fault(3) {
            let all = self.cat.maps.len();
            self.rng.index(all)
        } else {
            self.lookup_map()
        };
        self.lookup(map);
    }

    /// `dst = map_value[map]+off ll`.
    pub(super) fn direct_value(&mut self, dst: Reg) {
        let map = self.rng.pick([RODATA, RODATA, DATA, 1, 0]);
        let Some(spec) = self.cat.maps.get(map).cloned() else {
            return;
        };
        let len = spec.value_size;
        let off = if self.rng.chance(50) {
            0
        } else {
            self.rng.below(len.into()) as u32 & !3
        };
        let off = if self.fault(5) {
            len + self.rng.below(2) as u32
        } else {
            off
        };
        let index = self.map_index(map);
        self.left -= 1;
        self.emit(Insn::LoadImm64 {
            dst,
            imm: Imm64::MapValue { map: index, off },
        });
        let id = self.id();
        let (lo, hi) = (off as i32, off as i32);
        let kind = value_kind(&spec);
        self.model.set(
            dst,
            Val::Mem {
                kind,
                id,
                lo,
                hi,
                len,
                null: false,
            },
        );
    }

    /// Looks a value up and mostly checks it for NULL.
    pub(super) fn lookup(&mut self, map: usize) {
        let Some(spec) = self.cat.maps.get(map).cloned() else {
            return;
        };
        self.save_pointers();
        self.key_argument(Reg::R2, &spec);
        self.load_map(Reg::R1, map);
        let id = self.id();
        let inner = spec.inner.as_deref();
        let val = Val::Mem {
            kind: value_kind(&spec),
            id,
            lo: 0,
            hi: 0,
            len: spec.value_size,
            null: true,
        };
        let Some(inner) = inner else {
            self.call_helper(1, val);
            self.check_null(id, Reg::R0);
            return;
        };
        self.call_helper(1, Val::Other);
        let fail = self.fail;
        if !self.fault(15) {
            self.jump(JmpOp::Eq, Width::W64, Reg::R0, 0.into(), fail);
        }
        let saved = self.free_saved();
        let Some(saved) = saved else { return };
        self.mov(saved, Reg::R0);
        self.key_argument(Reg::R2, inner);
        self.mov(Reg::R1, saved);
        let kind = value_kind(inner);
        let val = Val::Mem {
            kind,
            id,
            lo: 0,
            hi: 0,
            len: inner.value_size,
            null: true,
        };
        self.call_helper(1, val);
        self.check_null(id, Reg::R0);
    }

    /// Copies a pointer that may be NULL, checks one of the copies, in one of the ways.
    pub(super) fn check_null(&mut self, id: u32, reg: Reg) {
        let reg = if self.rng.chance(60) {
            self.keep(reg)
        } else {
            reg
        };
        let copy = if self.rng.chance(20) {
            let before = self.guard(&[reg]);
            let copy = self.free();
            self.protect = before;
            self.mov(copy, reg);
            copy
        } else if self.rng.chance(10) {
            self.spill(reg);
            reg
        } else {
            reg
        };
        let early = self.rng.chance(4);
        if early {
            // Moving it before the check is refused.
            if self.fault(50) {
                self.add_imm(reg, 4);
            }
        }
        if self.fault(7) {
            self.model.not_null(id);
            return;
        }
        let fail = self.fail;
        let width = if self.fault(2) {
            Width::W32
        } else {
            Width::W64
        };
        match self.rng.below(12) {
            0..=7 => self.jump(JmpOp::Eq, width, copy, 0.into(), fail),
            8 | 9 => self.unless(JmpOp::Ne, width, copy, 0.into()),
            10 => {
                let zero = self.free();
                if zero == copy || zero == reg {
                    self.jump(JmpOp::Eq, width, copy, 0.into(), fail);
                } else {
                    self.mov_imm(zero, 0);
                    self.jump(JmpOp::Eq, width, copy, Operand::Reg(zero), fail);
                }
            }
            _ => {
                let op = self
                    .rng
                    .pick([JmpOp::Gt, JmpOp::Lt, JmpOp::SGt, JmpOp::Set]);
                let imm = self.rng.pick([0, 1, -1]);
                self.jump(op, width, copy, imm.into(), fail);
                self.jump(JmpOp::Eq, Width::W64, copy, 0.into(), fail);
            }
        }
        self.model.not_null(id);
    }

    /// `dst` points to a key of a map.
    pub(super) fn key_argument(&mut self, dst: Reg, map: &MapSpec) {
        let len = map.key_size;
        if len == 0 {
            self.frame_address(dst, -8);
            return;
        }
        let before = self.protect;
        let off = self.buffer(len, len > 4);
        if len == 4 {
            // A key that is known and in range makes a lookup in an array never fail.
            if self.rng.chance(55) {
                let entries = i64::from(map.max_entries.max(1));
                let inside = i64::from(self.rng.chance(85));
                let index = self.rng.range(0, entries - inside);
                self.store(Size::W, Reg::FP, off, (index as i32).into());
            } else {
                let num = self.steady_number();
                self.store(Size::W, Reg::FP, off, num.into());
            }
        }
        self.protect = before;
        let off = if self.fault(3) {
            off + self.rng.pick([8, 4, 1, 512])
        } else {
            off
        };
        self.frame_address(dst, off);
    }

    /// A loop bound or offset that is a constant of a frozen map.
    pub(super) fn constant_of_map(&mut self) -> Reg {
        let base = self.free();
        let index = self.map_index(RODATA);
        self.left -= 1;
        self.emit(Insn::LoadImm64 {
            dst: base,
            imm: Imm64::MapValue { map: index, off: 0 },
        });
        self.model.set(base, Val::Other);
        let (at, value) = self.rng.pick([(0, 0), (8, 1), (16, 7), (24, 15), (32, 63)]);
        let (size, off) = self
            .rng
            .pick([(Size::DW, 0), (Size::W, 0), (Size::B, 0), (Size::H, 0)]);
        self.load(size, base, base, at + off, Val::known(value));
        base
    }
}
