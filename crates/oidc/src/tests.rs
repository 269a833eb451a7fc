//! The whole protocol against a server on loopback that can misbehave in every way a test asks for.

mod callback;
pub(crate) mod certificates;
mod device;
mod diagnose;
mod discovery;
mod id_token;
mod par;
mod refresh;
mod rsa;
mod server;
mod sign_in;
mod step_up;
mod tls;
mod world;

/// Fails when text that people or logs may see holds a secret of a test.
pub(crate) fn assert_clean(text: &str) {
    assert!(!text.contains("CANARY"), "a secret is shown: {text}");
}
