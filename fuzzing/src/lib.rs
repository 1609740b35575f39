//! `sweep-fuzzing`: feeds changed inputs to plain functions until one of them panics, takes too long or takes too much
//! memory. Works on stable Rust and knows nothing of what it runs: the targets are in `sweep-tests` and in the trainer, which
//! both have [`cli`] as their command line. A libFuzzer that follows the coverage calls the same functions (`fuzz/`).
//!
//! [`mutate`] changes an input, [`run`] runs a target and keeps what is new, [`shrink`] makes a finding smaller.

pub mod cli;
pub mod mutate;
pub mod run;
pub mod shrink;

/// Something that must hold for all bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Panics if it does not hold. What it returns tells inputs apart that led to different things, as far as that is cheap to say:
    /// an input with a new one is changed further.
    pub run: fn(&[u8]) -> u64,
    /// Words that its inputs are made of.
    pub words: &'static [&'static str],
    /// How many changed inputs `make test` tries.
    pub share: u64,
}
