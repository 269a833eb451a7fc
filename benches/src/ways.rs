//! The four ways to a token beside a bare axum handler: socket and TCP, kept and fresh connections.

use crate::{
    load::{Caller, Load, Outcome, Server, Until},
    report::{Aim, Row, Unit},
    stats::Samples,
    world::{ASKED, RESOURCE, World},
};
use e2e::{process::Running, until, world::free_port};
use std::{
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::Duration,
};

/// Length of one turn, and how many turns the agent and the bare handler each get.
pub(crate) const TURN: Duration = Duration::from_millis(400);
const TURNS: u32 = 5;

/// The bare handler's process.
struct Bare {
    _process: Running,
    servers: [Server; 2],
}

impl Bare {
    /// Starts one that answers as many bytes as the agent does.
    fn start(world: &World) -> Self {
        let size = Caller::new(&Server::Socket(world.home.socket()), RESOURCE).expect("an answer").body_length();
        let (socket, port) = (world.home.path().join("bare.sock"), free_port());
        let mut command = Command::new(std::env::current_exe().expect("own path"));
        command.args(["bare", "--port", &port.to_string(), "--size", &size.to_string(), "--socket"]).arg(&socket);
        let process = Running::start(command.stdin(Stdio::null()));
        until("the bare handler", Duration::from_secs(10), || UnixStream::connect(&socket).ok());
        Self { _process: process, servers: [Server::Socket(socket), Server::Tcp(format!("127.0.0.1:{port}"))] }
    }
}

/// Measures the four ways with 1 and with 8 connections.
pub fn rows(world: &World) -> Vec<Row> {
    let bare = Bare::start(world);
    let agent = [Server::Socket(world.home.socket()), Server::Tcp(world.home.authority())];
    let mut rows = Vec::new();
    for (server, beside) in agent.iter().zip(&bare.servers) {
        for fresh in [false, true] {
            let load = |server: &Server, parallel| Load {
                server: server.clone(),
                resource: RESOURCE.to_owned(),
                fresh,
                parallel,
                until: Until::Time(TURN),
            };
            let way = format!("{}, {}", server.word(), if fresh { "fresh" } else { "kept" });
            let (ours, theirs) = by_turns(&load(server, 1), &load(beside, 1));
            let most = match (server, fresh) {
                (Server::Socket(_), false) => Some(40.0),
                (Server::Socket(_), true) => Some(60.0),
                (Server::Tcp(_), false) => Some(100.0),
                (Server::Tcp(_), true) => None,
            };
            let p50 = Row::new(format!("{way}: p50"), Unit::Micros, ours.latency.median());
            let p50 = p50.beside("bare axum", theirs.latency.median());
            rows.push(most.into_iter().fold(p50, |row, most| row.aim(Aim::AtMost(most))));
            let p99 = Row::new(format!("{way}: p99"), Unit::Micros, ours.latency.percentile(0.99));
            rows.push(p99.beside("bare axum", theirs.latency.percentile(0.99)));
            let rate = Row::new(format!("{way}: requests, 1 connection"), Unit::Rate, ours.rate);
            rows.push(rate.beside("bare axum", theirs.rate));
            let (ours, theirs) = by_turns(&load(server, 8), &load(beside, 8));
            let rate = Row::new(format!("{way}: requests, 8 connections"), Unit::Rate, ours.rate);
            rows.push(rate.beside("bare axum", theirs.rate).aim(Aim::RatioAtLeast(0.5)));
        }
    }
    rows.push(remembered(world));
    rows
}

/// The same for a program that was allowed by a person instead of listed by IT.
fn remembered(world: &World) -> Row {
    world.allow(ASKED);
    let server = Server::Socket(world.home.socket());
    let load = Load { server, resource: ASKED.to_owned(), fresh: false, parallel: 1, until: Until::Time(TURN * TURNS) };
    Row::new("socket, kept, by a remembered permission: p50", Unit::Micros, load.run().latency.median())
}

/// Both loads by turns: all latencies together, and the median of the rates.
pub(crate) fn by_turns(ours: &Load, theirs: &Load) -> (Outcome, Outcome) {
    let turns: Vec<_> = (0..TURNS).map(|_| (ours.run(), theirs.run())).collect();
    let (ours, theirs): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
    (together(ours), together(theirs))
}

fn together(turns: Vec<Outcome>) -> Outcome {
    let rate = Samples::new(turns.iter().map(|turn| turn.rate).collect()).median();
    Outcome { latency: Samples::merge(turns.into_iter().map(|turn| turn.latency)), rate }
}
