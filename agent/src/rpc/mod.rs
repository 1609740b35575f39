//! The edge to the coordinator: the only files of the agent that see generated types. Calls are
//! made here; when to make them is the session's business.

pub mod about;
pub mod blobs;
pub mod calls;
pub mod enrol;

use std::time::Duration;

use sweep_identity::address::Address;
use sweep_identity::dial::{self, Bearer, DialError, Link, Tls};
use sweep_identity::trouble::Trouble;
use sweep_identity::wire::Wire;
use sweep_proto::status::reason_of;
use tonic::{Code, Status};

use crate::memory::Memory;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection is asked for a sign of life so often.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Without that sign for so long it is given up.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The connections of an agent. Two, so that bytes never delay a heartbeat.
#[derive(Clone, Debug)]
pub struct Links {
    /// Hello, poll, report.
    pub control: Link,
    /// Checkpoints and series.
    pub bulk: Link,
    /// How far this agent has seen the journal.
    pub memory: Memory,
}

impl Links {
    /// Over wires of the caller's, that show nothing.
    pub fn plain(control: impl Into<Wire>, bulk: impl Into<Wire>) -> Self {
        let [control, bulk] = [control.into(), bulk.into()].map(|wire| Link::new(wire, Bearer::default()));
        Self { control, bulk, memory: Memory::default() }
    }
}

/// A connection that is made when first needed and again when lost.
///
/// # Errors
/// When the address is encrypted and nobody says whom to believe.
pub fn link(address: &Address, tls: Option<&Tls>, bearer: Bearer) -> Result<Link, DialError> {
    let endpoint = dial::endpoint(address)?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(Link::new(dial::lazy(&endpoint, address, tls)?.into(), bearer.speaking(sweep_proto::PROTOCOL)))
}

/// Both connections.
///
/// # Errors
/// As [`link`].
pub fn links_with(address: &Address, tls: Option<&Tls>, bearer: &Bearer) -> Result<Links, DialError> {
    let (control, bulk) = (link(address, tls, bearer.clone())?, link(address, tls, bearer.clone())?);
    Ok(Links { control, bulk, memory: Memory::default() })
}

/// Both connections to a coordinator on this machine that asks for nothing.
///
/// # Errors
/// When `url` is not a URL of this machine.
pub fn links(url: &str) -> Result<Links, DialError> {
    links_with(&url.parse()?, None, &Bearer::default())
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// This coordinator has not met the agent yet.
    #[error("the coordinator asks for a hello")]
    AgentUnknown,
    /// A checkpoint was reported whose bytes are no longer in the store.
    #[error("{}", .0.message())]
    BlobMissing(Box<Status>),
    /// The coordinator cannot be reached, has no room, or refuses.
    #[error("{}", words(.0))]
    Refused(Box<Status>),
    /// The answer makes no sense.
    #[error("the coordinator's answer is damaged")]
    Answer(#[source] sweep_proto::convert::ConvertError),
}

/// What a refusal says; where nobody was there to refuse, what the network says, too. A status itself is no text for people.
pub fn words(status: &Status) -> String {
    let mut cause = std::error::Error::source(status);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    let message = status.message();
    match cause.map(ToString::to_string).filter(|cause| !message.contains(cause.as_str())) {
        Some(cause) if !message.is_empty() => format!("{message}: {cause}"),
        Some(cause) => cause,
        None => message.to_owned(),
    }
}

impl CallError {
    /// Why there was no connection, if that is what it was.
    pub fn trouble(&self) -> Option<Trouble> {
        let Self::Refused(status) = self else { return None };
        Trouble::of(&**status)
    }

    /// Whether the coordinator is there and will go on refusing until somebody does something.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::AgentUnknown | Self::BlobMissing(_) => false,
            Self::Answer(_) => true,
            Self::Refused(status) => {
                let other =
                    matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented);
                other || self.is_shut_out()
            }
        }
    }

    /// Whether the coordinator does not take this agent for a member, or not for this one.
    pub fn is_shut_out(&self) -> bool {
        let Self::Refused(status) = self else { return false };
        matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        match reason_of(&status).as_deref() {
            Some("agent_unknown") => Self::AgentUnknown,
            Some("blob_missing") => Self::BlobMissing(Box::new(status)),
            _ => Self::Refused(Box::new(status)),
        }
    }
}

impl From<sweep_proto::convert::ConvertError> for CallError {
    fn from(error: sweep_proto::convert::ConvertError) -> Self {
        Self::Answer(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plain_text_stays_on_this_machine() {
        for url in ["http://127.0.0.1:7070", "http://[::1]:7070", "http://localhost:1"] {
            assert!(links(url).is_ok(), "{url}");
        }
        for url in ["http://10.0.0.1:7070", "http://example.org:7070", "https://example.org", "nonsense url"] {
            assert!(links(url).is_err(), "{url}");
        }
    }
}
