//! Verifier cases: small programs with their claims, asked of the verifier and of the running kernel.
//!
//! Each file in `cases/` holds programs in assembly. The same claim is put to both, so that it cannot
//! be wrong in the same way on both sides; of accepted programs the counts are compared too. Without a
//! kernel of the reference series, or without the privilege to load, that half is skipped and said so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a skipped half says so")]

use std::path::Path;
use std::sync::Arc;

use skep_asm::Options;
use skep_asm::cases::{self, Case, Claim};
use skep_btf::{Btf, Kind};
use skep_kernel::{Answer, Kernel, LoadOptions, LoadOutcome, vmlinux_btf};
use skep_spec::{AttachType, Facts, Profile, ProgType, ProgramSpec};
use skep_verifier::report::{self, Silent};
use skep_verifier::{Config, Verdict, verify};

/// Puts numbers in the place of `{struct.member}`, `{struct.member+4}` and `{struct}`: offsets and sizes
/// in the kernel's types; of `{id:struct}`, its id there, and of `{type:struct}`, its id in the program's
/// own types. The place if the kernel's types are not known or have no such member.
fn with_numbers<'a>(
    text: &'a str,
    btf: Option<&Btf>,
    own: Option<&Btf>,
) -> Result<String, &'a str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        let place = behind[1..].split('}').next().unwrap_or("");
        let is_place = place.starts_with(|c: char| c.is_ascii_alphabetic())
            && place
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.+:".contains(c));
        if is_place {
            let number = match place.strip_prefix("type:") {
                // Which types a program has is known only once it was assembled.
                Some(name) => own.map_or(Some(0), |own| id_of(name, own)),
                None => btf.and_then(|btf| number_of(place, btf)),
            };
            let number = number.ok_or(place)?;
            out.push_str(&number.to_string());
            rest = &behind[place.len() + 2..];
        } else {
            out.push('{');
            rest = &behind[1..];
        }
    }
    Ok(out + rest)
}

fn id_of(name: &str, btf: &Btf) -> Option<u64> {
    btf.find_by_name(Kind::Struct, name).map(|id| id.0.into())
}

fn number_of(place: &str, btf: &Btf) -> Option<u64> {
    if let Some(name) = place.strip_prefix("id:") {
        return id_of(name, btf);
    }
    let (place, more) = match place.split_once('+') {
        Some((place, more)) => (place, more.parse().ok()?),
        None => (place, 0),
    };
    let structure = |name| btf.find_by_name(Kind::Struct, name);
    Some(
        more + match place.split_once('.') {
            Some((name, member)) => btf.member(structure(name)?, member).ok()??.bit_offset / 8,
            None => u64::from(btf.size_of(structure(place)?).ok()?),
        },
    )
}

/// Gives a program the BTF id of what it attaches to by name, as loaders do; of a member of a structure
/// of functions, which is named `structure.member`, also its index.
fn attach(program: &mut ProgramSpec, btf: &Btf) {
    if let Some((structure, member)) = program.attach_to.split_once('.') {
        let id = btf.find_by_name(Kind::Struct, structure);
        let field = id.and_then(|id| btf.member(id, member).ok()?);
        if let (Some(id), Some(field)) = (id, field) {
            program.attach_btf_id = id.0;
            program.attach = AttachType::new(field.index as u32).unwrap();
        }
        return;
    }
    let (prefix, kind) = if program.attach == AttachType::TraceRawTp {
        ("btf_trace_", Kind::Typedef)
    } else if program.attach == AttachType::TraceIter {
        ("bpf_iter_", Kind::Func)
    } else if program.ty == ProgType::Lsm {
        ("bpf_lsm_", Kind::Func)
    } else {
        ("", Kind::Func)
    };
    let id = btf.find_by_name(kind, &format!("{prefix}{}", program.attach_to));
    program.attach_btf_id = id.map_or(program.attach_btf_id, |id| id.0);
}

/// The cases of one file; `None` if the kernel's types are needed and not known.
fn cases_of(name: &str, text: &str, btf: Option<&Arc<Btf>>) -> Option<Vec<Case>> {
    let kernel = btf.map(AsRef::as_ref);
    if text.contains("call kfunc ") && kernel.is_none() {
        eprintln!("skipped: {name}: the running kernel's types are not known");
        return None;
    }
    let options = Options {
        kernel_btf: btf.cloned(),
        // Structures that are only named by their ids need BTF all the same.
        debug_info: text.contains("{type:"),
        ..Options::default()
    };
    let parse = |own: Option<&Btf>| match with_numbers(text, kernel, own) {
        Ok(text) => {
            let cases = cases::parse(&text, &options);
            Some(cases.unwrap_or_else(|errors| panic!("{name}: {errors}")))
        }
        Err(place) => {
            eprintln!("skipped: {name}: the running kernel's types do not tell {place}");
            None
        }
    };
    let cases = parse(None)?;
    if !text.contains("{type:") {
        return Some(cases);
    }
    let own = cases.first().and_then(|case| case.program.btf.clone());
    parse(own.as_deref())
}

/// All cases, each with the file that it is from. Files that name members of kernel structures need the
/// types of a kernel that has them.
fn all_cases(btf: Option<&Arc<Btf>>) -> Vec<(String, Case)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let Some(cases) = cases_of(&name, &text, btf) else {
            continue;
        };
        for mut case in cases {
            if let (false, Some(btf)) = (case.program.attach_to.is_empty(), btf) {
                attach(&mut case.program, btf);
            }
            all.push((name.clone(), case));
        }
    }
    all
}

fn facts() -> Facts {
    let profile = Profile::linux_6_18();
    let btf = vmlinux_btf().ok().and_then(|bytes| Btf::parse(bytes).ok());
    Facts::new(match btf {
        Some(btf) => profile.with_btf(Arc::new(btf)),
        None => profile,
    })
}

/// What differs from the claim.
fn fault_of(case: &Case, facts: &Facts) -> Option<String> {
    let verdict = verify(&case.program, facts, &Config::default(), &mut Silent);
    match (&case.claim, &verdict) {
        (Claim::Accepted, Verdict::Accepted(_)) => None,
        (Claim::Rejected { message, insn_idx }, Verdict::Rejected(rejection)) => {
            let text = report::message(&rejection.violation, &case.program, facts);
            let last = text.lines().last().unwrap_or("");
            let there = insn_idx.is_none() || *insn_idx == rejection.at;
            let told = last == message && there;
            (!told).then(|| format!("says `{last}` at {:?}", rejection.at))
        }
        (Claim::Undecided { feature, insn_idx }, Verdict::Undecided(unmodelled)) => {
            let there = insn_idx.is_none() || *insn_idx == unmodelled.at;
            let told = *feature == unmodelled.feature && there;
            (!told).then(|| format!("says {unmodelled:?}"))
        }
        (_, Verdict::Accepted(_)) => Some("accepts it".to_owned()),
        (_, Verdict::Rejected(rejection)) => {
            let text = report::message(&rejection.violation, &case.program, facts);
            Some(format!("rejects it: `{text}` at {:?}", rejection.at))
        }
        (_, Verdict::Undecided(unmodelled)) => Some(format!("says {unmodelled:?}")),
    }
}

#[test]
fn the_verifier_says_what_is_claimed() {
    let facts = facts();
    let faults: Vec<String> = all_cases(facts.btf())
        .iter()
        .filter_map(|(file, case)| {
            let fault = fault_of(case, &facts)?;
            Some(format!("{file}:{}: {} {fault}", case.line, case.name))
        })
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Whether a kernel has the type that an argument is said to point to decides the verdict.
#[test]
fn tagged_arguments_need_the_kernels_types() {
    let known = facts();
    let Some(btf) = known.btf() else {
        return eprintln!("skipped: needs a kernel's types");
    };
    let cases = all_cases(Some(btf));
    let facts = Facts::new(Profile::linux_6_18());
    for name in [
        "a_structure_that_the_kernel_has",
        "a_flavour_of_what_the_kernel_has",
        "null_for_a_structure_that_the_kernel_has_not",
    ] {
        let (_, case) = cases.iter().find(|(_, case)| case.name == name).unwrap();
        let verdict = verify(&case.program, &facts, &Config::default(), &mut Silent);
        assert!(matches!(verdict, Verdict::Undecided(_)), "{name}");
    }
}

/// What 6.18.15 under qemu said of programs of which 6.18.44 says the opposite.
#[test]
fn older_kernels_of_the_series_say_otherwise() {
    const CHANGED: [&str; 7] = [
        "a_sign_decides_what_is_left",
        "swapped_bytes_keep_their_bits",
        "a_difference_is_linked",
        "a_sum_in_32_bits_is_linked",
        "a_spill_is_written_somewhere",
        "a_packet_may_end_in_a_subprogram",
        "an_inner_array_may_be_of_another_size",
    ];
    let older = Facts::new(Profile::linux_6_18_15());
    let newer = Facts::new(Profile::linux_6_18());
    let cases = all_cases(None);
    let of_series = cases.iter().filter(|(file, _)| file.ends_with("series.s"));
    let accepts = |facts, case: &Case| {
        let verdict = verify(&case.program, facts, &Config::default(), &mut Silent);
        matches!(verdict, Verdict::Accepted(_))
    };
    let changed: Vec<&str> = of_series
        .filter(|(_, case)| accepts(&older, case) != accepts(&newer, case))
        .map(|(_, case)| case.name.as_str())
        .collect();
    assert_eq!(changed, CHANGED);
}

/// What 6.18.15 under qemu said of the same program that 6.18.44 rejects.
#[test]
fn buffers_are_not_compared_with_null_before_a_fix_of_the_series() {
    let facts = facts();
    let Some(btf) = facts.btf() else {
        return eprintln!("skipped: needs a kernel's types");
    };
    let older = Facts::new(Profile::linux_6_18_15().with_btf(Arc::clone(btf)));
    let cases = all_cases(Some(btf));
    let named = |(_, case): &&(String, Case)| case.name == "a_value_that_may_be_null";
    let (_, case) = cases.iter().find(named).unwrap();
    let verdict = |facts| verify(&case.program, facts, &Config::default(), &mut Silent);
    assert!(matches!(verdict(&older), Verdict::Accepted(_)));
    assert!(matches!(verdict(&facts), Verdict::Rejected(_)));
}

/// How the verifier's counts differ from the kernel's.
fn miscount_of(case: &Case, facts: &Facts, outcome: &LoadOutcome) -> Option<String> {
    let Verdict::Accepted(accepted) = verify(&case.program, facts, &Config::default(), &mut Silent)
    else {
        return None;
    };
    let (own, kernel) = (accepted.stats, outcome.stats.as_ref()?);
    let counts = [
        own.total_insns,
        own.total_states.into(),
        own.peak_states.into(),
    ];
    let theirs = [kernel.total_insns, kernel.total_states, kernel.peak_states];
    (counts != theirs).then(|| format!("counts {counts:?}, the kernel {theirs:?}"))
}

#[test]
fn the_kernel_says_what_is_claimed() {
    let kernel = match Kernel::open() {
        Ok(kernel) => kernel,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let version = kernel.version();
    if (version.major, version.minor) != (6, 18) {
        return eprintln!("skipped: the kernel is {}, not 6.18", kernel.release());
    }
    let facts = facts();
    let mut faults = Vec::new();
    let mut asked = 0;
    for (file, case) in all_cases(facts.btf()) {
        let outcome = kernel.load(&case.program, &LoadOptions::default());
        let fault = match (&case.claim, &outcome.answer) {
            (_, Answer::NotJudged(why)) => {
                eprintln!("skipped: {}: {why}", case.name);
                continue;
            }
            (Claim::Undecided { .. }, _) => None,
            (Claim::Accepted, Answer::Accepted) => miscount_of(&case, &facts, &outcome),
            (Claim::Rejected { message, .. }, Answer::Rejected) => (outcome.message != *message)
                .then(|| format!("the kernel says `{}`", outcome.message)),
            (Claim::Accepted, Answer::Rejected) => {
                Some(format!("the kernel rejects it: `{}`", outcome.message))
            }
            (Claim::Rejected { .. }, Answer::Accepted) => Some("the kernel accepts it".to_owned()),
        };
        asked += 1;
        faults.extend(fault.map(|f| format!("{file}:{}: {} {f}", case.line, case.name)));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    eprintln!("{asked} cases asked of {}", kernel.release());
}
