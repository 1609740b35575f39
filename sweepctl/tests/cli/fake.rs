//! A pretend coordinator: real gRPC on loopback, canned answers. The name of a sweep says how it
//! behaves: `missing`, `refused`, `damaged`, `endless`, `failing`, `flaky` (breaks once), `illegal`, `open`.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, Stream, StreamExt};
use sha2::{Digest, Sha256};
use sweep_core::audit::{Audit, Violation};
use sweep_proto::v1;
use sweep_proto::v1::blobs_server::{Blobs, BlobsServer};
use sweep_proto::v1::machines_server::MachinesServer;
use sweep_proto::v1::sharing_server::SharingServer;
use sweep_proto::v1::sweeps_server::{Sweeps, SweepsServer};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use crate::sweeps;

/// A running pretend coordinator; ends with its value.
pub(crate) struct Fake {
    pub(crate) server: String,
    /// What it was asked to change.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    streams: Arc<AtomicUsize>,
    sha256: String,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let sha256 = format!("{:x}", Sha256::digest(sweeps::weights()));
        let service = Service { asked: asked.clone(), streams: Arc::default(), sha256 };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            let (_reporter, health) = tonic_health::server::health_reporter();
            let server = tonic::transport::Server::builder()
                .add_service(health)
                .add_service(SweepsServer::new(service.clone()))
                .add_service(MachinesServer::new(service.clone()))
                .add_service(SharingServer::new(service.clone()))
                .add_service(BlobsServer::new(service));
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { server, asked, _runtime: runtime }
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Many<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(crate) fn refuse(name: &str) -> Result<(), Status> {
    match name {
        "missing" | "0000" => {
            Err(sweep_proto::status::status(tonic::Code::NotFound, "sweep_unknown", format!("no sweep `{name}`")))
        }
        "refused" => Err(sweep_proto::status::status(
            tonic::Code::FailedPrecondition,
            "unschedulable",
            "no agent has so many slots",
        )),
        _ => Ok(()),
    }
}

/// Whether this is how a user may write one of the canned trials.
fn index_of(trial: &str) -> Option<u32> {
    (0..4).find(|index| trial.len() >= 4 && sweeps::trial_id(*index).to_string().starts_with(trial))
}

#[tonic::async_trait]
impl Sweeps for Service {
    type WatchStream = Many<v1::SweepSummary>;
    type LogsStream = Many<v1::LogText>;

    async fn info(&self, _: Request<v1::InfoRequest>) -> Answer<v1::InfoReply> {
        let (build, data_dir) = ("sweep-coordinator 9.9.9".to_owned(), "/nowhere".to_owned());
        let protocol = sweep_proto::PROTOCOL;
        Ok(Response::new(v1::InfoReply {
            build,
            protocol,
            data_dir,
            sweeps: 1,
            agents: 1,
            now: 0,
            safe_mode: String::new(),
        }))
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Answer<v1::SubmitReply> {
        let request = request.into_inner();
        let (plan, spec) = sweep_core::plan::plan_text(&request.spec).map_err(|_| Status::invalid_argument("?"))?;
        if plan.name == "nodata" && !request.queue_anyway {
            let text = "no agent has the data set `imagenett`; they have: imagenette; did you mean `imagenette`?";
            return Err(sweep_proto::status::status(tonic::Code::InvalidArgument, "dataset_unknown", text));
        }
        let id = sweep_core::id::SweepId::derive(&spec.canonical(), &request.run);
        let of = (request.project, request.priority, request.max_parallel);
        let of = if of == Default::default() { String::new() } else { format!("{of:?} ") };
        let line = format!("submit {id} {of}{} {}", request.run, request.user);
        let mut asked = self.asked.lock().unwrap();
        let existing = asked.contains(&line);
        asked.push(line);
        let (sweep_id, trials) = (id.0.as_bytes().to_vec().into(), u64::from(plan.len()));
        let older = (plan.name == "seen").then(|| v1::Reusable { sweep: "older".to_owned(), trials: 6 });
        let (reusable, reused) =
            (older.into_iter().collect(), if request.reuse && plan.name == "seen" { 6 } else { 0 });
        let name = if plan.name == "taken" { "taken-2".to_owned() } else { plan.name };
        Ok(Response::new(v1::SubmitReply { sweep_id, name, existing, trials, reused, reusable }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Answer<v1::ListReply> {
        let all = [sweeps::summary(sweeps::NAME, 1, 1, 1), sweeps::summary("older", 4, 0, 0)];
        let limit = request.into_inner().limit as usize;
        Ok(Response::new(v1::ListReply { sweeps: all.into_iter().take(limit).collect() }))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Answer<v1::ShowReply> {
        let request = request.into_inner();
        refuse(&request.sweep)?;
        if index_of(&request.sweep).is_some() {
            refuse("missing")?;
        }
        // Many trials, so that there is more than one page.
        let count = if request.sweep == "large" { 2_500 } else { 4 };
        let all = (0..count).map(|index| sweeps::trial(index % 4, &self.sha256));
        let wanted = |trial: &v1::TrialSummary| request.phases.is_empty() || request.phases.contains(&trial.phase);
        let matching: Vec<_> = all.filter(wanted).collect();
        let reply = v1::ShowReply {
            summary: Some(sweeps::summary(sweeps::NAME, 1, 1, 1)),
            paths: vec!["lr".to_owned(), "augmentation".to_owned()],
            matching: matching.len() as u64,
            trials: matching
                .into_iter()
                .skip(request.offset as usize)
                .take(request.limit.min(1_000) as usize)
                .collect(),
            notes: vec!["agent gpu-7 was lost; 1 trial goes on elsewhere".to_owned()],
            datasets: vec![sweeps::bound()],
            waits: vec!["gpu-8 gets no trials of it: f1-bb is not f1-aa".to_owned()],
        };
        Ok(Response::new(reply))
    }

    async fn show_trial(&self, request: Request<v1::ShowTrialRequest>) -> Answer<v1::ShowTrialReply> {
        let trial = request.into_inner().trial;
        let unknown =
            || sweep_proto::status::status(tonic::Code::NotFound, "trial_unknown", format!("no trial `{trial}`"));
        let index = index_of(&trial).ok_or_else(unknown)?;
        let mut summary = sweeps::trial(index, &self.sha256);
        if index == 0 {
            // The newest state is damaged in the store.
            let best = summary.best_checkpoint.clone().unwrap();
            summary.last_checkpoint = Some(v1::Checkpoint { sha256: "0".repeat(64), ..best });
        }
        if index == 2 {
            // The store has lost it.
            summary.best_checkpoint = sweeps::trial(0, &"f".repeat(64)).best_checkpoint;
        }
        let reply = v1::ShowTrialReply {
            trial: Some(summary),
            sweep_id: sweeps::sweep_id().0.as_bytes().to_vec().into(),
            sweep_name: sweeps::NAME.to_owned(),
            paths: vec!["lr".to_owned(), "augmentation".to_owned()],
            recipe_json: r#"{"lr":0.001}"#.to_owned(),
            dataset: Some(sweeps::bound()),
            curve: if index == 3 { Vec::new() } else { (1..=3).map(sweeps::epoch).collect() },
        };
        Ok(Response::new(reply))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        let name = request.into_inner().sweep;
        refuse(&name)?;
        let again = self.streams.fetch_add(1, Ordering::SeqCst) > 0;
        let first = sweeps::summary(&name, 0, 0, 2);
        let rest: Vec<Result<v1::SweepSummary, Status>> = match name.as_str() {
            "endless" => return Ok(Response::new(Box::pin(stream::iter([Ok(first)]).chain(stream::pending())))),
            "flaky" if !again => vec![Err(Status::unavailable("shutting down"))],
            "failing" => vec![Ok(sweeps::summary(&name, 3, 1, 0))],
            _ => vec![Ok(sweeps::summary(&name, 2, 0, 2)), Ok(sweeps::summary(&name, 4, 0, 0))],
        };
        Ok(Response::new(Box::pin(stream::iter([Ok(first)]).chain(stream::iter(rest)))))
    }

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Answer<Self::LogsStream> {
        let request = request.into_inner();
        refuse(&request.trial)?;
        let breaks = request.follow && self.streams.fetch_add(1, Ordering::SeqCst) == 0;
        let text = |attempt: u32, text: &'static str| Ok(v1::LogText { attempt, text: text.as_bytes().into() });
        let all = vec![text(1, "epoch 1\n"), text(1, "epoch 2\n"), text(2, "epoch 2 again\n")];
        let wanted = |item: &Result<v1::LogText, Status>| {
            item.as_ref().is_ok_and(|text| request.attempt == 0 || request.attempt == text.attempt)
        };
        let all: Vec<_> = all.into_iter().filter(wanted).collect();
        if breaks {
            let head: Vec<_> = all.into_iter().take(1).chain([Err(Status::unavailable("away"))]).collect();
            return Ok(Response::new(Box::pin(stream::iter(head))));
        }
        Ok(Response::new(Box::pin(stream::iter(all))))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Answer<v1::ChangeReply> {
        let request = request.into_inner();
        refuse(&request.sweep)?;
        let line = format!("cancel {} {} {}", request.sweep, request.trial, request.user);
        self.asked.lock().unwrap().push(line);
        Ok(Response::new(v1::ChangeReply { trials: 2, name: request.sweep }))
    }

    async fn retry(&self, request: Request<v1::RetryRequest>) -> Answer<v1::ChangeReply> {
        let request = request.into_inner();
        refuse(&request.sweep)?;
        self.asked.lock().unwrap().push(format!("retry {} {}", request.sweep, request.cancelled));
        Ok(Response::new(v1::ChangeReply { trials: u64::from(request.cancelled), name: request.sweep }))
    }

    async fn extend(&self, request: Request<v1::ExtendRequest>) -> Answer<v1::ExtendReply> {
        let request = request.into_inner();
        refuse(&request.sweep)?;
        let file = if request.spec.is_empty() { "" } else { " with a file" };
        let line = format!("extend {}{file} {:?} {} {}", request.sweep, request.seeds, request.epochs, request.user);
        self.asked.lock().unwrap().push(line);
        let seeds = request.seeds.len() as u32;
        let (trials, name) = (u64::from(seeds) * 4, request.sweep);
        let [goes_on, follows_length, unfinished] = if request.epochs > 0 { [3, 4, 1] } else { [0; 3] };
        let reply =
            v1::ExtendReply { trials, name, seeds, goes_on, follows_length, unfinished, ..v1::ExtendReply::default() };
        Ok(Response::new(reply))
    }

    async fn report(&self, request: Request<v1::SweepReportRequest>) -> Answer<v1::JsonReply> {
        let v1::SweepReportRequest { sweep: name, curves } = request.into_inner();
        refuse(if index_of(&name).is_some() { "missing" } else { &name })?;
        if name == "flaky" && self.streams.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(Status::unavailable("shutting down"));
        }
        let json = match name.as_str() {
            "damaged" => "{".to_owned(),
            "probe-x" => serde_json::to_string(&sweeps::probe(&self.sha256, curves)).unwrap(),
            "longer" => serde_json::to_string(&sweeps::longer(&self.sha256, curves)).unwrap(),
            "no-baseline" | "no-result" => {
                let report = sweeps::diverged(&self.sha256, curves, name == "no-result");
                serde_json::to_string(&report).unwrap()
            }
            "again" | "taken" => serde_json::to_string(&sweeps::again(&self.sha256, name == "taken")).unwrap(),
            _ => serde_json::to_string(&sweeps::report(&self.sha256, curves)).unwrap(),
        };
        Ok(Response::new(v1::JsonReply { json }))
    }

    async fn estimate(&self, _: Request<v1::EstimateRequest>) -> Answer<v1::JsonReply> {
        let json = serde_json::to_string(&sweeps::estimate()).expect("estimates have string keys");
        Ok(Response::new(v1::JsonReply { json }))
    }

    async fn probe(&self, request: Request<v1::ProbeRequest>) -> Answer<v1::ProbeReply> {
        let (plan, _) = sweep_core::plan::plan_text(&request.into_inner().spec).expect("it was checked");
        if plan.name == "taken" {
            let text = "a probe would take slots before others: trials wait for slots: 3 of late (ann)";
            return Err(sweep_proto::status::status(tonic::Code::FailedPrecondition, "probe_disturbs", text));
        }
        Ok(Response::new(v1::ProbeReply::default()))
    }

    async fn audit(&self, request: Request<v1::SweepRef>) -> Answer<v1::JsonReply> {
        let name = request.into_inner().sweep;
        refuse(&name)?;
        let mut audit = Audit {
            events: 120,
            planned: 24,
            completed: 24,
            attempts: 26,
            epochs: 60,
            checkpoints: 48,
            ..Audit::default()
        };
        match name.as_str() {
            "illegal" => {
                let what = "trial 7 granted while attempt 1 is live".to_owned();
                audit.violations = vec![Violation { event: 17, rule: "lease_overlap", what }];
            }
            "open" => (audit.completed, audit.open) = (20, 4),
            _ => {}
        }
        Ok(Response::new(v1::JsonReply { json: serde_json::to_string(&audit).unwrap() }))
    }

    async fn why(&self, _: Request<v1::WhyRequest>) -> Answer<v1::JsonReply> {
        Ok(Response::new(v1::JsonReply { json: r#"{"lines":[],"left_out":0,"now":"runs nothing"}"#.to_owned() }))
    }

    async fn list_agents(&self, _: Request<v1::ListAgentsRequest>) -> Answer<v1::ListAgentsReply> {
        let busy = v1::SlotSummary {
            what: "cpu".to_owned(),
            trial_id: sweeps::trial_id(1).0.as_bytes().to_vec().into(),
            attempt: 1,
            sweep_name: sweeps::NAME.to_owned(),
            since: 1_760_000_000_000_000,
            ..v1::SlotSummary::default()
        };
        let taken = v1::SlotSummary {
            what: "A100".to_owned(),
            closed: "busy".to_owned(),
            why: "busy (alice, python train.py, 9.2 GB)".to_owned(),
            ..v1::SlotSummary::default()
        };
        let agent = v1::AgentSummary {
            agent_id: sweeps::sweep_id().0.as_bytes().to_vec().into(),
            host: "gpu-7".to_owned(),
            status: "reachable".to_owned(),
            last_seen: 1_760_000_000_000_000,
            slots: vec![busy, taken],
            datasets: vec!["imagenette".to_owned()],
            data: vec![sweeps::data_set("f1-aa", "")],
            offer: Some(crate::machines::offer()),
            devices: vec![crate::machines::seen()],
            notes: vec!["gpu-7 gets no trials of x: f1-aa is not f1-cc".to_owned()],
            holds: vec![crate::machines::planned()],
        };
        let other = v1::AgentSummary {
            agent_id: sweeps::trial_id(3).0.as_bytes().to_vec().into(),
            host: "gpu-8".to_owned(),
            status: "unreachable".to_owned(),
            datasets: vec!["imagenette".to_owned()],
            data: vec![sweeps::data_set("f1-bb", ""), sweeps::data_set("", "dataset_empty: no images")],
            ..v1::AgentSummary::default()
        };
        Ok(Response::new(v1::ListAgentsReply { agents: vec![agent, other] }))
    }
}

#[tonic::async_trait]
impl Blobs for Service {
    type DownloadStream = Many<v1::DownloadChunk>;

    async fn upload(&self, _: Request<Streaming<v1::UploadChunk>>) -> Answer<v1::UploadReply> {
        Err(Status::permission_denied("people download only"))
    }

    /// Gives the same bytes whatever is asked for: right only under their own name.
    async fn download(&self, request: Request<v1::DownloadRequest>) -> Answer<Self::DownloadStream> {
        let sha256 = request.into_inner().sha256;
        if sha256.starts_with("ffff") {
            let text = format!("no blob {sha256}");
            return Err(sweep_proto::status::status(tonic::Code::NotFound, "blob_unknown", text));
        }
        let weights = sweeps::weights();
        let bytes = weights.len() as u64;
        let chunks: Vec<_> =
            (weights.chunks(1 << 20)).map(|data| Ok(v1::DownloadChunk { bytes, data: data.to_vec().into() })).collect();
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }
}
