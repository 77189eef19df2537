//! Loading one program: from a request to a verdict, a log and, if accepted, a live program.
//!
//! The verdict is asked for with a log whose buffer grows until the log fits, because a kernel whose
//! log does not fit answers `ENOSPC` whatever the verdict was.

use std::ffi::CString;
use std::sync::Arc;

use skep_isa::{RawInsn, pseudo};
use skep_spec::{ProgType, ProgramSpec};

use crate::answer::classify;
use crate::log::{self, LEVEL_ALL, LEVEL_PATH, LEVEL_STATS, Stats};
use crate::sys::attr::{ProgLoad, name_text, object_name};
use crate::sys::{self, Fd, ProgParts};
use crate::{Answer, Errno, Kernel, LiveMap, NotJudged, Ran};

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Bits of [`log`](crate::log): path, all, statistics.
    pub log_level: u32,
    /// Bytes of log at most; at least 1024 are taken.
    pub log_cap: usize,
    /// Whether source lines are given to the kernel, which prints them in the log.
    pub line_info: bool,
}

impl Default for LoadOptions {
    /// Message, the path that fails, and statistics; up to 256 MiB of log.
    fn default() -> LoadOptions {
        LoadOptions {
            log_level: LEVEL_PATH | LEVEL_STATS,
            log_cap: 256 << 20,
            line_info: true,
        }
    }
}

impl LoadOptions {
    /// With the message and the statistics, without the path: the cheapest whole answer.
    pub fn quiet() -> LoadOptions {
        LoadOptions {
            log_level: LEVEL_STATS,
            ..LoadOptions::default()
        }
    }

    /// With every path and decision in the log.
    pub fn verbose() -> LoadOptions {
        LoadOptions {
            log_level: LEVEL_PATH | LEVEL_ALL | LEVEL_STATS,
            ..LoadOptions::default()
        }
    }
}

/// What came of a load.
#[derive(Debug)]
pub struct LoadOutcome {
    /// Verdict, or why there is none.
    pub answer: Answer,
    /// The kernel's answer; `None` if it accepted or was not asked.
    pub errno: Option<Errno>,
    /// The live program, if accepted.
    pub program: Option<LiveProgram>,
    /// The whole log.
    pub log: String,
    /// The last line of the log that says something about the program.
    pub message: String,
    /// The verifier's figures.
    pub stats: Option<Stats>,
    /// What runs gave, where a guest was asked for them.
    pub ran: Ran,
}

impl LoadOutcome {
    /// No verdict, without asking the kernel to load.
    pub(crate) fn not_judged(reason: NotJudged) -> LoadOutcome {
        let errno = match &reason {
            NotJudged::Map(error) => Some(error.errno),
            NotJudged::Btf { errno, .. } => Some(*errno),
            NotJudged::Policy
            | NotJudged::Resources(_)
            | NotJudged::Interrupted
            | NotJudged::LogTooLong
            | NotJudged::Environment(_)
            | NotJudged::BeforeVerifier(_)
            | NotJudged::NeedsTarget
            | NotJudged::Unresolved(_)
            | NotJudged::BadRequest(_)
            | NotJudged::Guest(_) => None,
        };
        LoadOutcome {
            answer: Answer::NotJudged(reason),
            errno,
            program: None,
            log: String::new(),
            message: String::new(),
            stats: None,
            ran: Ran::default(),
        }
    }
}

/// A program in the kernel, unloaded when dropped. It is attached to nothing.
#[derive(Debug)]
pub struct LiveProgram {
    pub(crate) fd: Fd,
    name: String,
    ty: ProgType,
    maps: Vec<Arc<LiveMap>>,
}

/// What the kernel says about a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgInfo {
    /// Its id, unique while it lives.
    pub id: u32,
    /// Type, as a number.
    pub ty: u32,
    /// Name, cut to 15 bytes.
    pub name: String,
    /// Hash over its instructions.
    pub tag: [u8; 8],
    /// Instructions after the verifier's rewriting; empty where the machine hides them.
    pub xlated: Vec<RawInsn>,
    /// Bytes of machine code; 0 without a JIT.
    pub jited_len: u32,
    /// Instructions that the verifier processed (5.16 and later).
    pub verified_insns: u32,
    /// Ids of its maps.
    pub map_ids: Vec<u32>,
    /// Its BTF's id, or 0.
    pub btf_id: u32,
}

/// Instructions that an info query returns at most, in bytes: what a program may grow to.
const MAX_XLATED: u32 = 64 << 20;
/// Times that an interrupted load is repeated, as libbpf does.
const ATTEMPTS: usize = 5;

impl LiveProgram {
    /// Name: the C function's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Type.
    pub fn ty(&self) -> ProgType {
        self.ty
    }

    /// Its maps, in the order of its spec.
    pub fn maps(&self) -> &[Arc<LiveMap>] {
        &self.maps
    }

    /// The map of that name.
    pub fn map(&self, name: &str) -> Option<&Arc<LiveMap>> {
        self.maps.iter().find(|m| m.spec().name == name)
    }

    /// What the kernel says about it.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn info(&self) -> Result<ProgInfo, Errno> {
        let sizes = sys::prog_info(&self.fd, &mut [], &mut [])?;
        let mut xlated = vec![0; sizes.xlated_prog_len.min(MAX_XLATED) as usize];
        let mut map_ids = vec![0; sizes.nr_map_ids.min(4096) as usize];
        let info = sys::prog_info(&self.fd, &mut xlated, &mut map_ids)?;
        // Machines that hide instructions leave the address null.
        if info.xlated_prog_insns == 0 {
            xlated.clear();
        }
        Ok(ProgInfo {
            id: info.id,
            ty: info.ty,
            name: name_text(&info.name),
            tag: info.tag,
            xlated: RawInsn::slots_from_le_bytes(&xlated).unwrap_or_default(),
            jited_len: info.jited_prog_len,
            verified_insns: info.verified_insns,
            map_ids,
            btf_id: info.btf_id,
        })
    }
}

/// Asks the running kernel about one request. [`Kernel::load`] is cheaper for many.
pub fn load(spec: &ProgramSpec, options: &LoadOptions) -> LoadOutcome {
    Kernel::open_unchecked().load(spec, options)
}

impl Kernel {
    /// Makes the maps of a request anew, loads it, and says what the kernel says.
    pub fn load(&self, spec: &ProgramSpec, options: &LoadOptions) -> LoadOutcome {
        if let Some(reason) = incomplete(spec, None) {
            return LoadOutcome::not_judged(reason);
        }
        let mut maps = Vec::with_capacity(spec.maps.len());
        for map in &spec.maps {
            match self.create_map(map) {
                Ok(map) => maps.push(Arc::new(map)),
                Err(error) => return LoadOutcome::not_judged(NotJudged::Map(error)),
            }
        }
        self.load_with(spec, maps, None, options)
    }

    /// Loads a request with these maps in the place of its own, index by index, and with the live
    /// program that it attaches to, if it attaches to one.
    pub fn load_with(
        &self,
        spec: &ProgramSpec,
        maps: Vec<Arc<LiveMap>>,
        target: Option<&LiveProgram>,
        options: &LoadOptions,
    ) -> LoadOutcome {
        if let Some(reason) = incomplete(spec, target) {
            return LoadOutcome::not_judged(reason);
        }
        let Ok(license) = CString::new(spec.license.as_str()) else {
            return LoadOutcome::not_judged(NotJudged::BadRequest(
                "the licence contains a NUL byte",
            ));
        };
        let btf = match spec.btf.as_ref().map(|btf| self.btf_fd(btf)).transpose() {
            Ok(btf) => btf,
            Err(e) => {
                let (errno, message) = (e.errno, e.message);
                return LoadOutcome::not_judged(NotJudged::Btf { errno, message });
            }
        };
        let Insns {
            bytes: insns,
            fd_array,
        } = resolve(&spec.insns, &maps, self.no_map());
        let parts = ProgParts {
            insns: &insns,
            license: &license,
            func_info: &func_info(spec),
            line_info: &if options.line_info {
                line_info(spec)
            } else {
                Vec::new()
            },
            fd_array: &fd_array,
        };
        let attr = ProgLoad {
            prog_type: spec.ty.number(),
            prog_flags: spec.flags.bits(),
            prog_name: object_name(&spec.name),
            expected_attach_type: spec.attach.number(),
            prog_btf_fd: btf.as_ref().map_or(0, |fd| fd.number()),
            attach_btf_id: spec.attach_btf_id,
            attach_prog_fd: target.map_or(0, |t| t.fd.number()),
            ..ProgLoad::default()
        };
        let (answer, log) = load_growing(&attr, &parts, options);
        let message = log::last_message(&log).to_owned();
        let stats = log::stats(&log);
        let (answer, errno, program) = match answer {
            Ok(fd) => {
                let program = LiveProgram {
                    fd,
                    name: spec.name.clone(),
                    ty: spec.ty,
                    maps,
                };
                (Answer::Accepted, None, Some(program))
            }
            Err(errno) => (classify(errno, &log, &message), Some(errno), None),
        };
        LoadOutcome {
            answer,
            errno,
            program,
            log,
            message,
            stats,
            ran: Ran::default(),
        }
    }
}

/// Why the kernel need not be asked, if so.
pub(crate) fn incomplete(spec: &ProgramSpec, target: Option<&LiveProgram>) -> Option<NotJudged> {
    if let Some(missing) = spec.unresolved.first() {
        return Some(NotJudged::Unresolved(missing.what.clone()));
    }
    (spec.target.is_some() && target.is_none()).then_some(NotJudged::NeedsTarget)
}

/// Loads with a log that grows until it fits, and again when a signal interrupted the verifier.
fn load_growing(
    attr: &ProgLoad,
    parts: &ProgParts<'_>,
    options: &LoadOptions,
) -> (Result<Fd, Errno>, String) {
    let level = options.log_level;
    let cap = options.log_cap.clamp(1024, (u32::MAX >> 2) as usize);
    let first: usize = if level & LEVEL_ALL != 0 {
        1 << 20
    } else if level & LEVEL_PATH != 0 {
        64 << 10
    } else {
        8 << 10
    };
    let mut size = if level == 0 { 0 } else { first.min(cap) };
    let mut interrupted = 0;
    loop {
        let mut buffer = vec![0; size];
        let attr = ProgLoad {
            log_level: level,
            ..attr.clone()
        };
        let (answer, needs) = sys::prog_load(attr.clone(), parts, &mut buffer);
        match answer {
            Err(Errno::AGAIN) if interrupted + 1 < ATTEMPTS => interrupted += 1,
            Err(Errno::NOSPC) if size != 0 && size < cap => {
                size = size.saturating_mul(2).max(needs as usize).min(cap);
            }
            // The buffer holds the log's tail (before 6.4 its head); the verdict is asked for apart.
            Err(Errno::NOSPC) if level & (LEVEL_PATH | LEVEL_ALL) != 0 => {
                let attr = ProgLoad {
                    log_level: LEVEL_STATS,
                    ..attr
                };
                let (answer, _) = sys::prog_load(attr, parts, &mut vec![0; 64 << 10]);
                return (answer, log::text(buffer));
            }
            Ok(_) | Err(_) => return (answer, log::text(buffer)),
        }
    }
}

/// The instructions as the kernel takes them.
struct Insns {
    bytes: Vec<u8>,
    fd_array: Vec<i32>,
}

/// Puts descriptors where the request holds indices. An index without a map becomes `no_map`, lest it
/// name a map of this process by accident.
fn resolve(slots: &[RawInsn], maps: &[Arc<LiveMap>], no_map: i32) -> Insns {
    let fd_of = |index: i32| {
        let map = usize::try_from(index).ok().and_then(|i| maps.get(i));
        map.map_or(no_map, |map| map.fd().number().cast_signed())
    };
    let mut bytes = Vec::with_capacity(slots.len() * RawInsn::BYTES);
    let mut by_index = false;
    let mut second = false;
    for slot in slots {
        let mut slot = *slot;
        let first = !second && slot.is_ld_imm64();
        if first && matches!(slot.src(), pseudo::MAP_FD | pseudo::MAP_VALUE) {
            slot.imm = fd_of(slot.imm);
        } else if first && matches!(slot.src(), pseudo::MAP_IDX | pseudo::MAP_IDX_VALUE) {
            by_index = true;
            slot.imm = usize::try_from(slot.imm)
                .ok()
                .filter(|i| *i < maps.len())
                .map_or(FD_ARRAY_LAST, |_| slot.imm);
        }
        second = first;
        bytes.extend_from_slice(&ordered(slot));
    }
    let mut fd_array = Vec::new();
    if by_index {
        // The kernel reads the array wherever an index or a kfunc's offset points: none may lie behind it.
        fd_array = maps.iter().map(|m| m.fd().number().cast_signed()).collect();
        fd_array.resize(FD_ARRAY_LAST as usize + 1, no_map);
    }
    Insns { bytes, fd_array }
}

/// The last slot of an array of descriptors: the largest offset of a kfunc call.
const FD_ARRAY_LAST: i32 = i16::MAX as i32;

/// A slot in the byte order of this machine, which is that of its kernel.
fn ordered(slot: RawInsn) -> [u8; 8] {
    let mut bytes = slot.to_le_bytes();
    if cfg!(target_endian = "big") {
        bytes[1] = bytes[1].rotate_left(4);
        bytes[2..4].reverse();
        bytes[4..8].reverse();
    }
    bytes
}

fn func_info(spec: &ProgramSpec) -> Vec<u8> {
    let words = spec.func_info.iter().flat_map(|f| [f.insn_off, f.type_id]);
    words.flat_map(u32::to_ne_bytes).collect()
}

fn line_info(spec: &ProgramSpec) -> Vec<u8> {
    let words = spec
        .line_info
        .iter()
        .flat_map(|l| [l.insn_off, l.file_name_off, l.line_off, l.line_col]);
    words.flat_map(u32::to_ne_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_without_a_map_names_no_descriptor() {
        let load = |src, imm| RawInsn::new(0x18, 1, src, 0, imm);
        let zero = RawInsn::default();
        let slots = [
            load(pseudo::MAP_FD, 5),
            zero,
            load(0, 5),
            zero,
            load(pseudo::MAP_VALUE, -1),
            zero,
        ];
        let insns = resolve(&slots, &[], 99);
        let imms: Vec<_> = RawInsn::slots_from_le_bytes(&insns.bytes)
            .unwrap()
            .iter()
            .step_by(2)
            .map(|s| s.imm)
            .collect();
        assert_eq!(imms, [99, 5, 99]);
        assert!(insns.fd_array.is_empty());
        let insns = resolve(&[load(pseudo::MAP_IDX, 5), zero], &[], 99);
        assert_eq!(insns.fd_array.len(), 32768);
        assert_eq!(
            RawInsn::slots_from_le_bytes(&insns.bytes).unwrap()[0].imm,
            FD_ARRAY_LAST
        );
    }

    #[test]
    fn the_second_slot_of_a_load_is_data() {
        let first = RawInsn::new(0x18, 1, 0, 0, 1);
        let second = RawInsn::new(0x18, 1, pseudo::MAP_FD, 0, 0);
        let insns = resolve(&[first, second], &[], 99);
        assert_eq!(
            RawInsn::slots_from_le_bytes(&insns.bytes).unwrap(),
            [first, second]
        );
    }
}
