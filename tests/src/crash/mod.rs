//! Ends coordinator, agent and trainers at every call with which they change a file or use the network, one after the other
//! (`tests/syncs/crash.c` does it, from below the real programs), while sweeps run. [`points`] knows which of the protocol's
//! steps were hit. Nothing in the programs knows of this: what is released is what is killed.

pub mod joining;
pub mod points;
mod receiver;

use std::collections::BTreeMap;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::chaos::comparable;
use crate::process::{Lab, Setup, wait_for};
use points::{Death, Moment, Program, STEPS};
use receiver::Receiver;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// More sweeps than are ever needed.
const SWEEPS: u32 = 200;
/// So many times an agent that died is only started again when no trainer is left.
const ALONE: usize = 5;
/// Exit code of a `sweepctl` that nobody answered.
const UNREACHABLE: i32 = 5;
/// What `kill -9` sends.
const SIGKILL: i32 = 9;
/// As the system calls it.
pub const COORDINATOR: &str = "sweep-coordinator";
/// As the system calls it.
pub const AGENT: &str = "sweep-agent";
/// How many places to die at, two for each call.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the trials of a sweep are: its file without the name.
    pub grid: fn(u32) -> String,
    /// Of whom, one round after the other.
    pub rounds: &'static [&'static [Round]],
    /// Of a coordinator that was told to stop.
    pub stopping: u32,
    /// Longest time for everything.
    pub limit: Duration,
}

/// Who dies.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The program. (`sweep-noop-trainer` is linked without a C library that could be replaced: it does not die.)
    pub program: &'static str,
    /// If not empty: a call and a part of a path, maybe what the last call on a file was; and only such places count.
    pub only: &'static str,
    /// How many.
    pub places: u32,
    /// From the last to the first: what a program does when it starts is then done with what is left of long lives.
    pub is_down: bool,
}

impl Round {
    /// Dies at every call.
    pub const fn every(program: &'static str, places: u32) -> Self {
        Self { program, only: "", places, is_down: false }
    }

    /// Dies at every call, at the last one first.
    pub const fn down(program: &'static str, places: u32) -> Self {
        Self { program, only: "", places, is_down: true }
    }

    /// Dies at such calls, three of them, before and after.
    pub const fn at(program: &'static str, only: &'static str) -> Self {
        Self { program, only, places: 6, is_down: false }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every end that was brought about.
    pub deaths: Vec<Death>,
    /// How many trials were done.
    pub trials: u64,
    /// How often trainers came to their end while no agent was there.
    pub alone: usize,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for step in STEPS {
            writeln!(f, "{:<12} {:>4}  {}", step.name, step.hits(&self.deaths), step.what)?;
        }
        write!(f, "{} deaths, {} trials, {} times trainers alone", self.deaths.len(), self.trials, self.alone)
    }
}

/// A lab under which programs die.
struct Crashing {
    lab: Lab,
    folder: PathBuf,
    deaths: Vec<Death>,
    has_served: bool,
    alone: usize,
    since: Instant,
    plan: Plan,
}

/// Runs sweeps until every place was died at, then until they are over, and looks whether all is as in a quiet run.
///
/// # Errors
/// When something is not as in a quiet run, or does not come to an end.
pub fn run(mut setup: Setup, plan: Plan) -> Result<Outcome> {
    std::fs::create_dir_all(setup.dir.join("coordinator"))?;
    let root = setup.dir.canonicalize()?;
    let undisturbed = setup.clone();
    let receiver = Receiver::start()?;
    let hooks = format!("[[notify]]\nurl = \"{}\"\n", receiver.url());
    private(&root.join("coordinator/notify.toml"), &hooks)?;
    let folder = root.join("crash");
    let library = build(&folder)?;
    let environment = [("LD_PRELOAD", &library), ("CRASH", &folder), ("CRASH_ROOT", &root)];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.display().to_string()));
    let program = setup.trainer.clone();
    setup.coordinator_env.extend(environment.clone());
    setup.coordinator_args = ["--clean-every", "50", "--snapshot-every", "20"].map(str::to_owned).to_vec();
    setup.trainer = wrap(&root, &setup.bin.join(&program), &environment)?;
    // Walls around trainers would keep them from noting where they die.
    setup.agent_args.extend(["--sandbox".to_owned(), "off".to_owned()]);
    setup.env.extend(environment);
    setup.dir = root;

    let (lab, since) = (Lab::prepare(setup)?, Instant::now());
    let (deaths, has_served, alone) = (Vec::new(), false, 0);
    let mut crashing = Crashing { lab, folder, deaths, has_served, alone, since, plan };
    let mut sweeps = 0;
    for round in plan.rounds {
        round.iter().try_for_each(|part| arm(&crashing.folder, *part))?;
        // Whoever runs has taken its number, or none, before.
        round.iter().for_each(|part| crashing.kill(part.program));
        while !round.iter().all(|part| crashing.next(part.program) >= part.places) {
            sweeps += 1;
            ensure!(sweeps < SWEEPS, "nothing comes to a place of {round:?}");
            crashing.submit(sweeps)?;
            crashing.watch(sweeps)?;
        }
    }
    sweeps += 1;
    crashing.submit(sweeps)?;
    crashing.stop_on_the_way(plan.stopping)?;
    crashing.watch(sweeps)?;
    crashing.judge(sweeps, &receiver, &quiet(undisturbed, plan, sweeps)?)
}

impl Crashing {
    /// So that the next one takes a number.
    fn kill(&mut self, program: &str) {
        match program {
            COORDINATOR => self.lab.kill_coordinator(),
            AGENT => self.lab.kill_agent(),
            // Each attempt is another trainer.
            _ => {}
        }
    }

    /// The next place of a program.
    fn next(&self, program: &str) -> u32 {
        let text = std::fs::read_to_string(self.folder.join(format!("{program}.next"))).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    fn submit(&mut self, number: u32) -> Result<()> {
        let spec = self.lab.setup().dir.join("crash.toml");
        std::fs::write(&spec, format!("name = \"{}\"\n{}", name(number), (self.plan.grid)(number)))?;
        self.insist(&["submit", &spec.display().to_string(), "--quiet"])
    }

    fn watch(&mut self, number: u32) -> Result<()> {
        self.insist(&["watch", &name(number), "--quiet"])
    }

    /// A command that is given again while nobody answers; what dies meanwhile is started again.
    fn insist(&mut self, args: &[&str]) -> Result<()> {
        loop {
            self.revive()?;
            let mut command = self.lab.command(args);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("sweepctl")?;
            let status = self.until_ended(&mut child)?;
            if status.success() {
                return Ok(());
            }
            let words = child.wait_with_output().map(|output| output.stderr).unwrap_or_default();
            let words = String::from_utf8_lossy(&words);
            ensure!(status.code() == Some(UNREACHABLE), "sweepctl {args:?}: {status}\n{words}\n{}", self.lab.logs());
        }
    }

    fn until_ended(&mut self, child: &mut Child) -> Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait().context("waiting for sweepctl")? {
                return Ok(status);
            }
            self.revive()?;
            if self.since.elapsed() > self.plan.limit {
                child.kill().ok();
                let shown = self.lab.text(&["list"]).unwrap_or_default();
                bail!("not over after {:?}\n{shown}{}", self.plan.limit, self.lab.logs());
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Starts again what has died. Whatever ends in another way than the one it is made to is a bug.
    fn revive(&mut self) -> Result<()> {
        let is_served = self.lab.setup().dir.join("coordinator/address").exists();
        if let Some(status) = self.lab.coordinator_ended()? {
            let moment = match (is_served, self.has_served) {
                (true, _) => Moment::Serving,
                (false, true) => Moment::Starting,
                (false, false) => Moment::First,
            };
            self.died(Program::Coordinator, status, moment)?;
        }
        if self.lab.coordinator_pid().is_none() {
            self.lab.launch_coordinator()?;
        } else if is_served && !self.has_served {
            self.has_served = self.lab.is_served();
        }
        if let Some(status) = self.lab.agent_ended()? {
            let is_busy = self.attempts() > 0;
            self.died(Program::Agent, status, if is_busy { Moment::Busy } else { Moment::Idle })?;
            if self.alone < ALONE && !self.lab.trainers().is_empty() {
                while !self.lab.trainers().is_empty() {
                    std::thread::park_timeout(LOOK);
                }
                self.alone += 1;
            }
        }
        // It is told where the coordinator is when it starts.
        if self.lab.agent_pid().is_none() && self.has_served {
            self.lab.start_agent()?;
        }
        Ok(())
    }

    /// How many attempts lie in the agent's folder.
    fn attempts(&self) -> usize {
        let agent = self.lab.setup().dir.join("agent");
        let folders = ["pretend-0/attempts", "attempts"].map(|folder| std::fs::read_dir(agent.join(folder)));
        folders.into_iter().flatten().flatten().count()
    }

    fn died(&mut self, program: Program, status: ExitStatus, moment: Moment) -> Result<()> {
        let known = self.deaths.iter().filter(|death| death.program == program).count();
        let noted = points::read(&self.folder, &self.lab.setup().dir)?;
        let newest = noted.into_iter().filter(|death| death.program == program).nth(known);
        let Some(newest) = newest.filter(|_| status.signal() == Some(SIGKILL)) else {
            bail!("{program:?} ended by itself: {status}\n{}", self.lab.logs());
        };
        self.deaths.push(Death { moment, ..newest });
        Ok(())
    }

    /// Tells a coordinator to stop, and kills it on its way, at one place after the other, until it comes to its end.
    fn stop_on_the_way(&mut self, places: u32) -> Result<()> {
        let hold = self.folder.join(format!("{COORDINATOR}.hold"));
        self.lab.kill_coordinator();
        for number in 0..places {
            std::fs::write(&hold, "")?;
            arm(&self.folder, Round::every(COORDINATOR, places))?;
            std::fs::write(self.folder.join(format!("{COORDINATOR}.next")), number.to_string())?;
            self.lab.start_coordinator()?;
            std::fs::remove_file(&hold)?;
            let pid = self.lab.coordinator_pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
            kill_process(pid.context("a coordinator")?, Signal::TERM)?;
            let ended = wait_for("the end of the coordinator", || self.lab.coordinator_ended().transpose())??;
            if ended.success() {
                break;
            }
            self.died(Program::Coordinator, ended, Moment::Stopping)?;
        }
        arm(&self.folder, Round::every(COORDINATOR, 0))
    }

    /// Every sweep is done as a quiet one; whoever wanted to know was told; nothing is left.
    fn judge(mut self, sweeps: u32, receiver: &Receiver, quiet: &BTreeMap<u32, Value>) -> Result<Outcome> {
        let mut trials = 0;
        for number in 1..=sweeps {
            let audit = self.lab.json(&["audit", &name(number)])?;
            ensure!(audit["exactly_once"] == Value::Bool(true), "{}: {audit}", name(number));
            trials += audit["completed"].as_u64().unwrap_or_default();
            let done = results(&self.lab, number)?;
            ensure!(
                Some(&done) == quiet.get(&number),
                "{} came out as {done}, a quiet one as {:?}",
                name(number),
                quiet.get(&number)
            );
        }
        let names: Vec<String> = (1..=sweeps).map(name).collect();
        wait_for("news of every sweep", || {
            let told = receiver.told();
            names.iter().all(|name| told.iter().any(|news| news.contains(name))).then_some(())
        })?;
        let left = wait_for("the agent to settle everything", || (self.attempts() == 0).then_some(()));
        left.with_context(|| self.lab.logs())?;
        self.lab.kill_agent();
        self.lab.kill_coordinator();
        let mut fsck = Command::new(self.lab.setup().bin.join("sweep-coordinator"));
        let found = fsck.args(["fsck", "--data"]).arg(self.lab.setup().dir.join("coordinator")).output()?;
        ensure!(found.status.success(), "fsck: {}", String::from_utf8_lossy(&found.stdout));
        let trainers = points::read(&self.folder, &self.lab.setup().dir)?;
        self.deaths.extend(trainers.into_iter().filter(|death| death.program == Program::Trainer));
        Ok(Outcome { deaths: self.deaths, trials, alone: self.alone })
    }
}

/// The points of a sweep's report, weights included, without the ids of its trials.
fn results(lab: &Lab, number: u32) -> Result<Value> {
    let mut points = comparable(lab.json(&["report", &name(number)])?["points"].take());
    let trials = points.as_array_mut().into_iter().flatten().filter_map(|point| point["trials"].as_array_mut());
    trials.flatten().filter_map(Value::as_object_mut).for_each(|trial| drop(trial.remove("trial")));
    Ok(points)
}

fn name(number: u32) -> String {
    format!("crash-{number:03}")
}

/// The results of the same sweeps where nothing dies.
fn quiet(mut setup: Setup, plan: Plan, sweeps: u32) -> Result<BTreeMap<u32, Value>> {
    setup.dir = setup.dir.join("quiet");
    let (dir, lab) = (setup.dir.clone(), Lab::start(setup)?);
    lab.wait_for_agent()?;
    let mut known = BTreeMap::<String, Value>::new();
    let mut all = BTreeMap::new();
    for number in 1..=sweeps {
        let grid = (plan.grid)(number);
        if !known.contains_key(&grid) {
            let spec = dir.join("crash.toml");
            std::fs::write(&spec, format!("name = \"{}\"\n{grid}", name(number)))?;
            lab.text(&["submit", &spec.display().to_string()])?;
            lab.text(&["watch", &name(number), "--quiet"])?;
            let done = results(&lab, number)?;
            ensure!(done.as_array().is_some_and(|points| !points.is_empty()), "a report without points: {done}");
            known.insert(grid.clone(), done);
        }
        all.insert(number, known[&grid].clone());
    }
    Ok(all)
}

/// Builds the library that ends programs.
fn build(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let (library, source) = (folder.join("crash.so"), Path::new(env!("CARGO_MANIFEST_DIR")).join("syncs/crash.c"));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl");
    let done = compiler.status().context("cc")?;
    ensure!(done.success(), "cc: {done}");
    Ok(library)
}

/// Where a program dies from its next start on, beginning with the first place.
fn arm(folder: &Path, round: Round) -> Result<()> {
    let file = |what: &str| folder.join(format!("{}.{what}", round.program));
    std::fs::write(file("only"), round.only)?;
    std::fs::write(file("last"), round.places.to_string())?;
    match round.is_down {
        true => std::fs::write(file("down"), "")?,
        false => drop(std::fs::remove_file(file("down"))),
    }
    Ok(std::fs::write(file("next"), "0")?)
}

/// Agents give trainers nothing of their own environment: a script does. Returns its path.
fn wrap(root: &Path, trainer: &Path, environment: &[(String, String)]) -> Result<String> {
    let exports = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
    let asked = "case \"$1\" in inspect|--*) unset LD_PRELOAD;; esac";
    let text = format!("#!/bin/sh\n{}{asked}\nexec '{}' \"$@\"\n", exports.collect::<String>(), trainer.display());
    let path = root.join("trainer");
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path.display().to_string())
}

fn private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
