//! Attacks on the connection itself, below any call: headers that never end, a conversation that is played again, an older TLS.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sweep_identity::address::Address;
use sweep_identity::dial::{self, Bearer, Link, Tls};
use sweep_proto::v1;
use sweep_proto::v1::access_client::AccessClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::lab::Lab;
use crate::secure::lab;
use crate::world::within;

/// Preface and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A peer that does not answer pings is let go after 10 + 20 s.
const PATIENCE: Duration = Duration::from_secs(45);

async fn dial(lab: &Lab) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(lab.authority.certificate().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", lab.address.port)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// Says `first`, then `piece` every second for ever. Returns when the server has hung up.
async fn trickle(lab: &Lab, first: &[u8], piece: &[u8]) {
    let mut stream = dial(lab).await;
    stream.write_all(&[HELLO, first].concat()).await.unwrap();
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut answer = [0; 4096];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if read.is_err() || read.is_ok_and(|read| read == 0) { return },
            _ = every.tick() => if stream.write_all(piece).await.is_err() { return },
        }
    }
}

#[tokio::test]
async fn headers_that_never_end_are_hung_up_on() {
    let (_folder, lab) = lab().await;
    // A frame of 1000 bytes of headers, one byte a second; and headers that go on in frame after frame.
    let frame = trickle(&lab, b"\0\x03\xe8\x01\x04\0\0\0\x01", b"\x82");
    let frames = trickle(&lab, b"\0\0\x01\x01\0\0\0\0\x01\x82", b"\0\0\x01\x09\0\0\0\0\x01\x82");
    // Nothing more at all: pings are not answered either.
    let silent = trickle(&lab, b"", b"");
    let all = async { tokio::join!(frame, frames, silent) };
    tokio::time::timeout(PATIENCE, all).await.expect("they are hung up on");
    within(lab.sweeps(Some(&lab.admin.token)).list(v1::ListRequest { limit: 0 })).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn a_conversation_that_is_played_again_does_nothing() {
    let (_folder, lab) = lab().await;
    lab.user("ada", "user").await;
    // Somebody on the way writes down everything that a client says.
    let (middle, said) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(Mutex::new(Vec::new())));
    let (port, written, to) = (middle.local_addr().unwrap().port(), Arc::clone(&said), lab.address.port);
    let listening = tokio::spawn(async move {
        let (mut client, _) = middle.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = async {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = from_client.read(&mut piece).await {
                written.lock().unwrap().extend_from_slice(&piece[..read]);
                to_server.write_all(&piece[..read]).await.unwrap();
            }
        };
        let down = tokio::io::copy(&mut from_server, &mut to_client);
        tokio::select! { () = up => {}, _ = down => {} }
    });
    let address: Address = format!("https://127.0.0.1:{port}").parse().unwrap();
    let tls = Tls::authority(lab.authority.certificate(), None).unwrap();
    let channel = dial::lazy(&dial::endpoint(&address).unwrap(), &address, Some(&tls)).unwrap();
    let mut through = AccessClient::new(Link::new(channel.into(), Bearer::token(&lab.admin.token)));
    let asked = v1::CreateTokenRequest { user: "ada".to_owned(), ..v1::CreateTokenRequest::default() };
    within(through.create_token(asked)).await.unwrap();
    drop(through);
    listening.abort();
    let tokens = async || {
        let request = v1::ListTokensRequest { user: "ada".to_owned(), all: true };
        within(lab.root().list_tokens(request)).await.unwrap().into_inner().tokens.len()
    };
    let before = tokens().await;
    let said = said.lock().unwrap().clone();
    assert!(said.len() > 500, "{} bytes", said.len());
    let mut again = TcpStream::connect(("127.0.0.1", lab.address.port)).await.unwrap();
    again.write_all(&said).await.unwrap();
    let mut answer = Vec::new();
    let _ = within(again.read_to_end(&mut answer)).await;
    assert_eq!((before, tokens().await), (2, 2), "no third one");
    lab.stop().await;
}

/// A client's first words in TLS 1.2, which speaks no later version: ciphers, curves and signatures that every server of that version knows.
fn hello_of_tls_1_2() -> Vec<u8> {
    let extension =
        |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat();
    let extensions = [
        extension(10, &[0, 4, 0, 0x1d, 0, 0x17]),
        extension(11, &[1, 0]),
        extension(13, &[0, 8, 4, 3, 8, 4, 4, 1, 5, 3]),
        extension(23, &[]),
    ]
    .concat();
    let ciphers = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30];
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0, ciphers.len() as u8],
        &ciphers,
        &[1, 0],
        &(extensions.len() as u16).to_be_bytes(),
        &extensions,
    ]
    .concat();
    let handshake = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &(handshake.len() as u16).to_be_bytes(), &handshake].concat()
}

#[tokio::test]
async fn nobody_speaks_an_older_tls() {
    let (_folder, lab) = lab().await;
    let mut stream = TcpStream::connect(("127.0.0.1", lab.address.port)).await.unwrap();
    stream.write_all(&hello_of_tls_1_2()).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    // A fatal alert (RFC 8446, 6): `protocol_version`, and nothing of the handshake.
    assert_eq!((answer.first(), answer.len(), &answer[5..]), (Some(&21), 7, &[2, 70][..]), "{answer:?}");
    lab.stop().await;
}
