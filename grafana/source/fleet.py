"""Fleet: every sensor at a glance. For whoever runs them."""

from model import bars, dashboard, field, named, query, series, stat, table

LOSS = """(sum by (instance) (rate(yukue_capture_dropped_packets_total{@}[$__rate_interval])) or sum by (instance) (up{@} * 0))
  / (sum by (instance) (rate(yukue_capture_packets_total{@}[$__rate_interval]))
  + sum by (instance) (rate(yukue_capture_dropped_packets_total{@}[$__rate_interval])) > 0)"""

ROWS = [
    ("Are all sensors there, and do they see?", [
        stat("Sensors up", "Sensors that answered the last scrape. Compare with the number you run.",
             "sum(up{@})", "none", min=0),
        stat("Sensors down", "Sensors that did not answer. Nothing they would have seen is being watched: YukueDown.",
             "count(up{@} == 0) or vector(0)", "none", thresholds=(("green", 0), ("red", 1))),
        stat("Sensors that lost sight", "Interfaces that are closed or gone while their sensor runs: YukueCaptureDown.",
             "count(yukue_capture_up{@} == 0) or vector(0)", "none", thresholds=(("green", 0), ("red", 1))),
        stat("Worst loss", """Largest share of packets any sensor lost. From 1 % on, absence of a finding proves little:
             YukueCaptureDropping.""", f"max({LOSS}) or vector(0)", "percentunit", decimals=2,
             thresholds=(("green", 0), ("orange", 0.001), ("red", 0.01))),
        stat("Worst lag", "How far the slowest sensor's analysis is behind its packets: YukueLagging.",
             "max(yukue_pipeline_lag_seconds{@})", "s", decimals=1,
             thresholds=(("green", 0), ("orange", 10), ("red", 30))),
        stat("Open, high or critical", "Alerts of the sensors themselves that nobody has closed.",
             'sum(yukue_alerts_open{@, severity=~"high|critical"})', "none", thresholds=(("green", 0), ("red", 1))),
        table("Sensors", "One line a sensor. Versions that differ and hosts that are few deserve a question.", [
            query("sum by (instance) (up{@})", instant=True, table=True),
            query("max by (instance, version) (yukue_build_info{@})", instant=True, table=True),
            query(LOSS, instant=True, table=True),
            query("max by (instance) (yukue_pipeline_lag_seconds{@})", instant=True, table=True),
            query("max by (instance) (time() - yukue_capture_last_packet_timestamp_seconds{@})", instant=True, table=True),
            query('sum by (instance) (yukue_alerts_open{@, severity=~"high|critical"})', instant=True, table=True),
            query("sum by (instance) (yukue_hosts_active{@})", instant=True, table=True),
            query("time() - max by (instance) (process_start_time_seconds{@})", instant=True, table=True),
        ], w=24, h=8, transformations=[
            {"id": "joinByField", "options": {"byField": "instance", "mode": "outer"}},
            {"id": "organize", "options": {
                "excludeByName": {f"Time {n}": True for n in range(1, 9)} | {"Time": True, "Value #B": True},
                "indexByName": {},
                "renameByName": {
                    "instance": "sensor", "Value #A": "up", "Value #C": "loss", "Value #D": "lag",
                    "Value #E": "last packet", "Value #F": "open, high or critical", "Value #G": "hosts", "Value #H": "runs since",
                },
            }},
        ], overrides=[
            field("up", mappings=named((0, "down", "red"), (1, "up", "green"))),
            field("loss", unit="percentunit", decimals=2),
            field("lag", unit="s", decimals=1),
            field("last packet", unit="s", decimals=0),
            field("runs since", unit="s", decimals=0),
        ]),
    ]),
    ("What do they find?", [
        series("Open alerts by sensor", "Alerts nobody has closed. A sensor that stands out sees something, or is badly tuned.",
               [query("sum by (instance) (yukue_alerts_open{@})", "{{instance}}")], "none", w=12, stacked=True, min=0),
        series("New alerts an hour", "By severity, over all chosen sensors.",
               [query("sum by (severity) (increase(yukue_alerts_total{@}[1h]))", "{{severity}}")], "none", w=12, bars=True,
               stacked=True, min=0),
    ]),
    ("Do they carry their load?", [
        series("Packets", "Packets a second by sensor. A step down on one sensor alone is a mirror that changed.",
               [query("sum by (instance) (rate(yukue_capture_packets_total{@}[$__rate_interval]))", "{{instance}}")], "pps", min=0),
        series("Loss", "Share of packets lost anywhere between wire and analysis, by sensor.",
               [query(LOSS, "{{instance}}")], "percentunit", min=0, thresholds=(("green", 0), ("red", 0.01))),
        series("Lag", "Clock time less the newest packet analysed, by sensor.",
               [query("max by (instance) (yukue_pipeline_lag_seconds{@})", "{{instance}}")], "s", min=0,
               thresholds=(("green", 0), ("red", 30))),
        bars("Inside hosts", "Distinct inside hosts of the last hour, by sensor: what each watches.",
             "sum by (instance) (yukue_hosts_active{@})", "{{instance}}", "none", min=0),
        series("Processors", "Processor time a second, in cores, by sensor.",
               [query("sum by (instance) (rate(process_cpu_seconds_total{@}[$__rate_interval]))", "{{instance}}")], "none", min=0),
        series("Memory", "Resident memory by sensor. It rises while tables fill and then stays.",
               [query("sum by (instance) (process_resident_memory_bytes{@})", "{{instance}}")], "bytes", min=0),
    ]),
    ("Do they run the same?", [
        bars("Sensors by version", "More than one bar: an upgrade is under way, or one was forgotten.",
             "count by (version) (yukue_build_info{@})", "{{version}}", "none", min=0),
        bars("Rules by sensor", "Rules in force. Fewer on one sensor: its rule folder differs.",
             "sum by (instance) (yukue_rules_loaded{@})", "{{instance}}", "none", min=0),
        bars("Hosts without a baseline", "Hosts still being learned, by sensor: new alerts about them are held back or labelled.",
             'sum by (instance) (yukue_baseline_hosts{@, state="learning"})', "{{instance}}", "none", min=0),
    ]),
]

DASHBOARD = dashboard("fleet", "Fleet", "Are all sensors there, do they see, and do they run the same?", ROWS)
