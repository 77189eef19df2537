//! Addresses of subprograms that no path entered.
//!
//! Instructions that no path came to are removed. An address that a living instruction takes of a
//! removed subprogram is not put right: it goes on leading to the same place of the shorter program. The JIT
//! wants a subprogram to begin there (`jit_subprogs`).

use skep_isa::{InsnIdx, pseudo};

use crate::env::Env;
use crate::violation::{Check, LimitViolation};

impl Env<'_> {
    /// Refuses addresses that lead nowhere once dead code is gone.
    pub(super) fn check_addresses(&self) -> Check<()> {
        if !self.ctx.facts.environment().jit || !self.ctx.facts.lane().bpf {
            return Ok(());
        }
        let subprogs = &self.ctx.subprogs;
        let alive = subprogs
            .iter()
            .filter(|s| (s.start..s.end).any(|idx| self.is_seen(idx)));
        if alive.count() < 2 {
            // A program without subprograms has no addresses to put right.
            return Ok(());
        }
        for (idx, insn) in self.ctx.insns.iter().enumerate() {
            let address = insn.is_ld_imm64() && insn.src() == pseudo::FUNC;
            if !address || !self.is_seen(idx) {
                continue;
            }
            let entry = idx as i64 + 1 + i64::from(insn.imm);
            let Ok(entry) = usize::try_from(entry) else {
                continue;
            };
            let place = self.place_after_removal(entry);
            if !subprogs.iter().any(|s| s.start == place) {
                let target = self.position_after_removal(place);
                return Err(LimitViolation::RemovedSubprog { target }.into());
            }
        }
        Ok(())
    }

    /// Slots that no path came to.
    pub(crate) fn dead(&self) -> Vec<InsnIdx> {
        let slots = 0..self.learned.insns.len();
        slots.filter(|&idx| !self.is_seen(idx)).collect()
    }

    /// Whether some path came to a slot; the second slot of an immediate load shares its first one's.
    fn is_seen(&self, idx: InsnIdx) -> bool {
        let seen = |idx: InsnIdx| self.learned.insns.get(idx).is_some_and(|insn| insn.seen);
        let second = || {
            idx.checked_sub(1)
                .is_some_and(|idx| self.ctx.insns[idx].is_ld_imm64() && seen(idx))
        };
        seen(idx) || second()
    }

    /// The instruction that comes to lie where `target` was: as far behind the removed run as the
    /// target was behind the run's beginning. It may be behind the program's end.
    fn place_after_removal(&self, mut target: InsnIdx) -> InsnIdx {
        let len = self.learned.insns.len();
        while target < len && !self.is_seen(target) {
            let start = (0..target)
                .rev()
                .find(|&idx| self.is_seen(idx))
                .map_or(0, |idx| idx + 1);
            let end = (target..len).find(|&idx| self.is_seen(idx)).unwrap_or(len);
            target = end + (target - start);
        }
        target
    }

    fn position_after_removal(&self, target: InsnIdx) -> InsnIdx {
        let len = self.learned.insns.len();
        let before = (0..target.min(len))
            .filter(|&idx| self.is_seen(idx))
            .count();
        before + target.saturating_sub(len)
    }
}
