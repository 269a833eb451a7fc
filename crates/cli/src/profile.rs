//! `daypass profile`: what the configuration files of this machine and user come to. Needs no agent.
//!
//! Invariant: only reads, and reads what the agent would read: managed layers that belong to root, and the user's own.
//! The limit: an agent started with `--managed-dir` reads its test policy instead, which `daypass status` tells.

mod files;

use crate::{
    args::{Form, Profile, ProfileCommand},
    exit::{Failure, Outcome},
    output::{Table, clean, emit, emit_json, say},
};
use ::profile::{Diagnostic, KeyHelp, Origin, Severity, Source, SourceKind};
use localapi::ExitCode;
use platform::{
    managed::{LAYER_LIMIT, Owner, SYSTEM_DIR, read_managed},
    paths::Paths,
};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The version the files' `requires` is held against.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Shows, checks or explains.
pub(crate) fn profile(arguments: &Profile) -> Outcome {
    match &arguments.command {
        ProfileCommand::Show { origin, form } => show(*origin, *form),
        ProfileCommand::Check { files, layer, form } => files::check(files, *layer, *form),
        ProfileCommand::Diff { old, new, form } => files::diff(old, new, *form),
        ProfileCommand::Explain { key } => explain(key.as_deref()),
        ProfileCommand::Schema => emit_json(&::profile::schema()).map(|()| ExitCode::Ok),
    }
}

/// The user's own profile; needs no runtime directory, as root in a cron job has none.
fn user_profile() -> Result<PathBuf, Failure> {
    let variable = |name: &str| match name {
        "XDG_RUNTIME_DIR" => Some("/".into()),
        name => std::env::var_os(name),
    };
    let paths =
        Paths::from_variables(variable).map_err(|error| Failure::told(ExitCode::Profile, &error.to_string()))?;
    Ok(paths.user_profile())
}

/// Every layer that is in force here, and what could not be read.
pub(crate) fn sources() -> Result<(Vec<Source>, Vec<String>), Failure> {
    let (files, problems) = read_managed(Path::new(SYSTEM_DIR), Owner::Root);
    let mut problems: Vec<String> =
        problems.iter().map(|(path, why)| format!("{} is not read: {why}", path.display())).collect();
    let mut sources: Vec<Source> = files
        .into_iter()
        .map(|file| Source { file: file.path.display().to_string(), kind: SourceKind::Managed, bytes: file.bytes })
        .collect();
    let own = user_profile()?;
    match is_own(&own).and_then(|()| read(&own)) {
        Ok(bytes) => sources.push(Source { file: own.display().to_string(), kind: SourceKind::User, bytes }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => problems.push(format!("{} is not read: {error}", own.display())),
    }
    Ok((sources, problems))
}

/// The agent reads the user's profile only if nobody else could have written it.
fn is_own(path: &Path) -> io::Result<()> {
    let facts = std::fs::metadata(path)?;
    let owned = facts.uid() == rustix::process::getuid().as_raw() || facts.uid() == 0;
    if owned && facts.mode() & 0o002 == 0 {
        return Ok(());
    }
    Err(io::Error::other("it is not yours alone: another user owns it or may write to it"))
}

/// Reads a regular file, one byte more than a profile may have at most, so that the check can say it is too large.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LAYER_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn show(with_origin: bool, form: Form) -> Outcome {
    let (sources, problems) = sources()?;
    let effective = ::profile::resolve(&sources, VERSION);
    let lines = || problems.iter().cloned().chain(effective.diagnostics.iter().map(words));
    if form.json {
        let values: Map<String, Value> = effective
            .values
            .iter()
            .map(|(key, value)| (key.clone(), json!({"value": value.json, "origin": origin(&value.origin)})))
            .collect();
        let diagnostics: Vec<String> = lines().collect();
        let locked = effective.rules.locked;
        emit_json(&json!({"values": values, "diagnostics": diagnostics, "void": effective.void, "locked": locked}))?;
        return Ok(ExitCode::Ok);
    }
    lines().for_each(|line| say(&line));
    effective.void.iter().for_each(|(key, why)| say(&format!("{key} counts for nothing: {why}")));
    let mut table = Table::bare();
    for (key, value) in &effective.values {
        let text = short(&value.json.to_string());
        if with_origin {
            table.row([key, &text, &origin(&value.origin)]);
        } else {
            table.row([key, &text]);
        }
    }
    emit(&table.render())?;
    Ok(ExitCode::Ok)
}

/// A value as a row of the table shows it; long ones are there in full with `--json`.
fn short(text: &str) -> String {
    const MOST: usize = 160;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Layer, file and line in one text.
fn origin(origin: &Origin) -> String {
    let layer = origin.layer.as_str();
    match (&origin.file, origin.line) {
        (None, _) => layer.to_owned(),
        (Some(file), None) => format!("{layer} {file}"),
        (Some(file), Some(line)) => format!("{layer} {file}:{line}"),
    }
}

/// `file:line: text`, marked when it is only a warning.
fn words(diagnostic: &Diagnostic) -> String {
    match diagnostic.severity {
        Severity::Error => diagnostic.to_string(),
        Severity::Warning => format!("{diagnostic} (warning)"),
    }
}

fn explain(key: Option<&str>) -> Outcome {
    let Some(key) = key else {
        let mut table = Table::new(&["KEY", "TYPE", "MEANING"]);
        for help in &::profile::explain_all() {
            table.row([help.key, &help.kind, &help.text]);
        }
        emit(&table.render())?;
        return Ok(ExitCode::Ok);
    };
    let help = ::profile::explain(key).ok_or_else(|| {
        Failure::usage(format!("there is no key {key:?}")).hint("all keys are listed by: daypass profile explain")
    })?;
    emit(&meaning(&help))?;
    Ok(ExitCode::Ok)
}

fn meaning(help: &KeyHelp) -> String {
    let mut table = Table::bare();
    table.row(["key", help.key]);
    table.row(["type", &help.kind]);
    table.row(["default", help.default.as_deref().unwrap_or(if help.required { "none; required" } else { "none" })]);
    table.row(["counts in", help.counts.as_str()]);
    if let Some(ceiling) = help.ceiling {
        table.row(["ceiling", &format!("{ceiling}, whoever sets it")]);
    }
    let mut text = table.render();
    if !help.text.is_empty() {
        let _ = writeln!(text, "\n{}", clean(&help.text));
    }
    if !help.words.is_empty() {
        let mut words = Table::bare();
        help.words.iter().for_each(|(word, meaning)| words.row([word, meaning]));
        let _ = write!(text, "\n{}", words.render());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_explained_with_its_words() {
        let text = meaning(&::profile::explain("resources.payments.consent").unwrap());
        for part in ["resources.*.consent", "preapproved", "default", "counts in"] {
            assert!(text.contains(part), "{text}");
        }
        let text = meaning(&::profile::explain("audit.retention").unwrap());
        assert!(text.contains("managed layers only") && text.contains("30d to 3650d, whoever sets it"), "{text}");
    }

    #[test]
    fn origins_name_layer_file_and_line() {
        let from = |file: Option<&str>, line| {
            origin(&Origin { layer: ::profile::Layer::Mandatory, file: file.map(str::to_owned), line })
        };
        assert_eq!(from(Some("/etc/daypass/profile.d/10.toml"), Some(4)), "mandatory /etc/daypass/profile.d/10.toml:4");
        assert_eq!(from(Some("a.toml"), None), "mandatory a.toml");
        assert_eq!(from(None, None), "mandatory");
    }

    #[test]
    fn what_the_tools_of_it_write_is_what_is_read_here() {
        use platform::managed::{POLICY_KEY, PREFERENCES, SWITCHES};
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/profile");
        let text = |name: &str| std::fs::read_to_string(format!("{docs}/{name}")).unwrap();
        let (_, key) = POLICY_KEY.split_once('\\').unwrap();
        assert!(text("daypass.admx").contains(&format!(" key=\"{key}\"")));
        for file in ["com.daypass.agent.manifest.plist", "sample.mobileconfig"] {
            assert!(text(file).contains(&format!("<string>{PREFERENCES}</string>")), "{file}");
        }
        let all = ::profile::explain_all();
        let switches = all.iter().filter(|help| help.kind == "true or false" && !help.key.contains('*'));
        let mut switches: Vec<&str> = switches.map(|help| help.key).collect();
        switches.sort_unstable();
        assert_eq!(switches, SWITCHES, "the registry has no word for true and false");
    }

    #[test]
    fn only_regular_files_are_read() {
        assert!(read(Path::new("/dev/zero")).is_err());
        assert!(read(Path::new("/")).is_err());
        assert_eq!(read(Path::new("/no/such/file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
