//! The tray icon, and what its menu does.
//!
//! Invariant: what a click does is what its entry said when it was drawn; everything that waits, waits off the main
//! thread. No window lives in this process.

use crate::{
    Failure,
    agent::{Door, QUICK, SLOW, words},
    menu::{Action, Item, menu},
    view::{Face, View},
    watch::{Signal, Watch},
};
use gtk::prelude::GtkSettingsExt as _;
use jiff::{Timestamp, tz::TimeZone};
use localapi::{ExitCode, PauseRequest, Paused, SignInRequest, SignInState, SignedOut, Status};
use platform::{browser::Opener, process::Lock};
use std::{
    collections::HashMap,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};
use tauri::{
    AppHandle, Wry,
    image::Image,
    menu::{IsMenuItem, Menu, MenuItem, PredefinedMenuItem, Submenu},
    tray::{TrayIcon, TrayIconBuilder},
};

/// A consent window that ends this soon by itself did not work.
const TOO_SOON: Duration = Duration::from_secs(5);

/// Becomes the tray. The lock is held until the process ends.
pub(crate) fn run(door: Door, auto: bool, lock: Lock) -> Result<(), Failure> {
    let failed = |error: tauri::Error| Failure::new(ExitCode::Internal, format!("the tray cannot be shown: {error}"));
    let (sender, signals) = mpsc::channel();
    let shell = Shell {
        door: door.clone(),
        sender: sender.clone(),
        windows: Arc::default(),
        offered: door.paths.state.join("desktop-offered"),
    };
    let app = tauri::Builder::default()
        .setup(move |app| {
            let menu = Menu::new(app)?;
            let clicks = shell.clone();
            let icon = TrayIconBuilder::with_id("daypass")
                .icon(picture(Face::SignedOut)?)
                .menu(&menu)
                .temp_dir_path(shell.door.paths.runtime.join("tray"))
                .on_menu_event(move |app, event| {
                    if let Some(action) = Action::parse(event.id().as_ref()) {
                        clicks.act(app, action);
                    }
                })
                .build(app)?;
            let tray = Tray {
                app: app.handle().clone(),
                icon,
                menu,
                drawn: Arc::default(),
                shell,
                start: Mutex::new(Some(auto)),
            };
            tray.view(View::Starting);
            let watch = Watch { door, tray, signals, sender };
            thread::Builder::new().name("watch".to_owned()).spawn(move || watch.run())?;
            Ok(())
        })
        .build(tauri::generate_context!())
        .map_err(failed)?;
    app.run(move |_, event| {
        let _held = &lock;
        // Without a window there is still a tray; only Quit ends it.
        if let tauri::RunEvent::ExitRequested { code: None, api, .. } = event {
            api.prevent_exit();
        }
    });
    Ok(())
}

/// The icon and its menu.
pub(crate) struct Tray {
    app: AppHandle,
    icon: TrayIcon,
    menu: Menu<Wry>,
    /// What is drawn now.
    drawn: Arc<Mutex<(Option<Face>, Vec<Item>)>>,
    shell: Shell,
    /// Until the agent was there for the first time: whether this is a start at login.
    start: Mutex<Option<bool>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tray {
    /// Shows what is known now.
    pub(crate) fn view(&self, view: View) {
        if let View::Up(up) = &view
            && let Some(auto) = lock(&self.start).take()
        {
            self.shell.greet(&up.status, auto);
        }
        let (icon, menu_of, drawn) = (self.icon.clone(), self.menu.clone(), Arc::clone(&self.drawn));
        let app = self.app.clone();
        let draw = move || {
            let (face, items) = (view.face(), menu(&view, Timestamp::now(), &TimeZone::system()));
            let mut drawn = lock(&drawn);
            let done = (|| -> tauri::Result<()> {
                if drawn.0 != Some(face) {
                    icon.set_icon(Some(picture(face)?))?;
                }
                if drawn.1 != items {
                    fill(&app, &menu_of, &items)?;
                }
                Ok(())
            })();
            match done {
                Ok(()) => *drawn = (Some(face), items),
                Err(error) => eprintln!("daypass-desktop: the tray cannot be drawn: {error}"),
            }
        };
        if let Err(error) = self.app.run_on_main_thread(draw) {
            eprintln!("daypass-desktop: the tray cannot be drawn: {error}");
        }
    }

    /// Brings a page before the person.
    pub(crate) fn show(&self, page: &str) {
        self.shell.open(page);
    }
}

/// Puts these entries into the menu, which itself cannot be replaced on Linux.
fn fill(app: &AppHandle, menu: &Menu<Wry>, items: &[Item]) -> tauri::Result<()> {
    while menu.remove_at(0)?.is_some() {}
    for item in items {
        menu.append(&*entry(app, item)?)?;
    }
    Ok(())
}

fn entry(app: &AppHandle, item: &Item) -> tauri::Result<Box<dyn IsMenuItem<Wry>>> {
    // An ampersand would underline the letter after it.
    let text = |words: &str| words.replace('&', "&&");
    Ok(match item {
        Item::Line(words) => Box::new(MenuItem::new(app, text(words), false, None::<&str>)?),
        Item::Do(action, words) => Box::new(MenuItem::with_id(app, action.id(), text(words), true, None::<&str>)?),
        Item::Gap => Box::new(PredefinedMenuItem::separator(app)?),
        Item::Sub(words, items) => {
            let sub = Submenu::new(app, text(words), true)?;
            for item in items {
                sub.append(&*entry(app, item)?)?;
            }
            Box::new(sub)
        }
    })
}

macro_rules! pictures {
    ($face:expr, $dark:expr; $($variant:ident $name:literal),*) => {
        match ($face, $dark) {
            $((Face::$variant, true) => &include_bytes!(concat!("../../icons/tray/", $name, "-dark-48.png"))[..],
              (Face::$variant, false) => &include_bytes!(concat!("../../icons/tray/", $name, "-light-48.png"))[..],)*
        }
    };
}

fn picture(face: Face) -> tauri::Result<Image<'static>> {
    Image::from_bytes(pictures!(face, is_panel_dark();
        SignedIn "signed-in", Attention "attention", Offline "offline", SignedOut "signed-out", Asking "asking"))
}

/// Whether panels are dark here, as far as can be told: GNOME's always is, others go with the theme.
fn is_panel_dark() -> bool {
    let desktop = std::env::var("XDG_CURRENT_DESKTOP").unwrap_or_default().to_ascii_lowercase();
    let settings = gtk::Settings::default();
    let dark = settings.is_some_and(|settings| {
        settings.is_gtk_application_prefer_dark_theme()
            || settings.gtk_theme_name().is_some_and(|name| name.to_ascii_lowercase().ends_with("dark"))
    });
    dark || desktop.split(':').any(|name| matches!(name, "gnome" | "unity"))
}

/// What the tray can do.
#[derive(Clone)]
struct Shell {
    door: Door,
    sender: mpsc::Sender<Signal>,
    /// The open windows by their page.
    windows: Arc<Mutex<HashMap<String, u64>>>,
    /// Is there once a sign-in was offered.
    offered: std::path::PathBuf,
}

impl Shell {
    /// Does what was clicked, off the main thread.
    fn act(&self, app: &AppHandle, action: Action) {
        if action == Action::Quit {
            app.exit(0);
            return;
        }
        let shell = self.clone();
        thread::spawn(move || {
            if let Err(why) = shell.perform(&action) {
                eprintln!("daypass-desktop: {why}");
                // The home page says what is wrong, and what to do.
                shell.open("home");
            }
        });
    }

    fn perform(&self, action: &Action) -> Result<(), String> {
        let connect = |limit| self.door.connect(limit).map_err(|error| error.to_string());
        match action {
            Action::Open(page) => self.open(page),
            Action::SignIn(account) => {
                let request = SignInRequest { open_browser: true, ..SignInRequest::default() };
                let begun: SignInState = connect(SLOW)?.post(&sign_in_path(account), &request).map_err(words)?;
                if !begun.browser_opened {
                    return Err("no browser could be opened".to_owned());
                }
            }
            Action::SignOut(account) => {
                let _: SignedOut = connect(SLOW)?.delete(&sign_in_path(account)).map_err(words)?;
            }
            Action::Pause(seconds) => {
                let request = PauseRequest { seconds: i64::from(*seconds) };
                let _: Paused = connect(QUICK)?.post("/v1/pause", &request).map_err(words)?;
            }
            Action::Resume => connect(QUICK)?.delete("/v1/pause").map_err(words)?,
            Action::Link(address) => {
                let opened = Opener::default().open_link(address, |why| eprintln!("daypass-desktop: {why}"));
                opened.map_err(|error| error.to_string())?;
            }
            Action::Retry => self.sender.send(Signal::Retry).map_err(|error| error.to_string())?,
            Action::Quit => {}
        }
        Ok(())
    }

    /// Opens a window, a process of its own. A page that is open already comes anew, in front.
    fn open(&self, page: &str) {
        let mut windows = lock(&self.windows);
        let number = windows.get(page).map_or(1, |number| number + 1);
        let own = std::env::current_exe();
        let child = own.and_then(|own| Command::new(own).args(["window", page]).stdin(Stdio::null()).spawn());
        match child {
            Ok(child) => {
                windows.insert(page.to_owned(), number);
                let (shell, page) = (self.clone(), page.to_owned());
                thread::spawn(move || shell.mind(child, &page, number));
            }
            Err(error) => eprintln!("daypass-desktop: no window can be opened: {error}"),
        }
    }

    /// Waits for the end of a window, and ends it when a newer one has taken its place.
    fn mind(&self, mut child: Child, page: &str, number: u64) {
        let since = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(None) if lock(&self.windows).get(page) != Some(&number) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return;
                }
                Ok(None) => thread::sleep(Duration::from_millis(250)),
                done => break done,
            }
        };
        let mut windows = lock(&self.windows);
        if windows.get(page) == Some(&number) {
            windows.remove(page);
        }
        drop(windows);
        let well = status.is_ok_and(|status| status.is_some_and(|status| status.success()));
        if !well && page.starts_with("consent/") && since.elapsed() < TOO_SOON {
            // Somebody waits for an answer: the browser has to do.
            if let Err(why) = self.door.ticket(page, true) {
                eprintln!("daypass-desktop: {why}");
            }
        }
    }

    /// The agent is there for the first time since the start: offers to sign in, where the profile wants that.
    fn greet(&self, status: &Status, auto: bool) {
        let needed =
            status.accounts.is_empty() || status.accounts.iter().any(|account| account.state == "sign_in_required");
        let offer = match status.desktop.sign_in_at_start.as_str() {
            "always" => true,
            "never" => false,
            _ => !self.offered.exists(),
        };
        if needed && offer {
            // Made by the agent when it started.
            if let Err(error) = std::fs::write(&self.offered, "") {
                eprintln!("daypass-desktop: {}: {error}", self.offered.display());
            }
        }
        if !auto || (needed && offer) {
            self.open("home");
        }
    }
}

/// The path of an account's sign-in; its name as one segment (RFC 3986 §2.1).
fn sign_in_path(account: &str) -> String {
    let segment = account.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    format!("/v1/accounts/{}/sign-in", segment.collect::<String>())
}
