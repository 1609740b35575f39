//! Copies of what is stored, and whether it is whole.

use std::path::PathBuf;
use std::sync::Arc;

use sweep_core::command::{Command, Reply};
use sweep_core::shares::DEFAULT_USER;
use sweep_ops::doctor::{Finding, Level};
use sweep_proto::status::status;
use sweep_proto::v1;
use sweep_proto::v1::upkeep_server::Upkeep as Service;
use tokio::sync::Mutex;
use tonic::{Code, Request, Response, Status};

use super::agents::unexpected;
use super::{Edge, refused, webhooks};
use crate::access::identity::Identity;
use crate::archive::{ArchiveError, backup, fsck};
use crate::doctor::chain;
use crate::journal::JournalError;

/// The service, with the right to make a copy: one at a time is hard enough on a disk.
#[derive(Debug)]
pub(super) struct Upkeep(pub(super) Edge, pub(super) Arc<Mutex<()>>);

impl Upkeep {
    fn data(&self) -> Result<PathBuf, Status> {
        let folder = self.0.blobs.folder().and_then(|blobs| blobs.parent());
        let none = || status(Code::FailedPrecondition, "no_files", "this coordinator keeps everything in memory");
        folder.map(ToOwned::to_owned).ok_or_else(none)
    }
}

#[tonic::async_trait]
impl Service for Upkeep {
    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<Response<v1::BackupReply>, Status> {
        let identity = Identity::of(&request);
        let v1::BackupRequest { target, with_blobs } = request.into_inner();
        let data = self.data()?;
        let target = backup::place(&data, &target).map_err(|error| failed(&error))?;
        identity.about(format!("backup to {}", target.display()));
        let running =
            || status(Code::FailedPrecondition, "backup_running", "another backup is being made: wait for it");
        let right = self.1.clone().try_lock_owned().map_err(|_| running())?;
        let blobs = with_blobs.then(|| self.0.blobs.clone());
        // A caller that hangs up does not leave half of one.
        let work = tokio::spawn(async move {
            let made = backup::backup(&data, &target, blobs.as_ref()).await;
            drop(right);
            made
        });
        let cut_off = |_| status(Code::Internal, "internal", "the backup was cut off; the log says why");
        let made = work.await.map_err(cut_off)?.map_err(|error| failed(&error))?;
        let path = made.path.display().to_string();
        tracing::info!(path, events = made.events, blobs = made.blobs, "made a backup");
        let backup::Made { events, bytes, blobs, blob_bytes, missing, .. } = made;
        Ok(Response::new(v1::BackupReply { path, events, bytes, blobs, blob_bytes, missing }))
    }

    async fn check(&self, request: Request<v1::CheckRequest>) -> Result<Response<v1::CheckReply>, Status> {
        let found = fsck::look(&self.data()?, request.into_inner().quick).await;
        let findings = found.findings.into_iter().map(|Finding { check, level, found, fix }| {
            let level = match level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Problem => "problem",
            };
            v1::Finding { check: check.to_owned(), level: level.to_owned(), found, fix }
        });
        Ok(Response::new(v1::CheckReply { findings: findings.collect() }))
    }

    async fn accept_rollback(
        &self,
        request: Request<v1::AcceptRollbackRequest>,
    ) -> Result<Response<v1::AcceptRollbackReply>, Status> {
        let identity = Identity::of(&request);
        let user = match identity.name(request.into_inner().user) {
            user if user.is_empty() => DEFAULT_USER.to_owned(),
            user => user,
        };
        identity.about("accept rollback");
        let accepted = match self.0.handle.command(Command::AcceptRollback { user }).await.map_err(refused)? {
            Reply::Changed(count) => count > 0,
            other => return Err(unexpected(other)),
        };
        let generation = self.0.handle.query(|view| view.core.state().lineage.generation).await.map_err(refused)?;
        Ok(Response::new(v1::AcceptRollbackReply { accepted, generation }))
    }

    async fn list_webhooks(
        &self,
        _: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksReply>, Status> {
        webhooks::list(&self.0).await.map(Response::new)
    }

    async fn test_webhooks(
        &self,
        request: Request<v1::TestWebhooksRequest>,
    ) -> Result<Response<v1::TestWebhooksReply>, Status> {
        let identity = Identity::of(&request);
        webhooks::test(&self.0, &identity, request.into_inner()).await.map(Response::new)
    }
}

fn failed(error: &ArchiveError) -> Status {
    let (code, reason) = match error {
        ArchiveError::Exists(_) => (Code::FailedPrecondition, "backup_exists"),
        ArchiveError::Target(_) | ArchiveError::NoBackup(_) => (Code::InvalidArgument, "backup_place"),
        ArchiveError::Bad { .. } => (Code::Internal, "journal_unreadable"),
        ArchiveError::Journal(JournalError::Full { .. }) => (Code::ResourceExhausted, "disk_full"),
        ArchiveError::Journal(_) => (Code::Internal, "journal_unreadable"),
        ArchiveError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            (Code::ResourceExhausted, "disk_full")
        }
        ArchiveError::Io { .. } | ArchiveError::Unfinished { .. } | ArchiveError::CutOff => {
            (Code::FailedPrecondition, "backup_failed")
        }
    };
    tracing::warn!(error = error as &dyn std::error::Error, "no backup");
    status(code, reason, chain(error))
}
