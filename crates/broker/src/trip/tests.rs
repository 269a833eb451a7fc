//! The order of the trip's end.

use super::*;
use crate::{
    decide::tests::{peer, rules, tool},
    rules::{ConsentRule, Peers, TokenKind},
};
use std::{
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

/// Everything is allowed; what happens is noted, and one thing goes wrong while the peer is looked at again.
struct Scene {
    rules: Arc<Rules>,
    happened: Mutex<Vec<&'static str>>,
    meanwhile: &'static str,
    /// The rules from then on, where they are others.
    later: Option<Arc<Rules>>,
}

impl Scene {
    fn note(&self, what: &'static str) {
        self.happened.lock().unwrap().push(what);
    }

    /// Whether this has gone wrong by now.
    fn is(&self, what: &str) -> bool {
        self.meanwhile == what && self.happened.lock().unwrap().contains(&"same?")
    }
}

impl Ports for Scene {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(100)
    }
    fn rules(&self) -> Arc<Rules> {
        let by_now = self.later.as_ref().filter(|_| self.happened.lock().unwrap().contains(&"same?"));
        Arc::clone(by_now.unwrap_or(&self.rules))
    }
    fn screen_locked(&self) -> bool {
        self.note("locked?");
        self.is("locked")
    }
    fn paused(&self) -> Option<Refusal> {
        self.note("paused?");
        self.is("paused").then(|| Refusal::ConsentUnavailable("paused".to_owned()))
    }
    fn blocked(&self, _: &Peer) -> bool {
        self.note("blocked?");
        self.is("blocked")
    }
    fn user_can_write(&self, _: &Path) -> bool {
        false
    }
    fn may_follow(&self, _: &FileIdentity, _: &str) -> bool {
        false
    }
    async fn signed_in(&self, _: &Wanted) -> Result<(), Refusal> {
        self.note("signed in?");
        Ok(())
    }
    async fn meets(&self, wanted: &Wanted, _: &Request, token: Option<&CachedToken>) -> Result<String, Refusal> {
        self.note(if token.is_some() { "token meets?" } else { "meets?" });
        let fetched = self.happened.lock().unwrap().contains(&"fetched");
        let unmet = match self.meanwhile {
            "never met" => true,
            "not met any more" => fetched,
            "token does not meet" => token.is_some(),
            _ => false,
        };
        if unmet {
            return Err(step_up(wanted));
        }
        Ok(if self.meanwhile == "another sign-in" && fetched { "second" } else { "first" }.to_owned())
    }
    fn grants(&self, _: &Peer, _: &Wanted) -> Vec<Grant> {
        Vec::new()
    }
    fn cached(&self, _: &Wanted) -> Option<CachedToken> {
        None
    }
    async fn consent(&self, _: &Peer, _: &Wanted, _: &Request) -> Result<Authority, Refusal> {
        self.note("asked");
        if self.meanwhile == "declined" { Err(Refusal::ConsentDenied) } else { Ok(Authority::Preapproved) }
    }
    async fn fetch(&self, wanted: &Wanted, _: &Request, _: &Peer) -> Result<CachedToken, Refusal> {
        self.note("fetched");
        Ok(CachedToken {
            value: Arc::new("CANARY".to_owned().into()),
            kind: TokenKind::Access,
            obtained_at: self.now(),
            expires_at: self.now() + Span::minutes(5),
            scopes: wanted.scopes.clone(),
        })
    }
    async fn still_same(&self, _: &Peer) -> bool {
        self.note("same?");
        self.meanwhile != "another"
    }
    fn still_granted(&self, _: &Authority, _: &Wanted, _: &Peer) -> bool {
        self.note("granted?");
        !self.is("revoked")
    }
    fn record(&self, record: &Record<'_>) -> Result<(), Refusal> {
        self.note(if record.outcome.is_ok() { "issued" } else { "refused" });
        Ok(())
    }
}

#[test]
fn what_comes_before_the_line_is_seen_and_each_trip_has_one_line() {
    let mut rules = rules();
    let resource = Arc::make_mut(rules.resources.values_mut().next().unwrap());
    (resource.consent, resource.peers) = (ConsentRule::Preapproved, Peers::Any);
    let rules = Arc::new(rules);
    let request = Request {
        resource: "payments".to_owned(),
        scopes: ScopeSet::default(),
        min_valid: Span::seconds(0),
        wait: None,
        refresh: false,
        says_it_is: None,
        requirement: Requirement::default(),
    };
    for (meanwhile, expected) in [
        ("", None),
        ("another", Some(Refusal::PeerUnidentified)),
        ("blocked", Some(Refusal::ProgramBlocked)),
        ("locked", Some(locked())),
        ("paused", Some(Refusal::ConsentUnavailable("paused".to_owned()))),
        ("revoked", Some(Refusal::ConsentGone)),
    ] {
        let scene = Scene { rules: Arc::clone(&rules), happened: Mutex::default(), meanwhile, later: None };
        let (peer, waker) = (peer(Some(tool())), Waker::noop());
        let outcome = pin!(run(&scene, &peer, &request)).poll(&mut Context::from_waker(waker));
        let Poll::Ready(outcome) = outcome else { panic!("nothing here waits") };
        assert_eq!(outcome.err(), expected, "{meanwhile}");
        let happened = scene.happened.lock().unwrap();
        let lines = happened.iter().filter(|what| ["issued", "refused"].contains(what)).count();
        assert_eq!(lines, 1, "{meanwhile}: {happened:?}");
        if meanwhile.is_empty() {
            assert!(
                happened.ends_with(&["same?", "blocked?", "locked?", "paused?", "granted?", "issued"]),
                "the line follows the last look: {happened:?}"
            );
        }
    }
}

fn step_up(wanted: &Wanted) -> Refusal {
    let account = wanted.account.name.clone();
    Refusal::StepUpRequired { account, why: "too old".to_owned(), flags: String::new() }
}

/// Which refusal is expected; `None` = a token.
type Fits<'a> = Option<&'a dyn Fn(&Refusal) -> bool>;

#[test]
fn a_demand_is_judged_after_the_yes_and_again_with_the_token_in_hand() {
    let asking = Arc::new(rules());
    let mut preapproved = rules();
    let resource = Arc::make_mut(preapproved.resources.values_mut().next().unwrap());
    (resource.consent, resource.peers) = (ConsentRule::Preapproved, Peers::Any);
    let preapproved = Arc::new(preapproved);
    let step_up = |refusal: &Refusal| matches!(refusal, Refusal::StepUpRequired { .. });
    let login = |refusal: &Refusal| matches!(refusal, Refusal::LoginRequired(_));
    let declined = |refusal: &Refusal| *refusal == Refusal::ConsentDenied;
    let table: [(&str, &Arc<Rules>, Fits<'_>, &[&str]); 7] = [
        ("", &preapproved, None, &["meets?", "fetched", "token meets?"]),
        ("never met", &preapproved, Some(&step_up), &["meets?"]),
        ("not met any more", &preapproved, Some(&step_up), &["meets?", "fetched", "token meets?"]),
        ("token does not meet", &preapproved, Some(&step_up), &["meets?", "fetched", "token meets?"]),
        ("another sign-in", &preapproved, Some(&login), &["meets?", "fetched", "token meets?"]),
        // Whoever has no yes learns nothing of how the person signed in.
        ("declined", &asking, Some(&declined), &["signed in?", "asked"]),
        ("never met", &asking, Some(&step_up), &["signed in?", "asked", "meets?"]),
    ];
    for (meanwhile, rules, refused, steps) in table {
        let scene = Scene { rules: Arc::clone(rules), happened: Mutex::default(), meanwhile, later: None };
        let request = Request {
            resource: "payments".to_owned(),
            scopes: ScopeSet::default(),
            min_valid: Span::seconds(0),
            wait: None,
            refresh: false,
            says_it_is: None,
            requirement: Requirement { max_age: Some(Span::minutes(5)), ..Requirement::default() },
        };
        let (peer, waker) = (peer(Some(tool())), Waker::noop());
        let outcome = pin!(run(&scene, &peer, &request)).poll(&mut Context::from_waker(waker));
        let Poll::Ready(outcome) = outcome else { panic!("nothing here waits") };
        match (&outcome, refused) {
            (Ok(_), None) => {}
            (Err(refusal), Some(fits)) => assert!(fits(refusal), "{meanwhile}: {refusal:?}"),
            (outcome, _) => panic!("{meanwhile}: {outcome:?}"),
        }
        let happened = scene.happened.lock().unwrap();
        let steps_of = ["signed in?", "asked", "meets?", "fetched", "token meets?"];
        let found: Vec<&str> = happened.iter().copied().filter(|step| steps_of.contains(step)).collect();
        assert_eq!(found, steps, "{meanwhile}");
    }
}

#[test]
fn another_profile_at_delivery_is_asked_again() {
    fn of(change: impl FnOnce(&mut Rules, &mut crate::rules::Resource)) -> Arc<Rules> {
        let mut rules = rules();
        let name = rules.resources.keys().next().unwrap().clone();
        let mut resource = (*rules.resources[&name]).clone();
        (resource.consent, resource.peers) = (ConsentRule::Preapproved, Peers::Any);
        change(&mut rules, &mut resource);
        rules.resources.insert(name, resource.into());
        Arc::new(rules)
    }
    let request = Request {
        resource: "payments".to_owned(),
        scopes: ScopeSet::default(),
        min_valid: Span::seconds(0),
        wait: None,
        refresh: false,
        says_it_is: None,
        requirement: Requirement::default(),
    };
    let locked_by = Refusal::ProfileInvalid("spoilt".to_owned());
    for (what, later, expected) in [
        ("the same again", of(|_, _| {}), None),
        ("locked", of(|rules, _| rules.locked = Some("spoilt".to_owned())), Some(locked_by)),
        (
            "denied",
            of(|_, r| r.consent = ConsentRule::Denied),
            Some(Refusal::ResourceNotAllowed("payments".parse().unwrap())),
        ),
        ("asked for", of(|_, r| r.consent = ConsentRule::Ask), Some(Refusal::ConsentGone)),
        (
            "another audience",
            of(|_, r| r.audience = Some("https://other.example".to_owned())),
            Some(Refusal::ConsentGone),
        ),
    ] {
        let scene = Scene { rules: of(|_, _| {}), happened: Mutex::default(), meanwhile: "", later: Some(later) };
        let (peer, waker) = (peer(Some(tool())), Waker::noop());
        let outcome = pin!(run(&scene, &peer, &request)).poll(&mut Context::from_waker(waker));
        let Poll::Ready(outcome) = outcome else { panic!("nothing here waits") };
        assert_eq!(outcome.err(), expected, "{what}");
        let happened = scene.happened.lock().unwrap();
        assert_eq!(happened.contains(&"granted?"), expected.is_none(), "{what}: a grant is not used up for nothing");
    }
}
