//! The door: before any service, each call becomes an identity and is compared with what its method
//! declares in the proto. A path that declares nothing is refused. Calls that change who may do what are
//! noted before they are answered; calls of somebody who is thrown out end where they are.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use http_body::Frame;
use sweep_core::access::{Caller, Permission};
use sweep_identity::dial::PROTOCOL_HEADER;
use sweep_identity::listen::Peer;
use sweep_proto::convert::permission;
use sweep_proto::status::status;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::asked;
use super::audit::Note;
use crate::access::guard::{Guard, unauthenticated};
use crate::access::identity::Identity;

/// What the coordinator is, for whoever can reach it.
const INFO: &str = "/sweep.v1.Sweeps/Info";
/// Methods of agents.
const AGENTS: &str = "/sweep.v1.Agents/";
/// The health service is for whoever can reach the coordinator.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Most that somebody may send in one call who has proven little, bytes.
const SMALL: u64 = 64 << 10;
/// Most that a person may send in one call, bytes.
const LARGE: u64 = 8 << 20;

/// Puts the door before all services.
#[derive(Clone, Debug)]
pub(crate) struct Door(pub(crate) Guard);

impl<S> Layer<S> for Door {
    type Service = Behind<S>;
    fn layer(&self, inner: S) -> Behind<S> {
        Behind { inner, guard: self.0.clone() }
    }
}

/// A service behind the door.
#[derive(Clone, Debug)]
pub(crate) struct Behind<S> {
    inner: S,
    guard: Guard,
}

type Answer<E> = Result<Response<Body>, E>;

impl<S> Service<Request<Body>> for Behind<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Answer<S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if path.starts_with(HEALTH) {
            return Either::Left(self.inner.call(request));
        }
        let Some(asks) = permission(path) else {
            let refusal = status(Code::Unimplemented, "method_unknown", format!("there is no method {path}"));
            return refuse(refusal, None);
        };
        if let Some(text) = skew(path, request.headers()) {
            return refuse(status(Code::FailedPrecondition, "version_skew", text), None);
        }
        let note = Note::of(&self.guard, path, asks);
        let peer = request.extensions().get::<Peer>().cloned();
        let joins = asks == Permission::Join;
        let found = bearer(request.headers());
        let found = found.and_then(|bearer| self.guard.identify(bearer, peer.as_ref(), joins));
        let identity = match found {
            Ok(identity) => identity,
            Err(refusal) => {
                // A flood of wrong tokens is not a flood of entries.
                let note = note.filter(|_| refusal.code() == Code::Unauthenticated);
                return refuse(refusal, note.map(|note| note.by_nobody(peer.as_ref())));
            }
        };
        if self.guard.is_open() {
            request.extensions_mut().insert(identity);
            return Either::Left(self.inner.call(request));
        }
        if let Err(refusal) = self.guard.admit(&identity) {
            return refuse(refusal, None);
        }
        if !identity.caller().may_try(asks) {
            let note = note.map(|note| note.by(&identity));
            let (refusal, body) = (forbidden(&self.guard, &identity, asks), request.into_body());
            return match (note, identity.caller()) {
                (Some(note), Caller::Person(_)) => Either::Right(overreached(refusal, note, identity, body).boxed()),
                (note, _) => refuse(refusal, note),
            };
        }
        request.headers_mut().remove(AUTHORIZATION);
        let mut request = request.map(|body| limited(body, identity.caller()));
        // These are short, and may end the very token that they came with.
        let ended = match asks {
            Permission::Myself | Permission::Admin | Permission::Join => std::future::pending().boxed(),
            _ => self.guard.ended(&identity).boxed(),
        };
        request.extensions_mut().insert(identity.clone());
        let note = note.filter(|_| asks != Permission::Read).map(|note| note.by(&identity));
        Either::Right(watched(self.inner.call(request), ended, note).boxed())
    }
}

/// Why a caller is not understood. It may ask what the coordinator is all the same. Those of before there was a header speak 1.
fn skew(path: &str, headers: &HeaderMap) -> Option<String> {
    if path == INFO {
        return None;
    }
    let said = headers.get(PROTOCOL_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let theirs = said.unwrap_or(1);
    let who = if path.starts_with(AGENTS) { "the agent" } else { "sweepctl" };
    sweep_proto::skew(who, theirs)
}

/// What a call shows as its token.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Status> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| unauthenticated())?;
    text.strip_prefix("Bearer ").map(Some).ok_or_else(unauthenticated)
}

fn forbidden(guard: &Guard, identity: &Identity, asks: Permission) -> Status {
    match identity.caller() {
        Caller::Stranger => guard.unauthenticated(),
        Caller::Person(role) => {
            let text = format!("{} is {role}: that is not enough for this", identity.label());
            status(Code::PermissionDenied, "role_too_small", text)
        }
        Caller::Agent | Caller::Joiner | Caller::Local => {
            let text = format!("{} may not do this (it asks for {asks:?})", identity.label());
            status(Code::PermissionDenied, "not_for_you", text)
        }
    }
}

fn refuse<F, E: Send + 'static>(refusal: Status, note: Option<Note>) -> Either<F, BoxFuture<'static, Answer<E>>> {
    Either::Right(
        async move {
            if let Some(note) = note {
                // It was refused already; that the log failed too changes nothing for the caller.
                drop(note.write(refusal.code()).await);
            }
            Ok(refusal.into_http())
        }
        .boxed(),
    )
}

/// Refuses a user for what they are, and notes what it was about.
async fn overreached<E>(refusal: Status, note: Note, identity: Identity, body: Body) -> Answer<E> {
    if let Some(what) = asked::about(body).await {
        identity.about(what);
    }
    // It was refused already; that the log failed too changes nothing for the caller.
    drop(note.write(refusal.code()).await);
    Ok(refusal.into_http())
}

/// Answers, unless whoever asks is thrown out first.
async fn watched<E>(
    answer: impl Future<Output = Answer<E>>,
    mut ended: BoxFuture<'static, ()>,
    note: Option<Note>,
) -> Answer<E> {
    let answer = tokio::select! {
        biased;
        answer = answer => answer?,
        () = &mut ended => unauthenticated().into_http(),
    };
    if let Some(note) = note {
        let code = answer.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
        if let Err(refusal) = note.write(code).await {
            return Ok(refusal.into_http());
        }
    }
    Ok(answer.map(|body| Body::new(Cut { body, ended: Some(ended) })))
}

/// An answer that ends when whoever gets it is thrown out.
struct Cut {
    body: Body,
    ended: Option<BoxFuture<'static, ()>>,
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(ended) = &mut self.ended
            && ended.as_mut().poll(cx).is_ready()
        {
            self.ended = None;
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            unauthenticated().add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Somebody who has proven little sends little.
fn limited(body: Body, caller: Caller) -> Body {
    let left = match caller {
        Caller::Local | Caller::Agent => return body,
        Caller::Person(_) => LARGE,
        Caller::Stranger | Caller::Joiner => SMALL,
    };
    Body::new(Limited { body, left })
}

struct Limited {
    body: Body,
    left: u64,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                let text = "the call sends more than its caller may send at once";
                return Poll::Ready(Some(Err(status(Code::ResourceExhausted, "call_too_large", text))));
            };
            self.left = left;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_is_a_token() {
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&headers("Bearer abc")).unwrap(), Some("abc"));
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        for wrong in ["Basic abc", "bearer", "abc", "Bearer"] {
            assert_eq!(bearer(&headers(wrong)).unwrap_err().code(), Code::Unauthenticated, "{wrong}");
        }
    }

    #[tokio::test]
    async fn nobody_gets_past_the_door_without_a_declared_method_and_a_token() {
        use crate::clock::Clock;
        use sweep_identity::token::{Kind, Token};
        let token = Token::generate(Kind::Local).unwrap();
        let guard = Guard::local(&token, Clock::system());
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let check = |path: &'static str, bearer: Option<String>| {
            let (guard, seen) = (guard.clone(), seen.clone());
            async move {
                let inner = tower::service_fn(move |request: Request<Body>| {
                    seen.lock().unwrap().push(request.extensions().get::<Identity>().is_some());
                    std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(Body::empty())))
                });
                let mut request = Request::builder().uri(path);
                if let Some(bearer) = bearer {
                    request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
                }
                let answer = Door(guard).layer(inner).call(request.body(Body::empty()).unwrap()).await.unwrap();
                answer.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
            }
        };
        let good = || Some(token.expose().to_owned());
        let other = Token::generate(Kind::Local).unwrap();
        assert_eq!(check("/sweep.v1.Sweeps/Submit", good()).await, Code::Ok);
        assert_eq!(check("/sweep.v1.Sweeps/Submit", None).await, Code::Unauthenticated);
        assert_eq!(check("/sweep.v1.Sweeps/Submit", Some(other.expose().to_owned())).await, Code::Unauthenticated);
        assert_eq!(check("/sweep.v1.Sweeps/Drop", good()).await, Code::Unimplemented);
        assert_eq!(check("/sweep.v1.Sweeps/Info", None).await, Code::Ok);
        assert_eq!(check("/grpc.health.v1.Health/Check", None).await, Code::Ok);
        assert_eq!(*seen.lock().unwrap(), [true, true, false], "handlers know who calls");
    }
}
