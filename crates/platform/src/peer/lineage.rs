//! Which processes stand between a process and the leader of its session: what two commands of one script share, and
//! two commands of one person at a prompt do not.

use broker::ProcessInstance;

/// The most ancestors looked at.
#[cfg(target_os = "linux")]
const MOST: usize = 64;

/// A process and its ancestors below the leader of its session, as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage {
    chain: Vec<ProcessInstance>,
    terminal: bool,
}

impl Lineage {
    /// Whether the process has a controlling terminal.
    pub fn has_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether one process stands in both; an unknown lineage shares with everybody.
    pub fn shares_process_with(&self, other: &Self) -> bool {
        self.chain.is_empty() || other.chain.is_empty() || self.chain.iter().any(|one| other.chain.contains(one))
    }
}

#[cfg(target_os = "linux")]
impl super::Lookup {
    /// The lineage of a process; empty when it cannot be told.
    pub fn lineage(&self, pid: u32) -> Lineage {
        let mut lineage = Lineage::default();
        let Ok(proc) = self.proc() else { return lineage };
        let mut next = pid;
        let mut session = None;
        for _ in 0..MOST {
            let Ok((process, facts)) = proc.process(next) else { return Lineage::default() };
            let session = *session.get_or_insert(facts.session);
            if lineage.chain.is_empty() {
                lineage.terminal = facts.terminal != 0;
            }
            // The leader itself is the prompt or the session's root: standing below it is not sharing it. A process
            // that leads its own session stands for itself.
            if (next == session && next != pid) || facts.session != session {
                return lineage;
            }
            lineage.chain.push(process.instance(&facts));
            if next == session || facts.parent <= 1 {
                return lineage;
            }
            next = facts.parent;
        }
        Lineage::default()
    }
}

#[cfg(not(target_os = "linux"))]
impl super::Lookup {
    /// Cannot be told here: an empty lineage.
    pub fn lineage(&self, _: u32) -> Lineage {
        Lineage::default()
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{FirstParty, Lookup};
    use std::process::Command;

    #[test]
    fn siblings_of_one_script_share_it_and_unknown_shares_with_all() {
        let lookup = Lookup::new(FirstParty::in_directory(std::path::Path::new("/nowhere")));
        let mut one = Command::new("sleep").arg("5").spawn().unwrap();
        let mut two = Command::new("sleep").arg("5").spawn().unwrap();
        let (a, b) = (lookup.lineage(one.id()), lookup.lineage(two.id()));
        assert!(!a.chain.is_empty());
        assert!(a.shares_process_with(&b), "both are children of this very test");
        assert!(a.shares_process_with(&Lineage::default()));
        one.kill().unwrap();
        two.kill().unwrap();
        one.wait().unwrap();
        two.wait().unwrap();
        assert_eq!(lookup.lineage(u32::MAX), Lineage::default());
    }
}
