//! What is wrong with a profile, in words for people.
//!
//! Invariant: a text quotes no value of a key that could be secret, and nothing that could upset a terminal.

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Counts, but perhaps not as meant.
    Warning,
    /// Something in the file is void.
    Error,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as [`crate::Source::file`] names it; empty when it is about several.
    pub file: String,
    /// Line, from 1, where it is known.
    pub line: Option<u32>,
    /// The dotted key, where it is about one.
    pub key: Option<String>,
    /// What is wrong: lower case, no full stop.
    pub text: String,
    /// The next step, where there is an obvious one.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// `file:line: text`; the hint is left to the caller, who prints it on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line)?;
        f.write_str(&self.text)
    }
}

fn place(f: &mut impl fmt::Write, file: &str, line: Option<u32>) -> fmt::Result {
    match (file, line) {
        ("", _) => Ok(()),
        (file, Some(line)) => write!(f, "{file}:{line}: "),
        (file, None) => write!(f, "{file}: "),
    }
}

/// Adds one step to a dotted key; a name that is not plain is quoted, escaped and cut to what fits a line.
pub(crate) fn join(path: &str, step: &str) -> String {
    let plain =
        !step.is_empty() && step.len() <= 64 && step.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let quoted = if plain { String::new() } else { quote(step) };
    let step = if plain { step } else { &quoted };
    let mut joined = String::with_capacity(path.len() + 1 + step.len());
    joined.push_str(path);
    if !path.is_empty() {
        joined.push('.');
    }
    joined.push_str(step);
    joined
}

/// A piece of the file as it may be shown: escaped, quoted, at most 64 characters of it.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(64).map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(64).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// Characters that steer a terminal or the direction of text, and the quote that would end the quotation.
pub(crate) fn hidden(c: char) -> bool {
    c.is_control()
        || c == '"'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}
