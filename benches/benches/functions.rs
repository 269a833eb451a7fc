//! Single functions of the token path: `cargo bench -p daypass-benches`.
//!
//! Appending an audit line is private to the agent: `make bench` measures it as a part of every request.

#![allow(missing_docs, reason = "criterion's macros make public items without a sentence")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails loudly")]
#![allow(clippy::format_collect, reason = "plain to read, and not what is measured")]

use broker::{CachedToken, Facts, Peer, ScopeSet, Span, Timestamp, decide, resolve};
use criterion::{Criterion, criterion_group, criterion_main};
use platform::peer::{FirstParty, Lookup};
use profile::{Effective, Source, SourceKind};
use std::{
    hint::black_box,
    net::{TcpListener, TcpStream},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    sync::Arc,
    thread,
    time::Duration,
};

/// A profile with this many accounts, ten resources each.
fn big_profile(accounts: usize) -> Vec<Source> {
    let accounts = (0..accounts).map(|account| {
        let resources: String = (0..10)
            .map(|resource| {
                format!(
                    r#"
[resources.r{account}-{resource}]
account = "a{account}"
token = "access"
audience = "https://r{account}-{resource}.example.com"
request = "resource"
scopes = ["r{resource}.read"]
allowed_scopes = ["r{resource}.read", "r{resource}.write"]
consent = "preapproved"
peers = [{{ path = "/usr/bin/git" }}, {{ path = "/usr/bin/curl" }}]
"#
                )
            })
            .collect();
        format!(
            r#"
[accounts.a{account}]
issuer = "https://login{account}.example.com"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile", "email"]
{resources}"#
        )
    });
    let text: String = std::iter::once("version = 1\nname = \"Example Corp\"\n".to_owned()).chain(accounts).collect();
    let file = "/etc/daypass/profile.d/10-corp.toml".to_owned();
    let user = b"version = 1\n[consent]\nidle = \"1h\"\n".to_vec();
    vec![
        Source { file, kind: SourceKind::Managed, bytes: text.into_bytes() },
        Source { file: "/home/alice/.config/daypass/profile.toml".to_owned(), kind: SourceKind::User, bytes: user },
    ]
}

fn effective(sources: &[Source]) -> Effective {
    let effective = profile::resolve(sources, "0.1.0");
    assert!(effective.void.is_empty() && effective.rules.locked.is_none(), "{:?}", effective.diagnostics);
    effective
}

fn decisions(criterion: &mut Criterion) {
    let lookup = Lookup::new(FirstParty::in_directory(tempfile::tempdir().unwrap().path()));
    let (_client, served) = on_socket();
    let peer: Peer = lookup.unix(served.as_fd()).unwrap();
    let rules = effective(&big_profile(20)).rules;
    let scopes: ScopeSet = "r3.read".parse().unwrap();
    criterion.bench_function("broker: resolve one of 200 resources", |bencher| {
        bencher.iter(|| resolve(black_box(&rules), black_box("r7-3"), &scopes).unwrap());
    });
    let wanted = resolve(&rules, "r7-3", &scopes).unwrap();
    let cached = CachedToken {
        value: Arc::new("a token".to_owned().into()),
        kind: wanted.resource.token,
        obtained_at: Timestamp::from_seconds(1_000),
        expires_at: Timestamp::from_seconds(4_600),
        scopes,
    };
    let facts = Facts {
        peer: &peer,
        wanted: &wanted,
        rules: &rules,
        grants: &[],
        cached: Some(&cached),
        now: Timestamp::from_seconds(1_100),
        min_valid: Span::seconds(60),
        refresh: false,
        blocked: false,
        screen_locked: false,
        user_can_write: &|_| false,
        may_follow: &|_, _| false,
    };
    criterion.bench_function("broker: decide", |bencher| bencher.iter(|| decide(black_box(&facts))));
}

fn profiles(criterion: &mut Criterion) {
    let sources = big_profile(20);
    criterion.bench_function("profile: 20 accounts, 200 resources", |bencher| {
        bencher.iter(|| effective(black_box(&sources)));
    });
}

fn on_socket() -> (UnixStream, UnixStream) {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    (client, listener.accept().unwrap().0)
}

fn peers(criterion: &mut Criterion) {
    let lookup = Lookup::new(FirstParty::in_directory(tempfile::tempdir().unwrap().path()));
    // A file that changed just now is not remembered; this one was just built.
    thread::sleep(Duration::from_millis(2500));
    let (_client, served) = on_socket();
    let peer = lookup.unix(served.as_fd()).unwrap();
    criterion.bench_function("peer: this process on the socket", |bencher| {
        bencher.iter(|| lookup.unix(black_box(served.as_fd())).unwrap());
    });
    criterion.bench_function("peer: checked again", |bencher| {
        bencher.iter(|| assert!(lookup.recheck(black_box(&peer))));
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, theirs) = (client.peer_addr().unwrap(), client.local_addr().unwrap());
    let _served = listener.accept().unwrap();
    criterion.bench_function("peer: this process over TCP", |bencher| {
        bencher.iter(|| lookup.tcp(black_box(ours), black_box(theirs)).unwrap());
    });
}

criterion_group!(functions, decisions, profiles, peers);
criterion_main!(functions);
