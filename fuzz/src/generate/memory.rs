//! Stack and other memory: spills and fills, partial overwrites, accesses at the border of what is
//! allowed, at fixed and variable offsets, atomic operations.

use skep_isa::{AluOp, AtomicOp, Insn, Operand, Reg, Size, Width};

use super::body::Body;
use super::model::{MemKind, Slot, Val};
use super::scalar::num_of;

impl Body<'_> {
    /// Offset of a whole slot to spill to; slots that hold pointers are spared.
    pub(super) fn spill_slot(&mut self) -> i32 {
        let slots = i64::from((self.stack / 8).max(1));
        let mut off = -8;
        for _ in 0..6 {
            off = -8 * self.rng.range(1, slots) as i32;
            if !self.is_kept(off) {
                break;
            }
        }
        off
    }

    /// `*(u64 *)(r10 - n) = reg`.
    pub(super) fn spill(&mut self, reg: Reg) {
        let off = self.spill_slot();
        self.store(Size::DW, Reg::FP, off, reg.into());
    }

    /// One instruction on the stack.
    pub(super) fn step_stack(&mut self) {
        match self.rng.below(12) {
            0..=2 => {
                if let Some(reg) = self.reg_with(Val::is_init) {
                    self.spill(reg);
                }
            }
            3..=5 => self.fill(),
            6 => self.store_imm(),
            7 => {
                let reg = self.number();
                let (size, off) = self.stack_place();
                self.store(size, Reg::FP, off, reg.into());
            }
            8 | 9 => {
                let (size, off) = self.stack_place();
                self.stack_load(size, off);
            }
            10 => self.stack_pointer_step(),
            _ => self.variable_stack(),
        }
    }

    fn fill(&mut self) {
        let off = -8 * self.rng.range(1, i64::from((self.stack / 8).max(1))) as i32;
        if let Slot::Spill(val) = self.model.slot(off)
            && (val.is_init() || self.fault(4))
        {
            let dst = self.free();
            self.load(Size::DW, dst, Reg::FP, off, val);
        } else {
            let found = self.fill_like(|val| val.is_init());
            if found.is_none()
                && let Some(reg) = self.reg_with(Val::is_init)
            {
                self.spill(reg);
            }
        }
    }

    fn store_imm(&mut self) {
        let imm = if self.rng.chance(50) { 0 } else { self.imm() };
        let (size, off) = self.stack_place();
        self.store(size, Reg::FP, off, imm.into());
    }

    /// A size and an aligned offset within the function's stack; parts of pointers are mostly spared.
    fn stack_place(&mut self) -> (Size, i32) {
        let (mut size, mut off) = (Size::DW, -8);
        for _ in 0..6 {
            size = self.size();
            let len = size.bytes() as i32;
            off = -len * self.rng.range(1, i64::from((self.stack / len).max(1))) as i32;
            if !self.is_kept(off) {
                break;
            }
        }
        if self.fault(4) {
            off = self.rng.pick([0, -513, -512, -516, -3, 8, off + 1, -520]);
        }
        (size, off)
    }

    fn stack_load(&mut self, size: Size, off: i32) {
        let dst = self.free();
        let val = match self.model.slot(off) {
            Slot::Spill(val) if size == Size::DW => val,
            Slot::Spill(val) if val.is_pointer() => return,
            Slot::Empty | Slot::Misc | Slot::Spill(_) => num_of(size),
        };
        if size != Size::DW && self.rng.chance(20) {
            self.emit(Insn::Load {
                size,
                sign: true,
                dst,
                base: Reg::FP,
                off: off as i16,
            });
            self.model.set(dst, Val::ANY);
        } else {
            self.load(size, dst, Reg::FP, off, val);
        }
    }

    /// A pointer into the stack in another register, for later steps.
    fn stack_pointer_step(&mut self) {
        let dst = self.free();
        let off = -8 * self.rng.range(1, i64::from((self.stack / 8).max(1))) as i32;
        self.mov(dst, Reg::FP);
        self.add_imm(dst, off);
    }

    /// Stack at an offset that is known only within bounds.
    fn variable_stack(&mut self) {
        let span = self.rng.pick([7u64, 8, 15, 16, 31]);
        if self.stack < span as i32 + 16 {
            return;
        }
        let num = self.bounded(span);
        let before = self.guard(&[num]);
        let base = self.free();
        if self.rng.chance(60) {
            self.alu(AluOp::And, Width::W64, num, 0x38.into());
        }
        self.mov(base, Reg::FP);
        self.alu(AluOp::Add, Width::W64, base, num.into());
        let room = i64::from(self.stack - span as i32);
        let down = -(self.rng.range(span as i64 + 8, span as i64 + room).max(8) as i32) & !7;
        self.model.set(
            base,
            Val::Stack {
                lo: 0,
                hi: span as i32,
            },
        );
        self.add_imm(base, down);
        self.protect = before | 1 << base.number();
        self.access(base);
        self.protect = before;
    }

    /// A buffer of `len` bytes on the stack, initialised if asked; its offset.
    pub(super) fn buffer(&mut self, len: u32, init: bool) -> i32 {
        let len = (len.max(1) as i32 + 7) & !7;
        if self.stack < len {
            self.stack = len.min(512);
        }
        let mut off = -len;
        for _ in 0..6 {
            off = -8
                * self
                    .rng
                    .range(i64::from(len / 8), i64::from(self.stack / 8)) as i32;
            let spared = (0..len / 8).any(|n| self.is_kept(off + 8 * n));
            if !spared {
                break;
            }
        }
        if init {
            for n in 0..len / 8 {
                if self.rng.chance(80) || self.model.slot(off + 8 * n) == Slot::Empty {
                    let imm = if self.rng.chance(60) { 0 } else { self.imm() };
                    self.store(Size::DW, Reg::FP, off + 8 * n, imm.into());
                }
            }
        }
        off
    }

    /// `dst = r10 + off`.
    pub(super) fn frame_address(&mut self, dst: Reg, off: i32) {
        self.mov(dst, Reg::FP);
        self.add_imm(dst, off);
    }

    /// Some pointer to memory is accessed.
    pub(super) fn step_memory(&mut self) {
        let Some(base) = self.pointer() else {
            return;
        };
        let before = self.guard(&[base]);
        if self.rng.chance(30) {
            let moved = self.walk(base);
            self.guard(&[moved]);
            self.access(moved);
        } else {
            self.access(base);
        }
        self.protect = before;
    }

    /// A register that points to accessible memory.
    pub(super) fn pointer(&mut self) -> Option<Reg> {
        let regs: Vec<Reg> = Reg::ALL
            .into_iter()
            .filter(|reg| *reg != Reg::FP && self.window(self.model.get(*reg)).is_some())
            .collect();
        self.rng.choose(&regs).copied()
    }

    /// A copy of a pointer at another place in the same memory.
    fn walk(&mut self, base: Reg) -> Reg {
        let val = self.model.get(base);
        let Some((from, to)) = self.window(val) else {
            return base;
        };
        let span = i64::from(to) - i64::from(from);
        let dst = self.free();
        if matches!(val, Val::Packet { .. }) || self.rng.chance(40) || span < 2 {
            let step = self.rng.range(from.into(), i64::from(to) - 1) as i32;
            self.mov(dst, base);
            self.add_imm(dst, step);
            return dst;
        }
        let max = self.rng.range(1, (i64::from(to) - 1).clamp(1, 4096)) as u64;
        let before = self.guard(&[base, dst]);
        let num = self.bounded(max);
        self.protect = before;
        // The calls that bounding may make can have moved a packet, not other memory.
        self.mov(dst, base);
        let subtract = self.fault(4);
        let op = if subtract { AluOp::Sub } else { AluOp::Add };
        self.emit(Insn::Alu {
            op,
            width: Width::W64,
            dst,
            src: num.into(),
        });
        let hi = match self.model.get(num) {
            Val::Num { hi, .. } => hi.min(1 << 29) as i32,
            _ => 0,
        };
        let moved = match self.model.get(dst) {
            Val::Mem {
                kind,
                id,
                lo,
                hi: top,
                len,
                null,
            } => Val::Mem {
                kind,
                id,
                lo,
                hi: top.saturating_add(hi),
                len,
                null,
            },
            Val::Stack { lo, hi: top } => Val::Stack {
                lo,
                hi: top.saturating_add(hi),
            },
            other => other,
        };
        self.model.set(dst, moved);
        dst
    }

    /// A number loaded through some pointer.
    pub(super) fn memory_number(&mut self) -> Option<Reg> {
        let base = self.pointer()?;
        let val = self.model.get(base);
        let readable = !matches!(
            Self::mem_kind(val),
            Some(MemKind::Value {
                readable: false,
                ..
            })
        );
        if matches!(val, Val::Stack { .. }) || !readable {
            return None;
        }
        let (size, off) = self.spot(base)?;
        let dst = self.free();
        if self.rng.chance(15) && size != Size::DW {
            self.emit(Insn::Load {
                size,
                sign: true,
                dst,
                base,
                off: off as i16,
            });
            self.model.set(dst, Val::ANY);
        } else {
            self.load(size, dst, base, off, num_of(size));
        }
        Some(dst)
    }

    /// A size and an offset within what a pointer may access: often the very end of it.
    fn spot(&mut self, base: Reg) -> Option<(Size, i32)> {
        let val = self.model.get(base);
        let (from, to) = self.window(val)?;
        let mut size = self.size();
        if (to - from) < size.bytes() as i32 {
            size = Size::B;
        }
        let (len, last) = (size.bytes() as i32, to - size.bytes() as i32);
        let mut off = if self.rng.chance(35) {
            last
        } else {
            self.rng
                .range(from.into(), i64::from(last).max(from.into())) as i32
        };
        let aligned = matches!(val, Val::Stack { .. }) || self.rng.chance(85);
        if aligned {
            let lo = match val {
                Val::Stack { lo, .. } | Val::Mem { lo, .. } => lo,
                Val::Packet { off, .. } => off,
                _ => 0,
            };
            off = ((lo + off) & -len) - lo;
            if off < from {
                off = (off + len).min(last);
            }
        }
        if self.fault(7) {
            off = self
                .rng
                .pick([last + 1, last + len, from - 1, from - len, off + 1, to]);
        }
        i16::try_from(off).ok()?;
        Some((size, off))
    }

    /// One access through a pointer to memory.
    pub(super) fn access(&mut self, base: Reg) {
        let val = self.model.get(base);
        let Some((size, off)) = self.spot(base) else {
            return;
        };
        let (readable, writable) = match val {
            Val::Mem {
                kind: MemKind::Value { writable, readable },
                ..
            } => (readable, writable),
            Val::Mem {
                kind: MemKind::Key, ..
            } => (true, false),
            Val::Packet { .. } => (true, self.writes_packets()),
            _ => (true, true),
        };
        let write = if self.fault(8) { !writable } else { writable };
        match self.rng.below(10) {
            0..=3 if write => self.store_any(size, base, off),
            4 if write => {
                let imm = self.imm();
                self.store(size, base, off, Operand::Imm(imm));
            }
            5 if write && readable => self.atomic(base, off),
            _ if readable || self.fault(20) => {
                let stack = matches!(val, Val::Stack { .. });
                let dst = self.free();
                let sign = size != Size::DW && self.rng.chance(15);
                self.emit(Insn::Load {
                    size,
                    sign,
                    dst,
                    base,
                    off: off as i16,
                });
                let result = if stack { Val::Other } else { num_of(size) };
                self.model.set(dst, if sign { Val::ANY } else { result });
            }
            _ => {}
        }
    }

    /// A register is stored: a number, or by mistake a pointer.
    fn store_any(&mut self, size: Size, base: Reg, off: i32) {
        let before = self.guard(&[base]);
        let pointer = if self.fault(4) {
            self.reg_with(Val::is_pointer)
        } else {
            None
        };
        let src = match pointer {
            Some(reg) => reg,
            None => self.steady_number(),
        };
        self.protect = before;
        self.store(size, base, off, src.into());
    }

    /// A number that is got without a call or a jump, so that pointers stay what they are.
    pub(super) fn steady_number(&mut self) -> Reg {
        match self.reg_with(Val::is_num) {
            Some(reg) if self.rng.chance(80) => reg,
            Some(_) | None => {
                let dst = self.free();
                self.constant(dst);
                dst
            }
        }
    }

    /// An atomic operation; its operand is a number.
    fn atomic(&mut self, base: Reg, off: i32) {
        let before = self.guard(&[base]);
        let src = self.steady_number();
        self.guard(&[src]);
        let size = if self.fault(5) {
            self.rng.pick([Size::B, Size::H])
        } else {
            self.rng.pick([Size::W, Size::DW])
        };
        let off = if self.fault(4) {
            off
        } else {
            off & -(size.bytes() as i32)
        };
        let in_window = self
            .window(self.model.get(base))
            .is_some_and(|(from, to)| off >= from && off + size.bytes() as i32 <= to);
        if in_window || self.fault(20) {
            self.atomic_op(base, off, size, src);
        }
        self.protect = before;
    }

    fn atomic_op(&mut self, base: Reg, off: i32, size: Size, src: Reg) {
        let off = off as i16;
        if self.rng.chance(12) {
            let dst = self.free();
            self.emit(Insn::LoadAcquire {
                size,
                dst,
                base,
                off,
            });
            self.model.set(dst, num_of(size));
            return;
        }
        if self.rng.chance(12) {
            self.emit(Insn::StoreRelease {
                size,
                base,
                off,
                src,
            });
            self.stored(base, off.into(), size.bytes(), Val::ANY);
            return;
        }
        let op = self.rng.pick([
            AtomicOp::Add,
            AtomicOp::Add,
            AtomicOp::Or,
            AtomicOp::And,
            AtomicOp::Xor,
            AtomicOp::Xchg,
            AtomicOp::Cmpxchg,
        ]);
        let fetch = matches!(op, AtomicOp::Xchg | AtomicOp::Cmpxchg) || self.rng.chance(50);
        if op == AtomicOp::Cmpxchg && !self.model.get(Reg::R0).is_num() && !self.fault(10) {
            if self.model.get(Reg::R0).is_pointer() {
                return;
            }
            self.mov_imm(Reg::R0, 0);
        }
        self.emit(Insn::Atomic {
            op,
            fetch,
            size,
            base,
            off,
            src,
        });
        self.stored(base, off.into(), size.bytes(), Val::ANY);
        if op == AtomicOp::Cmpxchg {
            self.model.set(Reg::R0, num_of(size));
        } else if fetch {
            self.model.set(src, num_of(size));
        }
    }

    /// One instruction that is reached with different pointers on two paths: allowed as long as both are
    /// of the same kind of memory.
    pub(super) fn step_mix(&mut self) {
        let Some(one) = self.pointer() else { return };
        let before = self.guard(&[one]);
        let other = match self.pointer() {
            Some(other) if self.rng.chance(60) => other,
            Some(_) | None => match self.ctx() {
                Some(ctx) if self.fault(20) => ctx,
                Some(_) | None => Reg::FP,
            },
        };
        self.guard(&[other]);
        let dst = self.free();
        self.protect = before;
        if dst == one || dst == other {
            return;
        }
        let label = self.label();
        self.mov(dst, one);
        self.condition(label);
        self.mov(dst, other);
        self.place(label);
        let (size, off) = if other == Reg::FP {
            (Size::DW, -8)
        } else {
            (Size::B, 0)
        };
        if self.model.get(dst) != Val::Other || self.fault(40) {
            if self.rng.chance(30) {
                self.store(size, dst, off, 0.into());
            } else {
                let into = self.free();
                self.load(size, into, dst, off, num_of(size));
            }
        }
    }

    /// Arithmetic on pointers that is forbidden or at the border.
    pub(super) fn step_pointer_math(&mut self) {
        let Some(reg) = self.reg_with(|val| val.is_pointer() && val != Val::Ctx) else {
            return;
        };
        if self.fault(12) {
            let op = self
                .rng
                .pick([AluOp::Mul, AluOp::And, AluOp::Or, AluOp::Xor, AluOp::Lsh]);
            let width = self.width();
            self.emit(Insn::Alu {
                op,
                width,
                dst: reg,
                src: Operand::Imm(8),
            });
            self.model.set(reg, Val::Other);
            return;
        }
        let dst = self.free();
        match self.rng.below(4) {
            0 => {
                // The difference of two pointers is a number for those who may see addresses.
                let Some(other) = self.reg_with(Val::is_pointer) else {
                    return;
                };
                self.mov(dst, reg);
                self.emit(Insn::Alu {
                    op: AluOp::Sub,
                    width: Width::W64,
                    dst,
                    src: other.into(),
                });
                self.model
                    .set(dst, if other == dst { Val::Other } else { Val::ANY });
            }
            1 => {
                self.mov(dst, reg);
                let imm = self.rng.range(-64, 64) as i32;
                self.add_imm(dst, imm);
            }
            2 if self.model.get(reg) != Val::PacketEnd => {
                let num = self.bounded(64);
                self.alu(AluOp::Mov, Width::W64, dst, num.into());
                self.emit(Insn::Alu {
                    op: AluOp::Add,
                    width: Width::W64,
                    dst,
                    src: reg.into(),
                });
                self.model.set(dst, Val::Other);
            }
            _ => {
                // 32-bit copies of pointers are numbers.
                self.emit(Insn::Alu {
                    op: AluOp::Mov,
                    width: Width::W32,
                    dst,
                    src: reg.into(),
                });
                self.model.set(dst, super::scalar::full(Width::W32));
            }
        }
    }
}
