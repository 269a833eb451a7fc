//! The benchmarks of Daypass: `make bench` measures whole processes in one run, `cargo bench -p daypass-benches` functions.
//!
//! Invariant: what is compared is measured alternately in one run on one machine, with release programs and every check
//! of the agent on. Limit: the numbers are one machine's; only their ratios travel. Nothing here is ever a test or runs in CI.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a harness fails loudly and prints")]

pub mod agent;
pub mod bare;
pub mod commands;
pub mod load;
pub mod memory;
pub mod peer_oidc_agent;
pub mod process;
pub mod quick;
pub mod report;
pub mod scale;
pub mod stats;
pub mod ways;
pub mod world;
