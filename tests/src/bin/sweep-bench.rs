//! `sweep-bench`: what `sweepctl bench` runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use sweep_tests::bench::children::end_descendants;
use sweep_tests::bench::{Coordinator, Pretend, cpu, faults, finish, large, load, millis, quantile, spec, submit};
use sweep_tests::scripted::Script;
use tokio::signal::unix::{SignalKind, signal};

/// Measures dispatch on this machine, with the real coordinator and its synced journal.
#[derive(Parser)]
#[command(name = "sweepctl bench", after_help = "Example: sweepctl bench dispatch --trials 20000")]
struct Args {
    #[command(subcommand)]
    what: What,
    /// Folder with the binaries; default: where this program lies.
    #[arg(long, global = true)]
    bin: Option<PathBuf>,
    /// Where the journal goes; default: a temporary folder below the current one.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// No-op trials: rates, latencies, memory.
    Dispatch {
        /// Trials of the in-process run.
        #[arg(long, default_value_t = 30_000)]
        trials: u32,
        /// Pretend agents of the in-process run.
        #[arg(long, default_value_t = 16)]
        agents: u32,
        /// Slots of each.
        #[arg(long, default_value_t = 8)]
        slots: u32,
        /// Seconds that each trial of the in-process run takes, an epoch each; 0: none. Nothing else is measured then.
        #[arg(long, default_value_t = 0)]
        lasting: u32,
        /// Trials of the run with a process each.
        #[arg(long, default_value_t = 5_000)]
        process_trials: u32,
        /// Only the run with a process per trial.
        #[arg(long)]
        processes: bool,
        /// Agent processes of that run.
        #[arg(long, default_value_t = 2)]
        agent_processes: u32,
        /// Pretend agents in each of them.
        #[arg(long, default_value_t = 4)]
        pretend: u32,
        /// Slots of each pretend agent.
        #[arg(long, default_value_t = 4)]
        process_slots: u32,
    },
    /// 100,000 trials: plan, submit, list, memory, restart with 1,000,000 epoch reports.
    Large {
        /// Trials.
        #[arg(long, default_value_t = 100_000)]
        trials: u32,
        /// Epoch reports of each.
        #[arg(long, default_value_t = 10)]
        epochs: u32,
    },
    /// Epoch reports at a pace and at ten times of it: rates, times until they are on disk, heartbeats, memory; 200 agents that come back.
    Load {
        /// Agents that report, with eight attempts each.
        #[arg(long, default_value_t = 25)]
        agents: u32,
        /// Epoch reports a second.
        #[arg(long, default_value_t = 5_000)]
        rows: u32,
        /// Seconds of each pace.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Agents that come back at once.
        #[arg(long, default_value_t = 200)]
        returning: u32,
    },
    /// `kill -9` of agent, coordinator and trainer: how long until work goes on.
    Faults {
        /// Kills of each.
        #[arg(long, default_value_t = 10)]
        rounds: u32,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    use std::io::Write as _;
    let args = Args::parse();
    let dir = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir_in("."),
    };
    let ended = match dir {
        Err(error) => Err(error).context("cannot make a folder for the journal"),
        Ok(dir) => tokio::select! {
            ended = measure(args, dir.path()) => ended,
            signal = interrupted() => {
                // What it has started ends first, then what that has written goes.
                end_descendants();
                drop(dir);
                end_descendants();
                std::process::exit(128 + signal);
            }
        },
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C or SIGTERM; its number.
async fn interrupted() -> i32 {
    async fn wait(kind: SignalKind, number: i32) -> i32 {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
        number
    }
    tokio::select! {
        number = wait(SignalKind::interrupt(), 2) => number,
        number = wait(SignalKind::terminate(), 15) => number,
    }
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
async fn measure(args: Args, dir: &Path) -> Result<()> {
    let own = std::env::current_exe()?;
    let bin = args.bin.unwrap_or_else(|| own.parent().unwrap_or(Path::new(".")).to_owned());
    match args.what {
        What::Dispatch {
            trials,
            agents,
            slots,
            lasting,
            process_trials,
            processes,
            agent_processes,
            pretend,
            process_slots,
        } => {
            if !processes {
                in_process(&bin, &dir.join("rate"), trials, (agents, slots), lasting).await?;
                if lasting > 0 {
                    return Ok(());
                }
                latency(&bin, &dir.join("latency")).await?;
            }
            let crowd = Crowd { processes: agent_processes, pretend, slots: process_slots };
            with_processes(&bin, &dir.join("processes"), process_trials, crowd).await?;
        }
        What::Large { trials, epochs } => {
            println!("{trials} trials of {epochs} epoch reports:");
            println!("{}", large::run(&bin, &dir.join("large"), trials, epochs).await?);
        }
        What::Load { agents, rows, seconds, returning } => {
            let time = Duration::from_secs(seconds);
            // Ten times as many in as many calls: an agent that is behind sends more at once.
            let usual = load::Pace { agents, rows, batch: 1, time };
            let over = load::Pace { rows: rows * 10, batch: 10, ..usual };
            for (pace, load) in [usual, over].iter().zip(load::run(&bin, &dir.join("load"), &[usual, over]).await?) {
                println!("{} epoch reports a second offered for {seconds} s by {agents} agents:", pace.rows);
                println!("  on disk and answered                     {:>8.0} /s", load.rows);
                println!(
                    "  report to answer, p50 / p99              {} / {}   aim p99 <= 50 ms at 5,000 /s",
                    millis(quantile(&load.answers, 0.5)),
                    millis(quantile(&load.answers, 0.99))
                );
                println!(
                    "  heartbeats meanwhile, p99 / slowest      {} / {}",
                    millis(quantile(&load.heartbeats, 0.99)),
                    millis(quantile(&load.heartbeats, 1.0))
                );
                println!("  leases taken back                        {:>8}      aim 0", load.lost);
                println!("  coordinator's memory at most             {:>8.0} MiB  aim <= 512", load.peak_mib);
            }
            let (answers, back) = load::reconnect(&bin, &dir.join("reconnect"), returning).await?;
            println!("{returning} agents with a trial each, coordinator killed with -9 and started:");
            println!("  first answer                             {:>12}", millis(answers));
            println!("  all agents have called                   {:>12}   aim <= 60 s", millis(back));
        }
        What::Faults { rounds } => {
            let (bin, dir) = (bin.canonicalize()?, dir.canonicalize()?.join("faults"));
            let faults = tokio::task::spawn_blocking(move || faults::run(&bin, &dir, rounds)).await??;
            println!("kill -9 and start until the next epoch (100 ms each) is on disk, median / slowest of {rounds}:");
            for (what, times, aim) in [
                ("agent", &faults.agent, "<= 5 s, the same trainer"),
                ("coordinator", &faults.coordinator, "<= 10 s, the same trainer"),
                ("trainer", &faults.trainer, "<= 10 s"),
            ] {
                println!(
                    "  {what:<12} {:>12} / {:>12}   aim {aim}",
                    millis(quantile(times, 0.5)),
                    millis(quantile(times, 1.0))
                );
            }
            println!("  epochs done again for each killed trainer: at most {}   aim <= 1", faults.repeated);
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
async fn in_process(bin: &Path, dir: &Path, trials: u32, (agents, slots): (u32, u32), lasting: u32) -> Result<()> {
    let (coordinator, ready) = Coordinator::start(bin, dir).await?;
    println!("coordinator ready after start              {:>12}   aim < 200 ms", millis(ready));
    let mut client = coordinator.client().await?;
    let script = match lasting {
        0 => Script::NOOP,
        epochs => Script { epochs, epoch: Duration::from_secs(1), ..Script::NOOP },
    };
    let pretend = Pretend::start(&coordinator.url(), agents, slots, script)?;
    let name = submit(&mut client, &spec("warm-up", 1000, script.epochs)).await?;
    finish(&mut client, &name).await?;
    pretend.take_gaps();
    let cpu = coordinator.cpu();
    let start = Instant::now();
    let name = submit(&mut client, &spec("rate", trials, script.epochs)).await?;
    finish(&mut client, &name).await?;
    let seconds = start.elapsed().as_secs_f64();
    let gaps = pretend.take_gaps();
    let aim = if lasting == 0 { "aim 10,000; HyperQueue without processes 13,994" } else { "" };
    println!(
        "in-process trainers, {agents} agents x {slots} slots     {:>8.0} /s     {aim}",
        f64::from(trials) / seconds
    );
    println!("  {trials} trials of {lasting} s in {seconds:.1} s");
    println!(
        "  slot free -> next start, p50 / p99 (full load) {} / {}",
        millis(quantile(&gaps, 0.5)),
        millis(quantile(&gaps, 0.99))
    );
    println!(
        "  coordinator: {:.1} MiB, at most {:.1} MiB, {:.0} % of one core",
        coordinator.memory().0,
        coordinator.memory().1,
        (coordinator.cpu() - cpu) / seconds * 100.0
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
async fn latency(bin: &Path, dir: &Path) -> Result<()> {
    let (coordinator, _) = Coordinator::start(bin, dir).await?;
    let mut client = coordinator.client().await?;
    let pretend = Pretend::start(&coordinator.url(), 1, 2, Script::NOOP)?;
    let mut firsts = Vec::new();
    for round in 0..21 {
        let start = Instant::now();
        let name = submit(&mut client, &spec(&format!("first-{round}"), 1, 1)).await?;
        finish(&mut client, &name).await?;
        let first = pretend.take_first_start().context("a trial started")?;
        firsts.push(first.duration_since(start));
    }
    // The first round also waits for the agent's hello.
    firsts.remove(0);
    firsts.sort();
    println!(
        "submit -> first start, median              {:>12}   aim <= 10 ms; HyperQueue 8.0 ms",
        millis(quantile(&firsts, 0.5))
    );
    pretend.take_gaps();
    let start = Instant::now();
    let name = submit(&mut client, &spec("thousand", 1000, 1)).await?;
    finish(&mut client, &name).await?;
    println!(
        "1,000-point grid on 2 slots                {:>12}   aim < 2 s; Ray Tune 22 s; Optuna 115 s",
        millis(start.elapsed())
    );
    let gaps = pretend.take_gaps();
    println!(
        "  slot free -> next start, p50 / p99       {} / {}   aim p99 < 20 ms",
        millis(quantile(&gaps, 0.5)),
        millis(quantile(&gaps, 0.99))
    );
    Ok(())
}

/// Who runs the trials of [`with_processes`].
#[derive(Clone, Copy)]
struct Crowd {
    processes: u32,
    pretend: u32,
    slots: u32,
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
async fn with_processes(bin: &Path, dir: &Path, trials: u32, crowd: Crowd) -> Result<()> {
    let (coordinator, _) = Coordinator::start(bin, &dir.join("coordinator")).await?;
    let start_one = |number| Agent::start(bin, dir, &coordinator.url(), number, crowd);
    let agents: Vec<Agent> = (0..crowd.processes).map(start_one).collect::<Result<_>>()?;
    let mut client = coordinator.client().await?;
    let name = submit(&mut client, &spec("warm-up", 500, 1)).await?;
    finish(&mut client, &name).await?;
    let used = |agents: &[Agent]| {
        let each = agents.iter().map(|agent| cpu(agent.0.id()));
        each.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let (before, coordinator_before) = (used(&agents), coordinator.cpu());
    let start = Instant::now();
    let name = submit(&mut client, &spec("processes", trials, 1)).await?;
    finish(&mut client, &name).await?;
    let seconds = start.elapsed().as_secs_f64();
    let (after, coordinator_after) = (used(&agents), coordinator.cpu());
    let Crowd { processes, pretend, slots } = crowd;
    println!(
        "a process per trial, {processes} x {pretend} agents x {slots} slots {:>8.0} /s     aim 1,700; HyperQueue 1,715, Ray Tune 61, Slurm 4",
        f64::from(trials) / seconds
    );
    let each = |seconds: f64| seconds / f64::from(trials) * 1e3;
    println!(
        "  processor time a trial: coordinator {:.2} ms, agents {:.2} ms, trainers {:.2} ms",
        each(coordinator_after - coordinator_before),
        each(after.0 - before.0),
        each(after.1 - before.1)
    );
    drop(agents);
    Ok(())
}

/// A real agent process with the no-op trainer.
struct Agent(Child);

impl Agent {
    fn start(bin: &Path, dir: &Path, url: &str, number: u32, crowd: Crowd) -> Result<Self> {
        let child = Command::new(bin.join("sweep-agent"))
            .args(["--coordinator", url, "--slots", &crowd.slots.to_string()])
            .args(["--pretend", &crowd.pretend.to_string(), "--trainer"])
            .arg(bin.join("sweep-noop-trainer"))
            .arg("--state")
            .arg(dir.join(format!("agent-{number}")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start sweep-agent")?;
        Ok(Self(child))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
