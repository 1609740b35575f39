//! Who is entitled to how much: shares and quotas of projects and users, slots that nobody has to give
//! up, and what holds for the whole lab. One integer unit for demand, allocation and shares: thousandths.
//! What has been used is kept in `state::accounts`; what follows is decided in `schedule`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::command::Reject;
use crate::reservation::Reservation;
use crate::time::Span;

/// Who submits when nobody says so.
pub const DEFAULT_USER: &str = "local";
/// What is submitted for when nobody says so.
pub const DEFAULT_PROJECT: &str = "default";
/// One device, in thousandths: what a trial takes of its slot.
pub const DEVICE: u64 = 1000;
/// The share of whoever is given none, in thousandths.
pub const SHARE: u32 = 1000;
/// Largest share, in thousandths.
pub const MAX_SHARE: u32 = 1_000_000;
/// Most slots and device-hours that a quota can say.
pub const MAX_QUOTA: u32 = 10_000_000;
/// Most trials of a user that are not over, if nothing is set: two of the largest sweeps.
pub const OPEN_TRIALS: u32 = 200_000;
/// After so long, use counts half.
const HALF_LIFE: Span = Span::hours(24);
/// Bounds of the half-life.
const HALF_LIVES: (Span, Span) = (Span::hours(1), Span::hours(365 * 24));
/// How long an attempt runs before it may have to give way.
const PREEMPT_AFTER: Span = Span::seconds(600);
/// Longest time before an attempt may have to give way; no shortest: a checkpoint is needed anyway.
const MAX_PREEMPT_AFTER: Span = Span::hours(30 * 24);
/// Longest name of a user, bytes.
const MAX_USER: usize = 128;

/// What a project or a user may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlement {
    /// Weight among its like, in thousandths; 0 gets only what nobody else can use.
    pub share: u32,
    /// Most slots at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Most device-hours in any seven days; when they are used up, nothing more is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_hours: Option<u32>,
    /// Most checkpoints in the store, megabytes; while there are as many, nothing is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<u32>,
    /// Most trials that are not over, all sweeps together; absent: [`OPEN_TRIALS`]. More are not taken. Only of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_trials: Option<u32>,
}

impl Default for Entitlement {
    fn default() -> Self {
        Self { share: SHARE, slots: None, device_hours: None, storage: None, open_trials: None }
    }
}

/// Everything that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// After so long, use counts half.
    pub half_life: Span,
    /// How long an attempt runs before it may have to give way; `None`: nobody ever has to.
    pub preempt_after: Option<Span>,
    /// By name; others have [`Entitlement::default`].
    pub projects: BTreeMap<String, Entitlement>,
    /// By name, the same in every project.
    pub users: BTreeMap<String, Entitlement>,
    /// By host: trials on so many of its first slots never have to give way.
    pub hosts: BTreeMap<String, u32>,
    /// By name: what projects are promised for a time.
    pub reservations: BTreeMap<String, Reservation>,
}

impl Default for Shares {
    fn default() -> Self {
        let [projects, users] = [BTreeMap::new(), BTreeMap::new()];
        let (hosts, reservations) = (BTreeMap::new(), BTreeMap::new());
        Self { half_life: HALF_LIFE, preempt_after: Some(PREEMPT_AFTER), projects, users, hosts, reservations }
    }
}

/// One thing as it is from now on; what the journal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Setting {
    /// Of a project.
    Project {
        /// Which.
        name: String,
        /// All of it.
        entitlement: Entitlement,
    },
    /// Of a user, in all projects.
    User {
        /// Which.
        name: String,
        /// All of it.
        entitlement: Entitlement,
    },
    /// Of a host.
    Host {
        /// Which.
        name: String,
        /// Trials on so many of its first slots never have to give way.
        protected: u32,
    },
    /// Slots promised to a project for a time.
    Reservation {
        /// What it is called.
        name: String,
        /// All of it; absent: it is no more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reservation: Option<Reservation>,
    },
    /// Of the whole lab.
    Lab {
        /// After so long, use counts half.
        half_life: Span,
        /// How long an attempt runs before it may have to give way.
        preempt_after: Option<Span>,
    },
}

/// A wish: what is not said stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of a project.
    Project(String, Patch),
    /// Of a user.
    User(String, Patch),
    /// Slots of a host that nobody has to give up.
    Host(String, u32),
    /// Slots promised to a project for a time, by name; `None` takes it back.
    Reservation(String, Option<Reservation>),
    /// Of the whole lab.
    Lab {
        /// After so long, use counts half.
        half_life: Option<Span>,
        /// How long an attempt runs before it may have to give way; `Some(None)`: never.
        preempt_after: Option<Option<Span>>,
    },
}

/// A change of an [`Entitlement`]; `Some(None)` takes a quota away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// Its weight.
    pub share: Option<u32>,
    /// Most slots at once.
    pub slots: Option<Option<u32>>,
    /// Most device-hours in any seven days.
    pub device_hours: Option<Option<u32>>,
    /// Most checkpoints in the store, megabytes.
    pub storage: Option<Option<u32>>,
    /// Most trials that are not over; `Some(None)`: as many as anybody.
    pub open_trials: Option<Option<u32>>,
}

impl Shares {
    /// Most trials of a user that are not over.
    pub fn open_trials(&self, user: &str) -> u32 {
        self.users.get(user).and_then(|of| of.open_trials).unwrap_or(OPEN_TRIALS)
    }

    /// What a wish comes to.
    ///
    /// # Errors
    /// When a value is outside of its bounds, or a name is none.
    pub fn changed(&self, change: Change) -> Result<Setting, Reject> {
        match change {
            Change::Project(name, patch) => {
                check_project(&name)?;
                if patch.open_trials.is_some() {
                    let fix = "set it of a user: --user NAME".to_owned();
                    return Err(outside("open_trials", "of a project".to_owned(), fix));
                }
                let entitlement = patched(self.projects.get(&name), patch)?;
                Ok(Setting::Project { name, entitlement })
            }
            Change::User(name, patch) => {
                check_user(&name)?;
                let entitlement = patched(self.users.get(&name), patch)?;
                Ok(Setting::User { name, entitlement })
            }
            Change::Host(name, protected) => {
                check_user(&name)?;
                within("protected", protected, 0, 1024)?;
                Ok(Setting::Host { name, protected })
            }
            Change::Reservation(name, reservation) => {
                check_project(&name)?;
                match &reservation {
                    Some(reservation) => reservation.check()?,
                    None if self.reservations.contains_key(&name) => {}
                    None => {
                        let known: Vec<_> = self.reservations.keys().map(String::as_str).collect();
                        let fix = match known[..] {
                            [] => "there are none".to_owned(),
                            _ => format!("there are: {}", known.join(", ")),
                        };
                        return Err(outside("reservation", quoted(&name), fix));
                    }
                }
                Ok(Setting::Reservation { name, reservation })
            }
            Change::Lab { half_life, preempt_after } => {
                let half_life = half_life.unwrap_or(self.half_life);
                if half_life < HALF_LIVES.0 || half_life > HALF_LIVES.1 {
                    return Err(outside("half_life", seconds(half_life), "use 1 hour to 365 days".to_owned()));
                }
                let preempt_after = preempt_after.unwrap_or(self.preempt_after);
                if let Some(after) = preempt_after.filter(|after| *after < Span(0) || *after > MAX_PREEMPT_AFTER) {
                    let fix = "use at most 30 days, or `never`".to_owned();
                    return Err(outside("preempt_after", seconds(after), fix));
                }
                Ok(Setting::Lab { half_life, preempt_after })
            }
        }
    }

    /// Notes a setting.
    pub(crate) fn set(&mut self, setting: &Setting) {
        match setting {
            Setting::Project { name, entitlement } => set(&mut self.projects, name, *entitlement),
            Setting::User { name, entitlement } => set(&mut self.users, name, *entitlement),
            Setting::Host { name, protected } => set(&mut self.hosts, name, *protected),
            Setting::Reservation { name, reservation: Some(reservation) } => {
                self.reservations.insert(name.clone(), reservation.clone());
            }
            Setting::Reservation { name, reservation: None } => drop(self.reservations.remove(name)),
            Setting::Lab { half_life, preempt_after } => {
                (self.half_life, self.preempt_after) = (*half_life, *preempt_after);
            }
        }
    }
}

/// What is as if it had never been set is not kept.
fn set<T: Default + PartialEq>(known: &mut BTreeMap<String, T>, name: &str, value: T) {
    if value == T::default() {
        known.remove(name);
    } else {
        known.insert(name.to_owned(), value);
    }
}

/// The name of a project can be typed and put in a path.
///
/// # Errors
/// When it is none.
pub fn check_project(name: &str) -> Result<(), Reject> {
    let fix = "use a letter or digit, then up to 63 of letters, digits, `.`, `_`, `-`";
    if crate::spec::is_name(name) { Ok(()) } else { Err(outside("project", quoted(name), fix.to_owned())) }
}

/// The name of a user comes from outside; it only has to be one that can be shown.
///
/// # Errors
/// When it is not.
pub fn check_user(name: &str) -> Result<(), Reject> {
    let good = !name.is_empty() && name.len() <= MAX_USER && !name.chars().any(char::is_control);
    let fix = || format!("use 1 to {MAX_USER} bytes without control characters");
    if good { Ok(()) } else { Err(outside("name", quoted(name), fix())) }
}

/// Refuses a number that is not within its bounds.
///
/// # Errors
/// With the value and the bounds.
pub(crate) fn within(what: &'static str, value: u32, low: u32, high: u32) -> Result<(), Reject> {
    let fix = || format!("use {low} to {high}");
    if (low..=high).contains(&value) { Ok(()) } else { Err(outside(what, value.to_string(), fix())) }
}

fn patched(known: Option<&Entitlement>, patch: Patch) -> Result<Entitlement, Reject> {
    let mut entitlement = known.copied().unwrap_or_default();
    if let Some(share) = patch.share {
        if share > MAX_SHARE {
            return Err(outside("share", share_text(share), format!("use 0 to {}", MAX_SHARE / SHARE)));
        }
        entitlement.share = share;
    }
    if let Some(slots) = patch.slots {
        slots.map_or(Ok(()), |slots| within("slots", slots, 0, MAX_QUOTA))?;
        entitlement.slots = slots;
    }
    if let Some(hours) = patch.device_hours {
        hours.map_or(Ok(()), |hours| within("device_hours", hours, 0, MAX_QUOTA))?;
        entitlement.device_hours = hours;
    }
    if let Some(storage) = patch.storage {
        entitlement.storage = storage;
    }
    if let Some(open) = patch.open_trials {
        open.map_or(Ok(()), |open| within("open_trials", open, 0, MAX_QUOTA))?;
        entitlement.open_trials = open;
    }
    Ok(entitlement)
}

/// A share as people write it: `2`, `0.5`.
pub fn share_text(share: u32) -> String {
    let text = format!("{}.{:03}", share / SHARE, share % SHARE);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn outside(what: &'static str, value: String, fix: String) -> Reject {
    Reject::SettingInvalid { what, value, fix }
}

fn quoted(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("{short:?}")
}

fn seconds(span: Span) -> String {
    format!("{} s", span.0 / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_and_bounds_are_told() {
        let mut shares = Shares::default();
        let patch = Patch { share: Some(2500), slots: Some(Some(8)), ..Patch::default() };
        let setting = shares.changed(Change::Project("vision".into(), patch)).unwrap();
        shares.set(&setting);
        let patch = Patch { device_hours: Some(Some(100)), ..Patch::default() };
        let setting = shares.changed(Change::Project("vision".into(), patch)).unwrap();
        let entitlement =
            Entitlement { share: 2500, slots: Some(8), device_hours: Some(100), ..Entitlement::default() };
        assert_eq!(setting, Setting::Project { name: "vision".into(), entitlement });
        let patch = Patch { share: Some(SHARE), slots: Some(None), ..Patch::default() };
        let setting = shares.changed(Change::Project("vision".into(), patch)).unwrap();
        shares.set(&setting);
        assert_eq!(shares, Shares::default(), "what is as it was is not kept");
        let check = |change: Change, text: &str| {
            assert_eq!(shares.changed(change).unwrap_err().to_string(), text);
        };
        let patch = Patch { share: Some(2_000_500), ..Patch::default() };
        check(Change::User("ann".into(), patch), "share = 2000.5 is not allowed: use 0 to 1000");
        let patch = Patch { open_trials: Some(Some(9)), ..Patch::default() };
        check(
            Change::Project("vision".into(), patch),
            "open_trials = of a project is not allowed: set it of a user: --user NAME",
        );
        let lab = Change::Lab { half_life: Some(Span::seconds(60)), preempt_after: None };
        check(lab, "half_life = 60 s is not allowed: use 1 hour to 365 days");
        check(Change::Host("g1".into(), 5000), "protected = 5000 is not allowed: use 0 to 1024");
        assert!(shares.changed(Change::Project("../x".into(), Patch::default())).is_err());
        assert!(shares.changed(Change::User("a\nb".into(), Patch::default())).is_err());
        assert_eq!([0, 500, 1000, 2050].map(share_text), ["0", "0.5", "1", "2.05"]);
    }
}
