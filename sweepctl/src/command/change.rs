//! `cancel`, `retry`, `extend`, `set` and `move`: wishes that change what runs. They can be repeated without harm.

use crate::cli::{Cancel, Changing, Extend, Format, MoveSweep, Retry, SetSweep};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Out, safe};
use crate::sweep_file;
use crate::view::{ChangedView, ExtendedView};

/// Changes what runs.
pub(crate) async fn run(out: &Out, client: &Client, command: &Changing) -> Result<(), Fault> {
    match command {
        Changing::Cancel(args) => cancel(out, client, args).await,
        Changing::Retry(args) => retry(out, client, args).await,
        Changing::Extend(args) => extend(out, client, args).await,
        Changing::Set(args) => set(out, client, args).await,
        Changing::Move(args) => move_to(out, client, args).await,
    }
}

/// Runs more of a sweep. A file that is not valid never reaches the coordinator.
async fn extend(out: &Out, client: &Client, args: &Extend) -> Result<(), Fault> {
    let file = args.file.as_deref().map(|path| sweep_file::load(out, path)).transpose()?;
    let spec = file.map(|file| file.source.bytes).unwrap_or_default();
    let seeds = args.seeds.as_ref().map(|seeds| seeds.0.clone()).unwrap_or_default();
    let extended =
        client.extend(&args.sweep, spec, seeds, args.epochs, (args.dry_run, args.reuse, args.queue_anyway)).await?;
    if out.format == Format::Json {
        return out.json(&extended);
    }
    let (trials, points, seeds) = (extended.trials, extended.points, extended.seeds);
    let (points, seeds) = (count(points, "point"), count(seeds, "seed"));
    out.print(format!("{} {} to run: {points} and {seeds} more\n", safe(&extended.name), count(trials, "new trial")))?;
    if extended.goes_on > 0 {
        let of = count(trials, "new trial");
        out.note(format!("{} of {of} go on from the last checkpoint of one with fewer epochs", extended.goes_on));
    }
    if args.epochs.is_some() {
        from_start(&extended).into_iter().for_each(|text| out.note(text));
    }
    super::reuse::say(out, extended.reused, trials, &extended.reusable, "--reuse");
    match (trials, args.dry_run) {
        (0, _) => out.note("the sweep has all of this"),
        (_, true) => out.note("dry run: nothing was changed"),
        _ => {}
    }
    Ok(())
}

/// Which trials begin at the beginning, and why; nothing where all go on.
fn from_start(extended: &ExtendedView) -> Option<String> {
    let rest = extended.trials.checked_sub(extended.goes_on + extended.reused).filter(|rest| *rest > 0)?;
    let begin = if rest == 1 { "begins" } else { "begin" };
    let reasons = [
        (extended.follows_length, "the rate follows the number of epochs (cosine over all of them, one-cycle)"),
        (extended.no_shorter, "there is none with fewer epochs and this seed, or a rule judges each epoch"),
        (extended.unfinished, "the one with fewer epochs did not come to its last, or its checkpoint is gone"),
    ];
    let reasons: Vec<_> = reasons.into_iter().filter(|(trials, _)| *trials > 0).collect();
    let why = match reasons[..] {
        [] => String::new(),
        [(_, only)] => format!(": {only}"),
        _ => {
            let each: Vec<String> = reasons.iter().map(|(trials, why)| format!("{trials} because {why}")).collect();
            format!(": {}", each.join("; "))
        }
    };
    Some(format!("{} {begin} at the beginning{why}", count(rest, "trial")))
}

/// Changes how much a sweep gets.
async fn set(out: &Out, client: &Client, args: &SetSweep) -> Result<(), Fault> {
    let set = client.set_sweep(args).await?;
    if out.format == Format::Json {
        return out.json(&set);
    }
    let most = set.max_parallel.map_or_else(|| "none".to_owned(), |most| most.to_string());
    out.print(format!("{}: priority {}, max_parallel {most}\n", safe(&set.name), set.priority))?;
    if !set.changed {
        out.note("nothing was changed: it was so before");
    }
    if let Some(most) = set.max_parallel.filter(|most| set.running > u64::from(*most)) {
        out.note(format!(
            "{} run and go on; the next one starts when fewer than {most} do",
            count(set.running, "trial")
        ));
    }
    Ok(())
}

/// Lets a sweep count on the share of another project.
async fn move_to(out: &Out, client: &Client, args: &MoveSweep) -> Result<(), Fault> {
    let moved = client.move_sweep(&args.sweep, &args.project, args.new_project).await?;
    if out.format == Format::Json {
        return out.json(&moved);
    }
    out.print(format!("{} is in project {}\n", safe(&moved.name), safe(&moved.project)))?;
    match (moved.moved, moved.running) {
        (false, _) => out.note("nothing was changed: it was there before"),
        (true, 0) => {}
        (true, running) => out.note(format!("{} run and go on, counted there from now on", count(running, "trial"))),
    }
    Ok(())
}

/// Ends open trials.
async fn cancel(out: &Out, client: &Client, args: &Cancel) -> Result<(), Fault> {
    let changed = client.cancel(&args.sweep, args.trial.as_deref()).await?;
    print(out, &changed, "cancelled", "nothing was open")
}

/// Runs failed trials again.
async fn retry(out: &Out, client: &Client, args: &Retry) -> Result<(), Fault> {
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
