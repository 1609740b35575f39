//! Who may call what. Every method declares it in the proto; a path that declares nothing is refused.
//! Who the caller is comes with logins; until then everybody on this host is everybody.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use sweep_proto::PERMISSIONS;
use sweep_proto::status::status;
use tonic::Code;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

/// The health service is for whoever can reach the coordinator.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Puts the check before all services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permissions;

impl<S> Layer<S> for Permissions {
    type Service = Checked<S>;
    fn layer(&self, inner: S) -> Checked<S> {
        Checked(inner)
    }
}

/// A service behind the check.
#[derive(Clone, Debug)]
pub(crate) struct Checked<S>(S);

impl<S, Body, Answer> Service<Request<Body>> for Checked<S>
where
    S: Service<Request<Body>, Response = Response<Answer>>,
    Answer: Default,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Answer>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if is_declared(path) {
            return Either::Left(self.0.call(request));
        }
        let refusal = status(Code::Unimplemented, "method_unknown", format!("there is no method {path}"));
        Either::Right(ready(Ok(refusal.into_http())))
    }
}

fn is_declared(path: &str) -> bool {
    path.starts_with(HEALTH) || PERMISSIONS.iter().any(|(declared, _)| *declared == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_methods_are_called() {
        assert!(is_declared("/sweep.v1.Sweeps/Submit"));
        assert!(is_declared("/grpc.health.v1.Health/Check"));
        assert!(!is_declared("/sweep.v1.Sweeps/Drop"));
        assert!(PERMISSIONS.iter().all(|(_, permission)| *permission > 0));
    }
}
