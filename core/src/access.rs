//! Who may do what: roles of people, permissions of calls, and how the thing asked about relates to
//! whoever asks. One pure function answers; who somebody is and what belongs to whom is told to it.
//!
//! A call is judged twice. Before its message is read, by [`Caller::may_try`]: could anything be allowed?
//! With the thing at hand, by [`Caller::may`]. Whatever is not listed here is refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a person may do, least first: each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks at what is in its projects.
    Viewer,
    /// Also submits, and changes what it submitted.
    User,
    /// Also changes what others submitted to its projects, and says who is in them.
    ProjectAdmin,
    /// Everything, everywhere.
    Admin,
}

impl Role {
    /// All of them, least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::User, Self::ProjectAdmin, Self::Admin];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::ProjectAdmin => "project-admin",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: viewer, user, project-admin or admin")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// What a call asks for. Every method of the protocol declares one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing: anybody who can reach the coordinator.
    Public,
    /// About oneself: who am I, log me out.
    Myself,
    /// To look at something of a project.
    Read,
    /// To put something new into a project.
    Submit,
    /// To change something that somebody submitted.
    Change,
    /// To say who is in a project and what it may use.
    Manage,
    /// Machines, users, credentials.
    Admin,
    /// What agents do, about themselves and the attempts they hold.
    Agent,
    /// What people may look at and agents need too.
    ReadOrAgent,
    /// To become an agent.
    Join,
}

/// How the thing asked about relates to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// It is theirs.
    Own,
    /// It is somebody else's, in a project of theirs.
    Project,
    /// It is in a project they have nothing to do with.
    Elsewhere,
}

impl Reach {
    /// All of them, nearest first.
    pub const ALL: [Self; 3] = [Self::Own, Self::Project, Self::Elsewhere];
}

/// Who calls, as far as permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who has proven nothing.
    Stranger,
    /// A person with a token.
    Person(Role),
    /// An agent with a certificate.
    Agent,
    /// Holder of a join token.
    Joiner,
    /// Whoever can reach a coordinator that serves this host, or this user, only.
    Local,
}

impl Caller {
    /// Whether the call is allowed on a thing at this distance.
    pub fn may(self, permission: Permission, reach: Reach) -> bool {
        match self {
            Self::Local => true,
            Self::Person(role) => allowed(role, permission, reach),
            Self::Agent => {
                let asks = matches!(permission, Permission::Agent | Permission::ReadOrAgent);
                permission == Permission::Public || (asks && reach == Reach::Own)
            }
            Self::Joiner => matches!(permission, Permission::Public | Permission::Join),
            Self::Stranger => permission == Permission::Public,
        }
    }

    /// Whether there is anything on which the call is allowed.
    pub fn may_try(self, permission: Permission) -> bool {
        Reach::ALL.into_iter().any(|reach| self.may(permission, reach))
    }
}

/// Whether a person with this role may do this to a thing at this distance.
pub fn allowed(role: Role, permission: Permission, reach: Reach) -> bool {
    let here = reach != Reach::Elsewhere;
    match permission {
        Permission::Public | Permission::Myself => true,
        // What agents do is proven by a certificate, not by a role.
        Permission::Agent | Permission::Join => false,
        _ if role == Role::Admin => true,
        Permission::Read | Permission::ReadOrAgent => here,
        Permission::Submit => here && role >= Role::User,
        Permission::Change => match reach {
            Reach::Own => role >= Role::User,
            Reach::Project => role >= Role::ProjectAdmin,
            Reach::Elsewhere => false,
        },
        Permission::Manage => here && role >= Role::ProjectAdmin,
        Permission::Admin => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Permission; 10] = [
        Permission::Public,
        Permission::Myself,
        Permission::Read,
        Permission::Submit,
        Permission::Change,
        Permission::Manage,
        Permission::Admin,
        Permission::Agent,
        Permission::ReadOrAgent,
        Permission::Join,
    ];

    #[test]
    fn a_greater_role_and_a_nearer_thing_never_allow_less() {
        for permission in ALL {
            for (index, role) in Role::ALL.into_iter().enumerate() {
                for reach in Reach::ALL {
                    let here = allowed(role, permission, reach);
                    let greater = Role::ALL[index..].iter().all(|greater| allowed(*greater, permission, reach));
                    let nearer = Reach::ALL.iter().filter(|near| **near <= reach);
                    let nearer = nearer.into_iter().all(|near| allowed(role, permission, *near));
                    assert!(!here || (greater && nearer), "{role} {permission:?} {reach:?}");
                }
            }
        }
    }

    #[test]
    fn nobody_leaves_their_place() {
        for permission in ALL {
            let stranger = Caller::Stranger.may_try(permission);
            assert_eq!(stranger, permission == Permission::Public, "{permission:?}");
            assert!(!Caller::Agent.may(permission, Reach::Project) || stranger, "{permission:?}");
            assert!(Caller::Local.may(permission, Reach::Elsewhere), "{permission:?}");
        }
        assert!(!Caller::Person(Role::Admin).may_try(Permission::Agent), "an admin's token runs no trials");
        assert!(!Caller::Joiner.may_try(Permission::Agent) && !Caller::Agent.may_try(Permission::Join));
    }

    #[test]
    fn roles_are_words() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().unwrap_err().to_string().contains("`root`"));
    }
}
