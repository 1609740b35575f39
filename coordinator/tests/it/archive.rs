//! Copies of the journal: made while it is written, put back, looked at; and what is damaged is never started on.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sweep_coordinator::archive::{ArchiveError, backup, fsck, restore};
use sweep_coordinator::blobs::Blobs;
use sweep_coordinator::config::Config;
use sweep_coordinator::journal::sqlite::SqliteJournal;
use sweep_coordinator::journal::{Batch, JournalError, Replayed};
use sweep_core::attempt::CheckpointKind;
use sweep_core::event::{AgentFacts, Checkpoint, Event};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::plan::plan_text;
use sweep_core::time::Timestamp;
use sweep_ops::doctor::{Findings, Level};
use sweep_proto::status::reason_of;
use sweep_proto::v1;
use sweep_proto::v1::upkeep_client::UpkeepClient;
use uuid::Uuid;

use crate::world::{Pretend, SPEC, World, metrics};

/// The bytes of the one checkpoint.
const BLOB: &[u8] = b"weights";

async fn stored(folder: &Path) -> Result<(SqliteJournal, Replayed), JournalError> {
    SqliteJournal::open(folder).await
}

/// What is stored, with nothing of it open any more: SQLite removes files when it closes one, and a connection that is only
/// dropped does that at any time.
async fn read(folder: &Path) -> Replayed {
    let (journal, replayed) = stored(folder).await.unwrap();
    sweep_coordinator::journal::Journal::Sqlite(journal).close().await;
    replayed
}

/// A data folder with a sweep, a running trial and its checkpoint; returns how many events there are.
async fn fill(folder: &Path) -> u64 {
    let (plan, _) = plan_text(SPEC.as_bytes()).unwrap();
    let sweep = SweepId::derive("archive", "");
    let lease = Lease { trial: plan.trial_id(sweep, 0), attempt: 1 };
    let [name, user, project] = ["small", "ada", "default"].map(str::to_owned);
    let agent = AgentId::from(Uuid::from_u128(7));
    let facts = AgentFacts::pretend(agent, "h", 1);
    let (kind, bytes) = (CheckpointKind::Last, BLOB.len() as u64);
    let checkpoint = Checkpoint { kind, epoch: 1, seq: 1, sha256: digest(BLOB), bytes };
    let granted = Event::LeaseGranted { lease, agent, slot: 0, resume_epoch: 0, fingerprint: None, share: 1000 };
    let events = [
        Event::SweepSubmitted { sweep, name, user, project, plan: Arc::new(plan) },
        Event::AgentJoined(facts),
        granted,
        Event::EpochReported { lease, metrics: metrics(1, 0.5) },
        Event::CheckpointKept { lease, checkpoint },
    ];
    let blobs = Blobs::open(&folder.join("blobs")).unwrap();
    let mut upload = blobs.upload(&digest(BLOB), bytes).await.unwrap().unwrap();
    upload.push(BLOB).await.unwrap();
    upload.finish().await.unwrap();
    let (journal, before) = stored(folder).await.unwrap();
    assert_eq!(before.events, 0);
    let mut journal = sweep_coordinator::journal::Journal::Sqlite(journal);
    let count = events.len() as u64;
    for (at, event) in (1_700_000_000_000_000..).zip(events) {
        let keys = if matches!(event, Event::EpochReported { .. }) { vec![0] } else { Vec::new() };
        journal.commit(&Batch { at: Timestamp(at), events: vec![event], keys, ..Batch::default() }).await.unwrap();
    }
    journal.close().await;
    count
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn problems(found: &Findings) -> Vec<(&'static str, &str)> {
    let bad = found.findings.iter().filter(|finding| finding.level == Level::Problem);
    bad.map(|finding| (finding.check, finding.found.as_str())).collect()
}

fn blob(folder: &Path) -> std::path::PathBuf {
    folder.join("blobs").join(&digest(BLOB)[..2]).join(digest(BLOB))
}

#[tokio::test]
async fn a_copy_is_the_journal_and_is_never_written_over_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (data, target) = (folder.path().join("data"), folder.path().join("copies/monday"));
    fs::create_dir(&data).unwrap();
    let events = fill(&data).await;
    let blobs = Blobs::open(&data.join("blobs")).unwrap();
    let made = backup::backup(&data, &target, Some(&blobs)).await.unwrap();
    assert_eq!((made.events, made.blobs, made.blob_bytes, made.missing.len()), (events, 1, 7, 0));
    assert_eq!(fs::read(blob(&target)).unwrap(), BLOB);
    let found = fsck::look(&target, false).await;
    assert_eq!(problems(&found), [], "{}", found.text());
    let again = backup::backup(&data, &target, None).await;
    assert!(matches!(again, Err(ArchiveError::Exists(path)) if path == target));
    // An empty folder is somebody's, too.
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(matches!(backup::backup(&data, &folder.path().join("empty"), None).await, Err(ArchiveError::Exists(_))));
    let copies: Vec<_> = fs::read_dir(folder.path().join("copies")).unwrap().flatten().collect();
    assert_eq!(copies.len(), 1, "nothing unfinished is left: {copies:?}");
    let (original, copy) = (read(&data).await, read(&target).await);
    assert_eq!((original.state, original.newest), (copy.state, copy.newest));
}

#[tokio::test]
async fn a_damaged_journal_makes_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fill(&data).await;
    let text = fs::read(data.join("sweep.db")).unwrap();
    let at = text.windows(8).position(|window| window == b"\"resnet1").unwrap();
    let mut damaged = text.clone();
    damaged[at + 2] ^= 1;
    fs::write(data.join("sweep.db"), damaged).unwrap();
    let made = backup::backup(&data, &folder.path().join("copy"), None).await;
    assert!(matches!(made, Err(ArchiveError::Journal(JournalError::Damaged { event: 1, .. }))), "{made:?}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["data"], "nothing is left of it");
}

#[tokio::test]
async fn what_is_put_back_was_checked_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    fs::create_dir(&data).unwrap();
    let events = fill(&data).await;
    let blobs = Blobs::open(&data.join("blobs")).unwrap();
    backup::backup(&data, &copy, Some(&blobs)).await.unwrap();
    fs::remove_file(blob(&data)).unwrap();
    fs::write(data.join("sweep.db"), "what a disk leaves of a file").unwrap();
    match stored(&data).await {
        Err(error @ JournalError::Corrupt { .. }) => {
            let words = error.to_string();
            assert!(words.contains("sweep-coordinator restore BACKUP"), "{words}");
        }
        other => panic!("{other:?}"),
    }
    fs::write(data.join("sweep.db-wal"), "of its log, too").unwrap();
    let done = restore::restore(&data, &copy).await.unwrap();
    assert_eq!((done.events, done.blobs, done.missing.len()), (events, 1, 0));
    let before = done.before.unwrap();
    assert_eq!(fs::read_to_string(&before).unwrap(), "what a disk leaves of a file");
    let log = before.with_file_name(format!("{}-wal", before.file_name().unwrap().to_string_lossy()));
    assert_eq!(fs::read_to_string(log).unwrap(), "of its log, too");
    assert_eq!(read(&data).await.events, events + 1, "and the word that an end is lost");
    let found = fsck::look(&data, false).await;
    assert_eq!(problems(&found), [], "{}", found.text());

    // A copy that is not good changes nothing.
    let present = fs::read(data.join("sweep.db")).unwrap();
    let good = fs::read(copy.join("sweep.db")).unwrap();
    fs::write(copy.join("sweep.db"), &good[..good.len() / 2]).unwrap();
    restore::restore(&data, &copy).await.unwrap_err();
    assert_eq!(fs::read(data.join("sweep.db")).unwrap(), present);
    assert!(matches!(restore::restore(&data, &folder.path().join("none")).await, Err(ArchiveError::NoBackup(_))));

    // Cut off between two renames, it is not taken for an older journal, or for none.
    fs::write(data.join("restore-unfinished"), "").unwrap();
    assert!(matches!(stored(&data).await, Err(JournalError::HalfRestored { .. })));
    fs::write(copy.join("sweep.db"), &good).unwrap();
    restore::restore(&data, &copy).await.unwrap();
    assert_eq!(read(&data).await.events, events + 1, "and the word that an end is lost");
}

#[tokio::test]
async fn fsck_names_what_is_missing_damaged_and_left_over() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    fill(data).await;
    let check = async |quick, expected: &[(&str, &str)]| {
        let found = fsck::look(data, quick).await;
        let problems = problems(&found);
        assert_eq!(problems.len(), expected.len(), "{}", found.text());
        for ((check, text), (expected, words)) in problems.iter().zip(expected) {
            assert!(check == expected && text.contains(words), "{check}: {text}, not {expected}: {words}");
        }
        found
    };
    check(false, &[]).await;
    fs::write(blob(data), "weightz").unwrap();
    check(true, &[]).await;
    check(false, &[("checkpoints", "damaged: 1 (1 that a trial would go on from)")]).await;
    fs::remove_file(blob(data)).unwrap();
    check(true, &[("checkpoints", "missing: 1")]).await;
    fs::write(blob(data), BLOB).unwrap();
    let old = fs::File::create(blob(data).with_file_name("0".repeat(64))).unwrap();
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(3 * 86_400)).unwrap();
    let found = check(false, &[]).await;
    let left = found.findings.iter().find(|finding| finding.check == "left-overs").unwrap();
    assert!(left.level == Level::Warning && left.found.starts_with("1 files"), "{left:?}");
    // An epoch that comes twice: every row is whole, and the history is not legal.
    let (journal, replayed) = stored(data).await.unwrap();
    let (plan, _) = plan_text(SPEC.as_bytes()).unwrap();
    let lease = Lease { trial: plan.trial_id(SweepId::derive("archive", ""), 0), attempt: 1 };
    let mut journal = sweep_coordinator::journal::Journal::Sqlite(journal);
    let (at, events) = (replayed.newest, vec![Event::EpochReported { lease, metrics: metrics(1, 0.5) }]);
    journal.commit(&Batch { at, events, keys: vec![0], ..Batch::default() }).await.unwrap();
    journal.close().await;
    check(true, &[("history", "event 6: epoch_gap")]).await;
    // What is shown is not what was reported.
    let change = async |sql: &'static str| {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("sweep.db"));
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
    };
    let trial = format!("the first is trial {}, attempt 1", lease.trial);
    let expected = [("curves", trial.as_str()), ("history", "event 6: epoch_gap")];
    change("UPDATE epochs SET metrics = replace(metrics, '0.5', '0.75')").await;
    check(true, &expected).await;
    change("DELETE FROM epochs").await;
    check(true, &expected).await;
    let found = fsck::look(&data.join("elsewhere"), true).await;
    assert_eq!(problems(&found).len(), 1);
}

/// A bit flipped anywhere in the file: either the start is refused, or nothing of the history is lost or changed.
#[tokio::test]
async fn a_flipped_bit_never_changes_the_history() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path()).await;
    let path = folder.path().join("sweep.db");
    let good = read(folder.path()).await;
    let bytes = fs::read(&path).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    // A step that is coprime to the page size goes through every place of a page.
    for at in (0..bytes.len()).step_by(157) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).unwrap();
        match stored(folder.path()).await {
            Err(_) => refused += 1,
            Ok((journal, replayed)) => {
                assert_eq!(replayed.events, good.events, "byte {at}");
                assert_eq!(replayed.state, good.state, "byte {at}");
                harmless += 1;
                sweep_coordinator::journal::Journal::Sqlite(journal).close().await;
            }
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(folder.path().join(format!("sweep.db{suffix}")));
        }
    }
    assert!(refused > 20 && harmless > 20, "{refused} refused, {harmless} harmless: not a test of anything");
}

#[tokio::test]
async fn an_admin_has_a_copy_made_while_a_sweep_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(Config::folder(folder.path())).await;
    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    world.submit(SPEC).await.unwrap();
    let mut upkeep = UpkeepClient::new(world.channel.clone());
    let request = |target: &str| v1::BackupRequest { target: target.to_owned(), with_blobs: true };
    let (made, finished) = tokio::join!(upkeep.backup(request("first")), agent.finish_all());
    assert_eq!(finished, 4);
    let made = made.unwrap().into_inner();
    assert!(made.path.ends_with("/backups/first") && made.events >= 2, "{made:?}");
    let again = upkeep.backup(request("first")).await.unwrap_err();
    assert_eq!(reason_of(&again).as_deref(), Some("backup_exists"));
    let wrong = upkeep.backup(request("../first")).await.unwrap_err();
    assert_eq!(reason_of(&wrong).as_deref(), Some("backup_place"));
    let check = upkeep.check(v1::CheckRequest::default()).await.unwrap().into_inner();
    assert!(check.findings.iter().all(|finding| finding.level == "ok"), "{check:?}");
    drop((upkeep, agent));
    world.stop().await;
    let (_, copy) = stored(Path::new(&made.path)).await.unwrap();
    assert_eq!(copy.events, made.events);
}
