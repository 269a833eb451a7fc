//! One window: a web view on one of the agent's pages, and nothing else in this process.
//!
//! Invariant: the web view shows the agent's own origin only. A link to elsewhere goes to the system's browser, so a
//! sign-in never happens in here. It keeps nothing on disk, uses no proxy, may call nothing of ours (no capability is
//! given, and the pages' policy forbids the attempt), takes no dropped file and opens no second window. The question
//! takes no focus from whoever types.

use crate::{
    Failure,
    agent::{Door, QUICK},
};
use gtk::prelude::GtkWindowExt as _;
use localapi::{EffectiveProfile, ExitCode, RequestInfo};
use platform::browser::Opener;
use std::{sync::Arc, thread, time::Duration};
use tauri::{
    App, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder,
    image::Image,
    webview::{NewWindowResponse, PageLoadEvent},
};
use webkit2gtk::{
    HardwareAccelerationPolicy, NetworkProxyMode, SettingsExt as _, WebContextExt as _, WebViewExt,
    WebsiteDataManagerExt as _,
};

/// How long the answer to an answer stays.
const SHOWN_AFTER: Duration = Duration::from_millis(1500);
/// A page that has not loaded by then is shown as it is.
const SHOW_ANYWAY: Duration = Duration::from_secs(4);

/// Shows one page until its window is closed.
pub(crate) fn run(door: &Door, page: &str) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(ExitCode::AgentUnreachable, why);
    let address = door.ticket(page, false).map_err(failed)?.address;
    let address: Url = address.parse().map_err(|_| failed("the agent's answer is no address".to_owned()))?;
    let loopback = address.scheme() == "http" && matches!(address.host_str(), Some("127.0.0.1" | "[::1]"));
    if !loopback {
        return Err(failed("the agent's answer is no address of ours".to_owned()));
    }
    let question = page.strip_prefix("consent/").map(str::to_owned);
    let door = door.clone();
    let app = tauri::Builder::default()
        .setup(move |app| Ok(build(app, address, question, door)?))
        .build(tauri::generate_context!())
        .map_err(|error| Failure::new(ExitCode::Internal, format!("no window can be shown: {error}")))?;
    app.run(|_, _| {});
    Ok(())
}

fn build(app: &App, address: Url, question: Option<String>, door: Door) -> tauri::Result<()> {
    let door = Arc::new(door);
    let asks = question.is_some();
    let (own, outside, watched) = (address.clone(), Arc::clone(&door), Arc::clone(&door));
    let (width, height) = if asks { (480.0, 420.0) } else { (860.0, 680.0) };
    // Empty at first: the network settings come before the first address.
    let blank = "about:blank".parse().map_err(|_| tauri::Error::WindowNotFound)?;
    let mut builder = WebviewWindowBuilder::new(app, "page", WebviewUrl::External(blank))
        .title("Daypass")
        .icon(Image::from_bytes(include_bytes!("../../icons/app/daypass-64.png"))?)?
        .inner_size(width, height)
        .min_inner_size(320.0, 320.0)
        .visible(false)
        .focused(!asks)
        .always_on_top(asks)
        .devtools(false)
        .disable_drag_drop_handler()
        .zoom_hotkeys_enabled(true)
        // A test that drives a debug build needs the shared store; it is the only thing that does.
        .incognito(!(cfg!(debug_assertions) && std::env::var_os("TAURI_WEBVIEW_AUTOMATION").is_some()))
        // What WebKit makes all the same goes at logout.
        .data_directory(door.paths.runtime.join("web"))
        .on_navigation(move |to| {
            let ours = to.as_str() == "about:blank" || to.origin() == own.origin();
            if !ours {
                lead_out(&outside, to.clone());
            }
            ours
        })
        .on_download(|_, _| false)
        .on_page_load(|window, load| {
            if load.event() == PageLoadEvent::Finished && load.url().as_str() != "about:blank" {
                let _ = window.show();
            }
        })
        .on_document_title_changed(move |window, title| {
            let _ = window.set_title(&title);
            // A question that is over says so in its title.
            if let Some(question) = question.clone() {
                let door = Arc::clone(&watched);
                thread::spawn(move || close_if_over(&window, &question, &door));
            }
        });
    let leads = Arc::clone(&door);
    builder = builder.on_new_window(move |to, _| {
        lead_out(&leads, to);
        NewWindowResponse::Deny
    });
    if let Some((x, y)) = place(app, width, height) {
        builder = builder.position(x, y);
    }
    let window = builder.build()?;
    if asks {
        window.gtk_window()?.set_focus_on_map(false);
    }
    let anyway = window.clone();
    thread::spawn(move || {
        thread::sleep(SHOW_ANYWAY);
        let _ = anyway.show();
    });
    window.with_webview(move |view| {
        let view = view.inner();
        if let Some(data) = view.context().and_then(|context| context.website_data_manager()) {
            data.set_network_proxy_settings(NetworkProxyMode::NoProxy, None);
        }
        // A page of words needs no graphics processor, and is there sooner without one being woken.
        if let Some(settings) = WebViewExt::settings(&view) {
            settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
        }
        view.load_uri(address.as_str());
    })
}

/// The middle of the screen the pointer is on, in logical pixels; `None` where that cannot be told.
fn place(app: &App, width: f64, height: f64) -> Option<(f64, f64)> {
    let pointer = app.cursor_position().ok()?;
    let screen = app.monitor_from_point(pointer.x, pointer.y).ok()??;
    let scale = screen.scale_factor();
    let area = screen.work_area();
    let (at, size) = (area.position.to_logical::<f64>(scale), area.size.to_logical::<f64>(scale));
    Some((at.x + ((size.width - width) / 2.0).max(0.0), at.y + ((size.height - height) / 3.0).max(0.0)))
}

/// Closes the window when its question is over, a moment later, unless the person has gone on to another page.
fn close_if_over(window: &WebviewWindow, question: &str, door: &Door) {
    let open = door.connect(QUICK).ok().and_then(|mut client| client.get::<Vec<RequestInfo>>("/v1/requests").ok());
    if open.is_some_and(|open| open.iter().all(|request| request.id != question)) {
        thread::sleep(SHOWN_AFTER);
        if window.url().is_ok_and(|url| url.path().starts_with("/consent/")) {
            let _ = window.close();
        }
    }
}

/// Opens what is not ours in the system's browser: https, and the start of a sign-in, which is ours on another port.
fn lead_out(door: &Arc<Door>, to: Url) {
    let door = Arc::clone(door);
    thread::spawn(move || {
        let told = |why: String| eprintln!("daypass-desktop: {why}");
        let opened = if to.scheme() == "https" {
            Opener::default().open_link(to.as_str(), told)
        } else {
            // As the agent itself would open it.
            let profile = door.connect(QUICK).ok();
            let profile = profile.and_then(|mut client| client.get::<EffectiveProfile>("/v1/profile").ok());
            let command = profile.and_then(|profile| profile.values.get("browser.command").map(|v| v.value.clone()));
            let command = command.and_then(|command| serde_json::from_value(command).ok());
            Opener { command }.open(to.as_str(), told)
        };
        if let Err(error) = opened {
            eprintln!("daypass-desktop: {error}");
        }
    });
}
