//! `sweep-agent`: flags, logging, signals, exit code. What the agent does is in the library.

use std::future::Future;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use sweep_agent::attempts::Folders;
use sweep_agent::config::{Cli, Other, Output};
use sweep_agent::devices::fake::{self, FakeProbe};
use sweep_agent::devices::nvml::NvmlProbe;
use sweep_agent::devices::{Devices, Probe, Rules};
use sweep_agent::hardware::{self, Hardware, Wanted};
use sweep_agent::launcher::Launcher;
use sweep_agent::launcher::noop::NoopLauncher;
use sweep_agent::launcher::process::{ProcessConfig, ProcessLauncher};
use sweep_agent::lock::{LOCK_FILE, StateError, StateFolder};
use sweep_agent::membership::{self, Member};
use sweep_agent::memory::Memory;
use sweep_agent::metrics::Metrics;
use sweep_agent::rpc::blobs::BlobClient;
use sweep_agent::rpc::links_with;
use sweep_agent::sandbox::{Sandbox, no_core_dumps};
use sweep_agent::session::{self, Settings};
use sweep_agent::{datasets, doctor, rpc::Links, version};
use sweep_core::device::Offer;
use sweep_core::event::AgentFacts;
use sweep_core::id::AgentId;
use sweep_identity::address::Address;
use sweep_identity::dial::Bearer;
use sweep_ops::log::LogFile;
use sweep_ops::traces::Traces;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = log_lines(&cli) {
        say(&error);
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(serve(&cli));
            // A data set that is being looked at, or a file that is being read, is not waited for.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error).context("cannot start"),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            if cli.log_file.is_some() {
                say(&error);
            }
            match error.downcast_ref::<StateError>() {
                Some(StateError::Taken(_)) => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Lines go to standard error, or into a file.
fn log_lines(cli: &Cli) -> anyhow::Result<()> {
    let filter = std::env::var("SWEEP_LOG").unwrap_or_else(|_| "info".into());
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_target(false);
    match &cli.log_file {
        Some(path) => {
            let file = LogFile::open(path, cli.log_size, cli.log_keep)?;
            lines.with_ansi(false).with_writer(Mutex::new(file)).init();
        }
        None => {
            let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(ansi).with_writer(std::io::stderr).init();
        }
    }
    Ok(())
}

/// Why it ends, for whoever does not read the log.
fn say(error: &anyhow::Error) {
    use std::io::Write as _;
    // Where nobody can be told, the exit code says it.
    drop(writeln!(std::io::stderr(), "Error: {error:#}"));
}

async fn serve(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(Other::Doctor { output }) = cli.command {
        use std::io::Write as _;
        let found = doctor::look(cli).await;
        let text = if output == Output::Json { found.json() + "\n" } else { found.text() };
        std::io::stdout().write_all(text.as_bytes()).context("telling what was found")?;
        return Ok(if found.has_problem() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    if let Some(Other::Join { again }) = cli.command {
        return join(cli, again).await;
    }
    no_core_dumps();
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let asked = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("asked to leave; trainers go on and the next agent takes them over");
    };
    let traces = match &cli.otlp {
        Some(url) => Traces::open(url, "sweep-agent", env!("CARGO_PKG_VERSION"))?,
        None => Traces::default(),
    };
    let ended = match cli.pretend {
        None => one(cli, &traces, asked).await,
        Some(count) => many(cli, count, &traces, asked).await,
    };
    traces.close();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Becomes a member, or one again, and starts nothing.
async fn join(cli: &Cli, again: bool) -> anyhow::Result<ExitCode> {
    let state = StateFolder::open(&cli.state()?)?;
    let address: Address = cli.coordinator.parse()?;
    anyhow::ensure!(address.encrypted, "there is nothing to join at {address}: a lab is at https://HOST:7443");
    let file = cli.join_file.as_deref();
    let file = file.context("say with which token: --join-file FILE (`sweepctl admin agent-token` makes one)")?;
    let member = Member::enter(&state.path, &address, state.agent, file, again).await?;
    tracing::info!(agent = %member.agent(), "it is a member; if it was revoked before, `sweepctl undrain HOST` trusts it again");
    Ok(ExitCode::SUCCESS)
}

/// The agent of this host.
async fn one(cli: &Cli, traces: &Traces, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let state = StateFolder::open(&cli.state()?)?;
    let address: Address = cli.coordinator.parse()?;
    let bearer = bearer(cli)?;
    let (links, member) = if address.encrypted {
        let member = Member::get(&state.path, &address, state.agent, cli.join_file.as_deref()).await?;
        (links_with(&address, Some(&member.tls()?), &bearer)?, Some(member))
    } else {
        (links_with(&address, None, &bearer)?, None)
    };
    let links = Links { memory: Memory::open(&state.path), ..links };
    let (hardware, roots, trainer) = (hardware(cli)?, cli.data_roots(), absolute(&cli.trainer()));
    let walls = sandbox(cli, &state.path, &roots, &trainer).await?;
    let (devices, watching) = devices(cli, &state, &hardware).unzip();
    let watching = watching.map(tokio::spawn);
    let measured = Measured { powercap: Some(cli.powercap.clone()), devices };
    let launcher = processes(cli, &state, &hardware, roots.clone(), trainer.clone(), &links, measured, walls.clone())?;
    let mut settings = settings(cli, traces, state.agent, hardware::host_name(), &hardware);
    settings.facts.offer.trainer = version::program(&trainer).await;
    let root_names = roots.iter().filter_map(|root| root.to_str());
    settings.facts.data_roots = root_names.map(str::to_owned).collect();
    tracing::info!(
        agent = %state.agent, coordinator = cli.coordinator, slots = ?settings.facts.slots,
        trainer = %trainer.display(), state = %state.path.display(), "agent started"
    );
    if let Some(address) = cli.metrics {
        serve_metrics(address, cli.powercap.clone(), hardware.slots.len()).await?;
    }
    if roots.is_empty() {
        tracing::warn!("no data roots: nothing can be trained here; say where data sets are with --data");
    }
    let (found, look) = watch::channel(None);
    let looking = tokio::spawn(datasets::watch(trainer, walls, roots, found));
    let renewing = member.map(|member| tokio::spawn(member.renew(links.control.clone(), membership::now)));
    session::run(settings, links, launcher, look, shutdown).await;
    looking.abort();
    if let Some(renewing) = renewing {
        renewing.abort();
    }
    if let Some(watching) = watching {
        watching.abort();
    }
    Ok(())
}

/// Numbers for whoever is on this host, for as long as the process lives.
async fn serve_metrics(address: SocketAddr, powercap: PathBuf, slots: usize) -> anyhow::Result<()> {
    let listener = sweep_ops::metrics::listen(address).await?;
    let numbers = Arc::new(Metrics::new(slots));
    sweep_agent::metrics::watch(powercap, numbers.clone()).context("cannot watch the devices")?;
    tracing::info!(address = %listener.local_addr()?, "metrics for Prometheus");
    tokio::spawn(sweep_ops::metrics::serve(listener, move || {
        let text = numbers.text();
        async move { Some(text) }
    }));
    Ok(())
}

/// Several agents that need no data, in one process.
async fn many(cli: &Cli, count: u32, traces: &Traces, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let hardware = match &cli.devices {
        Some(_) => hardware(cli)?,
        None => Hardware {
            slots: hardware::look(Wanted::default())?
                .slots
                .into_iter()
                .cycle()
                .take(cli.slots.unwrap_or(1) as usize)
                .collect(),
            threads: 1,
            ..Hardware::default()
        },
    };
    let (stop, stopped) = watch::channel(false);
    let mut agents = JoinSet::new();
    for number in 0..count {
        let mut links = links_with(&cli.coordinator.parse()?, None, &bearer(cli)?)?;
        let (found, look) = watch::channel(Some(Vec::new()));
        let host = format!("pretend-{number}");
        let (agent, launcher, state): (AgentId, Arc<dyn Launcher>, Option<StateFolder>) = if cli.in_process {
            (Uuid::now_v7().into(), Arc::new(NoopLauncher), None)
        } else {
            let state = StateFolder::open(&cli.state()?.join(&host))?;
            links.memory = Memory::open(&state.path);
            let trainer = absolute(&cli.trainer());
            let (devices, watching) = devices(cli, &state, &hardware).unzip();
            // It ends with the process.
            watching.map(tokio::spawn);
            // The counters of the host count for none of them alone.
            let walls = sandbox(cli, &state.path, &[], &trainer).await?;
            let measured = Measured { powercap: None, devices };
            let launcher = processes(cli, &state, &hardware, Vec::new(), trainer, &links, measured, walls)?;
            (state.agent, launcher, Some(state))
        };
        let mut settings = settings(cli, traces, agent, host, &hardware);
        settings.facts.any_dataset = true;
        let mut stopped = stopped.clone();
        agents.spawn(async move {
            let shutdown = async move {
                stopped.wait_for(|stop| *stop).await.ok();
            };
            session::run(settings, links, launcher, look, shutdown).await;
            drop((found, state));
        });
    }
    tracing::info!(agents = count, slots = hardware.slots.len(), "pretend agents started");
    shutdown.await;
    stop.send_replace(true);
    while agents.join_next().await.is_some() {}
    Ok(())
}

/// What the coordinator of one person on this machine asks for.
fn bearer(cli: &Cli) -> anyhow::Result<Bearer> {
    Ok(cli.token_file.as_deref().map(Bearer::file).transpose()?.unwrap_or_default())
}

/// What this host has, or what a file says that it has.
fn hardware(cli: &Cli) -> anyhow::Result<Hardware> {
    match &cli.devices {
        Some(file) => Ok(hardware::pretend(cli.wanted(), &fake::read(file)?)),
        None => Ok(hardware::look(cli.wanted())?),
    }
}

/// Looks at the devices, if there are any, and at the clock, if there are guest hours.
fn devices(
    cli: &Cli,
    state: &StateFolder,
    hardware: &Hardware,
) -> Option<(Devices, impl Future<Output = ()> + Send + use<>)> {
    let ids = hardware.devices.iter().map(|device| device.id.clone()).collect();
    let probe: Box<dyn Probe> = match &cli.devices {
        Some(file) => Box::new(FakeProbe::new(file.clone(), state.path.join("attempts"))),
        None if hardware.devices.is_empty() => Box::new(FakeProbe::nothing()),
        None => match NvmlProbe::open(ids) {
            Ok(probe) => Box::new(probe),
            Err(error) => {
                tracing::warn!(%error, "the GPUs cannot be looked at: processes of others on them are not seen");
                // Guest hours go by the clock.
                cli.guest_hours.as_ref()?;
                Box::new(FakeProbe::nothing())
            }
        },
    };
    let rules = Rules {
        hours: cli.guest_hours.clone(),
        free_after: Duration::from_secs(cli.free_after),
        release: Duration::from_secs(cli.release_timeout),
        attempts: state.path.join("attempts"),
    };
    let any = !hardware.devices.is_empty() || rules.hours.is_some();
    any.then(|| Devices::start(probe, rules))
}

fn settings(cli: &Cli, traces: &Traces, agent: AgentId, host: String, hardware: &Hardware) -> Settings {
    // The low half of a version 7 id is random but for its two highest bits.
    let [random, seed] = [(); 2].map(|()| Uuid::now_v7().as_u64_pair().1);
    Settings {
        facts: AgentFacts {
            agent,
            host,
            incarnation: random,
            slots: hardware.slots.iter().map(|slot| slot.label.clone()).collect(),
            datasets: Vec::new(),
            data_roots: Vec::new(),
            any_dataset: false,
            offer: Offer {
                labels: cli.label.iter().cloned().collect(),
                cores: hardware.cores,
                memory: hardware.memory,
                devices: hardware.devices.clone(),
                trainer: None,
            },
        },
        grace: Duration::from_secs(cli.grace),
        seed,
        traces: traces.clone(),
    }
}

/// What is read of the host while trainers run.
struct Measured {
    powercap: Option<PathBuf>,
    devices: Option<Devices>,
}

/// What trainers are kept from. They also read the agent's lock, by which they know that it lives.
async fn sandbox(cli: &Cli, state: &Path, roots: &[PathBuf], trainer: &Path) -> anyhow::Result<Option<Arc<Sandbox>>> {
    let cache = cli.cache()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make the cache folder {}", cache.display()))?;
    let read = roots.iter().cloned().chain([state.join(LOCK_FILE)]).collect();
    Ok(Sandbox::new(cli.sandbox, trainer, read, vec![absolute(&cache)]).await?.map(Arc::new))
}

#[expect(clippy::too_many_arguments, reason = "called twice, with what main has read")]
fn processes(
    cli: &Cli,
    state: &StateFolder,
    hardware: &Hardware,
    data_roots: Vec<PathBuf>,
    trainer: PathBuf,
    links: &Links,
    measured: Measured,
    sandbox: Option<Arc<Sandbox>>,
) -> anyhow::Result<Arc<dyn Launcher>> {
    let cache_dir = cli.cache()?;
    let config = ProcessConfig {
        trainer,
        slots: hardware.slots.clone(),
        threads: hardware.threads,
        data_roots,
        cache_dir: absolute(&cache_dir),
        agent_lock: state.path.join(LOCK_FILE),
        orphan_limit_s: cli.orphan_limit,
        stall_limit: (cli.stall_limit > 0).then(|| Duration::from_secs(cli.stall_limit)),
        rebooted: state.rebooted,
        sandbox,
        allow_torchscript: cli.allow_torchscript,
        powercap: measured.powercap,
        devices: measured.devices,
    };
    let folders = Folders::new(&state.path).with_context(|| format!("cannot use {}", state.path.display()))?;
    let blobs = BlobClient::new(links.bulk.clone());
    Ok(Arc::new(ProcessLauncher::new(config, folders, blobs)?))
}

/// Trainers are started from anywhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}
