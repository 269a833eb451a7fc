//! The tray and its windows on a private desktop: `make test-desktop`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use e2e::{
    desktop::{Driver, Session, Tray},
    process, until,
};
use rustix::process::Signal;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
/// The tray shows no window by itself.
const QUIET: &str = "\n[desktop]\nsign_in_at_start = \"never\"\n";

/// Waits for the window of the open question.
fn question(session: &Session) -> (String, Driver) {
    let window = session.find_window("wants a pass");
    let driver = Driver::attach(session);
    until("the question", LIMIT, || driver.title().contains("wants a pass").then_some(()));
    (window, driver)
}

/// Waits until that very window is gone, with its process.
fn closes(session: &Session, window: &str) {
    until("the window to close", LIMIT, || (!session.is_open(window)).then_some(()));
    until("its process to end", LIMIT, || e2e::http::connect(&session.inspector).err());
}

#[test]
fn from_the_first_start_to_a_token_with_the_tray_and_its_window() {
    let session = Session::start(QUIET);
    let tray = Tray::find(&session);
    tray.wait_for("corp: not signed in");
    let signed_out = tray.icon();
    session.picture("1-signed-out");

    // The browser command signs alice in.
    tray.click("Sign in to corp");
    tray.wait_for("corp: signed in");
    assert_ne!(tray.icon(), signed_out, "the icon tells the state");

    // Somebody works in another window meanwhile.
    let mut other = session.window("home");
    session.find_window("Home · Daypass");
    until("the other window to have the keyboard", LIMIT, || session.focused().contains("Home").then_some(()));
    let busy = session.focused();
    session.picture("2-home");

    let asking = session.ask("payments");
    let (window, driver) = question(&session);
    tray.wait_for("wants payments");
    assert_eq!(session.focused(), busy, "a question takes no focus from whoever types");
    until("the notification", LIMIT, || session.notifications().gt(&0).then_some(()));
    session.picture("3-question");

    // The page may call nothing of ours, and leads nowhere else.
    let verdict = driver.run(
        "const done = arguments[arguments.length - 1]; const inner = window.__TAURI_INTERNALS__;
         if (!inner || !inner.invoke) done('absent');
         else Promise.race([inner.invoke('plugin:app|version'), new Promise((_, no) => setTimeout(() => no('silent'), 2000))])
           .then((said) => done('answered ' + said), (error) => done('refused'));",
    );
    assert!(["absent", "refused"].contains(&verdict.as_str().unwrap()), "{verdict}");
    let page = driver.url();
    driver.run("location.href = 'http://127.0.0.1:9/'; setTimeout(arguments[arguments.length - 1], 500);");
    assert_eq!(driver.url(), page, "the window stays on the agent's pages");

    driver.click("button[value=once]");
    let token = asking.join().unwrap().ok();
    assert_eq!(token.split('.').count(), 3, "an access token");
    session.picture("4-answered");
    closes(&session, &window);
    tray.wait_for("payments for");
    other.stop();
    // For people who look at pictures: the menu itself.
    session.tool(&["xdotool", "mousemove", "1195", "17", "click", "1"]).ok();
    std::thread::sleep(Duration::from_millis(700));
    session.picture("7-menu");
}

#[test]
fn a_question_is_denied_with_escape_and_with_its_button() {
    let session = Session::start(QUIET);
    let tray = Tray::find(&session);
    tray.wait_for("corp: not signed in");
    session.sign_in();
    tray.wait_for("corp: signed in");

    let asking = session.ask("api");
    let (window, driver) = question(&session);
    // Enter approves nothing.
    driver.press("\u{e007}");
    driver.press("\u{e00c}");
    assert!(asking.join().unwrap().fails(5).contains("denied"));
    driver.release();
    closes(&session, &window);

    let asking = session.ask("payments");
    let (window, driver) = question(&session);
    driver.click("button[value=deny]");
    assert!(asking.join().unwrap().fails(5).contains("denied"));
    closes(&session, &window);
}

#[test]
fn the_tray_outlives_the_agent_and_tokens_outlive_the_tray() {
    let mut session = Session::start(QUIET);
    let tray = Tray::find(&session);
    tray.wait_for("corp: not signed in");
    session.sign_in();
    tray.wait_for("corp: signed in");
    let well = tray.icon();

    let first = session.home.agent_pid().expect("an agent");
    process::signal(first, Signal::KILL);
    tray.wait_for("Daypass is not running");
    assert_ne!(tray.icon(), well);
    session.picture("5-agent-gone");
    tray.wait_for("corp: signed in");
    let second = session.home.agent_pid().expect("an agent");
    assert_ne!(first, second, "a new one");

    // A permission for today, given in the window.
    let asking = session.ask("payments");
    let (window, driver) = question(&session);
    driver.click("button[value=today]");
    asking.join().unwrap().ok();
    closes(&session, &window);

    session.shell.kill();
    session.home.daypass(&["token", "payments"]).ok();
    assert_eq!(session.home.agent_pid(), Some(second), "the agent lives on");
    session.restart_shell();
    Tray::find(&session).wait_for("corp: signed in");
}

#[test]
fn a_second_start_opens_the_window_and_quit_ends_the_tray_alone() {
    let mut session = Session::start("\n[desktop]\nsign_in_at_start = \"first\"\n");
    let tray = Tray::find(&session);
    // The first start offers to sign in, and says what to do.
    let first = session.find_window("Home · Daypass");
    session.picture("6-first-start");
    // The provider's page is for the system's browser; what comes back shows in the tray.
    let driver = Driver::attach(&session);
    driver.click("form[action='/accounts/corp/sign-in'] button");
    until("the way to the provider", LIMIT, || driver.title().contains("Sign in").then_some(()));
    let here = driver.url();
    driver.click("main a[href*='/start/']");
    tray.wait_for("corp: signed in");
    assert_eq!(driver.url(), here, "no sign-in happens in the window");
    drop(driver);
    session.tool(&["wmctrl", "-i", "-c", &first]).ok();
    until("the window to close", LIMIT, || session.has_window("Daypass").is_none().then_some(()));

    let mut second = process::Running::adopt(process::spawn(
        session.home.prepare(&mut std::process::Command::new(e2e::program("daypass-desktop"))),
    ));
    let window = session.find_window("Daypass");
    assert_eq!(second.ended(), None, "the second start is the window");
    session.tool(&["wmctrl", "-i", "-c", &window]).ok();
    until("the second start to end with its window", LIMIT, || second.ended());

    // Once offered, not again.
    let agent = session.home.agent_pid();
    tray.click("Quit");
    until("the tray to end", LIMIT, || session.shell.ended());
    assert_eq!(session.home.agent_pid(), agent, "the agent stays");
    session.restart_shell();
    let tray = Tray::find(&session);
    tray.wait_for("corp: signed in");
    tray.click("Sign out of corp");
    tray.wait_for("corp: not signed in");
    session.restart_shell();
    Tray::find(&session).wait_for("corp: not signed in");
    assert_eq!(session.has_window("Daypass"), None, "offered once");
}

#[test]
fn without_a_display_or_where_it_is_not_wanted_nothing_starts() {
    let session = Session::start("\n[desktop]\nautostart = false\n");
    let mut shell = session.shell;
    assert_eq!(until("a start at login to end", LIMIT, || shell.ended()), 0, "the profile says so");
    let program = e2e::program("daypass-desktop");
    for words in [&[][..], &["--autostart"], &["window", "home"]] {
        let mut command = std::process::Command::new(&program);
        session.home.prepare(command.args(words)).env_remove("DISPLAY");
        let told = process::run(&mut command, "", LIMIT).fails(2);
        assert!(told.contains("no display") && told.contains("hint: "), "{told}");
    }
    let mut command = std::process::Command::new(&program);
    session.home.prepare(&mut command).env("DISPLAY", ":4711");
    assert!(process::run(&mut command, "", LIMIT).fails(2).contains("the display cannot be used"));
    for words in [&["window", "../../etc"][..], &["nonsense"]] {
        let told = session.home.run(&program, words, "", LIMIT).fails(2);
        assert!(told.contains("usage: "), "{told}");
    }
    session.home.run(&program, &["window", "consent/none"], "", LIMIT).fails(3);
}

#[test]
fn a_notification_brings_the_question_back() {
    let session = Session::start(QUIET);
    let tray = Tray::find(&session);
    tray.wait_for("corp: not signed in");
    session.sign_in();
    tray.wait_for("corp: signed in");
    let asking = session.ask("api");
    let window = session.find_window("wants a pass");
    session.tool(&["wmctrl", "-i", "-c", &window]).ok();
    until("the window to close", LIMIT, || (!session.is_open(&window)).then_some(()));
    tray.wait_for("wants api");
    session.click_notification();
    let (window, driver) = question(&session);
    driver.click("button[value=deny]");
    asking.join().unwrap().fails(5);
    closes(&session, &window);
}

#[test]
fn offline_it_says_so_and_recovers_by_itself() {
    let session = Session::start(QUIET);
    let tray = Tray::find(&session);
    tray.wait_for("corp: not signed in");
    session.sign_in();
    tray.wait_for("corp: signed in");
    let online = tray.icon();
    let asking = session.ask("payments");
    let (window, driver) = question(&session);
    driver.click("button[value=today]");
    asking.join().unwrap().ok();
    closes(&session, &window);
    session.provider.down();
    session.home.daypass(&["token", "payments", "--refresh"]).fails(7);
    tray.wait_for("offline");
    assert_ne!(tray.icon(), online);
    session.picture("8-offline");
    session.provider.up();
    // Nobody asks for anything, nobody clicks.
    tray.wait_for("corp: signed in");
}
