//! Where the parts of a trial's way stand in its trace (OpenTelemetry). The ids follow from the lease alone, which is in every message:
//! coordinator and agent draw one tree without telling each other more, and go on with it after a restart.

use uuid::Uuid;

use crate::id::{Lease, SweepId, TrialId};

/// Of a span: its trace, its own id, and the span that it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The trial, or the sweep, as a number.
    pub trace: u128,
    /// Among those of the trace.
    pub span: u64,
    /// The one above.
    pub parent: Option<u64>,
}

/// A sweep, from its submission to its end: a trace of its own, which those of its trials refer to.
pub fn sweep(sweep: SweepId) -> Place {
    Place { trace: sweep.0.as_u128(), span: id(sweep.0, "sweep"), parent: None }
}

/// Something that is done with a sweep; `what` tells it from all else that is done with it.
pub fn of_sweep(sweep: SweepId, what: &str) -> Place {
    let above = self::sweep(sweep);
    Place { trace: above.trace, span: id(sweep.0, what), parent: Some(above.span) }
}

/// A trial, from its submission to its end: all other spans of its trace are below it.
pub fn trial(trial: TrialId) -> Place {
    Place { trace: trial.0.as_u128(), span: id(trial.0, "trial"), parent: None }
}

/// The grant of an attempt to a slot.
pub fn grant(lease: Lease) -> Place {
    below(lease, trial(lease.trial), "grant")
}

/// An attempt on its agent.
pub fn attempt(lease: Lease) -> Place {
    below(lease, grant(lease), "attempt")
}

/// Something that an agent does for an attempt; `what` tells it from all else that it does for it.
pub fn part(lease: Lease, what: &str) -> Place {
    below(lease, attempt(lease), what)
}

fn below(lease: Lease, above: Place, what: &str) -> Place {
    let span = id(lease.trial.0, &format!("{} {what}", lease.attempt));
    Place { trace: above.trace, span, parent: Some(above.span) }
}

/// No id is zero: that means that there is none.
fn id(of: Uuid, what: &str) -> u64 {
    Uuid::new_v5(&of, what.as_bytes()).as_u64_pair().0.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_trial_is_in_its_trace_below_the_one_before() {
        let sweep = SweepId::derive("a", "");
        let lease = Lease { trial: TrialId::derive(sweep, "point"), attempt: 1 };
        let [root, grant, attempt, part] = [trial(lease.trial), grant(lease), attempt(lease), part(lease, "report 1")];
        assert!([grant, attempt, part].iter().all(|place| place.trace == root.trace));
        assert_eq!([grant.parent, attempt.parent, part.parent], [root.span, grant.span, attempt.span].map(Some));
        let again = Lease { attempt: 2, ..lease };
        assert_eq!(super::grant(again).parent, Some(root.span));
        assert_ne!(super::grant(again).span, grant.span);
        assert_ne!(super::part(lease, "report 2").span, part.span);
        assert_eq!((root.parent, super::sweep(sweep).parent), (None, None));
        assert_eq!(of_sweep(sweep, "submit").parent, Some(super::sweep(sweep).span));
    }
}
