//! The one task that owns the core and the journal. It takes what has queued up, has the core handle
//! all of it, writes all events in one commit with one sync, and only then answers: durable first,
//! then visible. Between two commits it answers queries. Everything is decided in the core.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sweep_core::command::{Command, Reply};
use sweep_core::copies;
use sweep_core::decide::Core;
use sweep_core::event::Event;
use sweep_core::id::{AgentId, Lease};
use sweep_core::notice;
use sweep_core::orders::{order, orders};
use sweep_core::time::{Span, Timestamp};
use sweep_ops::traces::Traces;
use sweep_proto::convert::{Orders, PlacedOrder};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::books::Books;
use crate::clock::Clock;
use crate::handle::{Ask, Handle, QUEUE, Query, Refusal, Synced, View};
use crate::journal::{Batch, Journal, JournalError, Replayed, Series, key};
use crate::metrics::{Metrics, Undelivered};
use crate::spans;

/// Requests handled in one commit.
const BATCH: usize = 1024;
/// Longest time without looking at the clock.
const TICK: Duration = Duration::from_millis(500);
/// Series wait so long for a commit to travel with.
const SERIES_WAIT: Duration = Duration::from_millis(50);
/// More waiting series than this are written at once, bytes (a step counts as 32).
const SERIES_BYTES: usize = 4 << 20;
/// A tick that comes so late was a pause of the whole process: nobody is blamed for it.
const PAUSE: Duration = Duration::from_secs(2);
/// Between two tries to write what cannot be written now.
const ROOM_WAIT: Duration = Duration::from_millis(500);

/// The owner.
#[derive(Debug)]
pub(crate) struct Actor {
    core: Core,
    books: Books,
    journal: Journal,
    clock: Clock,
    asks: mpsc::Receiver<Ask>,
    changed: watch::Sender<u64>,
    closing: CancellationToken,
    series: Waiting,
    looked: Instant,
    metrics: Arc<Metrics>,
    traces: Traces,
    undelivered: Undelivered,
    /// Whether anybody wants to be told of anything.
    tells: bool,
}

/// Series that wait for a commit, and who waits for them.
#[derive(Debug, Default)]
struct Waiting {
    series: Series,
    bytes: usize,
    replies: Vec<oneshot::Sender<Result<(), Refusal>>>,
    until: Option<Instant>,
}

/// An answer that is held until the commit.
enum Held {
    Command(Reply, oneshot::Sender<Result<Reply, Refusal>>),
    Sync(AgentId, Reply, Vec<Lease>, oneshot::Sender<Result<Synced, Refusal>>),
}

/// Everybody who waits for a commit.
#[derive(Default)]
struct Answers {
    held: Vec<Held>,
    queries: Vec<Query>,
    series: Vec<oneshot::Sender<Result<(), Refusal>>>,
}

impl Answers {
    fn refuse(self, refusal: &Refusal) {
        for held in self.held {
            match held {
                Held::Command(_, reply) => drop(reply.send(Err(refusal.clone()))),
                Held::Sync(_, _, _, reply) => drop(reply.send(Err(refusal.clone()))),
            }
        }
        self.queries.into_iter().for_each(|query| query(Err(refusal.clone())));
        self.series.into_iter().for_each(|reply| drop(reply.send(Err(refusal.clone()))));
    }
}

impl Actor {
    /// Takes over a replayed journal. `closing` ends it after what is queued.
    pub(crate) fn new(
        journal: Journal,
        replayed: Replayed,
        clock: Clock,
        closing: CancellationToken,
        metrics: Arc<Metrics>,
        traces: Traces,
    ) -> (Self, Handle) {
        let clock = clock.not_before(replayed.newest);
        let books = Books::new(&replayed.state, clock.now());
        let core = Core::new(replayed.state, clock.now());
        let (sender, asks) = mpsc::channel(QUEUE);
        let (changed, seen) = watch::channel(0);
        let looked = Instant::now();
        let actor = Self {
            core,
            books,
            journal,
            clock,
            asks,
            changed,
            closing,
            series: Waiting::default(),
            looked,
            metrics,
            traces,
            undelivered: Undelivered::default(),
            tells: false,
        };
        (actor, Handle::new(sender, seen))
    }

    /// Somebody wants to be told of what happens.
    pub(crate) fn telling(self) -> Self {
        Self { tells: true, ..self }
    }

    /// Works until it is told to close.
    ///
    /// # Errors
    /// When the journal fails for another reason than a full disk. The process must end: what it would
    /// answer is not durable.
    pub(crate) async fn run(mut self) -> Result<(), JournalError> {
        let mut inbox = Vec::with_capacity(BATCH);
        let build = env!("CARGO_PKG_VERSION").to_owned();
        inbox.push(Ask::Command(Command::Start { build }, oneshot::channel().0));
        self.turn(&mut inbox).await?;
        loop {
            let wake = self.wake();
            let closing = self.closing.clone();
            let open = !self.asks.is_closed();
            tokio::select! {
                biased;
                count = self.asks.recv_many(&mut inbox, BATCH) => if count == 0 { break },
                () = closing.cancelled(), if open => self.asks.close(),
                () = sleep_until(wake) => {}
            }
            self.excuse_pause();
            self.turn(&mut inbox).await?;
        }
        self.series.until = Some(Instant::now());
        self.turn(&mut inbox).await?;
        self.journal.close().await;
        Ok(())
    }

    /// When to look at the clock next.
    fn wake(&self) -> Instant {
        let now = self.clock.now();
        // In safe mode nothing becomes due.
        let state = self.core.state();
        let due = state.next_due().filter(|_| state.lineage.suspicion.is_none());
        let due = due.map(|due| Duration::from_micros((due - now).0.max(1000) as u64));
        let tick = Instant::now() + due.unwrap_or(TICK).min(TICK);
        self.series.until.map_or(tick, |until| until.min(tick))
    }

    /// A suspended or starved process could not be called: its agents are not silent.
    fn excuse_pause(&mut self) {
        let gap = self.looked.elapsed();
        if gap > PAUSE {
            tracing::warn!(seconds = gap.as_secs_f64(), "the coordinator stood still; no agent is blamed for it");
            self.core.excuse(Span(gap.as_micros() as i64));
        }
        self.looked = Instant::now();
    }

    async fn turn(&mut self, inbox: &mut Vec<Ask>) -> Result<(), JournalError> {
        let now = self.clock.now();
        let mut events = Vec::new();
        let mut answers = Answers::default();
        for ask in inbox.drain(..) {
            match ask {
                Ask::Command(command, reply) => {
                    let answer = self.core.handle(command, now, &mut events);
                    answers.held.push(Held::Command(answer, reply));
                }
                Ask::Sync(agent, command, known, reply) => {
                    let answer = self.core.handle(command, now, &mut events);
                    answers.held.push(Held::Sync(agent, answer, known, reply));
                }
                Ask::Query(query) => answers.queries.push(query),
                Ask::Series(agent, series, reply) => {
                    let state = self.core.state();
                    if state.lineage.suspicion.is_some() {
                        drop(reply.send(Err(Refusal::SafeMode)));
                        continue;
                    }
                    let is_own = |lease: Lease| {
                        state.find(lease.trial).and_then(|at| state.trial(at).ran_on(lease.attempt)) == Some(agent)
                    };
                    self.series.push(series, reply, is_own);
                }
            }
        }
        self.core.settle(now, &mut events);
        self.books.observe(self.core.state(), &events, now);
        let batch = self.batch(now, events, &mut answers);
        if !batch.is_empty() {
            self.commit(&batch, &mut answers).await?;
            self.undelivered.observe(&batch.events);
            spans::observe(&self.traces, self.core.state(), &batch.events, now);
        }
        if !batch.events.is_empty() {
            self.books.publish();
            self.changed.send_modify(|commits| *commits += 1);
        }
        for answer in answers.held {
            self.answer(answer);
        }
        for reply in answers.series {
            drop(reply.send(Ok(())));
        }
        let view = View { core: &self.core, books: &self.books, now };
        answers.queries.into_iter().for_each(|query| query(Ok(view)));
        Ok(())
    }

    /// What there is to write: the events, and waiting series if they can travel with them or are due.
    fn batch(&mut self, at: Timestamp, events: Vec<Event>, answers: &mut Answers) -> Batch {
        let state = self.core.state();
        let of_trial = |lease: &Lease| state.find(lease.trial).map_or(-1, |at| key(at.sweep, at.index));
        let keys = events.iter().filter_map(|event| match event {
            Event::EpochReported { lease, .. } => Some(of_trial(lease)),
            _ => None,
        });
        let keys = keys.collect();
        let series = match events.is_empty() && !self.series.is_due() {
            true => Series::default(),
            false => {
                let (series, replies) = self.series.take();
                answers.series = replies;
                series
            }
        };
        let notices = if self.tells { notice::of(state, &events, at) } else { Vec::new() };
        Batch { at, events, keys, series, notices }
    }

    /// Commits. On a full disk, or while another program has locked the journal, it refuses whoever waits, keeps the batch, and tries
    /// again until it can: what was decided stays decided, and whoever asks again gets the same answer.
    async fn commit(&mut self, batch: &Batch, answers: &mut Answers) -> Result<(), JournalError> {
        let mut since = None;
        loop {
            let start = Instant::now();
            let error = match self.journal.commit(batch).await {
                Ok(()) => {
                    self.metrics.appended(batch.events.len(), start.elapsed(), self.journal.synced_in());
                    break;
                }
                Err(error) => error,
            };
            let Some(refusal) = error.refusal() else { return Err(error) };
            if since.is_none() {
                since = Some(start);
                tracing::error!(%error, "waiting until it passes, refusing requests until then");
            }
            std::mem::take(answers).refuse(&refusal);
            if !self.refuse_for(ROOM_WAIT, &refusal).await {
                return Err(error);
            }
        }
        if let Some(since) = since {
            let gap = since.elapsed();
            tracing::info!(seconds = gap.as_secs_f64(), "the journal can be written again");
            self.core.excuse(Span(gap.as_micros() as i64));
            self.looked = Instant::now();
        }
        Ok(())
    }

    /// False when nobody can ask any more.
    async fn refuse_for(&mut self, time: Duration, refusal: &Refusal) -> bool {
        let end = Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return false,
                () = sleep_until(end) => return true,
                ask = self.asks.recv() => match ask {
                    Some(ask) => ask.refuse(refusal.clone()),
                    None => return false,
                },
            }
        }
    }

    fn answer(&mut self, answer: Held) {
        // A caller that has left needs no answer.
        match answer {
            Held::Command(answer, reply) => drop(reply.send(Ok(answer))),
            Held::Sync(agent, answer, known, reply) => {
                // Nothing is kept about a stranger.
                let changes = match self.core.state().agents.contains_key(&agent) {
                    true => self.books.desk(agent).subscribe(),
                    false => watch::Sender::new(0).subscribe(),
                };
                let orders = self.orders(agent, *changes.borrow(), &known);
                orders.bodies.iter().for_each(|body| self.undelivered.delivered(body.lease, &self.metrics));
                let position = self.core.state().lineage.position();
                drop(reply.send(Ok(Synced { reply: answer, orders, position, changes })));
            }
        }
    }

    fn orders(&self, agent: AgentId, revision: u64, known: &[Lease]) -> Orders {
        let state = self.core.state();
        if let Some(words) = state.lineage.words() {
            // Whatever it has goes on, and nothing else begins.
            let (bodies, leases, waits) = (Vec::new(), known.to_vec(), BTreeMap::new());
            return Orders { revision, bodies, leases, notes: vec![words], waits };
        }
        let wanted = orders(state, agent);
        let unknown = wanted.iter().filter(|wanted| !known.contains(&wanted.lease));
        let body = unknown.filter_map(|wanted| match order(state, wanted.at) {
            Ok(order) => Some(PlacedOrder { lease: wanted.lease, slot: wanted.slot, order }),
            Err(error) => {
                tracing::error!(lease = %wanted.lease, %error, "an order cannot be made");
                None
            }
        });
        let leases = wanted.iter().map(|wanted| wanted.lease).collect();
        let notes = copies::of_agent(state, agent).map(|other| other.to_string()).collect();
        let waits = wanted.iter().filter_map(|wanted| Some((wanted.lease, wanted.until?))).collect();
        Orders { revision, bodies: body.collect(), leases, notes, waits }
    }
}

impl Waiting {
    /// Takes what an agent says of its own attempts; what it says of others is dropped.
    fn push(
        &mut self,
        mut series: Series,
        reply: oneshot::Sender<Result<(), Refusal>>,
        is_own: impl Fn(Lease) -> bool,
    ) {
        series.logs.retain(|chunk| is_own(chunk.lease));
        series.steps.retain(|step| is_own(step.lease));
        self.bytes += series.logs.iter().map(|chunk| chunk.text.len()).sum::<usize>() + 32 * series.steps.len();
        self.series.logs.append(&mut series.logs);
        self.series.steps.append(&mut series.steps);
        self.replies.push(reply);
        self.until.get_or_insert(Instant::now() + SERIES_WAIT);
    }

    fn is_due(&self) -> bool {
        self.bytes > SERIES_BYTES || self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Everything that waits.
    fn take(&mut self) -> (Series, Vec<oneshot::Sender<Result<(), Refusal>>>) {
        let Self { series, replies, .. } = std::mem::take(self);
        (series, replies)
    }
}
