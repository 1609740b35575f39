//! Whole curves of configurations, for the rules that compare a running one with those that are at their end. Each
//! epoch's values of those are kept sorted, so that a comparison costs no pass over them.

use serde::{Deserialize, Serialize};

/// What is known about one configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Curve {
    /// What the others are compared with, epoch by epoch.
    column: Vec<f64>,
    sum: f64,
    /// The best score so far.
    pub(super) best: Option<f64>,
}

/// All configurations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Curves {
    /// Others are compared with the running averages instead of the values.
    averages: bool,
    pub(super) curves: Vec<Curve>,
    /// By epoch: sorted, of those that ran to their end.
    columns: Vec<Vec<f64>>,
    /// How many ran to their end.
    pub(super) finished: u32,
}

impl Curves {
    pub(super) fn new(points: u32, averages: bool) -> Self {
        Self { averages, curves: vec![Curve::default(); points as usize], columns: Vec::new(), finished: 0 }
    }

    /// There are so many configurations now.
    pub(super) fn room_for(&mut self, points: u32) {
        self.curves.resize(points as usize, Curve::default());
    }

    /// The next epoch's score.
    pub(super) fn push(&mut self, point: u32, score: f64) {
        let curve = &mut self.curves[point as usize];
        curve.sum += score.clamp(f64::NEG_INFINITY, f64::MAX);
        let average = curve.sum / (curve.column.len() + 1) as f64;
        let average = if average.is_nan() { f64::NEG_INFINITY } else { average };
        curve.column.push(if self.averages { average } else { score });
        curve.best = Some(curve.best.map_or(score, |best| best.max(score)));
    }

    /// A configuration ran to its end: others are compared with it from now on.
    pub(super) fn finish(&mut self, point: u32) {
        self.finished += 1;
        let column = std::mem::take(&mut self.curves[point as usize].column);
        self.columns.resize(self.columns.len().max(column.len()), Vec::new());
        for (sorted, value) in self.columns.iter_mut().zip(column) {
            let at = sorted.partition_point(|known| known.total_cmp(&value).is_lt());
            sorted.insert(at, value);
        }
    }

    /// What those at their end had at an epoch, sorted.
    pub(super) fn at(&self, epoch: u32) -> &[f64] {
        self.columns.get(epoch as usize - 1).map(Vec::as_slice).unwrap_or_default()
    }
}
