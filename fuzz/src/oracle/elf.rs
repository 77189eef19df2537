//! Two readers of ELF: what this project's loader takes for the programs of an object, another reader
//! (goblin) must find as functions of the same names, sections, lengths and opcodes.

use goblin::elf::{Elf, sym};
use skep_isa::{opcode, pseudo};
use skep_loader::{Options, open};
use skep_spec::ProgramSpec;

use super::readers::elf_of;
use super::{Finding, Judged, Outcome};
use crate::Rng;
use crate::damage::damage_bytes;

pub(super) fn judge(spec: &ProgramSpec, seed: u64) -> Judged {
    let Some(mut bytes) = elf_of(spec) else {
        return Judged::new(Outcome::Skipped("it cannot be written as an object"));
    };
    let mut rng = Rng::new(seed ^ 0xe1f);
    if rng.chance(50) {
        damage_bytes(&mut bytes, false, &mut rng);
        return Judged::new(elf_readers_agree(&bytes));
    }
    let outcome = match open("object.bpf.o", &bytes, &Options::default()) {
        Ok(object) => match object.programs.as_slice() {
            [program] if main_opcodes(program, spec) == main_opcodes(spec, spec) => {
                compare(&bytes, true)
            }
            [_] => Outcome::Found(Finding::new("the program is another one when it is read")),
            programs => Outcome::Found(Finding::new(format!(
                "one program was written and {} are read",
                programs.len()
            ))),
        },
        Err(error) => Outcome::Found(Finding::new(format!(
            "what was written is refused: {error}"
        ))),
    };
    Judged::new(outcome)
}

/// Opcodes of the main function, which `spec` says where it ends. Subprograms may be put into another
/// order, and those that nothing calls are dropped.
fn main_opcodes(program: &ProgramSpec, spec: &ProgramSpec) -> Vec<u8> {
    let calls = spec.insns.iter().enumerate().filter_map(|(at, insn)| {
        let calls = insn.code == opcode::CALL && insn.src() == pseudo::CALL;
        let named = insn.is_ld_imm64() && insn.src() == pseudo::FUNC;
        let target = at as i64 + 1 + i64::from(insn.imm);
        usize::try_from(target).ok().filter(|_| calls || named)
    });
    let known = spec.func_info.iter().map(|info| info.insn_off as usize);
    let ends = calls.chain(known).filter(|start| *start != 0);
    let end = ends.min().unwrap_or(spec.insns.len());
    let main = program.insns.get(..end).unwrap_or(&program.insns);
    main.iter().map(|insn| insn.code).collect()
}

/// Reads an object with both.
pub fn elf_readers_agree(bytes: &[u8]) -> Outcome {
    compare(bytes, false)
}

/// `whole` says that nothing was damaged: then each program has a symbol.
fn compare(bytes: &[u8], whole: bool) -> Outcome {
    let Ok(object) = open("object.bpf.o", bytes, &Options::default()) else {
        return Outcome::Skipped("it is no object");
    };
    // A reader that looks at what is of no use here may be stricter.
    let Ok(elf) = Elf::parse(bytes) else {
        return Outcome::Skipped("the other reader refuses it");
    };
    for program in &object.programs {
        match fault(&elf, bytes, program) {
            None => {}
            Some(what) if what == NAMELESS && !whole => {}
            Some(what) => {
                let text = format!("{}: {what}", program.name);
                return Outcome::Found(Finding { kind: what, text });
            }
        }
    }
    Outcome::Fine
}

/// No symbol has the program's name: the loader then names it after its section.
const NAMELESS: &str = "it has no such function";

/// How the other reader sees a program, if it sees another one.
fn fault(elf: &Elf<'_>, bytes: &[u8], program: &ProgramSpec) -> Option<String> {
    let named = elf.syms.iter().filter(|symbol| {
        symbol.st_type() == sym::STT_FUNC
            && elf.strtab.get_at(symbol.st_name) == Some(program.name.as_str())
    });
    let mut seen = None;
    for symbol in named {
        let Some(header) = elf.section_headers.get(symbol.st_shndx) else {
            continue;
        };
        // A damaged name is read as it can be by one and not at all by the other.
        let Some(section) = elf.shdr_strtab.get_at(header.sh_name) else {
            continue;
        };
        if section != program.section {
            seen = seen.or(Some(format!("it lies in another section, {section}")));
            continue;
        }
        let from = header.sh_offset.checked_add(symbol.st_value);
        let to = from.and_then(|from| from.checked_add(symbol.st_size));
        let range = usize::try_from(from?).ok()?..usize::try_from(to?).ok()?;
        let Some(code) = bytes.get(range) else {
            return Some("its code lies outside of the file".to_owned());
        };
        let theirs = code.chunks_exact(8).map(|slot| slot.first().copied());
        let ours = program.insns.iter().map(|insn| Some(insn.code));
        // Subprograms of other sections follow behind; CO-RE may put other instructions in place.
        let same = program.insns.len() >= code.len() / 8
            && (has_core(elf) || theirs.zip(ours).all(|(theirs, ours)| theirs == ours));
        if same {
            return None;
        }
        seen = Some("its code is another".to_owned());
    }
    Some(seen.unwrap_or_else(|| NAMELESS.to_owned()))
}

fn has_core(elf: &Elf<'_>) -> bool {
    let mut names = elf
        .section_headers
        .iter()
        .filter_map(|header| elf.shdr_strtab.get_at(header.sh_name));
    names.any(|name| name == ".BTF.ext")
}
