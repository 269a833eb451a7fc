//! `daypass doctor`: each thing that can be wrong is found, named, and comes with a next step; nothing hangs, nothing leaks.

use dev_issuer::{Config, DevIssuer, Endpoint, Fault, Order};
use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    process::{Output, Running},
    world::{browser_command, free_port, profile},
};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What the command found, with how it ended.
struct Found {
    checks: Vec<Value>,
    output: Output,
}

impl Found {
    /// State and finding of a check: the worst where there are several.
    fn check(&self, name: &str) -> (&str, &str) {
        let one = self.one(name);
        (one["state"].as_str().unwrap(), one["finding"].as_str().unwrap())
    }

    fn one(&self, name: &str) -> &Value {
        let grave = |one: &&Value| {
            ["skipped", "ok", "warning", "failed"].iter().position(|state| one["state"] == *state).unwrap()
        };
        let all = self.checks.iter().filter(|one| one["check"] == name);
        all.max_by_key(grave).unwrap_or_else(|| panic!("no check {name}: {:?}", self.output))
    }

    /// The next step of the failure that says this.
    #[track_caller]
    fn fails(&self, name: &str, words: &str) -> &str {
        let says = |one: &&Value| one["finding"].as_str().is_some_and(|finding| finding.contains(words));
        let mut failed = self.checks.iter().filter(|one| one["check"] == name && one["state"] == "failed");
        let one = failed.find(says).unwrap_or_else(|| panic!("{name} does not say {words:?}: {:?}", self.checks));
        one["hint"].as_str().expect("a next step")
    }

    /// The checks that failed.
    fn failed(&self) -> Vec<&str> {
        self.checks.iter().filter(|one| one["state"] == "failed").filter_map(|one| one["check"].as_str()).collect()
    }
}

/// Asks for the list and for the lines; both say the same and end alike, and no secret is in either.
fn doctor(home: &Home) -> Found {
    let output = home.daypass(&["doctor", "--json"]);
    let checks: Vec<Value> = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("no list: {output:?}"));
    for one in &checks {
        let bad = matches!(one["state"].as_str(), Some("failed" | "warning"));
        assert_eq!(bad, one["hint"].is_string(), "a next step where it is needed, and only there: {one}");
    }
    let lines = home.daypass(&["doctor"]);
    assert_eq!(output.code, lines.code, "{output:?}\n{lines:?}");
    let failures = lines.stdout.lines().filter(|line| line.starts_with("FAIL  ")).count();
    assert_eq!(failures, checks.iter().filter(|one| one["state"] == "failed").count(), "{}", lines.stdout);
    for text in [&output.stdout, &output.stderr, &lines.stdout, &lines.stderr] {
        assert!(!text.contains("CANARY"), "a secret is shown: {text}");
    }
    Found { checks, output }
}

/// A home with an agent, an account at `issuer`, and nobody signed in.
fn at(issuer: &str) -> (Agent, Arc<Home>) {
    let home = Arc::new(Home::new());
    Mode::default().write(&home.log("mode.json")).unwrap();
    home.write_profile(&format!("{}{}", profile(issuer, free_port()), browser_command(&home)));
    (Agent::start(&home, None), home)
}

#[test]
fn without_an_agent_the_rest_is_looked_at_and_none_is_started() {
    let home = Home::new();
    home.write_profile(&profile("https://login.example.com", free_port()));
    let found = doctor(&home);
    assert_eq!(found.output.code, 3);
    assert!(found.fails("agent", "not running").contains("daypass agent"));
    assert_eq!(found.failed(), ["agent"]);
    assert_eq!(found.check("profile"), ("ok", "1 file, 1 account and 4 resources"));
    assert_eq!(
        (found.check("port").0, found.check("keychain").0, found.check("issuer").0),
        ("ok", "skipped", "skipped")
    );
    assert_eq!(home.agent_pid(), None);
    assert!(!home.runtime().join("daypass").exists(), "a look leaves nothing behind");
}

#[test]
fn a_runtime_directory_that_is_not_there_or_not_safe_is_the_first_to_be_named() {
    let home = Home::new();
    home.write_profile("version = 1\nnonsense = 2\n");
    let mut command = Command::new(e2e::program("daypass"));
    home.prepare(command.args(["doctor", "--json"])).env_remove("XDG_RUNTIME_DIR");
    let output = e2e::process::run(&mut command, "", Duration::from_secs(10));
    let found = Found { checks: serde_json::from_str(&output.stdout).unwrap(), output };
    assert_eq!(found.output.code, 3);
    assert!(found.fails("socket", "XDG_RUNTIME_DIR is not set").contains("login session"));
    found.fails("profile", "profile.toml:2: nonsense");

    let folder = home.folder("run/daypass");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::net::UnixListener::bind(home.socket()).map(drop).unwrap();
    let found = doctor(&home);
    assert_eq!(found.output.code, 3);
    found.fails("socket", "open to others");
}

#[test]
fn a_healthy_sign_in_is_well_and_no_secret_is_told() {
    let issuer = DevIssuer::start(Config { canary: true, ..Config::default() }).unwrap();
    let (agent, home) = at(issuer.issuer());
    home.daypass(&["login", "corp"]).ok();
    let found = doctor(&home);
    assert_eq!((found.output.code, found.failed()), (0, vec![]), "{:?}", found.output);
    assert!(found.check("agent").1.contains(&format!("pid {}", agent.id())), "{:?}", found.output);
    assert_eq!(found.check("port"), ("ok", home.address().as_str()));
    assert_eq!(found.check("sign_in").0, "ok");
    assert!(found.check("issuer").1.starts_with(issuer.issuer()), "{:?}", found.output);
    assert_eq!(found.check("clock").0, "ok");
    let (state, finding) = found.check("keychain");
    assert_eq!(state, "warning", "{finding}");
    assert!(finding.contains("end with the agent"), "{finding}");
}

#[test]
fn each_way_an_issuer_can_be_wrong_is_named() {
    let issuer = DevIssuer::start(Config::default()).unwrap();
    let (_agent, home) = at(issuer.issuer());
    for (fault, words, step) in [
        (Fault::Html {}, "a web page came instead of the discovery document", "open any web page"),
        (
            Fault::field("issuer", json!("https://other.example")),
            "names another issuer: https://other.example",
            "letter",
        ),
        (Fault::field("token_endpoint", Value::Null), "token_endpoint is missing", "whoever runs the issuer"),
        (Fault::Status { status: 503, body: String::new(), content_type: None }, "status 503", "later"),
        (Fault::Status { status: 404, body: String::new(), content_type: None }, "no discovery document", "profile"),
        (Fault::Redirect { to: "http://127.0.0.1:9/".into(), status: 302 }, "redirect", "profile"),
        (Fault::Drop {}, "for the discovery document", "later"),
        (Fault::Hang {}, "no answer in time", "later"),
    ] {
        let name = fault.kind();
        issuer.order(Order::always(Endpoint::Discovery, fault));
        let found = doctor(&home);
        assert_eq!(found.output.code, 7, "{name}: {:?}", found.output);
        assert!(found.output.took < Duration::from_secs(12), "{name} took {:?}", found.output.took);
        let hint = found.fails("issuer", words);
        assert!(hint.contains(step), "{name}: {hint}");
        assert_eq!(found.check("connection").0, "ok", "{name}");
        issuer.reset_faults();
    }
    for (ahead, words) in [(7230, "2 h 0 min behind the issuer's"), (-3700, "61 min 4"), (5, "5 s behind")] {
        issuer.order(Order::always(Endpoint::Discovery, Fault::Date { ahead }));
        let found = doctor(&home);
        let (state, finding) = found.check("clock");
        let off = ahead.abs() > 60;
        assert_eq!(state, if off { "warning" } else { "ok" }, "{finding}");
        // A second may pass between the answer and the look at the clock.
        assert!(off || finding.contains("behind"), "{finding}");
        assert!(!off || finding.contains(&words[..4]), "{finding} is not about {words}");
        assert_eq!(found.output.code, 4, "a warning is no failure; nobody is signed in");
        issuer.reset_faults();
    }
    drop(issuer);
    let found = doctor(&home);
    assert_eq!(found.output.code, 7);
    assert!(found.fails("connection", "nobody listens there").contains("start the provider"));
    assert_eq!(found.check("issuer").0, "skipped");
}

#[test]
fn a_name_that_leads_nowhere_is_named() {
    // No label may have more than 63 characters, so no name server is asked.
    let (_agent, home) = at(&format!("https://{}.example", "x".repeat(64)));
    let found = doctor(&home);
    assert_eq!(found.output.code, 7);
    assert!(found.fails("name", "cannot be resolved").contains("network"));
    assert_eq!((found.check("connection").0, found.check("tls").0), ("skipped", "skipped"));
}

#[test]
fn a_certificate_nobody_trusts_is_named_with_its_issuer() {
    let home = Home::new();
    let (key, certificate) = (home.log("key.pem"), home.log("certificate.pem"));
    let (key, certificate) = (key.display().to_string(), certificate.display().to_string());
    let subject = ["-subj", "/O=Example Corp/CN=Inspecting Proxy", "-addext", "subjectAltName=IP:127.0.0.1"];
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let made = home.run(
        "openssl",
        &[&new[..], &subject[..], &["-keyout", &key, "-out", &certificate]].concat(),
        "",
        Duration::from_secs(20),
    );
    assert_eq!(made.code, 0, "openssl is installed: {made:?}");
    let port = free_port();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-key", &key, "-cert", &certificate]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Running::start(home.prepare(&mut command));
    e2e::until("the TLS server", Duration::from_secs(10), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let (_agent, other) = at(&format!("https://127.0.0.1:{port}"));
    let found = doctor(&other);
    assert_eq!(found.output.code, 7);
    let hint = found.fails("tls", "the certificate is not trusted: it is its own issuer");
    assert!(hint.contains("trust store") && hint.contains("do not sign in"), "{hint}");
    assert!(found.check("tls").1.ends_with("\"Inspecting Proxy\" of \"Example Corp\""), "{}", found.check("tls").1);
    assert_eq!(found.check("issuer").0, "skipped");
}

/// Makes a root and a certificate of it for `name` (such as `DNS:login.example`), and serves the files of a folder with it.
/// The place it listens, the root's PEM, and the server.
fn behind_a_private_root(home: &Home, name: &str) -> (u16, String, Running) {
    let openssl = |words: &[&str]| {
        let made = home.run("openssl", words, "", Duration::from_secs(20));
        assert_eq!(made.code, 0, "openssl is installed: {made:?}");
    };
    let folder = home.folder("tls");
    let place = |file: &str| folder.join(file).display().to_string();
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let root = ["-x509", "-days", "2", "-subj", "/O=Example Corp/CN=Inspecting Root"];
    openssl(&[&["req"][..], &curve, &root, &["-keyout", &place("root.key"), "-out", &place("root.pem")]].concat());
    let (key, request) = (place("key.pem"), place("request.pem"));
    openssl(&[&["req"][..], &curve, &["-subj", "/CN=issuer", "-keyout", &key, "-out", &request]].concat());
    let extensions =
        home.write("tls/extensions", &format!("subjectAltName={name}\nextendedKeyUsage=serverAuth\n"), 0o644);
    let (ca, key) = (place("root.pem"), place("root.key"));
    let sign = ["x509", "-req", "-days", "2", "-CA", &ca, "-CAkey", &key, "-CAcreateserial", "-in", &request];
    openssl(&[&sign[..], &["-extfile", &extensions.display().to_string(), "-out", &place("certificate.pem")]].concat());
    let port = free_port();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-WWW", "-accept", &format!("127.0.0.1:{port}")]);
    command.args(["-key", "key.pem", "-cert", "certificate.pem"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Running::start(home.prepare(&mut command).current_dir(&folder));
    e2e::until("the TLS server", Duration::from_secs(10), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    (port, std::fs::read_to_string(folder.join("root.pem")).unwrap(), server)
}

/// Lays the discovery document of an issuer where that server finds it.
fn publish(home: &Home, issuer: &str) {
    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/a"), "token_endpoint": format!("{issuer}/t"),
        "jwks_uri": format!("{issuer}/k"), "response_types_supported": ["code"],
        "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
    });
    home.folder("tls/.well-known");
    home.write("tls/.well-known/openid-configuration", &document.to_string(), 0o644);
}

/// Waits until the agent, the same one all the time, finds what is wanted.
fn until_doctor(home: &Home, what: &str, wanted: impl Fn(&Found) -> bool) -> Found {
    e2e::until(what, Duration::from_secs(20), || {
        let output = home.daypass(&["doctor", "--json"]);
        let found = Found { checks: serde_json::from_str(&output.stdout).unwrap(), output };
        wanted(&found).then_some(())
    });
    doctor(home)
}

#[test]
fn a_private_root_counts_from_the_moment_the_managed_profile_names_it() {
    let home = Arc::new(Home::new());
    let (port, root, _server) = behind_a_private_root(&home, "IP:127.0.0.1");
    let issuer = format!("https://127.0.0.1:{port}");
    publish(&home, &issuer);
    home.write_profile(&profile(&issuer, free_port()));
    let managed = home.folder("managed");
    let agent = Agent::start(&home, Some(managed));
    let found = doctor(&home);
    assert_eq!(found.output.code, 7);
    let hint =
        found.fails("tls", "the certificate is not trusted: it was issued by \"Inspecting Root\" of \"Example Corp\"");
    assert!(hint.contains("[network] ca") && hint.contains("do not sign in"), "{hint}");

    // What cannot be read is void and said; it never means less checking.
    let layer = |entry: &str| format!("version = 1\n[network]\nca = [{entry}]\n");
    let file = home.path().join("tls/root.pem").display().to_string();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    for (entry, words) in [
        ("\"/nowhere/root.pem\"".to_owned(), "no such directory"),
        (format!("{:?}", home.path().join("tls/extensions").display().to_string()), "holds no certificate"),
        (format!("{file:?}"), "may write to it"),
    ] {
        home.write("managed/10-network.toml", &layer(&entry), 0o644);
        let found = until_doctor(&home, words, |found| found.check("profile").1.contains(words));
        assert!(found.check("profile").1.contains("10-network.toml:3"), "{}", found.check("profile").1);
        found.fails("tls", "the certificate is not trusted");
    }
    // Repaired where it lies, without a word changed in the profile.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = until_doctor(&home, "the root to count", |found| found.check("tls").0 == "ok");
    let told = found.check("tls").1;
    assert!(told.ends_with("issued by \"Inspecting Root\" of \"Example Corp\""), "{told}");
    assert_eq!((found.check("issuer").0, found.check("profile").0), ("ok", "ok"));

    // Taken away it counts no longer; as text it does.
    home.write("managed/10-network.toml", "version = 1\n", 0o644);
    until_doctor(&home, "the root to be gone", |found| found.check("tls").0 == "failed");
    home.write("managed/10-network.toml", &layer(&format!("'''{root}'''")), 0o644);
    until_doctor(&home, "the root as text", |found| found.check("issuer").0 == "ok");
    assert_eq!(home.agent_pid(), Some(agent.id()), "all of it without a restart");
    // A user's file adds no root.
    std::fs::remove_file(home.path().join("managed/10-network.toml")).unwrap();
    home.write_profile(&format!("{}\n[network]\nca = ['''{root}''']\n", profile(&issuer, free_port())));
    let without = |found: &Found| found.check("profile").0 != "ok" && found.check("tls").0 == "failed";
    let found = until_doctor(&home, "a root of the user's", without);
    found.fails("tls", "the certificate is not trusted");
}

/// A proxy that connects every `CONNECT` to this port of this machine, and what it was asked.
fn tunnel_to(port: u16) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<String>> = Arc::default();
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&head));
                let Ok(mut far) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return };
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                let (mut back, mut forth) = (stream.try_clone().unwrap(), far.try_clone().unwrap());
                let other = thread::spawn(move || {
                    let _ = std::io::copy(&mut forth, &mut back);
                    let _ = back.shutdown(std::net::Shutdown::Write);
                });
                let _ = std::io::copy(&mut stream, &mut far);
                let _ = far.shutdown(std::net::Shutdown::Write);
                let _ = other.join();
            });
        }
    });
    (own, asked)
}

#[test]
fn a_proxy_of_the_managed_profile_is_used_and_named_as_it_is() {
    let home = Arc::new(Home::new());
    let (port, root, _server) = behind_a_private_root(&home, "DNS:login.corp.invalid");
    let issuer = "https://login.corp.invalid";
    publish(&home, issuer);
    // What the environment says counts only until the profile says something.
    home.set_variable("HTTPS_PROXY", "http://127.0.0.1:9");
    let local = DevIssuer::start(Config::default()).unwrap();
    let second = profile(local.issuer(), 0).replace("corp", "local").split("[resources").next().unwrap().to_owned();
    let second = second.split_once("[accounts").unwrap().1.to_owned();
    home.write_profile(&format!("{}\n[accounts{second}", profile(issuer, free_port())));
    let managed = home.folder("managed");
    let agent = Agent::start(&home, Some(managed));
    assert!(doctor(&home).check("proxy").1.contains("HTTPS_PROXY of the agent"));

    let layer = |rule: &str| {
        let text = format!("version = 1\n[network]\nca = ['''{root}''']\n{rule}\n");
        // In one step, as a good installer does.
        let fresh = home.write("managed/10-network.new", &text, 0o644);
        std::fs::rename(fresh, home.path().join("managed/10-network.toml")).unwrap();
    };
    let (through, asked) = tunnel_to(port);
    layer(&format!("proxy = \"http://127.0.0.1:{through}\""));
    let words = format!("http://127.0.0.1:{through} (the profile) lets us through");
    let found = until_doctor(&home, "the way through the proxy", |found| found.output.stdout.contains(&words));
    let of_corp = |found: &Found, check: &str| {
        let one = found.checks.iter().find(|one| one["check"] == check && one["account"] == "corp").unwrap();
        (one["state"].as_str().unwrap().to_owned(), one["finding"].as_str().unwrap().to_owned())
    };
    assert_eq!((of_corp(&found, "proxy").1, of_corp(&found, "issuer").0), (words, "ok".to_owned()));
    assert!(of_corp(&found, "tls").1.contains("\"Inspecting Root\""), "{:?}", of_corp(&found, "tls"));
    let seen = asked.lock().unwrap().clone();
    assert!(seen.starts_with("CONNECT login.corp.invalid:443"), "{seen}");
    assert!(!seen.contains("127.0.0.1"), "what is on this machine is never asked of a proxy: {seen}");
    let near = found.checks.iter().find(|one| one["check"] == "issuer" && one["account"] == "local").unwrap();
    assert_eq!(near["state"], "ok");

    for (status, words, step) in [
        ("407 Proxy Authentication Required", "wants a user name and password (status 407)", "ask IT"),
        ("403 Forbidden", "does not let us through (status 403)", "no_proxy"),
    ] {
        let (port, _) = proxy(status);
        layer(&format!("proxy = \"http://127.0.0.1:{port}\""));
        let found = until_doctor(&home, words, |found| found.check("proxy").1.contains(words));
        let hint = found.fails("proxy", words);
        assert!(hint.contains(step), "{hint}");
        assert_eq!(found.output.code, 7);
    }
    layer(&format!("proxy = \"http://127.0.0.1:{through}\"\nno_proxy = [\".corp.invalid\"]"));
    let excepted = |found: &Found| found.output.stdout.contains("no_proxy of the profile");
    let found = until_doctor(&home, "no proxy for this host", excepted);
    assert_eq!(of_corp(&found, "proxy").1, "not used: no_proxy of the profile names this host");
    found.fails("name", "cannot be resolved");
    layer("proxy = \"none\"");
    let forbidden = |found: &Found| found.output.stdout.contains("not used, as the profile says");
    let found = until_doctor(&home, "no proxy", forbidden);
    found.fails("name", "cannot be resolved");
    assert_eq!(home.agent_pid(), Some(agent.id()), "all of it without a restart");
}

/// A proxy that refuses everybody with this status, and what it was asked.
fn proxy(status: &'static str) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<String>> = Arc::default();
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        }
    });
    (port, asked)
}

#[test]
fn a_proxy_is_named_without_its_password() {
    let (port, asked) = proxy("407 Proxy Authentication Required");
    let home = Arc::new(Home::new());
    home.set_variable("HTTPS_PROXY", &format!("http://ann:CANARY-of-the-proxy@127.0.0.1:{port}"));
    let other =
        profile("http://127.0.0.1:9", 0).replace("corp", "local").split("[resources").next().unwrap().to_owned();
    let second = other.split_once("[accounts").unwrap().1;
    let whole = profile("https://login.nowhere.invalid", free_port());
    home.write_profile(&format!("{whole}\n[accounts{second}"));
    let _agent = Agent::start(&home, None);
    let found = doctor(&home);
    assert_eq!(found.output.code, 7);
    let hint = found.fails("proxy", "the proxy wants a user name and password (status 407)");
    assert!(hint.contains("daypass agent stop"), "{hint}");
    let named = format!("http://127.0.0.1:{port} (HTTPS_PROXY of the agent, with a user name)");
    assert!(found.check("proxy").1.starts_with(&named), "{}", found.check("proxy").1);
    let asked = asked.lock().unwrap().clone();
    assert!(asked.starts_with("CONNECT login.nowhere.invalid:443"), "{asked}");
    assert!(!asked.contains("127.0.0.1:9"), "what is on this machine is never asked of a proxy: {asked}");
    let local = found.checks.iter().find(|one| one["check"] == "proxy" && one["account"] == "local").unwrap();
    assert_eq!(
        (local["state"].as_str(), local["finding"].as_str().unwrap().contains("on this machine")),
        (Some("ok"), true)
    );
}

#[test]
fn a_fault_of_the_profile_is_named_with_file_and_line() {
    let (_agent, home) = at("http://127.0.0.1:9");
    let text = profile("https://login.example.com", free_port());
    home.write_profile(&format!("{text}\n[resources.broken]\naccount = \"corp\"\naudiense = \"x\"\n"));
    let line = text.lines().count() + 4;
    let place = format!("profile.toml:{line}: resources.broken.audiense");
    e2e::until("the agent to see it", Duration::from_secs(10), || {
        home.daypass(&["status", "--json"]).stdout.contains("audiense").then_some(())
    });
    let found = doctor(&home);
    assert_eq!(found.output.code, 9);
    assert_eq!(found.fails("profile", &place), "did you mean audience?");
    home.daypass(&["agent", "stop"]).ok();
    let found = doctor(&home);
    assert_eq!(found.output.code, 3, "without the agent nothing else counts");
    assert_eq!(found.fails("profile", &place), "did you mean audience?");
}

#[test]
fn a_port_that_was_taken_is_a_warning_and_one_that_is_no_agents_a_failure() {
    let home = Arc::new(Home::new());
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    home.write_profile(&profile("http://127.0.0.1:9", port));
    assert_eq!(doctor(&home).check("port").0, "warning", "seen before the agent starts");
    let _agent = Agent::start(&home, None);
    let found = doctor(&home);
    let (state, finding) = found.check("port");
    assert_eq!(state, "warning", "{finding}");
    assert!(finding.contains(&port.to_string()) && finding.contains(&home.address()), "{finding}");

    let file = home.runtime().join("daypass/address");
    std::fs::write(&file, format!("http://127.0.0.1:{port}\n")).unwrap();
    busy.set_nonblocking(true).unwrap();
    assert_eq!(doctor(&home).output.code, 3);
    std::fs::write(&file, "http://192.0.2.1:1\n").unwrap();
    doctor(&home).fails("port", "names no address on this machine");
}
