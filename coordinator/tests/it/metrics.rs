//! What Prometheus would read, after a sweep.

use std::time::Duration;

use sweep_coordinator::config::Config;

use crate::world::{Pretend, SPEC, World};

/// The value of a line that is there exactly once.
fn value(text: &str, name: &str) -> f64 {
    let found: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).collect();
    assert_eq!(found.len(), 1, "{name} in\n{text}");
    found[0].parse().unwrap()
}

#[tokio::test]
async fn a_sweep_is_in_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(Config::folder(folder.path())).await;
    world.submit(SPEC).await.unwrap();
    let waiting = world.metrics().await;
    assert_eq!(value(&waiting, "sweep_trials{state=\"waiting\"}"), 4.0);
    assert_eq!(value(&waiting, "sweep_dispatch_seconds_count"), 0.0);

    let (mut agent, _) = Pretend::hello(&world, 2, &[]).await;
    agent.poll(&[], Duration::ZERO, 0).await;
    let running = world.metrics().await;
    assert_eq!(value(&running, "sweep_trials{state=\"running\"}"), 2.0);
    assert_eq!(value(&running, "sweep_slots{use=\"busy\"}"), 2.0);
    assert_eq!(value(&running, "sweep_slots{use=\"free\"}"), 0.0);
    assert_eq!(value(&running, "sweep_agents{state=\"connected\"}"), 1.0);
    assert_eq!(value(&running, "sweep_dispatch_seconds_count"), 2.0);

    assert_eq!(agent.finish_all().await, 4);
    let done = world.metrics().await;
    assert_eq!(value(&done, "sweep_trials{state=\"completed\"}"), 4.0);
    assert_eq!(value(&done, "sweep_sweeps{state=\"ended\"}"), 1.0);
    assert_eq!(value(&done, "sweep_dispatch_seconds_count"), 4.0);
    assert_eq!(value(&done, "sweep_report_seconds_count"), 2.0);
    let commits = value(&done, "sweep_journal_commits_total");
    assert!(commits >= 4.0 && value(&done, "sweep_journal_events_total") >= 10.0, "{done}");
    assert_eq!(value(&done, "sweep_journal_append_seconds_count"), commits);
    // Every commit waits for the disk, and no longer than it takes.
    assert_eq!(value(&done, "sweep_journal_sync_seconds_count"), commits);
    let (append, sync) =
        (value(&done, "sweep_journal_append_seconds_sum"), value(&done, "sweep_journal_sync_seconds_sum"));
    assert!(0.0 < sync && sync <= append, "{sync} of {append} s");
    assert!(done.ends_with("# EOF\n"));
    assert!(!done.contains("small") && !done.contains("ada"), "names are nobody's business here: {done}");
    world.stop().await;
}
