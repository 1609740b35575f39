//! Compares the table of curves with the events that it was written from: it is what people are shown, and nothing else reads it
//! back. Of each attempt a sum is kept, not its epochs.

use std::collections::HashMap;
use std::path::Path;

use futures_util::TryStreamExt as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use sweep_core::attempt::EpochMetrics;
use sweep_core::event::Event;
use sweep_core::id::{Attempt, TrialId};
use sweep_core::state::State;

use super::{JournalError, key};

/// The epochs of an attempt, added up in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Curve {
    last: u64,
    sum: u32,
}

impl Curve {
    /// One that comes again takes the place of the first in the table, and is named by whoever judges the history.
    fn add(&mut self, metrics: &EpochMetrics) {
        if metrics.seq > self.last {
            let text = serde_json::to_vec(metrics).expect("metrics have string keys only");
            let mut sum = crc32fast::Hasher::new_with_initial(self.sum);
            sum.update(&text);
            *self = Self { last: metrics.seq, sum: sum.finalize() };
        }
    }
}

/// What the table says, and what events say.
#[derive(Debug, Default)]
pub(super) struct Curves {
    /// Events that were there when the table was read.
    until: u64,
    seen: u64,
    stored: HashMap<(i64, Attempt), Curve>,
    told: HashMap<(TrialId, Attempt), Curve>,
}

impl Curves {
    /// Reads the table, beside whoever writes.
    pub(super) async fn read(connection: &mut SqliteConnection, path: &Path) -> Result<Self, JournalError> {
        let sql = |source| JournalError::sql("reading the curves of", path, source);
        let mut curves = Self::default();
        let mut moment = connection.begin().await.map_err(sql)?;
        let last = "SELECT coalesce(max(no + count - 1), 0) FROM events WHERE no = (SELECT max(no) FROM events)";
        let last: i64 = sqlx::query_scalar(last).fetch_one(&mut *moment).await.map_err(sql)?;
        curves.until = last as u64;
        let query = "SELECT trial, attempt, metrics FROM epochs ORDER BY trial, attempt, seq";
        let mut rows = sqlx::query_as::<_, (i64, Attempt, String)>(query).fetch(&mut *moment);
        while let Some((trial, attempt, text)) = rows.try_next().await.map_err(sql)? {
            let curve = curves.stored.entry((trial, attempt)).or_default();
            match serde_json::from_str(&text) {
                Ok(metrics) => curve.add(&metrics),
                // No epoch says the same.
                Err(_) => curve.last = u64::MAX,
            }
        }
        drop(rows);
        moment.rollback().await.map_err(sql)?;
        Ok(curves)
    }

    /// The next event.
    pub(super) fn hear(&mut self, event: &Event) {
        self.seen += 1;
        if let Event::EpochReported { lease, metrics } = event
            && self.seen <= self.until
        {
            self.told.entry((lease.trial, lease.attempt)).or_default().add(metrics);
        }
    }

    /// Attempts of which the table says something else, or of which it alone says something; the first by their place.
    pub(super) fn differ(mut self, state: &State) -> Vec<String> {
        let mut differ = Vec::new();
        for ((trial, attempt), told) in self.told {
            let Some(at) = state.find(trial) else { continue };
            let place = (key(at.sweep, at.index), attempt);
            if self.stored.remove(&place) != Some(told) {
                differ.push((place, format!("trial {trial}, attempt {attempt}")));
            }
        }
        let unknown = |place: (i64, Attempt)| (place, format!("attempt {} of a trial that reported none", place.1));
        differ.extend(self.stored.into_keys().map(unknown));
        differ.sort();
        differ.into_iter().map(|(_, name)| name).collect()
    }
}
