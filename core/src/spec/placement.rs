//! The table `[placement]`: where the trials of a sweep may run.

use crate::device;
use crate::placement::Placement;

use super::error::Reason;
use super::suggest;
use super::tree::{Entry, Item};
use super::value::{Reader, clip};

/// Its keys.
const KEYS: [&str; 7] = ["gpu", "host", "labels", "memory", "ram", "cores", "prefer"];
/// Most cores that can be asked for.
const MAX_CORES: u64 = 65_536;

impl Reader<'_> {
    pub(super) fn placement(&mut self, entry: Option<&Entry>) -> Placement {
        let mut placement = Placement::default();
        let Some(entry) = entry else { return placement };
        let Item::Table(entries) = &entry.node.item else {
            self.wrong_type("placement", &entry.node, "a table", "");
            return placement;
        };
        for entry in entries {
            let key = format!("placement.{}", entry.key);
            match entry.key.as_str() {
                "gpu" => placement.gpu = self.words(&key, entry),
                "host" => placement.host = self.words(&key, entry),
                "labels" => {
                    let Item::Table(labels) = &entry.node.item else {
                        self.wrong_type(&key, &entry.node, "a table", "");
                        continue;
                    };
                    for label in labels {
                        if let Some(value) = self.words(&format!("{key}.{}", label.key), label) {
                            placement.labels.insert(label.key.clone(), value);
                        }
                    }
                }
                "memory" => placement.memory = self.amount(&key, entry),
                "ram" => placement.ram = self.amount(&key, entry),
                "cores" => {
                    let cores = self.int(&key, &entry.node);
                    placement.cores = cores.and_then(|cores| u32::try_from(cores).ok());
                    if cores.is_some_and(|cores| !(1..=MAX_CORES).contains(&cores)) {
                        let (what, span) = (format!("must be 1 to {MAX_CORES}"), Some(&entry.node.span));
                        self.errors.push(Reason::ValueOutOfRange, &key, span, what, "");
                    }
                }
                "prefer" => match &entry.node.item {
                    Item::Text(text) if text == "pack" => placement.pack = true,
                    Item::Text(text) if text == "spread" => {}
                    Item::Text(text) => {
                        let what = format!("nothing is called `{}`", clip(text));
                        let hint = suggest::hint(text, ["spread", "pack"]);
                        self.errors.push(Reason::VariantUnknown, &key, Some(&entry.node.span), what, hint);
                    }
                    _ => self.wrong_type(&key, &entry.node, "a string", ""),
                },
                other => {
                    let hint = suggest::hint(other, KEYS);
                    let key = format!("placement.{}", clip(other));
                    self.errors.push(Reason::UnknownField, &key, Some(&entry.span), "no such field", hint);
                }
            }
        }
        placement
    }

    /// One name, or several with `|` between them.
    fn words(&mut self, key: &str, entry: &Entry) -> Option<String> {
        let Item::Text(text) = &entry.node.item else {
            self.wrong_type(key, &entry.node, "a string", "");
            return None;
        };
        let is_word = |word: &str| !word.trim().is_empty() && !word.chars().any(char::is_control);
        if text.len() > 1000 || !text.split('|').all(is_word) {
            let (what, hint) = ("this is not a name", "write e.g. \"a100\", or \"a100|h200\" for either");
            self.errors.push(Reason::ValueOutOfRange, key, Some(&entry.node.span), what, hint);
            return None;
        }
        Some(text.clone())
    }

    fn amount(&mut self, key: &str, entry: &Entry) -> Option<u64> {
        let Item::Text(text) = &entry.node.item else {
            self.wrong_type(key, &entry.node, "a string such as \"12 GB\"", "");
            return None;
        };
        let bytes = device::memory(text).filter(|bytes| *bytes > 0);
        if bytes.is_none() {
            let what = format!("`{}` is not an amount of memory", clip(text));
            let hint = "write e.g. \"12 GB\" or \"512 MiB\"";
            self.errors.push(Reason::ValueOutOfRange, key, Some(&entry.node.span), what, hint);
        }
        bytes
    }
}
