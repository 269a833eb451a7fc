//! The wire: types of the loopback API version 1, the stable error codes, and a typed client without an async runtime.
//!
//! This crate is the only place that knows the JSON contract. It holds no policy and imports no other crate of the
//! workspace. Shapes here are part of what scripts rely on: additions are fine, changes need an ADR.

pub mod client;
mod code;
pub mod endpoints;
#[cfg(feature = "schema")]
pub mod openapi;
mod types;

pub use code::{Code, ExitCode};
pub use types::*;
