//! The options of `skep run`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{OpenArgs, TextFormat};

use super::engine::EngineArg;

/// Run a program at its simulated hook and show what it did
///
/// The program is verified first. The interpreter checks every access; compiled code (--engine jit) relies
/// on the verdict, or is confined to guest memory where the program is not accepted. A capture gives each of its packets
/// to the program, and a table of verdicts. Exit code: 0 it ran, 1 it was
/// rejected or trapped, 2 usage or bad input, 4 it needs something that is not simulated.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The object or assembly text, with `/PROGRAM` behind it if it holds several: FILE.o/PROGRAM
    #[arg(value_name = "FILE[/PROGRAM]", required_unless_present = "topology")]
    pub(super) input: Option<PathBuf>,

    /// Instead of one program: a machine with interfaces, links and programs, and packets through it
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["input", "packet", "pcap", "ctx", "map", "on_kernel", "trace", "engine"])]
    pub(super) topology: Option<PathBuf>,

    /// The program, by name
    #[arg(long, value_name = "NAME")]
    pub(super) prog: Option<String>,

    /// The packet: a file with its bytes, hex digits beginning with the Ethernet header, or layers, such as
    /// 'ipv4 = { dst = "192.0.2.9" }, udp = { dst = 53 }'
    #[arg(long, value_name = "HEX|FILE|LAYERS")]
    pub(super) packet: Option<String>,

    /// Packets from a capture (pcap or pcapng), each given to the program in turn; repeatable
    #[arg(long, value_name = "FILE", conflicts_with = "packet")]
    pub(super) pcap: Vec<PathBuf>,

    /// Write the packets that the program let go on to a capture, as it left them
    #[arg(long, value_name = "FILE")]
    pub(super) write: Option<PathBuf>,

    /// Set a field of the context, such as `mark=7`, `cb[0]=1`, `args[1]=0x10`; or several, as a JSON
    /// object or a file of JSON or TOML; repeatable
    #[arg(long = "ctx", value_name = "NAME=VALUE|FILE")]
    pub(super) ctx: Vec<String>,

    /// Set an argument of the function or tracepoint that the program attaches to; structures are given as
    /// JSON, such as 'task={"pid": 42, "comm": "bash"}'; repeatable
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pub(super) arg: Vec<String>,

    /// Put a value into a map before the run, such as `limits[0]=5`; repeatable
    #[arg(long = "map", value_name = "NAME[KEY]=VALUE")]
    pub(super) map: Vec<String>,

    /// Name of the current process
    #[arg(long, value_name = "NAME", default_value = "skep")]
    pub(super) comm: String,

    /// Process and thread id of the current process
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) pid: u32,

    /// User id of the current process
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) uid: u32,

    /// Begin of the pseudorandom numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// The CPU that the program runs on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) cpu: u32,

    /// Times to run it with the same input; maps keep their contents in between
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) repeat: u32,

    /// Instructions that one run may execute [default: 1073741824]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_insns: Option<u64>,

    /// What executes it
    #[arg(long, value_enum, default_value_t)]
    pub(super) engine: EngineArg,

    /// Name compiled programs in /tmp/perf-PID.map, where perf looks for them
    #[arg(long)]
    pub(super) perf_map: bool,

    /// Tell gdb of compiled programs, which then have names in it
    #[arg(long)]
    pub(super) gdb: bool,

    /// Show every instruction that is executed, and the registers that it changed; in the interpreter
    #[arg(long)]
    pub(super) trace: bool,

    /// Run it in the running kernel too, by BPF_PROG_TEST_RUN, and compare; nothing is attached
    #[arg(long)]
    pub(super) on_kernel: bool,

    /// Run it though it may be rejected
    #[arg(long)]
    pub(super) no_verify: bool,

    /// Kernel BTF to resolve what the object needs; `running` means the running kernel's
    #[arg(long, value_name = "FILE")]
    pub(super) btf: Option<PathBuf>,

    #[command(flatten)]
    pub(super) open: OpenArgs,

    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: TextFormat,
}
