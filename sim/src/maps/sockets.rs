//! Maps of sockets: sockmap, sockhash and the sockets of one port (reuseport_sockarray).
//!
//! User space writes a file descriptor; here any number but a negative one names a socket, which is
//! made when it is put in: a connected TCP socket, or one that listens. User space reads a socket's
//! cookie, which is that number.

use std::collections::BTreeMap;

use skep_spec::{MapSpec, MapType};

use super::{Bytes, flags, index_of};
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::Owner;
use crate::hooks::fields::{SOCK, sock};
use crate::memory::Memory;

/// What new sockets are.
const AF_INET: u64 = 2;
const SOCK_STREAM: u64 = 1;
const IPPROTO_TCP: u64 = 6;
const TCP_ESTABLISHED: u64 = 1;
const TCP_LISTEN: u64 = 10;
/// Bytes of a socket's cookie, which a map must have room for if user space is to read it.
const COOKIE: u64 = 8;

#[derive(Clone, Copy, Debug)]
struct Socket {
    /// Guest address of its `struct bpf_sock`.
    at: u64,
    /// The number that it was put in with.
    number: u64,
    /// Whether the map made it, so that it goes with its entry.
    own: bool,
}

#[derive(Debug)]
pub(crate) struct Sockets {
    ty: MapType,
    key_size: u64,
    value_size: u64,
    max: u32,
    entries: BTreeMap<Box<[u8]>, Socket>,
}

impl Sockets {
    pub(crate) fn new(spec: &MapSpec) -> Sockets {
        Sockets {
            ty: spec.ty,
            key_size: spec.key_size.into(),
            value_size: spec.value_size.into(),
            max: spec.max_entries,
            entries: BTreeMap::new(),
        }
    }

    fn is_array(&self) -> bool {
        self.ty != MapType::Sockhash
    }

    fn of_port(&self) -> bool {
        self.ty == MapType::ReuseportSockarray
    }

    /// The socket of a key: where it lies.
    pub(crate) fn lookup(&self, mem: &Memory, key: Bytes<'_>) -> Option<u64> {
        let socket = self.entries.get(key.get(mem, self.key_size))?;
        Some(socket.at)
    }

    /// What user space reads: the cookie.
    pub(crate) fn cookie(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.value_size != COOKIE {
            return Err(Errno::NOSPC);
        }
        let socket = self.entries.get(key).ok_or(Errno::NOENT)?;
        Ok(socket.number.to_le_bytes().to_vec())
    }

    fn check(&self, mem: &Memory, key: Bytes<'_>, flag: u64) -> Result<(), Errno> {
        self.check_place(mem, key, flag)?;
        self.check_presence(mem, key, flag)
    }

    fn check_place(&self, mem: &Memory, key: Bytes<'_>, flag: u64) -> Result<(), Errno> {
        if flag > flags::EXIST {
            return Err(Errno::INVAL);
        }
        if self.is_array() && index_of(mem, key) >= self.max {
            return Err(Errno::TOOBIG);
        }
        Ok(())
    }

    fn check_presence(&self, mem: &Memory, key: Bytes<'_>, flag: u64) -> Result<(), Errno> {
        let found = self.entries.contains_key(key.get(mem, self.key_size));
        match flag {
            flags::NOEXIST if found => Err(Errno::EXIST),
            flags::EXIST if !found => Err(Errno::NOENT),
            _ if !self.is_array() && !found && self.entries.len() >= self.max as usize => {
                Err(Errno::TOOBIG)
            }
            _ => Ok(()),
        }
    }

    /// Puts a socket in, made from the number that names it.
    pub(crate) fn update(
        &mut self,
        mem: &mut Memory,
        key: Bytes<'_>,
        value: Bytes<'_>,
        flag: u64,
    ) -> Result<(), Errno> {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(value.get(mem, self.value_size)) {
            *to = *from;
        }
        let number = u64::from_le_bytes(wide);
        let most = i32::MAX as u64;
        // Sockets of a port fail by flags and key first, the others by the number.
        if self.of_port() {
            self.check_place(mem, key, flag)?;
        }
        if number > most {
            return Err(Errno::INVAL);
        }
        self.check(mem, key, flag)?;
        let at = mem
            .alloc(SOCK, 8, Owner::Kernel("socket"))
            .ok_or(Errno::NOMEM)?;
        mem.allow(at, SOCK, Perm::Read);
        let state = if self.of_port() {
            TCP_LISTEN
        } else {
            TCP_ESTABLISHED
        };
        for (off, value) in [
            (sock::FAMILY, AF_INET),
            (sock::TYPE, SOCK_STREAM),
            (sock::PROTOCOL, IPPROTO_TCP),
            (sock::STATE, state),
            (sock::RX_QUEUE_MAPPING, u32::MAX.into()),
        ] {
            mem.poke_le::<4>(at + off, value);
        }
        let own = true;
        self.insert(mem, key, Socket { at, number, own });
        Ok(())
    }

    /// Puts a socket in that a program has.
    pub(crate) fn insert_socket(
        &mut self,
        mem: &mut Memory,
        key: Bytes<'_>,
        at: u64,
        flag: u64,
    ) -> Result<(), Errno> {
        self.check(mem, key, flag)?;
        let (number, own) = (1, false);
        self.insert(mem, key, Socket { at, number, own });
        Ok(())
    }

    fn insert(&mut self, mem: &mut Memory, key: Bytes<'_>, socket: Socket) {
        let old = self
            .entries
            .insert(key.get(mem, self.key_size).into(), socket);
        if let Some(old) = old.filter(|old| old.own) {
            mem.retire(old.at);
        }
    }

    pub(crate) fn delete(&mut self, mem: &mut Memory, key: Bytes<'_>) -> Result<(), Errno> {
        if self.of_port() && index_of(mem, key) >= self.max {
            return Err(Errno::TOOBIG);
        }
        // A sockmap says of a missing socket that the key is wrong.
        let missing = if self.ty == MapType::Sockmap {
            Errno::INVAL
        } else {
            Errno::NOENT
        };
        let old = self
            .entries
            .remove(key.get(mem, self.key_size))
            .ok_or(missing)?;
        if old.own {
            mem.retire(old.at);
        }
        Ok(())
    }

    pub(crate) fn next_key(&self, key: Option<&[u8]>) -> Option<Vec<u8>> {
        use std::ops::Bound::{Excluded, Unbounded};
        if self.is_array() {
            return super::user::next_index(key, self.max);
        }
        let known = key.filter(|key| self.entries.contains_key(*key));
        let next = match known {
            Some(key) => self
                .entries
                .range::<[u8], _>((Excluded(key), Unbounded))
                .next(),
            None => self.entries.first_key_value(),
        };
        next.map(|(key, _)| key.to_vec())
    }

    /// All keys that have a socket.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        self.entries.keys().map(|key| key.to_vec()).collect()
    }
}
