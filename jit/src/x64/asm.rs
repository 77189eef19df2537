//! Bytes of instructions, and jumps whose distance is found at the end.
//!
//! Every jump is emitted in its long form; [`Asm::finish`] then shortens those that reach their target
//! with eight bits. Shortening moves code closer together only, so one pass over upper bounds is sound.

use std::ops::Range;

use super::form::Cond;
use super::reg::{Gpr, Mem, Rm, Wide};
use super::row::{ByImm, Regs, Row, Short};

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label(pub(crate) u32);

/// Where loops begin: at a multiple of it.
const ALIGN: u32 = 32;

/// A label that nothing has bound.
const UNBOUND: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Jcc(Cond),
    Jmp,
    Call,
    /// Not a jump but room for what aligns the code behind it.
    Align,
}

#[derive(Clone, Copy, Debug)]
struct Jump {
    /// Where its first byte is.
    at: u32,
    target: Label,
    kind: Kind,
    short: bool,
    /// Slots whose labels lie before it.
    slots: u32,
}

impl Kind {
    /// Bytes of the long form.
    const fn long(self) -> u32 {
        match self {
            Kind::Jcc(_) => 6,
            Kind::Jmp | Kind::Call => 5,
            Kind::Align => ALIGN - 1,
        }
    }
}

/// Bytes that are written at once: more than any instruction has.
const ROOM: usize = 16;

/// Code in the making.
#[derive(Debug, Default)]
pub(crate) struct Asm {
    /// The code, and zeros behind it: an instruction is written as a block of fixed size.
    code: Vec<u8>,
    len: usize,
    jumps: Vec<Jump>,
    labels: Vec<u32>,
    /// The first labels are those of slots, bound in order.
    slots: u32,
    /// Slots up to the last one that was bound.
    bound: u32,
    /// Slots whose code is in another order, with jumps in it.
    moved: Vec<Range<usize>>,
}

impl Asm {
    /// An empty buffer with labels 0 to `labels - 1`, and room for code that long.
    pub(crate) fn new(labels: usize, room: usize) -> Asm {
        Asm {
            code: vec![0; room + ROOM],
            len: 0,
            jumps: Vec::with_capacity(labels / 4 + 16),
            labels: vec![UNBOUND; labels],
            slots: labels as u32,
            bound: 0,
            moved: Vec::new(),
        }
    }

    /// Where the next instruction will be, before jumps are shortened.
    pub(crate) fn here(&self) -> u32 {
        self.len as u32
    }

    /// Another label.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }

    /// Puts a label here.
    pub(crate) fn bind(&mut self, label: Label) {
        let here = self.here();
        if let Some(at) = self.labels.get_mut(label.0 as usize) {
            *at = here;
        }
        if label.0 < self.slots {
            self.bound = label.0 + 1;
        }
    }

    /// Puts the label of a slot here, which is behind those that were bound.
    #[inline(always)]
    pub(crate) fn bind_slot(&mut self, slot: usize) {
        let here = self.here();
        if let Some(at) = self.labels.get_mut(slot) {
            *at = here;
        }
        self.bound = slot as u32 + 1;
    }

    /// Puts up to eight bytes behind the code.
    #[inline]
    pub(crate) fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        const { assert!(N <= 8) };
        let mut all = [0; 8];
        for (to, from) in all.iter_mut().zip(bytes) {
            *to = from;
        }
        self.put(0, 0, u64::from_le_bytes(all), N);
    }

    /// Puts the low `head_len` bytes of `head`, at most seven, and then the low `tail_len` of `tail`
    /// behind the code.
    #[inline]
    fn put(&mut self, head: u64, head_len: usize, tail: u64, tail_len: usize) {
        if self.len + ROOM > self.code.len() {
            self.grow();
        }
        let block = self.code.get_mut(self.len..self.len + ROOM);
        if let Some(block) = block.and_then(<[u8]>::first_chunk_mut::<ROOM>) {
            block[..8].copy_from_slice(&head.to_le_bytes());
            let at = head_len & 7;
            block[at..at + 8].copy_from_slice(&tail.to_le_bytes());
            self.len += head_len + tail_len;
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.code.resize(2 * self.code.len() + ROOM, 0);
    }

    /// Jumps, calls and alignments so far.
    pub(crate) fn jumps(&self) -> usize {
        self.jumps.len()
    }

    /// Puts the pieces, of which the code from `begin` on consists, into this order. Each carries the label
    /// of its slot along, and jumps out of it; nothing jumps into one. The label of `head`, the first slot,
    /// stays where it is.
    pub(crate) fn rearrange(
        &mut self,
        (begin, head): (usize, usize),
        pieces: impl Iterator<Item = (usize, Range<usize>)>,
    ) {
        let mut moved = Vec::with_capacity(self.len - begin);
        let first = self.jumps.partition_point(|j| (j.at as usize) < begin);
        let jumps = self.jumps.split_off(first);
        let mut last = head;
        for (slot, code) in pieces {
            let to = begin + moved.len();
            let out = jumps.iter().filter(|j| code.contains(&(j.at as usize)));
            self.jumps.extend(out.map(|jump| Jump {
                at: (jump.at as usize - code.start + to) as u32,
                slots: head as u32 + 1,
                ..*jump
            }));
            if let Some(label) = self.labels.get_mut(slot).filter(|_| slot != head) {
                *label = to as u32;
            }
            last = last.max(slot);
            moved.extend_from_slice(self.code.get(code).unwrap_or_default());
        }
        if let Some(code) = self.code.get_mut(begin..begin + moved.len()) {
            code.copy_from_slice(&moved);
        }
        if !jumps.is_empty() {
            self.moved.push(head + 1..last + 1);
        }
    }

    /// `JMP rel`.
    pub(crate) fn jmp(&mut self, target: Label) {
        self.jump(Kind::Jmp, target);
    }

    /// `Jcc rel`.
    pub(crate) fn jcc(&mut self, cond: Cond, target: Label) {
        self.jump(Kind::Jcc(cond), target);
    }

    /// The next instruction will be at a multiple of 32.
    pub(crate) fn align(&mut self) {
        if self.len + ALIGN as usize > self.code.len() {
            self.grow();
        }
        let at = self.here();
        self.len += Kind::Align.long() as usize;
        self.jumps.push(Jump {
            at,
            target: Label(0),
            kind: Kind::Align,
            short: false,
            slots: self.bound,
        });
    }

    /// `E8 cd  CALL rel32`.
    pub(crate) fn call(&mut self, target: Label) {
        self.jump(Kind::Call, target);
    }

    fn jump(&mut self, kind: Kind, target: Label) {
        let at = self.here();
        let short = false;
        self.jumps.push(Jump {
            at,
            target,
            kind,
            short,
            slots: self.bound,
        });
        self.put(0, 0, 0, kind.long() as usize);
    }

    /// An instruction with a ModRM byte: `reg` is a register's number or the opcode's extension.
    #[inline(always)]
    pub(crate) fn op(&mut self, row: Row, reg: u8, rm: Rm) {
        let (index, base) = match rm {
            Rm::Reg(reg) => (0, reg.number()),
            Rm::Mem(mem) => (
                mem.index.map_or(0, |(index, _)| index.number()),
                mem.base.number(),
            ),
        };
        let rex = u8::from(row.wide) << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
        let low_byte = row.byte_reg && reg >= 4
            || row.byte_rm && matches!(rm, Rm::Reg(rm) if rm.number() >= 4);
        let (operands, operands_len, disp, disp_len) = modrm(reg, rm);
        // From the operands back to the first byte.
        let mut head = u64::from(operands) << 8 | u64::from(row.opcode);
        let mut head_len = operands_len + 1;
        if row.two {
            (head, head_len) = (head << 8 | 0x0f, head_len + 1);
        }
        if rex != 0 || low_byte {
            (head, head_len) = (head << 8 | u64::from(0x40 | rex), head_len + 1);
        }
        if row.prefix != 0 {
            (head, head_len) = (head << 8 | u64::from(row.prefix), head_len + 1);
        }
        let tail = u64::from(disp) | u64::from(row.imm) << (8 * disp_len);
        self.put(head, head_len, tail, disp_len + usize::from(row.imm_len));
    }

    /// An instruction with one opcode byte and two registers: the most frequent kind.
    #[inline(always)]
    pub(crate) fn op_regs(&mut self, w: Wide, opcode: u8, regs: Regs) {
        self.op_short(w, opcode, regs, 0, 0);
    }

    /// An instruction of registers and an immediate, in the shorter form if that holds it.
    #[inline(always)]
    pub(crate) fn op_imm(&mut self, w: Wide, what: ByImm, imm: i32) {
        let near = i8::try_from(imm).is_ok();
        let (opcode, len) = if near {
            (what.opcode | 2, 1)
        } else {
            (what.opcode, 4)
        };
        self.op_short(w, opcode, what.regs, imm as u32, len);
    }

    /// An instruction of one opcode byte on registers, which fits into eight bytes.
    #[inline(always)]
    fn op_short(&mut self, w: Wide, opcode: u8, regs: Regs, imm: u32, imm_len: usize) {
        let rex = 0x40 | u8::from(w == Wide::Q) << 3 | regs.rex;
        let operation = u64::from(opcode) | u64::from(regs.modrm) << 8 | u64::from(imm) << 16;
        let prefix = u32::from(rex != 0x40);
        let all = (operation << (8 * prefix)) | (u64::from(rex) * u64::from(prefix));
        self.block(all, 2 + prefix as usize + imm_len);
    }

    /// An instruction of a register and of memory at a register and a displacement: most loads. It fits
    /// into eight bytes unless the base asks for a SIB byte.
    #[inline(always)]
    pub(crate) fn op_base(&mut self, short: Short, reg: Gpr, base: Gpr, disp: i32) {
        let (r, b) = (reg.number(), base.number());
        if b & 7 == 4 {
            return self.op(short.row(), r, Mem::new(base, disp).into());
        }
        let rex = short.rex | (r >> 3) << 2 | b >> 3;
        // Without displacement, base 5 would mean something else.
        let near = i8::try_from(disp).is_ok();
        let none = disp == 0 && b & 7 != 5;
        let (mode, len) = if none {
            (0x00, 0)
        } else if near {
            (0x40, 1)
        } else {
            (0x80, 4)
        };
        let modrm = mode | (r & 7) << 3 | b & 7;
        let operands = u64::from(modrm) | u64::from(disp as u32) << 8;
        let operation = u64::from(short.opcode) | operands << (8 * short.opcode_len);
        let prefix = u32::from(rex != 0x40);
        let all = (operation << (8 * prefix)) | (u64::from(rex) * u64::from(prefix));
        self.block(all, 1 + (short.opcode_len as u32 + prefix) as usize + len);
    }

    /// Puts up to eight bytes behind the code.
    #[inline(always)]
    fn block(&mut self, bytes: u64, len: usize) {
        if self.len + ROOM > self.code.len() {
            self.grow();
        }
        let room = self.code.get_mut(self.len..self.len + ROOM);
        if let Some(room) = room.and_then(<[u8]>::first_chunk_mut::<8>) {
            *room = bytes.to_le_bytes();
            self.len += len;
        }
    }

    /// An instruction whose register is in the opcode's low bits.
    pub(crate) fn op_reg(&mut self, w: Wide, opcode: u8, reg: Gpr) {
        let rex = 0x40 | u8::from(w == Wide::Q) << 3 | reg.number() >> 3;
        let opcode = opcode | reg.number() & 7;
        if rex == 0x40 {
            self.bytes([opcode]);
        } else {
            self.bytes([rex, opcode]);
        }
    }

    /// The same behind `0F`.
    pub(crate) fn op_reg_two(&mut self, w: Wide, opcode: u8, reg: Gpr) {
        let rex = 0x40 | u8::from(w == Wide::Q) << 3 | reg.number() >> 3;
        let opcode = opcode | reg.number() & 7;
        if rex == 0x40 {
            self.bytes([0x0f, opcode]);
        } else {
            self.bytes([rex, 0x0f, opcode]);
        }
    }

    /// A VEX-coded instruction of three registers: `mmmmm` names the opcode map, `pp` the prefix.
    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of the encoding, in its order"
    )]
    pub(crate) fn vex(
        &mut self,
        mmmmm: u8,
        pp: u8,
        w: Wide,
        opcode: u8,
        reg: Gpr,
        vvvv: Gpr,
        rm: Gpr,
        imm: Option<u8>,
    ) {
        // R, X and B are stored inverted, and so is vvvv.
        let r = (reg.number() >> 3 ^ 1) << 7;
        let b = (rm.number() >> 3 ^ 1) << 5;
        let third = u8::from(w == Wide::Q) << 7 | (vvvv.number() ^ 0xf) << 3 | pp;
        let modrm = 0xc0 | (reg.number() & 7) << 3 | rm.number() & 7;
        self.bytes([0xc4, r | 0x40 | b | mmmmm, third, opcode, modrm]);
        if let Some(imm) = imm {
            self.bytes([imm]);
        }
    }

    /// Shortens jumps, fills in distances; gives the code and where each label is in it. A label that
    /// was never bound is at `u32::MAX`; jumps to such a label stay, and lead to themselves.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<u32>) {
        self.code.truncate(self.len);
        for jump in &mut self.jumps {
            let to = self
                .labels
                .get(jump.target.0 as usize)
                .copied()
                .map(i64::from);
            // Behind the short form if the target lies before, which comes no farther away; a target
            // ahead moves by as much as the jump itself shrinks.
            let (at, len) = (i64::from(jump.at), i64::from(jump.kind.long()));
            let reaches =
                |to: i64| to <= at && to - at - 2 >= -128 || to > at && to - at - len <= 127;
            let jumps = matches!(jump.kind, Kind::Jmp | Kind::Jcc(_));
            jump.short = jumps && to.is_some_and(reaches);
        }
        let starts = self.shrink_labels();
        let mut out = Vec::with_capacity(self.code.len());
        let mut from = 0;
        for (jump, _) in self.jumps.iter().zip(starts) {
            let at = jump.at as usize;
            out.extend_from_slice(self.code.get(from..at).unwrap_or_default());
            from = at + jump.kind.long() as usize;
            if jump.kind == Kind::Align {
                put_nops(&mut out);
                continue;
            }
            let end = out.len() as i64
                + if jump.short {
                    2
                } else {
                    jump.kind.long().into()
                };
            let to = self.labels.get(jump.target.0 as usize).copied();
            let to = to
                .filter(|to| *to != UNBOUND)
                .map_or(out.len() as i64, i64::from);
            put_jump(&mut out, *jump, (to - end) as i32);
        }
        out.extend_from_slice(self.code.get(from..).unwrap_or_default());
        (out, self.labels)
    }

    /// Moves labels to where they are once jumps are short. Gives the number of bytes saved before each
    /// jump.
    fn shrink_labels(&mut self) -> Vec<u32> {
        let mut saved = 0;
        let mut starts = Vec::with_capacity(self.jumps.len());
        for jump in &self.jumps {
            starts.push(saved);
            if jump.kind == Kind::Align {
                let pad = (jump.at - saved).wrapping_neg() % ALIGN;
                saved += jump.kind.long() - pad;
            } else if jump.short {
                saved += jump.kind.long() - 2;
            }
        }
        let by_place: Vec<_> = std::mem::take(&mut self.moved)
            .into_iter()
            .flatten()
            .filter_map(|slot| Some((slot, *self.labels.get(slot)?)))
            .collect();
        let slots = (self.slots as usize).min(self.labels.len());
        let (of_slots, others) = self.labels.split_at_mut(slots);
        let mut from = 0;
        for (jump, saved) in self.jumps.iter().zip(&starts) {
            let to = jump.slots as usize;
            move_labels(of_slots.get_mut(from..to).unwrap_or_default(), *saved);
            from = to.max(from);
        }
        move_labels(of_slots.get_mut(from..).unwrap_or_default(), saved);
        let saved_before = |place: u32| {
            let before = self.jumps.partition_point(|jump| jump.at < place);
            starts.get(before).copied().unwrap_or(saved)
        };
        for label in others {
            let saved = saved_before(*label);
            move_labels(std::slice::from_mut(label), saved);
        }
        for (slot, mut label) in by_place {
            let saved = saved_before(label);
            move_labels(std::slice::from_mut(&mut label), saved);
            if let Some(moved) = self.labels.get_mut(slot) {
                *moved = label;
            }
        }
        starts
    }
}

/// Moves labels, all but those that are nowhere.
fn move_labels(labels: &mut [u32], by: u32) {
    for label in labels {
        let by = if *label == UNBOUND { 0 } else { by };
        *label -= by;
    }
}

/// Fills up with instructions that do nothing, of eight bytes where there is room.
fn put_nops(out: &mut Vec<u8>) {
    /// `NOP`, `66 NOP`, `0F 1F /0` with longer and longer operands.
    const NOPS: [&[u8]; 8] = [
        &[0x90],
        &[0x66, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
        &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    ];
    loop {
        let pad = out.len().wrapping_neg() % ALIGN as usize;
        match NOPS.get(pad.min(NOPS.len()).wrapping_sub(1)) {
            Some(nop) => out.extend_from_slice(nop),
            None => return,
        }
    }
}

fn put_jump(out: &mut Vec<u8>, jump: Jump, distance: i32) {
    match (jump.kind, jump.short) {
        (Kind::Jcc(cond), true) => out.extend_from_slice(&[0x70 | cond as u8, distance as u8]),
        (Kind::Jmp, true) => out.extend_from_slice(&[0xeb, distance as u8]),
        (Kind::Jcc(cond), false) => out.extend_from_slice(&[0x0f, 0x80 | cond as u8]),
        (Kind::Jmp, false) => out.push(0xe9),
        (Kind::Call, _) => out.push(0xe8),
        (Kind::Align, _) => return,
    }
    if !jump.short {
        out.extend_from_slice(&distance.to_le_bytes());
    }
}

/// ModRM and SIB as a number with its length, and the displacement likewise.
#[inline(always)]
fn modrm(reg: u8, rm: Rm) -> (u16, usize, u32, usize) {
    let reg = (reg & 7) << 3;
    let mem = match rm {
        Rm::Reg(rm) => return (u16::from(0xc0 | reg | rm.number() & 7), 1, 0, 0),
        Rm::Mem(mem) => mem,
    };
    let base = mem.base.number() & 7;
    // Without displacement, base 5 would mean something else.
    let (mode, disp, disp_len) = match mem.disp {
        0 if base != 5 => (0x00, 0, 0),
        disp @ -128..=127 => (0x40, u32::from(disp as u8), 1),
        disp => (0x80, disp as u32, 4),
    };
    // Base 4 stands for a SIB byte, in which index 4 stands for none.
    let sib = match mem.index {
        Some((index, scale)) => scale << 6 | (index.number() & 7) << 3 | base,
        None if base == 4 => 0x24,
        None => return (u16::from(mode | reg | base), 1, disp, disp_len),
    };
    let operands = u16::from(mode | reg | 4) | u16::from(sib) << 8;
    (operands, 2, disp, disp_len)
}
