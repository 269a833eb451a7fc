//! Reads the command lines of interpreters, one reader for each family.
//!
//! Invariant: an option that is not known to be harmless ends the reading, and then no file is run as far as we can tell.

use super::Family::{self, Bun, Deno, Dotnet, Java, Lua, Node, Other, OtherShell, Perl, Php, Python, Ruby, Shell};

/// What a command line says is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Runs<'a> {
    /// This file.
    File(&'a [u8]),
    /// A command, standard input, a module, or something that cannot be told.
    Inline,
    /// No file and no command: a shell is interactive then, if it has a terminal.
    Nothing,
}

/// What the command line of an interpreter says it runs; `arguments[0]` is the program's own name.
pub(in super::super) fn runs(family: Family, arguments: &[Vec<u8>]) -> Runs<'_> {
    let Some((_, rest)) = arguments.split_first() else { return Runs::Inline };
    let read = match family {
        Shell => shell,
        OtherShell | Other => alone,
        Python => python,
        Node => node,
        Ruby => ruby,
        Perl => perl,
        Php => php,
        Lua => lua,
        Deno => deno,
        Bun => bun,
        Java => java,
        Dotnet => dotnet,
    };
    match read(&mut Words { left: rest }) {
        Some(Runs::File(b"")) | None => Runs::Inline,
        Some(answer) => answer,
    }
}

/// Arguments not read yet.
struct Words<'a> {
    left: &'a [Vec<u8>],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(first)
    }

    /// The word after the options: the file, or nothing.
    fn file(&mut self) -> Runs<'a> {
        match self.next() {
            Some(b"-") => Runs::Inline,
            Some(word) => Runs::File(word),
            None => Runs::Nothing,
        }
    }

    /// The value of a short option: what follows in its word, or the next word.
    fn value(&mut self, attached: &[u8]) -> Option<()> {
        if attached.is_empty() { self.next().map(drop) } else { Some(()) }
    }
}

// Each reader below answers `None` when it meets something it does not know.

fn alone<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    words.left.is_empty().then_some(Runs::Nothing)
}

fn shell<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    const KNOWN_LONG: [&[u8]; 7] =
        [b"login", b"norc", b"noprofile", b"posix", b"restricted", b"noediting", b"interactive"];
    loop {
        let before = words.left;
        let Some(word) = words.next() else { return Some(Runs::Nothing) };
        match word {
            b"--" | b"-" | b"+" => return Some(words.file()),
            [b'-', b'-', name @ ..] if KNOWN_LONG.contains(&name) => {}
            [b'-', b'-', ..] => return None,
            [b'-' | b'+', letters @ ..] => {
                for letter in letters {
                    match letter {
                        b'c' | b's' => return Some(Runs::Inline),
                        b'o' | b'O' => {
                            words.next()?;
                        }
                        b'a'..=b'z' | b'A'..=b'Z' => {}
                        _ => return None,
                    }
                }
            }
            _ => {
                words.left = before;
                return Some(words.file());
            }
        }
    }
}

fn python<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    loop {
        let before = words.left;
        match words.next() {
            None => return Some(Runs::Nothing),
            Some(b"-") => return Some(Runs::Inline),
            Some(b"--") => return Some(words.file()),
            Some(b"--check-hash-based-pycs") => words.next().map(drop)?,
            Some([b'-', b'-', ..]) => return None,
            Some([b'-', letters @ ..]) => {
                for (at, letter) in letters.iter().enumerate() {
                    match letter {
                        b'b' | b'B' | b'd' | b'E' | b'i' | b'I' | b'O' | b'P' | b'q' | b's' | b'S' | b'u' | b'v'
                        | b'x' => {}
                        b'W' | b'X' => {
                            words.value(&letters[at + 1..])?;
                            break;
                        }
                        _ => return None,
                    }
                }
            }
            Some(_) => {
                words.left = before;
                return Some(words.file());
            }
        }
    }
}

/// Options of the form `--name` or `--name=value` that neither run nor load code, and the file after them.
fn long_options<'a>(words: &mut Words<'a>, harmless: impl Fn(&[u8]) -> bool) -> Option<Runs<'a>> {
    loop {
        let before = words.left;
        match words.next() {
            None => return Some(Runs::Nothing),
            Some(b"--") => return Some(words.file()),
            Some(word) if word.starts_with(b"-") => {
                if !harmless(word) {
                    return None;
                }
            }
            Some(_) => {
                words.left = before;
                return Some(words.file());
            }
        }
    }
}

fn starts_with_any(word: &[u8], prefixes: &[&[u8]]) -> bool {
    prefixes.iter().any(|prefix| word.starts_with(prefix))
}

fn node<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    long_options(words, |word| {
        let with_value = word.contains(&b'=');
        starts_with_any(word, &[b"--no-"])
            || [
                &b"--enable-source-maps"[..],
                b"--trace-warnings",
                b"--trace-uncaught",
                b"--expose-gc",
                b"--use-system-ca",
            ]
            .contains(&word)
            || (with_value && starts_with_any(word, &[b"--max-", b"--stack-", b"--title=", b"--unhandled-rejections="]))
    })
}

fn ruby<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    loop {
        let before = words.left;
        match words.next() {
            None => return Some(Runs::Nothing),
            Some(b"-") => return Some(Runs::Inline),
            Some(b"--") => return Some(words.file()),
            Some([b'-', b'-', name @ ..]) if starts_with_any(name, &[b"enable=", b"disable=", b"encoding="]) => {}
            Some(b"--yjit" | b"--jit" | b"--verbose" | b"--disable-gems") => {}
            Some([b'-', letters @ ..]) => {
                for (at, letter) in letters.iter().enumerate() {
                    match letter {
                        b'd' | b'w' | b'v' | b'a' | b'l' | b'n' | b'p' | b's' | b'U' => {}
                        b'W' => break,
                        b'I' | b'r' | b'E' => {
                            words.value(&letters[at + 1..])?;
                            break;
                        }
                        _ => return None,
                    }
                }
            }
            Some(_) => {
                words.left = before;
                return Some(words.file());
            }
        }
    }
}

fn perl<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    loop {
        let before = words.left;
        match words.next() {
            None => return Some(Runs::Nothing),
            Some(b"-") => return Some(Runs::Inline),
            Some(b"--") => return Some(words.file()),
            Some([b'-', letters @ ..]) => {
                for (at, letter) in letters.iter().enumerate() {
                    match letter {
                        b'a'
                        | b'c'
                        | b'f'
                        | b'n'
                        | b'p'
                        | b's'
                        | b't'
                        | b'T'
                        | b'u'
                        | b'U'
                        | b'w'
                        | b'W'
                        | b'X'
                        | b'l'
                        | b'0'..=b'9' => {}
                        b'I' => {
                            words.value(&letters[at + 1..])?;
                            break;
                        }
                        b'M' | b'm' if at + 1 < letters.len() => break,
                        _ => return None,
                    }
                }
            }
            Some(_) => {
                words.left = before;
                return Some(words.file());
            }
        }
    }
}

fn php<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    loop {
        let before = words.left;
        match words.next() {
            None => return Some(Runs::Nothing),
            Some(b"--" | b"-") => return Some(Runs::Inline),
            Some(b"-f") => return Some(words.file()),
            Some(b"-n" | b"-q" | b"-C" | b"-e" | b"-H") => {}
            Some([b'-', b'd' | b'c', attached @ ..]) => words.value(attached)?,
            Some([b'-', ..]) => return None,
            Some(_) => {
                words.left = before;
                return Some(words.file());
            }
        }
    }
}

fn lua<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    loop {
        let before = words.left;
        match words.next() {
            None => return Some(Runs::Nothing),
            Some(b"-") => return Some(Runs::Inline),
            Some(b"--") => return Some(words.file()),
            Some(b"-i" | b"-E" | b"-v" | b"-W") => {}
            Some([b'-', b'l', attached @ ..]) => words.value(attached)?,
            Some([b'-', ..]) => return None,
            Some(_) => {
                words.left = before;
                return Some(words.file());
            }
        }
    }
}

fn deno<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    if words.left.first().is_some_and(|word| word == b"run") {
        words.next();
    }
    let answer = long_options(words, |word| {
        starts_with_any(word, &[b"--allow-", b"--deny-", b"--no-", b"--unstable"])
            || [&b"-A"[..], b"-q", b"--quiet"].contains(&word)
    });
    local_file(answer)
}

fn bun<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    if words.left.first().is_some_and(|word| word == b"run") {
        words.next();
    }
    let answer = long_options(words, |word| [&b"--silent"[..], b"--smol", b"--no-install"].contains(&word));
    local_file(answer)
}

/// Where a first word may also be a subcommand, an address or a package: only what looks like a file is one.
fn local_file(answer: Option<Runs<'_>>) -> Option<Runs<'_>> {
    match answer {
        Some(Runs::File(word)) if word.contains(&b':') || !word.iter().any(|byte| b"./".contains(byte)) => None,
        other => other,
    }
}

fn java<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    const WITH_VALUE: [&[u8]; 8] = [
        b"-cp",
        b"-classpath",
        b"--class-path",
        b"-p",
        b"--module-path",
        b"--add-modules",
        b"--add-opens",
        b"--add-exports",
    ];
    loop {
        match words.next()? {
            b"-jar" => return Some(words.file()),
            word if WITH_VALUE.contains(&word) => words.next().map(drop)?,
            b"-ea" | b"-esa" | b"-server" | b"-client" | b"--enable-preview" => {}
            word if starts_with_any(word, &[b"-javaagent", b"-Xbootclasspath", b"-agent", b"-Xrun"]) => return None,
            word if starts_with_any(word, &[b"-X", b"-D"]) => {}
            word if word.starts_with(b"--add-") && word.contains(&b'=') => {}
            word if word.ends_with(b".java") && !word.starts_with(b"-") => return Some(Runs::File(word)),
            _ => return None,
        }
    }
}

fn dotnet<'a>(words: &mut Words<'a>) -> Option<Runs<'a>> {
    let word = words.next()?;
    (!word.starts_with(b"-") && (word.ends_with(b".dll") || word.ends_with(b".exe"))).then_some(Runs::File(word))
}
