//! `daypass profile check` and `diff`: files that are not in force, before they are put where they count.
//!
//! Invariant: what is named is read once and nothing is written; a directory stands for the files the agent would read in
//! it. The limit: who owns them is not looked at, as they are not in their place yet.

use super::{VERSION, read, user_profile, words};
use crate::{
    args::{Form, Layer},
    exit::{Failure, Outcome},
    output::{clean, emit, emit_json, note, say},
};
use ::profile::{Diagnostic, Effective, Severity, Source, SourceKind};
use localapi::ExitCode;
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

/// Most files of one directory that are read.
const MOST_FILES: usize = 1000;

pub(super) fn check(files: &[PathBuf], layer: Option<Layer>, form: Form) -> Outcome {
    let own = user_profile().ok().and_then(|path| path.canonicalize().ok());
    let (mut text, mut found) = (String::new(), Vec::new());
    for path in files {
        let layer = layer.unwrap_or_else(|| match (path.canonicalize(), &own) {
            (Ok(path), Some(own)) if path == *own => Layer::User,
            _ => Layer::Managed,
        });
        let (kind, place) = match layer {
            Layer::User => (SourceKind::User, "as a user's own profile"),
            Layer::Managed => (SourceKind::Managed, "as a managed layer"),
        };
        let sources = sources(path, kind)?;
        let together = path.is_dir();
        let diagnostics = match sources.as_slice() {
            [one] if !together => ::profile::check(one, VERSION),
            all => ::profile::resolve(all, VERSION).diagnostics,
        };
        for diagnostic in &diagnostics {
            let _ = writeln!(text, "{}", clean(&words(diagnostic)));
            if let Some(hint) = &diagnostic.hint {
                let _ = writeln!(text, "hint: {}", clean(hint));
            }
        }
        for source in &sources {
            if !is_bad(diagnostics.iter().filter(|d| d.file == source.file || d.file.is_empty())) {
                let with = if together { ", with the others" } else { "" };
                let _ = writeln!(text, "{}: ok ({place}{with})", source.file);
            }
        }
        found.extend(diagnostics);
    }
    if form.json {
        emit_json(&found.iter().map(as_json).collect::<Vec<_>>())?;
    } else {
        emit(&text)?;
    }
    Ok(if is_bad(&found) { ExitCode::Profile } else { ExitCode::Ok })
}

pub(super) fn diff(old: &Path, new: &Path, form: Form) -> Outcome {
    let (old, new) = (effective(old)?, effective(new)?);
    let changes = ::profile::diff(&old.values, &new.values);
    for (key, why) in new.void.iter().filter(|(key, _)| !old.void.contains_key(*key)) {
        say(&format!("{key} counts for nothing: {why}"));
    }
    if form.json {
        let change = |c: &::profile::Change| json!({"key": c.key, "old": c.old, "new": c.new, "line": c.to_string()});
        emit_json(&changes.iter().map(change).collect::<Vec<_>>())?;
    } else if changes.is_empty() {
        emit("no difference\n")?;
    } else {
        emit(&changes.iter().map(|change| clean(&change.to_string()) + "\n").collect::<String>())?;
    }
    Ok(ExitCode::Ok)
}

/// What managed files come to; one that is no profile at all cannot be compared.
fn effective(path: &Path) -> Result<Effective, Failure> {
    let sources = sources(path, SourceKind::Managed)?;
    let effective = ::profile::resolve(&sources, VERSION);
    if let Some(locked) = &effective.rules.locked {
        return Err(Failure::new(ExitCode::Profile, clean(locked)).hint(match &effective.diagnostics[..] {
            [first, ..] => first.hint.clone().unwrap_or_else(|| "repair the file".to_owned()),
            [] => "repair the file".to_owned(),
        }));
    }
    for diagnostic in &effective.diagnostics {
        say(&words(diagnostic));
        if let Some(hint) = &diagnostic.hint {
            note(&format!("hint: {}\n", clean(hint)));
        }
    }
    Ok(effective)
}

/// The file, or the files of the directory that the agent would read there.
fn sources(path: &Path, kind: SourceKind) -> Result<Vec<Source>, Failure> {
    let refused = |path: &Path, error: &io::Error| {
        let hint = "name a profile file, NAME.toml or NAME.json, or a directory of such files";
        Failure::usage(format!("{} cannot be read: {error}", clean(&path.to_string_lossy()))).hint(hint)
    };
    let one = |path: &Path| match read(path) {
        Ok(bytes) => Ok(Source { file: clean(&path.to_string_lossy()), kind, bytes }),
        Err(error) => Err(refused(path, &error)),
    };
    if !path.is_dir() {
        return Ok(vec![one(path)?]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| refused(path, &error))? {
        let entry = entry.map_err(|error| refused(path, &error))?.path();
        let ending = entry.extension().is_some_and(|ending| ending == "toml" || ending == "json");
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if ending && !hidden {
            paths.push(entry);
        }
    }
    paths.sort();
    if paths.is_empty() || paths.len() > MOST_FILES {
        let wrong = if paths.is_empty() { "it holds no *.toml or *.json" } else { "it holds too many files" };
        return Err(refused(path, &io::Error::other(wrong)));
    }
    paths.iter().map(|path| one(path)).collect()
}

fn is_bad<'a>(diagnostics: impl IntoIterator<Item = &'a Diagnostic>) -> bool {
    diagnostics.into_iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

fn as_json(diagnostic: &Diagnostic) -> Value {
    let Diagnostic { severity, file, line, key, text, hint } = diagnostic;
    let severity = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({"severity": severity, "file": file, "line": line, "key": key, "text": text, "hint": hint})
}
