//! Every kind of mistake is told with its line, its column and what would be right.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use skep_asm::{Options, assemble, cases};

/// A source and its errors.
const MISTAKES: [(&str, &str); 56] = [
    (
        "r0 = 0",
        "1:1: code outside of a program: begin one with `.prog NAME TYPE`",
    ),
    (
        "out:",
        "1:1: code outside of a program: begin one with `.prog NAME TYPE`",
    ),
    (
        ".prog p xdp\n    r0 == 1",
        "2:8: expected an assignment (= += -= *= /= s/= |= &= <<= >>= s>>= %= s%= ^=), found `==`",
    ),
    (".prog p xdp\nmow r0, 1", "2:1: unknown instruction `mow`"),
    (".prog p xdp\nr11 = 1", "2:1: unknown instruction `r11`"),
    (
        ".prog p xdp\nr1 = r11",
        "2:6: there is no map or function `r11`",
    ),
    (
        ".prog p xdp\nr1 = w2",
        "2:6: the widths differ: expected `r2`",
    ),
    (
        ".prog p xdp\nw1 += r2",
        "2:7: the widths differ: expected `w2`",
    ),
    (
        ".prog p xdp\nr1 = -r2",
        "2:1: negation works in place: `r1 = -r1`",
    ),
    (
        ".prog p xdp\nr1 = be16 r2",
        "2:1: byte order changes in place: `r1 = be16 r1`",
    ),
    (
        ".prog p xdp\nr1 = 4294967295",
        "2:6: 4294967295 does not fit a sign-extended 32-bit immediate; a 64-bit immediate is written with ` ll` behind it",
    ),
    (
        ".prog p xdp\nr1 += 0x80000000",
        "2:7: 2147483648 does not fit a sign-extended 32-bit immediate",
    ),
    (
        ".prog p xdp\nr1 = 0x10000000000000000 ll",
        "2:6: `0x10000000000000000` is no number of 64 bits",
    ),
    (
        ".prog p xdp\nw1 = 1 ll",
        "2:6: a 64-bit immediate needs a 64-bit register",
    ),
    (
        ".prog p xdp\nr1 = (s32)w1",
        "2:11: the widths differ: expected `r1`",
    ),
    (
        ".prog p xdp\nw1 = (s32)w1",
        "2:7: expected s8, s16, or s32 to a 64-bit register",
    ),
    (
        ".prog p xdp\nr1 = *(u24 *)(r2 + 0)",
        "2:8: `u24` is no access size (u8 … u64, s8 … s32)",
    ),
    (
        ".prog p xdp\nr1 = *(u32 *)(r2 + 40000)",
        "2:18: the offset 40000 does not fit 16 bits",
    ),
    (
        ".prog p xdp\nr1 = *(u32 *)(w2 + 0)",
        "2:15: expected a 64-bit register: `r2`",
    ),
    (
        ".prog p xdp\nw1 = *(u64 *)(r2 + 0)",
        "2:1: this load fills 64 bits: use the `r` register",
    ),
    (
        ".prog p xdp\n*(s8 *)(r2 + 0) = 1",
        "2:1: only loads extend the sign",
    ),
    (
        ".prog p xdp\n*(u8 *)(r2 + 0) += r1",
        "2:1: atomics are u32 or u64",
    ),
    (
        ".prog p xdp\n*(u64 *)(r2 + 0) -= r1",
        "2:18: expected `=`, or an atomic `+=`, `|=`, `&=` or `^=`, found `-=`",
    ),
    (
        ".prog p xdp\nr1 = atomic_fetch_add((u64 *)(r2 + 0), r3)",
        "2:40: the old value goes to the register that held the operand",
    ),
    (
        ".prog p xdp\nr1 = atomic_cmpxchg((u64 *)(r2 + 0), r0, r3)",
        "2:1: cmpxchg compares with r0 and returns to r0",
    ),
    (
        ".prog p xdp\nr1 = atomic64_xchg((u32 *)(r2 + 0), r1)",
        "2:1: `atomic64_` needs `u64 *`",
    ),
    (
        ".prog p xdp\nr1 = *(u8 *)skb[0]",
        "2:1: packet loads go to r0",
    ),
    (
        ".prog p xdp\nr0 = *(u64 *)skb[0]",
        "2:1: packet loads are u8, u16 or u32",
    ),
    (
        ".prog p xdp\ngoto nowhere",
        "2:6: there is no label `nowhere` in `p`",
    ),
    (
        ".prog p xdp\ngoto +32768",
        "2:6: the distance 32768 does not fit 16 bits",
    ),
    (
        ".prog p xdp\nif r1 = 1 goto +0",
        "2:7: expected a comparison (== != > >= < <= & s> s>= s< s<=), found `=`",
    ),
    (
        ".prog p xdp\nif r1 == 1 jump +0",
        "2:12: expected `goto`, found `jump`",
    ),
    (
        ".prog p xdp\ncall frobnicate",
        "2:6: `frobnicate` is no label, function or helper",
    ),
    (
        ".prog p xdp\ncall bpf_map_lookup_elem#2",
        "2:6: the helper `bpf_map_lookup_elem` has the number 1",
    ),
    (".prog p xdp\nr1 = map[m] ll", "2:10: there is no map `m`"),
    (
        ".prog p xdp\nr1 = map_value[m]+4 ll",
        "2:16: there is no map `m`",
    ),
    (
        ".prog p xdp\nr1 = m ll",
        "2:6: there is no map or function `m`",
    ),
    (
        ".prog p xdp\nr1 = func f ll",
        "2:11: there is no label or function `f`",
    ),
    (
        ".prog p xdp\na:\na:\nexit",
        "3:1: the label `a` stands twice in `p`",
    ),
    (
        ".prog p xdp\nr1: exit",
        "2:1: `r1` is a register and cannot be a label",
    ),
    (
        ".prog p xdp\nexit exit",
        "2:6: unexpected `exit` behind the statement",
    ),
    (".prog p xdp\n§", "2:1: unexpected character `§`"),
    (
        ".prog p xdp\n.slot 1 2",
        "2:9: unexpected `2` behind the statement",
    ),
    (".prog p xdq", "1:9: unknown program type `xdq`"),
    (
        ".prog p xdp attach nothing",
        "1:20: unknown attach type `nothing`",
    ),
    (".prog p xdp flags fast", "1:19: unknown flag `fast`"),
    (
        ".prog p xdp speed 3",
        "1:13: `speed` is no attribute of a program",
    ),
    (".prog p xdp\n.prog p xdp", "2:7: `p` is defined twice"),
    (
        ".map m array key 4\n.map m array key 4",
        "2:6: the map `m` is declared twice",
    ),
    (".map m tree", "1:8: unknown map type `tree`"),
    (
        ".map m array key 4 value struct s",
        "1:26: this type has no size: declare it above",
    ),
    (
        ".map m array key 4294967296",
        "1:18: the size is at most 0xffffffff",
    ),
    (
        ".map m array init \"123\"",
        "1:19: two hex digits make a byte, and 16 MiB are the limit",
    ),
    (
        ".map m array init 12",
        "1:19: expected bytes as a quoted string of hex digits, found `12`",
    ),
    (
        ".struct s { int a, struct s b }",
        "1:11: the type of `b` has no size yet: declare it above",
    ),
    (".license \"GPL", "1:10: the quotation mark is not closed"),
];

#[test]
fn mistakes_are_told_where_they_stand() {
    let mut wrong = Vec::new();
    for (source, expected) in MISTAKES {
        let told = match assemble(source, &Options::default()) {
            Ok(_) => "no error".to_owned(),
            Err(errors) => errors.to_string(),
        };
        if told != expected {
            wrong.push(format!(
                "{source}\n  told     {told}\n  expected {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn several_mistakes_are_told_at_once_and_in_order() {
    let source = "\
.prog p xdp
    r1 = mep ll          ; no such map
    if r1 === 2 goto out
    call nothing
    goto nowhere
    exit
";
    let errors = assemble(source, &Options::default()).unwrap_err();
    let lines: Vec<(u32, u32)> = errors.errors().iter().map(|e| (e.line, e.column)).collect();
    assert_eq!(lines, [(2, 10), (3, 13), (4, 10), (5, 10)]);
    assert!(errors.errors().iter().all(|e| e.length > 0));
}

#[test]
fn a_jump_that_does_not_reach_is_an_error() {
    let filler = "r0 = 0\n".repeat(32768);
    let near = format!(".prog p xdp\ngoto out\n{}out: exit\n", &filler[7..]);
    assert!(assemble(&near, &Options::default()).is_ok());
    let far = format!(".prog p xdp\ngoto out\n{filler}out: exit\n");
    let errors = assemble(&far, &Options::default()).unwrap_err().to_string();
    let reach = "a jump reaches 32767 slots (`gotol` reaches further)";
    assert_eq!(errors, format!("2:6: `out` is 32768 slots away; {reach}"));
    assert!(assemble(&far.replace("goto", "gotol"), &Options::default()).is_ok());
}

#[test]
fn mistakes_are_counted_up_to_a_hundred() {
    let source = format!(".prog p xdp\n{}", "bad\n".repeat(10_000));
    assert_eq!(
        assemble(&source, &Options::default())
            .unwrap_err()
            .errors()
            .len(),
        100
    );
}

#[test]
fn functions_cannot_multiply_without_end() {
    let body = "r0 = 0\n".repeat(5000);
    let programs: String = (0..4000)
        .map(|i| format!(".prog p{i} xdp\ncall f\nexit\n"))
        .collect();
    let source = format!(".func f\n{body}{programs}");
    let errors = assemble(&source, &Options::default()).unwrap_err();
    let message = "the programs have more than 16777216 instructions together";
    assert!(
        errors.errors().iter().all(|error| error.message == message),
        "{errors}"
    );
}

#[test]
fn cases_must_claim_once() {
    for (body, expected) in [
        (
            "",
            "3:1: `a` claims nothing: say `; accepted`, `; error: MESSAGE` or `; undecided: FEATURE`",
        ),
        ("    ; accepted\n    ; error: x\n", "5:1: `a` claims twice"),
    ] {
        let source = format!(".cases xdp\n\na:\n{body}    exit\n");
        assert_eq!(
            cases::parse(&source, &Options::default())
                .unwrap_err()
                .to_string(),
            expected
        );
    }
    let source = ".cases xdp\n.func f\n    exit  ; error: x\na: ; accepted\n    call f\n    exit\n";
    let errors = cases::parse(source, &Options::default())
        .unwrap_err()
        .to_string();
    assert_eq!(errors, "3:1: claims stand in cases, not in functions");
}
