//! `sweep-proto`: the wire, and the only place where it meets the domain. Generated types live in
//! [`v1`]; everything else of the workspace speaks `sweep-core`'s types, [`convert`] goes between
//! the two, and [`status`] says how a refusal travels.

pub mod convert;
pub mod status;

/// Generated from `sweep/v1/*.proto`; the field docs live there.
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("sweep.v1");
}

/// Version of the protocol between coordinator, agent and sweepctl.
pub const PROTOCOL: u32 = 1;

/// Who may call each method: `(path, number of sweep.v1.Permission)`. The build fails if a method has none.
pub const PERMISSIONS: &[(&str, i32)] = &include!(concat!(env!("OUT_DIR"), "/permissions.rs"));
