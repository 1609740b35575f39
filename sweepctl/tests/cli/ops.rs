//! What keeps a lab running: a coordinator on a socket of the file system, `doctor` of all three programs, `top`. With the real
//! programs, where they have been built.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::lab::{Running, start};
use crate::offline::GRID;
use crate::online::Bench;
use crate::ran::{Ran, finish, run, wait_until};
use crate::real::built;

/// Another program of ours, with nothing of the developer's own settings.
pub(crate) fn other(program: &Path, home: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").current_dir(home);
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// The worst level of a check.
fn level(found: &serde_json::Value, check: &str) -> String {
    let findings = found["findings"].as_array().unwrap().iter();
    let levels = findings.filter(|finding| finding["check"] == check).map(|finding| finding["level"].as_str().unwrap());
    ["problem", "warning", "ok"]
        .into_iter()
        .find(|level| levels.clone().any(|found| found == *level))
        .unwrap()
        .to_owned()
}

#[test]
fn a_coordinator_on_a_socket_serves_its_user_and_its_agent() {
    let (Some(coordinator), Some(agent)) = (built("sweep-coordinator"), built("sweep-agent")) else {
        println!("skipped: sweep-coordinator and sweep-agent are not built");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let socket = format!("unix:{}", home.join("run/socket").display());
    let data = home.join("data");
    let _coordinator: Running = start(&coordinator, home, &["--data", data.to_str().unwrap(), "--listen", &socket]);
    wait_until("it answers", || (run(home, &["list", "--server", &socket]).code == Some(0)).then_some(()));
    assert_eq!(std::fs::read_to_string(data.join("address")).unwrap().trim(), socket);

    // It is found wrong while no agent has called, and right after.
    let found = run(home, &["doctor", "--json", "--server", &socket]).expect(0).json();
    assert_eq!((level(&found, "agents").as_str(), level(&found, "clock").as_str()), ("warning", "ok"), "{found}");
    let state = home.join("agent");
    let arguments = ["--coordinator", &socket, "--state", state.to_str().unwrap(), "--pretend", "1", "--in-process"];
    let _agent = start(&agent, home, &arguments);
    wait_until("the agent calls", || {
        let found = run(home, &["doctor", "--json", "--server", &socket]).json();
        (level(&found, "agents") == "ok").then_some(())
    });
    std::fs::write(home.join("grid.toml"), GRID).unwrap();
    run(home, &["submit", "grid.toml", "--watch", "--server", &socket]).expect(0);
    let top = run(home, &["top", "--once", "--server", &socket]).expect(0);
    top.says("1 of 1 hosts, 1 slots, 1 free; 0 sweeps open").says("pretend-0");

    // Of the agent's host: the same coordinator; of the coordinator's: somebody works on the folder.
    let found = other(&agent, home, &["--coordinator", &socket, "doctor", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!((level(&found, "coordinator").as_str(), level(&found, "clock").as_str()), ("ok", "ok"), "{found}");
    let found = other(&coordinator, home, &["--data", data.to_str().unwrap(), "doctor"]).expect(0);
    found.says("a coordinator works on");
}

#[test]
fn webhooks_are_tested_and_listed() {
    let Some(coordinator) = built("sweep-coordinator") else {
        println!("skipped: sweep-coordinator is not built");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let data = home.join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    let ask = |args: &[&str]| run(home, &[&["admin", "notify"], args, &["--server", &socket(&data)]].concat());
    let serve = || {
        let listening = start(&coordinator, home, &["--data", data.to_str().unwrap(), "--listen", &socket(&data)]);
        wait_until("it answers", || (ask(&["list"]).code == Some(0)).then_some(()));
        listening
    };
    let without = serve();
    ask(&["test"]).expect(0).tells("nobody is told: `notify.toml`");
    assert_eq!(ask(&["list", "--json"]).expect(0).json()["webhooks"], serde_json::json!([]));
    drop(without);
    // Nobody listens on port 1.
    let mut file =
        std::fs::File::options().create_new(true).write(true).mode(0o600).open(data.join("notify.toml")).unwrap();
    file.write_all(b"[[notify]]\nurl = \"http://127.0.0.1:1/secret\"\non = [\"failure\"]\n").unwrap();
    let _with = serve();
    let tested = ask(&["test"]).expect(1).says("127.0.0.1").says("connection refused").tells("something is broken");
    assert!(!tested.out.contains("secret"), "{}", tested.out);
    let listed = ask(&["list", "--json"]).expect(0).json();
    let first = &listed["webhooks"][0];
    assert_eq!((&first["number"], &first["waiting"], &first["on"][0]), (&1.into(), &0.into(), &"failure".into()));
    assert!(first["taken"].is_null() && first["error"].is_null(), "{first}");
    ask(&["list"]).expect(0).says("failure");
}

fn socket(data: &Path) -> String {
    format!("unix:{}", data.with_file_name("run").join("socket").display())
}

#[test]
fn doctors_say_what_is_broken_and_how_to_put_it_right() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let found = run(home, &["doctor", "--server", "http://127.0.0.1:1"]).expect(1);
    found.says("problem  coordinator").says("fix: sweepctl up starts one here").tells("something is broken");
    let (Some(coordinator), Some(agent)) = (built("sweep-coordinator"), built("sweep-agent")) else {
        println!("skipped: sweep-coordinator and sweep-agent are not built");
        return;
    };
    let trainer = home.join("none").display().to_string();
    let arguments = ["--trainer", &trainer, "--coordinator", "http://127.0.0.1:1", "--data", "/no/data", "doctor"];
    other(&agent, home, &arguments)
        .expect(1)
        .says("problem  trainer")
        .says("problem  data")
        .says("problem  coordinator");
    let open = home.join("open");
    std::fs::create_dir(&open).unwrap();
    let arguments = ["--data", open.to_str().unwrap(), "--listen", "0.0.0.0:7070", "doctor"];
    other(&coordinator, home, &arguments).expect(1).says("fix: chmod 700").says("fix: sweepctl admin init");
    other(&coordinator, home, &["--listen", "unix:run/x"]).expect(2).tells("neither an address");
}

#[test]
fn programs_log_into_files_that_are_put_aside() {
    let (Some(coordinator), Some(agent)) = (built("sweep-coordinator"), built("sweep-agent")) else {
        println!("skipped: sweep-coordinator and sweep-agent are not built");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (data, log) = (home.join("data"), home.join("coordinator.log"));
    // A megabyte of an earlier time: the first line is too much.
    std::fs::write(&log, "an earlier line\n".repeat(62_500)).unwrap();
    let (data, path) = (data.to_str().unwrap(), log.to_str().unwrap());
    let _coordinator: Running =
        start(&coordinator, home, &["--data", data, "--listen", "127.0.0.1:0", "--log-file", path, "--log-size", "1"]);
    let text = wait_until("it is ready", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("ready for everybody on this host").then_some(text)
    });
    assert!(!text.contains("an earlier line") && !text.contains('\x1b'), "{text}");
    assert_eq!(std::fs::metadata(home.join("coordinator.log.1")).unwrap().len(), 1_000_000);
    assert_eq!(std::fs::read_to_string(home.join("8.log")).unwrap(), "", "nothing on standard error");
    let nowhere = ["--coordinator", "http://127.0.0.1:1", "--log-file", "/no/folder/log"];
    other(&agent, home, &nowhere).expect(1).tells("cannot write the log file /no/folder/log").tells("--log-file");
    other(&coordinator, home, &["--data", data, "--log-keep", "x"]).expect(2);
}

#[test]
fn top_is_one_page_for_scripts() {
    let bench = Bench::new();
    let page = bench.run(&["top", "--once", "--json"]).expect(0).json();
    assert!(page["agents"].is_array() && page["users"].is_array() && page["queue"]["waiting"].is_array(), "{page}");
    let drawn = bench.run(&["top"]).expect(0);
    assert!(!drawn.out.contains('\x1b'), "no drawing without a terminal");
    let line =
        |what: &str| drawn.out.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{}", drawn.out));
    assert!(line("memory").contains("busy") && line("memory").contains("power"));
    let gpu = line("9.7 GB of 40.0 GB");
    assert!(gpu.contains("87 %") && gpu.contains("251 W") && gpu.contains("61 C"), "{gpu}");
    bench.run(&["top", "--interval", "0"]).expect(2).tells("from `0.5s` to `1h`");
}
