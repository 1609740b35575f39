//! A whole cluster in simulated time: the real coordinator and agent code over real tonic on turmoil's
//! network, with crashes, restarts and partitions, of both ways and of one, drawn from a seed. Run every seed in a process of its
//! own (`sweep-sim`): tokio keeps process-wide counters that would make a second run differ.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use futures_util::stream::unfold;
use hyper_util::rt::TokioIo;
use sweep_agent::rpc::Links;
use sweep_agent::session;
use sweep_coordinator::blobs::Blobs;
use sweep_coordinator::clock::Clock;
use sweep_coordinator::config::{Cleaning, Config, Snapshots, Store};
use sweep_coordinator::journal::memory::MemoryStore;
use sweep_core::audit::{Audit, Auditor};
use sweep_core::event::Event;
use sweep_core::time::Timestamp;
use sweep_proto::v1;
use sweep_proto::v1::sweeps_client::SweepsClient;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::transport::{Channel, Endpoint};
use turmoil::net::{TcpListener, TcpStream};

use crate::bench::settings;
use crate::random::Random;
use crate::scripted::{Script, Scripted};

const AGENTS: u32 = 3;
const PORT: u16 = 7070;
/// Simulated time after which faults stop, so that everything can come to an end.
const FAULTS: Duration = Duration::from_secs(120);
/// Simulated time by which everything must be over.
const LIMIT: Duration = Duration::from_secs(3600);

/// What a simulated run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The oracle's verdict.
    pub audit: Audit,
    /// SHA-256 of the journal: the same seed gives the same.
    pub journal: String,
    /// Weights by trial, to compare with a quiet run.
    pub weights: BTreeMap<String, String>,
    /// Faults injected: crashes of the coordinator, crashes of agents, partitions, partitions of one way.
    pub faults: [u32; 4],
}

const SPEC: &str = "name = \"sim\"\ndataset = \"none\"\nepochs = 4\nseeds = 2\nmax_retries = 50\n\n\
    [grid]\nlr = [1e-4, 1e-3, 1e-2]\ndropout = [0.0, 0.2]\n";

/// Runs the cluster; `quiet` without faults.
///
/// # Errors
/// When the sweep does not come to an end, or a part of the cluster fails by itself.
pub fn run(seed: u64, quiet: bool) -> Result<Outcome> {
    let mut random = Random(seed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(LIMIT)
        .tick_duration(Duration::from_millis(5))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .build();
    let store = MemoryStore::default();
    let blobs = Blobs::memory();
    {
        let (store, blobs) = (store.clone(), blobs.clone());
        sim.host("coordinator", move || coordinator(store.clone(), blobs.clone()));
    }
    let crashes = if quiet { 0 } else { 3 };
    let script = Script { epochs: 4, epoch: Duration::from_secs(3), checkpoints: true, crashes };
    for number in 0..AGENTS {
        let (launcher, starts) = (Scripted::new(script), Arc::new(AtomicU64::new(0)));
        sim.host(format!("agent-{number}"), move || {
            let incarnation = starts.fetch_add(1, Ordering::Relaxed);
            agent(number, incarnation, launcher.clone())
        });
    }
    sim.client("ann", ann());

    let mut faults = [0; 4];
    let mut down: Vec<(Duration, Fault)> = Vec::new();
    let mut next = Duration::from_secs(2);
    while !sim.step().map_err(|error| anyhow!("seed {seed}: {error}"))? {
        let now = sim.elapsed();
        let (over, still): (Vec<_>, Vec<_>) = down.into_iter().partition(|(until, _)| *until <= now);
        down = still;
        over.into_iter().for_each(|(_, fault)| fault.heal(&mut sim));
        if !quiet && now < FAULTS && now >= next {
            next = now + Duration::from_millis(500 + random.below(12_000));
            let fault = Fault::draw(&mut random);
            if !down.iter().any(|(_, other)| *other == fault) {
                faults[fault.kind()] += 1;
                fault.inject(&mut sim);
                down.push((now + Duration::from_millis(100 + random.below(25_000)), fault));
            }
        }
    }
    verdict(&store, faults)
}

fn verdict(store: &MemoryStore, faults: [u32; 4]) -> Result<Outcome> {
    let events = store.events().map_err(|error| anyhow!("{error}"))?;
    let mut auditor = Auditor::new();
    let (mut text, mut weights) = (String::new(), BTreeMap::new());
    for event in &events {
        auditor.read(event);
        text.push_str(&serde_json::to_string(event)?);
        if let Event::TrialCompleted { lease, weights: hash, .. } = event {
            weights.insert(lease.trial.to_string(), hash.clone());
        }
    }
    let audit = auditor.all();
    ensure!(audit.is_legal(), "{:#?}", audit.violations);
    ensure!(audit.is_exactly_once(), "{audit:?}");
    Ok(Outcome { audit, journal: crate::sha256(text.as_bytes()), weights, faults })
}

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Coordinator,
    Agent(u32),
    Partition(u32),
    /// Nothing comes through from the agent, or else to it; its own words do.
    OneWay(u32, bool),
}

impl Fault {
    fn draw(random: &mut Random) -> Self {
        let agent = random.below(u64::from(AGENTS)) as u32;
        match random.below(4) {
            0 => Self::Coordinator,
            1 => Self::Agent(agent),
            2 => Self::Partition(agent),
            _ => Self::OneWay(agent, random.chance(50)),
        }
    }

    fn kind(self) -> usize {
        match self {
            Self::Coordinator => 0,
            Self::Agent(_) => 1,
            Self::Partition(_) => 2,
            Self::OneWay(..) => 3,
        }
    }

    fn inject(self, sim: &mut turmoil::Sim<'_>) {
        match self {
            Self::Coordinator => sim.crash("coordinator"),
            Self::Agent(number) => sim.crash(format!("agent-{number}")),
            Self::Partition(number) => sim.partition("coordinator", format!("agent-{number}")),
            Self::OneWay(number, true) => sim.partition_oneway(format!("agent-{number}"), "coordinator"),
            Self::OneWay(number, false) => sim.partition_oneway("coordinator", format!("agent-{number}")),
        }
    }

    fn heal(self, sim: &mut turmoil::Sim<'_>) {
        match self {
            Self::Coordinator => sim.bounce("coordinator"),
            Self::Agent(number) => sim.bounce(format!("agent-{number}")),
            Self::Partition(number) => sim.repair("coordinator", format!("agent-{number}")),
            Self::OneWay(number, true) => sim.repair_oneway(format!("agent-{number}"), "coordinator"),
            Self::OneWay(number, false) => sim.repair_oneway("coordinator", format!("agent-{number}")),
        }
    }
}

async fn coordinator(store: MemoryStore, blobs: Blobs) -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let incoming = unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Connection(stream));
        Some((accepted, listener))
    });
    let wall = Timestamp(turmoil::sim_elapsed().unwrap_or_default().as_micros() as i64);
    let config = Config {
        store: Store::Memory(store, blobs),
        clock: Clock::at(wall),
        cleaning: Cleaning::default(),
        snapshots: Snapshots::default(),
    };
    sweep_coordinator::serve(config, incoming, std::future::pending()).await?;
    Ok(())
}

async fn agent(number: u32, incarnation: u64, launcher: Scripted) -> turmoil::Result {
    let mut settings = settings(number, 2);
    settings.facts.incarnation = incarnation;
    settings.seed = u64::from(number) << 32 | incarnation;
    let links = Links::plain(channel()?, channel()?);
    let (keep, datasets) = watch::channel(Some(Vec::new()));
    session::run(settings, links, Arc::new(launcher), datasets, std::future::pending()).await;
    drop(keep);
    Ok(())
}

/// Submits, twice as people do, and waits for the end, whatever happens to the coordinator.
async fn ann() -> turmoil::Result {
    loop {
        let mut client = SweepsClient::new(channel()?);
        let request = v1::SubmitRequest { spec: SPEC.as_bytes().to_vec().into(), ..Default::default() };
        let submitted = tokio::time::timeout(Duration::from_secs(5), client.submit(request)).await;
        if matches!(submitted, Ok(Ok(_))) {
            let listed = tokio::time::timeout(Duration::from_secs(5), client.list(v1::ListRequest { limit: 0 })).await;
            if let Ok(Ok(listed)) = listed
                && listed.into_inner().sweeps.iter().all(|sweep| sweep.status == "completed")
            {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn channel() -> Result<Channel> {
    let endpoint = Endpoint::from_static("http://coordinator:7070")
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(3))
        .keep_alive_while_idle(true);
    let connect = tower::service_fn(|_| async { TcpStream::connect(("coordinator", PORT)).await.map(TokioIo::new) });
    Ok(endpoint.connect_with_connector_lazy(connect))
}

/// turmoil's stream, as tonic wants it.
struct Connection(TcpStream);

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;
    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo { local_addr: self.0.local_addr().ok(), remote_addr: self.0.peer_addr().ok() }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
