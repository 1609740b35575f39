//! Where the rungs are, and which configuration starts at which.

use super::settings::{Rule, Stop};

/// The epochs at which configurations of a bracket are compared: `min_epochs * reduction_factor^(k + bracket)`, as far as
/// they lie before the last epoch (Li et al. 2020, Algorithm 2: `r η^(s+k)`).
pub(super) fn epochs(stop: &Stop, bracket: u32, epochs: u32) -> Vec<u32> {
    let factor = u64::from(stop.reduction_factor.max(2));
    let first = u64::from(stop.min_epochs.max(1)).saturating_mul(factor.saturating_pow(bracket));
    let rungs = std::iter::successors(Some(first), |rung| rung.checked_mul(factor));
    let before = rungs.take_while(|rung| *rung < u64::from(epochs)).map(|rung| rung as u32);
    before.take(stop.max_rungs.map_or(usize::MAX, |most| (most as usize).saturating_sub(bracket as usize))).collect()
}

/// The bracket of each point: in the order of the plan, each goes where most are missing of the share that Hyperband
/// gives the bracket. `n = ceil((s_max + 1) / (s + 1) * η^s)` (Li et al. 2018, Algorithm 1), where s is the number of rungs.
pub(super) fn assign(stop: &Stop, points: u32, epochs: u32) -> Vec<u32> {
    let count = stop.bracket_count(epochs);
    if count <= 1 || stop.rule == Rule::Budget {
        return vec![0; points as usize];
    }
    let most = stop.rungs(epochs).len() as i32;
    let weight = |bracket: u32| {
        let s = most - bracket as i32;
        (f64::from(most + 1) / f64::from(s + 1) * f64::from(stop.reduction_factor).powi(s)).ceil()
    };
    let weights: Vec<f64> = (0..count).map(weight).collect();
    let all: f64 = weights.iter().sum();
    let mut given = vec![0u32; count as usize];
    (0..points)
        .map(|point| {
            let missing = |bracket: &usize| weights[*bracket] / all * f64::from(point + 1) - f64::from(given[*bracket]);
            let next = (0..count as usize).max_by(|a, b| missing(a).total_cmp(&missing(b)).then(b.cmp(a)));
            let next = next.unwrap_or_default();
            given[next] += 1;
            next as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_lie_before_the_last_epoch() {
        let stop = Stop { min_epochs: 1, ..Stop::new(Rule::Asha) };
        assert_eq!(epochs(&stop, 0, 27), [1, 3, 9]);
        assert_eq!(epochs(&stop, 1, 27), [3, 9]);
        assert_eq!(epochs(&stop, 0, 28), [1, 3, 9, 27]);
        assert_eq!(
            epochs(&stop, 9, u32::MAX),
            [
                19_683,
                59_049,
                177_147,
                531_441,
                1_594_323,
                4_782_969,
                14_348_907,
                43_046_721,
                129_140_163,
                387_420_489,
                1_162_261_467,
                3_486_784_401
            ]
        );
        assert_eq!(epochs(&Stop { max_rungs: Some(2), ..stop.clone() }, 0, 27), [1, 3]);
        assert!(epochs(&Stop { min_epochs: 27, ..stop }, 0, 27).is_empty());
    }

    #[test]
    fn hyperband_gives_brackets_their_shares() {
        // The table of Li et al. 2018, section 3: R = 81, η = 3 has n = 81, 34, 15, 8, 5.
        let stop = Stop::new(Rule::Hyperband);
        assert_eq!(stop.bracket_count(81), 5);
        let brackets = assign(&stop, 143, 81);
        let count = |bracket| brackets.iter().filter(|of| **of == bracket).count();
        assert_eq!((0..5).map(count).collect::<Vec<_>>(), [81, 34, 15, 8, 5]);
        // Any beginning of the plan has about its share of each.
        let half = brackets[..70].iter().filter(|of| **of == 0).count();
        assert!((38..=41).contains(&half), "{half}");
    }
}
