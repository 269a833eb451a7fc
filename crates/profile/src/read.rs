//! Files → what each layer says about each key.
//!
//! Invariant: a key that is unknown, misspelt or ill typed voids itself alone, and leaves a void word in its place, so
//! that what a lower layer says does not come through. A file counts in whole or, when it is no profile, not at all.

mod machine;
mod tables;

pub(crate) use machine::MachineKeys;
pub(crate) use tables::{AccountKeys, ConsentKeys, Gathered, ResourceKeys};

use crate::{
    Counts, Diagnostic, Layer, Origin, Severity, Source, SourceKind,
    diagnostic::{join, quote},
    file::{self, Node, Table, Tree, Unreadable},
    format, keys,
    merge::Statement,
    parse::{self, Faults},
    version,
};

/// So many diagnostics are shown of one file; a file that is wrong throughout is told so once.
const MOST_DIAGNOSTICS: usize = 100;
use std::collections::BTreeMap;

/// Reads all files and merges what each layer says.
pub(crate) fn gather(sources: &[Source], agent_version: &str, diagnostics: &mut Vec<Diagnostic>) -> Gathered {
    let mut gathered = Gathered::default();
    let mut opened = Vec::new();
    let mut in_order: Vec<&Source> = sources.iter().collect();
    in_order.sort_by_key(|source| (file_name(&source.file), source.file.as_str(), source.bytes.as_slice()));
    for source in in_order {
        match open(source, agent_version) {
            Ok((layer, table)) => opened.push((layer, source, table)),
            Err(why) => {
                let diagnostic = unreadable(source, why);
                if source.kind == SourceKind::Managed && gathered.locked.is_none() {
                    gathered.locked = Some(diagnostic.to_string());
                }
                diagnostics.push(diagnostic);
            }
        }
    }
    opened.sort_by_key(|(layer, ..)| *layer);
    let mut own = Own::default();
    for (layer, source, table) in opened {
        let mut reader = Reader { file: &source.file, layer, diagnostics: Vec::new(), own: &mut own };
        reader.top(table, &mut gathered);
        reader.diagnostics.sort_by_key(|diagnostic| diagnostic.line);
        let found = reader.diagnostics.len();
        diagnostics.extend(reader.diagnostics.into_iter().take(MOST_DIAGNOSTICS));
        if found > MOST_DIAGNOSTICS {
            diagnostics.push(Diagnostic {
                severity: Severity::Error,
                file: source.file.clone(),
                line: None,
                key: None,
                text: format!("{} more things are wrong", found - MOST_DIAGNOSTICS),
                hint: Some("is this the right file?".into()),
            });
        }
    }
    diagnostics.extend(own.overruled.into_iter().map(|(key, (origin, by))| overruled(&key, origin, &by)));
    gathered
}

/// A user's word that a mandatory one takes the place of.
fn overruled(key: &str, origin: Origin, by: &Origin) -> Diagnostic {
    let file = by.file.clone().unwrap_or_default();
    let place = by.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"));
    Diagnostic {
        severity: Severity::Warning,
        file: origin.file.unwrap_or_default(),
        line: origin.line,
        key: Some(key.to_owned()),
        text: format!("{key} is overruled by {place}"),
        hint: Some("take it out here, or ask IT".into()),
    }
}

/// Whether a file is a profile that this version may read; the rest of it may be as wrong as it likes.
pub(crate) fn is_profile(source: &Source, agent_version: &str) -> Result<(), Diagnostic> {
    open(source, agent_version).map(drop).map_err(|why| unreadable(source, why))
}

fn unreadable(source: &Source, why: Unreadable) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: source.file.clone(),
        line: why.line,
        key: why.key.map(str::to_owned),
        text: why.text,
        hint: why.hint,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Whether the file counts at all, and in which layer.
fn open<'a>(source: &'a Source, agent_version: &str) -> Result<(Layer, Table<'a>), Unreadable> {
    let table = file::parse(&source.file, &source.bytes)?;
    match table.get("version") {
        Some(Node { value: Tree::Integer(1), .. }) => {}
        Some(node) => {
            let text = match node.value {
                Tree::Integer(number) => format!("is of format version {number}; this Daypass reads version 1"),
                _ => format!("version must be the number 1, not {}", node.value.kind()),
            };
            return Err(Unreadable::new(node.line, text, "update Daypass, or write version = 1"));
        }
        None => return Err(Unreadable::new(None, "states no version", "write version = 1 at its top")),
    }
    // The file may mean more than this agent understands, so a requirement that cannot be read is not met.
    let requires = table.get("requires").or_else(|| {
        table
            .iter()
            .find(|(key, _)| keys::slips(key, "requires").is_some() && !is_key("", key) && is_nearest(key, "requires"))
            .map(|(_, node)| node)
    });
    if let Some(node) = requires {
        let met = match &node.value {
            Tree::Text(text) => version::meets(text, agent_version).ok_or(()),
            _ => Err(()),
        };
        match met {
            Ok(true) => {}
            Ok(false) => {
                let text = format!("needs another version of Daypass than this one, {agent_version}");
                return Err(Unreadable::new(node.line, text, "update Daypass").by("requires"));
            }
            Err(()) => {
                let hint = "write it like requires = \">=1.2\", with >=, > or = and commas between";
                let why = Unreadable::new(node.line, "requires is not a comparison of versions", hint);
                return Err(why.by("requires"));
            }
        }
    }
    let recommended = matches!(table.get("level"), Some(Node { value: Tree::Text(text), .. }) if text == "recommended");
    let layer = match source.kind {
        SourceKind::User => Layer::User,
        SourceKind::Managed if recommended => Layer::Recommended,
        SourceKind::Managed => Layer::Mandatory,
    };
    Ok((layer, table))
}

fn is_key(pattern: &str, key: &str) -> bool {
    keys::children(pattern).contains(&key)
}

/// Whether a top-level key that was written is a slip of this one.
fn is_nearest(written: &str, known: &str) -> bool {
    keys::nearest("", written) == Some(known)
}

/// What the user says, and which of it says something else than a mandatory file does.
#[derive(Default)]
struct Own {
    /// Each value by its hash.
    said: BTreeMap<String, (u64, Origin)>,
    overruled: BTreeMap<String, (Origin, Origin)>,
}

/// Reads one file.
struct Reader<'a> {
    file: &'a str,
    layer: Layer,
    diagnostics: Vec<Diagnostic>,
    own: &'a mut Own,
}

impl Reader<'_> {
    fn report(&mut self, severity: Severity, line: Option<u32>, key: &str, text: &str, hint: Option<String>) {
        self.diagnostics.push(Diagnostic {
            severity,
            file: self.file.to_owned(),
            line,
            key: Some(key.to_owned()),
            text: format!("{key} {text}"),
            hint,
        });
    }

    fn origin(&self, line: Option<u32>) -> Origin {
        Origin { layer: self.layer, file: Some(self.file.to_owned()), line }
    }

    fn void<T>(&self, node: &Node) -> Statement<T> {
        Statement { value: None, origin: self.origin(node.line) }
    }

    /// What this file says about a key.
    fn say<T>(&mut self, key: &str, node: &Node, parse: impl FnOnce(&Node, &mut Faults) -> Option<T>) -> Statement<T> {
        let value = self.take(node, || key.to_owned(), parse);
        if self.layer != Layer::User || value.is_some() {
            self.weigh(key, node);
        }
        Statement { value, origin: self.origin(node.line) }
    }

    /// Compares what a mandatory file says with what the user does. The user's layer is read before it.
    fn weigh(&mut self, key: &str, node: &Node) {
        match self.layer {
            Layer::User => {
                self.own.said.insert(key.to_owned(), (node.value.hashed(), self.origin(node.line)));
            }
            Layer::Mandatory => {
                let Some((said, origin)) = self.own.said.get(key) else { return };
                // Of several files the last one counts.
                if *said == node.value.hashed() {
                    self.own.overruled.remove(key);
                } else {
                    let both = (origin.clone(), self.origin(node.line));
                    self.own.overruled.insert(key.to_owned(), both);
                }
            }
            Layer::BuiltIn | Layer::Recommended => {}
        }
    }

    /// The value alone; its key is put together only where it is needed.
    fn take<T>(
        &mut self,
        node: &Node,
        key: impl FnOnce() -> String,
        parse: impl FnOnce(&Node, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        let mut faults = Faults::default();
        let value = match node.value {
            Tree::Misspelt => None,
            _ => parse(node, &mut faults),
        };
        if !faults.0.is_empty() {
            let key = key();
            for fault in faults.0 {
                self.report(fault.severity, fault.line.or(node.line), &key, &fault.text, fault.hint);
            }
        }
        value
    }

    /// The known keys of a table. An unknown one is reported; where it is a slip of a known key that is not there, that
    /// key is there but void: `consnet = "denied"` must not mean the default. In the user's layer the keys that count in
    /// managed layers only are left out and reported.
    fn known<'n>(&mut self, pattern: &str, path: &str, table: Table<'n>) -> Vec<(&'static str, Node<'n>)> {
        let children = keys::children(pattern);
        let mut found: Vec<(&'static str, Node<'n>)> = Vec::with_capacity(table.len());
        let mut unknown = Vec::new();
        for (written, node) in table {
            match children.iter().find(|known| **known == written) {
                Some(known) => found.push((*known, node)),
                None => unknown.push((written, node)),
            }
        }
        for (written, node) in unknown {
            let key = join(path, &written);
            let near = keys::nearest(pattern, &written);
            let all = || format!("known here: {}", children.join(", "));
            let hint = near.map_or_else(all, |near| format!("did you mean {near}?"));
            self.report(Severity::Error, node.line, &key, "is not a known key", Some(hint));
            if let Some(near) = near.filter(|near| found.iter().all(|(known, _)| known != near)) {
                found.push((near, Node { line: node.line, value: Tree::Misspelt }));
            }
        }
        if self.layer == Layer::User {
            found.retain(|(known, node)| {
                let for_managed = keys::counts(&keys::pattern(pattern, known)) == Counts::ManagedOnly;
                if for_managed && !matches!(node.value, Tree::Misspelt) {
                    let text = "counts in managed layers only";
                    self.report(Severity::Warning, node.line, &join(path, known), text, None);
                }
                !for_managed
            });
        }
        found
    }

    /// The entries of a node that should be a table.
    fn table<'n>(&mut self, key: &str, node: Node<'n>) -> Result<Table<'n>, Node<'n>> {
        match node.value {
            Tree::Table(table) => Ok(table),
            Tree::Misspelt => Err(node),
            _ => {
                self.report(
                    Severity::Error,
                    node.line,
                    key,
                    &format!("must be a table, not {}", node.value.kind()),
                    None,
                );
                Err(node)
            }
        }
    }

    fn top(&mut self, table: Table, gathered: &mut Gathered) {
        for (key, node) in self.known("", "", table) {
            match key {
                "level" => self.level(&node),
                "name" => gathered.name.put(self.say(key, &node, parse::label)),
                "support_url" => gathered.support_url.put(self.say(key, &node, parse::web_address)),
                "accounts" => self.accounts(node, gathered),
                "resources" => self.resources(node, gathered),
                "consent" => self.consent(node, gathered),
                "browser" => match self.table(key, node) {
                    Ok(table) => {
                        for (_, node) in self.known(key, key, table) {
                            gathered.command.put(self.say("browser.command", &node, parse::command));
                        }
                    }
                    Err(node) => gathered.command.put(self.void(&node)),
                },
                "broker" => match self.table(key, node) {
                    Ok(table) => {
                        for (_, node) in self.known(key, key, table) {
                            gathered.port.put(self.say("broker.port", &node, parse::port));
                        }
                    }
                    Err(node) => gathered.port.put(self.void(&node)),
                },
                "network" => self.network(node, &mut gathered.machine),
                "audit" => self.audit(node, &mut gathered.machine),
                "notifications" => self.notifications(node, &mut gathered.machine),
                "desktop" => self.desktop(node, &mut gathered.machine),
                "links" => self.links(node, &mut gathered.machine),
                // version and requires are dealt with before a file counts.
                _ => {}
            }
        }
    }

    fn level(&mut self, node: &Node) {
        let said: Option<format::Level> = self.take(node, || "level".to_owned(), parse::word);
        if said.is_none() {
            self.report(Severity::Warning, node.line, "level", "is read as mandatory", None);
        }
    }

    /// Names of accounts and resources; one that is not well formed voids its entry.
    fn name(&mut self, path: &str, name: &str, node: &Node) -> Option<String> {
        match name.parse::<broker::ResourceName>() {
            Ok(_) => Some(join(path, name)),
            Err(error) => {
                let key = join(path, name);
                let text = format!("is void: the name {} {}", quote(name), error.rule);
                self.report(Severity::Error, node.line, &key, &text, None);
                None
            }
        }
    }
}
