//! How programs are compiled: which mode, which optimisations, and on which facts.

use skep_isa::InsnIdx;

/// What compiled code may rely on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// On a verifier's proof: no check is emitted.
    Verified,
    /// On nothing: addresses are confined to guest memory, loops and calls use up a budget.
    Sandboxed,
}

macro_rules! optimisations {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// An optimisation that can be switched off by itself.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Opt { $($(#[$doc])* $name,)* }

        impl Opt {
            /// All of them.
            pub const ALL: &[Opt] = &[$(Opt::$name,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Opt::$name => $text,)* }
            }
        }
    };
}

optimisations! {
    /// Two opposite shifts and an `or` as one rotation.
    Rotate = "rotate";
    /// A move and the addition of a constant as one `lea`.
    Lea = "lea";
    /// Additions before a load or store as part of its address.
    Address = "address";
    /// Two opposite shifts by 32 as one extension.
    Extend = "extend";
    /// A jump over a jump as the opposite jump.
    InvertJump = "invert-jump";
    /// Shifts by a register without `cl`, where the processor has BMI2.
    Bmi2 = "bmi2";
    /// Divisions by constants as shifts and multiplications.
    DivideByConstant = "divide-by-constant";
    /// Unsigned 64-bit divisions of what fits into 32 bits as divisions of 32 bits.
    NarrowDivide = "narrow-divide";
    /// Divisions of 64 bits as divisions of 32, where the upper halves are zero on every way there.
    ShortDivide = "short-divide";
    /// No instruction to clear an upper half that is zero on every way there.
    ZeroExtend = "zero-extend";
    /// No code where a verifier says that control never comes to, and no jumps around it: what it knows of
    /// null pointers, constants and ranges decides branches.
    DeadCode = "dead-code";
    /// In confined code, one check for accesses near each other through registers that differ by a constant.
    MergeChecks = "merge-checks";
    /// In confined code, one check and one charge for all turns of a loop that counts.
    HoistChecks = "hoist-checks";
    /// Loads from frozen read-only maps as constants.
    FoldConstants = "fold-constants";
    /// Loops that begin at a multiple of 32, where the processor fetches the fewest blocks.
    AlignLoops = "align-loops";
    /// Straight loops in an order in which the processor waits least.
    Schedule = "schedule";
    /// Lookups in arrays without a call.
    InlineArray = "inline-array";
    /// Lookups in hashes without the helper's checks.
    DirectLookup = "direct-lookup";
    /// Tail calls to a constant slot of a known map without a search.
    DirectTailCall = "direct-tail-call";
    /// Programs that call nothing without a frame of their own.
    Light = "light";
}

/// A set of optimisations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opts(u32);

impl Opts {
    /// None.
    pub const NONE: Opts = Opts(0);
    /// All.
    pub const ALL: Opts = Opts((1 << Opt::ALL.len()) - 1);

    /// The set without one.
    #[must_use]
    pub const fn without(self, opt: Opt) -> Opts {
        Opts(self.0 & !(1 << opt as u32))
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, opt: Opt) -> Opts {
        Opts(self.0 | 1 << opt as u32)
    }

    /// Whether one is in it.
    pub const fn has(self, opt: Opt) -> bool {
        self.0 & 1 << opt as u32 != 0
    }
}

impl Default for Opts {
    /// All that pay on this machine.
    fn default() -> Opts {
        if quick_divider() {
            Opts::ALL.without(Opt::NarrowDivide)
        } else {
            Opts::ALL
        }
    }
}

/// Whether the processor divides 64 bits as fast as 32 where the numbers are small: as those do that came
/// with or after the vector AES instructions (Ice Lake, Zen 3).
fn quick_divider() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("vaes")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// What a verifier found out about the program that it accepted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Proof<'a> {
    /// Loads through pointers that may be wrong when they are used: they give 0 then.
    pub probes: &'a [InsnIdx],
    /// Slots that control never comes to.
    pub dead: &'a [InsnIdx],
}
