//! `login`, `logout`, `whoami`: become somebody to a coordinator, and stop being it.

use serde_json::json;
use sweep_identity::certificate::to_pem;
use sweep_identity::dial::{Bearer, Tls};
use sweep_identity::token::Kind;

use crate::cli::{self, Format};
use crate::client::Client;
use crate::config::Config;
use crate::fault::Fault;
use crate::login::{Login, LoginFault, Logins, Way, ask_token, host_address};
use crate::output::{Out, safe, stamp};

/// Proves who we are and whom we talk to, then keeps both.
pub(crate) async fn login(out: &Out, args: &cli::Login) -> Result<(), Fault> {
    let address = host_address(&args.host)?;
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
    let way = Way { server: address.to_string(), tls: Some(tls.clone()), bearer: Bearer::token(&handed.token) };
    let client = Client::connect(&way).await?;
    let who = client.who_am_i().await?;
    let authority = tls.seen().ok_or(LoginFault::NoPin)?;
    let mut logins = Logins::read()?;
    let token = handed.token.expose().to_owned();
    let login = Login { user: who.name.clone(), token, authority: to_pem(&authority) };
    logins.servers.insert(address.to_string(), login);
    logins.current = Some(address.to_string());
    logins.write()?;
    out.note(format!("logged in at {address} as {} ({})", safe(&who.name), safe(&who.role)));
    if let Some(expires) = stamp(who.expires) {
        out.note(format!("until    {expires}"));
    }
    Ok(())
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
pub(crate) async fn whoami(out: &Out, client: &Client) -> Result<(), Fault> {
    let who = client.who_am_i().await?;
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
