"""Alerting and recording rules: one table, from which Prometheus' rules and Grafana's copy are made.

These rules wake people. They are no record of alerts: that is the sensor's own alerts.jsonl and API. A counter born at 1
never fires `increase() > 0`, so what must wake somebody is asked of the gauge `yukue_alerts_open`.
"""

from dataclasses import dataclass

from yaml_text import yaml

# Where Grafana answers. It also serves the runbooks (compose.yaml mounts them): replace it in all files at once with
# sed -i 's,http://localhost:3000,https://grafana.corp.example,' prometheus/*.yml provisioning/alerting/*.yaml
BASE = "http://localhost:3000"
DAY = 86400

LOST = "sum by (job, instance, interface) (rate(yukue_capture_dropped_packets_total[5m]))"
CAME = "sum by (job, instance, interface) (rate(yukue_capture_packets_total[5m]))"

RECORDS = {
    "yukue:capture_drop:ratio_rate5m": f"{LOST} / ({CAME} + {LOST} > 0)",
    "yukue:capture_one_way:ratio_rate30m":
        "sum by (job, instance) (rate(yukue_capture_one_way_flows_total[30m]))"
        " / (sum by (job, instance) (rate(yukue_flows_created_total[30m])) > 0)",
    "yukue:flow_table:used_ratio": "yukue_flow_table_entries / (yukue_flow_table_limit_entries > 0)",
    "yukue:store:used_ratio": "yukue_store_bytes / (yukue_store_limit_bytes > 0)",
}


@dataclass
class Alert:
    """Fires where `expr` compares to `limit` for `hold`. The texts are Prometheus templates."""

    name: str
    expr: str
    compare: str
    limit: float
    hold: str
    severity: str
    summary: str
    description: str
    dashboard: str


ALERTS = [
    # The rule's own label `severity` would make high and critical of one detector the same series: hence `level`.
    Alert("YukueHighSeverityOpen",
          'sum by (job, instance, detector, level) (\n'
          '  label_replace(yukue_alerts_open{severity=~"high|critical"}, "level", "$1", "severity", "(.+)")\n)', ">", 0, "0m", "critical",
          "{{ $value }} open {{ $labels.level }} of {{ $labels.detector }} on {{ $labels.instance }}",
          "The sensor has found something it is sure enough of to wake somebody. Who and where is in the sensor's own alerts.",
          "detections"),
    Alert("YukueAlertBurst",
          "sum by (job, instance) (rate(yukue_alerts_total[15m]))\n"
          "/ clamp_min(sum by (job, instance) (rate(yukue_alerts_total[15m] offset 1d)), 2 / 3600)", ">", 10, "15m", "warning",
          "{{ $labels.instance }} raises {{ $value | humanize }} times as many alerts as a day ago",
          "Either much is happening at once, or a change in the network or in a rule makes noise that hides what matters.",
          "detections"),
    Alert("YukueCaptureSilent",
          "time() - max by (job, instance, interface) (yukue_capture_last_packet_timestamp_seconds)", ">", 300, "5m", "critical",
          "{{ $labels.interface }} of {{ $labels.instance }} has seen no packet for {{ $value | humanizeDuration }}",
          "The sensor is up and blind: nothing on this mirror is watched, and silence is no good news.",
          "sensor-health"),
    Alert("YukueCaptureDown",
          "min by (job, instance, interface) (yukue_capture_up)", "<", 1, "2m", "critical",
          "{{ $labels.interface }} of {{ $labels.instance }} is down",
          "The capture interface is closed, down or gone. Nothing on it is watched.",
          "sensor-health"),
    Alert("YukueCaptureDropping", "yukue:capture_drop:ratio_rate5m", ">", 0.01, "10m", "warning",
          "Sensor {{ $labels.instance }} loses {{ $value | humanizePercentage }} of packets on {{ $labels.interface }}",
          "Findings still hold, but absence proves nothing: a conversation may have gone by unseen.",
          "sensor-health"),
    Alert("YukueCaptureOneWay", "yukue:capture_one_way:ratio_rate30m", ">", 0.3, "30m", "warning",
          "{{ $value | humanizePercentage }} of the flows of {{ $labels.instance }} are seen in one direction only",
          "Names, handshakes and replies are missing: most detectors of content cannot work, byte counts are guessed from acknowledgements.",
          "sensor-health"),
    Alert("YukueLagging", "max by (job, instance) (yukue_pipeline_lag_seconds)", ">", 30, "10m", "warning",
          "The analysis of {{ $labels.instance }} is {{ $value | humanizeDuration }} behind",
          "Alerts come late by that much, and packets will be shed once the queues are full.",
          "sensor-health"),
    Alert("YukueFlowTableFull",
          "(max by (job, instance) (yukue:flow_table:used_ratio) > 0.9)\n"
          'or (sum by (job, instance) (rate(yukue_flows_ended_total{reason="evicted"}[10m])) > 0)', ">", 0, "10m", "warning",
          "The flow table of {{ $labels.instance }} is full",
          "Conversations are cut into pieces to make room: long connections and slow channels are what is lost first.",
          "sensor-health"),
    Alert("YukueDetectorErrors",
          "sum by (job, instance, detector) (increase(yukue_detector_errors_total[15m]))", ">", 0, "0m", "warning",
          "{{ $labels.detector }} of {{ $labels.instance }} failed {{ $value | humanize }} times in 15 minutes",
          "Each time an observation went unjudged by this detector. Other detectors went on.",
          "sensor-health"),
    # A dropped event must be told even if it was one: 30 minutes hold it longer than the ten that a rule must stand.
    Alert("YukueOutputFailing",
          '(sum by (job, instance, output) (increase(yukue_output_events_total{result="dropped"}[30m])) > 0)\n'
          "or (max by (job, instance, output) (time() - yukue_output_last_success_timestamp_seconds) > 900\n"
          "and max by (job, instance, output) (yukue_output_queue_entries) > 0)", ">", 0, "10m", "critical",
          "Output {{ $labels.output }} of {{ $labels.instance }} does not deliver",
          "Alerts do not reach whoever reads that output. They are in alerts.jsonl and in the API.",
          "sensor-health"),
    Alert("YukueIntelStale",
          "time() - max by (job, instance, feed) (yukue_intel_last_success_timestamp_seconds)", ">", 14 * DAY, "1h", "warning",
          "{{ $labels.feed }} of {{ $labels.instance }} is {{ $value | humanizeDuration }} old",
          "Addresses that moved get the wrong provider and class: rarity and policy are judged on wrong names.",
          "sensor-health"),
    Alert("YukueConfigReloadFailed", "min by (job, instance) (yukue_config_last_reload_successful)", "<", 1, "5m", "warning",
          "{{ $labels.instance }} refused its new configuration",
          "The old configuration, rules and allow-list stay in force. What somebody meant to change is not changed.",
          "sensor-health"),
    Alert("YukueStoreNearLimit", "max by (job, instance, kind) (yukue:store:used_ratio)", ">", 0.9, "1h", "warning",
          "{{ $labels.kind }} of {{ $labels.instance }} fill {{ $value | humanizePercentage }} of their room",
          "The oldest records go to make room for new ones: history, which scoping needs, grows shorter.",
          "sensor-health"),
    Alert("YukueRetentionShort",
          'time() - max by (job, instance, kind) (yukue_store_oldest_record_timestamp_seconds{kind=~"flows|alerts"} > 0)\n'
          "and max by (job, instance, kind) (yukue:store:used_ratio) > 0.9", "<", 30 * DAY, "1h", "warning",
          "{{ $labels.kind }} of {{ $labels.instance }} reach back only {{ $value | humanizeDuration }}",
          "The store is full before 30 days are kept: a chain whose first step is older cannot be followed back.",
          "sensor-health"),
    Alert("YukueDown", 'up{job="yukue"}', "<", 1, "5m", "critical",
          "{{ $labels.instance }} does not answer",
          "The sensor, its machine or the way to it is gone. Nothing it watches is watched.",
          "fleet"),
]


def condition(alert):
    """The whole expression."""
    inner = f"({alert.expr})" if any(word in alert.expr for word in (" / ", "/ ", " or", "or ", " and", "and ", " - ")) else alert.expr
    return f"{inner} {alert.compare} {alert.limit:g}" if alert.limit < 1e6 else f"{inner} {alert.compare} {alert.limit}"


def annotations(alert):
    """What a person reads."""
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{BASE}/public/yukue/runbooks/en/{alert.name}.md",
        "runbook_url_ja": f"{BASE}/public/yukue/runbooks/ja/{alert.name}.md",
        "dashboard_url": f"{BASE}/d/yukue-{alert.dashboard}",
    }


def prometheus():
    """`prometheus/yukue.rules.yml`."""
    records = [{"record": name, "expr": expr} for name, expr in RECORDS.items()]
    alerts = [{
        "alert": each.name,
        "expr": condition(each),
        "for": each.hold,
        "labels": {"severity": each.severity},
        "annotations": annotations(each),
    } for each in ALERTS]
    return "# Made by grafana/source/build.py from alerts.py; tested by yukue.rules.test.yml.\n" + yaml({"groups": [
        {"name": "yukue.records", "interval": "30s", "rules": records},
        {"name": "yukue.alerts", "interval": "30s", "rules": alerts},
    ]})


def grafana():
    """`provisioning/alerting/yukue-rules.yaml`: the same rules for a site whose alerts are sent by Grafana."""
    return HEAD + yaml({"apiVersion": 1, "groups": [{
        "orgId": 1, "name": "yukue", "folder": "yukue", "interval": "1m", "rules": [managed(each) for each in ALERTS],
    }]})


HEAD = """\
# Made by grafana/source/build.py from the table that prometheus/yukue.rules.yml is made from. Paused: Prometheus evaluates
# the rules, and one of the two is enough. Where Grafana is to do it: sed -i 's/isPaused: true/isPaused: false/'.
"""


def managed(alert):
    """One rule: query A, threshold B. Recorded names are written out, so that it needs no other rules."""
    expr = alert.expr
    for name, meant in RECORDS.items():
        expr = expr.replace(name, f"({meant})")
    return {
        "uid": "".join("-" + c.lower() if c.isupper() else c for c in alert.name).lstrip("-"),
        "title": alert.name,
        "condition": "B",
        "data": [
            {"refId": "A", "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": "yukue-prometheus",
             "model": {"refId": "A", "expr": expr, "instant": True, "range": False}},
            {"refId": "B", "relativeTimeRange": {"from": 600, "to": 0}, "datasourceUid": "__expr__",
             "model": {"refId": "B", "type": "threshold", "expression": "A", "conditions": [
                 {"evaluator": {"type": {">": "gt", "<": "lt"}[alert.compare], "params": [alert.limit]}}]}},
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.hold,
        "annotations": {key: for_grafana(text) for key, text in annotations(alert).items()},
        "labels": {"severity": alert.severity},
        "isPaused": True,
    }


def for_grafana(text):
    """Grafana's templates name a query's value by its letter."""
    return text.replace("$value", "$values.A.Value")
