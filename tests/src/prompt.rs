//! A person at a prompt: an interactive shell that leads the session of a terminal of its own.

use crate::{
    home::Home,
    process::{self, Running},
    until,
};
use std::{
    fs,
    io::Write as _,
    process::{ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long the shell may take to show something.
const LIMIT: Duration = Duration::from_mins(1);

/// The shell. `daypass` is found first in `home/bin`, then where the programs of this workspace are.
pub struct Prompt {
    home: Arc<Home>,
    keys: ChildStdin,
    screen: String,
    _shell: Running,
}

/// What came of something typed.
#[derive(Debug)]
pub struct Said {
    /// Its exit code, as the shell tells it.
    pub code: String,
    /// Its standard output.
    pub out: String,
    /// Its standard error, where that was not the terminal.
    pub err: String,
}

impl Prompt {
    /// Opens one in `home`.
    pub fn open(home: &Arc<Home>) -> Self {
        let programs = crate::program("daypass").parent().expect("a folder").display().to_string();
        let path =
            format!("{}:{programs}:{}", home.folder("home/bin").display(), std::env::var("PATH").expect("a path"));
        Self::open_with(home, &path)
    }

    /// Opens one in `home` with this `PATH`.
    pub fn open_with(home: &Arc<Home>, path: &str) -> Self {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        // A shell keeps ignoring what was ignored when it started, as Ctrl-C is in a job in the background.
        let mut command = Command::new("env");
        // Without a command, so that the shell leads its session, as a person's does.
        command.args(["--default-signal", "script", "--quiet", "--return", "/dev/null"]);
        let screen = format!("screen.{}", OPENED.fetch_add(1, Ordering::Relaxed));
        let file = fs::File::create(home.log(&screen)).expect("a file");
        home.prepare(&mut command).env("PATH", path).env("TERM", "dumb").env("SHELL", "/bin/bash");
        let mut shell = process::spawn(command.stdin(Stdio::piped()).stdout(file).stderr(Stdio::null()));
        let keys = shell.stdin.take().expect("piped");
        Self { home: home.clone(), keys, screen, _shell: Running::adopt(shell) }
    }

    /// What stands on the screen so far.
    pub fn screen(&self) -> String {
        fs::read_to_string(self.home.log(&self.screen)).unwrap_or_default()
    }

    /// Where what is typed next leaves its text, its answer, what it says besides, and its code.
    fn begin(&self, text: &str) -> [String; 4] {
        static TYPED: AtomicUsize = AtomicUsize::new(0);
        let typed = TYPED.fetch_add(1, Ordering::Relaxed);
        let files = ["line", "out", "err", "code"].map(|kind| self.home.log(&format!("{typed}.{kind}")));
        let files = files.map(|file| file.display().to_string());
        self.home.write(&format!("log/{typed}.line"), &format!("{}\n", text.trim_end()), 0o644);
        files
    }

    fn key_in(&mut self, line: &str) {
        writeln!(self.keys, "{line}").expect("the shell reads");
    }

    fn end([_, out, err, code]: &[String; 4]) -> Said {
        let code = until("the command to end", Duration::from_mins(2), || {
            fs::read_to_string(code).ok().filter(|code| code.ends_with('\n'))
        });
        let text = |file| fs::read_to_string(file).unwrap_or_default();
        Said { code: code.trim().to_owned(), out: text(out), err: text(err) }
    }

    /// Types something and returns what came of it.
    pub fn run(&mut self, text: &str) -> Said {
        self.run_while(text, |_| ())
    }

    /// The same; `meanwhile` runs beside it and is given the file of its answer.
    pub fn run_while(&mut self, text: &str, meanwhile: impl FnOnce(&str)) -> Said {
        let files = self.begin(text);
        let [typed, out, err, code] = &files;
        self.key_in(&format!(". {typed} >{out} 2>{err}; echo $? >{code}"));
        meanwhile(out);
        Self::end(&files)
    }

    /// The same with standard error on the terminal; `meanwhile` is given this prompt, to read its screen.
    pub fn run_on_screen(&mut self, text: &str, meanwhile: impl FnOnce(&Self)) -> Said {
        let files = self.begin(text);
        let [typed, out, _, code] = &files;
        self.key_in(&format!(". {typed} >{out}; echo $? >{code}"));
        meanwhile(self);
        Self::end(&files)
    }

    /// Types something, and an answer to each question when it stands on the screen.
    pub fn run_answering(&mut self, text: &str, answers: &[(&str, &str)]) -> Said {
        let files = self.begin(text);
        let [typed, out, err, code] = &files;
        let asked = |prompt: &Self, question: &str| prompt.screen().matches(question).count();
        let before: Vec<_> = answers.iter().map(|(question, _)| asked(self, question)).collect();
        self.key_in(&format!(". {typed} >{out} 2>{err}; echo $? >{code}"));
        for ((question, answer), before) in answers.iter().zip(before) {
            until(question, LIMIT, || (asked(self, question) > before).then_some(()));
            self.key_in(answer);
        }
        Self::end(&files)
    }

    /// Types something that has no end, and Ctrl-C once it has answered.
    pub fn interrupt(&mut self, text: &str) -> Said {
        let files = self.begin(text);
        let [typed, out, err, code] = &files;
        self.key_in(&format!(". {typed} >{out} 2>{err}"));
        until("an answer", LIMIT, || fs::metadata(out).is_ok_and(|file| file.len() > 0).then_some(()));
        self.keys.write_all(b"\x03").expect("the shell reads");
        // The terminal forgets what is typed before the interrupt has arrived.
        std::thread::sleep(Duration::from_millis(500));
        self.key_in(&format!("echo $? >{code}"));
        Self::end(&files)
    }
}
