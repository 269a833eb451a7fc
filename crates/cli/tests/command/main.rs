//! The real `daypass` against a scripted agent: what goes over the socket, what reaches stdout and stderr, exit codes.

// In a test the place of a broken expectation is what one wants to see.
#![allow(clippy::unwrap_used)]

mod agent;
mod doctor;
mod errors;
mod fake;
mod listings;
mod profile;
mod run;
mod sign_in;
mod streams;
mod token;
mod usage;
