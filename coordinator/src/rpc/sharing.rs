//! Who gets how much, and what waits.

use std::collections::{BTreeMap, BTreeSet};

use sweep_core::access::Permission;
use sweep_core::command::{Command, Reply};
use sweep_core::queue::{Basis, Before, Waiting, Why, waiting};
use sweep_core::reservation::{self, Reservation};
use sweep_core::shares::{Change, DEFAULT_USER, DEVICE, Entitlement};
use sweep_core::state::usage::Week;
use sweep_core::time::Timestamp;
use sweep_proto::convert::{change, id_bytes, lab, reservation};
use sweep_proto::status::status;
use sweep_proto::v1;
use sweep_proto::v1::sharing_server::Sharing as Service;
use tonic::{Code, Request, Response, Status};

use super::agents::unexpected;
use super::names::{self, Kind};
use super::{Edge, malformed, refused, tuning};
use crate::access::identity::Identity;
use crate::handle::View;

/// An hour of a device, in the unit of use.
const DEVICE_HOUR: f64 = 3.6e9 * DEVICE as f64;

/// The service.
#[derive(Debug)]
pub(super) struct Sharing(pub(super) Edge);

#[tonic::async_trait]
impl Service for Sharing {
    async fn queue(&self, request: Request<v1::QueueRequest>) -> Result<Response<v1::QueueReply>, Status> {
        let identity = Identity::of(&request);
        let reply = self.0.handle.query(move |view| {
            let (core, now) = (view.core, view.now);
            let state = core.state();
            let found = waiting(state, now, |agent| core.is_reachable(agent, now));
            let open = state.agents.iter().filter(|(agent, _)| core.is_reachable(**agent, now));
            let free_slots = open.map(|(_, agent)| u64::from(agent.open(now))).sum();
            let sweep = |waiting: &Waiting| &state.sweeps[waiting.sweep as usize];
            let (seen, hidden): (Vec<_>, Vec<_>) = found.into_iter().partition(|waiting| identity.sees(sweep(waiting)));
            let of = |waiting: &Waiting| u64::from(sweep(waiting).counts.waiting + sweep(waiting).counts.backoff);
            let (hidden_sweeps, hidden_trials) = (hidden.len() as u64, hidden.iter().map(of).sum());
            let waiting = seen.into_iter().map(|waiting| one(view, waiting)).collect();
            v1::QueueReply { waiting, free_slots, hidden_sweeps, hidden_trials }
        });
        Ok(Response::new(reply.await.map_err(refused)?))
    }

    async fn show_shares(
        &self,
        request: Request<v1::ShowSharesRequest>,
    ) -> Result<Response<v1::ShowSharesReply>, Status> {
        let identity = Identity::of(&request);
        let all = request.into_inner().all;
        let mut reply = self.0.handle.query(move |view| shares(view, all)).await.map_err(refused)?;
        let sees = |project: &str| identity.caller().may(Permission::Read, identity.reach("", Some(project)));
        reply.projects.retain(|project| sees(&project.name));
        reply.reservations.retain(|reservation| sees(&reservation.project));
        // Of people: oneself, and all for those who see every project.
        let own = identity.name(String::new());
        reply.users.retain(|user| user.name == own || sees(""));
        Ok(Response::new(reply))
    }

    async fn set_shares(&self, request: Request<v1::SetSharesRequest>) -> Result<Response<v1::SetSharesReply>, Status> {
        let identity = Identity::of(&request);
        let mut request = request.into_inner();
        let user = match identity.name(std::mem::take(&mut request.user)) {
            user if user.is_empty() => DEFAULT_USER.to_owned(),
            user => user,
        };
        let new = request.new;
        let change = change(request).map_err(malformed)?;
        identity.about(words(&change));
        if !new {
            self.check_name(&change).await?;
            self.check_room(&change).await?;
        }
        match self.0.handle.command(Command::SetShares { user, change }).await.map_err(refused)? {
            Reply::Set(setting) => {
                identity.about(serde_json::to_string(&setting).expect("a setting has string keys"));
                Ok(Response::new(setting.into()))
            }
            other => Err(unexpected(other)),
        }
    }

    async fn set_sweep(&self, request: Request<v1::SetSweepRequest>) -> Result<Response<v1::SetSweepReply>, Status> {
        let identity = Identity::of(&request);
        tuning::set(&self.0, &identity, request.into_inner()).await.map(Response::new)
    }

    async fn move_sweep(&self, request: Request<v1::MoveSweepRequest>) -> Result<Response<v1::MoveSweepReply>, Status> {
        let identity = Identity::of(&request);
        tuning::move_to(&self.0, &identity, request.into_inner()).await.map(Response::new)
    }
}

impl Sharing {
    /// Refuses to promise more slots than the lab has, as far as its hosts have called.
    async fn check_room(&self, change: &Change) -> Result<(), Status> {
        let Change::Reservation(name, Some(wanted)) = change else { return Ok(()) };
        let (name, wanted) = (name.clone(), wanted.clone());
        let text = self.0.handle.query(move |view| {
            let state = view.core.state();
            let slots: u64 = state.hosts().map(|(_, agent)| agent.slots.len() as u64).sum();
            let others = reservation::others(&state.accounts.shares.reservations, &name, &wanted);
            let promised = u64::from(wanted.slots) + others;
            (slots > 0 && promised > slots).then(|| match others {
                0 => format!("the lab has {slots} slots"),
                _ => {
                    format!("the lab has {slots} slots, and up to {others} of them are promised to others in that time")
                }
            })
        });
        match text.await.map_err(refused)? {
            None => Ok(()),
            Some(text) => {
                let text = format!("{text}: promise fewer, or at another time (--new promises them all the same)");
                Err(status(Code::FailedPrecondition, "too_many_promised", text))
            }
        }
    }

    /// Refuses what is set of somebody or something that the lab has never heard of: it is taken for a slip.
    async fn check_name(&self, change: &Change) -> Result<(), Status> {
        let (kind, name) = match change {
            Change::Project(name, _) => (Kind::Project, name),
            Change::Reservation(_, Some(reservation)) => (Kind::Project, &reservation.project),
            Change::User(name, _) => (Kind::User, name),
            // What is as if it had never been set needs no host.
            Change::Host(_, 0) | Change::Reservation(_, None) | Change::Lab { .. } => return Ok(()),
            Change::Host(name, _) => (Kind::Host, name),
        };
        names::check(&self.0.guard, &self.0.handle, kind, name, "--new sets it all the same").await
    }
}

/// What is to be set, for the audit log: what came of it follows if it is not refused.
fn words(change: &Change) -> String {
    let of = |kind: &str, name: &str| format!("{kind} {}", name.chars().take(128).collect::<String>());
    match change {
        Change::Project(name, _) => of("project", name),
        Change::User(name, _) => of("user", name),
        Change::Host(name, _) => of("host", name),
        Change::Reservation(name, None) => of("reservation", name),
        Change::Reservation(name, Some(reservation)) => {
            format!("{} for {}", of("reservation", name), of("project", &reservation.project))
        }
        Change::Lab { .. } => "the lab".to_owned(),
    }
}

fn one(view: View<'_>, waiting: Waiting) -> v1::WaitingSweep {
    let sweep = &view.core.state().sweeps[waiting.sweep as usize];
    let before = match &waiting.why {
        Why::NoFreeSlot { before, .. } => *before,
        _ => Before::default(),
    };
    v1::WaitingSweep {
        sweep_id: id_bytes(sweep.id),
        name: sweep.name.clone(),
        user: sweep.user.clone(),
        project: sweep.project.clone(),
        priority: sweep.priority(),
        waiting: sweep.counts.waiting.into(),
        backoff: sweep.counts.backoff.into(),
        running: sweep.counts.running.into(),
        reason: waiting.why.reason().to_owned(),
        why: waiting.why.to_string(),
        starts: waiting.starts.map(|starts| starts.0),
        starts_by: waiting.by.map(Basis::as_str).unwrap_or_default().to_owned(),
        before_sweeps: before.sweeps,
        before_trials: before.trials,
    }
}

/// Everybody for whom something was set, and everybody who ever had a sweep.
fn shares(view: View<'_>, all: bool) -> v1::ShowSharesReply {
    let state = view.core.state();
    let accounts = &state.accounts;
    let set = &accounts.shares;
    let projects = accounts.projects.iter().map(|project| &project.name);
    let projects: BTreeSet<&String> = set.projects.keys().chain(projects).collect();
    let users = accounts.users.iter().map(|user| &user.name);
    let users: BTreeSet<&String> = set.users.keys().chain(users).collect();
    let mut open: BTreeMap<&str, u64> = BTreeMap::new();
    for sweep in &state.sweeps {
        *open.entry(&sweep.user).or_default() += u64::from(sweep.open_trials());
    }
    v1::ShowSharesReply {
        projects: projects
            .into_iter()
            .map(|name| {
                let known = accounts.project(name);
                let of = share(name, set.projects.get(name), known.map(|of| &of.week), view.now);
                v1::Share { stored: known.map_or(0, |of| of.stored), ..of }
            })
            .collect(),
        users: users
            .into_iter()
            .map(|name| {
                let of = share(name, set.users.get(name), accounts.user(name).map(|of| &of.week), view.now);
                let open_trials = open.get(name.as_str()).copied().unwrap_or_default();
                let most_open_trials = set.open_trials(name).into();
                let stored = accounts.user(name).map_or(0, |of| of.stored);
                v1::Share { open_trials, most_open_trials, stored, ..of }
            })
            .collect(),
        hosts: set.hosts.iter().map(|(host, slots)| v1::ProtectedSlots { host: host.clone(), slots: *slots }).collect(),
        lab: Some(lab(set.half_life, set.preempt_after)),
        reservations: {
            let stands = |of: &Reservation| all || view.now < of.until;
            let reservations = set.reservations.iter().filter(|(_, of)| stands(of));
            reservations.map(|(name, of)| reservation(name, of)).collect()
        },
    }
}

fn share(name: &str, set: Option<&Entitlement>, week: Option<&Week>, now: Timestamp) -> v1::Share {
    v1::Share {
        name: name.to_owned(),
        entitlement: Some(set.copied().unwrap_or_default().into()),
        is_set: set.is_some(),
        running: week.map_or(0, |week| week.running / DEVICE),
        device_hours: week.map_or(0.0, |week| week.used(now) as f64 / DEVICE_HOUR),
        stored: 0,
        open_trials: 0,
        most_open_trials: 0,
    }
}
