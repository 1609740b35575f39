//! What was used, in microseconds times thousandths of a device, all in integers. A meter knows how much
//! runs now and since when, so that what it says at any moment follows from the journal: nothing is
//! sampled, and a lease that never ends is counted as it goes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// An hour, microseconds.
const HOUR: i64 = 3_600_000_000;
/// Hours that a week's count looks back, the one that runs included.
const WEEK: i64 = 168;
/// 1 in the fixed point of [`left`].
const ONE: u64 = 1 << 63;
/// 1 / ln 2 in 1/2^32.
const INVERSE_LN2: u128 = 6_196_328_019;
/// `FADE[n][v]` is 2^(-v / 256^(n + 1)) in units of 1 / [`ONE`]: a factor for each byte of a fraction.
static FADE: [[u64; 256]; 8] = fade();

/// Use that fades: after a half-life it counts half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// Thousandths of devices in use.
    pub running: u64,
    used: u64,
    at: Timestamp,
}

impl Meter {
    /// What was used up to `now`, faded.
    pub fn used(&self, now: Timestamp, half_life: Span) -> u64 {
        let time = (now - self.at).0;
        if time <= 0 {
            return self.used;
        }
        let left = left(time, half_life.0);
        let old = (u128::from(self.used) * u128::from(left)) >> 63;
        // What ran fades from the moment it was used: the integral, in 1/2^30 microseconds.
        let ran = (u128::from(ONE - left) * constant(half_life)) >> 33;
        let new = (ran * u128::from(self.running)) >> 30;
        u64::try_from(old + new).unwrap_or(u64::MAX)
    }

    /// From `now` on so much more (or less) is in use.
    pub(super) fn change(&mut self, now: Timestamp, half_life: Span, by: i64) {
        self.settle(now, half_life);
        self.running = self.running.saturating_add_signed(by);
    }

    /// Counts up to `now`; call before the half-life changes.
    pub(super) fn settle(&mut self, now: Timestamp, half_life: Span) {
        self.used = self.used(now, half_life);
        self.at = self.at.max(now);
    }
}

/// The average age that use fades with, microseconds: a device that always runs is worth so much use,
/// and `used / constant` is the average number of devices lately.
pub fn constant(half_life: Span) -> u128 {
    (u128::from(half_life.0.unsigned_abs()) * INVERSE_LN2) >> 32
}

/// 2^(-time / half_life), in units of 1 / [`ONE`].
fn left(time: i64, half_life: i64) -> u64 {
    let (time, half_life) = (time.unsigned_abs(), half_life.unsigned_abs().max(1));
    let halvings = time / half_life;
    if halvings >= 63 {
        return 0;
    }
    let rest = ((u128::from(time % half_life) << 64) / u128::from(half_life)) as u64;
    let factors = rest.to_be_bytes().into_iter().zip(&FADE).map(|(byte, factors)| factors[usize::from(byte)]);
    factors.fold(ONE, times) >> halvings
}

const fn times(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> 63) as u64
}

const fn fade() -> [[u64; 256]; 8] {
    let mut fade = [[ONE; 256]; 8];
    // 2^(-1/2), 2^(-1/4), 2^(-1/8), ...
    let mut root: u128 = 1 << 62;
    let mut bit = 0;
    while bit < 64 {
        root = (root << 63).isqrt();
        let mut value = 0;
        while value < 256 {
            if value >> (7 - bit % 8) & 1 == 1 {
                fade[bit / 8][value] = times(fade[bit / 8][value], root as u64);
            }
            value += 1;
        }
        bit += 1;
    }
    fade
}

/// Use of the last seven days, hour by hour: it counts in full, and then no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Week {
    /// Thousandths of devices in use.
    pub running: u64,
    at: Timestamp,
    /// Hours with use, oldest first: number of the hour since 1970, and how much.
    hours: VecDeque<(i64, u64)>,
}

impl Week {
    /// What was used in the seven days before `now`, to the hour.
    pub fn used(&self, now: Timestamp) -> u64 {
        let first = hour(now) - WEEK + 1;
        let old = self.hours.iter().filter(|(hour, _)| *hour >= first).map(|(_, used)| *used);
        let since = self.at.0.max(first * HOUR);
        let new = (now.0 - since).max(0).unsigned_abs().saturating_mul(self.running);
        old.fold(new, u64::saturating_add)
    }

    /// When less than `limit` will have been used if nothing more runs from `now` on; `now` if it is so already.
    pub fn below(&self, now: Timestamp, limit: u64) -> Option<Timestamp> {
        let mut other = self.clone();
        other.change(now, 0);
        other.running = 0;
        if other.used(now) < limit {
            return Some(now);
        }
        let ends = other.hours.iter().map(|(hour, _)| Timestamp((hour + WEEK) * HOUR));
        ends.filter(|end| *end > now).find(|end| other.used(*end) < limit)
    }

    /// From `now` on so much more (or less) is in use.
    pub(super) fn change(&mut self, now: Timestamp, by: i64) {
        let first = hour(now) - WEEK + 1;
        self.hours.retain(|(hour, _)| *hour >= first);
        let mut since = self.at.0.max(first * HOUR);
        while self.running > 0 && since < now.0 {
            let number = since.div_euclid(HOUR);
            let end = ((number + 1) * HOUR).min(now.0);
            self.add(number, (end - since).unsigned_abs().saturating_mul(self.running));
            since = end;
        }
        self.at = self.at.max(now);
        self.running = self.running.saturating_add_signed(by);
    }

    fn add(&mut self, number: i64, used: u64) {
        match self.hours.back_mut() {
            Some((hour, sum)) if *hour == number => *sum = sum.saturating_add(used),
            _ => self.hours.push_back((number, used)),
        }
    }
}

/// How long an attempt takes, as seen by somebody who looks at a running one: long attempts count by their
/// length. What was long ago counts less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typical {
    /// Lengths, milliseconds.
    sum: u64,
    squares: u128,
}

impl Typical {
    /// Of a lab where nothing has ended yet.
    const FIRST: Span = Span::seconds(600);
    const SHORTEST: i64 = Span::seconds(10).0;
    const LONGEST: i64 = Span::hours(24).0;

    /// The typical length.
    pub fn span(&self) -> Span {
        match self.squares.checked_div(self.sum.into()) {
            None => Self::FIRST,
            Some(millis) => {
                let micros = i64::try_from(millis.saturating_mul(1000)).unwrap_or(i64::MAX);
                Span(micros.clamp(Self::SHORTEST, Self::LONGEST))
            }
        }
    }

    /// An attempt has ended.
    pub(super) fn note(&mut self, length: Span) {
        let millis = length.0.max(0).unsigned_abs() / 1000;
        self.sum = self.sum - (self.sum >> 8) + millis;
        self.squares = self.squares - (self.squares >> 8) + u128::from(millis) * u128::from(millis);
    }
}

fn hour(now: Timestamp) -> i64 {
    now.0.div_euclid(HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Span = Span::hours(24);

    #[test]
    fn use_counts_half_after_a_half_life() {
        let mut meter = Meter::default();
        meter.change(Timestamp(0), DAY, 2000);
        let end = Timestamp(HOUR);
        meter.change(end, DAY, -2000);
        let hour = meter.used(end, DAY);
        let full = 2000 * HOUR as u64;
        assert!(hour < full && hour > full * 98 / 100, "{hour}");
        assert_eq!(meter.used(end + DAY, DAY), hour / 2);
        assert_eq!(meter.used(end + Span(DAY.0 * 3), DAY), hour / 8);
        assert_eq!(meter.used(end + Span(DAY.0 * 80), DAY), 0);
        // What always runs comes to the constant.
        let mut meter = Meter::default();
        meter.change(Timestamp(0), DAY, 1000);
        let long = meter.used(Timestamp(DAY.0 * 62), DAY);
        assert!((long as f64 / 1000.0 / constant(DAY) as f64 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn long_attempts_are_what_is_seen_running() {
        let mut typical = Typical::default();
        assert_eq!(typical.span(), Span::seconds(600));
        let is_a_minute = |typical: &Typical| (typical.span().as_seconds() - 60.0).abs() < 0.5;
        (0..100).for_each(|_| typical.note(Span::seconds(60)));
        assert!(is_a_minute(&typical), "{:?}", typical.span());
        typical.note(Span::seconds(6000));
        assert!(typical.span() > Span::seconds(3000), "{:?}", typical.span());
        (0..10_000).for_each(|_| typical.note(Span::seconds(60)));
        assert!(is_a_minute(&typical), "{:?}", typical.span());
        (0..10_000).for_each(|_| typical.note(Span(0)));
        assert_eq!(typical.span(), Span::seconds(10));
    }

    #[test]
    fn a_week_is_forgotten_hour_by_hour() {
        let mut week = Week::default();
        week.change(Timestamp(HOUR / 2), 1000);
        assert_eq!(week.used(Timestamp(HOUR)), 1000 * HOUR as u64 / 2);
        week.change(Timestamp(3 * HOUR), -1000);
        let full = 1000 * HOUR as u64;
        assert_eq!(week.used(Timestamp(100 * HOUR)), full * 5 / 2);
        assert_eq!(week.used(Timestamp(WEEK * HOUR)), full * 2, "the half hour is too old");
        assert_eq!(week.used(Timestamp((WEEK + 2) * HOUR)), 0);
        assert_eq!(week.below(Timestamp(3 * HOUR), full * 3), Some(Timestamp(3 * HOUR)));
        assert_eq!(week.below(Timestamp(3 * HOUR), full + 1), Some(Timestamp((WEEK + 1) * HOUR)));
        assert_eq!(week.below(Timestamp(3 * HOUR), 0), None);
    }

    proptest! {
        /// However often it is looked at, a meter says what the formula says.
        #[test]
        fn a_meter_is_the_integral(
            steps in prop::collection::vec((0i64..200_000_000_000, 0u64..9), 1..40),
            half_life in HOUR..400 * 24 * HOUR,
        ) {
            let span = Span(half_life);
            let (mut meter, mut now, mut exact) = (Meter::default(), Timestamp(0), 0.0f64);
            let mut week = Week::default();
            for (time, devices) in steps {
                let fade = (-(time as f64) / half_life as f64 * std::f64::consts::LN_2).exp();
                let tau = half_life as f64 / std::f64::consts::LN_2;
                exact = exact * fade + meter.running as f64 * tau * (1.0 - fade);
                now = now + Span(time);
                let by = devices as i64 * 1000 - meter.running as i64;
                meter.change(now, span, by);
                week.change(now, by);
                prop_assert_eq!(week.running, meter.running);
                prop_assert!(week.hours.len() <= WEEK as usize + 1);
            }
            let found = meter.used(now, span) as f64;
            prop_assert!((found - exact).abs() <= 1e-6 * exact + 1e6, "{} {}", found, exact);
        }
    }
}
