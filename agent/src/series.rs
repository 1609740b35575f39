//! What people look at and nothing decides from: log text and per-step losses, on their way to the
//! coordinator. Bounded and lossy; the oldest goes first.

use std::collections::VecDeque;

use bytes::Bytes;
use sweep_core::id::Lease;

/// Log bytes kept at most.
const MOST_LOG: usize = 4 << 20;
/// Steps kept at most.
const MOST_STEPS: usize = 20_000;
/// Log bytes in one shipment.
const LOG_AT_ONCE: usize = 512 << 10;
/// Steps in one shipment.
const STEPS_AT_ONCE: usize = 5_000;

/// A piece of an attempt's log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPiece {
    /// Whose.
    pub lease: Lease,
    /// Where it starts, bytes.
    pub offset: u64,
    /// The bytes.
    pub text: Bytes,
}

/// A loss inside an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// Whose.
    pub lease: Lease,
    /// Optimizer steps so far.
    pub step: u64,
    /// Training loss.
    pub loss: f64,
}

/// One shipment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shipment {
    /// Log text.
    pub logs: Vec<LogPiece>,
    /// Steps.
    pub steps: Vec<StepLoss>,
}

/// Waits to be shipped.
#[derive(Debug, Default)]
pub struct Series {
    logs: VecDeque<LogPiece>,
    log_bytes: usize,
    steps: VecDeque<StepLoss>,
}

impl Series {
    /// Adds log text, at the price of the oldest if there is too much.
    pub fn log(&mut self, piece: LogPiece) {
        self.log_bytes += piece.text.len();
        self.logs.push_back(piece);
        while self.log_bytes > MOST_LOG {
            let Some(oldest) = self.logs.pop_front() else {
                break;
            };
            self.log_bytes -= oldest.text.len();
        }
    }

    /// Adds a step, at the price of the oldest if there are too many.
    pub fn step(&mut self, step: StepLoss) {
        if self.steps.len() >= MOST_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    /// Whether there is nothing to ship.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.steps.is_empty()
    }

    /// Takes a shipment back that did not arrive, as far as there is room beside what is newer.
    pub fn put_back(&mut self, shipment: Shipment) {
        for piece in shipment.logs.into_iter().rev() {
            if self.log_bytes + piece.text.len() > MOST_LOG {
                break;
            }
            self.log_bytes += piece.text.len();
            self.logs.push_front(piece);
        }
        let room = MOST_STEPS.saturating_sub(self.steps.len());
        for step in shipment.steps.into_iter().rev().take(room) {
            self.steps.push_front(step);
        }
    }

    /// The next shipment. What becomes of it is not remembered.
    pub fn take(&mut self) -> Shipment {
        let mut shipment = Shipment::default();
        let mut bytes = 0;
        while bytes < LOG_AT_ONCE
            && let Some(piece) = self.logs.pop_front()
        {
            bytes += piece.text.len();
            shipment.logs.push(piece);
        }
        self.log_bytes -= bytes;
        let steps = self.steps.len().min(STEPS_AT_ONCE);
        shipment.steps = self.steps.drain(..steps).collect();
        shipment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::{SweepId, TrialId};

    #[test]
    fn too_much_costs_the_oldest() {
        let trial = TrialId::derive(SweepId::derive("series", ""), "");
        let lease = Lease { trial, attempt: 1 };
        let mut series = Series::default();
        let text = Bytes::from(vec![b'x'; 1 << 20]);
        for number in 0..6u64 {
            series.log(LogPiece { lease, offset: number << 20, text: text.clone() });
        }
        for step in 0..MOST_STEPS as u64 + 5 {
            series.step(StepLoss { lease, step, loss: 0.0 });
        }
        let first = series.take();
        series.put_back(first.clone());
        assert_eq!(series.take(), first);
        assert_eq!(first.logs[0].offset, 2 << 20);
        assert_eq!(first.steps[0].step, 5);
        let mut shipments = 1;
        while !series.is_empty() {
            series.take();
            shipments += 1;
        }
        assert_eq!(shipments, 4);
        assert_eq!(series.log_bytes, 0);
    }
}
