//! `up` with pretend programs: shell scripts that say where the pretend coordinator listens and stay alive.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::fake::Fake;
use crate::ran::{Ran, copy_sweepctl, finish, program, wait_until};

struct Machine {
    folder: tempfile::TempDir,
    fake: Fake,
}

impl Machine {
    /// `sweepctl` beside two scripts.
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap(), fake: Fake::start() };
        copy_sweepctl(&machine.path("sweepctl"));
        let address = machine.fake.server.trim_start_matches("http://");
        let address_file = machine.path("state/coordinator/address");
        let coordinator = format!("#!/bin/sh\necho {address} > {}\nexec sleep 600\n", address_file.display());
        machine.script("sweep-coordinator", &coordinator);
        machine.script("sweep-agent", "#!/bin/sh\necho \"agent $*\"\nexec sleep 600\n");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        program(&self.path(name), text);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.path("sweepctl"));
        command.args(["up", "--slots", "2", "--state"]).arg(self.path("state"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts and waits until it says what to do next.
    fn up(&self) -> Up {
        let mut child = self.command().spawn().unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = read_until(&mut words, "next ");
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert_eq!(address.trim(), self.fake.server);
        Up { child, words, said }
    }

    fn pid(&self, program: &str) -> Pid {
        let text = fs::read_to_string(self.path(&format!("state/run/{program}.pid"))).unwrap();
        Pid::from_raw(text.split(' ').next().unwrap().parse().unwrap()).unwrap()
    }
}

struct Up {
    child: Child,
    words: Lines<BufReader<ChildStderr>>,
    said: Vec<String>,
}

impl Up {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    /// Asks it to end as Ctrl-C does.
    fn stop(mut self) {
        kill_process(self.pid(), Signal::INT).unwrap();
        let rest: Vec<String> = self.words.map(Result::unwrap).collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{rest:?}");
    }
}

fn read_until(words: &mut Lines<BufReader<ChildStderr>>, text: &str) -> Vec<String> {
    let mut said = Vec::new();
    for line in words {
        said.push(line.unwrap());
        if said.last().unwrap().contains(text) {
            return said;
        }
    }
    panic!("ended without saying {text:?}: {said:#?}");
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err()
}

fn second(machine: &Machine) -> Ran {
    finish(&mut machine.command())
}

#[test]
fn up_starts_both_restarts_what_dies_and_stops_both() {
    let machine = Machine::new();
    let mut up = machine.up();
    assert!(up.said.iter().any(|line| line.contains("imagenette")), "{:?}", up.said);
    let log = || fs::read_to_string(machine.path("state/log/agent.log")).unwrap();
    wait_until("the agent is told what to do", || (log().contains("--slots 2")).then_some(()));
    assert!(log().contains(&machine.fake.server), "{}", log());

    let ran = second(&machine).expect(0).tells("already running");
    assert_eq!(ran.out.trim(), machine.fake.server);

    let (coordinator, agent) = (machine.pid("coordinator"), machine.pid("agent"));
    kill_process(agent, Signal::KILL).unwrap();
    read_until(&mut up.words, "sweep-agent ended");
    wait_until("a new agent", || (machine.pid("agent") != agent).then_some(()));
    kill_process(coordinator, Signal::KILL).unwrap();
    read_until(&mut up.words, "sweep-coordinator ended");
    wait_until("a new coordinator", || (machine.pid("coordinator") != coordinator).then_some(()));
    let now = [machine.pid("coordinator"), machine.pid("agent")];
    up.stop();
    assert!(now.into_iter().all(is_gone));
}

#[test]
fn up_takes_over_what_a_killed_up_left() {
    let machine = Machine::new();
    let mut first = machine.up();
    kill_process(first.pid(), Signal::KILL).unwrap();
    first.child.wait().unwrap();
    let left = [machine.pid("coordinator"), machine.pid("agent")];
    assert!(!left.into_iter().any(is_gone));
    let again = machine.up();
    let taken = again.said.iter().filter(|line| line.contains("taking it over")).count();
    assert_eq!(taken, 2, "{:?}", again.said);
    assert_eq!(left, [machine.pid("coordinator"), machine.pid("agent")]);
    again.stop();
    // They are children of nobody here, so their end is seen from outside.
    wait_until("both have ended", || (left.into_iter().all(is_gone) || left.into_iter().all(is_zombie)).then_some(()));
}

/// Ended, but nobody has asked how: in a container the first process may not.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_program_that_ends_at_once_is_shown_with_its_last_words() {
    let machine = Machine::new();
    machine.script("sweep-coordinator", "#!/bin/sh\necho 'the journal is locked' >&2\nexit 1\n");
    finish(&mut machine.command()).expect(1).tells("the journal is locked");
    machine.script("sweep-coordinator", "#!/bin/sh\nexec sleep 600\n");
    fs::remove_file(machine.path("sweep-coordinator")).unwrap();
    finish(&mut machine.command()).expect(1).tells("sweep-coordinator");
}
