//! One value of the file, for one path of a recipe: read by the shape of that path, checked against
//! the bounds that hold whatever else the recipe says, and brought into canonical form. Bounds that
//! depend on other fields are checked point by point in `plan`.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Number, Value, json};

use crate::plan;
use crate::recipe::augment::BUILT_IN;
use crate::recipe::model::MODEL_NAMES;
use crate::recipe::{OutOfRange, Recipe};

use super::Choice;
use super::error::{Errors, Reason};
use super::schema::{Fields, Schema, Shape, unknown_name};
use super::suggest;
use super::tree::{Item, Node};

/// Longest string in a file, bytes.
const MAX_TEXT: usize = 4096;

/// Reads values and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) errors: Errors<'a>,
    pub(super) schema: Schema,
    /// Augmentations that the file names; without a value, what is wrong with it has been said.
    pub(super) variants: BTreeMap<String, Option<Value>>,
    /// Canonical values already worked out, by path and text.
    memo: BTreeMap<(String, String), Value>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, keys: BTreeMap<String, Range<usize>>) -> Self {
        Self {
            text,
            errors: Errors::new(text).with_keys(keys),
            schema: Schema::new(),
            variants: BTreeMap::new(),
            memo: BTreeMap::new(),
        }
    }

    pub(super) fn wrong_type(&mut self, key: &str, node: &Node, expected: &str, hint: &str) {
        let what = format!("expected {expected}, found {}", node.kind());
        (self.errors).push(Reason::WrongType, key, Some(&node.span), what, hint);
    }

    /// The value of `path` that a node stands for, canonical; `key` names the node in messages.
    /// Nothing is returned when it is wrong, and the errors are noted.
    pub(super) fn resolve(&mut self, path: &str, key: &str, node: &Node) -> Option<Choice> {
        let segments: Vec<&str> = path.split('.').collect();
        let shape = self.schema.find(&segments).ok()?;
        let before = self.errors.len();
        let raw = self.read(segments[0], &shape, key, node)?;
        if self.errors.len() > before {
            return None;
        }
        let memo = (path.to_owned(), raw.to_string());
        let value = match self.memo.get(&memo) {
            Some(value) => value.clone(),
            None => {
                let value = self.canonical(path, raw, key, node)?;
                self.memo.insert(memo, value.clone());
                value
            }
        };
        Some(Choice { value, label: node.label(self.text), span: node.span.clone() })
    }

    /// JSON of a node, guided by the shape; everything that does not fit is noted.
    fn read(&mut self, field: &str, shape: &Shape, key: &str, node: &Node) -> Option<Value> {
        match shape {
            Shape::Bool => match node.item {
                Item::Bool(value) => return Some(Value::Bool(value)),
                _ => self.wrong_type(key, node, "true or false", ""),
            },
            Shape::Int => return self.int(key, node).map(Value::from),
            Shape::Float => return self.float(key, node).map(Value::Number),
            Shape::Text => match &node.item {
                Item::Text(text) => return self.string(field, key, text, &node.span),
                _ => self.wrong_type(key, node, "a string", self.vary(key, node)),
            },
            Shape::Ints => match &node.item {
                Item::Array(items) => {
                    let int = |(at, item)| self.int(&format!("{key}[{at}]"), item);
                    return items.iter().enumerate().map(int).collect();
                }
                _ => self.wrong_type(key, node, "a list of whole numbers", ""),
            },
            Shape::Numbers { count, whole } => match &node.item {
                Item::Array(items) if items.len() == *count => {
                    let numbers: Vec<_> = (items.iter().enumerate())
                        .filter_map(|(at, item)| match (format!("{key}[{at}]"), whole) {
                            (key, true) => self.int(&key, item).map(Value::from),
                            (key, false) => self.float(&key, item).map(Value::from),
                        })
                        .collect();
                    return (numbers.len() == *count).then(|| Value::from_iter(numbers));
                }
                Item::Array(items) => {
                    let what = format!("expected {count} numbers, found {}", items.len());
                    self.errors.push(Reason::WrongType, key, Some(&node.span), what, "");
                }
                _ => self.wrong_type(key, node, &format!("a list of {count} numbers"), ""),
            },
            Shape::Table(fields) => return self.table(field, fields, key, node),
            Shape::Variant(variants) => return self.variant(field, variants, key, node),
            Shape::Steps(steps) => return self.steps(steps, key, node),
            Shape::Copies(steps) => return self.copies(steps, key, node),
        }
        None
    }

    /// The hint for a list where one value belongs.
    fn vary(&self, key: &str, node: &Node) -> &'static str {
        match node.item {
            Item::Array(_) if !key.contains('[') => "to vary it, move it under [grid]",
            _ => "",
        }
    }

    pub(super) fn int(&mut self, key: &str, node: &Node) -> Option<u64> {
        match node.item {
            Item::Int(value) if value >= 0 => return u64::try_from(value).ok(),
            Item::Int(_) | Item::HugeInt => {
                let text = self.text.get(node.span.clone()).unwrap_or("?");
                let what = format!("{} is not in 0 to 2^63 - 1", clip(text));
                let span = Some(&node.span);
                self.errors.push(Reason::ValueOutOfRange, key, span, what, "");
            }
            _ => self.wrong_type(key, node, "a whole number", self.vary(key, node)),
        }
        None
    }

    pub(super) fn float(&mut self, key: &str, node: &Node) -> Option<Number> {
        let value = match node.item {
            // Exact up to 2^53, nearest above: as if written with a decimal point.
            Item::Int(value) => value as f64,
            Item::Float(value) => value,
            Item::HugeInt => {
                let text = clip(self.text.get(node.span.clone()).unwrap_or("?"));
                let what = format!("{text} is not a whole number below 2^63");
                let hint = "write it with a decimal point or an exponent";
                self.errors.push(Reason::ValueOutOfRange, key, Some(&node.span), what, hint);
                return None;
            }
            _ => {
                self.wrong_type(key, node, "a number", self.vary(key, node));
                return None;
            }
        };
        // Adding zero makes -0.0 the same as 0.0.
        let number = Number::from_f64(value + 0.0);
        if number.is_none() {
            let text = self.text.get(node.span.clone()).unwrap_or("?");
            let what = format!("{} is not a finite number", clip(text));
            self.errors.push(Reason::ValueOutOfRange, key, Some(&node.span), what, "");
        }
        number
    }

    fn string(&mut self, field: &str, key: &str, text: &str, span: &Range<usize>) -> Option<Value> {
        if text.len() > MAX_TEXT {
            let what = format!("{} bytes long, the limit is {MAX_TEXT}", text.len());
            self.errors.push(Reason::ValueOutOfRange, key, Some(span), what, "");
            return None;
        }
        if field == "dataset"
            && let Err(what) = dataset(text)
        {
            let hint = "a name the agents know, or an absolute path";
            self.errors.push(Reason::DatasetUnknown, key, Some(span), what, hint);
            return None;
        }
        match field {
            "dataset" => Some(Value::from(one_spelling(text))),
            _ => Some(Value::from(text)),
        }
    }

    fn table(&mut self, field: &str, fields: &Fields, key: &str, node: &Node) -> Option<Value> {
        let Item::Table(entries) = &node.item else {
            self.wrong_type(key, node, "a table", self.vary(key, node));
            return None;
        };
        let mut table = Map::new();
        for entry in entries {
            let inner = format!("{key}.{}", entry.key);
            if let Some(shape) = fields.get(&entry.key) {
                if let Some(value) = self.read(field, shape, &inner, &entry.node) {
                    table.insert(entry.key.clone(), value);
                }
            } else {
                let hint = suggest::hint(&entry.key, fields.keys().map(String::as_str));
                let what = "no such field";
                self.errors.push(Reason::UnknownField, inner, Some(&entry.span), what, hint);
            }
        }
        Some(Value::Object(table))
    }

    pub(super) fn variant(
        &mut self,
        field: &str,
        variants: &BTreeMap<String, Fields>,
        key: &str,
        node: &Node,
    ) -> Option<Value> {
        let (name, span, inner) = match &node.item {
            Item::Text(name) => (name, &node.span, None),
            Item::Table(entries) if entries.len() == 1 => (&entries[0].key, &entries[0].span, Some(&entries[0].node)),
            Item::Table(_) => {
                let what = "expected exactly one name in the table";
                let hint = suggest::hint("", variants.keys().map(String::as_str));
                self.errors.push(Reason::WrongType, key, Some(&node.span), what, hint);
                return None;
            }
            _ => {
                let hint = self.vary(key, node);
                self.wrong_type(key, node, "a name or a table with one name", hint);
                return None;
            }
        };
        let Some(fields) = variants.get(name) else {
            let what = format!("no {} is called `{}`", noun(field), clip(name));
            let whole = BUILT_IN.contains(&name.as_str()) || self.variants.contains_key(name);
            let hint = match field {
                "augmentation" if whole => "a list holds steps; a name stands alone, without [ ]".to_owned(),
                _ => suggest::hint(name, variants.keys().map(String::as_str)),
            };
            self.errors.push(unknown_name(field), key, Some(span), what, hint);
            return None;
        };
        let options = match inner {
            Some(inner) => self.table(field, fields, &format!("{key}.{name}"), inner)?,
            None => json!({}),
        };
        Some(Value::Object([(name.clone(), options)].into_iter().collect()))
    }

    /// The value as the recipe's types write it, every default filled in, within its own bounds.
    fn canonical(&mut self, path: &str, raw: Value, key: &str, node: &Node) -> Option<Value> {
        let recipe = match typed(path, &raw, None) {
            Ok(recipe) => recipe,
            Err(error) => {
                let (reason, mut what) = explain(&error);
                // Too large for the field's type: its bound says more than the type does.
                let largest = typed(path, &json!(u32::MAX), None).map(|recipe| about(path, recipe.check()));
                if let (true, Ok([bound, ..])) = (raw.is_u64(), largest.as_deref()) {
                    what = format!("{raw} is not allowed: must be {}", bound.allowed);
                }
                self.errors.push(reason, key, Some(&node.span), what, "");
                return None;
            }
        };
        let mut wrong = about(path, recipe.check());
        // A bound that another field decides (small images are fine for some models) is not this value's fault.
        for model in MODEL_NAMES.iter().filter(|_| path != "model") {
            if wrong.is_empty() {
                break;
            }
            if let Ok(recipe) = typed(path, &raw, Some(model)) {
                let still = about(path, recipe.check());
                wrong.retain(|error| still.iter().any(|other| other.path == error.path));
            }
        }
        for error in &wrong {
            let rest = (error.path.get(path.len() + 1..)).filter(|_| error.path.starts_with(path));
            let rest: Vec<_> = rest.map(|rest| rest.split('.').collect()).unwrap_or_default();
            let span = node.place(&rest).clone();
            let inner: String = rest.iter().map(|name| format!(".{name}")).collect();
            let what = format!("{} is not allowed: must be {}", error.value, error.allowed);
            self.errors.push(Reason::ValueOutOfRange, format!("{key}{inner}"), Some(&span), what, "");
        }
        if !wrong.is_empty() {
            return None;
        }
        let whole = serde_json::to_value(recipe).expect("a recipe is plain JSON");
        plan::at(&whole, path).cloned().or(Some(raw))
    }
}

/// The smallest recipe that holds `raw` at `path`.
fn typed(path: &str, raw: &Value, model: Option<&str>) -> Result<Recipe, serde_json::Error> {
    let mut whole = json!({"dataset": "x"});
    if let Some(model) = model {
        whole["model"] = json!(model);
    }
    if path.starts_with("early_stop.") {
        whole["early_stop"] = json!({"patience": 1});
    }
    plan::put(&mut whole, path, raw.clone());
    serde_json::from_value(whole)
}

/// The errors that are about `path`.
fn about(path: &str, errors: Vec<OutOfRange>) -> Vec<OutOfRange> {
    let holds = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    (errors.into_iter()).filter(|error| holds(path, &error.path) || holds(&error.path, path)).collect()
}

/// What serde found, as a kind of error and in words.
pub(crate) fn explain(error: &serde_json::Error) -> (Reason, String) {
    let text = harmless(&error.to_string());
    let reason = if text.starts_with("missing field") {
        Reason::MissingField
    } else if text.starts_with("unknown variant") {
        Reason::VariantUnknown
    } else if text.starts_with("invalid value") {
        Reason::ValueOutOfRange
    } else {
        Reason::WrongType
    };
    let number = text.strip_prefix("invalid value: integer `").and_then(|rest| rest.strip_suffix("`, expected u32"));
    match number {
        Some(number) => (reason, format!("{number} is not allowed: must be at most {}", u32::MAX)),
        None => (reason, text),
    }
}

/// A data set is named, or found by an absolute path that does not climb.
fn dataset(text: &str) -> Result<(), String> {
    // Marks that turn the direction of a line make a path look like another one.
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().any(|c| c.is_control() || turns(c)) {
        return Err("control characters in the name of a data set".to_owned());
    }
    let shown = clip(text);
    if text.split('/').any(|part| part == "..") {
        return Err(format!("`{shown}` climbs with `..`"));
    }
    if text.starts_with('/') || super::is_name(text) {
        return Ok(());
    }
    Err(format!("`{shown}` is neither a name nor an absolute path"))
}

/// One folder, one text: `/a//b/./` is `/a/b`.
fn one_spelling(text: &str) -> String {
    if !text.starts_with('/') {
        return text.to_owned();
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    format!("/{}", parts.join("/"))
}

/// What a field holds, for messages.
fn noun(field: &str) -> &str {
    if field == "augmentation" { "augmentation step" } else { field }
}

/// A text short enough for a message, see [`harmless`].
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => harmless(&text[..end]) + "...",
        None => harmless(text),
    }
}

/// A text without anything that a terminal would obey.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = String::new();
    for c in text.chars() {
        if matches!(c, '"' | '\'' | '\\') {
            harmless.push(c);
        } else {
            harmless.extend(c.escape_debug());
        }
    }
    harmless
}
