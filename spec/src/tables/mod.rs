//! Kernel facts, one table per file, one row per line.
