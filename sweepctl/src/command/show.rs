//! `show`: a sweep with its trials, or a trial with its curve.

pub(crate) mod confusion;
mod trial;

use crate::cli::{Format, Phase, Show};
use crate::client::Client;
use crate::fault::{Fault, count};
use crate::output::{Cell, Out, Table, ago, csv_row, percent, safe, span};
use crate::view::{BoundView, EpochView, PageView, TrialView, short};

/// Trials shown when nothing is said.
const USUAL: u64 = 20;
/// Trials asked for at once; the coordinator gives no more.
const PAGE: u32 = 1_000;

/// Shows what a name stands for: a sweep, else a trial.
pub(crate) async fn run(out: &Out, client: &Client, args: &Show) -> Result<(), Fault> {
    if let Some(which) = args.confusion {
        return confusion::run(out, client, &args.what, which).await;
    }
    // Scripts and filters want everything; people want a look.
    let everything = args.trials || (out.format != Format::Table && args.limit.is_none());
    let limit = if everything { u64::MAX } else { args.limit.unwrap_or(USUAL) };
    let phases: Vec<&str> = args.phase.iter().map(|phase| Phase::name(*phase)).collect();
    let not_a_sweep = match pages(client, &args.what, limit, &phases).await {
        Ok(mut page) => {
            page.trials.iter_mut().for_each(|trial| keep_back(trial, args.test));
            return sweep(out, &page);
        }
        Err(fault) if fault.is_not_found() => fault,
        Err(fault) => return Err(fault),
    };
    match client.show_trial(&args.what).await {
        Ok(mut page) => {
            keep_back(&mut page.trial, args.test);
            trial::show(out, &page)
        }
        Err(fault) if fault.is_not_found() => Err(not_a_sweep),
        Err(fault) => Err(fault),
    }
}

/// Takes the test result out unless it was asked for, in every form, so that nobody chooses by it unawares.
fn keep_back(trial: &mut TrialView, asked: bool) {
    trial.test_kept_back = trial.test.is_some() && !asked;
    trial.test = trial.test.take().filter(|_| asked);
}

async fn pages(client: &Client, sweep: &str, limit: u64, phases: &[&str]) -> Result<PageView, Fault> {
    let size = |have: u64| u32::try_from((limit - have).clamp(1, u64::from(PAGE))).unwrap_or(PAGE);
    let mut page = client.show(sweep, 0, size(0), phases).await?;
    page.trials.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    loop {
        let have = page.trials.len() as u64;
        if have >= limit.min(page.matching) {
            return Ok(page);
        }
        let next = client.show(sweep, have, size(have), phases).await?;
        if next.trials.is_empty() {
            return Ok(page);
        }
        page.trials.extend(next.trials);
    }
}

fn sweep(out: &Out, page: &PageView) -> Result<(), Fault> {
    match out.format {
        Format::Json => return out.json(page),
        Format::Csv => return csv(out, page),
        Format::Table => {}
    }
    let summary = &page.summary;
    let mut head = Table::default();
    let mut line = |name: &str, text: String| head.row([Cell::new(name), Cell::new(text)]);
    line("sweep", format!("{} ({})", summary.name, summary.sweep));
    line("status", summary.status.clone());
    if let Some(steps) = summary.probe_steps {
        line(
            "probe",
            format!("no result: at most {steps} steps of each epoch, so that `plan --estimate` knows what they take"),
        );
    }
    let rest = [
        (summary.completed, "completed"),
        (summary.running, "running"),
        (summary.waiting, "waiting"),
        (summary.backoff, "to be tried again"),
        (summary.paused, "paused at a rung"),
        (summary.stopped, "stopped early"),
        (summary.failed, "failed"),
        (summary.cancelled, "cancelled"),
    ];
    let taken = (summary.reused > 0).then(|| format!("{} of them results of earlier sweeps", summary.reused));
    let rest = rest.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
    line("trials", format!("{}: {}", summary.trials, rest.chain(taken).collect::<Vec<_>>().join(", ")));
    line("submitted", format!("{} by {}", ago(summary.submitted), summary.user));
    line(
        "priority",
        match summary.max_parallel {
            Some(most) => format!("{}, at most {} at once", summary.priority, count(most, "trial")),
            None => summary.priority.to_string(),
        },
    );
    if let (Some(best), Some(trial)) = (summary.result(), &summary.best_trial) {
        line("best", format!("{} % validation accuracy, trial {}", percent(best.0), short(trial)));
    }
    for bound in &page.datasets {
        line("data set", data_set(bound));
    }
    if let Some(eta) = summary.eta_seconds.filter(|_| !summary.is_over()) {
        line("ETA", span(eta));
    }
    out.table(&head)?;
    out.print("\n")?;
    out.table(&trials(page))?;
    let shown = page.trials.len() as u64;
    if shown < page.matching {
        out.note(format!("{} more trials: --trials shows all, --limit N the first", page.matching - shown));
    }
    for failed in page.trials.iter().filter(|trial| trial.phase == "failed") {
        if let Some(failure) = &failed.failure {
            let (reason, message) = (safe(&failure.reason), safe(&failure.message));
            out.note(format!("{} failed: {reason}: {message}", short(&failed.trial)));
        }
    }
    for note in &page.notes {
        out.note(safe(note));
    }
    for wait in &page.waits {
        out.warn(safe(wait));
    }
    Ok(())
}

fn data_set(bound: &BoundView) -> String {
    match &bound.fingerprint {
        Some(fingerprint) => format!("{}, fingerprint {fingerprint}", bound.name),
        None => bound.name.clone(),
    }
}

fn trials(page: &PageView) -> Table {
    let paths = page.paths.iter().map(String::as_str);
    let mut table = Table::new(
        ["trial"].into_iter().chain(paths).chain(["seed", "phase", "epoch", "val %", "best %", "attempt", "where"]),
    );
    for trial in &page.trials {
        let accuracy = |epoch: &Option<EpochView>| {
            Cell::number(epoch.as_ref().map_or_else(|| "-".to_owned(), |epoch| percent(epoch.val_accuracy.0)))
        };
        let place = match (&trial.host, trial.slot) {
            (Some(host), Some(slot)) => format!("{host}/{slot}"),
            _ => trial.origin.as_ref().map(|origin| format!("result of {}", short(&origin.trial))).unwrap_or_default(),
        };
        let mut cells = vec![Cell::new(short(&trial.trial))];
        cells.extend(trial.labels.iter().map(Cell::new));
        cells.extend([
            Cell::number(trial.seed),
            Cell::state(&trial.phase),
            Cell::number(format!("{}/{}", trial.epoch, trial.epochs)),
            accuracy(&trial.last),
            accuracy(&trial.best),
            Cell::number(trial.attempt),
            Cell::new(place),
        ]);
        table.row(cells);
    }
    table
}

fn csv(out: &Out, page: &PageView) -> Result<(), Fault> {
    out.write(|to| {
        let paths = page.paths.iter().map(String::as_str);
        let after = [
            "seed",
            "phase",
            "attempt",
            "epoch",
            "epochs",
            "val_accuracy",
            "best_accuracy",
            "reason",
            "weights",
            "test_accuracy",
        ];
        csv_row(to, ["index", "trial"].into_iter().chain(paths).chain(after))?;
        for trial in &page.trials {
            let accuracy = |epoch: &Option<EpochView>| {
                epoch.as_ref().map(|epoch| epoch.val_accuracy.to_string()).unwrap_or_default()
            };
            let after = [
                trial.seed.to_string(),
                trial.phase.clone(),
                trial.attempt.to_string(),
                trial.epoch.to_string(),
                trial.epochs.to_string(),
                accuracy(&trial.last),
                accuracy(&trial.best),
                trial.failure.as_ref().map(|failure| failure.reason.clone()).unwrap_or_default(),
                trial.weights.clone().unwrap_or_default(),
                trial.test.as_ref().map(|test| test.accuracy.to_string()).unwrap_or_default(),
            ];
            let before = [trial.index.to_string(), trial.trial.clone()];
            csv_row(to, before.into_iter().chain(trial.labels.iter().cloned()).chain(after))?;
        }
        Ok(())
    })
}
