//! The owner of the state: answered means durable, a full disk is waited for, a stop loses nothing.

use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use sweep_coordinator::Coordinator;
use sweep_coordinator::config::Config;
use sweep_coordinator::handle::Refusal;
use sweep_core::command::{Command, Reply, Submit};
use sweep_core::event::{AgentFacts, Event};
use sweep_core::id::{AgentId, SweepId};
use sweep_core::plan::plan_text;

use crate::world::{Disk, SPEC, within};

fn submit(number: u32) -> Command {
    let (plan, spec) = plan_text(SPEC.as_bytes()).unwrap();
    let sweep = SweepId::derive(&spec.canonical(), &number.to_string());
    let (user, project) = ("ada".to_owned(), "default".to_owned());
    Command::Submit(Submit { sweep, user, project, plan: plan.into(), queue_anyway: false, reuse: Vec::new() })
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_is_in_the_journal() {
    let disk = Disk::new();
    let coordinator = Coordinator::start(disk.config()).await.unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let (handle, store) = (coordinator.handle.clone(), disk.store.clone());
            tokio::spawn(async move {
                let Reply::Submitted { sweep, existing: false, .. } = handle.command(submit(number)).await.unwrap()
                else {
                    panic!("not submitted");
                };
                let events = store.events().unwrap();
                assert!(
                    events.iter().any(|event| matches!(event, Event::SweepSubmitted { sweep: id, .. } if *id == sweep))
                );
            })
        })
        .collect();
    for task in tasks {
        within(task).await.unwrap();
    }
    assert!(disk.store.rows().len() < 10, "50 requests share few commits: {}", disk.store.rows().len());
    let seen = coordinator.handle.query(|view| view.core.state().sweeps.len()).await.unwrap();
    assert_eq!(seen, 50);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_said_and_waited_for() {
    let disk = Disk::new();
    let coordinator = Coordinator::start(disk.config()).await.unwrap();
    let handle = coordinator.handle.clone();
    handle.command(submit(0)).await.unwrap();
    disk.store.set_full(true);
    let refusal = within(handle.command(submit(1))).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::DiskFull { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("make room"));
    let refusal = within(handle.query(|view| view.core.state().sweeps.len())).await.unwrap_err();
    assert!(matches!(refusal, Refusal::DiskFull { .. }), "what is not durable is not visible");
    assert_eq!(disk.store.events().unwrap().len(), 2, "the start and the first");
    disk.store.set_full(false);
    let again = loop {
        match within(handle.command(submit(1))).await {
            Ok(reply) => break reply,
            // The clock is simulated and moved by hand, to the next try of the writer.
            Err(Refusal::DiskFull { .. }) => tokio::time::advance(Duration::from_millis(100)).await,
            Err(refusal) => panic!("{refusal}"),
        }
    };
    assert!(matches!(again, Reply::Submitted { existing: true, .. }), "the same answer as without the refusal");
    assert_eq!(handle.query(|view| view.core.state().sweeps.len()).await, Ok(2));
    assert_eq!(disk.store.events().unwrap().len(), 3);
}

/// Somebody has opened the journal with a shell and begun to write.
#[tokio::test]
async fn a_journal_that_another_program_has_locked_is_said_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Coordinator::start(Config::folder(folder.path())).await.unwrap();
    let handle = coordinator.handle.clone();
    handle.command(submit(0)).await.unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("sweep.db"));
    let mut shell = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut shell).await.unwrap();
    let refusal = within(handle.command(submit(1))).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Locked { .. }) && refusal.to_string().contains("sweep.db"), "{refusal:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut shell).await.unwrap();
    let again = loop {
        match within(handle.command(submit(1))).await {
            Ok(reply) => break reply,
            Err(Refusal::Locked { .. }) => {}
            Err(refusal) => panic!("{refusal}"),
        }
    };
    assert!(matches!(again, Reply::Submitted { existing: true, .. }), "it was decided when it was asked for first");
}

#[tokio::test(start_paused = true)]
async fn a_broken_disk_ends_the_coordinator_and_nothing_is_answered() {
    let disk = Disk::new();
    let coordinator = Coordinator::start(disk.config()).await.unwrap();
    let handle = coordinator.handle.clone();
    handle.command(submit(0)).await.unwrap();
    disk.store.set_broken();
    assert_eq!(within(handle.command(submit(1))).await, Err(Refusal::Stopping));
    assert_eq!(within(handle.query(|view| view.core.state().sweeps.len())).await, Err(Refusal::Stopping));
    assert_eq!(disk.store.events().unwrap().len(), 2, "the start and the first");
    assert!(
        coordinator
            .serve(tokio_stream::pending::<std::io::Result<tokio::io::DuplexStream>>(), std::future::pending())
            .await
            .is_err()
    );
}

fn hello(number: u128) -> Command {
    let facts = AgentFacts::pretend(agent(number), format!("host-{number}"), 1);
    Command::Hello { facts, held: vec![] }
}

fn agent(number: u128) -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(number))
}

/// The second agent calls, and could take the trial of the first.
async fn call(coordinator: &Coordinator, disk: &Disk) -> bool {
    let heartbeat = Command::Heartbeat { agent: agent(2), known: vec![] };
    assert_eq!(coordinator.handle.command(heartbeat).await, Ok(Reply::Noted));
    disk.store.events().unwrap().iter().any(|event| matches!(event, Event::LeaseLost { .. }))
}

#[tokio::test(start_paused = true)]
async fn nobody_is_blamed_for_the_time_that_the_coordinator_stood_still() {
    let disk = Disk::new();
    let coordinator = Coordinator::start(disk.config()).await.unwrap();
    coordinator.handle.command(hello(1)).await.unwrap();
    coordinator.handle.command(submit(0)).await.unwrap();
    coordinator.handle.command(hello(2)).await.unwrap();
    // All at once: as after SIGSTOP, or a lid that was closed.
    tokio::time::advance(Duration::from_secs(300)).await;
    assert!(!call(&coordinator, &disk).await, "the first agent could not call");
    // Second by second: now it is silent.
    for second in 0..70 {
        tokio::time::advance(Duration::from_secs(1)).await;
        let lost = call(&coordinator, &disk).await;
        assert!(!lost || second >= 55, "taken back after {second} s");
    }
    assert!(call(&coordinator, &disk).await, "silent for longer than a lease");
}
