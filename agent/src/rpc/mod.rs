//! The edge to the coordinator: the only files of the agent that see generated types. Calls are
//! made here; when to make them is the session's business.

pub mod blobs;
pub mod calls;

use std::time::Duration;

use sweep_proto::status::reason_of;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

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
    pub control: Channel,
    /// Checkpoints and series.
    pub bulk: Channel,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not a URL.
    #[error("`{url}` is not an address like http://127.0.0.1:7070")]
    NotAUrl {
        /// What was given.
        url: String,
    },
    /// Would send plain text over a network.
    #[error(
        "`{url}` is not on this machine, and encrypted connections are not available yet; only loopback addresses are used"
    )]
    NotLoopback {
        /// What was given.
        url: String,
    },
}

/// The settings of a connection to `url`; connect it lazily with or without a connector of your own.
///
/// # Errors
/// When it is not a URL.
pub fn endpoint(url: &str) -> Result<Endpoint, AddressError> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| AddressError::NotAUrl { url: url.into() })?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// Connections over TCP, made when first needed and again when lost. Loopback only.
///
/// # Errors
/// When `url` is not a URL of this machine.
pub fn links(url: &str) -> Result<Links, AddressError> {
    let endpoint = endpoint(url)?;
    let host = endpoint.uri().host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_loopback {
        return Err(AddressError::NotLoopback { url: url.into() });
    }
    Ok(Links { control: endpoint.connect_lazy(), bulk: endpoint.connect_lazy() })
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// This coordinator has not met the agent yet.
    #[error("the coordinator asks for a hello")]
    AgentUnknown,
    /// A checkpoint was reported whose bytes are no longer in the store.
    #[error("{}", .0.message())]
    BlobMissing(#[source] Box<Status>),
    /// The coordinator cannot be reached, has no room, or refuses.
    #[error("{}", .0.message())]
    Refused(#[source] Box<Status>),
    /// The answer makes no sense.
    #[error("the coordinator's answer is damaged")]
    Answer(#[source] sweep_proto::convert::ConvertError),
}

impl CallError {
    /// Whether the coordinator is there and will go on refusing until somebody does something.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::AgentUnknown | Self::BlobMissing(_) => false,
            Self::Answer(_) => true,
            Self::Refused(status) => {
                matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented)
            }
        }
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
        for url in ["http://10.0.0.1:7070", "http://example.org:7070", "nonsense url"] {
            assert!(links(url).is_err(), "{url}");
        }
    }
}
