//! Every page, filled to the brim with one text.

use super::views::*;
use askama::Template;

fn long(text: &str) -> Long {
    Long { full: text.to_owned(), head: text.to_owned(), tail: text.to_owned(), cut: true }
}

pub(super) fn when() -> When {
    When::new("until 21:40", "2026-06-03T21:40:05+02:00")
}

/// Every page with `text` in every field that can hold foreign text, and everything optional present.
pub(super) fn filled_with(text: &str) -> Vec<(&'static str, String)> {
    let own = || text.to_owned();
    let some = || Some(text.to_owned());
    let fact = || Fact { label: "Label".to_owned(), value: own() };
    let ask = || Ask { service: own(), address: some(), account: own(), scopes: vec![own(), own()] };
    let consent = |kind: Kind, asks: Vec<Ask>| ConsentPage {
        id: "id".to_owned(),
        digest: "digest".to_owned(),
        page_token: "token".to_owned(),
        asker: Asker {
            name: long(text),
            path: long(text),
            kind,
            package: some(),
            started_by: some(),
            says_it_is: Some(long(text)),
        },
        asks,
        unusual: vec![own()],
        once: true,
        today: Some(when()),
        always: true,
        closes: when(),
        facts: vec![fact()],
        too_quick: true,
        window: true,
    };
    let grant = || GrantRow {
        id: "7".to_owned(),
        program: long(text),
        path: long(text),
        service: own(),
        scopes: vec![own()],
        account: own(),
        until: Some(when()),
    };
    let block = || BlockRow { id: "3".to_owned(), program: long(text), path: long(text), since: when() };
    let account = |who: Option<String>, state| AccountRow {
        name: own(),
        who,
        issuer: own(),
        state,
        until: Some(when()),
        detail: some(),
    };
    let home = |locked| HomePage {
        page_token: "token".to_owned(),
        said: some(),
        locked,
        organisation: some(),
        support_url: Some(format!("https://{text}")),
        diagnostics: vec![own()],
        notices: vec![own()],
        questions: vec![QuestionRow {
            id: "q".to_owned(),
            program: long(text),
            service: own(),
            account: own(),
            closes: when(),
        }],
        accounts: vec![account(some(), AccountState::SignedIn), account(None, AccountState::SignInRequired)],
        grants: vec![grant()],
        blocks: vec![block()],
        address: own(),
        version: own(),
        test_policy: true,
    };
    let decided = |decision, blocking| DecidedPage {
        decision,
        program: long(text),
        services: vec![own(), own()],
        id: "id".to_owned(),
        blocking,
    };
    let row = ActivityRow {
        time: when(),
        what: own(),
        outcome: Tone::Bad,
        why: some(),
        program: Some(long(text)),
        service: some(),
        account: some(),
    };
    let activity = |rows| {
        let pick = || vec![Pick { value: own(), words: own(), chosen: true }];
        let timeline = Timeline::new([(0, true), (3, false)].into_iter());
        ActivityPage { query: own(), programs: pick(), services: pick(), outcomes: pick(), timeline, rows, more: false }
    };
    let message = MessagePage {
        tone: Tone::Bad,
        title: "Title".to_owned(),
        happened: own(),
        means: own(),
        next: own(),
        link: None,
        detail: some(),
    };
    let failed = SignInFailedPage {
        organisation: own(),
        happened: own(),
        means: own(),
        next: own(),
        detail: some(),
        provider_said: vec![fact()],
    };
    vec![
        ("consent", consent(Kind::Executable, vec![ask()]).render().unwrap()),
        ("script", consent(Kind::Script { interpreter: own() }, vec![ask(), ask()]).render().unwrap()),
        ("inline", consent(Kind::Inline, vec![ask()]).render().unwrap()),
        ("terminal", consent(Kind::Terminal { tty: own() }, vec![ask()]).render().unwrap()),
        ("denied", decided(Decision::Denied, Blocking::Offered("token".to_owned())).render().unwrap()),
        ("blocked", decided(Decision::Denied, Blocking::Done).render().unwrap()),
        ("today", decided(Decision::Today(when()), Blocking::Nothing).render().unwrap()),
        ("home", home(false).render().unwrap()),
        ("locked", home(true).render().unwrap()),
        (
            "permissions",
            GrantsPage { page_token: "token".to_owned(), said: some(), grants: vec![grant()], blocks: vec![block()] }
                .render()
                .unwrap(),
        ),
        ("activity", activity(vec![row]).render().unwrap()),
        ("nothing found", activity(vec![]).render().unwrap()),
        ("message", message.render().unwrap()),
        ("signed in", SignInDonePage { who: some(), organisation: own(), notices: vec![own()] }.render().unwrap()),
        ("failed", failed.render().unwrap()),
    ]
}
