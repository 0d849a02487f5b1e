"""Egress: where the site's traffic goes, by role of the sender and class of the destination."""

from model import bars, choice, dashboard, matrix, query, series, stat

CHOSEN = 'source_role=~"$role", destination_class=~"$class"'
OUT = f'yukue_egress_bytes_total{{@, {CHOSEN}, direction="out"}}'
IN = f'yukue_egress_bytes_total{{@, {CHOSEN}, direction="in"}}'
SERVERS = 'source_role=~"mgmt_server|server|network_device"'

ROWS = [
    ("How much leaves?", [
        stat("Out", "Bytes a second to the outside.", f"sum(rate({OUT}[$__rate_interval]))", "Bps", w=6),
        stat("In", "Bytes a second from the outside.", f"sum(rate({IN}[$__rate_interval]))", "Bps", w=6),
        stat("Conversations", "New ones a second.", f"sum(rate(yukue_egress_flows_total{{@, {CHOSEN}}}[$__rate_interval]))", "cps", w=6),
        stat("New destinations", "Never seen by this sensor before, in the range shown.",
             f"sum(increase(yukue_destinations_new_total{{@, {CHOSEN}}}[$__range]))", "none", w=6, decimals=0),
    ]),
    ("Who sends where?", [
        matrix("Bytes out, role by class", "Over the range shown. A server in a column of people's services is worth a look by itself.",
               f"sum by (source_role, destination_class) (increase({OUT}[$__range]))", "source_role", "destination_class", "bytes", w=24, h=9),
        series("Out by class", "Bytes a second.", [query(f"sum by (destination_class) (rate({OUT}[$__rate_interval]))", "{{destination_class}}")], "Bps", stacked=True, min=0, w=12),
        series("Out by role", "Bytes a second.", [query(f"sum by (source_role) (rate({OUT}[$__rate_interval]))", "{{source_role}}")], "Bps", stacked=True, min=0, w=12),
    ]),
    ("What is new?", [
        series("New destinations by class", "First seen by the sensor, an hour. `unknown`, `vpn_tor` and `remote_access` first.",
               [query(f"sum by (destination_class) (increase(yukue_destinations_new_total{{@, {CHOSEN}}}[1h]))", "{{destination_class}}")], "none", bars=True, stacked=True, min=0, w=12),
        series("New destinations by role", "First seen by the sensor, an hour. Servers should hardly ever show.",
               [query(f"sum by (source_role) (increase(yukue_destinations_new_total{{@, {CHOSEN}}}[1h]))", "{{source_role}}")], "none", bars=True, stacked=True, min=0, w=12),
    ]),
    ("What changed against last week?", [
        series("Out by role, now and a week ago", "Bytes in the hour before. The dashed past needs seven days of history.",
               [query(f"sum by (source_role) (increase({OUT}[1h]))", "{{source_role}}"),
                query(f"sum by (source_role) (increase({OUT}[1h] offset 7d))", "{{source_role}}, a week ago")], "bytes", min=0, w=12,
               overrides=[{"matcher": {"id": "byRegexp", "options": ".*a week ago"}, "properties": [{"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [6, 6]}}]}]),
        bars("Out against the same hour a week ago", "How many times as much, by role. Until there are seven days of history it says 1.",
             f"""sum by (source_role) (increase({OUT}[1h])) / (sum by (source_role) (increase({OUT}[1h] offset 7d)) > 0)
              or sum by (source_role) (increase({OUT}[1h])) * 0 + 1""", "{{source_role}}", "none", w=12, min=0, decimals=1,
             thresholds=(("green", 0), ("orange", 3), ("red", 10))),
    ]),
    ("Who gives more than it takes?", [
        series("Out as a share of both ways, by role", "Browsing is near 0.1, backup near 1. A role that moves towards 1 sends.",
               [query(f"""sum by (source_role) (rate({OUT}[$__rate_interval])) / (sum by (source_role) (rate({OUT}[$__rate_interval]))
                + sum by (source_role) (rate({IN}[$__rate_interval])) > 0)""", "{{source_role}}")], "percentunit", min=0, max=1, w=12),
        series("Conversations by class", "A second. Many small ones to one class is how a slow leak looks.",
               [query(f"sum by (destination_class) (rate(yukue_egress_flows_total{{@, {CHOSEN}}}[$__rate_interval]))", "{{destination_class}}")], "cps", min=0, w=12),
    ]),
    ("What do servers do outside?", [
        series("Out of servers, by class", "Bytes a second of servers, management servers and network devices.",
               [query(f'sum by (source_role, destination_class) (rate(yukue_egress_bytes_total{{@, {SERVERS}, direction="out"}}[$__rate_interval]))', "{{source_role}} → {{destination_class}}")], "Bps", min=0, w=12),
        series("Conversations of servers, by class", "A second. A class that appears for the first time is `management_egress` in the making.",
               [query(f"sum by (source_role, destination_class) (rate(yukue_egress_flows_total{{@, {SERVERS}}}[$__rate_interval]))", "{{source_role}} → {{destination_class}}")], "cps", min=0, w=12),
    ]),
]

DASHBOARD = dashboard(
    "egress", "Egress", "Where does the site's traffic go, by role of the sender and class of the destination, and what changed?", ROWS,
    variables=[choice("role", "Role", "yukue_egress_bytes_total", "source_role"), choice("class", "Class", "yukue_egress_bytes_total", "destination_class")],
    since="now-24h")
