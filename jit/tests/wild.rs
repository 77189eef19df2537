//! Random bytecode in the sandbox: it returns or stops with a named trap, and touches nothing outside of
//! guest memory. It runs in a process of its own, whose end by a fault would be seen.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "what a process says of its run")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "numbers are matched, not kinds"
)]

use std::process::Command;
use std::sync::Arc;

use skep_isa::{Insn, RawInsn, decode};
use skep_jit::{Jit, Opts};
use skep_sim::{Config, ProgId, RunInput, Sim};
use skep_spec::{MapSpec, MapType, ProgType, ProgramSpec};

/// Programs.
const PROGRAMS: u64 = 100_000;
/// Programs that share a kernel.
const SHARED: u64 = 500;
/// Budget of a run.
const BUDGET: u64 = 20_000;
/// Says in which process we are.
const CHILD: &str = "SKEP_WILD_CHILD";

/// Pseudorandom numbers (xorshift).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn maps() -> Vec<Arc<MapSpec>> {
    [
        MapSpec::new("array", MapType::Array, 4, 16, 4),
        MapSpec::new("hash", MapType::Hash, 8, 8, 4),
        MapSpec::new("progs", MapType::ProgArray, 4, 4, 4),
        MapSpec::new("ring", MapType::Ringbuf, 0, 0, 4096),
    ]
    .map(Arc::new)
    .to_vec()
}

/// A number that is often near an edge.
fn number(rng: &mut Rng) -> i32 {
    match rng.below(4) {
        0 => rng.next() as i32,
        1 => rng.below(80) as i32 - 16,
        2 => (1u32 << rng.below(32)) as i32,
        _ => -(rng.below(520) as i32),
    }
}

/// A slot that decodes, whose jumps stay inside of `len` slots.
fn slot(rng: &mut Rng, at: usize, len: usize) -> [RawInsn; 2] {
    loop {
        let code = rng.next() as u8;
        let class = code & 7;
        let (dst, src) = (rng.below(11) as u8, rng.below(11) as u8);
        let jump = rng.below(len as u64) as i64 - at as i64 - 1;
        // Most of what is loaded and stored is on the stack or in the context.
        let base = [10, 10, 1, 6, src][rng.below(5) as usize];
        let (raw, mut next);
        next = RawInsn::default();
        match class {
            1 => raw = RawInsn::new(code, dst, base, -(rng.below(64) as i16 * 8), 0),
            2 => raw = RawInsn::new(code, base, 0, -(rng.below(520) as i16), number(rng)),
            3 => {
                let kinds = [
                    0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1, 0x100, 0x110,
                ];
                let imm = kinds[rng.below(12) as usize];
                let imm = if code & 0xe0 == 0xc0 { imm } else { 0 };
                raw = RawInsn::new(code, base, src, -(rng.below(64) as i16 * 8), imm);
            }
            4 | 7 => {
                let off = [0, 0, 0, 1, 8, 16, 32][rng.below(7) as usize];
                let imm = if rng.below(8) == 0 { 16 } else { number(rng) };
                let imm = if code & 8 != 0 && code & 0xf0 != 0xd0 {
                    0
                } else {
                    imm
                };
                let src = if code & 8 == 0 { 0 } else { src };
                raw = RawInsn::new(code, dst, src, off, imm);
            }
            0 if code == 0x18 => {
                let kind = rng.below(5) as u8;
                let (lo, hi) = match kind {
                    0 => (number(rng), number(rng)),
                    1 => (rng.below(4) as i32, 0),
                    2 => (0, rng.below(40) as i32),
                    4 => (jump as i32, 0),
                    _ => continue,
                };
                raw = RawInsn::new(code, dst, kind, 0, lo);
                next = RawInsn::new(0, 0, 0, 0, hi);
            }
            0 => {
                raw = RawInsn::new(
                    code,
                    0,
                    if code & 0xe0 == 0x40 { src } else { 0 },
                    0,
                    number(rng),
                )
            }
            _ if code == 0x85 => {
                let kind = rng.below(2) as u8;
                let imm = if kind == 1 {
                    jump as i32
                } else {
                    rng.below(212) as i32
                };
                raw = RawInsn::new(code, 0, kind, 0, imm);
            }
            _ if code == 0x06 => raw = RawInsn::new(code, 0, 0, 0, jump as i32),
            _ if code == 0x05 || code == 0xe5 => raw = RawInsn::new(code, 0, 0, jump as i16, 0),
            _ if code == 0x95 => raw = RawInsn::new(code, 0, 0, 0, 0),
            _ => {
                let (src, imm) = if code & 8 == 0 {
                    (0, number(rng))
                } else {
                    (src, 0)
                };
                raw = RawInsn::new(code, dst, src, jump as i16, imm);
            }
        }
        if decode(&[raw, next], 0).is_ok() {
            return [raw, next];
        }
    }
}

fn program(rng: &mut Rng) -> Vec<RawInsn> {
    let len = 4 + rng.below(40) as usize;
    let mut slots = Vec::new();
    // R6 is the context, as packet loads want it.
    slots.push(RawInsn::new(0xbf, 6, 1, 0, 0));
    while slots.len() < len {
        let [first, second] = slot(rng, slots.len(), len);
        slots.push(first);
        if first.is_ld_imm64() {
            slots.push(second);
        }
    }
    slots.push(RawInsn::new(0x95, 0, 0, 0, 0));
    slots
}

/// Runs the programs; gives how many loaded, returned and trapped.
fn run_all(seed: u64) -> [u64; 3] {
    let mut rng = Rng(seed);
    let mut counts = [0; 3];
    let packet = RunInput::packet(&[0x45; 64]);
    for batch in 0..PROGRAMS / SHARED {
        let maps = maps();
        let config = Config {
            arena: 64 << 20,
            max_output: 1 << 16,
            ..Config::default()
        };
        // Half of the kernels are not at their guests' addresses.
        let neighbour = (batch % 2 == 1).then(|| Sim::new(&[]).unwrap());
        let mut sim = Sim::with_config(config, &maps).unwrap();
        for _ in 0..SHARED {
            let opts = if rng.below(2) == 0 {
                Opts::ALL
            } else {
                Opts::NONE
            };
            let mut jit = Jit::with_opts(opts);
            let mut spec = ProgramSpec::new("wild", ProgType::SchedCls, program(&mut rng));
            spec.maps.clone_from(&maps);
            if jit.load(&mut sim, &spec, &[]).is_err() {
                continue;
            }
            counts[0] += 1;
            let id = sim.map("progs").unwrap();
            sim.set_program(id, 0, ProgId(0)).unwrap();
            match jit.run(&mut sim, ProgId(0), &packet, BUDGET) {
                Ok(_) => counts[1] += 1,
                Err(_) => counts[2] += 1,
            }
            sim.take_output();
        }
        drop(neighbour);
    }
    counts
}

#[test]
fn wild_programs_return_or_trap() {
    if std::env::var_os(CHILD).is_some() {
        let [loaded, returned, trapped] = run_all(0x9e37_79b9_7f4a_7c15);
        println!("{loaded} loaded, {returned} returned, {trapped} trapped");
        assert!(
            loaded > PROGRAMS / 2 && returned > PROGRAMS / 20,
            "too tame"
        );
        assert!(trapped > PROGRAMS / 20, "too tame");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "wild_programs_return_or_trap", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
}

#[test]
fn programs_that_write_the_frame_pointer_are_confined_too() {
    let insns = [
        RawInsn::new(0xb7, 10, 0, 0, 64),
        RawInsn::new(0x79, 0, 10, -8, 0),
        RawInsn::new(0x95, 0, 0, 0, 0),
    ];
    assert!(matches!(decode(&insns, 0), Ok(Insn::Alu { .. })));
    let mut sim = Sim::new(&[]).unwrap();
    let mut jit = Jit::new();
    let spec = ProgramSpec::new("frame", ProgType::SchedCls, insns.to_vec());
    let id = jit.load(&mut sim, &spec, &[]).unwrap();
    let packet = RunInput::packet(&[0x45; 64]);
    assert!(jit.run(&mut sim, id, &packet, BUDGET).is_err());
}
