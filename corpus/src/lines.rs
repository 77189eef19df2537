//! Lines of a stream, each bounded in length.

use std::io::{self, BufRead};

/// Bytes of a line at most. A request of a million instructions takes about 60 MB.
const MAX_LINE: usize = 128 << 20;

/// Reads lines one by one and counts them.
pub(crate) struct Lines<R> {
    source: R,
    number: u64,
    line: Vec<u8>,
}

/// What came of one line.
pub(crate) enum Line<'a> {
    /// Its bytes without the line feed.
    Bytes(&'a [u8]),
    /// It was longer than a line may be, and was passed over.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(source: R) -> Lines<R> {
        Lines {
            source,
            number: 0,
            line: Vec::new(),
        }
    }

    /// Number of the line read last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut too_long = false;
        let mut any = false;
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|&b| b == b'\n');
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            too_long |= self.line.len() + part.len() > MAX_LINE;
            if !too_long {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.source.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(if too_long {
            Line::TooLong
        } else {
            Line::Bytes(&self.line)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_a_line_feed_or_the_end() {
        let mut lines = Lines::new(io::BufReader::with_capacity(3, &b"one\n\nthree and"[..]));
        let mut seen = Vec::new();
        while let Some(Line::Bytes(line)) = lines.next().unwrap() {
            seen.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(seen, ["one", "", "three and"]);
        assert_eq!(lines.number(), 3);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let source = io::BufReader::new(io::Read::take(io::repeat(b'x'), MAX_LINE as u64 + 7));
        let mut lines = Lines::new(source);
        assert!(matches!(lines.next().unwrap(), Some(Line::TooLong)));
        assert!(lines.next().unwrap().is_none());
    }
}
