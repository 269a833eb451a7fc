//! Grants: read from memory, written through.

use super::{AuditEntry, Store, StoreError, lock};
use broker::{Choice, Grant, GrantId, Program, ProgramKey, Timestamp};
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// All grants, found by their number, by their program, or by the path of a program that a package owned.
#[derive(Debug, Default)]
pub(super) struct Grants {
    all: BTreeMap<i64, Grant>,
    of: HashMap<ProgramKey, Vec<i64>>,
    at: HashMap<String, Vec<i64>>,
    /// Used since that was last written.
    used: BTreeSet<i64>,
    /// Ended, and still on the disk.
    doomed: BTreeSet<i64>,
}

impl Grants {
    fn insert(&mut self, grant: Grant) {
        self.of.entry(grant.program.clone()).or_default().push(grant.id.0);
        if let Some(path) = packaged_path(&grant) {
            self.at.entry(path.to_owned()).or_default().push(grant.id.0);
        }
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
        if let Some(path) = packaged_path(&grant)
            && let Some(ids) = self.at.get_mut(path)
        {
            ids.retain(|one| *one != id.0);
            if ids.is_empty() {
                self.at.remove(path);
            }
        }
    }

    /// Those of a program that lay at this one's path before, if a package owned it.
    fn before(&self, program: &Program) -> impl Iterator<Item = &Grant> {
        let path = match program {
            Program::Executable { file, .. } if !self.at.is_empty() => file.path.to_str(),
            _ => None,
        };
        let ids = path.and_then(|path| self.at.get(path));
        let key = ids.map(|_| program.key());
        let grants = ids.into_iter().flatten().filter_map(|id| self.all.get(id));
        grants.filter(move |grant| Some(&grant.program) != key.as_ref())
    }

    fn of(&self, program: &ProgramKey) -> impl Iterator<Item = &Grant> {
        self.of.get(program).into_iter().flatten().filter_map(|id| self.all.get(id))
    }
}

/// Whose a grant is after [`Store::rebind_grant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rebound {
    /// The program's, from now on.
    Now,
    /// The program's, as before.
    Before,
    /// Not the program's, or nobody's.
    Not,
}

fn packaged_path(grant: &Grant) -> Option<&str> {
    grant.package.as_ref().and_then(|_| grant.program.executable_path())
}

pub(super) fn load(connection: &Connection) -> Result<Grants, StoreError> {
    let mut statement = connection.prepare(
        "SELECT id, program, account, resource, scopes, choice, created, last_used, until, package
         FROM grants ORDER BY id",
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
        package: row.get(9).ok()?,
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

/// All or none.
fn delete(connection: &mut Connection, ids: &BTreeSet<i64>) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    for id in ids {
        transaction.prepare_cached("DELETE FROM grants WHERE id = ?1")?.execute([id])?;
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
            "INSERT INTO grants (program, account, resource, scopes, choice, created, last_used, until, package)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                grant.program.as_str(),
                grant.account.as_str(),
                grant.resource.as_str(),
                grant.scopes.to_string(),
                grant.choice.as_str(),
                grant.created.as_millis(),
                grant.last_used.as_millis(),
                grant.until.map(Timestamp::as_millis),
                grant.package.as_deref(),
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

    /// The grants of a program, and those of the one that a package had put at its path before, for which `fits` holds. The
    /// token path copies no others.
    pub(crate) fn grants_for(&self, program: &Program, fits: impl Fn(&Grant) -> bool) -> Vec<Grant> {
        let grants = lock(&self.grants);
        grants.of(&program.key()).chain(grants.before(program)).filter(|grant| fits(grant)).cloned().collect()
    }

    /// Whether there are grants of a program that a package had put at this one's path before.
    pub(crate) fn has_grants_before(&self, program: &Program) -> bool {
        lock(&self.grants).before(program).next().is_some()
    }

    /// One grant.
    #[cfg(test)]
    pub(crate) fn grant(&self, id: GrantId) -> Option<Grant> {
        lock(&self.grants).all.get(&id.0).cloned()
    }

    /// Makes a grant another program's: that which it was given to, after an update. The line about it is written with
    /// that, both or neither, and only while `may` still holds of the grant; nothing changes when it is `program`'s already.
    /// False when the grant is gone, or another's.
    pub(crate) fn rebind_grant(
        &self,
        id: GrantId,
        program: &ProgramKey,
        may: impl FnOnce(&Grant) -> bool,
        line: impl FnOnce(&Grant) -> (AuditEntry, String),
    ) -> Result<Rebound, StoreError> {
        let mut grants = lock(&self.grants);
        let Some(mut grant) = grants.all.get(&id.0).cloned() else { return Ok(Rebound::Not) };
        if grant.program == *program {
            return Ok(Rebound::Before);
        }
        if !may(&grant) {
            return Ok(Rebound::Not);
        }
        let (entry, time) = line(&grant);
        self.append_with(entry, time, |connection| {
            connection.execute("UPDATE grants SET program = ?2 WHERE id = ?1", params![id.0, program.as_str()])?;
            Ok(())
        })?;
        grants.remove(id);
        grant.program = program.clone();
        grants.insert(grant);
        Ok(Rebound::Now)
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

    /// Ends every grant for which `over` holds, and whatever an earlier call could not delete; returns those of this call.
    /// From here on none of them yields a token.
    ///
    /// # Errors
    /// When the disk keeps any of them: another agent would find it again. The next call tries once more.
    pub(crate) fn end_grants(&self, over: impl Fn(&Grant) -> bool) -> Result<Vec<Grant>, StoreError> {
        let mut grants = lock(&self.grants);
        let ended: Vec<Grant> = grants.all.values().filter(|g| over(g)).cloned().collect();
        // Memory first: whatever the disk does, nothing is issued on them any more while this agent runs.
        for grant in &ended {
            grants.remove(grant.id);
            grants.doomed.insert(grant.id.0);
        }
        if !grants.doomed.is_empty() {
            delete(&mut lock(&self.connection), &grants.doomed)?;
            grants.doomed.clear();
        }
        Ok(ended)
    }
}

#[cfg(test)]
impl Store {
    /// Has the disk refuse to delete grants, or not any more.
    pub(crate) fn refuse_deletes(&self, refuse: bool) {
        let sql = if refuse {
            "CREATE TRIGGER stop BEFORE DELETE ON grants BEGIN SELECT raise(ABORT, 'no'); END"
        } else {
            "DROP TRIGGER stop"
        };
        lock(&self.connection).execute_batch(sql).unwrap();
    }

    /// How many there are on the disk.
    pub(crate) fn grants_on_disk(&self) -> i64 {
        lock(&self.connection).query_row("SELECT count(*) FROM grants", [], |row| row.get(0)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::FileIdentity;
    use std::path::Path;

    fn open(room: &Path) -> Store {
        Store::open(&room.join("daypass.db"), false, "0a1b2c3d".into()).unwrap()
    }

    fn tool(path: &str, digest: u8) -> Program {
        let file = FileIdentity { path: path.into(), device: 1, inode: 2, digest: [digest; 32] };
        Program::Executable { file, generic_client: false }
    }

    fn grant(program: &Program, resource: &str, package: Option<&str>) -> Grant {
        Grant {
            id: GrantId(0),
            program: program.key(),
            account: "corp".parse().unwrap(),
            resource: resource.parse().unwrap(),
            scopes: "read".parse().unwrap(),
            choice: Choice::Always,
            created: Timestamp::from_seconds(1),
            last_used: Timestamp::from_seconds(1),
            until: None,
            package: package.map(str::to_owned),
        }
    }

    fn line() -> (AuditEntry, String) {
        (AuditEntry { event: "grant.updated", ..AuditEntry::default() }, "2026-01-01T00:00:00.000Z".to_owned())
    }

    #[test]
    fn a_grant_goes_on_with_the_program_after_an_update() {
        let room = tempfile::tempdir().unwrap();
        let store = open(room.path());
        let (before, after) = (tool("/usr/bin/tool", 1), tool("/usr/bin/tool", 2));
        let kept = store.add_grant(grant(&before, "payments", Some("deb:tool"))).unwrap();
        let other = store.add_grant(grant(&before, "api", Some("deb:tool"))).unwrap();
        let without = store.add_grant(grant(&before, "wages", None)).unwrap();
        let ids = |store: &Store, program: &Program| -> Vec<GrantId> {
            store.grants_for(program, |_| true).iter().map(|grant| grant.id).collect()
        };
        assert_eq!(ids(&store, &before), [kept, other, without]);
        assert_eq!(ids(&store, &after), [kept, other], "one without a package stays behind");
        assert!(store.has_grants_before(&after) && !store.has_grants_before(&before));
        assert!(!store.has_grants_before(&tool("/usr/bin/other", 2)));
        assert!(store.grants_of(&after.key()).is_empty(), "not its own yet");

        let rebind = |store: &Store, id, to: &Program| {
            store.rebind_grant(id, &to.key(), |grant| grant.program == before.key(), |_| line()).unwrap()
        };
        assert_eq!(rebind(&store, kept, &after), Rebound::Now);
        assert_eq!(store.head().0, 1);
        // Another trip of the same program comes second, and one of a third program too late: neither says anything.
        assert_eq!(rebind(&store, kept, &after), Rebound::Before);
        assert_eq!(rebind(&store, kept, &tool("/usr/bin/tool", 3)), Rebound::Not);
        assert_eq!((store.head().0, store.grant(kept).unwrap().program), (1, after.key()));
        assert!(store.use_grant(kept, Timestamp::from_seconds(5)));
        store.save_use().unwrap();
        assert_eq!(ids(&store, &after), [kept, other]);
        assert_eq!(store.grants_of(&after.key())[0].id, kept);
        assert_eq!(ids(&store, &before), [other, without, kept], "and back, should it be undone");
        drop(store);

        let store = open(room.path());
        assert_eq!(store.all_grants().len(), 3, "the disk knows it too");
        assert_eq!(ids(&store, &after), [kept, other]);
        let found = store.grant(kept).unwrap();
        assert_eq!((found.program, found.package.as_deref()), (after.key(), Some("deb:tool")));
        assert_eq!(found.last_used, Timestamp::from_seconds(5));

        // What was taken back is not brought back by an update.
        store.end_grants(|grant| grant.id == other).unwrap();
        assert_eq!(rebind(&store, other, &after), Rebound::Not);
        assert_eq!(store.head().0, 1, "and no line says so");
        assert!(!store.use_grant(other, Timestamp::from_seconds(6)) && store.grant(other).is_none());
        assert_eq!(ids(&store, &after), [kept]);
        assert!(!store.has_grants_before(&after));
        store.end_grants(|_| true).unwrap();
        assert!(ids(&store, &after).is_empty() && !store.has_grants_before(&before));
    }

    #[test]
    fn an_update_the_disk_does_not_take_does_not_count() {
        let room = tempfile::tempdir().unwrap();
        let store = open(room.path());
        let (before, after) = (tool("/usr/bin/tool", 1), tool("/usr/bin/tool", 2));
        let id = store.add_grant(grant(&before, "payments", Some("deb:tool"))).unwrap();
        lock(&store.connection).execute_batch("ALTER TABLE grants RENAME TO away").unwrap();
        assert!(store.rebind_grant(id, &after.key(), |_| true, |_| line()).is_err());
        assert_eq!(store.head().0, 0, "nor does a line say so");
        let written: i64 =
            lock(&store.connection).query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap();
        assert_eq!(written, 0);
        store.append(line().0, line().1).unwrap();
        assert_eq!(store.grant(id).unwrap().program, before.key());
    }

    #[test]
    fn what_the_disk_keeps_of_an_end_goes_with_the_next() {
        let room = tempfile::tempdir().unwrap();
        let store = open(room.path());
        for resource in ["payments", "api", "wages"] {
            store.add_grant(grant(&tool("/usr/bin/tool", 1), resource, None)).unwrap();
        }
        let on_disk = || -> i64 {
            lock(&store.connection).query_row("SELECT count(*) FROM grants", [], |row| row.get(0)).unwrap()
        };
        // The second of two fails: neither is half done.
        lock(&store.connection)
            .execute_batch(
                "CREATE TRIGGER stop BEFORE DELETE ON grants WHEN old.resource = 'api'
                 BEGIN SELECT raise(ABORT, 'no'); END",
            )
            .unwrap();
        assert!(store.end_grants(|grant| grant.resource.as_str() != "wages").is_err());
        assert_eq!((store.all_grants().len(), on_disk()), (1, 3), "in memory they are over");
        lock(&store.connection).execute_batch("DROP TRIGGER stop").unwrap();
        assert!(store.end_grants(|_| false).unwrap().is_empty());
        assert_eq!((store.all_grants().len(), on_disk()), (1, 1));
    }

    #[test]
    fn grants_of_schema_2_follow_no_update() {
        let room = tempfile::tempdir().unwrap();
        let old = Connection::open(room.path().join("daypass.db")).unwrap();
        old.execute_batch(include_str!("schema.sql")).unwrap();
        old.execute_batch(include_str!("schema_2.sql")).unwrap();
        old.execute_batch(
            "INSERT INTO meta VALUES ('mark', 'real'), ('installation', 'old1'); PRAGMA user_version = 2;",
        )
        .unwrap();
        let (before, after) = (tool("/usr/bin/tool", 1), tool("/usr/bin/tool", 2));
        old.execute(
            "INSERT INTO grants (program, account, resource, scopes, choice, created, last_used, until)
             VALUES (?1, 'corp', 'payments', 'read', 'always', 1, 1, NULL)",
            [before.key().as_str()],
        )
        .unwrap();
        drop(old);
        let store = open(room.path());
        assert_eq!(store.grants_of(&before.key()).len(), 1, "it is brought forward");
        assert_eq!(store.grants_of(&before.key())[0].package, None);
        assert!(store.grants_for(&after, |_| true).is_empty() && !store.has_grants_before(&after));
    }
}
