//! The command's side of the user socket.
//!
//! Invariant: before a byte is sent, the directory is ours alone, the socket in it is ours, and the kernel says that the
//! process listening there runs as us. A name somebody else took first is refused, not spoken to.

use super::{PathError, Paths, private};
use crate::own_uid;
use rustix::{
    fs::{AtFlags, FileType},
    io::Errno,
    net::sockopt::Timeout,
};
use std::{io, os::unix::fs::MetadataExt as _, os::unix::net::UnixStream, time::Duration};

/// Why the command is not connected to the agent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No agent listens there.
    #[error("the agent is not running\nhint: `daypass agent` starts it")]
    NotRunning,
    /// Something is there that is not the user's own agent; nothing was sent to it.
    #[error("what answers in place of the agent is not yours: {0}\nhint: remove it, or have its owner remove it")]
    Foreign(String),
    /// The connection failed.
    #[error("the agent cannot be reached: {0}")]
    Io(#[from] io::Error),
}

impl From<PathError> for ConnectError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Self::NotRunning,
            PathError::Io { source, .. } => Self::Io(source),
            PathError::Refused { path, reason, .. } => Self::Foreign(format!("{}: {reason}", path.display())),
            other => Self::Foreign(other.to_string()),
        }
    }
}

/// Connects to the user's own agent and checks that it is that.
///
/// `timeout` holds for the connection and for every read and write on it afterwards; zero is taken as one millisecond.
pub fn connect_agent(paths: &Paths, timeout: Duration) -> Result<UnixStream, ConnectError> {
    let timeout = timeout.max(Duration::from_millis(1));
    if let Some(above) = paths.runtime.parent() {
        private::check_above(above)?;
    }
    let directory = private::open_directory(&paths.runtime)?;
    let mode = private::check_owner(&paths.runtime, &directory)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let place = paths.runtime.display();
        return Err(ConnectError::Foreign(format!("{place}: it is open to others (mode {mode:04o})")));
    }
    let socket = paths.socket();
    let facts = match rustix::fs::statat(&directory, "agent.sock", AtFlags::SYMLINK_NOFOLLOW) {
        Ok(facts) => facts,
        Err(Errno::NOENT) => return Err(ConnectError::NotRunning),
        Err(error) => return Err(ConnectError::Io(error.into())),
    };
    if FileType::from_raw_mode(facts.st_mode) != FileType::Socket {
        return Err(ConnectError::Foreign(format!("{}: it is not a socket", socket.display())));
    }
    if facts.st_uid != own_uid() {
        return Err(ConnectError::Foreign(format!("{}: it belongs to user {}", socket.display(), facts.st_uid)));
    }
    let stream = open_stream(&socket, timeout)?;
    check_listener(&stream)?;
    Ok(stream)
}

#[cfg(target_os = "linux")]
fn open_stream(socket: &std::path::Path, timeout: Duration) -> Result<UnixStream, ConnectError> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};
    let fd =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(io::Error::from)?;
    sockopt::set_socket_timeout(&fd, Timeout::Send, Some(timeout)).map_err(io::Error::from)?;
    sockopt::set_socket_timeout(&fd, Timeout::Recv, Some(timeout)).map_err(io::Error::from)?;
    let address = SocketAddrUnix::new(socket).map_err(io::Error::from)?;
    match connect(&fd, &address) {
        Ok(()) => Ok(UnixStream::from(fd)),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Err(ConnectError::NotRunning),
        Err(Errno::AGAIN) => Err(ConnectError::Io(io::ErrorKind::TimedOut.into())),
        Err(error) => Err(ConnectError::Io(error.into())),
    }
}

#[cfg(target_os = "linux")]
fn check_listener(stream: &UnixStream) -> Result<(), ConnectError> {
    let listener = rustix::net::sockopt::socket_peercred(stream).map_err(io::Error::from)?.uid.as_raw();
    if listener == own_uid() {
        Ok(())
    } else {
        Err(ConnectError::Foreign(format!("the listener runs as user {listener}")))
    }
}

/// Untested on this system.
#[cfg(not(target_os = "linux"))]
fn open_stream(socket: &std::path::Path, timeout: Duration) -> Result<UnixStream, ConnectError> {
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConnectError::NotRunning,
        _ => ConnectError::Io(error),
    })?;
    rustix::net::sockopt::set_socket_timeout(&stream, Timeout::Send, Some(timeout)).map_err(io::Error::from)?;
    rustix::net::sockopt::set_socket_timeout(&stream, Timeout::Recv, Some(timeout)).map_err(io::Error::from)?;
    Ok(stream)
}

/// Untested on this system: whose process listens cannot be told, so nothing is sent to it.
#[cfg(not(target_os = "linux"))]
fn check_listener(_: &UnixStream) -> Result<(), ConnectError> {
    Err(ConnectError::Foreign("the listener's user cannot be told on this system".to_owned()))
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{Permissions, create_dir, remove_file, set_permissions, write},
        io::{Read as _, Write as _},
        os::unix::{
            fs::{PermissionsExt as _, symlink},
            net::UnixListener,
        },
        time::Instant,
    };

    const SHORT: Duration = Duration::from_millis(200);

    fn place(room: &tempfile::TempDir) -> Paths {
        let path = room.path().join("daypass");
        Paths { runtime: path.clone(), config: path.clone(), state: path }
    }

    fn foreign(paths: &Paths) -> String {
        match connect_agent(paths, SHORT) {
            Err(ConnectError::Foreign(reason)) => reason,
            other => panic!("expected a foreign place, got {other:?}"),
        }
    }

    #[test]
    fn the_agent_is_found_and_its_silence_times_out() {
        let room = tempfile::tempdir().unwrap();
        let paths = place(&room);
        assert!(matches!(connect_agent(&paths, SHORT), Err(ConnectError::NotRunning)));
        super::super::prepare_private_dir(&paths.runtime).unwrap();
        assert!(matches!(connect_agent(&paths, SHORT), Err(ConnectError::NotRunning)));
        let listener = UnixListener::bind(paths.socket()).unwrap();
        let mut stream = connect_agent(&paths, SHORT).unwrap();
        stream.write_all(b"x").unwrap();
        let started = Instant::now();
        assert!(stream.read(&mut [0; 1]).is_err());
        assert!(started.elapsed() < Duration::from_secs(2));
        drop(listener);
        assert!(matches!(connect_agent(&paths, SHORT), Err(ConnectError::NotRunning)), "a stale socket is nobody");
    }

    #[test]
    fn a_full_queue_does_not_hang_the_command() {
        let room = tempfile::tempdir().unwrap();
        let paths = place(&room);
        super::super::prepare_private_dir(&paths.runtime).unwrap();
        let listener = UnixListener::bind(paths.socket()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let started = Instant::now();
        let results: Vec<_> = (0..4).map(|_| connect_agent(&paths, SHORT)).collect();
        assert!(results.iter().any(|result| matches!(result, Err(ConnectError::Io(_)))), "{results:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn squatted_places_are_not_spoken_to() {
        let room = tempfile::tempdir().unwrap();
        let paths = place(&room);
        let elsewhere = room.path().join("elsewhere");
        create_dir(&elsewhere).unwrap();
        let _listener = UnixListener::bind(elsewhere.join("agent.sock")).unwrap();
        symlink(&elsewhere, &paths.runtime).unwrap();
        assert!(foreign(&paths).contains("symbolic link"));
        remove_file(&paths.runtime).unwrap();
        super::super::prepare_private_dir(&paths.runtime).unwrap();
        write(paths.socket(), "").unwrap();
        assert!(foreign(&paths).contains("not a socket"));
        remove_file(paths.socket()).unwrap();
        symlink(elsewhere.join("agent.sock"), paths.socket()).unwrap();
        assert!(foreign(&paths).contains("not a socket"));
        remove_file(paths.socket()).unwrap();
        let _own = UnixListener::bind(paths.socket()).unwrap();
        set_permissions(&paths.runtime, Permissions::from_mode(0o755)).unwrap();
        assert!(foreign(&paths).contains("open to others"));
        set_permissions(&paths.runtime, Permissions::from_mode(0o700)).unwrap();
        assert!(connect_agent(&paths, SHORT).is_ok());
        if own_uid() == 0 {
            std::os::unix::fs::chown(paths.socket(), Some(12345), None).unwrap();
            assert!(foreign(&paths).contains("12345"));
        }
    }
}
