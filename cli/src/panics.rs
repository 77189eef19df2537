//! A panic is a bug of ours. One program's must not take the answers about all the others with it, so
//! workers catch it and its program stays undecided.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::Failure;

/// Says on stderr that the bug is ours, where it is and what to do.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map(|l| format!(" ({}:{})", l.file(), l.line()));
        let what = format!(
            "internal error: {}{}",
            text(info.payload()),
            place.unwrap_or_default()
        );
        Failure::new(what)
            .help("this is a bug in skep; please report it with the input")
            .print();
    }));
}

/// Runs `work`; a panic becomes its text.
pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    // What the closure borrowed is never looked at again after a panic.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| text(payload.as_ref()))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panic").to_owned()
}
