//! The bootstrap, with a stream that follows from the values: the same numbers give the same interval everywhere.

/// Resamples.
pub const RESAMPLES: u32 = 10_000;

/// Percentile bootstrap of the mean (Efron 1979): the middle `1 - alpha` of the means of [`RESAMPLES`] samples drawn
/// with replacement.
pub fn mean_interval(values: &[f64], alpha: f64) -> (f64, f64) {
    let n = values.len() as u64;
    let mut state = values.iter().fold(n, |state, value| mix(state ^ value.to_bits()));
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let draw = |_| {
                state = state.wrapping_add(STEP);
                values[((u128::from(mix(state)) * u128::from(n)) >> 64) as usize]
            };
            (0..n).map(draw).sum::<f64>() / n as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (quantile(&means, alpha / 2.0), quantile(&means, 1.0 - alpha / 2.0))
}

/// Quantile of sorted values by linear interpolation (Hyndman & Fan 1996, type 7, as NumPy does by default).
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() as f64 - 1.0);
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - place.floor()) * (sorted[above] - sorted[below])
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output of splitmix64 (Steele, Lea & Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
