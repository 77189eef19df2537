//! How long an instruction takes, beside the interpreter of rbpf: short rounds in turns, the best of each,
//! one row a program; on a busy machine the best is what the program itself costs. Both get 1500 bytes of memory; skep checks every access against the shadow of its arena.
//!
//! Besides the programs below, the folder that `SKEP_BENCH` names may give more: `obj/NAME.raw.bin`,
//! called as `prog(memory, length)` with `packet.bin`.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use skep_asm::{Options, assemble_program};
use skep_interp::{BUDGET, Machine, Nobody};
use skep_isa::RawInsn;
use skep_sim::{ProgId, RunInput, Sim};
use skep_spec::{ProgType, ProgramSpec};

/// Rounds, of which the best counts.
const ROUNDS: usize = 400;
/// Nanoseconds of a round, about.
const ROUND_NS: u128 = 250_000;
/// Bytes of memory that the programs get.
const MEMORY: usize = 1500;

/// Name and text of programs with r1 = memory and r2 = its length.
const PROGRAMS: [(&str, &str); 3] = [
    (
        "loop",
        "r0 = 0
         r3 = 1
         r4 = 1000
         again:
         r5 = r0
         r0 = r3
         r3 += r5
         r4 += -1
         if r4 != 0 goto again
         exit",
    ),
    (
        "bytes",
        "r0 = 0
         r2 += r1
         again:
         r3 = *(u8 *)(r1 + 0)
         r0 += r3
         r1 += 1
         if r1 < r2 goto again
         exit",
    ),
    (
        "stack",
        "r0 = 0
         r4 = 500
         again:
         *(u64 *)(r10 - 8) = r4
         *(u32 *)(r10 - 16) = r0
         r3 = *(u64 *)(r10 - 8)
         r5 = *(u32 *)(r10 - 16)
         w0 = w5
         r0 ^= r3
         r4 += -1
         if r4 != 0 goto again
         exit",
    ),
];

/// Bytecode by name: the programs above, then those of the folder.
fn programs() -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
    let mut memory: Vec<u8> = (0..MEMORY).map(|i| (i * 7) as u8).collect();
    let mut programs = Vec::new();
    for (name, text) in PROGRAMS {
        let spec = assemble_program(name, ProgType::Unspec, text, &Options::default()).unwrap();
        let bytes = spec.insns.iter().flat_map(|i| i.to_le_bytes()).collect();
        programs.push((name.to_owned(), bytes));
    }
    if let Some(folder) = std::env::var_os("SKEP_BENCH").map(PathBuf::from) {
        memory = fs::read(folder.join("packet.bin")).unwrap();
        let mut paths: Vec<_> = fs::read_dir(folder.join("obj"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".raw.bin") {
                programs.push((name.to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    (programs, memory)
}

/// Nanoseconds of a call, over as many calls as a round has time for.
fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    let begin = Instant::now();
    for _ in 0..calls {
        call();
    }
    begin.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn calls(mut call: impl FnMut()) -> u32 {
    let begin = Instant::now();
    call();
    let once = begin.elapsed().as_nanos().max(1);
    (ROUND_NS / once).clamp(1, 1 << 20) as u32
}

fn best(times: Vec<f64>) -> f64 {
    times.into_iter().fold(f64::INFINITY, f64::min)
}

fn main() {
    let (programs, memory) = programs();
    println!(
        "{:<10} {:>8} {:>10} {:>10} {:>7} {:>7} {:>6}",
        "program", "insns", "skep ns", "rbpf ns", "skep/i", "rbpf/i", "ratio"
    );
    let (mut sum, mut count) = (0.0, 0);
    for (name, bytes) in programs {
        let slots = RawInsn::slots_from_le_bytes(&bytes).unwrap();
        let mut sim = Sim::new(&[]).unwrap();
        let mut machine = Machine::new();
        let prog = machine
            .load(&mut sim, &ProgramSpec::new(&name, ProgType::Unspec, slots))
            .unwrap();
        let at = sim.begin_memory(&memory).unwrap();
        let args = [at, memory.len() as u64, 0, 0, 0];
        let (r0, insns) = machine.call(&mut sim, prog, args, BUDGET, Nobody).unwrap();
        let mut theirs = memory.clone();
        // rbpf gives the memory's address alone.
        let len = RawInsn::new(0xb7, 2, 0, 0, MEMORY as i32).to_le_bytes();
        let code = [&len[..], &bytes].concat();
        let Ok(vm) = rbpf::EbpfVmRaw::new(Some(&code)) else {
            println!("{name:<10} is refused by rbpf");
            continue;
        };
        // Programs that change their memory are compared on their first run alone.
        let same = vm
            .execute_program(&mut theirs)
            .is_ok_and(|their_r0| their_r0 == r0);
        let mut ours = || {
            black_box(machine.call(&mut sim, prog, args, BUDGET, Nobody).unwrap());
        };
        let mut other = || {
            black_box(vm.execute_program(&mut theirs).unwrap_or(0));
        };
        let (n, m) = (calls(&mut ours), calls(&mut other));
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            a.push(time(n, &mut ours));
            b.push(time(m, &mut other));
        }
        let (a, b) = (best(a), best(b));
        let each = insns as f64;
        let note = if same {
            ""
        } else {
            "  rbpf gives something else"
        };
        println!(
            "{name:<10} {insns:>8} {a:>10.1} {b:>10.1} {:>7.2} {:>7.2} {:>6.2}{note}",
            a / each,
            b / each,
            b / a
        );
        (sum, count) = (sum + (b / a).ln(), count + 1);
    }
    println!(
        "geometric mean of the ratios {:.2}",
        (sum / f64::from(count)).exp()
    );
    packets();
}

/// A program that parses Ethernet, VLAN, IPv4 or IPv6 and UDP or TCP headers, as XDP.
const PARSE: &str = "
    r2 = *(u32 *)(r1 + 4)
    r1 = *(u32 *)(r1 + 0)
    r0 = 1
    r3 = r1
    r3 += 34
    if r3 > r2 goto out
    r3 = *(u16 *)(r1 + 12)
    if r3 != 8 goto out
    r3 = *(u8 *)(r1 + 14)
    r3 &= 15
    r3 <<= 2
    if r3 < 20 goto out
    r4 = *(u8 *)(r1 + 23)
    if r4 != 17 goto out
    r1 += 14
    r1 += r3
    r3 = r1
    r3 += 8
    if r3 > r2 goto out
    r3 = *(u16 *)(r1 + 2)
    r3 = be16 r3
    if r3 == 53 goto out
    r0 = 2
out:
    exit";

/// Packets per second of a whole run at the XDP hook.
fn packets() {
    let mut packet = vec![0u8; 64];
    packet[12] = 8;
    packet[14] = 0x45;
    packet[23] = 17;
    let spec = assemble_program("parse", ProgType::Xdp, PARSE, &Options::default()).unwrap();
    let mut sim = Sim::new(&[]).unwrap();
    let mut machine = Machine::new();
    let prog: ProgId = machine.load(&mut sim, &spec).unwrap();
    let input = RunInput {
        data: packet,
        ..RunInput::default()
    };
    let mut run = || {
        black_box(machine.run(&mut sim, prog, &input).unwrap());
    };
    let n = calls(&mut run);
    let times = (0..ROUNDS).map(|_| time(n, &mut run)).collect();
    let ns = best(times);
    println!(
        "xdp parse  {ns:.1} ns a packet, {:.2} million a second",
        1000.0 / ns
    );
}
