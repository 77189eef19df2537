//! Numbers, bytes, values and verdicts as people read and write them.

pub mod encode;
pub mod names;
pub mod parse;
pub mod value;

use crate::Error;

/// What is wrong with a TOML text, and in which line.
pub(crate) fn toml_error(text: &str, error: &toml::de::Error) -> Error {
    let what = error.message().trim().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Error::new(format!("line {line}: {what}"))
        }
        None => Error::new(what),
    }
}

/// The system's message without its number, beginning small.
pub(crate) fn io_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut chars = text.get(..end).unwrap_or(&text).chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
