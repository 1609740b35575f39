//! Plans that grow because somebody asks: more seeds, more points, more epochs. What there was keeps its place and its ids;
//! what is new comes behind it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recipe::Recipe;
use crate::search::Setting;

use super::{BASE, Column, GoesOn, MAX_TRIALS, Plan, put};

/// What somebody wants more of.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// These seeds, too.
    pub seeds: Vec<u64>,
    /// Every point that has fewer epochs also with so many.
    pub epochs: Option<u32>,
    /// What the sweep's file has come to be: all that it was, and more.
    pub plan: Option<Plan>,
}

/// What is new in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Every point, those that are new included, also runs with these seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
    /// New points; what is not named stays as in the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Vec<Setting>>,
    /// So many more points are proposed by the search.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub samples: u32,
    /// The baseline from now on; absent: the one that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u32>,
    /// New trials that begin with the last checkpoint of one that there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goes_on: Vec<GoesOn>,
}

impl Growth {
    /// `2 points (lr = 0.1; lr = 0.2), seeds 3, 4`; a point shows what it sets.
    pub fn words(&self) -> String {
        const SHOWN: usize = 12;
        let setting = |one: &Setting| format!("{} = {}", one.path, one.label);
        let named = |point: &Vec<Setting>| point.iter().map(setting).collect::<Vec<_>>().join(", ");
        let mut points: Vec<String> = self.points.iter().take(SHOWN).map(named).collect();
        points.extend((self.points.len() > SHOWN).then(|| "...".to_owned()));
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        let count = match self.points.len() {
            1 => "1 point".to_owned(),
            many => format!("{many} points"),
        };
        let points = (!points.is_empty()).then(|| format!("{count} ({})", points.join("; ")));
        let seeds = (!seeds.is_empty()).then(|| format!("seeds {}", seeds.join(", ")));
        let goes_on = match self.goes_on.len() {
            0 => None,
            1 => Some("1 trial goes on from a shorter one".to_owned()),
            many => Some(format!("{many} trials go on from shorter ones")),
        };
        let samples = match self.samples {
            0 => None,
            1 => Some("1 more point to be proposed".to_owned()),
            many => Some(format!("{many} more points to be proposed")),
        };
        points.into_iter().chain(samples).chain(seeds).chain(goes_on).collect::<Vec<_>>().join(", ")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Why a plan cannot grow like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtendError {
    /// Configurations were compared with those that there were.
    #[error(
        "`stop = \"{0}\"` compares all points of a rung at once, with those that there were: more points would have changed what was stopped; \
         submit another sweep, or use `asha`, which takes points at any time"
    )]
    StopsAll(&'static str),
    /// Seeds of configurations that are judged by their mean.
    #[error(
        "the sweep stops early (`{0}`), and a point is judged by all of its seeds together: what was decided was decided without the new ones; submit a \
         sweep without `stop` of the points that were left, as [[point]], with all seeds: `--reuse` takes the results that there are"
    )]
    StopsSeeds(&'static str),
    /// Epochs that rungs follow from.
    #[error(
        "the sweep stops early (`{0}`) and compares points with the same number of epochs; submit another sweep with more `epochs`"
    )]
    StopsEpochs(&'static str),
    /// The file asks for other early stopping than the sweep has.
    #[error("`stop` of the file is not that of the sweep: what was decided stays decided; submit another sweep")]
    OtherStop,
    /// Points were chosen by the results that there were.
    #[error(
        "the sweep searches: its points follow from the seeds, values and epochs that there were; only `samples` in its file can grow, for all else submit \
         another sweep"
    )]
    Searches,
    /// The file asks for another search than the sweep is.
    #[error(
        "{0} of the file is not that of the sweep: a search goes on with more `samples` of the same; submit another sweep"
    )]
    OtherSearch(&'static str),
    /// A file that does not have everything that the sweep has.
    #[error("{missing} that the sweep has {} not in the file ({first}): extending only adds; to leave something out, submit another sweep", if *.count == 1 { "is" } else { "are" })]
    Missing {
        /// `2 points`.
        missing: String,
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// Not more epochs than there are.
    #[error("epochs = {asked} is not more than any point has ({most}): ask for more")]
    Epochs {
        /// What was asked for.
        asked: u32,
        /// The least that a point has.
        most: u32,
    },
    /// Points that are no recipe.
    #[error("{0} is no recipe that can be tried")]
    NoRecipe(String),
    /// Too much of it.
    #[error("{0} trials, the limit is {MAX_TRIALS}")]
    TooMany(u64),
}

impl Plan {
    /// What is new in what somebody wants; empty if there is nothing.
    ///
    /// # Errors
    /// When the plan cannot grow like that.
    pub fn growth(&self, wish: &Wish) -> Result<Growth, ExtendError> {
        if self.search.is_some() || wish.plan.as_ref().is_some_and(|file| file.search.is_some()) {
            return self.more_samples(wish);
        }
        let mut growth = Growth::default();
        let mut seeds = wish.seeds.clone();
        if let Some(file) = &wish.plan {
            growth.points = self.more_points(file)?;
            seeds.extend(&file.seeds);
            let gone: Vec<u64> = self.seeds.iter().copied().filter(|seed| !file.seeds.contains(seed)).collect();
            if let Some(first) = gone.first() {
                return Err(missing(gone.len(), "seed", format!("seed {first}")));
            }
        }
        for seed in seeds {
            if !self.seeds.contains(&seed) && !growth.seeds.contains(&seed) {
                growth.seeds.push(seed);
            }
        }
        self.suits_stop(wish, &growth)?;
        if let Some(epochs) = wish.epochs {
            self.more_epochs(epochs, &mut growth)?;
        }
        let points = u64::from(self.points) + growth.points.len() as u64;
        let trials = points * (self.seeds.len() + growth.seeds.len()) as u64;
        if trials > u64::from(MAX_TRIALS) {
            return Err(ExtendError::TooMany(trials));
        }
        // What is judged epoch by epoch begins at the beginning.
        if !growth.points.is_empty() && self.stop.is_none() {
            let mut grown = self.clone();
            let first = grown.grow(&growth).start;
            growth.goes_on = grown.going_on(first);
        }
        Ok(growth)
    }

    /// The points of a file that are not in this plan.
    fn more_points(&self, file: &Self) -> Result<Vec<Vec<Setting>>, ExtendError> {
        let mut known: BTreeMap<String, (u32, bool)> =
            (0..self.points).map(|point| (text(self.point_value(point)), (point, false))).collect();
        let mut points = Vec::new();
        for point in 0..file.points {
            let whole = text(file.point_value(point));
            if let Some((_, found)) = known.get_mut(&whole) {
                *found = true;
                continue;
            }
            let settings = file.settings(point);
            if text(self.with(&settings)) != whole {
                // What both leave to their base is not the same there.
                let gone = known.values().filter(|(_, found)| !found).count().max(1);
                return Err(missing(gone, "point", self.named(0)));
            }
            points.push(settings);
        }
        let mut gone = known.values().filter(|(_, found)| !found).map(|(point, _)| *point).peekable();
        match gone.peek().copied() {
            Some(first) => Err(missing(gone.count(), "point", self.named(first))),
            None => Ok(points),
        }
    }

    /// All points, with those that are new already, with more epochs.
    fn more_epochs(&self, epochs: u32, growth: &mut Growth) -> Result<(), ExtendError> {
        let mut grown = self.clone();
        grown.grow(growth);
        let of = |point: u32| grown.value(point, "epochs").and_then(Value::as_u64).unwrap_or(0) as u32;
        let least = (0..grown.points).map(of).min().unwrap_or_default();
        if least >= epochs {
            return Err(ExtendError::Epochs { asked: epochs, most: least });
        }
        let mut places: BTreeMap<String, u32> =
            (0..grown.points).map(|point| (text(grown.point_value(point)), point)).collect();
        for point in (0..grown.points).filter(|point| of(*point) < epochs) {
            let mut settings = grown.settings(point);
            settings.retain(|setting| setting.path != "epochs");
            let (path, value, label) = ("epochs".to_owned(), Value::from(epochs), epochs.to_string());
            settings.push(Setting { path, value, label });
            if !grown.is_recipe(&settings) {
                return Err(ExtendError::NoRecipe(format!("epochs = {epochs} with {}", grown.named(point))));
            }
            let next = self.points + growth.points.len() as u32;
            let place = *places.entry(text(grown.with(&settings))).or_insert(next);
            if place == next {
                growth.points.push(settings);
            }
            if grown.baseline == Some(point) {
                growth.baseline = Some(place);
            }
        }
        Ok(())
    }

    /// What a point sets; the rest is the base's.
    fn settings(&self, point: u32) -> Vec<Setting> {
        let cells = self.columns.iter().zip(self.row(point)).filter(|(_, cell)| **cell != BASE);
        let setting = |(column, cell): (&Column, &u32)| Setting {
            path: column.path.clone(),
            value: column.values[*cell as usize].clone(),
            label: column.labels[*cell as usize].clone(),
        };
        cells.map(setting).collect()
    }

    /// The base with these settings.
    fn with(&self, settings: &[Setting]) -> Value {
        let mut value = self.base.clone();
        settings.iter().for_each(|setting| put(&mut value, &setting.path, setting.value.clone()));
        value
    }

    /// A point in words.
    fn named(&self, point: u32) -> String {
        let parts: Vec<String> =
            self.labels(point).into_iter().map(|(path, label)| format!("{path} = {label}")).collect();
        if parts.is_empty() { "the only point".to_owned() } else { parts.join(", ") }
    }

    /// Adds what is new: the indices of its trials. New points run with the seeds that there were, then every point with the new ones.
    pub fn grow(&mut self, growth: &Growth) -> Range<u32> {
        let before = self.len();
        if let Some(search) = &mut self.search {
            search.points += growth.samples;
        }
        let paths = growth.points.iter().flatten().map(|setting| &setting.path);
        for path in paths.collect::<std::collections::BTreeSet<_>>() {
            if !self.columns.iter().any(|column| column.path == *path) {
                self.add_column(path.clone());
            }
        }
        let (old, seeds) = (self.seeds.len() as u32, (self.seeds.len() + growth.seeds.len()) as u32);
        for flat in &mut self.order {
            *flat = *flat / old * seeds + *flat % old;
        }
        self.seeds.extend(&growth.seeds);
        let first = self.points;
        growth.points.iter().for_each(|settings| self.add_row(settings));
        let (new, all) = (first..self.points, 0..self.points);
        if self.stop.is_some() {
            // Seeds of a point that are judged together follow each other.
            self.order.extend(new.flat_map(|point| (0..old).map(move |seed| point * seeds + seed)));
        } else {
            self.order.extend((0..old).flat_map(|seed| new.clone().map(move |point| point * seeds + seed)));
        }
        self.order.extend((old..seeds).flat_map(|seed| all.clone().map(move |point| point * seeds + seed)));
        self.baseline = growth.baseline.filter(|point| *point < self.points).or(self.baseline);
        before..self.len()
    }

    fn add_column(&mut self, path: String) {
        let width = self.columns.len();
        let row = |point: usize| self.cells[point * width..(point + 1) * width].iter().copied().chain([BASE]);
        self.cells = (0..self.points as usize).flat_map(row).collect();
        self.columns.push(Column { path, values: Vec::new(), labels: Vec::new() });
    }
}

/// A recipe as text: equal for equal recipes, whatever way they are put together.
pub(super) fn text(mut value: Value) -> String {
    put(&mut value, "seed", Value::from(0));
    match serde_json::from_value::<Recipe>(value.clone()).map(serde_json::to_value) {
        Ok(Ok(recipe)) => recipe.to_string(),
        _ => value.to_string(),
    }
}

pub(super) fn missing(count: usize, what: &str, first: String) -> ExtendError {
    let missing = if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    ExtendError::Missing { missing, count, first }
}
