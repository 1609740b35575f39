//! Results of earlier sweeps, in words: offered, or taken.

use crate::client::Client;
use crate::config::Config;
use crate::fault::{Fault, count};
use crate::output::{Out, safe};
use crate::sweep_file::SweepFile;
use crate::view::ReusableView;

/// None of the trials is known.
pub(super) const NOTHING: &str =
    "none of its trials was trained in a sweep that you may see (same recipe, code and data): no result is taken over";

/// What a coordinator has for the trials of a file that is not submitted.
pub(super) async fn ask(config: &Config, file: &SweepFile) -> Result<Vec<ReusableView>, Fault> {
    let client = Client::connect(&config.way()?).await?;
    let found = client.estimate(&file.source.bytes).await?;
    Ok(found.reusable.into_iter().map(|(sweep, trials)| ReusableView { sweep, trials }).collect())
}

/// What there is for so many trials, and how much of it was taken; `how` takes it.
pub(super) fn say(out: &Out, taken: u64, trials: u64, reusable: &[ReusableView], how: &str) {
    let all: u64 = reusable.iter().map(|from| from.trials).sum();
    let names: Vec<String> = reusable.iter().map(|from| safe(&from.sweep).into_owned()).collect();
    let sweeps = if names.len() == 1 { "sweep" } else { "sweeps" };
    let from = format!("{sweeps} {} (same recipe, code and data)", names.join(", "));
    if taken > 0 {
        out.note(format!("{taken} of {} have the results of {from}", count(trials, "trial")));
    } else if all > 0 {
        let were = if all == 1 { "was" } else { "were" };
        let their = if all == 1 { "its result" } else { "their results" };
        out.note(format!("{all} of {} {were} already trained in {from}: {how} takes {their}", count(trials, "trial")));
    }
}
