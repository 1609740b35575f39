//! What may go wrong in one run, drawn from its seed: each run has some faults and not others, in its own strength, so that faults
//! are also seen alone and in pairs (swarm testing: Groce et al. 2012).

use std::time::Duration;

use super::KINDS;
use crate::random::Random;

/// See the module. Shares are in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    /// Calls that do not arrive, and answers that do not.
    pub(super) lost: u64,
    /// Calls that arrive a second time, soon after.
    pub(super) doubled: u64,
    /// Calls that arrive a second time, minutes after.
    pub(super) late: u64,
    /// Longest way of a message, milliseconds.
    pub(super) delay_ms: u64,
    /// Whether these happen at all: coordinator killed, agent killed, host started again, both ways cut, one way cut, trainer
    /// killed, events damaged, disk of the coordinator full, checkpoints cleaned up without mercy, a checkpoint
    /// lost.
    pub(super) kinds: [bool; KINDS],
    /// Longest pause between two faults, milliseconds.
    pub(super) pause_ms: u64,
    /// Longest time that a fault lasts, milliseconds.
    pub(super) lasts_ms: u64,
    /// For how long there are faults.
    pub(super) until: Duration,
    /// Epochs that end a trainer in a crash, and in lines that say that it failed.
    pub(super) crashes: u64,
    /// Checkpoints that are damaged before they are uploaded.
    pub(super) damaged: u64,
    /// By how much the coordinator's clock runs fast, millionths.
    pub(super) rate: i64,
    /// The coordinator's wall clock is wrong by up to so many seconds at each start.
    pub(super) offset_s: i64,
    /// Whether a user cancels and retries.
    pub(super) meddles: bool,
}

impl Weather {
    /// Nothing goes wrong.
    pub(super) fn quiet() -> Self {
        Self { delay_ms: 5, pause_ms: 1000, ..Self::default() }
    }

    /// Drawn.
    pub(super) fn draw(random: &mut Random) -> Self {
        let mut some = |percent: u64, most: u64| if random.chance(percent) { 1 + random.below(most) } else { 0 };
        let (lost, doubled, late) = (some(50, 150), some(50, 150), some(30, 40));
        let (crashes, damaged) = (some(40, 60), some(25, 100));
        let delay_ms = [5, 50, 400, 3000][random.below(4) as usize];
        let mut kinds = [false; KINDS];
        for (kind, on) in kinds.iter_mut().enumerate() {
            *on = random.chance(if kind >= 6 { 25 } else { 50 });
        }
        Self {
            lost,
            doubled,
            late,
            delay_ms,
            kinds,
            pause_ms: [1_000, 4_000, 15_000][random.below(3) as usize],
            lasts_ms: [2_000, 20_000, 150_000][random.below(3) as usize],
            until: Duration::from_secs(30 + random.below(170)),
            crashes,
            damaged,
            rate: if random.chance(30) { random.below(100_001) as i64 - 50_000 } else { 0 },
            offset_s: if random.chance(30) { 1 + random.below(7200) as i64 } else { 0 },
            meddles: random.chance(30),
        }
    }
}
