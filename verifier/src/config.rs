//! How to verify, beside what and for which kernel.

/// How to verify.
#[derive(Clone, Debug)]
pub struct Config {
    /// Forget paths that a remembered state covers. Off, everything is explored: an oracle for small
    /// loop-free programs, not what kernels do.
    pub prune: bool,
    /// Stop without a verdict after that many processed instructions, should that be less than the
    /// kernel's own limit.
    pub max_processed: Option<u64>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            prune: true,
            max_processed: None,
        }
    }
}
