//! Decoding and encoding are inverse, for every opcode and for any bytes.

use proptest::prelude::*;
use skep_isa::{FormError, Insn, RawInsn, clang_text, decode, decode_all, encode, opcode};

/// Field values that select every variant of every opcode, and some that select none.
const OFFS: [i16; 9] = [0, 1, 8, 16, 32, 64, -1, i16::MIN, i16::MAX];
const IMMS: [i32; 24] = [
    0,
    1,
    2,
    7,
    8,
    16,
    32,
    64,
    0x40,
    0x41,
    0x50,
    0x51,
    0xa0,
    0xa1,
    0xe0,
    0xe1,
    0xf0,
    0xf1,
    0x100,
    0x110,
    0x111,
    -1,
    i32::MIN,
    i32::MAX,
];

fn every_slot() -> impl Iterator<Item = RawInsn> {
    let regs = (0..=12).flat_map(|dst| (0..=12).map(move |src| (dst, src)));
    (0..=255).flat_map(move |code| {
        regs.clone().flat_map(move |(dst, src)| {
            OFFS.into_iter().flat_map(move |off| {
                IMMS.into_iter()
                    .map(move |imm| RawInsn::new(code, dst, src, off, imm))
            })
        })
    })
}

/// The slots of an instruction.
fn slots(insn: &Insn) -> Vec<RawInsn> {
    let (first, second) = encode(insn);
    std::iter::once(first).chain(second).collect()
}

#[test]
fn every_decoded_slot_encodes_to_itself() {
    let second = RawInsn::new(0, 0, 0, 0, 0x0123_4567);
    let mut decoded = [false; 256];
    for raw in every_slot() {
        for pair in [[raw, second], [raw, RawInsn::default()]] {
            let Ok(insn) = decode(&pair, 0) else { continue };
            decoded[usize::from(raw.code)] = true;
            // The register of `callx` may stand in either of two fields; we write the newer one.
            if raw.code == opcode::CALLX && raw.imm != 0 {
                continue;
            }
            assert_eq!(slots(&insn), pair[..insn.slots()], "{insn}");
        }
    }
    let known: Vec<u8> = (0..=255)
        .filter(|&code| decoded[usize::from(code)])
        .collect();
    // In the order of the classes: ld, ldx, st, stx, alu, jmp, jmp32, alu64.
    let per_class: Vec<usize> = (0..8)
        .map(|class| known.iter().filter(|&&code| code & 7 == class).count())
        .collect();
    assert_eq!(per_class, [7, 7, 4, 8, 27, 27, 23, 26]);
}

#[test]
fn every_decoded_slot_has_a_text_and_a_size() {
    for raw in every_slot() {
        let pair = [raw, RawInsn::default()];
        let text = clang_text(&pair, 0)
            .map(|t| t.to_string())
            .unwrap_or_default();
        match decode(&pair, 0) {
            Ok(insn) => assert_ne!(text, "<unknown>", "{insn:?}"),
            Err(_) => assert_eq!(text, "<unknown>", "{raw:?}"),
        }
    }
}

#[test]
fn bytes_and_slots_are_inverse() {
    for raw in every_slot().step_by(7) {
        assert_eq!(RawInsn::from_le_bytes(raw.to_le_bytes()), raw);
        let mut swapped = raw.to_le_bytes();
        swapped[1] = swapped[1].rotate_left(4);
        swapped[2..4].reverse();
        swapped[4..8].reverse();
        assert_eq!(RawInsn::from_be_bytes(swapped), raw);
    }
}

#[test]
fn wide_load_needs_its_second_slot() {
    let first = RawInsn::new(opcode::LD_IMM64, 1, 0, 0, 5);
    assert_eq!(decode(&[first], 0), Err(FormError::TruncatedImm64));
    assert_eq!(decode(&[first, first], 0), Err(FormError::TruncatedImm64));
    assert_eq!(
        decode_all(&[first, RawInsn::default()]).map(|i| i.len()),
        Ok(2)
    );
    assert_eq!(decode(&[], 0), Err(FormError::OutOfProgram));
    let alone = RawInsn::default();
    assert_eq!(decode_all(&[alone]), Err((0, FormError::UnknownOpcode(0))));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let Some(slots) = RawInsn::slots_from_le_bytes(&bytes) else {
            prop_assert!(bytes.len() % 8 != 0);
            return Ok(());
        };
        match decode_all(&slots) {
            Ok(insns) => {
                prop_assert_eq!(insns.len(), slots.len());
            }
            Err((idx, _)) => prop_assert!(idx < slots.len()),
        }
        for idx in 0..slots.len() {
            if let Ok(insn) = decode(&slots, idx) {
                prop_assert!(insn.slots() <= slots.len() - idx);
            }
        }
    }
}
