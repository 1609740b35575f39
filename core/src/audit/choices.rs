//! All trials of a network in a sweep compute alike where the file leaves it open: it is chosen once, from what is left.

use super::Auditor;
use crate::alike;
use crate::id::Lease;
use crate::recipe::Numerics;

impl Auditor {
    pub(super) fn chosen(&mut self, lease: Lease, numerics: Numerics) {
        if !self.live(lease, "choice", |_, _| None) {
            return;
        }
        let Some((sweep, index)) = self.trials.get(&lease.trial).map(|book| (book.sweep, book.index)) else { return };
        let Some(book) = self.sweeps.get_mut(&sweep) else { return };
        let key = alike::key(&book.plan, index).filter(|key| alike::permits(key, numerics));
        let wrong = match key {
            None => Some(format!("{lease} chose {numerics}, which its recipe does not leave open")),
            Some(key) => {
                let before = book.chosen.insert(key, numerics);
                before.map(|before| format!("{lease} chose {numerics} after {before} was chosen"))
            }
        };
        if let Some(what) = wrong {
            self.violation(Some(sweep), "choice", what);
        }
    }
}
