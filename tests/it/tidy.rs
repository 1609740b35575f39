//! Rules of the source tree that no compiler checks: file sizes, headers, generated types behind
//! their boundary, deploy files that can be read, no unfinished work.

use std::path::{Path, PathBuf};

const CRATES: [&str; 10] =
    ["core", "proto", "identity", "ops", "coordinator", "agent", "trainer", "sweepctl", "fuzzing", "tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// `(path relative to the root, text)` of every file below the crates with this ending.
fn sources(ending: &str) -> Vec<(String, String)> {
    let mut open: Vec<PathBuf> = CRATES.iter().map(|name| root().join(name)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                let name = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((name, std::fs::read_to_string(&path).expect("a source file is text")));
            }
        }
    }
    found.sort();
    found
}

fn offenders(rule: impl Fn(&str, &str) -> bool) -> Vec<String> {
    sources("rs").into_iter().filter(|(name, text)| rule(name, text)).map(|(name, _)| name).collect()
}

#[test]
fn files_have_one_job() {
    let long = offenders(|_, text| text.lines().count() > 400);
    assert!(long.is_empty(), "over 400 lines, split them: {long:#?}");
    let silent = offenders(|_, text| !text.starts_with("//!"));
    assert!(silent.is_empty(), "no header that says what the file is for: {silent:#?}");
}

#[test]
fn generated_types_stay_at_the_edge() {
    const EDGE: [&str; 10] = [
        "proto/",
        "coordinator/src/rpc/",
        "coordinator/tests/",
        "coordinator/examples/",
        "agent/src/rpc/",
        "agent/src/session.rs",
        "agent/tests/",
        "sweepctl/src/client",
        "sweepctl/src/view",
        "sweepctl/tests/",
    ];
    let bad = offenders(|name, text| {
        let outside = !EDGE.iter().any(|edge| name.starts_with(edge)) && !name.starts_with("tests/");
        outside && text.lines().any(|line| line.contains("v1::") && !line.trim_start().starts_with("//"))
    });
    assert!(bad.is_empty(), "generated types used outside the edge: {bad:#?}");
}

#[test]
fn unsafe_code_has_one_place() {
    let word = concat!("unsafe", " ");
    let bad = offenders(|name, text| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        name != "trainer/src/data/memory.rs" && code.into_iter().any(|line| line.contains(&format!("{word}{{")))
    });
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn nothing_is_left_unfinished_or_ignored() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimplemented", "!"), concat!("#[ign", "ore")];
    let bad = offenders(|_, text| words.iter().any(|word| text.contains(word)));
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn systemd_units_name_the_binaries_and_flags_that_exist() {
    for (unit, binary) in [("sweep-coordinator", "sweep-coordinator"), ("sweep-agent", "sweep-agent")] {
        let path = root().join(format!("deploy/systemd/{unit}.service"));
        let text = std::fs::read_to_string(&path).expect("the unit can be read");
        let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("ExecStart");
        let mut words = start.split(' ');
        assert_eq!(words.next(), Some(format!("/usr/bin/{binary}").as_str()));
        let source = sources("rs").into_iter().filter(|(name, _)| name.starts_with(&format!("{}/src", &binary[6..])));
        let source: String = source.map(|(_, text)| text).collect();
        for flag in words.filter(|word| word.starts_with("--")) {
            let name = flag.trim_start_matches('-').replace('-', "_");
            assert!(source.contains(&name), "{unit}: {flag} is not a flag of {binary}");
        }
        for section in ["[Unit]", "[Service]", "[Install]"] {
            assert!(text.contains(section), "{unit} lacks {section}");
        }
    }
}

/// Python looks beside a script first: one called like a module of the standard library is imported in its place, by
/// torch, too, and a script that says "skipped" when an import fails then never runs.
#[test]
fn no_script_hides_a_module_of_python() {
    let names = "import sys; print('\\n'.join(sys.stdlib_module_names))";
    let output = std::process::Command::new("python3").args(["-c", names]).output().expect("python3 is there");
    let names = String::from_utf8(output.stdout).expect("names are text");
    assert!(names.lines().any(|name| name == "statistics"), "{names}");
    let hidden: Vec<String> = sources("py")
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| names.lines().any(|name| Path::new(path).file_stem().is_some_and(|stem| stem == name)))
        .collect();
    assert!(hidden.is_empty(), "rename them: {hidden:?}");
}
