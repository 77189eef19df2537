//! Packets: the checks against their end in every form, offsets that are data, legacy loads.

use skep_isa::{AluOp, Insn, JmpOp, Operand, Reg, Size, Width};
use skep_spec::ProgType;
use skep_spec::tables::{Access, CtxAccess, CtxValue, PacketAccess, ctx};

use super::body::Body;
use super::model::Val;

impl Body<'_> {
    /// Whether programs like this one may write packets.
    pub(super) fn writes_packets(&self) -> bool {
        self.facts.prog_type(self.hook.ty).is_some_and(|row| {
            matches!(
                row.packet,
                PacketAccess::Write | PacketAccess::WriteAnyHelper
            )
        })
    }

    /// Offset and size of the context's field that gives such a pointer.
    fn packet_field(&self, value: CtxValue) -> Option<(i32, Size)> {
        let table = ctx::of(self.hook.ty)?;
        table
            .fields
            .iter()
            .filter(|field| field.value == value)
            .find_map(|field| {
                let size = if field.width == 8 { Size::DW } else { Size::W };
                let access = Access {
                    off: field.off as i32,
                    size: size.bytes(),
                    write: false,
                    sign_extend: false,
                };
                let allowed = matches!(
                    self.facts.ctx_access(&self.hook, &access),
                    CtxAccess::Allowed { .. }
                );
                allowed.then_some((field.off as i32, size))
            })
    }

    /// Loads the packet's beginning or metadata.
    fn packet_start(&mut self, ctx: Reg, meta: bool) -> Option<Reg> {
        let value = if meta {
            CtxValue::PacketMeta
        } else {
            CtxValue::Packet
        };
        let (off, size) = self.packet_field(value)?;
        let dst = self.free();
        let id = self.id();
        self.load(size, dst, ctx, off, Val::Packet { id, off: 0, meta });
        Some(dst)
    }

    fn packet_limit(&mut self, ctx: Reg, meta: bool) -> Option<Reg> {
        let value = if meta {
            CtxValue::Packet
        } else {
            CtxValue::PacketEnd
        };
        let (off, size) = self.packet_field(value)?;
        let dst = self.free();
        let val = if meta {
            Val::Packet {
                id: self.id(),
                off: 0,
                meta: false,
            }
        } else {
            Val::PacketEnd
        };
        self.load(size, dst, ctx, off, val);
        Some(dst)
    }

    /// Loads packet pointers, checks a range and uses it.
    pub(super) fn step_packet(&mut self) {
        let Some(ctx) = self.ctx() else { return };
        let before = self.guard(&[ctx]);
        let meta = self.rng.chance(12);
        let reuse = !meta && self.rng.chance(30);
        let old = if reuse {
            self.reg_with(|val| matches!(val, Val::Packet { meta: false, .. }))
        } else {
            None
        };
        let base = match old {
            Some(reg) => Some(reg),
            None => self.packet_start(ctx, meta),
        };
        let Some(base) = base else {
            self.protect = before;
            return;
        };
        self.guard(&[base]);
        let end = match self.reg_with(|val| val == Val::PacketEnd) {
            Some(reg) if !meta && self.rng.chance(60) => Some(reg),
            Some(_) | None => self.packet_limit(ctx, meta),
        };
        if let Some(end) = end {
            self.guard(&[end]);
            self.packet_check(base, end);
            let uses = self.rng.range(0, 3);
            for _ in 0..uses {
                self.access(base);
            }
        }
        self.protect = before;
    }

    /// Proves that some bytes lie in the packet.
    fn packet_check(&mut self, base: Reg, end: Reg) {
        let cursor = self.free();
        self.mov(cursor, base);
        let before = self.guard(&[cursor]);
        let variable = self.rng.chance(25);
        if variable && let Some(reg) = self.variable_cursor(cursor) {
            self.protect = before;
            self.compare_end(reg, end, None);
            return;
        }
        self.protect = before;
        let room = self.rng.pick([1, 2, 8, 14, 20, 34, 54, 64, 255]);
        self.add_imm(cursor, room);
        self.compare_end(cursor, end, Some(base));
        if self.rng.chance(30) {
            self.access(cursor);
        }
    }

    /// Adds a number to a packet pointer: a new origin. Returns a pointer behind it.
    fn variable_cursor(&mut self, cursor: Reg) -> Option<Reg> {
        let max = self.rng.pick([1u64, 15, 60, 255, 0xffff, 0x7fff]);
        let num = self.plain_number();
        let mut fits = max;
        if self.fault(10) {
            fits = u64::from(u32::MAX);
        } else {
            let mask = (max + 1).next_power_of_two() - 1;
            self.alu(AluOp::And, Width::W64, num, (mask as i32).into());
        }
        if num == cursor {
            return None;
        }
        let shift = self.rng.below(3) as i32;
        if shift > 0 && self.rng.chance(40) {
            self.alu(AluOp::Lsh, Width::W64, num, shift.into());
            fits <<= shift;
        }
        self.emit(Insn::Alu {
            op: AluOp::Add,
            width: Width::W64,
            dst: cursor,
            src: num.into(),
        });
        let id = self.id();
        let meta = matches!(self.model.get(cursor), Val::Packet { meta: true, .. });
        self.model.set(cursor, Val::Packet { id, off: 0, meta });
        let _ = fits;
        let last = self.free();
        self.mov(last, cursor);
        let room = self.rng.pick([1, 4, 8, 20]);
        self.add_imm(last, room);
        Some(last)
    }

    /// A number in a writable register, without calls, which could move the packet.
    fn plain_number(&mut self) -> Reg {
        let dst = self.free();
        match self.reg_with(Val::is_num) {
            Some(reg) => self.mov(dst, reg),
            None => {
                let size = self.size();
                self.load(size, dst, Reg::FP, -8, super::scalar::num_of(size));
            }
        }
        dst
    }

    /// Compares a pointer with the end, goes on where it lies before it.
    fn compare_end(&mut self, cursor: Reg, end: Reg, _base: Option<Reg>) {
        let Val::Packet { id, off, .. } = self.model.get(cursor) else {
            return;
        };
        let width = if self.fault(3) {
            Width::W32
        } else {
            Width::W64
        };
        let fail = self.fail;
        let mut room = off;
        if self.fault(8) {
            // The check is dropped or tests something else.
            if self.rng.chance(50) {
                self.jump(JmpOp::Lt, width, cursor, Operand::Reg(end), fail);
            }
        } else {
            match self.rng.below(8) {
                0 | 1 => self.jump(JmpOp::Gt, width, cursor, Operand::Reg(end), fail),
                2 => {
                    self.jump(JmpOp::Ge, width, cursor, Operand::Reg(end), fail);
                    room += 1;
                }
                3 => self.jump(JmpOp::Lt, width, end, Operand::Reg(cursor), fail),
                4 => {
                    self.jump(JmpOp::Le, width, end, Operand::Reg(cursor), fail);
                    room += 1;
                }
                5 => self.unless(JmpOp::Le, width, cursor, Operand::Reg(end)),
                6 => self.unless(JmpOp::Ge, width, end, Operand::Reg(cursor)),
                _ => {
                    self.unless(JmpOp::Gt, width, end, Operand::Reg(cursor));
                    room += 1;
                }
            }
        }
        self.model.set_room(id, room.max(0) as u32);
    }

    /// `r0 = skb[…]`, for programs of the types that have it.
    pub(super) fn step_legacy_load(&mut self) {
        let known = matches!(
            self.hook.ty,
            ProgType::SocketFilter | ProgType::SchedCls | ProgType::SchedAct
        );
        if !known && !self.fault(30) || self.protect & 0x7f != 0 {
            return;
        }
        if self.holding && !self.fault(20) {
            return;
        }
        if self.function != 0 && !self.fault(30) {
            return;
        }
        if self.model.get(Reg::R6) != Val::Ctx {
            let Some(ctx) = self.ctx() else { return };
            self.mov(Reg::R6, ctx);
        }
        let index = if self.rng.chance(40) {
            self.reg_with(|val| val.is_num())
                .filter(|reg| *reg != Reg::R6)
        } else {
            None
        };
        let size = self.rng.pick([Size::B, Size::H, Size::W]);
        let off = self
            .rng
            .pick([0, 12, 14, 23, -0x200000, -0x1ff000, 0x10000]);
        self.save_pointers();
        self.emit(Insn::LoadPacket { size, index, off });
        self.model.clobber();
        self.model.set(Reg::R0, super::scalar::num_of(size));
    }
}
