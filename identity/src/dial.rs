//! The other side of a connection: sweepctl's and the agent's. Whom to believe that it is the
//! coordinator, and what to show it. Where it is, is `address`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hyper_util::rt::TokioIo;
use rustls::client::ResolvesClientCert;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::address::{Address, AddressError};
use crate::certificate::{CertificateError, Fingerprint};
use crate::private::{self, PrivateError};
use crate::token::{Handed, Token, TokenError};
use crate::trouble::{Greeting, Unresolved};
use crate::wire::Wire;
use crate::{ALPN, VERSIONS, provider};

/// A connection that says who calls.
pub type Link = InterceptedService<Wire, Bearer>;

/// Why no connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Not an address, or one that must not be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody said whom to believe.
    #[error("nothing is known of the coordinator at {address}: log in first (`sweepctl login`)")]
    Stranger {
        /// Where it is.
        address: String,
    },
    /// TLS cannot be set up.
    #[error("setting up TLS failed")]
    Tls(#[from] rustls::Error),
    /// A certificate is damaged.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A token file.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// What is in it.
    #[error("{path} holds no token")]
    Token {
        /// Which file.
        path: String,
        /// What is wrong.
        #[source]
        source: TokenError,
    },
}

/// In every call: which version of the protocol the caller speaks.
pub const PROTOCOL_HEADER: &str = "sweep-protocol";

/// Says who calls, in every call, and which version of the protocol.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>, Option<u32>);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(secret)" } else { "Bearer(none)" })
    }
}

impl Bearer {
    /// Whether it shows nothing.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Shows this token.
    pub fn token(token: &Token) -> Self {
        let value = format!("Bearer {}", token.expose()).parse::<MetadataValue<Ascii>>();
        let mut value = value.expect("a token is plain text");
        value.set_sensitive(true);
        Self(Some(value), None)
    }

    /// Says that this version of the protocol is spoken.
    #[must_use]
    pub fn speaking(self, protocol: u32) -> Self {
        Self(self.0, Some(protocol))
    }

    /// Shows the token in a private file.
    ///
    /// # Errors
    /// When there is none, or others may read it.
    pub fn file(path: &Path) -> Result<Self, DialError> {
        let handed = private::read(path)?.parse::<Handed>();
        let handed = handed.map_err(|source| DialError::Token { path: path.display().to_string(), source })?;
        Ok(Self::token(&handed.token))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        if let Some(protocol) = self.1 {
            request.metadata_mut().insert(PROTOCOL_HEADER, protocol.into());
        }
        Ok(request)
    }
}

/// Whom to believe, and what to show.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    seen: Arc<OnceLock<CertificateDer<'static>>>,
}

impl Tls {
    /// Believes whom this CA has signed.
    ///
    /// # Errors
    /// When the certificate is damaged.
    pub fn authority(authority: &CertificateDer<'static>, own: Option<OwnCertificate>) -> Result<Self, DialError> {
        let verifier = believe(authority)?;
        Self::new(verifier, own, Arc::default())
    }

    /// Believes whom the CA with this fingerprint has signed. It shows its certificate itself.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn pinned(pin: Fingerprint) -> Result<Self, DialError> {
        let seen = Arc::new(OnceLock::new());
        Self::new(Arc::new(Pinned { pin, seen: seen.clone() }), None, seen)
    }

    fn new(
        verifier: Arc<dyn ServerCertVerifier>,
        own: Option<OwnCertificate>,
        seen: Arc<OnceLock<CertificateDer<'static>>>,
    ) -> Result<Self, DialError> {
        let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS)?;
        let config = config.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match own {
            Some(own) => config.with_client_cert_resolver(Arc::new(own)),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { config: Arc::new(config), seen })
    }

    /// The CA that the fingerprint belonged to, once a connection was made.
    pub fn seen(&self) -> Option<CertificateDer<'static>> {
        self.seen.get().cloned()
    }
}

/// The settings of connections to an address; what goes through them is not yet decided.
///
/// # Errors
/// When the address means nothing.
pub fn endpoint(address: &Address) -> Result<Endpoint, DialError> {
    // The scheme is the transport's business, and that is ours.
    let plain = Address { encrypted: false, socket: None, ..address.clone() };
    Ok(Endpoint::from_shared(plain.to_string()).map_err(|_| AddressError::NotOne { address: address.to_string() })?)
}

/// A connection that is made when first needed and again when lost.
///
/// # Errors
/// When the address is encrypted and nobody says whom to believe.
pub fn lazy(endpoint: &Endpoint, address: &Address, tls: Option<&Tls>) -> Result<Channel, DialError> {
    if let Some(socket) = &address.socket {
        return Ok(endpoint.connect_with_connector_lazy(local(socket.clone())));
    }
    match (address.encrypted, tls) {
        (false, _) => Ok(endpoint.connect_lazy()),
        (true, None) => Err(DialError::Stranger { address: address.to_string() }),
        (true, Some(tls)) => Ok(endpoint.connect_with_connector_lazy(connector(address, tls)?)),
    }
}

/// A connection that is made now.
///
/// # Errors
/// When nobody says whom to believe; inside, when it cannot be made.
pub async fn now(
    endpoint: &Endpoint,
    address: &Address,
    tls: Option<&Tls>,
) -> Result<Result<Channel, tonic::transport::Error>, DialError> {
    if let Some(socket) = &address.socket {
        return Ok(endpoint.connect_with_connector(local(socket.clone())).await);
    }
    match (address.encrypted, tls) {
        (false, _) => Ok(endpoint.connect().await),
        (true, None) => Err(DialError::Stranger { address: address.to_string() }),
        (true, Some(tls)) => Ok(endpoint.connect_with_connector(connector(address, tls)?).await),
    }
}

/// To a socket of the file system. Whoever listens there must be this user or root: anybody else could only have put it there to
/// be talked to.
fn local(
    socket: PathBuf,
) -> impl tower::Service<
    tonic::transport::Uri,
    Response = TokioIo<UnixStream>,
    Error = io::Error,
    Future = futures_util::future::BoxFuture<'static, io::Result<TokioIo<UnixStream>>>,
> + Clone
+ Send
+ 'static {
    tower::service_fn(move |_: tonic::transport::Uri| {
        let socket = socket.clone();
        let dial = async move {
            let stream = UnixStream::connect(&socket).await?;
            crate::socket::is_ours(&stream)?;
            Ok(TokioIo::new(stream))
        };
        futures_util::FutureExt::boxed(dial)
    })
}

type Dialled = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;

fn connector(
    address: &Address,
    tls: &Tls,
) -> Result<
    impl tower::Service<
        tonic::transport::Uri,
        Response = Dialled,
        Error = io::Error,
        Future = futures_util::future::BoxFuture<'static, io::Result<Dialled>>,
    > + Clone
    + Send
    + 'static,
    DialError,
> {
    let wrong = |_| AddressError::NotOne { address: address.to_string() };
    let name = ServerName::try_from(address.host.clone()).map_err(wrong)?;
    let (host, port, tls) = (address.host.clone(), address.port, TlsConnector::from(tls.config.clone()));
    Ok(tower::service_fn(move |_: tonic::transport::Uri| {
        let (host, name, tls) = (host.clone(), name.clone(), tls.clone());
        let dial = async move {
            let places = tokio::net::lookup_host((host.as_str(), port)).await.map_err(Unresolved)?;
            let stream = TcpStream::connect(&*places.collect::<Vec<_>>()).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(tls.connect(name, stream).await.map_err(Greeting)?))
        };
        futures_util::FutureExt::boxed(dial)
    }))
}

/// An agent's certificate with its key. Can be replaced while connections stand: the next one shows the
/// new one.
#[derive(Clone, Debug)]
pub struct OwnCertificate(Arc<RwLock<Arc<CertifiedKey>>>);

impl OwnCertificate {
    /// From PEM: the key, and the certificate.
    ///
    /// # Errors
    /// When they are damaged or do not belong together.
    pub fn new(key: &str, certificate: &CertificateDer<'static>) -> Result<Self, DialError> {
        Ok(Self(Arc::new(RwLock::new(certified(key, certificate)?))))
    }

    /// Shows another one from now on.
    ///
    /// # Errors
    /// As [`OwnCertificate::new`]; the old one stays.
    pub fn replace(&self, key: &str, certificate: &CertificateDer<'static>) -> Result<(), DialError> {
        let new = certified(key, certificate)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

fn certified(key: &str, certificate: &CertificateDer<'static>) -> Result<Arc<CertifiedKey>, DialError> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| CertificateError::Unreadable)?;
    Ok(Arc::new(CertifiedKey::from_der(vec![certificate.clone()], key, &provider())?))
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn believe(authority: &CertificateDer<'static>) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    verifier.map_err(|error| rustls::Error::General(error.to_string()))
}

/// Believes the one CA with this fingerprint, for as long as it takes to learn its certificate.
#[derive(Debug)]
struct Pinned {
    pin: Fingerprint,
    seen: Arc<OnceLock<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = intermediates.iter().find(|shown| Fingerprint::of(shown) == self.pin);
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let authority = found.ok_or_else(unknown)?.clone().into_owned();
        let verified = believe(&authority)?.verify_server_cert(end_entity, &[], server_name, ocsp, now)?;
        // A second connection sees the same.
        let _ = self.seen.set(authority);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown_by_accident() {
        let token = Token::generate(crate::token::Kind::User).unwrap();
        let bearer = Bearer::token(&token);
        assert!(!format!("{bearer:?}").contains(&token.expose()[20..40]));
    }
}
