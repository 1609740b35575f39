//! The binary: flags, log, signals, exit code. Everything else is in the library.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use sweep_coordinator::access::guard::Guard;
use sweep_coordinator::access::init;
use sweep_coordinator::access::keeper::Keeper;
use sweep_coordinator::archive::{ArchiveError, fsck, restore};
use sweep_coordinator::clock::Clock;
use sweep_coordinator::config::{Cleaning, Config, Listen, Snapshots, default_folder, loopback_only};
use sweep_coordinator::{Coordinator, doctor, folder};
use sweep_identity::address::UNIX;
use sweep_identity::authority::Authority;
use sweep_identity::{listen, socket};
use sweep_ops::doctor::Findings;
use sweep_ops::log::{self, LogFile};
use sweep_ops::metrics;
use sweep_ops::traces::Traces;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::TcpListenerStream;
use tracing_subscriber::EnvFilter;

/// Plans sweeps, hands trials to agents, and keeps the journal of everything that happened.
///
/// Example: sweep-coordinator --data /var/lib/sweep --listen 127.0.0.1:7070
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Serve {
    /// Folder for the journal and the checkpoints [default: $XDG_STATE_HOME/sweep/coordinator].
    #[arg(long, env = "SWEEPD_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on, without `init` loopback only, or unix:/PATH for this user alone. Port 0 picks one; it is
    /// written to DIR/address.
    #[arg(long, env = "SWEEPD_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: Listen,
    /// Serve numbers for Prometheus at http://ADDRESS/metrics; loopback only, for everybody on this host.
    #[arg(long, env = "SWEEPD_METRICS", value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Send spans of what happens with sweeps and trials (OpenTelemetry) to the collector at this base address, e.g.
    /// http://127.0.0.1:4318.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp: Option<String>,
    /// Log into this file instead of to standard error; it is put aside as PATH.1, PATH.2, ... when it is too long.
    #[arg(long, env = "SWEEPD_LOG_FILE", value_name = "PATH")]
    log_file: Option<PathBuf>,
    /// Megabytes of the log file before it is put aside.
    #[arg(long, env = "SWEEPD_LOG_SIZE", value_name = "MB", default_value_t = log::SIZE)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    log_size: u32,
    /// How many older log files are kept.
    #[arg(long, env = "SWEEPD_LOG_KEEP", value_name = "N", default_value_t = log::KEEP)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    log_keep: u32,
    /// Serve although DIR lies on a file system of the network (NFS, CIFS, FUSE, ...), where locks and syncs may not hold.
    #[arg(long, env = "SWEEPD_NETWORK_DISK")]
    network_disk: bool,
    /// Let in only who has the token in DIR/local-token, which is made if it is not there.
    #[arg(long)]
    local_token: bool,
    /// Clean checkpoints away that no trial refers to every so many milliseconds, when they are a hundred times as old (for tests).
    #[arg(long, hide = true, value_name = "MS")]
    clean_every: Option<u64>,
    /// Take a snapshot of the state after so many events, and look for it all the time (for tests).
    #[arg(long, hide = true, value_name = "EVENTS")]
    snapshot_every: Option<u64>,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make certificates and a first login, so that others can connect; prints the token of the admin.
    Init {
        /// The coordinator's data folder [default: $XDG_STATE_HOME/sweep/coordinator].
        #[arg(long, env = "SWEEPD_DATA", value_name = "DIR")]
        data: Option<PathBuf>,
        /// A name or address under which others will reach this host; may be repeated.
        #[arg(long, value_name = "NAME")]
        host: Vec<String>,
    },
    /// Put a backup in place of the journal, while no coordinator runs; the journal that was there stays beside it.
    ///
    /// Prints what was done. Checkpoints are only added, never removed.
    Restore {
        /// The coordinator's data folder [default: $XDG_STATE_HOME/sweep/coordinator].
        #[arg(long, env = "SWEEPD_DATA", value_name = "DIR")]
        data: Option<PathBuf>,
        /// The folder that `sweepctl admin backup` made, or a copy of sweep.db.
        backup: PathBuf,
    },
    /// Check everything that is stored, and say what is wrong with it; works beside a coordinator that runs, and on backups.
    ///
    /// Exit codes: 0 nothing is broken, 1 something is.
    Fsck {
        /// The coordinator's data folder, or a backup [default: $XDG_STATE_HOME/sweep/coordinator].
        #[arg(long, env = "SWEEPD_DATA", value_name = "DIR")]
        data: Option<PathBuf>,
        /// Look for checkpoints, but do not read them.
        #[arg(long)]
        quick: bool,
        /// Form of the output.
        #[arg(short, long, value_enum, default_value = "table", value_name = "FORM")]
        output: Output,
    },
    /// Look at this host before something fails, and say how to put right what is wrong; takes the flags of a start before it.
    ///
    /// Exit codes: 0 nothing is broken, 1 something is.
    Doctor {
        /// Form of the output.
        #[arg(short, long, value_enum, default_value = "table", value_name = "FORM")]
        output: Output,
    },
}

/// Whatever it ends of is said in one line, also where RUST_BACKTRACE is set.
#[tokio::main]
async fn main() -> ExitCode {
    use std::io::Write as _;
    match run(Flags::parse()).await {
        Ok(code) => code,
        Err(error) => {
            // Where nobody can be told, the exit code says it.
            drop(writeln!(std::io::stderr(), "Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_env("SWEEP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match &flags.serve.log_file {
        Some(path) => {
            let file = LogFile::open(path, flags.serve.log_size, flags.serve.log_keep)?;
            lines.with_ansi(false).with_writer(Mutex::new(file)).init();
        }
        None => {
            let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(ansi).with_writer(std::io::stderr).init();
        }
    }
    match flags.command {
        Some(Command::Init { data, host }) => make_lab(&folder_of(data)?, host).await?,
        Some(Command::Doctor { output }) => {
            let serve = &flags.serve;
            return tell(&doctor::look(&folder_of(serve.data.clone())?, &serve.listen, serve.metrics), output);
        }
        Some(Command::Restore { data, backup }) => put_back(&folder_of(data)?, &backup).await?,
        Some(Command::Fsck { data, quick, output }) => {
            return tell(&fsck::look(&folder_of(data)?, quick).await, output);
        }
        None => {
            let traces = match &flags.serve.otlp {
                Some(url) => Traces::open(url, "sweep-coordinator", env!("CARGO_PKG_VERSION"))?,
                None => Traces::default(),
            };
            let served = serve(&flags.serve, traces.clone()).await;
            traces.close();
            served?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn put_back(data: &Path, backup: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    let _lock = folder::lock(data)?;
    let done = restore::restore(data, backup).await.map_err(|error| match error {
        ArchiveError::Unfinished { .. } => anyhow::Error::new(error),
        _ => anyhow::Error::new(error).context("nothing was changed in the journal's place"),
    })?;
    let mut text = format!("{} events are in place in {}\n", done.events, data.display());
    if let Some(before) = &done.before {
        text += &format!("the journal before it is {}\n", before.display());
    }
    text += &format!("{} checkpoints were put back", done.blobs);
    text += &match done.missing.len() {
        0 => "\n".to_owned(),
        missing => format!(", {missing} are missing: trials that would go on from them begin again\n"),
    };
    text += "the coordinator will start in safe mode: nothing is decided before `sweepctl admin accept-rollback`\n";
    std::io::stdout().write_all(text.as_bytes()).context("telling what was done")
}

fn tell(found: &Findings, output: Output) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;
    let text = if output == Output::Json { found.json() + "\n" } else { found.text() };
    std::io::stdout().write_all(text.as_bytes()).context("telling what was found")?;
    Ok(if found.has_problem() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn folder_of(data: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let env = |name| std::env::var_os(name).map(PathBuf::from);
    let data = data.or_else(|| default_folder(env("XDG_STATE_HOME").as_deref(), env("HOME").as_deref()));
    data.context("no --data given and no home folder to choose one in")
}

async fn make_lab(data: &Path, mut names: Vec<String>) -> anyhow::Result<()> {
    use std::io::Write as _;
    let _lock = folder::lock(data)?;
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let made = init::lab(data, &names, Clock::system()).await?;
    if !made.added.is_empty() {
        let (added, names) = (made.added.join(", "), made.names.join(", "));
        let text = format!("new names {added}: from its next start on the coordinator's certificate is for {names}");
        writeln!(std::io::stderr(), "{text}").context("telling the names")?;
    }
    // The one thing it says on standard output, once.
    writeln!(std::io::stdout(), "{}", made.token.expose()).context("telling the token")
}

async fn serve(flags: &Serve, traces: Traces) -> anyhow::Result<()> {
    let data = folder_of(flags.data.clone())?;
    let is_lab = init::is_lab(&data);
    let listen = match &flags.listen {
        Listen::Network(address) if is_lab => Ok(*address),
        Listen::Network(address) => Ok(loopback_only(*address)?),
        Listen::Socket(_) if is_lab => bail!("a lab listens on an address of the network: agents join over TLS"),
        Listen::Socket(path) => Err(path),
    };
    let _lock = folder::lock(&data)?;
    if !flags.network_disk {
        folder::on_this_host(&data)?;
    }
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut config = Config::folder(&data);
    if let Some(every) = flags.clean_every {
        let every = Duration::from_millis(every);
        config.cleaning = Cleaning { every, grace: every * 100 };
    }
    config.traces = traces;
    if let Some(every) = flags.snapshot_every {
        config.snapshots = Snapshots { every, look: Duration::from_millis(50), pause: Duration::ZERO };
    }
    let clock = config.clock;
    let numbers = match flags.metrics {
        Some(address) => Some(metrics::listen(address).await?),
        None => None,
    };
    let coordinator = Coordinator::start(config).await?;
    if let Some(listener) = numbers {
        tracing::info!(address = %listener.local_addr()?, "metrics for Prometheus");
        let (numbers, handle) = (coordinator.metrics.clone(), coordinator.handle.clone());
        tokio::spawn(metrics::serve(listener, move || {
            let (numbers, handle) = (numbers.clone(), handle.clone());
            async move { numbers.text(&handle).await }
        }));
    }
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let listen = match listen {
        Ok(address) => address,
        Err(path) => {
            let guard = if flags.local_token { Guard::local(&init::local(&data)?, clock) } else { Guard::open(clock) };
            let listener = socket::listen(path)?;
            announce(&data, format!("{UNIX}{}", path.display()))?;
            tracing::info!(socket = %path.display(), data = %data.display(), "ready for this user, and nobody else");
            coordinator.guarded(guard).serve(socket::connections(listener), shutdown).await?;
            tracing::info!("stopped");
            return Ok(());
        }
    };
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    let bound = listener.local_addr().context("asking for the bound address")?;
    if is_lab {
        let authority = Arc::new(Authority::open(&init::authority_folder(&data))?);
        let tls = authority.server()?;
        let keeper = Keeper::start(&data, clock).await?;
        // For whoever is on this host; others know its name.
        let here = if bound.ip().is_unspecified() { format!("localhost:{}", bound.port()) } else { bound.to_string() };
        announce(&data, format!("https://{here}"))?;
        tracing::info!(
            address = %bound, data = %data.display(), fingerprint = %authority.fingerprint(),
            names = authority.names().join(" "), "ready, with TLS and logins"
        );
        let guard = Guard::lab(keeper, authority, clock);
        coordinator.guarded(guard).serve(listen::encrypted(listener, tls), shutdown).await?;
    } else {
        let guard = if flags.local_token { Guard::local(&init::local(&data)?, clock) } else { Guard::open(clock) };
        announce(&data, bound)?;
        let who = if flags.local_token { "whoever has its token" } else { "everybody on this host" };
        tracing::info!(address = %bound, data = %data.display(), "ready for {who}, and nobody from elsewhere");
        coordinator.guarded(guard).serve(nodelay(TcpListenerStream::new(listener)), shutdown).await?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Writes down where others find this coordinator. On a full disk it does so when there is room: whoever knows the address
/// already, such as agents, comes back meanwhile.
fn announce(data: &Path, address: impl Display) -> anyhow::Result<()> {
    let (data, address) = (data.to_owned(), address.to_string());
    match folder::publish_address(&data, &address) {
        Err(error) if error.is_full() => {
            tracing::warn!(%error, "the address is written when there is room");
            tokio::spawn(async move {
                while folder::publish_address(&data, &address).is_err() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            Ok(())
        }
        written => Ok(written?),
    }
}

/// Small answers must not wait for more to send.
fn nodelay(incoming: TcpListenerStream) -> impl futures_util::Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    futures_util::StreamExt::map(incoming, |stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}
