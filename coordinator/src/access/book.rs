//! Who there is: users, tokens, agents. Pure: a change in, records out, refusals typed; the records are
//! what is stored. Who may ask for a change has been decided before; secrets never come here, only hashes.

use std::collections::{BTreeMap, BTreeSet};

use sweep_core::access::Role;
use sweep_core::id::AgentId;
use sweep_core::time::{Span, Timestamp};
use sweep_identity::token::Digest;

pub use super::denied::Denied;
pub use super::record::{AgentRecord, Record, Spent, TokenRecord, User};

pub(super) const DAY: Span = Span::seconds(86_400);
/// How long a person's token is good if nothing is said, and at most.
pub const TOKEN_LIFE: [Span; 2] = [Span(90 * DAY.0), Span(366 * DAY.0)];
/// How long a join token is good if nothing is said, and at most.
pub const JOIN_LIFE: [Span; 2] = [Span::seconds(3600), Span(7 * DAY.0)];
/// How long a token that was renewed is still good, so that an answer that was lost locks nobody out.
const RENEWED: Span = Span::seconds(60);
/// The name of whoever needs none: nobody may take it.
pub const LOCAL: &str = "local";
/// Longest name and note, letters.
pub(super) const LONGEST: usize = 64;
/// Projects of a user, and records of a kind: more are refused.
pub(super) const PROJECTS: usize = 256;
pub(super) const RECORDS: usize = 100_000;

/// What somebody wants changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new user, or one who comes back.
    AddUser {
        /// Who.
        name: String,
        /// What they may do.
        role: Role,
        /// Where.
        projects: BTreeSet<String>,
        /// They get what somebody of this name left behind.
        take_over: bool,
    },
    /// Another role, other projects; what is not said stays.
    SetUser {
        /// Who.
        name: String,
        /// What they may do.
        role: Option<Role>,
        /// Where.
        projects: Option<BTreeSet<String>>,
    },
    /// They leave; their tokens with them.
    RemoveUser(String),
    /// A token of a user, or one to join with.
    AddToken {
        /// Its public half.
        id: String,
        /// Its hash.
        digest: Digest,
        /// Whose; `None` to join with.
        user: Option<String>,
        /// At most this; the user's role if nothing is said.
        role: Option<Role>,
        /// How long it is good, if that is said.
        life: Option<Span>,
        /// For people.
        note: String,
    },
    /// A token of a user takes the place of another, for as long as that one was made for.
    RenewToken {
        /// The public half of the one before.
        old: String,
        /// Its own public half.
        id: String,
        /// Its hash.
        digest: Digest,
    },
    /// A token is good for nothing from now on.
    RevokeToken(String),
    /// An agent is out from now on.
    RevokeAgent(AgentId),
    /// A join token is spent for an agent.
    Enroll {
        /// The token's public half.
        token: String,
        /// Who joins.
        agent: AgentId,
        /// SHA-256 of the key it shows.
        key: String,
        /// When its certificate will end.
        expires: Timestamp,
    },
    /// An agent gets another certificate.
    Renew {
        /// Which.
        agent: AgentId,
        /// When it will end.
        expires: Timestamp,
    },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// As it is now.
    User(User),
    /// As it was, and as it is now.
    Set(User, User),
    /// As it is now.
    Token(TokenRecord),
    /// Whether anything was changed.
    Changed(bool),
    /// How often the agent has enrolled.
    Generation(u32),
}

/// Everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// By name.
    pub users: BTreeMap<String, User>,
    /// By public half.
    pub tokens: BTreeMap<String, TokenRecord>,
    /// By id.
    pub agents: BTreeMap<AgentId, AgentRecord>,
}

impl Book {
    /// Takes in what was stored.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::User(user) => drop(self.users.insert(user.name.clone(), user)),
            Record::Token(token) => drop(self.tokens.insert(token.id.clone(), token)),
            Record::Agent(agent) => drop(self.agents.insert(agent.agent, agent)),
        }
    }

    /// A token that is good now, with its user if it has one.
    pub fn good(&self, id: &str, now: Timestamp) -> Option<(&TokenRecord, Option<&User>)> {
        let token = self.tokens.get(id).filter(|token| token.revoked.is_none() && now < token.expires)?;
        match &token.user {
            None => Some((token, None)),
            Some(name) => Some((token, Some(self.users.get(name).filter(|user| user.removed.is_none())?))),
        }
    }

    /// A join token that was spent by an agent that is still a member, while the token would be good.
    pub fn spent(&self, id: &str, now: Timestamp) -> Option<(&Spent, &AgentRecord)> {
        let spent = self.tokens.get(id).filter(|token| now < token.expires)?.spent_for.as_ref()?;
        Some((spent, self.member(spent.agent, spent.generation)?))
    }

    /// An agent that is a member, with this generation of certificate.
    pub fn member(&self, agent: AgentId, generation: u32) -> Option<&AgentRecord> {
        let known = self.agents.get(&agent)?;
        (known.revoked.is_none() && known.generation == generation).then_some(known)
    }

    /// What is to be stored for a change.
    ///
    /// # Errors
    /// When it must not be made; nothing is to be stored then.
    pub fn decide(&self, change: Change, now: Timestamp) -> Result<(Vec<Record>, Done), Denied> {
        match change {
            Change::AddUser { name, role, projects, take_over } => {
                match self.users.get(&name).map(|user| (user, user.removed)) {
                    Some((user, None)) => return Err(Denied::UserKnown(Box::new(user.clone()))),
                    Some((_, Some(_))) if !take_over => return Err(Denied::UserLeft(name)),
                    _ => {}
                }
                let user = self.put_user(name, role, projects, now)?;
                Ok((vec![Record::User(user.clone())], Done::User(user)))
            }
            Change::SetUser { name, role, projects } => {
                let before = self.user(&name)?.clone();
                let projects = projects.unwrap_or_else(|| before.projects.clone());
                let user = self.put_user(name, role.unwrap_or(before.role), projects, now)?;
                let record = (user != before).then(|| Record::User(user.clone()));
                Ok((record.into_iter().collect(), Done::Set(before, user)))
            }
            Change::RemoveUser(name) => self.remove_user(&name, now),
            Change::AddToken { id, digest, user, role, life, note } => {
                let role = match &user {
                    None => Role::Viewer,
                    Some(name) => {
                        let user = self.user(name)?;
                        let too_great = || Denied::RoleTooGreat { user: name.clone(), role: user.role };
                        role.map_or(Ok(user.role), |role| (role <= user.role).then_some(role).ok_or_else(too_great))?
                    }
                };
                let [usual, longest] = if user.is_some() { TOKEN_LIFE } else { JOIN_LIFE };
                let life = life.unwrap_or(usual);
                if life > longest {
                    return Err(Denied::LifeTooLong(longest));
                }
                let (id, digest) = (id, digest.hex());
                let note = valid_note(note)?;
                room(self.tokens.len())?;
                let expires = now + life;
                let (created, revoked, spent_for) = (now, None, None);
                let (first, successor) = (None, None);
                let token = TokenRecord {
                    id,
                    digest,
                    user,
                    role,
                    note,
                    created,
                    expires,
                    revoked,
                    spent_for,
                    first,
                    successor,
                };
                Ok((vec![Record::Token(token.clone())], Done::Token(token)))
            }
            Change::RenewToken { old, id, digest } => self.renew_token(old, id, &digest, now),
            Change::RevokeToken(id) => {
                let token = self.tokens.get(&id).ok_or(Denied::TokenUnknown(id))?;
                let records = revoked(token, now).map(Record::Token);
                Ok((records.iter().cloned().collect(), Done::Changed(records.is_some())))
            }
            Change::RevokeAgent(agent) => {
                let known = self.agents.get(&agent).ok_or(Denied::AgentUnknown(agent))?;
                if known.revoked.is_some() {
                    return Ok((Vec::new(), Done::Changed(false)));
                }
                let out = AgentRecord { revoked: Some(now), ..known.clone() };
                Ok((vec![Record::Agent(out)], Done::Changed(true)))
            }
            Change::Enroll { token, agent, key, expires } => self.enroll(token, agent, key, expires, now),
            Change::Renew { agent, expires } => {
                let known = self.agents.get(&agent).filter(|known| known.revoked.is_none());
                let known = known.ok_or(Denied::AgentUnknown(agent))?;
                let generation = known.generation;
                let renewed = AgentRecord { expires, ..known.clone() };
                Ok((vec![Record::Agent(renewed)], Done::Generation(generation)))
            }
        }
    }

    fn user(&self, name: &str) -> Result<&User, Denied> {
        let user = self.users.get(name).filter(|user| user.removed.is_none());
        user.ok_or_else(|| Denied::UserUnknown(name.to_owned()))
    }

    fn put_user(&self, name: String, role: Role, projects: BTreeSet<String>, now: Timestamp) -> Result<User, Denied> {
        valid_name(&name)?;
        projects.iter().try_for_each(|project| valid_name(project))?;
        if projects.len() > PROJECTS {
            return Err(Denied::TooMany);
        }
        room(self.users.len())?;
        if role != Role::Admin {
            self.not_last(&name)?;
        }
        let created = self.users.get(&name).map_or(now, |known| known.created);
        Ok(User { name, role, projects, created, removed: None })
    }

    fn remove_user(&self, name: &str, now: Timestamp) -> Result<(Vec<Record>, Done), Denied> {
        let user = User { removed: Some(now), ..self.user(name)?.clone() };
        self.not_last(name)?;
        let theirs = self.tokens.values().filter(|token| token.user.as_deref() == Some(name));
        let tokens = theirs.filter_map(|token| revoked(token, now)).map(Record::Token);
        Ok(([Record::User(user.clone())].into_iter().chain(tokens).collect(), Done::User(user)))
    }

    /// The one before ends within a minute: until then whoever has not heard the answer may ask again, and what they were not told of ends.
    fn renew_token(
        &self,
        old: String,
        id: String,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(Vec<Record>, Done), Denied> {
        let known = self.good(&old, now).filter(|(_, user)| user.is_some());
        let (known, _) = known.ok_or(Denied::TokenUnknown(old))?;
        room(self.tokens.len())?;
        let unheard = known.successor.as_ref().and_then(|id| self.tokens.get(id));
        let made = unheard.unwrap_or(known);
        let first = known.first.unwrap_or(known.created);
        let expires = (now + (made.expires - made.created)).min(first + TOKEN_LIFE[1]);
        if expires <= known.expires {
            return Err(Denied::TokenOld);
        }
        let next = TokenRecord {
            id: id.clone(),
            digest: digest.hex(),
            created: now,
            expires,
            first: Some(first),
            successor: None,
            ..known.clone()
        };
        let gone = TokenRecord { expires: known.expires.min(now + RENEWED), successor: Some(id), ..known.clone() };
        let unheard = unheard.and_then(|unheard| revoked(unheard, now));
        let records = [next.clone(), gone].into_iter().chain(unheard).map(Record::Token);
        Ok((records.collect(), Done::Token(next)))
    }

    fn enroll(
        &self,
        token: String,
        agent: AgentId,
        key: String,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(Vec<Record>, Done), Denied> {
        if let Some((spent, member)) = self.spent(&token, now)
            && (spent.agent, &spent.key) == (agent, &key)
        {
            // The answer was lost, or whoever it was for.
            let again = AgentRecord { expires, ..member.clone() };
            return Ok((vec![Record::Agent(again)], Done::Generation(member.generation)));
        }
        let spent = self.good(&token, now).filter(|(_, user)| user.is_none());
        let (spent, _) = spent.ok_or(Denied::TokenUnknown(token))?;
        let known = self.agents.get(&agent);
        if known.is_some_and(|known| known.revoked.is_none()) {
            return Err(Denied::AgentKnown(agent));
        }
        room(self.agents.len())?;
        let generation = known.map_or(1, |known| known.generation + 1);
        let note = spent.note.clone();
        let member = AgentRecord { agent, note, generation, enrolled: now, expires, revoked: None };
        let spent_for = Some(Spent { agent, key, generation });
        let spent = TokenRecord { revoked: Some(now), spent_for, ..spent.clone() };
        Ok((vec![Record::Token(spent), Record::Agent(member)], Done::Generation(generation)))
    }

    /// Somebody must be left who can let others in.
    fn not_last(&self, name: &str) -> Result<(), Denied> {
        let mut admins = self.users.values().filter(|user| user.role == Role::Admin && user.removed.is_none());
        let is_admin = self.users.get(name).is_some_and(|user| user.role == Role::Admin && user.removed.is_none());
        let last = is_admin && admins.all(|user| user.name == name);
        if last { Err(Denied::LastAdmin(name.to_owned())) } else { Ok(()) }
    }
}

fn revoked(token: &TokenRecord, now: Timestamp) -> Option<TokenRecord> {
    let is_good = token.revoked.is_none() || token.spent_for.is_some();
    is_good.then(|| TokenRecord { revoked: Some(now), spent_for: None, ..token.clone() })
}

fn room(count: usize) -> Result<(), Denied> {
    if count < RECORDS { Ok(()) } else { Err(Denied::TooMany) }
}

fn valid_name(name: &str) -> Result<(), Denied> {
    let letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let fits = name.len() <= LONGEST && name.bytes().next().is_some_and(letter) && name != LOCAL;
    let fits = fits && name.bytes().all(|byte| letter(byte) || matches!(byte, b'.' | b'_' | b'-'));
    if fits { Ok(()) } else { Err(Denied::Name(name.chars().take(LONGEST).flat_map(char::escape_default).collect())) }
}

fn valid_note(note: String) -> Result<String, Denied> {
    let fits = note.chars().count() <= LONGEST && !note.chars().any(char::is_control);
    if fits { Ok(note) } else { Err(Denied::Note) }
}
