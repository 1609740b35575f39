//! What a start owes to whoever is answered after it: what the log says is on the disk, wherever the process before it ended,
//! and a file that is refused is left as it is.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::task::Poll;
use std::time::SystemTime;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _};
use sweep_coordinator::archive::{backup, restore};
use sweep_coordinator::blobs::Blobs;
use sweep_coordinator::journal::sqlite::SqliteJournal;
use sweep_coordinator::journal::{Batch, Journal, JournalError, Replayed};
use sweep_core::event::Event;
use sweep_core::id::{SweepId, TrialId};
use sweep_core::time::Timestamp;
use sweep_ops::doctor::Level;

async fn open(folder: &Path) -> Result<(Journal, Replayed), JournalError> {
    SqliteJournal::open(folder).await.map(|(journal, replayed)| (Journal::Sqlite(journal), replayed))
}

fn event(number: usize) -> Event {
    Event::RetryDue { trial: TrialId::derive(SweepId::derive("durable", ""), &number.to_string()) }
}

async fn add(journal: &mut Journal, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let batch = Batch { at: Timestamp(number as i64), events: vec![event(number)], ..Batch::default() };
        journal.commit(&batch).await.unwrap();
    }
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

fn log(folder: &Path) -> u64 {
    fs::metadata(folder.join("sweep.db-wal")).map_or(0, |log| log.len())
}

/// A data folder as a killed process leaves it: three commits, all of them in the log.
async fn killed(folder: &Path) {
    let alive = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(alive.path()).await.unwrap();
    add(&mut journal, 0..3).await;
    for name in ["sweep.db", "sweep.db-wal"] {
        fs::copy(alive.path().join(name), folder.join(name)).unwrap();
    }
    journal.close().await;
    assert!(log(folder) > 0, "the log is the test");
}

/// The events of a copy of the database without its log: what is left if the log was never more than memory.
async fn without_log(folder: &Path) -> u64 {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("sweep.db"), copy.path().join("sweep.db")).unwrap();
    let (journal, replayed) = open(copy.path()).await.unwrap();
    journal.close().await;
    replayed.events
}

/// A sync that failed leaves pages of the log that are read, and that no later sync writes.
#[tokio::test]
async fn a_start_copies_the_log_before_anything_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path()).await;
    let (journal, replayed) = open(folder.path()).await.unwrap();
    assert_eq!((replayed.events, log(folder.path())), (3, 0));
    assert_eq!(without_log(folder.path()).await, 3);
    journal.close().await;
}

/// Somebody reads an older state: the log cannot be copied past it, and is written again where it is.
#[tokio::test]
async fn a_start_beside_a_reader_waits_for_nobody_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    killed(folder.path()).await;
    let mut reader = raw(&folder.path().join("sweep.db")).await;
    sqlx::raw_sql("BEGIN; SELECT count(*) FROM events").execute(&mut reader).await.unwrap();
    let mut other = raw(&folder.path().join("sweep.db")).await;
    sqlx::raw_sql("CREATE TABLE noise (a); DROP TABLE noise").execute(&mut other).await.unwrap();
    let path = folder.path().join("sweep.db-wal");
    let before = fs::read(&path).unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let (mut journal, replayed) = open(folder.path()).await.unwrap();
    assert_eq!(replayed.events, 3);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH, "it was not written again");
    add(&mut journal, 3..4).await;
    reader.close().await.unwrap();
    other.close().await.unwrap();
    journal.close().await;
    assert_eq!(open(folder.path()).await.unwrap().1.events, 4);
}

/// A restore is ended at each of its steps: the journal of before is there, or nothing starts, or it starts in safe mode.
#[tokio::test]
async fn a_restore_that_is_cut_off_never_leads_to_a_plain_start() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let mut ends = [0; 3];
    for polls in 0.. {
        let data = folder.path().join(format!("data-{polls}"));
        fs::create_dir(&data).unwrap();
        let (mut journal, _) = open(&data).await.unwrap();
        add(&mut journal, 0..3).await;
        if polls == 0 {
            backup::backup(&data, &copy, None).await.unwrap();
        }
        add(&mut journal, 3..5).await;
        journal.close().await;
        let mut left = polls;
        let mut restore = pin!(restore::restore(&data, &copy));
        let done = std::future::poll_fn(|context| {
            left -= 1;
            match left {
                ..0 => Poll::Ready(None),
                _ => restore.as_mut().poll(context).map(Some),
            }
        });
        let done = done.await;
        match open(&data).await {
            Ok((journal, Replayed { events: 5, .. })) => {
                ends[0] += 1;
                journal.close().await;
            }
            Ok((journal, Replayed { events, state, .. })) => {
                assert!(state.lineage.suspicion.is_some(), "{polls}: {events} events, and nobody was told");
                ends[1] += 1;
                journal.close().await;
            }
            Err(JournalError::HalfRestored { .. }) => ends[2] += 1,
            Err(error) => panic!("{polls}: {error:?}"),
        }
        if let Some(done) = done {
            assert_eq!(done.unwrap().events, 3);
            break;
        }
    }
    assert!(ends[0] > 3 && ends[1] > 0, "{ends:?}: not a test of anything");
}

#[tokio::test]
async fn a_restore_that_cannot_begin_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    fs::create_dir(&data).unwrap();
    let (mut journal, _) = open(&data).await.unwrap();
    add(&mut journal, 0..3).await;
    backup::backup(&data, &copy, None).await.unwrap();
    journal.close().await;
    let before = fs::read(data.join("sweep.db")).unwrap();
    // In the way of the mark.
    fs::create_dir(data.join("restore-unfinished")).unwrap();
    restore::restore(&data, &copy).await.unwrap_err();
    assert_eq!(fs::read(data.join("sweep.db")).unwrap(), before);
    let mut left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["restore-unfinished", "sweep.db"]);
}

/// The journal that a restore put aside is itself put back, and has its newest commits in its log.
#[tokio::test]
async fn what_is_put_back_has_its_log_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, aside) = (folder.path().join("data"), folder.path().join("sweep.db.before-1"));
    fs::create_dir(&data).unwrap();
    killed(&data).await;
    fs::rename(data.join("sweep.db"), &aside).unwrap();
    fs::rename(data.join("sweep.db-wal"), folder.path().join("sweep.db.before-1-wal")).unwrap();
    let done = restore::restore(&data, &aside).await.unwrap();
    assert_eq!(done.events, 3);
    assert_eq!(without_log(&data).await, 4, "and the word that an end may be lost");
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["sweep.db"]);
    assert!(aside.exists() && folder.path().join("sweep.db.before-1-wal").exists(), "what was copied stays");
}

/// A kind of event that this release does not know, in a row as it was written: the answer is another release, not a backup.
#[tokio::test]
async fn an_event_of_a_newer_release_is_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path()).await.unwrap();
    add(&mut journal, 0..3).await;
    journal.close().await;
    let write = async |body: &str| {
        let check = i64::from(crc32fast::hash(body.as_bytes()));
        let mut connection = raw(&folder.path().join("sweep.db")).await;
        let change = sqlx::query("UPDATE events SET body = ?, \"check\" = ? WHERE no = 2").bind(body).bind(check);
        change.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    write("{\"trial_teleported\":{\"trial\":\"x\"}}\n").await;
    let words = open(folder.path()).await.unwrap_err().to_string();
    assert!(words.contains("newer release") && words.contains("event 2 (`trial_teleported`)"), "{words}");
    assert!(!words.contains("restore"), "{words}");
    let found = sweep_coordinator::archive::fsck::look(folder.path(), true).await;
    let problem = found.findings.iter().find(|finding| finding.level == Level::Problem).unwrap();
    assert!(!problem.fix.contains("restore") && problem.fix.contains("release"), "{problem:?}");
    // With a field that is not known, too.
    let trial = TrialId::derive(SweepId::derive("durable", ""), "1");
    write(&format!("{{\"retry_due\":{{\"trial\":\"{trial}\",\"how\":1}}}}\n")).await;
    let words = open(folder.path()).await.unwrap_err().to_string();
    assert!(words.contains("newer release") && words.contains("event 2 (`retry_due`)"), "{words}");
    // What is no text of ours is damage.
    write("{\"retry_due\":{\"tri\n").await;
    assert!(matches!(open(folder.path()).await, Err(JournalError::Damaged { event: 2, .. })));
}

#[tokio::test]
async fn a_file_of_another_program_keeps_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = options.journal_mode(SqliteJournalMode::Delete).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE songs (a); INSERT INTO songs VALUES (1)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(open(folder.path()).await, Err(JournalError::Foreign { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is beside it");
}

/// Set where this test runs itself, with what notes the calls put before the C library: the folder.
const INSIDE: &str = "SWEEP_TEST_SYNCS_FOLDER";

/// Whoever stored it may have been cut off between the name and the sync of its folder. Found by reading.
#[tokio::test]
async fn a_checkpoint_is_said_to_be_there_when_it_is_on_the_disk() {
    let sha256 = "ab".repeat(32);
    if let Some(folder) = std::env::var_os(INSIDE) {
        let folder = Path::new(&folder);
        let blobs = Blobs::open(&folder.join("blobs")).unwrap();
        for said in ["said", "said-again"] {
            assert!(blobs.upload(&sha256, 4).await.unwrap().is_none(), "it is there");
            fs::rename(folder.join(format!("{said}.new")), folder.join(said)).unwrap();
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let shelf = folder.path().join("blobs/ab");
    fs::create_dir_all(&shelf).unwrap();
    fs::write(shelf.join(&sha256), "left").unwrap();
    for name in ["said.new", "said-again.new"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let (library, note) = (folder.path().join("syncs.so"), folder.path().join("syncs.txt"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/syncs/syncs.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl").status();
    assert!(built.unwrap().success());
    let mut inside = Command::new(std::env::current_exe().unwrap());
    inside.args(["--exact", "durable::a_checkpoint_is_said_to_be_there_when_it_is_on_the_disk"]);
    inside.env(INSIDE, folder.path()).env("LD_PRELOAD", &library).env("SYNCS", &note);
    let done = inside.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    let note = fs::read_to_string(&note).unwrap();
    let lines: Vec<&str> = note.lines().collect();
    let said = |name: &str| lines.iter().position(|line| line.starts_with("name\t") && line.ends_with(name)).unwrap();
    let (said, again) = (said("/said"), said("/said-again"));
    for path in [shelf.join(&sha256), shelf.clone(), folder.path().join("blobs")] {
        let asked = format!("sync\t{}\t", path.display());
        let synced = |lines: &[&str]| lines.iter().filter(|line| line.starts_with(&asked)).count();
        assert_eq!((synced(&lines[..said]), synced(&lines[said..again])), (1, 0), "{}: {note}", path.display());
    }
}
