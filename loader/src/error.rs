//! The one error type: what is wrong with an object, in which section, at which byte.

use std::fmt;

/// Why an object cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// ELF section in which it was found, if one can be blamed.
    pub section: Option<String>,
    /// Byte offset within that section, or within the file if no section is named.
    pub offset: Option<u64>,
}

/// The ways in which an object can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The data does not begin with ELF's magic number.
    NotElf,
    /// A header, table or section lies outside the file or contradicts itself.
    Damaged(String),
    /// A 32-bit ELF file.
    Not64Bit,
    /// An object for another machine (`e_machine`).
    OtherMachine(u16),
    /// Not a relocatable object but an executable, library or core (`e_type`).
    NotRelocatable(u16),
    /// No symbol table.
    NoSymbols,
    /// No program in it.
    NoPrograms,
    /// Its BTF or BTF.ext cannot be read.
    Btf(skep_btf::Error),
    /// A program or function is ill-formed.
    Program {
        /// Its name.
        name: String,
        /// Why, as a sentence without a full stop.
        why: String,
    },
    /// A map definition is ill-formed.
    Map {
        /// Its name.
        name: String,
        /// Why, as a sentence without a full stop.
        why: String,
    },
    /// A reference to a symbol cannot be made good.
    Relocation {
        /// The symbol.
        symbol: String,
        /// Why, as a sentence without a full stop.
        why: String,
    },
    /// An external symbol's declaration is missing or unusable.
    Extern {
        /// The symbol.
        name: String,
        /// Why, as a sentence without a full stop.
        why: String,
    },
    /// A global variable or section that was to be set cannot be.
    Global {
        /// Its name, as it was given.
        name: String,
        /// Why, as a sentence without a full stop.
        why: String,
    },
    /// A section that is needed is compressed, which loaders do not undo.
    Compressed,
    /// Linked programs would exceed what any kernel takes.
    TooLarge,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Error {
            kind,
            section: None,
            offset: None,
        }
    }

    pub(crate) fn damaged(why: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged(why.into()))
    }

    pub(crate) fn map(name: &str, why: impl Into<String>) -> Self {
        Self::new(ErrorKind::Map {
            name: name.to_string(),
            why: why.into(),
        })
    }

    pub(crate) fn program(name: &str, why: impl Into<String>) -> Self {
        Self::new(ErrorKind::Program {
            name: name.to_string(),
            why: why.into(),
        })
    }

    pub(crate) fn relocation(symbol: &str, why: impl Into<String>) -> Self {
        Self::new(ErrorKind::Relocation {
            symbol: symbol.to_string(),
            why: why.into(),
        })
    }

    pub(crate) fn ext(name: &str, why: impl Into<String>) -> Self {
        Self::new(ErrorKind::Extern {
            name: name.to_string(),
            why: why.into(),
        })
    }

    pub(crate) fn in_section(mut self, section: &str) -> Self {
        if self.section.is_none() {
            self.section = Some(section.to_string());
        }
        self
    }

    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.offset = self.offset.or(Some(offset));
        self
    }
}

impl From<skep_btf::Error> for Error {
    fn from(error: skep_btf::Error) -> Self {
        Error::new(ErrorKind::Btf(error))
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::NotElf => write!(f, "not an ELF file"),
            ErrorKind::Damaged(why) => write!(f, "damaged ELF file: {why}"),
            ErrorKind::Not64Bit => write!(f, "32-bit ELF file; BPF objects are 64-bit"),
            ErrorKind::OtherMachine(m) => write!(f, "object for ELF machine {m}, not BPF (247)"),
            ErrorKind::NotRelocatable(t) => {
                write!(f, "ELF type {t}, not a relocatable object (1)")
            }
            ErrorKind::NoSymbols => write!(f, "no symbol table; the object was stripped"),
            ErrorKind::NoPrograms => write!(f, "no programs in the object"),
            ErrorKind::Btf(e) => write!(f, "{e}"),
            ErrorKind::Program { name, why } => write!(f, "program `{name}`: {why}"),
            ErrorKind::Map { name, why } => write!(f, "map `{name}`: {why}"),
            ErrorKind::Relocation { symbol, why } => write!(f, "reference to `{symbol}`: {why}"),
            ErrorKind::Extern { name, why } => write!(f, "external symbol `{name}`: {why}"),
            ErrorKind::Global { name, why } => write!(f, "`{name}` cannot be set: {why}"),
            ErrorKind::Compressed => write!(f, "compressed; loaders want it as it was"),
            ErrorKind::TooLarge => write!(f, "programs with their functions are too large"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(section) = &self.section {
            write!(f, ", in section `{section}`")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", at byte {offset:#x}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let ErrorKind::Btf(error) = &self.kind {
            Some(error)
        } else {
            None
        }
    }
}
