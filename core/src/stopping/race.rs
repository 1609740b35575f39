//! All configurations of a sweep, where each stands, and which decision is due. A fold: what it is told changes it, and
//! the next decision is a function of what it is; telling it again what it knows changes nothing.

mod limits;
mod standing;

use serde::{Deserialize, Serialize};

use crate::id::SweepId;
use crate::num::Num;

use super::curves::Curves;
use super::ladder::{Due, Ladder};
use super::score::{Key, score};
use super::settings::{Rule, Stop};
use super::tally::Sample;
use super::{Cause, Fate, Judgement, asha, asha_stop, budget, halving, hyperband, median, percentile, rungs};

pub use standing::Standing;

/// The configurations of one sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Race {
    stop: Stop,
    sweep: SweepId,
    epochs: u32,
    entrants: Vec<Entrant>,
    ladders: Vec<Ladder>,
    /// Median and percentile only.
    curves: Option<Curves>,
    /// The configuration that reported last and what it reported.
    latest: Option<(u32, Sample)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entrant {
    bracket: u32,
    /// Epochs known.
    epoch: u32,
    stage: Stage,
    /// Epochs of the seed that is furthest.
    ahead: u32,
    /// The epoch at which that seed had used up a budget, and which: the others come as far.
    spent: Option<(u32, Cause)>,
    /// A seed of it is at its end: the others may come there, too.
    exempt: bool,
    /// Compared with nobody; a budget holds for it as for the others, or they could not be compared with it.
    baseline: bool,
    judged: Option<Box<Judgement>>,
    /// The decision against it, if it was drawn for the audit: it stays one of the audit, however it ends.
    spared: Option<Box<Judgement>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    /// On the way to a rung, or, past the last one, to its end.
    To(u32),
    /// At a rung.
    At(u32, Key),
    /// Runs on for the audit: to its end, or to that of its budget, like those that were kept.
    Spared,
    /// Was over and runs again, to its end.
    Again,
    Stopped,
    /// All of its trials are over.
    Over,
}

impl Race {
    /// Nobody has started. All configurations have (at most) `epochs` epochs; `baseline` is never stopped.
    pub fn new(stop: Stop, sweep: SweepId, points: u32, epochs: u32, baseline: Option<u32>) -> Self {
        let brackets = rungs::assign(&stop, points, epochs);
        Self::in_brackets(stop, sweep, &brackets, epochs, baseline)
    }

    /// As [`Race::new`], with the bracket of each configuration.
    pub fn in_brackets(stop: Stop, sweep: SweepId, brackets: &[u32], epochs: u32, baseline: Option<u32>) -> Self {
        let count = brackets.iter().max().map_or(1, |most| most + 1);
        let epochs_of =
            |bracket| if stop.rule.has_rungs() { rungs::epochs(&stop, bracket, epochs) } else { Vec::new() };
        let mut ladders: Vec<Ladder> = (0..count).map(|bracket| Ladder::new(epochs_of(bracket))).collect();
        // The baseline runs beside the others: it takes no place at a rung, so that it is never all that is left.
        for (point, bracket) in (0u32..).zip(brackets) {
            if let Some(first) = ladders[*bracket as usize].rungs.first_mut().filter(|_| baseline != Some(point)) {
                first.heading += 1;
            }
        }
        let entrant = |(point, bracket): (u32, &u32)| {
            let (exempt, baseline) = (false, baseline == Some(point));
            let (bracket, stage) = (*bracket, Stage::To(0));
            let (spent, judged, spared) = (None, None, None);
            Entrant { bracket, epoch: 0, stage, ahead: 0, spent, exempt, baseline, judged, spared }
        };
        let entrants = (0u32..).zip(brackets).map(entrant).collect();
        let averages = stop.rule == Rule::Median;
        let curves = matches!(stop.rule, Rule::Median | Rule::Percentile);
        let curves = curves.then(|| Curves::new(brackets.len() as u32, averages));
        Self { stop, sweep, epochs, entrants, ladders, curves, latest: None }
    }

    /// There are so many configurations now, of at most so many epochs; those that are new come to the first rung of their bracket
    /// like all others did.
    pub fn room_for(&mut self, points: u32, epochs: u32) {
        self.epochs = self.epochs.max(epochs);
        let before = self.entrants.len();
        if points as usize <= before {
            return;
        }
        // Each bracket gets its share from the first configuration on: more of them change nothing for those that there were.
        for bracket in rungs::assign(&self.stop, points, self.epochs).into_iter().skip(before) {
            while self.ladders.len() <= bracket as usize {
                let epochs = rungs::epochs(&self.stop, self.ladders.len() as u32, self.epochs);
                self.ladders.push(Ladder::new(if self.stop.rule.has_rungs() { epochs } else { Vec::new() }));
            }
            if let Some(first) = self.ladders[bracket as usize].rungs.first_mut() {
                first.heading += 1;
            }
            let (stage, ahead, spent, judged, spared) = (Stage::To(0), 0, None, None, None);
            let (exempt, baseline) = (false, false);
            self.entrants.push(Entrant { bracket, epoch: 0, stage, ahead, spent, exempt, baseline, judged, spared });
        }
        if let Some(curves) = &mut self.curves {
            curves.room_for(points);
        }
    }

    /// Every configuration has seeds more, where nobody is compared: what was over goes on with them. Who came to the end of a budget is
    /// there, and the new seeds come as far: those are returned of which a seed had, unjudged, with the epoch before. It is told again.
    pub fn joined(&mut self) -> Vec<(u32, u32)> {
        let mut told_again = Vec::new();
        for (point, entrant) in (0u32..).zip(&mut self.entrants).filter(|(_, entrant)| entrant.stage == Stage::Over) {
            // One that ran to its last epoch says nothing of where the new ones end.
            entrant.stage = if entrant.exempt { Stage::Again } else { Stage::To(0) };
            if let Some((spent, _)) = entrant.spent.filter(|(spent, _)| !entrant.exempt && entrant.epoch >= *spent) {
                entrant.epoch = spent - 1;
                told_again.push((point, spent - 1));
            }
        }
        told_again
    }

    /// The settings.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// How many of a configuration's epochs are known; the next one told must be the one after.
    pub fn known(&self, point: u32) -> u32 {
        self.entrants[point as usize].epoch
    }

    /// How far a configuration came when it was last compared, and the score that it had there.
    pub fn seen(&self, point: u32) -> Option<(u32, f64)> {
        let entrant = &self.entrants[point as usize];
        match (entrant.stage, entrant.spared.as_deref().or(entrant.judged.as_deref())) {
            (Stage::At(at, key), _) => {
                Some((self.ladders[entrant.bracket as usize].rungs[at as usize].epoch, key.score))
            }
            (_, Some(judged)) => Some((judged.epoch, score(self.stop.metric, judged.value.0))),
            _ => None,
        }
    }

    /// Whether a configuration waits for a decision at a rung: what it reached after that is told later.
    pub fn is_at_rung(&self, point: u32) -> bool {
        matches!(self.entrants[point as usize].stage, Stage::At(..))
    }

    /// A seed of a configuration has finished an epoch. Whoever is the first of its seeds there says whether a budget is used up: its
    /// trainers are told after each epoch whether they go on, and the other seeds come as far, however many of them run at a time.
    pub fn came(&mut self, point: u32, epoch: u32, sample: &Sample) {
        let entrant = &mut self.entrants[point as usize];
        if epoch <= entrant.ahead {
            return;
        }
        entrant.ahead = epoch;
        if entrant.spent.is_none() && epoch < self.epochs {
            entrant.spent = budget::used_up(&self.stop, epoch, sample).map(|cause| (epoch, cause));
        }
    }

    /// A configuration has finished its next epoch with all of its seeds.
    pub fn reached(&mut self, point: u32, epoch: u32, sample: Sample) {
        if epoch != self.known(point) + 1 {
            return;
        }
        self.came(point, epoch, &sample);
        let entrant = &mut self.entrants[point as usize];
        entrant.epoch = epoch;
        if matches!(entrant.stage, Stage::Again | Stage::Stopped | Stage::Over) {
            return;
        }
        // At the last epoch there is nothing left to save.
        self.latest = (epoch < self.epochs).then_some((point, sample));
        // Those of the audit are compared with the others, not the others with them.
        if entrant.stage == Stage::Spared {
            return;
        }
        let key = Key { score: score(self.stop.metric, sample.value), point };
        if let Some(curves) = &mut self.curves {
            curves.push(point, key.score);
        }
        let ladder = &mut self.ladders[entrant.bracket as usize];
        if let Stage::To(at) = entrant.stage
            && !entrant.baseline
            && let Some(rung) = ladder.rungs.get_mut(at as usize).filter(|rung| rung.epoch == epoch)
        {
            rung.waiting.insert(key);
            rung.heading -= 1;
            entrant.stage = Stage::At(at, key);
            // Those with pauses have nobody at its end before the last rung.
            if entrant.exempt && !self.stop.rule.pauses() {
                self.pass(point);
            }
        }
    }

    /// A seed of a configuration ran to its last epoch: the others may too.
    pub fn finishing(&mut self, point: u32) {
        self.entrants[point as usize].exempt = true;
    }

    /// No trial of a configuration will report any more; `finished` if at least one ran to its end.
    pub fn over(&mut self, point: u32, finished: bool) {
        let entrant = &mut self.entrants[point as usize];
        let ladder = &mut self.ladders[entrant.bracket as usize];
        match entrant.stage {
            Stage::To(at) => {
                if let Some(rung) = ladder.rungs.get_mut(at as usize).filter(|_| !entrant.baseline) {
                    rung.heading -= 1;
                }
            }
            Stage::At(at, key) => {
                let rung = &mut ladder.rungs[at as usize];
                rung.waiting.remove(&key);
                rung.out.insert(key);
            }
            Stage::Spared => {}
            Stage::Again | Stage::Stopped | Stage::Over => return,
        }
        let compared = finished && entrant.stage != Stage::Spared;
        entrant.stage = Stage::Over;
        self.latest = None;
        if let Some(curves) = self.curves.as_mut().filter(|_| compared) {
            curves.finish(point);
        }
    }

    /// A user runs trials of a configuration again that was over: it goes to its end.
    pub fn reopened(&mut self, point: u32) {
        let entrant = &mut self.entrants[point as usize];
        if entrant.stage == Stage::Over {
            entrant.stage = Stage::Again;
        }
    }

    /// Folds a decision in.
    pub fn judged(&mut self, point: u32, judgement: &Judgement) {
        let stage = self.entrants[point as usize].stage;
        let settled = stage == Stage::Spared && judgement.cause == Cause::Rule;
        if settled || matches!(stage, Stage::Again | Stage::Stopped | Stage::Over) {
            return;
        }
        let judged = Some(Box::new(judgement.clone()));
        let entrant = &mut self.entrants[point as usize];
        if judgement.fate == Fate::Spare {
            entrant.spared.clone_from(&judged);
        }
        entrant.judged = judged;
        let next = match judgement.fate {
            Fate::Promote => return self.pass(point),
            Fate::Stop => Stage::Stopped,
            Fate::Spare => Stage::Spared,
        };
        // At the end of its budget it is at its end: the others are compared with it.
        let compared = next == Stage::Stopped && judgement.cause != Cause::Rule && stage != Stage::Spared;
        if let Some(curves) = self.curves.as_mut().filter(|_| compared) {
            curves.finish(point);
        }
        let entrant = &mut self.entrants[point as usize];
        let ladder = &mut self.ladders[entrant.bracket as usize];
        match stage {
            Stage::At(at, key) => {
                let rung = &mut ladder.rungs[at as usize];
                rung.waiting.remove(&key);
                rung.out.insert(key);
            }
            Stage::To(at) => {
                if let Some(rung) = ladder.rungs.get_mut(at as usize).filter(|_| !entrant.baseline) {
                    rung.heading -= 1;
                }
            }
            Stage::Spared | Stage::Again | Stage::Stopped | Stage::Over => {}
        }
        entrant.stage = next;
    }

    fn pass(&mut self, point: u32) {
        let entrant = &mut self.entrants[point as usize];
        let Stage::At(at, key) = entrant.stage else { return };
        let ladder = &mut self.ladders[entrant.bracket as usize];
        let rung = &mut ladder.rungs[at as usize];
        rung.waiting.remove(&key);
        rung.passed.insert(key);
        if let Some(next) = ladder.rungs.get_mut(at as usize + 1) {
            next.heading += 1;
        }
        entrant.stage = Stage::To(at + 1);
    }

    /// The next decision, until there is none: the caller makes an event of it and folds that in.
    pub fn due(&self) -> Option<(u32, Judgement)> {
        self.by_budget().or_else(|| self.by_rung()).or_else(|| self.by_curve())
    }

    fn by_budget(&self) -> Option<(u32, Judgement)> {
        let (point, sample) = self.latest?;
        let entrant = &self.entrants[point as usize];
        let judged = matches!(entrant.stage, Stage::To(_) | Stage::At(..) | Stage::Spared) && !entrant.exempt;
        let (_, cause) = entrant.spent.filter(|(epoch, _)| judged && entrant.epoch >= *epoch)?;
        let (fate, epoch, value) = (Fate::Stop, entrant.epoch, Num(sample.value));
        Some((point, Judgement { fate, cause, rule: self.stop.rule, epoch, value, rank: 1, of: 1, until: None }))
    }

    fn by_rung(&self) -> Option<(u32, Judgement)> {
        let factor = self.stop.reduction_factor.max(2);
        let of = |due: fn(&Ladder, u32) -> Option<Due>| {
            let each = self.ladders.iter().enumerate();
            each.filter_map(|(bracket, ladder)| due(ladder, factor).map(|(at, key, on)| (bracket, at, key, on))).next()
        };
        let (bracket, at, key, goes_on) = match self.stop.rule {
            Rule::Asha => of(asha::due),
            Rule::AshaStop => of(asha_stop::due),
            Rule::Halving => of(halving::due),
            Rule::Hyperband => hyperband::due(&self.ladders, factor),
            Rule::Median | Rule::Percentile | Rule::Budget => None,
        }?;
        let rungs = &self.ladders[bracket].rungs;
        let place = if goes_on { rungs[at].place_of_best(key) } else { rungs[at].place(key) };
        let judgement = Judgement {
            fate: if goes_on { Fate::Promote } else { self.stop_or_spare(key.point) },
            cause: Cause::Rule,
            rule: self.stop.rule,
            epoch: rungs[at].epoch,
            value: self.value(key.score),
            rank: place as u32,
            of: rungs[at].arrived() as u32,
            until: rungs.get(at + 1).filter(|_| goes_on).map(|next| next.epoch),
        };
        Some((key.point, judgement))
    }

    fn by_curve(&self) -> Option<(u32, Judgement)> {
        let (curves, (point, sample)) = (self.curves.as_ref()?, self.latest?);
        let entrant = &self.entrants[point as usize];
        let epoch = entrant.epoch;
        let since = epoch.checked_sub(self.stop.warmup_epochs)?;
        if entrant.exempt
            || entrant.baseline
            || !matches!(entrant.stage, Stage::To(_))
            || !since.is_multiple_of(self.stop.interval.max(1))
            || curves.finished < self.stop.min_configurations.max(1)
        {
            return None;
        }
        let (best, others) = (curves.curves[point as usize].best?, curves.at(epoch));
        let stops = match self.stop.rule {
            Rule::Median => median::stops(best, others),
            _ => percentile::stops(best, others, self.stop.percentile),
        };
        let ahead = others.len() - others.partition_point(|other| *other <= best);
        stops.then(|| {
            let (fate, cause, rule) = (self.stop_or_spare(point), Cause::Rule, self.stop.rule);
            let (value, rank, of) = (Num(sample.value), ahead as u32 + 1, others.len() as u32 + 1);
            (point, Judgement { fate, cause, rule, epoch, value, rank, of, until: None })
        })
    }

    /// Drawn from the ids: the same whenever it is asked.
    fn stop_or_spare(&self, point: u32) -> Fate {
        let drawn = uuid::Uuid::new_v5(&self.sweep.0, format!("stop audit;{point}").as_bytes());
        let drawn = (drawn.as_u128() >> 75) as f64 / (1u64 << 53) as f64;
        if drawn < self.stop.audit_fraction { Fate::Spare } else { Fate::Stop }
    }

    fn value(&self, score: f64) -> Num {
        Num(match self.stop.metric {
            crate::recipe::Watched::ValAccuracy => score,
            crate::recipe::Watched::ValLoss => -score,
        })
    }
}
