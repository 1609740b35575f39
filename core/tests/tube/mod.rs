//! One transaction of a coordinator in a test tube, as the actor makes them: commands, what follows from them, and
//! all of it in the journal with one time. Shared by the tests that tell stories. A snapshot of the state before it stands in
//! for all events until then.

use sweep_core::decide::Core;
use sweep_core::event::Event;
use sweep_core::state::State;
use sweep_core::time::Timestamp;

/// Does `work`, settles, and writes down what came of it. Whoever begins with a snapshot has come to the same state.
pub(crate) fn transact<R>(
    core: &mut Core,
    now: Timestamp,
    journal: &mut Vec<(Timestamp, Event)>,
    work: impl FnOnce(&mut Core, &mut Vec<Event>) -> R,
) -> R {
    let mut events = Vec::new();
    // Not each time: large states take a while.
    let twin = journal.len().is_multiple_of(8).then(|| reread(core.state()));
    let done = work(core, &mut events);
    core.settle(now, &mut events);
    if let Some(mut twin) = twin {
        events.iter().for_each(|event| twin.apply(event, now));
        assert_same(&twin, core.state());
    }
    journal.extend(events.into_iter().map(|event| (now, event)));
    done
}

/// The state as it is after it was written into a snapshot and read again.
pub(crate) fn reread(state: &State) -> State {
    let bytes = rmp_serde::to_vec_named(state).expect("memory takes any write");
    let read: State = rmp_serde::from_slice(&bytes).expect("what was written can be read");
    assert_same(&read, state);
    read
}

/// Equal in everything, the place in the history included.
fn assert_same(one: &State, other: &State) {
    assert!(one == other, "a snapshot changes the state: {one:#?} is not {other:#?}");
    assert_eq!(one.lineage.position(), other.lineage.position());
}
