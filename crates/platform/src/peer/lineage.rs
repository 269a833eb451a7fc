//! Where a process comes from: what two commands of one script share, and two commands of one person at a prompt do not.
//!
//! Invariant: a lineage that cannot be told shares a process with everybody. Limit: a process that lets go of its parent
//! (forks twice) has no lineage above that point; this guards against a script that asks and answers, not against malice.

use broker::ProcessInstance;

/// The most ancestors looked at.
#[cfg(target_os = "linux")]
const MOST: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "ancestors are told on Linux only"))]
struct Ancestor {
    instance: ProcessInstance,
    /// Whether it leads its session, as the shell behind a prompt does.
    leads: bool,
}

/// A process and all its ancestors but the first process of the system, as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Lineage {
    chain: Vec<Ancestor>,
    terminal: bool,
}

/// What two processes have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// No ancestor but the system's first process.
    Nothing,
    /// The nearest ancestor of both leads a session: the shell of a prompt, a terminal's or a session's own process.
    Leader(ProcessInstance),
    /// The nearest ancestor of both is an ordinary process such as a script, in whatever session they are now; or the
    /// lineage of one of them cannot be told.
    Process,
}

impl Lineage {
    /// Whether the process has a controlling terminal.
    pub fn has_terminal(&self) -> bool {
        self.terminal
    }

    /// What this process and another have in common.
    pub fn common_with(&self, other: &Self) -> Common {
        if self.chain.is_empty() || other.chain.is_empty() {
            return Common::Process;
        }
        let nearest = self.chain.iter().find(|one| other.chain.iter().any(|it| it.instance == one.instance));
        match nearest {
            None => Common::Nothing,
            Some(one) if one.leads => Common::Leader(one.instance),
            Some(_) => Common::Process,
        }
    }
}

#[cfg(target_os = "linux")]
impl super::Lookup {
    /// The lineage of a process; empty when it cannot be told, or is no longer this process.
    pub fn lineage(&self, of: ProcessInstance) -> Lineage {
        let mut lineage = Lineage::default();
        let Ok(proc) = self.proc() else { return lineage };
        let (mut next, mut leader_seen) = (of.pid, false);
        for _ in 0..MOST {
            let Ok((process, facts)) = proc.process(next) else {
                // Above the prompt a process may be hidden from this user; below it none is.
                return if leader_seen { lineage } else { Lineage::default() };
            };
            let instance = process.instance(&facts);
            if lineage.chain.is_empty() {
                if instance != of {
                    return Lineage::default();
                }
                lineage.terminal = facts.terminal != 0;
            }
            let leads = facts.session == next;
            leader_seen |= leads;
            lineage.chain.push(Ancestor { instance, leads });
            if facts.parent <= 1 {
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
    pub fn lineage(&self, _: ProcessInstance) -> Lineage {
        Lineage::default()
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{FirstParty, Lookup};
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        process::{Child, Command, Stdio},
    };

    fn lookup() -> Lookup {
        Lookup::new(FirstParty::in_directory(std::path::Path::new("/nowhere")))
    }

    fn lineage(lookup: &Lookup, pid: u32) -> Lineage {
        lookup.lineage(lookup.instance_of(pid).unwrap())
    }

    /// Starts a shell that starts two children by this script, prints their numbers and waits for its input to end.
    fn pair(command: &mut Command, script: &str) -> (Child, u32, u32) {
        let mut child = command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap().parse().unwrap());
        let (one, two) = (lines.next().unwrap(), lines.next().unwrap());
        (child, one, two)
    }

    fn end(mut child: Child) {
        drop(child.stdin.take().map(|mut stdin| stdin.write_all(b"\n")));
        child.wait().unwrap();
    }

    #[test]
    fn two_commands_of_one_script_share_it_whatever_sessions_they_are_in() {
        let lookup = lookup();
        for script in [
            "sleep 20 & a=$!; sleep 20 & b=$!; echo $a; echo $b; read x; kill $a $b",
            "setsid sh -c 'echo $$; exec sleep 20' & a=$!; setsid sh -c 'echo $$; exec sleep 20' & b=$!; read x; kill $a $b",
        ] {
            let (child, one, two) = pair(&mut Command::new("sh"), script);
            let (one, two) = (lineage(&lookup, one), lineage(&lookup, two));
            assert_eq!(one.common_with(&two), Common::Process, "{script}");
            end(child);
        }
    }

    #[test]
    fn two_commands_at_one_prompt_share_its_leader_only() {
        let lookup = lookup();
        let mut prompt = Command::new("setsid");
        prompt.arg("sh");
        let (child, one, two) =
            pair(&mut prompt, "sleep 20 & a=$!; sleep 20 & b=$!; echo $a; echo $b; read x; kill $a $b");
        let leader = lookup.instance_of(child.id()).unwrap();
        assert_eq!(lineage(&lookup, one).common_with(&lineage(&lookup, two)), Common::Leader(leader));
        assert!(lookup.is_scripted(leader), "a shell running -c is no prompt");
        end(child);
    }

    #[test]
    fn an_unknown_lineage_shares_with_everybody() {
        let lookup = lookup();
        let own = lookup.instance_of(std::process::id()).unwrap();
        assert_eq!(lookup.lineage(own).common_with(&Lineage::default()), Common::Process);
        assert_eq!(Lineage::default().common_with(&lookup.lineage(own)), Common::Process);
        let later = ProcessInstance { start_time: own.start_time + 1, ..own };
        assert_eq!(lookup.lineage(later), Lineage::default(), "another process with this number");
        assert_eq!(lookup.instance_of(u32::MAX), None);
        assert!(lookup.is_scripted(later), "it cannot be told");
    }
}
