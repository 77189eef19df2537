//! What kernels refuse: one broken rule each, in otherwise sound types.

use skep_btf::{
    Btf, BtfBuilder, ErrorKind, FuncLinkage, IntEncoding, TypeId, VarLinkage, VarSecInfo,
};

/// The verdict on a 4-byte integer (type 1) and what `add` makes.
fn verdict<R>(add: impl FnOnce(&mut BtfBuilder, TypeId) -> R) -> Result<(), (u32, ErrorKind)> {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    add(&mut b, int);
    let btf = Btf::parse(b.to_bytes()).expect("readable types");
    btf.check_for_kernel()
        .map_err(|e| (e.id.map_or(0, |id| id.0), e.kind))
}

fn refused(rule: &'static str) -> Result<(), (u32, ErrorKind)> {
    Err((2, ErrorKind::Refused(rule)))
}

#[test]
fn ordinary_types_pass() {
    let result = verdict(|b, int| {
        let node = TypeId(4);
        let ptr = b.ptr(node);
        let array = b.array(int, int, 4);
        let members = [
            ("next", ptr, 0, 0),
            ("data", array, 64, 0),
            ("a", int, 192, 3),
            ("b", int, 195, 5),
        ];
        b.structure("node", 32, &members);
        let c = b.constant(node);
        let tag = b.type_tag("kptr", c);
        b.typedef("node_t", node);
        b.ptr(tag);
        let proto = b.func_proto(int, &[("n", ptr), ("", TypeId::VOID)]);
        let func = b.func("walk", proto, FuncLinkage::Global);
        b.decl_tag("arg:ctx", func, Some(0));
        let var = b.var("v", int, VarLinkage::Global);
        b.datasec(
            ".data",
            8,
            &[VarSecInfo {
                ty: var,
                offset: 4,
                size: 4,
            }],
        );
        b.enumeration("e", 4, true, &[("A", -1)]);
        b.float("double", 8);
        b.fwd("later", false);
        let nothing = b.ptr(TypeId::VOID);
        b.func_proto(TypeId::VOID, &[("", nothing)]);
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn names_must_be_identifiers() {
    assert_eq!(
        verdict(|b, int| b.typedef("a b", int)),
        refused("Invalid name")
    );
    assert_eq!(
        verdict(|b, int| b.typedef("", int)),
        refused("Invalid name")
    );
    assert_eq!(
        verdict(|b, _| b.structure("1st", 0, &[])),
        refused("Invalid name")
    );
    assert_eq!(verdict(|b, _| b.structure(".ok.1", 0, &[])), Ok(()));
    assert_eq!(
        verdict(|b, int| b.decl_tag("", int, None)),
        refused("Invalid value")
    );
    assert_eq!(
        verdict(|b, _| b.datasec("", 4, &[])),
        refused("Invalid name")
    );
    assert_eq!(verdict(|b, _| b.datasec("?.x/y", 4, &[])), Ok(()));
    let long = "x".repeat(513);
    assert_eq!(
        verdict(|b, _| b.structure(&long, 0, &[])),
        refused("Invalid name")
    );
}

#[test]
fn functions_name_their_parameters() {
    let result = verdict(|b, int| {
        let proto = b.func_proto(int, &[("a", int), ("", int)]);
        b.func("f", proto, FuncLinkage::Static);
    });
    assert_eq!(result, Err((3, ErrorKind::RefusedArg(2))));
    let result = verdict(|b, int| b.func_proto(int, &[("rest", TypeId::VOID)]));
    assert_eq!(result, Err((2, ErrorKind::RefusedArg(1))));
    let result = verdict(|b, int| b.func("f", int, FuncLinkage::Static));
    assert_eq!(result, refused("Invalid type_id"));
    let result = verdict(|b, int| {
        let proto = b.func_proto(int, &[]);
        b.func("f", proto, FuncLinkage::Extern);
    });
    assert_eq!(result, Err((3, ErrorKind::Refused("Invalid func linkage"))));
}

#[test]
fn members_lie_within_their_struct() {
    let one =
        |size, off, width| verdict(|b, int| b.structure("s", size, &[("x", int, off, width)]));
    assert_eq!(one(4, 0, 0), Ok(()));
    assert_eq!(one(3, 0, 0), refused("Member exceeds struct_size"));
    assert_eq!(one(8, 40, 0), refused("Member exceeds struct_size"));
    assert_eq!(
        one(4, 40, 0),
        refused("Member bits_offset exceeds its struct size")
    );
    assert_eq!(one(4, 31, 1), Ok(()));
    assert_eq!(one(8, 0, 33), refused("Invalid member bitfield_size"));
    let two = |a, b_off| {
        verdict(|b, int| b.structure("s", 16, &[("a", int, a, 0), ("b", int, b_off, 0)]))
    };
    assert_eq!(two(32, 0), refused("Invalid member bits_offset"));
    assert_eq!(
        verdict(|b, int| b.union("u", 8, &[("a", int, 32, 0)])),
        refused("Invalid member bits_offset")
    );
    let fwd = verdict(|b, _| {
        b.structure("s", 4, &[("x", TypeId(3), 0, 0)]);
        b.fwd("x", false);
    });
    assert_eq!(fwd, refused("Invalid member"));
}

#[test]
fn sections_hold_variables_in_order() {
    let section = |size, offset, len| {
        verdict(|b, int| {
            b.datasec(
                ".data",
                size,
                &[VarSecInfo {
                    ty: TypeId(3),
                    offset,
                    size: len,
                }],
            );
            b.var("v", int, VarLinkage::Static);
        })
    };
    assert_eq!(section(4, 0, 4), Ok(()));
    assert_eq!(section(0, 0, 4), refused("size == 0"));
    assert_eq!(section(4, 4, 4), refused("Invalid offset"));
    assert_eq!(section(8, 6, 4), refused("Invalid offset+size"));
    assert_eq!(section(4, 0, 0), refused("Invalid size"));
    assert_eq!(section(4, 0, 2), refused("Invalid size"));
    let result = verdict(|b, int| b.var("v", int, VarLinkage::Extern));
    assert_eq!(result, refused("Linkage not supported"));
    let result = verdict(|b, _| b.var("v", TypeId::VOID, VarLinkage::Static));
    assert_eq!(result, refused("Invalid type_id"));
}

#[test]
fn circles_are_refused_unless_they_pass_a_pointer() {
    let result = verdict(|b, _| b.structure("s", 8, &[("x", TypeId(2), 0, 0)]));
    assert_eq!(result, refused("Loop detected"));
    assert_eq!(
        verdict(|b, _| b.constant(TypeId(2))),
        refused("Loop detected")
    );
    assert_eq!(verdict(|b, _| b.ptr(TypeId(2))), refused("Loop detected"));
    let result = verdict(|b, _| {
        b.structure("s", 8, &[("x", TypeId(3), 0, 0), ("y", TypeId(3), 0, 0)]);
        b.ptr(TypeId(2));
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn type_tags_come_first() {
    let result = verdict(|b, _| {
        b.constant(TypeId(3));
        b.type_tag("user", TypeId(1));
    });
    assert_eq!(result, refused("Type tags don't precede modifiers"));
    let result = verdict(|b, _| {
        b.type_tag("user", TypeId(3));
        b.constant(TypeId(1));
    });
    assert_eq!(result, Ok(()));
}
