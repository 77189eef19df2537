//! What one kernel lacks of what its version gives.

/// What the builders or the owner of a kernel took away from what its version gives: lockdown, options that
/// are not set, patches.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restrictions {
    /// Helpers that no program may use.
    pub helpers: Vec<u32>,
    /// Kprobe programs may not write their registers.
    pub read_only_registers: bool,
}
