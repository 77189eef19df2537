//! Prints the tables as lines of tab-separated words, for comparison with a kernel.
//!
//! `helper id name variant arguments result flags condition since` · `avail type attach sleepable id variant`
//! · `load type attach effective` · `ctx type attach offset size r|w value` · `ret type attach range`
//! · `sock table offset size` · `mapfn type map helper` · `create map key value entries flags extra errno`. Refused things have no line. Arguments choose kinds; without any, all are printed.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use skep_spec::tables::ctx::{SOCK, SOCK_COMMON, TCP_SOCK, XDP_SOCK};
use skep_spec::tables::helpers::HELPERS;
use skep_spec::tables::maps::{EntriesRule, MapBtf, SizeRule};
use skep_spec::tables::{
    Access, ArgType, AttachRule, CtxAccess, CtxTable, Hook, MapForHelper, MapMachine, MapTypeFacts,
    Returns, map_create, maps,
};
use skep_spec::{AttachType, Facts, MapFlags, MapSpec, MapType, Profile, ProgType};

fn main() {
    let facts = Facts::new(Profile::linux_6_18());
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wants = |kind: &str| wanted.is_empty() || wanted.iter().any(|w| w == kind);
    if wants("helper") {
        helpers();
    }
    if wants("mapfn") {
        map_helpers();
    }
    if wants("create") {
        creations();
    }
    if wants("sock") {
        sockets();
    }
    for ty in ProgType::all() {
        for (asked, attach) in attach_types(&facts, ty) {
            let hook = Hook::new(ty, attach);
            if wants("load") {
                println!(
                    "load\t{}\t{}\t{}",
                    ty.number(),
                    asked.number(),
                    attach.number()
                );
            }
            if asked != attach {
                continue;
            }
            if wants("ret") {
                returns(&facts, &hook);
            }
            if wants("avail") {
                for sleepable in [false, true] {
                    available(&facts, &Hook { sleepable, ..hook });
                }
            }
            if wants("ctx") {
                contexts(&facts, &hook);
            }
        }
    }
}

/// The attach types that a load may name, each with the one it gets. Types that take any are shown with those
/// that some rule knows.
fn attach_types(facts: &Facts, ty: ProgType) -> Vec<(AttachType, AttachType)> {
    let Some(row) = facts.prog_type(ty) else {
        return Vec::new();
    };
    AttachType::all()
        .filter(|asked| row.attach != AttachRule::Any || is_telling(ty, *asked))
        .filter_map(|asked| Some((asked, row.attach_type(asked)?)))
        .collect()
}

fn is_telling(ty: ProgType, attach: AttachType) -> bool {
    let unspecified = attach.number() == 0;
    match ty {
        ProgType::Kprobe => {
            unspecified
                || matches!(
                    attach,
                    AttachType::TraceKprobeMulti
                        | AttachType::TraceUprobeMulti
                        | AttachType::TraceKprobeSession
                        | AttachType::TraceUprobeSession
                )
        }
        ProgType::Xdp => {
            unspecified
                || matches!(
                    attach,
                    AttachType::Xdp | AttachType::XdpDevmap | AttachType::XdpCpumap
                )
        }
        ProgType::SockOps => attach == AttachType::CgroupSockOps || unspecified,
        ProgType::CgroupDevice => attach == AttachType::CgroupDevice || unspecified,
        ProgType::CgroupSysctl => attach == AttachType::CgroupSysctl || unspecified,
        ProgType::Tracing => {
            matches!(
                attach,
                AttachType::TraceRawTp
                    | AttachType::TraceFentry
                    | AttachType::TraceFexit
                    | AttachType::ModifyReturn
                    | AttachType::TraceIter
            )
        }
        ProgType::Lsm => matches!(attach, AttachType::LsmMac | AttachType::LsmCgroup),
        ProgType::Unspec
        | ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::SkSkb
        | ProgType::SkMsg
        | ProgType::RawTracepoint
        | ProgType::CgroupSockAddr
        | ProgType::LwtSeg6local
        | ProgType::LircMode2
        | ProgType::SkReuseport
        | ProgType::FlowDissector
        | ProgType::RawTracepointWritable
        | ProgType::CgroupSockopt
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::SkLookup
        | ProgType::Syscall
        | ProgType::Netfilter => unspecified,
    }
}

fn helpers() {
    for row in HELPERS {
        let args: Vec<String> = row
            .args
            .iter()
            .map(|arg| format!("{:?}/{}/{}", arg.ty, names(arg.mods.iter_names()), arg.size))
            .collect();
        println!(
            "helper\t{}\t{}\t{}\t{}\t{:?}/{}\t{}\t{:?}\t{}",
            row.id,
            row.name,
            row.variant,
            args.join(","),
            row.ret.ty,
            names(row.ret.mods.iter_names()),
            names(row.flags.iter_names()),
            row.condition,
            row.since
        );
    }
}

fn names<F>(flags: impl Iterator<Item = (&'static str, F)>) -> String {
    flags.map(|(name, _)| name).collect::<Vec<_>>().join("+")
}

fn available(facts: &Facts, hook: &Hook<'_>) {
    for id in 0..=220 {
        if let Some(proto) = facts.helper(hook, id) {
            println!(
                "avail\t{}\t{}\t{}\t{id}\t{}",
                hook.ty.number(),
                hook.attach.number(),
                u8::from(hook.sleepable),
                proto.variant
            );
        }
    }
}

fn returns(facts: &Facts, hook: &Hook<'_>) {
    let Some(row) = facts.prog_type(hook.ty) else {
        return;
    };
    let text = match row.returns_for(hook) {
        Returns::Any => "any".to_owned(),
        Returns::Range(min, max) => format!("{min}..{max}"),
        Returns::LsmHook => "hook".to_owned(),
        Returns::LsmCgroupHook => "cgroup hook".to_owned(),
        Returns::Member => "member".to_owned(),
        Returns::Refused => "refused".to_owned(),
    };
    println!(
        "ret\t{}\t{}\t{text}",
        hook.ty.number(),
        hook.attach.number()
    );
}

fn contexts(facts: &Facts, hook: &Hook<'_>) {
    for off in 0..264 {
        for size in [1, 2, 4, 8] {
            for write in [false, true] {
                let access = Access {
                    off,
                    size,
                    write,
                    sign_extend: false,
                };
                if let CtxAccess::Allowed { value, .. } = facts.ctx_access(hook, &access) {
                    println!(
                        "ctx\t{}\t{}\t{off}\t{size}\t{}\t{value:?}",
                        hook.ty.number(),
                        hook.attach.number(),
                        if write { "w" } else { "r" }
                    );
                }
            }
        }
    }
}

fn sockets() {
    for (name, table) in [
        ("sock", &SOCK),
        ("sock_common", &SOCK_COMMON),
        ("tcp_sock", &TCP_SOCK),
        ("xdp_sock", &XDP_SOCK),
    ] {
        socket(name, table);
    }
}

fn socket(name: &str, table: &CtxTable) {
    let hook = Hook::new(ProgType::SchedCls, AttachType::CgroupInetIngress);
    for off in 0..=table.size as i32 {
        for size in [1, 2, 4, 8] {
            let access = Access {
                off,
                size,
                write: false,
                sign_extend: false,
            };
            if table.access(&hook, &access) != CtxAccess::Refused {
                println!("sock\t{name}\t{off}\t{size}");
            }
        }
    }
}

/// Every map with every helper that takes a map, for three types of programs that differ in it.
fn map_helpers() {
    for ty in [ProgType::SchedCls, ProgType::SockOps, ProgType::CgroupSkb] {
        let hook = Hook::new(ty, AttachType::CgroupInetIngress);
        for map in MapType::all() {
            for helper in HELPERS.iter().filter(|row| row.variant.is_empty()) {
                let takes = helper.args.iter().any(|arg| arg.ty == ArgType::ConstMapPtr);
                if takes && maps::for_helper(&hook, map, helper) == MapForHelper::Allowed {
                    println!("mapfn\t{}\t{}\t{}", ty.number(), map.number(), helper.id);
                }
            }
        }
    }
}

/// Requests around a plain one of each type, with the errno that the rules give.
fn creations() {
    for row in maps::MAP_TYPES {
        let Some(plain) = plain(row) else { continue };
        let (keys, values) = ([0, 1, 4, 5, 7, 8, 12, 16, 260, 261, 512, 513], VALUES);
        let entries = [0, 1, 2, 3, 64, 4096, 8192, 12288, 1 << 20];
        let bits = (0..20).map(|bit| 1 << bit).chain([0x18, 0x180, 0x82, 6]);
        let mut all = vec![plain.clone()];
        for key in keys {
            all.push(MapSpec {
                key_size: key,
                ..plain.clone()
            });
            all.extend([1, 4, 8].map(|value| MapSpec {
                key_size: key,
                value_size: value,
                ..plain.clone()
            }));
        }
        all.extend(values.map(|value| MapSpec {
            value_size: value,
            ..plain.clone()
        }));
        all.extend(entries.map(|max_entries| MapSpec {
            max_entries,
            ..plain.clone()
        }));
        for bits in bits {
            let flags = MapFlags::from_bits_retain(bits);
            all.push(MapSpec {
                flags,
                ..plain.clone()
            });
            all.push(MapSpec {
                flags: plain.flags ^ flags,
                ..plain.clone()
            });
            all.push(MapSpec {
                flags: plain.flags | flags,
                max_entries: 0,
                ..plain.clone()
            });
        }
        all.extend([1, 15, 16, 4096, 1 << 32].map(|extra| MapSpec {
            extra,
            ..plain.clone()
        }));
        for spec in all {
            creation(&spec);
        }
    }
}

const VALUES: [u32; 16] = [
    0,
    1,
    4,
    6,
    8,
    12,
    16,
    24,
    1016,
    1024,
    32768,
    32769,
    65407,
    65408,
    4194303,
    1 << 31,
];

/// A small map of the type, without flags beyond those that it needs.
fn plain(row: &MapTypeFacts) -> Option<MapSpec> {
    let size = |rule| match rule {
        SizeRule::Zero => Some(0),
        SizeRule::NonZero | SizeRule::Frames(_) => Some(8),
        SizeRule::OneOf(sizes) => sizes.first().copied(),
        SizeRule::Between(low, _) => Some(low),
        SizeRule::ByBtf => None,
    };
    let entries = match row.entries {
        EntriesRule::Zero => 0,
        EntriesRule::NonZero | EntriesRule::One => 1,
        EntriesRule::Pages => 4096,
    };
    let mut spec = MapSpec::new("m", row.ty, size(row.key)?, size(row.value)?, entries);
    spec.flags = row.needs;
    (row.btf != MapBtf::IntKeyRequired).then_some(spec)
}

fn creation(spec: &MapSpec) {
    let machine = MapMachine {
        page_size: 4096,
        max_cpus: 256,
    };
    let mut spec = spec.clone();
    spec.inner = Some(Box::new(MapSpec::new("i", MapType::Array, 4, 8, 1)));
    let errno = map_create::check(&spec, machine)
        .err()
        .map_or(0, |refusal| refusal.errno());
    println!(
        "create\t{}\t{}\t{}\t{}\t{}\t{}\t{errno}",
        spec.ty.number(),
        spec.key_size,
        spec.value_size,
        spec.max_entries,
        spec.flags.bits(),
        spec.extra
    );
}
