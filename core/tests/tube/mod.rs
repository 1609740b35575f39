//! One transaction of a coordinator in a test tube, as the actor makes them: commands, what follows from them, and
//! all of it in the journal with one time. Shared by the tests that tell stories.

use sweep_core::decide::Core;
use sweep_core::event::Event;
use sweep_core::time::Timestamp;

/// Does `work`, settles, and writes down what came of it.
pub(crate) fn transact<R>(
    core: &mut Core,
    now: Timestamp,
    journal: &mut Vec<(Timestamp, Event)>,
    work: impl FnOnce(&mut Core, &mut Vec<Event>) -> R,
) -> R {
    let mut events = Vec::new();
    let done = work(core, &mut events);
    core.settle(now, &mut events);
    journal.extend(events.into_iter().map(|event| (now, event)));
    done
}
