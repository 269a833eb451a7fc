//! What only root can try: another user, and another network.
//!
//! `DAYPASS_TEST_USER` names the ordinary user whose agent it is. The tests run as root with that user's programs.

mod updated;

use e2e::{agent::Agent, home::Home, process, world};
use std::{fs, process::Command, sync::Arc, time::Duration};

const NOBODY: (u32, u32) = (65_534, 65_534);

fn number(flag: &str, user: &str) -> u32 {
    process::run(Command::new("id").args([flag, user]), "", Duration::from_secs(5)).ok().parse().expect("an id")
}

/// An agent of the ordinary user.
fn agent_of_user() -> (Agent, Arc<Home>, (u32, u32)) {
    assert!(rustix::process::geteuid().is_root(), "these cases need root: .ci/run runs them");
    let user = std::env::var("DAYPASS_TEST_USER").expect("DAYPASS_TEST_USER names an ordinary user");
    let ids = (number("-u", &user), number("-g", &user));
    let home = Arc::new(Home::of(Some(ids)));
    home.write_profile(&world::profile("http://127.0.0.1:9", world::free_port()));
    (Agent::start(&home, None), home, ids)
}

fn curl_as(user: (u32, u32), words: &[&str]) -> process::Output {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--include", "--max-time", "10", "--noproxy", "*"])
        .args(words)
        .current_dir("/");
    process::run(process::as_user(&mut command, Some(user)), "", Duration::from_secs(20))
}

#[test]
fn another_user_gets_no_byte_over_tcp() {
    let (_agent, home, owner) = agent_of_user();
    let health = format!("{}/healthz", home.address());
    for stranger in [NOBODY, (0, 0)] {
        for words in [&[health.as_str()][..], &["-H", "Host: attacker.example", &health]] {
            let output = curl_as(stranger, words);
            // 52: empty reply; 56: reset before a byte.
            assert!([52, 56].contains(&output.code), "uid {}: {output:?}", stranger.0);
            assert_eq!(output.stdout, "");
        }
    }
    assert!(curl_as(owner, &[&health]).ok().starts_with("HTTP/1.1 204"), "the user's own curl is served");
}

#[test]
fn another_user_cannot_use_the_socket() {
    let (_agent, home, owner) = agent_of_user();
    let socket = home.socket().display().to_string();
    let words = ["--unix-socket", &socket, "http://localhost/healthz"];
    let output = curl_as(NOBODY, &words);
    assert_eq!((output.code, output.stdout.as_str()), (7, ""), "cannot even connect: {output:?}");
    // Permissions do not stop root, so the agent does: it closes at once, which curl may take for a failed connect.
    let refused = |output: &process::Output| [7, 52, 56].contains(&output.code) && output.stdout.is_empty();
    let output = curl_as((0, 0), &words);
    assert!(refused(&output), "{output:?}");
    // Nor do they stop anybody once they were opened by mistake.
    for file in [home.runtime(), home.runtime().join("daypass"), home.socket()] {
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let output = curl_as(NOBODY, &words);
    assert!(refused(&output), "{output:?}");
    assert!(curl_as(owner, &words).ok().starts_with("HTTP/1.1 204"));
}

#[test]
fn another_user_reads_no_file_of_it() {
    let (_agent, home, owner) = agent_of_user();
    let mut unreadable = 0;
    for file in [home.database(), home.socket(), home.runtime().join("daypass/address")] {
        if !file.exists() {
            continue;
        }
        let mut command = Command::new("cat");
        process::as_user(command.arg(&file), Some(NOBODY)).current_dir("/");
        assert_ne!(process::run(&mut command, "", Duration::from_secs(5)).code, 0, "{}", file.display());
        unreadable += 1;
    }
    assert!(unreadable >= 2, "there were files to try");
    let mut command = Command::new("cat");
    process::as_user(command.arg(home.runtime().join("daypass/address")), Some(owner)).current_dir("/");
    process::run(&mut command, "", Duration::from_secs(5)).ok();
}

#[test]
fn another_network_does_not_reach_it() {
    let (_agent, home, (uid, gid)) = agent_of_user();
    let inner = format!(
        "ip link set lo up && exec setpriv --reuid {uid} --regid {gid} --clear-groups curl --silent --noproxy '*' --max-time 5 {}/healthz",
        home.address()
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &inner]).current_dir("/");
    let output = process::run(&mut command, "", Duration::from_secs(20));
    assert_eq!((output.code, output.stdout.as_str()), (7, ""), "nobody listens there: {output:?}");
}

#[test]
fn a_command_of_another_user_trusts_no_foreign_socket() {
    let (_agent, home, _) = agent_of_user();
    // Root points its own `daypass` at the user's runtime folder: the owner is wrong, so nothing is sent.
    let mut command = Command::new(e2e::program("daypass"));
    home.prepare(command.args(["token", "payments"]));
    process::as_user(&mut command, Some((0, 0)));
    process::run(&mut command, "", Duration::from_secs(10)).fails(3);
}
