//! What the coordinator has acknowledged of an attempt and is told again after a hello: the end of its journal may be lost, and what
//! was only there would be in nobody's hands any more. To a coordinator that knows it that changes nothing. Epochs are counted, and
//! are no part of this. Pure.

use sweep_core::attempt::{CheckpointKind, CheckpointLine};
use sweep_core::origin::Origin;
use sweep_core::recipe::Numerics;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// What the trainer chose.
    pub(crate) chosen: Option<Numerics>,
    /// What it said when it started.
    pub(crate) started: Option<Origin>,
    /// In the order of their epochs: the newest state, the best one that it came with, and the best one.
    pub(crate) checkpoints: Vec<CheckpointLine>,
}

impl Accepted {
    /// A checkpoint was acknowledged.
    pub(crate) fn keep(&mut self, line: &CheckpointLine) {
        self.checkpoints.retain(|other| other != line);
        let at = self.checkpoints.partition_point(|other| other.seq <= line.seq);
        self.checkpoints.insert(at, line.clone());
        let newest = |kind, below: usize| self.checkpoints[..below].iter().rposition(|line| line.kind == kind);
        let (all, last) = (self.checkpoints.len(), newest(CheckpointKind::Last, self.checkpoints.len()));
        let best = newest(CheckpointKind::Best, all);
        let needed = [last, best, last.and_then(|last| newest(CheckpointKind::Best, last))];
        let mut at = 0..;
        self.checkpoints.retain(|_| needed.contains(&at.next()));
    }
}
