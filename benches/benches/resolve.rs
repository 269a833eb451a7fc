//! Profiles: `cargo bench -p daypass-benches --bench resolve`. A profile of 25 accounts, 1,000 resources and 10,000
//! preapproved programs resolves in less than 50 ms, which is checked before anything is measured.

#![allow(missing_docs, reason = "criterion's macros make public items without a sentence")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails loudly")]
#![allow(clippy::panic, reason = "a benchmark fails loudly")]

use criterion::{Criterion, criterion_group, criterion_main};
use profile::{Effective, Source, SourceKind};
use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

/// What a large organisation may have, and how long it may take.
const ACCOUNTS: usize = 25;
const RESOURCES: usize = 1_000;
const PEERS: usize = 10_000;
const LIMIT: Duration = Duration::from_millis(50);

fn large() -> Vec<Source> {
    let mut text = "version = 1\nname = \"Example Corp\"\n".to_owned();
    for account in 0..ACCOUNTS {
        let _ = write!(
            text,
            "[accounts.a{account}]\nissuer = \"https://login{account}.example.com\"\nclient_id = \"daypass\"\nscopes = [\"openid\", \"email\"]\n"
        );
    }
    for resource in 0..RESOURCES {
        let peers: Vec<String> = (0..PEERS / RESOURCES)
            .map(|peer| format!("{{ path = \"/opt/example/bin/tool-{resource}-{peer}\" }}"))
            .collect();
        let _ = write!(
            text,
            "[resources.r{resource}]\naccount = \"a{}\"\naudience = \"https://r{resource}.example.com\"\nscopes = [\"read\"]\n\
             allowed_scopes = [\"read\", \"write\"]\nconsent = \"preapproved\"\npeers = [{}]\n",
            resource % ACCOUNTS,
            peers.join(", ")
        );
    }
    let file = "/etc/daypass/profile.d/10-corp.toml".to_owned();
    let own = "version = 1\n[consent]\nidle = \"1h\"\n[resources.r7]\nsensitive = true\n".to_owned();
    vec![
        Source { file, kind: SourceKind::Managed, bytes: text.into_bytes() },
        Source {
            file: "/home/alice/.config/daypass/profile.toml".to_owned(),
            kind: SourceKind::User,
            bytes: own.into(),
        },
    ]
}

fn resolved(sources: &[Source]) -> Effective {
    let effective = profile::resolve(black_box(sources), "0.1.0");
    assert_eq!((effective.rules.accounts.len(), effective.rules.resources.len()), (ACCOUNTS, RESOURCES));
    assert!(effective.diagnostics.is_empty(), "{:?}", effective.diagnostics);
    effective
}

fn resolve(criterion: &mut Criterion) {
    let sources = large();
    let once = || {
        let started = Instant::now();
        black_box(resolved(&sources));
        started.elapsed()
    };
    let mut times: Vec<Duration> = (0..15).map(|_| once()).collect();
    times.sort();
    assert!(times[7] < LIMIT, "resolving takes {:?}, more than {LIMIT:?}", times[7]);
    criterion.bench_function("resolve 25 accounts, 1,000 resources, 10,000 programs", |bencher| {
        bencher.iter(|| resolved(&sources));
    });
    let (before, mut changed) = (resolved(&sources), sources.clone());
    changed[1].bytes.extend_from_slice(b"[resources.r8]\nsensitive = true\n");
    let after = resolved(&changed);
    assert_eq!(profile::diff(&before.values, &after.values).len(), 1);
    criterion.bench_function("tell the difference of two such profiles", |bencher| {
        bencher.iter(|| profile::diff(black_box(&before.values), black_box(&after.values)));
    });
}

criterion_group!(benches, resolve);
criterion_main!(benches);
