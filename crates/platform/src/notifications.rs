//! Desktop notifications, raised by the agent so that they work without a tray.
//!
//! Invariant: a notification decides nothing. Its one action, or a click on it, says "show me", once for each cause, and
//! only when the service that took it says so. Text is shown as text: where the service reads markup, it is escaped.
//! Where there is no service, or one that hangs, nothing waits for it: no thread, and at most one call under way.
//! Limit: whether anybody saw it is unknown, and any process of the user may imitate one.

#[cfg(target_os = "linux")]
#[path = "notifications/bus.rs"]
mod service;
#[cfg(not(target_os = "linux"))]
#[path = "notifications/elsewhere.rs"]
mod service;

use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long the service may take for one thing.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest text shown, in characters.
const LONGEST: usize = 400;

/// Something a person should know, for as long as it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Why: one notification for each, until it was over and comes again.
    pub cause: String,
    /// A few words, plain text.
    pub title: String,
    /// A sentence or two, plain text, without secrets.
    pub body: String,
    /// What is on the button that says "show me", where the service has buttons.
    pub action: String,
}

/// Keeps what is shown as it is wanted: each new cause is shown once, one that is no more is withdrawn. Calls `acted` with
/// the cause of a notification the person wants to see more of. Returns when nobody wants anything any more; to be spawned
/// on a tokio runtime with input, output and time.
pub async fn serve(wanted: watch::Receiver<Arc<[Notification]>>, acted: impl Fn(&str) + Send + Sync) {
    service::serve(wanted, acted).await;
}

/// Text fit for a notification: one line of at most [`LONGEST`] characters, no control characters.
fn plain(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text for a service that reads markup (Desktop Notifications Specification 1.2, "Markup").
#[cfg(any(target_os = "linux", test))]
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text() {
        assert_eq!(escaped(&plain("<b>x</b>\u{1b}[1m & y")), "&lt;b&gt;x&lt;/b&gt; [1m &amp; y");
        assert_eq!(plain(&"x".repeat(5000)).len(), LONGEST);
    }
}
