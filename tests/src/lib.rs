//! `sweep-tests`: the harness for everything that crosses crates. [`process`] runs the real binaries
//! and kills them; [`chaos`] does so at random, and worse to network, disk and files, until a sweep is done, [`crash`] at every call of theirs; [`model`] runs a cluster of calls in simulated time, [`sim`] one of
//! connections, with the trainers of [`scripted`]; [`fuzz`] has what must hold for all bytes; [`mod@bench`] measures dispatch; [`images`] finds real
//! images, if there are any.

use std::io::Write as _;

use sha2::{Digest, Sha256};

pub mod bench;
pub mod chaos;
pub mod crash;
pub mod fuzz;
pub mod images;
pub mod model;
pub mod process;
pub mod random;
pub mod scripted;
pub mod sim;
pub mod syncs;

/// SHA-256 as lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says that a test shows nothing here, past the test runner, which keeps back what a passing test prints.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
