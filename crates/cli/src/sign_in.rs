//! `daypass login` and `daypass logout`.
//!
//! Invariant: a sign-in begun here does not outlive this process: an interrupt cancels it at the agent, and one that is
//! no longer asked about is given up by the agent itself. The browser is opened by the agent, never from here.

use crate::{
    args::{Login, Logout},
    connect::{Connection, Door, encode, segment},
    device,
    exit::{Failure, Outcome},
    output::{clean, emit_whole, say},
};
use localapi::{AccountStatus, ExitCode, SignInRequest, SignInState, SignedOut};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What a listing may take.
const QUICK: Duration = Duration::from_secs(10);
/// What beginning a sign-in may take: discovery at the issuer, a listener, a browser.
const BEGIN_LIMIT: Duration = Duration::from_mins(1);
/// Seconds one look at a sign-in lasts.
const LOOK_SECONDS: u64 = 25;
/// What a sign-out may take; the agent gives revocation ten seconds.
const END_LIMIT: Duration = Duration::from_secs(30);
/// What cancelling may take.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

/// The sign-in that is under way, if one is.
pub(crate) type UnderWay = Arc<Mutex<Option<String>>>;

/// Signs in, to one account or to all that need it.
pub(crate) fn login(arguments: &Login) -> Outcome {
    let request = SignInRequest {
        open_browser: !arguments.no_browser,
        device: arguments.device.then_some(true),
        remote: remote(),
        other_account: arguments.other_account,
        claims: arguments.step_up.claims()?,
        acr_values: arguments.step_up.acr_values.clone(),
        max_age: arguments.step_up.max_age,
    };
    let door = Door::find()?;
    let mut connection = door.connect()?;
    let accounts: Vec<AccountStatus> = connection.get("/v1/accounts", QUICK)?;
    if accounts.is_empty() {
        return Err(no_account(&door));
    }
    let wanted: Vec<(&str, &str)> = match &arguments.account {
        Some(name) => {
            let issuer = accounts.iter().find(|account| account.name == *name).map_or("", |account| &account.issuer);
            vec![(name.as_str(), issuer)]
        }
        None => accounts
            .iter()
            .filter(|account| needs_sign_in(account))
            .map(|account| (account.name.as_str(), account.issuer.as_str()))
            .collect(),
    };
    if wanted.is_empty() {
        say("daypass: every account is signed in");
        return Ok(ExitCode::Ok);
    }
    let under_way = cancel_on_signals(door)?;
    let mut outcome = Ok(ExitCode::Ok);
    for (name, issuer) in wanted {
        if let Err(failure) = sign_in(&mut connection, name, issuer, &request, &under_way) {
            // One that fails does not keep the others from being signed in; the first decides the exit code.
            match &outcome {
                Ok(_) => outcome = Err(failure),
                Err(_) => drop(failure.report()),
            }
        }
    }
    outcome
}

/// Whether the person is on another machine than this one: a remote shell without a display of its own.
pub(crate) fn remote() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    (set("SSH_CONNECTION") || set("SSH_TTY")) && !set("DISPLAY") && !set("WAYLAND_DISPLAY")
}

/// Whether nobody is signed in to this account.
pub(crate) fn needs_sign_in(account: &AccountStatus) -> bool {
    matches!(account.state.as_str(), "sign_in_required" | "keychain_unavailable")
        || (account.state == "signing_in" && account.subject.is_none())
}

/// No account is configured.
pub(crate) fn no_account(door: &Door) -> Failure {
    let place = door.paths().user_profile();
    Failure::new(ExitCode::Profile, "no account is configured").hint(format!(
        "run: daypass init; or write one into {} (see: daypass profile explain accounts)",
        place.display()
    ))
}

/// Signs in to one account as `request` says, and says how it goes. `issuer` is shown only; `under_way` is what
/// [`cancel_on_signals`] gave.
pub(crate) fn sign_in(
    connection: &mut Connection,
    name: &str,
    issuer: &str,
    request: &SignInRequest,
    under_way: &UnderWay,
) -> Result<(), Failure> {
    let place = if issuer.is_empty() { name.to_owned() } else { format!("{name} ({issuer})") };
    let path = format!("/v1/accounts/{}/sign-in", segment(name)?);
    let begun: SignInState = connection.post(&path, request, BEGIN_LIMIT)?;
    note_under_way(under_way, Some(begun.id.clone()));
    let state = follow(connection, begun, &place);
    note_under_way(under_way, None);
    let state = state?;
    state.notices.iter().for_each(|notice| say(&format!("notice: {notice}")));
    match (state.state.as_str(), state.error) {
        ("signed_in", _) => {
            say(&format!(
                "daypass: signed in to {name}{}",
                whom(state.display_name.as_deref(), state.subject.as_deref())
            ));
            Ok(())
        }
        (_, Some(error)) => Err(error.into()),
        (_, None) => Err(Failure::new(ExitCode::SignInRequired, format!("the sign-in to {name} did not happen"))
            .hint(format!("run: daypass login {name}"))),
    }
}

/// Tells where to go, and waits for the end.
fn follow(connection: &mut Connection, mut state: SignInState, place: &str) -> Result<SignInState, Failure> {
    let mut redirect = state.redirect_uri.take();
    if let Some(device) = state.device.as_ref().filter(|_| state.state == "pending") {
        device::show(device, place, state.expires_in)?;
        redirect = None;
    } else if state.browser_opened {
        say(&format!("daypass: opening your browser to sign in to {place}…"));
    } else if state.state == "pending" {
        let address = state.address.as_deref().unwrap_or_default();
        if !is_local_address(address) {
            return Err(Failure::new(ExitCode::Internal, "the agent gave no address to sign in at"));
        }
        say(&format!("daypass: open this address in a browser on this machine to sign in to {place}:"));
        emit_whole(&format!("{address}\n"))?;
    }
    let path = format!("/v1/sign-ins/{}?wait={LOOK_SECONDS}", segment(&state.id)?);
    while state.state == "pending" {
        state = connection.get(&path, Duration::from_secs(LOOK_SECONDS) + QUICK)?;
        // A provider that does not know this address shows an error of its own and never sends the browser back.
        if state.state == "pending"
            && std::io::stderr().is_terminal()
            && let Some(address) = redirect.take()
        {
            say(&format!(
                "daypass: still waiting for the browser; if the provider shows an error, register {address} there \
                 (Ctrl-C gives up)"
            ));
        }
    }
    Ok(state)
}

/// Whether `address` is what the agent gives out: plain http on the loopback, and nothing a terminal could be steered with.
pub(crate) fn is_local_address(address: &str) -> bool {
    ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"].iter().any(|start| address.starts_with(start))
        && address.bytes().all(|byte| byte.is_ascii_graphic())
}

fn whom(display_name: Option<&str>, subject: Option<&str>) -> String {
    match (display_name, subject) {
        (Some(name), Some(subject)) if name != subject => format!(" as {name} ({subject})"),
        (Some(name), _) | (None, Some(name)) => format!(" as {name}"),
        (None, None) => String::new(),
    }
}

fn note_under_way(under_way: &UnderWay, id: Option<String>) {
    *under_way.lock().unwrap_or_else(PoisonError::into_inner) = id;
}

/// From now on an interrupt, a termination or a hang-up cancels the sign-in under way, and then does what it always does.
pub(crate) fn cancel_on_signals(door: Door) -> Result<UnderWay, Failure> {
    let under_way = UnderWay::default();
    let watched = Arc::clone(&under_way);
    let deaf = |error: std::io::Error| Failure::new(ExitCode::Internal, format!("signals cannot be watched: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(deaf)?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let id = watched.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(id) = id {
                let path = format!("/v1/sign-ins/{}", encode(&id));
                let cancelled = door.running().and_then(|mut agent| agent.delete::<()>(&path, CANCEL_LIMIT));
                say(match cancelled {
                    Ok(()) => "daypass: sign-in cancelled",
                    Err(_) => "daypass: sign-in left; the agent gives it up within a minute",
                });
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    Ok(under_way)
}

/// Signs out of one account or all.
pub(crate) fn logout(arguments: &Logout) -> Outcome {
    let door = Door::find()?;
    let mut connection = door.connect()?;
    let names = if let Some(name) = &arguments.account {
        vec![name.clone()]
    } else {
        let accounts: Vec<AccountStatus> = connection.get("/v1/accounts", QUICK)?;
        accounts.into_iter().map(|account| account.name).collect()
    };
    if names.is_empty() {
        return Err(no_account(&door));
    }
    if names.len() > 1 && !arguments.all {
        return Err(Failure::usage("there is more than one account")
            .hint(format!("name one of {}, or use --all", names.join(", "))));
    }
    let mut outcome = Ok(ExitCode::Ok);
    for name in names {
        let path = format!("/v1/accounts/{}/sign-in", segment(&name)?);
        let ended = connection.delete::<SignedOut>(&path, END_LIMIT).and_then(|ended| signed_out(&ended));
        match (ended, &outcome) {
            (Ok(text), _) => say(&text),
            (Err(failure), Ok(_)) => outcome = Err(failure),
            (Err(failure), Err(_)) => drop(failure.report()),
        }
    }
    outcome
}

fn signed_out(ended: &SignedOut) -> Result<String, Failure> {
    let account = clean(&ended.account);
    match ended.revocation.as_str() {
        "done" => Ok(format!("daypass: signed out of {account}")),
        "nothing" => Ok(format!("daypass: nobody was signed in to {account}")),
        "unsupported" => Ok(format!("daypass: signed out of {account} here; the provider offers no way to be told")),
        _ => {
            let failure =
                Failure::new(ExitCode::Issuer, format!("{account}: signed out here, the provider was not told"))
                    .hint("end the sign-in in the account settings of your provider if that matters");
            Err(match &ended.detail {
                Some(detail) => failure.detail(format!("detail: {detail}")),
                None => failure,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_addresses_are_shown() {
        assert!(is_local_address("http://127.0.0.1:6174/start/abc"));
        assert!(is_local_address("http://[::1]:6174/start/abc"));
        for address in
            ["", "https://login.example.com/", "http://127.0.0.1:1/\x1b[2J", "http://127.0.0.1.evil.example/"]
        {
            assert!(!is_local_address(address), "{address:?}");
        }
    }

    #[test]
    fn who_is_signed_in_is_said_once() {
        assert_eq!(whom(Some("Alice"), Some("248289")), " as Alice (248289)");
        assert_eq!(whom(Some("alice"), Some("alice")), " as alice");
        assert_eq!(whom(None, Some("248289")), " as 248289");
        assert_eq!(whom(None, None), "");
    }

    #[test]
    fn a_sign_out_says_what_the_provider_knows() {
        let ended = |revocation: &str| {
            signed_out(&SignedOut { account: "corp".into(), revocation: revocation.into(), detail: None })
        };
        assert_eq!(ended("done").unwrap(), "daypass: signed out of corp");
        assert!(ended("unsupported").unwrap().contains("no way to be told"));
        assert_eq!(ended("nothing").unwrap(), "daypass: nobody was signed in to corp");
        let failure = ended("failed").unwrap_err();
        assert_eq!(failure.status, 7);
        assert!(failure.render().contains("signed out here, the provider was not told"));
    }
}
