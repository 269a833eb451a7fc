//! What each managed file last said while it was a profile, across restarts.
//!
//! Invariant: a copy counts only if its hash is the one the keychain holds; without a keychain there is none. The copy is
//! written under the name of its hash before the keychain is told, and what was there before goes last, so that an end at
//! any moment leaves a copy and an anchor that fit.
//! Limit: a program of the same user that can write both the state directory and the keychain can plant a copy; it counts
//! only while the managed file itself is there and spoilt.

use crate::{random::hex, store::lock, vault::Vault};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use broker::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

/// The keychain item that holds the hash.
const ITEM: &str = "profile-anchor";
/// How long the start of the agent waits for the keychain.
const ASKED_FOR: Duration = Duration::from_secs(2);
/// Most bytes of all copies together.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The bytes of each managed file as it last was a profile.
#[derive(Debug, Clone, Default)]
pub(super) struct Good {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Files that are not there, and since when.
    gone: BTreeMap<PathBuf, Instant>,
    /// What earlier agents knew; counts from the next look on, of the files that are there then.
    older: BTreeMap<PathBuf, Vec<u8>>,
    /// What files say that were only just changed, and since when.
    fresh: BTreeMap<PathBuf, (Vec<u8>, Instant)>,
    /// Files that lock everything: there is nothing to go on with.
    lacking: BTreeSet<PathBuf>,
    /// Goes up with every change.
    revision: u64,
    /// Why the copies of earlier agents are not among them.
    without: Option<String>,
}

impl Good {
    pub(super) fn get(&self, path: &Path) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    pub(super) fn is(&self, path: &Path, bytes: &[u8]) -> bool {
        self.get(path) == Some(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
    }

    pub(super) fn learn(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.fresh.remove(&path);
        self.lacking.remove(&path);
        self.files.insert(path, bytes);
        self.revision += 1;
    }

    /// Whether a file has said this for so long: somebody may be in the middle of writing it.
    pub(super) fn is_still(&mut self, path: &Path, bytes: &[u8], so_long: Duration) -> bool {
        match self.fresh.get(path) {
            Some((said, since)) if said == bytes => since.elapsed() >= so_long,
            _ if so_long.is_zero() => true,
            _ => {
                self.fresh.insert(path.to_owned(), (bytes.to_vec(), Instant::now()));
                false
            }
        }
    }

    /// What a file was about to say is not what it says.
    pub(super) fn unsettle(&mut self, path: &Path) {
        self.fresh.remove(path);
    }

    /// A file locks everything for want of anything to go on with.
    pub(super) fn lacks(&mut self, path: &Path) {
        self.fresh.remove(path);
        self.lacking.insert(path.to_owned());
    }

    /// It does so no more.
    pub(super) fn unlock(&mut self, path: &Path) {
        self.lacking.remove(path);
    }

    /// Whether a file did so when it was last looked at.
    pub(super) fn is_lacking(&self, path: &Path) -> bool {
        self.lacking.contains(path)
    }

    /// Whether a file was only just changed.
    pub(super) fn is_waiting(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Takes up what earlier agents knew of the files that are there, unless they were seen whole since.
    pub(super) fn admit(&mut self, is_there: impl Fn(&Path) -> bool) {
        for (path, bytes) in std::mem::take(&mut self.older) {
            if is_there(&path) && !self.files.contains_key(&path) {
                self.learn(path, bytes);
            }
        }
    }

    /// Forgets the files that are not there, each once it has been gone for `patience`; those that are gone and not
    /// forgotten yet come back.
    pub(super) fn keep_only(&mut self, is_there: impl Fn(&Path) -> bool, patience: Duration) -> Vec<PathBuf> {
        self.admit(&is_there);
        self.fresh.retain(|path, _| is_there(path));
        self.lacking.retain(|path| is_there(path));
        let (before, gone) = (self.files.len(), &mut self.gone);
        gone.retain(|path, _| !is_there(path));
        self.files.retain(|path, _| {
            is_there(path) || gone.entry(path.clone()).or_insert_with(Instant::now).elapsed() < patience
        });
        gone.retain(|path, _| self.files.contains_key(path));
        self.revision += u64::from(self.files.len() != before);
        self.gone.keys().cloned().collect()
    }

    /// Adds what an earlier agent knew: it stands for files this one has not seen whole and that are there, and for no
    /// others.
    fn add_older(&mut self, older: Self) {
        self.older = older.files;
        self.without = older.without;
        self.revision += 1;
    }

    /// Why there is no copy of a file.
    pub(super) fn none_because(&self) -> &str {
        self.without.as_deref().unwrap_or("it has not been a profile before")
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    files: Vec<StoredFile>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    path: String,
    bytes: String,
}

fn encode(good: &Good) -> Vec<u8> {
    let file = |(path, bytes): (&Path, &[u8])| {
        Some(StoredFile { path: path.to_str()?.to_owned(), bytes: STANDARD.encode(bytes) })
    };
    serde_json::to_vec(&Stored { version: 1, files: good.iter().filter_map(file).collect() }).unwrap_or_default()
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<PathBuf, Vec<u8>>> {
    let stored: Stored = serde_json::from_slice(bytes).ok().filter(|stored: &Stored| stored.version == 1)?;
    stored.files.into_iter().map(|file| Some((file.path.into(), STANDARD.decode(file.bytes).ok()?))).collect()
}

/// Where the copies are kept, and how far that has come.
pub(crate) struct Copies {
    directory: PathBuf,
    mark: &'static str,
    state: Mutex<State>,
    /// Held by whoever writes.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Whether the keychain has been asked; before that nothing is written over what it may vouch for.
    read: bool,
    /// What the keychain vouches for.
    anchored: Option<String>,
    /// The revision that is written.
    written: Option<u64>,
    kept: Good,
}

impl Copies {
    /// Asks the keychain and reads what it vouches for. `test_mark` keeps the copies of a test policy apart.
    pub(crate) async fn open(vault: &Vault, directory: PathBuf, test_mark: bool) -> Self {
        let mark = if test_mark { "test" } else { "real" };
        let copies = Self { directory, mark, state: Mutex::default(), turn: tokio::sync::Mutex::default() };
        // Nobody is served before this: a keychain that takes its time is asked again later.
        let kept = tokio::time::timeout(ASKED_FOR, copies.read(vault)).await;
        let late = |_| Good { without: Some("the keychain has not answered yet".to_owned()), ..Good::default() };
        let kept = kept.unwrap_or_else(late);
        lock(&copies.state).kept = kept;
        copies
    }

    /// What was read when this was opened.
    pub(super) fn kept(&self) -> Good {
        lock(&self.state).kept.clone()
    }

    async fn read(&self, vault: &Vault) -> Good {
        let without = |why: String| Good { without: Some(why), ..Good::default() };
        if !vault.is_durable() {
            return without("there is no keychain to vouch for one".to_owned());
        }
        let anchor = match vault.read(ITEM).await {
            Ok(anchor) => anchor,
            Err(error) => return without(format!("the keychain cannot be asked for it: {error}")),
        };
        let mut state = lock(&self.state);
        state.read = true;
        let Some(anchor) = anchor else { return Good::default() };
        let hash = anchor.expose_secret().to_owned();
        match self.vouched_for(&hash) {
            Ok(files) => {
                state.anchored = Some(hash);
                Good { files, ..Good::default() }
            }
            Err(why) => {
                tracing::error!(why, "the last good copy of the managed profile is not used");
                without(why)
            }
        }
    }

    fn vouched_for(&self, hash: &str) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("what the keychain holds is no hash of one".to_owned());
        }
        let bytes = read_own(&self.file(hash)).map_err(|error| format!("it cannot be read: {error}"))?;
        if hex(&Sha256::digest(&bytes)) != hash {
            return Err("it is not the one the keychain knows".to_owned());
        }
        decode(&bytes).ok_or_else(|| "it cannot be read: it is damaged".to_owned())
    }

    fn file(&self, hash: &str) -> PathBuf {
        self.directory.join(format!("{}{}.json", self.prefix(), &hash[..16]))
    }

    fn prefix(&self) -> String {
        format!("managed-{}-", self.mark)
    }

    /// Whether the keychain could not be asked yet.
    fn is_unread(&self) -> bool {
        !lock(&self.state).read
    }

    /// Writes what is good now, if that is not what is written; tried again later where it fails.
    async fn write(&self, vault: &Vault, good: &Good) {
        let _turn = self.turn.lock().await;
        // Whoever waited here may come with what was good before.
        let written = lock(&self.state).written.is_some_and(|written| written >= good.revision);
        if !vault.is_durable() || self.is_unread() || written {
            return;
        }
        if let Err(why) = self.bring_up_to_date(vault, good).await {
            tracing::warn!(why, "the managed profile has no good copy that would outlive this agent");
            return;
        }
        lock(&self.state).written = Some(good.revision);
    }

    async fn bring_up_to_date(&self, vault: &Vault, good: &Good) -> Result<(), String> {
        let anchored = lock(&self.state).anchored.clone();
        if good.is_empty() {
            if anchored.is_some() {
                vault.delete(ITEM).await.map_err(|error| error.to_string())?;
                lock(&self.state).anchored = None;
                self.sweep(None);
            }
            return Ok(());
        }
        let bytes = encode(good);
        let hash = hex(&Sha256::digest(&bytes));
        if anchored.as_ref() != Some(&hash) {
            write_own(&self.file(&hash), &bytes).map_err(|error| error.to_string())?;
            vault.write(ITEM, hash.clone().into()).await.map_err(|error| error.to_string())?;
            lock(&self.state).anchored = Some(hash.clone());
        }
        self.sweep(Some(&self.file(&hash)));
        Ok(())
    }

    /// Removes the copies nobody vouches for any more.
    fn sweep(&self, but: Option<&Path>) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(&self.prefix()));
            if ours && Some(path.as_path()) != but {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl super::Profiles {
    /// Asks the keychain for the copies of earlier agents, if it could not be asked before; whether any came.
    pub(super) async fn recall(&self, vault: &Vault) -> bool {
        if !self.copies.is_unread() {
            return false;
        }
        let older = self.copies.read(vault).await;
        if self.copies.is_unread() {
            return false;
        }
        lock(&self.good).add_older(older);
        true
    }

    /// Keeps what is good now for later agents.
    pub(crate) async fn keep_copies(&self, vault: &Vault) {
        let good = lock(&self.good).clone();
        self.copies.write(vault, &good).await;
    }
}

fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() || facts.uid() != rustix::process::getuid().as_raw() || facts.mode() & 0o022 != 0 {
        return Err(io::Error::other("it is not ours alone"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_own(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension(format!("{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::ports::{Keychain, KeychainError};
    use platform::keychain::Memory;
    use std::sync::Arc;

    fn vault(keychain: &Arc<Memory>, test_mark: bool) -> Vault {
        let keychain: Arc<dyn Keychain> = Arc::clone(keychain) as _;
        Vault::open(Arc::new(move || Ok(Arc::clone(&keychain))), Arc::new(Memory::default()), test_mark)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_was_good_is_known_to_the_next_agent_and_to_nobody_else() {
        let (room, keychain) = (tempfile::tempdir().unwrap(), Arc::<Memory>::default());
        let (directory, real, test) = (room.path().to_owned(), vault(&keychain, false), vault(&keychain, true));
        let open = |vault, mark| Copies::open(vault, directory.clone(), mark);
        let path = Path::new("/etc/daypass/profile.d/10.toml");
        let mut good = Good::default();
        good.learn(path.to_owned(), b"one".to_vec());
        let copies = open(&real, false).await;
        assert_eq!(
            (copies.kept().is_empty(), copies.kept().none_because()),
            (true, "it has not been a profile before")
        );
        copies.write(&real, &good).await;
        assert_eq!(open(&real, false).await.kept().get(path), Some(&b"one"[..]));
        assert_eq!(names(&directory).len(), 1);
        // The world of a test policy has its own.
        assert!(open(&test, true).await.kept().is_empty());

        // An end between the new copy and its anchor leaves the old one in force.
        let mut newer = good.clone();
        newer.learn(path.to_owned(), b"two".to_vec());
        let bytes = encode(&newer);
        write_own(&copies.file(&hex(&Sha256::digest(&bytes))), &bytes).unwrap();
        assert_eq!(open(&real, false).await.kept().get(path), Some(&b"one"[..]));
        copies.write(&real, &newer).await;
        assert_eq!(open(&real, false).await.kept().get(path), Some(&b"two"[..]));
        assert_eq!(names(&directory).len(), 1, "what nobody vouches for goes");

        // Whatever was done to the copy, it is not used.
        let file = directory.join(&names(&directory)[0]);
        let whole = fs::read(&file).unwrap();
        for (spoilt, why) in [(&whole[..whole.len() - 1], "not the one"), (&b""[..], "not the one")] {
            fs::write(&file, spoilt).unwrap();
            let kept = open(&real, false).await.kept();
            assert!(kept.is_empty() && kept.none_because().contains(why), "{}", kept.none_because());
        }
        fs::remove_file(&file).unwrap();
        assert!(open(&real, false).await.kept().none_because().contains("cannot be read"));

        // Nothing managed any more: nothing is left behind.
        fs::write(&file, &whole).unwrap();
        let copies = open(&real, false).await;
        let mut none = copies.kept();
        assert_eq!(none.keep_only(|_| false, Duration::from_mins(1)), [path], "for a moment it may be on its way");
        assert!(none.keep_only(|_| false, Duration::ZERO).is_empty() && none.is_empty());
        copies.write(&real, &none).await;
        assert_eq!((names(&directory).len(), keychain.read(ITEM).unwrap().is_none()), (0, true));
    }

    #[tokio::test]
    async fn an_older_state_does_not_take_the_place_of_a_newer_one() {
        let (room, keychain) = (tempfile::tempdir().unwrap(), Arc::<Memory>::default());
        let vault = vault(&keychain, false);
        let copies = Copies::open(&vault, room.path().to_owned(), false).await;
        let path = Path::new("/etc/daypass/profile.d/10.toml");
        let mut good = Good::default();
        good.learn(path.to_owned(), b"one".to_vec());
        let slower = good.clone();
        good.learn(path.to_owned(), b"two".to_vec());
        copies.write(&vault, &good).await;
        copies.write(&vault, &slower).await;
        let next = Copies::open(&vault, room.path().to_owned(), false).await;
        assert_eq!(next.kept().get(path), Some(&b"two"[..]));
    }

    #[test]
    fn a_copy_that_comes_late_stands_for_no_file_that_is_not_there() {
        let [there, removed] = ["/p/10.toml", "/p/20.toml"].map(PathBuf::from);
        let older =
            Good { files: [&there, &removed].map(|path| (path.clone(), b"old".to_vec())).into(), ..Good::default() };
        let mut good = Good::default();
        good.add_older(older);
        assert!(good.is_empty(), "not before the files were looked at");
        // Not even for the moment in which a file may be on its way.
        assert!(good.keep_only(|path| path == there, Duration::from_mins(1)).is_empty());
        assert_eq!((good.get(&there), good.get(&removed)), (Some(&b"old"[..]), None));
        assert!(good.older.is_empty());
    }

    struct Slow;

    impl Keychain for Slow {
        fn read(&self, _: &str) -> Result<Option<broker::SecretString>, KeychainError> {
            std::thread::sleep(Duration::from_secs(4));
            Ok(None)
        }
        fn write(&self, _: &str, _: &broker::SecretString) -> Result<(), KeychainError> {
            Ok(())
        }
        fn delete(&self, _: &str) -> Result<(), KeychainError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_slow_keychain_does_not_hold_up_the_start() {
        let vault =
            Vault::open(Arc::new(|| Ok(Arc::new(Slow) as Arc<dyn Keychain>)), Arc::new(Memory::default()), false);
        let begun = Instant::now();
        let copies = Copies::open(&vault, PathBuf::from("/nowhere"), false).await;
        assert!(begun.elapsed() < Duration::from_millis(3500), "{:?}", begun.elapsed());
        assert!(copies.is_unread() && copies.kept().none_because().contains("not answered"));
    }

    #[tokio::test]
    async fn without_a_keychain_there_is_no_copy() {
        let room = tempfile::tempdir().unwrap();
        let absent = || Err(KeychainError::Absent("no bus".to_owned()));
        let vault = Vault::open(Arc::new(absent), Arc::new(Memory::default()), false);
        let copies = Copies::open(&vault, room.path().to_owned(), false).await;
        let mut good = Good::default();
        good.learn("/x.toml".into(), b"one".to_vec());
        copies.write(&vault, &good).await;
        assert_eq!(names(room.path()), [""; 0]);
        assert!(copies.kept().none_because().contains("no keychain") && copies.is_unread());
    }
}
