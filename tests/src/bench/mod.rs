//! Measures how fast trials are dispatched: the real coordinator in a process of its own with its
//! synced journal, and agents whose trainers do nothing. Peers' figures are in the README; they were
//! taken on another machine, so compare orders of magnitude, not digits.

pub mod children;
pub mod faults;
pub mod large;
pub mod load;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sweep_agent::session::{self, Settings};
use sweep_core::event::AgentFacts;
use sweep_core::id::AgentId;
use sweep_proto::v1;
use sweep_proto::v1::sweeps_client::SweepsClient;
use tokio::sync::{oneshot, watch};
use tonic::transport::Channel;

use crate::scripted::{Script, Scripted, Timeline};

/// A coordinator process with an empty store.
#[derive(Debug)]
pub struct Coordinator {
    bin: PathBuf,
    dir: PathBuf,
    child: Child,
    address: String,
}

impl Coordinator {
    /// Starts one and waits until it answers; the time that took comes with it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(bin: &Path, dir: &Path) -> Result<(Self, Duration)> {
        let start = Instant::now();
        let child = Self::spawn(bin, dir, "127.0.0.1:0")?;
        let mut coordinator = Self { bin: bin.into(), dir: dir.into(), child, address: String::new() };
        coordinator.wait().await?;
        Ok((coordinator, start.elapsed()))
    }

    fn spawn(bin: &Path, dir: &Path, listen: &str) -> Result<Child> {
        let _ = std::fs::remove_file(dir.join("address"));
        Command::new(bin.join("sweep-coordinator"))
            .args(["--listen", listen, "--data"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start sweep-coordinator")
    }

    async fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            if let Ok(text) = std::fs::read_to_string(self.dir.join("address")) {
                self.address = text.trim().trim_start_matches("http://").to_owned();
                if let Ok(mut client) = self.client().await
                    && client.info(v1::InfoRequest {}).await.is_ok()
                {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("the coordinator does not answer")
    }

    /// `kill -9`, then start again on the same store and address; the time until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> Result<Duration> {
        self.child.kill()?;
        self.child.wait()?;
        let start = Instant::now();
        self.child = Self::spawn(&self.bin, &self.dir, &self.address)?;
        self.wait().await?;
        Ok(start.elapsed())
    }

    /// A client for people's calls.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn client(&self) -> Result<SweepsClient<Channel>> {
        let client = SweepsClient::connect(self.url()).await?;
        Ok(client.max_decoding_message_size(64 << 20).max_encoding_message_size(64 << 20))
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Resident memory, MiB: now and at most.
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let read = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
        };
        (read("VmRSS:"), read("VmHWM:"))
    }

    /// Seconds of processor time used so far.
    pub fn cpu(&self) -> f64 {
        cpu(self.child.id()).0
    }
}

/// Seconds of processor time of a process, and of its children that have ended.
pub fn cpu(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    // Fields 14 to 17 of proc(5), counted after the name; the clock ticks at 100 Hz on Linux.
    ((ticks(11) + ticks(12)) / 100.0, (ticks(13) + ticks(14)) / 100.0)
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Agents inside this process whose trainers follow a script. They leave when dropped.
#[derive(Debug)]
pub struct Pretend {
    /// When trials started and how long slots were free, one per agent.
    pub timelines: Vec<Arc<Mutex<Timeline>>>,
    _stop: Vec<oneshot::Sender<()>>,
}

impl Pretend {
    /// Starts `agents` agents with `slots` slots each.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn start(url: &str, agents: u32, slots: u32, script: Script) -> Result<Self> {
        let mut pretend = Self { timelines: Vec::new(), _stop: Vec::new() };
        for number in 0..agents {
            let timeline = Arc::<Mutex<Timeline>>::default();
            let launcher = Arc::new(Scripted::timed(script, timeline.clone()));
            let links = sweep_agent::rpc::links(url)?;
            let (stop, stopped) = oneshot::channel::<()>();
            let (_, datasets) = watch::channel(Some(Vec::new()));
            let settings = settings(number, slots);
            tokio::spawn(session::run(settings, links, launcher, datasets, async {
                let _ = stopped.await;
            }));
            pretend.timelines.push(timeline);
            pretend._stop.push(stop);
        }
        Ok(pretend)
    }

    /// The first start of any trial since the last call.
    pub fn take_first_start(&self) -> Option<Instant> {
        let take = |timeline: &Arc<Mutex<Timeline>>| timeline.lock().ok()?.first_start.take();
        self.timelines.iter().filter_map(take).min()
    }

    /// All gaps so far, sorted.
    pub fn take_gaps(&self) -> Vec<Duration> {
        let take = |timeline: &Arc<Mutex<Timeline>>| Some(std::mem::take(&mut timeline.lock().ok()?.gaps));
        let mut gaps: Vec<_> = self.timelines.iter().filter_map(take).flatten().collect();
        gaps.sort();
        gaps
    }
}

/// A pretend agent: needs no data set.
pub fn settings(number: u32, slots: u32) -> Settings {
    let facts = AgentFacts {
        incarnation: u64::from(std::process::id()),
        ..AgentFacts::pretend(
            AgentId::from(uuid::Uuid::from_u128(u128::from(number) + 1)),
            format!("pretend-{number}"),
            slots as usize,
        )
    };
    Settings::new(facts, Duration::from_secs(1), u64::from(number))
}

/// A grid of so many trials (a multiple of 10; 100,000 has five axes).
pub fn spec(name: &str, trials: u32, epochs: u32) -> String {
    let list = |count: u32, scale: f64| {
        let values: Vec<_> = (1..=count).map(|value| format!("{:e}", f64::from(value) * scale)).collect();
        values.join(", ")
    };
    let head = format!("name = \"{name}\"\ndataset = \"none\"\nmodel = \"cifar-cnn\"\nepochs = {epochs}\n\n[grid]\n");
    match trials {
        1 => format!("{head}lr = [1e-3]\n"),
        2..1000 => format!("{head}lr = [{}]\n", list(trials, 1e-5)),
        1000..100_000 => {
            format!("{head}lr = [{}]\ndropout = [{}]\n", list(trials / 10, 1e-6), list(10, 0.05))
        }
        _ => format!(
            "{head}lr = [{}]\ndropout = [{}]\noptimizer.adam.beta1 = [{}]\noptimizer.adam.eps = [{}]\ndata.val_fraction = [{}]\n",
            list(trials / 10_000, 1e-4),
            list(10, 0.05),
            list(10, 0.09),
            list(10, 1e-9),
            list(10, 0.05)
        ),
    }
}

/// Submits a spec; the sweep's name.
///
/// # Errors
/// When it is refused.
pub async fn submit(client: &mut SweepsClient<Channel>, spec: &str) -> Result<String> {
    let request =
        v1::SubmitRequest { spec: spec.as_bytes().to_vec().into(), user: "bench".into(), ..Default::default() };
    Ok(client.submit(request).await?.into_inner().name)
}

/// Waits until a sweep is over; the share of trials that were completed must be all.
///
/// # Errors
/// When a trial failed or the coordinator is gone.
pub async fn finish(client: &mut SweepsClient<Channel>, name: &str) -> Result<()> {
    let mut updates = client.watch(v1::WatchRequest { sweep: name.to_owned() }).await?.into_inner();
    let mut last = None;
    while let Some(update) = updates.message().await? {
        last = Some(update);
    }
    let last = last.context("no update")?;
    anyhow::ensure!(last.completed == last.trials, "{} of {} completed", last.completed, last.trials);
    Ok(())
}

/// The value below which `share` of sorted values lie.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// The spread of a few measurements as text.
pub fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
