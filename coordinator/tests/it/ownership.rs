//! Every method that changes something of a sweep, tried by somebody of the same project whose sweep it is not; and every method of
//! agents, tried in the name of another. A method that is new has no case here, and fails.

use std::time::UNIX_EPOCH;

use sweep_coordinator::clock::Clock;
use sweep_core::access::Permission;
use sweep_core::id::AgentId;
use sweep_core::time::Timestamp;
use sweep_identity::authority::AGENT_DAYS;
use sweep_identity::token::Token;
use sweep_proto::PERMISSIONS;
use sweep_proto::convert::{id_bytes, permission};
use sweep_proto::status::reason_of;
use sweep_proto::v1;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::lab::{Agent, Lab};
use crate::secure::{lab, refused};
use crate::world::{Disk, SPEC, within};

/// Methods that ask for a permission, as `Service.Method`.
fn methods(of: Permission) -> impl Iterator<Item = String> {
    let asks = move |path: &&str| permission(path).unwrap() == of;
    let paths = PERMISSIONS.iter().map(|(path, _)| *path).filter(asks);
    paths.map(|path| path.trim_start_matches("/sweep.v1.").replace('/', "."))
}

/// Changes the sweep `small`.
async fn change(lab: &Lab, who: &Token, method: &str) -> Option<Result<(), Status>> {
    let (mut sweeps, mut sharing) = (lab.sweeps(Some(who)), lab.sharing(Some(who)));
    let sweep = "small".to_owned();
    Some(match method {
        "Sweeps.Cancel" => sweeps.cancel(v1::CancelRequest { sweep, ..Default::default() }).await.map(drop),
        "Sweeps.Retry" => {
            sweeps.retry(v1::RetryRequest { sweep, cancelled: true, ..Default::default() }).await.map(drop)
        }
        "Sweeps.Extend" => {
            sweeps.extend(v1::ExtendRequest { sweep, seeds: vec![9], ..Default::default() }).await.map(drop)
        }
        "Sharing.SetSweep" => {
            sharing.set_sweep(v1::SetSweepRequest { sweep, priority: Some(1), ..Default::default() }).await.map(drop)
        }
        "Sharing.MoveSweep" => {
            let project = "audio".to_owned();
            sharing.move_sweep(v1::MoveSweepRequest { sweep, project, ..Default::default() }).await.map(drop)
        }
        _ => return None,
    })
}

#[tokio::test]
async fn nobody_changes_what_another_one_of_the_project_has_submitted() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision", "audio"]).await;
    let bob = lab.user_in("bob", "user", &["vision", "audio"]).await;
    let (spec, project) = (SPEC.as_bytes().to_vec().into(), "vision".to_owned());
    let submit = v1::SubmitRequest { spec, project, ..Default::default() };
    lab.sweeps(Some(&ada)).submit(submit).await.unwrap();
    let journal = async |lab: &Lab| {
        let show = v1::ShowRequest { sweep: "small".to_owned(), ..Default::default() };
        format!("{:?}", lab.sweeps(Some(&ada)).show(show).await.unwrap().into_inner())
    };
    let before = journal(&lab).await;
    let mut tried = 0;
    for method in methods(Permission::Change) {
        let Some(answer) = change(&lab, &bob, &method).await else { panic!("{method} has no case here") };
        let Err(status) = answer else { panic!("{method} changes what is not the caller's") };
        assert_eq!(status.code(), Code::PermissionDenied, "{method}: {status}");
        assert_eq!(reason_of(&status).as_deref(), Some("not_yours"), "{method}: {status}");
        assert_eq!(journal(&lab).await, before, "{method}");
        tried += 1;
    }
    assert!(tried >= 5, "{tried}");
    // Whose it is may do all of it.
    for method in methods(Permission::Change) {
        let answer = change(&lab, &ada, &method).await.unwrap();
        assert!(answer.is_ok(), "{method}: {answer:?}");
    }
    lab.stop().await;
}

/// Calls as the agent of a certificate in the name of `id`. Methods that name no agent are about whose certificate it is.
async fn speak(agent: &Agent, id: AgentId, method: &str) -> Option<Result<(), Status>> {
    let (mut client, agent_id) = (agent.client(), id_bytes(id));
    Some(match method {
        "Agents.Hello" => agent.hello(id).await,
        "Agents.Poll" => client.poll(v1::PollRequest { agent_id, ..Default::default() }).await.map(drop),
        "Agents.Report" => client.report(v1::ReportRequest { agent_id, ..Default::default() }).await.map(drop),
        "Agents.Observe" => client.observe(v1::ObserveRequest { agent_id, ..Default::default() }).await.map(drop),
        "Agents.ShipSeries" => {
            client.ship_series(v1::ShipSeriesRequest { agent_id, ..Default::default() }).await.map(drop)
        }
        _ => return None,
    })
}

#[tokio::test]
async fn no_agent_speaks_for_another() {
    let (_folder, lab) = lab().await;
    let [first, second] = [lab.agent(1).await, lab.agent(2).await];
    first.hello(first.id).await.unwrap();
    second.hello(second.id).await.unwrap();
    let mut tried = 0;
    for method in methods(Permission::Agent) {
        if ["Access.Renew", "Blobs.Upload"].contains(&method.as_str()) {
            continue;
        }
        let Some(answer) = speak(&second, first.id, &method).await else { panic!("{method} has no case here") };
        assert!(answer.is_err(), "{method} takes the word of another agent");
        refused(answer, Code::PermissionDenied, "agent_other");
        let own = speak(&second, second.id, &method).await.unwrap();
        assert!(own.is_ok(), "{method}: {own:?}");
        tried += 1;
    }
    assert_eq!(tried, 5);
    lab.stop().await;
}

#[tokio::test]
async fn an_agents_certificate_expires() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::new());
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let at = |days: i64| Clock::at(Timestamp(since.as_micros() as i64 + days * 86_400_000_000));
    let first = Lab::start(folder.path(), &disk, at(0)).await;
    let agent = first.agent(1).await;
    agent.hello(agent.id).await.unwrap();
    first.stop().await;
    for (days, is_good) in [(AGENT_DAYS - 1, true), (AGENT_DAYS + 1, false)] {
        let later = Lab::start(folder.path(), &disk, at(days)).await;
        let (own, tls, token) = (agent.own.clone(), agent.tls.clone(), agent.token.clone());
        let back = Agent { id: agent.id, link: later.link_with(&tls, None), own, tls, token };
        match is_good {
            true => back.hello(back.id).await.unwrap(),
            false => refused(back.hello(back.id).await, Code::Unauthenticated, "agent_revoked"),
        }
        later.stop().await;
    }
}

#[tokio::test]
async fn whoever_calls_too_often_is_refused_alone() {
    let (_folder, lab) = lab().await;
    let [ada, bob] = [lab.user("ada", "user").await, lab.user("bob", "user").await];
    let flood = lab.sweeps(Some(&ada));
    let mut calls = JoinSet::new();
    for _ in 0..1000 {
        let mut flood = flood.clone();
        calls.spawn(async move { flood.list(v1::ListRequest { limit: 0 }).await.map(drop) });
    }
    let answers = within(calls.join_all()).await;
    let (good, refusals): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(good.len() >= 200 && !refusals.is_empty(), "{} of 1000 were answered", good.len());
    refusals.into_iter().for_each(|answer| refused(answer, Code::ResourceExhausted, "too_many_calls"));
    lab.sweeps(Some(&bob)).list(v1::ListRequest { limit: 0 }).await.unwrap();
    let agent = lab.agent(7).await;
    agent.hello(agent.id).await.unwrap();
    lab.stop().await;
}
