//! The play itself: each step one line, ✓ or a reason.

use crate::{
    Failure,
    asker::{self, Answer},
    driver,
    home::Home,
    keychain,
    tidy::{Output, Running, Tidy},
    verify::{self, Claim, Jwt},
};
use dev_issuer::{Config, DevIssuer, wire};
use localapi::{AuditLine, GrantInfo, RequestInfo, Status, TokenAnswer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use url::Url;

/// Audience of the resource asked for.
const AUDIENCE: &str = "http://localhost:8080";
/// Time the agent has to come up.
const AGENT_PATIENCE: Duration = Duration::from_secs(20);
/// Time a command has that waits for nobody.
const QUICK: Duration = Duration::from_secs(15);
/// Time for a sign-in, with a person and without.
const SIGN_IN_PATIENCE: [Duration; 2] = [Duration::from_mins(4), Duration::from_secs(45)];
/// Seconds the asking program waits for an answer, with a person and without.
const WAIT: [u32; 2] = [120, 60];

/// One line of the play.
fn line(mark: char, what: &str, text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{mark} {what:<10} {text}").and_then(|()| out.flush()).map_err(Failure::during("nobody reads this"))
}

fn done(what: &str, text: &str) -> Result<(), Failure> {
    line('✓', what, text)
}

/// Plays the whole trip; what it starts is registered with `tidy`.
pub(crate) fn play(tidy: &Tidy, headless: bool) -> Result<(), Failure> {
    let programs = Programs::find()?;
    let home = Home::make(tidy)?;
    writeln!(io::stdout(), "Daypass, tried out in a throw-away home. Nothing of yours is touched.\n")
        .map_err(Failure::during("nobody reads this"))?;
    let provider =
        DevIssuer::start(Config::default()).map_err(Failure::during("the embedded provider does not start"))?;
    done("provider", &format!("{} (embedded; any name signs in)", provider.issuer()))?;
    match keychain::start(tidy, &home) {
        Ok(()) => done("keychain", "a gnome-keyring of the demo's own")?,
        Err(why) => line('·', "keychain", &format!("no keychain service here: tokens stay in memory ({why})"))?,
    }
    let own_browser = if headless { None } else { driver::own_browser(&programs.demo) };
    let person = usize::from(own_browser.is_none());
    if own_browser.is_some() {
        line('·', "browser", "yours opens twice: sign in with any name and password, then allow the program")?;
    } else if headless {
        line('·', "browser", "not yours, as you wished: the demo answers for you")?;
    } else {
        line('·', "browser", "no display here: the demo answers for you")?;
    }
    let browser = own_browser.unwrap_or_else(|| vec![programs.demo.clone(), "drive-browser".to_owned()]);
    home.write_profile(provider.issuer(), &browser)?;
    let stage = Stage { tidy, home: &home, programs: &programs };

    let address = stage.start_agent()?;
    done("agent", &format!("{address} (real, alone in that home)"))?;
    stage.must("daypass login", &["login", "demo"], SIGN_IN_PATIENCE[person])?;
    let status = stage.status()?;
    let account = status.accounts.iter().find(|account| account.name == "demo" && account.state == "signed_in");
    let account = account.ok_or_else(|| Failure::new("the sign-in went well, but nobody is signed in"))?;
    let who = account.subject.as_deref().unwrap_or("somebody");
    let place =
        if account.durable { "the refresh token is in the keychain" } else { "the refresh token is in memory only" };
    done("sign-in", &format!("{who} at {}; {place}", account.issuer))?;

    let token = stage.ask(WAIT[person])?;
    let jwt = Jwt::parse(token.access_token.expose_secret()).ok_or_else(|| Failure::new("the token is no JWT"))?;
    done("token", &format!("{}", short(&jwt.header)))?;
    line(' ', "", &format!("{}", short(&jwt.claims)))?;
    let jwks = fetch_jwks(&address)?;
    let claim = Claim { token: token.access_token.expose_secret(), jwks: &jwks, issuer: &address, audience: AUDIENCE };
    let verifier = verify::verify(tidy, &claim, &home.scratch())?;
    done("verified", &format!("by {}", verifier.words()))?;
    let status = stage.status()?;
    let state =
        format!("agent {}, keychain {}, profile {}", status.agent.version, status.keychain.state, status.profile.state);
    done("status", &state)?;
    done("audit", &stage.audit_line()?)
}

/// Said when everything is gone again.
pub(crate) fn farewell() -> Result<(), Failure> {
    done("gone", "every process ended, the throw-away home removed")?;
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_path_buf)).unwrap_or_default();
    let here = std::env::current_dir().ok();
    let near = here.and_then(|here| own.strip_prefix(here).map(|rest| Path::new(".").join(rest)).ok());
    let daypass = near.unwrap_or(own).join("daypass");
    // A package of the demo does not bring the provider as a program of its own.
    let provider = Some(daypass.with_file_name("daypass-dev-issuer")).filter(|file| file.is_file());
    let provider = provider.map(|file| file.display().to_string());
    let text = next_steps(&daypass.display().to_string(), provider.as_deref());
    write!(io::stdout(), "{text}").map_err(Failure::during("nobody reads this"))
}

/// What was shown, and the commands to do it again: with a provider that stays, or with the person's own.
fn next_steps(daypass: &str, provider: Option<&str>) -> String {
    let Some(provider) = provider else {
        return format!(
            "\nShown: sign-in, a question and its answer, a token that others verify, status, audit. Again, with a \
             provider of your own:\n  {daypass} init   # says what to register there, writes a profile, signs in\n\n\
             What else there is: {daypass} --help\n"
        );
    };
    let profile = "\"${XDG_CONFIG_HOME:-$HOME/.config}/daypass/profile.toml\"";
    let steps = [
        ("a provider where any name signs in, until you stop it", format!("{provider} --imitate keycloak &")),
        ("a folder for your profile", "mkdir -p \"${XDG_CONFIG_HOME:-$HOME/.config}/daypass\"".to_owned()),
        (
            "a profile for it, unless you have one",
            format!("test -e {profile} || {provider} --imitate keycloak --print-profile > {profile}"),
        ),
        ("sign-in", format!("{daypass} login keycloak")),
        ("status", format!("{daypass} status")),
        ("a token; your answer is asked for", format!("{daypass} token payments")),
        ("who may have what", format!("{daypass} grants")),
        ("what was issued", format!("{daypass} audit")),
        ("sign-out", format!("{daypass} logout keycloak")),
        ("the end", format!("{daypass} agent stop")),
    ];
    let lines: Vec<String> = steps.iter().map(|(what, command)| format!("  {command}   # {what}")).collect();
    format!(
        "\nShown: sign-in, a question and its answer, a token that others verify, status, audit. Again, at your own \
         pace:\n{}\n\nWhat else there is: {daypass} --help; every check, end to end: make test\n",
        lines.join("\n")
    )
}

/// The programs of the play, which lie side by side.
struct Programs {
    demo: String,
    agent: PathBuf,
    daypass: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, Failure> {
        let demo = std::env::current_exe().map_err(Failure::during("this program cannot be found"))?;
        let beside = |name: &str| {
            let path = demo.with_file_name(name);
            let missing = || {
                Failure::new(format!("{name} is not beside daypass-demo"))
                    .hint("cargo build -p daypass-agent -p daypass-cli -p daypass-dev-issuer")
            };
            if path.is_file() { Ok(path) } else { Err(missing()) }
        };
        let (agent, daypass) = (beside("daypass-agent")?, beside("daypass")?);
        let demo = demo.to_str().ok_or_else(|| Failure::new("the path of this program is not UTF-8"))?.to_owned();
        Ok(Self { demo, agent, daypass })
    }
}

/// What the steps share.
struct Stage<'a> {
    tidy: &'a Tidy,
    home: &'a Home,
    programs: &'a Programs,
}

impl Stage<'_> {
    /// Starts the agent and waits for its address.
    fn start_agent(&self) -> Result<String, Failure> {
        let command = self.home.command(&self.programs.agent);
        let agent = self.tidy.start_logged("daypass-agent", &command, None, &self.home.agent_log())?;
        let deadline = Instant::now() + AGENT_PATIENCE;
        loop {
            let address = std::fs::read_to_string(self.home.address_file()).unwrap_or_default();
            if !address.trim().is_empty() {
                return Ok(address.trim().to_owned());
            }
            if let Some(status) = self.tidy.ended(agent.id)? {
                return Err(self.with_log(format!("the agent does not stay up ({status})")));
            }
            if Instant::now() >= deadline {
                return Err(self.with_log("the agent does not come up".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// A failure with the last lines the agent wrote.
    fn with_log(&self, what: String) -> Failure {
        let log = std::fs::read_to_string(self.home.agent_log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        if last.is_empty() {
            Failure::new(what)
        } else {
            Failure::new(format!("{what}; it says:\n    {}", last.join("\n    ")))
        }
    }

    fn daypass(&self, arguments: &[&str], patience: Duration) -> Result<Output, Failure> {
        let mut command = self.home.command(&self.programs.daypass);
        command.args(arguments);
        self.tidy.run("daypass", &command, None, patience)
    }

    /// Runs `daypass`; anything but success is a failure in its own words.
    fn must(&self, what: &str, arguments: &[&str], patience: Duration) -> Result<String, Failure> {
        let output = self.daypass(arguments, patience)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(self.with_log(format!("{what} fails ({}): {}", output.status, output.stderr.trim())))
    }

    fn listing<T: DeserializeOwned>(&self, what: &str) -> Result<T, Failure> {
        let text = self.must(&format!("daypass {what}"), &[what, "--json"], QUICK)?;
        serde_json::from_str(&text).map_err(Failure::during(&format!("daypass {what} cannot be understood")))
    }

    fn status(&self) -> Result<Status, Failure> {
        self.listing("status")
    }

    /// Lets an unknown program ask, shows the question and its answer.
    fn ask(&self, wait: u32) -> Result<TokenAnswer, Failure> {
        let program = self.home.unknown_program("payments-cli")?;
        let mut command = self.home.command(&program);
        command.arg("ask-token").arg(self.home.socket()).args(["--wait", &wait.to_string()]);
        let running = self.tidy.start("payments-cli", &command, None).map_err(|failure| {
            failure.hint("if the folder for temporary files may not run programs, set TMPDIR to one that may")
        })?;
        line('·', "asks", "payments-cli, a program never seen before, wants a token for \"local\"")?;
        let question = self.question(&running)?;
        if let Some(question) = &question {
            let text = format!(
                "{} asks for {} [{}]; answer awaited",
                last_part(&question.program),
                question.resource,
                question.scope
            );
            line('·', "question", &text)?;
        }
        let output = self.tidy.finish(running, Duration::from_secs(u64::from(wait) + 15))?;
        let token = match asker::read(output.stdout.trim()) {
            Some(Answer::Token(token)) => *token,
            Some(Answer::Refused(refusal)) => {
                let what = format!("no token: {} ({})", refusal.error_description, refusal.code.as_str());
                let failure = self.with_log(what);
                return Err(match refusal.hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                });
            }
            None => return Err(self.with_log(format!("the program got no answer: {}", output.stderr.trim()))),
        };
        let grants: Vec<GrantInfo> = self.listing("grants")?;
        let granted = grants.iter().find(|grant| grant.resource == asker::RESOURCE);
        let answer = granted.map_or_else(
            || "allowed once".to_owned(),
            |grant| match &grant.until {
                Some(until) => format!("allowed: {}, until {until}", grant.choice),
                None => format!("allowed: {}", grant.choice),
            },
        );
        done("answer", &answer)?;
        Ok(token)
    }

    /// The open question of the program that runs; `None` when it got its answer before we looked.
    fn question(&self, running: &Running) -> Result<Option<RequestInfo>, Failure> {
        while self.tidy.ended(running.id)?.is_none() {
            let requests: Vec<RequestInfo> = self.listing("requests")?;
            if let Some(request) = requests.into_iter().find(|request| request.resource == asker::RESOURCE) {
                return Ok(Some(request));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(None)
    }

    /// The line of the audit log that tells of the token.
    fn audit_line(&self) -> Result<String, Failure> {
        let text = self.must("daypass audit", &["audit", "--json"], QUICK)?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<AuditLine>(line).ok());
        let tells = |line: &AuditLine| {
            line.resource.as_deref() == Some(asker::RESOURCE) && line.code == "ok" && line.event.starts_with("token")
        };
        let line = lines.rev().find(tells).ok_or_else(|| Failure::new("the audit log does not tell of the token"))?;
        let program = line.program.as_deref().map(last_part).unwrap_or_default();
        let via = line.via.as_deref().unwrap_or("-");
        Ok(format!("#{} {} {} to {program} via {via}, hash {:.12}…", line.seq, line.time, line.event, line.hash))
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn fetch_jwks(address: &str) -> Result<Value, Failure> {
    let what = "the agent's public keys cannot be had";
    let url = Url::parse(&format!("{address}/.well-known/jwks.json")).map_err(Failure::during(what))?;
    let answer =
        wire::exchange("GET", &url, &[("accept", "application/json")], None, QUICK).map_err(Failure::during(what))?;
    if answer.status != 200 {
        return Err(Failure::new(format!("{what}: status {}", answer.status)));
    }
    serde_json::from_slice(&answer.body).map_err(Failure::during(what))
}

/// The object with its long texts cut.
fn short(value: &Value) -> Value {
    const LENGTH: usize = 32;
    match value {
        Value::String(text) if text.chars().count() > LENGTH => {
            Value::String(text.chars().take(LENGTH - 1).chain(std::iter::once('…')).collect())
        }
        Value::Array(all) => all.iter().map(short).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), short(value))).collect(),
        other => other.clone(),
    }
}
