//! Rows of cells as recipes. A recipe is put together from its top-level fields, and a field is worked
//! out once for every combination of the cells that touch it: 100,000 points are checked, and
//! compared with each other, without writing 100,000 recipes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::recipe::{OutOfRange, Recipe};
use crate::spec::{Reason, explain, section};

use super::axis::Draft;
use super::{BASE, at, put};

/// One top-level field under some cells.
#[derive(Debug)]
pub(super) struct Field {
    /// Canonical, or as far as it goes when it is incomplete.
    pub(super) value: Value,
    /// A recipe in which only this field means something.
    recipe: Result<Recipe, (Reason, String)>,
}

/// A top-level field that varies, or that the file leaves incomplete.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    /// Columns below it.
    columns: Vec<usize>,
    /// Known fields by the cells of those columns; by the one cell (plus one, [`BASE`] being 0) when
    /// there is just one column.
    by_cells: BTreeMap<Vec<u32>, u32>,
    by_cell: Vec<Option<u32>>,
    by_text: BTreeMap<String, u32>,
    pub(super) fields: Vec<Field>,
}

/// All sections of a sweep.
#[derive(Debug)]
pub(super) struct Sections {
    pub(super) list: Vec<Section>,
    /// As the file gives it, maybe incomplete.
    base: Value,
    /// With everything that does not vary.
    shared: Recipe,
}

impl Sections {
    /// `base` may be incomplete.
    pub(super) fn new(base: &Value, columns: &[Draft]) -> Self {
        let mut shared = section("dataset", &json!("x")).expect("only a data set is required");
        let mut varied: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, draft) in columns.iter().enumerate() {
            varied.entry(top(&draft.column.path)).or_default().push(at);
        }
        let given = base.as_object().into_iter().flat_map(|base| base.keys());
        for name in given.map(String::as_str).chain(["dataset"]) {
            let whole = base.get(name).and_then(|value| section(name, value).ok());
            match whole {
                Some(recipe) => drop(shared.adopt(name, &recipe)),
                // Incomplete: a section of its own, so that every row says so.
                None => drop(varied.entry(name).or_default()),
            }
        }
        let list = (varied.into_iter()).map(|(name, columns)| Section {
            name: name.to_owned(),
            columns,
            by_cells: BTreeMap::new(),
            by_cell: Vec::new(),
            by_text: BTreeMap::new(),
            fields: Vec::new(),
        });
        Self { list: list.collect(), base: base.clone(), shared }
    }

    /// Which value each section has in a row: equal for two rows exactly if they are the same recipe.
    pub(super) fn of(&mut self, columns: &[Draft], row: &[u32]) -> Vec<u32> {
        let base = &self.base;
        let ids = self.list.iter_mut().map(|section| match section.columns[..] {
            [only] => {
                let cell = row[only].wrapping_add(1) as usize;
                if let Some(Some(known)) = section.by_cell.get(cell) {
                    return *known;
                }
                let id = section.learn(base, columns, row);
                let length = section.by_cell.len().max(cell + 1);
                section.by_cell.resize(length, None);
                section.by_cell[cell] = Some(id);
                id
            }
            _ => {
                let key: Vec<u32> = section.columns.iter().map(|at| row[*at]).collect();
                if let Some(known) = section.by_cells.get(&key) {
                    return *known;
                }
                let id = section.learn(base, columns, row);
                section.by_cells.insert(key, id);
                id
            }
        });
        ids.collect()
    }

    /// The sections of a row that do not make a recipe.
    pub(super) fn broken(&self, ids: &[u32]) -> impl Iterator<Item = (&Section, &(Reason, String))> {
        self.list.iter().zip(ids).filter_map(|(section, id)| {
            let field = &section.fields[*id as usize];
            field.recipe.as_ref().err().map(|error| (section, error))
        })
    }

    /// What is out of bounds in a row; broken sections count as their defaults.
    pub(super) fn check(&self, ids: &[u32]) -> Vec<OutOfRange> {
        let mut recipe = self.shared.clone();
        for (section, id) in self.list.iter().zip(ids) {
            if let Ok(field) = &section.fields[*id as usize].recipe {
                recipe.adopt(&section.name, field);
            }
        }
        recipe.check()
    }

    /// The value of the path of a column in a row.
    pub(super) fn value(&self, ids: &[u32], path: &str) -> Option<&Value> {
        let place = (self.list.iter()).position(|section| section.name == top(path))?;
        let field = &self.list[place].fields[ids[place] as usize].value;
        match path.split_once('.') {
            Some((_, rest)) => at(field, rest),
            None => Some(field),
        }
    }

    /// The base of the plan: complete and canonical. What the file leaves to the points is taken
    /// from `ids`, a row that is a recipe.
    pub(super) fn whole(&self, ids: &[u32]) -> Value {
        let mut whole = serde_json::to_value(&self.shared).expect("a recipe is plain JSON");
        for (section, id) in self.list.iter().zip(ids) {
            let own = self.base.get(&section.name);
            let complete = own.is_some_and(|own| crate::spec::section(&section.name, own).is_ok());
            // A section that is off by default stays off unless the file leaves it half given.
            if !complete && (own.is_some() || section.name == "dataset") {
                let value = &section.fields[*id as usize].value;
                whole[section.name.as_str()] = value.clone();
            }
        }
        whole
    }
}

impl Section {
    fn learn(&mut self, base: &Value, columns: &[Draft], row: &[u32]) -> u32 {
        let field = self.field(base, columns, row);
        let text = format!("{}{}", field.recipe.is_ok(), field.value);
        let next = self.fields.len() as u32;
        let id = *self.by_text.entry(text).or_insert(next);
        if id == next {
            self.fields.push(field);
        }
        id
    }

    fn field(&self, base: &Value, columns: &[Draft], row: &[u32]) -> Field {
        let name = self.name.as_str();
        let mut whole = json!({});
        if let Some(value) = base.get(name) {
            whole[name] = value.clone();
        }
        for at in (self.columns.iter()).filter(|at| row[**at] != BASE) {
            let column = &columns[*at].column;
            let value = &column.values[row[*at] as usize];
            put(&mut whole, &column.path, value.clone());
        }
        let Some(value) = whole.get(name) else {
            // `early_stop` is off, or the data set is missing.
            let recipe = match section("dataset", &json!("x")) {
                Ok(recipe) if name != "dataset" => Ok(recipe),
                _ => Err((Reason::MissingField, format!("missing field `{name}`"))),
            };
            return Field { value: Value::Null, recipe };
        };
        match section(name, value) {
            Ok(recipe) => Field { value: recipe.field(name).unwrap_or(Value::Null), recipe: Ok(recipe) },
            Err(error) => Field { value: value.clone(), recipe: Err(explain(&error)) },
        }
    }
}

/// The top-level field of a path.
pub(super) fn top(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}
