//! Imitations of particular providers: what Entra ID, Okta, Google and Keycloak do otherwise than the standards let hope.
//!
//! Each module lists what is documented (title of the document, and when it was read) and what is assumed. An imitation
//! shows a program's behaviour at such a provider before anybody has an account there; it proves nothing about the
//! provider itself. Everywhere: tokens are signed with ES256, where the four sign with RS256; anybody signs in with any
//! password; all endpoints are on one host.

mod entra;
mod google;
mod keycloak;
mod okta;

use crate::{
    config::{Behaviour, Config, Registration},
    server::Refusal,
};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

/// A provider that can be imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imitation {
    /// Microsoft Entra ID, v2.0 endpoints of one tenant.
    Entra,
    /// Okta with the custom authorization server `default`.
    Okta,
    /// Google, with a client of the type "Desktop app".
    Google,
    /// A Keycloak realm named `example`.
    Keycloak,
}

impl Imitation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Entra, Self::Okta, Self::Google, Self::Keycloak];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Google => "google",
            Self::Keycloak => "keycloak",
        }
    }

    /// The port `daypass-dev-issuer --imitate` uses when none is named, so that a profile can be written beforehand.
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Entra => 4011,
            Self::Okta => 4012,
            Self::Google => 4013,
            Self::Keycloak => 4014,
        }
    }

    /// A user profile that works with this imitation at `issuer`.
    pub fn profile(self, issuer: &str) -> String {
        let text = match self {
            Self::Entra => entra::PROFILE,
            Self::Okta => okta::PROFILE,
            Self::Google => google::PROFILE,
            Self::Keycloak => keycloak::PROFILE,
        };
        text.replace("ISSUER", issuer)
    }

    fn issuer_path(self) -> &'static str {
        match self {
            Self::Entra => entra::ISSUER_PATH,
            Self::Okta => okta::ISSUER_PATH,
            Self::Google => "",
            Self::Keycloak => keycloak::ISSUER_PATH,
        }
    }

    fn client(self, client_id: &str) -> Registration {
        let (secret, redirect_uris) = match self {
            Self::Entra => (None, entra::REDIRECT_URIS),
            Self::Okta => (None, okta::REDIRECT_URIS),
            Self::Google => (Some(google::CLIENT_SECRET), google::REDIRECT_URIS),
            Self::Keycloak => (None, keycloak::REDIRECT_URIS),
        };
        Registration {
            client_id: client_id.to_owned(),
            client_secret: secret.map(str::to_owned),
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
        }
    }
}

impl fmt::Display for Imitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of the four.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be imitated; hint: entra, okta, google or keycloak")]
pub struct UnknownImitation(String);

impl FromStr for Imitation {
    type Err = UnknownImitation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| UnknownImitation(name.to_owned()))
    }
}

impl Config {
    /// A provider that imitates `imitation`, on a free port, with the clients `daypass` and `daypass-demo`.
    pub fn imitating(imitation: Imitation) -> Self {
        let lifetime = match imitation {
            Imitation::Entra | Imitation::Okta => 3600,
            Imitation::Google => 3599,
            Imitation::Keycloak => 300,
        };
        Self {
            issuer_path: imitation.issuer_path().to_owned(),
            access_lifetime: lifetime,
            clients: ["daypass", "daypass-demo"].map(|id| imitation.client(id)).to_vec(),
            behaviour: Behaviour { iss_parameter: imitation == Imitation::Keycloak, ..Behaviour::default() },
            imitate: Some(imitation),
            ..Self::default()
        }
    }
}

/// Which redirect URIs fit a registered one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// Those that differ in the port of a loopback host only (RFC 8252 §7.3).
    AnyPort,
    /// As [`Self::AnyPort`], but not at all on `[::1]`.
    AnyPortButIpv6,
    /// As [`Self::AnyPort`], where the registered one is an address and names no port.
    AnyPortOfAddress,
    /// The same to the letter.
    Exact,
    /// Anything on a loopback host, registered or not.
    AnyLoopback,
}

/// What becomes of the parameters `resource` and `audience`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resources {
    /// They name the audience (RFC 8707).
    Honoured,
    /// They are not looked at.
    Ignored,
    /// `resource` is refused.
    Refused,
}

/// When there is a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// As [`Behaviour::offline_access_required`] says.
    AsConfigured,
    /// With `access_type=offline`, at the first consent and whenever `prompt=consent`.
    AccessType,
    /// Always; without `offline_access` it ends when it is not used.
    OnlineToo,
}

/// What a refresh brings besides the access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// As [`Behaviour::rotate_refresh_tokens`] says.
    AsConfigured,
    /// The same refresh token again.
    Same,
    /// No refresh token.
    Nothing,
    /// A new refresh token; the old one stays good.
    New,
}

/// An access token that is to be made.
pub(crate) struct AccessClaims<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) subject: &'a str,
    /// The scopes as asked for.
    pub(crate) scope: &'a [String],
}

/// What is particular about a JWT access token.
pub(crate) struct Jwt {
    pub(crate) typ: Option<&'static str>,
    pub(crate) claims: Map<String, Value>,
}

/// Takes what a token may hold from what was granted, given what was asked for.
type Narrow = fn(granted: &[String], asked: Option<&[String]>) -> Result<Vec<String>, Refusal>;

/// How a provider differs from the plain one.
pub(crate) struct Quirks {
    /// Paths of the endpoints after the host; `None` where there is no such endpoint.
    pub(crate) paths: Paths,
    pub(crate) redirects: Redirects,
    pub(crate) resources: Resources,
    pub(crate) lasting: Lasting,
    pub(crate) renewal: Renewal,
    /// `scope` counts when a code is redeemed, too.
    pub(crate) code_takes_scope: bool,
    /// Refused authorization requests are shown on a page of the provider instead of sent to the redirect URI.
    pub(crate) refusals_stay: bool,
    /// Changes the metadata.
    pub(crate) metadata: fn(&mut Map<String, Value>),
    /// Says what is wrong with the scopes of an authorization request.
    pub(crate) check_scopes: fn(&[String]) -> Result<(), Refusal>,
    /// Chooses the scopes of one token.
    pub(crate) narrow: Narrow,
    /// The `scope` of an answer.
    pub(crate) told: fn(&[String]) -> Vec<String>,
    /// A JWT access token; `None` = it is opaque, or as the plain provider makes it.
    pub(crate) access: fn(&AccessClaims<'_>) -> Option<Jwt>,
    /// More claims of an ID token.
    pub(crate) identity: fn(subject: &str, &mut Map<String, Value>),
    /// Says a refusal in the provider's own way.
    pub(crate) dress: fn(Refusal) -> Refusal,
    /// More parameters of a good authorization response.
    pub(crate) callback: fn(subject: &str, scope: &[String], &mut Map<String, Value>),
    /// Whether a client may use the device flow for these scopes.
    pub(crate) device: fn(client_id: &str, scope: &[String]) -> Result<(), Refusal>,
}

/// Paths of the endpoints after the host.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) authorize: String,
    pub(crate) token: String,
    pub(crate) jwks: String,
    pub(crate) userinfo: String,
    pub(crate) revoke: Option<String>,
    pub(crate) device: Option<String>,
    /// Where the person types the code of the device flow.
    pub(crate) verification: String,
}

impl Quirks {
    /// Those of the configured imitation.
    pub(crate) fn of(config: &Config) -> Self {
        let plain = Self::plain(&config.issuer_path);
        match config.imitate {
            None => plain,
            Some(Imitation::Entra) => entra::quirks(&plain),
            Some(Imitation::Okta) => okta::quirks(&plain),
            Some(Imitation::Google) => google::quirks(&plain),
            Some(Imitation::Keycloak) => keycloak::quirks(&plain),
        }
    }

    fn plain(base: &str) -> Self {
        let at = |path: &str| format!("{base}{path}");
        Self {
            paths: Paths {
                authorize: at("/authorize"),
                token: at("/token"),
                jwks: at("/jwks"),
                userinfo: at("/userinfo"),
                revoke: Some(at("/revoke")),
                device: Some(at("/device_authorization")),
                verification: at("/device"),
            },
            redirects: Redirects::AnyPort,
            resources: Resources::Honoured,
            lasting: Lasting::AsConfigured,
            renewal: Renewal::AsConfigured,
            code_takes_scope: false,
            refusals_stay: false,
            metadata: |_| {},
            check_scopes: |_| Ok(()),
            narrow: subset,
            told: <[String]>::to_vec,
            access: |_| None,
            identity: |_, _| {},
            dress: |refusal| refusal,
            callback: |_, _, _| {},
            device: |_, _| Ok(()),
        }
    }
}

/// What was asked for, if all of it was granted (RFC 6749 §6).
pub(crate) fn subset(granted: &[String], asked: Option<&[String]>) -> Result<Vec<String>, Refusal> {
    let Some(asked) = asked else { return Ok(granted.to_vec()) };
    match asked.iter().find(|scope| !granted.contains(scope)) {
        None => Ok(asked.to_vec()),
        Some(more) => Err(Refusal::new("invalid_scope", &format!("{more} was not granted"))),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_a_port_and_a_path_that_can_be_served() {
        for (number, imitation) in Imitation::ALL.into_iter().enumerate() {
            assert_eq!(imitation.name().parse(), Ok(imitation));
            let config = Config::imitating(imitation);
            assert!(config.check().is_ok(), "{imitation}");
            assert!(Imitation::ALL[..number].iter().all(|other| other.usual_port() != imitation.usual_port()));
            let profile = imitation.profile("http://127.0.0.1:1/x");
            assert!(profile.contains("issuer = \"http://127.0.0.1:1/x\"") && !profile.contains("ISSUER"), "{profile}");
        }
        assert!("auth0".parse::<Imitation>().is_err());
    }
}
