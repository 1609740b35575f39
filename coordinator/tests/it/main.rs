//! The coordinator from outside: journals, checkpoints, and every call over a real socket.

mod blobs;
mod journal;
mod owner;
mod service;
mod world;
