//! A pause: nothing is issued and nobody is asked, until it is over or taken back.

use e2e::{
    until,
    world::{Options, World},
};
use serde_json::Value;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

fn lines(world: &World, event: &str) -> Vec<Value> {
    world.rows(&["audit"]).into_iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn while_it_is_paused_nobody_gets_anything_and_nobody_is_asked() {
    let mut world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let windows = world.windows();
    let ended = std::thread::scope(|scope| {
        let held = scope.spawn(|| world.daypass(&["token", "api", "--wait", "60s"]));
        until("the question", LIMIT, || (!world.rows(&["requests"]).is_empty()).then_some(()));
        world.daypass(&["pause", "30m"]).ok();
        held.join().unwrap()
    });
    assert!(ended.took < Duration::from_secs(30), "the question ended with the pause: {ended:?}");
    assert!(ended.fails(5).contains("is paused until"), "and says why: {ended:?}");
    for resource in ["payments", "local", "me"] {
        let start = Instant::now();
        let said = world.daypass(&["token", resource, "--wait", "20s"]).fails(5);
        assert!(said.contains("is paused until") && said.contains("daypass resume"), "{resource}: {said}");
        assert!(start.elapsed() < Duration::from_secs(10), "{resource}: at once");
    }
    assert_eq!(world.windows(), windows + 1, "nobody is asked");
    assert!(world.rows(&["requests"]).is_empty());
    assert!(world.rows(&["resources"]).iter().all(|resource| resource["access"] == "nothing"));
    assert!(world.status()["paused_until"].is_string());
    assert!(world.daypass(&["status"]).ok().contains("paused"));

    world.daypass(&["resume"]).ok();
    world.daypass(&["token", "payments"]).ok();
    assert!(world.status()["paused_until"].is_null());
    let (begun, ended) = (lines(&world, "pause.begun"), lines(&world, "pause.ended"));
    assert_eq!((begun.len(), ended.len()), (1, 1), "{begun:?} {ended:?}");
    assert_eq!((begun[0]["via"].as_str(), ended[0]["via"].as_str()), (Some("command, 30m"), Some("command")));
    assert!(begun[0]["program"].is_string(), "who did it");
    world.daypass(&["resume"]).ok();
    assert_eq!(lines(&world, "pause.ended").len(), 1, "there was none");

    // It ends with the agent.
    world.daypass(&["pause", "1h"]).ok();
    world.agent.stop();
    world.agent.restart();
    world.daypass(&["token", "local"]).fails(4);
    assert!(world.status()["paused_until"].is_null());
}

#[test]
fn a_pause_ends_by_itself_and_lasts_a_day_at_most() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    for wrong in ["0s", "25h"] {
        assert!(world.daypass(&["pause", wrong]).fails(2).contains("pause for a day at most"), "{wrong}");
    }
    assert!(world.status()["paused_until"].is_null());
    world.daypass(&["pause", "3s"]).ok();
    world.daypass(&["token", "payments"]).fails(5);
    until("the end of the pause", LIMIT, || (world.daypass(&["token", "payments"]).code == 0).then_some(()));
    until("its line", LIMIT, || lines(&world, "pause.ended").first().map(|line| line["via"] == "time"))
        .then_some(())
        .unwrap();
}
