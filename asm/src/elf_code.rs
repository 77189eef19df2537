//! A program's slots taken apart into functions, as objects hold them: each function is relative to
//! nothing but its own start, and what it refers to outside is a list of references.

use rustc_hash::FxHashMap;
use skep_btf::{FuncLinkage, Type, TypeId};
use skep_isa::{Insn, RawInsn, decode, opcode, pseudo};
use skep_spec::{LineInfo, ProgramSpec};

use crate::elf_error::ElfError;

/// What a slot refers to outside of its function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refers {
    /// A map of the program, by index.
    Map(usize),
    /// The value of a map of the program; the offset is in the slot.
    MapValue(usize),
    /// A function that is called, by its name in the object.
    Call(String),
    /// A function whose address is taken.
    Address(String),
    /// A kernel function, by BTF id.
    Kfunc(u32),
    /// A kernel variable, by BTF id.
    Ksym(u32),
}

/// One function.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) name: String,
    /// Whether it is the program's main function.
    pub(crate) main: bool,
    pub(crate) global: bool,
    pub(crate) insns: Vec<RawInsn>,
    pub(crate) refers: Vec<(usize, Refers)>,
    /// BTF id of its `FUNC`, or 0.
    pub(crate) func_id: u32,
    /// Lines with slots from the function's start.
    pub(crate) lines: Vec<LineInfo>,
}

/// Takes a program apart; the main function comes first.
pub(crate) fn split(program: &ProgramSpec) -> Result<Vec<Piece>, ElfError> {
    let starts = function_starts(program)?;
    let ids: FxHashMap<usize, u32> = program
        .func_info
        .iter()
        .map(|info| (info.insn_off as usize, info.type_id))
        .collect();
    let funcs: Vec<Option<(String, FuncLinkage)>> = starts
        .iter()
        .map(|start| func(program, *ids.get(start)?))
        .collect();
    let names: FxHashMap<usize, String> = starts
        .iter()
        .zip(&funcs)
        .map(|(start, func)| (*start, name(program, *start, func.as_ref())))
        .collect();
    let mut lines = program.line_info.clone();
    lines.sort_by_key(|line| line.insn_off);
    let mut pieces = Vec::with_capacity(starts.len());
    for (i, (start, func)) in starts.iter().zip(&funcs).enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(program.insns.len());
        let line_at = |slot: usize| lines.partition_point(|l| (l.insn_off as usize) < slot);
        let inside = lines
            .get(line_at(*start)..line_at(end))
            .unwrap_or(&[])
            .iter();
        let relative = |l: &LineInfo| LineInfo {
            insn_off: l.insn_off - *start as u32,
            ..*l
        };
        let mut piece = Piece {
            name: names.get(start).cloned().unwrap_or_default(),
            main: *start == 0,
            global: *start == 0 || matches!(func, Some((_, FuncLinkage::Global))),
            insns: program.insns.get(*start..end).unwrap_or(&[]).to_vec(),
            refers: Vec::new(),
            func_id: ids.get(start).copied().unwrap_or(0),
            lines: inside.map(relative).collect(),
        };
        detach(&mut piece, program, *start, &names)?;
        pieces.push(piece);
    }
    Ok(pieces)
}

fn error(program: &ProgramSpec, insn_idx: usize, what: &'static str) -> ElfError {
    ElfError::NoForm {
        program: program.name.clone(),
        insn_idx,
        what,
    }
}

/// Slots that begin functions: the first, what calls and addresses point to, and what BTF says begins
/// one (nothing points to exception callbacks).
fn function_starts(program: &ProgramSpec) -> Result<Vec<usize>, ElfError> {
    let told = program.func_info.iter().map(|info| info.insn_off as usize);
    let mut starts = vec![0];
    starts.extend(told.filter(|start| *start < program.insns.len()));
    let mut second = false;
    for (idx, raw) in program.insns.iter().enumerate() {
        if std::mem::take(&mut second) {
            continue;
        }
        second = raw.is_ld_imm64();
        if let Some(slot) = function_slot(raw, idx) {
            let slot = usize::try_from(slot)
                .ok()
                .filter(|slot| *slot < program.insns.len());
            let what = "a call to outside of the program";
            starts.push(slot.ok_or_else(|| error(program, idx, what))?);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    Ok(starts)
}

fn is_call(raw: &RawInsn, kind: u8) -> bool {
    raw.code == opcode::CALL && raw.src() == kind
}

/// The slot that a call or address points to.
fn function_slot(raw: &RawInsn, idx: usize) -> Option<i64> {
    let points = is_call(raw, pseudo::CALL) || (raw.is_ld_imm64() && raw.src() == pseudo::FUNC);
    points.then(|| idx as i64 + 1 + i64::from(raw.imm))
}

/// Replaces what points outside by references.
fn detach(
    piece: &mut Piece,
    program: &ProgramSpec,
    start: usize,
    names: &FxHashMap<usize, String>,
) -> Result<(), ElfError> {
    let mut at = 0;
    while at < piece.insns.len() {
        let idx = start + at;
        let insn = decode(&piece.insns, at).ok();
        let jump = insn.as_ref().and_then(Insn::jump_off);
        let lands = jump.map(|off| at as i64 + 1 + i64::from(off));
        if lands.is_some_and(|slot| slot < 0 || slot >= piece.insns.len() as i64) {
            return Err(error(program, idx, "a jump into another function"));
        }
        let slots = insn.map_or(1, |insn| insn.slots());
        if let Some(refers) = reference(&mut piece.insns, at, program, idx, names)? {
            piece.refers.push((at, refers));
        }
        at += slots;
    }
    Ok(())
}

/// Takes the reference out of a slot.
fn reference(
    insns: &mut [RawInsn],
    at: usize,
    program: &ProgramSpec,
    idx: usize,
    names: &FxHashMap<usize, String>,
) -> Result<Option<Refers>, ElfError> {
    let Some((raw, rest)) = insns.get_mut(at..).and_then(|tail| tail.split_first_mut()) else {
        return Ok(None);
    };
    let slot = *raw;
    let function = function_slot(&slot, idx).and_then(|slot| names.get(&(slot as usize)).cloned());
    if let Some(name) = function {
        if slot.is_ld_imm64() {
            *raw = RawInsn {
                imm: 0,
                ..slot.with_src(0)
            };
            return Ok(Some(Refers::Address(name)));
        }
        raw.imm = -1;
        return Ok(Some(Refers::Call(name)));
    }
    if is_call(&slot, pseudo::KFUNC_CALL) {
        if slot.off != 0 {
            return Err(error(program, idx, "a kernel function of a module"));
        }
        *raw = RawInsn {
            imm: -1,
            ..slot.with_src(pseudo::CALL)
        };
        return Ok(Some(Refers::Kfunc(slot.imm as u32)));
    }
    if !slot.is_ld_imm64() || slot.src() == 0 {
        return Ok(None);
    }
    let Some(second) = rest.first_mut() else {
        return Ok(None);
    };
    let map = || {
        let index = usize::try_from(slot.imm)
            .ok()
            .filter(|i| *i < program.maps.len());
        index.ok_or_else(|| error(program, idx, "a map that the program does not have"))
    };
    let refers = match slot.src() {
        pseudo::MAP_FD => Refers::Map(map()?),
        pseudo::MAP_VALUE => Refers::MapValue(map()?),
        pseudo::BTF_ID if second.imm == 0 => Refers::Ksym(slot.imm as u32),
        pseudo::BTF_ID => return Err(error(program, idx, "a kernel variable of a module")),
        _ => return Err(error(program, idx, "a 64-bit immediate of this kind")),
    };
    // The offset into a value stands in the first slot of an object, in the second of a request.
    let offset = if matches!(refers, Refers::MapValue(_)) {
        second.imm
    } else {
        0
    };
    *raw = RawInsn {
        imm: offset,
        ..slot.with_src(0)
    };
    second.imm = 0;
    Ok(Some(refers))
}

fn name(program: &ProgramSpec, start: usize, func: Option<&(String, FuncLinkage)>) -> String {
    match func {
        _ if start == 0 => program.name.clone(),
        Some((name, _)) if !name.is_empty() => name.clone(),
        _ => format!("{}.sub_{start}", program.name),
    }
}

fn func(program: &ProgramSpec, id: u32) -> Option<(String, FuncLinkage)> {
    match program.btf.as_ref()?.ty(TypeId(id)) {
        Ok(Type::Func(func)) => Some((func.name().to_owned(), func.linkage)),
        _ => None,
    }
}
