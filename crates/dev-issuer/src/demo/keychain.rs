//! A real keychain service of the demo's own: a private message bus and a gnome-keyring that lives in the throw-away home.
//!
//! Invariant: the bus starts nothing by itself, so whatever is on it was started here and ends with the demo.

use crate::{
    Failure,
    home::{Home, find_program},
    tidy::{Id, Tidy},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Time the service has to come up.
const PATIENCE: Duration = Duration::from_secs(8);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The programs it takes.
struct Programs {
    bus: PathBuf,
    keyring: PathBuf,
    send: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, String> {
        let find = |name: &str| find_program(name).ok_or_else(|| format!("{name} is not installed"));
        Ok(Self { bus: find("dbus-daemon")?, keyring: find("gnome-keyring-daemon")?, send: find("dbus-send")? })
    }
}

/// Starts the service, or says why there is none; then nothing of it is left running.
pub(crate) fn start(tidy: &Tidy, home: &Home) -> Result<(), String> {
    let programs = Programs::find()?;
    let mut started = Vec::new();
    let outcome = bring_up(tidy, home, &programs, &mut started);
    if outcome.is_err() {
        for id in started.into_iter().rev() {
            tidy.stop(id).map_err(|failure| failure.to_string())?;
        }
    }
    outcome.map_err(|failure| failure.to_string())
}

fn bring_up(tidy: &Tidy, home: &Home, programs: &Programs, started: &mut Vec<Id>) -> Result<(), Failure> {
    home.write("bus.conf", bus_configuration(home).as_bytes())?;
    let log = home.scratch().join("keychain.log");
    let mut bus = home.command(&programs.bus);
    bus.args(["--nofork", "--nopidfile", "--config-file=bus.conf"]);
    let bus = tidy.start_logged("dbus-daemon", &bus, None, &log)?.id;
    started.push(bus);
    wait("the private message bus does not come up", || Ok(home.bus().exists() || tidy.ended(bus)?.is_some()))?;
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(Failure::during("the system gives no randomness"))?;
    let password = URL_SAFE_NO_PAD.encode(random);
    let mut keyring = home.command(&programs.keyring);
    keyring.args(["--foreground", "--unlock", "--components=secrets"]);
    let keyring = tidy.start_logged("gnome-keyring-daemon", &keyring, Some(password.as_bytes()), &log)?.id;
    started.push(keyring);
    wait("gnome-keyring does not come up", || {
        if tidy.ended(keyring)?.is_some() {
            return Err(Failure::new("gnome-keyring does not stay up"));
        }
        let mut question = home.command(&programs.send);
        question.args([
            "--session",
            "--print-reply",
            "--reply-timeout=2000",
            "--dest=org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.NameHasOwner",
            "string:org.freedesktop.secrets",
        ]);
        Ok(tidy.run("dbus-send", &question, None, PATIENCE)?.stdout.contains("boolean true"))
    })
}

fn wait(what: &str, mut there: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !there()? {
        if Instant::now() >= deadline {
            return Err(Failure::new(what));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn bus_configuration(home: &Home) -> String {
    format!(
        "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>\n",
        home.bus().display()
    )
}
