//! A process that is spoken to in frames: a virtual machine, or a loader of this kernel.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::guest::wire::{self, Frame};
use crate::sys;

/// The process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    frames: Receiver<Frame>,
}

/// Why no more frames come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    /// Nothing came for too long.
    Silent,
    /// The process has ended.
    Dead,
}

impl Peer {
    /// Starts it.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(crate) fn start(mut command: Command) -> io::Result<Peer> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let (started, child) = mpsc::channel();
        let (sender, frames) = mpsc::channel();
        // The process ends with the thread that started it, which ends with the process's output: none
        // is left behind, whatever becomes of this one.
        std::thread::spawn(move || {
            sys::end_with_thread(&mut command);
            let mut output = match command.spawn() {
                Ok(mut child) => {
                    let output = child.stdout.take();
                    let _ = started.send(Ok(child));
                    output.map(io::BufReader::new)
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    None
                }
            };
            while let Some(Ok(frame)) = output.as_mut().map(wire::read_frame) {
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        let none = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut child = child.recv().unwrap_or_else(|_| Err(none()))?;
        let input = child.stdin.take().ok_or_else(none)?;
        Ok(Peer {
            child,
            input,
            frames,
        })
    }

    /// The next frame, or why there is none.
    pub(crate) fn next(&self, limit: Duration) -> Result<Frame, Gone> {
        self.frames
            .recv_timeout(limit)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => Gone::Silent,
                RecvTimeoutError::Disconnected => Gone::Dead,
            })
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.input.write_all(frame)?;
        self.input.flush()
    }
}

/// Time that a killed process has to end. One that hangs in its kernel never does.
const END: Duration = Duration::from_secs(5);

impl Drop for Peer {
    fn drop(&mut self) {
        // Errors mean that it is gone already. Its output closes when it has ended, which lets the
        // receiver know.
        let _ = self.child.kill();
        while self.frames.recv_timeout(END).is_ok() {}
        // It ends a moment after its output; what was not waited for would stay a zombie.
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < END {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
