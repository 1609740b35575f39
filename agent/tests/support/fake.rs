//! A coordinator for tests: the real core behind real gRPC on loopback, without a disk, with faults
//! on request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sweep_core::audit::{Audit, Auditor};
use sweep_core::command::{Command, Effect, Reply, Submit};
use sweep_core::decide::Core;
use sweep_core::event::{AgentFacts, Event};
use sweep_core::id::{AgentId, Lease, SweepId, TrialId};
use sweep_core::orders::{order, orders};
use sweep_core::plan::plan_text;
use sweep_core::state::State;
use sweep_core::state::trial::Phase;
use sweep_core::time::Timestamp;
use sweep_proto::convert::{self, PlacedOrder, leases};
use sweep_proto::status::{rejected, status};
use sweep_proto::v1;
use sweep_proto::v1::agents_server::{Agents, AgentsServer};
use sweep_proto::v1::blobs_server::{Blobs, BlobsServer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status, Streaming};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What goes wrong, and what has come in.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) core: Option<Core>,
    pub(crate) journal: Vec<Event>,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// Text per attempt, by offset.
    pub(crate) logs: BTreeMap<Lease, Vec<u8>>,
    /// A report that says something new is taken and not answered: it must be said twice.
    pub(crate) lose_answers: bool,
    /// How many answers were lost so.
    pub(crate) lost: u32,
    /// Uploads find no room.
    pub(crate) full: bool,
    /// Nothing answers.
    pub(crate) away: bool,
    revision: u64,
}

#[derive(Clone)]
pub(crate) struct Fake {
    world: Arc<Mutex<World>>,
    changed: Arc<watch::Sender<u64>>,
    start: Instant,
}

impl Fake {
    /// Serves on a free port of this machine.
    pub(crate) async fn serve() -> (Self, SocketAddr, JoinHandle<()>) {
        let fake = Self { world: Arc::default(), changed: Arc::new(watch::channel(0).0), start: Instant::now() };
        fake.restart(State::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = tonic::transport::Server::builder()
            .add_service(AgentsServer::new(fake.clone()))
            .add_service(BlobsServer::new(fake.clone()));
        let ticking = fake.clone();
        let server = tokio::spawn(async move {
            let ticks = async {
                let mut tick = tokio::time::interval(Duration::from_millis(50));
                loop {
                    tick.tick().await;
                    ticking.act(None);
                }
            };
            tokio::select! {
                served = router.serve_with_incoming(TcpListenerStream::new(listener)) => served.unwrap(),
                () = ticks => {}
            }
        });
        (fake, address, server)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_000_000 + self.start.elapsed().as_micros() as i64)
    }

    /// A coordinator that starts with `state` and has met nobody.
    pub(crate) fn restart(&self, state: State) {
        self.world().core = Some(Core::new(state, self.now()));
        self.changed.send_modify(|revision| *revision += 1);
    }

    /// Handles a command, if there is one, and what follows from the time.
    pub(crate) fn act(&self, command: Option<Command>) -> Reply {
        let now = self.now();
        let mut world = self.world();
        let mut events = Vec::new();
        let core = world.core.as_mut().unwrap();
        let reply = command.map_or(Reply::Noted, |command| core.handle(command, now, &mut events));
        core.settle(now, &mut events);
        let any = !events.is_empty();
        world.journal.extend(events);
        world.revision += u64::from(any);
        drop(world);
        if any {
            self.changed.send_modify(|revision| *revision += 1);
        }
        reply
    }

    /// Submits a sweep file.
    pub(crate) fn submit(&self, text: &str) -> SweepId {
        let (plan, _) = plan_text(text.as_bytes()).unwrap();
        let sweep = SweepId::derive(text, "");
        let (user, project) = ("test".to_owned(), "default".to_owned());
        let submit = Submit { sweep, user, project, plan: Arc::new(plan), queue_anyway: true, reuse: Vec::new() };
        let reply = self.act(Some(Command::Submit(submit)));
        assert!(matches!(reply, Reply::Submitted { .. }), "{reply:?}");
        sweep
    }

    /// Waits until `look` finds something in the world.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl FnMut(&World) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = look(&self.world()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("not within {PATIENCE:?}: {what}; journal: {:#?}", self.world().journal),
        }
    }

    /// Waits until every trial of the sweep is over, and gives the audit of everything.
    pub(crate) async fn finish(&self, sweep: SweepId) -> Audit {
        let over = |world: &World| {
            let sweep = world.core.as_ref()?.state().sweep(sweep)?;
            sweep.trials.iter().all(|trial| trial.phase.is_terminal()).then_some(())
        };
        self.until("all trials over", over).await;
        let mut auditor = Auditor::new();
        for event in &self.world().journal {
            auditor.read(event);
        }
        let audit = auditor.sweep(sweep).unwrap();
        assert!(audit.is_legal(), "{:?}", audit.violations);
        audit
    }

    /// Waits for the first event that `pick` likes.
    pub(crate) async fn event<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        self.until(what, |world| world.journal.iter().find_map(&pick)).await
    }

    /// The lease that runs now, once one does and has reported so many epochs.
    pub(crate) async fn running(&self, epochs: u64) -> Lease {
        self.until("a running attempt", |world| {
            let state = world.core.as_ref()?.state();
            let agents = state.agents.values().flat_map(|agent| agent.slots.iter().flatten().copied());
            let mut leases =
                agents.filter(|lease| state.leased(*lease).is_some_and(|(_, leased)| leased.acked_seq >= epochs));
            leases.next()
        })
        .await
    }

    pub(crate) fn phase(&self, trial: TrialId) -> Phase {
        let world = self.world();
        let state = world.core.as_ref().unwrap().state();
        state.trial(state.find(trial).unwrap()).phase.clone()
    }

    fn facts(&self) -> AgentFacts {
        let world = self.world();
        let mut agents = world.core.as_ref().unwrap().state().agents.values();
        agents.next().unwrap().facts.clone()
    }

    /// Takes every lease from the only agent, as if it had been silent for too long.
    pub(crate) fn take_leases(&self) {
        let facts = AgentFacts { incarnation: 0, ..self.facts() };
        let (agent, known) = (facts.agent, Vec::new());
        self.act(Some(Command::Hello { facts: facts.clone(), held: vec![] }));
        // One that does not say what it has seen is asked once more.
        self.act(Some(Command::Heartbeat { agent, known }));
        self.act(Some(Command::Hello { facts, held: vec![] }));
    }

    fn check(&self) -> Result<(), Status> {
        match self.world().away {
            true => Err(Status::unavailable("away")),
            false => Ok(()),
        }
    }

    fn orders(&self, agent: AgentId, known: &[Lease]) -> v1::Orders {
        let world = self.world();
        let state = world.core.as_ref().unwrap().state();
        let wanted = orders(state, agent);
        let unknown = wanted.iter().filter(|wanted| !known.contains(&wanted.lease));
        let body = |wanted: &sweep_core::orders::Wanted| PlacedOrder {
            lease: wanted.lease,
            slot: wanted.slot,
            order: order(state, wanted.at).unwrap(),
        };
        let orders = convert::Orders {
            revision: world.revision,
            leases: wanted.iter().map(|wanted| wanted.lease).collect(),
            bodies: unknown.map(body).collect(),
            notes: Vec::new(),
            waits: wanted.iter().filter_map(|wanted| Some((wanted.lease, wanted.until?))).collect(),
        };
        v1::Orders::from(&orders)
    }
}

fn answered(reply: Reply) -> Result<Reply, Status> {
    match reply {
        Reply::Rejected(reject) => Err(rejected(&reject)),
        other => Ok(other),
    }
}

#[tonic::async_trait]
impl Agents for Fake {
    async fn hello(&self, request: Request<v1::HelloRequest>) -> Result<Response<v1::HelloReply>, Status> {
        self.check()?;
        let (facts, held) = convert::hello(request.into_inner())?;
        match answered(self.act(Some(Command::Hello { facts, held })))? {
            Reply::Welcome(verdicts) => Ok(Response::new(v1::HelloReply {
                build: "fake".into(),
                verdicts: verdicts.into_iter().map(v1::Verdict::from).collect(),
                lease_ms: 60_000,
                at: None,
            })),
            other => panic!("{other:?}"),
        }
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<Response<v1::PollReply>, Status> {
        let request = request.into_inner();
        let agent = convert::id(&request.agent_id, "agent_id")?;
        let known = leases(&request.known)?;
        let until = tokio::time::Instant::now() + Duration::from_millis(request.wait_ms.into());
        let mut changed = self.changed.subscribe();
        loop {
            self.check()?;
            answered(self.act(Some(Command::Heartbeat { agent, known: known.clone() })))?;
            let orders = self.orders(agent, &known);
            let differ = orders.revision != request.revision || !orders.bodies.is_empty();
            if differ || tokio::time::timeout_at(until, changed.changed()).await.is_err() {
                return Ok(Response::new(v1::PollReply { orders: Some(orders), at: None }));
            }
        }
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        self.check()?;
        let request = request.into_inner();
        let agent = convert::id(&request.agent_id, "agent_id")?;
        let known = leases(&request.known)?;
        let effects: Vec<Effect> = request.effects.iter().map(|effect| Effect::try_from(effect).unwrap()).collect();
        let before = self.world().journal.len();
        let reply = answered(self.act(Some(Command::Report { agent, effects })))?;
        let Reply::Effects(results) = reply else { panic!("{reply:?}") };
        if self.world().lose_answers && self.world().journal.len() > before {
            self.world().lost += 1;
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Response::new(v1::ReportReply {
            results: results.into_iter().map(v1::EffectResult::from).collect(),
            orders: Some(self.orders(agent, &known)),
            at: None,
        }))
    }

    async fn observe(&self, request: Request<v1::ObserveRequest>) -> Result<Response<v1::ObserveReply>, Status> {
        self.check()?;
        let request = request.into_inner();
        let agent = convert::id(&request.agent_id, "agent_id")?;
        answered(self.act(Some(Command::Observe { agent, sighting: convert::sighting(request)? })))?;
        Ok(Response::new(v1::ObserveReply {}))
    }

    async fn ship_series(
        &self,
        request: Request<v1::ShipSeriesRequest>,
    ) -> Result<Response<v1::ShipSeriesReply>, Status> {
        self.check()?;
        for chunk in request.into_inner().logs {
            let lease = convert::lease(chunk.lease.as_ref())?;
            let mut world = self.world();
            let log = world.logs.entry(lease).or_default();
            let from = chunk.offset as usize;
            if from <= log.len() {
                log.truncate(from);
                log.extend_from_slice(&chunk.text);
            }
        }
        self.changed.send_modify(|revision| *revision += 1);
        Ok(Response::new(v1::ShipSeriesReply {}))
    }
}

#[tonic::async_trait]
impl Blobs for Fake {
    async fn upload(&self, request: Request<Streaming<v1::UploadChunk>>) -> Result<Response<v1::UploadReply>, Status> {
        self.check()?;
        if self.world().full {
            return Err(status(Code::ResourceExhausted, "disk_full", "no room"));
        }
        let mut chunks = request.into_inner();
        let mut name = String::new();
        let mut data = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            name.push_str(&chunk.sha256);
            data.extend_from_slice(&chunk.data);
        }
        let existing = self.world().blobs.insert(name, data).is_some();
        Ok(Response::new(v1::UploadReply { existing }))
    }

    type DownloadStream = BoxStream<v1::DownloadChunk>;

    async fn download(&self, request: Request<v1::DownloadRequest>) -> Result<Response<Self::DownloadStream>, Status> {
        self.check()?;
        let data = self.world().blobs.get(&request.into_inner().sha256).cloned();
        let data = data.ok_or_else(|| status(Code::NotFound, "blob_missing", "no such blob"))?;
        let chunk = v1::DownloadChunk { bytes: data.len() as u64, data: data.into() };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(chunk)]))))
    }
}
