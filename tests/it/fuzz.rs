//! What must hold for all bytes, with the share of changed inputs that every run of the tests tries. The targets of the trainer are
//! in `trainer/tests/fuzz.rs`; `docs/reliability.md` says what each checks and what longer runs came to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sweep_tests::fuzz::TARGETS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// In a process of its own: an input that takes too long ends it, and its memory is nobody else's.
#[test]
fn nothing_breaks_what_reads_what_others_wrote() {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweep-fuzz"));
    let output = command.arg("all").current_dir(root()).arg("--out").arg(out.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\nto keep the input: target/debug/sweep-fuzz all");
    let lines: Vec<serde_json::Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), TARGETS.len());
    for line in &lines {
        assert!(line["kinds"].as_u64().unwrap() >= 20, "the inputs of a target lead to too little: {line}");
    }
}

/// A corpus that nobody can look through is not looked through.
#[test]
fn the_corpus_is_small() {
    let mut all = 0;
    for folder in fs::read_dir(root().join("tests/fuzz/corpus")).unwrap() {
        let folder = folder.unwrap().path();
        let files: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect();
        assert!(files.len() <= 64, "{} holds {} files", folder.display(), files.len());
        all += files.iter().sum::<u64>();
    }
    assert!(all < 512 << 10, "{all} bytes");
}

/// libFuzzer calls the same functions.
#[test]
fn every_target_has_its_counterpart_for_libfuzzer() {
    for target in TARGETS {
        let path = root().join(format!("fuzz/fuzz_targets/{}.rs", target.name));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.contains(&format!("\"{}\"", target.name)), "{} calls another", path.display());
    }
}
