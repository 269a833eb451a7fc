//! Watches the agent: starts it, starts it again when it dies, and tells what it says.
//!
//! Invariant: an agent that dies again and again is started ever more rarely, once a minute at last; one question raises
//! one window, and only where the agent finds it worth one.
//! Limit: an agent that hangs is noticed within 65 seconds.

use crate::{
    agent::{Door, QUICK, start_agent, words},
    tray::Tray,
    view::{Recent, Up, View},
};
use jiff::{SignedDuration, Timestamp};
use localapi::{
    AuditLine, RequestInfo,
    client::{ClientError, Event},
};
use platform::paths::ConnectError;
use std::{
    collections::HashSet,
    sync::mpsc::{Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

/// Above the interval of the agent's comments, which is a minute.
const SILENCE: Duration = Duration::from_secs(90);
/// Longest the agent holds a call for lines of the log, and a little more.
const LONG_CALL: Duration = Duration::from_secs(70);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// An agent that lived this long has earned a quick start.
const LIVED: Duration = Duration::from_mins(1);
/// Events this close together count as one.
const TOGETHER: Duration = Duration::from_millis(40);
/// Without news the agent is asked this often: what is told in minutes goes on, and one that hangs is noticed.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// At most so often is the log looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// What wakes the watch.
#[derive(Debug)]
pub(crate) enum Signal {
    /// Something changed.
    Changed,
    /// The agent wants this page before the person.
    Show(String),
    /// Lines were added to the log.
    Lines(Vec<AuditLine>),
    /// The agent of this number is gone.
    Gone(u64),
    /// The person wants the agent looked for at once.
    Retry,
}

/// The watch. It never ends.
pub(crate) struct Watch {
    pub(crate) door: Door,
    pub(crate) tray: Tray,
    pub(crate) signals: Receiver<Signal>,
    pub(crate) sender: Sender<Signal>,
}

impl Watch {
    /// Watches.
    pub(crate) fn run(self) {
        let mut pause = FIRST_PAUSE;
        let mut number = 0;
        let mut raised = None;
        loop {
            number += 1;
            let since = Instant::now();
            let why = match self.attach(number) {
                Ok(()) => self.attend(number, &mut raised),
                Err(why) => why,
            };
            self.tray.view(View::Down(why));
            pause = if since.elapsed() > LIVED { FIRST_PAUSE } else { pause };
            self.wait(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits, unless the person wants it now.
    fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            match self.signals.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Signal::Retry) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Listens to the agent, which is started if none runs.
    fn attach(&self, number: u64) -> Result<(), String> {
        let connect = || self.door.connect(SILENCE);
        let client = match connect() {
            Err(ConnectError::NotRunning) => {
                start_agent()?;
                connect()
            }
            done => done,
        };
        let mut events = client.map_err(|error| error.to_string())?.events().map_err(words)?;
        let sender = self.sender.clone();
        thread::spawn(move || {
            while let Ok(Event { name, data }) = events.next() {
                let signal = match name.as_str() {
                    "show" => Signal::Show(page_of(&data)),
                    _ => Signal::Changed,
                };
                if sender.send(signal).is_err() {
                    return;
                }
            }
            let _ = sender.send(Signal::Gone(number));
        });
        let (door, sender) = (self.door.clone(), self.sender.clone());
        thread::spawn(move || follow(&door, &sender));
        Ok(())
    }

    /// Tells what the agent says, until it is gone; returns why.
    fn attend(&self, number: u64, raised: &mut Option<HashSet<String>>) -> String {
        let mut recent = Recent::default();
        loop {
            match self.look(&recent, raised) {
                Ok(view) => self.tray.view(view),
                Err(why) => return why,
            }
            // The first of many was looked at without a delay; the others count as one.
            thread::sleep(TOGETHER);
            let Ok(mut signal) = self.signals.recv_timeout(LOOK_EVERY) else { continue };
            loop {
                match signal {
                    Signal::Gone(gone) if gone == number => return "it has ended".to_owned(),
                    Signal::Show(page) => self.tray.show(&page),
                    Signal::Lines(lines) => recent.take(&lines),
                    Signal::Gone(_) | Signal::Changed | Signal::Retry => {}
                }
                match self.signals.try_recv() {
                    Ok(next) => signal = next,
                    Err(_) => break,
                }
            }
        }
    }

    /// Asks the agent. What is asked for first are the questions: somebody waits for a window.
    fn look(&self, recent: &Recent, raised: &mut Option<HashSet<String>>) -> Result<View, String> {
        let mut client = self.door.connect(QUICK).map_err(|error| error.to_string())?;
        let requests: Vec<RequestInfo> = client.get("/v1/requests").map_err(words)?;
        for id in to_raise(raised, &requests) {
            self.tray.show(&format!("consent/{id}"));
        }
        let status = client.get("/v1/status").map_err(words)?;
        Ok(View::Up(Box::new(Up { status, requests, recent: recent.clone() })))
    }
}

/// The questions that get a window now. Those that were open before the tray was have had theirs.
fn to_raise(raised: &mut Option<HashSet<String>>, requests: &[RequestInfo]) -> Vec<String> {
    let open: HashSet<String> = requests.iter().map(|request| request.id.clone()).collect();
    let Some(known) = raised else {
        *raised = Some(open);
        return Vec::new();
    };
    let fresh = requests.iter().filter(|request| request.window && !known.contains(&request.id));
    let fresh = fresh.map(|request| request.id.clone()).collect();
    *known = open;
    fresh
}

/// The page a `show` event names; home when it names none.
fn page_of(data: &str) -> String {
    let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    data["page"].as_str().filter(|page| crate::is_page(page)).unwrap_or("home").to_owned()
}

/// Follows the log for as long as the agent answers.
fn follow(door: &Door, sender: &Sender<Signal>) {
    let since = Timestamp::now().checked_sub(SignedDuration::from_hours(24)).unwrap_or_default();
    let since = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut after = 0;
    let mut look = |limit: Duration| -> Result<(Vec<AuditLine>, bool), ClientError> {
        let mut client = door.connect(limit).map_err(|_| std::io::Error::from(std::io::ErrorKind::NotConnected))?;
        let asked = Instant::now();
        let path = format!("/v1/audit?after={after}&since={since}&limit=10000&wait=55");
        let lines: Vec<AuditLine> = client.get(&path)?;
        after = lines.last().map_or(after, |line| line.seq);
        // Nothing, and at once: the log is older than a day. The agent would answer like that each time.
        Ok((lines, asked.elapsed() < BETWEEN_LOOKS))
    };
    while let Ok((lines, at_once)) = look(LONG_CALL) {
        let pause = if lines.is_empty() && at_once { LIVED } else { BETWEEN_LOOKS };
        if !lines.is_empty() && sender.send(Signal::Lines(lines)).is_err() {
            return;
        }
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, window: bool) -> RequestInfo {
        let text = format!(
            r#"{{"id":"{id}","program":"/bin/x","resource":"r","scope":"","state":"pending","expires_at":"","window":{window}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_question_raises_one_window() {
        let mut raised = None;
        let before = request("before", true);
        assert!(to_raise(&mut raised, std::slice::from_ref(&before)).is_empty(), "open before the tray was");
        let both = [before, request("a", true)];
        assert_eq!(to_raise(&mut raised, &both), ["a"]);
        assert!(to_raise(&mut raised, &both).is_empty(), "once");
        assert!(to_raise(&mut raised, &[request("quiet", false)]).is_empty(), "not worth one");
        assert_eq!(to_raise(&mut raised, &[request("b", true)]), ["b"]);
    }

    #[test]
    fn a_page_is_named_or_it_is_home() {
        assert_eq!(page_of(r#"{"page":"consent/1a"}"#), "consent/1a");
        for data in ["{}", "", r#"{"page":"../../etc"}"#, r#"{"page":"https://a.example"}"#, r#"{"page":7}"#] {
            assert_eq!(page_of(data), "home", "{data}");
        }
    }
}
