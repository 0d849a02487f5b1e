"""Tests of the alerting rules for `promtool test rules`: each is seen quiet, firing with the words a person gets, and clear.

A case gives series as promtool writes them, and moments. What fires must say exactly `summary`, written out here by hand.
"""

from dataclasses import dataclass, field

import alerts
from yaml_text import yaml

ONE = {"job": "yukue", "instance": "s1"}
SPAN = {**ONE, "interface": "span0"}


@dataclass
class Case:
    """One story. `series` are (metric and labels, values); `fires` lists (labels, summary) of all that fire then."""

    alert: str
    story: str
    series: list
    quiet: str
    fires_at: str
    fires: list
    clear: str
    step: str = "1m"
    also_quiet: list = field(default_factory=list)


CASES = [
    Case("YukueHighSeverityOpen", "a beacon is high and critical at once, then both are closed; low ones wake nobody",
         [('yukue_alerts_open{%s, detector="beacon", severity="high"}', "0x4 1x9 0x10"),
          ('yukue_alerts_open{%s, detector="beacon", severity="critical"}', "0x4 2x9 0x10"),
          ('yukue_alerts_open{%s, detector="dga", severity="low"}', "7x30")],
         "3m", "6m", [
             ({**ONE, "detector": "beacon", "level": "critical"}, "2 open critical of beacon on s1"),
             ({**ONE, "detector": "beacon", "level": "high"}, "1 open high of beacon on s1"),
         ], "16m"),
    Case("YukueHighSeverityOpen", "a series that is born at 1 fires too: what `increase() > 0` would miss",
         [('yukue_alerts_open{%s, detector="feed", severity="high"}', "_x4 1x9 0x10")],
         "3m", "5m", [({**ONE, "detector": "feed", "level": "high"}, "1 open high of feed on s1")], "16m"),
    Case("YukueAlertBurst", "nothing for a day, then one a minute for an hour; a sensor without a yesterday and a handful of alerts stay quiet",
         [('yukue_alerts_total{job="yukue", instance="new", detector="beacon", severity="low"}', "0+5x60"),
          ('yukue_alerts_total{%s, detector="beacon", severity="low"}', "0x1440 1+1x59 60x80"),
          ('yukue_alerts_total{job="yukue", instance="calm", detector="beacon", severity="low"}', "0x1440 0+0.2x59 12x80")],
         "40m", "24h40m", [(ONE, "s1 raises 30 times as many alerts as a day ago")], "25h40m"),
    Case("YukueCaptureSilent", "packets stop after five minutes and come back after twenty",
         [("yukue_capture_last_packet_timestamp_seconds{%s, interface=\"span0\"}", "0+60x5 300x14 1200+60x10")],
         "4m", "17m", [(SPAN, "span0 of s1 has seen no packet for 12m 0s")], "22m", also_quiet=["12m"]),
    Case("YukueCaptureDown", "the interface goes and comes back",
         [("yukue_capture_up{%s, interface=\"span0\"}", "1x4 0x9 1x10"), ("yukue_capture_up{%s, interface=\"span1\"}", "1x30")],
         "3m", "9m", [(SPAN, "span0 of s1 is down")], "16m", also_quiet=["5m"]),
    Case("YukueCaptureDropping", "one packet in eleven is lost in the kernel, then none",
         [("yukue_capture_packets_total{%s, interface=\"span0\"}", "0+1000x60"),
          ("yukue_capture_dropped_packets_total{%s, interface=\"span0\", stage=\"kernel\"}", "0x5 0+100x25 2500x30"),
          ("yukue_capture_dropped_packets_total{%s, interface=\"span0\", stage=\"shed\"}", "0x60")],
         "4m", "25m", [(SPAN, "Sensor s1 loses 9.091% of packets on span0")], "45m", also_quiet=["10m"]),
    Case("YukueCaptureOneWay", "half of the flows lose a side for two hours",
         [("yukue_capture_one_way_flows_total{%s, interface=\"span0\"}", "0+1x30 30+50x120 6030+1x120"),
          ("yukue_flows_created_total{%s, transport=\"tcp\"}", "0+100x270")],
         "25m", "2h20m", [(ONE, "50% of the flows of s1 are seen in one direction only")], "4h", also_quiet=["50m"]),
    Case("YukueLagging", "a minute behind for a quarter of an hour",
         [("yukue_pipeline_lag_seconds{%s}", "0.4x4 60x19 0.4x10")],
         "4m", "20m", [(ONE, "The analysis of s1 is 1m 0s behind")], "28m", also_quiet=["12m"]),
    Case("YukueFlowTableFull", "the table fills and empties",
         [("yukue_flow_table_entries{%s}", "500x4 950x19 500x10"), ("yukue_flow_table_limit_entries{%s}", "1000x40")],
         "4m", "20m", [(ONE, "The flow table of s1 is full")], "28m", also_quiet=["12m"]),
    Case("YukueFlowTableFull", "it never looks full at a scrape, but flows are evicted",
         [("yukue_flow_table_entries{%s}", "500x60"), ("yukue_flow_table_limit_entries{%s}", "1000x60"),
          ("yukue_flows_ended_total{%s, reason=\"evicted\"}", "0x5 0+10x20 200x35"), ("yukue_flows_ended_total{%s, reason=\"fin\"}", "0+90x60")],
         "4m", "20m", [(ONE, "The flow table of s1 is full")], "50m"),
    Case("YukueDetectorErrors", "one detector fails once a minute for ten minutes",
         [("yukue_detector_errors_total{%s, detector=\"dga\"}", "0x20 0+1x10 10x40"), ("yukue_detector_errors_total{%s, detector=\"beacon\"}", "0x70")],
         "19m", "31m", [({**ONE, "detector": "dga"}, "dga of s1 failed 10 times in 15 minutes")], "55m"),
    Case("YukueOutputFailing", "one alert is dropped: it is told, and the telling ends",
         [("yukue_output_events_total{%s, output=\"siem\", result=\"dropped\"}", "0x20 1x100"),
          ("yukue_output_events_total{%s, output=\"siem\", result=\"ok\"}", "0+1x120"),
          ("yukue_output_last_success_timestamp_seconds{%s, output=\"siem\"}", "0+60x120"), ("yukue_output_queue_entries{%s, output=\"siem\"}", "0x120")],
         "19m", "35m", [({**ONE, "output": "siem"}, "Output siem of s1 does not deliver")], "1h10m"),
    Case("YukueOutputFailing", "the receiver is away and alerts wait; an output with nothing to send is left alone",
         [("yukue_output_last_success_timestamp_seconds{%s, output=\"siem\"}", "0+60x5 300x54 3600+60x30"),
          ("yukue_output_queue_entries{%s, output=\"siem\"}", "0x5 3x54 0x30"),
          ("yukue_output_last_success_timestamp_seconds{%s, output=\"chat\"}", "0x120"), ("yukue_output_queue_entries{%s, output=\"chat\"}", "0x120")],
         "15m", "40m", [({**ONE, "output": "siem"}, "Output siem of s1 does not deliver")], "1h5m"),
    Case("YukueIntelStale", "a table is not renewed for two weeks, then it is; time starts at 0 here, so it was last read before that",
         [("yukue_intel_last_success_timestamp_seconds{%s, feed=\"cloud_ranges\"}", "-1209000x90 5400x20")],
         "5m", "80m", [({**ONE, "feed": "cloud_ranges"}, "cloud_ranges of s1 is 14d 1h 10m 0s old")], "95m", also_quiet=["40m"]),
    Case("YukueConfigReloadFailed", "a bad file, then a good one",
         [("yukue_config_last_reload_successful{%s}", "1x4 0x14 1x10")],
         "4m", "12m", [(ONE, "s1 refused its new configuration")], "21m", also_quiet=["7m"]),
    Case("YukueStoreNearLimit", "evidence fills its room, then somebody gives it more",
         [("yukue_store_bytes{%s, kind=\"evidence\"}", "50x60 95x120 95x60"), ("yukue_store_limit_bytes{%s, kind=\"evidence\"}", "100x180 200x62")],
         "30m", "2h20m", [({**ONE, "kind": "evidence"}, "evidence of s1 fill 95% of their room")], "3h10m", also_quiet=["90m"]),
    Case("YukueRetentionShort", "flows fill their room within hours; a young sensor with room is left alone",
         [("yukue_store_oldest_record_timestamp_seconds{%s, kind=\"flows\"}", "60x260"),
          ("yukue_store_bytes{%s, kind=\"flows\"}", "10x30 95x119 50x100"), ("yukue_store_limit_bytes{%s, kind=\"flows\"}", "100x260"),
          ("yukue_store_oldest_record_timestamp_seconds{%s, kind=\"alerts\"}", "60x260"),
          ("yukue_store_bytes{%s, kind=\"alerts\"}", "1x260"), ("yukue_store_limit_bytes{%s, kind=\"alerts\"}", "100x260")],
         "20m", "2h20m", [({**ONE, "kind": "flows"}, "flows of s1 reach back only 2h 19m 0s")], "3h", also_quiet=["60m"]),
    Case("YukueDown", "the sensor stops answering and comes back",
         [("up{%s}", "1x4 0x14 1x10"), ('up{job="node", instance="s1"}', "0x30")],
         "4m", "12m", [(ONE, "s1 does not answer")], "21m", also_quiet=["7m"]),
]


def tests():
    """`prometheus/yukue.rules.test.yml`."""
    return HEAD + yaml({
        "rule_files": ["yukue.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [test(case) for case in CASES],
    })


HEAD = "# Made by grafana/source/build.py from rule_tests.py. promtool test rules yukue.rules.test.yml\n"


def test(case):
    """One story as promtool wants it."""
    rule = next(each for each in alerts.ALERTS if each.name == case.alert)
    words = alerts.annotations(rule)
    expected = [{
        "exp_labels": {**labels, "severity": rule.severity},
        "exp_annotations": {**words, "summary": summary},
    } for labels, summary in case.fires]
    asked = [(when, []) for when in (case.quiet, *case.also_quiet)] + [(case.fires_at, expected), (case.clear, [])]
    return {
        "name": f"{case.alert}: {case.story}",
        "interval": case.step,
        "input_series": [
            {"series": name.replace("%s", 'job="yukue", instance="s1"'), "values": values} for name, values in case.series],
        "alert_rule_test": [{"eval_time": when, "alertname": case.alert, "exp_alerts": e} for when, e in asked],
    }
