//! Every failure has its words, and every cause its place in the documentation.

use super::*;
use broker::{Offline, RedirectUri};
use std::collections::BTreeMap;

fn account() -> Account {
    let uri = |port| RedirectUri {
        host: "127.0.0.1".to_owned(),
        port,
        path: "/callback".to_owned(),
        written_path: "/callback".to_owned(),
    };
    Account {
        name: "corp".parse().unwrap(),
        title: None,
        issuer: "https://login.example.com".parse().unwrap(),
        client_id: "daypass".to_owned(),
        client_secret: None,
        redirect_uris: vec![uri(Some(4711)), uri(None)],
        scopes: "openid".parse().unwrap(),
        offline: Offline::Auto,
        authorization_parameters: BTreeMap::new(),
        required_claims: BTreeMap::new(),
    }
}

fn said(error: &str, code: Option<&str>, description: Option<&str>) -> ServerError {
    ServerError {
        error: error.to_owned(),
        code: code.map(str::to_owned),
        description: description.map(str::to_owned),
        ..ServerError::default()
    }
}

#[test]
fn every_failure_has_its_cause() {
    let rejected = |error: &str, code, description| OidcError::Rejected(Box::new(said(error, code, description)));
    let denied = |code, description| OidcError::AccessDenied(Box::new(said("access_denied", code, description)));
    let wants = |error: &str, code| OidcError::InteractionRequired(Box::new(said(error, code, None)));
    for (error, cause) in [
        (rejected("invalid_request", Some("AADSTS50011"), None), Cause::WrongRedirect),
        (rejected("redirect_uri_mismatch", None, None), Cause::WrongRedirect),
        (rejected("invalid_redirect_uri", None, None), Cause::WrongRedirect),
        (rejected("invalid_request", None, Some("The 'redirect_uri' parameter must match")), Cause::WrongRedirect),
        (rejected("invalid_grant", None, Some("redirect URI mismatch")), Cause::WrongRedirect),
        (rejected("invalid_request", None, Some("scope is missing")), Cause::Refused),
        (rejected("not_allowed", None, Some("Offline tokens not allowed for the user or client")), Cause::Offline),
        (rejected("invalid_client", None, None), Cause::UnknownClient),
        (rejected("unauthorized_client", Some("AADSTS700016"), None), Cause::UnknownClient),
        (rejected("unsupported_grant_type", None, None), Cause::UnknownClient),
        (rejected("invalid_client", None, Some("client_secret is missing")), Cause::ClientSecret),
        (rejected("invalid_client", Some("AADSTS7000218"), None), Cause::ClientSecret),
        (rejected("invalid_grant", Some("AADSTS65001"), None), Cause::AdminConsent),
        (wants("consent_required", Some("AADSTS65001")), Cause::AdminConsent),
        (denied(Some("AADSTS90094"), None), Cause::AdminConsent),
        (rejected("admin_policy_enforced", None, None), Cause::AdminConsent),
        (rejected("org_internal", None, None), Cause::AdminConsent),
        (denied(None, Some("User is not assigned to the client application.")), Cause::NotAssigned),
        (rejected("invalid_grant", Some("AADSTS50105"), None), Cause::NotAssigned),
        (wants("interaction_required", Some("AADSTS53003")), Cause::OrganisationRule),
        (denied(Some("AADSTS65004"), None), Cause::Declined),
        (denied(None, None), Cause::Declined),
        (wants("interaction_required", None), Cause::InteractionNeeded),
        (OidcError::LoginRequired(Box::new(said("login_required", None, None))), Cause::InteractionNeeded),
        (OidcError::InvalidScope(Box::new(said("invalid_scope", Some("AADSTS70011"), None))), Cause::Scope),
        (OidcError::InvalidTarget(Box::new(said("invalid_target", None, None))), Cause::Resource),
        (rejected("invalid_resource", Some("AADSTS500011"), None), Cause::Resource),
        (rejected("server_is_odd", None, None), Cause::Refused),
        (OidcError::WrongAccount { display: "bob".to_owned(), claim: "email".to_owned() }, Cause::WrongAccount),
        (OidcError::BadIdToken("it has expired (is the clock of this machine right?)"), Cause::Clock),
        (OidcError::BadIdToken("it is for another audience"), Cause::Unverifiable),
        (OidcError::BadCallback("it has both a code and an error"), Cause::Unverifiable),
        (OidcError::BadAnswer("it has no id_token"), Cause::Unverifiable),
        (OidcError::CaptivePortal { at: "the token endpoint" }, Cause::CaptivePortal),
        (OidcError::Untrusted { detail: "UnknownIssuer".to_owned() }, Cause::TlsInspection),
        (OidcError::Unavailable { detail: "status 503".to_owned(), retry_after: None }, Cause::Unreachable),
        (OidcError::Timeout("the token endpoint"), Cause::Unreachable),
        (OidcError::BadMetadata("token_endpoint is missing".to_owned()), Cause::Metadata),
        (OidcError::Unmet("acr".to_owned()), Cause::Unmet),
        (OidcError::NotOffered("a sign-in with a code on another device"), Cause::NoDevice),
        (OidcError::Expired, Cause::NeverCameBack),
        (OidcError::Config("max_age is a number of seconds".to_owned()), Cause::Profile),
    ] {
        let failure = Failure::of(&error, &account());
        assert_eq!(failure.cause, cause, "{error:?}");
        let (body, hint) = (&failure.body, failure.body.hint.as_deref().unwrap_or_default());
        assert!(!body.error_description.is_empty() && !failure.happened().is_empty(), "{error:?}");
        assert!(!hint.is_empty() && !hint.contains("ACCOUNT") && !hint.contains("REDIRECT"), "{hint}");
        if let Some(code) = super::said(&error).and_then(|said| said.code.as_deref()) {
            assert!(body.detail.as_deref().is_some_and(|detail| detail.contains(code)), "{error:?}: {body:?}");
        }
    }
}

#[test]
fn a_wrong_redirect_names_the_addresses_to_register() {
    let failure = Failure::of(&OidcError::Rejected(Box::new(said("redirect_uri_mismatch", None, None))), &account());
    let hint = failure.body.hint.unwrap();
    assert!(hint.contains("http://127.0.0.1:4711/callback or http://127.0.0.1/callback (any port)"), "{hint}");
    let failure =
        Failure::port_taken("http://127.0.0.1:4711/callback", &std::io::ErrorKind::AddrInUse.into(), &account());
    assert_eq!((failure.cause, failure.body.code), (Cause::PortTaken, Code::IssuerRejected));
    assert!(failure.happened().contains("http://127.0.0.1:4711/callback"), "{}", failure.happened());
    let failure = Failure::given_up(Cause::NeverCameBack, "", &account());
    assert_eq!((failure.happened(), failure.body.code), ("the browser did not come back in time", Code::LoginRequired));
}

#[test]
fn the_documentation_has_the_same_table() {
    let document = include_str!("../../../../../docs/errors.md");
    for cause in Cause::ALL {
        let (happened, next) = (cause.happened(), cause.next());
        let row = document.lines().find(|line| line.starts_with(&format!("| {cause:?} |")));
        let row = row.unwrap_or_else(|| panic!("docs/errors.md has no row for {cause:?}"));
        assert!(row.contains(happened), "{cause:?}: {row}");
        assert!(row.contains(&next.replace('|', "\\|")), "{cause:?}: {row}");
    }
}
