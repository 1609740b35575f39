//! `design`, `samples`, `sample_seed`: how points are made.

use crate::plan::MAX_TRIALS;

use super::error::Reason;
use super::suggest;
use super::tree::{Entry, Item};
use super::value::{Reader, clip};
use super::{Design, Draws};

impl Reader<'_> {
    pub(super) fn design(&mut self, [design, samples, sample_seed, search]: [Option<&Entry>; 4]) -> Design {
        let names = ["grid", "ablation", "random", "sobol"];
        let name = match design.map(|entry| &entry.node.item) {
            None if search.is_some() => "random",
            None => "grid",
            Some(Item::Text(name)) => name,
            Some(_) => "",
        };
        if let Some(entry) = design
            && !names.contains(&name)
        {
            match &entry.node.item {
                Item::Text(_) => {
                    let what = format!("no design is called `{}`", clip(name));
                    let hint = suggest::hint(name, names);
                    let span = Some(&entry.node.span);
                    (self.errors).push(Reason::VariantUnknown, "design", span, what, hint);
                }
                _ => self.wrong_type("design", &entry.node, "a string", ""),
            }
        }
        if let (Some(entry), Some(_)) = (design, search) {
            let (what, hint) = ("`search` says how points are made", "leave out one of `design` and `search`");
            (self.errors).push(Reason::AxisConflict, "design", Some(&entry.span), what, hint);
        }
        let count = self.whole(samples, 1, u64::from(MAX_TRIALS));
        let seed = sample_seed.and_then(|entry| self.int("sample_seed", &entry.node));
        if let Some(draws) = match name {
            "random" => Some(Draws::Random),
            "sobol" => Some(Draws::Sobol),
            _ => None,
        } {
            if samples.is_none() {
                let span = design.or(search).map(|entry| &entry.span);
                let name = if search.is_some() { "searched" } else { name };
                let what = format!("a {name} design needs a number of samples");
                let hint = "add a line like `samples = 20`";
                (self.errors).push(Reason::MissingField, "samples", span, what, hint);
            }
            return Design::Random { samples: count.unwrap_or(1), seed: seed.unwrap_or(0), draws };
        }
        for entry in [samples, sample_seed].into_iter().flatten() {
            let what = "only a random, sobol or searched design has this";
            let hint = "add `design = \"random\"` or `search = \"tpe\"`, or remove the line";
            (self.errors).push(Reason::UnknownField, &entry.key, Some(&entry.span), what, hint);
        }
        match name {
            "ablation" => Design::Ablation,
            _ => Design::Grid,
        }
    }
}
