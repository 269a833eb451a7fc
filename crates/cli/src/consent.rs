//! `daypass requests`, `approve`, `deny` and `grants`.
//!
//! Invariant: what is answered is what was shown: the answer names the digest of the request as it stands on stderr.
//! Whether this terminal may answer at all is the agent's decision.

use crate::{
    args::{Approve, Deny, Form, Grants, GrantsCommand, Revoke},
    block,
    connect::{Connection, Door, segment},
    exit::{Failure, Outcome},
    listing::QUICK,
    output::{Table, emit, emit_json, note, say},
    time,
};
use localapi::{BlockInfo, ExitCode, GrantInfo, RequestAnswer, RequestInfo, ResourceInfo};

/// Lists the open consent requests.
pub(crate) fn requests(form: Form) -> Outcome {
    let requests: Vec<RequestInfo> = Door::find()?.connect()?.get("/v1/requests", QUICK)?;
    if form.json {
        emit_json(&requests)?;
    } else if requests.is_empty() {
        say("daypass: no program is asking");
    } else {
        let now = time::now();
        let mut table = Table::new(&["ID", "PROGRAM", "RESOURCE", "SCOPES", "STATE", "ENDS"]);
        for request in &requests {
            let RequestInfo { id, program, resource, scope, state, expires_at, .. } = request;
            table.row([id, program, resource, scope, state, &time::relative(expires_at, now)]);
        }
        emit(&table.render())?;
    }
    Ok(ExitCode::Ok)
}

/// Answers yes.
pub(crate) fn approve(arguments: &Approve) -> Outcome {
    answer(&arguments.id, arguments.span.word())
}

/// Answers no.
pub(crate) fn deny(arguments: &Deny) -> Outcome {
    answer(&arguments.id, "deny")
}

fn answer(id: &str, choice: &str) -> Outcome {
    let mut connection = Door::find()?.connect()?;
    let requests: Vec<RequestInfo> = connection.get("/v1/requests", QUICK)?;
    let request = find(requests, id, |request| &request.id).map_err(|failure| failure.hint("see: daypass requests"))?;
    // A question whose audience is no longer the resource's is over, so this is the one that is answered.
    let resources: Vec<ResourceInfo> = connection.get("/v1/resources", QUICK)?;
    let audience = resources.into_iter().find(|resource| resource.name == request.resource).and_then(|r| r.audience);
    note(&shown(&request, audience.as_deref(), time::now()));
    if !request.choices.is_empty() && !request.choices.iter().any(|offered| offered == choice) {
        let offered: Vec<&str> =
            request.choices.iter().map(String::as_str).filter(|&choice| choice != "deny").collect();
        return Err(Failure::usage(format!("{choice:?} is not offered for this program"))
            .hint(format!("choose one of: {}", offered.join(", "))));
    }
    let path = format!("/v1/requests/{}", segment(&request.id)?);
    let body = RequestAnswer { choice: choice.to_owned(), digest: request.digest };
    let answered: RequestInfo = connection.post(&path, &body, QUICK)?;
    let meant = if choice == "deny" { "denied" } else { "approved" };
    if answered.state != meant {
        return Err(Failure::new(ExitCode::ConsentPending, format!("the request is {} already", answered.state)));
    }
    say(match choice {
        "deny" => "denied",
        "once" => "allowed once",
        "today" => "allowed today",
        _ => "allowed until revoked",
    });
    Ok(ExitCode::Ok)
}

/// What is asked, for a person about to answer.
fn shown(request: &RequestInfo, audience: Option<&str>, now: i64) -> String {
    let mut table = Table::bare();
    table.row(["program", &request.program]);
    if let Some(name) = &request.says_it_is {
        table.row(["says it is", &format!("{name:?} (not verified)")]);
    }
    if let Some(parent) = &request.started_by {
        table.row(["started by", parent]);
    }
    table.row(["wants", &request.resource]);
    if let Some(audience) = audience {
        table.row(["audience", audience]);
    }
    table.row(["scopes", &request.scope]);
    table.row(["account", &request.account]);
    table.row(["asks until", &format!("{} ({})", request.expires_at, time::relative(&request.expires_at, now))]);
    table.render()
}

/// The one thing named `id`, or whose name begins with it.
pub(crate) fn find<T>(mut things: Vec<T>, id: &str, name: impl Fn(&T) -> &str) -> Result<T, Failure> {
    let exact = things.iter().position(|thing| name(thing) == id);
    let mut begin = things.iter().enumerate().filter(|(_, thing)| !id.is_empty() && name(thing).starts_with(id));
    let at = match (exact, begin.next(), begin.next()) {
        (Some(at), _, _) | (None, Some((at, _)), None) => at,
        (None, Some(_), Some(_)) => {
            return Err(Failure::usage(format!("more than one has a name beginning with {id:?}")));
        }
        (None, None, _) => {
            let mut failure = Failure::usage(format!("there is nothing named {id:?}"));
            failure.code = Some(localapi::Code::NotFound);
            return Err(failure);
        }
    };
    drop(begin);
    Ok(things.swap_remove(at))
}

/// Lists or revokes grants.
pub(crate) fn grants(arguments: &Grants) -> Outcome {
    let mut connection = Door::find()?.connect()?;
    if let Some(GrantsCommand::Revoke(which)) = &arguments.command {
        return revoke(&mut connection, which);
    }
    let grants: Vec<GrantInfo> = connection.get("/v1/grants", QUICK)?;
    if arguments.form.json {
        emit_json(&grants)?;
        return Ok(ExitCode::Ok);
    }
    let blocks: Vec<BlockInfo> = connection.get("/v1/blocks", QUICK)?;
    if grants.is_empty() {
        say("daypass: no program may have anything without asking you");
    } else {
        let now = time::now();
        let mut table = Table::new(&["ID", "PROGRAM", "ACCOUNT", "RESOURCE", "SCOPES", "CHOICE", "ENDS"]);
        for grant in &grants {
            let GrantInfo { id, program, account, resource, scope, choice, until } = grant;
            let ends = until.as_deref().map_or_else(|| "never".to_owned(), |until| time::relative(until, now));
            table.row([id, program, account, resource, scope, choice, &ends]);
        }
        emit(&table.render())?;
    }
    if !blocks.is_empty() {
        let gap = if grants.is_empty() { "" } else { "\n" };
        emit(&format!("{gap}{}", block::render(&blocks, time::now())))?;
    }
    Ok(ExitCode::Ok)
}

fn revoke(connection: &mut Connection, which: &Revoke) -> Outcome {
    let Some(id) = which.id.as_deref().filter(|_| !which.all) else {
        connection.delete::<()>("/v1/grants", QUICK)?;
        say("daypass: every grant is revoked");
        return Ok(ExitCode::Ok);
    };
    let grants: Vec<GrantInfo> = connection.get("/v1/grants", QUICK)?;
    let grant = find(grants, id, |grant| &grant.id).map_err(|failure| failure.hint("see: daypass grants"))?;
    connection.delete::<()>(&format!("/v1/grants/{}", segment(&grant.id)?), QUICK)?;
    say(&format!("daypass: {} may no longer have {} without asking", grant.program, grant.resource));
    Ok(ExitCode::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_shortened_while_they_are_unique() {
        let names = || vec!["abc", "abd", "b", "bc"];
        let found = |id: &str| find(names(), id, |name| name).map_err(|failure| failure.render());
        assert_eq!(found("abc").unwrap(), "abc");
        assert_eq!(found("b").unwrap(), "b");
        assert_eq!(found("bc").unwrap(), "bc");
        assert!(found("ab").unwrap_err().contains("more than one"));
        assert!(found("x").unwrap_err().contains("(not_found)"));
        assert!(found("").unwrap_err().contains("(not_found)"));
    }

    #[test]
    fn a_person_sees_what_is_asked() {
        let request = RequestInfo {
            id: "c1".into(),
            program: "/usr/bin/git".into(),
            resource: "payments".into(),
            scope: "payments.read".into(),
            state: "pending".into(),
            expires_at: "2026-01-01T00:02:00Z".into(),
            account: "corp".into(),
            started_by: Some("Terminal (bash)".into()),
            says_it_is: Some("Sync\x1b[8m".into()),
            choices: Vec::new(),
            digest: "d".into(),
            window: true,
        };
        assert_eq!(
            shown(&request, Some("https://payments.example.com"), 1_767_225_600),
            "program     /usr/bin/git\n\
             says it is  \"Sync\\u{1b}[8m\" (not verified)\n\
             started by  Terminal (bash)\n\
             wants       payments\n\
             audience    https://payments.example.com\n\
             scopes      payments.read\n\
             account     corp\n\
             asks until  2026-01-01T00:02:00Z (in 2 min)\n"
        );
    }
}
