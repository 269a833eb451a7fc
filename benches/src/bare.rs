//! The bare handler the agent is measured beside: axum on one thread that parses nothing, checks nobody and answers JSON.

use axum::{Router, body::Bytes, http::header, routing::post};
use std::{net::Ipv4Addr, path::Path};

/// Serves `POST /v1/token` with a body of `size` bytes on a Unix socket and on `port` of 127.0.0.1, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub fn serve(socket: &Path, port: u16, size: usize) -> std::io::Result<()> {
    let body = Bytes::from(format!("{{\"access_token\":\"{}\"}}", "a".repeat(size.saturating_sub(19))));
    let answer = move || {
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        std::future::ready((headers, body.clone()))
    };
    let router = Router::new().route("/v1/token", post(answer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tcp = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let unix = tokio::net::UnixListener::bind(socket)?;
        let over_tcp = tokio::spawn(axum::serve(tcp, router.clone()).into_future());
        axum::serve(unix, router).await?;
        over_tcp.await?
    })
}
