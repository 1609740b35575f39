//! Points that no other point beats in accuracy and in cost at once.

use serde::{Deserialize, Serialize};

use super::{PointRow, Report};
use crate::num::Num;

/// Accuracy against one kind of cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pareto {
    /// `device_hours`, `kwh`, `peak_memory` or `parameters`; the first two of one run of the point, without what attempts did in vain: a
    /// setting is no dearer because its host crashed.
    pub cost: String,
    /// Every point whose accuracy and cost are known, and of which no seed diverged.
    pub points: Vec<Trade>,
}

/// One point's trade.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trade {
    /// Index in the plan.
    pub point: u32,
    /// Mean validation accuracy.
    pub accuracy: Num,
    /// What it costs.
    pub cost: Num,
    /// No other point is as good in both and better in one (Pareto 1906).
    pub front: bool,
}

/// One kind of cost, of a run of a point; nothing where it is not known.
type CostOf = fn(&PointRow) -> Option<f64>;

pub(super) fn pareto(report: &Report) -> Vec<Pareto> {
    let kinds: [(&str, CostOf); 4] = [
        ("device_hours", |row| row.cost.run_seconds.map(|run| run.0 / 3600.0).filter(|hours| *hours > 0.0)),
        ("kwh", |row| row.cost.run_energy.map(|energy| energy.joules() / 3.6e6)),
        ("peak_memory", |row| row.cost.peak_memory.map(|bytes| bytes as f64)),
        ("parameters", |row| row.parameters.map(|count| count as f64)),
    ];
    let of = |(name, cost): (&str, CostOf)| {
        let trade = |row: &PointRow| {
            // Who diverges early is cheap for that, and the mean of the others is not that of the point.
            let accuracy = row.accuracy.mean.filter(|mean| !mean.0.is_nan() && row.diverged == 0)?;
            Some(Trade { point: row.point, accuracy, cost: Num(cost(row)?), front: false })
        };
        let mut points: Vec<Trade> = report.points.iter().filter_map(trade).collect();
        front(&mut points);
        Pareto { cost: name.to_owned(), points }
    };
    // Where nothing changes the network there is nothing to trade.
    let trades =
        |found: &Pareto| found.cost != "parameters" || found.points.windows(2).any(|two| two[0].cost != two[1].cost);
    kinds.into_iter().map(of).filter(|found| !found.points.is_empty() && trades(found)).collect()
}

/// Cheapest first; a point is on the front when it is better than everything cheaper.
fn front(points: &mut [Trade]) {
    points.sort_by(|a, b| a.cost.0.total_cmp(&b.cost.0).then(b.accuracy.0.total_cmp(&a.accuracy.0)));
    let mut best: Option<Trade> = None;
    for trade in points {
        let equal = |best: &Trade| best.cost == trade.cost && best.accuracy == trade.accuracy;
        trade.front = best.as_ref().is_none_or(|best| trade.accuracy.0 > best.accuracy.0 || equal(best));
        if trade.front {
            best = Some(*trade);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_front_is_what_nothing_dominates(pairs in prop::collection::vec((0u32..8, 0u32..8), 0..20)) {
            let trade = |(point, (cost, accuracy)): (usize, &(u32, u32))| Trade {
                point: point as u32,
                accuracy: Num(f64::from(*accuracy)),
                cost: Num(f64::from(*cost)),
                front: false,
            };
            let mut points: Vec<Trade> = pairs.iter().enumerate().map(trade).collect();
            front(&mut points);
            for one in &points {
                let beaten = points.iter().any(|other| {
                    other.cost.0 <= one.cost.0 && other.accuracy.0 >= one.accuracy.0
                        && (other.cost.0 < one.cost.0 || other.accuracy.0 > one.accuracy.0)
                });
                prop_assert_eq!(one.front, !beaten);
            }
        }
    }
}
