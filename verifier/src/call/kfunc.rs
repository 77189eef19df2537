//! A call of a kernel function, check by check in the kernel's order (`check_kfunc_call`).
//!
//! What a function takes is in its prototype and in the names of its parameters (`kfunc_args`), what it
//! asks and gives beside that is a row of the tables. `kfunc_result` says what is in r0, `section` what
//! becomes of critical sections.

use skep_btf::{Btf, TypeId};
use skep_isa::Reg;
use skep_spec::tables::{KfuncAccess, KfuncFlags, KfuncRole, KfuncRow};

use super::dynptr::DynptrSeen;
use super::graph::Root;
use super::iterator::IterPlace;
use crate::env::Env;
use crate::prepare::Kfunc;
use crate::state::MapId;
use crate::violation::{Check, KfuncViolation, Stop};
use crate::walk::Next;

/// What the arguments of a call told, for the rules that come after them.
pub(super) struct KfuncMeta<'a> {
    /// The function.
    pub(super) kfunc: Kfunc<'a>,
    /// What it asks and gives.
    pub(super) row: &'static KfuncRow,
    /// The kernel's types.
    pub(super) btf: &'a Btf,
    /// The reference that an argument depends on; 0 = none.
    pub(super) ref_id: u32,
    /// The argument that the call releases.
    pub(super) released: Option<Reg>,
    /// The constant argument.
    pub(super) constant: Option<u64>,
    /// Bytes of the result, as an argument says; 0 = none does.
    pub(super) result_size: u64,
    /// The result may only be read.
    pub(super) result_rdonly: bool,
    /// The kernel's structure behind the context.
    pub(super) kernel_context: Option<TypeId>,
    /// The dynptr argument that was made before.
    pub(super) dynptr: Option<DynptrSeen>,
    /// The structure of the object argument, in the program's BTF.
    pub(super) object: Option<u32>,
    /// The object argument is held, not borrowed.
    pub(super) owns_object: bool,
    /// The list or tree argument.
    pub(super) root: Option<Root>,
    /// The subprogram to call back.
    pub(super) callback: Option<usize>,
    /// The iterator argument that was made before.
    pub(super) iter: Option<IterPlace>,
    /// The map of a work queue or task work argument, or the map argument, and which copy of it.
    pub(super) map: Option<(MapId, u32)>,
}

impl KfuncMeta<'_> {
    /// Whether the function has one of these flags.
    pub(super) fn has(&self, flags: KfuncFlags) -> bool {
        self.row.has(flags)
    }
}

impl Env<'_> {
    /// `call kfunc`.
    pub(crate) fn check_kfunc_call(&mut self, id: i32, btf_idx: i16) -> Check<Next> {
        if id == 0 {
            // Nothing happens; once dead code is gone, the call is refused if it is still there.
            return Ok(Next::Fallthrough);
        }
        let ctx = self.ctx;
        let (Some(kfunc), Some(btf)) = (ctx.kfuncs.get(id, btf_idx), ctx.facts.btf()) else {
            return Err(Stop::undecided("kernel function calls"));
        };
        let row = match kfunc.access {
            KfuncAccess::Allowed(row) => row,
            KfuncAccess::Refused => {
                return Err(KfuncViolation::NotAllowed { id: kfunc.id }.into());
            }
            KfuncAccess::Unknown => return Err(unmodelled(kfunc)),
        };
        if row.role == KfuncRole::Trap {
            return Err(KfuncViolation::Trap.into());
        }
        if row.has(KfuncFlags::SLEEPABLE) && !self.in_sleepable() {
            return Err(KfuncViolation::Sleeps { id: kfunc.id }.into());
        }
        if [KfuncRole::ResSpinLock, KfuncRole::ResSpinLockIrqsave].contains(&row.role) {
            self.fork_at_res_lock()?;
        }
        let mut meta = KfuncMeta {
            kfunc: *kfunc,
            row,
            btf,
            ref_id: 0,
            released: None,
            constant: None,
            result_size: 0,
            result_rdonly: false,
            kernel_context: None,
            dynptr: None,
            object: None,
            owns_object: false,
            root: None,
            callback: None,
            iter: None,
            map: None,
        };
        self.check_kfunc_args(&mut meta)?;
        if row.role == KfuncRole::RbtreeAdd {
            self.call_tree_less(&meta)?;
        }
        if [KfuncRole::WqSetCallback, KfuncRole::TaskWork].contains(&row.role) {
            self.call_work_later(&meta)?;
        }
        if row.role == KfuncRole::SessionCookie {
            (meta.result_size, meta.result_rdonly) = (8, false);
        }
        self.change_sections(&meta)?;
        self.release_kfunc_argument(&meta)?;
        self.lend_inserted(&meta)?;
        if row.role == KfuncRole::Throw {
            return self.throw();
        }
        self.state.forget_caller_saved();
        self.set_kfunc_result(&meta)?;
        if meta.has(KfuncFlags::CHANGES_PKT_DATA) {
            self.clear_packet_pointers();
        }
        if meta.has(KfuncFlags::ITER_NEXT) {
            self.fork_at_iter_next(&meta)?;
        }
        Ok(Next::Fallthrough)
    }

    /// Gives up what the call releases.
    fn release_kfunc_argument(&mut self, meta: &KfuncMeta<'_>) -> Check<()> {
        let Some(reg) = meta.released else {
            return Ok(());
        };
        let held = self.state.reg(reg).pointer().map_or(0, |p| p.ref_id);
        if self.release_reference(held) {
            return Ok(());
        }
        Err(KfuncViolation::NotAcquired { id: meta.kfunc.id }.into())
    }

    /// An exception ends the path, in whatever frame it is thrown. Without a handler, its number is what
    /// the program returns.
    fn throw(&mut self) -> Check<Next> {
        self.learned.throws = true;
        if !self.ctx.has_exception_callback() {
            self.check_return_code(Reg::R1)?;
        }
        self.state.forget_caller_saved();
        self.check_no_leak("bpf_throw", true, true)?;
        Ok(Next::PathEnd)
    }
}

/// No verdict, because of that function.
pub(super) fn unmodelled(kfunc: &Kfunc<'_>) -> Stop {
    Stop::undecided(format!("kernel function {}", kfunc.name))
}
