//! Files → what each layer says about each key.
//!
//! Invariant: a key that is unknown, misspelt or ill typed voids itself alone, and leaves a void word in its place, so
//! that what a lower layer says does not come through. A file counts in whole or, when it is no profile, not at all.

mod tables;

pub(crate) use tables::{AccountKeys, ConsentKeys, Gathered, ResourceKeys};

use crate::{
    Diagnostic, Layer, Origin, Severity, Source, SourceKind,
    diagnostic::{join, quote},
    file::{self, Node, Table, Tree, Unreadable},
    format, keys,
    merge::Statement,
    parse::{self, Faults},
    version,
};

/// So many diagnostics are shown of one file; a file that is wrong throughout is told so once.
const MOST_DIAGNOSTICS: usize = 100;

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
                let diagnostic = Diagnostic {
                    severity: Severity::Error,
                    file: source.file.clone(),
                    line: why.line,
                    key: None,
                    text: why.text,
                    hint: why.hint,
                };
                if source.kind == SourceKind::Managed && gathered.locked.is_none() {
                    gathered.locked = Some(diagnostic.to_string());
                }
                diagnostics.push(diagnostic);
            }
        }
    }
    opened.sort_by_key(|(layer, ..)| *layer);
    for (layer, source, table) in opened {
        let mut reader = Reader { file: &source.file, layer, diagnostics: Vec::new() };
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
    gathered
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Whether the file counts at all, and in which layer.
fn open(source: &Source, agent_version: &str) -> Result<(Layer, Table), Unreadable> {
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
            .find(|(key, _)| !is_key("", key) && keys::nearest("", key) == Some("requires"))
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
                return Err(Unreadable::new(node.line, text, "update Daypass"));
            }
            Err(()) => {
                let hint = "write it like requires = \">=1.2\", with >=, > or = and commas between";
                return Err(Unreadable::new(node.line, "requires is not a comparison of versions", hint));
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
    keys::children(pattern).any(|known| known == key)
}

/// Reads one file.
struct Reader<'a> {
    file: &'a str,
    layer: Layer,
    diagnostics: Vec<Diagnostic>,
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
        let mut faults = Faults::default();
        let value = match node.value {
            Tree::Misspelt => None,
            _ => parse(node, &mut faults),
        };
        for fault in faults.0 {
            self.report(fault.severity, fault.line.or(node.line), key, &fault.text, fault.hint);
        }
        Statement { value, origin: self.origin(node.line) }
    }

    /// The known keys of a table. An unknown one is reported; where it is a slip of a known key that is not there, that
    /// key is there but void: `consnet = "denied"` must not mean the default.
    fn known(&mut self, pattern: &str, path: &str, mut table: Table) -> Vec<(&'static str, Node)> {
        let mut found: Vec<(&'static str, Node)> =
            keys::children(pattern).filter_map(|known| table.remove(known).map(|node| (known, node))).collect();
        for (written, node) in table {
            let key = join(path, &written);
            let near = keys::nearest(pattern, &written);
            let hint = near.map_or_else(
                || format!("known here: {}", keys::children(pattern).collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean {near}?"),
            );
            self.report(Severity::Error, node.line, &key, "is not a known key", Some(hint));
            if let Some(near) = near.filter(|near| found.iter().all(|(known, _)| known != near)) {
                found.push((near, Node { line: node.line, value: Tree::Misspelt }));
            }
        }
        found
    }

    /// The entries of a node that should be a table.
    fn table(&mut self, key: &str, node: Node) -> Result<Table, Node> {
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
                // version and requires are dealt with before a file counts.
                _ => {}
            }
        }
    }

    fn level(&mut self, node: &Node) {
        if self.layer == Layer::User {
            self.report(Severity::Warning, node.line, "level", "counts in managed files only", None);
        } else {
            let said: Statement<format::Level> = self.say("level", node, parse::word);
            if said.value.is_none() {
                self.report(Severity::Warning, node.line, "level", "is read as mandatory", None);
            }
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
