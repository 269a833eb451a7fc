//! A hardened agent: nobody reads it, and it still tells who its peers are.
#![cfg(all(target_os = "linux", feature = "peers"))]
#![allow(clippy::unwrap_used)]

use platform::{
    peer::{FirstParty, Lookup},
    process,
};
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use std::{
    net::TcpListener,
    os::{
        fd::AsFd as _,
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    process::{Command, Stdio},
};

#[test]
fn a_hardened_process_dumps_nothing_and_tells_its_peers() {
    process::harden().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let core = getrlimit(Resource::Core);
    assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let (unix, tcp) = (UnixListener::bind(room.path().join("s")).unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let tool = room.path().canonicalize().unwrap().join("tool");
    std::fs::copy("/usr/bin/perl", &tool).unwrap();
    let text = "use Socket; socket(my $u, AF_UNIX, SOCK_STREAM, 0) or die; connect($u, sockaddr_un($ENV{U})) or die; \
                socket(my $t, PF_INET, SOCK_STREAM, 0) or die; \
                connect($t, sockaddr_in($ENV{T}, inet_aton('127.0.0.1'))) or die; <STDIN>";
    let mut child = Command::new(&tool)
        .args(["-e", text])
        .env("U", room.path().join("s"))
        .env("T", tcp.local_addr().unwrap().port().to_string())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let (unix, _) = unix.accept().unwrap();
    let (tcp, remote) = tcp.accept().unwrap();
    let lookup = Lookup::new(FirstParty::in_directory(room.path()));
    let one = lookup.unix(unix.as_fd());
    let two = lookup.tcp(tcp.local_addr().unwrap(), remote);
    drop(child.stdin.take());
    child.wait().unwrap();
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.program.as_ref().map(|program| program.file().path.clone()), Some(tool));
    assert_eq!(one, two);
}
