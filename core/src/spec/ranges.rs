//! The ranges of a random design: `{ uniform = [0.0, 0.5] }` and its kin. Drawing from them is left
//! to `plan`.

use serde_json::Value;

use super::error::Reason;
use super::fields::Leaf;
use super::schema::Shape;
use super::tree::{Entry, Item, Node};
use super::value::Reader;
use super::{Draw, MAX_CHOICES, Values};

/// Ways to draw a value.
pub(super) const DRAWS: [&str; 4] = ["uniform", "log_uniform", "int", "choice"];

/// Whether a table is a range and not a table of axes.
pub(super) fn is_range(entries: &[Entry]) -> bool {
    (entries.iter()).any(|entry| DRAWS.contains(&entry.key.as_str()))
}

impl Reader<'_> {
    /// `{ uniform = [lo, hi] }` and its kin.
    pub(super) fn range(&mut self, leaf: &Leaf<'_>, entries: &[Entry]) -> Option<Values> {
        let key = &leaf.key;
        let [entry] = entries else {
            let what = "expected exactly one of uniform, log_uniform, int, choice";
            let span = Some(&leaf.node.span);
            (self.errors).push(Reason::RangeInvalid, key, span, what, "");
            return None;
        };
        let Item::Array(items) = &entry.node.item else {
            self.wrong_type(key, &entry.node, "a list", "");
            return None;
        };
        if entry.key == "choice" {
            let inner =
                Leaf { path: leaf.path.clone(), key: format!("{key}.choice"), span: &entry.span, node: &entry.node };
            if items.len() > MAX_CHOICES {
                let what = format!("{} values, the limit is {MAX_CHOICES}", items.len());
                let span = Some(&entry.node.span);
                (self.errors).push(Reason::ChoiceTooLarge, inner.key, span, what, "");
                return None;
            }
            return self.list(&inner, items, false).map(Values::List);
        }
        let segments: Vec<&str> = leaf.path.split('.').collect();
        let float = match self.schema.find(&segments) {
            Ok(Shape::Float) => true,
            Ok(Shape::Int) => false,
            _ => {
                let what = "only numbers have ranges";
                let hint = "use { choice = [...] } or a list";
                (self.errors).push(Reason::RangeInvalid, key, Some(&entry.span), what, hint);
                return None;
            }
        };
        if !float && entry.key != "int" {
            let what = format!("`{}` takes whole numbers", leaf.path);
            let hint = "use { int = [low, high] }";
            (self.errors).push(Reason::RangeInvalid, key, Some(&entry.span), what, hint);
            return None;
        }
        let [low, high] = items.as_slice() else {
            let what = format!("expected [low, high], found {} values", items.len());
            let span = Some(&entry.node.span);
            (self.errors).push(Reason::RangeInvalid, key, span, what, "");
            return None;
        };
        self.bounds(leaf, entry, low, high, float).map(Values::Drawn)
    }

    fn bounds(&mut self, leaf: &Leaf<'_>, entry: &Entry, low: &Node, high: &Node, float: bool) -> Option<Draw> {
        let span = Some(&entry.node.span);
        let key = format!("{}.{}", leaf.key, entry.key);
        for node in [low, high] {
            let infinite = matches!(node.item, Item::Float(value) if !value.is_finite());
            let whole = matches!(node.item, Item::Int(_)) || entry.key != "int";
            if infinite || !whole {
                let what = match infinite {
                    true => "the ends of a range must be finite",
                    false => "the ends of an int range must be whole numbers",
                };
                (self.errors).push(Reason::RangeInvalid, key, Some(&node.span), what, "");
                return None;
            }
        }
        let low = self.resolve(&leaf.path, &format!("{key}[0]"), low);
        let high = self.resolve(&leaf.path, &format!("{key}[1]"), high);
        let (low, high) = (low?.value, high?.value);
        let (from, to) = (low.as_f64()?, high.as_f64()?);
        if from >= to {
            let what = format!("low {low} is not below high {high}");
            (self.errors).push(Reason::RangeInvalid, key, span, what, "[low, high]");
            return None;
        }
        if entry.key == "log_uniform" && from <= 0.0 {
            let what = "the low end of a logarithmic range must be above 0";
            (self.errors).push(Reason::RangeInvalid, key, span, what, "");
            return None;
        }
        let whole = |value: &Value| value.as_u64().or_else(|| value.as_f64().map(|v| v as u64));
        match entry.key.as_str() {
            "uniform" => Some(Draw::Uniform { low: from, high: to }),
            "log_uniform" => Some(Draw::LogUniform { low: from, high: to }),
            _ => Some(Draw::Int { low: whole(&low)?, high: whole(&high)?, float }),
        }
    }
}
