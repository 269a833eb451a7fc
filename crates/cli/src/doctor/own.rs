//! What this command finds out by itself: the socket, the port, and the profile's files.

use super::{More as _, State, check};
use crate::{profile, start};
use ::profile::{Effective, Severity};
use localapi::DoctorCheck;
use platform::{managed::SYSTEM_DIR, paths::Paths};
use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

/// How long the agent has to answer on its port.
const PORT_LIMIT: Duration = Duration::from_secs(1);

/// The socket of an agent that answers; whose it is has been checked by whoever connected.
pub(super) fn socket(paths: &Paths) -> DoctorCheck {
    let socket = paths.socket();
    let mode = std::fs::symlink_metadata(&socket).map_or(0o600, |facts| facts.permissions().mode() & 0o777);
    if mode == 0o600 {
        return check("socket", State::Ok, format!("{}, for you alone", socket.display()));
    }
    check("socket", State::Warning, format!("{} has mode {mode:04o}, not 0600", socket.display()))
        .next("start the agent anew, which makes it afresh: daypass agent stop")
}

/// The place of the socket while nobody listens there.
pub(super) fn quiet_socket(paths: &Paths) -> DoctorCheck {
    let above = paths.runtime.parent().unwrap_or(Path::new("/"));
    if !above.is_dir() {
        return check(
            "socket",
            State::Failed,
            format!("XDG_RUNTIME_DIR names {}, which is not there", above.display()),
        )
        .next("run inside a login session, or make it a directory of your own with mode 0700");
    }
    let socket = paths.socket();
    if std::fs::symlink_metadata(&socket).is_ok() {
        return check("socket", State::Ok, format!("{} is left over; the next agent replaces it", socket.display()));
    }
    check("socket", State::Ok, format!("{} is not there; the agent makes it", socket.display()))
}

/// No agent runs.
pub(super) fn no_agent() -> DoctorCheck {
    match start::beside() {
        Ok(_) => check("agent", State::Failed, "it is not running")
            .next("any command that needs it starts it, such as daypass login; or: daypass agent"),
        Err(failure) => check("agent", State::Failed, format!("it is not running, and {}", failure.message))
            .next(failure.hint.unwrap_or_default()),
    }
}

/// Adds what can be said without the agent's help. One that runs without answering may have the port.
pub(super) fn without_agent(mut checks: Vec<DoctorCheck>, one_runs: bool) -> Vec<DoctorCheck> {
    let later = |name: &str| check(name, State::Skipped, "only the agent can tell");
    let (profile, effective) = profile_checks();
    checks.extend(effective.as_ref().filter(|_| !one_runs).map(|effective| {
        let rules = &effective.rules;
        free_port(rules.broker.port, rules.broker.port_is_fixed)
    }));
    checks.push(later("keychain"));
    checks.extend(profile);
    for account in effective.iter().flat_map(|effective| effective.rules.accounts.keys()) {
        checks.push(DoctorCheck { account: Some(account.to_string()), ..later("issuer") });
    }
    checks
}

/// Whether the agent could have its port, were it started now.
fn free_port(port: u16, is_fixed: bool) -> DoctorCheck {
    let who = format!("see who has it: ss -ltnp 'sport = :{port}'");
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) if port == 0 => check("port", State::Ok, "any free one, as the profile says"),
        Ok(_) => check("port", State::Ok, format!("127.0.0.1:{port} is free")),
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            check("port", State::Failed, format!("127.0.0.1:{port} cannot be used: {error}"))
                .next("take a port above 1023: [broker] port in the profile")
        }
        Err(_) if is_fixed => {
            check("port", State::Failed, format!("127.0.0.1:{port} is taken, and the profile fixes it")).next(who)
        }
        Err(_) => {
            check("port", State::Warning, format!("127.0.0.1:{port} is taken; the agent will take another")).next(who)
        }
    }
}

/// The files of the profile as they are now, and what they come to.
fn profile_checks() -> (Vec<DoctorCheck>, Option<Effective>) {
    let (sources, problems) = match profile::sources() {
        Ok(found) => found,
        Err(failure) => return (vec![super::failed("profile", &failure)], None),
    };
    let effective = ::profile::resolve(&sources, profile::VERSION);
    let mut checks = Vec::new();
    for problem in problems {
        let step = if problem.starts_with(SYSTEM_DIR) {
            "have whoever looks after this machine repair it: until then an agent that starts issues nothing"
        } else {
            "repair it: until then nothing of it counts"
        };
        checks.push(check("profile", State::Failed, problem).next(step));
    }
    let mut found: Vec<_> = effective.diagnostics.iter().collect();
    found.sort_by_key(|diagnostic| diagnostic.severity != Severity::Error);
    for diagnostic in found {
        let (state, step) = match diagnostic.severity {
            Severity::Error => (State::Failed, format!("daypass profile check {}", diagnostic.file)),
            Severity::Warning => (State::Warning, "leave it if it is meant so".to_owned()),
        };
        checks.push(check("profile", state, diagnostic.to_string()).next(diagnostic.hint.clone().unwrap_or(step)));
    }
    if effective.rules.accounts.is_empty() {
        checks.push(check("profile", State::Failed, "no account is configured").next("set one up: daypass init"));
    }
    if checks.is_empty() {
        let rules = &effective.rules;
        let organisation = rules.organisation.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        let parts = [
            counted(sources.len(), "file"),
            counted(rules.accounts.len(), "account"),
            counted(rules.resources.len(), "resource"),
        ];
        let [files, accounts, resources] = parts;
        checks.push(check("profile", State::Ok, format!("{organisation}{files}, {accounts} and {resources}")));
    }
    (checks, Some(effective))
}

/// The agent tells what is wrong with the profile without the hints that go with it: they are found again here.
pub(super) fn better_hints(checks: &mut [DoctorCheck]) {
    let mut told: Vec<_> = checks.iter_mut().filter(|one| one.check == "profile" && one.hint.is_some()).collect();
    if told.is_empty() {
        return;
    }
    let Ok((sources, _)) = profile::sources() else { return };
    for diagnostic in ::profile::resolve(&sources, profile::VERSION).diagnostics {
        let (text, Some(hint)) = (diagnostic.to_string(), diagnostic.hint) else { continue };
        for one in told.iter_mut().filter(|one| one.finding == text) {
            one.hint = Some(hint.clone());
        }
    }
}

fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Tries the port as a program here would; what the agent says of it stands if that goes well.
pub(super) fn try_port(paths: &Paths, checks: &mut [DoctorCheck]) {
    let Some(told) = checks.iter_mut().find(|one| one.check == "port") else { return };
    let file = paths.address_file();
    let Some(address) = std::fs::read_to_string(&file).ok().and_then(|text| loopback(text.trim())) else {
        *told = check("port", State::Failed, format!("{} names no address on this machine", file.display()))
            .next("start the agent anew, which writes it: daypass agent stop");
        return;
    };
    if let Err(error) = healthz(address) {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "there is no answer in time".to_owned(),
            _ => error.to_string(),
        };
        *told = check("port", State::Failed, format!("http://{address} is not the agent from here: {why}")).next(
            "programs here have the socket only; the agent may be in another network namespace, as outside a container, \
            or a firewall stands before loopback",
        );
    }
}

/// The address in the agent's file, if it is what the agent writes.
fn loopback(text: &str) -> Option<SocketAddr> {
    let address: SocketAddr = text.strip_prefix("http://")?.parse().ok()?;
    address.ip().is_loopback().then_some(address)
}

fn healthz(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PORT_LIMIT)?;
    stream.set_read_timeout(Some(PORT_LIMIT))?;
    stream.set_write_timeout(Some(PORT_LIMIT))?;
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut status = [0; 12];
    match stream.read_exact(&mut status) {
        Ok(()) if &status == b"HTTP/1.1 204" => Ok(()),
        Ok(()) => Err(io::Error::other("something else answers")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(io::Error::other("the connection is closed without an answer"))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_tried() {
        assert_eq!(loopback("http://127.0.0.1:6174"), Some(([127, 0, 0, 1], 6174).into()));
        for text in ["", "http://192.0.2.1:80", "http://localhost:1", "https://127.0.0.1:1", "http://127.0.0.1:1/x"] {
            assert_eq!(loopback(text), None, "{text}");
        }
    }

    #[test]
    fn a_taken_port_is_a_failure_only_where_it_is_fixed() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(free_port(port, false).state, "warning");
        assert_eq!(free_port(port, true).state, "failed");
        drop(taken);
        assert_eq!((free_port(port, true).state.as_str(), free_port(0, false).state.as_str()), ("ok", "ok"));
    }

    #[test]
    fn a_port_of_somebody_else_is_not_the_agents() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = other.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = other.accept().unwrap();
            let _ = stream.read(&mut [0; 512]);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        });
        assert_eq!(healthz(address).unwrap_err().to_string(), "something else answers");
        answering.join().unwrap();
        assert_eq!(healthz(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
