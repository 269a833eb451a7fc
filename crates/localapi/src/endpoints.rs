//! The one list of endpoints: what the agent serves to programs, who may call it, and what goes in and out.
//!
//! Invariant: the agent's router, `docs/api.md` and `docs/openapi.json` say the same as this list; tests hold each of
//! them against it in both directions.
//!
//! Limit: the list describes. Who gets in is decided by the agent's guards, and pages for people are not in it.

use crate::code::Code;

/// A method that is used here. HEAD runs no handler anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Looks.
    Get,
    /// Asks for something to be done.
    Post,
    /// Ends something.
    Delete,
}

impl Method {
    /// As it is written in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// Who may call an endpoint. A process of another user gets no byte anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Any process of this user.
    SameUser,
    /// Any program of this user that can be identified.
    Program,
    /// Daypass's own programs, by the user socket alone.
    FirstParty,
}

/// A type of the wire, by name.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its name in this crate.
    pub name: &'static str,
    #[cfg(feature = "schema")]
    pub(crate) schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    #[cfg(feature = "schema")]
    reread: fn(serde_json::Value) -> serde_json::Result<serde_json::Value>,
}

#[cfg(feature = "schema")]
impl Shape {
    /// What is left of a value after it was read as this type: the same, if the type tells the whole truth.
    ///
    /// # Errors
    /// When the value is not of this type.
    pub fn reread(&self, value: serde_json::Value) -> serde_json::Result<serde_json::Value> {
        (self.reread)(value)
    }
}

macro_rules! shape {
    ($type:ident) => {
        Shape {
            name: {
                const _: Option<crate::types::$type> = None;
                stringify!($type)
            },
            #[cfg(feature = "schema")]
            schema: |generator| generator.subschema_for::<crate::types::$type>(),
            #[cfg(feature = "schema")]
            reread: |value| serde_json::from_value::<crate::types::$type>(value).and_then(serde_json::to_value),
        }
    };
}

/// What an endpoint answers when all is well.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// 204, no body.
    Nothing,
    /// 200 with one value.
    One(Shape),
    /// 200 with an array.
    Many(Shape),
    /// 200 with server-sent events of these names, each with the data `{}`; `show` with `{"page": …}`, as `/v1/open` takes it.
    Events(&'static [&'static str]),
}

/// What the value of a query parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryKind {
    /// A whole number, 0 or more.
    Number,
    /// An RFC 3339 time.
    Time,
}

/// One query parameter. All are optional; an unknown one, or one name twice, is `invalid_request`.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: QueryKind,
    /// What it does.
    pub does: &'static str,
}

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path; `{name}` and `{id}` stand for one segment.
    pub path: &'static str,
    /// Who may call it.
    pub who: Who,
    /// What it does, in one line.
    pub does: &'static str,
    /// Its query parameters.
    pub query: &'static [Query],
    /// The body it takes, `application/json`.
    pub request: Option<Shape>,
    /// What it answers.
    pub answer: Answer,
    /// The codes that are its own, beside those of [`Endpoint::codes`].
    pub own_codes: &'static [Code],
}

/// What the layer in front of everything may answer.
const FRONT: &[Code] =
    &[Code::InvalidRequest, Code::RequestTimeout, Code::TooLarge, Code::WrongHost, Code::OriginRefused];

impl Endpoint {
    /// Every code it may answer, in the order of the table of codes.
    ///
    /// Not among them is `method_not_allowed`, the answer to the methods a path does not have.
    pub fn codes(&self) -> Vec<Code> {
        let who: &[Code] = match self.who {
            Who::SameUser => &[],
            Who::Program => &[Code::PeerUnidentified, Code::Internal],
            Who::FirstParty => &[Code::PeerUnidentified, Code::NotFirstParty, Code::Internal],
        };
        let body: &[Code] = if self.request.is_some() { &[Code::UnsupportedMediaType] } else { &[] };
        let any = [FRONT, who, body, self.own_codes].concat();
        Code::ALL.iter().copied().filter(|code| any.contains(code)).collect()
    }

    /// Whether the cookie of a session is looked at (over TCP).
    pub fn takes_cookie(&self) -> bool {
        matches!(self.who, Who::Program)
    }
}

const WAIT: Query = Query {
    name: "wait",
    kind: QueryKind::Number,
    does: "seconds to hold the call open until there is news; more than 55 count as 55",
};

const fn get(path: &'static str, who: Who, does: &'static str, answer: Answer) -> Endpoint {
    Endpoint { method: Method::Get, path, who, does, query: &[], request: None, answer, own_codes: &[] }
}

const fn delete(path: &'static str, who: Who, does: &'static str, answer: Answer) -> Endpoint {
    Endpoint { method: Method::Delete, ..get(path, who, does, answer) }
}

const fn post(path: &'static str, who: Who, does: &'static str, request: Shape, answer: Answer) -> Endpoint {
    Endpoint { method: Method::Post, request: Some(request), ..get(path, who, does, answer) }
}

impl Endpoint {
    const fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    const fn codes_too(self, own_codes: &'static [Code]) -> Self {
        Self { own_codes, ..self }
    }
}

/// Every endpoint for programs.
pub const ENDPOINTS: &[Endpoint] = &[
    post("/v1/token", Who::Program, "ask for a token", shape!(TokenRequest), Answer::One(shape!(TokenAnswer)))
        .codes_too(&[
            Code::LoginRequired,
            Code::InteractionRequired,
            Code::WrongAccount,
            Code::ConsentRequired,
            Code::ConsentGone,
            Code::SessionInvalid,
            Code::RateLimited,
            Code::ConsentDenied,
            Code::ConsentUnavailable,
            Code::ResourceNotAllowed,
            Code::ResourceUnknown,
            Code::AudienceMismatch,
            Code::ScopeNotAllowed,
            Code::IssuerUnavailable,
            Code::IssuerRejected,
            Code::KeychainLocked,
            Code::KeychainUnavailable,
            Code::ProfileInvalid,
        ]),
    get(
        "/v1/session",
        Who::Program,
        "how the agent sees the program that asks, and what that program may have",
        Answer::One(shape!(SessionInfo)),
    )
    .codes_too(&[Code::SessionInvalid]),
    delete(
        "/v1/session",
        Who::Program,
        "end this program's cookie session, its grants for today and its open questions",
        Answer::Nothing,
    )
    .codes_too(&[Code::SessionInvalid]),
    get(
        "/.well-known/jwks.json",
        Who::SameUser,
        "the public keys of minted tokens (RFC 7517 §5)",
        Answer::One(shape!(KeySet)),
    ),
    get("/healthz", Who::SameUser, "whether the agent is there", Answer::Nothing),
    get("/v1/status", Who::FirstParty, "agent, keychain, profile and accounts", Answer::One(shape!(Status))),
    get("/v1/accounts", Who::FirstParty, "the configured accounts", Answer::Many(shape!(AccountStatus))),
    post(
        "/v1/accounts/{name}/sign-in",
        Who::FirstParty,
        "begin a sign-in; one to the same account that was under way is given up",
        shape!(SignInRequest),
        Answer::One(shape!(SignInState)),
    )
    .codes_too(&[
        Code::AccountUnknown,
        Code::NotFound,
        Code::IssuerUnavailable,
        Code::IssuerRejected,
        Code::ProfileInvalid,
    ]),
    delete(
        "/v1/accounts/{name}/sign-in",
        Who::FirstParty,
        "sign out: wiped here in any case, the issuer is told first and for at most ten seconds",
        Answer::One(shape!(SignedOut)),
    )
    .codes_too(&[Code::AccountUnknown, Code::NotFound]),
    get("/v1/sign-ins/{id}", Who::FirstParty, "how a sign-in goes", Answer::One(shape!(SignInState)))
        .query(&[WAIT])
        .codes_too(&[Code::NotFound]),
    delete("/v1/sign-ins/{id}", Who::FirstParty, "give a sign-in up", Answer::Nothing).codes_too(&[Code::NotFound]),
    get(
        "/v1/resources",
        Who::FirstParty,
        "the configured resources, and what the asking program would get now",
        Answer::Many(shape!(ResourceInfo)),
    ),
    get("/v1/requests", Who::FirstParty, "the open questions", Answer::Many(shape!(RequestInfo))),
    post(
        "/v1/requests/{id}",
        Who::FirstParty,
        "answer a question, as it was shown, in a terminal",
        shape!(RequestAnswer),
        Answer::One(shape!(RequestInfo)),
    )
    .codes_too(&[Code::NotFound, Code::ConsentGone, Code::ConsentUnavailable]),
    get("/v1/grants", Who::FirstParty, "who may have what without being asked", Answer::Many(shape!(GrantInfo))),
    delete("/v1/grants", Who::FirstParty, "take every grant back", Answer::Nothing),
    delete("/v1/grants/{id}", Who::FirstParty, "take one grant back", Answer::Nothing).codes_too(&[Code::NotFound]),
    get(
        "/v1/blocks",
        Who::FirstParty,
        "the blocked programs, which get nothing and ask nothing",
        Answer::Many(shape!(BlockInfo)),
    ),
    post(
        "/v1/blocks",
        Who::FirstParty,
        "block a program: no token from now on; its grants and open questions end",
        shape!(BlockRequest),
        Answer::One(shape!(BlockInfo)),
    )
    .codes_too(&[Code::NotFound]),
    delete(
        "/v1/blocks/{id}",
        Who::FirstParty,
        "unblock a program, at a person's prompt: it may ask again",
        Answer::Nothing,
    )
    .codes_too(&[Code::NotFound, Code::ConsentUnavailable]),
    get("/v1/audit", Who::FirstParty, "lines of the audit log, oldest first", Answer::Many(shape!(AuditLine))).query(
        &[
            Query { name: "after", kind: QueryKind::Number, does: "only lines with a higher `seq`" },
            Query { name: "since", kind: QueryKind::Time, does: "only lines of this time or later" },
            Query {
                name: "limit",
                kind: QueryKind::Number,
                does: "at most so many lines, the first that fit, or without `after` and `since` the newest; 1000 without it, and never more than 10000",
            },
            WAIT,
        ],
    ),
    get(
        "/v1/audit/verify",
        Who::FirstParty,
        "whether the chain of the audit log is whole",
        Answer::One(shape!(AuditVerdict)),
    )
    .codes_too(&[Code::KeychainLocked, Code::KeychainUnavailable]),
    get(
        "/v1/profile",
        Who::FirstParty,
        "the effective profile, each value with its origin",
        Answer::One(shape!(EffectiveProfile)),
    ),
    get(
        "/v1/doctor",
        Who::FirstParty,
        "look at port, keychain, profile, audit log and the way to each issuer; takes up to ten seconds",
        Answer::One(shape!(Doctor)),
    )
    .codes_too(&[Code::RateLimited]),
    get(
        "/v1/events",
        Who::FirstParty,
        "tells what has changed (server-sent events); to a desktop also which page to `show`",
        Answer::Events(&["requests", "accounts", "grants", "blocks", "profile", "status", "show", "lagged"]),
    ),
    post(
        "/v1/open",
        Who::FirstParty,
        "a one-time address of one of the agent's pages",
        shape!(OpenRequest),
        Answer::One(shape!(Opened)),
    )
    .codes_too(&[Code::ConsentUnavailable, Code::ConsentDenied]),
    post(
        "/v1/discover",
        Who::FirstParty,
        "look at an issuer that is to be set up; nothing of it is kept",
        shape!(DiscoverRequest),
        Answer::One(shape!(IssuerInfo)),
    )
    .codes_too(&[Code::IssuerUnavailable, Code::IssuerRejected]),
    post(
        "/v1/pause",
        Who::FirstParty,
        "pause: nothing is issued and nobody is asked for so long; open questions end",
        shape!(PauseRequest),
        Answer::One(shape!(Paused)),
    ),
    delete("/v1/pause", Who::FirstParty, "end the pause", Answer::Nothing),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_endpoint_is_listed_twice() {
        let all: BTreeSet<_> = ENDPOINTS.iter().map(|endpoint| (endpoint.path, endpoint.method)).collect();
        assert_eq!(all.len(), ENDPOINTS.len());
    }

    #[test]
    fn every_code_is_somebodys() {
        let said: BTreeSet<_> = ENDPOINTS.iter().flat_map(Endpoint::codes).map(Code::as_str).collect();
        let silent: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).filter(|code| !said.contains(code)).collect();
        // The answer to a method that an endpoint is not.
        assert_eq!(silent, ["method_not_allowed"]);
    }
}
