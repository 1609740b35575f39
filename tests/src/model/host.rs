//! A host of the simulation: attempt folders and processes that outlive the agent, a power switch, and the agent's launcher on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sweep_agent::launcher::{Disposal, ExitKind, Found, Launcher, Source, Trainer};
use sweep_core::attempt::StopCause;
use sweep_core::event::Failure;
use sweep_core::id::{AgentId, Lease};
use sweep_core::retry::{BEST_MISSING, CHECKPOINT_MISSING};
use sweep_identity::wire::Wire;
use sweep_proto::convert::PlacedOrder;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::download::download;
use super::folder::Folder;
use super::judge::Judge;
use super::trainer::{Files, Rules, train};
use super::watched::OneTrainer;
use crate::bench::settings;
use crate::random::Random;

/// How often a trainer that waits looks whether it may go on.
const WAIT_LOOK: Duration = Duration::from_millis(200);

/// See the module. Clones share it.
#[derive(Clone)]
pub(super) struct Host(Arc<Mutex<Inner>>);

pub(super) struct Inner {
    name: String,
    agent: AgentId,
    seed: u64,
    random: Random,
    pub(super) folders: BTreeMap<Lease, Folder>,
    /// Folders moved away, and how.
    aside: Vec<(Lease, Disposal)>,
    /// After which epochs trainers wait: files that outlive the agent.
    waits: BTreeMap<Lease, u32>,
    /// Since when there is no agent.
    alone: Option<Instant>,
    rules: Rules,
    judge: Judge,
}

impl Host {
    /// Switched on.
    pub(super) fn new(number: u32, seed: u64, rules: Rules, judge: Judge) -> Self {
        let (folders, aside, waits) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let (name, agent, random) = (format!("host {number}"), settings(number, 1).facts.agent, Random(seed));
        Self(Arc::new(Mutex::new(Inner {
            name,
            agent,
            seed,
            random,
            folders,
            aside,
            waits,
            alone: None,
            rules,
            judge,
        })))
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with the host")
    }

    /// Of what its trainers draw.
    pub(super) fn seed(&self) -> u64 {
        self.inner().seed
    }

    /// Whether an agent runs on it.
    pub(super) fn attended(&self, is: bool) {
        self.inner().alone = if is { None } else { Some(Instant::now()) };
    }

    /// Nothing goes wrong in it from now on.
    pub(super) fn calm(&self) {
        let mut inner = self.inner();
        inner.rules = Rules { crashes: 0, damaged: 0, ..inner.rules };
    }

    /// Power off and on: no process is left, and of what was written lately some is lost.
    pub(super) fn reboot(&self) {
        let mut inner = self.inner();
        let Inner { folders, random, .. } = &mut *inner;
        for folder in folders.values_mut() {
            if let Some(process) = &folder.process {
                process.abort();
            }
            if folder.lives() {
                folder.exit = Some(ExitKind::Rebooted);
                let kept = random.below(folder.events.len() as u64 + 1) as usize;
                folder.events.truncate(kept);
                if random.chance(30) {
                    // A block that was allocated and never written.
                    folder.events.extend_from_slice(&[0; 16]);
                }
            }
            folder.released = Instant::now();
        }
    }

    /// Kills some trainer, as somebody in a hurry would. False if there is none.
    pub(super) fn kill_one(&self) -> bool {
        let mut inner = self.inner();
        let living: Vec<Lease> = inner.folders.iter().filter(|(_, folder)| folder.lives()).map(|(at, _)| *at).collect();
        let Some(count) = std::num::NonZeroU64::new(living.len() as u64) else { return false };
        let lease = living[inner.random.below(count.get()) as usize];
        inner.kill(lease);
        true
    }

    /// Damages a line in the middle of some attempt's events. False if there is none.
    pub(super) fn damage_one(&self) -> bool {
        let mut inner = self.inner();
        let Inner { folders, random, .. } = &mut *inner;
        let long = folders.values_mut().find(|folder| folder.events.len() > 100);
        let Some(folder) = long else { return false };
        let at = random.below(folder.events.len() as u64 / 2) as usize;
        folder.events[at] = 0;
        true
    }

    /// A process has ended by itself.
    pub(super) fn ended(&self, lease: Lease, how: ExitKind) {
        let mut inner = self.inner();
        let linger = Duration::from_millis(inner.random.below(400));
        if let Some(folder) = inner.folders.get_mut(&lease) {
            folder.exit = Some(how);
            folder.released = Instant::now() + linger;
            folder.tell();
        }
    }

    /// A trainer appends to its events.
    pub(super) fn append(&self, lease: Lease, text: &[u8]) {
        if let Some(folder) = self.inner().folders.get_mut(&lease) {
            folder.events.extend_from_slice(text);
            folder.tell();
        }
    }

    /// A trainer has written a checkpoint.
    pub(super) fn save(&self, lease: Lease, file: String, bytes: Bytes) {
        if let Some(folder) = self.inner().folders.get_mut(&lease) {
            folder.files.insert(file, bytes);
        }
    }

    /// A trainer works for `time`. Why it has to leave, if it has to.
    pub(super) async fn wait(&self, lease: Lease, time: Duration, orphan: Duration) -> Option<StopCause> {
        let mut changed = self.changed(lease)?;
        let until = Instant::now() + time;
        loop {
            {
                let inner = self.inner();
                if inner.folders.get(&lease)?.stop {
                    return Some(StopCause::Asked);
                }
                if inner.alone.is_some_and(|since| since.elapsed() >= orphan) {
                    return Some(StopCause::Orphaned);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || timeout(left.min(orphan), changed.changed()).await.is_ok_and(|heard| heard.is_err()) {
                return None;
            }
        }
    }

    /// A trainer waits for as long as it is not to train on after `epoch`. Why it has to leave, if it has to.
    pub(super) async fn wait_after(&self, lease: Lease, epoch: u32, orphan: Duration) -> Option<StopCause> {
        while self.inner().waits.get(&lease).is_some_and(|last| epoch >= *last) {
            let why = self.wait(lease, WAIT_LOOK, orphan).await;
            if why.is_some() {
                return why;
            }
        }
        None
    }

    pub(super) fn changed(&self, lease: Lease) -> Option<watch::Receiver<u64>> {
        Some(self.inner().folders.get(&lease)?.changed.subscribe())
    }

    /// Attempt folders that are not settled, and processes that live.
    pub(super) fn left(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.folders.len(), inner.folders.values().filter(|folder| folder.lives()).count())
    }

    /// Folders whose data the agent was told to keep because nobody knows them.
    pub(super) fn unknown(&self) -> usize {
        self.inner().aside.iter().filter(|(_, how)| *how == Disposal::Unknown).count()
    }
}

impl Inner {
    pub(super) fn kill(&mut self, lease: Lease) {
        let Some(folder) = self.folders.get_mut(&lease) else { return };
        if let Some(process) = &folder.process {
            process.abort();
        }
        folder.exit.get_or_insert(ExitKind::Signal(9));
        folder.released = Instant::now();
        folder.tell();
    }

    fn begin(&mut self, host: &Host, placed: PlacedOrder, resume: Option<Bytes>) {
        let PlacedOrder { lease, slot, order } = placed;
        let now = Instant::now();
        let clash = (self.folders.iter()).find(|(_, folder)| {
            folder.slot == slot && folder.process.is_some() && (folder.lives() || folder.released > now)
        });
        if let Some((other, _)) = clash {
            self.judge.object(format!("{}: {lease} began on slot {slot} while {other} was there", self.name));
        }
        let (changed, _) = watch::channel(0);
        let process = tokio::spawn(train(host.clone(), lease, order, resume, self.rules)).abort_handle();
        let folder = Folder {
            slot,
            events: Vec::new(),
            files: Files::new(),
            changed,
            process: Some(process),
            exit: None,
            released: now,
            stop: false,
        };
        self.folders.insert(lease, folder);
        self.judge.is_there(self.agent, lease, true);
    }
}

/// The agent's launcher on a host.
pub(super) struct OnHost {
    host: Host,
    wire: Wire,
    /// The host was started again since the agent last ran.
    rebooted: bool,
}

impl OnHost {
    /// For one life of the agent.
    pub(super) fn new(host: Host, wire: Wire, rebooted: bool) -> Self {
        Self { host, wire, rebooted }
    }
}

impl Launcher for OnHost {
    fn found(&self) -> Vec<Found> {
        let mut inner = self.host.inner();
        // Its trainer never said a word: it never began, and nobody is to blame.
        let Inner { agent, folders, waits, judge, .. } = &mut *inner;
        let over = |folder: &Folder| !folder.lives() && folder.events.is_empty();
        folders.extract_if(.., |_, folder| over(folder)).for_each(|(lease, _)| judge.is_there(*agent, lease, false));
        // What an earlier life was told of attempts that it never began has gone with it.
        waits.retain(|lease, _| folders.contains_key(lease));
        let found =
            |(lease, folder): (&Lease, &Folder)| Found { lease: *lease, slot: folder.lives().then_some(folder.slot) };
        inner.folders.iter().map(found).collect()
    }

    fn start(&self, placed: PlacedOrder) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        let (host, wire) = (self.host.clone(), self.wire.clone());
        async move {
            let lease = placed.lease;
            let resume = match &placed.order.resume {
                Some(checkpoint) => Some(download(wire.clone(), checkpoint, CHECKPOINT_MISSING).await?),
                None => None,
            };
            if let Some(best) = &placed.order.best {
                download(wire, best, BEST_MISSING).await?;
            }
            host.inner().begin(&host, placed, resume);
            Ok(Box::new(OneTrainer::new(host, lease, None)) as Box<dyn Trainer>)
        }
        .boxed()
    }

    fn attach(&self, lease: Lease) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        let how = if self.rebooted { ExitKind::Rebooted } else { ExitKind::Vanished };
        let trainer = OneTrainer::new(self.host.clone(), lease, Some(how));
        async move { Ok(Box::new(trainer) as Box<dyn Trainer>) }.boxed()
    }

    fn wait_at(&self, lease: Lease, epoch: Option<u32>) -> bool {
        let mut inner = self.host.inner();
        match epoch {
            Some(epoch) => inner.waits.insert(lease, epoch),
            None => inner.waits.remove(&lease),
        };
        true
    }

    fn checkpoint(&self, lease: Lease, file: &str) -> Option<Source> {
        let inner = self.host.inner();
        inner.folders.get(&lease)?.files.get(file).cloned().map(Source::Bytes)
    }

    fn dispose(&self, lease: Lease, how: Disposal) {
        let mut inner = self.host.inner();
        inner.waits.remove(&lease);
        if let Some(folder) = inner.folders.remove(&lease) {
            if folder.lives() {
                let name = inner.name.clone();
                inner.judge.object(format!("{name}: the folder of {lease} was settled while its trainer lived"));
            }
            inner.judge.is_there(inner.agent, lease, false);
            inner.aside.push((lease, how));
        }
    }
}
