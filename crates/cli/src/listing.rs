//! `daypass status`, `accounts` and `resources`.
//!
//! Invariant: with `--json` the wire's own shape goes out unchanged; without it the same in words, times relative to now.

use crate::{
    args::Form,
    connect::Door,
    exit::{Failure, Outcome},
    output::{Table, clean, emit, emit_json, say},
    sign_in::{needs_sign_in, no_account},
    time,
};
use localapi::{AccountStatus, ExitCode, ResourceInfo, Status};
use std::{fmt::Write as _, time::Duration};

/// What a listing may take.
pub(crate) const QUICK: Duration = Duration::from_secs(10);

/// Shows how everything is; exit code 4 when a sign-in is required.
pub(crate) fn status(form: Form) -> Outcome {
    let door = Door::find()?;
    let status: Status = door.running()?.get("/v1/status", QUICK)?;
    if form.json {
        emit_json(&status)?;
    } else {
        emit(&render_status(&status, time::now()))?;
        if status.accounts.is_empty() {
            let Failure { message, hint, .. } = no_account(&door);
            say(&format!("daypass: {message}"));
            say(&format!("hint: {}", hint.unwrap_or_default()));
        }
    }
    let mut waiting =
        status.accounts.iter().filter(|account| needs_sign_in(account)).map(|account| account.name.as_str());
    match (waiting.next(), waiting.next()) {
        (None, _) => return Ok(ExitCode::Ok),
        (Some(_), _) if form.json => {}
        (Some(name), None) => say(&format!("hint: run: daypass login {name}")),
        (Some(_), Some(_)) => say("hint: run: daypass login"),
    }
    Ok(ExitCode::SignInRequired)
}

fn render_status(status: &Status, now: i64) -> String {
    let mut table = Table::bare();
    let agent = &status.agent;
    table.row(["agent", &format!("{}, pid {}, up {}", agent.version, agent.pid, time::span(agent.uptime))]);
    table.row(["address", &status.address]);
    table.row(["keychain", &with_detail(&status.keychain.state, status.keychain.detail.as_deref())]);
    let profile = &status.profile;
    table.row(["profile", &with_detail(&profile.state, profile.name.as_deref())]);
    if let Some(support) = &profile.support_url {
        table.row(["help", support]);
    }
    if status.test_policy {
        table.row(["policy", "test policy"]);
    }
    table.row(["screen", &status.lock_state]);
    if let Some(until) = &status.paused_until {
        table.row(["paused", &format!("ends {}; nothing is given meanwhile", time::relative(until, now))]);
    }
    let mut text = table.render();
    for diagnostic in &profile.diagnostics {
        let _ = writeln!(text, "profile: {}", clean(diagnostic));
    }
    for notice in &status.notices {
        let _ = writeln!(text, "notice: {}", clean(notice));
    }
    if !status.accounts.is_empty() {
        let mut table = Table::new(&["ACCOUNT", "STATE", "WHO", "TOKEN ENDS", "ISSUER"]);
        for account in &status.accounts {
            table.row([&account.name, &words(account), who(account), &ends(account, now), &account.issuer]);
        }
        text.push('\n');
        text.push_str(&table.render());
    }
    text
}

fn with_detail(state: &str, detail: Option<&str>) -> String {
    detail.map_or_else(|| state.to_owned(), |detail| format!("{state} ({detail})"))
}

fn words(account: &AccountStatus) -> String {
    let state = account.state.replace('_', " ");
    if account.state == "signed_in" && !account.durable { state + ", in memory" } else { state }
}

fn who(account: &AccountStatus) -> &str {
    account.display_name.as_deref().or(account.subject.as_deref()).unwrap_or_default()
}

fn ends(account: &AccountStatus, now: i64) -> String {
    account.expires_at.as_deref().map(|at| time::relative(at, now)).unwrap_or_default()
}

/// Lists the configured accounts.
pub(crate) fn accounts(form: Form) -> Outcome {
    let door = Door::find()?;
    let accounts: Vec<AccountStatus> = door.connect()?.get("/v1/accounts", QUICK)?;
    if form.json {
        emit_json(&accounts)?;
    } else if accounts.is_empty() {
        say("daypass: no account is configured; set one up: daypass init");
    } else {
        let now = time::now();
        let mut table = Table::new(&["NAME", "STATE", "WHO", "TOKEN ENDS", "ISSUER", "CLIENT", "FROM"]);
        for account in &accounts {
            let AccountStatus { name, issuer, client_id, origin, .. } = account;
            table.row([name, &words(account), who(account), &ends(account, now), issuer, client_id, origin]);
        }
        emit(&table.render())?;
    }
    Ok(ExitCode::Ok)
}

/// Lists the configured resources.
pub(crate) fn resources(form: Form) -> Outcome {
    let resources: Vec<ResourceInfo> = Door::find()?.connect()?.get("/v1/resources", QUICK)?;
    if form.json {
        emit_json(&resources)?;
    } else if resources.is_empty() {
        say("daypass: no resource is configured");
    } else {
        emit(&render_resources(&resources))?;
    }
    Ok(ExitCode::Ok)
}

fn render_resources(resources: &[ResourceInfo]) -> String {
    let mut table = Table::new(&["NAME", "YOU GET", "ACCOUNT", "TOKEN", "CONSENT", "AUDIENCE", "SCOPES", "FROM"]);
    for resource in resources {
        let access = match resource.access.as_str() {
            "token" => "a token",
            "question" => "a question",
            other => other,
        };
        let consent =
            if resource.sensitive { format!("{}, sensitive", resource.consent) } else { resource.consent.clone() };
        let scopes = if resource.allowed_scope == resource.scope || resource.allowed_scope.is_empty() {
            resource.scope.clone()
        } else {
            format!("{} (up to {})", resource.scope, resource.allowed_scope)
        };
        let audience = resource.audience.as_deref().unwrap_or_default();
        table.row([
            &resource.name,
            access,
            &resource.account,
            &resource.token,
            &consent,
            audience,
            &scopes,
            &resource.origin,
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_in_words() {
        let status: Status = serde_json::from_str(
            r#"{"agent":{"version":"0.1.0","pid":42,"uptime":7300},"address":"http://127.0.0.1:6174",
            "keychain":{"state":"memory","detail":"no keychain here"},
            "profile":{"state":"warnings","name":"Example Corp","diagnostics":["corp.toml:3: unknown key"]},
            "test_policy":true,"lock_state":"unlocked","accounts":[
            {"name":"corp","issuer":"https://login.example.com","subject":"248289","display_name":"Alice",
             "state":"signed_in","expires_at":"2026-01-01T04:00:00Z","durable":false},
            {"name":"home","issuer":"https://id.example.org","subject":null,"state":"sign_in_required","expires_at":null}],
            "notices":["port 6174 is taken"]}"#,
        )
        .unwrap();
        assert_eq!(
            render_status(&status, 1_767_225_600),
            "agent     0.1.0, pid 42, up 2 h\n\
             address   http://127.0.0.1:6174\n\
             keychain  memory (no keychain here)\n\
             profile   warnings (Example Corp)\n\
             policy    test policy\n\
             screen    unlocked\n\
             profile: corp.toml:3: unknown key\n\
             notice: port 6174 is taken\n\
             \n\
             ACCOUNT  STATE                 WHO    TOKEN ENDS  ISSUER\n\
             corp     signed in, in memory  Alice  in 4 h      https://login.example.com\n\
             home     sign in required      -      -           https://id.example.org\n"
        );
    }

    #[test]
    fn resources_in_words() {
        let resource = ResourceInfo {
            name: "payments".into(),
            account: "corp".into(),
            token: "access".into(),
            audience: None,
            scope: "read".into(),
            allowed_scope: "read write".into(),
            consent: "ask".into(),
            sensitive: true,
            access: "question".into(),
            origin: "user profile".into(),
        };
        assert_eq!(
            render_resources(&[resource]),
            "NAME      YOU GET     ACCOUNT  TOKEN   CONSENT         AUDIENCE  SCOPES                   FROM\n\
             payments  a question  corp     access  ask, sensitive  -         read (up to read write)  user profile\n"
        );
    }
}
