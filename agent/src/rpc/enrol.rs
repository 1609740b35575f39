//! Becoming a member, and staying one.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use sweep_core::id::AgentId;
use sweep_identity::dial::Link;
use sweep_proto::convert::id_bytes;
use sweep_proto::v1::access_client::AccessClient;
use sweep_proto::v1::{EnrollRequest, RenewRequest};
use tonic::Request;

use super::CallError;

/// Longest wait for a certificate.
const ANSWER: Duration = Duration::from_secs(30);

/// Spends the join token that the link shows.
///
/// # Errors
/// When there is no answer, or a refusal.
pub async fn enroll(link: Link, agent: AgentId, request: &[u8]) -> Result<CertificateDer<'static>, CallError> {
    let mut request = Request::new(EnrollRequest { agent_id: id_bytes(agent), request: request.to_vec().into() });
    request.set_timeout(ANSWER);
    let reply = AccessClient::new(link).enroll(request).await?.into_inner();
    Ok(reply.certificate.to_vec().into())
}

/// Another certificate for the agent whose certificate the link shows.
///
/// # Errors
/// As [`enroll`].
pub async fn renew(link: Link, request: &[u8]) -> Result<CertificateDer<'static>, CallError> {
    let mut request = Request::new(RenewRequest { request: request.to_vec().into() });
    request.set_timeout(ANSWER);
    let reply = AccessClient::new(link).renew(request).await?.into_inner();
    Ok(reply.certificate.to_vec().into())
}
