//! Results of earlier sweeps that whoever asks may see: found here, decided by core when they are taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use sweep_core::id::SweepId;
use sweep_core::plan::Plan;
use sweep_core::reuse::{Found, Wanted, find, refused as refuses};
use sweep_core::state::TrialRef;
use sweep_core::state::sweep::Sweep;
use sweep_proto::status::status;
use sweep_proto::v1;
use tonic::{Code, Status};

use super::{Edge, refused};
use crate::access::identity::Identity;

/// What there is for the trials of a plan from `first` on; `of` is its sweep, if there is one.
pub(super) async fn offers(
    edge: &Edge,
    identity: &Identity,
    plan: &Arc<Plan>,
    first: u32,
    of: Option<SweepId>,
) -> Result<Vec<Found>, Status> {
    let (identity, plan) = (identity.clone(), plan.clone());
    let sees = identity.clone();
    let any = edge.handle.query(move |view| {
        let trained = |sweep: &Sweep| sweep.counts.completed > sweep.reused && !sweep.origins.programs.is_empty();
        view.core.state().sweeps.iter().any(|sweep| Some(sweep.id) != of && trained(sweep) && sees.sees(sweep))
    });
    if !any.await.map_err(refused)? {
        return Ok(Vec::new());
    }
    let planned = plan.clone();
    let wanted = edge.compute(move || Wanted::of(&planned, first)).await?;
    let found = edge.handle.query(move |view| {
        let state = view.core.state();
        find(state, &plan, &wanted, of.and_then(|id| state.sweep(id)), |sweep| identity.sees(sweep))
    });
    found.await.map_err(refused)
}

/// How many of each sweep.
pub(super) fn by_sweep(found: &[Found]) -> Vec<v1::Reusable> {
    let mut sums = BTreeMap::<&str, u64>::new();
    found.iter().for_each(|found| *sums.entry(&found.sweep).or_default() += 1);
    sums.into_iter().map(|(sweep, trials)| v1::Reusable { sweep: sweep.to_owned(), trials }).collect()
}

/// What core is asked to take; nothing unless somebody wants that.
///
/// # Errors
/// When it is wanted for a plan that takes no results of others.
pub(super) fn wanted(
    found: &[Found],
    wanted: bool,
    plan: &Plan,
) -> Result<Vec<(u32, sweep_core::id::TrialId)>, Status> {
    match refuses(plan).filter(|_| wanted) {
        Some(why) => {
            let text = format!("the sweep takes no results of earlier ones: {why}; submit it without --reuse");
            Err(status(Code::FailedPrecondition, "reuse_refused", text))
        }
        None if wanted => Ok(found.iter().map(|found| (found.index, found.origin)).collect()),
        None => Ok(Vec::new()),
    }
}

/// Trials of a sweep whose results are those of others: by the sweep that trained them, their places there and here.
pub(super) fn places(sweep: &Sweep) -> BTreeMap<u32, BTreeMap<u32, Vec<u32>>> {
    let mut places = BTreeMap::<u32, BTreeMap<u32, Vec<u32>>>::new();
    let origin = |trial: &sweep_core::state::trial::Trial| trial.progress.as_ref()?.origin;
    for (index, TrialRef { sweep, index: there }) in
        (0u32..).zip(&sweep.trials).filter_map(|(index, trial)| Some((index, origin(trial)?)))
    {
        places.entry(sweep).or_default().entry(there).or_default().push(index);
    }
    places
}
