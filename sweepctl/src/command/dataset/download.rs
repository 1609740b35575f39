//! A file from the web, of a known length: goes on where it was cut, within one call and from an earlier
//! one (HTTP Range, RFC 9110 14.2). Whether the bytes are right is left to the checksum.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

/// Tries in a row that bring nothing new.
const TRIES: u32 = 5;
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a connection, or the next piece, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes read at once.
const PIECE: usize = 1 << 16;

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadFault {
    /// The server says no.
    #[error("{url} answers {status}")]
    Refused {
        /// What was asked for.
        url: String,
        /// What the server said.
        status: StatusCode,
    },
    /// It is not what is known.
    #[error("{url} is {found} bytes long, expected {expected}: the publisher has changed it")]
    OtherLength {
        /// What was asked for.
        url: String,
        /// What the server said.
        found: u64,
        /// What is known.
        expected: u64,
    },
    /// The connection broke again and again.
    #[error("{url} does not come, {TRIES} tries in a row brought nothing new; what has come is kept for the next call")]
    Broken {
        /// What was asked for.
        url: String,
        /// What happened last.
        source: ureq::Error,
    },
    /// The disk failed.
    #[error("cannot write the download")]
    Disk(#[source] io::Error),
}

/// What is fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// Where it is.
    pub(super) url: &'a str,
    /// Its length.
    pub(super) bytes: u64,
    /// Pause after the first failure; doubled after each.
    pub(super) pause: Duration,
}

/// Why one try ended before the end.
enum Cut {
    /// May go better next time.
    Later(ureq::Error),
    /// Will not.
    Never(DownloadFault),
}

/// Fetches into `part`, going on after what is there. `at` is told how far it is.
pub(super) fn download(source: Source<'_>, part: &Path, mut at: impl FnMut(u64)) -> Result<(), DownloadFault> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part);
    let mut file = options.map_err(DownloadFault::Disk)?;
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(5)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .user_agent(concat!("sweepctl/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut have = file.seek(SeekFrom::End(0)).map_err(DownloadFault::Disk)?;
    if have > source.bytes {
        have = restart(&mut file)?;
    }
    let (mut furthest, mut failures) = (have, 0);
    while have < source.bytes {
        let cut = one(&agent, source, &mut file, &mut have, &mut at);
        match cut {
            Ok(()) => {}
            Err(Cut::Never(fault)) => return Err(fault),
            Err(Cut::Later(error)) => {
                failures = if have > furthest { 0 } else { failures + 1 };
                if failures >= TRIES {
                    return Err(DownloadFault::Broken { url: source.url.to_owned(), source: error });
                }
                std::thread::sleep((source.pause * 2u32.pow(failures)).min(LONGEST_PAUSE));
            }
        }
        furthest = furthest.max(have);
    }
    at(have);
    file.sync_all().map_err(DownloadFault::Disk)
}

fn restart(file: &mut File) -> Result<u64, DownloadFault> {
    file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(DownloadFault::Disk)
}

/// One request; `have` is moved on by what comes.
fn one(
    agent: &Agent,
    source: Source<'_>,
    file: &mut File,
    have: &mut u64,
    at: &mut impl FnMut(u64),
) -> Result<(), Cut> {
    let mut request = agent.get(source.url);
    if *have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(Cut::Later)?;
    let other =
        |found| Cut::Never(DownloadFault::OtherLength { url: source.url.to_owned(), found, expected: source.bytes });
    match response.status() {
        StatusCode::PARTIAL_CONTENT => match range(&response) {
            Some((_, Some(total))) if total != source.bytes => return Err(other(total)),
            Some((start, _)) if start == *have => {}
            // It sends another part than the one that was asked for.
            _ => {
                *have = restart(file).map_err(Cut::Never)?;
                return Err(Cut::Later(ureq::Error::StatusCode(206)));
            }
        },
        // The whole file, whatever was asked for.
        StatusCode::OK => {
            *have = restart(file).map_err(Cut::Never)?;
            let length = response.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            if let Some(length) = length.and_then(|length| length.parse().ok())
                && length != source.bytes
            {
                return Err(other(length));
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            *have = restart(file).map_err(Cut::Never)?;
            return Err(Cut::Later(ureq::Error::StatusCode(416)));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Cut::Later(ureq::Error::StatusCode(status.as_u16())));
        }
        status => return Err(Cut::Never(DownloadFault::Refused { url: source.url.to_owned(), status })),
    }
    let mut reader = response.body_mut().as_reader();
    let mut piece = vec![0; PIECE];
    loop {
        let length = reader.read(&mut piece).map_err(|error| Cut::Later(error.into()))?;
        if length == 0 {
            return match *have == source.bytes {
                true => Ok(()),
                false => Err(Cut::Later(ureq::Error::Io(io::ErrorKind::UnexpectedEof.into()))),
            };
        }
        if *have + length as u64 > source.bytes {
            return Err(other(*have + length as u64));
        }
        file.write_all(&piece[..length]).map_err(|error| Cut::Never(DownloadFault::Disk(error)))?;
        *have += length as u64;
        at(*have);
    }
}

/// Start and whole length of `Content-Range: bytes 5-9/10`.
fn range<T>(response: &Response<T>) -> Option<(u64, Option<u64>)> {
    let text = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (part, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((part.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}
