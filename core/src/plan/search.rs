//! Plans that grow: the points that a search chooses while the sweep runs.

use std::ops::Range;

use serde_json::Value;

use crate::recipe::Recipe;
use crate::search::{Axis, Search, Setting};
use crate::spec::{self, Design, Draw, Errors, Reason, Spec, Values};

use super::{BASE, Plan, at, put};

/// What a plan with so many points written by hand says about its search.
pub(super) fn search(spec: &Spec, by_hand: u32) -> Option<Box<Search>> {
    let (knobs, Design::Random { samples, seed, .. }) = (spec.search.clone()?, spec.design) else { return None };
    let setting = |path: &str, choice: &spec::Choice| Setting {
        path: path.to_owned(),
        value: choice.value.clone(),
        label: choice.label.clone(),
    };
    let axis = |group: &spec::Group| {
        let first = group.axes.first()?;
        let path = first.path.clone();
        Some(match &first.values {
            Values::Drawn(Draw::Uniform { low, high }) => Axis::Float { path, low: *low, high: *high, log: false },
            Values::Drawn(Draw::LogUniform { low, high }) => Axis::Float { path, low: *low, high: *high, log: true },
            Values::Drawn(Draw::Int { low, high, float }) => Axis::Int { path, low: *low, high: *high, float: *float },
            Values::List(choices) => {
                let row = |at: usize| {
                    let each = group.axes.iter().filter_map(|axis| match &axis.values {
                        Values::List(choices) => Some(setting(&axis.path, choices.get(at)?)),
                        Values::Drawn(_) => None,
                    });
                    each.collect()
                };
                Axis::Choices((0..choices.len()).map(row).collect())
            }
        })
    };
    let exclude = |row: &spec::Row| row.settings.iter().map(|one| setting(&one.path, &one.choice)).collect();
    Some(Box::new(Search {
        knobs,
        points: samples + by_hand,
        seed,
        space: spec.groups.iter().filter_map(axis).collect(),
        excludes: spec.excludes.iter().map(exclude).collect(),
    }))
}

/// Refuses what a search could never try: the ends of a range, or a choice, that makes no recipe with any of the first points.
pub(super) fn check(spec: &Spec, plan: &Plan, errors: &mut Errors<'_>) {
    let Some(search) = plan.search.as_deref() else { return };
    for (axis, group) in search.space.iter().zip(&spec.groups) {
        for place in axis.extremes() {
            let settings = axis.settings(place);
            let is_recipe = |point: u32| {
                let value = |path: &str| plan.value(point, path);
                let others = search.space.iter().filter(|other| *other != axis);
                let others = others.filter_map(|other| Some(other.settings(other.coordinate(value)?))).flatten();
                plan.is_recipe(&others.chain(settings.iter().cloned()).collect::<Vec<_>>())
            };
            if !(0..plan.points).any(is_recipe) {
                let shown: Vec<String> = settings.iter().map(|one| format!("{} = {}", one.path, one.label)).collect();
                let what = format!("{} makes no recipe with any of the first points", shown.join(", "));
                let key = format!("grid.{}", group.axes[0].path);
                let hint = "search only what can be tried";
                errors.push(Reason::ValueOutOfRange, key, Some(&group.axes[0].span), what, hint);
            }
        }
    }
}

impl Plan {
    /// How many points there will be, if a search chooses all of its own.
    pub fn all_points(&self) -> u32 {
        self.search.as_deref().map_or(self.points, |search| search.points.max(self.points))
    }

    /// How many trials there will be then.
    pub fn all_trials(&self) -> u32 {
        self.len() + (self.all_points() - self.points) * self.seeds.len() as u32
    }

    /// Paths whose values are drawn from a range, so that every point has a value of its own there. For reports: a plan of
    /// an earlier release that holds neither a search nor its file does not say.
    pub fn drawn(&self) -> Vec<String> {
        let searched = |axis: &Axis| match axis {
            Axis::Float { path, .. } | Axis::Int { path, .. } => Some(path.clone()),
            Axis::Choices(_) => None,
        };
        let written = |axis: &spec::Axis| matches!(axis.values, Values::Drawn(_)).then(|| axis.path.clone());
        match (self.search.as_deref(), &self.source) {
            (Some(search), _) => search.space.iter().filter_map(searched).collect(),
            (None, Some(file)) => spec::parse(file.as_bytes()).map_or_else(
                |_| Vec::new(),
                |spec| spec.groups.iter().flat_map(|group| &group.axes).filter_map(written).collect(),
            ),
            (None, None) => Vec::new(),
        }
    }

    /// What a point has at the path of a column or of the base.
    pub fn value(&self, point: u32, path: &str) -> Option<&Value> {
        let column = self.columns.iter().position(|column| column.path == path);
        let own = column.and_then(|at| self.columns[at].values.get(self.row(point)[at] as usize));
        own.or_else(|| at(&self.base, path))
    }

    /// Whether the base with these settings can be tried.
    pub(crate) fn is_recipe(&self, settings: &[Setting]) -> bool {
        let mut value = self.base.clone();
        settings.iter().for_each(|setting| put(&mut value, &setting.path, setting.value.clone()));
        put(&mut value, "seed", Value::from(0));
        serde_json::from_value::<Recipe>(value).is_ok_and(|recipe| recipe.check().is_empty())
    }

    /// Adds a point with these settings, all seeds of it behind the trials that there are: their indices.
    pub fn add_point(&mut self, settings: &[Setting]) -> Range<u32> {
        let (before, seeds, point) = (self.len(), self.seeds.len() as u32, self.points);
        self.add_row(settings);
        self.order.extend((0..seeds).map(|seed| point * seeds + seed));
        before..self.len()
    }

    pub(super) fn add_row(&mut self, settings: &[Setting]) {
        for column in &mut self.columns {
            let cell = settings.iter().find(|setting| setting.path == column.path).map(|setting| {
                let known = column.values.iter().position(|value| *value == setting.value);
                known.unwrap_or_else(|| {
                    column.values.push(setting.value.clone());
                    column.labels.push(setting.label.clone());
                    column.values.len() - 1
                }) as u32
            });
            self.cells.push(cell.unwrap_or(BASE));
        }
        self.points += 1;
    }
}
