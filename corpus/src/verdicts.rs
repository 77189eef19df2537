//! The project's own evidence: `verdicts.tsv`, what kernels said of the corpus, and
//! `known_gaps.tsv`, the programs on which we differ from a kernel, each with its reason.
//!
//! Both are tab-separated with a header; lines that begin with `#` are comments.

use std::io::Read;
use std::path::Path;

pub use crate::table::TableError;

use crate::table::{Format, Row, read, read_from};

/// What a kernel said of a program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It loads.
    Accepted,
    /// The verifier refuses it.
    Rejected,
    /// The kernel refuses it before it looks: by policy, or because it lacks the type.
    NotLoadable,
}

impl Verdict {
    /// The word in files: veristat's.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Accepted => "success",
            Verdict::Rejected => "failure",
            Verdict::NotLoadable => "not-loadable",
        }
    }
}

/// A row of `verdicts.tsv`: columns object, program, kernel, verdict, total_insns, message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelVerdict {
    /// The object's file name.
    pub object: String,
    /// The program.
    pub program: String,
    /// The kernel, as a version or release name.
    pub kernel: String,
    /// What it said.
    pub verdict: Verdict,
    /// Instructions that the verifier processed, if known.
    pub total_insns: Option<u64>,
    /// The last meaningful line of the log of a rejection.
    pub message: String,
}

/// What a known gap is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GapKind {
    /// The verdict.
    Verdict,
    /// What a run gives.
    Run,
    /// A run ends with a trap that no kernel would see.
    Trap,
}

impl GapKind {
    /// The word in files.
    pub fn name(self) -> &'static str {
        match self {
            GapKind::Verdict => "verdict",
            GapKind::Run => "run",
            GapKind::Trap => "trap",
        }
    }
}

/// A row of `known_gaps.tsv`: columns object, program, kernel, kind, reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownGap {
    /// The object's file name.
    pub object: String,
    /// The program.
    pub program: String,
    /// The kernel that we differ from.
    pub kernel: String,
    /// What differs.
    pub kind: GapKind,
    /// Why.
    pub reason: String,
}

/// Reads `verdicts.tsv`.
///
/// # Errors
/// When it cannot be read, or a cell is not what its column holds.
pub fn read_verdicts(path: &Path) -> Result<Vec<KernelVerdict>, TableError> {
    read(path, Format::Tsv, |row| kernel_verdict(&row))
}

/// As [`read_verdicts`], from anywhere; `name` is the file's name in errors.
///
/// # Errors
/// As [`read_verdicts`].
pub fn verdicts_from(name: &Path, source: impl Read) -> Result<Vec<KernelVerdict>, TableError> {
    read_from(name, source, Format::Tsv, |row| kernel_verdict(&row))
}

/// Reads `known_gaps.tsv`.
///
/// # Errors
/// As [`read_verdicts`].
pub fn read_known_gaps(path: &Path) -> Result<Vec<KnownGap>, TableError> {
    read(path, Format::Tsv, |row| known_gap(&row))
}

fn kernel_verdict(row: &Row<'_>) -> Result<KernelVerdict, TableError> {
    let verdict = row.text("verdict")?;
    let verdict = [Verdict::Accepted, Verdict::Rejected, Verdict::NotLoadable]
        .into_iter()
        .find(|v| v.name() == verdict)
        .ok_or_else(|| row.error("verdict", format!("holds `{verdict}`")))?;
    Ok(KernelVerdict {
        object: row.text("object")?.to_owned(),
        program: row.text("program")?.to_owned(),
        kernel: row.text("kernel")?.to_owned(),
        verdict,
        total_insns: row.number("total_insns")?,
        message: row.text("message")?.to_owned(),
    })
}

fn known_gap(row: &Row<'_>) -> Result<KnownGap, TableError> {
    let kind = row.text("kind")?;
    let kind = [GapKind::Verdict, GapKind::Run, GapKind::Trap]
        .into_iter()
        .find(|k| k.name() == kind)
        .ok_or_else(|| row.error("kind", format!("holds `{kind}`")))?;
    let gap = KnownGap {
        kind,
        object: row.text("object")?.to_owned(),
        program: row.text("program")?.to_owned(),
        kernel: row.text("kernel")?.to_owned(),
        reason: row.text("reason")?.to_owned(),
    };
    if gap.reason.trim().is_empty() {
        return Err(row.error("reason", "is empty: a gap without a reason is none"));
    }
    Ok(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "object\tprogram\tkernel\tverdict\ttotal_insns\tmessage\n";

    fn rows(body: &str) -> Result<Vec<KernelVerdict>, TableError> {
        verdicts_from(
            Path::new("verdicts.tsv"),
            format!("{HEADER}{body}").as_bytes(),
        )
    }

    #[test]
    fn a_quote_is_a_quote_and_a_comment_is_passed_over() {
        let rows = rows(
            "# hives\na.o\tmain\t6.18\tfailure\t12\tR1 invalid mem access 'scalar' \"x\n\
             b.o\tmain\t6.18\tsuccess\t\t\n",
        )
        .unwrap();
        assert_eq!(rows[0].message, "R1 invalid mem access 'scalar' \"x");
        assert_eq!(
            (rows[0].verdict, rows[0].total_insns),
            (Verdict::Rejected, Some(12))
        );
        assert_eq!(
            (rows[1].verdict, rows[1].total_insns),
            (Verdict::Accepted, None)
        );
    }

    #[test]
    fn errors_name_line_and_column() {
        let error =
            rows("a.o\tmain\t6.18\tsuccess\t1\t\nb.o\tmain\t6.18\tmaybe\t1\t\n").unwrap_err();
        assert_eq!((error.line, error.column), (3, "verdict"));
        let error = rows("a.o\tmain\t6.18\tsuccess\tmany\t\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "verdicts.tsv:2: column `total_insns` holds `many`, which is no number"
        );
        assert!(rows("a.o\tmain\n").is_err(), "a short row");
        let other = verdicts_from(Path::new("v.tsv"), &b"object\tverdict\na.o\tsuccess\n"[..]);
        assert_eq!(other.unwrap_err().column, "program");
    }
}
