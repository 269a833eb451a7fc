//! Notifications on a real bus: once for each cause, as text, and never an answer.

use dev_issuer::{Config, DevIssuer};
use e2e::{
    agent::Agent,
    browser::Mode,
    bus::Bus,
    home::Home,
    notifications::Notifications,
    process::Running,
    until,
    world::{Options, World, browser_command, free_port, profile},
};
use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(20);
const ASKS: &str = "A program wants a pass";
const SIGN_IN: &str = "Please sign in";

/// Alice signed in, with a keychain on a bus, and a notification service there.
fn world(options: Options) -> (World, Notifications) {
    let world = World::signed_in(Options { keyring: true, ..options });
    let desk = Notifications::start(world.keyring.as_ref().unwrap().address());
    world.behave(&Mode { visit: false, ..Mode::default() });
    (world, desk)
}

#[test]
fn a_question_is_told_once_and_a_click_shows_it_but_answers_nothing() {
    let (world, desk) = world(Options::default());
    let script = world.home.script("<b>big & \"bad\"");
    let ask = || world.home.run(&script, &["token", "payments"], "", LIMIT);
    let before = world.windows();
    ask().fails(6);
    ask().fails(6);
    let told = desk.wait_for(ASKS);
    assert!(told.body.contains("“&lt;b&gt;big &amp; 'bad'”") && told.body.contains("“payments”"), "{told:?}");
    assert!(!told.body.contains('<') && told.body.contains("If you do nothing, it gets nothing."), "{told:?}");
    assert_eq!(told.actions, ["default", "Review", "show", "Review"]);
    world.opened_after(before);

    desk.click(told.id, "show");
    let address = world.opened_after(before + 1);
    assert_eq!(world.rows(&["requests"]).len(), 1, "a click is no answer");
    assert!(world.rows(&["grants"]).is_empty());
    // One click for each; what is not known is nobody's.
    desk.click(told.id, "default");
    desk.click(told.id + 7, "default");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((world.windows(), desk.titled(ASKS).len()), (before + 2, 1));

    world.answer("today");
    world.visit(&address).ok();
    ask().ok();
    let text = format!("{:?}", desk.shown());
    for secret in world.secrets() {
        assert!(!text.contains(&secret), "a secret in a notification");
    }
}

#[test]
fn what_is_answered_is_taken_back_and_a_desktop_is_told_of_the_click() {
    let (world, desk) = world(Options { desktop: true, ..Options::default() });
    let log = fs::File::create(world.home.log("events")).unwrap();
    let mut command = Command::new(world.home.program("daypass-desktop"));
    command.arg(world.home.socket()).arg("events").stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
    let _shell = Running::start(world.home.prepare(&mut command));
    let events = || fs::read_to_string(world.home.log("events")).unwrap_or_default();
    until("the head of the events", LIMIT, || events().starts_with("HTTP/1.1 200").then_some(()));
    let windows = world.windows();
    world.daypass(&["token", "payments"]).fails(6);
    let told = desk.wait_for(ASKS);
    let id = world.rows(&["requests"])[0]["id"].as_str().unwrap().to_owned();
    desk.click(told.id, "default");
    let show = format!("event: show\ndata: {{\"page\":\"consent/{id}\"}}");
    until("the page to show", LIMIT, || events().contains(&show).then_some(()));
    assert_eq!(world.windows(), windows, "no browser beside the desktop");

    world.daypass(&["token", "api"]).fails(6);
    until("the second", LIMIT, || (desk.titled(ASKS).len() == 2).then_some(()));
    world.daypass(&["pause", "1m"]).ok();
    until("it to be taken back", LIMIT, || desk.titled(ASKS)[1].closed.then_some(()));
}

#[test]
fn a_sign_in_that_is_needed_is_told_once_until_it_is_there() {
    let (world, desk) = world(Options::default());
    world.daypass(&["logout", "corp"]).ok();
    assert!(desk.shown().is_empty(), "who signs out need not be told: {:?}", desk.shown());
    for _ in 0..3 {
        world.daypass(&["token", "payments"]).fails(4);
    }
    let told = desk.wait_for(SIGN_IN);
    assert!(told.body.contains("“corp”"), "{told:?}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(desk.shown().len(), 1, "{:?}", desk.shown());
    world.behave(&Mode::default());
    world.sign_in();
    until("it to be taken back", LIMIT, || desk.titled(SIGN_IN)[0].closed.then_some(()));
    world.daypass(&["logout", "corp"]).ok();
    world.daypass(&["token", "payments"]).fails(4);
    until("a new cause", LIMIT, || (desk.titled(SIGN_IN).len() == 2).then_some(()));
}

#[test]
fn a_locked_keychain_is_told_and_whoever_wants_no_notifications_gets_none() {
    let (mut world, desk) = world(Options::default());
    world.agent.stop();
    world.keyring.as_ref().unwrap().lock();
    world.agent.restart();
    let told = desk.wait_for("Your keychain is locked");
    assert!(told.body.contains("Unlock the keychain"), "{told:?}");
    world.keyring.as_ref().unwrap().unlock();
    until("it to be taken back", Duration::from_mins(1), || desk.shown()[0].closed.then_some(()));
    assert_eq!(desk.shown().len(), 1, "{:?}", desk.shown());

    let file = world.home.path().join("home/.config/daypass/profile.toml");
    let text = fs::read_to_string(file).unwrap();
    world.home.write_profile(&format!("{text}\n[notifications]\nenabled = false\n"));
    until("the settings", LIMIT, || {
        let lines = world.rows(&["audit"]);
        lines.iter().any(|line| line["event"] == "profile.changed").then_some(())
    });
    world.daypass(&["token", "payments"]).fails(6);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(desk.shown().len(), 1, "{:?}", desk.shown());
}

#[test]
fn the_end_of_a_sign_in_is_told_ahead_once_with_the_time_left() {
    // Without offline access it gives no refresh token, so that the sign-in ends with its tokens.
    let issuer = DevIssuer::start(Config { access_lifetime: 30, ..Config::default() }).unwrap();
    let home = Arc::new(Home::new());
    let bus = Bus::start(&home, "bus");
    home.use_bus(Some(bus.address().to_owned()));
    let desk = Notifications::start(bus.address());
    Mode::default().write(&home.log("mode.json")).unwrap();
    let text = profile(issuer.issuer(), free_port()).replacen("scopes = [", "offline = \"none\"\nscopes = [", 1);
    home.write_profile(&format!("{text}{}\n[notifications]\nexpiry_ahead = \"1m\"\n", browser_command(&home)));
    let _agent = Agent::start(&home, None);
    home.daypass(&["login", "corp"]).ok();
    let told = until("the notification", Duration::from_secs(40), || {
        desk.shown().into_iter().find(|shown| shown.title.starts_with("Your sign-in ends in"))
    });
    assert!(told.body.contains("“corp” ends at "), "{told:?}");
    std::thread::sleep(Duration::from_secs(3));
    let ends = desk.shown().iter().filter(|shown| shown.title.starts_with("Your sign-in ends in")).count();
    assert_eq!(ends, 1, "{:?}", desk.shown());
}

#[test]
fn a_service_that_hangs_delays_nobody_and_holds_no_threads() {
    let (world, desk) = world(Options::default());
    desk.hang();
    let threads = || {
        let status = fs::read_to_string(format!("/proc/{}/status", world.agent.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().to_owned();
        line.parse::<usize>().unwrap()
    };
    let before = threads();
    for resource in ["payments", "api", "local", "me"] {
        let start = Instant::now();
        world.daypass(&["token", resource]).fails(6);
        assert!(start.elapsed() < Duration::from_secs(5), "{resource}: {:?}", start.elapsed());
    }
    until("a call to the service", LIMIT, || (desk.calls() > 0).then_some(()));
    std::thread::sleep(Duration::from_secs(6));
    assert!(desk.calls() <= 2, "it is left alone for a while: {}", desk.calls());
    until("as many threads as before", LIMIT, || (threads() <= before + 1).then_some(()));
    assert_eq!(world.rows(&["requests"]).len(), 4);
}
