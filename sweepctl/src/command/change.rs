//! `cancel` and `retry`: wishes that change what runs. Both can be repeated without harm.

use crate::cli::{Cancel, Format, Retry};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Out, safe};
use crate::view::ChangedView;

/// Ends open trials.
pub(crate) async fn cancel(out: &Out, client: &Client, args: &Cancel) -> Result<(), Fault> {
    let changed = client.cancel(&args.sweep, args.trial.as_deref()).await?;
    print(out, &changed, "cancelled", "nothing was open")
}

/// Runs failed trials again.
pub(crate) async fn retry(out: &Out, client: &Client, args: &Retry) -> Result<(), Fault> {
    let changed = client.retry(&args.sweep, args.cancelled).await?;
    let nothing = if args.cancelled {
        "no trial failed or was cancelled"
    } else {
        "no trial failed (cancelled ones: --cancelled)"
    };
    print(out, &changed, "to run again:", nothing)
}

fn print(out: &Out, changed: &ChangedView, what: &str, nothing: &str) -> Result<(), Fault> {
    if out.format == Format::Json {
        return out.json(changed);
    }
    out.print(format!("{} {what} {}\n", safe(&changed.name), count(changed.trials, "trial")))?;
    if changed.trials == 0 {
        out.note(nothing);
    }
    Ok(())
}
