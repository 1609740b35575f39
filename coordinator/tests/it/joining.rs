//! An agent whose join was not answered.

use sweep_identity::certificate::KeyRequest;
use sweep_identity::dial::{OwnCertificate, Tls};
use sweep_proto::convert::id_bytes;
use sweep_proto::v1;
use tonic::Code;

use crate::secure::{lab, refused};

/// The answer, or whoever it was for, may be lost when the token is spent already.
#[tokio::test]
async fn who_has_not_heard_that_it_joined_asks_again_and_nobody_else_does() {
    let (_folder, lab) = lab().await;
    let handed = lab.join_token().await;
    let tls = Tls::pinned(handed.pin.unwrap()).unwrap();
    let mut joining = v1::access_client::AccessClient::new(lab.link_with(&tls, Some(&handed.token)));
    let [one, two] = [1, 2].map(|number| sweep_core::id::AgentId::from(uuid::Uuid::from_u128(number)));
    let [asked, other] = [(); 2].map(|()| KeyRequest::new().unwrap());
    let enroll = |agent, asked: &KeyRequest| v1::EnrollRequest {
        agent_id: id_bytes(agent),
        request: asked.request.clone().into(),
    };
    let mut last = Vec::new();
    for _ in 0..2 {
        last = joining.enroll(enroll(one, &asked)).await.unwrap().into_inner().certificate.to_vec();
    }
    refused(joining.enroll(enroll(two, &asked)).await, Code::Unauthenticated, "unauthenticated");
    refused(joining.enroll(enroll(one, &other)).await, Code::Unauthenticated, "unauthenticated");
    let own = OwnCertificate::new(&asked.key, &last.into()).unwrap();
    let tls = Tls::authority(lab.authority.certificate(), Some(own.clone())).unwrap();
    let agent = crate::lab::Agent { id: one, own, link: lab.link_with(&tls, None), tls, token: handed.token };
    agent.hello(one).await.unwrap();
    // Put out, it does not come back with what it has.
    let revoke = v1::RevokeAgentRequest { agent_id: id_bytes(one), ..Default::default() };
    lab.root().revoke_agent(revoke).await.unwrap();
    refused(joining.enroll(enroll(one, &asked)).await, Code::Unauthenticated, "unauthenticated");
    lab.stop().await;
}
