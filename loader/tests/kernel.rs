//! What depends on the kernel: resolved against given types, or named as a need.

use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding, TypeId, VarLinkage};
use skep_isa::{RawInsn, opcode, pseudo};
use skep_loader::{GuardedBy, Options, missing_accesses, open};
use skep_spec::{KernelVersion, ObjectSpec};
use std::sync::Arc;

const OBJECT: &[u8] = include_bytes!("data/kernel.o");

/// A kernel with `task` (without `missing`), `kernel_func` and `kernel_var`.
fn kernel() -> Btf {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let parent = b.structure("parent", 64, &[("pid", int, 320, 0)]);
    let parent_ptr = b.ptr(parent);
    let members = [("parent", parent_ptr, 64, 0), ("pid", int, 192, 0)];
    let task = b.structure("task", 128, &members);
    b.enumeration("state", 4, true, &[("STATE_B", 77)]);
    let task_ptr = b.ptr(task);
    let proto = b.func_proto(TypeId::VOID, &[("t", task_ptr), ("n", int)]);
    b.func("kernel_func", proto, FuncLinkage::Static);
    b.var("kernel_var", int, VarLinkage::Global);
    let tp = b.func_proto(TypeId::VOID, &[]);
    let tp = b.ptr(tp);
    b.typedef("btf_trace_sched_switch", tp);
    Btf::parse(b.to_bytes()).expect("built types are sound")
}

fn open_with(options: &Options) -> ObjectSpec {
    open("kernel.o", OBJECT, options).expect("a sound object")
}

fn needs(object: &ObjectSpec, name: &str) -> Vec<(usize, String)> {
    let program = object.program(name).expect("a program of the object");
    program
        .unresolved
        .iter()
        .map(|u| (u.insn_idx, u.what.clone()))
        .collect()
}

#[test]
fn without_a_kernel_every_need_is_named() {
    let object = open_with(&Options::default());
    let text = |list: &[(usize, &str)]| -> Vec<(usize, String)> {
        list.iter()
            .map(|(at, what)| (*at, what.to_string()))
            .collect()
    };
    assert_eq!(
        needs(&object, "relocated"),
        text(&[
            (0, "attach target sched_switch of the kernel"),
            (
                0,
                "CO-RE relocation field_exists of struct task___mine.missing"
            ),
            (2, "CO-RE relocation byte_off of struct task___mine.missing"),
            (4, "CO-RE relocation byte_off of struct task___mine.parent"),
            (5, "CO-RE relocation byte_off of struct task___mine.pid"),
            (6, "CO-RE relocation byte_off of struct parent.pid"),
            (
                8,
                "CO-RE relocation enumval_value of enum state___old::STATE_B"
            ),
        ])
    );
    assert_eq!(
        needs(&object, "externs"),
        text(&[
            (1, "kernel function kernel_func"),
            (2, "kernel function absent_func"),
            (5, "kernel function absent_func"),
            (6, "address of kernel symbol kernel_symbol"),
            (
                8,
                "configuration value CONFIG_HZ: the kernel's configuration is not given"
            ),
            (
                12,
                "configuration value CONFIG_SMP: the kernel's configuration is not given"
            ),
            (
                16,
                "configuration value LINUX_KERNEL_VERSION: the kernel is not given"
            ),
            (20, "kernel variable kernel_var"),
        ])
    );
}

fn resolved() -> ObjectSpec {
    open_with(&Options {
        kernel_btf: Some(Arc::new(kernel())),
        kernel_version: Some(KernelVersion::new(6, 18, 44)),
        kconfig: Some("# comment\nCONFIG_HZ=1000\nCONFIG_OTHER=y\n".to_string()),
        symbols: [("kernel_symbol".to_string(), 0xffff_ffff_8100_0000)].into(),
        cpus: 2,
        ..Options::default()
    })
}

#[test]
fn instructions_are_adjusted_to_the_kernels_types() {
    let object = resolved();
    let program = object.program("relocated").unwrap();
    assert_eq!(program.unresolved, []);
    assert_eq!(program.attach_btf_id, 12);
    let insns = &program.insns;
    assert_eq!(insns[0].imm, 0, "the field does not exist");
    // "bad relo": a helper that no kernel has.
    assert_eq!(insns[2], RawInsn::new(opcode::CALL, 0, 0, 0, 0xbad2310));
    assert_eq!((insns[4].off, insns[5].off, insns[6].off), (8, 24, 40));
    assert_eq!(insns[8].imm, 77);
}

#[test]
fn externs_become_ids_addresses_and_values() {
    let object = resolved();
    let program = object.program("externs").unwrap();
    assert_eq!(program.unresolved, []);
    let insns = &program.insns;
    assert_eq!((insns[1].src(), insns[1].imm), (pseudo::KFUNC_CALL, 8));
    // A missing weak function has address 0, and calling it is a call of no helper.
    assert_eq!((insns[2].src(), insns[2].imm, insns[3].imm), (0, 0, 0));
    assert_eq!((insns[5].src(), insns[5].imm / 1000), (0, 2_002_000));
    assert_eq!(
        (insns[6].imm as u32, insns[7].imm as u32),
        (0x8100_0000, 0xffff_ffff)
    );
    assert_eq!(
        (insns[20].src(), insns[20].imm, insns[21].imm),
        (pseudo::BTF_ID, 9, 0)
    );

    let config = object.map("kernel.kconfig").unwrap();
    assert!(config.is_constant());
    // By alignment, then name: CONFIG_HZ, LINUX_KERNEL_VERSION, CONFIG_SMP (weak, not set).
    let mut want = 1000u32.to_le_bytes().to_vec();
    want.extend((6 << 16 | 18 << 8 | 44u32).to_le_bytes());
    want.push(0);
    assert_eq!(config.init.as_deref(), Some(want.as_slice()));
    let offsets: Vec<_> = [8, 12, 16].iter().map(|at| insns[at + 1].imm).collect();
    assert_eq!(offsets, [0, 8, 4]);
    assert_eq!(program.maps[insns[8].imm as usize].name, "kernel.kconfig");
}

#[test]
fn what_a_kernel_lacks_is_a_need() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let proto = b.func_proto(int, &[("only", int)]);
    b.func("kernel_func", proto, FuncLinkage::Static);
    let kernel_btf = Some(Arc::new(Btf::parse(b.to_bytes()).unwrap()));
    let object = open_with(&Options {
        kernel_btf,
        ..Options::default()
    });
    let needs: Vec<_> = needs(&object, "externs").into_iter().map(|n| n.1).collect();
    assert!(
        needs.contains(&"kernel function kernel_func: the kernel's has another prototype".into())
    );
    assert!(needs.contains(&"kernel variable kernel_var: the kernel has none".into()));
}

#[test]
fn btf_holds_no_externs_afterwards() {
    let object = open_with(&Options::default());
    let btf = object.btf.unwrap();
    for (_, ty) in btf.types() {
        assert!(
            ty.as_var().is_none_or(|v| v.linkage == VarLinkage::Global),
            "{}",
            ty.name()
        );
        assert!(
            ty.as_func()
                .is_none_or(|f| f.linkage == FuncLinkage::Global),
            "{}",
            ty.name()
        );
        if let Some(proto) = ty.as_func_proto() {
            assert!(proto.params.iter().all(|p| !p.name().is_empty()));
        }
    }
    let id = btf.find_by_name(skep_btf::Kind::DataSec, ".ksyms").unwrap();
    assert_eq!(btf.ty(id).unwrap().as_datasec().unwrap().size, 16);
}

#[test]
fn what_the_kernel_lacks_names_its_guard() {
    let object = resolved();
    let program = object.program("relocated").expect("a program");
    let missing = missing_accesses(program);
    assert_eq!(missing.len(), 1);
    let [missing] = &missing[..] else { return };
    assert_eq!(missing.access.subject, "struct task___mine.missing");
    let guard = missing.guard.as_ref().expect("it is guarded");
    let GuardedBy::Core(by) = &guard.by else {
        panic!("guarded by {:?}", guard.by);
    };
    assert_eq!(
        (by.kind.name(), by.subject.as_str()),
        ("field_exists", "struct task___mine.missing")
    );
    assert!(guard.insn_idx < missing.insn_idx);

    // Without the branch, nothing keeps it from being reached.
    let mut open = program.clone();
    open.insns[guard.insn_idx] = RawInsn::new(0xb7, 3, 0, 0, 0);
    assert!(missing_accesses(&open)[0].guard.is_none());
}
