//! `daypass block` and `unblock`.
//!
//! Invariant: what is blocked is what was named: a path is made absolute here, where the user's directory is known, and
//! the beginning of an ID is completed only while it is unique. Who may unblock is the agent's decision.

use crate::{
    args::{Block, Unblock},
    connect::{Connection, Door, segment},
    consent::find,
    exit::{Failure, Outcome},
    listing::QUICK,
    output::{Table, emit, emit_json, say},
    time,
};
use localapi::{BlockInfo, BlockRequest, ExitCode, GrantInfo, RequestInfo};

/// Blocks a program, or lists the blocked ones.
pub(crate) fn block(arguments: &Block) -> Outcome {
    let mut connection = Door::find()?.connect()?;
    let Some(named) = &arguments.program else { return list(&mut connection, arguments.form.json) };
    let request = BlockRequest { program: name(&mut connection, named)? };
    let block: BlockInfo = connection.post("/v1/blocks", &request, QUICK)?;
    if arguments.form.json {
        emit_json(&block)?;
    }
    say(&format!("daypass: {} gets nothing and asks nothing until you unblock it", block.program));
    Ok(ExitCode::Ok)
}

/// What the agent knows a program by: an absolute path, or a whole ID.
fn name(connection: &mut Connection, named: &str) -> Result<String, Failure> {
    if named.contains('/') {
        let path = std::path::absolute(named).map_err(|error| Failure::usage(format!("{named}: {error}")))?;
        let path = path.into_os_string().into_string();
        return path.map_err(|_| Failure::usage("the path is not UTF-8; block the program by the ID of its request"));
    }
    let grants: Vec<GrantInfo> = connection.get("/v1/grants", QUICK)?;
    if grants.iter().any(|grant| grant.id == named) {
        return Ok(named.to_owned());
    }
    let requests: Vec<RequestInfo> = connection.get("/v1/requests", QUICK)?;
    find(requests, named, |request| &request.id).map(|request| request.id).map_err(|failure| {
        failure.hint("name the program's file with its path, or an ID: see daypass requests and daypass grants")
    })
}

fn list(connection: &mut Connection, json: bool) -> Outcome {
    let blocks: Vec<BlockInfo> = connection.get("/v1/blocks", QUICK)?;
    if json {
        emit_json(&blocks)?;
    } else if blocks.is_empty() {
        say("daypass: no program is blocked");
    } else {
        emit(&render(&blocks, time::now()))?;
    }
    Ok(ExitCode::Ok)
}

/// The blocked programs as a table.
pub(crate) fn render(blocks: &[BlockInfo], now: i64) -> String {
    let mut table = Table::new(&["ID", "BLOCKED PROGRAM", "SINCE"]);
    for BlockInfo { id, program, since } in blocks {
        table.row([id, program, &time::relative(since, now)]);
    }
    table.render()
}

/// Takes a block back.
pub(crate) fn unblock(arguments: &Unblock) -> Outcome {
    let mut connection = Door::find()?.connect()?;
    let blocks: Vec<BlockInfo> = connection.get("/v1/blocks", QUICK)?;
    let named = &arguments.program;
    // The file as it was named, or what that leads to: the agent lists where it really lies.
    let path = std::path::absolute(named).ok().map(|path| path.display().to_string());
    let real = std::fs::canonicalize(named).ok().map(|path| path.display().to_string());
    let is_named = |block: &BlockInfo| {
        let program = Some(&block.program);
        block.id == *named || (named.contains('/') && (program == path.as_ref() || program == real.as_ref()))
    };
    let Some(block) = blocks.into_iter().find(is_named) else {
        let mut failure = Failure::usage(format!("there is no blocked program {named:?}")).hint("see: daypass block");
        failure.code = Some(localapi::Code::NotFound);
        return Err(failure);
    };
    connection.delete::<()>(&format!("/v1/blocks/{}", segment(&block.id)?), QUICK)?;
    say(&format!("daypass: {} may ask again", block.program));
    Ok(ExitCode::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_programs_in_words() {
        let block = BlockInfo { id: "3".into(), program: "/usr/bin/git".into(), since: "2026-01-01T00:00:00Z".into() };
        assert_eq!(
            render(&[block], 1_767_225_600 + 7_200),
            "ID  BLOCKED PROGRAM  SINCE\n3   /usr/bin/git     2 h ago\n"
        );
    }
}
