//! What oracles work with: facts, the running kernel, and where subjects come from.

use std::sync::Arc;

use skep_isa::{opcode, pseudo};
use skep_spec::{Facts, Lane, MapSpec, Profile, ProgType, ProgramSpec};

use super::readers::samples;
use super::test_run::is_comparable;
use super::{Guests, LiveKernel, Oracle};
use crate::damage::{damage_bytes, damage_request};
use crate::{Generator, Rng, TypedGenerator, mutant};

/// Everything that oracles need.
#[derive(Debug)]
pub struct Bench {
    facts: Arc<Facts>,
    kernel: Option<LiveKernel>,
    generator: Generator,
    programs: Vec<ProgramSpec>,
    files: Vec<Vec<u8>>,
    guests: Option<WithGuests>,
}

/// Guests, and the programs that are for them.
#[derive(Debug)]
struct WithGuests {
    guests: Guests,
    /// Of 100 subjects that many are typed programs.
    typed: u32,
    generator: TypedGenerator,
    programs: Vec<ProgramSpec>,
}

/// What an oracle is asked about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A load request.
    Program(Box<ProgramSpec>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// The seed says it all.
    Seed,
}

/// A kernel, whichever it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Examiner<'a> {
    Running(&'a LiveKernel),
    Guest(&'a Guests),
}

impl<'a> Examiner<'a> {
    /// Facts that describe it.
    pub(crate) fn facts(self) -> &'a Facts {
        match self {
            Examiner::Running(kernel) => kernel.facts(),
            Examiner::Guest(guests) => guests.facts(),
        }
    }

    /// The last line of what it says.
    pub(crate) fn message(self, spec: &ProgramSpec) -> String {
        match self {
            Examiner::Running(kernel) => kernel.ask(spec).message,
            Examiner::Guest(guests) => {
                let side = guests.ask(&[spec]).pop();
                side.map(|side| side.message).unwrap_or_default()
            }
        }
    }

    /// Its whole log.
    pub(crate) fn log(self, spec: &ProgramSpec) -> String {
        match self {
            Examiner::Running(kernel) => kernel.log(spec),
            Examiner::Guest(guests) => guests.log(spec),
        }
    }
}

impl Subject {
    /// The load request, if it is one.
    pub fn program(&self) -> Option<&ProgramSpec> {
        match self {
            Subject::Program(spec) => Some(spec),
            Subject::Bytes(_) | Subject::Seed => None,
        }
    }
}

impl Bench {
    /// A bench for kernels with these facts, without a kernel to ask.
    pub fn new(facts: Arc<Facts>) -> Bench {
        Bench {
            generator: Generator::new(Arc::clone(&facts)),
            facts,
            kernel: None,
            programs: Vec::new(),
            files: Vec::new(),
            guests: None,
        }
    }

    /// A bench with the running kernel.
    pub fn with_kernel(kernel: LiveKernel) -> Bench {
        let bench = Bench::new(Arc::clone(kernel.facts()));
        Bench {
            kernel: Some(kernel),
            ..bench
        }
    }

    /// Adds guests, which `typed` of 100 subjects of [`Oracle::KernelAgrees`] are written for: programs that
    /// use the kernel's types. Without a running kernel the others go to a guest, too.
    ///
    /// # Errors
    /// The guests' kernel has no types.
    pub fn add_guests(&mut self, guests: Guests, typed: u32) -> Result<(), &'static str> {
        let generator = TypedGenerator::new(guests.facts()).ok_or("the kernel has no types")?;
        self.guests = Some(WithGuests {
            guests,
            typed,
            generator,
            programs: Vec::new(),
        });
        Ok(())
    }

    /// Adds a program to be damaged.
    pub fn add_program(&mut self, spec: ProgramSpec) {
        self.programs.push(spec);
    }

    /// Adds a program to be damaged and put to a guest; gives it back if there are none.
    ///
    /// # Errors
    /// The program, if there are no guests.
    pub fn add_typed_program(&mut self, spec: ProgramSpec) -> Result<(), Box<ProgramSpec>> {
        match &mut self.guests {
            Some(with) => {
                with.programs.push(spec);
                Ok(())
            }
            None => Err(Box::new(spec)),
        }
    }

    /// Adds a file to be damaged.
    pub fn add_file(&mut self, bytes: Vec<u8>) {
        self.files.push(bytes);
    }

    /// The facts.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The running kernel, if it can be asked.
    pub fn kernel(&self) -> Option<&LiveKernel> {
        self.kernel.as_ref()
    }

    /// The guests, if there are any.
    pub fn guests(&self) -> Option<&Guests> {
        self.guests.as_ref().map(|with| &with.guests)
    }

    /// The guests whose kernel a seed's program is written for, if it is.
    fn typed(&self, seed: u64) -> Option<&WithGuests> {
        let with = self.guests.as_ref()?;
        let typed = Rng::new(seed ^ 0x6775_6573_7400_0000).chance(with.typed);
        typed.then_some(with)
    }

    /// Who judges a seed's program, or a smaller form of it; or why nobody may.
    pub(crate) fn examiner(
        &self,
        spec: &ProgramSpec,
        seed: u64,
    ) -> Result<Examiner<'_>, &'static str> {
        match (&self.kernel, self.typed(seed), self.guests()) {
            (_, Some(with), _) => Ok(Examiner::Guest(&with.guests)),
            (Some(kernel), None, _) if has_plain_code(spec) => Ok(Examiner::Running(kernel)),
            (_, None, Some(guests)) => Ok(Examiner::Guest(guests)),
            (Some(_), None, None) => Err("only a kernel of its own may see it, and there is none"),
            (None, None, None) => Err("there is no kernel to ask"),
        }
    }

    /// The subject of a seed.
    pub fn subject(&self, oracle: Oracle, seed: u64) -> Subject {
        let mut rng = Rng::new(seed ^ 0x5eed);
        match oracle {
            Oracle::NumbersContain => Subject::Seed,
            Oracle::NeverPanics(reader) => {
                let mut bytes = match rng.choose(&self.files) {
                    Some(file) if rng.chance(50) => file.clone(),
                    Some(_) | None => samples(reader, &self.program(seed), &mut rng),
                };
                damage_bytes(&mut bytes, reader.is_text(), &mut rng);
                Subject::Bytes(bytes)
            }
            Oracle::RequestsGetAVerdict => {
                let (mut spec, other) = (self.program(seed), self.program(seed ^ 1 << 63));
                damage_request(&mut spec, &other, &mut rng);
                Subject::Program(Box::new(spec))
            }
            Oracle::KernelRunsTheSame => {
                // Few programs may be run in the kernel: the next that may.
                let mut seeds = (0..64).map(|n: u64| seed.wrapping_add(n << 40));
                let spec = seeds.find_map(|seed| {
                    let spec = self.program(seed);
                    is_comparable(&spec).is_ok().then_some(spec)
                });
                Subject::Program(Box::new(spec.unwrap_or_else(|| self.program(seed))))
            }
            Oracle::KernelAgrees => {
                let spec = self.typed(seed).map(|with| with.program(seed));
                Subject::Program(Box::new(spec.unwrap_or_else(|| self.program(seed))))
            }
            Oracle::AcceptedNeverTraps
            | Oracle::AbstractContainsConcrete
            | Oracle::PruneEqualsNoPrune
            | Oracle::InterpEqualsJit
            | Oracle::AsmRoundTrip
            | Oracle::ElfReadersAgree => Subject::Program(Box::new(self.program(seed))),
        }
    }

    /// The program of a seed: generated, or where there are programs to damage every second time one of
    /// those, damaged.
    pub fn program(&self, seed: u64) -> ProgramSpec {
        let mut rng = Rng::new(seed ^ 0xda3a);
        match rng.choose(&self.programs) {
            Some(spec) if rng.chance(50) => mutant(spec, seed),
            Some(_) | None => self.generator.program(seed),
        }
    }
}

impl WithGuests {
    /// The typed program of a seed: generated, or a damaged one.
    fn program(&self, seed: u64) -> ProgramSpec {
        let mut rng = Rng::new(seed ^ 0xda3a);
        match rng.choose(&self.programs) {
            Some(spec) if rng.chance(50) => mutant(spec, seed),
            Some(_) | None => self.generator.program(seed),
        }
    }
}

/// The facts of a loader who may not learn addresses, nor read what was never written.
pub(super) fn careful(facts: &Facts) -> Facts {
    let profile = Profile {
        lane: Lane {
            ptr_leaks: false,
            uninit_stack: false,
            ..Lane::PRIVILEGED
        },
        ..Profile::linux_6_18()
    };
    Facts::new(match facts.btf() {
        Some(btf) => profile.with_btf(Arc::clone(btf)),
        None => profile,
    })
}

/// Names of structures in a map's BTF that make it one for a guest.
const SPECIAL: [&str; 10] = [
    "bpf_spin_lock",
    "bpf_res_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_task_work",
    "bpf_list_head",
    "bpf_rb_root",
    "bpf_refcount",
    "kptr",
    "percpu_kptr",
];

/// Whether a program, damaged in whatever way, may be loaded into the running kernel: no kernel functions
/// or types, no locks, timers, arenas or pointers to kernel objects in maps. Kernels have had bugs there
/// that hurt the machine.
pub fn is_plain(spec: &ProgramSpec) -> bool {
    has_plain_code(spec) && spec.maps.iter().all(|map| is_plain_map(map))
}

/// The same without a look at the maps, which no damage changes.
fn has_plain_code(spec: &ProgramSpec) -> bool {
    let types = !matches!(
        spec.ty,
        ProgType::Tracing
            | ProgType::StructOps
            | ProgType::Ext
            | ProgType::Lsm
            | ProgType::Netfilter
            | ProgType::Unspec
    );
    let insns = spec.insns.iter().all(|insn| {
        let kfunc = insn.code == opcode::CALL && insn.src() == pseudo::KFUNC_CALL;
        let object = insn.is_ld_imm64() && insn.src() == pseudo::BTF_ID;
        !kfunc && !object
    });
    types && insns && spec.target.is_none()
}

fn is_plain_map(map: &MapSpec) -> bool {
    let types = map.ty.number() <= 27 && map.ty.number() != 26;
    let strings = map.btf.as_ref().map_or(&[][..], |btf| btf.bytes());
    let has = |word: &str| {
        let mut places = strings.windows(word.len());
        places.any(|bytes| bytes == word.as_bytes())
    };
    types && !SPECIAL.iter().any(|word| has(word))
}
