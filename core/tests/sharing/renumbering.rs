//! A host that counts its GPUs anew, or lacks some of them for a while.

use sweep_core::command::{Command, Reply};
use sweep_core::device::{DeviceFacts, HoldChange, HoldKind, Offer};
use sweep_core::event::{AgentFacts, Event, LossCause};
use sweep_core::plan::Limits;
use sweep_core::time::Span;

use crate::lab::{Lab, agent_id};

/// `host1` starts again with these of its first GPUs, of so many slots each, and holds on to what it runs.
fn anew(lab: &Lab) -> impl FnMut(&mut Lab, u32, &[usize]) + use<> {
    let facts = lab.core.state().agents[&agent_id(1)].facts.clone();
    let mut incarnation = facts.incarnation;
    move |lab, each, gpus| {
        incarnation += 1;
        let mut slots = 0..;
        let mut device = |gpu: &usize| {
            let known = &facts.offer.devices[*gpu];
            DeviceFacts { slots: slots.by_ref().take(each as usize).collect(), ..known.clone() }
        };
        let offer = Offer { devices: gpus.iter().map(&mut device).collect(), ..facts.offer.clone() };
        let slots = vec!["gpu".into(); gpus.len() * each as usize];
        let facts = AgentFacts { slots, offer, incarnation, ..facts.clone() };
        let held: Vec<_> = lab.held().into_iter().map(|(_, lease)| lease).collect();
        // The first hello of a start is asked for again, until a heartbeat tells that there is no more to say.
        lab.ask(Command::Hello { facts: facts.clone(), held: held.clone() });
        lab.pass(Span::seconds(1));
        lab.ask(Command::Hello { facts, held });
    }
}

#[test]
fn what_is_held_on_a_device_stays_with_it_when_the_host_counts_anew() {
    for each in [1, 2] {
        let mut lab = Lab::new(&[]);
        lab.gpus(3, each);
        let mut joins = anew(&lab);
        let closed = |lab: &Lab| {
            let agent = &lab.core.state().agents[&agent_id(1)];
            let closed = |device: &&DeviceFacts| agent.block(device.slots[0], lab.now).is_some();
            agent.facts.offer.devices.iter().filter(closed).map(|device| device.id.clone()).collect::<Vec<_>>()
        };
        // The second GPU is in repair.
        lab.hold("host1", Some(each), HoldKind::Cordon, None);
        lab.submit(("p", "ann"), 1, Limits::default());
        for (gpus, expected) in [
            (&[1, 2][..], &["gpu1-1"][..]),
            (&[0, 2], &[]),
            (&[2, 1, 0], &["gpu1-1"]),
            (&[], &[]),
            (&[0, 1, 2], &["gpu1-1"]),
        ] {
            joins(&mut lab, each, gpus);
            assert_eq!(closed(&lab), expected, "{gpus:?}");
            lab.check();
        }
        // Whoever trusts the whole host trusts what is away, too.
        joins(&mut lab, each, &[0, 2]);
        lab.lift("host1", None);
        joins(&mut lab, each, &[0, 1, 2]);
        assert_eq!(closed(&lab), [""; 0]);
    }
}

/// Its GPU has another number, or is gone: what it does from now on would be said of another one. Who keeps its number goes on.
#[test]
fn a_trial_whose_device_is_counted_anew_begins_again_elsewhere() {
    let mut lab = Lab::new(&[]);
    lab.gpus(3, 1);
    lab.submit(("p", "ann"), 3, Limits::default());
    let held = lab.held();
    held.iter().for_each(|(_, lease)| lab.checkpoint(1, *lease));
    let mut joins = anew(&lab);
    let attempts = |lab: &Lab| lab.held().iter().map(|(_, lease)| lease.attempt).collect::<Vec<_>>();
    assert_eq!(attempts(&lab), [1, 1, 1]);
    joins(&mut lab, 1, &[0, 2]);
    assert_eq!(attempts(&lab), [1, 2], "the second slot is on the third GPU now");
    let gone = |(_, event): &&(_, Event)| matches!(event, Event::LeaseLost { cause: LossCause::SlotGone, .. });
    assert_eq!(lab.journal.iter().filter(gone).count(), 2);
    lab.check();
    joins(&mut lab, 1, &[0, 2]);
    assert_eq!(attempts(&lab), [1, 2], "nothing changed");
    lab.check();
}

/// What is called off for a host is called off for the GPUs that it does not have now; of two holds that become one the longer stays.
#[test]
fn what_is_kept_for_a_device_that_is_away_is_called_off_and_kept_with_the_rest() {
    let mut lab = Lab::new(&[]);
    lab.gpus(2, 2);
    let mut joins = anew(&lab);
    let (kind, reason, from) = (HoldKind::Maintenance, "fans".to_owned(), Some(lab.now + Span::seconds(600)));
    let set = HoldChange::Set { kind, reason, span: Some(Span::seconds(60)), from };
    let hold = |slot, change| Command::Hold { user: "root".into(), host: "host1".into(), slot, change };
    assert_eq!(lab.ask(hold(Some(2), set)), Reply::Changed(0));
    joins(&mut lab, 2, &[0]);
    assert_eq!(lab.ask(hold(None, HoldChange::CallOff { from: None })), Reply::Changed(1));
    assert_eq!(lab.ask(hold(None, HoldChange::CallOff { from: None })), Reply::Changed(0));
    joins(&mut lab, 2, &[0, 1]);
    assert!(lab.core.state().agents[&agent_id(1)].devices.is_open());
    lab.check();

    lab.hold("host1", Some(2), HoldKind::Yield, Some(Span::seconds(1_000_000)));
    lab.hold("host1", Some(3), HoldKind::Yield, Some(Span::seconds(3600)));
    joins(&mut lab, 2, &[0]);
    joins(&mut lab, 1, &[0, 1]);
    lab.pass(Span::seconds(7200));
    let agent = &lab.core.state().agents[&agent_id(1)];
    assert!(agent.block(1, lab.now).is_some(), "the longer one");
}
