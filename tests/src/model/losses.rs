//! In some seeds the coordinator's journal loses its end, once: what was acknowledged is gone, as after a restore from an older copy or
//! on a disk that lied. Drawn from a stream of its own, so that all other seeds are what they would be without it.

use std::time::Duration;

use sweep_coordinator::journal::memory::MemoryStore;
use sweep_core::event::Event;

use crate::random::Random;

/// Of 100 seeds, how many lose something.
const SHARE: u64 = 15;

/// See the module.
pub(super) struct Losses {
    random: Random,
    /// When, if at all.
    at: Option<Duration>,
    /// Whether this is a seed that loses something.
    pub(super) any: bool,
    /// How often something was lost.
    pub(super) count: u32,
}

impl Losses {
    /// Of a seed in which things go wrong for so long.
    pub(super) fn draw(seed: u64, until: Duration) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e6c_63d0_876a_3f6b) ^ 0x2057);
        let any = until > Duration::ZERO && random.chance(SHARE);
        let at = any.then(|| Duration::from_millis(random.below(until.as_millis().max(1) as u64)));
        Self { random, at, any, count: 0 }
    }

    /// Whether it is time; said once.
    pub(super) fn is_due(&mut self, elapsed: Duration) -> bool {
        self.at.take_if(|at| *at <= elapsed).is_some()
    }

    /// A number for whoever plays a part in it.
    pub(super) fn bits(&mut self) -> u64 {
        self.random.bits()
    }

    /// Cuts the journal; the coordinator is dead. What was submitted stays, because nobody would submit it again.
    pub(super) fn cut(&mut self, store: &MemoryStore) {
        let mut rows = store.rows();
        let submits = |event: &Event| matches!(event, Event::SweepSubmitted { .. });
        let last = rows.iter().rposition(|row| row.decode().is_ok_and(|events| events.iter().any(submits)));
        let most = [1, 5, 40, 1000][self.random.below(4) as usize];
        let Some(kept) = last.map(|last| rows.len().saturating_sub(1 + self.random.below(most) as usize).max(last + 1))
        else {
            return;
        };
        self.count += u32::from(kept < rows.len());
        rows.truncate(kept);
        store.replace_rows(rows);
    }
}
