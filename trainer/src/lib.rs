//! The trainer: one attempt folder in, lines and checkpoints out. The only crate that links
//! libtorch; it has no network, no async and no credentials.
//!
//! Reading order: [`run()`] is the training loop, an ordinary function over ordinary values. [`link`]
//! is its tie to the attempt folder (lock, lines, SIGTERM, watchdog). [`data`] finds, decodes and
//! caches images, [`augment`] changes them, [`model`] and [`optim`] are the networks and update
//! rules; `state` is what they change and [`checkpoint`] writes and reads safetensors files. `docs/protocol.md` describes the folder.

pub mod augment;
pub mod average;
pub mod checkpoint;
pub mod cost;
pub mod data;
pub mod device;
pub mod error;
mod hardware;
pub mod headway;
pub mod init;
pub mod inspect;
pub mod link;
pub mod log;
pub mod logits;
pub mod memory;
pub mod metric;
pub mod model;
pub mod numerics;
pub mod optim;
pub mod pass;
pub mod probe;
pub mod progress;
pub mod room;
pub mod run;
pub mod seed;
mod state;
pub mod steps;
pub mod trial;

pub use error::TrainError;
pub use run::run;
