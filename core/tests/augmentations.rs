//! What the documents say about augmentation steps against the code. `UPDATE=1` writes the README's table.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sweep_core::recipe::augment::{STEP_NAMES, markdown_table};
use sweep_core::recipe::{Augmentation, Recipe};

const DOC: &str = include_str!("../../docs/spec.md");
const BEGIN: &str = "<!-- augmentations: `UPDATE=1 cargo test -p sweep-core` writes this table -->\n";
const END: &str = "<!-- augmentations end -->";

/// `step.option`, default, and what is allowed, of the rows of the document.
fn rows() -> Vec<(String, String, String)> {
    let section = DOC.lines().skip_while(|line| *line != "### Augmentations").skip(1);
    let rows = section.take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(|cell| cell.trim()).collect();
        assert_eq!(cells.len(), 3, "{line}");
        (cells[0].trim_matches('`').to_owned(), cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
    })
    .collect()
}

/// The options of a step with their defaults.
fn options(step: &str) -> Vec<(String, Value)> {
    let steps: Augmentation = serde_json::from_value(json!([step])).expect("a step");
    let value = serde_json::to_value(steps).expect("plain JSON");
    let options = value[0][step].as_object().expect("a table of options");
    options.iter().map(|(option, value)| (format!("{step}.{option}"), value.clone())).collect()
}

#[test]
fn every_option_is_described_with_its_default_and_nothing_else() {
    let stated: BTreeSet<(String, String)> = rows()
        .into_iter()
        .map(|(path, default, _)| {
            let value: Value = serde_json::from_str(&default).expect("a default is JSON");
            (path, value.to_string())
        })
        .collect();
    let all = STEP_NAMES.iter().flat_map(|step| options(step)).map(|(path, value)| (path, value.to_string()));
    assert_eq!(stated, all.collect());
}

/// Every number has bounds, and the document states them.
#[test]
fn the_bounds_are_those_of_the_code() {
    for (path, default, allowed) in rows() {
        let (step, option) = path.split_once('.').expect("step.option");
        let bad = match serde_json::from_str(&default).expect("JSON") {
            Value::Number(number) if number.is_u64() => vec![json!(4_000_000_000u32), json!(0)],
            Value::Number(_) => vec![json!(-1001.0)],
            Value::Array(items) if items.iter().all(Value::is_u64) => vec![json!([2, 1])],
            Value::Array(_) => vec![json!([2.0, 1.0])],
            Value::String(_) => vec![json!("no-such-word")],
            _ => continue,
        };
        let stated = bad.into_iter().any(|value| {
            let json = json!({"dataset": "x", "augmentation": [{step: {option: value}}]});
            match serde_json::from_value::<Recipe>(json) {
                Ok(recipe) => {
                    let at = format!("augmentation.{path}");
                    recipe.check().iter().any(|error| error.path == at && allowed.contains(&error.allowed))
                }
                // The error names the words that are allowed.
                Err(error) => {
                    let error = error.to_string();
                    let words: Vec<&str> = error.split('`').skip(1).step_by(2).skip(1).collect();
                    !words.is_empty() && words.iter().all(|word| allowed.contains(&format!("\"{word}\"")))
                }
            }
        });
        assert!(stated, "{path}: {allowed}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the README is rewritten on request")]
fn the_readme_has_the_table_of_the_code() {
    let path = format!("{}/../README.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the README can be read");
    let (before, rest) = text.split_once(BEGIN).expect("the mark");
    let (table, after) = rest.split_once(END).expect("the end mark");
    let wanted = format!("\n{}\n", markdown_table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).expect("the README can be written");
    } else {
        assert_eq!(table, wanted, "UPDATE=1 writes the new table");
    }
}
