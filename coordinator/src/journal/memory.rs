//! A journal in memory for simulations: it survives a simulated crash of the coordinator because the
//! caller keeps the store, and it loses whatever was not synced, as a disk would. Rows are the same
//! text as on disk, so that reading them back is the same code.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sweep_core::attempt::EpochMetrics;
use sweep_core::event::Event;
use sweep_core::id::Lease;
use sweep_core::time::Timestamp;

use super::rows::Row;
use super::{Batch, Damage, JournalError, LogChunk, Replayed, Step, series};

/// What a simulated sync takes.
const SYNC: Duration = Duration::from_millis(1);

/// The simulated disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    /// Rows, and how many of them are synced.
    rows: Vec<Row>,
    synced: usize,
    epochs: BTreeMap<(i64, u32, u64), EpochMetrics>,
    logs: BTreeMap<(Lease, u64), Vec<u8>>,
    log_ends: BTreeMap<Lease, u64>,
    steps: BTreeMap<(Lease, u64), u64>,
    full: bool,
    broken: bool,
}

impl MemoryStore {
    /// A disk without room refuses every commit until it has room again.
    pub fn set_full(&self, full: bool) {
        self.disk().full = full;
    }

    /// A broken disk fails every commit.
    pub fn set_broken(&self) {
        self.disk().broken = true;
    }

    /// The synced events.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn events(&self) -> Result<Vec<Event>, JournalError> {
        Ok(self.timed()?.into_iter().map(|(_, event)| event).collect())
    }

    /// The synced events with their times.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn timed(&self) -> Result<Vec<(Timestamp, Event)>, JournalError> {
        let mut timed = Vec::new();
        let disk = self.disk();
        for row in &disk.rows[..disk.synced] {
            timed.extend(row.decode()?.into_iter().map(|event| (row.at, event)));
        }
        Ok(timed)
    }

    /// The synced rows; for tests that damage or compare them.
    pub fn rows(&self) -> Vec<Row> {
        let disk = self.disk();
        disk.rows[..disk.synced].to_vec()
    }

    /// The synced rows after the first so many.
    pub fn since(&self, first: usize) -> Vec<Row> {
        let disk = self.disk();
        disk.rows[first.min(disk.synced)..disk.synced].to_vec()
    }

    /// Puts other rows in place of those there are; for tests.
    pub fn replace_rows(&self, rows: Vec<Row>) {
        let mut disk = self.disk();
        disk.synced = rows.len();
        disk.rows = rows;
    }

    pub(super) fn curve(&self, key: i64) -> Vec<(u32, EpochMetrics)> {
        let range = (key, 0, 0)..=(key, u32::MAX, u64::MAX);
        self.disk().epochs.range(range).map(|((_, attempt, _), metrics)| (*attempt, metrics.clone())).collect()
    }

    pub(super) fn curves(&self, first: i64, last: i64) -> Vec<(u32, EpochMetrics)> {
        let range = (first, 0, 0)..=(last, u32::MAX, u64::MAX);
        let row = |((key, _, _), metrics): (&(i64, u32, u64), &EpochMetrics)| ((key - first) as u32, metrics.clone());
        self.disk().epochs.range(range).map(row).collect()
    }

    pub(super) fn logs(&self, lease: Lease, from: u64) -> Vec<(u64, Vec<u8>)> {
        let range = (lease, from)..=(lease, u64::MAX);
        self.disk().logs.range(range).map(|((_, offset), text)| (*offset, text.clone())).collect()
    }

    pub(super) fn steps(&self, lease: Lease) -> Vec<Step> {
        let range = (lease, 0)..=(lease, u64::MAX);
        let steps = self.disk();
        let step = |((lease, step), bits): (&(Lease, u64), &u64)| Step {
            lease: *lease,
            step: *step,
            loss: f64::from_bits(*bits),
        };
        steps.steps.range(range).map(step).collect()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("nobody panics while holding the simulated disk")
    }
}

/// The writer.
#[derive(Debug)]
pub struct MemoryJournal {
    store: MemoryStore,
    next: u64,
}

impl MemoryJournal {
    /// Starts on a disk: what was not synced before is gone.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn open(store: MemoryStore) -> Result<(Self, Replayed), JournalError> {
        let mut replayed = Replayed::default();
        {
            let mut disk = store.disk();
            let synced = disk.synced;
            disk.rows.truncate(synced);
            for row in &disk.rows {
                if row.no != replayed.events + 1 {
                    return Err(JournalError::Damaged { event: replayed.events + 1, damage: Damage::Gap });
                }
                for event in row.decode()? {
                    replayed.state.apply(&event, row.at);
                }
                replayed.events += row.count;
                replayed.newest = replayed.newest.max(row.at);
            }
        }
        let next = replayed.events + 1;
        Ok((Self { store, next }, replayed))
    }

    pub(super) fn store(&self) -> MemoryStore {
        self.store.clone()
    }

    pub(super) async fn commit(&mut self, batch: &Batch) -> Result<(), JournalError> {
        let (full, broken) = {
            let disk = self.store.disk();
            (disk.full, disk.broken)
        };
        if full {
            return Err(JournalError::Full { path: "memory".into() });
        }
        if broken {
            let source = sqlx::Error::Io(std::io::Error::other("the simulated disk is broken"));
            return Err(JournalError::Sql { action: "writing", path: "memory".into(), source });
        }
        if !batch.events.is_empty() {
            self.store.disk().rows.push(Row::encode(self.next, batch.at, &batch.events));
        }
        // A crash here loses the row.
        tokio::time::sleep(SYNC).await;
        let mut disk = self.store.disk();
        disk.synced = disk.rows.len();
        let reports = batch.events.iter().filter_map(|event| match event {
            Event::EpochReported { lease, metrics } => Some((lease.attempt, metrics)),
            _ => None,
        });
        for ((attempt, metrics), key) in reports.zip(&batch.keys) {
            disk.epochs.insert((*key, attempt, metrics.seq), metrics.clone());
        }
        batch.series.logs.iter().for_each(|chunk| disk.log(chunk));
        for step in &batch.series.steps {
            disk.steps.insert((step.lease, step.step), step.loss.to_bits());
        }
        self.next += batch.events.len() as u64;
        Ok(())
    }
}

impl Disk {
    fn log(&mut self, chunk: &LogChunk) {
        let end = self.log_ends.get(&chunk.lease).copied().unwrap_or(0);
        if let Some((offset, text, end)) = series::fresh(chunk, end) {
            self.logs.insert((chunk.lease, offset), text);
            self.log_ends.insert(chunk.lease, end);
        }
    }
}
