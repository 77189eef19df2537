//! Going back over one instruction: which registers and slots did the wanted ones come from?
//!
//! A set of registers and slots, per frame, whose exact numbers matter *after* an instruction becomes
//! the set that matters *before* it (`backtrack_insn`). Only spills and fills carry numbers through
//! memory. Where the kernel gives up, this gives up: then everything counts as exact.

use std::ops::RangeInclusive;

use skep_isa::{AluOp, CallTarget, Insn, InsnIdx, Operand, Reg};

use super::history::{HistoryEntry, HistoryFlags, LinkedAt, LinkedRegs};
use crate::prepare::Ctx;

/// Frames that one walk back can meet.
pub(super) const MAX_FRAMES: usize = 8;

/// `r1` to `r5`.
const ARGS: u16 = 0b11_1110;

/// Registers and slots whose exact number matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    /// The frame that the walk back is in.
    pub(super) frame: usize,
    regs: [u16; MAX_FRAMES],
    slots: [u64; MAX_FRAMES],
}

/// Why a walk back cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Obstacle {
    /// The kernel does not follow numbers through this: everything is to be exact.
    Unsupported,
    /// Something that the kernel would report as its own bug.
    Inconsistent(&'static str),
}

impl Wanted {
    /// Nothing wanted, in frame `frame`.
    pub(super) fn none(frame: usize) -> Wanted {
        Wanted {
            frame,
            regs: [0; MAX_FRAMES],
            slots: [0; MAX_FRAMES],
        }
    }

    /// Wanted registers of a frame.
    #[inline]
    pub(super) fn regs(&self, frame: usize) -> u16 {
        self.regs.get(frame).copied().unwrap_or(0)
    }

    /// Wanted slots of a frame.
    #[inline]
    pub(super) fn slots(&self, frame: usize) -> u64 {
        self.slots.get(frame).copied().unwrap_or(0)
    }

    /// Wants more registers of a frame.
    #[inline]
    pub(super) fn want_regs(&mut self, frame: usize, regs: u16) {
        if let Some(wanted) = self.regs.get_mut(frame) {
            *wanted |= regs;
        }
    }

    /// Wants more slots of a frame.
    #[inline]
    pub(super) fn want_slots(&mut self, frame: usize, slots: u64) {
        if let Some(wanted) = self.slots.get_mut(frame) {
            *wanted |= slots;
        }
    }

    /// Wants these registers of a frame no longer.
    #[inline]
    pub(super) fn drop_regs(&mut self, frame: usize, regs: u16) {
        if let Some(wanted) = self.regs.get_mut(frame) {
            *wanted &= !regs;
        }
    }

    /// Wants these slots of a frame no longer.
    #[inline]
    pub(super) fn drop_slots(&mut self, frame: usize, slots: u64) {
        if let Some(wanted) = self.slots.get_mut(frame) {
            *wanted &= !slots;
        }
    }

    /// Whether nothing is wanted in this frame or its callers.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let (regs, slots) = self.here();
        if regs != 0 || slots != 0 {
            return false;
        }
        let frames = ..=self.frame.min(MAX_FRAMES - 1);
        self.regs[frames].iter().all(|&r| r == 0) && self.slots[frames].iter().all(|&s| s == 0)
    }

    #[inline]
    fn wants(&self, reg: Reg) -> bool {
        self.regs(self.frame) & bit(reg) != 0
    }

    fn want(&mut self, reg: Reg) {
        self.want_regs(self.frame, bit(reg));
    }

    fn drop(&mut self, reg: Reg) {
        self.drop_regs(self.frame, bit(reg));
    }

    #[inline]
    fn here(&self) -> (u16, u64) {
        (self.regs(self.frame), self.slots(self.frame))
    }

    /// Goes back into the callee whose end this is.
    fn enter(&mut self) -> Result<(), Obstacle> {
        if self.frame + 1 >= MAX_FRAMES {
            return Err(Obstacle::Inconsistent("subprog enter from the last frame"));
        }
        self.frame += 1;
        Ok(())
    }

    /// Goes back to the caller of the subprogram whose beginning this is.
    fn leave(&mut self) -> Result<(), Obstacle> {
        self.frame = self.frame.checked_sub(1).ok_or(SUBPROG_EXIT)?;
        Ok(())
    }

    /// Whether what the history says of an instruction may concern something wanted: a family of
    /// numbers, or a slot.
    #[inline]
    pub(super) fn meets(&self, entry: &HistoryEntry) -> bool {
        let accesses = |(frame, slot): (usize, usize)| self.slots(frame) >> slot & 1 != 0;
        entry.linked != LinkedRegs::NONE || entry.flags().accessed_slot().is_some_and(accesses)
    }

    /// If one member of a linked family is wanted, all are: they were compared as one.
    fn sync_linked(&mut self, linked: LinkedRegs) {
        let is_wanted = |(frame, at)| match at {
            LinkedAt::Reg(reg) => self.regs(frame) & bit(reg) != 0,
            LinkedAt::Slot(slot) => self.slots(frame) >> slot & 1 != 0,
        };
        if !linked.iter().any(is_wanted) {
            return;
        }
        for (frame, at) in linked.iter() {
            match at {
                LinkedAt::Reg(reg) => self.want_regs(frame, bit(reg)),
                LinkedAt::Slot(slot) => self.want_slots(frame, 1 << slot),
            }
        }
    }
}

const SUBPROG_EXIT: Obstacle = Obstacle::Inconsistent("subprog exit from the first frame");

fn bit(reg: Reg) -> u16 {
    1 << reg.index()
}

/// Which registers going back over each instruction concerns: where none of them is wanted, and the
/// history says nothing, it changes nothing.
#[derive(Debug, Default)]
pub(super) struct Concerns {
    regs: Vec<u16>,
}

/// A bit beside those of registers: whatever is wanted.
const ALWAYS: u16 = 1 << 15;

impl Concerns {
    /// Those of a program.
    pub(super) fn of(ctx: &Ctx<'_>) -> Concerns {
        let regs = ctx.decoded.iter();
        Concerns {
            regs: regs
                .map(|insn| insn.as_ref().map_or(ALWAYS, concerned_regs))
                .collect(),
        }
    }

    /// Whether going back over an instruction may change what is wanted, the history apart.
    #[inline]
    pub(super) fn any(&self, idx: InsnIdx, wanted: &Wanted) -> bool {
        let regs = self.regs.get(idx).copied().unwrap_or(ALWAYS);
        regs & (wanted.regs(wanted.frame) | ALWAYS) != 0
    }

    /// How many instructions, from the last of the range on, change nothing. The first of the range
    /// is not counted among them.
    #[inline]
    pub(super) fn pass_over(&self, wanted: &Wanted, range: RangeInclusive<InsnIdx>) -> usize {
        let regs = wanted.regs(wanted.frame) | ALWAYS;
        let (first, last) = range.into_inner();
        let insns = self
            .regs
            .get(first.saturating_add(1)..=last)
            .unwrap_or_default();
        let same = insns.iter().rev().take_while(|&&of| of & regs == 0);
        same.count()
    }
}

fn concerned_regs(insn: &Insn) -> u16 {
    match *insn {
        Insn::Alu {
            op: AluOp::Mov,
            dst,
            ..
        }
        | Insn::Alu {
            dst,
            src: Operand::Reg(_),
            ..
        }
        | Insn::MovSx { dst, .. }
        | Insn::AddrSpaceCast { dst, .. }
        | Insn::LoadImm64 { dst, .. }
        | Insn::Load { dst, .. }
        | Insn::LoadAcquire { dst, .. } => bit(dst),
        Insn::Store { base, .. } | Insn::Atomic { base, .. } | Insn::StoreRelease { base, .. } => {
            bit(base)
        }
        Insn::LoadPacket { .. } => bit(Reg::R0),
        Insn::Jump {
            dst,
            src: Operand::Reg(src),
            ..
        } => bit(dst) | bit(src),
        Insn::Alu {
            src: Operand::Imm(_),
            ..
        }
        | Insn::Jump {
            src: Operand::Imm(_),
            ..
        }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::Imm64Hi
        | Insn::Goto { .. }
        | Insn::MayGoto { .. } => 0,
        Insn::Call(_) | Insn::CallReg(_) | Insn::Exit => ALWAYS,
    }
}

/// Goes back over instruction `idx`. `next` is the instruction that was walked after it, `entry` what
/// the history says of it.
pub(super) fn step_back(
    ctx: &Ctx<'_>,
    idx: InsnIdx,
    next: Option<InsnIdx>,
    entry: Option<&HistoryEntry>,
    wanted: &mut Wanted,
) -> Result<(), Obstacle> {
    let Some(Ok(insn)) = ctx.decoded.get(idx) else {
        return Err(Obstacle::Inconsistent(
            "an instruction that was never walked",
        ));
    };
    if *insn == Insn::Imm64Hi {
        return Ok(());
    }
    let linked = entry.map_or(LinkedRegs::NONE, |entry| entry.linked);
    wanted.sync_linked(linked);
    match *insn {
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::Imm64Hi
        | Insn::LoadPacket { .. } => over_computation(insn, wanted)?,
        Insn::Load { .. }
        | Insn::LoadAcquire { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::StoreRelease { .. } => over_access(insn, entry, wanted)?,
        Insn::Jump {
            dst,
            src: Operand::Reg(src),
            ..
        } => {
            if wanted.wants(dst) || wanted.wants(src) {
                let flags = entry.map_or(HistoryFlags::NONE, HistoryEntry::flags);
                if !flags.contains(HistoryFlags::SRC_NOT_SCALAR) {
                    wanted.want(src);
                }
                if !flags.contains(HistoryFlags::DST_NOT_SCALAR) {
                    wanted.want(dst);
                }
            } else {
                return Ok(());
            }
        }
        Insn::Jump {
            src: Operand::Imm(_),
            ..
        }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. } => {}
        Insn::Call(target) => {
            if over_call(ctx, idx, next, target, wanted)? == Crossed::Frame {
                return Ok(());
            }
        }
        Insn::CallReg(_) => return Err(Obstacle::Inconsistent("call through a register")),
        Insn::Exit => return over_exit(ctx, next, wanted),
    }
    wanted.sync_linked(linked);
    Ok(())
}

/// Instructions that compute one register.
fn over_computation(insn: &Insn, wanted: &mut Wanted) -> Result<(), Obstacle> {
    match *insn {
        Insn::Alu {
            op: AluOp::Mov,
            dst,
            src,
            ..
        } => over_move(dst, src, wanted),
        Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => {
            over_move(dst, Operand::Reg(src), wanted);
        }
        Insn::Alu {
            dst,
            src: Operand::Reg(src),
            ..
        } => {
            if wanted.wants(dst) && src != Reg::FP {
                wanted.want(src);
            }
        }
        Insn::LoadImm64 { dst, .. } => wanted.drop(dst),
        Insn::LoadPacket { .. } => {
            if wanted.wants(Reg::R0) {
                return Err(Obstacle::Unsupported);
            }
        }
        // The destination stays wanted; or nothing is computed.
        Insn::Alu {
            src: Operand::Imm(_),
            ..
        }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::Imm64Hi
        | Insn::Load { .. }
        | Insn::LoadAcquire { .. }
        | Insn::Store { .. }
        | Insn::StoreRelease { .. }
        | Insn::Atomic { .. }
        | Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_)
        | Insn::Exit => {}
    }
    Ok(())
}

fn over_move(dst: Reg, src: Operand, wanted: &mut Wanted) {
    if !wanted.wants(dst) {
        return;
    }
    wanted.drop(dst);
    if let Operand::Reg(src) = src
        && src != Reg::FP
    {
        wanted.want(src);
    }
}

/// Instructions that access memory. What is read from elsewhere than the stack has no number to be
/// exact about.
fn over_access(
    insn: &Insn,
    entry: Option<&HistoryEntry>,
    wanted: &mut Wanted,
) -> Result<(), Obstacle> {
    let slot = entry.and_then(|entry| entry.flags().accessed_slot());
    match *insn {
        Insn::Load { dst, .. } | Insn::LoadAcquire { dst, .. } => {
            if wanted.wants(dst) {
                wanted.drop(dst);
                if let Some((frame, slot)) = slot {
                    wanted.want_slots(frame, 1 << slot);
                }
            }
            Ok(())
        }
        Insn::Store { base, src, .. } => {
            let src = if let Operand::Reg(src) = src {
                Some(src)
            } else {
                None
            };
            over_store(base, src, slot, wanted)
        }
        Insn::Atomic { base, src, .. } | Insn::StoreRelease { base, src, .. } => {
            over_store(base, Some(src), slot, wanted)
        }
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::LoadImm64 { .. }
        | Insn::Imm64Hi
        | Insn::LoadPacket { .. }
        | Insn::Jump { .. }
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_)
        | Insn::Exit => Ok(()),
    }
}

fn over_store(
    base: Reg,
    src: Option<Reg>,
    slot: Option<(usize, usize)>,
    wanted: &mut Wanted,
) -> Result<(), Obstacle> {
    if wanted.wants(base) {
        // A number is wanted that is a pointer here: pointers were subtracted later on.
        return Err(Obstacle::Unsupported);
    }
    if let Some((frame, slot)) = slot
        && wanted.slots(frame) >> slot & 1 != 0
    {
        wanted.drop_slots(frame, 1 << slot);
        if let Some(src) = src {
            wanted.want(src);
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Crossed {
    /// The walk back goes on in the same frame.
    Nothing,
    /// It left the frame, or a call that has no frame of its own.
    Frame,
}

fn over_call(
    ctx: &Ctx<'_>,
    idx: InsnIdx,
    next: Option<InsnIdx>,
    target: CallTarget,
    wanted: &mut Wanted,
) -> Result<Crossed, Obstacle> {
    let (regs, slots) = wanted.here();
    if let CallTarget::Subprog(off) = target {
        let entry = idx.wrapping_add_signed(off as isize).wrapping_add(1);
        let Some(subprog) = ctx.subprog_at(entry) else {
            return Err(Obstacle::Inconsistent("call of no subprogram"));
        };
        if ctx.subprogs[subprog].is_global {
            if regs & ARGS != 0 {
                return Err(Obstacle::Inconsistent("global subprog unexpected regs"));
            }
            wanted.drop(Reg::R0);
            return Ok(Crossed::Frame);
        }
        if regs & !ARGS != 0 {
            return Err(Obstacle::Inconsistent("static subprog unexpected regs"));
        }
        if slots != 0 {
            return Err(Obstacle::Inconsistent(
                "static subprog leftover stack slots",
            ));
        }
        wanted.drop_regs(wanted.frame, ARGS);
        wanted.leave()?;
        wanted.want_regs(wanted.frame, regs);
        return Ok(Crossed::Frame);
    }
    let calls_callback = ctx.flow.get(idx).is_some_and(|flow| flow.calls_callback);
    if calls_callback && next != Some(idx + 1) {
        // This is the beginning of the callback. Its arguments are the helper's, not the caller's.
        if regs & !ARGS != 0 {
            return Err(Obstacle::Inconsistent("callback unexpected regs"));
        }
        if slots != 0 {
            return Err(Obstacle::Inconsistent("callback leftover stack slots"));
        }
        wanted.drop_regs(wanted.frame, ARGS);
        wanted.leave()?;
        return Ok(Crossed::Frame);
    }
    if matches!(target, CallTarget::Kfunc { id: 0, .. }) {
        return Err(Obstacle::Unsupported);
    }
    wanted.drop(Reg::R0);
    if regs & ARGS != 0 {
        return Err(Obstacle::Inconsistent("backtracking call unexpected regs"));
    }
    if matches!(target, CallTarget::Helper(_)) && next != Some(idx + 1) {
        // A tail call that was taken: it ended the subprogram.
        wanted.enter()?;
    }
    Ok(Crossed::Nothing)
}

/// The end of a callee, met from its caller: the walk back enters it.
fn over_exit(ctx: &Ctx<'_>, next: Option<InsnIdx>, wanted: &mut Wanted) -> Result<(), Obstacle> {
    let returns_to_helper = next
        .and_then(|next| ctx.flow.get(next))
        .is_some_and(|flow| flow.calls_callback);
    if returns_to_helper {
        wanted.drop_regs(wanted.frame, ARGS);
    }
    if wanted.regs(wanted.frame) & ARGS != 0 {
        return Err(Obstacle::Inconsistent("backtracking exit unexpected regs"));
    }
    // A callback returns to the call of its helper, a subprogram to behind its own.
    let returns_to_caller = next
        .and_then(|next| ctx.decoded.get(next.checked_sub(1)?))
        .is_some_and(|insn| matches!(insn, Ok(Insn::Call(CallTarget::Subprog(_)))));
    let result = returns_to_caller && wanted.wants(Reg::R0);
    wanted.drop(Reg::R0);
    wanted.enter()?;
    if result {
        wanted.want(Reg::R0);
    }
    Ok(())
}
