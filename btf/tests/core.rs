//! CO-RE relocations: built types against built kernels.

use skep_btf::{
    Btf, BtfBuilder, CoreError, CoreRelo, CoreReloKind as K, CoreResolver, CoreValue, IntEncoding,
    TypeId, essential_name, types_are_compatible, types_match,
};

/// A program's types; `access` strings are added as asked for.
struct Local {
    builder: BtfBuilder,
}

impl Local {
    fn relo(&mut self, ty: TypeId, access: &str, kind: K) -> CoreRelo {
        let access = self.builder.string(access);
        CoreRelo {
            insn_off: 0,
            ty,
            access,
            kind,
        }
    }

    fn btf(&self) -> Btf {
        Btf::parse(self.builder.to_bytes()).expect("built types are sound")
    }
}

fn kernel(build: impl FnOnce(&mut BtfBuilder)) -> Btf {
    let mut builder = BtfBuilder::new();
    build(&mut builder);
    Btf::parse(builder.to_bytes()).expect("built types are sound")
}

fn answer(local: &Local, target: &Btf, relo: &CoreRelo) -> Result<CoreValue, CoreError> {
    CoreResolver::new(&local.btf(), target).resolve(relo)
}

#[test]
fn flavours_do_not_count() {
    let cases = [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("___x", "___x"),
        ("x___", "x___"),
        ("x____y", "x____y"),
        ("é___ü", "é"),
        ("", ""),
    ];
    for (name, essential) in cases {
        assert_eq!(essential_name(name), essential, "{name}");
    }
}

/// `struct task___mine { int pid; struct { u64 start; }; char comm[8]; }`
fn task() -> (Local, TypeId) {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let long = b.int("long", 8, IntEncoding::UNSIGNED);
    let ch = b.int("char", 1, IntEncoding::CHAR);
    let comm = b.array(ch, int, 8);
    let inner = b.structure("", 8, &[("start", long, 0, 0)]);
    let members = [
        ("pid", int, 0, 0),
        ("", inner, 64, 0),
        ("comm", comm, 128, 0),
    ];
    let id = b.structure("task___mine", 24, &members);
    (Local { builder: b }, id)
}

#[test]
fn fields_are_found_where_the_kernel_has_them() {
    let (mut local, task) = task();
    let kernel = kernel(|b| {
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let long = b.int("long", 8, IntEncoding::UNSIGNED);
        let ch = b.int("char", 1, IntEncoding::CHAR);
        let comm = b.array(ch, int, 16);
        let times = b.union("", 8, &[("other", int, 0, 0), ("start", long, 0, 0)]);
        b.structure(
            "task",
            48,
            &[
                ("", times, 64, 0),
                ("pid", int, 160, 0),
                ("comm", comm, 192, 0),
            ],
        );
    });
    let cases = [
        ("0:0", K::FieldByteOffset, 0, 20),
        ("0:1:0", K::FieldByteOffset, 8, 8),
        ("0:2:3", K::FieldByteOffset, 19, 27),
        ("0:2", K::FieldByteSize, 8, 16),
        ("0:0", K::FieldSigned, 1, 1),
        ("0:1:0", K::FieldSigned, 0, 0),
        ("0:0", K::FieldExists, 1, 1),
        ("0:0", K::FieldLshift, 32, 32),
        ("0:0", K::FieldRshift, 32, 32),
        ("0", K::TypeSize, 24, 48),
        ("0", K::TypeExists, 1, 1),
        ("0", K::TypeIdTarget, u64::from(task.0), 6),
        ("0", K::TypeIdLocal, u64::from(task.0), u64::from(task.0)),
    ];
    for (access, kind, original, new) in cases {
        let relo = local.relo(task, access, kind);
        let value = answer(&local, &kernel, &relo).unwrap();
        assert_eq!(
            (value.original, value.new, value.poison),
            (original, new, false),
            "{access} {kind:?}"
        );
    }
    let relo = local.relo(task, "0:1:0", K::FieldByteOffset);
    assert_eq!(local.btf().core_subject(&relo), "struct task___mine.start");
    let relo = local.relo(task, "0:2:3", K::FieldByteOffset);
    assert_eq!(
        local.btf().core_subject(&relo),
        "struct task___mine.comm[3]"
    );
}

#[test]
fn what_is_missing_poisons_or_is_zero() {
    let (mut local, task) = task();
    let empty = kernel(|b| {
        b.structure("task", 8, &[]);
    });
    let none = kernel(|_| {});
    for target in [&empty, &none] {
        for (kind, access) in [(K::FieldByteOffset, "0:0"), (K::FieldByteSize, "0:0")] {
            let relo = local.relo(task, access, kind);
            assert!(answer(&local, target, &relo).unwrap().poison);
        }
        let relo = local.relo(task, "0:0", K::FieldExists);
        let value = answer(&local, target, &relo).unwrap();
        assert_eq!((value.original, value.new, value.poison), (1, 0, false));
    }
    let relo = local.relo(task, "0", K::TypeExists);
    assert_eq!(answer(&local, &empty, &relo).unwrap().new, 1);
    assert_eq!(answer(&local, &none, &relo).unwrap().new, 0);
}

#[test]
fn candidates_must_agree() {
    let (mut local, task) = task();
    let two = |second: u32| {
        kernel(|b| {
            let int = b.int("int", 4, IntEncoding::SIGNED);
            b.structure("task", 16, &[("pid", int, 32, 0)]);
            b.structure("task___other", 16, &[("pid", int, second, 0)]);
        })
    };
    let relo = local.relo(task, "0:0", K::FieldByteOffset);
    assert_eq!(answer(&local, &two(32), &relo).unwrap().new, 4);
    assert_eq!(answer(&local, &two(64), &relo), Err(CoreError::Ambiguous));
}

#[test]
fn widths_adjust_for_unsigned_integers_only() {
    for (encoding, unadjustable) in [(IntEncoding::UNSIGNED, false), (IntEncoding::SIGNED, true)] {
        let mut b = BtfBuilder::new();
        let short = b.int("u32", 4, encoding);
        let ty = b.structure("s", 4, &[("x", short, 0, 0)]);
        let mut local = Local { builder: b };
        let target = kernel(|b| {
            let long = b.int("u64", 8, encoding);
            b.structure("s", 8, &[("x", long, 0, 0)]);
        });
        let relo = local.relo(ty, "0:0", K::FieldByteOffset);
        let value = answer(&local, &target, &relo).unwrap();
        assert_eq!((value.original_size, value.new_size), (4, 8));
        assert_eq!(value.unadjustable, unadjustable);
    }
}

#[test]
fn bit_fields_are_loaded_by_the_smallest_cover() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let ty = b.structure("s", 8, &[("a", int, 0, 30), ("b", int, 30, 4)]);
    let mut local = Local { builder: b };
    let same = local.btf();
    let cases = [
        (K::FieldByteOffset, 0),
        (K::FieldByteSize, 8),
        (K::FieldLshift, 30),
        (K::FieldRshift, 60),
    ];
    for (kind, want) in cases {
        let relo = local.relo(ty, "0:1", kind);
        assert_eq!(answer(&local, &same, &relo).unwrap().new, want, "{kind:?}");
    }
}

#[test]
fn enumeration_values_match_by_name() {
    let mut b = BtfBuilder::new();
    let e = b.enumeration("e", 4, true, &[("A", 1), ("B___v2", -2)]);
    let mut local = Local { builder: b };
    let target = kernel(|b| {
        b.enumeration64("e", 8, false, &[("B", 1 << 40)]);
    });
    let relo = local.relo(e, "1", K::EnumValue);
    let value = answer(&local, &target, &relo).unwrap();
    assert_eq!((value.original, value.new), (-2i64 as u64, 1 << 40));
    let relo = local.relo(e, "0", K::EnumValue);
    assert!(answer(&local, &target, &relo).unwrap().poison);
    let relo = local.relo(e, "0", K::EnumValueExists);
    assert_eq!(answer(&local, &target, &relo).unwrap().new, 0);
    let relo = local.relo(e, "2", K::EnumValue);
    assert_eq!(answer(&local, &target, &relo), Err(CoreError::BadAccess));
}

#[test]
fn bad_access_strings_are_errors() {
    let (mut local, task) = task();
    let target = local.btf();
    for access in [
        "",
        ":",
        "0:",
        "0:9",
        "x",
        "-1",
        "0:0:0",
        "1:2:9",
        "99999999999",
        "0:2:8",
    ] {
        let relo = local.relo(task, access, K::FieldByteOffset);
        assert!(answer(&local, &target, &relo).is_err(), "{access}");
    }
    let long = vec!["0"; 65].join(":");
    let relo = local.relo(task, &long, K::FieldByteOffset);
    assert_eq!(answer(&local, &target, &relo), Err(CoreError::TooDeep));
}

#[test]
fn compatible_is_looser_than_matching() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let long = b.int("long", 8, IntEncoding::SIGNED);
    let small = b.structure("s", 4, &[("x", int, 0, 0)]);
    let big = b.structure("s", 16, &[("y", long, 0, 0), ("x", int, 64, 0)]);
    let (p_small, p_big) = (b.ptr(small), b.ptr(big));
    let f = b.func_proto(int, &[("a", p_small)]);
    let g = b.func_proto(long, &[("b", p_big)]);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    let compatible = |a, b| types_are_compatible(&btf, a, &btf, b).unwrap();
    let matches = |a, b| types_match(&btf, a, &btf, b).unwrap();
    assert!(compatible(int, long) && !matches(int, long));
    assert!(compatible(small, big) && matches(small, big) && !matches(big, small));
    assert!(matches(p_big, p_small));
    assert!(compatible(f, g) && !matches(f, g));
    assert!(!compatible(int, p_small) && !matches(small, p_small));
}

#[test]
fn circles_and_explosions_end() {
    let mut b = BtfBuilder::new();
    b.ptr(TypeId(1));
    for level in 0..60 {
        let next = TypeId(level * 2 + 5);
        b.ptr(TypeId(level * 2 + 3));
        b.func_proto(next, &[("a", next), ("b", next)]);
    }
    b.ptr(TypeId(1));
    b.ptr(TypeId(1));
    let btf = Btf::parse(b.to_bytes()).unwrap();
    for id in [TypeId(1), TypeId(2)] {
        assert!(types_are_compatible(&btf, id, &btf, id).is_err());
        assert!(types_match(&btf, id, &btf, id).is_err());
    }
}
