//! What the sensor could not see, in words, so that absence is not taken for innocence.

use crate::profile::Counts;

/// The gaps in what was seen.
pub(crate) fn not_visible(counts: &Counts, watched_s: f64) -> Vec<String> {
    let mut gaps = vec![format!(
        "no baseline: what is usual was judged by the {} of this data alone",
        super::explain::seconds(watched_s)
    )];
    if counts.internal_flows == 0 {
        gaps.push("traffic between hosts of the site: acts of one host on another cannot be seen".to_owned());
    }
    if counts.resolutions == 0 {
        gaps.push("name look-ups: a destination without a name may have one".to_owned());
    }
    let share = |part: u64, whole: u64| part.saturating_mul(100).checked_div(whole).unwrap_or(0);
    let lost = share(counts.missed_bytes, counts.payload_bytes.saturating_add(counts.missed_bytes));
    if lost >= LOSS_PERCENT {
        gaps.push(format!("{lost} % of the payload: it was acknowledged but not captured"));
    }
    let flows = counts.outbound_flows.saturating_add(counts.internal_flows);
    let one_sided = share(counts.one_sided_flows, flows);
    if one_sided >= ONE_SIDED_PERCENT {
        gaps.push(format!("one direction of {one_sided} % of the flows"));
    }
    gaps
}

/// detection.md §6: from 1 % loss on, warn.
const LOSS_PERCENT: u64 = 1;
/// A tenth of the flows: a port of the mirror is missing.
const ONE_SIDED_PERCENT: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_blind_spot_is_named() {
        let whole =
            Counts { internal_flows: 90, outbound_flows: 10, resolutions: 5, payload_bytes: 99, ..Counts::default() };
        for (what, counts, named) in [
            ("everything", whole, None),
            ("no inside traffic", Counts { internal_flows: 0, ..whole }, Some("between hosts")),
            ("no look-ups", Counts { resolutions: 0, ..whole }, Some("look-ups")),
            ("loss", Counts { missed_bytes: 11, ..whole }, Some("10 % of the payload")),
            ("one side", Counts { one_sided_flows: 50, ..whole }, Some("50 % of the flows")),
        ] {
            let gaps = not_visible(&counts, 90.0);
            assert_eq!(
                gaps.first().map(String::as_str),
                Some("no baseline: what is usual was judged by the 90 s of this data alone")
            );
            assert_eq!(gaps.len(), 1 + usize::from(named.is_some()), "{what}: {gaps:?}");
            assert!(named.is_none_or(|text| gaps[1].contains(text)), "{what}: {gaps:?}");
        }
    }
}
