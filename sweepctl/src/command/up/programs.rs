//! What `up` starts: the command lines of the coordinator and the agent, and the folder they share.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use sweep_identity::private;

use super::folder;
use super::process::Recipe;
use crate::cli;
use crate::client::Client;
use crate::command::program;
use crate::config::{Config, DEFAULT_LISTEN, address_in, state_dir, url};
use crate::fault::Fault;
use crate::login::{LoginFault, Way};

/// The coordinator's program.
pub(super) const COORDINATOR: &str = "sweep-coordinator";
/// The agent's program.
pub(super) const AGENT: &str = "sweep-agent";

/// How long trainings go on without an agent, seconds: longer than a restart takes, and short enough
/// that they do not stay for long after Ctrl-C.
pub(super) const ORPHAN_SECONDS: u64 = 60;

/// Where everything is, and what the programs are told.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder of everything.
    pub(super) state: PathBuf,
    /// Whether other commands find it without being told.
    pub(super) is_default: bool,
    /// Where the coordinator was found to listen.
    pub(super) server: Option<String>,
    data: Vec<PathBuf>,
    slots: Option<u32>,
    listen: Option<SocketAddr>,
}

impl Place {
    /// Flags, else the configuration file, else defaults; makes the folders.
    pub(super) fn new(config: &Config, args: &cli::Up) -> Result<Self, Fault> {
        let usual = state_dir().ok();
        let wanted = args.state.clone().or_else(|| config.up.state.clone()).or_else(|| usual.clone());
        let wanted = wanted.ok_or(Fault::NoHome)?;
        for path in [wanted.join("coordinator"), wanted.join("agent"), wanted.join("log"), wanted.join("run")] {
            private::folder(&path).map_err(LoginFault::from)?;
        }
        if wanted.join("coordinator/ca/ca.pem").exists() {
            return Err(Fault::IsLab { path: wanted });
        }
        let data = if args.data.is_empty() { &config.up.data } else { &args.data };
        let state = folder(&wanted)?;
        Ok(Self {
            is_default: config
                .up
                .state
                .as_ref()
                .or(usual.as_ref())
                .is_some_and(|usual| folder(usual).ok().as_ref() == Some(&state)),
            state,
            server: None,
            data: data.iter().map(|path| folder(path)).collect::<Result<_, _>>()?,
            slots: args.slots.or(config.up.slots),
            listen: args.listen.or(config.up.listen),
        })
    }

    /// Whether a coordinator that nobody here started serves this very state.
    pub(super) async fn answers(&self) -> bool {
        let Some(address) = address_in(&self.state) else { return false };
        let Ok(way) = self.way(&address) else { return false };
        let Ok(client) = Client::connect(&way).await else { return false };
        let own = self.state.join("coordinator");
        client.info().await.is_ok_and(|info| folder(info.data_dir.as_ref()).is_ok_and(|dir| dir == own))
    }

    /// How to reach a coordinator of this state.
    pub(super) fn way(&self, address: &str) -> Result<Way, Fault> {
        Ok(Way::to(&url(address), Some(&self.state))?)
    }

    /// Whether it was said where data sets are.
    pub(super) fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    /// How the coordinator is started.
    pub(super) fn coordinator(&self) -> Result<Recipe, Fault> {
        let listen = match (&self.server, self.listen) {
            (Some(server), _) => server.trim_start_matches("http://").to_owned(),
            (None, Some(listen)) => listen.to_string(),
            (None, None) => DEFAULT_LISTEN.to_owned(),
        };
        let state = self.state.join("coordinator").into_os_string();
        self.recipe(
            COORDINATOR,
            "coordinator",
            vec!["--data".into(), state, "--listen".into(), listen.into(), "--local-token".into()],
        )
    }

    /// How the agent is started, once it is known where the coordinator is.
    pub(super) fn agent(&self) -> Result<Recipe, Fault> {
        let server = self.server.clone().unwrap_or_else(|| url(DEFAULT_LISTEN));
        let state = self.state.join("agent").into_os_string();
        let mut arguments: Vec<OsString> = vec!["--state".into(), state, "--coordinator".into(), server.into()];
        arguments.extend(["--orphan-limit".into(), ORPHAN_SECONDS.to_string().into()]);
        let token = self.state.join("coordinator").join("local-token");
        // A coordinator of an earlier release that was taken over has none.
        if token.is_file() {
            arguments.extend(["--token-file".into(), token.into_os_string()]);
        }
        for data in &self.data {
            arguments.extend(["--data".into(), data.clone().into_os_string()]);
        }
        if let Some(slots) = self.slots {
            arguments.extend(["--slots".into(), slots.to_string().into()]);
        }
        self.recipe(AGENT, "agent", arguments)
    }

    fn recipe(&self, name: &'static str, short: &str, arguments: Vec<OsString>) -> Result<Recipe, Fault> {
        Ok(Recipe {
            name,
            path: program(name)?,
            arguments,
            log: self.state.join("log").join(format!("{short}.log")),
            pid_file: self.state.join("run").join(format!("{short}.pid")),
        })
    }
}
