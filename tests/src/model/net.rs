//! The network between the nodes of a simulated cluster: it carries calls, not bytes, and loses, delays, doubles and reorders
//! them. A call runs to its end on the coordinator whether or not somebody still waits for the answer; when the coordinator is
//! killed it ends where it stands.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use http_body::{Body as _, Frame};
use sweep_identity::wire::{Inside, Services, Wire, WireError};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Request, Response, request, response};
use tower::ServiceExt as _;

use super::judge::Judge;
use super::weather::Weather;
use crate::random::Random;

/// A connection on which nothing is heard for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// An agent that is well begins a heartbeat within this time: the last one is given up after 15 s, and the next comes at most 5 s later.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// See the module. Clones share it.
#[derive(Clone)]
pub(super) struct Net(Arc<Mutex<Inner>>);

struct Inner {
    random: Random,
    weather: Weather,
    services: Option<Services>,
    /// Calls that the coordinator works on.
    served: Vec<AbortHandle>,
    /// By node: whether calls get there, and answers back.
    cut: BTreeMap<u32, [bool; 2]>,
    judge: Judge,
    calls: u64,
    /// By node: heartbeats begun.
    polls: BTreeMap<u32, u64>,
}

/// What became of a call.
#[expect(clippy::large_enum_variant, reason = "one at a time, moved once")]
enum Outcome {
    Answer(response::Parts, Gathered),
    /// The connection broke.
    Broken,
    /// Nothing is heard.
    Silence,
}

/// Where a call goes, and how long it takes.
struct Trip {
    there: Option<Duration>,
    back: Option<Duration>,
    again: Option<Duration>,
    breaks: Duration,
}

impl Net {
    /// A network without a coordinator.
    pub(super) fn new(seed: u64, weather: Weather, judge: Judge) -> Self {
        let random = Random(seed);
        let (cut, polls, served) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { random, weather, services: None, served, cut, judge, calls: 0, polls })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with the network")
    }

    /// The way of a node to the coordinator.
    pub(super) fn wire(&self, node: u32) -> Wire {
        let net = self.clone();
        Wire::Inside(Inside::new(tower::service_fn(move |request| net.clone().call(node, request).boxed())))
    }

    /// A coordinator answers from now on.
    pub(super) fn open(&self, services: Services) {
        self.inner().services = Some(services);
    }

    /// The coordinator is killed.
    pub(super) fn close(&self) {
        let mut inner = self.inner();
        inner.services = None;
        inner.served.drain(..).for_each(|call| call.abort());
    }

    /// Cuts the ways of a node, or mends them.
    pub(super) fn cut(&self, node: u32, cut: [bool; 2]) {
        self.inner().cut.insert(node, cut);
    }

    /// From now on nothing is lost.
    pub(super) fn calm(&self) {
        let mut inner = self.inner();
        inner.weather = Weather { delay_ms: 50, ..Weather::quiet() };
        inner.cut.clear();
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> u64 {
        self.inner().calls
    }

    fn is_cut(&self, node: u32, way: usize) -> bool {
        self.inner().cut.get(&node).is_some_and(|cut| cut[way])
    }

    fn draw(&self) -> Trip {
        let mut inner = self.inner();
        inner.calls += 1;
        let Weather { lost, doubled, late, delay_ms, .. } = inner.weather;
        let random = &mut inner.random;
        let way = |random: &mut Random| Duration::from_micros(100 + random.below(1000 * delay_ms));
        let there = (random.below(1000) >= lost).then(|| way(random));
        let back = (random.below(1000) >= lost).then(|| way(random));
        let again = match random.below(1000) {
            drawn if drawn < late => Some(Duration::from_millis(1000 + random.below(300_000))),
            drawn if drawn < late + doubled => Some(way(random)),
            _ => None,
        };
        Trip { there, back, again, breaks: Duration::from_millis(random.below(10_000)) }
    }

    fn polls(&self, node: u32) -> u64 {
        self.inner().polls.get(&node).copied().unwrap_or(0)
    }

    async fn call(self, node: u32, request: Request<Body>) -> Result<Response<Body>, WireError> {
        let limit = asked(request.headers()).unwrap_or(SILENCE);
        let is_report = request.uri().path() == "/sweep.v1.Agents/Report";
        if request.uri().path() == "/sweep.v1.Agents/Poll" {
            *self.inner().polls.entry(node).or_default() += 1;
        }
        let polls = self.polls(node);
        let start = Instant::now();
        let (head, body) = request.into_parts();
        let trip = async {
            let data = gather(body).await?.data;
            let Trip { there, back, again, breaks } = self.draw();
            if let Some(delay) = again {
                // Nobody waits for this answer.
                let (forgotten, _) = oneshot::channel();
                tokio::spawn(self.clone().arrive(node, head.clone(), data.clone(), [delay, delay], forgotten));
            }
            let (Some(there), back) = (there, back.unwrap_or(Duration::MAX)) else {
                sleep(breaks).await;
                return Err(WireError::from("the connection broke before the call arrived"));
            };
            let (answer, answered) = oneshot::channel();
            tokio::spawn(self.clone().arrive(node, head, data, [there, back], answer));
            match answered.await {
                Ok(Outcome::Answer(head, body)) => Ok(Response::from_parts(head, Body::new(body))),
                Ok(Outcome::Silence) => pending().await,
                Ok(Outcome::Broken) | Err(_) => Err(WireError::from("the connection broke")),
            }
        };
        let answered = timeout(limit, trip).await;
        if is_report && start.elapsed() > HEARTBEAT && self.polls(node) == polls {
            let words = format!("agent {node} did not call for {:?} because of a report", start.elapsed());
            self.inner().judge.object(words);
        }
        answered.unwrap_or_else(|_| Ok(Status::deadline_exceeded("nothing was heard in time").into_http()))
    }

    async fn arrive(
        self,
        node: u32,
        head: request::Parts,
        data: Vec<Bytes>,
        [there, back]: [Duration; 2],
        answer: oneshot::Sender<Outcome>,
    ) {
        sleep(there).await;
        let outcome = if self.is_cut(node, 0) {
            Outcome::Silence
        } else {
            match self.serve(head, data).await {
                Outcome::Answer(..) if back == Duration::MAX => Outcome::Broken,
                Outcome::Answer(head, body) => {
                    sleep(back).await;
                    if self.is_cut(node, 1) { Outcome::Silence } else { Outcome::Answer(head, body) }
                }
                other => other,
            }
        };
        answer.send(outcome).ok();
    }

    async fn serve(&self, head: request::Parts, data: Vec<Bytes>) -> Outcome {
        let Some(services) = self.inner().services.clone() else { return Outcome::Broken };
        let path = head.uri.path().to_owned();
        let body = Gathered { data: data.clone(), trailers: None };
        let call = tokio::spawn(async move {
            let answered = services.oneshot(Request::from_parts(head, Body::new(body))).await;
            let (head, body) = answered.unwrap_or_else(|never| match never {}).into_parts();
            gather(body).await.map(|body| (head, body))
        });
        {
            let mut inner = self.inner();
            inner.served.retain(|call| !call.is_finished());
            inner.served.push(call.abort_handle());
        }
        match call.await {
            Ok(Ok((head, body))) => {
                self.inner().judge.answered(&path, &data, &body.data);
                Outcome::Answer(head, body)
            }
            Ok(Err(_)) | Err(_) => Outcome::Broken,
        }
    }
}

/// How long the caller waits, if it says so.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let number = number.parse::<u64>().ok()?;
    let nanos = match unit {
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        "M" => 60_000_000_000,
        "H" => 3_600_000_000_000,
        _ => return None,
    };
    Some(Duration::from_nanos(number.saturating_mul(nanos)))
}

/// A body that is all there.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) data: Vec<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// Waits for all of it.
pub(crate) async fn gather(body: Body) -> Result<Gathered, WireError> {
    let mut body = std::pin::pin!(body);
    let mut gathered = Gathered::default();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        match frame?.into_data() {
            Ok(data) => gathered.data.push(data),
            Err(frame) => gathered.trailers = frame.into_trailers().ok(),
        }
    }
    Ok(gathered)
}

impl http_body::Body for Gathered {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.data.remove(0)))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}
