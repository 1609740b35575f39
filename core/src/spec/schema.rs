//! Which paths a recipe has and of what kind each is. Derived from the recipe types themselves (the
//! canonical JSON of every variant), so there is no second list to keep in step. Bounds are left to
//! `Recipe::check`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::recipe::augment::STEP_NAMES;
use crate::recipe::model::MODEL_NAMES;
use crate::recipe::optim::OPTIMIZER_NAMES;
use crate::recipe::schedule::SCHEDULE_NAMES;
use crate::recipe::{Augment, Recipe};

use super::error::Reason;

/// Fields of a table.
pub(super) type Fields = BTreeMap<String, Shape>;

/// The kind of one value.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A whole number that is not negative.
    Int,
    Float,
    Bool,
    Text,
    /// A list of whole numbers, of any length.
    Ints,
    /// A list of exactly so many numbers, whole or not.
    Numbers {
        count: usize,
        whole: bool,
    },
    Table(Fields),
    /// A name, or a table with one name as its key.
    Variant(BTreeMap<String, Fields>),
    /// A list of steps, each a variant.
    Steps(BTreeMap<String, Fields>),
    /// A list of such lists.
    Copies(BTreeMap<String, Fields>),
}

/// The shape of a whole recipe.
#[derive(Debug)]
pub(super) struct Schema {
    fields: Fields,
    /// Every dotted path that can be set.
    paths: Vec<String>,
}

/// Where a path leaves the schema.
#[derive(Debug)]
pub(super) struct Stray {
    /// Index of the first segment that is not known.
    pub(super) segment: usize,
    /// What kind of error it is.
    pub(super) reason: Reason,
    /// What would be possible there.
    pub(super) names: Vec<String>,
}

impl Schema {
    pub(super) fn new() -> Self {
        let whole = with("early_stop", json!({"patience": 1}));
        let mut fields = shapes(&whole);
        let options = with("data", json!({"labels": "label", "size": [1, 1], "min_side": 1}));
        fields.insert("data".to_owned(), Shape::Table(shapes(&options["data"])));
        for (field, names) in enums() {
            let variant = |name: &str| {
                let value = with(field, json!(name))[field].take();
                shapes(value.get(name).unwrap_or(&Value::Null))
            };
            fields.insert(field.to_owned(), Shape::Variant(named(names, variant)));
        }
        // Left out of the canonical form unless given.
        fields.insert("dropout".to_owned(), Shape::Float);
        fields.insert("tf32".to_owned(), Shape::Bool);
        let step = |name: &str| {
            let step: Augment =
                serde_json::from_value(json!(name)).expect("every name in STEP_NAMES is a step with defaults");
            let value = serde_json::to_value(step).expect("a step is plain JSON");
            shapes(value.get(name).unwrap_or(&Value::Null))
        };
        let steps = named(STEP_NAMES, step);
        fields.insert("augmentation".to_owned(), Shape::Steps(steps.clone()));
        fields.insert("copies".to_owned(), Shape::Copies(steps));
        // Set by `seeds`, never by hand.
        fields.remove("seed");
        let mut paths = Vec::new();
        list("", &fields, &mut paths);
        Self { fields, paths }
    }

    /// Every dotted path that can be set, sorted.
    pub(super) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The top-level fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// The shape at a path; a whole variant (`optimizer.sgd`) is a table.
    pub(super) fn find(&self, path: &[&str]) -> Result<Shape, Stray> {
        let mut fields = &self.fields;
        let mut segment = 0;
        loop {
            let stray = |segment: usize, reason, names: Vec<String>| Stray { segment, reason, names };
            let Some(shape) = fields.get(path[segment]) else {
                let names = fields.keys().cloned().collect();
                return Err(stray(segment, Reason::UnknownField, names));
            };
            segment += 1;
            if segment == path.len() {
                return Ok(shape.clone());
            }
            match shape {
                Shape::Table(inner) => fields = inner,
                Shape::Variant(variants) => {
                    let Some(inner) = variants.get(path[segment]) else {
                        let names = variants.keys().cloned().collect();
                        return Err(stray(segment, unknown_name(path[0]), names));
                    };
                    segment += 1;
                    if segment == path.len() {
                        return Ok(Shape::Table(inner.clone()));
                    }
                    fields = inner;
                }
                _ => return Err(stray(segment, Reason::UnknownField, Vec::new())),
            }
        }
    }
}

/// Fields that hold one variant, with the variants' names.
fn enums() -> [(&'static str, &'static [&'static str]); 3] {
    [("model", MODEL_NAMES.as_slice()), ("optimizer", OPTIMIZER_NAMES), ("schedule", SCHEDULE_NAMES)]
}

/// The kind of error that an unknown variant of a field is.
pub(super) fn unknown_name(field: &str) -> Reason {
    match field {
        "model" => Reason::ModelUnknown,
        _ => Reason::VariantUnknown,
    }
}

/// The smallest recipe with one field set, canonical.
fn with(field: &str, value: Value) -> Value {
    let mut recipe = json!({"dataset": "x"});
    recipe[field] = value;
    let recipe: Recipe = serde_json::from_value(recipe).expect("every listed variant can be made from its name alone");
    serde_json::to_value(recipe).expect("a recipe is plain JSON")
}

fn named(names: &[&str], fields: impl Fn(&str) -> Fields) -> BTreeMap<String, Fields> {
    (names.iter()).map(|name| ((*name).to_owned(), fields(name))).collect()
}

fn shapes(value: &Value) -> Fields {
    let shape = |value: &Value| match value {
        Value::Bool(_) => Shape::Bool,
        Value::Number(number) if number.is_f64() => Shape::Float,
        Value::Number(_) => Shape::Int,
        // A list that is empty, or has one number, unless given: of no particular length.
        Value::Array(items) if items.len() <= 1 && items.iter().all(Value::is_u64) => Shape::Ints,
        Value::Array(items) => Shape::Numbers { count: items.len(), whole: items.iter().all(Value::is_u64) },
        Value::Object(_) => Shape::Table(shapes(value)),
        Value::String(_) | Value::Null => Shape::Text,
    };
    (value.as_object().into_iter().flatten()).map(|(key, value)| (key.clone(), shape(value))).collect()
}

fn list(prefix: &str, fields: &Fields, out: &mut Vec<String>) {
    for (name, shape) in fields {
        let path = format!("{prefix}{name}");
        match shape {
            Shape::Table(inner) => list(&format!("{path}."), inner, out),
            Shape::Variant(variants) => {
                for (variant, inner) in variants {
                    list(&format!("{path}.{variant}."), inner, out);
                }
            }
            _ => {}
        }
        out.push(path);
    }
    if prefix.is_empty() {
        out.sort();
    }
}

/// Whether two paths cannot be set in one point: one holds the other, or they belong to different
/// variants of one field.
pub(crate) fn conflict(a: &str, b: &str) -> bool {
    let mut left = a.split('.');
    let mut right = b.split('.');
    for depth in 0.. {
        match (left.next(), right.next()) {
            (Some(x), Some(y)) if x == y => {}
            (Some(_), Some(_)) => {
                let field = a.split('.').next().unwrap_or(a);
                return depth == 1 && enums().iter().any(|(name, _)| *name == field);
            }
            _ => break,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_those_of_the_recipe() {
        let schema = Schema::new();
        for path in [
            "lr",
            "optimizer.sgd.momentum",
            "optimizer.adam.eps",
            "schedule.cosine.min_lr",
            "early_stop.patience",
            "early_stop.metric",
            "data.mean",
            "data.labels",
            "data.size",
            "augmentation",
        ] {
            assert!(schema.paths().iter().any(|known| known == path), "{path}");
            assert!(schema.find(&path.split('.').collect::<Vec<_>>()).is_ok());
        }
        assert!(!schema.paths().iter().any(|known| known == "seed"));
        let stray = schema.find(&["optimizer", "sgdd", "momentum"]).unwrap_err();
        assert_eq!((stray.segment, stray.reason), (1, Reason::VariantUnknown));
        assert!(schema.find(&["lr", "x"]).is_err());
    }

    #[test]
    fn overlapping_paths_are_told_apart_from_independent_ones() {
        assert!(conflict("lr", "lr"));
        assert!(conflict("optimizer", "optimizer.sgd.momentum"));
        assert!(conflict("optimizer.adam.eps", "optimizer.sgd.momentum"));
        assert!(!conflict("optimizer.sgd.nesterov", "optimizer.sgd.momentum"));
        assert!(!conflict("data.mean", "data.std"));
        assert!(!conflict("lr", "epochs"));
    }
}
