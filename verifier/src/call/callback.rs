//! Subprograms that helpers call back: the callback is pushed to be walked, the path goes on behind
//! the call as if it had not run. Its return leads back to the call, until rounds are alike.

use skep_isa::Reg;

use super::CallMeta;
use super::kfunc::KfuncMeta;
use crate::env::Env;
use crate::state::{
    BtfSource, Entry, Frame, MapId, Pointer, PtrFlags, Region, ReturnRange, State, Value,
};
use crate::violation::{CallViolation, Check, Stop};

/// One register of the caller, with its precision, in a register of the callee.
struct Handed {
    to: Reg,
    from: Reg,
}

impl Env<'_> {
    /// `bpf_for_each_map_elem(map, callback, context, flags)`: `callback(map, key, value, context)`.
    pub(super) fn call_for_each(&mut self, meta: &CallMeta) -> Check<()> {
        let Some((map, _)) = meta.map else {
            return Err(Stop::undecided("a walk without map"));
        };
        let ty = self.ctx.map(map).spec.ty;
        let walks = self
            .ctx
            .facts
            .map_type(ty)
            .is_some_and(|facts| facts.for_each);
        let key = Pointer::new(Region::MapKey { map, uid: 0 }, PtrFlags::empty());
        let value = Pointer::new(Region::MapValue { map, uid: 0 }, PtrFlags::empty());
        let handed = [
            Handed {
                to: Reg::R1,
                from: Reg::R1,
            },
            Handed {
                to: Reg::R4,
                from: Reg::R3,
            },
        ];
        self.push_callback(meta.callback, &handed, |callee| {
            if !walks {
                return Err(CallViolation::MapCallback.into());
            }
            callee.regs[Reg::R2.index()] = Value::Pointer(key);
            callee.regs[Reg::R3.index()] = Value::Pointer(value);
            Ok(())
        })
    }

    /// `bpf_loop(rounds, callback, context, flags)`: `callback(index, context)`.
    pub(super) fn call_loop(&mut self, meta: &CallMeta) -> Check<()> {
        let handed = [Handed {
            to: Reg::R2,
            from: Reg::R3,
        }];
        self.push_callback(meta.callback, &handed, |callee| {
            callee.regs[Reg::R1.index()] = Value::unknown();
            Ok(())
        })
    }

    /// `bpf_find_vma(task, address, callback, context, flags)`: `callback(task, vma, context)`.
    pub(super) fn call_find_vma(&mut self, meta: &CallMeta) -> Check<()> {
        let id = self.ctx.kernel_structure("vm_area_struct")?;
        let region = Region::Btf {
            source: BtfSource::Kernel,
            id,
        };
        let vma = Pointer::new(region, PtrFlags::empty());
        let handed = [
            Handed {
                to: Reg::R1,
                from: Reg::R1,
            },
            Handed {
                to: Reg::R3,
                from: Reg::R4,
            },
        ];
        self.push_callback(meta.callback, &handed, |callee| {
            callee.regs[Reg::R2.index()] = Value::Pointer(vma);
            Ok(())
        })
    }

    /// `bpf_user_ringbuf_drain(map, callback, context, flags)`: `callback(dynptr, context)`.
    pub(super) fn call_user_ringbuf(&mut self, meta: &CallMeta) -> Check<()> {
        let dynptr = self.const_dynptr();
        let handed = [Handed {
            to: Reg::R2,
            from: Reg::R3,
        }];
        self.push_callback(meta.callback, &handed, |callee| {
            callee.regs[Reg::R1.index()] = dynptr;
            Ok(())
        })
    }

    /// `bpf_rbtree_add(root, node, less)`: `less(node, node)`, both borrowed.
    pub(super) fn call_tree_less(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let node = self.element(meta, true)?;
        self.push_callback(meta.callback, &[], |callee| {
            callee.regs[Reg::R1.index()] = Value::Pointer(node);
            callee.regs[Reg::R2.index()] = Value::Pointer(node);
            Ok(())
        })
    }

    /// `bpf_timer_set_callback(timer, callback)`: later `callback(map, key, value)`, on a stack of its
    /// own, which may start again at any time.
    pub(super) fn call_timer_later(&mut self, meta: &CallMeta) -> Check<()> {
        let returns = ReturnRange { min: 0, max: 0 };
        self.push_async_callback(meta.callback, meta.map, returns, false)
    }

    /// Pushes a callback that runs later, with a map and a key and value of it.
    pub(super) fn push_async_callback(
        &mut self,
        callback: Option<usize>,
        map: Option<(MapId, u32)>,
        returns: ReturnRange,
        sleeps: bool,
    ) -> Check<()> {
        let (Some(subprog), Some((map, _))) = (callback, map) else {
            return Err(Stop::undecided("a callback that is no subprogram"));
        };
        let Some(entry) = self.ctx.subprogs.get(subprog).map(|s| s.start) else {
            return Err(Stop::undecided("a callback that is no subprogram"));
        };
        self.log_misfit(subprog);
        let learned = &mut self.learned.subprogs[subprog];
        learned.is_callback = true;
        learned.is_async_callback = true;
        let mut callee = Frame::new(0, subprog, None);
        let arguments = [
            (Reg::R1, Region::ConstMap { map, uid: 0 }),
            (Reg::R2, Region::MapKey { map, uid: 0 }),
            (Reg::R3, Region::MapValue { map, uid: 0 }),
        ];
        for (reg, region) in arguments {
            let pointer = Pointer::new(region, PtrFlags::empty());
            callee.regs[reg.index()] = Value::Pointer(pointer);
        }
        callee.entry = Entry::AsyncCallback;
        callee.callback_ret = returns;
        callee.async_entry_count = self.state.cur().async_entry_count + 1;
        let callsite = self.state.insn_idx;
        let state = self.push_state(State::new(callee, entry), entry, callsite)?;
        state.in_sleepable = sleeps;
        // A new frame makes the log show everything.
        self.state.scratch_all();
        Ok(())
    }

    /// Pushes the callback of the current call, to be walked later (`push_callback_call`).
    fn push_callback(
        &mut self,
        callback: Option<usize>,
        handed: &[Handed],
        prepare: impl FnOnce(&mut Frame) -> Check<()>,
    ) -> Check<()> {
        let Some(subprog) = callback else {
            return Err(Stop::undecided("a callback that is no subprogram"));
        };
        let Some(entry) = self.ctx.subprogs.get(subprog).map(|s| s.start) else {
            return Err(Stop::undecided("a callback that is no subprogram"));
        };
        self.log_misfit(subprog);
        self.learned.subprogs[subprog].is_callback = true;
        let callsite = self.state.insn_idx;
        self.push_branch(entry, callsite)?;
        let mut callee = self.new_frame(&self.state, subprog, callsite)?;
        let precise = hand_over(&self.state, &mut callee, handed);
        prepare(&mut callee)?;
        callee.entry = Entry::Callback;
        callee.callback_ret = ReturnRange { min: 0, max: 1 };
        if let Some(pending) = self.pending.last_mut() {
            let state = &mut pending.state;
            state.callback_unroll_depth += 1;
            state.cur_mut().callback_depth += 1;
            state.push_frame(callee);
            let last = state.curframe();
            state.precise[last].regs = precise;
        }
        self.state.cur_mut().callback_depth = 0;
        // A new frame makes the log show everything.
        self.state.scratch_all();
        Ok(())
    }
}

/// Copies arguments; which of them are precise, one bit each.
fn hand_over(state: &State, callee: &mut Frame, handed: &[Handed]) -> u16 {
    let mut precise = 0;
    for Handed { to, from } in handed {
        callee.regs[to.index()] = *state.reg(*from);
        precise |= u16::from(state.is_precise(*from)) << to.index();
    }
    precise
}
