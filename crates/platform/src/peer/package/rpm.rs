//! The RPM database, asked through the system's own `rpm`.
//!
//! Invariant: the command is the one at its place on the system, which only root can write; it gets an environment of its
//! own, so that neither the user's RPM configuration nor the agent's secrets reach it, and it ends in time. Words it says
//! count only when they are one package name.
//! Limit: what `/etc/rpm` configures (another database, say) is root's affair and is followed.

use std::{
    ffi::OsStr,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

const PROGRAM: &str = "/usr/bin/rpm";
/// Where distributions keep the database, newest habit first.
const DIRECTORIES: [&str; 3] = ["/usr/lib/sysimage/rpm", "/usr/share/rpm", "/var/lib/rpm"];
/// The database itself, by format: SQLite, NDB, Berkeley DB.
const FILES: [&str; 3] = ["rpmdb.sqlite", "Packages.db", "Packages"];
/// How long the command may take.
const LONGEST: Duration = Duration::from_secs(5);
/// Most bytes of its answer that are read.
const LONGEST_ANSWER: u64 = 4096;

/// When the database, and what is not yet written into it, last changed.
pub(super) type Stamp = [Option<SystemTime>; 2];

#[derive(Debug)]
pub(super) struct Rpm {
    program: PathBuf,
    /// Named to the command only where it is not the system's own.
    directory: Option<PathBuf>,
    database: PathBuf,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("rpm could not be run: {0}")]
    NotRun(#[from] io::Error),
    #[error("rpm did not end in time")]
    TooSlow,
    #[error("the rpm command is not root's alone")]
    NotTrusted,
}

impl Rpm {
    /// The database of this system, where there is one.
    pub(super) fn of_this_system() -> Option<Self> {
        let database = DIRECTORIES
            .iter()
            .flat_map(|directory| FILES.map(|file| Path::new(directory).join(file)))
            .find(|file| file.is_file())?;
        let program = PathBuf::from(PROGRAM);
        program.is_file().then_some(Self { program, directory: None, database, patience: LONGEST })
    }

    /// The database, and what is not yet written into it.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        let mut log = self.database.clone().into_os_string();
        log.push("-wal");
        [self.database.clone(), log.into()]
    }

    pub(super) fn changed(&self) -> Stamp {
        self.files().map(|path| std::fs::metadata(path).and_then(|facts| facts.modified()).ok())
    }

    /// The one package that owns the file, such as `rpm:git-core`. Waits for the command.
    pub(super) fn owner_of(&self, path: &Path) -> Result<Option<String>, NoAnswer> {
        if crate::managed::user_can_write(&self.program) {
            return Err(NoAnswer::NotTrusted);
        }
        let answer = self.ask(path)?;
        Ok(answer.as_deref().and_then(only_name).map(|name| format!("rpm:{name}")))
    }

    /// What it says; `None` when it says no.
    fn ask(&self, path: &Path) -> Result<Option<String>, NoAnswer> {
        let mut command = Command::new(&self.program);
        if let Some(directory) = &self.directory {
            command.arg("--dbpath").arg(directory);
        }
        command
            .args(["--query", "--file", "--queryformat", "%{NAME}\\n", "--"])
            .arg(path)
            .env_clear()
            // `~/.rpmmacros` may name another database: the home is root's.
            .envs([("HOME", "/"), ("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")].map(|(k, v)| (k, OsStr::new(v))))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = Running(command.spawn()?);
        let output = child.0.stdout.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let (said, heard) = mpsc::channel();
        let reader = thread::Builder::new().name("rpm".to_owned()).spawn(move || {
            let mut text = String::new();
            let read = output.take(LONGEST_ANSWER).read_to_string(&mut text);
            let _ = said.send(read.map(|_| text));
        })?;
        let deadline = Instant::now() + self.patience;
        let text = heard.recv_timeout(self.patience).map_err(|_| NoAnswer::TooSlow)??;
        let status = loop {
            match child.0.try_wait()? {
                Some(status) => break status,
                None if Instant::now() >= deadline => return Err(NoAnswer::TooSlow),
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        // It has said all it had to say.
        let _ = reader.join();
        Ok(status.success().then_some(text))
    }
}

/// Ends the command, however it is left.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The name, if all lines are one and the same (a file of two architectures has two owners of one name).
fn only_name(text: &str) -> Option<&str> {
    let mut names = text.lines();
    let name = names.next()?;
    let is_name = !name.is_empty()
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '~' | '^'));
    (is_name && names.all(|other| other == name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_one_name_is_an_answer() {
        for (text, expected) in [
            ("git-core\n", Some("git-core")),
            ("glibc\nglibc\n", Some("glibc")),
            ("libstdc++\n", Some("libstdc++")),
            ("one\ntwo\n", None),
            ("", None),
            ("\n", None),
            ("file /x is not owned by any package\n", None),
            ("a:b\n", None),
            ("\u{1b}[1m\n", None),
        ] {
            assert_eq!(only_name(text), expected, "{text:?}");
        }
        assert_eq!(only_name(&"a".repeat(129)), None);
    }

    fn has(program: &str) -> bool {
        Path::new(program).is_file()
    }

    fn run(command: &mut Command) {
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A database with the package `NAME`, which owns these files.
    fn database(room: &Path, packages: &[(&str, &[&str])]) -> Rpm {
        let directory = room.join("db");
        run(Command::new(PROGRAM).arg("--dbpath").arg(&directory).arg("--initdb"));
        for (name, files) in packages {
            let spec = room.join(format!("{name}.spec"));
            let made: Vec<String> = files.iter().map(|file| format!("touch '%{{buildroot}}{file}'")).collect();
            let owned: Vec<String> = files.iter().map(|file| format!("\"{file}\"")).collect();
            let text = format!(
                "Name: {name}\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n%description\nx\n\
                 %install\nmkdir -p %{{buildroot}}/usr/bin\n{}\n%files\n{}\n",
                made.join("\n"),
                owned.join("\n"),
            );
            std::fs::write(&spec, text).unwrap();
            run(Command::new("/usr/bin/rpmbuild")
                .args(["-bb", "--quiet", "--define"])
                .arg(format!("_topdir {}", room.display()))
                .arg(&spec)
                .env("HOME", room));
            let package = room.join(format!("RPMS/noarch/{name}-1-1.noarch.rpm"));
            // Written into the database only: nothing is installed.
            run(Command::new(PROGRAM)
                .arg("--dbpath")
                .arg(&directory)
                .args(["--install", "--justdb", "--nodeps", "--noscripts"])
                .arg(package));
        }
        let file = FILES.iter().map(|name| directory.join(name)).find(|file| file.is_file()).expect("a database");
        Rpm { program: PROGRAM.into(), directory: Some(directory), database: file, patience: Duration::from_secs(30) }
    }

    #[test]
    fn a_real_database_names_the_owner() {
        if !has(PROGRAM) || !has("/usr/bin/rpmbuild") {
            println!("SKIPPED a_real_database_names_the_owner: rpm and rpmbuild are not installed");
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let packages = [
            ("daypass-probe", &["/usr/bin/env", "/usr/bin/with space"][..]),
            ("one-owner", &["/usr/bin/true"]),
            ("other-owner", &["/usr/bin/true"]),
        ];
        let rpm = database(room.path(), &packages);
        let before = rpm.changed();
        let owner = |path: &str| rpm.owner_of(Path::new(path)).unwrap();
        assert_eq!(owner("/usr/bin/env").as_deref(), Some("rpm:daypass-probe"));
        assert_eq!(owner("/usr/bin/with space").as_deref(), Some("rpm:daypass-probe"));
        assert_eq!(owner("/usr/bin/true"), None, "of two packages, none");
        assert_eq!(owner("/usr/bin/cat"), None);
        assert_eq!(owner("/no/such/file"), None);
        assert_eq!(owner("/usr/bin/env\n/x"), None);
        assert_eq!(rpm.changed(), before, "asking changes nothing");
        run(Command::new(PROGRAM).arg("--dbpath").arg(room.path().join("db")).args([
            "--erase",
            "--justdb",
            "--noscripts",
            "one-owner",
        ]));
        assert_ne!(rpm.changed(), before, "removing a package does");
        assert_eq!(owner("/usr/bin/true").as_deref(), Some("rpm:other-owner"));
    }

    #[test]
    fn neither_a_slow_nor_a_strange_command_holds_anybody_up() {
        let room = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = room.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let patience = Duration::from_millis(if name == "slow" { 300 } else { 20_000 });
            Rpm { program: path, directory: None, database: room.path().into(), patience }
        };
        let ask = |rpm: &Rpm| loop {
            match rpm.ask(Path::new("/usr/bin/env")) {
                // Another test forked while the script was being written.
                Err(NoAnswer::NotRun(error)) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                other => return other,
            }
        };
        let slow = script("slow", "#!/bin/sh\nexec sleep 60\n");
        let begun = Instant::now();
        assert!(matches!(ask(&slow), Err(NoAnswer::TooSlow)));
        assert!(begun.elapsed() < Duration::from_secs(20));
        let words = script("words", "#!/bin/sh\necho \"$HOME $LC_ALL ${LD_PRELOAD-} ${USER-} $#\"; pwd\n");
        assert_eq!(ask(&words).unwrap().as_deref(), Some("/ C   6\n/\n"), "an environment of its own");
        assert_eq!(ask(&script("no", "#!/bin/sh\necho git\nexit 1\n")).unwrap(), None);
        let endless = script("endless", "#!/bin/sh\nwhile :; do echo x; done\n");
        assert!(!ask(&endless).is_ok_and(|answer| answer.is_some()), "cut off, and no name");
        assert!(matches!(ask(&Rpm { program: "/no/such/rpm".into(), ..slow }), Err(NoAnswer::NotRun(_))));
    }

    #[test]
    fn a_command_that_others_may_write_is_not_run() {
        let room = tempfile::tempdir().unwrap();
        let program = room.path().join("rpm");
        std::fs::write(&program, format!("#!/bin/sh\ntouch {}/ran\necho git\n", room.path().display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
        let rpm = Rpm { program, directory: None, database: room.path().into(), patience: LONGEST };
        assert!(matches!(rpm.owner_of(Path::new("/usr/bin/env")), Err(NoAnswer::NotTrusted)));
        assert!(!room.path().join("ran").exists());
    }
}
