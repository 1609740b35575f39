//! The coordinator from outside: journals, checkpoints, and every call over a real socket.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod archive;
mod blobs;
mod durable;
mod every_wall;
mod format;
mod joining;
mod journal;
mod lab;
mod metrics;
mod names;
mod notify;
mod owner;
mod ownership;
mod renewing;
mod secure;
mod service;
mod sharing;
mod snapshots;
mod walls;
mod wire;
mod world;
