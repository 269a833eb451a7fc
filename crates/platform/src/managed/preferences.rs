//! Managed preferences of macOS (a property list that an MDM profile of type `com.apple.ManagedClient.preferences` left
//! here) → the bytes of a profile as JSON. Reading the file is untested; the conversion is tested everywhere.
//!
//! Invariant: every key arrives as it was written, with the type it was written in; what JSON has no word for becomes null,
//! which no key of a profile takes. The limit: a binary property list is believed to be what macOS wrote.

use plist::Value;
use serde_json::{Map, Value as Json, json};

/// Deepest nesting that is read; a profile needs five steps.
const MOST_DEPTH: usize = 32;

/// Where MDM puts what it manages, and the file of this program.
#[cfg(target_os = "macos")]
const PLACE: (&str, &str) = ("/Library/Managed Preferences", "com.daypass.agent.plist");

/// Adds what MDM put here. Ownership and modes are checked as those of files are.
#[cfg(target_os = "macos")]
pub(super) fn add(files: &mut Vec<super::ManagedFile>, problems: &mut Vec<super::ManagedProblem>) {
    let (dir, name) = (std::path::Path::new(PLACE.0), std::ffi::OsStr::new(PLACE.1));
    let read = || {
        let Some(directory) = super::unix::open_dir(dir, super::Owner::Root)? else { return Ok(None) };
        if !dir.join(name).exists() {
            return Ok(None);
        }
        super::unix::read_file(&directory, name, super::Owner::Root).and_then(|bytes| profile(&bytes)).map(Some)
    };
    match read() {
        Ok(Some(bytes)) => files.push(super::ManagedFile { path: dir.join(name), bytes }),
        Ok(None) => {}
        Err(reason) => problems.push((dir.join(name), reason)),
    }
}

/// The profile in a property list, XML or binary. Without a `version` it is of version 1. Keys that MDM adds
/// (`Payload…`) are left out.
///
/// # Errors
/// In words: it is no property list, no dictionary, or nested too deeply.
pub(super) fn profile(bytes: &[u8]) -> Result<Vec<u8>, String> {
    if nesting(bytes) > MOST_DEPTH {
        return Err("its property list is nested too deeply".to_owned());
    }
    let value = Value::from_reader(std::io::Cursor::new(bytes)).map_err(|_| "it is no property list".to_owned())?;
    let Value::Dictionary(dictionary) = value else { return Err("its property list is no dictionary".to_owned()) };
    let mut profile: Map<String, Json> = Map::new();
    profile.insert("version".to_owned(), json!(1));
    for (key, value) in dictionary {
        if !key.starts_with("Payload") {
            profile.insert(key, convert(value, 1)?);
        }
    }
    serde_json::to_vec(&Json::Object(profile)).map_err(|error| error.to_string())
}

fn convert(value: Value, depth: usize) -> Result<Json, String> {
    if depth > MOST_DEPTH {
        return Err("its property list is nested too deeply".to_owned());
    }
    Ok(match value {
        Value::Array(items) => {
            Json::Array(items.into_iter().map(|item| convert(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Value::Dictionary(entries) => {
            let entry = |(key, value)| Ok((key, convert(value, depth + 1)?));
            Json::Object(entries.into_iter().map(entry).collect::<Result<_, String>>()?)
        }
        Value::Boolean(value) => json!(value),
        Value::String(text) => json!(text),
        Value::Integer(number) => number.as_signed().map_or(Json::Null, |number| json!(number)),
        Value::Real(number) => json!(number),
        _ => Json::Null,
    })
}

/// How deep collections stand in each other in the XML form, by their tags alone.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'<') {
        let rest = &bytes[at + 1..];
        let names = |rest: &[u8]| rest.starts_with(b"array") || rest.starts_with(b"dict");
        if names(rest) {
            depth += 1;
        } else if rest.strip_prefix(b"/").is_some_and(names) {
            depth = depth.saturating_sub(1);
        }
        most = most.max(depth);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>PayloadUUID</key><string>3C0A2E6C-0000-0000-0000-000000000000</string>
  <key>name</key><string>Example Corp &amp; Söhne</string>
  <key>accounts</key><dict><key>corp</key><dict>
    <key>issuer</key><string>https://login.example.com</string>
    <key>scopes</key><array><string>openid</string><string>email</string></array>
  </dict></dict>
  <key>broker</key><dict><key>port</key><integer>6174</integer></dict>
  <key>desktop</key><dict><key>autostart</key><false/></dict>
  <key>audit</key><dict><key>retention</key><date>2026-01-01T00:00:00Z</date></dict>
  <key>consent</key><dict><key>idle</key><data>AAAA</data><key>absolute</key><real>1.5</real></dict>
</dict></plist>"#;

    fn read(bytes: &[u8]) -> Json {
        serde_json::from_slice(&profile(bytes).unwrap()).unwrap()
    }

    #[test]
    fn xml_and_binary_say_the_same() {
        let expected = json!({
            "version": 1,
            "name": "Example Corp & Söhne",
            "accounts": {"corp": {"issuer": "https://login.example.com", "scopes": ["openid", "email"]}},
            "broker": {"port": 6174},
            "desktop": {"autostart": false},
            "audit": {"retention": null},
            "consent": {"idle": null, "absolute": 1.5},
        });
        assert_eq!(read(XML.as_bytes()), expected);
        let mut binary = Vec::new();
        Value::from_reader(std::io::Cursor::new(XML)).unwrap().to_writer_binary(&mut binary).unwrap();
        assert!(binary.starts_with(b"bplist00"));
        assert_eq!(read(&binary), expected);
        assert_eq!(
            read(XML.replace("<dict>\n  <key>Pay", "<dict><key>version</key><integer>2</integer><key>Pay").as_bytes())
                ["version"],
            2
        );
    }

    #[test]
    fn what_is_no_property_list_is_refused() {
        let deep = format!("<plist version=\"1.0\">{}{}</plist>", "<array>".repeat(90_000), "</array>".repeat(90_000));
        let keyed = format!("<plist version=\"1.0\">{}", "<dict><key>a</key>".repeat(50_000));
        for (bytes, says) in [
            (&b""[..], "no property list"),
            (b"version = 1", "no property list"),
            (b"bplist00", "no property list"),
            (b"<html><body>Sign in</body></html>", "no property list"),
            (b"<plist version=\"1.0\"><array/></plist>", "no dictionary"),
            (b"<plist version=\"1.0\"><dict><key>a</key></dict></plist>", "no property list"),
            (deep.as_bytes(), "too deeply"),
            (keyed.as_bytes(), "too deeply"),
        ] {
            let said = profile(bytes).unwrap_err();
            assert!(said.contains(says), "{}: {said}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
        }
    }
}
