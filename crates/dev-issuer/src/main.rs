//! `daypass-dev-issuer`: the development provider as a program.
//!
//! Prints `ready http://127.0.0.1:PORT` once it answers, and serves until it is interrupted. The issuer is that address
//! with `--issuer-path` behind it, or with the path of the imitated provider.

use clap::Parser;
use dev_issuer::{Behaviour, Config, DevIssuer, Imitation, Registration};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// An OpenID Provider for development that misbehaves on command. Never for real accounts.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example: daypass-dev-issuer --port 4010\n\
    Example: daypass-dev-issuer --imitate entra --print-profile\n\
    POST /control   {\"endpoint\": \"token\", \"fault\": {\"kind\": \"hang\"}, \"times\": 1}\n\
    GET  /log       what was asked, and counters"
)]
struct Arguments {
    /// Port on 127.0.0.1; 0 = a free one. An imitation has its own if none is named: entra 4011, okta 4012, google 4013,
    /// keycloak 4014.
    #[arg(long)]
    port: Option<u16>,
    /// Put CANARY- into every secret issued.
    #[arg(long)]
    canary: bool,
    /// Seconds an access token lives; 300, or what the imitated provider is said to give.
    #[arg(long, value_name = "SECONDS")]
    access_lifetime: Option<u32>,
    /// Seconds a refresh token lives.
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 24 * 3600)]
    refresh_lifetime: u32,
    /// Path of the issuer, such as /tenant.
    #[arg(long, value_name = "PATH", conflicts_with = "imitate")]
    issuer_path: Option<String>,
    /// A client to know besides daypass and daypass-demo, as ID or `ID=REDIRECT_URI`; as the others but for that.
    #[arg(long, value_name = "ID[=URI]")]
    client: Vec<String>,
    /// Leave iss out of the authorization response.
    #[arg(long)]
    no_iss: bool,
    /// Keep one refresh token for ever.
    #[arg(long)]
    no_rotation: bool,
    /// Behave like this provider: entra, okta, google or keycloak.
    #[arg(long, value_name = "PROVIDER")]
    imitate: Option<Imitation>,
    /// Print a profile that works with the imitation at this port, and do not serve.
    #[arg(long, requires = "imitate")]
    print_profile: bool,
    /// Keycloak: nobody has the role that offline access needs.
    #[arg(long, requires = "imitate")]
    refuse_offline: bool,
    /// Keycloak: seconds after which an unused refresh token without offline access ends.
    #[arg(long, value_name = "SECONDS", requires = "imitate", default_value_t = 1800)]
    online_idle: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "daypass-dev-issuer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn config(arguments: &Arguments) -> Config {
    let base = arguments.imitate.map_or_else(Config::default, Config::imitating);
    let mut config = Config {
        port: arguments.port.or(arguments.imitate.map(Imitation::usual_port)).unwrap_or_default(),
        issuer_path: arguments.issuer_path.clone().unwrap_or(base.issuer_path),
        canary: arguments.canary,
        access_lifetime: arguments.access_lifetime.unwrap_or(base.access_lifetime),
        refresh_lifetime: arguments.refresh_lifetime,
        behaviour: Behaviour {
            iss_parameter: base.behaviour.iss_parameter && !arguments.no_iss,
            rotate_refresh_tokens: base.behaviour.rotate_refresh_tokens && !arguments.no_rotation,
            ..base.behaviour
        },
        refuse_offline: arguments.refuse_offline,
        online_idle: arguments.online_idle,
        ..base
    };
    let like = config.clients.first().cloned().unwrap_or_else(|| Registration::public("daypass"));
    config.clients.extend(arguments.client.iter().map(|client| match client.split_once('=') {
        None => Registration { client_id: client.clone(), ..like.clone() },
        Some((id, uri)) => {
            Registration { client_id: id.to_owned(), redirect_uris: vec![uri.to_owned()], ..like.clone() }
        }
    }));
    config
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let config = config(arguments);
    if let (Some(imitation), true) = (arguments.imitate, arguments.print_profile) {
        let issuer = format!("http://127.0.0.1:{}{}", config.port, config.issuer_path);
        write!(io::stdout(), "{}", imitation.profile(&issuer))?;
        return Ok(());
    }
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
