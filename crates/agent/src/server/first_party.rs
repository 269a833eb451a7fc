//! What only Daypass's own programs may ask, over the user socket: the needs of the command and of the desktop.

use super::{
    answer::{ApiError, Segment, json},
    connection::Connection,
    guard,
};
use crate::{
    accounts::Record,
    agent::{Agent, Event},
    consents::{Answerer, NotTaken, digest},
    sign_in::Wish,
    store::{AuditEntry, AuditQuery, lock},
    times,
    trip::shown,
};
use axum::{
    Extension,
    body::Body,
    extract::{RawQuery, State},
    http::{Request, Response, StatusCode},
    response::{IntoResponse, Sse, sse},
};
use broker::{
    Account, AccountName, Choice, ConsentRule, Grant, GrantId, Peer, Rules, SignInAtStart, Span, Timestamp, TokenKind,
    Wanted, consent, consent::Question, ports::KeychainError,
};
use futures_util::StreamExt as _;
use localapi::{
    AccountStatus, AgentStatus, AuditLine, Code, DesktopStatus, EffectiveProfile, GrantInfo, KeychainStatus, LinkInfo,
    OpenRequest, Opened, PauseRequest, Paused, ProfileStatus, ProfileValue, RequestAnswer, RequestInfo, ResourceInfo,
    SignInRequest, Status,
};
use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

type App = State<Arc<Agent>>;
type Answer = Result<Response<Body>, ApiError>;

/// Longest a listing waits for news.
const LONGEST_POLL: u64 = 55;

#[allow(clippy::unnecessary_wraps, reason = "every handler here answers with it")]
fn ok<T: serde::Serialize>(value: &T) -> Answer {
    Ok(json(StatusCode::OK, value))
}

/// `a=b&c=d` of a query, strictly; unknown names are refused.
fn query(raw: Option<&str>, known: &[&str]) -> Result<Vec<(String, String)>, ApiError> {
    let invalid = || ApiError::new(Code::InvalidRequest, "the query is not valid");
    let pairs = guard::pairs(raw.unwrap_or_default().as_bytes()).ok_or_else(invalid)?;
    if pairs.iter().any(|(name, _)| !known.contains(&name.as_str())) {
        return Err(invalid());
    }
    Ok(pairs)
}

fn number(pairs: &[(String, String)], name: &str) -> Result<Option<u64>, ApiError> {
    let text = pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    let bad = || ApiError::new(Code::InvalidRequest, format!("{name} must be a whole number"));
    text.map(|t| t.parse().map_err(|_| bad())).transpose()
}

fn account(rules: &Rules, name: &str) -> Result<Arc<Account>, ApiError> {
    let found = name.parse::<AccountName>().ok().and_then(|name| rules.accounts.get(&name).cloned());
    found.ok_or_else(|| broker::Refusal::AccountUnknown(crate::trip::cut(name)).into())
}

/// `GET /v1/status`.
pub(super) async fn status(State(agent): App) -> Answer {
    let snapshot = agent.snapshot();
    let mut accounts = Vec::new();
    for account in snapshot.rules.accounts.values() {
        accounts.push(account_status(&agent, account, &snapshot).await);
    }
    let diagnostics: Vec<String> = snapshot.diagnostics.clone();
    let state = match (&snapshot.rules.locked, snapshot.faults.is_empty()) {
        (Some(_), _) => "locked",
        (None, false) => "warnings",
        (None, true) => "ok",
    };
    ok(&Status {
        agent: AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: i64::try_from(agent.started.elapsed().as_secs()).unwrap_or(i64::MAX),
        },
        address: agent.address.clone(),
        keychain: keychain_status(&agent),
        profile: ProfileStatus {
            state: state.to_owned(),
            name: snapshot.rules.organisation.clone(),
            support_url: snapshot.rules.support_url.clone(),
            diagnostics,
        },
        test_policy: agent.test_policy,
        lock_state: agent.screen.state().word().to_owned(),
        paused_until: agent.paused_until().map(times::rfc3339),
        desktop: desktop_status(&snapshot.rules),
        accounts,
        notices: notices(&agent),
    })
}

fn desktop_status(rules: &Rules) -> DesktopStatus {
    let links = rules.links.iter();
    DesktopStatus {
        autostart: rules.desktop.autostart,
        sign_in_at_start: match rules.desktop.sign_in_at_start {
            SignInAtStart::First => "first",
            SignInAtStart::Always => "always",
            SignInAtStart::Never => "never",
        }
        .to_owned(),
        links: links.map(|(label, address)| LinkInfo { label: label.clone(), address: address.clone() }).collect(),
    }
}

/// What a person should know, all of it in one list.
pub(crate) fn notices(agent: &Agent) -> Vec<String> {
    let mut notices = lock(&agent.notices).clone();
    notices.extend(agent.audit.exports.notices());
    for entry in agent.accounts.entries() {
        let configured = agent.rules().accounts.contains_key(&entry.name);
        if let Some(why) = lock(&entry.ended_because).filter(|_| configured) {
            notices.push(format!("the sign-in to {} has ended: {why}", entry.name));
        }
        let signed_in = matches!(*lock(&entry.record), Record::SignedIn(_));
        if signed_in && !*lock(&entry.durable) {
            notices.push(format!("the sign-in to {} is not durable: it ends with this agent", entry.name));
        }
    }
    notices
}

fn keychain_status(agent: &Agent) -> KeychainStatus {
    if let Some(reason) = agent.vault.absent_because() {
        let detail = format!("no keychain service: tokens are kept in memory only and end with the agent ({reason})");
        return KeychainStatus { state: "memory".to_owned(), detail: Some(detail) };
    }
    let mut state = KeychainStatus { state: "ok".to_owned(), detail: None };
    for entry in agent.accounts.entries() {
        if let Record::Unreadable(error) = &*lock(&entry.record) {
            let word = if *error == KeychainError::Locked { "locked" } else { "unavailable" };
            state = KeychainStatus { state: word.to_owned(), detail: Some(error.to_string()) };
        }
    }
    state
}

pub(crate) async fn account_status(
    agent: &Arc<Agent>,
    account: &Account,
    snapshot: &crate::profiles::Snapshot,
) -> AccountStatus {
    let sign_in = agent.sign_in_of(account).await;
    let entry = agent.accounts.entry(&account.name);
    let pending = agent.sign_ins.is_pending(&account.name);
    let state = match &sign_in {
        Ok(_) if lock(&entry.unreachable).is_some() => "unreachable",
        Ok(_) => "signed_in",
        Err(broker::Refusal::KeychainLocked) => "keychain_locked",
        Err(broker::Refusal::KeychainUnavailable(_)) => "keychain_unavailable",
        Err(_) if pending => "signing_in",
        Err(_) => "sign_in_required",
    };
    let sign_in = sign_in.ok();
    let ends = sign_in.as_ref().and_then(|s| s.refresh_expires_at.or(s.ends_at));
    let ends_at = ends.map(times::rfc3339);
    let ends = ends.or_else(|| sign_in.as_ref().and_then(|_| agent.accounts.latest_end(&account.name)));
    AccountStatus {
        name: account.name.to_string(),
        issuer: account.issuer.to_string(),
        subject: sign_in.as_ref().map(|s| s.subject.clone()),
        display_name: sign_in.as_ref().and_then(|s| s.display_name.clone()),
        state: state.to_owned(),
        expires_at: ends.map(times::rfc3339),
        ends_at,
        durable: *lock(&entry.durable) && agent.vault.is_durable(),
        client_id: account.client_id.clone(),
        origin: snapshot.origin(&format!("accounts.{}.issuer", account.name)),
    }
}

/// `GET /v1/accounts`.
pub(super) async fn accounts(State(agent): App) -> Answer {
    let snapshot = agent.snapshot();
    let mut accounts = Vec::new();
    for account in snapshot.rules.accounts.values() {
        accounts.push(account_status(&agent, account, &snapshot).await);
    }
    ok(&accounts)
}

/// `GET /v1/resources`: what is configured, and what the asking program would get now.
pub(super) async fn resources(State(agent): App, Extension(peer): Extension<Arc<Peer>>) -> Answer {
    let snapshot = agent.snapshot();
    let rules = &snapshot.rules;
    let grants = peer.program.as_ref().map(|p| agent.store.grants_for(p, |_| true)).unwrap_or_default();
    let mut list = Vec::new();
    for resource in rules.resources.values() {
        let Some(account) = rules.accounts.get(&resource.account) else { continue };
        let wanted = Wanted { resource: resource.clone(), account: account.clone(), scopes: resource.scopes.clone() };
        let facts = broker::Facts {
            peer: &peer,
            wanted: &wanted,
            rules,
            grants: &grants,
            cached: None,
            now: agent.now(),
            min_valid: Span::seconds(0),
            refresh: false,
            blocked: peer.program.as_ref().is_some_and(|program| agent.store.is_blocked(program)),
            // A pause gives as little.
            screen_locked: agent.screen.is_locked() || agent.paused_until().is_some(),
            user_can_write: &platform::managed::user_can_write,
            may_follow: &|file, package| agent.lookup.may_follow(file, package),
        };
        let access = match broker::decide(&facts) {
            broker::Decision::Deny(_) => "nothing",
            broker::Decision::AskConsent => "question",
            broker::Decision::UseCached(_) | broker::Decision::Fetch(_) => "token",
        };
        list.push(ResourceInfo {
            name: resource.name.to_string(),
            account: resource.account.to_string(),
            token: match resource.token {
                TokenKind::Access => "access",
                TokenKind::Id => "id",
                TokenKind::Minted => "minted",
            }
            .to_owned(),
            audience: resource.audience.clone(),
            scope: resource.scopes.to_string(),
            allowed_scope: resource.allowed_scopes.to_string(),
            consent: match resource.consent {
                ConsentRule::Ask => "ask",
                ConsentRule::Preapproved => "preapproved",
                ConsentRule::Denied => "denied",
            }
            .to_owned(),
            sensitive: resource.sensitive,
            access: access.to_owned(),
            origin: snapshot.origin(&format!("resources.{}.account", resource.name)),
        });
    }
    ok(&list)
}

/// `POST /v1/accounts/{name}/sign-in`.
pub(super) async fn begin_sign_in(State(agent): App, Segment(name): Segment, request: Request<Body>) -> Answer {
    let asked: SignInRequest = guard::json(request).await?;
    let account = account(&agent.rules(), &name)?;
    let wish = Wish {
        open_browser: asked.open_browser,
        watched: true,
        device: asked.device,
        remote: asked.remote,
        other_account: asked.other_account,
        requirement: crate::step_up::parse(asked.claims, asked.acr_values.as_deref(), asked.max_age)?,
    };
    ok(&agent.begin_sign_in(&account, wish).await?)
}

/// `GET /v1/sign-ins/{id}?wait=SECONDS`.
pub(super) async fn sign_in_state(State(agent): App, Segment(id): Segment, RawQuery(raw): RawQuery) -> Answer {
    let wait = number(&query(raw.as_deref(), &["wait"])?, "wait")?.unwrap_or(0).min(LONGEST_POLL);
    match agent.sign_in_state(&id, Duration::from_secs(wait)).await {
        Some(state) => ok(&state),
        None => Err(ApiError::new(Code::NotFound, "there is no such sign-in").with_hint("start again: daypass login")),
    }
}

/// `DELETE /v1/sign-ins/{id}`.
pub(super) async fn cancel_sign_in(State(agent): App, Segment(id): Segment) -> Result<StatusCode, ApiError> {
    if agent.cancel_sign_in(&id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::new(Code::NotFound, "there is no such sign-in"))
    }
}

/// `DELETE /v1/accounts/{name}/sign-in`.
pub(super) async fn sign_out(State(agent): App, Segment(name): Segment) -> Answer {
    let account = account(&agent.rules(), &name)?;
    ok(&agent.sign_out(&account).await?)
}

pub(crate) fn request_info(question: &Question, rules: &Rules) -> RequestInfo {
    let sensitive = rules.resources.get(&question.ask.resource).is_none_or(|r| r.sensitive);
    let state = match question.state {
        consent::State::Pending => "pending",
        consent::State::Answered(Choice::Deny) => "denied",
        consent::State::Answered(_) => "approved",
        consent::State::Expired => "expired",
        consent::State::Gone => "gone",
    };
    RequestInfo {
        id: question.id.clone(),
        program: shown(Some(&question.ask.program), &question.ask.peer),
        resource: question.ask.resource.to_string(),
        scope: question.ask.scopes.to_string(),
        state: state.to_owned(),
        expires_at: times::rfc3339(question.expires),
        account: question.ask.account.to_string(),
        started_by: question.ask.peer.started_by.clone(),
        says_it_is: question.ask.says_it_is.clone(),
        choices: question.choices(sensitive).into_iter().map(|c| c.as_str().to_owned()).collect(),
        digest: digest(question),
        window: question.wants_window(),
    }
}

/// `GET /v1/requests`: the open questions.
pub(super) async fn requests(State(agent): App) -> Answer {
    agent.tidy_questions();
    let rules = agent.rules();
    let open: Vec<RequestInfo> = agent
        .consents
        .list()
        .iter()
        .filter(|q| q.state == consent::State::Pending)
        .map(|q| request_info(q, &rules))
        .collect();
    ok(&open)
}

/// `POST /v1/requests/{id}`: an answer given in a terminal.
pub(super) async fn answer_request(
    State(agent): App,
    Segment(id): Segment,
    Extension(connection): Extension<Connection>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request<Body>,
) -> Answer {
    let answer: RequestAnswer = guard::json(request).await?;
    let choice = Choice::parse(&answer.choice)
        .ok_or_else(|| ApiError::new(Code::InvalidRequest, "choice must be deny, once, today or always"))?;
    let question = agent.consents.get(&id).ok_or_else(no_question)?;
    if digest(&question) != answer.digest {
        return Err(ApiError::new(Code::InvalidRequest, "the request is not the one that was shown")
            .with_hint("look again: daypass requests"));
    }
    if !connection.still_same(&agent, &peer).await {
        return Err(broker::Refusal::PeerUnidentified.into());
    }
    let answered = agent.answer(&id, choice, &Answerer::Terminal(&peer)).await;
    match answered {
        Ok(question) => ok(&request_info(&question, &agent.rules())),
        Err(NotTaken::Unknown) => Err(no_question()),
        Err(NotTaken::Over(_)) => {
            Err(ApiError::new(Code::ConsentGone, "the question is over").with_hint("the program has to ask again"))
        }
        Err(NotTaken::Refused(refusal)) => {
            agent.log(AuditEntry {
                event: "consent.refused",
                code: super::code_of(&refusal).as_str().to_owned(),
                program: Some(shown(peer.program.as_ref(), &peer)),
                resource: Some(question.ask.resource.to_string()),
                via: Some("terminal".to_owned()),
                ..AuditEntry::default()
            });
            Err(refusal.into())
        }
    }
}

fn no_question() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such request").with_hint("see the open ones: daypass requests")
}

pub(crate) fn grant_info(grant: &Grant) -> GrantInfo {
    GrantInfo {
        id: grant.id.0.to_string(),
        program: program_of(grant.program.as_str()),
        account: grant.account.to_string(),
        resource: grant.resource.to_string(),
        scope: grant.scopes.to_string(),
        choice: grant.choice.as_str().to_owned(),
        until: grant.until.map(times::rfc3339),
    }
}

/// The readable end of a program's key.
fn program_of(key: &str) -> String {
    let mut parts = key.splitn(2, ':');
    match (parts.next(), parts.next()) {
        (Some("exe" | "inline"), Some(rest)) => rest.split_once(':').map_or(rest, |(_, path)| path).to_owned(),
        (Some("script"), Some(rest)) => rest.rsplit_once(':').map_or(rest, |(_, path)| path).to_owned(),
        (Some("terminal"), Some(rest)) => {
            format!("terminal {}", rest.split(':').nth(1).unwrap_or_default())
        }
        _ => key.to_owned(),
    }
}

/// Whether a grant still yields tokens.
pub(crate) fn stands(grant: &Grant, rules: &Rules, now: Timestamp) -> bool {
    rules
        .resources
        .get(&grant.resource)
        .is_some_and(|r| r.account == grant.account && broker::grant_stands(grant, rules, r, now))
}

/// `GET /v1/grants`.
pub(super) async fn grants(State(agent): App) -> Answer {
    let (rules, now) = (agent.rules(), agent.now());
    let all: Vec<GrantInfo> =
        agent.store.all_grants().iter().filter(|g| stands(g, &rules, now)).map(grant_info).collect();
    ok(&all)
}

impl Agent {
    fn may_have_pages(&self, peer: &Peer) -> Result<(), broker::Refusal> {
        let program = peer.program.as_ref().ok_or(broker::Refusal::PeerUnidentified)?;
        if self.store.is_blocked(program) { Err(broker::Refusal::ProgramBlocked) } else { Ok(()) }
    }

    /// Ends grants, with an audit line for each.
    pub(crate) fn revoke_grants(&self, event: &'static str, over: impl Fn(&Grant) -> bool) -> Result<usize, ApiError> {
        let ended = self.store.end_grants(over)?;
        for grant in &ended {
            self.log(AuditEntry {
                event,
                code: "ok".to_owned(),
                program: Some(program_of(grant.program.as_str())),
                account: Some(grant.account.to_string()),
                resource: Some(grant.resource.to_string()),
                scope: Some(grant.scopes.to_string()),
                via: Some(grant.choice.as_str().to_owned()),
            });
        }
        if !ended.is_empty() {
            self.changed("grants");
        }
        Ok(ended.len())
    }
}

/// `DELETE /v1/grants/{id}`.
pub(super) async fn revoke(State(agent): App, Segment(id): Segment) -> Result<StatusCode, ApiError> {
    let id = GrantId(id.parse().map_err(|_| no_grant())?);
    if agent.revoke_grants("grant.revoked", |g| g.id == id)? == 0 {
        return Err(no_grant());
    }
    Ok(StatusCode::NO_CONTENT)
}

fn no_grant() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such grant").with_hint("see them: daypass grants")
}

/// `DELETE /v1/grants`.
pub(super) async fn revoke_all(State(agent): App) -> Result<StatusCode, ApiError> {
    agent.revoke_grants("grant.revoked", |_| true)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/audit?after=&since=&limit=&wait=`.
pub(super) async fn audit(State(agent): App, RawQuery(raw): RawQuery) -> Answer {
    let pairs = query(raw.as_deref(), &["after", "since", "limit", "wait"])?;
    let since = pairs.iter().find(|(n, _)| n == "since").map(|(_, v)| v);
    let since = since
        .map(|text| {
            times::parse(text).ok_or_else(|| ApiError::new(Code::InvalidRequest, "since must be an RFC 3339 time"))
        })
        .transpose()?
        .map(times::rfc3339_millis);
    let after = number(&pairs, "after")?.map(|after| i64::try_from(after).unwrap_or(i64::MAX));
    let limit = i64::try_from(number(&pairs, "limit")?.unwrap_or(1000).min(10_000)).unwrap_or(1000);
    let wait = number(&pairs, "wait")?.unwrap_or(0).min(LONGEST_POLL);
    let wanted = AuditQuery { after, since, limit };
    let mut news = agent.store.watch_lines();
    let mut lines = audit_lines(&agent, &wanted).await?;
    if lines.is_empty() && wait > 0 && tokio::time::timeout(Duration::from_secs(wait), news.changed()).await.is_ok() {
        lines = audit_lines(&agent, &wanted).await?;
    }
    ok(&lines)
}

/// Reads the log where that holds up nobody.
async fn audit_lines(agent: &Arc<Agent>, wanted: &AuditQuery) -> Result<Vec<AuditLine>, ApiError> {
    let (agent, wanted) = (Arc::clone(agent), wanted.clone());
    match tokio::task::spawn_blocking(move || agent.store.audit_lines(&wanted)).await {
        Ok(lines) => Ok(lines?),
        Err(_) => Err(ApiError::new(Code::Internal, "the log could not be read")),
    }
}

/// `GET /v1/audit/verify`.
pub(super) async fn verify_audit(State(agent): App) -> Answer {
    // Nobody anchors it or takes lines out of it meanwhile.
    let _turn = agent.audit.turn.lock().await;
    // Without its anchor the log cannot be told from one whose end was cut off: no verdict then.
    let anchor = agent.read_anchor().await.map_err(|error| match error {
        KeychainError::Locked => broker::Refusal::KeychainLocked,
        other => broker::Refusal::KeychainUnavailable(other.to_string()),
    })?;
    let reading = Arc::clone(&agent);
    let verdict = tokio::task::spawn_blocking(move || reading.store.verify_audit(anchor.as_ref())).await;
    match verdict {
        Ok(verdict) => ok(&verdict?),
        Err(_) => Err(ApiError::new(Code::Internal, "the log could not be read")),
    }
}

/// `GET /v1/profile`.
pub(super) async fn profile(State(agent): App) -> Answer {
    let snapshot = agent.snapshot();
    let values = snapshot
        .values
        .iter()
        .map(|(key, v)| (key.clone(), ProfileValue { value: v.json.clone(), origin: snapshot.origin(key) }))
        .collect();
    ok(&EffectiveProfile { values, diagnostics: snapshot.diagnostics.clone() })
}

/// Whether a first-party peer is the desktop shell.
fn is_desktop(peer: &Peer) -> bool {
    peer.program.as_ref().is_some_and(|p| p.executable().path.file_name() == Some("daypass-desktop".as_ref()))
}

/// `POST /v1/pause`: nothing is issued and nobody is asked for so many seconds.
pub(super) async fn pause(State(agent): App, Extension(peer): Extension<Arc<Peer>>, request: Request<Body>) -> Answer {
    let asked: PauseRequest = guard::json(request).await?;
    let most = crate::pause::LONGEST.as_seconds();
    if !(1..=most).contains(&asked.seconds) {
        return Err(ApiError::new(Code::InvalidRequest, format!("for must be 1 to {most} seconds"))
            .with_hint("pause for a day at most: daypass pause 24h"));
    }
    let until = agent.pause(Span::seconds(asked.seconds), via(&peer), Some(shown(peer.program.as_ref(), &peer)));
    ok(&Paused { paused_until: times::rfc3339(until) })
}

/// `DELETE /v1/pause`.
pub(super) async fn resume(State(agent): App, Extension(peer): Extension<Arc<Peer>>) -> StatusCode {
    agent.resume(via(&peer), Some(shown(peer.program.as_ref(), &peer)));
    StatusCode::NO_CONTENT
}

fn via(peer: &Peer) -> &'static str {
    if is_desktop(peer) { "desktop" } else { "command" }
}

/// Counts an attached desktop for as long as it listens.
struct Attached(Arc<Agent>);

impl Drop for Attached {
    fn drop(&mut self) {
        if self.0.desktops.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        // Nothing is spawned any more when the agent itself ends. A desktop that starts again shows the rest itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let agent = Arc::clone(&self.0);
            runtime.spawn(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                agent.show_what_is_unseen();
            });
        }
    }
}

/// `GET /v1/events` (server-sent events): the name of what changed, `show` for a page that is to be brought before the
/// person, `lagged` when some were missed.
pub(super) async fn events(
    State(agent): App,
    Extension(connection): Extension<Connection>,
    Extension(peer): Extension<Arc<Peer>>,
) -> Response<Body> {
    let attached = is_desktop(&peer).then(|| {
        agent.desktops.fetch_add(1, Ordering::Relaxed);
        Attached(Arc::clone(&agent))
    });
    let listening = (agent.events.subscribe(), attached);
    // Whoever stops listening is no attached desktop any more, at once.
    let stream = futures_stream(listening).take_until(async move { connection.hung_up().await });
    Sse::new(stream).keep_alive(sse::KeepAlive::new().interval(Duration::from_mins(1))).into_response()
}

fn futures_stream(
    listening: (tokio::sync::broadcast::Receiver<Event>, Option<Attached>),
) -> impl futures_util::Stream<Item = Result<sse::Event, Infallible>> {
    futures_util::stream::unfold(listening, |(mut receiver, attached)| async move {
        use tokio::sync::broadcast::error::RecvError;
        let event = match receiver.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => Event { name: "lagged", page: None },
            Err(RecvError::Closed) => return None,
        };
        let data = event.page.map_or_else(|| "{}".to_owned(), |page| serde_json::json!({ "page": page }).to_string());
        Some((Ok(sse::Event::default().event(event.name).data(data)), (receiver, attached)))
    })
}

/// `POST /v1/open`: a one-time address of one of our pages.
///
/// Of `daypass` the program is its parent's: one that is blocked or cannot be told gets no way to the pages, where a block
/// is taken back.
pub(super) async fn open(State(agent): App, Extension(peer): Extension<Arc<Peer>>, request: Request<Body>) -> Answer {
    agent.may_have_pages(&peer)?;
    let asked: OpenRequest = guard::json(request).await?;
    let path = match asked.page.as_str() {
        "home" => "/".to_owned(),
        "activity" | "permissions" | "profile" => format!("/{}", asked.page),
        page => match page.split_once('/') {
            Some(("consent", id)) if agent.consents.get(id).is_some() => format!("/consent/{id}"),
            Some(("program", key)) if crate::pages::is_program(key) => format!("/program/{key}"),
            _ => return Err(ApiError::new(Code::InvalidRequest, "there is no such page")),
        },
    };
    if !agent.may_redeem(&path, &peer) {
        return Err(broker::Refusal::ConsentUnavailable("a program cannot answer its own question".to_owned()).into());
    }
    let rules = agent.rules();
    let address = agent.ticket_for(&path, is_desktop(&peer));
    let browser_opened = asked.open_browser && crate::consents::open_address(&rules, &address);
    ok(&Opened { address, browser_opened })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use broker::{BlockKey, Program};

    #[tokio::test]
    async fn whoever_is_blocked_or_cannot_be_told_gets_no_way_to_the_pages() {
        let (_room, agent) = testing::agent().await;
        let open = async |path: &str, told: bool| {
            let mut peer = testing::peer(path).0;
            peer.program = peer.program.filter(|_| told);
            let body = Body::from(r#"{"page":"permissions","open_browser":false}"#);
            let request = Request::post("/v1/open").header("content-type", "application/json").body(body).unwrap();
            open(State(Arc::clone(&agent)), Extension(Arc::new(peer)), request).await.map_err(|error| error.0.code)
        };
        assert!(open("/usr/bin/tool", true).await.is_ok());
        assert_eq!(open("/usr/bin/tool", false).await.err(), Some(Code::PeerUnidentified));
        let blocked = |program: &Program| agent.block(&BlockKey::of(program), "test").unwrap();
        blocked(&testing::peer("/usr/bin/tool").1);
        assert_eq!(open("/usr/bin/tool", true).await.err(), Some(Code::ConsentDenied));
        assert!(open("/usr/bin/other", true).await.is_ok());
    }
}
