//! What people call.

use std::sync::Arc;
use std::time::SystemTime;

use sweep_core::access::Permission;
use sweep_core::command::{Command, Reply, Submit};
use sweep_core::estimate::estimate;
use sweep_core::id::{AgentId, SweepId};
use sweep_core::plan::plan_text;
use sweep_core::report::summarise;
use sweep_core::shares::DEFAULT_USER;
use sweep_core::spec::SpecError;
use sweep_core::state::TrialRef;
use sweep_core::state::agent::Agent;
use sweep_proto::convert::id_bytes;
use sweep_proto::status::status;
use sweep_proto::v1;
use sweep_proto::v1::sweeps_server::Sweeps as Service;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::agents::unexpected;
use super::names::{self, Kind};
use super::{Edge, curves, extend, probe, refs, refused, reuse, streams, unreadable, views, why};
use crate::access::identity::{Identity, Who};
use crate::handle::View;
use crate::journal::key;
use crate::spans;

/// Sweeps in a list, and trials on a page, when nothing is said.
const PAGE: u32 = 100;
/// At most.
const LONGEST_PAGE: u32 = 1000;
/// Errors of a sweep file that are said at once.
const ERRORS: usize = 100;

/// The service.
#[derive(Debug)]
pub(super) struct Sweeps(pub(super) Edge);

#[tonic::async_trait]
impl Service for Sweeps {
    async fn info(&self, request: Request<v1::InfoRequest>) -> Result<Response<v1::InfoReply>, Status> {
        let (build, protocol) = (env!("CARGO_PKG_VERSION").to_owned(), sweep_proto::PROTOCOL);
        let data_dir = self.0.place.clone();
        if Identity::of(&request).who == Who::Stranger {
            // Enough to find out that the releases differ, and, on this host, where the token is.
            let data_dir = if self.0.guard.lab_parts().is_none() { data_dir } else { String::new() };
            return Ok(Response::new(v1::InfoReply { build, protocol, data_dir, ..v1::InfoReply::default() }));
        }
        self.ask(move |view| {
            let state = view.core.state();
            let (sweeps, agents) = (state.sweeps.len() as u64, state.hosts().count() as u64);
            let safe_mode = state.lineage.words().unwrap_or_default();
            v1::InfoReply { build, protocol, data_dir, sweeps, agents, now: view.now.0, safe_mode }
        })
        .await
    }

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let identity = Identity::of(&request);
        let request = request.into_inner();
        let v1::SubmitRequest { spec, run, queue_anyway, user, project, priority, max_parallel, reuse, new_project } =
            request;
        let user = identity.name(user);
        let planned = self.0.compute(move || plan_text(&spec).map(|(plan, parsed)| (plan, parsed, spec))).await?;
        let (mut plan, spec, text) = planned.map_err(|errors| invalid(&errors))?;
        plan.limits.priority = priority.or(plan.limits.priority);
        plan.limits.max_parallel = max_parallel.or(plan.limits.max_parallel);
        plan.source = String::from_utf8(text.into()).ok();
        identity.about(format!("sweep {} for {}", plan.name, or(project.clone(), "the only project")));
        let (user, project) = (or(user, DEFAULT_USER), identity.project(project)?);
        if !new_project {
            names::check(&self.0.guard, &self.0.handle, Kind::Project, &project, "--new-project makes it").await?;
        }
        identity.about(format!("sweep {} for project {project}", plan.name));
        let trials = plan.all_trials().into();
        let (canonical, caller, wanted) = (spec.canonical(), identity.clone(), project.clone());
        let found = self.0.handle.query(move |view| refs::fresh(view.core.state(), &caller, &canonical, &run, &wanted));
        let sweep = found.await.map_err(refused)??;
        let plan = Arc::new(plan);
        let found = reuse::offers(&self.0, &identity, &plan, 0, Some(sweep)).await?;
        let reuse = reuse::wanted(&found, reuse, &plan)?;
        let about = project.clone();
        let submit = Submit { sweep, user, project, plan, queue_anyway, reuse };
        match self.0.handle.command(Command::Submit(submit)).await.map_err(refused)? {
            Reply::Submitted { sweep, name, existing } => {
                identity.about(format!("sweep {name} ({sweep}) for project {about}"));
                let reused = self.0.handle.query(move |view| view.core.state().sweep(sweep).map_or(0, |it| it.reused));
                let reused = reused.await.map_err(refused)?.into();
                let reusable = if existing { Vec::new() } else { reuse::by_sweep(&found) };
                let sweep_id = id_bytes(sweep);
                Ok(Response::new(v1::SubmitReply { sweep_id, name, existing, trials, reused, reusable }))
            }
            other => Err(unexpected(other)),
        }
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListReply>, Status> {
        let identity = Identity::of(&request);
        let limit = page_length(request.into_inner().limit);
        self.ask(move |view| {
            let sweeps = &view.core.state().sweeps;
            let seen = (0..sweeps.len() as u32).rev().filter(|number| identity.sees(&sweeps[*number as usize]));
            let newest = seen.take(limit as usize);
            v1::ListReply { sweeps: newest.map(|number| views::sweep(view, number)).collect() }
        })
        .await
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<v1::ShowReply>, Status> {
        let identity = Identity::of(&request);
        let request = request.into_inner();
        let limit = page_length(request.limit);
        self.find(move |view| {
            let number = refs::sweep(view.core.state(), &request.sweep, &identity)?;
            let (trials, matching) = views::page(view, number, &request.phases, request.offset, limit);
            Ok(v1::ShowReply {
                summary: Some(views::sweep(view, number)),
                paths: views::paths(view, number),
                trials,
                matching,
                notes: view.books.sweep(number).notes.iter().cloned().collect(),
                datasets: views::datasets(view, number),
                waits: views::waits(view, number),
            })
        })
        .await
    }

    async fn show_trial(&self, request: Request<v1::ShowTrialRequest>) -> Result<Response<v1::ShowTrialReply>, Status> {
        let identity = Identity::of(&request);
        let text = request.into_inner().trial;
        let found = self.0.handle.query(move |view| {
            let state = view.core.state();
            let at = refs::trial(state, &text, &identity)?;
            let sweep = state.sweep_of(at);
            let recipe = sweep.plan.recipe(at.index);
            let recipe = recipe.map_err(|error| status(Code::Internal, "plan_damaged", error.to_string()))?;
            let reply = v1::ShowTrialReply {
                trial: Some(views::trial(view, at)),
                sweep_id: id_bytes(sweep.id),
                sweep_name: sweep.name.clone(),
                paths: views::paths(view, at.sweep),
                recipe_json: serde_json::to_string(&recipe).expect("a recipe has string keys only"),
                curve: Vec::new(),
                dataset: Some(v1::BoundDataset {
                    name: sweep.dataset(at.index).to_owned(),
                    fingerprint: sweep.fingerprint(at.index).unwrap_or_default().to_owned(),
                }),
            };
            Ok::<_, Status>((curves::trained(state, at), reply))
        });
        let (trained, mut reply) = found.await.map_err(refused)??;
        let mut reports = Vec::new();
        for (at, until) in trained {
            let rows = self.0.reader.curve(key(at.sweep, at.index)).await.map_err(unreadable)?;
            reports.extend(rows.into_iter().filter(|(_, metrics)| metrics.epoch <= until));
        }
        reply.curve = curves::visible(reports).iter().map(v1::EpochMetrics::from).collect();
        Ok(Response::new(reply))
    }

    type WatchStream = ReceiverStream<Result<v1::SweepSummary, Status>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let identity = Identity::of(&request);
        let number = self.number(request.into_inner().sweep, identity.clone()).await?;
        let (sink, answers) = mpsc::channel(streams::AHEAD);
        tokio::spawn(streams::watch(self.0.clone(), identity, number, sink));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    type LogsStream = ReceiverStream<Result<v1::LogText, Status>>;

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let identity = Identity::of(&request);
        let v1::LogsRequest { trial, follow, attempt } = request.into_inner();
        let at = self.trial(trial.clone(), identity.clone()).await?;
        let known = self.0.handle.query(move |view| {
            let trial = view.core.state().trial(at);
            (trial.attempt, trial.phase.is_terminal())
        });
        let (newest, over) = known.await.map_err(refused)?;
        if attempt > newest && (over || !follow) {
            let message = format!("trial {trial} has no attempt {attempt}; its newest is {newest}");
            return Err(status(Code::NotFound, "attempt_unknown", message));
        }
        let (sink, answers) = mpsc::channel(streams::AHEAD);
        tokio::spawn(streams::logs(self.0.clone(), identity, at, (attempt, follow), sink));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Result<Response<v1::ChangeReply>, Status> {
        let identity = Identity::of(&request);
        let v1::CancelRequest { sweep, trial, user } = request.into_inner();
        let user = identity.name(user);
        let (id, name, trial) = self.within(sweep, trial, &identity).await?;
        self.check_change(&identity, id).await?;
        let command = match trial {
            None => Command::CancelSweep { sweep: id, user },
            Some(trial) => Command::CancelTrial { trial, user },
        };
        self.change(command, name).await
    }

    async fn retry(&self, request: Request<v1::RetryRequest>) -> Result<Response<v1::ChangeReply>, Status> {
        let identity = Identity::of(&request);
        let v1::RetryRequest { sweep, cancelled, user } = request.into_inner();
        let user = identity.name(user);
        let (sweep, name, _) = self.within(sweep, String::new(), &identity).await?;
        self.check_change(&identity, sweep).await?;
        if cancelled {
            identity.about(format!("sweep {name} ({sweep}), cancelled trials too"));
        }
        self.change(Command::RetrySweep { sweep, user, cancelled }, name).await
    }

    async fn extend(&self, request: Request<v1::ExtendRequest>) -> Result<Response<v1::ExtendReply>, Status> {
        let identity = Identity::of(&request);
        extend::extend(&self.0, identity, request.into_inner()).await.map(Response::new)
    }

    async fn report(&self, request: Request<v1::SweepReportRequest>) -> Result<Response<v1::JsonReply>, Status> {
        let (identity, since) = (Identity::of(&request), SystemTime::now());
        let v1::SweepReportRequest { sweep: text, curves: with_curves } = request.into_inner();
        let found = self.0.handle.query(move |view| {
            let state = view.core.state();
            let number = refs::sweep(state, &text, &identity)?;
            let sweep = &state.sweeps[number as usize];
            let trials = if with_curves { views::plan_places(sweep) } else { Vec::new() };
            let begun = |number: u32| curves::begun(&state.sweeps[number as usize]);
            let elsewhere = reuse::places(sweep).into_iter().map(|(of, places)| (of, places, begun(of)));
            let elsewhere: Vec<_> = elsewhere.collect();
            Ok::<_, Status>((number, trials, begun(number), elsewhere, sweep.id, summarise(state, sweep.id)))
        });
        let (number, trials, begun, elsewhere, sweep, mut report) = found.await.map_err(refused)??;
        if let Some(report) = &mut report {
            report.provenance.build = crate::build_name();
        }
        if let (true, Some(report)) = (with_curves, &mut report) {
            let rows = self.0.reader.curves(number).await.map_err(unreadable)?;
            let mut rows = curves::whole(rows, &begun);
            for (sweep, places, begun) in elsewhere {
                let there = self.0.reader.curves(sweep).await.map_err(unreadable)?;
                for (there, metrics) in curves::whole(there, &begun) {
                    let here = places.get(&there).into_iter().flatten();
                    rows.extend(here.map(|index| (*index, metrics.clone())));
                }
            }
            report.curves = curves::by_trial(rows, &trials);
        }
        let json = self.0.compute(move || serde_json::to_string(&report).expect("a report has string keys only"));
        let json = json.await?;
        spans::read(&self.0.traces, sweep, since);
        Ok(Response::new(v1::JsonReply { json }))
    }

    async fn estimate(&self, request: Request<v1::EstimateRequest>) -> Result<Response<v1::JsonReply>, Status> {
        let identity = Identity::of(&request);
        let spec = request.into_inner().spec;
        let planned = self.0.compute(move || plan_text(&spec)).await?;
        let (plan, _) = planned.map_err(|errors| invalid(&errors))?;
        let plan = Arc::new(plan);
        let reusable = reuse::offers(&self.0, &identity, &plan, 0, None).await?;
        let found = self.0.handle.query(move |view| {
            estimate(view.core.state(), &plan, |sweep| identity.sees(sweep)).map_err(|error| error.to_string())
        });
        let damaged = |message: String| status(Code::Internal, "plan_damaged", message);
        let mut found = found.await.map_err(refused)?.map_err(damaged)?;
        found.reusable = reuse::by_sweep(&reusable).into_iter().map(|from| (from.sweep, from.trials)).collect();
        Ok(Response::new(v1::JsonReply { json: serde_json::to_string(&found).expect("estimates have string keys") }))
    }

    async fn probe(&self, request: Request<v1::ProbeRequest>) -> Result<Response<v1::ProbeReply>, Status> {
        let identity = Identity::of(&request);
        probe::probe(&self.0, identity, request.into_inner()).await.map(Response::new)
    }

    async fn audit(&self, request: Request<v1::SweepRef>) -> Result<Response<v1::JsonReply>, Status> {
        let identity = Identity::of(&request);
        let (sweep, _, _) = self.within(request.into_inner().sweep, String::new(), &identity).await?;
        let audit = self.0.reader.audit().await.map_err(unreadable)?.sweep(sweep);
        let missing = || status(Code::NotFound, "sweep_unknown", "the journal does not have this sweep");
        let audit = audit.ok_or_else(missing)?;
        Ok(Response::new(v1::JsonReply { json: serde_json::to_string(&audit).expect("an audit has string keys only") }))
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::JsonReply>, Status> {
        let identity = Identity::of(&request);
        let story = why::tell(&self.0, request.into_inner().what, identity).await?;
        Ok(Response::new(v1::JsonReply { json: serde_json::to_string(&story).expect("a story is text") }))
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsReply>, Status> {
        let identity = Identity::of(&request);
        self.ask(move |view| {
            let agents = view.core.state().hosts();
            let seen = |(id, agent): (&AgentId, &Agent)| views::agent(view, *id, agent, |sweep| identity.sees(sweep));
            v1::ListAgentsReply { agents: agents.map(seen).collect() }
        })
        .await
    }
}

impl Sweeps {
    async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(View<'_>) -> T + Send + 'static,
    ) -> Result<Response<T>, Status> {
        Ok(Response::new(self.0.handle.query(query).await.map_err(refused)?))
    }

    async fn find<T: Send + 'static>(
        &self,
        query: impl FnOnce(View<'_>) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        Ok(Response::new(self.0.handle.query(query).await.map_err(refused)??))
    }

    async fn number(&self, text: String, caller: Identity) -> Result<u32, Status> {
        let found = self.0.handle.query(move |view| refs::sweep(view.core.state(), &text, &caller)).await;
        Ok(found.map_err(refused)??)
    }

    async fn trial(&self, text: String, caller: Identity) -> Result<TrialRef, Status> {
        let found = self.0.handle.query(move |view| refs::trial(view.core.state(), &text, &caller)).await;
        Ok(found.map_err(refused)??)
    }

    /// A sweep's id and name, and the id of a trial of it, if one is given.
    async fn within(
        &self,
        sweep: String,
        trial: String,
        caller: &Identity,
    ) -> Result<(SweepId, String, Option<sweep_core::id::TrialId>), Status> {
        let caller = caller.clone();
        let part = if trial.is_empty() { String::new() } else { format!(", trial {trial}") };
        caller.about(format!("sweep {sweep}{part}"));
        let found = self.0.handle.query(move |view| {
            let state = view.core.state();
            let number = refs::sweep(state, &sweep, &caller)?;
            let known = &state.sweeps[number as usize];
            caller.about(format!("sweep {} ({}){part}", known.name, known.id));
            if trial.is_empty() {
                return Ok((known.id, known.name.clone(), None));
            }
            let at = refs::trial(state, &trial, &caller)?;
            if at.sweep != number {
                let text = format!("trial {trial} belongs to sweep {}, not to {}", state.sweep_of(at).name, known.name);
                return Err(status(Code::NotFound, "trial_unknown", text));
            }
            Ok((known.id, known.name.clone(), Some(state.trial_id(at))))
        });
        found.await.map_err(refused)?
    }

    /// Refuses whoever may not change this sweep.
    async fn check_change(&self, identity: &Identity, sweep: SweepId) -> Result<(), Status> {
        let owner = self.0.handle.query(move |view| {
            let state = view.core.state();
            let found = state.sweeps.iter().find(|known| known.id == sweep);
            found.map(|known| (known.user.clone(), known.project.clone()))
        });
        let (owner, project) = owner.await.map_err(refused)?.unwrap_or_default();
        identity.check(Permission::Change, &owner, Some(&project))
    }

    async fn change(&self, command: Command, name: String) -> Result<Response<v1::ChangeReply>, Status> {
        match self.0.handle.command(command).await.map_err(refused)? {
            Reply::Changed(trials) => Ok(Response::new(v1::ChangeReply { trials: trials.into(), name })),
            other => Err(unexpected(other)),
        }
    }
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}

fn page_length(limit: u32) -> u32 {
    if limit == 0 { PAGE } else { limit.min(LONGEST_PAGE) }
}

/// Everything that is wrong with a sweep file; the reason is that of the first error.
pub(super) fn invalid(errors: &[SpecError]) -> Status {
    let mut text: Vec<String> = errors.iter().take(ERRORS).map(ToString::to_string).collect();
    if errors.len() > ERRORS {
        text.push(format!("and {} more", errors.len() - ERRORS));
    }
    let reason = errors.first().map_or("spec_syntax", |error| error.reason.as_str());
    status(Code::InvalidArgument, reason, text.join("\n"))
}
