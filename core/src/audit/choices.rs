//! All trials of a sweep on one data set see the same copy of it, and those of a network compute alike where the file leaves it
//! open: it is chosen once, from what is left.

use super::Auditor;
use crate::alike;
use crate::id::Lease;
use crate::recipe::Numerics;

impl Auditor {
    /// All trials of a sweep on one data set see the same copy of it.
    pub(super) fn copy_used(&mut self, lease: Lease, fingerprint: Option<&str>) {
        let Some(fingerprint) = fingerprint else { return };
        self.reuses.granted(lease, fingerprint);
        let Some((sweep, index)) = self.trials.get(&lease.trial).map(|book| (book.sweep, book.index)) else { return };
        let Some(book) = self.sweeps.get_mut(&sweep) else { return };
        let dataset = book.plan.value(book.plan.trial(index).point, "dataset").and_then(|value| value.as_str());
        let first = book.copies.entry(dataset.unwrap_or_default().to_owned()).or_insert_with(|| fingerprint.to_owned());
        if first != fingerprint {
            let what = format!("{lease} is granted for the copy {fingerprint}, the sweep trains on {first}");
            self.violation(Some(sweep), "other_data", what);
        }
    }

    /// What is said of, or asked of, a live attempt and changes nothing else.
    pub(super) fn asked(&mut self, lease: Lease, what: &str) {
        self.live(lease, what, |_, _| None);
    }

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
