//! What a certificate says, and how an agent asks for one. Signing is the authority's; whether an agent
//! is still a member is the coordinator's list, which is looked at in every call.

use std::fmt;
use std::str::FromStr;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::token::{hex, unhex};

/// How the certificate of an agent names it.
const SCHEME: &str = "sweep://agent/";

/// SHA-256 of a certificate's DER, as `openssl x509 -fingerprint -sha256` shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Not 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hex digits")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let text: String = text.trim().trim_start_matches("sha256:").chars().filter(|letter| *letter != ':').collect();
        unhex(&text).map(Self).ok_or(NotAFingerprint)
    }
}

/// Why a certificate or a request for one is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making or signing failed.
    #[error("making a certificate failed")]
    Make(#[from] rcgen::Error),
    /// Not a certificate.
    #[error("this is not a certificate")]
    Unreadable,
    /// Not one of an agent of this lab.
    #[error("this certificate is not one of an agent")]
    NotAnAgent,
    /// A host's name that no certificate can hold.
    #[error("`{name}` is neither a host's name nor an address")]
    Name {
        /// What was given.
        name: String,
    },
}

/// What an agent's certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentCertificate {
    /// Which agent.
    pub agent: Uuid,
    /// How often it has been enrolled: certificates of an earlier time are good for nothing.
    pub generation: u32,
    /// When it ends, seconds since 1970 UTC.
    pub expires: i64,
}

impl AgentCertificate {
    /// Reads a certificate. That it is signed by the lab's CA has been checked by TLS.
    ///
    /// # Errors
    /// When it is none of an agent.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| CertificateError::Unreadable)?;
        let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Unreadable)?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let [GeneralName::URI(name)] = names else { return Err(CertificateError::NotAnAgent) };
        let (agent, generation) = subject(name).ok_or(CertificateError::NotAnAgent)?;
        Ok(Self { agent, generation, expires: certificate.validity().not_after.timestamp() })
    }
}

/// The name of an agent in its certificate.
pub(crate) fn name(agent: Uuid, generation: u32) -> String {
    format!("{SCHEME}{}/{generation}", agent.simple())
}

fn subject(name: &str) -> Option<(Uuid, u32)> {
    let (agent, generation) = name.strip_prefix(SCHEME)?.split_once('/')?;
    Some((Uuid::try_parse(agent).ok()?, generation.parse().ok()?))
}

/// SHA-256 of the public key that a request (PKCS #10, DER) is for. Signing it checks its signature.
///
/// # Errors
/// When it is no request.
pub fn request_key(request: &[u8]) -> Result<Fingerprint, CertificateError> {
    let (_, asked) = X509CertificationRequest::from_der(request).map_err(|_| CertificateError::Unreadable)?;
    Ok(Fingerprint::of(asked.certification_request_info.subject_pki.raw))
}

/// A new key and the request to sign it. The key never leaves the host it was made on.
pub struct KeyRequest {
    /// PKCS #8, PEM.
    pub key: String,
    /// PKCS #10, DER.
    pub request: Vec<u8>,
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRequest(secret)")
    }
}

impl KeyRequest {
    /// Makes a key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, CertificateError> {
        Self::with(&KeyPair::generate()?)
    }

    /// For a key that was made before.
    ///
    /// # Errors
    /// When the text is no key.
    pub fn of(key: &str) -> Result<Self, CertificateError> {
        Self::with(&KeyPair::from_pem(key)?)
    }

    fn with(key: &KeyPair) -> Result<Self, CertificateError> {
        let request = CertificateParams::default().serialize_request(key)?;
        Ok(Self { key: key.serialize_pem(), request: request.der().to_vec() })
    }
}

/// A certificate as text.
pub fn to_pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", base64_lines(der))
}

/// The first certificate in a text.
///
/// # Errors
/// When there is none.
pub fn from_pem(text: &str) -> Result<CertificateDer<'static>, CertificateError> {
    CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| CertificateError::Unreadable)
}

/// RFC 4648 with padding, 64 letters a line.
fn base64_lines(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 3 / 2);
    for (index, chunk) in bytes.chunks(3).enumerate() {
        if index > 0 && index % 16 == 0 {
            text.push('\n');
        }
        let held = chunk.iter().fold(0u32, |held, byte| (held << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(held >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_written_as_people_do() {
        let print = Fingerprint::of(b"x");
        let plain = print.to_string();
        let pairs: Vec<&str> = (0..64).step_by(2).map(|at| &plain[at..at + 2]).collect();
        let spoken = format!("sha256:{}", pairs.join(":").to_uppercase());
        assert_eq!(plain.parse::<Fingerprint>().unwrap(), print);
        assert_eq!(spoken.parse::<Fingerprint>().unwrap(), print);
        assert!("12".parse::<Fingerprint>().is_err());
    }

    #[test]
    fn a_key_asks_again_as_the_same() {
        let first = KeyRequest::new().unwrap();
        let again = KeyRequest::of(&first.key).unwrap();
        assert_eq!(request_key(&first.request).unwrap(), request_key(&again.request).unwrap());
        let other = KeyRequest::new().unwrap();
        assert_ne!(request_key(&first.request).unwrap(), request_key(&other.request).unwrap());
        assert!(request_key(b"no request").is_err() && KeyRequest::of("no key").is_err());
    }

    #[test]
    fn names_of_agents_are_read_strictly() {
        let agent = Uuid::from_u128(7);
        assert_eq!(subject(&name(agent, 3)), Some((agent, 3)));
        for wrong in ["sweep://agent/", "sweep://user/7/1", "sweep://agent/7/1", "https://agent/x/1"] {
            assert_eq!(subject(wrong), None, "{wrong}");
        }
        assert!(AgentCertificate::read(b"no certificate").is_err());
    }

    #[test]
    fn certificates_are_text_and_back() {
        for length in [1, 2, 3, 47, 48, 49, 500] {
            let der: Vec<u8> = (0..length).map(|byte| (byte * 7) as u8).collect();
            assert_eq!(from_pem(&to_pem(&der)).unwrap().as_ref(), der, "{length}");
        }
        assert!(from_pem("nothing").is_err());
    }
}
