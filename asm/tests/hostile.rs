//! No text makes the assembler panic, and no program the disassembler.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use skep_asm::{Options, assemble, assemble_program, cases, disassemble_program, write_elf};
use skep_isa::RawInsn;
use skep_spec::{MapSpec, MapType, ProgType, ProgramSpec};

/// A source with something of everything.
const VALID: &str = r#"
.license "Dual BSD/GPL"
.struct lock { u32 val }
.struct elem { struct lock l, u64 count, struct elem __kptr *next, char name[16] } align 16
.map m hash key u32 value struct elem entries 16 flags no_prealloc
.map d array key 4 value 8 entries 1 rdonly_prog frozen init "01 02 03 04 05 06 07 08"
.map o array_of_maps key 4 value 4 entries 2 slots 0=m inner array key 4 value 8 entries 1
.global int sum(struct xdp_md *ctx, struct elem *e __arg_nonnull, u32 n)
    r0 = r3
    exit
.prog first xdp attach xdp_devmap flags xdp_has_frags license GPL tag "a:b" maps m,d
    r6 = r1
    *(u64 *)(r10 - 8) = 0
    r2 = r10
    r2 += -8
    r1 = map[m] ll
    call bpf_map_lookup_elem
    if r0 == 0 goto out ; R0=map_value_or_null
    r1 = r6
    r2 = r0
    r3 = 7
    call sum
    r3 = map_value[d]+4 ll
    lock *(u64 *)(r10 - 8) += r3
    r3 = atomic64_fetch_add((u64 *)(r10 - 8), r3)
    w3 = (s8)w3
    r4 = func callback ll
    may_goto out
    .slot 0xb700000001000000
    7: (85) call pc+1
out:
    exit
callback:
    r0 = 0x1122334455667788 ll
    exit
"#;

fn try_everything(text: &str) {
    let debug = Options {
        file_name: "x.s".to_owned(),
        debug_info: true,
        ..Options::default()
    };
    for options in [Options::default(), debug] {
        if let Ok(object) = assemble(text, &options) {
            let _ = write_elf(&object, object.btf.as_deref());
            for program in &object.programs {
                let _ = disassemble_program(program);
            }
        }
        let _ = assemble_program("p", ProgType::Xdp, text, &options);
        let _ = cases::parse(&format!(".cases xdp\n{text}"), &options);
    }
}

#[test]
fn the_source_that_is_mutated_is_valid() {
    let options = Options {
        debug_info: true,
        ..Options::default()
    };
    let object = assemble(VALID, &options).unwrap();
    assert_eq!(object.programs[0].func_info.len(), 3);
}

/// Program text made of fragments that mean something to the assembler.
fn fragments() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "r0",
        "r10",
        "w3",
        "r1 = ",
        "*(u32 *)(",
        ")",
        "goto ",
        "if ",
        "call ",
        "ll",
        "map[",
        "]",
        "exit",
        ".prog ",
        ".map ",
        ".func ",
        ".global ",
        ".struct ",
        ".cases ",
        "xdp",
        "hash",
        "key ",
        "value ",
        "inner ",
        "init ",
        "\"",
        "\"00\"",
        "{",
        "}",
        ",",
        "int ",
        "struct s ",
        "*",
        "[4]",
        "s>>=",
        "-",
        "0x7fffffff",
        "4294967296",
        "99999999999999999999",
        "label",
        "label:",
        ":",
        "\n",
        "\n",
        "    ",
        "; error: x",
        "#1",
        "pc+1",
        "+32767",
        "&",
        "skb[",
        "lock ",
        "atomic64_xchg((u64 *)(r1 + 0), r2)",
        "func ",
        "ksym x",
        "kfunc f",
        "btf:1",
        "5: (b7) ",
        "é",
        "\u{0}",
        "slots 0=",
        ".slot 0x",
        "proto int f(",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_assembles_or_fails(text in ".{0,200}") {
        try_everything(&text);
    }

    #[test]
    fn any_fragments_assemble_or_fail(text in fragments()) {
        try_everything(&text);
    }

    #[test]
    fn a_damaged_source_assembles_or_fails(
        cuts in prop::collection::vec((0usize..2000, 0usize..40, ".{0,5}"), 1..6),
    ) {
        let mut chars: Vec<char> = VALID.chars().collect();
        for (at, length, insert) in cuts {
            let at = at % chars.len().max(1);
            let end = (at + length).min(chars.len());
            chars.splice(at.min(end)..end, insert.chars());
        }
        try_everything(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn any_slots_survive_disassembly(
        slots in prop::collection::vec((any::<u8>(), 0u8..16, 0u8..16, -4i16..8, -4i32..12), 0..40),
        maps in 0usize..4,
    ) {
        let insns = slots.into_iter().map(|(c, d, s, o, i)| RawInsn::new(c, d, s, o, i)).collect();
        let mut program = ProgramSpec::new("p", ProgType::Xdp, insns);
        for i in 0..maps {
            let map = MapSpec::new(&format!("m {i}"), MapType::Array, 4, 8, i as u32);
            program.maps.push(std::sync::Arc::new(map));
        }
        let text = disassemble_program(&program);
        let copy = assemble(&text, &Options::default()).map_err(|e| {
            TestCaseError::fail(format!("{e}\n{text}"))
        })?;
        prop_assert_eq!(&copy.programs[0].insns, &program.insns, "{}", text);
        let _ = write_elf(&copy, None);
        let names = |p: &ProgramSpec| p.maps.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        prop_assert_eq!(names(&copy.programs[0]), names(&program), "{}", text);
    }

    #[test]
    fn any_names_survive_disassembly(name in any::<String>(), map in any::<String>()) {
        let mut program = ProgramSpec::new(&name, ProgType::Xdp, Vec::new());
        program.license = map.clone();
        program.section = name.clone();
        program.maps.push(std::sync::Arc::new(MapSpec::new(&map, MapType::Array, 4, 8, 1)));
        let text = disassemble_program(&program);
        let copy = assemble(&text, &Options::default()).map_err(|e| {
            TestCaseError::fail(format!("{e}\n{text}"))
        })?;
        let _ = write_elf(&copy, None);
        let copy = &copy.programs[0];
        prop_assert_eq!((&copy.name, &copy.section, &copy.license), (&name, &name, &map));
        prop_assert_eq!(&copy.maps[0].name, &map);
    }
}
