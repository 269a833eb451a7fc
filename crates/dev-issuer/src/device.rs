//! Device authorization (RFC 8628): the endpoint a device asks, the page a person answers on, and the polling.

use crate::{
    authorize::{check_resources, scopes, show_form},
    config::Registration,
    page,
    server::{Asked, Refusal, Reply},
    state::{Device, Interaction, Shared, SignedIn, Waiting, now},
    token::known,
};
use serde_json::{Value, json};

/// `grant_type` of a poll (RFC 8628 §3.4).
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Seconds a device waits.
const LIFETIME: u64 = 600;
/// Seconds between two polls at first, and by how much `slow_down` makes them longer (RFC 8628 §3.5).
const INTERVAL: u64 = 1;
const SLOWER: u64 = 5;
/// Letters of a user code, which are no vowels and not alike (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// `POST` to the device authorization endpoint.
pub(crate) fn authorize(shared: &Shared, asked: &Asked) -> Reply {
    begin(shared, asked)
        .map_or_else(|refusal| (shared.quirks.dress)(refusal).into_reply(), |body| Reply::json(200, &body))
}

fn begin(shared: &Shared, asked: &Asked) -> Result<Value, Refusal> {
    let client = known(shared, asked.parameters.needed("client_id")?)?;
    let scope = scopes(asked.parameters.one("scope")?.unwrap_or_default())?;
    (shared.quirks.device)(&client.client_id, &scope)?;
    (shared.quirks.check_scopes)(&scope)?;
    let resources = asked.parameters.resources();
    check_resources(&resources)?;
    let letters = crate::keys::random::<8>()?.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    let letters: String = letters.iter().collect();
    let user_code = format!("{}-{}", &letters[..4], &letters[4..]);
    let mut state = shared.lock();
    let device_code = state.store.secret("device")?;
    state.store.note(&device_code);
    state.store.devices.retain(|_, device| device.expires > now());
    let device = Device {
        client_id: client.client_id.clone(),
        user_code: user_code.clone(),
        scope,
        resources,
        expires: now() + LIFETIME,
        interval: INTERVAL,
        polled: 0,
        state: Waiting::Pending,
    };
    state.store.devices.insert(device_code.clone(), device);
    let verification = format!("{}{}", shared.address, shared.quirks.paths.verification);
    Ok(json!({
        "device_code": device_code, "user_code": user_code, "verification_uri": verification,
        "verification_uri_complete": format!("{verification}?user_code={user_code}"),
        "expires_in": LIFETIME, "interval": INTERVAL,
    }))
}

/// The page where a code is typed; a code that waits leads to the sign-in form.
pub(crate) fn verification(shared: &Shared, asked: &Asked) -> Reply {
    let typed: String = asked.parameters.one("user_code").ok().flatten().unwrap_or_default().to_uppercase();
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let mut state = shared.lock();
    let waiting = state.store.devices.iter().find(|(_, device)| {
        plain(&device.user_code) == plain(&typed) && device.expires > now() && matches!(device.state, Waiting::Pending)
    });
    let Some((code, device)) = waiting else {
        let action = &shared.quirks.paths.verification;
        return Reply::html(200, page::user_code(action, !typed.is_empty()), "form");
    };
    let interaction = Interaction {
        client_id: device.client_id.clone(),
        redirect_uri: String::new(),
        state: None,
        nonce: None,
        scope: device.scope.clone(),
        resources: device.resources.clone(),
        challenge: String::new(),
        acr: None,
        access_type: true,
        consent: true,
        device: Some(code.clone()),
        expires: device.expires,
    };
    show_form(shared, &mut state, interaction, None)
}

/// The person answered; `None` is a no.
pub(crate) fn settle(shared: &Shared, device_code: &str, who: Option<SignedIn>) -> Reply {
    let allowed = who.is_some();
    if let Some(device) = shared.lock().store.devices.get_mut(device_code) {
        device.state = who.map_or(Waiting::Denied, Waiting::Approved);
    }
    Reply::html(200, page::device_done(allowed), if allowed { "ok" } else { "access_denied" })
}

/// A poll of the token endpoint: the device and who signed in on it, once.
pub(crate) fn poll(shared: &Shared, asked: &Asked, client: &Registration) -> Result<(Device, SignedIn), Refusal> {
    let code = asked.parameters.needed("device_code")?;
    let mut state = shared.lock();
    let devices = &mut state.store.devices;
    let device = devices
        .get_mut(code)
        .filter(|device| device.client_id == client.client_id)
        .ok_or_else(|| Refusal::new("invalid_grant", "no such device code"))?;
    if device.expires <= now() {
        devices.remove(code);
        return Err(Refusal::new("expired_token", "the device waited too long"));
    }
    match device.state.clone() {
        Waiting::Approved(who) => devices
            .remove(code)
            .map(|device| (device, who))
            .ok_or_else(|| Refusal::new("invalid_grant", "no such device code")),
        Waiting::Denied => {
            devices.remove(code);
            Err(Refusal::new("access_denied", "the person refused"))
        }
        Waiting::Pending if now() < device.polled + device.interval => {
            device.interval += SLOWER;
            device.polled = now();
            Err(Refusal::new("slow_down", "asked too often"))
        }
        Waiting::Pending => {
            device.polled = now();
            Err(Refusal::new("authorization_pending", "nobody has answered yet"))
        }
    }
}
