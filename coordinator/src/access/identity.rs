//! Who calls, as a handler sees it: in the request's extensions, put there before any handler runs. What
//! somebody may do is asked of the core; what belongs to whom, the handler knows.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sweep_core::access::{Caller, Permission, Reach, Role};
use sweep_core::id::AgentId;
use sweep_core::shares::DEFAULT_PROJECT;
use sweep_core::state::sweep::Sweep;
use sweep_core::time::Timestamp;
use sweep_proto::status::status;
use tonic::{Code, Request, Status};

use super::book::LOCAL;

/// Longest text about a call in the audit log, letters.
const ABOUT: usize = 4096;

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody knows.
    Stranger,
    /// Whoever can reach a coordinator that serves this host, or this user, only.
    Local,
    /// A user of the lab.
    Person {
        /// Their name.
        name: String,
        /// What they may do: the lesser of the user's role and the token's.
        role: Role,
        /// Where.
        projects: Arc<BTreeSet<String>>,
    },
    /// An agent that has enrolled.
    Agent {
        /// Which.
        agent: AgentId,
        /// Of its certificate.
        generation: u32,
    },
    /// Somebody who may become an agent.
    Joiner,
}

/// Who calls, and by what that is known.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who.
    pub who: Who,
    /// The public half of the token, if there was one.
    pub token: Option<String>,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
    /// Until when it is known.
    pub until: Option<Timestamp>,
    about: Arc<Mutex<Option<String>>>,
}

impl Identity {
    pub(super) fn new(who: Who, token: Option<String>, address: Option<IpAddr>, until: Option<Timestamp>) -> Self {
        Self { who, token, address, until, about: Arc::default() }
    }

    /// Whoever sent this request; a stranger if nobody has looked.
    pub fn of<T>(request: &Request<T>) -> Self {
        let known = request.extensions().get::<Self>().cloned();
        known.unwrap_or_else(|| Self::new(Who::Stranger, None, None, None))
    }

    /// As far as permission goes.
    pub fn caller(&self) -> Caller {
        match &self.who {
            Who::Stranger => Caller::Stranger,
            Who::Local => Caller::Local,
            Who::Person { role, .. } => Caller::Person(*role),
            Who::Agent { .. } => Caller::Agent,
            Who::Joiner => Caller::Joiner,
        }
    }

    /// The name that goes into the journal. Where there are no logins, people are who they say they are.
    pub fn name(&self, claimed: String) -> String {
        match &self.who {
            Who::Person { name, .. } => name.clone(),
            Who::Agent { agent, .. } => agent.to_string(),
            Who::Local if claimed.is_empty() => LOCAL.to_owned(),
            Who::Local | Who::Stranger | Who::Joiner => claimed,
        }
    }

    /// How something relates to the caller; `project` is `None` for what is in no project. What somebody owns in a project that they
    /// are no longer in is not theirs to see or to change: whoever was taken out must not use its machines or take its results away.
    pub fn reach(&self, owner: &str, project: Option<&str>) -> Reach {
        match &self.who {
            Who::Local => Reach::Own,
            Who::Person { name, projects, .. } if project.is_none_or(|project| projects.contains(project)) => {
                if name == owner { Reach::Own } else { Reach::Project }
            }
            Who::Agent { agent, .. } if agent.to_string() == owner => Reach::Own,
            _ => Reach::Elsewhere,
        }
    }

    /// Whether a sweep is there, as far as the caller can see.
    pub fn sees(&self, sweep: &Sweep) -> bool {
        self.caller().may(Permission::Read, self.reach(&sweep.user, Some(&sweep.project)))
    }

    /// Whether what a user has in all projects together is the caller's to know.
    pub fn sees_all_of(&self, user: &str) -> bool {
        match &self.who {
            Who::Local => true,
            Who::Person { name, role, .. } => *role == Role::Admin || name == user,
            Who::Agent { .. } | Who::Joiner | Who::Stranger => false,
        }
    }

    /// The project of a submission: what is asked for, if the caller may submit there; else the only one it is in.
    ///
    /// # Errors
    /// When it is in no such project, or in several and none is named.
    pub fn project(&self, asked: String) -> Result<String, Status> {
        let Who::Person { name, role, projects } = &self.who else {
            return Ok(if asked.is_empty() { DEFAULT_PROJECT.to_owned() } else { asked });
        };
        let known = || projects.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if asked.is_empty() {
            let mut all = projects.iter();
            return match (all.next(), all.next()) {
                (Some(only), None) => Ok(only.clone()),
                (None, _) if *role == Role::Admin => Ok(DEFAULT_PROJECT.to_owned()),
                (None, _) => {
                    let text = format!("{name} is in no project; an admin puts people in: `sweepctl admin user`");
                    Err(status(Code::PermissionDenied, "project_none", text))
                }
                _ => {
                    let text = format!("{name} is in several projects; say which with --project: {}", known());
                    Err(status(Code::InvalidArgument, "project_open", text))
                }
            };
        }
        if *role == Role::Admin || projects.contains(&asked) {
            return Ok(asked);
        }
        let text = format!("{name} is not in the project {asked}, but in: {}", known());
        Err(status(Code::PermissionDenied, "project_other", text))
    }

    /// Refuses what is not allowed on a thing of this owner.
    ///
    /// # Errors
    /// When it is not; what is elsewhere is not there, as far as the caller can see.
    pub fn check(&self, permission: Permission, owner: &str, project: Option<&str>) -> Result<(), Status> {
        let reach = self.reach(owner, project);
        match (self.caller().may(permission, reach), reach) {
            (true, _) => Ok(()),
            (false, Reach::Elsewhere) => Err(status(Code::NotFound, "sweep_unknown", "no such sweep")),
            (false, _) => {
                let text = format!("this belongs to {owner}: only {owner} and admins may do this");
                Err(status(Code::PermissionDenied, "not_yours", text))
            }
        }
    }

    /// Refuses an agent that speaks for another.
    ///
    /// # Errors
    /// When the caller is neither this agent nor on a host that is trusted.
    pub fn check_agent(&self, agent: AgentId) -> Result<(), Status> {
        match &self.who {
            Who::Local => Ok(()),
            Who::Agent { agent: own, .. } if *own == agent => Ok(()),
            _ => {
                let text = format!("the certificate is not that of agent {agent}");
                Err(status(Code::PermissionDenied, "agent_other", text))
            }
        }
    }

    /// What the call is about, for the audit log: first what was asked for, so that a refusal has it, then what came of it. The newest
    /// word counts.
    pub fn about(&self, what: impl Into<String>) {
        let what: String = what.into().chars().take(ABOUT).collect();
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub(crate) fn said_about(&self) -> Option<String> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Words for logs.
    pub fn label(&self) -> String {
        match &self.who {
            Who::Stranger => "stranger".to_owned(),
            Who::Local => LOCAL.to_owned(),
            Who::Person { name, .. } => name.clone(),
            Who::Agent { agent, .. } => format!("agent {agent}"),
            Who::Joiner => "joiner".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, role: Role, project: &str) -> Identity {
        let projects = Arc::new([project.to_owned()].into());
        Identity::new(Who::Person { name: name.to_owned(), role, projects }, None, None, None)
    }

    #[test]
    fn what_is_elsewhere_is_not_there() {
        let ada = person("ada", Role::User, "vision");
        let code = |owner, project| ada.check(Permission::Change, owner, Some(project)).map_err(|status| status.code());
        assert_eq!(code("ada", "vision"), Ok(()));
        assert_eq!(code("bob", "vision"), Err(Code::PermissionDenied));
        assert_eq!(code("bob", "audio"), Err(Code::NotFound));
        let head = person("cleo", Role::ProjectAdmin, "vision");
        assert!(head.check(Permission::Change, "bob", Some("vision")).is_ok());
        assert!(head.check(Permission::Read, "bob", Some("audio")).is_err());
    }

    #[test]
    fn people_submit_to_their_own_projects() {
        let project =
            |identity: &Identity, asked: &str| identity.project(asked.to_owned()).map_err(|status| status.code());
        let ada = person("ada", Role::User, "vision");
        assert_eq!(project(&ada, ""), Ok("vision".to_owned()));
        assert_eq!(project(&ada, "vision"), Ok("vision".to_owned()));
        assert_eq!(project(&ada, "audio"), Err(Code::PermissionDenied));
        assert_eq!(project(&person("root", Role::Admin, "vision"), "audio"), Ok("audio".to_owned()));
        let of = |names: &[&str]| {
            let projects = Arc::new(names.iter().map(|name| (*name).to_owned()).collect());
            Identity::new(Who::Person { name: "bob".to_owned(), role: Role::User, projects }, None, None, None)
        };
        assert_eq!(project(&of(&["a", "b"]), ""), Err(Code::InvalidArgument));
        assert_eq!(project(&of(&[]), ""), Err(Code::PermissionDenied));
        let local = Identity::new(Who::Local, None, None, None);
        assert_eq!((project(&local, ""), project(&local, "x")), (Ok(DEFAULT_PROJECT.to_owned()), Ok("x".to_owned())));
    }

    #[test]
    fn nobody_is_called_what_they_claim_where_there_are_logins() {
        assert_eq!(person("ada", Role::User, "x").name("root".to_owned()), "ada");
        let local = Identity::new(Who::Local, None, None, None);
        assert_eq!((local.name("ada".to_owned()), local.name(String::new())), ("ada".to_owned(), LOCAL.to_owned()));
        assert_eq!(Identity::of(&Request::new(())).caller(), Caller::Stranger);
    }
}
