//! Loopback redirect URIs (RFC 8252 §7.3), to the letter.
//!
//! Invariant: the host is one of three literal texts, so nothing that merely resolves or normalises to loopback gets in,
//! and the URI can be rebuilt exactly as it was registered.

use broker::RedirectUri;

/// Reads `http://HOST[:PORT][/path]`; the error is the rule that was broken.
pub(crate) fn parse(text: &str) -> Result<RedirectUri, &'static str> {
    const HOST: &str = "must be on the host 127.0.0.1, [::1] or localhost, written exactly so";
    if text.len() > 512 {
        return Err("must be at most 512 characters");
    }
    let rest = text.strip_prefix("http://").ok_or("must begin with http:// (a loopback address has no certificate)")?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if rest.contains(['?', '#']) {
        return Err("must have no query and no fragment");
    }
    if authority.contains('@') {
        return Err("must have no user name");
    }
    let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|h| authority.starts_with(h)).ok_or(HOST)?;
    let port = match &authority[host.len()..] {
        "" => None,
        port => {
            Some(port_number(port.strip_prefix(':').ok_or(HOST)?).ok_or("must have a port from 1 to 65535, or none")?)
        }
    };
    if !plain_path(path) {
        return Err("must have a plain path");
    }
    Ok(RedirectUri {
        host: host.to_owned(),
        port,
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        written_path: path.to_owned(),
    })
}

/// The URI as it was written.
pub(crate) fn written(uri: &RedirectUri) -> String {
    let port = uri.port.map_or_else(String::new, |port| format!(":{port}"));
    format!("http://{}{port}{}", uri.host, uri.written_path)
}

fn port_number(text: &str) -> Option<u16> {
    let plain = !text.starts_with('0') && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Path characters of RFC 3986 §3.3, without the dot segments that browsers take away.
fn plain_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&b);
    let escaped = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    bytes.iter().enumerate().all(|(at, b)| allowed(*b) && (*b != b'%' || escaped(at)))
        && path
            .split('/')
            .all(|segment| !matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_kept_to_the_letter() {
        for (text, host, port, path) in [
            ("http://127.0.0.1/callback", "127.0.0.1", None, "/callback"),
            ("http://127.0.0.1", "127.0.0.1", None, "/"),
            ("http://127.0.0.1:8400/", "127.0.0.1", Some(8400), "/"),
            ("http://[::1]:65535/a/b%20c", "[::1]", Some(65535), "/a/b%20c"),
            ("http://localhost/x;y=z", "localhost", None, "/x;y=z"),
        ] {
            let uri = parse(text).expect(text);
            assert_eq!((uri.host.as_str(), uri.port, uri.path.as_str()), (host, port, path));
            assert_eq!(written(&uri), text);
        }
        assert_eq!(parse("http://127.0.0.1").expect("reads").with_port(9), "http://127.0.0.1:9");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "https://127.0.0.1/callback",
            "HTTP://127.0.0.1/",
            "http:/127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://127.0.0.1./",
            "http://127.0.0.10/",
            "http://127。0。0。1/",
            "http://127.0.0.2/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::1%25lo]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://::1/",
            "http://LOCALHOST/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "http://127.0.0.1@example.com/",
            "http://user@127.0.0.1/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:080/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1:80:80/",
            "http://127.0.0.1/?a",
            "http://127.0.0.1?a",
            "http://127.0.0.1/#a",
            "http://127.0.0.1\\callback",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/a\n",
            "http://127.0.0.1/é",
            "http://127.0.0.1/a/../b",
            "http://127.0.0.1/%2E%2e",
            "http://127.0.0.1/%zz",
            "http://127.0.0.1/%2",
            " http://127.0.0.1/",
            "myapp://callback",
        ] {
            assert!(parse(text).is_err(), "{text:?} must be refused");
        }
    }
}
