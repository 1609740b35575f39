//! A cluster without sockets, in simulated time and one thread: the real coordinator (its services, its owner, its journal in
//! memory), the real agents (session, supervisor, units, outbox) and pretended hosts and trainers, with a network between them that
//! carries calls (`net`). What goes wrong is drawn from the seed (`weather`); what must not go wrong is in `judge`. Much
//! faster than [`crate::sim`], which has the whole of tonic and HTTP/2 in it.

mod download;
mod folder;
mod host;
mod judge;
mod losses;
mod net;
mod people;
mod standing;
mod trainer;
mod watched;
mod weather;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use sweep_agent::memory::Memory;
use sweep_agent::rpc::Links;
use sweep_agent::session;
use sweep_coordinator::Coordinator;
use sweep_coordinator::blobs::Blobs;
use sweep_coordinator::clock::Clock;
use sweep_coordinator::config::{Config, Store};
use sweep_coordinator::janitor;
use sweep_coordinator::journal::memory::MemoryStore;
use sweep_core::audit::Audit;
use sweep_core::time::Timestamp;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bench::settings;
use crate::random::Random;
use host::{Host, OnHost};
use judge::{Judge, Reading};
use losses::Losses;
use net::Net;
pub(crate) use net::{Gathered, gather};
use trainer::Rules;
use weather::Weather;

/// Kinds of faults.
pub const KINDS: usize = 10;
/// The people's node.
const PEOPLE: u32 = 1000;
/// Simulated time by which everything must be over.
const LIMIT: Duration = Duration::from_secs(3600);
/// Simulated time until a coordinator leaves.
const BEFORE: Duration = Duration::from_secs(20);
/// Simulated time after the last trial in which agents must have put everything away.
const SETTLE: Duration = Duration::from_secs(240);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The oracle's verdict.
    pub audit: Audit,
    /// SHA-256 of the journal: the same seed gives the same.
    pub journal: String,
    /// The journal: one event a line.
    pub text: String,
    /// Faults injected, by kind as in `Weather::kinds`.
    pub faults: [u32; KINDS],
    /// How often the journal lost its end, and how often that was noticed.
    pub losses: [u32; 2],
    /// Calls over the network.
    pub calls: u64,
    /// Simulated time until the last trial was over.
    pub took: Duration,
}

/// Runs the cluster of a seed; `quiet` without faults.
///
/// # Errors
/// When anything is wrong: what, and all of it.
pub fn run(seed: u64, quiet: bool) -> Result<Outcome> {
    play(seed, quiet, None)
}

/// The same without other faults than that the coordinator dies in the middle and is away for so long.
///
/// # Errors
/// When anything is wrong: what, and all of it.
pub fn run_without(seed: u64, away: Duration) -> Result<Outcome> {
    play(seed, true, Some(away))
}

fn play(seed: u64, quiet: bool, away: Option<Duration>) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async { World::new(seed, quiet).run(away).await }).with_context(|| format!("seed {seed}"))
}

struct Node {
    number: u32,
    host: Host,
    slots: u32,
    life: u64,
    agent: Option<AbortHandle>,
    rebooted: bool,
    /// What its agents have seen of the journal.
    memory: Memory,
}

struct World {
    random: Random,
    weather: Weather,
    store: MemoryStore,
    blobs: Blobs,
    judge: Judge,
    net: Net,
    nodes: Vec<Node>,
    coordinator: Option<Coordinator>,
    start: Instant,
    faults: [u32; KINDS],
    losses: Losses,
}

/// Something that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    Coordinator,
    Agent(usize),
    Cut(usize),
    Full,
}

impl World {
    fn new(seed: u64, quiet: bool) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5eed);
        let weather = if quiet { Weather::quiet() } else { Weather::draw(&mut random) };
        let store = MemoryStore::default();
        let judge = Judge::new(store.clone());
        let rules = Rules {
            crashes: weather.crashes,
            damaged: weather.damaged,
            epoch: Duration::from_millis(500 + random.below(9_500)),
            orphan: Duration::from_secs(20 + random.below(100)),
        };
        let count = 1 + random.below(3) as u32;
        let nodes = (0..count).map(|number| Node {
            number,
            host: Host::new(number, random.bits(), rules, judge.clone()),
            slots: 1 + random.below(3) as u32,
            life: 0,
            agent: None,
            rebooted: false,
            memory: Memory::default(),
        });
        let nodes = nodes.collect();
        let net = Net::new(random.bits(), weather, judge.clone());
        let (blobs, coordinator, start) = (Blobs::memory(), None, Instant::now());
        let losses = Losses::draw(seed, weather.until);
        Self { random, weather, store, blobs, judge, net, nodes, coordinator, start, faults: [0; KINDS], losses }
    }

    async fn run(mut self, away: Option<Duration>) -> Result<Outcome> {
        self.start_coordinator().await?;
        for node in 0..self.nodes.len() {
            self.start_agent(node);
        }
        let until = self.start + self.weather.until;
        let specs = people::specs(&mut self.random);
        let meddles = self.weather.meddles.then_some(until);
        let ann = people::ann(self.net.wire(PEOPLE), specs, Random(self.random.bits()), meddles);
        let mut ann = tokio::spawn(ann);
        if let Some(away) = away {
            sleep(BEFORE).await;
            self.net.close();
            self.coordinator = None;
            self.faults[0] += 1;
            sleep(away).await;
            self.start_coordinator().await?;
        }
        if self.losses.any {
            tokio::spawn(people::admin(self.net.wire(PEOPLE), Random(self.losses.bits())));
        }
        if self.weather.until > Duration::ZERO {
            self.trouble(until).await?;
        }
        if self.losses.any {
            // What she took for done may have been lost since.
            let again = people::ann(self.net.wire(PEOPLE), Vec::new(), Random(self.losses.bits()), None);
            ann = tokio::spawn(async move { drop(tokio::join!(ann, again)) });
        }
        let over = tokio::time::timeout(LIMIT, &mut ann).await;
        if over.is_err() {
            bail!("not over after {LIMIT:?}: {}", self.state().await);
        }
        let took = self.start.elapsed();
        sleep(SETTLE).await;
        self.verdict(took).await
    }

    async fn verdict(self, took: Duration) -> Result<Outcome> {
        let events = self.store.events()?;
        let Reading { mut wrong, audit, text, kept } = judge::verdict(&events, &self.judge.taken());
        wrong.extend(self.judge.wrong());
        let stored = self.blobs.list().await?.into_iter().map(|blob| blob.sha256).collect();
        wrong.extend(self.judge.gone(&kept, &stored));
        for node in &self.nodes {
            let (folders, processes) = node.host.left();
            if folders + processes > 0 {
                wrong.push(format!("host {} has {folders} attempts and {processes} processes left", node.number));
            }
            if node.host.unknown() > 0 && !self.losses.any {
                wrong.push(format!("the coordinator does not know {} attempts it gave", node.host.unknown()));
            }
        }
        wrong.truncate(5);
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        ensure!(audit.is_exactly_once(), "{audit:?}");
        let journal = crate::sha256(text.as_bytes());
        let losses = [self.losses.count, text.matches("\"rollback_accepted\"").count() as u32];
        Ok(Outcome { audit, journal, text, faults: self.faults, losses, calls: self.net.calls(), took })
    }

    async fn trouble(&mut self, until: Instant) -> Result<()> {
        let mut lasting: Vec<(Instant, Lasting)> = Vec::new();
        let kinds: Vec<usize> = (0..KINDS).filter(|kind| self.weather.kinds[*kind]).collect();
        let mut next = Instant::now();
        loop {
            next += Duration::from_millis(50 + self.random.below(self.weather.pause_ms));
            let mut wake = next.min(until);
            // What is over first is mended first.
            while let Some(at) = lasting.iter().map(|(until, _)| *until).min().filter(|at| *at <= wake) {
                sleep_until(at).await;
                let over = lasting.iter().position(|(until, _)| *until == at).unwrap_or(0);
                let (_, fault) = lasting.remove(over);
                self.mend(fault).await?;
                wake = next.min(until);
            }
            sleep_until(wake).await;
            if wake >= until {
                break;
            }
            if self.losses.is_due(self.start.elapsed()) {
                self.lose_end(lasting.iter().any(|(_, fault)| *fault == Lasting::Coordinator)).await?;
            }
            let Some(kind) = (!kinds.is_empty()).then(|| kinds[self.random.below(kinds.len() as u64) as usize]) else {
                continue;
            };
            if kind == 8 {
                self.clean().await?;
            } else if kind == 9 {
                self.lose().await?;
            } else if let Some(fault) = self.fault(kind, &lasting) {
                let lasts = Duration::from_millis(10 + self.random.below(self.weather.lasts_ms));
                lasting.push((Instant::now() + lasts, fault));
            }
        }
        self.net.calm();
        self.nodes.iter().for_each(|node| node.host.calm());
        for (_, fault) in lasting {
            self.mend(fault).await?;
        }
        Ok(())
    }

    /// Injects; says what is to be mended later.
    fn fault(&mut self, kind: usize, lasting: &[(Instant, Lasting)]) -> Option<Lasting> {
        let at = self.random.below(self.nodes.len() as u64) as usize;
        let fresh = |fault: Lasting| !lasting.iter().any(|(_, other)| *other == fault);
        let number = self.nodes[at].number;
        let fault = match kind {
            0 if fresh(Lasting::Coordinator) => {
                self.net.close();
                self.coordinator = None;
                Some(Lasting::Coordinator)
            }
            1 if fresh(Lasting::Agent(at)) => {
                self.stop_agent(at);
                Some(Lasting::Agent(at))
            }
            2 if fresh(Lasting::Agent(at)) => {
                self.stop_agent(at);
                self.nodes[at].host.reboot();
                self.nodes[at].rebooted = true;
                Some(Lasting::Agent(at))
            }
            3 if fresh(Lasting::Cut(at)) => {
                self.net.cut(number, [true, true]);
                Some(Lasting::Cut(at))
            }
            4 if fresh(Lasting::Cut(at)) => {
                let there = self.random.chance(50);
                self.net.cut(number, [there, !there]);
                Some(Lasting::Cut(at))
            }
            5 => {
                self.faults[5] += u32::from(self.nodes[at].host.kill_one());
                return None;
            }
            6 => {
                self.faults[6] += u32::from(self.nodes[at].host.damage_one());
                return None;
            }
            7 if fresh(Lasting::Full) => {
                self.store.set_full(true);
                Some(Lasting::Full)
            }
            _ => None,
        };
        self.faults[kind] += u32::from(fault.is_some());
        fault
    }

    /// Deletes every checkpoint that no trial refers to, however new.
    async fn clean(&mut self) -> Result<()> {
        if let Some(coordinator) = &self.coordinator
            && let Ok(deleted) =
                janitor::clean(&coordinator.handle, &self.blobs, Duration::ZERO, None, SystemTime::now()).await
        {
            self.faults[8] += u32::from(deleted? > 0);
        }
        Ok(())
    }

    /// Deletes some checkpoint, whoever refers to it.
    async fn lose(&mut self) -> Result<()> {
        let mut stored = self.blobs.list().await?;
        stored.sort_by(|one, other| one.sha256.cmp(&other.sha256));
        if !stored.is_empty() {
            let at = self.random.below(stored.len() as u64) as usize;
            self.blobs.delete(&stored[at].sha256).await?;
            self.judge.lost(&stored[at].sha256);
            self.faults[9] += 1;
        }
        Ok(())
    }

    /// The coordinator dies, if it is not dead already, and starts on a journal that has lost its end.
    async fn lose_end(&mut self, is_dead: bool) -> Result<()> {
        self.net.close();
        self.coordinator = None;
        self.losses.cut(&self.store);
        let stored = self.blobs.list().await?;
        self.judge.rolled_back(&stored.into_iter().map(|blob| blob.sha256).collect());
        if is_dead { Ok(()) } else { self.start_coordinator().await }
    }

    async fn mend(&mut self, fault: Lasting) -> Result<()> {
        match fault {
            Lasting::Coordinator => self.start_coordinator().await?,
            Lasting::Agent(at) => self.start_agent(at),
            Lasting::Cut(at) => self.net.cut(self.nodes[at].number, [false, false]),
            Lasting::Full => self.store.set_full(false),
        }
        Ok(())
    }

    async fn start_coordinator(&mut self) -> Result<()> {
        let Weather { rate, offset_s, .. } = self.weather;
        let wrong = match offset_s {
            0 => 0,
            most => self.random.below(2 * most as u64) as i64 - most,
        };
        let wall = 1_700_000_000_000_000 + self.start.elapsed().as_micros() as i64 + wrong * 1_000_000;
        let clock = Clock::at(Timestamp(wall)).with_rate(rate);
        let store = Store::Memory(self.store.clone(), self.blobs.clone());
        let coordinator = Coordinator::start(Config::new(store, clock)).await?;
        self.net.open(coordinator.services());
        self.coordinator = Some(coordinator);
        Ok(())
    }

    fn start_agent(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.life += 1;
        node.host.attended(true);
        let mut settings = settings(node.number, node.slots);
        settings.facts.incarnation = node.life;
        settings.seed = self.random.bits();
        let wire = || self.net.wire(node.number);
        let launcher = OnHost::new(node.host.clone(), wire(), std::mem::take(&mut node.rebooted));
        let mut links = Links::plain(wire(), wire());
        links.memory = node.memory.clone();
        let run = async move {
            let (keep, datasets) = watch::channel(Some(Vec::new()));
            session::run(settings, links, Arc::new(launcher), datasets, std::future::pending()).await;
            drop(keep);
        };
        node.agent = Some(tokio::spawn(run).abort_handle());
    }

    fn stop_agent(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if let Some(agent) = node.agent.take() {
            agent.abort();
        }
        node.host.attended(false);
    }
}
