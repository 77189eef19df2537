//! Kernel versions as people write them: `6.18`, `6.1.170`.

use std::fmt;
use std::str::FromStr;

/// A kernel version. It orders releases; it does not identify a kernel, since stable releases and
/// distributions backport (see [`crate::Profile`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KernelVersion {
    /// First number.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number; 0 where it is not said.
    pub patch: u16,
}

impl KernelVersion {
    /// The version `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> KernelVersion {
        KernelVersion {
            major,
            minor,
            patch,
        }
    }

    /// Whether it belongs to the series `major.minor` or a later one.
    pub const fn at_least(self, major: u16, minor: u16) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch != 0 {
            write!(f, ".{}", self.patch)
        } else {
            Ok(())
        }
    }
}

/// A text that is no kernel version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionError(String);

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no kernel version; write it like 6.18 or 6.18.44",
            self.0
        )
    }
}

impl std::error::Error for VersionError {}

impl FromStr for KernelVersion {
    type Err = VersionError;

    /// Reads `6.18`, `6.18.44`, or the beginning of a release name such as `6.18.15+deb13-amd64`.
    fn from_str(text: &str) -> Result<KernelVersion, VersionError> {
        let error = || VersionError(text.to_owned());
        let end = text
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(text.len());
        let mut numbers = text[..end].trim_end_matches('.').split('.');
        let mut next = || numbers.next().map(str::parse::<u16>).transpose();
        let major = next().map_err(|_| error())?.ok_or_else(error)?;
        let minor = next().map_err(|_| error())?.ok_or_else(error)?;
        let patch = next().map_err(|_| error())?.unwrap_or(0);
        Ok(KernelVersion {
            major,
            minor,
            patch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_names_are_read_up_to_their_suffix() {
        for (text, version) in [
            ("6.18", KernelVersion::new(6, 18, 0)),
            ("6.18.44", KernelVersion::new(6, 18, 44)),
            ("6.18.15+deb13-cloud-amd64", KernelVersion::new(6, 18, 15)),
            ("7.3~rc7", KernelVersion::new(7, 3, 0)),
        ] {
            assert_eq!(text.parse(), Ok(version));
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "six", "6", "6.", ".18", "6.99999"] {
            assert!(text.parse::<KernelVersion>().is_err(), "{text}");
        }
    }
}
