//! One virtual machine: a child process, its first file system, its two serial lines.
//!
//! The console goes to a file, for when the guest dies; frames go through the child's standard input
//! and output. Everything is gone when the machine is dropped.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::cpio::Archive;
use super::wire::{self, Frame};
use super::{GuestError, GuestOptions, Image, agent, program};

#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    input: ChildStdin,
    frames: Receiver<Frame>,
    folder: PathBuf,
}

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
        archive.file(agent::JOBS, jobs);
        program::add(&mut archive, init).map_err(file(init))?;
        let initrd = folder.join("initrd");
        fs::write(&initrd, archive.finish()).map_err(file(&initrd))?;
        let console = folder.join("console");
        let mut child = Command::new(&options.qemu)
            .args([
                "-accel",
                "tcg",
                "-cpu",
                "max",
                "-smp",
                "1",
                "-nodefaults",
                "-no-user-config",
            ])
            .args([
                "-display",
                "none",
                "-no-reboot",
                "-nic",
                "none",
                "-monitor",
                "none",
            ])
            .args(["-m", &options.memory_mib.to_string()])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .args([
                "-chardev",
                "stdio,id=frames,signal=off",
                "-serial",
                "chardev:frames",
            ])
            .arg("-kernel")
            .arg(&image.vmlinux)
            .arg("-initrd")
            .arg(&initrd)
            .args(["-append", "console=ttyS0 panic=-1 loglevel=5 rdinit=/init"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| GuestError::NoQemu(options.qemu.clone(), error))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(mut output)) = (input, output) else {
            return Err(GuestError::File(
                options.qemu.clone(),
                io::ErrorKind::BrokenPipe.into(),
            ));
        };
        let (sender, frames) = mpsc::channel();
        // It ends with the child's output, which ends with the child.
        std::thread::spawn(move || {
            while let Ok(frame) = wire::read_frame(&mut output) {
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        Ok(Machine {
            child,
            input,
            frames,
            folder: folder.to_owned(),
        })
    }

    /// The next frame, or why there is none.
    pub(super) fn next(&self, limit: Duration) -> Result<Frame, Gone> {
        self.frames
            .recv_timeout(limit)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => Gone::Silent,
                RecvTimeoutError::Disconnected => Gone::Dead,
            })
    }

    pub(super) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.input.write_all(frame)?;
        self.input.flush()
    }

    /// The last lines of the console.
    pub(super) fn console(&self) -> String {
        let bytes = fs::read(self.folder.join("console")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines
            .get(lines.len().saturating_sub(40)..)
            .unwrap_or_default()
            .join("\n")
    }
}

/// Why no more frames come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gone {
    /// Nothing came for too long.
    Silent,
    /// The machine is off.
    Dead,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
