//! Which trial starts when. Baseline first, with up to [`LEAD_SEEDS`] seeds, so that the noise between
//! seeds is known early; then the points written by hand; then the design in an order that spreads
//! over it; all with the first seed, then all with the second, and so on.
//!
//! A small design is spread greedily: next comes the point whose values, then pairs of values, were
//! started least often so far. A large one is a lattice: point `b + k * g mod n`, where `b` is the baseline
//! and `g` has no factor in common with `n`, so every point comes exactly once; of several `g` near the
//! golden section of `n` the one is taken whose beginnings cover values and pairs most evenly.

/// So many seeds of the baseline lead.
const LEAD_SEEDS: usize = 5;
/// How many strides are compared.
const STRIDES: usize = 48;
/// Longest beginning that is looked at.
const BEGINNING: usize = 256;

/// All trials (`point * seeds + seed`) in their order. `points` is the order of the points; its first
/// one leads if `lead`. The seeds of a point follow each other if `together`: where they are judged together, one
/// that starts late would keep the others waiting.
pub(super) fn trials(points: &[u32], seeds: usize, lead: bool, together: bool) -> Vec<u32> {
    let leading = if lead { seeds.min(LEAD_SEEDS) } else { 0 };
    let trial = |point: u32, seed: usize| point * seeds as u32 + seed as u32;
    let mut order = Vec::with_capacity(points.len() * seeds);
    let first = points.first().copied().unwrap_or_default();
    order.extend((0..leading).map(|seed| trial(first, seed)));
    if together {
        let led = |point: u32, seed: usize| point == first && seed < leading;
        let all = points.iter().flat_map(|point| (0..seeds).map(move |seed| (*point, seed)));
        order.extend(all.filter(|(point, seed)| !led(*point, *seed)).map(|(point, seed)| trial(point, seed)));
        return order;
    }
    for seed in 0..seeds {
        let led = usize::from(seed < leading);
        order.extend(points[led..].iter().map(|point| trial(*point, seed)));
    }
    order
}

/// Largest product that is spread greedily, which takes quadratic time.
const GREEDY: usize = 400;

/// Every index of a product for which `kept` holds, in a spreading order that starts at `start`.
/// `lengths` are the factors, the last one turning fastest.
pub(super) fn spread(lengths: &[usize], start: usize, kept: impl Fn(usize) -> bool) -> Vec<usize> {
    let count: usize = lengths.iter().product();
    let mut order = lattice(lengths, count, start);
    order.retain(|index| kept(*index));
    if count <= GREEDY {
        order = greedy(lengths, order);
    }
    order
}

/// The coordinates of an index of a product.
fn coordinates(lengths: &[usize], index: usize) -> Vec<usize> {
    let mut at = vec![0; lengths.len()];
    let mut rest = index;
    for (at, length) in at.iter_mut().zip(lengths).rev() {
        *at = rest % length;
        rest /= length;
    }
    at
}

/// The first index, then always the one whose values were used least; `order` decides between equals.
fn greedy(lengths: &[usize], order: Vec<usize>) -> Vec<usize> {
    let mut left: Vec<(usize, Vec<usize>)> =
        (order.into_iter()).map(|index| (index, coordinates(lengths, index))).collect();
    let axes = lengths.len();
    let widest = lengths.iter().max().copied().unwrap_or_default();
    let mut single = vec![0; axes * widest];
    let mut double = vec![0; axes * axes * widest * widest];
    let pair = |a: usize, b: usize, at: &[usize]| ((a * axes + b) * widest + at[a]) * widest + at[b];
    let mut spread = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let cost = |at: &[usize]| {
            // A value of a long axis is due more rarely than one of a short axis.
            let values = (0..axes).map(|a| single[a * widest + at[a]] * lengths[a]);
            let pairs = (0..axes).flat_map(|a| (0..a).map(move |b| (a, b)));
            let pairs = pairs.map(|(a, b)| double[pair(a, b, at)] * lengths[a] * lengths[b]);
            (values.sum::<usize>(), pairs.sum::<usize>())
        };
        let best = (0..left.len()).min_by_key(|place| (cost(&left[*place].1), *place));
        let (index, at) = left.remove(best.unwrap_or_default());
        for a in 0..axes {
            single[a * widest + at[a]] += 1;
            for b in 0..a {
                double[pair(a, b, &at)] += 1;
            }
        }
        spread.push(index);
    }
    spread
}

fn lattice(lengths: &[usize], count: usize, start: usize) -> Vec<usize> {
    let stride = stride(lengths, count);
    let mut index = start;
    (0..count)
        .map(|_| {
            let now = index;
            index = (index + stride) % count;
            now
        })
        .collect()
}

fn stride(lengths: &[usize], count: usize) -> usize {
    let golden = (count as f64 * 0.618_033_988_749_894_9) as usize;
    let near = (0..count).flat_map(|away| [golden.checked_add(away), golden.checked_sub(away)]);
    (near.flatten())
        .filter(|stride| (1..count).contains(stride) && gcd(*stride, count) == 1)
        .take(STRIDES)
        .map(|stride| (unevenness(lengths, count, stride), stride))
        .min()
        .map_or(1, |(_, stride)| stride)
}

/// How far the beginnings of a lattice are from covering every value, and every pair of values of
/// two factors, as evenly as possible. Smaller is better.
fn unevenness(lengths: &[usize], count: usize, stride: usize) -> usize {
    let varied: Vec<usize> = (0..lengths.len()).filter(|at| lengths[*at] > 1).collect();
    let mut single: Vec<Vec<usize>> = varied.iter().map(|at| vec![0; lengths[*at]]).collect();
    let pairs: Vec<(usize, usize)> = (0..varied.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .filter(|(a, b)| lengths[varied[*a]] * lengths[varied[*b]] <= BEGINNING)
        .collect();
    let mut double: Vec<Vec<bool>> =
        (pairs.iter()).map(|(a, b)| vec![false; lengths[varied[*a]] * lengths[varied[*b]]]).collect();
    let mut missing_pairs: usize = double.iter().map(Vec::len).sum();
    let mut score = 0;
    let mut index = 0;
    for step in 1..=count.min(BEGINNING) {
        let at = coordinates(lengths, index);
        for (counts, axis) in single.iter_mut().zip(&varied) {
            counts[at[*axis]] += 1;
        }
        for (seen, (a, b)) in double.iter_mut().zip(&pairs) {
            let (a, b) = (varied[*a], varied[*b]);
            let seen = &mut seen[at[a] * lengths[b] + at[b]];
            missing_pairs -= usize::from(!*seen);
            *seen = true;
        }
        for counts in &single {
            let most = counts.iter().max().copied().unwrap_or_default();
            let least = counts.iter().min().copied().unwrap_or_default();
            score += 4 * (most - least).saturating_sub(1) * BEGINNING / step;
        }
        score += missing_pairs;
        index = (index + stride) % count;
    }
    score
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_visits_every_index_once_and_starts_where_it_is_told() {
        for lengths in [vec![], vec![1], vec![7], vec![2, 2, 2, 2], vec![3, 2, 2], vec![10, 10, 10]] {
            let count: usize = lengths.iter().product();
            let order = spread(&lengths, count / 2, |_| true);
            assert_eq!(order[0], count / 2);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "{lengths:?}");
        }
    }

    #[test]
    fn the_beginning_of_a_spread_shows_every_value() {
        // 3 x 2 x 2: after three points every learning rate was seen, after four every value.
        let order = spread(&[3, 2, 2], 0, |_| true);
        let seen = |count: usize, of: fn(usize) -> usize| {
            let values: std::collections::BTreeSet<_> = order[..count].iter().map(|at| of(*at)).collect();
            values.len()
        };
        assert_eq!(seen(3, |at| at / 4), 3);
        assert_eq!(seen(4, |at| at / 2 % 2), 2);
        assert_eq!(seen(4, |at| at % 2), 2);
    }

    #[test]
    fn seeds_come_in_rounds_after_the_baseline() {
        assert_eq!(trials(&[1, 0, 2], 2, true, false), [2, 3, 0, 4, 1, 5]);
        assert_eq!(trials(&[1, 0, 2], 2, false, false), [2, 0, 4, 3, 1, 5]);
        // Judged together, started together.
        assert_eq!(trials(&[1, 0, 2], 2, true, true), [2, 3, 0, 1, 4, 5]);
        assert_eq!(trials(&[1, 0], 6, true, true), [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]);
    }
}
