//! Which executables run other people's programs, and which file their command line says they run.
//!
//! Invariant: in doubt an interpreter is taken to run no file. That is the weaker identity: it may hold one token on a
//! held call and nothing that lasts.
//! Limit: the command line is the process's own word, and what an interpreter loads besides its file is not seen.

/// What kind of program an executable's file name makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A program of its own.
    Ordinary,
    /// Does what whoever started it wants: HTTP clients, and programs that start other programs.
    Generic,
    /// Runs a file, a command or a terminal.
    Interpreter(Family),
    /// The dynamic loader, run by name with a program as its argument.
    Loader,
}

/// Interpreters that read their command line alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `sh` and what reads options as it does.
    Shell,
    /// A shell whose options are its own: only without any is it known what it does.
    OtherShell,
    Python,
    Node,
    Ruby,
    Perl,
    Php,
    Lua,
    Deno,
    Bun,
    Java,
    Dotnet,
    /// Known to run files, but not how.
    Other,
}

impl Family {
    pub(super) fn is_shell(self) -> bool {
        matches!(self, Self::Shell | Self::OtherShell)
    }
}

mod command_line;

pub(super) use command_line::{Runs, runs};

use Family::{Bun, Deno, Dotnet, Java, Lua, Node, Other, OtherShell, Perl, Php, Python, Ruby, Shell};

pub(super) const FAMILIES: [(Family, &[&str]); 13] = [
    (
        Shell,
        &["sh", "ash", "bash", "rbash", "dash", "zsh", "rzsh", "ksh", "rksh", "mksh", "lksh", "pdksh", "yash", "posh"],
    ),
    (
        OtherShell,
        &["fish", "csh", "tcsh", "bsd-csh", "nu", "elvish", "xonsh", "pwsh", "powershell", "rc", "es", "oil", "osh"],
    ),
    (Python, &["python", "pypy", "pypy3-c", "python-dbg", "micropython"]),
    (Node, &["node", "nodejs", "electron-node"]),
    (Ruby, &["ruby", "jruby", "mruby", "truffleruby"]),
    (Perl, &["perl", "raku"]),
    (Php, &["php", "php-cgi", "hhvm"]),
    (Lua, &["lua", "luajit", "texlua"]),
    (Deno, &["deno"]),
    (Bun, &["bun"]),
    (Java, &["java"]),
    (Dotnet, &["dotnet", "mono", "mono-sgen"]),
    (
        Other,
        &[
            "busybox",
            "toybox",
            "awk",
            "gawk",
            "mawk",
            "nawk",
            "original-awk",
            "sed",
            "tclsh",
            "wish",
            "expect",
            "guile",
            "gdb",
            "lldb",
            "julia",
            "erl",
            "beam.smp",
            "escript",
            "elixir",
            "racket",
            "sbcl",
            "octave",
            "octave-cli",
            "r",
            "rscript",
            "m",
            "bc",
            "dc",
            "ocaml",
            "ghc",
            "ghci",
            "runghc",
            "groovy",
            "scala",
            "kotlin",
            "clojure",
            "bb",
            "osascript",
            "wine",
            "wine-preloader",
            "wine64-preloader",
            "qjs",
            "d8",
            "gjs",
            "gjs-console",
            "cjs",
            "qml",
            "swipl",
            "emacs",
            "vim",
            "nvim",
            "make",
            "gmake",
            "just",
            "ninja",
            "jshell",
            "tsx",
            "irb",
            "php-fpm",
        ],
    ),
];

/// Programs behind which stands whoever started them.
const GENERIC: &[&str] = &[
    "curl",
    "wget",
    "http",
    "https",
    "httpie",
    "xh",
    "xhs",
    "aria2c",
    "lynx",
    "w3m",
    "links",
    "nc",
    "ncat",
    "netcat",
    "nc.openbsd",
    "nc.traditional",
    "socat",
    "openssl",
    "telnet",
    "ssh",
    "sshd",
    "sshd-session",
    "sshd-auth",
    "env",
    "timeout",
    "nice",
    "ionice",
    "nohup",
    "setsid",
    "xargs",
    "find",
    "parallel",
    "sudo",
    "sudo-rs",
    "doas",
    "su",
    "su-rs",
    "runuser",
    "setpriv",
    "unshare",
    "nsenter",
    "strace",
    "ltrace",
    "watch",
    "time",
    "flock",
    "script",
    "stdbuf",
    "chroot",
    "tmux",
    "tmux: server",
    "screen",
    "systemd",
    "systemd-run",
    "systemd-executor",
    "init",
    "start-stop-daemon",
    "cron",
    "crond",
    "atd",
    "dbus-run-session",
    "dbus-daemon",
    "dbus-broker",
    "git-remote-https",
];

/// The kind of an executable, by the name of its file. Versions at the end do not count (`python3.11`, `php8.2`).
pub(super) fn kind(file_name: &[u8]) -> Kind {
    let Ok(name) = std::str::from_utf8(file_name) else { return Kind::Ordinary };
    let name = name.strip_suffix(".exe").unwrap_or(name);
    if is_loader(name) {
        return Kind::Loader;
    }
    let lower = name.to_ascii_lowercase();
    let stem = stem(&lower);
    // `wget2` and `k3s` lose their digits as `python3` does; the whole name is looked up first.
    for candidate in [lower.as_str(), stem] {
        if let Some((family, _)) = FAMILIES.iter().find(|(_, names)| names.contains(&candidate)) {
            return Kind::Interpreter(*family);
        }
        if GENERIC.contains(&candidate) {
            return Kind::Generic;
        }
    }
    Kind::Ordinary
}

fn is_loader(name: &str) -> bool {
    name == "ld.so" || (name.starts_with("ld-") && name.contains(".so")) || name.starts_with("ld64.so")
}

/// `python3.11`, `python3.13t`, `pypy3.9`, `perl5.36.0`, `php8.2`, `ruby-3.2`, `lua5.4`, `node-22`.
fn stem(name: &str) -> &str {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let plain = if plain.len() < name.len() {
        plain
    } else {
        name.strip_suffix(['t', 'd', 'm']).map_or(name, |inner| {
            let short = inner.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            if short.len() < inner.len() { short } else { name }
        })
    };
    plain.trim_end_matches(['-', '_'])
}

#[cfg(test)]
mod tests;
