//! Every event the audit log knows, with its weight in the system log.
//!
//! Invariant: an event that is not in this list is not in the code, and each one is explained in `docs/it-guide.md`; tests
//! hold both. Limit: what an event means is said there and in `pages/views/words.rs`, not here.

/// Severities of RFC 5424 §6.2.1, as far as they are used.
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFORMATIONAL: u8 = 6;

/// The events, and how much each weighs when it went as it should.
pub(crate) const EVENTS: &[(&str, u8)] = &[
    ("access.refused", WARNING),
    ("agent.started", INFORMATIONAL),
    ("agent.stopped", INFORMATIONAL),
    ("audit.trimmed", NOTICE),
    ("audit.unanchored", ERROR),
    ("consent.always", INFORMATIONAL),
    ("consent.denied", NOTICE),
    ("consent.expired", INFORMATIONAL),
    ("consent.gone", INFORMATIONAL),
    ("consent.once", INFORMATIONAL),
    ("consent.refused", WARNING),
    ("consent.today", INFORMATIONAL),
    ("grant.ended", INFORMATIONAL),
    ("grant.revoked", INFORMATIONAL),
    ("grant.updated", NOTICE),
    ("pause.begun", NOTICE),
    ("pause.ended", NOTICE),
    ("profile.changed", NOTICE),
    ("program.blocked", NOTICE),
    ("program.unblocked", NOTICE),
    ("refresh.failed", NOTICE),
    ("request.refused", NOTICE),
    ("session.ended", INFORMATIONAL),
    ("sign_in.done", INFORMATIONAL),
    ("sign_in.failed", NOTICE),
    ("sign_in.lost", WARNING),
    ("sign_out", INFORMATIONAL),
    ("token.issued", INFORMATIONAL),
    ("token.refused", NOTICE),
];

/// The severity of a line, 0 (worst) to 7.
pub(crate) fn severity(event: &str, code: &str) -> u8 {
    let usual = EVENTS.iter().find(|(name, _)| *name == event).map_or(NOTICE, |(_, severity)| *severity);
    match code {
        "consent_required" => INFORMATIONAL,
        "internal" | "profile_invalid" => usual.min(ERROR),
        "peer_unidentified" | "not_first_party" | "program_blocked" => usual.min(WARNING),
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::views::event_in_words;
    use std::{collections::BTreeSet, fs, path::Path};

    /// Words of the code that look like events and are none: codes, steps and keys.
    const NO_EVENTS: &[&str] = &[
        "profile.claims",
        "refresh.answered",
        "refresh.before",
        "refresh.invalid_grant",
        "refresh.kept",
        "refresh.noted",
        "refresh.stored",
        "refresh.unanswered",
        "sign_in.cancelled",
        "sign_in.ended",
    ];

    fn names() -> BTreeSet<String> {
        EVENTS.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// Words in quotes such as `token.issued`, whose first part is that of an event.
    fn words(folder: &Path, firsts: &BTreeSet<String>, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if path.is_dir() && name != "tests" && name != "views" {
                words(&path, firsts, found);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && !["tests.rs", "machine.rs", "events.rs"].contains(&name.as_str())
            {
                for word in fs::read_to_string(&path).unwrap().split('"') {
                    let fits =
                        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                    let Some((first, second)) = word.split_once('.') else { continue };
                    if fits(first)
                        && fits(second)
                        && firsts.contains(first)
                        && !["html", "toml", "rs"].contains(&second)
                    {
                        found.insert(word.to_owned());
                    }
                }
            }
        }
    }

    #[test]
    fn the_list_has_every_event_of_the_code() {
        let firsts: BTreeSet<String> =
            EVENTS.iter().filter_map(|(name, _)| name.split_once('.')).map(|(first, _)| first.to_owned()).collect();
        let mut found = BTreeSet::from(["sign_out".to_owned()]);
        words(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &firsts, &mut found);
        let found: BTreeSet<String> = found.into_iter().filter(|word| !NO_EVENTS.contains(&word.as_str())).collect();
        assert_eq!(found, names(), "a new event needs its line in EVENTS (or, being none, in NO_EVENTS)");
    }

    #[test]
    fn every_event_has_words_and_a_row_in_the_guide() {
        for name in names() {
            assert_ne!(event_in_words(&name), name.replace(['.', '_'], " "), "{name} has no words for people");
        }
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/it-guide.md");
        let guide = fs::read_to_string(guide).unwrap();
        let section = guide.split("## What to watch in the audit log").nth(1).expect("the section of the guide");
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), names(), "the table in docs/it-guide.md");
    }
}
