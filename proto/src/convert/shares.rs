//! Shares and quotas.

use sweep_core::reservation::Reservation;
use sweep_core::shares::{Change, Entitlement, Patch, Setting};
use sweep_core::time::{Span, Timestamp};

use super::ConvertError;
use crate::v1;

impl From<Entitlement> for v1::Entitlement {
    fn from(entitlement: Entitlement) -> Self {
        let Entitlement { share, slots, device_hours, storage, open_trials } = entitlement;
        Self { share, slots, device_hours, storage, open_trials }
    }
}

impl From<Setting> for v1::SetSharesReply {
    fn from(setting: Setting) -> Self {
        use v1::set_shares_reply::Setting as To;
        let (name, setting) = match setting {
            Setting::Project { name, entitlement } => (name, To::OfProject(entitlement.into())),
            Setting::User { name, entitlement } => (name, To::OfUser(entitlement.into())),
            Setting::Host { name, protected } => {
                (name.clone(), To::OfHost(v1::ProtectedSlots { host: name, slots: protected }))
            }
            Setting::Reservation { name, reservation: Some(of) } => {
                (name.clone(), To::Reserved(reservation(&name, &of)))
            }
            Setting::Reservation { name, reservation: None } => (name.clone(), To::Released(name)),
            Setting::Lab { half_life, preempt_after } => (String::new(), To::OfLab(lab(half_life, preempt_after))),
        };
        Self { name, setting: Some(setting) }
    }
}

/// Slots promised to a project.
pub fn reservation(name: &str, of: &Reservation) -> v1::Reservation {
    v1::Reservation {
        name: name.to_owned(),
        project: of.project.clone(),
        slots: of.slots,
        from: of.from.0,
        until: of.until.0,
        reason: of.reason.clone(),
    }
}

/// The settings of the whole lab.
pub fn lab(half_life: Span, preempt_after: Option<Span>) -> v1::LabSetting {
    v1::LabSetting { half_life: half_life.0, preempt_after: preempt_after.map(|after| after.0) }
}

/// The wish in a request.
///
/// # Errors
/// When there is none.
pub fn change(request: v1::SetSharesRequest) -> Result<Change, ConvertError> {
    use v1::set_shares_request::Change as From;
    match request.change.ok_or_else(|| ConvertError::missing("change"))? {
        From::OfProject(change) => Ok(Change::Project(change.name.clone(), patch(change))),
        From::OfUser(change) => Ok(Change::User(change.name.clone(), patch(change))),
        From::OfHost(v1::ProtectedSlots { host, slots }) => Ok(Change::Host(host, slots)),
        From::Reserve(v1::Reservation { name, project, slots, from, until, reason }) => {
            let (from, until) = (Timestamp(from), Timestamp(until));
            Ok(Change::Reservation(name, Some(Reservation { project, slots, from, until, reason })))
        }
        From::Release(name) => Ok(Change::Reservation(name, None)),
        From::OfLab(change) => Ok(Change::Lab {
            half_life: change.half_life.map(Span),
            preempt_after: change.preempt_after.map(|after| after.after.map(Span)),
        }),
    }
}

fn patch(change: v1::EntitlementChange) -> Patch {
    let most = |quota: v1::Quota| quota.most;
    Patch {
        share: change.share,
        slots: change.slots.map(most),
        device_hours: change.device_hours.map(most),
        storage: change.storage.map(most),
        open_trials: change.open_trials.map(most),
    }
}
