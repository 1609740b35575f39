//! Which history this is, and whether it went back. A coordinator that was started on an older copy of its journal knows
//! less than it has told: agents remember the newest place in the journal that any answer named, and say so. Whoever
//! has seen more than there is proves that the end was lost; then nothing is decided until an admin has accepted it.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Event;
use crate::id::AgentId;
use crate::time::Timestamp;

/// Name space of the ids of journals and runs (a fixed random uuid).
const NAMESPACE: Uuid = Uuid::from_u128(0x2c1b_83f0_7d5e_4a96_8e0a_54f2_19c7_6d3b);

/// Most generations that a journal can be behind.
const FAR: u32 = 1000;

/// A place in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which journal: follows from its first event and when that was.
    pub journal: Uuid,
    /// How often an admin has accepted that its end was lost.
    pub generation: u32,
    /// Events up to here.
    pub events: u64,
    /// Which process wrote the last of them; absent for one that did not say when it began. After the end was lost
    /// another one writes other events up to the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
}

impl Position {
    /// Orders the places of one journal.
    pub fn place(&self) -> (u32, u64) {
        (self.generation, self.events)
    }
}

/// Why the end of the journal is taken for lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspicion {
    /// The agent that has seen more; nobody if a backup was put in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The agent's host, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The generation that it has seen.
    pub generation: u32,
    /// Events that it has seen.
    pub events: u64,
}

/// An admin goes on without what was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// Who.
    pub user: String,
    /// The generation that begins.
    pub generation: u32,
}

/// Which history this is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lineage {
    journal: Option<Uuid>,
    /// How often an admin has accepted that the end was lost.
    pub generation: u32,
    events: u64,
    /// Every process that began to work on it, with how many events there were before.
    runs: Vec<(Uuid, u64)>,
    /// Safe mode: since when the end is taken for lost, with how many events there were, and why.
    pub suspicion: Option<(Timestamp, u64, Suspicion)>,
}

/// How far a history has come is no part of what it says: an event that changes nothing may be left out.
impl PartialEq for Lineage {
    fn eq(&self, other: &Self) -> bool {
        (self.generation, &self.suspicion) == (other.generation, &other.suspicion)
    }
}

impl Lineage {
    /// Folds the next event in.
    pub fn read(&mut self, event: &Event, now: Timestamp) {
        if self.journal.is_none() {
            let text = serde_json::to_vec(event).unwrap_or_default();
            self.journal = Some(Uuid::new_v5(&NAMESPACE, &[now.0.to_be_bytes().as_slice(), &text].concat()));
        }
        match event {
            Event::RollbackSuspected(suspicion) => self.suspicion = Some((now, self.events, suspicion.clone())),
            Event::RollbackAccepted(Acceptance { generation, .. }) => {
                (self.generation, self.suspicion) = (*generation, None);
            }
            Event::CoordinatorStarted { run, .. } => self.runs.push((*run, self.events)),
            _ => {}
        }
        self.events += 1;
    }

    /// An id for a process that begins now.
    pub fn next_run(&self, now: Timestamp) -> Uuid {
        let journal = self.journal.unwrap_or_default();
        let what = [journal.as_bytes().as_slice(), &self.events.to_be_bytes(), &now.0.to_be_bytes()];
        Uuid::new_v5(&NAMESPACE, &what.concat())
    }

    /// Where the history has come to; nowhere before its first event.
    pub fn position(&self) -> Option<Position> {
        let (generation, events) = (self.generation, self.events);
        let run = self.runs.last().map(|(run, _)| *run);
        self.journal.map(|journal| Position { journal, generation, events, run })
    }

    /// Whether somebody who has seen this has seen something of this very history that is not there any more, even if
    /// other things have happened since.
    pub fn is_behind(&self, seen: Position) -> bool {
        self.journal == Some(seen.journal)
            && match seen.generation.cmp(&self.generation) {
                Ordering::Less => false,
                Ordering::Equal => seen.events > self.reach(seen.run),
                // More of them than anybody ever accepts are a number that somebody made up.
                Ordering::Greater => seen.generation - self.generation <= FAR,
            }
    }

    /// The place that somebody has seen, in this history; its beginning if that was another one.
    pub fn place(&self, seen: Position) -> (u32, u64) {
        if self.journal == Some(seen.journal) { seen.place() } else { (0, 0) }
    }

    /// Up to where the history is the one that this process wrote; nowhere if its beginning was lost.
    fn reach(&self, run: Option<Uuid>) -> u64 {
        let Some(run) = run else { return self.events };
        match self.runs.iter().rposition(|(known, _)| *known == run) {
            Some(at) => self.runs.get(at + 1).map_or(self.events, |(_, before)| *before),
            None => 0,
        }
    }

    /// Whether somebody was last here before the end was lost: what it holds may be of the lost part. Whoever does not say
    /// what it has seen never was here since.
    pub fn is_older(&self, seen: Option<Position>) -> bool {
        let of_this = seen.filter(|seen| self.journal == Some(seen.journal));
        self.generation > 0 && of_this.is_none_or(|seen| seen.generation < self.generation)
    }

    /// Safe mode: for people, what was seen.
    pub fn words(&self) -> Option<String> {
        let (_, events, suspicion) = self.suspicion.as_ref()?;
        let seen = match suspicion {
            Suspicion { agent: None, .. } => "a backup was put in place".to_owned(),
            Suspicion { generation, .. } if *generation > self.generation => {
                format!("{} has seen a later generation of it", suspicion.host)
            }
            Suspicion { events: seen, .. } if seen <= events => {
                format!("{} has seen events that are not in it any more", suspicion.host)
            }
            Suspicion { events: seen, .. } => {
                format!("{} has seen {seen} events, and there are {events}", suspicion.host)
            }
        };
        Some(format!(
            "safe mode: the end of the journal is lost ({seen}). Nothing is started, stopped or thrown away; trainers go on. Restore a \
             newer backup, or go on without the rest: sweepctl admin accept-rollback"
        ))
    }
}
