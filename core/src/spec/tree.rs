//! The TOML file as a small tree in the order of the file, every key and value with its place.
//! Knows nothing of what the keys mean.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) item: Item,
    /// Bytes of the file.
    pub(super) span: Range<usize>,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Bool(bool),
    Int(i64),
    /// Does not fit in 64 bits.
    HugeInt,
    Float(f64),
    Text(String),
    Date,
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Bytes of the key.
    pub(super) span: Range<usize>,
    pub(super) node: Node,
}

impl Node {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.item {
            Item::Bool(_) => "a boolean",
            Item::Int(_) | Item::HugeInt => "an integer",
            Item::Float(_) => "a number with a fraction",
            Item::Text(_) => "a string",
            Item::Date => "a date",
            Item::Array(_) => "a list",
            Item::Table(_) => "a table",
        }
    }

    /// How people wrote it, on one line: numbers as in the file, strings without quotes, unless there is nothing between them.
    pub(super) fn label(&self, text: &str) -> String {
        match &self.item {
            Item::Text(inner) if inner.is_empty() => "\"\"".to_owned(),
            Item::Text(inner) => inner.clone(),
            Item::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| item.label(text)).collect();
                format!("[{}]", items.join(", "))
            }
            Item::Table(entries) => {
                let entry = |entry: &Entry| format!("{} = {}", entry.key, entry.node.label(text));
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
            _ => text.get(self.span.clone()).unwrap_or("?").to_owned(),
        }
    }

    /// The place of a dotted path inside this value; steps of a list are searched in order.
    pub(super) fn place(&self, path: &[&str]) -> &Range<usize> {
        self.search(path).unwrap_or(&self.span)
    }

    fn search(&self, path: &[&str]) -> Option<&Range<usize>> {
        let Some((first, rest)) = path.split_first() else {
            return Some(&self.span);
        };
        match &self.item {
            Item::Table(entries) => {
                entries.iter().find(|entry| entry.key == *first).and_then(|entry| entry.node.search(rest))
            }
            Item::Array(items) => items.iter().find_map(|item| item.search(path)),
            _ => None,
        }
    }
}

/// The whole file. Its depth is bounded by the parser (80).
pub(super) fn entries(table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            span: key.span(),
            node: Node { item: item(value.get_ref()), span: value.span() },
        })
        .collect();
    entries.sort_by_key(|entry| entry.span.start);
    entries
}

fn item(value: &DeValue<'_>) -> Item {
    match value {
        DeValue::Boolean(value) => Item::Bool(*value),
        DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix()).map_or(Item::HugeInt, Item::Int),
        // A number too large for a float reads as infinite and is refused as such.
        DeValue::Float(value) => Item::Float(value.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::String(value) => Item::Text(value.to_string()),
        DeValue::Datetime(_) => Item::Date,
        DeValue::Array(items) => {
            Item::Array(items.iter().map(|value| Node { item: item(value.get_ref()), span: value.span() }).collect())
        }
        DeValue::Table(table) => Item::Table(entries(table)),
    }
}
