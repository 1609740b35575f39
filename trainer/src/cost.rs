//! What an epoch costs: the time of its steps, the time it waited for batches, the most memory the
//! process ever had. Of the clock and the machine: nothing here is compared between two runs.

use std::fs;
use std::time::{Duration, Instant};

use sweep_core::cost::EpochCost;
use sweep_core::recipe::Numerics;

/// Follows the training steps of one epoch. On a GPU, whose work runs behind, a step is given to it
/// in less time than it takes; but only so many can wait, and from then on the times here are its
/// own.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    /// End of the step before, or the beginning.
    before: Instant,
    /// From one end of a step to the next, milliseconds.
    steps: Vec<f32>,
    waited: Duration,
}

impl Pace {
    /// The epoch begins.
    pub fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, before: now, steps: Vec::new(), waited: Duration::ZERO }
    }

    /// A batch is here.
    pub fn batch(&mut self) {
        self.waited += self.before.elapsed();
    }

    /// Its step is done.
    pub fn step(&mut self) {
        let now = Instant::now();
        self.steps.push((now - self.before).as_secs_f32() * 1e3);
        self.before = now;
    }

    /// The sums, after the last step.
    pub fn cost(self, numerics: Numerics) -> EpochCost {
        let whole = (self.before - self.began).as_secs_f64();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        EpochCost {
            step_ms: median(self.steps).into(),
            data_wait: (self.waited.as_secs_f64() / whole).into(),
            device_memory: None,
            steps: None,
            part: None,
            peak_memory: bytes(&status, "VmHWM:"),
            own_memory: own(&status),
            numerics: Some(numerics.to_string()),
            // The agent's to say: it knows who else is on the device.
            energy: None,
        }
    }
}

/// The middle value, of an even number the higher of the two; NaN of none.
fn median(mut values: Vec<f32>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return f64::NAN;
    }
    f64::from(*values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// A line of `/proc/<pid>/status`, bytes. `VmHWM`: the most of the process that was in memory at once, pages of the mapped
/// image cache that it looked at included.
fn bytes(status: &str, line: &str) -> Option<u64> {
    let line = status.lines().find_map(|found| found.strip_prefix(line))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The most that was in no file. The kernel keeps no such mark, so the pages of files that are in memory now are taken off the mark of
/// all: programs and the image cache, which every trainer of the host shares and which the kernel may let go of.
fn own(status: &str) -> Option<u64> {
    let files = bytes(status, "RssFile:")? + bytes(status, "RssShmem:")?;
    Some(bytes(status, "VmHWM:")?.saturating_sub(files).max(bytes(status, "RssAnon:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!(median(Vec::new()).is_nan());
        assert_eq!(median(vec![3.0]), 3.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 3.0, 2.0]), 3.0);
    }

    #[test]
    fn memory_is_read_from_the_kernels_words() {
        let status = "Name:\tsweep-trainer\nVmPeak:\t  999 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(bytes(status, "VmHWM:"), Some(12_345 * 1024));
        assert_eq!((bytes("VmRSS:\t 1 kB\n", "VmHWM:"), own(status)), (None, None));
        let parts = |anonymous: u64| {
            format!("VmHWM:\t 900 kB\nRssAnon:\t {anonymous} kB\nRssFile:\t 500 kB\nRssShmem:\t 100 kB\n")
        };
        // It had more before; or files came into memory since then.
        assert_eq!((own(&parts(200)), own(&parts(400))), (Some(300 * 1024), Some(400 * 1024)));
        let here = Pace::begin().cost(Numerics::PLAIN);
        let (all, own) = (here.peak_memory.unwrap(), here.own_memory.unwrap());
        assert!(own > 1 << 16 && own < all, "{own} of {all}");
    }

    #[test]
    fn waiting_is_the_time_without_a_batch() {
        let ms = Duration::from_millis;
        let mut pace = Pace::begin();
        // Time is set back instead of slept through: each wait and each step looks so much longer.
        for (wait, work) in [(30, 10), (10, 10), (5, 35)] {
            pace.before -= ms(wait);
            pace.began -= ms(wait);
            pace.batch();
            pace.began -= ms(work);
            pace.before -= ms(work);
            pace.step();
        }
        let cost = pace.cost(Numerics::PLAIN);
        // Reading the clock itself takes a little.
        let near = |found: f64, wanted: f64, within: f64| assert!((found - wanted).abs() < within, "{found} {wanted}");
        near(cost.step_ms.0, 40.0, 5.0);
        near(cost.data_wait.0, 45.0 / 100.0, 0.1);
    }
}
