//! The lab's certificate authority: one key and one certificate in a folder of their own, made once.
//! It signs the coordinator's certificate, anew before it ends, and those of agents. Whoever has the key
//! can be everybody: the folder is for the coordinator alone, and belongs in no backup that others read.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::certificate::{CertificateError, Fingerprint, from_pem, name, to_pem};
use crate::private::{self, PrivateError};
use crate::{ALPN, VERSIONS, provider};

/// The authority's own certificate is good for ten years.
const OWN_DAYS: i64 = 3650;
/// The coordinator's: it makes itself a new one when a third of this is left.
const SERVER_DAYS: i64 = 90;
/// An agent's: it asks for a new one when a third of this is left.
pub const AGENT_DAYS: i64 = 14;
/// Clocks of hosts differ.
const SKEW: i64 = 3600;
const DAY: i64 = 86_400;

const KEY: &str = "ca.key";
const CERTIFICATE: &str = "ca.pem";
const NAMES: &str = "names";

/// Why the authority does not work.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its files.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// Its certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up with what there is.
    #[error("setting up TLS failed")]
    Tls(#[from] rustls::Error),
    /// TLS cannot be set up with what there is.
    #[error("setting up the check of client certificates failed")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// It is there already.
    #[error("{0} holds a certificate authority already; everything that was signed by it would be worth nothing")]
    Exists(String),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.into())
    }
}

/// The authority.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    names: Vec<String>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.fingerprint())
    }
}

impl Authority {
    /// Makes one in a folder; `names` are those under which the coordinator will be called.
    ///
    /// # Errors
    /// When there is one, or it cannot be written.
    pub fn create(folder: &Path, names: &[String]) -> Result<Self, AuthorityError> {
        private::folder(folder)?;
        if Self::is_in(folder) {
            return Err(AuthorityError::Exists(folder.display().to_string()));
        }
        names.iter().try_for_each(|name| san(name).map(drop))?;
        let key = KeyPair::generate()?;
        let mut params = valid_for(OWN_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "sweep lab");
        // Two labs have different names, so that a certificate of one is never looked for in the other.
        params.distinguished_name.push(DnType::OrganizationalUnitName, Uuid::now_v7().simple().to_string());
        let certificate = params.self_signed(&key)?;
        private::write(&folder.join(KEY), key.serialize_pem().as_bytes())?;
        private::write(&folder.join(NAMES), format!("{}\n", names.join("\n")).as_bytes())?;
        // The certificate last: it marks the folder as complete.
        private::write(&folder.join(CERTIFICATE), to_pem(certificate.der()).as_bytes())?;
        Self::open(folder)
    }

    /// The coordinator may be called by these names, too; answers those that are new. Its next certificate holds them.
    ///
    /// # Errors
    /// When one cannot be in a certificate, or they cannot be written; nothing is changed then.
    pub fn add_names(&mut self, folder: &Path, names: &[String]) -> Result<Vec<String>, AuthorityError> {
        names.iter().try_for_each(|name| san(name).map(drop))?;
        let mut all = self.names.clone();
        for name in names {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        let added = all[self.names.len()..].to_vec();
        if !added.is_empty() {
            private::write(&folder.join(NAMES), format!("{}\n", all.join("\n")).as_bytes())?;
            self.names = all;
        }
        Ok(added)
    }

    /// Whether there is one in a folder.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(CERTIFICATE).is_file()
    }

    /// Reads one from its folder.
    ///
    /// # Errors
    /// When it is not there or damaged, or others may read it.
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(&private::read(&folder.join(KEY))?)?;
        let certificate = from_pem(&private::read(&folder.join(CERTIFICATE))?)?;
        let names = private::read(&folder.join(NAMES))?;
        let names = names.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer, names })
    }

    /// What people compare, and tokens carry.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Under which names the coordinator may be called.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Signs the key of an agent's request. Nothing else of the request is taken over. Also says when the
    /// certificate ends, seconds since 1970.
    ///
    /// # Errors
    /// When the request is damaged or not signed by its key.
    pub fn sign_agent(&self, request: &[u8], agent: Uuid, generation: u32) -> Result<(Vec<u8>, i64), CertificateError> {
        let asked = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))?;
        let mut params = valid_for(AGENT_DAYS);
        params.distinguished_name.push(DnType::CommonName, "sweep agent");
        let uri = name(agent, generation).try_into().map_err(|_| CertificateError::NotAnAgent)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let expires = params.not_after.unix_timestamp();
        let signed = params.signed_by(&asked.public_key, &self.issuer)?;
        Ok((signed.der().to_vec(), expires))
    }

    /// The coordinator's side of TLS: its certificate renews itself, agents show theirs, people need none.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn server(self: &Arc<Self>) -> Result<Arc<ServerConfig>, AuthorityError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = verifier.allow_unauthenticated().build()?;
        let resolver = Renewed { current: RwLock::new(self.issue()?), authority: self.clone() };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would skip the look at the certificate.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    fn issue(&self) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = valid_for(SERVER_DAYS);
        params.distinguished_name.push(DnType::CommonName, "sweep coordinator");
        params.subject_alt_names = self.names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let renew = params.not_after.unix_timestamp() - SERVER_DAYS * DAY / 3;
        let signed = params.signed_by(&key, &self.issuer)?;
        // The authority's certificate goes along for those who know only its fingerprint.
        let chain = vec![signed.der().clone(), self.certificate.clone()];
        let der = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Issued { key: Arc::new(CertifiedKey::from_der(chain, der, &provider())?), renew })
    }
}

/// A certificate with its key, and when to make the next.
#[derive(Debug)]
struct Issued {
    key: Arc<CertifiedKey>,
    renew: i64,
}

/// Hands out the coordinator's certificate.
#[derive(Debug)]
struct Renewed {
    current: RwLock<Issued>,
    authority: Arc<Authority>,
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        if now() < current.renew {
            return Some(current.key.clone());
        }
        let old = current.key.clone();
        drop(current);
        match self.authority.issue() {
            Ok(issued) => {
                let key = issued.key.clone();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = issued;
                Some(key)
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the certificate cannot be renewed");
                Some(old)
            }
        }
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() as i64
}

fn valid_for(days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let at = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = at(now() - SKEW);
    params.not_after = at(now() + days * DAY);
    params
}

fn san(name: &str) -> Result<SanType, CertificateError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let wrong = || CertificateError::Name { name: name.to_owned() };
    rustls::pki_types::DnsName::try_from(name).map_err(|_| wrong())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{AgentCertificate, KeyRequest};

    fn names() -> Vec<String> {
        ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
    }

    #[test]
    fn an_authority_is_made_once_and_signs_what_says_who_the_agent_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca");
        assert!(!Authority::is_in(&path));
        let made = Authority::create(&path, &names()).unwrap();
        assert!(matches!(Authority::create(&path, &names()), Err(AuthorityError::Exists(_))));
        let again = Authority::open(&path).unwrap();
        assert_eq!((again.fingerprint(), again.names()), (made.fingerprint(), names().as_slice()));
        let agent = Uuid::from_u128(9);
        let (der, expires) = again.sign_agent(&KeyRequest::new().unwrap().request, agent, 2).unwrap();
        let read = AgentCertificate::read(&der).unwrap();
        assert_eq!(read, AgentCertificate { agent, generation: 2, expires });
        assert!((expires - now() - AGENT_DAYS * DAY).abs() < 60);
        assert!(again.sign_agent(b"garbage", agent, 1).is_err());
        assert!(AgentCertificate::read(again.certificate()).is_err(), "the CA is no agent");
        Arc::new(again).server().unwrap();
    }

    #[test]
    fn a_name_that_no_certificate_can_hold_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = ["lab host".to_owned()];
        let refused = Authority::create(folder.path(), &wrong).unwrap_err().to_string();
        assert!(refused.contains("lab host"), "{refused}");
        assert!(!Authority::is_in(folder.path()));
    }

    #[test]
    fn names_are_added_and_the_authority_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = Authority::create(folder.path(), &names()).unwrap();
        let more = ["lab.example.org", "127.0.0.1", "10.0.0.5", "lab.example.org"].map(str::to_owned);
        assert_eq!(authority.add_names(folder.path(), &more).unwrap(), ["lab.example.org", "10.0.0.5"]);
        assert!(authority.add_names(folder.path(), &["a b".to_owned(), "new".to_owned()]).is_err());
        assert_eq!(authority.add_names(folder.path(), &names()).unwrap(), [""; 0]);
        let again = Authority::open(folder.path()).unwrap();
        assert_eq!((again.fingerprint(), again.names()), (authority.fingerprint(), authority.names()));
        assert_eq!(again.names().len(), 5);
        let issued = again.issue().unwrap();
        let (_, read) = x509_parser::parse_x509_certificate(&issued.key.cert[0]).unwrap();
        let held = read.subject_alternative_name().unwrap().unwrap().value.general_names.len();
        assert_eq!(held, 5, "the next certificate is for all of them");
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Authority::create(folder.path(), &names()).unwrap();
        let key = folder.path().join(KEY);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Authority::open(folder.path()), Err(AuthorityError::Private(PrivateError::Open { .. }))));
    }
}
