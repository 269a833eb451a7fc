//! One program's page: what the log, the grants, the blocks and the settings say of what people are shown of a program.

use super::{
    super::{
        program_key,
        views::{Long, ProgramPage, Standing, escape_query},
    },
    activity::activity_row,
    grant_row, when,
};
use crate::{
    agent::Agent,
    server::{grant_info, stands},
    store::{AuditQuery, StoreError},
    trip::{cut, printable},
};
use broker::{BlockKey, ConsentRule, Grant, Peers};
use std::path::Path;

/// Most lines that are looked through, and shown.
const LOOKED_AT: i64 = 5000;
const SHOWN: usize = 50;

/// Whether a grant belongs to the program people are shown as `shown`.
pub(in crate::pages) fn is_of(grant: &Grant, shown: &str) -> bool {
    let program = cut(&grant_info(grant).program);
    // Of a terminal session the log also names the shell.
    program == shown || (program.starts_with("terminal ") && shown.starts_with(&format!("{program} (")))
}

/// What blocks the program people are shown so: the file at that path, if it is shown to the letter.
pub(in crate::pages) fn block_key(shown: &str) -> Option<BlockKey> {
    let whole = shown.starts_with('/') && !shown.ends_with(" (no file)") && !shown.ends_with('…');
    (whole && !shown.contains('\u{fffd}')).then(|| BlockKey::file(Path::new(shown)))
}

/// The page of the program people are shown as `shown`.
pub(in crate::pages) fn program(
    agent: &Agent,
    shown: &str,
    page_token: String,
    said: Option<String>,
) -> Result<ProgramPage, StoreError> {
    let (rules, now) = (agent.rules(), agent.now());
    let lines = agent.store.audit_lines(&AuditQuery { after: None, since: None, limit: LOOKED_AT })?;
    let own = lines.iter().rev().filter(|line| line.program.as_deref() == Some(shown));
    let grants = agent.store.all_grants();
    let grants = grants.iter().rev().filter(|grant| is_of(grant, shown) && stands(grant, &rules, now));
    let key = block_key(shown);
    let blocks = agent.store.all_blocks();
    let blocked = blocks.iter().find(|block| Some(&block.key) == key.as_ref() || block.key.shown() == shown);
    let standing = match (blocked, &key) {
        (Some(block), _) => {
            Standing::Blocked(block.id.to_string(), when(super::ago(block.since.until(now).as_seconds()), block.since))
        }
        (None, Some(_)) => Standing::Free,
        (None, None) => Standing::Unclear,
    };
    let listed = |peers: &Peers| match peers {
        Peers::Any => true,
        Peers::Listed(rules) => rules.iter().any(|rule| {
            let file = rule.script.as_deref().or(rule.path.as_deref());
            file.is_some_and(|file| file == Path::new(shown))
        }),
    };
    let by_settings = rules.resources.values().filter(|r| r.consent == ConsentRule::Preapproved && listed(&r.peers));
    let name = shown.rsplit('/').next().filter(|name| shown.starts_with('/') && !name.is_empty()).unwrap_or(shown);
    Ok(ProgramPage {
        page_token,
        said,
        key: program_key(shown),
        name: Long::name(name),
        path: Long::path(&printable(shown)),
        standing,
        grants: grants.map(|grant| grant_row(agent, &rules, grant)).collect(),
        by_settings: by_settings.map(|resource| resource.name.to_string()).collect(),
        rows: own.take(SHOWN).map(|line| activity_row(line, now)).collect(),
        all: format!("/activity?program={}", escape_query(shown)),
    })
}
