//! The profile changing under load: every answer is by one profile, whatever comes into force meanwhile. P09 and P14.

use dev_issuer::{Config, DevIssuer};
use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    http,
    world::{browser_command, free_port},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const ONE: &str = "https://one.example.com";
const TWO: &str = "https://two.example.com";

/// The managed layer, version `number`: with each, the resources change places. `turn` tells which one is in force.
fn layer(issuer: &str, home: &Home, port: u16, number: usize) -> String {
    let (a, b) = if number.is_multiple_of(2) { (("one", ONE), ("two", TWO)) } else { (("two", TWO), ("one", ONE)) };
    let resource = |name: &str, token: &str, (word, audience): (&str, &str), path: &str| {
        format!(
            "[resources.{name}]\naccount = \"corp\"\ntoken = \"{token}\"\naudience = \"{audience}{path}\"\n\
             request = \"resource\"\nscopes = [\"{word}.read\"]\nconsent = \"preapproved\"\npeers = \"any\"\n"
        )
    };
    let minted = |name: &str, place| resource(name, "minted", place, "/minted").replace("request = \"resource\"\n", "");
    let turn = minted("turn", ("turn", "http://localhost")).replace("/minted", &format!("/{number}"));
    format!(
        "version = 1\n[accounts.corp]\nissuer = \"{issuer}\"\nclient_id = \"daypass\"\n\
         redirect_uri = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\"]\n{}{}{}{}{turn}[broker]\nport = {port}\n{}",
        resource("a", "access", a, ""),
        resource("b", "access", b, ""),
        minted("c", a),
        minted("d", b),
        browser_command(home),
    )
}

/// One connection that asks for tokens.
struct Asker(UnixStream);

impl Asker {
    fn new(home: &Home) -> Self {
        let stream = UnixStream::connect(home.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    fn ask(&mut self, resource: &str) -> (u16, Value) {
        let body = json!({ "resource": resource }).to_string();
        let head = "POST /v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ";
        self.0.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let answer = http::read_answer(&mut self.0).unwrap();
        (answer.status, answer.json())
    }
}

/// What is wrong with a token: resource, audience and scope must be of one profile.
fn fault(asked: &str, answer: &Value) -> Option<String> {
    let claims = e2e::claims(answer["access_token"].as_str()?);
    let audience = match &claims["aud"] {
        Value::Array(all) => all.first().and_then(Value::as_str).unwrap_or_default().to_owned(),
        one => one.as_str().unwrap_or_default().to_owned(),
    };
    let word = if audience.starts_with(ONE) { "one.read" } else { "two.read" };
    let by_name = !asked.starts_with("https://");
    let right = answer["scope"] == word
        && claims["scope"] == word
        && (by_name || audience == asked)
        && (!by_name || answer["resource"] == asked)
        && audience.ends_with("/minted") == matches!(answer["resource"].as_str(), Some("c" | "d"));
    (!right).then(|| {
        format!("asked for {asked}: {audience}, {claims}, scope {} of {}", answer["scope"], answer["resource"])
    })
}

/// Puts another version in force `times` times while four programs ask for tokens all the time.
fn under_load(times: usize, put: impl Fn(&Path, &str)) {
    let issuer = DevIssuer::start(Config::default()).unwrap();
    let home = Arc::new(Home::new());
    Mode::default().write(&home.log("mode.json")).unwrap();
    let (folder, port) = (home.folder("managed"), free_port());
    let text = |number| layer(issuer.issuer(), &home, port, number);
    let file = home.write("managed/10-turn.toml", &text(0), 0o644);
    let _agent = Agent::start(&home, Some(folder));
    home.daypass(&["login", "corp"]).ok();
    let (over, given, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let watched: usize = thread::scope(|scope| {
        for start in 0..4 {
            let (over, given, refused, home) = (&over, &given, &refused, &home);
            scope.spawn(move || {
                let mut asker = Asker::new(home);
                let minted = format!("{ONE}/minted");
                for asked in ["a", "b", ONE, "c", &minted, TWO, "d"].iter().cycle().skip(start) {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    match asker.ask(asked) {
                        (200, answer) => {
                            given.fetch_add(1, Ordering::Relaxed);
                            let fault = fault(asked, &answer);
                            if fault.is_some() {
                                over.store(true, Ordering::Relaxed);
                            }
                            assert_eq!(fault, None);
                        }
                        // A typed no, and never one that says we are broken.
                        (status, answer) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            if status == 500 {
                                over.store(true, Ordering::Relaxed);
                            }
                            assert!(status != 500 && answer["code"].is_string(), "{status} {answer}");
                        }
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let mut watcher = Asker::new(&home);
        let mut asked = 0;
        let started = Instant::now();
        for number in 1..=times {
            put(&file, &text(number));
            let wanted = format!("http://localhost/{number}");
            while !over.load(Ordering::Relaxed) {
                let (_, answer) = watcher.ask("turn");
                asked += 1;
                if answer["access_token"].as_str().is_some_and(|token| e2e::claims(token)["aud"] == *wanted) {
                    break;
                }
                if started.elapsed() > Duration::from_mins(6) {
                    over.store(true, Ordering::Relaxed);
                    panic!("{number} of {times} profiles in {:?}", started.elapsed());
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        over.store(true, Ordering::Relaxed);
        asked
    });
    let (given, refused) = (given.into_inner(), refused.into_inner());
    assert!(given > times, "{given} tokens beside {refused} refusals");
    // One line for each answer and one for each change, in one chain.
    let verdict: Value = serde_json::from_str(&home.daypass(&["audit", "verify", "--json"]).ok()).unwrap();
    let (lines, answers) = (verdict["lines"].as_u64().unwrap(), given + refused + watched);
    assert!(
        verdict["ok"] == true && lines >= (answers + times) as u64,
        "{answers} answers, {times} changes: {verdict}"
    );
    let last = home.daypass(&["audit", "--json"]).ok();
    let change = last.lines().rfind(|line| line.contains("profile.changed")).expect("a change among the newest lines");
    assert!(change.contains("resources.turn.audience"), "{change}");
}

/// P14: a thousand changes under token load, two resources swapping their audience with each; every token is right.
#[test]
fn a_thousand_changes_under_load_give_no_wrong_answer() {
    under_load(1000, |file, text| {
        let fresh = file.with_extension("new");
        fs::write(&fresh, text).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(&fresh, file).unwrap();
    });
}

/// P09: a file that is written over while it is read counts as the bytes that were read, checked and parsed, or not at all.
#[test]
fn a_file_written_over_while_it_is_read_counts_as_it_was_read() {
    under_load(150, |file, text| {
        let mut file = fs::OpenOptions::new().write(true).truncate(true).open(file).unwrap();
        for part in text.as_bytes().chunks(200) {
            file.write_all(part).unwrap();
            thread::sleep(Duration::from_micros(300));
        }
    });
}
