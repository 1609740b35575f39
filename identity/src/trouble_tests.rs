//! What is said where no connection comes to be, with real sockets where they can be had at once.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::authority::Authority;
use crate::certificate::Fingerprint;
use crate::dial::{self, Tls};
use crate::listen;

/// What an encrypted connection to a port of this host comes to.
async fn words(port: u16, pin: Fingerprint) -> String {
    let address: Address = format!("https://127.0.0.1:{port}").parse().unwrap();
    let endpoint = dial::endpoint(&address).unwrap();
    let tls = Tls::pinned(pin).unwrap();
    let error = dial::now(&endpoint, &address, Some(&tls)).await.unwrap().unwrap_err();
    let trouble = Trouble::of(&error).unwrap_or_else(|| panic!("{error:?}"));
    trouble.words(&address, Held::JoinToken)
}

fn authority(name: &str) -> Arc<Authority> {
    let folder = tempfile::tempdir().unwrap();
    Arc::new(Authority::create(folder.path(), &[name.to_owned()]).unwrap())
}

#[tokio::test]
async fn who_listens_and_for_whom_is_told_apart() {
    let ours = authority("127.0.0.1");
    let pin = ours.fingerprint();
    let listen = || async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    };

    let (closed, port) = listen().await;
    drop(closed);
    let text = words(port, pin).await;
    assert!(text.starts_with(&format!("nothing listens at 127.0.0.1:{port}: does the coordinator run")), "{text}");

    let (other, port) = listen().await;
    let _other = listen::encrypted(other, authority("127.0.0.1").server().unwrap());
    let text = words(port, pin).await;
    assert!(text.contains("is not the coordinator that the token is for") && text.contains("agent-token"), "{text}");

    let (named, port) = listen().await;
    let lab = authority("lab.example.org");
    let pinned = lab.fingerprint();
    let _named = listen::encrypted(named, lab.server().unwrap());
    let text = words(port, pinned).await;
    assert!(text.contains("is for lab.example.org, and not for 127.0.0.1"), "{text}");
    assert!(text.contains("sweepctl admin init --host 127.0.0.1"), "{text}");

    // A web server that says what it thinks of this, and a program that hangs up.
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let (plain, port) = listen().await;
        tokio::spawn(async move {
            let (mut stream, _) = plain.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        let text = words(port, pin).await;
        assert!(text.contains("does not speak TLS") && text.contains("port 7443"), "{text}");
    }

    let (good, port) = listen().await;
    let _good = listen::encrypted(good, ours.server().unwrap());
    let address: Address = format!("https://127.0.0.1:{port}").parse().unwrap();
    let tls = Tls::pinned(pin).unwrap();
    dial::now(&dial::endpoint(&address).unwrap(), &address, Some(&tls)).await.unwrap().unwrap();
}

#[test]
fn names_clocks_and_silence_have_their_sentences() {
    let address: Address = "https://lab".parse().unwrap();
    let words = |error: io::Error| Trouble::of(&error).map(|trouble| trouble.words(&address, Held::Login));
    let tls = |error: CertificateError| {
        let error = rustls::Error::InvalidCertificate(error);
        words(Greeting(io::Error::new(io::ErrorKind::InvalidData, error)).into()).unwrap()
    };
    let at = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 86_400));
    let text = tls(CertificateError::ExpiredContext { time: at(400), not_after: at(90) });
    assert!(text.contains("the certificate of lab:7443 ended 310 days ago: this clock is ahead"), "{text}");
    let text = tls(CertificateError::NotValidYetContext { time: at(0), not_before: at(1) });
    assert!(text.contains("begins in 24 h: this clock is behind"), "{text}");
    assert!(tls(CertificateError::UnknownIssuer).contains("somebody may be in between"));

    let text = words(Unresolved(io::Error::other("no such name")).into()).unwrap();
    assert!(text.starts_with("no host is called `lab`"), "{text}");
    let text = words(io::Error::new(io::ErrorKind::TimedOut, "deadline has elapsed")).unwrap();
    assert!(text.starts_with("lab:7443 does not answer"), "{text}");
    let text = words(io::ErrorKind::NetworkUnreachable.into()).unwrap();
    assert!(text.starts_with("there is no way to lab:7443"), "{text}");
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
    let text = words(Greeting(io::Error::new(io::ErrorKind::InvalidData, alert.clone())).into()).unwrap();
    assert!(text.contains("speaks TLS, but not as a coordinator does"), "{text}");
    // Later on it is the coordinator that says something.
    assert_eq!(words(io::Error::new(io::ErrorKind::InvalidData, alert)), None);
    assert_eq!(words(io::ErrorKind::UnexpectedEof.into()), None);
    assert_eq!([30, 300, 10_000, 400_000].map(span), ["30 s", "5 min", "2 h", "4 days"]);
    assert_eq!(["DnsName(\"lab\")", "IpAddress(10.0.0.5)", "odd"].map(bare), ["lab", "10.0.0.5", "odd"]);
}
