//! Every call over a real socket, with a pretend agent.

use std::time::{Duration, Instant};

use sweep_coordinator::config::Config;
use sweep_core::command::{Effect, EffectKind, Ending};
use sweep_core::id::Lease;
use sweep_identity::dial::PROTOCOL_HEADER;
use sweep_proto::convert::to_leases;
use sweep_proto::status::reason_of;
use sweep_proto::v1;
use tonic::Code;

use crate::world::{Disk, Pretend, SPEC, World, done, metrics, within};

#[tokio::test]
async fn a_sweep_from_submission_to_audit() {
    let disk = Disk::new();
    let mut world = World::start(disk.config()).await;
    let submitted = world.submit(SPEC).await.unwrap();
    assert_eq!((submitted.trials, submitted.existing, submitted.name.as_str()), (4, false, "small"));
    assert!(world.submit(SPEC).await.unwrap().existing, "twice is harmless");
    let watch = v1::WatchRequest { sweep: "small".to_owned() };
    let mut summaries = world.sweeps.watch(watch).await.unwrap().into_inner();
    assert_eq!(within(summaries.message()).await.unwrap().unwrap().waiting, 4);

    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    let orders = agent.poll(&[], Duration::ZERO, 0).await;
    assert_eq!((orders.leases.len(), orders.bodies.len()), (2, 2));
    let known = agent.poll(&orders.leases, Duration::ZERO, 0).await;
    assert_eq!((known.leases, known.bodies.len()), (orders.leases.clone(), 0));
    let shown = world.show("small").await;
    assert_eq!(shown.trials[0].host, "pretend");
    assert_eq!(shown.paths, ["lr", "dropout"]);
    assert_eq!(agent.finish_all().await, 4);

    let last = loop {
        match within(summaries.message()).await.unwrap() {
            Some(summary) if summary.ended != 0 => break summary,
            Some(_) => {}
            None => panic!("the watch ended before the sweep"),
        }
    };
    assert_eq!((last.completed, last.best_accuracy, last.status.as_str()), (4, Some(0.5), "completed"));
    assert!(within(summaries.message()).await.unwrap().is_none());

    let id = uuid::Uuid::from_slice(&shown.trials[1].trial_id).unwrap().simple().to_string();
    let trial = v1::ShowTrialRequest { trial: id[..8].to_owned() };
    let trial = world.sweeps.show_trial(trial).await.unwrap().into_inner();
    assert_eq!(trial.curve.len(), 2);
    assert_eq!(trial.curve[0].train_loss.map(f64::to_bits), Some(0xfff8_0000_0000_0123));
    assert!(trial.recipe_json.contains("resnet"));

    let sweep = v1::SweepRef { sweep: "small".to_owned() };
    let asked = v1::SweepReportRequest { sweep: "small".to_owned(), curves: true };
    let report = world.sweeps.report(asked).await.unwrap().into_inner().json;
    let report: sweep_core::report::Report = serde_json::from_str(&report).unwrap();
    assert_eq!((report.completed, report.curves.len()), (4, 4));
    assert!(report.curves.iter().all(|curve| curve.epochs.len() == 2 && curve.epochs[1].epoch == 2), "{report:#?}");
    assert_eq!(report.provenance.devices.iter().map(|(_, _, attempts)| attempts).sum::<u64>(), report.cost.attempts);
    let audit = world.sweeps.audit(sweep).await.unwrap().into_inner().json;
    assert!(audit.contains("\"completed\":4") && audit.contains("\"violations\":[]"), "{audit}");
    let listed = world.sweeps.list(v1::ListRequest { limit: 0 }).await.unwrap().into_inner();
    assert_eq!(listed.sweeps.len(), 1);
    let agents = world.sweeps.list_agents(v1::ListAgentsRequest {}).await.unwrap().into_inner().agents;
    assert_eq!((agents[0].status.as_str(), agents[0].slots.len()), ("reachable", 2));
    world.stop().await;
}

#[tokio::test]
async fn a_poll_waits_for_a_change_and_no_longer() {
    let disk = Disk::new();
    let mut world = World::start(disk.config()).await;
    let (mut agent, _) = Pretend::hello(&world, 1, &[]).await;
    let waiting = tokio::spawn(async move {
        let orders = agent.poll(&[], Duration::from_secs(10), 0).await;
        (agent, orders)
    });
    world.submit(SPEC).await.unwrap();
    let start = Instant::now();
    let (mut agent, orders) = within(waiting).await.unwrap();
    assert_eq!(orders.leases.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(5));
    // An attempt that is still being stopped does not make the poll spin.
    let extra = Lease { attempt: 9, ..orders.leases[0] };
    let held = [orders.leases[0], extra];
    let start = Instant::now();
    agent.poll(&held, Duration::from_millis(300), orders.revision).await;
    assert!(start.elapsed() >= Duration::from_millis(300));
    world.stop().await;
}

#[tokio::test]
async fn refusals_have_a_code_and_a_reason() {
    let mut world = World::start(Disk::new().config()).await;
    let check = |refused: tonic::Status, code: Code, reason: &str, text: &str| {
        assert_eq!((refused.code(), reason_of(&refused).as_deref()), (code, Some(reason)), "{refused}");
        assert!(refused.message().contains(text), "{}", refused.message());
    };
    let refused = world.submit("name = \"x\"\nmodle = \"resnet18\"\n").await.unwrap_err();
    check(refused, Code::InvalidArgument, "unknown_field", "modle");
    world.submit(SPEC).await.unwrap();
    let show = |sweep: &str| v1::ShowRequest { sweep: sweep.to_owned(), ..v1::ShowRequest::default() };
    check(world.sweeps.show(show("smal")).await.unwrap_err(), Code::NotFound, "sweep_unknown", "did you mean `small`?");
    check(world.sweeps.show(show("%' OR 1")).await.unwrap_err(), Code::NotFound, "sweep_unknown", "no sweep");
    let trial = v1::ShowTrialRequest { trial: "abc".to_owned() };
    check(world.sweeps.show_trial(trial).await.unwrap_err(), Code::NotFound, "trial_unknown", "abc");
    let trial = world.show("small").await.trials[0].trial_id.clone();
    let trial = uuid::Uuid::from_slice(&trial).unwrap().to_string();
    let logs = v1::LogsRequest { trial, follow: false, attempt: 5 };
    check(world.sweeps.logs(logs).await.unwrap_err(), Code::NotFound, "attempt_unknown", "no attempt 5");

    let (mut agent, _) = Pretend::hello(&world, 1, &[]).await;
    let poll = v1::PollRequest { agent_id: vec![1, 2].into(), ..v1::PollRequest::default() };
    check(agent.client.poll(poll).await.unwrap_err(), Code::InvalidArgument, "message_invalid", "agent_id");
    let stranger = v1::PollRequest { agent_id: vec![9; 16].into(), ..v1::PollRequest::default() };
    check(agent.client.poll(stranger).await.unwrap_err(), Code::FailedPrecondition, "agent_unknown", "hello");
    let skewed = v1::HelloRequest { protocol: 99, ..v1::HelloRequest::default() };
    let refused = agent.client.hello(skewed).await.unwrap_err();
    check(refused, Code::FailedPrecondition, "version_skew", "the agent is newer: upgrade the coordinator");
    // Others say it in every call, and may ask what the coordinator is.
    let speaking = |protocol: u32| {
        let mut request = tonic::Request::new(v1::ListRequest::default());
        request.metadata_mut().insert(PROTOCOL_HEADER, protocol.into());
        request
    };
    let refused = world.sweeps.list(speaking(0)).await.unwrap_err();
    check(refused, Code::FailedPrecondition, "version_skew", "sweepctl is older: install the coordinator's release");
    world.sweeps.list(speaking(sweep_proto::PROTOCOL)).await.unwrap();
    let mut info = tonic::Request::new(v1::InfoRequest::default());
    info.metadata_mut().insert(PROTOCOL_HEADER, 99.into());
    assert_eq!(world.sweeps.info(info).await.unwrap().into_inner().protocol, sweep_proto::PROTOCOL);
    world.stop().await;
}

#[tokio::test]
async fn pages_and_phases() {
    let mut world = World::start(Disk::new().config()).await;
    let seeds = SPEC.replace("seeds = 1", "seeds = 600");
    world.submit(&seeds).await.unwrap();
    let mut show = async |offset, limit, phases: &[&str]| {
        let phases = phases.iter().map(|phase| (*phase).to_owned()).collect();
        let request = v1::ShowRequest { sweep: "small".to_owned(), offset, limit, phases };
        let reply = world.sweeps.show(request).await.unwrap().into_inner();
        let first = reply.trials.first().map(|trial| trial.index);
        (reply.matching, reply.trials.len(), first)
    };
    assert_eq!(show(0, 0, &[]).await, (2400, 100, Some(0)));
    assert_eq!(show(2390, 100, &[]).await, (2400, 10, Some(2390)));
    assert_eq!(show(0, u32::MAX, &["waiting"]).await, (2400, 1000, Some(0)));
    assert_eq!(show(5, 10, &["running"]).await, (0, 0, None));
    assert_eq!(show(u64::MAX, 10, &[]).await, (2400, 0, None));
    world.stop().await;
}

#[tokio::test]
async fn a_restart_in_the_middle_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(Config::folder(folder.path())).await;
    world.submit(SPEC).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    let first = agent.poll(&[], Duration::ZERO, 0).await;
    let held = first.leases.clone();
    let one = Effect { lease: held[0], what: EffectKind::Metrics(vec![metrics(1, 0.5)]) };
    agent.report(std::slice::from_ref(&one), &held).await.unwrap();
    // Somebody else's words about an attempt are not kept, even if they come first.
    for (number, text) in [(8, "forged\n"), (7, "hello\n")] {
        let log = v1::LogChunk { lease: Some(held[0].into()), offset: 0, text: text.into() };
        let agent_id = sweep_proto::convert::id_bytes(sweep_core::id::AgentId::from(uuid::Uuid::from_u128(number)));
        let series = v1::ShipSeriesRequest { agent_id, logs: vec![log], steps: Vec::new() };
        within(agent.client.ship_series(series)).await.unwrap();
    }
    drop(agent);
    world.stop().await;

    let mut world = World::start(Config::folder(folder.path())).await;
    let stranger = v1::PollRequest {
        agent_id: sweep_proto::convert::id_bytes(sweep_core::id::AgentId::from(uuid::Uuid::from_u128(7))),
        known: to_leases(&held),
        ..v1::PollRequest::default()
    };
    let mut client = v1::agents_client::AgentsClient::new(world.channel.clone());
    assert_eq!(reason_of(&client.poll(stranger).await.unwrap_err()).as_deref(), Some("agent_unknown"));
    let (mut agent, welcome) = Pretend::hello(&world, 2, &held).await;
    assert_eq!(welcome.verdicts[0].acked_seq, 1);
    let orders = agent.poll(&held, Duration::ZERO, 0).await;
    assert_eq!(orders.leases, held, "the same leases go on");
    assert!(orders.revision > first.revision);
    let reply = agent.report(&[one], &held).await.unwrap();
    assert_eq!(reply.results[0].acked_seq, 1, "again is harmless");
    let effects: Vec<Effect> = held.iter().flat_map(|lease| done(*lease, 2)).collect();
    agent.report(&effects, &[]).await.unwrap();
    assert_eq!(agent.finish_all().await, 2);
    let shown = world.show("small").await;
    assert_eq!(shown.summary.unwrap().completed, 4);
    let logs = v1::LogsRequest { trial: held[0].trial.to_string(), follow: true, attempt: 0 };
    let mut logs = world.sweeps.logs(logs).await.unwrap().into_inner();
    assert_eq!(within(logs.message()).await.unwrap().unwrap().text.as_ref(), b"hello\n");
    assert!(within(logs.message()).await.unwrap().is_none());
    let audit = world.sweeps.audit(v1::SweepRef { sweep: "small".to_owned() }).await.unwrap().into_inner().json;
    assert!(audit.contains("\"completed\":4") && audit.contains("\"violations\":[]"), "{audit}");
    drop((agent, client));
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_trial_ends_and_a_retry_brings_it_back() {
    let mut world = World::start(Disk::new().config()).await;
    world.submit(SPEC).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 1, &[]).await;
    let orders = agent.poll(&[], Duration::ZERO, 0).await;
    let user = "ada".to_owned();
    let waiting = world.show("small").await.trials.pop().unwrap().trial_id;
    let trial = uuid::Uuid::from_slice(&waiting).unwrap().to_string();
    let cancel = v1::CancelRequest { sweep: "small".to_owned(), trial, user: user.clone() };
    assert_eq!(world.sweeps.cancel(cancel).await.unwrap().into_inner().trials, 1);
    // Nothing was trained, so there is no pace to reckon with.
    assert_eq!(world.show("small").await.summary.unwrap().eta_seconds, None);
    let cancel = v1::CancelRequest { sweep: "small".to_owned(), trial: String::new(), user: user.clone() };
    assert_eq!(world.sweeps.cancel(cancel).await.unwrap().into_inner().trials, 3);
    assert_eq!(agent.poll(&orders.leases, Duration::from_secs(5), orders.revision).await.leases, []);
    agent.poll(&[], Duration::ZERO, 0).await;
    let shown = world.show("small").await;
    assert_eq!(shown.summary.unwrap().status, "cancelled");
    assert!(shown.notes.iter().any(|note| note.contains("cancelled by ada")), "{:?}", shown.notes);
    let before = world.show("small").await.summary.unwrap().trials;
    let retry = v1::RetryRequest { sweep: "small".to_owned(), cancelled: true, user };
    assert_eq!(world.sweeps.retry(retry).await.unwrap().into_inner().trials, 4);
    assert_eq!(agent.finish_all().await, 4);
    // More of it: what there was stays as it is.
    let mut extend = v1::ExtendRequest { sweep: "small".to_owned(), seeds: vec![70], ..v1::ExtendRequest::default() };
    extend.dry_run = true;
    let said = world.sweeps.extend(extend.clone()).await.unwrap().into_inner();
    assert_eq!(world.show("small").await.summary.unwrap().trials, before);
    extend.dry_run = false;
    assert_eq!(world.sweeps.extend(extend.clone()).await.unwrap().into_inner(), said);
    assert!(said.trials > 0 && said.seeds == 1 && said.points == 0, "{said:?}");
    assert_eq!(world.show("small").await.summary.unwrap().trials, before + said.trials);
    assert_eq!(agent.finish_all().await as u64, said.trials);
    assert_eq!(world.show("small").await.summary.unwrap().status, "completed");
    assert_eq!(world.sweeps.extend(extend).await.unwrap().into_inner().trials, 0);
    let less = v1::ExtendRequest { sweep: "small".to_owned(), epochs: 1, ..v1::ExtendRequest::default() };
    let refusal = world.sweeps.extend(less).await.unwrap_err();
    assert!(refusal.message().contains("ask for more"), "{refusal:?}");
    world.stop().await;
}

/// What a budget ended has a result: it is the best of the sweep in lists, as in the report; after a restart, too.
#[tokio::test]
async fn the_best_of_a_sweep_with_a_budget_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(Config::folder(folder.path())).await;
    world.submit(&format!("{SPEC}[stop]\nrule = \"budget\"\nmax_epochs = 1\n")).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 1, &[]).await;
    let mut best = None;
    for accuracy in [0.25, 0.75, 0.5, 0.125] {
        let held = agent.poll(&[], Duration::ZERO, 0).await.leases;
        assert_eq!(held.len(), 1);
        let epoch = Effect { lease: held[0], what: EffectKind::Metrics(vec![metrics(1, accuracy)]) };
        agent.report(&[epoch], &held).await.unwrap();
        if accuracy == 0.75 {
            best = Some(sweep_proto::convert::id_bytes(held[0].trial));
        }
        // It stops, and says so.
        let what = EffectKind::Ended { final_seq: 1, how: Ending::Stopped };
        agent.report(&[Effect { lease: held[0], what }], &[]).await.unwrap();
    }
    let told = |summary: v1::SweepSummary| (summary.stopped, summary.best_accuracy, summary.best_trial_id);
    let now = told(world.show("small").await.summary.unwrap());
    assert_eq!((now.0, now.1, Some(&now.2)), (4, Some(0.75), best.as_ref()));
    drop(agent);
    world.stop().await;
    let mut world = World::start(Config::folder(folder.path())).await;
    assert_eq!(told(world.show("small").await.summary.unwrap()), now);
    let asked = v1::SweepReportRequest { sweep: "small".to_owned(), curves: false };
    let report = world.sweeps.report(asked).await.unwrap().into_inner().json;
    let report: sweep_core::report::Report = serde_json::from_str(&report).unwrap();
    assert_eq!(report.best.map(|best| sweep_proto::convert::id_bytes(best.trial)), Some(now.2));
    world.stop().await;
}
