//! What is found out about a program before code is emitted: where jumps land, which registers it
//! mentions, which registers functions change, which maps calls name.

use skep_isa::{AluOp, Imm64, Insn, InsnIdx, Operand, RawInsn, Reg, Width, class};
use skep_sim::{Callee, Linker, LoadError, MapId, Sim};

use super::effects::{CALLEE, bit, effects};
use super::{Request, fold};
use crate::options::{Mode, Opt};

/// Classes of instructions that write their destination, as bits.
const WRITING: u8 = 1 << class::ALU64 | 1 << class::ALU | 1 << class::LDX | 1 << class::LD;

/// A function of a program: the slots from its entry to the next one's.
#[derive(Clone, Copy, Debug)]
struct Func {
    entry: InsnIdx,
    /// Which of R6 to R9 it mentions.
    mentions: u16,
    /// Which of R6 to R9 it, or what it calls, changes.
    changes: u16,
}

/// A slot that jumps lead back to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Loop {
    pub(super) head: InsnIdx,
    /// Slots from there to the last of these jumps.
    pub(super) slots: usize,
}

impl Loop {
    /// Where there is none.
    const NONE: Loop = Loop {
        head: InsnIdx::MAX,
        slots: 0,
    };
}

/// What is known of a program.
#[derive(Debug)]
pub(super) struct Plan {
    /// Whether control may come to a slot from elsewhere than the one before it. One more than slots.
    pub(super) lands: Vec<bool>,
    /// Slots that a jump leads back to, in order.
    loops: Vec<Loop>,
    /// The map in R1 at a call, where it is the same on every way there.
    maps: Vec<(InsnIdx, MapId)>,
    /// The map in R2 and the number in R3 at a tail call, likewise.
    tails: Vec<(InsnIdx, MapId, u32)>,
    /// What each call instruction calls.
    callees: Vec<(InsnIdx, Callee)>,
    /// Where functions begin, in any order.
    entries: Vec<InsnIdx>,
    funcs: Vec<Func>,
    /// Which slots control never comes to; empty where nothing is known.
    dead: Vec<bool>,
    /// Loads whose values are known.
    pub(super) folded: Vec<(InsnIdx, u64)>,
    /// Functions that may be called back.
    pub(super) callbacks: Vec<InsnIdx>,
    /// Registers that some instruction mentions, and perhaps others.
    pub(super) mentions: u16,
    /// Whether an instruction may write the frame pointer.
    pub(super) writes_fp: bool,
    pub(super) may_goto: bool,
    /// Whether an instruction names the value of a map.
    names_values: bool,
    /// Whether each instruction, calls aside, is compiled to code that needs no state and cannot trap
    /// where it is proved.
    pub(super) plain: bool,
}

impl Plan {
    pub(super) fn new(request: &Request<'_>) -> Result<Plan, LoadError> {
        let linker = request.linker;
        let insns = linker.insns();
        let mut plan = Plan {
            lands: vec![false; insns.len() + 1],
            loops: Vec::new(),
            maps: Vec::new(),
            tails: Vec::new(),
            callees: Vec::new(),
            entries: Vec::new(),
            funcs: Vec::new(),
            dead: dead(request),
            folded: Vec::new(),
            callbacks: Vec::new(),
            mentions: 0,
            writes_fp: false,
            may_goto: false,
            names_values: false,
            plain: request.probes.is_empty(),
        };
        let mut entries = plan.scan(request)?;
        let proved = request.mode == Mode::Verified;
        if proved && plan.names_values && request.opts.has(Opt::FoldConstants) {
            plan.folded = fold::constants(linker, &plan.lands)?;
        }
        // What catches exceptions is a function too.
        if let Some(catcher) = request.catcher.filter(|slot| *slot < insns.len()) {
            plan.land(catcher);
            entries.push(catcher);
        }
        if !plan.callees.is_empty() {
            plan.find_maps(linker)?;
            plan.find_funcs(insns, entries.clone(), request.mode);
        }
        plan.entries = entries;
        Ok(plan)
    }

    /// One look at every instruction that there is something to say of. Gives the entries of functions, in
    /// any order.
    fn scan(&mut self, request: &Request<'_>) -> Result<Vec<InsnIdx>, LoadError> {
        let mut entries = vec![0];
        (self.mentions, self.writes_fp) = registers(request.raw);
        for &idx in request.linker.others() {
            self.scan_insn(request, idx, &mut entries)?;
        }
        self.callbacks.sort_unstable();
        self.callbacks.dedup();
        // The longest of those with the same head comes first.
        self.loops
            .sort_unstable_by_key(|l| (l.head, std::cmp::Reverse(l.slots)));
        self.loops.dedup_by_key(|l| l.head);
        Ok(entries)
    }

    /// A look at an instruction.
    fn scan_insn(
        &mut self,
        request: &Request<'_>,
        idx: InsnIdx,
        entries: &mut Vec<InsnIdx>,
    ) -> Result<(), LoadError> {
        let linker = request.linker;
        let Some(insn) = linker.insns().get(idx).filter(|_| !self.is_dead(idx)) else {
            return Ok(());
        };
        match *insn {
            Insn::Alu { .. }
            | Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::Imm64Hi
            | Insn::Load { .. }
            | Insn::Exit => {}
            // The class does not say that these write a register.
            Insn::LoadAcquire { dst, .. } => self.writes_fp |= dst == Reg::R10,
            Insn::Atomic { src, .. } => self.writes_fp |= src == Reg::R10,
            Insn::Store { size, off, .. } | Insn::StoreRelease { size, off, .. } => {
                if Sim::may_narrow_ctx_field(request.ty, off, size.bytes()) {
                    self.plain = false;
                }
            }
            Insn::Jump { off, .. } => self.jump(idx, linker.target(idx, off.into())?),
            Insn::Goto { off, .. } => self.jump(idx, linker.target(idx, off)?),
            Insn::MayGoto { off } => {
                self.jump(idx, linker.target(idx, off.into())?);
                (self.may_goto, self.plain) = (true, false);
            }
            Insn::LoadImm64 { imm, .. } => {
                self.plain &= matches!(linker.wide(idx, imm), Ok(Ok(_)));
                self.names_values |=
                    matches!(imm, Imm64::MapValue { .. } | Imm64::MapIdxValue { .. });
                if let Imm64::Func(off) = imm {
                    let to = linker.target(idx, off)?;
                    self.land(to);
                    self.callbacks.push(to);
                    entries.push(to);
                }
            }
            Insn::Call(target) => {
                let callee = linker.callee(idx, target)?;
                if let Callee::Subprog(to) = callee {
                    self.land(to);
                    entries.push(to);
                }
                self.callees.push((idx, callee));
            }
            Insn::AddrSpaceCast { .. } | Insn::LoadPacket { .. } | Insn::CallReg(_) => {
                self.plain = false;
            }
        }
        Ok(())
    }

    fn jump(&mut self, idx: InsnIdx, to: InsnIdx) {
        self.land(to);
        if to <= idx {
            let slots = idx - to + 1;
            self.loops.push(Loop { head: to, slots });
        }
    }

    fn land(&mut self, slot: InsnIdx) {
        if let Some(lands) = self.lands.get_mut(slot) {
            *lands = true;
        }
    }

    /// The first loop from `idx` on; [`Loop::NONE`] if there is none.
    pub(super) fn loop_from(&self, idx: InsnIdx) -> Loop {
        let before = self.loops.partition_point(|l| l.head < idx);
        self.loops.get(before).copied().unwrap_or(Loop::NONE)
    }

    /// Whether control never comes to a slot.
    #[inline]
    pub(super) fn is_dead(&self, slot: InsnIdx) -> bool {
        self.dead.get(slot).copied().unwrap_or(false)
    }

    /// Whether control, once at `from`, comes to `to` without a jump, over nothing but dead code.
    pub(super) fn falls_to(&self, from: InsnIdx, to: InsnIdx) -> bool {
        from <= to && (from..to).all(|slot| self.is_dead(slot))
    }

    /// Whether control comes to a slot only from the one before it.
    pub(super) fn is_inner(&self, slot: InsnIdx) -> bool {
        self.lands.get(slot).is_some_and(|lands| !lands)
    }

    /// The map that R1 holds at a call.
    pub(super) fn map_at(&self, idx: InsnIdx) -> Option<MapId> {
        let at = self.maps.binary_search_by_key(&idx, |m| m.0).ok()?;
        self.maps.get(at).map(|m| m.1)
    }

    /// The map and the index of a tail call, where both are known.
    pub(super) fn tail_at(&self, idx: InsnIdx) -> Option<(MapId, u32)> {
        let at = self.tails.binary_search_by_key(&idx, |t| t.0).ok()?;
        self.tails.get(at).map(|t| (t.1, t.2))
    }

    /// Where functions begin, in any order.
    pub(super) fn entries(&self) -> &[InsnIdx] {
        &self.entries
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
        let mut held: [Option<Held>; 11] = [None; 11];
        for (idx, insn) in linker.insns().iter().enumerate() {
            if self.lands.get(idx).copied().unwrap_or(true) {
                held = [None; 11];
            }
            if let Insn::Call(_) = insn {
                if let Some(Held::Map(map)) = held[1] {
                    self.maps.push((idx, map));
                }
                if let (Some(Held::Map(map)), Some(Held::Number(index))) = (held[2], held[3]) {
                    self.tails.push((idx, map, index));
                }
            }
            let (_, mut defs) = effects(insn, Mode::Verified);
            // A tail call that fails changes no R0, but any other call does.
            if matches!(insn, Insn::Call(_) | Insn::CallReg(_)) {
                defs |= bit(Reg::R0);
            }
            if defs != 0 {
                let moved = held_by(linker, &held, idx, insn)?;
                for reg in Reg::ALL {
                    if defs & bit(reg) != 0 {
                        held[reg.index()] = moved;
                    }
                }
            }
        }
        Ok(())
    }

    fn find_funcs(&mut self, insns: &[Insn], mut entries: Vec<InsnIdx>, mode: Mode) {
        if mode == Mode::Sandboxed {
            // Unproved functions may jump into each other; nothing is known of them.
            return;
        }
        entries.sort_unstable();
        entries.dedup();
        for (at, &entry) in entries.iter().enumerate() {
            let end = entries.get(at + 1).copied().unwrap_or(insns.len());
            let (mut mentions, mut changes) = (0, 0);
            for insn in insns.get(entry..end).unwrap_or_default() {
                let (uses, defs) = effects(insn, mode);
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

/// What a register is known to hold.
#[derive(Clone, Copy)]
enum Held {
    Map(MapId),
    Number(u32),
}

/// What an instruction puts into the register it writes, if that is known.
fn held_by(
    linker: &Linker<'_>,
    held: &[Option<Held>; 11],
    idx: InsnIdx,
    insn: &Insn,
) -> Result<Option<Held>, LoadError> {
    if let Insn::LoadImm64 {
        imm: Imm64::Map(map) | Imm64::MapIdx(map),
        ..
    } = *insn
    {
        return Ok(Some(Held::Map(linker.map(idx, map)?)));
    }
    let Insn::Alu {
        op: AluOp::Mov,
        width,
        src,
        ..
    } = *insn
    else {
        return Ok(None);
    };
    Ok(match (src, width) {
        (Operand::Imm(imm), _) => Some(Held::Number(imm.cast_unsigned())),
        (Operand::Reg(src), Width::W64) => held[src.index()],
        (Operand::Reg(_), Width::W32) => None,
    })
}

/// The dead slots of a request, as far as they may be left out: a function whose address is taken keeps
/// its code.
fn dead(request: &Request<'_>) -> Vec<bool> {
    let insns = request.linker.insns();
    let mut dead = Vec::new();
    if request.dead.is_empty() || !request.opts.has(Opt::DeadCode) {
        return dead;
    }
    dead.resize(insns.len(), false);
    for &slot in request.dead {
        if let Some(dead) = dead.get_mut(slot) {
            *dead = true;
        }
    }
    let gone = |slot: InsnIdx| dead.get(slot).is_none_or(|dead| *dead);
    let takes_gone = insns.iter().enumerate().any(|(idx, insn)| {
        if let Insn::LoadImm64 {
            imm: Imm64::Func(off),
            ..
        } = *insn
        {
            !gone(idx) && request.linker.target(idx, off).is_ok_and(gone)
        } else {
            false
        }
    });
    if takes_gone || gone(0) || request.catcher.is_some_and(gone) {
        dead.clear();
    }
    dead
}

/// Registers that instructions mention, and whether one may write the frame pointer: from the fields of
/// slots, which may say a little more.
fn registers(raw: &[RawInsn]) -> (u16, bool) {
    // Which pairs of registers there are, by whether the first of them may be written: one store a slot.
    let mut pairs = [[false; 256]; 2];
    for insn in raw {
        let writes = WRITING >> insn.class() & 1;
        pairs[usize::from(writes)][usize::from(insn.regs)] = true;
    }
    let (mut mentions, mut written) = (0, 0);
    for (regs, (reads, writes)) in pairs[0].iter().zip(&pairs[1]).enumerate() {
        let (dst, both) = (1 << (regs & 0xf), 1 << (regs & 0xf) | 1 << (regs >> 4));
        mentions |= if *reads || *writes { both } else { 0 };
        written |= if *writes { dst } else { 0 };
    }
    (mentions, written & bit(Reg::R10) != 0)
}
