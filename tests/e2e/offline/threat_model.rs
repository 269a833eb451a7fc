//! `docs/threat-model.md` is the index of what is promised: each promise names the tests that hold it, and they exist.
//!
//! A promise is a row of a table whose first cell is its number. A test is named in back ticks by its path, the function
//! last: `` `online::consent::deny_is_final` ``. `docs/hostile-cases.md` is held against the tests in the same way.

use std::{collections::BTreeSet, fs, path::Path};

/// Names of every test function in the repository.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            tests(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).expect("source");
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            for (index, line) in lines.iter().enumerate() {
                let marked = lines[index.saturating_sub(4)..index]
                    .iter()
                    .any(|before| before.starts_with("#[") && before.contains("test"));
                let name = line
                    .strip_prefix("async ")
                    .unwrap_or(line)
                    .strip_prefix("fn ")
                    .and_then(|rest| rest.split('(').next());
                // Inside proptest! the attribute stands there all the same.
                if let (true, Some(name)) = (marked, name) {
                    found.insert(name.to_owned());
                }
            }
        }
    }
}

fn known_tests() -> BTreeSet<String> {
    let root = e2e::repository();
    let mut known = BTreeSet::new();
    tests(&root.join("crates"), &mut known);
    tests(&root.join("tests"), &mut known);
    assert!(known.contains("every_promise_names_tests_that_exist"), "the search finds tests");
    known
}

/// The tests a row names.
fn named(row: &str) -> Vec<&str> {
    row.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect()
}

#[test]
fn every_hostile_case_names_tests_that_exist_or_says_why_not() {
    let known = known_tests();
    let text = fs::read_to_string(e2e::repository().join("docs/hostile-cases.md")).expect("docs/hostile-cases.md");
    let mut cases = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let numbered = |case: &str| case.len() == 3 && case[1..].bytes().all(|byte| byte.is_ascii_digit());
        let numbers: Vec<_> = cells[0].split(", ").filter(|case| numbered(case)).collect();
        if numbers.is_empty() {
            continue;
        }
        for number in &numbers {
            assert!(cases.insert((*number).to_owned()), "{number} stands there twice");
        }
        let reason = cells[2].strip_prefix("– ").is_some_and(|why| why.len() > 20);
        assert!(reason || !named(row).is_empty(), "{} names no test and no reason", cells[0]);
        for test in named(row) {
            assert!(
                known.contains(test.rsplit("::").next().unwrap_or_default()),
                "{}: no test is called {test}",
                cells[0]
            );
        }
    }
    for (kind, least) in [('H', 30), ('C', 15), ('T', 15), ('I', 12), ('N', 12), ('L', 12), ('S', 10), ('X', 8)] {
        let found = cases.iter().filter(|case| case.starts_with(kind)).count();
        assert!(found >= least, "only {found} cases of {kind}");
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = e2e::repository();
    let known = known_tests();
    let text = fs::read_to_string(root.join("docs/threat-model.md")).expect("docs/threat-model.md");
    let mut promises = BTreeSet::new();
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let Some(number) =
            row.trim_start_matches('|').split('|').next().and_then(|cell| cell.trim().parse::<u32>().ok())
        else {
            continue;
        };
        promises.insert(number);
        assert!(!named(row).is_empty(), "promise {number} names no test");
        for test in named(row) {
            let function = test.rsplit("::").next().unwrap_or_default();
            assert!(known.contains(function), "promise {number}: no test is called {test}");
        }
    }
    assert!((1..=8).all(|number| promises.contains(&number)), "a promise is missing: {promises:?}");
}
