//! Secrets larger than an item may be, kept in several.
//!
//! Invariant: a value is read whole or not at all. Each write gets a generation of its own; its parts are written first and
//! the head that names them last, so the old value stands until the new one is complete. The head carries length and
//! digest: whatever was torn, mixed or edited is seen as [`KeychainError::Damaged`].
//! Limit: parts of an interrupted write stay behind until the next write or delete of that item.

#![cfg_attr(not(windows), allow(dead_code))]

use super::{Cancelled, Store};
use broker::ports::KeychainError;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Most bytes of one Windows credential (`CRED_MAX_CREDENTIAL_BLOB_SIZE`).
pub(super) const WINDOWS_LIMIT: usize = 2560;
/// Most parts of one value: more than a megabyte on Windows.
const MOST_PARTS: usize = 512;
const MARK: &str = "daypass-item/1";

/// A store whose items may hold at most `limit` bytes, used as one without that limit.
pub(super) struct Chunked<S> {
    store: S,
    limit: usize,
}

struct Head {
    generation: u64,
    parts: usize,
    length: usize,
    digest: String,
}

impl Head {
    fn of(secret: &[u8], generation: u64, parts: usize) -> Self {
        let digest = Sha256::digest(secret).iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { generation, parts, length: secret.len(), digest }
    }

    fn line(&self) -> String {
        format!("{MARK} {} {} {} {}\n", self.generation, self.parts, self.length, self.digest)
    }

    /// The head and what follows it.
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut words = line.split(' ');
        if words.next()? != MARK {
            return None;
        }
        let head = Self {
            generation: words.next()?.parse().ok()?,
            parts: words.next()?.parse().ok()?,
            length: words.next()?.parse().ok()?,
            digest: words.next()?.to_owned(),
        };
        (words.next().is_none() && head.parts <= MOST_PARTS).then_some((head, &bytes[end + 1..]))
    }
}

fn damaged(reason: &str) -> KeychainError {
    KeychainError::Damaged(reason.to_owned())
}

fn part_name(item: &str, generation: u64, index: usize) -> String {
    format!("{item}.{generation}.{index}")
}

impl<S: Store> Chunked<S> {
    /// `limit` is in bytes and must leave room for a head of about 120.
    pub(super) fn new(store: S, limit: usize) -> Self {
        Self { store, limit: limit.max(256) }
    }

    /// Deletes the parts of a generation, as far as there are any.
    fn sweep(&mut self, item: &str, generation: u64, cancelled: &Cancelled) -> Result<(), KeychainError> {
        for index in 0..MOST_PARTS {
            let name = part_name(item, generation, index);
            if self.store.read(&name, cancelled)?.is_none() {
                break;
            }
            self.store.delete(&name, cancelled)?;
        }
        Ok(())
    }
}

impl<S: Store> Store for Chunked<S> {
    fn check(&mut self, cancelled: &Cancelled) -> Result<(), KeychainError> {
        self.store.check(cancelled)
    }

    fn read(&mut self, item: &str, cancelled: &Cancelled) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
        let Some(bytes) = self.store.read(item, cancelled)? else { return Ok(None) };
        let (head, rest) = Head::parse(&bytes).ok_or_else(|| damaged("its head cannot be understood"))?;
        let mut secret = Zeroizing::new(Vec::with_capacity(head.length.min(MOST_PARTS * self.limit)));
        secret.extend_from_slice(rest);
        for index in 0..head.parts {
            let name = part_name(item, head.generation, index);
            let part = self.store.read(&name, cancelled)?.ok_or_else(|| damaged("a part is missing"))?;
            secret.extend_from_slice(&part);
        }
        let real = Head::of(&secret, head.generation, head.parts);
        if (real.length, &real.digest) == (head.length, &head.digest) {
            Ok(Some(secret))
        } else {
            Err(damaged("its parts do not belong together"))
        }
    }

    fn write(&mut self, item: &str, secret: &[u8], cancelled: &Cancelled) -> Result<(), KeychainError> {
        let old = self.store.read(item, cancelled)?;
        let old = old.and_then(|bytes| Head::parse(&bytes).map(|(head, _)| head.generation));
        let generation = old.map_or(1, |old| old.wrapping_add(1));
        let inline = Head::of(secret, generation, 0);
        let mut whole = Zeroizing::new(inline.line().into_bytes());
        if whole.len() + secret.len() <= self.limit {
            whole.extend_from_slice(secret);
        } else {
            let parts = secret.chunks(self.limit);
            if parts.len() > MOST_PARTS {
                return Err(KeychainError::Failed("the secret is too large for this keychain".to_owned()));
            }
            whole = Zeroizing::new(Head::of(secret, generation, parts.len()).line().into_bytes());
            for (index, part) in parts.enumerate() {
                self.store.write(&part_name(item, generation, index), part, cancelled)?;
            }
        }
        self.store.write(item, &whole, cancelled)?;
        // The new value stands; what is left of the old one is only untidy.
        if let Some(old) = old {
            let _ = self.sweep(item, old, cancelled);
        }
        Ok(())
    }

    fn delete(&mut self, item: &str, cancelled: &Cancelled) -> Result<(), KeychainError> {
        let generation =
            self.store.read(item, cancelled)?.and_then(|bytes| Head::parse(&bytes).map(|(head, _)| head.generation));
        self.store.delete(item, cancelled)?;
        if let Some(generation) = generation {
            self.sweep(item, generation, cancelled)?;
            self.sweep(item, generation.wrapping_add(1), cancelled)?;
        }
        Ok(())
    }

    fn unlock(&mut self, cancelled: &Cancelled) -> Result<(), KeychainError> {
        self.store.unlock(cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A store of small items that fails after so many writes.
    #[derive(Default)]
    struct Small {
        items: BTreeMap<String, Vec<u8>>,
        writes_left: Option<usize>,
    }

    const LIMIT: usize = 300;

    impl Store for Small {
        fn check(&mut self, _: &Cancelled) -> Result<(), KeychainError> {
            Ok(())
        }
        fn read(&mut self, item: &str, _: &Cancelled) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
            Ok(self.items.get(item).cloned().map(Zeroizing::new))
        }
        fn write(&mut self, item: &str, secret: &[u8], _: &Cancelled) -> Result<(), KeychainError> {
            assert!(secret.len() <= LIMIT, "{} bytes do not fit", secret.len());
            if let Some(left) = &mut self.writes_left {
                *left = left.checked_sub(1).ok_or(KeychainError::Locked)?;
            }
            self.items.insert(item.to_owned(), secret.to_vec());
            Ok(())
        }
        fn delete(&mut self, item: &str, _: &Cancelled) -> Result<(), KeychainError> {
            self.items.remove(item);
            Ok(())
        }
        fn unlock(&mut self, _: &Cancelled) -> Result<(), KeychainError> {
            Ok(())
        }
    }

    fn secret(length: usize, seed: u8) -> Vec<u8> {
        (0..length).map(|at| seed.wrapping_add(u8::try_from(at % 251).unwrap())).collect()
    }

    #[test]
    fn values_of_every_size_come_back_whole_and_leave_nothing_behind() {
        let go = Cancelled::default();
        let mut store = Chunked::new(Small::default(), LIMIT);
        for length in [0, 1, 150, 200, 250, 299, 300, 301, 600, 601, 20_000, 900, 3] {
            let value = secret(length, 7);
            store.write("a", &value, &go).unwrap();
            assert_eq!(*store.read("a", &go).unwrap().unwrap(), value, "{length}");
            let most = 1 + length.div_ceil(LIMIT);
            assert!(store.store.items.len() <= most, "{length}: {} items", store.store.items.len());
        }
        store.write("a", &secret(2000, 1), &go).unwrap();
        store.delete("a", &go).unwrap();
        assert!(store.store.items.is_empty() && store.read("a", &go).unwrap().is_none());
        assert!(matches!(store.write("a", &secret(LIMIT * MOST_PARTS + 1, 1), &go), Err(KeychainError::Failed(_))));
    }

    #[test]
    fn a_torn_write_leaves_the_old_value_or_the_new_one() {
        let go = Cancelled::default();
        let (old, new) = (secret(1000, 1), secret(2000, 2));
        for writes in 0..10 {
            let mut store = Chunked::new(Small::default(), LIMIT);
            store.write("a", &old, &go).unwrap();
            store.store.writes_left = Some(writes);
            let result = store.write("a", &new, &go);
            store.store.writes_left = None;
            let read = store.read("a", &go).unwrap().unwrap();
            assert_eq!(*read, if result.is_ok() { new.clone() } else { old.clone() }, "{writes}");
        }
    }

    #[test]
    fn what_was_torn_mixed_or_edited_is_damaged() {
        let go = Cancelled::default();
        let make = || {
            let mut store = Chunked::new(Small::default(), LIMIT);
            store.write("a", &secret(1000, 1), &go).unwrap();
            store
        };
        let names: Vec<String> = make().store.items.keys().cloned().collect();
        assert_eq!(names.len(), 5);
        for name in &names {
            let mut cut = make();
            cut.store.items.get_mut(name).unwrap().pop();
            assert!(matches!(cut.read("a", &go), Err(KeychainError::Damaged(_))), "{name} cut");
            let mut edited = make();
            edited.store.items.get_mut(name).unwrap()[0] ^= 1;
            assert!(matches!(edited.read("a", &go), Err(KeychainError::Damaged(_))), "{name} edited");
            if name != "a" {
                let mut missing = make();
                missing.store.items.remove(name);
                assert!(matches!(missing.read("a", &go), Err(KeychainError::Damaged(_))), "{name} missing");
            }
        }
        let mut plain = make();
        plain.store.items.insert("a".to_owned(), b"written by another version".to_vec());
        assert!(matches!(plain.read("a", &go), Err(KeychainError::Damaged(_))));
        plain.write("a", b"x", &go).unwrap();
        assert_eq!(**plain.read("a", &go).unwrap().unwrap(), *b"x");
    }
}
