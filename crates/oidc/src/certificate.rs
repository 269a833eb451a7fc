//! Who issued a certificate: just enough of X.509 (RFC 5280 §4.1) to name the issuer to a person.
//!
//! Invariant: whatever the bytes are, nothing panics and nothing long or steering comes out.
//! Limit: this verifies nothing. It is for telling whose certificate was refused, never for deciding about one.

use crate::show;

/// DER tags that are met on the way.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// `id-at-commonName` and `id-at-organizationName` (RFC 5280 appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

/// What a person is told of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// Who issued it, in words; `None` where it is not said readably.
    pub(crate) issuer: Option<String>,
    /// Whether it names itself as its issuer.
    pub(crate) self_issued: bool,
}

/// Reads issuer and subject of a certificate; `None` if it is none.
pub(crate) fn read(der: &[u8]) -> Option<Names> {
    let mut rest = der;
    let mut certificate = expect(&mut rest, SEQUENCE)?;
    let mut signed = expect(&mut certificate, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        next(&mut signed)?;
    }
    expect(&mut signed, INTEGER)?;
    expect(&mut signed, SEQUENCE)?;
    let issuer = expect(&mut signed, SEQUENCE)?;
    expect(&mut signed, SEQUENCE)?;
    let subject = expect(&mut signed, SEQUENCE)?;
    Some(Names { issuer: name(issuer), self_issued: issuer == subject })
}

/// `"common name" of organisation`, or what there is of it.
fn name(mut attributes: &[u8]) -> Option<String> {
    let (mut common, mut organisation) = (None, None);
    while let Some((SET, mut set)) = next(&mut attributes) {
        while let Some((SEQUENCE, mut pair)) = next(&mut set) {
            let kind = expect(&mut pair, OBJECT_IDENTIFIER)?;
            let text = next(&mut pair).and_then(|(tag, value)| text(tag, value));
            if kind == COMMON_NAME {
                common = text;
            } else if kind == ORGANISATION {
                organisation = text;
            }
        }
    }
    match (common, organisation) {
        (Some(common), Some(organisation)) if common != organisation => {
            Some(format!("\"{common}\" of \"{organisation}\""))
        }
        (Some(name), _) | (None, Some(name)) => Some(format!("\"{name}\"")),
        (None, None) => None,
    }
}

/// `UTF8String`, `PrintableString`, `IA5String` or `BMPString`, made fit to be shown.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    let text = match tag {
        0x0c | 0x13 | 0x16 => String::from_utf8_lossy(value).into_owned(),
        0x1e => {
            let units = value.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units).map(|c| c.unwrap_or('?')).collect()
        }
        _ => return None,
    };
    let shown: String = text.chars().map(|c| if c == '"' { '\'' } else { c }).take(LONGEST).collect();
    show::person(&shown)
}

/// The most characters of a name.
const LONGEST: usize = 80;

/// The content of the next element, which must have this tag.
fn expect<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    next(rest).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// Tag and content of the next element (X.690 §8.1); lengths of up to three bytes.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, after) = rest.split_first()?;
    let (&first, mut after) = after.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let bytes = usize::from(first & 0x7f);
        if bytes == 0 || bytes > 3 || bytes > after.len() {
            return None;
        }
        let (length_bytes, content) = after.split_at(bytes);
        length = length_bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        after = content;
    }
    if length > after.len() {
        return None;
    }
    let (content, left) = after.split_at(length);
    *rest = left;
    Some((tag, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::certificates;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn der(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    #[test]
    fn the_issuer_is_named() {
        let leaf = read(&der(certificates::LEAF)).unwrap();
        assert_eq!(leaf, Names { issuer: Some("\"test root\"".to_owned()), self_issued: false });
        assert!(read(&der(certificates::ROOT)).unwrap().self_issued);
    }

    #[test]
    fn names_of_two_parts_are_told_apart_and_nothing_steers() {
        let attribute = |kind: &[u8], tag: u8, value: &[u8]| {
            let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
            let pair = [element(OBJECT_IDENTIFIER, kind), element(tag, value)].concat();
            element(SET, &element(SEQUENCE, &pair))
        };
        let two =
            [attribute(ORGANISATION, 0x13, b"Example Corp"), attribute(COMMON_NAME, 0x0c, b"Proxy \"CA\"\x1b[2J")];
        assert_eq!(name(&two.concat()).unwrap(), "\"Proxy 'CA'[2J\" of \"Example Corp\"");
        assert_eq!(name(&attribute(COMMON_NAME, 0x1e, &[0, b'C', 0, b'A'])).unwrap(), "\"CA\"");
        assert_eq!(name(&attribute(COMMON_NAME, 0x02, &[1])), None);
    }

    #[test]
    fn no_bytes_panic() {
        let whole = der(certificates::LEAF);
        for end in 0..whole.len() {
            let _ = read(&whole[..end]);
        }
        for at in 0..whole.len() {
            for value in [0x00, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut spoilt = whole.clone();
                spoilt[at] = value;
                let _ = read(&spoilt);
            }
        }
    }
}
