//! Telling tools where compiled programs lie: lines of a perf map, and gdb's interface for compilers.
//!
//! gdb stops at [`register_code`] and reads a list of object files in memory, one for each machine that
//! registered. Each holds one section where each program's code is and one symbol for it.

use std::cell::UnsafeCell;
use std::fmt::Write as _;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::program::Program;

/// Programs as perf reads them from `/tmp/perf-PID.map`: address, size and name.
pub(crate) fn perf_map(programs: &[Program]) -> String {
    let mut lines = String::new();
    for program in programs {
        let (at, len) = (program.address(), program.code().len());
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{at:x} {len:x} bpf_prog_{}", program.name());
    }
    lines
}

/// `struct jit_code_entry` of gdb's `jit.h`.
#[repr(C)]
struct Entry {
    next: *mut Entry,
    prev: *mut Entry,
    symfile: *const u8,
    symfile_size: u64,
}

/// `struct jit_descriptor`.
#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *mut Entry,
    first: *mut Entry,
}

#[repr(transparent)]
struct Shared(UnsafeCell<Descriptor>);

// SAFETY: it is read and written under `LOCK` alone, and by a debugger while this process stands still.
unsafe impl Sync for Shared {}

/// The list. gdb finds it by its name.
#[unsafe(export_name = "__jit_debug_descriptor")]
static DESCRIPTOR: Shared = Shared(UnsafeCell::new(Descriptor {
    version: 1,
    action: 0,
    relevant: ptr::null_mut(),
    first: ptr::null_mut(),
}));

static LOCK: Mutex<()> = Mutex::new(());

const REGISTER: u32 = 1;
const UNREGISTER: u32 = 2;

/// gdb stops here, by its name, and looks at the list.
#[unsafe(export_name = "__jit_debug_register_code")]
#[inline(never)]
extern "C" fn register_code() {
    // Not a function that does nothing, or calls of it would go.
    std::hint::black_box(&DESCRIPTOR);
}

/// Programs that a debugger knows of, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    entry: *mut Entry,
    /// What the entry points to.
    _symfile: Box<[u8]>,
}

// SAFETY: the entry belongs to this value and the list, which is changed under `LOCK` alone.
unsafe impl Send for Registration {}
// SAFETY: as above; a shared registration does nothing.
unsafe impl Sync for Registration {}

impl Registration {
    pub(crate) fn new(programs: &[Program]) -> Registration {
        let symfile = symfile(programs).into_boxed_slice();
        let entry = Box::into_raw(Box::new(Entry {
            next: ptr::null_mut(),
            prev: ptr::null_mut(),
            symfile: symfile.as_ptr(),
            symfile_size: symfile.len() as u64,
        }));
        let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: under the lock nobody else uses the list; its entries are alive, as `drop` takes them out,
        // and ours is new.
        unsafe {
            let list = &mut *DESCRIPTOR.0.get();
            (*entry).next = list.first;
            if let Some(first) = list.first.as_mut() {
                first.prev = entry;
            }
            (list.first, list.relevant, list.action) = (entry, entry, REGISTER);
        }
        register_code();
        Registration {
            entry,
            _symfile: symfile,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: as in `new`; the entry is in the list, once, and leaves it here.
        unsafe {
            let list = &mut *DESCRIPTOR.0.get();
            let (next, prev) = ((*self.entry).next, (*self.entry).prev);
            match prev.as_mut() {
                Some(prev) => prev.next = next,
                None => list.first = next,
            }
            if let Some(next) = next.as_mut() {
                next.prev = prev;
            }
            (list.relevant, list.action) = (self.entry, UNREGISTER);
        }
        register_code();
        // SAFETY: made by `Box::into_raw`, and in no list any more.
        unsafe {
            (*DESCRIPTOR.0.get()).relevant = ptr::null_mut();
            drop(Box::from_raw(self.entry));
        }
    }
}

/// Bytes of the header of an object file, of a section's header and of a symbol.
const HEADER: usize = 64;
const SECTION: usize = 64;
const SYMBOL: usize = 24;

/// An object file (ELF) with a section and a symbol for each program, without their contents.
fn symfile(programs: &[Program]) -> Vec<u8> {
    let (mut strings, mut symbols, mut sections) = (vec![0u8], vec![0u8; SYMBOL], Vec::new());
    let name = |strings: &mut Vec<u8>, text: &str| {
        let at = strings.len() as u32;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    let text = name(&mut strings, ".text");
    section(&mut sections, [0; 2], [0; 4], [0; 4]);
    for (at, program) in programs.iter().enumerate() {
        let (address, len) = (program.address(), program.code().len() as u64);
        let symbol = name(&mut strings, &format!("bpf_prog_{}", program.name()));
        symbols.extend_from_slice(&symbol.to_le_bytes());
        // A global function of section `at + 1`.
        symbols.extend_from_slice(&[0x12, 0]);
        symbols.extend_from_slice(&(at as u16 + 1).to_le_bytes());
        symbols.extend_from_slice(&address.to_le_bytes());
        symbols.extend_from_slice(&len.to_le_bytes());
        // NOBITS, allocated and executable.
        section(
            &mut sections,
            [text, 8],
            [6, address, 0, len],
            [0, 0, 16, 0],
        );
    }
    let symtab = name(&mut strings, ".symtab");
    let strtab = name(&mut strings, ".strtab");
    let count = programs.len() as u64 + 3;
    let symbols_at = HEADER as u64 + SECTION as u64 * count;
    let strings_at = symbols_at + symbols.len() as u64;
    let places = [0, 0, symbols_at, symbols.len() as u64];
    section(
        &mut sections,
        [symtab, 2],
        places,
        [count - 1, 1, 8, SYMBOL as u64],
    );
    let places = [0, 0, strings_at, strings.len() as u64];
    section(&mut sections, [strtab, 3], places, [0, 0, 1, 0]);
    let mut file = Vec::with_capacity(strings_at as usize + strings.len());
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // An executable for x86-64, version 1.
    for half in [2u16, 62, 1, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    // No entry, no segments, sections behind the header.
    for word in [0, 0, HEADER as u64] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&0u32.to_le_bytes());
    for half in [
        HEADER as u16,
        0,
        0,
        SECTION as u16,
        count as u16,
        count as u16 - 1,
    ] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    for part in [sections, symbols, strings] {
        file.extend_from_slice(&part);
    }
    file
}

/// A section's header: name and type; flags, address, offset and size; link, info, alignment and the size of
/// an entry.
fn section(out: &mut Vec<u8>, kind: [u32; 2], places: [u64; 4], rest: [u64; 4]) {
    for word in kind {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for word in places {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let [link, info, align, entry] = rest;
    for word in [link as u32, info as u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for word in [align, entry] {
        out.extend_from_slice(&word.to_le_bytes());
    }
}
