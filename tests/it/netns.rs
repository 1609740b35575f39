//! Two machines on a network, which are network namespaces here: they join a lab with TLS and tokens and run a sweep, and a
//! stranger on that network gets nothing. Needs root and iproute2.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use sweep_tests::process::{built, wait_for};
use sweep_tests::skipped;

const SPEC: &str = "name = \"net\"\ndataset = \"pictures\"\nmodel = \"resnet18\"\nimage_size = 32\nepochs = 1\nseeds = 4\n\
                    [grid]\nlr = [0.1, 0.01, 0.001, 0.0001]\n";

/// A namespace; gone with its links when dropped.
struct Place(String);

impl Place {
    fn new(name: &str) -> Option<Self> {
        let name = format!("sweep-{}-{name}", std::process::id());
        ip(&["netns", "add", &name]).then_some(Self(name))
    }

    fn command(&self, home: &Path, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program).args(args).current_dir(home);
        command.env_clear().env("HOME", home).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("USER", "ada");
        command
    }

    /// Runs to the end, with something to read.
    fn run(&self, home: &Path, program: &Path, args: &[&str], input: &str) -> Output {
        let mut command = self.command(home, program, args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that refuses early does not read to the end.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn start(&self, home: &Path, program: &Path, args: &[&str]) -> Running {
        let log = fs::File::create(home.join(format!("{}.log", self.0))).unwrap();
        let mut command = self.command(home, program, args);
        Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.0]);
    }
}

/// A program that ends with the test: `ip netns exec` becomes it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(args: &[&str]) -> bool {
    let mut command = Command::new("ip");
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A cable from the middle to a place, 10.`net`.0.1 to 10.`net`.0.2.
fn cable(middle: &Place, end: &Place, net: u8) -> bool {
    let (one, two) =
        (format!("sw{}a{net}", std::process::id() % 100_000), format!("sw{}b{net}", std::process::id() % 100_000));
    let (near, far) = (format!("10.{net}.0.1/24"), format!("10.{net}.0.2/24"));
    ip(&["link", "add", &one, "netns", &middle.0, "type", "veth", "peer", "name", &two, "netns", &end.0])
        && ip(&["-n", &middle.0, "addr", "add", &near, "dev", &one])
        && ip(&["-n", &end.0, "addr", "add", &far, "dev", &two])
        && ip(&["-n", &middle.0, "link", "set", &one, "up"])
        && ip(&["-n", &end.0, "link", "set", &two, "up"])
        && ip(&["-n", &end.0, "link", "set", "lo", "up"])
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn expect(output: Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", words(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn private(path: PathBuf, text: &str) -> PathBuf {
    let mut file = fs::File::options().create_new(true).write(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

#[test]
fn two_machines_join_and_a_stranger_gets_nothing() {
    let work = tempfile::tempdir().unwrap();
    let Some((middle, rest)) = network() else {
        return skipped("two_machines_join: namespaces of the network need root and iproute2");
    };
    let [first, second, stranger] = &rest;
    let bin = built().unwrap();
    let [ctl, coordinator, agent] = ["sweepctl", "sweep-coordinator", "sweep-agent"].map(|name| bin.join(name));
    let [lab, one, two, other] = ["lab", "one", "two", "other"].map(|name| work.path().join(name));
    for home in [&lab, &one, &two, &other] {
        fs::create_dir_all(home.join("data/pictures")).unwrap();
    }
    let init = ["init", "--data", "lab", "--host", "10.81.0.1", "--host", "10.82.0.1", "--host", "10.83.0.1"];
    let token = expect(middle.run(&lab, &coordinator, &init, ""), 0);
    let _coordinator = middle.start(&lab, &coordinator, &["--data", "lab", "--listen", "0.0.0.0:7443"]);
    wait_for("the coordinator", || lab.join("lab/address").exists().then_some(())).unwrap();

    // The admin sits at the first machine; each machine joins with a token of its own.
    expect(first.run(&one, &ctl, &["login", "10.81.0.1"], &token), 0);
    let trainer = bin.join("sweep-noop-trainer").display().to_string();
    let _agents = [(first, &one, 81), (second, &two, 82)].map(|(place, home, net)| {
        let token = expect(first.run(&one, &ctl, &["admin", "agent-token", "--note", "machine"], ""), 0);
        private(home.join("join"), &token);
        let server = format!("https://10.{net}.0.1:7443");
        let args =
            ["--coordinator", &server, "--join-file", "join", "--state", "state", "--cache", "cache", "--slots", "2"];
        place.start(home, &agent, &[&args[..], &["--data", "data", "--trainer", &trainer]].concat())
    });
    let logs = || {
        let log = |home: &Path| {
            let logs = fs::read_dir(home)
                .unwrap()
                .flatten()
                .filter(|entry| entry.path().extension().is_some_and(|e| e == "log"));
            logs.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect::<String>()
        };
        [&lab, &one, &two].map(|home| log(home)).join("\n")
    };
    let both = wait_for("both machines", || {
        let said = words(&first.run(&one, &ctl, &["agents", "--json"], ""));
        (said.matches("\"reachable\"").count() == 2 && said.matches("pictures").count() >= 2).then_some(())
    });
    both.unwrap_or_else(|error| panic!("{error}: {}", logs()));
    fs::write(one.join("grid.toml"), SPEC).unwrap();
    expect(first.run(&one, &ctl, &["submit", "grid.toml", "--watch", "--timeout", "60s"], ""), 0);
    let audit = expect(first.run(&one, &ctl, &["audit", "net", "--json"], ""), 0);
    assert!(audit.contains("\"completed\":16") && audit.contains("\"violations\":[]"), "{audit}");

    // A stranger on the same network: with nothing, with a token that was made up, with the spent one of a machine, as an agent
    // of its own, in plain text. And what it knows of the CA it can only learn from the coordinator.
    let server = "https://10.83.0.1:7443";
    expect(stranger.run(&other, &ctl, &["list", "--server", server], ""), 4);
    let pin = token.trim().split_once('.').unwrap().1;
    let spent = fs::read_to_string(one.join("join")).unwrap();
    let login =
        stranger.run(&other, &ctl, &["login", "10.83.0.1", "--fingerprint", pin], spent.split('.').next().unwrap());
    assert!(!login.status.success(), "{}", words(&login));
    let own = spent.split('.').next().unwrap();
    let made_up: String = own.chars().rev().collect();
    let login = stranger.run(&other, &ctl, &["login", "10.83.0.1", "--fingerprint", pin], &made_up);
    assert!(!login.status.success(), "{}", words(&login));
    let wrong = format!("{}.{}", token.split('.').next().unwrap(), "0".repeat(64));
    let elsewhere = stranger.run(&other, &ctl, &["login", "10.83.0.1"], &wrong);
    assert!(!elsewhere.status.success(), "{}", words(&elsewhere));
    private(other.join("join"), &spent);
    let args =
        ["--coordinator", server, "--join-file", "join", "--state", "state", "--cache", "cache", "--trainer", &trainer];
    let joined = stranger.run(&other, &agent, &args, "");
    assert!(!joined.status.success() && !other.join("state/member.pem").exists(), "{}", words(&joined));
    let plain = stranger.run(&other, &ctl, &["list", "--server", "http://10.83.0.1:7443"], "");
    assert!(!plain.status.success() && words(&plain).contains("loopback"), "{}", words(&plain));
    let shout = "exec 3<>/dev/tcp/10.83.0.1/7443; printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3";
    let mut heard = Vec::new();
    let mut bash = stranger.command(&other, Path::new("bash"), &["-c", shout]);
    let mut bash = bash.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    bash.stdout.take().unwrap().read_to_end(&mut heard).unwrap();
    let _ = bash.wait();
    assert!(!String::from_utf8_lossy(&heard).contains("HTTP"), "{heard:?}");

    // With a good token of another project: what is not theirs is not there, by its id either. Revoked, it is worth nothing.
    expect(first.run(&one, &ctl, &["admin", "user", "add", "eve", "--project", "elsewhere", "--new-project"], ""), 0);
    let eves = expect(first.run(&one, &ctl, &["admin", "token", "create", "eve"], ""), 0);
    let shown: serde_json::Value =
        serde_json::from_str(&expect(first.run(&one, &ctl, &["show", "net", "--json"], ""), 0)).unwrap();
    let id = shown["summary"]["sweep"].as_str().unwrap().to_owned();
    expect(stranger.run(&other, &ctl, &["login", "10.83.0.1"], &eves), 0);
    let seen = expect(stranger.run(&other, &ctl, &["list", "--json"], ""), 0);
    assert!(!seen.contains("\"net\"") && !seen.contains(&id), "{seen}");
    for what in ["net", &id] {
        for command in ["show", "report", "audit", "cancel"] {
            expect(stranger.run(&other, &ctl, &[command, what], ""), 3);
        }
    }
    expect(first.run(&one, &ctl, &["admin", "user", "remove", "eve"], ""), 0);
    let gone = stranger.run(&other, &ctl, &["list"], "");
    assert!(!gone.status.success(), "{}", words(&gone));
}

/// A machine in the middle with a cable to three others; nothing where that cannot be had.
fn network() -> Option<(Place, [Place; 3])> {
    let middle = Place::new("lab")?;
    let rest = [Place::new("one")?, Place::new("two")?, Place::new("stranger")?];
    let cables = rest.iter().zip([81, 82, 83]).all(|(place, net)| cable(&middle, place, net));
    let here = ip(&["-n", &middle.0, "link", "set", "lo", "up"]);
    (cables && here).then_some((middle, rest))
}
