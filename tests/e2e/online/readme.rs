//! The examples of the README and of `docs/api.md` are run as they are written there.
//!
//! What stands under *First token in five minutes* and after it is typed, block by block, at one prompt, as a newcomer does it.
//! Only these things are not as written: `cargo build --release` finds the debug build already made, the provider listens
//! on a free port, and `[browser] command` names the harness's browser instead of the person's.

use e2e::{
    browser::Mode,
    documents::{Block, blocks},
    home::Home,
    keyring::Keyring,
    process::{self, Output},
    prompt::Prompt,
    world::{self, Options, World},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, sync::Arc, time::Duration};

const LANGUAGES: [&str; 3] = ["python", "js", "go"];

/// What is shown under *Try it, test it*: these tests are part of it.
const NOT_TYPED: &str = "make demo\nmake test\n";

fn is_jwt(text: &str) -> bool {
    text.split('.').count() == 3 && text.starts_with("eyJ") && !text.contains(char::is_whitespace)
}

/// A program of the README: its first line names its file and the command that runs it.
struct Example {
    command: Vec<String>,
}

impl Example {
    fn write(home: &Home, block: &Block) -> Self {
        let first = block.text.lines().next().unwrap_or_default().trim_start_matches(['#', '/', ' ']);
        let (file, command) = first.split_once(": ").unwrap_or_else(|| panic!("line {}: file and command", block.line));
        home.write(&format!("home/{file}"), &block.text, 0o644);
        Self { command: command.split(' ').map(str::to_owned).collect() }
    }

    fn run(&self, home: &Home) -> Output {
        let mut command = Command::new(&self.command[0]);
        home.prepare(command.args(&self.command[1..]));
        // What Go has compiled is kept for the next run of the tests, and it fetches nothing.
        command.env("GOCACHE", e2e::repository().join("target/go")).env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
        process::run(&mut command, "", Duration::from_mins(3))
    }
}

/// Whether a program is on the path.
fn installed(name: &str) -> bool {
    std::env::var("PATH").unwrap_or_default().split(':').any(|folder| PathBuf::from(folder).join(name).is_file())
}

#[test]
fn each_language_gets_a_token_and_says_why_it_got_none() {
    for name in ["python3", "node", "go"] {
        assert!(installed(name), "{name} is not installed: run `make test`, which installs it");
    }
    let mut world = World::signed_in(Options::default());
    let blocks = blocks("README.md");
    let examples: Vec<_> = LANGUAGES
        .map(|language| {
            let mut of = blocks.iter().filter(|block| block.language == language);
            let block = of.next().unwrap_or_else(|| panic!("the README has an example in {language}"));
            assert!(of.next().is_none(), "one example in {language}");
            Example::write(&world.home, block)
        })
        .into();
    world.answer("today");
    for example in &examples {
        let token = example.run(&world.home).ok();
        assert!(world.secrets().contains(&token), "{:?}: this is no token of the provider's: {token}", example.command);
    }
    world.daypass(&["grants", "revoke", "--all"]).ok();
    world.answer("deny");
    for example in &examples {
        let said = example.run(&world.home).fails(1);
        assert!(said.contains("consent was denied (consent_denied); "), "{:?}: {said}", example.command);
    }
    world.daypass(&["logout", "corp"]).ok();
    for example in &examples {
        let said = example.run(&world.home).fails(1);
        assert!(said.contains("(login_required); run: daypass login corp"), "{:?}: {said}", example.command);
    }
    world.agent.stop();
    for example in &examples {
        let said = example.run(&world.home).fails(1);
        assert!(said.contains("no agent (") && said.contains("start it with: daypass status"), "{said}");
    }
}

/// Types a block, which has to end well, and returns what it wrote on standard output.
fn run(prompt: &mut Prompt, text: &str) -> String {
    let said = prompt.run_on_screen(text, |_| ());
    assert_eq!(said.code, "0", "this failed:\n{text}\n{}\n{}", said.out, prompt.screen());
    said.out
}

/// A checkout that is already built: `target/release` holds what the test was built with, and `cargo` only looks.
fn checkout(home: &Home) -> String {
    let release = home.folder("home/target/release");
    for name in ["daypass", "daypass-agent", "daypass-dev-issuer"] {
        fs::copy(e2e::program(name), release.join(name)).expect("copy");
    }
    home.folder("checkout");
    home.write("checkout/cargo", "#!/bin/sh\n[ \"$*\" = \"build --release\" ]\n", 0o755);
    format!("{}:{}", home.path().join("checkout").display(), std::env::var("PATH").unwrap())
}

#[test]
fn the_first_five_minutes_go_as_written() {
    let home = Arc::new(Home::new());
    let _keyring = Keyring::start(&home);
    let mode = |consent: &str| {
        let mode = Mode { consent: consent.to_owned(), ..Mode::default() };
        mode.write(&home.log("mode.json")).unwrap();
    };
    let port = world::free_port().to_string();
    let mut prompt = Prompt::open_with(&home, &checkout(&home));
    let mut seen = BTreeSet::new();
    for block in blocks("README.md").iter().filter(|block| block.language == "sh" && block.text != NOT_TYPED) {
        let has = |part: &str| block.text.contains(part);
        // What the person does at the browser while this block runs.
        mode(if has(r#""wait": 60"#) { "once" } else { "today" });
        let said = run(&mut prompt, &block.text.replace("4020", &port));
        let kind = if has("cargo build") {
            "build"
        } else if has("daypass-dev-issuer --port") {
            "provider"
        } else if has("profile.toml <<") {
            assert!(said.contains(": ok"), "{said}");
            let more = format!("cat >>~/.config/daypass/profile.toml <<'EOF'\n{}EOF\n", world::browser_command(&home));
            run(&mut prompt, &more);
            "profile"
        } else if has("daypass login") {
            assert!(is_jwt(said.trim()), "{said}");
            let screen = prompt.screen();
            assert!(screen.contains("signed in to corp as Alice (alice)"), "{screen}");
            assert!(screen.contains("waiting for your answer: terminal "), "{screen}");
            "login"
        } else if has("daypass run") {
            assert!(said.starts_with("PAYMENTS_TOKEN has ") && !said.contains(" 0 "), "{said}");
            "run"
        } else if has("--unix-socket") {
            assert!(is_jwt(answer(&said)["access_token"].as_str().unwrap_or_default()), "{said}");
            "curl on the socket"
        } else if has("BASE=") {
            assert!(said.starts_with("HTTP/1.1 401") && said.to_lowercase().contains("set-cookie: daypass_"), "{said}");
            assert_eq!(answer(&said)["code"], "consent_required");
            // Now the person clicks.
            let allowed = || run(&mut prompt, "daypass grants --json").contains("/curl").then_some(());
            e2e::until("the answer", Duration::from_secs(20), allowed);
            "curl over TCP"
        } else if has("-c jar") {
            assert!(is_jwt(answer(&said)["access_token"].as_str().unwrap_or_default()), "{said}");
            "curl over TCP again"
        } else if has("daypass grants revoke --all") {
            assert!(said.contains("payments") && said.contains("token.issued"), "{said}");
            "looking back"
        } else if has("daypass logout --all") {
            assert!(!home.path().join("home/.config/daypass").exists() && home.agent_pid().is_none(), "{said}");
            "getting rid of it"
        } else {
            panic!("README.md, line {}: this test does not know what to expect of\n{}", block.line, block.text)
        };
        assert!(seen.insert(kind), "README.md, line {}: {kind} a second time", block.line);
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
}

/// The JSON at the end of what curl printed.
fn answer(said: &str) -> Value {
    serde_json::from_str(said.rsplit("\r\n\r\n").next().unwrap_or_default()).unwrap_or_default()
}

#[test]
fn the_examples_of_the_interface_go_as_written() {
    let world = World::signed_in(Options::default());
    world.answer("today");
    let shell: Vec<_> = blocks("docs/api.md").into_iter().filter(|block| block.language == "sh").collect();
    assert!(!shell.is_empty());
    for block in shell {
        let script = world.home.write("home/example.sh", &block.text, 0o644);
        let said = world.home.run("bash", &[script.to_str().unwrap()], "", Duration::from_mins(1)).ok();
        let body: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("line {}: {said}", block.line));
        assert!(body.get("code").is_none(), "docs/api.md, line {}: {said}", block.line);
    }
}
