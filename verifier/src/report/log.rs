//! The kernel's log, written while walking: what `bpf_verifier_log` of Linux 6.18 holds, byte for
//! byte, but for addresses and times.
//!
//! Below level 2 the log keeps only the path under way: it goes back to where a branch was pushed when
//! the branch is taken up, and is dropped where a function turned out to be safe.

use std::fmt::Write;

use skep_isa::{AtomicOp, Insn, InsnIdx, Operand, Reg};
use skep_spec::{Facts, ProgType, ProgramSpec};

use super::scene::Scene;
use super::value::{Extent, FrameText};
use super::{Trace, message};
use crate::Stats;
use crate::env::Env;
use crate::prepare::{self, GlobalArg, func_info};
use crate::state::{Precise, Region, Value};
use crate::strings::cut;
use crate::violation::{Stop, Violation};

/// Bytes that the kernel writes at a time: longer source lines are cut.
const MAX_PIECE: usize = 1023;
/// The log itself: instructions and states.
pub(crate) const LOG: u32 = 1 | 2;
/// Every path, and what decided about pruning.
pub(crate) const LOG_ALL: u32 = 2;
/// Statistics.
pub(crate) const LOG_STATS: u32 = 4;

/// What is written decides how the next piece is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogState {
    /// File and line that was shown last.
    line: Option<(u32, u32)>,
    /// Where the last instruction's line ended, and its length.
    insn_end: usize,
    insn_len: usize,
    /// A branch was taken up whose state was not shown.
    resumed: bool,
    /// Static subprograms of which it was told that their calls do not fit their BTF.
    misfits: Vec<usize>,
}

impl Env<'_> {
    /// Where the log is now.
    #[inline]
    pub(crate) fn log_position(&self) -> usize {
        if self.log_level == 0 {
            0
        } else {
            self.trace.position()
        }
    }

    /// Goes back to where the log was; at level 2 everything is kept.
    #[inline]
    pub(crate) fn log_rewind(&mut self, position: usize) {
        if self.log_level != 0 && self.log_level & LOG_ALL == 0 {
            self.trace.rewind(position);
        }
    }

    /// Whether instructions and states are to be written.
    #[inline]
    fn logs(&self) -> bool {
        self.log_level & LOG != 0
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            spec: self.ctx.spec,
            facts: self.ctx.facts,
        }
    }

    /// The program was prepared: its live registers, and why its declaration is of no use.
    pub(crate) fn log_prepared(&mut self) {
        if self.log_level & LOG_ALL != 0 {
            self.write_live_regs();
        }
        if self.log_level != 0
            && self.ctx.spec.ty != ProgType::Ext
            && let Some(Err(violation)) = self.ctx.subprogs.first().map(|main| &main.args)
        {
            let text = message::text(self.scene(), &violation.clone().into());
            self.trace.write(&format!("{text}\n"));
        }
    }

    fn write_live_regs(&mut self) {
        let mut text = "Live regs before insn:\n".to_owned();
        let mut idx = 0;
        while let Some(flow) = self.ctx.flow.get(idx) {
            match flow.scc {
                0 => text.push_str("    "),
                scc => {
                    let _ = write!(text, "{scc:3} ");
                }
            }
            let _ = write!(text, "{idx:3}: ");
            text.extend((0..10u8).map(|reg| match flow.live_regs >> reg & 1 {
                0 => '.',
                _ => char::from(b'0' + reg),
            }));
            text.push(' ');
            self.scene().push_insn(&mut text, idx);
            text.push('\n');
            idx += if self.ctx.insns[idx].is_ld_imm64() {
                2
            } else {
                1
            };
        }
        self.trace.write(&text);
    }

    /// The instruction that is about to be checked, with what is still to be shown of the state before.
    /// `resumed`: the path was taken up here, or came back from a subprogram.
    #[inline]
    pub(crate) fn log_insn(&mut self, resumed: bool) {
        if self.logs() {
            self.write_insn(resumed);
        }
    }

    fn write_insn(&mut self, resumed: bool) {
        self.log.resumed |= resumed;
        let idx = self.state.insn_idx;
        if self.log_level & LOG_ALL != 0 && self.log.resumed {
            let prev = self.state.last_insn_idx.map_or(-1, |idx| idx as i64);
            let mut text = format!("\nfrom {prev} to {idx}:");
            self.current_frame().push(&mut text, Extent::All);
            self.trace.write(&text);
            self.log.resumed = false;
        }
        if self.state.scratched != Precise::default() {
            self.write_insn_state();
        }
        let mut text = String::new();
        self.push_line(&mut text, idx);
        let start = self.trace.position() + text.len();
        let _ = write!(text, "{idx}: ");
        self.scene().push_insn(&mut text, idx);
        text.push('\n');
        self.trace.write(&text);
        self.log.insn_end = self.trace.position();
        self.log.insn_len = self.log.insn_end - start;
        if let Some(Ok(insn)) = self.ctx.decoded.get(idx) {
            // What an instruction looks at is shown like what it changes.
            self.state.scratched.regs |= regs_named(insn);
        }
    }

    /// What the instruction changed, as far as the log was not told.
    #[inline]
    pub(crate) fn log_insn_state(&mut self) {
        if self.logs() {
            self.write_insn_state();
        }
    }

    /// On the instruction's own line, if that was the last thing written (`print_insn_state`).
    fn write_insn_state(&mut self) {
        let end = self.trace.position();
        let mut text = String::new();
        if end != 0 && self.log.insn_end == end {
            self.trace.rewind(end - 1);
            text.extend(std::iter::repeat_n(' ', padding(self.log.insn_len)));
            text.push(';');
        } else {
            let _ = write!(text, "{}:", self.state.insn_idx);
        }
        self.current_frame()
            .push(&mut text, Extent::Only(self.state.scratched));
        self.state.scratched = Precise::default();
        self.trace.write(&text);
    }

    fn current_frame(&self) -> FrameText<'_> {
        FrameText::of(self.ctx, &self.state, self.state.curframe())
    }

    /// The source line of a slot, unless it was the last one shown (`verbose_linfo`).
    fn push_line(&mut self, text: &mut String, idx: InsnIdx) {
        // Records begin at the first slot, so that there is always one.
        let Some(info) = self.ctx.spec.line_at(idx) else {
            return;
        };
        let key = (info.file_name_off, info.line());
        if self.log.line.replace(key) == Some(key) {
            return;
        }
        let scene = self.scene();
        let line = scene.string(info.line_off);
        let path = scene.string(info.file_name_off);
        let file = path.rsplit('/').next().unwrap_or_default();
        let line = cut(line.trim_start_matches(is_c_space), MAX_PIECE);
        let _ = writeln!(text, "; {line} @ {file}:{}", info.line());
    }

    /// The path ended where a remembered state covers it.
    #[inline]
    pub(crate) fn log_pruned(&mut self, resumed: bool) {
        if !self.logs() {
            return;
        }
        self.log.resumed |= resumed;
        let idx = self.state.insn_idx;
        let text = if self.log.resumed {
            let prev = self.state.last_insn_idx.map_or(-1, |idx| idx as i64);
            format!("\nfrom {prev} to {idx}: safe\n")
        } else {
            format!("{idx}: safe\n")
        };
        self.trace.write(&text);
    }

    /// A subprogram is about to be walked on its own.
    pub(crate) fn log_validating(&mut self, subprog: usize) {
        self.log.line = None;
        self.log.resumed = false;
        if self.log_level != 0 {
            let name = self.ctx.subprogs.get(subprog).map_or("", |s| &s.name);
            self.trace
                .write(&format!("Validating {name}() func#{subprog}...\n"));
        }
    }

    /// A global subprogram is safe.
    pub(crate) fn log_subprog_safe(&mut self, subprog: usize) {
        if self.logs() {
            let name = self.ctx.subprogs.get(subprog).map_or("", |s| &s.name);
            self.trace.write(&format!(
                "Func#{subprog} ('{name}') is safe for any args that match its prototype\n"
            ));
        }
    }

    /// All paths of the main program or of a global subprogram were walked: below level 2 nothing of
    /// them is kept.
    pub(crate) fn log_subprog_done(&mut self) {
        self.log_rewind(0);
    }

    /// A global subprogram is called; it is verified on its own.
    pub(crate) fn log_global_call(&mut self, subprog: usize) {
        if self.log_level != 0 {
            let name = self.ctx.subprogs.get(subprog).map_or("", |s| &s.name);
            self.trace.write(&format!(
                "Func#{subprog} ('{name}') is global and assumed valid.\n"
            ));
        }
    }

    /// A subprogram was entered: to be called when its frame is the current one.
    pub(crate) fn log_entered(&mut self) {
        if !self.logs() || self.state.curframe() == 0 {
            return;
        }
        self.log_misfit(self.state.cur().subprog);
        let mut text = "caller:\n".to_owned();
        self.push_frame(&mut text, self.state.curframe() - 1);
        text.push_str("callee:\n");
        self.push_frame(&mut text, self.state.curframe());
        self.trace.write(&text);
        self.state.scratch_all();
    }

    /// A static subprogram is about to be entered with the arguments in the current frame: the first
    /// that does not fit its BTF, which binds nobody, is told once.
    pub(crate) fn log_misfit(&mut self, index: usize) {
        if self.log_level == 0 || self.log.misfits.contains(&index) {
            return;
        }
        let Some(subprog) = self.ctx.subprogs.get(index) else {
            return;
        };
        let args = func_info::static_arguments(self.ctx, subprog).unwrap_or_default();
        for (nth, (reg, arg)) in Reg::ARGS.into_iter().zip(args).enumerate() {
            let value = self.state.reg(reg);
            let is_number = matches!(value, Value::Scalar(_));
            let is_ctx = value.pointer().is_some_and(|p| p.region == Region::Ctx);
            let text = match arg {
                GlobalArg::Scalar if !is_number => format!("R{} is not a scalar\n", reg.index()),
                GlobalArg::Ctx if !is_ctx => format!("arg#{nth} expects pointer to ctx\n"),
                GlobalArg::Scalar
                | GlobalArg::Ctx
                | GlobalArg::Mem { .. }
                | GlobalArg::Arena
                | GlobalArg::Dynptr
                | GlobalArg::Btf { .. } => continue,
            };
            self.log.misfits.push(index);
            self.trace.write(&text);
            return;
        }
    }

    /// A subprogram is about to be left for `to`: to be called while its frame is the current one, but
    /// the caller has its result.
    pub(crate) fn log_leaving(&mut self, to: InsnIdx) {
        if !self.logs() || self.state.curframe() == 0 {
            return;
        }
        let mut text = "returning from callee:\n".to_owned();
        self.push_frame(&mut text, self.state.curframe());
        let _ = writeln!(text, "to caller at {to}:");
        self.push_frame(&mut text, self.state.curframe() - 1);
        self.trace.write(&text);
    }

    /// `bpf_loop` will not call its callback once more.
    pub(crate) fn log_loop_limit(&mut self) {
        if self.log_level & LOG_ALL != 0 {
            let frame = self.state.curframe();
            self.trace
                .write(&format!("frame{frame} bpf_loop iteration limit reached\n"));
        }
    }

    fn push_frame(&self, text: &mut String, number: usize) {
        FrameText::of(self.ctx, &self.state, number).push(text, Extent::All);
    }

    /// Why the program is refused.
    pub(crate) fn log_violation(&mut self, violation: &Violation) {
        if self.log_level == 0 {
            return;
        }
        let mut text = String::new();
        let line = message::shows_line(violation);
        if self.at_insn && line == message::ShowsLine::Before {
            self.push_line(&mut text, self.state.insn_idx);
        }
        text.push_str(&message::text(self.scene(), violation));
        if !text.is_empty() && message::ends_line(violation) {
            text.push('\n');
        }
        if self.at_insn && line == message::ShowsLine::After {
            self.push_line(&mut text, self.state.insn_idx);
        }
        self.trace.write(&text);
    }

    /// Something that the kernel complains of, but goes on.
    pub(crate) fn log_notice(&mut self, violation: impl Into<Violation>) {
        if self.log_level != 0 {
            let text = message::text(self.scene(), &violation.into());
            self.trace.write(&format!("{text}\n"));
        }
    }

    /// The closing line, and statistics before it. There is no clock here, so no time is told.
    pub(crate) fn log_closing(&mut self, stats: &Stats) {
        if self.log_level == 0 {
            return;
        }
        let mut text = String::new();
        push_counts(&mut text, self.log_level, self.ctx.facts, stats);
        self.trace.write(&text);
    }

    /// The way to the current instruction: every place where the path did not go on to the next slot,
    /// as (where it arrived, where it came from), oldest first.
    pub(crate) fn path(&self) -> Vec<(InsnIdx, InsnIdx)> {
        let mut jumps = Vec::new();
        let mut next = Some((self.state.history, self.state.parent));
        while let Some((history, parent)) = next {
            let entries = self.explored.entries.back(history);
            let ways = entries.filter_map(|entry| Some((entry.idx(), entry.prev()?)));
            jumps.extend(ways.filter(|&(idx, prev)| self.next_slot(prev) != idx));
            next = parent.and_then(|id| self.explored.history(id));
        }
        jumps.reverse();
        jumps
    }

    fn next_slot(&self, idx: InsnIdx) -> InsnIdx {
        let is_wide = self
            .ctx
            .insns
            .get(idx)
            .is_some_and(|insn| insn.is_ld_imm64());
        idx + if is_wide { 2 } else { 1 }
    }
}

/// Registers that an instruction's fields name: those that it looks at or writes.
pub(super) fn regs_named(insn: &Insn) -> u16 {
    let bit = |reg: Reg| 1 << reg.index();
    let operand = |operand: Operand| match operand {
        Operand::Reg(reg) => bit(reg),
        Operand::Imm(_) => 0,
    };
    match *insn {
        Insn::Alu { dst, src, .. } | Insn::Jump { dst, src, .. } => bit(dst) | operand(src),
        Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => bit(dst) | bit(src),
        Insn::Neg { dst, .. } | Insn::Endian { dst, .. } | Insn::LoadImm64 { dst, .. } => bit(dst),
        Insn::Load { dst, base, .. } | Insn::LoadAcquire { dst, base, .. } => bit(dst) | bit(base),
        Insn::Store { base, src, .. } => bit(base) | operand(src),
        Insn::StoreRelease { base, src, .. } => bit(base) | bit(src),
        Insn::Atomic { op, base, src, .. } => {
            let old = if op == AtomicOp::Cmpxchg {
                bit(Reg::R0)
            } else {
                0
            };
            bit(base) | bit(src) | old
        }
        Insn::LoadPacket { index, .. } => bit(Reg::R6) | index.map_or(0, bit),
        Insn::Exit
        | Insn::Imm64Hi
        | Insn::Goto { .. }
        | Insn::MayGoto { .. }
        | Insn::Call(_)
        | Insn::CallReg(_) => 0,
    }
}

/// Where subprograms begin.
pub(crate) fn log_subprogs(starts: &[InsnIdx], trace: &mut dyn Trace) {
    if trace.level() & LOG_ALL == 0 {
        return;
    }
    let mut text = String::new();
    for (index, start) in starts.iter().enumerate() {
        let _ = writeln!(text, "func#{index} @{start}");
    }
    trace.write(&text);
}

/// Why a program is refused before any path is walked.
pub(crate) fn log_unprepared(
    stop: &Stop,
    spec: &ProgramSpec,
    facts: &Facts,
    trace: &mut dyn Trace,
) {
    let Stop::Rejected(violation) = stop else {
        return;
    };
    let mut text = message::text(Scene { spec, facts }, violation);
    if trace.level() == 0 || text.is_empty() {
        return;
    }
    if message::ends_line(violation) {
        text.push('\n');
    }
    let stack_depths = vec![0; prepare::count_subprogs(spec, facts, violation)];
    let stats = Stats {
        stack_depths,
        ..Stats::default()
    };
    push_counts(&mut text, trace.level(), facts, &stats);
    trace.write(&text);
}

fn push_counts(text: &mut String, level: u32, facts: &Facts, stats: &Stats) {
    if level & LOG_STATS != 0 {
        let depths: Vec<String> = stats.stack_depths.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "stack depth {}", depths.join("+"));
    }
    let _ = writeln!(
        text,
        "processed {} insns (limit {}) max_states_per_insn {} total_states {} peak_states {} \
         mark_read 0",
        stats.total_insns,
        facts.limits().processed,
        stats.max_states_per_insn,
        stats.total_states,
        stats.peak_states,
    );
}

/// Spaces between an instruction of that length, newline included, and the state behind it
/// (`vlog_alignment`).
fn padding(len: usize) -> usize {
    const MIN: usize = 8;
    const USUAL: usize = 40;
    (len + MIN / 2).max(USUAL).next_multiple_of(MIN) - len - 1
}

/// Spaces as C's `isspace` has them.
fn is_c_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}
