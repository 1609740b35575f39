//! Correction for looking at many comparisons at once.

/// Adjusted p-values of Holm's step-down procedure (Holm 1979), in the order of `p`: the chance of a single false
/// discovery among all of them stays below the level that they are compared with. NaN stays NaN and is not counted.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|index| !p[*index].is_nan()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut least = 0.0f64;
    for (rank, index) in order.iter().enumerate() {
        least = least.max((p[*index] * (order.len() - rank) as f64).min(1.0));
        adjusted[*index] = least;
    }
    adjusted
}
