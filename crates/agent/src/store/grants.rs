//! Grants: read from memory, written through.

use super::{Store, StoreError, lock};
use broker::{Choice, Grant, GrantId, ProgramKey, Timestamp};
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// All grants, found by their number or by their program.
#[derive(Debug, Default)]
pub(super) struct Grants {
    all: BTreeMap<i64, Grant>,
    of: HashMap<ProgramKey, Vec<i64>>,
    /// Used since that was last written.
    used: BTreeSet<i64>,
}

impl Grants {
    fn insert(&mut self, grant: Grant) {
        self.of.entry(grant.program.clone()).or_default().push(grant.id.0);
        self.all.insert(grant.id.0, grant);
    }

    fn remove(&mut self, id: GrantId) {
        let Some(grant) = self.all.remove(&id.0) else { return };
        if let Some(ids) = self.of.get_mut(&grant.program) {
            ids.retain(|one| *one != id.0);
            if ids.is_empty() {
                self.of.remove(&grant.program);
            }
        }
    }

    fn of(&self, program: &ProgramKey) -> impl Iterator<Item = &Grant> {
        self.of.get(program).into_iter().flatten().filter_map(|id| self.all.get(id))
    }
}

pub(super) fn load(connection: &Connection) -> Result<Grants, StoreError> {
    let mut statement = connection.prepare(
        "SELECT id, program, account, resource, scopes, choice, created, last_used, until FROM grants ORDER BY id",
    )?;
    let rows = statement.query_map([], |row| Ok(read(row)))?;
    let mut grants = Grants::default();
    for row in rows {
        // A row that does not read as a grant grants nothing.
        if let Some(grant) = row? {
            grants.insert(grant);
        }
    }
    Ok(grants)
}

fn read(row: &Row<'_>) -> Option<Grant> {
    let text = |i| row.get::<_, String>(i).ok();
    let time = |i| row.get::<_, i64>(i).ok().map(Timestamp::from_millis);
    Some(Grant {
        id: GrantId(row.get(0).ok()?),
        program: ProgramKey::new(text(1)?),
        account: text(2)?.parse().ok()?,
        resource: text(3)?.parse().ok()?,
        scopes: text(4)?.parse().ok()?,
        choice: Choice::parse(&text(5)?)?,
        created: time(6)?,
        last_used: time(7)?,
        until: row.get::<_, Option<i64>>(8).ok()?.map(Timestamp::from_millis),
    })
}

fn write_use(connection: &mut Connection, used: &[(i64, Timestamp)]) -> Result<(), rusqlite::Error> {
    if used.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for (id, last_used) in used {
        let mut update = transaction.prepare_cached("UPDATE grants SET last_used = ?2 WHERE id = ?1")?;
        update.execute(params![id, last_used.as_millis()])?;
    }
    transaction.commit()
}

impl Store {
    /// Stores a grant (its `id` is chosen here); one it covers is replaced.
    pub(crate) fn add_grant(&self, mut grant: Grant) -> Result<GrantId, StoreError> {
        let mut grants = lock(&self.grants);
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction()?;
        let covered: Vec<GrantId> = grants
            .of(&grant.program)
            .filter(|g| {
                g.account == grant.account
                    && g.resource == grant.resource
                    && g.scopes.is_subset(&grant.scopes)
                    && (g.choice == grant.choice || grant.choice == Choice::Always)
            })
            .map(|g| g.id)
            .collect();
        transaction.execute(
            "INSERT INTO grants (program, account, resource, scopes, choice, created, last_used, until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                grant.program.as_str(),
                grant.account.as_str(),
                grant.resource.as_str(),
                grant.scopes.to_string(),
                grant.choice.as_str(),
                grant.created.as_millis(),
                grant.last_used.as_millis(),
                grant.until.map(Timestamp::as_millis),
            ],
        )?;
        grant.id = GrantId(transaction.last_insert_rowid());
        let id = grant.id;
        for old in &covered {
            transaction.execute("DELETE FROM grants WHERE id = ?1", [old.0])?;
        }
        transaction.commit()?;
        for old in covered {
            grants.remove(old);
        }
        grants.insert(grant);
        Ok(id)
    }

    /// The grants of one program.
    pub(crate) fn grants_of(&self, program: &ProgramKey) -> Vec<Grant> {
        lock(&self.grants).of(program).cloned().collect()
    }

    /// All grants, oldest first.
    pub(crate) fn all_grants(&self) -> Vec<Grant> {
        lock(&self.grants).all.values().cloned().collect()
    }

    /// Marks a grant as used; false when it is no longer there. Written to disk by [`Store::save_use`].
    pub(crate) fn use_grant(&self, id: GrantId, now: Timestamp) -> bool {
        let mut grants = lock(&self.grants);
        let Some(grant) = grants.all.get_mut(&id.0) else { return false };
        grant.last_used = now;
        grants.used.insert(id.0);
        true
    }

    /// Writes when grants were last used.
    pub(crate) fn save_use(&self) -> Result<(), StoreError> {
        let used: Vec<(i64, Timestamp)> = {
            let mut grants = lock(&self.grants);
            let used = std::mem::take(&mut grants.used);
            used.iter().filter_map(|id| grants.all.get(id)).map(|grant| (grant.id.0, grant.last_used)).collect()
        };
        let written = write_use(&mut lock(&self.connection), &used);
        if written.is_err() {
            lock(&self.grants).used.extend(used.iter().map(|(id, _)| *id));
        }
        Ok(written?)
    }

    /// Ends every grant for which `over` holds; returns them. From here on none of them yields a token.
    pub(crate) fn end_grants(&self, over: impl Fn(&Grant) -> bool) -> Result<Vec<Grant>, StoreError> {
        let mut grants = lock(&self.grants);
        let ended: Vec<Grant> = grants.all.values().filter(|g| over(g)).cloned().collect();
        // Memory first: whatever the disk does, nothing is issued on them any more while this agent runs.
        for grant in &ended {
            grants.remove(grant.id);
        }
        let connection = lock(&self.connection);
        for grant in &ended {
            connection.execute("DELETE FROM grants WHERE id = ?1", [grant.id.0])?;
        }
        Ok(ended)
    }
}
