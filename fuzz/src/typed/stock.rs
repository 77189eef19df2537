//! What typed programs share: the kernel's functions, tracepoints, hooks and variables by kind, maps
//! with special fields, and one BTF that names kernel structures.

use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding, Kind, Type, TypeId};
use skep_spec::{MapFlags, MapSpec, MapType};

use super::model::Obj;

/// The stock.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) kernel: Arc<Btf>,
    pub(super) maps: Vec<Arc<MapSpec>>,
    pub(super) btf: Arc<Btf>,
    pub(super) funcs: Funcs,
    /// Typedefs of tracepoints.
    pub(super) tracepoints: Vec<TypeId>,
    pub(super) hooks: Vec<TypeId>,
    pub(super) iterators: Vec<TypeId>,
    /// Ordinary functions, and those of networking and files that programs like to trace.
    pub(super) functions: Vec<TypeId>,
    pub(super) favourites: Vec<TypeId>,
    pub(super) security: Vec<TypeId>,
    /// Variables of the kernel that it has types for.
    pub(super) variables: Vec<TypeId>,
}

/// BTF ids of the program's own functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Funcs {
    pub(super) main: u32,
    pub(super) sub: u32,
    pub(super) callback: u32,
    /// By what they take: a trusted task, one that may be null, an untrusted one, memory, the context.
    pub(super) globals: [(u32, Takes); 6],
}

/// What a global function's argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Takes {
    Task,
    TaskOrNull,
    UntrustedTask,
    Cgroup,
    Memory,
    Ctx,
}

/// Maps by index.
pub(super) const PLAIN: usize = 0;
pub(super) const HASH: usize = 1;
pub(super) const LOCKED: usize = 2;
pub(super) const LOCKED_HASH: usize = 3;
pub(super) const TIMERS: usize = 4;
pub(super) const KPTRS: usize = 5;
pub(super) const KPTRS_HASH: usize = 6;
pub(super) const TASK_STORAGE: usize = 7;
pub(super) const SK_STORAGE: usize = 8;
pub(super) const INODE_STORAGE: usize = 9;
pub(super) const CGRP_STORAGE: usize = 10;
pub(super) const RINGBUF: usize = 11;
pub(super) const USER_RINGBUF: usize = 12;
pub(super) const PERCPU: usize = 13;
pub(super) const LOCKED_STORAGE: usize = 14;
pub(super) const OUTER: usize = 15;
pub(super) const TIMERS_TOO: usize = 16;

/// Where special fields lie: lock, timer; kptrs to task, cgroup, cpumask, and an unreferenced one.
pub(super) const LOCK_AT: i32 = 8;
pub(super) const TIMER_AT: i32 = 8;
pub(super) const KPTR_AT: [(i32, Obj); 4] = [
    (0, Obj::Task),
    (8, Obj::Cgroup),
    (16, Obj::Cpumask),
    (24, Obj::UnrefTask),
];

/// Names that programs like to attach to.
const FAVOURITES: [&str; 24] = [
    "tcp_sendmsg",
    "tcp_connect",
    "tcp_close",
    "udp_sendmsg",
    "inet_csk_accept",
    "ip_rcv",
    "vfs_read",
    "vfs_write",
    "vfs_open",
    "do_unlinkat",
    "filp_close",
    "do_sys_openat2",
    "wake_up_new_task",
    "try_to_wake_up",
    "do_exit",
    "mmput",
    "handle_mm_fault",
    "cgroup_attach_task",
    "bpf_fentry_test1",
    "bpf_fentry_test9",
    "bpf_modify_return_test",
    "tcp_rcv_established",
    "__x64_sys_getpid",
    "security_file_open",
];

impl Stock {
    pub(super) fn new(kernel: Arc<Btf>) -> Stock {
        let (btf, types, funcs) = program_btf();
        let mut stock = Stock {
            maps: maps(&btf, &types),
            btf,
            funcs,
            tracepoints: Vec::new(),
            hooks: Vec::new(),
            iterators: Vec::new(),
            functions: Vec::new(),
            favourites: Vec::new(),
            security: Vec::new(),
            variables: Vec::new(),
            kernel: Arc::clone(&kernel),
        };
        for (id, ty) in kernel.types() {
            match ty {
                Type::Typedef(def) if def.name().starts_with("btf_trace_") => {
                    stock.tracepoints.push(id);
                }
                Type::Func(func) => stock.function(id, func.name()),
                Type::Var(_) => stock.variables.push(id),
                _ => {}
            }
        }
        stock
    }

    fn function(&mut self, id: TypeId, name: &str) {
        if name.starts_with("bpf_lsm_") {
            self.hooks.push(id);
        } else if name.starts_with("bpf_iter_") {
            self.iterators.push(id);
        } else if name.starts_with("security_") {
            self.security.push(id);
        }
        if FAVOURITES.contains(&name) {
            self.favourites.push(id);
        }
        self.functions.push(id);
    }

    /// The kernel's function of that name.
    pub(super) fn kfunc(&self, name: &str) -> Option<i32> {
        let id = self.kernel.find_by_name(Kind::Func, name)?;
        i32::try_from(id.0).ok()
    }

    /// The kernel's structure of that name.
    pub(super) fn structure(&self, name: &str) -> Option<TypeId> {
        self.kernel.find_by_name(Kind::Struct, name)
    }
}

/// BTF ids of the types of map values.
struct Types {
    int: TypeId,
    number: TypeId,
    locked: TypeId,
    timed: TypeId,
    pointers: TypeId,
}

/// Kernel structures that the program's BTF names.
#[derive(Clone, Copy)]
struct Named {
    task: TypeId,
    cgroup: TypeId,
    cpumask: TypeId,
}

fn program_btf() -> (Arc<Btf>, Types, Funcs) {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let long = b.int("unsigned long", 8, IntEncoding::UNSIGNED);
    let field = [("val", int, 0, 0)];
    let named = Named {
        task: b.structure("task_struct", 4, &field),
        cgroup: b.structure("cgroup", 4, &field),
        cpumask: b.structure("bpf_cpumask", 4, &field),
    };
    let types = value_types(&mut b, int, long, named);
    let funcs = functions(&mut b, &types, named);
    let btf = Btf::parse(b.to_bytes()).or_else(|_| Btf::parse(BtfBuilder::new().to_bytes()));
    let btf = Arc::new(btf.unwrap_or_else(|_| unreachable!("an empty BTF parses")));
    (btf, types, funcs)
}

fn value_types(b: &mut BtfBuilder, int: TypeId, long: TypeId, named: Named) -> Types {
    let lock = b.structure("bpf_spin_lock", 4, &[("val", int, 0, 0)]);
    let opaque = b.array(long, int, 2);
    let timer = b.structure("bpf_timer", 16, &[("__opaque", opaque, 0, 0)]);
    let kptr = |b: &mut BtfBuilder, tag, to| {
        let tagged = b.type_tag(tag, to);
        b.ptr(tagged)
    };
    let pointers = [
        ("task", kptr(b, "kptr", named.task), 0, 0),
        ("cgroup", kptr(b, "kptr", named.cgroup), 64, 0),
        ("mask", kptr(b, "kptr", named.cpumask), 128, 0),
        ("loose", kptr(b, "kptr_untrusted", named.task), 192, 0),
        ("count", long, 256, 0),
    ];
    let (a, last) = (("a", long, 0, 0), |off| ("b", long, off, 0));
    Types {
        int,
        number: b.structure("pair", 16, &[a, last(64)]),
        locked: b.structure("locked", 24, &[a, ("lock", lock, 64, 0), last(128)]),
        timed: b.structure("timed", 32, &[a, ("timer", timer, 64, 0), last(192)]),
        pointers: b.structure("pointers", 40, &pointers),
    }
}

fn functions(b: &mut BtfBuilder, types: &Types, named: Named) -> Funcs {
    let int = types.int;
    let void = b.ptr(TypeId::VOID);
    let (task, cgroup, pair) = (b.ptr(named.task), b.ptr(named.cgroup), b.ptr(types.number));
    let mut func = |name, arg: &[TypeId], linkage, tags: &[&str]| {
        let names = ["a", "b", "c", "d", "e"].into_iter();
        let params: Vec<_> = names.zip(arg.iter().copied()).collect();
        let proto = b.func_proto(int, &params);
        let id = b.func(name, proto, linkage);
        for tag in tags {
            b.decl_tag(tag, id, Some(0));
        }
        id.0
    };
    let fixed = FuncLinkage::Static;
    let main = func("entry", &[void], FuncLinkage::Global, &[]);
    let sub = func("sub", &[void; 3], fixed, &[]);
    let callback = func("callback", &[void; 4], fixed, &[]);
    let mut global = |name, arg, tags: &[&str]| func(name, &[arg, int], FuncLinkage::Global, tags);
    let nullable = ["arg:trusted", "arg:nullable"];
    Funcs {
        main,
        sub,
        callback,
        globals: [
            (global("g_task", task, &["arg:trusted"]), Takes::Task),
            (global("g_nullable", task, &nullable), Takes::TaskOrNull),
            (
                global("g_untrusted", task, &["arg:untrusted"]),
                Takes::UntrustedTask,
            ),
            (global("g_cgroup", cgroup, &["arg:trusted"]), Takes::Cgroup),
            (global("g_memory", pair, &["arg:nonnull"]), Takes::Memory),
            (global("g_ctx", void, &["arg:ctx"]), Takes::Ctx),
        ],
    }
}

fn maps(btf: &Arc<Btf>, types: &Types) -> Vec<Arc<MapSpec>> {
    let typed = |name, ty, size, entries, value: TypeId| {
        let mut map = MapSpec::new(name, ty, 4, size, entries);
        map.btf = Some(Arc::clone(btf));
        (map.btf_key_id, map.btf_value_id) = (types.int.0, value.0);
        if entries == 0 {
            map.flags = MapFlags::NO_PREALLOC;
        }
        map
    };
    let mut outer = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 4);
    outer.inner = Some(Box::new(typed(
        "inner",
        MapType::Array,
        24,
        4,
        types.locked,
    )));
    let mut hash = typed("lhash", MapType::Hash, 24, 8, types.locked);
    hash.flags = MapFlags::NO_PREALLOC;
    let all = vec![
        MapSpec::new("plain", MapType::Array, 4, 64, 4),
        MapSpec::new("hash", MapType::Hash, 4, 64, 8),
        typed("locked", MapType::Array, 24, 4, types.locked),
        hash,
        typed("timers", MapType::Array, 32, 4, types.timed),
        typed("kptrs", MapType::Array, 40, 4, types.pointers),
        typed("kptrhash", MapType::Hash, 40, 8, types.pointers),
        typed("tasks", MapType::TaskStorage, 16, 0, types.number),
        typed("socks", MapType::SkStorage, 16, 0, types.number),
        typed("inodes", MapType::InodeStorage, 16, 0, types.number),
        typed("cgroups", MapType::CgrpStorage, 16, 0, types.number),
        MapSpec::new("ring", MapType::Ringbuf, 0, 0, 4096),
        MapSpec::new("userring", MapType::UserRingbuf, 0, 0, 4096),
        MapSpec::new("percpu", MapType::PercpuArray, 4, 32, 4),
        typed("locktasks", MapType::TaskStorage, 24, 0, types.locked),
        outer,
        typed("timers2", MapType::Hash, 32, 8, types.timed),
    ];
    all.into_iter().map(Arc::new).collect()
}
