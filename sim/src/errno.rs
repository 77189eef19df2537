//! Error numbers that helpers and map commands give, with the kernel's names.

use std::fmt;

/// An error number, positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $(#[doc = concat!("`E", stringify!($name), "`: ", $text, ".")] pub const $name: Errno = Errno($number);)*

            /// Its name: `ENOENT`; empty for a number without one here.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    // No name here can begin with a digit.
                    n if n == Errno::TOOBIG.0 => "E2BIG",
                    $($number => concat!("E", stringify!($name)),)*
                    _ => "",
                }
            }
        }
    };
}

errnos! {
    PERM = 1, "not permitted";
    NOENT = 2, "no such entry";
    IO = 5, "input or output error";
    TOOBIG = 7, "too big, or the map is full";
    AGAIN = 11, "try again";
    NOMEM = 12, "no memory";
    ACCES = 13, "not allowed here";
    FAULT = 14, "bad address";
    BUSY = 16, "busy";
    EXIST = 17, "exists";
    NODEV = 19, "no such device";
    INVAL = 22, "invalid argument";
    NOSPC = 28, "no space";
    RANGE = 34, "out of range";
    NAMETOOLONG = 36, "name too long";
    PROTO = 71, "protocol error";
    OVERFLOW = 75, "value too large";
    BADMSG = 74, "bad message";
    ALREADY = 114, "already done";
    OPNOTSUPP = 95, "not supported";
    AFNOSUPPORT = 97, "address family not supported";
    NETUNREACH = 101, "network unreachable";
    NOTSUPP = 524, "not supported by the kernel";
}

impl Errno {
    /// The error of a number, positive or negated.
    pub const fn new(number: i32) -> Errno {
        Errno(number.unsigned_abs() as u16)
    }

    /// The positive number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The number as a helper returns it: negative, in 64 bits.
    pub const fn as_ret(self) -> u64 {
        (-(self.0 as i64)) as u64
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => write!(f, "errno {}", self.0),
            name => f.write_str(name),
        }
    }
}

impl std::error::Error for Errno {}
