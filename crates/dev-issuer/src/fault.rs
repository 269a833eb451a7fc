//! What can go wrong on command. An order waits until a request fits it, and is used up as often as it says.
//!
//! A fault of the transport replaces the answer, before the request changes anything or, with `after_commit`, after it.
//! A fault of the content changes a good answer; it waits for a request that succeeds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The metadata document.
    Discovery,
    /// The signing keys.
    Jwks,
    /// The authorization endpoint; faults of the content apply to the answer sent to the redirect URI.
    Authorize,
    /// The token endpoint.
    Token,
    /// The revocation endpoint.
    Revocation,
    /// The userinfo endpoint.
    Userinfo,
    /// The device authorization endpoint (RFC 8628).
    Device,
}

/// Changes to a JWT before (or instead of) signing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtChange {
    /// Claims to replace or add; `null` removes one.
    pub claims: Map<String, Value>,
    /// Header members to replace or add; `null` removes one. With `alg` `none` there is no signature, with `HS256` the
    /// HMAC is keyed with the public key, with anything else the signature stays ES256.
    pub header: Map<String, Value>,
    /// Ended an hour ago.
    pub expired: bool,
    /// One bit of the signature is wrong.
    pub bad_signature: bool,
    /// Signed by a key that is not in the JWKS, under the `kid` of one that is.
    pub foreign_key: bool,
}

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Never answer; the connection stays open.
    Hang {},
    /// Answer rightly, later.
    Delay {
        /// Milliseconds to wait.
        ms: u64,
    },
    /// Answer with this status.
    Status {
        /// HTTP status.
        status: u16,
        /// Body; empty if absent.
        #[serde(default)]
        body: String,
        /// Content type; `application/json` if absent.
        #[serde(default)]
        content_type: Option<String>,
    },
    /// Answer 200 with an HTML sign-in page, as captive portals do.
    Html {},
    /// Answer rightly, but claim `Content-Encoding: gzip`.
    GzipHeader {},
    /// Answer rightly, but say in the `Date` header that it is another time.
    Date {
        /// Seconds by which it is later, negative for earlier.
        ahead: i64,
    },
    /// Answer with a small gzip stream that unpacks to this many spaces.
    Gzip {
        /// Unpacked size in bytes, at most 1 GiB.
        bytes: u32,
    },
    /// Answer 200 with this many spaces.
    BigBody {
        /// Size in bytes, at most 64 MiB.
        bytes: u32,
    },
    /// Answer 200 with no body at all.
    EmptyBody {},
    /// Close the connection without an answer.
    Drop {},
    /// Redirect to another address.
    Redirect {
        /// Where to.
        to: String,
        /// HTTP status; 307 if absent.
        #[serde(default = "temporary")]
        status: u16,
    },
    /// Refuse with an error body (RFC 6749 §5.2), or with an error answer to the redirect URI (§4.1.2.1).
    Error {
        /// HTTP status, where it is not a redirect.
        #[serde(default = "bad_request")]
        status: u16,
        /// The error word, odd ones too.
        error: String,
        /// Description, where wanted.
        #[serde(default)]
        description: Option<String>,
    },
    /// `invalid_grant`, although the grant is fine and stays so.
    InvalidGrant {},
    /// Change members of the JSON answer, or parameters of the authorization response; `null` removes one.
    Fields {
        /// Members to replace or add.
        fields: Map<String, Value>,
    },
    /// Change the ID token.
    IdToken(JwtChange),
    /// Change the JWT access token.
    AccessToken(JwtChange),
    /// Give no new refresh token; the old one stays good.
    NoNewRefreshToken {},
}

fn temporary() -> u16 {
    307
}

fn bad_request() -> u16 {
    400
}

impl Fault {
    /// Changes one member of a JSON answer; `Value::Null` removes it.
    pub fn field(name: &str, value: Value) -> Self {
        Self::Fields { fields: Map::from_iter([(name.to_owned(), value)]) }
    }

    /// Changes one claim of the ID token; `Value::Null` removes it.
    pub fn id_token_claim(name: &str, value: Value) -> Self {
        Self::IdToken(JwtChange { claims: Map::from_iter([(name.to_owned(), value)]), ..JwtChange::default() })
    }

    /// The kind, as the journal shows it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hang {} => "hang",
            Self::Delay { .. } => "delay",
            Self::Status { .. } => "status",
            Self::Html {} => "html",
            Self::GzipHeader {} => "gzip_header",
            Self::Date { .. } => "date",
            Self::Gzip { .. } => "gzip",
            Self::BigBody { .. } => "big_body",
            Self::EmptyBody {} => "empty_body",
            Self::Drop {} => "drop",
            Self::Redirect { .. } => "redirect",
            Self::Error { .. } => "error",
            Self::InvalidGrant {} => "invalid_grant",
            Self::Fields { .. } => "fields",
            Self::IdToken(_) => "id_token",
            Self::AccessToken(_) => "access_token",
            Self::NoNewRefreshToken {} => "no_new_refresh_token",
        }
    }

    /// Whether it changes a good answer rather than replacing it.
    fn is_content(&self, endpoint: Endpoint) -> bool {
        match self {
            Self::Fields { .. } | Self::IdToken(_) | Self::AccessToken(_) | Self::NoNewRefreshToken {} => true,
            Self::Error { .. } => endpoint == Endpoint::Authorize,
            _ => false,
        }
    }
}

/// Restricts an order to some requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Only {
    /// Only requests with this `grant_type`.
    pub grant_type: Option<String>,
    /// Only requests that name this `resource` or `audience`.
    pub resource: Option<String>,
}

/// A fault, where it happens and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Where.
    pub endpoint: Endpoint,
    /// What.
    pub fault: Fault,
    /// How often; absent = until reset.
    #[serde(default)]
    pub times: Option<u32>,
    /// Whether the request takes effect first: codes are used up, refresh tokens rotated, tokens revoked.
    #[serde(default)]
    pub after_commit: bool,
    /// For which requests.
    #[serde(default)]
    pub only: Only,
}

impl Order {
    /// The next fitting request goes wrong.
    pub fn once(endpoint: Endpoint, fault: Fault) -> Self {
        Self { endpoint, fault, times: Some(1), after_commit: false, only: Only::default() }
    }

    /// Every fitting request goes wrong until the faults are reset.
    pub fn always(endpoint: Endpoint, fault: Fault) -> Self {
        Self { times: None, ..Self::once(endpoint, fault) }
    }

    /// The request takes effect before the answer goes wrong.
    #[must_use]
    pub fn after_commit(mut self) -> Self {
        self.after_commit = true;
        self
    }

    /// Only requests that name `resource`.
    #[must_use]
    pub fn for_resource(mut self, resource: &str) -> Self {
        self.only.resource = Some(resource.to_owned());
        self
    }

    /// Only requests with `grant_type`.
    #[must_use]
    pub fn for_grant_type(mut self, grant_type: &str) -> Self {
        self.only.grant_type = Some(grant_type.to_owned());
        self
    }
}

/// What happens to the signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyChange {
    /// A new key signs, the JWKS lists the old ones too.
    KeepOld,
    /// A new key signs, the old ones are gone from the JWKS.
    DropOld,
}

/// Body of `POST /control`: an order, or `{"do": "reset"}` and the like.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Something goes wrong.
    Order(Order),
    /// Something is done at once.
    Do(Action),
}

impl Command {
    /// Reads the body of `POST /control`.
    ///
    /// # Errors
    /// When it is no JSON, or neither an order nor an action; the text says where.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let value: Value = serde_json::from_slice(body)?;
        if value.get("do").is_some() {
            return serde_json::from_value(value).map(Self::Do);
        }
        serde_json::from_value(value).map(Self::Order)
    }
}

/// What `POST /control` does at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Forgets every open order.
    Reset {},
    /// Signs with a new key.
    RotateKey {
        /// What becomes of the old ones.
        #[serde(default = "keep_old")]
        old: KeyChange,
    },
    /// Revokes everything, as an administrator would.
    RevokeAll {},
}

fn keep_old() -> KeyChange {
    KeyChange::KeepOld
}

/// What a request says that orders look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) grant_type: Option<&'a str>,
    pub(crate) resources: &'a [String],
}

/// The open orders, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    orders: Vec<Order>,
}

impl Faults {
    pub(crate) fn push(&mut self, order: Order) {
        if order.times != Some(0) {
            self.orders.push(order);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.orders.clear();
    }

    /// The first open fault of the transport that fits.
    pub(crate) fn transport(&mut self, endpoint: Endpoint, facts: Facts<'_>) -> Option<Order> {
        self.take(endpoint, facts, false)
    }

    /// The first open fault of the content that fits.
    pub(crate) fn content(&mut self, endpoint: Endpoint, facts: Facts<'_>) -> Option<Fault> {
        self.take(endpoint, facts, true).map(|order| order.fault)
    }

    fn take(&mut self, endpoint: Endpoint, facts: Facts<'_>, content: bool) -> Option<Order> {
        let at = self.orders.iter().position(|order| {
            order.endpoint == endpoint
                && order.fault.is_content(endpoint) == content
                && order.only.grant_type.as_deref().is_none_or(|wanted| facts.grant_type == Some(wanted))
                && order.only.resource.as_ref().is_none_or(|wanted| facts.resources.contains(wanted))
        })?;
        let order = self.orders[at].clone();
        if let Some(times) = &mut self.orders[at].times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.orders.remove(at);
            }
        }
        Some(order)
    }
}

/// Applies `changes` to `object`; `null` removes a member.
pub(crate) fn patch(object: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, value) in changes {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}

/// A gzip stream (RFC 1952) of about `bytes` / 159 bytes that unpacks to `bytes` spaces.
pub(crate) fn gzip_of_spaces(bytes: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // One final block with the fixed Huffman code (RFC 1951 §3.2.6).
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    let mut left = bytes;
    while left > 0 {
        if left < bytes && left >= 258 {
            bits.push_code(0b1100_0101, 8); // length 258
            bits.push_code(0, 5); // distance 1
            left -= 258;
        } else {
            bits.push_code(0x30 + u32::from(b' '), 8);
            left -= 1;
        }
    }
    bits.push_code(0, 7); // end of block
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    stream.append(&mut bits.bytes);
    stream.extend(crc32_of_spaces(bytes).to_le_bytes());
    stream.extend(bytes.to_le_bytes());
    stream
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Appends the low `count` bits, lowest first.
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> bit & 1 == 1
                && let Some(last) = self.bytes.last_mut()
            {
                *last |= 1 << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Appends a Huffman code, highest bit first.
    fn push_code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}

fn crc32_of_spaces(bytes: u32) -> u32 {
    let mut table_entry = [0_u32; 256];
    for (index, entry) in (0_u32..).zip(table_entry.iter_mut()) {
        *entry = (0..8).fold(index, |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 });
    }
    let step = |crc: u32, _| table_entry[usize::from((crc ^ u32::from(b' ')).to_le_bytes()[0])] ^ (crc >> 8);
    !(0..bytes).fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write;

    #[test]
    fn commands_are_read_and_nonsense_is_refused() {
        let parse = |value: Value| Command::parse(value.to_string().as_bytes());
        let order = parse(json!({
            "endpoint": "token", "fault": {"kind": "id_token", "claims": {"iss": "x"}}, "times": 2
        }))
        .unwrap();
        let change = JwtChange { claims: Map::from_iter([("iss".to_owned(), json!("x"))]), ..JwtChange::default() };
        assert_eq!(
            order,
            Command::Order(Order { times: Some(2), ..Order::once(Endpoint::Token, Fault::IdToken(change)) })
        );
        let reset = parse(json!({"do": "rotate_key", "old": "drop_old"})).unwrap();
        assert_eq!(reset, Command::Do(Action::RotateKey { old: KeyChange::DropOld }));
        for nonsense in [
            json!({"endpoint": "token", "fault": {"kind": "explode"}}),
            json!({"endpoint": "token", "fault": {"kind": "hang", "ms": 3}}),
            json!({"endpoint": "token", "fault": {"kind": "id_token", "claim": {}}}),
            json!({"endpoint": "nowhere", "fault": {"kind": "hang"}}),
            json!({"endpoint": "token", "fault": {"kind": "hang"}, "time": 1}),
            json!({"do": "dance"}),
            json!({}),
        ] {
            assert!(parse(nonsense.clone()).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn an_order_is_used_as_often_as_it_says_and_only_where_it_fits() {
        let mut faults = Faults::default();
        faults.push(
            Order { times: Some(2), ..Order::once(Endpoint::Token, Fault::InvalidGrant {}) }.for_resource("https://a"),
        );
        let asked = ["https://a".to_owned()];
        let fits = Facts { grant_type: Some("refresh_token"), resources: &asked };
        let other = Facts { grant_type: Some("refresh_token"), resources: &[] };
        assert!(faults.transport(Endpoint::Token, other).is_none());
        assert!(faults.transport(Endpoint::Jwks, fits).is_none());
        assert!(faults.content(Endpoint::Token, fits).is_none());
        assert!(faults.transport(Endpoint::Token, fits).is_some());
        assert!(faults.transport(Endpoint::Token, fits).is_some());
        assert!(faults.transport(Endpoint::Token, fits).is_none());
    }

    #[test]
    fn the_gzip_stream_unpacks_to_what_it_says() {
        for size in [0_u32, 1, 257, 258, 259, 260, 100_000] {
            let mut gzip = std::process::Command::new("gzip")
                .arg("-dc")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            gzip.stdin.take().unwrap().write_all(&gzip_of_spaces(size)).unwrap();
            let output = gzip.wait_with_output().unwrap();
            assert!(output.status.success(), "{size}");
            assert_eq!(output.stdout.len(), size as usize);
            assert!(output.stdout.iter().all(|b| *b == b' '));
        }
    }
}
