//! Somebody at a screen, as logind and a screen saver would tell it, on private buses.

#![allow(clippy::unused_self, clippy::used_underscore_binding, reason = "methods as the bus wants them")]

use crate::{bus::Bus, home::Home};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use zbus::{
    blocking::{Connection, connection::Builder},
    export::serde::Serialize,
    fdo, interface,
    zvariant::{DynamicType, ObjectPath, OwnedObjectPath, Value},
};

const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const LOGIND_PATH: &str = "/org/freedesktop/login1";
const SESSION_PATH: &str = "/org/freedesktop/login1/session/_32";
const USER_PATH: &str = "/org/freedesktop/login1/user/_1000";
const NOTHING: &str = "/";

/// What logind tells.
#[derive(Debug, Clone)]
struct State {
    locked: bool,
    active: bool,
    /// Whether the user is logged in at the screen.
    there: bool,
}

type Shared = Arc<Mutex<State>>;

fn path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path).expect("a path")
}

struct Manager;

#[interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    #[zbus(name = "GetSessionByPID")]
    fn session_by_pid(&self, _pid: u32) -> fdo::Result<OwnedObjectPath> {
        // An agent of the user's service manager belongs to no session.
        Err(fdo::Error::Failed("no session".to_owned()))
    }

    fn get_user(&self, _uid: u32) -> OwnedObjectPath {
        path(USER_PATH)
    }
}

struct User(Shared);

#[interface(name = "org.freedesktop.login1.User")]
impl User {
    #[zbus(property)]
    fn display(&self) -> (String, OwnedObjectPath) {
        if self.0.lock().unwrap().there { ("2".to_owned(), path(SESSION_PATH)) } else { (String::new(), path(NOTHING)) }
    }

    #[zbus(property)]
    fn sessions(&self) -> Vec<(String, OwnedObjectPath)> {
        if self.0.lock().unwrap().there { vec![("2".to_owned(), path(SESSION_PATH))] } else { Vec::new() }
    }
}

struct Session(Shared);

#[interface(name = "org.freedesktop.login1.Session")]
impl Session {
    #[zbus(property)]
    fn locked_hint(&self) -> bool {
        self.0.lock().unwrap().locked
    }

    #[zbus(property)]
    fn active(&self) -> bool {
        self.0.lock().unwrap().active
    }

    #[zbus(property)]
    fn state(&self) -> String {
        if self.active() { "active" } else { "online" }.to_owned()
    }

    #[zbus(property)]
    fn seat(&self) -> (String, OwnedObjectPath) {
        ("seat0".to_owned(), path("/org/freedesktop/login1/seat/seat0"))
    }

    #[zbus(property, name = "Type")]
    fn kind(&self) -> String {
        "wayland".to_owned()
    }
}

/// A system bus with logind on it, and a session of the home's user at the screen.
pub struct Logind {
    state: Shared,
    connection: Option<Connection>,
    /// The bus.
    pub bus: Bus,
}

impl Logind {
    /// Starts both where the home's programs look for them; the screen is unlocked.
    pub fn start(home: &Home) -> Self {
        let state = State { locked: false, active: true, there: true };
        let mut logind =
            Self { state: Arc::new(Mutex::new(state)), connection: None, bus: Bus::start(home, "system_bus") };
        logind.join();
        logind
    }

    /// Puts logind on the bus.
    pub fn join(&mut self) {
        let shared = || Arc::clone(&self.state);
        let connection = Builder::address(self.bus.address())
            .and_then(|builder| builder.serve_at(LOGIND_PATH, Manager))
            .and_then(|builder| builder.serve_at(USER_PATH, User(shared())))
            .and_then(|builder| builder.serve_at(SESSION_PATH, Session(shared())))
            .and_then(|builder| builder.name("org.freedesktop.login1"))
            .and_then(Builder::build);
        self.connection = Some(connection.expect("logind joins the bus"));
    }

    /// Takes logind off the bus, which stays.
    pub fn leave(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.close();
        }
    }

    fn signal(&self, at: &str, interface: &str, name: &str, body: &(impl Serialize + DynamicType)) {
        let connection = self.connection.as_ref().expect("logind is on the bus");
        connection.emit_signal(None::<&str>, at, interface, name, body).expect("a signal");
    }

    fn change(&self, property: &str, value: bool, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        let changed = HashMap::from([(property, Value::from(value))]);
        let body = (SESSION, changed, Vec::<&str>::new());
        self.signal(SESSION_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", &body);
    }

    /// Locks or unlocks the screen.
    pub fn lock(&self, locked: bool) {
        self.change("LockedHint", locked, |state| state.locked = locked);
    }

    /// Somebody else comes to the screen (`false`), or the user comes back.
    pub fn switch(&self, active: bool) {
        self.change("Active", active, |state| state.active = active);
    }

    /// The user logs out of the screen (`false`) or in.
    pub fn log_in(&self, there: bool) {
        self.state.lock().unwrap().there = there;
        let name = if there { "SessionNew" } else { "SessionRemoved" };
        let session = ObjectPath::try_from(SESSION_PATH).expect("a path");
        self.signal(LOGIND_PATH, MANAGER, name, &("2", session));
    }

    /// Somebody else on the bus says so many times that the session was told to lock, to everybody in person.
    pub fn pretend_to_lock(&self, times: usize) {
        let stranger = Builder::address(self.bus.address()).and_then(Builder::build).expect("the bus");
        let names = stranger.call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "ListNames",
            &(),
        );
        let names: Vec<String> = names.and_then(|names| names.body().deserialize()).expect("names");
        for _ in 0..times {
            for name in names.iter().filter(|name| name.starts_with(':')) {
                stranger.emit_signal(Some(name.as_str()), SESSION_PATH, SESSION, "Lock", &()).expect("a signal");
            }
        }
    }

    /// Asks the desktop to lock; it never says that it did.
    pub fn ask_to_lock(&self) {
        self.signal(SESSION_PATH, SESSION, "Lock", &());
    }
}

struct Saver(Arc<Mutex<bool>>);

#[interface(name = "org.gnome.ScreenSaver")]
impl Saver {
    fn get_active(&self) -> bool {
        *self.0.lock().unwrap()
    }
}

/// A screen saver on a session bus.
pub struct ScreenSaver {
    active: Arc<Mutex<bool>>,
    connection: Connection,
}

impl ScreenSaver {
    const NAME: &str = "org.gnome.ScreenSaver";
    const PATH: &str = "/org/gnome/ScreenSaver";

    /// Puts one on the bus; it is not active.
    pub fn start(bus: &Bus) -> Self {
        let active = Arc::new(Mutex::new(false));
        let connection = Builder::address(bus.address())
            .and_then(|builder| builder.serve_at(Self::PATH, Saver(Arc::clone(&active))))
            .and_then(|builder| builder.name(Self::NAME))
            .and_then(Builder::build);
        Self { active, connection: connection.expect("the screen saver joins the bus") }
    }

    /// Covers the screen, or uncovers it.
    pub fn cover(&self, active: bool) {
        *self.active.lock().unwrap() = active;
        let body = (active,);
        self.connection.emit_signal(None::<&str>, Self::PATH, Self::NAME, "ActiveChanged", &body).expect("a signal");
    }
}
