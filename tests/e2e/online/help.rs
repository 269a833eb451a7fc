//! Every example that `daypass … --help` shows is typed at a prompt, as it is written there.
//!
//! They are collected from the help itself, so a new example is tested without a word here: it has to end with 0. Not as
//! written are only the names of a question and of a permission, which the agent chooses (see [`STANDING_FOR`]), and the
//! curl that is found, because the service of the examples does not exist. Not at a prompt of the one world, but in a home
//! of their own, run those that start or stop the agent, and those of `daypass init`, whose issuer is the test's.

use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    prompt::{Prompt, Said},
    provider::{Provider, Setup},
    world::{Options, World},
};
use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

const LIMIT: Duration = Duration::from_mins(1);

/// What stands in an example for a name that the agent chooses, and the listing that has the real one.
const STANDING_FOR: [(&str, &str, &str); 3] = [
    ("daypass approve ", "4f2a", "requests"),
    ("daypass deny ", "4f2a", "requests"),
    ("daypass grants revoke ", "7", "grants"),
];

/// Every example of the help, in its order, each once.
fn examples(home: &Home) -> Vec<String> {
    fn walk(home: &Home, words: &[&str], seen: &mut BTreeSet<String>, found: &mut Vec<String>) {
        let help = home.daypass(&[words, &["--help"]].concat()).ok();
        let section = |heading: &str| {
            let lines = help.lines().skip_while(move |line| *line != heading).skip(1);
            lines.take_while(|line| line.starts_with("  ")).map(str::trim).map(str::to_owned).collect::<Vec<_>>()
        };
        let shown = section("Examples:");
        assert!(!shown.is_empty(), "daypass {} --help shows no examples:\n{help}", words.join(" "));
        found.extend(shown.into_iter().filter(|example| seen.insert(example.clone())));
        for command in section("Commands:") {
            match command.split_whitespace().next().unwrap() {
                "help" => {}
                name => walk(home, &[words, &[name]].concat(), seen, found),
            }
        }
    }
    let mut found = Vec::new();
    walk(home, &[], &mut BTreeSet::new(), &mut found);
    found
}

/// The world of the examples: alice at the browser, `payments` and `api` allowed to the prompt, and the files they name.
struct Stage {
    world: World,
    prompt: Prompt,
    /// The user layer without `[browser]`, where the terminal may answer.
    without_browser: String,
    with_browser: String,
}

impl Stage {
    fn new() -> Self {
        let world = World::signed_in(Options::default());
        let home = &world.home;
        home.write("home/bin/curl", "#!/bin/sh\nprintf '%s\\n' \"$@\"\n", 0o755);
        let report = "#!/bin/sh\n[ -n \"$PAYMENTS_TOKEN$API_TOKEN\" ] && echo \"reported $*\"\n";
        home.write("home/report.sh", report, 0o755);
        let with_browser = fs::read_to_string(home.path().join("home/.config/daypass/profile.toml")).unwrap();
        let without_browser = with_browser.replace(&e2e::world::browser_command(home), "");
        home.folder("home/profile.d");
        for name in ["corp.toml", "new.toml", "profile.toml", "profile.d/10-corp.toml"] {
            home.write(&format!("home/{name}"), &without_browser, 0o600);
        }
        let prompt = Prompt::open(&world.home);
        Self { world, prompt, without_browser, with_browser }
    }

    /// Signed in, and nothing has to be asked for `payments` and `api`.
    fn prepare(&mut self) {
        if self.world.status()["accounts"][0]["state"] != "signed_in" {
            self.world.sign_in();
        }
        for resource in ["payments", "api"] {
            if !self.world.rows(&["grants"]).iter().any(|grant| grant["resource"] == resource) {
                self.world.answer("today");
                let said = self.prompt.run(&format!("daypass token {resource} --wait 30s"));
                assert_eq!(said.code, "0", "{said:?}");
                self.world.answer("ignore");
            }
        }
    }

    fn change_profile(&self, text: &str) {
        let changes = || self.world.rows(&["audit"]).iter().filter(|line| line["event"] == "profile.changed").count();
        let before = changes();
        self.world.home.write_profile(text);
        e2e::until("the new profile", Duration::from_secs(10), || (changes() > before).then_some(()));
    }

    fn play(&mut self, example: &str) {
        self.prepare();
        let mut line = example.to_owned();
        let mut usual = None;
        let answers = STANDING_FOR.iter().find(|(start, name, _)| {
            example.strip_prefix(start).is_some_and(|rest| rest.split(' ').next() == Some(*name))
        });
        let asks =
            answers.is_some_and(|(.., listing)| *listing == "requests") || example.starts_with("daypass requests");
        if asks {
            // A terminal may answer where there is no browser. One of its own, which was told neither yes nor no so far.
            self.change_profile(&self.without_browser);
            let asker = Prompt::open(&self.world.home);
            usual = Some(std::mem::replace(&mut self.prompt, asker));
            let said = self.prompt.run("daypass token me --wait 0s");
            assert_eq!(said.code, "6", "{said:?}");
        }
        if let Some((start, name, listing)) = answers {
            let rows = self.world.rows(&[listing]);
            // The question of this prompt is the newest.
            let row = rows.iter().max_by_key(|row| row["expires_at"].as_str().map(str::to_owned)).unwrap();
            line = example.replacen(&format!("{start}{name}"), &format!("{start}{}", row["id"].as_str().unwrap()), 1);
        }
        if example.starts_with("daypass login") {
            self.world.daypass(&["logout", "--all"]).ok();
        }
        let said = if example.ends_with("--no-browser") {
            let world = &self.world;
            self.prompt.run_while(&line, |out| {
                let address = e2e::until("the address", LIMIT, || {
                    fs::read_to_string(out).ok().filter(|text| text.ends_with('\n') && text.starts_with("http://"))
                });
                world.visit(address.trim()).ok();
            })
        } else if example.ends_with("--follow") {
            self.prompt.interrupt(&line)
        } else {
            self.prompt.run(&line)
        };
        // 128 + SIGINT: what only Ctrl-C ends.
        let expected = if example.ends_with("--follow") { "130" } else { "0" };
        assert_eq!(said.code, expected, "{example}\n{said:?}");
        self.look_closer(example, &said);
        if let Some(usual) = usual {
            self.change_profile(&self.with_browser);
            self.prompt = usual;
        }
    }

    /// More than the code, where an example promises more.
    fn look_closer(&self, example: &str, said: &Said) {
        let world = &self.world;
        let has_token = |text: &str| world.secrets().iter().any(|secret| text.contains(secret));
        let Said { out, err, .. } = said;
        let good = if example.starts_with("curl ") {
            out.contains("Authorization: Bearer ") && has_token(out)
        } else if example.starts_with("daypass token ") {
            has_token(out)
        } else if example.starts_with("daypass run ") {
            out.starts_with("reported")
        } else if example.starts_with("daypass approve ") {
            err.contains("allowed")
        } else if example.starts_with("daypass deny ") {
            err.contains("denied")
        } else if example.starts_with("daypass requests") {
            out.contains("pending")
        } else if example.starts_with("daypass grants revoke ") {
            let left = world.rows(&["grants"]).len();
            err.contains("may no longer have") || (err.contains("every grant is revoked") && left == 0)
        } else if example.starts_with("daypass logout") {
            world.status()["accounts"][0]["state"] == "sign_in_required"
        } else if example.starts_with("daypass login") {
            world.status()["accounts"][0]["state"] == "signed_in"
        } else if let Some((_, file)) = example.split_once(" > ") {
            let file = file.split(" #").next().unwrap().trim();
            fs::metadata(world.home.path().join("home").join(file)).is_ok_and(|file| file.len() > 0)
        } else if example.ends_with("--json") {
            serde_json::from_str::<serde_json::Value>(out).is_ok()
        } else {
            true
        };
        assert!(good, "{example}\n{said:?}");
    }
}

/// Starts or stops an agent, in a home of its own: one that was started otherwise than the world's may not use its state.
fn play_agent(example: &str) {
    let home = Arc::new(Home::new());
    home.folder("home/profile.d");
    let mut prompt = Prompt::open(&home);
    let said = if example == "daypass agent stop" {
        let mut agent = Agent::start(&home, None);
        let said = prompt.run(example);
        agent.stop();
        said
    } else {
        prompt.run_while(example, |_| {
            e2e::until("the agent", LIMIT, || home.healthy().then_some(()));
            home.daypass(&["agent", "stop"]).ok();
        })
    };
    assert_eq!(said.code, "0", "{example}\n{said:?}");
    assert!(home.agent_pid().is_none(), "{example}");
}

/// Sets up and takes back, one after the other in one home, at the certified provider.
fn play_init(examples: &[&String]) {
    let home = Arc::new(Home::new());
    let provider = Provider::start(Setup::default());
    let mode = Mode { consent: "today".to_owned(), ..Mode::default() };
    mode.write(&home.log("mode.json")).unwrap();
    home.write_profile(&format!("version = 1\n{}", e2e::world::browser_command(&home)));
    let mut prompt = Prompt::open(&home);
    for example in examples {
        let issuer = provider.issuer.as_str();
        let answers: &[(&str, &str)] = match example.as_str() {
            "daypass init" => &[("number: ", "5"), ("Issuer, such as", issuer), ("client ID", "daypass")],
            "daypass init --provider okta" => &[("Okta domain", issuer), ("client ID it got", "daypass")],
            _ => &[],
        };
        let said = prompt.run_answering(&example.replace("https://login.example.com", issuer), answers);
        assert_eq!(said.code, "0", "{example}\n{said:?}");
        let good = match () {
            () if example.ends_with("--dry-run") => said.out.contains("[accounts.work]"),
            () if example.ends_with("--undo") => said.err.contains("is out of"),
            () => said.err.contains("it works"),
        };
        assert!(good, "{example}\n{said:?}");
    }
    home.daypass(&["agent", "stop"]).ok();
}

#[test]
fn every_example_of_the_help_goes_as_written() {
    let mut stage = Stage::new();
    let examples = examples(&stage.world.home);
    let (init, others): (Vec<_>, Vec<_>) = examples.iter().partition(|example| example.starts_with("daypass init"));
    play_init(&init);
    for example in others {
        if example.starts_with("daypass agent") { play_agent(example) } else { stage.play(example) }
    }
    for (start, name, _) in STANDING_FOR {
        let used = examples.iter().any(|example| example.starts_with(&format!("{start}{name}")));
        assert!(used, "no example has {start}{name} any more");
    }
    assert!(examples.len() > 45, "{}", examples.len());
}

/// The agent's page is not made from its own definition, so it is compared with its help.
#[test]
fn the_page_of_the_agent_knows_its_options() {
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
    };
    let help = Home::new().run(e2e::program("daypass-agent"), &["--help"], "", LIMIT).ok();
    let page = fs::read_to_string(e2e::repository().join("docs/man/daypass-agent.1")).unwrap();
    let page = ["\\fB", "\\fI", "\\fR"]
        .iter()
        .fold(page.replace("\\-", "-").replace("\\*(Aq", "'"), |page, font| page.replace(font, ""));
    assert_eq!(words(&help), words(&page));
    for line in help.lines().filter(|line| line.trim_start().starts_with("--")) {
        let meaning = line.trim().split("  ").last().unwrap().trim();
        assert!(page.contains(meaning), "{meaning}");
    }
}
