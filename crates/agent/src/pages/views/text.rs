//! How text becomes part of a page.
//!
//! Invariant: what [`PageText`] writes is inert HTML text or attribute value, and shows every character that would
//! otherwise be invisible or turn the direction of its neighbours (bidirectional controls, zero-width and tag
//! characters, control characters) as its number. Limit: letters that merely look alike stay as they are.

use askama::filters::{Escaper, Html};
use std::fmt::{self, Write};

/// Escapes HTML and writes invisible characters as `[U+202E]`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PageText;

impl Escaper for PageText {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_hidden(*c)) {
            Html.write_escaped_str(&mut dest, &text[plain..at])?;
            write!(dest, "[U+{:04X}]", u32::from(c))?;
            plain = at + c.len_utf8();
        }
        Html.write_escaped_str(&mut dest, &text[plain..])
    }
}

/// Whether `c` cannot be seen, or changes how what follows is laid out. The joiners U+200C and U+200D are letters'
/// business in many scripts and stay.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Text as the value of a query (RFC 3986 §2): everything but plain letters, digits and `-._~` is escaped.
pub(crate) fn escape_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

/// A text that may be long, cut so that its beginning and its end are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Long {
    /// All of it.
    pub(crate) full: String,
    /// The beginning that is shown; for a path the page shortens it further where there is no room.
    pub(crate) head: String,
    /// The end, always shown.
    pub(crate) tail: String,
    /// Whether something between the two is left out.
    pub(crate) cut: bool,
}

impl Long {
    /// A name: at most 56 characters are shown, the middle goes first.
    pub(crate) fn name(text: &str) -> Self {
        let count = text.chars().count();
        if count <= 56 {
            return Self { full: text.to_owned(), head: text.to_owned(), tail: String::new(), cut: false };
        }
        let head: String = text.chars().take(33).chain(['…']).collect();
        let tail = text.chars().skip(count - 22).collect();
        Self { full: text.to_owned(), head, tail, cut: true }
    }

    /// A path: its last component stays (the last 28 characters of a longer one), the rest is shortened by the page.
    pub(crate) fn path(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let slash = characters.iter().rposition(|c| *c == '/').unwrap_or(0);
        let at = slash.max(characters.len().saturating_sub(28));
        Self {
            full: text.to_owned(),
            head: characters[..at].iter().collect(),
            tail: characters[at..].iter().collect(),
            cut: false,
        }
    }

    /// What is shown, on one line.
    pub(crate) fn short(&self) -> String {
        format!("{}{}", self.head, self.tail)
    }
}

/// A moment: in human words, with the exact value behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// In words: "for the next 12 hours, until 21:40".
    pub(crate) words: String,
    /// RFC 3339, in the person's own time zone: "2026-06-03T21:40:05+02:00".
    pub(crate) exact: String,
}

impl When {
    /// Both forms of one moment.
    pub(crate) fn new(words: impl Into<String>, exact: impl Into<String>) -> Self {
        Self { words: words.into(), exact: exact.into() }
    }

    /// The exact value as people read it: "2026-06-03 21:40:05 +02:00".
    pub(crate) fn title(&self) -> String {
        let Some((date, time)) = self.exact.split_once('T') else { return self.exact.clone() };
        match time.find(['Z', '+', '-']) {
            Some(at) if &time[at..] == "Z" => format!("{date} {} UTC", &time[..at]),
            Some(at) => format!("{date} {} {}", &time[..at], &time[at..]),
            None => format!("{date} {time}"),
        }
    }
}
