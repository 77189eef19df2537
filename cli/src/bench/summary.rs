//! What all times say together, on standard error.
//!
//! Ratios count where the kernel needs long enough for its whole µs to be exact and its fixed costs to
//! be small; below that, our time itself is what matters.

use std::fmt;

use super::measure::Timing;

/// The kernel's time, in µs, from which on ratios count.
const LONG: u64 = 200;

/// What was seen so far.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Summary {
    programs: usize,
    agreed: usize,
    ratios: Vec<f64>,
    worst: Option<(f64, String)>,
    largest_short: Option<(f64, String)>,
}

impl Summary {
    /// Takes one program's times.
    pub(super) fn add(&mut self, timing: &Timing) {
        self.programs += 1;
        let Some(ratio) = timing.ratio() else {
            return;
        };
        self.agreed += 1;
        let name = || format!("{}/{}", timing.file, timing.prog);
        if timing.kernel_us >= Some(LONG) {
            self.ratios.push(ratio);
            keep_larger(&mut self.worst, ratio, name);
        } else if let Some(us) = timing.skep_us {
            keep_larger(&mut self.largest_short, us, name);
        }
    }

    /// Tells it.
    pub(super) fn print(&self) {
        anstream::eprintln!("{self}");
        if let Some(kib) = peak_memory() {
            anstream::eprintln!("peak memory {:.1} MB", kib as f64 * 1024.0 / 1e6);
        }
    }

    /// The least ratio that this share of the programs does not exceed.
    fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.ratios.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

fn keep_larger(kept: &mut Option<(f64, String)>, value: f64, name: impl Fn() -> String) {
    if kept.as_ref().is_none_or(|(old, _)| value > *old) {
        *kept = Some((value, name()));
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.programs == 1 { "" } else { "s" };
        write!(
            f,
            "{} program{plural}, {} compared with the kernel",
            self.programs, self.agreed
        )?;
        if let (Some(median), Some(most), Some((worst, name))) =
            (self.quantile(0.5), self.quantile(0.9), &self.worst)
        {
            write!(
                f,
                "\nkernel {LONG} µs and more: {} programs, ratio median {median:.3}, \
                 90th percentile {most:.3}, worst {worst:.3} ({name})",
                self.ratios.len()
            )?;
        }
        if let Some((us, name)) = &self.largest_short {
            write!(f, "\nkernel below {LONG} µs: at most {us:.1} µs ({name})")?;
        }
        Ok(())
    }
}

/// The most memory that this process ever held, in KiB, where the system says so.
fn peak_memory() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(skep_us: f64, kernel_us: u64) -> Timing {
        Timing {
            file: "a.o".to_owned(),
            prog: format!("p{kernel_us}"),
            verdict: "success",
            skep_us: Some(skep_us),
            kernel_us: Some(kernel_us),
            agree: true,
        }
    }

    #[test]
    fn only_long_programs_have_ratios() {
        let mut summary = Summary::default();
        for (skep, kernel) in [
            (50.0, 200),
            (100.0, 1000),
            (600.0, 1001),
            (90.0, 199),
            (70.0, 100),
        ] {
            summary.add(&timing(skep, kernel));
        }
        summary.add(&Timing {
            agree: false,
            ..timing(9000.0, 300)
        });
        assert_eq!(
            summary.to_string(),
            "6 programs, 5 compared with the kernel\n\
             kernel 200 µs and more: 3 programs, ratio median 0.250, 90th percentile 0.599, \
             worst 0.599 (a.o/p1001)\n\
             kernel below 200 µs: at most 90.0 µs (a.o/p199)"
        );
    }

    #[test]
    fn nothing_measured_is_said_plainly() {
        let text = Summary::default().to_string();
        assert_eq!(text, "0 programs, 0 compared with the kernel");
    }

    #[test]
    fn peak_memory_is_read_from_the_status() {
        assert_eq!(
            parse_peak("Name:\tskep\nVmHWM:\t   12345 kB\n"),
            Some(12345)
        );
        assert_eq!(parse_peak("Name:\tskep\n"), None);
    }
}
