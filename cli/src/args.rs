//! The command line's grammar. Options that several commands take are structs of their own, so that
//! they mean the same everywhere.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use skep_spec::{AttachType, KernelVersion, ProgType};

use crate::asm::AsmArgs;
use crate::bench::BenchArgs;
use crate::conformance::ConformanceArgs;
use crate::crosscheck::CrosscheckArgs;
use crate::dis::DisArgs;
use crate::fuzz::FuzzArgs;
use crate::inspect::InspectArgs;
use crate::jit::JitArgs;
use crate::link::LinkArgs;
use crate::run::RunArgs;
use crate::test::TestArgs;
use crate::verify::VerifyArgs;

/// Verify, run, inspect, assemble and cross-check eBPF programs, without a kernel and with one.
#[derive(Parser, Debug)]
#[command(
    name = "skep",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Verify(VerifyArgs),
    Crosscheck(CrosscheckArgs),
    Run(RunArgs),
    Test(TestArgs),
    Inspect(InspectArgs),
    Dis(DisArgs),
    Asm(AsmArgs),
    Jit(JitArgs),
    Link(LinkArgs),
    Bench(BenchArgs),
    Conformance(ConformanceArgs),
    Fuzz(FuzzArgs),
}

/// What to read, and which programs of it are meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct InputArgs {
    /// BPF objects, assembly (.s), captured load requests (.jsonl, also .xz and .zst), folders of
    /// objects, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) inputs: Vec<PathBuf>,

    /// Only programs of this name; `*` and `?` are wildcards; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) prog: Vec<String>,

    /// Treat the programs as of this type, whatever their sections say
    #[arg(long = "type", value_name = "TYPE", value_parser = prog_type)]
    pub(crate) ty: Option<ProgType>,

    /// Give the programs this expected attach type
    #[arg(long, value_name = "TYPE", value_parser = attach_type)]
    pub(crate) attach_type: Option<AttachType>,

    /// Kernel BTF to resolve CO-RE relocations, attach targets and kernel functions against
    /// (.zst and .xz are read as they are); `running` means the running kernel's
    #[arg(long, value_name = "FILE")]
    pub(crate) btf: Option<PathBuf>,

    /// Folder or tar archive with the programs' BTF that captured requests name
    #[arg(long, value_name = "DIR")]
    pub(crate) btf_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) open: OpenArgs,
}

/// What objects are opened with, beside the kernel's types.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OpenArgs {
    /// Set a global variable of objects before they are loaded, such as `limit=4`, `table[2]=7`,
    /// `config.mode=FAST`; repeatable
    #[arg(short = 'G', long = "global", value_name = "NAME=VALUE")]
    pub(crate) settings: Vec<String>,

    /// Give a section of global data another size; an array at its end follows; repeatable
    #[arg(long, value_name = "SECTION=BYTES")]
    pub(crate) resize: Vec<String>,

    /// Kernel configuration for `__kconfig` variables: a .config file, compressed by gzip or not;
    /// `running` means /proc/config.gz or /boot/config-RELEASE
    #[arg(long, value_name = "FILE")]
    pub(crate) kconfig: Option<PathBuf>,

    /// Addresses of kernel symbols for `__ksym` variables without type: a copy of /proc/kallsyms
    #[arg(long, value_name = "FILE")]
    pub(crate) kallsyms: Option<PathBuf>,
}

/// How results are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON document with a versioned schema
    Json,
    /// Comma-separated values with veristat's column names
    Csv,
}

/// How results are printed, for commands without a table.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum TextFormat {
    /// For people
    #[default]
    Human,
    /// One JSON document with a versioned schema
    Json,
}

/// Reads a program type by bpftool's name for it.
pub(crate) fn prog_type(text: &str) -> Result<ProgType, String> {
    let known = || ProgType::all().filter(|t| *t != ProgType::Unspec);
    known().find(|t| t.name() == text).ok_or_else(|| {
        let names: Vec<_> = known().map(ProgType::name).collect();
        format!("program types are {}", names.join(", "))
    })
}

/// Reads an attach type by bpftool's name for it.
pub(crate) fn attach_type(text: &str) -> Result<AttachType, String> {
    AttachType::from_name(text).ok_or_else(|| {
        let names: Vec<_> = AttachType::all().map(AttachType::name).collect();
        format!("attach types are {}", names.join(", "))
    })
}

/// Reads a kernel version.
pub(crate) fn kernel_version(text: &str) -> Result<KernelVersion, String> {
    text.parse()
        .map_err(|e: skep_spec::VersionError| e.to_string())
}
