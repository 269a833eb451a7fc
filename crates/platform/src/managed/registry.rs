//! The policy key of the Windows registry (`HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Daypass`) → the bytes of a profile as
//! JSON. Reading the registry is untested; the conversion is tested everywhere.
//!
//! Values are named by their dotted key (`consent.idle`); the value `Profile` holds a JSON object with the tables, and
//! what a value of its own says stands above it. Invariant: a value that cannot be read is there with a type no key takes,
//! so that it is void and shown. The limit: that only administrators write below `Policies` is Windows' business.

#[cfg(windows)]
use super::POLICY_KEY;
use super::SWITCHES;
use serde_json::{Map, Value as Json, json};

/// One value: its name, its type (`REG_SZ` = 1 and so on) and its bytes.
pub(super) type RegistryValue = (String, u32, Vec<u8>);

/// Adds what group policy or MDM put here.
#[cfg(windows)]
pub(super) fn add(files: &mut Vec<super::ManagedFile>, problems: &mut Vec<super::ManagedProblem>) {
    use winreg::{RegKey, enums::HKEY_LOCAL_MACHINE};
    let read = || {
        let key = match RegKey::predef(HKEY_LOCAL_MACHINE).open_subkey("SOFTWARE\\Policies\\Daypass") {
            Ok(key) => key,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut values = Vec::new();
        for value in key.enum_values() {
            let (name, value) = value.map_err(|error| error.to_string())?;
            values.push((name, value.vtype as u32, value.bytes.into_owned()));
        }
        if values.is_empty() { Ok(None) } else { profile(&values).map(Some) }
    };
    match read() {
        Ok(Some(bytes)) => files.push(super::ManagedFile { path: POLICY_KEY.into(), bytes }),
        Ok(None) => {}
        Err(reason) => problems.push((POLICY_KEY.into(), reason)),
    }
}

/// The profile in the values of the policy key; of version 1 unless it says otherwise.
///
/// # Errors
/// In words: `Profile` is no JSON object, names go against each other, or it is larger than a layer may be.
pub(super) fn profile(values: &[RegistryValue]) -> Result<Vec<u8>, String> {
    let size: usize = values.iter().map(|(name, _, bytes)| name.len() + bytes.len()).sum();
    if size > 2 * super::LAYER_LIMIT {
        return Err("it is larger than 1 MiB".to_owned());
    }
    let mut profile: Map<String, Json> = Map::new();
    if let Some((_, kind, bytes)) = values.iter().find(|(name, ..)| name.eq_ignore_ascii_case("Profile")) {
        let text = match convert("Profile", *kind, bytes) {
            Json::String(text) => text,
            Json::Array(lines) => lines.iter().filter_map(Json::as_str).collect::<Vec<_>>().join("\n"),
            _ => return Err("its value Profile is no text".to_owned()),
        };
        match serde_json::from_str(&text) {
            Ok(Json::Object(tables)) => profile = tables,
            Ok(_) => return Err("its value Profile is no JSON object".to_owned()),
            Err(error) => return Err(format!("its value Profile is no JSON: line {}", error.line())),
        }
    }
    profile.entry("version").or_insert(json!(1));
    let mut sorted: Vec<&RegistryValue> =
        values.iter().filter(|(name, ..)| !name.is_empty() && !name.eq_ignore_ascii_case("Profile")).collect();
    sorted.sort();
    for (name, kind, bytes) in sorted {
        let steps: Vec<&str> = name.split('.').collect();
        let Some((last, tables)) = steps.split_last().filter(|(_, tables)| tables.len() < 4) else {
            return Err(format!("its value {} has too many dots", shown(name)));
        };
        let mut at = &mut profile;
        for table in tables {
            at = at
                .entry(*table)
                .or_insert_with(|| json!({}))
                .as_object_mut()
                .ok_or_else(|| format!("its value {} goes against another value", shown(name)))?;
        }
        at.insert((*last).to_owned(), convert(name, *kind, bytes));
    }
    serde_json::to_vec(&Json::Object(profile)).map_err(|error| error.to_string())
}

fn shown(name: &str) -> String {
    name.chars().take(64).filter(|c| !c.is_control()).collect()
}

fn convert(name: &str, kind: u32, bytes: &[u8]) -> Json {
    const SZ: u32 = 1;
    const EXPAND_SZ: u32 = 2;
    const DWORD: u32 = 4;
    const MULTI_SZ: u32 = 7;
    const QWORD: u32 = 11;
    match kind {
        SZ | EXPAND_SZ => text(bytes).map_or(Json::Null, |text| json!(text.trim_end_matches('\0'))),
        MULTI_SZ => text(bytes)
            .map_or(Json::Null, |text| json!(text.split('\0').filter(|line| !line.is_empty()).collect::<Vec<_>>())),
        DWORD | QWORD => match (number(kind == QWORD, bytes), SWITCHES.contains(&name)) {
            (Some(0), true) => json!(false),
            (Some(1), true) => json!(true),
            (Some(number), _) => json!(number),
            (None, _) => Json::Null,
        },
        _ => Json::Null,
    }
}

fn number(long: bool, bytes: &[u8]) -> Option<u64> {
    if long {
        bytes.try_into().ok().map(u64::from_le_bytes)
    } else {
        bytes.try_into().ok().map(u32::from_le_bytes).map(u64::from)
    }
}

/// UTF-16, little endian, as the registry stores text; nothing is replaced.
fn text(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().copied().map(u16::from_le_bytes).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn sz(name: &str, text: &str) -> RegistryValue {
        (name.to_owned(), 1, wide(&format!("{text}\0")))
    }

    fn read(values: &[RegistryValue]) -> Json {
        serde_json::from_slice(&profile(values).unwrap()).unwrap()
    }

    #[test]
    fn scalars_stand_above_the_tables() {
        let tables = r#"{"accounts": {"corp": {"issuer": "https://login.example.com"}}, "consent": {"idle": "1h", "on_lock": "end"}}"#;
        let values = [
            sz("Profile", tables),
            sz("consent.idle", "8h"),
            sz("name", "Bücher \u{1f4da}"),
            ("broker.port".to_owned(), 4, 6174_u32.to_le_bytes().to_vec()),
            ("desktop.autostart".to_owned(), 4, 0_u32.to_le_bytes().to_vec()),
            ("notifications.enabled".to_owned(), 4, 1_u32.to_le_bytes().to_vec()),
            ("network.no_proxy".to_owned(), 7, wide("intra.example\0.corp.example\0\0")),
            ("audit.export".to_owned(), 7, wide("\0")),
            (String::new(), 1, wide("the default value\0")),
        ];
        assert_eq!(
            read(&values),
            json!({
                "version": 1,
                "name": "Bücher \u{1f4da}",
                "accounts": {"corp": {"issuer": "https://login.example.com"}},
                "consent": {"idle": "8h", "on_lock": "end"},
                "broker": {"port": 6174},
                "desktop": {"autostart": false},
                "notifications": {"enabled": true},
                "network": {"no_proxy": ["intra.example", ".corp.example"]},
                "audit": {"export": []},
            })
        );
        let lines = ("profile".to_owned(), 7, wide("{\"version\": 1,\0\"name\": \"x\"}\0\0"));
        assert_eq!(read(&[lines])["name"], "x");
    }

    #[test]
    fn what_cannot_be_read_is_there_with_a_type_no_key_takes() {
        for (kind, bytes) in [
            (3, vec![1, 2, 3]),
            (0, vec![]),
            (4, vec![1, 2, 3]),
            (1, vec![0x41, 0, 0x42]),
            (1, vec![0, 0xd8]),
            (99, vec![1]),
        ] {
            assert_eq!(read(&[("consent.terminal".to_owned(), kind, bytes)])["consent"]["terminal"], Json::Null);
        }
        assert_eq!(
            read(&[("desktop.autostart".to_owned(), 4, 2_u32.to_le_bytes().to_vec())])["desktop"]["autostart"],
            2
        );
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        let large = "x".repeat(super::super::LAYER_LIMIT * 2);
        for (values, says) in [
            (vec![sz("Profile", "{")], "no JSON"),
            (vec![sz("Profile", "[1]")], "no JSON object"),
            (vec![("Profile".to_owned(), 4, vec![0; 4])], "no text"),
            (vec![sz("consent", "x"), sz("consent.idle", "8h")], "goes against another"),
            (vec![sz("a.b.c.d.e", "x")], "too many dots"),
            (vec![sz("name", &large)], "larger"),
        ] {
            let said = profile(&values).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }
}
