//! Timers and work queues on the virtual clock.
//!
//! A timer is known by the address of its place in a map's value. Nothing fires while a program runs:
//! whoever drives the kernel lets time pass and calls what is due ([`crate::Sim::expire_timer`]).

use super::Row;
use super::call::{Call, status};
use crate::errno::Errno;
use crate::fault::{Access, Owner};
use crate::maps::{ElementKey, MapId};
use crate::sim::{ProgId, Sim};
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_timer_init", init),
    ("bpf_timer_set_callback", set_callback),
    ("bpf_timer_start", start),
    ("bpf_timer_cancel", cancel),
];

pub(super) const KFUNCS: &[Row] = &[
    ("bpf_wq_init", wq_init),
    ("bpf_wq_set_callback_impl", set_callback),
    ("bpf_wq_start", wq_start),
];

/// A timer that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    map: MapId,
    /// The program and its function that is called.
    callback: Option<(ProgId, u64)>,
    /// When it fires, if it runs: on the clock since boot, in ns.
    deadline: Option<u64>,
}

/// A callback that is due: the program, its function, and the arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DueCall {
    /// The program that the function belongs to.
    pub prog: ProgId,
    /// The function, as callbacks are handed over.
    pub func: u64,
    /// Map, key and value.
    pub args: [u64; 5],
}

fn make(call: &mut Call<'_>, flags_ok: bool) -> Result<u64, Trap> {
    let at = call.arg(1);
    let map = call.map_id(2)?;
    match call.sim.mem.object_at(at) {
        Some((_, _, Owner::Map(id))) if MapId(id) == map => {}
        _ => return Err(call.bad(1, "a place in a value of the map")),
    }
    if !flags_ok {
        return Ok(Errno::INVAL.as_ret());
    }
    if call.sim.timers.contains_key(&at) {
        return Ok(Errno::BUSY.as_ret());
    }
    let (callback, deadline) = (None, None);
    let timer = Timer {
        map,
        callback,
        deadline,
    };
    call.sim.timers.insert(at, timer);
    Ok(0)
}

fn init(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `CLOCK_REALTIME`, `CLOCK_MONOTONIC`, `CLOCK_BOOTTIME`.
    const CLOCKS: [u64; 3] = [0, 1, 7];
    let flags = call.arg(3);
    make(call, CLOCKS.contains(&flags))
}

fn wq_init(call: &mut Call<'_>) -> Result<u64, Trap> {
    let flags = call.arg32(3);
    make(call, flags == 0)
}

fn set_callback(call: &mut Call<'_>) -> Result<u64, Trap> {
    let callback = Some((call.engine.program(), call.arg(2)));
    let timer = call.sim.timers.get_mut(&call.arg(1));
    Ok(status(match timer {
        Some(timer) => {
            timer.callback = callback;
            Ok(())
        }
        None => Err(Errno::INVAL),
    }))
}

/// Lets a timer run that has a callback.
fn run_until(call: &mut Call<'_>, deadline: u64) -> u64 {
    let timer = call.sim.timers.get_mut(&call.arg(1));
    status(match timer.filter(|t| t.callback.is_some()) {
        Some(timer) => {
            timer.deadline = Some(deadline);
            Ok(())
        }
        None => Err(Errno::INVAL),
    })
}

fn start(call: &mut Call<'_>) -> Result<u64, Trap> {
    /// `BPF_F_TIMER_ABS` and `BPF_F_TIMER_CPU_PIN`.
    const ABSOLUTE: u64 = 1;
    const CPU_PIN: u64 = 2;
    let (ns, flags) = (call.arg(2), call.arg(3));
    if flags & !(ABSOLUTE | CPU_PIN) != 0 {
        return Ok(Errno::INVAL.as_ret());
    }
    let deadline = if flags & ABSOLUTE != 0 {
        ns
    } else {
        call.sim.clock.now_ns.saturating_add(ns)
    };
    Ok(run_until(call, deadline))
}

fn wq_start(call: &mut Call<'_>) -> Result<u64, Trap> {
    let now = call.sim.clock.now_ns;
    Ok(if call.arg32(2) == 0 {
        run_until(call, now)
    } else {
        Errno::INVAL.as_ret()
    })
}

/// Whether it was running.
fn cancel(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(match call.sim.timers.get_mut(&call.arg(1)) {
        Some(timer) => timer.deadline.take().is_some().into(),
        None => Errno::INVAL.as_ret(),
    })
}

impl Sim {
    /// When the next timer fires, if one runs: ns since boot.
    pub fn next_timer(&self) -> Option<u64> {
        self.timers.values().filter_map(|t| t.deadline).min()
    }

    /// Stops the timer that is due first at or before a time, moves the clock there, and says what is
    /// to be called.
    pub fn expire_timer(&mut self, until_ns: u64) -> Option<DueCall> {
        let due = |t: &Timer| t.deadline.filter(|ns| *ns <= until_ns);
        let (deadline, at) = self
            .timers
            .iter()
            .filter_map(|(at, t)| Some((due(t)?, *at)))
            .min()?;
        let timer = self.timers.get_mut(&at)?;
        timer.deadline = None;
        let (map, (prog, func)) = (timer.map, timer.callback?);
        self.clock.now_ns = self.clock.now_ns.max(deadline);
        self.mem.end_grace_period();
        self.stack.reset(&mut self.mem);
        let (key, value) = self.element_at(map, at)?;
        let args = [self.maps.handle(map), key, value, 0, 0];
        Some(DueCall { prog, func, args })
    }

    /// The key and the value that a place in a map's values belongs to.
    fn element_at(&mut self, map: MapId, at: u64) -> Option<(u64, u64)> {
        let subject = self.maps.get(map)?;
        let (size, mut place) = (subject.value_size(), 0);
        loop {
            let (next, key, value) = subject.element(place, 0)?;
            if (value..value + size).contains(&at) {
                let key = match key {
                    ElementKey::At(addr) => addr,
                    ElementKey::Index(index) => {
                        self.mem.poke_le::<4>(self.scratch, index.into());
                        self.scratch
                    }
                };
                debug_assert!(self.mem.check(key, 1, Access::Read).is_ok());
                return Some((key, value));
            }
            place = next;
        }
    }
}
