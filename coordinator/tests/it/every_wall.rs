//! Every method about things of projects, tried from another project. A method that is new has no case here, and fails.

use std::fmt::Debug;

use sha2::Digest as _;
use sweep_core::access::Permission;
use sweep_proto::PERMISSIONS;
use sweep_proto::convert::permission;
use sweep_proto::status::reason_of;
use sweep_proto::v1;
use sweep_proto::v1::blobs_client::BlobsClient;
use tonic::{Code, Response, Status};

use crate::lab::Lab;
use crate::secure::lab;
use crate::world::SPEC;

/// What somebody else's project is known by.
struct Theirs {
    trial: String,
    blob: String,
    /// What no answer may hold.
    secrets: Vec<String>,
}

/// What a method did.
enum Tried {
    /// It was about one thing on the other side.
    One(Result<(), Status>),
    /// It was about all that the caller sees; in words.
    All(Result<String, Status>),
}

fn one<T>(answer: Result<T, Status>) -> Tried {
    Tried::One(answer.map(drop))
}

fn all<T: Debug>(answer: Result<Response<T>, Status>) -> Tried {
    Tried::All(answer.map(|answer| format!("{:?}", answer.into_inner())))
}

/// As eve, who leads another project.
async fn attempt(lab: &Lab, eve: &sweep_identity::token::Token, method: &str, theirs: &Theirs) -> Option<Tried> {
    let (mut sweeps, mut sharing) = (lab.sweeps(Some(eve)), lab.sharing(Some(eve)));
    let (sweep, trial) = ("small".to_owned(), theirs.trial.clone());
    let spec = || SPEC.as_bytes().to_vec().into();
    Some(match method {
        "Blobs.Download" => {
            let asked = v1::DownloadRequest { sha256: theirs.blob.clone() };
            one(BlobsClient::new(lab.link(Some(eve))).download(asked).await)
        }
        "Sweeps.Submit" => {
            let asked = v1::SubmitRequest { spec: spec(), project: "vision".to_owned(), ..Default::default() };
            one(sweeps.submit(asked).await)
        }
        "Sweeps.Probe" => one(sweeps
            .probe(v1::ProbeRequest { spec: spec(), user: String::new(), project: "vision".to_owned() })
            .await),
        "Sweeps.List" => all(sweeps.list(v1::ListRequest { limit: 0 }).await),
        "Sweeps.ListAgents" => all(sweeps.list_agents(v1::ListAgentsRequest {}).await),
        "Sweeps.Estimate" => all(sweeps.estimate(v1::EstimateRequest { spec: spec() }).await),
        "Sweeps.Show" => one(sweeps.show(v1::ShowRequest { sweep, ..Default::default() }).await),
        "Sweeps.ShowTrial" => one(sweeps.show_trial(v1::ShowTrialRequest { trial }).await),
        "Sweeps.Watch" => one(sweeps.watch(v1::WatchRequest { sweep }).await),
        "Sweeps.Logs" => one(sweeps.logs(v1::LogsRequest { trial, ..Default::default() }).await),
        "Sweeps.Cancel" => one(sweeps.cancel(v1::CancelRequest { sweep, ..Default::default() }).await),
        "Sweeps.Retry" => one(sweeps.retry(v1::RetryRequest { sweep, ..Default::default() }).await),
        "Sweeps.Extend" => one(sweeps.extend(v1::ExtendRequest { sweep, seeds: vec![9], ..Default::default() }).await),
        "Sweeps.Report" => one(sweeps.report(v1::SweepReportRequest { sweep, curves: true }).await),
        "Sweeps.Audit" => one(sweeps.audit(v1::SweepRef { sweep }).await),
        "Sweeps.Why" => one(sweeps.why(v1::WhyRequest { what: sweep }).await),
        "Sharing.Queue" => all(sharing.queue(v1::QueueRequest {}).await),
        "Sharing.ShowShares" => all(sharing.show_shares(v1::ShowSharesRequest::default()).await),
        "Sharing.SetSweep" => {
            one(sharing.set_sweep(v1::SetSweepRequest { sweep, priority: Some(1), ..Default::default() }).await)
        }
        "Sharing.MoveSweep" => one(sharing
            .move_sweep(v1::MoveSweepRequest { sweep, project: "audio".to_owned(), ..Default::default() })
            .await),
        _ => return None,
    })
}

/// Sweeps and trials of a project; what only admins and agents call is not about projects, and the matrix test knocks on it.
fn is_about_projects(path: &str) -> bool {
    let asks = permission(path).unwrap();
    !matches!(asks, Permission::Public | Permission::Myself | Permission::Admin | Permission::Agent | Permission::Join)
}

#[tokio::test]
async fn every_method_has_a_wall() {
    let (_folder, lab) = lab().await;
    let ada = lab.user_in("ada-lovelace", "user", &["vision"]).await;
    let eve = lab.user_in("eve", "project-admin", &["audio"]).await;
    let submit = v1::SubmitRequest { spec: SPEC.as_bytes().to_vec().into(), ..Default::default() };
    let made = lab.sweeps(Some(&ada)).submit(submit).await.unwrap().into_inner();
    let show = v1::ShowRequest { sweep: "small".to_owned(), ..Default::default() };
    let shown = lab.sweeps(Some(&ada)).show(show).await.unwrap().into_inner();
    let agent = lab.agent(1).await;
    let blob = format!("{:x}", sha2::Sha256::digest(b"state"));
    let piece = v1::UploadChunk { sha256: blob.clone(), bytes: 5, data: b"state".to_vec().into() };
    BlobsClient::new(agent.link.clone()).upload(tokio_stream::iter([piece])).await.unwrap();
    let trial = uuid::Uuid::from_slice(&shown.trials[0].trial_id).unwrap().simple().to_string();
    let bytes = |id: &bytes::Bytes| format!("{id:?}").trim_matches(['b', '"']).to_owned();
    let ids = [bytes(&made.sweep_id), bytes(&shown.trials[0].trial_id)];
    let words = ["small", "ada-lovelace", "vision"].map(str::to_owned);
    let theirs = Theirs { trial, blob, secrets: words.into_iter().chain(ids).collect() };
    for path in PERMISSIONS.iter().map(|(path, _)| *path).filter(|path| is_about_projects(path)) {
        let method = path.trim_start_matches("/sweep.v1.").replace('/', ".");
        let tried = attempt(&lab, &eve, &method, &theirs).await;
        let Some(tried) = tried else { panic!("{method} has no case: say what somebody of another project gets") };
        match tried {
            Tried::One(answer) => {
                let Err(status) = answer else { panic!("{method} reaches over the wall") };
                let is_gone = status.code() == Code::NotFound;
                let is_shut = reason_of(&status).as_deref() == Some("project_other");
                assert!(is_gone || is_shut, "{method}: {status}");
                assert!(!status.message().contains("ada-lovelace"), "{method}: {status}");
            }
            Tried::All(answer) => {
                let text = answer.unwrap_or_else(|status| status.message().to_owned());
                let told: Vec<_> = theirs.secrets.iter().filter(|secret| text.contains(*secret)).collect();
                assert!(told.is_empty(), "{method} tells {told:?}: {text}");
            }
        }
    }
    lab.stop().await;
}
