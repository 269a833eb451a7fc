//! The tray icon as a panel sees it: `StatusNotifierItem` and `com.canonical.dbusmenu` on the session's bus.

use crate::desktop::Session;
use crate::until;
use std::{collections::HashMap, time::Duration};
use zbus::{
    blocking::{Connection, Proxy, connection::Builder},
    zvariant::{OwnedValue, Structure, Value},
};

const LIMIT: Duration = Duration::from_secs(30);

/// The icon.
pub struct Tray {
    bus: Connection,
    owner: String,
    path: String,
}

/// An entry of its menu, with those below it.
#[derive(Debug, Clone)]
pub struct Entry {
    id: i32,
    /// Its words.
    pub label: String,
    /// Whether it can be clicked.
    pub enabled: bool,
    /// The entries below it.
    pub below: Vec<Entry>,
}

/// An entry on the wire: its id, its properties, those below it.
type Node = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

impl Tray {
    /// Waits for the icon.
    pub fn find(session: &Session) -> Self {
        let bus = Builder::address(session.keyring.address()).and_then(Builder::build).expect("the session's bus");
        let name = until("the tray icon", LIMIT, || {
            let watcher = Proxy::new(
                &bus,
                "org.kde.StatusNotifierWatcher",
                "/StatusNotifierWatcher",
                "org.kde.StatusNotifierWatcher",
            );
            let items = watcher.ok()?.get_property::<Vec<String>>("RegisteredStatusNotifierItems").ok()?;
            items.into_iter().next()
        });
        let (owner, path) = name.split_once('/').expect("a name and a path");
        Self { owner: owner.to_owned(), path: format!("/{path}"), bus: bus.clone() }
    }

    fn item(&self) -> Proxy<'_> {
        let (owner, path) = (self.owner.as_str(), self.path.as_str());
        Proxy::new(&self.bus, owner, path, "org.kde.StatusNotifierItem").expect("a proxy")
    }

    /// The file of the icon that is shown.
    pub fn icon(&self) -> String {
        // Not from a cache: a changed icon is told by a signal of its own.
        let (owner, path) = (self.owner.as_str(), self.path.as_str());
        let properties = Proxy::new(&self.bus, owner, path, "org.freedesktop.DBus.Properties").expect("a proxy");
        let value: OwnedValue = properties.call("Get", &("org.kde.StatusNotifierItem", "IconName")).expect("an icon");
        String::try_from(value).expect("a name")
    }

    fn menu(&self) -> Proxy<'static> {
        let path: zbus::zvariant::OwnedObjectPath = self.item().get_property("Menu").expect("a menu");
        let proxy = Proxy::new_owned(self.bus.clone(), self.owner.clone(), path, "com.canonical.dbusmenu");
        proxy.expect("a proxy")
    }

    /// The menu as it is now.
    pub fn entries(&self) -> Vec<Entry> {
        let menu = self.menu();
        let _: Result<bool, _> = menu.call("AboutToShow", &(0));
        let nothing: [&str; 0] = [];
        let (_, root): (u32, Node) = menu.call("GetLayout", &(0, -1, &nothing[..])).expect("a menu");
        root.2.into_iter().map(entry).collect()
    }

    /// The labels of the menu, those below others too.
    pub fn labels(&self) -> Vec<String> {
        fn each(entries: &[Entry], labels: &mut Vec<String>) {
            for entry in entries {
                labels.push(entry.label.clone());
                each(&entry.below, labels);
            }
        }
        let mut labels = Vec::new();
        each(&self.entries(), &mut labels);
        labels
    }

    /// Waits for an entry whose label contains this.
    pub fn wait_for(&self, words: &str) -> String {
        let start = std::time::Instant::now();
        loop {
            let labels = self.labels();
            if let Some(label) = labels.iter().find(|label| label.contains(words)) {
                return label.clone();
            }
            assert!(start.elapsed() < LIMIT, "{words:?} does not come: {labels:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks the entry with exactly this label.
    pub fn click(&self, label: &str) {
        fn search(entries: &[Entry], label: &str) -> Option<Entry> {
            entries
                .iter()
                .find_map(|entry| if entry.label == label { Some(entry.clone()) } else { search(&entry.below, label) })
        }
        let found = until(label, LIMIT, || search(&self.entries(), label));
        assert!(found.enabled, "{label} can be clicked");
        match self.menu().call::<_, _, ()>("Event", &(found.id, "clicked", Value::from(""), 0_u32)) {
            Ok(()) => {}
            // Who quits may not answer any more.
            Err(zbus::Error::MethodError(name, ..)) if name.as_str().ends_with(".NoReply") => {}
            Err(error) => panic!("{label} cannot be clicked: {error}"),
        }
    }
}

fn entry(value: OwnedValue) -> Entry {
    let structure = Structure::try_from(value).expect("an entry");
    let mut fields = structure.into_fields().into_iter();
    let id = fields.next().and_then(|id| i32::try_from(id).ok()).expect("an id");
    let properties: HashMap<String, Value<'_>> = fields.next().and_then(|map| map.try_into().ok()).expect("properties");
    let below: Vec<Value<'_>> = fields.next().and_then(|list| list.try_into().ok()).expect("entries below");
    let label = properties.get("label").and_then(|label| label.downcast_ref::<String>().ok()).unwrap_or_default();
    let enabled = properties.get("enabled").and_then(|on| on.downcast_ref::<bool>().ok()).unwrap_or(true);
    // A single underscore marks a letter to press; two are one.
    let label = label.replace("__", "\0").replace('_', "").replace('\0', "_");
    let below = below.into_iter().map(|value| entry(OwnedValue::try_from(value).expect("an entry"))).collect();
    Entry { id, label, enabled, below }
}
