"""Sensor health: can this sensor be believed? Loss first, then whatever limits it."""

from model import bars, dashboard, heat, named, query, series, stat, states

PACKETS = "sum by (instance, interface) (rate(yukue_capture_packets_total{@}[$__rate_interval]))"
CREATED = "sum by (instance) (rate(yukue_flows_created_total{@}[$__rate_interval]))"


def share(metric, of=PACKETS, by="instance, interface"):
    """A counter's part of another."""
    return f"sum by ({by}) (rate(yukue_{metric}{{@}}[$__rate_interval])) / ({of} > 0)"


def full(what, by):
    """How much of a limit is used."""
    used, limit = f"yukue_{what}_entries", f"yukue_{what}_limit_entries"
    return f"max by ({by}) ({used}{{@}}) / (max by ({by}) ({limit}{{@}}) > 0)"


def since(metric, by):
    """Seconds since a moment, -1 where it never came."""
    return f"time() - max by ({by}) (yukue_{metric}{{@}} > 0) or max by ({by}) (yukue_{metric}{{@}} == 0) - 1"


FULL = (("green", 0), ("red", 0.9))
NEVER = named((-1, "never", "text"))

ROWS = [
    ("Does traffic arrive?", [
        series("Packets", "Packets a second by interface, those that were lost not counted.", [query(PACKETS, "{{instance}} {{interface}}")], "pps", min=0),
        series("Bits", "Wire bits a second by interface. Near the mirror port's speed the switch itself drops, unseen here.",
               [query("sum by (instance, interface) (rate(yukue_capture_bytes_total{@}[$__rate_interval])) * 8", "{{instance}} {{interface}}")], "bps", min=0),
        states("Interfaces", "Open or not. Down is blind: YukueCaptureDown.", "max by (instance, interface) (yukue_capture_up{@})",
               "{{instance}} {{interface}}", named((0, "down", "red"), (1, "up", "green")), h=4),
        bars("Since the last packet", "More than five minutes of silence on a mirror is a mirror that broke: YukueCaptureSilent.",
             since("capture_last_packet_timestamp_seconds", "instance, interface"), "{{instance}} {{interface}}", "s", h=4,
             mappings=NEVER, thresholds=(("green", 0), ("red", 300))),
    ]),
    ("Is any of it lost?", [
        series("Loss by stage", """nic and kernel: the machine is too slow or its ring too small. queue: analysis cannot follow.
               shed: the sensor chose to leave bulk payload out.""",
               [query("sum by (instance, interface, stage) (rate(yukue_capture_dropped_packets_total{@}[$__rate_interval]))", "{{stage}} {{instance}} {{interface}}")], "pps", stacked=True, min=0),
        series("Share lost", "Of all packets that came. Above 1 % absence claims are withdrawn: YukueCaptureDropping.",
               [query("""sum by (instance, interface) (rate(yukue_capture_dropped_packets_total{@}[$__rate_interval]))
                / (sum by (instance, interface) (rate(yukue_capture_packets_total{@}[$__rate_interval]))
                + sum by (instance, interface) (rate(yukue_capture_dropped_packets_total{@}[$__rate_interval])) > 0)
                or sum by (instance, interface) (yukue_capture_up{@} * 0)""", "{{instance}} {{interface}}")], "percentunit", min=0,
               thresholds=(("green", 0), ("red", 0.01))),
        series("One-way flows", "Share of new flows of which one side never came. Above 30 % the mirror carries one direction: YukueCaptureOneWay.",
               [query(share("capture_one_way_flows_total", CREATED, "instance") + " or sum by (instance) (yukue_capture_up{@} * 0)", "{{instance}}")], "percentunit", min=0,
               thresholds=(("green", 0), ("red", 0.3))),
        series("Duplicates", "Share of packets seen twice. Some are usual where a mirror lists both ports of a path.",
               [query(share("capture_duplicate_packets_total") + " or sum by (instance, interface) (yukue_capture_up{@} * 0)", "{{instance}} {{interface}}")], "percentunit", min=0),
        series("Truncated", "Share of packets cut short: snap length, receive offload that joins packets, or a tunnel larger than the link.",
               [query(share("capture_truncated_packets_total") + " or sum by (instance, interface) (yukue_capture_up{@} * 0)", "{{instance}} {{interface}}")], "percentunit", min=0),
    ]),
    ("Is it understood?", [
        series("Decoded by transport", "Packets a second. Much of `other` on an office network is a tunnel that is not unwrapped.",
               [query("sum by (transport) (rate(yukue_decode_packets_total{@}[$__rate_interval]))", "{{transport}}")], "pps", stacked=True, min=0),
        series("Not decoded, by reason", "Packets a second that could not be read.",
               [query("sum by (reason) (rate(yukue_decode_errors_total{@}[$__rate_interval]))", "{{reason}}")], "pps", stacked=True, min=0),
        series("Unwrapped by encapsulation", "Packets a second inside tags and tunnels. A mirror that comes by VXLAN must show here.",
               [query("sum by (encap) (rate(yukue_decode_encapsulated_packets_total{@}[$__rate_interval]))", "{{encap}}")], "pps", stacked=True, min=0),
    ]),
    ("Does the analysis keep up?", [
        series("Lag", "Clock time less the newest packet analysed. Above 30 s for ten minutes: YukueLagging.",
               [query("max by (instance) (yukue_pipeline_lag_seconds{@})", "{{instance}}")], "s", min=0, thresholds=(("green", 0), ("red", 30))),
        series("Queues", "Used share of each queue. The stage behind a full queue is the slow one.",
               [query(full("pipeline_queue", "instance, queue"), "{{queue}} {{instance}}")], "percentunit", min=0, max=1, thresholds=FULL),
        series("Batch time by stage", "99 of 100 batches take less.",
               [query("histogram_quantile(0.99, sum by (stage, le) (rate(yukue_pipeline_batch_duration_seconds_bucket{@}[$__rate_interval])))", "{{stage}}"),
                query("sum by (stage) (rate(yukue_pipeline_batch_duration_seconds_count{@}[$__rate_interval])) * 0", "{{stage}} (idle)")], "s", min=0),
    ]),
    ("Do the tables hold?", [
        series("Flow table", "Used share. Above 90 % conversations are cut short to make room: YukueFlowTableFull.",
               [query(full("flow_table", "instance"), "{{instance}}")], "percentunit", min=0, max=1, thresholds=FULL),
        series("Flows created", "A second, by transport. A step without a step in packets is a scan.",
               [query("sum by (transport) (rate(yukue_flows_created_total{@}[$__rate_interval]))", "{{transport}}")], "cps", stacked=True, min=0),
        series("Flows ended", "A second, by reason. `evicted` is room being made.",
               [query("sum by (reason) (rate(yukue_flows_ended_total{@}[$__rate_interval]))", "{{reason}}")], "cps", stacked=True, min=0),
        series("Memory by component", "What each table holds.",
               [query("sum by (component) (yukue_memory_used_bytes{@})", "{{component}}")], "bytes", stacked=True, min=0),
        series("Memory against its limit", "Used share by component; 0 where there is no limit.",
               [query("max by (instance, component) (yukue_memory_used_bytes{@}) / (max by (instance, component) (yukue_memory_limit_bytes{@}) > 0) or max by (instance, component) (yukue_memory_used_bytes{@}) * 0", "{{component}} {{instance}}")],
               "percentunit", min=0, max=1, thresholds=FULL),
        series("Fullest detector tables", "Used share, the five largest. A full one forgets its oldest.",
               [query("topk(5, " + full("detector_tracked", "instance, detector") + ")", "{{detector}} {{instance}}")], "percentunit", min=0, max=1, thresholds=FULL),
    ]),
    ("What do detectors cost?", [
        series("Evaluations", "A second, the ten busiest.",
               [query("topk(10, sum by (detector) (rate(yukue_detector_evaluations_total{@}[$__rate_interval])))", "{{detector}}")], "ops", min=0),
        series("Errors", "A second, by detector. Each is an observation a detector did not judge: YukueDetectorErrors.",
               [query("sum by (detector) (rate(yukue_detector_errors_total{@}[$__rate_interval]))", "{{detector}}")], "ops", bars=True, stacked=True, min=0),
        heat("Evaluation time", "How long evaluations took, all detectors together.",
             "sum by (le) (increase(yukue_detector_evaluation_duration_seconds_bucket{@}[$__rate_interval]))", "s"),
    ]),
    ("Do alerts leave?", [
        series("Events by output", "A second, by result. `dropped` is an alert somebody did not get: YukueOutputFailing.",
               [query("sum by (output, result) (rate(yukue_output_events_total{@}[$__rate_interval]))", "{{output}} {{result}}")], "ops", min=0),
        series("Waiting", "Events in each output's queue.", [query("sum by (instance, output) (yukue_output_queue_entries{@})", "{{output}} {{instance}}")], "none", min=0),
        bars("Since the last success", "By output. Long silence is usual where nothing was found; together with a queue it is not.",
             since("output_last_success_timestamp_seconds", "instance, output"), "{{output}} {{instance}}", "s", mappings=NEVER,
             none="no output configured"),
    ]),
    ("Is there room on disk?", [
        series("Store", "Used share of each kind's limit, 0 where there is none. Above 90 %: YukueStoreNearLimit.",
               [query("max by (instance, kind) (yukue_store_bytes{@}) / (max by (instance, kind) (yukue_store_limit_bytes{@}) > 0) or max by (instance, kind) (yukue_store_bytes{@}) * 0", "{{kind}} {{instance}}")],
               "percentunit", min=0, max=1, thresholds=FULL),
        series("Bytes stored", "By kind.", [query("sum by (instance, kind) (yukue_store_bytes{@})", "{{kind}} {{instance}}")], "bytes", min=0),
        bars("Reaches back", "Age of the oldest record by kind. Scoping cannot look further back: YukueRetentionShort.",
             since("store_oldest_record_timestamp_seconds", "instance, kind"), "{{kind}} {{instance}}", "s", mappings=NEVER),
    ]),
    ("Is what it knows fresh?", [
        bars("Age of intelligence", "Since each table was last read in. Old cloud ranges give wrong classes: YukueIntelStale.",
             since("intel_last_success_timestamp_seconds", "instance, feed"), "{{feed}} {{instance}}", "s", mappings=NEVER,
             none="no table", thresholds=(("green", 0), ("red", 1209600))),
        bars("Entries", "By table. A table that shrank was cut off on its way.",
             "max by (instance, feed) (yukue_intel_entries{@})", "{{feed}} {{instance}}", "none", min=0),
        stat("Configuration", "Whether the last reload was taken over; a refused one leaves the old in force: YukueConfigReloadFailed.",
             "min(yukue_config_last_reload_successful{@})", "none", mappings=named((0, "refused", "red"), (1, "in force", "green"))),
        stat("In force since", "The oldest configuration among the chosen sensors.",
             "time() - min(yukue_config_last_reload_success_timestamp_seconds{@})", "s", decimals=0),
        stat("Rules", "Rules in force.", "sum(yukue_rules_loaded{@})", "none"),
    ]),
    ("What does the process need?", [
        series("Troubles contained", "A second, by kind; each is in the log. What each means and what mends it: sensor/packaging/FAULTS.md.",
               [query("sum by (fault) (rate(yukue_faults_total{@}[$__rate_interval]))", "{{fault}}")], "ops", bars=True, stacked=True, min=0),
        series("Processors", "Cores in use.", [query("sum by (instance) (rate(process_cpu_seconds_total{@}[$__rate_interval]))", "{{instance}}")], "none", min=0),
        series("Resident memory", "Of the whole process.", [query("sum by (instance) (process_resident_memory_bytes{@})", "{{instance}}")], "bytes", min=0),
        series("Open files", "Descriptors in use.", [query("sum by (instance) (process_open_fds{@})", "{{instance}}")], "none", min=0),
        series("Requests served", "A second, by handler and status code. 401 in numbers: somebody tries tokens.",
               [query("sum by (handler, code) (rate(yukue_http_requests_total{@}[$__rate_interval]))", "{{handler}} {{code}}")], "reqps", min=0, w=12),
        series("Request time", "95 of 100 requests take less, by handler.",
               [query("histogram_quantile(0.95, sum by (handler, le) (rate(yukue_http_request_duration_seconds_bucket{@}[$__rate_interval])))", "{{handler}}")], "s", min=0, w=12),
    ]),
]

DASHBOARD = dashboard("sensor-health", "Sensor health", "Can this sensor be believed: does traffic arrive, is it lost, understood, kept up with?", ROWS)
