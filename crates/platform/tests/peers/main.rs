//! Who the peer is, tried with real processes: scripts, copies, deleted and replaced files, forks, namespaces, terminals.
//! What is hostile has its name of the list of cases in brackets; most of it is in `cases`.
#![cfg(all(target_os = "linux", feature = "peers"))]
#![allow(clippy::unwrap_used)]

use broker::Program;
use platform::peer::LookupError;
use std::{
    ffi::OsStr,
    io::{Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    },
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

mod cases;
mod room;
mod sightings;

use room::*;

#[test]
fn an_ordinary_program_is_its_file() {
    let room = Room::new();
    let (one, two) = (room.copy_perl("one"), room.copy_perl("two"));
    let (child, _stream, peer) = room.meet(&mut perl(&one, &dial()));
    let Some(Program::Executable { file, generic_client: false }) = &peer.program else { panic!("{peer:?}") };
    assert_eq!((file.path.as_path(), peer.instance.pid, peer.subject), (one.as_path(), child.0.id(), peer.instance));
    assert_eq!(peer.uid, rustix::process::getuid().as_raw());
    assert!(!peer.first_party && peer.package.is_none());
    assert!(peer.started_by.as_ref().is_some_and(|name| !name.is_empty()));
    assert!(room.lookup.recheck(&peer));
    let (_other_child, _other_stream, other) = room.meet(&mut perl(&two, &dial()));
    let other_file = other.program.as_ref().unwrap().file();
    assert_eq!(other_file.digest, file.digest, "copies have one digest");
    assert_ne!(other.program.as_ref().unwrap().key(), peer.program.as_ref().unwrap().key(), "and two identities");
    let pid = child.0.id();
    drop(child);
    assert!(!room.lookup.recheck(&peer), "process {pid} is gone");
    let curl = room.copy_perl("curl");
    let (_c, _s, peer) = room.meet(&mut perl(&curl, &dial()));
    assert!(matches!(peer.program, Some(Program::Executable { generic_client: true, .. })), "{peer:?}");
}

/// [L09, L16]
#[test]
fn names_that_are_not_text_do_not_matter() {
    let room = Room::new();
    let odd = room.copy_perl(OsStr::from_bytes(b"o\xffdd\n\x1b[1m"));
    let (_child, _stream, peer) = room.meet(&mut perl(&odd, &dial()));
    assert_eq!(peer.program.as_ref().unwrap().file().path, odd);
    let real = room.copy_perl("tool (deleted)");
    let (_child, _stream, peer) = room.meet(&mut perl(&real, &dial()));
    assert_eq!(peer.program.unwrap().file().path, real, "a file may really be called that");
}

/// [L16]
#[test]
fn a_name_full_of_brackets_changes_nothing() {
    let (room, daypass) = Room::with_daypass();
    let tool = room.copy_perl("tool");
    let text = format!("$0 = \") R 1 1 \\x1b[1m\"; {DIAL}{WAIT}");
    let (_child, _stream, peer) = room.meet(&mut perl(&tool, &text));
    let comm = std::fs::read(format!("/proc/{}/comm", peer.instance.pid)).unwrap();
    assert!(comm.starts_with(b") R 1 1"), "the fixture sets its name: {comm:?}");
    assert_eq!(peer.program.as_ref().unwrap().file().path, tool);
    assert!(room.lookup.recheck(&peer));
    let inner = "$0 = \") R 1 1 \\x1b[1m\"; system {$ENV{INNER}} 'tool', '-e', $ENV{TEXT};";
    let (_child, _stream, peer) =
        room.meet(perl(&tool, inner).env("INNER", &tool).env("TEXT", dial()).env("DAYPASS", &daypass));
    assert_eq!(peer.started_by.as_deref(), Some(") R 1 1 ?[1m"));
}

/// [N13, L09]
#[test]
fn files_that_are_gone_or_replaced_are_not_identified() {
    let room = Room::new();
    let (gone, replaced) = (room.copy_perl("gone"), room.copy_perl("replaced"));
    let text = format!("unlink $ENV{{ME}}; {DIAL}{WAIT}");
    let (_child, _stream, peer) = room.meet(perl(&gone, &text).env("ME", &gone));
    assert_eq!(peer.program, None);
    assert!(room.lookup.why_unidentified(&peer).unwrap().contains("no longer at its path"));

    let (_child, _stream, peer) = room.meet(&mut perl(&replaced, &dial()));
    assert!(peer.program.is_some());
    std::fs::remove_file(&replaced).unwrap();
    assert!(!room.lookup.recheck(&peer), "deleted");
    std::fs::copy("/usr/bin/perl", &replaced).unwrap();
    assert!(!room.lookup.recheck(&peer), "replaced by an equal file");

    let text = format!("rename $ENV{{ME}}, \"$ENV{{ME}}.old\"; rename \"$ENV{{ME}}.old\", $ENV{{ME}}; {DIAL}{WAIT}");
    let renamed = room.copy_perl("renamed");
    let (_child, _stream, peer) = room.meet(perl(&renamed, &text).env("ME", &renamed));
    assert_eq!(peer.program.unwrap().file().path, renamed, "the same file at the same path again");
}

/// [L09]
#[test]
fn memory_files_and_the_dynamic_loader_are_not_identified() {
    let room = Room::new();
    let perl_path = std::fs::canonicalize("/usr/bin/perl").unwrap();
    let text = "import os\nfd = os.memfd_create('x')\nos.write(fd, open('/usr/bin/perl', 'rb').read())\n\
                os.execve(fd, ['x', '-e', os.environ['TEXT']], os.environ)";
    let (_child, _stream, peer) = room.meet(Command::new("python3").args(["-c", text]).env("TEXT", dial()));
    assert_eq!(peer.program, None);
    let loader = std::fs::canonicalize("/lib64/ld-linux-x86-64.so.2");
    let Ok(loader) = loader else {
        println!("SKIPPED the dynamic loader: not at its x86-64 place");
        return;
    };
    let (_child, _stream, peer) = room.meet(Command::new(loader).arg(perl_path).arg("-e").arg(dial()));
    assert_eq!(peer.program, None);
    assert!(room.lookup.why_unidentified(&peer).unwrap().contains("dynamic loader"));
}

/// [N14]
#[test]
fn exec_in_place_is_noticed() {
    let room = Room::new();
    let (asker, other) = (room.copy_perl("asker"), room.copy_perl("other"));
    // The socket survives the exec: close-on-exec is off for descriptors up to $^F.
    let text = format!("$^F = 20; {DIAL}<STDIN>; exec {{$ENV{{OTHER}}}} 'asker', '-e', '<STDIN>'");
    let (mut child, _stream, peer) = room.meet(perl(&asker, &text).env("OTHER", &other));
    assert!(room.lookup.recheck(&peer));
    writeln!(child.0.stdin.as_mut().unwrap()).unwrap();
    until("another program", || {
        std::fs::read_link(format!("/proc/{}/exe", peer.instance.pid)).is_ok_and(|path| path == other)
    });
    assert!(!room.lookup.recheck(&peer));
}

#[test]
fn scripts_are_told_apart_from_commands() {
    let room = Room::new();
    let python = "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['PEER_SOCKET'])\n\
                  sys.stdin.readline()\n";
    let script = room.file("tool.py", python);
    let (_child, _stream, peer) = room.meet(Command::new("python3").arg(&script));
    assert_eq!(script_of(&peer).1, script);
    assert!(script_of(&peer).0.file_name().unwrap().to_str().unwrap().starts_with("python"));
    assert!(room.lookup.recheck(&peer));
    std::fs::write(&script, format!("{python}# changed\n")).unwrap();
    assert!(!room.lookup.recheck(&peer), "the script is another one now");

    let (_child, _stream, peer) = room.meet(Command::new("python3").args(["-u", "-X", "utf8", "./tool.py"]));
    assert_eq!(script_of(&peer).1, script, "relative to where it is");
    let (_child, _stream, peer) = room.meet(Command::new("python3").args(["-c", python]));
    assert!(matches!(peer.program, Some(Program::Inline { .. })), "{peer:?}");
    let shebang = room.file("direct", &format!("#!/usr/bin/env python3\n{python}"));
    let (_child, _stream, peer) = room.meet(&mut Command::new(&shebang));
    assert_eq!(script_of(&peer).1, shebang);

    let perl_script = room.file("tool.pl", &dial());
    let (_child, _stream, peer) = room.meet(Command::new("/usr/bin/perl").arg("-w").arg(&perl_script));
    assert_eq!(script_of(&peer).1, perl_script);
    let (_child, _stream, peer) = room.meet(&mut perl(Path::new("/usr/bin/perl"), &dial()));
    assert!(matches!(peer.program, Some(Program::Inline { .. })), "{peer:?}");
    // What a magic link leads to is not a script: standard input, a descriptor.
    let mut from_input = Command::new("/usr/bin/perl");
    let mut child = room.start(from_input.arg("/dev/stdin"));
    child.0.stdin.as_mut().unwrap().write_all(format!("{DIAL}sleep 20;").as_bytes()).unwrap();
    drop(child.0.stdin.take());
    let stream = room.accept();
    let peer = room.lookup.unix(stream.as_fd()).unwrap();
    assert!(matches!(peer.program, Some(Program::Inline { .. })), "{peer:?}");
    // A process that went elsewhere: its relative script cannot be found, so it has none.
    let text = format!("chdir '/'; {}", dial());
    room.file("moved.pl", &text);
    let (_child, _stream, peer) = room.meet(Command::new("/usr/bin/perl").arg("moved.pl"));
    assert!(matches!(peer.program, Some(Program::Inline { .. })), "{peer:?}");
}

#[test]
fn daypass_stands_for_its_parent() {
    let (room, daypass) = Room::with_daypass();
    let script = room.file("job.sh", "#!/bin/sh\n\"$DAYPASS\" -e \"$TEXT\"\nexit 0\n");
    let (_child, _stream, peer) = room.meet(Command::new(&script).env("DAYPASS", &daypass).env("TEXT", dial()));
    assert!(peer.first_party);
    assert_eq!(script_of(&peer).1, script);
    assert_ne!(peer.subject, peer.instance);
    assert!(room.lookup.recheck(&peer));

    let inline = "\"$DAYPASS\" -e \"$TEXT\"; exit 0";
    let mut command = Command::new("sh");
    let (_child, _stream, peer) = room.meet(command.args(["-c", inline]).env("DAYPASS", &daypass).env("TEXT", dial()));
    assert!(matches!(peer.program, Some(Program::Inline { .. })) && peer.first_party, "{peer:?}");

    let text = "system {$ENV{DAYPASS}} 'daypass', '-e', $ENV{TEXT};";
    let (_child, _stream, peer) = room.meet(perl(&daypass, text).env("DAYPASS", &daypass).env("TEXT", dial()));
    let Some(Program::Inline { interpreter }) = &peer.program else { panic!("one level only: {peer:?}") };
    assert_eq!(interpreter.path, daypass);

    let elsewhere = room.copy_perl("daypass");
    let (_child, _stream, peer) = room.meet(&mut perl(&elsewhere, &dial()));
    assert!(!peer.first_party, "only what lies beside the agent is its own");
    assert_eq!(peer.program.unwrap().file().path, elsewhere);
}

#[test]
fn daypass_without_a_parent_asks_for_nobody() {
    let (room, daypass) = Room::with_daypass();
    let pid_file = room.path("pid");
    let text = format!(
        "$0 = 'orphan'; until (getppid() != $ENV{{PARENT}}) {{ select(undef,undef,undef,0.01) }} {DIAL}sleep 20"
    );
    let shell = "PARENT=$$; export PARENT; \"$DAYPASS\" -e \"$TEXT\" < /dev/null & echo $! > \"$PID_FILE.new\"; \
                 mv \"$PID_FILE.new\" \"$PID_FILE\"";
    let child = room.start(
        Command::new("sh").args(["-c", shell]).env("DAYPASS", &daypass).env("TEXT", text).env("PID_FILE", &pid_file),
    );
    let stream = room.accept();
    let peer = room.lookup.unix(stream.as_fd()).unwrap();
    let orphan: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let adopted_by_init = std::fs::read_to_string(format!("/proc/{orphan}/status")).unwrap().contains("\nPPid:\t1\n");
    rustix::process::kill_process(rustix::process::Pid::from_raw(orphan).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    assert!(peer.first_party);
    if adopted_by_init {
        assert_eq!((peer.program, peer.subject), (None, peer.instance));
    } else {
        println!("NOTE: orphans are adopted by a subreaper here; it is {:?}", peer.program);
        assert!(!peer.program.is_some_and(|program| program.may_hold_always()));
    }
    drop(child);
}

#[test]
fn a_replaced_daypass_is_ours_only_if_root_put_it_there() {
    let (room, daypass) = Room::with_daypass();
    let (_child, _stream, before) = room.meet(&mut perl(&daypass, &dial()));
    assert!(before.first_party);
    std::fs::remove_file(&daypass).unwrap();
    std::fs::copy("/usr/bin/perl", &daypass).unwrap();
    assert!(!room.lookup.recheck(&before), "the running file is no longer at its path");
    if !is_root() {
        let (_child, _stream, after) = room.meet(&mut perl(&daypass, &dial()));
        assert!(!after.first_party, "not root's, and not what was there at the start");
        return;
    }
    let (_child, _stream, upgraded) = room.meet(&mut perl(&daypass, &dial()));
    assert!(upgraded.first_party, "an upgrade by root is ours");
    std::os::unix::fs::chown(&daypass, Some(12345), None).unwrap();
    let (_child, _stream, foreign) = room.meet(&mut perl(&daypass, &dial()));
    assert!(!foreign.first_party, "a file of another user is not");
    std::os::unix::fs::chown(&daypass, Some(0), None).unwrap();
    std::fs::set_permissions(&daypass, std::fs::Permissions::from_mode(0o775)).unwrap();
    let (_child, _stream, loose) = room.meet(&mut perl(&daypass, &dial()));
    assert!(!loose.first_party, "nor one others may change");
}

#[test]
fn tcp_peers_are_the_sole_holder_of_their_socket() {
    let (room, daypass) = Room::with_daypass();
    let tool = room.copy_perl("tool");
    let child = room.start(&mut perl(&tool, &format!("{DIAL_TCP}{WAIT}")));
    let (stream, local, remote) = room.accept_tcp();
    let peer = room.lookup.tcp(local, remote).unwrap();
    assert_eq!(
        (peer.instance.pid, peer.program.as_ref().unwrap().file().path.as_path()),
        (child.0.id(), tool.as_path())
    );
    assert!(room.lookup.recheck_tcp(&peer, local, remote) && room.lookup.recheck(&peer));
    assert_eq!(room.lookup.uid_of_tcp(local, remote).unwrap().0, peer.uid);
    drop(child);
    until("the socket is closed", || room.lookup.uid_of_tcp(local, remote).is_err());
    assert!(matches!(room.lookup.tcp(local, remote), Err(LookupError::Unknown(_))));
    assert!(!room.lookup.recheck_tcp(&peer, local, remote));
    drop(stream);

    let _child = room.start(&mut perl(&daypass, &format!("{DIAL_TCP}{WAIT}")));
    let (_stream, local, remote) = room.accept_tcp();
    let peer = room.lookup.tcp(local, remote).unwrap();
    assert!(!peer.first_party && peer.subject == peer.instance, "no first party over TCP: {peer:?}");

    let _child =
        room.start(Command::new("bash").args(["-c", "exec 3<>\"/dev/tcp/127.0.0.1/$PEER_PORT\"; read -r line"]));
    let (_stream, local, remote) = room.accept_tcp();
    assert!(matches!(room.lookup.tcp(local, remote).unwrap().program, Some(Program::Inline { .. })));
}

/// [N15, L14]
#[test]
fn a_socket_with_two_holders_has_no_peer() {
    let room = Room::new();
    let tool = room.copy_perl("tool");
    // The child holds the socket too, until the parent is told to end it; then the parent alone does.
    let text = format!(
        "{DIAL_TCP} my $pid = fork(); if (!$pid) {{ sleep 60; exit }} syswrite STDOUT, \"forked\\n\"; <STDIN>; \
         kill 9, $pid; waitpid $pid, 0; syswrite STDOUT, \"alone\\n\"; <STDIN>;"
    );
    let mut child = room.start(perl(&tool, &text).stdout(Stdio::piped()));
    let (_stream, local, remote) = room.accept_tcp();
    let said = lines(child.0.stdout.take().unwrap());
    assert_eq!(said.recv_timeout(PATIENCE).unwrap(), "forked");
    let error = room.lookup.tcp(local, remote).unwrap_err();
    assert!(matches!(&error, LookupError::Unidentified { reason, .. } if reason.contains("several")), "{error:?}");
    assert!(room.lookup.uid_of_tcp(local, remote).is_ok(), "pages need the user id only");
    writeln!(child.0.stdin.as_mut().unwrap()).unwrap();
    assert_eq!(said.recv_timeout(PATIENCE).unwrap(), "alone");
    let peer = room.lookup.tcp(local, remote).unwrap();
    assert_eq!(peer.instance.pid, child.0.id());

    // The asker forks and dies: what is left is another process.
    let text = format!(
        "{DIAL_TCP} syswrite STDOUT, \"here\\n\"; <STDIN>; if (fork()) {{ exit }} syswrite STDOUT, \"left\\n\"; sleep 60;"
    );
    let mut child = room.start(perl(&tool, &text).stdout(Stdio::piped()));
    let (_stream, local, remote) = room.accept_tcp();
    let said = lines(child.0.stdout.take().unwrap());
    assert_eq!(said.recv_timeout(PATIENCE).unwrap(), "here");
    let peer = room.lookup.tcp(local, remote).unwrap();
    writeln!(child.0.stdin.as_mut().unwrap()).unwrap();
    assert_eq!(said.recv_timeout(PATIENCE).unwrap(), "left");
    child.0.wait().unwrap();
    assert!(!room.lookup.recheck_tcp(&peer, local, remote), "the one who asked is gone");
    let heir = room.lookup.tcp(local, remote).unwrap();
    assert_ne!(heir.instance, peer.instance);
    let heir = rustix::process::Pid::from_raw(i32::try_from(heir.instance.pid).unwrap()).unwrap();
    rustix::process::kill_process(heir, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn lines(mut from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        let (mut text, mut buffer) = (String::new(), [0; 256]);
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            while let Some((line, rest)) = text.split_once('\n') {
                if said.send(line.trim_end_matches('\r').to_owned()).is_err() {
                    return;
                }
                text = rest.to_owned();
            }
        }
    });
    heard
}

#[test]
fn a_mapped_ipv6_socket_is_the_same_connection() {
    let room = Room::new();
    let port = room.tcp.local_addr().unwrap().port();
    let text =
        format!("import socket, sys\ns = socket.create_connection(('::ffff:127.0.0.1', {port}))\nsys.stdin.readline()");
    let child = room.start(Command::new("python3").args(["-c", &text]));
    let (_stream, local, remote) = room.accept_tcp();
    assert!(remote.is_ipv4(), "the agent sees an IPv4 peer");
    let peer = room.lookup.tcp(local, remote).unwrap();
    assert!(matches!(peer.program, Some(Program::Inline { .. })), "{peer:?}");
    assert!(room.lookup.recheck_tcp(&peer, local, remote));
    drop(child);
}

/// [L02, L04, L05, N18]
#[test]
fn other_users_and_other_namespaces_are_strangers() {
    if !is_root() {
        println!("SKIPPED other_users_and_other_namespaces_are_strangers: needs root");
        return;
    }
    let room = Room::new();
    std::fs::set_permissions(room.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(room.path("socket"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let as_other = |text: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=12345", "--regid=12345", "--clear-groups", "/usr/bin/perl", "-e", text]);
        command
    };
    let _child = room.start(&mut as_other(&dial()));
    let stream = room.accept();
    assert_eq!(room.lookup.unix(stream.as_fd()), Err(LookupError::OtherUser { uid: 12345 }));
    let _child = room.start(&mut as_other(&format!("{DIAL_TCP}{WAIT}")));
    let (_stream, local, remote) = room.accept_tcp();
    assert_eq!(room.lookup.tcp(local, remote), Err(LookupError::OtherUser { uid: 12345 }));

    for flag in ["--mount", "--net", "--user"] {
        let mut command = Command::new("unshare");
        command.args([flag, "--", "/usr/bin/perl", "-e", &dial()]);
        if !Command::new("unshare").args([flag, "true"]).status().is_ok_and(|status| status.success()) {
            println!("SKIPPED unshare {flag}: not allowed here");
            continue;
        }
        let _child = room.start(&mut command);
        let stream = room.accept();
        match room.lookup.unix(stream.as_fd()) {
            Ok(peer) => {
                assert_eq!(peer.program, None, "{flag}");
                assert!(room.lookup.why_unidentified(&peer).unwrap().contains("namespace"), "{flag}");
            }
            Err(error) => assert!(matches!(error, LookupError::OtherUser { .. }), "{flag}: {error}"),
        }
    }
}

/// [L12]
#[test]
fn a_process_that_hides_itself_is_not_identified() {
    if is_root() {
        println!("SKIPPED a_process_that_hides_itself_is_not_identified: root reads hidden processes too");
        return;
    }
    let room = Room::new();
    let tool = room.copy_perl("tool");
    // prctl(PR_SET_DUMPABLE, 0); its number differs between architectures.
    let number = if cfg!(target_arch = "x86_64") { 157 } else { 167 };
    let (_child, _stream, peer) =
        room.meet(&mut perl(&tool, &format!("syscall({number}, 4, 0, 0, 0, 0) == 0 or die; {}", dial())));
    assert_eq!(peer.program, None);
    assert!(room.lookup.recheck(&peer), "it lives, and is still nobody");
}

/// A shell in a terminal of its own, as the leader of its session.
fn terminal(room: &Room, shell: &[&str], daypass: &Path) -> (Kept, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let name = Path::new(OsStr::from_bytes(name.to_bytes())).to_path_buf();
    let slave = std::fs::File::options().read(true).write(true).open(name).unwrap();
    let child = Command::new("setsid")
        .arg("--ctty")
        .args(shell)
        .env("PEER_SOCKET", room.path("socket"))
        .env("DAYPASS", daypass)
        .env("TEXT", format!("{DIAL}sleep 60"))
        .env("PS1", "$ ")
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave)
        .spawn()
        .unwrap();
    let master = std::fs::File::from(master);
    let mut drain = master.try_clone().unwrap();
    thread::spawn(move || while drain.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    (Kept(child), master)
}

#[test]
fn an_interactive_shell_stands_for_its_terminal() {
    let (room, daypass) = Room::with_daypass();
    for shell in [&["bash", "--norc", "-i"][..], &["sh", "-i"], &["bash", "--norc"]] {
        let (child, mut keys) = terminal(&room, shell, &daypass);
        let mut ask = |line: &str| {
            writeln!(keys, "{line}").unwrap();
            let stream = room.accept();
            let peer = room.lookup.unix(stream.as_fd()).unwrap();
            let pid = rustix::process::Pid::from_raw(i32::try_from(peer.instance.pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            peer
        };
        let direct = ask("\"$DAYPASS\" -e \"$TEXT\"");
        let Some(Program::Terminal { leader, tty, .. }) = direct.program.as_ref() else {
            panic!("{shell:?}: {direct:?}")
        };
        assert_eq!((leader.pid, Some(*leader)), (child.0.id(), direct.session_leader), "{shell:?}");
        assert_ne!(*tty, 0);
        let key = direct.program.as_ref().map(Program::key);
        for line in [
            "\"$DAYPASS\" -e \"$TEXT\" < /dev/null &",
            "( \"$DAYPASS\" -e \"$TEXT\"; true )",
            "( ( \"$DAYPASS\" -e \"$TEXT\"; true ); true )",
            "echo x | ( \"$DAYPASS\" -e \"$TEXT\"; true )",
        ] {
            let peer = ask(line);
            assert_eq!(peer.program.as_ref().map(Program::key), key, "{shell:?} {line}: {peer:?}");
        }
        for line in [
            "sh -c '\"$DAYPASS\" -e \"$TEXT\"; true'",
            "echo '\"$DAYPASS\" -e \"$TEXT\"; true' | sh",
            "echo '\"$DAYPASS\" -e \"$TEXT\"; true' | bash --norc",
            "sh -s < \"$INPUT\" || echo '\"$DAYPASS\" -e \"$TEXT\"; true' | sh -s",
        ] {
            let peer = ask(line);
            assert!(matches!(peer.program, Some(Program::Inline { .. })), "{shell:?} {line}: {peer:?}");
        }
    }
}

#[test]
fn a_shell_without_a_terminal_is_nobody_in_particular() {
    let (room, daypass) = Room::with_daypass();
    let mut command = Command::new("setsid");
    let mut child =
        room.start(command.args(["--wait", "sh"]).env("DAYPASS", &daypass).env("TEXT", format!("{DIAL}sleep 60")));
    writeln!(child.0.stdin.as_mut().unwrap(), "\"$DAYPASS\" -e \"$TEXT\" < /dev/null & echo; wait").unwrap();
    let stream = room.accept();
    let peer = room.lookup.unix(stream.as_fd()).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(peer.instance.pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(matches!(peer.program, Some(Program::Inline { .. })), "{peer:?}");
}

#[test]
fn a_session_whose_leader_has_ended_is_its_eldest_process() {
    let (room, daypass) = Room::with_daypass();
    let job = room.file("job", "#!/bin/sh\nsleep 1\n\"$DAYPASS\" -e \"$TEXT\"\n\"$DAYPASS\" -e \"$TEXT\"\n");
    let mut leader = Command::new("setsid")
        .args(["sh", "-c", "\"$0\" & :"])
        .arg(&job)
        .env("PEER_SOCKET", room.path("socket"))
        .env("DAYPASS", daypass)
        .env("TEXT", format!("{DIAL}sleep 60"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    leader.wait().unwrap();
    let ask = || {
        let stream = room.accept();
        let peer = room.lookup.unix(stream.as_fd()).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(peer.instance.pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        peer
    };
    let (first, second) = (ask(), ask());
    assert_ne!(first.instance, second.instance);
    assert_eq!(first.session_leader, Some(first.subject), "{first:?}");
    assert_eq!(first.session_leader, second.session_leader);
}

#[test]
fn packages_are_known_once_asked_for() {
    let perl_path = std::fs::canonicalize("/usr/bin/perl").unwrap();
    if !Path::new("/var/lib/dpkg/info/perl-base.list").exists() {
        println!("SKIPPED packages_are_known_once_asked_for: not a Debian system");
        return;
    }
    let room = Room::new();
    let (_child, _stream, peer) = room.meet(&mut perl(&perl_path, &dial()));
    assert_eq!(peer.package, None, "not on the way of a token");
    assert_eq!(room.lookup.package_of(peer.program.as_ref().unwrap().file()).as_deref(), Some("deb:perl-base"));
    let (_child, _stream, peer) = room.meet(&mut perl(&perl_path, &dial()));
    assert_eq!(peer.package.as_deref(), Some("deb:perl-base"));
}

/// [N12]
#[test]
fn only_the_process_that_connected_is_the_peer() {
    let room = Room::new();
    let child = room.start(&mut perl(Path::new("/usr/bin/perl"), &dial()));
    let stream = room.accept();
    let connected = room.lookup.instance_of(child.0.id()).unwrap();
    assert!(room.lookup.unix_at(stream.as_fd(), Some(connected)).is_ok());
    let earlier = broker::ProcessInstance { start_time: connected.start_time - 1, ..connected };
    for other in [Some(earlier), None] {
        let refused = room.lookup.unix_at(stream.as_fd(), other);
        assert!(matches!(refused, Err(LookupError::Unidentified { .. })), "{refused:?}");
    }
}
