//! The end of the journal was lost: a coordinator that stands behind its agents decides nothing, and afterwards nothing
//! is done twice or thrown away.

use sweep_core::attempt::{CheckpointKind, FailureClass};
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, Effect, EffectKind, EffectResult, Reject, Reply, Verdict};
use sweep_core::decide::{Core, LEASE_TIME};
use sweep_core::event::Event;
use sweep_core::id::Lease;
use sweep_core::lineage::{Acceptance, Position};
use sweep_core::notice;
use sweep_core::plan::Limits;
use sweep_core::state::State;
use sweep_core::time::Span;

use crate::lab::*;

impl Lab {
    /// A coordinator that was started on the first `events` of the journal.
    fn restored(&self, events: usize) -> Self {
        let journal = self.journal[..events].to_vec();
        let mut state = State::default();
        journal.iter().for_each(|(at, event)| state.apply(event, *at));
        Self { core: Core::new(state, self.now), now: self.now, journal }
    }

    fn accept(&mut self) {
        assert_eq!(self.ask(Command::AcceptRollback { user: "root".into() }), Reply::Changed(1));
    }
}

fn legal(lab: &Lab) {
    let mut auditor = Auditor::new();
    lab.journal.iter().for_each(|(_, event)| auditor.read(event));
    assert_eq!(auditor.all().violations, []);
    lab.core.state().check().unwrap();
}

/// One trial runs on agent 1; then the backup; then it makes another epoch. Returns its lease and how many events the backup has.
fn lost_an_epoch() -> (Lab, Lease, usize) {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    lab.submit(plan("a", 1, Limits::default()));
    let lease = lab.leases(1)[0];
    lab.epoch(1, lease, 1, 1, 0.5);
    let backup = lab.journal.len();
    lab.epoch(1, lease, 2, 2, 0.6);
    (lab, lease, backup)
}

/// As before; then it fails, and goes on as attempt 2. Returns the two leases and how many events the backup has.
fn lost_an_attempt() -> (Lab, Lease, Lease, usize) {
    let (mut lab, first, backup) = lost_an_epoch();
    lab.checkpoint(1, first, CheckpointKind::Last, 2, 2);
    lab.fail(1, first, FailureClass::Host, 2);
    lab.pass(Span::seconds(600));
    lab.hello(facts(1, 1, 1), &[]);
    lab.pass(Span::seconds(1));
    let second = lab.leases(1)[0];
    assert_eq!((second.trial, second.attempt), (first.trial, 2));
    (lab, first, second, backup)
}

#[test]
fn behind_its_agents_nothing_is_decided_until_an_admin_says_so() {
    let (lab, _, second, backup) = lost_an_attempt();
    let seen = lab.position();
    let mut lab = lab.restored(backup);
    assert_eq!(lab.hello_seen(facts(1, 1, 1), &[second], seen), [Verdict::Hold]);
    let events: Vec<Event> = lab.journal[backup..].iter().map(|(_, event)| event.clone()).collect();
    assert!(
        matches!(events.as_slice(), [Event::RollbackSuspected(found)] if found.events == seen.events),
        "{events:?}"
    );
    let news = notice::of(lab.core.state(), &events, lab.now);
    assert!(news.len() == 1 && news[0].text.contains("safe mode") && news[0].text.contains("accept-rollback"));

    // Neither time, nor a free agent, nor people, nor reports change anything.
    let refused = |reply: Reply| matches!(reply, Reply::Rejected(Reject::SafeMode(_)));
    lab.hello(facts(2, 4, 1), &[]);
    lab.pass(Span(2 * LEASE_TIME.0));
    assert!(refused(lab.submit(plan("b", 1, Limits::default()))));
    let effects = vec![Effect { lease: second, what: EffectKind::Metrics(vec![]) }];
    assert!(refused(lab.seen(seen, Command::Report { agent: agent(1), effects: effects.clone() })));
    assert!(refused(lab.ask(Command::Report { agent: agent(1), effects })));
    assert_eq!(lab.seen(seen, Command::Heartbeat { agent: agent(1), known: vec![second] }), Reply::Noted);
    // Nor does a restart.
    let mut lab = lab.restored(lab.journal.len());
    assert_eq!(lab.hello_seen(facts(1, 1, 1), &[second], seen), [Verdict::Hold]);
    assert_eq!(lab.journal.len(), backup + 1, "it is written down once, and nothing after it");
    // Somebody who has seen even more says so.
    let further = Position { events: seen.events + 3, ..seen };
    lab.hello_seen(facts(2, 4, 1), &[], further);
    assert_eq!(lab.journal.len(), backup + 2);
    assert!(lab.core.state().lineage.words().unwrap().contains(&format!("{} events", further.events)));
    lab.accept();
    assert_eq!(lab.ask(Command::AcceptRollback { user: "root".into() }), Reply::Changed(0), "once is enough");
    legal(&lab);
}

#[test]
fn what_was_lost_is_kept_and_done_again_under_the_same_numbers() {
    let (lab, first, second, backup) = lost_an_attempt();
    let seen = lab.position();
    let mut lab = lab.restored(backup);
    lab.hello_seen(facts(1, 1, 1), &[second], seen);
    lab.accept();
    // Everybody has to say again what they hold.
    let beat = Command::Heartbeat { agent: agent(1), known: vec![second] };
    assert_eq!(lab.seen(seen, beat), Reply::Rejected(Reject::AgentUnknown(agent(1))));
    // The first attempt is alive in what is left, but the agent has not had it for long; the second was never granted.
    assert_eq!(lab.hello_seen(facts(1, 1, 1), &[second], seen), [Verdict::Unknown]);
    lab.pass(Span::seconds(1));
    assert_eq!(lab.leases(1), [second], "the same numbers, another attempt");
    assert!(lab.core.state().leased(first).is_none());
    // What the lost one still says is not taken for the new one's, neither late nor from the greeting of another process.
    let late =
        Command::Report { agent: agent(1), effects: vec![Effect { lease: second, what: EffectKind::Metrics(vec![]) }] };
    assert_eq!(lab.seen(seen, late), Reply::Rejected(Reject::AgentUnknown(agent(1))));
    assert_eq!(lab.hello_seen(facts(1, 1, 2), &[second], seen), [Verdict::Unknown]);
    let here = lab.position();
    lab.pass(Span::seconds(1));
    let again = lab.leases(1)[0];
    assert_eq!(lab.hello_seen(facts(1, 1, 2), &[again], here), [Verdict::Continue { acked_seq: 0 }]);
    for seq in 1..=3 {
        assert_eq!(lab.epoch(1, again, seq, seq as u32, 0.5), EffectResult::Accepted { acked_seq: seq });
    }
    legal(&lab);
}

#[test]
fn an_attempt_from_before_the_loss_goes_on() {
    let (lab, lease, backup) = lost_an_epoch();
    let seen = lab.position();
    let mut lab = lab.restored(backup);
    assert_eq!(lab.hello_seen(facts(1, 1, 1), &[lease], seen), [Verdict::Hold]);
    lab.accept();
    assert_eq!(lab.hello_seen(facts(1, 1, 1), &[lease], seen), [Verdict::Continue { acked_seq: 1 }]);
    assert_eq!(lab.epoch(1, lease, 2, 2, 0.6), EffectResult::Accepted { acked_seq: 2 });
    legal(&lab);
}

#[test]
fn another_journal_and_an_older_place_prove_nothing() {
    let (lab, ..) = lost_an_attempt();
    let here = lab.position();
    let mut lab = lab.restored(lab.journal.len());
    let events = lab.journal.len();
    for seen in [
        here,
        Position { events: 1, ..here },
        Position { journal: uuid::Uuid::from_u128(9), generation: 7, events: 1 << 40, run: None },
    ] {
        assert!(!lab.core.state().lineage.is_behind(seen), "{seen:?}");
        lab.hello_seen(facts(2, 1, 1), &[], seen);
    }
    assert!(lab.core.state().lineage.suspicion.is_none() && lab.journal.len() >= events);
    // A second loss, of what was accepted after the first one, is seen by its generation.
    assert!(lab.core.state().lineage.is_behind(Position { generation: 1, events: 1, ..here }));
    // A number that nobody can have come to honestly would leave none for the next one.
    assert!(!lab.core.state().lineage.is_behind(Position { generation: u32::MAX, events: 1, ..here }));
}

/// What is lost and replaced by other events is lost all the same: how many there are proves nothing.
#[test]
fn a_loss_is_noticed_after_as_many_other_events() {
    let start = || Command::Start { build: "1".into() };
    let mut lab = Lab::new();
    lab.ask(start());
    lab.hello(facts(1, 1, 1), &[]);
    lab.submit(plan("a", 1, Limits::default()));
    let first = lab.position();
    lab.pass(Span::seconds(1));
    lab.ask(start());
    let lease = lab.leases(1)[0];
    for seq in 1..=6 {
        lab.epoch(1, lease, seq, seq as u32, 0.5);
    }
    let all = lab.journal.len();
    let run = lab.position().run;
    assert!(run.is_some() && run != first.run);
    for kept in first.events as usize..=all {
        let mut after = lab.restored(kept);
        after.pass(Span::seconds(1));
        after.ask(start());
        // Others come first, and do more than was lost.
        (0..8).for_each(|number| drop(after.submit(plan(&format!("b{number}"), 1, Limits::default()))));
        assert!(after.position().events > all as u64);
        let lineage = &after.core.state().lineage;
        for events in first.events + 1..=all as u64 {
            let seen = Position { events, run, ..first };
            assert_eq!(lineage.is_behind(seen), events > kept as u64, "{events} seen, {kept} kept");
        }
        assert!(!lineage.is_behind(first) && !lineage.is_behind(after.position()));
        let seen = lab.position();
        let verdicts = after.hello_seen(facts(1, 1, 1), &[lease], seen);
        assert_eq!(verdicts == [Verdict::Hold], kept < all, "{kept} kept: {verdicts:?}");
        if kept < all {
            let words = after.core.state().lineage.words().unwrap();
            assert!(words.contains("events that are not in it any more"), "{words}");
            // A restart is no decision.
            after.ask(start());
            after.accept();
        }
        legal(&after);
    }
}

#[test]
fn the_oracle_sees_who_decides_all_the_same() {
    let (lab, _, second, backup) = lost_an_attempt();
    let seen = lab.position();
    let mut lab = lab.restored(backup);
    lab.hello_seen(facts(1, 1, 1), &[second], seen);
    let broken = |events: &[Event]| {
        let mut auditor = Auditor::new();
        lab.journal.iter().map(|(_, event)| event).chain(events).for_each(|event| auditor.read(event));
        auditor.all().violations.iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    let accepted = |generation| Event::RollbackAccepted(Acceptance { user: "root".into(), generation });
    assert_eq!(broken(&[Event::RetryDue { trial: second.trial }]), ["not_safe"]);
    assert_eq!(broken(&[accepted(0)]), ["generation_wrong"]);
    assert_eq!(broken(&[accepted(1), accepted(2)]), ["generation_wrong"]);
    assert_eq!(broken(&[accepted(1)]), [""; 0]);
}
