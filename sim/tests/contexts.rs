//! Contexts that are structures of their own, and arguments of kernel types.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::Kernel;
use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding, TypeId};
use skep_sim::{Errno, FieldValue, ObjectError, RunInput, Sim};
use skep_spec::tables::ctx;
use skep_spec::{AttachType, MapSpec, MapType, ProgType, ProgramSpec};

const ANY: AttachType = AttachType::CgroupInetIngress;

fn off(ty: ProgType, name: &str) -> u64 {
    let table = ctx::of(ty).unwrap();
    let field = table.fields.iter().find(|f| f.name == name);
    field
        .unwrap_or_else(|| panic!("{ty} has no {name}"))
        .off
        .into()
}

fn during(ty: ProgType, attach: AttachType, input: &RunInput) -> Kernel {
    let mut kernel = Kernel::new(&[]);
    kernel.ty = ty;
    kernel.sim.begin(ty, attach, input).unwrap();
    kernel
}

fn word(kernel: &Kernel, at: u64, len: u64) -> u64 {
    let mut wide = [0; 8];
    wide[..len as usize].copy_from_slice(kernel.sim.memory().read(at, len).unwrap());
    u64::from_le_bytes(wide)
}

fn ctx_word(kernel: &Kernel, ty: ProgType, name: &str, len: u64) -> u64 {
    word(kernel, kernel.sim.context().unwrap().0 + off(ty, name), len)
}

/// A context with those fields, four bytes each.
fn context(ty: ProgType, fields: &[(&str, u32)]) -> Vec<u8> {
    let mut bytes = vec![0; ctx::of(ty).unwrap().size as usize];
    for (name, value) in fields {
        let at = off(ty, name) as usize;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

#[test]
fn messages_are_read_and_written_between_their_ends() {
    let ty = ProgType::SkMsg;
    let input = RunInput {
        data: b"hello".to_vec(),
        ctx: Some(context(ty, &[("family", 2), ("local_port", 80)])),
    };
    let mut kernel = during(ty, ANY, &input);
    let [data, end, sk] = ["data", "data_end", "sk"].map(|n| ctx_word(&kernel, ty, n, 8));
    assert_eq!(end - data, 5);
    assert_eq!(ctx_word(&kernel, ty, "size", 4), 5);
    assert_eq!(kernel.sim.memory().read(data, 5).unwrap(), b"hello");
    assert!(kernel.sim.memory().read(data, 6).is_err());
    kernel.sim.memory_mut().write(data, 1).unwrap()[0] = b'j';
    // The socket is the context's.
    assert_eq!(
        (word(&kernel, sk + 4, 4), word(&kernel, sk + 44, 4)),
        (2, 80)
    );
    let output = kernel.sim.finish(1);
    assert_eq!(output.data, b"jello");
    assert_eq!(output.ctx[..16], [0; 16], "addresses are nobody's business");
}

#[test]
fn messages_grow_and_shrink() {
    let ty = ProgType::SkMsg;
    let mut kernel = during(ty, ANY, &RunInput::packet(b"abcdef"));
    let at = kernel.sim.context().unwrap().0;
    assert_eq!(kernel.status("msg_push_data", &[at, 2, 3, 0]), Ok(()));
    assert_eq!(ctx_word(&kernel, ty, "size", 4), 9);
    assert_eq!(kernel.status("msg_pop_data", &[at, 0, 1, 0]), Ok(()));
    assert_eq!(
        kernel.status("msg_pop_data", &[at, 7, 2, 0]),
        Err(Errno::INVAL)
    );
    assert_eq!(
        kernel.status("msg_push_data", &[at, 9, 1, 0]),
        Err(Errno::INVAL)
    );
    assert_eq!(
        kernel.status("msg_pull_data", &[at, 0, 9, 0]),
        Err(Errno::INVAL)
    );
    assert_eq!(kernel.status("msg_pull_data", &[at, 0, 8, 0]), Ok(()));
    assert_eq!(kernel.sim.finish(1).data, b"b\0\0\0cdef");
}

#[test]
fn options_are_values_with_a_length() {
    let ty = ProgType::CgroupSockopt;
    let input = RunInput {
        data: vec![1, 0, 0, 0],
        ctx: Some(context(ty, &[("level", 6), ("optname", 1)])),
    };
    let mut kernel = during(ty, AttachType::CgroupSetsockopt, &input);
    assert_eq!(ctx_word(&kernel, ty, "optlen", 4), 4);
    let value = ctx_word(&kernel, ty, "optval", 8);
    kernel.sim.memory_mut().write(value, 4).unwrap()[0] = 7;
    assert_eq!(kernel.sim.finish(1).data, [7, 0, 0, 0]);
}

#[test]
fn the_port_of_a_socket_may_be_read_as_four_bytes() {
    let ty = ProgType::CgroupSock;
    let kernel = during(ty, AttachType::CgroupInet4PostBind, &RunInput::default());
    let at = kernel.sim.context().unwrap().0;
    assert!(
        kernel
            .sim
            .memory()
            .read(at + off(ty, "dst_port"), 4)
            .is_ok()
    );
    assert!(kernel.sim.memory().read(at + off(ty, "src_ip4"), 4).is_ok());
    assert!(
        kernel
            .sim
            .memory()
            .read(at + off(ty, "src_ip6"), 4)
            .is_err()
    );
}

#[test]
fn lookups_choose_a_socket_once() {
    let ty = ProgType::SkLookup;
    let input = RunInput::context(&context(ty, &[("family", 2), ("local_port", 7)]));
    let map = MapSpec::new("socks", MapType::Sockmap, 4, 8, 2);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    let id = kernel.sim.map("socks").unwrap();
    kernel
        .sim
        .map_update(id, &[1, 0, 0, 0], &9u64.to_le_bytes(), 0)
        .unwrap();
    let sk = kernel.lookup_address(id, &[1, 0, 0, 0]);
    assert_ne!(sk, 0);
    kernel.ty = ty;
    let at = kernel.sim.begin(ty, AttachType::SkLookup, &input).unwrap();
    assert_eq!(ctx_word(&kernel, ty, "sk", 8), 0);
    assert_eq!(kernel.status("sk_assign", &[at, sk, 0]), Ok(()));
    assert_eq!(ctx_word(&kernel, ty, "sk", 8), sk);
    assert_eq!(kernel.status("sk_assign", &[at, sk, 0]), Err(Errno::EXIST));
    assert_eq!(kernel.status("sk_assign", &[at, 0, 1]), Ok(()));
    assert_eq!(kernel.status("sk_assign", &[at, 0, 8]), Err(Errno::INVAL));
}

#[test]
fn lookups_are_refused_as_a_test_run_refuses_them() {
    let ty = ProgType::SkLookup;
    let mut sim = Sim::new(&[]).unwrap();
    let mut begin = |fields: &[(&str, u32)]| {
        let input = RunInput::context(&context(ty, fields));
        sim.begin(ty, AttachType::SkLookup, &input).map(drop)
    };
    assert_eq!(begin(&[("family", 2)]), Ok(()));
    assert_eq!(begin(&[("family", 10)]), Ok(()));
    assert_eq!(begin(&[]), Err(Errno::AFNOSUPPORT));
    let port = ("local_port", 0x1_0000);
    assert_eq!(begin(&[("family", 2), port]), Err(Errno::RANGE));
    let device = ("ingress_ifindex", 1);
    assert_eq!(begin(&[("family", 2), device]), Err(Errno::INVAL));
    assert_eq!(
        sim.begin(ty, AttachType::SkLookup, &RunInput::default()),
        Err(Errno::INVAL)
    );
}

#[test]
fn dissectors_get_keys_to_fill() {
    let mut packet = vec![0; 60];
    (packet[12], packet[13]) = (8, 0);
    let mut kernel = during(ProgType::FlowDissector, ANY, &RunInput::packet(&packet));
    let at = kernel.sim.context().unwrap().0;
    let [data, end] = [76, 80].map(|off| word(&kernel, at + off, 4));
    assert_eq!(end - data, 60);
    let keys = word(&kernel, at + off(ProgType::FlowDissector, "flow_keys"), 8);
    assert_eq!(word(&kernel, keys, 2), 14);
    // Offsets outside of the packet are brought back.
    kernel
        .sim
        .memory_mut()
        .write(keys, 2)
        .unwrap()
        .copy_from_slice(&[200, 0]);
    let output = kernel.sim.finish(0);
    assert_eq!(output.data.len(), 56);
    assert_eq!((output.data[0], output.data[2]), (60, 60));
    assert_eq!(output.data[10..12], [8, 0]);
}

#[test]
fn a_writable_tracepoint_has_a_buffer() {
    let ty = ProgType::RawTracepointWritable;
    let mut kernel = during(ty, ANY, &RunInput::packet(&[1, 2, 3, 4]));
    let buffer = ctx_word(&kernel, ty, "buffer", 8);
    kernel.sim.memory_mut().write(buffer, 4).unwrap().fill(9);
    assert!(kernel.sim.memory_mut().write(buffer, 5).is_err());
    assert_eq!(kernel.sim.finish(0).data, [9; 4]);
}

#[test]
fn a_stream_begins_with_its_first_byte() {
    let mut kernel = during(ProgType::SkSkb, ANY, &RunInput::packet(b"GET /"));
    let at = kernel.sim.context().unwrap().0;
    let [data, end] = [76, 80].map(|off| word(&kernel, at + off, 4));
    assert_eq!(
        kernel.sim.memory().read(data, end - data).unwrap(),
        b"GET /"
    );
    assert_eq!(kernel.sim.finish(1).data, b"GET /");
}

#[test]
fn pointers_are_not_the_callers_to_set() {
    let mut sim = Sim::new(&[]).unwrap();
    for ty in [ProgType::SkMsg, ProgType::SockOps, ProgType::CgroupSockopt] {
        let table = ctx::of(ty).unwrap();
        let mut bytes = vec![0; table.size as usize];
        assert!(sim.begin(ty, ANY, &RunInput::context(&bytes)).is_ok());
        bytes[off(ty, "sk") as usize] = 1;
        let refused = sim.begin(ty, ANY, &RunInput::context(&bytes));
        assert_eq!(refused, Err(Errno::INVAL), "{ty}");
    }
}

/// Kernel types: `struct task_struct { int pid; unsigned flag:1, mode:3; char comm[8]; struct task_struct *parent; }`
/// and a function that takes one and a number.
fn kernel_types() -> (Arc<Btf>, TypeId) {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let char = b.int("char", 1, IntEncoding::UNSIGNED);
    let name = b.array(char, int, 8);
    // A structure's id is the next: it may point to itself.
    let task = TypeId(b.next_id().0 + 1);
    let ptr = b.ptr(task);
    let made = b.structure(
        "task_struct",
        32,
        &[
            ("pid", int, 0, 0),
            ("flag", int, 32, 1),
            ("mode", int, 33, 3),
            ("comm", name, 64, 0),
            ("parent", ptr, 128, 0),
        ],
    );
    assert_eq!(made, task);
    let proto = b.func_proto(int, &[("victim", ptr), ("count", int)]);
    let func = b.func("kill_task", proto, FuncLinkage::Static);
    (Arc::new(Btf::parse(b.to_bytes()).unwrap()), func)
}

fn object(fields: &[(&str, FieldValue)]) -> FieldValue {
    let named = fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone()));
    FieldValue::Object(named.collect())
}

fn traced() -> (Kernel, ProgramSpec) {
    let (btf, func) = kernel_types();
    let mut kernel = Kernel::new(&[]);
    kernel.ty = ProgType::Tracing;
    kernel.sim.set_kernel_btf(btf);
    let mut spec = ProgramSpec::new("prog", ProgType::Tracing, Vec::new());
    spec.attach = AttachType::TraceFexit;
    spec.attach_btf_id = func.0;
    spec.attach_to = "kill_task".to_owned();
    (kernel, spec)
}

#[test]
fn arguments_are_objects_of_kernel_types() {
    let (mut kernel, spec) = traced();
    let parent = object(&[("pid", FieldValue::Number(1))]);
    let task = object(&[
        ("pid", FieldValue::Number(42)),
        ("flag", FieldValue::Number(1)),
        ("mode", FieldValue::Number(5)),
        ("comm", FieldValue::Text("bash".to_owned())),
        ("parent", parent),
    ]);
    let args = [
        ("victim".to_owned(), task),
        ("count".to_owned(), FieldValue::Number(3)),
        ("ret".to_owned(), FieldValue::Number(u64::MAX)),
    ];
    let input = kernel.sim.trace_input(&spec, &args).unwrap();
    let at = kernel.sim.begin(spec.ty, spec.attach, &input).unwrap();
    let victim = word(&kernel, at, 8);
    assert_eq!(word(&kernel, victim, 4), 42);
    assert_eq!(word(&kernel, victim + 4, 1), 1 | 5 << 1);
    assert_eq!(
        kernel.sim.memory().read(victim + 8, 8).unwrap(),
        b"bash\0\0\0\0"
    );
    let parent = word(&kernel, victim + 16, 8);
    assert_eq!(word(&kernel, parent, 4), 1);
    assert!(kernel.sim.memory_mut().write(victim, 4).is_err());
    assert_eq!([8, 16].map(|off| word(&kernel, at + off, 8)), [3, u64::MAX]);
}

#[test]
fn helpers_know_how_many_arguments_there_are() {
    let (mut kernel, spec) = traced();
    let args = [("ret".to_owned(), FieldValue::Number(6))];
    let input = kernel.sim.trace_input(&spec, &args).unwrap();
    let at = kernel.sim.begin(spec.ty, spec.attach, &input).unwrap();
    assert_eq!(kernel.call("get_func_arg_cnt", &[at]).unwrap(), 2);
    let top = kernel.sim.open_frame(0).unwrap();
    assert_eq!(kernel.status("get_func_ret", &[at, top - 8]), Ok(()));
    assert_eq!(word(&kernel, top - 8, 8), 6);
    let beyond = kernel.status("get_func_arg", &[at, 2, top - 8]);
    assert_eq!(beyond, Err(Errno::INVAL));
}

#[test]
fn arguments_that_do_not_fit_are_named() {
    let (mut kernel, mut spec) = traced();
    let mut make = |name: &str, value| kernel.sim.trace_input(&spec, &[(name.to_owned(), value)]);
    let fault = make("nobody", FieldValue::Number(0)).unwrap_err();
    assert_eq!(fault.to_string(), "kill_task has no `nobody`");
    let fault = make("victim", object(&[("age", FieldValue::Number(0))])).unwrap_err();
    assert!(matches!(fault, ObjectError::NoField { .. }), "{fault}");
    let fault = make("victim", FieldValue::Text("me".to_owned())).unwrap_err();
    assert_eq!(fault.to_string(), "`victim` wants an object or a number");
    let long = FieldValue::Text("far too long".to_owned());
    let fault = make("victim", object(&[("comm", long)])).unwrap_err();
    assert_eq!(fault.to_string(), "`comm` wants at most 8 bytes");
    spec.attach_btf_id = 0;
    let fault = kernel.sim.trace_input(&spec, &[]).unwrap_err();
    assert!(matches!(fault, ObjectError::NoTarget(_)));
    let mut bare = Sim::new(&[]).unwrap();
    assert_eq!(bare.trace_input(&spec, &[]), Err(ObjectError::NoTypes));
}
