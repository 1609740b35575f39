//! Numbers as the report writes them, the same in every form: accuracies in per cent, differences in percentage points.

use crate::num::Num;
use crate::report::Spread;
use crate::report::analysis::ALPHA;
use crate::stats::paired::{Difference, Verdict};
use crate::stats::sample::Estimate;

/// What stands where there is nothing to say.
pub const NOTHING: &str = "-";

/// A share (0 to 1) in per cent: `91.25`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.2}", share * 100.0) } else { share.to_string() }
}

/// A difference of shares in percentage points: `+1.25`, `0.00` for what is none at two decimals.
pub fn points(difference: f64) -> String {
    if difference.is_finite() { of_nothing(format!("{:+.2}", difference * 100.0)) } else { difference.to_string() }
}

/// Nothing has no sign.
fn of_nothing(text: String) -> String {
    if matches!(text.as_str(), "-0.00" | "+0.00") { "0.00".to_owned() } else { text }
}

/// `91.25 ± 0.40`: mean and standard deviation.
pub fn mean_and_sd(estimate: &Estimate) -> String {
    match (estimate.mean, estimate.sd) {
        (None, _) => NOTHING.to_owned(),
        (Some(mean), None) => percent(mean.0),
        (Some(mean), Some(sd)) => format!("{} ± {}", percent(mean.0), percent(sd.0)),
    }
}

/// `0.3012 ± 0.0120`: mean and standard deviation of what is no share.
pub fn plain_mean_and_sd(spread: &Spread) -> String {
    match (spread.mean, spread.std) {
        (None, _) => NOTHING.to_owned(),
        (Some(mean), None) => number(mean.0),
        (Some(mean), Some(sd)) => format!("{} ± {}", number(mean.0), number(sd.0)),
    }
}

/// `[90.1, 92.4]`, by `write` each.
pub fn interval(estimate: &Estimate, write: fn(f64) -> String) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("[{}, {}]", write(low.0), write(high.0)),
        _ => NOTHING.to_owned(),
    }
}

/// A p-value: `0.0123`, `<0.0001`.
pub fn p_value(p: Option<Num>) -> String {
    match p {
        None => NOTHING.to_owned(),
        Some(p) if p.0 < 1e-4 => "<0.0001".to_owned(),
        Some(p) => format!("{:.4}", p.0),
    }
}

/// A number with two decimals.
pub fn short(value: Option<Num>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| of_nothing(format!("{:.2}", value.0)))
}

/// Seeds needed: `5`, `more than 10000`.
pub fn needed(difference: &Difference) -> String {
    match (difference.needed, difference.d_z) {
        (Some(n), _) => n.to_string(),
        (None, Some(_)) => format!("more than {}", crate::stats::power::MOST),
        (None, None) => NOTHING.to_owned(),
    }
}

/// What is to be made of a difference, in words.
pub fn verdict(difference: &Difference) -> String {
    match (difference.verdict.name(), difference.estimate.n) {
        ("unknown", 0) => NOTHING.to_owned(),
        ("unknown", 1) => "single run: no spread known".to_owned(),
        ("unknown", _) => "no spread between seeds: no test".to_owned(),
        ("tie", _) if difference.p.is_some_and(|p| p.0 < ALPHA) => "tie after correction".to_owned(),
        (word, _) => word.to_owned(),
    }
}

/// What is to be made of an interaction, in words: neither of them is better.
pub fn additive(difference: &Difference) -> String {
    match difference.verdict {
        Verdict::Better => "more than the sum".to_owned(),
        Verdict::Worse => "less than the sum".to_owned(),
        Verdict::Tie | Verdict::Unknown => verdict(difference),
    }
}

/// A number with four significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() || value == 0.0 => value.to_string(),
        _ if !(1e-4..1e6).contains(&size) => format!("{value:.3e}"),
        _ => {
            let digits = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.digits$}")
        }
    }
}

/// A whole number: `68,851,023`.
pub fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes: `812 MB`, `1.25 GB`.
pub fn bytes(bytes: u64) -> String {
    let mega = bytes as f64 / 1e6;
    if mega < 999.5 { format!("{mega:.0} MB") } else { format!("{:.2} GB", mega / 1e3) }
}

/// A length of time: `12.3 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return NOTHING.to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// A time (microseconds since 1970) as `2026-11-21 21:38:37 UTC`; the civil date by Hinnant's `days_from_civil` turned round.
pub fn stamp(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_the_same_everywhere() {
        assert_eq!((percent(0.91254), points(-0.004), points(0.2)), ("91.25".into(), "-0.40".into(), "+20.00".into()));
        assert_eq!([points(-1e-17), points(1e-5), points(0.0), short(Some(Num(-1e-9)))], ["0.00"; 4]);
        assert_eq!((p_value(Some(Num(0.012_34))), p_value(Some(Num(1e-9)))), ("0.0123".into(), "<0.0001".into()));
        assert_eq!((p_value(None), span(245.2), span(-1.0)), ("-".into(), "4 min 05 s".into(), "-".into()));
        assert_eq!([0.0, 456.0, 9_966_691.0].map(count), ["0", "456", "9,966,691"]);
        assert_eq!(stamp(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(stamp(1_795_297_117_000_000), "2026-11-21 21:38:37 UTC");
        assert_eq!(stamp(951_782_400_000_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(stamp(-1), "1969-12-31 23:59:59 UTC");
    }
}
