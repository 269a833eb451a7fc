//! The user's lasting no to one program, whatever it asks for.
//!
//! Invariant: a block only takes away. It names a program by the place of its file, without a digest: an updated or
//! changed file stays blocked. Limit: the same bytes at another place are another program, which has to ask as any does.

use crate::{grant::ProgramKey, peer::Program, words::Timestamp};
use std::path::Path;

/// Names what is blocked; compared for equality only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey(String);

impl BlockKey {
    /// The program itself: the place of its file or script; a fileless command's interpreter; a terminal session.
    pub fn of(program: &Program) -> Self {
        match program {
            Program::Executable { file, .. } | Program::Script { script: file, .. } => Self::file(&file.path),
            Program::Inline { interpreter } => Self(format!("inline:{}", interpreter.path.display())),
            Program::Terminal { .. } => Self(program.key().as_str().to_owned()),
        }
    }

    /// Whatever runs this file. Of an interpreter or a shell that is also everything it is made to run, except a
    /// person's own prompt.
    pub fn file(path: &Path) -> Self {
        Self(format!("file:{}", path.display()))
    }

    /// The program that holds a grant; `None` where its key does not say clearly which part of it is the file.
    pub fn of_grant(key: &ProgramKey) -> Option<Self> {
        let (kind, rest) = key.as_str().split_once(':')?;
        let after_digest = |text: &'_ str| text.get(65..).map(str::to_owned);
        match kind {
            "exe" => after_digest(rest).map(|path| Self(format!("file:{path}"))),
            "inline" => after_digest(rest).map(|path| Self(format!("inline:{path}"))),
            "script" => {
                let paths = after_digest(rest).as_deref().and_then(after_digest)?;
                let mut borders = paths.match_indices(":/");
                match (borders.next(), borders.next()) {
                    (Some((at, _)), None) => Some(Self(format!("file:{}", &paths[at + 1..]))),
                    _ => None,
                }
            }
            "terminal" => Some(Self(key.as_str().to_owned())),
            _ => None,
        }
    }

    /// Wraps a key read back from storage.
    pub fn new(key: String) -> Self {
        Self(key)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The program for people: its path, or what stands for it.
    pub fn shown(&self) -> String {
        match self.0.split_once(':') {
            Some(("file", path)) => path.to_owned(),
            Some(("inline", path)) => format!("{path} (no file)"),
            Some(("terminal", rest)) => format!("terminal {}", rest.split(':').nth(1).unwrap_or_default()),
            _ => self.0.clone(),
        }
    }

    /// Whether it keeps this program from everything.
    pub fn stops(&self, program: &Program) -> bool {
        let own = Self::of(program);
        own == *self || Self::around(program).is_some_and(|outer| outer == *self)
    }

    /// What else stops a program besides a block of its own: one of the interpreter that runs it.
    pub fn around(program: &Program) -> Option<Self> {
        match program {
            Program::Script { interpreter, .. } | Program::Inline { interpreter } => {
                Some(Self::file(&interpreter.path))
            }
            Program::Executable { .. } | Program::Terminal { .. } => None,
        }
    }

    /// Whether it keeps the holder of a grant from everything. Where a key can be read in two ways, both count.
    pub fn stops_grant(&self, key: &ProgramKey) -> bool {
        let (Some((kind, what)), Some((of, rest))) = (self.0.split_once(':'), key.as_str().split_once(':')) else {
            return false;
        };
        match (kind, of) {
            ("file", "exe" | "inline") | ("inline", "inline") => rest.get(65..) == Some(what),
            ("file", "script") => rest.get(130..).is_some_and(|paths| {
                paths.strip_prefix(what).is_some_and(|more| more.starts_with(':'))
                    || paths.strip_suffix(what).is_some_and(|before| before.ends_with(':'))
            }),
            ("terminal", "terminal") => rest == what,
            _ => false,
        }
    }
}

/// A blocked program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its number; never reused within one installation.
    pub id: i64,
    /// What is blocked.
    pub key: BlockKey,
    /// Since when.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileIdentity, ProcessInstance};

    fn file(path: &str) -> FileIdentity {
        FileIdentity { path: path.into(), device: 1, inode: 2, digest: [7; 32] }
    }

    fn programs() -> [Program; 4] {
        [
            Program::Executable { file: file("/opt/a:b/tool"), generic_client: false },
            Program::Script { interpreter: file("/usr/bin/python3"), script: file("/home/a/run.py") },
            Program::Inline { interpreter: file("/usr/bin/python3") },
            Program::Terminal {
                shell: file("/usr/bin/bash"),
                tty: 34816,
                leader: ProcessInstance { pid: 42, start_time: 7 },
            },
        ]
    }

    #[test]
    fn a_block_stops_its_program_and_an_interpreters_what_it_runs() {
        let by_path = |path: &str| BlockKey::file(Path::new(path));
        let [tool, script, inline, terminal] = &programs();
        for (what, key, expected) in [
            ("a program", by_path("/opt/a:b/tool"), [true, false, false, false]),
            ("a script", by_path("/home/a/run.py"), [false, true, false, false]),
            ("an interpreter", by_path("/usr/bin/python3"), [false, true, true, false]),
            ("commands without a file", BlockKey::of(inline), [false, false, true, false]),
            ("a shell, but not its prompt", by_path("/usr/bin/bash"), [false; 4]),
            ("a terminal", BlockKey::of(terminal), [false, false, false, true]),
            ("a part of a path", by_path("/tool"), [false; 4]),
        ] {
            let of = |programs: [&Program; 4]| programs.map(|program| key.stops(program));
            assert_eq!(of([tool, script, inline, terminal]), expected, "{what}");
            let grants = [tool, script, inline, terminal].map(|program| key.stops_grant(&program.key()));
            assert_eq!(grants, expected, "{what}, by its grants");
        }
    }

    #[test]
    fn the_holder_of_a_grant_is_blocked_as_the_program_itself() {
        for program in programs() {
            assert_eq!(BlockKey::of_grant(&program.key()), Some(BlockKey::of(&program)), "{program:?}");
        }
        let unclear = Program::Script { interpreter: file("/usr/bin/python3"), script: file("/tmp/a:/run.py") };
        assert_eq!(BlockKey::of_grant(&unclear.key()), None, "rather none than another program");
        assert!(BlockKey::of(&unclear).stops_grant(&unclear.key()));
        assert_eq!(BlockKey::of_grant(&ProgramKey::new("exe:short".into())), None);
    }

    #[test]
    fn a_block_outlives_a_change_of_the_file() {
        let [before, ..] = programs();
        let Program::Executable { mut file, generic_client } = before.clone() else { unreachable!() };
        file.digest = [8; 32];
        file.inode = 3;
        let after = Program::Executable { file, generic_client };
        assert_ne!(before.key(), after.key());
        assert!(BlockKey::of(&before).stops(&after));
    }

    #[test]
    fn people_see_the_path() {
        assert_eq!(
            programs().map(|program| BlockKey::of(&program).shown()),
            ["/opt/a:b/tool", "/home/a/run.py", "/usr/bin/python3 (no file)", "terminal 42"]
        );
    }
}
