//! Staying at a bus: ask, wait for a signal, ask again.
//!
//! Invariant: a signal is only a reason to ask; what is believed is the answer. Every connection and every call ends within
//! [`PATIENCE`]; whatever goes wrong makes the source silent, and the bus is tried again later, less and less often.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use zbus::{
    Connection, Error, MessageStream, connection::Builder, export::futures_core::Stream as _, export::serde::Serialize,
    message::Message, message::Type, zvariant::DynamicType,
};

/// How long a connection or a call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before a bus is tried again, doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// After a connection that lasted this long the pauses begin anew.
const GOOD_WHILE: Duration = Duration::from_mins(1);

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// Somebody on a bus who knows about the screen.
pub(super) trait Source: Send {
    /// The way to the bus.
    fn bus() -> zbus::Result<Builder<'static>>;
    /// The match rules of the signals that are a reason to ask.
    fn matches() -> Vec<String>;
    /// Asks. Locked, unlocked, or nothing to say.
    fn read(&mut self, bus: &Connection) -> impl Future<Output = zbus::Result<Option<bool>>> + Send;
    /// Sees a signal before the next question.
    fn see(&mut self, signal: &Message);
    /// When to ask again without a signal.
    fn again_at(&self) -> Option<Instant>;
}

/// Tells what the source says, for ever.
pub(super) async fn attend<S: Source>(source: &mut S, say: impl Fn(Option<bool>) + Send + Sync) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        // Why a visit ended makes no difference.
        let _ = visit(source, &say).await;
        say(None);
        if begun.elapsed() >= GOOD_WHILE {
            pause = FIRST_PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn visit<S: Source>(source: &mut S, say: &(impl Fn(Option<bool>) + Send + Sync)) -> zbus::Result<()> {
    let late = |_| Error::from(io::Error::from(io::ErrorKind::TimedOut));
    let bus = timeout(PATIENCE, S::bus()?.method_timeout(PATIENCE).build()).await.map_err(late)??;
    let mut messages = MessageStream::from(&bus);
    for rule in S::matches() {
        call(&bus, BUS, BUS_PATH, BUS, "AddMatch", &(rule,)).await?;
    }
    loop {
        say(source.read(&bus).await?);
        loop {
            let next = match source.again_at() {
                Some(at) => timeout_at(at, next(&mut messages)).await.ok(),
                None => Some(next(&mut messages).await),
            };
            match next {
                None => break,
                Some(Some(message)) => {
                    let message = message?;
                    if message.message_type() == Type::Signal {
                        source.see(&message);
                        break;
                    }
                }
                Some(None) => return Ok(()),
            }
        }
        // One question answers all that has come by now.
        while let Ok(Some(message)) = timeout(Duration::ZERO, next(&mut messages)).await {
            source.see(&message?);
        }
    }
}

async fn next(messages: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await
}

/// Calls a method; [`PATIENCE`] at most.
pub(super) async fn call<B>(
    bus: &Connection,
    name: &str,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> zbus::Result<Message>
where
    B: Serialize + DynamicType + Sync,
{
    bus.call_method(Some(name), path, Some(interface), method, body).await
}

/// What the service answered; `None` when it refused, which is not the bus's fault.
pub(super) fn answered(answer: zbus::Result<Message>) -> zbus::Result<Option<Message>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::MethodError(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names that somebody owns; asking for them starts nothing.
pub(super) async fn names(bus: &Connection) -> zbus::Result<Vec<String>> {
    call(bus, BUS, BUS_PATH, BUS, "ListNames", &()).await?.body().deserialize()
}

/// The rule that a name gets another owner.
pub(super) fn owner_changes(name: &str) -> String {
    format!("type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{name}'")
}
