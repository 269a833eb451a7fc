//! Debian's oidc-agent with a token at hand, as the peer the command is measured beside.
//!
//! It wants an https issuer, so the certified provider stands behind a certificate made for this run alone. Where it
//! cannot be set up, the reason is a text for the report.

use crate::world::World;
use e2e::{orders::Orders, process::Running, until};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

const NAME: &str = "bench";

/// A running oidc-agent. It is stopped, with its provider, when this value goes.
pub struct OidcAgent {
    _agent: Running,
    provider: Orders,
    socket: PathBuf,
}

impl OidcAgent {
    /// Starts provider and agent, and gets the first token.
    ///
    /// # Errors
    /// What is missing.
    pub fn start(world: &World) -> Result<Self, String> {
        for program in ["oidc-agent", "oidc-gen", "oidc-token", "openssl", "node"] {
            find(program).ok_or_else(|| format!("{program} is not installed"))?;
        }
        let packages = e2e::repository().join("tests/provider");
        if !packages.join("node_modules/oidc-provider").is_dir() {
            return Err("the npm packages of tests/provider are not installed".to_owned());
        }
        let folder = world.home.folder("oidc-agent");
        world.home.folder("home/.oidc-agent");
        let (key, certificate, socket) = (folder.join("key.pem"), folder.join("cert.pem"), folder.join("socket"));
        certify(world, &key, &certificate)?;
        let mut server = Command::new("node");
        server.arg(e2e::repository().join("benches/oidc-agent/server.mjs")).arg(packages).args([&key, &certificate]);
        let provider = Orders::start(server.env_remove("NODE_OPTIONS").stderr(Stdio::null()));
        let mut agent = world.command("oidc-agent", &["--console", "--no-autoload", "--no-autoreauthenticate"]);
        agent.arg("--no-webserver").arg(format!("--socket-path={}", socket.display()));
        let agent = Running::start(agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        until("oidc-agent", Duration::from_secs(10), || socket.exists().then_some(()));
        let peer = Self { _agent: agent, provider, socket };
        peer.sign_in(world, &certificate)?;
        succeed(peer.token(world))?;
        Ok(peer)
    }

    /// Gives the agent the sign-in the provider has at hand.
    fn sign_in(&self, world: &World, certificate: &Path) -> Result<(), String> {
        let said = |name: &str| self.provider.greeting[name].as_str().unwrap_or_default().to_owned();
        let mut sign_in = world.command(
            "oidc-gen",
            &[NAME, "--rt-env", "--pw-env", "--prompt=none", "--confirm-default", "--no-save", "--flow=refresh"],
        );
        for (flag, value) in [
            ("--iss", "issuer"),
            ("--client-id", "client_id"),
            ("--client-secret", "client_secret"),
            ("--redirect-uri", "redirect_uri"),
            ("--scope", "scope"),
        ] {
            sign_in.arg(format!("{flag}={}", said(value)));
        }
        sign_in.arg(format!("--cp={}", certificate.display()));
        sign_in.env("OIDC_SOCK", &self.socket).env("OIDC_ENCRYPTION_PW", NAME);
        succeed({
            sign_in.env("OIDC_REFRESH_TOKEN", said("refresh_token"));
            sign_in
        })
    }

    /// `oidc-token`, for the token at hand.
    pub fn token(&self, world: &World) -> Command {
        let mut command = world.command(find("oidc-token").unwrap_or_default(), &[NAME]);
        command.env("OIDC_SOCK", &self.socket);
        command
    }
}

/// The path of an installed program.
pub fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn certify(world: &World, key: &Path, certificate: &Path) -> Result<(), String> {
    let words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let mut command = world.command("openssl", &words);
    command.args(["-subj", "/CN=Daypass benchmark", "-addext", "subjectAltName=DNS:localhost"]);
    command.arg("-keyout").arg(key).arg("-out").arg(certificate);
    succeed(command)
}

fn succeed(mut command: Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{name} failed: {}", text.lines().last().unwrap_or_default()))
}
