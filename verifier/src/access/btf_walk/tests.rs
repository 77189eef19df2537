//! Walks over small structures of every shape that kernels have.

use skep_btf::{Btf, BtfBuilder, IntEncoding, TypeId};

use super::{Reached, Safe, WalkCache, WalkFault, is_structure};
use crate::state::PtrFlags;
use crate::violation::BtfFault;

/// The types that the tests walk, by name.
struct Types {
    btf: Btf,
    inner: TypeId,
    outer: TypeId,
    flexible: TypeId,
    empty: TypeId,
    task: TypeId,
}

const BITS: u32 = 8;

fn types() -> Types {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding(1));
    let long = b.int("long", 8, IntEncoding(0));
    let byte = b.int("char", 1, IntEncoding(0));
    let inner = b.structure(
        "inner",
        16,
        &[("first", int, 0, 0), ("second", long, 8 * BITS, 0)],
    );
    let to_inner = b.ptr(inner);
    let to_int = b.ptr(int);
    let user = b.type_tag("user", inner);
    let to_user = b.ptr(user);
    let named = b.typedef("named_t", inner);
    let row = b.array(inner, int, 2);
    let table = b.array(row, int, 2);
    let named_row = b.array(named, int, 1);
    let scratch = b.array(byte, int, 24);
    let none = b.array(long, int, 0);
    let choice = b.union(
        "choice",
        8,
        &[("one", to_inner, 0, 0), ("other", long, 0, 0)],
    );
    let single = b.union("single", 8, &[("only", to_inner, 0, 0)]);
    let outer = b.structure(
        "outer",
        192,
        &[
            ("number", int, 0, 0),
            ("part", named, 8 * BITS, 0),
            ("pointer", to_inner, 24 * BITS, 0),
            ("memory", to_int, 32 * BITS, 0),
            ("choice", choice, 40 * BITS, 0),
            ("single", single, 48 * BITS, 0),
            ("table", table, 56 * BITS, 0),
            ("scratch", scratch, 120 * BITS, 0),
            ("none", none, 144 * BITS, 0),
            ("tagged", to_user, 144 * BITS, 0),
            ("low", int, 152 * BITS, 5),
            ("high", int, 152 * BITS + 5, 11),
            ("named_row", named_row, 160 * BITS, 0),
            ("last", long, 184 * BITS, 0),
        ],
    );
    let tail = b.array(inner, int, 0);
    let flexible = b.structure(
        "flexible",
        8,
        &[("count", int, 0, 0), ("tail", tail, 8 * BITS, 0)],
    );
    let nothing = b.structure("nothing", 0, &[]);
    let nothings = b.array(nothing, int, 0);
    let empty = b.structure(
        "empty",
        4,
        &[("count", int, 0, 0), ("tail", nothings, 4 * BITS, 0)],
    );
    let task = b.structure(
        "task",
        16,
        &[("group", to_inner, 0, 0), ("other", to_inner, 64, 0)],
    );
    b.structure("task__safe_rcu", 8, &[("group", to_inner, 0, 0)]);
    b.structure("task__safe_trusted_or_null", 8, &[("other", to_int, 0, 0)]);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    Types {
        btf,
        inner,
        outer,
        flexible,
        empty,
        task,
    }
}

fn reach(types: &Types, id: TypeId, off: u32, size: u32) -> Result<Reached, WalkFault> {
    WalkCache::default().reach(&types.btf, id.0, off, size)
}

fn pointer_to(id: TypeId, flags: PtrFlags) -> Result<Reached, WalkFault> {
    Ok(Reached::Structure {
        id,
        flags,
        safe: Safe::empty(),
    })
}

fn refused(fault: BtfFault) -> Result<Reached, WalkFault> {
    Err(WalkFault::Refused(fault))
}

#[test]
fn numbers_are_read_in_pieces_within_their_member() {
    let t = types();
    for (off, size) in [
        (0, 4),
        (0, 1),
        (2, 2),
        (8, 4),
        (16, 8),
        (18, 2),
        (120, 8),
        (136, 8),
    ] {
        assert_eq!(
            reach(&t, t.outer, off, size),
            Ok(Reached::Number),
            "{off} {size}"
        );
    }
    let id = t.outer.0;
    let beyond = BtfFault::BeyondMember {
        id,
        member: 0,
        end: 4,
        off: 0,
        size: 8,
    };
    assert_eq!(reach(&t, t.outer, 0, 8), refused(beyond));
    let beyond = BtfFault::BeyondMember {
        id,
        member: 7,
        end: 144,
        off: 140,
        size: 8,
    };
    assert_eq!(reach(&t, t.outer, 140, 8), refused(beyond));
}

#[test]
fn pointers_are_read_whole() {
    let t = types();
    let plain = PtrFlags::empty();
    assert_eq!(reach(&t, t.outer, 24, 8), pointer_to(t.inner, plain));
    assert_eq!(reach(&t, t.outer, 32, 8), Ok(Reached::Memory));
    let id = t.outer.0;
    for (off, size) in [(24, 4), (28, 4)] {
        let part = BtfFault::PartOfPointer {
            id,
            member: 2,
            start: 24,
            off,
            size,
        };
        assert_eq!(reach(&t, t.outer, off, size), refused(part));
    }
}

#[test]
fn pointers_in_unions_are_untrusted_unless_alone() {
    let t = types();
    assert_eq!(
        reach(&t, t.outer, 40, 8),
        pointer_to(t.inner, PtrFlags::UNTRUSTED)
    );
    assert_eq!(
        reach(&t, t.outer, 48, 8),
        pointer_to(t.inner, PtrFlags::empty())
    );
}

#[test]
fn tags_of_pointers_are_kept() {
    let t = types();
    assert_eq!(
        reach(&t, t.outer, 144, 8),
        pointer_to(t.inner, PtrFlags::USER)
    );
}

#[test]
fn arrays_of_structures_are_structures_side_by_side() {
    let t = types();
    for element in 0..4 {
        let off = 56 + 16 * element;
        assert_eq!(reach(&t, t.outer, off, 4), Ok(Reached::Number), "{element}");
        assert_eq!(
            reach(&t, t.outer, off + 8, 8),
            Ok(Reached::Number),
            "{element}"
        );
        let hole = BtfFault::NoMember {
            id: t.inner.0,
            off: 4,
        };
        assert_eq!(reach(&t, t.outer, off + 4, 4), refused(hole), "{element}");
    }
}

#[test]
fn bitfields_are_read_with_the_bytes_around_them() {
    let t = types();
    assert_eq!(reach(&t, t.outer, 152, 1), Ok(Reached::Number));
    assert_eq!(reach(&t, t.outer, 152, 4), Ok(Reached::Number));
    let hole = BtfFault::NoMember {
        id: t.outer.0,
        off: 154,
    };
    assert_eq!(reach(&t, t.outer, 154, 2), refused(hole));
}

#[test]
fn holes_and_ends_are_no_members() {
    let t = types();
    let id = t.outer.0;
    assert_eq!(
        reach(&t, t.outer, 4, 4),
        refused(BtfFault::NoMember { id, off: 4 })
    );
    let beyond = BtfFault::Beyond {
        id,
        off: 188,
        size: 8,
    };
    assert_eq!(reach(&t, t.outer, 188, 8), refused(beyond));
    let beyond = BtfFault::Beyond {
        id,
        off: u32::MAX,
        size: 8,
    };
    assert_eq!(reach(&t, t.outer, u32::MAX, 8), refused(beyond));
}

#[test]
fn flexible_arrays_go_on_behind_the_end() {
    let t = types();
    for element in [0, 1, 1000] {
        assert_eq!(
            reach(&t, t.flexible, 8 + 16 * element, 4),
            Ok(Reached::Number),
            "{element}"
        );
    }
    let hole = BtfFault::NoMember {
        id: t.inner.0,
        off: 4,
    };
    assert_eq!(reach(&t, t.flexible, 28, 4), refused(hole));
    assert_eq!(reach(&t, t.empty, 4, 4), Err(WalkFault::EmptyElement));
}

#[test]
fn what_is_no_structure_is_not_walked() {
    let t = types();
    let int = TypeId(1);
    assert_eq!(
        reach(&t, int, 0, 4),
        refused(BtfFault::NoStructure { id: int.0 })
    );
    assert_eq!(reach(&t, TypeId(1 << 20), 0, 4), Err(WalkFault::Malformed));
}

#[test]
fn listed_fields_match_by_name_and_type() {
    let t = types();
    let group = Reached::Structure {
        id: t.inner,
        flags: PtrFlags::empty(),
        safe: Safe::RCU,
    };
    assert_eq!(reach(&t, t.task, 0, 8), Ok(group));
    // Listed with another type.
    assert_eq!(
        reach(&t, t.task, 8, 8),
        pointer_to(t.inner, PtrFlags::empty())
    );
}

#[test]
fn a_structure_is_what_it_begins_with_or_has_at_the_offset() {
    let t = types();
    let is = |off, expected, strict| is_structure(&t.btf, t.outer, off, expected, strict);
    assert_eq!(is(0, t.outer, true), Ok(true));
    assert_eq!(is(0, t.inner, false), Ok(false));
    assert_eq!(is(8, t.inner, true), Ok(false));
    for off in [8, 56, 72, 88, 104] {
        assert_eq!(is(off, t.inner, false), Ok(true), "{off}");
    }
    // Kernels do not see through a typedef of an array's element here.
    assert_eq!(is(160, t.inner, false), Ok(false));
    assert_eq!(is(9, t.inner, false), Ok(false));
    assert_eq!(is(u32::MAX, t.inner, false), Ok(false));
}

#[test]
fn types_in_a_circle_are_malformed() {
    let mut b = BtfBuilder::new();
    let next = TypeId(b.next_id().0 + 1);
    let circle = b.structure("circle", 8, &[("again", next, 0, 0)]);
    b.typedef("again_t", circle);
    let btf = Btf::parse(b.to_bytes()).unwrap();
    assert_eq!(
        WalkCache::default().reach(&btf, circle.0, 0, 4),
        Err(WalkFault::Malformed)
    );
    assert_eq!(
        is_structure(&btf, circle, 0, TypeId(99), false),
        Err(WalkFault::Malformed)
    );
}
