//! What a power loss would find on the coordinator's disk: seen from below, as the order of what it asks the disk for.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sweep_tests::chaos::{Plan, run};
use sweep_tests::process::Lab;
use sweep_tests::syncs::{Asked, Syncs, wrong};

use crate::recovery::setup;

#[test]
fn checkpoints_and_commits_are_on_the_disk_before_they_count() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Syncs::new(dir.path()).unwrap();
    let mut setup = setup(&dir.path().join("lab"));
    let name = |(name, path): (&str, &Path)| (name.to_owned(), path.display().to_string());
    setup.coordinator_env = syncs.environment().map(name).into();
    let spec = dir.path().join("s.toml");
    std::fs::write(&spec, "name = \"s\"\ndataset = \"none\"\n\n[grid]\nlr = [1e-3, 1e-2]\n").unwrap();
    let limit = Duration::from_secs(120);
    run(&mut Lab::start(setup).unwrap(), &spec, Plan::quiet(limit)).unwrap();
    let asked = syncs.asked().unwrap();
    let is_blob = |path: &Path| path.components().any(|part| part.as_os_str() == "blobs");
    let (wrong, names) = wrong(&asked, is_blob);
    assert_eq!(wrong, [] as [String; 0]);
    assert!(names >= 2, "only {names} checkpoints were stored");
    // Submission, grants, epochs, checkpoints and ends of two trials in at least so many commits.
    let is_journal = |asked: &&Asked| matches!(asked, Asked::Sync(path) if path.ends_with("sweep.db-wal"));
    let commits = asked.iter().filter(is_journal).count();
    assert!(commits >= 6, "only {commits} syncs of the journal");
}

/// Found with a planted bug, which nothing else caught.
#[test]
fn keys_and_certificates_are_on_the_disk_before_a_token_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Syncs::new(dir.path()).unwrap();
    let data = dir.path().join("data");
    let mut command = Command::new(setup(dir.path()).bin.join("sweepctl"));
    command.args(["admin", "init", "--host", "127.0.0.1", "--data"]).arg(&data).envs(syncs.environment());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (wrong, names) = wrong(&syncs.asked().unwrap(), |path| path.starts_with(data.join("ca")));
    assert_eq!((wrong, names), (vec![], 3), "the key, the names, the certificate");
}
