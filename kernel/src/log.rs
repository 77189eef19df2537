//! What a verifier log says: its last meaningful line and the figures at its end.
//!
//! Pure text work, usable on logs from elsewhere. The log mixes messages with the path that led to
//! them (instructions, states, source lines, notes of precision), and ends with statistics.

/// Asks for messages and the path that fails.
pub const LEVEL_PATH: u32 = 1;
/// Asks for every path and every decision.
pub const LEVEL_ALL: u32 = 2;
/// Asks for statistics.
pub const LEVEL_STATS: u32 = 4;

/// The verifier's own figures. They repeat exactly from run to run, except the time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Instructions processed.
    pub total_insns: u64,
    /// The limit on them.
    pub limit: u64,
    /// Most states remembered at one instruction.
    pub max_states_per_insn: u64,
    /// States remembered in all.
    pub total_states: u64,
    /// Most states alive at once.
    pub peak_states: u64,
    /// Longest chain of read marks (0 on kernels that compute liveness beforehand).
    pub mark_read: u64,
    /// Bytes of stack of each subprogram, if the log says.
    pub stack_depth: Option<Vec<u32>>,
    /// How long the verifier took, in µs, if the log says.
    pub time_us: Option<u64>,
}

/// The text of a log buffer: up to its NUL.
pub(crate) fn text(mut buffer: Vec<u8>) -> String {
    let end = buffer.iter().position(|&b| b == 0).unwrap_or(buffer.len());
    buffer.truncate(end);
    match String::from_utf8(buffer) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    }
}

/// The figures at the end of a log, or `None` if the verifier did not get as far as printing them.
pub fn stats(log: &str) -> Option<Stats> {
    // They are the last three lines; the rest is room for what later kernels add.
    let tail = || log.lines().rev().take(16);
    let mut stats = tail().find_map(processed)?;
    stats.stack_depth = tail()
        .find_map(|line| line.strip_prefix("stack depth "))
        .and_then(|list| list.split('+').map(|n| n.trim().parse().ok()).collect());
    stats.time_us = tail()
        .find_map(|line| line.strip_prefix("verification time "))
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    Some(stats)
}

/// `processed 131 insns (limit 1000000) max_states_per_insn 1 total_states 10 peak_states 10 mark_read 5`
fn processed(line: &str) -> Option<Stats> {
    let mut words = line.strip_prefix("processed ")?.split_ascii_whitespace();
    let mut stats = Stats {
        total_insns: words.next()?.parse().ok()?,
        ..Stats::default()
    };
    if words.next() != Some("insns") {
        return None;
    }
    while let Some(word) = words.next() {
        let Some(number) = words.next().map(|n| n.trim_end_matches(')')) else {
            break;
        };
        let Ok(number) = number.parse() else { continue };
        match word {
            "(limit" => stats.limit = number,
            "max_states_per_insn" => stats.max_states_per_insn = number,
            "total_states" => stats.total_states = number,
            "peak_states" => stats.peak_states = number,
            "mark_read" => stats.mark_read = number,
            _ => {}
        }
    }
    Some(stats)
}

/// The last line that says something about the program: what a rejection is compared by.
pub fn last_message(log: &str) -> &str {
    let line = log.lines().rev().find(|line| !is_trace(line));
    let line = line.unwrap_or("");
    // A few messages lack their line feed, and the time comes right behind them.
    let message = line.split_once("verification time ").map(|(m, _)| m);
    message.unwrap_or(line).trim()
}

/// Whether a line shows the path, the figures or nothing.
fn is_trace(line: &str) -> bool {
    let text = line.trim();
    text.is_empty()
        || text.starts_with(';')
        || processed(text).is_some()
        || text == "stack depth"
        || text.starts_with("stack depth ")
        || text.starts_with("verification time ")
        || text.starts_with("from ")
        || text.starts_with("mark_precise: ")
        || text.starts_with("Validating ")
        || text.ends_with(" is safe for any args that match its prototype")
        || starts_with_insn(text)
}

/// `12: (b7) r0 = 0`, `12: R0=…`, `12: safe`.
fn starts_with_insn(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < text.len() && rest.starts_with(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 writes it at level 1 with statistics.
    const REJECTED: &str = "\
Validating global_fn() func#1...
0: R1=scalar() R10=fp0
; int global_fn(int x) @ file.c:3
0: (b7) r0 = 1                        ; R0=1
from 3 to 5: R0=1 R10=fp0
5: (95) exit
Func#1 ('global_fn') is safe for any args that match its prototype
0: (61) r0 = *(u32 *)(r1 +80)
invalid bpf_context access off=80 size=4
verification time 212 usec
stack depth 8+16
processed 4 insns (limit 1000000) max_states_per_insn 2 total_states 3 peak_states 3 mark_read 1
";

    #[test]
    fn a_message_without_a_line_feed_is_told_from_the_time() {
        let log = "invalid type id 7 in func infoverification time 4 usec\nstack depth \n\
                   processed 0 insns (limit 1000000) max_states_per_insn 0\n";
        assert_eq!(last_message(log), "invalid type id 7 in func info");
    }

    #[test]
    fn the_message_is_what_is_neither_path_nor_figure() {
        assert_eq!(
            last_message(REJECTED),
            "invalid bpf_context access off=80 size=4"
        );
        let path = &REJECTED[..REJECTED.find("0: (61)").unwrap()];
        assert_eq!(last_message(path), "");
        assert_eq!(last_message(""), "");
    }

    #[test]
    fn a_message_without_a_line_feed_ends_before_the_time() {
        let log =
            "insn 3 cannot call exception cb directlyverification time 70 usec\nstack depth 0\n";
        assert_eq!(
            last_message(log),
            "insn 3 cannot call exception cb directly"
        );
    }

    #[test]
    fn figures_are_read_whole() {
        let stats = Stats {
            total_insns: 4,
            limit: 1_000_000,
            max_states_per_insn: 2,
            total_states: 3,
            peak_states: 3,
            mark_read: 1,
            stack_depth: Some(vec![8, 16]),
            time_us: Some(212),
        };
        assert_eq!(super::stats(REJECTED), Some(stats));
        assert_eq!(super::stats("R1 !read_ok\n"), None);
        assert_eq!(super::stats("processed a lot\nprocessed 3 bees\n"), None);
    }

    #[test]
    fn any_text_is_a_log() {
        for text in [
            "\n\n",
            ":",
            "7",
            "7:",
            "processed ",
            "stack depth +",
            "\u{fffd}: ",
        ] {
            assert_eq!(super::stats(text), None, "{text:?}");
            assert!(last_message(text).len() <= text.len());
        }
    }
}
