//! `sweep-identity`: how somebody proves who they are, and how a connection keeps what it carries to
//! itself. Tokens and their hashes, the lab's certificate authority, TLS on both sides, private files,
//! the hash chain of the audit log. Who may do what with it is `sweep_core::access`; who there is, is
//! the coordinator's `access`.
//!
//! Reading order: [`token`], [`authority`] (the CA), [`certificate`] (what one says), [`listen`] (the
//! coordinator's side of a connection), [`address`], [`dial`], [`wire`] and [`trouble`] (the other side), [`private`] and [`chain`].

pub mod address;
pub mod authority;
pub mod certificate;
pub mod chain;
pub mod dial;
pub mod listen;
pub mod private;
pub mod socket;
pub mod token;
pub mod trouble;
pub mod wire;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one protocol version that is spoken.
pub(crate) const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
/// What is spoken inside.
pub(crate) const ALPN: &[u8] = b"h2";

/// The one provider of cryptography; named at each use, so that no process-wide choice matters.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
