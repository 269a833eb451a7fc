//! The ends of the processes that a held question belongs to.
//!
//! Limit: where the kernel tells no ends (before Linux 5.3) nothing is heard here, and the look twice a second does it.

use broker::Peer;
use platform::peer::{Life, Lookup};
use std::{future::poll_fn, task::Poll};
use tokio::io::{Interest, unix::AsyncFd};

/// The lives of the process on the connection and of the one it stands for.
pub(super) struct Ends(Vec<AsyncFd<Life>>);

impl Ends {
    /// Begins to listen.
    pub(super) fn of(lookup: &Lookup, peer: &Peer) -> Self {
        let subject = Some(peer.subject).filter(|subject| *subject != peer.instance);
        let lives =
            [Some(peer.instance), subject].into_iter().flatten().filter_map(|instance| lookup.life_of(instance));
        Self(lives.filter_map(listen_to).collect())
    }

    /// Returns when one of them has ended.
    pub(super) async fn first(&self) {
        poll_fn(|cx| {
            // A failed watch is no end; it is never ready again, and the other look goes on.
            let has_ended = |life: &AsyncFd<Life>| match life.poll_read_ready(cx) {
                Poll::Ready(Ok(_)) => life.get_ref().has_ended(),
                _ => false,
            };
            let ended = self.0.iter().map(has_ended).fold(false, |any, one| any | one);
            if ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[allow(deprecated, reason = "its successor is unsafe; a life keeps its one descriptor open until it is dropped")]
fn listen_to(life: Life) -> Option<AsyncFd<Life>> {
    AsyncFd::with_interest(life, Interest::READABLE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::ProcessInstance;
    use platform::peer::FirstParty;
    use std::{
        process::{Child, Command},
        time::Duration,
    };

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    /// Whether the end of one of two processes is heard, and nothing before it.
    async fn is_heard(end: impl FnOnce(&mut Child, &mut Child)) {
        let lookup = Lookup::new(FirstParty::in_directory(std::path::Path::new("/nowhere")));
        let (mut connected, mut asker) = (sleeper(), sleeper());
        let instance = |child: &Child| lookup.instance_of(child.id()).unwrap();
        let (connection, subject): (ProcessInstance, ProcessInstance) = (instance(&connected), instance(&asker));
        let peer = Peer {
            uid: 0,
            instance: connection,
            subject,
            session_leader: None,
            program: None,
            first_party: true,
            started_by: None,
            package: None,
        };
        let ends = Ends::of(&lookup, &peer);
        assert_eq!(ends.0.len(), 2, "the test needs Linux 5.3");
        assert!(tokio::time::timeout(Duration::from_millis(50), ends.first()).await.is_err(), "both live");
        end(&mut connected, &mut asker);
        let heard = tokio::time::timeout(Duration::from_secs(20), ends.first()).await;
        for child in [&mut connected, &mut asker] {
            let _ = child.kill();
            child.wait().unwrap();
        }
        assert!(heard.is_ok());
    }

    #[tokio::test]
    async fn the_end_of_either_process_is_heard_by_itself() {
        is_heard(|connected, _| connected.kill().unwrap()).await;
        is_heard(|_, asker| asker.kill().unwrap()).await;
    }
}
