//! After which epochs trainers wait to be told more: what the orders say, compared with what the launcher was told. Pure; telling
//! is the supervisor's business.

use std::collections::{BTreeMap, BTreeSet};

use sweep_core::id::Lease;

/// What the launcher was told.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    told: BTreeMap<Lease, Option<u32>>,
}

impl Waits {
    /// What the launcher has to be told now. `wanted` are all leases of the orders, `waits` what they say of some of them; `has`
    /// knows whether there is an attempt already.
    pub(crate) fn news<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a Lease>,
        waits: &BTreeMap<Lease, u32>,
        has: impl Fn(&Lease) -> bool,
    ) -> Vec<(Lease, Option<u32>)> {
        let mut news = Vec::new();
        let mut known = BTreeSet::new();
        for lease in wanted {
            known.insert(*lease);
            let wait = waits.get(lease).copied();
            let told = self.told.insert(*lease, wait);
            // One of an earlier life may have been told something; one that is about to be started was told nothing.
            if told.map_or(wait.is_some() || has(lease), |told| told != wait) {
                news.push((*lease, wait));
            }
        }
        // Never started and not wanted any more: nothing of it stays.
        let over = |lease: &Lease| !known.contains(lease) && !has(lease);
        let gone = self.told.iter().filter(|(lease, wait)| over(lease) && wait.is_some());
        news.extend(gone.map(|(lease, _)| (*lease, None)));
        self.told.retain(|lease, _| !over(lease));
        news
    }

    /// It was said, or could not be: then it is news again with the next orders.
    pub(crate) fn heard(&mut self, lease: Lease, is: bool) {
        if !is {
            self.told.remove(&lease);
        }
    }

    /// After which epoch a trainer waits.
    pub(crate) fn of(&self, lease: Lease) -> Option<u32> {
        self.told.get(&lease).copied().flatten()
    }

    /// It is settled.
    pub(crate) fn forget(&mut self, lease: Lease) {
        self.told.remove(&lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::{SweepId, TrialId};

    fn lease(number: u32) -> Lease {
        Lease { trial: TrialId::derive(SweepId::derive("waits", ""), &number.to_string()), attempt: 1 }
    }

    /// It was taken for told, and the trainer never waited.
    #[test]
    fn what_could_not_be_said_is_said_again() {
        let (mut waits, a) = (Waits::default(), lease(0));
        let mut news = |is_heard: bool, wait: Option<u32>| {
            let said: BTreeMap<_, _> = wait.map(|wait| (a, wait)).into_iter().collect();
            let news = waits.news([a].iter(), &said, |_| true);
            news.iter().for_each(|(lease, _)| waits.heard(*lease, is_heard));
            (news.into_iter().map(|(_, wait)| wait).collect::<Vec<_>>(), waits.of(a))
        };
        assert_eq!(news(false, Some(1)), (vec![Some(1)], None), "it does not wait");
        assert_eq!(news(true, Some(1)), (vec![Some(1)], Some(1)));
        assert_eq!(news(true, Some(1)), (vec![], Some(1)));
        assert_eq!(news(false, None), (vec![None], None));
        assert_eq!(news(true, None), (vec![None], None));
        assert_eq!(news(true, None), (vec![], None));
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let mut waits = Waits::default();
        let (a, b) = (lease(0), lease(1));
        let mut news = |wanted: &[Lease], said: &[(Lease, u32)], running: &[Lease]| {
            waits.news(wanted.iter(), &said.iter().copied().collect(), |lease| running.contains(lease))
        };
        assert_eq!(news(&[a, b], &[(a, 1)], &[]), [(a, Some(1))], "a fresh one was told nothing");
        assert_eq!(news(&[a, b], &[(a, 1)], &[a, b]), []);
        assert_eq!(news(&[a, b], &[(a, 3)], &[a, b]), [(a, Some(3))]);
        assert_eq!(news(&[a, b], &[], &[a, b]), [(a, None)]);
        assert_eq!(news(&[b], &[], &[a, b]), [], "one that is asked to leave is told nothing more");
        // An agent that was started again finds what it does not know.
        let mut waits = Waits::default();
        assert_eq!(waits.news([a].iter(), &BTreeMap::new(), |_| true), [(a, None)]);
        // One that was never started.
        assert_eq!(waits.news([b].iter(), &BTreeMap::from([(b, 1)]), |_| false), [(b, Some(1))]);
        assert_eq!((waits.of(b), waits.of(a)), (Some(1), None));
        assert_eq!(waits.news([].iter(), &BTreeMap::new(), |_| false), [(b, None)]);
        assert_eq!(waits.of(b), None);
    }
}
