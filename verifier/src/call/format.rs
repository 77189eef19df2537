//! Strings in maps that cannot change, and the format strings among them.

use skep_isa::Reg;
use skep_spec::MapSpec;

use crate::access::AccessBy;
use crate::env::Env;
use crate::state::{Pointer, Region, Value};
use crate::violation::{Check, Stop, StringViolation};

/// A string in a map's value: the map and the first byte.
struct ConstString<'a> {
    spec: &'a MapSpec,
    at: usize,
}

impl ConstString<'_> {
    /// Bytes from the start of the string to the end of the value.
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let contents = self.spec.init.as_deref().unwrap_or_default();
        (self.at..self.spec.value_size as usize).map(|at| contents.get(at).copied().unwrap_or(0))
    }

    /// The string without its end, if it has one.
    fn text(&self) -> Option<Vec<u8>> {
        let mut bytes = self.bytes();
        let text: Vec<u8> = bytes.by_ref().take_while(|&byte| byte != 0).collect();
        (self.at + text.len() < self.spec.value_size as usize).then_some(text)
    }
}

impl Env<'_> {
    /// A constant string (`check_reg_const_str`).
    pub(super) fn check_const_string(&self, reg: Reg) -> Check<()> {
        let Value::Pointer(pointer) = *self.state.reg(reg) else {
            return Ok(());
        };
        let Region::MapValue { map, .. } = pointer.region else {
            return Ok(());
        };
        let spec = self.ctx.map(map).spec;
        if !spec.is_constant() {
            return Err(StringViolation::Mutable { reg }.into());
        }
        if !pointer.var.is_const() {
            return Err(StringViolation::Place { reg }.into());
        }
        if !self
            .ctx
            .facts
            .map_type(spec.ty)
            .is_some_and(|facts| facts.direct_value)
        {
            return Err(StringViolation::Map.into());
        }
        let size = (spec.value_size as i32).wrapping_sub(pointer.off);
        self.check_map_value(reg, &pointer, pointer.off, size, false, AccessBy::Helper)?;
        let string = self.string_at(&pointer)?;
        let end = string.bytes().any(|byte| byte == 0);
        if end {
            Ok(())
        } else {
            Err(StringViolation::NoEnd.into())
        }
    }

    fn string_at(&self, pointer: &Pointer) -> Check<ConstString<'_>> {
        let Region::MapValue { map, .. } = pointer.region else {
            return Err(StringViolation::Map.into());
        };
        let spec = self.ctx.map(map).spec;
        let var = pointer.var.const_value().unwrap_or(0) as i64;
        let at = usize::try_from(var.wrapping_add(pointer.off.into()));
        // Only maps of one value have it at a fixed address.
        let inside = at
            .ok()
            .filter(|&at| at < spec.value_size as usize && spec.max_entries == 1);
        let Some(at) = inside else {
            return Err(StringViolation::Outside.into());
        };
        Ok(ConstString { spec, at })
    }

    /// The format of `bpf_snprintf` fits its arguments (`check_bpf_snprintf_call`).
    pub(super) fn check_snprintf(&self) -> Check<()> {
        let size = self.state.reg(Reg::R5).var().known().value();
        if !size.is_multiple_of(8) {
            return Err(StringViolation::FormatData.into());
        }
        let Value::Pointer(pointer) = self.state.reg(Reg::R3) else {
            return Err(Stop::undecided("a format that is no string"));
        };
        let text = self.string_at(pointer)?.text().unwrap_or_default();
        if is_format(&text, (size / 8) as u32) {
            return Ok(());
        }
        Err(StringViolation::Format.into())
    }
}

/// Whether a format is well-formed and takes at most so many arguments (`bpf_bprintf_prepare`).
fn is_format(text: &[u8], args: u32) -> bool {
    let mut format = Format { text, at: 0 };
    let mut used = 0;
    while let Some(byte) = format.next() {
        if byte.is_ascii() && !is_print(byte) && !is_space(byte) {
            return false;
        }
        if byte != b'%' {
            continue;
        }
        if format.peek(0) == b'%' {
            format.at += 1;
            continue;
        }
        if used >= args || !format.specifier() {
            return false;
        }
        used += 1;
    }
    true
}

fn is_print(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d | 0xa0)
}

/// Whether what follows a pointer or string conversion ends it.
fn ends(byte: u8) -> bool {
    byte == 0 || is_space(byte) || byte.is_ascii_punctuation()
}

/// A format string; behind its end lie zeros.
struct Format<'a> {
    text: &'a [u8],
    at: usize,
}

impl Format<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// One conversion behind its `%`; false if there is no such.
    fn specifier(&mut self) -> bool {
        if !self.peek(0).is_ascii() {
            return false;
        }
        while matches!(self.peek(0), b'0' | b'+' | b'-' | b' ') {
            self.at += 1;
        }
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        match self.peek(0) {
            b'p' => {
                self.at += 1;
                self.pointer()
            }
            b's' => {
                self.at += 1;
                ends(self.peek(0))
            }
            b'c' => {
                self.at += 1;
                true
            }
            _ => {
                for _ in 0..2 {
                    if self.peek(0) == b'l' {
                        self.at += 1;
                    }
                }
                let known = matches!(self.peek(0), b'i' | b'd' | b'u' | b'x' | b'X');
                self.at += 1;
                known
            }
        }
    }

    fn pointer(&mut self) -> bool {
        let (kind, detail) = (self.peek(0), self.peek(1));
        match kind {
            byte if ends(byte) => true,
            b'k' | b'u' if detail == b's' => {
                self.at += 2;
                ends(self.peek(0))
            }
            b'K' | b'x' | b's' | b'S' | b'B' => {
                self.at += 1;
                true
            }
            b'i' | b'I' if matches!(detail, b'4' | b'6') => {
                self.at += 2;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_format;

    #[test]
    fn formats_that_the_kernel_takes() {
        for (text, args) in [
            ("", 0),
            ("plain text\n", 0),
            ("100%%", 0),
            ("%d %u %x %X %i", 5),
            ("%ld %llu %-05d", 3),
            ("%s and %c", 2),
            ("%p %px %pK %pB %ps %pS", 6),
            ("%pi4 %pI6 %pks %pus", 4),
            ("%d", 2),
            ("gr\u{fc}n %d", 1),
        ] {
            assert!(is_format(text.as_bytes(), args), "{text}");
        }
    }

    #[test]
    fn formats_that_the_kernel_refuses() {
        for (text, args) in [
            ("%d", 0),
            ("%d %d", 1),
            ("%", 1),
            ("%z", 1),
            ("%lld %y", 2),
            ("%pi5", 1),
            ("%sx", 1),
            ("%pq", 1),
            ("\u{1}", 0),
            ("%\u{fc}", 1),
            ("%f", 1),
        ] {
            assert!(!is_format(text.as_bytes(), args), "{text}");
        }
    }
}
