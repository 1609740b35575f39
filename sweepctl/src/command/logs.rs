//! `logs`: what a trial's trainer wrote, as it is; made harmless on a terminal.

use std::collections::BTreeMap;

use super::Patience;
use crate::cli::Logs;
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Out, tidy};

/// Prints a trial's log; with `--follow` until the trial is over, through restarts of the coordinator.
pub(crate) async fn run(out: &Out, client: &Client, args: &Logs) -> Result<(), Fault> {
    // Bytes printed of each attempt, so that a new connection goes on where the last one ended.
    let mut printed: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut current, mut seen, mut patience) = (None, false, Patience::new());
    loop {
        let lost = match client.logs(&args.trial, args.attempt.unwrap_or(0), args.follow).await {
            Ok(mut updates) => {
                seen = true;
                let mut passed: BTreeMap<u32, usize> = BTreeMap::new();
                loop {
                    match updates.next().await {
                        Ok(Some((attempt, text))) => {
                            patience = Patience::new();
                            let (done, at) = (printed.entry(attempt).or_default(), passed.entry(attempt).or_default());
                            let new = text.get(done.saturating_sub(*at)..).unwrap_or_default();
                            *at += text.len();
                            *done = (*done).max(*at);
                            if new.is_empty() {
                                continue;
                            }
                            if current.replace(attempt).is_some_and(|before| before != attempt) {
                                out.note(format!("--- attempt {attempt}"));
                            }
                            print(out, new)?;
                        }
                        Ok(None) => return end(out, &printed),
                        Err(fault) => break fault,
                    }
                }
            }
            Err(fault) => fault,
        };
        if !args.follow || !seen || !lost.is_transient() {
            return Err(lost);
        }
        patience.wait().await;
    }
}

fn print(out: &Out, text: &[u8]) -> Result<(), Fault> {
    if out.is_terminal() { out.print(tidy(&String::from_utf8_lossy(text)).as_bytes()) } else { out.print(text) }
}

fn end(out: &Out, printed: &BTreeMap<u32, usize>) -> Result<(), Fault> {
    if printed.values().all(|bytes| *bytes == 0) {
        out.note("the log is empty: the trainer had nothing to say (`sweepctl show TRIAL` has the numbers)");
    }
    Ok(())
}
