//! `PARITY.md`: what the simulated kernel has of the real one, written from the tables and kept current.
//!
//! With `SKEP_BLESS` set, the file is written anew instead of being compared.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skep_corpus::read_btf;
use skep_corpus::verdicts::{Verdict, read_known_gaps, read_verdicts};
use skep_loader::{Options, open};
use skep_sim::helpers::{find, simulated_kfuncs};
use skep_sim::{Sim, input_of};
use skep_spec::tables::helpers::HELPERS;
use skep_spec::tables::maps;
use skep_spec::{MapFlags, MapSpec, MapType, ProgType};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Accepted programs of the corpus, by type; those that the kernel did not look at count too.
fn programs() -> BTreeMap<ProgType, BTreeSet<String>> {
    let corpus = root().join("corpus");
    let options = Options {
        kernel_btf: Some(Arc::new(
            read_btf(&corpus.join("kernel-types.btf")).unwrap(),
        )),
        ..Options::default()
    };
    let mut found: BTreeMap<ProgType, BTreeSet<String>> = BTreeMap::new();
    for row in read_verdicts(&corpus.join("verdicts.tsv")).unwrap() {
        if row.verdict == Verdict::Rejected {
            continue;
        }
        let bytes = fs::read(corpus.join("objects").join(&row.object)).unwrap();
        let object = open(&row.object, &bytes, &options).unwrap();
        let ty = object.program(&row.program).unwrap().ty;
        found.entry(ty).or_default().insert(row.program);
    }
    found
}

fn types(text: &mut String) {
    let programs = programs();
    writeln!(text, "## Program types\n").unwrap();
    writeln!(text, "| number | type | runs on | in the corpus |").unwrap();
    writeln!(text, "|---|---|---|---|").unwrap();
    for ty in ProgType::all().filter(|ty| *ty != ProgType::Unspec) {
        let names = programs.get(&ty).cloned().unwrap_or_default();
        let mut shown: Vec<_> = names.iter().take(3).map(|n| format!("`{n}`")).collect();
        if names.len() > shown.len() {
            shown.push(format!("{} more", names.len() - shown.len()));
        }
        let (number, input) = (ty.number(), input_of(ty));
        writeln!(text, "| {number} | {ty} | {input} | {} |", shown.join(", ")).unwrap();
    }
}

/// A request that a kernel would take for a map of that type.
fn example(ty: MapType) -> MapSpec {
    let sized = |key, value, entries| MapSpec::new("m", ty, key, value, entries);
    let with = |spec: MapSpec, flags| MapSpec { flags, ..spec };
    match ty {
        MapType::Queue | MapType::Stack | MapType::BloomFilter => sized(0, 8, 4),
        MapType::Ringbuf | MapType::UserRingbuf => sized(0, 0, 4096),
        MapType::SkStorage
        | MapType::TaskStorage
        | MapType::InodeStorage
        | MapType::CgrpStorage => with(sized(4, 8, 0), MapFlags::NO_PREALLOC),
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => sized(16, 8, 0),
        MapType::LpmTrie => with(sized(8, 8, 4), MapFlags::NO_PREALLOC),
        MapType::StructOps => sized(4, 8, 1),
        MapType::Arena => with(sized(0, 0, 4), MapFlags::MMAPABLE),
        MapType::Sockmap | MapType::Sockhash | MapType::ReuseportSockarray => sized(4, 8, 4),
        MapType::Unspec
        | MapType::Hash
        | MapType::Array
        | MapType::PercpuHash
        | MapType::PercpuArray
        | MapType::StackTrace
        | MapType::LruHash
        | MapType::LruPercpuHash
        | MapType::InsnArray
        | MapType::Rhash => sized(4, 8, 4),
        MapType::ProgArray
        | MapType::PerfEventArray
        | MapType::CgroupArray
        | MapType::ArrayOfMaps
        | MapType::HashOfMaps
        | MapType::Devmap
        | MapType::DevmapHash
        | MapType::Cpumap
        | MapType::Xskmap => sized(4, 4, 4),
    }
}

/// How user space reaches what has no keys.
const OTHERWISE: &[(MapType, &str)] = &[
    (MapType::Queue, "peek and pop"),
    (MapType::Stack, "peek and pop"),
    (MapType::Ringbuf, "records are consumed"),
    (MapType::UserRingbuf, "samples are produced"),
    (MapType::Arena, "pages"),
    (MapType::BloomFilter, "push"),
    (MapType::StructOps, "one value"),
];

fn map_types(text: &mut String) {
    writeln!(text, "\n## Map types\n").unwrap();
    writeln!(text, "| number | type | made | contents for user space |").unwrap();
    writeln!(text, "|---|---|---|---|").unwrap();
    for ty in MapType::all().filter(|ty| *ty != MapType::Unspec) {
        let number = ty.number();
        if maps::of(ty).is_none() {
            let why = "no: the reference kernel has no such type";
            writeln!(text, "| {number} | {ty} | {why} | |").unwrap();
            continue;
        }
        let mut sim = Sim::new(&[Arc::new(example(ty))]).unwrap_or_else(|e| panic!("{ty}: {e}"));
        let id = sim.map("m").unwrap();
        let walked = match sim.map_entries(id) {
            Ok(_) => "key by key".to_owned(),
            Err(errno) => format!("{errno}"),
        };
        let own = OTHERWISE.iter().find(|row| row.0 == ty);
        let walked = own.map_or(walked, |row| row.1.to_owned());
        writeln!(text, "| {number} | {ty} | yes | {walked} |").unwrap();
    }
}

fn helper_table(text: &mut String) {
    let mut rows: BTreeMap<u32, (&str, bool)> = BTreeMap::new();
    for row in HELPERS {
        let runs = ProgType::all().any(|ty| find(row.id as i32, ty).is_ok());
        rows.insert(row.id, (row.name, runs));
    }
    let have = rows.values().filter(|row| row.1).count();
    writeln!(text, "\n## Helpers\n").unwrap();
    writeln!(
        text,
        "{have} of {} are simulated; a call of another one ends the run with its name.\n",
        rows.len()
    )
    .unwrap();
    writeln!(text, "| number | helper | simulated |").unwrap();
    writeln!(text, "|---|---|---|").unwrap();
    for (id, (name, runs)) in rows {
        let word = if runs { "yes" } else { "no" };
        writeln!(text, "| {id} | `{name}` | {word} |").unwrap();
    }
    let kfuncs: BTreeSet<_> = simulated_kfuncs().collect();
    writeln!(text, "\n## Kernel functions\n").unwrap();
    writeln!(text, "{} are simulated.\n", kfuncs.len()).unwrap();
    for name in kfuncs {
        writeln!(text, "- `{name}`").unwrap();
    }
}

fn gaps(text: &mut String) {
    let gaps = read_known_gaps(&root().join("corpus/known_gaps.tsv")).unwrap();
    let mut reasons: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for gap in gaps {
        *reasons.entry((gap.kind.name(), gap.reason)).or_default() += 1;
    }
    writeln!(text, "\n## Known differences\n").unwrap();
    writeln!(
        text,
        "Program by program in `corpus/known_gaps.tsv`; here by reason.\n"
    )
    .unwrap();
    writeln!(text, "| what | programs | reason |").unwrap();
    writeln!(text, "|---|---|---|").unwrap();
    for ((kind, reason), count) in reasons {
        writeln!(text, "| {kind} | {count} | {reason} |").unwrap();
    }
}

#[test]
fn the_page_says_what_the_tables_say() {
    let mut text = String::from(
        "# Parity with Linux\n\n\
         What the simulated kernel has of Linux 6.18, written from its tables.\n\
         `SKEP_BLESS=1 cargo test -p skep-cli --test parity` writes this page anew.\n\n",
    );
    types(&mut text);
    map_types(&mut text);
    helper_table(&mut text);
    gaps(&mut text);
    let page = root().join("PARITY.md");
    if std::env::var_os("SKEP_BLESS").is_some() {
        fs::write(&page, &text).unwrap();
    }
    let have = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        have == text,
        "PARITY.md is out of date: SKEP_BLESS=1 cargo test -p skep-cli --test parity"
    );
}
