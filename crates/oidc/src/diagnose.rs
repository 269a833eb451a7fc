//! Looks at the way to an issuer stage by stage, so that a failure can be named: name, connection, proxy, TLS, document,
//! clock.
//!
//! Invariant: it ends in time, sends nothing but the request for the public discovery document (and a proxy's own
//! password to that proxy), changes nothing that is known of the issuer, and puts no secret into what it finds.
//! Limit: each stage makes a connection of its own; what fails only now and then may go well here.

mod connection;
mod handshake;

use crate::{discovery, error::OidcError, http::Transport, json, metadata, show, way::Way};
use broker::{Issuer, Span, Timestamp, ports::Clock};
use connection::{Stream, connect, resolve, tunnel};
use handshake::handshake;
use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

/// The longest one stage may take.
const STAGE: Duration = Duration::from_secs(3);

/// What became of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stage<T> {
    /// It went well.
    Good(T),
    /// It did not, and so nothing behind it was tried.
    Failed(Fault),
    /// A stage before it failed.
    #[default]
    Untried,
    /// There is nothing to do on this way.
    Needless,
}

impl<T: Clone> Stage<T> {
    /// Notes the outcome; goes on with the value of a good one.
    fn settle(&mut self, outcome: Result<T, Fault>) -> Option<T> {
        match outcome {
            Ok(value) => {
                *self = Self::Good(value.clone());
                Some(value)
            }
            Err(fault) => {
                *self = Self::Failed(fault);
                None
            }
        }
    }
}

/// The way to one issuer, stage by stage. With a proxy on it, `name` and `connection` are about the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// How the issuer is reached.
    pub way: Way,
    /// Host and port that are connected to.
    pub place: String,
    /// The addresses of the name; needless where the address is written as a number.
    pub name: Stage<Vec<IpAddr>>,
    /// The TCP connection: to which address.
    pub connection: Stage<SocketAddr>,
    /// The proxy lets us through; needless without one.
    pub tunnel: Stage<()>,
    /// The TLS handshake with the issuer; needless for plain http on loopback.
    pub tls: Stage<Handshake>,
    /// The discovery document: how long it took.
    pub document: Stage<Duration>,
    /// Where this machine's clock stands against the issuer's, where the issuer told its own.
    pub clock: Option<Skew>,
}

/// How TLS was agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// Who issued the certificate, in words.
    pub issued_by: Option<String>,
}

/// How far this machine's clock is from the issuer's; the issuer's has whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// By how much, rounded to seconds.
    pub by: Span,
    /// Whether this machine's clock is ahead of the issuer's.
    pub ahead: bool,
}

/// What is wrong at a stage, in words for people; nothing of it is a server's raw text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing came in time.
    #[error("there was no answer in time")]
    TimedOut,
    /// The name has no address, or the name server does not tell.
    #[error("the name cannot be resolved: {0}")]
    NoAddress(String),
    /// The other machine says that nobody listens there.
    #[error("the connection is refused: nobody listens there")]
    Refused,
    /// There is no route.
    #[error("the network is not reachable")]
    NoRoute,
    /// The connection failed otherwise.
    #[error("the connection fails: {0}")]
    Broken(String),
    /// The proxy answers 407 (RFC 9110 §15.5.8).
    #[error("the proxy wants a user name and password (status 407)")]
    ProxyWantsPassword,
    /// The proxy answers `CONNECT` with another status.
    #[error("the proxy does not let us through (status {0})")]
    ProxyRefuses(u16),
    /// What answers is no HTTP proxy.
    #[error("what answers there is no HTTP proxy")]
    NoProxy,
    /// A SOCKS proxy.
    #[error("it is a SOCKS proxy, which is not supported")]
    Socks,
    /// The certificate's issuer is not trusted by this system.
    #[error("the certificate is not trusted{}", issued(.issued_by.as_deref(), *.self_issued))]
    NotTrusted {
        /// Who issued it, in words.
        issued_by: Option<String>,
        /// Whether it names itself as its issuer.
        self_issued: bool,
        /// Whether this system trusts no issuer of certificates at all.
        no_roots: bool,
    },
    /// The certificate's time is over.
    #[error("the certificate has expired")]
    Expired {
        /// When it did.
        at: Option<Timestamp>,
    },
    /// The certificate's time has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid {
        /// When it begins.
        from: Option<Timestamp>,
    },
    /// The certificate is for somebody else.
    #[error("the certificate is for another host{}", listed(.0))]
    OtherHost(Vec<String>),
    /// The certificate is wrong otherwise.
    #[error("the certificate is not valid: {0}")]
    BadCertificate(String),
    /// What answers does not speak TLS.
    #[error("what answers there does not speak TLS")]
    NoTls,
    /// The handshake failed otherwise.
    #[error("the TLS handshake fails: {0}")]
    Handshake(String),
    /// The document names another issuer.
    #[error("the discovery document names another issuer: {0}")]
    OtherIssuer(String),
    /// The document cannot be had or used.
    #[error(transparent)]
    Document(#[from] OidcError),
}

fn issued(by: Option<&str>, self_issued: bool) -> String {
    match (self_issued, by) {
        (true, Some(by)) => format!(": it is its own issuer, {by}"),
        (true, None) => ": it is its own issuer".to_owned(),
        (false, Some(by)) => format!(": it was issued by {by}"),
        (false, None) => String::new(),
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

/// Looks at the way to `issuer`, for at most `within`.
pub(crate) async fn diagnose(transport: &Transport, clock: &dyn Clock, issuer: &Issuer, within: Duration) -> Diagnosis {
    let deadline = Instant::now() + within;
    let mut found = Diagnosis {
        way: Way::Straight,
        place: String::new(),
        name: Stage::Untried,
        connection: Stage::Untried,
        tunnel: Stage::Untried,
        tls: Stage::Untried,
        document: Stage::Untried,
        clock: None,
    };
    match metadata::addresses(issuer) {
        Ok([address, _]) => {
            // Ends early at the stage that fails.
            let _ = walk(transport, clock, issuer, &address, deadline, &mut found).await;
        }
        Err(error) => found.document = Stage::Failed(error.into()),
    }
    found
}

async fn walk(
    transport: &Transport,
    clock: &dyn Clock,
    issuer: &Issuer,
    address: &Url,
    deadline: Instant,
    found: &mut Diagnosis,
) -> Option<()> {
    let network = transport.network();
    let (way, proxy) = network.ways.to(address);
    found.way = way;
    if let Some(error) = transport.barred(address) {
        found.document = Stage::Failed(error.into());
        return None;
    }
    let host = address.host_str()?.to_owned();
    let port = address.port_or_known_default()?;
    let (next_host, next_port) =
        proxy.as_ref().map_or((host.as_str(), port), |proxy| (proxy.host.as_str(), proxy.port));
    found.place = format!("{next_host}:{next_port}");

    let addresses = if let Some(ip) = literal(next_host) {
        found.name = Stage::Needless;
        vec![ip]
    } else {
        found.name.settle(in_time(deadline, resolve(next_host, next_port)).await)?
    };
    let stream = match in_time(deadline, connect(addresses, next_port)).await {
        Ok((stream, to)) => {
            found.connection = Stage::Good(to);
            stream
        }
        Err(fault) => {
            found.connection = Stage::Failed(fault);
            return None;
        }
    };
    let mut stream: Box<dyn Stream> = Box::new(stream);
    if let Some(proxy) = &proxy {
        match in_time(deadline, tunnel(&network.trust, proxy, stream, &host, port)).await {
            Ok(through) => {
                found.tunnel = Stage::Good(());
                stream = through;
            }
            Err(fault) => {
                found.tunnel = Stage::Failed(fault);
                return None;
            }
        }
    } else {
        found.tunnel = Stage::Needless;
    }
    if address.scheme() == "https" {
        let shaken = in_time(deadline, handshake(&network.trust, &host, stream)).await;
        found.tls.settle(shaken.map(|(_, handshake)| handshake))?;
    } else {
        found.tls = Stage::Needless;
    }
    let (document, skew) = ask(transport, clock, issuer, deadline).await;
    found.clock = skew;
    found.document.settle(document).map(drop)
}

/// The address a host is written as, where it is a number.
fn literal(host: &str) -> Option<IpAddr> {
    match Host::parse(host).ok()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        Host::Domain(_) => None,
    }
}

/// Runs one stage, which may take its own time and no more than what is left.
async fn in_time<T>(deadline: Instant, stage: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout_at(deadline.min(Instant::now() + STAGE), stage).await.unwrap_or(Err(Fault::TimedOut))
}

/// Asks for the discovery document as a sign-in would; the clock counts only if an issuer answered.
async fn ask(
    transport: &Transport,
    clock: &dyn Clock,
    issuer: &Issuer,
    deadline: Instant,
) -> (Result<Duration, Fault>, Option<Skew>) {
    let (asked, began) = (clock.now(), Instant::now());
    let answer = match timeout_at(deadline, discovery::ask(transport, issuer)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return (Err(error.into()), None),
        Err(_) => return (Err(Fault::TimedOut), None),
    };
    let (answered, took) = (clock.now(), began.elapsed());
    let between = i64::midpoint(asked.as_millis(), answered.as_millis());
    let skew = answer.date.filter(|_| !answer.html).map(|date| skew(between, date));
    let read = match discovery::read(issuer, &answer) {
        Ok(_) => Ok(took),
        Err(error) => Err(other_issuer(issuer, &answer.body).unwrap_or(Fault::Document(error))),
    };
    (read, skew)
}

fn skew(here: i64, there: Timestamp) -> Skew {
    // The header tells whole seconds that have passed: half of one more on average.
    let millis = here - there.as_millis() - 500;
    Skew { by: Span::seconds((millis.abs() + 500) / 1000), ahead: millis > 0 }
}

/// The issuer the document names, when it is plainly another one.
fn other_issuer(issuer: &Issuer, body: &[u8]) -> Option<Fault> {
    let document = json::object(body)?;
    let said = json::text(&document, "issuer")?;
    (said != issuer.as_str() && !said.contains('{')).then(|| Fault::OtherIssuer(show::sanitise(said, show::CAP)))
}
