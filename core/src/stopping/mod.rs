//! Early stopping across configurations: which are worth going on with. Pure and apart from the rest: [`Race`] is
//! told what configurations reached and says what is decided; the events that make it last, and the trials behind
//! a configuration, are left to [`crate::state`] and [`crate::decide`].
//!
//! A *configuration* is a point of the plan with all its seeds: judged by their mean, promoted, stopped or spared together.
//! A *rung* is an epoch at which configurations are compared. Reading order: [`settings`](self::Stop), `rungs` (where they
//! are), `ladder` (who has reached which), the rules ([`Rule`] names the file of each), `race`, `tally` (from
//! seeds to configurations).

mod asha;
mod asha_stop;
mod budget;
mod curves;
mod halving;
pub mod hindsight;
mod hyperband;
mod ladder;
mod median;
mod percentile;
mod race;
pub mod replay;
mod rungs;
mod score;
mod settings;
pub mod summary;
mod tally;
pub mod words;

use serde::{Deserialize, Serialize};

use crate::num::Num;

pub use race::{Race, Standing};
pub(crate) use score::score;
pub use settings::{Rule, Stop};
pub use tally::{End, Sample, Tally};

/// What is decided about a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It goes on, past the rung at which it was compared.
    Promote,
    /// It is over, with what it has reached.
    Stop,
    /// It would have been stopped; it was drawn to run to its end, so that one sees how often stopping is wrong.
    Spare,
}

/// By what a configuration is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The rule of the sweep.
    Rule,
    /// It took longer than it may.
    Seconds,
    /// It took more energy than it may.
    Energy,
    /// Its budget of epochs is used up.
    Epochs,
    /// Its budget of steps is used up.
    Steps,
}

/// A decision with its reasons: what people are shown, and all that the state needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// What is decided.
    pub fate: Fate,
    /// By what.
    pub cause: Cause,
    /// The rule of the sweep.
    pub rule: Rule,
    /// The epoch that was looked at.
    pub epoch: u32,
    /// The metric's mean over the seeds there.
    pub value: Num,
    /// Place among those it was compared with, from 1.
    pub rank: u32,
    /// How many those were, itself among them.
    pub of: u32,
    /// After a promotion: the epoch at which it is compared again; nothing means that it runs to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u32>,
}

impl Judgement {
    /// The reason in words: `asha: place 61 of 200 at epoch 3`.
    pub fn why(&self) -> String {
        match self.cause {
            Cause::Rule => format!("{}: place {} of {} at epoch {}", self.rule.name(), self.rank, self.of, self.epoch),
            Cause::Seconds => format!("max_seconds is used up at epoch {}", self.epoch),
            Cause::Epochs => format!("max_epochs is used up at epoch {}", self.epoch),
            Cause::Steps => format!("max_steps is used up at epoch {}", self.epoch),
            Cause::Energy => format!("max_kwh is used up at epoch {}", self.epoch),
        }
    }
}
