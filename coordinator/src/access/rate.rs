//! How often somebody may call: a bucket each that fills by itself. Pure but for the time it is told. What
//! is kept is bounded: full buckets say nothing and are forgotten first.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Buckets that are kept.
const LONGEST: usize = 16_384;

/// How fast a bucket fills, and how much is in it at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Calls that may come at once.
    pub(crate) burst: f64,
    /// Calls a second, on average.
    pub(crate) each_second: f64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// One bucket for each key.
#[derive(Debug)]
pub(crate) struct Buckets<Key> {
    rate: Rate,
    buckets: BTreeMap<Key, Bucket>,
}

impl<Key: Ord + Clone> Buckets<Key> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: BTreeMap::new() }
    }

    /// Whether there is one left; takes it.
    pub(crate) fn take(&mut self, key: &Key, now: Instant) -> bool {
        let left = self.left(key, now);
        let has = left >= 1.0;
        if !self.buckets.contains_key(key) && self.buckets.len() >= LONGEST {
            self.forget(now);
        }
        self.buckets.insert(key.clone(), Bucket { left: if has { left - 1.0 } else { left }, at: now });
        has
    }

    fn left(&self, key: &Key, now: Instant) -> f64 {
        let Some(bucket) = self.buckets.get(key) else { return self.rate.burst };
        filled(self.rate, bucket, now)
    }

    fn forget(&mut self, now: Instant) {
        let rate = self.rate;
        self.buckets.retain(|_, bucket| filled(rate, bucket, now) < rate.burst);
        if self.buckets.len() >= LONGEST {
            // Everybody is busy: the flood gets no memory out of it.
            self.buckets.pop_first();
        }
    }
}

fn filled(rate: Rate, bucket: &Bucket, now: Instant) -> f64 {
    let since = now.saturating_duration_since(bucket.at).max(Duration::ZERO).as_secs_f64();
    (bucket.left + since * rate.each_second).min(rate.burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut buckets = Buckets::new(Rate { burst: 3.0, each_second: 2.0 });
        let start = Instant::now();
        let mut take = |key: &str, millis| buckets.take(&key.to_owned(), start + Duration::from_millis(millis));
        assert_eq!([take("a", 0), take("a", 0), take("a", 0), take("a", 0)], [true, true, true, false]);
        assert!(take("b", 0), "others have their own");
        assert_eq!([take("a", 500), take("a", 500)], [true, false]);
        assert!(![take("a", 99_000), take("a", 99_000), take("a", 99_000), take("a", 99_000)][3]);
    }

    #[test]
    fn a_flood_of_keys_is_bounded() {
        let mut buckets = Buckets::new(Rate { burst: 1.0, each_second: 1.0 });
        let now = Instant::now();
        for key in 0..LONGEST as u64 + 100 {
            buckets.take(&key, now);
        }
        assert!(buckets.buckets.len() <= LONGEST);
    }
}
