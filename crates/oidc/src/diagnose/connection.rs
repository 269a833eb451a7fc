//! Names, connections, and the tunnel through a proxy.
//!
//! Invariant: a proxy gets its own password and the name of the host, and nothing else.

use super::{Fault, handshake::handshake};
use crate::{http::Trust, show, way::Proxy};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    task::JoinSet,
};

/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 6;
/// Most bytes of a proxy's answer to `CONNECT`.
const MOST_HEAD: usize = 8 * 1024;

pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<IpAddr>, Fault> {
    let found = lookup_host((host, port)).await.map_err(|error| Fault::NoAddress(said(&error)))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address.ip()) && addresses.len() < MOST_ADDRESSES {
            addresses.push(address.ip());
        }
    }
    if addresses.is_empty() { Err(Fault::NoAddress("it has no address".to_owned())) } else { Ok(addresses) }
}

/// What the system says, without its own address or number.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit(": ").next().unwrap_or(&text);
    show::sentence(text.split(" (os error").next().unwrap_or(text)).to_lowercase()
}

/// Tries all addresses at once; the first that answers counts.
pub(super) async fn connect(addresses: Vec<IpAddr>, port: u16) -> Result<(TcpStream, SocketAddr), Fault> {
    let mut tries = JoinSet::new();
    for address in addresses {
        let place = SocketAddr::new(address, port);
        tries.spawn(async move { TcpStream::connect(place).await.map(|stream| (stream, place)) });
    }
    let mut last = Fault::NoRoute;
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error)) => last = broken(&error),
            Err(_) => {}
        }
    }
    Err(last)
}

pub(super) fn broken(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::Refused,
        io::ErrorKind::TimedOut => Fault::TimedOut,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkDown => {
            Fault::NoRoute
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            Fault::Broken("the other side closes it".to_owned())
        }
        _ => Fault::Broken(said(error)),
    }
}

/// What a stage hands to the next.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Asks a proxy to let us through to `host` (RFC 9110 §9.3.6).
pub(super) async fn tunnel(
    trust: &Trust,
    proxy: &Proxy,
    mut stream: Box<dyn Stream>,
    host: &str,
    port: u16,
) -> Result<Box<dyn Stream>, Fault> {
    match proxy.scheme.as_str() {
        "http" => {}
        "https" => stream = handshake(trust, &proxy.host, stream).await?.0,
        _ => return Err(Fault::Socks),
    }
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(|error| broken(&error))?;
    stream.flush().await.map_err(|error| broken(&error))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.map_err(|error| broken(&error))?;
        head.push(byte);
        if head.len() > MOST_HEAD || !b"HTTP/1.".starts_with(&head[..head.len().min(7)]) {
            return Err(Fault::NoProxy);
        }
    }
    let status = std::str::from_utf8(&head).ok().and_then(|head| head.split(' ').nth(1)).and_then(|s| s.parse().ok());
    match status {
        Some(200..=299) => Ok(stream),
        Some(407) => Err(Fault::ProxyWantsPassword),
        Some(status) => Err(Fault::ProxyRefuses(status)),
        None => Err(Fault::NoProxy),
    }
}
