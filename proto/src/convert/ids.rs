//! Ids and leases.

use prost::bytes::Bytes;
use sweep_core::id::{Id, Lease};
use uuid::Uuid;

use super::{ConvertError, ConvertReason};
use crate::v1;

/// The 16 bytes of an id.
pub fn id_bytes<Kind>(id: Id<Kind>) -> Bytes {
    Bytes::copy_from_slice(id.0.as_bytes())
}

/// Reads an id of 16 bytes; `field` is named in the error.
///
/// # Errors
/// When there are not 16 bytes.
pub fn id<Kind>(bytes: &[u8], field: &'static str) -> Result<Id<Kind>, ConvertError> {
    let bytes = bytes.try_into().map_err(|_| ConvertError::new(field, ConvertReason::NotAnId))?;
    Ok(Id::from(Uuid::from_bytes(bytes)))
}

impl From<Lease> for v1::Lease {
    fn from(lease: Lease) -> Self {
        Self { trial_id: id_bytes(lease.trial), attempt: lease.attempt }
    }
}

impl TryFrom<&v1::Lease> for Lease {
    type Error = ConvertError;
    fn try_from(lease: &v1::Lease) -> Result<Self, ConvertError> {
        let trial = id(&lease.trial_id, "lease.trial_id")?;
        match lease.attempt {
            0 => Err(ConvertError::new("lease.attempt", ConvertReason::OutOfRange)),
            attempt => Ok(Self { trial, attempt }),
        }
    }
}

impl TryFrom<v1::Lease> for Lease {
    type Error = ConvertError;
    fn try_from(lease: v1::Lease) -> Result<Self, ConvertError> {
        Self::try_from(&lease)
    }
}

/// A lease that must be there.
///
/// # Errors
/// When it is missing or not a lease.
pub fn lease(lease: Option<&v1::Lease>) -> Result<Lease, ConvertError> {
    lease.ok_or(ConvertError::missing("lease"))?.try_into()
}

/// A list of leases.
///
/// # Errors
/// The first that is not a lease.
pub fn leases(list: &[v1::Lease]) -> Result<Vec<Lease>, ConvertError> {
    list.iter().map(Lease::try_from).collect()
}

/// A list of leases for the wire.
pub fn to_leases(list: &[Lease]) -> Vec<v1::Lease> {
    list.iter().copied().map(v1::Lease::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::{SweepId, TrialId};

    #[test]
    fn a_lease_survives_the_wire_and_nonsense_does_not() {
        let lease = Lease { trial: TrialId::derive(SweepId::derive("x", ""), "a"), attempt: 2 };
        assert_eq!(Lease::try_from(v1::Lease::from(lease)), Ok(lease));
        let check = |lease: v1::Lease, field: &str| assert_eq!(Lease::try_from(lease).unwrap_err().field, field);
        check(v1::Lease { attempt: 0, ..lease.into() }, "lease.attempt");
        check(v1::Lease { trial_id: Bytes::from_static(b"short"), attempt: 1 }, "lease.trial_id");
    }
}
