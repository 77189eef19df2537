//! What the kernel's log and clang's tools print can be assembled again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use skep_asm::{Options, assemble_program};
use skep_isa::{
    CallTarget, Imm64, Insn, Names, RawInsn, clang_text, decode, encode, kernel_text, opcode,
};
use skep_spec::ProgType;
use skep_spec::tables::helpers;

struct Helpers;

impl Names for Helpers {
    fn helper(&self, id: i32) -> Option<&str> {
        helpers::first(u32::try_from(id).ok()?).map(|proto| proto.name)
    }
}

fn assemble(text: &str) -> Vec<RawInsn> {
    let spec = assemble_program("p", ProgType::Xdp, text, &Options::default());
    spec.unwrap_or_else(|e| panic!("{e}: {text}")).insns
}

/// Every instruction there is, with some registers, offsets and immediates.
fn every_insn() -> Vec<[RawInsn; 2]> {
    let second = RawInsn::new(0, 0, 0, 0, 0x0123_4567);
    let imms = [
        0,
        1,
        5,
        -8,
        16,
        32,
        64,
        0x40,
        0x41,
        0x50,
        0x51,
        0xa0,
        0xa1,
        0xe1,
        0xf1,
        0x100,
        0x110,
        i32::MIN,
        i32::MAX,
        0x0001_0002,
    ];
    let mut all = Vec::new();
    for code in 0..=255 {
        for (dst, src) in [
            (0, 0),
            (1, 2),
            (9, 0),
            (0, 10),
            (10, 1),
            (0, 1),
            (0, 2),
            (1, 3),
            (1, 6),
        ] {
            for off in [0, 1, 4, 8, 16, 32, -8, i16::MIN, i16::MAX] {
                for imm in imms {
                    let raw = RawInsn::new(code, dst, src, off, imm);
                    for pair in [[raw, second], [raw, RawInsn::default()]] {
                        let Ok(insn) = decode(&pair, 0) else { continue };
                        if encode(&insn).0 == raw {
                            all.push(pair);
                        }
                    }
                }
            }
        }
    }
    all
}

#[test]
fn the_kernels_text_assembles_to_what_it_shows() {
    let mut count = 0;
    for pair in every_insn() {
        let insn = decode(&pair, 0).unwrap();
        // A module's kernel function shows without its module, a special immediate as a number.
        let hidden = matches!(insn, Insn::Call(CallTarget::Kfunc { btf_idx: 1.., .. }))
            || matches!(insn, Insn::Call(CallTarget::Kfunc { btf_idx: ..0, .. }))
            || matches!(insn, Insn::LoadImm64 { imm, .. } if !matches!(imm, Imm64::Value(_)))
            || matches!(insn, Insn::CallReg(_));
        if hidden {
            continue;
        }
        let text = kernel_text(&pair, 0, &Helpers).unwrap().to_string();
        assert_eq!(assemble(&text), pair[..insn.slots()], "{text}");
        assert_eq!(
            assemble(&format!("  7: {text} ; R0=1")),
            pair[..insn.slots()],
            "{text}"
        );
        count += 1;
    }
    assert!(count > 10_000, "{count}");
}

#[test]
fn clangs_text_assembles_to_what_it_shows() {
    let mut count = 0;
    for pair in every_insn() {
        let insn = decode(&pair, 0).unwrap();
        let hidden = matches!(
            insn,
            Insn::Call(CallTarget::Kfunc { .. } | CallTarget::Subprog(_))
        ) || matches!(
            insn,
            Insn::LoadImm64 {
                imm: Imm64::MapValue { off: 1.., .. }
                    | Imm64::MapIdxValue { off: 1.., .. }
                    | Imm64::BtfVar { btf_fd: 1.., .. },
                ..
            }
        );
        if hidden {
            continue;
        }
        let text = clang_text(&pair, 0).unwrap().to_string();
        assert_eq!(assemble(&text), pair[..insn.slots()], "{text}");
        count += 1;
    }
    assert!(count > 10_000, "{count}");
}

#[test]
fn spellings_of_one_instruction_agree() {
    for spellings in [
        &[
            "r1 = *(u64 *)(r10 - 8)",
            "r1=*(u64*)(r10-8)",
            "r1 = *(u64 *)(r10 -8)",
        ][..],
        &["r1 = *(u64 *)(r10 + -8)", "r1 = *(u64 *)(r10 - 0x8)"],
        &["w1 = *(u32 *)(r2)", "r1 = *(u32 *)(r2 + 0)"],
        &["lock *(u64 *)(r1 + 0) += r2", "*(u64 *)(r1 + 0) += r2"],
        &[
            "r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)",
            "r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)",
        ],
        &[
            "w2 = xchg32_32(r1 + 0, w2)",
            "r2 = atomic_xchg((u32 *)(r1 + 0), r2)",
        ],
        &[
            "r0 = cmpxchg_64(r1 + 8, r0, r2)",
            "r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)",
        ],
        &["*(u32 *)(r1 + 0) = w2", "*(u32 *)(r1 + 0) = r2"],
        &[
            "call map_lookup_elem",
            "call bpf_map_lookup_elem",
            "call 1",
            "call 0x1",
            "call bpf_map_lookup_elem#1",
        ],
        &["goto +0", "goto pc+0", "goto +0x0 <out+0x8>"],
        &["w1 = 0xffffffff", "w1 = -1", "w1 = 4294967295"],
        &["if w1 == 0xffffffff goto +0", "if w1 == -1 goto +0"],
        &["r1 = 0x10 ll", "(18) r1 = 0x10"],
        &[
            "call btf:7",
            "call kernel-function#7",
            "call bpf_rcu_read_lock#7",
            "call kfunc x#7",
        ],
    ] {
        for text in spellings {
            assert_eq!(assemble(text), assemble(spellings[0]), "{text}");
        }
    }
}

#[test]
fn a_log_shows_negative_comparisons_as_bit_patterns() {
    assert_eq!(assemble("5: (a5) if r1 < 0xffffffff goto pc+0")[0].imm, -1);
    let plain = assemble_program(
        "p",
        ProgType::Xdp,
        "if r1 < 0xffffffff goto +0",
        &Options::default(),
    );
    let errors = plain.unwrap_err().to_string();
    assert_eq!(
        errors,
        "1:9: 4294967295 does not fit a sign-extended 32-bit immediate"
    );
    assert_eq!(assemble("(95) exit")[0].code, opcode::EXIT);
}
