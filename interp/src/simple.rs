//! The operations that need no engine: arithmetic, comparisons, loads and stores.
//!
//! They are called with codes that are constants, so that every call becomes its one row.

use skep_isa::Reg;
use skep_sim::Memory;

use crate::op::{Code, Op, Regs, with_codes};
use crate::word::Word;

/// Calculates: changes `dst`, which with `src` is given apart from the operation, so that sequences which
/// stay in one register can say so. Codes that are not arithmetic do nothing.
#[inline(always)]
#[rustfmt::skip]
pub(crate) fn compute(code: Code, op: &Op, dst: Reg, src: Reg, r: &mut Regs) {
    let (d, s) = (dst.index(), src.index());

    macro_rules! i64 { ($f:ident) => { r[d] = Word::$f(r[d], op.imm as u64) }; }
    macro_rules! r64 { ($f:ident) => { r[d] = Word::$f(r[d], r[s]) }; }
    macro_rules! i32 { ($f:ident) => { r[d] = u64::from(Word::$f(r[d] as u32, op.imm as u32)) }; }
    macro_rules! r32 { ($f:ident) => { r[d] = u64::from(Word::$f(r[d] as u32, r[s] as u32)) }; }
    macro_rules! rows { (
        alu { $($alu:ident)* } jump { $($jump:ident)* } load { $($load:ident)* } store { $($store:ident)* }
        other { $($(#[$doc:meta])* $other:ident)* } fused { $($fused:ident: $($kind:ident $part:ident)+;)* }
    ) => { match code {
        Code::Add64I => i64!(add), Code::Add64R => r64!(add), Code::Add32I => i32!(add), Code::Add32R => r32!(add),
        Code::Sub64I => i64!(sub), Code::Sub64R => r64!(sub), Code::Sub32I => i32!(sub), Code::Sub32R => r32!(sub),
        Code::Mul64I => i64!(mul), Code::Mul64R => r64!(mul), Code::Mul32I => i32!(mul), Code::Mul32R => r32!(mul),
        Code::Div64I => i64!(div), Code::Div64R => r64!(div), Code::Div32I => i32!(div), Code::Div32R => r32!(div),
        Code::SDiv64I => i64!(sdiv), Code::SDiv64R => r64!(sdiv), Code::SDiv32I => i32!(sdiv), Code::SDiv32R => r32!(sdiv),
        Code::Or64I => i64!(or), Code::Or64R => r64!(or), Code::Or32I => i32!(or), Code::Or32R => r32!(or),
        Code::And64I => i64!(and), Code::And64R => r64!(and), Code::And32I => i32!(and), Code::And32R => r32!(and),
        Code::Lsh64I => i64!(lsh), Code::Lsh64R => r64!(lsh), Code::Lsh32I => i32!(lsh), Code::Lsh32R => r32!(lsh),
        Code::Rsh64I => i64!(rsh), Code::Rsh64R => r64!(rsh), Code::Rsh32I => i32!(rsh), Code::Rsh32R => r32!(rsh),
        Code::Mod64I => i64!(rem), Code::Mod64R => r64!(rem), Code::Mod32I => i32!(rem), Code::Mod32R => r32!(rem),
        Code::SMod64I => i64!(srem), Code::SMod64R => r64!(srem), Code::SMod32I => i32!(srem), Code::SMod32R => r32!(srem),
        Code::Xor64I => i64!(xor), Code::Xor64R => r64!(xor), Code::Xor32I => i32!(xor), Code::Xor32R => r32!(xor),
        Code::Mov64I => i64!(mov), Code::Mov64R => r64!(mov), Code::Mov32I => i32!(mov), Code::Mov32R => r32!(mov),
        Code::Arsh64I => i64!(arsh), Code::Arsh64R => r64!(arsh), Code::Arsh32I => i32!(arsh), Code::Arsh32R => r32!(arsh),

        Code::Neg64 => r[d] = r[d].wrapping_neg(),
        Code::Neg32 => r[d] = u64::from((r[d] as u32).wrapping_neg()),
        Code::MovS8To64 => r[d] = r[s] as i8 as u64,
        Code::MovS16To64 => r[d] = r[s] as i16 as u64,
        Code::MovS32To64 => r[d] = r[s] as i32 as u64,
        Code::MovS8To32 => r[d] = u64::from(r[s] as i8 as u32),
        Code::MovS16To32 => r[d] = u64::from(r[s] as i16 as u32),
        Code::Low16 => r[d] &= 0xffff,
        Code::Low32 => r[d] &= 0xffff_ffff,
        Code::Nop => {}
        Code::Be16 => r[d] = u64::from((r[d] as u16).swap_bytes()),
        Code::Be32 => r[d] = u64::from((r[d] as u32).swap_bytes()),
        Code::Be64 => r[d] = r[d].swap_bytes(),
        $(Code::$jump)|* | $(Code::$load)|* | $(Code::$store)|* | $(Code::$other)|* | $(Code::$fused)|* => {}
    }}; }

    with_codes!(rows);
}

/// Compares: whether a jump is taken. Codes that are no jump never are.
#[inline(always)]
#[rustfmt::skip]
pub(crate) fn holds(code: Code, op: &Op, r: &Regs) -> bool {
    let (d, s) = (op.dst.index(), op.src.index());

    macro_rules! i64 { ($f:ident) => { Word::$f(r[d], op.imm as u64) }; }
    macro_rules! r64 { ($f:ident) => { Word::$f(r[d], r[s]) }; }
    macro_rules! i32 { ($f:ident) => { Word::$f(r[d] as u32, op.imm as u32) }; }
    macro_rules! r32 { ($f:ident) => { Word::$f(r[d] as u32, r[s] as u32) }; }
    macro_rules! rows { (
        alu { $($alu:ident)* } jump { $($jump:ident)* } load { $($load:ident)* } store { $($store:ident)* }
        other { $($(#[$doc:meta])* $other:ident)* } fused { $($fused:ident: $($kind:ident $part:ident)+;)* }
    ) => { match code {
        Code::Eq64I => i64!(is_eq), Code::Eq64R => r64!(is_eq), Code::Eq32I => i32!(is_eq), Code::Eq32R => r32!(is_eq),
        Code::Ne64I => i64!(is_ne), Code::Ne64R => r64!(is_ne), Code::Ne32I => i32!(is_ne), Code::Ne32R => r32!(is_ne),
        Code::Gt64I => i64!(is_gt), Code::Gt64R => r64!(is_gt), Code::Gt32I => i32!(is_gt), Code::Gt32R => r32!(is_gt),
        Code::Ge64I => i64!(is_ge), Code::Ge64R => r64!(is_ge), Code::Ge32I => i32!(is_ge), Code::Ge32R => r32!(is_ge),
        Code::Lt64I => i64!(is_lt), Code::Lt64R => r64!(is_lt), Code::Lt32I => i32!(is_lt), Code::Lt32R => r32!(is_lt),
        Code::Le64I => i64!(is_le), Code::Le64R => r64!(is_le), Code::Le32I => i32!(is_le), Code::Le32R => r32!(is_le),
        Code::Set64I => i64!(has_common_bit), Code::Set64R => r64!(has_common_bit), Code::Set32I => i32!(has_common_bit), Code::Set32R => r32!(has_common_bit),
        Code::SGt64I => i64!(is_sgt), Code::SGt64R => r64!(is_sgt), Code::SGt32I => i32!(is_sgt), Code::SGt32R => r32!(is_sgt),
        Code::SGe64I => i64!(is_sge), Code::SGe64R => r64!(is_sge), Code::SGe32I => i32!(is_sge), Code::SGe32R => r32!(is_sge),
        Code::SLt64I => i64!(is_slt), Code::SLt64R => r64!(is_slt), Code::SLt32I => i32!(is_slt), Code::SLt32R => r32!(is_slt),
        Code::SLe64I => i64!(is_sle), Code::SLe64R => r64!(is_sle), Code::SLe32I => i32!(is_sle), Code::SLe32R => r32!(is_sle),
        Code::Goto => true,
        $(Code::$alu)|* | $(Code::$load)|* | $(Code::$store)|* | $(Code::$other)|* | $(Code::$fused)|* => false,
    }}; }

    with_codes!(rows)
}

/// Reads what a load reads; `None` if the program may not.
#[inline(always)]
pub(crate) fn load(code: Code, mem: &Memory, addr: u64) -> Option<u64> {
    macro_rules! read {
        ($int:ty, $wide:ty) => {{
            let bytes = mem.load::<{ size_of::<$int>() }>(addr)?;
            Some(<$int>::from_le_bytes(bytes) as $wide as u64)
        }};
    }
    match (bytes(code), signed(code)) {
        (1, false) => read!(u8, u64),
        (2, false) => read!(u16, u64),
        (4, false) => read!(u32, u64),
        (1, true) => read!(i8, i64),
        (2, true) => read!(i16, i64),
        (4, true) => read!(i32, i64),
        _ => read!(u64, u64),
    }
}

/// Writes as many bytes of a value as a store writes; `false` if the program may not.
#[inline(always)]
pub(crate) fn store(code: Code, mem: &mut Memory, addr: u64, value: u64) -> bool {
    match bytes(code) {
        1 => mem.store(addr, (value as u8).to_le_bytes()),
        2 => mem.store(addr, (value as u16).to_le_bytes()),
        4 => mem.store(addr, (value as u32).to_le_bytes()),
        _ => mem.store(addr, value.to_le_bytes()),
    }
}

/// What a store writes.
#[inline(always)]
pub(crate) fn stored(code: Code, op: &Op, r: &Regs) -> u64 {
    let number = code as u8;
    if Code::StoreBI as u8 <= number && number <= Code::StoreDI as u8 {
        op.imm as u64
    } else {
        r[op.src.index()]
    }
}

/// Bytes of a load or store: codes of one kind stand in the order of their sizes.
#[inline(always)]
pub(crate) fn bytes(code: Code) -> u64 {
    let number = code as u8;
    let first = [Code::StoreBI, Code::StoreBR, Code::LoadSB, Code::LoadB]
        .into_iter()
        .map(|code| code as u8)
        .find(|first| *first <= number)
        .unwrap_or(number);
    1 << (number - first).min(3)
}

/// Whether a load extends the sign.
#[inline(always)]
fn signed(code: Code) -> bool {
    let number = code as u8;
    Code::LoadSB as u8 <= number && number <= Code::LoadSW as u8
}
