//! Early stopping in words: what was saved, and how often stopping was wrong. The same in every form of a report.

use crate::recipe::Watched;
use crate::stopping::summary::StopSummary;

/// A sentence each, without a full stop.
pub fn lines(stop: &StopSummary) -> Vec<String> {
    let share = 100.0 * stop.epochs as f64 / stop.planned_epochs.max(1) as f64;
    let mut lines = vec![format!(
        "early stopping by {}: {} stopped, {} of {} epochs trained ({share:.1} %)",
        stop.rule,
        configurations(stop.stopped),
        stop.epochs,
        stop.planned_epochs,
    )];
    if stop.stopped > 0 {
        lines.push(
            "of those that were stopped the report shows the best validation accuracy up to the epoch they came to: not a result, and not ranked"
                .to_owned(),
        );
    }
    if stop.by_budget > 0 {
        lines.push(format!(
            "{} trained to the end of the budget: what they reached by then is their result",
            configurations(stop.by_budget)
        ));
    }
    if stop.paused > 0 {
        lines.push(format!("{} at a rung now", configurations(stop.paused)));
    }
    let audit = &stop.audit;
    if audit.spared > 0 {
        let (scale, unit) = if stop.metric == Watched::ValAccuracy { (100.0, "points") } else { (1.0, "nats") };
        // Who was spared is a part of those that the rule was against; reports of an earlier release do not say of how many.
        let of = stop.drawn_of.map_or_else(String::new, |of| format!(" of {of}"));
        let mut line = format!(
            "stop audit: {}{of} that would have been stopped {} drawn to run on, {} ran to the end; {} beat the best that was kept",
            audit.spared,
            if audit.spared == 1 { "was" } else { "were" },
            audit.finished,
            audit.wrong,
        );
        if let Some(miss) = audit.worst_miss {
            line += &format!(", by up to {:.2} {unit}", scale * miss.0);
        }
        line += &format!("; {} ended above the median of those that were kept", audit.above_median);
        if let Some(gain) = audit.mean_gain {
            line += &format!("; they gained {:.2} {unit} on average after the epoch of the decision", scale * gain.0);
        }
        lines.push(line);
        lines.push(
            "those of the audit are shown with what they reached, but not ranked or compared: the rest of the report is that of a sweep in which they were stopped"
                .to_owned(),
        );
    } else if let Some(of) = stop.drawn_of {
        lines.push(match of {
            0 => "stop audit: the rule stopped nobody, so none was drawn".to_owned(),
            of => format!(
                "stop audit: none of {of} was drawn to run to its end, so it does not say how often stopping was wrong"
            ),
        });
    }
    lines
}

fn configurations(count: u32) -> String {
    if count == 1 { "1 configuration".to_owned() } else { format!("{count} configurations") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stopping::hindsight::{Spared, StopAudit, audit};

    fn asha(audit: StopAudit, drawn_of: Option<u32>) -> StopSummary {
        StopSummary {
            rule: "asha".to_owned(),
            metric: Watched::ValAccuracy,
            stopped: 7,
            by_budget: 0,
            paused: 0,
            epochs: 10,
            planned_epochs: 20,
            audit,
            drawn_of,
        }
    }

    #[test]
    fn a_stop_audit_that_drew_nobody_is_not_silent() {
        let of = |drawn_of| lines(&asha(audit(&[], &[]), drawn_of));
        assert!(of(Some(7))[2].starts_with("stop audit: none of 7 was drawn"));
        assert!(of(Some(0))[2].starts_with("stop audit: the rule stopped nobody"));
        assert_eq!(of(None).len(), 2, "there is no audit");
    }

    /// "5 of 5 that would have been stopped" where the rule was against eleven, and stopped six of them.
    #[test]
    fn a_stop_audit_says_of_how_many_it_speaks() {
        let spared = |point| Spared { point, epoch: 1, then: 0.25, end: (point < 4).then_some(0.5) };
        let found = audit(&(0..5).map(spared).collect::<Vec<_>>(), &[0.75]);
        let line = |drawn_of| lines(&asha(found.clone(), drawn_of))[2].clone();
        let rest = "that would have been stopped were drawn to run on, 4 ran to the end; 0 beat the best that was kept";
        assert!(line(Some(11)).starts_with(&format!("stop audit: 5 of 11 {rest}")), "{}", line(Some(11)));
        assert!(line(None).starts_with(&format!("stop audit: 5 {rest}")), "{}", line(None));
    }
}
