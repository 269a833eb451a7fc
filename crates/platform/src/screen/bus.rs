//! Staying at a bus: ask, wait for a signal, ask again.
//!
//! Invariants: a signal is only a reason to ask, and only one of the bus itself or of the present owner of a name that is
//! asked: anybody else may send what he likes. What is believed is the answer of that owner. Signals are taken in while it
//! is asked and never more than [`MOST_AT_ONCE`] together, so that a flood holds up neither the answer nor the next
//! question. Every connection and every call ends within [`PATIENCE`]; whatever goes wrong makes the source silent
//! ([`super::hold`] says what then counts), and the bus is tried again later.
//! Limit: whoever owns a name on the bus is believed; on the system bus only the system's policy lets somebody own logind's.

use super::hold::{ASK_AGAIN, Hold, Word};
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::Poll,
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
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// After a connection that lasted this long the pauses begin anew.
const GOOD_WHILE: Duration = Duration::from_mins(1);
/// Most messages looked at in one go, and most signals kept that came while it was asked.
const MOST_AT_ONCE: usize = 64;

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// Somebody on a bus who knows about the screen.
pub(super) trait Source: Send {
    /// The way to the bus.
    fn bus() -> zbus::Result<Builder<'static>>;
    /// The names that are asked.
    fn names() -> &'static [&'static str];
    /// The match rules of the signals that are a reason to ask.
    fn matches() -> Vec<String>;
    /// Asks the owners of the names.
    fn read(&mut self, bus: &Connection, owners: &Owners) -> impl Future<Output = zbus::Result<Word>> + Send;
    /// Sees a signal of one of the owners before the next question.
    fn see(&mut self, signal: &Message);
    /// When to ask again without a signal.
    fn again_at(&self) -> Option<Instant>;
}

/// Who owns which name now, by the address no one else can have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Owners(Vec<(&'static str, String)>);

impl Owners {
    /// The owner of a name; `None` when nobody owns it.
    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(owned, _)| *owned == name).map(|(_, owner)| owner.as_str())
    }

    /// Asks the bus; that starts nothing.
    async fn learn(bus: &Connection, names: &'static [&'static str]) -> zbus::Result<Self> {
        let there: Vec<String> = call(bus, BUS, BUS_PATH, BUS, "ListNames", &()).await?.body().deserialize()?;
        let mut owners = Vec::new();
        for name in names.iter().filter(|name| there.iter().any(|one| one == *name)) {
            // One that left just now is no failure.
            if let Some(answer) = refused_or(call(bus, BUS, BUS_PATH, BUS, "GetNameOwner", &(name,)).await)? {
                owners.push((*name, answer.body().deserialize()?));
            }
        }
        Ok(Self(owners))
    }

    /// Whether a message is a signal that counts: of the bus, whose name nobody can bear, or of an owner.
    fn believe(&self, message: &Message) -> bool {
        let header = message.header();
        let sender = header.sender().map(zbus::names::UniqueName::as_str);
        message.message_type() == Type::Signal
            && sender.is_some_and(|sender| sender == BUS || self.0.iter().any(|(_, owner)| owner == sender))
    }
}

/// Tells what counts of the source, for ever.
pub(super) async fn attend<S: Source>(source: &mut S, say: impl Fn(Option<bool>) + Send + Sync) {
    let (mut hold, mut pause) = (Hold::default(), FIRST_PAUSE);
    loop {
        let begun = Instant::now();
        let last = match connect::<S>().await {
            Ok(bus) => {
                // Why it ended makes no difference.
                let _ = stay(source, &bus, &mut hold, &say).await;
                Word::Silent
            }
            Err(error) => unconnected(&error),
        };
        say(hold.hear(last, Instant::now()));
        if begun.elapsed() >= GOOD_WHILE {
            pause = FIRST_PAUSE;
        }
        sleep(if hold.is_holding() { pause.min(ASK_AGAIN) } else { pause }).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn connect<S: Source>() -> zbus::Result<Connection> {
    let late = |_| Error::from(io::Error::from(io::ErrorKind::TimedOut));
    timeout(PATIENCE, S::bus()?.method_timeout(PATIENCE).build()).await.map_err(late)?
}

/// No bus at all, or one that does not answer.
fn unconnected(error: &Error) -> Word {
    let (Error::InputOutput(reason) | Error::Connection(reason, _)) = error else { return Word::Silent };
    match reason.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Word::Gone,
        _ => Word::Silent,
    }
}

async fn stay<S: Source>(
    source: &mut S,
    bus: &Connection,
    hold: &mut Hold,
    say: &(impl Fn(Option<bool>) + Send + Sync),
) -> zbus::Result<()> {
    let mut messages = MessageStream::from(bus);
    for rule in S::matches() {
        while_heard(call(bus, BUS, BUS_PATH, BUS, "AddMatch", &(rule,)), &mut messages, |_| ()).await?;
    }
    let mut owners = Owners::default();
    loop {
        // Who spoke for a name before it is asked counts; what a new owner changed is in his answer.
        let mut heard = Heard::default();
        let now = while_heard(Owners::learn(bus, S::names()), &mut messages, |m| heard.note(m, &owners)).await?;
        owners = now;
        let word = while_heard(source.read(bus, &owners), &mut messages, |m| heard.note(m, &owners)).await?;
        say(hold.hear(word, Instant::now()));
        if heard.0.is_empty() {
            let own = source.again_at();
            let held = hold.is_holding().then(|| Instant::now() + ASK_AGAIN);
            match own.into_iter().chain(held).min() {
                Some(at) => {
                    // Late is as good as heard.
                    if let Ok(None) = timeout_at(at, believed(&mut messages, &owners, &mut heard)).await {
                        return Ok(());
                    }
                }
                None => {
                    if believed(&mut messages, &owners, &mut heard).await.is_none() {
                        return Ok(());
                    }
                }
            }
        }
        heard.0.iter().for_each(|signal| source.see(signal));
    }
}

/// The signals that counted, the newest where there were too many.
#[derive(Default)]
struct Heard(Vec<Message>);

impl Heard {
    fn note(&mut self, message: Message, owners: &Owners) {
        if owners.believe(&message) {
            if self.0.len() == MOST_AT_ONCE {
                self.0.remove(0);
            }
            self.0.push(message);
        }
    }
}

/// Waits for signals that count, and takes in what has come with them; `None` when the bus has ended.
async fn believed(messages: &mut MessageStream, owners: &Owners, heard: &mut Heard) -> Option<()> {
    poll_fn(|context| {
        for _ in 0..MOST_AT_ONCE {
            match Pin::new(&mut *messages).poll_next(context) {
                Poll::Ready(Some(Ok(message))) => heard.note(message, owners),
                Poll::Ready(_) => return Poll::Ready(None),
                // One question answers all that has come by now.
                Poll::Pending if heard.0.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Some(())),
            }
        }
        if heard.0.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(()))
    })
    .await
}

/// Does something that waits for an answer, and takes in what comes meanwhile: an answer behind messages nobody takes would
/// never come.
async fn while_heard<T>(
    work: impl Future<Output = T>,
    messages: &mut MessageStream,
    mut hear: impl FnMut(Message),
) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        for _ in 0..MOST_AT_ONCE {
            match Pin::new(&mut *messages).poll_next(context) {
                Poll::Ready(Some(Ok(message))) => hear(message),
                // The bus has ended, and so will the work.
                Poll::Ready(_) | Poll::Pending => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Calls a method; [`PATIENCE`] at most. An answer of another than was asked is none.
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
    let answer = bus.call_method(Some(name), path, Some(interface), method, body).await?;
    let is_of_whom_was_asked = answer.header().sender().is_some_and(|sender| sender.as_str() == name);
    if is_of_whom_was_asked { Ok(answer) } else { Err(Error::InvalidReply) }
}

/// What the service answered; `None` when it refused, which is not the bus's fault. What the bus says in its place is no
/// answer.
pub(super) fn refused_or(answer: zbus::Result<Message>) -> zbus::Result<Option<Message>> {
    const OF_THE_BUS: [&str; 7] =
        ["NoReply", "Timeout", "TimedOut", "Disconnected", "ServiceUnknown", "LimitsExceeded", "NoMemory"];
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::MethodError(name, text, message)) => {
            let unanswered = name
                .as_str()
                .strip_prefix("org.freedesktop.DBus.Error.")
                .is_some_and(|kind| OF_THE_BUS.contains(&kind));
            if unanswered { Err(Error::MethodError(name, text, message)) } else { Ok(None) }
        }
        Err(error) => Err(error),
    }
}

/// The rule that a name gets another owner.
pub(super) fn owner_changes(name: &str) -> String {
    format!("type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{name}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bus_and_the_owner_of_the_name_are_believed() {
        let owners = Owners(vec![("org.freedesktop.login1", ":1.7".to_owned())]);
        let signal =
            || Message::signal("/org/freedesktop/login1/session/_32", "org.freedesktop.login1.Session", "Unlock");
        for (sender, expected) in [(Some(":1.7"), true), (Some(BUS), true), (Some(":1.77"), false), (None, false)] {
            let signal = match sender {
                Some(sender) => signal().unwrap().sender(sender).unwrap(),
                None => signal().unwrap(),
            };
            let signal = signal.build(&()).unwrap();
            assert_eq!(owners.believe(&signal), expected, "{sender:?}");
            assert!(!Owners::default().believe(&signal) || sender == Some(BUS), "nobody owns the name: {sender:?}");
            let mut heard = Heard::default();
            (0..1000).for_each(|_| heard.note(signal.clone(), &owners));
            assert_eq!(heard.0.len(), if expected { MOST_AT_ONCE } else { 0 }, "a flood of {sender:?}");
        }
        let call = Message::method_call("/", "Unlock").unwrap().sender(":1.7").unwrap().build(&()).unwrap();
        assert!(!owners.believe(&call), "not a signal");
    }

    #[test]
    fn no_bus_is_gone_and_a_bus_that_fails_is_silent() {
        let failed = |kind: io::ErrorKind| unconnected(&Error::from(io::Error::from(kind)));
        assert_eq!(failed(io::ErrorKind::NotFound), Word::Gone);
        assert_eq!(failed(io::ErrorKind::ConnectionRefused), Word::Gone);
        assert_eq!(failed(io::ErrorKind::TimedOut), Word::Silent);
        assert_eq!(unconnected(&Error::InvalidReply), Word::Silent);
    }

    #[test]
    fn what_the_bus_says_in_the_place_of_a_service_is_no_refusal() {
        let error = |name: &str| {
            let call = Message::method_call("/", "Ask").unwrap().build(&()).unwrap();
            let answer = Message::error(&call.header(), name).unwrap().build(&()).unwrap();
            refused_or(Err(Error::from(answer)))
        };
        for name in ["NoReply", "ServiceUnknown", "Timeout", "Disconnected"] {
            assert!(error(&format!("org.freedesktop.DBus.Error.{name}")).is_err(), "{name}");
        }
        for name in ["org.freedesktop.login1.NoSuchUser", "org.freedesktop.DBus.Error.UnknownObject"] {
            assert!(matches!(error(name), Ok(None)), "{name}");
        }
    }
}
