//! What is found out about a program before code is emitted: where jumps land, which registers are alive
//! behind each instruction, which registers functions change, which maps calls name.

use skep_isa::{AluOp, Imm64, Insn, InsnIdx, Operand, Reg, Width};
use skep_sim::{Callee, Linker, LoadError, MapId};

use super::effects::{CALLEE, EVERY, bit, effects};
use crate::options::Mode;

/// Rounds that the search for live registers may take before it gives up.
const ROUNDS: usize = 12;

/// A function of a program: the slots from its entry to the next one's.
#[derive(Clone, Copy, Debug)]
struct Func {
    entry: InsnIdx,
    /// Which of R6 to R9 it mentions.
    mentions: u16,
    /// Which of R6 to R9 it, or what it calls, changes.
    changes: u16,
}

/// What is known of a program.
#[derive(Debug)]
pub(super) struct Plan {
    /// Whether control may come to a slot from elsewhere than the one before it. One more than slots.
    pub(super) lands: Vec<bool>,
    /// What each slot's instruction reads and writes.
    effects: Vec<(u16, u16)>,
    /// Registers that may be read behind a slot's instruction.
    live: Vec<u16>,
    /// The map in R1 at a call, where it is the same on every way there.
    maps: Vec<(InsnIdx, MapId)>,
    /// What each call instruction calls.
    callees: Vec<(InsnIdx, Callee)>,
    funcs: Vec<Func>,
    /// Functions that may be called back.
    pub(super) callbacks: Vec<InsnIdx>,
    /// Registers that some instruction mentions.
    pub(super) mentions: u16,
    /// Whether an instruction writes the frame pointer.
    pub(super) writes_fp: bool,
    pub(super) may_goto: bool,
}

impl Plan {
    pub(super) fn new(
        linker: &Linker<'_>,
        mode: Mode,
        catcher: Option<InsnIdx>,
    ) -> Result<Plan, LoadError> {
        let insns = linker.insns();
        let callbacks = linker.funcs()?;
        let mut plan = Plan {
            lands: vec![false; insns.len() + 1],
            effects: Vec::with_capacity(insns.len()),
            live: Vec::new(),
            maps: Vec::new(),
            callees: Vec::new(),
            funcs: Vec::new(),
            callbacks,
            mentions: 0,
            writes_fp: false,
            may_goto: false,
        };
        let mut entries = plan.scan(linker, mode)?;
        // What catches exceptions is a function too.
        if let Some(catcher) = catcher.filter(|slot| *slot < insns.len()) {
            plan.land(catcher);
            entries.push(catcher);
            entries.sort_unstable();
            entries.dedup();
        }
        plan.live = live(insns, &plan.effects);
        plan.find_maps(linker)?;
        plan.find_funcs(insns, entries, mode);
        Ok(plan)
    }

    /// One look at every instruction. Gives the entries of functions.
    fn scan(&mut self, linker: &Linker<'_>, mode: Mode) -> Result<Vec<InsnIdx>, LoadError> {
        let mut entries = vec![0];
        for (idx, insn) in linker.insns().iter().enumerate() {
            let (uses, defs) = effects(insn, mode);
            self.effects.push((uses, defs));
            // What calls use and change is counted where it matters.
            if !matches!(insn, Insn::Call(_) | Insn::CallReg(_)) {
                self.mentions |= uses | defs;
                self.writes_fp |= defs & bit(Reg::R10) != 0;
            }
            if let Some(off) = insn.jump_off() {
                self.land(linker.target(idx, off)?);
            }
            self.may_goto |= matches!(insn, Insn::MayGoto { .. });
            if let Insn::Call(target) = *insn {
                let callee = linker.callee(idx, target)?;
                if let Callee::Subprog(to) = callee {
                    self.land(to);
                    entries.push(to);
                }
                self.callees.push((idx, callee));
            }
        }
        for at in 0..self.callbacks.len() {
            if let Some(&to) = self.callbacks.get(at) {
                self.land(to);
                entries.push(to);
            }
        }
        entries.sort_unstable();
        entries.dedup();
        Ok(entries)
    }

    fn land(&mut self, slot: InsnIdx) {
        if let Some(lands) = self.lands.get_mut(slot) {
            *lands = true;
        }
    }

    /// Whether control comes to a slot only from the one before it.
    pub(super) fn is_inner(&self, slot: InsnIdx) -> bool {
        self.lands.get(slot).is_some_and(|lands| !lands)
    }

    /// Whether a register's value behind an instruction may be read.
    pub(super) fn is_live(&self, idx: InsnIdx, reg: Reg) -> bool {
        self.live.get(idx).is_none_or(|live| live & bit(reg) != 0)
    }

    /// The map that R1 holds at a call.
    pub(super) fn map_at(&self, idx: InsnIdx) -> Option<MapId> {
        let at = self.maps.binary_search_by_key(&idx, |m| m.0).ok()?;
        self.maps.get(at).map(|m| m.1)
    }

    /// What a call calls.
    pub(super) fn callee(&self, idx: InsnIdx) -> Option<&Callee> {
        let at = self.callees.binary_search_by_key(&idx, |c| c.0).ok()?;
        self.callees.get(at).map(|c| &c.1)
    }

    /// All calls.
    pub(super) fn callees(&self) -> &[(InsnIdx, Callee)] {
        &self.callees
    }

    /// Which of R6 to R9 a call at `idx` of the function at `to` must keep for its caller.
    pub(super) fn kept(&self, idx: InsnIdx, to: InsnIdx) -> u16 {
        let caller = self.func_of(idx).map_or(CALLEE, |f| f.mentions);
        let callee = self.func_of(to).map_or(CALLEE, |f| f.changes);
        caller & callee
    }

    fn func_of(&self, idx: InsnIdx) -> Option<&Func> {
        let behind = self.funcs.partition_point(|f| f.entry <= idx);
        self.funcs.get(behind.checked_sub(1)?)
    }

    /// Follows map addresses from the loads that name them to calls, as far as no jump lands between.
    fn find_maps(&mut self, linker: &Linker<'_>) -> Result<(), LoadError> {
        if self.callees.is_empty() {
            return Ok(());
        }
        let mut held: [Option<MapId>; 11] = [None; 11];
        for (idx, insn) in linker.insns().iter().enumerate() {
            if self.lands.get(idx).copied().unwrap_or(true) {
                held = [None; 11];
            }
            if let Insn::Call(_) = insn
                && let Some(map) = held[1]
            {
                self.maps.push((idx, map));
            }
            let (_, defs) = effects(insn, Mode::Verified);
            let mut moved = None;
            if let Insn::LoadImm64 {
                imm: Imm64::Map(map) | Imm64::MapIdx(map),
                ..
            } = *insn
            {
                moved = Some(linker.map(idx, map)?);
            } else if let Insn::Alu {
                op: AluOp::Mov,
                width: Width::W64,
                src: Operand::Reg(src),
                ..
            } = *insn
            {
                moved = held[src.index()];
            }
            if defs != 0 {
                for reg in Reg::ALL {
                    if defs & bit(reg) != 0 {
                        held[reg.index()] = moved;
                    }
                }
            }
        }
        Ok(())
    }

    fn find_funcs(&mut self, insns: &[Insn], entries: Vec<InsnIdx>, mode: Mode) {
        if mode == Mode::Sandboxed || self.callees.is_empty() {
            // Unproved functions may jump into each other; nothing is known of them.
            return;
        }
        for (at, &entry) in entries.iter().enumerate() {
            let end = entries.get(at + 1).copied().unwrap_or(insns.len());
            let (mut mentions, mut changes) = (0, 0);
            for (uses, defs) in self.effects.get(entry..end).unwrap_or_default() {
                mentions |= uses | defs;
                changes |= defs;
            }
            self.funcs.push(Func {
                entry,
                mentions: mentions & CALLEE,
                changes: changes & CALLEE,
            });
        }
        // A call chain is no longer than there are functions.
        for _ in 0..self.funcs.len() {
            if !self.spread_changes() {
                break;
            }
        }
    }

    /// Adds to each function what those it calls change. Whether anything was new.
    fn spread_changes(&mut self) -> bool {
        let mut grew = false;
        let callees = std::mem::take(&mut self.callees);
        for (idx, callee) in &callees {
            let more = match callee {
                Callee::Subprog(to) => self.func_of(*to).map_or(CALLEE, |f| f.changes),
                Callee::TailCall => CALLEE,
                Callee::Function(..) | Callee::Trap(_) => 0,
            };
            let behind = self.funcs.partition_point(|f| f.entry <= *idx);
            if let Some(func) = behind.checked_sub(1).and_then(|at| self.funcs.get_mut(at)) {
                grew |= more & !func.changes != 0;
                func.changes |= more;
            }
        }
        self.callees = callees;
        grew
    }
}

/// Registers that may be read behind each instruction.
fn live(insns: &[Insn], effects: &[(u16, u16)]) -> Vec<u16> {
    // Read before each slot; nothing is read behind the end.
    let mut before = vec![0u16; insns.len() + 2];
    let mut live = vec![0u16; insns.len()];
    let mut loops = false;
    for _ in 0..ROUNDS {
        // Only what a jump back reads can still change.
        let mut changed = false;
        for ((idx, insn), (uses, defs)) in insns.iter().enumerate().zip(effects).rev() {
            let next = before.get(idx + 1).copied().unwrap_or(0);
            let mut back = false;
            let to = insn.jump_off().map_or(0, |off| {
                let to = (idx as i64 + 1 + i64::from(off)) as usize;
                back = to <= idx;
                before.get(to).copied().unwrap_or(0)
            });
            loops |= back;
            let out = if matches!(insn, Insn::Goto { .. }) {
                to
            } else if matches!(insn, Insn::Exit) {
                0
            } else {
                next | to
            };
            let read = uses | out & !defs;
            if let Some(known) = before.get_mut(idx) {
                changed |= *known != read;
                *known = read;
            }
            if let Some(known) = live.get_mut(idx) {
                *known = out;
            }
        }
        if !changed || !loops {
            return live;
        }
    }
    vec![EVERY; insns.len()]
}
