//! BTF of an assembled source: declared types, a prototype for every function, and the source lines.

use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder};
use skep_spec::{FuncInfo, LineInfo};

use crate::decl::Proto;
use crate::link::Draft;
use crate::source::{Source, Unit, UnitKind};
use crate::types::{Linkage, Node, TypeRef, Types};

/// What BTF tells about one program.
#[derive(Debug, Default)]
pub(crate) struct DebugInfo {
    pub(crate) func_info: Vec<FuncInfo>,
    pub(crate) line_info: Vec<LineInfo>,
    /// The functions' ids are the source's own and refer to a BTF that the caller supplies.
    pub(crate) told: bool,
}

/// The functions that the source tells by id.
pub(crate) fn told_functions(source: &Source<'_>, draft: &Draft) -> Vec<FuncInfo> {
    let mut infos = Vec::new();
    for (unit, start) in &draft.placed {
        for (slot, id) in source.units.get(*unit).map_or(&[][..], |u| &u.func_ids) {
            infos.push(FuncInfo {
                insn_off: (start + slot) as u32,
                type_id: *id,
            });
        }
    }
    infos
}

/// Whether a program's verdict needs its functions' prototypes: one of them was written down.
pub(crate) fn needs_functions(source: &Source<'_>, draft: &Draft) -> bool {
    draft
        .placed
        .iter()
        .any(|(unit, _)| match source.units.get(*unit).map(|u| &u.kind) {
            Some(UnitKind::Program(header)) => header.proto.is_some() || !header.tags.is_empty(),
            Some(UnitKind::Function { linkage, proto }) => {
                proto.is_some() || *linkage == Linkage::Global
            }
            None => false,
        })
}

/// Makes the types of a program's functions; the ids are final once `types` is written.
pub(crate) fn functions(types: &mut Types, source: &Source<'_>, draft: &Draft) -> Vec<FuncInfo> {
    let mut infos = Vec::new();
    for start in draft.function_starts() {
        let whole = draft.placed.iter().find(|(_, first)| *first == start);
        let unit = whole.and_then(|(unit, _)| source.units.get(*unit));
        let id = match unit {
            Some(unit) => unit_function(types, unit),
            None => local_function(types, source, draft, start),
        };
        infos.push(FuncInfo {
            insn_off: start as u32,
            type_id: id.0,
        });
    }
    infos
}

fn unit_function(types: &mut Types, unit: &Unit<'_>) -> TypeRef {
    let (linkage, proto, tags) = match &unit.kind {
        UnitKind::Program(header) => (
            Linkage::Global,
            header.proto.clone(),
            header.tags.as_slice(),
        ),
        UnitKind::Function { linkage, proto } => (*linkage, proto.clone(), [].as_slice()),
    };
    let int = types.int("int").unwrap_or_default();
    let proto = proto.unwrap_or_else(|| {
        let mut proto = Proto {
            name: unit.name.clone(),
            ret: int,
            params: vec![],
            tags: vec![],
        };
        if let UnitKind::Program(_) = unit.kind {
            let ctx = types.add(Node::Ptr(TypeRef(0)));
            proto.params.push(("ctx".to_owned(), ctx));
        }
        proto
    });
    let id = types.add(Node::Proto {
        ret: proto.ret,
        params: proto.params,
    });
    let func = types.add(Node::Func {
        name: unit.name.clone(),
        proto: id,
        linkage,
    });
    for (param, text) in proto.tags {
        types.add(Node::DeclTag {
            text,
            of: func,
            component: Some(param),
        });
    }
    for text in tags {
        types.add(Node::DeclTag {
            text: text.clone(),
            of: func,
            component: None,
        });
    }
    func
}

/// A function inside a unit: it has a label's name and no known parameters.
fn local_function(types: &mut Types, source: &Source<'_>, draft: &Draft, start: usize) -> TypeRef {
    let inside = draft.placed.iter().rev().find(|(_, first)| *first <= start);
    let label = inside.and_then(|(unit, first)| {
        let labels = &source.units.get(*unit)?.labels;
        labels
            .iter()
            .filter(|(_, slot)| *slot + first == start)
            .map(|(name, _)| name)
            .min()
    });
    let name = label.cloned().unwrap_or_else(|| format!("sub_{start}"));
    let ret = types.int("int").unwrap_or_default();
    let proto = types.add(Node::Proto {
        ret,
        params: Vec::new(),
    });
    types.add(Node::Func {
        name,
        proto,
        linkage: Linkage::Static,
    })
}

/// Source lines of a program, one record per line with code.
pub(crate) fn lines(
    out: &mut BtfBuilder,
    file_name: &str,
    source: &Source<'_>,
    draft: &Draft,
) -> Vec<LineInfo> {
    let file_name_off = out.string(file_name);
    let mut infos = Vec::new();
    for (unit, start) in &draft.placed {
        let Some(unit) = source.units.get(*unit) else {
            continue;
        };
        for line in &unit.code {
            let slot = start + line.slot;
            // Kernels refuse a record that points into the middle of a 64-bit immediate load.
            if draft.insns.get(slot).is_none_or(|raw| raw.code == 0) {
                continue;
            }
            let (number, column) = (
                line.span.line.min((1 << 22) - 1),
                line.span.column.min(1023),
            );
            infos.push(LineInfo {
                insn_off: slot as u32,
                file_name_off,
                line_off: out.string(line.text),
                line_col: number << 10 | column,
            });
        }
    }
    infos
}

/// The BTF as the specs hold it.
pub(crate) fn finish(out: &BtfBuilder) -> Result<Arc<Btf>, skep_btf::Error> {
    Ok(Arc::new(Btf::parse(out.to_bytes())?))
}
