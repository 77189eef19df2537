//! What surrounds a program: time, chance and the process it runs in. All of it is decided beforehand.

/// The clock. Nothing but reading it and [`Clock::advance`] makes time pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// Nanoseconds since boot, without sleep (`CLOCK_MONOTONIC`).
    pub now_ns: u64,
    /// Nanoseconds that pass with every reading, so that time is strictly monotonic.
    pub step_ns: u64,
    /// Nanoseconds slept: how far `CLOCK_BOOTTIME` is ahead.
    pub slept_ns: u64,
    /// `CLOCK_TAI` when `now_ns` was 0.
    pub tai_at_boot_ns: u64,
}

/// Nanoseconds of a tick: 250 per second.
const TICK_NS: u64 = 4_000_000;
/// The kernel's tick counter begins five minutes before its 32-bit overflow.
const FIRST_JIFFY: u64 = (-300i32 * 250) as u32 as u64;

impl Default for Clock {
    fn default() -> Clock {
        Clock {
            now_ns: 1_000_000_000_000,
            step_ns: 1000,
            slept_ns: 0,
            tai_at_boot_ns: 1_750_000_000_000_000_000,
        }
    }
}

impl Clock {
    /// Lets time pass.
    pub fn advance(&mut self, ns: u64) {
        self.now_ns = self.now_ns.wrapping_add(ns);
    }

    pub(crate) fn read(&mut self) -> u64 {
        let now = self.now_ns;
        self.advance(self.step_ns);
        now
    }

    /// The time of the last tick.
    pub(crate) fn coarse(&self) -> u64 {
        self.now_ns - self.now_ns % TICK_NS
    }

    /// Ticks since boot, with the kernel's starting value.
    pub(crate) fn jiffies(&self) -> u64 {
        FIRST_JIFFY.wrapping_add(self.now_ns / TICK_NS)
    }
}

/// Pseudorandom numbers (splitmix64): the same for the same seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins a sequence.
    pub const fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

/// The process in whose context programs run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Thread id: the low half of `bpf_get_current_pid_tgid`.
    pub pid: u32,
    /// Process id: the high half.
    pub tgid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Name; 15 bytes of it are used.
    pub comm: String,
    /// Id of its control group (version 2).
    pub cgroup_id: u64,
    /// Class of its control group (version 1).
    pub classid: u32,
    /// Addresses on its kernel stack, innermost first.
    pub kernel_stack: Vec<u64>,
    /// Addresses on its user stack, innermost first.
    pub user_stack: Vec<u64>,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            pid: 1000,
            tgid: 1000,
            uid: 0,
            gid: 0,
            comm: "skep".to_owned(),
            cgroup_id: 1,
            classid: 0,
            kernel_stack: vec![0xffff_ffff_8100_1000, 0xffff_ffff_8100_2000],
            user_stack: vec![0x5555_5555_1000, 0x5555_5555_2000],
        }
    }
}

/// A sysctl that is read or written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sysctl {
    /// Its path below `/proc/sys`: `net/ipv4/ip_forward`.
    pub name: String,
    /// Its value.
    pub current: String,
    /// The value that it is about to get, if it is written; programs may change it.
    pub new: Option<String>,
}

impl Default for Sysctl {
    fn default() -> Sysctl {
        Sysctl {
            name: "net/ipv4/ip_forward".to_owned(),
            current: "0".to_owned(),
            new: None,
        }
    }
}
