//! Learning-rate schedules: pure arithmetic over where the next step stands. Each equals the class of
//! `torch.optim.lr_scheduler` that it names, in closed form; warm-up multiplies any of them.

use serde::{Deserialize, Deserializer, Serialize};

use super::plateau::{Plateau, PlateauState};
use super::{Bounds, FRACTION, NOT_NEGATIVE, Optimizer, POSITIVE, Recipe, not_negative, positive, tagged};

/// How the learning rate moves. Once an epoch, except [`Schedule::OneCycle`], which moves at every step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same rate throughout.
    #[default]
    Constant,
    /// Times `gamma` every `step_size` epochs (`StepLR`).
    Step(Step),
    /// Times `gamma` at each of the milestones (`MultiStepLR`).
    MultiStep(MultiStep),
    /// Half a cosine from `lr` to `min_lr` over `t_max` epochs, and back up after them (Loshchilov &
    /// Hutter 2017, arXiv:1608.03983, without restarts; `CosineAnnealingLR`).
    Cosine(Cosine),
    /// Half a cosine over `t_0` epochs, then again over `t_mult` times as many, and so on (the same
    /// paper; `CosineAnnealingWarmRestarts`).
    CosineRestarts(CosineRestarts),
    /// From `lr / div_factor` up to `lr`, then down to almost nothing, at every step, while momentum
    /// goes the other way (Smith & Topin 2018, arXiv:1708.07120; `OneCycleLR`, cosine, two phases).
    OneCycle(OneCycle),
    /// Times `factor` when validation has not got better for more than `patience` epochs
    /// (`ReduceLROnPlateau`).
    Plateau(Plateau),
}

/// Options of [`Schedule::Step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Epochs between two changes.
    pub step_size: u32,
    /// What the rate is multiplied by.
    pub gamma: f64,
}

impl Default for Step {
    fn default() -> Self {
        Self { step_size: 7, gamma: 0.1 }
    }
}

/// Options of [`Schedule::MultiStep`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiStep {
    /// Epochs after which the rate changes, rising.
    pub milestones: Vec<u32>,
    /// What the rate is multiplied by.
    pub gamma: f64,
}

impl Default for MultiStep {
    fn default() -> Self {
        Self { milestones: Vec::new(), gamma: 0.1 }
    }
}

/// Options of [`Schedule::Cosine`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// Epochs from the top to the bottom; 0 means all epochs.
    pub t_max: u32,
    /// The rate at the bottom.
    pub min_lr: f64,
}

/// Options of [`Schedule::CosineRestarts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosineRestarts {
    /// Epochs until the first restart.
    pub t_0: u32,
    /// How many times longer each following period is.
    pub t_mult: u32,
    /// The rate that each period goes down to.
    pub min_lr: f64,
}

impl Default for CosineRestarts {
    fn default() -> Self {
        Self { t_0: 10, t_mult: 1, min_lr: 0.0 }
    }
}

/// Options of [`Schedule::OneCycle`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OneCycle {
    /// Share of the steps in which the rate rises.
    pub pct_start: f64,
    /// The cycle begins at `lr` divided by this.
    pub div_factor: f64,
    /// It ends at its beginning divided by this.
    pub final_div_factor: f64,
    /// Whether momentum (the first beta of the Adam family) moves as well.
    pub cycle_momentum: bool,
    /// Momentum at the highest rate.
    pub base_momentum: f64,
    /// Momentum at both ends.
    pub max_momentum: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self {
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
            cycle_momentum: true,
            base_momentum: 0.85,
            max_momentum: 0.95,
        }
    }
}

/// Names of all schedules as they are written in a sweep file.
pub const SCHEDULE_NAMES: &[&str] =
    &["constant", "step", "multi-step", "cosine", "cosine-restarts", "one-cycle", "plateau"];

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Table {
            Constant(Nothing),
            Step(Step),
            MultiStep(MultiStep),
            Cosine(Cosine),
            CosineRestarts(CosineRestarts),
            OneCycle(OneCycle),
            Plateau(Plateau),
        }
        Ok(match tagged::name_or_table(deserializer)? {
            Table::Constant(Nothing {}) => Self::Constant,
            Table::Step(options) => Self::Step(options),
            Table::MultiStep(options) => Self::MultiStep(options),
            Table::Cosine(options) => Self::Cosine(options),
            Table::CosineRestarts(options) => Self::CosineRestarts(options),
            Table::OneCycle(options) => Self::OneCycle(options),
            Table::Plateau(options) => Self::Plateau(options),
        })
    }
}

/// A linear rise of the rate at the beginning, over epochs or over steps (`LinearLR`), multiplied
/// with whatever the schedule says (`ChainedScheduler`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Warmup {
    /// Epochs until the full rate, moved once an epoch.
    pub epochs: u32,
    /// Steps until the full rate, moved at every step.
    pub steps: u32,
    /// What the first rate is multiplied by.
    pub start_factor: f64,
}

impl Default for Warmup {
    fn default() -> Self {
        Self { epochs: 0, steps: 0, start_factor: 1.0 / 3.0 }
    }
}

impl Warmup {
    fn factor(&self, at: &Moment) -> f64 {
        let rise = |done: f64, of: u32| self.start_factor + (1.0 - self.start_factor) * (done / f64::from(of)).min(1.0);
        match (self.epochs, self.steps) {
            (0, 0) => 1.0,
            (0, steps) => rise(at.step as f64, steps),
            (epochs, _) => rise(f64::from(at.epoch), epochs),
        }
    }

    pub(super) fn check(&self, bounds: &mut Bounds) {
        let ok = self.epochs <= 100_000;
        bounds.require(ok, "warmup.epochs", self.epochs, "at most 100,000");
        let ok = self.steps == 0 || self.epochs == 0;
        bounds.require(ok, "warmup.steps", self.steps, "0 when warmup.epochs is above 0");
        let ok = self.start_factor > 0.0 && self.start_factor <= 1.0;
        bounds.require(ok, "warmup.start_factor", self.start_factor, "above 0 and at most 1");
    }
}

/// Where the next step stands in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Epochs done.
    pub epoch: u32,
    /// Steps of the optimizer done, in the whole trial.
    pub step: u64,
    /// Steps in each epoch.
    pub steps_per_epoch: u64,
}

/// What a schedule asks of the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Learning rate.
    pub lr: f64,
    /// Momentum, or the first beta, if it is not the optimizer's own.
    pub momentum: Option<f64>,
}

impl Recipe {
    /// Whether its first epochs are those of `shorter`, to the bit: all else is equal, and nothing follows how many there are.
    pub fn goes_on_from(&self, shorter: &Self) -> bool {
        let as_long = Self { epochs: self.epochs, ..shorter.clone() };
        shorter.epochs < self.epochs && !self.schedule.follows_length() && as_long == *self
    }

    /// Rate and momentum of the next step; `plateau` is what [`Plateau::observe`] returned last.
    pub fn pace(&self, at: &Moment, plateau: Option<&PlateauState>) -> Pace {
        let (lr, epoch) = (self.lr, at.epoch);
        let mut momentum = None;
        let scheduled = match &self.schedule {
            Schedule::Constant => lr,
            Schedule::Step(Step { step_size, gamma }) => lr * power(*gamma, epoch / (*step_size).max(1)),
            Schedule::MultiStep(MultiStep { milestones, gamma }) => {
                let passed = milestones.iter().filter(|milestone| **milestone <= epoch).count();
                lr * power(*gamma, passed as u32)
            }
            Schedule::Cosine(Cosine { t_max, min_lr }) => {
                let t_max = if *t_max == 0 { self.epochs } else { *t_max };
                cosine(lr, *min_lr, f64::from(epoch) / f64::from(t_max.max(1)))
            }
            Schedule::CosineRestarts(CosineRestarts { t_0, t_mult, min_lr }) => {
                let (mut since, mut period) = (u64::from(epoch), u64::from(*t_0).max(1));
                if *t_mult <= 1 {
                    since %= period;
                }
                while since >= period {
                    since -= period;
                    period *= u64::from(*t_mult);
                }
                cosine(lr, *min_lr, since as f64 / period as f64)
            }
            Schedule::OneCycle(cycle) => {
                let total = at.steps_per_epoch * u64::from(self.epochs);
                let (rising, share) = cycle.phase(at.step, total);
                let (low, top) = (lr / cycle.div_factor, cycle.max_momentum);
                let end = low / cycle.final_div_factor;
                let (from, to) = if rising { (low, lr) } else { (lr, end) };
                let (before, after) = if rising { (top, cycle.base_momentum) } else { (cycle.base_momentum, top) };
                momentum = cycle.cycle_momentum.then(|| cosine(before, after, share));
                cosine(from, to, share)
            }
            Schedule::Plateau(_) => plateau.map_or(lr, |state| state.lr.0),
        };
        Pace { lr: scheduled * self.warmup.factor(at), momentum }
    }
}

/// `gamma` to the power `n`; repeated multiplication as PyTorch does it agrees within rounding.
fn power(gamma: f64, n: u32) -> f64 {
    gamma.powi(i32::try_from(n).unwrap_or(i32::MAX))
}

/// From `from` at 0 to `to` at 1 (and back at 2), along a cosine.
fn cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0
}

impl OneCycle {
    /// Whether step `step` of `total` belongs to the rise, and which share of its phase is behind it.
    fn phase(&self, step: u64, total: u64) -> (bool, f64) {
        let (step, end) = (step as f64, total.max(1) as f64 - 1.0);
        let top = self.pct_start * total as f64 - 1.0;
        if step <= top && top > 0.0 {
            (true, step / top)
        } else if end > top {
            (false, ((step - top) / (end - top)).min(1.0))
        } else {
            (false, 1.0)
        }
    }
}

impl Schedule {
    /// Whether its first epochs depend on how many there are in all.
    pub fn follows_length(&self) -> bool {
        match self {
            Self::Cosine(Cosine { t_max, .. }) => *t_max == 0,
            Self::OneCycle(_) => true,
            Self::Constant | Self::Step(_) | Self::MultiStep(_) | Self::CosineRestarts(_) | Self::Plateau(_) => false,
        }
    }

    pub(super) fn check(&self, optimizer: &Optimizer, bounds: &mut Bounds) {
        match self {
            Self::Constant => {}
            Self::Step(step) => {
                let ok = (1..=100_000).contains(&step.step_size);
                bounds.require(ok, "schedule.step.step_size", step.step_size, "1 to 100,000");
                bounds.require(positive(step.gamma), "schedule.step.gamma", step.gamma, POSITIVE);
            }
            Self::MultiStep(MultiStep { milestones, gamma }) => {
                let rising = milestones.is_sorted_by(|a, b| a < b);
                let ok = rising && milestones.len() <= 100 && milestones.first() != Some(&0);
                let path = "schedule.multi-step.milestones";
                bounds.require(ok, path, format!("{milestones:?}"), "at most 100 rising epochs, from 1");
                bounds.require(positive(*gamma), "schedule.multi-step.gamma", gamma, POSITIVE);
            }
            Self::Cosine(Cosine { t_max, min_lr }) => {
                bounds.require(
                    *t_max <= 100_000,
                    "schedule.cosine.t_max",
                    t_max,
                    "at most 100,000; 0 means all epochs",
                );
                bounds.require(not_negative(*min_lr), "schedule.cosine.min_lr", min_lr, NOT_NEGATIVE);
            }
            Self::CosineRestarts(CosineRestarts { t_0, t_mult, min_lr }) => {
                let path = |field: &str| format!("schedule.cosine-restarts.{field}");
                bounds.require((1..=100_000).contains(t_0), path("t_0"), t_0, "1 to 100,000");
                bounds.require((1..=1000).contains(t_mult), path("t_mult"), t_mult, "1 to 1000");
                bounds.require(not_negative(*min_lr), path("min_lr"), min_lr, NOT_NEGATIVE);
            }
            Self::OneCycle(cycle) => {
                let path = |field: &str| format!("schedule.one-cycle.{field}");
                let ok = cycle.pct_start > 0.0 && cycle.pct_start < 1.0;
                bounds.require(ok, path("pct_start"), cycle.pct_start, "above 0 and below 1");
                for (field, value) in [("div_factor", cycle.div_factor), ("final_div_factor", cycle.final_div_factor)] {
                    bounds.require(positive(value), path(field), value, POSITIVE);
                }
                for (field, value) in [("base_momentum", cycle.base_momentum), ("max_momentum", cycle.max_momentum)] {
                    bounds.require((0.0..1.0).contains(&value), path(field), value, FRACTION);
                }
                let ok = !cycle.cycle_momentum || optimizer.momentum() > 0.0;
                let allowed = "false when the optimizer has no momentum";
                bounds.require(ok, path("cycle_momentum"), cycle.cycle_momentum, allowed);
            }
            Self::Plateau(plateau) => plateau.check(bounds),
        }
    }
}
