//! What pruning did, as text: the lines that the kernel logs at level 2 (marks going back, loops,
//! stack liveness) byte for byte, and at level 256 the decisions that it does not tell.

use std::fmt::Write;

use skep_isa::InsnIdx;

use super::log::LOG_ALL;
use super::value::{Extent, FrameText};
use crate::env::Env;
use crate::prune::{InstanceId, LiveEvent, PruneEvent};

/// Decisions of pruning, which the kernel does not log.
pub(crate) const LOG_PRUNE: u32 = 256;

/// Whether such a log tells what pruning did.
pub(crate) fn wants_prune_events(level: u32) -> bool {
    level & (LOG_ALL | LOG_PRUNE) != 0
}

impl Env<'_> {
    /// Forwards an event to the log.
    pub(crate) fn trace_prune(&mut self, event: PruneEvent) {
        let mut text = String::new();
        if self.log_level & LOG_ALL != 0 {
            self.push_kernel_line(&mut text, &event);
        }
        if self.log_level & LOG_PRUNE != 0 {
            push_decision(&mut text, &event);
        }
        if !text.is_empty() {
            self.trace.write(&text);
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of texts, one per event")]
    fn push_kernel_line(&self, text: &mut String, event: &PruneEvent) {
        let _ = match *event {
            PruneEvent::BacktrackSegment {
                frame,
                last_idx,
                first_idx,
                subseq_idx,
            } => {
                let (last, next) = (or_none(last_idx), or_none(subseq_idx));
                writeln!(
                    text,
                    "mark_precise: frame{frame}: last_idx {last} first_idx {first_idx} subseq_idx \
                     {next} "
                )
            }
            PruneEvent::BacktrackInsn {
                frame,
                regs,
                slots,
                idx,
            } => {
                if self.ctx.insns.get(idx).is_some_and(|insn| insn.code == 0) {
                    // The second slot of a 64-bit immediate.
                    return;
                }
                let (regs, slots) = (reg_list(regs), slot_list(slots));
                let _ = write!(
                    text,
                    "mark_precise: frame{frame}: regs={regs} stack={slots} before {idx}: "
                );
                self.scene().push_insn(text, idx);
                writeln!(text)
            }
            PruneEvent::ParentMarks {
                id,
                frame,
                regs,
                slots,
                precise,
            } => {
                let (regs, slots) = (reg_list(regs), slot_list(slots));
                let _ = write!(
                    text,
                    "mark_precise: frame{frame}: parent state regs={regs} stack={slots}: "
                );
                match self.explored.restored(id) {
                    Some(state) if frame <= state.curframe() => {
                        let frame = FrameText::of(self.ctx, &state, frame);
                        FrameText { precise, ..frame }.push(text, Extent::All);
                        Ok(())
                    }
                    Some(_) | None => writeln!(text),
                }
            }
            PruneEvent::AllPrecise { frame } => writeln!(
                text,
                "mark_precise: frame{frame}: falling back to forcing all scalars precise"
            ),
            PruneEvent::ForcedPrecise { frame, regs, slots } => {
                for reg in bits(regs.into()) {
                    let _ = writeln!(
                        text,
                        "force_precise: frame{frame}: forcing r{reg} to be precise"
                    );
                }
                for slot in bits(slots) {
                    let off = -8 * (i64::from(slot) + 1);
                    let _ = writeln!(
                        text,
                        "force_precise: frame{frame}: forcing fp{off} to be precise"
                    );
                }
                Ok(())
            }
            PruneEvent::Propagating { frame, regs, slots } => {
                let regs = bits(regs.into()).map(|reg| format!("r{reg}"));
                let slots = bits(slots).map(|slot| format!("fp{}", -8 * (i64::from(slot) + 1)));
                let all: Vec<String> = regs.chain(slots).collect();
                writeln!(text, "frame {frame}: propagating {}", all.join(","))
            }
            PruneEvent::TooManyRounds => {
                writeln!(text, "propagate_backedges: too many iterations")
            }
            PruneEvent::SccEnter { visit } => self.push_loop(text, "enter", visit),
            PruneEvent::SccExit { visit } => self.push_loop(text, "exit", visit),
            PruneEvent::SccBackedge { visit } => self.push_loop(text, "backedge", visit),
            PruneEvent::Live(event) => self.push_live(text, &event),
            PruneEvent::Stored { .. }
            | PruneEvent::NotStored { .. }
            | PruneEvent::Hit { .. }
            | PruneEvent::Miss { .. }
            | PruneEvent::Evicted { .. }
            | PruneEvent::Cleaned { .. } => Ok(()),
        };
    }

    fn push_loop(&self, text: &mut String, what: &str, visit: u32) -> std::fmt::Result {
        let Some((calls, scc)) = self.explored.visit_chain(visit) else {
            return Ok(());
        };
        write!(text, "SCC {what} (")?;
        // The kernel's list ends at a call in the first slot, which looks like none.
        for call in calls.iter().take_while(|&&call| call != 0) {
            write!(text, "{call},")?;
        }
        writeln!(text, "{scc})")
    }

    fn push_live(&self, text: &mut String, event: &LiveEvent) -> std::fmt::Result {
        match *event {
            LiveEvent::Live {
                of,
                frame,
                idx,
                old,
                new,
            } => self.push_masks(text, of, "live", (frame, idx), old, new),
            LiveEvent::Written {
                of,
                frame,
                idx,
                old,
                new,
            } => self.push_masks(text, of, "written", (frame, idx), old, new),
            LiveEvent::Done { of, sweeps } => {
                self.push_chain(text, of)?;
                writeln!(text, " live stack update done in {sweeps} iterations")
            }
        }
    }

    fn push_masks(
        &self,
        text: &mut String,
        of: InstanceId,
        what: &str,
        (frame, idx): (usize, InsnIdx),
        old: u64,
        new: u64,
    ) -> std::fmt::Result {
        if old == new {
            return Ok(());
        }
        self.push_chain(text, of)?;
        write!(text, " frame {frame} insn {idx} ")?;
        if new & !old != 0 {
            write!(text, "+{what} {} ", slot_list(new & !old))?;
        }
        if old & !new != 0 {
            write!(text, "-{what} {}", slot_list(old & !new))?;
        }
        writeln!(text)
    }

    fn push_chain(&self, text: &mut String, of: InstanceId) -> std::fmt::Result {
        let chain = self.explored.stack_liveness().chain(of);
        let chain: Vec<String> = chain.iter().map(ToString::to_string).collect();
        write!(text, "({})", chain.join(","))
    }
}

/// What the kernel decides without a word.
fn push_decision(text: &mut String, event: &PruneEvent) {
    let _ = match *event {
        PruneEvent::Stored { id, insn_idx } => {
            writeln!(text, "prune: {insn_idx}: state {} remembered", id.0)
        }
        PruneEvent::NotStored {
            insn_idx,
            insns,
            jumps,
        } => writeln!(
            text,
            "prune: {insn_idx}: not remembered, {insns} insns and {jumps} jumps since the last"
        ),
        PruneEvent::Hit {
            id,
            insn_idx,
            in_loop,
        } => {
            let how = if in_loop { ", marks may follow" } else { "" };
            writeln!(text, "prune: {insn_idx}: covered by state {}{how}", id.0)
        }
        PruneEvent::Miss {
            id,
            insn_idx,
            misses,
            hits,
            open,
        } => {
            let how = if open { ", open" } else { "" };
            writeln!(
                text,
                "prune: {insn_idx}: not covered by state {}{how} ({misses} misses, {hits} hits)",
                id.0
            )
        }
        PruneEvent::Evicted {
            id,
            insn_idx,
            misses,
            hits,
        } => writeln!(
            text,
            "prune: {insn_idx}: state {} evicted ({misses} misses, {hits} hits)",
            id.0
        ),
        PruneEvent::Cleaned { id } => writeln!(text, "prune: state {} cleaned", id.0),
        PruneEvent::BacktrackSegment { .. }
        | PruneEvent::BacktrackInsn { .. }
        | PruneEvent::ParentMarks { .. }
        | PruneEvent::AllPrecise { .. }
        | PruneEvent::ForcedPrecise { .. }
        | PruneEvent::Propagating { .. }
        | PruneEvent::TooManyRounds
        | PruneEvent::SccEnter { .. }
        | PruneEvent::SccExit { .. }
        | PruneEvent::SccBackedge { .. }
        | PruneEvent::Live(_) => Ok(()),
    };
}

fn or_none(idx: Option<InsnIdx>) -> i64 {
    idx.map_or(-1, |idx| idx as i64)
}

/// Numbers of the bits that are set, ascending.
fn bits(mask: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |bit| mask >> bit & 1 != 0)
}

fn reg_list(regs: u16) -> String {
    let regs: Vec<String> = bits(regs.into()).map(|reg| format!("r{reg}")).collect();
    regs.join(",")
}

fn slot_list(slots: u64) -> String {
    let offs: Vec<String> = bits(slots)
        .map(|slot| (-8 * (i64::from(slot) + 1)).to_string())
        .collect();
    offs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_listed_from_the_lowest_bit() {
        assert_eq!(reg_list(0b1000_0011), "r0,r1,r7");
        assert_eq!(slot_list(0x15), "-8,-24,-40");
        assert_eq!(slot_list(0), "");
    }
}
