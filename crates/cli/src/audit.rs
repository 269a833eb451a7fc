//! `daypass audit`: what was issued or refused, to whom.
//!
//! Invariant: lines come in the order of the chain, none twice, from the first one on none left out, and `--json` prints each as one
//! document on one line. Whether the chain is whole is the agent's finding; it holds the anchor.

use crate::{
    args::{Audit, AuditCommand, Form},
    connect::{Connection, Door},
    exit::{Failure, Outcome},
    listing::QUICK,
    output::{clean, emit, emit_json, json_line, reader_gone},
    time,
};
use localapi::{AuditLine, AuditVerdict, ExitCode};
use std::{fmt::Write as _, time::Duration};

/// Lines of one answer.
const PAGE: usize = 500;
/// Seconds one look for new lines lasts.
const LOOK_SECONDS: u64 = 25;
/// What checking the whole chain may take.
const VERIFY_LIMIT: Duration = Duration::from_mins(1);

/// Prints the audit log, or checks it.
pub(crate) fn audit(arguments: &Audit) -> Outcome {
    let since = arguments.since.as_deref().map(|text| time::since(text, time::now())).transpose();
    let since = since.map_err(|hint| Failure::usage("--since cannot be understood").hint(hint))?;
    let mut connection = Door::find()?.connect()?;
    if let Some(AuditCommand::Verify(form)) = &arguments.command {
        return verify(&mut connection, *form);
    }
    let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
    let (mut after, mut wait) = (None, 0);
    loop {
        // Without a line to go on from: the first ones since then, or the newest.
        let from = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let path = format!("/v1/audit?limit={PAGE}&wait={wait}{from}{since}");
        let lines: Vec<AuditLine> = connection.get(&path, Duration::from_secs(wait) + QUICK)?;
        let fresh: Vec<&AuditLine> = lines.iter().filter(|line| after.is_none_or(|after| line.seq > after)).collect();
        emit(&render(&fresh, arguments.json)?)?;
        after = fresh.last().map(|line| line.seq).or(after);
        if fresh.len() < PAGE {
            if !arguments.follow || reader_gone() {
                return Ok(ExitCode::Ok);
            }
            wait = LOOK_SECONDS;
        }
    }
}

fn render(lines: &[&AuditLine], json: bool) -> Result<String, Failure> {
    let mut text = String::new();
    for line in lines {
        if json {
            text.push_str(&json_line(line)?);
        } else {
            text.push_str(&words(line));
            text.push('\n');
        }
    }
    Ok(text)
}

/// One line for people: the columns that are never empty are aligned, the others are named.
fn words(line: &AuditLine) -> String {
    let mut text =
        format!("{:>6}  {:<20}  {:<22}  {:<18}", line.seq, clean(&line.time), clean(&line.event), clean(&line.code));
    let named = [
        ("program", &line.program),
        ("account", &line.account),
        ("resource", &line.resource),
        ("scope", &line.scope),
        ("via", &line.via),
    ];
    for (name, value) in named {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            let quote = if value.contains(' ') { "\"" } else { "" };
            let _ = write!(text, "  {name}={quote}{}{quote}", clean(value));
        }
    }
    text.trim_end().to_owned()
}

fn verify(connection: &mut Connection, form: Form) -> Outcome {
    let verdict: AuditVerdict = connection.get("/v1/audit/verify", VERIFY_LIMIT)?;
    if form.json {
        emit_json(&verdict)?;
    }
    if verdict.ok {
        if !form.json {
            emit(&format!("ok: {}\n", clean(&verdict.detail)))?;
        }
        return Ok(ExitCode::Ok);
    }
    let finding = match verdict.broken_at {
        Some(seq) => format!("the audit log is broken at line {seq}"),
        None => "it cannot be told whether the audit log is whole".to_owned(),
    };
    Err(Failure::new(ExitCode::Internal, finding)
        .hint("keep a copy of the state directory and tell whoever looks after this machine")
        .detail(format!("detail: {}", verdict.detail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> AuditLine {
        AuditLine {
            seq: 7,
            time: "2026-01-01T00:00:00Z".into(),
            event: "token.issued".into(),
            code: "ok".into(),
            program: Some("/opt/my tool".into()),
            account: Some("corp".into()),
            resource: Some("payments\n".into()),
            scope: Some(String::new()),
            via: None,
            prev: "00".into(),
            hash: "11".into(),
        }
    }

    #[test]
    fn a_line_in_words() {
        assert_eq!(
            render(&[&line()], false).unwrap(),
            "     7  2026-01-01T00:00:00Z  token.issued            ok                  \
             program=\"/opt/my tool\"  account=corp  resource=payments\n"
        );
    }

    #[test]
    fn a_line_as_json_is_one_line() {
        let text = render(&[&line(), &line()], true).unwrap();
        assert_eq!(text.lines().count(), 2);
        for text in text.lines() {
            assert_eq!(serde_json::from_str::<AuditLine>(text).unwrap(), line());
        }
    }
}
