//! The pages as a person uses them: signing in and out, one program's page, the settings, the pause, two windows at once.

use e2e::{
    browser::Mode,
    html,
    navigate::{Page, Session},
    until,
    world::{Options, World},
};
use std::{path::Path, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// The home page in a window of this test, which is a browser of its own.
fn home(world: &World) -> (Session, Page) {
    world.behave(&Mode { visit: false, ..Mode::default() });
    let before = world.windows();
    world.daypass(&["open"]).ok();
    let mut session = Session::default();
    let page = session.go(&world.opened_after(before)).unwrap();
    assert_eq!(page.answer.status, 200, "{}", page.answer.text());
    (session, page)
}

/// Sends the form of the page whose action ends so.
fn press(session: &mut Session, page: &Page, end: &str, more: &[(&str, &str)]) -> Page {
    let text = page.answer.text();
    let form = html::forms(&text).into_iter().find(|form| form.action.ends_with(end));
    let form = form.unwrap_or_else(|| panic!("no form that ends with {end}: {text}"));
    let mut fields: Vec<_> = form.inputs.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    session.submit(page, &form.action, &fields).unwrap()
}

/// The first link of the page whose address begins so.
fn link(page: &Page, start: &str) -> String {
    let text = page.answer.text();
    let at = text.find(&format!("href=\"{start}")).unwrap_or_else(|| panic!("no link to {start}: {text}")) + 6;
    text[at..].split('"').next().unwrap().to_owned()
}

#[test]
fn the_home_page_signs_in_and_out() {
    let world = World::new(Options::default());
    let (mut session, page) = home(&world);
    assert!(page.answer.text().contains("Signed out"), "{}", page.answer.text());
    let ready = press(&mut session, &page, "/accounts/corp/sign-in", &[]);
    let address = link(&ready, "http://127.0.0.1:");
    assert!(address.contains("/start/") && ready.answer.text().contains("Continue to sign in"), "{address}");
    world.behave(&Mode::default());
    world.visit(&address).ok();
    until("the sign-in", LIMIT, || (world.status()["accounts"][0]["state"] == "signed_in").then_some(()));
    let (mut session, page) = home(&world);
    assert!(page.answer.text().contains("Signed in"), "{}", page.answer.text());
    press(&mut session, &page, "/accounts/corp/sign-out", &[]);
    assert_eq!(world.status()["accounts"][0]["state"], "sign_in_required");
    // A form counts once.
    let again = press(&mut session, &page, "/accounts/corp/sign-out", &[]);
    assert_eq!(again.answer.status, 409, "{}", again.answer.text());
}

#[test]
fn a_programs_page_shows_what_it_may_and_got_and_stops_it() {
    let world = World::signed_in(Options::default());
    let script = world.home.script("helper");
    let ask = |resource: &str| world.home.run(&script, &["token", resource, "--wait", "30s"], "", LIMIT);
    world.answer("today");
    ask("payments").ok();
    ask("api").ok();
    ask("local").ok();
    let (mut session, page) = home(&world);
    // From the permissions and from the activity there is a way to it.
    let activity = session.click(&page, "/activity").unwrap();
    let address = link(&activity, "/program/");
    let permissions = session.click(&page, "/permissions").unwrap();
    assert_eq!(link(&permissions, "/program/"), address);
    let page = session.click(&permissions, &address).unwrap();
    let text = page.answer.text();
    assert!(html::title(&text).contains("helper") && text.contains("Pass given"), "{text}");
    for service in ["payments", "api", "local"] {
        assert!(text.contains(&format!("<bdi>{service}</bdi>")), "{service}: {text}");
    }

    let page = press(&mut session, &page, "/revoke", &[]);
    assert!(page.url.path.starts_with("/program/"), "it comes back: {:?}", page.url);
    assert!(page.answer.text().contains("The permission is taken back"), "{}", page.answer.text());
    assert_eq!(world.rows(&["grants"]).len(), 2);
    let page = session.click(&page, &address).unwrap();
    assert!(!page.answer.text().contains("The permission is taken back"), "it is said once");
    let page = press(&mut session, &page, &format!("{address}/revoke"), &[]);
    assert!(world.rows(&["grants"]).is_empty());

    let page = press(&mut session, &page, &format!("{address}/block"), &[]);
    assert!(page.answer.text().contains("It gets nothing and asks nothing."), "{}", page.answer.text());
    assert!(ask("payments").fails(5).contains("consent_denied"));
    let page = session.click(&page, &address).unwrap();
    assert!(page.answer.text().contains("You blocked it"), "{}", page.answer.text());
    let page = press(&mut session, &page, "/unblock", &[]);
    assert!(page.answer.text().contains("no longer blocked"), "{}", page.answer.text());
    assert!(world.rows(&["block"]).is_empty());

    // What names no program, and what no page session stands behind, shows and changes nothing.
    assert_eq!(session.click(&page, "/program/%00").unwrap().answer.status, 404);
    let stranger = Session::default().go(&format!("{}{address}", world.home.address())).unwrap();
    assert_eq!(stranger.answer.status, 403);
    let forged = session.submit(&page, &format!("{address}/block"), &[]).unwrap();
    assert_eq!(forged.answer.status, 409, "{}", forged.answer.text());
    assert!(world.rows(&["block"]).is_empty());
}

#[test]
fn the_settings_page_shows_what_is_locked_and_what_does_not_count() {
    let managed = "version = 1\nname = \"Example Corp\"\nsupport_url = \"https://it.example.com\"\n\n[consent]\nidle = \"2h\"\n\n[links]\n\"Handbook\" = \"https://handbook.example.com\"\n";
    let world = World::new(Options {
        managed: Some(managed.to_owned()),
        more_profile: "\n[notifications]\nenabled = true\nvolume = 11\n".to_owned(),
        ..Options::default()
    });
    let (mut session, page) = home(&world);
    let page = session.click(&page, "/profile").unwrap();
    let text = page.answer.text();
    assert!(html::title(&text).starts_with("Settings"), "{text}");
    let value = |label: &str| {
        let rest = text.split_once(&format!(">{label}</dt>")).unwrap_or_else(|| panic!("no {label}: {text}")).1;
        rest.split("</dd>").next().unwrap().to_owned()
    };
    assert!(value("A permission for today ends unused after").contains("2 hours"), "{text}");
    assert!(value("A permission for today ends unused after").contains("locked by your organisation"), "{text}");
    assert!(value("Notifications").contains("set by you"), "{text}");
    assert!(value("Provider").contains("set by you"), "{text}");
    assert!(text.contains("volume") && text.contains("href=\"https://handbook.example.com\""), "{text}");
    assert!(text.find("volume").unwrap() < text.find("<dl").unwrap(), "what does not count is at the top");
}

#[test]
fn the_home_page_pauses_and_goes_on() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let (mut session, page) = home(&world);
    let page = press(&mut session, &page, "/pause", &[("for", "900")]);
    assert!(page.answer.text().contains("Paused <time"), "{}", page.answer.text());
    assert!(world.daypass(&["token", "payments"]).fails(5).contains("paused"));
    let page = press(&mut session, &page, "/resume", &[]);
    assert!(page.answer.text().contains("Daypass goes on."), "{}", page.answer.text());
    world.daypass(&["token", "payments"]).ok();
    for wrong in ["0", "-1", "86401", "soon"] {
        let (mut session, page) = home(&world);
        assert_eq!(press(&mut session, &page, "/pause", &[("for", wrong)]).answer.status, 400, "{wrong}");
    }
    assert!(world.status()["paused_until"].is_null());
    let lines = world.rows(&["audit"]);
    let vias = |event: &str| {
        lines.iter().filter(|line| line["event"] == event).map(|line| line["via"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((vias("pause.begun"), vias("pause.ended")), (vec!["page, 15m".into()], vec!["page".into()]));
}

/// N22: two windows show one question; the first answer counts and the second window learns of it.
#[test]
fn two_windows_one_answer() {
    let world = World::signed_in(Options::default());
    world.behave(&Mode { visit: false, ..Mode::default() });
    let script = world.home.script("asker");
    let before = world.windows();
    world.home.run(&script, &["token", "payments"], "", LIMIT).fails(6);
    let mut first = Session::default();
    let one = first.go(&world.opened_after(before)).unwrap();
    let (mut second, page) = home(&world);
    let other = second.click(&page, &link(&page, "/consent/")).unwrap();
    let (a, b) = (one.consent_form().unwrap(), other.consent_form().unwrap());
    assert_eq!(a.action, b.action);
    std::thread::sleep(Duration::from_millis(1200));
    let end = a.action.clone();
    let decided = press(&mut first, &one, &end, &[("choice", "today")]);
    assert!(html::title(&decided.answer.text()).starts_with("Allowed today"), "{}", decided.answer.text());
    let late = press(&mut second, &other, &end, &[("choice", "deny")]);
    assert!(html::title(&late.answer.text()).starts_with("Allowed today"), "{}", late.answer.text());
    let id = Path::new(&end).file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(world.rows(&["grants"]).len(), 1);
    let answers =
        world.rows(&["audit"]).iter().filter(|line| line["event"].as_str().unwrap().starts_with("consent.")).count();
    assert_eq!(answers, 1, "one answer, one line, for {id}");
    world.home.run(&script, &["token", "payments"], "", LIMIT).ok();
}
