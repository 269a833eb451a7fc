//! The activity page: the newest lines of the log, filtered.

use super::{
    super::{
        program_key,
        views::{
            ActivityPage, ActivityRow, Long, Pager, Pick, Timeline, Tone, ago, escape_query, event_in_words,
            why_in_words,
        },
    },
    when,
};
use crate::{
    agent::Agent,
    store::{AuditQuery, StoreError},
    times,
};
use broker::Timestamp;
use localapi::AuditLine;
use std::collections::BTreeSet;

/// Most lines that are looked through.
const LOOKED_AT: usize = 5000;

/// What the activity page is asked to show; empty = everything.
#[derive(Debug, Clone, Default)]
pub(in crate::pages) struct Sought {
    /// Words anywhere in a line.
    pub(in crate::pages) query: String,
    /// A program, to the letter.
    pub(in crate::pages) program: String,
    /// A service, to the letter.
    pub(in crate::pages) service: String,
    /// `given` or `refused`.
    pub(in crate::pages) outcome: String,
    /// Which page of the list, from 1.
    pub(in crate::pages) page: usize,
}

impl Sought {
    fn fits(&self, line: &AuditLine) -> bool {
        let is = |wanted: &str, found: Option<&String>| wanted.is_empty() || found.is_some_and(|found| found == wanted);
        let outcome = match self.outcome.as_str() {
            "given" => line.event == "token.issued",
            "refused" => !matches!(line.code.as_str(), "ok" | "consent_required"),
            _ => true,
        };
        let what = event_in_words(&line.event);
        let all = [Some(&what), line.program.as_ref(), line.resource.as_ref(), line.account.as_ref(), Some(&line.code)];
        let wanted = self.query.to_lowercase();
        outcome
            && is(&self.program, line.program.as_ref())
            && is(&self.service, line.resource.as_ref())
            && (wanted.is_empty() || all.into_iter().flatten().any(|text| text.to_lowercase().contains(&wanted)))
    }
}

/// What can be chosen: the newest 100 values, in their order; what is chosen now is always among them.
fn picks<'a>(newest_first: impl Iterator<Item = &'a String>, chosen: &str) -> Vec<Pick> {
    let mut values: BTreeSet<&str> = Some(chosen).filter(|chosen| !chosen.is_empty()).into_iter().collect();
    for value in newest_first {
        if values.len() >= 100 {
            break;
        }
        values.insert(value);
    }
    let pick = |value: &str| Pick { value: value.to_owned(), words: value.to_owned(), chosen: value == chosen };
    values.into_iter().map(pick).collect()
}

pub(super) fn activity_row(line: &AuditLine, now: Timestamp) -> ActivityRow {
    let time = times::parse(&line.time).unwrap_or(now);
    let outcome = match line.code.as_str() {
        "ok" => Tone::Good,
        "consent_required" => Tone::Waiting,
        "internal" | "profile_invalid" => Tone::Bad,
        "issuer_unavailable" | "issuer_rejected" | "keychain_locked" | "keychain_unavailable" | "peer_unidentified" => {
            Tone::Warning
        }
        _ => Tone::Refused,
    };
    ActivityRow {
        time: when(ago(time.until(now).as_seconds()), time),
        what: event_in_words(&line.event),
        outcome,
        why: why_in_words(&line.code).filter(|_| line.event != "consent.denied"),
        program: line.program.as_deref().map(Long::path),
        key: line.program.as_deref().filter(|program| !program.starts_with("unidentified")).map(program_key),
        service: line.resource.clone(),
        account: line.account.clone(),
    }
}

/// The activity page: of the newest 5000 lines those that fit, one page of them as a list.
pub(in crate::pages) fn activity(agent: &Agent, sought: Sought) -> Result<ActivityPage, StoreError> {
    let lines = agent.store.audit_lines(&AuditQuery {
        after: None,
        since: None,
        limit: i64::try_from(LOOKED_AT).unwrap_or(i64::MAX),
    })?;
    let now = agent.now();
    let fitting: Vec<&AuditLine> = lines.iter().rev().filter(|line| sought.fits(line)).collect();
    let passes = fitting.iter().filter_map(|line| {
        let given = match (line.event.as_str(), line.code.as_str()) {
            ("token.issued", _) => true,
            ("token.refused", code) if code != "consent_required" => false,
            _ => return None,
        };
        let seconds = times::parse(&line.time)?.until(now).as_seconds().max(0);
        Some((usize::try_from(seconds / 3600).ok()?, given))
    });
    let outcomes = [("given", "Passes given"), ("refused", "Refused or failed")];
    let outcomes = outcomes.map(|(value, words)| Pick {
        value: value.to_owned(),
        words: words.to_owned(),
        chosen: value == sought.outcome,
    });
    let mut base = "/activity?".to_owned();
    for (name, value) in
        [("q", &sought.query), ("program", &sought.program), ("service", &sought.service), ("outcome", &sought.outcome)]
    {
        if !value.is_empty() {
            base.extend([name, "=", &escape_query(value), "&"]);
        }
    }
    let pager = Pager::new(sought.page, fitting.len(), base);
    Ok(ActivityPage {
        timeline: Timeline::new(passes),
        rows: fitting[pager.range()].iter().map(|line| activity_row(line, now)).collect(),
        more: lines.len() >= LOOKED_AT,
        pager,
        programs: picks(lines.iter().rev().filter_map(|line| line.program.as_ref()), &sought.program),
        services: picks(lines.iter().rev().filter_map(|line| line.resource.as_ref()), &sought.service),
        outcomes: outcomes.to_vec(),
        query: sought.query,
    })
}
