//! Minted tokens, verified by libraries that are not ours.

use e2e::{
    claims, process,
    world::{Options, World},
};
use serde_json::Value;
use std::{process::Command, time::Duration};

fn verify(world: &World, command: &mut Command, token: &str, audience: &str) -> process::Output {
    let verifier = e2e::provider_folder();
    command.args([world.home.address().as_str(), audience]).current_dir(verifier);
    process::run(command, token, Duration::from_secs(30))
}

/// The Python that has `PyJWT`: the system's own, or the first on the path.
fn python() -> &'static str {
    let has = |python: &&str| {
        let mut command = Command::new(python);
        process::run(command.args(["-c", "import jwt, cryptography"]), "", Duration::from_secs(20)).code == 0
    };
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .filter(|p| !p.starts_with('/') || std::path::Path::new(p).exists())
        .find(has)
        .expect("python3 with PyJWT and cryptography is not installed: run `make test`")
}

#[test]
fn a_minted_token_is_verified_by_two_foreign_libraries() {
    let world = World::signed_in(Options { keyring: true, ..Options::default() });
    let token = world.permit("local", &[]);
    let ours = claims(&token);
    assert_eq!((ours["sub"].as_str(), ours["aud"].as_str()), (Some("alice"), Some("http://localhost:8080")));
    assert_eq!(ours["iss"], world.home.address());
    let life = ours["exp"].as_i64().unwrap() - ours["iat"].as_i64().unwrap();
    assert!((60..=300).contains(&life), "{life}");
    assert!(ours["auth_time"].is_i64(), "{ours}");
    let client = ours["client_id"].as_str().unwrap();
    assert!(client.starts_with("sha256:") || client.starts_with("deb:"), "{client}");
    let answer = world.daypass(&["token", "local", "--format", "json"]).json();
    assert_eq!(answer["issued_token_type"], localapi::JWT_TYPE);
    let jose = || {
        let mut command = Command::new("node");
        command.arg("verify.mjs");
        command
    };
    let pyjwt = || {
        let mut command = Command::new(python());
        command.arg("verify.py");
        command
    };
    for command in [jose, pyjwt as fn() -> Command] {
        let seen: Value = verify(&world, &mut command(), &token, "http://localhost:8080").json();
        assert_eq!(seen["claims"], ours);
        assert_eq!((seen["header"]["typ"].as_str(), seen["header"]["alg"].as_str()), (Some("at+jwt"), Some("ES256")));
        assert_ne!(verify(&world, &mut command(), &token, "http://localhost:9999").code, 0, "another audience");
        let (head, tail) = token.split_at(token.len() - 8);
        let forged = format!("{head}{}", tail.chars().rev().collect::<String>());
        assert_ne!(verify(&world, &mut command(), &forged, "http://localhost:8080").code, 0, "a forged signature");
    }
}

#[test]
fn the_key_outlives_the_agent_and_no_two_tokens_are_alike() {
    let mut world = World::signed_in(Options { keyring: true, ..Options::default() });
    let first = world.permit("local", &[]);
    let second = world.daypass(&["token", "local", "--refresh"]).ok();
    assert_ne!(claims(&first)["jti"], claims(&second)["jti"]);
    let keys = |world: &World| e2e::http::get_on_socket(&world.home.socket(), "/.well-known/jwks.json").unwrap().json();
    let before = keys(&world);
    let key = &before["keys"][0];
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str(), key["alg"].as_str()),
        (Some("EC"), Some("P-256"), Some("ES256"))
    );
    assert!(key.get("d").is_none(), "the private half stays at home");
    world.agent.kill();
    world.agent.restart();
    assert_eq!(keys(&world), before);
}
