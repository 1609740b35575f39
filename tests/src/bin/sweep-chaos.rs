//! `sweep-chaos`: runs a sweep quietly, then again with `kill -9` of a random component every few
//! seconds, and says whether weights and report are the same.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use sweep_tests::chaos::{Plan, decided, run};
use sweep_tests::process::{Lab, Setup};

/// Kills random processes under a real sweep and compares the result with a quiet run.
#[derive(Parser)]
struct Args {
    /// The sweep file.
    spec: PathBuf,
    /// Data root of the agent.
    #[arg(long)]
    data: PathBuf,
    /// Folder with the binaries.
    #[arg(long, default_value = "target/release")]
    bin: PathBuf,
    /// State of both runs goes here; must not exist.
    #[arg(long)]
    out: PathBuf,
    /// Mean seconds between kills.
    #[arg(long, default_value_t = 5.0)]
    every: f64,
    /// Seed of the choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Slots of the agent.
    #[arg(long, default_value_t = 2)]
    slots: u32,
    /// Longest minutes for each run.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(!args.out.exists(), "{} exists", args.out.display());
    std::fs::create_dir_all(&args.out)?;
    let spec = args.out.join("grid.toml");
    std::fs::write(&spec, decided(&std::fs::read_to_string(&args.spec)?)?)?;
    let run_in = |name: &str, every: Option<f64>| {
        let mut setup = Setup::new(args.bin.canonicalize()?, args.out.join(name));
        (setup.data, setup.slots) = (vec![args.data.canonicalize()?], args.slots);
        let limit = Duration::from_secs(60 * args.minutes);
        let plan = Plan { every: every.map(Duration::from_secs_f64), seed: args.seed, limit };
        let outcome = run(&mut Lab::start(setup)?, &spec, plan)?;
        let [coordinator, agent, trainer] = outcome.kills;
        println!(
            "{name}: {:.0} s, killed: coordinator {coordinator}, agent {agent}, trainer {trainer}, stopped for a while: {}",
            outcome.seconds, outcome.stops
        );
        println!("{name}: audit {}", outcome.audit);
        anyhow::Ok(outcome)
    };
    let quiet = run_in("quiet", None)?;
    let noisy = run_in("noisy", Some(args.every))?;
    std::fs::write(args.out.join("quiet.json"), serde_json::to_string_pretty(&quiet.result)?)?;
    std::fs::write(args.out.join("noisy.json"), serde_json::to_string_pretty(&noisy.result)?)?;
    ensure!(quiet.result == noisy.result, "the reports differ: compare quiet.json and noisy.json");
    println!("same weights, same report");
    Ok(())
}
