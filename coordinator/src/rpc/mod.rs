//! The edge: decode a message, ask the owner of the state, encode the answer. Nothing is decided
//! here, and generated types go no further.

mod access;
mod agents;
mod asked;
mod audit;
mod auth;
mod blobs;
mod curves;
mod extend;
mod machines;
mod members;
mod names;
mod probe;
mod refs;
mod reuse;
mod sharing;
mod single;
mod streams;
mod sweeps;
mod tuning;
mod upkeep;
mod views;
mod webhooks;
mod why;

use std::sync::Arc;
use std::time::Duration;

use sweep_identity::wire::Services;
use sweep_ops::traces::Traces;
use sweep_proto::convert::ConvertError;
use sweep_proto::status::status;
use sweep_proto::v1::access_server::AccessServer;
use sweep_proto::v1::agents_server::AgentsServer;
use sweep_proto::v1::blobs_server::BlobsServer;
use sweep_proto::v1::machines_server::MachinesServer;
use sweep_proto::v1::sharing_server::SharingServer;
use sweep_proto::v1::sweeps_server::SweepsServer;
use sweep_proto::v1::upkeep_server::UpkeepServer;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Layer as _;
use tower::layer::util::{Identity, Stack};

use crate::access::guard::Guard;
use crate::blobs::{BlobError, Blobs};
use crate::handle::{Handle, Refusal};
use crate::journal::JournalError;
use crate::journal::reader::Reader;
use crate::metrics::Metrics;
use crate::notify::board::Board;

pub use refs::RefError;

/// Largest message with effects or series.
const MESSAGE: usize = 4 << 20;
/// Largest piece of a file, with some room for the rest of the message.
const PIECE: usize = (1 << 20) + 4096;

/// A connection that proves who somebody is is made anew after so long.
const CONNECTION: Duration = Duration::from_secs(3600);
/// Largest message about logins.
const SMALL: usize = 64 << 10;
/// Longest headers of a call, bytes.
const HEADERS: u32 = 16 << 10;

/// What every service needs.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The way to the state.
    pub(crate) handle: Handle,
    /// Curves, logs, the audit.
    pub(crate) reader: Reader,
    /// Checkpoints.
    pub(crate) blobs: Blobs,
    /// Where the data are, for people.
    pub(crate) place: String,
    /// A simulation: nothing may leave its runtime.
    pub(crate) in_memory: bool,
    /// Who is let in.
    pub(crate) guard: Guard,
    /// Long calls end when it is raised.
    pub(crate) stopping: CancellationToken,
    /// Where times are noted.
    pub(crate) metrics: Arc<Metrics>,
    /// Who collects traces.
    pub(crate) traces: Traces,
    /// Who is told what.
    pub(crate) board: Board,
}

impl Edge {
    /// Runs something that takes long: on a thread of its own, unless this is a simulation.
    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
        if self.in_memory {
            return Ok(work());
        }
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| status(Code::Internal, "internal", "a computation panicked; the log says where"))
    }
}

/// All services, before anybody stands at their door.
fn routes(edge: &Edge) -> Routes {
    Routes::default()
        .add_service(
            AccessServer::new(access::AccessService(edge.guard.clone(), edge.handle.clone()))
                .max_decoding_message_size(SMALL),
        )
        .add_service(
            AgentsServer::new(agents::Agents(edge.clone(), single::Single::default()))
                .max_decoding_message_size(MESSAGE),
        )
        .add_service(SweepsServer::new(sweeps::Sweeps(edge.clone())).max_decoding_message_size(MESSAGE))
        .add_service(SharingServer::new(sharing::Sharing(edge.clone())).max_decoding_message_size(MESSAGE))
        .add_service(MachinesServer::new(machines::Machines(edge.clone())).max_decoding_message_size(SMALL))
        .add_service(UpkeepServer::new(upkeep::Upkeep(edge.clone(), Arc::default())).max_decoding_message_size(SMALL))
        .add_service(BlobsServer::new(blobs::BlobService(edge.clone())).max_decoding_message_size(PIECE))
}

/// All services with the check of who may call what, for callers in the same process.
pub(crate) fn services(edge: &Edge) -> Services {
    Services::new(auth::Door(edge.guard.clone()).layer(routes(edge).prepare()))
}

/// The server of all services, with the check of who may call what.
pub(crate) async fn router(edge: &Edge) -> (HealthReporter, Router<Stack<auth::Door, Identity>>) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SweepsServer<sweeps::Sweeps>>().await;
    health.set_serving::<AgentsServer<agents::Agents>>().await;
    let mut server = Server::builder();
    if !edge.guard.is_open() {
        // Whoever stays connected shows a newer certificate before the old one ends.
        server = server.max_connection_age(CONNECTION);
    }
    let router = server
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_concurrent_streams(256)
        .http2_max_pending_accept_reset_streams(Some(64))
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(8 << 20)
        .http2_max_header_list_size(HEADERS)
        .layer(auth::Door(edge.guard.clone()))
        .add_routes(routes(edge).add_service(health_service));
    (health, router)
}

/// Tells those who ask that it is going down.
pub(crate) async fn not_serving(health: &HealthReporter) {
    health.set_service_status("", ServingStatus::NotServing).await;
    health.set_not_serving::<SweepsServer<sweeps::Sweeps>>().await;
    health.set_not_serving::<AgentsServer<agents::Agents>>().await;
}

fn refused(refusal: Refusal) -> Status {
    match &refusal {
        Refusal::DiskFull { .. } => status(Code::ResourceExhausted, "disk_full", refusal.to_string()),
        Refusal::Locked { .. } => status(Code::Unavailable, "journal_locked", refusal.to_string()),
        Refusal::SafeMode => status(Code::Unavailable, "safe_mode", refusal.to_string()),
        Refusal::Stopping => status(Code::Unavailable, "stopping", refusal.to_string()),
    }
}

fn unreadable(error: JournalError) -> Status {
    tracing::error!(error = &error as &dyn std::error::Error, "reading the journal failed");
    status(Code::Internal, "journal_unreadable", error.to_string())
}

fn malformed(error: ConvertError) -> Status {
    Status::from(error)
}

fn blob_failed(error: BlobError) -> Status {
    let (code, reason) = match &error {
        BlobError::Name(_) => (Code::InvalidArgument, "blob_name_invalid"),
        BlobError::Missing(_) => (Code::NotFound, "blob_missing"),
        BlobError::Length { .. } => (Code::FailedPrecondition, "upload_length"),
        BlobError::Hash { .. } => (Code::FailedPrecondition, "hash_mismatch"),
        BlobError::Damaged(_) => (Code::DataLoss, "blob_damaged"),
        BlobError::Full { .. } => (Code::ResourceExhausted, "disk_full"),
        BlobError::Folder { .. } | BlobError::Sync { .. } | BlobError::Store { .. } => {
            tracing::error!(error = &error as &dyn std::error::Error, "the checkpoint store failed");
            (Code::Internal, "blob_store")
        }
    };
    status(code, reason, error.to_string())
}
