//! The dialect of mnemonics says the same as pseudo-C.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use skep_asm::{Options, assemble_program};
use skep_isa::RawInsn;
use skep_spec::ProgType;

fn assemble(text: &str) -> Vec<RawInsn> {
    let spec = assemble_program("p", ProgType::Xdp, text, &Options::default());
    spec.unwrap_or_else(|e| panic!("{e}: {text}")).insns
}

fn refused(text: &str) -> String {
    let spec = assemble_program("p", ProgType::Xdp, text, &Options::default());
    spec.unwrap_err().to_string()
}

/// Both dialects, line by line.
const PAIRS: &[(&str, &str)] = &[
    ("mov r0, 2", "r0 = 2"),
    ("mov32 %r0, %r1", "w0 = w1"),
    ("mov64 r1, -1", "r1 = -1"),
    ("mov32 r1, 0xffffffff", "w1 = 0xffffffff"),
    ("add r1, r2", "r1 += r2"),
    ("sub32 r1, 7", "w1 -= 7"),
    ("mul r1 r2", "r1 *= r2"),
    ("div r1, 3", "r1 /= 3"),
    ("sdiv r1, 3", "r1 s/= 3"),
    ("mod32 r1, r2", "w1 %= w2"),
    ("smod r1, r2", "r1 s%= r2"),
    ("or r1, r2", "r1 |= r2"),
    ("and r1, 0xff", "r1 &= 0xff"),
    ("xor r1, r2", "r1 ^= r2"),
    ("lsh r1, 4", "r1 <<= 4"),
    ("rsh32 r1, 4", "w1 >>= 4"),
    ("arsh r1, r2", "r1 s>>= r2"),
    ("neg r3", "r3 = -r3"),
    ("neg32 r3", "w3 = -w3"),
    ("movsx864 r1, r2", "r1 = (s8)r2"),
    ("movsx1632 r1, r2", "w1 = (s16)w2"),
    ("movsx3264 r1, r2", "r1 = (s32)r2"),
    ("le16 r1", "r1 = le16 r1"),
    ("be32 r1", "r1 = be32 r1"),
    ("bswap64 r1", "r1 = bswap64 r1"),
    ("lddw r1, 0x1122334455667788", "r1 = 0x1122334455667788 ll"),
    ("lddw r1, -1", "r1 = 0xffffffffffffffff ll"),
    ("ldxb r1, [r2]", "r1 = *(u8 *)(r2 + 0)"),
    ("ldxh r1, [r2+4]", "r1 = *(u16 *)(r2 + 4)"),
    ("ldxw r1, [%r2-4]", "r1 = *(u32 *)(r2 - 4)"),
    ("ldxdw r1, [r2+0x10]", "r1 = *(u64 *)(r2 + 16)"),
    ("ldxsw r1, [r2+4]", "r1 = *(s32 *)(r2 + 4)"),
    ("stb [r1+2], 3", "*(u8 *)(r1 + 2) = 3"),
    ("stxdw [r10-8], r1", "*(u64 *)(r10 - 8) = r1"),
    ("ldabsh 14", "r0 = *(u16 *)skb[14]"),
    ("ldindw r1, 2", "r0 = *(u32 *)skb[r1 + 2]"),
    ("lock add [r1+8], r2", "lock *(u64 *)(r1 + 8) += r2"),
    ("lock xor32 [r1], r2", "lock *(u32 *)(r1 + 0) ^= r2"),
    (
        "lock fetch_add [r1], r2",
        "r2 = atomic64_fetch_add((u64 *)(r1 + 0), r2)",
    ),
    (
        "lock xchg32 [r1], r2",
        "w2 = atomic_xchg((u32 *)(r1 + 0), w2)",
    ),
    (
        "lock cmpxchg [r1], r2",
        "r0 = atomic64_cmpxchg((u64 *)(r1 + 0), r0, r2)",
    ),
    ("stxxaddw [r1], r2", "lock *(u32 *)(r1 + 0) += w2"),
    ("jeq r1, 3, +1", "if r1 == 3 goto +1"),
    ("jne32 r1, r2, +1", "if w1 != w2 goto +1"),
    ("jset r1, 8, +1", "if r1 & 8 goto +1"),
    ("jsgt r1, -1, +1", "if r1 s> -1 goto +1"),
    ("jle r1, r2, +1", "if r1 <= r2 goto +1"),
    ("ja +1", "goto +1"),
    ("ja32 +1", "gotol +1"),
    ("call 5", "call 5"),
    ("exit", "exit"),
];

#[test]
fn mnemonics_say_the_same_as_pseudo_c() {
    for (mnemonic, pseudo) in PAIRS {
        let rest = "\nr0 = 0\nexit\n";
        let (ours, theirs) = (format!("{mnemonic}{rest}"), format!("{pseudo}{rest}"));
        assert_eq!(assemble(&ours), assemble(&theirs), "{mnemonic}");
    }
}

#[test]
fn a_whole_program_mixes_both() {
    let mixed = "
        mov r0, 0           # uBPF's comments
        mov r1, 10
    again:
        add r0, r1
        r1 -= 1
        jne r1, 0, again
        exit
    ";
    let plain = "r0 = 0\n r1 = 10\n again: r0 += r1\n r1 -= 1\n if r1 != 0 goto again\n exit\n";
    assert_eq!(assemble(mixed), assemble(plain));
}

#[test]
fn mistakes_are_named() {
    for (text, wanted) in [
        ("mov r0", "a register"),
        ("mov 1, r0", "a register"),
        ("ldxw r1, r2", "`[`"),
        ("ldxw r1, [r2+99999]", "99999 does not fit 16 bits"),
        ("jeq r1, 3", "a label or a distance"),
        ("mov w0, 1", "r0"),
        ("lock nand [r1], r2", ""),
        ("ldxq r1, [r2]", "unknown instruction `ldxq`"),
        ("mov r0, 0x1ffffffff", "does not fit"),
    ] {
        let told = refused(text);
        assert!(told.contains(wanted), "{text}: {told}");
    }
}
