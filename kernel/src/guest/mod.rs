//! Other kernels, asked under qemu: a guest that does nothing but load programs and test-run them.
//!
//! An [`Image`] is a kernel that can be booted. A [`Guest`] boots it when it is first asked, with an
//! executable of this project as its only process ([`serve`]), and keeps it running between questions.
//! A guest that dies or falls silent is started anew behind the request that it died of, which then has
//! no verdict. Programs are loaded, and run by `BPF_PROG_TEST_RUN` where that is asked for, never attached;
//! a guest has no disk and no network.
//!
//! Needs `qemu-system-x86_64`, and an image (see `README.md`): [`GuestError`] says what is missing.

pub(crate) mod agent;
mod cpio;
mod image;
mod lz4;
mod machine;
mod program;
mod window;
pub(crate) mod wire;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use skep_spec::ProgramSpec;

pub use agent::{is_agent, serve};
pub use image::{Image, ImageError, cache_folder};

use crate::answer::classify;
use crate::peer::Gone;
use crate::program::incomplete;
use crate::{Answer, Errno, LoadOptions, LoadOutcome, NotJudged, RunRequest, log};
use machine::Machine;
use wire::{Asked, Frame, FrameKind, Reply, Tables};

/// How guests are run.
#[derive(Clone, Debug)]
pub struct GuestOptions {
    /// The emulator.
    pub qemu: PathBuf,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Time to boot.
    pub boot: Duration,
    /// Time for one load.
    pub load: Duration,
}

impl Default for GuestOptions {
    /// 1 GiB, in which programs at the verifier's limits load; two minutes to boot, one for a load.
    fn default() -> GuestOptions {
        GuestOptions {
            qemu: PathBuf::from("qemu-system-x86_64"),
            memory_mib: 1024,
            boot: Duration::from_secs(120),
            load: Duration::from_secs(60),
        }
    }
}

/// CPUs of a guest.
pub const CPUS: u32 = 1;

/// Why a guest cannot be asked.
#[derive(Debug)]
pub enum GuestError {
    /// The emulator cannot be started.
    NoQemu(PathBuf, io::Error),
    /// A file that the guest needs.
    File(PathBuf, io::Error),
    /// It does not come up; the end of its console.
    NoBoot(String),
    /// It does not understand what it is sent: it runs another build.
    OtherBuild,
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuestError::NoQemu(path, error) => {
                write!(f, "{} cannot be started: {error}", path.display())
            }
            GuestError::File(path, error) => write!(f, "{}: {error}", path.display()),
            GuestError::NoBoot(console) => write!(f, "the guest does not come up\n{console}"),
            GuestError::OtherBuild => f.write_str("the guest does not understand the requests"),
        }
    }
}

impl std::error::Error for GuestError {}

/// Times that a guest is booted before it is given up.
const BOOTS: usize = 3;

/// A kernel under qemu, ready to be asked.
#[derive(Debug)]
pub struct Guest {
    image: Image,
    init: PathBuf,
    options: GuestOptions,
    running: Option<Running>,
}

/// A machine and what it was sent.
#[derive(Debug)]
struct Running {
    machine: Machine,
    tables: Tables,
    /// Requests sent so far.
    sent: u32,
}

impl Guest {
    /// A guest for that image. `init` is an executable that calls [`serve`] when [`is_agent`] says so.
    pub fn new(image: Image, init: PathBuf, options: GuestOptions) -> Guest {
        Guest {
            image,
            init,
            options,
            running: None,
        }
    }

    /// Its kernel.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Boots it, if it does not run.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self) -> Result<(), GuestError> {
        if self.running.is_none() {
            self.batch(&[], &LoadOptions::quiet())?;
        }
        Ok(())
    }

    /// Asks about requests, each with maps and BTF of its own kernel's making. Outcomes come in the
    /// requests' order and hold no live programs.
    ///
    /// # Errors
    /// The guest cannot be started. A guest that dies of a request is no error.
    pub fn ask(
        &mut self,
        requests: &[&ProgramSpec],
        options: &LoadOptions,
    ) -> Result<Vec<LoadOutcome>, GuestError> {
        let requests: Vec<Asked<'_>> = requests.iter().map(|spec| (*spec, &[][..])).collect();
        self.run(&requests, options)
    }

    /// Asks about requests, and runs those that the kernel accepts on what stands beside them, by
    /// `BPF_PROG_TEST_RUN`. A program that is run gets maps made anew.
    ///
    /// # Errors
    /// As [`Guest::ask`].
    pub fn run(
        &mut self,
        requests: &[(&ProgramSpec, &[RunRequest])],
        options: &LoadOptions,
    ) -> Result<Vec<LoadOutcome>, GuestError> {
        let mut outcomes: Vec<Option<LoadOutcome>> = requests.iter().map(|_| None).collect();
        let mut open = Vec::with_capacity(requests.len());
        for (at, (request, _)) in requests.iter().enumerate() {
            match incomplete(request, None) {
                Some(reason) => outcomes[at] = Some(LoadOutcome::not_judged(reason)),
                None => open.push(at),
            }
        }
        let mut rest = open.as_slice();
        while !rest.is_empty() {
            let batch: Vec<Asked<'_>> = rest
                .iter()
                .filter_map(|at| requests.get(*at).copied())
                .collect();
            let answered = self.batch(&batch, options)?;
            if answered.is_empty() {
                break;
            }
            let (done, left) = rest.split_at(answered.len().min(rest.len()));
            for (at, outcome) in done.iter().zip(answered) {
                outcomes[*at] = Some(outcome);
            }
            rest = left;
        }
        let none = || LoadOutcome::not_judged(NotJudged::Guest("it gave no answer".to_owned()));
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(none))
            .collect())
    }

    /// The outcomes of the first requests of a batch: of all, or up to the one that the guest died of.
    fn batch(
        &mut self,
        requests: &[Asked<'_>],
        options: &LoadOptions,
    ) -> Result<Vec<LoadOutcome>, GuestError> {
        let mut running = match self.running.take() {
            Some(mut running) => {
                // A machine that died in between is noticed below.
                let _ = running.send(requests, options);
                running
            }
            None => self.boot(requests, options)?,
        };
        let mut answers = Answers {
            first: running.sent,
            outcomes: requests.iter().map(|_| None).collect(),
            begun: None,
        };
        let gone = loop {
            match running.machine.next(self.options.load) {
                Ok(frame) if frame.kind == FrameKind::Done => break None,
                Ok(frame) => answers.take(frame)?,
                Err(Gone::Silent) if answers.look(&mut running.machine)? => {}
                Err(gone) => break Some(gone),
            }
        };
        answers.look(&mut running.machine)?;
        let begun = answers.begun;
        let mut outcomes: Vec<LoadOutcome> =
            answers.outcomes.into_iter().map_while(|one| one).collect();
        let Some(gone) = gone else {
            running.sent += u32::try_from(requests.len()).unwrap_or(u32::MAX);
            self.running = Some(running);
            return Ok(outcomes);
        };
        if begun.is_some_and(|begun| begun == outcomes.len()) {
            outcomes.push(killer(gone, &running.machine));
        } else if outcomes.is_empty() && running.sent > 0 {
            // It died between two requests: these go to a new one, unless this one never did anything.
            return self.batch(requests, options);
        } else if outcomes.is_empty() {
            return Err(GuestError::NoBoot(running.machine.console()));
        }
        Ok(outcomes)
    }

    /// Starts a machine with its first batch, and waits until it is up.
    fn boot(&self, requests: &[Asked<'_>], options: &LoadOptions) -> Result<Running, GuestError> {
        let mut tables = Tables::default();
        let jobs = wire::write_batch(&mut tables, options, requests);
        let mut console = String::new();
        // A busy host may be too slow for what a booting kernel waits for.
        for _ in 0..BOOTS {
            let mut machine = Machine::start(&self.image, &self.init, &self.options, &jobs)?;
            match machine.next(self.options.boot) {
                Ok(Frame {
                    kind: FrameKind::Ready,
                    job: windows,
                    ..
                }) => {
                    if windows == 0 {
                        machine.window = None;
                    }
                    return Ok(Running {
                        machine,
                        tables,
                        sent: 0,
                    });
                }
                Ok(_) => return Err(GuestError::OtherBuild),
                Err(_) => console = machine.console(),
            }
        }
        Err(GuestError::NoBoot(console))
    }
}

impl Running {
    /// Sends a batch to a machine that is up: by the window if it fits.
    fn send(&mut self, requests: &[Asked<'_>], options: &LoadOptions) -> io::Result<()> {
        let body = wire::write_batch(&mut self.tables, options, requests);
        let put = self.machine.window.as_mut().map(|window| window.put(&body));
        let frame = match put.transpose()? {
            Some(true) => {
                let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
                wire::write_frame(FrameKind::Look, length, &[])
            }
            Some(false) | None => wire::write_frame(FrameKind::Batch, 0, &body),
        };
        self.machine.send(&frame)
    }
}

/// What has come of a batch.
#[derive(Debug)]
struct Answers {
    /// The number of its first job.
    first: u32,
    outcomes: Vec<Option<LoadOutcome>>,
    /// The request that the guest has begun.
    begun: Option<usize>,
}

impl Answers {
    /// Takes a frame of the guest's.
    fn take(&mut self, frame: Frame) -> Result<(), GuestError> {
        let Frame { kind, job, body } = frame;
        let at = job.checked_sub(self.first).map(|at| at as usize);
        match kind {
            FrameKind::Begin => self.begun = at,
            FrameKind::Reply => {
                let reply = wire::read_reply(&body).ok_or(GuestError::OtherBuild)?;
                let place = at.and_then(|at| self.outcomes.get_mut(at));
                *place.ok_or(GuestError::OtherBuild)? = Some(outcome(reply));
            }
            FrameKind::Damaged => return Err(GuestError::OtherBuild),
            FrameKind::Ready | FrameKind::Batch | FrameKind::Look | FrameKind::Done => {}
        }
        Ok(())
    }

    /// Takes what lies in the window; whether the guest has come further since the last look.
    fn look(&mut self, machine: &mut Machine) -> Result<bool, GuestError> {
        let Some(window) = &mut machine.window else {
            return Ok(false);
        };
        let failed = |error| GuestError::File(PathBuf::from("the guest's window"), error);
        let begun = window.begun().map_err(failed)?;
        // It counts from 1, over all batches; what it says before it begins with this one is old.
        let begun = begun.checked_sub(self.first + 1).map(|at| at as usize);
        let frames = window.take().map_err(failed)?;
        let further = begun != self.begun || !frames.is_empty();
        self.begun = begun;
        frames.into_iter().try_for_each(|frame| self.take(frame))?;
        Ok(further)
    }
}

/// The request that a guest died of has no verdict.
fn killer(gone: Gone, machine: &Machine) -> LoadOutcome {
    let why = match gone {
        Gone::Silent => "it gave no answer in time".to_owned(),
        Gone::Dead => format!("it died: {}", machine.last_words()),
    };
    LoadOutcome::not_judged(NotJudged::Guest(why))
}

/// What a reply means.
pub(crate) fn outcome(reply: Reply) -> LoadOutcome {
    match reply {
        Reply::Map(error) => LoadOutcome::not_judged(NotJudged::Map(error)),
        Reply::Btf(errno, message) => LoadOutcome::not_judged(NotJudged::Btf {
            errno: Errno(errno),
            message,
        }),
        Reply::Loaded(errno, log, ran) => {
            let message = log::last_message(&log).to_owned();
            let errno = (errno != 0).then_some(Errno(errno));
            let answer = errno.map_or(Answer::Accepted, |errno| classify(errno, &log, &message));
            LoadOutcome {
                answer,
                errno,
                program: None,
                stats: log::stats(&log),
                log,
                message,
                ran,
            }
        }
    }
}
