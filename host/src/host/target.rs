//! Where redirected packets go: devices, entries of device and CPU maps, AF_XDP sockets.

use std::collections::VecDeque;

use skep_sim::{MapId, ProgId};
use skep_spec::MapType;

use super::Host;
use crate::Error;

/// An AF_XDP socket in a map of them.
#[derive(Debug)]
pub struct Socket {
    /// The map.
    pub map: MapId,
    /// Its place in the map.
    pub index: u32,
    /// Frames that wait.
    frames: VecDeque<Vec<u8>>,
}

/// Frames that wait in a socket at most, as its ring has places; later ones are lost.
const RING: usize = 2048;
/// Flags of a redirection through a map: to every entry, and not back where it came from.
const BROADCAST: u64 = 8;
const EXCLUDE_INGRESS: u64 = 16;

/// One place that a redirected packet goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// A device, by way of the program of the map's entry.
    Device { ifindex: u32, prog: Option<ProgId> },
    /// Another CPU, and there up the stack.
    Cpu { cpu: u32, prog: Option<ProgId> },
    /// A socket.
    Socket { map: MapId, index: u32 },
}

impl Host {
    /// Opens an AF_XDP socket and puts it into a map: packets that are redirected to that place wait in it.
    ///
    /// # Errors
    /// The map holds no sockets, or has no such place.
    pub fn open_socket(&mut self, map: MapId, index: u32) -> Result<(), Error> {
        let ty = self.sim.maps().get(map).map(|m| m.spec().ty);
        if ty != Some(MapType::Xskmap) {
            return Err(
                Error::new("the map holds no AF_XDP sockets").help("its type must be xskmap")
            );
        }
        // The number stands for the socket's file descriptor.
        let number = self.sockets.len() as u32 + 1;
        self.sim
            .map_update(map, &index.to_le_bytes(), &number.to_le_bytes(), 0)
            .map_err(|e| Error::new(format!("the map refuses the socket: {e}")))?;
        self.sockets.retain(|s| (s.map, s.index) != (map, index));
        self.sockets.push(Socket {
            map,
            index,
            frames: VecDeque::new(),
        });
        Ok(())
    }

    /// Takes the next frame out of an AF_XDP socket.
    pub fn take_frame(&mut self, map: MapId, index: u32) -> Option<Vec<u8>> {
        let socket = self
            .sockets
            .iter_mut()
            .find(|s| (s.map, s.index) == (map, index))?;
        socket.frames.pop_front()
    }

    /// Puts a frame into a socket; `false` if it is lost.
    pub(super) fn queue_frame(&mut self, map: MapId, index: u32, frame: &[u8]) -> bool {
        let socket = self
            .sockets
            .iter_mut()
            .find(|s| (s.map, s.index) == (map, index));
        match socket {
            Some(socket) if socket.frames.len() < RING => {
                socket.frames.push_back(frame.to_vec());
                true
            }
            Some(_) | None => false,
        }
    }

    /// Where a redirection through a map goes.
    pub(super) fn targets(
        &mut self,
        map: MapId,
        index: u64,
        flags: u64,
        ingress: u32,
    ) -> Vec<Target> {
        let Some(ty) = self.sim.maps().get(map).map(|m| m.spec().ty) else {
            return Vec::new();
        };
        let keys: Vec<Vec<u8>> = if flags & BROADCAST == 0 {
            vec![(index as u32).to_le_bytes().to_vec()]
        } else {
            let entries = self.sim.map_entries(map).unwrap_or_default();
            entries.into_iter().map(|e| e.key).collect()
        };
        let mut targets = Vec::new();
        for key in keys {
            let place = key.first_chunk().map_or(0, |k| u32::from_le_bytes(*k));
            // Sockets cannot be looked up, not even by user space.
            let value = self.sim.map_lookup(map, &key).unwrap_or_default();
            let word = |at: usize| {
                let bytes = value.get(at..).and_then(|v| v.first_chunk());
                bytes.map(|bytes| u32::from_le_bytes(*bytes))
            };
            let prog = word(4).filter(|id| *id != 0).map(ProgId);
            let target = if ty == MapType::Xskmap {
                Some(Target::Socket { map, index: place })
            } else if ty == MapType::Cpumap {
                Some(Target::Cpu { cpu: place, prog })
            } else {
                word(0).map(|ifindex| Target::Device { ifindex, prog })
            };
            let back = matches!(target, Some(Target::Device { ifindex, .. }) if ifindex == ingress);
            if flags & EXCLUDE_INGRESS == 0 || !back {
                targets.extend(target);
            }
        }
        targets
    }
}
