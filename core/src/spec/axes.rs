//! What varies: `[grid]`, `[[zip]]`, `[[point]]`, `[[exclude]]` and the ranges of a random design.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::plan::MAX_TRIALS;

use super::error::Reason;
use super::fields::{Leaf, flatten};
use super::ranges::is_range;
use super::schema::conflict;
use super::tree::{Entry, Item, Node};
use super::value::Reader;
use super::{Axis, Choice, Design, Group, MAX_AXES, MAX_CHOICES, MAX_EXCLUDES, Row, Values, suggest};

impl Reader<'_> {
    /// Reads everything that varies and refuses what is too large before looking at single values.
    pub(super) fn varied(
        &mut self,
        entries: &[Entry],
        design: Design,
        seeds: usize,
    ) -> (Vec<Group>, Vec<Row>, Vec<Row>) {
        let mut groups: Vec<Vec<Leaf<'_>>> = Vec::new();
        let mut points = Vec::new();
        let mut excludes = Vec::new();
        for entry in entries {
            match entry.key.as_str() {
                "grid" => {
                    for leaf in self.leaves(&entry.node, "grid") {
                        groups.push(vec![leaf]);
                    }
                }
                "zip" => {
                    for (at, node) in self.tables(entry) {
                        let leaves = self.leaves(node, &format!("zip[{at}]"));
                        if leaves.is_empty() {
                            self.empty(&format!("zip[{at}]"), &node.span);
                        } else {
                            groups.push(leaves);
                        }
                    }
                }
                "point" => points = self.tables(entry),
                "exclude" => excludes = self.tables(entry),
                _ => {}
            }
        }
        if excludes.len() > MAX_EXCLUDES {
            let what = format!("{} exclusions, the limit is {MAX_EXCLUDES}", excludes.len());
            let hint = "write the points that are wanted as [[point]]s";
            (self.errors).push(Reason::TooManyParams, "exclude", None, what, hint);
            return Default::default();
        }
        if !self.sizes(&groups, points.len(), design, seeds) {
            return Default::default();
        }
        let groups = self.groups(groups, design);
        // A table that is one value of an axis is read as such, not as several paths below it.
        let axes: Vec<&str> = (groups.iter().flat_map(|group| &group.axes)).map(|axis| axis.path.as_str()).collect();
        let points = self.rows(points, "point", &axes);
        let excludes = self.rows(excludes, "exclude", &axes);
        self.excludes_name_axes(&excludes, &axes);
        if groups.is_empty() && matches!(design, Design::Random { .. }) && self.errors.is_empty() {
            let what = "there is nothing to draw";
            let hint = "add a [grid] with ranges such as `lr = { log_uniform = [1e-4, 1e-1] }`";
            (self.errors).push(Reason::EmptyAxis, "grid", None, what, hint);
        }
        (groups, points, excludes)
    }

    /// The axes of a table, drawn ranges being values.
    fn leaves<'n>(&mut self, node: &'n Node, key: &str) -> Vec<Leaf<'n>> {
        let Item::Table(entries) = &node.item else {
            self.wrong_type(key, node, "a table", if key == "grid" { "write [grid]" } else { "" });
            return Vec::new();
        };
        let mut leaves = Vec::new();
        let range = |_: &str, entries: &[Entry]| is_range(entries);
        flatten("", key, entries, &range, &mut leaves);
        leaves
    }

    /// The tables of `[[key]]`.
    fn tables<'n>(&mut self, entry: &'n Entry) -> Vec<(usize, &'n Node)> {
        match &entry.node.item {
            Item::Array(items) => items.iter().enumerate().collect(),
            _ => {
                let hint = format!("write [[{}]]", entry.key);
                self.wrong_type(&entry.key, &entry.node, "a list of tables", &hint);
                Vec::new()
            }
        }
    }

    fn empty(&mut self, key: &str, span: &Range<usize>) {
        let hint = "give it at least one value, or remove it";
        (self.errors).push(Reason::EmptyAxis, key, Some(span), "it is empty", hint);
    }

    /// Counts trials and values before anything is expanded. False if there are too many to go on.
    fn sizes(&mut self, groups: &[Vec<Leaf<'_>>], points: usize, design: Design, seeds: usize) -> bool {
        let axes = groups.iter().map(Vec::len).sum::<usize>();
        if axes > MAX_AXES {
            let what = format!("{axes} axes, the limit is {MAX_AXES}");
            (self.errors).push(Reason::TooManyParams, "grid", None, what, "");
            return false;
        }
        let mut good = true;
        let length = |leaf: &Leaf<'_>| match &leaf.node.item {
            Item::Array(items) => items.len().max(1),
            _ => 1,
        };
        for leaf in groups.iter().flatten() {
            if length(leaf) > MAX_CHOICES {
                let what = format!("{} values, the limit is {MAX_CHOICES}", length(leaf));
                let hint = "use design = \"random\" with a range";
                let span = Some(&leaf.node.span);
                (self.errors).push(Reason::ChoiceTooLarge, &leaf.key, span, what, hint);
                good = false;
            }
        }
        let lengths = groups.iter().filter_map(|group| group.first()).map(length);
        let designed = match design {
            _ if groups.is_empty() => Some(u128::from(points == 0)),
            Design::Grid => lengths.clone().try_fold(1, |all: u128, length| all.checked_mul(length as u128)),
            Design::Ablation => Some(1 + lengths.clone().map(|length| length as u128).sum::<u128>()),
            Design::Random { samples, .. } => Some(u128::from(samples)),
        };
        let trials = designed
            .and_then(|designed| designed.checked_add(points as u128))
            .and_then(|points| points.checked_mul(seeds as u128));
        if trials.is_none_or(|trials| trials > u128::from(MAX_TRIALS)) {
            let count = trials.map_or_else(|| "more than 2^128".to_owned(), |n| n.to_string());
            let shown: Vec<_> = lengths.map(|length| length.to_string()).collect();
            let product = match design {
                Design::Grid if !shown.is_empty() => {
                    format!(" ({} points x {seeds} seeds)", shown.join(" x "))
                }
                _ => String::new(),
            };
            let what = format!("{count} trials{product}, the limit is {MAX_TRIALS}");
            let hint = "use fewer values, or design = \"random\" with samples = 100";
            (self.errors).push(Reason::GridTooLarge, "grid", None, what, hint);
            good = false;
        }
        good
    }

    fn groups(&mut self, groups: Vec<Vec<Leaf<'_>>>, design: Design) -> Vec<Group> {
        let mut seen: Vec<(String, String)> = Vec::new();
        let mut read = Vec::new();
        for leaves in groups {
            let linked = leaves.first().is_some_and(|leaf| leaf.key.starts_with("zip["));
            let mut axes: Vec<Axis> = Vec::new();
            for leaf in leaves {
                if !self.known(&leaf.path, &leaf.key, leaf.span) {
                    continue;
                }
                if let Some((_, other)) = seen.iter().find(|(path, _)| conflict(path, &leaf.path)) {
                    let what = format!("cannot vary together with `{other}`");
                    let hint = "put whole values such as { sgd = { momentum = 0.9 } } on one axis, \
                        or write [[point]]s";
                    (self.errors).push(Reason::AxisConflict, &leaf.key, Some(leaf.span), what, hint);
                    continue;
                }
                seen.push((leaf.path.clone(), leaf.key.clone()));
                if let Some(values) = self.values(&leaf, design, linked) {
                    let (path, span) = (leaf.path, leaf.span.clone());
                    axes.push(Axis { path, span, values });
                }
            }
            if let Some(first) = axes.first() {
                let length = |axis: &Axis| match &axis.values {
                    Values::List(choices) => choices.len(),
                    Values::Drawn(_) => 1,
                };
                for other in &axes[1..] {
                    if length(other) != length(first) {
                        let what = format!(
                            "`{}` has {} values, `{}` has {}",
                            other.path,
                            length(other),
                            first.path,
                            length(first)
                        );
                        let hint = "linked axes need lists of equal length";
                        let span = Some(&other.span);
                        (self.errors).push(Reason::ZipUnequal, "zip", span, what, hint);
                    }
                }
                self.linked_rows(&axes, linked);
                read.push(Group { axes });
            }
        }
        read
    }

    /// Linked axes may repeat a value, but not a whole row.
    fn linked_rows(&mut self, axes: &[Axis], linked: bool) {
        if !linked {
            return;
        }
        let lists: Vec<&Vec<Choice>> = (axes.iter())
            .filter_map(|axis| match &axis.values {
                Values::List(choices) => Some(choices),
                Values::Drawn(_) => None,
            })
            .collect();
        let rows = lists.iter().map(|list| list.len()).min().unwrap_or(0);
        let mut seen = BTreeMap::new();
        for at in 0..rows {
            let text: Vec<_> = lists.iter().map(|list| list[at].value.to_string()).collect();
            if let Some(first) = seen.insert(text, at) {
                let what = format!("row {at} repeats row {first}");
                let span = Some(&lists[0][at].span);
                (self.errors).push(Reason::DuplicateChoice, "zip", span, what, "");
            }
        }
    }

    fn values(&mut self, leaf: &Leaf<'_>, design: Design, linked: bool) -> Option<Values> {
        match &leaf.node.item {
            Item::Array(items) => self.list(leaf, items, linked).map(Values::List),
            Item::Table(entries) if is_range(entries) => {
                if linked || !matches!(design, Design::Random { .. }) {
                    let what = "a range outside a random design";
                    let hint = match linked {
                        true => "linked axes need lists",
                        false => "add `design = \"random\"` and `samples = 20`, or write a list",
                    };
                    let span = Some(&leaf.node.span);
                    (self.errors).push(Reason::RangeInvalid, &leaf.key, span, what, hint);
                    return None;
                }
                self.range(leaf, entries)
            }
            _ => {
                let hint = "write it in [ ], or set it at the top of the file if it does not vary";
                self.wrong_type(&leaf.key, leaf.node, "a list of values", hint);
                None
            }
        }
    }

    pub(super) fn list(&mut self, leaf: &Leaf<'_>, items: &[Node], linked: bool) -> Option<Vec<Choice>> {
        if items.is_empty() {
            self.empty(&leaf.key, &leaf.node.span);
            return None;
        }
        let before = self.errors.len();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut choices = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let key = format!("{}[{at}]", leaf.key);
            let Some(choice) = self.resolve(&leaf.path, &key, item) else {
                continue;
            };
            if let Some(first) = seen.insert(choice.value.to_string(), at)
                && !linked
            {
                let what = format!("{} is the same as {}[{first}]", choice.label, leaf.key);
                let hint = "every value once";
                (self.errors).push(Reason::DuplicateChoice, key, Some(&item.span), what, hint);
            }
            choices.push(choice);
        }
        (self.errors.len() == before && choices.len() == items.len()).then_some(choices)
    }

    fn rows(&mut self, tables: Vec<(usize, &Node)>, what: &str, axes: &[&str]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (at, node) in tables {
            let key = format!("{what}[{at}]");
            let Item::Table(entries) = &node.item else {
                self.wrong_type(&key, node, "a table", "");
                continue;
            };
            if entries.is_empty() && what == "exclude" {
                self.empty(&key, &node.span);
                continue;
            }
            let mut leaves = Vec::new();
            let axis = |path: &str, _: &[Entry]| axes.contains(&path);
            flatten("", &key, entries, &axis, &mut leaves);
            let settings = self.settings(leaves);
            let span = node.span.clone();
            rows.push(Row { settings, key, span });
        }
        rows
    }

    fn excludes_name_axes(&mut self, excludes: &[Row], axes: &[&str]) {
        for setting in excludes.iter().flat_map(|row| &row.settings) {
            if !axes.contains(&setting.path.as_str()) && self.errors.is_empty() {
                let what = "this does not vary, so excluding it makes no sense";
                let hint = suggest::hint(&setting.path, axes.iter().copied());
                let span = Some(&setting.choice.span);
                (self.errors).push(Reason::ExcludeUnmatched, &setting.key, span, what, hint);
            }
        }
    }
}
