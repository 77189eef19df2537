//! From instructions to machine code, one after the other.
//!
//! Guest registers live in machine registers all the time: R0 to R10 are `rax rdi rsi rdx r9 r8 rbx r13
//! r14 r15 rbp`. `rcx` and `r11` are scratch, `r12` points to the run's [`State`](crate::run::State), and
//! `r10` holds the budget in sandboxed code, or what leads from guest to host addresses in verified code
//! whose guest memory does not lie at its own addresses. The caller of a function keeps R6 to R9 and the
//! frame pointer; so every slot can be entered, and `exit` is a return.
//!
//! Verified code relies on the proof for addresses, divisions excepted: they cost nothing to make safe.

mod alu;
mod arena;
mod call;
mod confine;
mod counted;
mod divide;
mod effects;
mod flow;
mod fold;
mod frame;
mod fuse;
mod halves;
mod live;
mod memory;
mod plan;
mod schedule;

use skep_isa::{AluOp, Insn, InsnIdx, Operand, RawInsn, Reg, Size, Width};
use skep_sim::helpers::HelperFn;
use skep_sim::{Linker, LoadError, Trap, layout};
use skep_spec::ProgType;

use crate::direct::TailSite;
use crate::options::{Mode, Opt, Opts};
use crate::x64::{Asm, Bytes, Cond, Gpr, Label, Mem, Regs, Wide};
use arena::{Arena, Asked};
use confine::Checked;
use counted::Slow;
use halves::Halves;
use plan::{Loop, Plan};

/// Where compiled code keeps the run's state.
const STATE: Gpr = Gpr::R12;
/// Budget or distance to host addresses.
const EXTRA: Gpr = Gpr::R10;
/// Scratch registers.
const COUNT: Gpr = Gpr::Rcx;
const TEMP: Gpr = Gpr::R11;

/// What a trap is, where the instruction alone does not say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum TrapKind {
    /// A refused access; the value is the offset in guest memory.
    Memory,
    Budget,
    NotInsn,
    /// One that was known when the program was compiled.
    Known,
    /// One that a helper came back with.
    Pending,
}

impl TrapKind {
    const ALL: [TrapKind; 5] = [
        TrapKind::Memory,
        TrapKind::Budget,
        TrapKind::NotInsn,
        TrapKind::Known,
        TrapKind::Pending,
    ];
    /// Bits of a slot's number.
    const SLOT_BITS: u32 = 24;

    /// Kind and slot in one number.
    fn at(self, idx: InsnIdx) -> u32 {
        (self as u32) << TrapKind::SLOT_BITS | idx as u32
    }

    /// The kind and slot again.
    pub(crate) fn split(at: u32) -> (TrapKind, InsnIdx) {
        let kind = TrapKind::ALL.get((at >> TrapKind::SLOT_BITS) as usize);
        let slot = at & ((1 << TrapKind::SLOT_BITS) - 1);
        (kind.copied().unwrap_or(TrapKind::NotInsn), slot as InsnIdx)
    }
}

/// A helper that a program calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) function: HelperFn,
}

/// What is compiled, and for what.
pub(crate) struct Request<'a> {
    pub(crate) linker: &'a Linker<'a>,
    /// The slots as they are in the request.
    pub(crate) raw: &'a [RawInsn],
    pub(crate) ty: ProgType,
    pub(crate) mode: Mode,
    pub(crate) opts: Opts,
    /// Whether the processor has BMI2.
    pub(crate) bmi2: bool,
    /// The slot of the function that is called with what the program throws.
    pub(crate) catcher: Option<InsnIdx>,
    /// Loads that give 0 where nothing can be read, in order.
    pub(crate) probes: &'a [InsnIdx],
    /// Slots that control never comes to.
    pub(crate) dead: &'a [InsnIdx],
    /// The program's number.
    pub(crate) prog: u32,
    /// Tail calls of the programs before whose targets are known.
    pub(crate) tails: usize,
}

/// Machine code and what belongs to it.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) code: Vec<u8>,
    /// Where each slot's code begins; `u32::MAX` inside of what was compiled as one.
    pub(crate) offs: Vec<u32>,
    /// Where the code of the last slot ends.
    pub(crate) end: u32,
    /// Where a run begins.
    pub(crate) entry: u32,
    /// Where a tail call or callback comes in: the code of slot 0, or of a light program its other entry.
    pub(crate) tail: u32,
    /// Where a run ends: behind the call of slot 0.
    pub(crate) leave: u32,
    /// Whether it has no state: see [`Opt::Light`].
    pub(crate) light: bool,
    pub(crate) sites: Vec<Site>,
    /// Its tail calls whose targets are known.
    pub(crate) tails: Vec<TailSite>,
    pub(crate) traps: Vec<(InsnIdx, Trap)>,
    pub(crate) callbacks: Vec<InsnIdx>,
}

struct Compiler<'a> {
    request: &'a Request<'a>,
    insns: &'a [Insn],
    plan: Plan,
    asm: Asm,
    /// Whether guest addresses are this process's own.
    identity: bool,
    /// Whether every load is one instruction at the address that it names.
    loads_are_plain: bool,
    /// Whether every load is confined to all of guest memory.
    loads_are_confined: bool,
    /// Whether it has no frame and no state: see [`Opt::Light`].
    light: bool,
    /// What has been checked, in sandboxed code.
    checked: Checked,
    /// Whether all accesses have been checked before, in sandboxed code.
    unchecked: bool,
    /// Counted loops that are still to be compiled with checks.
    slow: Vec<Slow>,
    /// The loop whose turn has not been charged yet: its head, and what the turn costs.
    owed: Option<Loop>,
    /// What is known of upper halves, once somebody has asked.
    halves: Option<Halves>,
    /// Where a trap goes.
    trap: Label,
    stubs: Vec<(Label, u32)>,
    /// The arena, if it has one.
    arena: Option<Arena>,
    /// Accesses that may have to ask about it.
    asked: Vec<Asked>,
    /// Divisions that go on elsewhere where 32 bits do not do: from and back to.
    far: Vec<(Label, Label)>,
    /// Where calls go on that need a deeper frame than are open: from, back to, and the slot.
    deeper: Vec<(Label, Label, InsnIdx)>,
    sites: Vec<Site>,
    tails: Vec<TailSite>,
    traps: Vec<(InsnIdx, Trap)>,
    /// What does not load.
    failed: Option<LoadError>,
}

/// What was compiled together.
#[derive(Clone, Copy, Debug)]
struct Step {
    slots: u8,
    /// Of several slots, the only register that the code writes.
    dst: Option<Reg>,
}

impl Step {
    /// One instruction by itself.
    const ONE: Step = Step {
        slots: 1,
        dst: None,
    };

    /// Several, at most as many as any rule looks at.
    fn new(slots: usize, dst: Option<Reg>) -> Step {
        let slots = slots as u8;
        Step { slots, dst }
    }

    fn slots(self) -> usize {
        self.slots.into()
    }
}

/// Compiles a program.
///
/// # Errors
/// What does not load, and programs with more slots than fit.
pub(crate) fn compile(request: &Request<'_>) -> Result<Compiled, LoadError> {
    let insns = request.linker.insns();
    if insns.len() >= 1 << TrapKind::SLOT_BITS {
        return Err(LoadError::Engine("the program is too long"));
    }
    let plan = Plan::new(request)?;
    let mut asm = Asm::new(insns.len() + 1, insns.len() * 5 + 256);
    let trap = asm.label();
    let mut compiler = Compiler {
        request,
        insns,
        plan,
        asm,
        identity: request.linker.sim().memory().is_identity(),
        loads_are_plain: false,
        loads_are_confined: false,
        light: false,
        checked: Checked::default(),
        unchecked: false,
        slow: Vec::new(),
        owed: None,
        halves: None,
        trap,
        stubs: Vec::new(),
        arena: None,
        asked: Vec::new(),
        far: Vec::new(),
        deeper: Vec::new(),
        sites: Vec::new(),
        tails: Vec::new(),
        traps: Vec::new(),
        failed: None,
    };
    compiler.arena = compiler.find_arena();
    compiler.light = compiler.is_light();
    let (proved, straight) = (compiler.proved(), request.probes.is_empty());
    compiler.loads_are_plain =
        proved && straight && compiler.identity && compiler.plan.folded.is_empty();
    compiler.loads_are_confined = !proved && straight && compiler.arena.is_none();
    compiler.program()
}

/// Where a guest register lives.
const fn host(reg: Reg) -> Gpr {
    match reg {
        Reg::R0 => Gpr::Rax,
        Reg::R1 => Gpr::Rdi,
        Reg::R2 => Gpr::Rsi,
        Reg::R3 => Gpr::Rdx,
        Reg::R4 => Gpr::R9,
        Reg::R5 => Gpr::R8,
        Reg::R6 => Gpr::Rbx,
        Reg::R7 => Gpr::R13,
        Reg::R8 => Gpr::R14,
        Reg::R9 => Gpr::R15,
        Reg::R10 => Gpr::Rbp,
    }
}

/// Operands of an instruction of two registers, by destination and source.
static REGS: [[Regs; 11]; 11] = {
    let mut all = [[Regs::new(Gpr::Rax, Gpr::Rax); 11]; 11];
    let mut at = 0;
    while at < 121 {
        let (dst, src) = (Reg::ALL[at / 11], Reg::ALL[at % 11]);
        all[at / 11][at % 11] = Regs::new(host(src), host(dst));
        at += 1;
    }
    all
};

const fn wide(width: Width) -> Wide {
    match width {
        Width::W32 => Wide::D,
        Width::W64 => Wide::Q,
    }
}

const fn bytes(size: Size) -> Bytes {
    match size {
        Size::B => Bytes::B1,
        Size::H => Bytes::B2,
        Size::W => Bytes::B4,
        Size::DW => Bytes::B8,
    }
}

/// A field of the state.
const fn state(field: i32) -> Mem {
    Mem::new(STATE, field)
}

impl Compiler<'_> {
    fn proved(&self) -> bool {
        self.request.mode == Mode::Verified
    }

    fn has(&self, opt: Opt) -> bool {
        self.request.opts.has(opt)
    }

    fn slot(&self, idx: InsnIdx) -> Label {
        Label(idx as u32)
    }

    /// The slot that a jump, whose target is known to exist, leads to.
    fn target(&self, idx: InsnIdx, off: i32) -> InsnIdx {
        (idx as i64 + 1 + i64::from(off)) as InsnIdx
    }

    /// Whether a move is one by itself: the next instruction does not go on with what is moved, in a way
    /// that there is a rule for.
    #[inline]
    fn stands_alone(&self, idx: InsnIdx, dst: Reg, src: Reg) -> bool {
        let goes_on = match self.insns.get(idx + 1) {
            Some(Insn::Alu { op, dst: next, .. }) => {
                *next == dst && matches!(op, AluOp::Add | AluOp::Lsh | AluOp::Rsh)
            }
            Some(_) | None => false,
        };
        dst != src && !goes_on
    }

    fn program(mut self) -> Result<Compiled, LoadError> {
        let entry = self.asm.label();
        let tail = if self.light {
            self.asm.label()
        } else {
            self.slot(0)
        };
        let leave = self.asm.label();
        self.entry(entry, tail, leave);
        let (mut idx, mut next_loop) = (0, self.plan.loop_from(0));
        let (insns, proved) = (self.insns, self.proved());
        while let Some(insn) = insns.get(idx) {
            if self.plan.is_dead(idx) {
                idx += 1;
                continue;
            }
            if idx == next_loop.head {
                let next = self.begin_loop(next_loop, insn);
                next_loop = self.plan.loop_from(idx + 1);
                if next != idx {
                    idx = next;
                    continue;
                }
            } else {
                self.bind(idx);
                if idx > next_loop.head {
                    next_loop = self.plan.loop_from(idx + 1);
                }
            }
            let step = if proved {
                self.step(idx, insn)
            } else {
                self.confined_step(idx, insn)
            };
            idx += step.slots();
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        let end = self.slot(self.insns.len());
        self.asm.bind(end);
        if !self.light {
            let at = TrapKind::NotInsn.at(self.insns.len());
            self.trap_now(at);
            self.slow_code();
            self.deeper_code();
            self.asked_code();
            self.trap_code();
        }
        self.far_code();
        let (code, mut labels) = self.asm.finish();
        let at = |label: Label| labels.get(label.0 as usize).copied().unwrap_or(0);
        let (end, entry, tail, leave) = (at(end), at(entry), at(tail), at(leave));
        labels.truncate(self.insns.len());
        Ok(Compiled {
            end,
            entry,
            tail,
            leave,
            light: self.light,
            offs: labels,
            code,
            sites: self.sites,
            tails: self.tails,
            traps: self.traps,
            callbacks: self.plan.callbacks,
        })
    }

    /// Binds the slot that a loop begins with, and compiles what each of its turns begins with; gives the
    /// slot that comes next, which is the same unless the body is compiled already.
    fn begin_loop(&mut self, turn: Loop, insn: &Insn) -> InsnIdx {
        let head = turn.head;
        if let Some(other) = self.owed.take() {
            self.charge(other.head, other.slots);
        }
        let back = self.straight_loop(head);
        if let Some(counted) = back.and_then(|back| self.counted(turn, back)) {
            return self.counted_loop(counted);
        }
        if self.has(Opt::AlignLoops) {
            self.asm.align();
        }
        self.asm.bind_slot(head);
        if !self.proved() {
            self.owed = Some(turn);
            self.settle(turn, head, insn);
        }
        match back.filter(|_| self.has(Opt::Schedule)) {
            Some(back) => self.loop_body(head, back),
            None => head,
        }
    }

    /// Puts the label of a slot here that no loop begins with.
    #[inline(always)]
    fn bind(&mut self, idx: InsnIdx) {
        if let (Some(turn), Some(insn)) = (self.owed, self.insns.get(idx)) {
            self.settle(turn, idx, insn);
        }
        self.asm.bind_slot(idx);
    }

    /// The next step in either mode.
    #[inline(never)]
    fn any_step(&mut self, idx: InsnIdx, insn: &Insn) -> Step {
        if self.proved() {
            self.step(idx, insn)
        } else {
            self.confined_step(idx, insn)
        }
    }

    /// Compiles what begins at a slot that control comes to, whose label is here.
    #[inline(always)]
    fn step(&mut self, idx: InsnIdx, insn: &Insn) -> Step {
        // The most frequent ones are told from the rest here, at little cost.
        if let Insn::Alu {
            op,
            width,
            dst,
            src: Operand::Reg(src),
        } = *insn
            && let Some(opcode) = alu::of_registers(op)
            && (op != AluOp::Mov || self.stands_alone(idx, dst, src))
        {
            let regs = REGS[dst.index()][src.index()];
            self.asm.op_regs(wide(width), opcode, regs);
            return Step::ONE;
        }
        if let Insn::Alu {
            op,
            width,
            dst,
            src: Operand::Imm(imm),
        } = *insn
            && let Some(what) = alu::of_immediate(op, dst, imm)
        {
            self.asm.op_imm(wide(width), what, imm);
            return Step::ONE;
        }
        if let Insn::Load {
            size,
            sign: false,
            dst,
            base,
            off,
        } = *insn
            && self.loads_are_plain
        {
            self.asm
                .load_at(bytes(size), host(dst), host(base), off.into());
            return Step::ONE;
        }
        self.other_step(idx, insn)
    }

    #[inline(never)]
    fn other_step(&mut self, idx: InsnIdx, insn: &Insn) -> Step {
        if let Insn::Alu {
            op,
            width,
            dst,
            src,
        } = *insn
        {
            if matches!(op, AluOp::Mov | AluOp::Lsh | AluOp::Rsh)
                && let Some(step) = self.fused_alu(idx)
            {
                return step;
            }
            self.alu(idx, op, width, dst, src);
            return Step::ONE;
        }
        if matches!(insn, Insn::Jump { off: 1, .. })
            && self.has(Opt::InvertJump)
            && let Some(step) = self.inverted_jump(idx)
        {
            return step;
        }
        self.insn(idx, insn);
        Step::ONE
    }

    /// One instruction by itself.
    fn insn(&mut self, idx: InsnIdx, insn: &Insn) {
        match *insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => self.alu(idx, op, width, dst, src),
            Insn::MovSx {
                width,
                bits,
                dst,
                src,
            } => self.mov_sx(width, bits, dst, src),
            Insn::Neg { width, dst } => self.neg(width, dst),
            Insn::Endian { op, bits, dst } => self.endian(idx, op, bits, dst),
            Insn::AddrSpaceCast {
                dst, src, dst_as, ..
            } => self.cast(idx, dst, src, dst_as),
            Insn::LoadImm64 { dst, imm } => match self.request.linker.wide(idx, imm) {
                Ok(Ok(value)) => self.asm.mov_r_i(host(dst), value),
                Ok(Err(trap)) => self.known_trap(idx, trap),
                Err(error) => self.failed = Some(error),
            },
            // Nothing comes here but a callback, and that is refused.
            Insn::Imm64Hi => {}
            Insn::Load {
                size,
                sign,
                dst,
                base,
                off,
            } => self.load(idx, size, sign, dst, base, off),
            Insn::LoadAcquire {
                size,
                dst,
                base,
                off,
            } => self.load_acquire(idx, size, dst, base, off),
            Insn::Store {
                size,
                base,
                off,
                src,
            } => self.store(idx, size, base, off, src),
            Insn::StoreRelease {
                size,
                base,
                off,
                src,
            } => self.store(idx, size, base, off, src.into()),
            Insn::Atomic {
                op,
                fetch,
                size,
                base,
                off,
                src,
            } => self.atomic(idx, (op, fetch, size), base, off, src),
            Insn::LoadPacket { size, index, off } => self.load_packet(idx, size, index, off),
            Insn::Jump {
                op,
                width,
                dst,
                src,
                off,
            } => self.jump(idx, (op, width, dst, src), self.target(idx, off.into())),
            Insn::Goto { off, .. } => self.goto(idx, self.target(idx, off)),
            Insn::MayGoto { off } => self.may_goto(self.target(idx, off.into())),
            Insn::Call(_) => self.call(idx),
            Insn::CallReg(_) => {
                self.known_trap(idx, Trap::NotSimulated("a call through a register"));
            }
            Insn::Exit => self.exit(),
        }
    }

    /// A trap that always happens here.
    fn known_trap(&mut self, idx: InsnIdx, trap: Trap) {
        self.traps.push((idx, trap));
        self.trap_now(TrapKind::Known.at(idx));
    }

    /// Leaves the run.
    fn trap_now(&mut self, at: u32) {
        self.asm.mov_r_i(COUNT, at.into());
        self.asm.jmp(self.trap);
    }

    /// Leaves the run if a condition holds. The code for it comes at the end.
    fn trap_if(&mut self, cond: Cond, kind: TrapKind, idx: InsnIdx) {
        let at = kind.at(idx);
        let known = self.stubs.last().filter(|stub| stub.1 == at);
        let label = match known {
            Some(stub) => stub.0,
            None => {
                let label = self.asm.label();
                self.stubs.push((label, at));
                label
            }
        };
        self.asm.jcc(cond, label);
    }
}

const _: () = assert!(layout::BASE <= i32::MAX as u64);
