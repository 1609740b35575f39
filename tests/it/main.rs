//! Tests that cross crates, in one binary: rules of the source tree, whole clusters in simulated
//! time, real processes.

mod boundaries;
mod recovery;
mod simulation;
mod tidy;
