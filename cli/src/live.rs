//! Programs in the running kernel: loaded, test-run, unloaded; never attached.
//!
//! Only programs of plain types are run, and none that locks, kills, sends or calls kernel functions: a
//! test run must leave nothing behind, and kernels have bugs where the rest begins.

use std::sync::Arc;

use skep_isa::{CallTarget, Imm64, Insn, decode_all};
use skep_kernel::{
    Answer, Kernel, LiveMap, LoadOptions, LoadedObject, RunOutcome, RunRequest, tainted,
};
use skep_sim::RunInput;
use skep_spec::tables::helpers;
use skep_spec::{MapSpec, MapType, ObjectSpec, ProgType, ProgramSpec};

use crate::failure::Failure;

/// Types whose test runs touch nothing but their input.
const PLAIN: [ProgType; 6] = [
    ProgType::SocketFilter,
    ProgType::SchedCls,
    ProgType::SchedAct,
    ProgType::Xdp,
    ProgType::CgroupSkb,
    ProgType::RawTracepoint,
];

/// Parts of names of helpers that reach beyond a test run: locks and timers, signals, other people's
/// memory, real devices and sockets, the kernel's own objects.
const FAR: [&str; 16] = [
    "spin_",
    "timer_",
    "kptr_",
    "send_signal",
    "override_return",
    "write_user",
    "sys_bpf",
    "sys_close",
    "clone_redirect",
    "tcp_send",
    "_btf",
    "skc_to",
    "storage",
    "user_ringbuf",
    "sk_assign",
    "copy_from_user",
];

/// Why a program of an object, or one that it can reach by tail calls, is not run in a kernel.
pub(crate) fn objection_to(object: &ObjectSpec, program: &ProgramSpec) -> Option<String> {
    let arrays = object.maps.iter().filter(|m| m.ty == MapType::ProgArray);
    let slots: Vec<_> = arrays
        .flat_map(|m| &m.slots)
        .map(|s| s.1.as_str())
        .collect();
    let runs = |p: &&ProgramSpec| p.name == program.name || slots.contains(&p.name.as_str());
    object.programs.iter().filter(runs).find_map(|program| {
        let why = objection(program)?;
        Some(format!("{} is not run in a kernel: {why}", program.name))
    })
}

fn objection(program: &ProgramSpec) -> Option<String> {
    if !PLAIN.contains(&program.ty) {
        return Some(format!("it is of type {}", program.ty));
    }
    let Ok(insns) = decode_all(&program.insns) else {
        return Some("it is no program".to_owned());
    };
    for insn in insns {
        match insn {
            Insn::Call(CallTarget::Kfunc { .. }) => {
                return Some("it calls kernel functions".to_owned());
            }
            Insn::LoadImm64 {
                imm: Imm64::BtfVar { .. },
                ..
            } => {
                return Some("it reads variables of the kernel".to_owned());
            }
            Insn::Call(CallTarget::Helper(id)) => {
                let name = u32::try_from(id)
                    .ok()
                    .and_then(helpers::first)
                    .map_or("", |h| h.name);
                if FAR.iter().any(|part| name.contains(part)) {
                    return Some(format!("it calls bpf_{name}"));
                }
            }
            Insn::Alu { .. }
            | Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::AddrSpaceCast { .. }
            | Insn::LoadImm64 { .. }
            | Insn::Imm64Hi
            | Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::LoadPacket { .. }
            | Insn::Jump { .. }
            | Insn::Goto { .. }
            | Insn::MayGoto { .. }
            | Insn::Call(CallTarget::Subprog(_))
            | Insn::CallReg(_)
            | Insn::Exit => {}
        }
    }
    None
}

/// A program that was loaded to be test-run.
pub(crate) struct Live {
    release: String,
    cpus: u32,
    loaded: LoadedObject,
    name: String,
    taint: Option<u64>,
}

impl Live {
    /// Loads a program of an object, and those that it can reach by tail calls.
    ///
    /// # Errors
    /// No kernel that answers, a program that may not be run there, or that the kernel does not load.
    pub(crate) fn load(object: &ObjectSpec, program: &ProgramSpec) -> Result<Live, Failure> {
        if let Some(what) = objection_to(object, program) {
            return Err(
                Failure::new(what).help("only plain programs are, which leave nothing behind")
            );
        }
        let kernel = Kernel::open().map_err(|why| {
            Failure::new(format!("the running kernel cannot be asked: {why}"))
                .help("run it as root, or leave --on-kernel out")
        })?;
        let taint = tainted();
        let only = |p: &ProgramSpec| p.name == program.name;
        let loaded = LoadedObject::load(&kernel, object, only, &LoadOptions::quiet());
        let accepted = loaded
            .outcome(&program.name)
            .is_some_and(|o| o.answer == Answer::Accepted && o.program.is_some());
        if !accepted {
            let what = format!("the running kernel does not load {}", program.name);
            return Err(Failure::new(what).help("`skep crosscheck` compares verdicts"));
        }
        Ok(Live {
            release: kernel.release().to_owned(),
            cpus: kernel.cpus() as u32,
            loaded,
            name: program.name.clone(),
            taint,
        })
    }

    /// The kernel's release.
    pub(crate) fn release(&self) -> &str {
        &self.release
    }

    /// Its CPUs.
    pub(crate) fn cpus(&self) -> u32 {
        self.cpus
    }

    /// One of the object's maps.
    pub(crate) fn map(&self, name: &str) -> Option<&Arc<LiveMap>> {
        self.loaded.map(name)
    }

    /// Whether the kernel made that map, as it must for programs that use it.
    pub(crate) fn has(&self, map: &MapSpec) -> bool {
        self.loaded.map(&map.name).is_some()
    }

    /// Runs the program once: what came out, or the kernel's word for why it did not run.
    ///
    /// # Errors
    /// The kernel became tainted: no more is run.
    pub(crate) fn run(&self, input: &RunInput) -> Result<Result<RunOutcome, String>, Failure> {
        let request = RunRequest {
            data: input.data.clone(),
            data_out: if input.data.is_empty() { 0 } else { 1 << 16 },
            ctx: input.ctx.clone().unwrap_or_default(),
            ..RunRequest::default()
        };
        let outcome = match self.loaded.program(&self.name) {
            Some(program) => program.test_run(&request).map_err(|e| e.to_string()),
            None => Err("it is not loaded".to_owned()),
        };
        if tainted() != self.taint {
            return Err(
                Failure::new("the running kernel became tainted; nothing more was run")
                    .help("look at the kernel's log: it hit a bug of its own"),
            );
        }
        Ok(outcome)
    }
}
