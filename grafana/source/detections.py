"""Detections: what was found, what was held back, and whether anything could have been found at all."""

from detectors import families
from model import INFINITY, api, bars, choice, dashboard, field, heat, matrix, query, series, stat, table

CHOSEN = 'detector=~"$detector", severity=~"$severity"'

COLUMNS = [
    ("time", "timestamp"), ("severity", "string"), ("detector", "string"), ("summary", "string"), ("src_name", "string"),
    ("src", "string"), ("src_role", "string"), ("dst_name", "string"), ("dst", "string"), ("destination_class", "string"),
    ("bytes_out", "number"), ("score", "number"), ("status", "string"), ("id", "string"),
]
RANGE = (("from", "${__from}"), ("to", "${__to}"))


def open_by(severity, colour):
    """How many are open of one severity."""
    return stat(f"Open, {severity}", f"Alerts of severity {severity} that nobody has closed.",
                f'sum(yukue_alerts_open{{@, detector=~"$detector", severity="{severity}"}})', "none",
                thresholds=(("green", 0), (colour, 1)))


def alerts(title, description, params=(), **more):
    """The sensor's own alerts, a line each."""
    return table(title, description, [api("/api/v1/alerts", COLUMNS, (*RANGE, *params, ("limit", "500")))], overrides=[
        field("bytes_out", unit="bytes"), field("score", decimals=2), field("summary", custom__width=520),
    ], sort="time", w=24, **more)


def own(stem, text):
    """One detector's panel."""
    return series(stem, f"{text} Open alerts, and what is new and what was held back an hour.", [
        query(f'sum by (severity) (yukue_alerts_open{{@, detector="{stem}"}})', "open {{severity}}"),
        query(f'sum(increase(yukue_alerts_total{{@, detector="{stem}"}}[1h]))', "new an hour"),
        query(f'sum(increase(yukue_alerts_suppressed_total{{@, detector="{stem}"}}[1h]))', "held back an hour"),
    ], "none", w=6, h=6, min=0)


ROWS = [
    ("What is open?", [
        open_by("critical", "red"), open_by("high", "red"), open_by("medium", "orange"), open_by("low", "blue"),
        stat("New, last day", "Alerts raised in the last 24 hours.", f"sum(increase(yukue_alerts_total{{@, {CHOSEN}}}[24h]))", "none", decimals=0),
        stat("Held back, last day", "Alerts not shown in the last 24 hours, for whatever reason.",
             'sum(increase(yukue_alerts_suppressed_total{@, detector=~"$detector"}[24h]))', "none", decimals=0),
        matrix("Open, detector by severity", "Page on high and critical (YukueHighSeverityOpen); read the rest once a day.",
               f"sum by (detector, severity) (yukue_alerts_open{{@, {CHOSEN}}}) > 0 or sum by (detector, severity) (yukue_alerts_open{{@, {CHOSEN}, severity=\"critical\"}})",
               "detector", "severity", "none", w=12, h=10),
        series("Open by severity", "A curve that only rises is a queue nobody works.",
               [query(f"sum by (severity) (yukue_alerts_open{{@, {CHOSEN}}})", "{{severity}}")], "none", stacked=True, min=0, w=12, h=10),
    ]),
    ("Which alerts, exactly?", [
        alerts("Alerts", "From the sensor itself. `/api/v1/alerts/ID` has everything about one: reasons with their numbers, scope, what was not visible.",
               (("severity", "${severity:csv}"), ("detector", "${detector:csv}")), h=12),
    ]),
    ("What is new, and what was held back?", [
        series("New by detector", "An hour. A burst of one detector is a change in the network or in its rule: YukueAlertBurst.",
               [query(f"sum by (detector) (increase(yukue_alerts_total{{@, {CHOSEN}}}[1h]))", "{{detector}}")], "none", bars=True, stacked=True, min=0, w=12),
        series("Held back by reason", "An hour. Nothing is hidden without a count: allow-list, duplicate, rate limit, learning.",
               [query('sum by (reason) (increase(yukue_alerts_suppressed_total{@, detector=~"$detector"}[1h]))', "{{reason}}")], "none", bars=True, stacked=True, min=0, w=12),
    ]),
    ("How fast?", [
        series("Last evidence to alert", "Half and 95 of 100 alerts come within this time of the packet that decided.",
               [query("histogram_quantile(0.5, sum by (le) (increase(yukue_detection_lag_seconds_bucket{@}[1h])))", "half"),
                query("histogram_quantile(0.95, sum by (le) (increase(yukue_detection_lag_seconds_bucket{@}[1h])))", "95 of 100"),
                query("sum(increase(yukue_detection_lag_seconds_count{@}[1h])) * 0", "no alert yet")], "s", min=0, w=12),
        heat("Last evidence to alert, all", "Where the slow ones lie.", "sum by (le) (increase(yukue_detection_lag_seconds_bucket{@}[$__rate_interval]))", "s", w=12),
    ]),
    ("Could anything have been found?", [
        bars("Baselines by state", "Hosts. `learning` ones are judged by their peers, `stale` ones have gone quiet.",
             "sum by (state) (yukue_baseline_hosts{@})", "{{state}}", "none", min=0, w=6),
        series("Baselines that are ready", "Share of hosts, by role. It should reach nearly all in a week.",
               [query('sum by (role) (yukue_baseline_hosts{@, state="ready"}) / (sum by (role) (yukue_baseline_hosts{@}) > 0) or sum by (role) (yukue_baseline_hosts{@})', "{{role}}")],
               "percentunit", min=0, max=1, w=6),
        bars("Pairs let go of, last day", "Who met whom is kept for 400 days. What is older than that cannot be found any more when a destination turns out bad.",
             "sum by (instance) (increase(yukue_baseline_index_pruned_pairs_total{@}[24h]))", "{{instance}}", "none", min=0, w=6),
        bars("Evaluations, last day", "By detector. One at nothing never saw what it looks for: is that traffic mirrored?",
             'bottomk(12, sum by (detector) (increase(yukue_detector_evaluations_total{@, detector=~"$detector"}[24h])))', "{{detector}}", "none", min=0, w=6),
    ]),
    *[(f"{family}", [own(stem, text) for stem, text in stems], "closed") for family, stems in families()],
]

OPEN_ALERTS = {
    "name": "Alerts, high and critical",
    "datasource": INFINITY,
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "target": dict(api("/api/v1/alerts", [("time", "timestamp"), ("summary", "string"), ("detector", "string"), ("id", "string")],
                       (*RANGE, ("severity", "high,critical"), ("limit", "200"))), refId="Anno"),
    "mappings": {
        "time": {"source": "field", "value": "time"}, "title": {"source": "field", "value": "detector"},
        "text": {"source": "field", "value": "summary"}, "id": {"source": "field", "value": "id"},
    },
}

DASHBOARD = dashboard(
    "detections", "Detections", "What was found, by detector and severity, what is open, what was held back, and could anything have been found?", ROWS,
    variables=[choice("detector", "Detector", "yukue_alerts_open", "detector"), choice("severity", "Severity", "yukue_alerts_open", "severity")],
    with_api=True, since="now-24h", annotations=[OPEN_ALERTS])
