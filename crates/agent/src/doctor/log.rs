//! The audit log: its anchor, its old lines, its copies in the system's logs.

use super::{Anchor, More as _, State, check, counted};
use crate::{agent::Agent, audit::Standing, pages::views::ago};
use broker::{Timestamp, ports::KeychainError};
use localapi::DoctorCheck;

impl Agent {
    /// The newest line that is anchored in the keychain must still be there, and lines that are too old must not.
    pub(super) fn examine_audit(&self, anchor: &Anchor) -> DoctorCheck {
        let lines = self.store.audit_count().unwrap_or_default();
        let lines = counted(usize::try_from(lines).unwrap_or_default(), "line");
        let said = |state, more: &str| check("audit", state, format!("{lines}{more}"));
        match anchor {
            Ok(Some(anchor)) => match self.store.hash_at(anchor.seq) {
                Ok(Some(found)) if found == anchor.hash => match self.audit.stuck() {
                    None => said(State::Ok, &format!("; line {} is as the keychain knows it", anchor.seq)),
                    Some(why) => said(State::Warning, &format!("; old ones stay: {why}"))
                        .hint("look at the chain itself: daypass audit verify"),
                },
                Ok(_) => said(
                    State::Failed,
                    &format!("; line {} is not as the keychain knows it: something was changed or cut off", anchor.seq),
                )
                .hint("look where: daypass audit verify"),
                Err(error) => check("audit", State::Failed, format!("the database cannot be read: {error}"))
                    .hint("look at the disk the state directory is on; the agent's log says more"),
            },
            Ok(None) if self.vault.is_durable() => {
                said(State::Ok, "; the keychain gets to know the newest within a minute")
            }
            Ok(None) => said(State::Ok, "; without a keychain nobody can tell whether the end was cut off"),
            Err(KeychainError::Damaged(_)) => said(State::Failed, "; what the keychain knows of it is damaged")
                .hint("look at the chain itself: daypass audit verify"),
            Err(_) => said(State::Skipped, "; the keychain cannot be asked what it knows of them"),
        }
    }
}

/// Whether one of the system's logs gets its copies.
pub(super) fn export(standing: &Standing, newest: i64, now: Timestamp) -> DoctorCheck {
    let (name, waiting) = (standing.target.word(), newest - standing.sent);
    let waiting = counted(usize::try_from(waiting).unwrap_or_default(), "line");
    let lost = match standing.lost {
        0 => String::new(),
        lost => format!("; {} could not be sent in time", counted(usize::try_from(lost).unwrap_or_default(), "line")),
    };
    match &standing.trouble {
        Some((since, tries, why)) => {
            let since = ago(since.until(now).as_seconds());
            let tries = if *tries == 1 { "once".to_owned() } else { format!("{tries} times") };
            let finding = format!("{name}: {why}, tried {tries} since {since}; {waiting} waiting{lost}");
            let hint = format!("start the service that reads {}; nothing is lost meanwhile", standing.socket.display());
            check("audit_export", State::Warning, finding).hint(hint)
        }
        None if standing.lost > 0 => check("audit_export", State::Warning, format!("{name}: {waiting} waiting{lost}"))
            .hint("daypass audit has the lines that are left; look whether the log was away for long"),
        None => check("audit_export", State::Ok, format!("{name}: {waiting} waiting")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::system_log::Target;

    #[test]
    fn a_copy_in_words() {
        let standing = |lost, trouble| Standing {
            target: Target::Journald,
            socket: "/run/systemd/journal/socket".into(),
            sent: 10,
            lost,
            trouble,
            again: None,
        };
        let trouble = Some((Timestamp::from_seconds(100), 7, "nobody listens there".to_owned()));
        for (standing, state, finding) in [
            (standing(0, None), "ok", "journald: 2 lines waiting"),
            (
                standing(1, trouble),
                "warning",
                "journald: nobody listens there, tried 7 times since 5 minutes ago; 2 lines waiting; \
                 1 line could not be sent in time",
            ),
            (standing(3, None), "warning", "journald: 2 lines waiting; 3 lines could not be sent in time"),
        ] {
            let check = export(&standing, 12, Timestamp::from_seconds(400));
            assert_eq!((check.state.as_str(), check.finding.as_str()), (state, finding));
            assert_eq!(check.hint.is_some(), state != "ok", "a next step for what is not well");
        }
    }
}
