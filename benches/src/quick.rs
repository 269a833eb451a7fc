//! A short look at a build: the token path's main figures in less than half a minute, without peers and without a report.

use crate::{
    load::{Load, Server, Until},
    memory, process,
    stats::Samples,
    world::{RESOURCE, World},
};
use std::{path::PathBuf, process::Command, time::Duration};

/// Measures the four ways to the agent with 1 and with 8 connections.
pub fn ways(socket: PathBuf, authority: String, resource: &str, time: Duration, pid: Option<u32>) {
    let print_pss = |when: &str| {
        if let Some(kib) = pid.and_then(memory::pss) {
            println!("agent PSS {when:6}  {:.2} MiB", memory::mib(kib));
        }
    };
    print_pss("before");
    let servers = [Server::Socket(socket), Server::Tcp(authority)];
    for server in servers {
        for fresh in [false, true] {
            for parallel in [1, 8] {
                let (server, resource) = (server.clone(), resource.to_owned());
                let load = Load { server, resource, fresh, parallel, until: Until::Time(time) };
                println!("{load}  {}", load.run());
            }
        }
    }
    print_pss("after");
}

/// Starts a world, measures the command and the four ways, and ends it.
pub fn all(time: Duration) {
    let world = World::new(3600);
    ways(world.home.socket(), world.home.authority(), RESOURCE, time, Some(world.agent.id()));
    let (mut token, mut nothing) = (world.daypass_token(), Command::new("/bin/true"));
    let runs: Vec<_> = (0..300).map(|_| (process::run(&mut token), process::run(&mut nothing))).collect();
    let [token_wall, true_wall] = [
        Samples::micros(runs.iter().skip(20).map(|(token, _)| token.wall)),
        Samples::micros(runs.iter().skip(20).map(|(_, nothing)| nothing.wall)),
    ];
    let ratio = token_wall.median() / true_wall.median();
    println!(
        "daypass token  {:.0} µs   /bin/true {:.0} µs   ratio {ratio:.2}",
        token_wall.median(),
        true_wall.median()
    );
    for (name, command) in [("daypass token", &token), ("/bin/true", &nothing)] {
        if let Some(count) = process::instructions(command) {
            println!("{name}: {count} instructions");
        }
    }
}
