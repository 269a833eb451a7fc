//! Renders every page with sample data, to look at: `cargo run -p daypass-agent --example preview -- DIR [PORT]`.
//!
//! Writes `NAME.html` and the assets into DIR; with a PORT (0 = any) it also serves them on 127.0.0.1 with the headers
//! the agent sends, so that a page breaking its own Content-Security-Policy is seen here first.
#![allow(clippy::print_stdout, reason = "a tool for a developer's terminal")]

#[path = "../src/pages/views.rs"]
#[allow(dead_code, unused_imports, reason = "the same file as in the agent, where all of it is used")]
mod views;

#[path = "preview/samples.rs"]
mod samples;

use base64::Engine as _;
use sha2::Digest as _;
use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
};

const PAGES: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: preview DIR [PORT]")?);
    write_all(&directory)?;
    if let Some(port) = arguments.next() {
        let listener = TcpListener::bind(("127.0.0.1", port.parse::<u16>()?))?;
        println!("http://{}/", listener.local_addr()?);
        for stream in listener.incoming() {
            // One broken connection is no reason to stop showing pages.
            if let Err(error) = answer(&directory, stream?) {
                println!("{error}");
            }
        }
    }
    Ok(())
}

fn write_all(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(directory.join("assets"))?;
    for (name, text) in [
        ("style.css", views::STYLE),
        ("consent.js", views::CONSENT_JS),
        ("home.js", views::HOME_JS),
        ("mark.svg", views::MARK),
    ] {
        fs::write(directory.join("assets").join(name), text)?;
    }
    let mut names = Vec::new();
    for (name, page) in samples::all()? {
        fs::write(directory.join(format!("{name}.html")), page)?;
        names.push(name);
    }
    let mut index = fs::File::create(directory.join("index.html"))?;
    writeln!(index, "<!doctype html><title>Pages</title><ul>")?;
    for name in names {
        writeln!(index, "<li><a href=\"{name}.html\">{name}</a></li>")?;
    }
    Ok(())
}

fn answer(directory: &Path, mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut line)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = line.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let (status, kind, body) = if path == "healthz" {
        ("204 No Content", "text/plain", String::new())
    } else if path.ends_with("/state") {
        ("200 OK", "application/json", r#"{"state":"pending"}"#.to_owned())
    } else {
        match path.contains("..").then_some(String::new()).map_or_else(|| fs::read_to_string(directory.join(path)), Ok)
        {
            Ok(body) => ("200 OK", kind_of(path), body),
            Err(_) => ("404 Not Found", "text/plain", "not found".to_owned()),
        }
    };
    let policy = if path.starts_with("done-") {
        let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(views::DONE_STYLE));
        format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'")
    } else {
        PAGES.to_owned()
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nContent-Security-Policy: {policy}\r\n\
         X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        _ => "text/html",
    }
}
