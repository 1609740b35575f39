//! Reading a journal file back: many rows in one text, parsed on other threads, handed on in order.
//! What is done with the events is left to the caller.

use std::collections::VecDeque;
use std::path::Path;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sweep_core::event::Event;
use sweep_core::time::Timestamp;
use tokio::task::JoinHandle;

use super::rows::decode;
use super::snapshot::{self, Mark};
use super::{Damage, JournalError, Replayed};
use crate::archive::JOURNAL;

/// Events that are read back at once.
const CHUNK: u64 = 2048;
/// Chunks that are parsed while others are folded.
const AHEAD: usize = 4;

/// All rows whose first event is in a range, as one text: a line `no count at check length` and the body for each.
const READ_CHUNK: &str = r#"
SELECT group_concat(no || ' ' || count || ' ' || at || ' ' || "check" || ' ' || octet_length(body) || x'0a' || body, '' ORDER BY no)
FROM events WHERE no >= ? AND no < ?
"#;

/// Some rows, parsed.
struct Parsed {
    /// Where the range ends that was asked for.
    end: u64,
    first: u64,
    next: u64,
    /// The last of `commits`.
    mark: Option<Mark>,
    commits: Vec<(Timestamp, Vec<Event>)>,
}

impl Parsed {
    /// Whether there is anything in it; it must begin at `next`. A range without rows lies inside of a commit that began before
    /// it: without that it is a gap, of which a damaged number may make a very long one.
    fn follows(&self, next: u64) -> Result<bool, JournalError> {
        let is_empty = self.commits.is_empty();
        match if is_empty { next >= self.end } else { self.first == next } {
            true => Ok(!is_empty),
            false => Err(JournalError::Damaged { event: next, damage: Damage::Gap }),
        }
    }
}

/// Folds the journal, from the newest snapshot beside it on if there is one.
pub(super) async fn replay(connection: &mut SqliteConnection, path: &Path) -> Result<Replayed, JournalError> {
    let begun = match path.parent() {
        Some(folder) => snapshot::newest(connection, folder).await,
        None => Replayed::default(),
    };
    read(connection, path, begun, |_| {}).await
}

/// Goes on with what is folded, and shows each event that follows: SQLite reads on its thread, chunks are parsed on others, and folded here in
/// order.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    path: &Path,
    mut replayed: Replayed,
    mut each: impl FnMut(&Event),
) -> Result<Replayed, JournalError> {
    let sql = |source| JournalError::sql("reading", path, source);
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(no) FROM events").fetch_one(&mut *connection).await.map_err(sql)?;
    let last = last.unwrap_or(0) as u64;
    let mut parsing: VecDeque<JoinHandle<Result<Parsed, JournalError>>> = VecDeque::new();
    let mut from = replayed.events + 1;
    while from <= last || !parsing.is_empty() {
        while from <= last && parsing.len() < AHEAD {
            let text = chunk(connection, from).await.map_err(sql)?;
            let end = from + CHUNK;
            parsing.push_back(tokio::task::spawn_blocking(move || parse(&text.unwrap_or_default(), end)));
            from = end;
        }
        let Some(task) = parsing.pop_front() else { break };
        let parsed = task.await.expect("parsing does not panic and is not cancelled")?;
        parsed.commits.iter().flat_map(|(_, events)| events).for_each(&mut each);
        fold(&mut replayed, parsed)?;
    }
    Ok(replayed)
}

async fn chunk(connection: &mut SqliteConnection, from: u64) -> Result<Option<String>, sqlx::Error> {
    let (from, to) = (from as i64, (from + CHUNK) as i64);
    sqlx::query_scalar(READ_CHUNK).bind(from).bind(to).fetch_one(connection).await
}

fn fold(replayed: &mut Replayed, parsed: Parsed) -> Result<(), JournalError> {
    if !parsed.follows(replayed.events + 1)? {
        return Ok(());
    }
    for (at, events) in &parsed.commits {
        events.iter().for_each(|event| replayed.state.apply(event, *at));
        replayed.newest = replayed.newest.max(*at);
    }
    replayed.events = parsed.next - 1;
    replayed.mark = parsed.mark;
    Ok(())
}

/// Reads what [`READ_CHUNK`] wrote.
fn parse(text: &str, end: u64) -> Result<Parsed, JournalError> {
    let mut parsed = Parsed { end, first: 0, next: 0, mark: None, commits: Vec::new() };
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('\n') {
        let unreadable = JournalError::Damaged { event: parsed.next.max(1), damage: Damage::Unreadable };
        let numbers: Vec<i64> = head.split(' ').filter_map(|number| number.parse().ok()).collect();
        let &[no, count, at, check, length] = numbers.as_slice() else { return Err(unreadable) };
        let Some((body, tail)) = tail.split_at_checked(length as usize) else { return Err(unreadable) };
        if parsed.commits.is_empty() {
            parsed.first = no as u64;
        } else if no as u64 != parsed.next {
            return Err(JournalError::Damaged { event: parsed.next, damage: Damage::Gap });
        }
        let events = decode(no as u64, count as u64, Timestamp(at), check as u32, body)?;
        parsed.commits.push((Timestamp(at), events));
        parsed.mark = Some(Mark { no: no as u64, count: count as u64, at: Timestamp(at), check: check as u32 });
        parsed.next = (no + count) as u64;
        rest = tail;
    }
    Ok(parsed)
}

/// Reads the whole journal beside the writer and hands each event to `each`.
pub(super) async fn read_all(
    readers: &SqlitePool,
    mut each: impl FnMut(Timestamp, &Event),
) -> Result<(), JournalError> {
    let sql = |source| JournalError::sql("reading", Path::new(JOURNAL), source);
    let mut connection = readers.acquire().await.map_err(sql)?;
    let last = last(readers).await?;
    let mut from = 1;
    let mut next = 1;
    while from <= last {
        let text = chunk(&mut connection, from).await.map_err(sql)?;
        let parsed = parse(&text.unwrap_or_default(), from + CHUNK)?;
        if parsed.follows(next)? {
            next = parsed.next;
        }
        for (at, events) in &parsed.commits {
            events.iter().for_each(|event| each(*at, event));
        }
        from += CHUNK;
    }
    Ok(())
}

/// Number of the first event of the last commit.
pub(crate) async fn last(readers: &SqlitePool) -> Result<u64, JournalError> {
    let last: Result<Option<i64>, _> = sqlx::query_scalar("SELECT max(no) FROM events").fetch_one(readers).await;
    last.map(|last| last.unwrap_or(0) as u64).map_err(|source| JournalError::sql("reading", Path::new(JOURNAL), source))
}

/// Reads some rows from event `next` on, which begins one, and does nothing with them; returns what to read next.
pub(crate) async fn check(readers: &SqlitePool, next: u64) -> Result<u64, JournalError> {
    let sql = |source| JournalError::sql("reading", Path::new(JOURNAL), source);
    let mut connection = readers.acquire().await.map_err(sql)?;
    let text = chunk(&mut connection, next).await.map_err(sql)?.unwrap_or_default();
    drop(connection);
    let parsed = tokio::task::spawn_blocking(move || parse(&text, next + CHUNK));
    let parsed = parsed.await.expect("parsing does not panic and is not cancelled")?;
    match parsed.follows(next)? {
        true => Ok(parsed.next),
        false => Err(JournalError::Damaged { event: next, damage: Damage::Gap }),
    }
}
