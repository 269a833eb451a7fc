//! Randomness from the kernel.
//!
//! Invariant: a caller never goes on with bytes that are not random. If the kernel refuses, the process ends: every
//! secret of this product (verifier, state, ticket, cookie, key) rests on these bytes, and no caller could do better.

use broker::ports::Entropy;

/// The kernel's random generator (Linux `getrandom(2)`).
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// Fills the buffer; aborts the process when the kernel has no randomness to give.
    fn fill(&self, buffer: &mut [u8]) {
        if getrandom::fill(buffer).is_err() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ_from_call_to_call() {
        let (mut first, mut second) = ([0_u8; 32], [0_u8; 32]);
        OsEntropy.fill(&mut first);
        OsEntropy.fill(&mut second);
        assert_ne!(first, second);
        assert_ne!(first, [0; 32]);
    }
}
