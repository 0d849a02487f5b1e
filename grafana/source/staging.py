"""Staging: which server touched which machines shortly before something left."""

from detections import OPEN_ALERTS, RANGE, alerts
from model import api, dashboard, graph, matrix, query, series, stat, table

JOINS = "common_cause,execution_chain,management_egress,push_pattern,execution_fan_out,admin_path,entry,cohort_exfiltration,coordinated_poller"
JOINED = JOINS.replace(",", "|")
PUSH = 'source_role="mgmt_server", dest_role="workstation"'

NODES = api("/api/v1/graph/nodes", [
    ("id", "string"), ("title", "string"), ("subTitle", "string"), ("mainStat", "string"), ("secondaryStat", "number"),
    ("arc__affected", "number"), ("arc__server", "number"), ("arc__destination", "number"),
    ("detail__role", "string"), ("detail__severity", "string"),
], RANGE, "node-graph-nodes")
EDGES = api("/api/v1/graph/edges", [
    ("id", "string"), ("source", "string"), ("target", "string"), ("mainStat", "number"), ("secondaryStat", "string"),
], RANGE, "node-graph-edges")

HOSTS = api("/api/v1/hosts", [
    ("name", "string"), ("ip", "string"), ("role", "string"), ("alerts_open", "number"), ("severity", "string"),
    ("baseline", "string"), ("firsts", "number"),
    ("bytes_out", "number"), ("bytes_in", "number"), ("flows", "number"), ("first_seen", "timestamp"),
    ("last_seen", "timestamp"), ("id", "string"),
], (*RANGE, ("limit", "500")))
DESTINATIONS = api("/api/v1/destinations", [
    ("value", "string"), ("kind", "string"), ("destination_class", "string"), ("provider", "string"), ("hosts", "number"),
    ("advice", "string"), ("bytes_out", "number"), ("bytes_in", "number"), ("first_seen", "timestamp"), ("last_seen", "timestamp"),
], (*RANGE, ("limit", "500")))

ROWS = [
    ("Is there a chain now?", [
        stat("Campaigns open", "Several machines, one server before each, one destination after: the worst this sensor can say.",
             'sum(yukue_alerts_open{@, detector="common_cause"})', "none", w=6, thresholds=(("green", 0), ("red", 1))),
        stat("Chains open", "Somebody acted on one machine, and it met a new destination right after.",
             'sum(yukue_alerts_open{@, detector="execution_chain"})', "none", w=6, thresholds=(("green", 0), ("red", 1))),
        stat("Management servers outside", "Open alerts about management servers' own contacts.",
             'sum(yukue_alerts_open{@, detector=~"management_egress|entry|policy"})', "none", w=6, thresholds=(("green", 0), ("orange", 1))),
        stat("Pushes open", "Hubs that reached more machines than ever, or ran code on many.",
             'sum(yukue_alerts_open{@, detector=~"push_pattern|execution_fan_out|admin_path"})', "none", w=6, thresholds=(("green", 0), ("orange", 1))),
        alerts("Chains", "Joined findings: the server, the machines, where it went. Start with the highest severity.", (("detector", JOINS),), h=9),
    ]),
    ("Who is connected to whom?", [
        graph("Servers, machines, destinations", """Left the server that touched them, then the machines, then where they went. The number on a
              node is what it is open for, the number on an edge the bytes.""", NODES, EDGES, w=24, h=16),
    ]),
    ("When did it happen?", [
        series("Joined alerts over time", "Each point an alert, by its score. Points in a column are one wave.",
               [api("/api/v1/alerts", [("time", "timestamp"), ("score", "number"), ("detector", "string")], (*RANGE, ("detector", JOINS), ("limit", "500")))],
               "none", points=True, min=0, max=1, w=12, none="no joined alert in this range"),
        series("Open, by detector", "What stood open when.",
               [query(f'sum by (detector) (yukue_alerts_open{{@, detector=~"{JOINED}"}})', "{{detector}}")], "none", w=12, min=0),
    ]),
    ("What do servers do to people's machines?", [
        series("Management servers to workstations", "Bytes a second, and conversations a second on the right. The first half of a chain looks like this, and so does patch day.",
               [query(f"sum(rate(yukue_lateral_bytes_total{{@, {PUSH}}}[$__rate_interval]))", "bytes"),
                query(f"sum(rate(yukue_lateral_flows_total{{@, {PUSH}}}[$__rate_interval]))", "conversations")], "Bps", min=0, w=12,
               overrides=[{"matcher": {"id": "byName", "options": "conversations"}, "properties": [{"id": "unit", "value": "cps"}, {"id": "custom.axisPlacement", "value": "right"}]}]),
        series("Workstations to the outside", "Bytes a second out, by class, under the same clock: does something leave after the push?",
               [query('sum by (destination_class) (rate(yukue_egress_bytes_total{@, source_role="workstation", direction="out"}[$__rate_interval]))', "{{destination_class}}")], "Bps", stacked=True, min=0, w=12),
        matrix("Inside bytes, role by role", "Over the range shown. Rows send. A new cell is a new path.",
               "sum by (source_role, dest_role) (increase(yukue_lateral_bytes_total{@}[$__range]))", "source_role", "dest_role", "bytes", w=12),
        matrix("Inside conversations, role by role", "Over the range shown.",
               "sum by (source_role, dest_role) (increase(yukue_lateral_flows_total{@}[$__range]))", "source_role", "dest_role", "none", w=12),
    ]),
    ("Which machines, which destinations?", [
        table("Machines", "Inside hosts, those with the worst open alerts first; `firsts` counts destinations met for the first time.", [HOSTS], w=12, h=12,
              overrides=[{"matcher": {"id": "byName", "options": "bytes_out"}, "properties": [{"id": "unit", "value": "bytes"}]}]),
        table("Destinations", "Owners outside, those of open alerts first. Never block a shared cloud as a whole: mind `advice`.", [DESTINATIONS], w=12, h=12,
              overrides=[{"matcher": {"id": "byName", "options": "bytes_out"}, "properties": [{"id": "unit", "value": "bytes"}]}]),
    ]),
]

DASHBOARD = dashboard(
    "staging", "Staging", "Which management server touched which machines, shortly before what went out?", ROWS, with_api=True,
    since="now-24h", annotations=[OPEN_ALERTS])
