//! Every query is PromQL, asks for metrics and labels that the sensor has, and treats counters as counters; and every
//! metric the sensor has is shown or excused.

use super::{comes_with, every_panel, prometheus};
use crate::support::root;
use promql_parser::parser::{Expr, LabelModifier, VectorSelector, parse};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Metrics no dashboard shows, each with its reason.
const EXCUSED: &[(&str, &str)] = &[];

/// What every series has, besides its metric's own labels.
const TARGET_LABELS: &[&str] = &["job", "instance", "le"];

/// Prometheus' own series and those of the process collector.
const OTHERS: &[&str] = &[
    "up",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_start_time_seconds",
];

#[test]
fn every_query_is_promql_about_metrics_the_sensor_has() {
    let known = metrics();
    let mut wrong = Vec::new();
    for (name, panel) in every_panel() {
        for expr in prometheus(&panel) {
            wrong.extend(problems(&expr, &known).into_iter().map(|problem| format!("{name}: {problem}: {expr}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_checks_bite() {
    let known = metrics();
    let asked = |expr: &str| problems(&expr.replace("{@", r#"{job=~"$job", instance=~"$instance""#), &known);
    assert_eq!(asked("sum by (interface) (rate(yukue_capture_packets_total{@}[$__rate_interval]))"), [""; 0]);
    for (what, expr) in [
        ("no PromQL", "sum by (job (yukue_capture_up{@})"),
        ("all sensors, whatever was chosen", "yukue_capture_up"),
        ("a metric that does not exist", "yukue_capture_uppp{@}"),
        ("a label it does not have", r#"yukue_capture_up{@, detector="beacon"}"#),
        ("a label to group by that it does not have", "sum by (detector) (yukue_capture_up{@})"),
        ("a counter as if it were a gauge", "sum(yukue_capture_packets_total{@})"),
        ("a rate over a range that Grafana did not choose", "rate(yukue_capture_packets_total{@}[5m])"),
        ("a rate of a gauge", "rate(yukue_capture_up{@}[$__rate_interval])"),
        ("a histogram without its buckets", "yukue_detection_lag_seconds{@}"),
    ] {
        assert_eq!(asked(expr).len(), 1, "{what}: {:?}", asked(expr));
    }
}

#[test]
fn every_metric_is_shown_or_excused() {
    let shown: Vec<String> = every_panel().iter().flat_map(|(_, panel)| prometheus(panel)).collect();
    let marked: BTreeSet<String> = shown.iter().flat_map(|expr| names(expr)).collect();
    for (name, metric) in metrics() {
        let excused = EXCUSED.iter().any(|(excused, _)| *excused == name);
        let parts: &[&str] = if metric.kind == "histogram" { &["_bucket", "_count", "_sum"] } else { &[""] };
        let seen = parts.iter().any(|part| marked.contains(&format!("yukue_{name}{part}")));
        assert!(seen != excused, "{name}: shown {seen}, excused {excused}");
    }
}

/// `metrics.tsv` is what operators read and what a stand-in shows; the sensor's own table is what it is made of.
#[test]
fn the_list_of_metrics_is_the_sensors_table() {
    let table = comes_with("metrics", "sensor/output/mod.rs", "sensor/output/metrics/table.rs");
    let Some(source) = table else { return };
    let labels = fs::read_to_string(root().join("sensor/output/metrics/labels.rs")).unwrap();
    let label = |kind: &str| {
        let named = labels.lines().find_map(|line| line.trim().strip_prefix(&format!("{kind}(\"")));
        named.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no label {kind}")).to_owned()
    };
    let body = source.split("\nmetrics! {\n").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
    let table: BTreeMap<String, Metric> = body
        .lines()
        .map(|line| {
            let (name, rest) = line.trim().split_once(": ").unwrap();
            let (kind, rest) = rest.split_once(" [").unwrap();
            let kinds = rest.split_once(']').unwrap().0.split(", ").filter(|kind| !kind.is_empty());
            let kind = if kind.chars().all(char::is_uppercase) { "histogram" } else { kind };
            (name.to_owned(), Metric { kind: kind.to_owned(), labels: kinds.map(label).collect() })
        })
        .collect();
    assert_eq!(metrics(), table, "grafana/source/metrics.tsv and sensor/output/metrics/table.rs");
}

/// What is wrong with a query.
fn problems(expr: &str, known: &BTreeMap<String, Metric>) -> Vec<String> {
    let filled = expr.replace("$__rate_interval", MAGIC).replace("$__range", "1d");
    match parse(&filled) {
        Err(error) => vec![format!("no PromQL: {error}")],
        Ok(tree) => {
            let mut found = Vec::new();
            walk(&tree, None, known, &mut found);
            found
        }
    }
}

/// What `$__rate_interval` becomes: a range nobody would write.
const MAGIC: &str = "4m59s";
const MAGIC_SECONDS: u64 = 299;

/// Looks at an expression and below; `call` is the function it is a direct argument of. Gives the labels it may have.
fn walk(
    tree: &Expr,
    call: Option<&str>,
    known: &BTreeMap<String, Metric>,
    wrong: &mut Vec<String>,
) -> BTreeSet<String> {
    match tree {
        Expr::VectorSelector(selector) => selected(selector, call, known, wrong),
        Expr::MatrixSelector(matrix) => {
            if call == Some("rate") && matrix.range.as_secs() != MAGIC_SECONDS {
                wrong.push("a rate not over $__rate_interval".to_owned());
            }
            selected(&matrix.vs, call, known, wrong)
        }
        Expr::Call(inner) => {
            let arguments = inner.args.args.iter();
            arguments.flat_map(|argument| walk(argument, Some(inner.func.name), known, wrong)).collect()
        }
        Expr::Aggregate(aggregate) => {
            let below = walk(&aggregate.expr, None, known, wrong);
            match &aggregate.modifier {
                Some(LabelModifier::Include(by)) => {
                    let labels: BTreeSet<String> = by.labels.iter().cloned().collect();
                    let missing = labels.difference(&below);
                    wrong.extend(missing.map(|label| format!("grouped by {label}, which it does not have")));
                    labels
                }
                Some(LabelModifier::Exclude(_)) => below,
                None if matches!(aggregate.op.to_string().as_str(), "topk" | "bottomk") => below,
                None => BTreeSet::new(),
            }
        }
        Expr::Binary(pair) => {
            let (left, right) = (walk(&pair.lhs, None, known, wrong), walk(&pair.rhs, None, known, wrong));
            left.union(&right).cloned().collect()
        }
        Expr::Paren(inner) => walk(&inner.expr, call, known, wrong),
        Expr::Unary(inner) => walk(&inner.expr, None, known, wrong),
        Expr::Subquery(inner) => walk(&inner.expr, call, known, wrong),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => BTreeSet::new(),
        Expr::Extension(_) => panic!("an extension of PromQL"),
    }
}

/// One selector: does its metric exist, has it those labels, is it used as what it is?
fn selected(
    selector: &VectorSelector,
    call: Option<&str>,
    known: &BTreeMap<String, Metric>,
    wrong: &mut Vec<String>,
) -> BTreeSet<String> {
    let name = selector.name.clone().unwrap_or_default();
    let (labels, counts) = match name.strip_prefix("yukue_").map(|rest| (rest, found(rest, known))) {
        Some((_, Some((metric, counts)))) => (metric.labels.clone(), counts),
        None if OTHERS.contains(&name.as_str()) => (Vec::new(), name.ends_with("_total")),
        _ => {
            wrong.push(format!("no metric {name:?}"));
            return BTreeSet::new();
        }
    };
    let labels: BTreeSet<String> = labels.into_iter().chain(TARGET_LABELS.iter().map(|l| (*l).to_owned())).collect();
    for matcher in selector.matchers.matchers.iter().filter(|m| !labels.contains(&m.name)) {
        wrong.push(format!("{name} has no label {}", matcher.name));
    }
    let chosen = [("job", "$job"), ("instance", "$instance")];
    let asked = |(label, value)| {
        selector.matchers.matchers.iter().any(|m| m.name == label && m.value == value && m.op.to_string() == "=~")
    };
    if !chosen.into_iter().all(asked) {
        wrong.push(format!("{name} is asked of other sensors than the chosen"));
    }
    let rated = matches!(call, Some("rate" | "irate" | "increase"));
    if counts != rated {
        wrong.push(format!("{name} is {}a counter", if counts { "" } else { "not " }));
    }
    labels
}

/// The metric a series belongs to, and whether that series only counts up.
fn found<'a>(series: &str, known: &'a BTreeMap<String, Metric>) -> Option<(&'a Metric, bool)> {
    let histogram = |metric: &&Metric| metric.kind == "histogram";
    match known.get(series) {
        Some(metric) if metric.kind == "histogram" => None,
        Some(metric) => Some((metric, metric.kind == "counter")),
        None => {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|part| series.strip_suffix(part))?;
            known.get(base).filter(histogram).map(|metric| (metric, true))
        }
    }
}

/// Names of our metrics in a query.
fn names(expr: &str) -> Vec<String> {
    let word = |c: char| !(c.is_alphanumeric() || c == '_');
    expr.split(word).filter(|name| name.starts_with("yukue_")).map(str::to_owned).collect()
}

/// A metric as `grafana/source/metrics.tsv` lists it.
#[derive(Debug, PartialEq)]
struct Metric {
    kind: String,
    labels: Vec<String>,
}

/// Name without prefix → metric.
fn metrics() -> BTreeMap<String, Metric> {
    let table = fs::read_to_string(root().join("grafana/source/metrics.tsv")).unwrap();
    let read = |line: &str| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().unwrap_or_else(|| panic!("metrics.tsv: {line}")).to_owned();
        let (name, kind) = (cell(), cell());
        let labels = cell().split(',').filter(|l| !l.is_empty()).map(str::to_owned).collect();
        (name, Metric { kind, labels })
    };
    table.lines().skip(1).map(read).collect()
}
