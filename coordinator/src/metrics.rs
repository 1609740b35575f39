//! Numbers about this coordinator for Prometheus: counts of what is, taken from the state when somebody asks, and
//! times of what happens, noted where it happens. No names of people, sweeps or projects: whoever is on
//! the host may read them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sweep_core::event::Event;
use sweep_core::id::Lease;
use sweep_core::state::State;
use sweep_ops::metrics;
use sweep_ops::metrics::prometheus_client::metrics::counter::Counter;
use sweep_ops::metrics::prometheus_client::metrics::family::Family;
use sweep_ops::metrics::prometheus_client::metrics::gauge::Gauge;
use sweep_ops::metrics::prometheus_client::metrics::histogram::Histogram;
use sweep_ops::metrics::prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::handle::{Handle, View};

/// Labels of a number: one name, one word.
type Labels = [(&'static str, &'static str); 1];

/// Upper bounds of times, seconds: 0.1 ms to 10 s, about three to a power of ten.
const BOUNDS: [f64; 16] = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// All of them. Cheap to note; the lock is held while one text is made.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    trials: Family<Labels, Gauge>,
    slots: Family<Labels, Gauge>,
    agents: Family<Labels, Gauge>,
    sweeps: Family<Labels, Gauge>,
    started: Gauge<f64, std::sync::atomic::AtomicU64>,
    dispatch: Histogram,
    append: Histogram,
    sync: Histogram,
    report: Histogram,
    events: Counter,
    commits: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let times = || Histogram::new(BOUNDS);
        let metrics = Self {
            registry: Mutex::default(),
            trials: Family::default(),
            slots: Family::default(),
            agents: Family::default(),
            sweeps: Family::default(),
            started: Gauge::default(),
            dispatch: times(),
            append: times(),
            sync: times(),
            report: times(),
            events: Counter::default(),
            commits: Counter::default(),
        };
        {
            let mut all = metrics.lock();
            all.register("sweep_trials", "Trials by state", metrics.trials.clone());
            all.register(
                "sweep_slots",
                "Slots of connected agents, and how many of them run a trial",
                metrics.slots.clone(),
            );
            all.register("sweep_agents", "Agents that call, and agents that do not", metrics.agents.clone());
            all.register("sweep_sweeps", "Sweeps that go on, and sweeps that have ended", metrics.sweeps.clone());
            let text = "When this coordinator started, by the clock";
            all.register_with_unit("sweep_start_time", text, Unit::Seconds, metrics.started.clone());
            let text = "From giving a trial a slot until its order goes out to the agent";
            all.register_with_unit("sweep_dispatch", text, Unit::Seconds, metrics.dispatch.clone());
            let text = "Making one batch of events durable";
            all.register_with_unit("sweep_journal_append", text, Unit::Seconds, metrics.append.clone());
            let text = "The part of that which waits for the disk";
            all.register_with_unit("sweep_journal_sync", text, Unit::Seconds, metrics.sync.clone());
            let text = "Answering a report of an agent, from the call to the answer";
            all.register_with_unit("sweep_report", text, Unit::Seconds, metrics.report.clone());
            all.register("sweep_journal_events", "Events made durable since the start", metrics.events.clone());
            all.register("sweep_journal_commits", "Batches made durable since the start", metrics.commits.clone());
        }
        metrics
    }
}

impl Metrics {
    /// What is now, as text; nothing while the coordinator stops.
    pub async fn text(&self, handle: &Handle) -> Option<String> {
        let now = handle.query(|view| Now::of(&view)).await.ok()?;
        let registry = self.lock();
        for (phase, count) in now.trials {
            self.trials.get_or_create(&[("state", phase)]).set(count);
        }
        self.slots.get_or_create(&[("use", "busy")]).set(now.busy);
        self.slots.get_or_create(&[("use", "free")]).set(now.free);
        self.slots.get_or_create(&[("use", "closed")]).set(now.slots - now.busy - now.free);
        self.agents.get_or_create(&[("state", "connected")]).set(now.connected);
        self.agents.get_or_create(&[("state", "silent")]).set(now.silent);
        self.sweeps.get_or_create(&[("state", "active")]).set(now.sweeps - now.ended);
        self.sweeps.get_or_create(&[("state", "ended")]).set(now.ended);
        self.started.set(now.started);
        Some(metrics::text(&registry))
    }

    /// A batch became durable in this time.
    pub(crate) fn appended(&self, events: usize, whole: Duration, sync: Option<Duration>) {
        self.commits.inc();
        self.events.inc_by(events as u64);
        self.append.observe(whole.as_secs_f64());
        if let Some(sync) = sync {
            self.sync.observe(sync.as_secs_f64());
        }
    }

    /// A report was answered after this time.
    pub(crate) fn reported(&self, time: Duration) {
        self.report.observe(time.as_secs_f64());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Grants whose order no agent has been told yet.
#[derive(Debug, Default)]
pub(crate) struct Undelivered(BTreeMap<Lease, Instant>);

impl Undelivered {
    /// Notes what was decided. At most one for each slot of the lab waits here.
    pub(crate) fn observe(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::LeaseGranted { lease, .. } => {
                    self.0.insert(*lease, Instant::now());
                }
                Event::TrialCompleted { lease, .. }
                | Event::AttemptFailed { lease, .. }
                | Event::LeaseLost { lease, .. } => {
                    self.0.remove(lease);
                }
                _ => {}
            }
        }
    }

    /// The order goes out.
    pub(crate) fn delivered(&mut self, lease: Lease, metrics: &Metrics) {
        if let Some(since) = self.0.remove(&lease) {
            metrics.dispatch.observe(since.elapsed().as_secs_f64());
        }
    }
}

/// Counts of one moment.
struct Now {
    trials: [(&'static str, i64); 8],
    slots: i64,
    busy: i64,
    /// Slots that could get a trial.
    free: i64,
    connected: i64,
    silent: i64,
    sweeps: i64,
    ended: i64,
    started: f64,
}

impl Now {
    fn of(view: &View<'_>) -> Self {
        let state: &State = view.core.state();
        let mut sums = [0; 8];
        for sweep in &state.sweeps {
            let counts = sweep.counts;
            let all = [
                counts.waiting,
                counts.running,
                counts.backoff,
                counts.completed,
                counts.failed,
                counts.cancelled,
                counts.paused,
                counts.stopped,
            ];
            sums.iter_mut().zip(all).for_each(|(sum, count)| *sum += i64::from(count));
        }
        let names = ["waiting", "running", "backoff", "completed", "failed", "cancelled", "paused", "stopped"];
        let (mut slots, mut busy, mut free, mut connected) = (0, 0, 0, 0);
        for (id, agent) in state.hosts() {
            if view.core.is_reachable(*id, view.now) {
                connected += 1;
                slots += agent.slots.len() as i64;
                busy += agent.slots.iter().flatten().count() as i64;
                free += i64::from(agent.open(view.now));
            }
        }
        Self {
            trials: std::array::from_fn(|at| (names[at], sums[at])),
            slots,
            busy,
            free,
            connected,
            silent: state.hosts().count() as i64 - connected,
            sweeps: state.sweeps.len() as i64,
            ended: state.sweeps.iter().filter(|sweep| sweep.ended.is_some()).count() as i64,
            started: view.books.started.0 as f64 / 1e6,
        }
    }
}
