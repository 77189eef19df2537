//! Cuts the types that the corpus needs out of a kernel's BTF: `cut_types VMLINUX_BTF OUTPUT`.
//!
//! Structures keep the members that are named here, all others none; sizes and offsets stay, and so do
//! functions, prototypes and everything in between. The result is `corpus/kernel-types.btf`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use skep_btf::{Btf, BtfBuilder, IntEncoding, Kind, Type, TypeId};
use skep_corpus::read_btf;

/// Structures with the members that are kept; `*` keeps all.
const STRUCTURES: &[(&str, &[&str])] = &[
    (
        "task_struct",
        &[
            "pid",
            "tgid",
            "comm",
            "group_leader",
            "real_parent",
            "parent",
            "cred",
            "real_cred",
            "start_time",
        ],
    ),
    (
        "cred",
        &[
            "uid", "gid", "suid", "sgid", "euid", "egid", "fsuid", "fsgid",
        ],
    ),
    (
        "bpf_map",
        &[
            "map_type",
            "key_size",
            "value_size",
            "max_entries",
            "map_flags",
            "id",
            "name",
        ],
    ),
    ("bpf_iter_meta", &["*"]),
    ("bpf_iter__task", &["*"]),
    ("file", &["f_flags"]),
    ("sk_buff", &["len", "data", "head"]),
    ("nf_hook_state", &["hook", "pf"]),
    ("bpf_nf_ctx", &["*"]),
    ("tcp_sock", &["inet_conn", "snd_cwnd", "prior_cwnd"]),
    ("inet_connection_sock", &["icsk_inet"]),
    ("inet_sock", &["sk"]),
    ("tcp_congestion_ops", &["*"]),
    ("bpf_struct_ops_tcp_congestion_ops", &["*"]),
    ("bpf_struct_ops_common_value", &["*"]),
];

/// Functions and tracepoints that programs of the corpus run at.
const FUNCTIONS: &[&str] = &[
    "do_sys_openat2",
    "bpf_modify_return_test",
    "bpf_lsm_file_open",
    "bpf_iter_task",
    "__bpf_trace_sched_process_fork",
];
const TYPEDEFS: &[&str] = &["btf_trace_sched_process_fork"];

/// The types that are kept, in the order of their new ids.
struct Cut<'a> {
    btf: &'a Btf,
    ids: BTreeMap<TypeId, TypeId>,
    order: Vec<TypeId>,
}

/// Whether a member of a structure stays.
fn keeps(structure: &str, member: &str) -> bool {
    let row = STRUCTURES.iter().find(|row| row.0 == structure);
    row.is_some_and(|(_, members)| members.contains(&"*") || members.contains(&member))
}

impl Cut<'_> {
    fn visit(&mut self, id: TypeId) -> Result<(), skep_btf::Error> {
        if id.is_void() || self.ids.contains_key(&id) {
            return Ok(());
        }
        self.order.push(id);
        self.ids.insert(id, TypeId(self.order.len() as u32));
        for child in self.children(id)? {
            self.visit(child)?;
        }
        Ok(())
    }

    fn children(&self, id: TypeId) -> Result<Vec<TypeId>, skep_btf::Error> {
        let ty = self.btf.ty(id)?;
        if let Some(composite) = ty.as_composite() {
            let anonymous = ty.name().is_empty();
            let members = composite.members.iter();
            let kept = members.filter(|m| anonymous || keeps(ty.name(), m.name()));
            return Ok(kept.map(|m| m.ty).collect());
        }
        if let Some(proto) = ty.as_func_proto() {
            let params = proto.params.iter().map(|p| p.ty);
            return Ok(params.chain([proto.ret]).collect());
        }
        if let Some(array) = ty.as_array() {
            return Ok(vec![array.elem, array.index]);
        }
        if let Some(func) = ty.as_func() {
            return Ok(vec![func.proto]);
        }
        if let Type::Typedef(def) = ty {
            return Ok(vec![def.ty]);
        }
        let to = ty.as_ptr().or_else(|| ty.modified());
        Ok(to.into_iter().collect())
    }

    fn new_id(&self, id: TypeId) -> TypeId {
        self.ids.get(&id).copied().unwrap_or(TypeId(0))
    }

    fn write(&self) -> Result<Vec<u8>, skep_btf::Error> {
        let mut out = BtfBuilder::new();
        for id in &self.order {
            self.write_one(&mut out, *id)?;
        }
        Ok(out.to_bytes())
    }

    fn write_one(&self, out: &mut BtfBuilder, id: TypeId) -> Result<(), skep_btf::Error> {
        let ty = self.btf.ty(id)?;
        let name = ty.name();
        if let Some(composite) = ty.as_composite() {
            let anonymous = name.is_empty();
            let members: Vec<_> = composite
                .members
                .iter()
                .filter(|m| anonymous || keeps(name, m.name()))
                .map(|m| (m.name(), self.new_id(m.ty), m.bit_offset, m.bitfield_size))
                .collect();
            if ty.kind() == Kind::Union {
                out.union(name, composite.size, &members);
            } else {
                out.structure(name, composite.size, &members);
            }
            return Ok(());
        }
        match ty {
            Type::Int(int) => out.int(name, int.size, int.encoding),
            Type::Ptr(to) => out.ptr(self.new_id(to)),
            Type::Array(array) => out.array(
                self.new_id(array.elem),
                self.new_id(array.index),
                array.nelems,
            ),
            Type::Typedef(def) => out.typedef(name, self.new_id(def.ty)),
            Type::Func(func) => out.func(name, self.new_id(func.proto), func.linkage),
            Type::FuncProto(proto) => {
                let params: Vec<_> = proto
                    .params
                    .iter()
                    .map(|p| (p.name(), self.new_id(p.ty)))
                    .collect();
                out.func_proto(self.new_id(proto.ret), &params)
            }
            Type::Fwd(fwd) => out.fwd(name, fwd.is_union),
            Type::Const(of) => out.constant(self.new_id(of)),
            Type::Volatile(of) => out.volatile(self.new_id(of)),
            Type::Restrict(of) => out.restrict(self.new_id(of)),
            Type::TypeTag(tag) => out.type_tag(name, self.new_id(tag.ty)),
            // What remains and can be in a structure counts as a number of its size.
            Type::Enum(_)
            | Type::Enum64(_)
            | Type::Float(_)
            | Type::Void
            | Type::Struct(_)
            | Type::Union(_)
            | Type::Var(_)
            | Type::DataSec(_)
            | Type::DeclTag(_) => out.int(name, self.btf.size_of(id)?, IntEncoding::UNSIGNED),
        };
        Ok(())
    }
}

fn cut(btf: &Btf) -> Result<Vec<u8>, skep_btf::Error> {
    let (ids, order) = (BTreeMap::new(), Vec::new());
    let mut cut = Cut { btf, ids, order };
    let named = |kind, name: &str| btf.find_by_name(kind, name);
    let structures = STRUCTURES.iter().map(|row| named(Kind::Struct, row.0));
    let functions = FUNCTIONS.iter().map(|name| named(Kind::Func, name));
    let typedefs = TYPEDEFS.iter().map(|name| named(Kind::Typedef, name));
    for id in structures.chain(functions).chain(typedefs).flatten() {
        cut.visit(id)?;
    }
    cut.write()
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return ExitCode::from(2);
    };
    let Ok(btf) = read_btf(Path::new(&from)) else {
        return ExitCode::from(2);
    };
    match cut(&btf) {
        Ok(bytes) if std::fs::write(&to, &bytes).is_ok() => ExitCode::SUCCESS,
        Ok(_) | Err(_) => ExitCode::from(1),
    }
}
