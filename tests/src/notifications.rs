//! A desktop's notification service on a private bus: it remembers what it was told to show, and clicks.

#![allow(clippy::unused_self, clippy::used_underscore_binding, reason = "methods as the bus wants them")]
#![allow(clippy::too_many_arguments, reason = "the call has so many")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use zbus::{
    blocking::{Connection, connection::Builder},
    interface,
    zvariant::OwnedValue,
};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub id: u32,
    /// Its title.
    pub title: String,
    /// Its text, as it came.
    pub body: String,
    /// Names and words of its actions, in turn.
    pub actions: Vec<String>,
    /// Whether it was taken back.
    pub closed: bool,
}

#[derive(Default)]
struct State {
    shown: Vec<Shown>,
    calls: usize,
    hangs: bool,
}

struct Service(Arc<Mutex<State>>);

#[interface(name = "org.freedesktop.Notifications")]
impl Service {
    async fn notify(
        &self,
        _app_name: String,
        _replaces_id: u32,
        _app_icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expire_timeout: i32,
    ) -> u32 {
        let hangs = {
            let mut state = self.0.lock().unwrap();
            state.calls += 1;
            state.hangs
        };
        if hangs {
            // Not a thread: all connections of a test share one.
            std::future::pending::<()>().await;
        }
        let mut state = self.0.lock().unwrap();
        let id = u32::try_from(state.shown.len()).unwrap() + 1;
        state.shown.push(Shown { id, title: summary, body, actions, closed: false });
        id
    }

    fn close_notification(&self, id: u32) {
        if let Some(shown) = self.0.lock().unwrap().shown.iter_mut().find(|shown| shown.id == id) {
            shown.closed = true;
        }
    }

    fn get_capabilities(&self) -> Vec<String> {
        ["actions", "body", "body-markup"].map(str::to_owned).to_vec()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        let [name, vendor, version, specification] = ["test", "test", "1", "1.2"].map(str::to_owned);
        (name, vendor, version, specification)
    }
}

/// The service; it leaves the bus when this value goes.
pub struct Notifications {
    state: Arc<Mutex<State>>,
    connection: Connection,
}

impl Notifications {
    /// Joins the bus at this address.
    pub fn start(bus: &str) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let join = || Builder::address(bus)?.serve_at(PATH, Service(Arc::clone(&state)))?.name(NAME)?.build();
        // A bus that has much to do may let go of whoever comes.
        let connection = crate::until("the service to join the bus", Duration::from_secs(10), || join().ok());
        Self { state, connection }
    }

    /// From now on it never answers when it is to show something.
    pub fn hang(&self) {
        self.state.lock().unwrap().hangs = true;
    }

    /// How often it was told to show something.
    pub fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// What was shown so far.
    pub fn shown(&self) -> Vec<Shown> {
        self.state.lock().unwrap().shown.clone()
    }

    /// What was shown with this title so far.
    pub fn titled(&self, title: &str) -> Vec<Shown> {
        self.shown().into_iter().filter(|shown| shown.title == title).collect()
    }

    /// Waits for one with this title.
    pub fn wait_for(&self, title: &str) -> Shown {
        crate::until(&format!("the notification {title:?}"), Duration::from_secs(20), || self.titled(title).pop())
    }

    /// The person clicks on one of its actions.
    pub fn click(&self, id: u32, action: &str) {
        self.connection.emit_signal(None::<&str>, PATH, NAME, "ActionInvoked", &(id, action)).expect("a signal");
    }
}
