//! What each provider wants to be told, and what a profile for it looks like.
//!
//! Facts are from the providers' public documentation; `docs/providers/` says more and when it was read, and
//! `offline::documents` holds the redirect addresses of the two against each other.

use clap::ValueEnum;
use localapi::IssuerInfo;
use std::fmt::Write as _;

/// A kind of provider.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Provider {
    /// Microsoft Entra ID
    Entra,
    /// Okta
    Okta,
    /// Google
    Google,
    /// Keycloak
    Keycloak,
    /// Any other with OpenID Connect
    Generic,
}

impl Provider {
    pub(super) const ALL: [Self; 5] = [Self::Entra, Self::Okta, Self::Google, Self::Keycloak, Self::Generic];

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Entra => "Microsoft Entra ID",
            Self::Okta => "Okta",
            Self::Google => "Google",
            Self::Keycloak => "Keycloak",
            Self::Generic => "another provider",
        }
    }

    /// What has to be known to name the issuer, as a question; `None` = there is only one.
    pub(super) fn question(self) -> Option<&'static str> {
        match self {
            Self::Entra => Some("Directory (tenant) ID, as the app registration's overview shows it"),
            Self::Okta => Some("Okta domain, such as example.okta.com"),
            Self::Google => None,
            Self::Keycloak => Some("Address of the realm, such as https://login.example.com/realms/staff"),
            Self::Generic => Some("Issuer, such as https://login.example.com"),
        }
    }

    /// The issuer for an answer to [`Self::question`]; a whole address counts as it is.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(super) fn issuer(self, answer: &str) -> Result<String, String> {
        let answer = answer.trim().trim_end_matches('/');
        if answer.starts_with("https://") || answer.starts_with("http://") {
            let okta_org = self == Self::Okta && !answer.contains("/oauth2/") && answer.starts_with("https://");
            return Ok(if okta_org { format!("{answer}/oauth2/default") } else { answer.to_owned() });
        }
        match self {
            Self::Google => Ok("https://accounts.google.com".to_owned()),
            Self::Entra if is_guid(answer) => Ok(format!("https://login.microsoftonline.com/{answer}/v2.0")),
            Self::Entra => Err("a tenant ID looks like 8f3c…-…: 32 hexadecimal digits in five groups (its domain \
                                name is not enough: tokens name the ID)"
                .to_owned()),
            Self::Okta if is_host(answer) => Ok(format!("https://{answer}/oauth2/default")),
            Self::Okta => Err("this is no domain; one looks like example.okta.com".to_owned()),
            Self::Keycloak | Self::Generic if is_host(answer.split('/').next().unwrap_or_default()) => {
                Ok(format!("https://{answer}"))
            }
            Self::Keycloak | Self::Generic => Err("this is no address; one looks like https://…".to_owned()),
        }
    }

    /// The kind an issuer's address tells, where it does.
    pub(super) fn of(issuer: &str) -> Self {
        let host = issuer.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let below = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        if below("login.microsoftonline.com") {
            Self::Entra
        } else if below("okta.com") || below("oktapreview.com") || below("okta-emea.com") {
            Self::Okta
        } else if host == "accounts.google.com" {
            Self::Google
        } else if issuer.contains("/realms/") {
            Self::Keycloak
        } else {
            Self::Generic
        }
    }

    /// Whether it insists on a client secret for programs on a desktop.
    pub(super) fn wants_secret(self) -> bool {
        self == Self::Google
    }

    /// The redirect URIs, as they are registered and as they are written into the profile.
    pub(super) fn redirect_uris(self) -> &'static [&'static str] {
        match self {
            Self::Entra => &["http://localhost/callback"],
            Self::Okta => &["http://127.0.0.1:8400/callback", "http://127.0.0.1:8401/callback"],
            Self::Google | Self::Keycloak | Self::Generic => &["http://127.0.0.1/callback"],
        }
    }

    /// What to register, step by step; each line is one thing to do or to fill in.
    pub(super) fn registration(self, issuer: &IssuerInfo) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<14}{value}");
        };
        match self {
            Self::Entra => {
                row("where", "entra.microsoft.com: App registrations, New registration");
                row("account types", "this organizational directory only");
                row("platform", "Authentication, Add a platform, Mobile and desktop applications");
                row("redirect URI", "http://localhost/callback    exactly so; the port does not matter");
                row("public client", "Authentication, Allow public client flows: Yes, for sign-in with a code");
                row("permissions", "Microsoft Graph, delegated: openid, profile, email, offline_access");
                row("client ID", "the Application (client) ID of the overview");
            }
            Self::Okta => {
                row("where", "Admin Console: Applications, Create App Integration");
                row("sign-in", "OIDC - OpenID Connect");
                row("kind", "Native Application");
                row("grant types", "Authorization Code, Refresh Token, Device Authorization");
                for uri in self.redirect_uris() {
                    row("redirect URI", &format!("{uri}    exactly so, port and all"));
                }
                row("assignments", "the people who may use it");
                row("client", "authentication: none (PKCE)");
                row("client ID", "the one of the new integration");
            }
            Self::Google => {
                row("where", "console.cloud.google.com: Google Auth Platform, Clients, Create client");
                row("kind", "Desktop app    (its redirect URIs need no registration)");
                row("audience", "Internal, or add yourself as a test user");
                row("scopes", "openid, .../auth/userinfo.email, .../auth/userinfo.profile");
                row("client ID", "the one shown, and the client secret beside it (Google wants both)");
            }
            Self::Keycloak => {
                row("where", "Admin Console, your realm: Clients, Create client");
                row("kind", "OpenID Connect; Client authentication: Off");
                row("flows", "Standard flow, OAuth 2.0 Device Authorization Grant");
                row("redirect URI", "http://127.0.0.1/callback    any port; Valid redirect URIs");
                row("PKCE", "Advanced, Proof Key for Code Exchange: S256");
                row("client ID", "the one you give it");
            }
            Self::Generic => {
                row("client type", "public or native: no secret, authorization code with PKCE (S256)");
                row("redirect URI", "http://127.0.0.1/callback    with any port (RFC 8252 section 7.3)");
                row("grant types", grants(issuer));
                row("scopes", &scopes(issuer));
                row("client ID", "the one it gets there");
            }
        }
        text
    }

    /// More keys of the account's table, each on a line; `offline` is what the person chose.
    pub(super) fn account_keys(self, offline: Option<&str>) -> String {
        let (usual, prompt) = match self {
            Self::Entra => ("scope", Some("select_account")),
            Self::Okta => ("scope", Some("login")),
            Self::Google => ("parameter", None),
            Self::Keycloak | Self::Generic => ("auto", None),
        };
        let mut text = format!("offline = \"{}\"\n", offline.unwrap_or(usual));
        if let Some(prompt) = prompt {
            let _ = writeln!(text, "authorization_parameters = {{ prompt = \"{prompt}\" }}");
        }
        text
    }
}

fn grants(issuer: &IssuerInfo) -> &'static str {
    if issuer.device { "authorization_code, refresh_token, device_code" } else { "authorization_code, refresh_token" }
}

fn scopes(issuer: &IssuerInfo) -> String {
    let mut scopes = if issuer.scopes.is_empty() { "openid profile email".to_owned() } else { issuer.scopes.join(" ") };
    if issuer.offline_access {
        scopes.push_str(" offline_access");
    }
    scopes
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_host(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|label| !label.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_comes_of_what_people_know() {
        for (provider, answer, issuer) in [
            (
                Provider::Entra,
                "8f3c0d5e-1111-2222-3333-444455556666",
                "https://login.microsoftonline.com/8f3c0d5e-1111-2222-3333-444455556666/v2.0",
            ),
            (Provider::Okta, "example.okta.com", "https://example.okta.com/oauth2/default"),
            (Provider::Okta, "https://example.okta.com/", "https://example.okta.com/oauth2/default"),
            (Provider::Okta, "https://example.okta.com/oauth2/aus1", "https://example.okta.com/oauth2/aus1"),
            (Provider::Google, "", "https://accounts.google.com"),
            (Provider::Keycloak, "https://id.example.com/realms/staff/", "https://id.example.com/realms/staff"),
            (Provider::Generic, "login.example.com", "https://login.example.com"),
            (Provider::Entra, "http://127.0.0.1:9/t/v2.0", "http://127.0.0.1:9/t/v2.0"),
        ] {
            assert_eq!(provider.issuer(answer).as_deref(), Ok(issuer), "{provider:?} {answer}");
        }
        for (provider, answer) in [
            (Provider::Entra, "example.com"),
            (Provider::Entra, "common"),
            (Provider::Okta, "example"),
            (Provider::Okta, "a b.c"),
            (Provider::Generic, ""),
            (Provider::Generic, "nowhere"),
        ] {
            assert!(provider.issuer(answer).is_err(), "{provider:?} {answer}");
        }
    }

    #[test]
    fn a_known_address_tells_its_provider() {
        for (issuer, provider) in [
            ("https://login.microsoftonline.com/x/v2.0", Provider::Entra),
            ("https://example.okta.com/oauth2/default", Provider::Okta),
            ("https://accounts.google.com", Provider::Google),
            ("https://id.example.com/realms/staff", Provider::Keycloak),
            ("https://notokta.com", Provider::Generic),
            ("https://accounts.google.com.evil.example", Provider::Generic),
        ] {
            assert_eq!(Provider::of(issuer), provider, "{issuer}");
        }
    }

    #[test]
    fn what_is_printed_is_what_is_used() {
        let issuer = IssuerInfo {
            issuer: "https://x".into(),
            offline_access: true,
            scopes: vec!["openid".into()],
            device: true,
            revocation: true,
        };
        for provider in Provider::ALL {
            let text = provider.registration(&issuer);
            assert!(text.contains("client ID"), "{provider:?}");
            for uri in provider.redirect_uris() {
                assert!(provider == Provider::Google || text.contains(uri), "{provider:?} does not name {uri}");
            }
        }
    }
}
