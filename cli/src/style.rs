//! The few colours that are used. `anstream` leaves them out where nobody would see them, or where
//! `NO_COLOR` is set.

use anstyle::{AnsiColor, Style};

/// Errors, rejections.
pub(crate) const ERROR: Style = AnsiColor::BrightRed.on_default().bold();
/// Good news.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// No news.
pub(crate) const UNDECIDED: Style = AnsiColor::Yellow.on_default();
/// Advice.
pub(crate) const HELP: Style = AnsiColor::BrightCyan.on_default().bold();
/// Remarks.
pub(crate) const NOTE: Style = AnsiColor::BrightGreen.on_default().bold();
/// Headings, names of files.
pub(crate) const TITLE: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
