//! Where a coordinator is, as people write it. Plain text goes to this host only, to a loopback address or a socket of the
//! file system (`unix:/path`): an address that would send it further is refused when it is read.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a coordinator with TLS listens if nothing is said.
pub const TLS_PORT: u16 = 7443;
/// Where one without TLS does.
pub const PLAIN_PORT: u16 = 7070;

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an address.
    #[error(
        "`{address}` is not the address of a coordinator, like https://lab:7443, http://127.0.0.1:7070 or unix:/run/sweep/socket"
    )]
    NotOne {
        /// What was given.
        address: String,
    },
    /// Would send plain text over a network.
    #[error("`{address}` is not this host, and plain text goes to loopback addresses only: use https://")]
    NotLoopback {
        /// What was given.
        address: String,
    },
}

/// Where a coordinator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The socket of the file system in place of host and port.
    pub socket: Option<PathBuf>,
}

/// What an address of a socket of the file system begins with.
pub const UNIX: &str = "unix:";

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::NotOne { address: text.to_owned() };
        if let Some(path) = text.strip_prefix(UNIX) {
            // `unix:/run/x` and `unix:///run/x` are the same.
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            let socket = Some(path).filter(|path| path.is_absolute() && path.file_name().is_some());
            let socket = Some(socket.ok_or_else(wrong)?);
            return Ok(Self { encrypted: false, host: "localhost".to_owned(), port: PLAIN_PORT, socket });
        }
        let uri: tonic::transport::Uri = text.parse().map_err(|_| wrong())?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if uri.path().len() > 1 || uri.query().is_some() {
            return Err(wrong());
        }
        let port = uri.port_u16().unwrap_or(if encrypted { TLS_PORT } else { PLAIN_PORT });
        let address = Self { encrypted, host, port, socket: None };
        if !encrypted && !address.is_loopback() {
            return Err(AddressError::NotLoopback { address: text.to_owned() });
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            return write!(f, "{UNIX}{}", socket.display());
        }
        let scheme = if self.encrypted { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl Address {
    /// Host and port as one writes them, or the socket.
    pub fn place(&self) -> String {
        match &self.socket {
            Some(socket) => socket.display().to_string(),
            None if self.host.contains(':') => format!("[{}]:{}", self.host, self.port),
            None => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether only this host can mean it.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_plain_text_stays_here() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(read("https://lab").unwrap(), "https://lab:7443");
        assert_eq!(read("https://[fd00::1]:99/").unwrap(), "https://[fd00::1]:99");
        for here in ["http://127.0.0.1:7070", "http://[::1]:7070", "http://localhost:7070"] {
            assert_eq!(read(here).unwrap(), here);
        }
        for there in ["http://10.0.0.1:7070", "http://example.org:7070"] {
            assert!(matches!(there.parse::<Address>(), Err(AddressError::NotLoopback { .. })), "{there}");
        }
        assert_eq!(read("unix:/run/sweep/socket").unwrap(), "unix:/run/sweep/socket");
        assert_eq!(read("unix:///run/sweep/socket").unwrap(), "unix:/run/sweep/socket");
        for wrong in [
            "unix:",
            "unix:/",
            "unix:run/socket",
            "lab:7443",
            "ftp://lab",
            "nonsense url",
            "https://",
            "https://lab/path",
        ] {
            assert!(matches!(wrong.parse::<Address>(), Err(AddressError::NotOne { .. })), "{wrong}");
        }
    }
}
