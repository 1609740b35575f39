//! From the results of a sweep to what they mean: every number that any form of the report shows is worked out here.
//! What the numbers are and where they come from is in `docs/report.md`.

use serde::{Deserialize, Serialize};

use super::curves::{Curves, MOST_LINES, curves};
use super::effects::{FactorEffects, Interaction, interactions, main_effects};
use super::factors::{Table, minus};
use super::importance::{Importance, importance};
use super::pareto::{Pareto, pareto};
use super::ranges::{DrawnFactor, drawn};
use super::{Report, Spread};
use crate::num::Num;
use crate::stats::paired::{Difference, POWER, Verdict, correct, paired};
use crate::stats::sample::{Estimate, Method, median};
use crate::stats::student::Critical;

/// The chance of a false discovery that is accepted; intervals hold with what is left.
pub const ALPHA: f64 = 0.05;

/// What a reader can ask for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How intervals are made.
    pub method: Method,
    /// The factor whose levels are the lines of the learning curves; the most important one if absent.
    pub factor: Option<String>,
    /// Points whose test accuracy is shown; of all others it is taken out of the report.
    pub test: Vec<u32>,
}

/// A report with everything that follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// The results.
    #[serde(flatten)]
    pub report: Report,
    /// What they mean.
    pub analysis: Analysis,
}

/// What the results mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// How intervals were made.
    pub interval: Method,
    /// With which probability they hold.
    pub level: f64,
    /// The chance that `needed` seeds find a difference of the size seen.
    pub power: f64,
    /// Points in the order of the ranking.
    pub points: Vec<PointStats>,
    /// What each factor does; those whose values were drawn are in `drawn`.
    pub factors: Vec<FactorEffects>,
    /// Factors whose values were drawn from a range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<DrawnFactor>,
    /// What two factors do together; full grids only.
    pub interactions: Vec<Interaction>,
    /// Which factors matter.
    pub importance: Importance,
    /// Accuracy against cost.
    pub pareto: Vec<Pareto>,
    /// Learning curves.
    pub curves: Curves,
    /// Points whose test accuracy was asked for.
    pub test_points: Vec<u32>,
    /// Points with a test accuracy that nobody asked for: it is not in this report.
    pub test_kept_back: u32,
}

/// One point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointStats {
    /// Index in the plan.
    pub point: u32,
    /// Best validation accuracy over its seeds.
    pub accuracy: Estimate,
    /// The epoch of that accuracy: earliest, median and latest over the seeds.
    pub best_epoch: Option<(u32, Num, u32)>,
    /// Trials that failed for good.
    pub failed: u32,
    /// Against the baseline, paired by seed.
    pub against_baseline: Option<Difference>,
    /// Against the point with the highest mean, paired by seed.
    pub against_best: Option<Difference>,
}

/// There is no such factor.
#[derive(Debug, thiserror::Error)]
#[error("no factor `{asked}` in this sweep; it varies {known}")]
pub struct UnknownFactor {
    /// What was asked for.
    pub asked: String,
    /// What there is.
    pub known: String,
}

/// Everything that a report shows.
///
/// # Errors
/// When the factor that was asked for does not vary in this sweep.
pub fn analyse(mut report: Report, options: &Options) -> Result<Study, UnknownFactor> {
    let test_kept_back = keep_back(&mut report, &options.test);
    let table = Table::of(&report);
    let (method, mut critical) = (options.method, Critical::new(ALPHA));
    let importance = importance(&table);
    let factor = match &options.factor {
        Some(asked) => Some(Factors::named(&table).place(asked)?),
        None => most_important(&table, &importance),
    };
    let analysis = Analysis {
        interval: method,
        level: 1.0 - ALPHA,
        power: POWER,
        points: points(&report, &table, method, &mut critical),
        factors: main_effects(&table, method, &mut critical),
        drawn: drawn(&table),
        interactions: interactions(&table, method, &mut critical),
        importance,
        pareto: pareto(&report),
        curves: curves(&report, &table, factor, (method, &mut critical)),
        test_points: options.test.clone(),
        test_kept_back,
    };
    Ok(Study { report, analysis })
}

/// Takes test results out that were not asked for, so that nobody chooses by them. Returns of how many points.
fn keep_back(report: &mut Report, asked: &[u32]) -> u32 {
    let mut kept = 0;
    for row in report.points.iter_mut().filter(|row| !asked.contains(&row.point)) {
        kept += u32::from(row.test.n > 0);
        row.test = Spread::of(&[]);
        row.trials.iter_mut().for_each(|trial| trial.test = None);
    }
    kept
}

/// The factors of a sweep by their names.
#[derive(Clone, Debug)]
pub struct Factors(Vec<String>);

impl Factors {
    /// Those that vary in it.
    pub fn of(report: &Report) -> Self {
        Self::named(&Table::of(report))
    }

    fn named(table: &Table) -> Self {
        Self(table.factors.iter().map(|factor| factor.name.clone()).collect())
    }

    /// The whole name of the factor that is called so, or that has a path that is.
    ///
    /// # Errors
    /// When it does not vary.
    pub fn find(&self, asked: &str) -> Result<&str, UnknownFactor> {
        self.place(asked).map(|place| self.0[place].as_str())
    }

    fn place(&self, asked: &str) -> Result<usize, UnknownFactor> {
        let is = |name: &String| name == asked || name.split(" + ").any(|path| path == asked);
        self.0.iter().position(is).ok_or_else(|| UnknownFactor {
            asked: asked.to_owned(),
            known: if self.0.is_empty() { "nothing".to_owned() } else { self.0.join(", ") },
        })
    }
}

fn most_important(table: &Table, importance: &Importance) -> Option<usize> {
    let drawable = |index: &usize| table.factors[*index].levels.len() <= MOST_LINES;
    let ranked = importance.shares.iter().filter(|share| share.factors.len() == 1);
    let ranked = ranked.filter_map(|share| table.factors.iter().position(|factor| factor.name == share.factors[0]));
    ranked.chain(0..table.factors.len()).find(drawable)
}

fn points(report: &Report, table: &Table, method: Method, critical: &mut Critical) -> Vec<PointStats> {
    let best = report.points.first().filter(|row| row.accuracy.n > 0).map(|row| row.point as usize);
    let mut rows: Vec<PointStats> = (report.points.iter())
        .map(|row| {
            let point = row.point as usize;
            let values: Vec<f64> = table.results[point].iter().flatten().copied().collect();
            let epochs = row.trials.iter().filter(|trial| trial.has_result());
            let epochs: Vec<u32> = epochs.filter_map(|trial| Some(trial.best.as_ref()?.epoch)).collect();
            let middle = median(&epochs.iter().map(|epoch| f64::from(*epoch)).collect::<Vec<_>>());
            let ends = epochs.iter().min().zip(epochs.iter().max());
            let mut against = |other: Option<usize>| {
                let other = other.filter(|other| *other != point)?;
                let pairs = minus(&table.results[point], &table.results[other]);
                let differences: Vec<f64> = pairs.into_iter().flatten().collect();
                (!differences.is_empty()).then(|| paired(&differences, method, critical))
            };
            let (against_baseline, against_best) = (against(table.baseline), against(best));
            PointStats {
                point: row.point,
                accuracy: Estimate::of(&values, method, critical),
                best_epoch: ends.zip(middle).map(|((first, last), middle)| (*first, Num(middle), *last)),
                failed: row.trials.iter().filter(|trial| trial.phase == "failed").count() as u32,
                against_baseline,
                against_best,
            }
        })
        .collect();
    for pick in [|row: &mut PointStats| row.against_baseline.as_mut(), |row: &mut PointStats| row.against_best.as_mut()]
        as [fn(&mut PointStats) -> Option<&mut Difference>; 2]
    {
        let mut all: Vec<&mut Difference> = rows.iter_mut().filter_map(pick).collect();
        correct(&mut all, critical.alpha());
    }
    rows
}

impl Analysis {
    /// Points that cannot be told from the best one, the best one itself left out: ties, and single runs of which
    /// nothing can be said.
    pub fn ties(&self) -> impl Iterator<Item = (u32, Verdict)> {
        let open = |verdict: &Verdict| matches!(verdict, Verdict::Tie | Verdict::Unknown);
        let rows = self.points.iter().filter_map(|row| Some((row.point, row.against_best?.verdict)));
        rows.filter(move |(_, verdict)| open(verdict))
    }

    /// Whether some point rests on one run.
    pub fn has_single_runs(&self) -> bool {
        self.points.iter().any(|row| row.accuracy.n == 1)
    }
}
