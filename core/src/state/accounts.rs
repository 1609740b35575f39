//! Who uses how much: projects, users, and users inside a project, each with what it has running and
//! what it used. Changed by the state alone, as leases begin and end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::shares::{Entitlement, Setting, Shares};
use crate::time::Timestamp;

use super::usage::{Meter, Typical, Week};

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accounts {
    /// What was set.
    pub shares: Shares,
    /// How long an attempt takes.
    pub typical: Typical,
    /// Projects that ever had a sweep.
    pub projects: Vec<Project>,
    /// Users that ever had a sweep.
    pub users: Vec<User>,
    /// Users inside a project.
    pub members: Vec<Member>,
    project_names: BTreeMap<String, u32>,
    user_names: BTreeMap<String, u32>,
    pairs: BTreeMap<(u32, u32), u32>,
    /// Members with a sweep that may start a trial.
    open: BTreeSet<u32>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// What it may have.
    pub entitlement: Entitlement,
    /// What it uses; decides who is next.
    pub meter: Meter,
    /// What it used in seven days; for the quota.
    pub week: Week,
    /// Bytes of checkpoints that its trials refer to.
    pub stored: u64,
}

/// A user, over all projects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Its name.
    pub name: String,
    /// What it may have.
    pub entitlement: Entitlement,
    /// What it used in seven days, and how much runs now; for the quotas.
    pub week: Week,
    /// Bytes of checkpoints that trials of its sweeps refer to.
    pub stored: u64,
}

/// A user in a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Index of the project.
    pub project: u32,
    /// Index of the user.
    pub user: u32,
    /// What it uses; decides who is next inside the project.
    pub meter: Meter,
    /// Sweeps that may start a trial: by priority, then fewest running, then age.
    pub ready: BTreeSet<Rank>,
}

/// A sweep's place among those of its owner: priority (highest first), running trials, number.
pub type Rank = (Reverse<u32>, u32, u32);

impl Accounts {
    /// Members that have a sweep which may start a trial.
    pub fn open(&self) -> impl Iterator<Item = u32> + '_ {
        self.open.iter().copied()
    }

    /// The project's account, if it ever had a sweep.
    pub fn project(&self, name: &str) -> Option<&Project> {
        self.project_names.get(name).map(|number| &self.projects[*number as usize])
    }

    /// The user's account, if there ever was a sweep of it.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.user_names.get(name).map(|number| &self.users[*number as usize])
    }

    /// The account of a user in a project; made when it is new.
    pub(super) fn member(&mut self, project: &str, user: &str) -> u32 {
        let Self { shares, projects, users, members, project_names, user_names, pairs, .. } = self;
        let project = *project_names.entry(project.to_owned()).or_insert_with(|| {
            let entitlement = shares.projects.get(project).copied().unwrap_or_default();
            let (name, meter, week) = (project.to_owned(), Meter::default(), Week::default());
            projects.push(Project { name, entitlement, meter, week, stored: 0 });
            projects.len() as u32 - 1
        });
        let user = *user_names.entry(user.to_owned()).or_insert_with(|| {
            let entitlement = shares.users.get(user).copied().unwrap_or_default();
            users.push(User { name: user.to_owned(), entitlement, week: Week::default(), stored: 0 });
            users.len() as u32 - 1
        });
        *pairs.entry((project, user)).or_insert_with(|| {
            members.push(Member { project, user, meter: Meter::default(), ready: BTreeSet::new() });
            members.len() as u32 - 1
        })
    }

    /// A trial of a member takes so many thousandths of a device, or gives them back.
    pub(super) fn lease(&mut self, member: u32, by: i64, now: Timestamp) {
        let half_life = self.shares.half_life;
        let member = &mut self.members[member as usize];
        member.meter.change(now, half_life, by);
        let project = &mut self.projects[member.project as usize];
        project.meter.change(now, half_life, by);
        project.week.change(now, by);
        self.users[member.user as usize].week.change(now, by);
    }

    /// A trial of a member has other checkpoints than before.
    pub(super) fn store(&mut self, member: u32, before: u64, now: u64) {
        let Member { project, user, .. } = self.members[member as usize];
        for stored in [&mut self.projects[project as usize].stored, &mut self.users[user as usize].stored] {
            *stored = stored.saturating_sub(before).saturating_add(now);
        }
    }

    /// A sweep may start a trial, or may no longer.
    pub(super) fn rank(&mut self, member: u32, rank: Rank, is_ready: bool) {
        let ready = &mut self.members[member as usize].ready;
        let changed = if is_ready { ready.insert(rank) } else { ready.remove(&rank) };
        if changed && ready.is_empty() {
            self.open.remove(&member);
        } else if changed && is_ready {
            self.open.insert(member);
        }
    }

    /// An administrator sets something. What was used until now fades as it did until now.
    pub(super) fn set(&mut self, setting: &Setting, now: Timestamp) {
        match setting {
            Setting::Project { name, entitlement } => {
                if let Some(number) = self.project_names.get(name) {
                    self.projects[*number as usize].entitlement = *entitlement;
                }
            }
            Setting::User { name, entitlement } => {
                if let Some(number) = self.user_names.get(name) {
                    self.users[*number as usize].entitlement = *entitlement;
                }
            }
            Setting::Host { .. } | Setting::Reservation { .. } => {}
            Setting::Lab { .. } => {
                let half_life = self.shares.half_life;
                self.projects.iter_mut().for_each(|project| project.meter.settle(now, half_life));
                self.members.iter_mut().for_each(|member| member.meter.settle(now, half_life));
            }
        }
        self.shares.set(setting);
    }

    /// Whether what runs and what may start adds up. For tests.
    pub(super) fn check(&self, running: &[u64]) -> Result<(), &'static str> {
        let (mut projects, mut users) = (vec![0; self.projects.len()], vec![0; self.users.len()]);
        for (member, runs) in self.members.iter().zip(running) {
            if member.meter.running != *runs {
                return Err("members");
            }
            projects[member.project as usize] += runs;
            users[member.user as usize] += runs;
        }
        let same = |project: &Project, runs: &u64| project.meter.running == *runs && project.week.running == *runs;
        if !self.projects.iter().zip(&projects).all(|(project, runs)| same(project, runs)) {
            return Err("projects");
        }
        if !self.users.iter().zip(&users).all(|(user, runs)| user.week.running == *runs) {
            return Err("users");
        }
        let ready = (0u32..).zip(&self.members).filter(|(_, member)| !member.ready.is_empty());
        let open: BTreeSet<u32> = ready.map(|(number, _)| number).collect();
        if open == self.open { Ok(()) } else { Err("open") }
    }
}
