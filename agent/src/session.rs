//! The agent's conversation with the coordinator: greet it, poll it (which is also the heartbeat),
//! report to it, bring it checkpoints, ship it what people look at. Each is a lane of its own with
//! one call at a time; what is said and what follows from the answers is the supervisor's business.
//! Trainers are not touched by anything that goes wrong here.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sweep_core::attempt::CheckpointLine;
use sweep_core::command::{EffectResult, Verdict};
use sweep_core::event::{AgentFacts, DatasetFacts};
use sweep_core::id::Lease;
use sweep_ops::traces::Traces;
use sweep_proto::convert::Orders;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::devices::sights::Sights;
use crate::lane::Lane;
use crate::launcher::Launcher;
use crate::outbox::{Sent, Uploaded};
use crate::rpc::blobs::BlobClient;
use crate::rpc::{CallError, Links, calls};
use crate::series::Shipment;
use crate::spans;
use crate::supervisor::Supervisor;
use crate::unit::Told;

/// Length of a long poll; an agent that is well calls at least this often.
const POLL: Duration = Duration::from_secs(5);
/// Pause after a poll that told nothing new: its news had come with a report.
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// Pause after a report that got nowhere.
const STUCK_PAUSE: Duration = Duration::from_millis(500);
/// First and longest bounds of the random pause after a failed call.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A coordinator that refuses is asked again, but not often.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// How often series are shipped.
const SHIP: Duration = Duration::from_secs(1);
/// A first look at the data sets may take so long before the agent greets without them.
const FIRST_LOOK: Duration = Duration::from_secs(30);
/// Uploads at once.
const UPLOADS: usize = 4;
/// What units tell and nobody has taken yet.
const TOLD: usize = 1024;

/// What an agent is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it says of itself; data sets are filled in from the `datasets` of [`run`].
    pub facts: AgentFacts,
    /// Time a trainer has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Seed of the random pauses.
    pub seed: u64,
    /// Who collects traces, if anybody does.
    pub traces: Traces,
}

impl Settings {
    /// Without traces.
    pub fn new(facts: AgentFacts, grace: Duration, seed: u64) -> Self {
        Self { facts, grace, seed, traces: Traces::default() }
    }
}

/// Runs an agent until `shutdown`. Trainers live on; a later run takes them over. `datasets` holds
/// `None` until they have been looked at for the first time.
pub async fn run(
    settings: Settings,
    links: Links,
    launcher: Arc<dyn Launcher>,
    datasets: watch::Receiver<Option<Vec<DatasetFacts>>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut session = Session::new(settings, links, launcher, datasets);
    session.supervisor.attach_found();
    tokio::pin!(shutdown);
    loop {
        session.act();
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            event = session.next() => session.handle(event),
        }
        // Whatever else is there already goes into the same report.
        while let Ok((lease, told)) = session.told.try_recv() {
            session.supervisor.told(lease, told);
        }
    }
}

/// What happens to a session.
enum Event {
    Told(Lease, Told),
    Hello(Result<Vec<(Lease, Verdict)>, CallError>),
    Poll(Result<Orders, CallError>),
    Report(Result<(Vec<EffectResult>, Orders), CallError>),
    Uploaded(Lease, CheckpointLine, Uploaded),
    Shipped(Result<(), CallError>),
    Observed(Result<(), CallError>),
    Datasets,
    Tick,
}

struct Session {
    settings: Settings,
    links: Links,
    blobs: BlobClient,
    supervisor: Supervisor,
    told: mpsc::Receiver<(Lease, Told)>,
    datasets: watch::Receiver<Option<Vec<DatasetFacts>>>,
    datasets_end: bool,
    /// The coordinator knows this agent, as far as the agent knows.
    greeted: bool,
    /// The data sets are others than when it was greeted.
    stale: bool,
    greet_at_latest: Instant,
    said: bool,
    hello: Lane<Result<Vec<(Lease, Verdict)>, CallError>>,
    poll: Lane<Result<Orders, CallError>>,
    poll_began: Instant,
    report: Lane<Result<(Vec<EffectResult>, Orders), CallError>>,
    sent: Vec<(Lease, Sent)>,
    ship: Lane<Result<(), CallError>>,
    observe: Lane<Result<(), CallError>>,
    sights: Sights,
    shipment: Shipment,
    uploads: FuturesUnordered<BoxFuture<'static, (Lease, CheckpointLine, Uploaded)>>,
    random: u64,
}

impl Session {
    fn new(
        settings: Settings,
        links: Links,
        launcher: Arc<dyn Launcher>,
        datasets: watch::Receiver<Option<Vec<DatasetFacts>>>,
    ) -> Self {
        let (tell, told) = mpsc::channel(TOLD);
        let sights = Sights::new(launcher.devices());
        let slots = settings.facts.slots.len() as u32;
        let now = Instant::now();
        Self {
            supervisor: Supervisor::new(launcher, slots, settings.grace, tell).traced(settings.traces.clone()),
            blobs: BlobClient::new(links.bulk.clone()),
            random: settings.seed,
            settings,
            links,
            told,
            datasets,
            datasets_end: false,
            greeted: false,
            stale: false,
            greet_at_latest: now + FIRST_LOOK,
            said: false,
            hello: Lane::new(),
            poll: Lane::new(),
            poll_began: now,
            report: Lane::new(),
            sent: Vec::new(),
            ship: Lane::new(),
            observe: Lane::new(),
            sights,
            shipment: Shipment::default(),
            uploads: FuturesUnordered::new(),
        }
    }

    /// Waits for the next thing.
    async fn next(&mut self) -> Event {
        let wake = self.wake();
        tokio::select! {
            biased;
            Some((lease, told)) = self.told.recv() => Event::Told(lease, told),
            answer = self.report.answer() => Event::Report(answer),
            answer = self.poll.answer() => Event::Poll(answer),
            answer = self.hello.answer() => Event::Hello(answer),
            Some((lease, line, outcome)) = self.uploads.next(), if !self.uploads.is_empty() => {
                Event::Uploaded(lease, line, outcome)
            }
            answer = self.ship.answer() => Event::Shipped(answer),
            answer = self.observe.answer() => Event::Observed(answer),
            () = self.sights.changed() => Event::Tick,
            changed = self.datasets.changed(), if !self.datasets_end => {
                self.datasets_end = changed.is_err();
                if changed.is_ok() { Event::Datasets } else { Event::Tick }
            }
            () = wait_until(wake) => Event::Tick,
        }
    }

    /// When something that waits only for time may go on.
    fn wake(&self) -> Option<Instant> {
        let lanes = [self.hello.wake(), self.poll.wake(), self.report.wake(), self.ship.wake(), self.observe.wake()];
        let greet = (!self.greeted && self.hello.call.is_none()).then_some(self.greet_at_latest);
        let upload = self.supervisor.next_upload();
        let now = Instant::now();
        let times = lanes.into_iter().flatten().chain(greet).chain(upload);
        times.filter(|at| *at > now).min()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Told(lease, told) => self.supervisor.told(lease, told),
            Event::Hello(Ok(verdicts)) => {
                tracing::info!(held = verdicts.len(), "the coordinator knows this agent");
                self.said = false;
                self.hello.failures = 0;
                self.greeted = true;
                self.sights.forget();
                self.supervisor.greeted(&verdicts);
            }
            Event::Hello(Err(error)) => self.hello_failed(&error),
            Event::Poll(Ok(orders)) => {
                self.poll.failures = 0;
                self.note_back();
                let news = self.supervisor.orders(orders);
                if !news && self.poll_began.elapsed() < POLL - POLL_PAUSE {
                    self.poll.pause(POLL_PAUSE);
                }
            }
            Event::Poll(Err(error)) => {
                let pause = self.failed(&error, self.poll.failures);
                self.poll.failures += 1;
                self.poll.pause(pause);
            }
            Event::Report(Ok((results, orders))) => {
                self.report.failures = 0;
                self.note_back();
                let sent = std::mem::take(&mut self.sent);
                self.supervisor.spans.reported(&sent);
                if self.supervisor.reported(&sent, &results) {
                    self.report.pause(STUCK_PAUSE);
                }
                self.supervisor.orders(orders);
            }
            Event::Report(Err(error)) => {
                if let CallError::BlobMissing(_) = error {
                    self.supervisor.blobs_missing(&self.sent);
                }
                let pause = self.failed(&error, self.report.failures);
                self.report.failures += 1;
                self.report.pause(pause);
            }
            Event::Uploaded(lease, line, outcome) => {
                self.supervisor.uploaded(lease, &line, outcome, Instant::now());
            }
            Event::Shipped(answer) => {
                let shipment = std::mem::take(&mut self.shipment);
                // What the coordinator refuses it would refuse again; the rest may still arrive.
                if answer.is_err_and(|error| !error.is_refusal()) {
                    self.supervisor.series.put_back(shipment);
                }
                self.ship.pause(SHIP);
            }
            Event::Observed(Ok(())) => self.observe.failures = 0,
            Event::Observed(Err(error)) => {
                self.sights.forget();
                // A coordinator of an earlier release knows no such call.
                let pause = if error.is_refusal() { REFUSED_PAUSE } else { self.failed(&error, self.observe.failures) };
                self.observe.failures += 1;
                self.observe.pause(pause);
            }
            Event::Datasets => self.stale = true,
            Event::Tick => {}
        }
    }

    /// Notes a failed call and says how long to wait.
    fn failed(&mut self, error: &CallError, failures: u32) -> Duration {
        if let CallError::AgentUnknown = error {
            self.greeted = false;
            return Duration::ZERO;
        }
        if !self.said {
            self.said = true;
            tracing::warn!(%error, "the coordinator does not answer; trainers go on");
        }
        if error.is_shut_out() {
            return REFUSED_PAUSE;
        }
        self.jitter(failures)
    }

    fn hello_failed(&mut self, error: &CallError) {
        let pause = if error.is_refusal() {
            tracing::error!(%error, "the coordinator refuses this agent");
            REFUSED_PAUSE
        } else {
            self.failed(error, self.hello.failures)
        };
        self.hello.failures += 1;
        self.hello.pause(pause.max(FIRST_PAUSE / 10));
    }

    fn note_back(&mut self) {
        if std::mem::take(&mut self.said) {
            tracing::info!("the coordinator answers again");
        }
    }

    /// A random pause up to a bound that doubles with each failure in a row.
    fn jitter(&mut self, failures: u32) -> Duration {
        let bound = (FIRST_PAUSE * 2u32.saturating_pow(failures.min(8))).min(LONGEST_PAUSE);
        // One step of splitmix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bound.mul_f64(((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// Makes the calls that can be made now.
    fn act(&mut self) {
        let now = Instant::now();
        self.supervisor.look_at_meters();
        if !self.greeted || self.stale {
            // Answers to calls made before belong to a coordinator that did not know this agent.
            self.poll.call = None;
            self.report.call = None;
            let looked = self.datasets.borrow().is_some() || now >= self.greet_at_latest;
            if self.hello.is_open(now) && (looked || !self.supervisor.held().is_empty()) {
                self.stale = false;
                self.greeted = false;
                let mut facts = self.settings.facts.clone();
                facts.datasets = (self.datasets.borrow_and_update().clone()).unwrap_or_default();
                let held = self.supervisor.held();
                self.hello.start(calls::hello(self.links.clone(), facts, held));
            }
            return;
        }
        if self.report.is_open(now)
            && let Some(report) = self.supervisor.report()
        {
            self.sent = report.sent;
            self.supervisor.spans.reporting();
            let (links, agent) = (self.links.clone(), self.settings.facts.agent);
            self.report.start(calls::report(links, agent, report.effects, report.known));
        }
        if self.poll.is_open(now) {
            let (links, agent) = (self.links.clone(), self.settings.facts.agent);
            let known = self.supervisor.held();
            self.poll_began = now;
            self.poll.start(calls::poll(links, agent, known, self.supervisor.revision(), POLL));
        }
        if self.observe.is_open(now)
            && let Some(sighting) = self.sights.news()
        {
            let (channel, agent) = (self.links.control.clone(), self.settings.facts.agent);
            self.observe.start(calls::observe(channel, agent, sighting));
        }
        if self.uploads.len() < UPLOADS {
            for (lease, line, source) in self.supervisor.uploads(now) {
                let (blobs, traces) = (self.blobs.clone(), self.settings.traces.clone());
                let upload = async move {
                    let since = SystemTime::now();
                    let outcome = blobs.upload(&line, source).await;
                    spans::checkpoint(&traces, lease, &line, since, outcome);
                    (lease, line, outcome)
                };
                self.uploads.push(upload.boxed());
            }
        }
        if !self.supervisor.series.is_empty() && self.ship.is_open(now) {
            let (channel, agent) = (self.links.bulk.clone(), self.settings.facts.agent);
            self.shipment = self.supervisor.series.take();
            self.ship.start(calls::ship(channel, agent, self.shipment.clone()));
        }
    }
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
