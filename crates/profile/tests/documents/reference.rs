//! The reference of all keys, in Markdown.

use profile::{KeyHelp, explain_all};
use std::fmt::Write as _;

const HEAD: &str = "# Profile reference

Every key of a profile. Made by `make profile-docs` from the table the program reads by; `daypass profile explain KEY` says the
same at a prompt. How profiles are put in place is in the [IT guide](../it-guide.md); for editors there is a JSON Schema,
[profile.schema.json](profile.schema.json), for group policy and Intune [daypass.admx](daypass.admx) with
[daypass.adml](en-US/daypass.adml), for MDM of macOS [a manifest](com.daypass.agent.manifest.plist) and
[a sample](sample.mobileconfig).

- Order: built in, recommended, user, mandatory; the later one wins. Tables merge key by key, values and lists are replaced.
- *Counts in* says which layers a key counts in. Where it does not count, it is void and shown.
- A *ceiling* is built in: no profile lifts it, whoever wrote it. A duration outside is brought inside, what is too much is void.
- A key that is unknown or ill typed voids itself alone and is shown with its line. It never loosens: where a key has a strict
  reading, a value that cannot be read takes it, and an account or resource that is not complete without it counts for nothing.
- Durations are written `90s`, `10m`, `12h`, `30d`. `*` stands for a name you choose.

";

/// The whole document.
pub(crate) fn reference() -> String {
    let all = explain_all();
    let mut text = HEAD.to_owned();
    let mut section = "";
    for help in &all {
        let top = help.key.split('.').next().unwrap_or_default();
        let of_table = help.key.contains('.') || super::is_table(help, &all) || help.key == "links";
        let wanted = if of_table { top } else { "The file" };
        if wanted != section {
            section = wanted;
            let title = if of_table { format!("`[{top}]`") } else { section.to_owned() };
            let _ = writeln!(text, "## {title}\n");
            if of_table && help.key == top {
                entry(&mut text, help, true);
                continue;
            }
        }
        entry(&mut text, help, false);
    }
    text.trim_end().to_owned() + "\n"
}

fn entry(text: &mut String, help: &KeyHelp, under_title: bool) {
    if !under_title {
        let _ = writeln!(text, "### `{}`\n", help.key);
    }
    if !help.text.is_empty() {
        let _ = writeln!(text, "{}\n", help.text);
    }
    let cell = |text: &str| text.replace('|', "\\|");
    let default = match (&help.default, help.required) {
        (Some(default), _) => format!("`{}`", cell(default)),
        (None, true) => "none; required".to_owned(),
        (None, false) => "none".to_owned(),
    };
    let ceiling = help.ceiling.map_or_else(|| "–".to_owned(), |ceiling| ceiling.to_string());
    let _ = writeln!(text, "| type | default | counts in | ceiling |\n|---|---|---|---|");
    let kind = if help.kind.is_empty() { "table" } else { &help.kind };
    let _ = writeln!(text, "| {} | {default} | {} | {ceiling} |\n", cell(kind), help.counts.as_str());
    if !help.words.is_empty() {
        for (word, meaning) in &help.words {
            let _ = writeln!(text, "- `{word}`: {meaning}");
        }
        text.push('\n');
    }
}

#[test]
fn every_key_is_in_the_reference_with_its_facts() {
    let text = reference();
    for help in explain_all() {
        let title = [format!("### `{}`\n", help.key), format!("## `[{}]`\n", help.key)];
        let at = title.iter().find_map(|title| text.find(title.as_str()));
        let at = at.unwrap_or_else(|| panic!("{} is missing", help.key));
        let part = &text[at..];
        let part = &part[..part[3..].find("\n#").map_or(part.len(), |end| end + 3)];
        assert!(part.contains(help.counts.as_str()), "{}: {part}", help.key);
        assert!(help.ceiling.is_none_or(|ceiling| part.contains(&ceiling.to_string())), "{}: {part}", help.key);
        assert!(help.words.iter().all(|(word, _)| part.contains(&format!("- `{word}`"))), "{}: {part}", help.key);
    }
}
