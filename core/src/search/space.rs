//! From axes to numbers and back.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Dimension, Setting};
use crate::plan::rounded;

/// What is searched along one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Axis {
    /// A number, evenly or evenly in the logarithm.
    Float {
        /// Dotted path in the recipe.
        path: String,
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// By the logarithm.
        log: bool,
    },
    /// A whole number, both ends included.
    Int {
        /// Dotted path in the recipe.
        path: String,
        /// Smallest value.
        low: u64,
        /// Largest value.
        high: u64,
        /// The path takes numbers with a fraction.
        float: bool,
    },
    /// One of these without an order; several settings where axes are linked.
    Choices(Vec<Vec<Setting>>),
}

impl Axis {
    /// As a dimension.
    pub fn dimension(&self) -> Dimension {
        match self {
            Self::Float { low, high, log, .. } => Dimension::Float { low: *low, high: *high, log: *log },
            Self::Int { low, high, .. } => Dimension::Int { low: *low, high: *high },
            Self::Choices(rows) => Dimension::Choice(rows.len() as u32),
        }
    }

    /// The settings at a coordinate. Floats have six significant digits, as all that are drawn.
    pub fn settings(&self, at: f64) -> Vec<Setting> {
        let one = |path: &String, value: Value| {
            let label = value.to_string();
            vec![Setting { path: path.clone(), value, label }]
        };
        let float = |value: f64| Number::from_f64(value).map_or(Value::Null, Value::Number);
        match self {
            Self::Float { path, low, high, .. } => one(path, float(rounded(at).clamp(*low, *high))),
            Self::Int { path, float: true, .. } => one(path, float(at)),
            Self::Int { path, .. } => one(path, Value::from(at as u64)),
            Self::Choices(rows) => rows.get(at as usize).cloned().unwrap_or_default(),
        }
    }

    /// The coordinate of a point, if it lies on the axis; `value` looks up what the point has at a path.
    pub fn coordinate<'a>(&self, value: impl Fn(&str) -> Option<&'a Value>) -> Option<f64> {
        match self {
            Self::Float { path, low, high, .. } => value(path)?.as_f64().filter(|value| (*low..=*high).contains(value)),
            Self::Int { path, low, high, .. } => {
                value(path)?.as_f64().filter(|value| (*low as f64..=*high as f64).contains(value))
            }
            Self::Choices(rows) => {
                let is = |row: &Vec<Setting>| row.iter().all(|setting| value(&setting.path) == Some(&setting.value));
                rows.iter().position(is).map(|at| at as f64)
            }
        }
    }

    /// Coordinates that show what an axis reaches: both ends of a range, every choice.
    pub fn extremes(&self) -> Vec<f64> {
        match self {
            Self::Float { low, high, .. } => vec![*low, *high],
            Self::Int { low, high, .. } => vec![*low as f64, *high as f64],
            Self::Choices(rows) => (0..rows.len()).map(|at| at as f64).collect(),
        }
    }
}
