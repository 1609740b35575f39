//! A journal that was damaged in any way: it is read as the beginning of what was written, or refused. An input is a list of
//! changes, of bytes of its files (the first byte even) or of its rows (odd). Those of a forger, who would mend the checksum, are
//! not looked for.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use sweep_coordinator::journal::sqlite::SqliteJournal;
use sweep_coordinator::journal::{Batch, Journal, JournalError, Replayed};
use sweep_core::event::Event;
use sweep_core::state::State;
use sweep_core::time::Timestamp;
use tokio::runtime::Runtime;

use super::kind;

/// The file, and the log beside it that SQLite has not yet put into it.
const FILES: [&str; 2] = ["sweep.db", "sweep.db-wal"];
/// Most changes of one input.
const CHANGES: usize = 12;
/// Events of the journal.
const EVENTS: usize = 48;
/// Events in a commit.
const COMMIT: usize = 4;

/// A journal as it was written.
struct Truth {
    files: [Vec<u8>; 2],
    /// The state after so many events, where a commit ends.
    states: Vec<(u64, State)>,
}

/// See the module.
pub(super) fn journal(bytes: &[u8]) -> u64 {
    static TRUTH: OnceLock<Truth> = OnceLock::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let truth = TRUTH.get_or_init(|| Truth::new(&runtime));
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    let folder = tempfile::tempdir().expect("there is room for a journal");
    let mut from = Unstructured::new(rest);
    let mut files = truth.files.clone();
    if first % 2 == 0 {
        // The end of an input is no error.
        while !from.is_empty() && change(&mut files, &mut from).is_ok() {}
    }
    put(folder.path(), &files);
    if first % 2 == 1 {
        runtime.block_on(rows(folder.path(), &mut from));
    }
    let opened = runtime.block_on(async {
        let (journal, replayed) = SqliteJournal::open(folder.path()).await?;
        let journal = Journal::Sqlite(journal);
        // Read once more, as the audit does.
        let audited = journal.reader().audit().await.map(|auditor| auditor.all().events);
        journal.close().await;
        Ok::<_, JournalError>((replayed, audited))
    });
    match opened {
        Ok((Replayed { state, events, .. }, audited)) => {
            let expected = truth.states.iter().find(|(count, _)| *count == events);
            let (_, expected) = expected.unwrap_or_else(|| panic!("{events} events: a part of a commit"));
            assert!(*expected == state, "the first {events} events are not what was written");
            assert_eq!(audited.ok(), Some(events), "the audit reads something else");
            kind(events)
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
            kind(match error {
                JournalError::Damaged { event, damage } => format!("{event} {damage:?}"),
                other => format!("{other:?}").chars().take_while(char::is_ascii_alphanumeric).collect(),
            })
        }
    }
}

impl Truth {
    /// The beginning of what a cluster with faults writes; the second half of it is still in the log.
    fn new(runtime: &Runtime) -> Self {
        let lived = |seed| crate::model::run(seed, false).expect("a cluster does its work").text;
        let text = (1..).map(lived).find(|text| text.lines().count() >= EVENTS).unwrap_or_default();
        let read = |line| serde_json::from_str::<Event>(line).expect("an event is read as it was written");
        let events: Vec<Event> = text.lines().map(read).take(EVENTS).collect();
        let folder = tempfile::tempdir().expect("there is room for a journal");
        let (mut state, mut states) = (State::default(), vec![(0, State::default())]);
        let mut files = Default::default();
        runtime.block_on(async {
            let mut writer = None;
            for (number, commit) in events.chunks(COMMIT).enumerate() {
                if number == EVENTS / COMMIT / 2 {
                    close(writer.take()).await;
                }
                let journal = match &mut writer {
                    Some(journal) => journal,
                    none => {
                        let opened = SqliteJournal::open(folder.path()).await.expect("a new journal");
                        none.insert(Journal::Sqlite(opened.0))
                    }
                };
                let at = Timestamp(1_700_000_000_000_000 + number as i64 * 1_000_000);
                let epochs = commit.iter().filter(|event| matches!(event, Event::EpochReported { .. }));
                let keys = epochs.map(|_| number as i64).collect();
                commit.iter().for_each(|event| state.apply(event, at));
                let batch = Batch { at, events: commit.to_vec(), keys, ..Batch::default() };
                journal.commit(&batch).await.expect("there is room for a journal");
                states.push((states.len() as u64 * COMMIT as u64, state.clone()));
            }
            // As a killed process leaves them.
            files = FILES.map(|name| fs::read(folder.path().join(name)).expect("it is there"));
            close(writer).await;
        });
        Self { files, states }
    }
}

async fn close(journal: Option<Journal>) {
    if let Some(journal) = journal {
        journal.close().await;
    }
}

fn put(folder: &Path, files: &[Vec<u8>; 2]) {
    for (name, bytes) in FILES.iter().zip(files) {
        fs::write(folder.join(name), bytes).expect("there is room for a journal");
    }
}

/// What disks, and people with an editor, do to a file.
fn change(files: &mut [Vec<u8>; 2], from: &mut Unstructured<'_>) -> Result<()> {
    let file = &mut files[usize::from(from.ratio(1, 3)?)];
    let what = from.int_in_range(0..=7)?;
    let at = from.arbitrary::<u32>()? as usize % (file.len() + 1);
    let value: u8 = from.arbitrary()?;
    // A sector, and a page of SQLite.
    let (sector, page) = (at - at % 512, at - at % 4096);
    match what {
        0..=2 => file.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (value % 8)),
        3 => file.iter_mut().skip(at).take(1 + usize::from(value % 8)).for_each(|byte| *byte = value),
        4 => file.iter_mut().skip(sector).take(512).for_each(|byte| *byte = 0),
        5 => file.truncate(if value.is_multiple_of(2) { at } else { sector }),
        6 => {
            // Written to another place than where it belongs.
            let to = usize::from(value) * 4096 % (file.len() + 1);
            let moved: Vec<u8> = file.iter().skip(page).take(4096).copied().collect();
            file.iter_mut().skip(to - to % 4096).zip(moved).for_each(|(byte, new)| *byte = new);
        }
        _ => file.extend(std::iter::repeat_n(value, at % 5000)),
    }
    Ok(())
}

/// Changes in the table itself, which SQLite finds nothing wrong with.
async fn rows(folder: &Path, from: &mut Unstructured<'_>) {
    let options = SqliteConnectOptions::new().filename(folder.join(FILES[0])).disable_statement_logging();
    let mut connection = options.connect().await.expect("a whole file opens");
    for _ in 0..CHANGES {
        if from.is_empty() || row(&mut connection, from).await.is_err() {
            break;
        }
    }
    connection.close().await.expect("a whole file closes");
}

async fn row(connection: &mut SqliteConnection, from: &mut Unstructured<'_>) -> Result<()> {
    const NUMBERS: [i64; 8] = [0, -1, 1, 2049, 1 << 31, 1 << 53, i64::MAX, i64::MIN];
    const CHANGES: [&str; 8] = [
        "UPDATE events SET no = ?2 WHERE no = ?1",
        "UPDATE events SET count = ?2 WHERE no = ?1",
        "UPDATE events SET at = ?2 WHERE no = ?1",
        "UPDATE events SET \"check\" = ?2 WHERE no = ?1",
        "UPDATE events SET body = substr(body, 1, ?2) WHERE no = ?1",
        "UPDATE events SET body = substr(body, 1, ?2) || 'x' || substr(body, ?2) WHERE no = ?1",
        "DELETE FROM events WHERE no = ?1 AND ?2 IS NOT NULL",
        "INSERT OR REPLACE INTO events SELECT ?2, count, at, \"check\", body FROM events WHERE no = ?1",
    ];
    let sql = CHANGES[from.choose_index(CHANGES.len())?];
    let no = 1 + i64::from(from.int_in_range(0u8..=11)?) * COMMIT as i64;
    let value = match from.int_in_range(0..=3)? {
        0 => NUMBERS[from.choose_index(NUMBERS.len())?],
        1 => from.arbitrary()?,
        2 => 1 + i64::from(from.int_in_range(0u8..=11)?) * COMMIT as i64,
        _ => i64::from(from.arbitrary::<u8>()?),
    };
    // What the table itself refuses is not changed.
    sqlx::query(sql).bind(no).bind(value).execute(connection).await.ok();
    Ok(())
}
