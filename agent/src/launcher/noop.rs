//! Trainers that do nothing, inside the agent's process: each reports one epoch and ends. For
//! measuring how many trials a second everything but training can do.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use sweep_core::attempt::{Body, Done, EpochMetrics, Line};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_core::num::Num;
use sweep_proto::convert::PlacedOrder;

use super::{Disposal, Exit, ExitKind, Found, Launcher, News, Signal, Source, Trainer};

/// See the module. No files, no processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopLauncher;

impl Launcher for NoopLauncher {
    fn found(&self) -> Vec<Found> {
        Vec::new()
    }

    fn start(&self, order: PlacedOrder) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        let lr = order.order.recipe.lr;
        let trainer: Box<dyn Trainer> = Box::new(NoopTrainer { lr });
        ready(Ok(trainer)).boxed()
    }

    fn attach(&self, lease: Lease) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        let failure = crate::outbox::corrupt(format!("no attempt {lease} was ever found here"));
        ready(Err(failure)).boxed()
    }

    fn checkpoint(&self, _: Lease, _: &str) -> Option<Source> {
        None
    }

    fn dispose(&self, _: Lease, _: Disposal) {}
}

struct NoopTrainer {
    lr: f64,
}

impl Trainer for NoopTrainer {
    fn news(&mut self) -> BoxFuture<'_, News> {
        let line = |body| Line { work: 0, body };
        let lines = vec![
            line(Body::Epoch(EpochMetrics { lr: Num(self.lr), ..EpochMetrics::uniform(1, 1, Num(0.5)) })),
            line(Body::Done(Done { final_seq: 1, early: false, weights: String::new(), test: None })),
        ];
        let exit = Exit { how: ExitKind::Code(0), words: String::new() };
        ready(News::Gone { lines, exit }).boxed()
    }

    fn signal(&mut self, _: Signal) {}

    fn is_released(&mut self) -> bool {
        true
    }
}
