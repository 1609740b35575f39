//! Measures what the coordinator promises, on the machine it runs on:
//!
//! ```text
//! figures write DIR GROUP    a journal of 100,000 trials and 1,000,000 epoch reports, GROUP events a commit
//! figures open DIR           how long it takes to fold it, and the memory after it
//! figures scale DIR          submit a 100,000-point grid over gRPC; list and show while it runs; memory
//! figures dispatch DIR AGENTS SLOTS TRIALS    no-op trials over gRPC, each with one durable metric
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use sweep_coordinator::Coordinator;
use sweep_coordinator::config::Config;
use sweep_coordinator::journal::sqlite::SqliteJournal;
use sweep_coordinator::journal::{Batch, Journal, key};
use sweep_core::attempt::{CheckpointKind, EpochMetrics};
use sweep_core::command::{Effect, EffectKind, Ending};
use sweep_core::event::{AgentFacts, Checkpoint, Event};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::num::Num;
use sweep_core::plan::plan_text;
use sweep_core::time::Timestamp;
use sweep_proto::convert::{hello_request, id_bytes, leases};
use sweep_proto::v1;
use sweep_proto::v1::agents_client::AgentsClient;
use sweep_proto::v1::sweeps_client::SweepsClient;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

/// Trials of the large sweep.
const TRIALS: u32 = 100_000;
/// Epochs of each in the written journal.
const EPOCHS: u32 = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["write", dir, group] => write(Path::new(dir), group.parse()?).await,
        ["open", dir] => open(Path::new(dir)).await,
        ["scale", dir] => scale(Path::new(dir)).await,
        ["dispatch", dir, agents, slots, trials] => {
            dispatch(Path::new(dir), agents.parse()?, slots.parse()?, trials.parse()?).await
        }
        _ => bail!("say: write DIR GROUP | open DIR | scale DIR | dispatch DIR AGENTS SLOTS TRIALS"),
    }
}

#[expect(clippy::print_stdout, reason = "figures are this program's output")]
fn say(text: &str) {
    println!("{text}");
}

/// A grid of so many points.
fn spec(name: &str, points: u32) -> String {
    let (rows, columns) = (points.div_ceil(250).max(1), points.min(250));
    let lr: Vec<String> = (0..rows).map(|row| format!("{:e}", 1e-4 * f64::from(row + 1))).collect();
    let dropout: Vec<String> = (0..columns).map(|column| format!("{}", f64::from(column) / 1000.0)).collect();
    format!(
        "name = \"{name}\"\ndataset = \"none\"\nmodel = \"resnet18\"\nimage_size = 32\nepochs = {EPOCHS}\nseeds = 1\n\
         [grid]\nlr = [{}]\ndropout = [{}]\n",
        lr.join(", "),
        dropout.join(", ")
    )
}

fn facts(number: u128, slots: usize) -> AgentFacts {
    AgentFacts::pretend(AgentId::from(Uuid::from_u128(number + 1)), format!("host{number}"), slots)
}

fn metrics(epoch: u32, salt: u32) -> EpochMetrics {
    let value = |base: f64| Num(base + f64::from(salt % 9973) * 1.234_567_891e-5 + f64::from(epoch) * 0.012_345_678_9);
    EpochMetrics {
        seq: epoch.into(),
        epoch,
        train_loss: value(1.1),
        train_accuracy: value(0.1),
        val_loss: value(1.3),
        val_accuracy: value(0.2),
        lr: Num(0.001),
        images_per_s: value(1234.0),
        seconds: value(7.0),
        top5: None,
        cost: None,
    }
}

async fn write(dir: &Path, group: usize) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let (journal, replayed) = SqliteJournal::open(dir).await?;
    ensure!(replayed.events == 0, "the folder has a journal already");
    let mut journal = Journal::Sqlite(journal);
    let (plan, spec) = plan_text(spec("large", TRIALS).as_bytes()).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let sweep = SweepId::derive(&spec.canonical(), "");
    let ids: Vec<_> = (0..plan.len()).map(|index| plan.trial_id(sweep, index)).collect();
    let agent = facts(0, 64);
    let id = agent.agent;
    let [name, user, project] = ["large", "me", "default"].map(str::to_owned);
    let submitted = Event::SweepSubmitted { sweep, name, user, project, plan: Arc::new(plan) };
    let mut events = vec![submitted, Event::AgentJoined(agent)];
    let mut keys = Vec::new();
    let start = Instant::now();
    let mut commits = 0;
    for (index, trial) in (0u32..).zip(&ids) {
        let lease = Lease { trial: *trial, attempt: 1 };
        events.push(Event::LeaseGranted {
            lease,
            agent: id,
            slot: index % 64,
            resume_epoch: 0,
            fingerprint: None,
            share: 1000,
        });
        for epoch in 1..=EPOCHS {
            events.push(Event::EpochReported { lease, metrics: metrics(epoch, index) });
            keys.push(key(0, index));
        }
        let sha256 = format!("{index:064x}");
        let (epoch, seq, bytes) = (EPOCHS, EPOCHS.into(), 1 << 20);
        let checkpoint = Checkpoint { kind: CheckpointKind::Last, epoch, seq, sha256: sha256.clone(), bytes };
        events.push(Event::CheckpointKept { lease, checkpoint });
        events.push(Event::TrialCompleted {
            lease,
            final_seq: EPOCHS.into(),
            early: false,
            weights: sha256,
            test: None,
        });
        if events.len() >= group {
            let (events, keys) = (std::mem::take(&mut events), std::mem::take(&mut keys));
            let batch = Batch { at: Timestamp(i64::from(index)), events, keys, ..Batch::default() };
            journal.commit(&batch).await?;
            commits += 1;
        }
    }
    let batch = Batch { at: Timestamp(i64::from(TRIALS)), events, keys, ..Batch::default() };
    journal.commit(&batch).await?;
    journal.close().await;
    say(&format!("{commits} commits in {:.2} s", start.elapsed().as_secs_f64()));
    Ok(())
}

async fn open(dir: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    let (journal, replayed) = SqliteJournal::open(dir).await?;
    let seconds = start.elapsed().as_secs_f64();
    let sweep = replayed.state.sweeps.first().context("no sweep")?;
    say(&format!(
        "{} events, {} trials completed: folded in {seconds:.3} s; {}",
        replayed.events,
        sweep.counts.completed,
        memory()?
    ));
    drop(journal);
    Ok(())
}

/// Resident memory now and at most, MB.
fn memory() -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let kilobytes: Option<f64> = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
        kilobytes.unwrap_or(0.0) * 1024.0 / 1e6
    };
    Ok(format!("memory {:.0} MB (at most {:.0} MB)", field("VmRSS"), field("VmHWM")))
}

/// A coordinator on a free port, in this process.
async fn serve(dir: &Path) -> anyhow::Result<Channel> {
    std::fs::create_dir_all(dir)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let start = Instant::now();
    let coordinator = Coordinator::start(Config::folder(dir)).await?;
    say(&format!("ready after {:.1} ms", start.elapsed().as_secs_f64() * 1e3));
    let incoming = TcpListenerStream::new(listener).map(|stream: std::io::Result<TcpStream>| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    });
    tokio::spawn(coordinator.serve(incoming, std::future::pending()));
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?)
}

async fn submit(channel: &Channel, name: &str, trials: u32) -> anyhow::Result<()> {
    let request = v1::SubmitRequest { spec: spec(name, trials).into(), ..v1::SubmitRequest::default() };
    let start = Instant::now();
    let reply = SweepsClient::new(channel.clone()).submit(request).await?.into_inner();
    say(&format!("submitted {} trials in {:.3} s", reply.trials, start.elapsed().as_secs_f64()));
    Ok(())
}

async fn scale(dir: &Path) -> anyhow::Result<()> {
    let channel = serve(dir).await?;
    say(&memory()?);
    submit(&channel, "large", TRIALS).await?;
    say(&memory()?);
    let running = tokio::spawn(agent(channel.clone(), 0, 16, None));
    let mut client = SweepsClient::new(channel.clone()).max_decoding_message_size(64 << 20);
    let (mut list, mut show, mut filtered) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..50 {
        let start = Instant::now();
        client.list(v1::ListRequest { limit: 0 }).await?;
        list = list.max(start.elapsed());
        let mut request = v1::ShowRequest { sweep: "large".to_owned(), offset: 50_000, limit: 100, phases: Vec::new() };
        let start = Instant::now();
        client.show(request.clone()).await?;
        show = show.max(start.elapsed());
        request.phases = vec!["completed".to_owned()];
        request.offset = 0;
        let start = Instant::now();
        client.show(request).await?;
        filtered = filtered.max(start.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    say(&format!(
        "slowest of 50 while it runs: list {:.1} ms, show {:.1} ms, by phase {:.1} ms",
        ms(list),
        ms(show),
        ms(filtered)
    ));
    let start = Instant::now();
    let sweep = v1::SweepReportRequest { sweep: "large".to_owned(), curves: false };
    let report = client.report(sweep).await?.into_inner();
    say(&format!("report of {:.1} MB in {:.1} ms; {}", report.json.len() as f64 / 1e6, ms(start.elapsed()), memory()?));
    running.abort();
    Ok(())
}

/// What a pretend agent saw.
#[derive(Default)]
struct Ran {
    done: u64,
    /// When it had its first trial.
    first: Option<Instant>,
    /// From reporting an end to having the next trial.
    turns: Vec<Duration>,
}

/// A pretend agent: reports every trial as done as soon as it has it. Ends after `idle` without work.
async fn agent(channel: Channel, number: u128, slots: usize, idle: Option<u32>) -> anyhow::Result<Ran> {
    let mut client = AgentsClient::new(channel);
    let facts = facts(number, slots);
    let agent_id = id_bytes(facts.agent);
    client.hello(hello_request(&facts, &[], "figures")).await?;
    let (mut ran, mut quiet) = (Ran::default(), 0);
    let mut held: Vec<Lease> = Vec::new();
    loop {
        if held.is_empty() {
            if idle.is_some_and(|most| quiet >= most) {
                return Ok(ran);
            }
            let poll = v1::PollRequest {
                agent_id: agent_id.clone(),
                known: Vec::new(),
                wait_ms: 200,
                revision: 0,
                seen: None,
            };
            let orders = client.poll(poll).await?.into_inner().orders.context("orders")?;
            held = leases(&orders.leases)?;
            if !held.is_empty() {
                ran.first.get_or_insert(Instant::now());
            }
            quiet = if held.is_empty() { quiet + 1 } else { 0 };
            continue;
        }
        let effects = held.iter().flat_map(|lease| {
            let end = EffectKind::Ended {
                final_seq: 1,
                how: Ending::Done { early: false, weights: String::new(), test: None },
            };
            [EffectKind::Metrics(vec![metrics(1, lease.attempt)]), end]
                .map(|what| v1::Effect::from(&Effect { lease: *lease, what }))
        });
        let report =
            v1::ReportRequest { agent_id: agent_id.clone(), effects: effects.collect(), known: Vec::new(), seen: None };
        ran.done += held.len() as u64;
        let start = Instant::now();
        let reply = client.report(report).await?.into_inner();
        ran.turns.push(start.elapsed());
        held = leases(&reply.orders.context("orders")?.leases)?;
    }
}

async fn dispatch(dir: &Path, agents: u128, slots: usize, trials: u32) -> anyhow::Result<()> {
    let channel = serve(dir).await?;
    let address = channel.clone();
    let start = Instant::now();
    let running = try_join_all((0..agents).map(|number| tokio::spawn(agent(address.clone(), number, slots, Some(2)))));
    // The agents poll before there is anything to do.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    submit(&channel, "noop", trials).await?;
    let submitted = start.elapsed();
    let ran = running.await?.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let done: u64 = ran.iter().map(|ran| ran.done).sum();
    // The last agent waits two polls of 200 ms for nothing.
    let seconds = (start.elapsed() - submitted).as_secs_f64() - 0.4;
    say(&format!("{done} trials in {seconds:.2} s: {:.0} trials/s; {}", done as f64 / seconds, memory()?));
    let first = ran.iter().filter_map(|ran| ran.first).min().context("nothing ran")?;
    let mut turns: Vec<Duration> = ran.into_iter().flat_map(|ran| ran.turns).collect();
    turns.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |share: f64| ms(turns[((turns.len() - 1) as f64 * share) as usize]);
    say(&format!(
        "submit to first start {:.1} ms; end reported to next trial: median {:.1} ms, p99 {:.1} ms",
        ms(first - asked),
        at(0.5),
        at(0.99)
    ));
    Ok(())
}
