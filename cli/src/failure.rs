//! What a person is told when something cannot be done: what is wrong, and what to do about it.

use std::fmt;

use crate::style::{ERROR, HELP, NOTE};

/// An error for people, without a full stop at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// What is wrong, beginning with the file that it is wrong in.
    pub(crate) what: String,
    /// What to do.
    pub(crate) help: Option<String>,
    /// The same drawn on a source text, which then stands for the whole.
    pub(crate) drawing: Option<String>,
}

impl Failure {
    /// An error that says all there is to say.
    pub(crate) fn new(what: impl Into<String>) -> Failure {
        Failure {
            what: what.into(),
            help: None,
            drawing: None,
        }
    }

    /// An error in a file.
    pub(crate) fn of(file: impl fmt::Display, what: impl fmt::Display) -> Failure {
        Failure::new(format!("{file}: {what}"))
    }

    /// The same with what to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// The same, drawn.
    pub(crate) fn drawn(self, drawing: String) -> Failure {
        Failure {
            drawing: Some(drawing),
            ..self
        }
    }

    /// Tells it on stderr.
    pub(crate) fn print(&self) {
        if let Some(drawing) = &self.drawing {
            anstream::eprintln!("{drawing}");
            return;
        }
        anstream::eprintln!("{ERROR}error{ERROR:#}: {}", self.what);
        if let Some(help) = &self.help {
            anstream::eprintln!("  {HELP}help{HELP:#}: {help}");
        }
    }
}

impl From<skep_host::Error> for Failure {
    fn from(error: skep_host::Error) -> Failure {
        Failure {
            what: error.what,
            help: error.help,
            drawing: None,
        }
    }
}

/// Tells on stderr something that is no error but should be known.
pub(crate) fn note(text: impl fmt::Display) {
    anstream::eprintln!("{NOTE}note{NOTE:#}: {text}");
}
