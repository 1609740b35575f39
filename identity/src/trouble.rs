//! Why there is no connection to a coordinator, in a sentence that says what to do. Told apart by what the network and TLS say; what is
//! none of these keeps the words of whoever found it.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::CertificateError;

use crate::address::{Address, TLS_PORT};

/// What a caller has that says which coordinator is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A token that a person was given.
    Token,
    /// A token that an agent was given to join.
    JoinToken,
    /// The login of a person.
    Login,
    /// The certificate of an agent.
    Member,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No host has that name.
    NoName,
    /// Nothing listens at that port.
    Refused,
    /// Nobody answers in time.
    Silent,
    /// The network has no way there.
    NoWay,
    /// Something listens, and it is no coordinator with TLS.
    NotTls,
    /// Something that speaks TLS listens, and it is no coordinator.
    OtherTls,
    /// The certificate is another authority's.
    Stranger,
    /// The certificate is for these names.
    Names(Vec<String>),
    /// The certificate ended so many seconds ago, by the clock here.
    Ended(u64),
    /// The certificate begins in so many seconds, by the clock here.
    Begins(u64),
}

/// A name that nobody could resolve.
#[derive(Debug)]
pub(crate) struct Unresolved(pub(crate) io::Error);

/// TLS was not set up.
#[derive(Debug)]
pub(crate) struct Greeting(pub(crate) io::Error);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Unresolved {}

impl Error for Greeting {}

impl From<Unresolved> for io::Error {
    fn from(error: Unresolved) -> Self {
        Self::new(io::ErrorKind::NotFound, error)
    }
}

impl From<Greeting> for io::Error {
    fn from(error: Greeting) -> Self {
        Self::new(error.0.kind(), error)
    }
}

impl Trouble {
    /// What an error, or what is behind it, says of it.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = named(error) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// The sentence: what is wrong, and what to do.
    pub fn words(&self, address: &Address, held: Held) -> String {
        format!("{}: {}", self.what(address, held), self.fix(address, held))
    }

    /// What is wrong.
    pub fn what(&self, address: &Address, held: Held) -> String {
        let (host, place) = (&address.host, address.place());
        match self {
            Self::NoName => format!("no host is called `{host}`"),
            Self::Refused => format!("nothing listens at {place}"),
            Self::Silent => format!("{place} does not answer"),
            Self::NoWay => format!("there is no way to {place}"),
            Self::NotTls => format!("what listens at {place} does not speak TLS"),
            Self::OtherTls => format!("what listens at {place} speaks TLS, but not as a coordinator does"),
            Self::Stranger => format!(
                "what listens at {place} is not the coordinator {} (its certificate is of another CA)",
                match held {
                    Held::Token | Held::JoinToken => "that the token is for",
                    Held::Login => "of this login",
                    Held::Member => "whose lab this agent joined",
                }
            ),
            Self::Names(names) => {
                format!("the certificate of {place} is for {}, and not for {host}", names.join(", "))
            }
            Self::Ended(ago) => {
                format!("by the clock of this host the certificate of {place} ended {} ago", span(*ago))
            }
            Self::Begins(left) => {
                format!("by the clock of this host the certificate of {place} begins in {}", span(*left))
            }
        }
    }

    /// What to do about it.
    pub fn fix(&self, address: &Address, held: Held) -> String {
        let port = format!("a lab is where `sweep-coordinator --listen` says, usually port {TLS_PORT}");
        let fix = match self {
            Self::NoName => {
                "check the spelling, or use the IP address of the coordinator's host, if its certificate is for it"
            }
            Self::Refused => {
                "does the coordinator run, and is that its port? The line `ready` of its log has its address"
            }
            Self::Silent => "is the host up and the port right, and does a firewall let this host through?",
            Self::NoWay => "is this host connected, and is the address right?",
            Self::NotTls => {
                return format!(
                    "it is another program, or a coordinator without logins, which is for its own host only; {port}"
                );
            }
            Self::OtherTls => return format!("it is another program; {port}"),
            Self::Stranger => match held {
                Held::Token => {
                    "check the address, or ask an admin of this lab for a token (`sweepctl admin token create NAME`)"
                }
                Held::JoinToken => "check --coordinator, or get a token of this lab (`sweepctl admin agent-token`)",
                Held::Login => {
                    "somebody may be in between. If an admin says that the lab was made anew, log in with a new token (`sweepctl login`)"
                }
                Held::Member => {
                    "check --coordinator. If the lab was made anew, join again with a new token (`sweepctl admin agent-token`, \
                     `sweep-agent --join-file FILE join --again`)"
                }
            },
            Self::Names(_) => {
                return format!(
                    "use one of these names, or stop the coordinator, add the name with `sweepctl admin init --host {}` on its host, and \
                     start it",
                    address.host
                );
            }
            Self::Ended(_) => {
                "this clock is ahead, or the coordinator's is behind; set both (chrony, systemd-timesyncd)"
            }
            Self::Begins(_) => {
                "this clock is behind, or the coordinator's is ahead; set both (chrony, systemd-timesyncd)"
            }
        };
        fix.to_owned()
    }
}

/// What this one error says, or what an error of the system carries inside, which it does not name as its source.
fn named(error: &(dyn Error + 'static)) -> Option<Trouble> {
    if let Some(rustls::Error::InvalidCertificate(error)) = error.downcast_ref() {
        return of_certificate(error);
    }
    if error.is::<Unresolved>() {
        return Some(Trouble::NoName);
    }
    if let Some(Greeting(error)) = error.downcast_ref() {
        return named(error).or_else(|| greeted(error));
    }
    let error = error.downcast_ref::<io::Error>()?;
    error.get_ref().and_then(|inner| Trouble::of(inner)).or(match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Trouble::Refused),
        io::ErrorKind::TimedOut => Some(Trouble::Silent),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Some(Trouble::NoWay)
        }
        _ => None,
    })
}

/// What answered the first words of TLS with something else than a certificate.
fn greeted(error: &io::Error) -> Option<Trouble> {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::InvalidMessage(_)), _) => Some(Trouble::NotTls),
        (Some(_), _) => Some(Trouble::OtherTls),
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            Some(Trouble::NotTls)
        }
        (None, _) => None,
    }
}

fn of_certificate(error: &CertificateError) -> Option<Trouble> {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(Trouble::Stranger),
        CertificateError::NotValidForNameContext { presented, .. } => {
            Some(Trouble::Names(presented.iter().map(|name| bare(name).to_owned()).collect()))
        }
        CertificateError::ExpiredContext { time, not_after } => {
            Some(Trouble::Ended(time.as_secs().saturating_sub(not_after.as_secs())))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            Some(Trouble::Begins(not_before.as_secs().saturating_sub(time.as_secs())))
        }
        _ => None,
    }
}

/// `DnsName("lab")` and `IpAddress(10.0.0.5)` as people write them.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

/// `40 s`, `3 min`, `5 h`, `12 days`.
fn span(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        172_800.. => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
