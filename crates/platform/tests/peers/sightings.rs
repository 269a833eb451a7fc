//! Cheap looks at peers: what they see, and what they leave to the full one.

use super::{lines, room::*};
use broker::Program;
use platform::peer::{Effort, Sighting};
use std::{
    io::Write as _,
    os::fd::AsFd as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Long enough that a file written before it counts as settled.
fn settle() {
    thread::sleep(Duration::from_millis(2300));
}

#[test]
fn a_cheap_look_sees_what_changed() {
    let room = Room::new();
    let (exec, other, replaced, killed) =
        (room.copy_perl("exec"), room.copy_perl("other"), room.copy_perl("replaced"), room.copy_perl("killed"));
    let tool = room.file("tool.py", "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['PEER_SOCKET'])\nsys.stdin.readline()\n");
    settle();
    let sight = |command: &mut Command| {
        let child = room.start(command);
        let stream = room.accept();
        let connected = room.lookup.instance_of(child.0.id());
        let sighting = room.lookup.sight_unix(stream.as_fd(), connected, Effort::Full).unwrap();
        assert!(room.lookup.is_unchanged(&sighting), "{sighting:?}");
        assert!(
            room.lookup.look_again(&sighting, None, Effort::Full).is_some_and(|again| room.lookup.is_unchanged(&again))
        );
        assert!(room.lookup.seen_unix(connected).is_some_and(|seen| seen.peer() == sighting.peer()));
        (child, stream, sighting)
    };
    let changed = |what: &str, sighting: &Sighting| {
        until(what, || !room.lookup.is_unchanged(sighting));
        assert!(room.lookup.look_again(sighting, None, Effort::Full).is_none(), "{what}");
        assert!(room.lookup.seen_unix(Some(sighting.peer().instance)).is_none(), "{what}");
    };

    std::fs::hard_link(&exec, room.path("link")).unwrap();
    settle();
    for other in [&other, &room.path("link")] {
        let text = format!("$^F = 20; {DIAL}<STDIN>; exec {{$ENV{{OTHER}}}} 'exec', '-e', '<STDIN>'");
        let (mut child, _stream, sighting) = sight(perl(&exec, &text).env("OTHER", other));
        writeln!(child.0.stdin.as_mut().unwrap()).unwrap();
        changed("it runs another program, or the same by another name", &sighting);
    }

    let (_child, _stream, sighting) = sight(&mut perl(&replaced, &format!("{DIAL}{WAIT}")));
    std::fs::copy(&replaced, room.path("copy")).unwrap();
    std::fs::rename(room.path("copy"), &replaced).unwrap();
    changed("its file was replaced by an equal one", &sighting);

    let (child, _stream, sighting) = sight(&mut perl(&killed, &format!("{DIAL}{WAIT}")));
    drop(child);
    changed("it has ended", &sighting);

    let (_child, _stream, sighting) = sight(Command::new("python3").arg(&tool));
    assert!(matches!(sighting.peer().program, Some(Program::Script { .. })));
    std::os::unix::fs::symlink(&tool, room.path("current.py")).unwrap();
    for word in [Path::new("./tool.py"), Path::new("tool.py"), &room.path("current.py")] {
        // After a turned link or from another directory the same words mean another script.
        let child = room.start(Command::new("python3").arg(word));
        let stream = room.accept();
        let connected = room.lookup.instance_of(child.0.id());
        let sighting = room.lookup.sight_unix(stream.as_fd(), connected, Effort::Full).unwrap();
        assert_eq!(script_of(sighting.peer()).1, tool, "{}", word.display());
        assert!(!room.lookup.is_unchanged(&sighting), "{}", word.display());
        assert!(room.lookup.look_again(&sighting, None, Effort::Quick).is_none(), "{}", word.display());
        assert!(room.lookup.look_again(&sighting, None, Effort::Full).is_some());
    }
    std::fs::write(&tool, "# another\n").unwrap();
    changed("its script was rewritten", &sighting);
}

#[test]
fn a_file_that_changed_just_now_gets_no_cheap_look() {
    let room = Room::new();
    let tool = room.copy_perl("tool");
    let child = room.start(&mut perl(&tool, &format!("{DIAL}{WAIT}")));
    let stream = room.accept();
    let sighting = room.lookup.sight_unix(stream.as_fd(), room.lookup.instance_of(child.0.id()), Effort::Full).unwrap();
    assert!(!room.lookup.is_unchanged(&sighting));
    let mut again = room.lookup.look_again(&sighting, None, Effort::Full).expect("it is the same");
    until("the file is settled", || {
        again = room.lookup.look_again(&again, None, Effort::Full).expect("it is the same");
        room.lookup.is_unchanged(&again)
    });
}

#[test]
fn a_cheap_look_over_tcp_sees_a_second_holder() {
    let room = Room::new();
    let tool = room.copy_perl("tool");
    settle();
    let text = format!(
        "{DIAL_TCP} $| = 1; while (<STDIN>) {{ if (/fork/) {{ if (!fork()) {{ sleep 60; exit }} print \"forked\\n\" }} \
         if (/close/) {{ close $s; print \"closed\\n\" }} }}"
    );
    for (order, answer) in [("fork", "forked"), ("close", "closed")] {
        let mut child = room.start(perl(&tool, &text).stdout(Stdio::piped()));
        let (_stream, local, remote) = room.accept_tcp();
        let said = lines(child.0.stdout.take().unwrap());
        let sighting = room.lookup.sight_tcp(local, remote).unwrap();
        assert!(room.lookup.is_unchanged(&sighting), "{sighting:?}");
        // A process that has nothing to do with it changes nothing.
        let mut bystander = Kept(Command::new("sleep").arg("60").stdin(Stdio::piped()).spawn().unwrap());
        assert!(room.lookup.is_unchanged(&sighting));
        writeln!(child.0.stdin.as_mut().unwrap(), "{order}").unwrap();
        assert_eq!(said.recv_timeout(PATIENCE).unwrap(), answer);
        assert!(!room.lookup.is_unchanged(&sighting), "{order}");
        assert!(room.lookup.look_again(&sighting, Some((local, remote)), Effort::Full).is_none(), "{order}");
        let _ = bystander.0.kill();
        if order == "fork" {
            // The child would outlive this test.
            let group = format!("pkill -KILL -P {}", child.0.id());
            Command::new("sh").args(["-c", &group]).status().unwrap();
        }
    }
    // What was found by a look at every process holds for a second.
    let _child = room.start(&mut perl(&tool, &format!("{DIAL_TCP}{WAIT}")));
    let (_stream, local, remote) = room.accept_tcp();
    let sighting = room.lookup.sight_tcp(local, remote).unwrap();
    thread::sleep(Duration::from_millis(1100));
    assert!(!room.lookup.is_unchanged(&sighting));
    let again = room.lookup.look_again(&sighting, Some((local, remote)), Effort::Full).expect("it is the same");
    assert!(room.lookup.is_unchanged(&again));
}

#[test]
fn words_that_only_contain_the_path_of_the_script_get_no_cheap_look() {
    let room = Room::new();
    let text = "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['PEER_SOCKET'])\nsys.stdin.readline()\n";
    let tool = room.file("tool.py", text);
    settle();
    // The first word is what runs; from another directory it would be another script, the second word would not.
    let child = room.start(Command::new("python3").arg("tool.py").arg(&tool));
    let stream = room.accept();
    let connected = room.lookup.instance_of(child.0.id());
    let sighting = room.lookup.sight_unix(stream.as_fd(), connected, Effort::Full).unwrap();
    assert_eq!(script_of(sighting.peer()).1, tool);
    assert!(!room.lookup.is_unchanged(&sighting));
    assert!(room.lookup.seen_unix(connected).is_none());
    assert!(room.lookup.sight_unix(stream.as_fd(), connected, Effort::Quick).is_err(), "a relative path is not quick");
}

#[test]
fn a_quick_look_tells_only_what_was_seen_in_full() {
    let room = Room::new();
    let tool = room.copy_perl("tool");
    settle();
    let meet = || {
        let child = room.start(&mut perl(&tool, &format!("{DIAL}{WAIT}")));
        let stream = room.accept();
        let connected = room.lookup.instance_of(child.0.id());
        (child, stream, connected)
    };
    let (_first, stream, connected) = meet();
    assert!(room.lookup.sight_unix(stream.as_fd(), connected, Effort::Quick).is_err(), "nobody has read its file yet");
    let full = room.lookup.sight_unix(stream.as_fd(), connected, Effort::Full).unwrap();
    let (_second, stream, connected) = meet();
    let quick = room.lookup.sight_unix(stream.as_fd(), connected, Effort::Quick).unwrap();
    assert_eq!(quick.peer().program, full.peer().program);
    assert_ne!(quick.peer().instance, full.peer().instance);
    assert!(room.lookup.is_unchanged(&quick));
}
