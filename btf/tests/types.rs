//! Every kind, written and read back, in both byte orders; walks; names; drawings.

use skep_btf::{
    Btf, BtfBuilder, Endian, ErrorKind, FuncLinkage, IntEncoding, Kind, Type, TypeId, VarLinkage,
    VarSecInfo,
};
use std::sync::Arc;

/// One type of every kind.
fn every_kind(endian: Endian) -> Btf {
    let mut b = BtfBuilder::with_endian(endian);
    let int = b.int("int", 4, IntEncoding::SIGNED); // 1
    let ptr = b.ptr(int); // 2
    b.array(int, int, 4); // 3
    b.structure(
        "pair",
        8,
        &[("a", int, 0, 3), ("b", int, 3, 5), ("c", int, 32, 0)],
    ); // 4
    b.union("either", 8, &[("i", int, 0, 0), ("p", ptr, 0, 0)]); // 5
    b.enumeration("sign", 4, true, &[("NEG", -1), ("POS", 1)]); // 6
    b.fwd("later", true); // 7
    b.typedef("int_t", int); // 8
    b.volatile(int); // 9
    b.constant(int); // 10
    b.restrict(ptr); // 11
    let proto = b.func_proto(int, &[("x", ptr), ("", TypeId::VOID)]); // 12
    b.func("f", proto, FuncLinkage::Global); // 13
    let var = b.var("v", int, VarLinkage::Static); // 14
    b.datasec(
        ".data",
        8,
        &[VarSecInfo {
            ty: var,
            offset: 4,
            size: 4,
        }],
    ); // 15
    b.float("double", 8); // 16
    b.decl_tag("contains", TypeId(4), Some(1)); // 17
    b.type_tag("user", int); // 18
    b.enumeration64("wide", 8, false, &[("BIG", 1 << 63 | 5)]); // 19
    Btf::parse(b.to_bytes()).expect("built types are sound")
}

#[test]
fn every_kind_reads_back_in_both_byte_orders() {
    for endian in [Endian::Little, Endian::Big] {
        let btf = every_kind(endian);
        assert_eq!(btf.endian(), endian);
        assert_eq!(btf.end(), 20);
        let kinds: Vec<u8> = btf.types().map(|(_, ty)| ty.kind() as u8).collect();
        assert_eq!(
            kinds,
            [
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 12, 14, 15, 16, 17, 18, 19
            ]
        );
        let ty = |id| btf.ty(TypeId(id)).unwrap();

        let int = ty(1).as_int().unwrap();
        assert_eq!(
            (int.name(), int.size, int.bits, int.offset),
            ("int", 4, 32, 0)
        );
        assert!(int.is_signed() && !int.encoding.is_bool() && !int.encoding.is_char());
        assert_eq!(ty(2).as_ptr(), Some(TypeId(1)));
        let array = ty(3).as_array().unwrap();
        assert_eq!(
            (array.elem, array.index, array.nelems),
            (TypeId(1), TypeId(1), 4)
        );

        let pair = ty(4).as_struct().unwrap();
        let members: Vec<_> = pair
            .members
            .iter()
            .map(|m| (m.name(), m.bit_offset, m.bitfield_size))
            .collect();
        assert_eq!(members, [("a", 0, 3), ("b", 3, 5), ("c", 32, 0)]);
        assert_eq!(pair.members.iter().next_back().unwrap().name(), "c");
        assert!(ty(5).as_composite().unwrap().is_union && ty(5).as_struct().is_none());

        let sign = ty(6).as_enum().unwrap();
        assert!(sign.signed);
        assert_eq!(sign.values.first().unwrap().value as i64, -1);
        assert!(matches!(ty(7), Type::Fwd(f) if f.is_union && f.name() == "later"));
        let proto = ty(12).as_func_proto().unwrap();
        assert!(proto.is_variadic());
        assert_eq!(proto.params.get(0).unwrap().name(), "x");
        let func = ty(13).as_func().unwrap();
        assert_eq!(
            (func.name(), func.proto, func.linkage),
            ("f", TypeId(12), FuncLinkage::Global)
        );
        assert_eq!(ty(14).as_var().unwrap().linkage, VarLinkage::Static);
        let section = ty(15).as_datasec().unwrap();
        assert_eq!((section.name(), section.size), (".data", 8));
        assert_eq!(
            section.vars.first(),
            Some(VarSecInfo {
                ty: TypeId(14),
                offset: 4,
                size: 4
            })
        );
        assert!(matches!(ty(16), Type::Float(f) if f.size == 8));
        let tag = ty(17).as_decl_tag().unwrap();
        assert_eq!(
            (tag.name(), tag.ty, tag.component),
            ("contains", TypeId(4), Some(1))
        );
        let wide = ty(19).as_enum().unwrap();
        assert_eq!(wide.values.last().unwrap().value, 1 << 63 | 5);
        assert!(btf.ty(TypeId(20)).is_err());
    }
}

#[test]
fn names_find_the_first_type_of_their_kind() {
    let mut b = BtfBuilder::new();
    let int = b.int("twin", 4, IntEncoding::SIGNED);
    let first = b.typedef("twin", int);
    let second = b.typedef("twin", int);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    assert_eq!(btf.find_by_name(Kind::Typedef, "twin"), Some(first));
    assert_eq!(
        btf.find_all(Kind::Typedef, "twin").collect::<Vec<_>>(),
        [first, second]
    );
    assert_eq!(btf.named("twin").count(), 3);
    assert_eq!(btf.find_by_name(Kind::Struct, "twin"), None);
    assert_eq!(btf.find_by_name(Kind::Typedef, "twi"), None);
    assert_eq!(btf.find_by_name(Kind::Ptr, ""), None);
}

#[test]
fn split_btf_continues_its_base() {
    let base = Arc::new(every_kind(Endian::Little));
    let mut b = BtfBuilder::split(&base);
    let next = b.ptr(TypeId(4));
    let own = b.structure("own", 8, &[("p", next, 0, 0)]);
    b.decl_tag("mine", TypeId(4), None);
    let btf = Btf::parse_split(b.to_bytes(), Arc::clone(&base)).unwrap();
    assert_eq!((btf.start(), btf.end(), next), (20, 23, TypeId(20)));
    assert_eq!(btf.type_name(next), "struct pair *");
    assert_eq!(btf.find_by_name(Kind::Struct, "own"), Some(own));
    assert_eq!(btf.find_by_name(Kind::Struct, "pair"), Some(TypeId(4)));
    assert!(btf.has_decl_tag(TypeId(4), "mine"));
    assert_eq!(
        btf.component_tags(TypeId(4), 1).next().unwrap().name(),
        "contains"
    );
    assert_eq!(base.find_by_name(Kind::Struct, "own"), None);
    // Alone, its ids and strings point nowhere.
    assert!(Btf::parse(b.to_bytes()).is_err());
}

#[test]
fn sizes_follow_typedefs_and_multiply_arrays() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let row = b.array(int, int, 3);
    let alias = b.typedef("row_t", row);
    let qualified = b.constant(alias);
    let grid = b.array(qualified, int, 5);
    let huge = b.array(grid, int, u32::MAX);
    let fwd = b.fwd("gone", false);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    assert_eq!(btf.size_of(grid), Ok(60));
    assert_eq!(btf.size_of(huge).unwrap_err().kind, ErrorKind::SizeOverflow);
    assert_eq!(btf.size_of(fwd).unwrap_err().kind, ErrorKind::NoSize);
    assert_eq!(
        btf.size_of(TypeId::VOID).unwrap_err().kind,
        ErrorKind::NoSize
    );
    assert_eq!(btf.skip_mods(qualified), Ok(alias));
    assert_eq!(btf.skip_mods_and_typedefs(qualified), Ok(row));
    assert_eq!(btf.align_of(grid), Ok(4));
}

#[test]
fn types_in_a_circle_are_errors() {
    let mut b = BtfBuilder::new();
    let a = b.typedef("a", TypeId(2));
    let c = b.constant(a);
    let array = b.array(TypeId(3), TypeId(3), 1);
    let own = b.structure("own", 4, &[("", TypeId(4), 0, 0), ("", TypeId(4), 0, 0)]);
    let ptr = b.ptr(TypeId(5));
    let proto = b.func_proto(TypeId(6), &[("f", TypeId(6)), ("g", TypeId(6))]);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    for id in [a, c] {
        assert_eq!(
            btf.skip_mods_and_typedefs(id).unwrap_err().kind,
            ErrorKind::TooDeep
        );
        assert_eq!(btf.size_of(id).unwrap_err().kind, ErrorKind::TooDeep);
    }
    assert_eq!(btf.skip_mods(c), Ok(a));
    assert_eq!(btf.size_of(array).unwrap_err().kind, ErrorKind::TooDeep);
    assert_eq!(btf.member(own, "x").unwrap_err().kind, ErrorKind::TooDeep);
    assert_eq!(btf.align_of(own).unwrap_err().kind, ErrorKind::TooDeep);
    for id in [a, array, own, ptr, proto] {
        assert!(!btf.type_name(id).is_empty());
        assert!(!btf.draw(id).is_empty());
    }
}

#[test]
fn members_are_found_inside_anonymous_types() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let inner = b.structure("", 8, &[("x", int, 0, 0), ("y", int, 32, 0)]);
    let either = b.union("", 8, &[("", inner, 0, 0), ("z", int, 0, 0)]);
    let alias = b.typedef("either_t", either);
    let outer = b.structure("outer", 12, &[("head", int, 0, 0), ("", alias, 32, 0)]);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    let y = btf.member(outer, "y").unwrap().unwrap();
    assert_eq!((y.bit_offset, y.parent, y.index), (64, inner, 1));
    assert_eq!(btf.member(outer, "z").unwrap().unwrap().bit_offset, 32);
    assert!(btf.member(outer, "w").unwrap().is_none());
    assert_eq!(btf.align_of(outer), Ok(4));
    assert_eq!(
        btf.draw_layout(outer),
        "struct outer {\n\tint head; /* 0 4 */\n\tunion {\n\t\tstruct {\n\t\t\tint x; /* 4 4 */\n\
         \t\t\tint y; /* 8 4 */\n\t\t}; /* 4 8 */\n\t\tint z; /* 4 4 */\n\t}; /* 4 8 */\n};\n"
    );
}

#[test]
fn packed_structs_align_to_one() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let byte = b.int("char", 1, IntEncoding::CHAR);
    let packed = b.structure("p", 5, &[("c", byte, 0, 0), ("i", int, 8, 0)]);
    let padded = b.structure("q", 8, &[("c", byte, 0, 0), ("i", int, 32, 0)]);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    assert_eq!((btf.align_of(packed), btf.align_of(padded)), (Ok(1), Ok(4)));
}

#[test]
fn declarations_read_as_c_does() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let task = b.structure("task", 8, &[]);
    let task_ptr = b.ptr(task);
    let const_int = b.constant(int);
    let ptr_to_const = b.ptr(const_int);
    let const_ptr = b.constant(task_ptr);
    let proto = b.func_proto(TypeId::VOID, &[("t", task_ptr), ("n", int)]);
    let callback = b.ptr(proto);
    let table = b.array(callback, int, 4);
    let array = b.array(int, int, 2);
    let array_ptr = b.ptr(array);
    let tagged = b.type_tag("user", int);
    let user_ptr = b.ptr(tagged);
    let maker = b.func_proto(callback, &[("p", user_ptr), ("", TypeId::VOID)]);
    let func = b.func("make", maker, FuncLinkage::Extern);
    let nothing = b.func_proto(int, &[]);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    let cases = [
        (task_ptr, "t", "struct task *t"),
        (ptr_to_const, "p", "const int *p"),
        (const_ptr, "p", "struct task *const p"),
        (table, "ops", "void (*ops[4])(struct task *t, int n)"),
        (array_ptr, "a", "int (*a)[2]"),
        (array, "", "int[2]"),
        (nothing, "f", "int f(void)"),
        (TypeId::VOID, "", "void"),
        (
            user_ptr,
            "u",
            "__attribute__((btf_type_tag(\"user\"))) int *u",
        ),
    ];
    for (id, name, want) in cases {
        assert_eq!(btf.declare(id, name), want);
    }
    assert_eq!(btf.type_name(user_ptr), "int *");
    assert_eq!(btf.pointer_tags(user_ptr).collect::<Vec<_>>(), ["user"]);
    assert_eq!(
        btf.draw(func),
        "void (*make(__attribute__((btf_type_tag(\"user\"))) int *p, ...))\
         (struct task *t, int n);\n"
    );
    assert_eq!(btf.prototype(callback).unwrap().params.len(), 2);
    assert!(btf.prototype(int).is_err());
}

#[test]
fn corrections_keep_ids_and_strings() {
    let btf = every_kind(Endian::Big);
    let mut b = BtfBuilder::from_btf(&btf);
    assert_eq!(b.to_bytes(), btf.bytes());
    let var = VarSecInfo {
        ty: TypeId(14),
        offset: 16,
        size: 4,
    };
    assert!(b.set_datasec(TypeId(15), 32, &[var]));
    assert!(b.set_func_linkage(TypeId(13), FuncLinkage::Static));
    assert!(b.set_var(TypeId(14), TypeId(8), VarLinkage::Global));
    assert!(!b.set_datasec(TypeId(13), 32, &[var]));
    assert!(!b.set_func_linkage(TypeId(99), FuncLinkage::Static));
    let added = b.ptr(TypeId(4));
    let new = Btf::parse(b.to_bytes()).unwrap();
    let section = new.ty(TypeId(15)).unwrap().as_datasec().unwrap();
    assert_eq!((section.size, section.vars.first()), (32, Some(var)));
    assert_eq!(
        new.ty(TypeId(13)).unwrap().as_func().unwrap().linkage,
        FuncLinkage::Static
    );
    assert_eq!(new.ty(TypeId(14)).unwrap().as_var().unwrap().ty, TypeId(8));
    assert_eq!(new.type_name(added), "struct pair *");
}

#[test]
fn a_btf_is_shared_between_threads() {
    let btf = Arc::new(every_kind(Endian::Little));
    let found: Vec<_> = (0..4)
        .map(|_| {
            let btf = Arc::clone(&btf);
            std::thread::spawn(move || btf.find_by_name(Kind::Struct, "pair"))
        })
        .map(|t| t.join().unwrap())
        .collect();
    assert_eq!(found, [Some(TypeId(4)); 4]);
}
