//! Loading in a process of its own, so that a kernel that dies of a program takes the loader along and
//! nobody else.
//!
//! A [`Loader`] is a child, an executable of this project that calls [`serve`], which is sent requests one
//! by one. A kernel's bug kills the thread that met it, or leaves it hanging for ever; either way the
//! answer is an error in time, and the next request gets a new child.

use std::fmt;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use skep_spec::ProgramSpec;

use crate::guest::agent::Agent;
use crate::guest::outcome;
use crate::guest::wire::{self, FrameKind, Tables};
use crate::peer::{Gone, Peer};
use crate::program::incomplete;
use crate::{LoadOptions, LoadOutcome};

/// The argument that makes an executable a loader.
const WORD: &str = "kernel-loader";

/// Whether this process was started to load programs.
pub fn is_loader() -> bool {
    std::env::args_os().nth(1).is_some_and(|arg| arg == WORD)
}

/// Loads what comes by standard input, until it ends.
///
/// # Errors
/// Standard input or output fails.
pub fn serve() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = io::stdout().lock();
    let mut agent = Agent::new(0);
    loop {
        let frame = match wire::read_frame(&mut input) {
            Ok(frame) => frame,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut replies = Vec::new();
        agent.batch(&mut replies, &frame.body)?;
        io::Write::write_all(&mut output, &replies)?;
        io::Write::flush(&mut output)?;
    }
}

/// Why a loader gave no answer.
#[derive(Debug)]
pub enum LoaderError {
    /// It cannot be started.
    NotStarted(PathBuf, io::Error),
    /// It died while it loaded the program.
    Died,
    /// It did not come back in that time, and may hang in its kernel.
    Hangs(Duration),
    /// It does not understand what it is sent: it is another build.
    OtherBuild,
}

impl fmt::Display for LoaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoaderError::NotStarted(path, error) => {
                write!(f, "{} cannot be started: {error}", path.display())
            }
            LoaderError::Died => f.write_str("the process that loaded it was killed"),
            LoaderError::Hangs(limit) => {
                let seconds = limit.as_secs();
                write!(f, "the process that loads it hangs since {seconds} s")
            }
            LoaderError::OtherBuild => f.write_str("the loader does not understand the request"),
        }
    }
}

impl std::error::Error for LoaderError {}

/// Requests after which a child is replaced: it keeps the BTF that it was sent.
const MOST: u32 = 512;

/// A child that loads programs into the running kernel.
#[derive(Debug)]
pub struct Loader {
    executable: PathBuf,
    limit: Duration,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    peer: Peer,
    tables: Tables,
    sent: u32,
}

impl Loader {
    /// One that runs that executable, which calls [`serve`] when [`is_loader`] says so, and gives each load
    /// so much time.
    pub fn new(executable: PathBuf, limit: Duration) -> Loader {
        Loader {
            executable,
            limit,
            running: None,
        }
    }

    /// Asks the running kernel about a request, with maps made anew. The outcome holds no live program.
    ///
    /// # Errors
    /// There is no answer.
    pub fn load(
        &mut self,
        spec: &ProgramSpec,
        options: &LoadOptions,
    ) -> Result<LoadOutcome, LoaderError> {
        if let Some(reason) = incomplete(spec, None) {
            return Ok(LoadOutcome::not_judged(reason));
        }
        let mut running = match self.running.take() {
            Some(running) if running.sent < MOST => running,
            Some(_) | None => self.start()?,
        };
        running.sent += 1;
        let body = wire::write_batch(&mut running.tables, options, &[(spec, &[])]);
        let frame = wire::write_frame(FrameKind::Batch, 0, &body);
        running.peer.send(&frame).map_err(|_| LoaderError::Died)?;
        let mut answer = None;
        loop {
            let frame = running.peer.next(self.limit).map_err(|gone| match gone {
                Gone::Silent => LoaderError::Hangs(self.limit),
                Gone::Dead => LoaderError::Died,
            })?;
            match frame.kind {
                FrameKind::Reply => answer = wire::read_reply(&frame.body).map(outcome),
                FrameKind::Done => break,
                FrameKind::Damaged => return Err(LoaderError::OtherBuild),
                FrameKind::Ready | FrameKind::Begin | FrameKind::Batch | FrameKind::Look => {}
            }
        }
        self.running = Some(running);
        answer.ok_or(LoaderError::OtherBuild)
    }

    fn start(&self) -> Result<Running, LoaderError> {
        let mut command = Command::new(&self.executable);
        command.arg(WORD).stderr(Stdio::null());
        let peer = Peer::start(command)
            .map_err(|error| LoaderError::NotStarted(self.executable.clone(), error))?;
        Ok(Running {
            peer,
            tables: Tables::default(),
            sent: 0,
        })
    }
}
