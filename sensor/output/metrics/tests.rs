//! The exposition as a scraper sees it.

use super::*;
use crate::detect::Severity;
use std::collections::BTreeSet;
use std::fmt::Write as _;

struct Nothing;

impl Counts for Nothing {
    fn fill(&self, _: &Configured, _: &mut Metrics) {}
}

/// A sensor with every detector, four interfaces and eight outputs.
pub(super) fn largest() -> Configured {
    let names = |stem: &str, n: usize| (0..n).map(|n| format!("{stem}{n}").into()).collect();
    let rules = crate::alert::Rules::shipped();
    Configured {
        interfaces: names("span", 4),
        detectors: rules.texts().map(|(stem, _)| stem.into()).collect(),
        outputs: names("out", 8),
        feeds: names("feed", 12),
        classes: crate::intel::destination_classes().iter().map(|class| (*class).into()).collect(),
    }
}

fn text(configured: Configured) -> String {
    String::from_utf8(Exposition::new(configured, vec![Arc::new(Nothing)]).unwrap().text().unwrap()).unwrap()
}

fn series(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

#[test]
fn every_detector_has_every_severity_at_zero_before_the_first_packet() {
    let (configured, shown) = (largest(), text(largest()));
    for metric in ["yukue_alerts_total", "yukue_alerts_open"] {
        for detector in &configured.detectors {
            for severity in Severity::ALL {
                let wanted = format!("{metric}{{detector=\"{detector}\",severity=\"{}\"}} 0", severity.name());
                assert!(series(&shown).any(|line| line == wanted), "{wanted}");
            }
        }
    }
    assert!(shown.contains("yukue_build_info{version=\""), "{shown}");
    assert!(shown.contains("process_resident_memory_bytes"));
}

#[test]
fn the_largest_sensor_has_at_most_two_thousand_series() {
    let shown = text(largest());
    let count = series(&shown).count();
    assert!(count <= 2000, "{count} series:\n{}", by_family(&shown));
    assert!(largest().classes.len() <= 16);
}

fn by_family(shown: &str) -> String {
    let mut out = String::new();
    for described in TABLE {
        let of = |line: &&str| line.split(['{', ' ']).next().is_some_and(|name| name.starts_with(described.name));
        writeln!(out, "{:5} {}", series(shown).filter(of).count(), described.name).unwrap();
    }
    out
}

#[test]
fn names_follow_the_conventions() {
    let mut known = BTreeSet::new();
    for described in TABLE {
        let name = described.name;
        assert!(known.insert(name), "{name} is there twice");
        let counter = described.kind == prometheus::proto::MetricType::COUNTER;
        assert_eq!(counter, name.ends_with("_total"), "{name}");
        assert!(described.help.ends_with('.') && !described.help.contains(['\n', '|']), "{name}");
        if described.kind == prometheus::proto::MetricType::HISTOGRAM {
            assert!(name.ends_with("_seconds"), "{name}");
            assert!(described.labels.iter().all(|label| label.label != "detector"), "{name}");
        }
    }
}

/// `BLESS=1` writes it.
#[test]
fn the_documented_metrics_are_those_of_the_table() {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for described in TABLE {
        let labels = described.labels.iter().map(|dimension| match dimension.closed() {
            Some(values) if values.len() > 1 => format!("`{}` = {}", dimension.label, values.join(" \\| ")),
            _ => format!("`{}`", dimension.label),
        });
        let (labels, kind) = (labels.collect::<Vec<_>>().join("; "), format!("{:?}", described.kind).to_lowercase());
        writeln!(table, "| `{}` | {kind} | {labels} | {} |", described.name, described.help).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana/METRICS.md");
    let whole = format!("{HEAD}\n{table}");
    #[expect(clippy::disallowed_methods, reason = "a test asks for its mode")]
    if std::env::var("BLESS").is_ok() {
        std::fs::write(path, &whole).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), whole, "grafana/METRICS.md; BLESS=1 writes it");
}

const HEAD: &str = "\
# Metrics

Everything `/metrics` shows besides `process_*`. Written from the table in `sensor/output/metrics/table.rs`; a test holds
the two together. Labels are closed sets, so the number of series is known before the first packet (at most 2,000).
Labels without listed values are configured: `interface`, `detector` (the stem of a rule), `output`, `feed`, and
`destination_class` (`rules/intel/destination_classes.csv`). Hosts, names and addresses are never labels: they are in the
API, `/api/v1`.
";

/// Dashboards and rules are written against that list.
#[test]
fn dashboards_know_the_same_metrics_and_labels() {
    let theirs: BTreeSet<String> = include_str!("../../../grafana/source/metrics.tsv")
        .lines()
        .skip(1)
        .map(|line| line.trim_end().to_owned())
        .collect();
    let ours = TABLE.iter().map(|described| {
        let labels: Vec<_> = described.labels.iter().map(|dimension| dimension.label).collect();
        let kind = format!("{:?}", described.kind).to_lowercase();
        format!("{}\t{kind}\t{}", described.name.trim_start_matches("yukue_"), labels.join(",")).trim_end().to_owned()
    });
    assert_eq!(ours.collect::<BTreeSet<_>>(), theirs);
}
