//! Results of tests, for people and for machines.

use std::io::{self, Write, stdout};

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};
use skep_host::test::{Outcome, Report, TestResult};

use crate::style::{BAD, DIM, GOOD, TITLE, UNDECIDED};

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::Undecided(_) => "undecided",
    }
}

/// Prints for people.
pub(super) fn human(reports: &[Report]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let mut counts = [0; 3];
    for report in reports {
        writeln!(out, "{TITLE}{}{TITLE:#}", report.file)?;
        for test in &report.tests {
            let (style, place) = match &test.outcome {
                Outcome::Passed => (GOOD, 0),
                Outcome::Failed(_) => (BAD, 1),
                Outcome::Undecided(_) => (UNDECIDED, 2),
            };
            counts[place] += 1;
            let word = word(&test.outcome);
            writeln!(
                out,
                "  {style}{word:9}{style:#}  {}  {DIM}{}{DIM:#}",
                test.name, test.program
            )?;
            match &test.outcome {
                Outcome::Passed => {}
                Outcome::Failed(why) => {
                    for line in why.iter().flat_map(|why| why.lines()) {
                        writeln!(out, "    {line}")?;
                    }
                }
                Outcome::Undecided(what) => writeln!(out, "    {what}")?,
            }
        }
    }
    let [passed, failed, undecided] = counts;
    let total = passed + failed + undecided;
    let tests = if total == 1 { "test" } else { "tests" };
    write!(out, "{total} {tests}: {passed} passed, {failed} failed")?;
    if undecided > 0 {
        write!(out, ", {undecided} undecided")?;
    }
    writeln!(out)
}

/// Prints one JSON document.
pub(super) fn json(reports: &[Report]) -> io::Result<()> {
    let test = |test: &TestResult| {
        let messages: Vec<&str> = match &test.outcome {
            Outcome::Passed => Vec::new(),
            Outcome::Failed(why) => why.iter().map(String::as_str).collect(),
            Outcome::Undecided(what) => vec![what],
        };
        json!({
            "name": test.name,
            "prog_name": test.program,
            "outcome": word(&test.outcome),
            "messages": messages,
            "insns": test.insns,
        })
    };
    let files: Vec<Value> = reports
        .iter()
        .map(|r| json!({ "file": r.file, "tests": r.tests.iter().map(test).collect::<Vec<_>>() }))
        .collect();
    let document = json!({ "schema": "skep.test/1", "files": files });
    writeln!(stdout().lock(), "{document:#}")
}

/// Prints JUnit's XML.
pub(super) fn junit(reports: &[Report]) -> io::Result<()> {
    let mut document = quick_junit::Report::new("skep");
    for report in reports {
        let mut suite = TestSuite::new(report.file.clone());
        for test in &report.tests {
            let status = match &test.outcome {
                Outcome::Passed => TestCaseStatus::success(),
                Outcome::Failed(why) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(why.first().cloned().unwrap_or_default());
                    status.set_description(why.join("\n"));
                    status
                }
                Outcome::Undecided(what) => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(what.clone());
                    status
                }
            };
            let mut case = TestCase::new(test.name.clone(), status);
            case.set_classname(test.program.clone());
            suite.add_test_case(case);
        }
        document.add_test_suite(suite);
    }
    let text = document.to_string().map_err(io::Error::other)?;
    writeln!(stdout().lock(), "{}", text.trim_end())
}
