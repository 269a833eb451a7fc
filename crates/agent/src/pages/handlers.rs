//! Handlers of the pages.

use super::{
    ARMING, Segment, Visitor, blocks, build, constant, message, page, places, plain, program_of_key, see_other, views,
};
use crate::{
    agent::Agent,
    consents::{Answerer, NotTaken, digest},
    server::{Connection, FormError, form},
    store::AuditEntry,
};
use axum::{
    Extension, Router,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
    routing::{get, post},
};
use broker::{Choice, GrantId, consent};
use std::{collections::BTreeSet, sync::Arc};
use views::{CONSENT_JS, HOME_JS, Link, MARK, MessagePage, STYLE, Tone};

type App = State<Arc<Agent>>;
type Peer = Extension<Connection>;

/// The routes of the pages.
pub(crate) fn router() -> Router<Arc<Agent>> {
    Router::new()
        .route("/", get(home))
        .route("/permissions", get(permissions))
        .route("/activity", get(activity))
        .route("/profile", get(places::profile))
        .route("/program/{key}", get(places::program))
        .route("/program/{key}/revoke", post(places::revoke_all))
        .route("/program/{key}/block", post(places::block_program))
        .route("/pause", post(places::pause))
        .route("/resume", post(places::resume))
        .route("/open/{ticket}", get(open))
        .route("/consent/{id}", get(question).post(answer))
        .route("/consent/{id}/state", get(question_state))
        .route("/consent/{id}/block", post(blocks::block_asker))
        .route("/grants/{id}/revoke", post(revoke))
        .route("/grants/{id}/block", post(blocks::block_holder))
        .route("/blocks/{id}/unblock", post(blocks::unblock))
        .route("/accounts/{name}/sign-in", post(sign_in))
        .route("/accounts/{name}/sign-out", post(sign_out))
        .route("/assets/style.css", get(|h: HeaderMap, State(a): App| async move { asset(&h, &a, "text/css; charset=utf-8", STYLE) }))
        .route(
            "/assets/consent.js",
            get(|h: HeaderMap, State(a): App| async move { asset(&h, &a, "text/javascript; charset=utf-8", CONSENT_JS) }),
        )
        .route("/assets/home.js", get(|h: HeaderMap, State(a): App| async move { asset(&h, &a, "text/javascript; charset=utf-8", HOME_JS) }))
        .route("/assets/mark.svg", get(|h: HeaderMap, State(a): App| async move { asset(&h, &a, "image/svg+xml", MARK) }))
}

fn asset(headers: &HeaderMap, agent: &Agent, kind: &'static str, text: &'static str) -> Response<Body> {
    if !crate::server::page_read(headers, &agent.address) {
        return plain(StatusCode::FORBIDDEN);
    }
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A visitor who may read a whole page.
pub(super) async fn reader(agent: &Arc<Agent>, headers: &HeaderMap, connection: &Connection) -> Option<Visitor> {
    let allowed = crate::server::page_read(headers, &agent.address) && crate::server::is_document(headers);
    if allowed { agent.visitor(headers, connection).await } else { None }
}

/// A visitor whose form may count.
async fn writer(agent: &Arc<Agent>, headers: &HeaderMap, connection: &Connection) -> Option<Visitor> {
    if crate::server::page_write(headers, &agent.address) { agent.visitor(headers, connection).await } else { None }
}

/// `/open/{ticket}`: the only way to a page session.
async fn open(
    State(agent): App,
    Extension(connection): Peer,
    Segment(ticket): Segment,
    headers: HeaderMap,
) -> Response<Body> {
    if !crate::server::page_read(&headers, &agent.address) || !crate::server::is_document(&headers) {
        return constant();
    }
    let Some((path, value)) = agent.redeem(&ticket, &connection).await else { return constant() };
    let mut response = see_other(&path);
    let cookie = format!("{}={value}; HttpOnly; SameSite=Strict; Path=/", agent.page_cookie());
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

async fn home(State(agent): App, Extension(connection): Peer, headers: HeaderMap) -> Response<Body> {
    let Some(visitor) = reader(&agent, &headers, &connection).await else { return constant() };
    let token = agent.serve_form(&visitor, "home", "", BTreeSet::new());
    let said = agent.said(&visitor);
    page(StatusCode::OK, &build::home(&agent, token, said).await, true)
}

async fn permissions(
    State(agent): App,
    Extension(connection): Peer,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(visitor) = reader(&agent, &headers, &connection).await else { return constant() };
    let Some(pairs) = crate::server::pairs(raw.unwrap_or_default().as_bytes()) else { return bad_search() };
    let token = agent.serve_form(&visitor, "home", "", BTreeSet::new());
    let (query, said) = (words(&pairs, "q", 100), agent.said(&visitor));
    page(StatusCode::OK, &build::permissions(&agent, token, said, query, page_number(&pairs)), true)
}

/// A field of a query, cut.
fn words(pairs: &[(String, String)], name: &str, most: usize) -> String {
    field(pairs, name).chars().take(most).collect()
}

/// The page of a list, from 1.
fn page_number(pairs: &[(String, String)]) -> usize {
    field(pairs, "page").parse().unwrap_or(1)
}

fn bad_search() -> Response<Body> {
    message(
        StatusCode::BAD_REQUEST,
        "That search cannot be read",
        "The address is not valid.",
        "Nothing has changed.",
        "Go back and try other words.",
    )
}

async fn activity(
    State(agent): App,
    Extension(connection): Peer,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    if reader(&agent, &headers, &connection).await.is_none() {
        return constant();
    }
    let Some(pairs) = crate::server::pairs(raw.unwrap_or_default().as_bytes()) else { return bad_search() };
    let sought = build::Sought {
        query: words(&pairs, "q", 100),
        program: words(&pairs, "program", 600),
        service: words(&pairs, "service", 600),
        outcome: words(&pairs, "outcome", 20),
        page: page_number(&pairs),
    };
    match build::activity(&agent, sought) {
        Ok(view) => page(StatusCode::OK, &view, true),
        Err(error) => {
            tracing::error!(%error, "the log could not be read");
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

async fn question(
    State(agent): App,
    Extension(connection): Peer,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(visitor) = reader(&agent, &headers, &connection).await else { return constant() };
    show_question(&agent, &visitor, &id, false)
}

fn show_question(agent: &Arc<Agent>, visitor: &Visitor, id: &str, too_quick: bool) -> Response<Body> {
    agent.tidy_questions();
    let Some(question) = agent.consents.get(id) else {
        return message(
            StatusCode::NOT_FOUND,
            "This question is closed",
            "It was answered or has expired.",
            "The program gets nothing new from it.",
            "If you still want the program to have a pass, let it ask again.",
        );
    };
    if !agent.may_redeem(&format!("/consent/{id}"), &visitor.peer) {
        return constant();
    }
    if question.state != consent::State::Pending {
        let denied = question.state == consent::State::Answered(Choice::Deny);
        let token = denied.then(|| agent.serve_form(visitor, "home", "", BTreeSet::new()));
        return page(StatusCode::OK, &build::decided(agent, &question, token, visitor.window), denied);
    }
    agent.consents.note_seen(id);
    let digest = digest(&question);
    let token = agent.serve_form(visitor, &format!("consent/{id}"), &digest, question.calls());
    page(StatusCode::OK, &build::question(agent, &question, digest, token, too_quick, visitor.window), true)
}

async fn question_state(
    State(agent): App,
    Extension(connection): Peer,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Response<Body> {
    if !crate::server::page_read(&headers, &agent.address) || agent.visitor(&headers, &connection).await.is_none() {
        return constant();
    }
    agent.tidy_questions();
    let state = agent.consents.get(&id).map_or("gone", |q| match q.state {
        consent::State::Pending => "pending",
        consent::State::Answered(Choice::Deny) => "denied",
        consent::State::Answered(_) => "approved",
        consent::State::Expired => "expired",
        consent::State::Gone => "gone",
    });
    let mut response = Response::new(Body::from(format!(r#"{{"state":"{state}"}}"#)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
}

fn bad_form(error: FormError) -> Response<Body> {
    let status = match error {
        FormError::Kind => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FormError::Malformed => StatusCode::BAD_REQUEST,
        FormError::Body(error) => StatusCode::from_u16(error.0.code.status()).unwrap_or(StatusCode::BAD_REQUEST),
    };
    message(
        status,
        "That did not work",
        "The form could not be read.",
        "Nothing has changed.",
        "Go back, load the page again and choose once more.",
    )
}

fn stale() -> Response<Body> {
    message(
        StatusCode::CONFLICT,
        "This page is out of date",
        "It was used already, or what it showed has changed.",
        "Nothing was decided.",
        "Load the page again and choose once more.",
    )
}

/// The answer to a question.
async fn answer(
    State(agent): App,
    Extension(connection): Peer,
    Segment(id): Segment,
    request: Request<Body>,
) -> Response<Body> {
    let Some(visitor) = writer(&agent, request.headers(), &connection).await else { return constant() };
    let fields = match form(request).await {
        Ok(fields) => fields,
        Err(error) => return bad_form(error),
    };
    let Some(choice) = Choice::parse(field(&fields, "choice")) else { return bad_form(FormError::Malformed) };
    let Some(served) = agent.take_form(&visitor, &format!("consent/{id}"), field(&fields, "page_token")) else {
        return stale();
    };
    if served.digest != field(&fields, "digest") || agent.consents.get(&id).is_some_and(|q| digest(&q) != served.digest)
    {
        return stale();
    }
    if served.at.elapsed() < ARMING {
        return show_question(&agent, &visitor, &id, true);
    }
    if !connection.still_same(&agent, &visitor.peer).await {
        return constant();
    }
    match agent.answer(&id, choice, &Answerer::Page(&visitor.peer, &served.calls)).await {
        Ok(_) | Err(NotTaken::Over(_) | NotTaken::Unknown) => see_other(&format!("/consent/{id}")),
        Err(NotTaken::Refused(refusal)) => {
            agent.log(AuditEntry {
                event: "consent.refused",
                code: crate::server::code_of(&refusal).as_str().to_owned(),
                program: Some(crate::trip::shown(visitor.peer.program.as_ref(), &visitor.peer)),
                via: Some("page".to_owned()),
                ..AuditEntry::default()
            });
            message(
                StatusCode::FORBIDDEN,
                "That is not possible",
                &sentence(&refusal.to_string()),
                "Nothing was decided.",
                "Choose another answer, or do nothing: then the program gets nothing.",
            )
        }
    }
}

pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).chain(['.']).collect()).unwrap_or_default()
}

/// A form that counts.
pub(super) struct Form {
    pub(super) visitor: Visitor,
    fields: Vec<(String, String)>,
}

impl Form {
    /// The value of a field; empty when it is not there.
    pub(super) fn field(&self, name: &str) -> &str {
        field(&self.fields, name)
    }

    /// Where to go after it: a program's page when it stood on one, else there.
    pub(super) fn back(&self, otherwise: &str) -> String {
        let back = self.field("back");
        let program = back.strip_prefix("/program/").and_then(program_of_key).map(|shown| super::program_key(&shown));
        program.map_or_else(|| otherwise.to_owned(), |key| format!("/program/{key}"))
    }
}

/// What every other form has in common: a visitor, a readable form, an unspent token.
///
/// # Errors
/// The answer when one of them is missing.
pub(super) async fn counted(
    agent: &Arc<Agent>,
    connection: &Connection,
    request: Request<Body>,
) -> Result<Form, Response<Body>> {
    let Some(visitor) = writer(agent, request.headers(), connection).await else { return Err(constant()) };
    match form(request).await {
        Ok(fields) if agent.take_form(&visitor, "home", field(&fields, "page_token")).is_some() => {
            Ok(Form { visitor, fields })
        }
        Ok(_) => Err(stale()),
        Err(error) => Err(bad_form(error)),
    }
}

async fn revoke(
    State(agent): App,
    Extension(connection): Peer,
    Segment(id): Segment,
    request: Request<Body>,
) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let id = id.parse().map(GrantId);
    match id.map(|id| agent.revoke_grants("grant.revoked", |g| g.id == id)) {
        Ok(Ok(_)) => {
            agent.say(&form.visitor, "The permission is taken back. The program has to ask the next time.");
            see_other(&form.back("/permissions"))
        }
        Ok(Err(_)) => plain(StatusCode::INTERNAL_SERVER_ERROR),
        Err(_) => plain(StatusCode::NOT_FOUND),
    }
}

async fn sign_in(
    State(agent): App,
    Extension(connection): Peer,
    Segment(name): Segment,
    request: Request<Body>,
) -> Response<Body> {
    if let Err(response) = counted(&agent, &connection, request).await {
        return response;
    }
    let rules = agent.rules();
    let Some(account) = rules.accounts.values().find(|a| a.name.as_str() == name) else {
        return plain(StatusCode::NOT_FOUND);
    };
    match agent.begin_sign_in(account, crate::sign_in::Wish::default()).await {
        // The form may lead to our own origin only, so a link leads on.
        Ok(state) => page(
            StatusCode::OK,
            &MessagePage {
                tone: Tone::Plain,
                title: "Sign in".to_owned(),
                happened: format!("Daypass is ready to sign you in to {name}."),
                means: format!("You will go to {} and come back when you are done.", account.issuer),
                next: "Go on within ten minutes.".to_owned(),
                link: state.address.map(|address| Link { address, words: "Continue to sign in".to_owned() }),
                detail: None,
            },
            false,
        ),
        Err(error) => message(
            StatusCode::SERVICE_UNAVAILABLE,
            "The sign-in could not start",
            &sentence(&error.0.error_description),
            "You are not signed in. Nothing else has changed.",
            &error.0.hint.as_deref().map_or_else(|| "Try again in a moment.".to_owned(), sentence),
        ),
    }
}

async fn sign_out(
    State(agent): App,
    Extension(connection): Peer,
    Segment(name): Segment,
    request: Request<Body>,
) -> Response<Body> {
    if let Err(response) = counted(&agent, &connection, request).await {
        return response;
    }
    let rules = agent.rules();
    let Some(account) = rules.accounts.values().find(|a| a.name.as_str() == name) else {
        return plain(StatusCode::NOT_FOUND);
    };
    match agent.sign_out(account).await {
        Ok(out) if out.revocation == "failed" => message(
            StatusCode::OK,
            "Signed out here",
            "You are signed out on this computer, but the provider was not told.",
            "Programs here get no more passes. The provider may still list this sign-in.",
            "If that matters, end the session on the provider's own page.",
        ),
        Ok(_) => see_other("/"),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
