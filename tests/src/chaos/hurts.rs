//! What can be done to a lab, and how often it was.

use std::collections::BTreeMap;
use std::fmt;

use crate::random::Random;

/// One thing that is done to a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hurt {
    /// `kill -9` of the coordinator, which is started again.
    Coordinator,
    /// `kill -9` of the agent, which is started again.
    Agent,
    /// `kill -9` of a trainer.
    Trainer,
    /// One of them stands still for up to a second (SIGSTOP).
    Stop,
    /// What goes between agents and coordinator is late.
    Delay,
    /// Connections between them are reset.
    Cut,
    /// What agents say is swallowed; connections stay open.
    SwallowUp,
    /// What the coordinator answers is swallowed; connections stay open.
    SwallowDown,
    /// What an agent has said on a connection is said again on another one.
    Replay,
    /// The coordinator dies and the last bytes of its journal are lost.
    Tear,
    /// A bit of a stored checkpoint changes, and a trainer that could go on from it dies.
    Flip,
    /// The coordinator's disk is full for a while.
    Fill,
}

impl Hurt {
    /// What happens to processes.
    pub const PROCESSES: &[Self] = &[Self::Coordinator, Self::Agent, Self::Trainer, Self::Stop];
    /// Everything there is.
    pub const ALL: &[Self] = &[
        Self::Coordinator,
        Self::Agent,
        Self::Trainer,
        Self::Stop,
        Self::Delay,
        Self::Cut,
        Self::SwallowUp,
        Self::SwallowDown,
        Self::Replay,
        Self::Tear,
        Self::Flip,
        Self::Fill,
    ];

    /// Whether it needs a [`Proxy`](super::proxy::Proxy).
    pub fn is_of_network(self) -> bool {
        matches!(self, Self::Delay | Self::Cut | Self::SwallowUp | Self::SwallowDown | Self::Replay)
    }

    /// Whether a program is killed.
    pub fn is_kill(self) -> bool {
        matches!(self, Self::Coordinator | Self::Agent | Self::Trainer | Self::Tear)
    }

    /// How many times as often it is drawn as others.
    fn weight(self) -> u64 {
        match self {
            Self::Coordinator | Self::Agent | Self::Trainer => 6,
            _ => 1,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator killed",
            Self::Agent => "agent killed",
            Self::Trainer => "trainer killed",
            Self::Stop => "stopped for a while",
            Self::Delay => "network late",
            Self::Cut => "connections cut",
            Self::SwallowUp => "requests swallowed",
            Self::SwallowDown => "answers swallowed",
            Self::Replay => "conversations played again",
            Self::Tear => "journal torn",
            Self::Flip => "checkpoints damaged",
            Self::Fill => "disk full",
        }
    }
}

/// How often what was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Hurt, u32>);

impl Counts {
    /// Counts one.
    pub fn add(&mut self, hurt: Hurt) {
        *self.0.entry(hurt).or_default() += 1;
    }

    /// How often this was done.
    pub fn of(&self, hurt: Hurt) -> u32 {
        self.0.get(&hurt).copied().unwrap_or_default()
    }

    /// How often a program was killed.
    pub fn kills(&self) -> u32 {
        self.0.iter().filter(|(hurt, _)| hurt.is_kill()).map(|(_, count)| count).sum()
    }

    /// Whether each of these was done.
    pub fn has_all(&self, hurts: &[Hurt]) -> bool {
        hurts.iter().all(|hurt| self.of(*hurt) > 0)
    }

    /// Draws one of `left`: one that was not done yet, if there is one, so that a short run has some of each.
    pub(super) fn draw(&self, random: &mut Random, left: &[Hurt]) -> Option<Hurt> {
        let new: Vec<Hurt> = left.iter().copied().filter(|hurt| self.of(*hurt) == 0).collect();
        let from = if new.is_empty() { left } else { &new };
        let all: u64 = from.iter().map(|hurt| hurt.weight()).sum();
        let mut at = random.below(all.max(1));
        from.iter().copied().find(|hurt| {
            let here = at < hurt.weight();
            at = at.saturating_sub(hurt.weight());
            here
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(hurt, count)| format!("{} {count}", hurt.words())).collect();
        f.write_str(if parts.is_empty() { "nothing was done" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_each_comes_first_and_kills_are_the_most() {
        let (mut counts, mut random) = (Counts::default(), Random(7));
        assert_eq!(counts.to_string(), "nothing was done");
        assert_eq!(counts.draw(&mut random, &[]), None);
        for round in 0..1000 {
            assert_eq!(counts.has_all(Hurt::ALL), round >= Hurt::ALL.len(), "{counts}");
            counts.add(counts.draw(&mut random, Hurt::ALL).unwrap_or(Hurt::Stop));
        }
        assert!((600..800).contains(&counts.kills()), "{counts}");
        assert!(Hurt::ALL.iter().all(|hurt| counts.of(*hurt) > 20), "{counts}");
    }
}
