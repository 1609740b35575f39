//! Tests that cross crates, in one binary: rules of the source tree, whole clusters in simulated
//! time, real processes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod boundaries;
mod deploy;
mod devices;
mod disk;
mod members;
mod netns;
mod packing;
mod recovery;
mod simulation;
mod stopping;
mod tidy;
