//! Which checkpoints a trial keeps, and what it goes back to.

use std::iter;

use crate::attempt::{CheckpointKind, EpochMetrics};
use crate::event::Checkpoint;
use crate::time::Span;

use super::{Kept, Progress, is_better, lower};

impl Progress {
    /// What it refers to: the newest checkpoint, the best, the best that a next attempt would start with; and, if asked for, the
    /// same of the checkpoint before the newest. One may be there more than once.
    pub(super) fn checkpoints(&self, earlier: bool) -> impl Iterator<Item = &Checkpoint> {
        let earlier = self.earlier_checkpoint.as_deref().filter(|_| earlier);
        let kept = self.last_checkpoint.as_deref().into_iter().chain(earlier);
        kept.flat_map(|kept| iter::once(&kept.checkpoint).chain(&kept.best_checkpoint)).chain(&self.best_checkpoint)
    }

    /// A new attempt repeats what came after the last checkpoint: forget it until it comes again.
    pub(in crate::state) fn rewind(&mut self) {
        self.ahead.clear();
        let kept = self.last_checkpoint.as_ref();
        self.last = kept.and_then(|kept| kept.last.clone());
        self.best = kept.and_then(|kept| kept.best.clone());
        self.best_loss = kept.and_then(|kept| kept.best_loss);
        self.best_checkpoint = kept.and_then(|kept| kept.best_checkpoint.clone());
        self.take_back();
    }

    /// The best state is no longer in the store, the one to go on from is.
    pub(super) fn forget_best(&mut self) {
        let gone = self.best_checkpoint.take();
        for kept in [&mut self.last_checkpoint, &mut self.earlier_checkpoint].into_iter().flatten() {
            kept.best_checkpoint.take_if(|best| Some(&*best) == gone.as_ref());
        }
    }

    /// `held` is how long the attempt has had its slot.
    pub(in crate::state) fn keep(&mut self, checkpoint: &Checkpoint, held: Span) {
        if checkpoint.kind == CheckpointKind::Best {
            self.best_checkpoint = Some(checkpoint.clone());
            return;
        }
        self.earlier_checkpoint = self.last_checkpoint.take();
        let before = self.earlier_checkpoint.as_deref();
        let (mut last, mut best) = before.map_or((None, None), |kept| (kept.last.clone(), kept.best.clone()));
        let mut best_loss = before.and_then(|kept| kept.best_loss);
        let contained = self.ahead.iter().take_while(|metrics| metrics.epoch <= checkpoint.epoch).count();
        for metrics in self.ahead.drain(..contained) {
            let metrics = EpochMetrics { cost: None, ..metrics };
            if is_better(&metrics, best.as_ref()) {
                best = Some(metrics.clone());
            }
            best_loss = lower(best_loss, metrics.val_loss);
            last = Some(metrics);
        }
        let best_checkpoint = self.best_checkpoint.clone().filter(|best| best.epoch <= checkpoint.epoch);
        let (checkpoint, took) = (checkpoint.clone(), self.took(held));
        let kept = Kept { checkpoint, last, best, best_loss, best_checkpoint, took };
        self.last_checkpoint = Some(Box::new(kept));
    }
}
