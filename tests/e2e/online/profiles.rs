//! IT's profile on a running agent: one file makes the machine right, no spoilt one loosens it, and what changes ends what
//! rested on it. Cases P09, P10, P14 and P15; P01 is in `tests/e2e/offline/managed.rs` and here.

use dev_issuer::{Config, DevIssuer};
use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    keyring::Keyring,
    process::{self, Output},
    until,
    world::{browser_command, free_port, profile},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

/// Longer than a change has to stay before it wipes anything, and than the agent takes to look.
const SETTLED: Duration = Duration::from_mins(1);
/// "Within seconds".
const SECONDS: Duration = Duration::from_secs(10);

/// A machine with a keychain, a browser, an issuer, an empty managed directory, and a running agent nobody configured.
struct Machine {
    agent: Agent,
    keyring: Keyring,
    issuer: DevIssuer,
    home: Arc<Home>,
}

impl Machine {
    fn new() -> Self {
        let home = Arc::new(Home::new());
        let keyring = Keyring::start(&home);
        let issuer = DevIssuer::start(Config::default()).unwrap();
        Mode::default().write(&home.log("mode.json")).unwrap();
        let managed = home.folder("managed");
        let agent = Agent::start(&home, Some(managed));
        Self { agent, keyring, issuer, home }
    }

    /// With the usual account and resources in the user's own file, signed in, and a permission for each of two resources.
    fn of_a_user() -> (Self, String) {
        let machine = Self::new();
        let text = format!("{}{}", profile(machine.issuer.issuer(), free_port()), browser_command(&machine.home));
        machine.home.write_profile(&text);
        machine.shows("accounts", |status| status["accounts"][0]["name"] == "corp");
        machine.run(&["login", "corp"]).ok();
        Mode { consent: "today".to_owned(), ..Mode::default() }.write(&machine.home.log("mode.json")).unwrap();
        for resource in ["payments", "api"] {
            machine.run(&["token", resource, "--wait", "30s"]).ok();
        }
        Mode::default().write(&machine.home.log("mode.json")).unwrap();
        (machine, text)
    }

    fn run(&self, words: &[&str]) -> Output {
        self.home.daypass(words)
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--json"]].concat());
        serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {output:?}"))
    }

    /// Waits until status is as wanted; within seconds.
    fn shows(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("status to show {what}"), SECONDS, || {
            let status = self.json(&["status"]);
            wanted(&status).then_some(status)
        })
    }

    fn events(&self, name: &str) -> Vec<Value> {
        let text = self.run(&["audit", "--json"]).ok();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .flat_map(|line| if let Value::Array(all) = line { all } else { vec![line] })
            .filter(|line| line["event"] == name)
            .collect()
    }

    fn item(&self, account: &str) -> bool {
        self.keyring.items().contains(&format!("account/{account}"))
    }

    fn windows(&self) -> usize {
        let log = fs::read_to_string(self.home.log("browser.jsonl")).unwrap_or_default();
        log.lines().filter(|line| line.contains("\"opened\"")).count()
    }
}

/// What IT drops: an account, a resource this test's own program has without being asked, limits, and nothing to loosen.
fn policy(machine: &Machine) -> String {
    let me = std::env::current_exe().unwrap();
    let digest = process::run(Command::new("sha256sum").arg(&me), "", Duration::from_mins(1)).ok();
    let digest = digest.split_whitespace().next().unwrap().trim_start_matches('\\').to_owned();
    format!(
        r#"version = 1
name = "Example Corp"

[accounts.it]
issuer = "{}"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid"]

[resources.wages]
account = "it"
token = "access"
audience = "https://wages.example.com"
request = "resource"
scopes = ["wages.read"]
consent = "preapproved"
peers = [{{ path = {:?}, sha256 = "{digest}" }}]

[resources.vault]
account = "it"
token = "access"
audience = "https://vault.example.com"
request = "resource"
scopes = ["vault.read"]
consent = "denied"

[consent]
idle = "1h"
terminal = "never"
{}"#,
        machine.issuer.issuer(),
        me.display().to_string(),
        browser_command(&machine.home),
    )
}

/// Everything a user's file could try to get out of it.
const LOOSER: &str = r#"version = 1
[accounts.it]
issuer = "https://evil.example"
client_id = "evil"
[resources.wages]
peers = "any"
audience = "https://evil.example"
allowed_scopes = ["wages.read", "wages.write"]
[resources.vault]
consent = "ask"
[consent]
idle = "24h"
terminal = "allow"
"#;

/// How the file is spoilt, what status and doctor then say, and whether everything goes on by its last good copy (else
/// nothing is issued).
const SPOILT: [(&str, &str, bool); 10] = [
    ("syntax", "is not TOML", true),
    ("truncated", "is not TOML", true),
    ("HTML", "is a web page", true),
    ("empty", "is empty", true),
    ("version of the wrong type", "version", true),
    ("world-writable", "may write to it", true),
    ("a symbolic link", "symbolic link", true),
    ("a directory in its place", "not a regular file", true),
    ("UTF-16", "UTF-16", true),
    ("requires a newer Daypass", "needs another version of Daypass", false),
];

fn spoil(how: &str, file: &Path, good: &str) {
    let aside = file.with_extension("aside");
    match how {
        "syntax" => fs::write(file, format!("{good}\n[[[")).unwrap(),
        "truncated" => fs::write(file, &good[..good.find("peers = [{").unwrap() + 12]).unwrap(),
        "HTML" => fs::write(file, "<!doctype html><title>Sign in</title>").unwrap(),
        "empty" => fs::write(file, "").unwrap(),
        "version of the wrong type" => fs::write(file, good.replace("version = 1", "version = \"one\"")).unwrap(),
        "world-writable" => fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap(),
        "a symbolic link" => {
            fs::rename(file, &aside).unwrap();
            std::os::unix::fs::symlink(&aside, file).unwrap();
        }
        "a directory in its place" => {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        }
        "UTF-16" => {
            let units = good.encode_utf16().flat_map(u16::to_le_bytes);
            fs::write(file, [0xff, 0xfe].into_iter().chain(units).collect::<Vec<u8>>()).unwrap();
        }
        "requires a newer Daypass" => fs::write(file, format!("requires = \">=99\"\n{good}")).unwrap(),
        other => panic!("{other}"),
    }
}

/// Puts the file back, in one step as a good installer does.
fn put(file: &Path, text: &str) {
    if file.is_dir() {
        fs::remove_dir(file).unwrap();
    }
    let fresh = file.with_extension("new");
    fs::write(&fresh, text).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&fresh, file).unwrap();
}

/// Nothing the user's file asks for has come true.
fn is_as_it_says(machine: &Machine, stranger: &PathBuf, goes_on: bool, when: &str) {
    let wages = machine.run(&["token", "wages"]);
    assert_eq!(wages.code, if goes_on { 0 } else { 9 }, "{when}: {wages:?}");
    let vault = machine.run(&["token", "vault"]);
    assert_eq!(vault.code, if goes_on { 10 } else { 9 }, "{when}: {vault:?}");
    let other = machine.home.run(stranger, &["token", "wages"], "", Duration::from_secs(30));
    assert!(other.code != 0 && other.stdout.is_empty(), "{when}: {other:?}");
    let wider = machine.run(&["token", "wages", "--scope", "wages.write"]);
    assert_ne!(wider.code, 0, "{when}: {wider:?}");
    if goes_on {
        let listed = format!("{}{}", machine.json(&["accounts"]), machine.json(&["resources"]));
        assert!(!listed.contains("evil") && listed.contains("https://wages.example.com"), "{when}: {listed}");
        assert_eq!(machine.json(&["status"])["accounts"][0]["issuer"], machine.issuer.issuer(), "{when}");
    }
}

/// Issue 6, done when: one file turns a fresh install into a preconfigured, locked-down, preapproved machine, and each way
/// of spoiling that file leaves the machine as safe as before, with a message that names the fault (P01).
#[test]
fn one_file_makes_the_machine_right_and_no_spoilt_one_loosens_it() {
    let mut machine = Machine::new();
    let fresh = machine.json(&["status"]);
    assert_eq!(
        (fresh["accounts"].as_array().unwrap().len(), machine.run(&["token", "wages"]).code),
        (0, 10),
        "{fresh}"
    );

    // One file, dropped in. Within seconds, without a restart.
    let (file, text, pid) = (machine.home.path().join("managed/10-corp.toml"), policy(&machine), machine.agent.id());
    put(&file, &text);
    machine.shows("the organisation", |status| status["profile"]["name"] == "Example Corp");
    assert_eq!(machine.home.agent_pid(), Some(pid), "the same agent");

    // Preconfigured: signing in is all there is to do. Preapproved: this program is not asked. Others are.
    machine.run(&["token", "wages"]).fails(4);
    machine.run(&["login", "it"]).ok();
    let windows = machine.windows();
    machine.run(&["token", "wages"]).ok();
    assert_eq!(machine.windows(), windows, "no question");
    let stranger = machine.home.script("stranger");
    machine.home.run(&stranger, &["token", "wages"], "", Duration::from_secs(30)).fails(6);

    // Locked down: the user's own file changes none of it, and is told so.
    machine.home.write_profile(LOOSER);
    machine.shows("what does not count", |status| {
        status["profile"]["diagnostics"].to_string().contains("resources.wages.peers")
    });
    is_as_it_says(&machine, &stranger, true, "with the user's file");
    for (how, words, goes_on) in SPOILT {
        spoil(how, &file, &text);
        let named = |status: &Value| {
            let said = status["profile"]["diagnostics"].to_string();
            said.contains("10-corp.toml") && said.contains(words)
        };
        machine.shows(how, named);
        is_as_it_says(&machine, &stranger, goes_on, how);
        machine.agent.restart_after_stop();
        machine.shows(how, named);
        is_as_it_says(&machine, &stranger, goes_on, &format!("{how}, after a restart"));
        let doctor = machine.run(&["doctor"]);
        assert_eq!(doctor.code, 9, "{how}: {doctor:?}");
        assert!(doctor.stdout.contains("FAIL  profile") && doctor.stdout.contains(words), "{how}: {}", doctor.stdout);
        assert_eq!(doctor.stdout.contains("stays in force"), goes_on, "{how}: {}", doctor.stdout);
        put(&file, &text);
        machine.shows("the repaired file", |status| {
            // Not the moment between the two, in which there is no file at all.
            status["profile"]["name"] == "Example Corp" && !named(status)
        });
    }
    // An unknown key voids itself alone, and is named with its line.
    put(&file, &text.replace("consent = \"denied\"", "consnet = \"denied\""));
    machine.shows("a slip", |status| status["profile"]["diagnostics"].to_string().contains("consnet"));
    assert_ne!(machine.run(&["token", "vault"]).code, 0);
    put(&file, &text);

    // Taken away on purpose, it is gone with its copy, and stays so.
    machine.home.write_profile(&browser_command(&machine.home).replace("\n[browser]", "version = 1\n[browser]"));
    fs::remove_file(&file).unwrap();
    machine.shows("no organisation", |status| status["profile"]["name"].is_null());
    machine.agent.restart_after_stop();
    machine.run(&["token", "wages"]).fails(10);
    spoil("HTML", &file, &text);
    machine.shows("no copy of it", |status| status["profile"]["state"] == "locked");
    let doctor = machine.run(&["doctor"]);
    assert!(doctor.stdout.contains("nothing is issued") && doctor.stdout.contains("no good copy"), "{}", doctor.stdout);
    put(&file, &text);
    machine.shows("the organisation again", |status| status["profile"]["name"] == "Example Corp");

    let changes = machine.events("profile.changed");
    let said: Vec<&str> = changes.iter().filter_map(|line| line["via"].as_str()).collect();
    for words in ["accounts.it added (issuer", "is a web page", "accounts.it removed", "nothing is issued"] {
        assert!(said.iter().any(|line| line.contains(words)), "no line says {words:?}: {said:#?}");
    }
    assert!(changes.iter().any(|line| line["code"] == "profile_invalid"), "{changes:?}");
}

/// The keychain vouches for the good copy: one that was changed on the disk is not used, and nothing is issued.
#[test]
fn a_good_copy_counts_only_as_the_keychain_knows_it() {
    let mut machine = Machine::new();
    let (file, text) = (machine.home.path().join("managed/10-corp.toml"), policy(&machine));
    put(&file, &text);
    machine.shows("the organisation", |status| status["profile"]["name"] == "Example Corp");
    machine.run(&["login", "it"]).ok();
    machine.agent.stop();
    let state = machine.home.database().parent().unwrap().to_owned();
    let copies = || -> Vec<PathBuf> {
        let all = fs::read_dir(&state).unwrap().flatten().map(|entry| entry.path());
        all.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("managed-test-")).collect()
    };
    let [copy] = &copies()[..] else { panic!("one copy: {:?}", copies()) };
    assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(machine.keyring.items().contains("test-policy/profile-anchor"), "{}", machine.keyring.items());

    spoil("HTML", &file, &text);
    let kept = fs::read(copy).unwrap();
    for (what, bytes) in [("changed", [&kept[..], b" "].concat()), ("emptied", Vec::new())] {
        fs::write(copy, bytes).unwrap();
        machine.agent.restart();
        machine.run(&["token", "wages"]).fails(9);
        let said = machine.json(&["status"])["profile"]["diagnostics"].to_string();
        assert!(said.contains("no good copy") && said.contains("not the one the keychain knows"), "{what}: {said}");
        machine.agent.stop();
        // Nothing was wiped, and nothing was taken for good.
        assert!(machine.item("it"), "{what}");
        fs::write(copy, &kept).unwrap();
    }
    machine.agent.restart();
    machine.run(&["token", "wages"]).ok();
    machine.agent.stop();

    // A keychain that is locked at the start is asked again once it is open.
    machine.keyring.lock();
    machine.agent.restart();
    machine.run(&["token", "wages"]).fails(9);
    machine.keyring.unlock();
    until("the copy to count", Duration::from_secs(40), || (machine.run(&["token", "wages"]).code == 0).then_some(()));
}

/// P10: another issuer or client for an account never gets its old tokens; who was signed in is signed out.
fn p10(change: impl Fn(&str, &DevIssuer) -> String) {
    let (machine, text) = Machine::of_a_user();
    let second = DevIssuer::start(Config::default()).unwrap();
    let before = machine.issuer.counters().token;
    machine.home.write_profile(&change(&text, &second));
    until("a sign-in to be wanted", SECONDS, || (machine.run(&["token", "payments"]).code == 4).then_some(()));
    machine.run(&["token", "me"]).fails(4);
    assert_eq!(machine.json(&["grants"]).as_array().map(Vec::len), Some(0), "what rested on it has ended");
    until("the keychain item to go", SETTLED, || (!machine.item("corp")).then_some(()));
    let lost = machine.events("sign_in.lost");
    assert!(lost.iter().any(|line| line["via"] == "profile.changed" && line["account"] == "corp"), "{lost:?}");
    let said = machine.events("profile.changed");
    assert!(
        said.iter().any(|line| line["via"].as_str().is_some_and(|via| via.starts_with("accounts.corp."))),
        "{said:?}"
    );
    let asked = second.counters();
    assert_eq!((asked.token, asked.revocation), (0, 0), "the other issuer was shown a token");
    assert_eq!(machine.issuer.counters().token, before, "no refresh token was used after the change");
}

/// P10, the issuer.
#[test]
fn another_issuer_never_gets_old_tokens() {
    p10(|text, second| {
        let old = text.lines().find(|line| line.starts_with("issuer = ")).unwrap();
        text.replace(old, &format!("issuer = \"{}\"", second.issuer()))
    });
}

/// P10, the client.
#[test]
fn another_client_never_gets_old_tokens() {
    p10(|text, _| text.replace("client_id = \"daypass\"", "client_id = \"daypass-demo\""));
}

/// P15: an account that was removed is signed out and wiped, once that has settled; one a spoilt file hides is not.
#[test]
fn a_removed_account_is_wiped_and_a_hidden_one_is_not() {
    let (machine, text) = Machine::of_a_user();
    let browser = text.find("\n[browser]").unwrap();
    for (how, spoilt) in [
        ("no profile at all", format!("{text}\n[[[")),
        ("a misspelt table", text.replace("[accounts.corp]", "[acounts.corp]")),
    ] {
        machine.home.write_profile(&spoilt);
        until(how, SECONDS, || matches!(machine.run(&["token", "payments"]).code, 9 | 10).then_some(()));
        std::thread::sleep(Duration::from_secs(24));
        assert!(machine.item("corp"), "{how}: a fault wipes nothing");
        machine.home.write_profile(&text);
        until("the token of before", SECONDS, || (machine.run(&["token", "payments"]).code == 0).then_some(()));
    }
    machine.home.write_profile(&format!("version = 1\n{}", &text[browser..]));
    until("a typed error", SECONDS, || (machine.run(&["token", "payments"]).code == 10).then_some(()));
    until("the keychain item to go", SETTLED, || (!machine.item("corp")).then_some(()));
    until("the line in the audit log", SECONDS, || {
        let out = machine.events("sign_out");
        out.iter()
            .any(|line| line["account"] == "corp" && line["via"].as_str().is_some_and(|via| via.contains("removed")))
            .then_some(())
    });
    assert_eq!(machine.json(&["grants"]).as_array().map(Vec::len), Some(0));
    assert_eq!(machine.issuer.counters().revocation, 1, "its issuer was told");
    // What comes back begins anew.
    machine.home.write_profile(&text);
    until("a sign-in to be wanted", SECONDS, || (machine.run(&["token", "payments"]).code == 4).then_some(()));
}

/// A permission is for the resource as it was shown: another audience ends it, also when that changed while no agent ran.
#[test]
fn a_permission_ends_when_its_resource_becomes_another() {
    let (mut machine, text) = Machine::of_a_user();
    let other = text.replace("https://payments.example.com", "https://elsewhere.example.com");
    let resources = |machine: &Machine| -> Vec<String> {
        let grants = machine.json(&["grants"]);
        grants.as_array().unwrap().iter().filter_map(|grant| grant["resource"].as_str().map(str::to_owned)).collect()
    };
    machine.home.write_profile(&other);
    until("the permission to end", SECONDS, || (resources(&machine) == ["api"]).then_some(()));
    machine.run(&["token", "payments"]).fails(6);
    machine.run(&["token", "api"]).ok();
    machine.agent.stop();
    machine.home.write_profile(&other.replace("https://api.example.com", "https://api.elsewhere.example"));
    machine.agent.restart();
    assert_eq!(resources(&machine), [""; 0]);
    machine.run(&["token", "api"]).fails(6);
    assert_eq!(machine.events("grant.ended").len(), 2);
    let said = machine.events("profile.changed");
    let last = said.last().unwrap()["via"].as_str().unwrap();
    assert!(
        last.contains("resources.api.audience: \"https://api.example.com\" is now \"https://api.elsewhere.example\""),
        "{last}"
    );
}
