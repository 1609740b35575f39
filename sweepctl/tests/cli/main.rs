//! Every command of `sweepctl` as a user runs it: the real program against a pretend coordinator,
//! exit code, standard output and standard error looked at separately.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod dataset;
mod fake;
mod fetch;
mod joining;
mod lab;
mod machines;
mod offline;
mod online;
mod ops;
mod outside;
mod ran;
mod real;
mod report;
mod reuse;
mod sharing;
mod sweeps;
mod up;
