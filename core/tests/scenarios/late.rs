//! What an agent said once and does not mean any more is heard late, or twice: it changes nothing.

use sweep_core::command::{Command, Reject, Reply, Verdict};
use sweep_core::event::LossCause;
use sweep_core::id::Lease;
use sweep_core::lineage::Position;
use sweep_core::time::Span;

use crate::lab::*;

impl Lab {
    fn poll(&mut self, seen: Position, known: &[Lease]) -> Reply {
        self.seen(seen, Command::Heartbeat { agent: agent(1), known: known.to_vec() })
    }

    /// An agent that has been started twice and trains. Its lease, and what it had seen at its first hello and when it got its order.
    fn twice() -> (Self, Lease, [Position; 2]) {
        let mut lab = Self::new();
        lab.hello(facts(2, 1, 1), &[]);
        lab.submit(plan("a", 2, Default::default()));
        let first = lab.position();
        lab.hello_seen(facts(1, 1, 1), &[], first);
        let seen = lab.position();
        lab.hello_seen(facts(1, 1, 2), &[], seen);
        let (lease, ordered) = (lab.leases(1)[0], lab.position());
        lab.epoch(1, lease, 1, 1, 0.5);
        (lab, lease, [first, ordered])
    }
}

#[test]
fn a_late_poll_ends_nothing() {
    let (mut lab, lease, [first, ordered]) = Lab::twice();
    for seen in [first, ordered] {
        assert_eq!(lab.poll(seen, &[]), Reply::Noted);
    }
    // Nor one of before this coordinator began.
    let seen = lab.position();
    lab.restart();
    lab.hello_seen(facts(1, 1, 2), &[lease], seen);
    assert_eq!(lab.poll(ordered, &[]), Reply::Noted);
    lab.epoch(1, lease, 2, 2, 0.6);
    // It was asked to leave: whoever has never heard of it does not say that it has left.
    lab.ask(Command::CancelTrial { trial: lease.trial, user: "ann".into() });
    assert_eq!(lab.poll(ordered, &[]), Reply::Noted);
    assert_eq!(lab.losses(), []);
    let now = lab.position();
    assert_eq!(lab.poll(now, &[]), Reply::Noted);
    assert_eq!(lab.losses(), [LossCause::Stopped]);
}

#[test]
fn whoever_has_seen_its_epochs_and_does_not_name_an_attempt_has_lost_it() {
    let (mut lab, lease, _) = Lab::twice();
    let now = lab.position();
    assert_eq!(lab.poll(now, &[lease]), Reply::Noted);
    assert_eq!(lab.losses(), []);
    assert_eq!(lab.poll(now, &[]), Reply::Noted);
    assert_eq!(lab.losses(), [LossCause::Forgotten]);
    // The same in a hello of the next life.
    let (mut lab, _, _) = Lab::twice();
    let now = lab.position();
    lab.hello_seen(facts(1, 1, 3), &[], now);
    assert_eq!(lab.losses(), [LossCause::Forgotten]);
    // An agent of an earlier release says nothing about what it has seen.
    let (mut lab, lease) = Lab::training();
    lab.epoch(1, lease, 1, 1, 0.5);
    lab.ask(Command::Heartbeat { agent: agent(1), known: vec![] });
    assert_eq!(lab.losses(), [LossCause::Forgotten]);
}

#[test]
fn a_late_hello_of_an_earlier_life_changes_nothing() {
    let (mut lab, lease, [first, ordered]) = Lab::twice();
    let (events, known) = (lab.journal.len(), lab.core.state().agents[&agent(1)].clone());
    // It has lost a slot, and everything on the others, if it is believed.
    lab.hello_seen(facts(1, 0, 1), &[], first);
    assert_eq!((lab.journal.len(), &lab.core.state().agents[&agent(1)]), (events, &known));
    // Whoever lives says hello once more, and goes on.
    assert_eq!(lab.poll(ordered, &[lease]), Reply::Rejected(Reject::AgentUnknown(agent(1))));
    let here = lab.position();
    assert_eq!(lab.hello_seen(facts(1, 1, 2), &[lease], here), [Verdict::Continue { acked_seq: 1 }]);
    assert_eq!(lab.poll(here, &[lease]), Reply::Noted);
    lab.hello_seen(facts(1, 1, 2), &[], ordered);
    assert_eq!(lab.losses(), []);
}

#[test]
fn an_agent_that_was_started_again_and_has_seen_little_is_heard_at_the_second_try() {
    let (mut lab, lease, [first, _]) = Lab::twice();
    for seen in [Some(first), None] {
        let life = lab.core.state().agents[&agent(1)].facts.incarnation + 1;
        let hello = |lab: &mut Lab, seen: Option<Position>| match seen {
            Some(seen) => lab.hello_seen(facts(1, 2, life), &[lease], seen),
            None => lab.hello(facts(1, 2, life), &[lease]),
        };
        assert_eq!(hello(&mut lab, seen), [Verdict::Continue { acked_seq: 1 }]);
        assert_ne!(lab.core.state().agents[&agent(1)].facts.incarnation, life);
        let here = lab.position();
        let known = vec![lease];
        let refused = match seen {
            Some(_) => lab.poll(here, &known),
            // One that never says what it has seen (it is of an earlier release by now) is heard, too.
            None => lab.ask(Command::Heartbeat { agent: agent(1), known }),
        };
        assert_eq!(refused, Reply::Rejected(Reject::AgentUnknown(agent(1))));
        assert_eq!(hello(&mut lab, seen.map(|_| here)), [Verdict::Continue { acked_seq: 1 }]);
        assert_eq!(lab.core.state().agents[&agent(1)].facts.incarnation, life);
        lab.pass(Span::seconds(1));
    }
    assert_eq!(lab.losses(), []);
}

/// It tells nothing about what it has seen, as an agent of an earlier release.
#[test]
fn the_first_hello_of_all_changes_nothing_when_it_comes_late_however_often() {
    for restarts in [false, true] {
        let (mut lab, lease, [_, ordered]) = Lab::twice();
        if restarts {
            lab.restart();
        }
        let (events, known) = (lab.journal.len(), lab.core.state().agents[&agent(1)].clone());
        for _ in 0..3 {
            lab.hello(facts(1, 1, 1), &[]);
            assert_eq!(lab.poll(ordered, &[lease]), Reply::Rejected(Reject::AgentUnknown(agent(1))));
        }
        assert_eq!((lab.journal.len(), &lab.core.state().agents[&agent(1)]), (events, &known));
        let here = lab.position();
        assert_eq!(lab.hello_seen(facts(1, 1, 2), &[lease], here), [Verdict::Continue { acked_seq: 1 }]);
        // Nor does another one of the same start of the agent, after the lost end of the journal was accepted.
        lab.hello(facts(1, 1, 2), &[]);
        assert_eq!(lab.losses(), []);
    }
}

/// It was put back to a release that says nothing, and a poll of before is heard: it does not say hello for ever.
#[test]
fn an_agent_of_an_earlier_release_is_heard_after_a_late_poll_of_a_newer_one() {
    let (mut lab, lease, [_, ordered]) = Lab::twice();
    let silent = |lab: &mut Lab| lab.ask(Command::Heartbeat { agent: agent(1), known: vec![lease] });
    let refused = Reply::Rejected(Reject::AgentUnknown(agent(1)));
    lab.hello(facts(1, 1, 3), &[lease]);
    assert_eq!(silent(&mut lab), refused);
    lab.hello(facts(1, 1, 3), &[lease]);
    assert_eq!(silent(&mut lab), Reply::Noted);
    assert_eq!(lab.poll(ordered, &[lease]), Reply::Noted);
    // Its connection was lost.
    for _ in 0..2 {
        lab.hello(facts(1, 1, 3), &[lease]);
        silent(&mut lab);
    }
    assert_eq!(silent(&mut lab), Reply::Noted);
    assert_eq!(lab.losses(), []);
    // It has lost it.
    lab.ask(Command::Heartbeat { agent: agent(1), known: vec![] });
    assert_eq!(lab.losses(), [LossCause::Forgotten]);
}

#[test]
fn an_order_that_an_earlier_life_may_have_got_is_given_again() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    lab.submit(plan("a", 1, Default::default()));
    let (lease, here) = (lab.leases(1)[0], lab.position());
    lab.hello_seen(facts(1, 1, 2), &[], here);
    assert_eq!((lab.leases(1), lab.losses()), (vec![lease], vec![]));
}
