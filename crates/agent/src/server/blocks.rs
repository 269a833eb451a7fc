//! Blocking programs and taking that back, for Daypass's own programs and for the pages.
//!
//! Invariants: when a block is answered for, no token leaves for that program any more; its grants and open questions are
//! over. Taking one back loosens, so it needs a person: a page, or a prompt with a terminal that is not the blocked
//! program's own. Limit: a program that makes itself a terminal and has another one in between is not seen through.

use super::{
    answer::{ApiError, Segment, json},
    guard,
};
use crate::{
    agent::Agent,
    store::{AuditEntry, StoreError},
    times,
    trip::{cut, shown},
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{Request, Response, StatusCode},
};
use broker::{Block, BlockKey, GrantId, Peer, Refusal};
use localapi::{BlockInfo, BlockRequest, Code};
use std::{path::PathBuf, sync::Arc};

type App = State<Arc<Agent>>;
type Answer = Result<Response<Body>, ApiError>;

fn block_info(block: &Block) -> BlockInfo {
    let Block { id, key, since } = block;
    BlockInfo { id: id.to_string(), program: key.shown(), since: times::rfc3339(*since) }
}

fn no_block() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such block").with_hint("see what is blocked: daypass block")
}

/// `GET /v1/blocks`.
#[allow(clippy::unused_async, reason = "a handler")]
pub(super) async fn blocks(State(agent): App) -> Response<Body> {
    let all: Vec<BlockInfo> = agent.store.all_blocks().iter().map(block_info).collect();
    json(StatusCode::OK, &all)
}

/// `POST /v1/blocks`: a program named by its file, or by what it asked or was granted.
pub(super) async fn block(State(agent): App, request: Request<Body>) -> Answer {
    let asked: BlockRequest = guard::json(request).await?;
    let key = agent.named(&asked.program).await?;
    let block = agent.block(&key, "command")?;
    Ok(json(StatusCode::OK, &block_info(&block)))
}

/// `DELETE /v1/blocks/{id}`.
pub(super) async fn unblock(
    State(agent): App,
    Segment(id): Segment,
    Extension(peer): Extension<Arc<Peer>>,
) -> Result<StatusCode, ApiError> {
    let block = id.parse().ok().and_then(|id| agent.store.block(id)).ok_or_else(no_block)?;
    if let Some(why) = agent.may_not_unblock(&block, &peer).await {
        agent.log(AuditEntry {
            event: "access.refused",
            code: Code::ConsentUnavailable.as_str().to_owned(),
            program: Some(shown(peer.program.as_ref(), &peer)),
            via: Some("unblock".to_owned()),
            ..AuditEntry::default()
        });
        return Err(Refusal::ConsentUnavailable(why.to_owned()).into());
    }
    agent.unblock(&block, "command")?;
    Ok(StatusCode::NO_CONTENT)
}

impl Agent {
    /// What a person means: the file at an absolute path, or whoever asks a question or holds a grant of that name.
    async fn named(&self, named: &str) -> Result<BlockKey, ApiError> {
        let nothing = || {
            ApiError::new(Code::NotFound, "there is no such program")
                .with_hint("name its file, or the ID of a request or a grant: daypass requests, daypass grants")
        };
        if named.starts_with('/') {
            let typed = PathBuf::from(named);
            let found = tokio::task::spawn_blocking({
                let typed = typed.clone();
                move || typed.canonicalize().ok().filter(|path| path.is_file())
            });
            if let Ok(Some(path)) = found.await {
                return Ok(BlockKey::file(&path));
            }
            // Its file may be gone while its grant is not.
            let key = BlockKey::file(&typed);
            let known = self.store.all_grants().iter().any(|grant| key.stops_grant(&grant.program));
            return if known { Ok(key) } else { Err(nothing()) };
        }
        if let Some(question) = self.consents.get(named) {
            return Ok(BlockKey::of(&question.ask.program));
        }
        let id = named.parse().map(GrantId).map_err(|_| nothing())?;
        self.blockable(id).ok_or_else(nothing)?
    }

    /// The program that holds a grant, if there is that grant.
    pub(crate) fn blockable(&self, id: GrantId) -> Option<Result<BlockKey, ApiError>> {
        let grant = self.store.all_grants().into_iter().find(|grant| grant.id == id)?;
        Some(BlockKey::of_grant(&grant.program).ok_or_else(|| {
            ApiError::new(Code::InvalidRequest, "the name of this program can be read in two ways")
                .with_hint("name its file: daypass block /path/to/program")
        }))
    }

    /// Blocks a program: no token from here on, its questions and grants end. Questions first: whoever was about to answer
    /// one has its table in hand, and what that gave is there afterwards; whoever answers later sees the block.
    ///
    /// # Errors
    /// When that could not be stored; it counts for as long as this agent runs.
    pub(crate) fn block(&self, key: &BlockKey, via: &str) -> Result<Block, ApiError> {
        let added = self.store.add_block(key, self.now());
        self.turns.next();
        self.end_questions("program_blocked", |question| key.stops(&question.ask.program));
        let ended = self.revoke_grants("grant.revoked", |grant| key.stops_grant(&grant.program));
        if let Ok((_, false)) = added {
            return Ok(added?.0);
        }
        let stored = added.map_err(ApiError::from).and_then(|(block, _)| ended.map(|_| block));
        self.log(AuditEntry {
            event: "program.blocked",
            code: if stored.is_ok() { "ok" } else { "internal" }.to_owned(),
            program: Some(cut(&key.shown())),
            via: Some(via.to_owned()),
            ..AuditEntry::default()
        });
        self.changed("blocks");
        stored
    }

    /// Takes a block back: the program may ask again. Written to the log first.
    ///
    /// # Errors
    /// When that could not be stored; the block stays.
    pub(crate) fn unblock(&self, block: &Block, via: &str) -> Result<(), StoreError> {
        let line = AuditEntry {
            event: "program.unblocked",
            code: "ok".to_owned(),
            program: Some(cut(&block.key.shown())),
            via: Some(via.to_owned()),
            ..AuditEntry::default()
        };
        self.store.append(line, times::rfc3339_millis(self.now()))?;
        self.store.remove_block(block)?;
        self.changed("blocks");
        Ok(())
    }

    /// Why a first-party command may not take a block back for whoever runs it.
    async fn may_not_unblock(&self, block: &Block, peer: &Peer) -> Option<&'static str> {
        // Of `daypass` the program is its parent's.
        if peer.program.as_ref().is_none_or(|program| block.key.stops(program)) {
            return Some("a blocked program cannot unblock itself");
        }
        let (lookup, from) = (Arc::clone(&self.lookup), peer.instance);
        let seen = tokio::task::spawn_blocking(move || lookup.lineage(from).has_terminal()).await;
        (!seen.unwrap_or(false)).then_some("to unblock needs a terminal with a person at it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn an_answer_that_is_being_taken_gives_nothing_that_outlives_a_block() {
        let (_room, agent) = testing::agent().await;
        let (_, program) = testing::peer("/usr/bin/tool");
        let key = BlockKey::of(&program);
        testing::while_answering(&agent, &program, move |agent| {
            agent.block(&key, "test").unwrap();
        });
        assert!(agent.store.all_grants().is_empty());
    }
}
