//! Numbers, bytes and settings as people write them on the command line.

/// Bytes from hex digits; spaces, colons and a leading `0x` are passed over.
///
/// # Errors
/// What is no hex digit, or an odd number of them.
pub fn hex_bytes(text: &str) -> Result<Vec<u8>, String> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let mut digits = Vec::new();
    for c in text.chars().filter(|c| !c.is_whitespace() && *c != ':') {
        let digit = c
            .to_digit(16)
            .ok_or_else(|| format!("`{c}` is no hex digit"))?;
        digits.push(digit as u8);
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("an odd number of digits".to_owned());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// An Ethernet address: six pairs of hex digits with colons between them.
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// A decimal or hexadecimal number, perhaps negative, as its 64 bits.
pub fn number(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let value = value.ok()?;
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Whether the number fits that many bytes, signed or not.
pub fn fits(value: u64, size: usize) -> bool {
    if size >= 8 {
        return true;
    }
    let bits = 8 * size as u32;
    value >> bits == 0 || (value.cast_signed() >> (bits - 1)) == -1
}

/// `name=value` or `name[index]=value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting<'a> {
    /// What is set.
    pub name: &'a str,
    /// What stands between the brackets.
    pub index: Option<&'a str>,
    /// To what.
    pub value: &'a str,
}

impl<'a> Setting<'a> {
    /// Reads a setting; `None` if it is none.
    pub fn read(text: &'a str) -> Option<Setting<'a>> {
        let (target, value) = match text.find("]=") {
            Some(at) => (text.get(..=at)?, text.get(at + 2..)?),
            None => text.split_once('=')?,
        };
        let (name, index) = match target.strip_suffix(']') {
            Some(target) => {
                let (name, index) = target.split_once('[')?;
                (name, Some(index))
            }
            None => (target, None),
        };
        (!name.is_empty()).then_some(Setting { name, index, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_a_name_and_perhaps_an_index() {
        let setting = |name, index, value| Some(Setting { name, index, value });
        assert_eq!(Setting::read("mark=7"), setting("mark", None, "7"));
        assert_eq!(Setting::read("cb[2]=-1"), setting("cb", Some("2"), "-1"));
        assert_eq!(Setting::read("m[a=b]=c"), setting("m", Some("a=b"), "c"));
        for bad in ["", "mark", "=1", "[0]=1", "a]=1"] {
            assert_eq!(Setting::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_fit_signed_or_unsigned() {
        assert_eq!(number("-1"), Some(u64::MAX));
        assert_eq!(number("0xff"), Some(255));
        assert_eq!(number("1e3"), None);
        assert!(fits(255, 1) && fits(u64::MAX, 1) && !fits(256, 1));
        assert!(!fits((-129i64).cast_unsigned(), 1) && fits((-128i64).cast_unsigned(), 1));
    }
}
