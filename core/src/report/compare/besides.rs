//! What two sweeps differ in besides the settings that vary, and whether that leaves a comparison of the settings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Comparison;
use crate::plan::{label_of, put, spelt};
use crate::recipe::Recipe;
use crate::report::trials::differ;
use crate::report::{PointRow, Report};

/// A field in which two recipes differ: its path, and what each has there.
pub type Field = (String, Option<String>, Option<String>);

/// Fields that make another data set, or other images of the same.
const DATA: [&str; 3] = ["dataset", "image_size", "data"];

/// The recipe of a point with every default filled in, as a trial gets it but for its seed.
pub(super) fn recipe_of(report: &Report, row: &PointRow) -> Value {
    let mut whole = report.provenance.recipe.clone();
    if !whole.is_object() {
        whole = Value::Object(serde_json::Map::new());
    }
    for (path, label) in &row.settings {
        let known = row.values.iter().find(|(known, _)| known == path).map(|(_, value)| value.clone());
        let value = known.unwrap_or_else(|| spelt(label));
        // The point has no such field.
        if !value.is_null() {
            put(&mut whole, path, value);
        }
    }
    filled(whole)
}

/// As the trainer gets it; what is no recipe stays as it is.
fn filled(whole: Value) -> Value {
    let Ok(mut recipe) = serde_json::from_value::<Recipe>(whole.clone()) else { return whole };
    recipe.dropout = Some(recipe.dropout_rate());
    serde_json::to_value(recipe).unwrap_or(whole)
}

/// Fields in which two recipes differ, but for the seed and what varies.
pub(super) fn besides(a: &Value, b: &Value, paths: &[String]) -> Vec<Field> {
    let mut fields = Vec::new();
    differ("", Some(a), Some(b), &mut fields);
    let varies = |field: &str| paths.iter().any(|path| field == path || is_below(field, path));
    fields.retain(|(field, ..)| field != "seed" && !varies(field));
    fields
}

fn is_below(field: &str, path: &str) -> bool {
    field.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}

/// Why the two do not differ in their settings alone; a few words each.
pub(super) fn confounders(a: &Report, b: &Report, paths: &[String], besides: &[Field]) -> Vec<String> {
    let of = |path: &str| besides.iter().find(|(field, ..)| field == path);
    let mut out: Vec<String> = ["dataset", "epochs"].into_iter().filter_map(of).map(in_words).collect();
    let varied = paths.iter().any(|path| DATA.iter().any(|data| path == data || is_below(path, data)));
    if of("dataset").is_none()
        && let Some((first, second)) = images(a, b, varied)
    {
        out.push(format!("images {first} | {second}"));
    }
    out
}

/// The digests of the images, where they are not those of the other; of copies of data sets while no trainer has said.
fn images(a: &Report, b: &Report, varied: bool) -> Option<(String, String)> {
    let set = |report: &Report| -> BTreeSet<String> {
        let images = report.provenance.images.iter().map(|(_, digest)| digest.clone());
        images.filter(|digest| !digest.is_empty()).collect()
    };
    let (first, second) = (set(a), set(b));
    if !first.is_empty() && !second.is_empty() {
        // Where the data vary one sweep may have more of them than the other.
        let other = if varied { first.is_disjoint(&second) } else { first != second };
        return other.then(|| (short(&first), short(&second)));
    }
    let copies = |report: &Report| -> BTreeMap<String, String> {
        let data = report.provenance.data.iter();
        data.filter_map(|(name, fingerprint)| Some((name.clone(), fingerprint.clone()?))).collect()
    };
    let (first, second) = (copies(a), copies(b));
    let other = |(name, one): (&String, &String)| {
        let two = second.get(name).filter(|two| *two != one)?;
        let cut = |text: &String| short(&BTreeSet::from([text.clone()]));
        Some((cut(one), cut(two)))
    };
    first.iter().find_map(other)
}

/// As much of digests as tells them apart.
fn short(digests: &BTreeSet<String>) -> String {
    let cut: Vec<String> = digests.iter().map(|digest| digest.chars().take(12).collect()).collect();
    cut.join(", ")
}

/// `epochs 3 | 4`.
fn in_words((path, a, b): &Field) -> String {
    let text = |value: &Option<String>| {
        let known =
            value.as_deref().map(|text| serde_json::from_str(text).map_or(text.to_owned(), |v| label_of(path, &v)));
        let mut known = known.unwrap_or_else(|| "-".to_owned());
        if known.chars().count() > 60 {
            known = known.chars().take(59).chain(['…']).collect();
        }
        known
    };
    format!("{path} {} | {}", text(a), text(b))
}

impl Comparison {
    /// In which fields of the recipe the two differ that do not vary; nothing where they differ in none.
    pub fn differs_besides(&self) -> Option<String> {
        let fields: Vec<String> = self.besides.iter().map(in_words).collect();
        (!fields.is_empty()).then(|| format!("differs besides: {}", fields.join(", ")))
    }

    /// That the settings are not all in which the two differ; nothing where they are.
    pub fn is_confounded(&self) -> Option<String> {
        (!self.confounders.is_empty()).then(|| {
            format!(
                "this is no comparison of the settings alone: {} and {} also differ in {}",
                self.a,
                self.b,
                self.confounders.join(", ")
            )
        })
    }

    /// Why no point has a difference; nothing where one has.
    pub fn no_difference(&self) -> Option<String> {
        if self.rows.is_empty() || self.rows.iter().any(|row| row.difference.is_some()) || self.same > 0 {
            return None;
        }
        let seeds = |seeds: &[u64]| {
            let cut: Vec<String> = seeds.iter().take(10).map(u64::to_string).collect();
            let more = if seeds.len() > cut.len() { ", ..." } else { "" };
            let word = if seeds.len() == 1 { "seed" } else { "seeds" };
            format!("{word} {}{more}", cut.join(", "))
        };
        let (first, second) = (&self.seeds.0, &self.seeds.1);
        let shared = first.iter().any(|seed| second.contains(seed));
        Some(if shared {
            "no difference: no point has a result of the same seed in both sweeps".to_owned()
        } else {
            format!(
                "no difference: the sweeps have no seed in common, {} has {} and {} has {}; runs are paired by seed",
                self.a,
                seeds(first),
                self.b,
                seeds(second)
            )
        })
    }

    /// Names of values that mean something else in each sweep.
    pub fn other_meanings(&self) -> Option<String> {
        let names: Vec<String> = self.namesakes.iter().map(|(path, label)| format!("{path} {label}")).collect();
        (!names.is_empty()).then(|| {
            format!(
                "the same name stands for different settings in the two sweeps, which are not matched: {}",
                names.join(", ")
            )
        })
    }
}
