//! A snapshot stands for the events before it, or is not used. Its journal is still read, later.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use sweep_coordinator::archive::{backup, restore};
use sweep_coordinator::config::{Config, Snapshots};
use sweep_coordinator::journal::sqlite::SqliteJournal;
use sweep_coordinator::journal::{Batch, Damage, Journal, JournalError, Replayed, snapshot};
use sweep_coordinator::{Coordinator, ServeError};
use sweep_core::event::{AgentFacts, Event};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::plan::plan_text;
use sweep_core::time::Timestamp;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use uuid::Uuid;

use crate::world::{SPEC, metrics};

/// Events in one commit each: a sweep, an agent, a lease, then epochs.
fn events(first: u64, last: u64) -> Vec<(u64, Event)> {
    let (plan, _) = plan_text(SPEC.as_bytes()).unwrap();
    let (sweep, agent) = (SweepId::derive("snapshots", ""), AgentId::from(Uuid::from_u128(1)));
    let lease = Lease { trial: plan.trial_id(sweep, 0), attempt: 1 };
    let event = |number| match number {
        1 => {
            let [name, user, project] = ["small", "ada", "default"].map(str::to_owned);
            Event::SweepSubmitted { sweep, name, user, project, plan: Arc::new(plan.clone()) }
        }
        2 => Event::AgentJoined(AgentFacts::pretend(agent, "host", 2)),
        3 => Event::LeaseGranted { lease, agent, slot: 0, resume_epoch: 0, fingerprint: None, share: 1000 },
        number => Event::EpochReported { lease, metrics: metrics(number - 3, f64::NAN) },
    };
    (first..=last).map(|number| (number, event(number))).collect()
}

async fn open(folder: &Path) -> Result<(SqliteJournal, Replayed), JournalError> {
    SqliteJournal::open(folder).await
}

/// What a journal comes to. Nothing of it is open any more: SQLite removes files when it closes one, and a connection that is
/// only dropped does that at any time.
async fn read(folder: &Path) -> Replayed {
    let (journal, replayed) = open(folder).await.unwrap();
    Journal::Sqlite(journal).close().await;
    replayed
}

/// Commits events number `first` to `last`, one millisecond after the other from `start` on.
async fn commit(folder: &Path, first: u64, last: u64, start: i64) {
    let mut journal = Journal::Sqlite(open(folder).await.unwrap().0);
    for (number, event) in events(first, last) {
        let keys = matches!(event, Event::EpochReported { .. }).then_some(0).into_iter().collect();
        let at = Timestamp(start + 1000 * number as i64);
        journal.commit(&Batch { at, events: vec![event], keys, ..Batch::default() }).await.unwrap();
    }
    journal.close().await;
}

async fn take(folder: &Path) -> u64 {
    let (journal, _) = open(folder).await.unwrap();
    let events = snapshot::take(&journal.reader(), folder).await.unwrap();
    Journal::Sqlite(journal).close().await;
    events
}

/// A folder with six events and a snapshot of them.
async fn taken() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    commit(folder.path(), 1, 6, 0).await;
    assert_eq!(take(folder.path()).await, 6);
    folder
}

/// Opens a journal; what comes of it is what all of its events come to, whether there is a snapshot or not.
async fn check(folder: &Path, events: u64, unread: u64) {
    let found = read(folder).await;
    assert_eq!((found.events, found.unread), (events, unread));
    let alone = tempfile::tempdir().unwrap();
    assert!(!folder.join("sweep.db-wal").exists(), "all of it is in the one file");
    fs::copy(folder.join("sweep.db"), alone.path().join("sweep.db")).unwrap();
    let folded = read(alone.path()).await;
    assert_eq!((folded.events, folded.unread), (events, 0));
    assert!(found.state == folded.state && found.state.check() == Ok(()));
    assert_eq!(found.state.lineage.position(), folded.state.lineage.position());
    assert_eq!((found.newest, found.mark), (folded.newest, folded.mark));
}

#[tokio::test]
async fn a_start_reads_only_what_came_after_the_snapshot() {
    let folder = taken().await;
    let file = folder.path().join(snapshot::FILE);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!folder.path().join(snapshot::UNFINISHED).exists());
    check(folder.path(), 6, 6).await;
    commit(folder.path(), 7, 9, 0).await;
    check(folder.path(), 9, 6).await;
    // The next one begins with the one before.
    assert_eq!(take(folder.path()).await, 9);
    commit(folder.path(), 10, 10, 0).await;
    check(folder.path(), 10, 9).await;
    fs::remove_file(&file).unwrap();
    check(folder.path(), 10, 0).await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_used() {
    let folder = taken().await;
    let file = folder.path().join(snapshot::FILE);
    let good = fs::read(&file).unwrap();
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&file, &bad).unwrap();
        check(folder.path(), 6, 0).await;
        fs::write(&file, &good[..at]).unwrap();
        check(folder.path(), 6, 0).await;
    }
    fs::write(&file, &good).unwrap();
    // One that was being written, and a folder that is none.
    fs::write(folder.path().join(snapshot::UNFINISHED), &good[..100]).unwrap();
    check(folder.path(), 6, 6).await;
    assert_eq!(take(folder.path()).await, 6);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    check(folder.path(), 6, 0).await;
}

#[tokio::test]
async fn a_snapshot_of_another_build_is_not_used() {
    let folder = taken().await;
    let file = folder.path().join(snapshot::FILE);
    let mut bytes = fs::read(&file).unwrap();
    let version = format!("{} ", env!("CARGO_PKG_VERSION"));
    let at = bytes.windows(version.len()).position(|part| part == version.as_bytes()).unwrap();
    let digit = &mut bytes[at + version.len()];
    *digit = if *digit == b'0' { b'1' } else { b'0' };
    let end = bytes.len() - 4;
    let sum = crc32fast::hash(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&sum);
    fs::write(&file, bytes).unwrap();
    check(folder.path(), 6, 0).await;
}

#[tokio::test]
async fn a_snapshot_of_another_journal_is_not_used() {
    let folder = taken().await;
    let file = folder.path().join(snapshot::FILE);
    // The same events at other times, as many and more; the beginning of the same journal; a new one.
    for (last, start) in [(6, 500), (9, 500), (5, 0), (0, 0)] {
        let other = tempfile::tempdir().unwrap();
        commit(other.path(), 1, last, start).await;
        fs::copy(&file, other.path().join(snapshot::FILE)).unwrap();
        check(other.path(), last, 0).await;
    }
    // Its end was lost, and something else happened since.
    let other = tempfile::tempdir().unwrap();
    commit(other.path(), 1, 5, 0).await;
    commit(other.path(), 6, 8, 1).await;
    fs::copy(&file, other.path().join(snapshot::FILE)).unwrap();
    check(other.path(), 8, 0).await;
}

#[tokio::test]
async fn a_restored_journal_is_not_taken_for_the_one_before_it() {
    let (folder, spare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, copy) = (folder.path(), spare.path().join("copy"));
    commit(data, 1, 5, 0).await;
    backup::backup(data, &copy, None).await.unwrap();
    commit(data, 6, 9, 0).await;
    assert_eq!(take(data).await, 9);
    restore::restore(data, &copy).await.unwrap();
    check(data, 6, 0).await;
    // It stays of no use when as much has happened again.
    commit(data, 7, 11, 500).await;
    check(data, 11, 0).await;
    assert_eq!(take(data).await, 11);
    check(data, 11, 11).await;
}

/// Runs a coordinator until it ends by itself.
async fn serve(folder: &Path, every: u64) -> Result<(), ServeError> {
    let snapshots = Snapshots { every, look: Duration::from_millis(1), pause: Duration::ZERO };
    let coordinator = Coordinator::start(Config { snapshots, ..Config::folder(folder) }).await?;
    let incoming = TcpListenerStream::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    coordinator.serve(incoming, std::future::pending()).await
}

async fn damage(folder: &Path, event: u64) {
    let mut file = SqliteConnectOptions::new().filename(folder.join("sweep.db")).connect().await.unwrap();
    let query = "UPDATE events SET body = replace(body, 'host', 'hose') WHERE no = ?";
    sqlx::query(query).bind(event as i64).execute(&mut file).await.unwrap();
}

#[tokio::test]
async fn damage_before_the_snapshot_ends_the_coordinator_and_the_next_one_refuses() {
    let folder = taken().await;
    damage(folder.path(), 2).await;
    let bytes = fs::read(folder.path().join(snapshot::FILE)).unwrap();
    for _ in 0..2 {
        let ended = serve(folder.path(), 1000).await;
        let Err(ServeError::Journal(error)) = ended else { panic!("{ended:?}") };
        assert!(matches!(error, JournalError::Damaged { event: 2, damage: Damage::Checksum }), "{error}");
        assert!(error.to_string().contains("sweep-coordinator restore BACKUP"), "{error}");
        // Nothing is removed.
        assert!(!folder.path().join(snapshot::FILE).exists());
        assert_eq!(fs::read(folder.path().join(snapshot::ASIDE)).unwrap(), bytes);
    }
}

#[tokio::test]
async fn damage_after_the_snapshot_is_refused_at_the_start() {
    let folder = taken().await;
    commit(folder.path(), 7, 8, 0).await;
    damage(folder.path(), 2).await;
    let mut file = SqliteConnectOptions::new().filename(folder.path().join("sweep.db")).connect().await.unwrap();
    sqlx::query("DELETE FROM events WHERE no = 7").execute(&mut file).await.unwrap();
    let error = open(folder.path()).await.unwrap_err();
    assert!(matches!(error, JournalError::Damaged { event: 7, damage: Damage::Gap }), "{error}");
    assert!(folder.path().join(snapshot::FILE).exists());
}

#[tokio::test]
async fn a_coordinator_takes_snapshots_while_it_works() {
    let folder = tempfile::tempdir().unwrap();
    commit(folder.path(), 1, 6, 0).await;
    let (path, file) = (folder.path().to_owned(), folder.path().join(snapshot::FILE));
    let serving = tokio::spawn(async move { serve(&path, 6).await });
    let limit = tokio::time::timeout(Duration::from_secs(60), async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    });
    limit.await.unwrap();
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let found = read(folder.path()).await;
    assert!(found.unread >= 6 && found.events >= found.unread, "{} of {}", found.unread, found.events);
}
