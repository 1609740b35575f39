//! Tokens that their users renew themselves: the one before dies, and nobody is locked out by an answer that was lost.

use sweep_coordinator::clock::Clock;
use sweep_core::time::Timestamp;
use sweep_identity::token::{Handed, Token};
use sweep_proto::v1;
use tonic::Code;

use crate::lab::Lab;
use crate::secure::{lab, refused};
use crate::world::Disk;

const DAY: i64 = 86_400_000_000;

async fn renew(lab: &Lab, token: &Token) -> Result<(Token, i64), tonic::Status> {
    let made = lab.access(Some(token)).renew_token(v1::RenewTokenRequest {}).await?.into_inner();
    Ok((made.token.parse::<Handed>().unwrap().token, made.expires))
}

async fn who(lab: &Lab, token: &Token) -> Result<v1::WhoAmIReply, tonic::Status> {
    lab.access(Some(token)).who_am_i(v1::WhoAmIRequest {}).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn whoever_renews_a_token_goes_on_with_the_new_one_alone() {
    let (_folder, lab) = lab().await;
    let old = lab.user("ada", "user").await;
    // The first answer is lost: asked again, it is the second token that counts.
    let (lost, _) = renew(&lab, &old).await.unwrap();
    let (new, expires) = renew(&lab, &old).await.unwrap();
    refused(who(&lab, &lost).await, Code::Unauthenticated, "unauthenticated");
    let after = who(&lab, &new).await.unwrap();
    assert_eq!((after.name.as_str(), after.role.as_str(), after.expires), ("ada", "user", expires));
    let left = who(&lab, &old).await.unwrap().expires - after.expires;
    assert!(left < -89 * DAY, "the old one ends within a minute: {left}");
    lab.access(Some(&old)).logout(v1::LogoutRequest {}).await.unwrap();
    refused(renew(&lab, &old).await, Code::Unauthenticated, "unauthenticated");
    who(&lab, &new).await.unwrap();
    // It is in the log, by whom and which; no secret is.
    let log = lab.root().audit_log(v1::AuditLogRequest::default()).await.unwrap().into_inner().entries;
    let noted = |entry: &&v1::AuditEntry| entry.body.contains("Access.RenewToken") && entry.body.contains(new.id());
    let entry = log.iter().find(noted).unwrap();
    assert!(entry.body.contains("ada") && entry.body.contains(old.id()), "{}", entry.body);
    assert!(log.iter().all(|entry| !entry.body.contains(new.expose())));
    lab.stop().await;
}

#[tokio::test]
async fn a_token_is_renewed_for_a_year_and_never_more_than_its_user() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::new());
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = |days: i64| Clock::at(Timestamp(since.as_micros() as i64 + days * DAY));
    let first = Lab::start(folder.path(), &disk, at(0)).await;
    let mut token = first.user("ada", "viewer").await;
    first.stop().await;
    // 90 days each time, and no day beyond a year after an admin made the first.
    for (day, length) in [(80, 90), (160, 90), (240, 90), (320, 46)] {
        let lab = Lab::start(folder.path(), &disk, at(day)).await;
        let (next, _) = renew(&lab, &token).await.unwrap();
        let seen = who(&lab, &next).await.unwrap();
        let end = (seen.expires - since.as_micros() as i64) / DAY - day;
        assert!((length - 1..=length).contains(&end) && seen.role == "viewer", "day {day}: {end}");
        token = next;
        lab.stop().await;
    }
    let last = Lab::start(folder.path(), &disk, at(360)).await;
    refused(renew(&last, &token).await, Code::FailedPrecondition, "token_old");
    last.stop().await;
}
