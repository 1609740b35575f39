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

/// Version of the protocol between coordinator, agent and sweepctl. Raised when somebody who speaks it and somebody who does not
/// would misunderstand each other; fields and methods that the other side may do without come without that.
pub const PROTOCOL: u32 = 1;

/// The oldest version that a coordinator of this release still serves.
pub const OLDEST_PROTOCOL: u32 = 1;

/// Why a coordinator of this release cannot serve `who`, who speaks `theirs`, and what to do about it.
pub fn skew(who: &str, theirs: u32) -> Option<String> {
    let ours = match OLDEST_PROTOCOL {
        PROTOCOL => format!("protocol {PROTOCOL}"),
        oldest => format!("protocols {oldest} to {PROTOCOL}"),
    };
    let fix = match theirs {
        OLDEST_PROTOCOL..=PROTOCOL => return None,
        ..OLDEST_PROTOCOL => format!("{who} is older: install the coordinator's release there"),
        _ => format!("{who} is newer: upgrade the coordinator first, or use its release of {who}"),
    };
    Some(format!("this coordinator speaks {ours}, {who} speaks {theirs}. {fix}"))
}

/// Who may call each method: `(path, number of sweep.v1.Permission)`. The build fails if a method has none.
pub const PERMISSIONS: &[(&str, i32)] = &include!(concat!(env!("OUT_DIR"), "/permissions.rs"));
