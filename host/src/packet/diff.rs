//! How a packet differs from another, as lines for people.
//!
//! Packets of one length differ in rows of 16 bytes. Where the length changed, what is equal at both
//! ends is left out and the middle is shown: bytes that were put in or taken out.

/// A line of a difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Whether it shows the packet as it became; else as it was.
    pub is_new: bool,
    /// Offset of the first byte.
    pub off: usize,
    /// The bytes, each with whether it differs.
    pub bytes: Vec<(u8, bool)>,
}

impl Line {
    /// Offset and hex digits.
    pub fn text(&self) -> String {
        let hex: Vec<_> = self
            .bytes
            .iter()
            .map(|(byte, _)| format!("{byte:02x}"))
            .collect();
        format!("{:04x}  {}", self.off, hex.join(" "))
    }
}

/// Bytes in a row.
const ROW: usize = 16;
/// Rows that are shown of one side.
const MOST_ROWS: usize = 32;

/// The rows in which two packets differ.
pub fn rows(old: &[u8], new: &[u8]) -> Vec<Line> {
    if old.len() == new.len() {
        same_length(old, new)
    } else {
        middle(old, new)
    }
}

fn same_length(old: &[u8], new: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (row, (was, is)) in old.chunks(ROW).zip(new.chunks(ROW)).enumerate() {
        if was == is || lines.len() >= 2 * MOST_ROWS {
            continue;
        }
        let marked = |bytes: &[u8]| {
            let pairs = bytes.iter().zip(was.iter().zip(is));
            pairs.map(|(byte, (a, b))| (*byte, a != b)).collect()
        };
        let off = row * ROW;
        lines.push(Line {
            is_new: false,
            off,
            bytes: marked(was),
        });
        lines.push(Line {
            is_new: true,
            off,
            bytes: marked(is),
        });
    }
    lines
}

fn middle(old: &[u8], new: &[u8]) -> Vec<Line> {
    let shorter = old.len().min(new.len());
    let equal = |(a, b): &(&u8, &u8)| a == b;
    let front = old.iter().zip(new).take_while(equal).count();
    let back = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(equal)
        .count();
    let back = back.min(shorter - front);
    let mut lines = Vec::new();
    for (is_new, bytes) in [(false, old), (true, new)] {
        let part = bytes.get(front..bytes.len() - back).unwrap_or(&[]);
        for (row, chunk) in part.chunks(ROW).take(MOST_ROWS).enumerate() {
            let bytes = chunk.iter().map(|byte| (*byte, true)).collect();
            lines.push(Line {
                is_new,
                off: front + row * ROW,
                bytes,
            });
        }
    }
    lines
}

/// Bytes at the same place that differ, or how the lengths do.
pub fn summary(old: &[u8], new: &[u8]) -> String {
    if old.len() != new.len() {
        return format!("{} -> {} bytes", old.len(), new.len());
    }
    match old.iter().zip(new).filter(|(a, b)| a != b).count() {
        0 => format!("{} bytes, unchanged", new.len()),
        changed => format!("{} bytes, {changed} changed", new.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_shows_its_row_twice() {
        let (old, mut new) = (vec![0; 40], vec![0; 40]);
        new[20] = 7;
        let lines = rows(&old, &new);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].off, lines[1].is_new), (16, true));
        assert_eq!(lines[1].bytes[4], (7, true));
        assert_eq!(summary(&old, &new), "40 bytes, 1 changed");
        assert!(rows(&old, &old).is_empty());
    }

    #[test]
    fn bytes_put_in_the_middle_are_all_there_is() {
        let lines = rows(&[1, 2, 3, 4], &[1, 2, 9, 9, 3, 4]);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text(), "0002  09 09");
        // Where the ends overlap, nothing is counted twice.
        let lines = rows(&[5, 5, 5], &[5, 5]);
        assert_eq!(lines[0].text(), "0002  05");
        assert_eq!(summary(&[0; 4], &[]), "4 -> 0 bytes");
    }
}
