//! Tests of the instruction set, from RFC 9669 and the protocol of the conformance plugins.
//!
//! They stand in `corpus/conformance/*.txt`, with expected values from the standard's text and plain
//! arithmetic, so that no engine is measured by another. A test is a name in brackets, its memory if it
//! has one, its program as assembly text, and a last line that claims a result or a refusal:
//!
//! ```text
//! [add 64 imm: wraps]
//! memory 01 02
//! r0 = -1
//! r0 += 1
//! exit
//! = 0x0
//! ```
//!
//! At its start r1 is the memory and r2 its length; helper 5 returns its argument, and there is no other.
//! A refused program ends in `! WORD`, a word of why.

use std::fmt;

use skep_asm::{Options, assemble_program};
use skep_isa::{CallTarget, Imm64, Insn, ProgramError, RawInsn, Reg, check_program};
use skep_spec::ProgType;

/// The helper that returns its argument.
pub const IDENTITY: i32 = 5;

/// What a test claims.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The program returns this in r0.
    R0(u64),
    /// The program is refused; its error contains this.
    Refused(String),
}

/// One test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// The file it stands in, without folder and ending.
    pub file: &'static str,
    /// Its name: instruction, then what is special.
    pub name: String,
    /// Memory at r1; may be empty.
    pub memory: Vec<u8>,
    /// The program.
    pub slots: Vec<RawInsn>,
    /// What is claimed.
    pub expect: Expect,
}

/// Why a program cannot take part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is no program.
    Program(ProgramError),
    /// It needs what the protocol does not have: which instruction, and what.
    Lacking(usize, &'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Program(error) => error.fmt(f),
            Refusal::Lacking(at, what) => write!(f, "instruction {at} needs {what}"),
        }
    }
}

impl std::error::Error for Refusal {}

const FILES: [(&str, &str); 8] = [
    ("arithmetic", include_str!("../conformance/arithmetic.txt")),
    ("atomics", include_str!("../conformance/atomics.txt")),
    ("bits", include_str!("../conformance/bits.txt")),
    ("calls", include_str!("../conformance/calls.txt")),
    ("jumps", include_str!("../conformance/jumps.txt")),
    ("memory", include_str!("../conformance/memory.txt")),
    ("moves", include_str!("../conformance/moves.txt")),
    ("refused", include_str!("../conformance/refused.txt")),
];

/// All tests, file by file.
///
/// # Errors
/// A test that cannot be read, by name.
pub fn cases() -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for (file, text) in FILES {
        for block in text.split("\n\n").filter(|block| block.starts_with('[')) {
            let name = block.lines().next().unwrap_or_default();
            cases.push(case(file, block).ok_or_else(|| format!("{file}.txt: {name}"))?);
        }
    }
    Ok(cases)
}

fn case(file: &'static str, block: &str) -> Option<Case> {
    let mut lines = block.trim_end().lines();
    let name = lines
        .next()?
        .strip_prefix('[')?
        .strip_suffix(']')?
        .to_owned();
    let claim = lines.next_back()?;
    let expect = match (claim.strip_prefix("= 0x"), claim.strip_prefix("! ")) {
        (Some(digits), _) => Expect::R0(u64::from_str_radix(digits, 16).ok()?),
        (None, Some(why)) => Expect::Refused(why.to_owned()),
        (None, None) => return None,
    };
    let mut memory = Vec::new();
    let mut program = String::new();
    for line in lines {
        match line.strip_prefix("memory ") {
            Some(digits) => memory = hex(digits)?,
            None => {
                program.push_str(line);
                program.push('\n');
            }
        }
    }
    let slots = if program.is_empty() {
        Vec::new()
    } else {
        let options = Options {
            debug_info: false,
            ..Options::default()
        };
        assemble_program(&name, ProgType::Unspec, &program, &options)
            .ok()?
            .insns
    };
    Some(Case {
        file,
        name,
        memory,
        slots,
        expect,
    })
}

/// Bytes from pairs of hex digits, with white space between them or not.
pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| Some(c.to_digit(16)? as u8))
        .collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// A program of the protocol as an ordinary one: checked, and its calls of [`IDENTITY`] turned into what
/// they do, which is to copy r1 to r0.
///
/// # Errors
/// What is no program, or needs maps, helpers or kernel functions.
pub fn ready(slots: &[RawInsn]) -> Result<Vec<RawInsn>, Refusal> {
    let insns = check_program(slots).map_err(Refusal::Program)?;
    let mut ready = slots.to_vec();
    for (at, insn) in insns.iter().enumerate() {
        let lacking = match insn {
            Insn::Call(CallTarget::Helper(IDENTITY)) => {
                if let Some(slot) = ready.get_mut(at) {
                    *slot = RawInsn::new(MOV_REG, Reg::R0 as u8, Reg::R1 as u8, 0, 0);
                }
                continue;
            }
            Insn::Call(CallTarget::Helper(_)) => "a helper other than 5",
            Insn::Call(CallTarget::Kfunc { .. }) => "a kernel function",
            Insn::CallReg(_) => "a call through a register",
            Insn::LoadPacket { .. } => "a packet",
            Insn::AddrSpaceCast { .. } => "an address space",
            Insn::LoadImm64 { imm, .. } => match imm {
                Imm64::Value(_) | Imm64::Func(_) => continue,
                Imm64::Map(_)
                | Imm64::MapValue { .. }
                | Imm64::MapIdx(_)
                | Imm64::MapIdxValue { .. } => "a map",
                Imm64::BtfVar { .. } => "a variable of the kernel",
            },
            Insn::Alu { .. }
            | Insn::MovSx { .. }
            | Insn::Neg { .. }
            | Insn::Endian { .. }
            | Insn::Imm64Hi
            | Insn::Load { .. }
            | Insn::Store { .. }
            | Insn::Atomic { .. }
            | Insn::LoadAcquire { .. }
            | Insn::StoreRelease { .. }
            | Insn::Jump { .. }
            | Insn::Goto { .. }
            | Insn::MayGoto { .. }
            | Insn::Call(CallTarget::Subprog(_))
            | Insn::Exit => continue,
        };
        return Err(Refusal::Lacking(at, lacking));
    }
    Ok(ready)
}

/// `r0 = r1` and its kin: a 64-bit move from a register.
const MOV_REG: u8 = 0xbf;
