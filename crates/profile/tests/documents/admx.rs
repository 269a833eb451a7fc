//! Administrative templates for group policy and Intune: `daypass.admx` and its English texts.

use super::{Form, POLICY_KEY as KEY, escape, scalars};
use profile::KeyHelp;
use quick_xml::{Reader, events::Event};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// The categories below Daypass: the tables of the format.
const CATEGORIES: [(&str, &str); 8] = [
    ("general", "General"),
    ("consent", "Consent"),
    ("browser", "Browser"),
    ("broker", "Loopback broker"),
    ("network", "Network"),
    ("audit", "Audit log"),
    ("notifications", "Notifications"),
    ("desktop", "Desktop"),
];
const TABLES: &str = "Accounts, resources and links as one JSON object, as in a profile file: {\"accounts\": {…}, \
    \"resources\": {…}, \"links\": {…}}. What a policy of its own says stands above what is written here.";

/// A policy's name: ADMX allows no dots.
fn id(key: &str) -> String {
    key.replace('.', "_")
}

fn category(key: &str) -> &str {
    let top = key.split_once('.').map_or("general", |(top, _)| top);
    if CATEGORIES.iter().any(|(name, _)| *name == top) { top } else { "general" }
}

/// What the help of a policy says.
fn explanation(help: &KeyHelp) -> String {
    let mut text = format!("{}\n\nKey: {}\nCounts in: {}", help.text, help.key, help.counts.as_str());
    if let Some(default) = &help.default {
        let _ = write!(text, "\nDefault: {default}");
    }
    if let Some(ceiling) = help.ceiling {
        let _ = write!(text, "\nCeiling: {ceiling}");
    }
    for (word, meaning) in &help.words {
        let _ = write!(text, "\n- {word}: {meaning}");
    }
    text
}

/// The template and its texts.
pub(crate) fn both() -> (String, String) {
    let (mut policies, mut strings, mut presentations) = (String::new(), BTreeMap::new(), String::new());
    for (help, form) in scalars() {
        let id = id(help.key);
        strings.insert(id.clone(), help.key.to_owned());
        strings.insert(format!("{id}_help"), explanation(&help));
        let shown = !matches!(form, Form::Switch);
        let presentation = if shown { format!(" presentation=\"$(presentation.{id})\"") } else { String::new() };
        let value_name = if shown { String::new() } else { format!(" valueName=\"{}\"", help.key) };
        let _ = writeln!(
            policies,
            "    <policy name=\"{id}\" class=\"Machine\" displayName=\"$(string.{id})\" explainText=\"$(string.{id}_help)\" \
             key=\"{KEY}\"{value_name}{presentation}>\n      <parentCategory ref=\"{}\" />\n      <supportedOn ref=\"daypass_0_1\" />",
            category(help.key)
        );
        let value = format!("id=\"{id}\" valueName=\"{}\"", help.key);
        let (elements, control) = match form {
            Form::Switch => {
                policies.push_str(
                    "      <enabledValue><decimal value=\"1\" /></enabledValue>\n      <disabledValue><decimal value=\"0\" /></disabledValue>\n",
                );
                (String::new(), String::new())
            }
            Form::Text => (
                format!("<text {value} required=\"true\" maxLength=\"2048\" />"),
                format!("<textBox refId=\"{id}\"><label>{}</label></textBox>", help.key),
            ),
            Form::Number(least, most) => (
                format!("<decimal {value} required=\"true\" minValue=\"{least}\" maxValue=\"{most}\" />"),
                format!("<decimalTextBox refId=\"{id}\">{}</decimalTextBox>", help.key),
            ),
            Form::List => (
                format!("<multiText {value} required=\"true\" />"),
                format!("<multiTextBox refId=\"{id}\">{}, one a line</multiTextBox>", help.key),
            ),
            Form::Words(words) => {
                let mut items = String::new();
                for (word, _) in words {
                    strings.insert(format!("{id}_{word}"), word.clone());
                    let _ = write!(
                        items,
                        "\n          <item displayName=\"$(string.{id}_{word})\"><value><string>{word}</string></value></item>"
                    );
                }
                (
                    format!("<enum {value} required=\"true\">{items}\n        </enum>"),
                    format!("<dropdownList refId=\"{id}\">{}</dropdownList>", help.key),
                )
            }
        };
        if shown {
            let _ = writeln!(policies, "      <elements>\n        {elements}\n      </elements>");
            let _ = writeln!(presentations, "      <presentation id=\"{id}\">{control}</presentation>");
        }
        policies.push_str("    </policy>\n");
    }
    tables(&mut policies, &mut strings, &mut presentations);
    strings.insert("daypass".to_owned(), "Daypass".to_owned());
    strings.insert("daypass_0_1".to_owned(), "Daypass 0.1 and later".to_owned());
    let mut categories = String::new();
    for (name, title) in CATEGORIES {
        strings.insert(format!("category_{name}"), title.to_owned());
        let _ = writeln!(
            categories,
            "    <category name=\"{name}\" displayName=\"$(string.category_{name})\"><parentCategory ref=\"daypass\" /></category>"
        );
    }
    (template(&categories, &policies), texts(&strings, &presentations))
}

/// The one policy for what has names of its own.
fn tables(policies: &mut String, strings: &mut BTreeMap<String, String>, presentations: &mut String) {
    strings.insert("Profile".to_owned(), "Accounts, resources and links".to_owned());
    strings.insert("Profile_help".to_owned(), TABLES.to_owned());
    let _ = writeln!(
        policies,
        "    <policy name=\"Profile\" class=\"Machine\" displayName=\"$(string.Profile)\" explainText=\"$(string.Profile_help)\" \
         key=\"{KEY}\" presentation=\"$(presentation.Profile)\">\n      <parentCategory ref=\"general\" />\n      \
         <supportedOn ref=\"daypass_0_1\" />\n      <elements>\n        \
         <multiText id=\"Profile\" valueName=\"Profile\" required=\"true\" />\n      </elements>\n    </policy>"
    );
    let _ = writeln!(
        presentations,
        "      <presentation id=\"Profile\"><multiTextBox refId=\"Profile\">JSON</multiTextBox></presentation>"
    );
}

fn template(categories: &str, policies: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <!-- Made by: make profile-docs -->\n\
         <policyDefinitions xmlns=\"http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions\" revision=\"1.0\" schemaVersion=\"1.0\">\n  \
         <policyNamespaces>\n    <target prefix=\"daypass\" namespace=\"Daypass.Policies.Daypass\" />\n  </policyNamespaces>\n  \
         <resources minRequiredRevision=\"1.0\" />\n  \
         <supportedOn>\n    <definitions>\n      <definition name=\"daypass_0_1\" displayName=\"$(string.daypass_0_1)\" />\n    </definitions>\n  </supportedOn>\n  \
         <categories>\n    <category name=\"daypass\" displayName=\"$(string.daypass)\" />\n{categories}  </categories>\n  \
         <policies>\n{policies}  </policies>\n</policyDefinitions>\n"
    )
}

fn texts(strings: &BTreeMap<String, String>, presentations: &str) -> String {
    let mut table = String::new();
    for (id, text) in strings {
        let _ = writeln!(table, "      <string id=\"{id}\">{}</string>", escape(text));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <!-- Made by: make profile-docs -->\n\
         <policyDefinitionResources xmlns=\"http://schemas.microsoft.com/GroupPolicy/2006/07/PolicyDefinitions\" revision=\"1.0\" schemaVersion=\"1.0\">\n  \
         <displayName>Daypass</displayName>\n  <description>Profile of Daypass, the desktop sign-in agent</description>\n  \
         <resources>\n    <stringTable>\n{table}    </stringTable>\n    <presentationTable>\n{presentations}    </presentationTable>\n  </resources>\n\
         </policyDefinitionResources>\n"
    )
}

/// Walks well-formed XML; every attribute is handed to `seen` with its element.
fn walk(xml: &str, mut seen: impl FnMut(&str, &str, &str)) {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut depth, mut elements) = (0_i32, 0);
    loop {
        let (element, opens) = match reader.read_event().expect("well-formed XML") {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(_) => {
                depth -= 1;
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        depth += i32::from(opens);
        elements += 1;
        let name = element.name().as_ref().to_owned();
        for attribute in element.attributes() {
            let attribute = attribute.expect("a well-formed attribute");
            let key = attribute.key.as_ref().to_owned();
            seen(&name, &key, &attribute.value);
        }
    }
    assert_eq!(depth, 0, "every element is closed");
    assert!(elements > 50, "{elements} elements");
}

#[test]
fn every_reference_leads_somewhere() {
    let (admx, adml) = both();
    let (mut strings, mut presentations, mut boxes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    walk(&adml, |element, key, value| {
        let fresh = match (element, key) {
            ("string", "id") => strings.insert(value.to_owned()),
            ("presentation", "id") => presentations.insert(value.to_owned()),
            (_, "refId") => boxes.insert(value.to_owned()),
            _ => true,
        };
        assert!(fresh, "{element} {value} is there twice");
    });
    let (mut used, mut elements, mut names) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut categories, mut parents, mut value_names) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    walk(&admx, |element, key, value| {
        if let Some(id) = value.strip_prefix("$(string.").and_then(|rest| rest.strip_suffix(')')) {
            assert!(strings.contains(id), "string {id} is missing");
            used.insert(id.to_owned());
        } else if let Some(id) = value.strip_prefix("$(presentation.").and_then(|rest| rest.strip_suffix(')')) {
            assert!(presentations.contains(id), "presentation {id} is missing");
        }
        match (element, key) {
            ("policy", "name") => assert!(names.insert(value.to_owned()), "policy {value} is there twice"),
            ("policy", "key") => assert_eq!(value, KEY),
            ("text" | "decimal" | "enum" | "multiText", "id") => drop(elements.insert(value.to_owned())),
            ("category", "name") => drop(categories.insert(value.to_owned())),
            ("parentCategory", "ref") => drop(parents.insert(value.to_owned())),
            (_, "valueName") => drop(value_names.insert(value.to_owned())),
            _ => {}
        }
    });
    assert_eq!(used, strings, "no string is left over");
    assert_eq!(elements, boxes, "every element has its box, and no box stands alone");
    assert!(parents.is_subset(&categories), "{parents:?} {categories:?}");
    let keys: BTreeSet<String> =
        scalars().iter().map(|(help, _)| help.key.to_owned()).chain(["Profile".into()]).collect();
    assert_eq!(value_names, keys);
}
