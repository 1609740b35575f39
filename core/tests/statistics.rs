//! The statistics against the numbers that SciPy and statsmodels gave; `tests/reference/effects.py` records them.

use serde::Deserialize;
use sweep_core::num::Num;
use sweep_core::stats::multiple::holm;
use sweep_core::stats::paired::{Difference, Verdict, correct, paired};
use sweep_core::stats::power::{needed, power};
use sweep_core::stats::sample::{Estimate, Method};
use sweep_core::stats::student::{Critical, critical, noncentral_cdf, two_sided};

#[derive(Deserialize)]
struct Reference {
    two_sided: Vec<(f64, f64, f64)>,
    critical: Vec<(f64, f64, f64)>,
    noncentral: Vec<(f64, f64, f64, f64)>,
    power: Vec<(f64, u32, f64)>,
    samples: Vec<Sample>,
    pairs: Vec<Pair>,
    holm: Vec<Holm>,
}

#[derive(Deserialize)]
struct Sample {
    values: Vec<f64>,
    mean: f64,
    sd: f64,
    low: f64,
    high: f64,
    bootstrap: (f64, f64),
    bootstrap_scipy: (f64, f64),
}

#[derive(Deserialize)]
struct Pair {
    a: Vec<f64>,
    b: Vec<f64>,
    mean: f64,
    sd: f64,
    t: f64,
    p: f64,
    low: f64,
    high: f64,
    d_z: f64,
    g_z: Option<f64>,
    needed: Option<u32>,
}

#[derive(Deserialize)]
struct Holm {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("statistics.json")).expect("the recorded numbers are JSON")
}

/// Equal up to this share of the expected value, or to the last digits of 1.
#[track_caller]
fn near(found: f64, expected: f64, share: f64, what: &str) {
    let off = (found - expected).abs();
    assert!(off <= share * expected.abs() || off <= 1e-15, "{what}: {found:e} is not {expected:e}");
}

#[test]
fn the_t_distribution_is_scipys() {
    let reference = reference();
    for (t, df, p) in reference.two_sided {
        near(two_sided(t, df), p, 1e-11, &format!("P(|T| > {t}), {df} degrees"));
        near(two_sided(-t, df), p, 1e-11, "the other side");
    }
    for (alpha, df, t) in reference.critical {
        near(critical(alpha, df), t, 1e-11, &format!("critical value of {alpha}, {df} degrees"));
    }
    // With one degree of freedom it is the Cauchy distribution, which is an arc tangent.
    for t in [1e-8, 1e-3, 3.0, 1e6f64] {
        near(two_sided(t, 1.0), std::f64::consts::FRAC_2_PI * t.recip().atan(), 1e-12, "Cauchy");
    }
    assert!(two_sided(f64::NAN, 3.0).is_nan());
    assert_eq!(two_sided(f64::INFINITY, 3.0), 0.0);
}

#[test]
fn power_is_that_of_the_noncentral_t_distribution() {
    let reference = reference();
    for (t, df, delta, p) in reference.noncentral {
        let found = noncentral_cdf(t, df, delta);
        assert!((found - p).abs() < 1e-10, "P(T <= {t}), {df} degrees, {delta}: {found:e} is not {p:e}");
    }
    for (d_z, n, expected) in reference.power {
        let found = power(d_z, n, 0.05);
        assert!((found - expected).abs() < 1e-10, "power of {d_z} with {n}: {found} is not {expected}");
    }
    assert_eq!((needed(0.0, 0.05, 0.8), needed(f64::NAN, 0.05, 0.8)), (None, None));
    assert_eq!(needed(1e-6, 0.05, 0.8), None, "more than anybody can run");
    assert_eq!(needed(1e9, 0.05, 0.8), needed(60.0, 0.05, 0.8));
}

#[test]
fn means_and_their_intervals_are_scipys() {
    let mut critical = Critical::new(0.05);
    for sample in reference().samples {
        let t = Estimate::of(&sample.values, Method::T, &mut critical);
        let all = [t.mean, t.sd, t.low, t.high].map(|value| value.unwrap().0);
        for (found, expected) in all.into_iter().zip([sample.mean, sample.sd, sample.low, sample.high]) {
            near(found, expected, 1e-12, "interval");
        }
        let boot = Estimate::of(&sample.values, Method::Bootstrap, &mut critical);
        let (low, high) = (boot.low.unwrap().0, boot.high.unwrap().0);
        near(low, sample.bootstrap.0, 1e-12, "bootstrap");
        near(high, sample.bootstrap.1, 1e-12, "bootstrap");
        let noise = 0.05 * sample.sd;
        assert!((low - sample.bootstrap_scipy.0).abs() < noise && (high - sample.bootstrap_scipy.1).abs() < noise);
    }
    let one = Estimate::of(&[0.5], Method::T, &mut critical);
    assert_eq!((one.n, one.mean, one.sd, one.low), (1, Some(Num(0.5)), None, None));
    assert_eq!(Estimate::of(&[], Method::T, &mut critical), Estimate::default());
}

#[test]
fn paired_tests_are_scipys() {
    let mut critical = Critical::new(0.05);
    for pair in reference().pairs {
        let differences: Vec<f64> = pair.b.iter().zip(&pair.a).map(|(b, a)| b - a).collect();
        let mut found = paired(&differences, Method::T, &mut critical);
        correct(&mut [&mut found], 0.05);
        let estimate = found.estimate;
        let all = [estimate.mean, estimate.sd, estimate.low, estimate.high, found.t, found.p, found.d_z];
        let expected = [pair.mean, pair.sd, pair.low, pair.high, pair.t, pair.p, pair.d_z];
        for (found, expected) in all.into_iter().zip(expected) {
            near(found.unwrap().0, expected, 1e-10, "paired");
        }
        assert_eq!(found.g_z.is_some(), pair.g_z.is_some());
        if let (Some(found), Some(expected)) = (found.g_z, pair.g_z) {
            near(found.0, expected, 1e-10, "g_z");
        }
        assert_eq!(found.needed, pair.needed.filter(|n| *n <= 10_000), "{differences:?}");
    }
}

#[test]
fn holm_is_statsmodels() {
    for case in reference().holm {
        for (found, expected) in holm(&case.p).into_iter().zip(case.adjusted) {
            near(found, expected, 1e-14, "holm");
        }
    }
    let with_nan = holm(&[f64::NAN, 0.03, 0.02]);
    assert!(with_nan[0].is_nan() && with_nan[1] == 0.04 && with_nan[2] == 0.04, "{with_nan:?}");
}

#[test]
fn no_spread_is_no_certainty() {
    let mut critical = Critical::new(0.05);
    let mut same = paired(&[0.1 + 0.2 - 0.3 + 0.7, 0.7, 0.7], Method::T, &mut critical);
    let mut zero = paired(&[0.0, 0.0], Method::T, &mut critical);
    let mut single = paired(&[0.5], Method::T, &mut critical);
    correct(&mut [&mut same, &mut zero, &mut single], 0.05);
    assert_eq!((same.p, same.verdict), (None, Verdict::Unknown), "rounding is not an effect");
    assert_eq!((zero.p, zero.verdict), (None, Verdict::Tie));
    assert_eq!((single.p, single.verdict, single.estimate.n), (None, Verdict::Unknown, 1));
    let clear = |sign: f64| paired(&[0.1, 0.11, 0.12].map(|value| sign * value), Method::T, &mut Critical::new(0.05));
    let (mut up, mut down): (Difference, Difference) = (clear(1.0), clear(-1.0));
    correct(&mut [&mut up, &mut down], 0.05);
    assert_eq!((up.verdict, down.verdict), (Verdict::Better, Verdict::Worse));
}

/// Accuracies are counts of images over their number: what is left of them where they cancel is rounding, however it compares with itself.
#[test]
fn rounding_is_neither_a_spread_nor_an_effect() {
    let mut critical = Critical::new(0.05);
    let additive = [(46.0, 44.0, 41.0, 39.0), (47.0, 45.0, 43.0, 41.0), (45.0, 42.0, 40.0, 37.0)];
    let contrasts = additive.map(|(a, b, c, d)| ((a / 50.0) - (b / 50.0)) - ((c / 50.0) - (d / 50.0)));
    assert!(contrasts.iter().any(|value| *value != 0.0), "rounding leaves something: {contrasts:?}");
    let mut found = paired(&contrasts, Method::T, &mut critical);
    correct(&mut [&mut found], 0.05);
    assert_eq!((found.estimate, found.verdict), (Estimate::constant(0.0, 3), Verdict::Tie));
    assert_eq!((found.t, found.p, found.d_z, found.needed), (None, None, None, None));
    let single = paired(&[0.3 - 0.1 - 0.2], Method::T, &mut critical);
    assert_eq!((single.estimate, single.verdict), (Estimate::constant(0.0, 1), Verdict::Unknown));
    // One image of ten million in one seed is a difference.
    assert!(paired(&[0.0, 0.0, 1e-7], Method::T, &mut critical).t.is_some());
    assert!(paired(&[f64::NAN, 0.1], Method::T, &mut critical).estimate.mean.unwrap().0.is_nan());
}

/// Who looked at four comparisons looked at four, also if two of them have no spread to test by.
#[test]
fn comparisons_without_a_spread_are_in_the_family() {
    let mut critical = Critical::new(0.05);
    let mut of = |differences: &[f64]| paired(differences, Method::T, &mut critical);
    let (strong, weak) = ([0.1, 0.11, 0.12], [0.01, 0.03, 0.02]);
    let (mut first, mut second) = (of(&strong), of(&weak));
    let (mut zero, mut shift, mut single) = (of(&[0.0; 3]), of(&[0.02; 3]), of(&[0.5]));
    let p = [first.p.unwrap().0, second.p.unwrap().0];
    correct(&mut [&mut zero, &mut first, &mut single, &mut second, &mut shift], 0.05);
    near(first.p_holm.unwrap().0, 4.0 * p[0], 1e-14, "the smallest of four");
    near(second.p_holm.unwrap().0, 3.0 * p[1], 1e-14, "the next");
    assert_eq!((zero.p_holm, zero.verdict, shift.p_holm, shift.verdict), (None, Verdict::Tie, None, Verdict::Unknown));
    assert_eq!((single.p_holm, single.verdict), (None, Verdict::Unknown), "a single run is no test");
}

/// As many seeds as are said to be needed must be enough for the verdict, which goes by the corrected p-value.
#[test]
fn seeds_needed_are_for_the_table_that_the_difference_stands_in() {
    let mut critical = Critical::new(0.05);
    let differences = [0.02, 0.03, 0.025];
    let mut alone = paired(&differences, Method::T, &mut critical);
    correct(&mut [&mut alone], 0.05);
    let d_z = alone.d_z.unwrap().0;
    assert_eq!(alone.needed, needed(d_z, 0.05, 0.8));
    let mut table: Vec<Difference> = (0..10).map(|_| paired(&differences, Method::T, &mut critical)).collect();
    correct(&mut table.iter_mut().collect::<Vec<_>>(), 0.05);
    assert_eq!(table[0].needed, needed(d_z, 0.005, 0.8));
    assert!(alone.needed == Some(3) && alone.verdict == Verdict::Better, "{alone:?}");
    assert!(table[0].needed > Some(3) && table[0].verdict == Verdict::Tie, "{:?}", table[0]);
}
