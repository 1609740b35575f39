//! `sweep-model FIRST [COUNT]`: clusters of calls in simulated time, one for each seed. Says which seeds went wrong and how; prints one
//! line of JSON with what was seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use sweep_tests::model;

/// Runs clusters of calls in simulated time with faults drawn from their seeds.
#[derive(Parser)]
struct Args {
    /// The first seed.
    first: u64,
    /// How many seeds.
    #[arg(default_value_t = 1)]
    count: u64,
    /// Without faults.
    #[arg(long)]
    quiet: bool,
    /// Stop at the first seed that goes wrong.
    #[arg(long)]
    until_wrong: bool,
    /// Seeds at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// One line for each seed, with the hash of its journal.
    #[arg(long)]
    each: bool,
    /// The whole journal of each seed.
    #[arg(long)]
    journal: bool,
}

#[derive(Default)]
struct Sum {
    faults: [u64; model::KINDS],
    losses: [u64; 2],
    trials: u64,
    attempts: u64,
    events: u64,
    calls: u64,
    simulated: f64,
    wrong: Vec<(u64, String)>,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the outcome is this program's output")]
fn main() -> Result<()> {
    let args = Args::parse();
    let (next, sum, start) = (AtomicU64::new(args.first), Mutex::new(Sum::default()), Instant::now());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let found = sum.lock().unwrap_or_else(PoisonError::into_inner).wrong.len();
            if seed >= args.first + args.count || (args.until_wrong && found > 0) {
                return;
            }
            // A panic is a finding like any other.
            let outcome = std::panic::catch_unwind(|| model::run(seed, args.quiet));
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(Ok(outcome)) => {
                    if args.each {
                        println!("{seed} {}", outcome.journal);
                    }
                    if args.journal {
                        print!("{}", outcome.text);
                    }
                    sum.faults.iter_mut().zip(outcome.faults).for_each(|(all, one)| *all += u64::from(one));
                    sum.losses.iter_mut().zip(outcome.losses).for_each(|(all, one)| *all += u64::from(one));
                    sum.trials += outcome.audit.completed + outcome.audit.stopped;
                    sum.attempts += outcome.audit.attempts;
                    sum.events += outcome.audit.events;
                    sum.calls += outcome.calls;
                    sum.simulated += outcome.took.as_secs_f64();
                }
                Ok(Err(error)) => sum.wrong.push((seed, format!("{error:#}"))),
                Err(_) => sum.wrong.push((seed, "it panicked".to_owned())),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.wrong.sort();
    let names = ["coordinator", "agent", "reboot", "cut", "one_way", "trainer", "damage", "full", "clean", "lost"];
    let faults: serde_json::Map<_, _> =
        names.iter().zip(sum.faults).map(|(name, n)| ((*name).into(), n.into())).collect();
    println!(
        "{}",
        serde_json::json!({
            "first": args.first,
            "seeds": args.count,
            "wrong": sum.wrong.iter().map(|(seed, _)| seed).collect::<Vec<_>>(),
            "trials": sum.trials,
            "attempts": sum.attempts,
            "events": sum.events,
            "calls": sum.calls,
            "simulated_hours": (sum.simulated / 360.0).round() / 10.0,
            "seconds": (start.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            "faults": faults,
            "ends_lost": sum.losses[0],
            "rollbacks": sum.losses[1],
        })
    );
    for (seed, what) in &sum.wrong {
        eprintln!("seed {seed}: {what}");
    }
    match sum.wrong.len() {
        0 => Ok(()),
        count => bail!("{count} of {} seeds went wrong", args.count),
    }
}
