//! Who is let in. A call shows a token, or its connection a certificate, or neither; out of that comes an
//! identity or a refusal, without waiting for anything. Unknown, wrong, expired and revoked are refused
//! with one text and in one time. Failures are counted by address, calls by identity.

use std::future::{Future, pending};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sweep_core::id::AgentId;
use sweep_core::time::Timestamp;
use sweep_identity::authority::Authority;
use sweep_identity::certificate::AgentCertificate;
use sweep_identity::listen::Peer;
use sweep_identity::token::{Digest, Kind, Token};
use sweep_proto::status::status;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::book::Book;
use super::identity::{Identity, Who};
use super::keeper::Keeper;
use super::rate::{Buckets, Rate};
use crate::clock::Clock;

/// Failed logins of one address: ten at once, ten a minute.
const FAILURES: Rate = Rate { burst: 10.0, each_second: 10.0 / 60.0 };
/// Calls of one person.
const PEOPLE: Rate = Rate { burst: 200.0, each_second: 50.0 };
/// Calls of one agent.
const AGENTS: Rate = Rate { burst: 1000.0, each_second: 200.0 };
/// Calls of strangers and joiners from one address.
const OTHERS: Rate = Rate { burst: 100.0, each_second: 5.0 };

/// How people and agents are told apart.
enum Mode {
    /// Everybody who can connect is trusted: the caller vouches for the listener.
    Open,
    /// One token, of one person on this host.
    Local(Digest),
    /// Users, tokens, certificates.
    Lab(Keeper, Arc<Authority>),
}

struct Inner {
    mode: Mode,
    clock: Clock,
    limits: Mutex<Limits>,
}

struct Limits {
    failures: Buckets<IpAddr>,
    people: Buckets<String>,
    agents: Buckets<AgentId>,
    others: Buckets<Option<IpAddr>>,
}

/// Lets in, or does not. Cheap to clone.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0.mode {
            Mode::Open => "Guard(open)",
            Mode::Local(_) => "Guard(local)",
            Mode::Lab(..) => "Guard(lab)",
        })
    }
}

impl Guard {
    /// Trusts everybody who can connect: for listeners that only trusted ones can reach.
    pub fn open(clock: Clock) -> Self {
        Self::new(Mode::Open, clock)
    }

    /// Trusts whoever has this token.
    pub fn local(token: &Token, clock: Clock) -> Self {
        Self::new(Mode::Local(token.digest()), clock)
    }

    /// Trusts those in the book.
    pub fn lab(keeper: Keeper, authority: Arc<Authority>, clock: Clock) -> Self {
        Self::new(Mode::Lab(keeper, authority), clock)
    }

    fn new(mode: Mode, clock: Clock) -> Self {
        let limits = Limits {
            failures: Buckets::new(FAILURES),
            people: Buckets::new(PEOPLE),
            agents: Buckets::new(AGENTS),
            others: Buckets::new(OTHERS),
        };
        Self(Arc::new(Inner { mode, clock, limits: Mutex::new(limits) }))
    }

    /// Whether it trusts everybody.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.0.mode, Mode::Open)
    }

    /// Nothing good was shown. What to do about it depends on what would be.
    pub(crate) fn unauthenticated(&self) -> Status {
        match self.0.mode {
            Mode::Local(_) => {
                let text = "this coordinator serves the one who started it: show the token in its folder's local-token \
                            (SWEEP_TOKEN_FILE; of an agent, --token-file)";
                status(Code::Unauthenticated, "unauthenticated", text)
            }
            Mode::Open | Mode::Lab(..) => unauthenticated(),
        }
    }

    /// Who keeps the book, where there is one.
    pub(crate) fn lab_parts(&self) -> Option<(&Keeper, &Arc<Authority>)> {
        match &self.0.mode {
            Mode::Lab(keeper, authority) => Some((keeper, authority)),
            Mode::Open | Mode::Local(_) => None,
        }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Who calls. `bearer` is what the call shows as its token, `peer` what the connection proves; `joins` when it asks to become
    /// an agent, which whoever has not heard the answer may do again.
    ///
    /// # Errors
    /// When what is shown is good for nothing.
    pub(crate) fn identify(&self, bearer: Option<&str>, peer: Option<&Peer>, joins: bool) -> Result<Identity, Status> {
        let address = peer.map(|peer| peer.address.ip());
        if self.is_open() {
            return Ok(Identity::new(Who::Local, None, address, None));
        }
        let found = match (&self.0.mode, bearer, peer.and_then(|peer| peer.agent)) {
            (_, None, None) => Ok(Identity::new(Who::Stranger, None, address, None)),
            (Mode::Lab(keeper, _), None, Some(certificate)) => self.certified(&keeper.book(), certificate, address),
            (_, Some(bearer), _) => self.with_token(bearer, address, joins),
            (Mode::Open | Mode::Local(_), None, Some(_)) => Err(unauthenticated()),
        };
        // A certificate cannot be guessed, and an agent that was put out goes on asking. Whoever shows a good
        // token is let in, whatever others try from the same address.
        if let (Err(_), Some(address), true) = (&found, address, bearer.is_some())
            && !self.limits().failures.take(&address, Instant::now())
        {
            let text = "too many failed logins from this address; wait a minute";
            return Err(status(Code::ResourceExhausted, "too_many_failures", text));
        }
        found
    }

    fn with_token(&self, bearer: &str, address: Option<IpAddr>, joins: bool) -> Result<Identity, Status> {
        let token: Token = bearer.parse().map_err(|_| unauthenticated())?;
        let shown = token.digest();
        match &self.0.mode {
            Mode::Open => Ok(Identity::new(Who::Local, None, address, None)),
            Mode::Local(digest) if shown.fits(digest) => Ok(Identity::new(Who::Local, None, address, None)),
            Mode::Local(_) => Err(unauthenticated()),
            Mode::Lab(keeper, _) => {
                let book = keeper.book();
                let known = book.tokens.get(token.id()).and_then(|known| Digest::from_hex(&known.digest));
                // Compared also when there is nothing to compare with, so that it takes as long.
                let fits = shown.fits(&known.unwrap_or(Digest::NONE));
                let spent = || {
                    let token = book.spent(token.id(), self.now()).and(book.tokens.get(token.id()))?;
                    Some((Who::Joiner, token.expires))
                };
                let found = found(&book, token.id(), self.now()).or_else(|| spent().filter(|_| joins)).filter(|_| fits);
                let (who, until) = found.ok_or_else(unauthenticated)?;
                let is_join = token.kind() == Kind::Join;
                if is_join != (who == Who::Joiner) {
                    return Err(unauthenticated());
                }
                Ok(Identity::new(who, Some(token.id().to_owned()), address, Some(until)))
            }
        }
    }

    fn certified(&self, book: &Book, shown: AgentCertificate, address: Option<IpAddr>) -> Result<Identity, Status> {
        let agent = AgentId::from(shown.agent);
        let until = Timestamp(shown.expires.saturating_mul(1_000_000));
        if self.now() >= until || book.member(agent, shown.generation).is_none() {
            let text = "this agent's certificate is revoked or has expired: to enrol it again, `sweep-agent --join-file FILE join --again` \
                        with a new join token (`sweepctl admin agent-token`); once it is back, `sweepctl undrain HOST` trusts it with trials";
            return Err(status(Code::Unauthenticated, "agent_revoked", text));
        }
        let who = Who::Agent { agent, generation: shown.generation };
        Ok(Identity::new(who, None, address, Some(until)))
    }

    /// Takes one call out of what the caller may make.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn admit(&self, identity: &Identity) -> Result<(), Status> {
        let now = Instant::now();
        let mut limits = self.limits();
        let has = match &identity.who {
            Who::Local => true,
            Who::Person { name, .. } => limits.people.take(name, now),
            Who::Agent { agent, .. } => limits.agents.take(agent, now),
            Who::Stranger | Who::Joiner => limits.others.take(&identity.address, now),
        };
        if has {
            return Ok(());
        }
        Err(status(Code::ResourceExhausted, "too_many_calls", "too many calls at once; try again in a few seconds"))
    }

    /// Waits until the identity is no longer good: revoked, expired, or not what it was.
    pub(crate) fn ended(&self, identity: &Identity) -> impl Future<Output = ()> + Send + 'static {
        let book = self.lab_parts().map(|(keeper, _)| keeper.changes());
        let (clock, identity) = (self.0.clock, identity.clone());
        async move {
            let Some(mut book) = book else { return pending().await };
            loop {
                let now = clock.now();
                if !stands(&book.borrow_and_update(), &identity, now) {
                    return;
                }
                let rest = identity.until.map_or(Duration::MAX, |until| {
                    Duration::from_micros(u64::try_from((until - now).0).unwrap_or_default())
                });
                tokio::select! {
                    changed = book.changed() => if changed.is_err() { return pending().await },
                    // Years are more than a timer takes; it looks again once a day.
                    () = sleep(rest.min(Duration::from_secs(86_400))) => {}
                }
            }
        }
    }

    fn limits(&self) -> std::sync::MutexGuard<'_, Limits> {
        self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose token this is, and until when it is good.
fn found(book: &Book, id: &str, now: Timestamp) -> Option<(Who, Timestamp)> {
    let (token, user) = book.good(id, now)?;
    let who = match user {
        None => Who::Joiner,
        Some(user) => Who::Person {
            name: user.name.clone(),
            role: user.role.min(token.role),
            projects: Arc::new(user.projects.clone()),
        },
    };
    Some((who, token.expires))
}

fn stands(book: &Book, identity: &Identity, now: Timestamp) -> bool {
    let now_good = match (&identity.who, &identity.token) {
        // The call that spends a join token goes on.
        (Who::Local | Who::Stranger | Who::Joiner, _) => return true,
        (Who::Agent { agent, generation }, _) => {
            return book.member(*agent, *generation).is_some() && identity.until.is_none_or(|until| now < until);
        }
        (Who::Person { .. }, Some(id)) => found(book, id, now),
        (Who::Person { .. }, None) => None,
    };
    now_good.is_some_and(|(who, _)| who == identity.who)
}

pub(crate) fn unauthenticated() -> Status {
    let text = "no valid token came with the call (missing, wrong, expired or revoked): log in with `sweepctl login`";
    status(Code::Unauthenticated, "unauthenticated", text)
}
