//! A recipe: everything one trial trains, typed and checked. Pure values; the trainer builds from them.
//! Paths of these fields (`lr`, `optimizer.sgd.momentum`, ...) are what a sweep file can vary.

pub mod augment;
pub mod model;
pub mod optim;
pub mod plateau;
pub mod schedule;
mod section;
mod tagged;
pub mod training;
mod transfer;

use serde::{Deserialize, Serialize};

pub use augment::{Augment, AugmentOn, Augmentation};
pub use model::Model;
pub use optim::Optimizer;
pub use schedule::{Schedule, Warmup};
pub use training::{Ema, Layout, Numerics, Precision};
pub use transfer::{Freeze, Init};

/// What one trial trains. Every field has a default except `dataset`; the canonical JSON of a
/// recipe holds all of them, so that a later change of a default changes no submitted sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// A name the agents know, or an absolute path inside one of their data roots.
    pub dataset: String,
    /// The network.
    #[serde(default)]
    pub model: Model,
    /// Side of the square images that enter the network, pixels.
    #[serde(default = "defaults::image_size")]
    pub image_size: u32,
    /// Passes over the training images.
    #[serde(default = "defaults::epochs")]
    pub epochs: u32,
    /// Images a step; the last, smaller batch of an epoch is used too.
    #[serde(default = "defaults::batch_size")]
    pub batch_size: u32,
    /// Learning rate at the start of the schedule; for `one-cycle`, at its top.
    #[serde(default = "defaults::lr")]
    pub lr: f64,
    /// Probability of zeroing an activation before the last linear layer(s), 0 to below 1; the
    /// network's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// The weights that training starts from; drawn unless given.
    #[serde(default)]
    pub init: Init,
    /// The weights that training leaves alone; none unless given.
    #[serde(default)]
    pub freeze: Freeze,
    /// Random changes to training images: a built-in name, a variant of the file, or a list of steps.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Versions of every training image that an epoch goes through, each a list of steps done before
    /// those of `augmentation`. Empty is the image alone.
    #[serde(default)]
    pub copies: Vec<Augmentation>,
    /// Whether the random steps of `copies` are drawn once for all epochs.
    #[serde(default)]
    pub fixed_copies: bool,
    /// Where the steps of `augmentation` and `copies` run.
    #[serde(default)]
    pub augment_on: AugmentOn,
    /// Update rule.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How the learning rate moves.
    #[serde(default)]
    pub schedule: Schedule,
    /// A linear rise of the learning rate at the beginning; off unless given.
    #[serde(default)]
    pub warmup: Warmup,
    /// Longest gradient (2-norm over all weights) that is not shortened; 0 is off.
    #[serde(default)]
    pub clip_norm: f64,
    /// Batches whose gradients make one step.
    #[serde(default = "defaults::accumulate")]
    pub accumulate: u32,
    /// A moving average of the weights, which is what validation and the best checkpoint see.
    #[serde(default)]
    pub ema: Ema,
    /// Share of the target that is spread evenly over all classes in training, 0 to below 1.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Kind of numbers inside the network.
    #[serde(default)]
    pub precision: Precision,
    /// Order of the values of an image in memory.
    #[serde(default)]
    pub layout: Layout,
    /// Whether an NVIDIA GPU may round the factors of 32-bit products to TF32; libtorch's own choice unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tf32: Option<bool>,
    /// Steps between two checkpoints inside an epoch; 0 means that there is one after each epoch only.
    #[serde(default)]
    pub checkpoint_steps: u32,
    /// Stop when validation stops getting better; off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<EarlyStop>,
    /// How images are read and split.
    #[serde(default)]
    pub data: DataOptions,
    /// Seed of initial weights, shuffling, augmentation and dropout.
    #[serde(default)]
    pub seed: u64,
}

/// Patience: stop after so many epochs in a row without a better value, and restore the best state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStop {
    /// Epochs in a row without improvement.
    pub patience: u32,
    /// What is watched.
    #[serde(default)]
    pub metric: Watched,
    /// An improvement must be larger than this.
    #[serde(default)]
    pub min_delta: f64,
}

/// A validation number that early stopping can watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// Higher is better.
    #[default]
    ValAccuracy,
    /// Lower is better.
    ValLoss,
}

/// How images are read and split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataOptions {
    /// Share of each class kept for validation when the data set has no validation folder, above 0 and below 1.
    #[serde(default = "defaults::val_fraction")]
    pub val_fraction: f64,
    /// Seed of that split. One split for all trials unless it is varied on purpose.
    #[serde(default)]
    pub split_seed: u64,
    /// How many unreadable images may be left out, with a warning each; 0 means the first one fails the trial.
    #[serde(default)]
    pub skip_bad: u32,
    /// Channel means subtracted after scaling to 0..1.
    #[serde(default = "defaults::mean")]
    pub mean: [f64; 3],
    /// Channel deviations divided by.
    #[serde(default = "defaults::std")]
    pub std: [f64; 3],
    /// Training labels from this column of a CSV file in the data set's folder; off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// Only images of exactly this width and height are used; off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// Only images whose shorter side has at least so many pixels are used; off unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_side: Option<u32>,
}

impl DataOptions {
    /// Whether an image of this size, as it is in its file, is used.
    pub fn admits(&self, width: u32, height: u32) -> bool {
        self.size.is_none_or(|size| size == [width, height])
            && self.min_side.is_none_or(|side| width.min(height) >= side)
    }

    fn check(&self, b: &mut Bounds) {
        let fraction = self.val_fraction;
        b.require(fraction > 0.0 && fraction < 1.0, "data.val_fraction", fraction, "above 0 and below 1");
        b.require(i64::try_from(self.split_seed).is_ok(), "data.split_seed", self.split_seed, "0 to 2^63 - 1");
        for channel in self.mean {
            b.require(channel.is_finite(), "data.mean", channel, "three finite numbers");
        }
        for channel in self.std {
            b.require(channel.is_finite() && channel > 0.0, "data.std", channel, "three finite numbers above 0");
        }
        if let Some(labels) = &self.labels {
            b.require(!labels.is_empty() && labels != "path", "data.labels", labels, "the name of a column of labels");
        }
        let sides = self.size.into_iter().flatten().map(|side| ("data.size", side));
        for (path, side) in sides.chain(self.min_side.map(|side| ("data.min_side", side))) {
            b.require((1..=16_384).contains(&side), path, side, "1 to 16,384 pixels");
        }
    }
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            val_fraction: defaults::val_fraction(),
            split_seed: 0,
            skip_bad: 0,
            mean: defaults::mean(),
            std: defaults::std(),
            labels: None,
            size: None,
            min_side: None,
        }
    }
}

/// The documented defaults (`docs/spec.md` is checked against them).
mod defaults {
    pub(super) fn image_size() -> u32 {
        64
    }
    pub(super) fn epochs() -> u32 {
        10
    }
    pub(super) fn batch_size() -> u32 {
        32
    }
    pub(super) fn accumulate() -> u32 {
        1
    }
    pub(super) fn lr() -> f64 {
        1e-3
    }
    pub(super) fn val_fraction() -> f64 {
        0.2
    }
    /// Means of ImageNet's training images, the usual constants of torchvision.
    pub(super) fn mean() -> [f64; 3] {
        [0.485, 0.456, 0.406]
    }
    /// Deviations of ImageNet's training images.
    pub(super) fn std() -> [f64; 3] {
        [0.229, 0.224, 0.225]
    }
}

/// A value outside its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} = {value}: must be {allowed}")]
pub struct OutOfRange {
    /// Dotted path of the field.
    pub path: String,
    /// What was given.
    pub value: String,
    /// What would be right, in words.
    pub allowed: String,
}

const FRACTION: &str = "at least 0 and below 1";
const NOT_NEGATIVE: &str = "a finite number, at least 0";
const POSITIVE: &str = "a finite number above 0";

fn not_negative(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// Collects the fields of a recipe that are out of bounds.
#[derive(Debug, Default)]
pub struct Bounds(Vec<OutOfRange>);

impl Bounds {
    /// Notes `path` as wrong unless `ok`.
    pub fn require(&mut self, ok: bool, path: impl Into<String>, value: impl ToString, allowed: impl Into<String>) {
        if !ok {
            self.0.push(OutOfRange { path: path.into(), value: value.to_string(), allowed: allowed.into() });
        }
    }
}

impl Recipe {
    /// The probability of zeroing an activation: what is given, else the network's own.
    pub fn dropout_rate(&self) -> f64 {
        self.dropout.unwrap_or_else(|| self.model.family().dropout)
    }

    /// Every bound that holds whatever the data set is. An empty list means the recipe can be tried.
    pub fn check(&self) -> Vec<OutOfRange> {
        let mut bounds = Bounds::default();
        let b = &mut bounds;
        b.require(!self.dataset.is_empty(), "dataset", "\"\"", "the name of a data set or an absolute path");
        b.require((8..=1024).contains(&self.image_size), "image_size", self.image_size, "8 to 1024 pixels");
        b.require((1..=100_000).contains(&self.epochs), "epochs", self.epochs, "1 to 100,000");
        b.require((1..=65_536).contains(&self.batch_size), "batch_size", self.batch_size, "1 to 65,536");
        b.require(positive(self.lr), "lr", self.lr, POSITIVE);
        if let Some(dropout) = self.dropout {
            b.require((0.0..1.0).contains(&dropout), "dropout", dropout, FRACTION);
        }
        if let Model::Torchscript(_) = self.model {
            let own = "left out or 0 with model = torchscript: the module has its own";
            b.require(self.dropout_rate() == 0.0, "dropout", self.dropout_rate(), own);
            let fp32 = "left out or fp32 with model = torchscript: its layers do not cast";
            b.require(self.precision != Precision::Bf16, "precision", self.precision.name(), fp32);
        }
        // TOML integers are signed 64 bit: a larger seed could not be written back.
        b.require(i64::try_from(self.seed).is_ok(), "seed", self.seed, "0 to 2^63 - 1");
        if let Some(stop) = &self.early_stop {
            b.require(stop.patience >= 1, "early_stop.patience", stop.patience, "at least 1 epoch");
            let ok = stop.min_delta.is_finite() && stop.min_delta >= 0.0;
            b.require(ok, "early_stop.min_delta", stop.min_delta, "a finite number, at least 0");
        }
        self.init.check(b);
        self.freeze.check(b);
        self.data.check(b);
        self.model.check(self.image_size, b);
        augment::check(self, b);
        self.optimizer.check(b);
        self.schedule.check(&self.optimizer, b);
        self.warmup.check(b);
        b.require(not_negative(self.clip_norm), "clip_norm", self.clip_norm, NOT_NEGATIVE);
        b.require((1..=65_536).contains(&self.accumulate), "accumulate", self.accumulate, "1 to 65,536");
        b.require((0.0..1.0).contains(&self.ema.decay), "ema.decay", self.ema.decay, FRACTION);
        b.require((0.0..1.0).contains(&self.label_smoothing), "label_smoothing", self.label_smoothing, FRACTION);
        bounds.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> Recipe {
        serde_json::from_str(r#"{"dataset":"x"}"#).unwrap()
    }

    #[test]
    fn defaults_are_valid_and_round_trip() {
        let recipe = minimal();
        assert_eq!(recipe.check(), []);
        let text = serde_json::to_string(&recipe).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe);
    }

    #[test]
    fn short_names_and_tables_mean_the_same() {
        let short: Recipe = serde_json::from_str(r#"{"dataset":"x","model":"resnet18","optimizer":"adam"}"#).unwrap();
        let long: Recipe =
            serde_json::from_str(r#"{"dataset":"x","model":{"resnet18":{}},"optimizer":{"adam":{}}}"#).unwrap();
        assert_eq!(short, long);
    }

    #[test]
    fn sizes_that_are_not_wanted_are_not_admitted() {
        let mut data = DataOptions::default();
        assert!(data.admits(1, 1));
        data.min_side = Some(200);
        assert!(data.admits(200, 500) && !data.admits(500, 199));
        data.size = Some([300, 400]);
        assert!(data.admits(300, 400) && !data.admits(400, 300));
        let recipe: Recipe = serde_json::from_str(r#"{"dataset":"x","data":{"labels":"","size":[300,0]}}"#).unwrap();
        let paths: Vec<_> = recipe.check().into_iter().map(|wrong| wrong.path).collect();
        assert_eq!(paths, ["data.labels", "data.size"]);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let mut recipe = minimal();
        (recipe.epochs, recipe.lr, recipe.dropout, recipe.batch_size) = (0, f64::NAN, Some(1.0), 0);
        let paths: Vec<_> = recipe.check().into_iter().map(|wrong| wrong.path).collect();
        assert_eq!(paths, ["epochs", "batch_size", "lr", "dropout"]);
    }
}
