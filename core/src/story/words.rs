//! Single words and half sentences of stories.

use crate::attempt::FailureClass;
use crate::device::{Block, Hold};
use crate::event::{Failure, LossCause};
use crate::retry;
use crate::stopping::{Fate, Judgement};
use crate::time::Span;

/// How an attempt failed, whether it counts, and what follows. What a trainer said may name files and data: it is left out for
/// whoever may not see the trial.
pub(super) fn failure(failure: &Failure, pause: Option<Span>, is_seen: bool) -> String {
    let Failure { class, reason, message } = failure;
    let message = message.lines().next().filter(|_| is_seen).map(|line| format!(": {line}")).unwrap_or_default();
    let whose = match class {
        FailureClass::Host => "the host's fault, not charged",
        FailureClass::Device => "the device's fault, not charged",
        class if retry::is_own(*class) => "charged to the trial",
        _ => "not charged",
    };
    let next = match pause {
        Some(pause) => format!("tried again after {}", span(pause)),
        None => "failed for good".to_owned(),
    };
    format!("failed: {} ({reason}){message} [{whose}; {next}]", class.as_str())
}

/// Why a lease was over without a result.
pub(super) fn loss(cause: LossCause) -> &'static str {
    match cause {
        LossCause::Expired => "taken back: its host was silent and another one could go on",
        LossCause::Forgotten => "lost: its agent came back without it",
        LossCause::Stopped => "left its slot, as it was asked to or because it was killed or orphaned; not charged",
        LossCause::SlotGone => "lost: its slot is no longer there",
    }
}

/// How trials are kept from a place.
pub(super) fn hold(hold: &Hold) -> String {
    format!("is {}", Block::Held(hold))
}

/// What early stopping decided.
pub(super) fn judgement(judgement: &Judgement) -> String {
    let fate = match judgement.fate {
        Fate::Promote => "goes on",
        Fate::Stop => "is stopped",
        Fate::Spare => "runs to its end for the stop audit",
    };
    format!("{fate}: {}", judgement.why())
}

/// What an attempt had reported when it ended.
pub(super) fn came_so_far(epochs: u64, epoch: u32, kept: u32) -> String {
    match (epochs, kept) {
        (0, 0) => ", before its first epoch".to_owned(),
        (0, kept) => format!(", before another epoch; epoch {kept} is kept"),
        (_, kept) if kept == epoch => format!(", after epoch {epoch}, which is kept"),
        (_, 0) => format!(", after epoch {epoch}; nothing is kept"),
        (_, kept) => format!(", after epoch {epoch}; epoch {kept} is kept"),
    }
}

/// A length of time, roughly.
pub(super) fn span(span: Span) -> String {
    match span.0 / 1_000_000 {
        ..=0 => "less than a second".to_owned(),
        seconds @ ..=119 => format!("{seconds} s"),
        seconds @ ..=7199 => format!("{} min", seconds / 60),
        seconds @ ..=172_799 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        seconds => format!("{} days", seconds / 86_400),
    }
}
