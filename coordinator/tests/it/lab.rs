//! A coordinator with TLS and logins on a free port, and everybody who may or may not call it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sweep_coordinator::access::guard::Guard;
use sweep_coordinator::access::init;
use sweep_coordinator::access::keeper::Keeper;
use sweep_coordinator::clock::Clock;
use sweep_coordinator::config::{Config, Store};
use sweep_coordinator::{Coordinator, ServeError};
use sweep_core::id::AgentId;
use sweep_identity::address::Address;
use sweep_identity::authority::Authority;
use sweep_identity::certificate::KeyRequest;
use sweep_identity::dial::{self, Bearer, Link, OwnCertificate, Tls};
use sweep_identity::listen;
use sweep_identity::token::{Handed, Token};
use sweep_proto::convert::id_bytes;
use sweep_proto::v1;
use sweep_proto::v1::access_client::AccessClient;
use sweep_proto::v1::agents_client::AgentsClient;
use sweep_proto::v1::sharing_client::SharingClient;
use sweep_proto::v1::sweeps_client::SweepsClient;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::world::{Disk, within};

/// A lab with its first admin.
pub(crate) struct Lab {
    pub(crate) address: Address,
    pub(crate) authority: Arc<Authority>,
    pub(crate) admin: Handed,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Lab {
    /// On a folder, at some time; starting it again makes another admin token.
    pub(crate) async fn start(folder: &Path, disk: &Disk, clock: Clock) -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let admin = init::lab(folder, &names, clock).await.unwrap().token;
        let authority = Arc::new(Authority::open(&init::authority_folder(folder)).unwrap());
        let keeper = Keeper::start(folder, clock).await.unwrap();
        let config = Config::new(Store::Memory(disk.store.clone(), disk.blobs.clone()), clock);
        let coordinator = Coordinator::start(config).await.unwrap();
        let coordinator = coordinator.guarded(Guard::lab(keeper, authority.clone(), clock));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let incoming = listen::encrypted(listener, authority.server().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(coordinator.serve(incoming, async { stopped.await.unwrap_or_default() }));
        let address = format!("https://127.0.0.1:{port}").parse().unwrap();
        Self { address, authority, admin, stop, served }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.served).await.unwrap().unwrap();
    }

    /// A connection that shows a token, or none.
    pub(crate) fn link(&self, token: Option<&Token>) -> Link {
        self.link_with(&Tls::authority(self.authority.certificate(), None).unwrap(), token)
    }

    /// A connection that believes, and shows, something else.
    pub(crate) fn link_with(&self, tls: &Tls, token: Option<&Token>) -> Link {
        let endpoint = dial::endpoint(&self.address).unwrap().connect_timeout(Duration::from_secs(20));
        let channel = dial::lazy(&endpoint, &self.address, Some(tls)).unwrap();
        Link::new(channel.into(), token.map(Bearer::token).unwrap_or_default())
    }

    pub(crate) fn access(&self, token: Option<&Token>) -> AccessClient<Link> {
        AccessClient::new(self.link(token))
    }

    pub(crate) fn sweeps(&self, token: Option<&Token>) -> SweepsClient<Link> {
        SweepsClient::new(self.link(token))
    }

    pub(crate) fn sharing(&self, token: Option<&Token>) -> SharingClient<Link> {
        SharingClient::new(self.link(token))
    }

    /// The first admin's calls.
    pub(crate) fn root(&self) -> AccessClient<Link> {
        self.access(Some(&self.admin.token))
    }

    /// A user with a token.
    pub(crate) async fn user(&self, name: &str, role: &str) -> Token {
        self.user_in(name, role, &["default"]).await
    }

    /// A user of these projects with a token.
    pub(crate) async fn user_in(&self, name: &str, role: &str, projects: &[&str]) -> Token {
        let projects = projects.iter().map(|project| (*project).to_owned()).collect();
        let (role, new_project) = (role.to_owned(), true);
        let user = v1::PutUserRequest { name: name.to_owned(), role, projects, new_project, ..Default::default() };
        self.root().put_user(user).await.unwrap();
        self.token_of(name).await
    }

    /// Puts a user into these projects and out of all others.
    pub(crate) async fn set_projects(&self, name: &str, projects: &[&str]) {
        let projects = projects.iter().map(|project| (*project).to_owned()).collect();
        let (name, role, new_project) = (name.to_owned(), "user".to_owned(), true);
        let user = v1::PutUserRequest { name, role, projects, set: true, take_over: false, new_project };
        self.root().put_user(user).await.unwrap();
    }

    /// Another token of a user.
    pub(crate) async fn token_of(&self, name: &str) -> Token {
        let asked = v1::CreateTokenRequest { user: name.to_owned(), ..v1::CreateTokenRequest::default() };
        let made = self.root().create_token(asked).await.unwrap().into_inner();
        made.token.parse::<Handed>().unwrap().token
    }

    /// A token for an agent to join with.
    pub(crate) async fn join_token(&self) -> Handed {
        let made = self.root().create_agent_token(v1::CreateAgentTokenRequest::default()).await.unwrap();
        made.into_inner().token.parse().unwrap()
    }

    /// An agent that has joined.
    pub(crate) async fn agent(&self, number: u128) -> Agent {
        let handed = self.join_token().await;
        let tls = Tls::pinned(handed.pin.unwrap()).unwrap();
        let (id, asked) = (AgentId::from(Uuid::from_u128(number)), KeyRequest::new().unwrap());
        let request = v1::EnrollRequest { agent_id: id_bytes(id), request: asked.request.clone().into() };
        let mut joining = AccessClient::new(self.link_with(&tls, Some(&handed.token)));
        let reply = joining.enroll(request).await.unwrap().into_inner();
        let own = OwnCertificate::new(&asked.key, &reply.certificate.to_vec().into()).unwrap();
        let tls = Tls::authority(self.authority.certificate(), Some(own.clone())).unwrap();
        Agent { id, own, link: self.link_with(&tls, None), tls, token: handed.token }
    }
}

/// A member.
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) own: OwnCertificate,
    pub(crate) link: Link,
    pub(crate) tls: Tls,
    pub(crate) token: Token,
}

impl Agent {
    pub(crate) fn client(&self) -> AgentsClient<Link> {
        AgentsClient::new(self.link.clone())
    }

    /// Says hello as somebody.
    pub(crate) async fn hello(&self, id: AgentId) -> Result<(), tonic::Status> {
        let request = v1::HelloRequest {
            protocol: sweep_proto::PROTOCOL,
            agent_id: id_bytes(id),
            host: "host".to_owned(),
            incarnation: 1,
            slots: vec!["cpu".to_owned()],
            ..v1::HelloRequest::default()
        };
        within(self.client().hello(request)).await.map(drop)
    }
}
