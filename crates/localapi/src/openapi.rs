//! The `OpenAPI` 3.1 description of the loopback API, made from the list of endpoints, the wire types and the table of codes.
//!
//! Invariant: nothing is said here about one endpoint or one type; all of that comes from where the agent has it from. What
//! is here holds for the interface as a whole: the two places it is served, the cookie, the headers of an error.
//!
//! Limit: `docs/openapi.json` is made from this by a test, so that no shipped program carries it (feature `schema`).

use crate::{
    code::Code,
    endpoints::{Answer, ENDPOINTS, Endpoint, Query, QueryKind, Who},
    types::ErrorBody,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Name of the one security scheme.
const COOKIE: &str = "session";

/// The whole description.
pub fn document() -> Value {
    let mut parts = Parts::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_default();
        path.insert(endpoint.method.as_str().to_ascii_lowercase(), operation(endpoint, &mut parts));
    }
    let Parts { mut asked, mut answered, refusals } = parts;
    let mut schemas = asked.take_definitions(true);
    schemas.extend(answered.take_definitions(true));
    let mut schemas = Value::Object(schemas);
    tidy(&mut schemas);
    sorted(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Daypass, the loopback interface",
            "version": "1",
            "summary": "Short-lived tokens for the programs of one user.",
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [tcp(), socket()],
        "tags": [
            {"name": "same-user", "description": "For any process of the same user."},
            {"name": "program", "description": "For any program of the same user that can be identified."},
            {"name": "first-party", "description": "For Daypass's own programs, by the user socket alone."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": {COOKIE: {
                "type": "apiKey",
                "in": "cookie",
                "name": "daypass_00000000",
                "description": "Over TCP only. `daypass_` and eight hexadecimal digits that are fixed for one installation, as \
                    `Set-Cookie` of `POST /v1/token` names it. It is no authority: it finds a program's own parked question \
                    again, and is worth nothing to any other program.",
            }},
            "headers": {
                "WWW-Authenticate": {
                    "description": "A private scheme without an `Authorization` form.",
                    "schema": {"type": "string"},
                    "example": "Daypass realm=\"daypass\", error=\"consent_required\"",
                },
                "Retry-After": {
                    "description": "Seconds to wait; always with 429, and where the issuer said so with 503.",
                    "schema": {"type": "integer", "minimum": 0},
                },
                "Set-Cookie": {
                    "description": "Over TCP, to a program without a session: the cookie of its new one.",
                    "schema": {"type": "string"},
                    "example": "daypass_00000000=…; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200",
                },
            },
        },
    }))
}

const ABOUT: &str = "Served in two places by the same router: the user socket `$XDG_RUNTIME_DIR/daypass/agent.sock` and loopback TCP. \
A process of another user, or one whose user cannot be told, is disconnected without a byte. Anything that carries `Origin` or \
`Sec-Fetch-Site` is refused. Bodies are at most 64 KiB, without unknown or repeated members; a query names nothing twice. A \
method that a path does not have is answered with 405 `method_not_allowed`, a path that is none with 404 `not_found`. Members may be \
added to answers; readers ignore what they do not know. Made from crates/localapi by `make openapi`.";

/// What endpoints share. A type that is asked with may leave out what has a default, one that is answered with does not.
struct Parts {
    asked: SchemaGenerator,
    answered: SchemaGenerator,
    refusals: Map<String, Value>,
}

impl Parts {
    fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        let asked = settings.clone().for_deserialize().into_generator();
        let mut answered = settings.for_serialize().into_generator();
        answered.subschema_for::<ErrorBody>();
        Self { asked, answered, refusals: Map::new() }
    }
}

fn tcp() -> Value {
    json!({
        "url": "http://127.0.0.1:{port}",
        "description": "Loopback TCP. The base address is in `$XDG_RUNTIME_DIR/daypass/address`; `Host` is exactly its authority.",
        "variables": {"port": {"default": "6174", "description": "another one where this is taken"}},
    })
}

fn socket() -> Value {
    json!({
        "url": "http://localhost",
        "description": "The user socket: HTTP over the Unix domain socket `$XDG_RUNTIME_DIR/daypass/agent.sock`. \
            `Host` is `localhost` or the base authority.",
        "x-unix-socket": "$XDG_RUNTIME_DIR/daypass/agent.sock",
    })
}

fn operation(endpoint: &Endpoint, parts: &mut Parts) -> Value {
    let who = match endpoint.who {
        Who::SameUser => "same-user",
        Who::Program => "program",
        Who::FirstParty => "first-party",
    };
    let mut operation = json!({
        "summary": endpoint.does,
        "operationId": operation_id(endpoint),
        "tags": [who],
        "responses": responses(endpoint, parts),
    });
    let parameters: Vec<Value> =
        segments(endpoint.path).map(path_parameter).chain(endpoint.query.iter().map(query_parameter)).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(shape) = endpoint.request {
        let schema = (shape.schema)(&mut parts.asked);
        operation["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    match endpoint.who {
        Who::FirstParty => operation["servers"] = json!([socket()]),
        Who::Program => operation["security"] = json!([{}, {COOKIE: []}]),
        Who::SameUser => {}
    }
    operation
}

/// `get_accounts_name_sign_in`.
fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.trim_start_matches("/v1").trim_start_matches("/.well-known");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(endpoint.method.as_str().to_ascii_lowercase())
        .chain(words.map(str::to_owned))
        .collect::<Vec<_>>()
        .join("_")
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn query_parameter(query: &Query) -> Value {
    let schema = match query.kind {
        QueryKind::Number => json!({"type": "integer", "minimum": 0}),
        QueryKind::Time => json!({"type": "string", "format": "date-time"}),
    };
    json!({"name": query.name, "in": "query", "description": query.does, "schema": schema})
}

fn responses(endpoint: &Endpoint, parts: &mut Parts) -> Value {
    let mut responses = Map::new();
    let (status, mut good) = match endpoint.answer {
        Answer::Nothing => ("204", json!({"description": "done; no body"})),
        Answer::One(shape) => ("200", json_body("a value", &(shape.schema)(&mut parts.answered).to_value())),
        Answer::Many(shape) => {
            let items = (shape.schema)(&mut parts.answered).to_value();
            ("200", json_body("a list", &json!({"type": "array", "items": items})))
        }
        Answer::Events(names) => {
            let text = format!("server-sent events, each with the data `{{}}`: `{}`", names.join("`, `"));
            (
                "200",
                json!({"description": text, "content": {"text/event-stream": {"schema": {"type": "string"}}}, "x-events": names}),
            )
        }
    };
    if endpoint.own_codes.contains(&Code::ConsentRequired) {
        good["headers"] = json!({"Set-Cookie": header("Set-Cookie")});
    }
    responses.insert(status.to_owned(), good);
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in endpoint.codes() {
        by_status.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        // The same set of codes is the same answer, whoever gives it.
        let name = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(".");
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        parts.refusals.entry(name).or_insert_with(|| refusal(status, &codes));
        responses.insert(status.to_string(), reference);
    }
    responses.into()
}

fn refusal(status: u16, codes: &[Code]) -> Value {
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({
        "allOf": [
            {"$ref": "#/components/schemas/ErrorBody"},
            {"properties": {"code": {"enum": names}}},
        ],
    });
    let mut response = json_body(&format!("`{}`", names.join("`, `")), &schema);
    let mut headers = Map::new();
    match status {
        401 => drop(headers.insert("WWW-Authenticate".to_owned(), header("WWW-Authenticate"))),
        429 | 503 => drop(headers.insert("Retry-After".to_owned(), header("Retry-After"))),
        _ => {}
    }
    if codes.contains(&Code::ConsentRequired) {
        headers.insert("Set-Cookie".to_owned(), header("Set-Cookie"));
    }
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    response
}

fn json_body(description: &str, schema: &Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// A member that may be absent is not one that may be null; integers carry no sizes of Rust's.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            let required: Vec<String> = object
                .get("required")
                .and_then(Value::as_array)
                .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default();
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                for (name, property) in properties {
                    if !required.contains(name) {
                        not_null(property);
                    }
                    if property.get("default").is_some_and(Value::is_null)
                        && let Some(property) = property.as_object_mut()
                    {
                        property.remove("default");
                    }
                }
            }
            let sized = object.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint"));
            if sized || object.get("format").is_some_and(|format| format == "int64") {
                object.remove("format");
            }
            object.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

fn not_null(property: &mut Value) {
    let Some(property) = property.as_object_mut() else { return };
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            property.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(any)) = property.get_mut("anyOf") {
        any.retain(|one| one.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(one)] = any.as_slice() {
            let one = one.clone();
            property.remove("anyOf");
            property.extend(one);
        }
    }
}

/// Members in the order of their names, whatever features `serde_json` was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(object) => {
            let ordered: BTreeMap<String, Value> = object.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        fn visit(value: &Value, root: &Value) {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let path = reference.strip_prefix('#').expect("a local reference");
                assert!(root.pointer(path).is_some(), "{reference} leads nowhere");
            }
            match value {
                Value::Array(items) => items.iter().for_each(|item| visit(item, root)),
                Value::Object(object) => object.values().for_each(|item| visit(item, root)),
                _ => {}
            }
        }
        let document = document();
        visit(&document, &document);
    }

    #[test]
    fn the_names_of_operations_are_unique() {
        let ids: Vec<_> = ENDPOINTS.iter().map(operation_id).collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), unique.len(), "{ids:?}");
    }

    #[test]
    fn what_has_a_default_may_be_left_out_of_a_request() {
        let schemas = &document()["components"]["schemas"];
        assert_eq!(schemas["OpenRequest"]["required"], json!(["page"]));
        assert_eq!(schemas["OpenRequest"]["additionalProperties"], false);
        assert!(schemas["SignInRequest"].get("required").is_none());
        assert!(schemas["Status"].get("additionalProperties").is_none(), "answers may grow");
    }

    #[test]
    fn what_may_be_absent_is_not_null() {
        let document = document();
        let error = &document["components"]["schemas"]["ErrorBody"];
        assert_eq!(error["properties"]["hint"]["type"], "string");
        assert_eq!(error["properties"]["code"]["$ref"], "#/components/schemas/Code");
        let account = &document["components"]["schemas"]["AccountStatus"];
        assert_eq!(account["properties"]["subject"]["type"], json!(["string", "null"]), "null is its own answer");
    }
}
