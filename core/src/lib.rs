//! `sweep-core`: the pure heart of the sweep orchestrator. It decides everything and touches
//! nothing: no clock, no I/O, no threads, no randomness of its own.
//!
//! Reading order: [`recipe`] (what one trial trains), [`spec`] (the sweep file), [`plan`] (the ordered,
//! immutable list of trials), [`event`] (everything that ever happened), [`state`] (the fold of the
//! events), [`command`] and [`decide`] (wishes in, events out), [`schedule`] (which trial next, where),
//! [`stopping`] (which configurations are worth going on with), [`search`] (which to try next), [`shares`] (who is entitled to what), [`tuning`] (what of a sweep changes while it runs), [`queue`] (what waits
//! and why), [`copies`] (which agents have other data),
//! [`alike`] (which trials compute with the same precision and layout), [`device`] (what is on devices, who keeps
//! trials from them), [`placement`] (what a sweep asks of them), [`packing`] (several trials on one),
//! [`reuse`] (results that there are already), [`orders`] (what an agent should run), [`report`] (what came out), [`origin`] (where it came from), [`lineage`] (was the end of the journal lost?), [`audit`] (was it legal?), [`story`] (why it went as it did), [`access`] (who may), [`spans`] (where things stand in a trace), and
//! [`attempt`], the folder protocol between an agent and a trainer.
//!
//! Glossary. *Sweep*: a submitted file. *Plan*: its trials. *Point*: one combination of values.
//! *Trial*: one point with one seed. *Attempt*: one try to run a trial, counted from 1. *Lease*: trial +
//! attempt, the right to run it. *Slot*: the place on an agent where one trainer runs. *Order*: what
//! a slot should run. *Journal*: the durable list of events.
//!
//! Invariants, checked by [`audit`] on any journal: a trial has at most one live lease and a slot at
//! most one trial; attempts count 1, 2, 3, ...; nothing is accepted under a lease that is over;
//! epoch reports are contiguous; a checkpoint never comes before its epochs; a trial ends once; the
//! trials of a sweep on one data set all see the same copy of it; nothing is granted on a closed slot.

pub mod access;
pub mod alike;
pub mod attempt;
pub mod audit;
pub mod command;
pub mod copies;
pub mod cost;
pub mod decide;
pub mod device;
pub mod environment;
pub mod estimate;
pub mod evaluation;
pub mod event;
pub mod id;
pub mod lineage;
pub mod maintenance;
pub mod nearest;
pub mod notice;
pub mod num;
pub mod orders;
pub mod origin;
pub mod packing;
pub mod placement;
pub mod plan;
pub mod program;
pub mod queue;
pub mod recipe;
pub mod report;
pub mod reservation;
pub mod retain;
pub mod retry;
pub mod reuse;
pub mod schedule;
pub mod search;
pub mod shares;
pub mod spans;
pub mod spec;
pub mod state;
pub mod stats;
pub mod stopping;
pub mod story;
pub mod time;
pub mod tuning;
