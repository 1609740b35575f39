//! What a stranger on the network gets, over real TLS: nothing. What members get: what is theirs.

use std::time::Duration;

use sweep_coordinator::clock::Clock;
use sweep_core::access::{Caller, Role};
use sweep_core::time::Timestamp;
use sweep_identity::authority::Authority;
use sweep_identity::certificate::{Fingerprint, KeyRequest};
use sweep_identity::chain::Follower;
use sweep_identity::dial::{Link, OwnCertificate, Tls};
use sweep_identity::token::{Kind, Token};
use sweep_proto::PERMISSIONS;
use sweep_proto::convert::{id_bytes, permission};
use sweep_proto::status::reason_of;
use sweep_proto::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codegen::http;
use tonic::{Code, Status};
use tower::{Service as _, ServiceExt as _};

use crate::lab::Lab;
use crate::world::{Disk, SPEC, within};

pub(crate) async fn lab() -> (tempfile::TempDir, Lab) {
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::start(folder.path(), &Disk::new(), Clock::system()).await;
    (folder, lab)
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_deref()), (code, Some(reason)), "{status}");
}

/// Calls a method with an empty message and says with which code it ends.
async fn knock(mut link: Link, path: &str) -> Code {
    let body = tonic::body::Body::new(Once(Some(bytes::Bytes::from_static(&[0; 5]))));
    let request = http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    let answer = async {
        link.ready().await.unwrap();
        let answer = link.call(request.body(body).unwrap()).await.unwrap();
        if let Some(code) = answer.headers().get("grpc-status") {
            return Code::from_bytes(code.as_bytes());
        }
        let mut body = answer.into_body();
        loop {
            let frame = std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx)).await;
            match frame {
                Some(Ok(frame)) => {
                    if let Some(code) = frame.trailers_ref().and_then(|trailers| trailers.get("grpc-status")) {
                        return Code::from_bytes(code.as_bytes());
                    }
                }
                Some(Err(status)) => return status.code(),
                None => return Code::Ok,
            }
        }
    };
    within(answer).await
}

/// A body of one piece.
struct Once(Option<bytes::Bytes>);

impl http_body::Body for Once {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        std::task::Poll::Ready(self.0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}

#[tokio::test]
async fn every_method_is_refused_to_everybody_whom_the_matrix_does_not_name() {
    let (_folder, lab) = lab().await;
    let agent = lab.agent(1).await;
    agent.hello(agent.id).await.unwrap();
    let join = lab.join_token().await;
    let mut people = Vec::new();
    for role in Role::ALL {
        people.push((role, lab.user(&format!("a-{role}"), role.name()).await));
    }
    for (path, _) in PERMISSIONS {
        let asks = permission(path).unwrap();
        let mut callers = vec![
            (Caller::Stranger, lab.link(None)),
            (Caller::Agent, agent.link.clone()),
            (Caller::Joiner, lab.link(Some(&join.token))),
        ];
        for (role, token) in &mut people {
            callers.push((Caller::Person(*role), lab.link(Some(token))));
            if path.ends_with("/Logout") || path.ends_with("/RenewToken") {
                // It is gone with that call, or soon.
                *token = lab.token_of(&format!("a-{role}")).await;
            }
        }
        for (caller, link) in callers {
            let code = knock(link, path).await;
            let shut = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
            assert_eq!(!shut, caller.may_try(asks), "{path} by {caller:?}: {code:?}");
        }
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_stranger_gets_nothing() {
    let (_folder, lab) = lab().await;
    let list = |token| {
        let mut client = lab.sweeps(token);
        async move { within(client.list(v1::ListRequest { limit: 0 })).await }
    };
    refused(list(None).await, Code::Unauthenticated, "unauthenticated");
    let strange = Token::generate(Kind::User).unwrap();
    refused(list(Some(&strange)).await, Code::Unauthenticated, "unauthenticated");
    // A known id with another secret gets the same words.
    let known = lab.admin.token.expose();
    let forged = format!("{}{}", &known[..17], &strange.expose()[17..]);
    assert!(forged.parse::<Token>().is_err(), "its checksum gives it away offline");
    let join = lab.join_token().await;
    refused(list(Some(&join.token)).await, Code::PermissionDenied, "not_for_you");
    let info = lab.sweeps(None).info(v1::InfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.protocol, info.data_dir.as_str(), info.now), (sweep_proto::PROTOCOL, "", 0));
    list(Some(&lab.admin.token)).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_does_not_lock_others_out() {
    let (_folder, lab) = lab().await;
    let mut last = Code::Ok;
    for _ in 0..12 {
        let token = Token::generate(Kind::User).unwrap();
        last = lab.sweeps(Some(&token)).list(v1::ListRequest { limit: 0 }).await.unwrap_err().code();
    }
    assert_eq!(last, Code::ResourceExhausted);
    lab.sweeps(Some(&lab.admin.token)).list(v1::ListRequest { limit: 0 }).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn nobody_believes_another_authority() {
    let (_folder, lab) = lab().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::create(elsewhere.path(), &["127.0.0.1".to_owned()]).unwrap();
    let token = Some(&lab.admin.token);
    // A client that knows another lab does not show this one its token.
    for tls in [Tls::authority(other.certificate(), None), Tls::pinned(other.fingerprint())] {
        let mut client = v1::sweeps_client::SweepsClient::new(lab.link_with(&tls.unwrap(), token));
        assert_eq!(client.list(v1::ListRequest { limit: 0 }).await.unwrap_err().code(), Code::Unavailable);
    }
    // An agent of another lab does not get through the handshake.
    let asked = KeyRequest::new().unwrap();
    let (der, _) = other.sign_agent(&asked.request, uuid::Uuid::from_u128(1), 1).unwrap();
    let own = OwnCertificate::new(&asked.key, &der.into()).unwrap();
    let tls = Tls::authority(lab.authority.certificate(), Some(own)).unwrap();
    let mut client = v1::sweeps_client::SweepsClient::new(lab.link_with(&tls, token));
    assert!(client.list(v1::ListRequest { limit: 0 }).await.is_err());
    // The right fingerprint is believed, and tells the certificate.
    let tls = Tls::pinned(lab.admin.pin.unwrap()).unwrap();
    let mut client = v1::sweeps_client::SweepsClient::new(lab.link_with(&tls, token));
    client.list(v1::ListRequest { limit: 0 }).await.unwrap();
    assert_eq!(Fingerprint::of(&tls.seen().unwrap()), lab.authority.fingerprint());
    lab.stop().await;
}

#[tokio::test]
async fn plain_text_and_other_protocols_are_hung_up_on() {
    let (_folder, lab) = lab().await;
    let check = async |said: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", lab.address.port)).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        // Hung up, with at most an alert.
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert!(answer.len() < 16 && !answer.starts_with(b"HTTP"), "{answer:?}");
    };
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    check(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").await;
    check(&[0x16; 64]).await;
    lab.sweeps(Some(&lab.admin.token)).list(v1::ListRequest { limit: 0 }).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn tokens_expire() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::new());
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = |days: i64| Clock::at(Timestamp(since.as_micros() as i64 + days * 86_400_000_000));
    let first = Lab::start(folder.path(), &disk, at(0)).await;
    let (admin, ada) = (first.admin.token.clone(), first.user("ada", "user").await);
    first.stop().await;
    let second = Lab::start(folder.path(), &disk, at(2)).await;
    let list = async |lab: &Lab, token: &Token| {
        within(lab.sweeps(Some(token)).list(v1::ListRequest { limit: 0 })).await.map(drop)
    };
    refused(list(&second, &admin).await, Code::Unauthenticated, "unauthenticated");
    list(&second, &ada).await.unwrap();
    second.stop().await;
    let third = Lab::start(folder.path(), &disk, at(91)).await;
    refused(list(&third, &ada).await, Code::Unauthenticated, "unauthenticated");
    list(&third, &third.admin.token).await.unwrap();
    third.stop().await;
}

#[tokio::test]
async fn whoever_is_thrown_out_is_out_in_the_middle_of_a_sentence() {
    let (_folder, lab) = lab().await;
    let ada = lab.user("ada", "user").await;
    let mut sweeps = lab.sweeps(Some(&ada));
    let submit = v1::SubmitRequest { spec: SPEC.as_bytes().to_vec().into(), ..v1::SubmitRequest::default() };
    sweeps.submit(submit).await.unwrap();
    let watch = v1::WatchRequest { sweep: "small".to_owned() };
    let mut open = sweeps.watch(watch.clone()).await.unwrap().into_inner();
    let first = within(open.message()).await.unwrap().unwrap();
    assert_eq!(first.user, "ada", "she is who her token says");
    let revoke = v1::RevokeTokenRequest { id: ada.id().to_owned() };
    assert!(lab.root().revoke_token(revoke.clone()).await.unwrap().into_inner().changed);
    let end = within(open.message()).await;
    refused(end, Code::Unauthenticated, "unauthenticated");
    refused(sweeps.watch(watch).await.map(drop), Code::Unauthenticated, "unauthenticated");
    assert!(!lab.root().revoke_token(revoke).await.unwrap().into_inner().changed);
    // So is whoever leaves, and whoever logs out.
    let again = lab.token_of("ada").await;
    let watch = v1::WatchRequest { sweep: "small".to_owned() };
    let mut open = lab.sweeps(Some(&again)).watch(watch.clone()).await.unwrap().into_inner();
    within(open.message()).await.unwrap().unwrap();
    lab.root().remove_user(v1::RemoveUserRequest { name: "ada".to_owned() }).await.unwrap();
    refused(within(open.message()).await, Code::Unauthenticated, "unauthenticated");
    let bob = lab.user("bob", "viewer").await;
    lab.access(Some(&bob)).logout(v1::LogoutRequest {}).await.unwrap();
    refused(lab.sweeps(Some(&bob)).watch(watch).await.map(drop), Code::Unauthenticated, "unauthenticated");
    lab.stop().await;
}

#[tokio::test]
async fn people_change_what_is_theirs() {
    let (_folder, lab) = lab().await;
    let [ada, bob] = [lab.user("ada", "user").await, lab.user("bob", "user").await];
    let head = lab.user("cleo", "project-admin").await;
    let submit = v1::SubmitRequest {
        spec: SPEC.as_bytes().to_vec().into(),
        user: "root".to_owned(),
        ..v1::SubmitRequest::default()
    };
    lab.sweeps(Some(&ada)).submit(submit).await.unwrap();
    let cancel = v1::CancelRequest { sweep: "small".to_owned(), ..v1::CancelRequest::default() };
    let retry = v1::RetryRequest { sweep: "small".to_owned(), cancelled: true, user: String::new() };
    refused(lab.sweeps(Some(&bob)).cancel(cancel.clone()).await, Code::PermissionDenied, "not_yours");
    lab.sweeps(Some(&ada)).cancel(cancel.clone()).await.unwrap();
    refused(lab.sweeps(Some(&bob)).retry(retry.clone()).await, Code::PermissionDenied, "not_yours");
    lab.sweeps(Some(&head)).retry(retry).await.unwrap();
    lab.sweeps(Some(&lab.admin.token)).cancel(cancel).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn nobody_sends_more_than_they_may() {
    let (_folder, lab) = lab().await;
    let ada = lab.user("ada", "user").await;
    let submit = v1::SubmitRequest { spec: vec![b'#'; 9 << 20].into(), ..v1::SubmitRequest::default() };
    let code = within(lab.sweeps(Some(&ada)).submit(submit)).await.unwrap_err().code();
    assert!(matches!(code, Code::ResourceExhausted | Code::OutOfRange), "{code:?}");
    let join = lab.join_token().await;
    let agent = sweep_core::id::AgentId::from(uuid::Uuid::from_u128(5));
    let enroll = v1::EnrollRequest { agent_id: id_bytes(agent), request: vec![0; 200 << 10].into() };
    let code = within(lab.access(Some(&join.token)).enroll(enroll)).await.unwrap_err().code();
    assert!(matches!(code, Code::ResourceExhausted | Code::OutOfRange), "{code:?}");
    lab.stop().await;
}

#[tokio::test]
async fn an_agent_joins_once_speaks_for_itself_and_is_put_out() {
    let (_folder, lab) = lab().await;
    let agent = lab.agent(1).await;
    agent.hello(agent.id).await.unwrap();
    let other = sweep_core::id::AgentId::from(uuid::Uuid::from_u128(2));
    refused(agent.hello(other).await, Code::PermissionDenied, "agent_other");
    let spent = lab.sweeps(Some(&agent.token)).list(v1::ListRequest { limit: 0 }).await;
    refused(spent, Code::Unauthenticated, "unauthenticated");
    // Another certificate for another key; both are good.
    let asked = KeyRequest::new().unwrap();
    let renew = v1::RenewRequest { request: asked.request.clone().into() };
    let mut access = v1::access_client::AccessClient::new(agent.link.clone());
    let renewed = access.renew(renew).await.unwrap().into_inner();
    agent.own.replace(&asked.key, &renewed.certificate.to_vec().into()).unwrap();
    let fresh = crate::lab::Agent { link: lab.link_with(&agent.tls, None), ..agent };
    fresh.hello(fresh.id).await.unwrap();
    // A long poll is cut when the agent is put out.
    let poll = v1::PollRequest { agent_id: id_bytes(fresh.id), wait_ms: 10_000, ..v1::PollRequest::default() };
    let mut client = fresh.client();
    let start = std::time::Instant::now();
    let waiting = tokio::spawn(async move { client.poll(poll).await });
    let revoke = v1::RevokeAgentRequest { agent_id: id_bytes(fresh.id), ..Default::default() };
    assert!(lab.root().revoke_agent(revoke).await.unwrap().into_inner().changed);
    let end = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::Unauthenticated);
    assert!(start.elapsed() < Duration::from_secs(9));
    refused(fresh.hello(fresh.id).await, Code::Unauthenticated, "agent_revoked");
    // With a new join token it comes back; its old certificate does not.
    let back = lab.agent(1).await;
    back.hello(back.id).await.unwrap();
    refused(fresh.hello(fresh.id).await, Code::Unauthenticated, "agent_revoked");
    lab.stop().await;
}

#[tokio::test]
async fn a_copied_key_is_of_no_use_while_its_agent_is_there() {
    let (_folder, lab) = lab().await;
    let agent = lab.agent(1).await;
    agent.hello(agent.id).await.unwrap();
    let poll = v1::PollRequest { agent_id: id_bytes(agent.id), wait_ms: 10_000, ..v1::PollRequest::default() };
    let mut client = agent.client();
    let waiting = tokio::spawn({
        let poll = poll.clone();
        async move { client.poll(poll).await }
    });
    let copy = crate::lab::Agent { link: lab.link_with(&agent.tls, None), ..agent };
    // As soon as the agent waits for orders.
    let twice = within(async {
        loop {
            match copy.hello(copy.id).await {
                Ok(()) => tokio::task::yield_now().await,
                refusal => break refusal,
            }
        }
    });
    refused(twice.await, Code::Unavailable, "agent_twice");
    refused(copy.client().poll(poll).await, Code::Unavailable, "agent_twice");
    // An agent that was started again, or whose connection broke, is let in when the old call has ended.
    waiting.abort();
    within(async { while copy.hello(copy.id).await.is_err() {} }).await;
    lab.stop().await;
}

#[tokio::test]
async fn what_was_done_is_in_the_audit_log() {
    let (folder, lab) = lab().await;
    let ada = lab.user("ada", "user").await;
    let viewer = lab.user("vi", "viewer").await;
    let submit = v1::SubmitRequest { spec: SPEC.as_bytes().to_vec().into(), ..v1::SubmitRequest::default() };
    lab.sweeps(Some(&ada)).submit(submit.clone()).await.unwrap();
    lab.sweeps(Some(&ada)).list(v1::ListRequest { limit: 0 }).await.unwrap();
    lab.sweeps(Some(&viewer)).submit(submit).await.unwrap_err();
    let page = v1::AuditLogRequest { after: 0, limit: 0 };
    let log = lab.root().audit_log(page).await.unwrap().into_inner();
    let mut follower = Follower::default();
    for entry in &log.entries {
        follower.follow(entry.no, &entry.body, &entry.hash).unwrap();
    }
    assert_eq!(follower.entries, log.total);
    let lines: Vec<serde_json::Value> =
        log.entries.iter().map(|entry| serde_json::from_str(&entry.body).unwrap()).collect();
    let find = |who: &str, method: &str, result: &str| {
        let fits = |line: &&serde_json::Value| line["who"] == who && line["method"] == method;
        let found = lines.iter().find(|line| fits(line) && line["result"] == result);
        found.unwrap_or_else(|| panic!("{who} {method} {result}: {lines:#?}")).clone()
    };
    let submitted = find("ada", "Sweeps.Submit", "Ok");
    assert!(submitted["about"].as_str().unwrap().starts_with("sweep small"));
    assert_eq!((&submitted["token"], &submitted["from"]), (&ada.id().into(), &"127.0.0.1".into()));
    find("vi", "Sweeps.Submit", "PermissionDenied");
    find("admin", "Access.PutUser", "Ok");
    assert!(lines.iter().all(|line| line["method"] != "Sweeps.List"), "reads are not noted");
    let text = format!("{lines:?}");
    assert!(!text.contains(&ada.expose()[17..40]), "no secret is in it");
    lab.stop().await;
    // Nor in the file, which nobody else can read.
    let path = folder.path().join("access.db");
    let bytes = std::fs::read(&path).unwrap();
    let secret = &ada.expose().as_bytes()[17..69];
    assert!(!bytes.windows(secret.len()).any(|part| part == secret));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}
