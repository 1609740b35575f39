//! Somebody who is told by webhook: answers every request and remembers what it said.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// An address of this host that nobody else has: by it one sees who is told.
pub(super) const HERE: &str = "127.0.0.2";

/// Somebody who is told.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Listens on this host until the process ends.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((HERE, 0)).context("listening for news")?;
        let address = listener.local_addr().context("asking for the bound address")?;
        let told = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&told);
        std::thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                // Whoever dies in the middle of a request is heard again later.
                if let Some(text) = hear(caller) {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                }
            }
        });
        Ok(Self { address, told })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Everything it was told.
    pub(super) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request, answered.
fn hear(mut caller: TcpStream) -> Option<String> {
    caller.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    let body = loop {
        let head = text.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(head) = head {
            let words = String::from_utf8_lossy(&text[..head]).to_lowercase();
            let length =
                words.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            if text.len() >= head + 4 + length.unwrap_or_default() {
                break text.split_off(head + 4);
            }
        }
        let read = caller.read(&mut piece).ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&piece[..read]);
    };
    caller.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").ok()?;
    Some(String::from_utf8_lossy(&body).into_owned())
}
