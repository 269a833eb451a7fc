//! The token endpoint (RFC 6749 §4.1.3 and §6, RFC 8707, RFC 9068) and revocation (RFC 7009).

use crate::{
    authorize::{asked_resources, scopes},
    config::Registration,
    device,
    fault::{Endpoint, Facts, Fault, JwtChange, patch},
    imitation::{AccessClaims, Jwt, Lasting, Renewal},
    metadata::profile_claims,
    server::{Asked, Refusal, Reply},
    state::{Access, Family, Refresh, Shared, State, now},
};
use axum::http::header;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `POST /token`.
pub(crate) fn token(shared: &Shared, asked: &Asked) -> Reply {
    let answer = authenticate(shared, asked).and_then(|client| match asked.parameters.needed("grant_type")? {
        "authorization_code" => redeem(shared, asked, client),
        "refresh_token" => refresh(shared, asked, client),
        device::GRANT_TYPE => of_device(shared, asked, client),
        _ => Err(Refusal::new("unsupported_grant_type", "authorization_code, refresh_token or a device code")),
    });
    answer.map_or_else(|refusal| (shared.quirks.dress)(refusal).into_reply(), |body| Reply::json(200, &body))
}

/// `POST /revoke`: a refresh token takes its family along, an opaque access token goes alone, anything else is fine too.
pub(crate) fn revoke(shared: &Shared, asked: &Asked) -> Reply {
    let revoked = authenticate(shared, asked).and_then(|client| {
        let token = asked.parameters.needed("token")?;
        let mut state = shared.lock();
        let store = &mut state.store;
        let owned = |family: usize| store.families.get(family).is_some_and(|f| f.client_id == client.client_id);
        if let Some(family) = store.refresh.get(token).map(|refresh| refresh.family).filter(|family| owned(*family)) {
            store.revoke_family(family);
        } else if store.access.get(token).is_some_and(|access| owned(access.family)) {
            store.access.remove(token);
        }
        Ok(())
    });
    match revoked {
        Ok(()) => Reply::new(200, "application/json", "", "ok"),
        Err(refusal) => (shared.quirks.dress)(refusal).into_reply(),
    }
}

fn failed() -> Refusal {
    Refusal { status: 401, ..Refusal::new("invalid_client", "unknown client or wrong secret") }
}

/// The client of this name, whoever says so.
pub(crate) fn known<'a>(shared: &'a Shared, client_id: &str) -> Result<&'a Registration, Refusal> {
    shared.client(client_id).ok_or_else(failed)
}

/// The client, by its secret where it has one (RFC 6749 §2.3).
fn authenticate<'a>(shared: &'a Shared, asked: &Asked) -> Result<&'a Registration, Refusal> {
    let basic = asked.headers.get(header::AUTHORIZATION).map(|value| {
        let text = value.to_str().ok()?.strip_prefix("Basic ")?;
        let pair = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        let decode = |text: &str| {
            let pair = url::form_urlencoded::parse(text.as_bytes()).next();
            pair.map(|(name, _)| name.into_owned()).unwrap_or_default()
        };
        Some((decode(id), decode(secret)))
    });
    let (client_id, secret) = match basic {
        Some(Some((id, secret))) => (id, Some(secret)),
        Some(None) => return Err(failed()),
        None => (
            asked.parameters.needed("client_id")?.to_owned(),
            asked.parameters.one("client_secret")?.map(str::to_owned),
        ),
    };
    let client = known(shared, &client_id)?;
    match (&client.client_secret, &secret) {
        (wanted, told) if wanted == told => Ok(client),
        (Some(_), None) => Err(Refusal { description: "client_secret is missing.".to_owned(), ..failed() }),
        _ => Err(failed()),
    }
}

fn redeem(shared: &Shared, asked: &Asked, client: &Registration) -> Result<Value, Refusal> {
    let refused = |why| Refusal::new("invalid_grant", why);
    let text = asked.parameters.needed("code")?;
    let verifier = asked.parameters.needed("code_verifier")?;
    let redirect_uri = asked.parameters.needed("redirect_uri")?;
    let resources = asked_resources(shared, asked)?;
    let narrowed = asked.parameters.one("scope")?.filter(|_| shared.quirks.code_takes_scope).map(scopes).transpose()?;
    let mut guard = shared.lock();
    let state = &mut *guard;
    let code = state.store.codes.get_mut(text).ok_or_else(|| refused("no such code"))?;
    if code.burnt {
        let family = code.redeemed;
        state.journal.counters.code_reuses += 1;
        if let Some(family) = family {
            state.store.revoke_family(family);
        }
        return Err(refused("the code was used before"));
    }
    allowed(&code.asked.resources, &resources)?;
    code.burnt = true;
    if code.expires <= now() {
        return Err(refused("the code is too old"));
    }
    if code.asked.client_id != client.client_id || code.asked.redirect_uri != redirect_uri {
        return Err(refused("the code is for another client or redirect URI"));
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    if !(43..=128).contains(&verifier.len()) || challenge != code.asked.challenge {
        return Err(refused("the code verifier does not fit"));
    }
    let number = state.store.families.len();
    code.redeemed = Some(number);
    let (nonce, access_type, consent) = (code.asked.nonce.clone(), code.asked.access_type, code.asked.consent);
    let family = Family {
        client_id: client.client_id.clone(),
        who: code.who.clone(),
        scope: code.asked.scope.clone(),
        resources: code.asked.resources.clone(),
        acr: code.asked.acr.clone(),
        revoked: false,
    };
    let lasting = lasts(shared, state, &family, access_type, consent)?;
    let scope = (shared.quirks.narrow)(&family.scope, narrowed.as_deref())?;
    state.store.families.push(family.clone());
    state.journal.counters.redemptions += 1;
    let wanted = Wanted { scope, resources, nonce, refresh: if lasting { Give::New } else { Give::None } };
    Ok(issue(shared, state, number, &family, wanted, asked.facts())?.0)
}

/// Tokens for a device whose person has answered (RFC 8628 §3.5).
fn of_device(shared: &Shared, asked: &Asked, client: &Registration) -> Result<Value, Refusal> {
    let (device, who) = device::poll(shared, asked, client)?;
    let mut guard = shared.lock();
    let state = &mut *guard;
    let family = Family {
        client_id: device.client_id,
        who,
        scope: device.scope,
        resources: device.resources.clone(),
        acr: None,
        revoked: false,
    };
    let lasting = lasts(shared, state, &family, true, true)?;
    let scope = (shared.quirks.narrow)(&family.scope, None)?;
    let number = state.store.families.len();
    state.store.families.push(family.clone());
    state.journal.counters.redemptions += 1;
    let refresh = if lasting { Give::New } else { Give::None };
    let wanted = Wanted { scope, resources: device.resources, nonce: None, refresh };
    Ok(issue(shared, state, number, &family, wanted, asked.facts())?.0)
}

/// Whether this sign-in gets a refresh token.
fn lasts(
    shared: &Shared,
    state: &mut State,
    family: &Family,
    access_type: bool,
    consent: bool,
) -> Result<bool, Refusal> {
    let offline = has(&family.scope, "offline_access");
    if offline && shared.config.refuse_offline {
        return Err(Refusal::new("not_allowed", "Offline tokens not allowed for the user or client"));
    }
    Ok(match shared.quirks.lasting {
        Lasting::AsConfigured => !shared.config.behaviour.offline_access_required || offline,
        Lasting::OnlineToo => true,
        Lasting::AccessType => {
            let first = state.store.consented.insert((family.client_id.clone(), family.who.subject.clone()));
            access_type && (first || consent)
        }
    })
}

fn refresh(shared: &Shared, asked: &Asked, client: &Registration) -> Result<Value, Refusal> {
    let refused = |why| Refusal::new("invalid_grant", why);
    let text = asked.parameters.needed("refresh_token")?;
    let narrowed = asked.parameters.one("scope")?.map(scopes).transpose()?;
    let resources = asked_resources(shared, asked)?;
    let mut guard = shared.lock();
    let state = &mut *guard;
    let known = state.store.refresh.get(text).ok_or_else(|| refused("no such refresh token"))?;
    let (number, rotated, expires) = (known.family, known.rotated, known.expires);
    let family = state.store.families.get(number).cloned().ok_or_else(|| refused("no such refresh token"))?;
    if family.client_id != client.client_id {
        return Err(refused("the refresh token is for another client"));
    }
    if rotated {
        state.journal.counters.reuses += 1;
        state.store.revoke_family(number);
        return Err(refused("the refresh token was used before"));
    }
    if family.revoked || expires <= now() {
        return Err(refused("the refresh token is revoked or too old"));
    }
    let scope = (shared.quirks.narrow)(&family.scope, narrowed.as_deref())?;
    allowed(&family.resources, &resources)?;
    let refresh = match shared.quirks.renewal {
        Renewal::AsConfigured if shared.config.behaviour.rotate_refresh_tokens => Give::New,
        Renewal::AsConfigured | Renewal::Nothing => Give::None,
        Renewal::New => Give::New,
        Renewal::Same => Give::Same(text.to_owned()),
    };
    let wanted = Wanted { scope, resources, nonce: None, refresh };
    let (body, renewed) = issue(shared, state, number, &family, wanted, asked.facts())?;
    state.journal.counters.refreshes += 1;
    if renewed
        && shared.quirks.renewal == Renewal::AsConfigured
        && let Some(known) = state.store.refresh.get_mut(text)
    {
        known.rotated = true;
    }
    Ok(body)
}

/// Asking for a resource the authorization did not name is refused; an authorization that named none allows any.
fn allowed(granted: &[String], asked: &[String]) -> Result<(), Refusal> {
    match asked.iter().find(|resource| !granted.is_empty() && !granted.contains(resource)) {
        None => Ok(()),
        Some(resource) => Err(Refusal::new("invalid_target", &format!("{resource} was not granted"))),
    }
}

/// What one answer of the token endpoint shall hold.
struct Wanted {
    scope: Vec<String>,
    resources: Vec<String>,
    nonce: Option<String>,
    refresh: Give,
}

/// Which refresh token an answer holds.
enum Give {
    None,
    New,
    /// The one that was shown.
    Same(String),
}

/// The answer, and whether it was meant to hold a new refresh token.
fn issue(
    shared: &Shared,
    state: &mut State,
    number: usize,
    family: &Family,
    wanted: Wanted,
    facts: Facts<'_>,
) -> Result<(Value, bool), Refusal> {
    let fault = state.faults.content(Endpoint::Token, facts);
    let change = |of_id_token: bool| match &fault {
        Some(Fault::IdToken(change)) if of_id_token => change.clone(),
        Some(Fault::AccessToken(change)) if !of_id_token => change.clone(),
        _ => JwtChange::default(),
    };
    let now = now();
    let lifetime = u64::from(shared.config.access_lifetime);
    let told = (shared.quirks.told)(&wanted.scope);
    let asked = AccessClaims { client_id: &family.client_id, subject: &family.who.subject, scope: &wanted.scope };
    let access_token = if let Some(Jwt { typ, claims: own }) = (shared.quirks.access)(&asked) {
        let mut claims = person(shared, family);
        (shared.quirks.identity)(&family.who.subject, &mut claims);
        claims.extend(object(json!({ "iat": now, "exp": now + lifetime, "jti": state.store.secret("jti")? })));
        claims.extend(own);
        if shared.config.canary {
            claims.insert("canary".to_owned(), json!(state.store.secret("claim")?));
        }
        let mut change = change(false);
        change.header.entry("typ").or_insert_with(|| typ.map_or(Value::Null, |typ| json!(typ)));
        state.keys.sign("JWT", claims, &change)?
    } else if wanted.resources.is_empty() {
        let secret = state.store.secret("at")?;
        let access = Access { family: number, scope: wanted.scope.clone(), expires: now + lifetime };
        state.store.access.insert(secret.clone(), access);
        secret
    } else {
        let mut claims = person(shared, family);
        let audience = match wanted.resources.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        claims.extend(object(json!({
            "aud": audience, "client_id": family.client_id, "scope": wanted.scope.join(" "),
            "iat": now, "exp": now + lifetime, "jti": state.store.secret("jti")?,
        })));
        if shared.config.canary {
            claims.insert("canary".to_owned(), json!(state.store.secret("claim")?));
        }
        state.keys.sign("at+jwt", claims, &change(false))?
    };
    state.store.note(&access_token);
    let mut body = object(json!({
        "access_token": access_token, "token_type": "Bearer", "expires_in": lifetime, "scope": told.join(" "),
    }));
    if has(&wanted.scope, "openid") {
        let mut claims = person(shared, family);
        claims.extend(profile_claims(&family.who.subject, &wanted.scope));
        claims.extend(object(json!({
            "aud": family.client_id, "iat": now, "exp": now + lifetime, "amr": ["pwd"],
            "at_hash": URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token.as_bytes())[..16]),
        })));
        if let Some(nonce) = wanted.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        (shared.quirks.identity)(&family.who.subject, &mut claims);
        if shared.config.canary {
            claims.insert("canary".to_owned(), json!(state.store.secret("claim")?));
        }
        let id_token = state.keys.sign("JWT", claims, &change(true))?;
        state.store.note(&id_token);
        body.insert("id_token".to_owned(), json!(id_token));
    }
    let online = shared.quirks.lasting == Lasting::OnlineToo && !has(&family.scope, "offline_access");
    let lifetime = if online { shared.config.online_idle } else { shared.config.refresh_lifetime };
    let refresh = match wanted.refresh {
        _ if matches!(fault, Some(Fault::NoNewRefreshToken {})) => None,
        Give::None => None,
        Give::Same(same) => Some(same),
        Give::New => {
            let secret = state.store.secret("rt")?;
            let expires = now + u64::from(lifetime);
            state.store.refresh.insert(secret.clone(), Refresh { family: number, expires, rotated: false });
            state.store.note(&secret);
            Some(secret)
        }
    };
    if let Some(secret) = refresh {
        body.insert("refresh_token".to_owned(), json!(secret));
        if shared.quirks.lasting == Lasting::OnlineToo {
            body.insert("refresh_expires_in".to_owned(), json!(if online { lifetime } else { 0 }));
        }
    }
    let renewed = body.contains_key("refresh_token");
    if let Some(Fault::Fields { fields }) = &fault {
        patch(&mut body, fields);
    }
    Ok((Value::Object(body), renewed))
}

/// Claims both kinds of JWT share.
fn person(shared: &Shared, family: &Family) -> Map<String, Value> {
    object(json!({
        "iss": shared.issuer, "sub": family.who.subject, "auth_time": family.who.at,
        "acr": family.acr.as_deref().unwrap_or("urn:daypass:dev:password"),
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn has(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|known| known == scope)
}
