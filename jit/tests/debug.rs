//! perf and gdb find compiled programs by their names.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::process::Command;

use skep_asm::{Options, assemble};
use skep_jit::Jit;
use skep_sim::{RunInput, Sim};

/// Says in which process we are.
const CHILD: &str = "SKEP_DEBUGGED_CHILD";

fn loaded() -> (Sim, Jit) {
    let source =
        ".prog one socket_filter\n r0 = 1\n exit\n.prog two socket_filter\n r0 = 2\n exit\n";
    let object = assemble(source, &Options::default()).unwrap();
    let (mut sim, mut jit) = (Sim::new(&[]).unwrap(), Jit::new());
    for program in &object.programs {
        jit.load(&mut sim, program, &[]).unwrap();
    }
    (sim, jit)
}

#[test]
fn the_perf_map_has_a_line_for_each_program() {
    let (_, jit) = loaded();
    let map = jit.perf_map();
    let lines: Vec<_> = map.lines().collect();
    assert_eq!(lines.len(), 2);
    for (line, program) in lines.iter().zip(jit.programs()) {
        let (address, len) = (program.address(), program.code().len());
        let name = program.name();
        assert_eq!(*line, format!("{address:x} {len:x} bpf_prog_{name}"));
    }
}

#[test]
fn gdb_names_programs() {
    if std::env::var_os(CHILD).is_some() {
        let (mut sim, mut jit) = loaded();
        jit.register_with_debugger();
        // Registering again, and forgetting, keep the list whole.
        jit.register_with_debugger();
        drop({
            let (_, mut other) = loaded();
            other.register_with_debugger();
            other
        });
        let packet = RunInput::packet(&[0; 64]);
        let id = jit.by_name("two").unwrap();
        assert_eq!(jit.run(&mut sim, id, &packet, 100).unwrap().r0, 2);
        return;
    }
    let commands = [
        "set breakpoint pending on",
        "set debuginfod enabled off",
        "break bpf_prog_two",
        "run",
        "info symbol $pc",
        "continue",
    ];
    let mut gdb = Command::new("gdb");
    gdb.args(["-q", "-batch", "-nx"]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    let gdb = gdb
        .arg("--args")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "gdb_names_programs", "--test-threads=1"])
        .env(CHILD, "1")
        .output();
    let Ok(output) = gdb else {
        eprintln!("skipped: needs gdb");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if text.contains("ptrace: Operation not permitted") {
        eprintln!("skipped: gdb may not trace here");
        return;
    }
    assert!(text.contains("bpf_prog_two in section .text"), "{text}");
    assert!(text.contains("exited normally"), "{text}");
}
