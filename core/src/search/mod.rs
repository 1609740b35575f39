//! Model-based search: points of a sweep that are chosen while it runs, from what came out so far. Pure: draws are a function of
//! a seed and the number of the proposal. [`Search`] is what the plan says about it, `space` goes from axes to numbers and
//! back, `seen` from trials to observations, [`tpe`] chooses. When a point is due, and the event that makes it last,
//! are [`crate::decide`]'s.

mod seen;
mod space;
pub mod tpe;
pub mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::mix;
use crate::recipe::Watched;

pub use seen::{Proposal, propose};
pub use space::Axis;

/// How the next point is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A tree-structured Parzen estimator.
    Tpe,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Tpe];

    /// The word in a sweep file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tpe => "tpe",
        }
    }
}

/// How a sweep searches, as its file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// How.
    pub method: Method,
    /// What points are compared by: the mean over their seeds of the best epoch.
    pub metric: Watched,
    /// So many points are drawn at random before there is anything to go by.
    pub startup: u32,
    /// The next point is the best of so many that are drawn.
    pub candidates: u32,
    /// At most so many points are under way when another one is chosen.
    pub outstanding: u32,
}

impl Knobs {
    /// The defaults for so many points: a point that is chosen while many others are under way knows nothing of them, so at
    /// most a quarter is.
    pub fn new(method: Method, samples: u32) -> Self {
        let outstanding = samples.div_ceil(4).max(1);
        Self { method, metric: Watched::ValAccuracy, startup: tpe::STARTUP, candidates: tpe::CANDIDATES, outstanding }
    }
}

/// The points of a plan that are chosen while it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// How.
    pub knobs: Knobs,
    /// How many points there will be, those that the plan begins with among them.
    pub points: u32,
    /// What draws are derived from.
    pub seed: u64,
    /// What is searched.
    pub space: Vec<Axis>,
    /// Points with all values of one of these are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<Vec<Setting>>,
}

/// One value of one path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Dotted path in the recipe.
    pub path: String,
    /// The value.
    pub value: Value,
    /// How it is shown.
    pub label: String,
}

/// A setting that is searched, as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dimension {
    /// A number, evenly or evenly in the logarithm.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// By the logarithm; the ends are above 0.
        log: bool,
    },
    /// A whole number, both ends included.
    Int {
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
    },
    /// One of so many values without an order.
    Choice(u32),
}

/// A configuration that was tried: a value for each dimension (the index of a choice), and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// One for each dimension.
    pub values: Vec<f64>,
    /// How far it came: who got further is better. All the same without early stopping.
    pub epoch: u32,
    /// The mean over the seeds; higher is better, and what is not a number is the worst there is.
    pub score: f64,
}

/// Numbers drawn one after the other from a seed.
#[derive(Clone, Debug)]
struct Stream {
    key: u64,
    count: u64,
}

impl Stream {
    fn new(seed: u64, number: u64) -> Self {
        Self { key: mix(seed ^ mix(number)), count: 0 }
    }

    /// In [0, 1), 53 bits.
    fn unit(&mut self) -> f64 {
        self.count += 1;
        (mix(self.key ^ mix(self.count)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}
