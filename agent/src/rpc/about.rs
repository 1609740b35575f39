//! What a coordinator says of itself to whoever asks.

use std::time::Duration;

use sweep_identity::address::Address;
use sweep_identity::dial::{Bearer, DialError, Tls};
use sweep_identity::trouble::Trouble;
use sweep_proto::status::reason_of;
use sweep_proto::v1::InfoRequest;
use sweep_proto::v1::sweeps_client::SweepsClient;
use tonic::Status;

/// Why it says nothing.
#[derive(Debug, thiserror::Error)]
pub enum AboutError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No answer.
    #[error("{}", super::words(.0))]
    Refused(Box<Status>),
}

impl From<Box<Status>> for AboutError {
    fn from(status: Box<Status>) -> Self {
        Self::Refused(status)
    }
}

impl AboutError {
    /// Why there was no connection, if that is what it was.
    pub fn trouble(&self) -> Option<Trouble> {
        let Self::Refused(status) = self else { return None };
        Trouble::of(&**status)
    }

    /// The coordinator knows this agent and has put it out, or its certificate has ended.
    pub fn is_revoked(&self) -> bool {
        matches!(self, Self::Refused(status) if reason_of(status).as_deref() == Some("agent_revoked"))
    }
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its release.
    pub build: String,
    /// Its protocol.
    pub protocol: u32,
    /// Its clock, since 1970; only told to those it knows.
    pub now: Option<Duration>,
}

/// Asks a coordinator on this host, or as a member of its lab.
///
/// # Errors
/// When it does not answer, or does not take the member for one.
pub async fn about(address: &Address, tls: Option<&Tls>) -> Result<About, AboutError> {
    let link = super::link(address, tls, Bearer::default())?;
    let said = SweepsClient::new(link).info(InfoRequest {}).await.map_err(Box::new)?.into_inner();
    let now = u64::try_from(said.now).ok().filter(|now| *now > 0).map(Duration::from_micros);
    Ok(About { build: said.build, protocol: said.protocol, now })
}
