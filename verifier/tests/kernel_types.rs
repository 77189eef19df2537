//! What programs attach to, their arguments, and kernel variables, in a small kernel of our own: so the
//! rules are tested on machines whose kernel is another.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use skep_asm::Options;
use skep_asm::cases::{self, Case, Claim};
use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding, Kind, TypeId, VarLinkage, VarSecInfo};
use skep_spec::{AttachType, Facts, Profile, ProgType, ProgramSpec};
use skep_verifier::report::{self, Silent};
use skep_verifier::{Config, Verdict, verify};

/// The types of a small kernel.
#[expect(clippy::too_many_lines, reason = "a list of types")]
fn kernel() -> Btf {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding(1));
    let long = b.int("unsigned long", 8, IntEncoding(0));
    let wide = b.int("__int128", 16, IntEncoding(1));
    let real = b.float("double", 8);
    let task = b.structure(
        "task_struct",
        16,
        &[("pid", int, 0, 0), ("state", long, 64, 0)],
    );
    let small = b.structure("pair", 16, &[("one", long, 0, 0), ("two", long, 64, 0)]);
    let large = b.structure("triple", 24, &[("one", small, 0, 0), ("two", long, 128, 0)]);
    let inode = b.structure("inode", 8, &[("i_ino", long, 0, 0)]);
    let to_inode = b.ptr(inode);
    let file = b.structure("file", 8, &[("f_inode", to_inode, 0, 0)]);
    b.structure("file__safe_trusted", 8, &[("f_inode", to_inode, 0, 0)]);
    let to_file = b.ptr(file);
    let to_void = b.ptr(TypeId::VOID);
    let to_task = b.ptr(task);
    let to_to_task = b.ptr(to_task);
    let user = b.type_tag("user", task);
    let to_user = b.ptr(user);
    let constant = b.constant(task);
    let to_constant = b.ptr(constant);

    let hidden = b.func_proto(
        TypeId::VOID,
        &[("", to_void), ("", to_task), ("", int), ("", to_task)],
    );
    let to_hidden = b.ptr(hidden);
    for name in ["switch", "cachefiles_lookup", "mm_page_alloc", "classed"] {
        b.typedef(&format!("btf_trace_{name}"), to_hidden);
    }
    b.typedef("no_tracepoint", to_hidden);
    b.typedef("btf_trace_number", int);
    let named = b.func_proto(
        TypeId::VOID,
        &[
            ("__data", to_void),
            ("prev", to_task),
            ("cpu", int),
            ("next__nullable", to_task),
        ],
    );
    b.func("__bpf_trace_switch", named, FuncLinkage::Static);
    b.func("__traceiter_classed", named, FuncLinkage::Static);

    let mut func = |name: &str, ret: TypeId, params: &[(&str, TypeId)]| {
        let proto = b.func_proto(ret, params);
        b.func(name, proto, FuncLinkage::Static);
    };
    func(
        "traced",
        int,
        &[("task", to_task), ("pair", small), ("flags", int)],
    );
    func("gives_nothing", TypeId::VOID, &[("task", to_constant)]);
    func(
        "gives_task",
        to_task,
        &[("task", to_user), ("double", to_to_task), ("any", to_void)],
    );
    func("gives_pair", small, &[]);
    func("takes_triple", int, &[("triple", large)]);
    func("takes_float", int, &[("real", real)]);
    func("takes_wide", int, &[("wide", wide)]);
    func("takes_any", int, &[("format", to_void), ("", TypeId::VOID)]);
    func("takes_thirteen", int, &[("a", int); 13]);
    func("security_file_open", int, &[("file", to_file)]);
    func("bpf_modify_return_test", int, &[("a", int)]);
    func("bpf_fentry_test1", int, &[("a", int)]);
    func("do_exit", int, &[("code", long)]);
    func("migrate_disable", TypeId::VOID, &[]);
    func(
        "bpf_iter_task",
        int,
        &[("meta", to_void), ("task", to_task)],
    );
    func("bpf_iter_unheard_of", int, &[("meta", to_void)]);
    func("bpf_lsm_file_open", int, &[("file", to_file)]);
    func(
        "bpf_lsm_file_free_security",
        TypeId::VOID,
        &[("file", to_file)],
    );
    func("bpf_lsm_bdev_alloc_security", int, &[("file", to_file)]);
    func("bpf_lsm_inode_xattr_skipcap", int, &[("name", to_void)]);
    func("bpf_lsm_getprocattr", int, &[("task", to_task)]);
    func("bpf_lsm_verify_prog", int, &[("log", to_void)]);
    func("file_open", int, &[("file", to_file)]);
    // As kernels had it before destructors got names of their own.
    func("bpf_crypto_ctx_release", TypeId::VOID, &[("ctx", to_void)]);
    b.structure("bpf_crypto_ctx", 8, &[("type", long, 0, 0)]);

    let numbers = b.var("numbers", long, VarLinkage::Global);
    b.var("first_task", task, VarLinkage::Global);
    b.var("without_size", TypeId::VOID, VarLinkage::Global);
    let runs = b.var("runs", task, VarLinkage::Global);
    let busy = b.var("busy", int, VarLinkage::Global);
    let at = |ty, offset, size| VarSecInfo { ty, offset, size };
    b.datasec(".data..percpu", 64, &[at(runs, 0, 16), at(busy, 16, 4)]);
    assert!(numbers.0 > 0);
    Btf::parse(b.to_bytes()).unwrap()
}

fn attach(program: &mut ProgramSpec, btf: &Btf) {
    let name = program.attach_to.clone();
    let (prefix, kind) = if program.attach == AttachType::TraceRawTp {
        ("btf_trace_", Kind::Typedef)
    } else if program.attach == AttachType::TraceIter {
        ("bpf_iter_", Kind::Func)
    } else if program.ty == ProgType::Lsm {
        ("bpf_lsm_", Kind::Func)
    } else {
        ("", Kind::Func)
    };
    let find = |name: &str| {
        btf.named(name)
            .find(|&id| btf.kind(id) != Some(Kind::Struct))
    };
    let id = btf
        .find_by_name(kind, &format!("{prefix}{name}"))
        .or_else(|| find(&name));
    program.attach_btf_id = id.map_or(0, |id| id.0);
}

fn said(case: &Case, facts: &Facts) -> String {
    match verify(&case.program, facts, &Config::default(), &mut Silent) {
        Verdict::Accepted(_) => "accepted".to_owned(),
        Verdict::Rejected(rejection) => {
            format!(
                "error: {}",
                report::message(&rejection.violation, &case.program, facts)
            )
        }
        Verdict::Undecided(unmodelled) => format!("undecided: {}", unmodelled.feature),
    }
}

fn check(text: &str, facts: &Facts) {
    let btf = Arc::new(kernel());
    let options = Options {
        kernel_btf: Some(btf.clone()),
        ..Options::default()
    };
    let mut faults = Vec::new();
    for mut case in cases::parse(text, &options).unwrap_or_else(|errors| panic!("{errors}")) {
        if !case.program.attach_to.is_empty() {
            attach(&mut case.program, &btf);
        }
        let said = said(&case, facts);
        let claim = match &case.claim {
            Claim::Accepted => "accepted".to_owned(),
            // Ids of types are left out of claims.
            Claim::Rejected { message, .. } => format!("error: {message}"),
            Claim::Undecided { feature, .. } => format!("undecided: {feature}"),
        };
        let id = format!("attach_btf_id {}", case.program.attach_btf_id);
        let said = said.replace(&id, "attach_btf_id N").replace('\n', " / ");
        if said != claim {
            faults.push(format!("{}: says `{said}`", case.name));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn facts() -> Facts {
    Facts::new(Profile::linux_6_18().with_btf(Arc::new(kernel())))
}

#[test]
fn targets_are_what_they_must_be() {
    check(include_str!("kernel_types/targets.s"), &facts());
}

#[test]
fn arguments_are_what_the_prototype_says() {
    check(include_str!("kernel_types/arguments.s"), &facts());
}

#[test]
fn hooks_return_what_their_callers_expect() {
    check(include_str!("kernel_types/hooks.s"), &facts());
}

#[test]
fn variables_are_what_their_type_says() {
    check(include_str!("kernel_types/variables.s"), &facts());
}

#[test]
fn maps_own_what_the_kernel_frees_by_either_name() {
    check(include_str!("kernel_types/owned.s"), &facts());
}

#[test]
fn addresses_are_known_only_where_the_kernel_keeps_them() {
    let profile = Profile::linux_6_18_44().with_btf(Arc::new(kernel()));
    let text = "
.cases socket_filter

a_variable:
    r1 = ksym numbers ll           ; error: ldimm64 failed to find the address for kernel symbol 'numbers'.
    r0 = 0
    exit
";
    check(text, &Facts::new(profile));
}

#[test]
fn without_types_there_is_no_verdict() {
    let text = "
.cases tracing attach trace_raw_tp attach_to switch

a_target:                          ; undecided: what programs attach to, in a kernel whose types are not known
    r0 = 0
    exit

.cases socket_filter

a_variable:                        ; undecided: addresses of variables of a kernel whose types are not known
    r1 = ksym numbers ll
    r0 = 0
    exit
";
    check(text, &Facts::new(Profile::linux_6_18()));
}
