//! Load requests to an ELF object as clang would make it, for libbpf and everything that reads such
//! objects.
//!
//! Programs lie in sections that say their type, other functions in `.text` (equal ones once), maps
//! in `.maps` with their definition in BTF; maps in whose values programs take addresses become data
//! sections. Kernel functions and variables become undefined symbols, for which the kernel's BTF
//! must tell the names.

mod struct_ops;

use std::sync::Arc;

use object::elf::{R_BPF_64_32, R_BPF_64_64};
use object::write::{Object, Relocation, SectionId, Symbol, SymbolFlags, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolKind, SymbolScope,
};
use rustc_hash::{FxHashMap, FxHashSet};
use skep_btf::{Btf, BtfExtBuilder, Endian, FuncInfo, LineInfo, TypeId};
use skep_isa::RawInsn;
use skep_spec::{MapFlags, MapSpec, MapType, ObjectSpec, ProgramSpec};

use crate::elf_btf::ObjectBtf;
use crate::elf_code::{Piece, Refers, split};
use crate::elf_data::{self, Data};
use crate::elf_error::ElfError;
use crate::elf_section::section;

/// No more bytes of map definitions and data are written.
const MOST_DATA: u64 = 256 << 20;

/// Writes an object. `kernel_btf` is the BTF that calls of kernel functions refer to.
pub fn write_elf(object: &ObjectSpec, kernel_btf: Option<&Btf>) -> Result<Vec<u8>, ElfError> {
    let mut writer = Writer::new(object, kernel_btf)?;
    writer.maps()?;
    for program in &object.programs {
        writer.program(program)?;
    }
    writer.code()?;
    writer.variables()?;
    writer.fill_slots();
    writer.finish()
}

/// A function's place in the object.
struct Placed {
    piece: Piece,
    section: SectionId,
    /// Its section's name.
    section_name: String,
    offset: u64,
    /// The maps that its references count.
    maps: Vec<Arc<MapSpec>>,
    /// The program that it was taken from, for errors.
    program: String,
    /// Whether its BTF ids are the object's.
    typed: bool,
}

struct Writer<'a> {
    object: &'a ObjectSpec,
    kernel_btf: Option<&'a Btf>,
    out: Object<'static>,
    btf: ObjectBtf,
    ext: BtfExtBuilder,
    /// Bytes of data that may still be written.
    budget: u64,
    /// Whether `ext` has any.
    has_records: bool,
    sections: FxHashMap<String, (SectionId, SectionKind)>,
    symbols: FxHashMap<String, SymbolId>,
    placed: Vec<Placed>,
    /// Functions in `.text` by name, as indices into `placed`.
    text: FxHashMap<String, usize>,
    /// Variables of the section `.ksyms`.
    ksyms: Vec<(TypeId, u32, u32)>,
    /// Slots of maps that symbols go into: section, offset, symbol.
    slots: Vec<(SectionId, u64, String)>,
}

impl<'a> Writer<'a> {
    fn new(object: &'a ObjectSpec, kernel_btf: Option<&'a Btf>) -> Result<Writer<'a>, ElfError> {
        let out = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        let mut writer = Writer {
            object,
            kernel_btf,
            out,
            btf: ObjectBtf::new(object),
            ext: BtfExtBuilder::new(Endian::Little),
            has_records: false,
            budget: MOST_DATA,
            sections: FxHashMap::default(),
            symbols: FxHashMap::default(),
            placed: Vec::new(),
            text: FxHashMap::default(),
            ksyms: Vec::new(),
            slots: Vec::new(),
        };
        let mut license = object.license.clone().into_bytes();
        license.push(0);
        let section = writer.section("license", SectionKind::Data)?;
        writer.out.append_section_data(section, &license, 1);
        if object.kernel_version != 0 {
            let section = writer.section("version", SectionKind::Data)?;
            writer
                .out
                .append_section_data(section, &object.kernel_version.to_le_bytes(), 4);
        }
        Ok(writer)
    }

    /// The section of that name; two kinds of content under one name are an error.
    fn section(&mut self, name: &str, kind: SectionKind) -> Result<SectionId, ElfError> {
        match self.sections.get(name) {
            Some((id, known)) if *known == kind => return Ok(*id),
            Some(_) => return Err(ElfError::Duplicate(name.to_owned())),
            None => check_name(name)?,
        }
        let id = self
            .out
            .add_section(Vec::new(), name.as_bytes().to_vec(), kind);
        self.sections.insert(name.to_owned(), (id, kind));
        Ok(id)
    }

    fn symbol(
        &mut self,
        name: &str,
        place: Option<(SectionId, u64, u64)>,
        kind: SymbolKind,
        global: bool,
    ) -> Result<SymbolId, ElfError> {
        check_name(name)?;
        let (section, value, size) = match place {
            Some((id, value, size)) => (SymbolSection::Section(id), value, size),
            None => (SymbolSection::Undefined, 0, 0),
        };
        let id = self.out.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value,
            size,
            kind,
            scope: if global {
                SymbolScope::Dynamic
            } else {
                SymbolScope::Compilation
            },
            weak: false,
            section,
            flags: SymbolFlags::None,
        });
        match self.symbols.insert(name.to_owned(), id) {
            None => Ok(id),
            Some(_) => Err(ElfError::Duplicate(name.to_owned())),
        }
    }

    /// All maps of the object and its programs, each once.
    fn all_maps(&self) -> Vec<Arc<MapSpec>> {
        let mut known = FxHashSet::default();
        let used = self
            .object
            .programs
            .iter()
            .flat_map(|program| &program.maps);
        let all = self.object.maps.iter().chain(used);
        all.filter(|map| known.insert(Arc::as_ptr(map)))
            .cloned()
            .collect()
    }

    /// Counts bytes of data that the specs need not hold themselves.
    fn spend(&mut self, bytes: u64) -> Result<(), ElfError> {
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or_else(|| ElfError::Write("the data is too large".to_owned()))?;
        Ok(())
    }

    fn maps(&mut self) -> Result<(), ElfError> {
        let known = self.btf.has_section(".maps");
        let (mut vars, mut values) = (Vec::new(), Vec::new());
        let addressed = elf_data::addressed_maps(self.object);
        for map in self.all_maps() {
            if elf_data::is_data(&map, &addressed) {
                self.data(&map)?;
                continue;
            }
            let bad = |why| ElfError::Map {
                map: map.name.clone(),
                why,
            };
            if map.ty == MapType::StructOps {
                self.struct_ops(&map, &mut values)?;
                continue;
            }
            if u32::try_from(map.extra).is_err() {
                return Err(bad("map_extra does not fit 32 bits"));
            }
            let place = if known {
                let missing = "the object's BTF defines other maps, but not this one";
                self.btf
                    .defined_map(&map.name)
                    .ok_or_else(|| bad(missing))?
            } else {
                let (ty, place) = self.btf.map(&map);
                vars.push((ty, place));
                place
            };
            let section = self.section(".maps", SectionKind::Data)?;
            self.spend(place.size.into())?;
            let zeros = vec![0; place.size as usize];
            let offset = self.out.append_section_data(section, &zeros, 8);
            let at = (section, offset, place.size.into());
            self.symbol(&map.name, Some(at), SymbolKind::Data, true)?;
            for (index, name) in &map.slots {
                let slot = offset + u64::from(place.fixed) + u64::from(*index) * 8;
                self.slots.push((section, slot, name.clone()));
            }
        }
        if !vars.is_empty() {
            let mut offset = 0;
            let vars: Vec<_> = vars
                .into_iter()
                .map(|(ty, place)| {
                    offset += place.size;
                    (ty, offset - place.size, place.size)
                })
                .collect();
            self.btf.section(".maps", &vars);
        }
        for (name, vars) in &values {
            self.btf.section(name, vars);
        }
        Ok(())
    }

    /// A map of global data: a section of its own, known by the map's name.
    fn data(&mut self, map: &MapSpec) -> Result<(), ElfError> {
        let name = self
            .btf
            .value_section(map)
            .unwrap_or_else(|| elf_data::section_name(map));
        if self.sections.contains_key(&name) {
            return Err(ElfError::Duplicate(name));
        }
        self.spend(map.value_size.into())?;
        let section = match elf_data::contents(map, &name)? {
            Data::Zeros(size) => {
                let section = self.section(&name, SectionKind::UninitializedData)?;
                self.out.append_section_bss(section, size, 8);
                section
            }
            Data::Bytes(bytes) => {
                let read_only = elf_data::is_read_only(&name);
                let kind = if read_only {
                    SectionKind::ReadOnlyData
                } else {
                    SectionKind::Data
                };
                let section = self.section(&name, kind)?;
                self.out.append_section_data(section, &bytes, 8);
                section
            }
        };
        let symbol = self.out.section_symbol(section);
        if self.symbols.insert(map.name.clone(), symbol).is_some() {
            return Err(ElfError::Duplicate(map.name.clone()));
        }
        // Loaders let user space map sections that hold a global variable, and only those.
        let mapped = map.flags.contains(MapFlags::MMAPABLE) && map.value_size != 0;
        if mapped && !self.btf.has_section(&name) {
            let var = elf_data::variable_name(&map.name);
            let size = map.value_size;
            self.symbol(
                &var,
                Some((section, 0, size.into())),
                SymbolKind::Data,
                true,
            )?;
            let ty = self.btf.bytes_variable(&var, size);
            self.btf.section(&name, &[(ty, 0, size)]);
        }
        Ok(())
    }

    /// Places a program's functions.
    fn program(&mut self, program: &ProgramSpec) -> Result<(), ElfError> {
        let mut pieces = split(program)?;
        self.share_names(program, &mut pieces);
        let typed = self.btf.is_own(&program.btf);
        for piece in pieces {
            if !piece.main && self.text.contains_key(&piece.name) {
                continue;
            }
            let section_name = if piece.main {
                section(program)
            } else {
                ".text".to_owned()
            };
            let section = self.section(&section_name, SectionKind::Text)?;
            let code: Vec<u8> = piece
                .insns
                .iter()
                .flat_map(|raw| raw.to_le_bytes())
                .collect();
            let offset = self.out.append_section_data(section, &code, 8);
            let at = (section, offset, code.len() as u64);
            self.symbol(&piece.name, Some(at), SymbolKind::Text, piece.global)?;
            if !piece.main {
                self.text.insert(piece.name.clone(), self.placed.len());
            }
            let (maps, program) = (program.maps.clone(), program.name.clone());
            self.placed.push(Placed {
                piece,
                section,
                section_name,
                offset,
                maps,
                program,
                typed,
            });
        }
        Ok(())
    }

    /// Functions of earlier programs are used again if all of this program's functions with their
    /// names are the same; else this program's get names of their own.
    fn share_names(&self, program: &ProgramSpec, pieces: &mut [Piece]) {
        let same = |piece: &Piece| match self.text.get(&piece.name) {
            _ if piece.main => true,
            None => !self.symbols.contains_key(&piece.name),
            Some(known) => self.placed.get(*known).is_some_and(|known| {
                known.piece.insns == piece.insns
                    && known.piece.global == piece.global
                    && same_references(known, piece, program)
            }),
        };
        if pieces.iter().all(same) {
            return;
        }
        let rename = |name: &mut String| *name = format!("{name}.{}", program.name);
        for piece in pieces {
            if !piece.main {
                rename(&mut piece.name);
            }
            for (_, refers) in &mut piece.refers {
                match refers {
                    Refers::Call(name) | Refers::Address(name) if *name != program.name => {
                        rename(name);
                    }
                    Refers::Call(_)
                    | Refers::Address(_)
                    | Refers::Map(_)
                    | Refers::MapValue(_)
                    | Refers::Kfunc(_)
                    | Refers::Ksym(_) => {}
                }
            }
        }
    }

    /// Relocations and BTF.ext of all functions.
    fn code(&mut self) -> Result<(), ElfError> {
        for placed in std::mem::take(&mut self.placed) {
            for (slot, refers) in &placed.piece.refers {
                self.reference(&placed, *slot, refers)?;
            }
            if !placed.typed {
                continue;
            }
            let section = self.btf.out.string(&placed.section_name);
            let bytes = |slot: u32| placed.offset as u32 + slot * RawInsn::BYTES as u32;
            if placed.piece.func_id != 0 {
                let ty = TypeId(placed.piece.func_id);
                self.ext.func(
                    section,
                    FuncInfo {
                        insn_off: bytes(0),
                        ty,
                    },
                );
            }
            self.has_records |= !placed.piece.lines.is_empty();
            for line in &placed.piece.lines {
                let (insn_off, file, text) =
                    (bytes(line.insn_off), line.file_name_off, line.line_off);
                self.ext.line(
                    section,
                    LineInfo {
                        insn_off,
                        file,
                        text,
                        line_col: line.line_col,
                    },
                );
            }
        }
        let ksyms = std::mem::take(&mut self.ksyms);
        if !ksyms.is_empty() {
            self.btf.kernel_symbols(&ksyms);
        }
        Ok(())
    }

    fn reference(&mut self, placed: &Placed, slot: usize, refers: &Refers) -> Result<(), ElfError> {
        let program = &placed.program;
        let missing = |what| ElfError::NoForm {
            program: program.clone(),
            insn_idx: slot,
            what,
        };
        let unnamed = "a kernel symbol whose name needs the kernel's BTF";
        let (name, r_type) = match refers {
            Refers::Map(map) | Refers::MapValue(map) => {
                let map = placed.maps.get(*map);
                (
                    map.map(|map| map.name.clone()).unwrap_or_default(),
                    R_BPF_64_64,
                )
            }
            Refers::Call(name) => (name.clone(), R_BPF_64_32),
            Refers::Address(name) => (name.clone(), R_BPF_64_64),
            Refers::Kfunc(id) => (
                self.kernel_symbol(*id, true)
                    .ok_or_else(|| missing(unnamed))?,
                R_BPF_64_32,
            ),
            Refers::Ksym(id) => (
                self.kernel_symbol(*id, false)
                    .ok_or_else(|| missing(unnamed))?,
                R_BPF_64_64,
            ),
        };
        let offset = placed.offset + slot as u64 * RawInsn::BYTES as u64;
        let mut symbol = match self.symbols.get(&name) {
            Some(symbol) => *symbol,
            None => return Err(missing("a name that the object does not define")),
        };
        // The address of a local function is its section's, and the slot says where in it.
        if let (Refers::Address(_), Some((id, value))) = (refers, self.local_text(symbol)) {
            let at = offset as usize + 4;
            let data = self.out.section_mut(placed.section).data_mut();
            if let Some(imm) = data.get_mut(at..at + 4) {
                imm.copy_from_slice(&(value as u32).to_le_bytes());
            }
            symbol = self.out.section_symbol(id);
        }
        let flags = RelocationFlags::Elf { r_type };
        let relocation = Relocation {
            offset,
            symbol,
            addend: 0,
            flags,
        };
        let added = self.out.add_relocation(placed.section, relocation);
        added.map_err(|e| ElfError::Write(e.to_string()))
    }

    /// Section and offset of a local function.
    fn local_text(&self, symbol: SymbolId) -> Option<(SectionId, u64)> {
        let symbol = self.out.symbol(symbol);
        let local = symbol.scope == SymbolScope::Compilation;
        symbol
            .section
            .id()
            .filter(|_| local)
            .map(|id| (id, symbol.value))
    }

    /// The name of a kernel function or variable, which becomes an undefined symbol.
    fn kernel_symbol(&mut self, id: u32, function: bool) -> Option<String> {
        let kernel = self.kernel_btf?;
        let (name, ty) = if function {
            self.btf.kernel_function(kernel, id)?
        } else {
            self.btf.kernel_variable(kernel, id)?
        };
        if !self.symbols.contains_key(&name) {
            self.ksyms.push((ty, 0, 0));
            self.symbol(&name, None, SymbolKind::Unknown, true).ok()?;
        }
        Some(name)
    }

    /// Symbols for the variables that the object's own BTF knows: loaders look for them.
    fn variables(&mut self) -> Result<(), ElfError> {
        let vars = self.btf.placed_variables();
        let mut sizes: FxHashMap<&str, u32> = FxHashMap::default();
        for var in &vars {
            let size = sizes.entry(&var.section).or_default();
            *size = (*size).max(var.offset.saturating_add(var.size));
        }
        for var in &vars {
            let id = match self.sections.get(&var.section) {
                Some((id, _)) => *id,
                // What such a section held is not in the specs.
                None => {
                    let size = sizes.get(var.section.as_str()).copied().unwrap_or(0);
                    self.spend(size.into())?;
                    let section = self.section(&var.section, SectionKind::Data)?;
                    self.out
                        .append_section_data(section, &vec![0; size as usize], 8);
                    section
                }
            };
            if !self.symbols.contains_key(&var.name) {
                let place = Some((id, var.offset.into(), var.size.into()));
                self.symbol(&var.name, place, SymbolKind::Data, var.global)?;
            }
        }
        Ok(())
    }

    /// Puts programs and maps into the slots of maps. What the object does not have stays empty, as
    /// when it comes from elsewhere.
    fn fill_slots(&mut self) {
        for (section, offset, name) in std::mem::take(&mut self.slots) {
            let Some(symbol) = self.symbols.get(&name).copied() else {
                continue;
            };
            let flags = RelocationFlags::Elf {
                r_type: R_BPF_64_64,
            };
            let relocation = Relocation {
                offset,
                symbol,
                addend: 0,
                flags,
            };
            let _ = self.out.add_relocation(section, relocation);
        }
    }

    /// libbpf refuses sections of types or records that hold none.
    fn finish(mut self) -> Result<Vec<u8>, ElfError> {
        if self.btf.out.next_id() != TypeId(1) {
            let section = self.section(".BTF", SectionKind::Debug)?;
            self.out
                .append_section_data(section, &self.btf.out.to_bytes(), 4);
        }
        if self.has_records {
            let section = self.section(".BTF.ext", SectionKind::Debug)?;
            self.out
                .append_section_data(section, &self.ext.to_bytes(), 4);
        }
        self.out.write().map_err(|e| ElfError::Write(e.to_string()))
    }
}

/// String tables end names at a NUL byte.
fn check_name(name: &str) -> Result<(), ElfError> {
    if name.contains('\0') {
        return Err(ElfError::Write(format!(
            "the name {name:?} holds a NUL byte"
        )));
    }
    Ok(())
}

/// Whether two functions refer to the same things.
fn same_references(known: &Placed, piece: &Piece, program: &ProgramSpec) -> bool {
    let map = |maps: &[Arc<MapSpec>], index: &usize| maps.get(*index).map(Arc::as_ptr);
    known.piece.refers.len() == piece.refers.len()
        && known
            .piece
            .refers
            .iter()
            .zip(&piece.refers)
            .all(|(a, b)| match (&a.1, &b.1) {
                _ if a.0 != b.0 => false,
                (Refers::Map(x), Refers::Map(y)) | (Refers::MapValue(x), Refers::MapValue(y)) => {
                    map(&known.maps, x) == map(&program.maps, y)
                }
                (x, y) => x == y,
            })
}
