//! A trainer sees the device that its trial was given and no other, and what its recipe says of TF32: a real process says what CUDA was
//! allowed to show it, what its order names, and what libtorch would read.

#![expect(clippy::unwrap_used, reason = "what a test or its helper cannot do fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sweep_agent::attempts::Folders;
use sweep_agent::hardware::Slot;
use sweep_agent::launcher::process::{ProcessConfig, ProcessLauncher};
use sweep_agent::launcher::{Launcher, News};
use sweep_agent::rpc;
use sweep_agent::rpc::blobs::BlobClient;

use sweep_core::id::{Lease, SweepId, TrialId};
use sweep_core::orders::Order;
use sweep_proto::convert::PlacedOrder;

const ONE: &str = "GPU-5d1b1a63-4a0d-8b3e-2f6c-000000000001";
const TWO: &str = "GPU-5d1b1a63-4a0d-8b3e-2f6c-000000000002";

const TRAINER: &str = "#!/bin/sh\nenv | grep -c ^CUDA_VISIBLE_DEVICES= > \"$1/told\"\nprintf '%s' \"$CUDA_VISIBLE_DEVICES\" > \"$1/sees\"\n\
    printf '%s %s' \"${NVIDIA_TF32_OVERRIDE-unset}\" \"${TORCH_ALLOW_TF32_CUBLAS_OVERRIDE-unset}\" > \"$1/tf32\"\n";

fn slot(gpu: Option<&str>) -> Slot {
    let gpu = gpu.map(str::to_owned);
    Slot { label: "a slot".to_owned(), gpu: gpu.clone(), device_id: gpu }
}

fn launcher(folder: &Path) -> ProcessLauncher {
    let trainer = folder.join("trainer");
    fs::write(&trainer, TRAINER).unwrap();
    fs::set_permissions(&trainer, fs::Permissions::from_mode(0o755)).unwrap();
    let config = ProcessConfig {
        trainer,
        slots: vec![slot(Some(ONE)), slot(Some(TWO)), slot(None)],
        threads: 1,
        data_roots: Vec::new(),
        cache_dir: folder.join("cache"),
        agent_lock: folder.join("lock"),
        orphan_limit_s: 60,
        stall_limit: None,
        rebooted: false,
        sandbox: None,
        allow_torchscript: false,
        powercap: None,
        devices: None,
    };
    let links = rpc::links("http://127.0.0.1:1").unwrap();
    ProcessLauncher::new(config, Folders::new(folder).unwrap(), BlobClient::new(links.bulk)).unwrap()
}

fn order(slot: u32) -> PlacedOrder {
    let trial = TrialId::derive(SweepId::derive("visible", ""), &slot.to_string());
    let recipe = serde_json::from_value(serde_json::json!({ "dataset": "d" })).unwrap();
    let (resume, best, fingerprint, numerics, alike, probe_steps) = (None, None, None, None, None, None);
    let order = Order { recipe, resume, best, fingerprint, numerics, alike, probe_steps };
    PlacedOrder { lease: Lease { trial, attempt: 1 }, slot, order }
}

#[tokio::test]
async fn a_trainer_sees_its_device_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = launcher(folder.path());
    let folders = Folders::new(folder.path()).unwrap();
    let mut seen = BTreeMap::new();
    for slot in 0..3 {
        let order = order(slot);
        let path = folders.path(order.lease);
        let mut trainer = launcher.start(order).await.unwrap();
        while !matches!(trainer.news().await, News::Gone { .. }) {}
        let text = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(text("told").trim(), "1", "it is told, also that it sees none");
        let order: serde_json::Value = serde_json::from_str(&text("order.json")).unwrap();
        seen.insert(slot, (text("sees"), order["device"].as_str().unwrap().to_owned()));
    }
    let expected = [(ONE, "cuda:0"), (TWO, "cuda:0"), ("", "cpu")].map(|(sees, device)| (sees.into(), device.into()));
    assert_eq!(seen, BTreeMap::from_iter((0..3).zip(expected)));
}

#[tokio::test]
async fn a_recipe_says_whether_its_trainer_may_use_tf32() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = launcher(folder.path());
    let folders = Folders::new(folder.path()).unwrap();
    for (slot, tf32, expected) in [(0, Some(true), "unset 1"), (1, Some(false), "0 unset"), (2, None, "unset unset")] {
        let mut order = order(slot);
        order.order.recipe.tf32 = tf32;
        let path = folders.path(order.lease);
        let mut trainer = launcher.start(order).await.unwrap();
        while !matches!(trainer.news().await, News::Gone { .. }) {}
        assert_eq!(fs::read_to_string(path.join("tf32")).unwrap(), expected, "tf32 = {tf32:?}");
    }
}
