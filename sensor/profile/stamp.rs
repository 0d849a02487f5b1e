//! A number for a name that is the same in every run and cannot be chosen to equal another's: 64 bits of SHA-256.
//!
//! Filters and sketches hold stamps, so they outlive the ids of one run. A cheaper hash would let whoever picks host
//! names pick one that looks familiar.

use sha2::{Digest, Sha256};

/// The stamp of a text.
pub(super) fn stamp(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_beginning_of_the_digest() {
        // FIPS 180-2, appendix B.1: SHA-256 of "abc".
        assert_eq!(stamp("abc"), 0xba78_16bf_8f01_cfea);
    }
}
