//! `daypass-dev-issuer`: the development provider as a program.
//!
//! Prints `ready http://127.0.0.1:PORT` once it answers, and serves until it is interrupted. The issuer is that address
//! with `--issuer-path` behind it.

use clap::Parser;
use dev_issuer::{Behaviour, Config, DevIssuer, Registration};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// An OpenID Provider for development that misbehaves on command. Never for real accounts.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example: daypass-dev-issuer --port 4010\n\
    POST /control   {\"endpoint\": \"token\", \"fault\": {\"kind\": \"hang\"}, \"times\": 1}\n\
    GET  /log       what was asked, and counters"
)]
struct Arguments {
    /// Port on 127.0.0.1; 0 = a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Put CANARY- into every secret issued.
    #[arg(long)]
    canary: bool,
    /// Seconds an access token lives.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    access_lifetime: u32,
    /// Seconds a refresh token lives.
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 24 * 3600)]
    refresh_lifetime: u32,
    /// Path of the issuer, such as /tenant.
    #[arg(long, value_name = "PATH", default_value = "")]
    issuer_path: String,
    /// A public client to know besides daypass and daypass-demo, as ID or `ID=REDIRECT_URI`.
    #[arg(long, value_name = "ID[=URI]")]
    client: Vec<String>,
    /// Leave iss out of the authorization response.
    #[arg(long)]
    no_iss: bool,
    /// Keep one refresh token for ever.
    #[arg(long)]
    no_rotation: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "daypass-dev-issuer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config {
        port: arguments.port,
        issuer_path: arguments.issuer_path,
        canary: arguments.canary,
        access_lifetime: arguments.access_lifetime,
        refresh_lifetime: arguments.refresh_lifetime,
        behaviour: Behaviour {
            iss_parameter: !arguments.no_iss,
            rotate_refresh_tokens: !arguments.no_rotation,
            ..Behaviour::default()
        },
        ..Config::default()
    };
    config.clients.extend(arguments.client.iter().map(|client| match client.split_once('=') {
        None => Registration::public(client),
        Some((id, uri)) => Registration { redirect_uris: vec![uri.to_owned()], ..Registration::public(id) },
    }));
    let issuer = DevIssuer::start(config)?;
    writeln!(io::stdout(), "ready {}", issuer.address())?;
    io::stdout().flush()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })?;
    drop(issuer);
    Ok(())
}
