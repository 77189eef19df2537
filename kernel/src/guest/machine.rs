//! One virtual machine: a child process, its first file system, its two serial lines.
//!
//! The console goes to a file, for when the guest dies; frames go through the child's standard input
//! and output. Everything is gone when the machine is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::cpio::Archive;
use super::window::HostWindow;
use super::wire::Frame;
use super::{CPUS, GuestError, GuestOptions, Image, agent, program};
use crate::peer::{Gone, Peer};

#[derive(Debug)]
pub(super) struct Machine {
    peer: Peer,
    folder: PathBuf,
    /// Until it turns out that the guest does without, if so.
    pub(super) window: Option<HostWindow>,
}

/// A busy host is slow to give the guest its timer's first ticks, which the kernel must not take for a
/// broken board. What the kernel's ciphers compute is not asked.
const COMMAND_LINE: &str =
    "console=ttyS0 panic=-1 loglevel=5 no_timer_check cryptomgr.notests rdinit=/init";

/// Machines that this process has started, for names of their folders.
static STARTED: AtomicU32 = AtomicU32::new(0);

impl Machine {
    /// Starts a machine whose first batch is `jobs`.
    pub(super) fn start(
        image: &Image,
        init: &Path,
        options: &GuestOptions,
        jobs: &[u8],
    ) -> Result<Machine, GuestError> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("skep-guest-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let started = Machine::start_in(&folder, image, init, options, jobs);
        if started.is_err() {
            let _ = fs::remove_dir_all(&folder);
        }
        started
    }

    fn start_in(
        folder: &Path,
        image: &Image,
        init: &Path,
        options: &GuestOptions,
        jobs: &[u8],
    ) -> Result<Machine, GuestError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |error| GuestError::File(path, error)
        };
        fs::create_dir(folder).map_err(file(folder))?;
        let mut archive = Archive::default();
        archive.device("dev/console", 5, 1);
        archive.device("dev/null", 1, 3);
        archive.device(agent::LINE, 4, 65);
        archive.folder("sys");
        archive.file(agent::JOBS, jobs);
        program::add(&mut archive, init).map_err(file(init))?;
        let initrd = folder.join("initrd");
        fs::write(&initrd, archive.finish()).map_err(file(&initrd))?;
        let mut command = command(image, options, &initrd, &folder.join("console"));
        let shared = folder.join("window");
        let window = HostWindow::new(&shared).map_err(file(&shared))?;
        command.args(HostWindow::arguments(&shared));
        let peer = Peer::start(command)
            .map_err(|error| GuestError::NoQemu(options.qemu.clone(), error))?;
        Ok(Machine {
            peer,
            folder: folder.to_owned(),
            window: Some(window),
        })
    }

    /// The next frame, or why there is none.
    pub(super) fn next(&self, limit: Duration) -> Result<Frame, Gone> {
        self.peer.next(limit)
    }

    pub(super) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.peer.send(frame)
    }

    /// The last lines of the console.
    pub(super) fn console(&self) -> String {
        let text = self.console_text();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines
            .get(lines.len().saturating_sub(40)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// The line of the console in which the kernel speaks of its end, and where it was.
    pub(super) fn last_words(&self) -> String {
        let text = self.console_text();
        let ends = ["BUG:", "Oops", "divide error", "Kernel panic"];
        let mut lines = text.lines();
        let end = lines.find(|line| ends.iter().any(|word| line.contains(word)));
        let place = lines.find_map(|line| Some(line.split_once("RIP: ")?.1.trim()));
        format!(
            "{} {}",
            end.unwrap_or("without a word").trim(),
            place.unwrap_or("")
        )
    }

    fn console_text(&self) -> String {
        let bytes = fs::read(self.folder.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The emulator's command line.
fn command(image: &Image, options: &GuestOptions, initrd: &Path, console: &Path) -> Command {
    let mut command = Command::new(&options.qemu);
    command
        .args(["-accel", "tcg", "-cpu", "max"])
        .args(["-smp", &CPUS.to_string()])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-nic", "none", "-monitor", "none"])
        .args(["-m", &options.memory_mib.to_string()])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args(["-chardev", "stdio,id=frames,signal=off"])
        .args(["-serial", "chardev:frames", "-append", COMMAND_LINE])
        .arg("-kernel")
        .arg(&image.vmlinux)
        .arg("-initrd")
        .arg(initrd)
        .stderr(Stdio::null());
    command
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The emulator keeps open what it still needs.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
