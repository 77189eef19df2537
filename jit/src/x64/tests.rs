//! Every form, with every register and kind of operand, against a known disassembler.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

use super::{Alu, Asm, Bytes, Cond, Gpr, Mem, Shift, Unary, Wide};

const GPRS: [Gpr; 16] = [
    Gpr::Rax,
    Gpr::Rcx,
    Gpr::Rdx,
    Gpr::Rbx,
    Gpr::Rsp,
    Gpr::Rbp,
    Gpr::Rsi,
    Gpr::Rdi,
    Gpr::R8,
    Gpr::R9,
    Gpr::R10,
    Gpr::R11,
    Gpr::R12,
    Gpr::R13,
    Gpr::R14,
    Gpr::R15,
];
const WIDTHS: [Wide; 2] = [Wide::D, Wide::Q];
const SIZES: [Bytes; 4] = [Bytes::B1, Bytes::B2, Bytes::B4, Bytes::B8];
const IMMS: [i32; 6] = [1, -1, 127, 128, i32::MIN, i32::MAX];

/// The text of code that starts at address 0.
fn text(code: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_hex_prefix("0x");
    formatter.options_mut().set_hex_suffix("");
    formatter.options_mut().set_uppercase_hex(false);
    formatter
        .options_mut()
        .set_space_after_operand_separator(true);
    formatter
        .options_mut()
        .set_small_hex_numbers_in_decimal(false);
    formatter
        .options_mut()
        .set_add_leading_zero_to_hex_numbers(false);
    formatter.options_mut().set_signed_immediate_operands(true);
    let mut lines = Vec::new();
    while decoder.can_decode() {
        let mut line = String::new();
        let insn = decoder.decode();
        assert!(!insn.is_invalid(), "{code:02x?}");
        formatter.format(&insn, &mut line);
        lines.push(line);
    }
    lines
}

/// One instruction must read like that.
fn check(emit: impl FnOnce(&mut Asm), want: &str) {
    let mut asm = Asm::new(0, 16);
    emit(&mut asm);
    let (code, _) = asm.finish();
    assert_eq!(text(&code), [want], "{code:02x?}");
}

fn name(reg: Gpr, bits: u32) -> String {
    let old = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
    let number = usize::from(reg.number());
    match (old.get(number), bits) {
        (Some(name), 64) => format!("r{name}"),
        (Some(name), 32) => format!("e{name}"),
        (Some(name), 16) => (*name).to_owned(),
        (Some(name), _) if number < 4 => format!("{}l", &name[..1]),
        (Some(name), _) => format!("{name}l"),
        (None, 64) => format!("r{number}"),
        (None, 32) => format!("r{number}d"),
        (None, 16) => format!("r{number}w"),
        (None, _) => format!("r{number}b"),
    }
}

fn wide(reg: Gpr, w: Wide) -> String {
    name(reg, if w == Wide::Q { 64 } else { 32 })
}

fn bits(size: Bytes) -> u32 {
    match size {
        Bytes::B1 => 8,
        Bytes::B2 => 16,
        Bytes::B4 => 32,
        Bytes::B8 => 64,
    }
}

fn ptr(bits: u32) -> &'static str {
    match bits {
        8 => "byte ptr ",
        16 => "word ptr ",
        32 => "dword ptr ",
        _ => "qword ptr ",
    }
}

fn number(value: i64) -> String {
    if value < 0 {
        format!("-{:#x}", value.unsigned_abs())
    } else {
        format!("{value:#x}")
    }
}

fn place(mem: Mem) -> String {
    let mut text = format!("[{}", name(mem.base, 64));
    if let Some((index, scale)) = mem.index {
        text += &format!("+{}", name(index, 64));
        if scale != 0 {
            text += &format!("*{}", 1 << scale);
        }
    }
    if mem.disp != 0 {
        let sign = if mem.disp < 0 { '-' } else { '+' };
        text += &format!("{sign}{:#x}", mem.disp.unsigned_abs());
    }
    text + "]"
}

/// Addresses with every base, index, and length of displacement.
fn places() -> Vec<Mem> {
    let mut places = Vec::new();
    for base in GPRS {
        for disp in [0, 8, -128, 127, 128, i32::MIN, i32::MAX] {
            places.push(Mem::new(base, disp));
            for index in GPRS.into_iter().filter(|index| *index != Gpr::Rsp) {
                for scale in 0..4 {
                    places.push(Mem::indexed(base, index, scale, disp));
                }
            }
        }
    }
    places
}

#[test]
fn addresses_are_coded_in_every_shape() {
    for mem in places() {
        let want = format!("lea r9, {}", place(mem));
        check(|asm| asm.lea(Wide::Q, Gpr::R9, mem), &want);
        let want = format!("lea edx, {}", place(mem));
        check(|asm| asm.lea(Wide::D, Gpr::Rdx, mem), &want);
    }
}

#[test]
fn arithmetic_reads_back() {
    let ops = [
        (Alu::Add, "add"),
        (Alu::Or, "or"),
        (Alu::And, "and"),
        (Alu::Sub, "sub"),
        (Alu::Xor, "xor"),
        (Alu::Cmp, "cmp"),
    ];
    let mem = Mem::new(Gpr::R12, 16);
    for (op, text) in ops {
        for w in WIDTHS {
            let size = ptr(if w == Wide::Q { 64 } else { 32 });
            for a in GPRS {
                let left = wide(a, w);
                for b in GPRS {
                    let want = format!("{text} {left}, {}", wide(b, w));
                    check(|asm| asm.alu_rm_r(op, w, a, b), &want);
                }
                let want = format!("{text} {left}, {size}{}", place(mem)).replace(size, "");
                check(|asm| asm.alu_r_m(op, w, a, mem), &want);
                let want = format!("{text} {}, {left}", place(mem));
                check(|asm| asm.alu_rm_r(op, w, mem, a), &want);
                for imm in IMMS {
                    let want = format!("{text} {left}, {}", number(imm.into()));
                    check(|asm| asm.alu_rm_i(op, w, a, imm), &want);
                    let want = format!("{text} {size}{}, {}", place(mem), number(imm.into()));
                    check(|asm| asm.alu_rm_i(op, w, mem, imm), &want);
                }
            }
        }
    }
}

#[test]
fn tests_shifts_and_unary_operations_read_back() {
    let shifts = [
        (Shift::Rol, "rol"),
        (Shift::Shl, "shl"),
        (Shift::Shr, "shr"),
        (Shift::Sar, "sar"),
    ];
    let unary = [
        (Unary::Neg, "neg"),
        (Unary::Div, "div"),
        (Unary::Idiv, "idiv"),
    ];
    for a in GPRS {
        for w in WIDTHS {
            let left = wide(a, w);
            for b in GPRS {
                let right = wide(b, w);
                check(
                    |asm| asm.test_r_r(w, a, b),
                    &format!("test {left}, {right}"),
                );
                check(
                    |asm| asm.imul_r_r(w, a, b),
                    &format!("imul {left}, {right}"),
                );
                check(|asm| asm.mov_r_r(w, a, b), &format!("mov {left}, {right}"));
                let want = format!("cmovb {}, {}", name(a, 64), name(b, 64));
                check(|asm| asm.cmov_r_r(Cond::B, a, b), &want);
                for imm in IMMS {
                    let both = if a == b {
                        left.clone()
                    } else {
                        format!("{left}, {right}")
                    };
                    let want = format!("imul {both}, {}", number(imm.into()));
                    check(|asm| asm.imul_r_r_i(w, a, b, imm), &want);
                }
                let want = format!("rorx {left}, {right}, 0x1d");
                check(|asm| asm.rorx(w, a, b, 29), &want);
                for (op, text) in shifts.into_iter().skip(1) {
                    let want = format!("{text}x {left}, {right}, {}", wide(Gpr::R9, w));
                    check(|asm| asm.shift_x(op, w, a, b, Gpr::R9), &want);
                    let want = format!("{text}x {left}, {}, {right}", wide(Gpr::R9, w));
                    check(|asm| asm.shift_x(op, w, a, Gpr::R9, b), &want);
                }
            }
            for imm in IMMS {
                let want = format!("test {left}, {}", number(imm.into()));
                check(|asm| asm.test_r_i(w, a, imm), &want);
            }
            for (op, text) in shifts {
                check(
                    |asm| asm.shift_i(op, w, a, 13),
                    &format!("{text} {left}, 0xd"),
                );
                check(|asm| asm.shift_cl(op, w, a), &format!("{text} {left}, cl"));
            }
            for (op, text) in unary {
                check(|asm| asm.unary(op, w, a), &format!("{text} {left}"));
            }
            check(|asm| asm.bswap(w, a), &format!("bswap {left}"));
        }
        check(
            |asm| asm.rol16_i(a, 8),
            &format!("rol {}, 0x8", name(a, 16)),
        );
        check(|asm| asm.push(a), &format!("push {}", name(a, 64)));
        check(|asm| asm.pop(a), &format!("pop {}", name(a, 64)));
        check(|asm| asm.call_r(a), &format!("call {}", name(a, 64)));
        check(|asm| asm.jmp_r(a), &format!("jmp {}", name(a, 64)));
    }
    check(|asm| asm.sign_into_rdx(Wide::D), "cdq");
    check(|asm| asm.sign_into_rdx(Wide::Q), "cqo");
    check(Asm::ret, "ret");
}

#[test]
fn immediates_take_the_shortest_move() {
    for a in GPRS {
        let (q, d) = (name(a, 64), name(a, 32));
        check(|asm| asm.mov_r_i(a, 0), &format!("xor {d}, {d}"));
        check(|asm| asm.mov_r_i(a, 7), &format!("mov {d}, 0x7"));
        check(|asm| asm.mov_r_i(a, u64::MAX), &format!("mov {q}, -0x1"));
        let wide = 0x1122_3344_5566_7788;
        check(|asm| asm.mov_r_i(a, wide), &format!("mov {q}, {wide:#x}"));
        let mut asm = Asm::new(0, 16);
        asm.mov_r_i(a, 0xffff_ffff);
        assert_eq!(text(&asm.finish().0), [format!("mov {d}, -0x1")]);
    }
}

#[test]
fn loads_at_a_displacement_read_back() {
    for mem in places().into_iter().filter(|mem| mem.index.is_none()) {
        for (a, size) in GPRS.into_iter().flat_map(|a| SIZES.map(|size| (a, size))) {
            let (n, at) = (bits(size), place(mem));
            let want = if n < 32 {
                format!("movzx {}, {}{at}", name(a, 32), ptr(n))
            } else {
                format!("mov {}, {at}", name(a, n))
            };
            check(|asm| asm.load(size, a, mem), &want);
        }
    }
}

#[test]
fn loads_and_stores_read_back() {
    let mem = Mem::indexed(Gpr::R10, Gpr::R13, 0, 200);
    for a in GPRS {
        for size in SIZES {
            let n = bits(size);
            let to = name(a, n.max(32));
            let at = place(mem);
            let want = if n < 32 {
                format!("movzx {to}, {}{at}", ptr(n))
            } else {
                format!("mov {to}, {at}")
            };
            check(|asm| asm.load(size, a, mem), &want);
            let want = match n {
                64 => format!("mov {to}, {at}"),
                32 => format!("movsxd {}, {at}", name(a, 64)),
                _ => format!("movsx {}, {}{at}", name(a, 64), ptr(n)),
            };
            check(|asm| asm.load_signed(size, Wide::Q, a, mem), &want);
            let want = format!("mov {at}, {}", name(a, n));
            check(|asm| asm.store(size, mem, a), &want);
            check(
                |asm| asm.store_i(size, mem, 0x11),
                &format!("mov {}{at}, 0x11", ptr(n)),
            );
            for b in GPRS {
                let want = match n {
                    64 => format!("mov {}, {}", name(a, 64), name(b, 64)),
                    32 => format!("movsxd {}, {}", name(a, 64), name(b, 32)),
                    _ => format!("movsx {}, {}", name(a, 64), name(b, n)),
                };
                check(|asm| asm.load_signed(size, Wide::Q, a, b), &want);
                if n < 32 {
                    let want = format!("movzx {}, {}", name(a, 32), name(b, n));
                    check(|asm| asm.load(size, a, b), &want);
                    let want = format!("movsx {}, {}", name(a, 32), name(b, n));
                    check(|asm| asm.load_signed(size, Wide::D, a, b), &want);
                }
            }
        }
        for w in WIDTHS {
            let (at, from) = (place(mem), wide(a, w));
            check(|asm| asm.xadd(w, mem, a), &format!("xadd {at}, {from}"));
            check(
                |asm| asm.cmpxchg(w, mem, a),
                &format!("cmpxchg {at}, {from}"),
            );
        }
    }
    let at = Mem::new(Gpr::R12, 128);
    check(|asm| asm.push_m(at), "push qword ptr [r12+0x80]");
    check(|asm| asm.pop_m(at), "pop qword ptr [r12+0x80]");
    check(|asm| asm.call_m(at), "call qword ptr [r12+0x80]");
    check(|asm| asm.jmp_m(at), "jmp qword ptr [r12+0x80]");
}

#[test]
fn jumps_are_short_where_they_reach_and_go_where_they_should() {
    let conds = [
        (Cond::B, "jb"),
        (Cond::Ae, "jae"),
        (Cond::E, "je"),
        (Cond::Ne, "jne"),
        (Cond::Be, "jbe"),
        (Cond::A, "ja"),
        (Cond::L, "jl"),
        (Cond::Ge, "jge"),
        (Cond::Le, "jle"),
        (Cond::G, "jg"),
    ];
    for (cond, text_of) in conds {
        for pad in [
            0, 1, 100, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 300,
        ] {
            let mut asm = Asm::new(2, 16);
            let (back, ahead) = (asm.label(), asm.label());
            asm.bind(back);
            asm.jcc(cond, ahead);
            for _ in 0..pad {
                asm.bytes([0x90]);
            }
            asm.jcc(cond.not(), back);
            asm.jmp(ahead);
            asm.call(back);
            asm.jmp(back);
            asm.bind(ahead);
            asm.ret();
            let (code, labels) = asm.finish();
            let lines: Vec<String> = text(&code)
                .into_iter()
                .filter(|line| line != "nop")
                .collect();
            let end = labels[3];
            assert_eq!(end as usize, code.len() - 1);
            let to = |at: u32| format!("{at:#018x}");
            let first = lines[0].replace("short ", "").replace("near ", "");
            assert_eq!(first, format!("{text_of} {}", to(end)), "{pad}");
            assert!(lines[1].ends_with(&to(0)), "{lines:?}");
            assert!(lines[2].ends_with(&to(end)) && lines[2].starts_with("jmp short"));
            assert!(lines[3].ends_with(&to(0)) && lines[3].starts_with("call"));
            assert!(lines[4].ends_with(&to(0)));
            assert_eq!(lines[4].contains("short"), pad <= 100, "{pad} {lines:?}");
        }
    }
}

#[test]
fn aligned_code_begins_at_a_multiple_of_32_and_jumps_still_arrive() {
    for pad in 0..140 {
        let mut asm = Asm::new(0, 16);
        let (head, ahead) = (asm.label(), asm.label());
        asm.jmp(ahead);
        for _ in 0..pad {
            asm.push(Gpr::Rbx);
        }
        asm.align();
        asm.bind(head);
        asm.pop(Gpr::Rbx);
        asm.jcc(Cond::Ne, head);
        asm.align();
        asm.bind(ahead);
        asm.ret();
        let (code, labels) = asm.finish();
        let [head, ahead] = [labels[0], labels[1]];
        assert_eq!((head % 32, ahead % 32), (0, 0), "{pad}");
        assert_eq!(ahead as usize, code.len() - 1);
        let lines = text(&code);
        let is = |line: &String, what: &str| line.starts_with(what);
        assert_eq!(lines.iter().filter(|l| is(l, "push")).count(), pad);
        // The decoder's word for a `nop` of two bytes is the second one.
        let nop = |l: &String| is(l, "nop") || l == "xchg ax, ax";
        let real = |l: &&String| !is(l, "push") && !nop(l);
        let rest: Vec<_> = lines.iter().filter(real).collect();
        assert_eq!(rest.len(), 4, "{rest:?}");
        assert!(rest[0].ends_with(&format!("{ahead:#018x}")), "{rest:?}");
        assert!(rest[1].starts_with("pop"), "{rest:?}");
        assert!(rest[2].ends_with(&format!("{head:#018x}")), "{rest:?}");
        assert_eq!(rest[3], "ret");
    }
}
