//! What a coordinator needs to know, and where it keeps things. Flags are read in `main`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sweep_identity::address::{Address, UNIX};
use sweep_ops::traces::Traces;

use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::janitor::GRACE;
use crate::journal::memory::MemoryStore;

/// Where things are kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// In a folder.
    Folder(PathBuf),
    /// In memory that outlives the coordinator, for simulations. Nothing leaves the async runtime then.
    Memory(MemoryStore, Blobs),
}

/// A coordinator's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where things are kept.
    pub store: Store,
    /// Where time comes from.
    pub clock: Clock,
    /// When checkpoints that no trial refers to are cleaned away.
    pub cleaning: Cleaning,
    /// Who collects traces, if anybody does.
    pub traces: Traces,
    /// When snapshots of the state are taken.
    pub snapshots: Snapshots,
}

/// When snapshots of the state are taken, so that a start need not read the whole journal.
#[derive(Clone, Copy, Debug)]
pub struct Snapshots {
    /// After so many events.
    pub every: u64,
    /// How often it is looked whether there are as many.
    pub look: Duration,
    /// Between two pieces of the journal that the start has not read.
    pub pause: Duration,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { every: 300_000, look: Duration::from_secs(5), pause: Duration::from_millis(20) }
    }
}

/// When checkpoints that no trial refers to are cleaned away.
#[derive(Clone, Copy, Debug)]
pub struct Cleaning {
    /// Between two rounds.
    pub every: Duration,
    /// A checkpoint is kept so long after it was stored: its trial may be about to say so. Less where the disk gets full of such.
    pub grace: Duration,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), grace: GRACE }
    }
}

impl Config {
    /// In a folder, by the system's clock.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self::new(Store::Folder(folder.into()), Clock::system())
    }

    /// With everything else as usual.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, cleaning: Cleaning::default(), traces: Traces::default(), snapshots: Snapshots::default() }
    }

    /// Shown to people.
    pub fn place(&self) -> String {
        match &self.store {
            Store::Folder(folder) => folder.display().to_string(),
            Store::Memory(..) => "memory".to_owned(),
        }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On an address of the network.
    Network(SocketAddr),
    /// On a socket of the file system.
    Socket(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is neither an address such as 127.0.0.1:7070 nor a socket such as unix:/run/sweep/socket")
        };
        if text.starts_with(UNIX) {
            let address: Address = text.parse().map_err(|_| wrong())?;
            return address.socket.map(Self::Socket).ok_or_else(wrong);
        }
        text.parse().map(Self::Network).map_err(|_| wrong())
    }
}

/// An address that others could reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen on {0}: without logins and encryption anybody who can reach it could run anything. \
     `sweepctl admin init` makes certificates and a first login, and then it listens there with TLS; for this host \
     alone use a loopback address such as 127.0.0.1:7070"
)]
pub struct NotLoopback(pub SocketAddr);

/// Where there are no logins, only this host may connect.
///
/// # Errors
/// For any other address.
pub fn loopback_only(address: SocketAddr) -> Result<SocketAddr, NotLoopback> {
    if address.ip().is_loopback() { Ok(address) } else { Err(NotLoopback(address)) }
}

/// Where a coordinator keeps its data if nothing is said: `$XDG_STATE_HOME/sweep/coordinator`, or the
/// same under `~/.local/state`. `None` without a home.
pub fn default_folder(state_home: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let state = state_home.filter(|path| path.is_absolute()).map(Path::to_owned);
    let state = state.or_else(|| home.map(|home| home.join(".local/state")))?;
    Some(state.join("sweep/coordinator"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host() {
        assert!(loopback_only("127.0.0.1:7070".parse().unwrap()).is_ok());
        assert!(loopback_only("[::1]:0".parse().unwrap()).is_ok());
        assert!(loopback_only("0.0.0.0:7070".parse().unwrap()).unwrap_err().to_string().contains("loopback"));
    }

    #[test]
    fn an_address_or_a_socket() {
        assert_eq!("127.0.0.1:7070".parse(), Ok(Listen::Network("127.0.0.1:7070".parse().unwrap())));
        assert_eq!("unix:/run/x".parse(), Ok(Listen::Socket("/run/x".into())));
        for wrong in ["unix:run/x", "/run/x", "localhost", "127.0.0.1"] {
            assert!(wrong.parse::<Listen>().unwrap_err().contains(wrong));
        }
    }

    #[test]
    fn the_data_folder_follows_xdg() {
        let check = |xdg: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            assert_eq!(default_folder(xdg.map(Path::new), home.map(Path::new)), expected.map(PathBuf::from));
        };
        check(Some("/s"), Some("/h"), Some("/s/sweep/coordinator"));
        check(Some("relative"), Some("/h"), Some("/h/.local/state/sweep/coordinator"));
        check(None, None, None);
    }
}
