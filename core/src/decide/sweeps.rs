//! What users ask: submit, cancel, retry, and what administrators set.

use std::collections::BTreeSet;

use super::{Step, steps};
use crate::command::{Reject, Reply, Submit};
use crate::event::Event;
use crate::id::{SweepId, TrialId};
use crate::nearest::nearest;
use crate::plan::{Growth, MAX_PRIORITY, MAX_TRIALS, Plan, at};
use crate::shares::{Change, Setting, check_project, check_user, within};
use crate::state::State;
use crate::state::agent::{Agent, Known};
use crate::state::trial::Phase;

/// The same spec again is answered with the sweep that it made; another spec under a taken name
/// gets the name with a number.
pub(super) fn submit(step: &mut Step<'_>, submit: Submit) -> Reply {
    let state = &step.core.state;
    if let Some(sweep) = state.sweep(submit.sweep) {
        return Reply::Submitted { sweep: sweep.id, name: sweep.name.clone(), existing: true };
    }
    if !submit.queue_anyway
        && let Err(reject) = fits_data(state, &submit.plan, true)
    {
        return Reply::Rejected(reject);
    }
    let more = submit.plan.all_trials().saturating_sub(submit.reuse.len() as u32);
    if let Err(reject) = fits_rules(&submit).and_then(|()| fits_quota(state, &submit.user, more)) {
        return Reply::Rejected(reject);
    }
    let wanted = submit.plan.name.clone();
    let mut numbered = (2u64..).map(|number| format!("{wanted}-{number}"));
    let mut name = wanted.clone();
    while state.sweep_named(&name).is_some() {
        name = numbered.next().expect("there are more numbers than sweeps");
    }
    let Submit { sweep, user, project, plan, reuse, .. } = submit;
    step.emit(Event::SweepSubmitted { sweep, name: name.clone(), user, project, plan });
    super::reuse::take(step, sweep, &reuse);
    Reply::Submitted { sweep, name, existing: false }
}

/// Answers with the number of trials that are new. What was worked out for another plan than there is would mean something else.
pub(super) fn extend(
    step: &mut Step<'_>,
    id: SweepId,
    user: String,
    growth: Growth,
    of: (u32, u32),
    (queue_anyway, reuse): (bool, &[(u32, TrialId)]),
) -> Reply {
    let Some(sweep) = step.core.state.sweep(id) else { return Reply::Rejected(Reject::SweepUnknown(id)) };
    let plan = &sweep.plan;
    if (plan.all_points(), plan.seeds.len() as u32) != of || !plan.takes(&growth) {
        return Reply::Rejected(Reject::ExtendedMeanwhile(sweep.name.clone()));
    }
    if growth.samples > 0 && sweep.closed {
        return Reply::Rejected(Reject::SearchOver(sweep.name.clone()));
    }
    let mut grown = Plan::clone(plan);
    grown.grow(&growth);
    let added = grown.all_trials() - plan.all_trials();
    if !queue_anyway && let Err(reject) = fits_data(&step.core.state, &grown, false) {
        return Reply::Rejected(reject);
    }
    let more = added.saturating_sub(reuse.len() as u32);
    if let Err(reject) = fits_quota(&step.core.state, &sweep.user, more) {
        return Reply::Rejected(reject);
    }
    if added > 0 {
        let growth = Growth { goes_on: sweep.can_go_on(&growth.goes_on), ..growth };
        step.emit(Event::SweepExtended { sweep: id, user, growth });
        super::reuse::take(step, id, reuse);
    }
    Reply::Changed(added)
}

/// Names and limits may come from a flag, past the checks of the file.
fn fits_rules(submit: &Submit) -> Result<(), Reject> {
    let limits = &submit.plan.limits;
    check_project(&submit.project)?;
    check_user(&submit.user)?;
    limits.max_parallel.map_or(Ok(()), |most| within("max_parallel", most, 1, MAX_TRIALS))?;
    limits.priority.map_or(Ok(()), |priority| within("priority", priority, 0, MAX_PRIORITY))
}

/// Trials that wait are kept in memory: one user does not fill it. What there is goes on, whatever the quota.
fn fits_quota(state: &State, user: &str, more: u32) -> Result<(), Reject> {
    let (most, open) = (state.accounts.shares.open_trials(user), state.open_trials(user));
    if more == 0 || open + u64::from(more) <= u64::from(most) {
        return Ok(());
    }
    Err(Reject::TooManyOpen { user: user.to_owned(), open, more: more.into(), most })
}

/// Refuses what no agent could run, before any device is used. Without agents there is nothing to
/// compare with: they may still come.
fn fits_data(state: &State, plan: &Plan, is_new: bool) -> Result<(), Reject> {
    if state.hosts().next().is_none() {
        return Ok(());
    }
    let mut too_few = Vec::new();
    for dataset in values(plan, "dataset").iter().filter_map(|value| value.as_str()) {
        let seen: Vec<Known<'_>> = state.hosts().filter_map(|(_, agent)| agent.dataset(dataset)).collect();
        if seen.is_empty() {
            let known: BTreeSet<String> = (state.hosts())
                .flat_map(|(_, agent)| agent.facts.datasets.iter().map(|facts| facts.name.clone()))
                .collect();
            let nearest = nearest(dataset, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(Reject::DatasetUnknown {
                name: dataset.to_owned(),
                known: known.into_iter().collect(),
                nearest,
            });
        }
        let usable = |known: &Known<'_>| !matches!(known, Known::Seen(facts) if facts.problem.is_some());
        if !seen.iter().any(usable)
            && let Some(Known::Seen(facts)) = seen.first()
        {
            let problem = facts.problem.clone().unwrap_or_default();
            return Err(Reject::DatasetBroken { name: dataset.to_owned(), problem });
        }
        let agents = state.hosts().map(|(_, agent)| agent).filter(|agent| agent.can_use(dataset, None));
        let agents: Vec<&Agent> = agents.collect();
        if let Some(nowhere) = plan.limits.placement.nowhere(&agents) {
            return Err(Reject::NoPlace { what: nowhere.to_string() });
        }
        let images = |known: &Known<'_>| match known {
            Known::Seen(facts) => facts.train_images,
            Known::Unseen => u64::MAX,
        };
        let images = seen.iter().filter(|known| usable(known)).map(images).max().unwrap_or(u64::MAX);
        steps::are_used_up(plan, dataset, images)?;
        // A copy that nobody has looked at may be smaller than all others.
        let few = |known: &&Known<'_>| match known {
            Known::Seen(facts) => steps::too_few(plan, dataset, facts.train_images, facts.classes.into()),
            Known::Unseen => None,
        };
        too_few.push(seen.iter().filter(|known| usable(known)).map(|known| few(&known)).collect::<Option<Vec<_>>>());
        for batch_size in values(plan, "batch_size").iter().filter_map(|value| value.as_u64()) {
            if batch_size > images {
                return Err(Reject::BatchTooLarge { batch_size, images, dataset: dataset.to_owned() });
            }
        }
    }
    // Where trials of one data set are compared the budget has its use.
    let too_few: Option<Vec<_>> = too_few.into_iter().collect();
    match too_few.and_then(|all| all.into_iter().flatten().next()) {
        Some(reject) if is_new => Err(reject),
        _ => Ok(()),
    }
}

/// The values that a top-level field takes in a plan: those of its column that are used, and the base's.
pub(super) fn values<'a>(plan: &'a Plan, field: &str) -> Vec<&'a serde_json::Value> {
    let column = plan.columns.iter().position(|column| column.path == field);
    let Some(column) = column else { return at(&plan.base, field).into_iter().collect() };
    let used: BTreeSet<u32> = (0..plan.points).map(|point| plan.row(point)[column]).collect();
    let value = |cell: u32| plan.columns[column].values.get(cell as usize).or_else(|| at(&plan.base, field));
    // A search may try every value of a list.
    let listed = plan.search.iter().flat_map(|_| &plan.columns[column].values);
    used.into_iter().filter_map(value).chain(listed).collect()
}

pub(super) fn cancel_sweep(step: &mut Step<'_>, sweep: SweepId, user: String) -> Reply {
    let Some(known) = step.core.state.sweep(sweep) else { return Reply::Rejected(Reject::SweepUnknown(sweep)) };
    let open = known.trials.iter().filter(|trial| can_cancel(&trial.phase)).count() as u32;
    if open > 0 {
        step.emit(Event::SweepCancelled { sweep, user });
    }
    Reply::Changed(open)
}

pub(super) fn cancel_trial(step: &mut Step<'_>, trial: TrialId, user: String) -> Reply {
    let Some(at) = step.core.state.find(trial) else { return Reply::Rejected(Reject::TrialUnknown(trial)) };
    let open = can_cancel(&step.core.state.trial(at).phase);
    if open {
        step.emit(Event::TrialCancelled { trial, user });
    }
    Reply::Changed(u32::from(open))
}

fn can_cancel(phase: &Phase) -> bool {
    match phase {
        Phase::Leased(leased) => !leased.cancelled,
        other => !other.is_terminal(),
    }
}

pub(super) fn retry(step: &mut Step<'_>, sweep: SweepId, user: String, cancelled: bool) -> Reply {
    let Some(known) = step.core.state.sweep(sweep) else { return Reply::Rejected(Reject::SweepUnknown(sweep)) };
    let held = if known.breaker.is_open() { known.counts.waiting + known.counts.backoff } else { 0 };
    let again = (0..known.trials.len() as u32).filter(|index| known.goes_again(*index, cancelled)).count();
    if let Err(reject) = fits_quota(&step.core.state, &known.user, again as u32) {
        return Reply::Rejected(reject);
    }
    let count = again as u32 + held;
    if count > 0 {
        step.emit(Event::SweepRetried { sweep, user, cancelled });
    }
    Reply::Changed(count)
}

/// What changes nothing is not written down.
pub(super) fn set_shares(step: &mut Step<'_>, user: String, change: Change) -> Reply {
    let shares = &step.core.state.accounts.shares;
    let setting = match shares.changed(change) {
        Ok(setting) => setting,
        Err(reject) => return Reply::Rejected(reject),
    };
    if let Setting::Reservation { reservation: Some(reservation), .. } = &setting
        && reservation.until <= step.now
    {
        let (what, value) = ("end of the reservation", "in the past".to_owned());
        return Reply::Rejected(Reject::SettingInvalid { what, value, fix: "let it end later".to_owned() });
    }
    let mut after = shares.clone();
    after.set(&setting);
    if after != *shares {
        step.emit(Event::SharesSet { user, setting: setting.clone() });
    }
    Reply::Set(setting)
}
