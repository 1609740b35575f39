//! What every journal promises, checked on both.

use std::path::Path;
use std::sync::Arc;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sweep_coordinator::journal::memory::{MemoryJournal, MemoryStore};
use sweep_coordinator::journal::sqlite::SqliteJournal;
use sweep_coordinator::journal::{Batch, Damage, Journal, JournalError, LogChunk, Replayed, Series, Step, key};
use sweep_core::event::Event;
use sweep_core::id::{Lease, SweepId, TrialId};
use sweep_core::plan::plan_text;
use sweep_core::time::Timestamp;

use crate::world::{SPEC, metrics};

fn sweep() -> SweepId {
    SweepId::derive("journal", "")
}

fn lease() -> Lease {
    let (plan, _) = plan_text(SPEC.as_bytes()).unwrap();
    Lease { trial: plan.trial_id(sweep(), 0), attempt: 1 }
}

/// Three commits: a sweep; two epochs with odd numbers; logs and steps that overlap.
fn batches() -> Vec<Batch> {
    let (plan, _) = plan_text(SPEC.as_bytes()).unwrap();
    let lease = lease();
    let [name, user, project] = ["small", "ada", "default"].map(str::to_owned);
    let submitted = Event::SweepSubmitted { sweep: sweep(), name, user, project, plan: Arc::new(plan) };
    let reports = [1, 2].map(|seq| Event::EpochReported { lease, metrics: metrics(seq, f64::NAN) });
    let log = |offset, text: &[u8]| LogChunk { lease, offset, text: text.to_vec() };
    let steps = vec![Step { lease, step: 1, loss: f64::NAN }, Step { lease, step: 2, loss: 0.5 }];
    let series = Series { logs: vec![log(0, b"one "), log(2, b"e two"), log(0, b"one ")], steps };
    vec![
        Batch { at: Timestamp(5), events: vec![submitted], ..Batch::default() },
        Batch { at: Timestamp(6), events: reports.to_vec(), keys: vec![key(0, 0); 2], ..Batch::default() },
        Batch { at: Timestamp(7), series, ..Batch::default() },
    ]
}

async fn fill(journal: &mut Journal) {
    for batch in batches() {
        journal.commit(&batch).await.unwrap();
    }
}

/// Everything that a reopened journal must show.
async fn check(journal: &Journal, replayed: &Replayed) {
    assert_eq!((replayed.events, replayed.newest), (3, Timestamp(6)));
    assert_eq!(replayed.state.sweeps.len(), 1);
    let reader = journal.reader();
    let curve = reader.curve(key(0, 0)).await.unwrap();
    assert_eq!(curve, [(1, metrics(1, f64::NAN)), (1, metrics(2, f64::NAN))], "numbers keep their bits");
    assert_eq!(reader.curve(key(0, 1)).await.unwrap(), []);
    let text: Vec<u8> = reader.logs(lease(), 0).await.unwrap().into_iter().flat_map(|(_, text)| text).collect();
    assert_eq!(String::from_utf8(text).unwrap(), "one two", "text comes once");
    let steps = reader.steps(lease()).await.unwrap();
    assert_eq!(steps.iter().map(|step| step.loss.to_bits()).collect::<Vec<_>>(), [f64::NAN, 0.5].map(f64::to_bits));
    let audit = reader.audit().await.unwrap().all();
    assert_eq!(audit.events, 3);
}

async fn open(folder: &Path) -> Result<(Journal, Replayed), JournalError> {
    SqliteJournal::open(folder).await.map(|(journal, replayed)| (Journal::Sqlite(journal), replayed))
}

async fn raw(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(folder.join("sweep.db")).connect().await.unwrap()
}

#[tokio::test]
async fn a_file_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, empty) = open(folder.path()).await.unwrap();
    assert_eq!(empty.events, 0);
    fill(&mut journal).await;
    // Dropped, not closed: as after a crash of the process.
    drop(journal);
    let (journal, replayed) = open(folder.path()).await.unwrap();
    check(&journal, &replayed).await;
    journal.close().await;
    let (journal, replayed) = open(folder.path()).await.unwrap();
    check(&journal, &replayed).await;
}

#[tokio::test]
async fn memory_survives_reopening_and_loses_what_was_not_synced() {
    let store = MemoryStore::default();
    let (journal, _) = MemoryJournal::open(store.clone()).unwrap();
    let mut journal = Journal::Memory(journal);
    fill(&mut journal).await;
    let retry = Event::RetryDue { trial: TrialId::derive(sweep(), "x") };
    let batch = Batch { at: Timestamp(8), events: vec![retry], ..Batch::default() };
    {
        let commit = journal.commit(&batch);
        tokio::select! {
            biased;
            _ = commit => panic!("the sync takes longer than nothing"),
            () = std::future::ready(()) => {}
        }
    }
    let (journal, replayed) = MemoryJournal::open(store).unwrap();
    check(&Journal::Memory(journal), &replayed).await;
}

#[tokio::test]
async fn many_small_commits_are_read_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path()).await.unwrap();
    let event = |number: u64| Event::RetryDue { trial: TrialId::derive(sweep(), &number.to_string()) };
    let mut written = 0;
    for count in [1, 2, 9000, 1, 2048, 3] {
        let events = (written..written + count).map(event).collect();
        journal.commit(&Batch { at: Timestamp(written as i64), events, ..Batch::default() }).await.unwrap();
        written += count;
    }
    drop(journal);
    let (_, replayed) = open(folder.path()).await.unwrap();
    assert_eq!((replayed.events, replayed.newest), (written, Timestamp(written as i64 - 3)));
}

#[tokio::test]
async fn a_damaged_row_stops_the_start_and_changes_nothing() {
    let check = async |sql: &'static str, event: u64, damage: Damage| {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path()).await.unwrap();
        fill(&mut journal).await;
        journal.close().await;
        let mut connection = raw(folder.path()).await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
        let before = std::fs::read(folder.path().join("sweep.db")).unwrap();
        match open(folder.path()).await {
            Err(JournalError::Damaged { event: at, damage: found }) => {
                assert_eq!((at, found), (event, damage), "{sql}")
            }
            other => panic!("{sql}: {other:?}"),
        }
        assert_eq!(before, std::fs::read(folder.path().join("sweep.db")).unwrap(), "{sql}");
        // Whoever puts another file in its place now is not written over by one that is still being closed.
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let held = links.filter_map(|link| std::fs::read_link(link.path()).ok()).find(|file| file.starts_with(&folder));
        assert_eq!(held, None, "{sql}");
    };
    check("UPDATE events SET body = replace(body, 'small', 'smoll') WHERE no = 1", 1, Damage::Checksum).await;
    check("UPDATE events SET body = substr(body, 1, 40) WHERE no = 2", 2, Damage::Checksum).await;
    check("UPDATE events SET count = 3 WHERE no = 2", 2, Damage::Count).await;
    check("DELETE FROM events WHERE no = 1", 1, Damage::Gap).await;
}

#[tokio::test]
async fn other_files_and_newer_formats_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path()).await.unwrap();
    journal.close().await;
    let mut connection = raw(folder.path()).await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut connection).await.unwrap();
    assert!(matches!(open(folder.path()).await, Err(JournalError::Newer { found: 99, .. })));
    sqlx::raw_sql("PRAGMA application_id = 1").execute(&mut connection).await.unwrap();
    assert!(matches!(open(folder.path()).await, Err(JournalError::Foreign { found: 1, .. })));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sweep.db"), "not a database, but long enough to have a header").unwrap();
    assert!(matches!(open(folder.path()).await, Err(JournalError::Corrupt { .. })));
}
