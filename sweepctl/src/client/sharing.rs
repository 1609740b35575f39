//! Questions about shares and the queue.

use sweep_proto::v1;
use sweep_proto::v1::set_shares_request::Change;

use super::{Client, convert, reference, user};
use crate::cli::{After, Quota, Release, Reserve, SetSweep, SharesSet};
use crate::fault::Fault;
use crate::view::sharing::{
    EntitlementView, HostView, LabView, QueueView, ReservationView, SettingView, ShareView, SharesView, SweepMovedView,
    SweepSetView, WaitingView,
};

impl Client {
    /// What waits.
    pub(crate) async fn queue(&self) -> Result<QueueView, Fault> {
        let ask = || {
            let mut client = self.sharing.clone();
            async move { client.queue(v1::QueueRequest {}).await }
        };
        self.patiently(ask).await.map(QueueView::from)
    }

    /// Shares, quotas and use; `all` also reservations that have ended.
    pub(crate) async fn shares(&self, all: bool) -> Result<SharesView, Fault> {
        let ask = || {
            let mut client = self.sharing.clone();
            async move { client.show_shares(v1::ShowSharesRequest { all }).await }
        };
        self.patiently(ask).await.map(SharesView::from)
    }

    /// Changes one setting; `None` when the answer says nothing.
    pub(crate) async fn set_shares(
        &self,
        SharesChange(change, new): SharesChange,
    ) -> Result<Option<SettingView>, Fault> {
        let request = v1::SetSharesRequest { user: user(), change: Some(change), new };
        let reply = self.sharing.clone().set_shares(request).await.map_err(|status| self.fault(status))?;
        Ok(setting(reply.into_inner()))
    }

    /// Changes how much a sweep gets. Doing it twice is harmless.
    pub(crate) async fn set_sweep(&self, args: &SetSweep) -> Result<SweepSetView, Fault> {
        let request = v1::SetSweepRequest {
            sweep: reference(&args.sweep),
            user: user(),
            priority: args.priority,
            max_parallel: args.max_parallel.map(|Quota(most)| v1::Quota { most }),
        };
        let reply = self.sharing.clone().set_sweep(request).await.map_err(|status| self.fault(status))?;
        let v1::SetSweepReply { name, priority, max_parallel, changed, running } = reply.into_inner();
        Ok(SweepSetView { name, priority, max_parallel, changed, running })
    }

    /// Lets a sweep count on the share of another project. Doing it twice is harmless.
    pub(crate) async fn move_sweep(
        &self,
        sweep: &str,
        project: &str,
        new_project: bool,
    ) -> Result<SweepMovedView, Fault> {
        let (sweep, user, project) = (reference(sweep), user(), project.to_owned());
        let request = v1::MoveSweepRequest { sweep, user, project, new_project };
        let reply = self.sharing.clone().move_sweep(request).await.map_err(|status| self.fault(status))?;
        let v1::MoveSweepReply { name, project, moved, running } = reply.into_inner();
        Ok(SweepMovedView { name, project, moved, running })
    }
}

/// A wish about shares, as the command line says it, and whether it may be about somebody whom the lab does not know.
#[derive(Debug)]
pub(crate) struct SharesChange(Change, bool);

impl From<&SharesSet> for SharesChange {
    fn from(args: &SharesSet) -> Self {
        Self(change(args), args.new)
    }
}

impl From<&Reserve> for SharesChange {
    fn from(args: &Reserve) -> Self {
        let now = jiff::Timestamp::now().as_microsecond();
        let from = args.from.map_or(now, |from| from.after(now));
        let reservation = Change::Reserve(v1::Reservation {
            name: args.name.clone(),
            project: args.project.clone(),
            slots: args.slots,
            from,
            until: from.saturating_add(args.length),
            reason: args.reason.clone(),
        });
        Self(reservation, args.new)
    }
}

impl From<&Release> for SharesChange {
    fn from(args: &Release) -> Self {
        Self(Change::Release(args.name.clone()), false)
    }
}

fn change(args: &SharesSet) -> Change {
    let quota = |quota: Option<Quota>| quota.map(|Quota(most)| v1::Quota { most });
    let of = |name: &String| v1::EntitlementChange {
        name: name.clone(),
        share: args.share,
        slots: quota(args.slots),
        device_hours: quota(args.device_hours),
        storage: quota(args.storage),
        open_trials: quota(args.open_trials),
    };
    match (&args.project, &args.user, &args.host) {
        (Some(project), _, _) => Change::OfProject(of(project)),
        (_, Some(user), _) => Change::OfUser(of(user)),
        (_, _, Some(host)) => {
            let (host, slots) = (host.clone(), args.protected.unwrap_or_default());
            Change::OfHost(v1::ProtectedSlots { host, slots })
        }
        _ => Change::OfLab(v1::LabChange {
            half_life: args.half_life,
            preempt_after: args.preempt_after.map(|After(after)| v1::PreemptAfter { after }),
        }),
    }
}

fn setting(reply: v1::SetSharesReply) -> Option<SettingView> {
    use v1::set_shares_reply::Setting;
    Some(match reply.setting? {
        Setting::OfProject(of) => SettingView::Project { name: reply.name, entitlement: of.into() },
        Setting::OfUser(of) => SettingView::User { name: reply.name, entitlement: of.into() },
        Setting::OfHost(host) => SettingView::Host(host.into()),
        Setting::OfLab(lab) => SettingView::Lab(lab.into()),
        Setting::Reserved(reservation) => SettingView::Reserved(reservation.into()),
        Setting::Released(name) => SettingView::Released { name },
    })
}

impl From<v1::QueueReply> for QueueView {
    fn from(reply: v1::QueueReply) -> Self {
        let v1::QueueReply { waiting, free_slots, hidden_sweeps, hidden_trials } = reply;
        let waiting = waiting.into_iter().map(WaitingView::from).collect();
        Self { waiting, free_slots, hidden_sweeps, hidden_trials }
    }
}

impl From<v1::WaitingSweep> for WaitingView {
    fn from(waiting: v1::WaitingSweep) -> Self {
        Self {
            sweep: convert::id(&waiting.sweep_id),
            name: waiting.name,
            user: waiting.user,
            project: waiting.project,
            priority: waiting.priority,
            waiting: waiting.waiting,
            backoff: waiting.backoff,
            running: waiting.running,
            reason: waiting.reason,
            why: waiting.why,
            starts: waiting.starts,
            starts_by: waiting.starts_by,
            before_sweeps: waiting.before_sweeps,
            before_trials: waiting.before_trials,
        }
    }
}

impl From<v1::ShowSharesReply> for SharesView {
    fn from(reply: v1::ShowSharesReply) -> Self {
        let all = |shares: Vec<v1::Share>| shares.into_iter().map(ShareView::from).collect();
        Self {
            projects: all(reply.projects),
            users: all(reply.users),
            hosts: reply.hosts.into_iter().map(HostView::from).collect(),
            lab: reply.lab.unwrap_or_default().into(),
            reservations: reply.reservations.into_iter().map(ReservationView::from).collect(),
        }
    }
}

impl From<v1::Share> for ShareView {
    fn from(share: v1::Share) -> Self {
        let v1::Share { name, entitlement, is_set: _, running, device_hours, stored, open_trials, most_open_trials } =
            share;
        let entitlement = entitlement.unwrap_or_default().into();
        Self { name, entitlement, running, device_hours_used: device_hours, stored, open_trials, most_open_trials }
    }
}

impl From<v1::Entitlement> for EntitlementView {
    fn from(entitlement: v1::Entitlement) -> Self {
        let v1::Entitlement { share, slots, device_hours, storage, open_trials } = entitlement;
        let storage = storage.map(|megabytes| u64::from(megabytes) * 1_000_000);
        Self { share, slots, device_hours, storage, open_trials_set: open_trials }
    }
}

impl From<v1::Reservation> for ReservationView {
    fn from(of: v1::Reservation) -> Self {
        let v1::Reservation { name, project, slots, from, until, reason } = of;
        Self { name, project, slots, from: Some(from), until: Some(until), reason }
    }
}

impl From<v1::ProtectedSlots> for HostView {
    fn from(of: v1::ProtectedSlots) -> Self {
        Self { host: of.host, protected: of.slots }
    }
}

impl From<v1::LabSetting> for LabView {
    fn from(lab: v1::LabSetting) -> Self {
        let seconds = |micros: i64| micros as f64 / 1e6;
        Self { half_life_seconds: seconds(lab.half_life), preempt_after_seconds: lab.preempt_after.map(seconds) }
    }
}
