//! The two styles, on slots whose text was read off the kernel's log and `llvm-objdump`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use skep_isa::{Names, NoNames, RawInsn, clang_text, decode, kernel_text};

/// Knows one helper, one kfunc and one map.
struct Some1;

impl Names for Some1 {
    fn helper(&self, id: i32) -> Option<&str> {
        (id == 1).then_some("bpf_map_lookup_elem")
    }

    fn kfunc(&self, id: i32, btf_idx: i16) -> Option<&str> {
        (id == 77 && btf_idx == 0).then_some("bpf_rcu_read_lock")
    }

    fn imm64(&self, first: RawInsn, _: u64) -> Option<String> {
        (first.src() == 1).then(|| format!("map[{}]", first.imm))
    }
}

fn slots(hex: &str) -> Vec<RawInsn> {
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    RawInsn::slots_from_le_bytes(&bytes).unwrap()
}

/// Bytes, the kernel's text, clang's text.
const TEXTS: [(&str, &str, &str); 53] = [
    ("07020000f8ffffff", "(07) r2 += -8", "r2 += -0x8"),
    ("b40000000100 0000", "(b4) w0 = 1", "w0 = 0x1"),
    ("bf16000000000000", "(bf) r6 = r1", "r6 = r1"),
    ("8701000000000000", "(87) r1 = -r1", "r1 = -r1"),
    ("8401000000000000", "(84) w1 = -w1", "w1 = -w1"),
    ("bc21080000000000", "(bc) w1 = (s8)w2", "w1 = (s8)w2"),
    ("bf21200000000000", "(bf) r1 = (s32)r2", "r1 = (s32)r2"),
    ("3721010002000000", "(37) r1 s/= 2", "<unknown>"),
    ("3701010002000000", "(37) r1 s/= 2", "r1 s/= 0x2"),
    ("9c21010000000000", "(9c) w1 s%= w2", "w1 s%= w2"),
    ("9f21000000000000", "(9f) r1 %= r2", "r1 %= r2"),
    ("c701000003000000", "(c7) r1 s>>= 3", "r1 s>>= 0x3"),
    ("d401000010000000", "(d4) r1 = le16 r1", "r1 = le16 r1"),
    ("dc01000040000000", "(dc) r1 = be64 r1", "r1 = be64 r1"),
    (
        "d701000020000000",
        "(d7) r1 = bswap32 r1",
        "r1 = bswap32 r1",
    ),
    (
        "bf21010002000100",
        "(bf) r1 = addr_space_cast(r2, 1, 2)",
        "r1 = addr_space_cast(r2, 0x1, 0x2)",
    ),
    (
        "bf21ffff00000000",
        "(bf) r1 = &(void __percpu *)(r2)",
        "<unknown>",
    ),
    (
        "6111040000000000",
        "(61) r1 = *(u32 *)(r1 +4)",
        "r1 = *(u32 *)(r1 + 0x4)",
    ),
    (
        "79a1f8ff00000000",
        "(79) r1 = *(u64 *)(r10 -8)",
        "r1 = *(u64 *)(r10 - 0x8)",
    ),
    (
        "9121000000000000",
        "(91) r1 = *(s8 *)(r2 +0)",
        "r1 = *(s8 *)(r2 + 0x0)",
    ),
    ("9921000000000000", "BUG_ldx_99", "<unknown>"),
    (
        "620afcffffffffff",
        "(62) *(u32 *)(r10 -4) = -1",
        "*(u32 *)(r10 - 0x4) = -0x1",
    ),
    (
        "7b1af8ff00000000",
        "(7b) *(u64 *)(r10 -8) = r1",
        "*(u64 *)(r10 - 0x8) = r1",
    ),
    ("c200000000000000", "(c2) nospec", "<unknown>"),
    ("8200000000000000", "BUG_st_82", "<unknown>"),
    (
        "c31afcff00000000",
        "(c3) lock *(u32 *)(r10 -4) += r1",
        "lock *(u32 *)(r10 - 0x4) += r1",
    ),
    (
        "db21f8ff50000000",
        "(db) lock *(u64 *)(r1 -8) &= r2",
        "lock *(u64 *)(r1 - 0x8) &= r2",
    ),
    (
        "db12000001000000",
        "(db) r1 = atomic64_fetch_add((u64 *)(r2 +0), r1)",
        "r1 = atomic_fetch_add((u64 *)(r2 + 0x0), r1)",
    ),
    (
        "c31200004100 0000",
        "(c3) r1 = atomic_fetch_or((u32 *)(r2 +0), r1)",
        "w1 = atomic_fetch_or((u32 *)(r2 + 0x0), w1)",
    ),
    (
        "db120800e1000000",
        "(db) r1 = atomic64_xchg((u64 *)(r2 +8), r1)",
        "r1 = xchg_64(r2 + 0x8, r1)",
    ),
    (
        "c3120000f1000000",
        "(c3) r0 = atomic_cmpxchg((u32 *)(r2 +0), r0, r1)",
        "w0 = cmpxchg32_32(r2 + 0x0, w0, w1)",
    ),
    (
        "d3120000 00010000",
        "(d3) r2 = load_acquire((u8 *)(r1 +0))",
        "w2 = load_acquire((u8 *)(r1 + 0x0))",
    ),
    (
        "db12000010010000",
        "(db) store_release((u64 *)(r2 +0), r1)",
        "store_release((u64 *)(r2 + 0x0), r1)",
    ),
    ("db12000033000000", "BUG_db", "<unknown>"),
    ("301000000e000000", "(30) r0 = *(u8 *)skb[14]", "<unknown>"),
    (
        "280000000c000000",
        "(28) r0 = *(u16 *)skb[12]",
        "r0 = *(u16 *)skb[0xc]",
    ),
    (
        "4010000004000000",
        "(40) r0 = *(u32 *)skb[r1 + 4]",
        "r0 = *(u32 *)skb[r1 + 0x4]",
    ),
    (
        "1801000044332211 0000000088776655",
        "(18) r1 = 0x5566778811223344",
        "r1 = 0x5566778811223344 ll",
    ),
    (
        "18010000fbffffff00000000ffffffff",
        "(18) r1 = 0xfffffffffffffffb",
        "r1 = -0x5 ll",
    ),
    (
        "18110000030000000000000000000000",
        "(18) r1 = map[3]",
        "ld_pseudo\tr1, 0x1, 0x3",
    ),
    ("0500020000000000", "(05) goto pc+2", "goto +0x2"),
    ("06000000fdffffff", "(06) gotol pc-3", "gotol -0x3"),
    ("e500010000000000", "(e5) may_goto pc+1", "may_goto +0x1"),
    (
        "e510010000000000",
        "(e5) if r0 (null) 0x0 goto pc+1",
        "<unknown>",
    ),
    (
        "6601030005000000",
        "(66) if w1 s> 0x5 goto pc+3",
        "if w1 s> 0x5 goto +0x3",
    ),
    (
        "a501feffffffffff",
        "(a5) if r1 < 0xffffffff goto pc-2",
        "if r1 < -0x1 goto -0x2",
    ),
    (
        "4d21000000000000",
        "(4d) if r1 & r2 goto pc+0",
        "if r1 & r2 goto +0x0",
    ),
    (
        "8500000001000000",
        "(85) call bpf_map_lookup_elem#1",
        "call 0x1",
    ),
    ("85000000d3ff0000", "(85) call unknown#65491", "call 0xffd3"),
    ("85100000fbffffff", "(85) call pc-5", "call -0x5"),
    (
        "852000004d000000",
        "(85) call bpf_rcu_read_lock#77",
        "call 0x4d",
    ),
    (
        "852000004e000000",
        "(85) call kernel-function#78",
        "call 0x4e",
    ),
    ("9500000000000000", "(95) exit", "exit"),
];

#[test]
fn both_styles_are_as_their_tools_print_them() {
    for (hex, kernel, clang) in TEXTS {
        let insns = slots(&hex.replace(' ', ""));
        assert_eq!(
            kernel_text(&insns, 0, &Some1).unwrap().to_string(),
            kernel,
            "{hex}"
        );
        assert_eq!(clang_text(&insns, 0).unwrap().to_string(), clang, "{hex}");
    }
}

#[test]
fn an_instruction_prints_as_its_slot_does_without_opcode() {
    for (hex, ..) in TEXTS {
        let insns = slots(&hex.replace(' ', ""));
        let Ok(insn) = decode(&insns, 0) else {
            continue;
        };
        let raw = kernel_text(&insns, 0, &NoNames).unwrap();
        assert_eq!(insn.to_string(), raw.without_opcode().to_string());
    }
}

#[test]
fn every_opcode_has_a_kernel_text() {
    for code in 0..=255 {
        for imm in [0, 1, 0xff, -1, i32::MIN] {
            let raw = RawInsn::new(code, 15, 15, i16::MIN, imm);
            let text = kernel_text(&[raw], 0, &NoNames).unwrap().to_string();
            assert!(text.contains(&format!("{code:02x}")), "{text}");
        }
    }
}
