//! `docs/reliability.md` is held to what there is: every fault has its row, every test it names exists, every planted bug still
//! applies and was caught.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sweep_tests::crash::points::STEPS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    fs::read_to_string(root().join("docs/reliability.md")).unwrap()
}

/// First cells of the rows of tables that begin with `letter` and a number.
fn rows(letter: char) -> Vec<String> {
    let cell = |line: &str| Some(line.strip_prefix("| ")?.split(" |").next()?.to_owned());
    let numbered = |cell: &String| cell.strip_prefix(letter).is_some_and(|number| number.parse::<u32>().is_ok());
    page().lines().filter_map(cell).filter(numbered).collect()
}

#[test]
fn every_fault_of_the_list_has_its_row() {
    let expected: Vec<String> = (1..=76).map(|number| format!("F{number}")).collect();
    assert_eq!(rows('F'), expected);
}

#[test]
fn every_invariant_of_the_list_has_its_row() {
    let expected: Vec<String> = (1..=31).map(|number| format!("I{number}")).collect();
    assert_eq!(rows('I'), expected);
}

#[test]
fn every_test_that_is_named_exists() {
    let page = page();
    let quoted = page.split('`').skip(1).step_by(2).filter(|text| text.contains(".rs") && !text.contains(' '));
    let mut seen = 0;
    for text in quoted {
        let (path, name) = text.split_once("::").unwrap_or((text, ""));
        let source = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(name.is_empty() || source.contains(&format!("fn {name}(")), "{path} has no test {name}");
        seen += usize::from(!name.is_empty());
    }
    assert!(seen > 60, "only {seen} tests are named");
}

#[test]
fn every_step_at_which_programs_die_has_its_row() {
    for step in STEPS {
        let row = format!("| {} | {} |", step.name, step.what);
        assert!(page().contains(&row), "docs/reliability.md has no row {row}");
    }
}

/// The lines that a hunk expects to find.
fn expected(patch: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut path = String::new();
    for line in patch.lines().skip_while(|line| !line.starts_with("--- ")) {
        if let Some(name) = line.strip_prefix("--- a/") {
            path = name.to_owned();
        } else if line.starts_with("@@") {
            found.push((path.clone(), String::new()));
        } else if let (Some(text), Some((_, hunk))) = (line.strip_prefix([' ', '-']), found.last_mut()) {
            hunk.push_str(text);
            hunk.push('\n');
        }
    }
    found
}

#[test]
fn every_planted_bug_still_applies_and_was_caught() {
    let folder = root().join("tests/mutants");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        let hunks = expected(&fs::read_to_string(&path).unwrap());
        assert!(!hunks.is_empty(), "{} changes nothing", path.display());
        for (file, hunk) in hunks {
            let source = fs::read_to_string(root().join(&file)).unwrap();
            assert!(source.contains(&hunk), "{} no longer fits {file}:\n{hunk}", path.display());
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        names.insert(name.split('-').next().unwrap().to_owned());
    }
    assert!(names.len() >= 10, "{names:?}");
    assert_eq!(rows('M').into_iter().collect::<BTreeSet<_>>(), names);
    assert!(!page().contains("**nothing**"), "a planted bug was not caught");
}
