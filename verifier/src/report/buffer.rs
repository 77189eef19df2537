//! The log as a text that is kept, within bounds.

use super::Trace;

/// Bytes that a [`Log`] keeps unless it is told otherwise.
const LOG_CAP: usize = 128 << 20;

/// Keeps the log: all of it, or, where it grows beyond a cap, its end, as a kernel's buffer does.
#[derive(Clone, Debug)]
pub struct Log {
    level: u32,
    cap: usize,
    text: String,
    /// Bytes that were dropped at the beginning.
    dropped: usize,
}

impl Default for Log {
    fn default() -> Log {
        Log::new(0)
    }
}

impl Log {
    /// An empty log of that level, of at most 128 MiB.
    pub fn new(level: u32) -> Log {
        Log::with_cap(level, LOG_CAP)
    }

    /// An empty log of that level, of at most `cap` bytes and one piece more. The log of a million
    /// instructions can take gigabytes.
    pub fn with_cap(level: u32, cap: usize) -> Log {
        Log {
            level,
            cap,
            text: String::new(),
            dropped: 0,
        }
    }

    /// The text so far; its end, if bytes were dropped.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes that were dropped at the beginning to keep within the cap.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Drops whole lines until half of the cap is free.
    fn make_room(&mut self) {
        let keep = self.cap / 2;
        let from = self.text.len().saturating_sub(keep);
        let line = self
            .text
            .as_bytes()
            .iter()
            .skip(from)
            .position(|&byte| byte == b'\n');
        let end = line.map_or(self.text.len(), |at| from + at + 1);
        self.text.drain(..end);
        self.dropped += end;
    }
}

impl Trace for Log {
    fn level(&self) -> u32 {
        self.level
    }

    fn write(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() > self.cap {
            self.make_room();
        }
    }

    fn position(&self) -> usize {
        self.dropped + self.text.len()
    }

    fn rewind(&mut self, position: usize) {
        match position.checked_sub(self.dropped) {
            Some(len) => self.text.truncate(len),
            // What is gone back to was dropped.
            None => {
                self.text.clear();
                self.dropped = position;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_beyond_its_cap_keeps_its_end_in_whole_lines() {
        let mut log = Log::with_cap(2, 100);
        for n in 0..1000 {
            log.write(&format!("line {n}\n"));
            assert!(log.text().len() <= 100);
            assert!(log.text().starts_with("line "));
            assert!(log.text().ends_with(&format!("line {n}\n")));
        }
        let all: usize = (0..1000).map(|n| format!("line {n}\n").len()).sum();
        assert_eq!(log.dropped() + log.text().len(), all);
        assert_eq!(log.position(), all);
    }

    #[test]
    fn going_back_reaches_what_is_left() {
        let mut log = Log::with_cap(1, 40);
        log.write("a\n");
        let early = log.position();
        log.write(&"b\n".repeat(15));
        let late = log.position();
        log.write(&"c\n".repeat(5));
        assert!(log.dropped() > 0);
        log.rewind(late);
        assert!(log.text().ends_with("b\n"));
        assert_eq!(log.position(), late);
        log.rewind(early);
        assert_eq!((log.text(), log.position()), ("", early));
        log.write("d\n");
        assert_eq!(log.text(), "d\n");
    }
}
