//! Damage without restraint, decided by a seed: to load requests (instructions, maps, types, function and
//! line info, and what the request says of itself) and to files of bytes or text.

use std::sync::Arc;

use skep_btf::Btf;
use skep_isa::{RawInsn, opcode};
use skep_spec::{
    AttachType, FuncInfo, LineInfo, MapFlags, MapSpec, MapType, ProgFlags, ProgType, ProgramSpec,
    Target,
};

use crate::Rng;

const NUMBERS: [i32; 26] = [
    0,
    1,
    -1,
    2,
    4,
    7,
    8,
    -8,
    15,
    16,
    31,
    32,
    63,
    64,
    255,
    -512,
    -513,
    512,
    4096,
    0xffff,
    0x7fff,
    -0x8000,
    1 << 29,
    -(1 << 29),
    i32::MAX,
    i32::MIN,
];

const SIZES: [u32; 14] = [
    0,
    1,
    2,
    4,
    8,
    16,
    64,
    511,
    512,
    513,
    0xffff,
    1 << 29,
    i32::MAX as u32,
    u32::MAX,
];

fn number(rng: &mut Rng) -> i32 {
    match rng.below(4) {
        0 => rng.next() as i32,
        1 => rng.range(-600, 600) as i32,
        _ => rng.pick(NUMBERS),
    }
}

fn size(rng: &mut Rng) -> u32 {
    match rng.below(4) {
        0 => rng.next() as u32,
        1 => rng.below(600) as u32,
        _ => rng.pick(SIZES),
    }
}

/// An id of a type, more or less.
fn type_id(rng: &mut Rng) -> u32 {
    match rng.below(5) {
        0 => 0,
        1 => rng.next() as u32,
        2 => rng.below(200_000) as u32,
        _ => rng.below(300) as u32,
    }
}

/// A slot of random bytes, with an opcode that exists more often than not.
fn slot(rng: &mut Rng) -> RawInsn {
    let mut insn = RawInsn::from_le_bytes(rng.next().to_le_bytes());
    if rng.chance(80) {
        insn.regs = (rng.below(11) << 4 | rng.below(11)) as u8;
        insn.off = rng.range(-20, 20) as i16;
        insn.imm = number(rng);
    }
    insn
}

/// Damages instructions only, so that the request stays one that a kernel looks into.
fn mutate_insns(spec: &mut ProgramSpec, other: &ProgramSpec, rng: &mut Rng) {
    let times = 1 + rng.below(3) * rng.below(4);
    for _ in 0..times {
        mutate_once(&mut spec.insns, &other.insns, rng);
    }
    spec.insns.truncate(100_000);
}

fn mutate_once(insns: &mut Vec<RawInsn>, other: &[RawInsn], rng: &mut Rng) {
    let (at, to) = (rng.index(insns.len()), rng.index(insns.len()));
    let kind = rng.below(16);
    match kind {
        0..=5 => mutate_order(insns, other, (at, to), kind, rng),
        6..=14 => {
            if let Some(insn) = insns.get_mut(at) {
                mutate_insn(insn, to as i64 - at as i64 - 1, kind, rng);
            }
        }
        _ => {
            let end = (at + rng.index(8)).min(insns.len());
            let run: Vec<RawInsn> = insns.get(at..end).unwrap_or_default().to_vec();
            insns.splice(to..to, run);
        }
    }
    if insns.is_empty() {
        insns.push(slot(rng));
    }
}

/// Moves, doubles, drops or brings in instructions.
fn mutate_order(
    insns: &mut Vec<RawInsn>,
    other: &[RawInsn],
    (at, to): (usize, usize),
    kind: u64,
    rng: &mut Rng,
) {
    let Some(insn) = insns.get(at).copied() else {
        return;
    };
    match kind {
        0 | 1 => insns.swap(at, to),
        2 => insns.insert(to, insn),
        3 => drop(insns.remove(at)),
        4 => {
            insns.truncate(at.max(1));
            insns.push(RawInsn::new(opcode::EXIT, 0, 0, 0, 0));
        }
        _ => {
            let from = rng.index(other.len());
            let end = (from + rng.index(12)).min(other.len());
            let run: Vec<RawInsn> = other.get(from..end).unwrap_or_default().to_vec();
            insns.splice(at..at, run);
        }
    }
}

/// Changes one instruction; `distance` leads to another.
fn mutate_insn(insn: &mut RawInsn, distance: i64, kind: u64, rng: &mut Rng) {
    match kind {
        6 => insn.off = distance as i16,
        7 => insn.off = number(rng) as i16,
        8 => insn.imm = number(rng),
        9 => insn.imm = distance as i32,
        10 => insn.regs = (rng.below(11) << 4 | rng.below(11)) as u8,
        11 => insn.code ^= 1 << rng.below(8),
        12 => *insn = slot(rng),
        13 => *insn = RawInsn::new(opcode::CALL, 0, 0, 0, rng.below(215) as i32),
        _ => *insn = RawInsn::new(opcode::JCOND, 0, 0, rng.range(-8, 8) as i16, 0),
    }
}

/// Damages any part of a request; another one gives what is put in.
pub(crate) fn damage_request(spec: &mut ProgramSpec, other: &ProgramSpec, rng: &mut Rng) {
    if rng.chance(75) {
        mutate_insns(spec, other, rng);
    }
    if rng.chance(25) {
        mutate_maps(spec, other, rng);
    }
    if rng.chance(15) {
        mutate_func_info(spec, rng);
    }
    if rng.chance(10) {
        mutate_line_info(spec, rng);
    }
    if rng.chance(25) {
        spec.btf = spec
            .btf
            .as_deref()
            .and_then(|btf| damaged(btf, rng))
            .or(other.btf.clone());
    }
    if rng.chance(25) {
        mutate_request(spec, rng);
    }
}

fn mutate_request(spec: &mut ProgramSpec, rng: &mut Rng) {
    match rng.below(8) {
        0 => spec.flags = ProgFlags::from_bits_retain(rng.next() as u32 & 0xff),
        1 => spec.flags = ProgFlags::from_bits_retain(rng.next() as u32),
        2 => spec.flags ^= ProgFlags::from_bits_retain(1 << rng.below(8)),
        3 => spec.ty = ProgType::new(rng.below(34) as u32).unwrap_or(ProgType::Unspec),
        4 => {
            spec.attach = AttachType::new(rng.below(62) as u32).unwrap_or(AttachType::TraceIter);
        }
        5 => spec.attach_btf_id = type_id(rng),
        6 => {
            spec.license = rng
                .pick(["", "GPL", "Proprietary", "\0", "Dual BSD/GPL"])
                .to_owned()
        }
        _ => {
            spec.target = spec.btf.clone().map(|btf| Target {
                ty: spec.ty,
                attach: spec.attach,
                btf,
                func_info: spec.func_info.clone(),
                changes_pkt_data: rng.chance(50),
                might_sleep: rng.chance(50),
            });
            spec.attach_btf_id = type_id(rng);
        }
    }
}

fn mutate_maps(spec: &mut ProgramSpec, other: &ProgramSpec, rng: &mut Rng) {
    if rng.chance(20) {
        spec.maps.extend(other.maps.iter().take(2).cloned());
    }
    if rng.chance(5) {
        spec.maps.pop();
    }
    if rng.chance(2) {
        let one = spec.maps.first().cloned();
        spec.maps.extend(std::iter::repeat_n(one, 70).flatten());
    }
    for _ in 0..1 + rng.below(3) {
        let index = rng.index(spec.maps.len());
        let Some(map) = spec.maps.get_mut(index) else {
            return;
        };
        let mut changed = (**map).clone();
        mutate_map(&mut changed, spec.btf.as_ref(), rng);
        *map = Arc::new(changed);
    }
}

fn mutate_map(map: &mut MapSpec, btf: Option<&Arc<Btf>>, rng: &mut Rng) {
    match rng.below(13) {
        0 => map.key_size = size(rng),
        1 => map.value_size = size(rng),
        2 => map.max_entries = size(rng),
        3 => map.ty = MapType::new(rng.below(36) as u32).unwrap_or(MapType::Unspec),
        4 => map.flags = MapFlags::from_bits_retain(rng.next() as u32),
        5 => map.extra = rng.next(),
        6 => map.btf_value_id = type_id(rng),
        7 => map.btf_key_id = type_id(rng),
        8 => {
            map.btf = btf.cloned();
            map.btf_value_id = type_id(rng);
        }
        9 => {
            map.frozen = true;
            map.flags |= MapFlags::RDONLY_PROG;
            let len = rng.below(700);
            map.init = rng
                .chance(70)
                .then(|| (0..len).map(|_| rng.next() as u8).collect());
        }
        10 => map.vmlinux_value_id = type_id(rng),
        11 => {
            let inner = MapSpec {
                inner: None,
                ..map.clone()
            };
            map.inner = Some(Box::new(inner));
            map.ty = rng.pick([MapType::ArrayOfMaps, MapType::HashOfMaps, MapType::Array]);
        }
        _ => map.inner = None,
    }
}

fn mutate_func_info(spec: &mut ProgramSpec, rng: &mut Rng) {
    let records = &mut spec.func_info;
    let random = FuncInfo {
        insn_off: size(rng),
        type_id: type_id(rng),
    };
    let at = rng.index(records.len());
    match rng.below(6) {
        0 => records.reverse(),
        1 => records.clear(),
        2 => records.insert(at, random),
        3 => records.extend(std::iter::repeat_n(random, 300)),
        4 => {
            if let Some(record) = records.get_mut(at) {
                record.insn_off = rng.below(64) as u32;
            }
        }
        _ => {
            if let Some(record) = records.get_mut(at) {
                record.type_id = type_id(rng);
            }
        }
    }
}

fn mutate_line_info(spec: &mut ProgramSpec, rng: &mut Rng) {
    let records = &mut spec.line_info;
    let random = LineInfo {
        insn_off: rng.below(64) as u32,
        file_name_off: size(rng),
        line_off: size(rng),
        line_col: rng.next() as u32,
    };
    match rng.below(4) {
        0 => records.reverse(),
        1 => records.clear(),
        2 => records.push(random),
        _ => {
            // Ascending, but with names from anywhere.
            let every = 1 + rng.below(3) as u32;
            let count = spec.insns.len() as u32 / every;
            *records = (0..count.min(5000))
                .map(|n| LineInfo {
                    insn_off: n * every,
                    line_off: rng.below(400) as u32,
                    ..random
                })
                .collect();
        }
    }
}

/// BTF with some words changed, if that is still BTF.
fn damaged(btf: &Btf, rng: &mut Rng) -> Option<Arc<Btf>> {
    let mut bytes = btf.bytes().to_vec();
    for _ in 0..1 + rng.below(6) {
        let words = bytes.len() / 4;
        let at = 4 * rng.index(words);
        let word = bytes.get_mut(at..at + 4)?;
        let old = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        let new = match rng.below(6) {
            0 => old ^ 1 << rng.below(32),
            1 => type_id(rng),
            2 => size(rng),
            3 => old.wrapping_add(1),
            4 => old.wrapping_sub(1),
            _ => rng.below(words as u64) as u32,
        };
        word.copy_from_slice(&new.to_le_bytes());
    }
    Btf::parse(bytes).ok().map(Arc::new)
}

/// Damages bytes; text gets characters and words, else any byte and number goes.
pub(crate) fn damage_bytes(bytes: &mut Vec<u8>, is_text: bool, rng: &mut Rng) {
    // Undamaged now and then.
    for _ in 0..rng.pick([0, 1, 1, 2, 3, 5, 8]) {
        let (at, other) = (rng.index(bytes.len()), rng.index(bytes.len()));
        let end = (at + rng.pick([1, 1, 4, 8, 32, 200])).min(bytes.len());
        match rng.below(if is_text { 7 } else { 9 }) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let run = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(other..other, run);
            }
            3 => {
                let word = rng.choose(&WORDS).copied().unwrap_or_default();
                bytes.splice(at..at, word.bytes());
            }
            4 | 5 if is_text => damage_number(bytes, at, rng),
            6 if is_text => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.range(0x20, 0x7e) as u8;
                }
            }
            4 | 5 => damage_word(bytes, at, rng),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
        }
    }
    bytes.truncate(1 << 20);
}

/// What texts may hold where nobody expects it.
const WORDS: [&str; 16] = [
    "\n",
    " ",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "(",
    ":",
    "0x",
    "-",
    "\0",
    "\u{fe}\u{ff}",
    "é",
    "9999999999999999999",
    "18446744073709551616",
];

/// Puts another number in the place of the first one from `at` on.
fn damage_number(bytes: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let digits = |byte: &u8| byte.is_ascii_digit();
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(from) = rest.iter().position(digits).map(|from| at + from) else {
        return;
    };
    let rest = bytes.get(from..).unwrap_or_default();
    let len = rest.iter().take_while(|byte| digits(byte)).count();
    let new = match rng.below(3) {
        0 => number(rng).to_string(),
        1 => size(rng).to_string(),
        _ => rng.next().to_string(),
    };
    bytes.splice(from..from + len, new.bytes());
}

/// Puts another number of 2, 4 or 8 bytes at `at`, aligned more often than not.
fn damage_word(bytes: &mut [u8], at: usize, rng: &mut Rng) {
    let width = rng.pick([2usize, 4, 4, 8]);
    let at = if rng.chance(80) {
        at & !(width - 1)
    } else {
        at
    };
    let Some(place) = bytes.get_mut(at..at + width) else {
        return;
    };
    let new = match rng.below(4) {
        0 => u64::from(size(rng)),
        1 => rng.next(),
        2 => rng.below(200),
        _ => number(rng) as u64,
    };
    for (to, from) in place.iter_mut().zip(new.to_le_bytes()) {
        *to = from;
    }
}
