//! The tables against themselves and against what kernels answered, as recorded in `recorded/`.

use skep_spec::tables::attach::{
    BOOL_LSM, CURRENT_LSM, D_PATH, DISABLED_LSM, NORETURN, SLEEPABLE_LSM, SOCKOPT_LSM,
    UNTRUSTED_LSM,
};
use skep_spec::tables::ctx::{self, SOCK, SOCK_COMMON, TCP_SOCK, XDP_SOCK};
use skep_spec::tables::helpers::HELPERS;
use skep_spec::tables::maps::{HELPER_MAPS, MAP_TYPES, for_helper};
use skep_spec::tables::prog_types::PROG_TYPES;
use skep_spec::tables::sets::{self, HelperSet};
use skep_spec::tables::{
    Access, ArgType, CtxAccess, CtxTable, CtxValue, HelperFlags, Hook, MapForHelper, MapTypeFacts,
    Restrictions, Returns,
};
use skep_spec::{AttachType, Facts, MapFlags, MapSpec, MapType, Profile, ProgType};

fn facts() -> Facts {
    Facts::new(Profile::linux_6_18())
}

/// The lines of a recorded file, split into columns.
fn lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// `1,4-6,8-16/4` as numbers.
fn numbers(text: &str) -> Vec<u32> {
    let one = |part: &str| -> Vec<u32> {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        (number(low)..=number(high)).step_by(number(step)).collect()
    };
    text.split(',')
        .filter(|part| !part.is_empty())
        .flat_map(one)
        .collect()
}

fn types(line: &[&str]) -> (ProgType, AttachType) {
    (
        ProgType::new(number(line[0])).expect("a program type"),
        AttachType::new(number(line[1])).expect("an attach type"),
    )
}

#[test]
fn helpers_are_in_order_and_complete() {
    for pair in HELPERS.windows(2) {
        let ordered = (pair[0].id, pair[0].variant) != (pair[1].id, pair[1].variant)
            && pair[0].id <= pair[1].id
            && pair[1].id <= pair[0].id + 1;
        assert!(
            ordered,
            "{} {} after {}",
            pair[1].id, pair[1].name, pair[0].name
        );
    }
    assert_eq!(HELPERS.first().map(|row| row.id), Some(1));
    assert_eq!(HELPERS.last().map(|row| row.id), Some(211));
    for row in HELPERS {
        assert!(
            row.name.starts_with("bpf_") && row.args.len() <= 5,
            "{}",
            row.name
        );
        assert!(
            row.since.at_least(3, 19),
            "{} has no first release",
            row.name
        );
    }
}

#[test]
fn variants_differ_from_the_usual_prototype() {
    let facts = facts();
    for row in HELPERS.iter().filter(|row| !row.variant.is_empty()) {
        let usual = facts.helper_by_name(row.name).expect("a usual prototype");
        let same = usual.args == row.args && usual.ret == row.ret && usual.flags == row.flags;
        assert!(
            !same || usual.condition != row.condition,
            "{} {}",
            row.name,
            row.variant
        );
    }
}

#[test]
fn sizes_follow_the_memory_that_they_measure() {
    for row in HELPERS {
        for (k, arg) in row.args.iter().enumerate() {
            if matches!(arg.ty, ArgType::ConstSize | ArgType::ConstSizeOrZero) {
                let before = k.checked_sub(1).map(|before| row.args[before].ty);
                assert_eq!(before, Some(ArgType::Mem), "{}", row.name);
            }
        }
        let references = row.has(HelperFlags::ACQUIRES);
        assert!(
            !references || row.released_arg().is_none() || row.id == 194,
            "{}",
            row.name
        );
    }
}

fn check_set(set: &HelperSet, depth: usize) {
    assert!(depth < 8, "sets nest too deep");
    for pair in set.rows.windows(2) {
        assert!(
            pair[0].proto.id <= pair[1].proto.id,
            "{}",
            pair[1].proto.name
        );
    }
    for base in set.bases {
        check_set(base, depth + 1);
    }
}

#[test]
fn sets_are_in_order() {
    for set in ProgType::all().filter_map(sets::of) {
        check_set(set, 0);
    }
}

#[test]
fn helpers_are_available_as_kernels_say() {
    let facts = facts();
    for line in lines(include_str!("recorded/helpers.tsv")) {
        let (ty, attach) = types(&line);
        let sleepable = line[2] == "1";
        let (structure, target) = line[3].split_once('.').unwrap_or(("", line[3]));
        let hook = Hook {
            sleepable,
            target,
            structure,
            ..Hook::new(ty, attach)
        };
        // The kernel that was asked forbids writing to user memory by policy.
        let recorded = numbers(line[4]);
        let policy = |id: &u32| *id == 36 && !recorded.contains(id);
        let ours: Vec<u32> = (1..220)
            .filter(|id| facts.helper(&hook, *id).is_some())
            .filter(|id| !policy(id))
            .collect();
        assert_eq!(
            ours, recorded,
            "{ty} {attach} sleepable {sleepable} {}",
            line[3]
        );
    }
}

#[test]
fn restrictions_take_helpers_and_registers_away() {
    let facts = facts().restricted(Restrictions {
        helpers: vec![36],
        read_only_registers: true,
    });
    let hook = Hook::new(ProgType::Kprobe, AttachType::CgroupInetIngress);
    assert!(facts.helper(&hook, 36).is_none() && facts.helper(&hook, 35).is_some());
    let access = |write| Access {
        off: 0,
        size: 8,
        write,
        sign_extend: false,
    };
    assert_eq!(facts.ctx_access(&hook, &access(true)), CtxAccess::Refused);
    assert_ne!(facts.ctx_access(&hook, &access(false)), CtxAccess::Refused);
}

/// How the kernel's log writes a register that holds the value.
fn in_log(value: CtxValue) -> String {
    match value {
        CtxValue::Scalar => "scalar".to_owned(),
        CtxValue::Packet => "pkt".to_owned(),
        CtxValue::PacketEnd => "pkt_end".to_owned(),
        CtxValue::PacketMeta => "pkt_meta".to_owned(),
        CtxValue::Socket => "sock".to_owned(),
        CtxValue::SocketOrNull => "sock_or_null".to_owned(),
        CtxValue::SockCommonOrNull => "sock_common_or_null".to_owned(),
        CtxValue::FlowKeys => "flow_keys".to_owned(),
        CtxValue::TpBuffer => "tp_buffer".to_owned(),
        CtxValue::BtfId(name) => format!("trusted_ptr_{name}"),
    }
}

#[test]
fn contexts_are_accessible_as_a_kernel_says() {
    let facts = facts();
    let mut recorded = std::collections::BTreeMap::new();
    let mut hooks = std::collections::BTreeSet::new();
    for line in lines(include_str!("recorded/contexts.tsv")) {
        let (ty, attach) = types(&line);
        hooks.insert((ty, attach));
        for off in numbers(line[5]) {
            recorded.insert((ty, attach, line[2], number::<u32>(line[3]), off), line[4]);
        }
    }
    for (ty, attach) in hooks {
        let table = ctx::of(ty).expect("a table");
        let end = if table.size > 4096 || ty == ProgType::Tracepoint {
            40
        } else {
            table.size + 8
        };
        let no_writes = ty == ProgType::Kprobe;
        for (off, size) in (0..=end).flat_map(|off| [1, 2, 4, 8].map(|size| (off, size))) {
            for kind in ["r", "x", "w"] {
                if (kind == "x" && size == 8) || (kind == "w" && no_writes) {
                    continue;
                }
                let access = Access {
                    off: off as i32,
                    size,
                    write: kind == "w",
                    sign_extend: kind == "x",
                };
                let ours = match facts.ctx_access(&Hook::new(ty, attach), &access) {
                    CtxAccess::Allowed { value, .. } if kind == "r" => Some(in_log(value)),
                    CtxAccess::Allowed { .. } => Some("scalar".to_owned()),
                    CtxAccess::Refused | CtxAccess::ByBtf => None,
                };
                let theirs = recorded.get(&(ty, attach, kind, size, off)).copied();
                assert_eq!(
                    ours.as_deref(),
                    theirs,
                    "{ty} {attach} {kind} off {off} size {size}"
                );
            }
        }
    }
}

fn check_fields(table: &CtxTable) {
    let mut end = 0;
    for field in table.fields {
        assert!(
            field.off >= end || field.name == "args",
            "{}.{}",
            table.name,
            field.name
        );
        end = field.end();
    }
    assert!(end <= table.size, "{}", table.name);
}

#[test]
fn fields_are_in_order_and_inside() {
    for table in ProgType::all().filter_map(ctx::of) {
        check_fields(table);
    }
    for table in [&SOCK, &SOCK_COMMON, &TCP_SOCK, &XDP_SOCK] {
        check_fields(table);
        assert!(!table.allows_load(-4, 4) && !table.allows_load(table.size as i32, 1));
        assert!(table.allows_load(0, 4) && !table.allows_load(0, 8));
    }
}

/// As probed on 6.18.44.
#[test]
fn tracepoints_may_read_before_their_record() {
    let facts = facts();
    let hook = Hook::new(ProgType::Tracepoint, AttachType::CgroupInetIngress);
    let refused = |off, size, write| {
        let access = Access {
            off,
            size,
            write,
            sign_extend: false,
        };
        facts.ctx_access(&hook, &access) == CtxAccess::Refused
    };
    assert!(!refused(-8, 8, false) && !refused(-1, 1, false) && !refused(-32768, 8, false));
    assert!(refused(-12, 8, false) && refused(-8, 8, true) && refused(0, 8, false));
}

#[test]
fn programs_return_what_a_kernel_says() {
    let facts = facts();
    let mut checked = 0;
    for line in lines(include_str!("recorded/returns.tsv")) {
        let (ty, attach) = types(&line);
        let row = facts.prog_type(ty).expect("a row");
        let attach = row.attach_type(attach).expect("a kernel loaded it");
        let returns = row.returns_for(&Hook::new(ty, attach));
        let allowed: Vec<i32> = line[2].split(',').map(number).collect();
        for value in [-4096, -4095, -2, -1, 0, 1, 2, 3, 4, 255, i32::MAX] {
            let ours = match returns {
                Returns::Any => true,
                Returns::Range(low, high) => (low..=high).contains(&value),
                Returns::LsmHook | Returns::LsmCgroupHook | Returns::Member | Returns::Refused => {
                    panic!("{ty} is not recorded")
                }
            };
            assert_eq!(
                ours,
                allowed.contains(&value),
                "{ty} {attach} returns {value}"
            );
            checked += 1;
        }
    }
    assert!(checked > 600, "only {checked} constants were recorded");
}

#[test]
fn attach_types_that_a_kernel_refused_are_refused() {
    let loaded: Vec<(ProgType, AttachType)> = lines(include_str!("recorded/returns.tsv"))
        .map(|line| types(&line))
        .collect();
    for row in PROG_TYPES {
        // Types that take any attach type were recorded with a few, the others with all that 6.18 has.
        let strict = row.attach_type(AttachType::TraceKprobeMulti).is_none();
        if !strict || !loaded.iter().any(|(ty, _)| *ty == row.ty) {
            continue;
        }
        for attach in AttachType::all().filter(|attach| attach.number() < 58) {
            let theirs = loaded.contains(&(row.ty, attach));
            assert_eq!(
                row.attach_type(attach).is_some(),
                theirs,
                "{} {attach}",
                row.ty
            );
        }
    }
}

#[test]
fn program_types_are_in_order() {
    let numbers: Vec<u32> = PROG_TYPES.iter().map(|row| row.ty.number()).collect();
    assert_eq!(numbers, (1..=32).collect::<Vec<u32>>());
}

#[test]
fn maps_and_helpers_agree_from_both_sides() {
    assert!(MAP_TYPES.windows(2).all(|pair| pair[0].ty < pair[1].ty));
    assert!(HELPER_MAPS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let facts = facts();
    for (id, maps) in HELPER_MAPS {
        for ty in *maps {
            let row = facts.map_type(*ty).expect("a row");
            let takes = row.helpers.is_none_or(|helpers| helpers.contains(id));
            assert!(takes, "{ty} does not know helper {id}");
        }
    }
    for row in MAP_TYPES {
        for id in row.helpers.unwrap_or_default() {
            let name = facts.helper_name(*id).unwrap_or_default();
            let helper = facts.helper_by_name(name).expect("a helper");
            let hook = Hook::new(ProgType::SchedCls, AttachType::CgroupInetIngress);
            assert_eq!(
                for_helper(&hook, row.ty, helper),
                MapForHelper::Allowed,
                "{} {name}",
                row.ty
            );
        }
    }
}

#[test]
fn sockets_in_maps_change_only_where_none_is_locked() {
    let facts = facts();
    let update = facts.helper_by_name("map_update_elem").expect("a helper");
    let delete = facts.helper_by_name("map_delete_elem").expect("a helper");
    let push = facts.helper_by_name("map_push_elem").expect("a helper");
    let ask = |ty, helper| {
        let hook = Hook::new(ty, AttachType::CgroupSockOps);
        facts.map_for_helper(&hook, MapType::Sockmap, helper)
    };
    assert_eq!(ask(ProgType::SchedCls, update), MapForHelper::Allowed);
    assert_eq!(ask(ProgType::SockOps, update), MapForHelper::SocketsInUse);
    assert_eq!(ask(ProgType::SockOps, delete), MapForHelper::Allowed);
    assert_eq!(ask(ProgType::CgroupSkb, delete), MapForHelper::SocketsInUse);
    assert_eq!(ask(ProgType::SchedCls, push), MapForHelper::Refused);
}

/// A request of the recorded type with one thing varied.
fn request(plain: &[u32], ty: MapType, what: &str, value: u64) -> MapSpec {
    let mut spec = MapSpec::new("m", ty, plain[0], plain[1], plain[2]);
    spec.flags = MapFlags::from_bits_retain(plain[3]);
    spec.inner = Some(Box::new(MapSpec::new("i", MapType::Array, 4, 8, 1)));
    let storage = [
        MapType::SkStorage,
        MapType::InodeStorage,
        MapType::TaskStorage,
        MapType::CgrpStorage,
    ];
    if storage.contains(&ty) {
        (spec.btf_key_id, spec.btf_value_id) = (1, 3);
    }
    match what {
        "key" => spec.key_size = value as u32,
        "value" => spec.value_size = value as u32,
        "entries" => spec.max_entries = value as u32,
        "flag" => spec.flags = MapFlags::from_bits_retain(value as u32),
        "extra" => spec.extra = value,
        other => panic!("unknown line {other}"),
    }
    spec
}

#[test]
fn maps_are_created_as_a_kernel_says() {
    let facts = facts();
    let (mut plain, mut checked) = (Vec::new(), 0);
    for line in lines(include_str!("recorded/maps.tsv")) {
        if line[1] == "plain" {
            plain = line[2].split(',').map(number).collect();
            continue;
        }
        let ty = MapType::new(number(line[0])).expect("a map type");
        for answer in line[2].split(',') {
            let (value, errno) = answer.split_once(':').expect("value:errno");
            let spec = request(&plain, ty, line[1], number(value));
            let ours = facts
                .check_map(&spec)
                .err()
                .map_or(0, |refusal| refusal.errno());
            assert_eq!(ours, number::<i32>(errno), "{ty} {} {value}", line[1]);
            checked += 1;
        }
    }
    assert!(checked > 2000, "only {checked} requests were recorded");
}

#[test]
fn maps_go_inside_others_as_a_kernel_says() {
    let facts = facts();
    let mut outer = MapSpec::new("m", MapType::ArrayOfMaps, 4, 4, 1);
    let mut ask = |ty| {
        outer.inner = Some(Box::new(MapSpec::new("i", ty, 4, 8, 1)));
        facts
            .check_map(&outer)
            .err()
            .map_or(0, |refusal| refusal.errno())
    };
    for row in MAP_TYPES.iter().filter(|row| row.ty != MapType::StructOps) {
        let errno = match row.ty.number() {
            3 | 19 | 21 => 524,
            12 | 13 => 22,
            _ => 0,
        };
        assert_eq!(ask(row.ty), errno, "{}", row.ty);
    }
    outer.inner = None;
    assert!(facts.check_map(&outer).is_err());
}

/// Map types by number for which a column holds, as loads on Linux 6.18.44 showed.
#[test]
fn programs_use_maps_as_a_kernel_says() {
    let with = |holds: fn(&MapTypeFacts) -> bool| -> Vec<u32> {
        MAP_TYPES
            .iter()
            .filter(|row| holds(row))
            .map(|row| row.ty.number())
            .collect()
    };
    let sleepable = [
        1, 2, 5, 6, 9, 10, 12, 13, 22, 23, 24, 27, 28, 29, 31, 32, 33,
    ];
    assert_eq!(with(|row| row.sleepable), sleepable);
    assert_eq!(with(|row| row.direct_value), [2, 33]);
    assert_eq!(with(|row| row.elides_null), [2, 6]);
    assert_eq!(with(|row| row.elides_null_in(MapFlags::INNER_MAP)), [0; 0]);
    assert_eq!(with(|row| row.read_only), [14, 25]);
}

#[test]
fn lists_of_functions_are_sorted() {
    for list in [
        BOOL_LSM,
        CURRENT_LSM,
        D_PATH,
        DISABLED_LSM,
        NORETURN,
        SLEEPABLE_LSM,
        SOCKOPT_LSM,
        UNTRUSTED_LSM,
    ] {
        assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{list:?}");
    }
}
