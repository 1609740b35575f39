//! What needs no coordinator: `check`, `plan`, help, completions, settings, and a coordinator that is not there.

use std::fs;
use std::path::Path;

use crate::ran::{command, finish, run, run_with_input};

pub(crate) const GRID: &str = r#"
name = "imagenette-first"
dataset = "imagenette"
model = "resnet18"
image_size = 64
epochs = 5
seeds = 3

[grid]
lr = [1e-4, 1e-3, 1e-2]
batch_size = [32, 128]
dropout = [0.0, 0.3]
augmentation = ["none", "flip-crop"]
"#;

const BAD: &str = r#"name = "first try"
dataset = "imagenette"
model = "resnet19"
epocs = 5

[grid]
lr = [1e-4, nan, 1e-4]
batch_size = []
dropuot = [0.5]
"#;

/// A place where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("grid.toml"), GRID).unwrap();
    fs::write(home.path().join("bad.toml"), BAD).unwrap();
    home
}

#[test]
fn check_says_how_many_trials_a_good_file_has() {
    let home = home();
    let ran = run(home.path(), &["check", "grid.toml"]).expect(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("ok: 72 trials\n", ""));
    let json = run(home.path(), &["check", "grid.toml", "--json"]).expect(0).json();
    assert_eq!((&json["ok"], &json["files"][0]["trials"]), (&true.into(), &72.into()));
    run_with_input(home.path(), &["check", "-"], GRID.as_bytes()).expect(0).says("ok: 72 trials");
}

#[test]
fn check_shows_every_error_at_its_place() {
    let home = home();
    let ran = run(home.path(), &["check", "bad.toml"]).expect(2);
    assert_eq!(ran.out, "");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diagnostics.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &ran.err).unwrap();
    }
    assert_eq!(ran.err, fs::read_to_string(&golden).unwrap(), "UPDATE=1 rewrites the golden file");

    let ran = run(home.path(), &["check", "bad.toml", "grid.toml", "-o", "json"]).expect(2);
    let json = ran.json();
    let errors = json["files"][0]["errors"].as_array().unwrap();
    assert!(errors.iter().any(|error| error["reason"] == "model_unknown" && error["line"] == 3), "{json:#}");
    assert_eq!(json["files"][1]["ok"], true);
    assert!(ran.err.starts_with("error: "), "{}", ran.err);
}

#[test]
fn files_that_are_no_sweep_files_are_refused_with_2() {
    let home = home();
    let at = |name: &str, bytes: &[u8]| fs::write(home.path().join(name), bytes).unwrap();
    at("latin1.toml", b"name = \"caf\xe9\"\n");
    at("large.toml", &b"# filling\n".repeat(1 << 20));
    at("syntax.toml", b"name = \n[grid\n");
    at("empty.toml", b"");
    at("steer.toml", b"name = \"x\"\n\"\\u001b[31m\" = 1\n");
    for (name, word) in [
        ("latin1.toml", "spec_not_utf8"),
        ("large.toml", "spec_too_large"),
        ("syntax.toml", "spec_syntax"),
        ("empty.toml", "missing_field"),
        ("steer.toml", "unknown_field"),
        ("missing.toml", "No such file"),
        (".", "directory"),
    ] {
        for verb in ["check", "plan", "submit"] {
            let ran = run(home.path(), &[verb, name, "--server", NOBODY]).expect(2).tells(word);
            assert!(!ran.err.contains('\x1b') && ran.out.is_empty(), "{verb} {name}: {ran:#?}");
        }
    }
}

#[test]
fn plan_lists_the_exact_trials_in_three_forms() {
    let home = home();
    let table = run(home.path(), &["plan", "grid.toml"]).expect(0).tells("72 trials = 24 points x 3 seeds");
    assert_eq!(table.out.lines().count(), 73);
    let json = run(home.path(), &["plan", "grid.toml", "--json"]).expect(0).json();
    let trials = json["trials"].as_array().unwrap();
    assert_eq!((trials.len(), &json["count"]), (72, &72.into()));
    let (plan, spec) = sweep_core::plan::plan_text(GRID.as_bytes()).unwrap();
    assert_eq!(json["base"], plan.base);
    let sweep = sweep_core::id::SweepId::derive(&spec.canonical(), "");
    assert_eq!(json["sweep"], sweep.to_string());
    for (index, trial) in (0u32..).zip(trials) {
        assert_eq!(trial["trial"], plan.trial_id(sweep, index).to_string());
        assert!(table.out.lines().nth(index as usize + 1).unwrap().contains(&trial["trial"].as_str().unwrap()[..8]));
    }
    let csv = run(home.path(), &["plan", "grid.toml", "--csv", "--limit", "2"]).expect(0);
    let lines: Vec<&str> = csv.out.lines().collect();
    assert_eq!(lines[0], "index,trial,point,lr,batch_size,dropout,augmentation,seed");
    assert!(lines.len() == 3 && lines[1].contains(trials[0]["trial"].as_str().unwrap()), "{lines:?}");
}

#[test]
fn quiet_leaves_only_data_and_errors() {
    let home = home();
    let ran = run(home.path(), &["plan", "grid.toml", "--quiet", "--limit", "1"]).expect(0);
    assert_eq!(ran.err, "");
    assert!(!run(home.path(), &["check", "bad.toml", "-q"]).expect(2).err.is_empty());
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let home = home();
    let large = GRID.replace("seeds = 3", "seeds = 1000");
    fs::write(home.path().join("grid.toml"), large).unwrap();
    for form in ["table", "json", "csv"] {
        let mut child = command(home.path(), &["plan", "grid.toml", "-q", "-o", form]).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{form}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let home = home();
    let check = |args: &[&str], variable: Option<(&str, &str)>| {
        let mut command = command(home.path(), &[&["check", "bad.toml"], args].concat());
        finish(command.envs(variable)).expect(2).err.contains('\x1b')
    };
    assert!(!check(&[], None), "no colour in a pipe");
    assert!(check(&["--color", "always"], None));
    assert!(check(&["--color", "always"], Some(("NO_COLOR", "1"))), "a flag wins over the environment");
    assert!(check(&[], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!check(&["--color", "never"], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!check(&[], Some(("NO_COLOR", "1"))));
}

#[test]
fn without_a_coordinator_every_command_fails_fast_with_5() {
    let home = home();
    let cases: &[&[&str]] = &[
        &["list"],
        &["show", "x"],
        &["watch", "x"],
        &["logs", "x"],
        &["cancel", "x"],
        &["retry", "x"],
        &["extend", "x", "--seeds", "3"],
        &["report", "x"],
        &["fetch", "x", "-o", "."],
        &["agents"],
        &["audit", "x"],
        &["submit", "grid.toml"],
    ];
    for args in cases {
        let ran = run(home.path(), &[args, &["--server", NOBODY][..]].concat()).expect(5).tells("sweepctl up");
        assert_eq!(ran.out, "", "{args:?}");
    }
    run(home.path(), &["list", "--server", "http://[nonsense"]).expect(2).tells("not the address");
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    let home = home();
    for args in [
        &["frobnicate"][..],
        &["list", "--frob"],
        &["plan"],
        &["plan", "a", "--json", "--csv"],
        &["list", "--limit", "0"],
        &[],
    ] {
        run(home.path(), args).expect(2);
    }
    let strange = std::os::unix::ffi::OsStrExt::from_bytes(b"we\xffird");
    finish(command(home.path(), &["show"]).arg::<&std::ffi::OsStr>(strange)).expect(2);
    run(home.path(), &["lsit"]).expect(2).tells("list");
    run(home.path(), &["--help"]).expect(0).says("Examples:").says("SWEEP_SERVER");
    run(home.path(), &["fetch", "--help"]).expect(0).says("sweepctl fetch");
    run(home.path(), &["help", "exit-codes"]).expect(0).says("130  interrupted");
    run(home.path(), &["exit-codes"]).expect(0).says("124  --timeout expired");
    for shell in ["bash", "zsh", "fish"] {
        run(home.path(), &["completions", shell]).expect(0).says("sweepctl");
    }
    let version = run(home.path(), &["version", "--server", NOBODY]).expect(0).says(env!("CARGO_PKG_VERSION"));
    assert!(version.err.contains("does not answer"));
}

#[test]
fn settings_come_from_flag_then_environment_then_file() {
    let home = home();
    let with =
        |args: &[&str], variables: &[(&str, &str)]| finish(command(home.path(), args).envs(variables.iter().copied()));
    let config = home.path().join(".config/sweep/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "server = \"127.0.0.1:2\"\noutput = \"json\"\n").unwrap();
    with(&["check", "grid.toml"], &[]).expect(0).json();
    with(&["check", "grid.toml", "-o", "table"], &[]).expect(0).says("ok: 72");
    with(&["check", "grid.toml"], &[("SWEEP_OUTPUT", "table")]).expect(0).says("ok: 72");
    with(&["list"], &[]).expect(5).tells("http://127.0.0.1:2 ");
    with(&["list"], &[("SWEEP_SERVER", "127.0.0.1:3")]).expect(5).tells("http://127.0.0.1:3 ");
    with(&["list", "--server", "127.0.0.1:4"], &[("SWEEP_SERVER", "127.0.0.1:3")]).expect(5).tells("127.0.0.1:4 ");
    with(&["list"], &[("SWEEP_OUTPUT", "yaml")]).expect(2).tells("SWEEP_OUTPUT");
    with(&["list"], &[("SWEEP_CONFIG", "/nowhere/config.toml")]).expect(2).tells("/nowhere/config.toml");
    fs::write(&config, "sever = 1\n").unwrap();
    with(&["list"], &[]).expect(2).tells("sever");
    let state = home.path().join("state/sweep/coordinator");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("address"), "127.0.0.1:6\n").unwrap();
    fs::remove_file(&config).unwrap();
    let state_home = home.path().join("state");
    with(&["list"], &[("XDG_STATE_HOME", state_home.to_str().unwrap())]).expect(5).tells("127.0.0.1:6 ");
}

#[test]
fn a_dry_run_of_submit_calls_nobody() {
    let home = home();
    let ran = run(home.path(), &["submit", "grid.toml", "--dry-run", "--server", NOBODY]).expect(0);
    assert!(ran.out.starts_with("imagenette-first ") && ran.err.contains("72 trials"), "{ran:#?}");
    let json = run(home.path(), &["submit", "grid.toml", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(json["plan"]["count"], 72);
}

#[test]
fn bench_says_which_program_it_needs() {
    let home = home();
    let copy = home.path().join("sweepctl");
    crate::ran::copy_sweepctl(&copy);
    let mut alone = std::process::Command::new(&copy);
    alone.args(["bench", "dispatch", "--trials", "10"]).env_clear().env("PATH", "/usr/bin:/bin");
    finish(&mut alone).expect(1).tells("sweep-bench");
    let script = home.path().join("sweep-bench");
    crate::ran::program(&script, "#!/bin/sh\necho \"got $*\"\nexit 9\n");
    finish(&mut alone).expect(9).says("got dispatch --trials 10");
}
