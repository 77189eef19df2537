//! Corrections to the object's BTF that kernels insist on and compilers leave to the loader.
//!
//! Sections get their sizes and variables their offsets, hidden symbols become static, and what
//! the kernel defines becomes ordinary variables and functions: a kernel accepts no externs.

use crate::code::Code;
use crate::elf::{Elf, Symbol, SymbolType};
use crate::error::Error;
use crate::externs::{ExternKind, Externs, KCONFIG, KSYMS};
use rustc_hash::{FxHashMap, FxHashSet};
use skep_btf::{Btf, BtfBuilder, DataSec, FuncLinkage, Kind, TypeId, VarLinkage, VarSecInfo};

/// Name of the variable that stands for a kernel function in `.ksyms`.
const DUMMY: &str = "dummy_ksym";

/// The BTF as a kernel takes it.
pub(crate) fn fix_btf(
    btf: &Btf,
    elf: &Elf<'_>,
    code: &Code,
    externs: &Externs,
) -> Result<Btf, Error> {
    let mut fix = Fix {
        btf,
        elf,
        variables: variables(elf),
        externs,
        out: BtfBuilder::from_btf(btf),
    };
    let dummy = fix.add_dummy();
    for id in btf.ids() {
        if btf.kind(id) != Some(Kind::DataSec) {
            continue;
        }
        let Some(section) = btf.ty(id)?.as_datasec() else {
            continue;
        };
        match section.name() {
            KSYMS => fix.ksyms(id, section, dummy)?,
            KCONFIG => fix.kconfig(id, section)?,
            _ => fix.datasec(id, section)?,
        }
    }
    fix.hidden_functions(code);
    Ok(Btf::parse(fix.out.to_bytes())?)
}

/// Global variables' symbols by name; the first of a name counts.
fn variables<'e, 'd>(elf: &'e Elf<'d>) -> FxHashMap<&'d str, &'e Symbol<'d>> {
    let mut map = FxHashMap::default();
    for symbol in elf
        .symbols
        .iter()
        .filter(|s| s.ty == SymbolType::Object && s.global)
    {
        map.entry(symbol.name).or_insert(symbol);
    }
    map
}

struct Fix<'a, 'd> {
    btf: &'a Btf,
    elf: &'a Elf<'d>,
    variables: FxHashMap<&'d str, &'a Symbol<'d>>,
    externs: &'a Externs,
    out: BtfBuilder,
}

impl Fix<'_, '_> {
    /// Adds the variable that stands for kernel functions, if there are any.
    fn add_dummy(&mut self) -> Option<TypeId> {
        let id = self.btf.find_by_name(Kind::DataSec, KSYMS)?;
        let section = self.btf.ty(id).ok()?.as_datasec()?;
        let has_func = section
            .vars
            .iter()
            .any(|v| self.btf.kind(v.ty) == Some(Kind::Func));
        has_func.then(|| self.out.var(DUMMY, self.int(), VarLinkage::Global))
    }

    /// The first 32-bit integer type.
    fn int(&self) -> TypeId {
        let ints = self
            .btf
            .types()
            .find(|(_, ty)| ty.as_int().is_some_and(|i| i.bits == 32));
        ints.map_or(TypeId::VOID, |found| found.0)
    }

    /// Makes kernel symbols into four-byte variables and their functions global.
    fn ksyms(
        &mut self,
        id: TypeId,
        section: DataSec<'_>,
        dummy: Option<TypeId>,
    ) -> Result<(), Error> {
        let used = self.externs.list.iter();
        if !used
            .clone()
            .any(|e| matches!(e.kind, ExternKind::Func(_) | ExternKind::Var(_)))
        {
            return Ok(());
        }
        let int = self.int();
        let mut vars = Vec::new();
        for (i, entry) in section.vars.iter().enumerate() {
            let mut ty = entry.ty;
            let declared = self.btf.ty(entry.ty)?;
            if let Some(func) = declared.as_func() {
                self.out.set_func_linkage(entry.ty, FuncLinkage::Global);
                self.name_params(func.proto)?;
                ty = dummy.unwrap_or(ty);
            } else if declared.as_var().is_some() {
                self.out.set_var(entry.ty, int, VarLinkage::Global);
            }
            vars.push(VarSecInfo {
                ty,
                offset: i as u32 * 4,
                size: 4,
            });
        }
        self.out.set_datasec(id, vars.len() as u32 * 4, &vars);
        Ok(())
    }

    /// A global function's parameters must have names.
    fn name_params(&mut self, proto: TypeId) -> Result<(), Error> {
        let Some(proto_ty) = self.btf.ty(proto)?.as_func_proto() else {
            return Ok(());
        };
        for (i, param) in proto_ty.params.iter().enumerate() {
            if param.name().is_empty() && !param.ty.is_void() {
                self.out.set_param_name(proto, i, DUMMY);
            }
        }
        Ok(())
    }

    fn kconfig(&mut self, id: TypeId, section: DataSec<'_>) -> Result<(), Error> {
        if self.externs.config_size() == 0 {
            return Ok(());
        }
        let places: FxHashMap<TypeId, u32> = self
            .externs
            .list
            .iter()
            .filter_map(|ext| match ext.kind {
                ExternKind::Config { offset, .. } => Some((ext.btf_id, offset)),
                ExternKind::Func(_) | ExternKind::Var(_) => None,
            })
            .collect();
        let mut vars: Vec<_> = section.vars.iter().collect();
        for entry in &mut vars {
            if let Some(var) = self.btf.ty(entry.ty)?.as_var() {
                self.out.set_var(entry.ty, var.ty, VarLinkage::Global);
            }
            if let Some(offset) = places.get(&entry.ty) {
                entry.offset = *offset;
            }
        }
        vars.sort_by_key(|v| v.offset);
        self.out.set_datasec(id, self.externs.config_size(), &vars);
        Ok(())
    }

    /// Fills in a section's size and its variables' offsets where the compiler left zeros.
    fn datasec(&mut self, id: TypeId, section: DataSec<'_>) -> Result<(), Error> {
        let mut size = section.size;
        let unknown = size == 0;
        if unknown {
            let found = self.elf.section(section.name()).map_or(0, |(_, s)| s.size);
            size = u32::try_from(found).unwrap_or(0);
        }
        let mut vars: Vec<_> = section.vars.iter().collect();
        for entry in &mut vars {
            let Some(var) = self.btf.ty(entry.ty)?.as_var() else {
                continue;
            };
            if var.linkage != VarLinkage::Global {
                continue;
            }
            let Some(symbol) = self.variables.get(var.name()) else {
                continue;
            };
            if unknown {
                entry.offset = symbol.value as u32;
            }
            if symbol.hidden {
                self.out.set_var(entry.ty, var.ty, VarLinkage::Static);
            }
        }
        vars.sort_by_key(|v| v.offset);
        self.out.set_datasec(id, size, &vars);
        Ok(())
    }

    /// Hidden functions are verified with their callers, as static ones are.
    fn hidden_functions(&mut self, code: &Code) {
        let hidden: FxHashSet<&str> = code
            .functions
            .iter()
            .filter(|f| f.global && f.hidden)
            .map(|f| &*f.name)
            .collect();
        if hidden.is_empty() {
            return;
        }
        for (id, ty) in self.btf.types() {
            if let Some(func) = ty.as_func()
                && func.linkage == FuncLinkage::Global
                && hidden.contains(func.name())
            {
                self.out.set_func_linkage(id, FuncLinkage::Static);
            }
        }
    }
}
