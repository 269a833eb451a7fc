//! The headless agent: assembles the ports, serves the loopback API and the pages, keeps sign-ins and tokens fresh,
//! remembers grants, and writes the audit log.
//!
//! Read [`trip`] first: it joins the broker's decision to everything else. It is the only crate that knows `axum` and
//! SQLite, and the only place where domain types become wire types.

mod accounts;
pub mod agent;
mod audit;
mod consents;
mod doctor;
mod failpoints;
#[cfg(any(test, feature = "filling"))]
#[doc(hidden)]
pub mod filling;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod lock_state;
mod minting;
mod notices;
mod pages;
mod pause;
mod profiles;
mod random;
mod renewal;
mod server;
mod sign_in;
pub mod startup;
mod step_up;
mod store;
#[cfg(test)]
mod testing;
mod times;
mod trip;
mod upkeep;
mod vault;
