//! Shares over a real socket: set, shown, journalled; what waits is said; a trial gives way and goes on.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sweep_coordinator::clock::Clock;
use sweep_core::command::{Effect, EffectKind, Ending};
use sweep_core::event::Checkpoint;
use sweep_core::time::Timestamp;
use sweep_proto::convert;
use sweep_proto::status::reason_of;
use sweep_proto::v1;
use sweep_proto::v1::machines_client::MachinesClient;
use sweep_proto::v1::set_shares_request::Change;
use sweep_proto::v1::sharing_client::SharingClient;
use tonic::Code;

use crate::world::{Disk, Pretend, SPEC, World, done, metrics};

async fn set(world: &World, change: Change) -> Result<v1::SetSharesReply, tonic::Status> {
    let request = v1::SetSharesRequest { user: "root".to_owned(), change: Some(change), new: false };
    let reply = SharingClient::new(world.channel.clone()).set_shares(request).await;
    reply.map(tonic::Response::into_inner)
}

async fn submit(world: &mut World, user: &str, project: &str, most: Option<u32>) -> v1::SubmitReply {
    let request = v1::SubmitRequest {
        spec: SPEC.to_owned().into(),
        run: user.to_owned(),
        user: user.to_owned(),
        project: project.to_owned(),
        max_parallel: most,
        ..v1::SubmitRequest::default()
    };
    world.sweeps.submit(request).await.unwrap().into_inner()
}

/// Five bytes; returns their name.
async fn upload(world: &mut World) -> String {
    let sha256 = format!("{:x}", Sha256::digest(b"state"));
    let chunk = v1::UploadChunk { sha256: sha256.clone(), bytes: 5, data: b"state".to_vec().into() };
    world.blobs.upload(tokio_stream::iter([chunk])).await.unwrap();
    sha256
}

async fn waits(world: &World) -> Vec<String> {
    let reply = SharingClient::new(world.channel.clone()).queue(v1::QueueRequest {}).await.unwrap().into_inner();
    reply.waiting.into_iter().map(|waiting| format!("{} {}: {}", waiting.project, waiting.user, waiting.why)).collect()
}

#[tokio::test]
async fn shares_are_set_and_survive_a_restart() {
    let disk = Disk::new();
    let mut world = World::start(disk.config()).await;
    let change = |share| {
        let (name, slots) = ("ann".to_owned(), Some(v1::Quota { most: Some(1) }));
        Change::OfUser(v1::EntitlementChange { name, share: Some(share), slots, ..Default::default() })
    };
    let reply = set(&world, change(2000)).await.unwrap();
    assert_eq!(reply.name, "ann");
    let refused = set(&world, change(2_000_000)).await.unwrap_err();
    assert_eq!((refused.code(), reason_of(&refused).as_deref()), (Code::InvalidArgument, Some("setting_invalid")));
    assert_eq!(refused.message(), "share = 2000 is not allowed: use 0 to 1000");
    submit(&mut world, "ann", "vision", None).await;
    submit(&mut world, "", "", Some(1)).await;
    assert_eq!(waits(&world).await.len(), 2);
    let (_agent, _) = Pretend::hello(&world, 3, &[]).await;
    let told = waits(&world).await;
    assert_eq!(told[0], "vision ann: quota of user ann reached: 1 of 1 slots");
    assert_eq!(told[1], "default local: max_parallel 1 reached");
    world.stop().await;

    let world = World::start(disk.config()).await;
    let shares = SharingClient::new(world.channel.clone()).show_shares(v1::ShowSharesRequest::default()).await;
    let shares = shares.unwrap().into_inner();
    let names = |shares: &[v1::Share]| shares.iter().map(|of| (of.name.clone(), of.running)).collect::<Vec<_>>();
    assert_eq!(names(&shares.users), [("ann".to_owned(), 1), ("local".to_owned(), 1)]);
    assert_eq!(names(&shares.projects), [("default".to_owned(), 1), ("vision".to_owned(), 1)]);
    assert_eq!(
        shares.users[0].entitlement,
        Some(v1::Entitlement { share: 2000, slots: Some(1), ..Default::default() })
    );
    world.stop().await;
}

/// A limit that is lowered stops nothing; one that is lifted is told to the agent at once. Both are there after a restart.
#[tokio::test]
async fn a_sweep_is_changed_while_it_runs() {
    let disk = Disk::new();
    let mut world = World::start(disk.config()).await;
    submit(&mut world, "ann", "", None).await;
    let (mut agent, _) = Pretend::hello(&world, 3, &[]).await;
    let held = agent.poll(&[], Duration::ZERO, 0).await.leases;
    assert_eq!(held.len(), 3);
    let set = async |world: &World, priority, most: Option<u32>| {
        let (sweep, user) = ("small".to_owned(), "ann".to_owned());
        let request = v1::SetSweepRequest { sweep, user, priority, max_parallel: Some(v1::Quota { most }) };
        SharingClient::new(world.channel.clone()).set_sweep(request).await.map(tonic::Response::into_inner)
    };
    let name = "small".to_owned();
    let reply = set(&world, Some(80), Some(1)).await.unwrap();
    let now = v1::SetSweepReply { name, priority: 80, max_parallel: Some(1), changed: true, running: 3 };
    assert_eq!(reply, now);
    assert_eq!(set(&world, None, Some(1)).await.unwrap(), v1::SetSweepReply { changed: false, ..now });
    assert_eq!(waits(&world).await, ["default ann: max_parallel 1 reached"]);
    let refused = set(&world, Some(101), None).await.unwrap_err();
    assert_eq!((refused.code(), reason_of(&refused).as_deref()), (Code::InvalidArgument, Some("setting_invalid")));
    let summary = world.show("small").await.summary.unwrap();
    assert_eq!((summary.priority, summary.max_parallel, summary.running), (80, Some(1), 3));
    assert!(world.show("small").await.notes.iter().any(|note| note.contains("ann set priority 80, max_parallel 1")));
    let reply = agent.report(&done(held[0], 2), &held[1..]).await.unwrap();
    assert_eq!(convert::orders(reply.orders.as_ref()).unwrap().leases, held[1..], "the free slot stays free");
    world.stop().await;

    let mut world = World::start(disk.config()).await;
    let summary = world.show("small").await.summary.unwrap();
    assert_eq!((summary.priority, summary.max_parallel, summary.running), (80, Some(1), 2));
    let (mut agent, _) = Pretend::hello(&world, 3, &held[1..]).await;
    assert_eq!(agent.poll(&held[1..], Duration::ZERO, 0).await.leases.len(), 2);
    set(&world, None, None).await.unwrap();
    assert_eq!(agent.poll(&held[1..], Duration::ZERO, 0).await.leases.len(), 3);
    let audit = world.sweeps.audit(v1::SweepRef { sweep: "small".to_owned() }).await.unwrap().into_inner();
    assert!(audit.json.contains("\"violations\":[]"), "{}", audit.json);
    world.stop().await;
}

#[tokio::test]
async fn a_trial_gives_way_and_its_agent_is_told_at_once() {
    let disk = Disk::new();
    let mut world = World::start(disk.config()).await;
    let lab = v1::LabChange { half_life: None, preempt_after: Some(v1::PreemptAfter { after: Some(0) }) };
    set(&world, Change::OfLab(lab)).await.unwrap();
    submit(&mut world, "ann", "", None).await;
    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    let first = agent.poll(&[], Duration::ZERO, 0).await.leases;
    submit(&mut world, "bob", "", None).await;
    assert_eq!(waits(&world).await[0], "default bob: no free slot; it is next");
    let kind = sweep_core::attempt::CheckpointKind::Last;
    let checkpoint = Checkpoint { kind, epoch: 1, seq: 1, sha256: upload(&mut world).await, bytes: 5 };
    let effects = [EffectKind::Metrics(vec![metrics(1, 0.5)]), EffectKind::Checkpoint(checkpoint)];
    let effects = effects.map(|what| Effect { lease: first[0], what });
    let reply = agent.report(&effects, &first).await.unwrap();
    let orders = convert::orders(reply.orders.as_ref()).unwrap();
    assert_eq!(orders.leases, [first[1]], "its order is withdrawn");
    let ended = EffectKind::Ended { final_seq: 1, how: Ending::Stopped };
    let reply = agent.report(&[Effect { lease: first[0], what: ended }], &first[1..]).await.unwrap();
    let orders = convert::orders(reply.orders.as_ref()).unwrap();
    assert_eq!((orders.leases.len(), orders.bodies.len()), (2, 1), "the other has the slot");
    assert!(world.show("small").await.notes.iter().any(|note| note.contains("gives way to small-2")));
    world.stop().await;
}

#[tokio::test]
async fn more_trials_than_one_user_may_have_are_not_taken_and_what_is_there_goes_on() {
    let disk = Disk::new();
    let mut world = World::start(disk.config()).await;
    let open = |most| {
        let (name, open_trials) = ("ann".to_owned(), Some(v1::Quota { most }));
        Change::OfUser(v1::EntitlementChange { name, open_trials, ..Default::default() })
    };
    set(&world, open(Some(6))).await.unwrap();
    submit(&mut world, "ann", "", None).await;
    let request = |run: &str| {
        let (spec, run, user) = (SPEC.to_owned().into(), run.to_owned(), "ann".to_owned());
        v1::SubmitRequest { spec, run, user, ..v1::SubmitRequest::default() }
    };
    let refused = world.sweeps.submit(request("more")).await.unwrap_err();
    assert_eq!((refused.code(), reason_of(&refused).as_deref()), (Code::ResourceExhausted, Some("quota_open_trials")));
    assert!(refused.message().starts_with("ann has 4 trials that are not over, and 4 more would be over the 6"));
    submit(&mut world, "bob", "", None).await;
    assert!(world.sweeps.submit(request("ann")).await.unwrap().into_inner().existing, "the same again is no more");
    set(&world, open(Some(1))).await.unwrap();
    let (mut agent, _) = Pretend::hello(&world, 3, &[]).await;
    assert_eq!(agent.finish_all().await, 8, "what was taken is run");
    let shares = SharingClient::new(world.channel.clone()).show_shares(v1::ShowSharesRequest::default()).await;
    let ann = &shares.unwrap().into_inner().users[0];
    assert_eq!((ann.open_trials, ann.most_open_trials), (0, 1));
    set(&world, open(None)).await.unwrap();
    world.sweeps.submit(request("more")).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn no_more_slots_are_promised_than_there_are_and_what_has_ended_leaves_the_list() {
    let disk = Disk::new();
    let world = World::start(disk.config()).await;
    let now = 1_700_000_000_000_000i64;
    let reserve = |name: &str, slots, from, until| {
        let (name, project, reason) = (name.to_owned(), "p".to_owned(), String::new());
        Change::Reserve(v1::Reservation { name, project, slots, from: now + from, until: now + until, reason })
    };
    // Nobody knows how many there are before a host has called.
    set(&world, reserve("early", 9, 0, 60_000_000)).await.unwrap();
    let (_agent, _) = Pretend::hello(&world, 3, &[]).await;
    let slip = set(&world, reserve("big", 4, 100_000_000, 200_000_000)).await.unwrap_err();
    assert_eq!(reason_of(&slip).as_deref(), Some("too_many_promised"));
    assert!(slip.message().starts_with("the lab has 3 slots: promise fewer"), "{slip}");
    set(&world, reserve("one", 2, 100_000_000, 200_000_000)).await.unwrap();
    let slip = set(&world, reserve("two", 2, 150_000_000, 300_000_000)).await.unwrap_err();
    assert!(slip.message().contains("up to 2 of them are promised to others in that time"), "{slip}");
    set(&world, reserve("two", 2, 200_000_000, 300_000_000)).await.unwrap();
    let change = Some(reserve("big", 4, 100_000_000, 200_000_000));
    let mut sharing = SharingClient::new(world.channel.clone());
    sharing.set_shares(v1::SetSharesRequest { user: String::new(), change, new: true }).await.unwrap();
    world.stop().await;

    let mut config = disk.config();
    config.clock = Clock::at(Timestamp(now + 120_000_000));
    let world = World::start(config).await;
    let names = async |all| {
        let request = v1::ShowSharesRequest { all };
        let shares = SharingClient::new(world.channel.clone()).show_shares(request).await.unwrap().into_inner();
        shares.reservations.into_iter().map(|of| of.name).collect::<Vec<_>>()
    };
    assert_eq!(names(false).await, ["big", "one", "two"]);
    assert_eq!(names(true).await, ["big", "early", "one", "two"]);
    world.stop().await;
}

#[tokio::test]
async fn a_slot_that_is_opened_says_what_still_keeps_trials_away() {
    let world = World::start(Disk::new().config()).await;
    let (_agent, _) = Pretend::hello(&world, 2, &[]).await;
    let mut machines = MachinesClient::new(world.channel.clone());
    let place = |slot| ("pretend".to_owned(), slot, "ann".to_owned());
    for (kind, slot, span) in [("drain", Some(1), None), ("yield", None, Some(3_600_000_000))] {
        let ((host, slot, user), kind, reason) = (place(slot), kind.to_owned(), String::new());
        machines.hold(v1::HoldRequest { host, slot, kind, reason, span, user, from: None }).await.unwrap();
    }
    let mut lift = async |slot| {
        let (host, slot, user) = place(slot);
        let reply = machines.lift(v1::LiftRequest { host, slot, user, ..Default::default() }).await;
        reply.map(|reply| reply.into_inner()).map(|reply| (reply.lifted, reply.closed))
    };
    assert_eq!(lift(Some(1)).await.unwrap(), (1, "yielded by ann".to_owned()), "the host is given back as a whole");
    assert_eq!(reason_of(&lift(Some(1)).await.unwrap_err()).as_deref(), Some("held_whole"));
    assert_eq!(lift(None).await.unwrap(), (1, String::new()));
    world.stop().await;
}
