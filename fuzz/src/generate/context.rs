//! Context accesses, valid by the tables or a little beside them, and what a program may return.

use skep_isa::{AluOp, Insn, JmpOp, Reg, Size, Width};
use skep_spec::tables::{Access, CtxAccess, CtxValue, Returns, ctx};

use super::body::Body;
use super::model::{MemKind, Val};
use super::scalar::num_of;

const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

impl Body<'_> {
    fn ctx_allows(&self, off: i32, size: Size, write: bool) -> Option<CtxValue> {
        let access = Access {
            off,
            size: size.bytes(),
            write,
            sign_extend: false,
        };
        match self.facts.ctx_access(&self.hook, &access) {
            CtxAccess::Allowed { value, .. } => Some(value),
            CtxAccess::Refused | CtxAccess::ByBtf => None,
        }
    }

    /// A place in the context that the tables allow, if one is found.
    fn ctx_place(&mut self, write: bool) -> Option<(i32, Size, CtxValue)> {
        let table = ctx::of(self.hook.ty)?;
        for _ in 0..8 {
            let field = self.rng.choose(table.fields)?;
            let size = match field.width {
                _ if self.rng.chance(25) => self.rng.pick(SIZES),
                1 => Size::B,
                2 => Size::H,
                4 => Size::W,
                _ => Size::DW,
            };
            let element = self.rng.below(u64::from(field.count.clamp(1, 64))) as i32;
            let mut off = field.off as i32 + element * field.width as i32;
            if self.rng.chance(10) {
                off += size.bytes() as i32;
            }
            if let Some(value) = self.ctx_allows(off, size, write) {
                return Some((off, size, value));
            }
        }
        None
    }

    /// A number from the context.
    pub(super) fn ctx_number(&mut self) -> Option<Reg> {
        let ctx = self.ctx()?;
        let (off, size, value) = self.ctx_place(false)?;
        if value != CtxValue::Scalar {
            return None;
        }
        let before = self.guard(&[ctx]);
        let dst = self.free();
        self.protect = before;
        self.load(size, dst, ctx, off, num_of(size));
        Some(dst)
    }

    /// One access to the context.
    pub(super) fn step_ctx(&mut self) {
        let Some(ctx) = self.ctx() else { return };
        let before = self.guard(&[ctx]);
        if self.fault(12) {
            self.wild_ctx(ctx);
        } else if self.rng.chance(20) {
            if let Some((off, size, _)) = self.ctx_place(true) {
                let src = self.steady_number();
                self.store(size, ctx, off, src.into());
            }
        } else if let Some((off, size, value)) = self.ctx_place(false) {
            let dst = self.free();
            let id = self.id();
            let val = match value {
                CtxValue::Scalar => num_of(size),
                CtxValue::Packet => Val::Packet {
                    id,
                    off: 0,
                    meta: false,
                },
                CtxValue::PacketMeta => Val::Packet {
                    id,
                    off: 0,
                    meta: true,
                },
                CtxValue::PacketEnd => Val::PacketEnd,
                CtxValue::Socket => Val::Sock {
                    id,
                    null: false,
                    common: false,
                },
                CtxValue::SocketOrNull => Val::Sock {
                    id,
                    null: true,
                    common: false,
                },
                CtxValue::SockCommonOrNull => Val::Sock {
                    id,
                    null: true,
                    common: true,
                },
                CtxValue::FlowKeys => {
                    let (kind, len) = (MemKind::FlowKeys, 56);
                    Val::Mem {
                        kind,
                        id,
                        lo: 0,
                        hi: 0,
                        len,
                        null: false,
                    }
                }
                CtxValue::TpBuffer | CtxValue::BtfId(_) => Val::Other,
            };
            let sign = value == CtxValue::Scalar && size != Size::DW && self.rng.chance(10);
            self.emit(Insn::Load {
                size,
                sign,
                dst,
                base: ctx,
                off: off as i16,
            });
            self.model.set(dst, if sign { Val::ANY } else { val });
        }
        self.protect = before;
    }

    /// An access beside what is allowed, or through a moved pointer.
    fn wild_ctx(&mut self, ctx: Reg) {
        let end = ctx::of(self.hook.ty).map_or(64, |table| table.size as i32);
        let size = self.rng.pick(SIZES);
        let off = match self.rng.below(4) {
            0 => self.rng.range(0, i64::from(end)) as i32,
            1 => end - self.rng.below(9) as i32,
            2 => self.rng.range(-64, 16) as i32,
            _ => (self.rng.range(0, i64::from(end)) as i32) & !3,
        }
        .clamp(-4096, 4096);
        match self.rng.below(4) {
            0 => {
                let src = self.steady_number();
                self.store(size, ctx, off, src.into());
            }
            1 => {
                let moved = self.free();
                self.mov(moved, ctx);
                self.emit(Insn::Alu {
                    op: AluOp::Add,
                    width: Width::W64,
                    dst: moved,
                    src: (off & 0x3c).into(),
                });
                self.load(size, moved, moved, 0, num_of(size));
            }
            2 => {
                let num = self.bounded(16);
                let moved = self.free();
                self.mov(moved, ctx);
                self.emit(Insn::Alu {
                    op: AluOp::Add,
                    width: Width::W64,
                    dst: moved,
                    src: num.into(),
                });
                self.load(Size::W, moved, moved, 0, Val::ANY);
            }
            _ => {
                let dst = self.free();
                self.load(size, dst, ctx, off, num_of(size));
            }
        }
    }

    /// Puts what the program may return into R0: a constant, or a number that is bounded to it.
    pub(super) fn return_value(&mut self) {
        let returns = self
            .facts
            .prog_type(self.hook.ty)
            .map_or(Returns::Any, |row| row.returns_for(&self.hook));
        let main = self.function == 0;
        let range = match returns {
            Returns::Range(lo, hi) if main => (i64::from(lo), i64::from(hi)),
            _ => (-1, 8),
        };
        if self.fault(5) {
            let wrong = self.rng.below(4);
            match wrong {
                0 => return,
                1 => self.mov(Reg::R0, Reg::FP),
                2 => self.mov_imm(Reg::R0, range.1 as i32 + 1),
                _ => self.mov_imm(Reg::R0, range.0 as i32 - 1),
            }
            return;
        }
        let free = !main || !matches!(returns, Returns::Range(..));
        if free && self.rng.chance(40) {
            if let Some(reg) = self.reg_with(Val::is_num) {
                self.mov(Reg::R0, reg);
                return;
            }
        } else if !free && self.rng.chance(25) && range.1 > range.0 {
            let num = self.number();
            self.mov(Reg::R0, num);
            let width = self.width();
            let mask = range.1 as i32;
            if self.rng.chance(70) {
                self.alu(AluOp::And, width, Reg::R0, mask.into());
            } else {
                let ok = self.label();
                self.jump(JmpOp::Le, Width::W64, Reg::R0, mask.into(), ok);
                self.mov_imm(Reg::R0, range.0 as i32);
                self.place(ok);
            }
            return;
        }
        let value = self.rng.range(range.0, range.1) as i32;
        if self.rng.chance(30) {
            self.alu(AluOp::Mov, Width::W32, Reg::R0, value.into());
        } else {
            self.mov_imm(Reg::R0, value);
        }
    }
}
