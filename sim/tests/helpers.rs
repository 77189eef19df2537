//! Helpers' results, checked one by one. Where a kernel can answer, the values are Linux 6.18's.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::Kernel;
use skep_sim::{Errno, MapId, Process, Trap, Why};
use skep_spec::{MapFlags, MapSpec, MapType, ProgType};

fn ret(errno: Errno) -> u64 {
    errno.as_ret()
}

#[test]
fn time_passes_with_every_reading_and_not_otherwise() {
    let mut kernel = Kernel::new(&[]);
    kernel.sim.clock.now_ns = 10_000_000;
    kernel.sim.clock.step_ns = 5;
    kernel.sim.clock.slept_ns = 100;
    assert_eq!(kernel.call("ktime_get_ns", &[]), Ok(10_000_000));
    assert_eq!(kernel.call("ktime_get_boot_ns", &[]), Ok(10_000_105));
    assert_eq!(kernel.call("ktime_get_coarse_ns", &[]), Ok(8_000_000));
    assert_eq!(kernel.call("ktime_get_ns", &[]), Ok(10_000_010));
    let jiffies = kernel.call("jiffies64", &[]).unwrap();
    kernel.sim.clock.advance(40_000_000);
    assert_eq!(kernel.call("jiffies64", &[]), Ok(jiffies + 10));
    let tai = kernel.call("ktime_get_tai_ns", &[]).unwrap();
    assert_eq!(tai, kernel.sim.clock.tai_at_boot_ns + 50_000_015);
}

#[test]
fn chance_follows_the_seed() {
    let draw = |seed| {
        let config = skep_sim::Config {
            seed,
            ..skep_sim::Config::default()
        };
        let sim = skep_sim::Sim::with_config(config, &[]).unwrap();
        let ty = ProgType::SchedCls;
        let mut kernel = Kernel { sim, ty };
        [0; 4].map(|_| kernel.call("get_prandom_u32", &[]).unwrap())
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert!(draw(7).iter().all(|&n| u32::try_from(n).is_ok()));
}

#[test]
fn the_process_is_the_one_that_was_set() {
    let mut kernel = Kernel::new(&[]);
    kernel.sim.process = Process {
        pid: 7,
        tgid: 5,
        uid: 1000,
        gid: 100,
        comm: "a-rather-long-name".to_owned(),
        cgroup_id: 42,
        classid: 9,
        ..Process::default()
    };
    kernel.sim.cpu = 1;
    assert_eq!(kernel.call("get_current_pid_tgid", &[]), Ok(5 << 32 | 7));
    assert_eq!(
        kernel.call("get_current_uid_gid", &[]),
        Ok(100 << 32 | 1000)
    );
    assert_eq!(kernel.call("get_current_cgroup_id", &[]), Ok(42));
    assert_eq!(kernel.call("get_smp_processor_id", &[]), Ok(1));
    assert_eq!(kernel.call("get_cgroup_classid", &[]), Ok(9));
    let at = kernel.put(&[&[0xff; 20]])[0];
    assert_eq!(kernel.call("get_current_comm", &[at, 16]), Ok(0));
    assert_eq!(kernel.get(at, 17), b"a-rather-long-n\0\xff");
    assert_eq!(kernel.call("get_current_comm", &[at, 4]), Ok(0));
    assert_eq!(kernel.get(at, 5), b"a-r\0t");
    let trap = kernel.call("get_current_comm", &[8, 16]).unwrap_err();
    assert!(matches!(trap, Trap::Memory(fault) if fault.why == Why::NotMemory));
}

#[test]
fn probe_reads_zero_the_buffer_where_nothing_is() {
    let mut kernel = Kernel::new(&[]);
    let user = kernel.sim.add_user_memory(b"hello\0world").unwrap();
    let at = kernel.put(&[&[0xee; 32]])[0];
    assert_eq!(kernel.call("probe_read_user", &[at, 5, user]), Ok(0));
    assert_eq!(kernel.get(at, 6), b"hello\xee");
    for (helper, addr, error) in [
        ("probe_read_user", 16, Errno::FAULT),
        ("probe_read", 16, Errno::FAULT),
        ("probe_read_kernel", 16, Errno::RANGE),
        ("probe_read_kernel", 0xffff_8880_0000_0000, Errno::FAULT),
        ("probe_read_user", user + 8, Errno::FAULT),
    ] {
        kernel.fill(at, 32, 0xee);
        assert_eq!(
            kernel.call(helper, &[at, 8, addr]),
            Ok(ret(error)),
            "{helper} {addr:#x}"
        );
        assert_eq!(kernel.get(at, 9), [0, 0, 0, 0, 0, 0, 0, 0, 0xee]);
    }
    // A program cannot read what it can only probe.
    assert!(kernel.sim.memory().read(user, 1).is_err());
}

#[test]
fn probed_strings_are_cut_and_measured() {
    let mut kernel = Kernel::new(&[]);
    let user = kernel.sim.add_user_memory(b"hello\0world").unwrap();
    let at = kernel.put(&[&[0xee; 32]])[0];
    assert_eq!(kernel.call("probe_read_user_str", &[at, 32, user]), Ok(6));
    assert_eq!(kernel.get(at, 7), b"hello\0\xee");
    assert_eq!(kernel.call("probe_read_user_str", &[at, 3, user]), Ok(3));
    assert_eq!(kernel.get(at, 3), b"he\0");
    assert_eq!(kernel.call("probe_read_user_str", &[at, 0, user]), Ok(0));
    // The string runs into the end of memory.
    assert_eq!(
        kernel.call("probe_read_user_str", &[at, 32, user + 6]),
        Ok(ret(Errno::FAULT))
    );
    assert_eq!(kernel.get(at, 4), [0; 4]);
    assert_eq!(
        kernel.call("probe_read_kernel_str", &[at, 8, 1]),
        Ok(ret(Errno::RANGE))
    );
}

#[test]
fn only_the_processs_memory_is_written_by_probes() {
    let mut kernel = Kernel::new(&[]);
    let user = kernel.sim.add_user_memory(&[0; 4]).unwrap();
    let at = kernel.put(&[b"data", &[0; 8]]);
    assert_eq!(kernel.call("probe_write_user", &[user, at[0], 4]), Ok(0));
    assert_eq!(kernel.call("probe_read_user", &[at[1], 4, user]), Ok(0));
    assert_eq!(kernel.get(at[1], 4), b"data");
    let outside = kernel.call("probe_write_user", &[at[1], at[0], 4]);
    assert_eq!(outside, Ok(ret(Errno::FAULT)));
}

#[test]
fn trace_lines_are_kept() {
    let mut kernel = Kernel::new(&[]);
    let fmt = b"%d bytes from %s\n\0";
    let at = kernel.put(&[fmt, b"lo\0"]);
    let size = fmt.len() as u64;
    assert_eq!(
        kernel.call("trace_printk", &[at[0], size, 64, at[1], 0]),
        Ok(17)
    );
    // Without its end the text is none.
    let cut = kernel.call("trace_printk", &[at[0], size - 1, 64, at[1], 0]);
    assert_eq!(cut, Ok(ret(Errno::INVAL)));
    let args = [1u64, 2, 3, 4].map(u64::to_le_bytes).concat();
    let at = kernel.put(&[b"%d%d%d%d\0", &args]);
    assert_eq!(kernel.call("trace_vprintk", &[at[0], 9, at[1], 32]), Ok(4));
    assert_eq!(
        kernel.call("trace_vprintk", &[at[0], 9, at[1], 31]),
        Ok(ret(Errno::INVAL))
    );
    assert_eq!(
        kernel.call("trace_vprintk", &[at[0], 9, 0, 8]),
        Ok(ret(Errno::INVAL))
    );
    let output = kernel.sim.take_output();
    assert_eq!(output.printk, ["64 bytes from lo", "1234"]);
    assert!(kernel.sim.output().printk.is_empty());
}

#[test]
fn output_is_bounded() {
    let config = skep_sim::Config {
        max_output: 1000,
        ..skep_sim::Config::default()
    };
    let sim = skep_sim::Sim::with_config(config, &[]).unwrap();
    let ty = ProgType::SchedCls;
    let mut kernel = Kernel { sim, ty };
    let at = kernel.put(&[b"line\0"])[0];
    for _ in 0..100 {
        assert_eq!(kernel.call("trace_printk", &[at, 5]), Ok(4));
    }
    let output = kernel.sim.take_output();
    assert_eq!(output.printk.len() as u64 + output.dropped, 100);
    assert!(output.dropped > 0);
}

#[test]
fn snprintf_counts_what_did_not_fit() {
    let mut spec = MapSpec::new("fmt", MapType::Array, 4, 8, 1);
    (spec.init, spec.flags) = (Some(b"%d-%s\0".to_vec()), MapFlags::RDONLY_PROG);
    let mut kernel = Kernel::new(&[Arc::new(spec)]);
    let fmt = kernel
        .sim
        .maps()
        .get(MapId(0))
        .unwrap()
        .array_layout()
        .unwrap()
        .base;
    let text = kernel.put(&[&[0xee; 16], &[0; 16], b"abcdef\0"]);
    let args = [(-5i64) as u64, text[2]].map(u64::to_le_bytes).concat();
    kernel
        .sim
        .memory_mut()
        .write(text[1], 16)
        .unwrap()
        .copy_from_slice(&args);
    assert_eq!(
        kernel.call("snprintf", &[text[0], 6, fmt, text[1], 16]),
        Ok(10)
    );
    assert_eq!(kernel.get(text[0], 7), b"-5-ab\0\xee");
    assert_eq!(kernel.call("snprintf", &[0, 0, fmt, text[1], 16]), Ok(10));
    assert_eq!(
        kernel.call("snprintf", &[text[0], 6, fmt, text[1], 8]),
        Ok(ret(Errno::INVAL))
    );
}

#[test]
fn numbers_and_strings_from_text() {
    let mut kernel = Kernel::new(&[]);
    let mut number = |helper: &str, text: &[u8], base| {
        let at = kernel.put(&[text, &[0xee; 8]]);
        let r0 = kernel
            .call(helper, &[at[0], text.len() as u64, base, at[1]])
            .unwrap();
        let value = kernel.get(at[1], 8);
        (r0 as i64, i64::from_le_bytes(value.try_into().unwrap()))
    };
    assert_eq!(number("strtol", b" -42x", 0), (4, -42));
    assert_eq!(
        number("strtol", b"-9223372036854775808", 10),
        (20, i64::MIN)
    );
    assert_eq!(number("strtol", b"9223372036854775808", 10), (-34, 0));
    assert_eq!(number("strtoul", b"18446744073709551615", 10), (20, -1));
    assert_eq!(number("strtoul", b"-1", 10), (-22, 0));
    assert_eq!(number("strtoul", b"0x7f", 0), (4, 0x7f));
    assert_eq!(number("strtoul", b"1", 3), (-22, 0));
    let at = kernel.put(&[b"abc\0", b"abd\0"]);
    assert_eq!(kernel.call("strncmp", &[at[0], 4, at[1]]), Ok(u64::MAX));
    assert_eq!(kernel.call("strncmp", &[at[0], 2, at[1]]), Ok(0));
    assert_eq!(kernel.call("strncmp", &[at[1], 4, at[0]]), Ok(1));
}

#[test]
fn checksum_differences_fold() {
    let mut kernel = Kernel::new(&[]);
    let at = kernel.put(&[&[0, 1, 2, 3], &[0xff; 8]]);
    // What the kernel computes for the same bytes.
    assert_eq!(kernel.call("csum_diff", &[0, 0, at[0], 4, 0]), Ok(0x0402));
    assert_eq!(kernel.call("csum_diff", &[0, 0, at[1], 8, 0]), Ok(0xffff));
    assert_eq!(kernel.call("csum_diff", &[at[0], 4, 0, 0, 0]), Ok(0xfbfd));
    assert_eq!(
        kernel.call("csum_diff", &[0, 0, 0, 0, 0x1_2345 & 0xffff]),
        Ok(0x2345)
    );
}

#[test]
fn perf_events_go_to_the_cpu_that_runs() {
    let map = MapSpec::new("events", MapType::PerfEventArray, 4, 4, 2);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    let at = kernel.put(&[b"payload"])[0];
    let map = kernel.sim.maps().handle(MapId(0));
    let ctx = kernel.sim.context().unwrap().0;
    const CURRENT: u64 = 0xffff_ffff;
    let mut send = |flags| {
        kernel
            .call("perf_event_output", &[ctx, map, flags, at, 7])
            .unwrap()
    };
    assert_eq!(send(CURRENT), 0);
    assert_eq!(send(0), 0);
    assert_eq!(send(1), ret(Errno::OPNOTSUPP));
    assert_eq!(send(2), ret(Errno::TOOBIG));
    assert_eq!(send(CURRENT | 4 << 32), ret(Errno::INVAL));
    kernel.sim.map_delete(MapId(0), &[0; 4]).unwrap();
    let gone = kernel.call("perf_event_output", &[ctx, map, CURRENT, at, 7]);
    assert_eq!(gone, Ok(ret(Errno::NOENT)));
    let records = kernel.sim.take_output().perf;
    assert_eq!(records.len(), 2);
    assert_eq!(
        (records[0].index, &records[0].data[..]),
        (0, &b"payload"[..])
    );
}

#[test]
fn ring_buffer_records_die_when_they_are_submitted() {
    let map = MapSpec::new("ring", MapType::Ringbuf, 0, 0, 4096);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    let at = kernel.ring_reserve(MapId(0), 16).unwrap();
    assert!(kernel.sim.memory().read(at, 16).is_ok());
    assert!(kernel.sim.memory().read(at, 17).is_err());
    let handle = kernel.sim.maps().handle(MapId(0));
    assert!(kernel.call("ringbuf_submit", &[at + 8, 0]).is_err());
    assert!(kernel.ring_finish(at, true));
    assert!(kernel.sim.memory().read(at, 1).is_err());
    assert!(!kernel.ring_finish(at, true));
    let positions = [0, 1, 2, 3, 4].map(|q| kernel.call("ringbuf_query", &[handle, q]).unwrap());
    assert_eq!(positions, [24, 4096, 0, 24, 0]);
    let data = kernel.put(&[b"12345"])[0];
    assert_eq!(kernel.call("ringbuf_output", &[handle, data, 5, 0]), Ok(0));
    assert_eq!(
        kernel.call("ringbuf_output", &[handle, data, 5, 4]),
        Ok(ret(Errno::INVAL))
    );
    let records = kernel.sim.ring_consume(MapId(0));
    assert_eq!(records[1].data, b"12345");
    assert_eq!(kernel.call("ringbuf_query", &[handle, 0]), Ok(0));
}

#[test]
fn a_helper_takes_only_what_it_says() {
    let map = MapSpec::new("m", MapType::Array, 4, 8, 1);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    let at = kernel.put(&[&[0; 4]])[0];
    let trap = kernel.call("map_lookup_elem", &[at, at]).unwrap_err();
    assert!(matches!(
        trap,
        Trap::BadArgument {
            helper: "bpf_map_lookup_elem",
            arg: 1,
            ..
        }
    ));
    let handle = kernel.sim.maps().handle(MapId(0));
    assert!(matches!(
        kernel.call("map_lookup_elem", &[handle, 0]),
        Err(Trap::Memory(_))
    ));
    let trap = kernel.call("map_push_elem", &[handle, at, 0]).unwrap_err();
    assert!(matches!(
        trap,
        Trap::MapNotSimulated {
            ty: MapType::Array,
            ..
        }
    ));
    assert!(matches!(
        kernel.call("skb_load_bytes", &[at, 0, at, 4]),
        Err(Trap::BadArgument { arg: 1, .. })
    ));
}

#[test]
fn storages_belong_to_their_object() {
    let mut spec = MapSpec::new("s", MapType::TaskStorage, 4, 8, 0);
    spec.flags = MapFlags::NO_PREALLOC;
    let mut kernel = Kernel::new(&[Arc::new(spec)]);
    kernel.put(&[]);
    let map = kernel.sim.maps().handle(MapId(0));
    let task = kernel.call("get_current_task_btf", &[]).unwrap();
    assert_eq!(kernel.call("task_storage_get", &[map, task, 0, 0]), Ok(0));
    let value = kernel.call("task_storage_get", &[map, task, 0, 1]).unwrap();
    kernel.fill(value, 8, 3);
    assert_eq!(
        kernel.call("task_storage_get", &[map, task, 0, 0]),
        Ok(value)
    );
    assert_ne!(
        kernel.call("task_storage_get", &[map, task + 64, 0, 1]),
        Ok(value)
    );
    assert_eq!(kernel.status("task_storage_delete", &[map, task]), Ok(()));
    assert_eq!(
        kernel.status("task_storage_delete", &[map, task]),
        Err(Errno::NOENT)
    );
    assert_eq!(kernel.call("task_storage_get", &[map, 0, 0, 1]), Ok(0));
}

#[test]
fn stacks_are_those_of_the_process() {
    let map = MapSpec::new("stacks", MapType::StackTrace, 4, 32, 8);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    kernel.sim.process.kernel_stack = vec![1, 2, 3];
    kernel.sim.process.user_stack = vec![9];
    let at = kernel.put(&[&[0xee; 40]])[0];
    let (ctx, map) = (
        kernel.sim.context().unwrap().0,
        kernel.sim.maps().handle(MapId(0)),
    );
    assert_eq!(kernel.call("get_stack", &[ctx, at, 32, 1]), Ok(16));
    let words: Vec<u8> = [2u64, 3, 0, 0]
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    assert_eq!(kernel.get(at, 32), words);
    assert_eq!(kernel.call("get_stack", &[ctx, at, 8, 1 << 8]), Ok(8));
    assert_eq!(
        kernel.call("get_stack", &[ctx, at, 12, 0]),
        Ok(ret(Errno::INVAL))
    );
    assert_eq!(
        kernel.call("get_stack", &[ctx, at, 16, 4]),
        Ok(ret(Errno::FAULT))
    );
    let id = kernel.call("get_stackid", &[ctx, map, 0]).unwrap();
    assert_eq!(kernel.call("get_stackid", &[ctx, map, 0]), Ok(id));
    assert_eq!(
        kernel.call("get_stackid", &[ctx, map, 3]),
        Ok(ret(Errno::FAULT))
    );
    let trace = kernel
        .sim
        .map_lookup(MapId(0), &(id as u32).to_le_bytes())
        .unwrap();
    assert_eq!(trace[..24], [1u64, 2, 3].map(u64::to_le_bytes).concat());
}

#[test]
fn dynamic_pointers_stay_inside() {
    let map = MapSpec::new("ring", MapType::Ringbuf, 0, 0, 4096);
    let mut kernel = Kernel::new(&[Arc::new(map)]);
    let at = kernel.put(&[b"0123456789", &[0; 16], &[0; 8]]);
    let (mem, ptr, buf) = (at[0], at[1], at[2]);
    assert_eq!(kernel.call("dynptr_from_mem", &[mem, 10, 0, ptr]), Ok(0));
    assert_eq!(kernel.call("dynptr_read", &[buf, 4, ptr, 6, 0]), Ok(0));
    assert_eq!(kernel.get(buf, 4), b"6789");
    assert_eq!(
        kernel.call("dynptr_read", &[buf, 4, ptr, 7, 0]),
        Ok(ret(Errno::TOOBIG))
    );
    assert_eq!(kernel.call("dynptr_write", &[ptr, 0, buf, 4, 0]), Ok(0));
    assert_eq!(kernel.get(mem, 6), b"678945");
    assert_eq!(kernel.call("dynptr_data", &[ptr, 4, 6]), Ok(mem + 4));
    assert_eq!(kernel.call("dynptr_data", &[ptr, 4, 7]), Ok(0));
    assert_eq!(
        kernel.call("dynptr_from_mem", &[mem, 10, 1, ptr]),
        Ok(ret(Errno::INVAL))
    );
    assert_eq!(
        kernel.call("dynptr_read", &[buf, 4, ptr, 0, 0]),
        Ok(ret(Errno::INVAL))
    );
    let map = kernel.sim.maps().handle(MapId(0));
    assert_eq!(
        kernel.call("ringbuf_reserve_dynptr", &[map, 8, 0, ptr]),
        Ok(0)
    );
    assert_eq!(kernel.call("dynptr_write", &[ptr, 0, mem, 8, 0]), Ok(0));
    assert_eq!(kernel.call("ringbuf_submit_dynptr", &[ptr, 0]), Ok(0));
    assert_eq!(kernel.sim.ring_consume(MapId(0))[0].data, b"67894567");
    assert_eq!(
        kernel.call("ringbuf_reserve_dynptr", &[map, 4096, 0, ptr]),
        Ok(ret(Errno::INVAL))
    );
    assert_eq!(kernel.call("ringbuf_discard_dynptr", &[ptr, 0]), Ok(0));
}

#[test]
fn every_simulated_name_is_a_helper() {
    use skep_spec::tables::helpers::named;
    for name in skep_sim::helpers::simulated() {
        assert!(
            named(name).is_some_and(|proto| proto.name == name),
            "{name}"
        );
    }
    assert!(skep_sim::helpers::simulated().count() > 80);
}
