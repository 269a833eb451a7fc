//! The token path when there is much of everything: remembered permissions, audit lines, accounts, resources, listed programs.
//!
//! Each figure stands beside that of a small world, measured by turns with it.

use crate::{
    load::{Load, Server, Until},
    memory,
    process::run,
    report::{Aim, Row, Unit},
    stats::Samples,
    ways::{TURN, by_turns},
    world::{ASKED, LISTED, RESOURCE, World},
};
use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const GRANTS: u32 = 10_000;
const LINES: u32 = 1_000_000;
const ACCOUNTS: usize = 25;
const RESOURCES: usize = 1_000;
const LISTED_PROGRAMS: usize = 10_000;
/// How much slower than in the small world is still the same.
const SAME: Aim = Aim::RatioAtMost(1.1);
/// How often a listing is asked for.
const LISTINGS: usize = 15;

/// Measures beside `small`, in which nothing is much.
pub fn rows(small: &World) -> Vec<Row> {
    small.allow(ASKED);
    let mut rows = years(small);
    rows.extend(policy(small));
    rows
}

/// After years of use.
fn years(small: &World) -> Vec<Row> {
    let mut full = World::new(3600);
    full.allow(ASKED);
    full.agent.stop();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let now = i64::try_from(now).expect("a time this century");
    agent::filling::fill(&full.home.database(), now, GRANTS, LINES).expect("a filled database");
    full.agent.restart();
    for resource in [RESOURCE, ASKED] {
        full.home.daypass(&["token", resource]).ok();
    }
    let full_of = "10,000 permissions, 1,000,000 lines";
    thread::sleep(Duration::from_secs(7));
    let pss = |world: &World| memory::pss(world.agent.id()).map(memory::mib);
    let idle = Row::new(format!("{full_of}: PSS, idle"), Unit::Mib, pss(&full)).beside("small", pss(small));
    let mut rows = beside(full_of, RESOURCE, &full, small);
    rows.extend(beside(&format!("{full_of}, remembered"), ASKED, &full, small).into_iter().take(1));
    rows.push(idle);
    // The lines of the load itself are older than what is asked for.
    thread::sleep(Duration::from_secs(3));
    for (what, words) in [
        ("`daypass audit --since 2s`", &["audit", "--since", "2s"][..]),
        ("`daypass audit --json`", &["audit", "--json"]),
        ("`daypass audit verify`", &["audit", "verify"]),
    ] {
        let took = |world: &World, times: usize| {
            let runs = (0..times).map(|_| run(&mut world.command(e2e::program("daypass"), words)).wall);
            Samples::millis(runs.collect::<Vec<_>>()).median()
        };
        let times = if words.contains(&"verify") { 3 } else { LISTINGS };
        rows.push(
            Row::new(format!("{full_of}: {what}"), Unit::Millis, took(&full, times))
                .beside("small", took(small, times)),
        );
    }
    rows
}

/// With the profile of a large organisation.
fn policy(small: &World) -> Vec<Row> {
    let large = World::with(3600, ACCOUNTS, RESOURCES, LISTED_PROGRAMS);
    large.home.daypass(&["token", LISTED]).ok();
    small.home.daypass(&["token", LISTED]).ok();
    beside("25 accounts, 1,000 resources, 10,000 listed programs", LISTED, &large, small)
}

/// Median over the kept socket and over kept TCP, and the 99th percentile of the socket.
fn beside(what: &str, resource: &str, large: &World, small: &World) -> Vec<Row> {
    let load = |server: Server| Load {
        server,
        resource: resource.to_owned(),
        fresh: false,
        parallel: 1,
        until: Until::Time(TURN),
    };
    let socket = |world: &World| load(Server::Socket(world.home.socket()));
    let tcp = |world: &World| load(Server::Tcp(world.home.authority()));
    let (ours, theirs) = by_turns(&socket(large), &socket(small));
    let p50 = Row::new(format!("{what}: socket, p50"), Unit::Micros, ours.latency.median());
    let p99 = Row::new(format!("{what}: socket, p99"), Unit::Micros, ours.latency.percentile(0.99));
    let mut rows = vec![
        p50.beside("small", theirs.latency.median()).aim(SAME),
        p99.beside("small", theirs.latency.percentile(0.99)),
    ];
    let (ours, theirs) = by_turns(&tcp(large), &tcp(small));
    let p50 = Row::new(format!("{what}: TCP, p50"), Unit::Micros, ours.latency.median());
    rows.push(p50.beside("small", theirs.latency.median()).aim(SAME));
    rows
}
