//! Memory that host and guest share: batches go in and replies come out by it, where the guest's kernel
//! shows the device that it belongs to. A serial line passes some hundred kilobytes a second, which
//! would be a third of a guest's work; so only short frames go over it, to say that there is something.
//!
//! The window begins with two words: the number of the job that the guest has begun, counted from 1,
//! and the bytes of replies that lie ready. Behind them come replies, and behind those the batch.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::wire::{self, Frame};
use crate::sys;

/// Bytes of the window: a power of two, as the device wants it.
const SIZE: usize = 16 << 20;
/// Where replies begin.
const REPLIES: usize = 64;
/// Where batches begin.
const BATCHES: usize = SIZE / 2;
/// The words.
const BEGUN: usize = 0;
const READY: usize = 4;

/// The host's end: a file that the emulator maps.
#[derive(Debug)]
pub(super) struct HostWindow {
    file: File,
    /// Bytes of replies that were taken.
    taken: usize,
}

impl HostWindow {
    /// Makes the file.
    pub(super) fn new(path: &Path) -> io::Result<HostWindow> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        file.set_len(SIZE as u64)?;
        Ok(HostWindow { file, taken: 0 })
    }

    /// The emulator's arguments for it.
    pub(super) fn arguments(path: &Path) -> [String; 4] {
        let (path, id) = (path.display(), "window");
        [
            "-object".to_owned(),
            format!("memory-backend-file,id={id},size={SIZE},mem-path={path},share=on"),
            "-device".to_owned(),
            format!("ivshmem-plain,memdev={id}"),
        ]
    }

    /// Lays a batch down; `false` if it is too long.
    pub(super) fn put(&mut self, batch: &[u8]) -> io::Result<bool> {
        self.taken = 0;
        // Replies to the batch before are none to this one.
        self.file.seek(SeekFrom::Start(READY as u64))?;
        self.file.write_all(&[0; 4])?;
        if batch.len() > SIZE - BATCHES {
            return Ok(false);
        }
        self.file.seek(SeekFrom::Start(BATCHES as u64))?;
        self.file.write_all(batch)?;
        Ok(true)
    }

    /// The number of the job that the guest has begun, counted from 1.
    pub(super) fn begun(&mut self) -> io::Result<u32> {
        self.word(BEGUN)
    }

    /// The replies that were not taken yet; those that make no sense are left out.
    pub(super) fn take(&mut self) -> io::Result<Vec<Frame>> {
        let ready = (self.word(READY)? as usize).min(BATCHES - REPLIES);
        let mut bytes = vec![0; ready.saturating_sub(self.taken)];
        let at = REPLIES + self.taken;
        self.file.seek(SeekFrom::Start(at as u64))?;
        self.file.read_exact(&mut bytes)?;
        self.taken = self.taken.max(ready);
        let mut rest = bytes.as_slice();
        Ok(std::iter::from_fn(|| wire::read_frame(&mut rest).ok()).collect())
    }

    fn word(&mut self, at: usize) -> io::Result<u32> {
        let mut word = [0; 4];
        self.file.seek(SeekFrom::Start(at as u64))?;
        self.file.read_exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }
}

/// The guest's end.
#[derive(Debug)]
pub(super) struct GuestWindow {
    memory: sys::Mapping,
    ready: usize,
}

/// Vendor and device of the window.
const DEVICE: (&str, &str) = ("0x1af4", "0x1110");

impl GuestWindow {
    /// The window, if this guest's kernel shows the device.
    pub(super) fn open() -> Option<GuestWindow> {
        sys::mount(c"sysfs", c"/sys").ok()?;
        let devices = fs::read_dir("/sys/bus/pci/devices").ok()?;
        let is = |path: &PathBuf| {
            let says = |file, what: &str| {
                fs::read_to_string(path.join(file)).is_ok_and(|text| text.trim() == what)
            };
            says("vendor", DEVICE.0) && says("device", DEVICE.1)
        };
        let device = devices.flatten().map(|entry| entry.path()).find(is)?;
        // Memory that a driver has not claimed must be switched on.
        let _ = fs::write(device.join("enable"), "1");
        let resource = device.join("resource2");
        let file = OpenOptions::new().read(true).write(true).open(resource);
        let memory = sys::Mapping::of_file(file.ok()?, SIZE).ok()?;
        Some(GuestWindow { memory, ready: 0 })
    }

    /// The batch of that many bytes.
    pub(super) fn batch(&self, length: usize) -> Option<Vec<u8>> {
        self.memory.read(BATCHES, length)
    }

    /// A batch begins: nothing is ready, which the host has noted.
    pub(super) fn reset(&mut self) {
        self.ready = 0;
    }

    /// That job begins.
    pub(super) fn begin(&self, job: u32) {
        let begun = job.wrapping_add(1);
        self.memory.write(BEGUN, &begun.to_le_bytes());
    }

    /// Lays a frame down; `false` if there is no room.
    pub(super) fn reply(&mut self, frame: &[u8]) -> bool {
        let (at, end) = (REPLIES + self.ready, self.ready + frame.len());
        if REPLIES + end > BATCHES {
            return false;
        }
        self.memory.write(at, frame);
        self.ready = end;
        let ready = u32::try_from(end).unwrap_or(0);
        self.memory.write(READY, &ready.to_le_bytes());
        true
    }
}
