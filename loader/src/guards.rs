//! Why an access that the kernel cannot satisfy may be harmless: what keeps it from being reached.
//!
//! Programs ask whether a field or type exists before they use it, or look at constants that the
//! tool sets. Once those are known, constants are followed through the program, branches that
//! they decide have one way only, and what no way leads to needs no answer. That is weaker than
//! what a verifier finds out, and enough to name the guard.

use skep_btf::Type;
use skep_isa::{AluOp, CallTarget, Imm64, Insn, InsnIdx, Operand, Reg, Width, decode};
use skep_spec::{CoreAccess, CoreAnswer, MapSpec, ProgramSpec};
use std::sync::Arc;

/// A CO-RE access that the kernel's types do not satisfy.
#[derive(Debug, Clone)]
pub struct MissingAccess {
    /// The slot that must not be reached.
    pub insn_idx: InsnIdx,
    /// What is missing.
    pub access: Arc<CoreAccess>,
    /// What keeps it from being reached; `None` if nothing does, as far as constants tell.
    pub guard: Option<Guard>,
}

/// What decides the branch in front of code that is never reached.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The slot of the branch.
    pub insn_idx: InsnIdx,
    /// What it looks at.
    pub by: GuardedBy,
}

/// What a branch looks at.
#[derive(Debug, Clone)]
pub enum GuardedBy {
    /// The answer to another CO-RE relocation.
    Core(Arc<CoreAccess>),
    /// A constant global variable, by name.
    Variable(String),
    /// Numbers that the program holds itself.
    Numbers,
}

/// Programs that are looked at, in slots; real ones have a tenth.
const MAX_SLOTS: usize = 1 << 16;

/// The accesses of a program that its kernel does not satisfy, each with its guard.
pub fn missing_accesses(program: &ProgramSpec) -> Vec<MissingAccess> {
    let is_missing = |c: &&(InsnIdx, Arc<CoreAccess>)| c.1.answer == CoreAnswer::Missing;
    let missing: Vec<_> = program.core.iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let walk = (program.insns.len() <= MAX_SLOTS).then(|| Walk::new(program));
    let found = missing.into_iter().map(|(at, access)| MissingAccess {
        insn_idx: *at,
        access: Arc::clone(access),
        guard: walk.as_ref().and_then(|w| w.guard(*at)),
    });
    found.collect()
}

/// What a constant comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Own,
    /// The relocation of a slot.
    Core(InsnIdx),
    /// A byte of a constant map.
    Map(usize, usize),
}

/// What is known of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Value {
    Unknown,
    Number(u64, Source),
    /// An address in a constant map.
    Place(usize, i64),
}

type State = [Value; 11];

const NOTHING: State = [Value::Unknown; 11];

/// The program, walked with constants.
struct Walk<'p> {
    program: &'p ProgramSpec,
    insns: Vec<Option<Insn>>,
    /// What is known before each slot; `None` where no way leads.
    states: Vec<Option<State>>,
    /// Of branches that constants decide: where they do not go, and what decides.
    decided: Vec<Option<(InsnIdx, Source)>>,
}

impl<'p> Walk<'p> {
    fn new(program: &'p ProgramSpec) -> Self {
        let len = program.insns.len();
        let insns = (0..len).map(|at| decode(&program.insns, at).ok());
        let mut walk = Walk {
            program,
            insns: insns.collect(),
            states: vec![None; len],
            decided: vec![None; len],
        };
        let mut work = Vec::new();
        walk.join(&mut work, 0, NOTHING);
        while let Some(at) = work.pop() {
            walk.step(&mut work, at);
        }
        walk
    }

    /// Adds what is known on one more way to a slot.
    fn join(&mut self, work: &mut Vec<InsnIdx>, at: InsnIdx, state: State) {
        let Some(slot) = self.states.get_mut(at) else {
            return;
        };
        let Some(known) = slot else {
            *slot = Some(state);
            work.push(at);
            return;
        };
        let mut changed = false;
        for (known, new) in known.iter_mut().zip(state) {
            let same = match (*known, new) {
                (Value::Number(a, _), Value::Number(b, _)) => a == b,
                (a, b) => a == b,
            };
            if !same && *known != Value::Unknown {
                *known = Value::Unknown;
                changed = true;
            }
        }
        if changed {
            work.push(at);
        }
    }

    fn step(&mut self, work: &mut Vec<InsnIdx>, at: InsnIdx) {
        let Some(mut state) = self.states.get(at).copied().flatten() else {
            return;
        };
        let Some(insn) = self.insns.get(at).copied().flatten() else {
            // Poisoned and ill-formed slots end nothing: what follows is as reachable.
            return self.join(work, at + 1, NOTHING);
        };
        let decided = self.decide(&state, insn);
        if let Some(slot) = self.decided.get_mut(at) {
            *slot = decided.and_then(|(taken, source)| {
                let dead = if taken { at + 1 } else { target(at, insn)? };
                Some((dead, source))
            });
        }
        self.apply(&mut state, at, insn);
        for next in successors(at, insn) {
            let dead = self.decided.get(at).copied().flatten();
            if dead.is_none_or(|(dead, _)| dead != next) {
                self.join(work, next, state);
            }
        }
        if let Some(entry) = callee(at, insn) {
            self.join(work, entry, NOTHING);
        }
    }

    /// Whether a branch is taken, and what says so, if constants do.
    fn decide(&self, state: &State, insn: Insn) -> Option<(bool, Source)> {
        let Insn::Jump {
            op,
            width,
            dst,
            src,
            ..
        } = insn
        else {
            return None;
        };
        let (Value::Number(a, from), Value::Number(b, other)) =
            (value(state, dst.into()), value(state, src))
        else {
            return None;
        };
        let source = if from == Source::Own { other } else { from };
        Some((op.holds(width, a, b), source))
    }

    fn apply(&self, state: &mut State, at: InsnIdx, insn: Insn) {
        let new = match insn {
            Insn::Alu {
                op,
                width,
                dst,
                src,
            } => {
                let result = compute(op, width, value(state, dst.into()), value(state, src));
                Some((dst, self.relocated(at, result)))
            }
            Insn::LoadImm64 { dst, imm } => {
                let result = match imm {
                    Imm64::Value(value) => Value::Number(value, Source::Own),
                    Imm64::MapValue { map, off } => self.place(map, off),
                    Imm64::Map(_)
                    | Imm64::BtfVar { .. }
                    | Imm64::Func(_)
                    | Imm64::MapIdx(_)
                    | Imm64::MapIdxValue { .. } => Value::Unknown,
                };
                Some((dst, self.relocated(at, result)))
            }
            Insn::Load {
                size,
                sign,
                dst,
                base,
                off,
            } => {
                let result = match value(state, base.into()) {
                    Value::Place(map, place) if !sign => {
                        self.read(map, place + i64::from(off), size.bytes() as usize)
                    }
                    Value::Place(..) | Value::Number(..) | Value::Unknown => Value::Unknown,
                };
                Some((dst, result))
            }
            Insn::MovSx { dst, .. }
            | Insn::Neg { dst, .. }
            | Insn::Endian { dst, .. }
            | Insn::AddrSpaceCast { dst, .. }
            | Insn::LoadAcquire { dst, .. } => Some((dst, Value::Unknown)),
            Insn::Atomic { src, fetch, .. } => fetch.then_some((src, Value::Unknown)),
            Insn::Call(_) | Insn::CallReg(_) | Insn::LoadPacket { .. } => {
                for reg in Reg::CALLER_SAVED {
                    set(state, reg, Value::Unknown);
                }
                None
            }
            Insn::Imm64Hi
            | Insn::Store { .. }
            | Insn::StoreRelease { .. }
            | Insn::Jump { .. }
            | Insn::Goto { .. }
            | Insn::MayGoto { .. }
            | Insn::Exit => None,
        };
        if let Some((reg, value)) = new {
            set(state, reg, value);
        }
        if matches!(insn, Insn::Atomic { .. }) {
            // A compare-and-exchange gives the old value in r0.
            set(state, Reg::R0, Value::Unknown);
        }
    }

    /// A number that a relocation put into the slot comes from there.
    fn relocated(&self, at: InsnIdx, value: Value) -> Value {
        match value {
            Value::Number(number, Source::Own) if self.program.core_at(at).is_some() => {
                Value::Number(number, Source::Core(at))
            }
            Value::Number(..) | Value::Unknown | Value::Place(..) => value,
        }
    }

    fn place(&self, map: i32, off: u32) -> Value {
        let index = usize::try_from(map).ok();
        match index.and_then(|i| Some((i, self.program.maps.get(i)?))) {
            Some((index, map)) if map.is_constant() => Value::Place(index, off.into()),
            Some(_) | None => Value::Unknown,
        }
    }

    fn read(&self, map: usize, place: i64, size: usize) -> Value {
        let Some((spec, from)) = self.program.maps.get(map).zip(usize::try_from(place).ok()) else {
            return Value::Unknown;
        };
        let end = from.saturating_add(size);
        if end > spec.value_size as usize {
            return Value::Unknown;
        }
        let bytes = spec.init.as_deref().and_then(|init| init.get(from..end));
        let join = |n: u64, b: &u8| n << 8 | u64::from(*b);
        let number = bytes.map_or(0, |bytes| bytes.iter().rev().fold(0, join));
        Value::Number(number, Source::Map(map, from))
    }

    /// The nearest branch that keeps a slot from being reached; `None` if it is reached.
    fn guard(&self, slot: InsnIdx) -> Option<Guard> {
        if self.states.get(slot)?.is_some() {
            return None;
        }
        let before = self.predecessors();
        let mut seen = vec![false; self.insns.len()];
        let mut queue = std::collections::VecDeque::from([slot]);
        while let Some(at) = queue.pop_front() {
            for from in before.get(at)? {
                let decided = self.decided.get(*from).copied().flatten();
                if let Some((dead, source)) = decided
                    && dead == at
                    && self.states.get(*from).is_some_and(Option::is_some)
                {
                    return Some(Guard {
                        insn_idx: *from,
                        by: self.told(source),
                    });
                }
                if let Some(seen) = seen.get_mut(*from)
                    && !std::mem::replace(seen, true)
                {
                    queue.push_back(*from);
                }
            }
        }
        None
    }

    fn predecessors(&self) -> Vec<Vec<InsnIdx>> {
        let mut before = vec![Vec::new(); self.insns.len()];
        for (at, insn) in self.insns.iter().enumerate() {
            let Some(insn) = insn else {
                if let Some(list) = before.get_mut(at + 1) {
                    list.push(at);
                }
                continue;
            };
            for next in successors(at, *insn).into_iter().chain(callee(at, *insn)) {
                if let Some(list) = before.get_mut(next) {
                    list.push(at);
                }
            }
        }
        before
    }

    fn told(&self, source: Source) -> GuardedBy {
        match source {
            Source::Own => GuardedBy::Numbers,
            Source::Core(at) => match self.program.core_at(at) {
                Some(access) => GuardedBy::Core(Arc::clone(access)),
                None => GuardedBy::Numbers,
            },
            Source::Map(map, off) => match self.program.maps.get(map) {
                Some(map) => GuardedBy::Variable(variable_at(map, off)),
                None => GuardedBy::Numbers,
            },
        }
    }
}

/// The variable that holds a byte of a map, or the byte's place.
fn variable_at(map: &MapSpec, off: usize) -> String {
    let found = map.btf.as_ref().and_then(|btf| {
        let section = btf
            .ty(map.btf_value_id.into())
            .ok()
            .and_then(Type::as_datasec)?;
        let mut vars = section.vars.iter();
        let var =
            vars.find(|v| off >= v.offset as usize && off - (v.offset as usize) < v.size as usize)?;
        Some(btf.ty(var.ty).ok()?.name().to_string())
    });
    found.unwrap_or_else(|| format!("{}+{off}", map.name))
}

fn value(state: &State, operand: Operand) -> Value {
    match operand {
        Operand::Reg(reg) => state.get(reg.index()).copied().unwrap_or(Value::Unknown),
        Operand::Imm(imm) => Value::Number(i64::from(imm) as u64, Source::Own),
    }
}

fn set(state: &mut State, reg: Reg, value: Value) {
    if let Some(slot) = state.get_mut(reg.index()) {
        *slot = value;
    }
}

/// The result of arithmetic on constants.
fn compute(op: AluOp, width: Width, dst: Value, src: Value) -> Value {
    if let (AluOp::Mov, Width::W64) = (op, width) {
        return src;
    }
    if let (Value::Place(map, at), Value::Number(n, _), AluOp::Add) = (dst, src, op) {
        return Value::Place(map, at.wrapping_add(n as i64));
    }
    let (a, from) = match (op, dst) {
        (AluOp::Mov, _) => (0, Source::Own),
        (_, Value::Number(a, from)) => (a, from),
        (_, Value::Unknown | Value::Place(..)) => return Value::Unknown,
    };
    let Value::Number(b, other) = src else {
        return Value::Unknown;
    };
    let bits = width.bits();
    let (a, b) = if bits == 32 {
        (u64::from(a as u32), u64::from(b as u32))
    } else {
        (a, b)
    };
    let shift = (b as u32) & (bits - 1);
    let result = match op {
        AluOp::Mov => b,
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh => a << shift,
        AluOp::Rsh => a >> shift,
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod | AluOp::Arsh => return Value::Unknown,
    };
    let result = if bits == 32 {
        u64::from(result as u32)
    } else {
        result
    };
    Value::Number(result, if from == Source::Own { other } else { from })
}

fn offset(at: InsnIdx, off: i64) -> Option<InsnIdx> {
    usize::try_from(i64::try_from(at).ok()? + 1 + off).ok()
}

/// Where a jump leads.
fn target(at: InsnIdx, insn: Insn) -> Option<InsnIdx> {
    offset(at, insn.jump_off()?.into())
}

/// The slots that may follow.
fn successors(at: InsnIdx, insn: Insn) -> Vec<InsnIdx> {
    match insn {
        Insn::Exit => Vec::new(),
        Insn::Goto { .. } => target(at, insn).into_iter().collect(),
        Insn::Jump { .. } | Insn::MayGoto { .. } => {
            target(at, insn).into_iter().chain([at + 1]).collect()
        }
        Insn::LoadImm64 { .. } => vec![at + 2],
        Insn::Alu { .. }
        | Insn::MovSx { .. }
        | Insn::Neg { .. }
        | Insn::Endian { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::Imm64Hi
        | Insn::Load { .. }
        | Insn::Store { .. }
        | Insn::Atomic { .. }
        | Insn::LoadAcquire { .. }
        | Insn::StoreRelease { .. }
        | Insn::LoadPacket { .. }
        | Insn::Call(_)
        | Insn::CallReg(_) => vec![at + 1],
    }
}

/// The subprogram that is called or whose address is taken.
fn callee(at: InsnIdx, insn: Insn) -> Option<InsnIdx> {
    let (Insn::Call(CallTarget::Subprog(off))
    | Insn::LoadImm64 {
        imm: Imm64::Func(off),
        ..
    }) = insn
    else {
        return None;
    };
    offset(at, off.into())
}
