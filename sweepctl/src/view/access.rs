//! Logins, users, tokens and agents, as they are printed.

use serde::Serialize;
use sweep_proto::v1;

/// Who the coordinator takes us for.
#[derive(Debug, Serialize)]
pub(crate) struct WhoView {
    /// `local`, `person` or `agent`.
    pub(crate) kind: String,
    /// Name of the user.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: String,
    /// Where.
    pub(crate) projects: Vec<String>,
    /// Public half of the token.
    pub(crate) token: String,
    /// When it ends, microseconds since 1970; 0 if it does not.
    pub(crate) expires: i64,
}

impl From<v1::WhoAmIReply> for WhoView {
    fn from(reply: v1::WhoAmIReply) -> Self {
        let v1::WhoAmIReply { kind, name, role, projects, token_id: token, expires } = reply;
        Self { kind, name, role, projects, token, expires }
    }
}

/// A user.
#[derive(Debug, Serialize)]
pub(crate) struct UserView {
    /// Their name.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: String,
    /// Where.
    pub(crate) projects: Vec<String>,
    /// Since when.
    pub(crate) created: i64,
    /// 0 if they are still here.
    pub(crate) removed: i64,
    /// Tokens that are good.
    pub(crate) tokens: u32,
}

impl From<v1::UserSummary> for UserView {
    fn from(user: v1::UserSummary) -> Self {
        let v1::UserSummary { name, role, projects, created, removed, tokens } = user;
        Self { name, role, projects, created, removed, tokens }
    }
}

/// A token, without what is secret of it.
#[derive(Debug, Serialize)]
pub(crate) struct TokenView {
    /// Its public half.
    pub(crate) id: String,
    /// `user` or `join`.
    pub(crate) kind: String,
    /// Whose.
    pub(crate) user: String,
    /// At most this.
    pub(crate) role: String,
    /// For people.
    pub(crate) note: String,
    /// Since when.
    pub(crate) created: i64,
    /// Until when.
    pub(crate) expires: i64,
    /// 0 if it was not revoked.
    pub(crate) revoked: i64,
}

impl From<v1::TokenSummary> for TokenView {
    fn from(token: v1::TokenSummary) -> Self {
        let v1::TokenSummary { id, kind, user, role, note, created, expires, revoked } = token;
        Self { id, kind, user, role, note, created, expires, revoked }
    }
}

/// An agent that has joined.
#[derive(Debug, Serialize)]
pub(crate) struct AgentCertificateView {
    /// Its host; empty if it has not called yet.
    pub(crate) host: String,
    /// Its id.
    pub(crate) agent: String,
    /// For people.
    pub(crate) note: String,
    /// Since when.
    pub(crate) enrolled: i64,
    /// Until when its certificate is good.
    pub(crate) expires: i64,
    /// 0 if it is a member.
    pub(crate) revoked: i64,
}

impl From<v1::AgentCertificate> for AgentCertificateView {
    fn from(agent: v1::AgentCertificate) -> Self {
        let id = uuid::Uuid::from_slice(&agent.agent_id).map(|id| id.simple().to_string());
        let v1::AgentCertificate { note, enrolled, expires, revoked, host, .. } = agent;
        Self { host, agent: id.unwrap_or_default(), note, enrolled, expires, revoked }
    }
}

/// An entry of the audit log.
#[derive(Debug)]
pub(crate) struct EntryView {
    /// Counted from 1.
    pub(crate) no: u64,
    /// As it was hashed.
    pub(crate) body: String,
    /// Of it and all before it.
    pub(crate) hash: String,
}

impl From<v1::AuditEntry> for EntryView {
    fn from(entry: v1::AuditEntry) -> Self {
        let v1::AuditEntry { no, body, hash } = entry;
        Self { no, body, hash }
    }
}
