//! Hostile requests one kind at a time: everything that one field can hold, or one thing made enormous.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding, TypeId};
use skep_isa::{RawInsn, opcode, pseudo};
use skep_spec::{
    AttachType, Facts, FuncInfo, LineInfo, MapFlags, MapSpec, MapType, Profile, ProgFlags,
    ProgType, ProgramSpec,
};
use skep_verifier::{Config, Verdict};

use crate::judge::{Tally, Trial, try_all, try_out};

const EXIT: RawInsn = RawInsn::new(opcode::EXIT, 0, 0, 0, 0);
const ZERO: RawInsn = RawInsn::new(0xb7, 0, 0, 0, 0);

fn facts() -> Arc<Facts> {
    Arc::new(Facts::new(Profile::linux_6_18_44()))
}

fn trial(spec: ProgramSpec, facts: &Arc<Facts>, log_level: u32) -> Trial {
    let config = Config {
        max_processed: Some(100_000),
        ..Config::default()
    };
    Trial {
        spec,
        facts: Arc::clone(facts),
        config,
        log_level,
    }
}

fn is_well(tally: &Tally, least: u64) {
    assert!(
        tally.panics.is_empty(),
        "{} panics: {:?}",
        tally.panics.len(),
        tally.panics
    );
    assert!(tally.tried >= least, "{} tried", tally.tried);
}

/// How many of `total` combinations are tried: all of them only where that is fast.
fn share(total: u64) -> u64 {
    if cfg!(debug_assertions) {
        total / 10
    } else {
        total
    }
}

/// The combination at that place: a prime step, so that every value meets every other one sooner or later.
fn combination(place: u64, total: u64) -> u64 {
    place.wrapping_mul(7_368_787) % total
}

/// Takes the next digit of a number whose digits are choices.
fn choose<T: Copy>(number: &mut u64, from: &[T]) -> T {
    let len = from.len() as u64;
    let digit = *number % len;
    *number /= len;
    from[digit as usize]
}

fn socket_filter(insns: impl IntoIterator<Item = RawInsn>) -> ProgramSpec {
    ProgramSpec::new("sweep", ProgType::SocketFilter, insns.into_iter().collect())
}

/// Puts something into `r2` to `r5`: nothing, numbers of all kinds, stack, packet.
fn preludes() -> Vec<Vec<RawInsn>> {
    let each = |insn: fn(u8) -> RawInsn| (2..=5).map(insn).collect::<Vec<_>>();
    vec![
        Vec::new(),
        each(|reg| RawInsn::new(0xb7, reg, 0, 0, -1)),
        each(|reg| RawInsn::new(0x61, reg, 1, 0, 0)),
        each(|reg| RawInsn::new(0xbf, reg, 10, 0, 0)),
        each(|reg| RawInsn::new(0xbf, reg, 1, 0, 0)),
        each(|reg| RawInsn::new(0x61, reg, 1, 76, 0)),
    ]
}

#[test]
fn every_opcode_with_every_kind_of_field_gets_a_verdict() {
    let (facts, preludes) = (facts(), preludes());
    let regs = [0x00, 0x12, 0x23, 0x32, 0x2a, 0xa2, 0xaa, 0xb2, 0x2b, 0xff];
    let offs = [0, 1, -1, 8, -8, -3, 16, 32, -512, i16::MIN, i16::MAX];
    let imms = [
        0,
        1,
        -1,
        31,
        32,
        63,
        64,
        16,
        0xe1,
        0xf1,
        0x100,
        i32::MIN,
        i32::MAX,
    ];
    let kinds = [0, 1, 2, 3, 4, 5];
    let per_code = (regs.len() * offs.len() * imms.len() * kinds.len()) as u64;
    let count = if cfg!(debug_assertions) {
        10_000
    } else {
        600_000
    };
    let total = 256 * per_code;
    let tally = try_all(0..count, move |seed| {
        let mut number = combination(seed, total);
        let code = (number % 256) as u8;
        number /= 256;
        let regs = choose(&mut number, &regs);
        let (off, imm) = (choose(&mut number, &offs), choose(&mut number, &imms));
        let kind = choose(&mut number, &kinds);
        let mut spec = socket_filter(preludes[kind].iter().copied());
        spec.ty = if kind == 5 {
            ProgType::SchedCls
        } else {
            ProgType::SocketFilter
        };
        spec.insns.push(RawInsn {
            code,
            regs,
            off,
            imm,
        });
        if code == opcode::LD_IMM64 {
            spec.insns.push(RawInsn::new(0, 0, 0, 0, imm));
        }
        spec.insns.extend([ZERO, EXIT]);
        trial(spec, &facts, if seed % 8 == 0 { 2 } else { 0 })
    });
    is_well(&tally, count);
    assert!(tally.accepted > 0, "{tally:?}");
}

#[test]
fn every_helper_takes_any_arguments() {
    let (facts, preludes) = (facts(), preludes());
    let types: Vec<ProgType> = ProgType::all().collect();
    let total = types.len() as u64 * 230 * 6;
    let count = share(total);
    let tally = try_all(0..count, move |seed| {
        let mut number = combination(seed, total);
        let ty = choose(&mut number, &types);
        let prelude = choose(&mut number, &[0, 1, 2, 3, 4, 5]);
        let mut spec = socket_filter(preludes[prelude].iter().copied());
        spec.ty = ty;
        if prelude > 2 {
            // The first argument like the others, not the context.
            spec.insns.push(RawInsn::new(0xbf, 1, 2, 0, 0));
        }
        let call = RawInsn::new(opcode::CALL, 0, 0, 0, number as i32);
        spec.insns.extend([call, ZERO, EXIT]);
        trial(spec, &facts, 0)
    });
    is_well(&tally, count);
}

#[test]
fn any_map_can_be_named_and_used() {
    let facts = facts();
    let sizes = [0, 1, 4, 8, 511, 1 << 20, u32::MAX - 7, u32::MAX];
    let flags = [0, 1 << 7, 1 << 8, 1 << 10, u32::MAX];
    let types: Vec<MapType> = MapType::all().collect();
    let total = types.len() as u64 * 8 * 8 * 8 * 5;
    let count = share(total);
    let tally = try_all(0..count, move |seed| {
        let mut number = combination(seed, total);
        let ty = choose(&mut number, &types);
        let (key, value) = (choose(&mut number, &sizes), choose(&mut number, &sizes));
        let entries = choose(&mut number, &sizes);
        let mut map = MapSpec::new("m", ty, key, value, entries);
        map.flags = MapFlags::from_bits_retain(choose(&mut number, &flags));
        map.frozen = seed % 3 == 0;
        map.init = (seed % 7 == 0).then(|| vec![7; 20]);
        if seed % 5 == 0 {
            map.inner = Some(Box::new(MapSpec::new("i", ty, value, key, entries)));
        }
        let name = |dst, src, off| {
            [
                RawInsn::new(0x18, dst, src, 0, 0),
                RawInsn::new(0, 0, 0, 0, off),
            ]
        };
        let off = if seed % 2 == 0 {
            0
        } else {
            value.wrapping_sub(4) as i32
        };
        let mut insns = vec![
            RawInsn::new(0x7a, 10, 0, -8, 0),
            RawInsn::new(0xbf, 2, 10, 0, 0),
        ];
        insns.push(RawInsn::new(0x07, 2, 0, 0, -8));
        insns.extend(name(1, pseudo::MAP_FD, 0));
        insns.push(RawInsn::new(opcode::CALL, 0, 0, 0, 1));
        insns.push(RawInsn::new(0x15, 0, 0, 2, 0));
        insns.push(RawInsn::new(0x61, 1, 0, off as i16, 0));
        insns.push(RawInsn::new(0x63, 0, 1, off as i16, 0));
        if matches!(ty, MapType::Array | MapType::Arena) {
            insns.extend(name(1, pseudo::MAP_VALUE, off));
            insns.push(RawInsn::new(0x79, 0, 1, -4, 0));
        }
        insns.extend([ZERO, EXIT]);
        let mut spec = socket_filter(insns);
        spec.maps = vec![Arc::new(map)];
        trial(spec, &facts, if seed % 4 == 0 { 2 } else { 0 })
    });
    is_well(&tally, count);
    assert!(tally.accepted > 0);
}

#[test]
fn any_type_attach_type_flags_and_ids_get_a_verdict() {
    let facts = facts();
    let types: Vec<ProgType> = ProgType::all().collect();
    let attaches: Vec<AttachType> = AttachType::all().collect();
    let ids = [0, 1, 2, 77_777, u32::MAX];
    let flags = [0, 1 << 4, 1 << 5, 1 << 6, 0xff, 1 << 8, u32::MAX];
    let total = (types.len() * attaches.len() * ids.len() * flags.len()) as u64;
    let count = share(total);
    let tally = try_all(0..count, move |seed| {
        let mut number = combination(seed, total);
        let mut spec = socket_filter([ZERO, EXIT]);
        spec.ty = choose(&mut number, &types);
        spec.attach = choose(&mut number, &attaches);
        spec.attach_btf_id = choose(&mut number, &ids);
        spec.flags = ProgFlags::from_bits_retain(choose(&mut number, &flags));
        trial(spec, &facts, 0)
    });
    is_well(&tally, count);
    assert!(tally.accepted > 0);
}

/// BTF with an int, a prototype of a function without arguments that returns it, and two functions.
fn two_functions() -> (Arc<Btf>, [TypeId; 2], u32) {
    let mut builder = BtfBuilder::new();
    let int = builder.int("int", 4, IntEncoding(1));
    let proto = builder.func_proto(int, &[]);
    let main = builder.func("main", proto, FuncLinkage::Global);
    let callee = builder.func("callee", proto, FuncLinkage::Static);
    let line = builder.string("return 0;");
    (
        Arc::new(Btf::parse(builder.to_bytes()).unwrap()),
        [main, callee],
        line,
    )
}

#[test]
fn any_function_and_line_info_gets_a_verdict() {
    let (btf, [main, callee], line) = two_functions();
    let facts = facts();
    let offs = [0, 1, 2, 3, 4, u32::MAX];
    let ids = [main.0, callee.0, 0, 1, 1000, u32::MAX];
    let names = [line, 0, 1, 10_000, u32::MAX];
    let count = 5_000;
    let tally = try_all(0..count, move |seed| {
        let mut number = seed.wrapping_mul(2_654_435_761);
        let call = RawInsn::new(opcode::CALL, 0, pseudo::CALL, 0, 1);
        let mut spec = socket_filter([call, EXIT, ZERO, EXIT]);
        spec.btf = Some(Arc::clone(&btf));
        let records = choose(&mut number, &[1, 2, 3, 500]);
        let (step, first) = (choose(&mut number, &offs), choose(&mut number, &offs));
        let record = |n: u32, id| FuncInfo {
            insn_off: first.wrapping_add(n.wrapping_mul(step)),
            type_id: id,
        };
        let (id, other) = (choose(&mut number, &ids), choose(&mut number, &ids));
        spec.func_info = (0..records)
            .map(|n| record(n, if n % 2 == 0 { id } else { other }))
            .collect();
        let lines = choose(&mut number, &[0, 1, 2, 4, 1000]);
        let (step, first) = (choose(&mut number, &offs), choose(&mut number, &offs));
        let (text, file) = (choose(&mut number, &names), choose(&mut number, &names));
        let line = |n: u32| LineInfo {
            insn_off: first.wrapping_add(n.wrapping_mul(step)),
            file_name_off: file,
            line_off: text,
            line_col: u32::MAX.wrapping_mul(n),
        };
        spec.line_info = (0..lines).map(line).collect();
        trial(spec, &facts, if seed % 2 == 0 { 2 } else { 0 })
    });
    is_well(&tally, count);
}

/// Verifies on an ordinary stack; how long that took.
fn timed(trial: Trial) -> (Verdict, Duration) {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let run = move || {
        let start = Instant::now();
        let (verdict, _) = try_out(&trial);
        (verdict, start.elapsed())
    };
    thread.spawn(run).unwrap().join().unwrap()
}

/// A program that does something with a map whose values have that type.
fn with_value_type(btf: &Arc<Btf>, id: TypeId) -> ProgramSpec {
    let map = [
        RawInsn::new(0x18, 1, pseudo::MAP_VALUE, 0, 0),
        RawInsn::default(),
    ];
    let load = RawInsn::new(0x71, 0, 1, 0, 0);
    let mut spec = socket_filter(map.into_iter().chain([load, EXIT]));
    let mut value = MapSpec::new("m", MapType::Array, 4, 64, 1);
    value.btf = Some(Arc::clone(btf));
    value.btf_value_id = id.0;
    spec.maps = vec![Arc::new(value)];
    spec
}

#[test]
fn values_of_enormous_types_are_looked_through_in_bounds() {
    let facts = facts();
    // Four levels of structures, each with thousands of the next.
    let mut builder = BtfBuilder::new();
    let mut inner = builder.int("int", 4, IntEncoding(1));
    for level in 0..6 {
        let name = format!("level{level}");
        let members: Vec<_> = (0..5000).map(|_| ("m", inner, 0, 0)).collect();
        let structure = builder.structure(&name, 64, &members);
        inner = builder.array(structure, structure, u32::MAX);
    }
    let deep = Arc::new(Btf::parse(builder.to_bytes()).unwrap());
    let (_, time) = timed(trial(with_value_type(&deep, inner), &facts, 0));
    assert!(time < Duration::from_secs(5), "{time:?}");
    // Locks as far apart as offsets allow.
    let mut builder = BtfBuilder::new();
    let int = builder.int("int", 4, IntEncoding(1));
    let lock = builder.structure("bpf_spin_lock", u32::MAX, &[("val", int, 0, 0)]);
    let locks = builder.array(lock, int, u32::MAX);
    let far = builder.structure("far", u32::MAX, &[("locks", locks, !7, 0)]);
    let holder = builder.structure("holder", u32::MAX, &[("far", far, !7, 0)]);
    let many = builder.array(holder, int, 100);
    let btf = Arc::new(Btf::parse(builder.to_bytes()).unwrap());
    for id in [lock, locks, far, holder, many, TypeId(u32::MAX)] {
        let (_, time) = timed(trial(with_value_type(&btf, id), &facts, 2));
        assert!(time < Duration::from_secs(5), "{time:?}");
    }
}

#[test]
fn types_in_circles_end() {
    let facts = facts();
    let mut builder = BtfBuilder::new();
    let int = builder.int("int", 4, IntEncoding(1));
    let first = builder.next_id();
    // Each refers to the next, the last to the first.
    for n in 0..6 {
        let to = TypeId(first.0 + (n + 1) % 6);
        match n % 6 {
            0 => builder.typedef("t", to),
            1 => builder.constant(to),
            2 => builder.array(to, to, 3),
            3 => builder.structure("s", 8, &[("m", to, 0, 0)]),
            4 => builder.ptr(to),
            _ => builder.volatile(to),
        };
    }
    let proto = builder.func_proto(first, &[("a", first), ("b", int)]);
    let main = builder.func("main", proto, FuncLinkage::Global);
    let callee = builder.func("callee", proto, FuncLinkage::Global);
    let btf = Arc::new(Btf::parse(builder.to_bytes()).unwrap());
    for n in 0..6 {
        let mut spec = with_value_type(&btf, TypeId(first.0 + n));
        let call = RawInsn::new(opcode::CALL, 0, pseudo::CALL, 0, 1);
        spec.insns = vec![call, EXIT, ZERO, EXIT];
        spec.btf = Some(Arc::clone(&btf));
        let record = |insn_off, id: TypeId| FuncInfo {
            insn_off,
            type_id: id.0,
        };
        spec.func_info = vec![record(0, main), record(2, callee)];
        for (ty, id) in [
            (ProgType::SocketFilter, 0),
            (ProgType::Tracing, first.0 + n),
        ] {
            spec.ty = ty;
            spec.attach_btf_id = id;
            let hostile = Profile::linux_6_18().with_btf(Arc::clone(&btf));
            for facts in [Arc::clone(&facts), Arc::new(Facts::new(hostile))] {
                let (_, time) = timed(trial(spec.clone(), &facts, 2));
                assert!(time < Duration::from_secs(5), "{time:?}");
            }
        }
    }
}

#[test]
fn endless_source_lines_cost_what_is_shown_of_them() {
    const LINES: u32 = 50_000;
    let mut builder = BtfBuilder::new();
    let int = builder.int("int", 4, IntEncoding(1));
    let proto = builder.func_proto(int, &[]);
    let main = builder.func("main", proto, FuncLinkage::Global);
    let text = builder.string(&"long ".repeat(2 << 20));
    let btf = Arc::new(Btf::parse(builder.to_bytes()).unwrap());
    let mut spec = socket_filter(std::iter::repeat_n(ZERO, LINES as usize).chain([EXIT]));
    spec.btf = Some(btf);
    spec.func_info = vec![FuncInfo {
        insn_off: 0,
        type_id: main.0,
    }];
    // Each line begins one byte further into the same ten megabytes.
    let line = |n| LineInfo {
        insn_off: n,
        file_name_off: text,
        line_off: text + n,
        line_col: n << 10,
    };
    spec.line_info = (0..LINES).map(line).collect();
    for level in [0, 1, 2] {
        let mut trial = trial(spec.clone(), &facts(), level);
        trial.config = Config::default();
        let (verdict, time) = timed(trial);
        assert!(matches!(verdict, Verdict::Accepted(_)), "{verdict:?}");
        assert!(time < Duration::from_secs(20), "{time:?}");
    }
}

#[test]
fn a_subprogram_that_ends_in_a_call_stays_within_itself() {
    // Whether the call throws is known only with the kernel's types, and these may be anything.
    let call = RawInsn::new(opcode::CALL, 0, pseudo::CALL, 0, 1);
    let kfunc = RawInsn::new(opcode::CALL, 0, pseudo::KFUNC_CALL, 0, 7);
    let mut builder = BtfBuilder::new();
    let mut throw = TypeId(0);
    for _ in 0..4 {
        let int = builder.int("u64", 8, IntEncoding(0));
        let proto = builder.func_proto(int, &[("cookie", int)]);
        throw = builder.func("bpf_throw", proto, FuncLinkage::Static);
    }
    let btf = Arc::new(Btf::parse(builder.to_bytes()).unwrap());
    let kernel = Arc::new(Facts::new(Profile::linux_6_18().with_btf(btf)));
    let store = RawInsn::new(0x7a, 10, 0, -8, 0);
    for facts in [facts(), kernel] {
        for id in [7, throw.0 as i32] {
            let kfunc = RawInsn { imm: id, ..kfunc };
            let mut spec = socket_filter([call, EXIT, store, kfunc, ZERO, EXIT]);
            let again = RawInsn::new(opcode::CALL, 0, pseudo::CALL, 0, 3);
            spec.insns.insert(0, again);
            spec.ty = ProgType::SchedCls;
            let (_, time) = timed(trial(spec, &facts, 2));
            assert!(time < Duration::from_secs(5), "{time:?}");
        }
    }
}
