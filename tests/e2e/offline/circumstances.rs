//! S and L: what the machine does to an agent: a database nobody can write, a log somebody floods, many starts at once.

use super::{desk::Desk, nonsense::lone_agent};
use e2e::{browser::Mode, home::Home, http, process::Running, world};
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

const LOCK: &str = "
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN EXCLUSIVE')
print('locked', flush=True)
time.sleep(60)
";

#[test]
fn without_its_line_in_the_log_no_token_leaves() {
    // Promise 8, S08: another program holds the database, so that nothing can be written to it.
    let desk = Desk::signed_in();
    Mode { consent: "today".to_owned(), ..Mode::default() }.write(&desk.home.log("mode.json")).unwrap();
    desk.daypass(&["token", "payments", "--wait", "30s"]).ok();
    let issued = desk.lines("token.issued").len();
    let mut python = Command::new("python3");
    python.args(["-c", LOCK]).arg(desk.home.database()).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut child = e2e::process::spawn(&mut python);
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let mut holder = Running::adopt(child);
    assert_eq!(said.trim(), "locked");
    let refused = desk.daypass(&["token", "payments"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    holder.kill();
    desk.daypass(&["token", "payments"]).ok();
    assert_eq!(desk.lines("token.issued").len(), issued + 1, "one line for the one token");
    desk.daypass(&["audit", "verify"]).ok();
}

#[test]
fn a_flood_of_refused_requests_is_counted_and_not_logged_one_by_one() {
    // S20: what anybody of this user can cause at will must not fill the disk.
    let (_agent, home) = lone_agent();
    let (authority, log) = (home.authority(), home.log("agent.log"));
    let size = || std::fs::metadata(&log).map_or(0, |facts| facts.len());
    let (before, lines) = (size(), audit_lines(&home));
    for turn in 0..600 {
        let host = if turn % 2 == 0 { "attacker.example" } else { &authority };
        let request = format!("GET /nothing HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\n\r\n");
        http::send(&authority, request.as_bytes()).unwrap();
    }
    assert!(size() < before + 20_000, "the log grew by {} bytes", size() - before);
    let (after, counted) = (audit_lines(&home), "one line for each reason and minute");
    assert!(after - lines <= 6, "{counted}: {} lines", after - lines);
}

fn audit_lines(home: &Home) -> usize {
    home.daypass(&["audit", "--json"]).ok().lines().count()
}

#[test]
fn of_many_agents_started_at_once_one_serves() {
    // L20, L21: and a lock that names a living process of somebody else keeps nobody out.
    let home = Home::new();
    home.write_profile(&format!("{}[browser]\ncommand = [\"/bin/true\"]\n", world::profile("http://127.0.0.1:9", 0)));
    let agents = || -> Vec<Running> {
        let start = |_| {
            let log = std::fs::File::options().create(true).append(true).open(home.log("agents.log")).unwrap();
            let mut command = Command::new(e2e::program("daypass-agent"));
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            Running::start(home.prepare(&mut command))
        };
        (0..16).map(start).collect()
    };
    let mut all = agents();
    e2e::until("an agent that answers", Duration::from_secs(20), || home.healthy().then_some(()));
    let serving = home.agent_pid().expect("one listens");
    let ends = e2e::until("the others to end", Duration::from_secs(20), || {
        let others: Vec<_> = all.iter_mut().filter(|agent| agent.id() != serving).map(Running::ended).collect();
        others.into_iter().collect::<Option<Vec<_>>>()
    });
    assert_eq!(ends.len(), 15);
    assert!(ends.iter().all(|code| *code == 0), "the others leave in peace: {ends:?}");
    assert!(home.healthy(), "and it still serves");
    all.iter_mut().find(|agent| agent.id() == serving).unwrap().kill();
    // Killed, it leaves socket and lock behind; the next ones are not deceived by them.
    let mut again = agents();
    e2e::until("an agent that answers", Duration::from_secs(20), || home.healthy().then_some(()));
    for agent in &mut again {
        agent.stop();
    }
}
