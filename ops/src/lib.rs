//! `sweep-ops`: what whoever keeps a lab running sees of its processes, the same in coordinator and agent. Numbers for
//! Prometheus ([`metrics`]). Decides nothing and knows nothing of sweeps.

pub mod metrics;
