//! `sweep-agent`: one per host. Asks the coordinator what should run here, keeps it running, and
//! ships what comes out. It never links libtorch: training happens in a process of its own per
//! attempt, which outlives the agent, and a folder is all there is between the two
//! (`sweep_core::attempt`).
//!
//! Reading order: [`reconcile`] (what to start and stop), [`mod@unit`] (the life of one attempt),
//! [`outbox`] (what of it is not accepted yet), [`supervisor`] (the owner of all of them),
//! [`session`] (the calls to the coordinator), [`launcher`] (where trainers really run), [`devices`] (what else
//! is on the devices).
//!
//! [`session::run`] is the whole agent. It takes the connections and the launcher from its caller,
//! reads time only through tokio and keeps everything in ordered maps, so that a simulation runs
//! the same code on simulated time and a simulated network.

mod accepted;
mod attempt;
pub mod attempts;
pub mod config;
pub mod datasets;
pub mod devices;
pub mod doctor;
pub mod energy;
pub mod hardware;
mod lane;
pub mod launcher;
pub mod lock;
pub mod membership;
pub mod memory;
pub mod metrics;
pub mod outbox;
pub mod reconcile;
pub mod rpc;
pub mod sandbox;
pub mod series;
pub mod session;
mod spans;
pub mod supervisor;
pub mod tail;
pub mod unit;
pub mod version;
mod waits;
