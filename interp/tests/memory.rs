//! Loads, stores and atomics, and the accesses that are refused.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{r0, run, stop, trap};
use skep_sim::{Access, Fault, Owner, Trap, Why};

#[test]
fn loads_extend_and_stores_cut() {
    let all = "*(u64 *)(r10 - 8) = -2\n";
    assert_eq!(r0(&format!("{all} r0 = *(u8 *)(r10 - 8)")), 0xfe);
    assert_eq!(r0(&format!("{all} r0 = *(u16 *)(r10 - 8)")), 0xfffe);
    assert_eq!(r0(&format!("{all} r0 = *(u32 *)(r10 - 8)")), 0xffff_fffe);
    assert_eq!(r0(&format!("{all} r0 = *(u64 *)(r10 - 8)")), u64::MAX - 1);
    assert_eq!(r0(&format!("{all} r0 = *(s8 *)(r10 - 8)")), u64::MAX - 1);
    assert_eq!(r0(&format!("{all} r0 = *(s16 *)(r10 - 8)")), u64::MAX - 1);
    assert_eq!(r0(&format!("{all} r0 = *(s32 *)(r10 - 8)")), u64::MAX - 1);
    let parts = "*(u64 *)(r10 - 8) = 0
        *(u8 *)(r10 - 8) = 0x1ff
        r1 = 0x123456
        *(u16 *)(r10 - 7) = r1
        *(u32 *)(r10 - 5) = r1
        r0 = *(u64 *)(r10 - 8)";
    assert_eq!(r0(parts), 0x0000_1234_5634_56ff);
}

#[test]
fn unaligned_accesses_are_ordinary() {
    let body = "*(u64 *)(r10 - 13) = 0x12345678\nr0 = *(u32 *)(r10 - 12)";
    assert_eq!(r0(body), 0x0012_3456);
}

#[test]
fn atomics_give_the_old_value_where_they_fetch() {
    let with = |insns: &str, result: &str| {
        let start = "*(u64 *)(r10 - 8) = 12\nr1 = 10\nr0 = 0\n";
        r0(&format!("{start}{insns}\nr0 = {result}"))
    };
    let memory = "*(u64 *)(r10 - 8)";
    assert_eq!(with("lock *(u64 *)(r10 - 8) += r1", memory), 22);
    assert_eq!(with("lock *(u64 *)(r10 - 8) |= r1", memory), 14);
    assert_eq!(with("lock *(u64 *)(r10 - 8) &= r1", memory), 8);
    assert_eq!(with("lock *(u64 *)(r10 - 8) ^= r1", memory), 6);
    assert_eq!(
        with("r1 = atomic64_fetch_add((u64 *)(r10 - 8), r1)", "r1"),
        12
    );
    assert_eq!(with("r1 = atomic64_xchg((u64 *)(r10 - 8), r1)", memory), 10);
    let exchange = "r2 = 7\nr0 = 12\nr0 = atomic64_cmpxchg((u64 *)(r10 - 8), r0, r2)";
    assert_eq!(with(exchange, memory), 7);
    let miss = "r2 = 7\nr0 = 13\nr0 = atomic64_cmpxchg((u64 *)(r10 - 8), r0, r2)";
    assert_eq!(with(miss, memory), 12);
    assert_eq!(with(miss, "r0"), 12);
}

#[test]
fn narrow_atomics_touch_four_bytes_and_zero_extend() {
    let start = "*(u64 *)(r10 - 8) = -1\nw1 = 1\n";
    let add = "lock *(u32 *)(r10 - 8) += r1\nr0 = *(u64 *)(r10 - 8)";
    assert_eq!(r0(&format!("{start}{add}")), 0xffff_ffff_0000_0000);
    let fetch = "w1 = atomic_fetch_add((u32 *)(r10 - 8), w1)\nr0 = r1";
    assert_eq!(r0(&format!("{start}{fetch}")), 0xffff_ffff);
    // The comparison is of 32 bits, whatever the upper half of r0.
    let exchange = "r0 = -1\nw1 = 5\nw0 = cmpxchg32_32(r10 - 8, w0, w1)\nr0 = *(u32 *)(r10 - 8)";
    assert_eq!(r0(&format!("{start}{exchange}")), 5);
}

#[test]
fn acquire_and_release_load_and_store() {
    let body =
        "r1 = 0x1234\nstore_release((u16 *)(r10 - 8), r1)\nr0 = load_acquire((u16 *)(r10 - 8))";
    assert_eq!(r0(body), 0x1234);
}

fn fault(body: &str) -> (usize, Fault) {
    match trap(body) {
        (at, Trap::Memory(fault)) => (at, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn null_and_numbers_are_no_memory() {
    let (at, fault) = fault("r1 = 0\nr0 = *(u32 *)(r1 + 4)");
    assert_eq!(at, 1);
    let (addr, len) = (4, 4);
    assert_eq!(
        fault,
        Fault {
            addr,
            len,
            access: Access::Read,
            why: Why::NotMemory
        }
    );
    let (_, fault) = self::fault("r1 = -8\n*(u64 *)(r1 + 0) = 1");
    assert_eq!((fault.access, fault.why), (Access::Write, Why::NotMemory));
}

#[test]
fn the_stack_ends_at_its_frame() {
    assert_eq!(r0("*(u64 *)(r10 - 512) = 7\nr0 = *(u64 *)(r10 - 512)"), 7);
    for body in [
        "r0 = *(u64 *)(r10 - 513)",
        "r0 = *(u8 *)(r10 + 0)",
        "r0 = *(u64 *)(r10 - 4)",
    ] {
        let (at, fault) = fault(body);
        assert_eq!(at, 0);
        assert!(
            matches!(
                fault.why,
                Why::OutOfObject {
                    owner: Owner::Stack,
                    ..
                }
            ),
            "{body}"
        );
    }
}

#[test]
fn a_frame_that_returned_is_out_of_bounds() {
    let source = "
    .prog main socket_filter
        call leak
        r0 = *(u64 *)(r0 + 0)
        exit
    .func leak
        *(u64 *)(r10 - 8) = 1
        r0 = r10
        r0 += -8
        exit";
    let stop = stop(source);
    assert_eq!(stop.insn_idx, 1);
    assert!(matches!(
        stop.trap,
        Trap::Memory(Fault {
            why: Why::OutOfObject {
                owner: Owner::Stack,
                ..
            },
            ..
        })
    ));
}

#[test]
fn a_callers_frame_is_accessible() {
    let source = "
    .prog main socket_filter
        *(u64 *)(r10 - 8) = 20
        r1 = r10
        r1 += -8
        call add
        r0 = *(u64 *)(r10 - 8)
        exit
    .func add
        r2 = *(u64 *)(r1 + 0)
        r2 += 2
        *(u64 *)(r1 + 0) = r2
        r0 = 0
        exit";
    assert_eq!(run(source).unwrap().output.r0, 22);
}

#[test]
fn map_values_end_and_may_be_read_only() {
    let program = |flags: &str, insn: &str| {
        format!(
            ".map m array key 4 value 12 entries 2 {flags}
            .prog main socket_filter
            r1 = map_value[m] ll
            r0 = 0
            {insn}
            exit"
        )
    };
    assert_eq!(
        run(&program("", "r0 = *(u32 *)(r1 + 8)"))
            .unwrap()
            .output
            .r0,
        0
    );
    for insn in [
        "r0 = *(u64 *)(r1 + 8)",
        "r0 = *(u32 *)(r1 + 12)",
        "*(u8 *)(r1 - 1) = 1",
    ] {
        let stop = stop(&program("", insn));
        let Trap::Memory(fault) = stop.trap else {
            panic!("{stop}")
        };
        assert!(
            matches!(
                fault.why,
                Why::OutOfObject {
                    owner: Owner::Map(0),
                    ..
                }
            ),
            "{insn}"
        );
    }
    let stop = stop(&program("flags rdonly_prog", "*(u8 *)(r1 + 0) = 1"));
    let Trap::Memory(fault) = stop.trap else {
        panic!("{stop}")
    };
    assert_eq!(fault.why, Why::ReadOnly(Owner::Map(0)));
}

#[test]
fn packets_end_at_data_end() {
    let program = |insn: &str| {
        format!(
            ".prog main xdp
            r2 = *(u32 *)(r1 + 0)
            r3 = *(u32 *)(r1 + 4)
            r0 = r3
            r0 -= r2
            {insn}
            exit"
        )
    };
    assert_eq!(run(&program("")).unwrap().output.r0, 64);
    assert_eq!(
        run(&program("r0 = *(u8 *)(r2 + 63)")).unwrap().output.r0,
        29
    );
    for insn in [
        "r0 = *(u8 *)(r2 + 64)",
        "r0 = *(u8 *)(r3 + 0)",
        "r0 = *(u8 *)(r2 - 1)",
    ] {
        let stop = stop(&program(insn));
        let Trap::Memory(fault) = stop.trap else {
            panic!("{stop}")
        };
        assert!(
            matches!(
                fault.why,
                Why::OutOfObject {
                    owner: Owner::Packet,
                    ..
                }
            ),
            "{insn}"
        );
    }
}

#[test]
fn a_context_shows_each_type_its_own_fields() {
    let read =
        |ty: &str, off: u32| run(&format!(".prog main {ty}\nr0 = *(u32 *)(r1 + {off})\nexit"));
    // `tc_classid` is traffic control's, `data` is not the socket filter's.
    assert!(read("sched_cls", 72).is_ok());
    assert!(read("socket_filter", 72).is_err());
    assert!(read("socket_filter", 76).is_err());
    assert!(run(".prog main sched_cls\n*(u32 *)(r1 + 8) = 7\nr0 = *(u32 *)(r1 + 8)\nexit").is_ok());
    assert!(run(".prog main socket_filter\n*(u32 *)(r1 + 8) = 7\nr0 = 0\nexit").is_err());
}

#[test]
fn fields_that_the_kernel_narrows_are_narrowed() {
    let source = "
    .prog main sched_cls
        w2 = 0x12345
        *(u32 *)(r1 + 44) = r2
        r0 = *(u32 *)(r1 + 44)
        exit";
    assert_eq!(run(source).unwrap().output.r0, 0x2345);
}

#[test]
fn misaligned_atomics_trap() {
    let (at, fault) = fault("r1 = 1\nlock *(u64 *)(r10 - 12) += r1");
    assert_eq!((at, fault.why), (1, Why::Misaligned));
}

#[test]
fn probe_loads_give_zero_where_nothing_is() {
    let source = ".prog main socket_filter\nr1 = 0\nr0 = *(u32 *)(r1 + 16)\nexit";
    assert!(run(source).is_err());
    let outcome = common::run_with(source, &[1], |_| {});
    assert_eq!(outcome.unwrap().output.r0, 0);
}
