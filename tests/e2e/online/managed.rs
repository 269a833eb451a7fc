//! A managed layer through the test flag.

use e2e::{
    process,
    world::{Options, World},
};
use std::{process::Command, time::Duration};

fn sha256(file: &std::path::Path) -> String {
    let output = process::run(Command::new("sha256sum").arg(file), "", Duration::from_mins(1)).ok();
    output.split_whitespace().next().unwrap().trim_start_matches('\\').to_owned()
}

/// A managed layer with an account and a resource of its own: what the user's layer describes cannot be preapproved.
fn managed(peer: &str) -> World {
    let text = format!(
        r#"version = 1
name = "Example Corp"

[accounts.it]
issuer = "ISSUER"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid"]

[resources.wages]
account = "it"
token = "access"
audience = "https://payments.example.com"
request = "resource"
scopes = ["payments.read"]
consent = "preapproved"
peers = [{peer}]
"#
    );
    let world = World::new(Options { managed: Some(text), ..Options::default() });
    world.daypass(&["login", "it"]).ok();
    world
}

#[test]
fn a_listed_program_is_not_asked_and_others_are() {
    let me = std::env::current_exe().unwrap();
    let world = managed(&format!("{{ path = {:?}, sha256 = {:?} }}", me.display().to_string(), sha256(&me)));
    let windows = world.windows();
    world.daypass(&["token", "wages"]).ok();
    assert_eq!(world.windows(), windows, "no question");
    let other = world.home.script("other");
    world.home.run(&other, &["token", "wages"], "", Duration::from_secs(30)).fails(6);
    let status = world.status();
    assert_eq!(
        (status["test_policy"].as_bool(), status["profile"]["name"].as_str()),
        (Some(true), Some("Example Corp"))
    );
}

#[test]
fn a_path_the_user_can_write_needs_a_digest() {
    let world = managed(r#"{ script = "HOME/bin/tool" }"#);
    let script = world.home.script("tool");
    // Writable by everybody, so that it counts for root too.
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    world.home.run(&script, &["token", "wages"], "", Duration::from_secs(30)).fails(6);
}

#[test]
fn the_user_layer_cannot_preapprove() {
    let me = std::env::current_exe().unwrap();
    let peer = format!("{{ path = {:?}, sha256 = {:?} }}", me.display().to_string(), sha256(&me));
    let world = World::signed_in(Options {
        more_profile: format!(
            "\n[resources.more]\naccount = \"corp\"\ntoken = \"access\"\naudience = \"https://api.example.com\"\nrequest = \"resource\"\nscopes = [\"api.read\"]\nconsent = \"preapproved\"\npeers = [{peer}]\n"
        ),
        ..Options::default()
    });
    let output = world.daypass(&["token", "more"]);
    assert_ne!(output.code, 0, "{output:?}");
}

#[test]
fn a_package_stands_for_its_own_programs_only() {
    if !std::path::Path::new("/var/lib/dpkg/info/curl.list").exists() {
        println!("SKIPPED a_package_stands_for_its_own_programs_only: curl is not from a Debian package");
        return;
    }
    let world = managed(r#"{ package = "deb:curl" }"#);
    let socket = world.home.socket().display().to_string();
    let json = ["-H", "Content-Type: application/json", "-d", r#"{"resource":"wages"}"#];
    let windows = world.windows();
    let answer = world.home.curl(&[&["--unix-socket", &socket, "http://localhost/v1/token"][..], &json].concat()).ok();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(world.windows(), windows, "no question");
    // A copy has the same bytes, and no package.
    let copy = world.home.path().join("home/bin/curl-of-mine");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::copy(std::fs::canonicalize("/usr/bin/curl").unwrap(), &copy).unwrap();
    let words = [&["--silent", "--include", "--unix-socket", &socket, "http://localhost/v1/token"][..], &json].concat();
    let answer = world.home.run(&copy, &words, "", Duration::from_secs(30)).ok();
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("consent_required"), "{answer}");
}
