//! The user's profile as text: one marked block for each account that `daypass init` set up.
//!
//! Invariant: what stands outside the block is kept to the letter; the file is replaced whole or not at all, and only by
//! a text with no fault that was not there before. The file before the change stays beside it.

use crate::exit::Failure;
use localapi::ExitCode;
use profile::{Severity, Source, SourceKind};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The first lines of a new profile.
const HEAD: &str = "# Daypass: your own profile. What each key means: daypass profile explain\nversion = 1\n";

fn begin(account: &str) -> String {
    format!("# >>> daypass init: {account}")
}

fn end(account: &str) -> String {
    format!("# <<< daypass init: {account}")
}

/// Where the block of `account` stands in `text`, its last line feed included.
fn place(text: &str, account: &str) -> Option<(usize, usize)> {
    let line = |wanted: &str, from: usize| {
        let mut at = from;
        text[from..].split_inclusive('\n').find_map(|line| {
            let here = at;
            at += line.len();
            (line.trim_end() == wanted).then_some((here, at))
        })
    };
    let (start, after) = line(&begin(account), 0)?;
    Some((start, line(&end(account), after)?.1))
}

/// Whether `text` has a block of `account`.
pub(super) fn has_block(text: &str, account: &str) -> bool {
    place(text, account).is_some()
}

/// The accounts that have a block.
pub(super) fn blocks(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.trim_end().strip_prefix("# >>> daypass init: "));
    names.filter(|name| has_block(text, name)).map(str::to_owned).collect()
}

/// `text` with `body` as the block of `account`: in its place if there is one, else at the end.
pub(super) fn with_block(text: &str, account: &str, body: &str) -> String {
    let block = format!("{}\n{}\n{}\n", begin(account), body.trim_end(), end(account));
    match place(text, account) {
        Some((start, stop)) => format!("{}{block}{}", &text[..start], &text[stop..]),
        None if text.trim().is_empty() => format!("{HEAD}\n{block}"),
        None => format!("{}\n\n{block}", text.trim_end()),
    }
}

/// `text` without the block of `account`; empty when nothing but what `init` wrote was in it.
pub(super) fn without_block(text: &str, account: &str) -> String {
    let Some((start, stop)) = place(text, account) else { return text.to_owned() };
    let (before, after) = (text[..start].trim_end(), text[stop..].trim_start_matches('\n'));
    let rest = if after.is_empty() { format!("{before}\n") } else { format!("{before}\n\n{after}") };
    if rest.trim() == HEAD.trim() { String::new() } else { rest }
}

/// The profile's text; empty when there is none.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
            Failure::new(ExitCode::Profile, format!("{} is not UTF-8", path.display()))
                .hint("repair it, or move it away, and run daypass init again")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::new(ExitCode::Profile, format!("{} cannot be read: {error}", path.display()))),
    }
}

fn faults(path: &Path, text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let source =
        Source { file: path.to_string_lossy().into_owned(), kind: SourceKind::User, bytes: text.as_bytes().to_vec() };
    let found = profile::check(&source, env!("CARGO_PKG_VERSION"));
    found.iter().filter(|fault| fault.severity == Severity::Error).map(ToString::to_string).collect()
}

/// Replaces the profile by `text`, whole, with the mode 0600 (it may hold a client secret); an empty one goes away.
/// Returns where the file that was there is kept.
///
/// # Errors
/// When `text` has a fault that the file now does not have, when the file is no longer `before`, or when it cannot be
/// written: then nothing has changed.
pub(super) fn replace(path: &Path, before: &str, text: &str) -> Result<Option<PathBuf>, Failure> {
    let known = faults(path, before);
    if let Some(fault) = faults(path, text).into_iter().find(|fault| !known.contains(fault)) {
        return Err(Failure::new(ExitCode::Profile, "the profile would not be valid, so nothing was written")
            .hint("choose other values, or another --account name")
            .detail(fault));
    }
    let failed = |error: io::Error| {
        Failure::new(ExitCode::Profile, format!("{} cannot be written: {error}", path.display()))
            .hint("make it and its directory writable, and run daypass init again")
    };
    // Somebody may have typed for minutes since the file was read.
    if read(path)? != before {
        return Err(Failure::new(
            ExitCode::Profile,
            format!("{} has changed meanwhile, so nothing was written", path.display()),
        )
        .hint("run daypass init again"));
    }
    // What the file is a link to is replaced, not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let kept = (!before.is_empty()).then(|| target.with_extension("toml.before-init"));
    if let Some(kept) = &kept {
        write_private(kept, before).map_err(failed)?;
    }
    if text.is_empty() {
        return match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(kept),
        };
    }
    let draft = target.with_extension("toml.new");
    write_private(&draft, text).and_then(|()| fs::rename(&draft, &target)).map_err(failed)?;
    Ok(kept)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "[accounts.work]\nissuer = \"https://login.example.com\"\nclient_id = \"daypass\"\n";

    #[test]
    fn a_block_comes_goes_and_leaves_the_rest_to_the_letter() {
        let mine = "version = 1\n\n# mine\n[broker]\nport = 7000   # odd\n";
        let with = with_block(mine, "work", BODY);
        assert!(with.starts_with(mine) && has_block(&with, "work") && !has_block(&with, "home"), "{with}");
        let two = with_block(&with, "home", &BODY.replace("work", "home"));
        assert_eq!(blocks(&two), ["work", "home"]);
        let changed = with_block(&two, "work", &BODY.replace("daypass\"", "other\""));
        assert!(changed.contains("\"other\"") && changed.matches(">>> daypass init: work").count() == 1, "{changed}");
        assert_eq!(with_block(&changed, "work", BODY), two, "and back");
        assert_eq!(without_block(&without_block(&two, "work"), "home"), mine);
        assert_eq!(without_block(mine, "work"), mine);
    }

    #[test]
    fn a_profile_of_its_own_goes_away_with_its_block() {
        let text = with_block("", "work", BODY);
        assert!(text.contains("version = 1") && faults(Path::new("profile.toml"), &text).is_empty(), "{text}");
        assert_eq!(without_block(&text, "work"), "");
    }

    #[test]
    fn what_was_there_is_kept_and_a_faulty_text_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/profile.toml");
        let first = with_block("", "work", BODY);
        assert_eq!(replace(&path, "", &first).unwrap(), None);
        assert_eq!(read(&path).unwrap(), first);
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let bad = with_block(&first, "work", &BODY.replace("https://login", "ftp://login"));
        assert_eq!(replace(&path, &first, &bad).unwrap_err().status, 9);
        assert_eq!(read(&path).unwrap(), first, "nothing was written");
        let second = with_block(&first, "home", &BODY.replace("work", "home"));
        let kept = replace(&path, &first, &second).unwrap().unwrap();
        assert_eq!((read(&kept).unwrap(), read(&path).unwrap()), (first, second.clone()));
        fs::write(&path, format!("{second}# typed meanwhile\n")).unwrap();
        assert_eq!(replace(&path, &second, "").unwrap_err().status, 9, "what somebody else wrote is not lost");
        let newest = read(&path).unwrap();
        let real = folder.path().join("elsewhere.toml");
        fs::rename(&path, &real).unwrap();
        std::os::unix::fs::symlink(&real, &path).unwrap();
        let kept = replace(&path, &newest, "").unwrap().unwrap();
        assert!(!real.exists(), "the file goes, not only the link to it");
        assert_eq!(read(&kept).unwrap(), newest, "and is kept beside it");
    }
}
