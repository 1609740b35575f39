//! Where settings come from: a flag, else the environment, else the configuration file, else a default.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Deserialize;
use sweep_identity::address::UNIX;

use crate::cli::{Color, Format, Global};
use crate::fault::Fault;
use crate::login::{Logins, Way};

/// Where a coordinator listens when nothing else is said.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:7070";

/// `sweep/config.toml`. Every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// Address of the coordinator.
    pub(crate) server: Option<String>,
    /// Form of the output.
    pub(crate) output: Option<Format>,
    /// When to use colour.
    pub(crate) color: Option<Color>,
    /// What `up` starts.
    pub(crate) up: UpConfig,
}

/// Defaults for the flags of `up`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpConfig {
    /// Folders with data sets.
    pub(crate) data: Vec<PathBuf>,
    /// Where everything is kept.
    pub(crate) state: Option<PathBuf>,
    /// Trials at once.
    pub(crate) slots: Option<u32>,
    /// Address to listen on.
    pub(crate) listen: Option<std::net::SocketAddr>,
}

/// The settings of this call.
#[derive(Debug)]
pub(crate) struct Config {
    /// From `--server` or `SWEEP_SERVER` or the file; not yet looked up.
    server: Option<String>,
    /// Form of the output, where the command line does not say.
    pub(crate) format: Format,
    /// When to use colour.
    pub(crate) color: Color,
    /// Defaults for the flags of `up`.
    pub(crate) up: UpConfig,
}

impl Config {
    /// Reads the environment and the configuration file.
    pub(crate) fn read(global: &Global) -> Result<Self, Fault> {
        let file = read_file()?;
        let server = global.server.clone().or_else(|| variable("SWEEP_SERVER")).or(file.server);
        let format = match variable("SWEEP_OUTPUT").as_deref() {
            None => file.output.unwrap_or(Format::Table),
            Some("table") => Format::Table,
            Some("json") => Format::Json,
            Some("csv") => Format::Csv,
            Some(other) => {
                let value = other.to_owned();
                return Err(Fault::Variable { variable: "SWEEP_OUTPUT", value, expected: "table, json, csv" });
            }
        };
        let color = global.color.or(file.color).unwrap_or(Color::Auto);
        Ok(Self { server, format, color, up: file.up })
    }

    /// The coordinator to talk to, as a URL.
    pub(crate) fn server(&self) -> String {
        url(&self.known_server().unwrap_or_else(|| DEFAULT_LISTEN.to_owned()))
    }

    /// The same, if anybody ever said which: a flag, a setting, a login or `up`.
    pub(crate) fn known_server(&self) -> Option<String> {
        let login = || Logins::read().ok().and_then(|logins| logins.current);
        self.server.clone().or_else(login).or_else(|| address_in(&self.state()?))
    }

    /// How to reach it.
    pub(crate) fn way(&self) -> Result<Way, Fault> {
        Ok(Way::to(&self.server(), self.state().as_deref())?)
    }

    /// Where `up` keeps everything.
    pub(crate) fn state(&self) -> Option<PathBuf> {
        self.up.state.clone().or_else(|| state_dir().ok())
    }
}

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFault {
    /// It cannot be read.
    #[error(transparent)]
    Read(std::io::Error),
    /// It is not what it should be.
    #[error(transparent)]
    Parse(toml::de::Error),
}

/// The address of the coordinator that was last started on a state folder.
pub(crate) fn address_in(state: &Path) -> Option<String> {
    let text = std::fs::read_to_string(state.join("coordinator").join("address")).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// An address as a URL; `host:port` is enough.
pub(crate) fn url(address: &str) -> String {
    if address.contains("://") || address.starts_with(UNIX) { address.to_owned() } else { format!("http://{address}") }
}

/// Where `up` keeps everything: `sweep/` in the user's state folder.
pub(crate) fn state_dir() -> Result<PathBuf, Fault> {
    let base = etcetera::base_strategy::Xdg::new().map_err(|_| Fault::NoHome)?;
    Ok(base.state_dir().ok_or(Fault::NoHome)?.join("sweep"))
}

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_file() -> Result<ConfigFile, Fault> {
    let named = variable("SWEEP_CONFIG").map(PathBuf::from);
    let must_exist = named.is_some();
    let usual = || Some(etcetera::base_strategy::Xdg::new().ok()?.config_dir().join("sweep").join("config.toml"));
    let Some(path) = named.or_else(usual) else { return Ok(ConfigFile::default()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(ConfigFile::default());
        }
        Err(error) => return Err(Fault::Config { path, source: ConfigFault::Read(error) }),
    };
    toml::from_str(&text).map_err(|error| Fault::Config { path, source: ConfigFault::Parse(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_refuses_keys_it_does_not_know() {
        let good = "server = 'http://lab:7070'\noutput = 'json'\n[up]\ndata = ['/data']\nslots = 2\n";
        let file: ConfigFile = toml::from_str(good).unwrap();
        assert_eq!((file.output, file.up.slots), (Some(Format::Json), Some(2)));
        assert!(toml::from_str::<ConfigFile>("sever = 'x'").is_err());
    }

    #[test]
    fn host_and_port_are_enough() {
        assert_eq!(url("lab:7070"), "http://lab:7070");
        assert_eq!(url("https://lab"), "https://lab");
        assert_eq!(url("unix:/run/sweep/socket"), "unix:/run/sweep/socket");
    }
}
