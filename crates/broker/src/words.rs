//! The words everything else is said in: one type per word of the standards, parsed once at the edge.

use std::{collections::BTreeSet, fmt, ops::Add, str::FromStr};

/// Why a piece of text is not the word it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {rule}")]
pub struct WordError {
    /// The word that was expected, such as `resource name`.
    pub what: &'static str,
    /// The rule that was broken.
    pub rule: &'static str,
}

macro_rules! name_word {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                let rule = |rule| WordError { what: $what, rule };
                if text.is_empty() || text.len() > 64 {
                    return Err(rule("must have 1 to 64 characters"));
                }
                if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
                    return Err(rule("may hold only letters, digits, '-', '_' and '.'"));
                }
                if !text.as_bytes()[0].is_ascii_alphanumeric() {
                    return Err(rule("must begin with a letter or a digit"));
                }
                Ok(Self(text.to_owned()))
            }
        }
    };
}

name_word! {
    /// The name of a configured account: 1 to 64 characters of `[A-Za-z0-9._-]`, beginning with a letter or digit.
    AccountName, "account name"
}
name_word! {
    /// The name of a resource, as written in the profile: 1 to 64 characters of `[A-Za-z0-9._-]`.
    ResourceName, "resource name"
}

/// An issuer identifier (OpenID Connect Discovery §3, RFC 8414 §2). Compared as a string, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer(String);

impl Issuer {
    /// The identifier exactly as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is plain http on a loopback address, which is allowed for development and said aloud.
    pub fn is_development(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Issuer {
    type Err = WordError;

    /// Accepts `https://…` without query or fragment, and `http://` on a literal loopback host for development.
    fn from_str(text: &str) -> Result<Self, WordError> {
        let rule = |rule| WordError { what: "issuer", rule };
        if text.len() > 2048 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(rule("must be a plain ASCII address of at most 2048 characters"));
        }
        if text.contains(['?', '#', '\\', '"', '<', '>', '{', '}', '@']) {
            return Err(rule("must have no query, fragment, user name or template in it"));
        }
        let rest = if let Some(rest) = text.strip_prefix("https://") {
            rest
        } else if let Some(rest) = text.strip_prefix("http://") {
            let authority = rest.split('/').next().unwrap_or_default();
            let host = match authority.rsplit_once(':') {
                Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
                _ => authority,
            };
            if !matches!(host, "127.0.0.1" | "[::1]" | "localhost") {
                return Err(rule("must begin with https:// (http:// only on 127.0.0.1, [::1] or localhost)"));
            }
            rest
        } else {
            return Err(rule("must begin with https://"));
        };
        if rest.is_empty() || rest.starts_with(['/', ':']) {
            return Err(rule("must name a host"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// One scope token (RFC 6749 §3.3): printable ASCII without space, `"` and `\`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let rule = |rule| WordError { what: "scope", rule };
        if text.is_empty() || text.len() > 256 {
            return Err(rule("must have 1 to 256 characters"));
        }
        if !text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return Err(rule("may hold only printable ASCII without space, '\"' and '\\' (RFC 6749 section 3.3)"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A set of scopes; order and repetition carry no meaning (RFC 6749 §3.3). At most 100 scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// No scope at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no scope in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every scope of `self` is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether `scope` is in the set.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|s| s.as_str() == scope)
    }

    /// Both sets together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// What is in `self` but not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Adds one scope.
    pub fn insert(&mut self, scope: Scope) {
        self.0.insert(scope);
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for ScopeSet {
    /// Space-separated, in order: the form of the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for ScopeSet {
    type Err = WordError;

    /// Space-separated, as on the wire. Empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, WordError> {
        let scopes: BTreeSet<Scope> =
            text.split(' ').filter(|s| !s.is_empty()).map(Scope::from_str).collect::<Result<_, _>>()?;
        if scopes.len() > 100 {
            return Err(WordError { what: "scope set", rule: "must hold at most 100 scopes" });
        }
        Ok(Self(scopes))
    }
}

/// A length of time in whole seconds. Written `90s`, `10m`, `12h`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

impl Span {
    /// So many seconds; negative counts as none, and nothing is longer than 3650 days.
    pub const fn seconds(seconds: i64) -> Self {
        const MOST: i64 = 3650 * 86_400;
        Self(if seconds < 0 {
            0
        } else if seconds > MOST {
            MOST
        } else {
            seconds
        })
    }

    /// So many minutes.
    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    /// So many hours.
    pub const fn hours(hours: i64) -> Self {
        Self::seconds(hours.saturating_mul(3600))
    }

    /// In milliseconds, never negative.
    pub const fn as_millis(self) -> i64 {
        self.0.saturating_mul(1000)
    }

    /// In whole seconds, never negative.
    pub const fn as_seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s > 0 && s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s > 0 && s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s > 0 && s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl FromStr for Span {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let wrong = WordError { what: "duration", rule: "is written like 90s, 10m, 12h or 30d" };
        let Some(unit) = text.chars().last() else { return Err(wrong) };
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || digits.len() > 10 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong);
        }
        let number: i64 = digits.parse().map_err(|_| wrong.clone())?;
        let seconds = number.checked_mul(factor).filter(|s| *s <= 3650 * 86_400);
        seconds.map(Self).ok_or(WordError { what: "duration", rule: "must be at most 3650 days" })
    }
}

/// A point in wall-clock time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch (`NumericDate`, RFC 7519 §2).
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long until `later`; none when it is already past.
    pub const fn until(self, later: Self) -> Span {
        Span::seconds((later.0.saturating_sub(self.0)).div_euclid(1000))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print_the_same() {
        for text in ["90s", "10m", "12h", "30d", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["", "s", "-1s", "1.5h", "10", "10 m", "99999999999s", "4000d", "1\u{fe0f}h", "é"] {
            assert!(text.parse::<Span>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn issuers_are_kept_to_the_letter_and_refused_when_odd() {
        for text in
            ["https://login.example.com", "https://a.example/realms/x/", "http://127.0.0.1:4010", "http://[::1]:1/x"]
        {
            assert_eq!(text.parse::<Issuer>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "login.example.com",
            "http://login.example.com",
            "https://",
            "https:///x",
            "https://a?x",
            "https://a#x",
            "https://u@a",
            "https://a/{tenantid}/v2.0",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil",
            "https://a b",
        ] {
            assert!(text.parse::<Issuer>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn scope_sets_ignore_order_and_repetition() {
        let a: ScopeSet = "b a a".parse().unwrap();
        assert_eq!(a.to_string(), "a b");
        assert!("a\"".parse::<ScopeSet>().is_err());
        assert!((0..101).map(|i| format!("s{i}")).collect::<Vec<_>>().join(" ").parse::<ScopeSet>().is_err());
    }
}
