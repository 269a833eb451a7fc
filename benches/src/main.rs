//! `daypass-bench`: the benchmark of whole processes. `make bench` builds the release programs and runs it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints what it measured")]

use benches::{agent, bare, commands, peer_oidc_agent::OidcAgent, quick, report, scale, ways, world::World};
use std::{
    collections::HashMap,
    io::{self, BufRead as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

const USAGE: &str =
    "usage: daypass-bench report [--document FILE]  everything; the table also goes between the markers of FILE
       daypass-bench quick [--seconds S]      main figures of the token path, no report
       daypass-bench scale                    what much of everything costs, no report
       daypass-bench world                    start a world, say where it is, end it at the end of standard input
       daypass-bench load --socket PATH --address HOST:PORT [--resource R] [--seconds S] [--pid PID]
       daypass-bench bare --socket PATH --port N --size BYTES";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((what, flags)) = words.split_first().and_then(|(what, rest)| Some((what, flags(rest)?))) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(what, &flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("daypass-bench: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// `--name value` pairs.
fn flags(words: &[String]) -> Option<HashMap<String, String>> {
    let pairs = words.chunks(2).map(|pair| match pair {
        [name, value] => Some((name.strip_prefix("--")?.to_owned(), value.clone())),
        _ => None,
    });
    pairs.collect()
}

fn run(what: &str, flags: &HashMap<String, String>) -> Result<(), Box<dyn std::error::Error>> {
    let need = |name: &str| flags.get(name).cloned().ok_or_else(|| format!("--{name} is missing"));
    let seconds = flags.get("seconds").map_or(Ok(1.0), |text| text.parse())?;
    let time = Duration::try_from_secs_f64(seconds)?;
    match what {
        "report" => whole(flags.get("document").map(Path::new))?,
        "quick" => quick::all(time),
        "scale" => println!("{}", report::table(&scale::rows(&World::new(3600)))),
        "world" => hold()?,
        "load" => {
            let resource = flags.get("resource").map_or(benches::world::RESOURCE, String::as_str);
            let pid = flags.get("pid").map(|text| text.parse()).transpose()?;
            quick::ways(PathBuf::from(need("socket")?), need("address")?, resource, time, pid);
        }
        "bare" => bare::serve(Path::new(&need("socket")?), need("port")?.parse()?, need("size")?.parse()?)?,
        _ => return Err(format!("unknown: {what}").into()),
    }
    Ok(())
}

/// Measures everything, prints the table and writes it into the document.
fn whole(document: Option<&Path>) -> io::Result<()> {
    eprintln!("daypass-bench: this takes about three minutes; leave the machine alone");
    let load = report::load();
    let mut world = World::new(10);
    let oidc_agent = OidcAgent::start(&world);
    let mut rows = commands::rows(&world, &oidc_agent);
    drop(oidc_agent);
    rows.extend(ways::rows(&world));
    rows.extend(scale::rows(&world));
    rows.extend(agent::memory(&mut world));
    rows.extend(agent::first_token(&mut world));
    rows.extend(agent::crowd(&world));
    rows.extend(agent::hanging_issuer(&world));
    let (machine, table) = (report::machine(&load), report::table(&rows));
    println!("{machine}\n\n{table}");
    match document {
        Some(document) => report::write(document, &format!("{machine}\n\n{table}")),
        None => Ok(()),
    }
}

/// A world for other tools (a profiler, strace) to look at.
fn hold() -> io::Result<()> {
    let world = World::new(3600);
    println!("PID={}", world.agent.id());
    println!("SOCKET={}", world.home.socket().display());
    println!("ADDRESS={}", world.home.authority());
    println!("MANAGED={}", world.managed.display());
    for (name, value) in world.daypass_token().get_envs() {
        if let Some(value) = value {
            println!("export {}={:?}", name.display(), value.display().to_string());
        }
    }
    println!("ready: a token is `{} token {}`", e2e::program("daypass").display(), benches::world::RESOURCE);
    for line in io::stdin().lock().lines() {
        line?;
    }
    Ok(())
}
