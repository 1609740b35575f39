//! Which trials of a sweep have to compute alike. A file that leaves precision or layout open gets whatever is
//! the fastest where it runs, but the numbers of a sweep are compared with each other: so the first trial of
//! a network decides for all of them. Until it has said what, trials of that network start on its host only, where
//! they share what a probe found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{AgentId, SweepId};
use crate::plan::{BASE, Plan, at};
use crate::recipe::{Layout, Numerics, Precision};

const OPEN: &str = "auto";

/// What is equal for trials of a sweep that have to compute alike, e.g. `resnet18/auto/auto`: the network's name
/// and what is asked of precision and layout. `None` if nothing is left open.
pub fn key(plan: &Plan, index: u32) -> Option<String> {
    let row = plan.row(plan.trial(index).point);
    let value = |path: &str| -> Option<&Value> {
        let column = plan.columns.iter().position(|column| column.path == path);
        let varied = column.filter(|column| row[*column] != BASE);
        varied.and_then(|column| plan.columns[column].values.get(row[column] as usize)).or_else(|| at(&plan.base, path))
    };
    let name = |path: &str, unless: &'static str| match value(path) {
        Some(Value::Object(table)) => table.keys().next().map_or(unless, String::as_str).to_owned(),
        Some(Value::String(name)) => name.clone(),
        _ => unless.to_owned(),
    };
    // An option of a network that varies names it.
    let option = plan.columns.iter().zip(row).filter(|(_, cell)| **cell != BASE);
    let network = option.filter_map(|(column, _)| column.path.strip_prefix("model.")?.split('.').next()).next();
    let network = network.map_or_else(|| name("model", ""), str::to_owned);
    // A plan of before there was a choice has neither field.
    let (precision, layout) = (name("precision", "fp32"), name("layout", "contiguous"));
    (precision == OPEN || layout == OPEN).then(|| format!("{network}/{precision}/{layout}"))
}

/// The name that a host knows such trials by.
pub fn name(sweep: SweepId, key: &str) -> String {
    format!("{sweep}/{key}")
}

/// Whether trials with this key may compute with `numerics`.
pub fn permits(key: &str, numerics: Numerics) -> bool {
    let mut parts = key.rsplit('/');
    let (layout, precision) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let decided = numerics.precision != Precision::Auto && numerics.layout != Layout::Auto;
    decided
        && (precision == OPEN || precision == numerics.precision.name())
        && (layout == OPEN || layout == numerics.layout.name())
}

/// What the trials of a sweep compute with, by [`key`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    /// `None`: a trial got on without saying, as pretend trainers do, and nobody waits any more.
    made: BTreeMap<String, Option<Numerics>>,
    /// Running trials by agent, while nothing is decided.
    pub(crate) running: BTreeMap<String, BTreeMap<AgentId, u32>>,
}

impl Choices {
    /// What was chosen.
    pub fn made(&self, key: &str) -> Option<Numerics> {
        self.made.get(key).copied().flatten()
    }

    /// Whether nobody has said anything yet.
    pub fn is_open(&self, key: &str) -> bool {
        !self.made.contains_key(key)
    }

    /// The agents that are about to say; empty if the next trial may start anywhere.
    pub fn choosing(&self, key: &str) -> impl Iterator<Item = AgentId> {
        self.running.get(key).into_iter().flat_map(|agents| agents.keys().copied())
    }

    /// Every decision.
    pub fn all(&self) -> impl Iterator<Item = (&str, Numerics)> {
        self.made.iter().filter_map(|(key, made)| Some((key.as_str(), (*made)?)))
    }

    pub(crate) fn started(&mut self, key: String, agent: AgentId) {
        if self.is_open(&key) {
            *self.running.entry(key).or_default().entry(agent).or_default() += 1;
        }
    }

    pub(crate) fn ended(&mut self, key: &str, agent: AgentId) {
        let Some(agents) = self.running.get_mut(key) else { return };
        if let Some(count) = agents.get_mut(&agent) {
            *count -= 1;
            if *count == 0 {
                agents.remove(&agent);
            }
        }
        if agents.is_empty() {
            self.running.remove(key);
        }
    }

    /// The first word counts.
    pub(crate) fn say(&mut self, key: String, what: Option<Numerics>) {
        self.running.remove(&key);
        self.made.entry(key).or_insert(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Option<String>> {
        let (plan, _) = crate::plan::plan_text(text.as_bytes()).expect("a plan");
        (0..plan.len()).map(|index| key(&plan, index)).collect()
    }

    #[test]
    fn networks_and_what_is_asked_tell_apart_and_options_do_not() {
        let head = "name = \"k\"\ndataset = \"d\"\nmodel = \"resnet18\"\nepochs = 1\n";
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            keys(&format!("{head}[grid]\nlr = [0.1, 0.2]\nbatch_size = [8, 64]\n")),
            vec![some("resnet18/auto/auto"); 4]
        );
        assert_eq!(
            keys(&format!("{head}[grid]\nmodel.resnet18.blur_pool = [true, false]\n")),
            vec![some("resnet18/auto/auto"); 2]
        );
        let mut models = keys(&format!("{head}[grid]\nmodel = [\"m1\", \"resnet18\"]\n"));
        models.sort();
        assert_eq!(models, [some("m1/auto/auto"), some("resnet18/auto/auto")]);
        let mut precisions =
            keys(&format!("{head}layout = \"contiguous\"\n[grid]\nprecision = [\"fp32\", \"auto\"]\n"));
        precisions.sort();
        assert_eq!(precisions, [None, some("resnet18/auto/contiguous")]);
    }

    #[test]
    fn a_choice_must_be_one_of_those_that_were_left() {
        let half = Numerics { precision: Precision::Bf16, layout: Layout::Contiguous };
        assert!(permits("m1/auto/auto", half) && permits("m1/bf16/auto", half));
        assert!(!permits("m1/fp32/auto", half) && !permits("m1/auto/channels-last", half));
        assert!(!permits("m1/auto/auto", Numerics { layout: Layout::Auto, ..half }));
    }

    #[test]
    fn the_first_word_counts_and_ends_the_waiting() {
        let (one, other) = (AgentId::from(uuid::Uuid::from_u128(1)), AgentId::from(uuid::Uuid::from_u128(2)));
        let mut choices = Choices::default();
        for agent in [one, one, other] {
            choices.started("a".into(), agent);
        }
        choices.ended("a", one);
        assert_eq!(choices.choosing("a").collect::<Vec<_>>(), [one, other]);
        choices.ended("a", one);
        assert_eq!(choices.choosing("a").collect::<Vec<_>>(), [other]);
        choices.say("a".into(), Some(Numerics::PLAIN));
        choices.say("a".into(), None);
        choices.started("a".into(), one);
        assert_eq!((choices.made("a"), choices.choosing("a").count()), (Some(Numerics::PLAIN), 0));
    }
}
