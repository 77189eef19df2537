//! Load requests to source text that assembles to the same requests.
//!
//! Instructions, maps, type, flags and names come back as they were. Of BTF only the ids come back, of
//! functions and of map keys and values: the assembler is given the BTF they refer to. Line
//! information is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use skep_btf::{Type, TypeId};
use skep_isa::{CallTarget, Imm64, Insn, RawInsn, decode, encode};
use skep_spec::tables::helpers;
use skep_spec::{AttachType, MapFlags, MapSpec, ObjectSpec, ProgFlags, ProgramSpec};

use crate::dis_insn::{Around, Shown};
use crate::lex::quote;
use crate::parse::register;

/// The source of an object: its maps, then its programs.
pub fn disassemble(object: &ObjectSpec) -> String {
    let mut maps = Maps::default();
    object.maps.iter().for_each(|map| maps.add(map));
    let mut out = format!(".license {}\n", quote(&object.license));
    write_programs(&mut out, maps, &object.programs, &object.license);
    out
}

/// The source of one program and its maps.
pub fn disassemble_program(program: &ProgramSpec) -> String {
    let mut out = format!(".license {}\n", quote(&program.license));
    write_programs(
        &mut out,
        Maps::default(),
        std::slice::from_ref(program),
        &program.license,
    );
    out
}

fn write_programs(out: &mut String, mut maps: Maps, programs: &[ProgramSpec], license: &str) {
    for program in programs {
        program.maps.iter().for_each(|map| maps.add(map));
    }
    for (map, name) in &maps.list {
        let _ = writeln!(out, ".map {name}{}", map_text(map, name));
    }
    // A name stands once in a source; the kernel would not mind a second one.
    let mut taken = FxHashSet::default();
    for program in programs {
        let name = free_name(&program.name, &mut taken);
        write_program(out, program, &name, &maps, license);
    }
}

/// Maps with the names that the source gives them.
#[derive(Default)]
struct Maps {
    list: Vec<(Arc<MapSpec>, String)>,
    known: FxHashMap<*const MapSpec, usize>,
    names: FxHashSet<String>,
}

impl Maps {
    fn add(&mut self, map: &Arc<MapSpec>) {
        if self.known.contains_key(&Arc::as_ptr(map)) {
            return;
        }
        let name = free_name(
            if map.name.is_empty() {
                "map"
            } else {
                &map.name
            },
            &mut self.names,
        );
        self.known.insert(Arc::as_ptr(map), self.list.len());
        self.list.push((map.clone(), name));
    }

    fn name(&self, map: &Arc<MapSpec>) -> Option<&str> {
        let (_, name) = self.list.get(*self.known.get(&Arc::as_ptr(map))?)?;
        Some(name)
    }
}

/// The name, quoted where needed, or if it is taken the name with a number behind.
fn free_name(name: &str, taken: &mut FxHashSet<String>) -> String {
    let mut free = quote(name);
    let mut number = taken.len();
    while !taken.insert(free.clone()) {
        number += 1;
        free = quote(&format!("{name}.{number}"));
    }
    free
}

/// Everything behind the name of a `.map` line; `name` as quoted there.
fn map_text(map: &MapSpec, name: &str) -> String {
    let mut out = format!(" {} key {} value {}", map.ty, map.key_size, map.value_size);
    let _ = write!(out, " entries {}", map.max_entries);
    let mut add = |word: &str, number: u64| {
        if number != 0 {
            let _ = write!(out, " {word} {number}");
        }
    };
    add("extra", map.extra);
    add("numa_node", map.numa_node.into());
    add("btf_key", map.btf_key_id.into());
    add("btf_value", map.btf_value_id.into());
    add("vmlinux_value", map.vmlinux_value_id.into());
    if !map.flags.is_empty() {
        let _ = write!(out, " flags {}", map_flags(map.flags));
    }
    let words = [(map.frozen, " frozen"), (map.pinned, " pinned")];
    words
        .iter()
        .filter(|(set, _)| *set)
        .for_each(|(_, word)| out.push_str(word));
    if quote(&map.name) != name {
        let _ = write!(out, " name {}", string(&map.name));
    }
    if let Some(init) = &map.init {
        let zeros = init.iter().rev().take_while(|byte| **byte == 0).count();
        let zeros = if zeros < FEWEST_ZEROS { 0 } else { zeros };
        let (bytes, _) = init.split_at(init.len() - zeros);
        if zeros == 0 || !bytes.is_empty() {
            out.push_str(" init \"");
            for byte in bytes {
                let _ = write!(out, "{byte:02x}");
            }
            out.push('"');
        }
        if zeros != 0 {
            let _ = write!(out, " zeros {zeros}");
        }
    }
    for (i, (index, symbol)) in map.slots.iter().enumerate() {
        let front = if i == 0 { " slots " } else { "," };
        let _ = write!(out, "{front}{index}={}", quote(symbol));
    }
    if let Some(inner) = &map.inner {
        let _ = write!(out, " inner{}", map_text(inner, &quote("")));
    }
    out
}

/// Zeros at the end of a value are counted instead of written out from this many on.
const FEWEST_ZEROS: usize = 8;

/// A name in quotes, also where none are needed: it may be empty.
fn string(text: &str) -> String {
    let text = quote(text);
    if text.starts_with('"') {
        text
    } else {
        format!("\"{text}\"")
    }
}

fn map_flags(flags: MapFlags) -> String {
    let names = flags.iter_names().map(|(name, flag)| (name, flag.bits()));
    flag_list(flags.bits(), names.collect())
}

fn prog_flags(flags: ProgFlags) -> String {
    let names = flags.iter_names().map(|(name, flag)| (name, flag.bits()));
    flag_list(flags.bits(), names.collect())
}

fn flag_list(bits: u32, named: Vec<(&str, u32)>) -> String {
    let known = named.iter().fold(0, |sum, (_, bit)| sum | bit);
    let mut words: Vec<String> = named
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    if bits & !known != 0 {
        words.push(format!("{:#x}", bits & !known));
    }
    words.join(",")
}

fn write_program(out: &mut String, program: &ProgramSpec, name: &str, maps: &Maps, license: &str) {
    let _ = write!(out, "\n.prog {name} {}", program.ty);
    if program.attach != AttachType::CgroupInetIngress {
        let _ = write!(out, " attach {}", program.attach);
    }
    if !program.flags.is_empty() {
        let _ = write!(out, " flags {}", prog_flags(program.flags));
    }
    if program.license != license {
        let _ = write!(out, " license {}", string(&program.license));
    }
    if !program.section.is_empty() {
        let _ = write!(out, " section {}", string(&program.section));
    }
    if !program.attach_to.is_empty() {
        let _ = write!(out, " attach_to {}", string(&program.attach_to));
    }
    if !program.autoload {
        out.push_str(" manual");
    }
    if program.attach_btf_id != 0 {
        let _ = write!(out, " attach_btf_id {}", program.attach_btf_id);
    }
    let names: Vec<&str> = program
        .maps
        .iter()
        .map(|m| maps.name(m).unwrap_or("?"))
        .collect();
    if !is_order_of_use(program) {
        let _ = write!(out, " maps {}", names.join(","));
    }
    out.push('\n');
    let labels = find_labels(program);
    let functions = function_ids(program);
    let mut idx = 0;
    while idx < program.insns.len() {
        if let Some(id) = functions.get(&idx) {
            let _ = writeln!(out, ".func_btf {id}");
        }
        if let Some(label) = labels.get(&idx) {
            let _ = writeln!(out, "{label}:");
        }
        let around = Here {
            idx,
            labels: &labels,
            maps: &names,
        };
        match plain_insn(&program.insns, idx) {
            Some(insn) => {
                let _ = writeln!(
                    out,
                    "    {}",
                    Shown {
                        insn,
                        around: &around
                    }
                );
                idx += insn.slots();
            }
            None => {
                let bytes = program
                    .insns
                    .get(idx)
                    .copied()
                    .unwrap_or_default()
                    .to_le_bytes();
                let _ = writeln!(out, "    .slot {:#018x}", u64::from_be_bytes(bytes));
                idx += 1;
            }
        }
    }
}

/// BTF ids of functions by their first slots.
fn function_ids(program: &ProgramSpec) -> FxHashMap<usize, u32> {
    program
        .func_info
        .iter()
        .map(|info| (info.insn_off as usize, info.type_id))
        .collect()
}

/// Whether the program's maps are in the order in which its instructions first name them, each once:
/// the order that the assembler gives them.
fn is_order_of_use(program: &ProgramSpec) -> bool {
    let mut next = 0;
    let mut idx = 0;
    while idx < program.insns.len() {
        let insn = plain_insn(&program.insns, idx);
        idx += insn.map_or(1, |insn| insn.slots());
        let Some(Insn::LoadImm64 { imm, .. }) = insn else {
            continue;
        };
        let (Imm64::Map(map) | Imm64::MapValue { map, .. }) = imm else {
            continue;
        };
        match usize::try_from(map) {
            Ok(map) if map < next || map >= program.maps.len() => {}
            Ok(map) if map == next => next += 1,
            _ if map < 0 => {}
            _ => return false,
        }
    }
    let distinct: FxHashSet<_> = program.maps.iter().map(Arc::as_ptr).collect();
    let repeated = distinct.len() != program.maps.len();
    next == program.maps.len() && !repeated
}

/// The instruction at a slot, if encoding it gives the same slots again.
fn plain_insn(insns: &[RawInsn], idx: usize) -> Option<Insn> {
    let insn = decode(insns, idx).ok()?;
    let (first, second) = encode(&insn);
    let same = insns.get(idx) == Some(&first)
        && second.is_none_or(|second| insns.get(idx + 1) == Some(&second));
    same.then_some(insn)
}

/// What stands around an instruction.
struct Here<'a> {
    idx: usize,
    labels: &'a BTreeMap<usize, String>,
    maps: &'a [&'a str],
}

impl Around for Here<'_> {
    fn label(&self, distance: i64) -> Option<&str> {
        let slot = usize::try_from(self.idx as i64 + 1 + distance).ok()?;
        self.labels.get(&slot).map(String::as_str)
    }

    fn map(&self, index: i32) -> Option<&str> {
        self.maps.get(usize::try_from(index).ok()?).copied()
    }
}

/// A label for every slot that something jumps to, calls or takes the address of.
fn find_labels(program: &ProgramSpec) -> BTreeMap<usize, String> {
    let mut starts = BTreeSet::new();
    let mut targets: BTreeMap<usize, bool> = BTreeMap::new();
    let mut idx = 0;
    while idx < program.insns.len() {
        starts.insert(idx);
        let insn = plain_insn(&program.insns, idx);
        let (off, function) = match insn {
            Some(Insn::Call(CallTarget::Subprog(off))) => (Some(off), true),
            Some(Insn::LoadImm64 {
                imm: Imm64::Func(off),
                ..
            }) => (Some(off), true),
            Some(insn) => (insn.jump_off(), false),
            None => (None, false),
        };
        if let Some(off) = off {
            let slot = idx as i64 + 1 + i64::from(off);
            if let Ok(slot) = usize::try_from(slot) {
                *targets.entry(slot).or_default() |= function;
            }
        }
        idx += insn.map_or(1, |insn| insn.slots());
    }
    let functions = function_ids(program);
    let mut names = BTreeSet::new();
    let mut labels = BTreeMap::new();
    for (slot, function) in targets {
        if !starts.contains(&slot) {
            continue;
        }
        let name = function
            .then(|| function_name(program, *functions.get(&slot)?))
            .flatten()
            .filter(|name| names.insert(name.clone()))
            .unwrap_or_else(|| format!("{}{slot}", if function { "sub_" } else { "l" }));
        labels.insert(slot, name);
    }
    labels
}

/// The name that BTF gives a function, if it can be a label that nothing else is taken for.
fn function_name(program: &ProgramSpec, id: u32) -> Option<String> {
    let Ok(Type::Func(func)) = program.btf.as_ref()?.ty(TypeId(id)) else {
        return None;
    };
    let name = func.name().to_owned();
    let digits = name
        .strip_prefix("sub_")
        .or_else(|| name.strip_prefix('l'))
        .unwrap_or("x");
    let made_up = digits.bytes().all(|c| c.is_ascii_digit());
    let word = quote(&name) == name && !name.starts_with('.');
    let reserved = matches!(name.as_str(), "pc" | "btf" | "kfunc" | "kernel");
    let free = word && !made_up && !reserved && register(&name).is_none();
    (free && helpers::named(&name).is_none()).then_some(name)
}
