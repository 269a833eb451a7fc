//! From nothing to serving: directories, lock, state, keychain, listeners, and the way back down.

use crate::{
    accounts::Accounts,
    agent::Agent,
    audit::Audit,
    consents::Consents,
    lock_state::{self, Screen, Turns},
    minting::Mint,
    notices::{self, Notices},
    pages::Pages,
    pause::Pause,
    profiles::{self, Copies, Profiles},
    random,
    server::{Serving, router},
    sign_in::SignIns,
    store::{AuditEntry, Store, StoreError},
    upkeep,
    vault::Vault,
};
use broker::ports::{Clock, Entropy, Keychain};
use localapi::ExitCode;
use platform::{
    clock::WallClock,
    entropy::OsEntropy,
    keychain::Memory,
    paths::{PathError, Paths, prepare_home_dir, prepare_private_dir},
    peer::{FirstParty, Lookup},
    process::LockError,
};
use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, UnixListener};

/// How long one keychain call may take.
const KEYCHAIN_TIME: Duration = Duration::from_secs(10);

/// How the agent was called.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// A directory that stands in for the system's managed one, for tests.
    pub managed_dir: Option<PathBuf>,
}

/// Why the agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Directories.
    #[error(transparent)]
    Path(#[from] PathError),
    /// State.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another agent holds the lock.
    #[error("an agent is running already")]
    Running,
    /// The lock.
    #[error("the lock cannot be taken: {0}")]
    Lock(String),
    /// The fixed port.
    #[error("port {port} is fixed by the profile and cannot be used: {error}")]
    FixedPort {
        /// The port.
        port: u16,
        /// Why.
        error: io::Error,
    },
    /// A listener.
    #[error("cannot listen: {0}")]
    Listen(io::Error),
    /// A test directory beside real policy.
    #[error("--managed-dir is for tests and is refused where {} exists", platform::managed::SYSTEM_DIR)]
    RealPolicy,
    /// The outbound HTTP client.
    #[error("the issuer client cannot be set up: {0}")]
    Oidc(#[from] oidc::OidcError),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl StartError {
    /// The exit code that goes with it.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Running => ExitCode::Ok,
            Self::Path(_) | Self::Lock(_) | Self::Listen(_) => ExitCode::AgentUnreachable,
            Self::FixedPort { .. } | Self::RealPolicy => ExitCode::Profile,
            Self::Store(_) | Self::Oidc(_) | Self::Other(_) => ExitCode::Internal,
        }
    }

    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::FixedPort { .. } => Some("stop the program that uses the port, or ask IT to choose another"),
            Self::Store(StoreError::Newer { .. }) => Some("install the newer Daypass again; nothing was changed"),
            Self::Store(_) => Some("move the database away to start afresh; sign-ins are kept in the keychain"),
            _ => None,
        }
    }
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// See [`StartError`].
pub async fn run(call: Call) -> Result<(), StartError> {
    // The end of the trip goes by it: nothing comes between its last look and its line.
    if tokio::runtime::Handle::current().runtime_flavor() != tokio::runtime::RuntimeFlavor::CurrentThread {
        return Err(StartError::Other("the agent runs on one thread only".to_owned()));
    }
    let paths = Paths::from_environment()?;
    if call.managed_dir.is_some() && std::path::Path::new(platform::managed::SYSTEM_DIR).exists() {
        return Err(StartError::RealPolicy);
    }
    prepare_private_dir(&paths.runtime)?;
    prepare_home_dir(&paths.state)?;
    let _lock = platform::process::lock_file(&paths.lock_file()).map_err(|error| match error {
        LockError::Held => StartError::Running,
        other => StartError::Lock(other.to_string()),
    })?;
    let (agent, tcp) = assemble(&call, &paths, outside()?).await?;
    // The address first: whoever sees the socket finds it.
    write_address(&paths, &agent.address).map_err(StartError::Listen)?;
    let socket = bind_socket(&paths.socket()).map_err(StartError::Listen)?;
    let router = router(&agent);
    let authority = agent.address.trim_start_matches("http://").to_owned();
    let on_tcp = Serving::new(Arc::clone(&agent), router.clone(), vec![authority.clone()]);
    let on_socket = Serving::new(Arc::clone(&agent), router, vec![authority, "localhost".to_owned()]);
    let tasks = [
        tokio::spawn(on_tcp.tcp(tcp)),
        tokio::spawn(on_socket.unix(socket)),
        tokio::spawn(upkeep::run(Arc::clone(&agent))),
        tokio::spawn(profiles::follow(Arc::clone(&agent))),
        tokio::spawn(lock_state::watch(Arc::clone(&agent))),
        tokio::spawn(notices::run(Arc::clone(&agent))),
    ];
    agent.log(AuditEntry { event: "agent.started", code: "ok".to_owned(), ..AuditEntry::default() });
    let reading = Arc::clone(&agent);
    tokio::spawn(async move { reading.read_records().await });
    tracing::info!(address = agent.address, version = env!("CARGO_PKG_VERSION"), "ready");
    wait_for_signal().await;
    for task in &tasks {
        task.abort();
    }
    agent.log(AuditEntry { event: "agent.stopped", code: "ok".to_owned(), ..AuditEntry::default() });
    agent.wind_up().await;
    for file in [paths.address_file(), paths.socket()] {
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::warn!(file = %file.display(), %error, "could not be removed");
        }
    }
    Ok(())
}

/// What an agent is given of the world around it.
pub(crate) struct Outside {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Opens the keychain.
    pub(crate) opener: crate::vault::Opener,
    pub(crate) oidc: oidc::Client,
}

/// The real one.
fn outside() -> Result<Outside, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let opener: crate::vault::Opener = Arc::new(|| {
        platform::keychain::open("daypass", KEYCHAIN_TIME).map(|keychain| Arc::new(keychain) as Arc<dyn Keychain>)
    });
    let oidc = oidc::Client::new(&oidc::Options::default(), Arc::clone(&clock), Arc::clone(&entropy))?;
    Ok(Outside { clock, entropy, opener, oidc })
}

pub(crate) async fn assemble(
    call: &Call,
    paths: &Paths,
    outside: Outside,
) -> Result<(Arc<Agent>, TcpListener), StartError> {
    let Outside { clock, entropy, opener, oidc } = outside;
    let uid = rustix::process::getuid().as_raw();
    let test_policy = call.managed_dir.is_some();
    let vault = tokio::task::spawn_blocking(move || Vault::open(opener, Arc::new(Memory::default()), test_policy))
        .await
        .map_err(|e| StartError::Other(e.to_string()))?;
    // The keychain first: it vouches for what a spoilt managed file last said.
    let copies = Copies::open(&vault, paths.state.clone(), test_policy).await;
    let profiles = Profiles::open(paths.user_profile(), call.managed_dir.clone(), uid, copies);
    let rules = Arc::clone(&profiles.current().rules);
    let mut notices = Vec::new();
    let tcp = bind_tcp(&rules.broker, &mut notices).await?;
    let port = tcp.local_addr().map_err(StartError::Listen)?.port();
    let address = format!("http://127.0.0.1:{port}");
    let installation = random::hex_name::<4>(entropy.as_ref());
    let store = Store::open(&paths.database(), test_policy, installation)?;
    if let Some(reason) = vault.absent_because() {
        tracing::warn!(reason, "no keychain service: tokens are kept in memory only and end with this agent");
    }
    let lasting = port == rules.broker.port && rules.broker.port != 0;
    let mint = Mint::open(address.clone(), lasting, &vault, entropy.as_ref(), clock.now()).await;
    let first_party = FirstParty::beside_this_program().map_err(|e| StartError::Other(e.to_string()))?;
    for line in &profiles.current().diagnostics {
        tracing::warn!(line, "the profile");
    }
    let audit = Audit::new(call.managed_dir.clone(), store.head().0);
    let agent = Agent {
        clock,
        entropy,
        store,
        audit,
        vault,
        accounts: Accounts::default(),
        consents: Consents::default(),
        oidc,
        lookup: Arc::new(Lookup::new(first_party)),
        mint,
        profiles,
        pages: Pages::default(),
        sign_ins: SignIns::default(),
        screen: Screen::default(),
        pause: Pause::default(),
        turns: Turns::default(),
        told: Notices::default(),
        address,
        uid,
        started: Instant::now(),
        test_policy,
        desktops: AtomicUsize::new(0),
        tending: tokio::sync::Mutex::new(()),
        notices: Mutex::new(notices),
        events: tokio::sync::broadcast::channel(64).0,
        refusals: Mutex::default(),
    };
    agent.take_up_profile();
    Ok((Arc::new(agent), tcp))
}

async fn bind_tcp(rules: &broker::BrokerRules, notices: &mut Vec<String>) -> Result<TcpListener, StartError> {
    let at = |port| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
    match at(rules.port).await {
        Ok(listener) => Ok(listener),
        Err(error) if rules.port_is_fixed => Err(StartError::FixedPort { port: rules.port, error }),
        Err(error) => {
            let listener = at(0).await.map_err(StartError::Listen)?;
            let port = listener.local_addr().map_err(StartError::Listen)?.port();
            let notice = format!("port {} is taken ({error}): using {port} instead", rules.port);
            tracing::warn!(notice);
            notices.push(notice);
            Ok(listener)
        }
    }
}

/// Binds the user socket under a private name and moves it into place, so that it is never there with a loose mode.
fn bind_socket(path: &std::path::Path) -> io::Result<UnixListener> {
    let private = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&private);
    let listener = std::os::unix::net::UnixListener::bind(&private)?;
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&private, path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

fn write_address(paths: &Paths, address: &str) -> io::Result<()> {
    let file = paths.address_file();
    let private = file.with_extension(format!("{}", std::process::id()));
    std::fs::write(&private, format!("{address}\n"))?;
    std::fs::rename(&private, &file)
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int), Ok(mut hup), Ok(mut quit)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
        signal(SignalKind::quit()),
    ) else {
        tracing::error!("signals cannot be received: stopping");
        return;
    };
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {}, _ = hup.recv() => {}, _ = quit.recv() => {} }
}
