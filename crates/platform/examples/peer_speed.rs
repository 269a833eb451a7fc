//! How long it takes to tell who a peer is: `cargo run -p daypass-platform --example peer_speed`.
//!
//! Prints the time of one warm lookup, best and median of many: this process itself on the Unix socket and over TCP, and a
//! first-party `daypass` (a copy of this program) that stands for its parent.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("peers cannot be told on this system yet");
}

#[cfg(target_os = "linux")]
mod linux {
    use platform::peer::{Effort, FirstParty, Lookup};
    use std::{
        io::Read as _,
        net::{TcpListener, TcpStream},
        os::{
            fd::AsFd as _,
            unix::net::{UnixListener, UnixStream},
        },
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    const ROUNDS: usize = 4000;

    pub(super) fn main() {
        if let Some(socket) = std::env::args_os().nth(1) {
            let mut stream = UnixStream::connect(socket).unwrap();
            let _ = stream.read(&mut [0]);
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let daypass = room.path().join("daypass");
        std::fs::copy(std::env::current_exe().unwrap(), &daypass).unwrap();
        let lookup = Lookup::new(FirstParty::in_directory(room.path()));
        // A file that changed just now is not remembered.
        std::thread::sleep(Duration::from_millis(2500));

        let path = room.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let _own = UnixStream::connect(&path).unwrap();
        let (served, _) = listener.accept().unwrap();
        let peer = lookup.unix(served.as_fd()).unwrap();
        println!("{:?}", peer.program.as_ref().map(broker::Program::file).map(|file| &file.path));
        measure("unix", || assert!(lookup.unix(served.as_fd()).is_ok()));
        measure("unix, uid only", || assert!(lookup.uid_of_unix(served.as_fd()).is_ok()));
        measure("recheck", || assert!(lookup.recheck(&peer)));
        let sighting = lookup.sight_unix(served.as_fd(), Some(peer.instance), Effort::Full).unwrap();
        measure("unchanged", || assert!(lookup.is_unchanged(&sighting)));
        measure("instance", || assert!(lookup.instance_of(peer.instance.pid).is_some()));
        measure("connected", || assert!(lookup.connected(served.as_fd(), peer.instance.pid).is_some()));
        measure("seen", || assert!(lookup.seen_unix(Some(peer.instance)).is_some()));

        let mut child = Command::new(&daypass).arg(&path).stdin(Stdio::null()).spawn().unwrap();
        let (served, _) = listener.accept().unwrap();
        let peer = lookup.unix(served.as_fd()).unwrap();
        assert!(peer.first_party && peer.subject.pid == std::process::id());
        measure("unix, daypass and its parent", || assert!(lookup.unix(served.as_fd()).is_ok()));
        let quick = || lookup.sight_unix(served.as_fd(), Some(peer.instance), Effort::Quick);
        measure("quick, daypass and its parent", || assert!(quick().is_ok()));
        drop(served);
        child.wait().unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _own = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, remote) = listener.accept().unwrap();
        let local = served.local_addr().unwrap();
        measure("tcp, uid only", || assert!(lookup.uid_of_tcp(local, remote).is_ok()));
        measure("tcp", || assert!(lookup.tcp(local, remote).is_ok()));
        let sighting = lookup.sight_tcp(local, remote).unwrap();
        let mut full = 0;
        measure("tcp, unchanged", || {
            if !lookup.is_unchanged(&sighting) {
                assert!(lookup.look_again(&sighting, Some((local, remote)), Effort::Full).is_some());
                full += 1;
            }
        });
        println!("({full} full looks)");
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let count = processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count();
        println!("({count} processes on this machine)");
    }

    fn measure(what: &str, mut act: impl FnMut()) {
        let mut times: Vec<Duration> = Vec::with_capacity(ROUNDS);
        let started = Instant::now();
        while times.len() < ROUNDS && started.elapsed() < Duration::from_secs(5) {
            let one = Instant::now();
            act();
            times.push(one.elapsed());
        }
        times.sort_unstable();
        println!("{what}: best {:?}, median {:?}", times[0], times[times.len() / 2]);
    }
}
