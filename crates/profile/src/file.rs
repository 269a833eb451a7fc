//! Bytes of one file → a tree of values that know their line.
//!
//! Invariant: no input makes this overflow the stack or take more than a moment; what is not a profile at all is
//! refused with a text that says what it is instead. It knows TOML and JSON, and nothing about what the keys mean.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::{
    borrow::Cow,
    cell::Cell,
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    io,
};
use toml::de::{DeTable, DeValue};
use toml_parser::lexer::TokenKind;

/// The largest file that is read, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// The deepest dotted key that is read; the format needs four steps.
const MOST_DOTS: usize = 8;
/// The deepest table or list that is kept; the format needs five steps.
const MOST_DEPTH: usize = 12;

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    /// Line, from 1.
    pub(crate) line: Option<u32>,
    /// What it is.
    pub(crate) value: Tree<'a>,
}

/// Keys and values of one table, in the order of the keys. Most tables hold one key or two, and there are thousands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Table<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        let at = self.0.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        self.0.get(at).map(|(_, node)| node)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Node<'a>)> {
        self.0.iter().map(|(key, node)| (key, node))
    }
}

impl<'a> IntoIterator for Table<'a> {
    type Item = (Cow<'a, str>, Node<'a>);
    type IntoIter = std::vec::IntoIter<(Cow<'a, str>, Node<'a>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Node<'a>)> for Table<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Node<'a>)>>(entries: I) -> Self {
        let mut entries: Vec<(Cow<'a, str>, Node<'a>)> = entries.into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(entries)
    }
}

/// A value of either format.
#[derive(Debug, Clone)]
pub(crate) enum Tree<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node<'a>>),
    Table(Table<'a>),
    /// A kind of value no key takes: its name, for messages.
    Other(&'static str),
    /// Stands in for a key whose name was misspelt: never well typed, and already reported.
    Misspelt,
}

impl Hash for Tree<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Text(text) => text.hash(state),
            Self::Integer(number) => number.hash(state),
            Self::Boolean(truth) => truth.hash(state),
            Self::List(nodes) => nodes.iter().for_each(|node| node.value.hash(state)),
            Self::Table(table) => table.iter().for_each(|(key, node)| {
                key.hash(state);
                node.value.hash(state);
            }),
            Self::Other(kind) => kind.hash(state),
            Self::Misspelt => {}
        }
    }
}

impl Tree<'_> {
    /// Tells it from other values, wherever they stand; for comparisons within one reading.
    pub(crate) fn hashed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
            Self::Misspelt => "a misspelt key",
        }
    }
}

/// Why a file is no profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) line: Option<u32>,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
    /// The key that refuses this agent, where it is not the file that is broken.
    pub(crate) key: Option<&'static str>,
}

impl Unreadable {
    pub(crate) fn new(line: Option<u32>, text: impl Into<String>, hint: &str) -> Self {
        Self { line, text: text.into(), hint: (!hint.is_empty()).then(|| hint.to_owned()), key: None }
    }

    /// Says that `key` refuses this agent.
    pub(crate) fn by(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }
}

/// Reads a file; its format goes by the ending of its name. What comes out of macOS's managed preferences or the policy
/// registry of Windows is JSON under the name of its place.
pub(crate) fn parse<'a>(name: &str, bytes: &'a [u8]) -> Result<Table<'a>, Unreadable> {
    if name.starts_with("HKEY_LOCAL_MACHINE\\") {
        return json_table(as_text(bytes, Some('<'), None)?);
    }
    let ending = name.rsplit(['/', '\\']).next().and_then(|n| n.rsplit_once('.')).map(|(_, e)| e.to_ascii_lowercase());
    match ending.as_deref() {
        Some("toml") => toml_table(as_text(bytes, Some('<'), Some('{'))?),
        Some("json" | "plist") => json_table(as_text(bytes, Some('<'), None)?),
        _ => Err(Unreadable::new(None, "is neither .toml nor .json", "name the file NAME.toml or NAME.json")),
    }
}

fn as_text(bytes: &[u8], html: Option<char>, json: Option<char>) -> Result<&str, Unreadable> {
    if bytes.len() > MOST_BYTES {
        return Err(Unreadable::new(
            None,
            "is larger than 1 MiB",
            "a profile holds a few hundred lines; is this the right file?",
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Unreadable::new(Some(1), "is UTF-16 text", "save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    if bytes.contains(&0) {
        let at = bytes.iter().position(|b| *b == 0).unwrap_or_default();
        return Err(Unreadable::new(Some(line_at(bytes, at)), "is binary or UTF-16, not text", "save it as UTF-8"));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        Unreadable::new(Some(line_at(bytes, error.valid_up_to())), "is not UTF-8 text", "save it as UTF-8")
    })?;
    let first = text.trim_start().chars().next();
    if first.is_none() {
        return Err(Unreadable::new(None, "is empty", "a profile begins with version = 1"));
    }
    if first == html {
        return Err(Unreadable::new(
            Some(1),
            "is a web page or XML, not a profile",
            "a sign-in page or a proxy may have answered where the profile was fetched",
        ));
    }
    if first == json {
        return Err(Unreadable::new(Some(1), "is JSON in a file named .toml", "name the file NAME.json"));
    }
    Ok(text)
}

fn line_at(bytes: &[u8], offset: usize) -> u32 {
    let newlines = bytes.iter().take(offset).filter(|b| **b == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

fn toml_table(text: &str) -> Result<Table<'_>, Unreadable> {
    refuse_deep_keys(text)?;
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text.as_bytes(), span.start));
        Unreadable::new(line, format!("is not TOML: {}", lower(error.message())), "")
    })?;
    let lines = Lines::of(text);
    Ok(toml_entries(document.into_inner(), &lines, 0))
}

/// The parser limits nested values and dotted keys to 80 steps each, but not their product: a tower of 6,400 tables is
/// more than a small thread's stack can take down again.
fn refuse_deep_keys(text: &str) -> Result<(), Unreadable> {
    // A key stands on one line: where no line has so many dots, there is nothing to look at.
    if text.lines().all(|line| line.bytes().filter(|byte| *byte == b'.').count() <= MOST_DOTS) {
        return Ok(());
    }
    let mut dots = 0;
    for token in toml_parser::Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::Newline
            | TokenKind::Equals
            | TokenKind::Comma
            | TokenKind::LeftSquareBracket
            | TokenKind::RightSquareBracket
            | TokenKind::LeftCurlyBracket
            | TokenKind::RightCurlyBracket => dots = 0,
            _ => {}
        }
        if dots > MOST_DOTS {
            let line = line_at(text.as_bytes(), token.span().start());
            return Err(Unreadable::new(Some(line), "is not TOML: a key is nested too deeply", ""));
        }
    }
    Ok(())
}

/// Offsets of the line feeds, so that a span's line is a search and not a scan, and where the last one asked for lies:
/// the values of a long list stand on one line.
struct Lines {
    feeds: Vec<usize>,
    last: Cell<(usize, usize, usize)>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let feeds = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { feeds, last: Cell::new((1, 0, 0)) }
    }

    fn line(&self, offset: usize) -> Option<u32> {
        let (begins, ends, before) = self.last.get();
        if (begins..=ends).contains(&offset) {
            return u32::try_from(before + 1).ok();
        }
        let before = self.feeds.partition_point(|feed| *feed < offset);
        let begins = before.checked_sub(1).and_then(|feed| self.feeds.get(feed)).map_or(0, |feed| feed + 1);
        let ends = self.feeds.get(before).copied().unwrap_or(usize::MAX);
        self.last.set((begins, ends, before));
        u32::try_from(before + 1).ok()
    }
}

fn toml_entries<'a>(table: DeTable<'a>, lines: &Lines, depth: usize) -> Table<'a> {
    let entry = |(key, value): (toml::Spanned<Cow<'a, str>>, toml::Spanned<DeValue<'a>>)| {
        let line = lines.line(key.span().start);
        (key.into_inner(), Node { line, value: toml_value(value.into_inner(), lines, depth + 1) })
    };
    table.into_iter().map(entry).collect()
}

fn toml_value<'a>(value: DeValue<'a>, lines: &Lines, depth: usize) -> Tree<'a> {
    match value {
        DeValue::String(text) => Tree::Text(text),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Tree::Other("a number out of range"), Tree::Integer),
        DeValue::Float(_) => Tree::Other("a fraction"),
        DeValue::Boolean(value) => Tree::Boolean(value),
        DeValue::Datetime(_) => Tree::Other("a date"),
        DeValue::Array(_) | DeValue::Table(_) if depth > MOST_DEPTH => Tree::Other("nested too deeply"),
        DeValue::Array(items) => Tree::List(
            items
                .into_iter()
                .map(|item| Node {
                    line: lines.line(item.span().start),
                    value: toml_value(item.into_inner(), lines, depth + 1),
                })
                .collect(),
        ),
        DeValue::Table(table) => Tree::Table(toml_entries(table, lines, depth)),
    }
}

fn json_table(text: &str) -> Result<Table<'static>, Unreadable> {
    let newlines = Cell::new(0);
    let mut reader = serde_json::Deserializer::from_reader(Counting { rest: text.as_bytes(), newlines: &newlines });
    let read = JsonSeed { newlines: &newlines, depth: 0 }.deserialize(&mut reader).and_then(|node| {
        reader.end()?;
        Ok(node)
    });
    let node = read.map_err(|error| {
        let line = u32::try_from(error.line()).ok().filter(|line| *line > 0);
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        Unreadable::new(line, format!("is not JSON: {}", lower(text)), "")
    })?;
    match node.value {
        Tree::Table(table) => Ok(table),
        other => Err(Unreadable::new(Some(1), format!("is {} where a JSON object is needed", other.kind()), "")),
    }
}

/// Hands text out byte by byte and counts the lines on the way: the JSON parser tells no positions of values.
struct Counting<'a> {
    rest: &'a [u8],
    newlines: &'a Cell<u32>,
}

impl io::Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some(slot), Some((byte, rest))) = (buffer.first_mut(), self.rest.split_first()) else { return Ok(0) };
        if *byte == b'\n' {
            self.newlines.set(self.newlines.get().saturating_add(1));
        }
        *slot = *byte;
        self.rest = rest;
        Ok(1)
    }
}

#[derive(Clone, Copy)]
struct JsonSeed<'a> {
    newlines: &'a Cell<u32>,
    depth: usize,
}

impl JsonSeed<'_> {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for JsonSeed<'_> {
    type Value = Node<'static>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node<'static>, D::Error> {
        let line = self.newlines.get().checked_add(1);
        Ok(Node { line, value: deserializer.deserialize_any(self)? })
    }
}

impl<'de> Visitor<'de> for JsonSeed<'_> {
    type Value = Tree<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'static>, E> {
        Ok(Tree::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'static>, E> {
        Ok(Tree::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'static>, E> {
        Ok(i64::try_from(value).map_or(Tree::Other("a number out of range"), Tree::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree<'static>, E> {
        Ok(Tree::Other("a fraction"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'static>, E> {
        Ok(Tree::Text(value.to_owned().into()))
    }

    fn visit_unit<E>(self) -> Result<Tree<'static>, E> {
        Ok(Tree::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree<'static>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper())? {
            list.push(item);
        }
        Ok(if self.depth > MOST_DEPTH { Tree::Other("nested too deeply") } else { Tree::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree<'static>, A::Error> {
        let mut table: BTreeMap<String, Node<'static>> = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.deeper())?;
            if table.insert(key, value).is_some() {
                return Err(de::Error::custom("a key is there twice"));
            }
        }
        Ok(if self.depth > MOST_DEPTH {
            Tree::Other("nested too deeply")
        } else {
            Tree::Table(table.into_iter().map(|(key, node)| (Cow::Owned(key), node)).collect())
        })
    }
}

/// Parser messages in the house's form; what they quote of the input is a single character at most.
fn lower(message: &str) -> String {
    let message = message.trim().trim_end_matches('.').replace(['\n', '\r'], " ");
    if message.starts_with("EOF") {
        return message.replacen("EOF", "the file ends", 1);
    }
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, bytes: &[u8]) -> (Option<u32>, String) {
        let error = parse(name, bytes).expect_err("must be refused");
        (error.line, error.text)
    }

    #[test]
    fn what_is_no_profile_is_named() {
        let utf16: Vec<u8> = "version = 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let with_bom: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16.iter().copied()).collect();
        for (name, bytes, text) in [
            ("a.toml", &b""[..], "empty"),
            ("a.json", b" \n", "empty"),
            ("a.toml", b"\xef\xbb\xbf", "empty"),
            ("a.toml", &utf16, "UTF-16"),
            ("a.toml", &with_bom, "UTF-16"),
            ("a.toml", b"\n<!DOCTYPE html>", "web page"),
            ("a.json", b"<html>", "web page"),
            ("a.toml", b"{\"version\": 1}", "JSON in a file named .toml"),
            ("a.json", b"version = 1", "not JSON"),
            ("a.json", b"[1]", "a list"),
            ("a.json", b"{} {}", "trailing"),
            ("a.json", b"{\"a\": 1, \"a\": 2}", "twice"),
            ("a.toml", b"a = 1\na = 2", "duplicate"),
            ("a.toml", &[b'a', 0x80], "not UTF-8"),
            ("a.yaml", b"a: 1", "neither"),
            ("toml", b"version = 1", "neither"),
        ] {
            let (_, said) = refused(name, bytes);
            assert!(said.contains(text), "{name}: {said}");
        }
        assert!(refused("a.toml", &vec![b' '; MOST_BYTES + 1]).1.contains("1 MiB"));
    }

    #[test]
    fn syntax_errors_tell_their_line() {
        assert_eq!(refused("a.toml", b"version = 1\n\nx = \n").0, Some(3));
        assert_eq!(refused("a.json", b"{\n\"a\": 1,\n\"b\" 2}").0, Some(3));
        assert_eq!(refused("a.toml", b"a = 1\n\n\x00").0, Some(3));
    }

    #[test]
    fn values_tell_their_line() {
        let toml = parse("A.TOML", b"\xef\xbb\xbfversion = 1\n[a.b]\n\nc = [\n 1,\n 2]\n").expect("reads");
        let json = parse("a.json", b"{\"version\": 1,\n\"a\": {\"b\":\n\n{\"c\": [\n 1,\n 2]}}}").expect("reads");
        for table in [toml, json] {
            fn at<'a>(table: &Table<'a>, key: &str) -> Node<'a> {
                table.get(key).expect("there").clone()
            }
            let Tree::Table(a) = &at(&table, "a").value else { panic!("a table") };
            let Tree::Table(b) = &at(a, "b").value else { panic!("a table") };
            let Tree::List(c) = &at(b, "c").value else { panic!("a list") };
            assert_eq!((at(&table, "version").line, at(b, "c").line), (Some(1), Some(4)));
            assert_eq!((c[0].line, c[1].line), (Some(5), Some(6)));
        }
    }

    #[test]
    fn bombs_do_not_go_off() {
        let deep = 200_000;
        for (name, text) in [
            ("a.toml", format!("a{} = 1", ".a".repeat(deep))),
            ("a.toml", format!("a{} = 1", ".\"=\"".repeat(deep))),
            ("a.toml", format!("[a{}]\nb = 1", ".a".repeat(deep))),
            ("a.toml", format!("[[a{}]]\nb = 1", " . a".repeat(deep))),
            ("a.toml", format!("a = {}", "[".repeat(deep))),
            ("a.toml", format!("a = {}{}", "[".repeat(deep), "]".repeat(deep))),
            ("a.toml", format!("a = {}", "{a=".repeat(deep))),
            ("a.toml", format!("a = {}", "{a.a.a.a.a.a.a.a=".repeat(60_000))),
            ("a.toml", "[".repeat(deep)),
            ("a.json", "[".repeat(deep)),
            ("a.json", "{\"a\":".repeat(deep)),
        ] {
            assert!(parse(name, text.as_bytes()).is_err(), "{}", &text[..20]);
        }
        let step = format!("{{a{} = ", ".a".repeat(78));
        let tower = format!("[a{}]\na = {}1{}", ".a".repeat(78), step.repeat(80), "}".repeat(80));
        let small = std::thread::Builder::new().stack_size(512 * 1024);
        let read = small.spawn(move || parse("a.toml", tower.as_bytes()).is_err()).expect("starts");
        assert!(read.join().expect("ends"));
        let wide: String = (0..60_000).map(|i| format!("k{i} = 1")).collect::<Vec<_>>().join("\n");
        assert_eq!(parse("a.toml", wide.as_bytes()).expect("reads").len(), 60_000);
    }
}
