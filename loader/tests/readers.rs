//! Two readers of ELF agree: what `survey` tells of an object is what goblin reads in it.
//!
//! Objects are those of the project's corpus and, if it is there, of the shared one (`SKEP_CORPUS`
//! or `../shared/corpus`); those with damaged contents must look the same to both as long as both
//! open them.

use goblin::elf::Elf;
use proptest::prelude::*;
use skep_loader::{RelocInfo, SectionInfo, Survey, SymbolInfo, survey};
use std::path::{Path, PathBuf};
use std::process::Command;

const SETS: [&str; 3] = ["xdp-tools-1.3", "libbpf-tools-0.26", "selftests-6.12"];

/// What stands for a name that cannot be read.
const NO_NAME: &str = "<?>";

/// A relocation without what only tells loaders apart.
fn place(r: &RelocInfo) -> (usize, u64, usize, u32) {
    (r.section, r.offset, r.symbol, r.kind)
}

/// What goblin reads, told as a survey.
fn goblins(bytes: &[u8]) -> Option<Survey> {
    let elf = Elf::parse(bytes).ok()?;
    let sections = elf.section_headers.iter().map(|s| SectionInfo {
        name: elf
            .shdr_strtab
            .get_at(s.sh_name)
            .unwrap_or(NO_NAME)
            .to_string(),
        kind: s.sh_type,
        flags: s.sh_flags,
        offset: s.sh_offset,
        size: s.sh_size,
        role: "",
    });
    let sections: Vec<_> = sections.collect();
    let symbols = elf.syms.iter().map(|s| SymbolInfo {
        name: elf.strtab.get_at(s.st_name).unwrap_or(NO_NAME).to_string(),
        section: (s.st_shndx != 0 && s.st_shndx < 0xff00).then_some(s.st_shndx),
        value: s.st_value,
        size: s.st_size,
        kind: match s.st_info & 0xf {
            0 => "none",
            1 => "object",
            2 => "func",
            3 => "section",
            _ => "other",
        },
        binding: match s.st_info >> 4 {
            1 => "global",
            2 => "weak",
            _ => "local",
        },
        hidden: matches!(s.st_other & 3, 1 | 2),
    });
    let symbols: Vec<_> = symbols.collect();
    let mut relocations = Vec::new();
    for (index, list) in &elf.shdr_relocs {
        let target = elf.section_headers.get(*index)?.sh_info as usize;
        sections.get(target)?;
        relocations.extend(list.iter().map(|r| RelocInfo {
            section: target,
            offset: r.r_offset,
            symbol: r.r_sym,
            kind: r.r_type,
        }));
    }
    Some(Survey {
        big_endian: !elf.little_endian,
        sections,
        symbols,
        relocations,
    })
}

/// Compares both; `None` if one of them does not open the object.
fn compare(name: &str, bytes: &[u8]) -> Option<()> {
    let mut ours = survey(bytes).ok()?;
    let mut theirs = goblins(bytes)?;
    ours.sections.iter_mut().for_each(|s| s.role = "");
    // Those of debugging information are left out; where the readers take a name for another, by ours.
    theirs.relocations.retain(|relocation| {
        let name = ours
            .sections
            .get(relocation.section)
            .map_or("", |s| &s.name);
        !name.starts_with(".debug_") && !name.starts_with(".BTF")
    });
    for relocations in [&mut ours.relocations, &mut theirs.relocations] {
        relocations.sort_by_key(place);
    }
    assert_eq!(ours.big_endian, theirs.big_endian, "{name}");
    // Of a name that its table cuts short, one reader shows what there is, the other nothing.
    for (own, their) in ours.sections.iter().zip(&mut theirs.sections) {
        if own.name == NO_NAME {
            their.name = NO_NAME.to_string();
        }
    }
    for (own, their) in ours.symbols.iter().zip(&mut theirs.symbols) {
        if own.name == NO_NAME {
            their.name = NO_NAME.to_string();
        }
    }
    same(name, &ours.sections, &theirs.sections);
    same(name, &ours.symbols, &theirs.symbols);
    same(name, &ours.relocations, &theirs.relocations);
    Some(())
}

/// Compares row by row, so that a failure shows the row.
fn same<T: PartialEq + std::fmt::Debug>(name: &str, ours: &[T], theirs: &[T]) {
    for (own, their) in ours.iter().zip(theirs) {
        assert_eq!(own, their, "{name}");
    }
    assert_eq!(ours.len(), theirs.len(), "{name}");
}

fn objects(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|e| e.path());
    let mut found: Vec<_> = paths
        .filter(|p| p.extension().is_some_and(|e| e == "o"))
        .collect();
    found.sort();
    found
}

fn own_objects() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = objects(&root.join("../corpus/objects"));
    found.extend(objects(&root.join("../corpus/objects/unjudged")));
    found.extend(objects(&root.join("tests/data")));
    assert!(found.len() > 20);
    found
}

#[test]
fn both_readers_see_the_same_in_our_objects() {
    for path in own_objects() {
        let bytes = std::fs::read(&path).unwrap();
        let opened = compare(&path.display().to_string(), &bytes);
        assert!(opened.is_some(), "{}: not opened", path.display());
    }
}

#[test]
fn both_readers_see_the_same_in_the_shared_objects() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("SKEP_CORPUS").map_or(beside, PathBuf::from);
    for set in SETS {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("readers-{set}"));
        let archive = root.join(format!("{set}.tar.xz"));
        let made = std::fs::create_dir_all(&to).is_ok()
            && Command::new("tar")
                .arg("-xJf")
                .arg(&archive)
                .arg("-C")
                .arg(&to)
                .output()
                .is_ok_and(|o| o.status.success());
        if !made {
            eprintln!("skipped: {} cannot be unpacked", archive.display());
            continue;
        }
        let all = objects(&to.join(set));
        for path in &all {
            let bytes = std::fs::read(path).unwrap();
            assert!(
                compare(&path.display().to_string(), &bytes).is_some(),
                "{path:?}"
            );
        }
        eprintln!("{set}: {} objects", all.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_readers_see_the_same_in_damaged_objects(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let all = own_objects();
        let path = which.get(&all);
        let mut bytes = std::fs::read(path).unwrap();
        // A damaged header or section table is read as each reader likes: which of two symbol
        // tables counts, say. Contents must look the same.
        let table = usize::from_le_bytes(bytes[40..48].try_into().unwrap());
        prop_assume!(table > 64 && table < bytes.len());
        for (at, value) in damage {
            bytes[64 + at.index(table - 64)] = value;
        }
        let _ = compare(&path.display().to_string(), &bytes);
    }
}
