//! Glewlwyd, a foreign OpenID Provider of other habits: written in C, an issuer with a path, RS512, redirect addresses to the
//! letter, no rotation, no `iss` in the authorization response, pages that are programs.
//!
//! It is set up by its own administration interface on a database of the test's own, and signs in by the same calls its
//! sign-in page makes. `tests/tools/install` unpacks it into `target/tools/glewlwyd`; it is no service of this machine.

use crate::{
    home::Home,
    http,
    navigate::{Page, Session},
    process::Running,
    until,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

/// Scope of the one resource it knows.
pub const SCOPE: &str = "payments.read";
/// The audience that scope is for.
pub const AUDIENCE: &str = "https://payments.example.com";
/// Password of alice.
const PASSWORD: &str = "correct horse battery";

/// How its OpenID Connect plug-in is set up, but for issuer, key and resource.
const PARAMETERS: &str = r#"{
"jwt-type": "rsa", "jwt-key-size": "512", "allowed-scope": ["openid", "payments.read"], "subject-type": "public",
"access-token-duration": 300, "refresh-token-duration": 86400, "code-duration": 60, "refresh-token-rolling": false,
"refresh-token-one-use": "never", "allow-non-oidc": false, "auth-type-code-enabled": true,
"auth-type-code-revoke-replayed": true, "auth-type-token-enabled": false, "auth-type-id-token-enabled": true,
"auth-type-none-enabled": false, "auth-type-password-enabled": false, "auth-type-client-enabled": false,
"auth-type-device-enabled": false, "auth-type-refresh-enabled": true, "jwks-show": true, "jwks-x5c": [],
"pkce-allowed": true, "pkce-method-plain-allowed": false, "pkce-required": false, "pkce-required-public-client": true,
"introspection-revocation-allowed": true, "introspection-revocation-auth-scope": [],
"introspection-revocation-allow-target-client": true, "register-client-allowed": false,
"session-management-allowed": false, "oauth-as-iss-id": false, "name-claim": "mandatory", "email-claim": "mandatory",
"request-parameter-allow": false, "encrypt-out-token-allow": false, "claims": [], "additional-parameters": [],
"address-claim": {"type": "no"}, "resource-allowed": true, "resource-client-property": "",
"resource-scope-and-client-property": false
}"#;

/// A running Glewlwyd with the public client `daypass` and the person alice.
pub struct Glewlwyd {
    _process: Running,
    authority: String,
    /// Its issuer identifier.
    pub issuer: String,
}

fn installed() -> PathBuf {
    let folder = crate::repository().join("target/tools/glewlwyd");
    assert!(folder.join("usr/bin/glewlwyd").is_file(), "Glewlwyd is not installed: run `make test`");
    folder
}

/// A fresh RSA key pair in PEM, private and public.
fn key_pair() -> (String, String) {
    let script = "const {privateKey,publicKey}=require('crypto').generateKeyPairSync('rsa',{modulusLength:2048,\
        publicKeyEncoding:{type:'spki',format:'pem'},privateKeyEncoding:{type:'pkcs1',format:'pem'}});\
        console.log(JSON.stringify([privateKey,publicKey]))";
    let mut command = Command::new("node");
    let output =
        crate::process::run(command.args(["-e", script]).env_remove("NODE_OPTIONS"), "", Duration::from_mins(1));
    let keys: [String; 2] = serde_json::from_str(&output.ok()).expect("a key pair");
    let [private, public] = keys;
    (private, public)
}

impl Glewlwyd {
    /// Starts one in `home`, whose client may come back to `redirect_uri` only; a client with a secret is confidential.
    pub fn start(home: &Home, redirect_uri: &str, secret: Option<&str>) -> Self {
        let installed = installed();
        let folder = home.folder("glewlwyd");
        let schema = fs::read_to_string(installed.join("usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"));
        let database = folder.join("glewlwyd.db").display().to_string();
        let mut sqlite = Command::new("sqlite3");
        crate::process::run(sqlite.arg(&database), &schema.expect("a schema"), Duration::from_mins(1)).ok();
        let authority = format!("127.0.0.1:{}", crate::world::free_port());
        let config = home.write("glewlwyd/glewlwyd.conf", &configuration(&installed, &authority, &database), 0o600);
        let log = fs::File::create(home.log("glewlwyd.log")).expect("a log file");
        let mut command = Command::new(installed.join("usr/bin/glewlwyd"));
        command.arg("-c").arg(config).stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
        let process = Running::start(home.prepare(&mut command));
        until("Glewlwyd to answer", Duration::from_secs(30), || {
            http::request(&authority, "GET", "/api/plugins", &[], b"").is_ok().then_some(())
        });
        let issuer = format!("http://{authority}/api/oidc");
        let own = Self { _process: process, authority, issuer };
        own.furnish(redirect_uri, secret);
        own
    }

    /// Plugin, scope, client and person, as an administrator would enter them.
    fn furnish(&self, redirect_uri: &str, secret: Option<&str>) {
        let mut session = Session::default();
        let page = self.page();
        let mut post = |path: &str, body: &Value| {
            let answer = session.script(&page, "POST", path, &body.to_string()).expect("an answer");
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        };
        // The first administrator of every installation.
        post("/api/auth/", &json!({"username": "admin", "password": "password"}));
        let (key, cert) = key_pair();
        let mut parameters: Value = serde_json::from_str(PARAMETERS).expect("JSON");
        for (name, value) in [("iss", self.issuer.clone()), ("key", key), ("cert", cert)] {
            parameters[name] = json!(value);
        }
        parameters["resource-scope"] = json!({SCOPE: [AUDIENCE]});
        post(
            "/api/mod/plugin/",
            &json!({"module": "oidc", "name": "oidc", "display_name": "OIDC", "parameters": parameters}),
        );
        post(
            "/api/scope/",
            &json!({
                "name": SCOPE, "display_name": "Payments", "description": "Read payments", "password_required": true,
                "password_max_age": 0, "scheme": {}, "scheme_required": {},
            }),
        );
        let mut client = json!({
            "client_id": "daypass", "name": "Daypass", "confidential": secret.is_some(), "enabled": true, "scope": [],
            "authorization_type": ["code", "refresh_token"], "redirect_uri": [redirect_uri],
            "token_endpoint_auth_method": ["none"],
        });
        if let Some(secret) = secret {
            client["password"] = json!(secret);
            client["token_endpoint_auth_method"] = json!(["client_secret_basic"]);
        }
        post("/api/client/", &client);
        post(
            "/api/user/",
            &json!({
                "username": "alice", "name": "Alice", "email": "alice@example.com", "password": PASSWORD,
                "enabled": true, "scope": ["g_profile", "openid", SCOPE],
            }),
        );
    }

    /// What a script of its pages sends comes from.
    fn page(&self) -> Page {
        Page {
            url: crate::navigate::Url { authority: self.authority.clone(), path: "/".to_owned() },
            answer: http::Answer { status: 200, headers: Vec::new(), body: Vec::new() },
        }
    }

    /// Opens `address` as alice's browser would, signs in as the sign-in page does, consents, and returns the last page.
    ///
    /// # Panics
    /// When the way is another.
    pub fn sign_in(&self, address: &str) -> Page {
        let mut session = Session::default();
        let form = session.go(address).expect("the sign-in page");
        assert_eq!(form.url.authority, self.authority, "{}", form.url.path);
        let query = form.url.path.split_once('?').map_or("", |(_, query)| query).to_owned();
        let parameter = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            decode(pair.unwrap_or_else(|| panic!("no {name} in {query}")))
        };
        let back = parameter("callback_url");
        let login = json!({"username": "alice", "password": PASSWORD}).to_string();
        let answer = session.script(&form, "POST", "/api/auth/", &login).expect("an answer");
        assert_eq!(answer.status, 200, "the password is right");
        let grant = json!({"scope": format!("openid {SCOPE}")}).to_string();
        let answer = session.script(&form, "PUT", "/api/auth/grant/daypass/", &grant).expect("an answer");
        assert_eq!(answer.status, 200, "consent: {}", answer.text());
        let separator = if back.contains('?') { '&' } else { '?' };
        session.click(&form, &format!("{back}{separator}g_continue")).expect("the page after the sign-in")
    }
}

fn configuration(installed: &std::path::Path, authority: &str, database: &str) -> String {
    let port = authority.rsplit(':').next().unwrap_or_default();
    let modules = installed.join("usr/lib/glewlwyd").display().to_string();
    format!(
        r#"port={port}
bind_address="127.0.0.1"
external_url="http://{authority}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="INFO"
cookie_secure=0
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3"; path = "{database}"; }};
"#
    )
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
