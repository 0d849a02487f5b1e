//! Stable ids: the same cause has the same id in every run and after a restart; a cause that returns on another day
//! is a new one.

use crate::base::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt::Display;

/// Derived from detector, subject, scope key and the UTC day of `first_seen`.
pub(crate) fn id(detector: &str, subject: &dyn Display, scope: &dyn Display, first_seen: Timestamp) -> Box<str> {
    let text = format!("{detector}\n{subject}\n{scope}\n{}", first_seen.utc_day());
    let digest = Sha256::digest(text.as_bytes());
    hex::encode(digest.get(..ID_BYTES).unwrap_or_default()).into()
}

/// 64 bits: two of a million findings meet with a chance of 3 in 100 million.
const ID_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_has_the_same_id_until_the_day_is_over() {
        let at = Timestamp::from_secs;
        let one = id("beacon", &"10.0.0.1", &"x.example", at(10));
        assert_eq!(one.len(), 16);
        for (what, other, same) in [
            ("later that day", id("beacon", &"10.0.0.1", &"x.example", at(80_000)), true),
            ("the next day", id("beacon", &"10.0.0.1", &"x.example", at(90_000)), false),
            ("another host", id("beacon", &"10.0.0.2", &"x.example", at(10)), false),
            ("another detector", id("upload", &"10.0.0.1", &"x.example", at(10)), false),
        ] {
            assert_eq!(one == other, same, "{what}");
        }
    }
}
