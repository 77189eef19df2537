//! Function and line records of BTF.ext, by section, and their rewriting for linked programs.

use crate::code::Code;
use crate::elf::Elf;
use crate::link::Part;
use rustc_hash::FxHashMap;
use skep_btf::{Btf, BtfExt, SecRecords};
use skep_spec::{FuncInfo, LineInfo};

/// The records of an object, offsets in slots of their section.
#[derive(Debug, Default)]
pub(crate) struct Info {
    funcs: FxHashMap<usize, Vec<FuncInfo>>,
    lines: FxHashMap<usize, Vec<LineInfo>>,
}

impl Info {
    /// Sorts the records by section.
    pub(crate) fn new(elf: &Elf<'_>, btf: &Btf, ext: &BtfExt) -> Info {
        let funcs = by_section(elf, btf, &ext.funcs, |f| FuncInfo {
            insn_off: f.insn_off / 8,
            type_id: f.ty.0,
        });
        let lines = by_section(elf, btf, &ext.lines, |l| LineInfo {
            insn_off: l.insn_off / 8,
            file_name_off: l.file,
            line_off: l.text,
            line_col: l.line_col,
        });
        let mut info = Info { funcs, lines };
        let sorted = |list: &mut Vec<FuncInfo>| list.sort_by_key(|r| r.insn_off);
        info.funcs.values_mut().for_each(sorted);
        info.lines
            .values_mut()
            .for_each(|list| list.sort_by_key(|r| r.insn_off));
        info
    }

    /// The function records of a linked program: none if the main function has none, as libbpf
    /// then leaves all out.
    pub(crate) fn funcs(&self, code: &Code, parts: &[Part]) -> Vec<FuncInfo> {
        let shift = |r: &FuncInfo, off| FuncInfo {
            insn_off: off,
            ..*r
        };
        gather(&self.funcs, code, parts, |r| r.insn_off, shift)
    }

    /// The line records of a linked program.
    pub(crate) fn lines(&self, code: &Code, parts: &[Part]) -> Vec<LineInfo> {
        let shift = |r: &LineInfo, off| LineInfo {
            insn_off: off,
            ..*r
        };
        gather(&self.lines, code, parts, |r| r.insn_off, shift)
    }
}

/// The records by ELF section; of several groups for one section the first counts.
fn by_section<T, U>(
    elf: &Elf<'_>,
    btf: &Btf,
    groups: &[SecRecords<T>],
    convert: impl Fn(&T) -> U,
) -> FxHashMap<usize, Vec<U>> {
    let mut map = FxHashMap::default();
    for group in groups {
        let name = btf.string(group.section).unwrap_or("");
        if let Some((index, _)) = elf.section(name).filter(|_| !name.is_empty()) {
            map.entry(index)
                .or_insert_with(|| group.records.iter().map(&convert).collect());
        }
    }
    map
}

fn gather<T>(
    records: &FxHashMap<usize, Vec<T>>,
    code: &Code,
    parts: &[Part],
    offset: impl Fn(&T) -> u32,
    shift: impl Fn(&T, u32) -> T,
) -> Vec<T> {
    let mut out = Vec::new();
    for part in parts {
        let Some(function) = code.functions.get(part.function) else {
            continue;
        };
        let list = records
            .get(&function.section)
            .map_or(&[][..], Vec::as_slice);
        let from = list.partition_point(|r| (offset(r) as usize) < function.start);
        let to = list.partition_point(|r| (offset(r) as usize) < function.start + function.len);
        let own = list.get(from..to).unwrap_or(&[]);
        if own.is_empty() && out.is_empty() {
            return out;
        }
        out.extend(own.iter().map(|r| {
            let moved = offset(r) as usize - function.start + part.offset;
            shift(r, moved as u32)
        }));
    }
    out
}
