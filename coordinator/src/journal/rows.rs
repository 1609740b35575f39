//! One row of the journal: the events of one commit as JSON lines, with a checksum. What a row means
//! is the same in every store; how rows are kept is left to them.

use serde_json::Value;
use sweep_core::event::Event;
use sweep_core::time::Timestamp;

use super::{Damage, JournalError};

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of its first event, from 1.
    pub no: u64,
    /// Number of events.
    pub count: u64,
    /// Time of the commit.
    pub at: Timestamp,
    /// CRC-32 of `no`, `at` and `body`; of `body` alone where an earlier release wrote it.
    pub check: u32,
    /// One event a line.
    pub body: String,
}

impl Row {
    /// The row of some events.
    pub fn encode(no: u64, at: Timestamp, events: &[Event]) -> Self {
        let mut body = Vec::with_capacity(events.len() * 384);
        for event in events {
            serde_json::to_writer(&mut body, event).expect("an event has string keys only and memory takes any write");
            body.push(b'\n');
        }
        let body = String::from_utf8(body).expect("JSON is UTF-8");
        Self { no, count: events.len() as u64, at, check: sum(no, at, &body), body }
    }

    /// The events of the row.
    ///
    /// # Errors
    /// When the row is not what was written.
    pub fn decode(&self) -> Result<Vec<Event>, JournalError> {
        decode(self.no, self.count, self.at, self.check, &self.body)
    }
}

fn sum(no: u64, at: Timestamp, body: &str) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&no.to_le_bytes());
    hash.update(&at.0.to_le_bytes());
    hash.update(body.as_bytes());
    hash.finalize()
}

/// The events of a row that is kept in pieces.
///
/// # Errors
/// When the row is not what was written.
pub fn decode(no: u64, count: u64, at: Timestamp, check: u32, body: &str) -> Result<Vec<Event>, JournalError> {
    let damaged = |event, damage| JournalError::Damaged { event, damage };
    if sum(no, at, body) != check && crc32fast::hash(body.as_bytes()) != check {
        return Err(damaged(no, Damage::Checksum));
    }
    let mut events = Vec::with_capacity(count.min(1 << 16) as usize);
    for line in body.lines() {
        let event = serde_json::from_str(line);
        events.push(event.map_err(|error| unread(no + events.len() as u64, line, &error))?);
    }
    if events.len() as u64 != count {
        return Err(damaged(no, Damage::Count));
    }
    Ok(events)
}

/// Why an event of a row as it was written cannot be read: where it is one, but of a kind or with a field that is not known, whoever
/// wrote it knew more.
fn unread(event: u64, line: &str, error: &serde_json::Error) -> JournalError {
    match kind(line) {
        Some(kind) if error.is_data() => JournalError::NewerEvent { event, kind },
        _ => JournalError::Damaged { event, damage: Damage::Unreadable },
    }
}

/// The kind of something that looks like an event.
fn kind(line: &str) -> Option<String> {
    let kind = match serde_json::from_str(line).ok()? {
        Value::Object(fields) if fields.len() == 1 => fields.into_iter().next()?.0,
        _ => return None,
    };
    let is_word =
        !kind.is_empty() && kind.len() <= 64 && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::{SweepId, TrialId};

    #[test]
    fn a_row_says_when_it_is_not_what_was_written() {
        let trial = TrialId::derive(SweepId::derive("x", ""), "a");
        let row = Row::encode(7, Timestamp(1), &[Event::RetryDue { trial }, Event::RetryDue { trial }]);
        assert_eq!(row.decode().unwrap().len(), 2);
        let check = |change: fn(&mut Row), event: u64, damage: Damage| {
            let mut row = row.clone();
            change(&mut row);
            match row.decode() {
                Err(JournalError::Damaged { event: at, damage: found }) => assert_eq!((at, found), (event, damage)),
                other => panic!("{other:?}"),
            }
        };
        check(|row| row.body = row.body.replace("retry", "retri"), 7, Damage::Checksum);
        check(|row| row.at = Timestamp(2), 7, Damage::Checksum);
        check(|row| row.no = 9, 9, Damage::Checksum);
        check(|row| row.count = 3, 7, Damage::Count);
        check(
            |row| {
                row.body = row.body.replace("{\"trial", "{trial");
                row.check = crc32fast::hash(row.body.as_bytes());
            },
            7,
            Damage::Unreadable,
        );
    }

    #[test]
    fn a_row_that_says_more_than_is_known_here_is_not_damaged() {
        let trial = TrialId::derive(SweepId::derive("x", ""), "a");
        let known = Event::RetryDue { trial };
        let body = serde_json::to_string(&known).unwrap();
        for (line, kind) in [
            (body.replace("retry_due", "retry_again"), Some("retry_again")),
            (body.replace("\"trial\"", "\"who\""), Some("retry_due")),
            (body.replace("retry_due", "Retry\\u0007"), None),
            ("[1]".to_owned(), None),
            ("7".to_owned(), None),
        ] {
            let body = format!("{body}\n{line}\n");
            let check = sum(7, Timestamp(1), &body);
            let row = Row { no: 7, count: 2, at: Timestamp(1), check, body };
            match (row.decode(), kind) {
                (Err(JournalError::NewerEvent { event: 8, kind: found }), Some(kind)) => assert_eq!(found, kind),
                (Err(JournalError::Damaged { event: 8, damage: Damage::Unreadable }), None) => {}
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_row_of_an_earlier_release_is_read() {
        let trial = TrialId::derive(SweepId::derive("x", ""), "a");
        let row = Row::encode(7, Timestamp(1), &[Event::RetryDue { trial }]);
        // What is written today has to be read by every later release, too.
        assert_eq!(row.check, 2_975_410_703, "{}", row.body);
        let check = crc32fast::hash(row.body.as_bytes());
        assert_eq!(Row { check, ..row }.decode().unwrap().len(), 1);
    }
}
