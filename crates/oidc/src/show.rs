//! Makes text of a server fit for a terminal, a page or a log.
//!
//! Invariant: what comes out holds no control character, no direction mark, and nothing long enough to be a token.

/// The most characters any text of a server keeps.
pub(crate) const CAP: usize = 200;

/// Words longer than this could be a token a server sent back to us; they are left out.
const LONGEST_WORD: usize = 40;

/// Printable ASCII of RFC 6749 §5.2 (`%x20-21 / %x23-5B / %x5D-7E`), at most `cap` characters. White space becomes a
/// space, `"` becomes `'`, any run of other characters becomes one `?`.
pub fn sanitise(text: &str, cap: usize) -> String {
    let mut out = String::new();
    for c in text.chars().take(cap.saturating_mul(4)) {
        if out.len() >= cap {
            break;
        }
        match c {
            '"' => out.push('\''),
            '\t' | '\n' | '\r' | ' ' => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            '\x21'..='\x5b' | '\x5d'..='\x7e' => out.push(c),
            _ => {
                if !out.ends_with('?') {
                    out.push('?');
                }
            }
        }
    }
    out.trim().to_owned()
}

/// A sentence of a server: sanitised, and without words that are long enough to be a token or an address.
pub(crate) fn sentence(text: &str) -> String {
    let plain = sanitise(text, 2 * CAP);
    let words: Vec<&str> = plain.split(' ').map(|w| if w.len() > LONGEST_WORD { "[...]" } else { w }).collect();
    sanitise(&words.join(" "), CAP)
}

/// An error word: 1 to 40 letters, digits, `_`, `-` and `.`; anything else is not repeated.
pub(crate) fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if !text.is_empty() && text.len() <= LONGEST_WORD && text.bytes().all(plain) {
        text.to_owned()
    } else {
        "unreadable_error".to_owned()
    }
}

/// An identifier such as a correlation id: 1 to 40 letters, digits and dashes.
pub(crate) fn identifier(text: &str) -> Option<String> {
    let good =
        !text.is_empty() && text.len() <= LONGEST_WORD && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    good.then(|| text.to_owned())
}

/// A person's name: any script, but no control, format, direction or line separating character; at most 200.
pub(crate) fn person(text: &str) -> Option<String> {
    let unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let shown: String = text.chars().filter(|c| !unfit(*c)).take(CAP).collect();
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_server_is_tamed() {
        assert_eq!(sanitise("a\u{1b}[31mred\r\n\u{202e}x \"q\" \\", 200), "a?[31mred ?x 'q' ?");
        assert_eq!(sanitise(&"x".repeat(5000), 200).len(), 200);
        assert_eq!(sanitise("", 200), "");
        let long = format!("token {} is bad", "CANARY".repeat(10));
        assert_eq!(sentence(&long), "token [...] is bad");
        assert_eq!(word("invalid_grant"), "invalid_grant");
        for odd in ["", "a b", "\u{1b}[1m", "CANARY-00000000-0000-0000-0000-000000000000"] {
            assert_eq!(word(odd), "unreadable_error");
        }
        assert_eq!(identifier("a1-b2"), Some("a1-b2".to_owned()));
        assert_eq!(identifier("<b>"), None);
    }

    #[test]
    fn names_of_people_keep_their_script_but_no_direction_marks() {
        assert_eq!(person("Zoë \u{202e}Ünal\n"), Some("Zoë Ünal".to_owned()));
        assert_eq!(person("\u{200b}\u{1b}"), None);
        assert_eq!(person(&"é".repeat(999)).map(|n| n.chars().count()), Some(200));
    }
}
