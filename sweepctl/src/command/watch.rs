//! `watch`: follow a sweep to its end, through restarts of the coordinator.

use std::time::Duration;

use tokio::time::Instant;

use super::Patience;
use super::list;
use crate::cli::{Format, Watch};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Out, Progress, percent, safe, span};
use crate::view::SweepView;

/// A line is written at most so often when there is no terminal to draw on.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Follows a sweep.
pub(crate) async fn run(out: &Out, client: &Client, args: &Watch) -> Result<(), Fault> {
    follow(out, client, &args.sweep, args.timeout).await
}

/// Follows until it is over, then prints where it stands; fails when trials did.
pub(crate) async fn follow(out: &Out, client: &Client, sweep: &str, timeout: Option<Duration>) -> Result<(), Fault> {
    let mut screen = Screen::new(out);
    let watching = until_over(client, sweep, &mut screen);
    let view = match timeout {
        Some(limit) => tokio::time::timeout(limit, watching).await.map_err(|_| Fault::TimedOut)??,
        None => watching.await?,
    };
    drop(screen);
    if out.format != Format::Json {
        list::print(out, std::slice::from_ref(&view))?;
    }
    out.note(format!("next: sweepctl report {}", safe(&view.name)));
    if view.is_stuck() {
        out.note(format!(
            "suspended, its trials failed one after the other: `sweepctl queue` says why, `sweepctl retry {}` goes on",
            safe(&view.name)
        ));
        let open = view.queued();
        return Err(Fault::Incomplete { failed: view.failed, cancelled: view.cancelled, open });
    }
    if view.failed + view.cancelled > 0 {
        return Err(Fault::Incomplete { failed: view.failed, cancelled: view.cancelled, open: 0 });
    }
    Ok(())
}

/// Follows until it is over without a word on standard output; fails when trials did.
pub(crate) async fn quietly(out: &Out, client: &Client, sweep: &str) -> Result<(), Fault> {
    let mut screen = Screen::new(out);
    screen.quiet = true;
    let view = until_over(client, sweep, &mut screen).await?;
    let open = view.queued();
    let whole = view.failed + view.cancelled + open == 0;
    if whole { Ok(()) } else { Err(Fault::Incomplete { failed: view.failed, cancelled: view.cancelled, open }) }
}

async fn until_over(client: &Client, sweep: &str, screen: &mut Screen<'_>) -> Result<SweepView, Fault> {
    let (mut seen, mut away, mut patience) = (false, false, Patience::new());
    loop {
        let lost = match client.watch(sweep).await {
            Ok(mut updates) => loop {
                match updates.next().await {
                    Ok(Some(view)) => {
                        if std::mem::take(&mut away) {
                            screen.note("the coordinator is back");
                        }
                        (seen, patience) = (true, Patience::new());
                        screen.show(&view)?;
                        if view.is_over() || view.is_stuck() {
                            return Ok(view);
                        }
                    }
                    Ok(None) => break None,
                    Err(fault) => break Some(fault),
                }
            },
            Err(fault) => Some(fault),
        };
        if let Some(fault) = lost {
            let full = fault.is_disk_full();
            let goes_on = full || (seen && fault.is_transient());
            if !goes_on {
                return Err(fault);
            }
            match (away, full) {
                (true, _) => {}
                (false, true) => screen.note(&format!("{fault}; training goes on")),
                (false, false) => {
                    screen.note(&format!("{} does not answer; training goes on, waiting for it", client.server()));
                }
            }
            away = true;
        }
        patience.wait().await;
    }
}

/// What is shown while it goes on: a bar on a terminal, else lines; JSON documents for scripts.
struct Screen<'a> {
    out: &'a Out,
    bar: Option<Progress>,
    said: Option<(u64, Instant)>,
    quiet: bool,
}

impl<'a> Screen<'a> {
    fn new(out: &'a Out) -> Self {
        Self { out, bar: None, said: None, quiet: false }
    }

    fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.aside(|| self.out.note(text)),
            None => self.out.note(text),
        }
    }

    fn show(&mut self, view: &SweepView) -> Result<(), Fault> {
        if self.out.format == Format::Json && !self.quiet {
            return self.out.json(view);
        }
        if self.out.shows_progress() {
            let bar = self.bar.get_or_insert_with(|| Progress::new(view.trials, true));
            bar.name(&view.name);
            bar.set(view.done(), view.trials, state(view));
            return Ok(());
        }
        let done = view.done();
        let due = match self.said {
            None => true,
            Some((before, when)) => before != done && (when.elapsed() >= LINE_EVERY || view.is_over()),
        };
        if due {
            self.said = Some((done, Instant::now()));
            self.out.note(format!("{}: {done}/{} over, {}", safe(&view.name), view.trials, state(view)));
        }
        Ok(())
    }
}

/// `2 running, 17 waiting, 1 failed, best 83.20 %, ETA 4 min 05 s`
fn state(view: &SweepView) -> String {
    let mut parts = vec![format!("{} running", view.running), format!("{} waiting", view.queued())];
    for (number, what) in [(view.failed, "failed"), (view.cancelled, "cancelled")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if let Some(best) = view.result() {
        parts.push(format!("best {} %", percent(best.0)));
    }
    if let Some(eta) = view.eta_seconds.filter(|_| !view.is_over()) {
        parts.push(format!("ETA {}", span(eta)));
    }
    parts.join(", ")
}
