//! Guest hours: when a host that belongs to somebody else may be used. Written as people do, `Mon-Fri 18:00-08:00,
//! Sat-Sun`, in the local time of the host; a stretch over midnight belongs to the day on which it begins.

use std::str::FromStr;

use jiff::Zoned;
use sweep_core::device::Closed;
use sweep_core::time::Timestamp;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: usize = 24 * 60;
const WEEK: usize = 7 * DAY;

/// Every minute of a week, from Monday on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestHours {
    open: Vec<bool>,
}

/// Not guest hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` is not a stretch of guest hours: {fix}")]
pub struct HoursError {
    part: String,
    fix: &'static str,
}

impl FromStr for GuestHours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let mut open = vec![false; WEEK];
        for part in text.split(',').map(str::trim) {
            let wrong = |fix| HoursError { part: part.to_owned(), fix };
            let mut words = part.split_whitespace();
            let days = words
                .next()
                .and_then(days)
                .ok_or_else(|| wrong("it begins with a day or days, e.g. `Sat` or `Mon-Fri`"))?;
            let (from, length) = match words.next() {
                None => (0, DAY),
                Some(times) => stretch(times).ok_or_else(|| wrong("times are written as `18:00-08:00`"))?,
            };
            if words.next().is_some() {
                return Err(wrong("stretches are separated by commas"));
            }
            for day in days {
                (0..length).for_each(|minute| open[(day * DAY + from + minute) % WEEK] = true);
            }
        }
        Ok(Self { open })
    }
}

/// `Fri-Mon` goes over the weekend.
fn days(text: &str) -> Option<Vec<usize>> {
    let day = |name: &str| {
        let name = name.to_lowercase();
        DAYS.iter().position(|day| name == *day || (name.len() > 3 && long(day).starts_with(&name)))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    Some((0..=(last + 7 - first) % 7).map(|step| (first + step) % 7).collect())
}

fn long(day: &str) -> &'static str {
    match day {
        "mon" => "monday",
        "tue" => "tuesday",
        "wed" => "wednesday",
        "thu" => "thursday",
        "fri" => "friday",
        "sat" => "saturday",
        _ => "sunday",
    }
}

/// Start and length in minutes.
fn stretch(text: &str) -> Option<(usize, usize)> {
    let time = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        let (hours, minutes): (usize, usize) = (hours.parse().ok()?, minutes.parse().ok()?);
        let at = hours * 60 + minutes;
        (minutes < 60 && at <= DAY).then_some(at)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (time(from)?, time(to)?);
    let length = (to + DAY - from) % DAY;
    (from < DAY).then_some((from, if length == 0 { DAY } else { length }))
}

impl GuestHours {
    /// Whether the host is outside of them now, by its own clock.
    pub fn closed(&self) -> Option<Closed> {
        self.closed_at(&Zoned::now())
    }

    fn closed_at(&self, now: &Zoned) -> Option<Closed> {
        let day = usize::try_from(now.weekday().to_monday_zero_offset()).unwrap_or_default();
        let minute = day * DAY + usize::from(now.hour().unsigned_abs()) * 60 + usize::from(now.minute().unsigned_abs());
        let left = self.left(minute)?;
        let until = left.map(|left| {
            // The same moment whenever it is asked. Clocks that are put forward on the way are an hour off until then.
            let start = now.timestamp().as_second() - i64::from(now.second());
            Timestamp((start + left as i64 * 60) * 1_000_000)
        });
        Some(Closed { until })
    }

    /// Minutes until it is open, if it ever is; nothing if it is open.
    fn left(&self, minute: usize) -> Option<Option<usize>> {
        let left = (0..WEEK).find(|step| self.open[(minute + step) % WEEK]);
        (left != Some(0)).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: usize, hour: usize, minute: usize) -> usize {
        day * DAY + hour * 60 + minute
    }

    #[test]
    fn nights_and_weekends() {
        let hours: GuestHours = "Mon-Fri 18:00-08:00, Sat-Sun".parse().unwrap();
        let open = |day, hour, minute| hours.left(at(day, hour, minute)).is_none();
        assert!(open(0, 18, 0) && open(1, 7, 59) && !open(1, 8, 0) && !open(0, 17, 59));
        assert!(open(5, 7, 0) && open(5, 12, 0) && open(6, 23, 59), "the weekend");
        assert!(!open(0, 3, 0), "the night before Monday begins on Sunday, which ends at midnight");
        assert_eq!(hours.left(at(2, 9, 0)), Some(Some(9 * 60)));
        let zoned: Zoned = "2026-11-18T09:00:30+01:00[Europe/Berlin]".parse().unwrap();
        let until = hours.closed_at(&zoned).unwrap().until.unwrap();
        assert_eq!(until.0, "2026-11-18T18:00:00+01:00".parse::<jiff::Timestamp>().unwrap().as_microsecond());
        let open: Zoned = "2026-11-21T09:00:30+01:00[Europe/Berlin]".parse().unwrap();
        assert_eq!(hours.closed_at(&open), None);
    }

    #[test]
    fn what_is_no_stretch_is_said() {
        for text in ["", "Mon-Fri 18-08", "Someday", "Mon 25:00-26:00", "Mon 18:00-08:00 Sat", "Mon 18:61-08:00"] {
            let error = text.parse::<GuestHours>().unwrap_err().to_string();
            assert!(error.contains("is not a stretch of guest hours"), "{error}");
        }
        let all: GuestHours = "monday-Sun 00:00-24:00".parse().unwrap();
        assert_eq!(all.open.iter().filter(|open| **open).count(), WEEK);
        let over: GuestHours = "Sat-Mon".parse().unwrap();
        assert_eq!(over.open.iter().filter(|open| **open).count(), 3 * DAY);
    }
}
