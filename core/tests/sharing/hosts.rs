//! Hosts whose agents were revoked: none any more, but for the history, until they join again.

use sweep_core::command::{Command, Reject, Reply};
use sweep_core::device::{HoldChange, HoldKind};
use sweep_core::event::AgentFacts;
use sweep_core::plan::Limits;
use sweep_core::queue::{Why, waiting};

use crate::lab::{Lab, agent_id};

impl Lab {
    fn dismiss(&mut self, number: u128) -> Reply {
        self.ask(Command::Dismiss { user: "root".into(), agent: agent_id(number) })
    }

    /// An agent of this number on a host of this name says hello.
    fn hello(&mut self, number: u128, host: &str) {
        self.agents = self.agents.max(number);
        let facts = AgentFacts::pretend(agent_id(number), host, 2);
        let agent = facts.agent;
        self.ask(Command::Hello { facts: facts.clone(), held: vec![] });
        if self.core.state().agents[&agent].facts != facts {
            // It does not say what it has seen, and is asked once more.
            self.ask(Command::Heartbeat { agent, known: vec![] });
            self.ask(Command::Hello { facts, held: vec![] });
        }
    }

    fn open(&mut self, host: &str) -> Reply {
        let (user, host) = ("root".into(), host.into());
        self.ask(Command::Hold { user, host, slot: None, change: HoldChange::Lift })
    }

    fn hosts(&self) -> Vec<String> {
        self.core.state().hosts().map(|(_, agent)| agent.facts.host.clone()).collect()
    }
}

#[test]
fn a_revoked_host_is_none_any_more_and_its_name_is_free() {
    let mut lab = Lab::new(&[]);
    lab.hello(1, "gpu-7");
    lab.submit(("p", "ann"), 5, Limits::default());
    lab.hello(2, "gpu-7");
    assert!(matches!(lab.open("gpu-7"), Reply::Rejected(Reject::HostAmbiguous { .. })));
    assert_eq!(lab.dismiss(1), Reply::Changed(2), "its trials go to others");
    assert_eq!(lab.hosts(), ["gpu-7"]);
    assert_eq!(lab.open("gpu-7"), Reply::Changed(0), "the one that is left");
    let known = |lab: &Lab| lab.core.state().agents[&agent_id(1)].devices.holds.len();
    assert_eq!(known(&lab), 2, "the other is not opened by it");
    let journal = lab.journal.len();
    assert_eq!((lab.dismiss(1), lab.journal.len()), (Reply::Changed(0), journal), "again changes nothing");
    let (user, host, reason) = ("root".into(), "all".into(), String::new());
    let span = Some(sweep_core::time::Span::hours(1));
    let change = HoldChange::Set { kind: HoldKind::Maintenance, reason, span, from: None };
    lab.ask(Command::Hold { user, host, slot: None, change });
    assert_eq!(known(&lab), 2, "nor planned for");
    lab.check();
    // It joins again: back under its name, and not trusted until somebody says so.
    lab.hello(1, "gpu-9");
    assert_eq!(lab.hosts(), ["gpu-9", "gpu-7"]);
    assert!(lab.leases(1).is_empty());
    assert_eq!(lab.open("gpu-9"), Reply::Changed(1), "the quarantine");
    lab.check();
}

#[test]
fn what_only_revoked_hosts_have_is_not_there() {
    let mut lab = Lab::new(&[]);
    lab.agent(2, Some("d"));
    lab.dismiss(1);
    lab.submit(("p", "ann"), 1, Limits::default());
    let why = |lab: &Lab| {
        let reachable = |agent| lab.core.is_reachable(agent, lab.now);
        waiting(lab.core.state(), lab.now, reachable).into_iter().map(|waiting| waiting.why).collect::<Vec<_>>()
    };
    assert_eq!(why(&lab), [Why::NoHost]);
    lab.agent(2, Some("other"));
    assert_eq!(why(&lab), [Why::NoData("d".into())], "not: the hosts with it do not answer");
    let Reply::Rejected(reject) = lab.try_submit("x", Limits::default(), false) else { panic!() };
    assert_eq!(reject.to_string(), "no agent has the data set `d`; they have: other");
    // A host that a file names is one that could come, or has.
    let mut limits = Limits::default();
    limits.placement.host = Some("host1".into());
    lab.agent(2, Some("d"));
    let Reply::Rejected(reject) = lab.try_submit("y", limits, false) else { panic!() };
    assert!(reject.to_string().starts_with("no host is called host1; there is: host3"), "{reject}");
    lab.check();
}
