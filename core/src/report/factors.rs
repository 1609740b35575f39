//! What varies in a sweep, seen as factors with levels, and the results as numbers of points and seeds. Paths that
//! move together (linked axes) are one factor, because nothing can tell their effects apart.

use std::collections::BTreeMap;

use super::Report;

/// What varies together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Factor {
    /// Its paths, e.g. `lr` or `lr + batch_size`.
    pub(super) name: String,
    /// What its levels are called, in the order of the plan.
    pub(super) levels: Vec<String>,
    /// The level of each point.
    pub(super) of_point: Vec<usize>,
    /// The level that the others are compared with.
    pub(super) reference: usize,
    /// Its values were drawn from a range: levels that come once say nothing about the next one.
    pub(super) drawn: bool,
}

/// A sweep as tables of numbers; points by their index in the plan.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Everything with two levels or more.
    pub(super) factors: Vec<Factor>,
    /// Best validation accuracy of each point and seed with a result.
    pub(super) results: Vec<Vec<Option<f64>>>,
    /// The design's baseline.
    pub(super) baseline: Option<usize>,
}

impl Table {
    pub(super) fn of(report: &Report) -> Self {
        let mut points: Vec<_> = report.points.iter().collect();
        points.sort_by_key(|row| row.point);
        let baseline = points.iter().position(|row| row.baseline);
        let seeds: BTreeMap<u64, usize> = {
            let mut seeds: Vec<u64> = points.iter().flat_map(|row| row.trials.iter().map(|trial| trial.seed)).collect();
            seeds.sort_unstable();
            seeds.dedup();
            seeds.into_iter().zip(0..).collect()
        };
        let mut results = vec![vec![None; seeds.len()]; points.len()];
        for (row, point) in results.iter_mut().zip(&points) {
            for trial in point.trials.iter().filter(|trial| trial.has_result()) {
                row[seeds[&trial.seed]] = trial.best.as_ref().map(|best| best.val_accuracy.0);
            }
        }
        let width = points.first().map_or(0, |row| row.settings.len());
        let columns: Vec<Factor> = (0..width)
            .map(|column| {
                let label = |row: &&super::PointRow| row.settings[column].1.clone();
                let mut levels: Vec<String> = Vec::new();
                let mut known = BTreeMap::new();
                let of_point = (points.iter())
                    .map(|row| {
                        *known.entry(label(row)).or_insert_with(|| {
                            levels.push(label(row));
                            levels.len() - 1
                        })
                    })
                    .collect();
                let name = points[0].settings[column].0.clone();
                let drawn = report.drawn.contains(&name);
                Factor { name, levels, of_point, reference: 0, drawn }
            })
            .collect();
        let mut factors: Vec<Factor> = Vec::new();
        for column in columns.into_iter().filter(|column| column.levels.len() > 1) {
            // Two columns in which every point has its own value look as if they moved together.
            let alike = |factor: &&mut Factor| !column.drawn && !factor.drawn && together(factor, &column);
            match factors.iter_mut().find(alike) {
                Some(factor) => factor.join(&column),
                None => factors.push(column),
            }
        }
        for factor in &mut factors {
            factor.reference = baseline.map_or(0, |point| factor.of_point[point]);
        }
        Self { factors, results, baseline }
    }

    /// Whether every combination of levels is there exactly once.
    pub(super) fn is_full_grid(&self) -> bool {
        let size = self.factors.iter().try_fold(1usize, |all, factor| all.checked_mul(factor.levels.len()));
        let mut keys: Vec<Vec<usize>> = (0..self.results.len()).map(|point| self.key(point, &[])).collect();
        keys.sort_unstable();
        keys.dedup();
        let drawn = self.factors.iter().any(|factor| factor.drawn);
        !self.factors.is_empty() && !drawn && size == Some(self.results.len()) && keys.len() == self.results.len()
    }

    /// The levels of a point, without those of some factors.
    pub(super) fn key(&self, point: usize, without: &[usize]) -> Vec<usize> {
        let factors = self.factors.iter().enumerate().filter(|(index, _)| !without.contains(index));
        factors.map(|(_, factor)| factor.of_point[point]).collect()
    }

    /// The results of some points.
    pub(super) fn rows(&self, points: &[usize]) -> Vec<Vec<Option<f64>>> {
        points.iter().map(|point| self.results[*point].clone()).collect()
    }

    /// Mean over the seeds of a point; nothing without a result.
    pub(super) fn mean(&self, point: usize) -> Option<f64> {
        let values: Vec<f64> = self.results[point].iter().flatten().copied().collect();
        (!values.is_empty()).then(|| crate::stats::sample::mean(&values))
    }
}

/// Whether each level of one always comes with the same level of the other.
fn together(a: &Factor, b: &Factor) -> bool {
    let mut pairs: Vec<(usize, usize)> = a.of_point.iter().copied().zip(b.of_point.iter().copied()).collect();
    pairs.sort_unstable();
    pairs.dedup();
    a.levels.len() == b.levels.len() && pairs.len() == a.levels.len()
}

impl Factor {
    fn join(&mut self, other: &Self) {
        self.name = format!("{} + {}", self.name, other.name);
        for (level, text) in self.levels.iter_mut().enumerate() {
            let point = self.of_point.iter().position(|found| *found == level);
            let with = point.map_or("", |point| other.levels[other.of_point[point]].as_str());
            *text = format!("{text} + {with}");
        }
    }
}

/// A part of a table of pairs (rows) by seeds, without holes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part {
    /// Rows of the table.
    pub(super) rows: Vec<usize>,
    /// Columns of it.
    pub(super) seeds: Vec<usize>,
}

impl Part {
    /// One in which no seed is compared over other pairs than the next: all seeds and the pairs complete in them, or all pairs and
    /// the seeds complete in them, whichever keeps more (seeds, if equal).
    pub(super) fn of(table: &[Vec<Option<f64>>]) -> Self {
        let width = table.first().map_or(0, Vec::len);
        let some: Vec<usize> = (0..width).filter(|seed| table.iter().any(|row| row[*seed].is_some())).collect();
        let all: Vec<usize> = (0..table.len()).filter(|row| table[*row].iter().any(Option::is_some)).collect();
        let is_whole = |row: &usize| some.iter().all(|seed| table[*row][*seed].is_some());
        let complete: Vec<usize> = all.iter().copied().filter(is_whole).collect();
        let by_seed: Vec<usize> =
            (0..width).filter(|seed| all.iter().all(|row| table[*row][*seed].is_some())).collect();
        let keeps_seeds = complete.len() * some.len() >= all.len() * by_seed.len();
        let (rows, seeds) = if keeps_seeds { (complete, some) } else { (all, by_seed) };
        if rows.is_empty() { Self::default() } else { Self { rows, seeds } }
    }

    /// The mean over its rows for each of its seeds, of a table of the same size.
    pub(super) fn means(&self, table: &[Vec<Option<f64>>]) -> Vec<f64> {
        let mean = |seed: &usize| {
            let values: Vec<f64> = self.rows.iter().filter_map(|row| table[*row][*seed]).collect();
            crate::stats::sample::mean(&values)
        };
        self.seeds.iter().map(mean).collect()
    }
}

/// One value for each seed from a table of pairs by seeds, over a part of it without holes; and the number of pairs.
pub(super) fn balanced(table: &[Vec<Option<f64>>]) -> (Vec<f64>, u32) {
    let part = Part::of(table);
    (part.means(table), part.rows.len() as u32)
}

/// Where some cells (combinations of levels, or lines of a figure) can be set beside each other: the cells, and the part of a table of groups
/// by seeds in which all of them have a result. A mean over anything else would show what is missing for what a level does. As
/// long as nothing is left, the cell with the fewest results is taken out, the last of equals.
pub(super) fn common(
    cells: usize,
    groups: usize,
    seeds: usize,
    has: impl Fn(usize, usize, usize) -> bool,
) -> (Vec<usize>, Part) {
    let results =
        |cell: &usize| (0..groups).map(|group| (0..seeds).filter(|seed| has(*cell, group, *seed)).count()).sum();
    let mut kept: Vec<(usize, usize)> = (0..cells).map(|cell| (cell, results(&cell))).filter(|(_, n)| *n > 0).collect();
    while !kept.is_empty() {
        let whole = |group: usize, seed: usize| kept.iter().all(|(cell, _)| has(*cell, group, seed)).then_some(0.0);
        let row = |group: usize| (0..seeds).map(|seed| whole(group, seed)).collect();
        let part = Part::of(&(0..groups).map(row).collect::<Vec<_>>());
        if !part.rows.is_empty() {
            return (kept.into_iter().map(|(cell, _)| cell).collect(), part);
        }
        let fewest = kept.iter().enumerate().min_by_key(|(at, (_, results))| (*results, std::cmp::Reverse(*at)));
        if let Some((at, _)) = fewest {
            kept.remove(at);
        }
    }
    (Vec::new(), Part::default())
}

/// `b - a`, seed by seed.
pub(super) fn minus(b: &[Option<f64>], a: &[Option<f64>]) -> Vec<Option<f64>> {
    b.iter().zip(a).map(|(b, a)| Some((*b)? - (*a)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_beside_each_other_where_all_have_a_result() {
        let of = |part: &Part| (part.rows.clone(), part.seeds.clone());
        let all = |_: usize, _: usize, _: usize| true;
        let (cells, part) = common(2, 2, 3, all);
        assert_eq!((cells, of(&part)), (vec![0, 1], (vec![0, 1], vec![0, 1, 2])));
        // A run that is missing in one cell is left out of the other.
        let (cells, part) = common(2, 3, 2, |cell, group, seed| (cell, group, seed) != (1, 2, 0));
        assert_eq!((cells, of(&part)), (vec![0, 1], (vec![0, 1], vec![0, 1])));
        // A cell without any result has no mean, and costs the others nothing.
        let (cells, part) = common(3, 2, 2, |cell, _, _| cell != 1);
        assert_eq!((cells, of(&part)), (vec![0, 2], (vec![0, 1], vec![0, 1])));
        // Nor has one with nothing in common with them.
        let (cells, part) = common(3, 2, 1, |cell, group, _| match cell {
            0 => true,
            1 => group == 0,
            _ => group == 1,
        });
        assert_eq!((cells, of(&part)), (vec![0, 1], (vec![0], vec![0])));
        assert_eq!(common(2, 2, 2, |_, _, _| false), (vec![], Part::default()));
    }

    #[test]
    fn a_hole_costs_a_pair_or_a_seed_but_never_mixes_them() {
        let some = |values: &[f64]| values.iter().map(|value| Some(*value)).collect::<Vec<_>>();
        assert_eq!(balanced(&[some(&[1.0, 2.0]), some(&[3.0, 6.0])]), (vec![2.0, 4.0], 2));
        let holed = |at: usize| {
            let mut row = some(&[1.0, 2.0, 3.0]);
            row[at] = None;
            row
        };
        // One of two pairs has a hole: two pairs over two seeds keep more than one over three.
        assert_eq!(balanced(&[holed(2), some(&[3.0, 4.0, 9.0])]), (vec![2.0, 3.0], 2));
        // One of four: the pair is left out.
        let whole = || some(&[3.0, 4.0, 9.0]);
        assert_eq!(balanced(&[whole(), holed(0), whole(), whole()]), (vec![3.0, 4.0, 9.0], 3));
        assert_eq!(balanced(&[vec![None, Some(1.0)]]), (vec![1.0], 1));
        assert_eq!(balanced(&[vec![None, None]]), (vec![], 0));
        assert_eq!(balanced(&[]), (vec![], 0));
    }
}
