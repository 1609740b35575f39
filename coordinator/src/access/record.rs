//! What is stored of users, tokens and agents, a record for each.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sweep_core::access::Role;
use sweep_core::id::AgentId;
use sweep_core::time::Timestamp;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What they are called, in the journal and in the audit log; never given to another.
    pub name: String,
    /// What they may do, everywhere they are.
    pub role: Role,
    /// Where they are.
    pub projects: BTreeSet<String>,
    /// When they came.
    pub created: Timestamp,
    /// When they left.
    pub removed: Option<Timestamp>,
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public half.
    pub id: String,
    /// SHA-256 of all of it, hex.
    pub digest: String,
    /// Whose; `None` of a join token.
    pub user: Option<String>,
    /// At most this, whatever the user is.
    pub role: Role,
    /// For people.
    pub note: String,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// When it was revoked, or spent.
    pub revoked: Option<Timestamp>,
    /// Who has joined with it: whoever has not heard the answer may ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_for: Option<Spent>,
    /// When an admin made the first of those that were renewed up to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The token that takes its place: whoever has not heard the answer may ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
}

/// Who has joined with a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Which agent.
    pub agent: AgentId,
    /// SHA-256 of the key that it showed.
    pub key: String,
    /// How often it had enrolled then.
    pub generation: u32,
}

/// What is known of an agent that has enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Which.
    pub agent: AgentId,
    /// The note of its join token.
    pub note: String,
    /// How often it has enrolled; only certificates of the last time are good.
    pub generation: u32,
    /// When, the last time.
    pub enrolled: Timestamp,
    /// When its newest certificate ends.
    pub expires: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// One thing that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// See there.
    User(User),
    /// See there.
    Token(TokenRecord),
    /// See there.
    Agent(AgentRecord),
}

impl User {
    /// `viewer in audio, vision`.
    pub fn words(&self) -> String {
        let projects: Vec<&str> = self.projects.iter().map(String::as_str).collect();
        format!("{} in {}", self.role, if projects.is_empty() { "no project".to_owned() } else { projects.join(", ") })
    }
}

impl Record {
    /// Under which name it is stored; a later one of the same name takes its place.
    pub fn key(&self) -> String {
        match self {
            Self::User(user) => format!("user/{}", user.name),
            Self::Token(token) => format!("token/{}", token.id),
            Self::Agent(agent) => format!("agent/{}", agent.agent),
        }
    }
}
