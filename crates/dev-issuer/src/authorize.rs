//! The authorization endpoint (RFC 6749 §4.1, RFC 7636, RFC 8707, RFC 9207) and its sign-in form.
//!
//! Nothing is sent to a redirect URI that is not registered. The form is not bound to the browser that asked for it,
//! as a real provider's would be.

use crate::{
    device,
    fault::{Endpoint, Fault, patch},
    imitation::Resources,
    page,
    server::{Asked, Refusal, Reply},
    state::{Code, Interaction, Shared, SignedIn, State, now},
};
use axum::http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use url::Url;

/// Seconds a sign-in form may be looked at.
const FORM_LIFETIME: u64 = 600;
/// Longest user name in characters.
const NAME_LIMIT: usize = 64;

/// `GET` or `POST /authorize`.
pub(crate) fn authorize(shared: &Shared, asked: &Asked) -> Reply {
    let (client_id, redirect_uri) = match redirect_target(shared, asked) {
        Ok(target) => target,
        Err(refusal) => return stay(&(shared.quirks.dress)(refusal)),
    };
    // From here on errors go to the redirect URI.
    let state_parameter = asked.parameters.one("state").ok().flatten().map(str::to_owned);
    let interaction = match interaction(shared, asked, client_id, redirect_uri.clone()) {
        Ok(interaction) => interaction,
        Err(refusal) if shared.quirks.refusals_stay => return stay(&(shared.quirks.dress)(refusal)),
        Err(refusal) => return refuse(shared, &redirect_uri, state_parameter, &(shared.quirks.dress)(refusal)),
    };
    let mut state = shared.lock();
    let known = shared.config.behaviour.remember_browser.then(|| browser(shared, &state, &asked.headers)).flatten();
    let prompts: Vec<_> = asked.parameters.one("prompt").ok().flatten().unwrap_or_default().split(' ').collect();
    let max_age = asked.parameters.one("max_age").ok().flatten().and_then(|seconds| seconds.parse::<u64>().ok());
    let fresh = known.filter(|who| {
        !prompts.iter().any(|prompt| ["login", "select_account"].contains(prompt))
            && max_age.is_none_or(|seconds| now().saturating_sub(who.at) <= seconds)
    });
    match fresh {
        Some(who) => complete(shared, &mut state, interaction, who),
        None if prompts.contains(&"none") => {
            drop(state);
            refuse(shared, &redirect_uri, state_parameter, &Refusal::new("login_required", "nobody is signed in"))
        }
        None => show_form(shared, &mut state, interaction, asked.parameters.one("login_hint").ok().flatten()),
    }
}

/// `POST /sign-in`: the form comes back.
pub(crate) fn sign_in(shared: &Shared, asked: &Asked) -> Reply {
    let field = |name| asked.parameters.one(name).ok().flatten().unwrap_or_default();
    let mut state = shared.lock();
    let living = state.store.interactions.remove(field("interaction")).filter(|asked| asked.expires > now());
    let Some(interaction) = living else {
        return Reply::html(400, page::problem("This sign-in is over. Start it again from your program."), "expired");
    };
    if field("action") == "cancel" {
        drop(state);
        if let Some(waiting) = &interaction.device {
            return device::settle(shared, waiting, None);
        }
        let refusal = Refusal::new("access_denied", "the person cancelled");
        return refuse(shared, &interaction.redirect_uri, interaction.state, &refusal);
    }
    let name = field("username").trim();
    let usable = !name.is_empty() && name.chars().count() <= NAME_LIMIT && !name.chars().any(char::is_control);
    if !usable || field("password").is_empty() {
        return show_form(shared, &mut state, interaction, Some(name));
    }
    let who = SignedIn { subject: name.to_owned(), at: now() };
    let remembered = match state.store.secret("browser") {
        Ok(secret) => secret,
        Err(error) => return Refusal::from(error).into_reply(),
    };
    state.store.note(&remembered);
    state.store.browsers.insert(remembered.clone(), who.clone());
    let cookie = format!("{}={remembered}; Path=/; HttpOnly; SameSite=Lax", cookie_name(shared));
    if let Some(waiting) = &interaction.device {
        drop(state);
        return device::settle(shared, waiting, Some(who)).with(header::SET_COOKIE, &cookie);
    }
    complete(shared, &mut state, interaction, who).with(header::SET_COOKIE, &cookie)
}

/// Who wants the answer and where it goes; an error here must not be sent anywhere.
fn redirect_target(shared: &Shared, asked: &Asked) -> Result<(String, String), Refusal> {
    let client_id = asked.parameters.needed("client_id")?;
    let client = shared
        .client(client_id)
        .ok_or_else(|| Refusal::new("invalid_client", &format!("no program is registered as {client_id:?}")))?;
    let redirect_uri = asked.parameters.needed("redirect_uri")?;
    if !client.allows(redirect_uri, shared.quirks.redirects) {
        return Err(Refusal::new("invalid_request", "the redirect URI is not registered"));
    }
    Ok((client_id.to_owned(), redirect_uri.to_owned()))
}

/// A refusal that is shown instead of sent on.
fn stay(refusal: &Refusal) -> Reply {
    Reply::html(400, page::problem(&refusal.description), &refusal.error)
}

fn interaction(
    shared: &Shared,
    asked: &Asked,
    client_id: String,
    redirect_uri: String,
) -> Result<Interaction, Refusal> {
    let parameters = &asked.parameters;
    let optional = |name| parameters.one(name).map(|value| value.map(str::to_owned));
    if parameters.needed("response_type")? != "code" {
        return Err(Refusal::new("unsupported_response_type", "only code"));
    }
    if parameters.one("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(Refusal::new("invalid_request", "only response_mode query"));
    }
    if parameters.one("request")?.is_some() || parameters.one("request_uri")?.is_some() {
        return Err(Refusal::new("request_not_supported", "no request objects here"));
    }
    let challenge = parameters.needed("code_challenge")?;
    if parameters.needed("code_challenge_method")? != "S256" {
        return Err(Refusal::new("invalid_request", "only code_challenge_method S256"));
    }
    if challenge.len() != 43 || !challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Refusal::new("invalid_request", "code_challenge is no SHA-256 in base64url"));
    }
    let prompt = parameters.one("prompt")?.unwrap_or_default();
    if prompt.contains("none") && prompt != "none" {
        return Err(Refusal::new("invalid_request", "prompt none stands alone"));
    }
    if parameters.one("max_age")?.is_some_and(|seconds| seconds.parse::<u64>().is_err()) {
        return Err(Refusal::new("invalid_request", "max_age is no number of seconds"));
    }
    let resources = asked_resources(shared, asked)?;
    let scope = scopes(parameters.one("scope")?.unwrap_or_default())?;
    (shared.quirks.check_scopes)(&scope)?;
    Ok(Interaction {
        client_id,
        redirect_uri,
        state: optional("state")?,
        nonce: optional("nonce")?,
        scope,
        resources,
        challenge: challenge.to_owned(),
        acr: parameters.one("acr_values")?.and_then(|values| values.split(' ').next()).map(str::to_owned),
        access_type: parameters.one("access_type")? == Some("offline"),
        consent: prompt.split(' ').any(|prompt| prompt == "consent"),
        device: None,
        expires: now() + FORM_LIFETIME,
    })
}

/// The `resource` and `audience` values of a request that count at this provider.
pub(crate) fn asked_resources(shared: &Shared, asked: &Asked) -> Result<Vec<String>, Refusal> {
    let resources = asked.parameters.resources();
    match shared.quirks.resources {
        Resources::Honoured => check_resources(&resources).map(|()| resources),
        Resources::Refused if asked.parameters.one("resource")?.is_some() => {
            let why = "The 'resource' request parameter isn't supported.";
            Err(Refusal::new("invalid_request", why).code(901_002))
        }
        Resources::Ignored | Resources::Refused => Ok(Vec::new()),
    }
}

/// Scopes without doubles, in order (RFC 6749 §3.3).
pub(crate) fn scopes(text: &str) -> Result<Vec<String>, Refusal> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
        if !scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
            return Err(Refusal::new("invalid_scope", "a scope holds a character it may not"));
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}

/// Each must be an absolute URI without a fragment (RFC 8707 §2).
pub(crate) fn check_resources(resources: &[String]) -> Result<(), Refusal> {
    match resources.iter().find(|resource| Url::parse(resource).map_or(true, |uri| uri.fragment().is_some())) {
        None => Ok(()),
        Some(resource) => Err(Refusal::new("invalid_target", &format!("{resource:?} is no absolute URI"))),
    }
}

pub(crate) fn show_form(shared: &Shared, state: &mut State, interaction: Interaction, hint: Option<&str>) -> Reply {
    let name = match state.store.secret("form") {
        Ok(name) => name,
        Err(error) => return Refusal::from(error).into_reply(),
    };
    let action = format!("{}/sign-in", shared.config.issuer_path);
    let page = page::sign_in(&action, &name, &interaction.client_id, hint.unwrap_or_default());
    state.store.interactions.retain(|_, asked| asked.expires > now());
    state.store.interactions.insert(name, interaction);
    Reply::html(200, page, "form")
}

/// Sends the code to the redirect URI, or what a fault makes of it.
fn complete(shared: &Shared, state: &mut State, asked: Interaction, who: SignedIn) -> Reply {
    let facts = crate::fault::Facts { grant_type: None, resources: &asked.resources };
    let fault = state.faults.content(Endpoint::Authorize, facts);
    let (redirect_uri, state_parameter) = (asked.redirect_uri.clone(), asked.state.clone());
    if let Some(Fault::Error { error, description, .. }) = fault {
        let refusal = Refusal::new(&error, &description.unwrap_or_default());
        return refuse(shared, &redirect_uri, state_parameter, &refusal);
    }
    let code = match state.store.secret("code") {
        Ok(code) if shared.config.behaviour.odd_callback => format!("{code}+/=="),
        Ok(code) => code,
        Err(error) => return refuse(shared, &redirect_uri, state_parameter, &error.into()),
    };
    let expires = now() + u64::from(shared.config.code_lifetime);
    let (subject, scope) = (who.subject.clone(), asked.scope.clone());
    state.store.note(&code);
    state.store.codes.insert(code.clone(), Code { asked, who, expires, redeemed: None, burnt: false });
    state.journal.counters.codes += 1;
    let mut answer = Map::from_iter([("code".to_owned(), json!(code))]);
    (shared.quirks.callback)(&subject, &scope, &mut answer);
    if let Some(Fault::Fields { fields }) = fault {
        add_frame(shared, &mut answer, state_parameter);
        patch(&mut answer, &fields);
    } else {
        add_frame(shared, &mut answer, state_parameter);
    }
    if shared.config.behaviour.odd_callback {
        return Reply::see_other(&backwards(&redirect_uri, &answer), "ok");
    }
    Reply::see_other(&with_parameters(&redirect_uri, &answer), "ok")
}

fn refuse(shared: &Shared, redirect_uri: &str, state: Option<String>, refusal: &Refusal) -> Reply {
    let mut answer = Map::from_iter([("error".to_owned(), json!(refusal.error))]);
    if !refusal.description.is_empty() {
        answer.insert("error_description".to_owned(), json!(refusal.description));
    }
    add_frame(shared, &mut answer, state);
    Reply::see_other(&with_parameters(redirect_uri, &answer), &refusal.error)
}

/// Adds `state` and `iss`, which good and bad answers carry alike.
fn add_frame(shared: &Shared, answer: &mut Map<String, Value>, state: Option<String>) {
    if let Some(state) = state {
        answer.insert("state".to_owned(), json!(state));
    }
    if shared.config.behaviour.iss_parameter {
        answer.insert("iss".to_owned(), json!(shared.issuer));
    }
}

fn with_parameters(redirect_uri: &str, answer: &Map<String, Value>) -> String {
    let Ok(mut uri) = Url::parse(redirect_uri) else { return redirect_uri.to_owned() };
    for (name, value) in answer {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        uri.query_pairs_mut().append_pair(name, &text);
    }
    uri.into()
}

/// The parameters from last to first; `/` and `=` need no escaping in a query (RFC 3986 §3.4) and get none.
fn backwards(redirect_uri: &str, answer: &Map<String, Value>) -> String {
    let pairs = answer.iter().rev().map(|(name, value)| {
        let text = value.as_str().unwrap_or_default();
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        format!("{name}={}", text.replace("%2F", "/").replace("%3D", "="))
    });
    let query: Vec<String> = pairs.collect();
    format!("{redirect_uri}{}{}", if redirect_uri.contains('?') { '&' } else { '?' }, query.join("&"))
}

fn browser(shared: &Shared, state: &State, headers: &HeaderMap) -> Option<SignedIn> {
    let name = cookie_name(shared);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split("; "))
        .filter_map(|cookie| cookie.split_once('='))
        .find(|(n, _)| *n == name)
        .and_then(|(_, secret)| state.store.browsers.get(secret).cloned())
}

/// Cookies ignore ports, so two providers of one machine need two names.
fn cookie_name(shared: &Shared) -> String {
    format!("dev_issuer_{}", shared.address.rsplit(':').next().unwrap_or_default())
}
