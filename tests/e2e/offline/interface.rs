//! The interface is what its list says: `localapi::endpoints` against the router, the running agent, `docs/openapi.json`
//! and `docs/api.md`.
//!
//! `make openapi` (`DAYPASS_WRITE=1`) writes the two files anew instead of comparing them.

#![allow(clippy::format_push_string, reason = "plain to read, and speed does not matter here")]

use e2e::{
    home::Home,
    http,
    process::{Output, Running},
    world,
};
use localapi::endpoints::{Answer, ENDPOINTS, Endpoint, Method, QueryKind, Shape, Who};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
    time::Duration,
};

/// From here on `docs/api.md` is made by this test.
const MADE: &str = "<!-- made by `make openapi` from crates/localapi: do not edit below -->\n";

#[test]
fn the_description_is_the_one_the_code_gives() {
    let docs = e2e::repository().join("docs");
    let document = localapi::openapi::document();
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let api = fs::read_to_string(docs.join("api.md")).expect("docs/api.md");
    let (written, _) = api.split_once(MADE).expect("docs/api.md has the mark of its made part");
    let api_made = format!("{written}{MADE}{}", reference(&document));
    for (name, made) in [("openapi.json", text), ("api.md", api_made)] {
        let file = docs.join(name);
        if std::env::var_os("DAYPASS_WRITE").is_some() {
            fs::write(&file, made).expect("write");
        } else {
            let kept = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                kept == made,
                "docs/{name} is not what the code gives: run `make openapi` and look at the difference"
            );
        }
    }
}

#[test]
fn the_written_part_of_the_document_names_what_programs_use() {
    let api = fs::read_to_string(e2e::repository().join("docs/api.md")).expect("docs/api.md");
    let (written, made) = api.split_once(MADE).expect("the mark");
    for endpoint in ENDPOINTS {
        let name = format!("`{} {}`", endpoint.method.as_str(), endpoint.path);
        assert!(made.contains(&name), "{name} is in the reference");
        if endpoint.who != Who::FirstParty {
            assert!(written.contains(endpoint.path), "{} is explained", endpoint.path);
        }
    }
    let document = localapi::openapi::document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for field in schema["properties"].as_object().into_iter().flatten().map(|(field, _)| field) {
            assert!(made.contains(&format!("\n| `{field}` |")), "{name}.{field} is in the reference");
        }
    }
    for field in document["components"]["schemas"]["TokenRequest"]["properties"].as_object().unwrap().keys() {
        assert!(written.contains(&format!("`{field}`")), "{field} of a token request is explained");
    }
    for code in localapi::Code::ALL {
        assert!(made.contains(&format!("`{}`", code.as_str())), "{} is in the reference", code.as_str());
    }
}

/// `("GET", "/v1/status", "first_party")` for each route in the source of the router.
fn routes(source: &str) -> BTreeSet<(String, String, String)> {
    let text: String = source.split_whitespace().collect::<Vec<_>>().concat();
    let mut found = BTreeSet::new();
    let mut group = String::new();
    for (index, part) in text.split(".route(\"").enumerate() {
        if index > 0 {
            let (path, rest) = part.split_once("\",").expect("a route is a path and its methods");
            // As far as the closing bracket of this call.
            let mut depth = 1;
            let end = rest.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            let methods = &rest[..end.expect("a closed call")];
            for word in methods.split(").") {
                let name = word.split('(').next().unwrap_or_default().to_ascii_uppercase();
                let known = ["GET", "POST", "DELETE"].contains(&name.as_str());
                assert!(known, "{path}: this test does not know how to read {word}");
                found.insert((name, path.to_owned(), group.clone()));
            }
        }
        if let Some((before, _)) = part.rsplit_once("Router::new()") {
            let name = before.rsplit_once("let").and_then(|(_, name)| name.strip_suffix('='));
            name.unwrap_or("everything").clone_into(&mut group);
        }
    }
    found
}

#[test]
fn routes_are_read_however_they_are_laid_out() {
    let found = routes(
        r#"let peers = Router::new().route("/a", get(token::a).delete(token::b));
        let first_party = Router::new()
            .route(
                "/b/{id}",
                post(own::c),
            )
            .layer(middleware::from_fn(own_only));
        Router::new().merge(peers).route("/c", get(d)).merge(pages::router())"#,
    );
    let rows = [
        ("DELETE", "/a", "peers"),
        ("GET", "/a", "peers"),
        ("GET", "/c", "everything"),
        ("POST", "/b/{id}", "first_party"),
    ];
    assert_eq!(found, rows.map(|(m, p, g)| (m.to_owned(), p.to_owned(), g.to_owned())).into());
}

#[test]
fn the_router_and_the_list_say_the_same() {
    let folder = e2e::repository().join("crates/agent/src");
    let source = fs::read_to_string(folder.join("server/router.rs")).expect("the router");
    for other in [".nest(", ".route_service(", ".nest_service(", ".merge(crate"] {
        assert!(!source.contains(other), "this test does not look at what {other}…) adds");
    }
    let in_source = routes(&source);
    let listed: BTreeSet<_> = ENDPOINTS.iter().map(|e| (e.method.as_str().to_owned(), e.path.to_owned())).collect();
    let routed: BTreeSet<_> = in_source.iter().map(|(method, path, _)| (method.clone(), path.clone())).collect();
    assert_eq!(routed, listed, "left: routed, right: listed in localapi::endpoints");
    for (method, path, group) in &in_source {
        let listed = ENDPOINTS.iter().find(|e| (e.method.as_str(), e.path) == (method, path)).unwrap();
        assert_eq!(group == "first_party", listed.who == Who::FirstParty, "{method} {path} is among {group}");
        assert!(group == "peers" || listed.who != Who::Program, "{method} {path} is among {group}");
    }
    let pages = fs::read_to_string(folder.join("pages/handlers.rs")).expect("the pages");
    assert!(pages.contains(".route(\"") && !pages.contains(".route(\"/v1"), "pages are no interface for programs");
}

/// An agent in a folder of its own, beside which curl lies under the name of a program of Daypass's.
struct Beside {
    _agent: Running,
    home: Home,
    curl: String,
}

impl Beside {
    fn new() -> Self {
        let home = Home::new();
        let issuer = "http://127.0.0.1:9";
        let more = world::browser_command(&home);
        home.write_profile(&format!("{}{more}", world::profile(issuer, world::free_port())));
        e2e::browser::Mode { visit: false, ..Default::default() }.write(&home.log("mode.json")).unwrap();
        let folder = home.folder("programs");
        let agent = folder.join("daypass-agent");
        fs::copy(e2e::program("daypass-agent"), &agent).expect("copy");
        let folders = std::env::var("PATH").unwrap();
        let installed =
            folders.split(':').map(|folder| format!("{folder}/curl")).find(|file| fs::exists(file).unwrap());
        let curl = folder.join("daypass-desktop");
        fs::copy(installed.expect("curl is installed"), &curl).expect("copy");
        let mut command = Command::new(agent);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Running::start(home.prepare(&mut command));
        e2e::until("the agent to answer", Duration::from_secs(20), || home.healthy().then_some(()));
        let curl = curl.display().to_string();
        Self { _agent: agent, home, curl }
    }

    /// Status and body of one request over the socket, sent by `program`.
    fn ask(&self, program: &str, method: &str, path: &str) -> (u16, String) {
        let socket = self.home.socket().display().to_string();
        let address = format!("http://localhost{path}");
        // Events never end.
        let limit = if path == "/v1/events" { "1" } else { "15" };
        let words =
            ["-s", "--max-time", limit, "-X", method, "-w", "\n%{http_code}", "--unix-socket", &socket, &address];
        let Output { stdout, .. } = self.home.run(program, &words, "", Duration::from_secs(20));
        let (body, status) = stdout.rsplit_once('\n').unwrap_or_else(|| panic!("{method} {path}: {stdout}"));
        (status.parse().unwrap(), body.to_owned())
    }
}

/// The path with something in place of its parts, and whether that something is there.
fn filled(path: &str) -> (String, bool) {
    (path.replace("{name}", "corp").replace("{id}", "0000"), !path.contains("{id}"))
}

fn code_of(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    value["code"].as_str().unwrap_or_default().to_owned()
}

fn fits(endpoint: &Endpoint, body: &str) {
    let same = |shape: &Shape, value: Value| {
        let again =
            shape.reread(value.clone()).unwrap_or_else(|e| panic!("{} is no {}: {e}", endpoint.path, shape.name));
        assert_eq!(again, value, "{} tells all of what {} answers", shape.name, endpoint.path);
    };
    let value = || serde_json::from_str::<Value>(body).expect("JSON");
    match &endpoint.answer {
        Answer::Nothing => assert_eq!(body, "", "{}", endpoint.path),
        Answer::One(shape) => same(shape, value()),
        Answer::Many(shape) => value().as_array().expect("a list").iter().for_each(|one| same(shape, one.clone())),
        Answer::Events(_) => assert!(body.is_empty() || body.starts_with("event: "), "{body}"),
    }
}

#[test]
fn the_agent_serves_what_is_listed_to_whom_it_is_listed() {
    let beside = Beside::new();
    let authority = beside.home.authority();
    let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for endpoint in ENDPOINTS {
        let (path, there) = filled(endpoint.path);
        let method = endpoint.method.as_str();
        let name = format!("{method} {}", endpoint.path);
        paths.entry(endpoint.path).or_default().insert(method);
        let codes: BTreeSet<_> = endpoint.codes().iter().map(|code| code.as_str()).collect();
        // A stranger, in both places.
        let by_tcp = http::request(&authority, method, &path, &[], b"").expect("an answer");
        for (status, body) in [(by_tcp.status, by_tcp.text()), beside.ask("curl", method, &path)] {
            match endpoint.who {
                Who::FirstParty => assert_eq!((status, code_of(&body).as_str()), (403, "not_first_party"), "{name}"),
                _ if endpoint.request.is_some() => {
                    assert_eq!((status, code_of(&body).as_str()), (415, "unsupported_media_type"), "{name}");
                }
                _ => assert!(matches!(status, 200 | 204), "{name}: {status} {body}"),
            }
        }
        // One of ours. What needs a body has none here; a sign-out of nobody is an answer.
        let (status, body) = beside.ask(&beside.curl, method, &path);
        match status {
            200 | 204 => {
                assert!(endpoint.request.is_none() && there, "{name}: {status}");
                assert_eq!(status == 204, matches!(endpoint.answer, Answer::Nothing), "{name}");
                fits(endpoint, &body);
            }
            _ => {
                let code = code_of(&body);
                assert!(codes.contains(code.as_str()), "{name} is not listed with {code:?}: {body}");
                let wanted = if endpoint.request.is_some() { "unsupported_media_type" } else { "not_found" };
                assert_eq!(code, wanted, "{name}");
                assert!(!body.contains("there is nothing here"), "{name} is not routed");
            }
        }
    }
    for (path, methods) in paths {
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"] {
            if !methods.contains(method) {
                let (status, body) = beside.ask(&beside.curl, method, &filled(path).0);
                assert_eq!((status, code_of(&body).as_str()), (405, "method_not_allowed"), "{method} {path}");
            }
        }
    }
    assert_eq!(beside.ask(&beside.curl, "GET", "/v1/nothing").0, 404);
}

#[test]
fn query_parameters_are_the_listed_ones() {
    let beside = Beside::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method == Method::Get && !endpoint.query.is_empty()) {
        let (path, there) = filled(endpoint.path);
        for query in endpoint.query {
            let (good, bad) = match query.kind {
                QueryKind::Number => ("1", "-1"),
                QueryKind::Time => ("2026-01-01T00:00:00Z", "yesterday"),
            };
            let taken = beside.ask(&beside.curl, "GET", &format!("{path}?{}={good}", query.name));
            assert_eq!(taken.0, if there { 200 } else { 404 }, "{path} {}: {}", query.name, taken.1);
            let refused = beside.ask(&beside.curl, "GET", &format!("{path}?{}={bad}", query.name));
            assert_eq!((refused.0, code_of(&refused.1).as_str()), (400, "invalid_request"), "{path} {}", query.name);
        }
        let refused = beside.ask(&beside.curl, "GET", &format!("{path}?more=1"));
        assert_eq!((refused.0, code_of(&refused.1).as_str()), (400, "invalid_request"), "{path}?more");
    }
}

/// The made part of `docs/api.md`.
fn reference(document: &Value) -> String {
    let mut text = String::from(
        "\n## Reference\n\n\
        The same as an OpenAPI 3.1 description: [openapi.json](openapi.json).\n\n\
        ### Endpoints\n\n\
        | endpoint | who | takes | answers | and its own codes |\n|---|---|---|---|---|\n",
    );
    for endpoint in ENDPOINTS {
        let who = match endpoint.who {
            Who::SameUser => "same user",
            Who::Program => "program",
            Who::FirstParty => "first-party",
        };
        let query = endpoint.query.iter().map(|query| format!("`?{}=`", query.name));
        let takes: Vec<_> = endpoint.request.iter().map(|shape| link(shape.name)).chain(query).collect();
        let answers = match endpoint.answer {
            Answer::Nothing => "204".to_owned(),
            Answer::One(shape) => link(shape.name),
            Answer::Many(shape) => format!("list of {}", link(shape.name)),
            Answer::Events(names) => format!("events `{}`", names.join("`, `")),
        };
        let codes: Vec<_> = endpoint.own_codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
        text += &format!(
            "| `{} {}`: {} | {who} | {} | {answers} | {} |\n",
            endpoint.method.as_str(),
            endpoint.path,
            endpoint.does,
            takes.join(", "),
            codes.join(", "),
        );
    }
    let common = |who: Who| {
        let one = ENDPOINTS.iter().find(|e| e.who == who && e.request.is_none() && e.own_codes.is_empty());
        one.map(Endpoint::codes).unwrap_or_default()
    };
    let words = |codes: &[localapi::Code]| {
        codes.iter().map(|code| format!("`{}`", code.as_str())).collect::<Vec<_>>().join(", ")
    };
    text += &format!(
        "\n*Same user*: any process of yours. *Program*: any program of yours that can be identified; others get \
        `peer_unidentified`. *First-party*: Daypass's own programs, over the socket; others get `not_first_party`.\n\n\
        Besides its own codes every endpoint may answer {}, one that takes a body also `unsupported_media_type`, and all but \
        those for the same user `internal`. A method that a path does not have gets `method_not_allowed`, a path or a thing that \
        is not there `not_found`.\n",
        words(&common(Who::SameUser)),
    );
    let queries: BTreeSet<_> = ENDPOINTS.iter().flat_map(|e| e.query).map(|query| (query.name, query.does)).collect();
    text += "\n| query parameter | meaning |\n|---|---|\n";
    for (name, does) in queries {
        text += &format!("| `{name}` | {does} |\n");
    }
    text += "\n### Types\n\nWhat is not called optional is always there. Times are RFC 3339 UTC.\n";
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        let Some(fields) = schema["properties"].as_object() else { continue };
        text += &format!(
            "\n#### {name}\n\n{}\n\n| field | type | meaning |\n|---|---|---|\n",
            one_line(&schema["description"])
        );
        let required: BTreeSet<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (field, what) in fields {
            let optional = if required.contains(field.as_str()) { "" } else { ", optional" };
            text += &format!("| `{field}` | {}{optional} | {} |\n", kind(what), one_line(&what["description"]));
        }
    }
    text
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_ascii_lowercase())
}

fn one_line(text: &Value) -> String {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The type of a field in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return if name == "Code" { "[code](errors.md#codes)".to_owned() } else { link(name) };
    }
    let word = |kind: &str| match kind {
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "string" => "text".to_owned(),
        "integer" => "number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => format!("list of {}", kind_of_items(&schema["items"])),
        "object" => format!("object of {}", kind_of_items(&schema["additionalProperties"])),
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(one) => word(one),
        Value::Array(any) => any.iter().filter_map(Value::as_str).map(word).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

fn kind_of_items(schema: &Value) -> String {
    kind(schema)
}
