//! What goes into the audit log: every call that changes something or is refused for who its caller is.
//! Reads are not noted, and neither is what agents do: that is in the journal.

use std::net::IpAddr;

use serde::Serialize;
use sweep_core::access::Permission;
use sweep_identity::listen::Peer;
use sweep_proto::status::status;
use tonic::{Code, Status};

use crate::access::guard::Guard;
use crate::access::identity::Identity;
use crate::access::keeper::Keeper;

/// A line of the log, as it is hashed.
#[derive(Debug, Serialize)]
struct Line<'a> {
    at: i64,
    who: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<IpAddr>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    result: String,
}

/// A call that is to be noted.
pub(crate) struct Note {
    keeper: Keeper,
    guard: Guard,
    method: String,
    who: Option<Identity>,
    from: Option<IpAddr>,
}

impl Note {
    /// Where there is a log, and for methods that belong into it if they are answered.
    pub(crate) fn of(guard: &Guard, path: &str, asks: Permission) -> Option<Self> {
        let (keeper, _) = guard.lab_parts()?;
        let quiet = matches!(asks, Permission::Public | Permission::Agent | Permission::ReadOrAgent);
        let looks = path.ends_with("/WhoAmI") || path.contains("/List") || path.ends_with("/AuditLog");
        if quiet || looks {
            return None;
        }
        let method = path.trim_start_matches("/sweep.v1.").replace('/', ".");
        Some(Self { keeper: keeper.clone(), guard: guard.clone(), method, who: None, from: None })
    }

    /// By this caller.
    pub(crate) fn by(self, identity: &Identity) -> Self {
        Self { who: Some(identity.clone()), from: identity.address, ..self }
    }

    /// By somebody whose token or certificate was good for nothing.
    pub(crate) fn by_nobody(self, peer: Option<&Peer>) -> Self {
        Self { from: peer.map(|peer| peer.address.ip()), ..self }
    }

    /// Writes it down; what was answered is not shown before it is.
    pub(crate) async fn write(self, result: Code) -> Result<(), Status> {
        let label = self.who.as_ref().map_or_else(|| "unknown".to_owned(), Identity::label);
        let line = Line {
            at: self.guard.now().0,
            who: &label,
            token: self.who.as_ref().and_then(|who| who.token.as_deref()),
            from: self.from,
            method: &self.method,
            about: self.who.as_ref().and_then(Identity::said_about),
            result: format!("{result:?}"),
        };
        let body = serde_json::to_string(&line).expect("a line has string keys only");
        self.keeper.note(body).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the audit log cannot be written");
            status(Code::Internal, "audit_log_failed", "what was done could not be written into the audit log")
        })
    }
}
