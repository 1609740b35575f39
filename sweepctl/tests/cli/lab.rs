//! A lab with the real programs, where they have been built: an admin makes it, lets people and an agent
//! in, throws one out, and reads what happened.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::offline::GRID;
use crate::ops::other as program;
use crate::ran::{command, finish, run, run_with_input, wait_until};
use crate::real::built;

/// A program that ends with the test.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn start(program: &Path, home: &Path, args: &[&str]) -> Running {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").current_dir(home);
    let log = std::fs::File::create(home.join(format!("{}.log", args.len()))).unwrap();
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

pub(crate) fn private(path: &Path, text: &str) -> PathBuf {
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path.to_owned()
}

#[test]
fn a_lab_from_its_first_token_to_its_audit_log() {
    let (Some(coordinator), Some(agent)) = (built("sweep-coordinator"), built("sweep-agent")) else {
        println!("skipped: sweep-coordinator and sweep-agent are not built");
        return;
    };
    let [root, ada, bob] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (root, ada, bob) = (root.path(), ada.path(), bob.path());
    let data = root.join("data");
    let listening = |listen: &str| start(&coordinator, root, &["--data", data.to_str().unwrap(), "--listen", listen]);

    // Without certificates nothing but this host is listened to.
    let mut refused = listening("0.0.0.0:0");
    assert!(!refused.0.wait().unwrap().success());
    let log = std::fs::read_to_string(root.join("4.log")).unwrap();
    assert!(log.contains("sweepctl admin init"), "{log}");

    let init = ["admin", "init", "--data", "data", "--host", "127.0.0.1"];
    let token = run(root, &init).expect(0).tells("good for one day").out;
    let mode = std::fs::metadata(data.join("ca/ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Another name later on; the token before stays good.
    let more = ["admin", "init", "--data", "data", "--host", "lab.example.org", "--host", "127.0.0.1"];
    run(root, &more)
        .expect(0)
        .tells("new names lab.example.org: from its next start on the coordinator's certificate is for");
    let names = std::fs::read_to_string(data.join("ca/names")).unwrap();
    assert!(names.contains("lab.example.org") && names.contains("127.0.0.1"), "{names}");
    let _coordinator = listening("127.0.0.1:0");
    let server = wait_until("an address", || std::fs::read_to_string(data.join("address")).ok());
    let server = server.trim().to_owned();
    assert!(server.starts_with("https://"), "{server}");

    // Nobody is anybody before they log in.
    run(ada, &["list", "--server", &server]).expect(4).tells("sweepctl login");
    let wrong = format!("{}{}", &token[..20], &token[21..]);
    run_with_input(root, &["login", &server], wrong.as_bytes()).expect(2).tells("not a token");
    let (bare, pin) = token.trim().split_once('.').unwrap();
    run_with_input(root, &["login", &server], bare.as_bytes()).expect(2).tells("--fingerprint");
    let other = format!("{bare}.{}", "0".repeat(64));
    run_with_input(root, &["login", &server], other.as_bytes()).expect(5);
    run_with_input(root, &["login", &server, "--fingerprint", pin], bare.as_bytes()).expect(0).tells("as admin");
    let kept = root.join(".config/sweep/credentials.toml");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    // A first token is good for a day, of which nothing is said while most of it is left. Who renews it goes on with another, and the first is dead.
    let text = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(run(root, &["whoami"]).expect(0).says("admin (admin)").err, "");
    let without = |what: &str, text: &str| -> String {
        text.lines().filter(|line| !line.starts_with(what)).map(|line| format!("{line}\n")).collect()
    };
    std::fs::write(&kept, without("since", &text)).unwrap();
    let ran = run(root, &["whoami"]).expect(0).tells("ends in 1 d 0 h");
    ran.tells("`sweepctl login --renew` makes a new one");
    run(root, &["login", "--renew"]).expect(0).tells("a new token is kept for").tells("until    20");
    run(root, &["login", "--renew", &server]).expect(2);
    run(ada, &["login", "--renew", "--server", &server]).expect(4).tells("not logged in at");
    let renewed = std::fs::read_to_string(&kept).unwrap();
    assert!(renewed != text && !renewed.contains(bare));
    std::fs::write(&kept, &text).unwrap();
    run(root, &["whoami"]).expect(4);
    // A login by an earlier release learns when its token ends.
    let renewed = without("since", &renewed);
    std::fs::write(&kept, without("expires", &renewed)).unwrap();
    run(root, &["whoami"]).expect(0);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), renewed);

    // People.
    run(root, &["admin", "user", "add", "ada"]).expect(0).tells("ada is user");
    run(root, &["admin", "user", "add", "bob"]).expect(0);
    // Who is there is not made somebody else by the way.
    let again = ["admin", "user", "add", "bob", "--role", "viewer", "--project", "audio"];
    let hint = "there is a user `bob` already, user in default; `sweepctl admin user set bob`";
    run(root, &again).expect(7).tells("[user_known]").tells(hint);
    let set = ["admin", "user", "set", "bob", "--role", "viewer", "--project", "audio", "--project", "default"];
    run(root, &set).expect(7).tells("nobody is in a project `audio`").tells("[name_unknown]");
    run(root, &[&set[..], &["--new-project"]].concat())
        .expect(0)
        .tells("bob is viewer in audio, default; was user in default");
    run(root, &["admin", "user", "set", "bob", "--role", "user"]).expect(0).tells("is user in audio, default");
    run(root, &["admin", "user", "set", "bob", "--project", "default"]).expect(0).tells("was user in audio, default");
    run(root, &["admin", "user", "set", "eve", "--role", "user"]).expect(3).tells("[user_unknown]");
    run(root, &["admin", "user", "set", "bob"]).expect(2);
    let create = |name: &str| run(root, &["admin", "token", "create", name, "--note", "laptop"]).expect(0).out;
    let file = private(&ada.join("token"), &create("ada"));
    run(ada, &["login", &server, "--token-file", file.to_str().unwrap()]).expect(0).tells("as ada (user)");
    run_with_input(bob, &["login", &server], create("bob").as_bytes()).expect(0);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    run(ada, &["login", &server, "--token-file", file.to_str().unwrap()]).expect(2).tells("chmod 600");
    std::fs::write(ada.join("grid.toml"), GRID).unwrap();
    run(ada, &["submit", "grid.toml", "--queue-anyway"]).expect(0);
    run(bob, &["cancel", "imagenette-first"]).expect(7).tells("[not_yours]");
    run(bob, &["admin", "user", "list"]).expect(7).tells("[role_too_small]");
    run(ada, &["cancel", "imagenette-first"]).expect(0);
    assert_eq!(run(ada, &["list", "--json"]).expect(0).json()["sweeps"][0]["user"], "ada");

    // A machine.
    let join = private(&root.join("join"), &run(root, &["admin", "agent-token", "--note", "gpu1"]).expect(0).out);
    let joining = ["--coordinator", &server, "--state", "agent", "--slots", "1", "--join-file", join.to_str().unwrap()];
    let joined = start(&agent, root, &joining);
    let reachable = || run(ada, &["agents", "--json"]).expect(0).json()["agents"][0]["status"] == "reachable";
    wait_until("the agent joins", || reachable().then_some(()));
    // It is a member: the token is spent, and not needed any more.
    drop(joined);
    std::fs::remove_file(&join).unwrap();
    let mut again = start(&agent, root, &joining[..6]);
    let list = run(root, &["admin", "agent", "list", "--json"]).expect(0).json();
    let id = list["agents"][0]["agent"].as_str().unwrap().to_owned();
    assert_eq!(list["agents"][0]["note"], "gpu1");
    // Its doctor knows whether it is a member, and what to do if it is none any more.
    let doctor = |state: &str| program(&agent, root, &["--coordinator", &server, "--state", state, "doctor"]);
    // For 14 days, from a second or so ago.
    doctor("agent")
        .says("has joined; its certificate is good for 1")
        .says("days and renews itself")
        .says("takes this agent for a member");
    doctor("another").expect(1).says("this agent has not joined the lab").says("can be reached");
    run(root, &["admin", "agent", "revoke", &id[..8]]).expect(0).tells(&id).tells("it is out");
    assert_eq!(run(ada, &["agents", "--json"]).expect(0).json()["agents"], serde_json::json!([]));
    doctor("agent").expect(1).says("has revoked this agent").says("join --again");
    let _ = again.0.kill();
    let _ = again.0.wait();
    let token = private(&root.join("join"), &run(root, &["admin", "agent-token"]).expect(0).out);
    let join =
        ["--coordinator", &server, "--state", "agent", "--join-file", token.to_str().unwrap(), "join", "--again"];
    program(&agent, root, &join[..7]).expect(1).tells("has joined before");
    program(&agent, root, &[&join[..4], &join[6..]].concat()).expect(1).tells("say with which token");
    program(&agent, root, &join).expect(0).tells("it is a member");
    doctor("agent").says("takes this agent for a member");
    let host = list["agents"][0]["host"].as_str().unwrap().to_owned();
    run(root, &["admin", "agent", "list"]).expect(0).says(&host);
    run(root, &["admin", "agent", "revoke", &host]).expect(0).tells(&id);
    program(&agent, root, &join).expect(1).tells("does not take the token in");

    // Out again, at once.
    let tokens = run(root, &["admin", "token", "list", "--user", "bob", "--json"]).expect(0).json();
    let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
    run(root, &["admin", "token", "revoke", &id]).expect(0).tells("it has ended");
    run(bob, &["list"]).expect(4);
    run(root, &["admin", "user", "remove", "bob"]).expect(0).tells("bob has left");
    run(root, &["admin", "user", "add", "bob"]).expect(7).tells("[user_left]").tells("--take-over");
    run(root, &["admin", "user", "add", "bob", "--take-over"]).expect(0);
    run(ada, &["logout"]).expect(0);
    run(ada, &["whoami", "--server", &server]).expect(4);
    let kept = std::fs::read_to_string(ada.join(".config/sweep/credentials.toml")).unwrap();
    assert!(!kept.contains("swp_"), "the login is forgotten");

    // `up` is for one person.
    std::fs::create_dir_all(root.join("up/coordinator/ca")).unwrap();
    std::fs::write(root.join("up/coordinator/ca/ca.pem"), "").unwrap();
    run(root, &["up", "--state", "up"]).expect(7).tells("is a lab's");

    // What happened.
    let head = run(root, &["admin", "audit-log", "verify"]).expect(0).tells("each follows").out;
    run(root, &["admin", "audit-log", "verify", "--head", head.trim()]).expect(0);
    run(root, &["admin", "audit-log", "verify", "--head", &"0".repeat(64)]).expect(1).tells("was cut");
    let log = run(root, &["admin", "audit-log", "show"]).expect(0).says("Sweeps.Submit").says("Access.RevokeAgent").out;
    assert!(!log.contains(&bare[17..40]), "no secret is in it");
    let show = |args: &[&str]| run(root, &[&["admin", "audit-log", "show"], args].concat()).expect(0).out;
    let submitted = show(&["--user", "ada", "--method", "sweeps.s", "--since", "1h"]);
    assert!(submitted.contains("Sweeps.Submit") && submitted.lines().count() == 1, "{submitted}");
    assert!(show(&["--user", "bob"]).contains("not_yours") || show(&["--user", "bob"]).contains("PermissionDenied"));
    assert_eq!(show(&["--since", "2100-01-01T00:00:00Z"]), "");
    assert_eq!(show(&["--since", "1h"]), log);
    run(root, &["admin", "audit-log", "show", "--since", "soon"]).expect(2);
    finish(&mut command(root, &["admin", "init", "--data", "data", "--host", "x"]))
        .expect(1)
        .tells("another coordinator");
}
