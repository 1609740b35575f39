//! Orders are a projection: what an agent should run follows from the state. Nothing is queued, so
//! a lost message costs a round trip and nothing else.

use crate::alike;
use crate::event::Checkpoint;
use crate::id::{AgentId, Lease};
use crate::plan::RecipeError;
use crate::recipe::{Numerics, Recipe};
use crate::state::{State, TrialRef};

/// One lease that an agent should be running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Trial and attempt.
    pub lease: Lease,
    /// On which slot.
    pub slot: u32,
    /// Where the trial is kept.
    pub at: TrialRef,
    /// The epoch after which its trainer waits until it is told to go on or to leave; nothing: it trains to its end.
    pub until: Option<u32>,
}

/// Everything `agent` should be running, by slot. Cancelled trials and those that give way are left out:
/// what an agent runs and does not find here, it stops.
pub fn orders(state: &State, agent: AgentId) -> Vec<Wanted> {
    let Some(agent) = state.agents.get(&agent) else { return Vec::new() };
    let wanted = |(slot, lease): (u32, &Option<Lease>)| {
        let lease = (*lease)?;
        let (at, leased) = state.leased(lease)?;
        leased.is_wanted().then(|| Wanted { lease, slot, at, until: state.sweep_of(at).waits_at(at.index) })
    };
    (0u32..).zip(&agent.slots).filter_map(wanted).collect()
}

/// What a lease trains and where it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// What to train.
    pub recipe: Recipe,
    /// The newest checkpoint, if there is one.
    pub resume: Option<Checkpoint>,
    /// The best checkpoint, if it is another one.
    pub best: Option<Checkpoint>,
    /// The copy of the data set that it was granted for; the trainer refuses another one.
    pub fingerprint: Option<String>,
    /// What the sweep computes with, if that was left open and is decided.
    pub numerics: Option<Numerics>,
    /// The name of those trials that share what a host finds out while it is not.
    pub alike: Option<String>,
    /// Only about so many steps of each epoch: a probe.
    pub probe_steps: Option<u32>,
}

/// The order behind a wanted lease.
///
/// # Errors
/// When the plan is damaged; `expand` makes none that are.
pub fn order(state: &State, at: TrialRef) -> Result<Order, RecipeError> {
    let recipe = state.sweep_of(at).plan.recipe(at.index)?;
    let progress = state.trial(at).progress.as_ref();
    let resume = progress.and_then(|progress| progress.last_checkpoint.as_ref()).map(|kept| kept.checkpoint.clone());
    let best = progress.and_then(|progress| progress.best_checkpoint.clone());
    let best = best.filter(|best| resume.as_ref().is_some_and(|resume| resume.sha256 != best.sha256));
    let fingerprint = state.trial(at).leased().and_then(|leased| leased.fingerprint.clone());
    let sweep = state.sweep_of(at);
    let key = alike::key(&sweep.plan, at.index);
    let numerics = key.as_ref().and_then(|key| sweep.choices.made(key));
    let alike = key.map(|key| alike::name(sweep.id, &key));
    let probe_steps = sweep.plan.limits.probe_steps;
    Ok(Order { recipe, resume, best, fingerprint, numerics, alike, probe_steps })
}
