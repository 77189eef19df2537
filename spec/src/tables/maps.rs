//! Map types: what programs may do with each, and what each must be created like.
//!
//! One row per type in numeric order: `map(type, helpers that take it)`, then what programs may do, then the
//! rules of creation. `ALL` helpers means: all that do not name other types in `HELPER_MAPS`. Sizes are bytes.

use super::helper::HelperProto;
use super::helpers::HELPERS;
use super::hook::Hook;
use crate::{AttachType, MapFlags, MapType, ProgType};

/// What `bpf_map_lookup_elem` returns for a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// A value, or NULL.
    Value,
    /// The inner map, or NULL.
    InnerMap,
    /// A socket that must be released, or NULL.
    Socket,
    /// An AF_XDP socket, or NULL.
    XdpSocket,
}

/// What a map's BTF must be like (`map_check_btf`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapBtf {
    /// Any key and value types of the right sizes.
    Any,
    /// None: creation fails with `ENOTSUPP`.
    Refused,
    /// A 32-bit integer as key; or no key, for one value that is a data section.
    IntKeyOrSection,
    /// A 32-bit integer as key, and BTF is required.
    IntKeyRequired,
    /// A structure as key.
    StructKey,
    /// A `bpf_cgroup_storage_key` or a 64-bit integer as key.
    StorageKey,
    /// No key type.
    NoKey,
}

/// What keys or values must be like, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SizeRule {
    /// None: zero.
    Zero,
    /// Any but zero.
    NonZero,
    /// One of these.
    OneOf(&'static [u32]),
    /// From the first to the second.
    Between(u32, u32),
    /// Stack frames of eight bytes, or of 32 with [`MapFlags::STACK_BUILD_ID`], at most so many.
    Frames(u32),
    /// Given by BTF.
    ByBtf,
}

/// How many entries a map may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntriesRule {
    /// None: zero.
    Zero,
    /// Any but zero.
    NonZero,
    /// One.
    One,
    /// A power of two that is a multiple of the page size: bytes.
    Pages,
}

/// Limits whose violation is `E2BIG`, in bytes unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooBig {
    /// None beyond memory.
    Never,
    /// A value, beyond that.
    Value(u32),
    /// Key and value together, from that.
    KeyAndValue(u32),
    /// A key, beyond that.
    Key(u32),
    /// Entries, beyond that.
    Entries(u32),
    /// Entries, beyond the CPUs that the kernel is built for.
    Cpus,
    /// Pages, beyond 4 GiB in all.
    Pages,
}

/// Bits of kernel objects that a value may hold (`map_check_btf`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holds {
    /// `bpf_spin_lock` and `bpf_res_spin_lock`.
    pub locks: bool,
    /// `bpf_timer`, `bpf_wq` and `bpf_task_work`.
    pub timers: bool,
    /// Pointers to kernel objects.
    pub kptrs: bool,
    /// Pointers to user memory.
    pub uptrs: bool,
    /// Lists and trees of allocated objects.
    pub graphs: bool,
}

/// One map type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapTypeFacts {
    /// The type.
    pub ty: MapType,
    /// Helpers that take it, by number; `None` for all that do not name other types.
    pub helpers: Option<&'static [u32]>,
    /// What a lookup returns.
    pub lookup: Lookup,
    /// `bpf_map_lookup_elem` of a constant key below the number of entries is never NULL, except in maps made
    /// with [`MapFlags::INNER_MAP`]: ask [`MapTypeFacts::elides_null_in`].
    pub elides_null: bool,
    /// Instructions may address the first value.
    pub direct_value: bool,
    /// `bpf_for_each_map_elem` walks it.
    pub for_each: bool,
    /// Sleepable programs may use it.
    pub sleepable: bool,
    /// May be an inner map.
    pub inner: bool,
    /// Programs may not write values, whatever the flags.
    pub read_only: bool,
    /// What its values may hold.
    pub holds: Holds,
    /// BTF.
    pub btf: MapBtf,
    /// Keys.
    pub key: SizeRule,
    /// Values.
    pub value: SizeRule,
    /// Entries.
    pub entries: EntriesRule,
    /// Flags that may be set.
    pub flags: MapFlags,
    /// Flags that must be set.
    pub needs: MapFlags,
    /// Whether `map_extra` may be used, and which bits.
    pub extra: u64,
    /// Limits.
    pub limits: &'static [TooBig],
}

const fn map(ty: MapType, helpers: Option<&'static [u32]>) -> MapTypeFacts {
    MapTypeFacts {
        ty,
        helpers,
        lookup: Lookup::Value,
        elides_null: false,
        direct_value: false,
        for_each: false,
        sleepable: false,
        inner: true,
        read_only: false,
        holds: NOTHING,
        btf: MapBtf::Any,
        key: SizeRule::NonZero,
        value: SizeRule::NonZero,
        entries: EntriesRule::NonZero,
        flags: MapFlags::empty(),
        needs: MapFlags::empty(),
        extra: 0,
        limits: &[],
    }
}

const NOTHING: Holds = Holds {
    locks: false,
    timers: false,
    kptrs: false,
    uptrs: false,
    graphs: false,
};

impl MapTypeFacts {
    const fn lookup(self, lookup: Lookup) -> MapTypeFacts {
        MapTypeFacts { lookup, ..self }
    }
    const fn elides(self) -> MapTypeFacts {
        MapTypeFacts {
            elides_null: true,
            ..self
        }
    }
    const fn direct(self) -> MapTypeFacts {
        MapTypeFacts {
            direct_value: true,
            ..self
        }
    }
    const fn walks(self) -> MapTypeFacts {
        MapTypeFacts {
            for_each: true,
            ..self
        }
    }
    const fn sleeps(self) -> MapTypeFacts {
        MapTypeFacts {
            sleepable: true,
            ..self
        }
    }
    const fn outer(self) -> MapTypeFacts {
        MapTypeFacts {
            inner: false,
            ..self
        }
    }
    const fn read_only(self) -> MapTypeFacts {
        MapTypeFacts {
            read_only: true,
            ..self
        }
    }
    const fn holds(self, holds: Holds) -> MapTypeFacts {
        MapTypeFacts { holds, ..self }
    }
    const fn btf(self, btf: MapBtf) -> MapTypeFacts {
        MapTypeFacts { btf, ..self }
    }
    const fn sizes(self, key: SizeRule, value: SizeRule) -> MapTypeFacts {
        MapTypeFacts { key, value, ..self }
    }
    const fn entries(self, entries: EntriesRule) -> MapTypeFacts {
        MapTypeFacts { entries, ..self }
    }
    const fn flags(self, flags: MapFlags) -> MapTypeFacts {
        MapTypeFacts { flags, ..self }
    }
    const fn needs(self, needs: MapFlags) -> MapTypeFacts {
        MapTypeFacts {
            needs,
            flags: self.flags.union(needs),
            ..self
        }
    }
    const fn extra(self, extra: u64) -> MapTypeFacts {
        MapTypeFacts { extra, ..self }
    }
    const fn limits(self, limits: &'static [TooBig]) -> MapTypeFacts {
        MapTypeFacts { limits, ..self }
    }
}

impl MapTypeFacts {
    /// Whether a lookup of a constant key below the number of entries is never NULL in a map with these flags
    /// (`can_elide_value_nullness`).
    pub fn elides_null_in(&self, flags: MapFlags) -> bool {
        self.elides_null && !flags.contains(MapFlags::INNER_MAP)
    }
}

/// The number of a helper; runs in the compiler.
const fn id(name: &str) -> u32 {
    let mut i = 0;
    while i < HELPERS.len() {
        let (_, rest) = HELPERS[i].name.as_bytes().split_at(4);
        if super::sets::equal(rest, name.as_bytes()) {
            return HELPERS[i].id;
        }
        i += 1;
    }
    panic!("no helper of that name")
}

use EntriesRule::{One, Pages, Zero};
use Lookup::{InnerMap, Socket, XdpSocket};
use MapBtf::{IntKeyOrSection, IntKeyRequired, NoKey, Refused, StorageKey, StructKey};
use MapType as M;
use SizeRule::{Between, ByBtf, Frames, NonZero, OneOf};

const ALL: Option<&[u32]> = None;
const fn only(helpers: &'static [u32]) -> Option<&'static [u32]> {
    Some(helpers)
}

// Largest block of the kernel's allocator, and of its per-CPU allocator, on x86-64.
const KMALLOC_MAX: u32 = 4 << 20;
const PERCPU_MAX: u32 = 32 << 10;
// What the kernel keeps beside the program's bytes in one element.
const HTAB_ELEM: u32 = 48;
const LPM_NODE: u32 = 24;
const STORAGE_ELEM: u32 = 128;
const STORAGE_MAX: u32 = 0xffff - STORAGE_ELEM;

const LOOKUP: u32 = id("map_lookup_elem");
const UPDATE: u32 = id("map_update_elem");
const DELETE: u32 = id("map_delete_elem");
const PUSH: u32 = id("map_push_elem");
const POP: u32 = id("map_pop_elem");
const PEEK: u32 = id("map_peek_elem");
const PERCPU_LOOKUP: u32 = id("map_lookup_percpu_elem");
const TAIL_CALL: u32 = id("tail_call");
const PERF_READ: u32 = id("perf_event_read");
const PERF_OUTPUT: u32 = id("perf_event_output");
const PERF_VALUE: u32 = id("perf_event_read_value");
const SKB_OUTPUT: u32 = id("skb_output");
const XDP_OUTPUT: u32 = id("xdp_output");
const RB_OUTPUT: u32 = id("ringbuf_output");
const RB_RESERVE: u32 = id("ringbuf_reserve");
const RB_QUERY: u32 = id("ringbuf_query");
const RB_RESERVE_DYNPTR: u32 = id("ringbuf_reserve_dynptr");
const RB_SUBMIT_DYNPTR: u32 = id("ringbuf_submit_dynptr");
const RB_DISCARD_DYNPTR: u32 = id("ringbuf_discard_dynptr");
const RB_DRAIN: u32 = id("user_ringbuf_drain");
const STACKID: u32 = id("get_stackid");
const SKB_CGROUP: u32 = id("skb_under_cgroup");
const TASK_CGROUP: u32 = id("current_task_under_cgroup");
const LOCAL_STORAGE: u32 = id("get_local_storage");
const REDIRECT: u32 = id("redirect_map");
const SK_REDIRECT_MAP: u32 = id("sk_redirect_map");
const SK_REDIRECT_HASH: u32 = id("sk_redirect_hash");
const MSG_REDIRECT_MAP: u32 = id("msg_redirect_map");
const MSG_REDIRECT_HASH: u32 = id("msg_redirect_hash");
const SOCK_MAP_UPDATE: u32 = id("sock_map_update");
const SOCK_HASH_UPDATE: u32 = id("sock_hash_update");
const REUSEPORT: u32 = id("sk_select_reuseport");
const SK_GET: u32 = id("sk_storage_get");
const SK_DELETE: u32 = id("sk_storage_delete");
const INODE_GET: u32 = id("inode_storage_get");
const INODE_DELETE: u32 = id("inode_storage_delete");
const TASK_GET: u32 = id("task_storage_get");
const TASK_DELETE: u32 = id("task_storage_delete");
const CGRP_GET: u32 = id("cgrp_storage_get");
const CGRP_DELETE: u32 = id("cgrp_storage_delete");
const XCHG: u32 = id("kptr_xchg");

const F4: SizeRule = OneOf(&[4]);
const F4_8: SizeRule = OneOf(&[4, 8]);
const SYS: MapFlags = MapFlags::RDONLY.union(MapFlags::WRONLY);
const ACCESS: MapFlags = SYS
    .union(MapFlags::RDONLY_PROG)
    .union(MapFlags::WRONLY_PROG);
const NUMA: MapFlags = MapFlags::NUMA_NODE;
const ARRAY: MapFlags = NUMA.union(ACCESS);
const HASH: MapFlags = ARRAY
    .union(MapFlags::NO_PREALLOC)
    .union(MapFlags::ZERO_SEED);
const LRU: MapFlags = ARRAY
    .union(MapFlags::NO_COMMON_LRU)
    .union(MapFlags::ZERO_SEED);
const FD_ARRAY: MapFlags = NUMA.union(SYS);
const HASH_LIMIT: &[TooBig] = &[TooBig::KeyAndValue(KMALLOC_MAX - HTAB_ELEM)];
const PERCPU_HASH_LIMIT: &[TooBig] = &[
    TooBig::KeyAndValue(KMALLOC_MAX - HTAB_ELEM),
    TooBig::Value(PERCPU_MAX),
];
const STORAGE_FLAGS: MapFlags = MapFlags::CLONE;
const PREALLOC: MapFlags = MapFlags::NO_PREALLOC;

const EVERYTHING: Holds = Holds {
    locks: true,
    timers: true,
    kptrs: true,
    uptrs: false,
    graphs: true,
};
const KPTRS: Holds = Holds {
    kptrs: true,
    ..NOTHING
};
const UNLOCKED: Holds = Holds {
    timers: true,
    kptrs: true,
    graphs: true,
    ..NOTHING
};
const STORAGE: Holds = Holds {
    locks: true,
    kptrs: true,
    ..NOTHING
};
const TASK: Holds = Holds {
    uptrs: true,
    ..STORAGE
};
const LOCKS: Holds = Holds {
    locks: true,
    ..NOTHING
};

/// The table.
#[rustfmt::skip]
pub static MAP_TYPES: &[MapTypeFacts] = &[
    map(M::Hash,                ALL).walks().sleeps().holds(EVERYTHING).flags(HASH).limits(HASH_LIMIT),
    map(M::Array,               ALL).elides().direct().walks().sleeps().holds(EVERYTHING).btf(IntKeyOrSection).sizes(F4, NonZero).flags(ARRAY.union(MapFlags::MMAPABLE).union(MapFlags::INNER_MAP)).limits(&[TooBig::Value(i32::MAX as u32)]),
    map(M::ProgArray,           only(&[TAIL_CALL])).outer().btf(Refused).sizes(F4, F4).flags(FD_ARRAY),
    map(M::PerfEventArray,      only(&[PERF_READ, PERF_OUTPUT, SKB_OUTPUT, PERF_VALUE, XDP_OUTPUT])).btf(Refused).sizes(F4, F4).flags(FD_ARRAY.union(MapFlags::PRESERVE_ELEMS)),
    map(M::PercpuHash,          ALL).walks().sleeps().holds(KPTRS).flags(HASH.difference(NUMA)).limits(PERCPU_HASH_LIMIT),
    map(M::PercpuArray,         ALL).elides().walks().sleeps().holds(KPTRS).btf(IntKeyOrSection).sizes(F4, NonZero).flags(ACCESS).limits(&[TooBig::Value(PERCPU_MAX)]),
    map(M::StackTrace,          only(&[STACKID])).btf(Refused).sizes(F4, Frames(127)).flags(FD_ARRAY.union(MapFlags::STACK_BUILD_ID)).limits(&[TooBig::Entries(1 << 31)]),
    map(M::CgroupArray,         only(&[SKB_CGROUP, TASK_CGROUP])).btf(Refused).sizes(F4, F4).flags(FD_ARRAY),
    map(M::LruHash,             ALL).walks().sleeps().holds(UNLOCKED).flags(LRU).limits(HASH_LIMIT),
    map(M::LruPercpuHash,       ALL).walks().sleeps().holds(KPTRS).flags(LRU.difference(NUMA)).limits(PERCPU_HASH_LIMIT),
    map(M::LpmTrie,             ALL).btf(StructKey).sizes(Between(5, 260), Between(1, KMALLOC_MAX - 256 - LPM_NODE)).flags(ARRAY).needs(PREALLOC),
    map(M::ArrayOfMaps,         only(&[LOOKUP])).lookup(InnerMap).sleeps().outer().btf(Refused).sizes(F4, F4).flags(FD_ARRAY),
    map(M::HashOfMaps,          only(&[LOOKUP])).lookup(InnerMap).sleeps().outer().btf(Refused).sizes(NonZero, F4).flags(HASH).limits(HASH_LIMIT),
    map(M::Devmap,              only(&[REDIRECT, LOOKUP])).read_only().btf(Refused).sizes(F4, F4_8).flags(FD_ARRAY),
    map(M::Sockmap,             only(&[SK_REDIRECT_MAP, SOCK_MAP_UPDATE, MSG_REDIRECT_MAP, REUSEPORT, LOOKUP])).lookup(Socket).sizes(F4, F4_8).flags(FD_ARRAY),
    map(M::Cpumap,              only(&[REDIRECT])).btf(Refused).sizes(F4, F4_8).flags(NUMA).limits(&[TooBig::Cpus]),
    map(M::Xskmap,              only(&[REDIRECT, LOOKUP])).lookup(XdpSocket).btf(Refused).sizes(F4, F4).flags(FD_ARRAY),
    map(M::Sockhash,            only(&[SK_REDIRECT_HASH, SOCK_HASH_UPDATE, MSG_REDIRECT_HASH, REUSEPORT, LOOKUP])).lookup(Socket).sizes(NonZero, F4_8).flags(FD_ARRAY).limits(&[TooBig::Key(512)]),
    map(M::CgroupStorage,       only(&[LOCAL_STORAGE])).outer().holds(LOCKS).btf(StorageKey).sizes(OneOf(&[8, 16]), NonZero).entries(Zero).flags(ARRAY).limits(&[TooBig::Value(STORAGE_MAX)]),
    map(M::ReuseportSockarray,  only(&[REUSEPORT])).sizes(F4, F4_8).flags(ARRAY),
    map(M::PercpuCgroupStorage, only(&[LOCAL_STORAGE])).outer().btf(StorageKey).sizes(OneOf(&[8, 16]), NonZero).entries(Zero).flags(ARRAY).limits(&[TooBig::Value(PERCPU_MAX)]),
    map(M::Queue,               only(&[PEEK, POP, PUSH])).sleeps().sizes(SizeRule::Zero, NonZero).flags(ARRAY).limits(&[TooBig::Value(KMALLOC_MAX)]),
    map(M::Stack,               only(&[PEEK, POP, PUSH])).sleeps().sizes(SizeRule::Zero, NonZero).flags(ARRAY).limits(&[TooBig::Value(KMALLOC_MAX)]),
    map(M::SkStorage,           only(&[SK_GET, SK_DELETE, XCHG])).sleeps().holds(STORAGE).btf(IntKeyRequired).sizes(F4, NonZero).entries(Zero).flags(STORAGE_FLAGS).needs(PREALLOC).limits(&[TooBig::Value(STORAGE_MAX)]),
    map(M::DevmapHash,          only(&[REDIRECT, LOOKUP])).read_only().btf(Refused).sizes(F4, F4_8).flags(FD_ARRAY),
    map(M::StructOps,           ALL).outer().sizes(F4, ByBtf).entries(One).flags(MapFlags::LINK),
    map(M::Ringbuf,             only(&[RB_OUTPUT, RB_RESERVE, RB_QUERY, RB_RESERVE_DYNPTR, RB_SUBMIT_DYNPTR, RB_DISCARD_DYNPTR])).sleeps().sizes(SizeRule::Zero, SizeRule::Zero).entries(Pages).flags(NUMA),
    map(M::InodeStorage,        only(&[INODE_GET, INODE_DELETE, XCHG])).sleeps().holds(STORAGE).btf(IntKeyRequired).sizes(F4, NonZero).entries(Zero).flags(STORAGE_FLAGS).needs(PREALLOC).limits(&[TooBig::Value(STORAGE_MAX)]),
    map(M::TaskStorage,         only(&[TASK_GET, TASK_DELETE, XCHG])).sleeps().holds(TASK).btf(IntKeyRequired).sizes(F4, NonZero).entries(Zero).flags(STORAGE_FLAGS).needs(PREALLOC).limits(&[TooBig::Value(STORAGE_MAX)]),
    map(M::BloomFilter,         only(&[PEEK, PUSH])).btf(NoKey).sizes(SizeRule::Zero, NonZero).flags(ARRAY.union(MapFlags::ZERO_SEED)).extra(0xf).limits(&[TooBig::Value(KMALLOC_MAX)]),
    map(M::UserRingbuf,         only(&[RB_DRAIN])).sleeps().sizes(SizeRule::Zero, SizeRule::Zero).entries(Pages).flags(NUMA),
    map(M::CgrpStorage,         only(&[CGRP_GET, CGRP_DELETE, XCHG])).sleeps().holds(STORAGE).btf(IntKeyRequired).sizes(F4, NonZero).entries(Zero).flags(STORAGE_FLAGS).needs(PREALLOC).limits(&[TooBig::Value(STORAGE_MAX)]),
    map(M::Arena,               ALL).direct().sleeps().sizes(SizeRule::Zero, SizeRule::Zero).flags(SEGV_ON_FAULT.union(NO_USER_CONV)).needs(MapFlags::MMAPABLE).extra(!0xfff).limits(&[TooBig::Pages]),
];

const SEGV_ON_FAULT: MapFlags = MapFlags::from_bits_retain(1 << 17);
const NO_USER_CONV: MapFlags = MapFlags::from_bits_retain(1 << 18);

/// Helpers that name the types of map they take, with those types (`check_map_func_compatibility`).
#[rustfmt::skip]
pub static HELPER_MAPS: &[(u32, &[MapType])] = &[
    (TAIL_CALL,         &[M::ProgArray]),
    (PERF_READ,         &[M::PerfEventArray]),
    (PERF_OUTPUT,       &[M::PerfEventArray]),
    (STACKID,           &[M::StackTrace]),
    (SKB_CGROUP,        &[M::CgroupArray]),
    (TASK_CGROUP,       &[M::CgroupArray]),
    (REDIRECT,          &[M::Devmap, M::DevmapHash, M::Cpumap, M::Xskmap]),
    (SK_REDIRECT_MAP,   &[M::Sockmap]),
    (SOCK_MAP_UPDATE,   &[M::Sockmap]),
    (PERF_VALUE,        &[M::PerfEventArray]),
    (MSG_REDIRECT_MAP,  &[M::Sockmap]),
    (SOCK_HASH_UPDATE,  &[M::Sockhash]),
    (MSG_REDIRECT_HASH, &[M::Sockhash]),
    (SK_REDIRECT_HASH,  &[M::Sockhash]),
    (LOCAL_STORAGE,     &[M::CgroupStorage, M::PercpuCgroupStorage]),
    (REUSEPORT,         &[M::ReuseportSockarray, M::Sockmap, M::Sockhash]),
    (PUSH,              &[M::Queue, M::Stack, M::BloomFilter]),
    (POP,               &[M::Queue, M::Stack]),
    (PEEK,              &[M::Queue, M::Stack, M::BloomFilter]),
    (SK_GET,            &[M::SkStorage]),
    (SK_DELETE,         &[M::SkStorage]),
    (SKB_OUTPUT,        &[M::PerfEventArray]),
    (XDP_OUTPUT,        &[M::PerfEventArray]),
    (RB_OUTPUT,         &[M::Ringbuf]),
    (RB_RESERVE,        &[M::Ringbuf]),
    (RB_QUERY,          &[M::Ringbuf]),
    (INODE_GET,         &[M::InodeStorage]),
    (INODE_DELETE,      &[M::InodeStorage]),
    (TASK_GET,          &[M::TaskStorage]),
    (TASK_DELETE,       &[M::TaskStorage]),
    (PERCPU_LOOKUP,     &[M::PercpuArray, M::PercpuHash, M::LruPercpuHash]),
    (RB_RESERVE_DYNPTR, &[M::Ringbuf]),
    (RB_SUBMIT_DYNPTR,  &[M::Ringbuf]),
    (RB_DISCARD_DYNPTR, &[M::Ringbuf]),
    (RB_DRAIN,          &[M::UserRingbuf]),
    (CGRP_GET,          &[M::CgrpStorage]),
    (CGRP_DELETE,       &[M::CgrpStorage]),
];

/// The row of a type.
pub fn of(ty: MapType) -> Option<&'static MapTypeFacts> {
    let at = MAP_TYPES.partition_point(|row| row.ty < ty);
    MAP_TYPES.get(at).filter(|row| row.ty == ty)
}

/// Whether a program may pass a map to a helper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapForHelper {
    /// Yes.
    Allowed,
    /// Sockets may not be put into or taken out of the map here: the socket may be locked. This is
    /// said first, then the other refusal.
    SocketsInUse,
    /// The two do not belong together.
    Refused,
}

/// Whether a program may pass a map of that type to a helper, asked from both sides.
pub fn for_helper(hook: &Hook<'_>, ty: MapType, helper: &HelperProto) -> MapForHelper {
    let Some(row) = of(ty) else {
        return MapForHelper::Refused;
    };
    let id = helper.id;
    let own = row.helpers.is_none_or(|helpers| helpers.contains(&id));
    let sockets = matches!(ty, MapType::Sockmap | MapType::Sockhash) && !own;
    let changes = id == UPDATE || id == DELETE;
    if sockets && changes && !may_change_sockets(hook, id) {
        return MapForHelper::SocketsInUse;
    }
    let at = HELPER_MAPS.partition_point(|row| row.0 < id);
    let named = HELPER_MAPS.get(at).filter(|row| row.0 == id);
    let theirs = named.is_none_or(|row| row.1.contains(&ty));
    if (own || sockets && changes) && theirs {
        MapForHelper::Allowed
    } else {
        MapForHelper::Refused
    }
}

/// Where no socket can be locked, so that maps of sockets may be changed (`may_update_sockmap`).
fn may_change_sockets(hook: &Hook<'_>, id: u32) -> bool {
    match hook.ty {
        ProgType::Tracing => hook.attach == AttachType::TraceIter,
        ProgType::SockOps => id == DELETE,
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Xdp
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::SkLookup => true,
        ProgType::Unspec
        | ProgType::Kprobe
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::SkSkb
        | ProgType::CgroupDevice
        | ProgType::SkMsg
        | ProgType::RawTracepoint
        | ProgType::CgroupSockAddr
        | ProgType::LwtSeg6local
        | ProgType::LircMode2
        | ProgType::CgroupSysctl
        | ProgType::RawTracepointWritable
        | ProgType::CgroupSockopt
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Lsm
        | ProgType::Syscall
        | ProgType::Netfilter => false,
    }
}
