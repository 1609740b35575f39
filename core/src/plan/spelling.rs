//! Which values their labels do not spell: a report shows labels, and carries the others beside them.

use serde_json::Value;

use super::{BASE, Plan, at};

impl Plan {
    /// The values of a point that cannot be read back from [`Plan::labels`], by path; `null` where it has none.
    pub fn unspelt(&self, point: u32) -> Vec<(String, Value)> {
        let row = self.row(point);
        let whole = row.contains(&BASE).then(|| self.point_value(point));
        let value = |column: &super::Column, cell: u32| match column.values.get(cell as usize) {
            Some(value) => value.clone(),
            None => whole.as_ref().and_then(|whole| at(whole, &column.path)).cloned().unwrap_or(Value::Null),
        };
        let each = self.columns.iter().zip(row).zip(self.labels(point));
        each.map(|((column, cell), (path, label))| (path, value(column, *cell), label))
            .filter(|(_, value, label)| spelt(label) != *value)
            .map(|(path, value, _)| (path.to_owned(), value))
            .collect()
    }
}

/// The value that a label spells.
pub(crate) fn spelt(label: &str) -> Value {
    serde_json::from_str(label).unwrap_or_else(|_| Value::String(label.to_owned()))
}
