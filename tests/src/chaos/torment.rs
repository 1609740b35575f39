//! Does one thing after the other to a lab. What a network or a disk does lasts until the next thing was done, so that things
//! are also seen in pairs; only one whose meaning would be lost begins with good weather.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::hurts::{Counts, Hurt};
use super::proxy::{Flow, Way};
use super::wal::Place;
use crate::process::{Lab, wait_for};
use crate::random::Random;
use crate::sha256;

/// Half of the torn journals lose so many bytes at most, inside their last commit.
const FEW_BYTES: u64 = 24;
/// The other half loses so many at most, some commits.
const MANY_BYTES: u64 = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Torment<'a> {
    lab: &'a mut Lab,
    sweep: String,
    random: Random,
    /// What this lab allows.
    kinds: Vec<Hurt>,
    counts: Counts,
    /// How often an admin had to accept that the end of the journal was lost.
    rollbacks: u32,
    /// The end of the journal's log when the sweep was in it.
    since: Option<Place>,
    /// Whether network or disk are bad.
    lasts: bool,
    flipped: BTreeSet<PathBuf>,
    agents: usize,
}

impl<'a> Torment<'a> {
    /// Of a lab in which a sweep was submitted.
    pub(super) fn new(lab: &'a mut Lab, sweep: &str, seed: u64, hurts: &[Hurt]) -> Result<Self> {
        let has = |hurt: &Hurt| match hurt {
            Hurt::Fill => lab.disk().is_some(),
            hurt => lab.proxy().is_some() || !hurt.is_of_network(),
        };
        let kinds = hurts.iter().copied().filter(has).collect();
        let since = Place::of(&log(lab)).context("the journal's log")?;
        let agents = reachable(lab)?.0;
        let (sweep, random, counts) = (sweep.to_owned(), Random(seed), Counts::default());
        Ok(Self {
            lab,
            sweep,
            random,
            kinds,
            counts,
            rollbacks: 0,
            since,
            lasts: false,
            flipped: BTreeSet::new(),
            agents,
        })
    }

    pub(super) fn lab(&self) -> &Lab {
        self.lab
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How often what was done, and how often an admin had to accept the loss of a journal's end.
    pub(super) fn done(self) -> (Counts, u32) {
        (self.counts, self.rollbacks)
    }

    /// Does the next thing.
    pub(super) fn hurt(&mut self) -> Result<()> {
        let lasted = std::mem::take(&mut self.lasts);
        let mut left = self.kinds.clone();
        while let Some(hurt) = self.counts.draw(&mut self.random, &left) {
            if self.inflict(hurt)? {
                self.counts.add(hurt);
                break;
            }
            left.retain(|kind| *kind != hurt);
        }
        if lasted && !self.lasts {
            self.calm();
        }
        Ok(())
    }

    /// Network and disk are as they should be.
    pub(super) fn calm(&mut self) {
        self.lasts = false;
        if let Some(proxy) = self.lab.proxy() {
            proxy.calm();
        }
        if let Some(disk) = self.lab.disk() {
            disk.clear();
        }
    }

    /// False if there was nothing to do it to.
    fn inflict(&mut self, hurt: Hurt) -> Result<bool> {
        match hurt {
            Hurt::Coordinator => {
                self.lab.kill_coordinator();
                self.start_coordinator()?;
            }
            Hurt::Agent => {
                self.lab.kill_agent();
                self.lab.start_agent()?;
            }
            Hurt::Trainer => {
                let trainers = self.lab.trainers();
                let Some(pid) = self.one_of(&trainers) else { return Ok(false) };
                self.lab.kill_process(pid);
            }
            Hurt::Stop => return Ok(self.stop()),
            Hurt::Delay => {
                let time = Duration::from_millis(20 + self.random.below(500));
                self.weather(Flow::Delay(time), &[Way::Up, Way::Down]);
            }
            Hurt::SwallowUp => self.weather(Flow::Swallow, &[Way::Up]),
            Hurt::SwallowDown => self.weather(Flow::Swallow, &[Way::Down]),
            Hurt::Cut => return Ok(self.cut()),
            Hurt::Replay => return self.replay(),
            Hurt::Tear => return self.tear(),
            Hurt::Flip => return Ok(self.flip().is_some()),
            Hurt::Fill => {
                self.calm();
                let Some(disk) = self.lab.disk() else { return Ok(false) };
                disk.fill().context("filling the disk")?;
                self.lasts = true;
            }
        }
        Ok(true)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.random.below(all.len().max(1) as u64) as usize).copied()
    }

    /// Starts it like a service: one that found no room is started again when there is some.
    fn start_coordinator(&mut self) -> Result<()> {
        self.lab.launch_coordinator()?;
        let Some(disk) = self.lab.disk() else { return self.lab.serves() };
        disk.clear();
        wait_for("the coordinator after a full disk", || {
            if self.lab.coordinator_ended().ok()?.is_some() {
                self.lab.launch_coordinator().ok()?;
            }
            self.lab.is_served().then_some(())
        })
        .with_context(|| self.lab.logs())
    }

    /// Stops one of the processes for up to a second.
    fn stop(&mut self) -> bool {
        let lab = &self.lab;
        let all: Vec<u32> = lab.coordinator_pid().into_iter().chain(lab.agent_pid()).chain(lab.trainers()).collect();
        let Some(pid) = self.one_of(&all).and_then(|pid| Pid::from_raw(pid.cast_signed())) else { return false };
        let stopped = kill_process(pid, Signal::STOP).is_ok();
        // This is for how long it stands still; nothing is waited for.
        std::thread::sleep(Duration::from_millis(50 + self.random.below(950)));
        // A trainer may have been killed meanwhile by its agent.
        kill_process(pid, Signal::CONT).ok();
        stopped
    }

    /// Of one connection, or of all and those to come.
    fn weather(&mut self, flow: Flow, ways: &[Way]) {
        self.calm();
        let Some(proxy) = self.lab.proxy() else { return };
        let open = proxy.connections();
        let one = if self.random.chance(50) { self.one_of(&open) } else { None };
        let Some(proxy) = self.lab.proxy() else { return };
        for way in ways {
            match one {
                Some(connection) => proxy.set(connection, *way, flow),
                None => proxy.set_all(*way, flow),
            }
        }
        self.lasts = true;
    }

    /// One connection, or all.
    fn cut(&mut self) -> bool {
        let mut open = self.lab.proxy().map(|proxy| proxy.connections()).unwrap_or_default();
        if self.random.chance(50) {
            open = self.one_of(&open).into_iter().collect();
        }
        open.iter().for_each(|connection| self.lab.proxy().into_iter().for_each(|proxy| proxy.cut(*connection)));
        !open.is_empty()
    }

    fn replay(&mut self) -> Result<bool> {
        let known = self.lab.proxy().map(|proxy| proxy.recorded()).unwrap_or_default();
        let Some(connection) = self.one_of(&known) else { return Ok(false) };
        let heard = self.lab.proxy().and_then(|proxy| proxy.replay(connection).ok());
        if self.counts.of(Hurt::Tear) > 0 {
            // An agent that was killed had seen what this one has not: that, too, shows what was lost.
            self.settle()?;
        }
        Ok(heard.is_some_and(|heard| heard > 0))
    }

    /// What was lost may have been told to agents: then nobody decides before an admin does.
    fn tear(&mut self) -> Result<bool> {
        self.calm();
        self.lab.kill_coordinator();
        let bytes = if self.random.chance(50) { FEW_BYTES } else { MANY_BYTES };
        let (log, bytes) = (log(self.lab), 1 + self.random.below(bytes));
        let torn = match Place::of(&log)? {
            Some(place) => place.tear(&log, self.since, bytes)?,
            None => false,
        };
        self.start_coordinator()?;
        match torn {
            true => self.settle()?,
            false => self.counts.add(Hurt::Coordinator),
        }
        Ok(torn)
    }

    /// Waits until all agents have said what they have seen, and does what an admin does if that is more than there is.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.calm();
        let heard = wait_for("agents that say what they have seen", || {
            let (agents, is_safe) = reachable(self.lab).ok()?;
            (is_safe || agents >= self.agents).then_some(is_safe)
        });
        if heard.with_context(|| self.lab.logs())? {
            // Where there was no room a moment ago it may be refused.
            wait_for("a coordinator that accepts", || self.lab.text(&["admin", "accept-rollback"]).ok())?;
            self.rollbacks += 1;
        }
        Ok(())
    }

    /// A bit in the middle of the newest checkpoint of a trial that runs; then its trainer dies, so that somebody wants to read it.
    fn flip(&mut self) -> Option<()> {
        let page = self.lab.json(&["show", &self.sweep, "--phase", "running", "--limit", "100"]).ok()?;
        let trials = page["trials"].as_array()?.iter().filter(|trial| trial["last_checkpoint"]["sha256"].is_string());
        let trials: Vec<&Value> = trials.collect();
        let trial = self.one_of(&trials)?;
        let path = blob(self.lab, trial["last_checkpoint"]["sha256"].as_str()?);
        flip_middle(&path).ok()?;
        self.flipped.insert(path);
        for pid in self.lab.trainers_of(trial["trial"].as_str()?) {
            self.lab.kill_process(pid);
        }
        Some(())
    }

    /// Checkpoints that were damaged, and that nobody has read since, get their bit back; then all that is stored must be good.
    pub(super) fn look_at_store(&self) -> Result<()> {
        for path in &self.flipped {
            let is_damaged = |bytes: Vec<u8>| path.file_name().is_some_and(|name| *name != *sha256(&bytes));
            if std::fs::read(path).is_ok_and(is_damaged) {
                flip_middle(path)?;
            }
        }
        let fsck = self.lab.ctl(&["admin", "fsck"])?;
        ensure!(fsck.status.success(), "fsck found:\n{}", String::from_utf8_lossy(&fsck.stdout));
        Ok(())
    }

    /// Lets it come to its end.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.settle()?;
        // What was over may be open again, because the journal has lost its end.
        let ended = self.lab.ctl(&["watch", &self.sweep, "--quiet"])?;
        match ended.status.success() {
            true => Ok(()),
            false => bail!("{}\n{}", String::from_utf8_lossy(&ended.stderr), self.lab.logs()),
        }
    }
}

/// Agents that have said hello to this coordinator, and whether it is in safe mode.
fn reachable(lab: &Lab) -> Result<(usize, bool)> {
    let said = lab.ctl(&["agents", "--json"])?;
    let (text, words) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    ensure!(said.status.success(), "{words}");
    Ok((text.matches("\"reachable\"").count(), words.contains("safe mode")))
}

fn log(lab: &Lab) -> PathBuf {
    lab.setup().dir.join("coordinator/sweep.db-wal")
}

fn blob(lab: &Lab, sha256: &str) -> PathBuf {
    let shelf = sha256.get(..2).unwrap_or_default();
    lab.setup().dir.join("coordinator/blobs").join(shelf).join(sha256)
}

/// In place: on a full disk there may be no room for the file in another one.
fn flip_middle(path: &Path) -> std::io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let middle = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle)?;
    byte[0] ^= 1;
    file.write_all_at(&byte, middle)
}
