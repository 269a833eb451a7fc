//! The documents lead where they say: links and the paths they name.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every document in Markdown.
fn documents() -> Vec<PathBuf> {
    let root = e2e::repository();
    let folders = ["", "docs", "docs/adr", "docs/providers", "docs/profile", ".github", ".github/ISSUE_TEMPLATE"]
        .map(|folder| root.join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder").flatten());
    files.map(|file| file.path()).filter(|file| file.extension().is_some_and(|kind| kind == "md")).collect()
}

/// As GitHub makes it: lower case, without punctuation, spaces as hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn leads_somewhere(file: &Path, link: &str) -> bool {
    let (path, part) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { file.to_owned() } else { file.with_file_name(path) };
    if part.is_empty() {
        return target.exists();
    }
    let Ok(text) = fs::read_to_string(&target) else { return false };
    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == part)
}

#[test]
fn every_link_leads_somewhere() {
    let all = documents();
    assert!(all.len() > 15, "{all:?}");
    let mut seen = 0;
    for file in all {
        let text = fs::read_to_string(&file).expect("text");
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap_or_default();
            if !link.contains("://") {
                seen += 1;
                assert!(leads_somewhere(&file, link), "{}: {link} leads nowhere", file.display());
            }
        }
    }
    assert!(seen > 50, "links are found: {seen}");
}

#[test]
fn the_files_that_documents_name_are_there() {
    let root = e2e::repository();
    let mut seen = 0;
    for file in documents() {
        // Decisions and changes speak of their day.
        if file.parent().is_some_and(|folder| folder.ends_with("adr")) || file.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("text");
        for word in text.split('`').skip(1).step_by(2) {
            let ours = ["crates/", "tests/", "docs/", "ui/", "benches/", ".ci/", ".github/"];
            let plain = !word.contains(['*', ' ', '{', '<', '\n']);
            if plain && ours.iter().any(|start| word.starts_with(start)) {
                seen += 1;
                assert!(root.join(word).exists(), "{} names {word}, which is not there", file.display());
            }
        }
    }
    assert!(seen > 30, "names are found: {seen}");
}
