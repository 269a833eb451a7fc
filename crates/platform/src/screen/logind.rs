//! What logind says of this user's session at the screen.
//!
//! A session counts when it is at a seat or graphical: this process's own, else the one logind calls the user's display. It
//! is locked by its hint, when it is not the active one (somebody else is at the screen), and when it ends. A request to
//! lock counts for a moment, because not every desktop sets the hint, and none tells when it is through.
//! Invariant: only the process that owns logind's name is asked, and only its signals are seen.

use super::{
    bus::{Owners, PATIENCE, Source, call, owner_changes, refused_or},
    hold::Word,
};
use std::collections::HashMap;
use tokio::time::Instant;
use zbus::{
    Connection,
    connection::Builder,
    message::Message,
    zvariant::{OwnedObjectPath, OwnedValue, Value},
};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const USER: &str = "org.freedesktop.login1.User";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

type Properties = HashMap<String, OwnedValue>;

/// logind, and what is remembered between questions.
#[derive(Default)]
pub(super) struct Logind {
    /// The session that counted last time.
    watched: Option<OwnedObjectPath>,
    /// It has ended, and none has begun since.
    logged_out: bool,
    /// Until when a request to lock counts.
    asked_to_lock: Option<Instant>,
    again_at: Option<Instant>,
}

/// What was found at logind.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// The session that counts, and whether it is locked.
    session: Option<(OwnedObjectPath, bool)>,
    /// Whether the user has any session, as over the network.
    any: bool,
}

impl Logind {
    /// What that means, after what was found before.
    fn judge(&mut self, found: &Found, now: Instant) -> Option<bool> {
        self.asked_to_lock = self.asked_to_lock.filter(|until| now < *until);
        self.again_at = self.asked_to_lock;
        let path = found.session.as_ref().map(|(path, _)| path.clone());
        let before = std::mem::replace(&mut self.watched, path);
        if before.is_some() && before != self.watched {
            // It ended: that is told first, whatever comes after it.
            self.logged_out = true;
            self.again_at = Some(now);
            return Some(true);
        }
        match &found.session {
            Some((_, locked)) => {
                self.logged_out = false;
                Some(*locked || self.asked_to_lock.is_some())
            }
            None => (self.logged_out && !found.any).then_some(true),
        }
    }
}

impl Source for Logind {
    fn bus() -> zbus::Result<Builder<'static>> {
        Builder::system()
    }

    fn names() -> &'static [&'static str] {
        &[NAME]
    }

    fn matches() -> Vec<String> {
        vec![format!("type='signal',sender='{NAME}',path_namespace='{PATH}'"), owner_changes(NAME)]
    }

    async fn read(&mut self, bus: &Connection, owners: &Owners) -> zbus::Result<Word> {
        let Some(logind) = owners.of(NAME) else {
            // It restarts, or there is none: no log-out is made of it.
            *self = Self::default();
            return Ok(Word::Gone);
        };
        let found = look(bus, logind).await?;
        Ok(Word::Says(self.judge(&found, Instant::now())))
    }

    fn see(&mut self, signal: &Message) {
        let header = signal.header();
        let of_session = header.interface().is_some_and(|interface| interface.as_str() == SESSION);
        let watched =
            self.watched.as_ref().zip(header.path()).is_some_and(|(watched, path)| watched.as_str() == path.as_str());
        if !of_session || !watched {
            return;
        }
        let member = header.member();
        match member.as_ref().map_or("", |member| member.as_str()) {
            "Lock" => self.asked_to_lock = Some(Instant::now() + PATIENCE),
            "Unlock" => self.asked_to_lock = None,
            _ => {}
        }
    }

    fn again_at(&self) -> Option<Instant> {
        self.again_at
    }
}

async fn look(bus: &Connection, logind: &str) -> zbus::Result<Found> {
    let own = refused_or(call(bus, logind, PATH, MANAGER, "GetSessionByPID", &(std::process::id(),)).await)?;
    if let Some(own) = own {
        let path: OwnedObjectPath = own.body().deserialize()?;
        if let Some(locked) = session(bus, logind, &path).await? {
            return Ok(Found { session: Some((path, locked)), any: true });
        }
    }
    let user = refused_or(call(bus, logind, PATH, MANAGER, "GetUser", &(crate::own_uid(),)).await)?;
    let Some(user) = user else { return Ok(Found::default()) };
    let user: OwnedObjectPath = user.body().deserialize()?;
    let Some(user) = properties(bus, logind, &user, USER).await? else { return Ok(Found::default()) };
    let any = matches!(user.get("Sessions").map(|value| &**value), Some(Value::Array(all)) if !all.is_empty());
    let Some(path) = field(&user, "Display", 1).and_then(|path| OwnedObjectPath::try_from(path).ok()) else {
        return Ok(Found { session: None, any });
    };
    let locked = session(bus, logind, &path).await?;
    Ok(Found { session: locked.map(|locked| (path, locked)), any })
}

/// Whether a session is locked; `None` when it does not count.
async fn session(bus: &Connection, logind: &str, path: &OwnedObjectPath) -> zbus::Result<Option<bool>> {
    Ok(properties(bus, logind, path, SESSION).await?.and_then(|session| locked(&session)))
}

async fn properties(
    bus: &Connection,
    logind: &str,
    path: &OwnedObjectPath,
    interface: &str,
) -> zbus::Result<Option<Properties>> {
    let answer = refused_or(call(bus, logind, path.as_str(), PROPERTIES, "GetAll", &(interface,)).await)?;
    answer.map(|answer| answer.body().deserialize()).transpose()
}

/// Whether the session of these properties is locked; `None` when it does not count. One that does not say that it is
/// active and unlocked is locked.
fn locked(session: &Properties) -> Option<bool> {
    let text = |name: &str| match session.get(name).map(|value| &**value) {
        Some(Value::Str(text)) => Some(text.to_string()),
        _ => None,
    };
    let is = |name: &str, expected: bool| matches!(session.get(name).map(|value| &**value), Some(Value::Bool(is)) if *is == expected);
    let seated = field(session, "Seat", 0).is_some_and(|seat| !seat.is_empty());
    let graphical = text("Type").is_some_and(|kind| ["x11", "wayland", "mir"].contains(&kind.as_str()));
    if !seated && !graphical {
        return None;
    }
    let ending = text("State").is_some_and(|state| state == "closing");
    Some(ending || !is("LockedHint", false) || !is("Active", true))
}

/// The text of one field of a property that is a structure, such as (name, path).
fn field(properties: &Properties, name: &str, index: usize) -> Option<String> {
    let Value::Structure(structure) = &**properties.get(name)? else { return None };
    match structure.fields().get(index)? {
        Value::Str(text) => Some(text.to_string()),
        Value::ObjectPath(path) => Some(path.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use zbus::zvariant::ObjectPath;

    fn properties(seat: &str, kind: &str, active: bool, locked: bool, state: &str) -> Properties {
        let path = ObjectPath::try_from("/org/freedesktop/login1/seat/seat0").unwrap();
        let own = |value: Value<'_>| OwnedValue::try_from(value).unwrap();
        HashMap::from([
            ("Seat".to_owned(), own(Value::new((seat, path)))),
            ("Type".to_owned(), own(Value::new(kind))),
            ("Active".to_owned(), own(Value::new(active))),
            ("LockedHint".to_owned(), own(Value::new(locked))),
            ("State".to_owned(), own(Value::new(state))),
        ])
    }

    #[test]
    fn a_session_counts_when_somebody_can_sit_at_it() {
        for (what, session, expected) in [
            ("a desktop", properties("seat0", "wayland", true, false, "active"), Some(false)),
            ("a locked desktop", properties("seat0", "wayland", true, true, "active"), Some(true)),
            ("somebody else is at the screen", properties("seat0", "x11", false, false, "online"), Some(true)),
            ("it is ending", properties("seat0", "x11", true, false, "closing"), Some(true)),
            ("a console", properties("seat0", "tty", true, false, "active"), Some(false)),
            ("a remote desktop", properties("", "wayland", true, true, "active"), Some(true)),
            ("over the network", properties("", "tty", true, false, "active"), None),
            ("a job", properties("", "unspecified", true, true, "active"), None),
        ] {
            assert_eq!(locked(&session), expected, "{what}");
        }
        for silent in ["LockedHint", "Active"] {
            let mut session = properties("seat0", "x11", true, false, "active");
            session.remove(silent);
            assert_eq!(locked(&session), Some(true), "without {silent}");
        }
    }

    fn found(session: Option<(&str, bool)>, any: bool) -> Found {
        let path = |path: &str| OwnedObjectPath::try_from(format!("{PATH}/session/{path}")).unwrap();
        Found { session: session.map(|(name, locked)| (path(name), locked)), any }
    }

    #[test]
    fn a_log_out_locks_once_and_stays_while_nobody_is_logged_in() {
        let now = Instant::now();
        let desktop = || found(Some(("2", false)), true);
        let gone = || found(None, false);
        for (what, after, expected) in [
            ("nobody is left", gone(), Some(true)),
            ("somebody is there over the network", found(None, true), None),
            ("the next session has begun", found(Some(("3", false)), true), Some(false)),
        ] {
            let mut logind = Logind::default();
            assert_eq!(logind.judge(&gone(), now), None, "no session so far says nothing");
            assert_eq!(logind.judge(&desktop(), now), Some(false));
            assert_eq!(logind.judge(&after, now), Some(true), "{what}: told once");
            assert_eq!(logind.again_at, Some(now), "{what}: and looked at again at once");
            assert_eq!(logind.judge(&after, now), expected, "{what}");
            assert_eq!(logind.again_at, None, "{what}");
            assert!(logind.judge(&desktop(), now).is_some(), "{what}");
        }
    }

    #[test]
    fn a_request_to_lock_counts_for_a_moment() {
        let now = Instant::now();
        let until = now + PATIENCE;
        let mut logind = Logind { asked_to_lock: Some(until), ..Logind::default() };
        assert_eq!(logind.judge(&found(Some(("2", false)), true), now), Some(true));
        assert_eq!(logind.again_at, Some(until));
        assert_eq!(
            logind.judge(&found(Some(("2", true)), true), now + Duration::from_secs(1)),
            Some(true),
            "by its hint"
        );
        assert_eq!(logind.judge(&found(Some(("2", false)), true), until), Some(false));
        assert_eq!(logind.again_at, None);
    }
}
