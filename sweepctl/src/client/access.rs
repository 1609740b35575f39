//! Logins, users, agents' certificates and the audit log, as `sweepctl` sees them.

use sweep_proto::v1;
use sweep_proto::v1::access_client::AccessClient;
use tonic::{Response, Status};

use super::Client;
use crate::fault::Fault;
use crate::view::access::{AgentCertificateView, EntryView, TokenView, UserView, WhoView};

/// A user as it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PutUser<'a> {
    /// Who.
    pub(crate) name: &'a str,
    /// What they may do; empty: as before.
    pub(crate) role: &'a str,
    /// Where; none: as before.
    pub(crate) projects: &'a [String],
    /// One of these may be one that nobody has heard of.
    pub(crate) new_project: bool,
}

impl Client {
    /// Who the coordinator takes us for.
    pub(crate) async fn who_am_i(&self) -> Result<WhoView, Fault> {
        self.get(self.access().who_am_i(v1::WhoAmIRequest {}).await).map(WhoView::from)
    }

    /// Ends the token of this login.
    pub(crate) async fn logout(&self) -> Result<(), Fault> {
        self.get(self.access().logout(v1::LogoutRequest {}).await).map(drop)
    }

    /// A token in place of that of this login, its id, and when it ends.
    pub(crate) async fn renew_token(&self) -> Result<(String, String, i64), Fault> {
        let reply = self.get(self.access().renew_token(v1::RenewTokenRequest {}).await)?;
        Ok((reply.token, reply.id, reply.expires))
    }

    /// Makes a user.
    pub(crate) async fn add_user(&self, user: PutUser<'_>, take_over: bool) -> Result<(), Fault> {
        self.put_user(user, false, take_over).await.map(drop)
    }

    /// Changes a user; an empty role and no projects stay as they are. Answers how they were and are.
    pub(crate) async fn set_user(&self, user: PutUser<'_>) -> Result<(UserView, UserView), Fault> {
        let v1::UserReply { user, before } = self.put_user(user, true, false).await?;
        Ok((UserView::from(before.unwrap_or_default()), UserView::from(user.unwrap_or_default())))
    }

    async fn put_user(&self, user: PutUser<'_>, set: bool, take_over: bool) -> Result<v1::UserReply, Fault> {
        let PutUser { name, role, projects, new_project } = user;
        let (name, role, projects) = (name.to_owned(), role.to_owned(), projects.to_vec());
        let request = v1::PutUserRequest { name, role, projects, set, take_over, new_project };
        self.get(self.access().put_user(request).await)
    }

    /// Everybody.
    pub(crate) async fn users(&self) -> Result<Vec<UserView>, Fault> {
        let reply = self.get(self.access().list_users(v1::ListUsersRequest {}).await)?;
        Ok(reply.users.into_iter().map(UserView::from).collect())
    }

    /// Lets a user leave.
    pub(crate) async fn remove_user(&self, name: &str) -> Result<(), Fault> {
        let request = v1::RemoveUserRequest { name: name.to_owned() };
        self.get(self.access().remove_user(request).await).map(drop)
    }

    /// A new token, its id, and when it ends.
    pub(crate) async fn create_token(
        &self,
        user: &str,
        role: &str,
        seconds: u64,
        note: &str,
    ) -> Result<(String, String, i64), Fault> {
        let (user, role, note) = (user.to_owned(), role.to_owned(), note.to_owned());
        let request = v1::CreateTokenRequest { user, role, seconds, note };
        let reply = self.get(self.access().create_token(request).await)?;
        Ok((reply.token, reply.id, reply.expires))
    }

    /// As [`Client::create_token`], for an agent.
    pub(crate) async fn create_agent_token(&self, seconds: u64, note: &str) -> Result<(String, String, i64), Fault> {
        let request = v1::CreateAgentTokenRequest { seconds, note: note.to_owned() };
        let reply = self.get(self.access().create_agent_token(request).await)?;
        Ok((reply.token, reply.id, reply.expires))
    }

    /// Tokens; `all` also those that have ended.
    pub(crate) async fn tokens(&self, user: &str, all: bool) -> Result<Vec<TokenView>, Fault> {
        let request = v1::ListTokensRequest { user: user.to_owned(), all };
        let reply = self.get(self.access().list_tokens(request).await)?;
        Ok(reply.tokens.into_iter().map(TokenView::from).collect())
    }

    /// Ends a token; false if it had ended before.
    pub(crate) async fn revoke_token(&self, id: &str) -> Result<bool, Fault> {
        let request = v1::RevokeTokenRequest { id: id.to_owned() };
        self.get(self.access().revoke_token(request).await).map(|reply| reply.changed)
    }

    /// Agents that have joined.
    pub(crate) async fn agent_certificates(&self) -> Result<Vec<AgentCertificateView>, Fault> {
        let request = v1::ListAgentCertificatesRequest {};
        let reply = self.get(self.access().list_agent_certificates(request).await)?;
        Ok(reply.agents.into_iter().map(AgentCertificateView::from).collect())
    }

    /// Puts an agent out, by its host, its id or the beginning of it; answers which it was, and false if it was out before.
    pub(crate) async fn revoke_agent(&self, agent: &str) -> Result<(String, bool), Fault> {
        let request = v1::RevokeAgentRequest { agent: agent.to_owned(), ..v1::RevokeAgentRequest::default() };
        let reply = self.get(self.access().revoke_agent(request).await)?;
        let id = super::convert::id(&reply.agent_id);
        let which = if reply.host.is_empty() { format!("agent {id}") } else { format!("agent {id} of {}", reply.host) };
        Ok((which, reply.changed))
    }

    /// A page of the audit log.
    pub(crate) async fn audit_log(&self, after: u64) -> Result<Vec<EntryView>, Fault> {
        let request = v1::AuditLogRequest { after, limit: 0 };
        let reply = self.get(self.access().audit_log(request).await)?;
        Ok(reply.entries.into_iter().map(EntryView::from).collect())
    }

    fn access(&self) -> AccessClient<super::Link> {
        self.access.clone()
    }

    fn get<T>(&self, reply: Result<Response<T>, Status>) -> Result<T, Fault> {
        reply.map(Response::into_inner).map_err(|status| self.fault(status))
    }
}
