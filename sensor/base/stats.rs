//! Small robust statistics. All are total: empty input gives `None`, NaN is sorted, never unwrapped.

/// The median; the mean of the middle two for an even count.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let mid = values.len() / 2;
    let upper = *values.get(mid)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(mid.checked_sub(1)?)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_total() {
        for (what, values, expected) in
            [("nothing", vec![], None), ("one", vec![3.0], Some(3.0)), ("even", vec![4.0, 1.0, 3.0, 2.0], Some(2.5))]
        {
            assert_eq!(median(&mut values.clone()), expected, "{what}");
        }
    }
}
