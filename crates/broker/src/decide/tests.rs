//! The policy as tables.

use super::*;
use crate::{
    peer::{FileIdentity, ProcessInstance},
    rules::{Offline, PeerRule, RequestAs},
};
use std::{collections::BTreeMap, path::PathBuf};

pub(crate) fn file(path: &str, digest: u8) -> FileIdentity {
    FileIdentity { path: PathBuf::from(path), device: 1, inode: u64::from(digest), digest: [digest; 32] }
}

pub(crate) fn peer(program: Option<Program>) -> Peer {
    let instance = ProcessInstance { pid: 100, start_time: 7 };
    Peer {
        uid: 1,
        instance,
        subject: instance,
        session_leader: None,
        program,
        first_party: false,
        started_by: None,
        package: None,
    }
}

pub(crate) fn tool() -> Program {
    Program::Executable { file: file("/usr/bin/tool", 1), generic_client: false }
}

pub(crate) fn rules() -> Rules {
    let mut rules = Rules::default();
    let account = Account {
        name: "corp".parse().unwrap(),
        title: None,
        issuer: "https://issuer.example".parse().unwrap(),
        client_id: "daypass".into(),
        client_secret: None,
        redirect_uris: vec![],
        scopes: "openid".parse().unwrap(),
        offline: Offline::Auto,
        authorization_parameters: BTreeMap::new(),
        required_claims: BTreeMap::new(),
    };
    let resource = Resource {
        name: "payments".parse().unwrap(),
        title: None,
        description: None,
        account: account.name.clone(),
        token: TokenKind::Access,
        audience: Some("https://payments.example".into()),
        request: RequestAs::Resource,
        scopes: "read".parse().unwrap(),
        allowed_scopes: "read write".parse().unwrap(),
        lifetime: Span::minutes(5),
        consent: ConsentRule::Ask,
        sensitive: false,
        peers: Peers::Listed(PeerList::default()),
    };
    rules.accounts.insert(account.name.clone(), account.into());
    rules.resources.insert(resource.name.clone(), resource.into());
    rules
}

fn grant(program: &Program, scopes: &str, choice: Choice) -> Grant {
    Grant {
        id: GrantId(1),
        program: program.key(),
        account: "corp".parse().unwrap(),
        resource: "payments".parse().unwrap(),
        scopes: scopes.parse().unwrap(),
        choice,
        created: Timestamp::from_seconds(0),
        last_used: Timestamp::from_seconds(0),
        until: (choice == Choice::Today).then(|| Timestamp::from_seconds(12 * 3600)),
        package: None,
    }
}

struct Case {
    rules: Rules,
    peer: Peer,
    grants: Vec<Grant>,
    scope: &'static str,
    now: i64,
    blocked: bool,
    locked: bool,
    writable: bool,
    followed: bool,
    cached: Option<CachedToken>,
    refresh: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            rules: rules(),
            peer: peer(Some(tool())),
            grants: vec![],
            scope: "",
            now: 100,
            blocked: false,
            locked: false,
            writable: false,
            followed: true,
            cached: None,
            refresh: false,
        }
    }
}

impl Case {
    fn decide(&self) -> Decision {
        let wanted = match resolve(&self.rules, "payments", &self.scope.parse().unwrap()) {
            Ok(wanted) => wanted,
            Err(refusal) => return Decision::Deny(refusal),
        };
        decide(&Facts {
            peer: &self.peer,
            wanted: &wanted,
            rules: &self.rules,
            grants: &self.grants,
            cached: self.cached.as_ref(),
            now: Timestamp::from_seconds(self.now),
            min_valid: Span::seconds(0),
            refresh: self.refresh,
            blocked: self.blocked,
            screen_locked: self.locked,
            user_can_write: &|_| self.writable,
            may_follow: &|_, _| self.followed,
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Resource)) -> Self {
        change(Arc::make_mut(self.rules.resources.values_mut().next().unwrap()));
        self
    }
}

#[test]
fn without_a_yes_somebody_is_asked_and_with_one_not() {
    let fetch = Decision::Fetch(Authority::Grant(GrantId(1)));
    let given = |scopes, choice| Case { grants: vec![grant(&tool(), scopes, choice)], ..Case::default() };
    let ask = Decision::AskConsent;
    let shorter = |mut case: Case, seconds| {
        case.rules.consent.absolute = Span::seconds(seconds);
        case
    };
    let on_lock_end = |mut case: Case| {
        case.rules.consent.on_lock = LockRule::End;
        case
    };
    for (what, case, expected) in [
        ("no grant", Case::default(), ask.clone()),
        ("granted today", given("read", Choice::Today), fetch.clone()),
        ("granted always", given("read", Choice::Always), fetch.clone()),
        ("a wider scope asks again", Case { scope: "read write", ..given("read", Choice::Always) }, ask.clone()),
        ("a narrower scope does not", Case { scope: "read", ..given("read write", Choice::Always) }, fetch.clone()),
        ("today is over", Case { now: 12 * 3600, ..given("read", Choice::Today) }, ask.clone()),
        (
            "another binary",
            Case {
                peer: peer(Some(Program::Executable { file: file("/usr/bin/tool", 2), generic_client: false })),
                ..given("read", Choice::Always)
            },
            ask.clone(),
        ),
        (
            "idle too long for a sensitive resource",
            Case { now: 700, ..given("read", Choice::Today) }.change(|r| r.sensitive = true),
            ask.clone(),
        ),
        (
            "always, before the resource became sensitive",
            given("read", Choice::Always).change(|r| r.sensitive = true),
            ask.clone(),
        ),
        ("today, before the day became shorter", shorter(given("read", Choice::Today), 100), ask.clone()),
        ("today, within the shorter day", shorter(given("read", Choice::Today), 101), fetch.clone()),
        (
            "above the ceiling",
            Case { scope: "admin", ..given("read", Choice::Always) },
            Decision::Deny(Refusal::ScopeNotAllowed { resource: "payments".parse().unwrap(), scope: "admin".into() }),
        ),
        (
            "not identified",
            Case { peer: peer(None), ..given("read", Choice::Always) },
            Decision::Deny(Refusal::PeerUnidentified),
        ),
        (
            "the profile says no",
            given("read", Choice::Always).change(|r| r.consent = ConsentRule::Denied),
            Decision::Deny(Refusal::ResourceNotAllowed("payments".parse().unwrap())),
        ),
        (
            "the screen is locked",
            Case { locked: true, ..given("read", Choice::Always) },
            Decision::Deny(Refusal::ConsentUnavailable("the screen is locked".into())),
        ),
        (
            "the screen is locked, and locking ends grants: no more is given than where it only pauses",
            on_lock_end(Case { locked: true, ..given("read", Choice::Always) }),
            Decision::Deny(Refusal::ConsentUnavailable("the screen is locked".into())),
        ),
        ("after that lock, always still holds", on_lock_end(given("read", Choice::Always)), fetch.clone()),
    ] {
        assert_eq!(case.decide(), expected, "{what}");
    }
}

#[test]
fn a_block_wins_over_every_yes() {
    let blocked = |case: Case| Case { blocked: true, ..case };
    let given = || Case { grants: vec![grant(&tool(), "read", Choice::Always)], ..Case::default() };
    let preapproved = |case: Case| {
        case.change(|r| {
            r.consent = ConsentRule::Preapproved;
            r.peers = Peers::Any;
        })
    };
    let no = Decision::Deny(Refusal::ProgramBlocked);
    let elsewhere = Refusal::ResourceNotAllowed("payments".parse().unwrap());
    for (what, case, expected) in [
        ("nobody is asked", blocked(Case::default()), no.clone()),
        ("a grant", blocked(given()), no.clone()),
        ("IT's list", blocked(preapproved(Case::default())), no.clone()),
        ("IT's list, without a block", preapproved(Case::default()), Decision::Fetch(Authority::Preapproved)),
        ("a locked screen says nothing more", Case { locked: true, ..blocked(given()) }, no),
        (
            "what nobody may have",
            blocked(given().change(|r| r.consent = ConsentRule::Denied)),
            Decision::Deny(elsewhere),
        ),
        ("not identified", blocked(Case { peer: peer(None), ..given() }), Decision::Deny(Refusal::PeerUnidentified)),
    ] {
        assert_eq!(case.decide(), expected, "{what}");
    }
}

#[test]
fn locking_the_screen_ends_what_the_rules_say() {
    let resource = "payments".parse().unwrap();
    for (sensitive, on_lock, given, ends) in [
        (false, LockRule::Pause, None, false),
        (false, LockRule::Pause, Some(Choice::Today), false),
        (false, LockRule::Pause, Some(Choice::Always), false),
        (false, LockRule::End, None, true),
        (false, LockRule::End, Some(Choice::Today), true),
        (false, LockRule::End, Some(Choice::Always), false),
        (true, LockRule::Pause, None, true),
        (true, LockRule::Pause, Some(Choice::Today), true),
        (true, LockRule::Pause, Some(Choice::Always), true),
        (true, LockRule::End, Some(Choice::Today), true),
    ] {
        let mut rules = Case::default().change(|resource| resource.sensitive = sensitive).rules;
        rules.consent.on_lock = on_lock;
        assert_eq!(ends_on_lock(&rules, &resource, given), ends, "sensitive {sensitive}, {on_lock:?}, {given:?}");
    }
}

#[test]
fn a_machine_that_slept_wakes_up_at_the_time_of_the_wall() {
    let given = |sensitive, now| {
        Case { grants: vec![grant(&tool(), "read", Choice::Today)], now, ..Case::default() }
            .change(|resource| resource.sensitive = sensitive)
            .decide()
    };
    let fetch = Decision::Fetch(Authority::Grant(GrantId(1)));
    // Given at 0, looked at once after the lid was opened again: no time of running has passed, and it does not count.
    assert_eq!(given(false, 11 * 3600), fetch);
    assert_eq!(given(false, 13 * 3600), Decision::AskConsent);
    assert_eq!(given(true, 9 * 60), fetch);
    assert_eq!(given(true, 11 * 60), Decision::AskConsent);
}

#[test]
fn preapproval_means_the_program_itself() {
    let script = || Program::Script { interpreter: file("/usr/bin/python3", 3), script: file("/opt/app/run.py", 4) };
    let path = |p: &str| PeerRule { path: Some(p.into()), ..PeerRule::default() };
    let yes = Decision::Fetch(Authority::Preapproved);
    let no = Decision::AskConsent;
    for (what, rule, program, writable, expected) in [
        ("its path", path("/usr/bin/tool"), tool(), false, &yes),
        ("its path, but the user can write there", path("/usr/bin/tool"), tool(), true, &no),
        ("its path and digest", PeerRule { sha256: Some([1; 32]), ..path("/usr/bin/tool") }, tool(), true, &yes),
        (
            "its path and another digest",
            PeerRule { sha256: Some([9; 32]), ..path("/usr/bin/tool") },
            tool(),
            false,
            &no,
        ),
        ("another path", path("/usr/bin/other"), tool(), false, &no),
        ("an interpreter's path does not approve its scripts", path("/usr/bin/python3"), script(), false, &no),
        (
            "the script",
            PeerRule { script: Some("/opt/app/run.py".into()), ..PeerRule::default() },
            script(),
            false,
            &yes,
        ),
        ("an empty rule", PeerRule::default(), tool(), false, &no),
        (
            "a signer means nothing here",
            PeerRule { signer: Some("x".into()), ..path("/usr/bin/tool") },
            tool(),
            false,
            &no,
        ),
        (
            "a package that is not its own",
            PeerRule { package: Some("deb:x".into()), ..path("/usr/bin/tool") },
            tool(),
            false,
            &no,
        ),
        (
            "nobody is an inline command",
            path("/usr/bin/python3"),
            Program::Inline { interpreter: file("/usr/bin/python3", 3) },
            false,
            &no,
        ),
    ] {
        let case = Case { peer: peer(Some(program)), writable, ..Case::default() }.change(|r| {
            r.consent = ConsentRule::Preapproved;
            r.peers = Peers::Listed(vec![rule].into());
        });
        assert_eq!(case.decide(), *expected, "{what}");
    }
}

#[test]
fn preapproval_by_package_needs_a_file_that_is_not_the_users() {
    let packaged = |package: &str| Peer { package: Some(package.into()), ..peer(Some(tool())) };
    for (peer, writable, expected) in [
        (packaged("deb:tool"), false, Decision::Fetch(Authority::Preapproved)),
        (packaged("deb:tool"), true, Decision::AskConsent),
        (packaged("deb:other"), false, Decision::AskConsent),
    ] {
        let rule = PeerRule { package: Some("deb:tool".into()), ..PeerRule::default() };
        let case = Case { peer, writable, ..Case::default() }.change(|r| {
            r.consent = ConsentRule::Preapproved;
            r.peers = Peers::Listed(vec![rule].into());
        });
        assert_eq!(case.decide(), expected);
    }
}

#[test]
fn a_token_at_hand_is_used_while_enough_of_it_is_left() {
    let token = |obtained, expires| CachedToken {
        value: Arc::new("CANARY".to_owned().into()),
        kind: TokenKind::Access,
        obtained_at: Timestamp::from_seconds(obtained),
        expires_at: Timestamp::from_seconds(expires),
        scopes: "read".parse().unwrap(),
    };
    for (obtained, expires, now, refresh, used) in [
        (0, 300, 100, false, true),
        (0, 300, 239, false, true),
        (0, 300, 241, false, false),
        (0, 300, 100, true, false),
        (0, 64, 3, false, true),
        (0, 64, 5, false, false),
        (0, 30, 10, false, true),
        (0, 30, 16, false, false),
        (0, 300, 400, false, false),
    ] {
        let case = Case {
            grants: vec![grant(&tool(), "read", Choice::Always)],
            cached: Some(token(obtained, expires)),
            now,
            refresh,
            ..Case::default()
        };
        let expected = Authority::Grant(GrantId(1));
        let expected = if used { Decision::UseCached(expected) } else { Decision::Fetch(expected) };
        assert_eq!(case.decide(), expected, "obtained {obtained}, expires {expires}, now {now}, refresh {refresh}");
    }
}

#[test]
fn a_locked_profile_issues_nothing() {
    let mut case = Case { grants: vec![grant(&tool(), "read", Choice::Always)], ..Case::default() };
    case.rules.locked = Some("corp.toml:1: not TOML".into());
    assert_eq!(case.decide(), Decision::Deny(Refusal::ProfileInvalid("corp.toml:1: not TOML".into())));
}

#[test]
fn a_grant_follows_an_update_by_the_package_that_owns_the_program() {
    let program = |path: &str, digest| Program::Executable { file: file(path, digest), generic_client: false };
    let script =
        |digest| Program::Script { interpreter: file("/usr/bin/python3", 5), script: file("/opt/run.py", digest) };
    let before = || Grant { package: Some("deb:tool".into()), ..grant(&tool(), "read", Choice::Always) };
    let today = || Grant { package: Some("deb:tool".into()), ..grant(&tool(), "read", Choice::Today) };
    let deb = Some("deb:tool");
    let (ask, kept) = (Decision::AskConsent, Decision::Fetch(Authority::Updated(GrantId(1))));
    for (what, grant, now, package, root_alone, expected) in [
        ("another digest", before(), program("/usr/bin/tool", 2), deb, true, &kept),
        ("a grant for today", today(), program("/usr/bin/tool", 2), deb, true, &kept),
        (
            "the same bytes need no package",
            before(),
            tool(),
            None,
            false,
            &Decision::Fetch(Authority::Grant(GrantId(1))),
        ),
        (
            "a file that another than root can write, or newer than the database",
            before(),
            program("/usr/bin/tool", 2),
            deb,
            false,
            &ask,
        ),
        ("another package", before(), program("/usr/bin/tool", 2), Some("deb:other"), true, &ask),
        ("the same name of another kind", before(), program("/usr/bin/tool", 2), Some("rpm:tool"), true, &ask),
        ("no package now", before(), program("/usr/bin/tool", 2), None, true, &ask),
        ("no package then", Grant { package: None, ..before() }, program("/usr/bin/tool", 2), deb, true, &ask),
        ("no package then or now", Grant { package: None, ..before() }, program("/usr/bin/tool", 2), None, true, &ask),
        ("another path", before(), program("/usr/bin/tool2", 2), deb, true, &ask),
        ("a path that ends alike", before(), program("/opt/usr/bin/tool", 2), deb, true, &ask),
        (
            "a script",
            Grant {
                program: script(1).key(),
                package: Some("deb:tool".into()),
                ..grant(&tool(), "read", Choice::Today)
            },
            script(2),
            deb,
            true,
            &ask,
        ),
        (
            "a command without a file",
            before(),
            Program::Inline { interpreter: file("/usr/bin/tool", 2) },
            deb,
            true,
            &ask,
        ),
        (
            "always, for what may not hold that any more",
            before(),
            Program::Executable { file: file("/usr/bin/tool", 2), generic_client: true },
            deb,
            true,
            &ask,
        ),
        (
            "another resource",
            Grant { resource: "other".parse().unwrap(), ..before() },
            program("/usr/bin/tool", 2),
            deb,
            true,
            &ask,
        ),
        (
            "a day that is over",
            Grant { until: Some(Timestamp::from_seconds(50)), ..today() },
            program("/usr/bin/tool", 2),
            deb,
            true,
            &ask,
        ),
    ] {
        let mut asker = peer(Some(now));
        asker.package = package.map(str::to_owned);
        let case = Case { grants: vec![grant], peer: asker, followed: root_alone, ..Case::default() };
        assert_eq!(&case.decide(), expected, "{what}");
    }
    // A wider scope asks again, before an update or after it.
    let mut asker = peer(Some(program("/usr/bin/tool", 2)));
    asker.package = deb.map(str::to_owned);
    let case = Case { grants: vec![before()], peer: asker.clone(), scope: "write", ..Case::default() };
    assert_eq!(case.decide(), ask);
    // What was given to the program as it is now comes first.
    let own = Grant { id: GrantId(2), program: program("/usr/bin/tool", 2).key(), ..before() };
    let case = Case { grants: vec![before(), own], peer: asker, ..Case::default() };
    assert_eq!(case.decide(), Decision::Fetch(Authority::Grant(GrantId(2))));
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_text_follows_nothing() {
    use std::os::unix::ffi::OsStrExt as _;
    let odd = |bytes: &[u8], digest| Program::Executable {
        file: FileIdentity { path: std::ffi::OsStr::from_bytes(bytes).into(), ..file("", digest) },
        generic_client: false,
    };
    let given = Grant { package: Some("deb:x".into()), ..grant(&odd(b"/opt/a\xff", 1), "read", Choice::Always) };
    assert_eq!(given.program.executable_path(), None);
    for now in [odd(b"/opt/a\xff", 2), odd("/opt/a\u{fffd}".as_bytes(), 2), odd(b"/opt/a\xfe", 2)] {
        assert!(!given.follows(&now, Some("deb:x")), "{now:?}");
    }
}

#[test]
fn among_a_thousand_resources_the_same_one_is_found() {
    let mut rules = rules();
    let first = Arc::clone(rules.resources.values().next().unwrap());
    for n in 0..1000 {
        let name: ResourceName = format!("r{n:04}").parse().unwrap();
        // Two of each audience: the first name counts.
        let resource =
            Resource { name: name.clone(), audience: Some(format!("https://a{}.example", n / 2)), ..(*first).clone() };
        rules.resources.insert(name, resource.into());
    }
    let found = |rules: &Rules, wanted: &str| rules.resource(wanted).map(|resource| resource.name.to_string());
    for (wanted, name) in [
        ("r0999", Some("r0999")),
        ("https://a400.example", Some("r0800")),
        ("https://payments.example", Some("payments")),
        ("payments", Some("payments")),
        ("https://a500.example", None),
        ("https://A400.example", None),
        ("r1000", None),
        ("", None),
    ] {
        assert_eq!(found(&rules, wanted).as_deref(), name, "{wanted:?}");
    }
    // A snapshot made from another one looks for itself.
    let mut later = rules.clone();
    let changed = Resource { audience: Some("https://new.example".into()), ..(*first).clone() };
    later.resources.insert("r0800".parse().unwrap(), Resource { name: "r0800".parse().unwrap(), ..changed }.into());
    assert_eq!(found(&later, "https://new.example").as_deref(), Some("r0800"));
    assert_eq!(found(&later, "https://a400.example").as_deref(), Some("r0801"));
}
