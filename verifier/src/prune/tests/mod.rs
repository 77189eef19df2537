//! Pruning without a walk: programs of a few slots, states made by hand. What the live kernel's log
//! (6.18.44, level 2) says of the same programs is written beside them.

mod backtrack;
mod counts;
mod history;
mod live;
mod stored;
mod subsumes;

use skep_isa::{RawInsn, opcode};
use skep_spec::{Facts, Profile, ProgType, ProgramSpec};

use crate::Config;
use crate::prepare::{self, Ctx};
use crate::report::Silent;

/// `dst = src`.
fn mov(dst: u8, src: u8) -> RawInsn {
    RawInsn::new(0xbf, dst, src, 0, 0)
}

/// `dst = imm`.
fn mov_imm(dst: u8, imm: i32) -> RawInsn {
    RawInsn::new(0xb7, dst, 0, 0, imm)
}

/// `dst += imm`.
fn add_imm(dst: u8, imm: i32) -> RawInsn {
    RawInsn::new(0x07, dst, 0, 0, imm)
}

/// `dst += src`.
fn add(dst: u8, src: u8) -> RawInsn {
    RawInsn::new(0x0f, dst, src, 0, 0)
}

/// `*(u64 *)(base + off) = imm`.
fn store_imm(base: u8, off: i16, imm: i32) -> RawInsn {
    RawInsn::new(0x7a, base, 0, off, imm)
}

/// `*(u64 *)(base + off) = src`.
fn store(base: u8, off: i16, src: u8) -> RawInsn {
    RawInsn::new(0x7b, base, src, off, 0)
}

/// `dst = *(u64 *)(base + off)`.
fn load(dst: u8, base: u8, off: i16) -> RawInsn {
    RawInsn::new(0x79, dst, base, off, 0)
}

/// `if dst == imm goto off`.
fn jump_eq(dst: u8, imm: i32, off: i16) -> RawInsn {
    RawInsn::new(0x15, dst, 0, off, imm)
}

/// `goto off`.
fn goto(off: i16) -> RawInsn {
    RawInsn::new(opcode::JA, 0, 0, off, 0)
}

/// `call` of a helper.
fn call(helper: i32) -> RawInsn {
    RawInsn::new(opcode::CALL, 0, 0, 0, helper)
}

/// `call` of a subprogram.
fn call_subprog(off: i32) -> RawInsn {
    RawInsn::new(opcode::CALL, 0, 1, 0, off)
}

const EXIT: RawInsn = RawInsn::new(opcode::EXIT, 0, 0, 0, 0);

/// `bpf_get_prandom_u32`.
const RANDOM: i32 = 7;

/// Prepares a socket filter for the privileged 6.18.
fn prepared(insns: Vec<RawInsn>) -> &'static Ctx<'static> {
    let spec = Box::leak(Box::new(ProgramSpec::new(
        "test",
        ProgType::SocketFilter,
        insns,
    )));
    let facts = Box::leak(Box::new(Facts::new(Profile::linux_6_18())));
    let config = Box::leak(Box::new(Config::default()));
    let ctx = prepare::prepare(spec, facts, config, &mut Silent);
    Box::leak(Box::new(
        ctx.unwrap_or_else(|(stop, at)| panic!("{stop:?} at {at:?}")),
    ))
}
