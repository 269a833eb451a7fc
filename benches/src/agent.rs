//! The agent as a process: its memory, how soon it gives the first token, and how it behaves in a crowd or when an
//! issuer hangs.

use crate::{
    load::{Caller, Load, Server, Until, message},
    memory,
    report::{Aim, Row, Unit},
    stats::Samples,
    world::{BRIEF, ORDERS, RESOURCE, World},
};
use dev_issuer::{Endpoint, Fault, Order};
use e2e::process::Running;
use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Stdio,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Threads of the agent's blocking pool end after five idle seconds; only then it is idle.
const IDLE: Duration = Duration::from_secs(7);
const CROWD: usize = 100;
const STARTS: usize = 15;
/// How late the issuer answers the crowd's refresh, so that all of them meet in it.
const ISSUER_TAKES: u32 = 200;
/// What counts as no growth: less than the measure varies by itself, in MiB.
const NO_GROWTH: f64 = 0.2;

/// Memory of the idle agent, and after 100,000 requests. Restarts the agent first.
pub fn memory(world: &mut World) -> Vec<Row> {
    world.agent.stop();
    world.agent.restart();
    world.home.daypass(&["token", RESOURCE]).ok();
    let pss = |world: &World| {
        thread::sleep(IDLE);
        memory::pss(world.agent.id()).map(memory::mib)
    };
    let idle = pss(world);
    requests(world, 1_000);
    let warm = pss(world);
    requests(world, 100_000);
    let after = pss(world);
    let idle_row = match memory::twins(world.agent.id()) {
        0 => Row::new("PSS, idle agent", Unit::Mib, idle),
        more => {
            Row::new("PSS, idle agent", Unit::Mib, idle).beside(format!("{more} more agents share its pages"), None)
        }
    };
    let growth = |from: Option<f64>| Some(after? - from?);
    vec![
        idle_row.aim(Aim::AtMost(8.0)),
        Row::new("PSS, after 1,000 requests", Unit::Mib, warm),
        Row::new("PSS, after 100,000 more", Unit::Mib, after),
        Row::new("growth from idle", Unit::Mib, growth(idle)).aim(Aim::AtMost(NO_GROWTH)),
        Row::new("growth over the 100,000", Unit::Mib, growth(warm)).aim(Aim::AtMost(NO_GROWTH)),
    ]
}

/// `count` requests on the socket, half of them on connections of their own, from eight callers.
fn requests(world: &World, count: usize) {
    for fresh in [false, true] {
        let server = Server::Socket(world.home.socket());
        let load = Load { server, resource: RESOURCE.to_owned(), fresh, parallel: 8, until: Until::Count(count / 16) };
        load.run();
    }
}

/// From the start of `daypass-agent` to the end of `daypass token`, with the sign-in in the keychain.
pub fn first_token(world: &mut World) -> Vec<Row> {
    let (mut ready, mut token) = (Vec::new(), Vec::new());
    world.agent.stop();
    for _ in 0..STARTS {
        let mut command = world.command(e2e::program("daypass-agent"), &["--managed-dir"]);
        command.arg(&world.managed).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let mut agent = Running::start(&mut command);
        while UnixStream::connect(world.home.socket()).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the agent does not answer");
            thread::sleep(Duration::from_micros(200));
        }
        ready.push(start.elapsed());
        let output = world.daypass_token().output().expect("daypass starts");
        token.push(start.elapsed());
        assert!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        agent.stop();
    }
    world.agent.restart();
    vec![
        Row::new("agent started to socket open", Unit::Millis, Samples::millis(ready).median()),
        Row::new("agent started to first token", Unit::Millis, Samples::millis(token).median()).aim(Aim::AtMost(100.0)),
    ]
}

/// A hundred callers at one instant, when the token at hand has expired.
pub fn crowd(world: &World) -> Vec<Row> {
    let issuer = &world.issuers[2];
    // Nobody asks for it meanwhile, so nothing renews it ahead of time.
    thread::sleep(Duration::from_secs(u64::from(world.short) + 2));
    issuer.order(Order::always(Endpoint::Token, Fault::Delay { ms: u64::from(ISSUER_TAKES) }));
    let (refreshes, barrier) = (issuer.counters().refreshes, Barrier::new(CROWD + 1));
    let server = Server::Socket(world.home.socket());
    let took = thread::scope(|scope| {
        let callers: Vec<_> = (0..CROWD)
            .map(|_| {
                scope.spawn(|| {
                    let mut caller = Caller::connect(&server, BRIEF).expect("a connection");
                    barrier.wait();
                    caller.ask(false).expect("a token")
                })
            })
            .collect();
        barrier.wait();
        let times: Vec<_> = callers.into_iter().map(|caller| caller.join().expect("a caller")).collect();
        Samples::millis(times).most()
    });
    issuer.reset_faults();
    let refreshes = f64::from(u32::try_from(issuer.counters().refreshes - refreshes).unwrap_or(u32::MAX));
    assert!(refreshes > 0.0, "the token at hand had not expired");
    vec![
        Row::new("100 callers, expired token: refreshes", Unit::Count, refreshes).aim(Aim::AtMost(1.0)),
        Row::new("100 callers, expired token: the last has it", Unit::Millis, took)
            .beside("the issuer takes", f64::from(ISSUER_TAKES)),
    ]
}

/// The token at hand of one account, while another account's issuer does not answer.
pub fn hanging_issuer(world: &World) -> Vec<Row> {
    world.home.daypass(&["token", ORDERS]).ok();
    let load = Load {
        server: Server::Socket(world.home.socket()),
        resource: ORDERS.to_owned(),
        fresh: true,
        parallel: 1,
        until: Until::Count(2_000),
    };
    let calm = load.run();
    world.issuers[0].order(Order::always(Endpoint::Token, Fault::Hang {}));
    let body = format!(r#"{{"resource":"{RESOURCE}","refresh":true}}"#);
    let mut hung = UnixStream::connect(world.home.socket()).expect("a connection");
    hung.write_all(&message(&load.server, &body, None)).expect("write");
    thread::sleep(Duration::from_millis(300));
    let outcome = load.run();
    hung.set_nonblocking(true).expect("own socket");
    let waits = hung.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(waits, "the other account's caller should still be waiting for its issuer");
    world.issuers[0].reset_faults();
    let millis = |micros: f64| micros / 1000.0;
    vec![
        Row::new("account B while A's issuer hangs: p50", Unit::Micros, outcome.latency.median())
            .beside("calm", calm.latency.median()),
        Row::new("account B while A's issuer hangs: p99", Unit::Millis, millis(outcome.latency.percentile(0.99)))
            .beside("calm", millis(calm.latency.percentile(0.99)))
            .aim(Aim::AtMost(5.0)),
    ]
}
