//! What a token request demands of the sign-in behind its token (step-up: RFC 9470, OpenID Connect Core §5.5.1).
//!
//! Invariant: a demand that cannot be judged by what is known of the sign-in counts as unmet. Whether an issuer's word
//! about how it authenticated somebody is true, nobody here can know.

use crate::words::{Span, Timestamp};

/// How far the clocks of issuer and machine may be apart.
const LEEWAY: Span = Span::seconds(60);

/// What a sign-in has to be like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirement {
    /// Authentication context classes, any of which will do; empty = all do.
    pub acr_values: Vec<String>,
    /// How long ago the person may have been authenticated.
    pub max_age: Option<Span>,
    /// Claims asked for.
    pub claims: Option<WantedClaims>,
}

/// The `claims` parameter, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedClaims {
    /// As it goes to the issuer: one JSON object.
    pub text: String,
    /// Names the same demand however its members were ordered.
    pub digest: String,
    /// What the ID token must say.
    pub essential: Vec<EssentialClaim>,
    /// Whether it asks for things outside the ID token, which only the issuer can judge.
    pub others: bool,
}

/// A claim the ID token must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EssentialClaim {
    /// Its name.
    pub name: String,
    /// What it must say, any of these; empty = whatever it says.
    pub values: Vec<String>,
}

/// What is known of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignInFacts<'a> {
    /// The subject.
    pub subject: &'a str,
    /// When the person was authenticated, seconds since the epoch.
    pub auth_time: Option<i64>,
    /// The authentication context class.
    pub acr: Option<&'a str>,
    /// The authentication methods.
    pub amr: &'a [String],
    /// [`WantedClaims::digest`] of the claims the sign-in was made with, which it met.
    pub claims: Option<&'a str>,
}

impl Requirement {
    /// Whether any sign-in will do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of it a sign-in does not meet, for people; `None` = it meets all of it.
    pub fn unmet(&self, sign_in: &SignInFacts<'_>, now: Timestamp) -> Option<String> {
        if let Some(age) = self.max_age {
            let Some(at) = sign_in.auth_time else {
                return Some("the issuer did not say when you signed in there".to_owned());
            };
            if Timestamp::from_seconds(at) + age + LEEWAY < now {
                return Some(format!("you signed in at the issuer more than {age} ago"));
            }
        }
        if !self.acr_values.is_empty() && !sign_in.acr.is_some_and(|acr| self.acr_values.iter().any(|a| a == acr)) {
            return Some("the sign-in is not of the kind asked for (acr_values)".to_owned());
        }
        let claims = self.claims.as_ref()?;
        if sign_in.claims == Some(claims.digest.as_str()) {
            return None;
        }
        if claims.others {
            return Some("the sign-in was not made with the claims asked for".to_owned());
        }
        let missing = claims.essential.iter().find(|claim| !claim.is_met_by(sign_in))?;
        Some(format!("the sign-in does not show the claim {}", missing.name))
    }
}

impl EssentialClaim {
    fn is_met_by(&self, sign_in: &SignInFacts<'_>) -> bool {
        let fits = |said: &str| self.values.is_empty() || self.values.iter().any(|value| value == said);
        match self.name.as_str() {
            "sub" => fits(sign_in.subject),
            "acr" => sign_in.acr.is_some_and(fits),
            "auth_time" => sign_in.auth_time.is_some_and(|at| fits(&at.to_string())),
            "amr" => sign_in.amr.iter().any(|method| fits(method)),
            // Other claims are not kept: only a sign-in made with this very demand shows them.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(essential: &[(&str, &[&str])], others: bool) -> Requirement {
        let own = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
        let essential = essential
            .iter()
            .map(|(name, values)| EssentialClaim { name: (*name).to_owned(), values: own(values) })
            .collect();
        let claims = WantedClaims { text: "{}".to_owned(), digest: "d".to_owned(), essential, others };
        Requirement { claims: Some(claims), ..Requirement::default() }
    }

    #[test]
    fn a_sign_in_is_held_against_every_demand() {
        let amr = ["pwd".to_owned(), "otp".to_owned()];
        let known =
            SignInFacts { subject: "alice", auth_time: Some(1000), acr: Some("urn:mfa"), amr: &amr, claims: None };
        let unknown = SignInFacts { subject: "alice", ..SignInFacts::default() };
        let age = |seconds| Requirement { max_age: Some(Span::seconds(seconds)), ..Requirement::default() };
        let acr = |values: &[&str]| Requirement {
            acr_values: values.iter().map(|v| (*v).to_owned()).collect(),
            ..Requirement::default()
        };
        // At 1300 the authentication is 300 seconds old.
        for (requirement, sign_in, met) in [
            (Requirement::default(), unknown, true),
            (age(300), known, true),
            (age(240), known, true),
            (age(239), known, false),
            (age(0), known, false),
            (age(86_400), unknown, false),
            (acr(&["urn:mfa"]), known, true),
            (acr(&["urn:phr", "urn:mfa"]), known, true),
            (acr(&["urn:phr"]), known, false),
            (acr(&["urn:phr"]), unknown, false),
            (claims(&[], false), unknown, true),
            (claims(&[("acr", &["urn:mfa"]), ("auth_time", &[]), ("amr", &["otp"])], false), known, true),
            (claims(&[("acr", &["urn:phr"])], false), known, false),
            (claims(&[("auth_time", &[])], false), unknown, false),
            (claims(&[("sub", &["alice"])], false), unknown, true),
            (claims(&[("sub", &["bob"])], false), known, false),
            (claims(&[("email", &[])], false), known, false),
            (claims(&[("email", &[])], false), SignInFacts { claims: Some("d"), ..unknown }, true),
            (claims(&[], true), known, false),
            (claims(&[], true), SignInFacts { claims: Some("other"), ..known }, false),
            (claims(&[], true), SignInFacts { claims: Some("d"), ..known }, true),
        ] {
            let unmet = requirement.unmet(&sign_in, Timestamp::from_seconds(1300));
            assert_eq!(unmet.is_none(), met, "{requirement:?} {sign_in:?}: {unmet:?}");
        }
        let both = Requirement { max_age: Some(Span::seconds(10_000)), ..acr(&["urn:phr"]) };
        assert!(both.unmet(&known, Timestamp::from_seconds(1300)).is_some(), "one met demand does not stand for all");
    }
}
