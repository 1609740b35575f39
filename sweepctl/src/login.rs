//! Who this user is to which coordinator: `sweep/credentials.toml` below the configuration folder, mode
//! 0600, refused when others can read it. A coordinator that `up` started has its token beside its
//! address. Tokens never come from the command line, where everybody on the host could read them.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use sweep_identity::address::{Address, AddressError};
use sweep_identity::certificate::{CertificateError, from_pem};
use sweep_identity::dial::{Bearer, DialError, Tls};
use sweep_identity::private::{self, PrivateError};
use sweep_identity::token::{Handed, Token, TokenError};
use sweep_identity::trouble::Held;

use crate::config::{address_in, url, variable};

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginFault {
    /// Address, certificate, TLS.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// A file that others can read, or that is not there.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// What was given as a token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The file of logins.
    #[error("{} is damaged; remove it and log in again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// Nothing came.
    #[error("no token was given: paste it when asked, pipe it in, or name a file with --token-file")]
    NoToken,
    /// Nobody said which coordinator is the right one.
    #[error(
        "the token does not say which coordinator it is for: give the fingerprint of its CA with --fingerprint \
         (the coordinator's log and `sweepctl admin init` show it)"
    )]
    NoPin,
    /// Another kind of token.
    #[error("this is a token for an agent: `sweep-agent --join-file FILE` takes it")]
    ForAgents,
    /// Not good, or not here.
    #[error(
        "the coordinator at {address} does not take this token: it has ended, was revoked, or is not whole; an admin makes another with \
         `sweepctl admin token create NAME`"
    )]
    NotTaken {
        /// Where.
        address: String,
    },
    /// No such login.
    #[error("not logged in at {server}")]
    NotLoggedIn {
        /// Where.
        server: String,
    },
    /// Reading the token failed.
    #[error("cannot read the token")]
    Input(#[source] io::Error),
    /// There is nowhere to keep it.
    #[error("there is no home folder to keep the login in; name a file with SWEEP_CREDENTIALS")]
    NoHome,
}

impl From<AddressError> for LoginFault {
    fn from(error: AddressError) -> Self {
        Self::Dial(error.into())
    }
}

impl From<CertificateError> for LoginFault {
    fn from(error: CertificateError) -> Self {
        Self::Dial(error.into())
    }
}

/// How to reach a coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Where it is, as people write it.
    pub(crate) server: String,
    /// Whom to believe.
    pub(crate) tls: Option<Tls>,
    /// What to show.
    pub(crate) bearer: Bearer,
    /// What says that it is the right one.
    pub(crate) held: Held,
}

impl Way {
    /// With what is known of this address: a login, or the token of an `up` whose state is here.
    pub(crate) fn to(server: &str, state: Option<&Path>) -> Result<Self, LoginFault> {
        let address: Address = server.parse()?;
        let here = state.map(|state| local(server, state)).transpose()?.unwrap_or_default();
        if !here.is_none() {
            return Ok(Self { server: server.to_owned(), tls: None, bearer: here, held: Held::Login });
        }
        let login = Logins::read()?.servers.remove(&address.to_string());
        if let Some(file) = variable("SWEEP_TOKEN_FILE") {
            let tls = login.map(|login| login.tls()).transpose()?;
            let (server, bearer) = (server.to_owned(), Bearer::file(Path::new(&file))?);
            return Ok(Self { server, tls, bearer, held: Held::Login });
        }
        match login {
            Some(login) => login.way(server),
            None => Ok(Self { server: server.to_owned(), tls: None, bearer: here, held: Held::Login }),
        }
    }
}

/// The token of the coordinator that was last started on a state folder, if this is its address.
fn local(server: &str, state: &Path) -> Result<Bearer, LoginFault> {
    if !server.starts_with("http://") || address_in(state).is_none_or(|address| url(&address) != server) {
        return Ok(Bearer::default());
    }
    let file = state.join("coordinator").join("local-token");
    if file.exists() { Ok(Bearer::file(&file)?) } else { Ok(Bearer::default()) }
}

/// All logins of this user.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Logins {
    /// Where to go if nothing else is said: the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By address.
    pub(crate) servers: BTreeMap<String, Login>,
}

/// One of them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Who.
    pub(crate) user: String,
    /// The token.
    pub(crate) token: String,
    /// The coordinator's CA, PEM.
    pub(crate) authority: String,
    /// When the token ends, microseconds since 1970; not known of a login by an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<i64>,
    /// When it was kept, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<i64>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

impl Login {
    /// How to reach the coordinator as who this is.
    pub(crate) fn way(&self, server: &str) -> Result<Way, LoginFault> {
        let token: Token = self.token.parse()?;
        let (server, tls, bearer) = (server.to_owned(), Some(self.tls()?), Bearer::token(&token));
        Ok(Way { server, tls, bearer, held: Held::Login })
    }

    /// The public half of its token.
    pub(crate) fn token_id(&self) -> Option<String> {
        self.token.parse::<Token>().ok().map(|token| token.id().to_owned())
    }

    fn tls(&self) -> Result<Tls, LoginFault> {
        Ok(Tls::authority(&from_pem(&self.authority)?, None)?)
    }
}

impl Logins {
    /// Reads them; none without a file.
    pub(crate) fn read() -> Result<Self, LoginFault> {
        let Ok(path) = path() else { return Ok(Self::default()) };
        match private::read(&path) {
            Ok(text) => toml::from_str(&text).map_err(|source| LoginFault::Damaged { path, source: Box::new(source) }),
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes them.
    pub(crate) fn write(&self) -> Result<(), LoginFault> {
        let path = path()?;
        if let Some(folder) = path.parent() {
            private::folder(folder)?;
        }
        let text = toml::to_string(self).expect("logins are tables of texts");
        Ok(private::write(&path, text.as_bytes())?)
    }
}

fn path() -> Result<PathBuf, LoginFault> {
    if let Some(named) = variable("SWEEP_CREDENTIALS") {
        return Ok(named.into());
    }
    let base = etcetera::base_strategy::Xdg::new().map_err(|_| LoginFault::NoHome)?;
    Ok(base.config_dir().join("sweep").join("credentials.toml"))
}

/// A token, from a file, from a pipe, or typed without being shown.
pub(crate) fn ask_token(file: Option<&Path>) -> Result<Handed, LoginFault> {
    /// More than a token has, bytes.
    const LONGEST: u64 = 4096;
    let text = match file {
        Some(path) => private::read(path)?,
        None if io::stdin().is_terminal() => unseen()?,
        None => {
            let mut text = String::new();
            io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(LoginFault::Input)?;
            text
        }
    };
    if text.trim().is_empty() {
        return Err(LoginFault::NoToken);
    }
    Ok(text.parse()?)
}

/// Reads a line from the terminal without showing it.
fn unseen() -> Result<String, LoginFault> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let failed = |error: rustix::io::Errno| LoginFault::Input(error.into());
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(failed)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(failed)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before).map_err(failed)?;
    read.map_err(LoginFault::Input)?;
    Ok(line)
}

/// `lab` is `https://lab:7443`; what is a whole address stays one.
pub(crate) fn host_address(host: &str) -> Result<Address, LoginFault> {
    let whole = if host.contains("://") { host.to_owned() } else { format!("https://{host}") };
    Ok(whole.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_enough() {
        let read = |host: &str| host_address(host).map(|address| address.to_string());
        assert_eq!(read("lab").unwrap(), "https://lab:7443");
        assert_eq!(read("10.0.0.1:99").unwrap(), "https://10.0.0.1:99");
        assert!(read("http://lab").is_err(), "no plain text to another host");
    }

    #[test]
    fn logins_are_written_and_read() {
        let mut logins = Logins { current: Some("https://lab:7443".to_owned()), ..Logins::default() };
        let (user, token) = ("ada".to_owned(), "t".to_owned());
        logins.servers.insert(
            "https://lab:7443".to_owned(),
            Login { user, token, authority: "a\nb\n".to_owned(), expires: None, since: None },
        );
        let text = toml::to_string(&logins).unwrap();
        let read: Logins = toml::from_str(&text).unwrap();
        assert_eq!(read.servers["https://lab:7443"].authority, "a\nb\n");
        assert!(!format!("{read:?}").contains("authority"));
    }
}
