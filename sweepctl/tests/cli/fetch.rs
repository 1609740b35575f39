//! `fetch`: the bytes, the name, and what must not happen to files that are there.

use std::fs;

use crate::fake::Fake;
use crate::ran::run;
use crate::sweeps;

#[test]
fn fetch_writes_a_verified_file_and_never_replaces_another() {
    let fake = Fake::start();
    let home = tempfile::tempdir().unwrap();
    let trial = sweeps::trial_id(0).short();
    let fetch = |args: &[&str]| {
        let args = [&["fetch", "-o", "w/deep", "--server", &fake.server], args].concat();
        run(home.path(), &args)
    };
    let name = format!("w/deep/imagenette-first-{trial}-best.safetensors");
    let ran = fetch(&[&trial]).expect(0);
    assert_eq!(ran.out, format!("{name}\n"));
    assert_eq!(fs::read(home.path().join(&name)).unwrap(), sweeps::weights());
    assert_eq!(fetch(&[&trial, "--best"]).expect(0).tells("already here").out, ran.out);
    // A sweep stands for its best trial.
    assert_eq!(fetch(&[sweeps::NAME]).expect(0).out, ran.out);

    fs::write(home.path().join(&name), "mine").unwrap();
    fetch(&[&trial]).expect(7).tells("--force");
    assert_eq!(fs::read(home.path().join(&name)).unwrap(), b"mine");
    let ran = fetch(&[&trial, "--force", "--json"]).expect(0);
    let json = ran.json();
    assert_eq!((&json["path"], &json["bytes"]), (&name.as_str().into(), &3_000_000.into()));
    assert_eq!(fs::read(home.path().join(&name)).unwrap(), sweeps::weights());
}

#[test]
fn a_state_dict_comes_beside_the_checkpoint_and_replaces_no_other_file() {
    let fake = Fake::start();
    let home = tempfile::tempdir().unwrap();
    let trial = sweeps::trial_id(0).short();
    let fetch = |args: &[&str]| {
        let args = [&["fetch", "-o", "w", "--format", "torchvision", "--server", &fake.server, &trial], args].concat();
        run(home.path(), &args)
    };
    let name = format!("w/imagenette-first-{trial}-best.torchvision.safetensors");
    assert_eq!(fetch(&[]).expect(0).out, format!("{name}\n"));
    let path = home.path().join(&name);
    let state = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(state[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&state[8..8 + length]).unwrap();
    assert_eq!(header["__metadata__"], serde_json::json!({"format": "pt"}));
    assert_eq!(fs::read_dir(home.path().join("w")).unwrap().count(), 2, "nothing else is left");
    fetch(&[]).expect(0);
    fs::write(&path, "mine").unwrap();
    fetch(&[]).expect(7).tells("--force");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    fetch(&["--force"]).expect(0);
    assert_eq!(fs::read(&path).unwrap(), state);
}

#[test]
fn a_damaged_download_leaves_nothing() {
    let fake = Fake::start();
    let home = tempfile::tempdir().unwrap();
    let trial = sweeps::trial_id(0).short();
    let ran = run(home.path(), &["fetch", &trial, "--last", "-o", "w", "--server", &fake.server]);
    ran.expect(1).tells("damaged");
    assert_eq!(fs::read_dir(home.path().join("w")).unwrap().count(), 0);
}

#[test]
fn a_checkpoint_that_is_not_there_is_3() {
    let fake = Fake::start();
    let home = tempfile::tempdir().unwrap();
    let trial = sweeps::trial_id(1).short();
    run(home.path(), &["fetch", &trial, "-o", "w", "--server", &fake.server]).expect(3).tells("no best checkpoint");
}
