//! Names and places of the files in a tar archive (ustar, with GNU's and POSIX's long names).

use std::ops::Range;

const BLOCK: usize = 512;

/// The regular files of an archive: name and where the contents lie. `Err` says at which byte the
/// archive is damaged.
pub(crate) fn entries(archive: &[u8]) -> Result<Vec<(String, Range<usize>)>, usize> {
    let mut entries = Vec::new();
    let mut at = 0;
    let mut long_name = None;
    while let Some(header) = archive.get(at..at + BLOCK) {
        if header.iter().all(|&b| b == 0) {
            return Ok(entries);
        }
        if !checksum_holds(header) {
            return Err(at);
        }
        let size = octal(header.get(124..136).unwrap_or_default()).ok_or(at)?;
        let start = at + BLOCK;
        let contents = start..start.checked_add(size).ok_or(at)?;
        let bytes = archive.get(contents.clone()).ok_or(at)?;
        match header.get(156) {
            Some(b'L') => long_name = Some(text(bytes)),
            Some(b'x') => long_name = pax_path(bytes).or(long_name),
            Some(b'0' | 0) => {
                let name = long_name.take().unwrap_or_else(|| name_of(header));
                entries.push((name, contents));
            }
            // Folders, links and the like.
            _ => long_name = None,
        }
        at = start.checked_add(size.next_multiple_of(BLOCK)).ok_or(at)?;
    }
    // An archive may end without its two empty blocks, but not inside one.
    if at >= archive.len() {
        Ok(entries)
    } else {
        Err(at)
    }
}

/// The sum of the header's bytes with the sum's own field counted as blanks.
fn checksum_holds(header: &[u8]) -> bool {
    let sum: usize = header
        .iter()
        .enumerate()
        .map(|(i, &b)| {
            if (148..156).contains(&i) {
                usize::from(b' ')
            } else {
                usize::from(b)
            }
        })
        .sum();
    octal(header.get(148..156).unwrap_or_default()) == Some(sum)
}

fn octal(field: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(field).ok()?;
    let digits = digits.trim_matches(|c: char| c == '\0' || c == ' ');
    usize::from_str_radix(digits, 8).ok()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn name_of(header: &[u8]) -> String {
    let field = |range: Range<usize>| text(header.get(range).unwrap_or_default());
    let (name, prefix) = (field(0..100), field(345..500));
    // GNU archives keep times where POSIX ones keep the prefix.
    let posix = header.get(257..263) == Some(b"ustar\0");
    if posix && !prefix.is_empty() {
        format!("{prefix}/{name}")
    } else {
        name
    }
}

/// The `path` record of an extended header: `LENGTH path=NAME\n`.
fn pax_path(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let blank = rest.iter().position(|&b| b == b' ')?;
        let len: usize = std::str::from_utf8(rest.get(..blank)?).ok()?.parse().ok()?;
        let record = rest.get(blank + 1..len)?;
        if let Some(path) = record.strip_prefix(b"path=") {
            return Some(text(path.strip_suffix(b"\n").unwrap_or(path)));
        }
        rest = rest.get(len..)?;
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One file as an archive has it.
    pub(crate) fn file(name: &str, kind: u8, contents: &[u8]) -> Vec<u8> {
        let mut out = vec![0; BLOCK];
        out[..name.len()].copy_from_slice(name.as_bytes());
        out[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        out[156] = kind;
        out[257..263].copy_from_slice(b"ustar\0");
        out[148..156].fill(b' ');
        let sum: u32 = out.iter().map(|&b| u32::from(b)).sum();
        out[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        out[154] = 0;
        out.extend_from_slice(contents);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    #[test]
    fn files_are_found_and_folders_passed_over() {
        let mut tar = file("btf/", b'5', b"");
        tar.extend(file("btf/a.btf", b'0', b"hello"));
        tar.extend(file("././@LongLink", b'L', b"btf/long.btf\0"));
        tar.extend(file("btf/lo", b'0', &[7; 513]));
        tar.extend(file("x", b'x', b"20 path=btf/pax.btf\n"));
        tar.extend(file("btf/pa", b'0', b""));
        tar.extend([0; 1024]);
        let entries = entries(&tar).unwrap();
        let names: Vec<_> = entries.iter().map(|e| e.0.as_str()).collect();
        assert_eq!(names, ["btf/a.btf", "btf/long.btf", "btf/pax.btf"]);
        assert_eq!(&tar[entries[0].1.clone()], b"hello");
        assert_eq!(entries[1].1.len(), 513);
    }

    #[test]
    fn damage_is_an_error_or_an_end_never_a_panic() {
        let tar = file("a", b'0', b"hello");
        assert_eq!(entries(&tar[..514]).unwrap_err(), 0, "contents cut short");
        assert_eq!(
            entries(&tar[..517]).unwrap().len(),
            1,
            "only padding is missing"
        );
        assert!(entries(b"short").is_err());
        assert!(entries(b"").unwrap().is_empty());
        let mut bad = tar.clone();
        bad[0] = b'b';
        assert_eq!(entries(&bad).unwrap_err(), 0);
    }
}
