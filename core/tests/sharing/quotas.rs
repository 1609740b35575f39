//! Quotas: never exceeded by a grant, and nothing else is held up by them.

use proptest::prelude::*;
use sweep_core::command::{Command, Reply};
use sweep_core::device::HoldKind;
use sweep_core::id::Lease;
use sweep_core::plan::Limits;
use sweep_core::queue::waiting;
use sweep_core::shares::{Change, OPEN_TRIALS, Patch};
use sweep_core::state::State;
use sweep_core::time::Span;

use crate::lab::Lab;

fn slots(slots: u32) -> Patch {
    Patch { slots: Some(Some(slots)), ..Patch::default() }
}

#[test]
fn slots_at_once_hold_for_a_user_and_for_a_project() {
    let mut lab = Lab::new(&[9]);
    lab.set(Change::User("ann".into(), slots(2)));
    lab.set(Change::Project("vision".into(), slots(3)));
    lab.submit(("vision", "ann"), 9, Limits::default());
    lab.submit(("text", "ann"), 9, Limits::default());
    assert_eq!(lab.slots("ann"), 2, "over all projects");
    lab.submit(("vision", "bob"), 9, Limits::default());
    assert_eq!(lab.slots("bob"), 1 + u32::from(lab.by_member()[&("vision".into(), "ann".into())] == 1));
    lab.submit(("text", "cy"), 9, Limits::default());
    assert_eq!(lab.held().len(), 9, "others get the rest");
    // A quota that is lowered takes nothing away, one that is lifted gives at once.
    lab.set(Change::User("cy".into(), slots(0)));
    assert_eq!(lab.held().len(), 9);
    lab.check();
}

#[test]
fn device_hours_of_a_week_come_back() {
    let mut lab = Lab::new(&[2]);
    lab.set(Change::User("ann".into(), Patch { device_hours: Some(Some(10)), ..Patch::default() }));
    lab.submit(("p", "ann"), 99, Limits::default());
    let finish = |lab: &mut Lab| lab.leases(1).into_iter().for_each(|lease| lab.done(1, lease));
    let mut hours = 0;
    while lab.slots("ann") > 0 {
        lab.pass(Span::hours(1));
        finish(&mut lab);
        hours += 1;
    }
    assert_eq!(hours, 5, "two devices use ten hours in five");
    lab.submit(("p", "bob"), 1, Limits::default());
    assert_eq!(lab.slots("bob"), 1);
    lab.pass(Span::hours(24 * 7 - 6));
    assert_eq!(lab.slots("ann"), 0);
    lab.pass(Span::hours(1));
    assert_eq!(lab.slots("ann"), 1);
    lab.check();
}

#[test]
fn a_setting_that_cannot_be_changes_nothing_and_the_same_again_is_not_written_down() {
    let mut lab = Lab::new(&[1]);
    let before = lab.journal.len();
    let patch = Patch { share: Some(u32::MAX), ..Patch::default() };
    let reply = lab.ask(Command::SetShares { user: "root".into(), change: Change::User("ann".into(), patch) });
    let Reply::Rejected(reject) = reply else { panic!("{reply:?}") };
    assert_eq!(reject.reason(), "setting_invalid");
    assert!(reject.to_string().ends_with("is not allowed: use 0 to 1000"), "{reject}");
    assert_eq!(lab.journal.len(), before);
    lab.set(Change::User("ann".into(), slots(3)));
    lab.set(Change::User("ann".into(), slots(3)));
    assert_eq!(lab.journal.len(), before + 1);
    lab.check();
}

#[test]
fn a_journal_of_before_there_were_projects_stays_readable() {
    let mut lab = Lab::new(&[1]);
    lab.submit(("default", "ann"), 2, Limits::default());
    let state = lab.journal.iter().fold(State::default(), |mut state, (at, event)| {
        let mut json = serde_json::to_value(event).unwrap();
        if let Some(submitted) = json.get_mut("sweep_submitted") {
            assert_eq!(submitted.as_object_mut().unwrap().remove("project"), Some("default".into()));
        }
        state.apply(&serde_json::from_value(json).unwrap(), *at);
        state
    });
    assert_eq!(&state, lab.core.state());
}

#[test]
fn one_user_does_not_fill_the_memory_with_what_waits() {
    let mut lab = Lab::new(&[2]);
    assert_eq!(lab.core.state().accounts.shares.open_trials("ann"), OPEN_TRIALS);
    lab.set(Change::User("ann".into(), Patch { open_trials: Some(Some(5)), ..Patch::default() }));
    let first = lab.submit(("p", "ann"), 3, Limits::default());
    let submit = |lab: &mut Lab, user: &str, trials| {
        let owner = ("q", user);
        lab.try_submit_for(owner, trials)
    };
    let Reply::Rejected(reject) = submit(&mut lab, "ann", 3) else { panic!() };
    assert_eq!(reject.reason(), "quota_open_trials");
    assert!(
        reject.to_string().starts_with("ann has 3 trials that are not over, and 3 more would be over the 5"),
        "{reject}"
    );
    assert!(matches!(submit(&mut lab, "ann", 2), Reply::Submitted { .. }), "all projects together, up to the quota");
    assert!(matches!(submit(&mut lab, "bob", 3), Reply::Submitted { .. }));
    // What is over counts no longer; a quota that is lowered takes nothing back.
    lab.ask(Command::CancelSweep { sweep: first, user: "ann".into() });
    lab.set(Change::User("ann".into(), Patch { open_trials: Some(Some(2)), ..Patch::default() }));
    lab.leave();
    assert_eq!(lab.core.state().open_trials("ann"), 2);
    assert!(matches!(submit(&mut lab, "ann", 1), Reply::Rejected(_)));
    // Nor does what was cancelled come back past it.
    let retry = Command::RetrySweep { sweep: first, user: "ann".into(), cancelled: true };
    let Reply::Rejected(reject) = lab.ask(retry) else { panic!() };
    assert_eq!(reject.reason(), "quota_open_trials");
    lab.set(Change::User("ann".into(), Patch { open_trials: Some(None), ..Patch::default() }));
    assert!(matches!(submit(&mut lab, "ann", 1), Reply::Submitted { .. }));
    let Reply::Rejected(reject) = submit(&mut lab, "cy", OPEN_TRIALS + 1) else { panic!() };
    assert_eq!(reject.reason(), "quota_open_trials");
    lab.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// After anything that happens: no quota is exceeded, and a free slot means that nobody may take it.
    #[test]
    fn nothing_waits_for_nothing(
        steps in prop::collection::vec((0u32..8, 0usize..3, 0usize..2, 1u32..5), 1..40),
        sizes in prop::collection::vec(0usize..4, 1..4),
    ) {
        let mut lab = Lab::new(&sizes);
        lab.preempt_after(Some(Span(0)));
        for (what, user, project, number) in steps {
            let (user, project) = (["ann", "bob", "cy"][user], ["p", "q"][project]);
            let most = (number < 3).then_some(number);
            match what {
                0 => drop(lab.submit((project, user), number, Limits { max_parallel: most, ..Limits::default() })),
                1 => lab.set(Change::User(user.into(), Patch { slots: Some(most), ..Patch::default() })),
                2 => lab.set(Change::Project(project.into(), Patch { slots: Some(most), ..Patch::default() })),
                3 => lab.held().into_iter().take(1).for_each(|(agent, lease)| lab.done(agent, lease)),
                6 => {
                    let sweep = lab.core.state().sweeps.iter().rfind(|sweep| sweep.user == user).map(|sweep| sweep.id);
                    if let Some(sweep) = sweep {
                        lab.limit(sweep, most);
                    }
                }
                7 => {
                    let sweep = lab.core.state().sweeps.iter().find(|sweep| sweep.user == user).map(|sweep| sweep.id);
                    if let Some(sweep) = sweep {
                        lab.go(sweep, project);
                    }
                }
                4 => lab.held().into_iter().skip(1).take(2).for_each(|(agent, lease)| lab.checkpoint(agent, lease)),
                _ => drop(lab.leave()),
            }
            lab.pass(Span::seconds(1));
            let state = lab.core.state();
            let free = state.agents.values().map(|agent| agent.free).sum::<u32>();
            let reached = |most: Option<u32>, running: u64| most.is_some_and(|most| running >= u64::from(most) * 1000);
            for sweep in state.sweeps.iter().filter(|sweep| free > 0 && sweep.counts.waiting > 0) {
                let (project, user) =
                    (state.accounts.project(&sweep.project).unwrap(), state.accounts.user(&sweep.user).unwrap());
                let limits = &sweep.plan.limits;
                prop_assert!(
                    reached(limits.max_parallel, u64::from(sweep.counts.running) * 1000)
                        || reached(project.entitlement.slots, project.week.running)
                        || reached(user.entitlement.slots, user.week.running),
                    "{} waits for nothing", sweep.name
                );
            }
        }
        lab.check();
    }
}

/// The quota of the project, then that of the user, whose sweeps are in two projects.
#[test]
fn whose_store_is_full_starts_nothing_and_stops_nothing() {
    for (of, set) in [("project p", Change::Project as fn(String, Patch) -> Change), ("user ann", Change::User)] {
        let name = of.rsplit(' ').next().unwrap();
        let mut lab = Lab::new(&[2]);
        let stored = |lab: &Lab| {
            let accounts = &lab.core.state().accounts;
            let (project, user) = (accounts.project("p").unwrap().stored, accounts.user("ann").unwrap().stored);
            assert_eq!(project, user, "all of p is ann's");
            project
        };
        let storage = |most| set(name.into(), Patch { storage: Some(most), ..Patch::default() });
        lab.submit(("p", "ann"), 4, Limits::default());
        let held = lab.held();
        // One of them is in the middle of its first epoch.
        lab.checkpoint(1, held[0].1);
        lab.first_checkpoint(1, held[1].1);
        assert_eq!(stored(&lab), 2, "a byte each");
        lab.set(storage(Some(0)));
        let (_, lease) = lab.held()[0];
        for _ in 0..2 {
            lab.checkpoint(1, lease);
            assert_eq!(stored(&lab), 3, "the newest and the one before; a third takes the place of the first");
        }
        assert_eq!(lab.held().len(), 2, "what runs goes on");
        lab.done(1, lease);
        assert_eq!(stored(&lab), 2, "the one before is let go");
        assert_eq!(lab.held().len(), 1);
        let told = waiting(lab.core.state(), lab.now, |agent| lab.core.is_reachable(agent, lab.now));
        let text = format!("quota of {of} reached: 0.0 GB of 0.0 GB of checkpoints");
        assert_eq!((told[0].why.reason(), told[0].why.to_string()), ("quota_storage", text));
        goes_on_where_it_left(&mut lab);
        // A quota that a trial's end brings below its bound is not told while another keeps everything out.
        lab.set(set(name.into(), Patch { slots: Some(Some(1)), ..Patch::default() }));
        assert_eq!(waiting(lab.core.state(), lab.now, |_| true)[0].why.reason(), "quota_storage");
        lab.set(set(name.into(), Patch { slots: Some(None), ..Patch::default() }));
        lab.submit(("q", "bob"), 1, Limits::default());
        assert_eq!(lab.held().len(), 2, "others do");
        lab.set(storage(None));
        let (_, lease) = lab.held()[0];
        lab.done(1, lease);
        assert_eq!(lab.held().len(), 2);
        lab.check();
    }
}

/// Trials that had to leave their slots have their checkpoints in the store already: those go on, and nothing begins.
fn goes_on_where_it_left(lab: &mut Lab) {
    let begun = lab.held();
    lab.hold("host1", None, HoldKind::Drain, None);
    assert_eq!(lab.leave(), begun.len());
    assert_eq!(lab.held(), []);
    lab.check();
    lab.lift("host1", None);
    let again = |(agent, lease): (u128, Lease)| (agent, Lease { attempt: lease.attempt + 1, ..lease });
    assert_eq!(lab.held(), begun.into_iter().map(again).collect::<Vec<_>>(), "and nothing else");
    let told = waiting(lab.core.state(), lab.now, |agent| lab.core.is_reachable(agent, lab.now));
    assert_eq!(told.iter().map(|told| told.why.reason()).collect::<Vec<_>>(), ["quota_storage"]);
}

/// A user's quota holds over all projects: what it has in one keeps it from starting in another, and moves with a sweep.
#[test]
fn what_a_user_stores_counts_in_every_project() {
    let mut lab = Lab::new(&[2]);
    let bob = lab.submit(("p", "bob"), 1, Limits::default());
    lab.submit(("p", "ann"), 1, Limits::default());
    lab.held().into_iter().for_each(|(_, lease)| lab.checkpoint(1, lease));
    lab.held().into_iter().for_each(|(_, lease)| lab.done(1, lease));
    lab.set(Change::User("ann".into(), Patch { storage: Some(Some(0)), ..Patch::default() }));
    lab.submit(("q", "ann"), 1, Limits::default());
    assert_eq!(lab.held().len(), 0, "also where ann has nothing yet");
    lab.submit(("q", "bob"), 1, Limits::default());
    assert_eq!(lab.held().len(), 1, "others do");
    let _ = bob;
    lab.check();
}
