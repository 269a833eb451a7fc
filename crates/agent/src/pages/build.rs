//! From what the agent knows to what a page shows.

mod activity;
mod profile;
mod program;

pub(super) use activity::{Sought, activity};
pub(super) use profile::profile;
pub(super) use program::{block_key, is_of, program};

use super::handlers::sentence;
use super::program_key;
use super::views::{
    AccountRow, AccountState, Ask, Asker, BlockRow, Blocking, ConsentPage, DecidedPage, Decision, Fact, GrantRow,
    GrantsPage, HomePage, Kind, Link, Long, Pager, QuestionRow, SignInDonePage, SignInFailedPage, WebLink, When, ago,
    escape_query, for_the_next, in_words,
};
use crate::{
    agent::Agent,
    server::{account_status, grant_info, notices, stands},
    sign_in::{Cause, Failure, Outcome},
    times,
    trip::{cut, printable, shown},
};
use askama::Template;
use axum::http::StatusCode;
use broker::{Account, AccountName, Choice, Grant, Program, Rules, Span, Timestamp, consent::Question, consent::State};
use localapi::GrantInfo;
use std::sync::Arc;

fn when(words: impl Into<String>, time: Timestamp) -> When {
    When::new(words, times::local_rfc3339(time))
}

fn closes(now: Timestamp, time: Timestamp) -> When {
    when(in_words(now.until(time).as_seconds()), time)
}

fn until(now: Timestamp, time: Timestamp) -> When {
    let seconds = now.until(time).as_seconds();
    when(format!("{}, until {}", for_the_next(seconds), times::local_clock(time)), time)
}

fn account_shown(agent: &Agent, rules: &Rules, name: &AccountName) -> String {
    let who = agent.who_is_signed_in(name);
    let place = rules.organisation.clone().unwrap_or_else(|| name.to_string());
    who.map_or_else(|| place.clone(), |who| format!("{who} · {place}"))
}

fn asker(question: &Question) -> Asker {
    let program = &question.ask.program;
    let path = printable(&program.file().path.to_string_lossy());
    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let kind = match program {
        Program::Executable { .. } => Kind::Executable,
        Program::Script { interpreter, .. } => {
            Kind::Script { interpreter: printable(&interpreter.path.to_string_lossy()) }
        }
        Program::Inline { .. } => Kind::Inline,
        Program::Terminal { tty, .. } => Kind::Terminal { tty: terminal_name(*tty) },
    };
    Asker {
        name: Long::name(&name),
        path: Long::path(&path),
        kind,
        package: question.ask.peer.package.clone(),
        started_by: question.ask.peer.started_by.clone(),
        says_it_is: question.ask.says_it_is.as_deref().map(Long::name),
    }
}

/// Linux numbers pseudo-terminals from major 136 on, 256 to a major.
fn terminal_name(device: u32) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => format!("terminal {major}:{minor}"),
    }
}

fn unusual(agent: &Agent, question: &Question) -> Vec<String> {
    let mut lines = Vec::new();
    let program = &question.ask.program;
    let path = shown(Some(program), &question.ask.peer);
    let grants = agent.store.all_grants();
    let more = grants.iter().find(|g| {
        g.program == question.key && g.resource == question.ask.resource && !question.ask.scopes.is_subset(&g.scopes)
    });
    let changed = grants.iter().any(|g| g.program != question.key && grant_info(g).program == path);
    if let Some(grant) = more {
        let new = question.ask.scopes.difference(&grant.scopes);
        lines.push(format!("It asks for more than before: {new}."));
    } else if changed {
        lines.push("It has changed since you last allowed it.".to_owned());
    } else if agent.consents.is_new(&question.id) {
        lines.push("It has not asked before.".to_owned());
    }
    if let Program::Script { script, .. } = program
        && platform::managed::user_can_write(&script.path)
    {
        lines.push("It is a script in a place where any program of yours could change it.".to_owned());
    }
    lines
}

/// An open question.
pub(super) fn question(
    agent: &Agent,
    question: &Question,
    digest: String,
    page_token: String,
    too_quick: bool,
    window: bool,
) -> ConsentPage {
    let rules = agent.rules();
    let now = agent.now();
    let resource = rules.resources.get(&question.ask.resource);
    let choices = question.choices(resource.is_none_or(|r| r.sensitive));
    let today = now + Span::hours(12).min(rules.consent.absolute);
    let mut facts =
        vec![Fact { label: "SHA-256 of the file".to_owned(), value: question.ask.program.file().digest_hex() }];
    if let Some(text) = resource.and_then(|r| r.description.clone()) {
        facts.push(Fact { label: "What the service is for, by the settings".to_owned(), value: text });
    }
    if question.waiting() > 1 {
        facts.push(Fact { label: "Calls waiting".to_owned(), value: question.waiting().to_string() });
    }
    ConsentPage {
        id: question.id.clone(),
        digest,
        page_token,
        asker: asker(question),
        asks: vec![Ask {
            service: question.ask.resource.to_string(),
            title: resource.and_then(|r| r.title.clone()),
            address: question.ask.audience.clone(),
            account: account_shown(agent, &rules, &question.ask.account),
            scopes: question.ask.scopes.iter().map(ToString::to_string).collect(),
        }],
        unusual: unusual(agent, question),
        once: choices.contains(&Choice::Once),
        today: choices.contains(&Choice::Today).then(|| until(now, today)),
        always: choices.contains(&Choice::Always),
        closes: closes(now, question.expires),
        facts,
        too_quick,
        window,
    }
}

/// A question that is over; `page_token` is for a form that blocks the program.
pub(super) fn decided(agent: &Agent, question: &Question, page_token: Option<String>, window: bool) -> DecidedPage {
    let rules = agent.rules();
    let decision = match question.state {
        State::Answered(Choice::Deny) => Decision::Denied,
        State::Answered(Choice::Once) => Decision::Once,
        State::Answered(Choice::Today) => {
            let now = agent.now();
            Decision::Today(until(now, now + Span::hours(12).min(rules.consent.absolute)))
        }
        State::Answered(Choice::Always) => Decision::Always,
        State::Expired => Decision::Expired,
        State::Gone => Decision::Gone,
        State::Pending => Decision::Answered,
    };
    let blocking = match page_token {
        _ if agent.store.is_blocked(&question.ask.program) => Blocking::Done,
        Some(token) => Blocking::Offered(token),
        None => Blocking::Nothing,
    };
    DecidedPage {
        decision,
        program: asker(question).name,
        services: vec![question.ask.resource.to_string()],
        id: question.id.clone(),
        blocking,
        window,
    }
}

/// The standing grants that hold these words somewhere, newest first.
fn standing_grants(agent: &Agent, rules: &Rules, query: &str) -> Vec<Grant> {
    let (now, wanted) = (agent.now(), query.to_lowercase());
    let fits = |grant: &Grant| {
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        wanted.is_empty()
            || has(&grant_info(grant).program)
            || has(grant.resource.as_str())
            || has(&grant.scopes.to_string())
            || has(&account_shown(agent, rules, &grant.account))
    };
    let mut grants = agent.store.all_grants();
    grants.retain(|grant| stands(grant, rules, now) && fits(grant));
    grants.reverse();
    grants
}

fn grant_row(agent: &Agent, rules: &Rules, grant: &Grant) -> GrantRow {
    let GrantInfo { id, program, .. } = grant_info(grant);
    let program = cut(&program);
    GrantRow {
        id,
        key: program_key(&program),
        program: Long::name(program.rsplit('/').next().unwrap_or(&program)),
        path: Long::path(&program),
        service: grant.resource.to_string(),
        scopes: grant.scopes.iter().map(ToString::to_string).collect(),
        account: account_shown(agent, rules, &grant.account),
        until: grant.until.map(|time| until(agent.now(), time)),
    }
}

/// Places on the web that the profile names.
fn web_links(rules: &Rules) -> Vec<WebLink> {
    let link = |(label, address): &(String, String)| WebLink { label: label.clone(), address: address.clone() };
    rules.links.iter().filter(|(_, address)| address.starts_with("https://")).map(link).collect()
}

fn block_rows(agent: &Agent) -> Vec<BlockRow> {
    let now = agent.now();
    let mut rows: Vec<BlockRow> = agent
        .store
        .all_blocks()
        .iter()
        .map(|block| {
            let path = cut(&block.key.shown());
            BlockRow {
                id: block.id.to_string(),
                key: program_key(&path),
                program: Long::name(path.rsplit('/').next().unwrap_or(&path)),
                path: Long::path(&path),
                since: when(ago(block.since.until(now).as_seconds()), block.since),
            }
        })
        .collect();
    rows.reverse();
    rows
}

/// The home page.
pub(super) async fn home(agent: &Arc<Agent>, page_token: String, said: Option<String>) -> HomePage {
    agent.tidy_questions();
    let snapshot = agent.snapshot();
    let rules = &snapshot.rules;
    let now = agent.now();
    let mut accounts = Vec::new();
    for account in rules.accounts.values() {
        let status = account_status(agent, account, &snapshot).await;
        accounts.push(AccountRow {
            name: status.name.clone(),
            title: account.title.clone(),
            who: status.display_name.clone().or_else(|| status.subject.clone()),
            issuer: status.issuer.clone(),
            state: AccountState::parse(&status.state).unwrap_or(AccountState::SignInRequired),
            until: agent.sign_in_ends(&account.name).map(|time| until(now, time)),
            detail: None,
        });
    }
    let questions = agent
        .consents
        .list()
        .iter()
        .filter(|q| q.state == State::Pending)
        .map(|q| QuestionRow {
            id: q.id.clone(),
            program: asker(q).name,
            service: q.ask.resource.to_string(),
            account: account_shown(agent, rules, &q.ask.account),
            closes: closes(now, q.expires),
        })
        .collect();
    let mut notices = notices(agent);
    if let Some(reason) = agent.vault.absent_because() {
        notices.push(format!("There is no keychain here, so sign-ins end with Daypass ({reason})."));
    }
    notices.extend(snapshot.diagnostics.iter().filter(|line| !snapshot.faults.contains(line)).cloned());
    let grants = standing_grants(agent, rules, "");
    HomePage {
        page_token,
        said,
        locked: rules.locked.is_some(),
        paused: agent.paused_until().map(|until| when(format!("until {}", times::local_clock(until)), until)),
        organisation: rules.organisation.clone(),
        support_url: rules.support_url.clone(),
        links: web_links(rules),
        diagnostics: snapshot.faults.clone(),
        notices,
        questions,
        accounts,
        grants: grants.iter().take(5).map(|grant| grant_row(agent, rules, grant)).collect(),
        grants_in_all: grants.len(),
        blocks: block_rows(agent),
        address: agent.address.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        test_policy: agent.test_policy,
    }
}

/// The permissions page: page `at` (from 1) of those that hold these words.
pub(super) fn permissions(
    agent: &Agent,
    page_token: String,
    said: Option<String>,
    query: String,
    at: usize,
) -> GrantsPage {
    let rules = agent.rules();
    let grants = standing_grants(agent, &rules, &query);
    let base =
        if query.is_empty() { "/permissions?".to_owned() } else { format!("/permissions?q={}&", escape_query(&query)) };
    let pager = Pager::new(at, grants.len(), base);
    let shown = grants[pager.range()].iter().map(|grant| grant_row(agent, &rules, grant)).collect();
    GrantsPage { page_token, said, grants: shown, query, pager, blocks: block_rows(agent) }
}

/// The last page of a sign-in.
pub(super) fn done(
    agent: &Agent,
    account: &Account,
    outcome: &Outcome,
    again: Option<String>,
) -> (StatusCode, Result<String, askama::Error>) {
    let organisation = agent.rules().organisation.clone().unwrap_or_else(|| account.issuer.to_string());
    match outcome {
        Outcome::SignedIn { subject, display_name, notices } => {
            let page = SignInDonePage {
                who: Some(display_name.clone().unwrap_or_else(|| subject.clone())),
                organisation,
                notices: notices.clone(),
            };
            (StatusCode::OK, page.render())
        }
        Outcome::Failed(failure) => (StatusCode::OK, failed(organisation, failure, again).render()),
        Outcome::Pending => {
            let page = failed_alone("This sign-in is not finished yet.", "Wait a moment and load this page again.");
            (StatusCode::OK, page.render())
        }
    }
}

fn failed(organisation: String, failure: &Failure, again: Option<String>) -> SignInFailedPage {
    let error = &failure.body;
    let words = if failure.cause == Cause::WrongAccount { "Use another account" } else { "Try again" };
    SignInFailedPage {
        organisation,
        happened: sentence(failure.happened()),
        means: "You are not signed in. Nothing else has changed.".to_owned(),
        next: error.hint.as_deref().map_or_else(|| "Start the sign-in again.".to_owned(), sentence),
        again: again.map(|address| Link { address, words: words.to_owned() }),
        detail: Some(format!("{}: {}", error.code.as_str(), error.error_description)),
        provider_said: error
            .detail
            .iter()
            .map(|said| Fact { label: "The provider said".to_owned(), value: said.clone() })
            .collect(),
    }
}

/// A last page that belongs to no sign-in in particular.
pub(super) fn failed_alone(happened: &str, means: &str) -> SignInFailedPage {
    SignInFailedPage {
        organisation: String::new(),
        happened: happened.to_owned(),
        means: means.to_owned(),
        next: "To sign in, start again from Daypass, or run: daypass login".to_owned(),
        again: None,
        detail: None,
        provider_said: Vec::new(),
    }
}
