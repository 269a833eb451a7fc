//! Finding and keeping an issuer's metadata and keys.
//!
//! Invariant: one fetch at a time for one issuer, and no issuer waits for another. What was found is kept for 5 minutes
//! to 24 hours as its answer says; a failure for one second, so that those who waited need not each wait again.
//! Limit: an unknown key makes us fetch the keys again, five times a minute at most.

use crate::{
    error::OidcError,
    http::{self, Answer, Transport, What},
    keys::KeySet,
    metadata::{self, Metadata},
};
use broker::{Issuer, Span, Timestamp, ports::Clock};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use url::Url;

const DISCOVERY: What = "the discovery document";
const KEYS: What = "the signing keys";

/// How long a failure is answered again without asking.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// How often in [`FORCED_WITHIN`] the keys are fetched again because none fitted.
const MOST_FORCED: usize = 5;
const FORCED_WITHIN: Span = Span::seconds(60);
/// The most issuers that are remembered.
const MOST_ISSUERS: usize = 64;

/// What is known of all issuers.
#[derive(Default)]
pub(crate) struct Discovery(Mutex<HashMap<Issuer, Arc<Slot>>>);

#[derive(Default)]
struct Slot {
    metadata: tokio::sync::Mutex<Found>,
    keys: tokio::sync::Mutex<Keys>,
}

#[derive(Default)]
struct Found {
    good: Option<(Arc<Metadata>, Timestamp, Span)>,
    failure: Option<(OidcError, Instant)>,
}

#[derive(Default)]
struct Keys {
    good: Option<(Arc<KeySet>, Url, Timestamp, Span)>,
    forced: VecDeque<Timestamp>,
}

impl Discovery {
    /// Forgets everything: it was learned by another way.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many issuers are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn slot(&self, issuer: &Issuer) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_ISSUERS && !slots.contains_key(issuer) {
            // What nobody uses now can be found again.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(issuer.clone()).or_default())
    }

    /// The issuer's metadata, fetched if need be.
    pub(crate) async fn metadata(
        &self,
        transport: &Transport,
        clock: &dyn Clock,
        issuer: &Issuer,
    ) -> Result<Arc<Metadata>, OidcError> {
        let slot = self.slot(issuer);
        let mut found = slot.metadata.lock().await;
        if let Some((metadata, since, keep)) = &found.good
            && http::still_good(*since, *keep, clock.now())
        {
            return Ok(Arc::clone(metadata));
        }
        if let Some((error, since)) = &found.failure
            && since.elapsed() < FAILURE_KEPT
        {
            return Err(error.clone());
        }
        match fetch_metadata(transport, issuer).await {
            Ok((metadata, keep)) => {
                let metadata = Arc::new(metadata);
                *found = Found { good: Some((Arc::clone(&metadata), clock.now(), keep)), failure: None };
                Ok(metadata)
            }
            Err(error) => {
                *found = Found { good: None, failure: Some((error.clone(), Instant::now())) };
                Err(error)
            }
        }
    }

    /// Asks the issuer for its metadata now, whatever is known of it.
    pub(crate) async fn probe(
        &self,
        transport: &Transport,
        clock: &dyn Clock,
        issuer: &Issuer,
    ) -> Result<(), OidcError> {
        let slot = self.slot(issuer);
        let (metadata, keep) = fetch_metadata(transport, issuer).await?;
        *slot.metadata.lock().await = Found { good: Some((Arc::new(metadata), clock.now(), keep)), failure: None };
        Ok(())
    }

    /// The issuer's keys, fetched if need be.
    pub(crate) async fn keys(
        &self,
        transport: &Transport,
        clock: &dyn Clock,
        metadata: &Metadata,
    ) -> Result<Arc<KeySet>, OidcError> {
        let slot = self.slot(&metadata.issuer);
        let mut keys = slot.keys.lock().await;
        if let Some((set, from, since, keep)) = &keys.good
            && *from == metadata.jwks_uri
            && http::still_good(*since, *keep, clock.now())
        {
            return Ok(Arc::clone(set));
        }
        keys.fetch(transport, clock, metadata).await
    }

    /// Other keys than `old`, which did not fit: those somebody else fetched meanwhile, or fetched now. `None` when that
    /// was done too often lately.
    pub(crate) async fn newer_keys(
        &self,
        transport: &Transport,
        clock: &dyn Clock,
        metadata: &Metadata,
        old: &Arc<KeySet>,
    ) -> Result<Option<Arc<KeySet>>, OidcError> {
        let slot = self.slot(&metadata.issuer);
        let mut keys = slot.keys.lock().await;
        if let Some((set, ..)) = &keys.good
            && !Arc::ptr_eq(set, old)
        {
            return Ok(Some(Arc::clone(set)));
        }
        let now = clock.now();
        keys.forced.retain(|at| http::still_good(*at, FORCED_WITHIN, now));
        if keys.forced.len() >= MOST_FORCED {
            return Ok(None);
        }
        keys.forced.push_back(now);
        keys.fetch(transport, clock, metadata).await.map(Some)
    }
}

impl Keys {
    async fn fetch(
        &mut self,
        transport: &Transport,
        clock: &dyn Clock,
        metadata: &Metadata,
    ) -> Result<Arc<KeySet>, OidcError> {
        let answer = transport.get(&metadata.jwks_uri, KEYS).await.map_err(http::Trouble::into_error)?;
        let set = document(&answer, KEYS, |body| {
            KeySet::read(body).ok_or_else(|| OidcError::BadMetadata("its signing keys are no key set".to_owned()))
        })?;
        let set = Arc::new(set);
        self.good = Some((Arc::clone(&set), metadata.jwks_uri.clone(), clock.now(), answer.keep_for));
        Ok(set)
    }
}

/// The metadata of an issuer, asked for now and not kept.
pub(crate) async fn look(transport: &Transport, issuer: &Issuer) -> Result<Metadata, OidcError> {
    fetch_metadata(transport, issuer).await.map(|(metadata, _)| metadata)
}

async fn fetch_metadata(transport: &Transport, issuer: &Issuer) -> Result<(Metadata, Span), OidcError> {
    let answer = ask(transport, issuer).await?;
    let found = read(issuer, &answer)?;
    Ok((found, answer.keep_for))
}

/// Asks for the discovery document at both places it may be.
pub(crate) async fn ask(transport: &Transport, issuer: &Issuer) -> Result<Answer, OidcError> {
    let [first, second] = metadata::addresses(issuer)?;
    let mut answer = transport.get(&first, DISCOVERY).await.map_err(http::Trouble::into_error)?;
    if answer.status == 404 {
        answer = transport.get(&second, DISCOVERY).await.map_err(http::Trouble::into_error)?;
        if answer.status == 404 {
            let why = "there is no discovery document at this issuer: check its address, a path included";
            return Err(OidcError::BadMetadata(why.to_owned()));
        }
    }
    Ok(answer)
}

/// The metadata in the answer to [`ask`].
pub(crate) fn read(issuer: &Issuer, answer: &Answer) -> Result<Metadata, OidcError> {
    document(answer, DISCOVERY, |body| Metadata::read(issuer, body))
}

/// A document of a successful answer; a web page in its place is told apart from a broken document.
fn document<T>(answer: &Answer, what: What, read: impl FnOnce(&[u8]) -> Result<T, OidcError>) -> Result<T, OidcError> {
    if !answer.is_success() {
        return Err(answer.refusal(what));
    }
    read(&answer.body).map_err(|error| if answer.html { OidcError::CaptivePortal { at: what } } else { error })
}
