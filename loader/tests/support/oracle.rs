//! Captured load requests against what the loader makes of the same objects.

use serde_json::Value;
use skep_btf::Btf;
use skep_loader::{Options, open};
use skep_spec::{KernelVersion, MapSpec, ObjectSpec, ProgramSpec};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// What came of a comparison.
#[derive(Default)]
pub(crate) struct Report {
    /// Requests compared.
    pub(crate) total: usize,
    /// Requests whose instructions are the same, map references included.
    pub(crate) same_code: usize,
    /// Requests reproduced in every field.
    pub(crate) equal: usize,
    /// Ids of the others, by the first field that differs.
    pub(crate) differing: BTreeMap<String, Vec<String>>,
}

type Failure = Box<dyn std::error::Error>;

/// Compares every request of `loads` with the object of that name in `objects`.
pub(crate) fn compare(
    objects: &Path,
    loads: &Path,
    kernel: &Path,
    btfs: Option<&Path>,
    kconfig: Option<&Path>,
) -> Result<Report, Failure> {
    let options = Options {
        kernel_btf: Some(Arc::new(Btf::parse(std::fs::read(kernel)?)?)),
        kconfig: kconfig.map(std::fs::read_to_string).transpose()?,
        kernel_version: Some(KernelVersion::new(6, 18, 44)),
        ..Options::default()
    };
    let mut opened: HashMap<String, Result<ObjectSpec, String>> = HashMap::new();
    let mut report = Report::default();
    for line in std::fs::read_to_string(loads)?.lines() {
        let request: Value = serde_json::from_str(line)?;
        let file = text(&request, "file").to_string();
        let object = opened.entry(file.clone()).or_insert_with(|| {
            let bytes = std::fs::read(objects.join(&file)).map_err(|e| e.to_string())?;
            open(&file, &bytes, &options).map_err(|e| e.to_string())
        });
        report.total += 1;
        report.same_code += usize::from(code_is_same(&request, object));
        match check(&request, object, btfs) {
            Ok(()) => report.equal += 1,
            Err(why) => {
                let id = text(&request, "id").to_string();
                report.differing.entry(why).or_default().push(id);
            }
        }
    }
    Ok(report)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|p| digit(p[0]) << 4 | digit(p[1]))
        .collect()
}

fn code_is_same(request: &Value, object: &Result<ObjectSpec, String>) -> bool {
    let program = object
        .as_ref()
        .ok()
        .and_then(|o| o.program(text(request, "prog")));
    program.is_some_and(|p| check_insns(request, p, &|_, _| Ok(())).is_ok())
}

fn check(
    request: &Value,
    object: &Result<ObjectSpec, String>,
    btfs: Option<&Path>,
) -> Result<(), String> {
    let object = object.as_ref().map_err(|e| format!("not opened: {e}"))?;
    let program = object
        .program(text(request, "prog"))
        .ok_or("no such program")?;
    if let Some(need) = program.unresolved.first() {
        let short: String = need.what.chars().take(60).collect();
        return Err(format!("needs {short}"));
    }
    let same = |what: &str, ours: u64, theirs: u64| {
        if ours == theirs {
            Ok(())
        } else {
            Err(format!("{what}: {ours}, not {theirs}"))
        }
    };
    same(
        "type",
        program.ty.number().into(),
        number(request, "prog_type"),
    )?;
    same(
        "attach",
        program.attach.number().into(),
        number(request, "expected_attach_type"),
    )?;
    let known_flags = number(request, "prog_flags");
    same("flags", program.flags.bits().into(), known_flags)?;
    same(
        "attach id",
        program.attach_btf_id.into(),
        number(request, "attach_btf_id"),
    )?;
    if program.license != text(request, "license") {
        return Err("license".to_string());
    }
    check_insns(request, program, &check_map)?;
    let funcs: Vec<u8> = program
        .func_info
        .iter()
        .flat_map(|f| [f.insn_off.to_le_bytes(), f.type_id.to_le_bytes()].concat())
        .collect();
    if funcs != bytes(text(request, "func_info")) {
        return Err("func_info".to_string());
    }
    if let (Some(dir), Some(name)) = (btfs, request.get("btf").and_then(Value::as_str)) {
        let theirs = std::fs::read(dir.join(format!("{name}.btf"))).map_err(|e| e.to_string())?;
        if program.btf.as_ref().map(|b| b.bytes()) != Some(theirs.as_slice()) {
            return Err("btf".to_string());
        }
    }
    Ok(())
}

/// Instructions must be the same; those that name a map must name the same map.
fn check_insns(
    request: &Value,
    program: &ProgramSpec,
    check_map: &dyn Fn(&MapSpec, &Value) -> Result<(), String>,
) -> Result<(), String> {
    let theirs = bytes(text(request, "insns"));
    let (theirs, _) = theirs.as_chunks::<8>();
    if theirs.len() != program.insns.len() {
        return Err(format!(
            "{} slots, not {}",
            program.insns.len(),
            theirs.len()
        ));
    }
    let maps = request
        .get("maps")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut second = false;
    for (ours, theirs) in program.insns.iter().zip(theirs) {
        let names_map = ours.is_ld_imm64() && matches!(ours.src(), 1 | 2) && !second;
        second = ours.is_ld_imm64() && !second;
        if !names_map {
            if ours.to_le_bytes() != *theirs {
                return Err("instructions".to_string());
            }
            continue;
        }
        if ours.to_le_bytes()[..4] != theirs[..4] {
            return Err("instructions".to_string());
        }
        let fd = i32::from_le_bytes([theirs[4], theirs[5], theirs[6], theirs[7]]);
        let map = maps
            .iter()
            .find(|m| m.get("fd").and_then(Value::as_i64) == Some(fd.into()));
        let own = usize::try_from(ours.imm)
            .ok()
            .and_then(|i| program.maps.get(i));
        match (own, map) {
            (Some(own), Some(map)) if !own.name.starts_with(text(map, "name")) => {
                return Err(format!("map name: {}, not {}", own.name, text(map, "name")));
            }
            (Some(own), Some(map)) => check_map(own, map)?,
            // A number that the compiler wrote down names no map here.
            (None, None) if ours.imm == -1 => {}
            _ => return Err("map reference".to_string()),
        }
    }
    Ok(())
}

fn check_map(own: &MapSpec, map: &Value) -> Result<(), String> {
    let pairs = [
        ("type", u64::from(own.ty.number())),
        ("key", own.key_size.into()),
        ("value", own.value_size.into()),
        ("max", own.max_entries.into()),
        ("flags", own.flags.bits().into()),
        ("extra", own.extra),
        ("btf_key", own.btf_key_id.into()),
        ("btf_value", own.btf_value_id.into()),
        ("vmlinux_value_id", own.vmlinux_value_id.into()),
        ("frozen", own.frozen.into()),
    ];
    for (key, ours) in pairs {
        let theirs = number(map, key);
        if ours != theirs {
            return Err(format!(
                "map {key} (type {}): {ours}, not {theirs}",
                own.ty.number()
            ));
        }
    }
    if let Some(theirs) = map.get("init").and_then(Value::as_str) {
        let zeros = vec![0; own.value_size as usize];
        if own.init.as_ref().unwrap_or(&zeros) != &bytes(theirs) {
            return Err("map contents".to_string());
        }
    }
    if let (Some(inner), Some(theirs)) = (&own.inner, map.get("inner")) {
        let pairs = [
            ("type", u64::from(inner.ty.number())),
            ("key", inner.key_size.into()),
            ("value", inner.value_size.into()),
            ("max", inner.max_entries.into()),
            ("flags", inner.flags.bits().into()),
        ];
        for (key, ours) in pairs {
            if ours != number(theirs, key) {
                return Err(format!(
                    "inner map {key}: {ours}, not {}",
                    number(theirs, key)
                ));
            }
        }
    }
    Ok(())
}
