//! What a hostile process may try to be taken for another, case by case; the names in brackets are the case's own.

use super::{lines, room::*};
use broker::{Peer, Program};
use platform::peer::LookupError;
use std::{
    io::Write as _,
    os::{
        fd::AsFd as _,
        unix::fs::{PermissionsExt as _, symlink},
    },
    path::Path,
    process::{Command, Stdio},
};

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// Path and key of an ordinary program.
fn told(peer: &Peer) -> (String, String) {
    let program = peer.program.as_ref().unwrap_or_else(|| panic!("not identified: {peer:?}"));
    (program.file().path.display().to_string(), program.key().to_string())
}

/// [N12] The process that connected has ended and its number is another's before anybody accepts.
#[test]
fn a_number_given_away_before_accepting_is_not_the_peer() {
    const LAST: &str = "/proc/sys/kernel/ns_last_pid";
    if !is_root() || std::fs::OpenOptions::new().write(true).open(LAST).is_err() {
        println!("SKIPPED a_number_given_away_before_accepting_is_not_the_peer: only root can choose process numbers");
        return;
    }
    let room = Room::new();
    // Other programs take numbers too, so it may need some tries.
    for _ in 0..200 {
        let mut first = room.start(&mut perl(Path::new("/usr/bin/perl"), DIAL));
        let number = first.0.id();
        first.0.wait().unwrap();
        std::fs::write(LAST, (number - 1).to_string()).unwrap();
        let later = Kept(Command::new("sleep").arg("60").stdin(Stdio::piped()).spawn().unwrap());
        let stream = room.accept();
        if later.0.id() != number {
            continue;
        }
        assert_eq!(room.lookup.uid_of_unix(stream.as_fd()).unwrap().1, number);
        assert!(room.lookup.instance_of(number).is_some(), "somebody has that number");
        if kernel_is_older_than_6_5() {
            println!("SKIPPED a_number_given_away_before_accepting_is_not_the_peer: this kernel cannot tell");
            return;
        }
        assert_eq!(room.lookup.connected(stream.as_fd(), number), None, "but it did not connect");
        let refused = room.lookup.unix(stream.as_fd());
        assert!(matches!(refused, Err(LookupError::Unidentified { .. })), "{refused:?}");
        // A good one is told.
        let (_child, _stream, peer) = room.meet(&mut perl(Path::new("/usr/bin/perl"), &dial()));
        assert!(peer.program.is_some());
        return;
    }
    panic!("the number was never given away");
}

fn kernel_is_older_than_6_5() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(6), Some(5))
}

/// [N15] The asker forks and ends; its child holds the socket.
#[test]
fn the_heir_of_a_connection_on_the_socket_is_nobody() {
    let room = Room::new();
    let tool = room.copy_perl("tool");
    let text = format!(
        "{DIAL} $| = 1; <STDIN>; my $pid = fork(); if ($pid) {{ print \"$pid\\n\"; exit }} \
         open STDIN, '<', '/dev/null'; sleep 60;"
    );
    let mut child = room.start(perl(&tool, &text).stdout(Stdio::piped()));
    let stream = room.accept();
    let peer = room.lookup.unix(stream.as_fd()).unwrap();
    let life = room.lookup.life_of(peer.instance);
    assert!(room.lookup.recheck(&peer) && life.as_ref().is_none_or(|life| !life.has_ended()));
    writeln!(child.0.stdin.as_mut().unwrap()).unwrap();
    let heir: u32 = lines(child.0.stdout.take().unwrap()).recv_timeout(PATIENCE).unwrap().parse().unwrap();
    child.0.wait().unwrap();
    assert!(Path::new(&format!("/proc/{heir}")).exists(), "the child holds it");
    assert!(!room.lookup.recheck(&peer));
    assert!(life.is_none_or(|life| life.has_ended()));
    let later = room.lookup.unix(stream.as_fd());
    kill(heir);
    assert!(matches!(later, Err(LookupError::Unidentified { .. })), "{later:?}");
}

/// [L08, N18] Other names of an allowed executable, and an allowed name of another executable.
#[test]
fn a_name_is_worth_what_lies_behind_it() {
    let room = Room::new();
    let (tool, other) = (room.copy_perl("tool"), room.copy_perl("other"));
    std::fs::write(&other, [std::fs::read(&other).unwrap(), b"changed".to_vec()].concat()).unwrap();
    let met = |path: &Path| {
        let (_child, _stream, peer) = room.meet(&mut perl(path, &dial()));
        told(&peer)
    };
    let (path, key) = met(&tool);
    assert_eq!(path, tool.display().to_string());

    symlink(&tool, room.path("symlink")).unwrap();
    assert_eq!(met(&room.path("symlink")), (path.clone(), key.clone()), "a symbolic link is what it leads to");
    std::fs::hard_link(&tool, room.path("hard")).unwrap();
    assert_ne!(met(&room.path("hard")).1, key, "a hard link is a place of its own");
    std::fs::rename(&tool, room.path("moved")).unwrap();
    assert_ne!(met(&room.path("moved")).1, key, "so is where it moved to");

    for (how, put) in [
        ("a symbolic link", Box::new(|| symlink(&other, &tool)) as Box<dyn Fn() -> std::io::Result<()>>),
        ("a hard link", Box::new(|| std::fs::hard_link(&other, &tool))),
        ("a copy", Box::new(|| std::fs::copy(&other, &tool).map(|_| ()))),
    ] {
        let _ = std::fs::remove_file(&tool);
        put().unwrap();
        assert_ne!(met(&tool).1, key, "another program by {how} at its place");
    }
    std::fs::remove_file(&tool).unwrap();
    std::fs::rename(room.path("moved"), &tool).unwrap();
    assert_eq!(met(&tool).1, key, "and the good one, back in its place, is itself");
}

/// Takes a bind mount away again.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn bind(from: &Path, to: &Path) -> Option<Mounted> {
    let output = Command::new("mount").arg("--bind").arg(from).arg(to).output().unwrap();
    output.status.success().then(|| Mounted(to.to_owned()))
}

/// [N13, L08] A bind mount over the executable between asking and delivery, and one that shows it elsewhere.
#[test]
fn a_bind_mount_makes_no_program_another() {
    if !is_root() {
        println!("SKIPPED a_bind_mount_makes_no_program_another: only root can mount");
        return;
    }
    let room = Room::new();
    let (tool, other, place) = (room.copy_perl("tool"), room.copy_perl("other"), room.file("place", ""));
    std::fs::write(&other, [std::fs::read(&other).unwrap(), b"changed".to_vec()].concat()).unwrap();
    let (_child, _stream, peer) = room.meet(&mut perl(&tool, &dial()));
    let Some(mounted) = bind(&other, &tool) else {
        println!("SKIPPED a_bind_mount_makes_no_program_another: mounting is not allowed here");
        return;
    };
    assert!(!room.lookup.recheck(&peer), "what lies at its path is another file now");
    let covered = room.meet(&mut perl(&tool, &dial()));
    assert_ne!(told(&covered.2).1, told(&peer).1, "what is mounted there is not the program");
    drop(covered);
    drop(mounted);
    let _shown = bind(&tool, &place).unwrap();
    let (_child, _stream, elsewhere) = room.meet(&mut perl(&place, &dial()));
    assert_ne!(told(&elsewhere).1, told(&peer).1, "another place");
    let (_child, _stream, again) = room.meet(&mut perl(&tool, &dial()));
    assert_eq!(told(&again).1, told(&peer).1);
}

/// [L09] A deleted executable, and a file that bears the name the kernel gives to a deleted one.
#[test]
fn a_deleted_executable_is_not_what_bears_its_name() {
    let room = Room::new();
    // The name is taken by another file with the same bytes, or by the very file.
    for (how, put) in [
        ("nothing", "1"),
        ("another file", "system('cp', '/usr/bin/perl', \"$me (deleted)\") == 0"),
        ("the same file", "link($me, \"$me (deleted)\")"),
    ] {
        let tool = room.copy_perl("tool");
        let text = format!("my $me = $ENV{{ME}}; ({put}) or die; unlink $me or die; {DIAL}{WAIT}");
        let (_child, _stream, peer) = room.meet(perl(&tool, &text).env("ME", &tool));
        match &peer.program {
            None => assert_ne!(how, "the same file"),
            // That is what it runs, and where that lies: another program than the one that was there.
            Some(program) => {
                assert_eq!((how, &program.file().path), ("the same file", &room.path("tool (deleted)")));
            }
        }
        let _ = std::fs::remove_file(room.path("tool (deleted)"));
    }
}

/// [L09] Started through a descriptor, a program is the file behind it.
#[test]
fn a_program_started_through_a_descriptor_is_its_file() {
    let room = Room::new();
    let tool = room.copy_perl("tool");
    let text = "import os\nfd = os.open(os.environ['ME'], os.O_RDONLY)\nos.set_inheritable(fd, True)\n\
                os.execv(f'/proc/self/fd/{fd}', ['/usr/bin/git', '-e', os.environ['TEXT']])";
    let (_child, _stream, peer) =
        room.meet(Command::new("python3").args(["-c", text]).env("ME", &tool).env("TEXT", dial()));
    assert_eq!(told(&peer).0, tool.display().to_string(), "and not what it calls itself");
}

/// [L14] The one who asked hands its open connection to another process.
#[test]
fn a_connection_that_was_handed_over_is_still_who_opened_it_or_nobody() {
    let room = Room::new();
    let text = "import os, socket, sys\n\
                here, there = socket.socketpair()\n\
                child = os.fork()\n\
                if child == 0:\n\
                \x20   os.close(0); here.close()\n\
                \x20   held = socket.recv_fds(there, 1, 1)\n\
                \x20   there.sendall(b'!')\n\
                \x20   there.recv(1)\n\
                \x20   os._exit(0)\n\
                there.close()\n\
                if os.environ['KIND'] == 'tcp':\n\
                \x20   s = socket.create_connection(('127.0.0.1', int(os.environ['PEER_PORT'])))\n\
                else:\n\
                \x20   s = socket.socket(socket.AF_UNIX); s.connect(os.environ['PEER_SOCKET'])\n\
                for order in sys.stdin:\n\
                \x20   if order == 'pass\\n': socket.send_fds(here, [b'.'], [s.fileno()]); here.recv(1)\n\
                \x20   if order == 'close\\n': s.close()\n\
                \x20   if order == 'end\\n': os._exit(0)\n\
                \x20   print(child, flush=True)\n";
    let start =
        |kind: &str| room.start(Command::new("python3").args(["-c", text]).env("KIND", kind).stdout(Stdio::piped()));
    let order = |child: &mut Kept, said: &std::sync::mpsc::Receiver<String>, word: &str| -> u32 {
        writeln!(child.0.stdin.as_mut().unwrap(), "{word}").unwrap();
        said.recv_timeout(PATIENCE).unwrap().parse().unwrap()
    };

    let mut child = start("tcp");
    let said = lines(child.0.stdout.take().unwrap());
    let (_stream, local, remote) = room.accept_tcp();
    let peer = room.lookup.tcp(local, remote).unwrap();
    assert!(room.lookup.recheck_tcp(&peer, local, remote));
    let receiver = order(&mut child, &said, "pass");
    let error = room.lookup.tcp(local, remote).unwrap_err();
    assert!(matches!(&error, LookupError::Unidentified { reason, .. } if reason.contains("several")), "{error:?}");
    assert!(!room.lookup.recheck_tcp(&peer, local, remote), "two hold it");
    order(&mut child, &said, "close");
    assert!(!room.lookup.recheck_tcp(&peer, local, remote), "it gave it away");
    let heir = room.lookup.tcp(local, remote).unwrap();
    assert_eq!(heir.instance.pid, receiver, "who received it is itself");
    kill(receiver);

    let mut child = start("unix");
    let said = lines(child.0.stdout.take().unwrap());
    let stream = room.accept();
    let peer = room.lookup.unix(stream.as_fd()).unwrap();
    let receiver = order(&mut child, &said, "pass");
    assert!(room.lookup.recheck(&peer), "it lives, and may hand on what it gets in any case");
    assert_eq!(room.lookup.unix(stream.as_fd()).unwrap().instance.pid, child.0.id(), "never the one who received it");
    writeln!(child.0.stdin.as_mut().unwrap(), "end").unwrap();
    child.0.wait().unwrap();
    assert!(!room.lookup.recheck(&peer), "whoever received it gets nothing when the other is gone");
    assert!(room.lookup.unix(stream.as_fd()).is_err());
    kill(receiver);
}

/// [L16] Names a process gives itself: brackets, lines, terminal sequences, bytes that are no text, and long ones.
#[test]
fn no_name_upsets_the_look() {
    let room = Room::new();
    let tool = room.copy_perl("tool");
    for (name, begins) in [
        (r") R 1 1", &b") R 1 1"[..]),
        (r"x\\n) R 1 1", b"x\n) R 1 1"),
        (r"\\x1b[31m\\xff", b"\x1b[31m\xff"),
        (r"(((", b"((("),
    ] {
        let name = name.replace("\\\\", "\\");
        let text = format!("$0 = \"{name}\"; {}", dial());
        let (_child, _stream, peer) = room.meet(&mut perl(&tool, &text));
        let comm = std::fs::read(format!("/proc/{}/comm", peer.instance.pid)).unwrap();
        assert!(comm.starts_with(begins), "the fixture sets its name: {comm:?}");
        assert_eq!(told(&peer).0, tool.display().to_string(), "{name}");
        assert!(room.lookup.recheck(&peer), "{name}");
    }
    let (_child, _stream, peer) = room.meet(&mut perl(&tool, &format!("$0 = 'x' x 4096; {}", dial())));
    assert_eq!(told(&peer).0, tool.display().to_string());
    // A path as long as paths get is told in full or not at all.
    for (depth, known) in [(14, true), (17, false)] {
        let text = "for (1..$ENV{DEPTH}) { my $d = 'd' x 250; mkdir $d; chdir $d or die }\n\
                    system('cp', '/usr/bin/perl', 'tool') == 0 or die; exec {'./tool'} 'tool', '-e', $ENV{TEXT}";
        let mut command = perl(Path::new("/usr/bin/perl"), text);
        let (_child, _stream, peer) = room.meet(command.env("DEPTH", depth.to_string()).env("TEXT", dial()));
        match &peer.program {
            Some(program) => assert!(known && program.file().path.as_os_str().len() > 14 * 250, "{depth}: {program:?}"),
            None => assert!(!known, "{depth}: {:?}", room.lookup.why_unidentified(&peer)),
        }
    }
}

/// [L12] The case of a hidden process is an ordinary user's: root runs it as one.
#[test]
fn a_process_that_hides_itself_is_not_identified_by_an_ordinary_user() {
    if !is_root() {
        // The test beside runs as it is.
        return;
    }
    let room = tempfile::tempdir().unwrap();
    std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = room.path().join("peers");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["--exact", "a_process_that_hides_itself_is_not_identified"])
        .env("TMPDIR", "/tmp")
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// [N13] A shell and what it runs are told apart even if the interpreter is replaced.
#[test]
fn a_replaced_interpreter_makes_its_scripts_others() {
    let room = Room::new();
    let interpreter = room.copy_perl("perl5.99");
    let script = room.file("tool.pl", &dial());
    let (_child, _stream, before) = room.meet(Command::new(&interpreter).arg(&script));
    assert!(matches!(before.program, Some(Program::Script { .. })), "{before:?}");
    let changed = [std::fs::read(&interpreter).unwrap(), b"changed".to_vec()].concat();
    std::fs::remove_file(&interpreter).unwrap();
    std::fs::write(&interpreter, changed).unwrap();
    std::fs::set_permissions(&interpreter, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(!room.lookup.recheck(&before));
    let (_child, _stream, after) = room.meet(Command::new(&interpreter).arg(&script));
    assert_ne!(told(&after).1, told(&before).1);
}
