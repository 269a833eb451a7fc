//! The provider's few pages. No script, no outside resource; every value is escaped.

const STYLE: &str = "
:root { color-scheme: light dark; --surface: #f4f6f6; --card: #fff; --text: #172322; --muted: #566462; --accent: #0b6b66;
  --on-accent: #fff; --line: #d3dbda; }
@media (prefers-color-scheme: dark) { :root { --surface: #121817; --card: #1b2322; --text: #e8eeed; --muted: #9dadab;
  --accent: #5cc4bb; --on-accent: #06211f; --line: #33403e; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px; background: var(--surface);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 400px; padding: 32px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
h1 { margin: 0 0 4px; font-size: 22px; line-height: 1.3; }
p { margin: 0 0 24px; color: var(--muted); overflow-wrap: anywhere; }
label { display: block; margin-bottom: 4px; font-weight: 600; font-size: 14px; }
input { width: 100%; min-height: 40px; margin-bottom: 16px; padding: 8px 12px; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--muted); border-radius: 6px; }
button { min-height: 40px; padding: 8px 20px; font: inherit; border-radius: 6px; border: 1px solid var(--line);
  background: transparent; color: inherit; cursor: pointer; }
button.main { background: var(--accent); color: var(--on-accent); border-color: var(--accent); font-weight: 600; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.row { display: flex; flex-direction: row-reverse; justify-content: space-between; gap: 12px; margin-top: 8px; }
small { display: block; margin-top: 24px; color: var(--muted); font-size: 13px; }";

/// The sign-in form, for the program `client_id`, with the name filled in where it is known.
pub(crate) fn sign_in(action: &str, interaction: &str, client_id: &str, name: &str) -> String {
    let (name_focus, password_focus) = if name.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
    let body = format!(
        r#"<h1>Sign in</h1>
<p>to continue to <b>{client}</b></p>
<form method="post" action="{action}">
<input type="hidden" name="interaction" value="{interaction}">
<label for="username">User name</label>
<input id="username" name="username" value="{name}" maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false" required{name_focus}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="off" required{password_focus}>
<div class="row"><button class="main" name="action" value="sign-in">Sign in</button>
<button name="action" value="cancel" formnovalidate>Cancel</button></div>
</form>
<small>A provider for development: any name and any password will do. Use no real one.</small>"#,
        client = escape(client_id),
        action = escape(action),
        interaction = escape(interaction),
        name = escape(name),
    );
    frame("Sign in", &body)
}

/// Where the person types the code a device shows (RFC 8628 §3.3).
pub(crate) fn user_code(action: &str, wrong: bool) -> String {
    let note = if wrong { "<p role=\"alert\">No device waits with this code.</p>\n" } else { "" };
    let body = format!(
        r#"<h1>Connect a device</h1>
{note}<form method="post" action="{action}">
<label for="user_code">The code it shows</label>
<input id="user_code" name="user_code" maxlength="16" autocomplete="off" spellcheck="false" required autofocus>
<div class="row"><button class="main" name="action" value="continue">Continue</button></div>
</form>"#,
        action = escape(action),
    );
    frame("Connect a device", &body)
}

/// The end of a device's sign-in.
pub(crate) fn device_done(allowed: bool) -> String {
    let text = if allowed { "The device is signed in. This window can be closed." } else { "The device was refused." };
    frame("Connect a device", &format!("<h1>Done</h1>\n<p role=\"status\">{text}</p>"))
}

/// Something is wrong and there is nowhere to send it.
pub(crate) fn problem(text: &str) -> String {
    frame("Sign-in not possible", &format!("<h1>Sign-in not possible</h1>\n<p role=\"alert\">{}</p>", escape(text)))
}

/// What a captive portal answers for anything.
pub(crate) fn portal() -> String {
    frame(
        "Guest network",
        "<h1>Guest network</h1>\n<p>Accept the terms to go on.</p>\n<form method=\"post\"><button class=\"main\">Accept</button></form>",
    )
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<title>{title} · Development provider</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n\
         </body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}
