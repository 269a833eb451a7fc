//! What reaches stdout and stderr: whole answers, aligned tables, text a terminal cannot be steered with.
//!
//! Invariant: a closed or full stdout is a [`Failure`], never a panic, and stderr may be closed without consequence.

use crate::exit::Failure;
use serde::Serialize;
use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

/// Writes an answer to stdout. A reader that went away (EPIPE) ends the command quietly.
pub(crate) fn emit(text: &str) -> Result<(), Failure> {
    match write(text) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::cut()),
        Err(error) => Err(lost(&error)),
    }
}

/// Writes an answer to stdout that must arrive as a whole: a reader that went away is a failure.
pub(crate) fn emit_whole(text: &str) -> Result<(), Failure> {
    write(text).map_err(|error| lost(&error))
}

fn lost(error: &io::Error) -> Failure {
    Failure::new(localapi::ExitCode::Internal, format!("the answer cannot be written to stdout: {}", error.kind()))
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Whether whoever read our stdout went away, as far as that can be told without writing.
pub(crate) fn reader_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Writes `value` to stdout as one JSON document that is safe to look at in a terminal.
pub(crate) fn emit_json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| not_json(&error))?;
    emit(&(escape(&text) + "\n"))
}

/// `value` as one line of JSON, with its line feed.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| not_json(&error))?;
    Ok(escape(&text) + "\n")
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::new(localapi::ExitCode::Internal, format!("the answer cannot be written as JSON: {error}"))
}

/// JSON escapes C0 itself; what else could steer a terminal becomes `\u` escapes, which mean the same.
fn escape(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && steers(character) {
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Says something on stderr, as it is; a closed stderr is nobody's business.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says one line on stderr, stripped of control characters.
pub(crate) fn say(text: &str) {
    note(&(clean(text) + "\n"));
}

/// `text` on one line without control characters and without characters that change the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter_map(|character| match character {
            '\n' | '\r' | '\t' => Some(' '),
            character if steers(character) => None,
            character => Some(character),
        })
        .collect()
}

/// Control characters (C0, DEL, C1), line separators and bidirectional formatting.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Rows under a heading, aligned by two spaces.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Rows without headings.
    pub(crate) fn bare() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row; an empty cell shows as `-`.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { clean(text) };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// The text, each row on its own line.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_without_trailing_spaces() {
        let mut table = Table::new(&["ID", "PROGRAM", "SCOPES"]);
        table.row(["c1", "/usr/bin/git", "a b"]);
        table.row(["c-long", "/opt/žluť", ""]);
        assert_eq!(
            table.render(),
            "ID      PROGRAM       SCOPES\nc1      /usr/bin/git  a b\nc-long  /opt/žluť     -\n"
        );
        assert_eq!(Table::bare().render(), "");
    }

    #[test]
    fn cells_stay_on_their_line() {
        let mut table = Table::bare();
        table.row(["a\nb", "\x1b]0;title\x07x", "\u{202e}gnp"]);
        assert_eq!(table.render(), "a b  ]0;titlex  gnp\n");
    }

    #[test]
    fn json_stays_json_and_carries_no_controls() {
        let line = json_line(&"a\u{9b}31m\u{7f}\u{202e}\n").unwrap();
        assert_eq!(line, "\"a\\u009b31m\\u007f\\u202e\\n\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), "a\u{9b}31m\u{7f}\u{202e}\n");
    }
}
