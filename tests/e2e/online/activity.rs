//! The page that says who got what, and its filters.

use e2e::{
    browser::Mode,
    navigate::{Page, Session},
    world::{Options, World},
};
use std::time::Duration;

/// The rows of the list, without the form above it.
fn rows(page: &Page) -> Vec<String> {
    let text = page.answer.text();
    assert_eq!(page.answer.status, 200, "{text}");
    let list = text.split_once("<tbody").map(|(_, list)| list.to_owned()).unwrap_or_default();
    list.split("<tr ").skip(1).map(str::to_owned).collect()
}

#[test]
fn the_list_is_filtered_by_program_service_and_outcome() {
    let world = World::signed_in(Options::default());
    world.permit("api", &[]);
    world.behave(&Mode { visit: false, ..Mode::default() });
    let script = world.home.script("curious");
    let ask = |resource: &str| world.home.run(&script, &["token", resource], "", Duration::from_secs(30));
    let before = world.windows();
    ask("payments").fails(6);
    ask("nowhere").fails(10);
    // This test is the browser: the script asks, which is another program.
    let mut session = Session::default();
    let page = session.go(&world.opened_after(before)).unwrap();
    let mut show = |query: &str| session.click(&page, &format!("/activity{query}")).unwrap();

    let all = show("");
    let text = all.answer.text();
    assert!(text.contains("<svg viewBox=\"0 0 240 42\"") && text.contains("1 pass given"), "{text}");
    let given = rows(&show("?outcome=given"));
    assert!(given.len() == 1 && given[0].contains("Pass given") && given[0].contains("api"), "{given:?}");
    let refused = rows(&show("?outcome=refused"));
    assert!(refused.iter().any(|row| row.contains("nowhere")), "{refused:?}");
    assert!(refused.iter().all(|row| !row.contains("Pass given") && !row.contains("Signed in")), "{refused:?}");
    let path = script.display().to_string().replace('/', "%2F");
    let of_program = rows(&show(&format!("?program={path}")));
    assert!(of_program.len() >= 2 && of_program.iter().all(|row| row.contains("curious")), "{of_program:?}");
    let both = show(&format!("?program={path}&service=api&q="));
    assert!(rows(&both).is_empty() && both.answer.text().contains("Nothing fits"), "{}", both.answer.text());
    assert!(rows(&all).len() > of_program.len());
    assert_eq!(rows(&show("?q=nowhere&outcome=refused&program=&service=")).len(), 1);
}
