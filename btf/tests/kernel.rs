//! The running kernel's own BTF: a hundred thousand types that are known to be right.

use skep_btf::{Btf, BtfBuilder, Kind};

const PATH: &str = "/sys/kernel/btf/vmlinux";

fn kernel() -> Option<Btf> {
    match std::fs::read(PATH) {
        Ok(bytes) => Some(Btf::parse(bytes).expect("the kernel parsed it too")),
        Err(error) => {
            eprintln!("skipped: {PATH}: {error}");
            None
        }
    }
}

#[test]
fn known_types_are_found() {
    let Some(btf) = kernel() else { return };
    let task = btf.find_by_name(Kind::Struct, "task_struct").unwrap();
    let pid = btf.member(task, "pid").unwrap().unwrap();
    assert_eq!(btf.size_of(pid.member.ty), Ok(4));
    assert_eq!(btf.declare(pid.member.ty, "pid"), "pid_t pid");
    let skb = btf.find_by_name(Kind::Struct, "__sk_buff").unwrap();
    assert!(btf.draw_layout(skb).contains("__u32 mark; /* 8 4 */"));
    let func = btf.find_by_name(Kind::Func, "bpf_prog_put").unwrap();
    assert_eq!(
        btf.declare(func, ""),
        "void bpf_prog_put(struct bpf_prog *prog)"
    );
}

#[test]
fn every_type_can_be_walked_and_named() {
    let Some(btf) = kernel() else { return };
    let (mut sized, mut drawn) = (0, 0);
    for (id, ty) in btf.types() {
        assert!(btf.skip_mods_and_typedefs(id).is_ok());
        assert!(!btf.type_name(id).contains('…') || ty.name().is_empty());
        if let Some(composite) = ty.as_composite() {
            assert_eq!(btf.size_of(id), Ok(composite.size));
            assert!(btf.align_of(id).is_ok());
            sized += 1;
            if !composite.name().is_empty() {
                assert!(
                    btf.find_all(ty.kind(), composite.name())
                        .any(|found| found == id)
                );
            }
        }
        if sized % 16 == 0 {
            drawn += btf.draw(id).len();
        }
    }
    assert!(sized > 5000 && drawn > 100_000);
}

#[test]
fn a_copy_is_the_same_bytes() {
    let Some(btf) = kernel() else { return };
    let copy = BtfBuilder::from_btf(&btf).to_bytes();
    assert!(copy == btf.bytes());
}
