//! Early stopping, as a report shows it: what was saved, and how often stopping was wrong.

use serde::{Deserialize, Serialize};
use sweep_core::num::Num;

use crate::fault::count;
use crate::output::safe;

/// Early stopping of one sweep.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct StopView {
    pub(crate) rule: String,
    pub(crate) metric: String,
    pub(crate) stopped: u32,
    pub(crate) paused: u32,
    pub(crate) epochs: u64,
    pub(crate) planned_epochs: u64,
    pub(crate) audit: StopAuditView,
}

/// Of those that would have been stopped and ran on.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct StopAuditView {
    pub(crate) spared: u32,
    pub(crate) finished: u32,
    pub(crate) wrong: u32,
    pub(crate) worst_miss: Option<Num>,
    pub(crate) above_median: u32,
    pub(crate) mean_gain: Option<Num>,
}

impl StopView {
    /// Lines below a report.
    pub(crate) fn lines(&self) -> Vec<String> {
        let share = 100.0 * self.epochs as f64 / self.planned_epochs.max(1) as f64;
        let mut lines = vec![format!(
            "early stopping by {}: {} stopped, {} of {} epochs trained ({share:.1} %)",
            safe(&self.rule),
            count(self.stopped, "configuration"),
            self.epochs,
            self.planned_epochs,
        )];
        if self.paused > 0 {
            lines.push(format!("{} at a rung now", count(self.paused, "configuration")));
        }
        let audit = &self.audit;
        if audit.spared > 0 {
            let (scale, unit) = if self.metric == "val_accuracy" { (100.0, "points") } else { (1.0, "nats") };
            let mut line = format!(
                "stop audit: {} of {} that would have been stopped ran to the end; {} beat the best that was kept",
                audit.finished, audit.spared, audit.wrong,
            );
            if let Some(miss) = audit.worst_miss {
                line += &format!(", by up to {:.2} {unit}", scale * miss.0);
            }
            line += &format!("; {} ended above the median of those that were kept", audit.above_median);
            if let Some(gain) = audit.mean_gain {
                line +=
                    &format!("; they gained {:.2} {unit} on average after the epoch of the decision", scale * gain.0);
            }
            lines.push(line);
        }
        lines
    }
}
