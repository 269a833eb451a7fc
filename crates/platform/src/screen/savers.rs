//! What the desktop's screen-saver interfaces say, for desktops that do not tell logind.
//!
//! A screen saver that is active counts as locked: whether it asks for a password is not told, and nobody is looking.

use super::bus::{Source, answered, call, names, owner_changes};
use tokio::time::Instant;
use zbus::{Connection, connection::Builder, message::Message};

/// Names, which are their interfaces too, and paths.
const SAVERS: [(&str, &str); 5] = [
    ("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"),
    ("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"),
    ("org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver"),
    ("org.mate.ScreenSaver", "/org/mate/ScreenSaver"),
    ("org.xfce.ScreenSaver", "/org/xfce/ScreenSaver"),
];

/// The screen savers of the session bus.
pub(super) struct Savers;

impl Source for Savers {
    fn bus() -> zbus::Result<Builder<'static>> {
        Builder::session()
    }

    fn matches() -> Vec<String> {
        let rules = |(name, _): (&str, &str)| {
            [format!("type='signal',interface='{name}',member='ActiveChanged'"), owner_changes(name)]
        };
        SAVERS.into_iter().flat_map(rules).collect()
    }

    async fn read(&mut self, bus: &Connection) -> zbus::Result<Option<bool>> {
        let names = names(bus).await?;
        let mut said = None;
        for (name, path) in SAVERS.into_iter().filter(|(name, _)| names.iter().any(|one| one == name)) {
            // Some own the name for other reasons and do not know.
            let answer = answered(call(bus, name, path, name, "GetActive", &()).await)?;
            if let Some(active) = answer.and_then(|answer| answer.body().deserialize::<bool>().ok()) {
                said = Some(said.unwrap_or(false) || active);
            }
        }
        Ok(said)
    }

    fn see(&mut self, _: &Message) {}

    fn again_at(&self) -> Option<Instant> {
        None
    }
}
