//! Augmentations in the file: a name of the file or a built-in one, or a list of steps; and lists of those.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::recipe::augment::{Augmentation, BUILT_IN};

use super::error::Reason;
use super::schema::Fields;
use super::suggest;
use super::tree::{Item, Node};
use super::value::{Reader, clip};

impl Reader<'_> {
    /// A name, or a list of steps.
    pub(super) fn steps(&mut self, steps: &BTreeMap<String, Fields>, key: &str, node: &Node) -> Option<Value> {
        match &node.item {
            Item::Array(items) => {
                let read: Vec<_> = (items.iter().enumerate())
                    .filter_map(|(at, item)| self.variant("augmentation", steps, &format!("{key}[{at}]"), item))
                    .collect();
                (read.len() == items.len()).then_some(Value::Array(read))
            }
            Item::Text(name) => {
                let built_in = Augmentation::built_in(name).map(|steps| json!(steps));
                let own = self.variants.get(name).cloned();
                let found = built_in.or_else(|| own.clone().flatten());
                if found.is_none() && own.is_none() {
                    let what = format!("no augmentation is called `{}`", clip(name));
                    let own = self.variants.keys().map(String::as_str);
                    let all: Vec<_> = BUILT_IN.iter().copied().chain(own).collect();
                    let hint = suggest::hint(name, all);
                    self.errors.push(Reason::VariantUnknown, key, Some(&node.span), what, hint);
                }
                found
            }
            _ => {
                self.wrong_type(key, node, "a name or a list of steps", "");
                None
            }
        }
    }

    /// A list of names and lists of steps.
    pub(super) fn copies(&mut self, steps: &BTreeMap<String, Fields>, key: &str, node: &Node) -> Option<Value> {
        let Item::Array(items) = &node.item else {
            self.wrong_type(key, node, "a list of names and lists of steps", "");
            return None;
        };
        let read: Vec<_> = (items.iter().enumerate())
            .filter_map(|(at, item)| self.steps(steps, &format!("{key}[{at}]"), item))
            .collect();
        (read.len() == items.len()).then_some(Value::Array(read))
    }
}
