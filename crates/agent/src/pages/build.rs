//! From what the agent knows to what a page shows.

mod activity;

pub(super) use activity::{Sought, activity};

use super::views::{
    AccountRow, AccountState, Ask, Asker, BlockRow, Blocking, ConsentPage, DecidedPage, Decision, Fact, GrantRow,
    GrantsPage, HomePage, Kind, Long, QuestionRow, SignInDonePage, SignInFailedPage, When, ago, for_the_next, in_words,
};
use crate::{
    agent::Agent,
    server::{account_status, grant_info, notices, stands},
    sign_in::Outcome,
    times,
    trip::{printable, shown},
};
use askama::Template;
use axum::http::StatusCode;
use broker::{Account, AccountName, Choice, Program, Rules, Span, Timestamp, consent::Question, consent::State};
use localapi::{Code, ErrorBody, GrantInfo};
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
    } else if !agent.store.has_asked_before(&path, &times::rfc3339_millis(question.opened)) {
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
) -> ConsentPage {
    let rules = agent.rules();
    let now = agent.now();
    let resource = rules.resources.get(&question.ask.resource);
    let choices = question.choices(resource.is_none_or(|r| r.sensitive));
    let today = now + Span::hours(12).min(rules.consent.absolute);
    let mut facts =
        vec![Fact { label: "SHA-256 of the file".to_owned(), value: question.ask.program.file().digest_hex() }];
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
        window: false,
    }
}

/// A question that is over; `page_token` is for a form that blocks the program.
pub(super) fn decided(agent: &Agent, question: &Question, page_token: Option<String>) -> DecidedPage {
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
    }
}

fn grant_rows(agent: &Agent, rules: &Rules) -> Vec<GrantRow> {
    let now = agent.now();
    let mut rows: Vec<GrantRow> = agent
        .store
        .all_grants()
        .iter()
        .filter(|g| stands(g, rules, now))
        .map(|grant| {
            let GrantInfo { id, program, .. } = grant_info(grant);
            let program = printable(&program);
            GrantRow {
                id,
                program: Long::name(program.rsplit('/').next().unwrap_or(&program)),
                path: Long::path(&program),
                service: grant.resource.to_string(),
                scopes: grant.scopes.iter().map(ToString::to_string).collect(),
                account: account_shown(agent, rules, &grant.account),
                until: grant.until.map(|time| until(now, time)),
            }
        })
        .collect();
    rows.reverse();
    rows
}

fn block_rows(agent: &Agent) -> Vec<BlockRow> {
    let now = agent.now();
    let mut rows: Vec<BlockRow> = agent
        .store
        .all_blocks()
        .iter()
        .map(|block| {
            let path = printable(&block.key.shown());
            BlockRow {
                id: block.id.to_string(),
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
pub(super) async fn home(agent: &Arc<Agent>, page_token: String) -> HomePage {
    agent.tidy_questions();
    let snapshot = agent.snapshot();
    let rules = &snapshot.rules;
    let now = agent.now();
    let mut accounts = Vec::new();
    for account in rules.accounts.values() {
        let status = account_status(agent, account, &snapshot).await;
        accounts.push(AccountRow {
            name: status.name.clone(),
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
    HomePage {
        page_token,
        said: None,
        locked: rules.locked.is_some(),
        organisation: rules.organisation.clone(),
        support_url: rules.support_url.clone(),
        diagnostics: snapshot.faults.clone(),
        notices,
        questions,
        accounts,
        grants: grant_rows(agent, rules),
        blocks: block_rows(agent),
        address: agent.address.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        test_policy: agent.test_policy,
    }
}

/// The permissions page.
pub(super) fn permissions(agent: &Agent, page_token: String) -> GrantsPage {
    GrantsPage { page_token, said: None, grants: grant_rows(agent, &agent.rules()), blocks: block_rows(agent) }
}

/// The last page of a sign-in.
pub(super) fn done(agent: &Agent, account: &Account, outcome: &Outcome) -> (StatusCode, Result<String, askama::Error>) {
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
        Outcome::Failed(error) => (StatusCode::OK, failed(organisation, error).render()),
        Outcome::Pending => {
            let page = failed_alone("This sign-in is not finished yet.", "Wait a moment and load this page again.");
            (StatusCode::OK, page.render())
        }
    }
}

fn failed(organisation: String, error: &ErrorBody) -> SignInFailedPage {
    let happened = match error.code {
        Code::WrongAccount => "You signed in with an account that is not accepted here.",
        Code::IssuerUnavailable => "The provider did not answer.",
        Code::LoginRequired | Code::InteractionRequired => "The sign-in was not finished.",
        _ => "The provider refused the sign-in.",
    };
    SignInFailedPage {
        organisation,
        happened: happened.to_owned(),
        means: "You are not signed in. Nothing else has changed.".to_owned(),
        next: "Close this tab and start the sign-in again.".to_owned(),
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
        detail: None,
        provider_said: Vec::new(),
    }
}
