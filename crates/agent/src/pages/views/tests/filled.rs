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
    let ask = || Ask { service: own(), title: some(), address: some(), account: own(), scopes: vec![own(), own()] };
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
        key: "key".to_owned(),
        program: long(text),
        path: long(text),
        service: own(),
        scopes: vec![own()],
        account: own(),
        until: Some(when()),
    };
    let block =
        || BlockRow { id: "3".to_owned(), key: "key".to_owned(), program: long(text), path: long(text), since: when() };
    let account = |who: Option<String>, state| AccountRow {
        name: own(),
        title: some(),
        who,
        issuer: own(),
        state,
        until: Some(when()),
        detail: some(),
    };
    let links = || vec![WebLink { label: own(), address: format!("https://{text}") }];
    let home = |locked| HomePage {
        page_token: "token".to_owned(),
        said: some(),
        locked,
        paused: locked.then(when),
        organisation: some(),
        support_url: Some(format!("https://{text}")),
        links: links(),
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
        grants_in_all: 7,
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
        window: blocking == Blocking::Done,
        blocking,
    };
    let row = || ActivityRow {
        time: when(),
        what: own(),
        outcome: Tone::Bad,
        why: some(),
        program: Some(long(text)),
        key: Some("key".to_owned()),
        service: some(),
        account: some(),
    };
    let activity = |rows| {
        let pick = || vec![Pick { value: own(), words: own(), chosen: true }];
        let timeline = Timeline::new([(0, true), (3, false)].into_iter());
        let pager = Pager::new(2, 170, format!("/activity?q={}&", escape_query(text)));
        let (programs, services, outcomes) = (pick(), pick(), pick());
        ActivityPage { query: own(), programs, services, outcomes, timeline, rows, pager, more: false }
    };
    let permissions = |grants, query: String| GrantsPage {
        page_token: "token".to_owned(),
        said: some(),
        grants,
        pager: Pager::new(2, 170, format!("/permissions?q={}&", escape_query(&query))),
        query,
        blocks: vec![block()],
    };
    let program = |standing| ProgramPage {
        page_token: "token".to_owned(),
        said: some(),
        key: "key".to_owned(),
        name: long(text),
        path: long(text),
        standing,
        grants: vec![grant(), grant()],
        by_settings: vec![own()],
        rows: vec![row()],
        all: format!("/activity?program={}", escape_query(text)),
    };
    let setting = |by| Setting { label: own(), key: own(), value: own(), by, place: own() };
    let group = || Group {
        heading: "Heading".to_owned(),
        name: some(),
        title: some(),
        settings: vec![setting(SetBy::Locked), setting(SetBy::BuiltIn)],
    };
    let profile = |locked| ProfilePage {
        locked,
        is_managed: locked,
        organisation: some(),
        support_url: Some(format!("https://{text}")),
        links: links(),
        faults: vec![own()],
        remarks: vec![own()],
        groups: vec![group()],
        services: vec![group()],
        more_services: 3,
        own_file: own(),
        test_policy: true,
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
        again: Some(Link { address: "/start/ticket".to_owned(), words: own() }),
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
        ("permissions", permissions(vec![grant()], String::new()).render().unwrap()),
        ("permissions found", permissions(vec![grant()], own()).render().unwrap()),
        ("program", program(Standing::Free).render().unwrap()),
        ("blocked program", program(Standing::Blocked("3".to_owned(), when())).render().unwrap()),
        ("unclear program", program(Standing::Unclear).render().unwrap()),
        ("settings", profile(true).render().unwrap()),
        ("own settings", profile(false).render().unwrap()),
        ("activity", activity(vec![row()]).render().unwrap()),
        ("nothing found", activity(vec![]).render().unwrap()),
        ("message", message.render().unwrap()),
        ("signed in", SignInDonePage { who: some(), organisation: own(), notices: vec![own()] }.render().unwrap()),
        ("failed", failed.render().unwrap()),
    ]
}

/// A home page of somebody who has nothing yet.
pub(super) fn home() -> HomePage {
    HomePage {
        page_token: String::new(),
        said: None,
        locked: true,
        paused: None,
        organisation: None,
        support_url: None,
        links: vec![],
        diagnostics: vec![],
        notices: vec![],
        questions: vec![],
        accounts: vec![],
        grants: vec![],
        grants_in_all: 0,
        blocks: vec![],
        address: String::new(),
        version: String::new(),
        test_policy: false,
    }
}
