//! As much of HTML as is needed to fill in a form.

/// A form.
#[derive(Debug, Default)]
pub struct Form {
    /// Where it goes; empty = the page's own address.
    pub action: String,
    /// Whether its method is POST.
    pub post: bool,
    /// Name, value and type of each `input`.
    pub inputs: Vec<(String, String, String)>,
    /// Name, value and whether it is disabled, of each `button`.
    pub buttons: Vec<(String, String, bool)>,
}

/// The text of the first `title`.
pub fn title(html: &str) -> String {
    let text = html.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).map(|(title, _)| title);
    decode(text.unwrap_or_default().trim())
}

/// The value of `href` of the first link whose address ends so.
pub fn link_ending(html: &str, end: &str) -> Option<String> {
    tags(html)
        .into_iter()
        .filter(|tag| tag.name == "a")
        .find_map(|tag| tag.get("href").filter(|href| href.ends_with(end)))
}

/// The value of `href` of the first link whose address begins so.
pub fn link_beginning(html: &str, start: &str) -> Option<String> {
    tags(html)
        .into_iter()
        .filter(|tag| tag.name == "a")
        .find_map(|tag| tag.get("href").filter(|href| href.starts_with(start)))
}

/// Every form of the page.
pub fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut inside = false;
    for tag in tags(html) {
        match (tag.name.as_str(), forms.last_mut()) {
            ("form", _) => {
                inside = true;
                let post = tag.get("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
                forms.push(Form { action: tag.get("action").unwrap_or_default(), post, ..Form::default() });
            }
            ("/form", _) => inside = false,
            ("input", Some(form)) if inside => {
                let [name, value, kind] = ["name", "value", "type"].map(|a| tag.get(a).unwrap_or_default());
                form.inputs.push((name, value, kind));
            }
            ("button", Some(form)) if inside => {
                let [name, value] = ["name", "value"].map(|a| tag.get(a).unwrap_or_default());
                form.buttons.push((name, value, tag.get("disabled").is_some()));
            }
            _ => {}
        }
    }
    forms
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }
}

fn tags(html: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches('/').to_ascii_lowercase();
        rest = &rest[end..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() || rest.starts_with('>') {
                break;
            }
            let end = rest.find(|c: char| c.is_whitespace() || "=>/".contains(c)).unwrap_or(rest.len()).max(1);
            let attribute = rest[..end].to_ascii_lowercase();
            rest = rest[end..].trim_start();
            let mut value = "";
            if let Some(after) = rest.strip_prefix('=') {
                let after = after.trim_start();
                (value, rest) = match after.chars().next() {
                    Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                    _ => after.split_at(after.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(after.len())),
                };
            }
            attributes.push((attribute, decode(value)));
        }
        found.push(Tag { name, attributes });
    }
    found
}

fn decode(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out += &rest[..start];
        rest = &rest[start..];
        let Some(end) = rest.find(';').filter(|end| *end < 10) else { break };
        let word = &rest[1..end];
        let number = word.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let number = number.or_else(|| word.strip_prefix('#').map(str::parse));
        let character = match word {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => number.and_then(Result::ok).and_then(char::from_u32),
        };
        match character {
            Some(character) => out.push(character),
            None => out += &rest[..=end],
        }
        rest = &rest[end + 1..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_its_fields_and_buttons() {
        let page = r#"<title>A &amp; B</title><!-- <form> --><a href='/x/abort'>no</a>
            <form method="post" action="/consent/1?a=1&amp;b=2"><input type=hidden name=digest value="&#x61;b&#39;">
            <button name="choice" value="deny">Deny</button><button disabled name="choice" value="once">x</button></form>"#;
        let form = forms(page).remove(0);
        assert_eq!((form.action.as_str(), form.post), ("/consent/1?a=1&b=2", true));
        assert_eq!(form.inputs, [("digest".to_owned(), "ab'".to_owned(), "hidden".to_owned())]);
        assert_eq!(
            form.buttons.iter().map(|b| (b.1.as_str(), b.2)).collect::<Vec<_>>(),
            [("deny", false), ("once", true)]
        );
        assert_eq!(title(page), "A & B");
        assert_eq!(link_ending(page, "/abort").as_deref(), Some("/x/abort"));
    }
}
