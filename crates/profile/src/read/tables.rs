//! The tables of a file, key by key.

use super::{MachineKeys, Reader};
use crate::{
    Layer, Severity, ceilings,
    diagnostic::{join, quote},
    file::{Node, Tree},
    format,
    merge::{Slots, Statement},
    parse::{self, Faults},
};
use broker::{
    ConsentRule, Issuer, LockRule, Offline, PeerRule, Peers, RedirectUri, RequestAs, ScopeSet, SecretString, Span,
    TerminalRule, TokenKind,
};
use std::collections::BTreeMap;

/// What all layers say.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) name: Slots<String>,
    pub(crate) support_url: Slots<String>,
    pub(crate) accounts: BTreeMap<String, AccountKeys>,
    /// Void where a managed layer's `accounts` is no table.
    pub(crate) accounts_table: Slots<()>,
    pub(crate) resources: BTreeMap<String, ResourceKeys>,
    /// Void where a managed layer's `resources` is no table.
    pub(crate) resources_table: Slots<()>,
    pub(crate) consent: ConsentKeys,
    pub(crate) command: Slots<Vec<String>>,
    pub(crate) port: Slots<u16>,
    pub(crate) machine: MachineKeys,
    /// Why nothing may be issued.
    pub(crate) locked: Option<String>,
}

/// What all layers say about one account.
#[derive(Default)]
pub(crate) struct AccountKeys {
    pub(crate) table: Slots<()>,
    pub(crate) title: Slots<String>,
    pub(crate) issuer: Slots<Issuer>,
    pub(crate) client_id: Slots<String>,
    pub(crate) client_secret: Slots<SecretString>,
    pub(crate) redirect_uri: Slots<Vec<RedirectUri>>,
    pub(crate) scopes: Slots<ScopeSet>,
    pub(crate) offline: Slots<Offline>,
    pub(crate) parameters: BTreeMap<String, Slots<String>>,
    pub(crate) parameters_table: Slots<()>,
    pub(crate) claims: BTreeMap<String, Slots<String>>,
    pub(crate) claims_table: Slots<()>,
}

/// What all layers say about one resource.
#[derive(Default)]
pub(crate) struct ResourceKeys {
    pub(crate) table: Slots<()>,
    pub(crate) title: Slots<String>,
    pub(crate) description: Slots<String>,
    pub(crate) account: Slots<broker::AccountName>,
    pub(crate) token: Slots<TokenKind>,
    pub(crate) audience: Slots<String>,
    pub(crate) request: Slots<RequestAs>,
    pub(crate) scopes: Slots<ScopeSet>,
    pub(crate) allowed_scopes: Slots<ScopeSet>,
    pub(crate) lifetime: Slots<Span>,
    pub(crate) consent: Slots<ConsentRule>,
    pub(crate) sensitive: Slots<bool>,
    pub(crate) peers: Slots<Peers>,
}

/// What all layers say about the limits of consent.
#[derive(Default)]
pub(crate) struct ConsentKeys {
    pub(crate) idle: Slots<Span>,
    pub(crate) absolute: Slots<Span>,
    pub(crate) on_lock: Slots<LockRule>,
    pub(crate) terminal: Slots<TerminalRule>,
}

impl Reader<'_> {
    /// The named entries of `accounts` or `resources`. `whole` gets the word about the table itself, `each` every entry.
    /// In the user's layer a void table is passed over: it takes nothing away from what IT says.
    fn named<K: Default>(
        &mut self,
        path: &'static str,
        node: Node,
        (whole, entries): (&mut Slots<()>, &mut BTreeMap<String, K>),
        slots: fn(&mut K) -> &mut Slots<()>,
        each: fn(&mut Self, &str, crate::file::Table, &mut K),
    ) {
        let table = match self.table(path, node) {
            Ok(table) => table,
            Err(node) => {
                if self.layer != Layer::User {
                    whole.put_table(self.void(&node));
                }
                return;
            }
        };
        for (name, node) in table {
            let Some(key) = self.name(path, &name, &node) else { continue };
            let line = node.line;
            match self.table(&key, node) {
                Ok(table) => {
                    let keys = entries.entry(name.into_owned()).or_default();
                    slots(keys).put_table(Statement { value: Some(()), origin: self.origin(line) });
                    each(self, &key, table, keys);
                }
                Err(node) if self.layer != Layer::User => {
                    slots(entries.entry(name.into_owned()).or_default()).put_table(self.void(&node));
                }
                Err(_) => {}
            }
        }
    }

    pub(super) fn accounts(&mut self, node: Node, gathered: &mut Gathered) {
        let into = (&mut gathered.accounts_table, &mut gathered.accounts);
        self.named("accounts", node, into, |keys| &mut keys.table, Self::account);
    }

    pub(super) fn resources(&mut self, node: Node, gathered: &mut Gathered) {
        let into = (&mut gathered.resources_table, &mut gathered.resources);
        self.named("resources", node, into, |keys| &mut keys.table, Self::resource);
    }

    fn account(&mut self, path: &str, table: crate::file::Table, keys: &mut AccountKeys) {
        for (key, node) in self.known("accounts.*", path, table) {
            let at = join(path, key);
            match key {
                "title" => keys.title.put(self.say(&at, &node, parse::label)),
                "issuer" => keys.issuer.put(self.say(&at, &node, parse::issuer)),
                "client_id" => keys.client_id.put(self.say(&at, &node, parse::printable)),
                "client_secret" => keys.client_secret.put(self.say(&at, &node, parse::secret)),
                "redirect_uri" => keys.redirect_uri.put(self.say(&at, &node, parse::redirects)),
                "scopes" => keys.scopes.put(self.say(&at, &node, parse::scopes)),
                "offline" => keys.offline.put(self.say(&at, &node, |n, f| parse::word(n, f).map(offline))),
                "authorization_parameters" => match self.table(&at, node) {
                    Ok(table) => {
                        for (name, node) in table {
                            let at = join(&at, &name);
                            let said = self.say(&at, &node, |n, f| parse::parameter(&name, n, f));
                            keys.parameters.entry(name.into_owned()).or_default().put(said);
                        }
                    }
                    Err(node) => keys.parameters_table.put_table(self.void(&node)),
                },
                "required_claims" => match self.table(&at, node) {
                    Ok(table) => {
                        for (name, node) in table {
                            let said = self.say(&join(&at, &name), &node, |node, faults| {
                                if name.trim().is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
                                    faults.error(node, "is no claim name");
                                    return None;
                                }
                                parse::short_text(node, faults)
                            });
                            keys.claims.entry(name.into_owned()).or_default().put(said);
                        }
                    }
                    Err(node) => keys.claims_table.put_table(self.void(&node)),
                },
                _ => {}
            }
        }
    }

    fn resource(&mut self, path: &str, table: crate::file::Table, keys: &mut ResourceKeys) {
        for (key, node) in self.known("resources.*", path, table) {
            let at = join(path, key);
            match key {
                "title" => keys.title.put(self.say(&at, &node, parse::label)),
                "description" => keys.description.put(self.say(&at, &node, parse::description)),
                "account" => keys.account.put(self.say(&at, &node, parse::account_name)),
                "token" => keys.token.put(self.say(&at, &node, parse::token_kind)),
                "audience" => keys.audience.put(self.say(&at, &node, parse::audience)),
                "request" => keys.request.put(self.say(&at, &node, |n, f| parse::word(n, f).map(request))),
                "scopes" => keys.scopes.put(self.say(&at, &node, parse::scopes)),
                "allowed_scopes" => keys.allowed_scopes.put(self.say(&at, &node, parse::scopes)),
                "lifetime" => keys.lifetime.put(self.say(&at, &node, parse::lifetime)),
                "consent" => {
                    let mut said = self.say(&at, &node, |n, f| parse::word(n, f).map(consent));
                    if self.layer == Layer::User && said.value == Some(ConsentRule::Preapproved) {
                        self.report(
                            Severity::Warning,
                            node.line,
                            &at,
                            "\"preapproved\" counts in managed layers only: \"ask\" counts",
                            None,
                        );
                        said.value = Some(ConsentRule::Ask);
                    }
                    keys.consent.put(said);
                }
                "sensitive" => keys.sensitive.put(self.say(&at, &node, parse::boolean)),
                "peers" => {
                    let said = self.peers(&at, node);
                    keys.peers.put(said);
                }
                _ => {}
            }
        }
    }

    pub(super) fn consent(&mut self, node: Node, gathered: &mut Gathered) {
        let keys = &mut gathered.consent;
        let table = match self.table("consent", node) {
            Ok(table) => table,
            Err(_) if self.layer == Layer::User => return,
            Err(node) => {
                keys.idle.put(self.void(&node));
                keys.absolute.put(self.void(&node));
                keys.on_lock.put(self.void(&node));
                keys.terminal.put(self.void(&node));
                return;
            }
        };
        for (key, node) in self.known("consent", "consent", table) {
            let at = join("consent", key);
            match key {
                "idle" => keys.idle.put(self.say(&at, &node, parse::consent_limit)),
                "absolute" => keys.absolute.put(self.say(&at, &node, parse::consent_limit)),
                "on_lock" => keys.on_lock.put(self.say(&at, &node, |n, f| parse::word(n, f).map(on_lock))),
                "terminal" => keys.terminal.put(self.say(&at, &node, |n, f| parse::word(n, f).map(terminal))),
                _ => {}
            }
        }
    }

    /// Listed programs; an entry that is not understood in full is void, as a criterion less would match more.
    fn peers(&mut self, at: &str, node: Node) -> Statement<Peers> {
        if matches!(node.value, Tree::List(_)) {
            self.weigh(at, &node);
        }
        let Tree::List(nodes) = node.value else {
            return self.say(at, &node, |node, faults| match &node.value {
                Tree::Text(text) if text == "any" => Some(Peers::Any),
                Tree::Text(text) => {
                    faults.error(node, format!("must be \"any\" or a list of programs, not {}", quote(text)));
                    None
                }
                other => {
                    faults.error(node, format!("must be \"any\" or a list of programs, not {}", other.kind()));
                    None
                }
            });
        };
        let origin = self.origin(node.line);
        if nodes.len() > ceilings::PEERS {
            let text = format!("must list at most {} programs: the others are void", ceilings::PEERS);
            self.report(Severity::Error, node.line, at, &text, None);
        }
        let rules = nodes.into_iter().take(ceilings::PEERS).filter_map(|node| self.peer(at, node)).collect();
        Statement { value: Some(Peers::Listed(rules)), origin }
    }

    fn peer(&mut self, at: &str, node: Node) -> Option<PeerRule> {
        let line = node.line;
        let table = self.table(at, node).ok()?;
        let mut rule = PeerRule::default();
        let mut here = true;
        let written = table.len();
        let known = self.known("resources.*.peers", at, table);
        let mut void = known.len() < written;
        for (key, node) in known {
            let at = || join(at, key);
            match key {
                "path" => rule.path = take(self.take(&node, at, absolute), &mut void),
                "script" => rule.script = take(self.take(&node, at, absolute), &mut void),
                "sha256" => rule.sha256 = take(self.take(&node, at, digest), &mut void),
                "package" => rule.package = take(self.take(&node, at, package), &mut void),
                "signer" => rule.signer = take(self.take(&node, at, parse::label), &mut void),
                "os" => {
                    let os: Option<format::Os> = take(self.take(&node, at, parse::word), &mut void);
                    here = os.is_none_or(is_this);
                }
                _ => void = true,
            }
        }
        if void {
            self.report(
                Severity::Warning,
                line,
                at,
                "has an entry that is void as a whole, as a criterion less would match more",
                None,
            );
            return None;
        }
        if rule == PeerRule::default() {
            self.report(
                Severity::Error,
                line,
                at,
                "has an entry that names no program",
                Some("name a path, script, sha256, package or signer".into()),
            );
            return None;
        }
        here.then_some(rule)
    }
}

fn take<T>(value: Option<T>, void: &mut bool) -> Option<T> {
    *void |= value.is_none();
    value
}

/// The name the build target goes by; a constant of the compiler, not a look at the machine.
fn is_this(os: format::Os) -> bool {
    let name = match os {
        format::Os::Linux => "linux",
        format::Os::Macos => "macos",
        format::Os::Windows => "windows",
    };
    std::env::consts::OS == name
}

fn absolute(node: &Node, faults: &mut Faults) -> Option<std::path::PathBuf> {
    let text = parse::short_text(node, faults)?;
    let drive = matches!(text.as_bytes(), [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic());
    let mut steps = text.as_bytes().split(|byte| *byte == b'/' || (drive && *byte == b'\\')).skip(1);
    let canonical = steps.all(|step| !matches!(step, b"" | b"." | b".."));
    if !(text.starts_with('/') || drive) || !canonical {
        faults.error(node, "must be an absolute path without . and .. steps");
        return None;
    }
    Some(text.into())
}

fn digest(node: &Node, faults: &mut Faults) -> Option<[u8; 32]> {
    let text = parse::short_text(node, faults)?;
    let mut digest = [0; 32];
    let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let read = hex
        && digest.iter_mut().enumerate().all(|(i, byte)| {
            u8::from_str_radix(&text[2 * i..2 * i + 2], 16).is_ok_and(|value| {
                *byte = value;
                true
            })
        });
    if !read {
        faults.error(node, "must be 64 hexadecimal digits");
        return None;
    }
    Some(digest)
}

fn package(node: &Node, faults: &mut Faults) -> Option<String> {
    let text = parse::short_text(node, faults)?;
    let name = text.strip_prefix("deb:").or_else(|| text.strip_prefix("rpm:"));
    if name
        .is_none_or(|name| name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._:".contains(&b)))
    {
        faults.error(node, "must be deb:NAME or rpm:NAME");
        return None;
    }
    Some(text)
}

fn offline(word: format::Offline) -> Offline {
    match word {
        format::Offline::Auto => Offline::Auto,
        format::Offline::Scope => Offline::Scope,
        format::Offline::Parameter => Offline::Parameter,
        format::Offline::None => Offline::None,
    }
}

fn request(word: format::RequestAs) -> RequestAs {
    match word {
        format::RequestAs::Resource => RequestAs::Resource,
        format::RequestAs::Audience => RequestAs::Audience,
        format::RequestAs::Scope => RequestAs::Scope,
    }
}

fn consent(word: format::ConsentRule) -> ConsentRule {
    match word {
        format::ConsentRule::Ask => ConsentRule::Ask,
        format::ConsentRule::Preapproved => ConsentRule::Preapproved,
        format::ConsentRule::Denied => ConsentRule::Denied,
    }
}

fn on_lock(word: format::LockRule) -> LockRule {
    match word {
        format::LockRule::Pause => LockRule::Pause,
        format::LockRule::End => LockRule::End,
    }
}

fn terminal(word: format::TerminalRule) -> TerminalRule {
    match word {
        format::TerminalRule::Fallback => TerminalRule::Fallback,
        format::TerminalRule::Allow => TerminalRule::Allow,
        format::TerminalRule::Never => TerminalRule::Never,
    }
}
