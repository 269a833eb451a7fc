//! An agent for unit tests: real store, rules and table, nobody asked, nothing served.

use crate::{
    agent::Agent,
    startup::{Call, Outside, assemble},
};
use broker::{
    Choice, FileIdentity, Grant, GrantId, Peer, ProcessInstance, Program,
    consent::{Anchor, Ask},
    ports::{Clock, Entropy, Keychain},
};
use platform::{clock::WallClock, entropy::OsEntropy, keychain::Memory, paths::Paths};
use std::{
    fs,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

const PROFILE: &str = "version = 1\n[broker]\nport = 0\n\
    [accounts.corp]\nissuer = \"http://127.0.0.1:9\"\nclient_id = \"daypass\"\n\
    [resources.payments]\naccount = \"corp\"\naudience = \"https://payments.example\"\nscopes = [\"read\"]\n\
    [resources.payroll]\naccount = \"corp\"\naudience = \"https://payroll.example\"\nscopes = [\"read\"]\nsensitive = true\n";

/// An agent in a folder of its own, with the account `corp` and the resources `payments` and `payroll` (sensitive).
pub(crate) async fn agent() -> (tempfile::TempDir, Arc<Agent>) {
    let room = tempfile::tempdir().unwrap();
    let [runtime, config, state, managed] = ["run", "config", "state", "managed"].map(|name| room.path().join(name));
    for folder in [&config, &state, &managed] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(managed.join("10.toml"), PROFILE).unwrap();
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) = (Arc::new(WallClock), Arc::new(OsEntropy));
    let oidc = oidc::Client::new(&oidc::Options::default(), Arc::clone(&clock), Arc::clone(&entropy)).unwrap();
    let opener: crate::vault::Opener = Arc::new(|| Ok(Arc::new(Memory::default()) as Arc<dyn Keychain>));
    let outside = Outside { clock, entropy, opener, oidc };
    let call = Call { managed_dir: Some(managed) };
    let agent = assemble(&call, &Paths { runtime, config, state }, outside).await.unwrap().0;
    assert!(agent.rules().locked.is_none() && agent.rules().resources.len() == 2, "{:?}", agent.snapshot().diagnostics);
    (room, agent)
}

/// A program at this path, and a peer that runs it.
pub(crate) fn peer(path: &str) -> (Peer, Program) {
    let file = FileIdentity { path: path.into(), device: 1, inode: 2, digest: [3; 32] };
    let program = Program::Executable { file, generic_client: false };
    let instance = ProcessInstance { pid: std::process::id(), start_time: 1 };
    let peer = Peer {
        uid: 0,
        instance,
        subject: instance,
        session_leader: None,
        program: Some(program.clone()),
        first_party: true,
        started_by: None,
        package: None,
    };
    (peer, program)
}

/// What a peer's program asks when it wants `payments`.
pub(crate) fn ask(peer: &Peer) -> Ask {
    Ask {
        peer: peer.clone(),
        program: peer.program.clone().unwrap(),
        anchor: Anchor::Session("session".to_owned()),
        account: "corp".parse().unwrap(),
        issuer: "http://127.0.0.1:9".parse().unwrap(),
        resource: "payments".parse().unwrap(),
        audience: Some("https://payments.example".to_owned()),
        scopes: "read".parse().unwrap(),
        says_it_is: None,
    }
}

/// A grant to this program, for today.
pub(crate) fn grant(agent: &Agent, program: &Program) -> Grant {
    Grant {
        id: GrantId(0),
        program: program.key(),
        account: "corp".parse().unwrap(),
        resource: "payments".parse().unwrap(),
        scopes: "read".parse().unwrap(),
        choice: Choice::Today,
        created: agent.now(),
        last_used: agent.now(),
        until: Some(agent.now() + broker::Span::hours(12)),
        package: None,
    }
}

/// Has `end` begin on another thread while an answer is being taken that gives the program a grant for today: it is there
/// before the answer lets go of the table. Returns when both are through.
pub(crate) fn while_answering(agent: &Arc<Agent>, program: &Program, end: impl FnOnce(&Arc<Agent>) + Send + 'static) {
    let other = Arc::clone(agent);
    let (begins, begun) = mpsc::channel();
    let thread = agent.consents.while_still(|| {
        let thread = thread::spawn(move || {
            begins.send(()).unwrap();
            end(&other);
        });
        begun.recv().unwrap();
        // As far as it comes without the table.
        thread::sleep(Duration::from_millis(500));
        agent.store.add_grant(grant(agent, program)).unwrap();
        thread
    });
    thread.join().unwrap();
}
