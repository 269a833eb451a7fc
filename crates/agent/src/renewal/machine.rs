//! The refresh machine under whatever comes: the real renewal, store and vault of an agent, an issuer that does anything,
//! a keychain that may refuse, and an end at any step, in any order.
//!
//! What must hold is judged where it counts, at the issuer ([`issuer::State`]): a refresh token is never shown a third time
//! after two uses without an answer, and once it was rotated once more at most, never if the new one was kept. And a
//! sign-in is not lost without a reason.

mod issuer;

use super::*;
use crate::{
    failpoints::ARMED,
    startup::{Call, Outside, assemble},
};
use broker::ports::{Clock, Entropy, Keychain, KeychainError};
use issuer::{Answer, Issuer};
use platform::{entropy::OsEntropy, keychain::Memory, paths::Paths};
use proptest::prelude::*;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
};

struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// A keychain that outlives the agent, and writes only when it likes.
#[derive(Default)]
struct FakeKeychain {
    items: Memory,
    refuses: AtomicBool,
}

impl Keychain for FakeKeychain {
    fn read(&self, item: &str) -> Result<Option<SecretString>, KeychainError> {
        self.items.read(item)
    }

    fn write(&self, item: &str, secret: &SecretString) -> Result<(), KeychainError> {
        if self.refuses.load(Ordering::Relaxed) { Err(KeychainError::Locked) } else { self.items.write(item, secret) }
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        self.items.delete(item)
    }
}

/// One renewal and what goes wrong with it.
#[derive(Debug, Clone)]
struct Step {
    /// What the issuer does with the requests, one after another; after that it is well behaved.
    answers: Vec<Answer>,
    /// The token endpoint cannot be reached.
    away: bool,
    keychain_refuses: bool,
    /// Where the agent dies.
    dies: Option<&'static str>,
    /// The agent is started anew first.
    restart: bool,
    /// For the account's own scopes instead of a resource.
    own: bool,
    /// By the agent itself, ahead of time.
    ahead: bool,
}

const QUIET: Step = Step {
    answers: Vec::new(),
    away: false,
    keychain_refuses: false,
    dies: None,
    restart: false,
    own: false,
    ahead: false,
};

fn step() -> impl Strategy<Value = Step> {
    use Answer::{Busy, Later, Lost, LostAfterRotation, Odd, Refuse, Rotate, Same};
    let answer = prop_oneof![
        3 => Just(Rotate), 3 => Just(Same), 4 => Just(Lost), 2 => Just(LostAfterRotation), 2 => Just(Busy),
        1 => Just(Later), 1 => Just(Refuse), 2 => Just(Odd),
    ];
    let dies = prop_oneof![
        5 => Just(None),
        4 => prop::sample::select(
            vec!["refresh.before", "refresh.noted", "refresh.answered", "refresh.stored", "refresh.kept"]
        ).prop_map(Some),
    ];
    let [rarely, seldom, often] = [1, 2, 3].map(|weight| prop::bool::weighted(0.12 * f64::from(weight)));
    (prop::collection::vec(answer, 0..3), rarely, seldom, dies, often, prop::bool::ANY, prop::bool::ANY).prop_map(
        |(answers, away, keychain_refuses, dies, restart, own, ahead)| Step {
            answers,
            away,
            keychain_refuses,
            dies,
            restart,
            own,
            ahead,
        },
    )
}

/// Everything that outlives the agent, and the agent.
struct World {
    folder: tempfile::TempDir,
    issuer: Issuer,
    clock: Arc<FakeClock>,
    keychain: Arc<FakeKeychain>,
    agent: Arc<Agent>,
}

async fn start(folder: &Path, clock: &Arc<FakeClock>, keychain: &Arc<FakeKeychain>) -> Arc<Agent> {
    let [runtime, config, state] = ["run", "config", "state"].map(|name| folder.join(name));
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let options = oidc::Options { total_timeout: Duration::from_secs(5), ..oidc::Options::default() };
    let oidc = oidc::Client::new(&options, Arc::clone(&clock), Arc::clone(&entropy)).unwrap();
    let keychain = Arc::clone(keychain);
    let opener: crate::vault::Opener = Arc::new(move || Ok(Arc::clone(&keychain) as Arc<dyn Keychain>));
    let call = Call { managed_dir: Some(folder.join("managed")) };
    let outside = Outside { clock, entropy, opener, oidc };
    assemble(&call, &Paths { runtime, config, state }, outside).await.unwrap().0
}

impl World {
    /// Somebody is signed in.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config", "state", "managed"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let issuer = Issuer::start();
        let profile = format!(
            "version = 1\n[accounts.corp]\nissuer = \"{}\"\nclient_id = \"daypass\"\nscopes = [\"email\"]\n\
             [resources.payments]\naccount = \"corp\"\naudience = \"https://payments.example\"\nscopes = [\"read\"]\n\
             [broker]\nport = 0\n",
            issuer.address
        );
        fs::write(folder.path().join("config/profile.toml"), profile).unwrap();
        let clock = Arc::new(FakeClock(AtomicI64::new(1_800_000_000)));
        let keychain = Arc::<FakeKeychain>::default();
        let agent = start(folder.path(), &clock, &keychain).await;
        let account = Arc::clone(agent.rules().accounts.values().next().unwrap());
        let entry = agent.accounts.entry(&account.name);
        let sign_in = SignIn {
            issuer: issuer.address.clone(),
            client_id: "daypass".into(),
            subject: "alice".into(),
            display_name: None,
            auth_time: None,
            acr: None,
            amr: Vec::new(),
            signed_in_at: agent.now(),
            refresh_token: Some(issuer.state().live.clone().into()),
            refresh_expires_at: None,
            refreshed_at: agent.now(),
            nonce: None,
            claims: None,
            ends_at: None,
            met: Vec::new(),
        };
        assert_eq!(agent.keep(&entry, sign_in, entry.era()).await, Kept::Durable);
        Self { folder, issuer, clock, keychain, agent }
    }

    /// Takes a step; the token, or why there is none.
    async fn take(&mut self, step: &Step) -> Result<CachedToken, Refusal> {
        // Past every pause, and past the life of every token and document.
        self.clock.0.fetch_add(600, Ordering::Relaxed);
        if step.restart {
            self.agent = start(self.folder.path(), &self.clock, &self.keychain).await;
        }
        self.keychain.refuses.store(step.keychain_refuses, Ordering::Relaxed);
        self.issuer.state().begin(&step.answers, step.away);
        ARMED.with(|armed| armed.set(step.dies));
        let rules = self.agent.rules();
        let account = Arc::clone(rules.accounts.values().next().unwrap());
        let resource = Arc::clone(rules.resource("payments").unwrap());
        let own = TokenKey { account: account.name.clone(), target: Target::Own, scopes: account.scopes.clone() };
        let (key, resource) =
            if step.own { (own, None) } else { (TokenKey::of(&resource, &resource.scopes), Some(resource)) };
        let need = Need { account, key, resource, min_valid: Span::seconds(60), forced: false, ahead: step.ahead };
        let result = tokio::time::timeout(Duration::from_secs(30), self.agent.renew(need)).await.unwrap();
        let died = step.dies.filter(|_| !ARMED.with(crate::failpoints::Armed::is_set));
        ARMED.with(|armed| armed.set(None));
        self.issuer.state().end(died, !step.keychain_refuses);
        if died.is_some() {
            assert!(matches!(result, Err(Refusal::Internal(_))), "it died and gave nothing: {result:?}");
            self.agent = start(self.folder.path(), &self.clock, &self.keychain).await;
        }
        self.keychain.refuses.store(false, Ordering::Relaxed);
        result
    }

    /// Lines of the audit log that say the sign-in was lost.
    fn losses(&self) -> u32 {
        let reader = self.agent.store.reader().unwrap();
        reader.query_row("SELECT count(*) FROM audit WHERE event = 'sign_in.lost'", [], |row| row.get(0)).unwrap()
    }
}

async fn play(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new().await;
    for step in steps.iter().chain(&[QUIET, QUIET]) {
        let result = world.take(step).await;
        {
            let state = world.issuer.state();
            prop_assert!(state.wrongs.is_empty(), "{:?} after {step:?}", state.wrongs);
            if matches!(result, Err(Refusal::LoginRequired(_))) {
                prop_assert!(state.may_be_lost(), "lost without a reason: {state:?}");
            }
        }
        if matches!(result, Err(Refusal::LoginRequired(_))) {
            prop_assert_eq!(world.losses(), 1);
            let uses = world.issuer.state().uses();
            let again = world.take(&Step { restart: true, ..QUIET }).await;
            prop_assert!(matches!(again, Err(Refusal::LoginRequired(_))), "{again:?}");
            prop_assert_eq!(world.issuer.state().uses(), uses, "what was erased is used no more");
            return Ok(());
        }
    }
    // Nothing disturbs it any more: it is signed in, has a token, and no use is left open.
    prop_assert!(world.take(&QUIET).await.is_ok());
    let live = world.issuer.state().live.clone();
    prop_assert_eq!(world.agent.store.attempt("corp", &random::hash(&live)).unwrap(), None);
    prop_assert_eq!(world.losses(), 0);
    Ok(())
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play(steps))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_refresh_token_is_used_twice_but_for_one_check(steps in prop::collection::vec(step(), 1..7)) {
        run(&steps)?;
    }
}

#[test]
fn the_cases_everybody_thinks_of_first() {
    use Answer::{Lost, LostAfterRotation, Same};
    let lost = Step { answers: vec![Lost], ahead: true, ..QUIET };
    let dies = |step| Step { dies: Some(step), ..QUIET };
    for steps in [
        vec![lost.clone(), lost.clone(), QUIET],
        vec![Step { answers: vec![LostAfterRotation], ..QUIET }],
        vec![dies("refresh.noted"), dies("refresh.noted")],
        vec![dies("refresh.answered"), QUIET],
        vec![Step { answers: vec![Same], ..dies("refresh.answered") }, dies("refresh.stored"), dies("refresh.kept")],
        vec![Step { keychain_refuses: true, ..QUIET }, Step { restart: true, ..QUIET }],
        // What the keychain refused is written with the next answer, even if that brings no new token.
        vec![
            Step { keychain_refuses: true, ..QUIET },
            Step { answers: vec![Same], ..QUIET },
            Step { restart: true, ..dies("refresh.noted") },
        ],
        vec![Step { away: true, ..QUIET }, dies("refresh.noted"), Step { away: true, ..QUIET }],
    ] {
        run(&steps).unwrap();
    }
}
