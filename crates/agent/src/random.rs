//! Random names and capabilities, from the injected entropy.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use broker::ports::Entropy;
use sha2::{Digest as _, Sha256};

/// 256 random bits as 43 characters of base64url: a capability.
pub(crate) fn capability(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 32];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `n` random bytes in lower-case hexadecimal: a name.
pub(crate) fn hex_name<const N: usize>(entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; N];
    entropy.fill(&mut bytes);
    hex(&bytes)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// SHA-256 in hexadecimal: the form capabilities are kept in.
pub(crate) fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
