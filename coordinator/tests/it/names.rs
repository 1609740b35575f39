//! Names of people, projects and hosts: whose they are, who is taken for whom, and what the audit log says of them.

use sweep_proto::convert::id_bytes;
use sweep_proto::v1;
use sweep_proto::v1::machines_client::MachinesClient;
use tonic::Code;

use crate::secure::{lab, refused};
use crate::world::SPEC;

#[tokio::test]
async fn a_name_that_was_somebodys_gives_nothing_of_theirs_to_another() {
    let (_folder, lab) = lab().await;
    let ada = lab.user("ada", "user").await;
    let spec = SPEC.as_bytes().to_vec().into();
    lab.sweeps(Some(&ada)).submit(v1::SubmitRequest { spec, ..Default::default() }).await.unwrap();
    lab.root().remove_user(v1::RemoveUserRequest { name: "ada".to_owned() }).await.unwrap();
    let add = |take_over| {
        let (name, role, projects) = ("ada".to_owned(), "user".to_owned(), vec!["default".to_owned()]);
        let user = v1::PutUserRequest { name, role, projects, take_over, ..Default::default() };
        let mut root = lab.root();
        async move { root.put_user(user).await }
    };
    let refusal = add(false).await;
    assert!(refusal.as_ref().unwrap_err().message().contains("sweepctl admin user add ada --take-over"), "{refusal:?}");
    refused(refusal, Code::FailedPrecondition, "user_left");
    // Said aloud, she is who she was; the tokens of before stay what they are: good for nothing.
    add(true).await.unwrap();
    let cancel = v1::CancelRequest { sweep: "small".to_owned(), ..Default::default() };
    refused(lab.sweeps(Some(&ada)).cancel(cancel.clone()).await, Code::Unauthenticated, "unauthenticated");
    let again = lab.token_of("ada").await;
    assert_eq!(lab.sweeps(Some(&again)).cancel(cancel).await.unwrap().into_inner().trials, 4);
    lab.stop().await;
}

#[tokio::test]
async fn a_name_of_before_there_were_logins_is_somebodys_too() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), crate::world::Disk::new());
    let mut alone = crate::world::World::start(disk.config()).await;
    alone.submit(SPEC).await.unwrap();
    alone.stop().await;
    let clock = sweep_coordinator::clock::Clock::system();
    let lab = crate::lab::Lab::start(folder.path(), &disk, clock).await;
    let add = |name: &str, take_over| {
        let (name, role, projects) = (name.to_owned(), "user".to_owned(), vec!["default".to_owned()]);
        let user = v1::PutUserRequest { name, role, projects, take_over, ..Default::default() };
        let mut root = lab.root();
        async move { root.put_user(user).await }
    };
    refused(add("ada", false).await, Code::FailedPrecondition, "user_left");
    add("bob", false).await.unwrap();
    add("ada", true).await.unwrap();
    refused(add("ada", true).await, Code::AlreadyExists, "user_known");
    lab.stop().await;
}

#[tokio::test]
async fn a_project_that_nobody_has_heard_of_is_taken_for_a_slip() {
    let (_folder, lab) = lab().await;
    lab.user_in("ada", "user", &["vision"]).await;
    let root = lab.admin.token.clone();
    let user = |name: &str, set, project: &str, new_project| {
        let (name, role, projects) = (name.to_owned(), "user".to_owned(), vec![project.to_owned()]);
        let user = v1::PutUserRequest { name, role, projects, set, take_over: false, new_project };
        let mut root = lab.root();
        async move { root.put_user(user).await.map(drop) }
    };
    let slip = user("ada", true, "visoin", false).await;
    assert!(
        slip.as_ref().unwrap_err().message().ends_with("did you mean `vision`? (--new-project makes it)"),
        "{slip:?}"
    );
    refused(slip, Code::FailedPrecondition, "name_unknown");
    refused(user("bob", false, "visoin", false).await, Code::FailedPrecondition, "name_unknown");
    let submit = |project: &str, new_project| {
        let (spec, project) = (SPEC.as_bytes().to_vec().into(), project.to_owned());
        let request = v1::SubmitRequest { spec, project, new_project, ..Default::default() };
        let mut sweeps = lab.sweeps(Some(&root));
        async move { sweeps.submit(request).await.map(drop) }
    };
    refused(submit("visoin", false).await, Code::FailedPrecondition, "name_unknown");
    submit("vision", false).await.unwrap();
    let go = |project: &str, new_project| {
        let (sweep, project) = ("small".to_owned(), project.to_owned());
        let request = v1::MoveSweepRequest { sweep, project, new_project, ..Default::default() };
        let mut sharing = lab.sharing(Some(&root));
        async move { sharing.move_sweep(request).await.map(drop) }
    };
    refused(go("visoin", false).await, Code::FailedPrecondition, "name_unknown");
    go("default", false).await.unwrap();
    go("text", true).await.unwrap();
    // From then on it is known.
    user("bob", false, "text", false).await.unwrap();
    user("cy", false, "audio", true).await.unwrap();
    // A host, too, is one that has called.
    let set = |slots, new| {
        let of = v1::ProtectedSlots { host: "gpu-7".to_owned(), slots };
        let change = Some(v1::set_shares_request::Change::OfHost(of));
        let mut sharing = lab.sharing(Some(&root));
        async move { sharing.set_shares(v1::SetSharesRequest { user: String::new(), change, new }).await.map(drop) }
    };
    refused(set(2, false).await, Code::FailedPrecondition, "name_unknown");
    set(2, true).await.unwrap();
    set(0, false).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn a_revoked_host_is_forgotten_but_for_its_history() {
    let (_folder, lab) = lab().await;
    let (one, two) = (lab.agent(1 << 100).await, lab.agent(2 << 100).await);
    one.hello(one.id).await.unwrap();
    two.hello(two.id).await.unwrap();
    let root = lab.admin.token.clone();
    let lift = |host: &str| {
        let mut machines = MachinesClient::new(lab.link(Some(&root)));
        let request = v1::LiftRequest { host: host.to_owned(), ..Default::default() };
        async move { machines.lift(request).await.map(|reply| reply.into_inner().closed) }
    };
    let revoke = |agent: &str| {
        let (agent, mut access) = (agent.to_owned(), lab.root());
        let request = v1::RevokeAgentRequest { agent, ..Default::default() };
        async move { access.revoke_agent(request).await.map(tonic::Response::into_inner) }
    };
    let hosts = || {
        let mut sweeps = lab.sweeps(Some(&root));
        async move { sweeps.list_agents(v1::ListAgentsRequest {}).await.unwrap().into_inner().agents.len() }
    };
    // A host that was installed again has another id, and the name is that of two.
    refused(lift("host").await, Code::InvalidArgument, "host_ambiguous");
    refused(revoke("host").await, Code::InvalidArgument, "host_ambiguous");
    assert_eq!(hosts().await, 2);
    let gone = revoke(&one.id.to_string()[..8]).await.unwrap();
    assert_eq!((gone.changed, gone.agent_id, gone.host.as_str()), (true, id_bytes(one.id), "host"));
    assert_eq!((hosts().await, lift("host").await.unwrap()), (1, String::new()), "the name is free");
    let listed = lab.root().list_agent_certificates(v1::ListAgentCertificatesRequest {}).await.unwrap().into_inner();
    let listed: Vec<_> = listed.agents.iter().map(|agent| (agent.host.as_str(), agent.revoked > 0)).collect();
    assert_eq!(listed, [("host", true), ("host", false)]);
    let gone = revoke("host").await.unwrap();
    assert_eq!((gone.changed, gone.agent_id), (true, id_bytes(two.id)));
    assert_eq!(hosts().await, 0);
    assert!(!revoke(&two.id.to_string()).await.unwrap().changed);
    refused(revoke("host").await, Code::NotFound, "agent_not_enrolled");
    // What it did is still told.
    let what = two.id.to_string();
    let why = lab.sweeps(Some(&root)).why(v1::WhyRequest { what }).await.unwrap().into_inner().json;
    assert!(why.contains("revoked by admin"), "{why}");
    lab.stop().await;
}

#[tokio::test]
async fn the_audit_log_says_what_a_call_was_about_whether_it_was_refused_or_not() {
    let (_folder, lab) = lab().await;
    let ada = lab.user("ada", "user").await;
    let bob = lab.user("bob", "user").await;
    let spec = SPEC.as_bytes().to_vec().into();
    lab.sweeps(Some(&ada)).submit(v1::SubmitRequest { spec, ..Default::default() }).await.unwrap();
    let sweep = || "small".to_owned();
    let set = |token, max_parallel| {
        let request = v1::SetSweepRequest { sweep: sweep(), priority: Some(80), max_parallel, ..Default::default() };
        let mut sharing = lab.sharing(Some(token));
        async move { sharing.set_sweep(request).await }
    };
    set(&ada, Some(v1::Quota { most: Some(4) })).await.unwrap();
    refused(set(&bob, None).await, Code::PermissionDenied, "not_yours");
    let to =
        v1::MoveSweepRequest { sweep: sweep(), project: "vision".to_owned(), new_project: true, ..Default::default() };
    lab.sharing(Some(&lab.admin.token)).move_sweep(to).await.unwrap();
    let cancel = v1::CancelRequest { sweep: "nothing".to_owned(), ..Default::default() };
    refused(lab.sweeps(Some(&bob)).cancel(cancel).await, Code::NotFound, "sweep_unknown");
    // Refused before the message is read.
    let remove = v1::RemoveUserRequest { name: "ada".to_owned() };
    refused(lab.access(Some(&bob)).remove_user(remove).await, Code::PermissionDenied, "role_too_small");
    let page = v1::AuditLogRequest { after: 0, limit: 0 };
    let log = lab.root().audit_log(page).await.unwrap().into_inner();
    let entries: Vec<serde_json::Value> =
        log.entries.iter().map(|entry| serde_json::from_str(&entry.body).unwrap()).collect();
    let about = |who: &str, method: &str| {
        let mut found = entries.iter().rev().filter(|entry| entry["who"] == who && entry["method"] == method);
        found.next().and_then(|entry| entry["about"].as_str()).unwrap_or_default().to_owned()
    };
    let ends = |who: &str, method: &str, text: &str| {
        let about = about(who, method);
        assert!(about.starts_with("sweep small (") && about.ends_with(text), "{about}");
    };
    ends("ada", "Sweeps.Submit", ") for project default");
    ends("ada", "Sharing.SetSweep", "): priority 80, max_parallel 4; was priority 50, max_parallel none");
    ends("bob", "Sharing.SetSweep", ")");
    ends("admin", "Sharing.MoveSweep", "): to project vision; was default");
    assert_eq!(about("bob", "Sweeps.Cancel"), "sweep nothing");
    assert_eq!(about("bob", "Access.RemoveUser"), "ada");
    lab.stop().await;
}
