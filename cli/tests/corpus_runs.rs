//! Programs of the corpus at their simulated hooks: every program type has one that runs there with a
//! result that means something.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_btf::Btf;
use skep_corpus::read_btf;
use skep_interp::{BUDGET, Machine, Outcome};
use skep_loader::{Options, open};
use skep_sim::{FieldValue, Redirect, RunInput, Sim};
use skep_spec::tables::ctx;
use skep_spec::{KernelVersion, ObjectSpec, ProgType, ProgramSpec};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("corpus")
}

/// An Ethernet frame with UDP over IPv4 from 10.0.0.1:1000 to 10.0.0.2:53, and `payload` zero bytes.
fn udp(payload: usize) -> Vec<u8> {
    let total = (28 + payload) as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x03, 0xe8, 0, 53, 0, 8, 0, 0]);
    frame.resize(frame.len() + payload, 0);
    frame
}

/// A number of a context by name, or an argument of a function.
fn number(name: &str, value: u64) -> (String, FieldValue) {
    (name.to_owned(), FieldValue::Number(value))
}

/// A context in user space's layout with those fields.
fn context(ty: ProgType, fields: &[(&str, u32)]) -> RunInput {
    let table = ctx::of(ty).unwrap();
    let mut bytes = vec![0; table.size as usize];
    for (name, value) in fields {
        let field = table.fields.iter().find(|f| f.name == *name);
        let at = field.unwrap_or_else(|| panic!("{ty} has no {name}")).off as usize;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    RunInput::context(&bytes)
}

/// A kernel with one object's programs.
struct Bench {
    object: ObjectSpec,
    sim: Sim,
    machine: Machine,
    ran: BTreeSet<ProgType>,
}

impl Bench {
    fn open(name: &str) -> Bench {
        let btf: Arc<Btf> = Arc::new(read_btf(&corpus().join("kernel-types.btf")).unwrap());
        let options = Options {
            kernel_btf: Some(Arc::clone(&btf)),
            kernel_version: Some(KernelVersion::new(6, 18, 0)),
            ..Options::default()
        };
        let file = format!("{name}.o");
        let bytes = fs::read(corpus().join("objects").join(&file)).unwrap();
        let object = open(&file, &bytes, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut sim = Sim::new(&object.maps).unwrap();
        sim.set_kernel_btf(btf);
        Bench {
            object,
            sim,
            machine: Machine::new(),
            ran: BTreeSet::new(),
        }
    }

    fn program(&self, name: &str) -> ProgramSpec {
        let program = self.object.program(name);
        program.unwrap_or_else(|| panic!("no {name}")).clone()
    }

    fn outcome(&mut self, name: &str, input: &RunInput) -> Outcome {
        let program = self.program(name);
        self.ran.insert(program.ty);
        let id = self.machine.load(&mut self.sim, &program).unwrap();
        self.machine
            .run(&mut self.sim, id, input)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// What a program returns.
    fn run(&mut self, name: &str, input: &RunInput) -> i32 {
        self.outcome(name, input).output.retval as i32
    }

    fn packet(&mut self, name: &str, packet: &[u8]) -> i32 {
        self.run(name, &RunInput::packet(packet))
    }

    /// A program at a function, with arguments.
    fn traced(&mut self, name: &str, args: &[(String, FieldValue)]) -> i32 {
        let program = self.program(name);
        let input = self.sim.trace_input(&program, args);
        self.run(name, &input.unwrap_or_else(|e| panic!("{name}: {e}")))
    }

    /// A number in a map, under a key of four or eight bytes.
    fn entry(&mut self, map: &str, key: &[u8]) -> Option<u64> {
        let id = self.sim.map(map).unwrap();
        let value = self.sim.map_lookup(id, key).ok()?;
        Some(u64::from_le_bytes(value[..8].try_into().unwrap()))
    }

    /// A 64-bit number of the object's global data.
    fn global(&mut self, at: usize) -> u64 {
        let id = self
            .sim
            .maps()
            .iter()
            .find(|m| m.spec().name.contains("bss"))
            .unwrap()
            .id();
        let value = self.sim.map_lookup(id, &[0; 4]).unwrap();
        u64::from_le_bytes(value[at..at + 8].try_into().unwrap())
    }

    fn put_socket(&mut self, map: &str, key: u32) {
        let id = self.sim.map(map).unwrap();
        let socket = 100u64.to_le_bytes();
        self.sim
            .map_update(id, &key.to_le_bytes(), &socket, 0)
            .unwrap();
    }
}

fn packets() -> BTreeSet<ProgType> {
    let mut ran = BTreeSet::new();

    let mut bench = Bench::open("action_police");
    assert_eq!(bench.packet("police", &udp(100)), 3);
    assert_eq!(bench.packet("police", &udp(300)), 2);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("lwt_routes");
    let mut old = udp(0);
    old[22] = 1;
    assert_eq!(bench.packet("only_fresh", &udp(0)), 0);
    assert_eq!(bench.packet("only_fresh", &old), 2);
    assert_eq!(bench.packet("only_udp", &udp(0)), 0);
    old[23] = 6;
    assert_eq!(bench.packet("only_udp", &old), 2);
    let sent = bench.outcome("set_class", &RunInput::packet(&udp(0)));
    assert_eq!((sent.output.retval, sent.output.data[15]), (0, 0xb8));
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("lwt_segments");
    let mut routed = vec![0; 14 + 40 + 8];
    (routed[12], routed[13], routed[14]) = (0x86, 0xdd, 0x60);
    (routed[20], routed[57]) = (43, 1);
    assert_eq!(bench.packet("has_segments", &routed), 0);
    routed[57] = 0;
    assert_eq!(bench.packet("has_segments", &routed), 2);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("sk_stream");
    assert_eq!(bench.packet("message_length", &[0, 5, 2, 0]), 7);
    assert_eq!(bench.packet("to_receiver", &[0, 5, 2, 0]), 0);
    bench.put_socket("receivers", 2);
    assert_eq!(bench.packet("to_receiver", &[0, 5, 2, 0]), 1);
    let sent = bench.sim.take_output().redirect;
    assert!(matches!(sent, Some(Redirect::Map { index: 2, .. })));
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("flow_dissect");
    let found = bench.outcome("ipv4_flows", &RunInput::packet(&udp(0)));
    let keys = found.output.data;
    assert_eq!((found.output.retval, keys[2], keys[9]), (0, 34, 17));
    assert_eq!(keys[12..24], [0x03, 0xe8, 0, 53, 10, 0, 0, 1, 10, 0, 0, 2]);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("netfilter_length");
    assert_eq!(bench.packet("no_long_packets", &udp(100)), 1);
    assert_eq!(bench.packet("no_long_packets", &udp(1000)), 0);
    assert_eq!(bench.global(3 * 8), 1, "at the hook of outgoing packets");
    ran.append(&mut bench.ran);

    for (object, program, verdict) in [
        ("xdp_swap_macs", "reflect", 3),
        ("tc_mark", "mark_by_length", 0),
        ("socket_length", "keep_headers", 28),
        ("cgroup_ports", "even_ports", 0),
    ] {
        let mut bench = Bench::open(object);
        assert_eq!(bench.packet(program, &udp(20)), verdict, "{program}");
        ran.append(&mut bench.ran);
    }
    ran
}

fn sockets() -> BTreeSet<ProgType> {
    let mut ran = BTreeSet::new();

    let mut bench = Bench::open("cgroup_sock");
    let socket =
        |family, kind| context(ProgType::CgroupSock, &[("family", family), ("type", kind)]);
    assert_eq!(bench.run("no_raw_sockets", &socket(2, 3)), 0);
    let made = bench.outcome("no_raw_sockets", &socket(2, 1));
    assert_eq!((made.output.retval, made.output.ctx[16]), (1, 7));
    let port = |port| context(ProgType::CgroupSock, &[("src_port", port)]);
    assert_eq!(bench.run("high_ports", &port(80)), 0);
    assert_eq!(bench.run("high_ports", &port(8080)), 1);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("cgroup_connect");
    let address = [("user_ip4", 0x0100_007f), ("user_port", 0x5000)];
    let to = context(ProgType::CgroupSockAddr, &address);
    let sent = bench.outcome("redirect_port", &to);
    assert_eq!(
        (sent.output.retval, &sent.output.ctx[24..26]),
        (1, &[0x1f, 0x90][..])
    );
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("sock_ops");
    let event = |op| {
        context(
            ProgType::SockOps,
            &[("op", op), ("remote_ip4", 0x0100_000a)],
        )
    };
    let timeout = bench.outcome("follow", &event(1));
    assert_eq!(timeout.output.ctx[4], 10);
    let established = bench.outcome("follow", &event(4));
    assert_eq!(established.output.ctx[84], 4, "asks for changes of state");
    assert_eq!(bench.entry("connections", &[0; 4]), Some(1));
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("sk_msg_filter");
    assert_eq!(bench.packet("quiet", b"!shout"), 0);
    assert_eq!(bench.packet("quiet", b"hello"), 1);
    let marked = bench.outcome("quiet", &RunInput::packet(b"#hello"));
    assert_eq!(marked.output.data, b"hello");
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("sk_reuseport");
    let fields = [("hash", 6), ("ip_protocol", 17)];
    let mut query = context(ProgType::SkReuseport, &fields);
    query.data = vec![0x03, 0xe8, 0, 53, 0, 8, 0, 0];
    assert_eq!(bench.run("by_sender", &query), 0);
    bench.put_socket("sockets", 2);
    assert_eq!(bench.run("by_sender", &query), 1);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("sk_lookup");
    let lookup = |port| context(ProgType::SkLookup, &[("family", 2), ("local_port", port)]);
    assert_eq!(bench.run("range_of_ports", &lookup(80)), 1);
    assert_eq!(bench.run("range_of_ports", &lookup(7007)), 0);
    bench.put_socket("listener", 0);
    assert_eq!(bench.run("range_of_ports", &lookup(7007)), 1);
    ran.append(&mut bench.ran);
    ran
}

fn control_groups() -> BTreeSet<ProgType> {
    let mut ran = BTreeSet::new();

    let mut bench = Bench::open("cgroup_device");
    let access = |kind: u32, minor| {
        let fields = [("access_type", kind), ("major", 1), ("minor", minor)];
        context(ProgType::CgroupDevice, &fields)
    };
    assert_eq!(bench.run("only_nothing", &access(2 | 2 << 16, 3)), 1);
    assert_eq!(bench.run("only_nothing", &access(2 | 2 << 16, 8)), 0);
    assert_eq!(bench.run("only_nothing", &access(2 | 1 << 16, 3)), 0);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("cgroup_sysctl");
    let write = |on| context(ProgType::CgroupSysctl, &[("write", on)]);
    assert_eq!(bench.run("only_ipv4", &write(0)), 1);
    assert_eq!(bench.run("only_ipv4", &write(1)), 1);
    bench.sim.sysctl.name = "kernel/panic".to_owned();
    assert_eq!(bench.run("only_ipv4", &write(1)), 0);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("cgroup_sockopt");
    let mut option = context(ProgType::CgroupSockopt, &[("level", 1), ("optname", 9)]);
    option.data = vec![0; 4];
    let set = bench.outcome("keep_alive", &option);
    assert_eq!((set.output.retval, set.output.data), (1, vec![1, 0, 0, 0]));
    option.data = vec![0; 2];
    assert_eq!(bench.run("keep_alive", &option), 0);
    ran.append(&mut bench.ran);
    ran
}

fn tracing() -> BTreeSet<ProgType> {
    let mut ran = BTreeSet::new();

    let mut bench = Bench::open("kretprobe_errors");
    let regs = |result: i64| RunInput::registers(&[], result as u64);
    assert_eq!(bench.run("count_errors", &regs(-2)), 0);
    bench.run("count_errors", &regs(-2));
    bench.run("count_errors", &regs(7));
    assert_eq!(bench.entry("errors", &2u32.to_le_bytes()), Some(2));
    assert_eq!(bench.entry("errors", &0u32.to_le_bytes()), Some(1));
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("perf_sample");
    let mut sample = vec![0; 184];
    sample[128..136].copy_from_slice(&0x40_1234u64.to_le_bytes());
    sample[168] = 100;
    bench.run("count_pages", &RunInput::context(&sample));
    assert_eq!(bench.entry("pages", &0x401u64.to_le_bytes()), Some(100));
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("raw_tp_writable");
    let changed = bench.outcome("set_first_word", &RunInput::packet(&[0; 8]));
    assert_eq!(changed.output.data, [1, 0, 0, 0, 0, 0, 0, 0]);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("unjudged/lirc_decoder");
    let pulse = RunInput::context(&(0x0100_0000u32 | 1500).to_le_bytes());
    assert_eq!(bench.run("pulse_length", &pulse), 0);
    assert_eq!(
        bench.sim.take_output().keys,
        ["key 0x3 of protocol 64, toggle 0"]
    );
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("tp_sched_switch");
    // A switch away from process 9, able to go on; then one that sleeps.
    let mut record = vec![0; 64];
    record[24] = 9;
    bench.run("count_preempted", &RunInput::context(&record));
    record[32] = 1;
    bench.run("count_preempted", &RunInput::context(&record));
    assert_eq!(bench.global(0), 1);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("raw_tp_calls");
    bench.run("count_calls", &RunInput::args(&[0, 39]));
    assert_eq!(bench.global(39 * 8), 1);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("syscall_sum");
    let mut record = vec![0; 80];
    (record[0], record[8], record[16]) = (2, 30, 12);
    let sum = bench.outcome("add_up", &RunInput::context(&record));
    assert_eq!((sum.output.retval, sum.output.ctx[72]), (0, 42));
    ran.append(&mut bench.ran);
    ran
}

fn typed() -> BTreeSet<ProgType> {
    let mut ran = BTreeSet::new();

    let mut bench = Bench::open("unjudged/btf_tasks");
    let task = |pid: u64, tgid: u64| {
        FieldValue::Object(vec![
            number("pid", pid),
            number("tgid", tgid),
            ("comm".to_owned(), FieldValue::Text("bash".to_owned())),
        ])
    };
    let fork = |child| {
        [
            ("parent".to_owned(), task(7, 7)),
            ("child".to_owned(), child),
        ]
    };
    bench.traced("count_forks", &fork(task(42, 42)));
    bench.traced("count_forks", &fork(task(43, 42)));
    assert_eq!(bench.entry("forks", &7u32.to_le_bytes()), Some(1));
    bench.traced("count_opened", &[]);
    bench.traced("count_failed", &[number("ret", (-2i64) as u64)]);
    bench.traced("count_failed", &[number("ret", 3)]);
    let counts = [bench.global(0), bench.global(8)];
    assert_eq!(counts, [1, 1], "opened and failed");
    assert_eq!(bench.traced("refuse_odd", &[number("a", 4)]), 0);
    assert_eq!(bench.traced("refuse_odd", &[number("a", 5)]), -1);
    bench.traced("print_tasks", &[("task".to_owned(), task(42, 42))]);
    bench.traced("print_tasks", &[number("task", 0)]);
    assert_eq!(bench.sim.take_output().seq, b"42 bash\n");
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("unjudged/lsm_open");
    let open = |flags| {
        [(
            "file".to_owned(),
            FieldValue::Object(vec![number("f_flags", flags)]),
        )]
    };
    bench.sim.process.uid = 65534;
    assert_eq!(bench.traced("nobody_writes", &open(0)), 0);
    assert_eq!(bench.traced("nobody_writes", &open(1)), -1);
    bench.sim.process.uid = 0;
    assert_eq!(bench.traced("nobody_writes", &open(1)), 0);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("tcp_half_window");
    let name = bench.program("half_window");
    let sk = bench.sim.trace_names(&name).unwrap().remove(0);
    let connection = bench.sim.trace_input(&name, &[]).unwrap();
    assert_eq!((sk.as_str(), connection.ctx.unwrap().len()), ("sock", 8));
    // The function gets a socket, which is a TCP socket in its full length.
    let tcp = bench
        .sim
        .kernel_object("tcp_sock", &[number("snd_cwnd", 20)])
        .unwrap();
    assert_eq!(bench.traced("half_window", &[number("sock", tcp)]), 10);
    ran.append(&mut bench.ran);

    let mut bench = Bench::open("unjudged/ext_judge");
    assert_eq!(
        bench.run(
            "judge_by_size",
            &RunInput::context(&[1, 0, 0, 0, 0, 0, 0, 0])
        ),
        2
    );
    assert_eq!(bench.run("judge_by_size", &RunInput::context(&[0; 8])), 1);
    ran.append(&mut bench.ran);
    ran
}

#[test]
fn every_type_has_a_program_that_runs() {
    let mut ran = packets();
    ran.append(&mut sockets());
    ran.append(&mut control_groups());
    ran.append(&mut tracing());
    ran.append(&mut typed());
    let all: BTreeSet<_> = ProgType::all()
        .filter(|ty| *ty != ProgType::Unspec)
        .collect();
    let missing: Vec<_> = all.difference(&ran).collect();
    assert!(missing.is_empty(), "no program of {missing:?} ran");
}

#[test]
fn timers_fire_on_the_virtual_clock() {
    let mut bench = Bench::open("xdp_swap_macs");
    let now = bench.sim.clock.now_ns;
    assert_eq!(
        bench.machine.run_timers(&mut bench.sim, now + 5, BUDGET),
        Ok(0)
    );
    assert_eq!(bench.sim.clock.now_ns, now + 5);
}
