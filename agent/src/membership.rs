//! The agent as a member of a lab: joins once with a token that names the coordinator's CA, keeps its key
//! and certificate in one private file, and asks for another certificate long before it ends. The key
//! is made here and never leaves this host.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sweep_core::id::AgentId;
use sweep_identity::address::Address;
use sweep_identity::authority::AGENT_DAYS;
use sweep_identity::certificate::{AgentCertificate, CertificateError, KeyRequest, to_pem};
use sweep_identity::dial::{Bearer, DialError, Link, OwnCertificate, Tls};
use sweep_identity::private::{self, PrivateError};
use sweep_identity::token::{Handed, Kind, Token, TokenError};
use sweep_identity::trouble::Held;
use tokio::time::sleep;

use crate::rpc::{CallError, enrol, link};

/// Key, certificate and the coordinator's CA, in this order.
const FILE: &str = "member.pem";
/// The key of an agent that has asked to join and has not heard: it asks again with the same one, and the token is spent for it.
const JOINING: &str = "joining.pem";
/// A third of a certificate's life.
const RENEW: i64 = AGENT_DAYS * 86_400 / 3;
/// Between two looks at the clock: a suspended host wakes up late.
const LOOK: Duration = Duration::from_secs(3600);
/// After a try that failed.
const AGAIN: Duration = Duration::from_secs(600);

/// Why the agent is no member.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// It has never joined, and was not told how.
    #[error(
        "this agent has not joined the lab at {address}: get a token with `sweepctl admin agent-token` and start it once \
         with --join-file FILE"
    )]
    NotJoined {
        /// Where.
        address: String,
    },
    /// Its certificate has ended.
    #[error(
        "this agent's certificate has ended: `sweepctl admin agent revoke` it, then join again with a new token (`sweep-agent --join-file \
         FILE join --again`)"
    )]
    Ended,
    /// It is a member.
    #[error("this agent has joined before: `join --again` takes another certificate, if it was revoked")]
    Joined,
    /// A token for people, or without the fingerprint of the CA.
    #[error("{} does not hold a join token with the fingerprint of a CA", .0.display())]
    WrongToken(PathBuf),
    /// A token that is none.
    #[error("{} does not hold a token", path.display())]
    Token {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// A private file.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No connection, why, and what to do.
    #[error("{0}")]
    NoWay(String),
    /// The coordinator does not take the token.
    #[error(
        "the coordinator at {address} does not take the token in {}: it is good for one agent and for an hour (`--hours`), and was used, has \
         ended or was revoked; get another with `sweepctl admin agent-token`", path.display()
    )]
    NotTaken {
        /// Where.
        address: String,
        /// Which file.
        path: PathBuf,
    },
    /// The coordinator said no.
    #[error("the coordinator at {address} does not let this agent join: {error}")]
    Refused {
        /// Where.
        address: String,
        /// Why.
        error: CallError,
    },
    /// The coordinator said no, or nothing, to a member.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The coordinator never showed its CA.
    #[error("the coordinator did not show the CA that the token names")]
    NoAuthority,
}

/// A member.
#[derive(Debug)]
pub struct Member {
    path: PathBuf,
    authority: CertificateDer<'static>,
    own: OwnCertificate,
    expires: i64,
    agent: AgentId,
}

impl Member {
    /// Reads what joining left in the state folder.
    ///
    /// # Errors
    /// When it is damaged, or others can read it.
    pub fn read(state: &Path) -> Result<Option<Self>, MemberError> {
        let path = state.join(FILE);
        let text = match private::read(&path) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut certificates = CertificateDer::pem_slice_iter(text.as_bytes());
        let (Some(Ok(own)), Some(Ok(authority))) = (certificates.next(), certificates.next()) else {
            return Err(CertificateError::Unreadable.into());
        };
        let AgentCertificate { expires, agent, .. } = AgentCertificate::read(&own)?;
        Ok(Some(Self { path, authority, own: OwnCertificate::new(&text, &own)?, expires, agent: agent.into() }))
    }

    /// When its certificate ends, seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.expires
    }

    /// When it asks for the next one, seconds since 1970.
    pub fn renews(&self) -> i64 {
        self.expires - RENEW
    }

    /// As whom it has joined.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// Joins with the token in a file, `again` also if it has joined before. What there was stays until the coordinator has said yes.
    ///
    /// # Errors
    /// When it has joined before, or is not let in.
    pub async fn enter(
        state: &Path,
        address: &Address,
        agent: AgentId,
        file: &Path,
        again: bool,
    ) -> Result<Self, MemberError> {
        if !again && Self::read(state)?.is_some() {
            return Err(MemberError::Joined);
        }
        Self::join(state, address, agent, file).await
    }

    /// Reads, or joins with the token in a file.
    ///
    /// # Errors
    /// When it is no member and cannot become one.
    pub async fn get(
        state: &Path,
        address: &Address,
        agent: AgentId,
        join: Option<&Path>,
    ) -> Result<Self, MemberError> {
        let member = Self::read(state)?;
        let is_member = member.is_some();
        match (member.filter(|member| member.expires > now()), join) {
            (Some(member), _) => {
                forget(&state.join(JOINING));
                Ok(member)
            }
            (None, None) if is_member => Err(MemberError::Ended),
            (None, None) => Err(MemberError::NotJoined { address: address.to_string() }),
            (None, Some(file)) => Self::join(state, address, agent, file).await,
        }
    }

    /// Believes whom the join token in a file names; and the token.
    ///
    /// # Errors
    /// When there is no such token in it.
    pub fn pinned(file: &Path) -> Result<(Tls, Token), MemberError> {
        let handed = private::read(file)?.parse::<Handed>();
        let handed = handed.map_err(|source| MemberError::Token { path: file.to_owned(), source })?;
        let pin = handed.pin.filter(|_| handed.token.kind() == Kind::Join);
        let pin = pin.ok_or_else(|| MemberError::WrongToken(file.to_owned()))?;
        Ok((Tls::pinned(pin)?, handed.token))
    }

    async fn join(state: &Path, address: &Address, agent: AgentId, file: &Path) -> Result<Self, MemberError> {
        let (tls, token) = Self::pinned(file)?;
        let waiting = state.join(JOINING);
        let asked = joining(&waiting)?;
        let link = link(address, Some(&tls), Bearer::token(&token))?;
        let enrolled = enrol::enroll(link, agent, &asked.request).await;
        let certificate = enrolled.map_err(|error| why_not(error, address, file))?;
        let authority = tls.seen().ok_or(MemberError::NoAuthority)?;
        let path = state.join(FILE);
        keep(&path, &asked.key, &certificate, &authority)?;
        forget(&waiting);
        tracing::info!(%address, "this agent has joined");
        Self::read(state)?.ok_or(MemberError::NoAuthority)
    }

    /// Believes the lab's CA and shows the own certificate, also after it was renewed.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn tls(&self) -> Result<Tls, MemberError> {
        Ok(Tls::authority(&self.authority, Some(self.own.clone()))?)
    }

    /// Renews the certificate for as long as it is polled: as soon as a third of its life is left by `clock`, seconds since 1970.
    pub async fn renew(mut self, link: Link, clock: impl Fn() -> i64) {
        loop {
            let due = self.renews() - clock();
            if due > 0 {
                sleep(Duration::from_secs(due.unsigned_abs()).min(LOOK)).await;
                continue;
            }
            let Err(error) = self.renew_once(link.clone()).await else {
                tracing::info!("the certificate was renewed");
                continue;
            };
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the certificate could not be renewed; trying again"
            );
            sleep(AGAIN).await;
        }
    }

    /// Asks for another certificate, for a new key.
    ///
    /// # Errors
    /// When there is none; the old one stays.
    pub async fn renew_once(&mut self, link: Link) -> Result<(), MemberError> {
        let asked = KeyRequest::new()?;
        let certificate = enrol::renew(link, &asked.request).await?;
        let expires = AgentCertificate::read(&certificate)?.expires;
        keep(&self.path, &asked.key, &certificate, &self.authority)?;
        self.own.replace(&asked.key, &certificate)?;
        self.expires = expires;
        Ok(())
    }
}

/// Why an agent may not join, for whoever has just typed where and with which token.
fn why_not(error: CallError, address: &Address, file: &Path) -> MemberError {
    if let Some(trouble) = error.trouble() {
        return MemberError::NoWay(trouble.words(address, Held::JoinToken));
    }
    let address = address.to_string();
    match &error {
        CallError::Refused(status) if status.code() == tonic::Code::Unauthenticated => {
            MemberError::NotTaken { address, path: file.to_owned() }
        }
        _ => MemberError::Refused { address, error },
    }
}

/// The key to join with: the one of an earlier try, or a new one, which is on the disk before anybody hears of it.
fn joining(path: &Path) -> Result<KeyRequest, MemberError> {
    match private::read(path) {
        Ok(key) => Ok(KeyRequest::of(&key)?),
        Err(error) if error.is_missing() => {
            let asked = KeyRequest::new()?;
            private::write(path, asked.key.as_bytes())?;
            Ok(asked)
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes the key of a join that has come to its end, unless it is gone already.
fn forget(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "this file is of no more use and cannot be removed");
        }
        _ => {}
    }
}

fn keep(path: &Path, key: &str, own: &[u8], authority: &[u8]) -> Result<(), PrivateError> {
    private::write(path, format!("{key}{}{}", to_pem(own), to_pem(authority)).as_bytes())
}

/// The host's clock, seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() as i64
}
