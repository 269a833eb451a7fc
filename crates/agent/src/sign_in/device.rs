//! Signing in with a code on another device: the agent asks the issuer until somebody has entered it (RFC 8628).
//!
//! Invariant: it is asked only while whoever began it is there; when that ends, so does the asking, and tokens that come
//! after it are revoked.

use super::{Attempt, Cause, Outcome, PATIENCE, Wish, ask_of};
use crate::{agent::Agent, server::ApiError};
use broker::{Account, Rules};
use localapi::{DeviceCode, SignInState};
use oidc::{DeviceAnswer, DevicePending, OidcError};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The shortest sleep between two looks at the clock.
const LEAST_SLEEP: Duration = Duration::from_millis(200);

impl Agent {
    /// Begins a device sign-in.
    ///
    /// # Errors
    /// When the issuer does not offer it or gives no code.
    pub(super) async fn begin_device_sign_in(
        self: &Arc<Self>,
        account: &Account,
        rules: &Rules,
        wish: Wish,
    ) -> Result<SignInState, ApiError> {
        let (ask, redeem_for) = ask_of(account, rules, &wish);
        let pending = self.oidc.begin_device(ask.clone()).await.map_err(|error| self.not_begun(account, &error))?;
        let mut attempt = self.attempt(account, &wish, ask, redeem_for);
        attempt.device = Some(DeviceCode {
            user_code: pending.user_code().to_owned(),
            verification_uri: pending.verification_uri().to_owned(),
            verification_uri_complete: pending.verification_uri_complete().map(str::to_owned),
        });
        let left = self.now().until(pending.expires_at()).as_seconds();
        // A code may live longer than a sign-in in the browser; it counts as long as the issuer says.
        attempt.deadline = Instant::now() + u64::try_from(left).map_or(PATIENCE, Duration::from_secs);
        let attempt = self.enter(attempt);
        // It ends by itself: a question that is on its way is waited for, and what it brings too late is turned away.
        tokio::spawn({
            let (agent, attempt) = (Arc::clone(self), Arc::clone(&attempt));
            async move { agent.poll(&attempt, pending).await }
        });
        self.serve_sign_in(Vec::new(), &attempt);
        Ok(attempt.state())
    }

    async fn poll(self: &Arc<Self>, attempt: &Arc<Attempt>, mut pending: DevicePending) {
        let mut outcome = attempt.outcome.subscribe();
        loop {
            let due = self.now().until(pending.next()).as_seconds();
            // In short steps: a machine that slept asks as soon as it is awake.
            let sleep = Duration::from_secs(u64::try_from(due).unwrap_or(0)).clamp(LEAST_SLEEP, Duration::from_secs(5));
            tokio::select! {
                biased;
                _ = outcome.wait_for(|outcome| !matches!(outcome, Outcome::Pending)) => return,
                () = tokio::time::sleep(sleep) => {}
            }
            match self.oidc.poll_device(&mut pending).await {
                Ok(DeviceAnswer::Waiting) => {}
                Ok(DeviceAnswer::SignedIn(signed_in)) => {
                    let (agent, attempt) = (Arc::clone(self), Arc::clone(attempt));
                    // Its own task: what is being kept is kept, or taken back, to its end.
                    let kept = tokio::spawn(async move {
                        let entry = agent.accounts.entry(&attempt.account.name);
                        let _turn = entry.renewing.lock().await;
                        let era = entry.era();
                        agent.welcome(&attempt, &entry, *signed_in, era).await;
                    });
                    if kept.await.is_err() {
                        tracing::error!("a sign-in ended unexpectedly");
                    }
                    return;
                }
                Err(OidcError::Expired) => return attempt.give_up(Cause::CodeExpired, ""),
                Err(error) => return self.failed(attempt, &error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    /// An issuer that answers the first question after the code with tokens, a second late.
    async fn issuer(asked: Arc<AtomicBool>, revoked: Arc<AtomicBool>) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        let at = |path: &str| format!("{base}{path}");
        let document = serde_json::json!({
            "issuer": base, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"), "revocation_endpoint": at("/revoke"), "response_types_supported": ["code"],
            "device_authorization_endpoint": at("/device"),
        });
        let code = serde_json::json!({
            "device_code": "device", "user_code": "USER", "verification_uri": at("/enter"), "expires_in": 60, "interval": 5,
        });
        let tokens = serde_json::json!({ "access_token": "a", "token_type": "bearer", "refresh_token": "r" });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = socket.accept().await {
                let (asked, revoked) = (Arc::clone(&asked), Arc::clone(&revoked));
                let bodies = [document.to_string(), code.to_string(), tokens.to_string()];
                tokio::spawn(async move {
                    let mut head = [0; 8192];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    let body = match head.split(' ').nth(1) {
                        Some("/device") => &bodies[1],
                        Some("/token") => {
                            asked.store(true, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_secs(1)).await;
                            &bodies[2]
                        }
                        Some("/revoke") => {
                            revoked.store(true, Ordering::SeqCst);
                            &bodies[2]
                        }
                        _ => &bodies[0],
                    };
                    let length = body.len();
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
                    let answer = format!("{head}Content-Length: {length}\r\n\r\n{body}");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        base
    }

    async fn becomes(flag: &AtomicBool) -> bool {
        for _ in 0..300 {
            if flag.load(Ordering::SeqCst) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    #[tokio::test]
    async fn tokens_that_come_after_it_was_given_up_are_revoked() {
        let (_room, agent) = crate::testing::agent().await;
        let (asked, revoked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut account = agent.rules().accounts.values().next().map(|account| Account::clone(account)).unwrap();
        account.issuer = issuer(Arc::clone(&asked), Arc::clone(&revoked)).await.parse().unwrap();
        let begun = agent.begin_device_sign_in(&account, &agent.rules(), Wish::default()).await.unwrap();
        assert!(becomes(&asked).await, "the issuer is asked");
        assert!(agent.cancel_sign_in(&begun.id));
        assert!(becomes(&revoked).await, "what it gave all the same is given back");
    }
}
