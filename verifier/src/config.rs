//! How to verify, beside what and for which kernel.

/// Which paths are not walked because a remembered state covers them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prune {
    /// None but what ends loops: an oracle for small loop-free programs.
    Nothing,
    /// As for [`Prune::ByReads`], but what writes find in the stack counts too: slots that nobody reads
    /// later are kept, and a spilled number is not the same as bytes of unknown content. No kernel does
    /// so; it tells whether the kernels' rule is why a path was not walked.
    ByWrites,
    /// What kernels do: what may be read later counts. A write that is refused for what it overwrites
    /// may go unseen on the paths that are not walked.
    ByReads,
}

/// How to verify.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which paths count as walked.
    pub prune: Prune,
    /// Stop without a verdict after that many processed instructions, should that be less than the
    /// kernel's own limit.
    pub max_processed: Option<u64>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            prune: Prune::ByReads,
            max_processed: None,
        }
    }
}
