//! What is stored, copied and looked at.

use serde::Serialize;
use sweep_core::story::Story;
use sweep_proto::v1;

use super::{Client, reference, user};
use crate::fault::Fault;

/// A copy that was made.
#[derive(Debug, Serialize)]
pub(crate) struct BackupView {
    pub(crate) path: String,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) blobs: u64,
    pub(crate) blob_bytes: u64,
    pub(crate) missing: Vec<String>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct FindingView {
    pub(crate) check: String,
    pub(crate) level: String,
    pub(crate) found: String,
    pub(crate) fix: String,
}

impl Client {
    /// What happened to something, and why.
    pub(crate) async fn why(&self, what: &str) -> Result<Story, Fault> {
        let request = v1::WhyRequest { what: reference(what) };
        let ask = || {
            let (mut client, request) = (self.sweeps.clone(), request.clone());
            async move { client.why(request).await }
        };
        let reply = self.patiently(ask).await?;
        serde_json::from_str(&reply.json).map_err(|source| Fault::Answer { what: "story", source })
    }

    /// Has a copy of the journal made.
    pub(crate) async fn backup(&self, target: &str, with_blobs: bool) -> Result<BackupView, Fault> {
        let request = v1::BackupRequest { target: target.to_owned(), with_blobs };
        let reply = self.upkeep.clone().backup(request).await.map_err(|status| self.fault(status))?;
        let v1::BackupReply { path, events, bytes, blobs, blob_bytes, missing } = reply.into_inner();
        Ok(BackupView { path, events, bytes, blobs, blob_bytes, missing })
    }

    /// Goes on without the end of the journal; whether there was something to accept, and the generation.
    pub(crate) async fn accept_rollback(&self) -> Result<(bool, u32), Fault> {
        let request = v1::AcceptRollbackRequest { user: user() };
        let reply = self.upkeep.clone().accept_rollback(request).await.map_err(|status| self.fault(status))?;
        let v1::AcceptRollbackReply { accepted, generation } = reply.into_inner();
        Ok((accepted, generation))
    }

    /// Has everything that is stored looked at.
    pub(crate) async fn check_stored(&self, quick: bool) -> Result<Vec<FindingView>, Fault> {
        let reply = self.upkeep.clone().check(v1::CheckRequest { quick }).await.map_err(|status| self.fault(status))?;
        let view = |finding: v1::Finding| {
            let v1::Finding { check, level, found, fix } = finding;
            FindingView { check, level, found, fix }
        };
        Ok(reply.into_inner().findings.into_iter().map(view).collect())
    }
}
