//! The numbers that system calls answer with, and their names.
//!
//! `bpf(2)` also answers with numbers that are no `errno` of the C library (524, `ENOTSUPP`), so the
//! names are our own table.

use std::fmt;

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// Not permitted.
    pub const PERM: Errno = Errno(1);
    /// No such thing.
    pub const NOENT: Errno = Errno(2);
    /// Interrupted.
    pub const INTR: Errno = Errno(4);
    /// Too long: also too many instructions.
    pub const TOOBIG: Errno = Errno(7);
    /// No such file descriptor.
    pub const BADF: Errno = Errno(9);
    /// Try again: a signal came while the verifier ran.
    pub const AGAIN: Errno = Errno(11);
    /// Out of memory.
    pub const NOMEM: Errno = Errno(12);
    /// Access refused: most of the verifier's rejections.
    pub const ACCES: Errno = Errno(13);
    /// Bad address.
    pub const FAULT: Errno = Errno(14);
    /// Busy.
    pub const BUSY: Errno = Errno(16);
    /// Exists already.
    pub const EXIST: Errno = Errno(17);
    /// Invalid argument: most of the verifier's other rejections.
    pub const INVAL: Errno = Errno(22);
    /// Too many open files in the system.
    pub const NFILE: Errno = Errno(23);
    /// Too many open files in the process.
    pub const MFILE: Errno = Errno(24);
    /// No space left: the log did not fit its buffer.
    pub const NOSPC: Errno = Errno(28);
    /// Out of range.
    pub const RANGE: Errno = Errno(34);
    /// The kernel has no such system call.
    pub const NOSYS: Errno = Errno(38);
    /// Operation not supported (user space's number).
    pub const OPNOTSUPP: Errno = Errno(95);
    /// Operation not supported (the kernel's internal number, which `bpf(2)` lets out).
    pub const NOTSUPP: Errno = Errno(524);

    /// Its name, such as `EINVAL`, where the table has it.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|row| row.0 == self.0).map(|row| row.1)
    }

    /// The number of that name.
    pub fn from_name(name: &str) -> Option<Errno> {
        NAMES
            .iter()
            .find(|row| row.1 == name)
            .map(|row| Errno(row.0))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl std::error::Error for Errno {}

const NAMES: [(i32, &str); 45] = [
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (21, "EISDIR"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (25, "ENOTTY"),
    (26, "ETXTBSY"),
    (27, "EFBIG"),
    (28, "ENOSPC"),
    (32, "EPIPE"),
    (33, "EDOM"),
    (34, "ERANGE"),
    (35, "EDEADLK"),
    (36, "ENAMETOOLONG"),
    (38, "ENOSYS"),
    (40, "ELOOP"),
    (61, "ENODATA"),
    (71, "EPROTO"),
    (75, "EOVERFLOW"),
    (84, "EILSEQ"),
    (90, "EMSGSIZE"),
    (92, "ENOPROTOOPT"),
    (93, "EPROTONOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (110, "ETIMEDOUT"),
    (116, "ESTALE"),
    (524, "ENOTSUPP"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_each_others_inverse() {
        for (number, name) in NAMES {
            assert_eq!(Errno(number).name(), Some(name));
            assert_eq!(Errno::from_name(name), Some(Errno(number)));
        }
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(Errno::TOOBIG.to_string(), "E2BIG");
        assert_eq!(Errno(4095).to_string(), "errno 4095");
    }
}
