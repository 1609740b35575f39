//! The coordinator's side of a connection: who is at the other end, as far as the connection proves it.
//! Handshakes happen beside each other, each with little time, and a peer that does not speak HTTP/2 at
//! once is let go, so that strangers who open connections and stay silent hold nothing for long.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::certificate::AgentCertificate;

/// Time for a TLS handshake, and again for the first words of HTTP/2.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at the same time; more wait in the kernel.
const HANDSHAKES: usize = 256;
/// Connections of one address that have no certificate of an agent.
const PER_ADDRESS: usize = 256;
/// Accepted connections that wait for the server.
const AHEAD: usize = 16;
/// What HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two lines of log about connections that came to nothing.
const QUIET: Duration = Duration::from_secs(10);
/// Pause when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// What its certificate says, if it showed one; signed by the lab's CA and valid at the handshake.
    pub agent: Option<AgentCertificate>,
}

/// An encrypted connection.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    /// What was read of the preface and has to be read again.
    replay: &'static [u8],
    _place: Option<Place>,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.replay.is_empty() {
            let length = self.replay.len().min(buf.remaining());
            let (now, later) = self.replay.split_at(length);
            buf.put_slice(now);
            self.replay = later;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Encrypted connections, ready to be served.
pub fn encrypted(listener: TcpListener, tls: Arc<ServerConfig>) -> ReceiverStream<io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(AHEAD);
    tokio::spawn(accept(listener, TlsAcceptor::from(tls), ready));
    ReceiverStream::new(connections)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, ready: mpsc::Sender<io::Result<Connection>>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let places = Places::default();
    let (nothing, crowds) = (Arc::new(Nothing::default()), Nothing::default());
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                nothing.count(&error.to_string());
                sleep(NO_ROOM).await;
                continue;
            }
        };
        let place = match places.take(address.ip()) {
            Ok(place) => place,
            Err(crowded) => {
                crowds.crowded(&crowded);
                continue;
            }
        };
        let (tls, ready, nothing) = (tls.clone(), ready.clone(), nothing.clone());
        tokio::spawn(async move {
            match greet(tls, stream, address, place).await {
                // The server has ended; so will the connection.
                Ok(connection) => drop(ready.send(Ok(connection)).await),
                Err(why) => nothing.count(&why.to_string()),
            }
            drop(permit);
        });
    }
}

async fn greet(tls: TlsAcceptor, stream: TcpStream, address: SocketAddr, place: Place) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let mut stream = timeout(HANDSHAKE, tls.accept(stream)).await??;
    let mut first = [0; PREFACE.len()];
    timeout(HANDSHAKE, stream.read_exact(&mut first)).await??;
    if first != *PREFACE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not HTTP/2"));
    }
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let agent = match certificate {
        None => None,
        Some(der) => {
            let read = AgentCertificate::read(der);
            Some(read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?)
        }
    };
    let place = agent.is_none().then_some(place);
    Ok(Connection { stream, peer: Peer { address, agent }, replay: PREFACE, _place: place })
}

/// An address has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} has {PER_ADDRESS} connections without the certificate of an agent and gets no more until one of them ends: a program \
     there leaves them open, or too many people share the address"
)]
struct Crowded(IpAddr);

/// How many connections each address has.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

impl Places {
    fn take(&self, address: IpAddr) -> Result<Place, Crowded> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= PER_ADDRESS {
            return Err(Crowded(address));
        }
        *count += 1;
        Ok(Place { places: self.clone(), address })
    }
}

/// One of them; given back when dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// Connections that came to nothing: counted, and said now and then.
#[derive(Debug, Default)]
struct Nothing(Mutex<(u64, Option<Instant>)>);

impl Nothing {
    fn count(&self, why: &str) {
        if let Some(connections) = self.due() {
            tracing::info!(connections, last = why, "connections came to nothing");
        }
    }

    /// People cannot get in: a line of its own, that a flood of others does not hide.
    fn crowded(&self, why: &Crowded) {
        if let Some(refused) = self.due() {
            tracing::warn!(refused, "{why}");
        }
    }

    /// One more; how many there were since it was said last, if it is time to say it again.
    fn due(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, said) = &mut *state;
        *count += 1;
        let is_due = said.is_none_or(|said| said.elapsed() >= QUIET);
        is_due.then(|| {
            *said = Some(Instant::now());
            std::mem::take(count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let places = Places::default();
        let (here, there) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut held: Vec<Place> = (0..PER_ADDRESS).map(|_| places.take(here).unwrap()).collect();
        let crowded = places.take(here).unwrap_err();
        assert!(crowded.to_string().starts_with("10.0.0.1 has 256 connections without the certificate of an agent"));
        assert!(places.take(there).is_ok());
        held.pop();
        assert!(places.take(here).is_ok());
        drop(held);
        assert!(places.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_often_is_said_now_and_then_with_how_often() {
        let nothing = Nothing::default();
        assert_eq!([(); 3].map(|()| nothing.due()), [Some(1), None, None]);
        tokio::time::advance(QUIET).await;
        assert_eq!((nothing.due(), nothing.due()), (Some(3), None));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stays_silent_is_hung_up_on() {
        let folder = tempfile::tempdir().unwrap();
        let authority = crate::authority::Authority::create(folder.path(), &["127.0.0.1".to_owned()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _connections = encrypted(listener, Arc::new(authority).server().unwrap());
        let start = Instant::now();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut said = Vec::new();
        silent.read_to_end(&mut said).await.unwrap();
        assert_eq!((said.len(), start.elapsed() >= HANDSHAKE), (0, true));
    }
}
