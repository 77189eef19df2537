//! Programs from their parts: type, linked code with maps and externs filled in, records, needs.

use crate::Options;
use crate::code::Function;
use crate::elf::MAX_NAME;
use crate::error::Error;
use crate::kconfig::has_enum_value;
use crate::kernel::{self, Resolution};
use crate::link::{Linked, Linker};
use crate::open::Parts;
use crate::refs::Ref;
use crate::struct_ops::Attach;
use rustc_hash::{FxHashMap, FxHashSet};
use skep_btf::{Btf, Type};
use skep_isa::{InsnIdx, RawInsn, opcode, pseudo};
use skep_spec::tables::sec_rules::{SecRule, sec_rule, sloppy_rule};
use skep_spec::{AttachType, MapSpec, ProgType, ProgramSpec, Unresolved};
use std::sync::Arc;

/// All slots of all programs of an object; far more than real objects have.
const MAX_TOTAL_SLOTS: usize = 16 << 20;

/// The number of the helper call that stands for a missing kernel function, to which libbpf adds
/// the extern's index.
const MISSING_FUNC: i32 = 2_002_000_000;

/// Links and completes every program.
pub(crate) fn assemble(parts: &Parts<'_>, options: &Options) -> Result<Vec<ProgramSpec>, Error> {
    let names = |index: usize| parts.elf.section_name(index).to_string();
    let mut linker = Linker {
        code: &parts.code,
        refs: &parts.refs,
        names: &names,
        budget: MAX_TOTAL_SLOTS,
    };
    let callbacks = exception_callbacks(parts)?;
    let mut programs = Vec::new();
    for (index, function) in parts.code.functions.iter().enumerate() {
        if !function.entry {
            continue;
        }
        let extra: Vec<usize> = callbacks
            .get(function.name.as_str())
            .copied()
            .into_iter()
            .collect();
        let linked = linker.link(index, &extra)?;
        programs.push(Maker { parts, options }.program(index, function, linked));
    }
    Ok(programs)
}

/// The function that handles each program's exceptions (`exception_callback:NAME` tags).
fn exception_callbacks<'p>(parts: &'p Parts<'_>) -> Result<FxHashMap<&'p str, usize>, Error> {
    let mut found = FxHashMap::default();
    let Some(btf) = parts.types.as_deref() else {
        return Ok(found);
    };
    let mut globals = FxHashMap::default();
    for (index, function) in parts.code.functions.iter().enumerate() {
        if !function.entry && function.global && !function.hidden {
            globals.entry(function.name.as_str()).or_insert(index);
        }
    }
    for (_, ty) in btf.types() {
        let Some(tag) = ty.as_decl_tag().filter(|t| t.component.is_none()) else {
            continue;
        };
        let Some(callback) = tag.name().strip_prefix("exception_callback:") else {
            continue;
        };
        let Type::Func(program) = btf.ty(tag.ty)? else {
            continue;
        };
        let Some(&function) = globals.get(callback) else {
            let callback: String = callback.chars().take(MAX_NAME).collect();
            let why = format!("exception callback `{callback}` is no global function");
            return Err(Error::program(program.name(), why));
        };
        if found
            .insert(program.name(), function)
            .is_some_and(|other| other != function)
        {
            // The verifier will complain of two; neither is appended.
            found.remove(program.name());
        }
    }
    Ok(found)
}

struct Maker<'a> {
    parts: &'a Parts<'a>,
    options: &'a Options,
}

impl Maker<'_> {
    fn program(&self, index: usize, function: &Function, linked: Linked) -> ProgramSpec {
        let parts = self.parts;
        let full = parts.elf.section_name(function.section);
        let section = full.strip_prefix('?').unwrap_or(full);
        let mut program = ProgramSpec::new(&function.name, ProgType::Unspec, Vec::new());
        program.section = section.to_string();
        program.autoload = !full.starts_with('?');
        program.license.clone_from(&parts.license);
        program.btf.clone_from(&parts.btf);
        program.func_info = parts.info.funcs(&parts.code, &linked.parts);
        program.line_info = parts.info.lines(&parts.code, &linked.parts);
        self.set_type(&mut program, index);
        self.fill_in(&mut program, linked);
        program
    }

    fn set_type(&self, program: &mut ProgramSpec, index: usize) {
        let loose = || sloppy_rule(&program.section).filter(|_| self.parts.is_old);
        let Some(rule) = sec_rule(&program.section).or_else(loose) else {
            let what = format!(
                "program type: section `{}` does not tell it",
                program.section
            );
            program.unresolved.push(Unresolved { insn_idx: 0, what });
            return;
        };
        program.ty = rule.ty;
        program.attach = rule.attach;
        program.flags = rule.flags;
        // The attach target stands behind the first slash.
        let target = program
            .section
            .split_once('/')
            .map_or("", |(_, target)| target);
        program.attach_to = target.to_string();
        if let Err(what) = self.set_attach(program, rule, index) {
            program.unresolved.push(Unresolved { insn_idx: 0, what });
        }
    }

    fn set_attach(
        &self,
        program: &mut ProgramSpec,
        rule: &SecRule,
        index: usize,
    ) -> Result<(), String> {
        let kernel = self.options.kernel_btf.as_deref();
        if rule.usdt && kernel.is_none_or(knows_uprobe_multi) {
            program.attach = AttachType::TraceUprobeMulti;
        }
        if rule.ty == ProgType::StructOps {
            match self.parts.struct_ops.programs.get(&index) {
                Some(Attach::Member { struct_id, index }) => {
                    program.attach_btf_id = *struct_id;
                    // For struct_ops the number is a member's, whatever the variant is called.
                    program.attach = AttachType::new(*index).ok_or_else(|| {
                        format!("struct_ops member {index} has too high a number")
                    })?;
                }
                Some(Attach::Unknown(why)) => return Err(why.clone()),
                None => return Err("struct_ops program is in no struct_ops value".to_string()),
            }
        }
        if rule.attaches_to_btf {
            if rule.ty == ProgType::Ext {
                let what = format!("target program with a function `{}`", program.attach_to);
                return Err(what);
            }
            program.attach_btf_id = kernel::attach_id(kernel, rule.attach, &program.attach_to)?;
        }
        Ok(())
    }

    /// Fills maps and externs into the linked code, and collects what is still needed.
    fn fill_in(&self, program: &mut ProgramSpec, linked: Linked) {
        let parts = self.parts;
        let mut filler = Filler {
            parts,
            insns: linked.insns,
            maps: Vec::new(),
            map_index: FxHashMap::default(),
            filled: FxHashSet::default(),
            unresolved: Vec::new(),
        };
        for part in &linked.parts {
            let Some(function) = parts.code.functions.get(part.function) else {
                continue;
            };
            let (start, len) = (function.start, function.len);
            for (slot, found) in parts.refs.range(function.section, start, len) {
                filler.apply(part.offset + slot - start, found);
            }
            let own = (function.section, start)..(function.section, start + len);
            for ((_, slot), what) in parts.core.needs.range(own.clone()) {
                filler.need(part.offset + slot - start, what.clone());
            }
            for ((_, slot), access) in parts.core.accesses.range(own) {
                let at = part.offset + slot - start;
                program.core.push((at, Arc::clone(access)));
            }
        }
        filler.forget_raw_maps();
        program.insns = filler.insns;
        program.maps = filler.maps;
        filler.unresolved.sort_by_key(|u| u.insn_idx);
        program.unresolved.append(&mut filler.unresolved);
    }
}

/// Whether the kernel can attach to many user probes at once, which libbpf then uses for USDT.
fn knows_uprobe_multi(kernel: &Btf) -> bool {
    has_enum_value(kernel, "bpf_attach_type", "BPF_TRACE_UPROBE_MULTI")
}

struct Filler<'a> {
    parts: &'a Parts<'a>,
    insns: Vec<RawInsn>,
    maps: Vec<Arc<MapSpec>>,
    /// Position in `maps` by index in the object.
    map_index: FxHashMap<usize, i32>,
    /// Slots that a relocation has filled in.
    filled: FxHashSet<InsnIdx>,
    unresolved: Vec<Unresolved>,
}

impl Filler<'_> {
    fn need(&mut self, insn_idx: InsnIdx, what: String) {
        self.unresolved.push(Unresolved { insn_idx, what });
    }

    /// A load of a map by a number that the compiler wrote down names a descriptor of nobody.
    fn forget_raw_maps(&mut self) {
        let mut at = 0;
        while let Some(insn) = self.insns.get_mut(at) {
            let wide = insn.is_ld_imm64();
            let is_map = wide && matches!(insn.src(), pseudo::MAP_FD | pseudo::MAP_VALUE);
            if is_map && !self.filled.contains(&at) {
                insn.imm = -1;
            }
            at += 1 + usize::from(wide);
        }
    }

    /// Puts the halves of a 64-bit load, and what its source register field says they mean.
    fn put_load(&mut self, at: usize, src: u8, low: i32, high: i32) {
        self.filled.insert(at);
        if let Some(insn) = self.insns.get_mut(at) {
            *insn = insn.with_src(src);
            insn.imm = low;
        }
        if let Some(next) = self.insns.get_mut(at + 1) {
            next.imm = high;
        }
    }

    fn put_call(&mut self, at: usize, call: RawInsn) {
        if let Some(insn) = self.insns.get_mut(at) {
            *insn = call;
        }
    }

    /// The program's number of a map of the object.
    fn map(&mut self, index: usize) -> i32 {
        if let Some(number) = self.map_index.get(&index) {
            return *number;
        }
        let Some(map) = self.parts.maps.get(index) else {
            return -1;
        };
        let number = self.maps.len() as i32;
        self.maps.push(Arc::clone(map));
        self.map_index.insert(index, number);
        number
    }

    fn apply(&mut self, at: usize, found: &Ref) {
        let insn = self.insns.get(at).copied().unwrap_or_default();
        match found {
            // The linker has done these.
            Ref::Call { .. } | Ref::FuncAddr { .. } => {}
            Ref::Map(map) => {
                let map = self.map(*map);
                let high = self.insns.get(at + 1).map_or(0, |n| n.imm);
                self.put_load(at, pseudo::MAP_FD, map, high);
            }
            Ref::Data { map, offset } => {
                let map = self.map(*map);
                let offset = i64::from(insn.imm).wrapping_add(*offset as i64) as i32;
                self.put_load(at, pseudo::MAP_VALUE, map, offset);
            }
            Ref::Extern(index) => self.apply_extern(at, insn, *index),
            Ref::Undeclared(name) => {
                self.need(
                    at,
                    format!("definition of `{name}`, which another object holds"),
                );
            }
        }
    }

    fn apply_extern(&mut self, at: usize, insn: RawInsn, index: usize) {
        let is_call = insn.code == opcode::CALL;
        let resolution = self.parts.resolutions.get(index).cloned();
        match resolution.unwrap_or_else(|| Resolution::Unknown("external symbol".to_string())) {
            Resolution::Config => self.put_config(at, index),
            Resolution::Id(id) if is_call => {
                self.put_call(
                    at,
                    RawInsn::new(opcode::CALL, 0, pseudo::KFUNC_CALL, 0, id as i32),
                );
            }
            Resolution::Id(id) => self.put_load(at, pseudo::BTF_ID, id as i32, 0),
            Resolution::MissingFunc if is_call => {
                let imm = MISSING_FUNC.saturating_add(index as i32);
                self.put_call(at, RawInsn::new(opcode::CALL, 0, 0, 0, imm));
            }
            Resolution::MissingFunc => self.put_load(at, 0, 0, 0),
            Resolution::Address(address) => {
                self.put_load(at, 0, address as i32, (address >> 32) as i32);
            }
            Resolution::Unknown(what) => {
                let ext = self.parts.externs.list.get(index);
                let is_config = ext
                    .is_some_and(|e| matches!(e.kind, crate::externs::ExternKind::Config { .. }));
                if is_config {
                    self.put_config(at, index);
                } else if is_call {
                    self.put_call(at, RawInsn::new(opcode::CALL, 0, pseudo::KFUNC_CALL, 0, 0));
                }
                self.need(at, what);
            }
        }
    }

    /// A load of the address of a configuration value.
    fn put_config(&mut self, at: usize, index: usize) {
        let ext = self.parts.externs.list.get(index).map(|e| e.kind);
        let (Some(crate::externs::ExternKind::Config { offset, .. }), Some(map)) =
            (ext, self.parts.kconfig)
        else {
            return;
        };
        let map = self.map(map);
        self.put_load(at, pseudo::MAP_VALUE, map, offset as i32);
    }
}
