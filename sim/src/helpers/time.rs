//! Time and chance.

use super::Row;
use super::call::Call;
use crate::trap::Trap;

pub(super) const HELPERS: &[Row] = &[
    ("bpf_ktime_get_ns", ktime),
    ("bpf_ktime_get_boot_ns", boot),
    ("bpf_ktime_get_coarse_ns", coarse),
    ("bpf_ktime_get_tai_ns", tai),
    ("bpf_jiffies64", jiffies),
    ("bpf_get_prandom_u32", random),
];

fn ktime(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.clock.read())
}

fn boot(call: &mut Call<'_>) -> Result<u64, Trap> {
    let slept = call.sim.clock.slept_ns;
    Ok(call.sim.clock.read().wrapping_add(slept))
}

fn coarse(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.clock.coarse())
}

fn tai(call: &mut Call<'_>) -> Result<u64, Trap> {
    let start = call.sim.clock.tai_at_boot_ns;
    Ok(call.sim.clock.read().wrapping_add(start))
}

fn jiffies(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.clock.jiffies())
}

fn random(call: &mut Call<'_>) -> Result<u64, Trap> {
    Ok(call.sim.chance.next_u32().into())
}
