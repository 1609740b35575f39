//! The canonical text of a spec: equal for files that mean the same. Comments, layout, the order of
//! keys, short names, values equal to a default, the description and the priority make no difference; the
//! order of values and of seeds does, because it decides what runs first.

use serde_json::{Map, Value, json};

use crate::plan::put;
use crate::recipe::{Layout, Precision, Recipe};

use super::{Axis, Design, Draw, Draws, Row, Spec, Values};

impl Spec {
    /// The canonical text; [`crate::id::SweepId::derive`] makes the sweep's id from it.
    pub fn canonical(&self) -> String {
        let rows = |rows: &[Row]| -> Vec<Value> { rows.iter().map(row).collect() };
        let (design, samples, sample_seed) = match self.design {
            Design::Grid => ("grid", 0, 0),
            Design::Ablation => ("ablation", 0, 0),
            Design::Random { samples, seed, draws: Draws::Random } => ("random", samples, seed),
            Design::Random { samples, seed, draws: Draws::Sobol } => ("sobol", samples, seed),
        };
        let mut groups: Vec<Value> =
            (self.groups.iter()).map(|group| group.axes.iter().map(axis).collect::<Map<_, _>>().into()).collect();
        // The order in which axes are written down does not change what runs.
        groups.sort_by_cached_key(Value::to_string);
        let mut text = json!({
            "version": 1,
            "name": self.name,
            "base": self.base_value(),
            "design": design,
            "samples": samples,
            "sample_seed": sample_seed,
            "groups": groups,
            "points": rows(&self.points),
            "excludes": rows(&self.excludes),
            "seeds": self.seeds,
            "max_parallel": self.limits.max_parallel,
            "max_retries": self.limits.max_retries,
        });
        // Sweeps of before there was early stopping keep their ids.
        if let Some(stop) = &self.stop {
            text["stop"] = json!(stop);
        }
        if let Some(search) = &self.search {
            text["search"] = json!(search);
        }
        if !self.limits.placement.is_default() {
            text["placement"] = json!(self.limits.placement);
        }
        text.to_string()
    }

    /// The recipe that all points share, as far as the file gives it: every field canonical with its
    /// defaults, except a field that is incomplete without what varies (no `dataset`, an
    /// `early_stop` without patience). `dropout` is the model's own unless given; it stays open where
    /// models vary and dropout does not.
    pub(crate) fn base_value(&self) -> Value {
        let mut given = json!({});
        for setting in &self.base {
            put(&mut given, &setting.path, setting.choice.value.clone());
        }
        let mut base = defaults();
        if let (Value::Object(base), Value::Object(given)) = (&mut base, given) {
            base.remove("dataset");
            for (name, value) in given {
                let whole = section(&name, &value).ok().and_then(|recipe| recipe.field(&name));
                base.insert(name, whole.unwrap_or(value));
            }
            let recipe = base.get("model").and_then(|model| section("model", model).ok());
            if let (None, Some(recipe)) = (base.get("dropout"), recipe)
                && (!self.varies("model") || self.varies("dropout"))
            {
                base.insert("dropout".to_owned(), json!(recipe.dropout_rate()));
            }
        }
        base
    }

    /// Whether a field, or something inside it, is set by an axis or a point.
    fn varies(&self, field: &str) -> bool {
        let axes = self.groups.iter().flat_map(|group| &group.axes).map(|axis| &axis.path);
        let points = self.points.iter().flat_map(|row| &row.settings).map(|setting| &setting.path);
        axes.chain(points).any(|path| path.split('.').next() == Some(field))
    }
}

/// The smallest recipe with one top-level field set.
pub(crate) fn section(name: &str, value: &Value) -> Result<Recipe, serde_json::Error> {
    let mut whole = json!({"dataset": "x"});
    whole[name] = value.clone();
    serde_json::from_value(whole)
}

/// Every default of a sweep file; `dataset` has none and stands for itself. Precision and layout are left open
/// here, while a recipe without them is one of a time when there was no choice.
pub fn defaults() -> Value {
    let mut recipe = section("dataset", &json!("x")).expect("only a data set is required");
    (recipe.precision, recipe.layout) = (Precision::Auto, Layout::Auto);
    serde_json::to_value(recipe).expect("a recipe is plain JSON")
}

fn axis(axis: &Axis) -> (String, Value) {
    let values = match &axis.values {
        Values::List(choices) => choices.iter().map(|choice| choice.value.clone()).collect(),
        Values::Drawn(Draw::Uniform { low, high }) => json!({"uniform": [low, high]}),
        Values::Drawn(Draw::LogUniform { low, high }) => json!({"log_uniform": [low, high]}),
        Values::Drawn(Draw::Int { low, high, .. }) => json!({"int": [low, high]}),
    };
    (axis.path.clone(), values)
}

fn row(row: &Row) -> Value {
    (row.settings.iter())
        .map(|setting| (setting.path.clone(), setting.choice.value.clone()))
        .collect::<Map<_, _>>()
        .into()
}
