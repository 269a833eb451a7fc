//! The tables about the machine: network, audit, notifications, desktop, links.

use super::Reader;
use crate::{
    Layer,
    diagnostic::join,
    file::{Node, Tree},
    format, keys,
    merge::Slots,
    parse,
};
use broker::{AuditExport, Proxy, SignInAtStart, Span};
use std::collections::{BTreeMap, BTreeSet};

/// What all layers say about the machine.
#[derive(Default)]
pub(crate) struct MachineKeys {
    pub(crate) proxy: Slots<Proxy>,
    pub(crate) no_proxy: Slots<Vec<String>>,
    pub(crate) ca: Slots<Vec<String>>,
    pub(crate) retention: Slots<Span>,
    /// The places, and whether a word among them was void.
    pub(crate) export: Slots<(BTreeSet<AuditExport>, bool)>,
    pub(crate) enabled: Slots<bool>,
    pub(crate) expiry_ahead: Slots<Span>,
    pub(crate) autostart: Slots<bool>,
    pub(crate) sign_in_at_start: Slots<SignInAtStart>,
    pub(crate) links: BTreeMap<String, Slots<String>>,
    /// Void where a managed layer's `links` is no table.
    pub(crate) links_table: Slots<()>,
}

impl Reader<'_> {
    /// The keys of a table of the file. One that is no table voids each of its keys, in the user's layer none.
    fn section(&mut self, section: &'static str, node: Node, mut each: impl FnMut(&mut Self, &str, &str, &Node)) {
        match self.table(section, node) {
            Ok(table) => {
                for (key, node) in self.known(section, section, table) {
                    each(self, key, &join(section, key), &node);
                }
            }
            Err(_) if self.layer == Layer::User => {}
            Err(node) => {
                let void = Node { line: node.line, value: Tree::Misspelt };
                for key in keys::children(section) {
                    each(self, key, &join(section, key), &void);
                }
            }
        }
    }

    pub(super) fn network(&mut self, node: Node, keys: &mut MachineKeys) {
        self.section("network", node, |this, key, at, node| match key {
            "proxy" => keys.proxy.put(this.say(at, node, parse::proxy)),
            "no_proxy" => keys.no_proxy.put(this.say(at, node, parse::no_proxy)),
            "ca" => keys.ca.put(this.say(at, node, parse::authorities)),
            _ => {}
        });
    }

    pub(super) fn audit(&mut self, node: Node, keys: &mut MachineKeys) {
        self.section("audit", node, |this, key, at, node| match key {
            "retention" => keys.retention.put(this.say(at, node, parse::retention)),
            "export" => {
                let mut said = this.say(at, node, |node, faults| {
                    let (words, faulty) = parse::export(node, faults)?;
                    Some((words.into_iter().map(export).collect::<BTreeSet<_>>(), faulty))
                });
                // What cannot be read of a later file may be what an earlier one of its level says, so that stays.
                let earlier = match this.layer {
                    Layer::Mandatory => &keys.export.mandatory,
                    _ => &keys.export.recommended,
                };
                if let Some((places, _)) = earlier.as_ref().and_then(|earlier| earlier.value.as_ref()) {
                    match &mut said.value {
                        Some((words, true)) => words.extend(places),
                        Some((_, false)) => {}
                        void => *void = Some((places.clone(), true)),
                    }
                }
                keys.export.put(said);
            }
            _ => {}
        });
    }

    pub(super) fn notifications(&mut self, node: Node, keys: &mut MachineKeys) {
        self.section("notifications", node, |this, key, at, node| match key {
            "enabled" => keys.enabled.put(this.say(at, node, parse::boolean)),
            "expiry_ahead" => keys.expiry_ahead.put(this.say(at, node, parse::expiry_ahead)),
            _ => {}
        });
    }

    pub(super) fn desktop(&mut self, node: Node, keys: &mut MachineKeys) {
        self.section("desktop", node, |this, key, at, node| match key {
            "autostart" => keys.autostart.put(this.say(at, node, parse::boolean)),
            "sign_in_at_start" => {
                keys.sign_in_at_start.put(this.say(at, node, |n, f| parse::word(n, f).map(sign_in_at_start)));
            }
            _ => {}
        });
    }

    pub(super) fn links(&mut self, node: Node, keys: &mut MachineKeys) {
        match self.table("links", node) {
            Ok(table) => {
                for (label, node) in table {
                    let said = self.say(&join("links", &label), &node, |node, faults| {
                        let named = Node { line: node.line, value: Tree::Text(label.clone()) };
                        parse::label(&named, faults)?;
                        parse::web_address(node, faults)
                    });
                    keys.links.entry(label.into_owned()).or_default().put(said);
                }
            }
            Err(_) if self.layer == Layer::User => {}
            Err(node) => keys.links_table.put_table(self.void(&node)),
        }
    }
}

fn export(word: format::AuditExport) -> AuditExport {
    match word {
        format::AuditExport::Journald => AuditExport::Journald,
        format::AuditExport::Syslog => AuditExport::Syslog,
    }
}

fn sign_in_at_start(word: format::SignInAtStart) -> SignInAtStart {
    match word {
        format::SignInAtStart::First => SignInAtStart::First,
        format::SignInAtStart::Always => SignInAtStart::Always,
        format::SignInAtStart::Never => SignInAtStart::Never,
    }
}
