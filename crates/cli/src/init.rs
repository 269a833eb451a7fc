//! `daypass init`: the first hour without IT. Finds the issuer, says exactly what to register there, writes the user's
//! profile, signs in and fetches a first token.
//!
//! Invariant: whatever is needed is a flag; what is missing is asked for on a terminal and is a usage error elsewhere.
//! It may be run again and be taken back (`--undo`); nothing of the user's own profile is lost. It adds to the user's
//! layer only, so it can loosen nothing that IT has set.

mod file;
mod provider;

pub(crate) use provider::Provider;

use crate::{
    args::{Init, Login, Logout},
    connect::{Connection, Door},
    exit::{Failure, Outcome},
    output::{emit, note, say},
    sign_in, token,
};
use localapi::{AccountStatus, Code, DiscoverRequest, ExitCode, IssuerInfo, RequestInfo, TokenRequest};
use std::{
    fmt::Write as _,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

/// What looking for an issuer may take.
const DISCOVER_LIMIT: Duration = Duration::from_secs(45);
const QUICK: Duration = Duration::from_secs(10);
/// How long the agent may take to notice the new profile; it looks every two seconds.
const NOTICE_LIMIT: Duration = Duration::from_secs(12);
/// Most characters of an answer.
const ANSWER_LIMIT: u64 = 4096;

/// Sets up an account, or takes it out again.
pub(crate) fn init(arguments: &Init) -> Outcome {
    let door = Door::find()?;
    let path = door.paths().user_profile();
    let before = file::read(&path)?;
    if arguments.undo {
        return undo(arguments, &door, &path, &before);
    }
    let account = account_name(arguments, &before)?;
    refuse_taken(arguments, &account, &path, &before)?;
    let provider = which_provider(arguments)?;
    let issuer = which_issuer(arguments, provider)?;
    let provider = if arguments.provider.is_some() { provider } else { Provider::of(&issuer) };

    let mut connection = door.connect()?;
    let found: IssuerInfo =
        connection.post("/v1/discover", &DiscoverRequest { issuer: issuer.clone() }, DISCOVER_LIMIT)?;
    say(&format!("daypass: found {} ({})", found.issuer, abilities(&found)));
    note(&format!("\nRegister this at {}, once:\n\n{}\n", provider.title(), provider.registration(&found)));

    let client_id = match &arguments.client_id {
        Some(id) => id.clone(),
        None if arguments.dry_run => "CLIENT-ID".to_owned(),
        None => asked("client ID it got there", "--client-id")?,
    };
    let secret = client_secret(arguments, provider)?;
    let resource = resource_name(arguments, &account, &before);
    refuse_name("a resource", &resource)?;
    let body = block(arguments, &resource, provider, &account, &found, &client_id, secret.as_deref());
    let text = file::with_block(&before, &account, &body);
    if arguments.dry_run {
        // The block alone: other accounts may have secrets, and this goes wherever stdout goes.
        let shown = secret.as_deref().map_or(body.clone(), |secret| body.replace(secret, "…"));
        emit(&shown)?;
        say(&format!("daypass: nothing was written; without --dry-run this goes into {}", path.display()));
        return Ok(ExitCode::Ok);
    }
    if text == before {
        say(&format!("daypass: {} says all that already", path.display()));
    } else {
        let kept = file::replace(&path, &before, &text)?;
        say(&format!("daypass: wrote {}", path.display()));
        if let Some(kept) = kept {
            say(&format!("daypass: what was there is kept in {}", kept.display()));
        }
    }
    let standing = noticed(&mut connection, &account, &issuer, &client_id)?;
    if arguments.no_login {
        say(&format!("daypass: next: daypass login {account}"));
        return Ok(ExitCode::Ok);
    }
    if standing.state == "signed_in" && text == before {
        say(&format!("daypass: {account} is signed in already"));
    } else {
        sign_in::login(&Login { account: Some(account.clone()), ..Login::default() })?;
    }
    first_token(&mut connection, &resource)?;
    next_steps(&resource, &account);
    Ok(ExitCode::Ok)
}

/// Which account: as named, the one an earlier run made, or `work`.
fn account_name(arguments: &Init, before: &str) -> Result<String, Failure> {
    let name = match (&arguments.account, file::blocks(before).as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.clone(),
        (None, _) => "work".to_owned(),
    };
    refuse_name("an account", &name)?;
    Ok(name)
}

/// Refuses a name that would not be one key.
fn refuse_name(what: &str, name: &str) -> Result<(), Failure> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err(Failure::usage(format!("{name:?} is no name for {what}"))
            .hint("names have lower case letters, digits, - and _, at most 64"));
    }
    Ok(())
}

/// Refuses what is set up already, by IT or by hand.
fn refuse_taken(arguments: &Init, account: &str, path: &Path, before: &str) -> Result<(), Failure> {
    let (sources, _) = crate::profile::sources()?;
    let managed: Vec<_> = sources.into_iter().filter(|source| source.kind == profile::SourceKind::Managed).collect();
    let theirs = profile::resolve(&managed, env!("CARGO_PKG_VERSION")).rules.accounts;
    if !theirs.is_empty() && (arguments.account.is_none() || theirs.keys().any(|name| name.as_str() == account)) {
        let names: Vec<_> = theirs.keys().map(broker_name).collect();
        return Err(Failure::usage(format!("your organisation has set Daypass up already ({})", names.join(", ")))
            .hint("run: daypass login; or name an account of your own with --account"));
    }
    let own = before.lines().map(str::trim).any(|line| line == format!("[accounts.{account}]"));
    if own && !file::has_block(before, account) {
        return Err(Failure::usage(format!(
            "{} has an account {account} that daypass init did not write",
            path.display()
        ))
        .hint("sign in with: daypass login; or choose another name with --account"));
    }
    Ok(())
}

fn broker_name(name: &impl ToString) -> String {
    name.to_string()
}

fn which_provider(arguments: &Init) -> Result<Provider, Failure> {
    match (arguments.provider, &arguments.issuer) {
        (Some(provider), _) => Ok(provider),
        (None, Some(issuer)) => Ok(Provider::of(issuer)),
        (None, None) => {
            let mut text = "Where do you sign in?\n".to_owned();
            for (number, provider) in Provider::ALL.iter().enumerate() {
                let _ = writeln!(text, "  {}  {}", number + 1, provider.title());
            }
            let answer = asked(&format!("{text}number"), "--provider")?;
            let number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let chosen = number.and_then(|number| Provider::ALL.get(number)).copied();
            chosen.ok_or_else(|| Failure::usage("this is none of the numbers").hint("type 1 to 5"))
        }
    }
}

fn which_issuer(arguments: &Init, provider: Provider) -> Result<String, Failure> {
    let answer = match (&arguments.issuer, provider.question()) {
        (Some(issuer), _) => issuer.clone(),
        (None, Some(question)) => asked(question, "ISSUER")?,
        (None, None) => String::new(),
    };
    provider.issuer(&answer).map_err(|why| Failure::usage(format!("{answer:?} names no issuer")).hint(why))
}

fn client_secret(arguments: &Init, provider: Provider) -> Result<Option<String>, Failure> {
    if let Some(path) = &arguments.client_secret_file {
        let read = if path.as_os_str() == "-" {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map(|_| line)
        } else {
            std::fs::read_to_string(path)
        };
        let secret = read.map_err(|error| {
            Failure::usage(format!("the client secret cannot be read from {}: {error}", path.display()))
        })?;
        return Ok(Some(secret.trim().to_owned()));
    }
    if !provider.wants_secret() || arguments.dry_run {
        return Ok(None);
    }
    let title = provider.title();
    hidden(&format!("client secret ({title} wants one from programs on a desktop; it is not confidential)")).map(Some)
}

/// What the resource is called: as named, else after what it gives; never as one that stands there already.
fn resource_name(arguments: &Init, account: &str, before: &str) -> String {
    let usual = if arguments.audience.is_some() { "api" } else { "me" };
    let rest = file::without_block(before, account);
    let taken = rest.lines().any(|line| line.trim_start().starts_with(&format!("[resources.{usual}]")));
    match &arguments.resource {
        Some(name) => name.clone(),
        None if taken => format!("{account}-{usual}"),
        None => usual.to_owned(),
    }
}

/// What the block says.
fn block(
    arguments: &Init,
    resource: &str,
    provider: Provider,
    account: &str,
    found: &IssuerInfo,
    client_id: &str,
    secret: Option<&str>,
) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let list = |texts: &[&str]| texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "# Written by `daypass init` for {}. Another run writes this block anew, `daypass init --undo` takes it out.\n\
         # Resources for your services go below it.\n\
         [accounts.{account}]\nissuer = {}\nclient_id = {}\n",
        provider.title(),
        quoted(&found.issuer),
        quoted(client_id),
    );
    if let Some(secret) = secret {
        let _ = writeln!(text, "client_secret = {}", quoted(secret));
    }
    let own: Vec<_> = arguments.redirect_uris.iter().map(String::as_str).collect();
    let _ = writeln!(text, "redirect_uri = [{}]", list(if own.is_empty() { provider.redirect_uris() } else { &own }));
    let listed: Vec<_> = found.scopes.iter().map(String::as_str).collect();
    let _ = writeln!(
        text,
        "scopes = [{}]",
        list(if listed.is_empty() { &["openid", "profile", "email"] } else { &listed })
    );
    text.push_str(&provider.account_keys(arguments.offline.as_deref()));
    match &arguments.audience {
        None => {
            let _ = write!(
                text,
                "\n[resources.{resource}]             # who you are, as an ID token\n\
                 account = \"{account}\"\ntoken = \"id\"\n"
            );
        }
        Some(audience) => {
            let request = match provider {
                Provider::Entra | Provider::Okta | Provider::Google | Provider::Keycloak => "scope",
                Provider::Generic => "resource",
            };
            let scopes: Vec<_> = arguments.scopes.iter().map(String::as_str).collect();
            let _ = write!(
                text,
                "\n[resources.{resource}]\naccount = \"{account}\"\ntoken = \"access\"\naudience = {}\nrequest = \"{request}\"\nscopes = [{}]\n",
                quoted(audience),
                list(&scopes),
            );
        }
    }
    text
}

fn abilities(issuer: &IssuerInfo) -> String {
    let mut words = vec![if issuer.offline_access {
        "stays signed in with offline_access"
    } else {
        "does not list offline_access"
    }];
    words.push(if issuer.device { "sign-in with a code: yes" } else { "sign-in with a code: no" });
    words.push(if issuer.revocation { "is told of a sign-out" } else { "cannot be told of a sign-out" });
    words.join("; ")
}

/// Waits until the agent goes by the new profile.
fn noticed(
    connection: &mut Connection,
    account: &str,
    issuer: &str,
    client_id: &str,
) -> Result<AccountStatus, Failure> {
    let until = Instant::now() + NOTICE_LIMIT;
    loop {
        let accounts: Vec<AccountStatus> = connection.get("/v1/accounts", QUICK)?;
        let fits =
            |known: &AccountStatus| known.name == account && known.issuer == issuer && known.client_id == client_id;
        if let Some(found) = accounts.into_iter().find(fits) {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(Failure::new(ExitCode::Profile, format!("the agent does not count the account {account}"))
                .hint("see: daypass status; daypass profile show --origin"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Asks for a token. Where a browser can ask the person, it is waited for; where only this terminal can, the question is
/// left open and the two commands that go on are said.
fn first_token(connection: &mut Connection, resource: &str) -> Result<(), Failure> {
    let wait = if has_browser()? { 120 } else { 0 };
    if wait > 0 {
        say("daypass: asking for a first token; your browser asks whether this terminal may have it…");
    }
    let request = TokenRequest { resource: resource.to_owned(), wait: Some(wait), ..TokenRequest::default() };
    let answer = match token::ask(connection, &request) {
        Err(failure) if failure.code == Some(Code::ConsentRequired) && wait == 0 => {
            let open: Vec<RequestInfo> = connection.get("/v1/requests", QUICK)?;
            let ours = open.iter().find(|question| question.state == "pending" && question.resource == resource);
            let id = ours.map_or("ID", |question| question.id.as_str());
            say("daypass: this terminal has asked for a first token; there is no browser here, so say yes yourself:");
            note(&format!("\n  daypass approve {id} --for today\n  daypass token {resource}\n"));
            return Ok(());
        }
        answer => answer?,
    };
    say(&format!("daypass: it works: a token for {resource}, valid for {}", crate::time::span(answer.expires_in)));
    Ok(())
}

/// Whether a page can be opened for the person who sits here.
fn has_browser() -> Result<bool, Failure> {
    let (sources, _) = crate::profile::sources()?;
    let configured = profile::resolve(&sources, env!("CARGO_PKG_VERSION")).rules.browser_command.is_some();
    let display =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|set| !set.is_empty()));
    Ok(configured || (display && !sign_in::remote()))
}

fn next_steps(resource: &str, account: &str) {
    note(&format!(
        "\nFrom here:\n\
         \x20 daypass token {resource}             prints a token\n\
         \x20 daypass run {resource} -- COMMAND    gives it to one command\n\
         \x20 daypass status                 what is signed in, and until when\n\
         \x20 daypass init --undo --account {account}   takes all of this back\n"
    ));
}

/// Signs out and takes the block out.
fn undo(arguments: &Init, door: &Door, path: &Path, before: &str) -> Outcome {
    let blocks = file::blocks(before);
    let account = match (&arguments.account, blocks.as_slice()) {
        (Some(name), _) if blocks.contains(name) => name.clone(),
        (None, [only]) => only.clone(),
        (None, [_, ..]) => {
            return Err(Failure::usage("daypass init set up more than one account")
                .hint(format!("name one of {} with --account", blocks.join(", "))));
        }
        _ => {
            say(&format!("daypass: {} has nothing that daypass init wrote", path.display()));
            return Ok(ExitCode::Ok);
        }
    };
    // First the sign-in, while its account is still known; what the provider says does not keep the rest from being undone.
    if door.knock()?.is_some() {
        let logout = Logout { account: Some(account.clone()), all: false };
        if let Err(failure) = sign_in::logout(&logout) {
            failure.report();
        }
    }
    let kept = file::replace(path, before, &file::without_block(before, &account))?;
    say(&format!("daypass: {account} is out of {}", path.display()));
    if let Some(kept) = kept {
        say(&format!("daypass: the file as it was is kept in {}", kept.display()));
    }
    say("daypass: the client at the provider stays; delete it there if you do not want it");
    Ok(ExitCode::Ok)
}

/// One line, asked for on the terminal, wherever stdout and stderr go.
fn asked(question: &str, flag: &str) -> Result<String, Failure> {
    let screen = std::fs::OpenOptions::new().write(true).open("/dev/tty").ok();
    let asked = screen.filter(|_| io::stdin().is_terminal()).and_then(|mut screen| write!(screen, "{question}: ").ok());
    if asked.is_none() {
        let what = question.lines().next_back().unwrap_or(question);
        return Err(Failure::usage(format!("{what}: nobody can be asked here")).hint(format!("give {flag}")));
    }
    let mut line = String::new();
    io::Read::take(io::stdin().lock(), ANSWER_LIMIT)
        .read_line(&mut line)
        .map_err(|error| Failure::usage(format!("the answer cannot be read: {error}")))?;
    match line.trim() {
        "" => Err(Failure::usage("no answer").hint(format!("run it again, or give {flag}"))),
        answer => Ok(answer.to_owned()),
    }
}

/// The same without showing what is typed.
fn hidden(question: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = io::stdin();
    let cannot = || Failure::usage("what is typed cannot be hidden here").hint("give --client-secret-file");
    let shown = tcgetattr(&stdin).map_err(|_| cannot())?;
    let mut quiet = shown.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet).map_err(|_| cannot())?;
    let answer = asked(question, "--client-secret-file");
    let _ = tcsetattr(&stdin, OptionalActions::Now, &shown);
    let _ = io::stderr().write_all(b"\n");
    answer
}
