//! How a refusal travels: a gRPC code, words for people, and a stable reason in the binary details.
//! Few codes on purpose; what scripts look at is the reason.
//!
//! INVALID_ARGUMENT: the request can never work. FAILED_PRECONDITION: not in this state.
//! NOT_FOUND: no such thing. PERMISSION_DENIED: not you. RESOURCE_EXHAUSTED: no room now.
//! UNAVAILABLE: try again. INTERNAL: a fault of the coordinator.

use prost::Message as _;
use sweep_core::command::Reject;
use tonic::{Code, Status};

use crate::convert::ConvertError;
use crate::v1::ErrorDetail;

/// A refusal with its stable reason.
pub fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let detail = ErrorDetail { reason: reason.to_owned() };
    Status::with_details(code, message, detail.encode_to_vec().into())
}

/// The stable reason of a refusal, if its sender gave one.
pub fn reason_of(status: &Status) -> Option<String> {
    if status.details().is_empty() {
        return None;
    }
    ErrorDetail::decode(status.details()).ok().map(|detail| detail.reason).filter(|reason| !reason.is_empty())
}

/// A refusal of the core.
pub fn rejected(reject: &Reject) -> Status {
    let code = match reject {
        Reject::SweepUnknown(_) | Reject::TrialUnknown(_) => Code::NotFound,
        Reject::HostUnknown { .. } | Reject::SlotUnknown { .. } => Code::NotFound,
        Reject::ExtendedMeanwhile(_)
        | Reject::SearchOver(_)
        | Reject::SafeMode(_)
        | Reject::AgentUnknown(_)
        | Reject::HeldWhole { .. } => Code::FailedPrecondition,
        Reject::HostAmbiguous { .. } => Code::InvalidArgument,
        Reject::TooManyOpen { .. } => Code::ResourceExhausted,
        Reject::DatasetUnknown { .. }
        | Reject::DatasetBroken { .. }
        | Reject::BatchTooLarge { .. }
        | Reject::StepsUseless { .. }
        | Reject::StepsTooFew { .. }
        | Reject::NoPlace { .. }
        | Reject::SettingInvalid { .. } => Code::InvalidArgument,
    };
    status(code, reject.reason(), reject.to_string())
}

impl From<ConvertError> for Status {
    fn from(error: ConvertError) -> Self {
        status(Code::InvalidArgument, ConvertError::REASON, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::SweepId;

    #[test]
    fn a_reason_survives_and_its_absence_is_seen() {
        let reject = Reject::SweepUnknown(SweepId::derive("x", ""));
        let status = rejected(&reject);
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(reason_of(&status).as_deref(), Some("sweep_unknown"));
        assert_eq!(reason_of(&Status::unavailable("gone")), None);
    }
}
