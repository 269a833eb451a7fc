//! Who is signed in where: one sign-in record per account, in the keychain, with a copy in memory, and the tokens at
//! hand for it.
//!
//! Invariant: a record that belongs to another issuer or client than the profile names is never used; a token at hand
//! belongs to the record it was obtained with and goes when the record goes.

use crate::{
    agent::Agent,
    store::{Person, Standing, lock},
};
use broker::{
    Account, AccountName, CachedToken, ExposeSecret, Issuer, Refusal, RequestAs, Resource, ScopeSet, SecretString,
    Timestamp, TokenKind, ports::KeychainError,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A sign-in: who, and what renews it.
#[derive(Clone)]
pub(crate) struct SignIn {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) display_name: Option<String>,
    pub(crate) auth_time: Option<i64>,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
    pub(crate) signed_in_at: Timestamp,
    pub(crate) refresh_token: Option<SecretString>,
    pub(crate) refresh_expires_at: Option<Timestamp>,
    /// When the refresh token's end was last heard of.
    pub(crate) refreshed_at: Timestamp,
    pub(crate) nonce: Option<String>,
    /// Names the claims that were demanded of it, which it shows.
    pub(crate) claims: Option<String>,
    /// Without a refresh token the sign-in ends with its tokens.
    pub(crate) ends_at: Option<Timestamp>,
    /// The required claims it was found to meet, each hashed with its value ([`met`]).
    pub(crate) met: Vec<String>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Stored {
    version: u32,
    issuer: String,
    client_id: String,
    subject: String,
    display_name: Option<String>,
    auth_time: Option<i64>,
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    signed_in_at: i64,
    refresh_token: Option<String>,
    refresh_expires_at: Option<i64>,
    refreshed_at: i64,
    nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<String>,
    ends_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    met: Vec<String>,
}

/// Names a claim with its value.
fn met(claim: &str, value: &str) -> String {
    crate::random::hash(&format!("{claim:?} {value:?}"))
}

/// Names the required claims of an account, all of which whoever signs in to it meets.
pub(crate) fn met_by_all(account: &Account) -> Vec<String> {
    account.required_claims.iter().map(|(claim, value)| met(claim, value)).collect()
}

impl SignIn {
    fn to_secret(&self) -> Option<SecretString> {
        let stored = Stored {
            version: 1,
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            subject: self.subject.clone(),
            display_name: self.display_name.clone(),
            auth_time: self.auth_time,
            acr: self.acr.clone(),
            amr: self.amr.clone(),
            signed_in_at: self.signed_in_at.as_millis(),
            refresh_token: self.refresh_token.as_ref().map(|t| t.expose_secret().to_owned()),
            refresh_expires_at: self.refresh_expires_at.map(Timestamp::as_millis),
            refreshed_at: self.refreshed_at.as_millis(),
            nonce: self.nonce.clone(),
            claims: self.claims.clone(),
            ends_at: self.ends_at.map(Timestamp::as_millis),
            met: self.met.clone(),
        };
        serde_json::to_string(&stored).ok().map(SecretString::from)
    }

    pub(crate) fn from_secret(secret: &SecretString) -> Option<Self> {
        let stored: Stored = serde_json::from_str(secret.expose_secret()).ok()?;
        (stored.version == 1).then(|| Self {
            issuer: stored.issuer.clone(),
            client_id: stored.client_id.clone(),
            subject: stored.subject.clone(),
            display_name: stored.display_name.clone(),
            auth_time: stored.auth_time,
            acr: stored.acr.clone(),
            amr: stored.amr.clone(),
            signed_in_at: Timestamp::from_millis(stored.signed_in_at),
            refresh_token: stored.refresh_token.clone().map(SecretString::from),
            refresh_expires_at: stored.refresh_expires_at.map(Timestamp::from_millis),
            refreshed_at: Timestamp::from_millis(stored.refreshed_at),
            nonce: stored.nonce.clone(),
            claims: stored.claims.clone(),
            ends_at: stored.ends_at.map(Timestamp::from_millis),
            met: stored.met.clone(),
        })
    }
}

/// What a token at hand is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The account's own scopes.
    Own,
    /// `resource` (RFC 8707).
    Resource(String),
    /// `audience`.
    Audience(String),
    /// The scopes alone.
    Scopes,
    /// The ID token.
    IdToken,
}

/// Names a token at hand: account × audience as asked for × scope set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    pub(crate) account: AccountName,
    pub(crate) target: Target,
    pub(crate) scopes: ScopeSet,
}

impl TokenKey {
    /// The key of a resource's token, for tokens that come from the issuer.
    pub(crate) fn of(resource: &Resource, scopes: &ScopeSet) -> Self {
        let audience = resource.audience.clone();
        let target = match (resource.token, resource.request, audience) {
            (TokenKind::Id, ..) => Target::IdToken,
            (_, RequestAs::Resource, Some(audience)) => Target::Resource(audience),
            (_, RequestAs::Audience, Some(audience)) => Target::Audience(audience),
            _ => Target::Scopes,
        };
        let scopes = if target == Target::IdToken { ScopeSet::new() } else { scopes.clone() };
        Self { account: resource.account.clone(), target, scopes }
    }
}

/// A token at hand with what its renewal needs.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) token: CachedToken,
    /// Issuer and client it was obtained from and as.
    pub(crate) of: (Issuer, String),
    pub(crate) obtained: Instant,
    pub(crate) renew_at: Timestamp,
    pub(crate) used: bool,
}

/// What is known of an account's record.
#[derive(Clone)]
pub(crate) enum Record {
    /// Not looked at yet.
    Unread,
    /// Nobody is signed in.
    Nobody,
    /// Somebody is.
    SignedIn(Arc<SignIn>),
    /// The keychain could not be read.
    Unreadable(KeychainError),
}

/// A failure shared by everybody who waited for the same renewal, and a pause before the next one.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) at: Instant,
    pub(crate) refusal: Refusal,
    /// Wall clock, so that sleep counts.
    pub(crate) until: Timestamp,
    /// Failures in a row.
    pub(crate) count: u32,
}

/// One account while the agent runs.
pub(crate) struct Entry {
    pub(crate) name: AccountName,
    /// Held by whoever speaks to the issuer or writes the record: one at a time.
    pub(crate) renewing: tokio::sync::Mutex<()>,
    pub(crate) record: Mutex<Record>,
    pub(crate) durable: Mutex<bool>,
    /// By what was asked for; `None` = the issuer as a whole.
    pub(crate) failures: Mutex<HashMap<Option<TokenKey>, Failure>>,
    pub(crate) unreachable: Mutex<Option<String>>,
    pub(crate) forced: Mutex<HashMap<TokenKey, Instant>>,
    /// Goes up with every erasure: what a renewal brings after one belongs to nobody any more.
    pub(crate) erasures: AtomicU64,
    /// The last sign-in was refused because of who signed in: the next one lets people choose.
    pub(crate) wrong_account: AtomicBool,
    /// Why the last sign-in ended by itself, for people; until somebody signs in again.
    pub(crate) ended_because: Mutex<Option<&'static str>>,
}

/// All accounts and their tokens.
#[derive(Default)]
pub(crate) struct Accounts {
    entries: Mutex<HashMap<AccountName, Arc<Entry>>>,
    tokens: Mutex<HashMap<TokenKey, Held>>,
}

fn item(account: &AccountName) -> String {
    format!("account/{account}")
}

impl Accounts {
    /// The entry of an account.
    pub(crate) fn entry(&self, name: &AccountName) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        Arc::clone(entries.entry(name.clone()).or_insert_with(|| {
            Arc::new(Entry {
                name: name.clone(),
                renewing: tokio::sync::Mutex::new(()),
                record: Mutex::new(Record::Unread),
                durable: Mutex::new(true),
                failures: Mutex::new(HashMap::new()),
                unreachable: Mutex::new(None),
                forced: Mutex::new(HashMap::new()),
                erasures: AtomicU64::new(0),
                wrong_account: AtomicBool::new(false),
                ended_because: Mutex::new(None),
            })
        }))
    }

    /// Every entry looked at so far.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.entries).values().cloned().collect()
    }

    /// A token at hand; marks it as used. One that was obtained for another issuer or client is none: what was under way
    /// when the profile changed may have put it there.
    pub(crate) fn token(&self, key: &TokenKey, account: &Account) -> Option<Held> {
        let mut tokens = lock(&self.tokens);
        let fits = |held: &&mut Held| held.of.0 == account.issuer && held.of.1 == account.client_id;
        tokens.get_mut(key).filter(fits).map(|held| {
            held.used = true;
            held.clone()
        })
    }

    /// Puts a token at hand.
    pub(crate) fn hold(&self, key: TokenKey, held: Held) {
        lock(&self.tokens).insert(key, held);
    }

    /// Forgets the tokens of an account.
    pub(crate) fn drop_tokens(&self, account: &AccountName) {
        lock(&self.tokens).retain(|key, _| &key.account != account);
    }

    /// Forgets dead tokens and returns those that should be renewed by now.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<TokenKey> {
        let mut tokens = lock(&self.tokens);
        tokens.retain(|_, held| now < held.token.expires_at);
        tokens.iter().filter(|(_, held)| held.used && now >= held.renew_at).map(|(key, _)| key.clone()).collect()
    }

    /// When the newest token of an account ends.
    pub(crate) fn latest_end(&self, account: &AccountName) -> Option<Timestamp> {
        lock(&self.tokens).iter().filter(|(k, _)| &k.account == account).map(|(_, h)| h.token.expires_at).max()
    }
}

/// What became of a sign-in that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In the keychain and in memory.
    Durable,
    /// In memory only.
    InMemory,
    /// It was signed out meanwhile: it is nowhere.
    Superseded,
}

impl Entry {
    /// A number that changes with every erasure.
    pub(crate) fn era(&self) -> u64 {
        self.erasures.load(Ordering::Relaxed)
    }
}

impl SignIn {
    fn person(&self) -> Person {
        Person { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }

    /// Whether it is of the issuer and client the profile names, and meets the claims it requires.
    fn fits(&self, account: &Account) -> bool {
        !self.is_strange(account) && self.lacks(account).is_none()
    }

    fn is_strange(&self, account: &Account) -> bool {
        self.issuer != account.issuer.as_str() || self.client_id != account.client_id
    }

    /// A claim that is required now and was not, or not with this value, when it was made.
    fn lacks<'a>(&self, account: &'a Account) -> Option<&'a str> {
        let lacking = |(claim, value): &(&String, &String)| !self.met.contains(&met(claim, value));
        account.required_claims.iter().find(lacking).map(|(claim, _)| claim.as_str())
    }
}

impl Agent {
    /// The sign-in of an account, from memory or the keychain.
    ///
    /// # Errors
    /// [`Refusal::LoginRequired`], or what the keychain said about a sign-in known to exist.
    pub(crate) async fn sign_in_of(&self, account: &Account) -> Result<Arc<SignIn>, Refusal> {
        let entry = self.accounts.entry(&account.name);
        let record = lock(&entry.record).clone();
        let record = match record {
            Record::Unread | Record::Unreadable(_) => self.read_record(&entry).await?,
            known => known,
        };
        match record {
            // A record of another issuer or client is not used; the upkeep wipes it once the profile has settled.
            Record::SignedIn(sign_in) if sign_in.is_strange(account) => {
                Err(Refusal::LoginRequired(account.name.clone()))
            }
            Record::SignedIn(sign_in) if let Some(claim) = sign_in.lacks(account) => Err(Refusal::StepUpRequired {
                account: account.name.clone(),
                why: format!("the profile requires the claim {claim} now, which was not looked at when you signed in"),
                flags: String::new(),
            }),
            Record::SignedIn(sign_in) if sign_in.ends_at.is_some_and(|end| end <= self.now()) => {
                Err(Refusal::LoginRequired(account.name.clone()))
            }
            Record::SignedIn(sign_in) => Ok(sign_in),
            Record::Unreadable(KeychainError::Locked) => Err(Refusal::KeychainLocked),
            Record::Unreadable(error) => Err(Refusal::KeychainUnavailable(error.to_string())),
            Record::Unread | Record::Nobody => Err(Refusal::LoginRequired(account.name.clone())),
        }
    }

    async fn read_record(&self, entry: &Entry) -> Result<Record, Refusal> {
        let internal = |e: crate::store::StoreError| Refusal::Internal(e.to_string());
        let era = entry.era();
        let standing = self.store.sign_in(entry.name.as_str()).map_err(internal)?.map(|(_, standing)| standing);
        if standing == Some(Standing::Ended) {
            return Ok(Record::Nobody);
        }
        // `Memory`: a sign-in of a process that is gone; what the keychain may hold is older than it.
        if matches!(standing, Some(Standing::Erasing | Standing::Memory)) {
            // Whoever holds the turn may be writing a new one.
            if let Ok(_turn) = entry.renewing.try_lock() {
                self.store.note_end(entry.name.as_str(), Standing::Erasing).map_err(internal)?;
                self.finish_erasing(entry).await;
            }
            return Ok(Record::Nobody);
        }
        let known = standing == Some(Standing::Kept);
        let record = match self.vault.read(&item(&entry.name)).await {
            Ok(Some(secret)) => SignIn::from_secret(&secret).map_or(Record::Nobody, |s| Record::SignedIn(Arc::new(s))),
            Ok(None) if known && !self.vault.is_durable() => {
                Record::Unreadable(KeychainError::Absent(self.vault.absent_because().unwrap_or_default()))
            }
            // Not remembered: a keychain that is just being opened may say "none" and have it a moment later.
            Ok(None) if known => return Ok(Record::Nobody),
            Ok(None) => Record::Nobody,
            Err(KeychainError::Damaged(why)) => {
                tracing::warn!(account = %entry.name, why, "the stored sign-in is damaged: a new one is needed");
                Record::Nobody
            }
            Err(error) if known => Record::Unreadable(error),
            Err(error) => {
                tracing::warn!(account = %entry.name, %error, "the keychain cannot be read; no sign-in is known to exist");
                return Ok(Record::Nobody);
            }
        };
        let mut slot = lock(&entry.record);
        // Somebody may have signed in or out while the keychain was being read.
        if entry.era() == era && !matches!(*slot, Record::SignedIn(_)) {
            *slot = record;
        }
        Ok(slot.clone())
    }

    /// A readable name of whoever is signed in, without asking the keychain.
    pub(crate) fn who_is_signed_in(&self, account: &AccountName) -> Option<String> {
        match &*lock(&self.accounts.entry(account).record) {
            Record::SignedIn(sign_in) => Some(sign_in.display_name.clone().unwrap_or_else(|| sign_in.subject.clone())),
            _ => None,
        }
    }

    /// When the sign-in itself ends, where that is known.
    pub(crate) fn sign_in_ends(&self, account: &AccountName) -> Option<Timestamp> {
        match &*lock(&self.accounts.entry(account).record) {
            Record::SignedIn(sign_in) => sign_in.refresh_expires_at.or(sign_in.ends_at),
            _ => None,
        }
    }

    /// Keeps a sign-in: in the keychain first, then in memory. `era` is the entry's when the work on it began; what was
    /// signed out since then stays signed out.
    pub(crate) async fn keep(&self, entry: &Entry, sign_in: SignIn, era: u64) -> Kept {
        let written = match sign_in.to_secret() {
            Some(secret) => self.vault.write(&item(&entry.name), secret).await,
            None => Err(KeychainError::Failed("the sign-in cannot be written down".to_owned())),
        };
        if entry.era() != era {
            if let Err(error) = self.store.note_end(entry.name.as_str(), Standing::Erasing) {
                tracing::error!(account = %entry.name, %error, "the end of the sign-in could not be noted");
            }
            self.finish_erasing(entry).await;
            return Kept::Superseded;
        }
        let durable = written.as_ref().is_ok_and(|durable| *durable);
        if let Err(error) = written {
            tracing::warn!(account = %entry.name, %error, "the sign-in is not durable: it is served from memory and written again later");
        }
        let standing = if durable { Standing::Kept } else { Standing::Memory };
        // What the keychain still holds of a former state is known to exist until it is overwritten.
        let known = self.store.sign_in(entry.name.as_str()).ok().flatten();
        let same = |(person, known): (Person, Standing)| known == Standing::Kept && person == sign_in.person();
        let downgrade = standing == Standing::Memory && known.is_some_and(same);
        if !downgrade && let Err(error) = self.store.note_sign_in(entry.name.as_str(), &sign_in.person(), standing) {
            tracing::error!(account = %entry.name, %error, "the sign-in could not be noted");
        }
        *lock(&entry.durable) = durable;
        *lock(&entry.ended_because) = None;
        *lock(&entry.record) = Record::SignedIn(Arc::new(sign_in));
        if durable { Kept::Durable } else { Kept::InMemory }
    }

    /// Writes records again that could not be written before, and deletes items that could not be deleted.
    pub(crate) async fn keep_again(&self) {
        for name in self.store.to_be_erased().unwrap_or_default() {
            let Ok(name) = name.parse() else { continue };
            let entry = self.accounts.entry(&name);
            if let Ok(_turn) = entry.renewing.try_lock() {
                self.finish_erasing(&entry).await;
            }
        }
        for entry in self.accounts.entries() {
            let record = lock(&entry.record).clone();
            let durable = *lock(&entry.durable);
            if let (Record::SignedIn(sign_in), false, true) = (record, durable, self.vault.is_durable()) {
                // Whoever renews right now writes the newer record.
                let Ok(_turn) = entry.renewing.try_lock() else { continue };
                self.keep(&entry, (*sign_in).clone(), entry.era()).await;
            }
        }
    }

    /// Wipes records that belong to another issuer or client than the profile in force names, or were never found to meet
    /// the claims it requires.
    pub(crate) async fn wipe_strangers(&self) {
        let names: Vec<AccountName> = self.rules().accounts.keys().cloned().collect();
        for name in names {
            let entry = self.accounts.entry(&name);
            let fits = |rules: &broker::Rules| match (rules.accounts.get(&name), &*lock(&entry.record)) {
                (Some(account), Record::SignedIn(sign_in)) => (!sign_in.is_strange(account), sign_in.fits(account)),
                _ => (true, true),
            };
            let Ok(_turn) = entry.renewing.try_lock() else { continue };
            if fits(&self.rules()) == (true, true) {
                continue;
            }
            // What is in force by now decides, and stays in force until the sign-in is nobody's.
            let Some((still, snapshot)) = self.while_settled().await else { return };
            match fits(&snapshot.rules) {
                (true, true) => continue,
                (false, _) => {
                    tracing::warn!(account = %name, "the profile names another issuer or client: the old sign-in is wiped");
                    self.lose(&entry, "profile.changed");
                    self.end_grants_on(&name);
                }
                (true, false) => {
                    tracing::warn!(account = %name, "the profile requires other claims: the old sign-in is wiped");
                    self.lose(&entry, "profile.claims");
                }
            }
            drop(still);
            self.finish_erasing(&entry).await;
        }
    }

    /// Signs out of an account the profile no longer has: tokens, memory and keychain item, with its grants. Its issuer is
    /// told as far as that is possible without the account.
    pub(crate) async fn retire(&self, name: &AccountName) {
        let entry = self.accounts.entry(name);
        let Ok(_turn) = entry.renewing.try_lock() else { return };
        let known = lock(&entry.record).clone();
        let former = match known {
            Record::SignedIn(sign_in) => Some(sign_in),
            _ => match self.read_record(&entry).await {
                Ok(Record::SignedIn(sign_in)) => Some(sign_in),
                _ => None,
            },
        };
        // The account may have come back while the keychain was asked.
        let Some((still, snapshot)) = self.while_settled().await else { return };
        if snapshot.rules.accounts.contains_key(name) {
            return;
        }
        tracing::warn!(account = %name, "the profile no longer has this account: its sign-in is wiped");
        *lock(&entry.ended_because) = None;
        self.disown(&entry);
        self.end_grants_on(name);
        drop(still);
        let told = match &former {
            Some(former) => self.tell_its_issuer(name, former).await,
            None => "not told",
        };
        self.log(crate::store::AuditEntry {
            event: "sign_out",
            code: "ok".to_owned(),
            account: Some(name.to_string()),
            via: Some(format!("profile: the account was removed; the issuer was {told}")),
            ..Default::default()
        });
        self.finish_erasing(&entry).await;
    }

    async fn tell_its_issuer(&self, name: &AccountName, former: &SignIn) -> &'static str {
        let (Some(refresh_token), Ok(issuer)) = (&former.refresh_token, former.issuer.parse::<Issuer>()) else {
            return "not told";
        };
        let account = Account {
            name: name.clone(),
            title: None,
            issuer,
            client_id: former.client_id.clone(),
            client_secret: None,
            redirect_uris: Vec::new(),
            scopes: ScopeSet::new(),
            offline: broker::Offline::None,
            authorization_parameters: std::collections::BTreeMap::new(),
            required_claims: std::collections::BTreeMap::new(),
        };
        match self.oidc.revoke(&account, refresh_token).await {
            Ok(oidc::Revocation::Done) => "told",
            _ => "not told",
        }
    }

    fn end_grants_on(&self, account: &AccountName) {
        if let Err(error) = self.revoke_grants("grant.ended", |g| g.account == *account) {
            tracing::error!(account = %account, error = error.0.error_description, "grants could not be ended");
        }
    }

    /// Forgets the tokens at hand of accounts the profile no longer describes as they were obtained.
    pub(crate) fn drop_tokens_of_strangers(&self) {
        let rules = self.rules();
        // Nothing is issued anyway, and what a spoilt file hides may come back.
        if rules.locked.is_some() {
            return;
        }
        for entry in self.accounts.entries() {
            let fits = match (rules.accounts.get(&entry.name), &*lock(&entry.record)) {
                (Some(account), Record::SignedIn(sign_in)) => sign_in.fits(account),
                (Some(_), _) => true,
                (None, _) => false,
            };
            if !fits {
                self.accounts.drop_tokens(&entry.name);
            }
        }
    }

    /// The beginning of an end: from here on nothing is issued on this sign-in, whatever happens to the process.
    pub(crate) fn disown(&self, entry: &Entry) -> Option<Arc<SignIn>> {
        entry.erasures.fetch_add(1, Ordering::Relaxed);
        self.accounts.drop_tokens(&entry.name);
        let former = std::mem::replace(&mut *lock(&entry.record), Record::Nobody);
        *lock(&entry.durable) = true;
        *lock(&entry.unreachable) = None;
        lock(&entry.failures).clear();
        if let Err(error) = self.store.note_end(entry.name.as_str(), Standing::Erasing) {
            tracing::error!(account = %entry.name, %error, "the end of the sign-in could not be noted");
        }
        self.changed("accounts");
        match former {
            Record::SignedIn(sign_in) => Some(sign_in),
            _ => None,
        }
    }

    /// Deletes the keychain item of a sign-in that has ended; tried again later when it cannot be. Whoever calls this
    /// holds the account's turn, so that it cannot meet a new sign-in being written.
    pub(crate) async fn finish_erasing(&self, entry: &Entry) {
        let standing = self.store.sign_in(entry.name.as_str()).ok().flatten().map(|(_, standing)| standing);
        let signed_in = matches!(*lock(&entry.record), Record::SignedIn(_));
        if signed_in || matches!(standing, Some(Standing::Kept | Standing::Ended)) {
            return;
        }
        match self.vault.delete(&item(&entry.name)).await {
            Ok(true) => {
                if let Err(error) = self.store.note_end(entry.name.as_str(), Standing::Ended) {
                    tracing::error!(account = %entry.name, %error, "the end of the sign-in could not be noted");
                }
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(account = %entry.name, %error, "the keychain item is not deleted yet; it counts for nothing");
            }
        }
    }

    /// Erases a sign-in that is of no use any more: tokens, memory, keychain.
    pub(crate) async fn erase(&self, entry: &Entry, why: &'static str) {
        self.lose(entry, why);
        self.finish_erasing(entry).await;
    }

    /// All of that but the keychain.
    fn lose(&self, entry: &Entry, why: &'static str) {
        if self.disown(entry).is_some() {
            *lock(&entry.ended_because) = Some(match why {
                "refresh.invalid_grant" => "the issuer does not renew it any more",
                "refresh.unanswered" => "its renewals got no answer twice, and trying a third time could harm it",
                "profile.changed" => "the profile names another issuer or client now",
                "profile.claims" => "the profile requires claims now that were not looked at when you signed in",
                _ => "it is over",
            });
            self.log(crate::store::AuditEntry {
                event: "sign_in.lost",
                code: "login_required".to_owned(),
                account: Some(entry.name.to_string()),
                via: Some(why.to_owned()),
                ..Default::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sign_in_made_before_a_claim_was_required_is_not_used() {
        let (_room, agent) = crate::testing::agent().await;
        let account = agent.rules().accounts.values().next().unwrap().clone();
        let claimed = |value: &str| Account {
            required_claims: [("hd".to_owned(), value.to_owned())].into(),
            ..(*account).clone()
        };
        let entry = agent.accounts.entry(&account.name);
        let made_under = |account: &Account| {
            let now = Timestamp::from_seconds(7);
            *lock(&entry.record) = Record::SignedIn(Arc::new(SignIn {
                issuer: account.issuer.to_string(),
                client_id: account.client_id.clone(),
                subject: "alice".into(),
                display_name: None,
                auth_time: None,
                acr: None,
                amr: Vec::new(),
                signed_in_at: now,
                refresh_token: None,
                refresh_expires_at: None,
                refreshed_at: now,
                nonce: None,
                claims: None,
                ends_at: None,
                met: met_by_all(account),
            }));
        };
        for (before, now, serves) in [
            (&*account, &claimed("example.com"), false),
            (&claimed("example.com"), &claimed("example.com"), true),
            (&claimed("example.com"), &claimed("other.example"), false),
            (&claimed("example.com"), &*account, true),
        ] {
            made_under(before);
            let got = agent.sign_in_of(now).await.map(drop);
            if serves {
                assert_eq!(got, Ok(()));
                continue;
            }
            let Err(Refusal::StepUpRequired { why, .. }) = got else { panic!("{got:?}") };
            assert!(why.contains("claim hd"), "{why}");
        }
    }

    #[test]
    fn a_sign_in_survives_the_keychain_and_rubbish_does_not_become_one() {
        let sign_in = SignIn {
            issuer: "https://issuer.example".into(),
            client_id: "daypass".into(),
            subject: "alice".into(),
            display_name: Some("Alice".into()),
            auth_time: Some(5),
            acr: None,
            amr: vec!["pwd".into()],
            signed_in_at: Timestamp::from_seconds(7),
            refresh_token: Some("CANARY-refresh".to_owned().into()),
            refresh_expires_at: None,
            refreshed_at: Timestamp::from_seconds(7),
            nonce: Some("n".into()),
            claims: Some("digest".into()),
            ends_at: None,
            met: vec![met("hd", "example.com")],
        };
        let read = SignIn::from_secret(&sign_in.to_secret().unwrap()).unwrap();
        assert_eq!((read.subject.as_str(), read.claims.as_deref()), ("alice", Some("digest")));
        assert_eq!(read.met, [met("hd", "example.com")]);
        assert_eq!(read.refresh_token.unwrap().expose_secret(), "CANARY-refresh");
        for rubbish in ["", "{}", "null", "[]", r#"{"version":2}"#, "\u{0}", r#"{"version":1,"issuer":5}"#] {
            assert!(SignIn::from_secret(&rubbish.to_owned().into()).is_none(), "{rubbish:?}");
        }
    }
}
