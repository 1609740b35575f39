//! A coordinator in memory and calls to it as bytes, in simulated time: what is wrong with a message is for the coordinator to say.

use std::time::Duration;

use prost::Message;
use sweep_coordinator::Coordinator;
use sweep_coordinator::blobs::Blobs;
use sweep_coordinator::clock::Clock;
use sweep_coordinator::config::{Cleaning, Config, Snapshots, Store};
use sweep_coordinator::journal::memory::MemoryStore;
use sweep_core::audit::Auditor;
use sweep_core::state::State;
use sweep_core::time::Timestamp;
use sweep_identity::wire::Services;
use sweep_proto::status::reason_of;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::Request;
use tower::ServiceExt as _;

use crate::model::{Gathered, gather};

/// Nothing takes longer but what is watched for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Lab {
    store: MemoryStore,
    blobs: Blobs,
    start: Instant,
    coordinator: Coordinator,
    services: Services,
}

/// What came back.
pub(super) enum Answer {
    /// Messages, one after the other.
    Reply(Vec<Vec<u8>>),
    /// Refused with this code.
    Refused(i32),
    /// Something that goes on for ever.
    Endless,
}

impl Answer {
    /// The one message of a reply.
    pub(super) fn read<M: Message + Default>(&self) -> Option<M> {
        let Self::Reply(messages) = self else { return None };
        Some(M::decode(messages.first()?.as_slice()).expect("an answer is what its method says"))
    }
}

impl Lab {
    pub(super) async fn new() -> Self {
        let (store, blobs, start) = (MemoryStore::default(), Blobs::memory(), Instant::now());
        let coordinator = begin(&store, &blobs, start).await;
        let services = coordinator.services();
        Self { store, blobs, start, coordinator, services }
    }

    /// Killed and started again.
    pub(super) async fn restart(&mut self) {
        let coordinator = begin(&self.store, &self.blobs, self.start).await;
        self.services = coordinator.services();
        self.coordinator = coordinator;
    }

    pub(super) async fn call(&self, path: &str, messages: &[Vec<u8>]) -> Answer {
        let frame = |message: &Vec<u8>| {
            Bytes::from([&[0][..], &(message.len() as u32).to_be_bytes(), message.as_slice()].concat())
        };
        let body = Body::new(Gathered { data: messages.iter().map(frame).collect(), trailers: None });
        let request = Request::post(format!("http://lab{path}")).header("content-type", "application/grpc").body(body);
        let call = async {
            let request = request.expect("a path of ours is a path");
            let answer = self.services.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
            let (head, body) = answer.into_parts();
            let body = gather(body).await.expect("an answer in memory breaks nowhere");
            let status = Status::from_header_map(&head.headers);
            (status.or_else(|| Status::from_header_map(body.trailers.as_ref()?)), body.data.concat())
        };
        let Ok((status, data)) = timeout(PATIENCE, call).await else { return Answer::Endless };
        let status = status.unwrap_or_else(|| panic!("{path}: an answer without an end"));
        assert_ne!(reason_of(&status).as_deref(), Some("internal"), "{path}: {}", status.message());
        match status.code() {
            tonic::Code::Ok => Answer::Reply(frames(&data)),
            code => Answer::Refused(code as i32),
        }
    }

    /// The history is legal, and what is shown is its fold. Returns which kinds of events it has.
    pub(super) async fn judge(self) -> Vec<String> {
        sleep(Duration::from_secs(2)).await;
        let live = self.coordinator.handle.query(|view| view.core.state().clone()).await;
        let live = live.expect("the owner of the state lives");
        let timed = self.store.timed().expect("a journal can be read");
        let (mut auditor, mut state, mut kinds) = (Auditor::new(), State::default(), Vec::new());
        for (at, event) in &timed {
            auditor.read(event);
            state.apply(event, *at);
            let kind: String = format!("{event:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let violations = auditor.all().violations;
        assert!(violations.is_empty(), "the oracle: {:?}", &violations[..violations.len().min(3)]);
        assert_eq!(state.check(), Ok(()), "an index is not what a recount gives");
        assert!(state == live, "the state is not the fold of the journal");
        kinds
    }
}

async fn begin(store: &MemoryStore, blobs: &Blobs, start: Instant) -> Coordinator {
    let wall = 1_700_000_000_000_000 + start.elapsed().as_micros() as i64;
    let store = Store::Memory(store.clone(), blobs.clone());
    let started = Coordinator::start(Config {
        store,
        clock: Clock::at(Timestamp(wall)),
        cleaning: Cleaning::default(),
        snapshots: Snapshots::default(),
    })
    .await;
    started.unwrap_or_else(|error| panic!("a coordinator reads what one has written: {error:?}"))
}

fn frames(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((head, rest)) = data.split_at_checked(5) {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (message, rest) = rest.split_at(length);
        messages.push(message.to_vec());
        data = rest;
    }
    messages
}
