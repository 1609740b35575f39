//! Logins, users, agents' certificates, the audit log: what the guard keeps, over the wire.

use sweep_core::access::Role;
use sweep_core::command::Command;
use sweep_core::id::AgentId;
use sweep_core::time::{Span, Timestamp};
use sweep_identity::authority::AGENT_DAYS;
use sweep_identity::certificate::{CertificateError, request_key};
use sweep_identity::token::{Handed, Kind, Token};
use sweep_proto::convert::{id, id_bytes};
use sweep_proto::status::status;
use sweep_proto::v1;
use sweep_proto::v1::access_server::Access as Service;
use tonic::{Code, Request, Response, Status};

use super::members::{token_summary, user_summary};
use super::{malformed, members, names, refused};
use crate::access::book::{Change, Denied, Done, User};
use crate::access::guard::Guard;
use crate::access::identity::{Identity, Who};
use crate::access::keeper::{Keeper, KeeperError};
use crate::access::store::StoreError;
use crate::handle::Handle;

/// Entries of the audit log on a page.
const PAGE: u32 = 1000;

/// The service.
#[derive(Debug)]
pub(super) struct AccessService(pub(super) Guard, pub(super) Handle);

#[tonic::async_trait]
impl Service for AccessService {
    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIReply>, Status> {
        let identity = Identity::of(&request);
        let (kind, role, projects) = match &identity.who {
            Who::Person { role, projects, .. } => ("person", role.name(), projects.iter().cloned().collect()),
            Who::Local => ("local", Role::Admin.name(), Vec::new()),
            Who::Agent { .. } | Who::Joiner | Who::Stranger => ("agent", "", Vec::new()),
        };
        let expires = identity.until.map_or(0, |until| until.0);
        let (kind, role, name) = (kind.to_owned(), role.to_owned(), identity.name(String::new()));
        let token_id = identity.token.unwrap_or_default();
        Ok(Response::new(v1::WhoAmIReply { kind, name, role, projects, token_id, expires }))
    }

    async fn logout(&self, request: Request<v1::LogoutRequest>) -> Result<Response<v1::LogoutReply>, Status> {
        let Some(token) = Identity::of(&request).token else { return Ok(Response::new(v1::LogoutReply {})) };
        self.change(Change::RevokeToken(token)).await?;
        Ok(Response::new(v1::LogoutReply {}))
    }

    async fn renew_token(
        &self,
        request: Request<v1::RenewTokenRequest>,
    ) -> Result<Response<v1::CreateTokenReply>, Status> {
        let identity = Identity::of(&request);
        let Some(old) = identity.token.clone() else {
            return Err(status(Code::FailedPrecondition, "no_token", "the caller has shown no token to renew"));
        };
        let token = generate(Kind::User)?;
        identity.about(format!("token {} in place of {old}", token.id()));
        let change = Change::RenewToken { old, id: token.id().to_owned(), digest: token.digest() };
        self.hand(token, self.change(change).await?)
    }

    async fn put_user(&self, request: Request<v1::PutUserRequest>) -> Result<Response<v1::UserReply>, Status> {
        let identity = Identity::of(&request);
        let v1::PutUserRequest { name, role, projects, set, take_over, new_project } = request.into_inner();
        let over = if take_over { ", with what the name has" } else { "" };
        identity.about(format!("user {name}: {role} in {}{over}", projects.join(", ")));
        let role = (!set || !role.is_empty()).then(|| parse_role(&role)).transpose()?;
        let known = self.keeper()?.book().users.get(&name).is_some_and(|user| user.removed.is_none());
        for project in projects.iter().filter(|_| !new_project && known == set) {
            let cure = "--new-project makes it";
            names::check(&self.0, &self.1, names::Kind::Project, project, cure).await?;
        }
        let projects = (!set || !projects.is_empty()).then(|| projects.into_iter().collect());
        let change = match role {
            Some(role) if !set => {
                self.check_left(&name, take_over).await?;
                Change::AddUser { name, role, projects: projects.unwrap_or_default(), take_over }
            }
            role => Change::SetUser { name, role, projects },
        };
        match self.change(change).await? {
            Done::User(user) => Ok(Response::new(self.user(&user)?)),
            Done::Set(before, now) => {
                identity.about(format!("user {}: {}; was {}", now.name, now.words(), before.words()));
                let before = Some(user_summary(&self.keeper()?.book(), &before, self.0.now()));
                Ok(Response::new(v1::UserReply { before, ..self.user(&now)? }))
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn list_users(&self, _: Request<v1::ListUsersRequest>) -> Result<Response<v1::ListUsersReply>, Status> {
        let (book, now) = (self.keeper()?.book(), self.0.now());
        let users = book.users.values().map(|user| user_summary(&book, user, now)).collect();
        Ok(Response::new(v1::ListUsersReply { users }))
    }

    async fn remove_user(&self, request: Request<v1::RemoveUserRequest>) -> Result<Response<v1::UserReply>, Status> {
        let identity = Identity::of(&request);
        let name = request.into_inner().name;
        identity.about(format!("user {name}"));
        match self.change(Change::RemoveUser(name)).await? {
            Done::User(user) => Ok(Response::new(self.user(&user)?)),
            other => Err(unexpected(&other)),
        }
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenReply>, Status> {
        let identity = Identity::of(&request);
        let v1::CreateTokenRequest { user, role, seconds, note } = request.into_inner();
        identity.about(format!("a token of {user}"));
        let role = (!role.is_empty()).then(|| parse_role(&role)).transpose()?;
        self.add(&identity, Kind::User, Some(user), role, seconds, note).await
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensReply>, Status> {
        let v1::ListTokensRequest { user, all } = request.into_inner();
        let (book, now) = (self.keeper()?.book(), self.0.now());
        let tokens = book.tokens.values().filter(|token| user.is_empty() || token.user.as_ref() == Some(&user));
        let tokens = tokens.filter(|token| all || book.good(&token.id, now).is_some()).map(token_summary);
        Ok(Response::new(v1::ListTokensReply { tokens: tokens.collect() }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeReply>, Status> {
        let identity = Identity::of(&request);
        let id = request.into_inner().id;
        identity.about(format!("token {id}"));
        self.revoke(Change::RevokeToken(id)).await
    }

    async fn create_agent_token(
        &self,
        request: Request<v1::CreateAgentTokenRequest>,
    ) -> Result<Response<v1::CreateTokenReply>, Status> {
        let identity = Identity::of(&request);
        let v1::CreateAgentTokenRequest { seconds, note } = request.into_inner();
        self.add(&identity, Kind::Join, None, None, seconds, note).await
    }

    async fn list_agent_certificates(
        &self,
        _: Request<v1::ListAgentCertificatesRequest>,
    ) -> Result<Response<v1::ListAgentCertificatesReply>, Status> {
        let book = self.keeper()?.book();
        let hosts = members::hosts(&self.1).await?;
        let agents = book.agents.values().map(|agent| members::agent_summary(agent, hosts.get(&agent.agent)));
        Ok(Response::new(v1::ListAgentCertificatesReply { agents: agents.collect() }))
    }

    async fn revoke_agent(
        &self,
        request: Request<v1::RevokeAgentRequest>,
    ) -> Result<Response<v1::RevokeReply>, Status> {
        let identity = Identity::of(&request);
        let v1::RevokeAgentRequest { agent_id, agent } = request.into_inner();
        let hosts = members::hosts(&self.1).await?;
        let agent: AgentId = match agent_id.is_empty() {
            true => {
                identity.about(format!("agent {agent}"));
                members::named(&self.keeper()?.book(), &hosts, &agent)?
            }
            false => id(&agent_id, "agent_id").map_err(malformed)?,
        };
        let host = hosts.get(&agent).map(|host| host.name.clone()).unwrap_or_default();
        identity.about(if host.is_empty() { format!("agent {agent}") } else { format!("agent {agent} of {host}") });
        let revoked = self.revoke(Change::RevokeAgent(agent)).await?.into_inner();
        // Its calls are over already; its trials go to others at once, and its host is none any more.
        let user = identity.name(String::new());
        self.1.command(Command::Dismiss { user, agent }).await.map_err(refused)?;
        Ok(Response::new(v1::RevokeReply { agent_id: id_bytes(agent), host, ..revoked }))
    }

    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::CertificateReply>, Status> {
        let identity = Identity::of(&request);
        let v1::EnrollRequest { agent_id, request } = request.into_inner();
        let agent: AgentId = id(&agent_id, "agent_id").map_err(malformed)?;
        identity.about(format!("agent {agent}"));
        let token = identity.token.clone();
        let token = token.ok_or_else(|| status(Code::FailedPrecondition, "no_join_token", "join with a join token"))?;
        self.check_request(&request, agent)?;
        let expires = self.0.now() + Span::seconds(AGENT_DAYS * 86_400);
        let key = request_key(&request).map_err(|error| request_invalid(&error))?;
        let change = Change::Enroll { token, agent, key: key.to_string(), expires };
        let certified = self.certify(change, &request, agent).await;
        // Somebody else has spent it: no more is said than of any other token that is good for nothing.
        certified.map_err(|refusal| if refusal.code() == Code::NotFound { self.0.unauthenticated() } else { refusal })
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::CertificateReply>, Status> {
        let identity = Identity::of(&request);
        let Who::Agent { agent, .. } = identity.who else {
            return Err(status(Code::FailedPrecondition, "no_certificate", "only an agent's certificate is renewed"));
        };
        let request = request.into_inner().request;
        self.check_request(&request, agent)?;
        let expires = self.0.now() + Span::seconds(AGENT_DAYS * 86_400);
        self.certify(Change::Renew { agent, expires }, &request, agent).await
    }

    async fn audit_log(&self, request: Request<v1::AuditLogRequest>) -> Result<Response<v1::AuditLogReply>, Status> {
        let v1::AuditLogRequest { after, limit } = request.into_inner();
        let limit = if limit == 0 { PAGE } else { limit.min(PAGE) };
        let (entries, total) = self.keeper()?.page(after, limit).await.map_err(|error| failed(&error))?;
        let entry = |entry: crate::access::store::Entry| {
            let crate::access::store::Entry { no, body, hash } = entry;
            v1::AuditEntry { no, body, hash }
        };
        Ok(Response::new(v1::AuditLogReply { entries: entries.into_iter().map(entry).collect(), total }))
    }
}

impl AccessService {
    fn keeper(&self) -> Result<&Keeper, Status> {
        let none = || {
            let text = "this coordinator serves one person and has no logins; `sweepctl admin init` makes a lab of it";
            status(Code::FailedPrecondition, "no_logins", text)
        };
        self.0.lab_parts().map(|(keeper, _)| keeper).ok_or_else(none)
    }

    /// What somebody submitted belongs to their name: it is not given away with it, unless that is said. The book knows who was here; the
    /// journal, who was before there were logins.
    async fn check_left(&self, name: &str, take_over: bool) -> Result<(), Status> {
        let is_new = !self.keeper()?.book().users.contains_key(name);
        if take_over || !is_new {
            return Ok(());
        }
        let text = name.to_owned();
        let left = self.1.query(move |view| view.core.state().accounts.user(&text).is_some());
        match left.await.map_err(refused)? {
            true => Err(failed(&KeeperError::Denied(Denied::UserLeft(name.to_owned())))),
            false => Ok(()),
        }
    }

    async fn change(&self, change: Change) -> Result<Done, Status> {
        self.keeper()?.change(change).await.map_err(|error| failed(&error))
    }

    async fn revoke(&self, change: Change) -> Result<Response<v1::RevokeReply>, Status> {
        match self.change(change).await? {
            Done::Changed(changed) => Ok(Response::new(v1::RevokeReply { changed, ..v1::RevokeReply::default() })),
            other => Err(unexpected(&other)),
        }
    }

    async fn add(
        &self,
        identity: &Identity,
        kind: Kind,
        user: Option<String>,
        role: Option<Role>,
        seconds: u64,
        note: String,
    ) -> Result<Response<v1::CreateTokenReply>, Status> {
        let token = generate(kind)?;
        let whose = user.clone().unwrap_or_else(|| "an agent".to_owned());
        let most = role.map(|role| format!(" as {role}")).unwrap_or_default();
        identity.about(format!("token {} for {whose}{most}", token.id()));
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000).min(i64::MAX / 1_000_000);
        let life = (seconds > 0).then(|| Span::seconds(seconds));
        let (id, digest) = (token.id().to_owned(), token.digest());
        let done = self.change(Change::AddToken { id, digest, user, role, life, note }).await?;
        self.hand(token, done)
    }

    /// Tells a token, this once.
    fn hand(&self, token: Token, done: Done) -> Result<Response<v1::CreateTokenReply>, Status> {
        let Done::Token(made) = done else { return Err(unexpected(&done)) };
        let pin = self.0.lab_parts().map(|(_, authority)| authority.fingerprint());
        let token = Handed { token, pin }.expose();
        Ok(Response::new(v1::CreateTokenReply { token, id: made.id, expires: made.expires.0 }))
    }

    /// A request that cannot be signed spends no token.
    fn check_request(&self, request: &[u8], agent: AgentId) -> Result<(), Status> {
        let Some((_, authority)) = self.0.lab_parts() else { return self.keeper().map(drop) };
        let signed = authority.sign_agent(request, agent.0, 0);
        signed.map(drop).map_err(|error| request_invalid(&error))
    }

    async fn certify(
        &self,
        change: Change,
        request: &[u8],
        agent: AgentId,
    ) -> Result<Response<v1::CertificateReply>, Status> {
        let Done::Generation(generation) = self.change(change).await? else {
            return Err(status(Code::Internal, "internal", "an agent has no generation"));
        };
        let (_, authority) = self.0.lab_parts().ok_or_else(|| status(Code::Internal, "internal", "no authority"))?;
        let signed = authority.sign_agent(request, agent.0, generation);
        let (certificate, seconds) = signed.map_err(|error| request_invalid(&error))?;
        let expires = Timestamp(seconds.saturating_mul(1_000_000)).0;
        Ok(Response::new(v1::CertificateReply { certificate: certificate.into(), expires }))
    }

    fn user(&self, user: &User) -> Result<v1::UserReply, Status> {
        let summary = user_summary(&self.keeper()?.book(), user, self.0.now());
        Ok(v1::UserReply { user: Some(summary), before: None })
    }
}

fn generate(kind: Kind) -> Result<Token, Status> {
    Token::generate(kind).map_err(|error| status(Code::Internal, "internal", error.to_string()))
}

fn parse_role(role: &str) -> Result<Role, Status> {
    role.parse().map_err(|error: sweep_core::access::UnknownRole| {
        status(Code::InvalidArgument, "role_unknown", error.to_string())
    })
}

fn failed(error: &KeeperError) -> Status {
    let (code, reason) = match error {
        KeeperError::Denied(denied) => {
            let code = match denied {
                Denied::Name(_) | Denied::Note | Denied::LifeTooLong(_) => Code::InvalidArgument,
                Denied::UserUnknown(_) | Denied::TokenUnknown(_) | Denied::AgentUnknown(_) => Code::NotFound,
                Denied::LastAdmin(_)
                | Denied::RoleTooGreat { .. }
                | Denied::UserLeft(_)
                | Denied::AgentKnown(_)
                | Denied::TokenOld => Code::FailedPrecondition,
                Denied::UserKnown(_) => Code::AlreadyExists,
                Denied::TooMany => Code::ResourceExhausted,
            };
            (code, denied.reason())
        }
        KeeperError::Store(StoreError::Full(_)) => (Code::ResourceExhausted, "disk_full"),
        KeeperError::Store(error) => {
            tracing::error!(error = error as &dyn std::error::Error, "access.db failed");
            (Code::Internal, "access_store")
        }
        KeeperError::Stopping => (Code::Unavailable, "stopping"),
    };
    status(code, reason, error.to_string())
}

fn request_invalid(error: &CertificateError) -> Status {
    status(Code::InvalidArgument, "request_invalid", error.to_string())
}

fn unexpected(done: &Done) -> Status {
    status(Code::Internal, "internal", format!("the book answered {done:?}"))
}
