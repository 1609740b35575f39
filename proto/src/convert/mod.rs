//! Between the wire and the domain: `From` where nothing can be wrong, `TryFrom` where a message may
//! be. A message is checked here once, at the edge; behind it everything is typed.

mod access;
mod agents;
mod effects;
mod ids;
mod machines;
mod metrics;
mod orders;
mod shares;

pub use access::permission;
pub use agents::{datasets, hello, hello_request, position};
pub use ids::{id, id_bytes, lease, leases, to_leases};
pub use machines::{hold_change, sighting, target};
pub use metrics::checkpoint;
pub use orders::{Orders, PlacedOrder, orders};
pub use shares::{change, lab, reservation};

/// A message that does not mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {reason}")]
pub struct ConvertError {
    /// The field of the message.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: ConvertReason,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertReason {
    /// It must be there.
    #[error("is missing")]
    Missing,
    /// An id has another length.
    #[error("is not an id of 16 bytes")]
    NotAnId,
    /// Zero, or another value outside of its range.
    #[error("is out of range")]
    OutOfRange,
    /// The same thing twice where it can be there once.
    #[error("names something twice")]
    Repeated,
    /// A word or an enum number that this version does not know.
    #[error("has an unknown value")]
    UnknownValue,
    /// Not 64 lower-case hex digits.
    #[error("is not a SHA-256 in lower-case hex")]
    NotADigest,
    /// Not the JSON of a recipe.
    #[error("is not a recipe in JSON")]
    NotARecipe,
}

impl ConvertError {
    /// The stable word for scripts.
    pub const REASON: &'static str = "message_invalid";

    fn new(field: &'static str, reason: ConvertReason) -> Self {
        Self { field, reason }
    }

    fn missing(field: &'static str) -> Self {
        Self::new(field, ConvertReason::Missing)
    }
}
