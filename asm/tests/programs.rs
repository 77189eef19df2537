//! What sources mean: labels, functions, maps, types, cases; and programs built in code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use skep_asm::cases::{self, Claim, Note};
use skep_asm::{BuildError, Builder, Options, assemble, assemble_program};
use skep_btf::{Btf, FuncLinkage, Type, TypeId};
use skep_isa::{AluOp, AtomicOp, EndianOp, Imm64, Insn, JmpOp, RawInsn, Reg, Size, decode};
use skep_spec::{AttachType, MapFlags, MapType, ObjectSpec, ProgFlags, ProgType, ProgramSpec};

fn object(source: &str) -> ObjectSpec {
    assemble(source, &Options::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn imm64(program: &ProgramSpec, idx: usize) -> Imm64 {
    match decode(&program.insns, idx) {
        Ok(Insn::LoadImm64 { imm, .. }) => imm,
        other => panic!("{other:?}"),
    }
}

#[test]
fn labels_become_distances() {
    let p = assemble_program(
        "p",
        ProgType::Xdp,
        "top: if r1 == 0 goto out\n r2 = 5 ll\n goto top\n gotol out\n may_goto top\nout: exit",
        &Options::default(),
    )
    .unwrap();
    let offs: Vec<(i16, i32)> = p.insns.iter().map(|raw| (raw.off, raw.imm)).collect();
    assert_eq!(
        offs,
        [(5, 0), (0, 5), (0, 0), (-4, 0), (0, 1), (-6, 0), (0, 0)]
    );
}

#[test]
fn labels_belong_to_their_program() {
    let o = object(".prog a xdp\ngoto out\nout: exit\n.prog b xdp\nr0 = 1\ngoto out\nout: exit\n");
    assert_eq!(o.programs[0].insns[0].off, 0);
    assert_eq!(o.programs[1].insns[1].off, 0);
}

#[test]
fn functions_follow_in_the_order_of_calls_and_once() {
    let o = object(
        "\
.func c
    r0 = 3
    exit
.func a
    call b
    call c
    exit
.func b
    r0 = 2
    exit
.func unused
    exit
.prog p xdp
    call a
    call c
    call a
    exit
",
    );
    // p 0..4, a 4..7, b 7..9, c 9..11.
    let p = &o.programs[0];
    let calls: Vec<(usize, i64)> = (0..p.insns.len())
        .filter(|i| p.insns[*i].code == 0x85)
        .map(|i| (i, i as i64 + 1 + i64::from(p.insns[i].imm)))
        .collect();
    assert_eq!(calls, [(0, 4), (1, 9), (2, 4), (4, 7), (5, 9)]);
    assert_eq!(p.insns.len(), 11);
}

#[test]
fn functions_may_call_themselves_and_each_other() {
    let o =
        object(".func a\ncall b\nexit\n.func b\ncall a\ncall b\nexit\n.prog p xdp\ncall a\nexit\n");
    assert_eq!(o.programs[0].insns.len(), 7);
}

#[test]
fn maps_are_numbered_by_first_use_unless_told() {
    let source = "\
.map unused array key 4 value 4 entries 1
.map second array key 4 value 4 entries 1
.map first hash key 4 value 4 entries 1 flags no_prealloc,0x100 rdonly_prog extra 3 numa_node 1
.prog p xdp
    r1 = first ll
    r2 = map_value[second]+4 ll
    r3 = map[first] ll
    r4 = map[#9]
    exit
.prog q xdp maps unused,second
    r1 = map[first]
    exit
";
    let o = object(source);
    let names = |p: &ProgramSpec| p.maps.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&o.programs[0]), ["first", "second"]);
    assert_eq!(imm64(&o.programs[0], 0), Imm64::Map(0));
    assert_eq!(imm64(&o.programs[0], 2), Imm64::MapValue { map: 1, off: 4 });
    assert_eq!(imm64(&o.programs[0], 4), Imm64::Map(0));
    assert_eq!(imm64(&o.programs[0], 6), Imm64::Map(9));
    assert_eq!(names(&o.programs[1]), ["unused", "second", "first"]);
    assert_eq!(imm64(&o.programs[1], 0), Imm64::Map(2));
    assert_eq!(o.maps.len(), 3);
    let map = o.map("first").unwrap();
    assert_eq!((map.ty, map.extra, map.numa_node), (MapType::Hash, 3, 1));
    let flags = MapFlags::NO_PREALLOC | MapFlags::WRONLY_PROG | MapFlags::RDONLY_PROG;
    assert_eq!(map.flags, flags);
}

#[test]
fn headers_say_what_a_program_is() {
    let o = object(
        "\
.license \"Dual MIT/GPL\"
.prog a xdp attach xdp_devmap flags sleepable,xdp_has_frags
    exit
.prog b lsm license \"BSD\" section \"lsm/file_open\" attach_to file_open attach_btf_id 7 manual
    exit
",
    );
    let [a, b] = o.programs.as_slice() else {
        panic!()
    };
    assert_eq!((a.ty, a.attach), (ProgType::Xdp, AttachType::XdpDevmap));
    assert_eq!(a.flags, ProgFlags::SLEEPABLE | ProgFlags::XDP_HAS_FRAGS);
    assert_eq!((a.license.as_str(), a.autoload), ("Dual MIT/GPL", true));
    assert_eq!(
        (b.license.as_str(), b.section.as_str()),
        ("BSD", "lsm/file_open")
    );
    assert_eq!(
        (b.attach_to.as_str(), b.attach_btf_id, b.autoload),
        ("file_open", 7, false)
    );
}

/// The declaration of a function of a program, as C.
fn declared(p: &ProgramSpec, function: usize) -> (u32, String, FuncLinkage) {
    let btf: &Btf = p.btf.as_ref().unwrap();
    let info = p.func_info[function];
    let id = TypeId(info.type_id);
    let Ok(Type::Func(func)) = btf.ty(id) else {
        panic!()
    };
    (info.insn_off, btf.declare(id, ""), func.linkage)
}

#[test]
fn prototypes_become_btf() {
    let o = object(
        "\
.global u64 sum(struct xdp_md *ctx __arg_ctx, const char *name, u32)
    r0 = 0
    exit
.prog p xdp tag \"some:tag\" proto int p(struct xdp_md *ctx)
    call sum
    call local
    exit
local:
    exit
",
    );
    let p = &o.programs[0];
    let btf = p.btf.as_ref().unwrap();
    assert_eq!(
        declared(p, 0),
        (
            0,
            "int p(struct xdp_md *ctx)".to_owned(),
            FuncLinkage::Global
        )
    );
    assert_eq!(
        declared(p, 1),
        (3, "int local(void)".to_owned(), FuncLinkage::Static)
    );
    let sum = "unsigned long long sum(struct xdp_md *ctx, const char *name, unsigned int arg3)";
    assert_eq!(declared(p, 2), (4, sum.to_owned(), FuncLinkage::Global));
    assert!(btf.has_decl_tag(TypeId(p.func_info[0].type_id), "some:tag"));
    let tags = btf.component_tags(TypeId(p.func_info[2].type_id), 0);
    assert_eq!(
        tags.map(|tag| tag.name().to_owned()).collect::<Vec<_>>(),
        ["arg:ctx"]
    );
    assert!(p.line_info.is_empty());
}

#[test]
fn exception_callbacks_are_appended() {
    let o = object(
        ".func cb\nexit\n.func f\nexit\n.prog p sched_cls tag \"exception_callback:cb\"\ncall f\nexit\n",
    );
    assert_eq!(o.programs[0].insns.len(), 4);
    assert_eq!(declared(&o.programs[0], 2).1, "int cb(void)");
}

#[test]
fn programs_without_types_have_no_btf() {
    let o = object(".func f\nexit\n.prog p xdp\ncall f\nexit\n");
    assert!(o.btf.is_none() && o.programs[0].func_info.is_empty());
}

#[test]
fn structs_give_maps_their_types() {
    let o = object(
        "\
.struct bpf_list_head { u64 a, u64 b } align 8
.struct bpf_list_node { u64 a[3] }
.struct node { struct bpf_list_node link, int key }
.struct elem { struct bpf_list_head head __contains(node, link), struct task_struct __kptr *task }
.map m array key u32 value struct elem entries 1
.map a array key 4 value u8[16] entries 1
",
    );
    let map = o.map("m").unwrap();
    let btf = map.btf.as_ref().unwrap();
    assert_eq!((map.key_size, map.value_size), (4, 24));
    let elem = TypeId(map.btf_value_id);
    assert_eq!(btf.type_name(elem), "struct elem");
    let tags = btf.component_tags(elem, 0).map(|tag| tag.name().to_owned());
    assert_eq!(tags.collect::<Vec<_>>(), ["contains:node:link"]);
    let task = btf.member(elem, "task").unwrap().unwrap();
    assert_eq!(
        btf.pointer_tags(task.member.ty).collect::<Vec<_>>(),
        ["kptr"]
    );
    assert_eq!(o.map("a").unwrap().value_size, 16);
}

#[test]
fn lines_point_at_the_source() {
    let options = Options {
        file_name: "x/y.s".to_owned(),
        debug_info: true,
        ..Options::default()
    };
    let source = "\n.prog p xdp\n    r1 = 7 ll   ; seven\nout: exit\n";
    let o = assemble(source, &options).unwrap();
    let p = &o.programs[0];
    let btf = p.btf.as_ref().unwrap();
    let shown: Vec<_> = p
        .line_info
        .iter()
        .map(|l| {
            (
                l.insn_off,
                l.line(),
                l.column(),
                btf.string(l.line_off).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [(0, 3, 5, "r1 = 7 ll   ; seven"), (2, 4, 1, "out: exit")]
    );
    assert_eq!(btf.string(p.line_info[0].file_name_off).unwrap(), "x/y.s");
    assert_eq!(o.name, "y");
}

const CASES: &str = "\
; Sockets must be released. error: this is prose

.cases sched_cls flags test_state_freq
.map m array key 4 value 8 entries 1

release_twice_is_rejected:
    ; … the arguments of a socket lookup …
    call sk_lookup_tcp             ; R0=sock_or_null(ref)
    if r0 == 0 goto out
    r6 = r0
    r1 = r6
    call sk_release
    r1 = r6                        ; error: R6 !read_ok
out:
    exit

a_loop_at_the_margin:              ; accepted
again:
    r0 += 1
    if r0 < 10 goto again
    exit

.cases socket_filter
packet_load:
    r0 = *(u8 *)skb[0]             ; undecided: packet loads
    ; returns: 5
    exit
";

#[test]
fn cases_are_programs_with_claims() {
    let cases = cases::parse(CASES, &Options::default()).unwrap();
    let names: Vec<_> = cases.iter().map(|c| (c.name.as_str(), c.line)).collect();
    let expected = [
        ("release_twice_is_rejected", 6),
        ("a_loop_at_the_margin", 17),
        ("packet_load", 24),
    ];
    assert_eq!(names, expected);
    let rejected = Claim::Rejected {
        message: "R6 !read_ok".to_owned(),
        insn_idx: Some(5),
    };
    assert_eq!(cases[0].claim, rejected);
    assert_eq!(cases[0].program.insns.len(), 7);
    assert_eq!(cases[0].program.ty, ProgType::SchedCls);
    assert_eq!(cases[0].program.flags, ProgFlags::TEST_STATE_FREQ);
    assert_eq!(cases[1].claim, Claim::Accepted);
    assert_eq!(cases[1].program.insns[1].off, -2);
    let feature = "packet loads".to_owned();
    assert_eq!(
        cases[2].claim,
        Claim::Undecided {
            feature,
            insn_idx: Some(0)
        }
    );
    let note = Note {
        key: "returns".to_owned(),
        value: "5".to_owned(),
        line: 26,
        insn_idx: None,
    };
    assert_eq!(cases[2].notes, [note]);
    assert_eq!(cases[2].program.ty, ProgType::SocketFilter);
}

#[test]
fn cases_share_functions() {
    let source = "\
.cases xdp
.global int f(struct xdp_md *ctx)
    r0 = 0
    goto done
done:
    exit
one:                    ; accepted
    call f
    exit
two:                    ; accepted
    r0 = 0
    exit
";
    let cases = cases::parse(source, &Options::default()).unwrap();
    assert_eq!(cases.len(), 2);
    assert_eq!(cases[0].program.insns.len(), 5);
    assert_eq!(cases[0].program.func_info.len(), 2);
    assert_eq!(
        (
            cases[1].program.insns.len(),
            cases[1].program.func_info.len()
        ),
        (2, 0)
    );
}

#[test]
fn built_programs_equal_assembled_ones() {
    use Reg::{R0, R1, R2, R3, R10};
    let mut b = Builder::new();
    let built = b
        .label("top")
        .mov(R0, 1)
        .mov32(R2, R1)
        .alu(AluOp::Add, R0, R2)
        .alu32(AluOp::SDiv, R0, 3)
        .mov_sx(8, R3, R1)
        .neg(R3)
        .endian(EndianOp::ToBe, 16, R3)
        .imm64(R3, 0x1122_3344_5566_7788)
        .map(R1, 0)
        .map_value(R2, 0, 4)
        .func(R3, "sub")
        .load(Size::W, R0, R1, 4)
        .load_sx(Size::H, R0, R1, -4)
        .store(Size::DW, R10, -8, R0)
        .store(Size::B, R10, -1, 7)
        .atomic(AtomicOp::Add, Size::DW, R10, -8, R0)
        .atomic_fetch(AtomicOp::Or, Size::W, R10, -8, R0)
        .jump(JmpOp::SGt, R0, 5, 1)
        .jump32(JmpOp::Eq, R0, R2, "top")
        .goto(1)
        .gotol(1)
        .may_goto("top")
        .call_helper(5)
        .call("sub")
        .call_kfunc(77)
        .label(1)
        .exit()
        .label("sub")
        .exit()
        .finish()
        .unwrap();
    let text = "\
.map m array key 4 value 8 entries 1
top: r0 = 1
w2 = w1
r0 += r2
w0 s/= 3
r3 = (s8)r1
r3 = -r3
r3 = be16 r3
r3 = 0x1122334455667788 ll
r1 = map[m] ll
r2 = map_value[m]+4 ll
r3 = func sub ll
r0 = *(u32 *)(r1 + 4)
r0 = *(s16 *)(r1 - 4)
*(u64 *)(r10 - 8) = r0
*(u8 *)(r10 - 1) = 7
lock *(u64 *)(r10 - 8) += r0
r0 = atomic_fetch_or((u32 *)(r10 - 8), r0)
if r0 s> 5 goto one
if w0 == w2 goto top
goto one
gotol one
may_goto top
call ktime_get_ns
call sub
call btf:77
one: exit
sub: exit
";
    let p = assemble_program("p", ProgType::Xdp, text, &Options::default()).unwrap();
    assert_eq!(built, p.insns);
    assert_eq!(b.slots(), 0);
    b.exit();
    assert_eq!(
        b.program("p", ProgType::Xdp, p.maps.clone())
            .unwrap()
            .insns
            .len(),
        1
    );
}

#[test]
fn builders_tell_bad_labels() {
    let unknown = Builder::new().goto("x").finish();
    assert_eq!(unknown, Err(BuildError::UnknownLabel("x".to_owned())));
    let twice = Builder::new().label(3).label(3).finish();
    assert_eq!(twice, Err(BuildError::DuplicateLabel("3".to_owned())));
    let mut b = Builder::new();
    b.goto("x");
    for _ in 0..32768 {
        b.raw(RawInsn::default());
    }
    let far = b.label("x").finish();
    let expected = BuildError::TooFar {
        label: "x".to_owned(),
        insn_idx: 0,
        distance: 32768,
    };
    assert_eq!(far, Err(expected));
    assert!(
        b.goto("x").label("x").finish().is_ok(),
        "an error leaves nothing behind"
    );
}

#[test]
fn the_descriptions_examples_assemble() {
    let readme = include_str!("../README.md");
    let examples: Vec<&str> = readme.split("```\n").skip(1).step_by(2).collect();
    let [program, file_of_cases] = examples.as_slice() else {
        panic!("{examples:?}")
    };
    assert_eq!(object(program).programs[0].insns.len(), 11);
    assert_eq!(
        cases::parse(file_of_cases, &Options::default())
            .unwrap()
            .len(),
        1
    );
}
