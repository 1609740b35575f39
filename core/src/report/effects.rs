//! What each level of a factor does, compared seed by seed with the factor's reference level; and what two factors
//! do together that neither does alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::factors::{Part, Table, balanced, common, minus};
use crate::num::Num;
use crate::stats::paired::{Difference, correct, paired};
use crate::stats::sample::{Estimate, Method, mean};
use crate::stats::student::Critical;

/// Factors with more levels get no table of interactions: nobody could read it.
const MOST_LEVELS: usize = 12;
/// Nor do sweeps with more pairs of factors.
const MOST_PAIRS: usize = 66;

/// A factor with what its levels do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FactorEffects {
    /// Its paths, joined where they vary together.
    pub factor: String,
    /// The level that the others are compared with: the baseline's, else the first.
    pub reference: String,
    /// All levels, in the order of the plan.
    pub levels: Vec<LevelEffect>,
}

impl FactorEffects {
    /// Why no level of it is compared with the reference level; nothing if one is.
    pub fn silent(&self) -> Option<&'static str> {
        let others = || self.levels.iter().filter(|row| row.level != self.reference);
        let all = |of: &[Unpaired]| others().all(|row| row.unpaired.is_some_and(|why| of.contains(&why)));
        Some(match () {
            () if others().any(|row| row.difference.is_some()) => return None,
            () if all(&[Unpaired::NoPair]) => "no two points differ in it alone",
            () if all(&[Unpaired::NoResult, Unpaired::NoPair]) => {
                "of the points that differ in it alone those with other values than the reference have no result"
            }
            () if all(&[Unpaired::NoReference, Unpaired::NoPair]) => {
                "of the points that differ in it alone those with the value of the reference have no result"
            }
            () => {
                "no two points that differ in it alone, one of them with the value of the reference, have results with the same seed"
            }
        })
    }
}

/// One level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LevelEffect {
    /// What it is called.
    pub level: String,
    /// Points that have it.
    pub points: u32,
    /// Accuracy: each seed's mean over the points that are compared, where the level has pairs, so that the difference to
    /// `reference_accuracy` is the one that is shown; else over all of its points that have a result in every seed used.
    pub accuracy: Estimate,
    /// Accuracy of the reference level in the same pairs and seeds. Absent (n = 0) without pairs.
    #[serde(default)]
    pub reference_accuracy: Estimate,
    /// Points with this level and with the reference that are equal in all else, as used in the comparison.
    pub pairs: u32,
    /// Against the reference level: one difference a seed, its mean over the pairs. Absent at the reference itself
    /// and where there is nothing to compare, for which `unpaired` has the reason.
    pub difference: Option<Difference>,
    /// Why there is no difference; absent where there is one, and at the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaired: Option<Unpaired>,
}

/// Why a level is compared with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpaired {
    /// No point differs from one with the reference level in this alone.
    NoPair,
    /// There are such points; those with this level have no result.
    NoResult,
    /// They have, but not those with the reference level.
    NoReference,
    /// Both have, but not with the same seed.
    NoSeed,
}

impl Unpaired {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoPair => "no pair differs in this alone",
            Self::NoResult => "no result",
            Self::NoReference => "the reference has no result",
            Self::NoSeed => "no pair has results with the same seed",
        }
    }

    /// Of pairs of points with this level and with the reference level, of which none can be compared.
    fn of(here: &[Vec<Option<f64>>], there: &[Vec<Option<f64>>]) -> Self {
        let some = |results: &[Vec<Option<f64>>]| results.iter().flatten().any(Option::is_some);
        match (here.is_empty(), some(here), some(there)) {
            (true, ..) => Self::NoPair,
            (false, false, _) => Self::NoResult,
            (false, true, false) => Self::NoReference,
            (false, true, true) => Self::NoSeed,
        }
    }
}

/// What two factors do together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// The two factors.
    pub factors: (String, String),
    /// Levels of the first.
    pub rows: Vec<String>,
    /// Levels of the second.
    pub columns: Vec<String>,
    /// Accuracy of each combination, over the same combinations of the other factors and the same seeds in all: rows of columns. Absent where a
    /// combination has no result beside those of the others.
    pub means: Vec<Vec<Option<Num>>>,
    /// Runs that each mean is over.
    #[serde(default)]
    pub runs: u32,
    /// Runs that it would be over if all had a result.
    #[serde(default)]
    pub of_runs: u32,
    /// How much the effect of a row's level changes with a column's level, for all levels but the references.
    pub contrasts: Vec<Contrast>,
}

impl Interaction {
    /// What was left out of the means so that they can be set beside each other.
    pub fn left_out(&self) -> Option<String> {
        let some = self.means.iter().flatten().any(Option::is_some);
        (some && self.runs < self.of_runs).then(|| {
            let (runs, all) = (self.runs, self.of_runs);
            format!("each mean is over {runs} of {all} runs, those that all means shown have a result of")
        })
    }
}

/// `(row, column) - (row, reference) - (reference, column) + (reference, reference)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// Level of the first factor.
    pub row: String,
    /// Level of the second.
    pub column: String,
    /// Combinations of the other factors that were averaged.
    pub pairs: u32,
    /// The contrast, one value a seed; zero when the two factors add up.
    pub difference: Difference,
}

pub(super) fn main_effects(table: &Table, method: Method, critical: &mut Critical) -> Vec<FactorEffects> {
    let mut effects: Vec<FactorEffects> = Vec::new();
    for (index, factor) in table.factors.iter().enumerate().filter(|(_, factor)| !factor.drawn) {
        let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for point in 0..table.results.len() {
            groups.entry(table.key(point, &[index])).or_default().push(point);
        }
        let mut levels = Vec::new();
        let mut compared = BTreeSet::new();
        for (level, name) in factor.levels.iter().enumerate() {
            let mine: Vec<usize> = (0..table.results.len()).filter(|point| factor.of_point[*point] == level).collect();
            let mut row = LevelEffect { level: name.clone(), points: mine.len() as u32, ..LevelEffect::default() };
            if level != factor.reference {
                let pair = |points: &Vec<usize>| {
                    let at = |level| points.iter().copied().find(|point| factor.of_point[*point] == level);
                    Some((at(level)?, at(factor.reference)?))
                };
                let (here, there): (Vec<usize>, Vec<usize>) = groups.values().filter_map(pair).unzip();
                let (here, there) = (table.rows(&here), (table.rows(&there), there));
                let differences: Vec<_> = here.iter().zip(&there.0).map(|(here, there)| minus(here, there)).collect();
                let part = Part::of(&differences);
                compared.extend(part.rows.iter().map(|pair| there.1[*pair]));
                row.pairs = part.rows.len() as u32;
                if row.pairs > 0 {
                    row.accuracy = Estimate::of(&part.means(&here), method, critical);
                    row.reference_accuracy = Estimate::of(&part.means(&there.0), method, critical);
                    row.difference = Some(paired(&part.means(&differences), method, critical));
                } else {
                    row.unpaired = Some(Unpaired::of(&here, &there.0));
                }
            }
            if row.pairs == 0 {
                row.accuracy = Estimate::of(&balanced(&table.rows(&mine)).0, method, critical);
            }
            levels.push(row);
        }
        // In an ablation all points but a few have the reference level; they are not what the others are compared with.
        if !compared.is_empty() {
            let compared: Vec<usize> = compared.into_iter().collect();
            let accuracy = Estimate::of(&balanced(&table.rows(&compared)).0, method, critical);
            levels[factor.reference].accuracy = accuracy;
        }
        let reference = factor.levels[factor.reference].clone();
        effects.push(FactorEffects { factor: factor.name.clone(), reference, levels });
    }
    let mut all: Vec<&mut Difference> =
        effects.iter_mut().flat_map(|factor| &mut factor.levels).filter_map(|row| row.difference.as_mut()).collect();
    correct(&mut all, critical.alpha());
    effects
}

/// Of all pairs of factors of a full grid; none of other designs, where they cannot be told apart.
pub(super) fn interactions(table: &Table, method: Method, critical: &mut Critical) -> Vec<Interaction> {
    let few: Vec<usize> =
        (0..table.factors.len()).filter(|index| table.factors[*index].levels.len() <= MOST_LEVELS).collect();
    if !table.is_full_grid() || few.len() * few.len().saturating_sub(1) / 2 > MOST_PAIRS {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (place, a) in few.iter().enumerate() {
        for b in &few[place + 1..] {
            found.push(interaction(table, (*a, *b), method, critical));
        }
    }
    let mut all: Vec<&mut Difference> =
        found.iter_mut().flat_map(|pair| &mut pair.contrasts).map(|contrast| &mut contrast.difference).collect();
    correct(&mut all, critical.alpha());
    found
}

fn interaction(table: &Table, (a, b): (usize, usize), method: Method, critical: &mut Critical) -> Interaction {
    let (first, second) = (&table.factors[a], &table.factors[b]);
    // For each combination of the other factors: its points by the levels of these two.
    let mut groups: BTreeMap<Vec<usize>, BTreeMap<(usize, usize), usize>> = BTreeMap::new();
    for point in 0..table.results.len() {
        let cell = (first.of_point[point], second.of_point[point]);
        groups.entry(table.key(point, &[a, b])).or_default().insert(cell, point);
    }
    let at = |cells: &BTreeMap<(usize, usize), usize>, row: usize, column: usize| &table.results[cells[&(row, column)]];
    let (width, seeds) = (second.levels.len(), table.results.first().map_or(0, Vec::len));
    let of_groups: Vec<&BTreeMap<(usize, usize), usize>> = groups.values().collect();
    let has = |cell: usize, group: usize, seed: usize| at(of_groups[group], cell / width, cell % width)[seed].is_some();
    let (shown, part) = common(first.levels.len() * width, of_groups.len(), seeds, has);
    let mut means = Vec::new();
    let mut contrasts = Vec::new();
    for row in 0..first.levels.len() {
        let mut line = Vec::new();
        for column in 0..second.levels.len() {
            let cells: Vec<Vec<Option<f64>>> = groups.values().map(|cells| at(cells, row, column).clone()).collect();
            line.push(shown.contains(&(row * width + column)).then(|| Num(mean(&part.means(&cells)))));
            if row == first.reference || column == second.reference {
                continue;
            }
            let pairs: Vec<Vec<Option<f64>>> = (groups.values())
                .map(|cells| {
                    let here = minus(at(cells, row, column), at(cells, row, second.reference));
                    let there = minus(at(cells, first.reference, column), at(cells, first.reference, second.reference));
                    minus(&here, &there)
                })
                .collect();
            let (differences, used) = balanced(&pairs);
            contrasts.push(Contrast {
                row: first.levels[row].clone(),
                column: second.levels[column].clone(),
                pairs: used,
                difference: paired(&differences, method, critical),
            });
        }
        means.push(line);
    }
    Interaction {
        factors: (first.name.clone(), second.name.clone()),
        rows: first.levels.clone(),
        columns: second.levels.clone(),
        means,
        runs: (part.rows.len() * part.seeds.len()) as u32,
        of_runs: (groups.len() * seeds) as u32,
        contrasts,
    }
}
