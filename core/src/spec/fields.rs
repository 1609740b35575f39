//! The keys at the top of the file: name, design, seeds, limits, named augmentations, and the recipe
//! fields that all points share. What varies is read by `axes`.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::plan::{Limits, MAX_PRIORITY, MAX_TRIALS};
use crate::recipe::augment::BUILT_IN;

use super::error::{Reason, SpecError};
use super::ranges::DRAWS;
use super::schema::conflict;
use super::tree::{Entry, Item, Node};
use super::value::{Reader, clip};
use super::{MAX_SEEDS, Setting, Spec, is_name, suggest};

/// The keys of a sweep file that are not recipe fields.
pub const TOP_LEVEL: &[&str] = &[
    "version",
    "name",
    "description",
    "design",
    "samples",
    "sample_seed",
    "search",
    "seeds",
    "max_parallel",
    "max_retries",
    "priority",
    "placement",
    "stop",
    "augmentations",
    "grid",
    "zip",
    "point",
    "exclude",
];

/// How often a trial is tried again when the file does not say.
const DEFAULT_RETRIES: u32 = 3;
/// Most tries that a file may ask for.
const MAX_RETRIES: u64 = 100;
/// Longest description, bytes.
const MAX_DESCRIPTION: usize = 4096;

/// A value below a table, with the dotted path to it.
pub(super) struct Leaf<'n> {
    pub(super) path: String,
    pub(super) key: String,
    pub(super) span: &'n Range<usize>,
    pub(super) node: &'n Node,
}

/// Reads the whole file.
pub(super) fn read(text: &str, entries: Vec<Entry>) -> Result<Spec, Vec<SpecError>> {
    let mut keys: BTreeMap<String, Range<usize>> = BTreeMap::new();
    for entry in &entries {
        keys.insert(entry.key.clone(), entry.span.clone());
        if let ("stop", Item::Table(inner)) = (entry.key.as_str(), &entry.node.item) {
            keys.extend(inner.iter().map(|inner| (format!("stop.{}", inner.key), inner.span.clone())));
        }
    }
    // What varies as a whole stands at the first table that says so.
    if let Some(first) = entries.iter().find(|entry| ["grid", "zip", "point"].contains(&entry.key.as_str())) {
        keys.insert("grid".to_owned(), first.span.clone());
    }
    let mut reader = Reader::new(text, keys.clone());
    let get = |key: &str| (entries.iter()).find(|entry| entry.key == key);
    reader.version(get("version"));
    if let Some(entry) = get("augmentations") {
        reader.augmentations(&entry.node);
    }
    let search = reader.search(get("search"), get("samples"));
    let design = reader.design([get("design"), get("samples"), get("sample_seed"), get("search")]);
    let name = reader.name(get("name"));
    let description = reader.description(get("description"));
    let seeds = reader.seeds(get("seeds"));
    let mut limit = |key, low, high| reader.whole(get(key), low, high);
    let limits = Limits {
        max_parallel: limit("max_parallel", 1, u64::from(MAX_TRIALS)),
        max_retries: limit("max_retries", 0, MAX_RETRIES).or(Some(DEFAULT_RETRIES)),
        priority: limit("priority", 0, u64::from(MAX_PRIORITY)),
        placement: reader.placement(get("placement")),
        probe_steps: None,
    };
    let stop = reader.stop(get("stop"));
    let search = search.map(|knobs| reader.compared(knobs, stop.as_ref(), get("search")));
    let base = reader.base(&entries);
    let (groups, points, excludes) = reader.varied(&entries, design, seeds.len());
    if !entries.iter().any(names_dataset) {
        let hint = "add a line like `dataset = \"imagenette\"` at the top";
        (reader.errors).push(Reason::MissingField, "dataset", None, "the sweep needs a data set", hint);
    }
    let spec = Spec {
        name,
        description,
        base,
        groups,
        points,
        excludes,
        seeds,
        design,
        limits,
        stop,
        search,
        source: text.to_owned(),
        keys,
    };
    if reader.errors.is_empty() { Ok(spec) } else { Err(reader.errors.into_list()) }
}

/// Whether a key of the file says anything about the data set.
fn names_dataset(entry: &Entry) -> bool {
    let inside = |node: &Node| match &node.item {
        Item::Table(entries) => entries.iter().any(|entry| entry.key == "dataset"),
        _ => false,
    };
    match (entry.key.as_str(), &entry.node.item) {
        ("dataset", _) => true,
        ("grid", _) => inside(&entry.node),
        ("zip" | "point", Item::Array(tables)) => tables.iter().any(inside),
        _ => false,
    }
}

impl Reader<'_> {
    fn version(&mut self, entry: Option<&Entry>) {
        if let Some(entry) = entry
            && !matches!(entry.node.item, Item::Int(1))
        {
            let span = Some(&entry.node.span);
            let what = "this release reads version 1 of the format";
            (self.errors).push(Reason::ValueOutOfRange, "version", span, what, "version = 1");
        }
    }

    fn name(&mut self, entry: Option<&Entry>) -> String {
        let grammar = "a letter or digit, then up to 63 of letters, digits, `.`, `_`, `-`";
        let Some(entry) = entry else {
            let hint = "add a line like `name = \"first-sweep\"` at the top";
            (self.errors).push(Reason::MissingField, "name", None, "the sweep needs a name", hint);
            return String::new();
        };
        match &entry.node.item {
            Item::Text(name) if is_name(name) => return name.clone(),
            Item::Text(name) => {
                let what = format!("\"{}\" is not a name", clip(name));
                let span = Some(&entry.node.span);
                (self.errors).push(Reason::NameInvalid, "name", span, what, grammar);
            }
            _ => self.wrong_type("name", &entry.node, "a string", ""),
        }
        String::new()
    }

    fn description(&mut self, entry: Option<&Entry>) -> Option<String> {
        let entry = entry?;
        match &entry.node.item {
            Item::Text(text) if text.len() <= MAX_DESCRIPTION => return Some(text.clone()),
            Item::Text(text) => {
                let what = format!("{} bytes long, the limit is {MAX_DESCRIPTION}", text.len());
                let span = Some(&entry.node.span);
                (self.errors).push(Reason::ValueOutOfRange, "description", span, what, "");
            }
            _ => self.wrong_type("description", &entry.node, "a string", ""),
        }
        None
    }

    /// A whole number from `low` to `high`.
    pub(super) fn whole(&mut self, entry: Option<&Entry>, low: u64, high: u64) -> Option<u32> {
        let entry = entry?;
        let value = self.int(&entry.key, &entry.node)?;
        if !(low..=high).contains(&value) {
            let what = format!("{value} is not allowed: must be {low} to {high}");
            let span = Some(&entry.node.span);
            (self.errors).push(Reason::ValueOutOfRange, &entry.key, span, what, "");
            return None;
        }
        u32::try_from(value).ok()
    }

    fn seeds(&mut self, entry: Option<&Entry>) -> Vec<u64> {
        let Some(entry) = entry else { return vec![0] };
        let span = Some(&entry.node.span);
        let Item::Array(items) = &entry.node.item else {
            let many = self.whole(Some(entry), 1, MAX_SEEDS as u64).unwrap_or(1);
            return (0..u64::from(many)).collect();
        };
        if items.is_empty() {
            let what = "the list is empty";
            (self.errors).push(Reason::EmptyAxis, "seeds", span, what, "seeds = 3 gives 0, 1, 2");
        }
        if items.len() > MAX_SEEDS {
            let what = format!("{} seeds, the limit is {MAX_SEEDS}", items.len());
            (self.errors).push(Reason::ChoiceTooLarge, "seeds", span, what, "");
            return vec![0];
        }
        let mut seen = BTreeMap::new();
        let mut seeds = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let key = format!("seeds[{at}]");
            let Some(seed) = self.int(&key, item) else {
                continue;
            };
            if let Some(first) = seen.insert(seed, at) {
                let what = format!("{seed} is already seeds[{first}]");
                (self.errors).push(Reason::DuplicateChoice, key, Some(&item.span), what, "");
            }
            seeds.push(seed);
        }
        seeds
    }

    fn augmentations(&mut self, node: &Node) {
        let Item::Table(entries) = &node.item else {
            self.wrong_type("augmentations", node, "a table of named lists of steps", "");
            return;
        };
        let mut found = Vec::new();
        for entry in entries {
            let key = format!("augmentations.{}", entry.key);
            if BUILT_IN.contains(&entry.key.as_str()) || !is_name(&entry.key) {
                let what = match is_name(&entry.key) {
                    true => "this name is built in",
                    false => "not a name",
                };
                let hint = "choose another name: letters, digits, `.`, `_`, `-`";
                (self.errors).push(Reason::NameInvalid, key, Some(&entry.span), what, hint);
                found.push((entry.key.clone(), None));
                continue;
            }
            if !matches!(entry.node.item, Item::Array(_)) {
                self.wrong_type(&key, &entry.node, "a list of steps", "");
                found.push((entry.key.clone(), None));
                continue;
            }
            let choice = self.resolve("augmentation", &key, &entry.node);
            found.push((entry.key.clone(), choice.map(|choice| choice.value)));
        }
        self.variants.extend(found);
    }

    /// The recipe fields at the top of the file.
    fn base(&mut self, entries: &[Entry]) -> Vec<Setting> {
        let mut leaves = Vec::new();
        for entry in entries {
            if TOP_LEVEL.contains(&entry.key.as_str()) {
                continue;
            }
            if entry.key == "seed" {
                self.seed_given("seed", &entry.span);
                continue;
            }
            let known = self.schema.fields().any(|field| field == entry.key) || entry.key.contains('.');
            if !known {
                let names = TOP_LEVEL.iter().copied();
                let paths = self.schema.paths().iter().map(String::as_str);
                let full = self.errors.is_full();
                let near = (!full).then(|| suggest::nearest(&entry.key, names.chain(paths)));
                let near = near.flatten();
                let design = ["ablation", "random", "sobol"].contains(&entry.key.as_str());
                let hint = match near {
                    _ if design => format!(
                        "what varies stands in `[grid]`; add `design = \"{}\"` above the first [table] to say how points are made of it",
                        entry.key
                    ),
                    near => near.map_or_else(String::new, |name| format!("did you mean `{name}`?")),
                };
                let what = "no such field";
                let span = Some(&entry.span);
                (self.errors).push(Reason::UnknownField, clip(&entry.key), span, what, hint);
                continue;
            }
            flatten("", "", std::slice::from_ref(entry), &|_, _| false, &mut leaves);
        }
        self.settings(leaves)
    }

    /// Single values of several paths, which must not overlap.
    pub(super) fn settings(&mut self, leaves: Vec<Leaf<'_>>) -> Vec<Setting> {
        let mut settings: Vec<Setting> = Vec::new();
        for leaf in leaves {
            if !self.known(&leaf.path, &leaf.key, leaf.span) {
                continue;
            }
            if let Some(other) = (settings.iter()).find(|other| conflict(&other.path, &leaf.path)) {
                let what = format!("cannot be set together with `{}`", other.path);
                let hint = "one of them decides what the other says";
                (self.errors).push(Reason::AxisConflict, &leaf.key, Some(leaf.span), what, hint);
                continue;
            }
            if let Some(choice) = self.resolve(&leaf.path, &leaf.key, leaf.node) {
                let Leaf { path, key, .. } = leaf;
                settings.push(Setting { path, key, choice });
            }
        }
        settings
    }

    fn seed_given(&mut self, key: &str, span: &Range<usize>) {
        let what = "seeds are not set one by one";
        let hint = "use `seeds = [11, 22]` or `seeds = 3` at the top of the file";
        (self.errors).push(Reason::UnknownField, key, Some(span), what, hint);
    }

    /// Whether a path exists; says what is near when it does not.
    pub(super) fn known(&mut self, path: &str, key: &str, span: &Range<usize>) -> bool {
        let segments: Vec<&str> = path.split('.').collect();
        let Err(stray) = self.schema.find(&segments) else {
            return true;
        };
        if path == "seed" || path == "seeds" {
            self.seed_given(key, span);
            return false;
        }
        let wrong = segments[stray.segment];
        let names = stray.names.iter().map(String::as_str);
        let paths = self.schema.paths().iter().map(String::as_str);
        let hint = if self.errors.is_full() {
            String::new()
        } else if TOP_LEVEL.contains(&segments[0]) {
            let key = segments[0];
            format!("`{key}` belongs at the top of the file, above the first [table]")
        } else if segments[0] == "augmentation" {
            "it is a name or a list of steps such as [\"flip\", { crop = { padding = 0.25 } }]".to_owned()
        } else if stray.reason != Reason::UnknownField {
            suggest::hint(wrong, names)
        } else if let Some(near) = suggest::nearest(path, paths) {
            format!("did you mean `{near}`?")
        } else if stray.names.is_empty() {
            // Below a single value: perhaps a range.
            suggest::hint(wrong, DRAWS)
        } else {
            suggest::hint(wrong, names)
        };
        let what = match stray.reason {
            Reason::UnknownField => "no such field".to_owned(),
            _ => format!("no {} is called `{}`", segments[0], clip(wrong)),
        };
        (self.errors).push(stray.reason, clip(key), Some(span), what, hint);
        false
    }
}

/// The values below tables, with dotted paths. Tables for which `stop` holds are values.
pub(super) fn flatten<'n>(
    path: &str,
    key: &str,
    entries: &'n [Entry],
    stop: &impl Fn(&str, &[Entry]) -> bool,
    out: &mut Vec<Leaf<'n>>,
) {
    let join = |prefix: &str, name: &str| match prefix {
        "" => name.to_owned(),
        _ => format!("{prefix}.{name}"),
    };
    for entry in entries {
        let (path, key) = (join(path, &entry.key), join(key, &entry.key));
        match &entry.node.item {
            Item::Table(inner) if !inner.is_empty() && !stop(&path, inner) => {
                flatten(&path, &key, inner, stop, out);
            }
            _ => out.push(Leaf { path, key, span: &entry.span, node: &entry.node }),
        }
    }
}
