//! `/metrics`: numbers in the OpenMetrics text format for whoever may connect, which is this host: the listener takes
//! loopback addresses only, because plain text leaves no machine. It answers one question over plain HTTP/1.1, so
//! it reads a request line and nothing else, in little time and little memory.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

pub use prometheus_client;

/// Longest request with its headers, bytes.
const REQUEST: usize = 8 << 10;
/// Time for a request to come, and again for the answer to go.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests at once; more wait in the kernel.
const AT_ONCE: usize = 16;
/// Pause when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);
/// What the text is.
const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Others could reach it.
    #[error(
        "refusing to serve metrics on {0}: they are not encrypted and ask nobody who they are. Use a loopback address such \
         as 127.0.0.1:{port}; a Prometheus elsewhere reads them through a proxy on this host that has TLS and logins, \
         or a tunnel", port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("listening for metrics on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Listens on a loopback address.
///
/// # Errors
/// For any other address, and when it cannot be had.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, MetricsError> {
    if !address.ip().is_loopback() {
        return Err(MetricsError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|source| MetricsError::Listen { address, source })
}

/// A registry as text.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("writing to memory does not fail");
    text
}

/// Answers until it is dropped. `render` makes the text, or says that there is none now.
pub async fn serve<F, R>(listener: TcpListener, render: F)
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Option<String>> + Send,
{
    let (render, places) = (Arc::new(render), Arc::new(Semaphore::new(AT_ONCE)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a request for metrics could not be taken");
                sleep(NO_ROOM).await;
                continue;
            }
        };
        let render = Arc::clone(&render);
        tokio::spawn(async move {
            // Whoever asks too slowly, or leaves, gets nothing.
            drop(timeout(PATIENCE, answer(stream, &*render)).await);
            drop(place);
        });
    }
}

async fn answer<R: Future<Output = Option<String>>>(
    mut stream: TcpStream,
    render: &(impl Fn() -> R + Sync),
) -> std::io::Result<()> {
    let Some(target) = target(&mut stream).await? else {
        return reply(&mut stream, "400 Bad Request", "text/plain", "GET /metrics\n").await;
    };
    if target != "/metrics" {
        return reply(&mut stream, "404 Not Found", "text/plain", "there is only /metrics\n").await;
    }
    match render().await {
        Some(text) => reply(&mut stream, "200 OK", KIND, &text).await,
        None => reply(&mut stream, "503 Service Unavailable", "text/plain", "not now\n").await,
    }
}

/// What a GET asks for; nothing for anything else. All headers are read, and none is looked at.
async fn target(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut more = [0; 1024];
        let count = stream.read(&mut more).await?;
        if count == 0 || read.len() + count > REQUEST {
            return Ok(None);
        }
        read.extend_from_slice(&more[..count]);
    }
    let line = read.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let is_get = words.next() == Some("GET");
    let target = words.next().map(|target| target.split('?').next().unwrap_or_default().to_owned());
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    Ok(target.filter(|_| is_get && is_http))
}

async fn reply(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, words: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words).await.unwrap();
        let mut answer = Vec::new();
        // A request that is refused before it was read to its end may end with a reset.
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn one_question_is_answered_and_nothing_else() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, || async { Some("# EOF\n".to_owned()) }));
        let good = ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(good.starts_with("HTTP/1.1 200 OK\r\n") && good.ends_with("\r\n\r\n# EOF\n"), "{good}");
        assert!(ask(address, b"GET /metrics?a=b HTTP/1.0\r\n\r\n").await.contains("200 OK"));
        assert!(ask(address, b"GET /../etc/passwd HTTP/1.1\r\n\r\n").await.contains("404"));
        assert!(ask(address, b"POST /metrics HTTP/1.1\r\n\r\n").await.contains("400"));
        assert!(ask(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.contains("400"));
        let long = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; REQUEST], b"\r\n\r\n"].concat();
        assert!(!ask(address, &long).await.contains("200"));
        serving.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_is_hung_up_on() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, || async { Some(String::new()) }));
        assert_eq!(ask(address, b"GET /metrics HTTP/1.1\r\nHost").await, "");
        serving.abort();
    }

    #[tokio::test]
    async fn only_this_host() {
        let error = listen("0.0.0.0:9464".parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:9464") && error.contains("0.0.0.0:9464"), "{error}");
    }
}
