//! Desktop notifications, raised by the agent so that they work without a tray.
//!
//! Invariant: a notification never decides anything; it carries no action, and its text is plain (no markup).
//! Limit: whether anybody saw it is unknown, and any process of the user may imitate one.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// How long a notification may take to be accepted.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most notifications under way at once; a hanging desktop bus holds no more threads than this.
const MOST_UNDER_WAY: usize = 4;
/// Longest text shown, in characters.
const LONGEST: usize = 400;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Why no notification was shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// The desktop's notification service did not answer in time.
    #[error("the desktop's notification service did not answer in time")]
    TimedOut,
    /// There is none, or it refused.
    #[error("no notification was shown: {0}")]
    Refused(String),
}

/// Shows a notification and waits at most three seconds for the desktop to take it.
pub fn notify(title: &str, body: &str) -> Result<(), NotifyError> {
    if UNDER_WAY.fetch_add(1, Ordering::AcqRel) >= MOST_UNDER_WAY {
        UNDER_WAY.fetch_sub(1, Ordering::AcqRel);
        return Err(NotifyError::TimedOut);
    }
    let (title, body) = (plain(title), escaped(&plain(body)));
    let (answer, answered) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("notification".to_owned()).spawn(move || {
        let shown = notify_rust::Notification::new().appname("Daypass").summary(&title).body(&body).show();
        let _ = answer.send(shown.map(drop).map_err(|error| NotifyError::Refused(plain(&error.to_string()))));
        UNDER_WAY.fetch_sub(1, Ordering::AcqRel);
    });
    if let Err(error) = spawned {
        UNDER_WAY.fetch_sub(1, Ordering::AcqRel);
        return Err(NotifyError::Refused(error.to_string()));
    }
    answered.recv_timeout(PATIENCE).unwrap_or(Err(NotifyError::TimedOut))
}

fn plain(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The body of a notification may be read as markup by the desktop.
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
