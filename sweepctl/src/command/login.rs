//! `login`, `logout`, `whoami`: become somebody to a coordinator, and stop being it.

use serde_json::json;
use sweep_identity::certificate::to_pem;
use sweep_identity::dial::{Bearer, Tls};
use sweep_identity::token::{Handed, Kind};
use sweep_identity::trouble::Held;

use crate::cli::{self, Format};
use crate::client::Client;
use crate::config::{Config, variable};
use crate::fault::Fault;
use crate::login::{Login, LoginFault, Logins, Way, ask_token, host_address};
use crate::output::{Out, safe, span, stamp};
use crate::view::access::WhoView;

/// From then on people are told that their token ends, microseconds before; of one that lasts less than four times that, in its last quarter.
const SOON: i64 = 7 * 86_400_000_000;

/// Logs in, or makes a new token for a login that there is.
pub(crate) async fn run(out: &Out, config: &Config, args: &cli::Login) -> Result<(), Fault> {
    match &args.host {
        Some(host) if !args.renew => login(out, host, args).await,
        _ => renew(out, config).await,
    }
}

/// Proves who we are and whom we talk to, then keeps both.
async fn login(out: &Out, host: &str, args: &cli::Login) -> Result<(), Fault> {
    let address = host_address(host)?;
    if args.token_file.is_none() && std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        out.note(format!("token for {address} (it is not shown):"));
    }
    let handed = ask_token(args.token_file.as_deref())?;
    if handed.token.kind() == Kind::Join {
        return Err(LoginFault::ForAgents.into());
    }
    let given = args.fingerprint.as_ref().map(|text| text.parse());
    let given = given.transpose().map_err(|_| LoginFault::Token(sweep_identity::token::TokenError::Fingerprint))?;
    let pin = given.or(handed.pin).ok_or(LoginFault::NoPin)?;
    let tls = Tls::pinned(pin).map_err(LoginFault::from)?;
    let (server, bearer) = (address.to_string(), Bearer::token(&handed.token));
    let way = Way { server, tls: Some(tls.clone()), bearer, held: Held::Token };
    let client = Client::connect(&way).await?;
    let who = client.who_am_i().await.map_err(|fault| match fault.is_unauthenticated() {
        true => LoginFault::NotTaken { address: address.to_string() }.into(),
        false => fault,
    })?;
    let authority = tls.seen().ok_or(LoginFault::NoPin)?;
    let mut logins = Logins::read()?;
    let token = handed.token.expose().to_owned();
    let expires = (who.expires != 0).then_some(who.expires);
    let login = Login { user: who.name.clone(), token, authority: to_pem(&authority), expires, since: Some(now()) };
    logins.servers.insert(address.to_string(), login);
    logins.current = Some(address.to_string());
    logins.write()?;
    out.note(format!("logged in at {address} as {} ({})", safe(&who.name), safe(&who.role)));
    if let Some(expires) = stamp(who.expires) {
        out.note(format!("until    {expires}"));
    }
    Ok(())
}

/// Keeps a new token, then ends the one before. Cut off in between, either is good: the old one for a minute.
async fn renew(out: &Out, config: &Config) -> Result<(), Fault> {
    let server = config.server();
    let address = host_address(&server)?.to_string();
    let mut logins = Logins::read()?;
    let Some(login) = logins.servers.get_mut(&address) else {
        return Err(LoginFault::NotLoggedIn { server }.into());
    };
    let client = Client::connect(&login.way(&address)?).await?;
    let (token, id, expires) = client.renew_token().await?;
    let handed: Handed = token.parse().map_err(LoginFault::from)?;
    login.token = handed.token.expose().to_owned();
    (login.expires, login.since) = (Some(expires), Some(now()));
    logins.write()?;
    if let Err(fault) = client.logout().await {
        out.warn(format!("the token before was not ended, it ends by itself within a minute: {fault}"));
    }
    out.note(format!("a new token is kept for {address}, {}; the one before has ended", safe(&id)));
    if let Some(expires) = stamp(expires) {
        out.note(format!("until    {expires}"));
    }
    Ok(())
}

/// When a login ends.
pub(crate) struct Ends {
    /// Where it is for.
    address: String,
    /// Microseconds until then.
    pub(crate) left: i64,
    /// So long before it is said.
    soon: i64,
}

/// When the login that is used ends; nothing where that is not known.
pub(crate) fn ends(config: &Config) -> Option<Ends> {
    if variable("SWEEP_TOKEN_FILE").is_some() {
        return None;
    }
    let address = host_address(&config.server()).ok()?.to_string();
    let logins = Logins::read().ok()?;
    let login = logins.servers.get(&address)?;
    let expires = login.expires?;
    Some(Ends { address, left: expires - now(), soon: soon(expires, login.since) })
}

fn soon(expires: i64, since: Option<i64>) -> i64 {
    since.map_or(SOON, |since| ((expires - since) / 4).clamp(1, SOON))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

impl Ends {
    /// What is to be said of it, and what to do; nothing while it does not end soon.
    pub(crate) fn said(&self) -> Option<(String, String)> {
        let Self { address, left, soon } = self;
        if *left <= 0 {
            let fix = format!("ask an admin for one, then `sweepctl login {address}`");
            return Some((format!("the token for {address} has ended"), fix));
        }
        let fix = || "`sweepctl login --renew` makes a new one".to_owned();
        let ends = || format!("the token for {address} ends in {}", span(*left as f64 / 1e6));
        (left < soon).then(|| (ends(), fix()))
    }
}

/// Says when the token of the login that is used ends soon. What cannot be read is said by whoever needs it.
pub(crate) fn warn(out: &Out, config: &Config) {
    if let Some((what, fix)) = ends(config).and_then(|ends| ends.said()) {
        out.warn(format!("{what}: {fix}"));
    }
}

/// Ends the token, and forgets it.
pub(crate) async fn logout(out: &Out, config: &Config, args: &cli::Logout) -> Result<(), Fault> {
    let server = config.server();
    let mut logins = Logins::read()?;
    let address = host_address(&server)?.to_string();
    if logins.servers.remove(&address).is_none() {
        return Err(LoginFault::NotLoggedIn { server }.into());
    }
    let ended = if args.keep_token {
        Ok(())
    } else {
        match Client::connect(&config.way()?).await {
            Ok(client) => client.logout().await,
            Err(fault) => Err(fault),
        }
    };
    logins.current = logins.current.filter(|current| *current != address);
    logins.write()?;
    if let Err(fault) = ended {
        out.warn(format!("the login is forgotten here, but its token was not revoked: {fault}"));
    }
    out.note(format!("logged out at {address}"));
    Ok(())
}

/// Says who we are.
pub(crate) async fn whoami(out: &Out, config: &Config, client: &Client) -> Result<(), Fault> {
    let who = client.who_am_i().await?;
    remember(config, &who)?;
    if out.format == Format::Json {
        return out.json(&json!(who));
    }
    let mut text = format!("{} ({}) at {}\n", safe(&who.name), safe(&who.role), client.server());
    if !who.projects.is_empty() {
        text += &format!("projects {}\n", safe(&who.projects.join(", ")));
    }
    if let Some(expires) = stamp(who.expires).filter(|_| who.expires != 0) {
        text += &format!("token    {}, until {expires}\n", safe(&who.token));
    }
    out.print(text)
}

/// A login by an earlier release does not know when its token ends.
fn remember(config: &Config, who: &WhoView) -> Result<(), Fault> {
    let Ok(address) = host_address(&config.server()) else { return Ok(()) };
    let mut logins = Logins::read()?;
    let login = logins.servers.get_mut(&address.to_string());
    let Some(login) = login.filter(|login| login.expires.is_none() && login.token_id().as_ref() == Some(&who.token))
    else {
        return Ok(());
    };
    login.expires = Some(who.expires);
    Ok(logins.write()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn at(left: i64, since: Option<i64>) -> Option<(String, String)> {
        Ends { address: "https://lab:7443".to_owned(), left, soon: soon(30 * DAY, since) }.said()
    }

    #[test]
    fn a_token_is_spoken_of_in_its_last_seven_days() {
        assert_eq!(at(8 * DAY, None), None);
        let (what, fix) = at(6 * DAY, None).unwrap();
        assert!(what.contains("ends in 6 d") && fix.contains("login --renew"), "{what}: {fix}");
        let (what, fix) = at(0, None).unwrap();
        assert!(what.contains("has ended") && fix.contains("sweepctl login https://lab:7443"), "{what}: {fix}");
        // One that was made for a day, in its last six hours.
        let day = Some(29 * DAY);
        assert_eq!((at(DAY, day), at(DAY / 4, day)), (None, None));
        assert!(at(DAY / 4 - 1, day).is_some() && at(6 * DAY, Some(0)).is_some());
    }
}
