//! The order of the code in loops of one straight piece: the innermost ones, where time is spent.
//!
//! A processor takes instructions in order, and those that wait for others fill its queues; then it runs
//! dry although there is work farther on. So what the longest chain of results hangs on comes first
//! ([`Opt::Schedule`]), as in a list scheduler of any compiler. The code is put into the buffer piece by
//! piece and then rearranged, as bytes: nothing in it refers to a place in the code, but for the traps of
//! checks. A check stays before what is accessed behind it, and between the same stores, so that a trap
//! finds memory as it would in the program's order.

use std::ops::Range;

use skep_isa::{AluOp, Insn, InsnIdx, Operand, Reg};

use super::effects::{bit, effects};
use super::{Compiler, Step};
use crate::options::Opt;

/// Slots of a body that is looked at.
const SLOTS: usize = 160;
/// Pieces of a body that is rearranged: one bit each.
const PIECES: usize = 64;
/// Pieces between two multiplications, and pieces that one of them is looked for in.
const APART: u32 = 2;
const AHEAD: usize = 16;
/// Registers, R0 to R10.
const REGS: usize = 11;

/// The code of an instruction, or of some that were compiled as one.
#[derive(Debug)]
struct Piece {
    slot: InsnIdx,
    code: Range<usize>,
    /// Registers that it reads and writes, as bits.
    uses: u16,
    defs: u16,
    loads: bool,
    stores: bool,
    /// Whether it may trap, as it does before it loads or stores.
    checks: bool,
    multiplies: bool,
    /// Cycles until its result is there, about.
    latency: u32,
}

/// What must come before a piece: what it wants the result of, and what must merely not come later.
#[derive(Clone, Copy, Default)]
struct Before {
    results: u64,
    others: u64,
}

impl Compiler<'_> {
    /// The slot of the jump that ends the straight loop which begins at `head`, if it is one.
    pub(super) fn straight_loop(&self, head: InsnIdx) -> Option<InsnIdx> {
        if self.arena.is_some() {
            return None;
        }
        for back in head..head + SLOTS {
            let inner = back == head || self.plan.is_inner(back);
            if !inner || self.plan.is_dead(back) {
                return None;
            }
            match *self.insns.get(back)? {
                Insn::Alu { .. }
                | Insn::MovSx { .. }
                | Insn::Neg { .. }
                | Insn::Endian { .. }
                | Insn::LoadImm64 { .. }
                | Insn::Imm64Hi
                | Insn::Load { .. }
                | Insn::Store { .. }
                | Insn::Atomic { .. }
                | Insn::LoadAcquire { .. }
                | Insn::StoreRelease { .. } => {}
                Insn::Jump { off, .. } => return self.leads_to(back, off, head).then_some(back),
                Insn::AddrSpaceCast { .. }
                | Insn::LoadPacket { .. }
                | Insn::Goto { .. }
                | Insn::MayGoto { .. }
                | Insn::Call(_)
                | Insn::CallReg(_)
                | Insn::Exit => return None,
            }
        }
        None
    }

    /// Whether a jump leads to `head`, or over nothing but a jump that does.
    fn leads_to(&self, idx: InsnIdx, off: i16, head: InsnIdx) -> bool {
        if self.target(idx, off.into()) == head {
            return true;
        }
        matches!(self.insns.get(idx + 1), Some(&Insn::Goto { off: far, .. })
            if off == 1 && self.target(idx + 1, far) == head)
    }

    /// Compiles the slots from `head` to `back`, which is the jump at the loop's end, and puts them in
    /// order. Gives the slot that comes next.
    pub(super) fn loop_body(&mut self, head: InsnIdx, back: InsnIdx) -> InsnIdx {
        let (begin, jumps) = (self.asm.here() as usize, self.asm.jumps());
        let (insns, checks) = (self.insns, self.checked.made);
        let mut pieces = Vec::with_capacity(back - head);
        let mut idx = head;
        while idx < back {
            let (start, before) = (self.asm.here() as usize, self.checked.made);
            let Some(insn) = insns.get(idx) else { break };
            // The label of the first one is where it was bound.
            if idx != head {
                self.bind(idx);
            }
            let step = self.any_step(idx, insn);
            let checks = self.checked.made != before;
            pieces.push(Piece {
                checks,
                ..self.piece(idx, step, start)
            });
            idx += step.slots();
        }
        // What refers to other places in the code stays as it is.
        let (2..=PIECES) = pieces.len() else {
            return idx;
        };
        let movable = self.asm.jumps() - jumps == self.checked.made - checks;
        if movable && self.has(Opt::Schedule) {
            let order = schedule(&pieces);
            let moved = order.iter().filter_map(|at| pieces.get(*at));
            let moved = moved.map(|p| (p.slot, p.code.clone()));
            self.asm.rearrange((begin, head), moved);
        }
        idx
    }

    fn piece(&self, slot: InsnIdx, step: Step, start: usize) -> Piece {
        let mut piece = Piece {
            slot,
            code: start..self.asm.here() as usize,
            uses: 0,
            defs: 0,
            loads: false,
            stores: false,
            checks: false,
            multiplies: false,
            latency: 1,
        };
        let insns = self
            .insns
            .get(slot..slot + step.slots())
            .unwrap_or_default();
        for insn in insns {
            let (uses, defs) = effects(insn, self.request.mode);
            piece.uses |= uses & !piece.defs;
            piece.defs |= defs;
            match *insn {
                Insn::Load { .. } | Insn::LoadAcquire { .. } => piece.loads = true,
                Insn::Store { .. } | Insn::StoreRelease { .. } | Insn::Atomic { .. } => {
                    piece.stores = true;
                }
                Insn::Alu { op: AluOp::Mul, .. } => {
                    (piece.multiplies, piece.latency) = (true, 3);
                }
                Insn::Alu {
                    op: AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod,
                    ..
                } => {
                    // It leaves something in these where nobody wants them, in the order of the program.
                    piece.defs |= bit(Reg::R0) | bit(Reg::R3);
                    piece.latency = 10;
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
                | Insn::Exit => {}
            }
        }
        if let [
            Insn::Alu {
                op: AluOp::Mov,
                src: Operand::Reg(_),
                ..
            },
        ] = insns
        {
            // Done by giving the register another name.
            piece.latency = 0;
        }
        if step.slots() > 1 {
            // The other registers were left out.
            piece.defs = step.dst.map_or(0, bit);
        }
        if piece.loads || piece.stores {
            piece.latency += 4;
        }
        piece
    }
}

/// The places of pieces in the order in which they should stand: by what hangs on them. The first one
/// stays, since that is where jumps back land.
fn schedule(pieces: &[Piece]) -> Vec<usize> {
    let before = dependences(pieces);
    let height = heights(pieces, &before);
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    // Nothing is higher than what it depends on, and what is as high comes later as it is.
    order.sort_by_key(|at| (*at != 0, std::cmp::Reverse(height[*at])));
    if pieces.iter().any(|piece| piece.multiplies) {
        spread(pieces, &before, &mut order);
    }
    order
}

/// Cycles from the beginning of a piece to the end of the longest chain that hangs on it.
fn heights(pieces: &[Piece], before: &[Before; PIECES]) -> [u32; PIECES] {
    let mut height = [0_u32; PIECES];
    for at in (0..pieces.len()).rev() {
        let own = height[at];
        for_each(before[at].results, |p| {
            let latency = pieces.get(p).map_or(0, |piece| piece.latency);
            height[p] = height[p].max(own + latency);
        });
        for_each(before[at].others, |p| height[p] = height[p].max(own));
    }
    height
}

/// Keeps multiplications apart: there is one multiplier, and those that are taken at once wait together.
fn spread(pieces: &[Piece], before: &[Before; PIECES], order: &mut [usize]) {
    let multiplies = |at: usize| pieces.get(at).is_some_and(|piece| piece.multiplies);
    let (mut done, mut since) = (0_u64, APART);
    for next in 0..order.len() {
        let Some(rest) = order.get_mut(next..) else {
            return;
        };
        let ready = |at: usize| (before[at].results | before[at].others) & !done == 0;
        let mut candidates = rest.iter().take(AHEAD).enumerate();
        let found = candidates.find(|(_, at)| ready(**at) && (since >= APART || !multiplies(**at)));
        let place = found.map_or(0, |found| found.0);
        if let Some(moved) = rest.get_mut(..=place) {
            moved.rotate_right(1);
        }
        if let Some(&at) = rest.first() {
            done |= 1 << at;
            since = if multiplies(at) { 0 } else { since + 1 };
        }
    }
}

/// What must come before each piece.
fn dependences(pieces: &[Piece]) -> [Before; PIECES] {
    let mut all = [Before::default(); PIECES];
    // Who wrote a register or memory last, and who has read it since, as bits.
    let (mut writer, mut readers) = ([0_u64; REGS], [0_u64; REGS]);
    let (mut store, mut loads, mut checks) = (0_u64, 0_u64, 0_u64);
    for (at, (piece, before)) in pieces.iter().zip(&mut all).enumerate() {
        let this = 1 << at;
        for reg in 0..REGS {
            if piece.uses & 1 << reg != 0 {
                before.results |= writer[reg];
                readers[reg] |= this;
            }
        }
        for reg in 0..REGS {
            if piece.defs & 1 << reg != 0 {
                before.others |= writer[reg] | readers[reg] & !this;
                (writer[reg], readers[reg]) = (this, 0);
            }
        }
        if piece.stores {
            before.others |= store | loads;
            (store, loads, checks) = (this, 0, 0);
        } else if piece.loads {
            before.others |= store | checks;
            loads |= this;
            checks |= if piece.checks { this } else { 0 };
        }
    }
    all
}

/// Calls for every bit.
fn for_each(mut bits: u64, mut call: impl FnMut(usize)) {
    while bits != 0 {
        call(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}
