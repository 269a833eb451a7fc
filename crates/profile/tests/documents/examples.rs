//! The examples of profiles in the documents: each is read as the agent would read it.

use super::repository;
use profile::{Severity, Source, SourceKind, check};
use std::fs;

/// Code blocks of one language: the line they begin in, and their text.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let (mut found, mut open): (Vec<(usize, String)>, bool) = (Vec::new(), false);
    for (line, text) in text.lines().enumerate() {
        match (open, text.trim_start().strip_prefix("```")) {
            (true, Some(_)) => open = false,
            (true, None) => {
                if let Some((_, block)) = found.last_mut() {
                    block.push_str(text);
                    block.push('\n');
                }
            }
            (false, Some(rest)) if rest.trim() == language => {
                open = true;
                found.push((line + 1, String::new()));
            }
            (false, _) => {}
        }
    }
    found
}

#[test]
fn every_example_of_a_profile_is_without_a_fault() {
    let root = repository();
    let mut seen = 0;
    for folder in ["", "docs", "docs/profile", "docs/providers"] {
        let Ok(files) = fs::read_dir(root.join(folder)) else { continue };
        for path in files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "md")) {
            let text = fs::read_to_string(&path).expect("text");
            for (line, block) in blocks(&text, "toml") {
                // A part of a profile is shown without its head.
                let block = if block.contains("version = 1") { block } else { format!("version = 1\n{block}") };
                told(&format!("{}:{line}", path.display()), "a.toml", &block);
                seen += 1;
            }
            for (line, block) in
                blocks(&text, "json").into_iter().filter(|(_, block)| block.contains("\"accounts\": {"))
            {
                let mut json: serde_json::Value = serde_json::from_str(&block).expect("JSON");
                json["version"] = 1.into();
                told(&format!("{}:{line}", path.display()), "a.json", &json.to_string());
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "examples are found: {seen}");
}

fn told(place: &str, file: &str, text: &str) {
    let source = Source { file: file.into(), kind: SourceKind::Managed, bytes: text.into() };
    let faults = check(&source, "0.1.0");
    let bad: Vec<String> = faults.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(bad.is_empty(), "{place}: {bad:?}\n{text}");
}
