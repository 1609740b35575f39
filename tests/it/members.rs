//! An agent joins a lab over TLS, stays a member when it is started again, and renews its certificate.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sweep_agent::membership::{self, Member, MemberError};
use sweep_agent::rpc::{Links, calls, links_with};
use sweep_coordinator::access::guard::Guard;
use sweep_coordinator::access::init;
use sweep_coordinator::access::keeper::Keeper;
use sweep_coordinator::clock::Clock;
use sweep_coordinator::config::Config;
use sweep_coordinator::{Coordinator, access::book::Change};
use sweep_core::event::AgentFacts;
use sweep_core::id::AgentId;
use sweep_identity::address::Address;
use sweep_identity::authority::Authority;
use sweep_identity::dial::Bearer;
use sweep_identity::listen;
use sweep_identity::token::{Handed, Kind, Token};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use uuid::Uuid;

/// A private file.
fn private(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

async fn hello(links: &Links, agent: AgentId) -> Result<(), sweep_agent::rpc::CallError> {
    let facts = AgentFacts::pretend(agent, "host", 1);
    calls::hello(links.clone(), facts, Vec::new()).await.map(drop)
}

#[tokio::test]
async fn a_member_comes_back_and_renews_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let clock = Clock::system();
    init::lab(&data, &["127.0.0.1".to_owned()], clock).await.unwrap();
    let authority = Arc::new(Authority::open(&init::authority_folder(&data)).unwrap());
    let keeper = Keeper::start(&data, clock).await.unwrap();
    let coordinator = Coordinator::start(Config::folder(&data)).await.unwrap();
    let coordinator = coordinator.guarded(Guard::lab(keeper.clone(), authority.clone(), clock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let incoming = listen::encrypted(listener, authority.server().unwrap());
    let served = tokio::spawn(coordinator.serve(incoming, std::future::pending()));

    let (state, join, agent) = (folder.path().join("agent"), folder.path().join("join"), AgentId::from(Uuid::now_v7()));
    std::fs::create_dir(&state).unwrap();
    let token = Token::generate(Kind::Join).unwrap();
    let (id, digest, note) = (token.id().to_owned(), token.digest(), String::new());
    keeper.change(Change::AddToken { id, digest, user: None, role: None, life: None, note }).await.unwrap();
    private(&join, &Handed { token, pin: Some(authority.fingerprint()) }.expose());

    assert!(matches!(Member::get(&state, &address, agent, None).await, Err(MemberError::NotJoined { .. })));
    let member = Member::get(&state, &address, agent, Some(&join)).await.unwrap();
    let links = links_with(&address, Some(&member.tls().unwrap()), &Bearer::default()).unwrap();
    hello(&links, agent).await.unwrap();
    assert!(hello(&links, AgentId::from(Uuid::now_v7())).await.unwrap_err().is_shut_out());

    // Started again, with the spent token still in its unit.
    let member = Member::get(&state, &address, agent, Some(&join)).await.unwrap();
    let links = links_with(&address, Some(&member.tls().unwrap()), &Bearer::default()).unwrap();
    hello(&links, agent).await.unwrap();
    let pem = || std::fs::read(state.join("member.pem")).unwrap();
    let (before, renews) = (pem(), member.renews());
    assert!(membership::now() < renews && renews < member.expires());
    // By a clock that stands at its time when it looks first, and a second before that from then on.
    let (looked, mut looks) = mpsc::unbounded_channel();
    let is_first = AtomicBool::new(true);
    let clock = move || {
        let _ = looked.send(());
        renews - i64::from(!is_first.swap(false, Ordering::Relaxed))
    };
    let renewing = tokio::spawn(member.renew(links.control.clone(), clock));
    looks.recv().await.unwrap();
    looks.recv().await.unwrap();
    assert_ne!(pem(), before, "another key, another certificate");
    hello(&links, agent).await.unwrap();
    renewing.abort();
    let mut member = Member::read(&state).unwrap().unwrap();
    let fresh = links_with(&address, Some(&member.tls().unwrap()), &Bearer::default()).unwrap();
    hello(&fresh, agent).await.unwrap();

    keeper.change(Change::RevokeAgent(agent)).await.unwrap();
    assert!(hello(&fresh, agent).await.unwrap_err().is_shut_out());
    assert!(member.renew_once(fresh.control.clone()).await.is_err());
    served.abort();
}
