//! What a coordinator's refusal, or a connection that broke, means.

use crate::exit::Exit;

/// Whether the connection broke, as opposed to an answer that says no.
pub(crate) fn is_transient(status: &tonic::Status) -> bool {
    use tonic::Code;
    let broken = std::error::Error::source(status).is_some();
    match status.code() {
        Code::Unavailable => true,
        Code::Unknown | Code::Internal | Code::Cancelled => broken,
        _ => false,
    }
}

pub(super) fn said(server: &str, status: &tonic::Status) -> String {
    match status.message() {
        message if is_transient(status) => format!("the coordinator at {server} does not answer: {message}"),
        // What tonic says about an answer that is not gRPC.
        message if message.starts_with("grpc-status header missing") => {
            format!("what answers at {server} is not a coordinator")
        }
        "" => format!("the coordinator at {server} refused ({})", status.code()),
        message => message.to_owned(),
    }
}

pub(super) fn of_code(status: &tonic::Status) -> Exit {
    use tonic::Code;
    match status.code() {
        _ if is_transient(status) => Exit::Unreachable,
        Code::Unauthenticated => Exit::Login,
        Code::NotFound => Exit::NotFound,
        Code::InvalidArgument => Exit::Usage,
        Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::AlreadyExists
        | Code::Aborted => Exit::Refused,
        _ => Exit::Failed,
    }
}
