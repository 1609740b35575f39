//! What calls travel over: a connection, or the services themselves when both sides are in one process (simulations).

use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use futures_util::TryFutureExt as _;
use futures_util::future::{BoxFuture, Either, MapErr};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::Channel;
use tonic::transport::channel::ResponseFuture;
use tower::Service;
use tower::util::BoxCloneSyncService;

/// Why a call got no answer.
pub type WireError = Box<dyn std::error::Error + Send + Sync>;
/// A coordinator's services, or something in between that loses and delays.
pub type Inside = BoxCloneSyncService<Request<Body>, Response<Body>, WireError>;
/// A coordinator's services with their door, that nobody can reach from outside.
pub type Services = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// See the module.
#[derive(Clone)]
pub enum Wire {
    /// A connection.
    Channel(Channel),
    /// No connection at all.
    Inside(Inside),
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel(_) => "Wire(channel)",
            Self::Inside(_) => "Wire(inside)",
        })
    }
}

impl From<Channel> for Wire {
    fn from(channel: Channel) -> Self {
        Self::Channel(channel)
    }
}

type Answer = Result<Response<Body>, WireError>;

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = WireError;
    type Future = Either<MapErr<ResponseFuture, fn(tonic::transport::Error) -> WireError>, BoxFuture<'static, Answer>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        match self {
            Self::Channel(channel) => channel.poll_ready(context).map_err(WireError::from),
            Self::Inside(inside) => inside.poll_ready(context),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Self::Channel(channel) => Either::Left(channel.call(request).map_err(WireError::from)),
            Self::Inside(inside) => Either::Right(inside.call(request)),
        }
    }
}
