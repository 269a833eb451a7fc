//! Copies of the lines for the system's logs, after the fact.
//!
//! Invariant: lines go out in their order from a cursor in the database that moves with each one: what a log does not take
//! waits, a restart goes on where the last agent stopped, and no more than one line is ever sent twice. No token waits for it.
//! Limit: lines that are taken out of the log before they could be sent are lost to the export; they are counted. A log
//! that was not a target before is given what was written since the agent started.

use crate::{
    agent::Agent,
    store::{AuditQuery, StoreError, lock, severity},
    times,
};
use broker::{AuditExport, Timestamp};
use localapi::AuditLine;
use platform::system_log::{Record, SystemLog, Target};
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Lines read at a time.
const PAGE: i64 = 100;
/// How long one round sends.
const ROUND: Duration = Duration::from_millis(500);
/// After a failure the next try waits this long, doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The ways to the system's logs.
pub(crate) struct Exports {
    test_dir: Option<PathBuf>,
    newest_at_start: i64,
    /// For blocking threads only.
    ways: Mutex<BTreeMap<Target, Way>>,
    busy: AtomicBool,
    told: Mutex<Vec<Standing>>,
}

struct Way {
    log: SystemLog,
    cursor: i64,
    lost: i64,
    trouble: Option<Trouble>,
}

struct Trouble {
    since: Timestamp,
    tries: u32,
    error: String,
    pause: Duration,
    again: Instant,
}

/// How it stands with one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The target.
    pub(crate) target: Target,
    /// Where it should listen.
    pub(crate) socket: PathBuf,
    /// The last line it was given.
    pub(crate) sent: i64,
    /// Lines it will never be given.
    pub(crate) lost: i64,
    /// Since when it takes nothing, how often that was tried, and why.
    pub(crate) trouble: Option<(Timestamp, u32, String)>,
    /// When it is tried again.
    pub(crate) again: Option<Instant>,
}

impl Exports {
    pub(super) fn new(test_dir: Option<PathBuf>, newest_at_start: i64) -> Self {
        let (ways, busy, told) = (Mutex::default(), AtomicBool::new(false), Mutex::default());
        Self { test_dir, newest_at_start, ways, busy, told }
    }

    /// How it stands with each target.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        lock(&self.told).clone()
    }

    /// What a person should know of it.
    pub(crate) fn notices(&self) -> Vec<String> {
        let stuck = self.standings().into_iter().filter_map(|standing| {
            let (_, _, why) = standing.trouble?;
            Some(format!("the audit log is not copied to {}: {why}", standing.target.word()))
        });
        stuck.collect()
    }

    fn is_due(&self, wanted: &[Target], newest: i64) -> bool {
        let told = lock(&self.told);
        let due =
            |standing: &Standing| standing.sent < newest && standing.again.is_none_or(|again| Instant::now() >= again);
        told.len() != wanted.len() || told.iter().any(|standing| !wanted.contains(&standing.target) || due(standing))
    }
}

impl Agent {
    /// Starts a round of copying when there is something to copy.
    pub(crate) fn export_audit(self: &Arc<Self>) {
        let rules = self.rules();
        // Nobody knows where lines should go while the profile is no profile; they wait.
        if rules.locked.is_some() {
            return;
        }
        let wanted = targets(&rules.audit.export);
        let exports = &self.audit.exports;
        if !exports.is_due(&wanted, self.store.head().0) || exports.busy.swap(true, Ordering::Relaxed) {
            return;
        }
        let agent = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            agent.export_round(&wanted);
            agent.audit.exports.busy.store(false, Ordering::Relaxed);
        });
    }

    /// One last round, for the lines about the end.
    pub(crate) async fn export_rest(self: &Arc<Self>) {
        let rules = self.rules();
        if rules.locked.is_none() && !rules.audit.export.is_empty() {
            let (agent, wanted) = (Arc::clone(self), targets(&rules.audit.export));
            let round = tokio::task::spawn_blocking(move || agent.export_round(&wanted));
            let _ = tokio::time::timeout(ROUND * 4, round).await;
        }
    }

    fn export_round(&self, wanted: &[Target]) {
        let exports = &self.audit.exports;
        let mut ways = lock(&exports.ways);
        ways.retain(|target, _| wanted.contains(target));
        for target in wanted {
            if !ways.contains_key(target) {
                match self.way_to(*target) {
                    Ok(way) => ways.insert(*target, way),
                    Err(error) => {
                        tracing::error!(target = target.word(), error, "the audit log cannot be copied");
                        continue;
                    }
                };
            }
            if let Some(way) = ways.get_mut(target)
                && let Err(error) = self.send_lines(way)
            {
                tracing::error!(target = target.word(), %error, "the audit log cannot be copied");
            }
        }
        *lock(&exports.told) = ways.values().map(Way::standing).collect();
    }

    fn way_to(&self, target: Target) -> Result<Way, String> {
        let exports = &self.audit.exports;
        let log = SystemLog::new(target, exports.test_dir.as_deref()).map_err(|error| error.to_string())?;
        let known = self.store.exported(target.word()).map_err(|error| error.to_string())?;
        let cursor = known.unwrap_or(exports.newest_at_start).min(self.store.head().0);
        self.store.note_exported(target.word(), cursor).map_err(|error| error.to_string())?;
        Ok(Way { log, cursor, lost: 0, trouble: None })
    }

    fn send_lines(&self, way: &mut Way) -> Result<(), StoreError> {
        if way.trouble.as_ref().is_some_and(|trouble| Instant::now() < trouble.again) {
            return Ok(());
        }
        let begun = Instant::now();
        while begun.elapsed() < ROUND {
            let lines = self.store.audit_lines(&AuditQuery { after: Some(way.cursor), since: None, limit: PAGE })?;
            if lines.is_empty() {
                break;
            }
            for line in &lines {
                let gone = line.seq - way.cursor - 1;
                match way.log.send(&record(line)) {
                    Ok(()) => way.trouble = None,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    // It would never be taken.
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                        way.lost += 1;
                    }
                    Err(error) => {
                        way.fail(&error, self.now());
                        return Ok(());
                    }
                }
                way.lost += gone;
                way.cursor = line.seq;
                self.store.note_exported(way.log.target().word(), line.seq)?;
            }
        }
        Ok(())
    }
}

impl Way {
    fn fail(&mut self, error: &io::Error, now: Timestamp) {
        let error = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
            _ => error.to_string(),
        };
        let (since, tries, pause) = if let Some(trouble) = &self.trouble {
            (trouble.since, trouble.tries.saturating_add(1), (trouble.pause * 2).min(LONGEST_PAUSE))
        } else {
            tracing::warn!(target = self.log.target().word(), error, "the audit log is not copied for now");
            (now, 1, FIRST_PAUSE)
        };
        self.trouble = Some(Trouble { since, tries, error, pause, again: Instant::now() + pause });
    }

    fn standing(&self) -> Standing {
        let trouble = self.trouble.as_ref();
        Standing {
            target: self.log.target(),
            socket: self.log.path().to_owned(),
            sent: self.cursor,
            lost: self.lost,
            trouble: trouble.map(|trouble| (trouble.since, trouble.tries, trouble.error.clone())),
            again: trouble.map(|trouble| trouble.again),
        }
    }
}

fn targets(export: &[AuditExport]) -> Vec<Target> {
    let target = |export: &AuditExport| match export {
        AuditExport::Journald => Target::Journald,
        AuditExport::Syslog => Target::Syslog,
    };
    export.iter().map(target).collect()
}

fn record(line: &AuditLine) -> Record<'_> {
    let named = [
        ("seq", Some(line.seq.to_string().into())),
        ("time", Some(line.time.as_str().into())),
        ("event", Some(line.event.as_str().into())),
        ("code", Some(line.code.as_str().into())),
        ("program", line.program.as_deref().map(Into::into)),
        ("account", line.account.as_deref().map(Into::into)),
        ("resource", line.resource.as_deref().map(Into::into)),
        ("scope", line.scope.as_deref().map(Into::into)),
        ("via", line.via.as_deref().map(Into::into)),
        ("hash", Some(line.hash.as_str().into())),
    ];
    Record {
        severity: severity(&line.event, &line.code),
        local_time: times::parse(&line.time).map(times::local_stamp).unwrap_or_default(),
        values: named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
    }
}
