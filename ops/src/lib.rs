//! `sweep-ops`: what whoever keeps a lab running sees of its processes, the same in coordinator and agent. Numbers for
//! Prometheus ([`metrics`]), what is wrong with a
//! host and how to put it right ([`doctor`]), log files ([`log`]), spans for whoever collects traces ([`traces`]). Decides nothing and knows nothing of sweeps.

pub mod doctor;
pub mod log;
pub mod metrics;
pub mod traces;
