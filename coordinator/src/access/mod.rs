//! Who there is, who calls, and what they did. Reading order: [`book`] (users, tokens, agents: pure),
//! [`store`] and [`keeper`] (durable, then visible), [`guard`] (a call becomes an identity or a refusal),
//! [`identity`] (what handlers see). What somebody may do is `sweep_core::access`; where it is enforced
//! is `rpc::auth`.

pub mod book;
mod denied;
pub mod guard;
pub mod identity;
pub mod init;
pub mod keeper;
mod rate;
mod record;
pub mod store;

#[cfg(test)]
mod book_tests;
