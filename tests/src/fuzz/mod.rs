//! What must hold for all bytes, as functions that panic if it does not: `sweep-fuzz` and libFuzzer (`fuzz/`) feed them, and
//! `make test` does so for a while. A seed corpus is in `tests/fuzz/corpus/`. The targets that need libtorch are in
//! `trainer/examples/fuzz/`; what each of them checks is in `docs/reliability.md`.

mod attempt;
mod calls;
mod journal;
mod network;
mod reconcile;
mod script;
mod spec;

use std::hash::{DefaultHasher, Hash, Hasher};

use sweep_fuzzing::Target;

/// All of them.
pub const TARGETS: [Target; 5] = [
    Target { name: "spec", run: spec::spec, words: &spec::WORDS, share: 3000 },
    Target { name: "journal", run: journal::journal, words: &[], share: 150 },
    Target { name: "attempt", run: attempt::attempt, words: &attempt::WORDS, share: 10_000 },
    Target { name: "calls", run: calls::calls, words: &[], share: 200 },
    Target { name: "reconcile", run: reconcile::reconcile, words: &[], share: 20_000 },
];

/// Runs one input of a target.
///
/// # Panics
/// When it breaks something, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(input);
}

/// A number for what an input led to.
fn kind(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_takes_nothing_and_nonsense() {
        for target in TARGETS {
            for input in [&[][..], b"\0", b"nonsense", &[0xff; 300]] {
                (target.run)(input);
            }
        }
    }
}
