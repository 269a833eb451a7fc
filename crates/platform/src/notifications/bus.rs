//! Notifications on a Linux desktop: `org.freedesktop.Notifications` on the session bus.
//!
//! One connection, and only while something is shown or is to be shown: some services tell of a click only the connection
//! that asked for the notification.

use super::{Notification, PATIENCE, escaped, plain};
use std::{collections::HashMap, future::poll_fn, io, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use zbus::{
    Connection, Error, MessageStream, connection::Builder, export::futures_core::Stream as _, message::Message,
    message::Type, zvariant::Value,
};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// How long to wait before a service that was not there is tried again, doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// Desktop Notifications Specification 1.2, "Urgency Levels": it may wait while somebody does not want to be disturbed.
const NORMAL: u8 = 1;

/// The number the service gave to what it shows; nothing once it is no longer shown, or was acted on.
type Told = HashMap<String, Option<u32>>;

/// The way to the service.
struct Desk {
    bus: Connection,
    messages: MessageStream,
    /// Who answers there, by unique name.
    service: String,
    reads_markup: bool,
    has_actions: bool,
}

pub(super) async fn serve(mut wanted: watch::Receiver<Arc<[Notification]>>, acted: impl Fn(&str) + Send + Sync) {
    let mut told = Told::new();
    let mut desk: Option<Desk> = None;
    let mut pause = FIRST_PAUSE;
    let mut again: Option<Instant> = None;
    loop {
        let set = Arc::clone(&wanted.borrow_and_update());
        withdraw(&mut told, &set, desk.as_ref()).await;
        if again.is_none_or(|again| Instant::now() >= again) {
            // Why it failed makes no difference: it is tried again while it is still so.
            again = if show_new(&mut told, &set, &mut desk).await.is_ok() {
                pause = FIRST_PAUSE;
                None
            } else {
                desk = None;
                let at = Instant::now() + pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                Some(at)
            };
        }
        if told.values().all(Option::is_none) {
            desk = None;
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            message = hear(desk.as_mut()) => {
                if let Some(Ok(message)) = message {
                    if let Some(cause) = desk.as_ref().and_then(|desk| read(desk, &message, &mut told)) {
                        acted(&cause);
                    }
                } else {
                    // What was shown there is gone with it.
                    desk = None;
                    for id in told.values_mut() {
                        *id = None;
                    }
                }
            }
        }
    }
}

/// The next message of the service, if there is a way to it; else never.
async fn hear(desk: Option<&mut Desk>) -> Option<zbus::Result<Message>> {
    let Some(desk) = desk else { return std::future::pending().await };
    poll_fn(|context| Pin::new(&mut desk.messages).poll_next(context)).await
}

/// Takes back what is no longer so.
async fn withdraw(told: &mut Told, set: &[Notification], desk: Option<&Desk>) {
    let is_over = |cause: &String| !set.iter().any(|notification| notification.cause == *cause);
    let over: Vec<String> = told.keys().filter(|cause| is_over(cause)).cloned().collect();
    for cause in over {
        if let (Some(Some(id)), Some(desk)) = (told.remove(&cause), desk) {
            // It may be closed already.
            let closed = desk.bus.call_method(Some(NAME), PATH, Some(NAME), "CloseNotification", &id);
            let _ = timeout(PATIENCE, closed).await;
        }
    }
}

/// Shows what is new.
async fn show_new(told: &mut Told, set: &[Notification], desk: &mut Option<Desk>) -> zbus::Result<()> {
    for notification in set {
        if told.contains_key(&notification.cause) {
            continue;
        }
        let desk = match &mut *desk {
            Some(desk) => desk,
            none => none.insert(in_time(Desk::open()).await?),
        };
        let id = in_time(desk.show(notification)).await?;
        told.insert(notification.cause.clone(), Some(id));
    }
    Ok(())
}

async fn in_time<T>(work: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(Error::from(io::Error::from(io::ErrorKind::TimedOut))))
}

/// The cause of what was acted on; what was closed is only forgotten.
fn read(desk: &Desk, message: &Message, told: &mut Told) -> Option<String> {
    let header = message.header();
    let ours = message.message_type() == Type::Signal
        && header.interface().is_some_and(|name| name.as_str() == NAME)
        && header.sender().is_some_and(|sender| sender.as_str() == desk.service);
    if !ours {
        return None;
    }
    let (id, acted) = match header.member()?.as_str() {
        "ActionInvoked" => (message.body().deserialize::<(u32, String)>().ok()?.0, true),
        "NotificationClosed" => (message.body().deserialize::<(u32, u32)>().ok()?.0, false),
        _ => return None,
    };
    let (cause, shown) = told.iter_mut().find(|(_, shown)| **shown == Some(id))?;
    *shown = None;
    acted.then(|| cause.clone())
}

impl Desk {
    async fn open() -> zbus::Result<Self> {
        let bus = Builder::session()?.method_timeout(PATIENCE).build().await?;
        let messages = MessageStream::from(&bus);
        let rule = format!("type='signal',interface='{NAME}',path='{PATH}'");
        bus.call_method(Some(BUS), BUS_PATH, Some(BUS), "AddMatch", &(rule,)).await?;
        let answer = bus.call_method(Some(NAME), PATH, Some(NAME), "GetCapabilities", &()).await?;
        let service = answer.header().sender().map(ToString::to_string).unwrap_or_default();
        let can: Vec<String> = answer.body().deserialize()?;
        let can = |what: &str| can.iter().any(|one| one == what);
        Ok(Self { reads_markup: can("body-markup"), has_actions: can("actions"), bus, messages, service })
    }

    async fn show(&self, notification: &Notification) -> zbus::Result<u32> {
        let (title, body) = (plain(&notification.title), plain(&notification.body));
        let body = if self.reads_markup { escaped(&body) } else { body };
        let action = plain(&notification.action);
        let actions: &[&str] = if self.has_actions { &["default", &action, "show", &action] } else { &[] };
        let hints =
            HashMap::from([("urgency", Value::from(NORMAL)), ("desktop-entry", Value::from("daypass-desktop"))]);
        let body = ("Daypass", 0_u32, "daypass", title, body, actions, hints, -1_i32);
        self.bus.call_method(Some(NAME), PATH, Some(NAME), "Notify", &body).await?.body().deserialize()
    }
}
