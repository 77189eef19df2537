//! One call of a helper: its arguments, and the words in which helpers ask for them.

use crate::errno::Errno;
use crate::maps::{Map, MapId};
use crate::program_types::ProgramTypes;
use crate::sim::{ProgId, Sim};
use crate::trap::Trap;

/// What a helper needs of the engine that called it.
pub trait Engine {
    /// Calls a function of the running program, as a callback, in a frame of its own.
    ///
    /// # Errors
    /// The trap that stopped it.
    fn callback(&mut self, sim: &mut Sim, func: u64, args: [u64; 5]) -> Result<u64, Trap>;

    /// The program that runs.
    fn program(&self) -> ProgId {
        ProgId(0)
    }

    /// Its own types, if it has any: those of the objects that it allocates.
    fn types(&self) -> Option<&ProgramTypes> {
        None
    }
}

/// A call of a helper.
pub struct Call<'a> {
    /// The kernel.
    pub sim: &'a mut Sim,
    /// R1 to R5.
    pub args: [u64; 5],
    /// The helper's name.
    pub name: &'static str,
    /// The engine.
    pub engine: &'a mut dyn Engine,
}

/// A result for R0: a number, or an error number negated.
pub(super) fn ret(result: Result<u64, Errno>) -> u64 {
    result.unwrap_or_else(Errno::as_ret)
}

/// The same without a number: zero for success.
pub(super) fn status(result: Result<(), Errno>) -> u64 {
    ret(result.map(|()| 0))
}

impl Call<'_> {
    /// Argument `n`, from 1.
    #[inline]
    pub(super) fn arg(&self, n: usize) -> u64 {
        self.args.get(n - 1).copied().unwrap_or(0)
    }

    /// Argument `n` as the kernel's `u32` parameters take it.
    pub(super) fn arg32(&self, n: usize) -> u32 {
        self.arg(n) as u32
    }

    pub(super) fn bad(&self, n: usize, wanted: &'static str) -> Trap {
        Trap::BadArgument {
            helper: self.name,
            arg: n as u8,
            wanted,
            got: self.arg(n),
        }
    }

    /// The map that argument `n` names.
    #[inline]
    pub(super) fn map_id(&self, n: usize) -> Result<MapId, Trap> {
        let id = self.sim.maps.by_handle(self.arg(n));
        id.ok_or_else(|| self.bad(n, "a map"))
    }

    /// The same, looked up.
    pub(super) fn map(&self, n: usize) -> Result<&Map, Trap> {
        let bad = || self.bad(n, "a map");
        let id = self.sim.maps.by_handle(self.arg(n)).ok_or_else(bad)?;
        self.sim.maps.get(id).ok_or_else(bad)
    }

    /// That this helper does nothing for the map of argument `n`.
    pub(super) fn not_for_map(&self, n: usize) -> Trap {
        match self.map(n) {
            Ok(map) => Trap::MapNotSimulated {
                ty: map.spec().ty,
                helper: self.name,
            },
            Err(trap) => trap,
        }
    }

    /// The `len` bytes that argument `n` points to, to be read.
    pub(super) fn bytes(&self, n: usize, len: u64) -> Result<&[u8], Trap> {
        Ok(self.sim.mem.read(self.arg(n), len)?)
    }

    /// The `len` bytes that argument `n` points to, to be written.
    pub(super) fn bytes_mut(&mut self, n: usize, len: u64) -> Result<&mut [u8], Trap> {
        let addr = self.arg(n);
        Ok(self.sim.mem.write(addr, len)?)
    }

    /// That argument `n` is the context.
    pub(super) fn expect_ctx(&self, n: usize) -> Result<(), Trap> {
        match self.sim.context() {
            Some((ctx, _)) if ctx == self.arg(n) => Ok(()),
            _ => Err(self.bad(n, "the context")),
        }
    }
}
