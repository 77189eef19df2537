//! Requests of extreme size and shape: answered in bounded time and memory, in the kernel's words.
//!
//! Each is verified alone, on a thread with an ordinary stack, while time and peak memory are taken. A
//! kernel of the reference series is asked the same where that does it no harm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "figures are for people")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_isa::{RawInsn, opcode, pseudo};
use skep_kernel::{Answer, Kernel, LoadOptions};
use skep_spec::{Facts, MapSpec, MapType, Profile, ProgFlags, ProgType, ProgramSpec};
use skep_verifier::report::{self, Silent};
use skep_verifier::{Config, Verdict, verify};

const EXIT: RawInsn = RawInsn::new(opcode::EXIT, 0, 0, 0, 0);
const ZERO: RawInsn = mov(0, 0);
const STACK: usize = 2 << 20;
/// Bytes that one verification may add to the process.
const MEMORY: u64 = 400 << 20;

/// `dst = imm`.
const fn mov(dst: u8, imm: i32) -> RawInsn {
    RawInsn::new(0xb7, dst, 0, 0, imm)
}

/// `dst += imm`.
const fn add(dst: u8, imm: i32) -> RawInsn {
    RawInsn::new(0x07, dst, 0, 0, imm)
}

/// `if dst == imm goto off`.
const fn jeq(dst: u8, imm: i32, off: i16) -> RawInsn {
    RawInsn::new(0x15, dst, 0, off, imm)
}

/// `if dst < imm goto off`.
const fn jlt(dst: u8, imm: i32, off: i16) -> RawInsn {
    RawInsn::new(0xa5, dst, 0, off, imm)
}

/// `dst = *(u32 *)(src + off)`.
const fn load(dst: u8, src: u8, off: i16) -> RawInsn {
    RawInsn::new(0x61, dst, src, off, 0)
}

/// `*(u64 *)(r10 + off) = src`.
const fn spill(src: u8, off: i16) -> RawInsn {
    RawInsn::new(0x7b, 10, src, off, 0)
}

const fn call(off: i32) -> RawInsn {
    RawInsn::new(opcode::CALL, 0, pseudo::CALL, 0, off)
}

const fn helper(id: i32) -> RawInsn {
    RawInsn::new(opcode::CALL, 0, 0, 0, id)
}

const fn goto(off: i32) -> RawInsn {
    RawInsn::new(opcode::JA32, 0, 0, 0, off)
}

fn many(insn: RawInsn, count: usize) -> impl Iterator<Item = RawInsn> {
    std::iter::repeat_n(insn, count)
}

fn program(insns: impl IntoIterator<Item = RawInsn>) -> ProgramSpec {
    ProgramSpec::new("large", ProgType::SocketFilter, insns.into_iter().collect())
}

/// What is expected.
enum Expect {
    Accepted,
    /// The last line of the message.
    Rejected(&'static str),
    /// A limit of ours, where a kernel would take all the memory there is.
    Undecided(&'static str),
}
use Expect::{Accepted, Rejected, Undecided};

struct Case {
    name: &'static str,
    spec: ProgramSpec,
    expect: Expect,
    /// The kernel may be asked too.
    ask: bool,
    /// It takes seconds without optimisation.
    heavy: bool,
}

fn case(name: &'static str, spec: ProgramSpec, expect: Expect) -> Case {
    Case {
        name,
        spec,
        expect,
        ask: true,
        heavy: false,
    }
}

/// One that must not be put to a real kernel: it would take minutes or gigabytes.
fn unasked(name: &'static str, spec: ProgramSpec, expect: Expect) -> Case {
    Case {
        name,
        spec,
        expect,
        ask: false,
        heavy: true,
    }
}

/// One that takes seconds without optimisation.
fn heavy(case: Case) -> Case {
    Case {
        heavy: true,
        ..case
    }
}

const TOO_LARGE: &str = "BPF program is too large. Processed 1000001 insn";

fn lengths() -> Vec<Case> {
    vec![
        heavy(case(
            "1000000 slots",
            program(many(ZERO, 999_999).chain([EXIT])),
            Accepted,
        )),
        case(
            "1000001 slots",
            program(many(ZERO, 1_000_000).chain([EXIT])),
            Rejected(""),
        ),
        case("no slots", program([]), Rejected("")),
        heavy(case(
            "1000000 slots of 64-bit immediates",
            program(
                (0..499_999)
                    .flat_map(|n| [RawInsn::new(0x18, 0, 0, 0, n), RawInsn::default()])
                    .chain([ZERO, EXIT]),
            ),
            Accepted,
        )),
    ]
}

fn loops() -> Vec<Case> {
    let counting = || program([mov(1, 0), add(1, 1), jlt(1, 2_000_000, -2), ZERO, EXIT]);
    let mut frequent = counting();
    frequent.flags = ProgFlags::TEST_STATE_FREQ;
    vec![
        heavy(case(
            "a loop of two million rounds",
            counting(),
            Rejected(TOO_LARGE),
        )),
        heavy(case(
            "the same, all states remembered",
            frequent,
            Rejected(TOO_LARGE),
        )),
        heavy(case(
            "a loop of 300000 rounds",
            program([mov(1, 0), add(1, 1), jlt(1, 300_000, -2), ZERO, EXIT]),
            Accepted,
        )),
        case(
            "a loop without end",
            program([ZERO, jeq(1, 0, 1), goto(-1), EXIT]),
            Rejected("old state: R0=0 R1=ctx() R10=fp0"),
        ),
    ]
}

/// Undecided branches, one after the other, none of which ends before the program does.
fn branches(count: usize) -> ProgramSpec {
    let head = [load(6, 1, 0)];
    let body = (0..count).flat_map(|n| [jeq(6, n as i32, 0)]);
    program(head.into_iter().chain(body).chain([ZERO, EXIT]))
}

fn branchy() -> Vec<Case> {
    let mut frequent = branches(8191);
    frequent.flags = ProgFlags::TEST_STATE_FREQ;
    vec![
        heavy(case(
            "8192 pending branches",
            branches(8192),
            Rejected(TOO_LARGE),
        )),
        case(
            "8193 pending branches",
            branches(8193),
            Rejected("The sequence of 8193 jumps is too complex."),
        ),
        case(
            "8191 pending branches, all states remembered",
            frequent,
            Accepted,
        ),
    ]
}

/// A main program that calls `count - 1` subprograms once each.
fn subprogs(count: usize) -> ProgramSpec {
    let calls = count - 1;
    let head = (0..calls).map(|n| call((calls - n - 1 + 2 + 2 * n) as i32));
    let tail = (0..calls).flat_map(|_| [ZERO, EXIT]);
    program(head.chain([ZERO, EXIT]).chain(tail))
}

/// `depth` frames, each calling the next `fan` times if it is reached at all.
fn chain(depth: usize, fan: usize, dead: bool) -> ProgramSpec {
    let mut insns = Vec::new();
    let head = if dead { 2 } else { 0 };
    let body = fan + 2 + head;
    for level in 0..depth {
        if dead {
            // Always taken: what it jumps over is never walked.
            insns.extend([ZERO, jeq(0, 0, fan as i16)]);
        }
        let last = level + 1 == depth;
        for n in 0..fan {
            let here = level * body + head + n;
            let next = (level + 1) * body;
            insns.push(if last {
                ZERO
            } else {
                call((next - here - 1) as i32)
            });
        }
        insns.extend([ZERO, EXIT]);
    }
    program(insns)
}

fn calls() -> Vec<Case> {
    let deep = "the call stack of 9 frames is too deep";
    vec![
        case("256 subprograms", subprogs(256), Accepted),
        case(
            "257 subprograms",
            subprogs(257),
            Rejected("too many subprograms"),
        ),
        case("a chain of 8 frames", chain(8, 1, false), Accepted),
        case("a chain of 9 frames", chain(9, 1, false), Rejected(deep)),
        case(
            "a subprogram that calls itself",
            program([call(1), EXIT, call(-1), EXIT]),
            Rejected(deep),
        ),
        heavy(case(
            "six calls of six calls of …",
            chain(8, 6, false),
            Rejected(TOO_LARGE),
        )),
        unasked(
            "a thousand dead calls of a thousand dead calls of …",
            chain(8, 1000, true),
            Accepted,
        ),
    ]
}

fn stacks() -> Vec<Case> {
    let store = |off| RawInsn::new(0x7a, 10, 0, off, 0);
    let below = |off| program([store(off), ZERO, EXIT]);
    vec![
        case("512 bytes of stack", below(-512), Accepted),
        case(
            "520 bytes of stack",
            below(-520),
            Rejected("invalid write to stack R10 off=-520 size=8"),
        ),
        case(
            "the least offset",
            below(i16::MIN),
            Rejected("invalid write to stack R10 off=-32768 size=8"),
        ),
    ]
}

fn map_load(dst: u8, index: usize) -> [RawInsn; 2] {
    [
        RawInsn::new(0x18, dst, pseudo::MAP_FD, 0, index as i32),
        RawInsn::default(),
    ]
}

fn maps(count: usize) -> ProgramSpec {
    let mut spec = program((0..count).flat_map(|n| map_load(1, n)).chain([ZERO, EXIT]));
    let map = |_| Arc::new(MapSpec::new("m", MapType::Array, 4, 8, 1));
    spec.maps = (0..count).map(map).collect();
    spec
}

fn map_counts() -> Vec<Case> {
    let ringbuf = || Arc::new(MapSpec::new("rb", MapType::Ringbuf, 0, 0, 4096));
    // Each round acquires a record that nobody releases.
    let acquire = |more: &[RawInsn]| {
        let head = map_load(1, 0)
            .into_iter()
            .chain([mov(2, 8), mov(3, 0), helper(131)]);
        let mut spec = program(head.chain(more.iter().copied()).chain([ZERO, EXIT]));
        spec.maps = vec![ringbuf()];
        spec
    };
    let may_goto = acquire(&[RawInsn::new(opcode::JCOND, 0, 0, -6, 0)]);
    let straight = {
        let one = map_load(1, 0)
            .into_iter()
            .chain([mov(2, 8), mov(3, 0), helper(131)]);
        let one: Vec<RawInsn> = one.collect();
        let mut spec = program(many_of(&one, 199_999).chain([ZERO, EXIT]));
        spec.maps = vec![ringbuf()];
        spec
    };
    vec![
        case("64 maps", maps(64), Accepted),
        case(
            "65 maps",
            maps(65),
            Rejected("The total number of maps per program has reached the limit of 64"),
        ),
        unasked(
            "a loop that acquires without end",
            may_goto,
            Undecided("remembered states"),
        ),
        unasked(
            "200000 acquired records",
            straight,
            Undecided("remembered states"),
        ),
    ]
}

fn many_of(run: &[RawInsn], count: usize) -> impl Iterator<Item = RawInsn> + use<'_> {
    std::iter::repeat_n(run, count).flatten().copied()
}

/// Programs whose preparation or bookkeeping could take the square of their length.
#[allow(clippy::too_many_lines, reason = "a list of programs")]
fn quadratic() -> Vec<Case> {
    // Never walked: each jump goes back to the one before it, and only the first of all leads to where
    // r7 is read, so that its liveness travels one jump at a time.
    let head = [
        ZERO,
        jeq(0, 0, 2),
        RawInsn::new(0xbf, 0, 7, 0, 0),
        jeq(6, 1, 1),
        EXIT,
    ];
    let back = [jeq(6, 1, -4)]
        .into_iter()
        .chain(many(jeq(6, 1, -2), 999_900));
    let ladder = head.into_iter().chain(back).chain([ZERO, EXIT]);
    // A deep stack that changes at every remembered state, on a path that never ends.
    let full = (1..=64).map(|n| RawInsn::new(0x7a, 10, 0, -8 * n, n.into()));
    let change = [add(1, 1), spill(1, -512), jlt(1, 2_000_000, -3)];
    let mut deep = program(
        [mov(1, 0)]
            .into_iter()
            .chain(full)
            .chain(change)
            .chain([ZERO, EXIT]),
    );
    deep.flags = ProgFlags::TEST_STATE_FREQ;
    // All 64 slots of eight frames.
    let frames = 8;
    let mut wide = Vec::new();
    for level in 0..frames {
        wide.extend((1..=7).map(|n| RawInsn::new(0x7a, 10, 0, -8 * n, n.into())));
        if level + 1 < frames {
            wide.extend([call(1), EXIT]);
        }
    }
    wide.extend([
        mov(1, 0),
        add(1, 1),
        spill(1, -8),
        jlt(1, 2_000_000, -3),
        ZERO,
        EXIT,
    ]);
    let mut wide = program(wide);
    wide.flags = ProgFlags::TEST_STATE_FREQ;
    // Each block writes one of two slots, so that each path's end drops what was certain before.
    let block = |n: i32| {
        let store = RawInsn::new(0x7a, 7, 0, 0, 0);
        [
            RawInsn::new(0xbf, 7, 10, 0, 0),
            add(7, -8),
            jeq(6, n, 1),
            add(7, -8),
            store,
        ]
    };
    let tail = [ZERO, jeq(0, 0, 1), goto(1), EXIT]
        .into_iter()
        .chain(many(ZERO, 950_000));
    let drops = [load(6, 1, 0)]
        .into_iter()
        .chain((0..8000).flat_map(block))
        .chain(tail);
    // Each addition asks where the one number came from, and nothing is ever remembered.
    let precise = [
        RawInsn::new(0xbf, 2, 10, 0, 0),
        RawInsn::new(0x0f, 2, 1, 0, 0),
    ];
    let precise = [load(1, 1, 0), RawInsn::new(0x57, 1, 0, 0, 7)]
        .into_iter()
        .chain(many_of(&precise, 499_000))
        .chain([ZERO, EXIT]);
    vec![
        unasked(
            "writes that are certain until they are not",
            program(drops.chain([EXIT])),
            Undecided("bookkeeping"),
        ),
        unasked(
            "a number asked about without end",
            program(precise),
            Undecided("bookkeeping"),
        ),
        unasked(
            "jumps that go back over each other",
            program(ladder),
            Accepted,
        ),
        unasked(
            "a deep stack in every remembered state",
            deep,
            Undecided("remembered states"),
        ),
        unasked(
            "eight frames in every remembered state",
            wide,
            Undecided("remembered states"),
        ),
    ]
}

/// Peak resident memory of this process in bytes since the last reset, and that of now.
fn memory() -> Option<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
    };
    Some((field("VmHWM:")?, field("VmRSS:")?))
}

/// What a verification took.
struct Cost {
    time: Duration,
    bytes: Option<u64>,
}

fn measure(spec: &ProgramSpec, facts: &Arc<Facts>) -> (Verdict, Cost) {
    // 5: forget the peak.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = memory();
    let (spec, facts) = (spec.clone(), Arc::clone(facts));
    let thread = std::thread::Builder::new().stack_size(STACK);
    let thread = thread.spawn(move || {
        let start = Instant::now();
        let verdict = verify(&spec, &facts, &Config::default(), &mut Silent);
        (verdict, start.elapsed())
    });
    let (verdict, time) = thread.unwrap().join().unwrap();
    let bytes = before
        .zip(memory())
        .map(|((_, rss), (peak, _))| peak.saturating_sub(rss));
    (verdict, Cost { time, bytes })
}

fn message_of(verdict: &Verdict, spec: &ProgramSpec, facts: &Facts) -> String {
    match verdict {
        Verdict::Accepted(_) => "accepted".to_owned(),
        Verdict::Rejected(r) => report::message(&r.violation, spec, facts)
            .lines()
            .last()
            .unwrap_or("")
            .to_owned(),
        Verdict::Undecided(u) => format!("undecided: {}", u.feature),
    }
}

#[test]
fn extreme_requests_are_answered_in_bounds() {
    let facts = Arc::new(Facts::new(Profile::linux_6_18_44()));
    let kernel = match Kernel::open() {
        Ok(kernel) if kernel.release().starts_with("6.18.") => Some(kernel),
        Ok(kernel) => {
            eprintln!("skipped: the kernel is {}, not 6.18", kernel.release());
            None
        }
        Err(why) => {
            eprintln!("skipped: needs CAP_BPF: {why}");
            None
        }
    };
    let groups = [
        lengths, loops, branchy, calls, stacks, map_counts, quadratic,
    ];
    let mut faults: Vec<String> = Vec::new();
    for case in groups.into_iter().flat_map(|group| group()) {
        if case.heavy && cfg!(debug_assertions) {
            eprintln!("skipped: {}: needs an optimised build", case.name);
            continue;
        }
        let (verdict, cost) = measure(&case.spec, &facts);
        let said = message_of(&verdict, &case.spec, &facts);
        let megabytes = cost.bytes.map_or(-1.0, |b| b as f64 / f64::from(1 << 20));
        eprintln!(
            "{:9.3?} {megabytes:8.1} MB  {}: {said}",
            cost.time, case.name
        );
        let as_expected = match (&case.expect, &verdict) {
            (Accepted, Verdict::Accepted(_)) => true,
            (Rejected(message), Verdict::Rejected(_)) => message.is_empty() || said == *message,
            (Undecided(feature), Verdict::Undecided(u)) => u.feature.contains(feature),
            (Accepted | Rejected(_) | Undecided(_), _) => false,
        };
        if !as_expected {
            faults.push(format!("{}: {said}", case.name));
        }
        let limit = if cfg!(debug_assertions) { 30 } else { 4 };
        if cost.time > Duration::from_secs(limit) {
            faults.push(format!("{}: {:?}", case.name, cost.time));
        }
        if cost.bytes.is_some_and(|bytes| bytes > MEMORY) {
            faults.push(format!("{}: {megabytes:.0} MB", case.name));
        }
        if let Some(kernel) = kernel.as_ref().filter(|_| case.ask) {
            faults.extend(asked(kernel, &case, &verdict, &said));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// How the kernel's answer differs.
fn asked(kernel: &Kernel, case: &Case, ours: &Verdict, said: &str) -> Option<String> {
    let start = Instant::now();
    let outcome = kernel.load(&case.spec, &LoadOptions::quiet());
    eprintln!(
        "{:9.3?}              the kernel: {:?} {}",
        start.elapsed(),
        outcome.answer,
        outcome.message
    );
    let same = match (&outcome.answer, ours) {
        (Answer::Accepted, Verdict::Accepted(accepted)) => {
            let insns = outcome.stats.as_ref().map(|stats| stats.total_insns);
            insns == Some(accepted.stats.total_insns)
        }
        (Answer::Rejected, Verdict::Rejected(_)) => outcome.message == said,
        (Answer::NotJudged(_), Verdict::Rejected(_)) => said.is_empty(),
        (Answer::Accepted | Answer::Rejected | Answer::NotJudged(_), _) => false,
    };
    (!same).then(|| {
        format!(
            "{}: {said}, the kernel {:?} {}",
            case.name, outcome.answer, outcome.message
        )
    })
}
