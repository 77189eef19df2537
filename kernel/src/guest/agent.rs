//! Inside the guest: the first process, which loads what it is sent and says what the kernel said.
//!
//! Its file system is the initramfs alone. The first batch lies there as a file; further ones come over
//! the window that the replies leave by, or where there is none over the serial line. Each request is
//! announced before it is loaded, so that the host knows which one a dead guest died of.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

use skep_spec::ProgramSpec;

use super::window::GuestWindow;
use super::wire::{self, Frame, FrameKind, Reply, Tables};
use crate::sys::Fd;
use crate::{Answer, Kernel, LiveMap, LoadOptions, MapError, NotJudged, Ran, RunRequest, sys};

/// The first batch.
pub(super) const JOBS: &str = "skep-jobs";
/// Entries of a map that are told after runs.
const ENTRIES: usize = 4096;
/// The serial line to the host.
pub(super) const LINE: &str = "dev/ttyS1";
/// Live maps that are kept.
const MAPS: usize = 256;

/// Whether this process is the first of a guest that was booted to load programs.
pub fn is_agent() -> bool {
    std::process::id() == 1 && fs::exists(format!("/{JOBS}")).unwrap_or(false)
}

/// Loads what the host sends until the line closes. Returning ends the guest.
///
/// # Errors
/// The line to the host fails.
pub fn serve() -> io::Result<()> {
    sys::raise_memlock();
    let mut line = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/{LINE}"))?;
    sys::make_raw(&line)?;
    let first = fs::read(format!("/{JOBS}"))?;
    let mut agent = Agent::new(MAPS);
    agent.window = GuestWindow::open();
    // The number says whether the window serves.
    let windows = u32::from(agent.window.is_some());
    send(&mut line, FrameKind::Ready, windows, &[])?;
    agent.batch(&mut line, &first)?;
    drop(first);
    loop {
        let Frame { kind, job, body } = wire::read_frame(&mut line)?;
        if kind == FrameKind::Batch {
            agent.batch(&mut line, &body)?;
        } else if kind == FrameKind::Look {
            let window = agent.window.as_ref();
            let body = window.and_then(|window| window.batch(job as usize));
            agent.batch(&mut line, &body.unwrap_or_default())?;
        }
    }
}

fn send(line: &mut impl Write, kind: FrameKind, job: u32, body: &[u8]) -> io::Result<()> {
    line.write_all(&wire::write_frame(kind, job, body))
}

/// A live map, and the BTF that it was made with: the types of another copy of the same BTF are other
/// types to a kernel, so a program and its maps must share one.
struct Kept {
    number: u32,
    map: Arc<LiveMap>,
    btf: Option<Arc<Fd>>,
}

/// Who loads.
pub(crate) struct Agent {
    kernel: Kernel,
    tables: Tables,
    /// Live maps that are kept.
    maps: usize,
    /// Maps by number, oldest first.
    live: Vec<Kept>,
    next: u32,
    window: Option<GuestWindow>,
}

impl Agent {
    /// One that keeps so many maps; without any, each program gets maps made anew.
    pub(crate) fn new(maps: usize) -> Agent {
        Agent {
            kernel: Kernel::open_unchecked(),
            tables: Tables::default(),
            maps,
            live: Vec::new(),
            next: 0,
            window: None,
        }
    }

    /// Loads what a batch holds, and replies.
    pub(crate) fn batch(&mut self, line: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        let Some(batch) = wire::read_batch(bytes, &mut self.tables) else {
            return send(line, FrameKind::Damaged, self.next, &[]);
        };
        if let Some(window) = &mut self.window {
            window.reset();
        }
        for (spec, maps, runs) in &batch.requests {
            let job = self.next;
            self.next += 1;
            match &self.window {
                Some(window) => window.begin(job),
                None => send(line, FrameKind::Begin, job, &[])?,
            }
            let reply = wire::write_reply(&self.load(spec, maps, runs, &batch.options));
            let reply = wire::write_frame(FrameKind::Reply, job, &reply);
            let window = self.window.as_mut();
            if !window.is_some_and(|window| window.reply(&reply)) {
                line.write_all(&reply)?;
            }
        }
        send(line, FrameKind::Done, self.next, &[])
    }

    fn load(
        &mut self,
        spec: &ProgramSpec,
        maps: &[u32],
        runs: &[RunRequest],
        options: &LoadOptions,
    ) -> Reply {
        let mut live = Vec::with_capacity(maps.len());
        for (number, map) in maps.iter().zip(&spec.maps) {
            // What another program left in a map would show in a run.
            let made = if runs.is_empty() {
                self.map(*number, map)
            } else {
                self.kernel.create_map(map).map(Arc::new)
            };
            match made {
                Ok(map) => live.push(map),
                Err(error) => return Reply::Map(error),
            }
        }
        let outcome = self.kernel.load_with(spec, live.clone(), None, options);
        if let Answer::NotJudged(NotJudged::Btf { errno, message }) = outcome.answer {
            return Reply::Btf(errno.0, message);
        }
        let mut ran = Ran::default();
        if let Some(program) = outcome.program.filter(|_| !runs.is_empty()) {
            ran.runs = runs.iter().map(|run| program.test_run(run)).collect();
            let entries = |map: &Arc<LiveMap>| map.entries(ENTRIES).unwrap_or_default();
            ran.maps = live.iter().map(entries).collect();
        }
        Reply::Loaded(outcome.errno.map_or(0, |errno| errno.0), outcome.log, ran)
    }

    fn map(
        &mut self,
        number: u32,
        spec: &Arc<skep_spec::MapSpec>,
    ) -> Result<Arc<LiveMap>, MapError> {
        if self.maps == 0 || LiveMap::belongs_to_one_program(spec.ty) {
            return self.kernel.create_map(spec).map(Arc::new);
        }
        // Where it is refused, the map's making says so.
        let btf = spec
            .btf
            .as_ref()
            .and_then(|btf| self.kernel.btf_fd(btf).ok());
        let same = |kept: &Kept| match (&kept.btf, &btf) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if let Some(kept) = self.live.iter().find(|kept| kept.number == number)
            && same(kept)
        {
            return Ok(Arc::clone(&kept.map));
        }
        let map = Arc::new(self.kernel.create_map(spec)?);
        if self.live.len() >= self.maps {
            self.live.clear();
        }
        self.live.retain(|kept| kept.number != number);
        self.live.push(Kept {
            number,
            map: Arc::clone(&map),
            btf,
        });
        Ok(map)
    }
}
