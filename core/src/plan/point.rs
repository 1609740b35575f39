//! Rows of cells as recipes. A recipe is put together from its top-level fields, and a field is worked
//! out once for every combination of the cells that touch it: 100,000 points are checked, and
//! compared with each other, without writing 100,000 recipes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::recipe::{OutOfRange, Recipe};
use crate::spec::{Reason, canonical_section, explain, section};

use super::axis::Draft;
use super::{at, put};

/// One top-level field under some cells.
#[derive(Debug)]
pub(super) struct Field {
    /// Canonical, or as far as it goes when it is incomplete.
    pub(super) value: Value,
    /// A recipe in which only this field means something.
    pub(super) recipe: Result<Recipe, (Reason, String)>,
}

/// A top-level field that is given or varies.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    /// Columns below it.
    pub(super) columns: Vec<usize>,
    by_cells: BTreeMap<Vec<u32>, u32>,
    by_text: BTreeMap<String, u32>,
    pub(super) fields: Vec<Field>,
}

/// All sections of a sweep.
#[derive(Debug)]
pub(super) struct Sections {
    pub(super) list: Vec<Section>,
    base: Value,
    plain: Recipe,
}

impl Sections {
    /// `base` may be incomplete.
    pub(super) fn new(base: &Value, columns: &[Draft]) -> Self {
        let mut list: BTreeMap<String, Section> = BTreeMap::new();
        let given = base.as_object().into_iter().flat_map(|base| base.keys());
        let touched = columns.iter().enumerate();
        let touched = touched.map(|(at, draft)| (top(&draft.column.path), Some(at)));
        let given = given.map(|name| (name.as_str(), None));
        for (name, column) in given.chain([("dataset", None)]).chain(touched) {
            let section = list.entry(name.to_owned()).or_insert_with(|| Section {
                name: name.to_owned(),
                columns: Vec::new(),
                by_cells: BTreeMap::new(),
                by_text: BTreeMap::new(),
                fields: Vec::new(),
            });
            section.columns.extend(column);
        }
        Self {
            list: list.into_values().collect(),
            base: base.clone(),
            plain: section("dataset", &json!("x")).expect("only a data set is required"),
        }
    }

    /// Which value each section has in a row: equal for two rows exactly if they are the same recipe.
    pub(super) fn of(&mut self, columns: &[Draft], row: &[u32]) -> Vec<u32> {
        let mut key = Vec::new();
        (self.list.iter_mut())
            .map(|section| {
                key.clear();
                key.extend(section.columns.iter().map(|at| row[*at]));
                if let Some(known) = section.by_cells.get(&key) {
                    return *known;
                }
                let field = field(&section.name, &self.base, columns, &section.columns, row);
                let text = format!("{}{}", field.recipe.is_ok(), field.value);
                let next = section.fields.len() as u32;
                let id = *section.by_text.entry(text).or_insert(next);
                if id == next {
                    section.fields.push(field);
                }
                section.by_cells.insert(key.clone(), id);
                id
            })
            .collect()
    }

    /// The sections of a row that do not make a recipe.
    pub(super) fn broken(
        &self,
        ids: &[u32],
    ) -> impl Iterator<Item = (&Section, &(Reason, String))> {
        self.list.iter().zip(ids).filter_map(|(section, id)| {
            let field = &section.fields[*id as usize];
            field.recipe.as_ref().err().map(|error| (section, error))
        })
    }

    /// What is out of bounds in a row; broken sections count as their defaults.
    pub(super) fn check(&self, ids: &[u32]) -> Vec<OutOfRange> {
        let mut recipe = self.plain.clone();
        for (section, id) in self.list.iter().zip(ids) {
            if let Ok(field) = &section.fields[*id as usize].recipe {
                recipe.adopt(&section.name, field);
            }
        }
        recipe.check()
    }

    /// The value of a path in a row.
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
        let mut whole = serde_json::to_value(&self.plain).expect("a recipe is plain JSON");
        for (section, id) in self.list.iter().zip(ids) {
            let own = self.base.get(&section.name);
            let complete = own.filter(|own| crate::spec::section(&section.name, own).is_ok());
            let value = complete.unwrap_or(&section.fields[*id as usize].value);
            whole[section.name.as_str()] = value.clone();
        }
        whole
    }
}

/// The top-level field of a path.
pub(super) fn top(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

fn field(name: &str, base: &Value, columns: &[Draft], below: &[usize], row: &[u32]) -> Field {
    let mut whole = json!({});
    if let Some(value) = base.get(name) {
        whole[name] = value.clone();
    }
    for at in below {
        let column = &columns[*at].column;
        if let Some(value) = column.values.get(row[*at] as usize) {
            put(&mut whole, &column.path, value.clone());
        }
    }
    let Some(value) = whole.get(name) else {
        let error = (Reason::MissingField, format!("missing field `{name}`"));
        return Field {
            value: Value::Null,
            recipe: Err(error),
        };
    };
    match section(name, value) {
        Ok(recipe) => Field {
            value: canonical_section(&recipe, name),
            recipe: Ok(recipe),
        },
        Err(error) => Field {
            value: value.clone(),
            recipe: Err(explain(&error)),
        },
    }
}
