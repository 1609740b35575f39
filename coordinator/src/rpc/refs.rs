//! What people type for a sweep or a trial: a name, a full id, or a unique prefix of one.

use sweep_core::id::{SweepId, TrialId};
use sweep_core::nearest::nearest;
use sweep_core::state::{State, TrialRef};
use sweep_proto::status::status;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::access::identity::Identity;

/// Fewest hex digits of a prefix.
const SHORTEST: usize = 4;
/// Candidates listed.
const LISTED: usize = 5;

/// Why a reference does not name one thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// Nothing has that name or id.
    #[error("no {what} `{text}`{}", nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?")))]
    Unknown {
        /// `sweep` or `trial`.
        what: &'static str,
        /// What was typed.
        text: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// Several ids start like that.
    #[error("`{text}` is the beginning of several {what}s: {}", candidates.join(", "))]
    Ambiguous {
        /// `sweep` or `trial`.
        what: &'static str,
        /// What was typed.
        text: String,
        /// Some of them.
        candidates: Vec<String>,
    },
}

impl From<RefError> for Status {
    fn from(error: RefError) -> Self {
        let (code, reason) = match &error {
            RefError::Unknown { what: "sweep", .. } => (Code::NotFound, "sweep_unknown"),
            RefError::Unknown { .. } => (Code::NotFound, "trial_unknown"),
            RefError::Ambiguous { .. } => (Code::InvalidArgument, "ambiguous_id"),
        };
        status(code, reason, error.to_string())
    }
}

/// The id of a sweep that is submitted to a project: that of the same file there, else a new one. What another project has, and the
/// caller may not see, is not there; what they may see is not done again without their knowing.
pub(super) fn fresh(
    state: &State,
    caller: &Identity,
    canonical: &str,
    run: &str,
    project: &str,
) -> Result<SweepId, Status> {
    let plain = SweepId::derive(canonical, run);
    let own = SweepId::derive(canonical, &format!("{run}\n{project}"));
    match state.sweep(plain) {
        Some(sweep) if sweep.project == project || state.sweep(own).is_some() => {
            Ok(if sweep.project == project { plain } else { own })
        }
        Some(sweep) if caller.sees(sweep) => {
            let text = format!(
                "this file was submitted before, as {} in project {}, not {project}: `sweepctl move {} --project {project}` \
                 takes it along, `--run NAME` does all of it again",
                sweep.name, sweep.project, sweep.name
            );
            Err(status(Code::FailedPrecondition, "sweep_elsewhere", text))
        }
        Some(_) => Ok(own),
        None => Ok(plain),
    }
}

/// The position of the sweep that `text` names.
///
/// # Errors
/// When there is none or several.
pub(super) fn sweep(state: &State, text: &str, caller: &Identity) -> Result<u32, RefError> {
    let position = |id: SweepId| state.sweeps.iter().position(|sweep| sweep.id == id).map(|at| at as u32);
    if let Some(at) = state.sweep_named(text).filter(|sweep| caller.sees(sweep)).and_then(|sweep| position(sweep.id)) {
        return Ok(at);
    }
    // What somebody may not see is not there: not in hints either.
    let seen = || (0u32..).zip(&state.sweeps).filter(|(_, sweep)| caller.sees(sweep));
    let unknown = || {
        let names = seen().map(|(_, sweep)| sweep.name.as_str());
        RefError::Unknown { what: "sweep", text: shown(text), nearest: nearest(text, names).map(str::to_owned) }
    };
    let (low, high) = range(text).ok_or_else(unknown)?;
    let matching = seen().filter(|(_, sweep)| (low..=high).contains(&sweep.id.0));
    match matching.clone().count() {
        0 => Err(unknown()),
        1 => Ok(matching.map(|(at, _)| at).next().unwrap_or_default()),
        _ => {
            let shown_of = matching.map(|(_, sweep)| format!("{} ({})", sweep.id, sweep.name));
            Err(RefError::Ambiguous { what: "sweep", text: shown(text), candidates: shown_of.take(LISTED).collect() })
        }
    }
}

/// Where the trial is that `text` names.
///
/// # Errors
/// When there is none or several.
pub(super) fn trial(state: &State, text: &str, caller: &Identity) -> Result<TrialRef, RefError> {
    let unknown = || RefError::Unknown { what: "trial", text: shown(text), nearest: None };
    let (low, high) = range(text).ok_or_else(unknown)?;
    let between = state.trials_between(TrialId::from(low), TrialId::from(high));
    let mut matching = between.filter(|(_, at)| caller.sees(state.sweep_of(*at))).take(LISTED + 1).peekable();
    let Some((first, at)) = matching.next() else { return Err(unknown()) };
    if matching.peek().is_none() {
        return Ok(at);
    }
    let candidates = std::iter::once(first).chain(matching.map(|(id, _)| id)).take(LISTED).map(|id| id.to_string());
    Err(RefError::Ambiguous { what: "trial", text: shown(text), candidates: candidates.collect() })
}

/// The ids that start with these hex digits; `None` if these are not enough of them.
fn range(text: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = text.chars().filter(|digit| *digit != '-').collect();
    if !(SHORTEST..=32).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |fill: char| {
        let text: String = digits.chars().chain(std::iter::repeat(fill)).take(32).collect();
        Uuid::parse_str(&text).ok()
    };
    Some((filled('0')?, filled('f')?))
}

/// Not more of what was typed than a line takes.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
