//! The coordinator as `sweepctl` sees it: one method per question, plain values out. The generated
//! types stay here and in `client/convert.rs`.

pub(crate) mod access;
mod convert;
pub(crate) mod machines;
pub(crate) mod sharing;
mod upkeep;
mod webhooks;

use std::time::Duration;

use sweep_core::estimate::Estimate;
use sweep_core::report::Report;
use sweep_identity::address::Address;
use sweep_identity::dial::{self, Bearer, Link};
use sweep_identity::trouble::Trouble;
use sweep_proto::status::reason_of;
use sweep_proto::v1;
use sweep_proto::v1::access_client::AccessClient;
use sweep_proto::v1::blobs_client::BlobsClient;
use sweep_proto::v1::machines_client::MachinesClient;
use sweep_proto::v1::sharing_client::SharingClient;
use sweep_proto::v1::sweeps_client::SweepsClient;
use sweep_proto::v1::upkeep_client::UpkeepClient;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fault::{Fault, is_transient};
use crate::login::{LoginFault, Way};
use crate::view::report::AuditView;
use crate::view::{AgentView, ChangedView, ExtendedView, InfoView, PageView, SubmittedView, SweepView, TrialPageView};

/// How long a first connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How often a silent connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);
/// How long reads are tried again when the coordinator was there and is gone: a restart takes less.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer, bytes: the report of a 100,000-point sweep has some tens of megabytes.
const LARGEST: usize = 512 << 20;

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    server: String,
    access: AccessClient<Link>,
    sweeps: SweepsClient<Link>,
    sharing: SharingClient<Link>,
    machines: MachinesClient<Link>,
    upkeep: UpkeepClient<Link>,
    blobs: BlobsClient<Link>,
    health: HealthClient<Link>,
}

/// What a submission says besides its file.
#[derive(Debug)]
pub(crate) struct Submission<'a> {
    /// The file.
    pub(crate) spec: Vec<u8>,
    /// Tells deliberate repetitions apart.
    pub(crate) run: &'a str,
    /// Accept it though no agent has the data.
    pub(crate) queue_anyway: bool,
    /// Whose share it counts on; empty means the default one.
    pub(crate) project: String,
    /// In place of the file's.
    pub(crate) priority: Option<u32>,
    /// In place of the file's.
    pub(crate) max_parallel: Option<u32>,
    /// Take results of earlier sweeps.
    pub(crate) reuse: bool,
    /// The project may be one that nobody has heard of.
    pub(crate) new_project: bool,
}

impl Client {
    /// Connects, or fails within a few seconds.
    pub(crate) async fn connect(way: &Way) -> Result<Self, Fault> {
        let address: Address = way.server.parse().map_err(LoginFault::from)?;
        let endpoint = dial::endpoint(&address).map_err(LoginFault::from)?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .keep_alive_while_idle(true);
        let unreachable = |source| match Trouble::of(&source).filter(|_| address.encrypted) {
            Some(trouble) => Fault::NoWay(trouble.words(&address, way.held)),
            None => Fault::Unreachable { server: way.server.clone(), source },
        };
        let connected = dial::now(&endpoint, &address, way.tls.as_ref()).await.map_err(LoginFault::from)?;
        let channel = connected.map_err(unreachable)?;
        let bearer = match way.bearer.is_none() && !address.encrypted && address.socket.is_none() {
            true => beside(&channel, &address).await.unwrap_or_default(),
            false => way.bearer.clone(),
        };
        let link = Link::new(channel.into(), bearer.speaking(sweep_proto::PROTOCOL));
        Ok(Self {
            server: way.server.clone(),
            access: AccessClient::new(link.clone()),
            sweeps: SweepsClient::new(link.clone()).max_decoding_message_size(LARGEST),
            sharing: SharingClient::new(link.clone()).max_decoding_message_size(LARGEST),
            machines: MachinesClient::new(link.clone()),
            upkeep: UpkeepClient::new(link.clone()),
            health: HealthClient::new(link.clone()),
            blobs: BlobsClient::new(link).max_decoding_message_size(LARGEST),
        })
    }

    /// Where it is connected to.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// A refusal or a broken connection, with the stable word if there is one.
    fn fault(&self, status: Status) -> Fault {
        Fault::Status { server: self.server.clone(), reason: reason_of(&status), status: Box::new(status) }
    }

    /// Asks something that changes nothing, again for a while if the connection breaks.
    async fn read<Reply, Asking>(&self, ask: impl Fn(SweepsClient<Link>) -> Asking) -> Result<Reply, Fault>
    where
        Asking: Future<Output = Result<Response<Reply>, Status>>,
    {
        self.patiently(|| ask(self.sweeps.clone())).await
    }

    async fn patiently<Reply, Asking>(&self, ask: impl Fn() -> Asking) -> Result<Reply, Fault>
    where
        Asking: Future<Output = Result<Response<Reply>, Status>>,
    {
        let give_up = tokio::time::Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(50);
        loop {
            match ask().await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if is_transient(&status) && tokio::time::Instant::now() + pause < give_up => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(status) => return Err(self.fault(status)),
            }
        }
    }

    /// Whether it has read its journal and takes calls.
    pub(crate) async fn is_serving(&self) -> bool {
        let reply = self.health.clone().check(HealthCheckRequest::default()).await;
        reply.is_ok_and(|reply| reply.into_inner().status() == ServingStatus::Serving)
    }

    /// What the coordinator is.
    pub(crate) async fn info(&self) -> Result<InfoView, Fault> {
        let ask = |mut client: SweepsClient<Link>| async move { client.info(v1::InfoRequest {}).await };
        self.read(ask).await.map(InfoView::from)
    }

    /// Submits a file. Doing it twice is harmless, so it is tried again like a read.
    pub(crate) async fn submit(&self, submission: Submission<'_>) -> Result<SubmittedView, Fault> {
        let request = v1::SubmitRequest {
            spec: submission.spec.into(),
            run: submission.run.to_owned(),
            queue_anyway: submission.queue_anyway,
            user: user(),
            project: submission.project,
            priority: submission.priority,
            max_parallel: submission.max_parallel,
            reuse: submission.reuse,
            new_project: submission.new_project,
        };
        let ask = |mut client: SweepsClient<Link>| {
            let request = request.clone();
            async move { client.submit(request).await }
        };
        self.read(ask).await.map(SubmittedView::from)
    }

    /// The newest sweeps.
    pub(crate) async fn list(&self, limit: u32) -> Result<Vec<SweepView>, Fault> {
        let ask = |mut client: SweepsClient<Link>| async move { client.list(v1::ListRequest { limit }).await };
        let reply = self.read(ask).await?;
        Ok(reply.sweeps.into_iter().map(SweepView::from).collect())
    }

    /// A sweep with trials `offset..offset + limit` of those in `phases` (all if empty).
    pub(crate) async fn show(&self, sweep: &str, offset: u64, limit: u32, phases: &[&str]) -> Result<PageView, Fault> {
        let phases = phases.iter().map(|phase| (*phase).to_owned()).collect();
        let request = v1::ShowRequest { sweep: reference(sweep), offset, limit, phases };
        let ask = |mut client: SweepsClient<Link>| {
            let request = request.clone();
            async move { client.show(request).await }
        };
        self.read(ask).await.map(PageView::from)
    }

    /// A trial with its curve.
    pub(crate) async fn show_trial(&self, trial: &str) -> Result<TrialPageView, Fault> {
        let request = v1::ShowTrialRequest { trial: reference(trial) };
        let ask = |mut client: SweepsClient<Link>| {
            let request = request.clone();
            async move { client.show_trial(request).await }
        };
        self.read(ask).await.map(TrialPageView::from)
    }

    /// Summaries of a sweep, one now and one after every change.
    pub(crate) async fn watch(&self, sweep: &str) -> Result<Updates<v1::SweepSummary>, Fault> {
        let request = v1::WatchRequest { sweep: reference(sweep) };
        let reply = self.sweeps.clone().watch(request).await.map_err(|status| self.fault(status))?;
        Ok(Updates { client: self.clone(), stream: reply.into_inner() })
    }

    /// What a trial's trainer wrote; `attempt` 0 means all of them.
    pub(crate) async fn logs(&self, trial: &str, attempt: u32, follow: bool) -> Result<Updates<v1::LogText>, Fault> {
        let request = v1::LogsRequest { trial: reference(trial), follow, attempt };
        let reply = self.sweeps.clone().logs(request).await.map_err(|status| self.fault(status))?;
        Ok(Updates { client: self.clone(), stream: reply.into_inner() })
    }

    /// Ends the open trials of a sweep, or one of them.
    pub(crate) async fn cancel(&self, sweep: &str, trial: Option<&str>) -> Result<ChangedView, Fault> {
        let trial = trial.map(reference).unwrap_or_default();
        let request = v1::CancelRequest { sweep: reference(sweep), trial, user: user() };
        let reply = self.sweeps.clone().cancel(request).await.map_err(|status| self.fault(status))?;
        Ok(ChangedView::from(reply.into_inner()))
    }

    /// Runs failed trials again, with `cancelled` also those.
    pub(crate) async fn retry(&self, sweep: &str, cancelled: bool) -> Result<ChangedView, Fault> {
        let request = v1::RetryRequest { sweep: reference(sweep), cancelled, user: user() };
        let reply = self.sweeps.clone().retry(request).await.map_err(|status| self.fault(status))?;
        Ok(ChangedView::from(reply.into_inner()))
    }

    /// Runs more of a sweep.
    pub(crate) async fn extend(
        &self,
        sweep: &str,
        spec: Vec<u8>,
        seeds: Vec<u64>,
        epochs: Option<u32>,
        (dry_run, reuse, queue_anyway): (bool, bool, bool),
    ) -> Result<ExtendedView, Fault> {
        let (sweep, spec, epochs) = (reference(sweep), spec.into(), epochs.unwrap_or(0));
        let request = v1::ExtendRequest { sweep, spec, seeds, epochs, user: user(), dry_run, reuse, queue_anyway };
        let reply = self.sweeps.clone().extend(request).await.map_err(|status| self.fault(status))?;
        Ok(ExtendedView::of(reply.into_inner(), dry_run))
    }

    /// Trains a few steps of what was never trained: how many shapes, and the sweep that does it.
    pub(crate) async fn probe(&self, spec: &[u8], project: String) -> Result<(u32, String, String), Fault> {
        let request = v1::ProbeRequest { spec: spec.to_vec().into(), user: user(), project };
        let reply = self.sweeps.clone().probe(request).await.map_err(|status| self.fault(status))?;
        let v1::ProbeReply { shapes, sweep_id, name } = reply.into_inner();
        Ok((shapes, convert::id(&sweep_id), name))
    }

    /// What came out, with `curves` epoch by epoch.
    pub(crate) async fn report(&self, sweep: &str, curves: bool) -> Result<Report, Fault> {
        let request = v1::SweepReportRequest { sweep: reference(sweep), curves };
        let ask = |mut client: SweepsClient<Link>| {
            let request = request.clone();
            async move { client.report(request).await }
        };
        let reply = self.read(ask).await?;
        serde_json::from_str(&reply.json).map_err(|source| Fault::Answer { what: "report", source })
    }

    /// What a sweep file would take.
    pub(crate) async fn estimate(&self, spec: &[u8]) -> Result<Estimate, Fault> {
        let request = v1::EstimateRequest { spec: spec.to_vec().into() };
        let ask = |mut client: SweepsClient<Link>| {
            let request = request.clone();
            async move { client.estimate(request).await }
        };
        let reply = self.read(ask).await?;
        serde_json::from_str(&reply.json).map_err(|source| Fault::Answer { what: "estimate", source })
    }

    /// Whether the journal is legal.
    pub(crate) async fn audit(&self, sweep: &str) -> Result<AuditView, Fault> {
        let request = v1::SweepRef { sweep: reference(sweep) };
        let ask = |mut client: SweepsClient<Link>| {
            let request = request.clone();
            async move { client.audit(request).await }
        };
        let reply = self.read(ask).await?;
        serde_json::from_str(&reply.json).map_err(|source| Fault::Answer { what: "audit", source })
    }

    /// Every agent.
    pub(crate) async fn agents(&self) -> Result<Vec<AgentView>, Fault> {
        let ask = |mut client: SweepsClient<Link>| async move { client.list_agents(v1::ListAgentsRequest {}).await };
        let reply = self.read(ask).await?;
        Ok(reply.agents.into_iter().map(AgentView::from).collect())
    }

    /// The bytes of a blob, piece by piece.
    pub(crate) async fn download(&self, sha256: &str) -> Result<Updates<v1::DownloadChunk>, Fault> {
        let request = v1::DownloadRequest { sha256: sha256.to_owned() };
        let reply = self.blobs.clone().download(request).await.map_err(|status| self.fault(status))?;
        Ok(Updates { client: self.clone(), stream: reply.into_inner() })
    }
}

/// What comes one after the other.
#[derive(Debug)]
pub(crate) struct Updates<Message> {
    client: Client,
    stream: Streaming<Message>,
}

impl<Message> Updates<Message> {
    async fn message(&mut self) -> Result<Option<Message>, Fault> {
        self.stream.message().await.map_err(|status| self.client.fault(status))
    }
}

impl Updates<v1::SweepSummary> {
    /// The next summary; nothing when the coordinator has no more to say.
    pub(crate) async fn next(&mut self) -> Result<Option<SweepView>, Fault> {
        Ok(self.message().await?.map(SweepView::from))
    }
}

impl Updates<v1::LogText> {
    /// The next piece of log: which attempt, and its bytes.
    pub(crate) async fn next(&mut self) -> Result<Option<(u32, Vec<u8>)>, Fault> {
        Ok(self.message().await?.map(|text| (text.attempt, text.text.into())))
    }
}

impl Updates<v1::DownloadChunk> {
    /// The next bytes.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.message().await?.map(|chunk| chunk.data.into()))
    }
}

/// The token of a coordinator of this user's on this host, which says where its folder is. Only a folder
/// that says the same of the coordinator is believed.
async fn beside(channel: &Channel, address: &Address) -> Option<Bearer> {
    let mut client = SweepsClient::new(channel.clone());
    let info = tokio::time::timeout(CONNECT, client.info(v1::InfoRequest {})).await.ok()?.ok()?.into_inner();
    let folder = std::path::PathBuf::from(info.data_dir);
    let written = std::fs::read_to_string(folder.join("address")).ok()?;
    let same = crate::config::url(written.trim()).parse().is_ok_and(|written: Address| written == *address);
    if same { Bearer::file(&folder.join("local-token")).ok() } else { None }
}

/// An id may be written with hyphens; prefixes are compared without them.
fn reference(text: &str) -> String {
    uuid::Uuid::parse_str(text).map_or_else(|_| text.to_owned(), |id| id.simple().to_string())
}

/// Who asks.
fn user() -> String {
    let named = crate::config::variable("USER").or_else(|| crate::config::variable("LOGNAME"));
    named.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}
