//! A journal as an earlier release wrote it, kept as SQL in `coordinator/tests/golden`: it opens, says the same, and goes on. Whoever
//! renames or removes a field of an event breaks this; a new kind of event is appended by `UPDATE=1`, which never changes what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use sweep_coordinator::journal::sqlite::SqliteJournal;
use sweep_coordinator::journal::{Batch, Journal, Replayed};
use sweep_core::attempt::{CheckpointKind, FailureClass};
use sweep_core::device::{Closed, DeviceFacts, Hold, HoldKind, Occupant, Offer};
use sweep_core::evaluation::Score;
use sweep_core::event::{AgentFacts, Checkpoint, DatasetFacts, Event, Failure, LossCause};
use sweep_core::id::{AgentId, Lease, SweepId, TrialId};
use sweep_core::lineage::{Acceptance, Suspicion};
use sweep_core::num::Num;
use sweep_core::origin::Origin;
use sweep_core::plan::{GoesOn, Growth, plan_text};
use sweep_core::recipe::{Layout, Numerics, Precision};
use sweep_core::search;
use sweep_core::shares::{Entitlement, Setting};
use sweep_core::stopping::{Cause, Fate, Judgement, Rule};
use sweep_core::time::Timestamp;
use sweep_core::tuning::Tuning;
use uuid::Uuid;

use crate::world::{SPEC, metrics};

/// A number for each kind; a new kind does not compile without its own, which is the next one.
fn kind(event: &Event) -> u32 {
    match event {
        Event::CoordinatorStarted { .. } => 0,
        Event::SweepSubmitted { .. } => 1,
        Event::SweepExtended { .. } => 2,
        Event::AgentJoined(_) => 3,
        Event::LeaseGranted { .. } => 4,
        Event::EpochReported { .. } => 5,
        Event::NumericsChosen { .. } => 6,
        Event::TrainerStarted { .. } => 7,
        Event::CheckpointKept { .. } => 8,
        Event::TrialCompleted { .. } => 9,
        Event::TrialReused { .. } => 10,
        Event::AttemptFailed { .. } => 11,
        Event::LeaseLost { .. } => 12,
        Event::RetryDue { .. } => 13,
        Event::SweepCancelled { .. } => 14,
        Event::TrialCancelled { .. } => 15,
        Event::SweepSuspended { .. } => 16,
        Event::SweepRetried { .. } => 17,
        Event::TrialPreempted { .. } => 18,
        Event::PointJudged { .. } => 19,
        Event::PointProposed { .. } => 20,
        Event::SearchEnded { .. } => 21,
        Event::TrialHalted { .. } => 22,
        Event::TrialEvicted { .. } => 23,
        Event::SlotHeld { .. } => 24,
        Event::HoldsLifted { .. } => 25,
        Event::DeviceBusy { .. } => 26,
        Event::GuestHours { .. } => 27,
        Event::RollbackSuspected(_) => 28,
        Event::RollbackAccepted(_) => 29,
        Event::SharesSet { .. } => 30,
        Event::SweepSet { .. } => 31,
        Event::SweepMoved { .. } => 32,
    }
}
const KINDS: u32 = 33;

/// Every kind of event, with all that it can say. New ones come at the end.
fn examples() -> Vec<Event> {
    let (plan, _) = plan_text(SPEC.as_bytes()).unwrap();
    let sweep = SweepId::derive("golden", "");
    let trials: Vec<TrialId> = (0..plan.len()).map(|index| plan.trial_id(sweep, index)).collect();
    let lease = |trial: usize, attempt| Lease { trial: trials[trial], attempt };
    let (agent, user) = (AgentId::from(Uuid::from_u128(7)), || "ada".to_owned());
    let text = |text: &str| Some(text.to_owned());
    let numerics = Numerics { precision: Precision::Fp32, layout: Layout::ChannelsLast };
    let dataset = DatasetFacts {
        name: "images".into(),
        classes: 10,
        train_images: 100,
        val_images: 20,
        problem: None,
        layout: text("folders"),
        path: text("/data/images"),
        fingerprint: text("f00d"),
    };
    let device =
        DeviceFacts { id: "GPU-0".into(), model: "A100".into(), memory: 1 << 36, slots: vec![0], packed: false };
    let labels = [("gpu".to_owned(), "a100".to_owned())].into();
    let trainer = text("sweep-trainer 0.1.0, libtorch 2.11.0");
    let offer = Offer { labels, cores: 8, memory: 1 << 37, devices: vec![device], trainer };
    let facts = AgentFacts { datasets: vec![dataset], offer, ..AgentFacts::pretend(agent, "host", 2) };
    let granted = |lease, slot, share| Event::LeaseGranted {
        lease,
        agent,
        slot,
        resume_epoch: 0,
        fingerprint: Some("f00d".into()),
        share,
    };
    let checkpoint = |kind, sha256: &str| Checkpoint { kind, epoch: 1, seq: 1, sha256: sha256.repeat(64), bytes: 1000 };
    let setting =
        |path: &str, value: f64| search::Setting { path: path.into(), value: value.into(), label: value.to_string() };
    let points = vec![vec![setting("lr", 0.5)]];
    let origin = Origin {
        build: "sweep-trainer 0.1.0".into(),
        engine: text("libtorch 2.11.0"),
        hardware: text("A100, driver 580"),
        parameters: 11_000_000,
        train_images: 100,
        val_images: 20,
        classes: 10,
        data: "d1".into(),
    };
    let failure = |class, reason: &str| Failure { class, reason: reason.into(), message: "it happened".into() };
    let value = Num(0.5);
    let judgement = Judgement {
        fate: Fate::Stop,
        cause: Cause::Rule,
        rule: Rule::Asha,
        epoch: 1,
        value,
        rank: 3,
        of: 4,
        until: Some(2),
    };
    let hold = Hold {
        kind: HoldKind::Maintenance,
        user: user(),
        reason: "new fans".into(),
        from: Some(Timestamp(50)),
        until: Some(Timestamp(60)),
    };
    let revoked = Hold { kind: HoldKind::Revoked, from: None, until: None, ..hold.clone() };
    let score = Score { epoch: 2, images: 20, loss: Num(f64::NAN), accuracy: value, top5: Some(value) };
    let entitlement =
        Entitlement { share: 2000, slots: Some(3), device_hours: Some(4), storage: Some(5), open_trials: None };
    let of_user = Entitlement { open_trials: Some(6), ..Entitlement::default() };
    let alice = Occupant { pid: 1, user: "alice".into(), command: "python".into(), memory: 9 << 30 };
    let suspicion = Suspicion { agent: Some(agent), host: "host".into(), generation: 0, events: 99 };
    let (name, project) = ("small".to_owned(), "vision".to_owned());
    vec![
        Event::CoordinatorStarted { run: Uuid::from_u128(3), build: "0.1.0".into() },
        Event::SweepSubmitted { sweep, name, user: user(), project, plan: Arc::new(plan) },
        Event::AgentJoined(facts),
        granted(lease(0, 1), 0, 1000),
        Event::NumericsChosen { lease: lease(0, 1), numerics },
        Event::TrainerStarted { lease: lease(0, 1), origin: Box::new(origin) },
        Event::EpochReported { lease: lease(0, 1), metrics: metrics(1, f64::NEG_INFINITY) },
        Event::CheckpointKept { lease: lease(0, 1), checkpoint: checkpoint(CheckpointKind::Best, "a") },
        Event::CheckpointKept { lease: lease(0, 1), checkpoint: checkpoint(CheckpointKind::Last, "b") },
        Event::EpochReported { lease: lease(0, 1), metrics: metrics(2, 0.25) },
        Event::TrialCompleted {
            lease: lease(0, 1),
            final_seq: 2,
            early: true,
            weights: "w".into(),
            test: Some(Box::new(score)),
        },
        granted(lease(1, 1), 0, 500),
        Event::AttemptFailed {
            lease: lease(1, 1),
            failure: failure(FailureClass::OutOfMemory, "device_memory"),
            retry_at: Some(Timestamp(31)),
        },
        Event::RetryDue { trial: trials[1] },
        granted(lease(1, 2), 1, 1000),
        Event::TrialPreempted { lease: lease(1, 2), sweep },
        Event::TrialEvicted { lease: lease(1, 2), why: "drained".into() },
        Event::LeaseLost { lease: lease(1, 2), cause: LossCause::Stopped },
        granted(lease(2, 1), 1, 1000),
        Event::AttemptFailed { lease: lease(2, 1), failure: failure(FailureClass::Recipe, "bad"), retry_at: None },
        Event::SweepSuspended { sweep, trials: vec![trials[2]] },
        Event::SweepRetried { sweep, user: user(), cancelled: true },
        Event::TrialCancelled { trial: trials[3], user: user() },
        Event::PointJudged { sweep, point: 1, judgement },
        Event::TrialHalted { lease: lease(1, 3), epoch: 1 },
        Event::SweepExtended {
            sweep,
            user: user(),
            growth: Growth { seeds: vec![8], points, baseline: Some(1), ..Growth::default() },
        },
        Event::PointProposed { sweep, point: 9, settings: vec![setting("dropout", 0.1)], from: 4 },
        Event::SearchEnded { sweep },
        Event::TrialReused {
            trial: trials[2],
            origin: trials[0],
            of: sweep,
            program: "sweep-trainer 0.1.0".into(),
            fingerprint: "f00d".into(),
            numerics: Some(numerics),
        },
        Event::SlotHeld { agent, slot: Some(1), hold },
        Event::HoldsLifted { agent, slot: Some(1), user: user(), kind: Some(HoldKind::Quarantine), from: None },
        Event::DeviceBusy { agent, device: "GPU-0".into(), by: vec![alice] },
        Event::GuestHours { agent, closed: Some(Closed { until: Some(Timestamp(70)) }) },
        Event::SharesSet { user: user(), setting: Setting::Project { name: "vision".into(), entitlement } },
        Event::SweepCancelled { sweep, user: user() },
        Event::RollbackSuspected(suspicion),
        Event::RollbackAccepted(Acceptance { user: user(), generation: 1 }),
        Event::SweepSet { sweep, user: user(), tuning: Tuning { priority: 80, max_parallel: Some(4) } },
        Event::SweepMoved { sweep, user: user(), project: "audio".into() },
        Event::SweepExtended {
            sweep,
            user: user(),
            growth: Growth { goes_on: vec![GoesOn { trial: 9, from: 0, epoch: 2 }], ..Growth::default() },
        },
        Event::SweepExtended { sweep, user: user(), growth: Growth { samples: 5, ..Growth::default() } },
        Event::SharesSet { user: user(), setting: Setting::User { name: "ann".into(), entitlement: of_user } },
        Event::SlotHeld { agent, slot: None, hold: revoked },
    ]
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-1.sql")
}

async fn open(folder: &Path) -> (Journal, Replayed) {
    let (journal, replayed) = SqliteJournal::open(folder).await.unwrap();
    (Journal::Sqlite(journal), replayed)
}

async fn raw(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("sweep.db")).create_if_missing(true);
    options.connect().await.unwrap()
}

/// The file as statements that make it again. Events one by one, so that a new one is a new line.
async fn dump(connection: &mut SqliteConnection) -> String {
    let head = "SELECT 'PRAGMA application_id = ' || a.application_id || '; PRAGMA user_version = ' || v.user_version || ';' \
                FROM pragma_application_id AS a, pragma_user_version AS v";
    let tables =
        "SELECT sql || ';' FROM sqlite_schema WHERE name IN ('events', 'epochs', 'logs', 'steps') ORDER BY name";
    let events = "SELECT 'INSERT INTO events VALUES (' || no || ', ' || count || ', ' || at || ', ' || \"check\" || ', ' || \
                  quote(body) || ');' FROM events ORDER BY no";
    let mut text = String::new();
    for query in [head, tables, events] {
        let lines: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *connection).await.unwrap();
        lines.iter().for_each(|line| text += &format!("{line}\n"));
    }
    text
}

async fn written() -> String {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path()).await;
    for (at, event) in (1..).zip(examples()) {
        journal.commit(&Batch { at: Timestamp(at), events: vec![event], ..Batch::default() }).await.unwrap();
    }
    journal.close().await;
    // With the checksums of the first release, of the body alone: this file shows that they are read.
    let mut connection = raw(folder.path()).await;
    let rows = sqlx::query_as("SELECT no, body FROM events").fetch_all(&mut connection).await;
    for (no, body) in rows.unwrap() as Vec<(i64, String)> {
        let check = i64::from(crc32fast::hash(body.as_bytes()));
        let change = sqlx::query("UPDATE events SET \"check\" = ? WHERE no = ?").bind(check).bind(no);
        change.execute(&mut connection).await.unwrap();
    }
    dump(&mut connection).await
}

#[tokio::test]
async fn a_journal_of_an_earlier_release_says_what_it_said() {
    let kinds: BTreeSet<u32> = examples().iter().map(kind).collect();
    assert_eq!(kinds, (0..KINDS).collect(), "an example of each kind");
    let now = written().await;
    let path = golden();
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(now.starts_with(&before), "what is written today is not what {} has", path.display());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(now.len(), kept.len(), "UPDATE=1 adds the new kinds of events");

    let folder = tempfile::tempdir().unwrap();
    let mut connection = raw(folder.path()).await;
    sqlx::raw_sql(AssertSqlSafe(kept)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (mut journal, replayed) = open(folder.path()).await;
    assert_eq!(replayed.events, examples().len() as u64);
    let sweep = &replayed.state.sweeps[0];
    assert_eq!((sweep.name.as_str(), sweep.counts.completed, sweep.trials[0].attempt), ("small", 1, 1));
    assert_eq!(replayed.state.lineage.generation, 1);
    // It goes on.
    let retried = Event::SweepRetried { sweep: sweep.id, user: "bob".into(), cancelled: true };
    journal.commit(&Batch { at: Timestamp(90), events: vec![retried], ..Batch::default() }).await.unwrap();
    journal.close().await;
    assert_eq!(open(folder.path()).await.1.events, examples().len() as u64 + 1);
}
