//! Webhooks: in order, at least once, past failing receivers and restarts.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use sweep_coordinator::config::Config;
use sweep_coordinator::{Coordinator, notify};
use sweep_proto::v1;
use sweep_proto::v1::upkeep_client::UpkeepClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::world::{Pretend, SPEC, World, within};

/// A receiver that fails so many times before it takes anything.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<serde_json::Value>>>,
    calls: watch::Receiver<u32>,
}

impl Receiver {
    async fn start(failures: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let (called, calls) = watch::channel(0);
        let taken = got.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = Vec::new();
                let body = loop {
                    let mut more = [0; 4096];
                    let count = stream.read(&mut more).await.unwrap();
                    read.extend_from_slice(&more[..count]);
                    let text = String::from_utf8_lossy(&read).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .lines()
                        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    if body.len() >= length.unwrap_or(0) {
                        break body.to_owned();
                    }
                };
                let status = if *called.borrow() < failures { "503 Service Unavailable" } else { "200 OK" };
                if status == "200 OK" {
                    taken.lock().unwrap().push(serde_json::from_str(&body).unwrap());
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                called.send_modify(|calls| *calls += 1);
            }
        });
        Self { url, got, calls }
    }

    async fn called(&mut self, times: u32) {
        within(self.calls.wait_for(|calls| *calls >= times)).await.unwrap();
    }
}

fn tell(folder: &Path, url: &str, on: &str) {
    let mut file = std::fs::File::options();
    let mut file = file.create(true).truncate(true).write(true).mode(0o600).open(folder.join(notify::FILE)).unwrap();
    write!(file, "[[notify]]\nurl = \"{url}\"\n{on}").unwrap();
}

#[tokio::test]
async fn news_arrives_after_failures_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(1).await;
    tell(folder.path(), &receiver.url, "");
    let mut world = World::start(Config::folder(folder.path())).await;
    world.submit(SPEC).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    assert_eq!(agent.finish_all().await, 4);
    // It fails, and the coordinator stops before it is asked again.
    receiver.called(1).await;
    world.stop().await;
    assert!(receiver.got.lock().unwrap().is_empty());

    let world = World::start(Config::folder(folder.path())).await;
    receiver.called(2).await;
    let got = receiver.got.lock().unwrap().clone();
    assert_eq!(got[0]["text"], "sweep small (ada): completed: 4 completed, 0 failed, 0 cancelled");
    assert_eq!(got[0]["metadata"]["event_type"], "sweep_end");
    assert_eq!(got[0]["metadata"]["event_payload"]["project"], "default");
    world.stop().await;

    // What was taken does not come again, and a receiver that is new is not told the past.
    let mut other = Receiver::start(0).await;
    tell(folder.path(), &other.url, "on = ['sweep-end']\n");
    let mut world = World::start(Config::folder(folder.path())).await;
    world.submit(&SPEC.replace("\"small\"", "\"next\"")).await.unwrap();
    let cancel =
        sweep_proto::v1::CancelRequest { sweep: "next".to_owned(), ..sweep_proto::v1::CancelRequest::default() };
    world.sweeps.cancel(cancel).await.unwrap();
    other.called(1).await;
    let text = other.got.lock().unwrap()[0]["text"].clone();
    assert!(text.as_str().unwrap().starts_with("sweep next (ada): cancelled"), "{text}");
    assert_eq!((receiver.got.lock().unwrap().len(), *receiver.calls.borrow()), (1, 2));
    world.stop().await;
}

/// A full disk, or somebody's shell on the journal, ended the sender for good: after it nobody was told anything until the next start.
#[tokio::test]
async fn an_outbox_that_could_not_be_used_for_a_while_is_told_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(0).await;
    tell(folder.path(), &receiver.url, "");
    let mut world = World::start(Config::folder(folder.path())).await;
    let mut shell = SqliteConnectOptions::new().filename(folder.path().join("sweep.db")).connect().await.unwrap();
    sqlx::raw_sql("ALTER TABLE outbox_told RENAME TO away").execute(&mut shell).await.unwrap();
    world.submit(SPEC).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    assert_eq!(agent.finish_all().await, 4);
    assert_eq!(receiver.got.lock().unwrap().len() as u32, *receiver.calls.borrow());
    sqlx::raw_sql("ALTER TABLE away RENAME TO outbox_told").execute(&mut shell).await.unwrap();
    // A round that had begun before may have told it once; what counts is that there are rounds after the failure.
    receiver.called(1).await;
    world.submit(&SPEC.replace("\"small\"", "\"next\"")).await.unwrap();
    assert_eq!(agent.finish_all().await, 4);
    within(receiver.calls.wait_for(|calls| *calls >= 2)).await.unwrap();
    let got = receiver.got.lock().unwrap().clone();
    assert!(
        got.iter().any(|news| news["text"].as_str().unwrap().starts_with("sweep next (ada): completed")),
        "{got:?}"
    );
    world.stop().await;
}

/// A test goes to every receiver, past the outbox; the list says what waits for whom, and why. No address is told.
#[tokio::test]
async fn receivers_are_tested_and_listed_without_their_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let [mut good, mut bad] = [Receiver::start(0).await, Receiver::start(u32::MAX).await];
    tell(folder.path(), &good.url, &format!("[[notify]]\nurl = \"{}\"\non = [\"sweep-end\"]\n", bad.url));
    let mut world = World::start(Config::folder(folder.path())).await;
    let upkeep = UpkeepClient::new(world.channel.clone());
    let request = v1::TestWebhooksRequest { user: "ada".to_owned() };
    let tests = upkeep.clone().test_webhooks(request).await.unwrap().into_inner().tests;
    assert_eq!(tests.iter().map(|test| test.error.as_str()).collect::<Vec<_>>(), ["", "it answers 503"]);
    let got = good.got.lock().unwrap()[0].clone();
    assert_eq!(got["metadata"]["event_type"], "test");
    assert!(got["text"].as_str().unwrap().starts_with("a test by ada"), "{got}");
    let list = async || upkeep.clone().list_webhooks(v1::ListWebhooksRequest {}).await.unwrap().into_inner().webhooks;
    let listed = list().await;
    let places: Vec<_> = listed.iter().map(|of| of.webhook.clone().unwrap()).collect();
    assert_eq!((places[0].number, places[0].place.as_str(), places[0].on.len()), (1, "127.0.0.1", 4));
    assert_eq!((places[1].number, places[1].on.as_slice()), (2, &["sweep-end".to_owned()][..]));
    assert!(listed.iter().all(|of| (of.waiting, of.taken, of.failures) == (0, None, 0)), "{listed:?}");

    world.submit(SPEC).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    assert_eq!(agent.finish_all().await, 4);
    good.called(2).await;
    bad.called(2).await;
    // What was taken or refused is written down a moment after the answer.
    let listed = within(async {
        loop {
            let listed = list().await;
            if listed[0].waiting == 0 && listed[0].taken.is_some() && listed[1].failures > 0 {
                return listed;
            }
            tokio::task::yield_now().await;
        }
    });
    let listed = listed.await;
    assert_eq!((listed[0].failures, listed[0].error.as_str()), (0, ""));
    assert_eq!((listed[1].waiting, listed[1].error.as_str(), listed[1].taken), (1, "it answers 503", None));
    assert!(listed[1].oldest.is_some() && listed[1].failed.is_some(), "{listed:?}");
    assert!(!format!("{listed:?} {tests:?}").contains("secret"), "{listed:?} {tests:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    tell(folder.path(), "http://hooks.example.org/secret", "");
    let error = within(Coordinator::start(Config::folder(folder.path()))).await.unwrap_err().to_string();
    assert!(error.contains("https://") && !error.contains("example"), "{error}");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(folder.path().join(notify::FILE), open).unwrap();
    let error = Coordinator::start(Config::folder(folder.path())).await.unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}
