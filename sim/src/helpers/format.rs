//! The format strings of `bpf_trace_printk`, `bpf_snprintf` and `bpf_seq_printf`.
//!
//! What is allowed and what is an error is decided as in `bpf_bprintf_prepare` of Linux 6.18, the text
//! is made as in `vsnprintf`. Two things have no counterpart here: hashed pointers (`%p`, `%pK`) show
//! a fixed hash, symbols (`%ps`, `%pS`, `%pB`) show the number, as for an address without a symbol.

use super::probe::{readable, string_at};
use crate::errno::Errno;
use crate::memory::Memory;

/// Bytes that the arguments may take together (`MAX_BPRINTF_BIN_ARGS`).
const ARG_ROOM: u64 = 512;
/// Widths beyond this are cut (`FIELD_WIDTH_MAX`).
const MAX_WIDTH: usize = (1 << 23) - 1;

/// Text that is cut at a limit while its full length is counted.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    /// Bytes of the whole text.
    pub(super) len: usize,
    /// Bytes of the buffer, the final zero included.
    size: usize,
}

impl Text {
    fn push(&mut self, byte: u8) {
        self.repeat(byte, 1);
    }

    fn repeat(&mut self, byte: u8, times: usize) {
        self.len += times;
        let kept = times.min(self.size.saturating_sub(1) - self.bytes.len());
        self.bytes.resize(self.bytes.len() + kept, byte);
    }

    fn extend(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.push(byte);
        }
    }

    /// Text that was made before its place was known: no field, and nothing where the buffer is full
    /// (`bstr_printf` does not even count it then).
    fn ready_made(&mut self, bytes: &[u8]) {
        if self.len < self.size {
            self.extend(bytes);
        }
    }

    /// Text in a field: blanks in front or, left-aligned, behind.
    fn field(&mut self, spec: &Spec, bytes: &[u8]) {
        let pad = spec.width.saturating_sub(bytes.len());
        if !spec.left {
            self.repeat(b' ', pad);
        }
        self.extend(bytes);
        if spec.left {
            self.repeat(b' ', pad);
        }
    }

    /// A number in a field, zeros between sign and digits where asked for.
    fn number(&mut self, spec: &Spec, sign: Option<u8>, digits: &str) {
        let len = digits.len() + usize::from(sign.is_some());
        let pad = spec.width.saturating_sub(len);
        let zeros = spec.zero && !spec.left;
        if !spec.left && !zeros {
            self.repeat(b' ', pad);
        }
        if let Some(sign) = sign {
            self.push(sign);
        }
        if zeros {
            self.repeat(b'0', pad);
        }
        self.extend(digits.as_bytes());
        if spec.left {
            self.repeat(b' ', pad);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Conversion {
    /// `d`, `i`: bytes of the argument.
    Signed(u8),
    /// `u`.
    Unsigned(u8),
    /// `x`, `X`.
    Hex { bytes: u8, upper: bool },
    /// `c`.
    Char,
    /// `s`, `pks`, `pus`.
    Str,
    /// `p`, `pK`.
    Hashed,
    /// `px`.
    Pointer,
    /// `ps`, `pS`, `pB`.
    Symbol,
    /// `pI4`, `pi4`, `pI6`, `pi6`; the small letter keeps zeros and drops colons.
    Ip { v6: bool, small: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Spec {
    zero: bool,
    left: bool,
    plus: bool,
    blank: bool,
    width: usize,
    conversion: Conversion,
}

/// Makes the text of a format string and its arguments for a buffer of `size` bytes, its end included.
///
/// `fmt` ends at its first zero byte; without one it is `EINVAL`, as is everything else that
/// `bpf_bprintf_prepare` refuses. Arguments that take too much room together are `ENOSPC`.
pub(super) fn format(mem: &Memory, fmt: &[u8], args: &[u64], size: usize) -> Result<Text, Errno> {
    let end = fmt.iter().position(|&b| b == 0).ok_or(Errno::INVAL)?;
    let mut rest = fmt.get(..end).unwrap_or_default();
    let mut text = Text {
        bytes: Vec::new(),
        len: 0,
        size,
    };
    let mut args = args.iter();
    let mut room = Room(0);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if !byte.is_ascii() || (byte.is_ascii_control() && !is_space(byte)) {
            return Err(Errno::INVAL);
        }
        if byte != b'%' {
            text.push(byte);
            continue;
        }
        if let Some(after) = rest.strip_prefix(b"%") {
            text.push(b'%');
            rest = after;
            continue;
        }
        let &arg = args.next().ok_or(Errno::INVAL)?;
        let (spec, after) = parse(rest)?;
        rest = after;
        convert(&mut text, mem, &spec, arg, &mut room)?;
    }
    Ok(text)
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Reads what follows a percent sign.
fn parse(mut rest: &[u8]) -> Result<(Spec, &[u8]), Errno> {
    let mut spec = Spec {
        zero: false,
        left: false,
        plus: false,
        blank: false,
        width: 0,
        conversion: Conversion::Char,
    };
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'0' => spec.zero = true,
            b'-' => spec.left = true,
            b'+' => spec.plus = true,
            b' ' => spec.blank = true,
            _ => break,
        }
        rest = after;
    }
    while let Some((&digit @ b'0'..=b'9', after)) = rest.split_first() {
        spec.width = (spec.width * 10 + usize::from(digit - b'0')).min(MAX_WIDTH);
        rest = after;
    }
    let (conversion, rest) = match rest.split_first() {
        Some((b'p', after)) => parse_pointer(after)?,
        Some((b's', after)) => (string_end(after)?, after),
        Some((b'c', after)) => (Conversion::Char, after),
        _ => parse_number(rest)?,
    };
    spec.conversion = conversion;
    Ok((spec, rest))
}

/// A string conversion must not be followed by a letter or digit.
fn string_end(after: &[u8]) -> Result<Conversion, Errno> {
    match after.first() {
        None => Ok(Conversion::Str),
        Some(&b) if is_space(b) || b.is_ascii_punctuation() => Ok(Conversion::Str),
        Some(_) => Err(Errno::INVAL),
    }
}

fn parse_pointer(rest: &[u8]) -> Result<(Conversion, &[u8]), Errno> {
    match rest {
        [] => Ok((Conversion::Hashed, rest)),
        [b, ..] if is_space(*b) || b.is_ascii_punctuation() => Ok((Conversion::Hashed, rest)),
        [b'k' | b'u', b's', after @ ..] => Ok((string_end(after)?, after)),
        [b'K', after @ ..] => Ok((Conversion::Hashed, after)),
        [b'x', after @ ..] => Ok((Conversion::Pointer, after)),
        [b's' | b'S' | b'B', after @ ..] => Ok((Conversion::Symbol, after)),
        [kind @ (b'i' | b'I'), version @ (b'4' | b'6'), after @ ..] => {
            let (v6, small) = (*version == b'6', *kind == b'i');
            Ok((Conversion::Ip { v6, small }, after))
        }
        _ => Err(Errno::INVAL),
    }
}

fn parse_number(rest: &[u8]) -> Result<(Conversion, &[u8]), Errno> {
    let (bytes, rest) = match rest {
        [b'l', b'l', after @ ..] | [b'l', after @ ..] => (8, after),
        _ => (4, rest),
    };
    let (&letter, after) = rest.split_first().ok_or(Errno::INVAL)?;
    let conversion = match letter {
        b'd' | b'i' => Conversion::Signed(bytes),
        b'u' => Conversion::Unsigned(bytes),
        b'x' => Conversion::Hex {
            bytes,
            upper: false,
        },
        b'X' => Conversion::Hex { bytes, upper: true },
        _ => return Err(Errno::INVAL),
    };
    Ok((conversion, after))
}

/// Bytes of arguments so far.
struct Room(u64);

impl Room {
    fn take_aligned(&mut self, bytes: u64) -> Result<(), Errno> {
        self.0 = self.0.next_multiple_of(4);
        self.take(bytes)
    }

    fn take(&mut self, bytes: u64) -> Result<(), Errno> {
        if ARG_ROOM.saturating_sub(self.0) < bytes {
            return Err(Errno::NOSPC);
        }
        self.0 += bytes;
        Ok(())
    }
}

fn convert(
    text: &mut Text,
    mem: &Memory,
    spec: &Spec,
    arg: u64,
    room: &mut Room,
) -> Result<(), Errno> {
    match spec.conversion {
        Conversion::Signed(bytes) | Conversion::Unsigned(bytes) | Conversion::Hex { bytes, .. } => {
            room.take_aligned(bytes.into())?;
            number(text, spec, arg);
        }
        Conversion::Char => {
            room.take(1)?;
            text.field(spec, &[arg as u8]);
        }
        Conversion::Str => {
            let left = ARG_ROOM.saturating_sub(room.0);
            if left == 0 {
                return Err(Errno::NOSPC);
            }
            let len = string_at(mem, arg, left).unwrap_or(0);
            room.take(len.max(1))?;
            text.field(spec, mem.peek(arg, len.saturating_sub(1)));
        }
        Conversion::Hashed | Conversion::Pointer | Conversion::Symbol => {
            room.take_aligned(8)?;
            pointer(text, spec, arg);
        }
        Conversion::Ip { v6, small } => {
            let size = if v6 { 16 } else { 4 };
            room.take(size)?;
            let mut bytes = [0; 16];
            if readable(mem, arg, size) == size {
                for (to, from) in bytes.iter_mut().zip(mem.peek(arg, size)) {
                    *to = *from;
                }
            }
            let shown = if v6 {
                ipv6(&bytes, small)
            } else {
                ipv4(&bytes, small)
            };
            room.take((shown.len() as u64 + 1).saturating_sub(size))?;
            text.ready_made(shown.as_bytes());
        }
    }
    Ok(())
}

fn number(text: &mut Text, spec: &Spec, arg: u64) {
    let (sign, digits) = match spec.conversion {
        Conversion::Hex { bytes, upper: true } => (None, format!("{:X}", low(arg, bytes))),
        Conversion::Hex { bytes, .. } => (None, format!("{:x}", low(arg, bytes))),
        Conversion::Signed(bytes) => {
            let value = if bytes == 8 {
                arg as i64
            } else {
                i64::from(arg as i32)
            };
            let sign = match value {
                ..0 => Some(b'-'),
                _ if spec.plus => Some(b'+'),
                _ if spec.blank => Some(b' '),
                _ => None,
            };
            (sign, value.unsigned_abs().to_string())
        }
        Conversion::Unsigned(bytes) => (None, low(arg, bytes).to_string()),
        Conversion::Char
        | Conversion::Str
        | Conversion::Hashed
        | Conversion::Pointer
        | Conversion::Symbol
        | Conversion::Ip { .. } => (None, String::new()),
    };
    text.number(spec, sign, &digits);
}

fn pointer(text: &mut Text, spec: &Spec, arg: u64) {
    let hash = (arg.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    let shown = if spec.conversion == Conversion::Pointer {
        format!("{arg:016x}")
    } else if spec.conversion == Conversion::Symbol {
        format!("0x{arg:x}")
    } else if arg == 0 {
        "(null)".to_owned()
    } else {
        format!("{hash:016x}")
    };
    text.field(spec, shown.as_bytes());
}

fn low(arg: u64, bytes: u8) -> u64 {
    if bytes == 8 { arg } else { arg & 0xffff_ffff }
}

fn ipv4(bytes: &[u8; 16], small: bool) -> String {
    let [a, b, c, d, ..] = bytes;
    if small {
        format!("{a:03}.{b:03}.{c:03}.{d:03}")
    } else {
        format!("{a}.{b}.{c}.{d}")
    }
}

fn ipv6(bytes: &[u8; 16], small: bool) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    let parts: Vec<String> = pairs
        .iter()
        .map(|pair| format!("{:04x}", u16::from_be_bytes(*pair)))
        .collect();
    parts.join(if small { "" } else { ":" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Placement;
    use crate::fault::Owner;

    fn memory() -> (Memory, u64) {
        let mut mem = Memory::new(Placement::Buffer, 1 << 20);
        let at = mem.alloc(32, 8, Owner::Kernel("text")).unwrap();
        mem.poke(at, b"hello\0\x01\x02\x0a\xff");
        (mem, at)
    }

    fn text(fmt: &str, args: &[u64]) -> Result<String, Errno> {
        let (mem, _) = memory();
        let fmt = [fmt.as_bytes(), b"\0"].concat();
        let text = format(&mem, &fmt, args, 1024)?;
        Ok(String::from_utf8(text.bytes).unwrap())
    }

    #[test]
    fn numbers_take_the_size_that_is_asked_for() {
        let all = u64::MAX;
        assert_eq!(
            text("%d %u %x", &[all, all, all]).unwrap(),
            "-1 4294967295 ffffffff"
        );
        assert_eq!(
            text("%ld %llu %lX", &[all, all, 255]).unwrap(),
            "-1 18446744073709551615 FF"
        );
        assert_eq!(
            text("[%5d][%-5d][%05d][%+d]", &[42, 42, (-42i64) as u64, 1]).unwrap(),
            "[   42][42   ][-0042][+1]"
        );
        assert_eq!(text("100%%", &[]).unwrap(), "100%");
    }

    #[test]
    fn strings_characters_and_addresses() {
        let (mem, at) = memory();
        let fmt = b"%s|%8s|%c|%pI4|%pi4|%px|%s\0";
        let got = format(&mem, fmt, &[at, at, 65, at + 6, at + 6, 0xabc, 0], 1024).unwrap();
        let want = "hello|   hello|A|1.2.10.255|001.002.010.255|0000000000000abc|";
        assert_eq!(String::from_utf8(got.bytes).unwrap(), want);
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        for bad in [
            "%", "%q", "%#x", "%lls", "%sx", "%pQ", "%*d", "\x01", "é", "%hd", "%.3d",
        ] {
            assert_eq!(text(bad, &[1, 2]).unwrap_err(), Errno::INVAL, "{bad:?}");
        }
        assert_eq!(text("%d", &[]).unwrap_err(), Errno::INVAL);
        let (mem, _) = memory();
        assert_eq!(format(&mem, b"no end", &[], 11).unwrap_err(), Errno::INVAL);
        let many = "%lx".repeat(65);
        assert_eq!(text(&many, &[0; 65]).unwrap_err(), Errno::NOSPC);
    }

    #[test]
    fn long_text_is_cut_and_counted() {
        let (mem, _) = memory();
        let got = format(&mem, b"%99999999d\0", &[7], 11).unwrap();
        assert_eq!((got.bytes.len(), got.len), (10, MAX_WIDTH));
    }
}
