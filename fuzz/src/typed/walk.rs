//! Reading through pointers: arguments, members of kernel structures and sockets, map values; null
//! checks; stores where they may and may not go.

use skep_btf::{Type, TypeId};
use skep_isa::{AluOp, AtomicOp, JmpOp, Reg, Size};

use super::arg::{arg_value, pointee};
use super::model::{HOMES, SockKind, Trust, Val};
use super::stock::{KPTR_AT, KPTRS, KPTRS_HASH};
use super::writer::Writer;

const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

/// Members that the kernel vouches for, or that lead to something interesting.
const KNOWN: [&str; 22] = [
    "real_parent",
    "group_leader",
    "parent",
    "cgroups",
    "cpus_ptr",
    "user_cpus_ptr",
    "last_wakee",
    "dfl_cgrp",
    "mm",
    "files",
    "f_inode",
    "f_path",
    "d_inode",
    "d_parent",
    "sk",
    "vm_mm",
    "vm_file",
    "exe_file",
    "kn",
    "self",
    "ancestors",
    "nsproxy",
];

/// Bytes of what the helper types of sockets have.
const SOCK_FIELDS: [(i16, Size); 12] = [
    (0, Size::W),
    (4, Size::W),
    (8, Size::W),
    (12, Size::W),
    (24, Size::W),
    (28, Size::W),
    (44, Size::W),
    (48, Size::H),
    (72, Size::W),
    (76, Size::W),
    (50, Size::H),
    (5, Size::B),
];

/// A place in a structure.
#[derive(Clone, Copy, Debug)]
struct Spot {
    off: u32,
    size: u32,
    /// The structure that it points to, 0 if none.
    to: TypeId,
}

impl Writer<'_> {
    pub(super) fn step_arg(&mut self) {
        let args = self.args.clone();
        let Some(arg) = self.rng.choose(&args).copied() else {
            return;
        };
        let Some(ctx) = self.find(|val| val == Val::Ctx) else {
            return;
        };
        let mut off = arg.off;
        let mut size = Size::DW;
        if self.fault(6) {
            off += self.rng.pick([8, 4, -8, 1, 96]);
        } else if self.fault(4) {
            size = self.rng.pick(SIZES);
        }
        self.out.load(size, Reg::R1, HOMES[ctx], off);
        let val = arg_value(self, arg);
        self.keep(Reg::R1, val);
    }

    pub(super) fn step_walk(&mut self) {
        let fits = |val| {
            matches!(
                val,
                Val::Btf { .. }
                    | Val::Sock { .. }
                    | Val::Value { .. }
                    | Val::Record { .. }
                    | Val::Mem { .. }
            )
        };
        let Some(at) = self.find(fits) else {
            return self.step_arg();
        };
        let val = self.model.regs[at];
        // Pointers of unknown trust may be null and be read all the same; others are checked first.
        if val.may_be_null() && !self.fault(15) {
            return self.check(at);
        }
        match val {
            Val::Btf { ty, trust, .. } => self.walk(at, ty, trust),
            Val::Sock { kind, .. } => self.read_socket(at, kind),
            Val::Value { .. } | Val::Record { .. } | Val::Mem { .. } => self.read_memory(at, val),
            Val::Nothing | Val::Num | Val::Ctx | Val::Stale => {}
        }
    }

    fn walk(&mut self, at: usize, ty: TypeId, trust: Trust) {
        let Some(spot) = self.spot(ty) else { return };
        let mut off = spot.off as i32;
        let mut size = match spot.size {
            1 => Size::B,
            2 => Size::H,
            4 => Size::W,
            _ => Size::DW,
        };
        let mut val = if spot.to.0 == 0 {
            Val::Num
        } else {
            let trust = if trust == Trust::Loose {
                Trust::Loose
            } else {
                Trust::Rcu
            };
            Val::Btf {
                ty: spot.to,
                trust,
                null: false,
                held: 0,
            }
        };
        if self.fault(5) {
            off += self.rng.pick([1, -1, 2, 4, 8, -8]);
            val = Val::Num;
        } else if self.fault(4) || self.rng.chance(4) {
            size = self.rng.pick(SIZES);
            val = Val::Num;
        } else if self.fault(2) {
            off = self
                .rng
                .pick([-8, i32::from(i16::MAX), spot.off as i32 + 4096]);
        }
        let Ok(off) = i16::try_from(off) else { return };
        let base = HOMES[at];
        if self.rng.chance(10) {
            self.out
                .mov(Reg::R1, base)
                .alu(AluOp::Add, Reg::R1, i32::from(off));
            self.out.load(size, Reg::R1, Reg::R1, 0);
        } else if self.fault(2) {
            let num = self.number();
            self.out.mov(Reg::R1, base).alu(AluOp::Add, Reg::R1, num);
            self.out.load(size, Reg::R1, Reg::R1, off);
        } else if self.rng.chance(4) && size != Size::DW {
            self.out.load_sx(size, Reg::R1, base, off);
        } else {
            self.out.load(size, Reg::R1, base, off);
        }
        self.keep(Reg::R1, val);
    }

    /// A place in a structure, rather one that leads on.
    fn spot(&mut self, ty: TypeId) -> Option<Spot> {
        let kernel = self.stock.kernel.clone();
        if self.rng.chance(35) {
            for _ in 0..6 {
                let name = self.rng.pick(KNOWN);
                if let Ok(Some(field)) = kernel.member(ty, name) {
                    let off = u32::try_from(field.bit_offset / 8).ok()?;
                    return self.leaf(field.member.ty, off, 4);
                }
            }
        }
        let mut found = None;
        for _ in 0..5 {
            found = self.leaf(ty, 0, 8);
            let leads_on = found.is_some_and(|spot| spot.to.0 != 0);
            if leads_on || self.rng.chance(30) {
                break;
            }
        }
        found
    }

    /// A place in a type, at that offset.
    fn leaf(&mut self, ty: TypeId, off: u32, depth: u32) -> Option<Spot> {
        let kernel = self.stock.kernel.clone();
        let (id, ty) = kernel.resolve(ty).ok()?;
        let depth = depth.checked_sub(1)?;
        match ty {
            Type::Struct(composite) | Type::Union(composite) => {
                let at = self.rng.index(composite.members.len());
                let member = composite.members.get(at)?;
                self.leaf(member.ty, off.checked_add(member.offset())?, depth)
            }
            Type::Array(array) => {
                let size = kernel.size_of(array.elem).ok()?;
                // One behind the last, at times; flexible arrays have none.
                let count = u64::from(array.nelems.min(64)) + u64::from(self.rng.chance(3));
                let at = self.rng.below(count.max(1)) as u32;
                self.leaf(array.elem, off.checked_add(size.checked_mul(at)?)?, depth)
            }
            Type::Ptr(_) => Some(Spot {
                off,
                size: 8,
                to: pointee(self.stock, id),
            }),
            _ => Some(Spot {
                off,
                size: kernel.size_of(id).ok()?,
                to: TypeId(0),
            }),
        }
    }

    fn read_socket(&mut self, at: usize, kind: SockKind) {
        let (mut off, mut size) = self.rng.pick(SOCK_FIELDS);
        if kind == SockKind::Common && !self.fault(10) {
            (off, size) = self
                .rng
                .pick([(4, Size::W), (8, Size::W), (12, Size::W), (24, Size::W)]);
        } else if kind == SockKind::Tcp && self.rng.chance(50) {
            off = self.rng.pick([0, 4, 8, 12, 16, 96, 104]);
            size = if off >= 96 { Size::DW } else { Size::W };
        }
        if self.fault(8) {
            off += self.rng.pick([1, 2, 200]);
        }
        self.out.load(size, Reg::R1, HOMES[at], off);
        self.keep(Reg::R1, Val::Num);
    }

    fn read_memory(&mut self, at: usize, val: Val) {
        let Some((off, size)) = self.memory_spot(val) else {
            return;
        };
        self.out.load(size, Reg::R1, HOMES[at], off);
        self.keep(Reg::R1, Val::Num);
    }

    /// A place in plain memory.
    fn memory_spot(&mut self, val: Val) -> Option<(i16, Size)> {
        let bytes = match val {
            Val::Value { map, .. } => self.stock.maps.get(map)?.value_size as i32,
            Val::Record { size, .. } | Val::Mem { size, .. } => size,
            _ => return None,
        };
        let size = self.rng.pick(SIZES);
        let mut off =
            self.rng
                .range(0, (i64::from(bytes) - i64::from(size.bytes())).max(0)) as i32;
        off -= off % size.bytes() as i32;
        // Rather not where special fields lie: those of 24 and 32 bytes have them in the middle.
        if let Val::Value { .. } = val {
            match bytes {
                24 | 32 if !self.fault(8) => off = self.rng.pick([0, bytes - 8]),
                40 if !self.fault(8) => off = 32,
                _ => {}
            }
        }
        if self.fault(6) {
            off = self.rng.pick([bytes, bytes - 1, -1, -8]);
        }
        Some((off as i16, size))
    }

    pub(super) fn step_store(&mut self) {
        let memory = |val| {
            matches!(
                val,
                Val::Value { .. } | Val::Record { .. } | Val::Mem { .. }
            )
        };
        let at = if self.fault(8) {
            self.any()
        } else {
            self.find(memory)
        };
        let Some(at) = at else { return };
        let val = self.model.regs[at];
        if val.may_be_null() && !self.fault(15) {
            return self.check(at);
        }
        let (off, size) = self.memory_spot(val).unwrap_or((0, Size::DW));
        match self.rng.below(4) {
            0 => {
                self.out.store(size, HOMES[at], off, 1);
            }
            1 => {
                let num = self.number();
                self.out.store(size, HOMES[at], off, num);
            }
            2 if size.bytes() >= 4 => {
                self.out.mov(Reg::R1, 1);
                self.out
                    .atomic(AtomicOp::Add, size, HOMES[at], off, Reg::R1);
            }
            _ => {
                let fields =
                    matches!(val, Val::Value { map, .. } if [KPTRS, KPTRS_HASH].contains(&map));
                let src = if fields {
                    self.find(|val| matches!(val, Val::Btf { .. } | Val::Num))
                } else {
                    self.any()
                };
                let src = match src {
                    Some(src) => HOMES[src],
                    None if fields => return,
                    None => Reg::FP,
                };
                // Making room for it may have taken the base's register.
                if self.model.regs[at] == val {
                    self.out.store(Size::DW, HOMES[at], off & !7, src);
                }
            }
        }
    }

    pub(super) fn step_check(&mut self) {
        let at = self.find(Val::may_be_null);
        let at = if at.is_none() && self.rng.chance(30) {
            self.any()
        } else {
            at
        };
        if let Some(at) = at {
            self.check(at);
        }
    }

    /// Compares with null: the program ends there, or leaps over what uses the pointer.
    pub(super) fn check(&mut self, at: usize) {
        let val = self.model.regs[at];
        let (reg, id) = (HOMES[at], val.held());
        let good = val.not_null();
        let null_side = |model: &mut super::model::Model| {
            if id != 0 {
                model.forget(id);
            }
            model.regs[at] = Val::Num;
        };
        if self.nest < 3 && self.rng.chance(55) {
            let skip = self.label();
            let before = self.model.clone();
            if self.rng.chance(4) {
                self.out.jump32(JmpOp::Eq, reg, 0, skip);
            } else {
                self.out.jump(JmpOp::Eq, reg, 0, skip);
            }
            self.model.regs[at] = good;
            self.model.known(id);
            let held = self.model.held.len();
            let steps = self.rng.pick([1, 2, 3, 4]);
            self.nested(steps);
            if let Some(mine) = self
                .model
                .held
                .iter()
                .position(|held| id != 0 && held.id == id)
            {
                let mine = self.model.held[mine];
                if !self.fault(12) {
                    self.give_back(mine);
                } else {
                    self.model.forget(id);
                }
            }
            let _ = held;
            let mut other = before;
            null_side(&mut other);
            self.model.meet(&other);
            self.model.held = other.held;
            self.out.label(skip);
        } else {
            let go_on = self.label();
            self.out.jump(JmpOp::Ne, reg, 0, go_on);
            let before = self.model.clone();
            null_side(&mut self.model);
            self.end();
            self.model = before;
            self.out.label(go_on);
            self.model.regs[at] = good;
            self.model.known(id);
        }
    }

    /// A pointer out of a map's special field, or into it without a call.
    pub(super) fn read_kptr(&mut self, at: usize) {
        let (off, obj) = self.rng.pick(KPTR_AT);
        let (mut off, mut size) = (off, Size::DW);
        if self.fault(5) {
            off += self.rng.pick([4, 1, -4]);
        } else if self.fault(4) {
            size = self.rng.pick(SIZES);
        }
        self.out.load(size, Reg::R1, HOMES[at], off as i16);
        let Some(ty) = self.structure_of(obj) else {
            return;
        };
        let trust = if obj == super::model::Obj::UnrefTask {
            Trust::Loose
        } else {
            Trust::Rcu
        };
        self.keep(
            Reg::R1,
            Val::Btf {
                ty,
                trust,
                null: true,
                held: 0,
            },
        );
    }
}
