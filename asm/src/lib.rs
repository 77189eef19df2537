//! Text to load requests or ELF, and back; a builder with labels for programs made in code.
//!
//! The dialect is the pseudo-C of clang and of the kernel's log, with labels and a few directives;
//! `README.md` in this folder describes it. Sources are hostile input: every mistake is an error with
//! its line and column, several at once.
//!
//! ```
//! use skep_asm::{Options, assemble};
//! let source = "
//!     .map counts array key 4 value 8 entries 16
//!     .prog pass xdp
//!         r0 = 2
//!         exit
//! ";
//! let object = assemble(source, &Options::default()).unwrap();
//! assert_eq!(object.programs[0].insns.len(), 2);
//! ```

mod assemble;
mod builder;
pub mod cases;
mod cursor;
mod debug;
mod decl;
mod directive;
mod dis;
mod dis_insn;
mod elf;
mod elf_btf;
mod elf_code;
mod elf_data;
mod elf_error;
mod elf_section;
mod error;
mod lex;
mod link;
mod mnemonic;
mod parse;
mod parse_alu;
mod parse_memory;
mod source;
mod types;

pub use assemble::{Options, assemble, assemble_program};
pub use builder::{BuildError, Builder, Label};
pub use dis::{disassemble, disassemble_program};
pub use elf::write_elf;
pub use elf_error::ElfError;
pub use error::{AsmError, AsmErrors};
