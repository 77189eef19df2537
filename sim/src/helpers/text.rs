//! Strings: numbers from text, comparison.

use super::Row;
use super::call::{Call, ret};
use crate::errno::Errno;
use crate::fault::Access;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_strtol", strtol),
    ("bpf_strtoul", strtoul),
    ("bpf_strncmp", strncmp),
];

/// `BPF_STRTOX_BASE_MASK`.
const BASE_MASK: u64 = 0x1f;
/// Digits that are looked at.
const MAX_DIGITS: usize = 63;

/// A number at the front of a text: its magnitude, whether a minus precedes it, and the bytes it took.
fn parse(buf: &[u8], flags: u64) -> Result<(u64, bool, usize), Errno> {
    if buf.is_empty() || flags & !BASE_MASK != 0 || !matches!(flags, 0 | 8 | 10 | 16) {
        return Err(Errno::INVAL);
    }
    let blank = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
    let skipped = buf.iter().take_while(|b| blank(b)).count();
    let rest = buf.get(skipped..).unwrap_or_default();
    let (negative, rest) = match rest.split_first() {
        Some((b'-', after)) => (true, after),
        _ => (false, rest),
    };
    if rest.is_empty() {
        return Err(Errno::INVAL);
    }
    let rest = rest.get(..MAX_DIGITS).unwrap_or(rest);
    let hex_prefix = matches!(rest, [b'0', b'x' | b'X', ..]);
    let hex_digit = rest.get(2).is_some_and(u8::is_ascii_hexdigit);
    let base = match (flags as u32, rest) {
        (0, _) if hex_prefix && hex_digit => 16,
        (0, [b'0', ..]) => 8,
        (0, _) => 10,
        (base, _) => base,
    };
    let prefix = if base == 16 && hex_prefix { 2 } else { 0 };
    let digits = rest.get(prefix..).unwrap_or_default();
    let mut value = 0u64;
    let mut used = 0;
    let mut overflow = false;
    for digit in digits.iter().map_while(|&b| char::from(b).to_digit(base)) {
        let next = value
            .checked_mul(base.into())
            .and_then(|v| v.checked_add(digit.into()));
        overflow |= next.is_none();
        value = next.unwrap_or(value);
        used += 1;
    }
    if overflow {
        return Err(Errno::RANGE);
    }
    if used == 0 {
        return Err(Errno::INVAL);
    }
    Ok((
        value,
        negative,
        skipped + usize::from(negative) + prefix + used,
    ))
}

fn convert(
    call: &mut Call<'_>,
    value: impl Fn(u64, bool) -> Result<u64, Errno>,
) -> Result<u64, Trap> {
    let (len, flags, to) = (call.arg(2), call.arg(3), call.arg(4));
    call.sim.mem.check(to, 8, Access::Write)?;
    let parsed = parse(call.bytes(1, len)?, flags)
        .and_then(|(magnitude, negative, used)| Ok((value(magnitude, negative)?, used as u64)));
    call.sim
        .mem
        .poke_le::<8>(to, parsed.map_or(0, |(value, _)| value));
    Ok(ret(parsed.map(|(_, used)| used)))
}

fn strtol(call: &mut Call<'_>) -> Result<u64, Trap> {
    convert(call, |magnitude, negative| {
        let value = if negative {
            magnitude.wrapping_neg()
        } else {
            magnitude
        };
        let fits = if negative {
            value as i64 <= 0
        } else {
            value as i64 >= 0
        };
        if fits { Ok(value) } else { Err(Errno::RANGE) }
    })
}

fn strtoul(call: &mut Call<'_>) -> Result<u64, Trap> {
    convert(call, |magnitude, negative| {
        if negative {
            Err(Errno::INVAL)
        } else {
            Ok(magnitude)
        }
    })
}

fn strncmp(call: &mut Call<'_>) -> Result<u64, Trap> {
    let size = call.arg32(2) as usize;
    let left = call.bytes(1, size as u64)?;
    let right = call.string(3)?;
    for (a, b) in left.iter().zip(&right) {
        if a != b {
            let order = if a < b { -1i64 } else { 1 };
            return Ok(order as u64);
        }
        if *a == 0 {
            break;
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parsed_as_the_kernel_does() {
        assert_eq!(parse(b"42", 0), Ok((42, false, 2)));
        assert_eq!(parse(b"  -0x1Fz", 0), Ok((31, true, 7)));
        assert_eq!(parse(b"0755", 0), Ok((0o755, false, 4)));
        assert_eq!(parse(b"0x", 0), Ok((0, false, 1)));
        assert_eq!(parse(b"0x10", 16), Ok((16, false, 4)));
        assert_eq!(parse(b"12", 7), Err(Errno::INVAL));
        assert_eq!(parse(b"-", 10), Err(Errno::INVAL));
        assert_eq!(parse(b"x", 10), Err(Errno::INVAL));
        assert_eq!(parse(b"99999999999999999999", 10), Err(Errno::RANGE));
        assert_eq!(parse(b"7", 1 << 5), Err(Errno::INVAL));
    }
}
