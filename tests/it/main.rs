//! Tests that cross crates, in one binary: rules of the source tree, whole clusters in simulated
//! time, real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod boundaries;
mod breaks;
mod chaos;
mod crash;
mod damaged;
mod deploy;
mod devices;
mod disk;
mod fuzz;
mod members;
mod model;
mod netns;
mod packing;
mod recovery;
mod reliability;
mod rollback;
mod simulation;
mod stopping;
mod syncs;
mod tidy;
mod tools;
mod traces;
