//! Which checkpoints to keep. Returns the set to keep and never deletes: deleting is a set
//! difference, done where the files are.

use std::collections::BTreeSet;

use crate::state::State;
use crate::state::sweep::Sweep;
use crate::state::trial::Trial;

/// The sweeps with a trial that refers to a blob.
pub fn owners<'a>(state: &'a State, sha256: &'a str) -> impl Iterator<Item = &'a Sweep> + 'a {
    let refers = move |trial: &Trial| trial.checkpoints().any(|checkpoint| checkpoint.sha256 == sha256);
    state.sweeps.iter().filter(move |sweep| sweep.trials.iter().any(refers))
}

/// The hashes of all blobs that some trial refers to: its newest and its best checkpoint, the best that a next attempt would start
/// with, and, until it is over, the checkpoint before the newest.
pub fn keep(state: &State) -> BTreeSet<String> {
    let checkpoints = state.sweeps.iter().flat_map(|sweep| &sweep.trials).flat_map(Trial::checkpoints);
    checkpoints.map(|checkpoint| checkpoint.sha256.clone()).collect()
}

/// Those of some blobs that no trial refers to.
pub fn unused(state: &State, mut some: BTreeSet<String>) -> BTreeSet<String> {
    for checkpoint in state.sweeps.iter().flat_map(|sweep| &sweep.trials).flat_map(Trial::checkpoints) {
        some.remove(&checkpoint.sha256);
    }
    some
}

/// The hashes of the checkpoints that trials which are not over would go on from.
pub fn resumes(state: &State) -> BTreeSet<String> {
    let open = state.sweeps.iter().flat_map(|sweep| &sweep.trials).filter(|trial| !trial.phase.is_terminal());
    let kept = open.filter_map(|trial| trial.progress.as_deref()?.last_checkpoint.as_deref());
    kept.map(|kept| kept.checkpoint.sha256.clone()).collect()
}
