//! One value of the tree → the type its key takes.
//!
//! Invariant: a value is either understood in full or void; a list of which an entry may be void on its own says so. The
//! faults quote words and addresses, never what stands where a secret could.

mod network;

pub(crate) use network::{authorities, no_proxy, proxy};

use crate::{
    ceilings::{self, Spans},
    diagnostic::{Severity, hidden, quote},
    file::{Node, Tree},
    format, redirect,
};
use broker::{Issuer, RedirectUri, Scope, ScopeSet, SecretString, Span};
use serde::de::{self, DeserializeOwned, IntoDeserializer};
use std::{collections::BTreeSet, fmt};

/// What is wrong with one value, as the end of a sentence that begins with its key.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) severity: Severity,
    pub(crate) line: Option<u32>,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
}

/// Collects faults of one value.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    pub(crate) fn error(&mut self, node: &Node, text: impl Into<String>) {
        self.push(Severity::Error, node, text, None);
    }

    fn hinted(&mut self, node: &Node, text: impl Into<String>, hint: &str) {
        self.push(Severity::Error, node, text, Some(hint));
    }

    fn push(&mut self, severity: Severity, node: &Node, text: impl Into<String>, hint: Option<&str>) {
        self.0.push(Fault { severity, line: node.line, text: text.into(), hint: hint.map(str::to_owned) });
    }

    fn wrong_kind<T>(&mut self, node: &Node, wanted: &str) -> Option<T> {
        self.error(node, format!("must be {wanted}, not {}", node.value.kind()));
        None
    }
}

fn text<'a>(node: &'a Node, faults: &mut Faults) -> Option<&'a str> {
    match &node.value {
        Tree::Text(text) => Some(text),
        _ => faults.wrong_kind(node, "text"),
    }
}

fn ruled<T, E: fmt::Display>(result: Result<T, E>, node: &Node, faults: &mut Faults) -> Option<T> {
    result.map_err(|rule| faults.error(node, rule.to_string())).ok()
}

/// Text of `least` to `most` characters in which every character is `allowed`.
fn plain(node: &Node, faults: &mut Faults, most: usize, rule: &str, allowed: impl Fn(char) -> bool) -> Option<String> {
    let text = text(node, faults)?;
    if text.trim().is_empty() || text.len() > most || !text.chars().all(allowed) {
        faults.error(node, format!("must be {rule}, 1 to {most} characters"));
        return None;
    }
    Some(text.to_owned())
}

/// A name for people.
pub(crate) fn label(node: &Node, faults: &mut Faults) -> Option<String> {
    plain(node, faults, ceilings::LABEL, "text without control characters", |c| c == '"' || !hidden(c))
}

/// A sentence for people.
pub(crate) fn description(node: &Node, faults: &mut Faults) -> Option<String> {
    let allowed = |c| c == '"' || !hidden(c);
    plain(node, faults, ceilings::DESCRIPTION, "text without control characters", allowed)
}

/// An https address.
pub(crate) fn web_address(node: &Node, faults: &mut Faults) -> Option<String> {
    let address = plain(node, faults, ceilings::ADDRESS, "an address in plain ASCII", |c| {
        c.is_ascii_graphic() && !"\"<>\\".contains(c)
    })?;
    if address.strip_prefix("https://").is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#', ':'])) {
        faults.error(node, "must be an https:// address");
        return None;
    }
    Some(address)
}

/// The identifiers of RFC 6749 appendix A: printable ASCII.
pub(crate) fn printable(node: &Node, faults: &mut Faults) -> Option<String> {
    plain(node, faults, 512, "printable ASCII", |c| c == ' ' || c.is_ascii_graphic())
}

/// A client secret.
pub(crate) fn secret(node: &Node, faults: &mut Faults) -> Option<SecretString> {
    printable(node, faults).map(SecretString::from)
}

/// An audience (RFC 7519 §4.1.3): printable ASCII without space.
pub(crate) fn audience(node: &Node, faults: &mut Faults) -> Option<String> {
    plain(node, faults, ceilings::ADDRESS, "printable ASCII without space", |c| c.is_ascii_graphic())
}

/// The value of a claim or a parameter.
pub(crate) fn short_text(node: &Node, faults: &mut Faults) -> Option<String> {
    // Thousands of listed programs come through here, nearly all of them plain ASCII.
    if let Tree::Text(text) = &node.value
        && (1..=1024).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Some(text.to_string());
    }
    plain(node, faults, 1024, "text without control characters", |c| !c.is_control())
}

/// An account's name.
pub(crate) fn account_name(node: &Node, faults: &mut Faults) -> Option<broker::AccountName> {
    let text = text(node, faults)?;
    ruled(text.parse().map_err(|e: broker::WordError| e.rule), node, faults)
}

/// The issuer of a single tenant.
pub(crate) fn issuer(node: &Node, faults: &mut Faults) -> Option<Issuer> {
    const HINT: &str = "use the issuer of your own tenant, as its discovery document says it";
    let text = text(node, faults)?;
    if is_multi_tenant(text) {
        faults.hinted(node, "is a multi-tenant issuer: it would accept the accounts of every organisation", HINT);
        return None;
    }
    if text.contains('*') {
        faults.hinted(node, "must name one issuer, without *", HINT);
        return None;
    }
    let issuer: Issuer = ruled(text.parse().map_err(|e: broker::WordError| e.rule), node, faults)?;
    if issuer.is_development() {
        faults.push(Severity::Warning, node, "is plain http: for development on this machine only", None);
    }
    Some(issuer)
}

/// Endpoints that answer for every tenant; a token of theirs names another issuer than the one configured.
fn is_multi_tenant(issuer: &str) -> bool {
    let issuer = issuer.to_ascii_lowercase();
    if issuer.contains("{tenant") || issuer.contains("%7btenant") {
        return true;
    }
    let Some((_, rest)) = issuer.split_once("://") else { return false };
    let mut parts = rest.splitn(3, '/');
    let host = parts.next().and_then(|authority| authority.split(':').next()).unwrap_or_default();
    let microsoft = [
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
        "login.windows.net",
        "sts.windows.net",
        "login.microsoft.com",
    ];
    microsoft.contains(&host.trim_end_matches('.'))
        && matches!(parts.next().unwrap_or_default(), "common" | "organizations" | "consumers" | "")
}

/// Redirect URIs; each that is wrong is void alone, and with none left the whole is void.
pub(crate) fn redirects(node: &Node, faults: &mut Faults) -> Option<Vec<RedirectUri>> {
    let nodes = match &node.value {
        Tree::Text(_) => std::slice::from_ref(node),
        Tree::List(nodes) => nodes,
        _ => return faults.wrong_kind(node, "a redirect URI or a list of them"),
    };
    if nodes.is_empty() {
        faults.error(node, "must name at least one redirect URI");
    }
    if nodes.len() > ceilings::REDIRECTS {
        faults.error(node, format!("must hold at most {} redirect URIs: the others are void", ceilings::REDIRECTS));
    }
    let mut uris: Vec<RedirectUri> = Vec::new();
    for (place, node) in nodes.iter().take(ceilings::REDIRECTS).enumerate() {
        let Some(text) = text(node, faults) else { continue };
        match redirect::parse(text) {
            Ok(uri) if !uris.contains(&uri) => uris.push(uri),
            Ok(_) => {}
            Err(rule) => {
                let text = format!("{rule}: entry {} is void", place + 1);
                faults.hinted(node, text, "for example http://127.0.0.1/callback");
            }
        }
    }
    (!uris.is_empty()).then_some(uris)
}

/// A list of scopes; one that is wrong voids the list.
pub(crate) fn scopes(node: &Node, faults: &mut Faults) -> Option<ScopeSet> {
    let Tree::List(nodes) = &node.value else { return faults.wrong_kind(node, "a list of scopes") };
    if nodes.len() > ceilings::SCOPES {
        faults.error(node, format!("must hold at most {} scopes", ceilings::SCOPES));
        return None;
    }
    let mut scopes = ScopeSet::new();
    for node in nodes {
        let text = text(node, faults)?;
        let scope = text.parse::<Scope>().map_err(|e| format!("holds a scope that {}", e.rule));
        scopes.insert(ruled(scope, node, faults)?);
    }
    Some(scopes)
}

/// The words a word key takes, as serde knows them.
#[derive(Debug)]
struct Words(&'static [&'static str]);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Words {}

impl de::Error for Words {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// One of a key's words, to the letter.
pub(crate) fn word<T: DeserializeOwned>(node: &Node, faults: &mut Faults) -> Option<T> {
    let text = text(node, faults)?;
    let read = T::deserialize(IntoDeserializer::<Words>::into_deserializer(text));
    read.map_err(|words| faults.error(node, format!("must be one of {words}, not {}", quote(text)))).ok()
}

/// Which token; exchange has its place but no meaning yet.
pub(crate) fn token_kind(node: &Node, faults: &mut Faults) -> Option<broker::TokenKind> {
    if matches!(&node.value, Tree::Text(text) if text == "exchange") {
        faults.hinted(node, "is \"exchange\", which is reserved and does nothing yet", "use access, id or minted");
        return None;
    }
    word(node, faults).map(|kind| match kind {
        format::TokenKind::Access => broker::TokenKind::Access,
        format::TokenKind::Id => broker::TokenKind::Id,
        format::TokenKind::Minted => broker::TokenKind::Minted,
    })
}

/// A limit of consent, brought into its range.
pub(crate) fn consent_limit(node: &Node, faults: &mut Faults) -> Option<Span> {
    span(node, faults, ceilings::CONSENT)
}

/// The life of a minted token, brought into its range.
pub(crate) fn lifetime(node: &Node, faults: &mut Faults) -> Option<Span> {
    span(node, faults, ceilings::LIFETIME)
}

/// How long audit lines are kept, brought into its range.
pub(crate) fn retention(node: &Node, faults: &mut Faults) -> Option<Span> {
    span(node, faults, ceilings::RETENTION)
}

/// How long before a sign-in ends people are told, brought into its range.
pub(crate) fn expiry_ahead(node: &Node, faults: &mut Faults) -> Option<Span> {
    span(node, faults, ceilings::EXPIRY_AHEAD)
}

fn span(node: &Node, faults: &mut Faults, (least, most): Spans) -> Option<Span> {
    let text = text(node, faults)?;
    let span: Span = ruled(text.parse().map_err(|e: broker::WordError| e.rule), node, faults)?;
    let counts = span.clamp(least, most);
    if counts != span {
        faults.push(Severity::Warning, node, format!("must be {least} to {most}: {counts} counts"), None);
    }
    Some(counts)
}

/// Yes or no.
pub(crate) fn boolean(node: &Node, faults: &mut Faults) -> Option<bool> {
    match node.value {
        Tree::Boolean(value) => Some(value),
        _ => faults.wrong_kind(node, "true or false"),
    }
}

/// A TCP port; 0 = any.
pub(crate) fn port(node: &Node, faults: &mut Faults) -> Option<u16> {
    let Tree::Integer(number) = node.value else { return faults.wrong_kind(node, "a whole number") };
    ruled(u16::try_from(number).map_err(|_| "must be a port from 0 to 65535"), node, faults)
}

/// A command and its arguments.
pub(crate) fn command(node: &Node, faults: &mut Faults) -> Option<Vec<String>> {
    let Tree::List(nodes) = &node.value else {
        return faults.wrong_kind(node, "a list of texts: the command and its arguments");
    };
    let words: Option<Vec<String>> = nodes.iter().map(|node| text(node, faults).map(str::to_owned)).collect();
    let words = words?;
    if words.first().is_none_or(|command| command.trim().is_empty()) {
        faults.error(node, "must name a command");
        return None;
    }
    if words.len() > ceilings::COMMAND || words.iter().any(|word| word.len() > 4096 || word.contains('\0')) {
        faults.error(node, "must hold at most 64 words of at most 4096 characters, without NUL");
        return None;
    }
    Some(words)
}

/// Places audit lines are copied to, and whether a word of the list was not one: such a word is void alone.
pub(crate) fn export(node: &Node, faults: &mut Faults) -> Option<(BTreeSet<format::AuditExport>, bool)> {
    let Tree::List(nodes) = &node.value else {
        return faults.wrong_kind(node, "a list of the words journald and syslog");
    };
    let words: Vec<Option<format::AuditExport>> = nodes.iter().map(|node| word(node, faults)).collect();
    let faulty = words.iter().any(Option::is_none);
    Some((words.into_iter().flatten().collect(), faulty))
}

/// An additional authorization request parameter; its name is checked before.
pub(crate) fn parameter(name: &str, node: &Node, faults: &mut Faults) -> Option<String> {
    const PROTOCOL: [&str; 34] = [
        "access_token",
        "actor_token",
        "assertion",
        "audience",
        "authorization_details",
        "claims",
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "dpop_jkt",
        "error",
        "grant_type",
        "id_token",
        "id_token_hint",
        "iss",
        "nonce",
        "password",
        "redirect_uri",
        "refresh_token",
        "registration",
        "request",
        "request_uri",
        "resource",
        "response_mode",
        "response_type",
        "scope",
        "state",
        "subject_token",
        "username",
    ];
    let plain_name =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !plain_name {
        faults.error(node, "is no parameter name: letters, digits, '-', '_' and '.' only");
        return None;
    }
    if PROTOCOL.iter().any(|protocol| protocol.eq_ignore_ascii_case(name)) {
        let hint = match name.to_ascii_lowercase().as_str() {
            "scope" => "use scopes",
            "resource" | "audience" => "use audience and request of a resource",
            "client_id" | "client_secret" | "redirect_uri" => "use the account's key of that name",
            _ => "remove it; Daypass sets what the protocol needs",
        };
        faults.hinted(node, "is a parameter of the protocol and is not taken from a profile", hint);
        return None;
    }
    short_text(node, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multi_tenant_issuers_are_known() {
        for issuer in [
            "https://login.microsoftonline.com/common/v2.0",
            "https://login.microsoftonline.com/organizations/v2.0",
            "https://login.microsoftonline.com:443/consumers",
            "https://LOGIN.microsoftonline.com/Common/v2.0",
            "https://login.microsoftonline.us/common/v2.0",
            "https://sts.windows.net/common/",
            "https://login.microsoftonline.com",
            "https://a.example/{tenantid}/v2.0",
            "https://a.example/{tenantId}/v2.0",
        ] {
            assert!(is_multi_tenant(issuer), "{issuer}");
        }
        for issuer in [
            "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0",
            "https://login.example.com/common",
            "https://accounts.google.com",
        ] {
            assert!(!is_multi_tenant(issuer), "{issuer}");
        }
    }
}
