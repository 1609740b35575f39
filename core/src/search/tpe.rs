//! The tree-structured Parzen estimator: J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for Hyper-Parameter
//! Optimization", NeurIPS 2011, section 4. The best few configurations and the others are each described by a density; of some
//! points drawn from the first, the one is proposed at which the first is highest for the second. Dimensions are described together
//! (S. Falkner, A. Klein, F. Hutter, "BOHB", ICML 2018, section 3). Sizes as in Optuna's `TPESampler`: 10 random points to begin with, a
//! tenth (at most 25) are the best few, 24 candidates, neighbours decide how wide a kernel is, old points count less.

use super::{Dimension, Knobs, Observation, Stream};

/// Configurations drawn at random before there is anything to go by, unless a file says otherwise.
pub const STARTUP: u32 = 10;
/// Candidates for a proposal, unless a file says otherwise.
pub const CANDIDATES: u32 = 24;
/// Most configurations that count as the best few.
const MOST_GOOD: usize = 25;

/// Whether there is enough to go by: as many configurations as are drawn at random have results or are under way, and half of them
/// have results.
pub fn knows(knobs: &Knobs, seen: usize, pending: usize) -> bool {
    let startup = knobs.startup as usize;
    seen >= startup.div_ceil(2).max(1) && seen + pending >= startup
}

/// The next configuration to try, after those seen. Those under way count among the others, whatever comes of them, so that
/// proposals made at the same time keep away from each other (Optuna's `constant_liar`). `number` tells proposals apart.
pub fn propose(
    knobs: &Knobs,
    space: &[Dimension],
    (seen, pending): (&[Observation], &[Vec<f64>]),
    seed: u64,
    number: u64,
) -> Vec<f64> {
    let mut stream = Stream::new(seed, number);
    if !knows(knobs, seen.len(), pending.len()) {
        return space.iter().map(|dimension| anywhere(dimension, &mut stream)).collect();
    }
    let score = |at: &usize| if seen[*at].score.is_nan() { f64::NEG_INFINITY } else { seen[*at].score };
    let mut order: Vec<usize> = (0..seen.len()).collect();
    order.sort_by(|a, b| seen[*b].epoch.cmp(&seen[*a].epoch).then(score(b).total_cmp(&score(a))));
    let (good, bad) = order.split_at_mut(seen.len().div_ceil(10).min(MOST_GOOD));
    // Back in the order in which they were tried: weights go by age.
    good.sort_unstable();
    bad.sort_unstable();
    let of = |group: &[usize]| group.iter().map(|at| &seen[*at].values[..]).collect::<Vec<_>>();
    let others: Vec<&[f64]> = of(bad).into_iter().chain(pending.iter().map(Vec::as_slice)).collect();
    let (good, bad) = (Mixture::new(space, &of(good)), Mixture::new(space, &others));
    let candidates: Vec<Vec<f64>> = (0..knobs.candidates.max(1)).map(|_| good.draw(&mut stream)).collect();
    let gain = |drawn: &Vec<f64>| good.log(drawn) - bad.log(drawn);
    let best = candidates.into_iter().max_by(|a, b| gain(a).total_cmp(&gain(b))).unwrap_or_default();
    space.iter().zip(best).map(|(dimension, drawn)| value(dimension, drawn)).collect()
}

fn anywhere(dimension: &Dimension, stream: &mut Stream) -> f64 {
    let (low, high) = ends(dimension);
    let drawn = low + (high - low) * stream.unit();
    value(dimension, drawn)
}

/// The ends of the line on which a dimension is described; half a step further for whole numbers.
fn ends(dimension: &Dimension) -> (f64, f64) {
    match *dimension {
        Dimension::Float { low, high, log: true } => (low.ln(), high.ln()),
        Dimension::Float { low, high, log: false } => (low, high),
        Dimension::Int { low, high } => (low as f64 - 0.5, high as f64 + 0.5),
        Dimension::Choice(count) => (0.0, f64::from(count)),
    }
}

/// From the line to the value.
fn value(dimension: &Dimension, on_line: f64) -> f64 {
    match *dimension {
        Dimension::Float { low, high, log: true } => on_line.exp().clamp(low, high),
        Dimension::Float { low, high, log: false } => on_line.clamp(low, high),
        Dimension::Int { low, high } => on_line.round().clamp(low as f64, high as f64),
        Dimension::Choice(count) => on_line.floor().clamp(0.0, f64::from(count) - 1.0),
    }
}

/// A density over the whole space: around each configuration a product of kernels, and a wide one for what nobody tried.
struct Mixture {
    /// By part, by dimension.
    parts: Vec<Vec<Kernel>>,
    /// Shares of the parts.
    weights: Vec<f64>,
}

#[derive(Clone)]
enum Kernel {
    /// Cut off at the ends; `inside` is the share between them.
    Normal { centre: f64, width: f64, low: f64, high: f64, inside: f64 },
    /// Shares of the choices.
    Choices(Vec<f64>),
}

impl Mixture {
    fn new(space: &[Dimension], points: &[&[f64]]) -> Self {
        let mut parts = vec![Vec::with_capacity(space.len()); points.len() + 1];
        for (at, dimension) in space.iter().enumerate() {
            let values: Vec<f64> = points.iter().map(|point| point[at]).collect();
            for (part, kernel) in parts.iter_mut().zip(kernels(dimension, &values)) {
                part.push(kernel);
            }
        }
        // The newest 25 count fully, those before in proportion to their age, the wide one as one.
        let old = points.len().saturating_sub(25);
        let first = 1.0 / points.len().max(1) as f64;
        let step = (1.0 - first) / (old.max(2) - 1) as f64;
        let weight = |at: usize| if at < old { first + step * at as f64 } else { 1.0 };
        let weights: Vec<f64> = (0..points.len()).map(weight).chain([1.0]).collect();
        let all: f64 = weights.iter().sum();
        Self { parts, weights: weights.into_iter().map(|weight| weight / all).collect() }
    }

    fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let part = pick(&self.weights, stream);
        self.parts[part].iter().map(|kernel| kernel.draw(stream)).collect()
    }

    fn log(&self, drawn: &[f64]) -> f64 {
        let product =
            |part: &Vec<Kernel>| part.iter().zip(drawn).map(|(kernel, drawn)| kernel.density(*drawn)).product::<f64>();
        let each = self.parts.iter().zip(&self.weights).map(|(part, weight)| -> f64 { weight * product(part) });
        each.sum::<f64>().max(f64::MIN_POSITIVE).ln()
    }
}

/// The kernels of one dimension: of each value, and the wide one.
fn kernels(dimension: &Dimension, values: &[f64]) -> Vec<Kernel> {
    if let Dimension::Choice(count) = *dimension {
        let wide = 1.0 / f64::from(count);
        let share = |value: f64| move |choice: u32| (wide + f64::from(u8::from(f64::from(choice) == value))) / 2.0;
        let around = values.iter().map(|value| Kernel::Choices((0..count).map(share(*value)).collect()));
        return around.chain([Kernel::Choices(vec![wide; count as usize])]).collect();
    }
    let (low, high) = ends(dimension);
    let log = matches!(dimension, Dimension::Float { log: true, .. });
    let range = high - low;
    let centres: Vec<f64> = values.iter().map(|value| if log { value.ln() } else { *value }).collect();
    let mut sorted = centres.clone();
    sorted.sort_by(f64::total_cmp);
    // As wide as the larger gap to a neighbour, within limits that shrink with the number of points.
    let least = range / (centres.len() as f64 + 2.0).min(100.0);
    let width = |centre: f64| {
        let at = sorted.partition_point(|other| *other < centre);
        let left = at.checked_sub(1).map(|before| centre - sorted[before]);
        let right = sorted.get(at + 1).map(|after| after - centre);
        let alone = (centre - low).max(high - centre);
        left.into_iter().chain(right).reduce(f64::max).unwrap_or(alone).clamp(least, range)
    };
    let normal = |centre: f64, width: f64| {
        let inside = normal_below((high - centre) / width) - normal_below((low - centre) / width);
        Kernel::Normal { centre, width, low, high, inside }
    };
    let around = centres.iter().map(|centre| normal(*centre, width(*centre)));
    around.chain([normal(low + range / 2.0, range)]).collect()
}

impl Kernel {
    fn draw(&self, stream: &mut Stream) -> f64 {
        match self {
            Self::Choices(shares) => pick(shares, stream) as f64,
            Self::Normal { centre, width, low, high, .. } => {
                // The centre is inside, so a third of the draws are at least.
                let tries = (0..100).map(|_| centre + width * stream.normal());
                tries.into_iter().find(|drawn| (low..=high).contains(&drawn)).unwrap_or(*centre)
            }
        }
    }

    fn density(&self, drawn: f64) -> f64 {
        match self {
            Self::Choices(shares) => shares[drawn as usize],
            Self::Normal { centre, width, inside, .. } => {
                let at = (drawn - centre) / width;
                (-0.5 * at * at).exp() / (width * inside)
            }
        }
    }
}

fn pick(shares: &[f64], stream: &mut Stream) -> usize {
    let mut left = stream.unit();
    let found = shares.iter().position(|share| {
        left -= share;
        left < 0.0
    });
    found.unwrap_or(shares.len() - 1)
}

/// The share of a standard normal distribution below a value: M. Abramowitz and I. Stegun, "Handbook of Mathematical
/// Functions" (1964), 26.2.17, off by less than 7.5e-8.
fn normal_below(value: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * value.abs());
    let tail = (-0.5 * value * value).exp() / std::f64::consts::TAU.sqrt();
    let coefficients = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let above = tail * t * coefficients.iter().fold(0.0, |sum, coefficient| sum * t + coefficient);
    if value >= 0.0 { 1.0 - above } else { above }
}
