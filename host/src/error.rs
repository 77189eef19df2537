//! What is wrong with what people write: packets, contexts, maps, test files, topologies.

use std::fmt;

/// An error for people, without a full stop at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// What is wrong, beginning with where it is wrong.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Error {
    /// An error that says all there is to say.
    pub fn new(what: impl Into<String>) -> Error {
        Error {
            what: what.into(),
            help: None,
        }
    }

    /// An error in something that has a name.
    pub fn of(place: impl fmt::Display, what: impl fmt::Display) -> Error {
        Error::new(format!("{place}: {what}"))
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.help = Some(help.into());
        self
    }

    /// The same, with the place in front of it.
    #[must_use]
    pub fn in_place(mut self, place: impl fmt::Display) -> Error {
        self.what = format!("{place}: {}", self.what);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
