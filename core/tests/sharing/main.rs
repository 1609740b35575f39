//! Sharing: who is next, who gives way, and what a quota does. Against brute force on small cases, in
//! random histories, and in simulated time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod blobs;
mod devices;
mod emptying;
mod fairness;
mod giving_way;
mod hosts;
mod lab;
mod maintenance;
mod packing;
mod parts;
mod placing;
mod quotas;
mod renumbering;
mod reservations;
mod simulation;
#[path = "../tube/mod.rs"]
mod tube;
mod tuning;
mod waiting;
