//! What a sweep says about early stopping, with every default filled in: part of its plan.

use serde::{Deserialize, Serialize};

use crate::recipe::Watched;

use super::rungs;

/// How configurations are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Asynchronous successive halving with promotion (`asha.rs`).
    Asha,
    /// The same without promotion: who is not among the best when it arrives is stopped (`asha_stop.rs`).
    AshaStop,
    /// Synchronous successive halving (`halving.rs`).
    Halving,
    /// Several halvings that begin at different rungs (`hyperband.rs`).
    Hyperband,
    /// Worse than the median of the running averages (`median.rs`).
    Median,
    /// Outside the best so many percent (`percentile.rs`).
    Percentile,
    /// No comparison, budgets only (`budget.rs`).
    Budget,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Asha, Self::AshaStop, Self::Halving, Self::Hyperband, Self::Median, Self::Percentile, Self::Budget];

    /// The name in sweep files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asha => "asha",
            Self::AshaStop => "asha-stop",
            Self::Halving => "halving",
            Self::Hyperband => "hyperband",
            Self::Median => "median",
            Self::Percentile => "percentile",
            Self::Budget => "budget",
        }
    }

    /// Compares at rungs.
    pub fn has_rungs(self) -> bool {
        matches!(self, Self::Asha | Self::AshaStop | Self::Halving | Self::Hyperband)
    }

    /// Configurations may come when others are judged already: they are compared with those that came before, as all others are.
    /// Where a rung waits for all that there are, or shares them out in brackets, they may not.
    pub fn takes_late_comers(self) -> bool {
        !matches!(self, Self::Halving | Self::Hyperband)
    }

    /// A configuration waits at a rung, its slot free, until it is promoted or stopped.
    pub fn pauses(self) -> bool {
        matches!(self, Self::Asha | Self::Halving | Self::Hyperband)
    }
}

/// Early stopping of one sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// How configurations are compared.
    pub rule: Rule,
    /// What they are compared by: the value at the epoch in question (rungs), or the best so far (median, percentile).
    pub metric: Watched,
    /// The first rung.
    pub min_epochs: u32,
    /// One in so many is promoted at a rung, and the next rung is so many times as far.
    pub reduction_factor: u32,
    /// At most so many rungs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rungs: Option<u32>,
    /// Groups of configurations that start at the first, second, ... rung; nothing means as many as there are rungs,
    /// and one more, for `hyperband`, and 1 for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brackets: Option<u32>,
    /// Who is among the best so many percent goes on.
    pub percentile: f64,
    /// No configuration is stopped by median or percentile before this epoch.
    pub warmup_epochs: u32,
    /// Median and percentile look at every so many epochs.
    pub interval: u32,
    /// So many configurations must have run to their end before median or percentile stop any.
    pub min_configurations: u32,
    /// Share of the configurations that would be stopped which run on, to see how often stopping is wrong.
    pub audit_fraction: f64,
    /// Most time that a trial of a configuration may train, mean over its seeds, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<f64>,
    /// Most epochs that a trial of a configuration may train, whatever its recipe says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_epochs: Option<u32>,
    /// Most steps of the optimizer that a trial of a configuration may take, mean over its seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Most energy that a trial of a configuration may take, mean over its seeds, kWh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_kwh: Option<f64>,
}

impl Stop {
    /// A rule with its defaults.
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            metric: Watched::ValAccuracy,
            min_epochs: 1,
            reduction_factor: 3,
            max_rungs: None,
            brackets: None,
            percentile: if rule == Rule::Percentile { 25.0 } else { 50.0 },
            warmup_epochs: 0,
            interval: 1,
            min_configurations: 5,
            audit_fraction: 0.0,
            max_seconds: None,
            max_epochs: None,
            max_steps: None,
            max_kwh: None,
        }
    }

    /// Whether some budget limits its trials.
    pub fn has_budget(&self) -> bool {
        let whole = self.max_epochs.is_some() || self.max_steps.is_some();
        whole || self.max_seconds.is_some() || self.max_kwh.is_some()
    }

    /// The epochs at which configurations of the first bracket are compared.
    pub fn rungs(&self, epochs: u32) -> Vec<u32> {
        if self.rule.has_rungs() { rungs::epochs(self, 0, epochs) } else { Vec::new() }
    }

    /// The first epoch after which the rule may stop somebody.
    pub fn first_look(&self) -> u32 {
        match self.warmup_epochs {
            _ if self.rule.has_rungs() => self.min_epochs,
            0 => self.interval.max(1),
            warmup => warmup,
        }
    }

    /// How many groups of configurations there are.
    pub fn bracket_count(&self, epochs: u32) -> u32 {
        let most = self.rungs(epochs).len() as u32 + 1;
        match (self.rule, self.brackets) {
            (Rule::Hyperband, None) => most,
            (_, brackets) => brackets.unwrap_or(1).clamp(1, most),
        }
    }

    /// The most configurations that one bracket compares at a rung: those in it, less the baseline, which is never judged. Brackets
    /// without a rung before the end compare none. Where it is below 2 nobody is ever stopped by the rule: one alone is the best.
    pub fn most_compared(&self, points: u32, epochs: u32, baseline: Option<u32>) -> u64 {
        let brackets = rungs::assign(self, points, epochs);
        let compares = |bracket: &u32| {
            let first = rungs::epochs(self, *bracket, epochs).first().copied();
            self.rule.has_rungs() && first.is_some_and(|rung| rung < self.last(epochs))
        };
        let raced = (0..self.bracket_count(epochs)).filter(compares).map(|bracket| raced(&brackets, bracket, baseline));
        raced.max().unwrap_or(0)
    }

    /// Epochs that `points` configurations of so many epochs will take, if every rung keeps its share and the audit spares its own:
    /// what `check` and `plan` show. Nothing where that depends on the numbers.
    pub fn expected_epochs(&self, points: u32, epochs: u32, baseline: Option<u32>) -> Option<u64> {
        if !self.rule.has_rungs() {
            return None;
        }
        Some(self.laddered((points, epochs, baseline), self.audit_fraction, |left| self.share(left)))
    }

    /// How many of those that come to a rung go on.
    fn share(&self, left: u64) -> u64 {
        (left / u64::from(self.reduction_factor)).max(left.min(1))
    }

    /// Epochs that `points` configurations of so many epochs take at least, by the rule and `max_epochs`: every rung keeps its share,
    /// or everybody who may be is stopped at the first look, and the audit happens to spare nobody. The baseline trains to its end, or to
    /// that of its budget. At most it is all of them.
    pub fn fewest_epochs(&self, points: u32, epochs: u32, baseline: Option<u32>) -> u64 {
        let last = self.last(epochs);
        let each = |points: u32, epochs: u32| u64::from(points) * u64::from(epochs);
        let exempt = u32::from(baseline.is_some()).min(points);
        match self.rule {
            // Whoever comes after the best may be stopped.
            Rule::AshaStop => self.laddered((points, epochs, baseline), 0.0, |left| left.min(1)),
            Rule::Asha | Rule::Halving | Rule::Hyperband => {
                self.laddered((points, epochs, baseline), 0.0, |left| self.share(left))
            }
            Rule::Budget => each(points, last),
            Rule::Median | Rule::Percentile => {
                let first = if self.warmup_epochs > 0 { self.warmup_epochs } else { self.interval.max(1) };
                let whole = points.min(self.min_configurations.max(1)) - exempt;
                each(exempt + whole, last) + each(points - exempt - whole, last.min(first))
            }
        }
    }

    /// Epochs if `keeps` of those that come to a rung go on, and this share of the others runs to its end, or to that of its budget,
    /// all the same. The baseline does, too, and is not counted at a rung.
    fn laddered(&self, of: (u32, u32, Option<u32>), spared: f64, keeps: impl Fn(u64) -> u64) -> u64 {
        let (points, epochs, baseline) = of;
        let (brackets, last) = (rungs::assign(self, points, epochs), self.last(epochs));
        let mut all = if baseline.is_some() { u64::from(last) } else { 0 };
        let mut audited = 0.0;
        for bracket in 0..self.bracket_count(epochs) {
            let mut left = raced(&brackets, bracket, baseline);
            let mut before = 0;
            for rung in rungs::epochs(self, bracket, epochs).into_iter().take_while(|rung| *rung < last) {
                all += left * u64::from(rung - before);
                before = rung;
                let kept = keeps(left);
                audited += spared * (left - kept) as f64 * f64::from(last - rung);
                left = kept;
            }
            all += left * u64::from(last - before);
        }
        all + audited.round() as u64
    }

    fn last(&self, epochs: u32) -> u32 {
        epochs.min(self.max_epochs.unwrap_or(epochs))
    }
}

/// How many of a bracket are judged: all but the baseline.
fn raced(brackets: &[u32], bracket: u32, baseline: Option<u32>) -> u64 {
    let others = (0u32..).zip(brackets).filter(|(point, _)| baseline != Some(*point));
    others.filter(|(_, of)| **of == bracket).count() as u64
}
