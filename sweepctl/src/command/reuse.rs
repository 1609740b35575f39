//! Results of earlier sweeps, in words: offered, or taken.

use crate::fault::count;
use crate::output::{Out, safe};
use crate::view::ReusableView;

/// What there is for so many trials, and how much of it was taken.
pub(super) fn say(out: &Out, taken: u64, trials: u64, reusable: &[ReusableView]) {
    let all: u64 = reusable.iter().map(|from| from.trials).sum();
    let names: Vec<String> = reusable.iter().map(|from| safe(&from.sweep).into_owned()).collect();
    let sweeps = if names.len() == 1 { "sweep" } else { "sweeps" };
    let from = format!("{sweeps} {} (same recipe, code and data)", names.join(", "));
    if taken > 0 {
        out.note(format!("{taken} of {} have the results of {from}", count(trials, "trial")));
    } else if all > 0 {
        let were = if all == 1 { "was" } else { "were" };
        let their = if all == 1 { "its result" } else { "their results" };
        out.note(format!(
            "{all} of {} {were} already trained in {from}: --reuse takes {their}",
            count(trials, "trial")
        ));
    }
}
