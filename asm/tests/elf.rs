//! Written objects are read back by the loader as the same load requests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use skep_asm::{ElfError, Options, assemble, write_elf};
use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding, Type, TypeId};
use skep_spec::{MapFlags, MapSpec, ObjectSpec, ProgramSpec};

const SOURCE: &str = r#"
.license "Dual BSD/GPL"
.struct bpf_spin_lock { u32 val }
.struct elem { struct bpf_spin_lock lock, u64 count }
.map typed hash key u32 value struct elem entries 16 flags no_prealloc
.map plain array key 4 value 8 entries 3 pinned
.map jumps prog_array key 4 value 4 entries 4 slots 1=tail,3=first
.map outer hash_of_maps key 4 value 4 entries 2 slots 0=leaf inner array key 4 value 8 entries 1
.map leaf array key 4 value 8 entries 1
.map x.data array key 4 value 8 entries 1 flags mmapable init "0102030405060708"
.map x.rodata array key 4 value 4 entries 1 flags rdonly_prog,mmapable frozen init "2a000000"
.map x.bss array key 4 value 16 entries 1 flags mmapable

.global int sum(struct xdp_md *ctx, u32 n)
    r0 = r2
    call twice
    exit
.func twice
    r0 += r0
    exit
.func static_callback
    w0 = 0
    exit

.prog first xdp attach xdp
    r6 = r1
    r1 = map[typed] ll
    r2 = map_value[x.data]+4 ll
    r3 = map_value[x.rodata] ll
    r4 = map_value[x.bss]+8 ll
    r2 = 1
    r1 = r6
    call sum
    r1 = map[plain] ll
    r2 = func static_callback ll
    r3 = 0
    r4 = 0
    call for_each_map_elem
    r1 = r6
    r2 = map[jumps] ll
    r3 = 1
    call tail_call
    r0 = 1
    exit

.prog tail xdp attach xdp
    r0 = 5
    call twice
    r2 = map[outer] ll
    r0 = 1
    exit

.prog sleepy tracing attach trace_fentry flags sleepable attach_to bpf_fentry_test1
    r0 = 0
    call inside
    r0 = 0
    exit
inside:
    exit
"#;

fn options() -> Options {
    Options {
        file_name: "dir/x.bpf.s".to_owned(),
        debug_info: true,
        ..Options::default()
    }
}

fn load(bytes: &[u8], kernel_btf: Option<Arc<Btf>>) -> ObjectSpec {
    let options = skep_loader::Options {
        kernel_btf,
        ..skep_loader::Options::default()
    };
    skep_loader::open("x.bpf.o", bytes, &options).unwrap()
}

/// Name and linkage of each function, and where it begins.
fn functions(program: &ProgramSpec) -> Vec<(u32, String, FuncLinkage)> {
    let btf = program.btf.as_ref().unwrap();
    let name = |id| match btf.ty(TypeId(id)) {
        Ok(Type::Func(func)) => (func.name().to_owned(), func.linkage),
        other => panic!("{other:?}"),
    };
    let named = program
        .func_info
        .iter()
        .map(|info| (info.insn_off, name(info.type_id)));
    named
        .map(|(off, (name, linkage))| (off, name, linkage))
        .collect()
}

/// File, text and place of each line.
fn lines(program: &ProgramSpec) -> Vec<(u32, String, String, u32)> {
    let btf = program.btf.as_ref().unwrap();
    let text = |off| btf.string(off).unwrap().to_owned();
    let line = |l: &skep_spec::LineInfo| {
        (
            l.insn_off,
            text(l.file_name_off),
            text(l.line_off),
            l.line_col,
        )
    };
    program.line_info.iter().map(line).collect()
}

fn map_shape(map: &MapSpec) -> String {
    let mut map = map.clone();
    let data = map.name.starts_with("x.");
    let sizes = (map.btf_key_id != 0, map.btf_value_id != 0 && !data);
    (map.btf, map.btf_key_id, map.btf_value_id) = (None, 0, 0);
    // Data sections say their zeros; inner maps have no name of their own.
    map.init = map.init.filter(|init| init.iter().any(|byte| *byte != 0));
    let inner = map.inner.take().map(|mut inner| {
        inner.name.clear();
        map_shape(&inner)
    });
    format!("{map:?} {sizes:?} {inner:?}")
}

#[test]
fn a_written_object_loads_as_what_was_assembled() {
    let object = assemble(SOURCE, &options()).unwrap();
    let bytes = write_elf(&object, None).unwrap();
    let copy = load(&bytes, None);
    assert_eq!(copy.license, object.license);
    assert_eq!(copy.programs.len(), 3);
    for program in &object.programs {
        let copy = copy.program(&program.name).unwrap();
        assert_eq!(
            (copy.ty, copy.attach, copy.flags),
            (program.ty, program.attach, program.flags)
        );
        assert_eq!(copy.attach_to, program.attach_to);
        let maps = |spec: &ProgramSpec| spec.maps.iter().map(|m| map_shape(m)).collect::<Vec<_>>();
        assert_eq!(maps(copy), maps(program));
        assert_eq!(copy.insns, program.insns, "{}", program.name);
        assert_eq!(functions(copy), functions(program), "{}", program.name);
        assert_eq!(lines(copy), lines(program), "{}", program.name);
    }
    let typed = copy.map("typed").unwrap();
    let value = TypeId(typed.btf_value_id);
    assert_eq!(typed.btf.as_ref().unwrap().type_name(value), "struct elem");
}

#[test]
fn programs_without_types_are_written_too() {
    let source = "\
.map m array key 4 value 8 entries 1
.prog a socket_filter
    r1 = map[m] ll
    call sub
    exit
sub:
    r0 = 0
    exit
.prog b socket_filter
    call sub
    exit
sub:
    r0 = 1
    exit
";
    let object = assemble(source, &Options::default()).unwrap();
    let copy = load(&write_elf(&object, None).unwrap(), None);
    for program in &object.programs {
        assert_eq!(copy.program(&program.name).unwrap().insns, program.insns);
    }
}

/// A kernel's BTF with one function and one variable.
fn kernel() -> Arc<Btf> {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let task = b.structure("task_struct", 4, &[("pid", int, 0, 0)]);
    let ptr = b.ptr(task);
    let proto = b.func_proto(ptr, &[("p", ptr), ("flags", int)]);
    b.func("bpf_task_acquire", proto, FuncLinkage::Static);
    b.var("counter", int, skep_btf::VarLinkage::Global);
    Arc::new(Btf::parse(b.to_bytes()).unwrap())
}

#[test]
fn kernel_symbols_are_written_by_name() {
    let source = ".prog p sched_cls\ncall kfunc bpf_task_acquire\nr1 = ksym counter ll\nexit\n";
    let kernel = kernel();
    let options = Options {
        kernel_btf: Some(kernel.clone()),
        ..options()
    };
    let object = assemble(source, &options).unwrap();
    assert_eq!(object.programs[0].insns[0].imm, 5);
    assert!(object.programs[0].unresolved.is_empty());
    let bytes = write_elf(&object, Some(&kernel)).unwrap();
    let copy = load(&bytes, Some(kernel.clone()));
    assert_eq!(copy.programs[0].unresolved, []);
    assert_eq!(copy.programs[0].insns, object.programs[0].insns);
    let unnamed = write_elf(&object, None).unwrap_err();
    assert!(
        matches!(unnamed, ElfError::NoForm { insn_idx: 0, .. }),
        "{unnamed}"
    );
}

#[test]
fn what_objects_cannot_say_is_an_error() {
    for (body, what) in [
        (
            "goto in\ncall f\nexit\nf: in: exit",
            "p: slot 0: a jump into another function has no form in an object",
        ),
        (
            "call pc+9\nexit",
            "p: slot 0: a call to outside of the program has no form in an object",
        ),
        (
            "r1 = map[#3] ll\nexit",
            "p: slot 0: a map that the program does not have has no form in an object",
        ),
        (
            "r1 = map_idx[3] ll\nexit",
            "p: slot 0: a 64-bit immediate of this kind has no form in an object",
        ),
    ] {
        let object = assemble(&format!(".prog p xdp\n{body}\n"), &Options::default()).unwrap();
        assert_eq!(write_elf(&object, None).unwrap_err().to_string(), what);
    }
}

/// Runs `bpftool prog load` in a mount namespace of its own: the pin is gone with it.
fn load_by_bpftool(folder: &std::path::Path, object: &std::path::Path) -> Result<(), String> {
    let script = "mount --make-rprivate / && mount -t bpf none \"$1\" || exit 77; \
                  exec bpftool prog loadall \"$2\" \"$1/p\"";
    let run = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .args([folder, object])
        .output()
        .map_err(|e| format!("skipped: {e}"))?;
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    match run.status.code() {
        Some(0) => Ok(()),
        Some(77 | 127) => Err(format!("skipped: {told}")),
        Some(_) | None => Err(told),
    }
}

#[test]
fn bpftool_loads_what_is_written() {
    let folder = std::env::temp_dir().join(format!("skep-bpftool-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("bpffs")).unwrap();
    let sources = [
        ".license GPL\n.map m hash key u32 value u64 entries 4\n.prog p xdp\n\
         *(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[m] ll\ncall map_lookup_elem\n\
         r0 = 2\nexit\n"
            .to_owned(),
    ];
    for source in &sources {
        let object = assemble(source, &Options::default()).unwrap();
        let path = folder.join("written.o");
        std::fs::write(&path, write_elf(&object, None).unwrap()).unwrap();
        match load_by_bpftool(&folder.join("bpffs"), &path) {
            Ok(()) => {}
            Err(why) if why.starts_with("skipped") => eprintln!("{why}"),
            Err(why) => panic!("{why}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A kernel's table of functions in its wrapper, with a member that the source does not know.
fn table_kernel() -> Btf {
    let mut btf = BtfBuilder::new();
    let int = btf.int("unsigned int", 4, IntEncoding::UNSIGNED);
    let function = btf.func_proto(TypeId::VOID, &[]);
    let pointer = btf.ptr(function);
    let table = btf.structure(
        "congestion_ops",
        32,
        &[
            ("flags", int, 0, 0),
            ("init", pointer, 64, 0),
            ("other", pointer, 128, 0),
            ("release", pointer, 192, 0),
        ],
    );
    let members = [("state", int, 0, 0), ("data", table, 512, 0)];
    btf.structure("bpf_struct_ops_congestion_ops", 96, &members);
    Btf::parse(btf.to_bytes()).unwrap()
}

#[test]
fn tables_of_functions_are_filled() {
    let source = r#"
        .struct congestion_ops { void *release, void *init, u32 flags }
        .map mine struct_ops value struct congestion_ops flags link slots init=on_init,0=on_release
            init "00000000000000000000000000000000 07000000"
        .prog on_init struct_ops section "struct_ops/on_init"
            exit
        .prog on_release struct_ops section "struct_ops/on_release"
            exit
    "#
    .replace("\n            init", " init");
    let object = assemble(&source, &Options::default()).unwrap();
    let kernel = Arc::new(table_kernel());
    let options = skep_loader::Options {
        kernel_btf: Some(Arc::clone(&kernel)),
        ..skep_loader::Options::default()
    };
    let read = |bytes: &[u8]| skep_loader::open("table.o", bytes, &options).unwrap();
    let opened = read(&write_elf(&object, None).unwrap());
    // Writing what was laid out for a kernel gives the same again.
    let again = read(&write_elf(&opened, Some(&kernel)).unwrap());
    for opened in [&opened, &again] {
        let map = &opened.maps[0];
        assert!(map.flags.contains(MapFlags::LINK));
        assert_eq!(map.value_size, 96);
        assert_eq!(map.init.as_ref().unwrap()[64..68], [7, 0, 0, 0]);
        let attach = |name| opened.program(name).unwrap().attach.number();
        assert_eq!((attach("on_init"), attach("on_release")), (1, 3));
        assert!(opened.programs.iter().all(|p| p.unresolved.is_empty()));
    }
    let untyped = source
        .replace("value struct congestion_ops", "value 24")
        .replace("init=", "1=");
    let object = assemble(&untyped, &Options::default()).unwrap();
    let error = write_elf(&object, None).unwrap_err().to_string();
    assert!(error.contains("give its value a struct"), "{error}");
}
