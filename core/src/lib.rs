//! The pure core of the sweep orchestrator.
pub mod attempt;
pub mod id;
pub mod num;
pub mod recipe;
