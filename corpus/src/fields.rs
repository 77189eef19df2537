//! Reading a JSON object key by key, with errors that name the key.

use serde_json::{Map, Value};

/// What is wrong with a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FieldError {
    /// The key, with those around it: `maps[3].inner.type`.
    pub(crate) key: String,
    /// What is wrong, as a sentence without a full stop.
    pub(crate) what: String,
}

/// One object and where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    prefix: &'a str,
}

impl<'a> Fields<'a> {
    /// The object in `value`; `prefix` goes before each key in errors.
    pub(crate) fn of(value: &'a Value, prefix: &'a str) -> Result<Fields<'a>, FieldError> {
        match value.as_object() {
            Some(object) => Ok(Fields { object, prefix }),
            None => Err(FieldError {
                key: prefix.to_owned(),
                what: "is no object".to_owned(),
            }),
        }
    }

    /// An error about a key.
    pub(crate) fn error(&self, key: &str, what: impl Into<String>) -> FieldError {
        let dot = if self.prefix.is_empty() { "" } else { "." };
        FieldError {
            key: format!("{}{dot}{key}", self.prefix),
            what: what.into(),
        }
    }

    /// A value, unless it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|v| !v.is_null())
    }

    /// A text, if it is there.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, FieldError> {
        self.get(key)
            .map(|v| v.as_str().ok_or_else(|| self.error(key, "is no text")))
            .transpose()
    }

    /// A text that must be there.
    pub(crate) fn needed_text(&self, key: &str) -> Result<&'a str, FieldError> {
        self.text(key)?.ok_or_else(|| self.error(key, "is missing"))
    }

    /// A number from 0 to `u64::MAX`, if it is there.
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, FieldError> {
        self.get(key)
            .map(|v| {
                v.as_u64()
                    .ok_or_else(|| self.error(key, "is no natural number"))
            })
            .transpose()
    }

    /// A 32-bit number, or 0 if it is not there.
    pub(crate) fn word(&self, key: &str) -> Result<u32, FieldError> {
        let number = self.number(key)?.unwrap_or(0);
        u32::try_from(number).map_err(|_| self.error(key, "does not fit 32 bits"))
    }

    /// A 32-bit number that must be there.
    pub(crate) fn needed_word(&self, key: &str) -> Result<u32, FieldError> {
        match self.get(key) {
            Some(_) => self.word(key),
            None => Err(self.error(key, "is missing")),
        }
    }

    /// Bytes in hexadecimal, if they are there.
    pub(crate) fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, FieldError> {
        self.text(key)?
            .map(|t| from_hex(t).ok_or_else(|| self.error(key, "is no even number of hex digits")))
            .transpose()
    }

    /// A list, empty if it is not there.
    pub(crate) fn list(&self, key: &str) -> Result<&'a [Value], FieldError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.error(key, "is no list")),
        }
    }

    /// Truth: `true`, or a number other than 0.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, FieldError> {
        match self.get(key) {
            Some(Value::Bool(flag)) => Ok(*flag),
            _ => Ok(self.number(key)?.unwrap_or(0) != 0),
        }
    }
}

/// The bytes of a text of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_pairs() {
        assert_eq!(from_hex("00fFa0"), Some(vec![0, 255, 160]));
        assert_eq!(from_hex(""), Some(vec![]));
        for bad in ["0", "0g", "é", "+1", " 1"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn errors_name_the_key() {
        let value = serde_json::json!({ "type": -1, "max": 4294967296u64, "name": 3 });
        let fields = Fields::of(&value, "maps[3]").unwrap();
        assert_eq!(fields.word("type").unwrap_err().key, "maps[3].type");
        assert_eq!(fields.word("max").unwrap_err().what, "does not fit 32 bits");
        assert_eq!(fields.text("name").unwrap_err().what, "is no text");
        assert_eq!(fields.needed_word("key").unwrap_err().what, "is missing");
        assert_eq!(fields.word("absent"), Ok(0));
    }
}
