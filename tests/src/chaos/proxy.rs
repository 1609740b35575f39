//! A TCP proxy between agents and their coordinator that does what networks do: it passes bytes on, delays them, cuts a connection,
//! swallows what goes one way while the connection stays open, and says on a new connection again what a client has said
//! on an earlier one. Each connection and each way on its own, or all of them and those to come.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Of what a client says on one connection, so much is kept for a replay.
const SAID: usize = 256 << 10;
/// Connections of which that is kept, the newest.
const KEPT: usize = 8;
/// A replay listens for answers until there was none for so long.
const SILENCE: Duration = Duration::from_millis(100);
/// A replay ends after so long, whatever is still said.
const LONGEST_REPLAY: Duration = Duration::from_secs(1);

/// What happens to bytes that go one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They are passed on.
    #[default]
    Pass,
    /// They are passed on so much later.
    Delay(Duration),
    /// They are taken and dropped, and nobody is told. When this ends on a connection that has lost bytes, the connection is cut:
    /// the rest of a stream with a hole would be a fault of no network.
    Swallow,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From agents to the coordinator.
    Up,
    /// From the coordinator to agents.
    Down,
}

/// Both ways of a connection; nothing once it is to be cut.
type Flows = Option<[Flow; 2]>;

/// Listens on a port of this machine; everything ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    // First, so that nothing works on the rest any more.
    runtime: Runtime,
    address: SocketAddr,
    to: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// Of connections to come.
    flows: [Flow; 2],
    open: BTreeMap<u64, watch::Sender<Flows>>,
    /// What clients have said, by connection.
    said: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new connection.
    fn enter(&self) -> (u64, watch::Receiver<Flows>) {
        let mut book = self.book();
        book.next += 1;
        let (id, (sender, flows)) = (book.next, watch::channel(Some(book.flows)));
        book.open.insert(id, sender);
        book.said.insert(id, Vec::new());
        while book.said.len() > KEPT {
            book.said.pop_first();
        }
        (id, flows)
    }

    fn note(&self, id: u64, bytes: &[u8]) {
        if let Some(said) = self.book().said.get_mut(&id) {
            let room = SAID - said.len().min(SAID);
            said.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

impl Proxy {
    /// Passes everything on to `to`, whoever listens there at the time.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().context("a runtime")?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("a port for the proxy")?;
        let address = listener.local_addr().context("the proxy's address")?;
        let shared = Arc::new(Shared::default());
        runtime.spawn(listen(listener, to, Arc::clone(&shared)));
        Ok(Self { runtime, address, to, shared })
    }

    /// Where clients dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open, the oldest first.
    pub fn connections(&self) -> Vec<u64> {
        self.shared.book().open.keys().copied().collect()
    }

    /// From now on for one connection.
    pub fn set(&self, connection: u64, way: Way, flow: Flow) {
        if let Some(sender) = self.shared.book().open.get(&connection) {
            sender.send_modify(|flows| set(flows, way, flow));
        }
    }

    /// From now on for all connections, those to come included.
    pub fn set_all(&self, way: Way, flow: Flow) {
        let mut book = self.shared.book();
        book.flows[way as usize] = flow;
        for sender in book.open.values() {
            sender.send_modify(|flows| set(flows, way, flow));
        }
    }

    /// Both ways of all connections pass everything on again.
    pub fn calm(&self) {
        self.set_all(Way::Up, Flow::Pass);
        self.set_all(Way::Down, Flow::Pass);
    }

    /// Both ends of a connection are told that it is reset.
    pub fn cut(&self, connection: u64) {
        if let Some(sender) = self.shared.book().open.get(&connection) {
            sender.send_replace(None);
        }
    }

    /// Connections of which is known what their clients have said, the oldest first; they may be over.
    pub fn recorded(&self) -> Vec<u64> {
        self.shared.book().said.iter().filter(|(_, said)| !said.is_empty()).map(|(id, _)| *id).collect()
    }

    /// Says on a new connection what the client of a recorded one has said from its beginning, hears the answers, and hangs up.
    /// Returns the number of bytes that were answered.
    ///
    /// # Errors
    /// When nothing was recorded or nobody listens.
    pub fn replay(&self, connection: u64) -> Result<usize> {
        let said = self.shared.book().said.get(&connection).cloned().context("nothing is known of that connection")?;
        let to = self.to;
        self.runtime.block_on(async {
            let mut server = TcpStream::connect(to).await.context("nobody listens")?;
            let (mut from, mut into) = server.split();
            let mut heard = 0;
            let mut bytes = [0; 4096];
            // The other end may hang up in the middle of it.
            let listening = async {
                while let Ok(Ok(read @ 1..)) = timeout(SILENCE, from.read(&mut bytes)).await {
                    heard += read;
                }
            };
            let _ = timeout(LONGEST_REPLAY, async { tokio::join!(into.write_all(&said), listening) }).await;
            Ok(heard)
        })
    }
}

fn set(flows: &mut Flows, way: Way, flow: Flow) {
    if let Some(flows) = flows {
        flows[way as usize] = flow;
    }
}

async fn listen(listener: TcpListener, to: SocketAddr, shared: Arc<Shared>) {
    loop {
        // Fails when there are no more file descriptors; then there are some again later.
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(carry(client, to, Arc::clone(&shared)))),
            Err(_) => sleep(SILENCE).await,
        }
    }
}

/// One connection, from its beginning to its end.
async fn carry(mut client: TcpStream, to: SocketAddr, shared: Arc<Shared>) {
    // Whoever cannot get through is hung up on, as if there were no proxy.
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    let (id, flows) = shared.enter();
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let is_over = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let up = pump(from_client, to_server, Way::Up, flows.clone(), |bytes| shared.note(id, bytes));
        let down = pump(from_server, to_client, Way::Down, flows.clone(), |_| {});
        let mut flows = flows;
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.is_ok(),
            _ = flows.wait_for(Option::is_none) => false,
        }
    };
    if !is_over {
        // Reset, and not closed as if everything had been said.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
    shared.book().open.remove(&id);
}

/// One way of a connection.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut into: impl AsyncWrite + Unpin,
    way: Way,
    mut flows: watch::Receiver<Flows>,
    note: impl Fn(&[u8]),
) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    let mut has_hole = false;
    loop {
        let now = |flows: &Flows| flows.map(|flows| flows[way as usize]).unwrap_or_default();
        let read = tokio::select! {
            read = from.read(&mut bytes) => read?,
            _ = flows.wait_for(|flows| now(flows) != Flow::Swallow), if has_hole => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        };
        let flow = now(&flows.borrow());
        note(&bytes[..read]);
        match flow {
            // The other end does not learn that this one has hung up, either.
            Flow::Swallow if read == 0 => return Ok(()),
            Flow::Swallow => {
                has_hole = true;
                continue;
            }
            Flow::Delay(time) => sleep(time).await,
            Flow::Pass => {}
        }
        if read == 0 {
            return into.shutdown().await;
        }
        into.write_all(&bytes[..read]).await?;
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
