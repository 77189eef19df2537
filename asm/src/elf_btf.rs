//! The BTF of a written object: that of the programs, plus what libbpf wants to see of maps and of
//! kernel functions and variables.

use std::sync::Arc;

use skep_btf::{
    Btf, BtfBuilder, FuncLinkage, IntEncoding, Kind, Type, TypeId, VarLinkage, VarSecInfo,
};
use skep_spec::{MapSpec, MapType, ObjectSpec};

/// A map's place in the section `.maps`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapPlace {
    /// Bytes of its definition, without its slots.
    pub(crate) fixed: u32,
    /// Bytes with its slots.
    pub(crate) size: u32,
}

/// A variable of the object's own BTF.
pub(crate) struct PlacedVariable {
    pub(crate) section: String,
    pub(crate) name: String,
    /// Bytes from the section's start.
    pub(crate) offset: u32,
    /// Bytes.
    pub(crate) size: u32,
    pub(crate) global: bool,
}

/// The BTF in the making.
pub(crate) struct ObjectBtf {
    pub(crate) out: BtfBuilder,
    own: Option<Arc<Btf>>,
    int: Option<TypeId>,
    /// Types of kernel prototypes that may still be written: a malformed BTF could nest them forever.
    budget: u32,
}

/// Pointers and parameters of a kernel prototype are followed this far.
const DEEPEST: u32 = 16;
/// No more types than this come from kernel prototypes.
const MOST_SHAPES: u32 = 100_000;

impl ObjectBtf {
    /// Begins with the object's own BTF.
    pub(crate) fn new(object: &ObjectSpec) -> ObjectBtf {
        let own = object.btf.clone();
        let out = own
            .as_ref()
            .map_or_else(BtfBuilder::new, |btf| BtfBuilder::from_btf(btf));
        ObjectBtf {
            out,
            own,
            int: None,
            budget: MOST_SHAPES,
        }
    }

    /// Whether types are the object's own, so that ids mean the same here.
    pub(crate) fn is_own(&self, btf: &Option<Arc<Btf>>) -> bool {
        match (&self.own, btf) {
            (Some(own), Some(btf)) => Arc::ptr_eq(own, btf) || own.bytes() == btf.bytes(),
            _ => false,
        }
    }

    /// The object's own section of variables of that name.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        self.own
            .as_ref()
            .is_some_and(|btf| btf.find_by_name(Kind::DataSec, name).is_some())
    }

    /// Where the object's own BTF defines a map.
    pub(crate) fn defined_map(&self, name: &str) -> Option<MapPlace> {
        let btf = self.own.as_ref()?;
        let id = btf.find_by_name(Kind::Var, name)?;
        let (Ok(Type::Var(var)), Ok(Type::DataSec(section))) = (
            btf.ty(id),
            btf.ty(btf.find_by_name(Kind::DataSec, ".maps")?),
        ) else {
            return None;
        };
        let size = section.vars.iter().find(|entry| entry.ty == id)?.size;
        Some(MapPlace {
            fixed: btf.size_of(var.ty).ok()?,
            size,
        })
    }

    /// The variables that the object's own BTF places in sections; kernel symbols and map definitions
    /// are not among them.
    pub(crate) fn placed_variables(&self) -> Vec<PlacedVariable> {
        let Some(btf) = &self.own else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (_, ty) in btf.types() {
            let Type::DataSec(section) = ty else { continue };
            if matches!(section.name(), ".maps" | ".ksyms" | ".kconfig") {
                continue;
            }
            for entry in section.vars.iter() {
                let Ok(Type::Var(var)) = btf.ty(entry.ty) else {
                    continue;
                };
                all.push(PlacedVariable {
                    section: section.name().to_owned(),
                    name: var.name().to_owned(),
                    offset: entry.offset,
                    size: entry.size,
                    global: var.linkage == VarLinkage::Global,
                });
            }
        }
        all
    }

    /// The section of which the object's own BTF says that a map's value is it.
    pub(crate) fn value_section(&self, map: &MapSpec) -> Option<String> {
        let own = self.own.as_ref().filter(|_| self.is_own(&map.btf))?;
        match own.ty(TypeId(map.btf_value_id)) {
            Ok(Type::DataSec(section)) if section.name() != ".kconfig" => {
                Some(section.name().to_owned())
            }
            _ => None,
        }
    }

    fn int(&mut self) -> TypeId {
        let out = &mut self.out;
        *self
            .int
            .get_or_insert_with(|| out.int("int", 4, IntEncoding::SIGNED))
    }

    /// `int (*)[number]`: how a definition says a number.
    fn number(&mut self, number: u32) -> TypeId {
        let int = self.int();
        let array = self.out.array(int, int, number);
        self.out.ptr(array)
    }

    /// The anonymous struct that defines a map, and its size in bytes.
    fn definition(&mut self, map: &MapSpec, inner: bool) -> (TypeId, u32) {
        let own = self.is_own(&map.btf);
        let mut members: Vec<(&str, TypeId)> = vec![("type", self.number(map.ty.number()))];
        let mut shape = |typed: &'static str, sized: &'static str, id: u32, size: u32| {
            if own && id != 0 {
                members.push((typed, self.out.ptr(TypeId(id))));
            } else if size != 0 {
                members.push((sized, self.number(size)));
            }
        };
        shape("key", "key_size", map.btf_key_id, map.key_size);
        shape("value", "value_size", map.btf_value_id, map.value_size);
        let numbers = [
            ("max_entries", map.max_entries),
            ("map_flags", map.flags.bits()),
            ("map_extra", map.extra as u32),
            ("numa_node", map.numa_node),
            // LIBBPF_PIN_BY_NAME.
            ("pinning", u32::from(map.pinned && !inner)),
        ];
        for (name, number) in numbers {
            if number != 0 {
                members.push((name, self.number(number)));
            }
        }
        let fixed = members.len() as u32 * 8;
        if let Some(values) = self.values(map) {
            members.push(("values", values));
        }
        let members: Vec<(&str, TypeId, u32, u8)> = members
            .iter()
            .enumerate()
            .map(|(i, m)| (m.0, m.1, i as u32 * 64, 0))
            .collect();
        (self.out.structure("", fixed, &members), fixed)
    }

    /// The type of the slots that an object fills: an array of unknown length.
    fn values(&mut self, map: &MapSpec) -> Option<TypeId> {
        let target = match (&map.inner, map.ty) {
            (Some(inner), _) => self.definition(inner, true).0,
            (None, MapType::ProgArray) if !map.slots.is_empty() => {
                let void = self.out.ptr(TypeId::VOID);
                let int = self.int();
                self.out.func_proto(int, &[("ctx", void)])
            }
            _ => return None,
        };
        let (pointer, int) = (self.out.ptr(target), self.int());
        Some(self.out.array(pointer, int, 0))
    }

    /// Adds the definition of a map as a variable.
    pub(crate) fn map(&mut self, map: &MapSpec) -> (TypeId, MapPlace) {
        let (ty, fixed) = self.definition(map, false);
        let filled = map
            .slots
            .iter()
            .map(|(index, _)| index.saturating_add(1))
            .max()
            .unwrap_or(0);
        let size = fixed.saturating_add(filled.saturating_mul(8));
        (
            self.out.var(&map.name, ty, VarLinkage::Global),
            MapPlace { fixed, size },
        )
    }

    /// Adds a global variable of a type that the object has.
    pub(crate) fn variable(&mut self, name: &str, ty: TypeId) -> TypeId {
        self.out.var(name, ty, VarLinkage::Global)
    }

    /// Adds a global variable of so many bytes.
    pub(crate) fn bytes_variable(&mut self, name: &str, size: u32) -> TypeId {
        let (byte, int) = (self.out.int("char", 1, IntEncoding::SIGNED), self.int());
        let array = self.out.array(byte, int, size);
        self.out.var(name, array, VarLinkage::Global)
    }

    /// Adds a section of variables: type, offset and size of each.
    pub(crate) fn section(&mut self, name: &str, vars: &[(TypeId, u32, u32)]) {
        let size = vars
            .iter()
            .map(|(_, offset, size)| offset.saturating_add(*size))
            .max();
        let vars: Vec<VarSecInfo> = vars
            .iter()
            .map(|&(ty, offset, size)| VarSecInfo { ty, offset, size })
            .collect();
        self.out.datasec(name, size.unwrap_or(0), &vars);
    }

    /// Declares a kernel function with the shape of its prototype, by which libbpf finds it again.
    pub(crate) fn kernel_function(&mut self, kernel: &Btf, id: u32) -> Option<(String, TypeId)> {
        let Ok(Type::Func(func)) = kernel.ty(TypeId(id)) else {
            return None;
        };
        let name = func.name().to_owned();
        // A loader has made a defined function of the declaration that the object came with.
        if let Some(known) = self
            .own
            .as_ref()
            .and_then(|b| b.find_by_name(Kind::Func, &name))
        {
            self.out.set_func_linkage(known, FuncLinkage::Extern);
            return Some((name, known));
        }
        let proto = self.shape_of(kernel, func.proto, DEEPEST);
        let ty = self.out.func(&name, proto, FuncLinkage::Extern);
        Some((name, ty))
    }

    /// Declares a kernel variable with the shape of its type.
    pub(crate) fn kernel_variable(&mut self, kernel: &Btf, id: u32) -> Option<(String, TypeId)> {
        let Ok(Type::Var(var)) = kernel.ty(TypeId(id)) else {
            return None;
        };
        let name = var.name().to_owned();
        if let Some(known) = self
            .own
            .as_ref()
            .and_then(|b| b.find_by_name(Kind::Var, &name))
        {
            let ty = self.shape_of(kernel, var.ty, DEEPEST);
            self.out.set_var(known, ty, VarLinkage::Extern);
            return Some((name, known));
        }
        let ty = self.shape_of(kernel, var.ty, DEEPEST);
        let ty = self.out.var(&name, ty, VarLinkage::Extern);
        Some((name, ty))
    }

    /// Adds the section of kernel symbols, or fills the one that the object came with.
    pub(crate) fn kernel_symbols(&mut self, vars: &[(TypeId, u32, u32)]) {
        let own = self
            .own
            .as_ref()
            .and_then(|b| b.find_by_name(Kind::DataSec, ".ksyms"));
        let Some(id) = own else {
            return self.section(".ksyms", vars);
        };
        let vars: Vec<VarSecInfo> = vars
            .iter()
            .map(|&(ty, offset, size)| VarSecInfo { ty, offset, size })
            .collect();
        self.out.set_datasec(id, 0, &vars);
    }

    /// A type of the same shape: kinds and names, but no members.
    fn shape_of(&mut self, kernel: &Btf, id: TypeId, depth: u32) -> TypeId {
        let (Some(depth), Some(budget)) = (depth.checked_sub(1), self.budget.checked_sub(1)) else {
            return TypeId::VOID;
        };
        self.budget = budget;
        let Ok((_, ty)) = kernel.resolve(id) else {
            return TypeId::VOID;
        };
        match ty {
            Type::Int(int) => self.out.int(int.name(), int.size, int.encoding),
            Type::Ptr(to) => {
                let to = self.shape_of(kernel, to, depth);
                self.out.ptr(to)
            }
            Type::Array(array) => {
                let (elem, int) = (self.shape_of(kernel, array.elem, depth), self.int());
                self.out.array(elem, int, array.nelems)
            }
            Type::Struct(c) => self.out.structure(c.name(), 0, &[]),
            Type::Union(c) => self.out.union(c.name(), 0, &[]),
            Type::Enum(e) => self.out.enumeration(e.name(), 4, false, &[]),
            Type::Enum64(e) => self.out.enumeration64(e.name(), 8, false, &[]),
            Type::Fwd(fwd) => self.out.fwd(fwd.name(), fwd.is_union),
            Type::FuncProto(proto) => {
                let ret = self.shape_of(kernel, proto.ret, depth);
                let params: Vec<(String, TypeId)> = proto
                    .params
                    .iter()
                    .map(|p| (p.name().to_owned(), self.shape_of(kernel, p.ty, depth)))
                    .collect();
                let params: Vec<(&str, TypeId)> = params
                    .iter()
                    .map(|(name, ty)| (name.as_str(), *ty))
                    .collect();
                self.out.func_proto(ret, &params)
            }
            Type::Float(float) => self.out.float(float.name(), float.size),
            Type::Void
            | Type::Typedef(_)
            | Type::Volatile(_)
            | Type::Const(_)
            | Type::Restrict(_)
            | Type::TypeTag(_)
            | Type::Func(_)
            | Type::Var(_)
            | Type::DataSec(_)
            | Type::DeclTag(_) => TypeId::VOID,
        }
    }
}
