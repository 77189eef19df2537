//! 64-bit immediates, and packet loads of the old kind.

use skep_isa::{Imm64, Reg};
use skep_spec::{Capability, MapType, ProgType};

use super::Next;
use crate::env::Env;
use crate::number::Scalar;
use crate::state::{MapId, Pointer, PtrFlags, Region, Value};
use crate::violation::{Check, Stop, WalkViolation};

impl Env<'_> {
    /// `dst = imm ll`, in all its forms (`check_ld_imm`).
    pub(super) fn check_load_imm64(&mut self, dst: Reg, imm: Imm64) -> Check<Next> {
        self.check_reg_writable(dst)?;
        let value = match imm {
            Imm64::Value(value) => Value::constant(value),
            Imm64::Map(index) | Imm64::MapIdx(index) => {
                let map = MapId(index as u32);
                Value::Pointer(Pointer::new(
                    Region::ConstMap { map, uid: 0 },
                    PtrFlags::empty(),
                ))
            }
            Imm64::MapValue { map, off } | Imm64::MapIdxValue { idx: map, off } => {
                let map = MapId(map as u32);
                if self.ctx.map(map).spec.ty == MapType::Arena {
                    Value::scalar(Scalar::unknown())
                } else {
                    let region = Region::MapValue { map, uid: 0 };
                    let mut pointer = Pointer::new(region, PtrFlags::empty());
                    pointer.off = off as i32;
                    Value::Pointer(pointer)
                }
            }
            Imm64::BtfVar { id, .. } => self.ctx.btf_var(id)?,
            Imm64::Func(off) => {
                let entry = self.state.insn_idx as i64 + 1 + i64::from(off);
                let subprog = usize::try_from(entry)
                    .ok()
                    .and_then(|e| self.ctx.subprog_at(e));
                let Some(subprog) = subprog else {
                    return Err(Stop::undecided("function address without subprogram"));
                };
                if self.ctx.spec.func_info.is_empty() {
                    return Err(WalkViolation::NoFuncInfo.into());
                }
                if self.ctx.subprogs[subprog].is_global {
                    return Err(WalkViolation::CallbackNotStatic.into());
                }
                let region = Region::Func {
                    subprog: subprog as u32,
                };
                Value::Pointer(Pointer::new(region, PtrFlags::empty()))
            }
        };
        self.state.set_reg(dst, value);
        Ok(Next::Goto(self.state.insn_idx + 2))
    }

    /// `r0 = *(size *)skb[…]`: a hidden call with the context in r6 (`check_ld_abs`).
    pub(super) fn check_load_packet(&mut self, index: Option<Reg>) -> Check<Next> {
        self.check_load_packet_allowed()?;
        self.check_reg_readable(Reg::R6)?;
        self.check_no_leak("BPF_LD_[ABS|IND]", false, true)?;
        let context = self.state.reg(Reg::R6).pointer().copied();
        let Some(context) = context.filter(|p| p.region == Region::Ctx && p.flags.is_empty())
        else {
            return Err(WalkViolation::LdAbsNoCtx.into());
        };
        if let Some(reg) = index {
            self.check_reg_readable(reg)?;
        }
        self.check_ptr_off_reg(&context, Reg::R6)?;
        self.state.forget_caller_saved();
        self.state.set_reg(Reg::R0, Value::unknown());
        let returns = self.ctx.facts.has(Capability::EarlyPacketReturn);
        if self.state.curframe() == 0 || !returns {
            return Ok(Next::Fallthrough);
        }
        // Beyond the packet's end the load ends the function with zero: in a subprogram that is a
        // return to the caller.
        let idx = self.state.insn_idx;
        self.push_branch(idx + 1, idx)?;
        self.state.set_reg(Reg::R0, Value::constant(0));
        self.leave_subprog()
    }

    pub(super) fn check_load_packet_allowed(&self) -> Check<()> {
        let has_skb = matches!(
            self.ctx.hook.ty,
            ProgType::SocketFilter | ProgType::SchedCls | ProgType::SchedAct
        );
        if has_skb {
            Ok(())
        } else {
            Err(WalkViolation::LdAbsProgType.into())
        }
    }
}
