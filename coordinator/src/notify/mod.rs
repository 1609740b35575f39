//! News to people by webhooks. What there is to tell is written into the journal's file in the same commit as the events it follows from
//! ([`outbox`]), and taken from there until somebody has it ([`sender`]): at least once, over restarts and failing receivers.
//! Who is told is in `notify.toml` of the data folder.

pub mod board;
pub mod outbox;
pub mod sender;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sweep_core::notice::{Kind, Notice};
use sweep_core::time::Timestamp;
use sweep_identity::private::{self, PrivateError};

/// The file. A webhook's address is a secret: whoever knows it can write there.
pub const FILE: &str = "notify.toml";
/// Most receivers.
const MOST: usize = 16;

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// It is not what it should be.
    #[error("{}: {source}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value in it cannot be used.
    #[error("{}: receiver {number}: {what}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which `[[notify]]`, from 1.
        number: usize,
        /// What is wrong and what would be right.
        what: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    notify: Vec<Receiver>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receiver {
    url: String,
    on: Option<Vec<String>>,
}

/// A receiver.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// Where to.
    pub url: String,
    /// What it is told.
    pub on: Vec<Kind>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hook({}, {:?})", self.label(), self.on)
    }
}

impl Hook {
    /// A name that does not give the address away.
    pub fn label(&self) -> String {
        let digest = Sha256::digest(self.url.as_bytes());
        digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where it is, roughly. Some services keep the secret in the first part of the host's name: of a name only the last two parts are shown.
    pub fn place(&self) -> String {
        let Ok(url) = self.url.parse::<tonic::transport::Uri>() else { return String::new() };
        let host = url.host().unwrap_or_default();
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return host.to_owned();
        }
        let last: Vec<&str> = host.rsplitn(3, '.').take(2).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(".")
    }
}

/// The receivers that a data folder names; none without the file.
///
/// # Errors
/// When the file cannot be used. Nobody is told of anything then, so the coordinator does not start.
pub fn read(data: &Path) -> Result<Vec<Hook>, NotifyError> {
    let path = data.join(FILE);
    let text = match private::read(&path) {
        Ok(text) => text,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    parse(&path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Hook>, NotifyError> {
    let document: Document = toml::from_str(text)
        .map_err(|source| NotifyError::Parse { path: path.to_owned(), source: Box::new(source) })?;
    let wrong = |number: usize, what: String| NotifyError::Value { path: path.to_owned(), number, what };
    if document.notify.len() > MOST {
        return Err(wrong(MOST + 1, format!("at most {MOST} receivers")));
    }
    let mut hooks = Vec::new();
    for (number, receiver) in (1..).zip(document.notify) {
        if !sweep_ops::traces::is_private(&receiver.url) {
            let what = "url must begin with https://, or with http:// and an address of this host".to_owned();
            return Err(wrong(number, what));
        }
        let on = match receiver.on {
            None => Kind::ALL.to_vec(),
            Some(words) => {
                words.iter().map(|word| kind(word).map_err(|what| wrong(number, what))).collect::<Result<_, _>>()?
            }
        };
        hooks.push(Hook { url: receiver.url, on });
    }
    Ok(hooks)
}

fn kind(word: &str) -> Result<Kind, String> {
    let known = Kind::ALL.map(Kind::word).join(", ");
    Kind::ALL
        .into_iter()
        .find(|kind| kind.word() == word)
        .ok_or_else(|| format!("on = {word:?} is not one of: {known}"))
}

/// What a receiver gets: `text` is all that Slack and its like look at, the rest is for programs.
pub fn body(notice: &Notice, now: Timestamp) -> String {
    let payload = json!({
        "sweep": notice.sweep.map(|sweep| sweep.to_string()), "name": notice.name, "user": notice.user, "project": notice.project,
        "at": now.0 / 1_000_000,
    });
    let kind = notice.kind.word().replace('-', "_");
    json!({"text": notice.text, "metadata": {"event_type": kind, "event_payload": payload}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_read_and_what_is_wrong_is_said() {
        let read = |text: &str| parse(Path::new("notify.toml"), text);
        let good = "[[notify]]\nurl = 'https://hooks.example.org/x'\non = ['failure']\n[[notify]]\nurl = 'http://127.0.0.1:9'\n";
        let hooks = read(good).unwrap();
        assert_eq!((hooks[0].on.as_slice(), hooks[1].on.as_slice()), (&[Kind::Failure][..], &Kind::ALL[..]));
        assert!(!format!("{hooks:?}").contains("example"), "the address is a secret");
        let place = |url: &str| Hook { url: url.to_owned(), on: Vec::new() }.place();
        let urls =
            ["https://hooks.slack.com/x/y", "https://a1b2.m.hooks.dev:8443/", "https://u:p@lab/z", "http://[::1]:9/"];
        assert_eq!(urls.map(place), ["slack.com", "hooks.dev", "lab", "[::1]"]);
        assert!(read("").unwrap().is_empty());
        let wrong = |text: &str, word: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("notify.toml") && error.contains(word), "{error}");
        };
        wrong("[[notify]]\nurl = 'http://hooks.example.org/x'\n", "https://");
        wrong("[[notify]]\nurl = 'https://x'\non = ['sweep_end']\n", "sweep-end");
        wrong("[[notify]]\nuri = 'https://x'\n", "uri");
    }
}
