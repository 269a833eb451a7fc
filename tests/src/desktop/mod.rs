//! A private desktop: X server, window manager, panel with a tray, notification daemon, keychain, and the shell in it.

mod driver;
mod tray;

pub use driver::Driver;
pub use tray::{Entry, Tray};

use crate::{
    home::Home,
    keyring::Keyring,
    process::{self, Output, Running},
    provider::{Provider, Setup},
    until, world,
};
use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use zbus::blocking::{Proxy, connection::Builder};

/// One desktop at a time: they are heavy, and tests of windows do not like a crowd.
static ALONE: Mutex<()> = Mutex::new(());

const LIMIT: Duration = Duration::from_secs(30);

const PANEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="icon-size" type="uint" value="24"/>
      <property name="size" type="uint" value="34"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/>
        <value type="int" value="2"/>
        <value type="int" value="3"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator"><property name="expand" type="bool" value="true"/><property name="style" type="uint" value="0"/></property>
    <property name="plugin-2" type="string" value="systray"><property name="square-icons" type="bool" value="true"/></property>
    <property name="plugin-3" type="string" value="clock"/>
  </property>
</channel>
"#;

/// The screen, in pixels.
pub const WIDTH: usize = 1280;
/// Its height.
pub const HEIGHT: usize = 800;

/// The desktop. Its parts end in the order of its fields.
pub struct Session {
    /// The tray.
    pub shell: Running,
    _parts: Vec<Running>,
    /// The provider of `corp`.
    pub provider: Provider,
    /// The keychain, and the bus of the session.
    pub keyring: Keyring,
    /// The home.
    pub home: Arc<Home>,
    /// Where a debug build lets its windows be driven.
    pub inspector: String,
    /// The pixels of the screen, as the X server holds them.
    pub screen: PathBuf,
    driven: bool,
    _x: Running,
    _alone: MutexGuard<'static, ()>,
}

impl Session {
    /// Starts everything, and the shell as a login does; nobody is signed in, no agent runs before the shell starts one.
    pub fn start(more_profile: &str) -> Self {
        Self::start_with(more_profile, true)
    }

    /// The same with windows that no test drives, as release programs insist.
    pub fn start_undriven(more_profile: &str) -> Self {
        Self::start_with(more_profile, false)
    }

    fn start_with(more_profile: &str, driven: bool) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let home = Arc::new(Home::new());
        let keyring = Keyring::start(&home);
        let x = x_server(&home);
        let inspector = format!("127.0.0.1:{}", world::free_port());
        for (name, value) in [
            ("XDG_CURRENT_DESKTOP", "XFCE"),
            ("XDG_SESSION_TYPE", "x11"),
            ("GDK_BACKEND", "x11"),
            ("NO_AT_BRIDGE", "1"),
            ("GSETTINGS_BACKEND", "memory"),
            // Test machines have no GPU, and some no user namespaces for the sandbox.
            ("WEBKIT_DISABLE_COMPOSITING_MODE", "1"),
        ] {
            home.set_variable(name, value);
        }
        let provider = Provider::start(Setup::default());
        crate::browser::Mode::default().write(&home.log("mode.json")).expect("write");
        let profile = world::profile(&provider.issuer, world::free_port());
        home.write_profile(&format!("{profile}{}{more_profile}", world::browser_command(&home)));
        let parts = surroundings(&home);
        let shell = Self::spawn(&home, driven.then_some(&inspector));
        let screen = home.path().join("screen/Xvfb_screen0");
        Self { shell, _parts: parts, provider, keyring, home, inspector, screen, driven, _x: x, _alone: alone }
    }

    fn spawn(home: &Home, inspector: Option<&String>) -> Running {
        let mut command = Command::new(crate::program("daypass-desktop"));
        home.prepare(command.arg("--autostart"));
        if let Some(inspector) = inspector {
            command.env("TAURI_WEBVIEW_AUTOMATION", "true").env("WEBKIT_INSPECTOR_SERVER", inspector);
        }
        start(home, &mut command, "desktop.log")
    }

    /// Starts the shell again after its end.
    pub fn restart_shell(&mut self) {
        self.shell.stop();
        self.shell = Self::spawn(&self.home, self.driven.then_some(&self.inspector));
    }

    /// A window that no test drives, as a person opens it.
    pub fn window(&self, page: &str) -> Running {
        let mut command = Command::new(crate::program("daypass-desktop"));
        start(&self.home, self.home.prepare(command.args(["window", page])), "window.log")
    }

    /// Signs alice in, through the browser command.
    pub fn sign_in(&self) {
        self.home.daypass(&["login", "corp"]).ok();
    }

    /// Asks for a token on a thread of its own, as a program does.
    pub fn ask(&self, resource: &'static str) -> std::thread::JoinHandle<Output> {
        let home = Arc::clone(&self.home);
        std::thread::spawn(move || home.daypass(&["token", resource, "--wait", "60s"]))
    }

    /// A tool of the desktop, run to its end.
    pub fn tool(&self, words: &[&str]) -> Output {
        self.home.run(words[0], &words[1..], "", LIMIT)
    }

    /// The title of the window that has the keyboard.
    pub fn focused(&self) -> String {
        self.tool(&["xdotool", "getactivewindow", "getwindowname"]).stdout.trim().to_owned()
    }

    /// Waits for a visible window whose title contains this; its number.
    pub fn find_window(&self, title: &str) -> String {
        until(&format!("a window {title:?}"), LIMIT, || self.has_window(title))
    }

    /// A visible window whose title contains this, if there is one.
    pub fn has_window(&self, title: &str) -> Option<String> {
        let found = self.tool(&["xdotool", "search", "--onlyvisible", "--name", title]);
        found.stdout.lines().next().map(str::to_owned)
    }

    /// Whether the window of this number is there.
    pub fn is_open(&self, window: &str) -> bool {
        self.tool(&["xdotool", "getwindowname", window]).code == 0
    }

    /// How many notifications are on the screen.
    pub fn notifications(&self) -> u32 {
        let value: zbus::zvariant::OwnedValue = self
            .dunst("org.freedesktop.DBus.Properties")
            .call("Get", &("org.dunstproject.cmd0", "displayedLength"))
            .expect("a number");
        u32::try_from(value).expect("a number")
    }

    /// Clicks the notification on top, as a person does.
    pub fn click_notification(&self) {
        until("a notification", LIMIT, || (self.notifications() > 0).then_some(()));
        self.dunst("org.dunstproject.cmd0").call::<_, _, ()>("NotificationAction", &(0_u32)).expect("a click");
    }

    fn dunst(&self, interface: &'static str) -> Proxy<'static> {
        let bus = Builder::address(self.keyring.address()).and_then(Builder::build).expect("the session's bus");
        let name = "org.freedesktop.Notifications";
        Proxy::new_owned(bus, name, "/org/freedesktop/Notifications", interface).expect("a proxy")
    }

    /// Keeps a picture of the whole screen in `tests/artefacts`.
    pub fn picture(&self, name: &str) {
        let folder = crate::repository().join("tests/artefacts");
        fs::create_dir_all(&folder).expect("mkdir");
        let file = folder.join(format!("desktop-{name}.png"));
        self.tool(&["import", "-window", "root", &file.display().to_string()]).ok();
    }
}

fn start(home: &Home, command: &mut Command, log: &str) -> Running {
    let log = OpenOptions::new().create(true).append(true).open(home.log(log)).expect("a log file");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
    Running::start(command)
}

/// An X server that chooses its own number; later processes of the home use it.
fn x_server(home: &Home) -> Running {
    let mut command = Command::new("Xvfb");
    command
        .args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &format!("{WIDTH}x{HEIGHT}x24"),
            "-nolisten",
            "tcp",
            "-noreset",
            "-fbdir",
        ])
        .arg(home.folder("screen"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = process::spawn(home.prepare(&mut command));
    let mut number = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut number).expect("the number of the display");
    assert!(!number.trim().is_empty(), "the X server did not start");
    home.set_variable("DISPLAY", &format!(":{}", number.trim()));
    Running::adopt(child)
}

/// What a desktop has around a tray.
fn surroundings(home: &Home) -> Vec<Running> {
    home.folder("home/.config/xfce4/xfconf/xfce-perchannel-xml");
    home.write("home/.config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml", PANEL, 0o600);
    home.folder("home/.config/dunst");
    home.write(
        "home/.config/dunst/dunstrc",
        "[global]\norigin = top-left\noffset = 20x20\nwidth = 360\nfont = Sans 11\n",
        0o600,
    );
    // The private bus starts nothing by itself.
    let service =
        fs::read_to_string("/usr/share/dbus-1/services/org.xfce.Xfconf.service").expect("xfconf is installed");
    let xfconf = service.lines().find_map(|line| line.strip_prefix("Exec=")).expect("a program").trim().to_owned();
    let programs: [&[&str]; 4] = [&[&xfconf], &["openbox"], &["dunst"], &["xfce4-panel", "--disable-wm-check"]];
    let mut parts = Vec::new();
    for words in programs {
        let mut command = Command::new(words[0]);
        parts.push(start(home, home.prepare(command.args(&words[1..])), "surroundings.log"));
    }
    for name in ["org.freedesktop.Notifications", "org.kde.StatusNotifierWatcher"] {
        until(name, LIMIT, || has_owner(home, name).then_some(()));
    }
    parts
}

fn has_owner(home: &Home, name: &str) -> bool {
    let name = format!("string:{name}");
    let words =
        ["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner", &name];
    home.run("dbus-send", &words, "", LIMIT).stdout.contains("boolean true")
}
