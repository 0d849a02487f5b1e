//! Category of `cloud_domains.csv` → destination class: few words, fit for a metric's label and a person's overview.
//!
//! The table is `rules/intel/destination_classes.csv`. A category it does not know, as an operator's own table may have,
//! is `other`; a destination without any category is `unknown`.

use std::sync::LazyLock;

/// All classes in the order of the table, `other` and `unknown` last.
pub(crate) fn destination_classes() -> &'static [&'static str] {
    &CLASSES.names
}

/// Position of a category's class among [`destination_classes`].
pub(crate) fn destination_class(category: Option<&str>) -> usize {
    let last = CLASSES.names.len().saturating_sub(1);
    let Some(category) = category else { return last };
    let known = CLASSES.rows.iter().find(|(known, _)| *known == category);
    known.map_or_else(|| last.saturating_sub(1), |(_, at)| *at)
}

/// The name of a category's class.
pub(crate) fn destination_class_name(category: Option<&str>) -> &'static str {
    CLASSES.names.get(destination_class(category)).copied().unwrap_or(UNKNOWN)
}

struct Classes {
    names: Vec<&'static str>,
    rows: Vec<(&'static str, usize)>,
}

static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
    let pairs: Vec<_> = TABLE.lines().skip(1).filter_map(|line| line.split_once(',')).collect();
    let mut names: Vec<&str> = Vec::new();
    for (_, class) in &pairs {
        if *class != OTHER && !names.contains(class) {
            names.push(class);
        }
    }
    names.extend([OTHER, UNKNOWN]);
    let place = |class: &str| names.iter().position(|name| *name == class).unwrap_or_default();
    let rows = pairs.iter().map(|(category, class)| (*category, place(class))).collect();
    Classes { names, rows }
});

const OTHER: &str = "other";
const UNKNOWN: &str = "unknown";
const TABLE: &str = include_str!("../../rules/intel/destination_classes.csv");

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_category_has_a_class_and_there_are_at_most_sixteen() {
        let text = include_str!("../../rules/intel/cloud_domains.csv");
        let categories: BTreeSet<&str> = text.lines().skip(1).filter_map(|line| line.split(',').nth(2)).collect();
        for category in categories {
            assert!(CLASSES.rows.iter().any(|(known, _)| *known == category), "{category} has no class");
        }
        assert!(destination_classes().len() <= 16, "{:?}", destination_classes());
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        for (category, class) in [
            (Some("object-storage"), "cloud_storage"),
            (Some("rmm"), "remote_access"),
            (Some("our-own-category"), "other"),
            (None, "unknown"),
        ] {
            assert_eq!(destination_class_name(category), class);
        }
    }
}
