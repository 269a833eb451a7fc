//! Notifications on other systems, through `notify-rust`; without an action. Untested there.

use super::{Notification, PATIENCE, plain};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};
use tokio::sync::watch;

/// Most notifications under way at once; a service that hangs holds no more threads than this.
const MOST_UNDER_WAY: usize = 4;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

pub(super) async fn serve(mut wanted: watch::Receiver<Arc<[Notification]>>, _acted: impl Fn(&str) + Send + Sync) {
    let mut told: HashSet<String> = HashSet::new();
    loop {
        let set = Arc::clone(&wanted.borrow_and_update());
        told.retain(|cause| set.iter().any(|notification| notification.cause == *cause));
        for notification in set.iter() {
            if told.insert(notification.cause.clone()) {
                show(notification);
            }
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Shows one on a thread of its own; one too many, or one that nobody takes in time, is not shown.
fn show(notification: &Notification) {
    if UNDER_WAY.fetch_add(1, Ordering::AcqRel) >= MOST_UNDER_WAY {
        UNDER_WAY.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let (title, body) = (plain(&notification.title), plain(&notification.body));
    let (answer, answered) = mpsc::sync_channel::<()>(1);
    let spawned = thread::Builder::new().name("notification".to_owned()).spawn(move || {
        let _ = notify_rust::Notification::new().appname("Daypass").summary(&title).body(&body).show();
        let _ = answer.send(());
        UNDER_WAY.fetch_sub(1, Ordering::AcqRel);
    });
    match spawned {
        Ok(_) => drop(answered.recv_timeout(PATIENCE)),
        Err(_) => drop(UNDER_WAY.fetch_sub(1, Ordering::AcqRel)),
    }
}
