//! What early stopping did to a sweep, for its report: how much was saved, who was stopped, and the stop audit.

use serde::{Deserialize, Serialize};

use crate::recipe::Watched;
use crate::state::sweep::Sweep;
use crate::state::trial::{Phase, Trial};

use super::Cause;
use super::hindsight::{Spared, StopAudit, audit};
use super::race::Standing;
use super::score::score;

/// Early stopping of one sweep in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopSummary {
    /// The rule.
    pub rule: String,
    /// What configurations were compared by.
    pub metric: Watched,
    /// Configurations stopped because others were better.
    pub stopped: u32,
    /// Configurations that came to the end of a budget.
    #[serde(default)]
    pub by_budget: u32,
    /// Configurations that wait at a rung now.
    pub paused: u32,
    /// Epochs of all trials up to where each is.
    pub epochs: u64,
    /// Epochs that they would have without early stopping.
    pub planned_epochs: u64,
    /// How often stopping was wrong, of those that ran on to find out.
    pub audit: StopAudit,
    /// With a stop audit: of how many configurations, all that the rule was against, some were to be drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn_of: Option<u32>,
}

/// Of a sweep; nothing for one that stops nothing.
pub fn summarise(sweep: &Sweep) -> Option<StopSummary> {
    let racing = sweep.racing.as_deref()?;
    let race = &racing.race;
    let metric = race.stop().metric;
    let best = |point: u32| {
        let trials = racing.trials(point).iter().map(|index| &sweep.trials[*index as usize]);
        // One that diverged in a seed has not come to its end, and is nobody's best.
        if trials.clone().any(Trial::has_diverged) {
            return None;
        }
        let by_budget = race.ended_by_budget(point).is_some();
        let finished = trials.filter(|trial| by_budget || matches!(trial.phase, Phase::Completed { .. }));
        let reached = finished.filter_map(|trial| trial.progress.as_deref()?.reached(metric));
        let values: Vec<f64> = reached.map(|value| score(metric, value)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let over = |point: u32| racing.trials(point).iter().all(|index| sweep.trials[*index as usize].phase.is_terminal());
    let (mut stopped, mut by_budget, mut paused, mut spared, mut kept) = (0, 0, 0, Vec::new(), Vec::new());
    for point in 0..sweep.plan.points {
        match race.standing(point) {
            Standing::Stopped(judged) if judged.cause != Cause::Rule => {
                by_budget += 1;
                kept.extend(best(point).filter(|_| over(point)));
            }
            Standing::Stopped(_) => stopped += 1,
            Standing::Paused { .. } => paused += 1,
            Standing::Spared(judged) => {
                let then = score(metric, judged.value.0);
                spared.push(Spared { point, epoch: judged.epoch, then, end: best(point).filter(|_| over(point)) });
            }
            Standing::Racing { .. } => kept.extend(best(point).filter(|_| over(point))),
        }
    }
    let reached = |trial: &crate::state::trial::Trial| {
        let last = trial.progress.as_ref().and_then(|progress| progress.last.as_ref());
        last.map_or(0, |last| u64::from(last.epoch))
    };
    Some(StopSummary {
        rule: race.stop().rule.name().to_owned(),
        metric,
        stopped,
        by_budget,
        paused,
        epochs: sweep.trials.iter().map(reached).sum(),
        planned_epochs: (0..sweep.plan.len()).map(|index| u64::from(sweep.plan.epochs(index))).sum(),
        audit: audit(&spared, &kept),
        drawn_of: (race.stop().audit_fraction > 0.0).then(|| stopped + spared.len() as u32),
    })
}

/// The reason why a trial is where it is, for people; nothing where early stopping has no part in it.
pub fn why(sweep: &Sweep, index: u32) -> Option<String> {
    let race = &sweep.racing.as_deref()?.race;
    let rule = race.stop().rule.name();
    let phase = &sweep.trials[index as usize].phase;
    match race.standing(sweep.plan.trial(index).point) {
        Standing::Stopped(judged) => Some(format!("stopped by {}", judged.why())),
        Standing::Spared(judged) if *phase == Phase::Stopped => {
            Some(format!("ran to the end of its budget for the stop audit ({})", judged.why()))
        }
        Standing::Spared(judged) => Some(format!("runs to its end for the stop audit ({})", judged.why())),
        Standing::Paused { epoch, rank, of } => {
            Some(format!("{rule}: waits at the rung of epoch {epoch}, place {rank} of {of} so far"))
        }
        Standing::Racing { until: Some(until) } if *phase == Phase::Paused => {
            Some(format!("{rule}: waits at the rung of epoch {until} for the other seeds of its configuration"))
        }
        Standing::Racing { .. } if *phase == Phase::Paused => {
            let epoch = sweep.trials[index as usize].resume_epoch();
            Some(format!(
                "{rule}: waits after epoch {epoch} for the other seeds of its configuration, which are judged together"
            ))
        }
        Standing::Racing { .. } => None,
    }
}
