//! `sweep-chaos`: runs a sweep quietly, then again while processes are killed and stopped, the network between agents and coordinator
//! fails, the coordinator's disk is full, and journal and checkpoints are damaged, and says whether weights and report are the same.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use sweep_tests::chaos::{Plan, decided, noop, run};
use sweep_tests::process::{Lab, Setup};

/// Hurts a real sweep in every way there is, and compares the result with a quiet run.
#[derive(Parser)]
struct Args {
    /// The sweep file.
    #[arg(required_unless_present = "trials", conflicts_with = "trials")]
    spec: Option<PathBuf>,
    /// So many trials that train nothing, instead of a sweep file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    trials: Option<u32>,
    /// Data root of the agent.
    #[arg(long, required_unless_present = "trials")]
    data: Option<PathBuf>,
    /// Folder with the binaries.
    #[arg(long, default_value = "target/release")]
    bin: PathBuf,
    /// State of both runs goes here; must not exist.
    #[arg(long)]
    out: PathBuf,
    /// Mean seconds between two hurts.
    #[arg(long, default_value_t = 5.0)]
    every: f64,
    /// Kills until nothing more is done (a sweep that is over before is a failure) [default: to the end of the sweep]
    #[arg(long)]
    cycles: Option<u32>,
    /// Seed of the choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Slots of the agent, with a sweep file.
    #[arg(long, default_value_t = 2)]
    slots: u32,
    /// Longest minutes for each run.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(!args.out.exists(), "{} exists: name a folder that does not", args.out.display());
    std::fs::create_dir_all(&args.out)?;
    let text = match &args.spec {
        Some(path) => decided(&std::fs::read_to_string(path).with_context(|| path.display().to_string())?)?,
        None => noop::spec(args.trials.unwrap_or_default()),
    };
    let spec = args.out.join("grid.toml");
    std::fs::write(&spec, text)?;
    let limit = Duration::from_secs(60 * args.minutes);
    let every = Duration::try_from_secs_f64(args.every).context("--every")?;
    let noisy = Plan::everything(every, args.seed, limit, args.cycles);
    let run_in = |name: &str, plan: Plan| {
        let outcome = run(&mut Lab::start(setup(&args, name, plan)?)?, &spec, plan)?;
        println!("{name}: {:.0} s: {}", outcome.seconds, outcome.hurts);
        println!(
            "{name}: {} kills, {} times the loss of the journal's end was accepted",
            outcome.hurts.kills(),
            outcome.rollbacks
        );
        println!("{name}: audit {}", outcome.audit);
        anyhow::Ok(outcome)
    };
    let quiet = run_in("quiet", Plan::quiet(limit))?;
    let noisy = run_in("noisy", noisy)?;
    std::fs::write(args.out.join("quiet.json"), serde_json::to_string_pretty(&quiet.result)?)?;
    std::fs::write(args.out.join("noisy.json"), serde_json::to_string_pretty(&noisy.result)?)?;
    ensure!(quiet.result == noisy.result, "the reports differ: compare quiet.json and noisy.json");
    let (kills, cycles) = (noisy.hurts.kills(), args.cycles.unwrap_or_default());
    ensure!(kills >= cycles, "over after {kills} kills of {cycles}: the sweep is too short, or --every too long");
    println!("same weights, same report");
    Ok(())
}

fn setup(args: &Args, name: &str, plan: Plan) -> Result<Setup> {
    let (bin, dir) = (args.bin.canonicalize().with_context(|| args.bin.display().to_string())?, args.out.join(name));
    if let Some(trials) = args.trials {
        return Ok(noop::setup(bin, dir, noop::epoch(trials, plan.least())));
    }
    let mut setup = Setup::new(bin, dir);
    let data = args.data.as_ref().context("--data")?;
    (setup.data, setup.slots) = (vec![data.canonicalize().with_context(|| data.display().to_string())?], args.slots);
    (setup.has_proxy, setup.disk) = (true, Some(1024));
    Ok(setup)
}
