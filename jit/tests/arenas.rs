//! Where an arena has no page, loads give 0, and stores and atomic operations are left out, in every engine;
//! everywhere else an access that is wrong is a trap.
//!
//! The arena has four pages, of which the first is allocated and begins with 8 bytes 11 and 8 bytes 22. R1 is
//! the program's address of its first page, R2 that of the second, R3 holds what a miss must not change.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod engines;

use skep_asm::{Options, assemble};
use skep_interp::{Outcome, RunError};
use skep_sim::{Access, RunInput, Sim, Trap, Why};

/// Where user space maps the arena: its first page has the low half of NULL, or NULL is no page's address.
const AT_NULL: u64 = 1 << 44;
const ELSEWHERE: u64 = (1 << 44) + 0x4000_0000;
const PLACES: [u64; 2] = [AT_NULL, ELSEWHERE];

fn run_with(maps: &str, user: u64, body: &str) -> Result<Outcome, RunError> {
    let source = format!(
        "{maps}
.prog main socket_filter
    r1 = {user} ll
    r1 = addr_space_cast(r1, 0, 1)
    r2 = {} ll
    r2 = addr_space_cast(r2, 0, 1)
    r3 = 0x3333333333333333 ll
    r0 = 0x4444444444444444 ll
{body}
    exit
",
        user + 4096
    );
    let object = assemble(&source, &Options::default()).unwrap();
    let input = RunInput::packet(&[0; 64]);
    engines::run_all(&object, &[], &input, skep_jit::BUDGET, |_| {})
}

fn run(user: u64, body: &str) -> Result<Outcome, RunError> {
    let init = "11 11 11 11 11 11 11 11 22 22 22 22 22 22 22 22";
    let arena = ".map ar arena key 0 value 0 entries 4 flags mmapable";
    run_with(
        &format!("{arena} extra {user} init \"{init}\""),
        user,
        &format!("    r4 = ar ll\n{body}"),
    )
}

/// Wherever user space maps the arena, the program returns that.
fn gives(body: &str, r0: u64) {
    for user in PLACES {
        let r0_got = run(user, body).unwrap().output.r0;
        assert_eq!(r0_got, r0, "{user:#x}: {body}");
    }
}

/// The fault that ends the program.
fn fault(user: u64, body: &str) -> skep_sim::Fault {
    let got = run(user, body);
    if let Err(RunError::Stop(stop)) = &got
        && let Trap::Memory(fault) = &stop.trap
    {
        return *fault;
    }
    panic!("{got:?}: {body}")
}

#[test]
fn a_page_that_is_allocated_is_memory() {
    gives("r0 = *(u64 *)(r1 + 8)", 0x2222_2222_2222_2222);
    gives("r0 = *(s8 *)(r1 + 8)", 0x22);
    gives("r0 = load_acquire((u16 *)(r1 + 8))", 0x2222);
    gives("*(u32 *)(r1 + 4092) = 5\nr0 = *(u32 *)(r1 + 4092)", 5);
    gives("*(u64 *)(r1 + 8) = r3\nr0 = *(u8 *)(r1 + 9)", 0x33);
    gives("r0 = *(u32 *)(r2 - 4096)", 0x1111_1111);
}

#[test]
fn a_load_that_misses_the_pages_gives_0() {
    for size in ["u8", "u16", "u32", "u64", "s8", "s16", "s32"] {
        let mut body = "r5 = 0\n".to_owned();
        for place in ["r2 + 0", "r2 + 4088", "r1 - 8", "r1 + 32767", "r1 - 32768"] {
            body += &format!("r0 = *({size} *)({place})\nr5 |= r0\n");
        }
        gives(
            &format!("{body}r2 = *({size} *)(r2 + 32767)\nr0 = r5\nr0 |= r2"),
            0,
        );
    }
    // Partly on a page is not on it.
    gives("r0 = *(u64 *)(r1 + 4092)", 0);
    gives("r0 = *(u64 *)(r1 - 4)", 0);
    gives("r0 = *(u16 *)(r1 + 4095)", 0);
}

#[test]
fn an_acquiring_load_that_misses_leaves_its_register_alone() {
    gives("r0 = load_acquire((u64 *)(r2 + 0))", 0x4444_4444_4444_4444);
    gives("r0 = load_acquire((u32 *)(r2 + 0))", 0x4444_4444_4444_4444);
    // The mirror image.
    gives("r0 = load_acquire((u32 *)(r1 + 0))", 0x1111_1111);
    // Its upper half is not known to be 0.
    gives(
        "r3 = load_acquire((u32 *)(r2 + 0))\nr0 = 64 ll\nr3 /= r0\nr0 = r3",
        0x3333_3333_3333_3333 / 64,
    );
}

#[test]
fn a_store_that_misses_the_pages_is_left_out() {
    for store in [
        "*(u64 *)(r2 + 0) = r3",
        "*(u8 *)(r2 + 0) = r3",
        "*(u32 *)(r2 + 0) = 7",
        "store_release((u64 *)(r2 + 0), r3)",
        "*(u64 *)(r1 - 4) = r3",
        "*(u64 *)(r1 - 32768) = r3",
    ] {
        gives(&format!("{store}\nr0 = *(u64 *)(r2 + 0)"), 0);
        gives(&format!("{store}\nr0 = *(u32 *)(r1 + 0)"), 0x1111_1111);
    }
    // Nothing of it is done, on the page neither.
    gives("*(u64 *)(r1 + 4092) = r3\nr0 = *(u32 *)(r1 + 4092)", 0);
}

#[test]
fn an_atomic_operation_that_misses_leaves_all_registers_alone() {
    for op in [
        "lock *(u64 *)(r2 + 0) += r3",
        "r3 = atomic_fetch_add((u64 *)(r2 + 0), r3)",
        "w3 = atomic_fetch_add((u32 *)(r2 + 0), w3)",
        "r3 = xchg_64(r2 + 0, r3)",
        "w3 = xchg32_32(r2 + 0, w3)",
        "r0 = cmpxchg_64(r2 + 0, r0, r3)",
    ] {
        gives(&format!("{op}\nr0 = r3"), 0x3333_3333_3333_3333);
        gives(&format!("{op}\nr0 ^= 0"), 0x4444_4444_4444_4444);
        gives(&format!("{op}\nr0 = *(u64 *)(r2 + 0)"), 0);
    }
    // A kernel's verifier clears the upper half behind it.
    gives("w0 = cmpxchg32_32(r2 + 0, w0, w3)", 0x4444_4444);
    // What a miss leaves alone has an upper half.
    gives(
        "w3 = atomic_fetch_add((u32 *)(r2 + 0), w3)\nr0 = 64 ll\nr3 /= r0\nr0 = r3",
        0x3333_3333_3333_3333 / 64,
    );
}

#[test]
fn an_atomic_operation_on_a_page_is_done_and_need_not_be_aligned() {
    gives(
        "r3 = atomic_fetch_add((u64 *)(r1 + 0), r3)\nr0 = r3",
        0x1111_1111_1111_1111,
    );
    gives(
        "lock *(u64 *)(r1 + 0) += r3\nr0 = *(u64 *)(r1 + 0)",
        0x4444_4444_4444_4444,
    );
    gives(
        "lock *(u64 *)(r1 + 4) += r3\nr0 = *(u64 *)(r1 + 4)",
        0x5555_5555_4444_4444,
    );
    gives("w0 = cmpxchg32_32(r1 + 6, w0, w3)", 0x2222_1111);
    // Partly on a page.
    gives(
        "lock *(u64 *)(r1 + 4092) += r3\nr0 = *(u32 *)(r1 + 4092)",
        0,
    );
}

#[test]
fn an_access_may_lie_on_two_pages_wherever_guest_memory_is() {
    let maps = ".map ar arena key 0 value 0 entries 4 flags mmapable init \"00\" zeros 4096";
    let run = |body: &str| {
        let body = format!("    r4 = ar ll\n{body}");
        run_with(maps, AT_NULL, &body).unwrap().output.r0
    };
    let across = "*(u64 *)(r2 - 3) = r3\nr0 = *(u64 *)(r2 - 1)";
    let behind = "*(u64 *)(r2 + 4092) = r3\nr0 = *(u32 *)(r2 + 4092)";
    let last = "*(u8 *)(r2 + 4095) = r3\nr0 = *(u8 *)(r2 + 4095)";
    // Kernels beside this one are not at their guests' addresses.
    for neighbours in [0, 1] {
        let _beside: Vec<Sim> = (0..neighbours).map(|_| Sim::new(&[]).unwrap()).collect();
        assert_eq!(run(across), 0x3333_3333_3333);
        assert_eq!(run(behind), 0);
        assert_eq!(run(last), 0x33);
    }
}

#[test]
fn addresses_that_only_a_window_has_are_no_pages() {
    let far = |user: u64, by: i64| {
        let addr = user.wrapping_add_signed(by);
        format!("r2 = {addr} ll\nr2 = addr_space_cast(r2, 0, 1)\n")
    };
    for user in PLACES {
        for by in [4 * 4096, -4096, 1 << 24, 1 << 31, (1 << 32) - 4096] {
            let at = far(user, by);
            for (access, want) in [
                ("r0 = *(u64 *)(r2 + 0)", 0),
                ("*(u64 *)(r2 + 0) = r3\nr0 = *(u64 *)(r2 + 0)", 0),
                ("r0 = cmpxchg_64(r2 + 0, r0, r3)", 0x4444_4444_4444_4444),
                ("r0 = *(u64 *)(r2 - 32768)", 0),
                ("r0 = *(u64 *)(r2 + 32767)", 0),
            ] {
                let got = run(user, &format!("{at}{access}"));
                assert_eq!(got.unwrap().output.r0, want, "{user:#x}{by:+}: {access}");
            }
            // The low half survives the way there and back.
            let got = run(user, &format!("{at}r0 = addr_space_cast(r2, 1, 0)"));
            let low = u64::from(user.wrapping_add_signed(by) as u32);
            let back = if low == 0 { 0 } else { (1 << 44) | low };
            assert_eq!(got.unwrap().output.r0, back, "{user:#x}{by:+}");
        }
    }
}

#[test]
fn null_is_a_place_of_the_window() {
    let null = "r2 = 0\nr2 = addr_space_cast(r2, 0, 1)\n";
    let load = format!("{null}r0 = *(u64 *)(r2 + 8)");
    let first_page = run(AT_NULL, &load).unwrap().output.r0;
    assert_eq!(first_page, 0x2222_2222_2222_2222);
    assert_eq!(run(ELSEWHERE, &load).unwrap().output.r0, 0);
    let test = format!("{null}if r2 == 0 goto null\nr0 = 1\nexit\nnull:\nr0 = 2");
    assert_eq!(run(ELSEWHERE, &test).unwrap().output.r0, 2);
}

#[test]
fn what_lies_outside_of_the_window_is_a_trap() {
    for (addr, why) in [
        (8u64, Why::NotMemory),
        (0x7fff_ffff_f000, Why::NotMemory),
        (0xffff_ffef_ffff_0000, Why::NotMemory),
    ] {
        for (access, kind) in [
            ("r0 = *(u64 *)(r2 + 0)", Access::Read),
            ("*(u64 *)(r2 + 0) = r3", Access::Write),
            ("lock *(u64 *)(r2 + 0) += r3", Access::Atomic),
        ] {
            let fault = fault(AT_NULL, &format!("r2 = {addr} ll\n{access}"));
            assert_eq!((fault.addr, fault.why, fault.access), (addr, why, kind));
        }
    }
    // NULL is no arena's address where the cast gives another one.
    assert_eq!(fault(AT_NULL, "r2 = 0\nr0 = *(u8 *)(r2 + 0)").addr, 0);
    // Elsewhere atomic operations must be aligned.
    let stack = "*(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 8) = 0\n";
    for base in ["r10 - 12", "r2 + 4"] {
        let op = format!("{stack}r2 = r10\nr2 += -16\nlock *(u64 *)({base}) += r3");
        assert_eq!(fault(AT_NULL, &op).why, Why::Misaligned);
    }
}

#[test]
fn a_program_without_the_arena_has_no_window() {
    for addr in [
        0u64,
        8,
        skep_sim::layout::ABSENT,
        skep_sim::layout::ABSENT + 4096,
    ] {
        let source = format!("    r1 = {addr} ll\n    r0 = *(u64 *)(r1 + 0)\n");
        let source = format!(".prog main socket_filter\n{source}    exit\n");
        let object = assemble(&source, &Options::default()).unwrap();
        let input = RunInput::packet(&[0; 64]);
        let got = engines::run_all(&object, &[], &input, skep_jit::BUDGET, |_| {});
        assert!(
            matches!(got, Err(RunError::Stop(ref stop)) if matches!(stop.trap, Trap::Memory(_))),
            "{got:?}"
        );
    }
}
