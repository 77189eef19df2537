//! Load requests from a seed: mostly correct programs, some with one deliberate mistake.
//!
//! A program is written step by step (a lookup, a packet check, a loop, a call …) against a coarse model
//! of what registers and stack hold, so that most steps are valid; then at most a few *faults* make it
//! differ from a correct program by a little. The same seed gives the same request everywhere.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a generator picks what it knows how to make"
)]

mod body;
mod context;
mod flow;
mod helper;
mod map;
mod memory;
mod model;
mod mutate;
mod packet;
mod scalar;
mod subprog;

use std::sync::Arc;

use skep_isa::RawInsn;
use skep_spec::tables::Hook;
use skep_spec::tables::prog_types::AttachRule;
use skep_spec::{AttachType, Facts, FuncInfo, MapSpec, ProgFlags, ProgType, ProgramSpec};

use crate::Rng;
use crate::catalogue::Catalogue;
use body::Body;
pub use mutate::mutant;
use subprog::Kind;

/// Makes load requests.
#[derive(Clone, Debug)]
pub struct Generator {
    catalogue: Arc<Catalogue>,
    facts: Arc<Facts>,
}

/// Program types and how often they are chosen.
const TYPES: &[(u32, ProgType)] = &[
    (14, ProgType::SocketFilter),
    (14, ProgType::Xdp),
    (14, ProgType::SchedCls),
    (4, ProgType::SchedAct),
    (7, ProgType::CgroupSkb),
    (7, ProgType::Kprobe),
    (5, ProgType::Tracepoint),
    (5, ProgType::RawTracepoint),
    (5, ProgType::PerfEvent),
    (4, ProgType::SkLookup),
    (4, ProgType::SockOps),
    (4, ProgType::CgroupSockAddr),
    (4, ProgType::Syscall),
    (2, ProgType::LwtIn),
    (2, ProgType::LwtOut),
    (2, ProgType::LwtXmit),
    (1, ProgType::LwtSeg6local),
    (2, ProgType::CgroupSock),
    (1, ProgType::CgroupDevice),
    (2, ProgType::SkSkb),
    (2, ProgType::SkMsg),
    (1, ProgType::FlowDissector),
    (2, ProgType::SkReuseport),
    (1, ProgType::CgroupSysctl),
    (2, ProgType::CgroupSockopt),
    (1, ProgType::RawTracepointWritable),
];

/// Programs by size: weight, fewest and most instructions.
const SIZES: &[(u32, (i64, i64))] = &[
    (30, (3, 20)),
    (40, (20, 70)),
    (24, (70, 200)),
    (6, (200, 500)),
];

/// A kind of step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Alu,
    Stack,
    Memory,
    Map,
    Packet,
    Helper,
    Ctx,
    Branch,
    Loop,
    Call,
    PointerMath,
    LegacyLoad,
    Socket,
    CheckArgument,
    WildJump,
    Sink,
    Skip,
    Break,
    Family,
    Mix,
}

/// Steps and how often they are taken; each program favours some of them.
const STEPS: &[(u32, Step)] = &[
    (20, Step::Alu),
    (14, Step::Stack),
    (12, Step::Memory),
    (9, Step::Map),
    (8, Step::Packet),
    (10, Step::Helper),
    (6, Step::Ctx),
    (14, Step::Branch),
    (6, Step::Skip),
    (3, Step::Break),
    (6, Step::Loop),
    (5, Step::Call),
    (3, Step::PointerMath),
    (2, Step::LegacyLoad),
    (2, Step::Socket),
    (4, Step::CheckArgument),
    (1, Step::WildJump),
    (6, Step::Sink),
    (4, Step::Family),
    (1, Step::Mix),
];

/// What a program is mostly made of.
const TASTES: &[&[Step]] = &[
    &[],
    &[],
    &[
        Step::Alu,
        Step::Branch,
        Step::Skip,
        Step::Sink,
        Step::Family,
    ],
    &[Step::Stack, Step::Branch, Step::Family, Step::Sink],
    &[Step::Loop, Step::Branch, Step::Break, Step::Stack],
    &[Step::Call, Step::Branch, Step::Stack, Step::Memory],
    &[Step::Map, Step::Memory, Step::Sink, Step::Branch],
    &[Step::Packet, Step::Memory, Step::Skip],
    &[Step::Helper, Step::Map, Step::Ctx],
    &[Step::Loop, Step::Call, Step::Helper, Step::Sink],
    &[Step::PointerMath, Step::Memory, Step::Stack, Step::Packet],
];

/// The weights of a program that favours these steps.
fn weights(taste: &[Step]) -> Vec<(u32, Step)> {
    let favour = |step: &Step| taste.iter().any(|other| other == step);
    STEPS
        .iter()
        .map(|(weight, step)| (if favour(step) { weight * 6 } else { *weight }, *step))
        .collect()
}

impl Body<'_> {
    /// One step of any kind; each makes sure that something is written.
    fn step(&mut self) {
        let before = self.out.slots();
        if let Some(step) = self.rng.weighted(&self.weights).copied() {
            self.take(step);
        }
        if self.out.slots() == before && self.reached {
            self.step_alu();
        }
        // A step that goes round and round ends here.
        self.left -= 1;
        if self.rng.chance(20) {
            self.land();
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Alu => self.step_alu(),
            Step::Stack => self.step_stack(),
            Step::Memory => self.step_memory(),
            Step::Map => self.step_map(),
            Step::Packet => self.step_packet(),
            Step::Helper => self.step_helper(),
            Step::Ctx => self.step_ctx(),
            Step::Branch => self.step_branch(),
            Step::Loop => self.step_loop(),
            Step::Call => self.step_call(),
            Step::PointerMath => self.step_pointer_math(),
            Step::LegacyLoad => self.step_legacy_load(),
            Step::Socket => self.step_socket(),
            Step::CheckArgument => self.step_check_argument(),
            Step::WildJump => self.step_wild_jump(),
            Step::Sink => self.step_sink(),
            Step::Skip => self.step_skip(),
            Step::Break => self.step_break(),
            Step::Family => self.step_family(),
            Step::Mix => self.step_mix(),
        }
    }

    /// A number that must be exact: it becomes an offset into memory, which asks for its history.
    fn step_sink(&mut self) {
        let Some(base) = self.pointer() else { return };
        let Some((from, to)) = self.window(self.model.get(base)) else {
            return;
        };
        if from > 0 || to < 2 {
            return;
        }
        let before = self.guard(&[base]);
        let num = self.bounded((to as u64 - 1).min(4000));
        self.guard(&[num]);
        let dst = self.free();
        self.mov(dst, base);
        let still = self.window(self.model.get(dst)).is_some();
        if still {
            self.emit(skep_isa::Insn::Alu {
                op: skep_isa::AluOp::Add,
                width: skep_isa::Width::W64,
                dst,
                src: num.into(),
            });
            let off = if self.fault(8) { 1 } else { 0 };
            self.load(
                skep_isa::Size::B,
                dst,
                dst,
                off,
                model::Val::Num { lo: 0, hi: 255 },
            );
        }
        self.protect = before;
    }
}

impl Generator {
    /// A generator for kernels with these facts.
    pub fn new(facts: Arc<Facts>) -> Generator {
        Generator {
            catalogue: Arc::new(Catalogue::new()),
            facts,
        }
    }

    /// The maps that its programs use.
    pub fn maps(&self) -> &[Arc<MapSpec>] {
        &self.catalogue.maps
    }

    /// The request of a seed.
    pub fn program(&self, seed: u64) -> ProgramSpec {
        let mut rng = Rng::new(seed);
        let ty = rng
            .weighted(TYPES)
            .copied()
            .unwrap_or(ProgType::SocketFilter);
        let attach = self.attach(ty, &mut rng);
        let flags = flags(ty, &mut rng);
        let (fewest, most) = rng.weighted(SIZES).copied().unwrap_or((5, 50));
        let size = rng.range(fewest, most) as i32;
        let faults = rng.pick([0, 0, 0, 0, 1, 1, 1, 2, 0, 1]);
        let mut hook = Hook::new(ty, attach);
        hook.sleepable = flags.contains(ProgFlags::SLEEPABLE);
        let damage = rng.chance(12);
        let gpl = !rng.chance(2);
        let mut body = Body::new(rng, &self.catalogue, &self.facts, hook);
        body.faults = faults;
        body.chained = body.rng.chance(1);
        body.weights = weights(body.rng.choose(TASTES).copied().unwrap_or_default());
        body.functions(size);
        let mut spec = self.request(&format!("p{seed:x}"), body, damage);
        spec.ty = ty;
        spec.attach = attach;
        spec.flags = flags;
        if !gpl {
            spec.license = "MIT".to_owned();
        }
        spec
    }

    fn request(&self, name: &str, mut body: Body<'_>, damage: bool) -> ProgramSpec {
        let mut insns = body.out.finish().unwrap_or_else(|_| nothing());
        if damage {
            mutate::mutate(&mut insns, &mut body.rng);
        }
        let mut spec = ProgramSpec::new(name, ProgType::SocketFilter, insns);
        let maps = body
            .maps
            .iter()
            .filter_map(|at| self.catalogue.maps.get(*at));
        spec.maps = maps.cloned().collect();
        let typed = |kind: Kind| matches!(kind, Kind::Global(_) | Kind::Callback);
        let needed = body.functions.iter().any(|f| typed(f.kind));
        let forgotten = needed && body.rng.chance(1);
        if (needed || body.rng.chance(10)) && !forgotten {
            spec.btf = Some(Arc::clone(&self.catalogue.btf));
            spec.func_info = body
                .functions
                .iter()
                .map(|f| FuncInfo {
                    insn_off: f.start,
                    type_id: f.type_id,
                })
                .collect();
            if body.rng.below(80) == 0 {
                damage_info(&mut spec.func_info, &mut body.rng);
            }
        }
        spec
    }

    fn attach(&self, ty: ProgType, rng: &mut Rng) -> AttachType {
        let none = AttachType::CgroupInetIngress;
        let Some(row) = self.facts.prog_type(ty) else {
            return none;
        };
        match row.attach {
            AttachRule::Any | AttachRule::Zero => none,
            AttachRule::OneOf(types) | AttachRule::OneOfOrFirst(types) => {
                rng.choose(types).copied().unwrap_or(none)
            }
        }
    }
}

/// Makes function information wrong.
fn damage_info(info: &mut Vec<FuncInfo>, rng: &mut Rng) {
    let at = rng.index(info.len());
    let Some(one) = info.get_mut(at) else { return };
    match rng.below(6) {
        0 => one.insn_off = one.insn_off.wrapping_add(1),
        1 => one.insn_off = 0,
        2 => one.type_id = rng.below(140) as u32,
        3 => one.type_id = u32::MAX >> rng.below(20),
        4 => drop(info.remove(at)),
        _ => info.reverse(),
    }
}

/// The shortest program, for one whose labels are too far apart.
fn nothing() -> Vec<RawInsn> {
    vec![
        RawInsn::new(0xb7, 0, 0, 0, 0),
        RawInsn::new(skep_isa::opcode::EXIT, 0, 0, 0, 0),
    ]
}

fn flags(ty: ProgType, rng: &mut Rng) -> ProgFlags {
    let mut flags = ProgFlags::empty();
    if rng.chance(33) {
        flags |= ProgFlags::TEST_STATE_FREQ;
    }
    if rng.chance(10) {
        flags |= ProgFlags::TEST_REG_INVARIANTS;
    }
    if rng.chance(6) {
        flags |= rng.pick([ProgFlags::STRICT_ALIGNMENT, ProgFlags::ANY_ALIGNMENT]);
    }
    if rng.chance(3) {
        flags |= ProgFlags::TEST_RND_HI32;
    }
    let sleeps = ty == ProgType::Syscall || ty == ProgType::Kprobe && rng.chance(10);
    if sleeps != (rng.below(400) == 0) {
        flags |= ProgFlags::SLEEPABLE;
    }
    if ty == ProgType::Xdp && rng.chance(10) {
        flags |= ProgFlags::XDP_HAS_FRAGS;
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_spec::Profile;

    fn generator() -> Generator {
        Generator::new(Arc::new(Facts::new(Profile::linux_6_18())))
    }

    #[test]
    fn a_seed_is_a_program() {
        let (a, b) = (generator(), generator());
        for seed in 0..200 {
            let (x, y) = (a.program(seed), b.program(seed));
            assert_eq!(x.insns, y.insns, "{seed}");
            assert_eq!(
                (x.ty, x.attach, x.flags),
                (y.ty, y.attach, y.flags),
                "{seed}"
            );
            assert_eq!(x.func_info, y.func_info, "{seed}");
        }
    }

    #[test]
    fn programs_have_all_sizes_types_and_flags() {
        let generator = generator();
        let programs: Vec<_> = (0..2000).map(|seed| generator.program(seed)).collect();
        let count = |like: &dyn Fn(&ProgramSpec) -> bool| {
            programs.iter().filter(|program| like(program)).count()
        };
        assert!(count(&|p| p.insns.len() < 20) > 200);
        assert!(count(&|p| p.insns.len() > 200) > 50);
        assert!(count(&|p| p.flags.contains(ProgFlags::TEST_STATE_FREQ)) > 500);
        assert!(count(&|p| p.flags.contains(ProgFlags::TEST_REG_INVARIANTS)) > 120);
        for (_, ty) in TYPES {
            assert!(count(&|p| p.ty == *ty) > 0, "{ty}");
        }
        assert!(count(&|p| p.func_info.len() > 1) > 100);
    }
}
