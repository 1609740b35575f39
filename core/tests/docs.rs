//! `docs/spec.md` against the code: every key, name, default, bound and reason, and its examples.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sweep_core::plan::{MAX_TRIALS, at, plan_text, put};
use sweep_core::recipe::Recipe;
use sweep_core::recipe::augment::{BUILT_IN, STEP_NAMES};
use sweep_core::recipe::model::{MODEL_NAMES, markdown_table};
use sweep_core::recipe::optim::OPTIMIZER_NAMES;
use sweep_core::recipe::schedule::SCHEDULE_NAMES;
use sweep_core::spec::{MAX_AXES, MAX_BYTES, MAX_CHOICES, MAX_ERRORS, MAX_EXCLUDES, MAX_SEEDS};
use sweep_core::spec::{Reason, SEARCH_KEYS, STOP_KEYS, TOP_LEVEL, defaults, paths};

const DOC: &str = include_str!("../../docs/spec.md");

/// The rows of all tables below a heading: the first cell without backticks, then the others.
fn rows(heading: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = DOC.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "{heading} is in the document");
    lines
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
            let first = cells.next().unwrap_or_default();
            (first.trim_matches('`').to_owned(), cells.collect())
        })
        .collect()
}

fn recipe(path: &str, value: &Value) -> Option<Recipe> {
    let mut whole = json!({"dataset": "x"});
    if path.starts_with("early_stop") {
        whole["early_stop"] = json!({"patience": 1});
    }
    put(&mut whole, path, value.clone());
    serde_json::from_value(whole).ok()
}

/// The default of a path, in the variant that it belongs to.
fn default_of(path: &str) -> Value {
    let holder = path.rsplit_once('.').map_or("", |(holder, _)| holder);
    let recipe = match holder.split_once('.') {
        Some(_) => recipe(holder, &json!({})),
        None if holder == "early_stop" => recipe("early_stop.patience", &json!(1)),
        None if holder.is_empty() && path != "dataset" => return defaults()[path].clone(),
        None => recipe("dataset", &json!("x")),
    };
    let whole = serde_json::to_value(recipe.expect("a recipe")).expect("plain JSON");
    at(&whole, path).cloned().unwrap_or(Value::Null)
}

#[test]
fn every_key_is_described_and_nothing_else() {
    let keys: BTreeSet<String> = rows("## Keys of the sweep").into_keys().collect();
    let expected: BTreeSet<String> = TOP_LEVEL.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(keys, expected);
    let fields: BTreeSet<String> = rows("## Fields of the recipe").into_keys().collect();
    // Options of models have tables of their own.
    let expected = paths().into_iter().filter(|path| !path.starts_with("model."));
    assert_eq!(fields, expected.collect::<BTreeSet<_>>());
    let options: BTreeSet<String> = rows("#### Options of models").into_keys().collect();
    let of_models =
        paths().into_iter().filter_map(|path| Some(path.strip_prefix("model.")?.split_once('.')?.1.to_owned()));
    assert_eq!(options, of_models.collect::<BTreeSet<_>>());
    let stop: BTreeSet<String> = rows("### Early stopping").into_keys().collect();
    assert_eq!(stop, STOP_KEYS.iter().map(|(key, _)| format!("stop.{key}")).collect::<BTreeSet<_>>());
    let search: BTreeSet<String> = rows("### Search").into_keys().collect();
    assert_eq!(search, SEARCH_KEYS.iter().map(|key| format!("search.{key}")).collect::<BTreeSet<_>>());
    let reasons: BTreeSet<String> = rows("## Errors").into_keys().collect();
    let expected = Reason::ALL.iter().map(|reason| reason.as_str().to_owned());
    assert_eq!(reasons, expected.collect::<BTreeSet<_>>());
}

#[test]
fn the_defaults_are_those_of_the_code() {
    for (path, cells) in rows("## Fields of the recipe") {
        let stated = &cells[1];
        match stated.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
            Some(json) => {
                let stated: Value = serde_json::from_str(json).expect("a default is JSON");
                assert_eq!(stated, default_of(&path), "{path}");
            }
            None => assert!(
                ["dataset", "dropout", "data", "early_stop", "early_stop.patience"].contains(&path.as_str())
                    || (stated == "off" && default_of(&path).is_null()),
                "{path}: {stated}"
            ),
        }
    }
}

#[test]
fn the_bounds_are_those_of_the_code() {
    let mut bounded = 0;
    let fields = rows("## Fields of the recipe");
    let bad = [json!(0), json!(-1.0), json!(2.0), json!(4_000_000_000u32), json!(u64::MAX), json!([0, 0, -1])];
    for (path, cells) in &fields {
        for error in bad.iter().filter_map(|value| recipe(path, value)).flat_map(|recipe| recipe.check()) {
            if error.path == *path && !error.allowed.contains(" for ") {
                assert!(cells[2].contains(&error.allowed), "{path}: {} is not stated", error.allowed);
                bounded += 1;
            }
        }
    }
    assert!(bounded >= 15, "{bounded} bounds were met");
}

#[test]
fn every_name_and_limit_is_mentioned() {
    let names = [MODEL_NAMES.as_slice(), OPTIMIZER_NAMES, SCHEDULE_NAMES, BUILT_IN, STEP_NAMES].concat();
    for name in names {
        let mentioned = DOC.contains(&format!("`{name}`")) || DOC.contains(&format!("`{name}."));
        assert!(mentioned, "`{name}`");
    }
    assert_eq!(
        (MAX_BYTES, MAX_TRIALS, MAX_CHOICES, MAX_AXES, MAX_SEEDS),
        (1 << 20, 100_000, 10_000, 64, 10_000),
        "the limits are stated in the document"
    );
    assert_eq!((MAX_ERRORS, MAX_EXCLUDES), (1000, 1000));
}

/// The table between two marks in a document.
fn marked(text: &str) -> &str {
    let (_, rest) =
        text.split_once("<!-- models: `UPDATE=1 cargo test -p sweep-core` writes this table -->\n").expect("the mark");
    rest.split_once("<!-- end -->").expect("the end mark").0
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the documents are rewritten on request")]
fn the_tables_of_models_are_those_of_the_code() {
    for file in ["README.md", "docs/spec.md"] {
        let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("the document can be read");
        let table = format!("\n{}\n", markdown_table());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, text.replace(marked(&text), &table)).expect("the document can be written");
        } else {
            assert_eq!(marked(&text), table, "{file} is not up to date");
        }
    }
}

#[test]
fn every_example_is_a_good_file() {
    let blocks: Vec<&str> = (DOC.split("```toml\n").skip(1)).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        let result = plan_text(block.as_bytes());
        assert!(result.is_ok(), "{block}\n{:?}", result.err());
    }
    // The examples of the fields, one file each.
    for (path, cells) in rows("## Fields of the recipe") {
        let line = cells[3].trim_matches(['|', ' ', '`']);
        let line = if path == "dataset" { line.to_owned() } else { format!("dataset = \"d\"\n{line}") };
        let patience = if path.starts_with("early_stop.") && path != "early_stop.patience" {
            "early_stop.patience = 1\n"
        } else {
            ""
        };
        let text = format!("name = \"x\"\n{patience}{line}\n");
        let result = plan_text(text.as_bytes());
        assert!(result.is_ok(), "{text}\n{:?}", result.err());
    }
}
