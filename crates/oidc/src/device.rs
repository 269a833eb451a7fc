//! Signing in with a code on another device (device authorization grant, RFC 8628).
//!
//! Invariant: the token endpoint is not asked more often than the issuer allows, nor more than every five seconds, nor
//! after the code has expired; the address a person is sent to is https (loopback development issuers excepted), and
//! the code is shown only if it can be typed exactly as it came. When to ask is the caller's: [`DevicePending::next`].
//! Limit: who is lured into entering a code of somebody else signs that somebody in; the issuer's page has to warn.

use crate::{
    client::{Client, authenticate},
    error::{OidcError, ServerError, sort},
    http::{Answer, Form, Trouble, What},
    json, metadata,
    sign_in::{Plan, SignInAsk, SignedIn},
};
use broker::{Issuer, Span, Timestamp};
use oauth2::{DeviceCode, EndUserVerificationUrl, UserCode};
use serde_json::{Map, Value};
use std::fmt;

const DEVICE: What = "the device authorization endpoint";
/// Between two questions, where the issuer does not say and at the least (RFC 8628 §3.2).
const LEAST_INTERVAL: Span = Span::seconds(5);
/// What `slow_down` adds, for good (RFC 8628 §3.5).
const SLOWER: Span = Span::seconds(5);
/// The longest pause after trouble on the way.
const LONGEST_PAUSE: Span = Span::minutes(1);
/// The longest a code counts, whatever the issuer says.
const LONGEST_LIFE: Span = Span::minutes(30);
/// The longest code that is shown, in characters.
const LONGEST_CODE: usize = 40;

/// A device sign-in under way.
pub struct DevicePending {
    plan: Plan,
    device_code: DeviceCode,
    user_code: UserCode,
    verification_uri: EndUserVerificationUrl,
    complete: Option<EndUserVerificationUrl>,
    expires_at: Timestamp,
    interval: Span,
    /// Troubles on the way in a row.
    troubles: u32,
    next: Timestamp,
}

impl fmt::Debug for DevicePending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevicePending").field("account", &self.plan.account.name.as_str()).finish_non_exhaustive()
    }
}

/// What one question after a device sign-in brought.
#[derive(Debug)]
pub enum DeviceAnswer {
    /// Nobody has finished it yet, or the issuer could not be reached: ask again at [`DevicePending::next`].
    Waiting,
    /// It is finished.
    SignedIn(Box<SignedIn>),
}

impl DevicePending {
    /// What the person enters: 1 to 40 printable ASCII characters.
    pub fn user_code(&self) -> &str {
        self.user_code.secret()
    }

    /// Where the person enters it: an https address, without control characters.
    pub fn verification_uri(&self) -> &str {
        self.verification_uri.as_str()
    }

    /// The same address with the code in it, where the issuer gives one.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.complete.as_ref().map(|uri| uri.as_str())
    }

    /// When the code expires: 30 minutes after the start at the latest.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When the token endpoint may be asked next.
    pub fn next(&self) -> Timestamp {
        self.next
    }

    /// The issuer it was started at.
    pub fn issuer(&self) -> &Issuer {
        &self.plan.metadata.issuer
    }

    /// Time between two questions as it is now.
    pub(crate) fn pause(&self) -> Span {
        let doubled = Span::seconds(self.interval.as_seconds() << self.troubles.min(8));
        if self.troubles == 0 { self.interval } else { doubled.min(LONGEST_PAUSE.max(self.interval)) }
    }

    fn read(plan: Plan, body: &Map<String, Value>, sent_at: Timestamp) -> Result<Self, OidcError> {
        let bad = OidcError::BadAnswer;
        let device_code = json::text(body, "device_code").ok_or(bad("it has no device_code"))?;
        let user_code = json::text(body, "user_code").ok_or(bad("it has no user_code"))?;
        if user_code.len() > LONGEST_CODE
            || user_code.trim() != user_code
            || !user_code.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        {
            return Err(bad("its user_code is none a person could type"));
        }
        // Some providers use the name of the draft.
        let uri = json::text(body, "verification_uri").or_else(|| json::text(body, "verification_url"));
        let issuer = &plan.metadata.issuer;
        // The address as it was written: a parser would repair it.
        let address = |name: &str, text: &str| {
            metadata::address(issuer, name, text)?;
            EndUserVerificationUrl::new(text.to_owned()).map_err(|_| bad("its verification_uri is no address"))
        };
        let verification_uri = address("verification_uri", uri.ok_or(bad("it has no verification_uri"))?)?;
        let complete = json::text(body, "verification_uri_complete")
            .map(|text| address("verification_uri_complete", text))
            .transpose()?;
        let life = body.get("expires_in").and_then(json::seconds).filter(|seconds| *seconds > 0);
        let life = Span::seconds(life.ok_or(bad("its expires_in is no time to come"))?).min(LONGEST_LIFE);
        let interval = match body.get("interval") {
            None | Some(Value::Null) => LEAST_INTERVAL,
            Some(value) => Span::seconds(json::seconds(value).ok_or(bad("its interval is no number of seconds"))?),
        }
        .max(LEAST_INTERVAL);
        if interval >= life {
            return Err(bad("its code expires before it may be asked for"));
        }
        Ok(Self {
            device_code: DeviceCode::new(device_code.to_owned()),
            user_code: UserCode::new(user_code.to_owned()),
            verification_uri,
            complete,
            expires_at: sent_at + life,
            interval,
            troubles: 0,
            next: sent_at + interval,
            plan,
        })
    }

    fn wait(&mut self, now: Timestamp, trouble: bool) -> DeviceAnswer {
        self.troubles = if trouble { self.troubles + 1 } else { 0 };
        self.next = now + self.pause();
        DeviceAnswer::Waiting
    }
}

impl Client {
    /// Begins a sign-in that a person finishes on any device.
    ///
    /// # Errors
    /// [`OidcError::NotOffered`] when the issuer has no device authorization endpoint; else why there is no code.
    pub async fn begin_device(&self, ask: SignInAsk) -> Result<DevicePending, OidcError> {
        let metadata = self.discover(&ask.account.issuer).await?;
        let Some(endpoint) = metadata.device_authorization_endpoint.clone() else {
            return Err(OidcError::NotOffered("a sign-in with a code on another device"));
        };
        let (plan, parameters) = Plan::of(ask, metadata, false)?;
        let form = Form::default().with("scope", &plan.scopes.to_string());
        let form = parameters.iter().fold(form, |form, (name, value)| form.with(name, value));
        let (form, authorization) = authenticate(form, &plan.account, &plan.metadata)?;
        let sent_at = self.0.clock.now();
        let answer =
            self.0.transport.post(&endpoint, form, authorization, DEVICE).await.map_err(Trouble::into_error)?;
        let body = json::object(&answer.body);
        match (body, answer.is_success() && !answer.html) {
            (Some(body), true) if body.get("error").is_none_or(Value::is_null) => {
                DevicePending::read(plan, &body, sent_at)
            }
            (Some(body), _) => Err(match ServerError::read(&body) {
                Some(said) => sort(said, answer.is_busy(), answer.retry_after),
                None => answer.refusal(DEVICE),
            }),
            (None, true) => Err(OidcError::BadAnswer("it is no unambiguous JSON object")),
            (None, false) => Err(answer.refusal(DEVICE)),
        }
    }

    /// Asks once whether the person has finished; not before [`DevicePending::next`].
    ///
    /// # Errors
    /// [`OidcError::Expired`] when the code has expired, [`OidcError::AccessDenied`] when the person said no; else why
    /// there are no tokens. The sign-in is over in any case.
    pub async fn poll_device(&self, pending: &mut DevicePending) -> Result<DeviceAnswer, OidcError> {
        let sent_at = self.0.clock.now();
        if sent_at >= pending.expires_at {
            return Err(OidcError::Expired);
        }
        // Before its time, or with a clock that was set back: nothing is asked.
        if sent_at < pending.next && sent_at.until(pending.next) <= LONGEST_LIFE {
            return Ok(DeviceAnswer::Waiting);
        }
        let plan = &pending.plan;
        let form = Form::default()
            .with("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .with("device_code", pending.device_code.secret());
        let form = crate::client::for_target(form, &plan.ask);
        let answer = match self.ask(&plan.account, &plan.metadata, form).await {
            Ok(answer) => answer,
            Err(trouble) => return self.after_trouble(pending, trouble.into_error()),
        };
        match word(&answer).as_deref() {
            Some("authorization_pending") => Ok(pending.wait(self.0.clock.now(), false)),
            Some("slow_down") => {
                pending.interval = Span::seconds(pending.interval.as_seconds().saturating_add(SLOWER.as_seconds()));
                Ok(pending.wait(self.0.clock.now(), false))
            }
            Some("expired_token") => Err(OidcError::Expired),
            // Entra ID's word for a person who said no.
            Some("authorization_declined") => Err(OidcError::AccessDenied(Box::new(ServerError::of("access_denied")))),
            _ => match self.finish(&pending.plan, &answer, sent_at, None).await {
                Ok(signed_in) => Ok(DeviceAnswer::SignedIn(Box::new(signed_in))),
                // An answer with tokens is not asked for again, its code is used up; a web page is the network's.
                Err(error) if answer.is_success() && !answer.html => Err(error),
                Err(error) => self.after_trouble(pending, error),
            },
        }
    }

    /// Goes on waiting where the network or the issuer is not there now (RFC 8628 §3.5), else ends.
    fn after_trouble(&self, pending: &mut DevicePending, error: OidcError) -> Result<DeviceAnswer, OidcError> {
        if !error.is_unavailable() || matches!(error, OidcError::Untrusted { .. }) {
            return Err(error);
        }
        tracing::warn!(%error, "the issuer cannot be asked whether the sign-in is finished");
        Ok(pending.wait(self.0.clock.now(), true))
    }
}

/// The error word of an answer, whatever its status is.
fn word(answer: &Answer) -> Option<String> {
    let body = json::object(&answer.body)?;
    ServerError::read(&body).map(|said| said.error)
}
