//! What every page promises, checked on every page: nothing foreign becomes markup or turns direction, nothing inline
//! runs, forms say no first, colours can be read.

use super::{self as views, *};
use std::collections::BTreeSet;

#[path = "tests/filled.rs"]
mod filled;
#[path = "../../../examples/preview/samples.rs"]
#[allow(clippy::duplicate_mod, reason = "the preview shows the same samples")]
mod samples;

use filled::{filled_with, when};

/// One piece of a page.
#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Open(&'a str, Vec<(&'a str, &'a str)>),
    Close(&'a str),
}

/// Reads our own, well-formed HTML; the content of `style` is text.
fn pieces(page: &str) -> Vec<Piece<'_>> {
    let (mut rest, mut list) = (page, Vec::new());
    while let Some(at) = rest.find('<') {
        list.push(Piece::Text(&rest[..at]));
        let end = rest[at..].find('>').expect("every tag is closed") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            list.push(Piece::Close(name));
            continue;
        }
        let (name, mut left) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = Vec::new();
        while !left.trim_matches([' ', '/']).is_empty() {
            left = left.trim_start();
            match left.split_once('=') {
                Some((attribute, value)) if !attribute.contains(' ') => {
                    let value = value.strip_prefix('"').expect("attributes are quoted");
                    let (value, more) = value.split_once('"').expect("quotes are closed");
                    attributes.push((attribute, value));
                    left = more;
                }
                _ => {
                    let (attribute, more) = left.split_once(' ').unwrap_or((left, ""));
                    attributes.push((attribute, ""));
                    left = more;
                }
            }
        }
        list.push(Piece::Open(name, attributes));
    }
    list.push(Piece::Text(rest));
    list
}

fn every_page() -> Vec<(String, String)> {
    let filled = filled_with("foreign").into_iter().map(|(name, page)| (name.to_owned(), page));
    samples::all().unwrap().into_iter().chain(filled).collect()
}

fn attribute<'a>(attributes: &[(&'a str, &'a str)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

#[test]
fn hostile_text_never_becomes_markup() {
    const HOSTILE: &str = r#""'><script>alert(1)</script><b onclick=x style=y a="{{ 1 }}">&lt;"#;
    let shape = |page: &str| -> Vec<String> {
        let name = |piece: &Piece<'_>| match piece {
            Piece::Text(_) => None,
            Piece::Open(name, attributes) => {
                Some(format!("{name} {:?}", attributes.iter().map(|(n, _)| *n).collect::<Vec<_>>()))
            }
            Piece::Close(name) => Some(format!("/{name}")),
        };
        pieces(page).iter().filter_map(name).collect()
    };
    for ((name, plain), (_, hostile)) in filled_with("foreign").iter().zip(filled_with(HOSTILE)) {
        assert_eq!(shape(plain), shape(&hostile), "{name}: the markup must not depend on the text");
        assert!(hostile.contains("&#60;script&#62;"), "{name}: the text must still be shown");
    }
}

#[test]
fn foreign_text_is_isolated_wherever_it_stands() {
    const VOID: [&str; 8] = ["!doctype", "meta", "link", "input", "path", "circle", "rect", "br"];
    for (name, page) in filled_with("FOREIGN") {
        let mut open: Vec<(&str, bool)> = Vec::new();
        for piece in pieces(&page) {
            match piece {
                Piece::Open(tag, attributes) if !VOID.contains(&tag) => {
                    open.push((tag, tag == "bdi" || attribute(&attributes, "dir") == Some("auto")));
                }
                Piece::Close(tag) => assert_eq!(open.pop().map(|(t, _)| t), Some(tag), "{name}: badly nested"),
                Piece::Text(text) if text.contains("FOREIGN") => {
                    let in_title = open.last().is_some_and(|(tag, _)| *tag == "title");
                    let isolated = open.iter().any(|(_, isolates)| *isolates);
                    assert!(isolated || (in_title && text.contains("&#x2068;")), "{name}: {text:?} in {open:?}");
                }
                Piece::Open(..) | Piece::Text(_) => {}
            }
        }
        assert!(open.is_empty(), "{name}: {open:?} left open");
    }
}

#[test]
fn characters_that_hide_or_turn_text_are_shown_as_numbers() {
    for (name, page) in filled_with("a\u{202e}b\u{2066}c\u{200b}d\u{7}e\u{feff}f\u{200d}g") {
        for hidden in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{7}', '\u{feff}'] {
            assert!(!page.contains(hidden), "{name} holds {hidden:?}");
        }
        assert!(page.contains("a[U+202E]b[U+2066]c[U+200B]d[U+0007]e[U+FEFF]f\u{200d}g"), "{name}");
    }
}

#[test]
fn nothing_inline_runs_and_nothing_foreign_is_loaded() {
    let assets = ["/assets/style.css", "/assets/consent.js", "/assets/home.js", "/assets/mark.svg"];
    for (name, page) in every_page() {
        let pieces = pieces(&page);
        let self_contained = page.contains("<style>");
        for (at, piece) in pieces.iter().enumerate() {
            let Piece::Open(tag, attributes) = piece else { continue };
            assert!(!matches!(*tag, "iframe" | "object" | "embed" | "base" | "img"), "{name}: {tag}");
            for (attribute, value) in attributes {
                assert!(*attribute != "style" && !attribute.starts_with("on"), "{name}: {attribute}");
                let loads = *attribute == "src" || (*attribute == "href" && *tag == "link");
                assert!(!loads || assets.contains(value), "{name}: loads {value}");
                // The one way on from the last page of a sign-in is the start of another, at its own listener.
                let again = *attribute == "href" && value.starts_with("/start/");
                let leads_on = matches!(*attribute, "src" | "href" | "action") && !again;
                assert!(!self_contained || !leads_on, "{name}: {attribute}");
                let support = attribute_is_support_link(attributes);
                assert!(*attribute != "href" || support || value.starts_with(['/', '#']), "{name}: links to {value}");
            }
            match *tag {
                "script" => assert_eq!(pieces[at + 1], Piece::Text(""), "{name}: inline script"),
                "style" => assert_eq!(pieces[at + 1], Piece::Text(DONE_STYLE), "{name}: the hash must fit"),
                _ => {}
            }
        }
        assert_eq!(self_contained, ["done-", "signed in", "failed"].iter().any(|n| name.starts_with(n)), "{name}");
    }
}

fn attribute_is_support_link(attributes: &[(&str, &str)]) -> bool {
    attribute(attributes, "rel") == Some("noopener noreferrer")
        && attribute(attributes, "href").is_some_and(|url| url.starts_with("https://") || url.starts_with("mailto:"))
}

#[test]
fn only_a_web_or_mail_address_becomes_a_support_link() {
    let mut page = filled::home();
    page.support_url = Some("javascript:alert(1)".to_owned());
    assert!(!page.render().unwrap().contains("javascript:"));
    page.support_url = Some("https://it.example.com".to_owned());
    assert!(page.render().unwrap().contains("<a href=\"https://it.example.com\""));
}

#[test]
fn a_question_says_no_first_and_sends_what_was_shown() {
    let all = filled_with("foreign");
    let (_, page) = &all[0];
    let form = page.split("<form").nth(1).and_then(|f| f.split("</form>").next()).unwrap();
    assert!(form.contains("method=\"post\" action=\"/consent/id\""), "{form}");
    let mut values = Vec::new();
    let mut hidden = Vec::new();
    let form = format!("<form{form}");
    for piece in pieces(&form) {
        match piece {
            Piece::Open("button", attributes) => {
                assert_eq!(attribute(&attributes, "name"), Some("choice"));
                assert_eq!(attribute(&attributes, "type"), Some("submit"));
                assert_eq!(attribute(&attributes, "autofocus"), None);
                values.extend(attribute(&attributes, "value"));
            }
            Piece::Open("input", attributes) => {
                hidden.push((attribute(&attributes, "name"), attribute(&attributes, "value")));
            }
            _ => {}
        }
    }
    assert_eq!(values, ["deny", "once", "today", "always"]);
    assert_eq!(hidden, [(Some("digest"), Some("digest")), (Some("page_token"), Some("token"))]);
}

#[test]
fn every_posting_form_carries_the_page_token() {
    for (name, page) in every_page() {
        for form in page.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap_or(rest)) {
            assert!(
                form.contains("method=\"get\"") || form.contains("name=\"page_token\" value=\"t"),
                "{name}: {form}"
            );
        }
    }
}

#[test]
fn ids_are_unique_and_every_reference_finds_its_element() {
    for (name, page) in every_page() {
        let pieces = pieces(&page);
        let opened = || pieces.iter().filter_map(|p| if let Piece::Open(tag, a) = p { Some((*tag, a)) } else { None });
        let ids: Vec<&str> = opened().filter_map(|(_, a)| attribute(a, "id")).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{name}: {ids:?}");
        for (tag, attributes) in opened() {
            for key in ["aria-labelledby", "aria-describedby", "for", "data-copy"] {
                if let Some(id) = attribute(attributes, key) {
                    assert!(ids.contains(&id), "{name}: {tag} {key}={id}");
                }
            }
        }
        assert_eq!(page.matches("<h1").count(), 1, "{name}: one page, one title");
        assert_eq!(page.matches("<main").count(), 1, "{name}: one main landmark");
    }
}

#[test]
fn pages_speak_the_language_of_people() {
    for (name, page) in every_page() {
        for piece in pieces(&page) {
            let Piece::Text(text) = piece else { continue };
            if text == DONE_STYLE {
                continue;
            }
            for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()) {
                assert!(
                    !matches!(word, "peer" | "grant" | "grants" | "oauth" | "audience" | "token"),
                    "{name}: {text}"
                );
            }
        }
    }
}

#[test]
fn the_page_for_strangers_is_constant_and_tells_nothing() {
    assert!(!CONSTANT_PAGE.contains(['{', '%']), "no field, no template");
    assert!(!CONSTANT_PAGE.contains(env!("CARGO_PKG_VERSION")));
    assert!(!CONSTANT_PAGE.contains("<script") && !CONSTANT_PAGE.contains("<form") && !CONSTANT_PAGE.contains("<a "));
    assert!(CONSTANT_PAGE.contains("daypass open"), "it names the next step");
}

#[test]
fn a_long_text_keeps_its_beginning_and_its_end() {
    let name = Long::name(&format!("begin{}end", "x".repeat(300)));
    assert!(name.cut && name.head.starts_with("begin") && name.head.ends_with('…') && name.tail.ends_with("end"));
    assert_eq!(name.short().chars().count(), 56);
    assert!(!Long::name("git").cut);
    let path = Long::path("/home/alice/bin/run.sh");
    assert_eq!((path.head.as_str(), path.tail.as_str()), ("/home/alice/bin", "/run.sh"));
    let path = Long::path(&format!("/opt/{}", "é".repeat(300)));
    assert_eq!((path.head.chars().count(), path.tail.chars().count()), (277, 28));
    assert_eq!((Long::path("").short(), Long::path("/").short()), (String::new(), "/".to_owned()));
}

#[test]
fn time_is_said_in_words() {
    for (seconds, words) in [
        (-5, "now"),
        (0, "now"),
        (30, "in less than a minute"),
        (45, "in 1 minute"),
        (240, "in 4 minutes"),
        (3_600, "in 1 hour"),
        (43_200, "in 12 hours"),
        (86_400, "in 24 hours"),
        (172_800, "in 2 days"),
    ] {
        assert_eq!(in_words(seconds), words, "{seconds}");
    }
    assert_eq!(for_the_next(43_200), "for the next 12 hours");
    assert_eq!(for_the_next(3_600), "for the next hour");
    assert_eq!((ago(3).as_str(), ago(240).as_str()), ("just now", "4 minutes ago"));
    assert_eq!(span_in_words(7_200), "2 hours");
    assert_eq!(when().title(), "2026-06-03 21:40:05 +02:00");
    assert_eq!(When::new("", "2026-06-03T21:40:05Z").title(), "2026-06-03 21:40:05 UTC");
}

#[test]
fn what_the_tables_do_not_know_is_shown_as_it_is() {
    assert_eq!(event_in_words("token.issued"), "Pass given");
    assert_eq!(event_in_words("moon.landed_on"), "moon landed on");
    assert_eq!(event_in_words("consent.today"), "You allowed today");
    assert_eq!(why_in_words("ok"), None);
    assert_eq!(why_in_words("moon_full").as_deref(), Some("moon full"));
}

/// Relative luminance (WCAG 2.2, "contrast ratio").
fn luminance(colour: &str) -> f64 {
    let long: String =
        if colour.len() == 4 { colour[1..].chars().flat_map(|c| [c, c]).collect() } else { colour[1..].to_owned() };
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&long[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126f64.mul_add(part(0), 0.7152f64.mul_add(part(2), 0.0722 * part(4)))
}

#[test]
fn colours_can_be_read_in_light_and_in_dark() {
    let texts = ["text", "muted", "accent", "accent-strong", "danger", "warn", "ok"];
    for (sheet, dark) in [(STYLE, false), (STYLE, true), (DONE_STYLE, false), (DONE_STYLE, true)] {
        let block = sheet.split(":root").nth(if dark { 2 } else { 1 }).and_then(|s| s.split('}').next()).unwrap();
        let colour = |role: &str| {
            let value = block.split(&format!("--{role}:")).nth(1)?.split(';').next()?.trim();
            Some(luminance(value))
        };
        let ratio = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        let mut measured = 0;
        for ground in ["ground", "surface", "hover"].into_iter().filter_map(colour) {
            for role in texts {
                let Some(text) = colour(role) else { continue };
                assert!(ratio(text, ground) >= 4.5, "{role}: {:.2} (dark: {dark})", ratio(text, ground));
                measured += 1;
            }
            if let Some(control) = colour("control") {
                assert!(ratio(control, ground) >= 3.0, "control: {:.2} (dark: {dark})", ratio(control, ground));
            }
        }
        if let Some(on) = colour("on-accent") {
            for ground in ["accent", "accent-strong"].into_iter().filter_map(colour) {
                assert!(ratio(on, ground) >= 4.5, "on-accent: {:.2} (dark: {dark})", ratio(on, ground));
            }
        }
        assert!(measured >= 8, "the sheet names its colours");
    }
}

#[test]
fn a_long_list_has_pages_and_none_is_beyond_the_last() {
    for (asked, count, range, newer, older) in [
        (1, 0, 0..0, None, None),
        (1, 50, 0..50, None, None),
        (1, 51, 0..50, None, Some("/x?page=2")),
        (2, 51, 50..51, Some("/x?page=1"), None),
        (0, 120, 0..50, None, Some("/x?page=2")),
        (9, 120, 100..120, Some("/x?page=2"), None),
        (usize::MAX, 10, 0..10, None, None),
    ] {
        let pager = Pager::new(asked, count, "/x?");
        assert_eq!(pager.range(), range, "{asked} of {count}");
        assert_eq!((pager.newer().as_deref(), pager.older().as_deref()), (newer, older), "{asked} of {count}");
    }
    assert_eq!(escape_query("/usr/bin/a b&c=é\""), "%2Fusr%2Fbin%2Fa%20b%26c%3D%C3%A9%22");
}
