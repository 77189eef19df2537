//! Internet checksums: sums of 16-bit words in ones' complement.

use super::Row;
use super::call::Call;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[("bpf_csum_diff", csum_diff)];

/// Folds a 32-bit sum to 16 bits (`csum_from32to16`).
pub(super) fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Adds with the carry around (`csum_add`).
pub(super) fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry.into())
}

/// The sum of some bytes in memory order, on top of another (`csum_partial`).
pub(super) fn partial(bytes: &[u8], sum: u32) -> u32 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut total = u64::from(sum);
    for pair in pairs {
        total += u64::from(u16::from_le_bytes(*pair));
    }
    if let [last] = odd {
        total += u64::from(*last);
    }
    let folded = (total & 0xffff_ffff) + (total >> 32);
    ((folded & 0xffff_ffff) + (folded >> 32)) as u32
}

fn csum_diff(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (from_size, to_size) = (u64::from(call.arg32(2)), u64::from(call.arg32(4)));
    let seed = call.arg32(5);
    let (from, to) = (call.bytes(1, from_size)?, call.bytes(3, to_size)?);
    let sum = match (from_size, to_size) {
        (0, 0) => seed,
        (0, _) => partial(to, seed),
        (_, 0) => !partial(from, !seed),
        _ => add(partial(to, seed), !partial(from, 0)),
    };
    Ok(fold(sum).into())
}
