//! Projects are walls: what is on the other side is not refused, it is not there.

use sha2::Digest as _;
use sweep_core::event::AgentFacts;
use sweep_proto::convert::hello_request;
use sweep_proto::v1;
use tonic::Code;

use crate::secure::{lab, refused};
use crate::world::SPEC;

#[tokio::test]
async fn what_is_in_another_project_is_not_there() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision"]).await;
    let eve = lab.user_in("eve", "project-admin", &["audio"]).await;
    let spec = SPEC.as_bytes().to_vec();
    let submit = |project: &str| v1::SubmitRequest {
        spec: spec.clone().into(),
        project: project.to_owned(),
        ..v1::SubmitRequest::default()
    };
    refused(lab.sweeps(Some(&eve)).submit(submit("vision")).await, Code::PermissionDenied, "project_other");
    let made = lab.sweeps(Some(&ada)).submit(submit("")).await.unwrap().into_inner();
    let id = uuid::Uuid::from_slice(&made.sweep_id).unwrap().simple().to_string();
    let list = |token| {
        let mut client = lab.sweeps(Some(token));
        async move { client.list(v1::ListRequest { limit: 0 }).await.unwrap().into_inner().sweeps.len() }
    };
    assert_eq!((list(&ada).await, list(&eve).await, list(&lab.admin.token).await), (1, 0, 1));
    let show = v1::ShowRequest { sweep: "small".to_owned(), ..v1::ShowRequest::default() };
    let shown = lab.sweeps(Some(&ada)).show(show.clone()).await.unwrap().into_inner();
    let trial = uuid::Uuid::from_slice(&shown.trials[0].trial_id).unwrap().simple().to_string();
    for sweep in ["small", &id, &id[..8]] {
        let mut other = lab.sweeps(Some(&eve));
        let show = v1::ShowRequest { sweep: sweep.to_owned(), ..v1::ShowRequest::default() };
        refused(other.show(show).await, Code::NotFound, "sweep_unknown");
        let one = v1::SweepRef { sweep: sweep.to_owned() };
        let report = v1::SweepReportRequest { sweep: sweep.to_owned(), curves: true };
        refused(other.report(report).await, Code::NotFound, "sweep_unknown");
        refused(other.audit(one).await, Code::NotFound, "sweep_unknown");
        let watch = v1::WatchRequest { sweep: sweep.to_owned() };
        refused(other.watch(watch).await.map(drop), Code::NotFound, "sweep_unknown");
        let cancel = v1::CancelRequest { sweep: sweep.to_owned(), ..v1::CancelRequest::default() };
        refused(other.cancel(cancel).await, Code::NotFound, "sweep_unknown");
        let retry = v1::RetryRequest { sweep: sweep.to_owned(), ..v1::RetryRequest::default() };
        refused(other.retry(retry).await, Code::NotFound, "sweep_unknown");
        let extend = v1::ExtendRequest { sweep: sweep.to_owned(), seeds: vec![9], ..v1::ExtendRequest::default() };
        refused(other.extend(extend).await, Code::NotFound, "sweep_unknown");
        let set = v1::SetSweepRequest { sweep: sweep.to_owned(), priority: Some(1), ..v1::SetSweepRequest::default() };
        refused(lab.sharing(Some(&eve)).set_sweep(set).await, Code::NotFound, "sweep_unknown");
        let to = v1::MoveSweepRequest { sweep: sweep.to_owned(), project: "audio".to_owned(), ..Default::default() };
        refused(lab.sharing(Some(&eve)).move_sweep(to).await, Code::NotFound, "sweep_unknown");
    }
    let mut other = lab.sweeps(Some(&eve));
    refused(other.show_trial(v1::ShowTrialRequest { trial: trial.clone() }).await, Code::NotFound, "trial_unknown");
    let logs = v1::LogsRequest { trial, ..v1::LogsRequest::default() };
    refused(other.logs(logs).await.map(drop), Code::NotFound, "trial_unknown");
    // Nor as bytes, whoever knows their hash; agents go on with everybody's trials.
    let agent = lab.agent(1).await;
    let sha256 = format!("{:x}", sha2::Sha256::digest(b"state"));
    let piece = v1::UploadChunk { sha256: sha256.clone(), bytes: 5, data: b"state".to_vec().into() };
    let blobs = |link| v1::blobs_client::BlobsClient::new(link);
    blobs(agent.link.clone()).upload(tokio_stream::iter([piece])).await.unwrap();
    let wanted = v1::DownloadRequest { sha256 };
    blobs(agent.link.clone()).download(wanted.clone()).await.unwrap();
    let taken = blobs(lab.link(Some(&eve))).download(wanted).await.map(drop);
    refused(taken, Code::NotFound, "blob_missing");
    // Nor in a hint.
    let near = v1::ShowRequest { sweep: "smal".to_owned(), ..v1::ShowRequest::default() };
    assert!(!other.show(near.clone()).await.unwrap_err().message().contains("small"));
    assert!(lab.sweeps(Some(&ada)).show(near).await.unwrap_err().message().contains("small"));
    // Nor in the queue or the shares.
    let queue = |token| {
        let mut client = lab.sharing(Some(token));
        async move {
            let queue = client.queue(v1::QueueRequest {}).await.unwrap().into_inner();
            let waiting = (queue.waiting.len(), queue.hidden_sweeps, queue.hidden_trials);
            let shares = client.show_shares(v1::ShowSharesRequest::default()).await.unwrap().into_inner();
            (waiting, shares.projects.len(), shares.users.len())
        }
    };
    // How much others want is no secret: else nobody knew what they wait for.
    assert_eq!((queue(&ada).await, queue(&eve).await), (((1, 0, 0), 1, 1), ((0, 1, 4), 0, 0)));
    lab.stop().await;
}

#[tokio::test]
async fn the_owner_the_head_of_the_project_and_admins_change_a_sweep_and_nobody_else() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision"]).await;
    let bob = lab.user_in("bob", "user", &["vision"]).await;
    let head = lab.user_in("cleo", "project-admin", &["vision"]).await;
    let viewer = lab.user_in("dan", "viewer", &["vision"]).await;
    let spec = SPEC.as_bytes().to_vec().into();
    lab.sweeps(Some(&ada)).submit(v1::SubmitRequest { spec, ..v1::SubmitRequest::default() }).await.unwrap();
    let set = |token, priority| {
        let (sweep, user) = ("small".to_owned(), "somebody else".to_owned());
        let request = v1::SetSweepRequest { sweep, user, priority: Some(priority), max_parallel: None };
        let mut client = lab.sharing(Some(token));
        async move { client.set_sweep(request).await.map(tonic::Response::into_inner) }
    };
    for (token, priority) in [(&ada, 1), (&head, 2), (&lab.admin.token, 3)] {
        assert_eq!(set(token, priority).await.unwrap().priority, priority);
    }
    refused(set(&bob, 4).await, Code::PermissionDenied, "not_yours");
    refused(set(&viewer, 4).await, Code::PermissionDenied, "role_too_small");
    let why = v1::WhyRequest { what: "small".to_owned() };
    let story = lab.sweeps(Some(&ada)).why(why).await.unwrap().into_inner().json;
    for words in ["ada set priority 1", "cleo set priority 2", "admin set priority 3"] {
        assert!(story.contains(words), "{story}");
    }
    assert!(!story.contains("somebody else"), "{story}");
    lab.stop().await;
}

#[tokio::test]
async fn whoever_is_taken_out_of_a_project_has_left_their_sweeps_there() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision", "speech"]).await;
    let (spec, project) = (SPEC.as_bytes().to_vec().into(), "vision".to_owned());
    let request = v1::SubmitRequest { spec, project, ..v1::SubmitRequest::default() };
    lab.sweeps(Some(&ada)).submit(request).await.unwrap();
    let show = || v1::ShowRequest { sweep: "small".to_owned(), ..v1::ShowRequest::default() };
    lab.sweeps(Some(&ada)).show(show()).await.unwrap();
    lab.set_projects("ada", &["speech"]).await;
    refused(lab.sweeps(Some(&ada)).show(show()).await, Code::NotFound, "sweep_unknown");
    let sweep = "small".to_owned();
    let project = "speech".to_owned();
    let asked = v1::MoveSweepRequest { sweep, project, ..Default::default() };
    let moved = lab.sharing(Some(&ada)).move_sweep(asked).await;
    refused(moved, Code::NotFound, "sweep_unknown");
    lab.set_projects("ada", &["vision"]).await;
    lab.sweeps(Some(&ada)).show(show()).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn a_share_of_somebody_unknown_is_taken_for_a_slip() {
    use v1::set_shares_request::Change;
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision"]).await;
    let root = lab.admin.token.clone();
    let set = |change: Change, new: bool| {
        let mut client = lab.sharing(Some(&root));
        let request = v1::SetSharesRequest { user: String::new(), change: Some(change), new };
        async move { client.set_shares(request).await }
    };
    let of = |name: &str| v1::EntitlementChange { name: name.to_owned(), share: Some(2000), ..Default::default() };
    set(Change::OfProject(of("vision")), false).await.unwrap();
    let slip = set(Change::OfProject(of("visoin")), false).await;
    assert!(slip.as_ref().unwrap_err().message().contains("did you mean `vision`? (--new"), "{slip:?}");
    refused(slip, Code::FailedPrecondition, "name_unknown");
    refused(set(Change::OfUser(of("eva")), false).await, Code::FailedPrecondition, "name_unknown");
    let (name, project) = ("deadline".to_owned(), "visoin".to_owned());
    let until = i64::MAX / 4;
    let reserve = v1::Reservation { name, project, slots: 1, from: 0, until, reason: String::new() };
    refused(set(Change::Reserve(reserve), false).await, Code::FailedPrecondition, "name_unknown");
    let shares = lab.sharing(Some(&root)).show_shares(v1::ShowSharesRequest::default()).await.unwrap().into_inner();
    assert_eq!((shares.projects.len(), shares.users.len()), (1, 0), "nothing of it was set");
    // What is meant to come is set all the same; from then on it is known.
    set(Change::OfProject(of("visoin")), true).await.unwrap();
    set(Change::OfProject(of("visoin")), false).await.unwrap();
    set(Change::OfUser(of("ada")), false).await.unwrap();
    drop(ada);
    lab.stop().await;
}

#[tokio::test]
async fn whoever_moves_a_sweep_has_rights_in_both_projects_and_others_see_it_no_longer() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision", "text"]).await;
    let head = lab.user_in("cleo", "project-admin", &["vision"]).await;
    let spec = SPEC.as_bytes().to_vec().into();
    let submit = v1::SubmitRequest { spec, project: "vision".to_owned(), ..v1::SubmitRequest::default() };
    lab.sweeps(Some(&ada)).submit(submit).await.unwrap();
    let go = |token, project: &str| {
        let (sweep, project) = ("small".to_owned(), project.to_owned());
        let request = v1::MoveSweepRequest { sweep, project, ..Default::default() };
        let mut client = lab.sharing(Some(token));
        async move { client.move_sweep(request).await.map(tonic::Response::into_inner) }
    };
    refused(go(&ada, "audio").await, Code::PermissionDenied, "project_other");
    refused(go(&head, "text").await, Code::PermissionDenied, "project_other");
    refused(go(&ada, "").await, Code::InvalidArgument, "setting_invalid");
    let watch = v1::WatchRequest { sweep: "small".to_owned() };
    let mut watched = lab.sweeps(Some(&head)).watch(watch.clone()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().project, "vision");
    let moved = go(&ada, "text").await.unwrap();
    assert_eq!((moved.project.as_str(), moved.moved, moved.running), ("text", true, 0));
    assert!(!go(&ada, "text").await.unwrap().moved);
    // Whoever looked at it looks no longer, and does not find it again.
    refused(crate::world::within(watched.message()).await, Code::NotFound, "sweep_unknown");
    refused(lab.sweeps(Some(&head)).watch(watch).await.map(drop), Code::NotFound, "sweep_unknown");
    let show = v1::ShowRequest { sweep: "small".to_owned(), ..v1::ShowRequest::default() };
    let shown = lab.sweeps(Some(&ada)).show(show).await.unwrap().into_inner();
    assert!(shown.notes.iter().any(|note| note.ends_with("moved to project text by ada")), "{:?}", shown.notes);
    lab.stop().await;
}

#[tokio::test]
async fn a_file_and_a_slot_of_another_project_say_nothing() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision"]).await;
    let eve = lab.user_in("eve", "user", &["audio"]).await;
    let submit = |project: &str| {
        let (spec, project) = (SPEC.as_bytes().to_vec().into(), project.to_owned());
        v1::SubmitRequest { spec, project, ..v1::SubmitRequest::default() }
    };
    let made = lab.sweeps(Some(&ada)).submit(submit("")).await.unwrap().into_inner();
    let agent = lab.agent(1).await;
    let facts = AgentFacts::pretend(agent.id, "pretend", 1);
    agent.client().hello(hello_request(&facts, &[], "test")).await.unwrap();
    let slot = |token| {
        let mut client = lab.sweeps(Some(token));
        async move {
            let agents = client.list_agents(v1::ListAgentsRequest {}).await.unwrap().into_inner().agents;
            agents[0].slots[0].clone()
        }
    };
    let (own, other) = (slot(&ada).await, slot(&eve).await);
    assert_eq!((own.sweep_name.as_str(), other.sweep_name.as_str()), ("small", "(another project's)"));
    assert!(other.trial_id.iter().all(|byte| *byte == 0) && own.trial_id != other.trial_id);
    // The same file is another sweep there; who can see both is told of the first one.
    let own = lab.sweeps(Some(&eve)).submit(submit("")).await.unwrap().into_inner();
    assert!(!own.existing && own.sweep_id != made.sweep_id);
    let again = lab.sweeps(Some(&eve)).submit(submit("audio")).await.unwrap().into_inner();
    assert!(again.existing && again.sweep_id == own.sweep_id);
    let elsewhere = lab.sweeps(Some(&lab.admin.token)).submit(submit("default")).await;
    refused(elsewhere, Code::FailedPrecondition, "sweep_elsewhere");
    lab.stop().await;
}

#[tokio::test]
async fn the_head_of_a_project_is_not_told_what_its_people_have_elsewhere() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada", "user", &["vision", "audio"]).await;
    let head = lab.user_in("cleo", "project-admin", &["vision"]).await;
    for project in ["vision", "audio"] {
        let (spec, project, run) = (SPEC.as_bytes().to_vec().into(), project.to_owned(), project.to_owned());
        let request = v1::SubmitRequest { spec, project, run, ..v1::SubmitRequest::default() };
        lab.sweeps(Some(&ada)).submit(request).await.unwrap();
    }
    let (name, open_trials) = ("ada".to_owned(), Some(v1::Quota { most: Some(1) }));
    let change = v1::EntitlementChange { name, open_trials, ..Default::default() };
    let change = Some(v1::set_shares_request::Change::OfUser(change));
    let set = v1::SetSharesRequest { user: String::new(), change, new: false };
    lab.sharing(Some(&lab.admin.token)).set_shares(set).await.unwrap();
    let extend = |token| {
        let (sweep, mut client) = ("small".to_owned(), lab.sweeps(Some(token)));
        let request = v1::ExtendRequest { sweep, seeds: vec![9], queue_anyway: true, ..v1::ExtendRequest::default() };
        async move { client.extend(request).await.unwrap_err() }
    };
    let told = [extend(&ada).await, extend(&lab.admin.token).await, extend(&head).await];
    let knows = told.each_ref().map(|refusal| refusal.message().contains("ada has 8 trials"));
    assert_eq!(knows, [true, true, false], "{told:?}");
    assert!(told[2].message().starts_with("with 4 more, ada would have more"), "{}", told[2].message());
    for refusal in told {
        refused::<()>(Err(refusal), Code::ResourceExhausted, "quota_open_trials");
    }
    lab.stop().await;
}
