//! Sample data: the ordinary, the empty, the long, the right-to-left and the hostile.

use super::views::{
    AccountRow, AccountState, ActivityPage, ActivityRow, Ask, Asker, BlockRow, Blocking, CONSTANT_PAGE, ConsentPage,
    DecidedPage, Decision, Fact, GrantRow, GrantsPage, Group, HomePage, Kind, Link, Long, MessagePage, Pager, Pick,
    ProfilePage, ProgramPage, QuestionRow, SetBy, Setting, SignInDonePage, SignInFailedPage, Standing, Timeline, Tone,
    WebLink, When, ago, escape_query, event_in_words, for_the_next, in_words, setting_in_words, span_in_words,
    value_in_words, why_in_words,
};
use askama::Template;

fn when(words: &str) -> When {
    When::new(words, "2026-06-03T21:40:05+02:00")
}

fn asker(path: &str) -> Asker {
    let name = path.rsplit('/').next().unwrap_or(path);
    Asker {
        name: Long::name(name),
        path: Long::path(path),
        kind: Kind::Executable,
        package: Some("deb:payments-cli".to_owned()),
        started_by: Some("Terminal (bash)".to_owned()),
        says_it_is: None,
    }
}

fn ask(service: &str, scopes: &[&str]) -> Ask {
    Ask {
        service: service.to_owned(),
        title: (service == "payments").then(|| "Payments and invoices".to_owned()),
        address: Some(format!("https://{service}.example.com")),
        account: "Alice · Example Corp".to_owned(),
        scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
    }
}

fn consent(asker: Asker) -> ConsentPage {
    ConsentPage {
        id: "q7f3".to_owned(),
        digest: "6b1f".to_owned(),
        page_token: "t0k3n".to_owned(),
        asker,
        asks: vec![ask("payments", &["payments.read"])],
        unusual: vec![],
        once: true,
        today: Some(when("for the next 12 hours, until 21:40")),
        always: true,
        closes: when("at 09:42"),
        facts: vec![
            Fact {
                label: "SHA-256 of the file".to_owned(),
                value: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
            },
            Fact { label: "Process".to_owned(), value: "4711".to_owned() },
        ],
        too_quick: false,
        window: false,
    }
}

fn consents() -> Vec<(&'static str, ConsentPage)> {
    let mut all = Vec::new();
    all.push(("consent", consent(asker("/usr/bin/payments-cli"))));

    let mut script = consent(asker("/home/alice/Projects/customers/example-corp/billing/tools/monthly/reconcile.py"));
    script.asker.kind = Kind::Script { interpreter: "/usr/bin/python3.11".to_owned() };
    script.asker.package = None;
    script.asker.says_it_is = Some(Long::name("Sync Helper"));
    script.always = false;
    script.unusual = vec![
        "Daypass has never seen this program before.".to_owned(),
        "The script lies in a folder you can write to, so any program of yours could have changed it.".to_owned(),
    ];
    all.push(("consent-script", script));

    let mut long = consent(asker(&format!(
        "/opt/{}",
        "a-program-with-a-remarkably-long-name-".repeat(8).get(..300).unwrap_or_default()
    )));
    long.asker.package = None;
    long.asker.says_it_is = Some(Long::name(&"Very Official Security Update ".repeat(10)));
    long.unusual = vec!["The program has changed since it last asked.".to_owned()];
    all.push(("consent-long", long));

    let mut rtl = consent(asker("/home/alice/תוכנות/תשלומים"));
    rtl.asker.says_it_is = Some(Long::name("مدير الدفع"));
    rtl.asks = vec![Ask {
        account: "أليس · شركة المثال".to_owned(),
        ..ask("payments", &["payments.read", "payments.write"])
    }];
    all.push(("consent-rtl", rtl));

    let mut hostile = consent(asker("/home/alice/Downloads/\u{202e}gpj.<b onclick=x>\"'&amp;\u{200b}<br>"));
    hostile.asker.says_it_is = Some(Long::name("Daypass\"><script>alert(1)</script>\u{2066}"));
    hostile.asker.package = None;
    hostile.too_quick = true;
    all.push(("consent-hostile", hostile));

    let mut terminal = consent(asker("/usr/bin/bash"));
    terminal.asker.kind = Kind::Terminal { tty: "pts/3".to_owned() };
    terminal.asker.package = Some("deb:bash".to_owned());
    terminal.asker.started_by = Some("gnome-terminal".to_owned());
    terminal.always = false;
    all.push(("consent-terminal", terminal));

    let mut inline = consent(asker("/usr/bin/python3.11"));
    inline.asker.kind = Kind::Inline;
    inline.asker.package = Some("deb:python3.11-minimal".to_owned());
    inline.always = false;
    inline.today = None;
    inline.window = true;
    all.push(("consent-inline", inline));

    let mut several = consent(asker("/usr/bin/payments-cli"));
    several.asks = vec![
        ask("payments", &["payments.read"]),
        ask("invoices", &["invoices.read", "invoices.write"]),
        ask("ledger", &[]),
    ];
    several.unusual = vec!["It asks for more than before.".to_owned()];
    all.push(("consent-several", several));
    all
}

fn grant(number: usize) -> GrantRow {
    let path = match number % 4 {
        0 => "/usr/bin/payments-cli".to_owned(),
        1 => "/home/alice/Projects/customers/example-corp/billing/tools/reconcile.py".to_owned(),
        2 => "/usr/lib/git-core/git-remote-https".to_owned(),
        _ => "/home/alice/תוכנות/תשלומים".to_owned(),
    };
    GrantRow {
        id: number.to_string(),
        key: "L3Vzci9iaW4vcGF5bWVudHMtY2xp".to_owned(),
        program: Long::name(path.rsplit('/').next().unwrap_or_default()),
        path: Long::path(&path),
        service: ["payments", "invoices", "ledger"][number % 3].to_owned(),
        scopes: vec!["payments.read".to_owned()],
        account: "Alice · Example Corp".to_owned(),
        until: (!number.is_multiple_of(3)).then(|| when("today, 21:40")),
    }
}

fn block(number: usize) -> BlockRow {
    let GrantRow { id, key, program, path, .. } = grant(number);
    BlockRow { id, key, program, path, since: when("4 minutes ago") }
}

fn account(name: &str, who: Option<&str>, state: &str) -> AccountRow {
    AccountRow {
        name: name.to_owned(),
        title: (name != "lab").then(|| "Example Corp".to_owned()),
        who: who.map(ToOwned::to_owned),
        issuer: format!("https://login.{name}.example.com"),
        state: AccountState::parse(state).unwrap_or(AccountState::SignInRequired),
        until: who.map(|_| when("signed in until tomorrow, 09:00")),
        detail: None,
    }
}

fn home(grants: usize) -> HomePage {
    HomePage {
        page_token: "t0k3n".to_owned(),
        said: None,
        locked: false,
        paused: None,
        organisation: Some("Example Corp".to_owned()),
        support_url: Some("https://it.example.com/daypass".to_owned()),
        links: vec![WebLink {
            label: "Company handbook".to_owned(),
            address: "https://handbook.example.com".to_owned(),
        }],
        diagnostics: vec![],
        notices: vec![],
        questions: vec![],
        accounts: vec![account("corp", Some("Alice Archer"), "signed_in")],
        grants: (0..grants.min(5)).map(grant).collect(),
        grants_in_all: grants,
        blocks: (0..grants / 50).map(block).collect(),
        address: "http://127.0.0.1:6174".to_owned(),
        version: "0.1.0".to_owned(),
        test_policy: false,
    }
}

fn question(program: &str) -> QuestionRow {
    QuestionRow {
        id: "q7f3".to_owned(),
        program: Long::name(program),
        service: "payments".to_owned(),
        account: "Alice · Example Corp".to_owned(),
        closes: when("in 2 minutes"),
    }
}

fn homes() -> Vec<(&'static str, HomePage)> {
    let mut first = home(0);
    first.accounts = vec![];
    let mut busy = home(200);
    busy.said = Some("payments-cli has to ask again for payments.".to_owned());
    busy.questions = vec![question("payments-cli"), question(&"long-name-".repeat(30))];
    busy.diagnostics = vec![
        "/etc/daypass/profile.d/10-corp.toml:14: unknown key “scope” in resources.payments; the entry does not count"
            .to_owned(),
        "/home/alice/.config/daypass/profile.toml:3: consent.terminal counts in managed settings only".to_owned(),
    ];
    busy.notices = vec!["Port 6174 is taken by another program, so Daypass uses 40213 until it restarts.".to_owned()];
    busy.accounts = vec![
        account("corp", Some("Alice Archer"), "signed_in"),
        account("partner", None, "sign_in_required"),
        account("lab", None, "signing_in"),
        account("field", Some("أليس"), "unreachable"),
        account("vault", Some("Alice Archer"), "keychain_locked"),
        account("attic", Some("Alice Archer"), "keychain_unavailable"),
    ];
    busy.test_policy = true;
    busy.paused = Some(when("until 21:40"));
    let mut locked = home(1);
    locked.locked = true;
    locked.diagnostics = vec!["/etc/daypass/profile.d/10-corp.toml:1: not TOML: expected a key".to_owned()];
    vec![("home-empty", first), ("home", home(1)), ("home-busy", busy), ("home-locked", locked)]
}

fn activity_rows(rows: usize) -> Vec<ActivityRow> {
    let row = |n: usize| {
        let (event, code, tone) = [
            ("token.issued", "ok", Tone::Good),
            ("token.refused", "consent_denied", Tone::Refused),
            ("consent.today", "ok", Tone::Good),
            ("sign_in.done", "ok", Tone::Good),
            ("token.refused", "peer_unidentified", Tone::Warning),
        ][n % 5];
        let grant = grant(n);
        ActivityRow {
            time: When::new(ago(i64::try_from(n * n).unwrap_or(0) * 7), "2026-06-03T21:40:05+02:00"),
            what: event_in_words(event),
            outcome: tone,
            why: why_in_words(code),
            program: (n % 5 != 3).then_some(grant.path),
            key: (n % 5 != 3).then_some(grant.key),
            service: (n % 5 != 3).then_some(grant.service),
            account: Some("corp".to_owned()),
        }
    };
    (0..rows).map(row).collect()
}

fn activity(rows: usize, query: &str) -> ActivityPage {
    let picks = |all: &[&str], chosen: usize| -> Vec<Pick> {
        let pick = |(at, text): (usize, &&str)| Pick {
            value: (*text).to_owned(),
            words: (*text).to_owned(),
            chosen: at == chosen && !query.is_empty(),
        };
        all.iter().enumerate().map(pick).collect()
    };
    let passes = (0..rows).map(|n| ((n * n) % 31, n % 5 != 1));
    ActivityPage {
        query: query.to_owned(),
        programs: picks(&["/usr/bin/payments-cli", "/home/alice/Projects/customers/example-corp/reconcile.py"], 1),
        services: picks(&["payments", "invoices", "ledger"], 0),
        outcomes: picks(&["Passes given", "Refused or failed"], 2),
        timeline: Timeline::new(passes),
        rows: activity_rows(rows.min(Pager::LINES)),
        more: rows == 200,
        pager: Pager::new(1, rows, format!("/activity?q={}&", escape_query(query))),
    }
}

fn program(path: &str, standing: Standing, grants: usize, rows: usize) -> ProgramPage {
    ProgramPage {
        page_token: "t0k3n".to_owned(),
        said: (grants == 3).then(|| "The permission is taken back. The program has to ask the next time.".to_owned()),
        key: "L3Vzci9iaW4vcGF5bWVudHMtY2xp".to_owned(),
        name: Long::name(path.rsplit('/').next().unwrap_or(path)),
        path: Long::path(path),
        standing,
        grants: (0..grants).map(grant).collect(),
        by_settings: if grants == 3 { vec!["ledger".to_owned()] } else { vec![] },
        rows: activity_rows(rows),
        all: format!("/activity?program={}", escape_query(path)),
    }
}

fn programs() -> Vec<(&'static str, ProgramPage)> {
    let long = format!("/opt/{}", "a-program-with-a-remarkably-long-name-".repeat(8).get(..300).unwrap_or_default());
    let blocked = Standing::Blocked("3".to_owned(), when(&ago(240)));
    vec![
        ("program", program("/usr/bin/payments-cli", Standing::Free, 3, 20)),
        ("program-empty", program("/usr/bin/git", Standing::Free, 0, 0)),
        ("program-blocked", program(&long, blocked, 0, 3)),
        ("program-rtl", program("/home/alice/תוכנות/תשלומים", Standing::Free, 1, 1)),
        ("program-terminal", program("terminal 4711 (/bin/bash)", Standing::Unclear, 1, 50)),
    ]
}

fn setting(key: &str, value: &str, by: SetBy) -> Setting {
    let end = key.rsplit('.').next().unwrap_or(key);
    let label = if key.starts_with("accounts") || key.starts_with("resources") { end } else { key };
    let place = if by == SetBy::BuiltIn { "" } else { "/etc/daypass/profile.d/10-corp.toml:14" };
    Setting {
        label: setting_in_words(label),
        key: key.to_owned(),
        value: value_in_words(label, value),
        by,
        place: place.to_owned(),
    }
}

fn profile(services: usize) -> ProfilePage {
    let group = |heading: &str, name: Option<String>, title: Option<&str>, settings: Vec<Setting>| Group {
        heading: heading.to_owned(),
        name,
        title: title.map(str::to_owned),
        settings,
    };
    let account = vec![
        setting("accounts.corp.issuer", "https://login.example.com", SetBy::Locked),
        setting("accounts.corp.client_id", "daypass", SetBy::Locked),
        setting("accounts.corp.scopes", "openid, profile, email", SetBy::Suggested),
        setting("accounts.corp.redirect_uri", "http://127.0.0.1/callback", SetBy::BuiltIn),
    ];
    let rest = vec![
        setting("name", "Example Corp", SetBy::Locked),
        setting("consent.idle", &span_in_words(43_200), SetBy::You),
        setting("browser.command", "firefox, -P, work", SetBy::You),
        setting("notifications.enabled", "yes", SetBy::BuiltIn),
    ];
    let service = |n: usize| {
        let settings = vec![
            setting("resources.payments.account", "corp", SetBy::Locked),
            setting("resources.payments.description", &"long words ".repeat(20), SetBy::Suggested),
        ];
        group(
            "Service",
            Some(format!("payments-{n}")),
            n.is_multiple_of(2).then_some("Payments and invoices"),
            settings,
        )
    };
    ProfilePage {
        locked: false,
        is_managed: services > 0,
        organisation: Some("Example Corp".to_owned()),
        support_url: (services > 0).then(|| "https://it.example.com/daypass".to_owned()),
        links: vec![WebLink {
            label: "Company handbook".to_owned(),
            address: "https://handbook.example.com".to_owned(),
        }],
        faults: vec![],
        remarks: vec![],
        groups: vec![
            group("Account", Some("corp".to_owned()), Some("Example Corp"), account),
            group("Everything else", None, None, rest),
        ],
        services: (0..services.min(100)).map(service).collect(),
        more_services: services.saturating_sub(100),
        own_file: "/home/alice/.config/daypass/profile.toml".to_owned(),
        test_policy: false,
    }
}

fn profiles() -> Vec<(&'static str, ProfilePage)> {
    let mut faulty = profile(1);
    faulty.faults = vec![
        "/etc/daypass/profile.d/10-corp.toml:14: unknown key “scope” in resources.payments; the entry does not count"
            .to_owned(),
    ];
    faulty.remarks = vec![format!("/home/alice/.config/daypass/profile.toml:3: {}", in_words(3_600))];
    faulty.test_policy = true;
    let mut locked = profile(0);
    locked.locked = true;
    locked.faults = vec![format!("/etc/daypass/profile.d/10-corp.toml:1: not TOML, {}", for_the_next(3_600))];
    locked.groups.clear();
    vec![
        ("profile-0", profile(0)),
        ("profile", profile(5)),
        ("profile-200", profile(200)),
        ("profile-faulty", faulty),
        ("profile-locked", locked),
    ]
}

fn decided(decision: Decision, blocking: Blocking) -> DecidedPage {
    DecidedPage {
        decision,
        program: Long::name("payments-cli"),
        services: vec!["payments".to_owned(), "invoices".to_owned()],
        id: "q7f3".to_owned(),
        window: blocking == Blocking::Done,
        blocking,
    }
}

/// Every page, by name.
pub(crate) fn all() -> Result<Vec<(String, String)>, askama::Error> {
    let mut pages: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, page: String| pages.push((name.to_owned(), page));
    for (name, page) in consents() {
        add(name, page.render()?);
    }
    for (name, page) in homes() {
        add(name, page.render()?);
    }
    for (name, page) in programs() {
        add(name, page.render()?);
    }
    for (name, page) in profiles() {
        add(name, page.render()?);
    }
    for (name, decision) in [
        ("decided-denied", Decision::Denied),
        ("decided-once", Decision::Once),
        ("decided-today", Decision::Today(when("for the next 12 hours, until 21:40"))),
        ("decided-always", Decision::Always),
        ("decided-expired", Decision::Expired),
        ("decided-gone", Decision::Gone),
        ("decided-answered", Decision::Answered),
    ] {
        let blocking = match decision {
            Decision::Denied => Blocking::Offered("t0k3n".to_owned()),
            _ => Blocking::Nothing,
        };
        add(name, decided(decision, blocking).render()?);
    }
    add("decided-blocked", decided(Decision::Denied, Blocking::Done).render()?);
    for rows in [0, 1, 200] {
        let page = GrantsPage {
            page_token: "t0k3n".to_owned(),
            said: None,
            grants: (0..rows.min(Pager::LINES)).map(grant).collect(),
            query: String::new(),
            pager: Pager::new(2, rows, "/permissions?"),
            blocks: (0..rows.min(4)).map(block).collect(),
        };
        add(&format!("permissions-{rows}"), page.render()?);
        add(&format!("activity-{rows}"), activity(rows, "").render()?);
    }
    add("activity-none", activity(0, "<b>x").render()?);
    add("activity-some", activity(6, "payments").render()?);
    add(
        "message",
        MessagePage {
            tone: Tone::Warning,
            title: "The sign-in could not start".to_owned(),
            happened: "The provider of “corp” does not answer.".to_owned(),
            means: "You stay signed out, and programs get no passes for this account.".to_owned(),
            next: "Check your network, then try again.".to_owned(),
            link: Some(Link { address: "/".to_owned(), words: "Back to home".to_owned() }),
            detail: Some("issuer_unavailable: connection refused (https://login.example.com)".to_owned()),
        }
        .render()?,
    );
    add("constant", CONSTANT_PAGE.to_owned());
    add(
        "done-signed-in",
        SignInDonePage {
            who: Some("Alice Archer".to_owned()),
            organisation: "Example Corp".to_owned(),
            notices: vec![],
        }
        .render()?,
    );
    add(
        "done-failed",
        SignInFailedPage {
            organisation: "Example Corp".to_owned(),
            happened: "The provider refused this sign-in.".to_owned(),
            means: "You are still signed out; nothing has changed.".to_owned(),
            next: "Run daypass login again, and show the technical detail to your IT if it fails the same way."
                .to_owned(),
            again: Some(Link { address: "/start/ticket".to_owned(), words: "Try again".to_owned() }),
            detail: Some("issuer_rejected".to_owned()),
            provider_said: vec![
                Fact { label: "Error".to_owned(), value: "access_denied".to_owned() },
                Fact { label: "Code".to_owned(), value: "AADSTS65004".to_owned() },
                Fact { label: "Correlation id".to_owned(), value: "b7c2<script>".to_owned() },
            ],
        }
        .render()?,
    );
    Ok(pages)
}
