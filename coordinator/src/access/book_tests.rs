//! Changes to the book, one after the other.

use std::collections::BTreeSet;

use sweep_core::access::Role;
use sweep_core::id::AgentId;
use sweep_core::time::{Span, Timestamp};
use sweep_identity::token::Digest;
use uuid::Uuid;

use super::book::{Book, Change, Denied, Done, JOIN_LIFE, TOKEN_LIFE};

const NOW: Timestamp = Timestamp(1_000_000_000_000_000);

fn make(book: &mut Book, change: Change, now: Timestamp) -> Result<Done, Denied> {
    let (records, done) = book.decide(change, now)?;
    for record in records {
        // What is stored is what is read back.
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<super::book::Record>(&text).unwrap(), record);
        book.apply(record);
    }
    Ok(done)
}

fn user(name: &str, role: Role) -> Change {
    let projects = BTreeSet::from(["default".to_owned()]);
    Change::AddUser { name: name.to_owned(), role, projects, take_over: false }
}

fn token(id: &str, user: Option<&str>, role: Option<Role>, life: Option<Span>) -> Change {
    let (id, user, note) = (id.to_owned(), user.map(str::to_owned), String::new());
    Change::AddToken { id, digest: Digest::NONE, user, role, life, note }
}

fn book() -> Book {
    let mut book = Book::default();
    make(&mut book, user("root", Role::Admin), NOW).unwrap();
    make(&mut book, user("ada", Role::User), NOW).unwrap();
    book
}

#[test]
fn a_token_is_good_until_it_expires_is_revoked_or_its_user_leaves() {
    let mut book = book();
    make(&mut book, token("one", Some("ada"), None, None), NOW).unwrap();
    make(&mut book, token("two", Some("ada"), Some(Role::Viewer), Some(Span::seconds(10))), NOW).unwrap();
    let good = |book: &Book, id: &str, now: Timestamp| book.good(id, now).map(|(token, _)| token.role);
    assert_eq!(good(&book, "one", NOW), Some(Role::User));
    assert_eq!(good(&book, "two", NOW), Some(Role::Viewer));
    assert_eq!(good(&book, "two", NOW + Span::seconds(10)), None, "the end is not part of it");
    assert_eq!(good(&book, "one", NOW + TOKEN_LIFE[0]), None);
    assert_eq!(make(&mut book, Change::RevokeToken("two".to_owned()), NOW), Ok(Done::Changed(true)));
    assert_eq!(make(&mut book, Change::RevokeToken("two".to_owned()), NOW), Ok(Done::Changed(false)));
    assert_eq!(good(&book, "two", NOW), None);
    make(&mut book, Change::RemoveUser("ada".to_owned()), NOW).unwrap();
    assert_eq!(good(&book, "one", NOW), None);
    assert!(book.tokens["one"].revoked.is_some());
    let denied = make(&mut book, user("ada", Role::User), NOW).unwrap_err();
    assert_eq!(denied, Denied::UserLeft("ada".to_owned()), "what she left behind is not given away with her name");
    assert!(denied.to_string().contains("`sweepctl admin user add ada --take-over`"), "{denied}");
    let Change::AddUser { name, role, projects, .. } = user("ada", Role::User) else { panic!() };
    make(&mut book, Change::AddUser { name, role, projects, take_over: true }, NOW).unwrap();
    assert_eq!(good(&book, "one", NOW), None, "whoever comes back gets no old token back");
}

#[test]
fn whoever_is_there_is_changed_only_if_that_is_said_and_only_in_what_is_said() {
    let mut book = book();
    let denied = make(&mut book, user("ada", Role::Admin), NOW).unwrap_err();
    assert_eq!((denied.reason(), book.users["ada"].role), ("user_known", Role::User));
    assert!(denied.to_string().contains("already, user in default; `sweepctl admin user set ada`"), "{denied}");
    let set = |role, projects: Option<&str>| {
        let projects = projects.map(|project| BTreeSet::from([project.to_owned()]));
        Change::SetUser { name: "ada".to_owned(), role, projects }
    };
    let Ok(Done::Set(before, now)) = make(&mut book, set(Some(Role::Viewer), None), NOW) else { panic!() };
    assert_eq!((before.words(), now.words()), ("user in default".to_owned(), "viewer in default".to_owned()));
    make(&mut book, set(None, Some("audio")), NOW).unwrap();
    assert_eq!(book.users["ada"].words(), "viewer in audio");
    let (records, _) = book.decide(set(None, Some("audio")), NOW).unwrap();
    assert_eq!(records, [], "as before");
    make(&mut book, Change::RemoveUser("ada".to_owned()), NOW).unwrap();
    assert_eq!(make(&mut book, set(Some(Role::User), None), NOW).unwrap_err().reason(), "user_unknown");
}

#[test]
fn what_must_not_be_is_refused() {
    let mut book = book();
    let refused = |book: &mut Book, change: Change| make(book, change, NOW).unwrap_err().reason();
    assert_eq!(refused(&mut book, token("x", Some("bob"), None, None)), "user_unknown");
    assert_eq!(refused(&mut book, token("x", Some("ada"), Some(Role::Admin), None)), "role_too_great");
    let long = Some(Span(TOKEN_LIFE[1].0 + 1));
    assert_eq!(refused(&mut book, token("x", Some("ada"), None, long)), "life_too_long");
    assert_eq!(refused(&mut book, token("x", None, None, Some(Span(JOIN_LIFE[1].0 + 1)))), "life_too_long");
    for name in ["", "Ada", "a b", "../x", "local", "-x", "\u{1b}[2J", &"x".repeat(65)] {
        assert_eq!(refused(&mut book, user(name, Role::User)), "name_invalid", "{name:?}");
    }
    assert_eq!(refused(&mut book, Change::RevokeToken("none".to_owned())), "token_unknown");
    assert_eq!(refused(&mut book, Change::RemoveUser("bob".to_owned())), "user_unknown");
    let note = "\n".to_owned();
    let noted = Change::AddToken {
        id: "x".to_owned(),
        digest: Digest::NONE,
        user: Some("ada".to_owned()),
        role: None,
        life: None,
        note,
    };
    assert_eq!(refused(&mut book, noted), "name_invalid");
}

#[test]
fn somebody_can_always_let_others_in() {
    let mut book = book();
    let last = Err(Denied::LastAdmin("root".to_owned()));
    assert_eq!(make(&mut book, Change::RemoveUser("root".to_owned()), NOW), last);
    let set = |name: &str, role| Change::SetUser { name: name.to_owned(), role: Some(role), projects: None };
    assert_eq!(make(&mut book, set("root", Role::User), NOW), last);
    make(&mut book, set("ada", Role::Admin), NOW).unwrap();
    make(&mut book, Change::RemoveUser("root".to_owned()), NOW).unwrap();
    assert_eq!(make(&mut book, Change::RemoveUser("ada".to_owned()), NOW), Err(Denied::LastAdmin("ada".to_owned())));
}

#[test]
fn a_join_token_lets_one_agent_in_once() {
    let mut book = book();
    let [one, two] = [1, 2].map(|id| AgentId::from(Uuid::from_u128(id)));
    let expires = NOW + Span::seconds(99);
    let with = |token: &str, agent, key: &str| {
        let (token, key) = (token.to_owned(), key.to_owned());
        Change::Enroll { token, agent, key, expires }
    };
    let enroll = |token: &str, agent| with(token, agent, "k");
    for id in ["a", "b", "c"] {
        make(&mut book, token(id, None, None, None), NOW).unwrap();
    }
    assert_eq!(make(&mut book, enroll("a", one), NOW), Ok(Done::Generation(1)));
    assert_eq!(make(&mut book, enroll("a", two), NOW).unwrap_err().reason(), "token_unknown", "it is spent");
    assert_eq!(make(&mut book, enroll("a", one), NOW), Ok(Done::Generation(1)), "it did not hear the answer");
    assert_eq!(make(&mut book, with("a", one, "other"), NOW).unwrap_err().reason(), "token_unknown", "not this one");
    assert!(book.good("a", NOW).is_none() && book.spent("a", NOW).is_some());
    assert!(book.spent("a", NOW + JOIN_LIFE[0]).is_none(), "for as long as the token would be good");
    assert_eq!(make(&mut book, enroll("b", one), NOW), Err(Denied::AgentKnown(one)), "its place is not given away");
    assert!(book.good("b", NOW).is_some(), "a refusal spends nothing");
    let late = NOW + JOIN_LIFE[0];
    assert_eq!(make(&mut book, enroll("b", two), late).unwrap_err().reason(), "token_unknown");
    assert!(book.member(one, 1).is_some() && book.member(one, 2).is_none());
    assert_eq!(make(&mut book, Change::RevokeAgent(one), NOW), Ok(Done::Changed(true)));
    assert!(book.member(one, 1).is_none());
    assert_eq!(make(&mut book, enroll("a", one), NOW).unwrap_err().reason(), "token_unknown", "it was put out");
    let renew = Change::Renew { agent: one, expires };
    assert_eq!(make(&mut book, renew, NOW), Err(Denied::AgentUnknown(one)), "no way back in by itself");
    assert_eq!(make(&mut book, enroll("c", one), NOW), Ok(Done::Generation(2)));
    assert!(book.member(one, 2).is_some() && book.member(one, 1).is_none(), "old certificates stay out");
    assert!(book.spent("a", NOW).is_none(), "so does an old token");
    assert_eq!(make(&mut book, Change::RevokeToken("c".to_owned()), NOW), Ok(Done::Changed(true)));
    assert_eq!(make(&mut book, enroll("c", one), NOW).unwrap_err().reason(), "token_unknown", "an admin said so");
    make(&mut book, token("u", Some("ada"), None, None), NOW).unwrap();
    assert_eq!(make(&mut book, enroll("u", two), NOW).unwrap_err().reason(), "token_unknown", "a login is no join");
}
