//! What is said of a point beside its numbers: its settings, and what a reader has to know of it.

use super::PointRow;

impl PointRow {
    /// What a reader has to know of it: the baseline, why there is no result, or why there is one all the same.
    pub fn note(&self) -> &'static str {
        match (self.baseline, self.diverged > 0) {
            (true, true) if self.all_diverged() => "baseline, diverged",
            (false, true) if self.all_diverged() => "diverged",
            (true, true) => "baseline, some seeds diverged",
            (true, false) => "baseline",
            (false, true) => "some seeds diverged",
            _ if self.spared => "spared for the stop audit",
            _ if self.trials.iter().any(|trial| trial.ended_by_budget) => "to the end of its budget",
            _ if self.trials.iter().any(|trial| trial.phase == "stopped") => "stopped early",
            _ => "",
        }
    }

    /// Whether no seed was left.
    pub(super) fn all_diverged(&self) -> bool {
        self.diverged > 0 && self.diverged >= self.seeds
    }

    /// `lr=0.1, batch_size=32`.
    pub fn label(&self) -> String {
        let parts: Vec<String> = self.settings.iter().map(|(path, label)| format!("{path}={label}")).collect();
        if parts.is_empty() { "the only point".to_owned() } else { parts.join(", ") }
    }
}
