//! `sweep-sim SEED [--quiet]`: one simulated cluster run. Prints one line of JSON: journal hash, weights, counts.

use anyhow::Result;
use clap::Parser;
use sweep_tests::sim;

/// Runs a whole cluster in simulated time with faults drawn from a seed.
#[derive(Parser)]
struct Args {
    /// Seed of everything random.
    seed: u64,
    /// Without faults.
    #[arg(long)]
    quiet: bool,
}

#[expect(clippy::print_stdout, reason = "the outcome is this program's output")]
fn main() -> Result<()> {
    let args = Args::parse();
    let outcome = sim::run(args.seed, args.quiet)?;
    let [coordinator, agent, partition, one_way] = outcome.faults;
    let line = serde_json::json!({
        "seed": args.seed,
        "journal": outcome.journal,
        "weights": outcome.weights,
        "trials": outcome.audit.completed,
        "attempts": outcome.audit.attempts,
        "events": outcome.audit.events,
        "faults": { "coordinator": coordinator, "agent": agent, "partition": partition, "one_way": one_way },
    });
    println!("{line}");
    Ok(())
}
