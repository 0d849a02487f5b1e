//! Distinct items in a few bits each: linear counting (Whang, Vander-Zanden, Taylor 1990). Every item sets one bit, and the
//! share that is still clear tells how many there were.

/// Sets the bit of an item; whether it was clear.
pub(crate) fn mark(words: &mut [u64], hash: u64) -> bool {
    let bits = u64::try_from(words.len()).unwrap_or(0).saturating_mul(64);
    let at = usize::try_from(hash.checked_rem(bits).unwrap_or(0)).unwrap_or(0);
    let Some(word) = words.get_mut(at / 64) else { return false };
    let bit = 1_u64 << (at % 64);
    let new = *word & bit == 0;
    *word |= bit;
    new
}

/// Whether the bit of an item is set: by itself, or by one that shares it.
pub(crate) fn is_marked(words: &[u64], hash: u64) -> bool {
    let bits = u64::try_from(words.len()).unwrap_or(0).saturating_mul(64);
    let at = usize::try_from(hash.checked_rem(bits).unwrap_or(0)).unwrap_or(0);
    words.get(at / 64).is_some_and(|word| word & 1_u64 << (at % 64) != 0)
}

/// How many distinct items set `set` of `bits` bits, about. All set: at least as many as leave one clear on average.
pub(crate) fn estimate(set: u32, bits: u32) -> f64 {
    let bits = f64::from(bits);
    let clear = (bits - f64::from(set)).max(0.5);
    -bits * (clear / bits).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_sets_one_bit_once_and_all_bits_set_is_no_infinity() {
        let mut words = [0; 2];
        assert_eq!([130, 2, 3].map(|hash| mark(&mut words, hash)), [true, false, true]);
        assert_eq!([2, 3, 4].map(|hash| is_marked(&words, hash)), [true, true, false]);
        assert_eq!((words, mark(&mut [], 7)), ([0b1100, 0], false));
        assert!(estimate(0, 128).abs() < 1e-9 && estimate(128, 128).is_finite());
    }
}
