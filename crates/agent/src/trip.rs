//! The main trip, joined to the outside: what [`broker::trip`] asks for, answered by the agent.

use crate::{
    accounts::TokenKey,
    agent::Agent,
    consents::Asking,
    lock_state,
    renewal::Need,
    server::{Connection, code_of},
    store::{AuditEntry, Rebound},
};
use broker::{
    Authority, CachedToken, ExposeSecret, FileIdentity, Grant, GrantId, Peer, Program, Refusal, Rules, Timestamp,
    TokenKind, Wanted,
    trip::{Ports, Record, Request},
};
use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// One request on its way.
pub(crate) struct Trip<'a> {
    pub(crate) agent: &'a Arc<Agent>,
    pub(crate) connection: &'a Connection,
    /// Hash of the cookie session over TCP; a parked question belongs to it.
    pub(crate) session: Option<String>,
    /// The turn in which it began, or in which an answer was spent on it.
    pub(crate) turn: AtomicU64,
    /// The account's era when the trip first looked at it: after a sign-out nothing is delivered.
    pub(crate) era: OnceLock<u64>,
}

impl Ports for Trip<'_> {
    fn now(&self) -> Timestamp {
        self.agent.now()
    }

    fn rules(&self) -> Arc<Rules> {
        self.agent.rules()
    }

    fn screen_locked(&self) -> bool {
        self.agent.screen.is_locked()
    }

    fn paused(&self) -> Option<Refusal> {
        self.agent.paused()
    }

    fn blocked(&self, peer: &Peer) -> bool {
        peer.program.as_ref().is_some_and(|program| self.agent.store.is_blocked(program))
    }

    fn user_can_write(&self, path: &Path) -> bool {
        platform::managed::user_can_write(path)
    }

    fn may_follow(&self, file: &FileIdentity, package: &str) -> bool {
        self.agent.lookup.may_follow(file, package)
    }

    async fn signed_in(&self, wanted: &Wanted) -> Result<(), Refusal> {
        self.agent.sign_in_of(&wanted.account).await.map(drop)
    }

    async fn meets(&self, wanted: &Wanted, request: &Request, token: Option<&CachedToken>) -> Result<String, Refusal> {
        let sign_in = self.agent.sign_in_of(&wanted.account).await?;
        let now = self.agent.now();
        let unmet = request.requirement.unmet(&crate::step_up::facts(&sign_in), now).or_else(|| {
            let token = token.filter(|token| token.kind == TokenKind::Id)?;
            crate::step_up::unmet_by_token(token.value.expose_secret(), &request.requirement, now)
        });
        match unmet {
            None => Ok(crate::step_up::name(&sign_in)),
            Some(why) => Err(Refusal::StepUpRequired {
                account: wanted.account.name.clone(),
                why,
                flags: crate::step_up::flags(&request.requirement),
            }),
        }
    }

    fn grants(&self, peer: &Peer, wanted: &Wanted) -> Vec<Grant> {
        let resource = &wanted.resource;
        let covers = |grant: &Grant| {
            grant.resource == resource.name
                && grant.account == resource.account
                && wanted.scopes.is_subset(&grant.scopes)
        };
        peer.program.as_ref().map(|program| self.agent.store.grants_for(program, covers)).unwrap_or_default()
    }

    fn cached(&self, wanted: &Wanted) -> Option<CachedToken> {
        self.era.get_or_init(|| self.agent.accounts.entry(&wanted.account.name).era());
        if wanted.resource.token == TokenKind::Minted {
            return None;
        }
        self.agent
            .accounts
            .token(&TokenKey::of(&wanted.resource, &wanted.scopes), &wanted.account)
            .map(|held| held.token)
    }

    async fn consent(&self, peer: &Peer, wanted: &Wanted, request: &Request) -> Result<Authority, Refusal> {
        let (connection, session, turn) = (self.connection, self.session.as_deref(), &self.turn);
        let asking = Asking { connection, session, peer, wanted, request, turn };
        self.agent.consent(&asking).await
    }

    async fn fetch(&self, wanted: &Wanted, request: &Request, peer: &Peer) -> Result<CachedToken, Refusal> {
        if wanted.resource.token == TokenKind::Minted {
            let sign_in = self.agent.sign_in_of(&wanted.account).await?;
            let now = self.agent.now();
            if sign_in.refresh_expires_at.is_some_and(|end| end <= now) {
                return Err(Refusal::LoginRequired(wanted.account.name.clone()));
            }
            let (value, expires_at) = self.agent.mint(wanted, &sign_in, &self.client_id(peer));
            return Ok(CachedToken {
                value: Arc::new(value),
                kind: TokenKind::Minted,
                obtained_at: now,
                expires_at,
                scopes: wanted.scopes.clone(),
            });
        }
        let need = Need {
            account: wanted.account.clone(),
            key: TokenKey::of(&wanted.resource, &wanted.scopes),
            resource: Some(wanted.resource.clone()),
            min_valid: request.min_valid,
            forced: request.refresh,
            ahead: false,
        };
        let result = self.agent.renew(need).await;
        // A token at hand that still lives serves while the issuer does not.
        match (&result, self.cached(wanted)) {
            (Err(Refusal::IssuerUnavailable(_)), Some(token))
                if !request.refresh && token.is_fresh(self.now(), request.min_valid) =>
            {
                Ok(token)
            }
            _ => result,
        }
    }

    async fn still_same(&self, peer: &Peer) -> bool {
        self.connection.still_same(self.agent, peer).await
    }

    fn still_granted(&self, authority: &Authority, wanted: &Wanted, peer: &Peer) -> bool {
        if self.era.get().is_some_and(|era| *era != self.agent.accounts.entry(&wanted.account.name).era()) {
            return false;
        }
        // A lock, a pause or a block that is over by now still ended what was in flight and cannot be ended otherwise.
        let turn = self.turn.load(Ordering::SeqCst);
        if lock_state::is_over(authority, wanted.resource.sensitive, turn, self.agent.turns.now()) {
            return false;
        }
        match authority {
            Authority::Grant(id) => self.agent.store.use_grant(*id, self.agent.now()),
            Authority::Updated(id) => self.agent.follow_update(*id, peer),
            Authority::Preapproved | Authority::Once(_) => true,
        }
    }

    fn record(&self, record: &Record<'_>) -> Result<(), Refusal> {
        let (event, code, via) = match record.outcome {
            Ok(authority) => ("token.issued", "ok".to_owned(), Some(authority.via().to_owned())),
            Err(refusal) => ("token.refused", code_of(refusal).as_str().to_owned(), None),
        };
        let wanted = record.wanted;
        if let (Err(refusal), Some(wanted)) = (record.outcome, wanted) {
            self.agent.note_refusal(&wanted.account.name, refusal);
        }
        let entry = AuditEntry {
            event,
            code,
            program: Some(shown(record.peer.program.as_ref(), record.peer)),
            account: wanted.map(|w| w.account.name.to_string()),
            resource: Some(wanted.map_or_else(|| cut(&record.request.resource), |w| w.resource.name.to_string())),
            scope: Some(wanted.map_or_else(|| cut(&record.request.scopes.to_string()), |w| w.scopes.to_string())),
            via,
        };
        self.agent
            .store
            .append(entry, crate::times::rfc3339_millis(self.now()))
            .map(|_| ())
            .map_err(|e| Refusal::Internal(format!("the audit line could not be written: {e}")))
    }
}

impl Agent {
    /// Makes a grant that of the same program after its package updated it, and marks it as used; false when it is no
    /// longer there or another's, or when that cannot be written down.
    fn follow_update(&self, id: GrantId, peer: &Peer) -> bool {
        let Some(program) = &peer.program else { return false };
        let now = self.now();
        let line = |grant: &Grant| {
            let entry = AuditEntry {
                event: "grant.updated",
                code: "ok".to_owned(),
                program: Some(shown(Some(program), peer)),
                account: Some(grant.account.to_string()),
                resource: Some(grant.resource.to_string()),
                scope: Some(grant.scopes.to_string()),
                via: grant.package.clone(),
            };
            (entry, crate::times::rfc3339_millis(now))
        };
        let still = |grant: &Grant| grant.follows(program, peer.package.as_deref());
        match self.store.rebind_grant(id, &program.key(), still, line) {
            Ok(Rebound::Now) => self.changed("grants"),
            Ok(Rebound::Before) => {}
            Ok(Rebound::Not) => return false,
            Err(error) => {
                tracing::error!(%error, "a permission could not be kept for an updated program");
                return false;
            }
        }
        self.store.use_grant(id, now)
    }
}

impl Trip<'_> {
    /// `client_id` of a minted token: the owning package, else the digest of the program's file; informative.
    fn client_id(&self, peer: &Peer) -> String {
        let Some(program) = &peer.program else { return "unidentified".to_owned() };
        let known = || self.agent.lookup.package_cached(program.file()).flatten();
        let package = peer.package.clone().or_else(known);
        package.unwrap_or_else(|| format!("sha256:{}", program.file().digest_hex()))
    }
}

/// A program as people read it: the path of its file, control characters made visible, at most 512 characters.
pub(crate) fn shown(program: Option<&Program>, peer: &Peer) -> String {
    match program {
        Some(Program::Terminal { shell, leader, .. }) => {
            format!("terminal {} ({})", leader.pid, printable(&shell.path.to_string_lossy()))
        }
        Some(Program::Inline { interpreter }) => {
            format!("{} (no file)", printable(&interpreter.path.to_string_lossy()))
        }
        Some(program) => cut(&printable(&program.file().path.to_string_lossy())),
        None => format!("unidentified (pid {})", peer.subject.pid),
    }
}

/// Text of foreign origin made fit for a line: no control, bidirectional or invisible characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_control() => '\u{fffd}',
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

pub(crate) fn cut(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= 512 { text } else { text.chars().take(511).chain(['…']).collect() }
}

/// The token as text, for the wire only.
pub(crate) fn expose(token: &CachedToken) -> String {
    token.value.expose_secret().to_owned()
}
