//! What `daypass doctor` is told: the agent looks at itself, at the keychain, and at the way to each issuer.
//!
//! Invariant: it answers within ten seconds whatever hangs, it changes nothing, and no finding holds a secret: proxies are
//! named without their password, tokens are not looked at, and servers speak only through what `oidc` has sanitised.
//! Limit: a look is a moment; what fails now and then may go well just then.

mod log;
mod way;

use crate::{
    accounts::{Entry, SignIn},
    agent::Agent,
    pages::views::{ago, in_words},
    profiles::Snapshot,
    server::{ApiError, answer::json},
    store::lock,
};
use axum::{
    body::Body,
    extract::State as Injected,
    http::{Response, StatusCode},
};
use broker::{Account, AccountName, Refusal, Span, ports::KeychainError};
use futures_util::future::join_all;
use localapi::{AgentStatus, Doctor, DoctorCheck};
use oidc::Diagnosis;
use platform::screen::LockState;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// How long the way to the issuers is looked at.
const WAY_LIMIT: Duration = Duration::from_secs(8);
/// How long the keychain has to answer.
const KEYCHAIN_LIMIT: Duration = Duration::from_secs(5);
/// How long a second caller waits for the first.
const TURN_LIMIT: Duration = Duration::from_secs(10);
/// Most diagnostics of the profile that are told one by one.
const MOST_DIAGNOSTICS: usize = 20;

/// One look at a time, so that nobody makes the agent knock at issuers without end.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

type Anchor = Result<Option<crate::store::Anchor>, KeychainError>;

/// `GET /v1/doctor`.
pub(crate) async fn doctor(Injected(agent): Injected<Arc<Agent>>) -> Result<Response<Body>, ApiError> {
    let Ok(_turn) = timeout(TURN_LIMIT, TURN.lock()).await else {
        return Err(Refusal::RateLimited { retry_after: Span::seconds(10) }.into());
    };
    let checks = agent.examine().await;
    let agent_status = AgentStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime: i64::try_from(agent.started.elapsed().as_secs()).unwrap_or(i64::MAX),
    };
    Ok(json(StatusCode::OK, &Doctor { agent: agent_status, test_policy: agent.test_policy, checks }))
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Failed,
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

fn check(name: &str, state: State, finding: impl Into<String>) -> DoctorCheck {
    DoctorCheck {
        check: name.to_owned(),
        state: state.word().to_owned(),
        account: None,
        finding: finding.into(),
        hint: None,
    }
}

/// Adds to a check.
trait More {
    fn hint(self, hint: impl Into<String>) -> Self;
    fn of(self, account: &AccountName) -> Self;
}

impl More for DoctorCheck {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn of(mut self, account: &AccountName) -> Self {
        self.account = Some(account.to_string());
        self
    }
}

impl Agent {
    /// Looks at everything, at once.
    async fn examine(&self) -> Vec<DoctorCheck> {
        let snapshot = self.snapshot();
        let accounts: Vec<&Account> = snapshot.rules.accounts.values().map(AsRef::as_ref).collect();
        let mut issuers: Vec<_> = accounts.iter().map(|account| &account.issuer).collect();
        issuers.sort_by_key(|issuer| issuer.as_str());
        issuers.dedup();
        let ways = join_all(issuers.iter().map(|issuer| self.oidc.diagnose(issuer, WAY_LIMIT)));
        let (anchor, ways, sign_ins) = tokio::join!(
            async { timeout(KEYCHAIN_LIMIT, self.read_anchor()).await.unwrap_or(Err(KeychainError::TimedOut)) },
            ways,
            join_all(accounts.iter().map(|account| self.examine_sign_in(account))),
        );
        let ways: HashMap<&str, Diagnosis> = issuers.iter().map(|issuer| issuer.as_str()).zip(ways).collect();

        let mut checks = vec![port(&self.address, snapshot.rules.broker.port, &lock(&self.notices))];
        checks.push(keychain(self.vault.absent_because(), &anchor));
        checks.extend(profile(&snapshot, self.test_policy));
        checks.push(self.examine_audit(&anchor));
        checks
            .extend(self.audit.exports.standings().iter().map(|one| log::export(one, self.store.head().0, self.now())));
        checks.push(screen(self.screen.state()));
        let told: Vec<&Diagnosis> = ways.values().collect();
        let one_proxy_line = way::without_proxy(&told);
        checks.extend(one_proxy_line.clone());
        for (account, sign_in) in accounts.iter().zip(sign_ins) {
            if let Some(found) = ways.get(account.issuer.as_str()) {
                checks.extend(way::checks(account, found, one_proxy_line.is_none()));
            }
            checks.push(sign_in.of(&account.name));
        }
        checks
    }

    async fn examine_sign_in(&self, account: &Account) -> DoctorCheck {
        let entry = self.accounts.entry(&account.name);
        let Ok(sign_in) = timeout(KEYCHAIN_LIMIT, self.sign_in_of(account)).await else {
            return check("keychain", State::Failed, "it does not answer when asked for this sign-in")
                .hint(KEYCHAIN_HINT);
        };
        let login = format!("daypass login {}", account.name);
        match sign_in {
            Ok(sign_in) => self.signed_in(account, &entry, &sign_in),
            Err(Refusal::KeychainLocked) => {
                check("keychain", State::Failed, "it is locked, so this sign-in cannot be read").hint(UNLOCK_HINT)
            }
            Err(Refusal::KeychainUnavailable(why)) => {
                check("keychain", State::Failed, format!("a sign-in is there and cannot be read: {why}"))
                    .hint(format!("start the keychain service, or sign in anew: {login}"))
            }
            Err(_) if self.sign_ins.is_pending(&account.name) => {
                check("sign_in", State::Warning, "a sign-in is under way").hint("finish it in the browser")
            }
            Err(Refusal::LoginRequired(_) | Refusal::InteractionRequired(_)) => {
                let why = lock(&entry.ended_because).map(|why| format!(": the last sign-in has ended, {why}"));
                check("sign_in", State::Failed, format!("nobody is signed in{}", why.unwrap_or_default())).hint(login)
            }
            Err(other) => check("sign_in", State::Failed, other.to_string()).hint(login),
        }
    }

    fn signed_in(&self, account: &Account, entry: &Entry, sign_in: &SignIn) -> DoctorCheck {
        let who = sign_in.display_name.as_deref().unwrap_or(&sign_in.subject);
        let ends = self.sign_in_ends(&account.name).map(|end| self.now().until(end).as_seconds());
        let ends = ends.map_or_else(String::new, |left| format!(", ends {}", in_words(left)));
        let failure = lock(&entry.failures).values().max_by_key(|f| f.at).map(|f| (f.at, f.refusal.to_string()));
        let durable = *lock(&entry.durable) && self.vault.is_durable();
        match failure {
            Some((at, refusal)) => {
                let since = i64::try_from(Instant::now().duration_since(at).as_secs()).unwrap_or(i64::MAX);
                let finding = format!("{who}{ends}; the last renewal failed {}: {refusal}", ago(since));
                check("sign_in", State::Warning, finding)
                    .hint("if the lines above are ok now, ask again; if it stays so, sign in anew")
            }
            None if !durable && self.vault.is_durable() => {
                check("sign_in", State::Warning, format!("{who}{ends}; not in the keychain, so it ends with the agent"))
                    .hint("the agent tries again by itself; look at the keychain's line above")
            }
            None if !durable => check("sign_in", State::Ok, format!("{who}{ends}; in memory, it ends with the agent")),
            None => check("sign_in", State::Ok, format!("{who}{ends}")),
        }
    }
}

fn port(address: &str, wanted: u16, notices: &[String]) -> DoctorCheck {
    let used = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    if wanted == 0 {
        return check("port", State::Ok, format!("{address}, any free port as the profile says"));
    }
    if used == Some(wanted) {
        return check("port", State::Ok, address);
    }
    if notices.iter().any(|notice| notice.starts_with(&format!("port {wanted} is taken"))) {
        return check("port", State::Warning, format!("{wanted} was taken when the agent started; it is at {address}"))
            .hint(format!("see who has it: ss -ltnp 'sport = :{wanted}'; once it is free: daypass agent stop"));
    }
    check("port", State::Warning, format!("the profile says {wanted} by now; the agent is still at {address}"))
        .hint("start the agent anew: daypass agent stop")
}

const UNLOCK_HINT: &str = "unlock it, as with the password of your desktop session, and look again";
const KEYCHAIN_HINT: &str = "restart the keychain service, or sign out of the desktop and in again";

fn keychain(absent_because: Option<String>, anchor: &Anchor) -> DoctorCheck {
    if let Some(reason) = absent_because {
        let reason = reason.trim_start_matches("no keychain service: ").to_owned();
        return check("keychain", State::Warning, format!("there is none: sign-ins end with the agent ({reason})"))
            .hint("start a keychain service, such as GNOME Keyring; the agent finds it within seconds");
    }
    match anchor {
        Ok(_) | Err(KeychainError::Damaged(_)) => check("keychain", State::Ok, "it is open, and keeps the sign-ins"),
        Err(KeychainError::Locked) => check("keychain", State::Failed, "it is locked").hint(UNLOCK_HINT),
        Err(KeychainError::TimedOut) => {
            check("keychain", State::Failed, "it does not answer in time").hint(KEYCHAIN_HINT)
        }
        Err(KeychainError::Denied) => check("keychain", State::Failed, "it denies the agent access")
            .hint("allow daypass-agent in the keychain's own program, and look again"),
        Err(KeychainError::Absent(why)) => {
            check("keychain", State::Failed, format!("there is none any more: {why}")).hint(KEYCHAIN_HINT)
        }
        Err(error @ KeychainError::Failed(_)) => {
            check("keychain", State::Failed, error.to_string()).hint(KEYCHAIN_HINT)
        }
    }
}

/// What to do about a fault: a certificate's own file is at fault, not the profile that names it.
fn repair_of(line: &str) -> String {
    let root = line.split_once(": network.ca entry ").and_then(|(_, rest)| rest.split_once(" counts for nothing: "));
    let Some((_, why)) = root else { return format!("daypass profile check {}", file_of(line)) };
    match why.split_once(" cannot count: ").or_else(|| why.split_once(" holds no certificate")) {
        Some((file, _)) if file.starts_with('/') => format!(
            "put certificates in PEM into {file}, of which root alone may be owner and writer: \
            sudo chown root:root {file} && sudo chmod 644 {file}; the same for the directories above it; \
            or take it out of network.ca"
        ),
        _ => format!("write a certificate in PEM, or the path of its file, under [network] ca in {}", file_of(line)),
    }
}

fn profile(snapshot: &Snapshot, test_policy: bool) -> Vec<DoctorCheck> {
    let rules = &snapshot.rules;
    let mut checks = Vec::new();
    if let Some(why) = &rules.locked {
        checks.push(
            check("profile", State::Failed, format!("nothing is issued: {why}"))
                .hint("have whoever looks after this machine repair it; it counts within seconds"),
        );
    }
    let mut lines: Vec<_> = snapshot.diagnostics.iter().map(|line| (line, snapshot.faults.contains(line))).collect();
    lines.sort_by_key(|(_, fault)| !fault);
    for (line, fault) in lines.iter().take(MOST_DIAGNOSTICS) {
        let (state, step) = if *fault {
            (State::Failed, repair_of(line))
        } else {
            (State::Warning, "leave it if it is meant so".to_owned())
        };
        checks.push(check("profile", state, line.as_str()).hint(step));
    }
    if lines.len() > MOST_DIAGNOSTICS {
        let more = format!("and {} more", lines.len() - MOST_DIAGNOSTICS);
        checks.push(check("profile", State::Warning, more).hint("see them all: daypass status"));
    }
    if rules.accounts.is_empty() {
        checks.push(check("profile", State::Failed, "no account is configured").hint("set one up: daypass init"));
    }
    if checks.is_empty() {
        let mut files: Vec<&String> = snapshot.values.values().filter_map(|value| value.origin.file.as_ref()).collect();
        files.sort();
        files.dedup();
        let organisation = rules.organisation.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        let finding = format!(
            "{organisation}{}, {} and {}{}",
            counted(files.len(), "file"),
            counted(rules.accounts.len(), "account"),
            counted(rules.resources.len(), "resource"),
            if test_policy { " (test policy)" } else { "" }
        );
        checks.push(check("profile", State::Ok, finding));
    }
    checks
}

/// The file of a diagnostic, `file:line: text`.
fn file_of(line: &str) -> &str {
    let place = line.split_once(": ").map_or(line, |(place, _)| place);
    match place.rsplit_once(':') {
        Some((file, number)) if number.bytes().all(|b| b.is_ascii_digit()) => file,
        _ => place,
    }
}

fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

fn screen(state: LockState) -> DoctorCheck {
    match state {
        LockState::Unlocked => check("screen", State::Ok, "it is unlocked"),
        LockState::Locked => {
            check("screen", State::Warning, "it is locked, so no program gets anything").hint("unlock it")
        }
        LockState::Unknown => {
            check("screen", State::Skipped, "whether it is locked cannot be told here; it counts as unlocked")
        }
    }
}

#[cfg(test)]
mod tests;
