//! The table of codes in the documents is the one in the code.

use localapi::Code;
use std::fs;

#[test]
fn the_documented_codes_are_those_of_the_code() {
    let text = fs::read_to_string(e2e::repository().join("docs/errors.md")).expect("docs/errors.md");
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
        .collect();
    let documented: Vec<(String, String, String, String)> =
        rows.iter().map(|row| (row[1].clone(), row[2].clone(), row[3].clone(), row[4].clone())).collect();
    let in_code: Vec<(String, String, String, String)> = Code::ALL
        .iter()
        .map(|code| {
            let (status, exit) = (code.status().to_string(), (code.exit() as u8).to_string());
            (code.as_str().to_owned(), code.error().to_owned(), status, exit)
        })
        .collect();
    assert_eq!(documented, in_code);
    assert!(rows.iter().all(|row| !row[5].is_empty() && !row[6].is_empty()), "a code without its meaning or next step");
}
