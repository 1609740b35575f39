//! `stop`: early stopping across configurations. A name is short for a table: `stop = "asha"` is `[stop]` with
//! `rule = "asha"` and every default. What only shows when the plan is there is checked at the end of this file.

use crate::plan::{MAX_TRIALS, Plan};
use crate::recipe::Watched;
use crate::stopping::{Rule, Stop};

use super::error::{Errors, Reason};
use super::suggest;
use super::tree::{Entry, Item, Node};
use super::value::{Reader, clip};

/// Keys of the table, and for which rules each is.
pub const STOP_KEYS: &[(&str, &[Rule])] = &[
    ("rule", &Rule::ALL),
    ("metric", COMPARING),
    ("min_epochs", RUNGS),
    ("reduction_factor", RUNGS),
    ("max_rungs", RUNGS),
    ("brackets", &[Rule::Asha, Rule::AshaStop, Rule::Hyperband]),
    ("percentile", &[Rule::Percentile]),
    ("warmup_epochs", CURVES),
    ("interval", CURVES),
    ("min_configurations", CURVES),
    ("audit_fraction", COMPARING),
    ("max_seconds", &Rule::ALL),
    ("max_epochs", &Rule::ALL),
    ("max_steps", &Rule::ALL),
    ("max_kwh", &Rule::ALL),
];

const COMPARING: &[Rule] =
    &[Rule::Asha, Rule::AshaStop, Rule::Halving, Rule::Hyperband, Rule::Median, Rule::Percentile];
const RUNGS: &[Rule] = &[Rule::Asha, Rule::AshaStop, Rule::Halving, Rule::Hyperband];
const CURVES: &[Rule] = &[Rule::Median, Rule::Percentile];
/// Most epochs that a recipe may have.
const MAX_EPOCHS: u64 = 100_000;
/// Longest budget of time: 10 years of 365 days.
const MAX_SECONDS: f64 = 315_360_000.0;

impl Reader<'_> {
    pub(super) fn stop(&mut self, entry: Option<&Entry>) -> Option<Stop> {
        let entry = entry?;
        match &entry.node.item {
            Item::Text(_) => self.rule("stop", &entry.node).map(Stop::new),
            Item::Table(entries) => self.stop_table(entry, entries),
            _ => {
                let hint = "stop = \"asha\" is enough";
                self.wrong_type("stop", &entry.node, "the name of a rule or a table", hint);
                None
            }
        }
    }

    fn rule(&mut self, key: &str, node: &Node) -> Option<Rule> {
        let Item::Text(name) = &node.item else {
            self.wrong_type(key, node, "the name of a rule", "");
            return None;
        };
        let found = Rule::ALL.into_iter().find(|rule| rule.name() == name);
        if found.is_none() {
            let what = format!("no rule is called `{}`", clip(name));
            let hint = suggest::hint(name, Rule::ALL.map(Rule::name));
            (self.errors).push(Reason::VariantUnknown, key, Some(&node.span), what, hint);
        }
        found
    }

    fn stop_table(&mut self, entry: &Entry, entries: &[Entry]) -> Option<Stop> {
        let Some(rule) = entries.iter().find(|entry| entry.key == "rule") else {
            let hint = "add a line like `rule = \"asha\"`";
            (self.errors).push(Reason::MissingField, "stop.rule", Some(&entry.span), "which rule?", hint);
            return None;
        };
        let rule = self.rule("stop.rule", &rule.node)?;
        let mut stop = Stop::new(rule);
        for entry in entries.iter().filter(|entry| entry.key != "rule") {
            let key = format!("stop.{}", entry.key);
            match STOP_KEYS.iter().find(|(name, _)| *name == entry.key) {
                Some((_, rules)) if rules.contains(&rule) => self.stop_field(&mut stop, &key, entry),
                Some((_, rules)) => {
                    let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
                    let what = format!("the rule `{}` does not have this", rule.name());
                    let hint = format!("it belongs to {}", names.join(", "));
                    (self.errors).push(Reason::UnknownField, key, Some(&entry.span), what, hint);
                }
                None => {
                    let hint = match entry.key.as_str() {
                        "mode" => "the metric says which way is better".to_owned(),
                        name => suggest::hint(name, STOP_KEYS.iter().map(|(name, _)| *name)),
                    };
                    (self.errors).push(Reason::UnknownField, clip(&key), Some(&entry.span), "no such field", hint);
                }
            }
        }
        if rule == Rule::Budget && !stop.has_budget() {
            let (what, hint) = (
                "a budget of what?",
                "add `max_seconds = 600`, `max_steps = 10000`, `max_epochs = 5` or `max_kwh = 0.1`",
            );
            (self.errors).push(Reason::MissingField, "stop.max_seconds", Some(&entry.span), what, hint);
        }
        Some(stop)
    }

    fn stop_field(&mut self, stop: &mut Stop, key: &str, entry: &Entry) {
        let whole = |reader: &mut Self, low, high| reader.bounded(key, &entry.node, low, high);
        match entry.key.as_str() {
            "metric" => stop.metric = self.watched(key, &entry.node).unwrap_or(stop.metric),
            "min_epochs" => stop.min_epochs = whole(self, 1, MAX_EPOCHS).unwrap_or(1),
            "reduction_factor" => stop.reduction_factor = whole(self, 2, 1000).unwrap_or(3),
            "max_rungs" => stop.max_rungs = whole(self, 1, 64),
            "brackets" => stop.brackets = whole(self, 1, 64),
            "warmup_epochs" => stop.warmup_epochs = whole(self, 0, MAX_EPOCHS).unwrap_or(0),
            "interval" => stop.interval = whole(self, 1, MAX_EPOCHS).unwrap_or(1),
            "min_configurations" => stop.min_configurations = whole(self, 1, u64::from(MAX_TRIALS)).unwrap_or(1),
            "percentile" => {
                let ok = |value: f64| value > 0.0 && value < 100.0;
                stop.percentile = self.number(key, &entry.node, ok, "above 0 and below 100").unwrap_or(25.0);
            }
            "audit_fraction" => {
                let ok = |value: f64| (0.0..1.0).contains(&value);
                stop.audit_fraction = self.number(key, &entry.node, ok, "at least 0 and below 1").unwrap_or(0.0);
            }
            "max_epochs" => stop.max_epochs = whole(self, 1, MAX_EPOCHS),
            "max_steps" => {
                let steps = self.int(key, &entry.node);
                stop.max_steps = steps.filter(|steps| *steps > 0);
                if steps == Some(0) {
                    let what = "0 is not allowed: must be at least 1";
                    (self.errors).push(Reason::ValueOutOfRange, key, Some(&entry.node.span), what, "");
                }
            }
            "max_seconds" => {
                let ok = |value: f64| value > 0.0 && value <= MAX_SECONDS;
                stop.max_seconds = self.number(key, &entry.node, ok, "above 0 and at most 315360000 (10 years)");
            }
            _ => stop.max_kwh = self.number(key, &entry.node, |value| value > 0.0, "above 0"),
        }
    }

    pub(super) fn bounded(&mut self, key: &str, node: &Node, low: u64, high: u64) -> Option<u32> {
        let value = self.int(key, node)?;
        if !(low..=high).contains(&value) {
            let what = format!("{value} is not allowed: must be {low} to {high}");
            (self.errors).push(Reason::ValueOutOfRange, key, Some(&node.span), what, "");
            return None;
        }
        u32::try_from(value).ok()
    }

    fn number(&mut self, key: &str, node: &Node, is_ok: impl Fn(f64) -> bool, allowed: &str) -> Option<f64> {
        let value = self.float(key, node)?.as_f64()?;
        if !is_ok(value) {
            let shown = if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") };
            let what = format!("{shown} is not allowed: must be {allowed}");
            (self.errors).push(Reason::ValueOutOfRange, key, Some(&node.span), what, "");
            return None;
        }
        Some(value)
    }

    pub(super) fn watched(&mut self, key: &str, node: &Node) -> Option<Watched> {
        match &node.item {
            Item::Text(name) if name == "val_accuracy" => return Some(Watched::ValAccuracy),
            Item::Text(name) if name == "val_loss" => return Some(Watched::ValLoss),
            Item::Text(name) => {
                let what = format!("no metric is called `{}`", clip(name));
                let hint = suggest::hint(name, ["val_accuracy", "val_loss"]);
                (self.errors).push(Reason::VariantUnknown, key, Some(&node.span), what, hint);
            }
            _ => self.wrong_type(key, node, "the name of a metric", ""),
        }
        None
    }
}

/// Refuses what could never stop anything in this plan.
pub(crate) fn check(plan: &Plan, errors: &mut Errors<'_>) {
    let Some(stop) = plan.stop.as_deref() else { return };
    let mut useless = |key: &str, what: String, hint: &str| {
        errors.push(Reason::StopUseless, key, None, what, hint);
    };
    let searched = plan.search.is_some() && plan.columns.iter().any(|column| column.path == "epochs");
    let longest = (0..plan.len()).map(|index| plan.epochs(index)).max().unwrap_or_default();
    if let Some(most) = stop.max_epochs.filter(|most| *most >= longest && !searched) {
        let what = format!("max_epochs = {most} is never used up: no trial has more than {longest} epochs");
        return useless("stop.max_epochs", what, "lower `max_epochs`, or leave it out");
    }
    if stop.rule == Rule::Budget {
        return;
    }
    let others = plan.all_points() - u32::from(plan.baseline.is_some());
    if plan.all_points() < 2 {
        return useless("stop", "there is one configuration, and nothing to compare it with".into(), "vary something");
    }
    let epochs = plan.epochs(0);
    if searched || (1..plan.len()).any(|index| plan.epochs(index) != epochs) {
        let hint = "give all points the same epochs";
        return useless("stop", "`epochs` varies: an epoch means something else for each point".into(), hint);
    }
    // A budget of epochs comes first where both are due.
    let last = epochs.min(stop.max_epochs.unwrap_or(epochs));
    if stop.rule.has_rungs() && stop.min_epochs < epochs && stop.min_epochs >= last {
        let what =
            format!("max_epochs = {last} ends every trial before the first rung decides, epoch {}", stop.min_epochs);
        return useless("stop.max_epochs", what, "raise `max_epochs`, or use `rule = \"budget\"`");
    }
    if stop.rule.has_rungs() {
        let rungs = Stop { max_rungs: None, ..stop.clone() }.rungs(epochs).len() as u32;
        if rungs == 0 {
            let what = format!("the first rung, epoch {}, is not before the last epoch, {epochs}", stop.min_epochs);
            useless("stop", what, "lower `min_epochs`, or train longer");
        } else if let Some(most) = stop.max_rungs.filter(|most| *most > rungs) {
            let what = format!("max_rungs = {most}, but only {rungs} lie before epoch {epochs}");
            useless("stop.max_rungs", what, "lower `max_rungs` or `reduction_factor`, or leave it out");
        } else if let Some(brackets) = stop.brackets.filter(|brackets| *brackets > rungs + 1) {
            let what = format!("brackets = {brackets}, but with {rungs} rungs there are only {}", rungs + 1);
            useless("stop.brackets", what, "lower `brackets`, or leave it out");
        } else if stop.most_compared(plan.all_points(), epochs, plan.baseline) < 2 {
            let (key, what, hint) = alone(stop, epochs, others);
            useless(key, what, hint);
        }
        return;
    }
    if stop.warmup_epochs.max(1) >= last {
        let what = format!("warmup_epochs = {} leaves no epoch of {last} to stop before", stop.warmup_epochs);
        useless("stop", what, "lower `warmup_epochs`, or train longer");
    } else if stop.warmup_epochs == 0 && stop.interval >= last {
        let what = format!("interval = {} leaves no epoch of {last} to stop before", stop.interval);
        useless("stop.interval", what, "lower `interval`, or train longer");
    }
    // The last one can be compared with all the others, the baseline among them.
    let most = plan.all_points() - 1;
    if stop.min_configurations > most {
        let all = plan.all_points();
        let what = format!(
            "min_configurations = {}, and of {all} configurations the last has {most} to compare it with",
            stop.min_configurations
        );
        useless("stop", what, "lower `min_configurations`");
    }
}

/// Why no bracket has two configurations to compare: the key, what is wrong and what to do.
fn alone(stop: &Stop, epochs: u32, others: u32) -> (&'static str, String, &'static str) {
    if others < 2 {
        let what =
            "the baseline is never stopped, and there is one configuration beside it: nothing to compare it with";
        return ("stop", what.to_owned(), "vary more, or leave `stop` out");
    }
    let brackets = stop.bracket_count(epochs);
    let what = format!("{others} configurations to stop in {brackets} brackets: no rung has two to compare");
    match stop.brackets {
        Some(_) => ("stop.brackets", what, "lower `brackets`, or vary more"),
        None => ("stop", what, "set `brackets`, vary more, or use `rule = \"halving\"`"),
    }
}
