//! What trainers say of themselves: what they compute with, and what they are.

use super::State;
use crate::id::Lease;
use crate::origin::Origin;
use crate::recipe::Numerics;

impl State {
    /// What a trial computes with; `None` if it got on without a word.
    pub(super) fn chosen(&mut self, lease: Lease, numerics: Option<Numerics>) {
        if let Some((at, _)) = self.leased(lease) {
            self.sweeps[at.sweep as usize].choose(at.index, numerics);
        }
    }

    /// A trainer got under way.
    pub(super) fn started(&mut self, lease: Lease, origin: &Origin) {
        if let Some((at, _)) = self.leased(lease) {
            self.sweeps[at.sweep as usize].trained_by(at.index, origin);
        }
    }
}
