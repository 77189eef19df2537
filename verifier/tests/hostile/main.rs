//! Hostile load requests, one kind at a time: whatever is asked, `verify` answers, without a panic, in
//! bounded time, on a thread with an ordinary stack.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod judge;
mod sweeps;
