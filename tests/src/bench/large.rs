//! What 100,000 trials cost: planning, submitting, listing while they run, memory, and a restart with
//! 1,000,000 epoch reports in the journal.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use sweep_proto::v1;

use super::{Coordinator, Pretend, finish, millis, quantile, spec, submit};
use crate::scripted::Script;

/// Figures of one run.
#[derive(Clone, Copy, Debug)]
pub struct Large {
    /// Planning alone, in this process.
    pub plan: Duration,
    /// The submit call.
    pub submit: Duration,
    /// Slowest `List` while trials ran.
    pub list: Duration,
    /// Slowest first page of `Show` while trials ran.
    pub show: Duration,
    /// Resident memory of the coordinator with all trials waiting, MiB.
    pub waiting_mib: f64,
    /// With all trials completed.
    pub done_mib: f64,
    /// From `kill -9` and start to the first answer, all trials and epochs in the journal.
    pub restart: Duration,
    /// Trials a second with `epochs` reports each.
    pub rate: f64,
}

/// Runs it: `trials` trials of `epochs` epochs.
///
/// # Errors
/// When something does not work.
pub async fn run(bin: &Path, dir: &Path, trials: u32, epochs: u32) -> Result<Large> {
    let text = spec("large", trials, epochs);
    let start = Instant::now();
    let planned = sweep_core::plan::plan_text(text.as_bytes()).map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let plan = start.elapsed();
    drop(planned);

    let (mut coordinator, _) = Coordinator::start(bin, dir).await?;
    let mut client = coordinator.client().await?;
    let start = Instant::now();
    let name = submit(&mut client, &text).await?;
    let submitted = start.elapsed();
    let waiting_mib = coordinator.memory().0;

    let start = Instant::now();
    let script = Script { epochs, ..Script::NOOP };
    let pretend = Pretend::start(&coordinator.url(), 16, 8, script)?;
    let (mut lists, mut shows) = (Vec::new(), Vec::new());
    let mut asker = coordinator.client().await?;
    let done = finish(&mut client, &name);
    tokio::pin!(done);
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            over = &mut done => { over?; break; }
            _ = pace.tick() => {
                let begin = Instant::now();
                asker.list(v1::ListRequest { limit: 0 }).await?;
                lists.push(begin.elapsed());
                let begin = Instant::now();
                asker.show(v1::ShowRequest { sweep: name.clone(), ..Default::default() }).await?;
                shows.push(begin.elapsed());
            }
        }
    }
    let rate = f64::from(trials) / start.elapsed().as_secs_f64();
    let done_mib = coordinator.memory().0;
    drop(pretend);
    lists.sort();
    shows.sort();
    let restart = coordinator.restart().await?;
    let (list, show) = (quantile(&lists, 1.0), quantile(&shows, 1.0));
    Ok(Large { plan, submit: submitted, list, show, waiting_mib, done_mib, restart, rate })
}

impl std::fmt::Display for Large {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  plan                                   {:>12}", millis(self.plan))?;
        writeln!(f, "  submit                                 {:>12}", millis(self.submit))?;
        writeln!(f, "  list while it runs, slowest            {:>12}", millis(self.list))?;
        writeln!(f, "  show while it runs, slowest            {:>12}", millis(self.show))?;
        writeln!(f, "  coordinator's memory, all waiting      {:>8.0} MiB", self.waiting_mib)?;
        writeln!(f, "  coordinator's memory, all completed    {:>8.0} MiB", self.done_mib)?;
        writeln!(f, "  kill -9 and start to the first answer  {:>12}", millis(self.restart))?;
        write!(f, "  rate with these epochs                 {:>8.0} /s", self.rate)
    }
}
