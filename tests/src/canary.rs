//! Looks for secrets where none may be: files, messages, argument lists and environments.

use crate::home::Home;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Notes the argument list and environment of every process that belongs to a home, for as long as it lives.
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to look, every few milliseconds.
    pub fn start(home: &Home) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::new())));
        let mark = home.path().as_os_str().as_bytes().to_vec();
        let (stopped, found) = (stop.clone(), seen.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                look(&mark, &found);
                thread::sleep(Duration::from_millis(3));
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    /// Everything seen.
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        self.halt();
        let seen = self.seen.lock().unwrap();
        assert!(seen.len() > 2, "the watch saw no process of the home");
        seen.iter().cloned().collect()
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.halt();
    }
}

fn look(mark: &[u8], seen: &Mutex<BTreeSet<Vec<u8>>>) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        if !process.file_name().as_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if contains(&words, mark) || contains(&environment, mark) {
            let mut seen = seen.lock().unwrap();
            seen.insert(words);
            seen.insert(environment);
        }
    }
}

/// Panics if any of `secrets` is in a file of the home, in what its commands said, or in `more`.
///
/// # Panics
/// Naming the place, never the secret.
pub fn assert_absent(home: &Home, secrets: &[String], more: &[(&str, Vec<u8>)]) {
    assert!(!secrets.is_empty(), "there must be secrets to look for");
    let mut places: Vec<(String, Vec<u8>)> =
        more.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
    places.push(("standard error of a command".to_owned(), home.errors().join("\n").into_bytes()));
    files(home.path(), &mut places);
    for (place, bytes) in &places {
        for (index, secret) in secrets.iter().enumerate() {
            assert!(secret.len() > 15, "too short to look for");
            assert!(!contains(bytes, secret.as_bytes()), "secret {index} is in {place}");
        }
    }
}

/// Every file of the home except the browser's own: a browser remembers where it has been.
fn files(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a readable folder").flatten() {
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() && entry.file_name() != "chromium" {
            files(&entry.path(), places);
        } else if kind.is_file() {
            places.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap_or_default()));
        }
    }
}

/// Whether `part` is in `bytes`.
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}
