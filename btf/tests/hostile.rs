//! Lying input: every prefix and every changed byte gives a result or an error, never a panic.

use skep_btf::{
    Btf, BtfBuilder, BtfExt, BtfExtBuilder, Endian, ErrorKind, FuncInfo, FuncLinkage, IntEncoding,
    Kind, LineInfo, TypeId, VarLinkage, VarSecInfo,
};

fn small() -> Vec<u8> {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let ptr = b.ptr(TypeId(4));
    let array = b.array(int, int, 4);
    b.structure("node", 24, &[("next", ptr, 0, 0), ("data", array, 64, 0)]);
    let proto = b.func_proto(int, &[("n", ptr)]);
    b.func("walk", proto, FuncLinkage::Static);
    b.enumeration("e", 4, true, &[("A", -1)]);
    b.enumeration64("w", 8, false, &[("B", 1 << 40)]);
    let var = b.var("v", int, VarLinkage::Global);
    b.datasec(
        ".bss",
        4,
        &[VarSecInfo {
            ty: var,
            offset: 0,
            size: 4,
        }],
    );
    b.decl_tag("tag", TypeId(4), Some(0));
    let tagged = b.type_tag("kptr", TypeId(4));
    b.typedef("t", tagged);
    b.to_bytes()
}

/// Calls everything that walks.
fn exercise(btf: &Btf) {
    for id in btf.ids() {
        let _ = btf.skip_mods(id);
        let _ = btf.skip_mods_and_typedefs(id);
        let _ = btf.size_of(id);
        let _ = btf.align_of(id);
        let _ = btf.member(id, "data");
        let _ = btf.prototype(id);
        let _ = btf.pointer_tags(id).count();
        let _ = btf.decl_tags(id).count() + btf.component_tags(id, 0).count();
        let _ = btf.type_name(id).len() + btf.draw(id).len() + btf.draw_layout(id).len();
        let name = btf.ty(id).expect("an id of its own").name();
        if !name.is_empty() {
            assert!(btf.named(name).any(|found| found == id));
        }
    }
    let _ = btf.check_for_kernel();
    assert_eq!(BtfBuilder::from_btf(btf).next_id().0, btf.end());
}

#[test]
fn every_prefix_is_an_error_or_sound() {
    let bytes = small();
    exercise(&Btf::parse(bytes.as_slice()).unwrap());
    for len in 0..bytes.len() {
        assert!(Btf::parse(&bytes[..len]).is_err(), "prefix of {len} bytes");
    }
}

#[test]
fn every_changed_byte_is_an_error_or_sound() {
    let bytes = small();
    let mut sound = 0;
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut bad = bytes.clone();
            bad[at] = value;
            if let Ok(btf) = Btf::parse(bad) {
                exercise(&btf);
                sound += 1;
            }
        }
    }
    assert!(sound > bytes.len());
}

#[test]
fn errors_name_the_type_and_the_byte() {
    let mut b = BtfBuilder::new();
    b.int("int", 4, IntEncoding::SIGNED);
    b.ptr(TypeId(77));
    let error = Btf::parse(b.to_bytes()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadTypeId(TypeId(77)));
    assert_eq!(
        (error.id, error.offset),
        (Some(TypeId(2)), Some(24 + 16 + 8))
    );
    assert_eq!(
        error.to_string(),
        "BTF: type id 77 is out of range, in type 2, at byte 0x30"
    );
}

#[test]
fn many_types_of_one_name_are_indexed_in_linear_time() {
    let mut b = BtfBuilder::new();
    for _ in 0..200_000 {
        b.fwd("same", false);
    }
    let btf = Btf::parse(b.to_bytes()).unwrap();
    assert_eq!(btf.find_by_name(Kind::Fwd, "same"), Some(TypeId(1)));
    assert_eq!(btf.find_all(Kind::Fwd, "same").count(), 200_000);
}

#[test]
fn shared_parts_do_not_explode() {
    // Each level contains the next twice, so that there are 2^n paths.
    let mut b = BtfBuilder::new();
    for level in 1..60 {
        b.structure(
            "",
            8,
            &[("", TypeId(level + 1), 0, 0), ("", TypeId(level + 1), 0, 0)],
        );
    }
    b.int("int", 4, IntEncoding::SIGNED);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    assert!(btf.member(TypeId(1), "none").is_err());
    assert!(btf.align_of(TypeId(1)).is_err());
    assert!(btf.draw(TypeId(1)).len() < 32 << 20);

    let mut b = BtfBuilder::new();
    for level in 0..60 {
        let next = TypeId(level * 2 + 4);
        b.ptr(TypeId(level * 2 + 2));
        b.func_proto(next, &[("a", next), ("b", next)]);
    }
    b.ptr(TypeId(1));
    b.ptr(TypeId(1));
    let btf = Btf::parse(b.to_bytes()).unwrap();
    assert!(btf.type_name(TypeId(1)).len() < 1 << 20);
}

fn small_ext(endian: Endian) -> Vec<u8> {
    let mut b = BtfExtBuilder::new(endian);
    b.func(
        1,
        FuncInfo {
            insn_off: 0,
            ty: TypeId(6),
        },
    );
    b.func(
        5,
        FuncInfo {
            insn_off: 0,
            ty: TypeId(7),
        },
    );
    b.func(
        1,
        FuncInfo {
            insn_off: 64,
            ty: TypeId(8),
        },
    );
    b.line(
        1,
        LineInfo {
            insn_off: 8,
            file: 3,
            text: 9,
            line_col: 12 << 10 | 7,
        },
    );
    b.to_bytes()
}

#[test]
fn ext_reads_back_in_both_byte_orders() {
    for endian in [Endian::Little, Endian::Big] {
        let ext = BtfExt::parse(&small_ext(endian)).unwrap();
        assert_eq!(ext.funcs.len(), 2);
        assert_eq!(ext.funcs[0].records.len(), 2);
        assert_eq!(
            ext.funcs[0].records[1],
            FuncInfo {
                insn_off: 64,
                ty: TypeId(8)
            }
        );
        let line = ext.lines[0].records[0];
        assert_eq!(
            (line.line(), line.column(), line.file, line.text),
            (12, 7, 3, 9)
        );
        assert!(ext.core_relos.is_empty());
    }
}

#[test]
fn ext_prefixes_and_changed_bytes_do_not_panic() {
    let bytes = small_ext(Endian::Little);
    for len in 0..bytes.len() {
        assert!(
            BtfExt::parse(&bytes[..len]).is_err(),
            "prefix of {len} bytes"
        );
    }
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut bad = bytes.clone();
            bad[at] = value;
            let _ = BtfExt::parse(&bad);
        }
    }
}
