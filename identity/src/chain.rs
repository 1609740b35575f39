//! The hash chain of the audit log: each entry's hash covers the hash before it, its number and its
//! text, so that an entry that was changed, left out, moved or put in breaks every hash after it. What
//! the chain cannot show is that its end was cut off: for that, note the newest hash somewhere else.

use sha2::{Digest as _, Sha256};

use crate::token::hex;

/// What stands before the first entry.
pub const START: &str = "";

/// The hash of an entry, lower-case hex.
pub fn link(before: &str, no: u64, body: &str) -> String {
    let mut hash = Sha256::new();
    // Lengths first: no two different entries are the same bytes.
    for part in [before.as_bytes(), &no.to_be_bytes(), body.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Numbers count 1, 2, 3, ...
    #[error("entry {expected} is missing: {found} stands in its place")]
    Gap {
        /// What should be there.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The text, or one before it, is not the one that was written.
    #[error("entry {no} is not what was written: its hash does not fit")]
    Changed {
        /// Which.
        no: u64,
    },
}

/// Follows a chain.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    /// Entries that fit.
    pub entries: u64,
    /// The newest hash.
    pub head: String,
}

impl Follower {
    /// Looks at the next entry.
    ///
    /// # Errors
    /// When it does not follow.
    pub fn follow(&mut self, no: u64, body: &str, hash: &str) -> Result<(), Broken> {
        let expected = self.entries + 1;
        if no != expected {
            return Err(Broken::Gap { expected, found: no });
        }
        if link(&self.head, no, body) != hash {
            return Err(Broken::Changed { no });
        }
        self.entries = no;
        hash.clone_into(&mut self.head);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(bodies: &[&str]) -> Vec<(u64, String, String)> {
        let mut head = START.to_owned();
        (1..)
            .zip(bodies)
            .map(|(no, body)| {
                head = link(&head, no, body);
                (no, (*body).to_owned(), head.clone())
            })
            .collect()
    }

    fn check(entries: &[(u64, String, String)]) -> Result<u64, Broken> {
        let mut follower = Follower::default();
        for (no, body, hash) in entries {
            follower.follow(*no, body, hash)?;
        }
        Ok(follower.entries)
    }

    #[test]
    fn whatever_is_done_to_a_chain_is_seen() {
        let whole = chain(&["a", "b", "c", "d"]);
        assert_eq!(check(&whole), Ok(4));
        let mut changed = whole.clone();
        changed[1].1 = "B".to_owned();
        assert_eq!(check(&changed), Err(Broken::Changed { no: 2 }));
        changed[1].2 = link(&whole[0].2, 2, "B");
        assert_eq!(check(&changed), Err(Broken::Changed { no: 3 }), "a mended hash breaks the next");
        let mut shorter = whole.clone();
        shorter.remove(2);
        assert_eq!(check(&shorter), Err(Broken::Gap { expected: 3, found: 4 }));
        let mut swapped = whole.clone();
        swapped.swap(0, 1);
        assert_eq!(check(&swapped), Err(Broken::Gap { expected: 1, found: 2 }));
        assert_eq!(check(&whole[..3]), Ok(3), "a cut end is only seen by the head that was noted");
        assert_ne!(link("ab", 1, "c"), link("a", 1, "bc"));
    }
}
