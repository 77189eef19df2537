//! Strings of a program's BTF, read no further than is asked for.
//!
//! A request can name the same megabytes of text once per instruction, so looking for each string's end
//! would take the square of its size.

use skep_btf::{Btf, Endian};

/// Where BTF's header holds its own length, and offset and length of the string section behind it.
const HEADER_LEN: usize = 4;
const STRINGS_OFF: usize = 16;
const STRINGS_LEN: usize = 20;

/// Whether there is a string at an offset: anywhere in the section, as kernels see it.
pub(crate) fn has_string(btf: &Btf, off: u32) -> bool {
    if btf.base().is_some() {
        return btf.string(off).is_ok();
    }
    section(btf).is_some_and(|strings| (off as usize) < strings.len())
}

/// The string at an offset, at most `max` bytes of it; empty where there is none.
pub(crate) fn string_up_to(btf: &Btf, off: u32, max: usize) -> &str {
    if btf.base().is_some() {
        return cut(btf.string(off).unwrap_or(""), max);
    }
    let strings = section(btf).unwrap_or_default();
    let rest = strings.get(off as usize..).unwrap_or_default();
    let some = rest.get(..max).unwrap_or(rest);
    let end = some.iter().position(|&byte| byte == 0);
    let bytes = some.get(..end.unwrap_or(some.len())).unwrap_or(some);
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The last character was cut through.
        Err(error) => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(whole).unwrap_or("")
        }
    }
}

/// The longest beginning of a text that has at most `max` bytes.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

/// The string section of BTF that stands alone.
fn section(btf: &Btf) -> Option<&[u8]> {
    let bytes = btf.bytes();
    let word = |at: usize| -> Option<usize> {
        let word = bytes.get(at..at + 4)?.try_into().ok()?;
        let number = match btf.endian() {
            Endian::Little => u32::from_le_bytes(word),
            Endian::Big => u32::from_be_bytes(word),
        };
        Some(number as usize)
    };
    let start = word(HEADER_LEN)?.checked_add(word(STRINGS_OFF)?)?;
    bytes.get(start..start.checked_add(word(STRINGS_LEN)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_btf::BtfBuilder;

    #[test]
    fn strings_are_those_of_the_section() {
        for endian in [Endian::Little, Endian::Big] {
            let mut builder = BtfBuilder::with_endian(endian);
            let (one, two) = (
                builder.string("first line"),
                builder.string("zweite Öffnung"),
            );
            let btf = Btf::parse(builder.to_bytes()).unwrap();
            for off in [one, two, one + 3] {
                assert!(has_string(&btf, off));
                assert_eq!(string_up_to(&btf, off, 100), btf.string(off).unwrap());
            }
            assert_eq!(string_up_to(&btf, one, 5), "first");
            // Ö takes two bytes.
            assert_eq!(string_up_to(&btf, two, 8), "zweite ");
            assert_eq!(string_up_to(&btf, two, 9), "zweite Ö");
            let end = (two + 100).max(one + 100);
            assert!(!has_string(&btf, end));
            assert_eq!(string_up_to(&btf, end, 100), "");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aÖ", 2), "a");
        assert_eq!(cut("aÖ", 3), "aÖ");
        assert_eq!(cut("", 3), "");
    }
}
