//! Makes a lab out of a data folder: its CA, its first admin, a first token, told once. Works on the
//! folder of a coordinator that does not run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sweep_core::access::Role;
use sweep_core::time::Span;
use sweep_identity::authority::{Authority, AuthorityError};
use sweep_identity::private::{self, PrivateError};
use sweep_identity::token::{Handed, Kind, Token, TokenError};

use super::book::{Change, Denied};
use super::keeper::{Keeper, KeeperError};
use super::store::StoreError;
use crate::clock::Clock;

/// The first admin.
pub const ADMIN: &str = "admin";
/// The project that everybody begins in.
pub const PROJECT: &str = "default";
/// A first token is good for a day: long enough to make the next one.
const FIRST: Span = Span::seconds(86_400);

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The CA.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The file of users.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in it.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A private file.
    #[error(transparent)]
    Private(#[from] PrivateError),
}

/// The folder of the CA in a data folder.
pub fn authority_folder(data: &Path) -> PathBuf {
    data.join("ca")
}

/// The file of the one token of a coordinator that serves one person.
pub fn local_token(data: &Path) -> PathBuf {
    data.join("local-token")
}

/// Whether a data folder is that of a lab.
pub fn is_lab(data: &Path) -> bool {
    Authority::is_in(&authority_folder(data))
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The token of the admin.
    pub token: Handed,
    /// Names that the coordinator's certificate did not hold before; none of a new lab.
    pub added: Vec<String>,
    /// All that it holds from its next start on.
    pub names: Vec<String>,
}

/// Makes the CA if there is none, the admin if there is none, and a new token for them. Names that the CA does not know yet are
/// added: the coordinator makes its certificate at every start.
///
/// # Errors
/// When something cannot be written.
pub async fn lab(data: &Path, names: &[String], clock: Clock) -> Result<Made, InitError> {
    let folder = authority_folder(data);
    let (authority, added) = match is_lab(data) {
        true => {
            let mut authority = Authority::open(&folder)?;
            let added = authority.add_names(&folder, names)?;
            (authority, added)
        }
        false => (Authority::create(&folder, names)?, Vec::new()),
    };
    let keeper = Keeper::start(data, clock).await?;
    let book = keeper.book();
    let is_admin = book.users.get(ADMIN).is_some_and(|user| user.role == Role::Admin && user.removed.is_none());
    if !is_admin {
        let (name, projects) = (ADMIN.to_owned(), BTreeSet::from([PROJECT.to_owned()]));
        let change = match book.users.get(ADMIN).filter(|user| user.removed.is_none()) {
            Some(_) => Change::SetUser { name, role: Some(Role::Admin), projects: None },
            None => Change::AddUser { name, role: Role::Admin, projects, take_over: true },
        };
        keeper.change(change).await?;
    }
    let token = Token::generate(Kind::User)?;
    let (id, digest, note) = (token.id().to_owned(), token.digest(), "admin init".to_owned());
    let add = Change::AddToken { id, digest, user: Some(ADMIN.to_owned()), role: None, life: Some(FIRST), note };
    keeper.change(add).await?;
    let who = serde_json::json!({ "at": clock.now().0, "who": "init", "method": "init", "about": token.id(), "names": added });
    keeper.note(who.to_string()).await?;
    let token = Handed { token, pin: Some(authority.fingerprint()) };
    Ok(Made { token, added, names: authority.names().to_vec() })
}

/// The token of a coordinator that serves one person: made at the first start.
///
/// # Errors
/// When it cannot be read or written, or others can read it.
pub fn local(data: &Path) -> Result<Token, InitError> {
    let path = local_token(data);
    match private::read(&path) {
        Ok(text) => Ok(text.trim().parse()?),
        Err(error) if error.is_missing() => {
            let token = Token::generate(Kind::Local)?;
            private::write(&path, format!("{}\n", token.expose()).as_bytes())?;
            Ok(token)
        }
        Err(error) => Err(error.into()),
    }
}

impl From<Denied> for InitError {
    fn from(denied: Denied) -> Self {
        Self::Keeper(denied.into())
    }
}
