//! What a power loss would find of a trainer's checkpoints: seen from below, as the order of what it asks the disk for.

use std::process::Command;

use sweep_core::attempt::{CHECKPOINT_DIR, ORDER_FILE, OrderFile, PROTOCOL, Work};
use sweep_core::id::{Lease, SweepId, TrialId};
use sweep_tests::process::built;
use sweep_tests::syncs::{Syncs, wrong};

const RECIPE: &str = r#"{"dataset":"demo","model":"cifar-cnn","image_size":32,"epochs":2,"batch_size":32}"#;

#[test]
fn a_checkpoint_is_on_the_disk_before_it_has_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let bin = built().unwrap();
    let data = dir.path().join("data");
    super::demo_images(&bin, &data);
    let folder = dir.path().join("attempt");
    std::fs::create_dir(&folder).unwrap();
    let lease = Lease { trial: TrialId::derive(SweepId::derive("syncs", ""), ""), attempt: 1 };
    let order = OrderFile {
        protocol: PROTOCOL,
        work: vec![Work::new(lease, serde_json::from_str(RECIPE).unwrap())],
        device: "cpu".into(),
        threads: 1,
        data_roots: vec![data],
        cache_dir: dir.path().join("cache"),
        agent_lock: dir.path().join("lock"),
        orphan_limit_s: 600,
        allow_torchscript: false,
    };
    std::fs::write(folder.join(ORDER_FILE), serde_json::to_vec(&order).unwrap()).unwrap();
    let syncs = Syncs::new(dir.path()).unwrap();
    let done = Command::new(bin.join("sweep-trainer")).arg(&folder).envs(syncs.environment()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let checkpoints = folder.join(CHECKPOINT_DIR);
    let (wrong, names) = wrong(&syncs.asked().unwrap(), |path| path.starts_with(&checkpoints));
    assert_eq!(wrong, [] as [String; 0]);
    assert!(names >= 2, "only {names} checkpoints were written");
}
