//! What people read who cannot get in: each reason with what to do about it, and nothing that is for programmers. With the real programs,
//! where they have been built.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::{Running, private, start};
use crate::offline::GRID;
use crate::ops::other;
use crate::ran::{Ran, finish, run, run_with_input, wait_until};
use crate::real::built;

/// A lab with its admin's token, reached at `localhost`.
struct Lab {
    _coordinator: Running,
    token: String,
    port: u16,
}

impl Lab {
    fn new(coordinator: &Path, home: &Path, data: &str, listen: &str) -> Self {
        let token = run(home, &["admin", "init", "--data", data, "--host", "lab.example.org"]).expect(0).out;
        let coordinator = start(coordinator, home, &["--data", data, "--listen", listen]);
        let address = wait_until("an address", || std::fs::read_to_string(home.join(data).join("address")).ok());
        let port = address.trim().rsplit_once(':').unwrap().1.parse().unwrap();
        Self { _coordinator: coordinator, token, port }
    }

    fn at(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }
}

/// A port at which nothing listens.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One sentence for people, without what programs tell each other.
fn sentence(ran: Ran) -> String {
    for inside in ["metadata", "details", "transport error", "UnknownIssuer", "CertificateError", "status:", "Os {"] {
        assert!(!ran.err.contains(inside), "{inside} is nobody's business:\n{}", ran.err);
    }
    ran.err
}

#[test]
fn whoever_cannot_get_in_is_told_why_and_what_to_do() {
    let (Some(coordinator), Some(agent)) = (built("sweep-coordinator"), built("sweep-agent")) else {
        println!("skipped: sweep-coordinator and sweep-agent are not built");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let ours = Lab::new(&coordinator, home, "ours", "0.0.0.0:0");
    let theirs = Lab::new(&coordinator, home, "theirs", "127.0.0.1:0");
    let plain = start(&coordinator, home, &["--data", "plain", "--listen", "127.0.0.1:0", "--network-disk"]);
    let address = wait_until("an address", || std::fs::read_to_string(home.join("plain/address")).ok());
    let plain_port: u16 = address.trim().rsplit_once(':').unwrap().1.parse().unwrap();
    let closed = closed();

    // People.
    let login = |server: &str, token: &str| run_with_input(home, &["login", server], token.as_bytes());
    let wrong_lab = sentence(login(&theirs.at("localhost"), &ours.token).expect(5));
    assert!(wrong_lab.contains("is not the coordinator that the token is for"), "{wrong_lab}");
    assert!(wrong_lab.contains("ask an admin of this lab for a token"), "{wrong_lab}");
    let nothing = sentence(login(&format!("https://127.0.0.1:{closed}"), &ours.token).expect(5));
    assert!(nothing.contains(&format!("nothing listens at 127.0.0.1:{closed}: does the coordinator run")), "{nothing}");
    assert!(!nothing.contains("sweepctl up"), "that is for one person: {nothing}");
    let not_tls = sentence(login(&format!("https://127.0.0.1:{plain_port}"), &ours.token).expect(5));
    assert!(not_tls.contains("does not speak TLS") && not_tls.contains("port 7443"), "{not_tls}");
    let name = sentence(login(&ours.at("127.0.0.2"), &ours.token).expect(5));
    assert!(
        name.contains("is for lab.example.org, localhost, 127.0.0.1") && name.contains("and not for 127.0.0.2"),
        "{name}"
    );
    assert!(name.contains("sweepctl admin init --host 127.0.0.2"), "{name}");
    login(&ours.at("localhost"), &ours.token).expect(0);
    run(home, &["admin", "user", "add", "ann", "--project", "one", "--new-project"]).expect(0);
    run(home, &["admin", "user", "add", "bob", "--project", "two", "--new-project"]).expect(0);
    let made = run(home, &["admin", "token", "create", "ann"]).expect(0);
    let made = made.tells(&format!("sweepctl login HOST:{}, and paste it", ours.port));
    let id = made.err.split("a token of ann, ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    run(home, &["admin", "token", "revoke", &id]).expect(0);
    let dead = sentence(login(&ours.at("localhost"), &made.out).expect(4));
    assert!(dead.contains("does not take this token: it has ended, was revoked"), "{dead}");
    assert!(dead.contains("sweepctl admin token create NAME"), "{dead}");
    // Of the login that is kept.
    run(home, &["doctor", "--json"]).says("\"check\":\"token\"");

    // Machines.
    let join_token = |note: &str| -> PathBuf {
        let made = run(home, &["admin", "agent-token", "--note", note]).expect(0);
        let made = made.tells(&format!("--coordinator https://HOST:{} --join-file FILE", ours.port));
        private(&home.join(note), &made.out)
    };
    let token = join_token("join");
    let join = |server: &str, state: &str, file: &Path, what: &str| {
        other(&agent, home, &["--coordinator", server, "--state", state, "--join-file", file.to_str().unwrap(), what])
    };
    let text = sentence(join(&theirs.at("localhost"), "a", &token, "join").expect(1));
    assert!(text.contains("is not the coordinator that the token is for"), "{text}");
    assert!(text.contains("sweepctl admin agent-token"), "{text}");
    let text = sentence(join(&format!("https://127.0.0.1:{closed}"), "a", &token, "join").expect(1));
    assert!(text.contains(&format!("nothing listens at 127.0.0.1:{closed}")), "{text}");
    let text = sentence(join(&format!("https://127.0.0.1:{plain_port}"), "a", &token, "join").expect(1));
    assert!(text.contains("does not speak TLS"), "{text}");
    let text = sentence(join(&ours.at("127.0.0.2"), "a", &token, "join").expect(1));
    assert!(text.contains("and not for 127.0.0.2"), "{text}");
    join(&ours.at("localhost"), "a", &token, "doctor").says("answers and is the one that the token is for");
    join(&theirs.at("localhost"), "a", &token, "doctor").expect(1).says("is not the coordinator that the token is for");
    join(&ours.at("localhost"), "a", &token, "join").expect(0);
    let text = sentence(join(&ours.at("localhost"), "b", &token, "join").expect(1));
    assert!(
        text.contains("does not take the token in") && text.contains("was used, has ended or was revoked"),
        "{text}"
    );
    let mode = |folder: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(home.join(folder)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("a"), 0o700, "what the doctor asks for");

    // The same file in two projects has two ids, in one release.
    std::fs::write(home.join("grid.toml"), GRID).unwrap();
    for person in ["ann", "bob"] {
        let made = run(home, &["admin", "token", "create", person]).expect(0).out;
        let desk = home.join(format!("desk-{person}"));
        std::fs::create_dir(&desk).unwrap();
        std::fs::copy(home.join("grid.toml"), desk.join("grid.toml")).unwrap();
        run_with_input(&desk, &["login", &ours.at("localhost")], made.as_bytes()).expect(0);
        let ran = run(&desk, &["submit", "grid.toml", "--queue-anyway"]).expect(0);
        assert!(!ran.err.contains("release"), "{}", ran.err);
    }
    drop(plain);
}

#[test]
fn errors_are_one_text_whatever_the_environment_says() {
    let Some(coordinator) = built("sweep-coordinator") else {
        println!("skipped: sweep-coordinator is not built");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(&coordinator);
    command.args(["--data", "data", "--listen", "0.0.0.0:0"]).env_clear().env("RUST_BACKTRACE", "1");
    command.current_dir(home.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = finish(&mut command).expect(1);
    assert!(
        ran.err.starts_with("Error: refusing to listen on 0.0.0.0:0") && ran.err.lines().count() == 1,
        "{}",
        ran.err
    );
}
