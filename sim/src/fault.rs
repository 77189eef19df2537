//! Accesses that the simulated machine refuses, and what lies at the address.

use std::fmt;

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Reads and writes at once.
    Atomic,
}

/// Whose memory an object of the arena is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Keys and values of a map.
    Map(u32),
    /// Records of a ring buffer.
    Ring(u32),
    /// The stack frames.
    Stack,
    /// The context.
    Context,
    /// The packet, with its head and tail room.
    Packet,
    /// An object of the simulated kernel: its type.
    Kernel(&'static str),
}

/// Why an access was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The address lies outside of all memory that programs can see.
    NotMemory,
    /// The access leaves what is accessible of the object, or lies before or behind it.
    OutOfObject {
        /// Whose object is nearest.
        owner: Owner,
        /// First byte of the access relative to the object's.
        at: i64,
        /// Bytes of the object.
        len: u64,
    },
    /// The object was given back.
    Freed(Owner),
    /// The object may only be read.
    ReadOnly(Owner),
    /// The object may only be written.
    WriteOnly(Owner),
    /// An atomic access that is not aligned to its size.
    Misaligned,
}

/// A refused access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Guest address of the first byte.
    pub addr: u64,
    /// Bytes.
    pub len: u64,
    /// What it wanted to do.
    pub access: Access,
    /// Why it was refused.
    pub why: Why,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Atomic => "atomic access",
        })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Map(id) => write!(f, "map #{id}"),
            Owner::Ring(id) => write!(f, "ring buffer #{id}"),
            Owner::Stack => f.write_str("the stack"),
            Owner::Context => f.write_str("the context"),
            Owner::Packet => f.write_str("the packet"),
            Owner::Kernel(what) => write!(f, "the kernel's {what}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            addr, len, access, ..
        } = self;
        write!(f, "{access} of {len} bytes at {addr:#x}")?;
        match self.why {
            Why::NotMemory => write!(f, ": no memory there"),
            Why::OutOfObject { owner, at, len } => {
                write!(f, ": outside of {owner} (byte {at} of {len})")
            }
            Why::Freed(owner) => write!(f, ": {owner} was given back"),
            Why::ReadOnly(owner) => write!(f, ": {owner} may only be read"),
            Why::WriteOnly(owner) => write!(f, ": {owner} may only be written"),
            Why::Misaligned => write!(f, ": not aligned"),
        }
    }
}

impl std::error::Error for Fault {}
