//! Blocked programs: read from memory, written through.
//!
//! Invariant: a block counts from the moment it is in memory, whatever the disk does; it stops counting only when it is
//! gone from the disk too.

use super::{Store, StoreError, lock};
use broker::{Block, BlockKey, Program, Timestamp};
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// All blocks, by what they block.
#[derive(Debug, Default)]
pub(super) struct Blocks(HashMap<BlockKey, Block>);

pub(super) fn load(connection: &Connection) -> Result<Blocks, StoreError> {
    let mut statement = connection.prepare("SELECT id, program, since FROM blocks")?;
    let rows = statement.query_map([], |row| {
        let key = BlockKey::new(row.get(1)?);
        Ok(Block { id: row.get(0)?, key, since: Timestamp::from_millis(row.get(2)?) })
    })?;
    let blocks = rows.map(|row| row.map(|block| (block.key.clone(), block))).collect::<Result<_, _>>()?;
    Ok(Blocks(blocks))
}

impl Store {
    /// Whether a program is blocked. On the way of every token: no disk, and nothing at all while nothing is blocked.
    pub(crate) fn is_blocked(&self, program: &Program) -> bool {
        let blocks = lock(&self.blocks);
        !blocks.0.is_empty()
            && (blocks.0.contains_key(&BlockKey::of(program))
                || BlockKey::around(program).is_some_and(|key| blocks.0.contains_key(&key)))
    }

    /// Blocks; false when that was blocked before. From here on no token is issued to it, even when this fails.
    pub(crate) fn add_block(&self, key: &BlockKey, now: Timestamp) -> Result<(Block, bool), StoreError> {
        let mut blocks = lock(&self.blocks);
        // One the disk did not take has no number yet: try again.
        if let Some(block) = blocks.0.get(key).filter(|block| block.id != 0) {
            return Ok((block.clone(), false));
        }
        let mut block = Block { id: 0, key: key.clone(), since: now };
        blocks.0.insert(key.clone(), block.clone());
        let connection = lock(&self.connection);
        connection
            .execute("INSERT INTO blocks (program, since) VALUES (?1, ?2)", params![key.as_str(), now.as_millis()])?;
        block.id = connection.last_insert_rowid();
        blocks.0.insert(key.clone(), block.clone());
        Ok((block, true))
    }

    /// One block.
    pub(crate) fn block(&self, id: i64) -> Option<Block> {
        lock(&self.blocks).0.values().find(|block| block.id == id).cloned()
    }

    /// Takes a block back.
    pub(crate) fn remove_block(&self, block: &Block) -> Result<(), StoreError> {
        let mut blocks = lock(&self.blocks);
        lock(&self.connection).execute("DELETE FROM blocks WHERE program = ?1", [block.key.as_str()])?;
        blocks.0.remove(&block.key);
        Ok(())
    }

    /// All blocks, oldest first.
    pub(crate) fn all_blocks(&self) -> Vec<Block> {
        let mut all: Vec<Block> = lock(&self.blocks).0.values().cloned().collect();
        all.sort_by_key(|block| block.id);
        all
    }
}
