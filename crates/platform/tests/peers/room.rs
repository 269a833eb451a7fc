//! A place to meet peers in: listeners, a lookup, and copies of Perl that are ordinary programs.

use broker::{Peer, Program};
use platform::peer::{FirstParty, Lookup};
use std::{
    ffi::OsStr,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::AsFd as _,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Connects to the Unix socket and waits for the end of its input. A copy of Perl running this is an ordinary program.
pub(crate) const DIAL: &str = "use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; \
                    connect($s, sockaddr_un($ENV{PEER_SOCKET})) or die; ";

/// Connects to the TCP port of 127.0.0.1.
pub(crate) const DIAL_TCP: &str = "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die; \
                        connect($s, sockaddr_in($ENV{PEER_PORT}, inet_aton('127.0.0.1'))) or die; ";

pub(crate) const WAIT: &str = "$SIG{PIPE}='IGNORE'; <STDIN>;";

/// A child that does not outlive its test.
pub(crate) struct Kept(pub(crate) Child);

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Room {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) unix: UnixListener,
    pub(crate) tcp: TcpListener,
    pub(crate) lookup: Lookup,
}

impl Room {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = directory.path().join("own");
        std::fs::create_dir(&own).unwrap();
        let lookup = Lookup::new(FirstParty::in_directory(&own));
        Self { directory, unix, tcp, lookup }
    }

    /// With a first-party `daypass`, which is a copy of Perl.
    pub(crate) fn with_daypass() -> (Self, PathBuf) {
        let mut room = Self::new();
        let daypass = room.copy_perl("own/daypass");
        room.lookup = Lookup::new(FirstParty::in_directory(&room.path("own")));
        (room, daypass)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn copy_perl(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let path = self.path("").join(Path::new(name.as_ref()));
        std::fs::copy("/usr/bin/perl", &path).unwrap();
        path
    }

    pub(crate) fn start(&self, command: &mut Command) -> Kept {
        command
            .env("PEER_SOCKET", self.path("socket"))
            .env("PEER_PORT", self.tcp.local_addr().unwrap().port().to_string())
            .current_dir(self.path(""))
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit());
        loop {
            match command.spawn() {
                Ok(child) => return Kept(child),
                // Another test forked while the file was being written.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn accept(&self) -> UnixStream {
        accept_within(&self.unix, |listener| listener.accept().map(|(stream, _)| stream), UnixListener::set_nonblocking)
    }

    pub(crate) fn accept_tcp(&self) -> (TcpStream, SocketAddr, SocketAddr) {
        let stream = accept_within(
            &self.tcp,
            |listener| listener.accept().map(|(stream, _)| stream),
            TcpListener::set_nonblocking,
        );
        let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        (stream, local, remote)
    }

    /// Starts a command that connects to the Unix socket, and tells who it is.
    pub(crate) fn meet(&self, command: &mut Command) -> (Kept, UnixStream, Peer) {
        let child = self.start(command);
        let stream = self.accept();
        let peer = self.lookup.unix(stream.as_fd()).unwrap();
        (child, stream, peer)
    }
}

pub(crate) fn accept_within<L, S>(
    listener: &L,
    accept: impl Fn(&L) -> std::io::Result<S>,
    set_nonblocking: impl Fn(&L, bool) -> std::io::Result<()>,
) -> S {
    set_nonblocking(listener, true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match accept(listener) {
            Ok(stream) => return stream,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < deadline, "nobody connected");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn perl(path: &Path, text: &str) -> Command {
    let mut command = Command::new(path);
    command.arg("-e").arg(text);
    command
}

pub(crate) fn dial() -> String {
    format!("{DIAL}{WAIT}")
}

pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[track_caller]
pub(crate) fn script_of(peer: &Peer) -> (&Path, &Path) {
    match &peer.program {
        Some(Program::Script { interpreter, script }) => (&interpreter.path, &script.path),
        other => panic!("expected a script, got {other:?}"),
    }
}
