//! A lab on this machine, out of the real binaries: a coordinator, an agent, trainers, `sweepctl`. Each
//! can be killed and started again at any time.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::chaos::disk::SmallDisk;
use crate::chaos::proxy::Proxy;

/// Longest wait for a process to be ready. Far more than needed: the machines are shared.
const READY: Duration = Duration::from_secs(120);

/// How a lab is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Folder with the binaries.
    pub bin: PathBuf,
    /// State of coordinator and agent goes here.
    pub dir: PathBuf,
    /// Data roots of the agent.
    pub data: Vec<PathBuf>,
    /// Name of the trainer binary inside `bin`.
    pub trainer: String,
    /// Slots of the agent; 0: as many as it finds itself.
    pub slots: u32,
    /// More arguments of the agent.
    pub agent_args: Vec<String>,
    /// Environment of the agent (and so, as far as allowed, of trainers).
    pub env: Vec<(String, String)>,
    /// Environment of the coordinator.
    pub coordinator_env: Vec<(String, String)>,
    /// More arguments of the coordinator.
    pub coordinator_args: Vec<String>,
    /// Whether the agent reaches the coordinator through a [`Proxy`].
    pub has_proxy: bool,
    /// Megabytes of a disk of its own for the coordinator, where this process may mount one.
    pub disk: Option<u32>,
}

/// Running processes; killed when dropped.
#[derive(Debug)]
pub struct Lab {
    setup: Setup,
    address: String,
    proxy: Option<Proxy>,
    disk: Option<SmallDisk>,
    coordinator: Option<Child>,
    agent: Option<Child>,
}

/// The folder that this test's binary was built into, where the other binaries lie too.
///
/// # Errors
/// When a binary is missing: `make build` makes them.
pub fn built() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("the path of this test")?;
    let folder = exe.ancestors().find(|folder| folder.join("sweep-coordinator").is_file());
    folder.map(Path::to_owned).context("the binaries are not built: run `make build` first")
}

impl Setup {
    /// Two slots, the real trainer, nothing else.
    pub fn new(bin: PathBuf, dir: PathBuf) -> Self {
        Self {
            bin,
            dir,
            data: Vec::new(),
            trainer: "sweep-trainer".into(),
            slots: 2,
            agent_args: Vec::new(),
            env: Vec::new(),
            coordinator_env: Vec::new(),
            coordinator_args: Vec::new(),
            has_proxy: false,
            disk: None,
        }
    }

    fn log(&self, name: &str) -> Result<Stdio> {
        let path = self.dir.join(name);
        Ok(File::options().create(true).append(true).open(&path).with_context(|| format!("{}", path.display()))?.into())
    }
}

impl Lab {
    /// Starts coordinator and agent and waits until both work.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn start(setup: Setup) -> Result<Self> {
        let mut lab = Self::prepare(setup)?;
        lab.start_coordinator()?;
        lab.start_agent()?;
        Ok(lab)
    }

    /// A lab in which nothing runs yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn prepare(setup: Setup) -> Result<Self> {
        std::fs::create_dir_all(&setup.dir)?;
        let disk = setup.disk.and_then(|megabytes| SmallDisk::mount(&setup.dir.join("coordinator"), megabytes));
        Ok(Self { setup, address: "127.0.0.1:0".into(), proxy: None, disk, coordinator: None, agent: None })
    }

    /// Starts the coordinator, on the address of its first start.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub fn start_coordinator(&mut self) -> Result<()> {
        self.launch_coordinator()?;
        self.serves()
    }

    /// Waits until the coordinator that was started last can be called.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub fn serves(&mut self) -> Result<()> {
        wait_for("the coordinator's address", || self.is_served().then_some(()))
    }

    /// Starts the coordinator and does not wait until it serves.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch_coordinator(&mut self) -> Result<()> {
        let data = self.setup.dir.join("coordinator");
        let _ = std::fs::remove_file(data.join("address"));
        let child = Command::new(self.setup.bin.join("sweep-coordinator"))
            .args(["--listen", &self.address, "--data"])
            .arg(&data)
            .args(&self.setup.coordinator_args)
            .envs(self.setup.coordinator_env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.setup.log("coordinator.log")?)
            .spawn()
            .context("start sweep-coordinator")?;
        self.coordinator = Some(child);
        Ok(())
    }

    /// Whether the coordinator that was started last has come so far that it can be called.
    pub fn is_served(&mut self) -> bool {
        let Ok(text) = std::fs::read_to_string(self.setup.dir.join("coordinator/address")) else { return false };
        let address = text.trim().trim_start_matches("http://").to_owned();
        let is_served = TcpStream::connect(&address).is_ok();
        if is_served {
            self.address = address;
        }
        is_served
    }

    /// How the coordinator has ended, if it has; told once.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn coordinator_ended(&mut self) -> Result<Option<ExitStatus>> {
        ended(&mut self.coordinator)
    }

    /// How the agent has ended, if it has; told once.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn agent_ended(&mut self) -> Result<Option<ExitStatus>> {
        ended(&mut self.agent)
    }

    /// Starts the agent; what is between it and the coordinator is started with the first one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_agent(&mut self) -> Result<()> {
        if self.setup.has_proxy && self.proxy.is_none() {
            self.proxy = Some(Proxy::start(self.address.parse().context("the coordinator's address")?)?);
        }
        let setup = &self.setup;
        let mut command = Command::new(setup.bin.join("sweep-agent"));
        let dialled = self.proxy.as_ref().map_or(self.url(), |proxy| format!("http://{}", proxy.address()));
        command.args(["--coordinator", &dialled]);
        if setup.slots > 0 {
            command.args(["--slots", &setup.slots.to_string()]);
        }
        command.arg("--trainer");
        command.arg(setup.bin.join(&setup.trainer)).arg("--state").arg(setup.dir.join("agent"));
        command.arg("--cache").arg(setup.dir.join("cache")).args(&setup.agent_args);
        for root in &setup.data {
            command.arg("--data").arg(root);
        }
        command.envs(setup.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(setup.log("agent.log")?);
        self.agent = Some(command.spawn().context("start sweep-agent")?);
        Ok(())
    }

    /// What is between agent and coordinator, if there is something.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// The coordinator's own disk, if it was asked for and could be mounted.
    pub fn disk(&self) -> Option<&SmallDisk> {
        self.disk.as_ref()
    }

    /// Waits until the agent is known to the coordinator.
    ///
    /// # Errors
    /// When it does not call in time.
    pub fn wait_for_agent(&self) -> Result<()> {
        wait_for("the agent to be reachable", || {
            let output = self.ctl(&["agents", "--json"]).ok()?;
            String::from_utf8_lossy(&output.stdout).contains("\"reachable\"").then_some(())
        })
    }

    /// `kill -9` of the coordinator. It stays dead until it is started again.
    pub fn kill_coordinator(&mut self) {
        kill(&mut self.coordinator);
    }

    /// `kill -9` of the agent. Trainers live on.
    pub fn kill_agent(&mut self) {
        kill(&mut self.agent);
    }

    /// The coordinator's process id, while it runs.
    pub fn coordinator_pid(&self) -> Option<u32> {
        self.coordinator.as_ref().map(Child::id)
    }

    /// The agent's process id, while it runs.
    pub fn agent_pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Child::id)
    }

    /// Process ids of the trainers that run now.
    pub fn trainers(&self) -> Vec<u32> {
        self.trainers_of("")
    }

    /// Process ids of the trainers of one trial.
    pub fn trainers_of(&self, trial: &str) -> Vec<u32> {
        let agent = self.setup.dir.join("agent");
        let agent = agent.canonicalize().unwrap_or(agent).display().to_string();
        let attempt = format!("/attempts/{trial}");
        let is_attempt = |argument: &str| argument.starts_with(&agent) && argument.contains(&attempt);
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).split('\0').skip(1).any(is_attempt)
        })
        .collect()
    }

    /// `kill -9` of one process.
    pub fn kill_process(&self, pid: u32) {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Where `sweepctl` finds the coordinator.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How it was set up.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A `sweepctl` command on this lab, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.setup.bin.join("sweepctl"));
        command.args(args).env("SWEEP_SERVER", self.url()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs `sweepctl`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ctl(&self, args: &[&str]) -> Result<Output> {
        self.command(args).output().context("run sweepctl")
    }

    /// Runs `sweepctl`, which must succeed, and returns what it printed.
    ///
    /// # Errors
    /// When it fails: with both of its outputs.
    pub fn text(&self, args: &[&str]) -> Result<String> {
        let output = self.ctl(args)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "sweepctl {args:?}: {}\n{text}{words}", output.status);
        Ok(text)
    }

    /// Runs `sweepctl ... --json`, which must succeed.
    ///
    /// # Errors
    /// When it fails or does not print JSON.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.text(&[args, &["--json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("sweepctl {args:?} printed {text:?}"))
    }

    /// What the processes said, for a failing test.
    pub fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.setup.dir.join(name)).unwrap_or_default();
        format!("coordinator.log:\n{}\nagent.log:\n{}", read("coordinator.log"), read("agent.log"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill_agent();
        self.trainers().into_iter().for_each(|pid| self.kill_process(pid));
        self.kill_coordinator();
    }
}

fn ended(child: &mut Option<Child>) -> Result<Option<ExitStatus>> {
    let status = child.as_mut().map(Child::try_wait).transpose().context("asking for the end of a process")?.flatten();
    if status.is_some() {
        *child = None;
    }
    Ok(status)
}

fn kill(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Asks `probe` until it answers, at most two minutes.
///
/// # Errors
/// When the time is over.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < READY {
        if let Some(found) = probe() {
            return Ok(found);
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    bail!("waited {READY:?} for {what}")
}
