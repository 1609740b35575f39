//! `search`: points that are chosen while the sweep runs. A name is short for a table: `search = "tpe"` is `[search]` with
//! `method = "tpe"` and every default. How many there are is `samples`, as of any random design.

use crate::plan::MAX_TRIALS;
use crate::search::{Knobs, Method};
use crate::stopping::{Rule, Stop};

use super::error::Reason;
use super::suggest;
use super::tree::{Entry, Item, Node};
use super::value::{Reader, clip};

/// Keys of the table.
pub const SEARCH_KEYS: &[&str] = &["method", "metric", "startup", "candidates", "outstanding"];
/// Most candidates for a point.
const MAX_CANDIDATES: u64 = 1000;

impl Reader<'_> {
    pub(super) fn search(&mut self, entry: Option<&Entry>, samples: Option<&Entry>) -> Option<Knobs> {
        let entry = entry?;
        // What is wrong with it is said where the design is read.
        let samples = match samples.map(|entry| &entry.node.item) {
            Some(Item::Int(samples)) => u32::try_from(*samples).unwrap_or(MAX_TRIALS).clamp(1, MAX_TRIALS),
            _ => MAX_TRIALS,
        };
        let entries = match &entry.node.item {
            Item::Text(_) => [].as_slice(),
            Item::Table(entries) => entries.as_slice(),
            _ => {
                let hint = "search = \"tpe\" is enough";
                self.wrong_type("search", &entry.node, "the name of a method or a table", hint);
                return None;
            }
        };
        let (key, method) = match entries.iter().find(|entry| entry.key == "method") {
            Some(method) => ("search.method", &method.node),
            None if matches!(entry.node.item, Item::Text(_)) => ("search", &entry.node),
            None => {
                let hint = "add a line like `method = \"tpe\"`";
                (self.errors).push(Reason::MissingField, "search.method", Some(&entry.span), "which method?", hint);
                return None;
            }
        };
        let mut knobs = Knobs::new(self.method(key, method)?, samples);
        entries.iter().for_each(|entry| self.knob(&mut knobs, entry));
        for (name, many, how) in [
            ("startup", knobs.startup, "are drawn at random before anything is searched"),
            ("outstanding", knobs.outstanding, "may be under way at once, so that none knows of another"),
        ] {
            if many >= samples {
                let at = entries.iter().find(|entry| entry.key == name).unwrap_or(entry);
                let what = format!("{many} of {samples} samples {how}");
                let hint = format!("lower `search.{name}`, raise `samples`, or use design = \"random\"");
                (self.errors).push(Reason::SearchUseless, format!("search.{name}"), Some(&at.span), what, hint);
            }
        }
        Some(knobs)
    }

    fn knob(&mut self, knobs: &mut Knobs, entry: &Entry) {
        let key = format!("search.{}", entry.key);
        let whole = |reader: &mut Self, most| reader.bounded(&key, &entry.node, 1, most);
        match entry.key.as_str() {
            "method" => {}
            "metric" => knobs.metric = self.watched(&key, &entry.node).unwrap_or(knobs.metric),
            "startup" => knobs.startup = whole(self, u64::from(MAX_TRIALS)).unwrap_or(knobs.startup),
            "candidates" => knobs.candidates = whole(self, MAX_CANDIDATES).unwrap_or(knobs.candidates),
            "outstanding" => knobs.outstanding = whole(self, u64::from(MAX_TRIALS)).unwrap_or(knobs.outstanding),
            name => {
                let hint = match name {
                    "trials" | "samples" | "points" => {
                        "how many points is `samples`, at the top of the file".to_owned()
                    }
                    "seed" => "what draws are derived from is `sample_seed`, at the top of the file".to_owned(),
                    name => suggest::hint(name, SEARCH_KEYS.iter().copied()),
                };
                (self.errors).push(Reason::UnknownField, clip(&key), Some(&entry.span), "no such field", hint);
            }
        }
    }

    fn method(&mut self, key: &str, node: &Node) -> Option<Method> {
        let Item::Text(name) = &node.item else {
            self.wrong_type(key, node, "the name of a method", "");
            return None;
        };
        let found = Method::ALL.into_iter().find(|method| method.name() == name);
        if found.is_none() {
            let what = format!("no way to search is called `{}`", clip(name));
            let hint = suggest::hint(name, Method::ALL.map(Method::name));
            (self.errors).push(Reason::VariantUnknown, key, Some(&node.span), what, hint);
        }
        found
    }

    /// Points are searched and stopped by the same metric.
    pub(super) fn compared(&mut self, knobs: Knobs, stop: Option<&Stop>, entry: Option<&Entry>) -> Knobs {
        let Some(stop) = stop.filter(|stop| stop.rule != Rule::Budget) else { return knobs };
        let given = entry.and_then(|entry| match &entry.node.item {
            Item::Table(entries) => entries.iter().find(|entry| entry.key == "metric"),
            _ => None,
        });
        if let Some(given) = given.filter(|_| knobs.metric != stop.metric) {
            let (what, hint) = ("`stop.metric` is another", "stop and search by the same metric");
            (self.errors).push(Reason::AxisConflict, "search.metric", Some(&given.span), what, hint);
        }
        Knobs { metric: stop.metric, ..knobs }
    }
}
