//! The command line of everything that runs targets: which, how long, from which seed; or single inputs again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::Target;
use crate::run::{Outcome, Settings, Until, run};

/// Feeds changed inputs to a part of the system and says what breaks it. One line of JSON for each target.
#[derive(Parser)]
struct Args {
    /// Name of a target, or `all`.
    target: String,
    /// Run these inputs and nothing else.
    files: Vec<PathBuf>,
    /// So long for each target.
    #[arg(long, conflicts_with = "inputs")]
    seconds: Option<u64>,
    /// So many changed inputs for each target; without this and `--seconds` each has the share that `make test` gives it.
    #[arg(long)]
    inputs: Option<u64>,
    /// What the changes are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A folder with a folder of inputs for each target.
    #[arg(long, default_value = "tests/fuzz/corpus")]
    corpus: PathBuf,
    /// Where inputs are written that break something.
    #[arg(long, default_value = "target/fuzz")]
    out: PathBuf,
}

/// Does what the command line says; `again` is how this program is run, to tell how a finding is repeated.
///
/// # Errors
/// When something was found, or a file cannot be read or written.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the outcome is this program's output")]
pub fn main(targets: &[Target], again: &str) -> Result<()> {
    let args = Args::parse();
    let names: Vec<&str> = targets.iter().map(|target| target.name).collect();
    let chosen: Vec<&Target> =
        targets.iter().filter(|target| args.target == "all" || args.target == target.name).collect();
    if chosen.is_empty() {
        bail!("no target is called `{}`; there are: all, {}", args.target, names.join(", "));
    }
    if !args.files.is_empty() {
        return files(&chosen, &args.files);
    }
    let mut found = 0;
    for target in chosen {
        let until = match (args.seconds, args.inputs) {
            (Some(seconds), _) => Until::Time(Duration::from_secs(seconds)),
            (None, inputs) => Until::Inputs(inputs.unwrap_or(target.share)),
        };
        let (corpus, out) = (args.corpus.clone(), args.out.clone());
        let outcome = run(target, &Settings { seed: args.seed, until, corpus, out })?;
        println!("{}", line(target, args.seed, &outcome));
        if let Some((path, what)) = outcome.found {
            found += 1;
            let (name, path) = (target.name, path.display());
            eprintln!("{name}: {what}\n{name}: the input is in {path}; it runs again with: {again} {name} {path}");
        }
    }
    match found {
        0 => Ok(()),
        count => bail!("{count} of the targets broke"),
    }
}

fn files(targets: &[&Target], files: &[PathBuf]) -> Result<()> {
    for path in files {
        let input = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        for target in targets {
            // A panic ends the program with its own words.
            (target.run)(&input);
        }
    }
    Ok(())
}

fn line(target: &Target, seed: u64, outcome: &Outcome) -> serde_json::Value {
    let seconds = outcome.took.as_secs_f64();
    serde_json::json!({
        "target": target.name,
        "seed": seed,
        "corpus": outcome.corpus,
        "inputs": outcome.inputs,
        "kinds": outcome.kinds,
        "seconds": (seconds * 10.0).round() / 10.0,
        "per_second": (outcome.inputs as f64 / seconds.max(1e-3)).round(),
        "slowest_ms": (outcome.slowest.as_secs_f64() * 1e4).round() / 10.0,
        "memory_mib": outcome.memory >> 20,
        "found": outcome.found.as_ref().map(|(path, _)| path.display().to_string()),
    })
}
