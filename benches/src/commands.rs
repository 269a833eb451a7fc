//! The command beside its peers: `/bin/true`, curl and `oidc-token`, whole processes, run by turns.

use crate::{
    peer_oidc_agent::{OidcAgent, find},
    process::{self, Run},
    report::{Aim, Row, Unit},
    stats::Samples,
    world::{RESOURCE, World},
};
use std::process::Command;

const ROUNDS: usize = 400;
/// Rounds before anything is measured.
const WARM_UP: usize = 20;

struct Contender {
    name: &'static str,
    command: Result<Command, String>,
    runs: Vec<Run>,
}

/// Measures wall time, processor time and instructions.
pub fn rows(world: &World, oidc_agent: &Result<OidcAgent, String>) -> Vec<Row> {
    let peer = oidc_agent.as_ref().map(|agent| agent.token(world)).map_err(|why| format!("oidc-token: {why}"));
    let mut all: Vec<Contender> = [
        ("daypass token", Ok(world.daypass_token())),
        ("`/bin/true`", Ok(world.command("/bin/true", &[]))),
        ("curl", curl(world)),
        ("`oidc-token`", peer),
    ]
    .into_iter()
    .map(|(name, command)| Contender { name, command, runs: Vec::with_capacity(ROUNDS) })
    .collect();
    for round in 0..ROUNDS + WARM_UP {
        for at in 0..all.len() {
            // Each goes first, second, third and fourth equally often.
            let at = (at + round) % all.len();
            let Contender { command: Ok(command), runs, .. } = &mut all[at] else { continue };
            let run = process::run(command);
            if round >= WARM_UP {
                runs.push(run);
            }
        }
    }
    let wall = |c: &Contender| Samples::micros(c.runs.iter().map(|run| run.wall)).median();
    let cpu = |c: &Contender| Samples::micros(c.runs.iter().map(|run| run.cpu)).median();
    let count = |c: &Contender| c.command.as_ref().ok().and_then(process::instructions).map(as_figure);
    let mut rows = Vec::new();
    rows.extend(compare("`daypass token`, wall time", Unit::Micros, &all, |c| Some(wall(c))));
    rows.extend(compare("`daypass token`, processor time", Unit::Micros, &all, |c| Some(cpu(c))));
    rows.extend(compare("`daypass token`, instructions", Unit::Instructions, &all, count));
    rows
}

#[allow(clippy::cast_precision_loss, reason = "a count of some millions")]
fn as_figure(count: u64) -> f64 {
    count as f64
}

/// One row for each peer: the first contender's figure beside the peer's.
fn compare(what: &str, unit: Unit, all: &[Contender], figure: impl Fn(&Contender) -> Option<f64>) -> Vec<Row> {
    let measured = |c: &Contender| if c.command.is_ok() { figure(c) } else { None };
    let ours = measured(&all[0]);
    let rows = all[1..].iter().map(|peer| {
        let row = Row::new(what, unit, ours);
        let row = match &peer.command {
            Ok(_) => row.beside(peer.name, measured(peer)),
            Err(why) => row.beside(why, None),
        };
        match (unit, what.contains("wall"), peer.name) {
            (Unit::Micros, true, "`/bin/true`") => row.aim(Aim::RatioAtMost(1.8)),
            (Unit::Micros, true, "`oidc-token`") => row.aim(Aim::RatioAtMost(0.7)),
            (Unit::Instructions, _, "`/bin/true`") => row.aim(Aim::AtMost(0.5e6)),
            _ => row,
        }
    });
    rows.collect()
}

fn curl(world: &World) -> Result<Command, String> {
    let curl = find("curl").ok_or("curl is not installed")?;
    let socket = world.home.socket().display().to_string();
    let body = format!(r#"{{"resource":"{RESOURCE}"}}"#);
    let words = ["--silent", "--fail", "--unix-socket", &socket, "--header", "Content-Type: application/json"];
    let mut command = world.command(curl, &words);
    command.args(["--data", &body, "http://localhost/v1/token"]);
    Ok(command)
}
