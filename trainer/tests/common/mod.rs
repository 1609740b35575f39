//! What the trainer's tests share: image files, orders, and running a trial inside the test.
#![expect(dead_code, reason = "every test binary uses another part of this module")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use sweep_core::attempt::{
    Body, CHECKPOINT_DIR, CheckpointKind, CheckpointLine, EpochMetrics, Failed, FailureClass, OrderFile, PROTOCOL,
    Resume, Work,
};
use sweep_core::id::{Lease, SweepId, TrialId};
use sweep_core::recipe::Recipe;
use sweep_trainer::link::Stop;
use sweep_trainer::{checkpoint, run};
use tch::Kind;
use tempfile::TempDir;

pub(crate) mod process;

/// A data root, a cache folder and room for attempts.
pub(crate) struct Bench {
    folder: TempDir,
}

/// What a trial said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) folder: PathBuf,
    pub(crate) lines: Vec<Body>,
    pub(crate) last: Body,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder }
    }

    /// The data root.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An order for `recipe` (JSON fields beside `dataset`).
    pub(crate) fn order(&self, recipe: &str) -> OrderFile {
        let recipe: Recipe = serde_json::from_str(recipe).unwrap();
        OrderFile {
            protocol: PROTOCOL,
            work: vec![Work::new(
                Lease { trial: TrialId::derive(SweepId::derive("test", ""), "point"), attempt: 1 },
                recipe,
            )],
            device: "cpu".into(),
            threads: 1,
            data_roots: vec![self.data()],
            cache_dir: self.path("cache"),
            agent_lock: self.path("agent.lock"),
            orphan_limit_s: 3600,
            allow_torchscript: false,
        }
    }

    /// Runs `order` in the new attempt folder `name`; `watch` sees every line and may stop the trial.
    pub(crate) fn run_with(&self, name: &str, order: &OrderFile, mut watch: impl FnMut(&Body, &Stop)) -> Told {
        let folder = self.path(name);
        fs::create_dir(&folder).unwrap();
        let stop = Stop::default();
        let mut lines = Vec::new();
        let last = run(
            order,
            &folder,
            &mut |body| {
                watch(&body, &stop);
                lines.push(body);
                Ok(())
            },
            &stop,
        );
        Told { folder, lines, last }
    }

    pub(crate) fn run(&self, name: &str, order: &OrderFile) -> Told {
        self.run_with(name, order, |_, _| {})
    }
}

impl Told {
    /// Epoch lines without the parts that depend on the clock.
    pub(crate) fn epochs(&self) -> Vec<EpochMetrics> {
        let timeless = |mut metrics: EpochMetrics| {
            metrics.images_per_s = 0.0.into();
            metrics.seconds = 0.0.into();
            metrics.cost = None;
            metrics
        };
        self.lines
            .iter()
            .filter_map(|line| match line {
                Body::Epoch(metrics) => Some(timeless(metrics.clone())),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn checkpoints(&self, kind: CheckpointKind) -> Vec<&CheckpointLine> {
        self.lines
            .iter()
            .filter_map(|line| match line {
                Body::Checkpoint(line) if line.kind == kind => Some(line),
                _ => None,
            })
            .collect()
    }

    /// Digest of the final weights.
    pub(crate) fn weights(&self) -> &str {
        match &self.last {
            Body::Done(done) => &done.weights,
            other => panic!("not done: {other:?}"),
        }
    }

    pub(crate) fn failed(&self) -> (FailureClass, &str, &str) {
        match &self.last {
            Body::Failed(Failed { class, reason, message, .. }) => (*class, reason, message),
            other => panic!("not failed: {other:?}"),
        }
    }

    /// How two trials that should be equal to the bit are not: their epochs, and the tensors of their last checkpoints.
    pub(crate) fn apart(&self, other: &Self) -> String {
        let mut told = String::new();
        for (mine, theirs) in self.epochs().into_iter().zip(other.epochs()) {
            if (EpochMetrics { seq: 0, ..mine.clone() }) != (EpochMetrics { seq: 0, ..theirs.clone() }) {
                told.push_str(&format!("\n  {mine:?}\n  {theirs:?}"));
            }
        }
        let [(_, mine), (_, theirs)] = [self, other].map(|told| checkpoint::load(&told.resume().file).unwrap());
        let sorted: BTreeMap<_, _> = mine.iter().collect();
        for (name, tensor) in sorted {
            let Some(twin) = theirs.get(name).filter(|twin| twin.size() == tensor.size()) else {
                told.push_str(&format!("\n  {name} is only in one, or of another shape"));
                continue;
            };
            let apart = tensor.ne_tensor(twin).sum(None).int64_value(&[]);
            if apart > 0 {
                let most = (tensor.to_kind(Kind::Double) - twin.to_kind(Kind::Double)).abs().max().double_value(&[]);
                told.push_str(&format!("\n  {name}: {apart} of {} values, by {most:e} at most", tensor.numel()));
            }
        }
        told
    }

    /// Where the next attempt goes on.
    pub(crate) fn resume(&self) -> Resume {
        let line = *self.checkpoints(CheckpointKind::Last).last().unwrap();
        Resume { file: self.folder.join(CHECKPOINT_DIR).join(&line.file), epoch: line.epoch, best: None }
    }
}

/// RGB pixels of a square with a gradient that says which class it is, and some grain.
pub(crate) fn pixels(class: usize, number: usize, width: u32, height: u32) -> Vec<u8> {
    let mut grain = (number as u32).wrapping_mul(747_796_405) ^ class as u32;
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (grain >> 26) as u8;
            let value = [x * 255 / width, y * 255 / height, 128][class % 3] as u8;
            [value / 2 + noise, (255 - value) / 2 + noise, noise * 2]
        })
        .collect()
}

pub(crate) fn write_jpeg(path: &Path, width: u32, height: u32, rgb: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 90).write_image(rgb, width, height, ExtendedColorType::Rgb8).unwrap();
    fs::write(path, jpeg).unwrap();
}

/// JPEG files `<place>/<class>/<n>.jpg` of slightly different sizes.
pub(crate) fn folder_of_images(place: &Path, classes: usize, each: usize) {
    for class in 0..classes {
        for number in 0..each {
            let (width, height) = (36 + number as u32 % 5, 34 + number as u32 % 7);
            let path = place.join(format!("class{class}/{number}.jpg"));
            write_jpeg(&path, width, height, &pixels(class, number, width, height));
        }
    }
}

/// A data set with a validation folder.
pub(crate) fn with_val(bench: &Bench, name: &str) {
    folder_of_images(&bench.data().join(name).join("train"), 3, 8);
    folder_of_images(&bench.data().join(name).join("val"), 3, 3);
}

/// Folder of real images, if this machine has it: `SWEEP_TEST_DATA`, or `../shared/data`.
pub(crate) fn real_data(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("SWEEP_TEST_DATA").map_or(beside, PathBuf::from);
    let found = root.join(name).is_dir();
    if !found {
        skip(&format!("{name} is not in {}", root.display()));
    }
    found.then_some(root)
}

/// Says that a test shows nothing here, past the test runner, which keeps back what a passing test prints.
pub(crate) fn skip(why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}
