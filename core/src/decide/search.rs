//! Model-based search: when a sweep gets its next point. In the transaction of the event that makes room for it, so that a restart
//! proposes the same.

use crate::event::Event;
use crate::search::propose;
use crate::state::State;

/// The next point, once nothing of the sweep waits for a slot any more: what is chosen later knows more. One is always ready as long as so
/// many may be under way, so that the sweep has a place among those that wait.
pub(super) fn due(state: &State, number: u32) -> Option<Event> {
    let sweep = &state.sweeps[number as usize];
    let search = sweep.plan.search.as_deref().filter(|_| sweep.is_searching() && sweep.counts.waiting == 0)?;
    // Those at a rung have a value there; of those that wait for other seeds nothing is known yet.
    let has_value = sweep.racing.as_deref().is_none_or(|racing| racing.race.stop().rule.pauses());
    let paused = if has_value { 0 } else { sweep.counts.paused };
    let (under_way, seeds) = (sweep.counts.running + sweep.counts.backoff + paused, sweep.plan.seeds.len() as u32);
    let full = sweep.plan.limits.max_parallel.is_some_and(|most| sweep.counts.running >= most);
    if full || under_way >= search.knobs.outstanding.saturating_mul(seeds) {
        return None;
    }
    Some(match propose(sweep, search) {
        Some(next) => {
            let (settings, from) = (next.settings, next.from);
            Event::PointProposed { sweep: sweep.id, point: sweep.plan.points, settings, from }
        }
        None => Event::SearchEnded { sweep: sweep.id },
    })
}
