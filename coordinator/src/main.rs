//! The binary: flags, log, signals, exit code. Everything else is in the library.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use sweep_coordinator::config::{Config, default_folder, loopback_only};
use sweep_coordinator::{Coordinator, folder};
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
    /// Folder for the journal and the checkpoints [default: $XDG_STATE_HOME/sweep/coordinator].
    #[arg(long, env = "SWEEPD_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on; loopback only. Port 0 picks one; it is written to DIR/address.
    #[arg(long, env = "SWEEPD_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_env("SWEEP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
    let listen = loopback_only(flags.listen)?;
    let env = |name| std::env::var_os(name).map(PathBuf::from);
    let data = flags.data.or_else(|| default_folder(env("XDG_STATE_HOME").as_deref(), env("HOME").as_deref()));
    let data = data.context("no --data given and no home folder to choose one in")?;
    let _lock = folder::lock(&data)?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    let bound = listener.local_addr().context("asking for the bound address")?;
    let coordinator = Coordinator::start(Config::folder(&data)).await?;
    folder::publish_address(&data, bound)?;
    tracing::info!(address = %bound, data = %data.display(), "ready (this host only: there are no logins yet)");
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    coordinator.serve(nodelay(TcpListenerStream::new(listener)), shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Small answers must not wait for more to send.
fn nodelay(incoming: TcpListenerStream) -> impl futures_util::Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    futures_util::StreamExt::map(incoming, |stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}
