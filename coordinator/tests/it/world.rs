//! A coordinator in memory on a free port, and a pretend agent: what the tests share.

use std::sync::Arc;
use std::time::Duration;

use sweep_coordinator::blobs::Blobs;
use sweep_coordinator::clock::Clock;
use sweep_coordinator::config::{Cleaning, Config, Snapshots, Store};
use sweep_coordinator::handle::Handle;
use sweep_coordinator::journal::memory::MemoryStore;
use sweep_coordinator::metrics::Metrics;
use sweep_coordinator::{Coordinator, ServeError};
use sweep_core::attempt::EpochMetrics;
use sweep_core::command::{Effect, EffectKind, Ending};
use sweep_core::event::AgentFacts;
use sweep_core::id::{AgentId, Lease};
use sweep_core::num::Num;
use sweep_core::time::Timestamp;
use sweep_proto::convert::{self, Orders, hello_request, id_bytes, to_leases};
use sweep_proto::v1;
use sweep_proto::v1::agents_client::AgentsClient;
use sweep_proto::v1::blobs_client::BlobsClient;
use sweep_proto::v1::sweeps_client::SweepsClient;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

/// 2 x 2 points with one seed.
pub(crate) const SPEC: &str = "name = \"small\"\ndataset = \"none\"\nmodel = \"resnet18\"\nimage_size = 32\nepochs = 2\n\
                               seeds = 1\n[grid]\nlr = [0.1, 0.01]\ndropout = [0.0, 0.5]\n";

/// What survives a crash of the coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) store: MemoryStore,
    pub(crate) blobs: Blobs,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { store: MemoryStore::default(), blobs: Blobs::memory() }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            store: Store::Memory(self.store.clone(), self.blobs.clone()),
            clock: Clock::at(Timestamp(1_700_000_000_000_000)),
            cleaning: Cleaning::default(),
            snapshots: Snapshots::default(),
        }
    }
}

/// A running coordinator.
pub(crate) struct World {
    pub(crate) handle: Handle,
    metrics: Arc<Metrics>,
    pub(crate) sweeps: SweepsClient<Channel>,
    pub(crate) blobs: BlobsClient<Channel>,
    pub(crate) channel: Channel,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl World {
    pub(crate) async fn start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let coordinator = Coordinator::start(config).await.unwrap();
        let (handle, metrics) = (coordinator.handle.clone(), coordinator.metrics.clone());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(coordinator.serve(TcpListenerStream::new(listener), async {
            stopped.await.unwrap_or_default();
        }));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let (sweeps, blobs) = (SweepsClient::new(channel.clone()), BlobsClient::new(channel.clone()));
        Self { handle, metrics, sweeps, blobs, channel, stop, served }
    }

    /// What Prometheus would read.
    pub(crate) async fn metrics(&self) -> String {
        self.metrics.text(&self.handle).await.unwrap()
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) {
        let Self { handle, metrics, sweeps, blobs, channel, stop, served } = self;
        drop((handle, metrics, sweeps, blobs, channel));
        stop.send(()).unwrap();
        within(served).await.unwrap().unwrap();
    }

    pub(crate) async fn submit(&mut self, spec: &str) -> Result<v1::SubmitReply, tonic::Status> {
        let (run, user) = (String::new(), "ada".to_owned());
        let request = v1::SubmitRequest { spec: spec.to_owned().into(), run, user, ..v1::SubmitRequest::default() };
        self.sweeps.submit(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn show(&mut self, sweep: &str) -> v1::ShowReply {
        let request = v1::ShowRequest { sweep: sweep.to_owned(), ..v1::ShowRequest::default() };
        self.sweeps.show(request).await.unwrap().into_inner()
    }
}

/// An agent without trainers.
pub(crate) struct Pretend {
    pub(crate) client: AgentsClient<Channel>,
    facts: AgentFacts,
}

impl Pretend {
    /// Says hello with so many slots and what it holds.
    pub(crate) async fn hello(world: &World, slots: usize, held: &[Lease]) -> (Self, v1::HelloReply) {
        let mut client = AgentsClient::new(world.channel.clone());
        let facts = AgentFacts::pretend(AgentId::from(Uuid::from_u128(7)), "pretend", slots);
        let reply = client.hello(hello_request(&facts, held, "test")).await.unwrap().into_inner();
        (Self { client, facts }, reply)
    }

    pub(crate) async fn poll(&mut self, known: &[Lease], wait: Duration, revision: u64) -> Orders {
        let request = v1::PollRequest {
            agent_id: id_bytes(self.facts.agent),
            known: to_leases(known),
            wait_ms: wait.as_millis() as u32,
            revision,
            seen: None,
        };
        let reply = within(self.client.poll(request)).await.unwrap().into_inner();
        convert::orders(reply.orders.as_ref()).unwrap()
    }

    pub(crate) async fn report(
        &mut self,
        effects: &[Effect],
        known: &[Lease],
    ) -> Result<v1::ReportReply, tonic::Status> {
        let effects = effects.iter().map(v1::Effect::from).collect();
        let request =
            v1::ReportRequest { agent_id: id_bytes(self.facts.agent), effects, known: to_leases(known), seen: None };
        within(self.client.report(request)).await.map(tonic::Response::into_inner)
    }

    /// Runs trials until none is left; returns how many.
    pub(crate) async fn finish_all(&mut self) -> usize {
        let mut held = self.poll(&[], Duration::ZERO, 0).await.leases;
        let mut finished = 0;
        while !held.is_empty() {
            finished += held.len();
            let effects: Vec<Effect> = held.iter().flat_map(|lease| done(*lease, 2)).collect();
            let reply = self.report(&effects, &[]).await.unwrap();
            held = convert::orders(reply.orders.as_ref()).unwrap().leases;
        }
        finished
    }
}

/// One epoch of pretended training.
pub(crate) fn metrics(seq: u64, accuracy: f64) -> EpochMetrics {
    EpochMetrics {
        seq,
        epoch: seq as u32,
        train_loss: Num(f64::from_bits(0xfff8_0000_0000_0123)),
        train_accuracy: Num(0.5),
        val_loss: Num(f64::INFINITY),
        val_accuracy: Num(accuracy),
        lr: Num(0.1),
        images_per_s: Num(100.0),
        seconds: Num(1.0),
        top5: None,
        cost: None,
    }
}

/// All epochs of a trial and its end.
pub(crate) fn done(lease: Lease, epochs: u64) -> [Effect; 2] {
    let records = (1..=epochs).map(|seq| metrics(seq, 0.25 * seq as f64)).collect();
    let how = Ending::Done { early: false, weights: "00".to_owned(), test: None };
    [EffectKind::Metrics(records), EffectKind::Ended { final_seq: epochs, how }].map(|what| Effect { lease, what })
}

/// Waits, but not for ever.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it took longer than 30 s")
}
