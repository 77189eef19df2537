//! Symbols that are declared here and defined by the kernel: functions (kfuncs), variables
//! (ksyms) and configuration values (kconfig).
//!
//! What they are is said by BTF: every extern belongs to the section `.ksyms` or `.kconfig`. They
//! are kept in libbpf's order, because a configuration value's offset and a missing function's
//! mark in the code follow from it.

use crate::elf::Elf;
use crate::error::Error;
use rustc_hash::{FxHashMap, FxHashSet};
use skep_btf::{Btf, FuncLinkage, Kind, Type, TypeId, VarLinkage};

pub(crate) const KCONFIG: &str = ".kconfig";
pub(crate) const KSYMS: &str = ".ksyms";

/// A symbol defined by the kernel.
#[derive(Debug, Clone)]
pub(crate) struct Extern {
    pub(crate) name: String,
    /// Whether the program copes without it.
    pub(crate) weak: bool,
    /// The declaration: a variable or function.
    pub(crate) btf_id: TypeId,
    pub(crate) kind: ExternKind,
}

/// The most bytes of configuration values; real objects have a few dozen.
const MAX_CONFIG: u32 = 1 << 20;

/// What an extern is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ExternKind {
    /// A value of the kernel's configuration, stored in the map `.kconfig`.
    Config { offset: u32, size: u32, align: u32 },
    /// A kernel function of this prototype.
    Func(TypeId),
    /// A kernel variable of this type; `void` if only its address is wanted.
    Var(TypeId),
}

impl ExternKind {
    fn rank(self) -> u8 {
        match self {
            ExternKind::Config { .. } => 0,
            ExternKind::Func(_) | ExternKind::Var(_) => 1,
        }
    }
}

/// The externs of an object.
#[derive(Debug, Default)]
pub(crate) struct Externs {
    pub(crate) list: Vec<Extern>,
    /// Index in `list` by symbol index.
    pub(crate) by_symbol: FxHashMap<usize, usize>,
}

impl Externs {
    /// Finds all externs that BTF declares. Undefined symbols without declaration are left out:
    /// they matter only if a program refers to one.
    pub(crate) fn find(elf: &Elf<'_>, btf: Option<&Btf>) -> Result<Externs, Error> {
        let Some(btf) = btf else {
            return Ok(Externs::default());
        };
        let sections = sections_of_members(btf);
        let mut found = Vec::new();
        let mut seen = FxHashSet::default();
        for (index, symbol) in elf.symbols.iter().enumerate() {
            // A symbol table names each external symbol once.
            if !symbol.is_extern() || symbol.name.is_empty() || !seen.insert(symbol.name) {
                continue;
            }
            let Some(id) = declaration(btf, symbol.name)? else {
                continue;
            };
            let fail = |why: &str| Error::ext(symbol.name, why);
            // What BTF puts elsewhere is another object's, and waits for linking.
            let Some(section) = sections.get(&id) else {
                continue;
            };
            let kind = match (*section, btf.ty(id)?) {
                (KCONFIG, Type::Var(var)) => ExternKind::Config {
                    offset: 0,
                    size: btf.size_of(var.ty)?,
                    align: btf.align_of(var.ty)?,
                },
                (KSYMS, Type::Var(var)) => ExternKind::Var(btf.skip_mods_and_typedefs(var.ty)?),
                (KSYMS, Type::Func(func)) => ExternKind::Func(func.proto),
                (KCONFIG | KSYMS, _) => {
                    return Err(fail("unsupported declaration").in_section(section));
                }
                (_, _) => continue,
            };
            let name = symbol.name.to_string();
            found.push((
                index,
                Extern {
                    name,
                    weak: symbol.weak,
                    btf_id: id,
                    kind,
                },
            ));
        }
        found.sort_by(|(_, a), (_, b)| order(a, b));
        let mut externs = Externs::default();
        for (index, ext) in found {
            externs.by_symbol.insert(index, externs.list.len());
            externs.list.push(ext);
        }
        externs.place_configs()?;
        Ok(externs)
    }

    /// Lays the configuration values out in their map.
    fn place_configs(&mut self) -> Result<(), Error> {
        let mut next = 0u32;
        for ext in &mut self.list {
            if let ExternKind::Config {
                offset,
                size,
                align,
            } = &mut ext.kind
            {
                let start = next.checked_next_multiple_of((*align).max(1));
                let end = start.and_then(|start| start.checked_add(*size));
                match (start, end) {
                    (Some(start), Some(end)) if end <= MAX_CONFIG => {
                        *offset = start;
                        next = end;
                    }
                    _ => return Err(Error::ext(&ext.name, "configuration is too large")),
                }
            }
        }
        Ok(())
    }

    /// Bytes of the map `.kconfig`; 0 if there are no configuration values.
    pub(crate) fn config_size(&self) -> u32 {
        let end = |ext: &Extern| match ext.kind {
            ExternKind::Config { offset, size, .. } => Some(offset + size),
            ExternKind::Func(_) | ExternKind::Var(_) => None,
        };
        self.list.iter().filter_map(end).max().unwrap_or(0)
    }
}

/// Configuration first, by falling alignment and rising size, so that it packs well; then names.
fn order(a: &Extern, b: &Extern) -> std::cmp::Ordering {
    let shape = |ext: &Extern| match ext.kind {
        ExternKind::Config { size, align, .. } => (std::cmp::Reverse(align), size),
        ExternKind::Func(_) | ExternKind::Var(_) => (std::cmp::Reverse(0), 0),
    };
    a.kind
        .rank()
        .cmp(&b.kind.rank())
        .then_with(|| shape(a).cmp(&shape(b)))
        .then_with(|| a.name.as_bytes().cmp(b.name.as_bytes()))
}

/// The extern variable or function of that name.
fn declaration(btf: &Btf, name: &str) -> Result<Option<TypeId>, Error> {
    for id in btf.named(name) {
        match btf.ty(id)? {
            Type::Var(var) if var.linkage == VarLinkage::Extern => return Ok(Some(id)),
            Type::Func(func) if func.linkage == FuncLinkage::Extern => return Ok(Some(id)),
            Type::Var(_) | Type::Func(_) => {
                return Err(Error::ext(name, "declared, but not as extern"));
            }
            Type::Void
            | Type::Int(_)
            | Type::Ptr(_)
            | Type::Array(_)
            | Type::Struct(_)
            | Type::Union(_)
            | Type::Enum(_)
            | Type::Fwd(_)
            | Type::Typedef(_)
            | Type::Volatile(_)
            | Type::Const(_)
            | Type::Restrict(_)
            | Type::FuncProto(_)
            | Type::DataSec(_)
            | Type::Float(_)
            | Type::DeclTag(_)
            | Type::TypeTag(_)
            | Type::Enum64(_) => {}
        }
    }
    Ok(None)
}

/// The name of the section that each variable or function is a member of; the first counts.
fn sections_of_members(btf: &Btf) -> FxHashMap<TypeId, &str> {
    let mut sections = FxHashMap::default();
    for id in btf.ids() {
        if btf.kind(id) == Some(Kind::DataSec)
            && let Ok(Type::DataSec(section)) = btf.ty(id)
        {
            for entry in section.vars {
                sections.entry(entry.ty).or_insert(section.name());
            }
        }
    }
    sections
}
