//! Captured load requests against what the loader makes of the same objects.
//!
//! Every field is compared. What differs is explained by a rule that the difference itself must
//! satisfy (the flags are those that the program's own tag asks for, the size was declared as
//! zero, …), or it is unexplained.

use serde_json::Value;
use skep_btf::{Btf, Kind};
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
    /// Ids of the others, by the reason of each difference.
    pub(crate) explained: BTreeMap<&'static str, Vec<String>>,
    /// Differences without a reason.
    pub(crate) unexplained: Vec<String>,
}

/// One field that is not the same.
struct Difference {
    field: &'static str,
    ours: String,
    theirs: String,
    /// The rule that explains it, if one does.
    why: Option<&'static str>,
}

const FLAGS: &str = "the program's tag asks its runner for these flags";
const DECLARED_ZERO: &str = "the object leaves the size to the tool, and kernels refuse zero";
const KERNEL_FLAG: &str = "the kernel adds this flag to maps of devices itself";
const KCONFIG: &str = "values of the recording kernel's configuration";
const TYPE_GIVEN: &str = "the section tells no type; the recorder gave one";
const TARGET: &str = "extensions were recorded as programs of their target's type";
const OTHER: &str = "it was recorded attaching to another program, whose types the id is of";
const DUMMY: &str = "the section names no function of the kernel; the recorder chose one";
const NO_TARGET: &str = "the section names no attach target";
const ADDRESS: &str = "an address of the recording kernel";

type Failure = Box<dyn std::error::Error>;

/// Compares every request of `loads` with the object of that name in `objects`.
pub(crate) fn compare(
    objects: &Path,
    loads: &Path,
    kernel: &Path,
    btfs: &Path,
) -> Result<Report, Failure> {
    let options = Options {
        kernel_btf: Some(Arc::new(Btf::parse(std::fs::read(kernel)?)?)),
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
        let id = text(&request, "id").to_string();
        let (program, asked) = match object {
            Ok(object) => {
                let program = object.program(text(&request, "prog"));
                (program, program.map_or(0, |p| asked_flags(object, p)))
            }
            Err(why) => {
                report.unexplained.push(format!("{id}: not opened: {why}"));
                continue;
            }
        };
        let Some(program) = program else {
            report.unexplained.push(format!("{id}: no such program"));
            continue;
        };
        let comparison = Comparison::new(&request, program, asked, btfs);
        report.same_code += usize::from(comparison.same_code);
        report.equal += usize::from(comparison.found.is_empty());
        for found in comparison.found {
            match found.why {
                Some(why) => report.explained.entry(why).or_default().push(id.clone()),
                None => report.unexplained.push(format!(
                    "{id}: {}: {}, not {}",
                    found.field, found.ours, found.theirs
                )),
            }
        }
    }
    Ok(report)
}

/// The objects of a folder that do not open, each with the reason.
pub(crate) fn unopened(objects: &Path) -> Result<Vec<String>, Failure> {
    let mut failed = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(objects)? {
        let path = entry?.path();
        let name = path.display().to_string();
        count += 1;
        if let Err(why) = open(&name, &std::fs::read(&path)?, &Options::default()) {
            failed.push(format!("{name}: {why}"));
        }
    }
    eprintln!(
        "{}: {count} objects, {} do not open",
        objects.display(),
        failed.len()
    );
    Ok(failed)
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

/// The comparison of one request.
struct Comparison<'a> {
    request: &'a Value,
    program: &'a ProgramSpec,
    /// The flags that the program's tags ask for.
    asked: u64,
    found: Vec<Difference>,
    same_code: bool,
}

impl<'a> Comparison<'a> {
    fn new(request: &'a Value, program: &'a ProgramSpec, asked: u64, btfs: &Path) -> Self {
        let mut all = Comparison {
            request,
            program,
            asked,
            found: Vec::new(),
            same_code: true,
        };
        all.head();
        all.insns();
        all.types(btfs);
        all
    }

    fn needs(&self, what: &str) -> bool {
        let waits = |u: &skep_spec::Unresolved| u.what.starts_with(what);
        self.program.unresolved.iter().any(waits)
    }

    fn note(&mut self, field: &'static str, ours: u64, theirs: u64, why: Option<&'static str>) {
        if ours != theirs {
            self.found.push(Difference {
                field,
                ours: ours.to_string(),
                theirs: theirs.to_string(),
                why,
            });
        }
    }

    /// Type, attach type, flags, attach id, licence, and what could not be resolved.
    fn head(&mut self) {
        let (request, program) = (self.request, self.program);
        let target = self
            .needs("target program with a function")
            .then_some(TARGET);
        let to_program = text(request.get("target").unwrap_or(&Value::Null), "kind") == "prog";
        let given = self
            .needs("program type: ")
            .then_some(TYPE_GIVEN)
            .or(target);
        self.note(
            "type",
            program.ty.number().into(),
            number(request, "prog_type"),
            given,
        );
        let attach = number(request, "expected_attach_type");
        self.note("attach type", program.attach.number().into(), attach, given);
        let id = number(request, "attach_btf_id");
        let no_target = self.needs("attach target ") || self.needs(NO_TARGET);
        let dummy = no_target.then_some(DUMMY);
        let other = to_program.then_some(OTHER).or(target).or(dummy);
        self.note("attach id", program.attach_btf_id.into(), id, other);
        let flags = number(request, "prog_flags");
        let own = u64::from(program.flags.bits());
        let asked = (own | self.asked == flags).then_some(FLAGS);
        self.note("flags", own, flags, asked.or(given));
        if program.license != text(request, "license") {
            self.note("licence", 0, 1, None);
        }
        for unresolved in &program.unresolved {
            let reasons = [
                ("program type: ", TYPE_GIVEN),
                ("target program with a function", TARGET),
                ("address of kernel symbol ", ADDRESS),
                ("configuration value ", KCONFIG),
            ];
            let known = reasons.iter().any(|r| unresolved.what.starts_with(r.0));
            let what = unresolved.what.as_str();
            let other = what == NO_TARGET
                || what.starts_with("attach target ")
                    && (to_program || what.ends_with(": the kernel has none"));
            if !known && !other {
                self.found.push(Difference {
                    field: "unresolved",
                    ours: unresolved.what.clone(),
                    theirs: "nothing".to_string(),
                    why: None,
                });
            }
        }
    }

    /// Instructions must be the same; those that name a map must name the same map.
    fn insns(&mut self) {
        let (request, program) = (self.request, self.program);
        let theirs = bytes(text(request, "insns"));
        let (theirs, _) = theirs.as_chunks::<8>();
        if theirs.len() != program.insns.len() {
            self.same_code = false;
            self.note(
                "slots",
                program.insns.len() as u64,
                theirs.len() as u64,
                None,
            );
            return;
        }
        let maps = request.get("maps").and_then(Value::as_array);
        let maps = maps.map_or(&[][..], Vec::as_slice);
        let mut second = false;
        for (at, (ours, theirs)) in program.insns.iter().zip(theirs).enumerate() {
            let names_map = ours.is_ld_imm64() && matches!(ours.src(), 1 | 2) && !second;
            let is_second = second;
            second = ours.is_ld_imm64() && !is_second;
            let same = if names_map {
                ours.to_le_bytes()[..4] == theirs[..4]
            } else {
                ours.to_le_bytes() == *theirs
            };
            if !same {
                self.same_code = false;
                let first = at - usize::from(is_second);
                let address = program.unresolved.iter().any(|u| {
                    u.insn_idx == first && u.what.starts_with("address of kernel symbol ")
                });
                self.note(
                    "instruction",
                    at as u64,
                    u64::MAX,
                    address.then_some(ADDRESS),
                );
            }
            if !names_map {
                continue;
            }
            let fd = i32::from_le_bytes([theirs[4], theirs[5], theirs[6], theirs[7]]);
            let fd_is = |m: &&Value| m.get("fd").and_then(Value::as_i64) == Some(fd.into());
            let own = usize::try_from(ours.imm)
                .ok()
                .and_then(|i| program.maps.get(i));
            match (own, maps.iter().find(fd_is)) {
                (Some(own), Some(map)) => self.map(own, map),
                // A number that the compiler wrote down names no map here.
                (None, None) if ours.imm == -1 => {}
                _ => {
                    self.same_code = false;
                    self.note("map reference", at as u64, u64::MAX, None);
                }
            }
        }
    }

    fn map(&mut self, own: &MapSpec, map: &Value) {
        if !own.name.starts_with(text(map, "name")) {
            self.same_code = false;
            self.found.push(Difference {
                field: "map name",
                ours: own.name.clone(),
                theirs: text(map, "name").to_string(),
                why: None,
            });
        }
        let zero = |ours: u32| (ours == 0).then_some(DECLARED_ZERO);
        let sizes = [
            ("map key", own.key_size, "key"),
            ("map value", own.value_size, "value"),
            ("map entries", own.max_entries, "max"),
        ];
        for (field, ours, key) in sizes {
            self.note(field, ours.into(), number(map, key), zero(ours));
        }
        let (own_flags, flags) = (u64::from(own.flags.bits()), number(map, "flags"));
        // Device maps and their hashes.
        let is_devmap = matches!(own.ty.number(), 14 | 25);
        let added = (is_devmap && own_flags | 0x80 == flags).then_some(KERNEL_FLAG);
        self.note("map flags", own_flags, flags, added);
        let numbers = [
            ("map type", u64::from(own.ty.number()), "type"),
            ("map extra", own.extra, "extra"),
            ("map key type", own.btf_key_id.into(), "btf_key"),
            ("map value type", own.btf_value_id.into(), "btf_value"),
            (
                "map kernel type",
                own.vmlinux_value_id.into(),
                "vmlinux_value_id",
            ),
            ("map frozen", own.frozen.into(), "frozen"),
        ];
        for (field, ours, key) in numbers {
            self.note(field, ours, number(map, key), None);
        }
        if let Some(theirs) = map.get("init").and_then(Value::as_str) {
            let zeros = vec![0; own.value_size as usize];
            if own.init.as_ref().unwrap_or(&zeros) != &bytes(theirs) {
                let config = own.name.ends_with(".kconfig").then_some(KCONFIG);
                self.note("map contents", 0, 1, config);
            }
        }
        if let (Some(inner), Some(theirs)) = (&own.inner, map.get("inner")) {
            let numbers = [
                ("inner map type", inner.ty.number(), "type"),
                ("inner map key", inner.key_size, "key"),
                ("inner map value", inner.value_size, "value"),
                ("inner map entries", inner.max_entries, "max"),
                ("inner map flags", inner.flags.bits(), "flags"),
            ];
            for (field, ours, key) in numbers {
                self.note(field, ours.into(), number(theirs, key), None);
            }
        }
    }

    /// Function records and the program's BTF.
    fn types(&mut self, btfs: &Path) {
        let (request, program) = (self.request, self.program);
        let funcs = program.func_info.iter();
        let funcs: Vec<u8> = funcs
            .flat_map(|f| [f.insn_off.to_le_bytes(), f.type_id.to_le_bytes()].concat())
            .collect();
        let theirs = bytes(text(request, "func_info"));
        if funcs != theirs {
            self.note(
                "function records",
                funcs.len() as u64,
                theirs.len() as u64 + 1,
                None,
            );
        }
        if let Some(name) = request.get("btf").and_then(Value::as_str) {
            let theirs = std::fs::read(btfs.join(format!("{name}.btf"))).unwrap_or_default();
            let ours = program.btf.as_ref().map_or(&[][..], |b| b.bytes());
            if ours != theirs {
                self.note("types", ours.len() as u64, theirs.len() as u64 + 1, None);
            }
        }
    }
}

/// The flags that the program's own tags ask its runner for.
fn asked_flags(object: &ObjectSpec, program: &ProgramSpec) -> u64 {
    const TAG: &str = "comment:test_prog_flags=";
    let Some(btf) = &object.btf else { return 0 };
    let function = btf.find_by_name(Kind::Func, &program.name);
    let mut flags = 0;
    for id in btf.ids().filter(|id| btf.kind(*id) == Some(Kind::DeclTag)) {
        let Some(tag) = btf.ty(id).ok().and_then(|ty| ty.as_decl_tag()) else {
            continue;
        };
        if Some(tag.ty) != function {
            continue;
        }
        let Some(name) = tag.name().strip_prefix(TAG) else {
            continue;
        };
        flags |= match name {
            "BPF_F_STRICT_ALIGNMENT" => 1 << 0,
            "BPF_F_ANY_ALIGNMENT" => 1 << 1,
            "BPF_F_TEST_RND_HI32" => 1 << 2,
            "BPF_F_TEST_STATE_FREQ" => 1 << 3,
            "BPF_F_SLEEPABLE" => 1 << 4,
            "BPF_F_XDP_HAS_FRAGS" => 1 << 5,
            "BPF_F_TEST_REG_INVARIANTS" => 1 << 7,
            number => number.parse().unwrap_or(0),
        };
    }
    flags
}
